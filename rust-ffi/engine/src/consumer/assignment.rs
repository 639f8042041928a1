//! Which partitions a consumer reads, and what the caller wants of each: seeks, pauses, positions. Pure: it has no
//! lock, no clock and no I/O of its own; [`super::subscription::Subscription`] holds the lock.
//!
//! *One cursor.* A partition is read through one cursor, which says where reading goes on. Either a fetcher has the
//! cursor, or it is parked here:
//!
//! | state | the cursor is | until |
//! |---|---|---|
//! | reading | with a fetcher, or on its way to one | the fetcher parks, finishes or fails it |
//! | paused | parked | `resume`; or `seek`, after which a fetcher finds the new start and parks it again |
//! | finished: the end that `stop_at_end` set was reached | parked | `seek` |
//! | failed: an error is the last ready item | parked | `seek` |
//! | revoked: the partition has no entry | dropped by the fetcher that has it | `assign`, with a new cursor |
//!
//! *Epochs.* A number that never repeats is drawn for each assignment of a partition and for each seek in it. A cursor
//! has the epoch under which it reads; so what a fetcher says is compared with what the caller wants by now:
//!
//! | a fetcher says | of this epoch | this epoch, paused | older: the caller has sought | of a revoked assignment |
//! |---|---|---|---|---|
//! | `directive`: what now? | continue | park | restart at the new start | abandon |
//! | `park`: it is paused | returned | parked | returned | dropped |
//! | `accepts`: chunks are here | yes | no: read again on `resume` | no | no |
//! | `finish`: the end is reached | parked | parked | returned | dropped |
//! | `fail`: it stands at an error | parked | parked | returned | dropped |
//! | `resolve`: the start is known | position set | position set | - | - |
//!
//! A cursor that is *returned* stays with the fetcher, which asks for a directive again. A cursor that is parked while
//! chunks behind it were dropped by a pause goes back to the first of these, and is neither finished nor failed.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;

use super::cursor::Cursor;
use super::place::Place;
use super::{PartitionState, Start};
use crate::error::{Error, ErrorKind, Result, first_few};

/// What a fetcher is to do with a cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Directive {
    /// Go on.
    Continue,
    /// Find the new start, which is in the cursor: the caller has sought.
    Restart,
    /// Park it: the caller has paused the partition.
    Park,
    /// Drop it: the partition was revoked.
    Abandon,
}

/// What became of a cursor that a fetcher wanted to park.
#[derive(Debug)]
pub(super) enum Custody {
    /// It is parked.
    Parked,
    /// It is parked, at an earlier offset, from which on a pause has dropped chunks.
    Rewound,
    /// The caller wants something else by now: the fetcher keeps it.
    Returned(Cursor),
    /// The partition was revoked, and the cursor dropped.
    Dropped,
}

impl Custody {
    /// The cursor, if the fetcher keeps it.
    pub(super) fn returned(self) -> Option<Cursor> {
        match self {
            Self::Returned(cursor) => Some(cursor),
            Self::Parked | Self::Rewound | Self::Dropped => None,
        }
    }
}

/// A partition that has just been assigned and has no cursor yet: exactly one is to be made of it.
#[derive(Debug)]
pub(crate) struct Assigned {
    pub(super) partition: u32,
    pub(super) epoch: u64,
}

/// One partition.
#[derive(Debug, Default)]
struct AssignedPartition {
    /// The epoch drawn when it was assigned. A cursor with an earlier one belongs to an assignment that was revoked.
    first_epoch: u64,
    /// The epoch drawn last. What was read under an earlier one is not wanted any more.
    epoch: u64,
    /// How often the caller has sought, over all assignments of the partition.
    seeks: u32,
    /// Where the last seek goes, until a fetcher has taken it up.
    seek: Option<Start>,
    /// Calls of `seek` that wait for the new position.
    seek_waiters: Vec<oneshot::Sender<Result<i64>>>,
    paused: bool,
    /// The place before what was dropped because the partition is paused. Only a paused partition has one.
    resume_at: Option<Place>,
    /// The place to which the seek goes back that [`Assignment::resume`] makes.
    back: Option<Place>,
    /// The cursor, while no fetcher has it.
    parked: Option<Cursor>,
    /// Whether it was read to the end that `stop_at_end` set.
    finished: bool,
    /// Where reading began, or was sought to last, once that is known.
    start: Option<i64>,
    /// Where the caller goes on, once the start is known.
    position: Option<i64>,
    /// The end of the log, as far as it was seen.
    end: Option<i64>,
}

/// How the epoch of a cursor stands to the partition's.
#[derive(Debug, PartialEq, Eq)]
enum Age {
    Current,
    Sought,
    Revoked,
}

impl AssignedPartition {
    fn age(&self, cursor: &Cursor) -> Age {
        match cursor.epoch {
            epoch if epoch == self.epoch => Age::Current,
            epoch if epoch >= self.first_epoch => Age::Sought,
            _ => Age::Revoked,
        }
    }

    /// Keeps a cursor of the current epoch.
    fn keep(&mut self, mut cursor: Cursor) -> Custody {
        let custody = match self.resume_at.take() {
            Some(first) => {
                cursor.go_back(first);
                Custody::Rewound
            }
            None => Custody::Parked,
        };
        self.parked = Some(cursor);
        custody
    }
}

/// The partitions of one topic that one consumer reads.
#[derive(Debug)]
pub(super) struct Assignment {
    topic: String,
    /// Whether reading ends where the logs ended when it began.
    stop_at_end: bool,
    partitions: BTreeMap<u32, AssignedPartition>,
    last_epoch: u64,
    /// Partitions from this number on have not been heard of yet.
    discovered: u32,
    /// The seeks of revoked partitions. Their number goes on with the next assignment, so that the caller can tell
    /// chunks that it took before from those of the new one.
    revoked_seeks: BTreeMap<u32, u32>,
}

impl Assignment {
    /// None of the `discovered` partitions that the topic has.
    pub(super) fn new(topic: &str, discovered: u32, stop_at_end: bool) -> Self {
        Self {
            topic: topic.to_owned(),
            stop_at_end,
            partitions: BTreeMap::new(),
            last_epoch: 0,
            discovered,
            revoked_seeks: BTreeMap::new(),
        }
    }

    fn error(&self, kind: ErrorKind, partition: u32, what: &str) -> Error {
        let text = format!("partition {partition} of topic \"{}\" {what}", self.topic);
        Error::new(kind, text).with_topic(&self.topic).with_partition(partition)
    }

    fn not_assigned(&self, partition: u32) -> Error {
        let read = first_few(self.partitions.keys());
        let what = format!("is not read by this consumer: it reads {read}");
        self.error(ErrorKind::PartitionNotFound, partition, &what)
    }

    /// The partition to which the cursor belongs; `None` if that was revoked.
    fn of(&mut self, cursor: &Cursor) -> Option<(Age, &mut AssignedPartition)> {
        let partition = self.partitions.get_mut(&cursor.partition)?;
        match partition.age(cursor) {
            Age::Revoked => None,
            age => Some((age, partition)),
        }
    }

    // ---- what the caller wants

    /// An error if one of the partitions is not assigned.
    pub(super) fn require(&self, partitions: &[u32]) -> Result<()> {
        match partitions.iter().find(|partition| !self.partitions.contains_key(partition)) {
            None => Ok(()),
            Some(other) => Err(self.not_assigned(*other)),
        }
    }

    /// Assigns partitions: all of them, or none if one already is.
    pub(super) fn assign(&mut self, partitions: &[u32]) -> Result<Vec<Assigned>> {
        let mut seen = BTreeSet::new();
        if let Some(twice) = partitions.iter().find(|it| self.partitions.contains_key(it) || !seen.insert(**it)) {
            return Err(self.error(ErrorKind::Usage, *twice, "is already read by this consumer"));
        }
        Ok(partitions.iter().map(|partition| self.add(*partition)).collect())
    }

    /// Assigns the partitions that the topic has beyond those that were known, now that it has `count`.
    pub(super) fn discover(&mut self, count: u32) -> Vec<Assigned> {
        let new: Vec<u32> = (self.discovered..count).filter(|it| !self.partitions.contains_key(it)).collect();
        self.discovered = self.discovered.max(count);
        new.into_iter().map(|partition| self.add(partition)).collect()
    }

    fn add(&mut self, partition: u32) -> Assigned {
        self.last_epoch += 1;
        let epoch = self.last_epoch;
        let seeks = self.revoked_seeks.remove(&partition).map_or(0, |seeks| seeks.wrapping_add(1));
        self.partitions
            .insert(partition, AssignedPartition { first_epoch: epoch, epoch, seeks, ..AssignedPartition::default() });
        Assigned { partition, epoch }
    }

    /// Forgets a partition, its position included. The fetcher that has its cursor drops it.
    pub(super) fn revoke(&mut self, partition: u32) {
        let Some(state) = self.partitions.remove(&partition) else { return };
        self.revoked_seeks.insert(partition, state.seeks);
        for waiter in state.seek_waiters {
            let _ = waiter.send(Err(self.not_assigned(partition)));
        }
    }

    /// Goes on elsewhere in an assigned partition. Gives the cursor if it was parked. `waiter` hears the new position.
    /// An earlier seek that was not carried out gives way to this one, whose outcome its waiters hear.
    pub(super) fn seek(
        &mut self,
        partition: u32,
        start: Start,
        waiter: oneshot::Sender<Result<i64>>,
    ) -> Result<Option<Cursor>> {
        let Some(state) = self.partitions.get_mut(&partition) else { return Err(self.not_assigned(partition)) };
        self.last_epoch += 1;
        state.epoch = self.last_epoch;
        state.seeks = state.seeks.wrapping_add(1);
        state.finished = false;
        state.start = None;
        state.resume_at = None;
        state.back = None;
        state.seek = Some(start);
        state.seek_waiters.push(waiter);
        Ok(state.parked.take())
    }

    /// Pauses a partition. Chunks that were ready from `dropped` on are read again on [`Self::resume`].
    pub(super) fn pause(&mut self, partition: u32, dropped: Option<Place>) {
        let Some(state) = self.partitions.get_mut(&partition) else { return };
        state.paused = true;
        state.resume_at = state.resume_at.take().or(dropped);
        state.finished &= state.resume_at.is_none();
    }

    /// Goes on with a partition. Gives the cursor if it was parked and there is more to read, which is not so while the
    /// partition stands `at_error`.
    pub(super) fn resume(&mut self, partition: u32, at_error: bool) -> Option<Cursor> {
        let state = self.partitions.get_mut(&partition)?;
        state.paused = false;
        if let Some(first) = state.resume_at.take() {
            match &mut state.parked {
                Some(cursor) => cursor.go_back(first),
                // A fetcher has the cursor, and is ahead.
                None => {
                    self.last_epoch += 1;
                    state.epoch = self.last_epoch;
                    state.seek = Some(Start::At(first.offset));
                    state.back = Some(first);
                }
            }
        }
        if state.finished || at_error { None } else { state.parked.take() }
    }

    /// Notes that the caller takes a chunk, and the seeks that came before.
    pub(super) fn hand_out(&mut self, chunk: &mut super::Chunk) {
        if let Some(state) = self.partitions.get_mut(&chunk.partition) {
            state.position = Some(chunk.next_offset);
            chunk.seeks = state.seeks;
        }
    }

    /// Lets all calls of `seek` that wait end, since their senders are dropped.
    pub(super) fn drop_seek_waiters(&mut self) {
        self.partitions.values_mut().for_each(|state| state.seek_waiters.clear());
    }

    /// The partitions, where the caller is in them, and where they end.
    pub(super) fn states(&self) -> impl Iterator<Item = PartitionState> {
        self.partitions.iter().map(|(partition, state)| PartitionState {
            partition: *partition,
            position: state.position,
            end: state.end,
            seeks: state.seeks,
        })
    }

    /// Where the caller is in a partition, once its start is known.
    pub(super) fn position(&self, partition: u32) -> Option<i64> {
        self.partitions.get(&partition)?.position
    }

    /// Where the reading of a partition began, or was sought to last, once that is known.
    pub(super) fn start(&self, partition: u32) -> Result<Option<i64>> {
        self.partitions.get(&partition).map(|state| state.start).ok_or_else(|| self.not_assigned(partition))
    }

    /// Whether all that is assigned was read to the ends that `stop_at_end` set.
    pub(super) fn is_finished(&self) -> bool {
        self.stop_at_end && self.partitions.values().all(|state| state.finished)
    }

    // ---- what fetchers say

    /// What the caller wants of the cursor's partition. A new start is put into the cursor. A start that is not known
    /// yet is found even if the partition is paused.
    pub(super) fn directive(&mut self, cursor: &mut Cursor) -> Directive {
        match self.of(cursor) {
            None => Directive::Abandon,
            Some((Age::Current, state)) if state.paused && cursor.start.is_none() => Directive::Park,
            Some((Age::Current, _)) => Directive::Continue,
            Some((_, state)) => {
                cursor.epoch = state.epoch;
                if let Some(start) = state.seek.take() {
                    cursor.restart(start);
                }
                if let Some(place) = state.back.take() {
                    cursor.go_back(place);
                }
                Directive::Restart
            }
        }
    }

    /// Whether the cursor's partition was revoked.
    pub(super) fn is_revoked(&mut self, cursor: &Cursor) -> bool {
        self.of(cursor).is_none()
    }

    /// Takes the cursor of a paused partition.
    pub(super) fn park(&mut self, cursor: Cursor) -> Custody {
        match self.of(&cursor) {
            None => Custody::Dropped,
            Some((Age::Current, state)) if state.paused => state.keep(cursor),
            Some(_) => Custody::Returned(cursor),
        }
    }

    /// The start of the cursor is known, and the end of its log.
    pub(super) fn resolve(&mut self, cursor: &Cursor, end: i64) {
        self.note_end(cursor.partition, end);
        if let Some((Age::Current, state)) = self.of(cursor) {
            state.start.get_or_insert(cursor.next());
            state.position = Some(cursor.next());
            for waiter in state.seek_waiters.drain(..) {
                let _ = waiter.send(Ok(cursor.next()));
            }
        }
    }

    /// The log of a partition reaches at least to `end`.
    pub(super) fn note_end(&mut self, partition: u32, end: i64) {
        if let Some(state) = self.partitions.get_mut(&partition) {
            state.end = state.end.max(Some(end));
        }
    }

    /// Whether chunks that were read for the cursor, the first of them from `first` on, are wanted.
    pub(super) fn accepts(&mut self, cursor: &Cursor, first: Option<Place>) -> bool {
        match self.of(cursor) {
            Some((Age::Current, state)) if state.paused => {
                state.resume_at = state.resume_at.take().or(first);
                false
            }
            Some((age, _)) => age == Age::Current,
            None => false,
        }
    }

    /// Nothing that was read up to the cursor's place is left to be handed out.
    pub(super) fn advance(&mut self, cursor: &Cursor) {
        if let Some((Age::Current, state)) = self.of(cursor) {
            state.position = state.position.max(Some(cursor.next()));
        }
    }

    /// Takes the cursor of a partition that was read to its end.
    pub(super) fn finish(&mut self, cursor: Cursor) -> Custody {
        match self.of(&cursor) {
            None => Custody::Dropped,
            Some((Age::Current, state)) => {
                let custody = state.keep(cursor);
                state.finished = matches!(custody, Custody::Parked);
                custody
            }
            Some(_) => Custody::Returned(cursor),
        }
    }

    /// Takes the cursor of a partition that stands at an error. If it is parked, the error is to be handed out; if it
    /// is rewound, reading will meet the error again.
    pub(super) fn fail(&mut self, cursor: Cursor, error: &Error) -> Custody {
        match self.of(&cursor) {
            None => Custody::Dropped,
            Some((Age::Current, state)) => {
                for waiter in state.seek_waiters.drain(..) {
                    let _ = waiter.send(Err(error.clone()));
                }
                state.keep(cursor)
            }
            Some(_) => Custody::Returned(cursor),
        }
    }
}

#[cfg(test)]
mod tests;
