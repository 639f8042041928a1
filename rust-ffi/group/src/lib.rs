//! Consumer groups on nothing but a topic.
//!
//! A partition of a topic is a total order that everybody sees alike. The members of a group append *commands* to one,
//! and all of them apply the same commands in the same order to the same deterministic state machine: so they agree on
//! who is in, who owns what and which commits hold, without a coordinator and without clocks that agree. Conditions
//! take the place of compare-and-set: a command says what it supposes, and whether that holds is decided at its place
//! in the log. `docs/group-log.md` has the format, for other languages.
//!
//! This crate does no I/O and knows no clock: time is an argument. It has three parts:
//!
//! * [`Command`], [`State`] and [`State::apply`], with [`assign`] and the encoding: what all readers of the log share.
//! * [`Newcomer`], which leads one who knows nothing to a [`Replica`] of the state, by way of a [`Directory`].
//! * [`Participant`]: one member. It decides when to join, to sign, to evict, to give up, and until when records may be
//!   handed out.
//!
//! # How a host drives a participant
//!
//! One task per consumer owns the [`Participant`]; several consumers of one client share the connections to the log.
//! For each partition of the log that is in use there is one reader, which decodes every record once
//! ([`Record::decode`]), keeps a [`Directory`] up to date, and hands [`Record`]s to the participants by their key, in
//! order; and one producer.
//!
//! * It reads back to a directory for a [`Newcomer`], by bounded reads of the log ([`Step::Read`]). From then on it
//!   keeps that directory up to date ([`Newcomer::directory`], [`Directory::fold`]), and appends it after
//!   [`DIRECTORY_EVERY`] records without one.
//! * It says whether there are connections for reading and for sending, with nothing left unsent
//!   ([`Participant::link`]). [`Output::Renew`]: it closes both, says so, and makes new ones.
//! * A new connection begins with the last record that was read, and compares place and [`Record::digest_of`]. Where
//!   there is another record, or none, the log is not the one that it was: all is lost, and a new [`Participant`]
//!   begins, as after [`Output::Diverged`].
//! * It hands over each record of the key behind [`Replica::last`] ([`Participant::record`]), and the time when that is
//!   asked for ([`Participant::next_tick`], [`Participant::tick`]). [`Output::Append`]: it sends now, or says that the
//!   link is down.
//! * [`Output::Draw`]: it draws an id ([`Participant::join`]). [`Output::Joined`]: it has one.
//! * [`Output::Resolve`]: it finds what the cluster stores under the group's name, or else where `start` is
//!   ([`Participant::resolved`]).
//! * [`Output::Assign`]: it reads the partition. [`Output::Lost`]: it does not any more.
//! * [`Output::Revoke`]: it hands out nothing more, throws away what was read ahead, and waits until the reader has
//!   come back and `on_revoked` has run ([`Participant::released`]). [`Output::Keep`] takes that back: a host that has
//!   thrown away too much already goes on after what is committed.
//! * It says when records were handed out and when the reader came back ([`Participant::took`],
//!   [`Participant::returned`]). A reader at work counts from the last sign of it: `took` may be called again.
//! * [`Participant::commit`] is answered by [`Output::Committed`], with what was fenced.
//! * [`Output::Mirror`]: it stores an offset in the cluster's own store, under the group's name.
//! * It says how many partitions the topic has when that changes ([`Participant::grown`]).
//! * [`Output::Suspended`] and [`Output::Resumed`] say that the lease is over and that it runs again; reads wait, and
//!   what was read ahead stays. [`Output::Evicted`]: it joins again by itself. [`Output::Left`]: after
//!   [`Participant::leave`] the end; else it joins again when the reader comes back. [`Output::Fenced`] and
//!   [`Output::Newer`] are the end.
//!
//! After each call it does what the outputs say before it calls again, and stores [`Participant::lease_end`] where the
//! reading thread compares it with the clock. Time is read *before* a call, from a clock that counts suspended time:
//! what the call sends counts from then. Nothing is resent beside the participant, and a producer's acknowledgement is
//! not waited for: what counts is what is read back.
//!
//! # What stands behind it
//!
//! The tests search all orders of events for small groups, simulate larger ones in real time, and take away each rule
//! of the protocol to show what goes wrong without it. `FLUVIO_CFFI_LONG=1` makes them do so for an hour.

mod apply;
mod assign;
mod command;
mod directory;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod guard;
mod json;
mod names;
mod newcomer;
mod participant;
mod replica;
mod roll;
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
