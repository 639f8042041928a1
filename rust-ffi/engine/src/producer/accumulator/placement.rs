//! Where records without a key go, and what moves when a partition cannot be written.

use std::sync::Arc;

use tokio::time::Instant;

use super::partition::PartitionQueue;
use super::records::Record;
use super::state::State;
use crate::producer::sender::SpuSender;

impl State {
    /// The partition for a keyless record: the same until its batch closes, then the next one that is well.
    pub(super) fn place_keyless(&mut self, record: &Record<'_>, now: Instant) -> u32 {
        let batch_size = self.limits.batch_size;
        let sticky = &self.partitions[self.sticky as usize];
        let joins = sticky.open.as_ref().is_some_and(|open| open.keyless && record.fits(&open.builder, batch_size));
        if !(joins && sticky.is_well(now)) {
            self.sticky = match self.next_home(self.sticky, now) {
                Some(next) => next,
                // The record waits here, and moves to the first partition that can be written.
                None if joins => self.sticky,
                None => (self.sticky + 1) % self.partitions.len() as u32,
            };
        }
        self.sticky
    }

    /// The next partition behind `after` that is well, or at least can be written. The leaders of those that are
    /// passed by are going to be asked whether they serve them.
    fn next_home(&mut self, after: u32, now: Instant) -> Option<u32> {
        let count = self.partitions.len() as u32;
        let mut silent = None;
        for index in (1..=count).map(|step| (after + step) % count) {
            let partition = &mut self.partitions[index as usize];
            if partition.is_well(now) {
                return Some(index);
            }
            if partition.broken.is_none() && !std::mem::replace(&mut partition.missed, true) {
                self.senders.wake_supervisor();
            }
            silent = silent.or_else(|| partition.can_be_written().then_some(index));
        }
        silent
    }

    /// Moves batches that may go to any partition out of partitions that cannot be written, if there is one that can.
    pub(super) fn rehome(&mut self, now: Instant) {
        let mut home = self.sticky;
        for index in 0..self.partitions.len() {
            let partition = &self.partitions[index];
            if partition.can_be_written() || !partition.has_movable() {
                continue;
            }
            if self.next_home(home, now).is_none() {
                return;
            }
            for batch in self.partitions[index].take_movable() {
                home = self.next_home(home, now).unwrap_or(home);
                self.enqueue(home, batch);
            }
        }
    }

    /// Sets which partitions are online, and who sends to their leaders. The topic may have grown; it never shrinks.
    /// Gives the partitions that have another leader than before, with the senders to the former ones.
    pub(super) fn set_partitions(
        &mut self,
        online: Vec<bool>,
        leaders: Vec<Option<Arc<SpuSender>>>,
        now: Instant,
    ) -> Vec<(Arc<SpuSender>, u32)> {
        if online.len() > self.partitions.len() {
            self.partitions.resize_with(online.len(), PartitionQueue::default);
        }
        let is_complete = online.len() >= self.partitions.len();
        let (mut online, mut leaders) = (online.into_iter(), leaders.into_iter());
        let mut moved = Vec::new();
        for (index, partition) in (0..).zip(&mut self.partitions) {
            if let Some(online) = online.next().filter(|_| is_complete) {
                partition.list_online(online);
            }
            if let Some(former) = partition.set_leader(leaders.next().flatten()) {
                moved.push((former, index));
            }
        }
        self.rehome(now);
        moved
    }

    /// The partitions that keyless records would have gone to since this was last called, and the senders to their
    /// leaders.
    pub(super) fn take_missed(&mut self) -> Vec<(u32, Arc<SpuSender>)> {
        let missed = |(index, partition): (u32, &mut PartitionQueue)| {
            let leader = partition.leader.as_ref().filter(|_| std::mem::take(&mut partition.missed))?;
            Some((index, Arc::clone(leader)))
        };
        (0..).zip(&mut self.partitions).filter_map(missed).collect()
    }
}
