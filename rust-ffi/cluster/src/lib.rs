//! An embedded Fluvio cluster: an SC and its SPUs in one process, on real TCP sockets and real segment files.
//!
//! It exists for tests, examples and development, and behaves as the real servers do where a client can see it,
//! unpleasant habits included: stream replies are cut at exactly `max_bytes`, in mid-batch; an empty partition is
//! silent; every reply of a stream waits for an acknowledgement. It is built on the official protocol crates alone and
//! shares no code with our client, so that the two cannot agree on a mistake.
//!
//! Acknowledged records are in the page cache: they survive the death of the process, not a power cut.

/// Says on the standard error what nobody else is told. Whether anybody hears it does not matter: the disk that it goes
/// to may be full.
macro_rules! complain {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "fluvio-cffi-cluster: {}", format_args!($($text)*));
    }};
}

mod cluster;
mod config;
mod control;
mod faults;
mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod listener;
mod log;
mod net;
mod sc;
mod smartmodules;
mod socket;
mod spu;
mod temporary;
mod tls;

pub use cluster::Cluster;
pub use config::{Config, DEFAULT_SMARTMODULE_FUEL, DEFAULT_SMARTMODULE_MEMORY, DEFAULT_TOPIC_WAIT, StartError, Tls};
pub use control::{Command, ControlError};
pub use faults::RequestKind;
pub use files::raise_limit;
pub use smartmodules::Habit;
