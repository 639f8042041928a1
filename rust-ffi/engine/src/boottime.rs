//! The clock of leases. It counts the time for which the machine was suspended, as the lease of a laptop that slept is
//! over.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
// Elsewhere this one counts it.
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

/// What the clock shows. Two machines need not agree.
pub fn boottime() -> Duration {
    // Where the clock is missing nothing is ever leased.
    clock_gettime(CLOCK).map_or(Duration::ZERO, Duration::from)
}

/// The same in nanoseconds, as the slots have it.
pub(crate) fn nanoseconds(moment: Duration) -> i64 {
    i64::try_from(moment.as_nanos()).unwrap_or(i64::MAX)
}
