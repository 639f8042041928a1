//! The accumulator's state: queues, tickets and room, which change together. Time is an argument, and the lock is the
//! caller's.

use std::collections::VecDeque;

use fluvio_cffi_wire::BatchBuilder;
use tokio::time::Instant;

use super::Limits;
use super::batch::{Batch, OpenBatch, Past, Settled, WaitingBatch};
use super::partition::{PartitionQueue, RequestDraft, SealRules};
use super::records::{Record, Remaining, Runs};
use super::room::Room;
use super::senders::{Senders, Wake};
use super::tickets::TicketTable;
use crate::error::{Error, Outcome, Result};
use crate::producer::sender::SpuSender;
use crate::producer::{RECORD_OVERHEAD, Records, Run, Submission};

/// No partition has this number.
const NOWHERE: u32 = u32::MAX;

/// The batches that a sender takes for one request, and what the metrics say of them.
#[derive(Default)]
pub(super) struct Taken {
    /// The batches and their partitions, those of each partition in order.
    pub(super) batches: Vec<(u32, WaitingBatch)>,
    /// The number of batches that were sent before.
    pub(super) retries: u64,
    /// The number of records that may be in the log already.
    pub(super) duplicates_possible: u64,
}

/// Tickets that were settled together, and what the metrics say of those acknowledged.
#[derive(Default)]
pub(super) struct Fates {
    pub(super) settled: Vec<Settled>,
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// The number of batches that were overtaken by a newer one of their partition.
    pub(super) reordered: u64,
}

pub(super) struct State {
    pub(super) limits: Limits,
    pub(super) partitions: Vec<PartitionQueue>,
    /// The partitions in which something waits, each once, in the order in which they are served.
    pub(super) active: VecDeque<u32>,
    /// Where keyless records go until the batch there closes.
    pub(super) sticky: u32,
    pub(super) tickets: TicketTable,
    pub(super) room: Room,
    /// Open batches with tickets up to this one are sent without lingering.
    pub(super) flush_up_to: u64,
    pub(super) senders: Senders,
    /// Whether the producer takes no more records.
    pub(super) closed: bool,
    /// Whether the senders get nothing any more, and end.
    pub(super) abandoned: bool,
    /// Why the producer is of no use any more.
    pub(super) failed: Option<Error>,
}

impl State {
    pub(super) fn new(partitions: u32, limits: Limits) -> Self {
        Self {
            limits,
            partitions: std::iter::repeat_with(PartitionQueue::default).take(partitions as usize).collect(),
            active: VecDeque::new(),
            sticky: 0,
            tickets: TicketTable::default(),
            room: Room::new(limits.buffer_size),
            flush_up_to: 0,
            senders: Senders::default(),
            closed: false,
            abandoned: false,
            failed: None,
        }
    }

    /// An error if the producer takes no more records.
    pub(super) fn usable(&self) -> Result<()> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None if self.closed => Err(Error::closed("producer")),
            None => Ok(()),
        }
    }
}

// Submitting.
impl State {
    /// Encodes as many records as the room and `runs` allow into the open batches, in order. The lengths and
    /// partitions were checked before. Records without a timestamp get `timestamp`.
    pub(super) fn submit(
        &mut self,
        records: &Records<'_>,
        runs: &mut [Run],
        now: Instant,
        timestamp: i64,
    ) -> (Submission, Wake) {
        let count = self.partitions.len() as u32;
        let batch_size = self.limits.batch_size;
        let mut remaining = Remaining::new(records, count, timestamp);
        let mut runs = Runs::new(runs);
        let mut wake = Wake::Nobody;
        // One round for each run of records that go into one batch.
        while let Some(first) = remaining.first() {
            if !self.room.admits(first.cost) {
                break;
            }
            let index = match first.partition {
                Some(partition) => partition,
                None => self.place_keyless(&first, now),
            };
            let partition = &self.partitions[index as usize];
            let shared = count == 1 || partition.shares();
            let joined = partition.open.as_ref().filter(|open| open.admits(&first, shared, batch_size));
            let continues = joined.is_some_and(|open| runs.continues(open.ticket, open.builder.count()));
            // A new run needs a place, without which no new batch may be opened either.
            if !continues && runs.is_full() {
                break;
            }
            if joined.is_none() {
                wake = wake.and(partition.leader.as_ref());
                self.open_batch(index, &first, remaining.bytes(), now);
            }
            let Some((rest, run)) = self.fill_open(index, &first, remaining, now) else { break };
            remaining = rest;
            runs.add(run, continues);
        }
        let (accepted, room) = (remaining.index(), self.room.free());
        (Submission { accepted, runs: runs.filled(), room, timestamp }, wake)
    }

    /// Opens a batch for `first` and records after it, `bytes` in all if they went into it together.
    fn open_batch(&mut self, index: u32, first: &Record<'_>, bytes: usize, now: Instant) {
        let Limits { batch_size, delivery_timeout, .. } = self.limits;
        let partition = &mut self.partitions[index as usize];
        partition.close_open();
        let keyless = first.partition.is_none();
        let least = BatchBuilder::alone(first.key.map(<[u8]>::len), first.value.len());
        partition.open = Some(OpenBatch {
            ticket: self.tickets.issue(index),
            builder: BatchBuilder::with_capacity(bytes.clamp(least, least.max(batch_size))),
            created: now,
            deadline: now + delivery_timeout,
            addressed: !keyless,
            keyless,
        });
        self.activate(index);
    }

    /// Appends `first` to the open batch of its partition, and the records after it while they belong there and fit.
    /// Gives what remains, and the run of those that were appended.
    fn fill_open<'a>(
        &mut self,
        index: u32,
        first: &Record<'a>,
        mut remaining: Remaining<'a>,
        now: Instant,
    ) -> Option<(Remaining<'a>, Run)> {
        let free = self.room.free();
        let batch_size = self.limits.batch_size;
        let is_sticky = index == self.sticky;
        let keyless = first.partition.is_none();
        let partition = &mut self.partitions[index as usize];
        let is_home = keyless || (is_sticky && partition.is_well(now));
        let open = partition.open.as_mut()?;
        let (ticket, place) = (open.ticket, open.builder.count());
        open.keyless |= keyless;
        open.addressed |= !keyless;
        let takes_keyless = is_home && open.keyless;
        let addressed = if open.addressed { index } else { NOWHERE };
        open.builder.push(first.timestamp, first.key, first.value);
        let mut cost = first.cost;
        remaining.advance(first);
        while let Some(record) = remaining.first() {
            let belongs = record.partition.map_or(takes_keyless, |own| own == addressed) && cost + record.cost <= free;
            if !(belongs && record.push_to(&mut open.builder, batch_size)) {
                break;
            }
            cost += record.cost;
            remaining.advance(&record);
        }
        let count = open.builder.count() - place;
        self.tickets.add(ticket, count, cost);
        self.room.occupy(cost);
        Some((remaining, Run { ticket, index: place, count }))
    }

    /// Something waits in a partition.
    fn activate(&mut self, index: u32) {
        if !std::mem::replace(&mut self.partitions[index as usize].is_active, true) {
            self.active.push_back(index);
        }
    }
}

// Sending.
impl State {
    /// Takes batches for one request to `spu`: in order per partition, at most `max_request_size` in all (one if it
    /// alone is larger). Open batches go too when they are due. Partitions of which another SPU's sender has
    /// something in flight wait.
    #[inline]
    pub(super) fn take(&mut self, spu: i32, now: Instant) -> Taken {
        if self.abandoned {
            return Taken::default();
        }
        let rules = SealRules { now, linger: self.limits.linger, flush_up_to: self.flush_up_to, closed: self.closed };
        let mut request = RequestDraft::new(self.limits.max_request_size, self.limits.one_batch);
        for _ in 0..self.active.len() {
            let Some(index) = self.active.pop_front() else { break };
            let partition = &mut self.partitions[index as usize];
            let is_held = partition.is_held_from(spu);
            partition.contended |= is_held;
            if !is_held && partition.broken.is_none() && partition.led_by(Some(spu)) {
                partition.take_into(&mut request, index, &rules);
                partition.is_active = partition.has_waiting();
            }
            if partition.is_active {
                self.active.push_back(index);
            }
        }
        self.hand_out(request.batches, spu, now)
    }

    /// The sender to `spu` has these batches from now on.
    #[inline]
    fn hand_out(&mut self, batches: Vec<(u32, WaitingBatch)>, spu: i32, now: Instant) -> Taken {
        let (mut retries, mut duplicates_possible) = (0, 0);
        for (index, batch) in &batches {
            let Some(unsettled) = self.tickets.get_mut(batch.ticket()) else { continue };
            if let WaitingBatch::Again(batch) = batch {
                retries += u64::from(batch.past != Past::Unsent);
                duplicates_possible += if batch.past == Past::MaybeWritten && !self.limits.deduplicates {
                    u64::from(unsettled.records)
                } else {
                    0
                };
            }
            unsettled.sent = true;
            unsettled.in_flight = true;
            self.partitions[*index as usize].enter_flight(spu, now);
        }
        Taken { batches, retries, duplicates_possible }
    }

    /// Puts batches that were not acknowledged back where they came from, to be sent again before anything else, or
    /// elsewhere if they cannot be written there.
    pub(super) fn put_back(&mut self, batches: impl Iterator<Item = Batch>, now: Instant) {
        for batch in batches {
            if let Some(partition) = self.no_longer_in_flight(batch.ticket)
                && batch.past == Past::Refused
            {
                partition.answered(now);
            }
            match self.tickets.get_mut(batch.ticket) {
                Some(unsettled) => unsettled.sent = batch.past == Past::MaybeWritten,
                None => continue,
            }
            self.enqueue(batch.partition, WaitingBatch::Again(batch));
        }
        self.rehome(now);
        // They may be another sender's now.
        self.senders.wake_all();
    }

    /// Adds a batch to a partition's queue, in its place by its ticket. One that is settled is forgotten.
    pub(super) fn enqueue(&mut self, index: u32, mut batch: WaitingBatch) {
        let Some(unsettled) = self.tickets.get_mut(batch.ticket()) else { return };
        unsettled.moved |= unsettled.partition != index;
        unsettled.partition = index;
        if let WaitingBatch::Again(batch) = &mut batch {
            batch.partition = index;
        }
        self.partitions[index as usize].insert(batch);
        self.activate(index);
    }

    /// No sender has this batch any more; gives its partition, if one had it.
    fn no_longer_in_flight(&mut self, ticket: u64) -> Option<&mut PartitionQueue> {
        let unsettled = self.tickets.get_mut(ticket).filter(|unsettled| unsettled.in_flight)?;
        unsettled.in_flight = false;
        let partition = &mut self.partitions[unsettled.partition as usize];
        partition.in_flight -= 1;
        if partition.in_flight == 0 && std::mem::replace(&mut partition.contended, false) {
            self.senders.wake_all();
        }
        Some(partition)
    }

    /// The partitions that `spu` leads (`None`: nobody) in which something waits.
    pub(super) fn waiting(&self, spu: Option<i32>) -> impl Iterator<Item = &PartitionQueue> {
        let active = self.active.iter().map(|index| &self.partitions[*index as usize]);
        active.filter(move |partition| partition.led_by(spu) && partition.has_waiting())
    }

    /// When the first linger of an open batch ends, of those that end after `looked`.
    pub(super) fn next_linger(&self, looked: Instant) -> Option<Instant> {
        let open = self.active.iter().filter_map(|index| self.partitions[*index as usize].open.as_ref());
        open.map(|open| open.created + self.limits.linger).filter(|end| *end > looked).min()
    }
}

// Settling.
impl State {
    /// Settles tickets; passes over those that are settled already. `answered`: when a server has told their fate, if
    /// one has.
    pub(super) fn settle(
        &mut self,
        results: impl IntoIterator<Item = (u64, Result<i64>)>,
        answered: Option<Instant>,
    ) -> Fates {
        let mut fates = Fates::default();
        for (ticket, result) in results {
            if let (Some(partition), Some(answered)) = (self.no_longer_in_flight(ticket), answered) {
                partition.answered(answered);
            }
            let Some(unsettled) = self.tickets.settle(ticket) else { continue };
            self.room.release(unsettled.cost);
            if result.is_ok() {
                let records = u64::from(unsettled.records);
                fates.records += records;
                fates.bytes += unsettled.cost - records * RECORD_OVERHEAD;
                // Tickets are numbered in the order of submission. The partition that a batch has moved to may have
                // records that were submitted between those of the batch.
                let is_late = self.partitions[unsettled.partition as usize].acknowledge(ticket);
                fates.reordered += u64::from(is_late || unsettled.moved);
            }
            let (partition, records) = (unsettled.partition, unsettled.records);
            fates.settled.push(Settled { ticket, partition, records, result });
        }
        self.room.grant();
        fates
    }

    /// Settles everything with errors: `error` gets the partition and whether bytes may have reached the log.
    pub(super) fn settle_all(&mut self, error: impl Fn(u32, bool) -> Error) -> Vec<Settled> {
        self.partitions.iter_mut().for_each(PartitionQueue::clear);
        self.active.clear();
        self.room.clear();
        let settle = |(ticket, unsettled): (u64, super::tickets::Unsettled)| {
            let (partition, records) = (unsettled.partition, unsettled.records);
            Settled { ticket, partition, records, result: Err(error(partition, unsettled.sent)) }
        };
        self.tickets.settle_all().map(settle).collect()
    }

    /// Takes out of the queues what the sender to `spu` has or would have sent. `give_up` gets each ticket, its
    /// partition, and whether bytes may have reached the log; the tickets are to be settled then.
    pub(super) fn forget_all_of(&mut self, spu: i32, mut give_up: impl FnMut(u64, u32, bool)) {
        for (ticket, unsettled) in self.tickets.iter() {
            let partition = &mut self.partitions[unsettled.partition as usize];
            let is_held = unsettled.in_flight && partition.held_by == spu;
            if is_held || partition.led_by(Some(spu)) {
                partition.remove(ticket);
                give_up(ticket, unsettled.partition, unsettled.sent);
            }
        }
    }

    /// Takes out batches whose delivery time-out has ended, of those that wait for `spu` or that nobody can send.
    /// `give_up` gets each ticket, its partition, whether bytes may have reached the log, and the sender; the tickets
    /// are to be settled then.
    pub(super) fn take_overdue(
        &mut self,
        spu: i32,
        now: Instant,
        mut give_up: impl FnMut(u64, u32, bool, Option<&SpuSender>),
    ) {
        for index in self.active.iter().copied() {
            let partition = &mut self.partitions[index as usize];
            if partition.leader.is_some() && !partition.led_by(Some(spu)) {
                continue;
            }
            for batch in partition.take_overdue(now) {
                give_up(batch.ticket(), index, batch.outcome() == Outcome::Unknown, partition.leader.as_deref());
            }
        }
    }

    /// Takes out what waits for `spu` in partitions in which it cannot store anything. `give_up` gets each ticket,
    /// and why; the tickets are to be settled then.
    pub(super) fn take_broken(&mut self, spu: i32, mut give_up: impl FnMut(u64, Error)) {
        for partition in self.all_led_by(spu).filter(|partition| partition.broken.is_some()) {
            for batch in partition.take_all() {
                let Some(error) = &partition.broken else { continue };
                give_up(batch.ticket(), error.clone().with_outcome(batch.outcome()));
            }
        }
    }

    /// A partition, if `spu` leads it.
    pub(super) fn led_by(&mut self, spu: i32, index: u32) -> Option<&mut PartitionQueue> {
        self.partitions.get_mut(index as usize).filter(|partition| partition.led_by(Some(spu)))
    }

    /// The partitions that `spu` leads.
    pub(super) fn all_led_by(&mut self, spu: i32) -> impl Iterator<Item = &mut PartitionQueue> {
        self.partitions.iter_mut().filter(move |partition| partition.led_by(Some(spu)))
    }
}
