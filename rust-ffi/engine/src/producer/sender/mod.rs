//! The senders, one an SPU: each ships the batches of the partitions that its SPU leads, over a connection of its own.
//!
//! An [`SpuSender`] is shared by its task, by the callers' threads and by the supervisor. What they do together is in
//! [`Work`], under its lock, with the connection in one of these states:
//!
//! ```text
//!             task: connect             anyone: fail
//!   Idle ─────────────────> Connected ───────────────> Failed
//!    ^                        │   ^                      │
//!    │            a caller:   │   │ task:                │
//!    │            have_watched│   │ poll_frame           │
//!    │                        v   │                      │
//!    │                    watched by callers ──────────> │ task: lose
//!    └───────────────────────────────────────────────────┘
//! ```
//!
//! - *Idle*: the task dials as soon as something waits, unless [`Work::pause_until`] says to wait first.
//! - *Connected*: while nothing is in flight, a caller's thread sends by itself, which spares a record the way through
//!   another thread; otherwise the task sends. The task reads the replies.
//! - *Watched by callers*: when that has gone well for a while, the callers watch the connection where they wait for
//!   their records' fate anyway, and read the replies, too. The task takes the connection back as soon as it has
//!   anything to do.
//! - *Failed*: nothing more leaves on the connection; the task takes it apart when it runs next, and sends its
//!   batches again.
//!
//! Only the task makes a connection and takes it away. `pause_until` and `backoff` are set by the task and by the
//! thread that reads a reply, and the supervisor ends a pause when the SPU turns out to be reachable; `alarm` is set by
//! the task alone.
//!
//! **Order of locks:** a sender's work, then the accumulator's state, then that of the last error; nobody holds
//! the work of two senders. The sink is asked to watch a connection, and to stop that, with `work` locked; it hears of
//! settled tickets when no lock is held.
//!
//! - [`supervisor`]: follows the cluster metadata, and has a sender for each SPU that leads a partition
//! - [`task`]: the task of one sender
//! - [`direct`]: what callers' threads do themselves
//! - [`handover`], [`work`] and [`connection`]: what both share
//! - [`replies`] and [`answers`]: what becomes of a batch by the server's answer
//! - [`takeover`]: what goes back when another SPU leads, the time is over, or the producer ends

mod answers;
mod connection;
mod direct;
mod handover;
mod replies;
mod supervisor;
mod takeover;
mod task;
mod work;

// For the hand-over.
use std::sync;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Shared;
use crate::error::Error;
use crate::limit::Trouble;

#[cfg(any(test, fuzzing))]
pub(super) use answers::answers_of;
use handover::{Handover, Wake};
pub(super) use supervisor::supervise;
use work::Work;

/// Its layout is the same in all versions that we speak.
const REPLY_VERSION: i16 = super::PRODUCE_VERSION;

/// An SPU that has not answered for this long is avoided by records that can go elsewhere. One that has not even
/// accepted a new connection for this long gets no such record any more.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// What a sender's task shares with the callers' threads and the supervisor.
#[derive(Debug)]
pub(super) struct SpuSender {
    /// The SPU's id.
    pub(super) spu: i32,
    handover: Handover<Work, Notify>,
    /// What went wrong last, for the errors of records that could not be delivered in time.
    last_error: Trouble,
    /// Whether the SPU cannot be reached, as far as is known.
    unreachable: AtomicBool,
    /// Notified when it turns out that the SPU can be reached, while the task may still be dialling.
    found: Notify,
}

impl Wake for Notify {
    fn wake(&self) {
        self.notify_one();
    }
}

impl SpuSender {
    pub(super) fn new(spu: i32) -> Self {
        Self {
            spu,
            handover: Handover::default(),
            last_error: Trouble::default(),
            unreachable: AtomicBool::new(false),
            found: Notify::new(),
        }
    }

    /// Tells the task that there is something to do.
    pub(super) fn wake(&self) {
        self.handover.task.wake();
    }

    /// What went wrong since the SPU took records last, if anything.
    pub(super) fn last_error(&self) -> Option<Error> {
        self.last_error.last()
    }

    /// Whether the SPU can be reached, as far as is known.
    pub(super) fn is_reachable(&self) -> bool {
        !self.unreachable.load(Ordering::Relaxed)
    }

    fn set_reachable(&self, shared: &Shared, is_reachable: bool) {
        self.unreachable.store(!is_reachable, Ordering::Relaxed);
        shared.accumulator.rehome();
    }

    /// The SPU has answered on another connection: the task need not wait before it dials again, nor for its present
    /// attempt.
    fn set_found(&self, shared: &Shared) {
        if !self.is_reachable() {
            self.lock().pause_until = None;
            self.set_reachable(shared, true);
            self.found.notify_waiters();
        }
    }

    /// Keeps `error` until the SPU takes records again.
    fn note_error(&self, work: &mut Work, error: Error) {
        work.has_error = true;
        self.last_error.note(error);
    }

    /// Forgets the last error: the SPU takes records.
    fn clear_error(&self, work: &mut Work) {
        if std::mem::take(&mut work.has_error) {
            self.last_error.clear();
        }
    }

    /// Has the connection given up: nothing more is sent on it, and the task will take it apart.
    fn fail(&self, work: &mut Work, error: Error, reset: bool) {
        work.connection.fail(error, reset);
        self.wake();
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.handover.lock()
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn the_last_error_is_kept_until_the_spu_takes_records() {
        let sender = SpuSender::new(5001);
        let mut work = sender.lock();
        sender.clear_error(&mut work);
        assert!(sender.last_error().is_none());
        sender.note_error(&mut work, Error::internal("one"));
        sender.note_error(&mut work, Error::closed("another"));
        assert_eq!(sender.last_error().map(|error| error.kind), Some(ErrorKind::Closed));
        sender.clear_error(&mut work);
        assert!(sender.last_error().is_none());
    }

    /// It would end the next connection.
    #[test]
    fn a_failure_without_a_connection_is_forgotten() {
        let sender = SpuSender::new(5001);
        let mut work = sender.lock();
        sender.fail(&mut work, Error::internal("late"), true);
        assert!(work.connection.is_idle() && !work.connection.has_failed());
        assert!(work.connection.take_failed().is_none() && work.connection.take().is_none());
    }
}
