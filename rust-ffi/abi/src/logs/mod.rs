//! What the library says of what it does, for whoever listens: events of the engine become entries in a bounded ring
//! of each listener, which a host takes when the ring's descriptor is readable. Nothing here ever waits for a host.
//!
//! - [`entry`]: an event as it is told
//! - [`subscriber`]: takes the engine's events, and has them made only if somebody wants them
//! - [`listener`]: the ring, and what of all its host wants to hear
//! - [`exports`]: the C functions

mod entry;
mod exports;
mod listener;
mod subscriber;

pub use exports::*;
