//! The proof: properties of the pure parts, a search through all orders of events, a simulation in real time, and for
//! each rule the counterexample that appears when it is taken away.

#![allow(clippy::unwrap_used, clippy::panic)]

mod assignment;
mod guards;
mod json;
mod page;
mod replay;
mod scenarios;
mod search;
mod simulation;
mod stories;

/// `FLUVIO_CFFI_LONG=1` (`make test-long`): much more of everything.
pub(crate) fn is_long() -> bool {
    std::env::var_os("FLUVIO_CFFI_LONG").is_some()
}
