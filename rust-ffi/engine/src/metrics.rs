//! What a client has done so far, counted per batch, request or chunk, never per record.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, ErrorKind};
use crate::log::Origin;

/// Every [`ErrorKind`] is smaller.
pub const ERROR_KINDS: usize = 100;

/// Topics that are counted by themselves; what is done with others is counted as one.
const MOST_TOPICS: usize = 1_000;

/// The name under which the topics beyond [`MOST_TOPICS`] are counted. No topic has it.
const OTHERS: &str = "";

/// A snapshot of what a client has done, and of what is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Records acknowledged.
    pub records_produced: u64,
    /// Bytes of their keys and values.
    pub bytes_produced: u64,
    /// Records handed to readers, a chunk at a time.
    pub records_consumed: u64,
    /// Bytes of their keys and values.
    pub bytes_consumed: u64,
    /// Requests sent to SPUs.
    pub requests: u64,
    /// Batches sent again.
    pub retries: u64,
    /// Records sent again though an earlier sending may have reached the log: the log has at most so many twice.
    pub duplicates_possible: u64,
    /// Batches acknowledged after a later one of their partition, or in another partition than that of their
    /// submission.
    pub reordered: u64,
    /// Connections, to SPUs and to the SC, that took the place of one that was lost.
    pub reconnects: u64,
    /// Records accepted by producers and not settled.
    pub records_buffered: u64,
    /// What they take of the producers' buffers.
    pub bytes_buffered: u64,
    /// Produce requests that are not answered.
    pub requests_in_flight: u64,
    /// Records between where the consumers' readers are and the ends of the logs, as far as these were seen.
    pub lag: u64,
    /// Errors met, by [`ErrorKind`], whether they were repaired or reported: one for each connection, call, batch that
    /// has failed or must go again, and partition that is not read on.
    pub errors: [u64; ERROR_KINDS],
    /// How often what members of groups read has changed.
    pub rebalances: u64,
    /// Offsets that were not stored because their partitions were another member's by then.
    pub commits_fenced: u64,
    /// Commands sent to the logs of groups: each is a sign of life.
    pub signs: u64,
    /// Members of groups that were found silent and evicted.
    pub evictions: u64,
}

/// What a client has done in one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMetrics {
    /// The topic; empty: all those beyond the first thousand.
    pub topic: Arc<str>,
    /// Records acknowledged.
    pub records_produced: u64,
    /// Bytes of their keys and values.
    pub bytes_produced: u64,
    /// Records handed to readers, a chunk at a time.
    pub records_consumed: u64,
    /// Bytes of their keys and values.
    pub bytes_consumed: u64,
}

/// A number that only rises.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one topic.
#[derive(Debug, Default)]
pub(crate) struct TopicCounters {
    pub(crate) records_produced: Counter,
    pub(crate) bytes_produced: Counter,
    pub(crate) records_consumed: Counter,
    pub(crate) bytes_consumed: Counter,
}

/// The counters of one client.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Which client that is, for what is logged.
    pub(crate) origin: Origin,
    pub(crate) records_produced: Counter,
    pub(crate) bytes_produced: Counter,
    pub(crate) records_consumed: Counter,
    pub(crate) bytes_consumed: Counter,
    pub(crate) requests: Counter,
    pub(crate) retries: Counter,
    pub(crate) duplicates_possible: Counter,
    pub(crate) reordered: Counter,
    pub(crate) reconnects: Counter,
    pub(crate) rebalances: Counter,
    pub(crate) commits_fenced: Counter,
    pub(crate) signs: Counter,
    pub(crate) evictions: Counter,
    in_flight: AtomicU64,
    errors: [Counter; ERROR_KINDS],
    /// By name; none is taken out.
    topics: Mutex<BTreeMap<Arc<str>, Arc<TopicCounters>>>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            origin: Origin::default(),
            records_produced: Counter::default(),
            bytes_produced: Counter::default(),
            records_consumed: Counter::default(),
            bytes_consumed: Counter::default(),
            requests: Counter::default(),
            retries: Counter::default(),
            duplicates_possible: Counter::default(),
            reordered: Counter::default(),
            reconnects: Counter::default(),
            rebalances: Counter::default(),
            commits_fenced: Counter::default(),
            signs: Counter::default(),
            evictions: Counter::default(),
            in_flight: AtomicU64::new(0),
            errors: std::array::from_fn(|_| Counter::default()),
            topics: Mutex::default(),
        }
    }
}

impl Counters {
    /// Those of the client `origin`.
    pub(crate) fn new(origin: Origin) -> Self {
        Self { origin, ..Self::default() }
    }

    /// An error was met.
    pub(crate) fn note(&self, kind: ErrorKind) {
        if let Some(counter) = self.errors.get(kind as usize) {
            counter.add(1);
        }
    }

    /// Passes an error on, noted.
    pub(crate) fn noted(&self, error: Error) -> Error {
        self.note(error.kind);
        error
    }

    /// The counters of a topic, for a producer or consumer of it.
    pub(crate) fn topic(&self, name: &str) -> Arc<TopicCounters> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let name = match topics.contains_key(name) || topics.len() < MOST_TOPICS {
            true => name,
            false => OTHERS,
        };
        Arc::clone(topics.entry(Arc::from(name)).or_default())
    }

    /// What was counted by topic, in the order of their names.
    pub(crate) fn topics(&self) -> Vec<TopicMetrics> {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = topics.iter().map(|(topic, counters)| TopicMetrics {
            topic: Arc::clone(topic),
            records_produced: counters.records_produced.get(),
            bytes_produced: counters.bytes_produced.get(),
            records_consumed: counters.records_consumed.get(),
            bytes_consumed: counters.bytes_consumed.get(),
        });
        metrics.collect()
    }

    /// What was counted; what is under way with producers and consumers is the caller's to add.
    pub(crate) fn read(&self) -> Metrics {
        Metrics {
            records_produced: self.records_produced.get(),
            bytes_produced: self.bytes_produced.get(),
            records_consumed: self.records_consumed.get(),
            bytes_consumed: self.bytes_consumed.get(),
            requests: self.requests.get(),
            retries: self.retries.get(),
            duplicates_possible: self.duplicates_possible.get(),
            reordered: self.reordered.get(),
            reconnects: self.reconnects.get(),
            records_buffered: 0,
            bytes_buffered: 0,
            requests_in_flight: self.in_flight.load(Ordering::Relaxed),
            lag: 0,
            errors: std::array::from_fn(|kind| self.errors[kind].get()),
            rebalances: self.rebalances.get(),
            commits_fenced: self.commits_fenced.get(),
            signs: self.signs.get(),
            evictions: self.evictions.get(),
        }
    }
}

/// Counts as a request in flight until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Counters>);

impl InFlight {
    pub(crate) fn new(counters: &Arc<Counters>) -> Self {
        counters.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counters))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_beyond_the_most_are_counted_as_one() {
        let counters = Counters::default();
        for number in 0..MOST_TOPICS + 5 {
            counters.topic(&format!("t{number:04}")).records_produced.add(1);
        }
        counters.topic("t0000").bytes_consumed.add(7);
        let topics = counters.topics();
        assert_eq!(topics.len(), MOST_TOPICS + 1);
        assert_eq!((&*topics[0].topic, topics[0].records_produced), (OTHERS, 5));
        assert_eq!((&*topics[1].topic, topics[1].records_produced, topics[1].bytes_consumed), ("t0000", 1, 7));
    }
}
