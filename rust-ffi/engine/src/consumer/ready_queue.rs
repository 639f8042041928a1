//! Chunks that are ready for the caller, within the prefetch budget. Pure: it has no lock, no clock and no I/O of its
//! own; [`super::subscription::Subscription`] holds the lock.
//!
//! *Partitions take turns*, one chunk each. A partition that had nothing ready has its turn before those that were
//! served, so a record of a quiet partition waits for one chunk of the others, however much they have ready.
//!
//! *The budget is shared*: three quarters are for partitions that read ahead; the last quarter is for partitions that
//! have nothing ready, so that a partition with a backlog does not keep the others from being read.
//!
//! *Room is announced*: a fetcher that is refused room remembers the number of announcements before it asked, and asks
//! again when that number has risen. The queue raises it only if a fetcher was refused since the last time.

use std::collections::{BTreeMap, VecDeque};

use super::Chunk;
use super::place::Place;
use crate::error::{Error, Result};

/// Something for the caller.
enum Item {
    Chunk(Chunk),
    /// Reading stopped here. The error stays until the caller seeks in the partition.
    Error(Error),
}

/// What is ready of one partition.
#[derive(Default)]
struct PartitionQueue {
    /// In the order of the log. An error is the last item.
    items: VecDeque<Item>,
    /// Whether the partition is in one of the two lists of turns.
    listed: bool,
    /// Whether nothing is handed out, because the caller has paused the partition.
    held: bool,
    /// Whether nothing is handed out, because another member of the group is to have the partition.
    frozen: bool,
}

impl PartitionQueue {
    fn may_be_served(&self) -> bool {
        !self.held && !self.frozen && !self.items.is_empty()
    }
}

/// A chunk that leaves the queue.
pub(super) struct Taken {
    pub(super) chunk: Chunk,
    /// Whether fetchers that were refused room are to be woken.
    pub(super) announces_room: bool,
}

/// The chunks that are ready, of all partitions.
pub(super) struct ReadyQueue {
    partitions: BTreeMap<u32, PartitionQueue>,
    /// Partitions with something ready that had nothing before: their turn comes first.
    fresh: VecDeque<u32>,
    /// Partitions that were served, in the order of their turns. A partition that has nothing ready leaves the list
    /// only when its turn comes: refilled at once, it does not count as fresh again.
    served: VecDeque<u32>,
    /// Bytes of the payloads.
    bytes: usize,
    /// Bytes of payloads at most, unless one reply is larger.
    budget: usize,
    /// How much of the budget is for partitions that have something ready.
    backlog_budget: usize,
    /// Whether a fetcher was refused room since the last announcement.
    refused: bool,
    /// How often room was announced.
    announcements: u64,
}

impl ReadyQueue {
    /// An empty queue for `budget` bytes.
    pub(super) fn new(budget: usize) -> Self {
        Self {
            partitions: BTreeMap::new(),
            fresh: VecDeque::new(),
            served: VecDeque::new(),
            bytes: 0,
            budget,
            backlog_budget: budget - budget / 4,
            refused: false,
            announcements: 0,
        }
    }

    // ---- what comes in

    /// Adds chunks that follow those which are ready of the partition.
    pub(super) fn push(&mut self, partition: u32, chunks: Vec<Chunk>) {
        let queue = self.partitions.entry(partition).or_default();
        for chunk in chunks {
            self.bytes += chunk.payload.len();
            queue.items.push_back(Item::Chunk(chunk));
        }
        list(&mut self.fresh, partition, queue);
    }

    /// Adds the error at which reading of the partition stopped, behind what is ready.
    pub(super) fn push_error(&mut self, partition: u32, error: Error) {
        let queue = self.partitions.entry(partition).or_default();
        queue.items.push_back(Item::Error(error));
        list(&mut self.fresh, partition, queue);
    }

    /// Nothing is left between what is ready of the partition and offset `next`; false: nothing is ready.
    pub(super) fn extend(&mut self, partition: u32, next: i64) -> bool {
        match self.partitions.get_mut(&partition).and_then(|queue| queue.items.back_mut()) {
            Some(Item::Chunk(last)) => {
                last.next_offset = next;
                true
            }
            _ => false,
        }
    }

    // ---- what goes out

    /// Takes the chunk whose turn it is. An error is not taken: it keeps the first turn until the partition is cleared
    /// or held.
    pub(super) fn take(&mut self) -> Result<Option<Taken>> {
        while let Some(partition) = self.fresh.pop_front().or_else(|| self.served.pop_front()) {
            let Some(queue) = self.partitions.get_mut(&partition) else { continue };
            if queue.may_be_served() {
                return self.serve(partition);
            }
            queue.listed = false;
        }
        Ok(None)
    }

    /// Takes a chunk of a partition that had nothing ready before, if there is one.
    pub(super) fn take_fresh(&mut self) -> Option<Taken> {
        let has_chunk = |partition: &u32| {
            let queue = self.partitions.get(partition);
            queue.is_some_and(|queue| queue.may_be_served() && matches!(queue.items.front(), Some(Item::Chunk(_))))
        };
        let index = self.fresh.iter().position(has_chunk)?;
        let partition = self.fresh.remove(index)?;
        self.serve(partition).ok().flatten()
    }

    /// Takes the first chunk of a partition that has left its list; the partition then waits for its next turn.
    fn serve(&mut self, partition: u32) -> Result<Option<Taken>> {
        let Some(queue) = self.partitions.get_mut(&partition) else { return Ok(None) };
        match queue.items.pop_front() {
            Some(Item::Chunk(chunk)) => {
                let emptied = queue.items.is_empty();
                let before = self.bytes;
                self.bytes -= chunk.payload.len();
                self.served.push_back(partition);
                let reopened = before >= self.budget && self.bytes < self.budget;
                let has_room = self.bytes <= self.backlog_budget || reopened || emptied;
                let announces_room = has_room && self.refused;
                if announces_room {
                    self.announce_room();
                }
                Ok(Some(Taken { chunk, announces_room }))
            }
            Some(Item::Error(error)) => {
                queue.items.push_front(Item::Error(error.clone()));
                self.fresh.push_front(partition);
                Err(error)
            }
            None => Ok(None),
        }
    }

    /// Whether [`Self::take`] would give a chunk or an error.
    pub(super) fn is_ready(&self) -> bool {
        let may_be_served = |partition| self.partitions.get(partition).is_some_and(PartitionQueue::may_be_served);
        self.fresh.iter().chain(&self.served).any(may_be_served)
    }

    /// The error at which reading of the partition stopped.
    pub(super) fn error(&self, partition: u32) -> Option<&Error> {
        match self.partitions.get(&partition)?.items.back() {
            Some(Item::Error(error)) => Some(error),
            _ => None,
        }
    }

    // ---- what is not wanted any more

    /// Hands out nothing of the partition until [`Self::release`]. Its chunks are dropped: gives the place before
    /// those. An error behind dropped chunks is dropped too, since reading will meet it again.
    pub(super) fn hold(&mut self, partition: u32) -> Option<Place> {
        let queue = self.partitions.entry(partition).or_default();
        queue.held = true;
        let first = match queue.items.front() {
            Some(Item::Chunk(chunk)) => chunk.place(),
            _ => return None,
        };
        self.clear(partition);
        Some(first)
    }

    /// Ends [`Self::hold`].
    pub(super) fn release(&mut self, partition: u32) {
        if let Some(queue) = self.partitions.get_mut(&partition) {
            queue.held = false;
            list(&mut self.fresh, partition, queue);
        }
    }

    /// Hands out nothing of the partition until [`Self::thaw`]; what is ready stays.
    pub(super) fn freeze(&mut self, partition: u32) {
        self.partitions.entry(partition).or_default().frozen = true;
    }

    /// Ends [`Self::freeze`].
    pub(super) fn thaw(&mut self, partition: u32) {
        if let Some(queue) = self.partitions.get_mut(&partition) {
            queue.frozen = false;
            list(&mut self.fresh, partition, queue);
        }
    }

    /// Drops everything that is ready of a partition.
    pub(super) fn clear(&mut self, partition: u32) {
        let Some(queue) = self.partitions.get_mut(&partition) else { return };
        for item in queue.items.drain(..) {
            if let Item::Chunk(chunk) = item {
                self.bytes -= chunk.payload.len();
            }
        }
    }

    /// Forgets a partition, its turn and its hold included.
    pub(super) fn remove(&mut self, partition: u32) {
        self.clear(partition);
        self.partitions.remove(&partition);
        self.fresh.retain(|listed| *listed != partition);
        self.served.retain(|listed| *listed != partition);
    }

    /// Drops everything that is ready.
    pub(super) fn clear_all(&mut self) {
        self.partitions.values_mut().for_each(|queue| queue.items.clear());
        self.bytes = 0;
    }

    // ---- room

    /// Whether `bytes` more may be read ahead.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.bytes + bytes <= self.backlog_budget
    }

    /// Whether more of a partition may be made ready: while there is room, and always while nothing of it is ready and
    /// the budget is not used up.
    pub(super) fn admits(&mut self, partition: u32) -> bool {
        let is_empty = || self.partitions.get(&partition).is_none_or(|queue| queue.items.is_empty());
        let room = self.bytes <= self.backlog_budget || (self.bytes < self.budget && is_empty());
        self.refused |= !room;
        room
    }

    /// Whether replies are to be read at all.
    pub(super) fn admits_replies(&mut self) -> bool {
        let room = self.bytes < self.budget;
        self.refused |= !room;
        room
    }

    /// Lets fetchers that were refused room ask again.
    pub(super) fn announce_room(&mut self) {
        self.refused = false;
        self.announcements += 1;
    }

    /// How often room was announced.
    pub(super) fn announcements(&self) -> u64 {
        self.announcements
    }
}

/// Gives a partition a turn, if something of it is ready and it has none.
fn list(fresh: &mut VecDeque<u32>, partition: u32, queue: &mut PartitionQueue) {
    if !queue.listed && !queue.items.is_empty() {
        queue.listed = true;
        fresh.push_back(partition);
    }
}

#[cfg(test)]
mod tests;
