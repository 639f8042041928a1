//! What goes back to the accumulator: when another SPU leads a partition, when time is over, and when the producer
//! ends.

use std::time::Duration;

use tokio::time::Instant;

use super::SpuSender;
use super::connection::Request;
use crate::log::log;
use crate::producer::Shared;
use crate::producer::accumulator::{Accumulator, Batch, Settled};

/// How long a server that does not lead a partition any more has to answer requests for it.
const FORMER_LEADER_PATIENCE: Duration = Duration::from_secs(1);

impl SpuSender {
    /// Another SPU leads the partition now. Its sender gets nothing of the partition while something is in flight to
    /// this SPU, so what can be taken back is, and the rest gets a short deadline.
    pub(super) fn hand_over(&self, shared: &Shared, partition: u32) {
        let (counters, topic, spu) = (shared.session.counters(), &*shared.topic, self.spu);
        log!(INFO, PRODUCER, counters, "a partition is taken over from its former leader", topic, partition, spu);
        let accumulator = &shared.accumulator;
        let mut work = self.lock();
        let Some(connection) = work.connection.any() else { return };
        connection.forget(partition);
        let latest = Instant::now() + FORMER_LEADER_PATIENCE;
        let has_it = |request: &Request| request.batches.iter().any(|batch| batch.partition == partition);
        if connection.in_flight.iter().any(has_it) {
            accumulator.put_back(connection.take_back());
            connection.in_flight.iter_mut().for_each(|request| request.deadline = request.deadline.min(latest));
        }
    }

    /// Puts back the batches of which no byte has left.
    pub(in crate::producer) fn take_back(&self, accumulator: &Accumulator) {
        if let Some(connection) = self.lock().connection.any() {
            accumulator.put_back(connection.take_back());
        }
    }

    /// Gives up batches whose delivery time-out has ended. Those of which no byte has left were not written.
    pub(super) fn expire(&self, shared: &Shared) -> Vec<Settled> {
        let now = Instant::now();
        let is_overdue = |batch: &Batch| batch.deadline <= now && !batch.given_up;
        let has_overdue = |request: &Request| request.deadline <= now && request.batches.iter().any(is_overdue);
        let mut in_flight = Vec::new();
        if let Some(connection) = self.lock().connection.any()
            && connection.in_flight.iter().any(has_overdue)
        {
            shared.accumulator.put_back(connection.take_back());
            let batches = connection.in_flight.iter_mut().flat_map(|request| &mut request.batches);
            for batch in batches.filter(|batch| is_overdue(batch)) {
                batch.given_up = true;
                in_flight.push((batch.ticket, batch.partition));
            }
        }
        shared.accumulator.expire(self, in_flight)
    }
}
