//! A connection for produce requests, and the requests in flight on it.

use std::collections::{HashSet, VecDeque};

use fluvio_cffi_wire::{ProduceEntry, ProduceHead, produce_request};
use tokio::time::Instant;

use crate::metrics::InFlight;
use crate::options::Isolation;
use crate::producer::Shared;
use crate::producer::accumulator::Batch;
use crate::transport::Connection;

/// A request in flight.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) correlation: i32,
    /// Where the request's bytes begin among those of the connection.
    pub(super) begins: u64,
    pub(super) batches: Vec<Batch>,
    pub(super) deadline: Instant,
    /// In which version of the protocol it is.
    pub(super) version: i16,
    /// Counts the request in the metrics until it is dropped.
    pub(super) counted: InFlight,
}

/// A living connection, and what is under way on it.
#[derive(Debug)]
pub(super) struct ProduceConnection {
    pub(super) io: Connection,
    /// In the order of sending, in which the server answers.
    pub(super) in_flight: VecDeque<Request>,
    /// The partitions of which something was sent that the server has not refused since.
    known: HashSet<u32>,
    /// The request with the first batch for some partition. No other one is sent until it is answered: the server may
    /// refuse it, and then nothing later may be written before it.
    first: Option<i32>,
    /// The number of requests in a row that callers' threads sent while nothing else was in flight.
    pub(super) solo_run: u32,
    /// When the server has answered last, if it has.
    pub(super) heard: Option<Instant>,
}

impl ProduceConnection {
    pub(super) fn new(io: Connection) -> Self {
        let (in_flight, known) = Default::default();
        Self { io, in_flight, known, first: None, solo_run: 0, heard: None }
    }

    /// Whether another request can be sent.
    pub(super) fn has_window(&self, max_in_flight: usize) -> bool {
        self.first.is_none() && self.in_flight.len() < max_in_flight
    }

    /// Queues a request with these batches. It leaves when the connection is flushed.
    pub(super) fn queue(&mut self, shared: &Shared, batches: Vec<Batch>) {
        let timeout = shared.request_timeout();
        let correlation = self.io.next_correlation();
        let entries: Vec<ProduceEntry> = batches
            .iter()
            .map(|batch| ProduceEntry { partition: batch.partition, batch: batch.bytes.clone() })
            .collect();
        let committed = shared.options.isolation == Isolation::ReadCommitted;
        let millis = timeout.as_millis().min(i32::MAX as u128) as i32;
        let (version, smartmodules) = shared.modules.for_request();
        let client_id = self.io.client_id();
        let head =
            ProduceHead { version, client_id, topic: &shared.topic, committed, timeout_ms: millis, smartmodules };
        let segments = produce_request(correlation, &head, &entries);
        let begins = self.io.queue(segments);
        let latest = Instant::now() + timeout;
        let deadline = batches.iter().map(|batch| batch.deadline).min().map_or(latest, |first| first.min(latest));
        for batch in &batches {
            if self.known.insert(batch.partition) {
                self.first = Some(correlation);
            }
        }
        let counted = InFlight::new(shared.session.counters());
        self.in_flight.push_back(Request { correlation, begins, batches, deadline, version, counted });
    }

    /// A request is answered, or was never sent: it holds back others no longer.
    pub(super) fn done(&mut self, correlation: i32) {
        self.first = self.first.filter(|first| *first != correlation);
    }

    /// The next batch for this partition is its first one again.
    pub(super) fn forget(&mut self, partition: u32) {
        self.known.remove(&partition);
    }

    /// Takes back the requests of which no byte has left, the newest ones; gives their batches, in order.
    pub(super) fn take_back(&mut self) -> impl Iterator<Item = Batch> + use<> {
        let sent = self.in_flight.partition_point(|request| !self.io.can_take_back(request.begins));
        let unsent = self.in_flight.split_off(sent);
        if let Some(first) = unsent.front() {
            self.io.take_back(first.begins);
        }
        for request in &unsent {
            self.done(request.correlation);
            request.batches.iter().for_each(|batch| self.forget(batch.partition));
        }
        unsent.into_iter().flat_map(|request| request.batches)
    }

    /// The deadline of the oldest request, at which the connection is given up; or an earlier one of another request,
    /// at which a batch is, if that comes after `looked`.
    pub(super) fn next_deadline(&self, looked: Instant) -> Option<Instant> {
        let mut deadlines = self.in_flight.iter().map(|request| request.deadline);
        let first = deadlines.next();
        deadlines.filter(|deadline| *deadline > looked).chain(first).min()
    }
}
