//! A sender's work, under its lock: the connection in its states, and when to send next.

use std::time::Duration;

use tokio::time::Instant;

use super::connection::ProduceConnection;
use crate::backoff::Backoff;
use crate::error::{Error, Result};
use crate::producer::Shared;
use crate::producer::accumulator::Settled;

/// An SPU that was heard of within this time is taken to be there still.
const FRESH: Duration = Duration::from_micros(100);

/// A sender's connection; see the drawing in [`super`].
#[derive(Debug, Default)]
pub(super) enum ConnectionState {
    /// There is none. The task may be dialling.
    #[default]
    Idle,
    /// Requests can be sent.
    Connected(ProduceConnection),
    /// The connection is given up; the task has still to take it apart. Replies that have arrived before count.
    Failed(ProduceConnection, Failure),
}

/// Why a connection is given up, and whether with a reset.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) reset: bool,
}

impl ConnectionState {
    /// The connection on which requests can be sent.
    pub(super) fn connected(&mut self) -> Option<&mut ProduceConnection> {
        match self {
            Self::Connected(connection) => Some(connection),
            Self::Idle | Self::Failed(..) => None,
        }
    }

    /// The connection, also one that has failed.
    pub(super) fn any(&mut self) -> Option<&mut ProduceConnection> {
        match self {
            Self::Connected(connection) | Self::Failed(connection, _) => Some(connection),
            Self::Idle => None,
        }
    }

    /// Sets a new connection; there must be none.
    pub(super) fn set(&mut self, connection: ProduceConnection) {
        *self = Self::Connected(connection);
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self, Self::Failed(..))
    }

    /// The connection is to be given up: from now on nothing is sent on it. The first failure counts.
    pub(super) fn fail(&mut self, error: Error, reset: bool) {
        *self = match std::mem::take(self) {
            Self::Connected(mut connection) => {
                connection.io.stop_watching();
                Self::Failed(connection, Failure { error, reset })
            }
            other => other,
        };
    }

    /// Fails a connection on which nothing is in flight, if the other side has ended it: whether it did.
    pub(super) fn find_end(&mut self) -> bool {
        let Self::Connected(connection) = self else { return false };
        if !connection.in_flight.is_empty() {
            return false;
        }
        let ended = connection.io.check().map_err(|error| self.fail(error, true));
        ended.is_err()
    }

    /// Takes the connection away, also one that has failed.
    pub(super) fn take(&mut self) -> Option<ProduceConnection> {
        match std::mem::take(self) {
            Self::Connected(connection) | Self::Failed(connection, _) => Some(connection),
            Self::Idle => None,
        }
    }

    /// Takes the connection away if it has failed.
    pub(super) fn take_failed(&mut self) -> Option<(ProduceConnection, Failure)> {
        // The task asks each time: a connection that goes on is not moved for that.
        if !self.has_failed() {
            return None;
        }
        match std::mem::take(self) {
            Self::Failed(connection, failure) => Some((connection, failure)),
            Self::Idle | Self::Connected(_) => None,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) connection: ConnectionState,
    /// Nothing is sent before.
    pub(super) pause_until: Option<Instant>,
    pub(super) backoff: Backoff,
    /// When the task looks up by itself, whether or not it is woken.
    pub(super) alarm: Option<Instant>,
    /// Whether something went wrong since the SPU took records last.
    pub(super) has_error: bool,
}

impl Work {
    /// Nothing is sent for a while, each time longer until the SPU takes records.
    pub(super) fn pause(&mut self) {
        self.pause_until = Some(Instant::now() + self.backoff.next());
    }

    /// Sends what is ready, as far as `max_in_flight` and the kernel allow; gives whether the kernel took all. Adds
    /// batches that have failed before to `failed`.
    pub(super) fn fill(&mut self, shared: &Shared, spu: i32, failed: &mut Vec<Settled>) -> Result<bool> {
        let connection = match &mut self.connection {
            ConnectionState::Connected(connection) => connection,
            ConnectionState::Idle => return Ok(true),
            ConnectionState::Failed(..) => return Ok(false),
        };
        let was_idle = connection.in_flight.is_empty();
        if self.pause_until.is_none() {
            while connection.has_window(shared.options.max_in_flight) {
                let mut batches = Vec::new();
                failed.extend(shared.accumulator.take(spu, &mut batches));
                if batches.is_empty() {
                    break;
                }
                connection.queue(shared, batches);
            }
        }
        let is_fresh = |heard: Instant| heard.elapsed() <= FRESH;
        // The kernel takes bytes also for a server that has closed the connection, and then nobody knows what became
        // of them.
        if was_idle && !connection.in_flight.is_empty() && !connection.heard.is_some_and(is_fresh) {
            connection.io.check()?;
        }
        match connection.io.try_flush() {
            // Replies may have arrived before: the task or a caller reads them first, and then meets the error.
            Err(_) if !was_idle => Ok(false),
            flushed => flushed,
        }
    }
}
