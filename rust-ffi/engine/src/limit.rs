//! Until when a call may take, how it waits out what passes (restarts, changes of leader, lost connections), and how
//! much a server may tell.
//!
//! Whatever may be repeated asks [`Attempts`], which alone decide whether another attempt is made, and when.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind, Outcome, Phase, Result};
use crate::log::log;
use crate::metrics::Counters;

/// What is held of what a server tells bit by bit, at most.
const MOST_HELD: usize = 256 << 20;

/// What went wrong last, for whoever has to say why something took too long. A cheap handle.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<Error>>>);

impl Trouble {
    fn lock(&self) -> MutexGuard<'_, Option<Error>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This went wrong.
    pub(crate) fn note(&self, error: Error) {
        *self.lock() = Some(error);
    }

    /// It is well again.
    pub(crate) fn clear(&self) {
        *self.lock() = None;
    }

    /// What went wrong last, if it is not well again.
    pub(crate) fn last(&self) -> Option<Error> {
        self.lock().clone()
    }
}

/// A deadline, and how long that was from the beginning; or none. And what goes wrong meanwhile. A cheap handle.
#[derive(Debug, Clone)]
pub(crate) struct Limit {
    until: Option<(Instant, Duration)>,
    trouble: Trouble,
    /// Whether an attempt was made. What went wrong before the first one is of no interest.
    begun: Arc<AtomicBool>,
}

impl Limit {
    /// From now on. `None`: without end.
    pub(crate) fn new(timeout: Option<Duration>) -> Self {
        // What lies beyond the clock's end is without end.
        let until = timeout.and_then(|timeout| Some((Instant::now().checked_add(timeout)?, timeout)));
        Self { until, trouble: Trouble::default(), begun: Arc::default() }
    }

    /// The same deadline for a wait on what others do, who note what goes wrong in `trouble`.
    pub(crate) fn with(&self, trouble: &Trouble) -> Self {
        Self { until: self.until, trouble: trouble.clone(), begun: Arc::default() }
    }

    /// Where those who try on behalf of this note what goes wrong.
    pub(crate) fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|(until, _)| until <= Instant::now())
    }

    /// What `work` comes to, or what `overdue` says once the time is over, with what went wrong last; it is told how
    /// long that was. Without any time left `work` is not begun.
    pub(crate) async fn hold<T>(
        &self,
        work: impl Future<Output = Result<T>>,
        overdue: impl FnOnce(Duration) -> Error,
    ) -> Result<T> {
        let Some((until, timeout)) = self.until else { return work.await };
        // A timer may ring a moment late: time enough to change something.
        let result = match self.is_over() {
            true => None,
            false => tokio::time::timeout_at(until, work).await.ok(),
        };
        match result {
            None => Err(overdue(timeout).after(self.trouble.last())),
            // There is no time for another attempt.
            Some(Err(error)) if error.retriable && error.kind != ErrorKind::Timeout && self.is_over() => {
                Err(overdue(timeout).after(Some(error)))
            }
            Some(result) => result,
        }
    }

    /// The attempts at something that may be repeated. Each of them must end by itself; what goes wrong on the way is
    /// counted.
    pub(crate) fn attempts<'a>(&'a self, counters: &'a Counters) -> Attempts<'a> {
        if !self.begun.swap(true, Ordering::Relaxed) {
            self.trouble.clear();
        }
        Attempts { limit: self, counters, backoff: Backoff::default(), perhaps: false, made: 0 }
    }
}

/// The attempts at something, until a deadline.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    limit: &'a Limit,
    counters: &'a Counters,
    backoff: Backoff,
    perhaps: bool,
    /// How many have failed.
    made: u32,
}

impl Attempts<'_> {
    /// Whether one of those that failed may have done all the same what it was to do.
    pub(crate) fn perhaps(&self) -> bool {
        self.perhaps
    }

    /// Waits until it is time for another attempt after `error`, each time longer. Gives it back if no other attempt
    /// can mend it, there is no time for one, or it is this machine that has no more of something.
    pub(crate) async fn after(&mut self, error: Error) -> Result<()> {
        // Whoever has a deadline may do something about what this machine lacks; nobody else need wait for it.
        let lacks = error.kind == ErrorKind::Resource && self.limit.until.is_some();
        if !error.retriable || lacks || self.limit.is_over() {
            return Err(match error.outcome {
                Outcome::NotWritten if self.perhaps => {
                    Error { outcome: Outcome::Unknown, ..error }.adding("; an earlier attempt may have done it")
                }
                _ => error,
            });
        }
        self.perhaps |= error.outcome == Outcome::Unknown;
        self.made += 1;
        self.tell(&error);
        self.limit.trouble.note(self.counters.noted(error));
        let next = Instant::now() + self.backoff.next();
        tokio::time::sleep_until(self.limit.until.map_or(next, |(until, _)| next.min(until))).await;
        Ok(())
    }

    /// Says that another attempt follows: the first time loudly.
    fn tell(&self, error: &Error) {
        if self.made == 1 {
            log!(WARN, ADMIN, self.counters, "an attempt has failed, and is repeated", reason = %error.reason());
        } else {
            log!(DEBUG, ADMIN, self.counters, "an attempt has failed again", made = self.made, reason = %error.reason());
        }
    }
}

/// The error when `what` took longer than `timeout`.
pub(crate) fn took_longer(phase: Phase, what: &str, timeout: Duration) -> Error {
    Error::timeout(phase, format!("{what} took longer than {} s", timeout.as_secs_f64()))
}

/// How much was told since it was last looked how much of it is held: a server can tell of new objects as long as it
/// likes.
#[derive(Debug, Default)]
pub(crate) struct Told(usize);

impl Told {
    /// `bytes` more were told to `what`. Looks, now and then, how many of all are `held`.
    pub(crate) fn more(&mut self, bytes: usize, what: &str, held: impl FnOnce() -> usize) -> Result<()> {
        self.0 += bytes;
        if self.0 < MOST_HELD / 4 {
            return Ok(());
        }
        self.0 = 0;
        if held() <= MOST_HELD {
            return Ok(());
        }
        let text = format!("{what}: the SC tells of more objects than fit into {} MiB", MOST_HELD >> 20);
        Err(Error::new(ErrorKind::Version, text))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_again_and_again_is_held_once() {
        let mut told = Told::default();
        let mut looked = 0;
        for _ in 0..1000 {
            told.more(1 << 20, "watching", || {
                looked += 1;
                1 << 20
            })
            .unwrap();
        }
        assert_eq!(looked, 1000 / (MOST_HELD >> 22));
        let mut held = 0;
        let end = (0..1000).find(|_| {
            held += 1 << 20;
            told.more(1 << 20, "watching", || held).is_err()
        });
        let most = MOST_HELD >> 20;
        assert!(end.is_some_and(|end| end <= most + most / 4));
    }
}
