//! What the caller asks of a consumer that is the member of a group.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use super::super::Consumer;
use super::{GroupChange, Membership};
use crate::error::{Error, ErrorKind, Result};

/// Where a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberState {
    /// It asks to be taken in.
    Joining,
    /// It takes part.
    Member,
    /// It takes part, but its lease is over.
    Suspended,
    /// Its reader did not come back in time: it has left, and joins anew when the reader does.
    Away,
    /// It was closed, or another process has taken its place.
    Ended,
}

/// Who a consumer is in its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// Where it stands.
    pub state: MemberState,
    /// The group's generation; -1: none yet.
    pub generation: i64,
    /// Its id: 32 hexadecimal digits. `None`: it is no member now.
    pub id: Option<String>,
}

/// Where a member and its reader meet without a call.
#[derive(Debug, Clone)]
pub struct GroupSlots {
    /// Until when records may be handed out, in nanoseconds of [`crate::boottime`].
    pub lease: Arc<AtomicI64>,
    /// Rises whenever an epoch changes, or there is a change to be told.
    pub changes: Arc<AtomicI64>,
    /// When the reader last came back for more, as it says itself.
    pub came_back: Arc<AtomicI64>,
}

/// An offset of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochOffset {
    /// The partition.
    pub partition: u32,
    /// The epoch under which its record was handed out. `None`: the current one.
    pub epoch: Option<i64>,
    /// Of the last processed record; -1: none, but begin with the first.
    pub offset: i64,
}

impl Consumer {
    fn membership(&self) -> Result<&Membership> {
        self.owner.membership.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Usage, "the consumer was opened without a group: it is no member of any")
        })
    }

    /// The oldest change of what the member reads that is not acknowledged. For the task that reads.
    pub fn change(&self) -> Result<Option<GroupChange>> {
        self.membership()?;
        Ok(self.owner.shared.subscription.change())
    }

    /// The caller has dealt with a change. For the task that reads.
    pub fn change_done(&self, number: u64) -> Result<()> {
        self.membership()?;
        self.owner.shared.subscription.acknowledge(number);
        Ok(())
    }

    /// Where the member and its reader meet.
    pub fn group_slots(&self) -> Result<GroupSlots> {
        let slots = &self.membership()?.slots;
        let (lease, changes, came_back) = (&slots.lease, &slots.changes, &slots.came_back);
        Ok(GroupSlots { lease: Arc::clone(lease), changes: Arc::clone(changes), came_back: Arc::clone(came_back) })
    }

    /// The place that has the epoch under which a partition may be handed out; -1: not at all.
    pub fn epoch(&self, partition: u32) -> Result<Arc<AtomicI64>> {
        Ok(self.membership()?.slots.epoch(partition))
    }

    /// Who it is in its group.
    pub fn member(&self) -> Result<GroupMember> {
        Ok(self.membership()?.lock().clone())
    }

    /// Stores offsets, each if the member owns its partition under the epoch: those that were not stored.
    pub async fn commit_epochs(&self, processed: &[EpochOffset], timeout: Option<Duration>) -> Result<Vec<(u32, i64)>> {
        let _ = (self.membership()?, processed, timeout);
        Err(Error::new(ErrorKind::Usage, "consumer groups are not built yet"))
    }

    /// As [`Self::close`], but leaves also with an instance.
    pub async fn leave(&self, timeout: Option<Duration>) -> Result<()> {
        self.membership()?;
        self.close(timeout).await
    }
}
