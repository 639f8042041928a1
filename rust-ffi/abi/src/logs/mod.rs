//! What the library says of what it does, for whoever listens: events of the engine become entries in a bounded ring
//! of each listener, which a host takes when the ring's descriptor is readable. Nothing here ever waits for a host.
//!
//! - [`entry`]: an event as it is told
//! - [`subscriber`]: takes the engine's events, and has them made only if somebody wants them
//! - [`listener`]: what of all its host wants to hear, and what was taken last
//! - [`ring`]: what waits to be taken
//! - [`exports`]: the C functions

mod entry;
mod exports;
mod listener;
mod ring;
mod subscriber;

// For the ring.
use std::sync;

use crate::queue::Wakeup;

pub use exports::*;
