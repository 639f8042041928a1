//! What the caller and the fetchers share: what is assigned and what is ready, under one lock, and the wake-ups in
//! either direction. The caller never waits for a fetcher; a fetcher waits for the caller only for room.
//!
//! The lock is held for moments, and no other lock is taken under it. All wake-ups come after it was released.

mod gated;

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot, watch};

use super::assignment::{Assigned, Assignment, Custody, Directive};
use super::cursor::Cursor;
use super::group::Gate;
use super::ready_queue::{ReadyQueue, Taken};
use super::{Chunk, PartitionState, Start, Take};
use crate::error::{Error, Result};

struct State {
    assignment: Assignment,
    ready: ReadyQueue,
    /// With a group: what its member and the reader have to do with each other.
    gate: Option<Gate>,
    /// Why nothing is read any more.
    fatal: Option<Error>,
    stopped: bool,
    closed: bool,
}

impl State {
    /// Whether nothing more will be read.
    fn is_over(&self) -> bool {
        self.closed || self.stopped || self.fatal.is_some()
    }

    /// Whether [`Subscription::take`] would say [`Take::Empty`]. `lapsed`: the reader found that there was no lease, and
    /// waits for one, whatever is ready.
    fn is_empty(&self, lapsed: bool) -> bool {
        if self.is_over() {
            return false;
        }
        match &self.gate {
            Some(gate) if gate.has_changes() => false,
            Some(gate) if !gate.slots().has_lease() => true,
            _ => !lapsed && !self.ready.is_ready() && !self.is_finished(),
        }
    }

    /// Whether everything was read to the ends that `stop_at_end` set.
    fn is_finished(&self) -> bool {
        self.gate.as_ref().is_none_or(|gate| gate.is_settled) && self.assignment.is_finished()
    }

    /// What a member's reader is to do before it takes anything.
    fn barred(&mut self) -> Option<Take> {
        let gate = self.gate.as_mut()?;
        gate.is_idle = false;
        if gate.has_changes() {
            return Some(Take::Changed);
        }
        (!gate.slots().take() && self.fatal.is_none()).then_some(Take::Empty)
    }

    /// Whether all start offsets are known, or why one cannot be. `None`: not yet.
    fn resolved(&self) -> Option<Result<()>> {
        let mut unresolved = self.assignment.states().filter(|state| state.position.is_none()).peekable();
        if unresolved.peek().is_none() && self.fatal.is_none() {
            return Some(Ok(()));
        }
        let error = unresolved.find_map(|state| self.ready.error(state.partition)).or(self.fatal.as_ref())?;
        Some(Err(error.clone()))
    }
}

/// What one consumer reads.
pub(crate) struct Subscription {
    state: Mutex<State>,
    /// Wakes the caller: something is ready, or nothing will be.
    readable: Notify,
    /// Wakes fetchers: there may be room, or they are to end.
    room: Notify,
    /// Rises whenever fetchers are to ask for directives.
    directives: watch::Sender<u64>,
}

impl Subscription {
    /// Nothing yet of the `discovered` partitions of `topic`; with room for `budget` bytes that are read ahead.
    pub(super) fn new(topic: &str, discovered: u32, stop_at_end: bool, budget: usize) -> Self {
        let state = State {
            assignment: Assignment::new(topic, discovered, stop_at_end),
            ready: ReadyQueue::new(budget),
            gate: None,
            fatal: None,
            stopped: false,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            readable: Notify::new(),
            room: Notify::new(),
            directives: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the fetchers ask for directives.
    fn direct(&self) {
        self.directives.send_modify(|number| *number += 1);
        self.room.notify_waiters();
    }

    // ---- the caller's side

    /// What is ready now.
    pub(super) fn take(&self) -> Result<Take> {
        let mut state = self.lock();
        if state.closed {
            return Err(Error::closed("consumer"));
        }
        if state.stopped {
            return Ok(Take::End);
        }
        if let Some(barred) = state.barred() {
            return Ok(barred);
        }
        if let Some(taken) = state.ready.take()? {
            return Ok(Take::Chunk(self.hand_out(state, taken)));
        }
        match &state.fatal {
            Some(error) => Err(error.clone()),
            None if state.is_finished() => Ok(Take::End),
            None => Ok(Take::Empty),
        }
    }

    /// A chunk of a partition that had nothing ready before, if there is one.
    pub(super) fn take_fresh(&self) -> Option<Chunk> {
        let mut state = self.lock();
        if state.is_over() || state.barred().is_some() {
            return None;
        }
        let taken = state.ready.take_fresh()?;
        Some(self.hand_out(state, taken))
    }

    fn hand_out(&self, mut state: MutexGuard<'_, State>, taken: Taken) -> Chunk {
        let Taken { mut chunk, announces_room } = taken;
        state.assignment.hand_out(&mut chunk);
        chunk.epoch = state.gate.as_ref().and_then(|gate| gate.epoch(chunk.partition));
        drop(state);
        if announces_room {
            self.room.notify_waiters();
        }
        chunk
    }

    /// Waits until [`Self::take`] would not say [`Take::Empty`]; of a member without a lease, until it has one.
    pub(super) async fn ready(&self) {
        let lapsed = self.begin_to_wait();
        until(&self.readable, || !self.lock().is_empty(lapsed)).await;
    }

    /// Waits until all start offsets are known, or one cannot be.
    pub(super) async fn resolved(&self) -> Result<()> {
        until(&self.readable, || self.lock().resolved().is_some()).await;
        self.lock().resolved().unwrap_or(Ok(()))
    }

    /// An error if one of the partitions is not assigned.
    pub(super) fn require(&self, partitions: &[u32]) -> Result<()> {
        self.lock().assignment.require(partitions)
    }

    /// Assigns partitions: all of them, or none if one already is. A cursor is to be made of each.
    pub(super) fn assign(&self, partitions: &[u32]) -> Result<Vec<Assigned>> {
        let mut state = self.lock();
        if state.closed || state.stopped {
            return Err(Error::closed("consumer"));
        }
        state.assignment.assign(partitions)
    }

    /// Assigns the partitions that the topic has beyond those that were known, now that it has `count`.
    pub(super) fn discover(&self, count: u32) -> Vec<Assigned> {
        self.lock().assignment.discover(count)
    }

    /// Takes partitions away: what is ready of them is dropped, and nothing more is handed out. All of them, or none if
    /// one is not assigned.
    pub(super) fn revoke(&self, partitions: &[u32]) -> Result<()> {
        let mut state = self.lock();
        state.assignment.require(partitions)?;
        for partition in partitions {
            state.assignment.revoke(*partition);
            state.ready.remove(*partition);
        }
        state.ready.announce_room();
        drop(state);
        self.direct();
        // The rest may be finished.
        self.readable.notify_waiters();
        Ok(())
    }

    /// Goes on elsewhere in a partition: what is ready of it is dropped. Gives the cursor if no fetcher has it, and
    /// what resolves to the new position.
    pub(super) fn seek(
        &self,
        partition: u32,
        start: Start,
    ) -> Result<(Option<Cursor>, oneshot::Receiver<Result<i64>>)> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.lock();
        state.assignment.require(&[partition])?;
        if state.closed || state.stopped {
            return Err(Error::closed("consumer"));
        }
        if let Some(error) = &state.fatal {
            return Err(error.clone());
        }
        let cursor = state.assignment.seek(partition, start, sender)?;
        state.ready.clear(partition);
        state.ready.announce_room();
        drop(state);
        self.direct();
        Ok((cursor, receiver))
    }

    /// Holds partitions back until they are resumed: what is ready of them is dropped, and read again then.
    pub(super) fn pause(&self, partitions: &[u32]) -> Result<()> {
        let mut state = self.lock();
        state.assignment.require(partitions)?;
        for partition in partitions {
            let dropped = state.ready.hold(*partition);
            state.assignment.pause(*partition, dropped);
        }
        state.ready.announce_room();
        drop(state);
        self.direct();
        Ok(())
    }

    /// Goes on with partitions; gives the cursors that no fetcher has.
    pub(super) fn resume(&self, partitions: &[u32]) -> Result<Vec<Cursor>> {
        let mut state = self.lock();
        state.assignment.require(partitions)?;
        let mut cursors = Vec::new();
        for partition in partitions {
            state.ready.release(*partition);
            let at_error = state.ready.error(*partition).is_some();
            cursors.extend(state.assignment.resume(*partition, at_error));
        }
        drop(state);
        self.direct();
        self.readable.notify_waiters();
        Ok(cursors)
    }

    /// The partitions, where the caller is in them, and where they end.
    pub(super) fn partitions(&self) -> Vec<PartitionState> {
        self.lock().assignment.states().collect()
    }

    /// Where the reading of a partition began, or was sought to last, once that is known.
    pub(super) fn start(&self, partition: u32) -> Result<Option<i64>> {
        self.lock().assignment.start(partition)
    }

    /// Where the caller is in a partition, once its start is known.
    pub(super) fn position(&self, partition: u32) -> Option<i64> {
        self.lock().assignment.position(partition)
    }

    /// Ends handing out: what is ready is dropped.
    pub(super) fn stop(&self) {
        self.end_with(|state| state.stopped = true);
    }

    /// Ends everything.
    pub(super) fn close(&self) {
        self.end_with(|state| state.closed = true);
    }

    fn end_with(&self, how: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        how(&mut state);
        state.ready.clear_all();
        state.assignment.drop_seek_waiters();
        drop(state);
        self.readable.notify_waiters();
        self.room.notify_waiters();
    }

    // ---- the fetchers' side; what their calls mean is drawn in `assignment`

    /// Changes whenever fetchers are to ask for directives.
    pub(super) fn directives(&self) -> watch::Receiver<u64> {
        self.directives.subscribe()
    }

    /// What the caller wants of the cursor's partition. A new start is put into the cursor.
    pub(super) fn directive(&self, cursor: &mut Cursor) -> Directive {
        self.lock().assignment.directive(cursor)
    }

    /// Takes the cursor of a paused partition. Gives it back if the caller wants something else by now.
    #[must_use]
    pub(super) fn park(&self, cursor: Cursor) -> Option<Cursor> {
        self.lock().assignment.park(cursor).returned()
    }

    /// The start of the cursor is known, and the end of its log.
    pub(super) fn resolve(&self, cursor: &Cursor, end: i64) {
        self.lock().assignment.resolve(cursor, end);
        self.readable.notify_waiters();
    }

    /// The log of a partition reaches at least to `end`.
    pub(super) fn note_end(&self, partition: u32, end: i64) {
        self.lock().assignment.note_end(partition, end);
    }

    /// Makes chunks ready that were read for the cursor, unless the caller wants something else by now. None: nothing
    /// is left to hand out before the cursor's place.
    pub(super) fn deliver(&self, cursor: &Cursor, chunks: Vec<Chunk>) {
        let mut state = self.lock();
        let first = chunks.first().map(Chunk::place);
        if !state.assignment.accepts(cursor, first) || state.closed || state.stopped {
            return;
        }
        if chunks.is_empty() {
            if !state.ready.extend(cursor.partition, cursor.next()) {
                state.assignment.advance(cursor);
            }
            return;
        }
        state.ready.push(cursor.partition, chunks);
        drop(state);
        self.readable.notify_waiters();
    }

    /// Takes the cursor of a partition that was read to its end. Gives it back if the caller wants something else by
    /// now.
    #[must_use]
    pub(super) fn finish(&self, cursor: Cursor) -> Option<Cursor> {
        let custody = self.lock().assignment.finish(cursor);
        self.readable.notify_waiters();
        custody.returned()
    }

    /// Takes the cursor of a partition that stands at an error, behind what is ready of it. Gives it back if the caller
    /// wants something else by now.
    #[must_use]
    pub(super) fn fail(&self, cursor: Cursor, error: Error) -> Option<Cursor> {
        let mut state = self.lock();
        let partition = cursor.partition;
        let custody = state.assignment.fail(cursor, &error);
        if matches!(custody, Custody::Parked) {
            state.ready.push_error(partition, error);
        }
        drop(state);
        self.readable.notify_waiters();
        custody.returned()
    }

    /// Ends everything with an error.
    pub(super) fn end(&self, error: Error) {
        let mut state = self.lock();
        state.fatal.get_or_insert(error);
        state.assignment.drop_seek_waiters();
        drop(state);
        self.readable.notify_waiters();
        self.room.notify_waiters();
    }

    // ---- room

    /// Whether `bytes` more may be read ahead.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.lock().ready.has_room(bytes)
    }

    /// Whether more of a partition may be made ready. A fetcher that is refused waits for [`Self::room_since`].
    pub(super) fn admits(&self, partition: u32) -> bool {
        self.lock().ready.admits(partition)
    }

    /// Whether replies are to be read at all. A fetcher that is refused waits for [`Self::room_since`].
    pub(super) fn admits_replies(&self) -> bool {
        self.lock().ready.admits_replies()
    }

    /// How often room was announced. To be asked before asking for room.
    pub(super) fn room_announcements(&self) -> u64 {
        self.lock().ready.announcements()
    }

    /// Waits until room has been announced more often than `before`, or nothing more will be read.
    pub(super) async fn room_since(&self, before: u64) {
        until(&self.room, || {
            let state = self.lock();
            state.ready.announcements() != before || state.is_over()
        })
        .await;
    }

    // ---- the end

    /// Whether nothing more will be read.
    pub(super) fn is_over(&self) -> bool {
        self.lock().is_over()
    }

    /// Waits until nothing more will be read.
    pub(super) async fn wait_over(&self) {
        until(&self.room, || self.is_over()).await;
    }

    /// Waits until the caller has closed it.
    pub(super) async fn wait_closed(&self) {
        until(&self.room, || self.lock().closed).await;
    }

    /// What `work` comes to; `None` if nothing more will be read before that.
    pub(super) async fn unless_over<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.wait_over() => None,
        }
    }

    /// Waits until the cursor's partition is revoked.
    pub(super) async fn wait_revoked(&self, cursor: &Cursor) {
        until(&self.room, || self.lock().assignment.is_revoked(cursor)).await;
    }
}

/// Waits until the condition holds, which changes only before a notification.
async fn until(notify: &Notify, holds: impl Fn() -> bool) {
    loop {
        let notified = notify.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if holds() {
            return;
        }
        notified.await;
    }
}

#[cfg(test)]
mod tests;
