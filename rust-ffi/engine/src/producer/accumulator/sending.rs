//! What the senders and their supervisor ask of the accumulator.

use std::sync::Arc;

use bytes::Bytes;
use fluvio_cffi_wire::{BatchBuilder, Codec};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::batch::WaitingBatch;
use super::{Accumulator, Batch, Past, Settled};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::producer::overdue;
use crate::producer::sender::SpuSender;

// The batches.
impl Accumulator {
    /// Takes batches for one request to `spu` into `out`, as [`State::take`](super::state::State) says. Gives the
    /// fate of batches that could not be compressed.
    pub(crate) fn take(&self, spu: i32, out: &mut Vec<Batch>) -> Vec<Settled> {
        let now = Instant::now();
        let taken = self.lock().take(spu, now);
        if taken.batches.is_empty() {
            return Vec::new();
        }
        if taken.retries > 0 {
            self.counters.retries.add(taken.retries);
            self.counters.duplicates_possible.add(taken.duplicates_possible);
        }
        // Compression and checksum are computed without the lock.
        let mut failed = Vec::new();
        for (partition, batch) in taken.batches {
            match batch {
                WaitingBatch::Again(batch) => out.push(batch),
                WaitingBatch::Closed { ticket, builder, deadline, any_partition } => match self.finish(builder) {
                    Ok(bytes) => {
                        let (past, given_up) = (Past::Unsent, false);
                        out.push(Batch { ticket, partition, bytes, deadline, past, any_partition, given_up });
                    }
                    Err(error) => failed.push((ticket, Err(error.with_partition(partition)))),
                },
            }
        }
        if failed.is_empty() { Vec::new() } else { self.settle(failed) }
    }

    fn finish(&self, builder: BatchBuilder) -> Result<Bytes> {
        builder.finish(self.codec).map_err(|cause| {
            let text = format!("a batch for topic \"{}\" cannot be compressed: {cause}", self.topic);
            Error::new(ErrorKind::Compression, text).with_topic(&self.topic).with_outcome(Outcome::NotWritten)
        })
    }

    /// Whether finishing a batch takes little time, so that a caller's thread may do it.
    pub(crate) fn is_uncompressed(&self) -> bool {
        self.codec == Codec::None
    }

    /// Puts batches that were not acknowledged back where they came from, to be sent again before anything else.
    pub(crate) fn put_back(&self, batches: impl IntoIterator<Item = Batch>) {
        let mut batches = batches.into_iter().peekable();
        if batches.peek().is_some() {
            self.lock().put_back(batches, Instant::now());
        }
    }

    /// Gives up batches whose delivery time-out has ended: those that wait for `sender`, or that nobody can send, and
    /// those of `in_flight` (tickets and their partitions), of which the SPU has seen something.
    pub(crate) fn expire(&self, sender: &SpuSender, in_flight: Vec<(u64, u32)>) -> Vec<Settled> {
        let now = Instant::now();
        let error = |partition: u32, sent: bool, sender: Option<&SpuSender>| {
            let last_error = sender.and_then(SpuSender::last_error);
            overdue(&self.topic, partition, self.limits.delivery_timeout, sent, last_error)
        };
        let mut results = Vec::new();
        for (ticket, partition) in in_flight {
            results.push((ticket, Err(error(partition, true, Some(sender)))));
        }
        self.lock().take_overdue(sender.spu, now, |ticket, partition, sent, sender| {
            results.push((ticket, Err(error(partition, sent, sender))));
        });
        if results.is_empty() { Vec::new() } else { self.settle(results) }
    }

    /// Whether something waits for `spu` in a partition in which it cannot store anything.
    pub(crate) fn has_broken(&self, spu: i32) -> bool {
        self.lock().all_led_by(spu).any(|partition| partition.broken.is_some() && partition.has_waiting())
    }

    /// Gives up what waits for `spu` in partitions in which it cannot store anything.
    pub(crate) fn fail_broken(&self, spu: i32) -> Vec<Settled> {
        let mut results = Vec::new();
        self.lock().take_broken(spu, |ticket, error| results.push((ticket, Err(error))));
        if results.is_empty() { Vec::new() } else { self.settle(results) }
    }

    /// The sender to `spu` has panicked with `error`: gives up what it has or would have sent; what comes later is
    /// taken.
    pub(crate) fn give_up_on(&self, spu: i32, error: &Error) -> Vec<Settled> {
        let mut results = Vec::new();
        self.lock().forget_all_of(spu, |ticket, partition, sent| {
            results.push((ticket, Err(self.given_up(error, partition, sent))));
        });
        self.settle(results)
    }

    /// Whether the senders shall end.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    /// Whether anything waits to be sent to `spu`; `None`: whether anything waits that nobody can send.
    pub(crate) fn has_work(&self, spu: Option<i32>) -> bool {
        self.lock().waiting(spu).next().is_some()
    }

    /// When the first linger of an open batch ends, of those that end after `looked`.
    pub(crate) fn next_linger(&self, looked: Instant) -> Option<Instant> {
        if self.limits.linger.is_zero() { None } else { self.lock().next_linger(looked) }
    }

    /// The deadline of the oldest batch that waits for `spu`, or that nobody can send.
    pub(crate) fn next_deadline(&self, spu: i32) -> Option<Instant> {
        let state = self.lock();
        let waiting = state.waiting(Some(spu)).chain(state.waiting(None));
        waiting.filter_map(|partition| partition.next_deadline()).min()
    }
}

// The senders.
impl Accumulator {
    /// Wakes the supervisor when it is notified.
    pub(crate) fn supervisor_wakeup(&self) -> Arc<Notify> {
        self.lock().senders.supervisor_wakeup()
    }

    pub(crate) fn add_sender(&self, sender: &Arc<SpuSender>) {
        self.lock().senders.add(sender);
    }

    pub(crate) fn senders(&self) -> Vec<Arc<SpuSender>> {
        self.lock().senders.all()
    }

    /// What went wrong last with one of the SPUs, since that took records.
    pub(crate) fn last_error(&self) -> Option<Error> {
        self.senders().iter().find_map(|sender| sender.last_error())
    }

    /// Sets which partitions are online, who sends to their leaders, and how many there are: the topic may have
    /// grown. Gives the partitions that have another leader now, with the senders to the former ones; the caller must
    /// have these hand over, and then wake all senders.
    #[must_use]
    pub(crate) fn set_partitions(
        &self,
        online: Vec<bool>,
        leaders: Vec<Option<Arc<SpuSender>>>,
    ) -> Vec<(Arc<SpuSender>, u32)> {
        self.lock().set_partitions(online, leaders, Instant::now())
    }

    /// Moves batches that may go to any partition to where they can be written, when that has changed.
    pub(crate) fn rehome(&self) {
        let mut state = self.lock();
        state.rehome(Instant::now());
        state.senders.wake_all();
    }

    /// The partitions that keyless records would have gone to since this was last called, and the senders to their
    /// leaders.
    pub(crate) fn take_missed(&self) -> Vec<(u32, Arc<SpuSender>)> {
        self.lock().take_missed()
    }

    /// `spu` says that it does not lead a partition.
    pub(crate) fn set_refused(&self, spu: i32, partition: u32) {
        if let Some(partition) = self.lock().led_by(spu, partition) {
            partition.refused = true;
        }
    }

    /// `spu` says that it serves a partition.
    pub(crate) fn set_served(&self, spu: i32, partition: u32) {
        let mut state = self.lock();
        if let Some(partition) = state.led_by(spu, partition) {
            partition.confirm();
            state.rehome(Instant::now());
            state.senders.wake_all();
        }
    }

    /// There is a connection to `spu`.
    pub(crate) fn set_connected(&self, spu: i32) {
        self.lock().all_led_by(spu).for_each(|partition| partition.expect_replies_only());
    }

    /// `spu` cannot store anything in a partition.
    pub(crate) fn set_broken(&self, spu: i32, partition: u32, error: &Error) {
        let mut state = self.lock();
        if let Some(partition) = state.led_by(spu, partition) {
            partition.broken = Some(error.clone());
            state.rehome(Instant::now());
        }
    }

    /// The connection to `spu` is gone: it may have started again.
    pub(crate) fn forget_broken(&self, spu: i32) {
        self.lock().all_led_by(spu).for_each(|partition| partition.broken = None);
    }
}
