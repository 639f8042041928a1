//! What is ready for the caller: encoded chunks within the prefetch budget, and for each partition what the caller wants
//! of it and where it stands. The readers look here for their orders; the caller never waits for a reader.
//!
//! *Partitions take turns*, a chunk each. One that had nothing ready has its turn before those that were served, so a
//! record of a quiet partition waits for one chunk of the others, whatever they have ready.
//!
//! *The budget is shared*: three quarters are for whoever reads ahead; the rest is for partitions that have nothing ready,
//! so that a partition with a backlog does not keep the others from being read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot, watch};

use super::cursor::Cursor;
use super::{Chunk, PartitionState, Start, Take};
use crate::error::{Error, Result};

/// Something for the caller, in order.
enum Item {
    Chunk(Chunk),
    /// The partition stands at an error; it goes on when the caller passes it with a seek.
    Error(Error),
}

/// One partition.
#[derive(Default)]
struct Slot {
    /// What is ready of it, in order. An error is the last.
    items: VecDeque<Item>,
    /// Whether it is in one of the two lists of those that take turns.
    listed: bool,
    /// Rises with each seek: what was read before is not wanted any more.
    epoch: u64,
    /// How often the caller has sought.
    seeks: u32,
    /// Where the last seek goes, until a reader has carried it out, and who waits for it.
    seek: Option<Start>,
    sought: Vec<oneshot::Sender<Result<i64>>>,
    paused: bool,
    /// The first offset of what was dropped because the partition is paused.
    resume_at: Option<i64>,
    /// The cursor, while no reader has it: paused, at an error, or at its end.
    parked: Option<Cursor>,
    /// Read to the end that `stop_at_end` set.
    finished: bool,
    /// Where the caller goes on, once the start is known.
    position: Option<i64>,
    /// The end of the log, as far as it was seen.
    end: Option<i64>,
}

struct State {
    slots: BTreeMap<u32, Slot>,
    /// Partitions with something ready that had nothing before: their turn comes first.
    fresh: VecDeque<u32>,
    /// Partitions that were served, in the order of their turns. One that has nothing ready is taken out when its turn
    /// comes; so one that is served each time at once does not keep coming first.
    served: VecDeque<u32>,
    /// Bytes of the payloads.
    bytes: usize,
    /// Whether a reader was refused room since the last time that there was some, and how often there was.
    wanted: bool,
    rounds: u64,
    /// Nothing goes on after this.
    fatal: Option<Error>,
    stopped: bool,
    closed: bool,
}

impl State {
    /// Whether nothing more will be read.
    fn over(&self) -> bool {
        self.closed || self.stopped || self.fatal.is_some()
    }

    fn slot(&mut self, partition: u32) -> &mut Slot {
        self.slots.entry(partition).or_default()
    }

    /// Adds something that is ready of a partition.
    fn add(&mut self, partition: u32, item: Item) {
        if let Item::Chunk(chunk) = &item {
            self.bytes += chunk.payload.len();
        }
        self.slot(partition).items.push_back(item);
        self.list(partition);
    }

    /// Lets a partition take turns, if it does not.
    fn list(&mut self, partition: u32) {
        let slot = self.slot(partition);
        if !slot.listed && !slot.items.is_empty() {
            slot.listed = true;
            self.fresh.push_back(partition);
        }
    }

    fn may_be_served(&self, partition: u32) -> bool {
        self.slots.get(&partition).is_some_and(|slot| !slot.paused && !slot.items.is_empty())
    }

    /// Whether something may be handed out.
    fn is_ready(&self) -> bool {
        self.fresh.iter().chain(&self.served).any(|partition| self.may_be_served(*partition))
    }

    /// The partition whose turn it is. It leaves its list.
    fn next(&mut self) -> Option<u32> {
        while let Some(partition) = self.fresh.pop_front().or_else(|| self.served.pop_front()) {
            if self.may_be_served(partition) {
                return Some(partition);
            }
            self.slot(partition).listed = false;
        }
        None
    }

    /// Takes the first chunk of a partition out, after which it waits for its next turn. An error stays: the partition
    /// stands at it, and its turn comes first.
    fn serve(&mut self, partition: u32) -> Result<Option<Chunk>> {
        let slot = self.slot(partition);
        match slot.items.pop_front() {
            Some(Item::Chunk(mut chunk)) => {
                slot.position = Some(chunk.next_offset);
                chunk.seeks = slot.seeks;
                self.bytes -= chunk.payload.len();
                self.served.push_back(partition);
                Ok(Some(chunk))
            }
            Some(Item::Error(error)) => {
                slot.items.push_front(Item::Error(error.clone()));
                self.fresh.push_front(partition);
                Err(error)
            }
            None => Ok(None),
        }
    }

    /// Readers that were refused room look again.
    fn give_room(&mut self) {
        self.wanted = false;
        self.rounds += 1;
    }

    /// Drops what is ready of a partition; returns the offset of the first record dropped.
    fn drop_ready(&mut self, partition: u32, errors: bool) -> Option<i64> {
        let mut first = None;
        let mut freed = 0;
        self.slot(partition).items.retain(|item| match item {
            Item::Chunk(chunk) => {
                first.get_or_insert(chunk.first_offset);
                freed += chunk.payload.len();
                false
            }
            Item::Error(_) => !errors,
        });
        self.bytes -= freed;
        first
    }
}

/// What a reader shall do with a cursor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Go on.
    Keep,
    /// Find its new start: the caller has sought.
    Restart,
    /// Give it back: the caller paused it.
    Park,
}

/// The queue between the readers and the caller.
pub(crate) struct Chunks {
    state: Mutex<State>,
    /// Bytes of payloads, at most, unless one reply is larger.
    budget: usize,
    /// What of it partitions may use that have something ready.
    pool: usize,
    /// The caller may look again.
    readable: Notify,
    /// The readers may go on, or shall end.
    room: Notify,
    /// Rises with each order to the readers.
    orders: watch::Sender<u64>,
}

impl Chunks {
    pub(crate) fn new(partitions: &[u32], budget: usize) -> Self {
        let state = State {
            slots: partitions.iter().map(|partition| (*partition, Slot::default())).collect(),
            fresh: VecDeque::new(),
            served: VecDeque::new(),
            bytes: 0,
            wanted: false,
            rounds: 0,
            fatal: None,
            stopped: false,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            budget,
            pool: budget - budget / 4,
            readable: Notify::new(),
            room: Notify::new(),
            orders: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- the caller's side

    pub(crate) fn take(&self) -> Result<Take> {
        let mut state = self.lock();
        if state.closed {
            return Err(Error::closed("consumer"));
        }
        if state.stopped {
            return Ok(Take::End);
        }
        if let Some(partition) = state.next()
            && let Some(chunk) = state.serve(partition)?
        {
            self.taken(state, &chunk);
            return Ok(Take::Chunk(chunk));
        }
        match &state.fatal {
            Some(error) => Err(error.clone()),
            None if state.slots.values().all(|slot| slot.finished) => Ok(Take::End),
            None => Ok(Take::Empty),
        }
    }

    /// A chunk of a partition that had nothing ready before, if there is one.
    pub(crate) fn take_fresh(&self) -> Option<Chunk> {
        let mut state = self.lock();
        if state.over() {
            return None;
        }
        let is_chunk = |state: &State, partition: u32| {
            matches!(state.slots.get(&partition).and_then(|slot| slot.items.front()), Some(Item::Chunk(_)))
        };
        let index = state.fresh.iter().position(|it| state.may_be_served(*it) && is_chunk(&state, *it))?;
        let partition = state.fresh.remove(index)?;
        let chunk = state.serve(partition).ok().flatten()?;
        self.taken(state, &chunk);
        Some(chunk)
    }

    /// A chunk has left: readers that were refused room look again, if there can be some.
    fn taken(&self, mut state: MutexGuard<'_, State>, chunk: &Chunk) {
        let before = state.bytes + chunk.payload.len();
        let below = |limit: usize| before > limit && state.bytes <= limit;
        let room = state.bytes <= self.pool || below(self.budget) || state.slots[&chunk.partition].items.is_empty();
        if room && state.wanted {
            state.give_room();
            drop(state);
            self.room.notify_waiters();
        }
    }

    fn is_empty(&self) -> bool {
        let state = self.lock();
        !state.over() && !state.is_ready() && state.slots.values().any(|slot| !slot.finished)
    }

    pub(crate) async fn ready(&self) {
        until(&self.readable, || !self.is_empty()).await;
    }

    /// Waits until all start offsets are fixed, or one cannot be.
    pub(crate) async fn resolved(&self) -> Result<()> {
        let outcome = || {
            let state = self.lock();
            let unknown = state.slots.values().filter(|slot| slot.position.is_none());
            let error = unknown.flat_map(|slot| &slot.items).find_map(|item| match item {
                Item::Error(error) => Some(error),
                Item::Chunk(_) => None,
            });
            match error.or(state.fatal.as_ref()) {
                Some(error) => Some(Err(error.clone())),
                None => state.slots.values().all(|slot| slot.position.is_some()).then_some(Ok(())),
            }
        };
        until(&self.readable, || outcome().is_some()).await;
        outcome().unwrap_or(Ok(()))
    }

    /// Goes on elsewhere in a partition: what is ready of it is dropped. Gives a cursor that nobody has, and what resolves
    /// to the new position.
    pub(crate) fn seek(
        &self,
        partition: u32,
        start: Start,
    ) -> Result<(Option<Cursor>, oneshot::Receiver<Result<i64>>)> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.lock();
        if state.closed || state.stopped {
            return Err(Error::closed("consumer"));
        }
        if let Some(error) = &state.fatal {
            return Err(error.clone());
        }
        state.drop_ready(partition, true);
        let slot = state.slot(partition);
        slot.epoch += 1;
        slot.seeks = slot.seeks.wrapping_add(1);
        slot.finished = false;
        slot.resume_at = None;
        // An earlier seek that was not carried out gives way; whoever waits for it hears what becomes of this one.
        slot.seek = Some(start);
        slot.sought.push(sender);
        let cursor = slot.parked.take();
        state.give_room();
        drop(state);
        self.order();
        self.room.notify_waiters();
        Ok((cursor, receiver))
    }

    /// Holds partitions back until they are resumed: what is ready of them is dropped, and read again then.
    pub(crate) fn pause(&self, partitions: &[u32]) {
        let mut state = self.lock();
        for partition in partitions {
            let first = state.drop_ready(*partition, false);
            let slot = state.slot(*partition);
            slot.paused = true;
            slot.resume_at = slot.resume_at.or(first);
            slot.finished &= slot.resume_at.is_none();
        }
        state.give_room();
        drop(state);
        self.order();
        self.room.notify_waiters();
    }

    /// Goes on with partitions; gives the cursors that nobody has.
    pub(crate) fn resume(&self, partitions: &[u32]) -> Vec<Cursor> {
        let mut cursors = Vec::new();
        let mut state = self.lock();
        for partition in partitions {
            state.slot(*partition).paused = false;
            state.list(*partition);
            let slot = state.slot(*partition);
            let at_error = slot.items.iter().any(|item| matches!(item, Item::Error(_)));
            if let Some(first) = slot.resume_at.take() {
                match &mut slot.parked {
                    Some(cursor) => cursor.next = first,
                    // A reader has it still, and is ahead.
                    None => {
                        slot.epoch += 1;
                        slot.seek = Some(Start::At(first));
                    }
                }
            }
            if !slot.finished && !at_error {
                cursors.extend(slot.parked.take());
            }
        }
        drop(state);
        self.order();
        self.readable.notify_waiters();
        cursors
    }

    /// The partitions, where the caller is in them, and where they end.
    pub(crate) fn partitions(&self) -> Vec<PartitionState> {
        let state = self.lock();
        let slots = state.slots.iter();
        slots
            .map(|(partition, slot)| PartitionState {
                partition: *partition,
                position: slot.position,
                end: slot.end,
                seeks: slot.seeks,
            })
            .collect()
    }

    /// Where the caller is in a partition, once its start is known.
    pub(crate) fn position(&self, partition: u32) -> Option<i64> {
        self.lock().slots.get(&partition)?.position
    }

    pub(crate) fn stop(&self) {
        self.finish_all(|state| state.stopped = true);
    }

    pub(crate) fn close(&self) {
        self.finish_all(|state| state.closed = true);
    }

    fn finish_all(&self, how: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        how(&mut state);
        for slot in state.slots.values_mut() {
            slot.items.clear();
            // Whoever waits for a seek hears of it by the other end's going.
            slot.sought.clear();
        }
        state.bytes = 0;
        drop(state);
        self.readable.notify_waiters();
        self.room.notify_waiters();
    }

    // ---- the readers' side

    fn order(&self) {
        self.orders.send_modify(|order| *order += 1);
    }

    /// Resolves to something new at each order.
    pub(crate) fn orders(&self) -> watch::Receiver<u64> {
        self.orders.subscribe()
    }

    /// Whether the readers shall end.
    pub(crate) fn over(&self) -> bool {
        self.lock().over()
    }

    /// Whether `bytes` more may be read ahead.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.lock().bytes + bytes <= self.pool
    }

    /// Whether more of a partition may be made ready: while there is room, and always while nothing of it is ready and
    /// the budget is not used up. A refused reader waits for [`Self::room_since`].
    pub(crate) fn admits(&self, partition: u32) -> bool {
        let mut state = self.lock();
        let room = state.bytes <= self.pool
            || (state.bytes < self.budget && state.slots.get(&partition).is_none_or(|slot| slot.items.is_empty()));
        state.wanted |= !room;
        room
    }

    /// Whether replies are to be read at all. A refused reader waits for [`Self::room_since`].
    pub(crate) fn admits_replies(&self) -> bool {
        let mut state = self.lock();
        let room = state.bytes < self.budget;
        state.wanted |= !room;
        room
    }

    /// How often there was room for readers that had been refused. To be asked before they ask for room.
    pub(crate) fn rounds(&self) -> u64 {
        self.lock().rounds
    }

    /// Waits until there may be room that there was not at `round`, or the readers shall end.
    pub(crate) async fn room_since(&self, round: u64) {
        until(&self.room, || {
            let state = self.lock();
            state.rounds != round || state.over()
        })
        .await;
    }

    /// Waits until the readers shall end.
    pub(crate) async fn wait_over(&self) {
        until(&self.room, || self.over()).await;
    }

    /// Waits until the caller has closed it.
    pub(crate) async fn wait_closed(&self) {
        until(&self.room, || self.lock().closed).await;
    }

    /// A partition that appeared later. False: it is known.
    pub(crate) fn add(&self, partition: u32) -> bool {
        let mut state = self.lock();
        let known = state.slots.contains_key(&partition);
        state.slot(partition);
        !known
    }

    /// What the caller wants of the cursor's partition; a new start is put into it. A start that is not known yet is
    /// found even if the partition is paused.
    pub(crate) fn look(&self, cursor: &mut Cursor) -> Order {
        let mut state = self.lock();
        let slot = state.slot(cursor.partition);
        if slot.epoch != cursor.epoch {
            cursor.epoch = slot.epoch;
            if let Some(start) = slot.seek.take() {
                cursor.restart(start);
            }
            return Order::Restart;
        }
        if slot.paused && cursor.start.is_none() { Order::Park } else { Order::Keep }
    }

    /// Keeps the cursor of a paused partition. Gives it back if the caller has resumed, or sought, meanwhile.
    pub(crate) fn park(&self, mut cursor: Cursor) -> Option<Cursor> {
        let mut state = self.lock();
        let slot = state.slot(cursor.partition);
        if !slot.paused || slot.epoch != cursor.epoch {
            return Some(cursor);
        }
        if let Some(first) = slot.resume_at.take() {
            cursor.next = first;
        }
        slot.parked = Some(cursor);
        None
    }

    /// The cursor's start is known, and the end of its log.
    pub(crate) fn resolve(&self, cursor: &Cursor, end: i64) {
        let mut state = self.lock();
        let slot = state.slot(cursor.partition);
        slot.end = slot.end.max(Some(end));
        if slot.epoch == cursor.epoch {
            slot.position = Some(cursor.next);
            for waiting in slot.sought.drain(..) {
                let _ = waiting.send(Ok(cursor.next));
            }
        }
        drop(state);
        self.readable.notify_waiters();
    }

    /// The log of a partition reaches at least so far.
    pub(crate) fn note_end(&self, partition: u32, end: i64) {
        let mut state = self.lock();
        let slot = state.slot(partition);
        slot.end = slot.end.max(Some(end));
    }

    /// Hands over what was read for a cursor, unless the caller has sought meanwhile.
    pub(crate) fn push(&self, cursor: &Cursor, chunks: Vec<Chunk>) {
        let mut state = self.lock();
        let slot = state.slot(cursor.partition);
        if slot.epoch != cursor.epoch {
            return;
        }
        if slot.paused {
            slot.resume_at = slot.resume_at.or(chunks.first().map(|first| first.first_offset));
            return;
        }
        if state.closed || state.stopped {
            return;
        }
        for chunk in chunks {
            state.add(cursor.partition, Item::Chunk(chunk));
        }
        drop(state);
        self.readable.notify_waiters();
    }

    /// A partition was read to its end. Gives the cursor back if the caller has sought, or paused, meanwhile.
    pub(crate) fn finish(&self, cursor: Cursor) -> Option<Cursor> {
        let mut state = self.lock();
        let slot = state.slot(cursor.partition);
        if slot.epoch != cursor.epoch || slot.resume_at.is_some() {
            return Some(cursor);
        }
        slot.finished = true;
        slot.parked = Some(cursor);
        drop(state);
        self.readable.notify_waiters();
        None
    }

    /// A partition stands at an error, behind what is ready of it. Gives the cursor back if the caller has sought
    /// meanwhile.
    pub(crate) fn fail(&self, cursor: Cursor, error: Error) -> Option<Cursor> {
        let mut state = self.lock();
        let partition = cursor.partition;
        let slot = state.slot(partition);
        if slot.epoch != cursor.epoch {
            return Some(cursor);
        }
        for waiting in slot.sought.drain(..) {
            let _ = waiting.send(Err(error.clone()));
        }
        slot.parked = Some(cursor);
        state.add(partition, Item::Error(error));
        drop(state);
        self.readable.notify_waiters();
        None
    }

    /// Nothing goes on after this.
    pub(crate) fn end(&self, error: Error) {
        let mut state = self.lock();
        state.fatal.get_or_insert(error);
        state.slots.values_mut().for_each(|slot| slot.sought.clear());
        drop(state);
        self.readable.notify_waiters();
        self.room.notify_waiters();
    }
}

async fn until(bell: &Notify, holds: impl Fn() -> bool) {
    loop {
        let rung = bell.notified();
        tokio::pin!(rung);
        rung.as_mut().enable();
        if holds() {
            return;
        }
        rung.await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::error::ErrorKind;

    /// A chunk of one record of `bytes` bytes.
    fn chunk(partition: u32, offset: i64, bytes: usize) -> Chunk {
        Chunk {
            partition,
            count: 1,
            first_offset: offset,
            next_offset: offset + 1,
            bytes: bytes as u64,
            payload: vec![0; bytes],
            seeks: 0,
        }
    }

    fn cursor(partition: u32) -> Cursor {
        Cursor::new(partition, Start::At(0), 1)
    }

    fn push(chunks: &Chunks, partition: u32, offsets: std::ops::Range<i64>, bytes: usize) {
        chunks.push(&cursor(partition), offsets.map(|offset| chunk(partition, offset, bytes)).collect());
    }

    /// Partition and offset of what is handed out next.
    fn take(chunks: &Chunks) -> Option<(u32, i64)> {
        match chunks.take().unwrap() {
            Take::Chunk(chunk) => Some((chunk.partition, chunk.first_offset)),
            Take::Empty | Take::End => None,
        }
    }

    fn take_all(chunks: &Chunks) -> Vec<(u32, i64)> {
        std::iter::from_fn(|| take(chunks)).collect()
    }

    #[test]
    fn partitions_take_turns() {
        let chunks = Chunks::new(&[0, 1, 2], 100);
        push(&chunks, 0, 0..3, 1);
        push(&chunks, 1, 0..2, 1);
        push(&chunks, 2, 0..1, 1);
        assert_eq!(take_all(&chunks), [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (0, 2)]);
    }

    #[test]
    fn a_partition_that_had_nothing_comes_first() {
        let chunks = Chunks::new(&[0, 1, 2], 100);
        push(&chunks, 0, 0..9, 1);
        push(&chunks, 1, 0..9, 1);
        assert_eq!([take(&chunks), take(&chunks), take(&chunks)], [Some((0, 0)), Some((1, 0)), Some((0, 1))]);
        push(&chunks, 2, 0..1, 1);
        assert_eq!(take(&chunks), Some((2, 0)));
        // It was served just now, and waits for its turn like the others.
        push(&chunks, 2, 1..2, 1);
        assert_eq!([take(&chunks), take(&chunks), take(&chunks)], [Some((1, 1)), Some((0, 2)), Some((2, 1))]);
    }

    #[test]
    fn what_is_fresh_can_be_taken_alone() {
        let chunks = Chunks::new(&[0, 1], 100);
        push(&chunks, 0, 0..2, 1);
        assert_eq!(take(&chunks), Some((0, 0)));
        assert!(chunks.take_fresh().is_none());
        push(&chunks, 1, 5..6, 1);
        assert_eq!(chunks.take_fresh().map(|chunk| (chunk.partition, chunk.first_offset)), Some((1, 5)));
        assert!(chunks.take_fresh().is_none());
        chunks.fail(cursor(1), Error::new(ErrorKind::CorruptRecord, "broken"));
        assert!(chunks.take_fresh().is_none(), "an error waits for its turn");
        assert_eq!(take(&chunks), Some((0, 1)));
    }

    #[test]
    fn an_error_stays_until_its_partition_goes_elsewhere() {
        let chunks = Chunks::new(&[0, 1], 100);
        push(&chunks, 0, 0..1, 1);
        chunks.fail(cursor(0), Error::new(ErrorKind::CorruptRecord, "broken"));
        assert_eq!(take(&chunks), Some((0, 0)), "what comes before it");
        assert!(chunks.take().is_err());
        push(&chunks, 1, 0..2, 1);
        assert!(chunks.take().is_err());
        chunks.pause(&[0]);
        assert_eq!(take(&chunks), Some((1, 0)));
        chunks.resume(&[0]);
        assert!(chunks.take().is_err());
        chunks.seek(0, Start::At(7)).unwrap();
        assert_eq!(take_all(&chunks), [(1, 1)]);
    }

    #[test]
    fn a_backlog_leaves_room_for_partitions_that_have_nothing() {
        let chunks = Chunks::new(&[0, 1], 100);
        push(&chunks, 0, 0..8, 10);
        assert!(!chunks.admits(0), "three quarters are used up");
        assert!(chunks.admits(1) && chunks.admits_replies());
        push(&chunks, 1, 0..2, 10);
        assert!(!chunks.admits(1) && !chunks.admits_replies());
    }

    #[tokio::test]
    async fn whoever_was_refused_room_is_told_when_there_may_be_some() {
        let chunks = Chunks::new(&[0, 1], 100);
        push(&chunks, 0, 0..12, 10);
        push(&chunks, 1, 0..1, 10);
        let mut refused = 0;
        loop {
            let round = chunks.rounds();
            if chunks.admits(1) {
                break;
            }
            refused += 1;
            let mut told = poll_of(chunks.room_since(round));
            while chunks.rounds() == round {
                assert!(!told(), "nothing has left that could make room");
                take(&chunks).unwrap();
            }
            assert!(told());
        }
        assert!(refused > 0);
    }

    /// Polls a future once each time.
    fn poll_of(future: impl Future<Output = ()>) -> impl FnMut() -> bool {
        let mut future = Box::pin(future);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        move || future.as_mut().poll(&mut context).is_ready()
    }
}
