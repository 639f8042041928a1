//! What stands between a member and its reader: which of its partitions may be handed out, and what the reader is still
//! to be told. Pure; [`super::super::subscription::Subscription`] holds the lock.
//!
//! *A change is told in the reading task*, which acknowledges it once its callback has run. Until then nothing is
//! handed over, so a reader never sees records of a partition that it has not heard of, nor of one that it has
//! given up.
//!
//! | a partition is | the epoch slot has | until |
//! |---|---|---|
//! | gained: ASSIGNED is not acknowledged | -1 | the acknowledgement |
//! | read | the epoch | it moves, or is lost |
//! | moving: REVOKED is not acknowledged | -1 | the acknowledgement, after which it is given up; or it stays |
//!
//! What nobody was told of is taken back without a word.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::slots::Slots;

/// What became of partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum GroupChangeKind {
    /// They are read from now on.
    Assigned = 1,
    /// They are given up once this is acknowledged.
    Revoked = 2,
    /// They are gone.
    Lost = 3,
}

/// A change of what a member of a group reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupChange {
    /// What.
    pub kind: GroupChangeKind,
    /// Its number, never repeated.
    pub number: u64,
    /// The partitions, each with the epoch under which the member owns it, or did.
    pub partitions: Vec<(u32, i64)>,
}

#[derive(Debug, Clone, Copy)]
struct Holding {
    epoch: i64,
    is_known: bool,
    is_moving: bool,
}

/// Whether a partition that moves can be given up at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Revocation {
    /// Its reader never knew of it.
    Unknown,
    /// Its reader has nothing of it in hand.
    Now,
    /// When the reader has acknowledged it.
    Later,
}

/// Whether a partition that was to be given up goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// Where it was.
    GoesOn,
    /// The reader has been told otherwise: when that is acknowledged, it begins anew.
    BeginsAnew,
}

/// See above.
#[derive(Debug)]
pub(crate) struct Gate {
    slots: Arc<Slots>,
    holdings: BTreeMap<u32, Holding>,
    changes: VecDeque<GroupChange>,
    last: u64,
    /// The change that the reader was told.
    told: Option<u64>,
    /// Whether the reader waits, with nothing in hand.
    pub(crate) is_idle: bool,
    /// Whether what moves waits for its acknowledgement also where the reader has nothing in hand.
    revoke_waits: bool,
    /// Whether the member owns all that it is going to own for now.
    pub(crate) is_settled: bool,
}

impl Gate {
    pub(crate) fn new(slots: Arc<Slots>, revoke_waits: bool) -> Self {
        Self {
            slots,
            holdings: BTreeMap::new(),
            changes: VecDeque::new(),
            last: 0,
            told: None,
            is_idle: false,
            revoke_waits,
            is_settled: false,
        }
    }

    /// Where the member and its reader meet.
    pub(crate) fn slots(&self) -> &Arc<Slots> {
        &self.slots
    }

    /// Whether the reader is to be told something.
    pub(crate) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Under which epoch the partition may be handed out.
    pub(crate) fn epoch(&self, partition: u32) -> Option<i64> {
        let holding = self.holdings.get(&partition)?;
        (holding.is_known && !holding.is_moving).then_some(holding.epoch)
    }

    /// Under which epoch the member owns the partition.
    pub(crate) fn owned(&self, partition: u32) -> Option<i64> {
        self.holdings.get(&partition).map(|holding| holding.epoch)
    }

    /// Everything that the member owns, with the epochs.
    pub(crate) fn all(&self) -> Vec<(u32, i64)> {
        self.holdings.iter().map(|(partition, holding)| (*partition, holding.epoch)).collect()
    }

    /// What of that the reader knows of.
    pub(crate) fn known(&self) -> Vec<(u32, i64)> {
        let known = self.holdings.iter().filter(|(_, holding)| holding.is_known);
        known.map(|(partition, holding)| (*partition, holding.epoch)).collect()
    }

    /// Adds to the last change of that kind if nobody knows of it, else begins a new one.
    fn tell(&mut self, kind: GroupChangeKind, partition: u32, epoch: i64) {
        match self.changes.back_mut() {
            Some(last) if last.kind == kind && self.told != Some(last.number) => {
                last.partitions.push((partition, epoch))
            }
            _ => {
                self.last += 1;
                let partitions = vec![(partition, epoch)];
                self.changes.push_back(GroupChange { kind, number: self.last, partitions });
            }
        }
        self.slots.touch();
    }

    /// Takes back what nobody was told; false: somebody was, or it was never said.
    fn unsay(&mut self, kind: GroupChangeKind, partition: u32, epoch: i64) -> bool {
        let told = self.told;
        let untold = self.changes.iter_mut().filter(|change| change.kind == kind && Some(change.number) != told);
        let mut found = false;
        for change in untold {
            let before = change.partitions.len();
            change.partitions.retain(|one| *one != (partition, epoch));
            found |= change.partitions.len() < before;
        }
        self.changes.retain(|change| !change.partitions.is_empty());
        self.slots.touch();
        found
    }

    // ---- the member's side

    /// The partition is read from now on.
    pub(crate) fn assign(&mut self, partition: u32, epoch: i64) {
        self.holdings.insert(partition, Holding { epoch, is_known: false, is_moving: false });
        self.tell(GroupChangeKind::Assigned, partition, epoch);
    }

    /// The partition moves: nothing of it is handed out any more.
    pub(crate) fn revoke(&mut self, partition: u32, epoch: i64) -> Revocation {
        let Some(holding) = self.holdings.get_mut(&partition).filter(|holding| holding.epoch == epoch) else {
            return Revocation::Unknown;
        };
        holding.is_moving = true;
        self.slots.set_epoch(partition, -1);
        if self.unsay(GroupChangeKind::Assigned, partition, epoch) {
            self.holdings.remove(&partition);
            return Revocation::Unknown;
        }
        self.tell(GroupChangeKind::Revoked, partition, epoch);
        if self.is_idle && !self.revoke_waits {
            self.holdings.remove(&partition);
            return Revocation::Now;
        }
        Revocation::Later
    }

    /// The partition does not move after all.
    pub(crate) fn keep(&mut self, partition: u32, epoch: i64) -> Keeping {
        if !self.unsay(GroupChangeKind::Revoked, partition, epoch) {
            return Keeping::BeginsAnew;
        }
        if let Some(holding) = self.holdings.get_mut(&partition).filter(|holding| holding.epoch == epoch) {
            holding.is_moving = false;
            if holding.is_known {
                self.slots.set_epoch(partition, epoch);
            }
        }
        Keeping::GoesOn
    }

    /// The partition is gone.
    pub(crate) fn lose(&mut self, partition: u32, epoch: i64) {
        if self.holdings.get(&partition).is_some_and(|holding| holding.epoch == epoch) {
            self.holdings.remove(&partition);
            self.slots.set_epoch(partition, -1);
        }
        if self.unsay(GroupChangeKind::Assigned, partition, epoch) {
            return;
        }
        self.unsay(GroupChangeKind::Revoked, partition, epoch);
        self.tell(GroupChangeKind::Lost, partition, epoch);
    }

    /// The lease has ended.
    pub(crate) fn lapse(&mut self) {
        self.slots.touch();
    }

    // ---- the reader's side

    /// The oldest change that is not acknowledged; the reader knows of it from now on. Without one it knows of all.
    pub(crate) fn change(&mut self) -> Option<GroupChange> {
        let change = self.changes.front().cloned();
        self.told = change.as_ref().map(|change| change.number);
        if change.is_none() {
            self.slots.looked_at();
        }
        change
    }

    /// The reader has dealt with a change: what is to be given up now.
    pub(crate) fn acknowledge(&mut self, number: u64) -> Vec<(u32, i64)> {
        let mut released = Vec::new();
        if self.changes.front().is_none_or(|change| change.number != number) {
            return released;
        }
        let Some(change) = self.changes.pop_front() else { return released };
        self.told = None;
        for (partition, epoch) in change.partitions {
            let Some(holding) = self.holdings.get_mut(&partition).filter(|holding| holding.epoch == epoch) else {
                continue;
            };
            match change.kind {
                GroupChangeKind::Assigned => {
                    holding.is_known = true;
                    // What was marked is of before: the reading task, which calls this, marks nothing meanwhile.
                    self.slots.mark(partition).store(-1, Ordering::SeqCst);
                    if !holding.is_moving {
                        self.slots.set_epoch(partition, epoch);
                    }
                }
                GroupChangeKind::Revoked => {
                    self.holdings.remove(&partition);
                    released.push((partition, epoch));
                }
                GroupChangeKind::Lost => {}
            }
        }
        self.slots.touch();
        released
    }
}

#[cfg(test)]
mod tests;
