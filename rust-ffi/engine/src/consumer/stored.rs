//! What the caller asks for about stored offsets. Those of the member of a group are stored in the group's log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use super::Consumer;
use crate::commits::Commits;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::limit::{Limit, took_longer};
use crate::log_offsets::log_bounds;

impl Consumer {
    /// Stores offsets under the consumer's id, exactly as given: those of the last processed records. One beyond the
    /// end of its log is refused.
    pub async fn commit(&self, processed: &[(u32, i64)], timeout: Option<Duration>) -> Result<()> {
        if self.owner.membership.get().is_some() {
            return self.commit_owned(processed, timeout).await;
        }
        let known: Vec<u32> = processed.iter().map(|(partition, _)| *partition).collect();
        self.owner.shared.subscription.require(&known)?;
        let commits = self.commits()?;
        let limit = Limit::new(timeout).with(commits.trouble());
        let work = async {
            for (partition, offset) in processed {
                self.check_end(*partition, *offset, &limit).await?;
            }
            commits.commit(processed, &limit).await
        };
        self.while_open(&limit, "the commit", work).await
    }

    /// Stores the offsets of records that were processed. Unless the caller has sought backwards in a partition, its
    /// stored offset never goes back, so that a consumer that goes on after another has taken its place does no harm.
    pub async fn commit_processed(&self, processed: &[(u32, i64)], timeout: Option<Duration>) -> Result<()> {
        if self.owner.membership.get().is_some() {
            return self.commit_owned(processed, timeout).await;
        }
        let known: Vec<u32> = processed.iter().map(|(partition, _)| *partition).collect();
        self.owner.shared.subscription.require(&known)?;
        let commits = self.commits()?;
        let limit = Limit::new(timeout).with(commits.trouble());
        self.while_open(&limit, "the commit", commits.commit_processed(processed, &limit)).await
    }

    /// The outcome of `work` on stored offsets, unless its time is over or the consumer is closed first.
    pub(super) async fn while_open<T>(
        &self,
        limit: &Limit,
        what: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let work = async {
            tokio::select! {
                biased;
                result = work => result,
                () = self.owner.shared.subscription.wait_closed() => Err(Error::closed("consumer")),
            }
        };
        let what = format!("{what} of topic \"{}\"", self.topic());
        limit.hold(work, |timeout| took_longer(Phase::Commit, &what, timeout).with_topic(self.topic())).await
    }

    /// An error unless the log reaches beyond `offset`, as far as it was seen, else as its leader says.
    pub(super) async fn check_end(&self, partition: u32, offset: i64, limit: &Limit) -> Result<()> {
        let shared = &self.owner.shared;
        let seen = shared.subscription.partitions().into_iter().find(|state| state.partition == partition);
        if seen.is_some_and(|seen| Some(offset) < seen.end.max(seen.position)) {
            return Ok(());
        }
        let (_, end) = log_bounds(&shared.session, &shared.topic, partition, limit).await?;
        if offset < end {
            return Ok(());
        }
        let text = format!(
            "the offset to commit is {offset}: it must be below {end}, where partition {partition} of topic \"{}\" \
             ends",
            shared.topic
        );
        let error = Error::new(ErrorKind::OffsetOutOfRange, text).with_topic(&shared.topic);
        Err(error.with_partition(partition).with_offset(offset))
    }

    /// The stored offsets of the consumer's id, by partition: those of the last processed records.
    pub async fn committed(&self, timeout: Option<Duration>) -> Result<BTreeMap<u32, i64>> {
        let limit = Limit::new(timeout);
        if self.owner.membership.get().is_some() {
            return self.group_committed(&limit).await;
        }
        self.while_open(&limit, "fetching the stored offsets", self.commits()?.fetch(&limit)).await
    }

    /// Where the caller writes the offset of the last record of a partition that it has processed, for automatic
    /// commits; -1: none yet. Valid until it is dropped.
    pub fn processed(&self, partition: u32) -> Result<Arc<AtomicI64>> {
        if let Some(membership) = self.owner.membership.get() {
            return Ok(membership.mark(partition));
        }
        self.owner.shared.subscription.require(&[partition])?;
        Ok(self.commits()?.mark(partition))
    }

    fn commits(&self) -> Result<&Commits> {
        self.owner.commits.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::Usage, "the consumer was opened without a consumer_id: it has no stored offsets")
        })
    }

    /// With automatic commits, commits what was processed.
    pub async fn commit_marked(&self, timeout: Option<Duration>) -> Result<()> {
        if self.owner.membership.get().is_some() {
            return self.commit_member_marks(timeout).await;
        }
        let Some(commits) = self.owner.commits.as_ref().filter(|_| self.owner.shared.options.auto_commit.is_some())
        else {
            return Ok(());
        };
        let limit = Limit::new(timeout).with(commits.trouble());
        let what = format!("the commit of what was processed of topic \"{}\"", self.topic());
        let overdue = |timeout| took_longer(Phase::Close, &what, timeout);
        limit.hold(commits.commit_marked(&limit), overdue).await
    }
}
