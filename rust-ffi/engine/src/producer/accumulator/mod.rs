//! The accumulator: the records that a producer has accepted, from their submission until their owner was notified of
//! their fate.
//!
//! ```text
//!   submit ──> open batch ──(full, or due)──> waiting batches ──take──> in flight ──settle──> notifying ──notified──>
//!   (room)     one a partition                one queue a partition <──put back──┘  (room is free again)
//! ```
//!
//! - [`records`]: what is submitted, checked and read record by record
//! - [`batch`]: a batch in its states
//! - [`partition`]: the queue of one partition, and how its leader is
//! - [`room`]: the buffer's room, and the waiters for it
//! - [`tickets`]: what is known of each batch until its owner was notified
//! - [`senders`]: who is woken when there is something to do
//! - [`state`] and [`placement`]: all of these together
//!
//! All of that gets the time as an argument and takes no lock. Only [`Accumulator`], here and in [`sending`], locks,
//! reads the clock and counts. It never waits while it holds the lock, and does neither compression nor I/O
//! meanwhile.

mod batch;
mod partition;
mod placement;
mod records;
mod room;
mod senders;
mod sending;
mod state;
mod tickets;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fluvio_cffi_wire::Codec;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::sender::SpuSender;
use super::{ProducerOptions, Records, Run, Submission, dropped};
use crate::error::{Error, Outcome, Result};
use crate::metrics::{Counters, TopicCounters};

pub(crate) use batch::{Batch, Past, Settled};
pub(crate) use senders::Wake;
use state::{Fates, State};

/// The options of a producer that say how its batches are made.
#[derive(Debug, Clone, Copy)]
struct Limits {
    batch_size: usize,
    max_request_size: usize,
    buffer_size: u64,
    linger: Duration,
    delivery_timeout: Duration,
    /// Whether a request has one batch.
    one_batch: bool,
    /// Whether the server drops what it has already.
    deduplicates: bool,
}

impl Limits {
    fn new(options: &ProducerOptions, deduplicates: bool) -> Self {
        Self {
            // A request holds at least one batch.
            batch_size: options.batch_size.min(options.max_request_size),
            max_request_size: options.max_request_size,
            buffer_size: options.buffer_size as u64,
            linger: options.linger,
            delivery_timeout: options.delivery_timeout,
            one_batch: !options.smartmodules.is_empty(),
            deduplicates,
        }
    }
}

/// The records of one producer that are accepted and not settled, on any thread. Each method takes the lock once, and
/// briefly; those that give up batches take it once more to settle them.
pub(crate) struct Accumulator {
    topic: String,
    codec: Codec,
    limits: Limits,
    counters: Arc<Counters>,
    topic_counters: Arc<TopicCounters>,
    state: Mutex<State>,
    /// Notified when the owner was notified of some ticket's fate.
    settled: Notify,
}

impl Accumulator {
    pub(crate) fn new(
        topic: &str,
        partitions: u32,
        codec: Codec,
        options: &ProducerOptions,
        deduplicates: bool,
        counters: Arc<Counters>,
    ) -> Self {
        let limits = Limits::new(options, deduplicates);
        let state = Mutex::new(State::new(partitions, limits));
        let topic_counters = counters.topic(topic);
        let settled = Notify::new();
        Self { topic: topic.to_owned(), codec, limits, counters, topic_counters, state, settled }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // After a panic under the lock the tickets are given up, which needs the state that the panic left.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn partition_count(&self) -> u32 {
        self.lock().partitions.len() as u32
    }

    /// How many bytes the buffer takes now.
    pub(crate) fn room(&self) -> u64 {
        self.lock().room.free()
    }

    /// The number of unsettled records, and what they take of the buffer.
    pub(crate) fn pending(&self) -> (u64, u64) {
        let state = self.lock();
        (state.tickets.records(), state.room.used())
    }

    /// Encodes as many records as the room and `runs` allow into the open batches, in order. Never waits. The caller
    /// must wake the senders that are returned.
    ///
    /// Checks all lengths and partitions first: an error accepts nothing.
    pub(crate) fn submit(&self, records: &Records<'_>, runs: &mut [Run]) -> Result<(Submission, Wake)> {
        records::check(records, self.limits.max_request_size, &self.topic)?;
        let now = Instant::now();
        let timestamp = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis().min(i64::MAX as u128) as i64);
        let mut state = self.lock();
        state.usable()?;
        let count = state.partitions.len() as u32;
        if let Some(partitions) = records.partitions
            && let Some(wrong) = partitions.iter().find(|partition| **partition >= count as i32)
        {
            return Err(Error::partition_not_found(&self.topic, i64::from(*wrong), count));
        }
        Ok(state.submit(records, runs, now, timestamp))
    }

    /// Waits until `bytes` are free, behind those who wait already; gives the room. Dropping the future gives up the
    /// place.
    pub(crate) async fn wait_room(&self, bytes: u64) -> Result<u64> {
        if bytes > self.limits.buffer_size {
            let size = self.limits.buffer_size;
            return Err(Error::invalid(format!("bytes is {bytes}: it must be at most buffer_size, {size}")));
        }
        let turn = {
            let mut state = self.lock();
            state.usable()?;
            match state.room.wait_for(bytes) {
                None => return Ok(state.room.free()),
                Some(turn) => turn,
            }
        };
        let granted = turn.await;
        let mut state = self.lock();
        state.usable()?;
        if granted.is_err() {
            return Err(Error::closed("producer"));
        }
        // The next waiter may have stood behind one that has left, for which there was no room.
        state.room.grant();
        Ok(state.room.free())
    }

    /// Waits until every ticket that exists now is settled, and its owner was notified.
    pub(crate) async fn flush(&self) {
        let mark = {
            let mut state = self.lock();
            let Some(mark) = state.tickets.newest() else { return };
            state.flush_up_to = state.flush_up_to.max(mark);
            mark
        };
        self.wake_senders();
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if self.lock().tickets.oldest().is_none_or(|ticket| ticket > mark) {
                return;
            }
            settled.await;
        }
    }

    /// The owner was notified of these tickets' fates.
    pub(crate) fn notified(&self, tickets: impl IntoIterator<Item = u64>) {
        self.lock().tickets.notified(tickets);
        self.settled.notify_waiters();
    }

    /// Takes no more records.
    pub(crate) fn close(&self) -> bool {
        !std::mem::replace(&mut self.lock().closed, true)
    }

    /// Takes no more records, and gives none to the senders, which end. Gives the senders that may have some.
    pub(crate) fn stop(&self) -> Vec<Arc<SpuSender>> {
        let mut state = self.lock();
        state.closed = true;
        state.abandoned = true;
        if state.tickets.is_empty() { Vec::new() } else { state.senders.all() }
    }

    /// Gives up everything that is not settled, after [`Self::stop`].
    pub(crate) fn abandon(&self) -> Vec<Settled> {
        let settled = self.lock().settle_all(|partition, sent| dropped(&self.topic, partition, sent));
        self.wake_senders();
        settled
    }

    /// The last resort has panicked with `error`: gives up everything, for ever.
    pub(crate) fn fail(&self, error: Error) -> Vec<Settled> {
        let settled = {
            let mut state = self.lock();
            state.abandoned = true;
            state.failed = Some(error.clone());
            state.settle_all(|partition, sent| self.given_up(&error, partition, sent))
        };
        self.wake_senders();
        settled
    }

    /// Gives up everything that is not settled now, with `error` and its outcome; what comes later is taken.
    pub(crate) fn give_up(&self, error: &Error) -> Vec<Settled> {
        self.lock().settle_all(|partition, _| error.clone().with_partition(partition).with_topic(&self.topic))
    }

    /// `error` for a batch of which bytes may have reached the log if it was `sent`.
    fn given_up(&self, error: &Error, partition: u32, sent: bool) -> Error {
        let outcome = if sent { Outcome::Unknown } else { Outcome::NotWritten };
        error.clone().with_topic(&self.topic).with_partition(partition).with_outcome(outcome)
    }

    /// Settles tickets of which a server has told the fate. Passes over those that are settled already.
    pub(crate) fn answered(&self, results: Vec<(u64, Result<i64>)>) -> Vec<Settled> {
        self.settle_at(Some(Instant::now()), results)
    }

    /// Settles tickets of which no server has told the fate. Passes over those that are settled already.
    pub(crate) fn settle(&self, results: impl IntoIterator<Item = (u64, Result<i64>)>) -> Vec<Settled> {
        self.settle_at(None, results)
    }

    /// `answered`: when a server has told.
    fn settle_at(
        &self,
        answered: Option<Instant>,
        results: impl IntoIterator<Item = (u64, Result<i64>)>,
    ) -> Vec<Settled> {
        let mut state = self.lock();
        let Fates { settled, records, bytes, reordered } = state.settle(results, answered);
        // Under the lock: no record counts neither as pending nor as produced.
        if records > 0 {
            self.counters.records_produced.add(records);
            self.counters.bytes_produced.add(bytes);
            self.topic_counters.records_produced.add(records);
            self.topic_counters.bytes_produced.add(bytes);
        }
        if reordered > 0 {
            self.counters.reordered.add(reordered);
        }
        settled
    }

    /// Wakes all senders and the supervisor.
    pub(crate) fn wake_senders(&self) {
        self.lock().senders.wake_all();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
