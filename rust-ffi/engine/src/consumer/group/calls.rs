//! What the caller asks of a consumer that is the member of a group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use tokio::sync::oneshot;

use super::super::Consumer;
use super::{Call, GroupChange, Membership, Unchanged};
use crate::error::{Error, ErrorKind, Phase, Result, first_few};
use crate::limit::{Limit, took_longer};

/// Nobody waits longer for a member to leave.
const LONGEST: Duration = Duration::from_secs(60);

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
    /// Whether `changes` has risen since [`Consumer::change`] last found none.
    pub unchanged: Arc<Unchanged>,
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
        self.owner.membership.get().ok_or_else(|| {
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
        let membership = self.membership()?;
        for (partition, epoch) in self.owner.shared.subscription.acknowledge(number) {
            membership.ask(Call::Released { partition, epoch });
        }
        Ok(())
    }

    /// Where the member and its reader meet.
    pub fn group_slots(&self) -> Result<GroupSlots> {
        let slots = &self.membership()?.shared.slots;
        Ok(GroupSlots {
            lease: Arc::clone(&slots.lease),
            changes: Arc::clone(&slots.changes),
            came_back: Arc::clone(&slots.came_back),
            unchanged: Arc::clone(&slots.unchanged),
        })
    }

    /// The place that has the epoch under which a partition may be handed out; -1: not at all.
    pub fn epoch(&self, partition: u32) -> Result<Arc<AtomicI64>> {
        Ok(self.membership()?.shared.slots.epoch(partition))
    }

    /// Who it is in its group.
    pub fn member(&self) -> Result<GroupMember> {
        Ok(self.membership()?.shared.member().clone())
    }

    /// Stores offsets, each if the member owns its partition under the epoch: those that were not stored. An offset beyond
    /// the end of its log is refused where no epoch is given, which would tell that it was read.
    pub async fn commit_epochs(&self, processed: &[EpochOffset], timeout: Option<Duration>) -> Result<Vec<(u32, i64)>> {
        let membership = self.membership()?;
        let limit = Limit::new(timeout).with(&self.owner.shared.trouble);
        let work = async {
            for one in processed.iter().filter(|one| one.epoch.is_none() && one.offset >= 0) {
                if self.owner.shared.subscription.owned_epoch(one.partition).is_some() {
                    self.check_end(one.partition, one.offset, &limit).await?;
                }
            }
            let (answer, answered) = oneshot::channel();
            membership.ask(Call::Commit { processed: processed.to_vec(), answer });
            answered.await.unwrap_or_else(|_| Err(membership.ended()))
        };
        self.while_open(&limit, "the commit", work).await
    }

    /// The same under the current epochs; an error if any was not stored.
    pub(in crate::consumer) async fn commit_owned(
        &self,
        processed: &[(u32, i64)],
        timeout: Option<Duration>,
    ) -> Result<()> {
        let given =
            |(partition, offset): &(u32, i64)| EpochOffset { partition: *partition, epoch: None, offset: *offset };
        let given: Vec<EpochOffset> = processed.iter().map(given).collect();
        let fenced = self.commit_epochs(&given, timeout).await?;
        let Some((partition, offset)) = fenced.first().copied() else { return Ok(()) };
        let others = fenced.iter().map(|(partition, _)| partition).collect::<Vec<_>>();
        let text = format!(
            "partitions {} of topic \"{}\" are read by another member of the group by now: their offsets are not stored, \
             those of others are",
            first_few(others.into_iter()),
            self.topic()
        );
        let error = Error::new(ErrorKind::CommitFenced, text).with_topic(self.topic());
        Err(error.with_partition(partition).with_offset(offset))
    }

    /// What the group has committed, by partition: as far as the log was read.
    pub(in crate::consumer) async fn group_committed(&self, limit: &Limit) -> Result<BTreeMap<u32, i64>> {
        let membership = self.membership()?;
        let work = async {
            let (answer, answered) = oneshot::channel();
            membership.ask(Call::Committed { answer });
            answered.await.map_err(|_| membership.ended())
        };
        self.while_open(limit, "fetching the stored offsets", work).await
    }

    /// Ends reading, and leaves; with an instance it stores what was processed and falls silent, unless `leaves`.
    pub(in crate::consumer) async fn close_member(&self, leaves: bool, timeout: Option<Duration>) -> Result<()> {
        let membership = self.membership()?;
        self.owner.shared.subscription.close();
        let patience = timeout.unwrap_or(LONGEST).min(LONGEST);
        let (answer, answered) = oneshot::channel();
        membership.ask(Call::Leave { stays: !leaves, patience, answer: Some(answer) });
        // Nobody answers: it has ended before.
        let _ = answered.await;
        Ok(())
    }

    /// Stores what is marked as processed.
    pub(in crate::consumer) async fn commit_member_marks(&self, timeout: Option<Duration>) -> Result<()> {
        let membership = self.membership()?;
        let limit = Limit::new(timeout).with(&self.owner.shared.trouble);
        let (answer, answered) = oneshot::channel();
        membership.ask(Call::CommitMarked { answer });
        let work = async { answered.await.unwrap_or_else(|_| Ok(Vec::new())).map(drop) };
        let what = format!("the commit of what was processed of topic \"{}\"", self.topic());
        limit.hold(work, |timeout| took_longer(Phase::Close, &what, timeout)).await
    }

    /// As [`Self::close`], but leaves also with an instance.
    pub async fn leave(&self, timeout: Option<Duration>) -> Result<()> {
        self.close_member(true, timeout).await
    }
}

impl Membership {
    fn ended(&self) -> Error {
        self.shared.fatal().clone().unwrap_or_else(|| Error::closed("consumer"))
    }
}
