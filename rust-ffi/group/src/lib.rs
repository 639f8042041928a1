//! Consumer groups on nothing but a topic.
//!
//! A partition of a topic is a total order that everybody sees alike. The members of a group append *commands* to one, and
//! all of them apply the same commands in the same order to the same deterministic state machine: so they agree on who is
//! in, who owns what and which commits hold, without a coordinator and without clocks that agree.
//!
//! This crate is that machine, and the machine of one member on top of it. It does no I/O and knows no clock: time is an
//! argument.

mod apply;
mod assign;
mod command;
mod directory;
mod guard;
mod json;
mod names;
mod newcomer;
mod participant;
mod replica;
mod state;

#[cfg(test)]
mod tests;

pub use apply::Effect;
pub use assign::{Holding, assign};
pub use command::{Command, Directory, Entry, Join, Known, Record, Released, Snapshot};
pub use directory::DIRECTORY_EVERY;
pub use json::{DecodeError, decode, encode};
pub use names::{GroupKey, LOG_PARTITIONS, MemberId, Moment, NameError, Offset};
pub use newcomer::{Newcomer, Step};
pub use participant::{Config, Output, Participant};
pub use replica::{Read, Replica};
pub use state::{MAX_PARTITIONS, Member, Partition, State, VERSION};
