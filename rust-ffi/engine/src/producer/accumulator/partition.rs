//! The queue of one partition: an open batch, waiting batches, and what is known of the SPU that leads the partition.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::batch::{OpenBatch, WaitingBatch};
use crate::error::Error;
use crate::producer::sender::{PATIENCE, SpuSender};

/// The number of waiting batches from which on records of both kinds share a partition's batches.
pub(super) const MOST_APART: usize = 64;

/// When an open batch is sealed, that is closed and sent although it is not full.
#[derive(Debug, Clone, Copy)]
pub(super) struct SealRules {
    pub(super) now: Instant,
    pub(super) linger: Duration,
    /// Batches with tickets up to this one do not linger.
    pub(super) flush_up_to: u64,
    /// Whether the producer takes no more records.
    pub(super) closed: bool,
}

/// What goes into one request: as many batches as fit, and at least one.
pub(super) struct RequestDraft {
    space: usize,
    /// Whether it takes one batch.
    is_single: bool,
    /// The batches and their partitions, those of each partition in order.
    pub(super) batches: Vec<(u32, WaitingBatch)>,
}

impl RequestDraft {
    pub(super) fn new(max_request_size: usize, is_single: bool) -> Self {
        Self { space: max_request_size, is_single, batches: Vec::new() }
    }

    fn fits(&self, bytes: usize) -> bool {
        self.batches.is_empty() || (bytes <= self.space && !self.is_single)
    }

    fn push(&mut self, partition: u32, batch: WaitingBatch) {
        self.space = self.space.saturating_sub(batch.len());
        self.batches.push((partition, batch));
    }
}

/// One partition's batches in the order of their tickets, and how its leader is.
#[derive(Debug)]
pub(super) struct PartitionQueue {
    pub(super) open: Option<OpenBatch>,
    /// In the order of their tickets, all older than the open one.
    pub(super) ready: VecDeque<WaitingBatch>,
    /// The number of batches that a sender took and has neither settled nor put back.
    pub(super) in_flight: usize,
    /// The SPU whose sender has the batches in flight. No other sender takes from the partition meanwhile, so that
    /// its order is kept.
    pub(super) held_by: i32,
    /// Whether another sender has been refused because of that, and must be woken when nothing is in flight any more.
    pub(super) contended: bool,
    /// Whether the partition is in [`State::active`](super::state::State).
    pub(super) is_active: bool,
    /// The newest ticket that was acknowledged.
    acknowledged: u64,
    /// Why the leader cannot store anything, until it starts again or another SPU leads.
    pub(super) broken: Option<Error>,
    /// The sender to the leader, once one is known.
    pub(super) leader: Option<Arc<SpuSender>>,
    /// Whether the partition is taken to be online. The leader's own word counts more than that of the cluster metadata,
    /// which counts when it changes.
    online: bool,
    /// What the cluster metadata has said last.
    listed_online: bool,
    /// Whether the leader has said last that it does not lead the partition.
    pub(super) refused: bool,
    /// Since when the leader has answered nothing, while it owes an answer.
    pub(super) unanswered_since: Option<Instant>,
    /// Whether the leader is to be asked if it serves the partition, as a keyless record would have gone here.
    pub(super) missed: bool,
}

impl Default for PartitionQueue {
    fn default() -> Self {
        Self {
            open: None,
            ready: VecDeque::new(),
            in_flight: 0,
            held_by: 0,
            contended: false,
            is_active: false,
            acknowledged: 0,
            broken: None,
            leader: None,
            online: true,
            listed_online: true,
            refused: false,
            unanswered_since: None,
            missed: false,
        }
    }
}

// The batches.
impl PartitionQueue {
    /// Whether a batch waits to be taken, or to become full.
    pub(super) fn has_waiting(&self) -> bool {
        self.open.is_some() || !self.ready.is_empty()
    }

    /// Whether keyless records share batches with others. They should not, as then they could not go to another
    /// partition; but where many records of both kinds come in turn, their batches would be tiny.
    pub(super) fn shares(&self) -> bool {
        self.ready.len() >= MOST_APART
    }

    /// Closes the open batch, if there is one, to make way for a newer one.
    pub(super) fn close_open(&mut self) {
        if let Some(open) = self.open.take() {
            self.ready.push_back(open.close_to_wait());
        }
    }

    /// Puts a batch in its place by its ticket: one that goes again, or comes from another partition.
    pub(super) fn insert(&mut self, batch: WaitingBatch) {
        let ticket = batch.ticket();
        if self.open.as_ref().is_some_and(|open| open.ticket < ticket) {
            self.close_open();
        }
        let at = self.ready.partition_point(|other| other.ticket() < ticket);
        self.ready.insert(at, batch);
    }

    /// Moves the waiting batches that fit into `request`, and the open one if none waits before it and it is due.
    /// `index` is the partition's own.
    pub(super) fn take_into(&mut self, request: &mut RequestDraft, index: u32, rules: &SealRules) {
        while self.ready.front().is_some_and(|first| request.fits(first.len())) {
            let Some(first) = self.ready.pop_front() else { break };
            request.push(index, first);
        }
        if !self.ready.is_empty() {
            return;
        }
        let is_due =
            self.open.as_ref().is_some_and(|open| self.is_due(open, rules) && request.fits(open.builder.len()));
        if is_due && let Some(open) = self.open.take() {
            request.push(index, open.close());
        }
    }

    /// Whether an open batch is sent now. Without a linger it becomes full while another one is in flight.
    fn is_due(&self, open: &OpenBatch, rules: &SealRules) -> bool {
        let has_lingered = match rules.linger.is_zero() {
            true => self.in_flight == 0,
            false => rules.now >= open.created + rules.linger,
        };
        has_lingered || open.ticket <= rules.flush_up_to || rules.closed
    }

    /// When the delivery time-out of the oldest batch that waits ends.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match (self.ready.front(), &self.open) {
            (Some(first), _) => Some(first.deadline()),
            (None, open) => open.as_ref().map(|open| open.deadline),
        }
    }

    /// Takes out the waiting batches whose delivery time-out has ended.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Vec<WaitingBatch> {
        let overdue = self.ready.partition_point(|waiting| waiting.deadline() <= now);
        let open = self.open.take_if(|open| open.deadline <= now).map(OpenBatch::close);
        self.ready.drain(..overdue).chain(open).collect()
    }

    /// Takes out all waiting batches.
    pub(super) fn take_all(&mut self) -> Vec<WaitingBatch> {
        let open = self.open.take().map(OpenBatch::close);
        self.ready.drain(..).chain(open).collect()
    }

    /// Forgets the waiting batch of `ticket`, if it is here.
    pub(super) fn remove(&mut self, ticket: u64) {
        self.open.take_if(|open| open.ticket == ticket);
        self.ready.retain(|waiting| waiting.ticket() != ticket);
    }

    /// Whether a batch waits that could go to another partition.
    pub(super) fn has_movable(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !open.addressed) || self.ready.iter().any(WaitingBatch::is_movable)
    }

    /// Takes out the batches that can go to another partition.
    pub(super) fn take_movable(&mut self) -> Vec<WaitingBatch> {
        let (moving, staying): (Vec<_>, _) = self.ready.drain(..).partition(WaitingBatch::is_movable);
        self.ready = staying.into();
        let open = self.open.take_if(|open| !open.addressed);
        moving.into_iter().chain(open.map(OpenBatch::close_to_wait)).collect()
    }

    /// Forgets all batches, also those in flight, and that the partition was broken.
    pub(super) fn clear(&mut self) {
        self.open = None;
        self.ready.clear();
        self.in_flight = 0;
        self.contended = false;
        self.unanswered_since = None;
        self.is_active = false;
        self.broken = None;
    }
}

// The leader.
impl PartitionQueue {
    /// Whether this SPU leads the partition; `None`: whether none is known to.
    pub(super) fn led_by(&self, spu: Option<i32>) -> bool {
        self.leader.as_ref().map(|leader| leader.spu) == spu
    }

    /// Whether the sender to `spu` must not take anything, as another one has batches in flight.
    pub(super) fn is_held_from(&self, spu: i32) -> bool {
        self.in_flight > 0 && self.held_by != spu
    }

    /// Whether the partition can be written, as far as is known.
    pub(super) fn can_be_written(&self) -> bool {
        let is_reachable = || self.leader.as_ref().is_none_or(|leader| leader.is_reachable());
        self.online && !self.refused && self.broken.is_none() && is_reachable()
    }

    /// Whether the partition can be written, and its leader answers.
    pub(super) fn is_well(&self, now: Instant) -> bool {
        self.can_be_written() && self.unanswered_since.is_none_or(|since| now < since + PATIENCE)
    }

    /// The leader's sender has one more batch.
    pub(super) fn enter_flight(&mut self, spu: i32, now: Instant) {
        self.in_flight += 1;
        self.held_by = spu;
        self.unanswered_since.get_or_insert(now);
    }

    /// A batch is acknowledged; returns whether a newer one was before.
    pub(super) fn acknowledge(&mut self, ticket: u64) -> bool {
        let is_late = ticket < self.acknowledged;
        self.acknowledged = self.acknowledged.max(ticket);
        self.confirm();
        is_late
    }

    /// The leader serves the partition.
    pub(super) fn confirm(&mut self) {
        self.online = true;
        self.refused = false;
        self.expect_replies_only();
    }

    /// The leader can be talked to: it owes an answer only to what is in flight.
    pub(super) fn expect_replies_only(&mut self) {
        self.unanswered_since = self.unanswered_since.filter(|_| self.in_flight > 0);
    }

    /// The leader has answered at `now`.
    pub(super) fn answered(&mut self, now: Instant) {
        self.unanswered_since = (self.in_flight > 0).then_some(now);
    }

    /// The cluster metadata says whether the partition is online. It counts where that is news. The leader of one that is
    /// not is asked: the SC may have lost its report.
    pub(super) fn list_online(&mut self, online: bool) {
        if online != self.listed_online {
            self.online = online;
            self.listed_online = online;
            self.refused = false;
            self.missed |= !online;
        }
    }

    /// Sets the leader; gives the former one if another SPU leads now.
    pub(super) fn set_leader(&mut self, leader: Option<Arc<SpuSender>>) -> Option<Arc<SpuSender>> {
        let former = std::mem::replace(&mut self.leader, leader)?;
        if self.led_by(Some(former.spu)) {
            return None;
        }
        self.broken = None;
        self.refused = false;
        self.expect_replies_only();
        Some(former)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fluvio_cffi_wire::BatchBuilder;
    use proptest::prelude::*;

    use super::*;
    use crate::producer::accumulator::batch::{Batch, Past};

    const SPU: i32 = 5001;
    const LINGER: Duration = Duration::from_millis(5);
    const TIMEOUT: Duration = Duration::from_secs(1);

    fn open(ticket: u64, created: Instant, addressed: bool) -> OpenBatch {
        let mut builder = BatchBuilder::with_capacity(100);
        builder.push(0, None, b"value");
        OpenBatch { ticket, builder, created, deadline: created + TIMEOUT, addressed, keyless: !addressed }
    }

    fn again(ticket: u64, bytes: usize, past: Past, any_partition: bool, deadline: Instant) -> WaitingBatch {
        let bytes = Bytes::from(vec![0; bytes]);
        WaitingBatch::Again(Batch { ticket, partition: 0, bytes, deadline, past, any_partition, given_up: false })
    }

    fn take(queue: &mut PartitionQueue, space: usize, rules: SealRules) -> Vec<u64> {
        let mut request = RequestDraft::new(space, false);
        queue.take_into(&mut request, 3, &rules);
        assert!(request.batches.iter().all(|(index, _)| *index == 3));
        request.batches.iter().map(|(_, batch)| batch.ticket()).collect()
    }

    fn waiting(queue: &PartitionQueue) -> Vec<u64> {
        let open = queue.open.as_ref().map(|open| open.ticket);
        queue.ready.iter().map(WaitingBatch::ticket).chain(open).collect()
    }

    #[test]
    fn an_open_batch_is_sealed_when_it_is_due() {
        let created = Instant::now();
        let rules = SealRules { now: created, linger: LINGER, flush_up_to: 0, closed: false };
        let at_once = SealRules { linger: Duration::ZERO, ..rules };
        let just_before = created + LINGER - Duration::from_nanos(1);
        let cases = [
            ("without a linger, where nothing is in flight", at_once, 0, true),
            ("without a linger, while another is in flight", at_once, 1, false),
            ("before its linger has ended", SealRules { now: just_before, ..rules }, 0, false),
            ("when its linger has ended", SealRules { now: created + LINGER, ..rules }, 1, true),
            ("when it is flushed", SealRules { flush_up_to: 7, ..rules }, 1, true),
            ("when an older one is flushed", SealRules { flush_up_to: 6, ..rules }, 0, false),
            ("when the producer takes no more", SealRules { closed: true, ..rules }, 1, true),
        ];
        for (name, rules, in_flight, is_due) in cases {
            let mut queue = PartitionQueue { open: Some(open(7, created, true)), in_flight, ..Default::default() };
            assert_eq!(take(&mut queue, 1000, rules) == [7], is_due, "{name}");
            assert_eq!(queue.has_waiting(), !is_due, "{name}");
        }
    }

    #[test]
    fn a_request_takes_what_fits_in_order_and_at_least_one() {
        let now = Instant::now();
        let rules = SealRules { now, linger: Duration::ZERO, flush_up_to: 0, closed: false };
        let mut queue = PartitionQueue::default();
        for (ticket, bytes) in [(1, 5000), (2, 300), (3, 300), (4, 700), (5, 10)] {
            queue.insert(again(ticket, bytes, Past::Unsent, false, now));
        }
        queue.open = Some(open(6, now, true));
        assert_eq!(take(&mut queue, 1000, rules), [1], "larger than a request, and alone");
        assert_eq!(take(&mut queue, 1000, rules), [2, 3], "the small one must not overtake the large one");
        assert_eq!(take(&mut queue, 1000, rules), [4, 5, 6]);
        assert!(!queue.has_waiting());
    }

    #[test]
    fn what_is_overdue_is_taken_out() {
        let now = Instant::now();
        let mut queue = PartitionQueue::default();
        for ticket in 1..=3 {
            queue.insert(again(ticket, 10, Past::Unsent, false, now + Duration::from_millis(ticket)));
        }
        queue.open = Some(open(4, now, true));
        let tickets = |batches: Vec<WaitingBatch>| batches.iter().map(WaitingBatch::ticket).collect::<Vec<_>>();
        assert_eq!(queue.next_deadline(), Some(now + Duration::from_millis(1)));
        assert!(queue.take_overdue(now).is_empty());
        assert_eq!(tickets(queue.take_overdue(now + Duration::from_millis(2))), [1, 2]);
        assert_eq!(tickets(queue.take_overdue(now + TIMEOUT)), [3, 4]);
        assert_eq!((queue.has_waiting(), queue.next_deadline()), (false, None));
    }

    #[test]
    fn a_leader_that_owes_an_answer_is_not_well_for_ever() {
        let now = Instant::now();
        let mut queue = PartitionQueue::default();
        queue.enter_flight(SPU, now);
        queue.enter_flight(SPU, now + PATIENCE / 2);
        assert!(queue.is_well(now + PATIENCE / 2) && !queue.is_well(now + PATIENCE));
        assert!(queue.can_be_written());
        queue.in_flight -= 1;
        queue.answered(now + PATIENCE);
        assert!(queue.is_well(now + PATIENCE) && !queue.is_well(now + PATIENCE * 2), "it owes another one");
        queue.in_flight -= 1;
        queue.answered(now + PATIENCE);
        assert!(queue.is_well(now + PATIENCE * 9));
    }

    #[test]
    fn the_leaders_word_counts_until_the_view_has_news() {
        let mut queue = PartitionQueue::default();
        queue.list_online(false);
        assert!(!queue.can_be_written());
        queue.confirm();
        queue.list_online(false);
        assert!(queue.can_be_written(), "the metadata has nothing new to say");
        queue.refused = true;
        assert!(!queue.can_be_written());
        queue.list_online(true);
        assert!(queue.can_be_written());
    }

    #[test]
    fn another_leader_begins_without_the_former_ones_faults() {
        let mut queue = PartitionQueue::default();
        let [one, other] = [SPU, SPU + 1].map(|spu| Arc::new(SpuSender::new(spu)));
        assert!(queue.set_leader(Some(Arc::clone(&one))).is_none());
        queue.broken = Some(Error::internal("full"));
        assert!(queue.set_leader(Some(one)).is_none());
        assert!(queue.broken.is_some(), "the same one leads");
        assert_eq!(queue.set_leader(Some(other)).map(|former| former.spu), Some(SPU));
        assert!(queue.can_be_written() && queue.led_by(Some(SPU + 1)));
        assert_eq!(queue.set_leader(None).map(|former| former.spu), Some(SPU + 1));
        assert!(queue.led_by(None));
    }

    proptest! {
        /// Batches wait in the order of their tickets, whatever is put back, and go in that order.
        #[test]
        fn what_is_put_back_goes_first_and_in_order(
            steps in prop::collection::vec((0..4_u8, any::<usize>(), 100..1500_usize), 1..60),
        ) {
            let now = Instant::now();
            let rules = SealRules { now, linger: LINGER, flush_up_to: 0, closed: false };
            let mut queue = PartitionQueue::default();
            let mut taken: Vec<u64> = Vec::new();
            let mut newest = 0;
            for (step, index, size) in steps {
                match step {
                    0 | 1 => {
                        newest += 1;
                        queue.close_open();
                        queue.open = Some(open(newest, now, step == 0));
                    }
                    2 => {
                        let waited = waiting(&queue);
                        let tickets = take(&mut queue, size, rules);
                        prop_assert!(waited.starts_with(&tickets));
                        taken.extend(tickets);
                    }
                    _ if !taken.is_empty() => {
                        let ticket = taken.swap_remove(index % taken.len());
                        queue.insert(again(ticket, size, Past::Refused, true, now));
                    }
                    _ => {}
                }
                let order = waiting(&queue);
                prop_assert!(order.is_sorted(), "{order:?}");
            }
        }

        /// Only batches that may go to any partition leave, and none that may be in this one's log.
        #[test]
        fn what_may_move_leaves_and_the_rest_stays(
            batches in prop::collection::vec((any::<bool>(), 0..3_usize), 0..20),
            is_open_addressed in any::<bool>(),
        ) {
            let now = Instant::now();
            let mut queue = PartitionQueue::default();
            let (mut moving, mut staying) = (Vec::new(), Vec::new());
            for (ticket, (any_partition, past)) in (1..).zip(batches) {
                let past = [Past::Unsent, Past::Refused, Past::MaybeWritten][past];
                let moves = any_partition && past != Past::MaybeWritten;
                if moves { moving.push(ticket) } else { staying.push(ticket) }
                queue.insert(again(ticket, 10, past, any_partition, now));
            }
            queue.open = Some(open(99, now, is_open_addressed));
            if is_open_addressed { staying.push(99) } else { moving.push(99) }
            prop_assert_eq!(queue.has_movable(), !moving.is_empty());
            let left: Vec<u64> = queue.take_movable().iter().map(WaitingBatch::ticket).collect();
            prop_assert_eq!((left, waiting(&queue)), (moving, staying));
            prop_assert!(!queue.has_movable());
        }
    }
}
