//! Until when a call may take.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Result};

/// A deadline, and how long that was from the beginning; or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(Option<(Instant, Duration)>);

impl Limit {
    /// From now on. `None`: without end.
    pub(crate) fn new(timeout: Option<Duration>) -> Self {
        // What lies beyond the clock's end is without end.
        Self(timeout.and_then(|timeout| Some((Instant::now().checked_add(timeout)?, timeout))))
    }

    /// What `work` comes to, or what `overdue` says once the time is over; it is told how long that was. Without any time
    /// left `work` is not begun.
    pub(crate) async fn hold<T>(
        self,
        work: impl Future<Output = Result<T>>,
        overdue: impl FnOnce(Duration) -> Error,
    ) -> Result<T> {
        match self.0 {
            None => work.await,
            // A timer may ring a moment late: time enough to change something.
            Some((until, timeout)) if until <= Instant::now() => Err(overdue(timeout)),
            Some((until, timeout)) => {
                tokio::time::timeout_at(until, work).await.unwrap_or_else(|_| Err(overdue(timeout)))
            }
        }
    }
}
