//! What the member of a group does with a subscription, and what its reader asks of it.

use std::sync::Arc;

use super::super::assignment::Assigned;
use super::super::group::{Gate, GroupChange, Keeping, Revocation, Slots};
use super::{State, Subscription};
use crate::error::Result;

impl State {
    fn forget(&mut self, partition: u32) {
        self.assignment.revoke(partition);
        self.ready.remove(partition);
        self.ready.announce_room();
    }
}

impl Subscription {
    /// From now on it is read as the member of a group has it. `revoke_waits`: what moves waits for its acknowledgement
    /// also where the reader has nothing in hand.
    pub(crate) fn gate(&self, slots: Arc<Slots>, revoke_waits: bool) {
        self.lock().gate = Some(Gate::new(slots, revoke_waits));
    }

    /// The reader has nothing in hand. Whether it has to wait for a lease.
    pub(super) fn begin_to_wait(&self) -> bool {
        self.lock().gate.as_mut().is_some_and(|gate| {
            gate.is_idle = true;
            !gate.slots().has_lease()
        })
    }

    /// Changes what the member and its reader have to do with each other, and wakes the reader.
    fn change_gate<T>(&self, change: impl FnOnce(&mut State, &mut Gate) -> T) -> Option<T> {
        let mut state = self.lock();
        let mut gate = state.gate.take()?;
        let changed = change(&mut state, &mut gate);
        state.gate = Some(gate);
        drop(state);
        self.direct();
        self.readable.notify_waiters();
        Some(changed)
    }

    /// The member owns partitions, each under an epoch: a cursor is to be made of each; of none if nothing is read any
    /// more.
    pub(crate) fn gain(&self, owned: &[(u32, i64)]) -> Result<Vec<Assigned>> {
        let numbers: Vec<u32> = owned.iter().map(|(partition, _)| *partition).collect();
        let mut state = self.lock();
        if state.closed || state.stopped {
            return Ok(Vec::new());
        }
        let assigned = state.assignment.assign(&numbers)?;
        if let Some(gate) = &mut state.gate {
            owned.iter().for_each(|(partition, epoch)| gate.assign(*partition, *epoch));
        }
        drop(state);
        self.readable.notify_waiters();
        Ok(assigned)
    }

    /// The member is to give a partition up.
    pub(crate) fn give_up(&self, partition: u32, epoch: i64) -> Revocation {
        let revoked = self.change_gate(|state, gate| {
            let revocation = gate.revoke(partition, epoch);
            match revocation {
                Revocation::Unknown | Revocation::Now => state.forget(partition),
                Revocation::Later => state.ready.freeze(partition),
            }
            revocation
        });
        revoked.unwrap_or(Revocation::Unknown)
    }

    /// The member need not give a partition up after all.
    pub(crate) fn keep(&self, partition: u32, epoch: i64) -> Keeping {
        let kept = self.change_gate(|state, gate| {
            let keeping = gate.keep(partition, epoch);
            if keeping == Keeping::GoesOn {
                state.ready.thaw(partition);
            }
            keeping
        });
        kept.unwrap_or(Keeping::GoesOn)
    }

    /// The member has lost a partition.
    pub(crate) fn lose(&self, partition: u32, epoch: i64) {
        self.change_gate(|state, gate| {
            gate.lose(partition, epoch);
            state.forget(partition);
        });
    }

    /// Everything that the member owns, with the epochs.
    pub(crate) fn owned(&self) -> Vec<(u32, i64)> {
        self.lock().gate.as_ref().map(Gate::all).unwrap_or_default()
    }

    /// What of that the reader knows of.
    pub(crate) fn known(&self) -> Vec<(u32, i64)> {
        self.lock().gate.as_ref().map(Gate::known).unwrap_or_default()
    }

    /// Under which epoch the member owns a partition.
    pub(crate) fn owned_epoch(&self, partition: u32) -> Option<i64> {
        self.lock().gate.as_ref()?.owned(partition)
    }

    /// Whether the member owns all that it is going to own for now.
    pub(crate) fn settled(&self, is_settled: bool) {
        let mut state = self.lock();
        let Some(gate) = state.gate.as_mut().filter(|gate| gate.is_settled != is_settled) else { return };
        gate.is_settled = is_settled;
        drop(state);
        self.readable.notify_waiters();
    }

    /// The lease has ended: the reader is to look at it before the next record.
    pub(crate) fn lapse(&self) {
        if let Some(gate) = &mut self.lock().gate {
            gate.lapse();
        }
    }

    /// The lease runs again.
    pub(crate) fn wake_reader(&self) {
        self.readable.notify_waiters();
    }

    /// The oldest change that the reader has not acknowledged.
    pub(crate) fn change(&self) -> Option<GroupChange> {
        self.lock().gate.as_mut()?.change()
    }

    /// The reader has dealt with a change: what is to be given up now.
    pub(crate) fn acknowledge(&self, number: u64) -> Vec<(u32, i64)> {
        let released = self.change_gate(|state, gate| {
            let released = gate.acknowledge(number);
            released.iter().for_each(|(partition, _)| state.forget(*partition));
            released
        });
        released.unwrap_or_default()
    }
}
