//! The producer's state under its lock: open and ready batches per partition, the buffer's room, tickets not settled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fluvio_cffi_wire::{BatchBuilder, Codec};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::sender::{Desk, PATIENCE};
use super::{ProducerOptions, RECORD_OVERHEAD, Records, Run, Submission, dropped, overdue, partitioner};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::metrics::Counters;

/// Tickets are unique in the process, so that a host can keep those of all producers in one table.
static NEXT_TICKET: AtomicU64 = AtomicU64::new(1);

/// A settled ticket, to be handed to the sink without the lock.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) ticket: u64,
    pub(crate) partition: u32,
    pub(crate) records: u32,
    pub(crate) result: Result<i64>,
}

/// A batch on its way: what the sender holds. What is known of its ticket stays in [`State::unsettled`].
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) ticket: u64,
    pub(crate) partition: u32,
    pub(crate) bytes: Bytes,
    pub(crate) deadline: Instant,
    pub(crate) past: Past,
    /// Whether it may go to any partition: no record of it has a key, or a partition of its own.
    pub(crate) anywhere: bool,
    /// Whether its time was over while it was in flight: its owner was told, and its answer counts no more.
    pub(crate) given_up: bool,
}

/// What became of a batch's earlier sendings; later ones count if they are worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Past {
    /// No server has seen a byte of it.
    Unsent,
    /// It was not written, for certain.
    Refused,
    /// It may have reached the log.
    MaybeWritten,
}

/// A batch that waits to be taken by the sender.
#[derive(Debug)]
enum Waiting {
    Full {
        ticket: u64,
        builder: BatchBuilder,
        deadline: Instant,
        /// See [`Batch::anywhere`].
        anywhere: bool,
    },
    /// Was taken before and goes again, first.
    Again(Batch),
}

impl Waiting {
    fn ticket(&self) -> u64 {
        match self {
            Self::Full { ticket, .. } | Self::Again(Batch { ticket, .. }) => *ticket,
        }
    }

    /// What becomes of it if it is given up now.
    fn outcome(&self) -> Outcome {
        match self {
            Self::Again(Batch { past: Past::MaybeWritten, .. }) => Outcome::Unknown,
            _ => Outcome::NotWritten,
        }
    }

    fn deadline(&self) -> Instant {
        match self {
            Self::Full { deadline, .. } | Self::Again(Batch { deadline, .. }) => *deadline,
        }
    }

    /// Whether it can go to another partition: what may have been written in one must not be written in another as well.
    fn can_move(&self) -> bool {
        match self {
            Self::Full { anywhere, .. } => *anywhere,
            Self::Again(batch) => batch.anywhere && batch.past != Past::MaybeWritten,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Full { builder, .. } => builder.len(),
            Self::Again(batch) => batch.bytes.len(),
        }
    }
}

/// A batch that takes records.
#[derive(Debug)]
struct Open {
    ticket: u64,
    builder: BatchBuilder,
    created: Instant,
    /// Whether it takes records that have a key or a partition of their own, and whether it takes those that have neither. One
    /// with both cannot go to another partition.
    addressed: bool,
    keyless: bool,
}

impl Open {
    /// Whether it takes records without a key, or the others.
    fn takes(&self, keyless: bool) -> bool {
        if keyless { self.keyless } else { self.addressed }
    }

    fn close(self, delivery_timeout: Duration) -> Waiting {
        let Self { ticket, builder, created, addressed, .. } = self;
        Waiting::Full { ticket, builder, deadline: created + delivery_timeout, anywhere: !addressed }
    }

    /// The same for one that may have to wait: what waits is bounded by what it holds, not by what it could.
    fn close_to_wait(mut self, delivery_timeout: Duration) -> Waiting {
        self.builder.trim();
        self.close(delivery_timeout)
    }
}

#[derive(Debug)]
struct Partition {
    open: Option<Open>,
    /// In order of their tickets.
    ready: VecDeque<Waiting>,
    /// Batches taken by a sender and neither settled nor put back.
    in_flight: usize,
    /// Whose leader has them: no other sender takes more of the partition meanwhile, so that its order is kept.
    holder: i32,
    /// Whether another sender wants to.
    wanted: bool,
    /// Whether it is in [`State::active`].
    active: bool,
    /// The newest ticket that was acknowledged.
    acknowledged: u64,
    /// Why its leader cannot store anything, until it starts again or another one leads.
    broken: Option<Error>,
    /// The sender to its leader, once one is known.
    desk: Option<Arc<Desk>>,
    /// Whether it is online, as the cluster view has last said; its leader knows better.
    online: bool,
    listed_online: bool,
    /// Whether its leader has said last that it is not its leader.
    refused: bool,
    /// Since when its leader has answered nothing, if it owes an answer.
    unanswered_since: Option<Instant>,
    /// Whether its leader is to be asked about it: a record without a key would have gone here.
    missed: bool,
}

impl Default for Partition {
    fn default() -> Self {
        Self {
            open: None,
            ready: VecDeque::new(),
            in_flight: 0,
            holder: 0,
            wanted: false,
            active: false,
            acknowledged: 0,
            broken: None,
            desk: None,
            online: true,
            listed_online: true,
            refused: false,
            unanswered_since: None,
            missed: false,
        }
    }
}

impl Partition {
    fn led_by(&self, leader: Option<i32>) -> bool {
        self.desk.as_ref().map(|desk| desk.leader) == leader
    }

    /// Whether a batch waits to be taken, or to become full.
    fn has_waiting(&self) -> bool {
        self.open.is_some() || !self.ready.is_empty()
    }

    /// Whether it can be written, as far as is known.
    fn can_be_written(&self) -> bool {
        let is_reachable = || self.desk.as_ref().is_none_or(|desk| desk.is_reachable());
        self.online && !self.refused && self.broken.is_none() && is_reachable()
    }

    /// Whether it can be written, and its leader answers.
    fn is_well(&self, now: Instant) -> bool {
        self.can_be_written() && self.unanswered_since.is_none_or(|since| now < since + PATIENCE)
    }

    /// Whether records without a key share batches with others. They should not, as then they could not go elsewhere; but where
    /// there are many of both kinds the batches would be tiny.
    fn shares(&self) -> bool {
        self.ready.len() >= MOST_APART
    }

    /// Whether a batch waits that could go to another partition.
    fn has_movable(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !open.addressed) || self.ready.iter().any(Waiting::can_move)
    }

    /// Takes out the batches that can go to another partition.
    fn take_movable(&mut self, delivery_timeout: Duration) -> Vec<Waiting> {
        let (moving, staying): (Vec<_>, _) = self.ready.drain(..).partition(Waiting::can_move);
        self.ready = staying.into();
        let open = self.open.take_if(|open| !open.addressed);
        moving.into_iter().chain(open.map(|open| open.close_to_wait(delivery_timeout))).collect()
    }

    /// Its leader serves it.
    fn prove(&mut self) {
        self.online = true;
        self.refused = false;
        self.owes_nothing();
    }

    /// Its leader can be talked to, and owes an answer to what is in flight only.
    fn owes_nothing(&mut self) {
        self.unanswered_since = self.unanswered_since.filter(|_| self.in_flight > 0);
    }
}

/// Who must hear of a submission.
#[derive(Debug)]
pub(crate) enum Rouse {
    /// Nobody: the records joined batches of which is known already.
    Nobody,
    /// The sender that has all of them to send; where nothing else is under way they can be sent at once.
    One(Arc<Desk>),
    /// All senders, and the supervisor.
    All,
}

/// No partition has this number.
const NOWHERE: u32 = u32::MAX;

/// So many batches at most wait in a partition because they are not to be shared by records of both kinds.
const MOST_APART: usize = 64;

/// One of the records to submit.
struct Item<'a> {
    key: Option<&'a [u8]>,
    value: &'a [u8],
    timestamp: i64,
    /// `None`: it goes where those without a key go.
    partition: Option<u32>,
    /// What it takes of the buffer.
    cost: u64,
    /// Where its bytes end.
    end: usize,
}

impl<'a> Item<'a> {
    /// The record `index`, whose bytes begin `at`, for a topic of so many partitions. All lengths are known to be right.
    #[inline(always)]
    fn new(records: &Records<'a>, index: usize, at: usize, now: i64, partitions: u32) -> Self {
        let key_length = records.key_lengths.and_then(|lengths| usize::try_from(lengths[index]).ok());
        let key_end = at + key_length.unwrap_or(0);
        let end = key_end + records.value_lengths[index] as usize;
        let key = key_length.map(|_| &records.data[at..key_end]);
        let given = records.partitions.and_then(|partitions| u32::try_from(partitions[index]).ok());
        let timestamp = records.timestamps.map(|timestamps| timestamps[index]).filter(|given| *given != i64::MIN);
        Self {
            key,
            value: &records.data[key_end..end],
            timestamp: timestamp.unwrap_or(now),
            partition: given.or_else(|| key.map(|key| partitioner::keyed(key, partitions))),
            cost: (end - at) as u64 + RECORD_OVERHEAD,
            end,
        }
    }
}

/// What is known of a ticket until it is settled.
#[derive(Debug)]
struct Unsettled {
    partition: u32,
    records: u32,
    /// What its records take of the buffer.
    cost: u64,
    /// Whether bytes of it may have reached the log.
    sent: bool,
    /// Whether the sender has it.
    in_flight: bool,
    /// Whether it was in another partition before.
    moved: bool,
}

struct RoomWaiter {
    bytes: u64,
    granted: oneshot::Sender<()>,
}

struct State {
    partitions: Vec<Partition>,
    /// Partitions that have an open or a ready batch, each once, in the order in which they are served.
    active: VecDeque<u32>,
    /// Where records without a key go until the batch there closes.
    sticky: u32,
    unsettled: BTreeMap<u64, Unsettled>,
    /// Settled, but their owner is still being told.
    telling: BTreeSet<u64>,
    used: u64,
    records: u64,
    waiters: VecDeque<RoomWaiter>,
    /// Open batches with tickets up to this one are sent without lingering.
    flush_up_to: u64,
    /// All senders.
    desks: Vec<Arc<Desk>>,
    /// Tells the supervisor that there is something to do.
    bell: Arc<Notify>,
    closed: bool,
    abandoned: bool,
    failed: Option<Error>,
}

/// The buffer of one producer. Each method takes the lock once, and briefly.
pub(crate) struct Batches {
    topic: String,
    codec: Codec,
    batch_size: usize,
    max_request_size: usize,
    buffer_size: u64,
    linger: Duration,
    delivery_timeout: Duration,
    counters: Arc<Counters>,
    state: Mutex<State>,
    /// Some ticket was settled.
    settled: Notify,
}

impl Batches {
    pub(crate) fn new(
        topic: &str,
        partitions: u32,
        codec: Codec,
        options: &ProducerOptions,
        counters: Arc<Counters>,
    ) -> Self {
        let state = State {
            partitions: std::iter::repeat_with(Partition::default).take(partitions as usize).collect(),
            active: VecDeque::new(),
            sticky: 0,
            unsettled: BTreeMap::new(),
            telling: BTreeSet::new(),
            used: 0,
            records: 0,
            waiters: VecDeque::new(),
            flush_up_to: 0,
            desks: Vec::new(),
            bell: Arc::default(),
            closed: false,
            abandoned: false,
            failed: None,
        };
        Self {
            topic: topic.to_owned(),
            codec,
            // A request holds at least one batch.
            batch_size: options.batch_size.min(options.max_request_size),
            max_request_size: options.max_request_size,
            buffer_size: options.buffer_size as u64,
            linger: options.linger,
            delivery_timeout: options.delivery_timeout,
            counters,
            state: Mutex::new(state),
            settled: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // After a panic under the lock the tickets are given up, for which they still have to be looked at.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn partition_count(&self) -> u32 {
        self.lock().partitions.len() as u32
    }

    pub(crate) fn room(&self) -> u64 {
        self.buffer_size.saturating_sub(self.lock().used)
    }

    pub(crate) fn pending(&self) -> (u64, u64) {
        let state = self.lock();
        (state.records, state.used)
    }

    // ---- the callers' side

    pub(crate) fn submit(&self, records: &Records<'_>, runs: &mut [Run]) -> Result<(Submission, Rouse)> {
        self.check(records)?;
        let now = Instant::now();
        let timestamp = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis().min(i64::MAX as u128) as i64);
        let mut submission = Submission { accepted: 0, runs: 0, room: 0, timestamp };
        let mut state = self.lock();
        state.usable()?;
        let count = state.partitions.len() as u32;
        if let Some(partitions) = records.partitions
            && let Some(wrong) = partitions.iter().find(|partition| **partition >= count as i32)
        {
            return Err(Error::partition_not_found(&self.topic, i64::from(*wrong), count));
        }
        let mut rouse = Rouse::Nobody;
        let (mut index, mut at) = (0, 0);
        // One round for each run of records that go into one batch.
        while index < records.count {
            let first = Item::new(records, index, at, timestamp, count);
            // One record is taken even by a buffer that is too small for it, when it is empty.
            if state.used + first.cost > self.buffer_size && state.used > 0 {
                break;
            }
            let partition = match first.partition {
                Some(partition) => partition,
                None => state.keyless(now, |open| self.takes(open, &first)),
            };
            // A batch that is full makes room for a new one; the run would need a place.
            let slot = &mut state.partitions[partition as usize];
            let keyless = first.partition.is_none();
            let shares = count == 1 || slot.shares();
            let joins = slot
                .open
                .as_ref()
                .is_some_and(|open| (shares || open.takes(keyless)) && self.takes(&open.builder, &first));
            let same_run = joins
                && submission.runs > 0
                && slot.open.as_ref().is_some_and(|open| {
                    let last = &runs[submission.runs - 1];
                    last.ticket == open.ticket && last.index + last.count == open.builder.count()
                });
            if !same_run && submission.runs == runs.len() {
                break;
            }
            if !joins {
                if let Some(open) = slot.open.take() {
                    slot.ready.push_back(open.close_to_wait(self.delivery_timeout));
                }
                let ticket = NEXT_TICKET.fetch_add(1, Ordering::Relaxed);
                let left = records.data.len() - at + (records.count - index) * RECORD_OVERHEAD as usize;
                let size = BatchBuilder::alone(first.key.map(<[u8]>::len), first.value.len());
                let builder = BatchBuilder::with_capacity(left.clamp(size, size.max(self.batch_size)));
                rouse = rouse.and(slot.desk.as_ref());
                slot.open = Some(Open { ticket, builder, created: now, addressed: !keyless, keyless });
                if !std::mem::replace(&mut slot.active, true) {
                    state.active.push_back(partition);
                }
                let (records, cost, sent, in_flight, moved) = Default::default();
                state.unsettled.insert(ticket, Unsettled { partition, records, cost, sent, in_flight, moved });
            }
            let room = self.buffer_size.saturating_sub(state.used);
            let is_sticky = partition == state.sticky;
            let slot = &mut state.partitions[partition as usize];
            let takes_keyless = keyless || (is_sticky && slot.is_well(now));
            let Some(open) = &mut slot.open else { break };
            let (ticket, place) = (open.ticket, open.builder.count());
            open.keyless |= keyless;
            open.addressed |= !keyless;
            let takes_keyless = takes_keyless && open.keyless;
            let addressed = if open.addressed { partition } else { NOWHERE };
            open.builder.push(first.timestamp, first.key, first.value);
            let mut cost = first.cost;
            (index, at) = (index + 1, first.end);
            while index < records.count {
                let item = Item::new(records, index, at, timestamp, count);
                let here = item.partition.map_or(takes_keyless, |own| own == addressed) && cost + item.cost <= room;
                if !(here && self.push(&mut open.builder, &item)) {
                    break;
                }
                cost += item.cost;
                (index, at) = (index + 1, item.end);
            }
            let taken = open.builder.count() - place;
            if same_run {
                runs[submission.runs - 1].count += taken;
            } else {
                runs[submission.runs] = Run { ticket, index: place, count: taken };
                submission.runs += 1;
            }
            if let Some(unsettled) = state.unsettled.get_mut(&ticket) {
                unsettled.records += taken;
                unsettled.cost += cost;
            }
            state.used += cost;
            state.records += u64::from(taken);
        }
        submission.accepted = index;
        submission.room = self.buffer_size.saturating_sub(state.used);
        Ok((submission, rouse))
    }

    /// Whether a record joins an open batch.
    fn takes(&self, builder: &BatchBuilder, item: &Item<'_>) -> bool {
        let Item { timestamp, key, value, .. } = *item;
        builder.len() + builder.cost(timestamp, key, value) <= self.batch_size && builder.takes_timestamp(timestamp)
    }

    /// Adds a record to an open batch, if it joins that.
    #[inline(always)]
    fn push(&self, builder: &mut BatchBuilder, item: &Item<'_>) -> bool {
        let Item { timestamp, key, value, .. } = *item;
        builder.takes_timestamp(timestamp) && builder.push_within(self.batch_size, timestamp, key, value)
    }

    /// Checks every length, so that encoding cannot fail half-way.
    fn check(&self, records: &Records<'_>) -> Result<()> {
        let Records { count, data, value_lengths, key_lengths, partitions, timestamps, .. } = *records;
        let columns = [
            ("value_lengths", Some(value_lengths.len())),
            ("key_lengths", key_lengths.map(<[i32]>::len)),
            ("partitions", partitions.map(<[i32]>::len)),
            ("timestamps", timestamps.map(<[i64]>::len)),
        ];
        for (name, length) in columns {
            if let Some(length) = length.filter(|length| *length != count) {
                return Err(Error::invalid(format!("{name} has {length} entries: it must have one a record, {count}")));
            }
        }
        let mut total = 0_u64;
        for index in 0..count {
            let value = value_lengths[index] as usize;
            let key = key_lengths.map(|lengths| lengths[index]);
            if let Some(key) = key.filter(|key| *key < -1) {
                return Err(Error::invalid(format!("key_lengths[{index}] is {key}: it must be -1 (no key) or more")));
            }
            let key = key.and_then(|key| usize::try_from(key).ok());
            if BatchBuilder::alone(key, value) > self.max_request_size {
                return Err(Error::new(
                    ErrorKind::RecordTooLarge,
                    format!(
                        "record {index} has {} bytes of key and value, too many for a request: max_request_size is {}",
                        value + key.unwrap_or(0),
                        self.max_request_size
                    ),
                )
                .with_topic(&self.topic)
                .with_outcome(Outcome::NotWritten));
            }
            total += (value + key.unwrap_or(0)) as u64;
        }
        if total != data.len() as u64 {
            return Err(Error::invalid(format!("data has {} bytes: the lengths add up to {total}", data.len())));
        }
        Ok(())
    }

    /// Waits until `bytes` are free, behind those who wait already.
    pub(crate) async fn wait_room(&self, bytes: u64) -> Result<u64> {
        if bytes > self.buffer_size {
            return Err(Error::invalid(format!(
                "bytes is {bytes}: it must be at most buffer_size, {}",
                self.buffer_size
            )));
        }
        let granted = {
            let mut state = self.lock();
            state.usable()?;
            if state.waiters.is_empty() && state.used + bytes <= self.buffer_size {
                return Ok(self.buffer_size - state.used);
            }
            let (granted, wait) = oneshot::channel();
            state.waiters.push_back(RoomWaiter { bytes, granted });
            wait
        };
        let granted = granted.await;
        let mut state = self.lock();
        state.usable()?;
        if granted.is_err() {
            return Err(Error::closed("producer"));
        }
        // Whoever stands next may have been waiting for one who gave up.
        self.grant(&mut state);
        Ok(self.buffer_size.saturating_sub(state.used))
    }

    /// Tells those who wait, in order, as far as the room goes.
    fn grant(&self, state: &mut State) {
        let mut room = self.buffer_size.saturating_sub(state.used);
        while let Some(first) = state.waiters.front() {
            if first.granted.is_closed() {
                state.waiters.pop_front();
                continue;
            }
            if first.bytes > room {
                break;
            }
            room -= first.bytes;
            if let Some(first) = state.waiters.pop_front() {
                let _ = first.granted.send(());
            }
        }
    }

    /// Waits until every ticket that exists now is settled, and its owner was told.
    pub(crate) async fn flush(&self) {
        let mark = {
            let mut state = self.lock();
            let newest = state.unsettled.last_key_value().map(|(ticket, _)| *ticket);
            let Some(mark) = newest.max(state.telling.last().copied()) else { return };
            state.flush_up_to = state.flush_up_to.max(mark);
            mark
        };
        self.wake_senders();
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if self.lock().oldest().is_none_or(|ticket| ticket > mark) {
                return;
            }
            settled.await;
        }
    }

    /// The owner of these tickets was told of their fate.
    pub(crate) fn told(&self, tickets: impl IntoIterator<Item = u64>) {
        let mut state = self.lock();
        for ticket in tickets {
            state.telling.remove(&ticket);
        }
        drop(state);
        self.settled.notify_waiters();
    }

    /// Takes no more records.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
    }

    /// Takes no more records, and gives none to the senders, which end. Gives those that may have some.
    pub(crate) fn stop(&self) -> Vec<Arc<Desk>> {
        let mut state = self.lock();
        state.closed = true;
        state.abandoned = true;
        if state.unsettled.is_empty() { Vec::new() } else { state.desks.clone() }
    }

    /// Gives up those that are not settled, after [`Self::stop`].
    pub(crate) fn abandon(&self) -> Vec<Settled> {
        let settled = self.lock().settle_all(|partition, sent| dropped(&self.topic, partition, sent));
        self.wake_senders();
        settled
    }

    /// The sender to `leader` has panicked with `error`: gives up what it has or would have sent; what comes later is taken.
    pub(crate) fn give_up_on(&self, leader: i32, error: &Error) -> Vec<Settled> {
        let mut results = Vec::new();
        {
            let mut state = self.lock();
            let State { unsettled, partitions, .. } = &mut *state;
            for (ticket, Unsettled { partition, sent, in_flight, .. }) in unsettled {
                let queue = &mut partitions[*partition as usize];
                let held = *in_flight && queue.holder == leader;
                if !held && !queue.led_by(Some(leader)) {
                    continue;
                }
                if queue.open.as_ref().is_some_and(|open| open.ticket == *ticket) {
                    queue.open = None;
                }
                queue.ready.retain(|waiting| waiting.ticket() != *ticket);
                let outcome = if *sent { Outcome::Unknown } else { Outcome::NotWritten };
                let error = error.clone().with_topic(&self.topic).with_partition(*partition).with_outcome(outcome);
                results.push((*ticket, Err(error)));
            }
        }
        self.settle(results)
    }

    /// What tells of panics has panicked with `error`: gives up everything, for ever.
    pub(crate) fn fail(&self, error: Error) -> Vec<Settled> {
        let settled = {
            let mut state = self.lock();
            state.abandoned = true;
            state.failed = Some(error.clone());
            state.settle_all(|partition, sent| {
                let outcome = if sent { Outcome::Unknown } else { Outcome::NotWritten };
                error.clone().with_topic(&self.topic).with_partition(partition).with_outcome(outcome)
            })
        };
        self.wake_senders();
        settled
    }

    /// Tells all senders, and the supervisor, that there is something to do.
    pub(crate) fn wake_senders(&self) {
        self.lock().ring();
    }

    // ---- the senders' side

    /// Tells the supervisor that there is something to do.
    pub(crate) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.lock().bell)
    }

    /// One more sender.
    pub(crate) fn add_desk(&self, desk: &Arc<Desk>) {
        self.lock().desks.push(Arc::clone(desk));
    }

    /// All senders.
    pub(crate) fn desks(&self) -> Vec<Arc<Desk>> {
        self.lock().desks.clone()
    }

    /// What went wrong last with one of the leaders, since it took records.
    pub(crate) fn trouble(&self) -> Option<Error> {
        self.desks().iter().find_map(|desk| desk.trouble())
    }

    /// Whether what a batch needs before it is sent takes little time.
    pub(crate) fn uncompressed(&self) -> bool {
        self.codec == Codec::None
    }

    /// Whether the sender shall end.
    pub(crate) fn abandoned(&self) -> bool {
        self.lock().abandoned
    }

    /// Takes batches for one request to `leader`: in order per partition, at most `max_request_size` in all (one if it alone is
    /// larger). Open batches of partitions that have nothing in flight go too, unless they linger. Partitions of which the
    /// former leader has something in flight wait. Returns the fate of batches that could not be compressed.
    pub(crate) fn take(&self, leader: i32, out: &mut Vec<Batch>) -> Vec<Settled> {
        let now = Instant::now();
        let mut sealed = Vec::new();
        {
            let mut state = self.lock();
            if state.abandoned {
                return Vec::new();
            }
            let mut room = self.max_request_size;
            for _ in 0..state.active.len() {
                let Some(index) = state.active.pop_front() else { break };
                let flush_up_to = state.flush_up_to;
                let closed = state.closed;
                let partition = &mut state.partitions[index as usize];
                let held = partition.in_flight > 0 && partition.holder != leader;
                if held || partition.broken.is_some() || !partition.led_by(Some(leader)) {
                    partition.wanted |= held;
                    state.active.push_back(index);
                    continue;
                }
                while partition.ready.front().is_some_and(|first| first.len() <= room || sealed.is_empty()) {
                    let Some(first) = partition.ready.pop_front() else { break };
                    room = room.saturating_sub(first.len());
                    sealed.push((index, first));
                }
                if partition.ready.is_empty() {
                    let due = partition.open.as_ref().is_some_and(|open| {
                        let lingered = match self.linger.is_zero() {
                            true => partition.in_flight == 0,
                            false => now >= open.created + self.linger,
                        };
                        (lingered || open.ticket <= flush_up_to || closed)
                            && (open.builder.len() <= room || sealed.is_empty())
                    });
                    if due && let Some(open) = partition.open.take() {
                        room = room.saturating_sub(open.builder.len());
                        sealed.push((index, open.close(self.delivery_timeout)));
                    }
                }
                partition.active = partition.has_waiting();
                if partition.active {
                    state.active.push_back(index);
                }
            }
            for (_, batch) in &sealed {
                let State { unsettled, partitions, .. } = &mut *state;
                if let Some(unsettled) = unsettled.get_mut(&batch.ticket()) {
                    if let Waiting::Again(batch) = batch {
                        self.counters.retries.add(u64::from(batch.past != Past::Unsent));
                        let twice = if batch.past == Past::MaybeWritten { unsettled.records } else { 0 };
                        self.counters.duplicates_possible.add(u64::from(twice));
                    }
                    unsettled.sent = true;
                    unsettled.in_flight = true;
                    let partition = &mut partitions[unsettled.partition as usize];
                    partition.in_flight += 1;
                    partition.holder = leader;
                    partition.unanswered_since.get_or_insert(now);
                }
            }
        }
        if sealed.is_empty() {
            return Vec::new();
        }
        // Compression and checksum are computed without the lock.
        let mut failed = Vec::new();
        for (partition, waiting) in sealed {
            match waiting {
                Waiting::Again(batch) => out.push(batch),
                Waiting::Full { ticket, builder, deadline, anywhere } => match self.finish(builder) {
                    Ok(bytes) => {
                        let (past, given_up) = (Past::Unsent, false);
                        out.push(Batch { ticket, partition, bytes, deadline, past, anywhere, given_up });
                    }
                    Err(error) => failed.push((ticket, Err(error.with_partition(partition)))),
                },
            }
        }
        if failed.is_empty() { Vec::new() } else { self.settle(failed) }
    }

    fn finish(&self, builder: BatchBuilder) -> Result<Bytes> {
        builder.finish(self.codec).map_err(|cause| {
            Error::new(
                ErrorKind::Compression,
                format!("a batch for topic \"{}\" cannot be compressed: {cause}", self.topic),
            )
            .with_topic(&self.topic)
            .with_outcome(Outcome::NotWritten)
        })
    }

    /// When the first open batch's linger ends, of those in which it does after `looked`.
    pub(crate) fn next_linger(&self, looked: Instant) -> Option<Instant> {
        if self.linger.is_zero() {
            return None;
        }
        let state = self.lock();
        let open = state.active.iter().filter_map(|index| state.partitions[*index as usize].open.as_ref());
        open.map(|open| open.created + self.linger).filter(|end| *end > looked).min()
    }

    /// Whether anything waits to be sent to `leader`; `None`: whether anything waits that nobody can send.
    pub(crate) fn has_work(&self, leader: Option<i32>) -> bool {
        self.lock().waiting(leader).next().is_some()
    }

    /// The deadline of the oldest batch that waits for `leader`, or that nobody can send.
    pub(crate) fn next_deadline(&self, leader: i32) -> Option<Instant> {
        let state = self.lock();
        let waiting = state.waiting(Some(leader)).chain(state.waiting(None));
        // A partition's batches are in the order in which they were opened.
        let oldest = |partition: &Partition| match (partition.ready.front(), &partition.open) {
            (Some(first), _) => Some(first.deadline()),
            (None, open) => open.as_ref().map(|open| open.created + self.delivery_timeout),
        };
        waiting.filter_map(oldest).min()
    }

    /// `leader` says that it does not lead a partition.
    pub(crate) fn set_refused(&self, leader: i32, partition: u32) {
        if let Some(partition) = self.lock().partitions.get_mut(partition as usize) {
            partition.refused |= partition.led_by(Some(leader));
        }
    }

    /// There is a connection to `leader`.
    pub(crate) fn set_connected(&self, leader: i32) {
        for partition in self.lock().partitions.iter_mut().filter(|partition| partition.led_by(Some(leader))) {
            partition.owes_nothing();
        }
    }

    /// The partitions that records without a key would have gone to since this was last called, and the senders to their leaders.
    pub(crate) fn missed(&self) -> Vec<(u32, Arc<Desk>)> {
        let mut state = self.lock();
        let missed = |(index, partition): (u32, &mut Partition)| {
            let desk = partition.desk.as_ref().filter(|_| std::mem::take(&mut partition.missed))?;
            Some((index, Arc::clone(desk)))
        };
        (0..).zip(&mut state.partitions).filter_map(missed).collect()
    }

    /// `leader` says that it serves a partition.
    pub(crate) fn set_served(&self, leader: i32, partition: u32) {
        let mut state = self.lock();
        if let Some(partition) = state.partitions.get_mut(partition as usize)
            && partition.led_by(Some(leader))
        {
            partition.prove();
            state.rehome(self.delivery_timeout);
            state.ring();
        }
    }

    /// What can be written has changed: what may go anywhere goes where it can.
    pub(crate) fn rehome(&self) {
        let mut state = self.lock();
        state.rehome(self.delivery_timeout);
        state.ring();
    }

    /// `leader` cannot store anything in a partition.
    pub(crate) fn set_broken(&self, leader: i32, partition: u32, error: &Error) {
        let mut state = self.lock();
        if let Some(partition) = state.partitions.get_mut(partition as usize)
            && partition.led_by(Some(leader))
        {
            partition.broken = Some(error.clone());
            state.rehome(self.delivery_timeout);
        }
    }

    /// The connection to `leader` is gone: it may have started again.
    pub(crate) fn forget_broken(&self, leader: i32) {
        for partition in self.lock().partitions.iter_mut().filter(|partition| partition.led_by(Some(leader))) {
            partition.broken = None;
        }
    }

    /// Gives up what waits for `leader` in partitions in which it cannot store anything.
    pub(crate) fn fail_broken(&self, leader: i32) -> Vec<Settled> {
        let mut results = Vec::new();
        let mut state = self.lock();
        for partition in state.partitions.iter_mut().filter(|partition| partition.led_by(Some(leader))) {
            let Some(error) = &partition.broken else { continue };
            let open = partition.open.take().map(|open| open.close(self.delivery_timeout));
            for waiting in partition.ready.drain(..).chain(open) {
                let error = error.clone().with_outcome(waiting.outcome());
                results.push((waiting.ticket(), Err(error)));
            }
        }
        drop(state);
        if results.is_empty() { Vec::new() } else { self.settle(results) }
    }

    /// Puts batches that were not acknowledged back where they came from, to be sent again before anything else.
    pub(crate) fn put_back(&self, batches: impl IntoIterator<Item = Batch>) {
        let mut batches = batches.into_iter().peekable();
        if batches.peek().is_none() {
            return;
        }
        let mut state = self.lock();
        let now = Instant::now();
        for batch in batches {
            if let Some(partition) = state.landed(batch.ticket)
                && batch.past == Past::Refused
            {
                partition.unanswered_since = (partition.in_flight > 0).then_some(now);
            }
            match state.unsettled.get_mut(&batch.ticket) {
                Some(unsettled) => unsettled.sent = batch.past == Past::MaybeWritten,
                None => continue,
            }
            state.queue(batch.partition, Waiting::Again(batch), self.delivery_timeout);
        }
        state.rehome(self.delivery_timeout);
        // They may be another sender's now.
        state.ring();
    }

    /// Settles tickets of which a server has told the fate. Those that are settled already are passed over.
    pub(crate) fn answered(&self, results: Vec<(u64, Result<i64>)>) -> Vec<Settled> {
        self.settle_at(Some(Instant::now()), results)
    }

    /// Settles tickets of which no server has told the fate.
    pub(crate) fn settle(&self, results: impl IntoIterator<Item = (u64, Result<i64>)>) -> Vec<Settled> {
        self.settle_at(None, results)
    }

    /// `answered`: when the server has told.
    fn settle_at(
        &self,
        answered: Option<Instant>,
        results: impl IntoIterator<Item = (u64, Result<i64>)>,
    ) -> Vec<Settled> {
        let mut settled = Vec::new();
        let mut state = self.lock();
        for (ticket, result) in results {
            if let Some(partition) = state.landed(ticket)
                && answered.is_some()
            {
                partition.unanswered_since = answered.filter(|_| partition.in_flight > 0);
            }
            if let Some(unsettled) = state.unsettled.remove(&ticket) {
                let Unsettled { partition, records, cost, .. } = unsettled;
                state.telling.insert(ticket);
                state.used -= cost;
                state.records -= u64::from(records);
                if result.is_ok() {
                    self.acknowledged(&mut state.partitions[partition as usize], ticket, &unsettled);
                }
                settled.push(Settled { ticket, partition, records, result });
            }
        }
        self.grant(&mut state);
        settled
    }

    fn acknowledged(&self, partition: &mut Partition, ticket: u64, batch: &Unsettled) {
        let records = u64::from(batch.records);
        self.counters.records_produced.add(records);
        self.counters.bytes_produced.add(batch.cost - records * RECORD_OVERHEAD);
        // Tickets are numbered in the order of submission. The partition that a batch comes to may have records that were
        // submitted between those of the batch.
        if ticket < partition.acknowledged || batch.moved {
            self.counters.reordered.add(1);
        }
        partition.acknowledged = partition.acknowledged.max(ticket);
        partition.prove();
    }

    /// Gives up batches whose time ran out: those that wait for the leader at `desk`, or that nobody can send, and those of
    /// `in_flight` (tickets and their partitions), of which that leader has seen something.
    pub(crate) fn expire(&self, desk: &Desk, in_flight: Vec<(u64, u32)>) -> Vec<Settled> {
        let now = Instant::now();
        let error = |partition: u32, sent: bool, desk: Option<&Desk>| {
            overdue(&self.topic, partition, self.delivery_timeout, sent, desk.and_then(|desk| desk.trouble()))
        };
        let mut results = Vec::new();
        for (ticket, partition) in in_flight {
            results.push((ticket, Err(error(partition, true, Some(desk)))));
        }
        {
            let mut state = self.lock();
            let State { active, partitions, .. } = &mut *state;
            for index in active.iter().copied() {
                let partition = &mut partitions[index as usize];
                if partition.desk.is_some() && !partition.led_by(Some(desk.leader)) {
                    continue;
                }
                let due = partition.ready.partition_point(|waiting| waiting.deadline() <= now);
                let open_is_due = |open: &mut Open| open.created + self.delivery_timeout <= now;
                let open = partition.open.take_if(open_is_due).map(|open| open.close(self.delivery_timeout));
                for waiting in partition.ready.drain(..due).chain(open) {
                    let sent = waiting.outcome() == Outcome::Unknown;
                    results.push((waiting.ticket(), Err(error(index, sent, partition.desk.as_deref()))));
                }
            }
        }
        if results.is_empty() { Vec::new() } else { self.settle(results) }
    }

    /// Gives up everything that is not settled now; what comes later is taken.
    pub(crate) fn give_up(&self, error: &Error) -> Vec<Settled> {
        self.lock().settle_all(|partition, _| error.clone().with_partition(partition).with_topic(&self.topic))
    }

    /// Which partitions can be used, who sends to their leaders, and how many there are: the topic may have grown.
    pub(crate) fn set_partitions(&self, online: Vec<bool>, desks: Vec<Option<Arc<Desk>>>) {
        let mut state = self.lock();
        if online.len() > state.partitions.len() {
            state.partitions.resize_with(online.len(), Partition::default);
        }
        let mut moved = Vec::new();
        let known = online.len() >= state.partitions.len();
        let (mut online, mut desks) = (online.into_iter(), desks.into_iter());
        for (index, partition) in (0..).zip(&mut state.partitions) {
            if let Some(online) = online.next().filter(|online| known && *online != partition.listed_online) {
                partition.online = online;
                partition.listed_online = online;
                partition.refused = false;
            }
            let former = std::mem::replace(&mut partition.desk, desks.next().flatten());
            if let Some(former) = former.filter(|former| !partition.led_by(Some(former.leader))) {
                partition.broken = None;
                partition.refused = false;
                partition.owes_nothing();
                moved.push((former, index));
            }
        }
        state.rehome(self.delivery_timeout);
        drop(state);
        for (former, partition) in moved {
            former.hand_over(self, partition);
        }
        self.wake_senders();
    }
}

impl Rouse {
    /// Also who sends for a partition with this desk.
    fn and(self, desk: Option<&Arc<Desk>>) -> Self {
        match (self, desk) {
            (Self::Nobody, Some(desk)) => Self::One(Arc::clone(desk)),
            (Self::One(one), Some(desk)) if Arc::ptr_eq(&one, desk) => Self::One(one),
            _ => Self::All,
        }
    }
}

impl State {
    fn usable(&self) -> Result<()> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None if self.closed => Err(Error::closed("producer")),
            None => Ok(()),
        }
    }

    /// The oldest ticket that is not settled, or whose owner is still being told.
    fn oldest(&self) -> Option<u64> {
        let unsettled = self.unsettled.first_key_value().map(|(ticket, _)| *ticket);
        unsettled.into_iter().chain(self.telling.first().copied()).min()
    }

    /// Tells all senders, and the supervisor, that there is something to do.
    fn ring(&self) {
        self.bell.notify_one();
        self.desks.iter().for_each(|desk| desk.ring());
    }

    /// The partitions led by `leader` (`None`: by nobody) in which something waits.
    fn waiting(&self, leader: Option<i32>) -> impl Iterator<Item = &Partition> {
        let active = self.active.iter().map(|index| &self.partitions[*index as usize]);
        active.filter(move |partition| partition.led_by(leader) && partition.has_waiting())
    }

    /// The sender does not have this batch any more; gives its partition, if the sender had it.
    fn landed(&mut self, ticket: u64) -> Option<&mut Partition> {
        let unsettled = self.unsettled.get_mut(&ticket).filter(|unsettled| unsettled.in_flight)?;
        unsettled.in_flight = false;
        let index = unsettled.partition as usize;
        let partition = &mut self.partitions[index];
        partition.in_flight -= 1;
        if partition.in_flight == 0 && std::mem::replace(&mut partition.wanted, false) {
            self.ring();
        }
        Some(&mut self.partitions[index])
    }

    /// The partition for a record without a key: the same until its batch closes, then the next one that is well.
    fn keyless(&mut self, now: Instant, joins: impl Fn(&BatchBuilder) -> bool) -> u32 {
        let sticky = &self.partitions[self.sticky as usize];
        let joins = sticky.open.as_ref().is_some_and(|open| open.keyless && joins(&open.builder));
        if !(joins && sticky.is_well(now)) {
            self.sticky = match self.next_home(self.sticky, now) {
                Some(next) => next,
                // It waits, and moves to the first that can be written.
                None if joins => self.sticky,
                None => (self.sticky + 1) % self.partitions.len() as u32,
            };
        }
        self.sticky
    }

    /// The next partition that is well, or at least can be written. The leaders of those that are passed by are asked.
    fn next_home(&mut self, after: u32, now: Instant) -> Option<u32> {
        let count = self.partitions.len() as u32;
        let mut silent = None;
        for index in (1..=count).map(|step| (after + step) % count) {
            let partition = &mut self.partitions[index as usize];
            if partition.is_well(now) {
                return Some(index);
            }
            if partition.broken.is_none() && !std::mem::replace(&mut partition.missed, true) {
                self.bell.notify_one();
            }
            silent = silent.or_else(|| partition.can_be_written().then_some(index));
        }
        silent
    }

    /// Moves what may go anywhere, and waits in partitions that cannot be written, to such as can, if there are any.
    fn rehome(&mut self, delivery_timeout: Duration) {
        let now = Instant::now();
        let mut home = self.sticky;
        for index in 0..self.partitions.len() {
            let partition = &self.partitions[index];
            if partition.can_be_written() || !partition.has_movable() {
                continue;
            }
            if self.next_home(home, now).is_none() {
                return;
            }
            for waiting in self.partitions[index].take_movable(delivery_timeout) {
                home = self.next_home(home, now).unwrap_or(home);
                self.queue(home, waiting, delivery_timeout);
            }
        }
    }

    /// A batch waits for the leader of a partition, in the order in which the batches were opened.
    fn queue(&mut self, index: u32, mut waiting: Waiting, delivery_timeout: Duration) {
        let ticket = waiting.ticket();
        let Some(unsettled) = self.unsettled.get_mut(&ticket) else { return };
        unsettled.moved |= unsettled.partition != index;
        unsettled.partition = index;
        if let Waiting::Again(batch) = &mut waiting {
            batch.partition = index;
        }
        let partition = &mut self.partitions[index as usize];
        if let Some(open) = partition.open.take_if(|open| open.ticket < ticket) {
            partition.ready.push_back(open.close_to_wait(delivery_timeout));
        }
        let at = partition.ready.partition_point(|other| other.ticket() < ticket);
        partition.ready.insert(at, waiting);
        if !std::mem::replace(&mut partition.active, true) {
            self.active.push_back(index);
        }
    }

    fn settle_all(&mut self, error: impl Fn(u32, bool) -> Error) -> Vec<Settled> {
        for partition in &mut self.partitions {
            partition.open = None;
            partition.ready.clear();
            partition.in_flight = 0;
            partition.wanted = false;
            partition.unanswered_since = None;
            partition.active = false;
            partition.broken = None;
        }
        self.active.clear();
        self.used = 0;
        self.records = 0;
        // Dropping the other end wakes them.
        self.waiters.clear();
        self.telling.extend(self.unsettled.keys());
        std::mem::take(&mut self.unsettled)
            .into_iter()
            .map(|(ticket, Unsettled { partition, records, sent, .. })| Settled {
                ticket,
                partition,
                records,
                result: Err(error(partition, sent)),
            })
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
