//! The consumer: it streams the partitions of one topic from the SPUs that lead them, and keeps decoded chunks ready.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the handle: what the caller asks for |
//! | `subscription.rs` | what the caller and the fetchers share, under one lock |
//! | `assignment.rs` | which partitions, and what the caller wants of each; the states of a partition are drawn there |
//! | `ready_queue.rs` | the chunks that are ready: turns and budget |
//! | `fetcher/` | a task for each leader: streams, decoding, what happens when a leader goes |
//! | `cursor.rs`, `place.rs` | one partition: where it is read, and how replies follow each other |
//! | `decode.rs` | how replies become chunks, also those that SmartModules made |
//! | `search.rs` | what is read before a record on which SmartModules fail |
//! | `stored.rs` | what the caller asks for about stored offsets |
//! | `group/` | the member of a group, which decides what is assigned |
//!
//! The way of a record: a stream's reply -> `Fetcher::receive` -> `Cursor::split` -> `Fetcher::decode` ->
//! `Cursor::decode` -> `Subscription::deliver` -> `ReadyQueue::push` -> `Consumer::take`.

mod assignment;
mod cursor;
mod decode;
mod fetcher;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod group;
mod inspection;
mod options;
mod place;
mod ready_queue;
mod search;
mod stored;
mod subscription;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::{BoxFuture, ready};
use tokio::sync::oneshot;

use crate::backoff::Backoff;
use crate::commits::Commits;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::group_log::MakeLog;
use crate::guard;
use crate::limit::{Limit, Trouble, took_longer};
use crate::log::log;
use crate::metrics::{Metrics, TopicCounters};
use crate::session::{Member, Session};
use crate::smartmodule::Chain;

pub use group::{EpochOffset, GroupChange, GroupChangeKind, GroupMember, GroupSlots, MemberState, Unchanged};
pub use options::{ConsumerOptions, GroupOptions, Start};

pub(crate) use fetcher::first_since;

use fetcher::Fetchers;
use group::Membership;
use place::Place;
use subscription::Subscription;

/// A record in a buffer of the consumer.
#[derive(Debug, Clone, Copy)]
pub struct RecordRef<'a> {
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since the epoch; -1: none.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: &'a [u8],
}

/// Turns the records of a chunk into bytes, in a fetcher's task. The embedding program chooses the form in which
/// records leave the engine.
pub trait ChunkEncoder: Send + Sync + 'static {
    /// The bytes for `records` of `partition`, of which there is at least one.
    fn encode(&self, partition: u32, records: &[RecordRef<'_>]) -> Vec<u8>;

    /// How large a chunk may be.
    fn chunk_size(&self) -> ChunkSize {
        ChunkSize::default()
    }
}

/// How large a chunk may be.
#[derive(Debug, Clone, Copy)]
pub struct ChunkSize {
    /// Records of it, at most.
    pub records: usize,
    /// Bytes of its keys and values, at most, unless one record is larger.
    pub bytes: usize,
}

/// Few enough that an event loop is not held up by whoever makes objects of all of them.
impl Default for ChunkSize {
    fn default() -> Self {
        Self { records: 1_000, bytes: 256 << 10 }
    }
}

/// Records of one partition, encoded.
#[derive(Debug)]
pub struct Chunk {
    /// The partition.
    pub partition: u32,
    /// The number of records.
    pub count: u32,
    /// The first record's offset.
    pub first_offset: i64,
    /// Where reading goes on after the chunk.
    pub next_offset: i64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// What the encoder made of them.
    pub payload: Vec<u8>,
    /// How often the caller had sought in the partition when the chunk was taken; see [`PartitionState::seeks`].
    pub seeks: u32,
    /// Whether records in it share an offset, with each other or with neighbours, or offsets fall: then a record is
    /// processed once all that are to be handed out have larger offsets.
    pub shares_offsets: bool,
    /// Of a member of a group: the epoch under which it was taken.
    pub epoch: Option<i64>,
    /// See [`Place`].
    skip: u32,
    value: Option<Arc<[u8]>>,
}

impl Chunk {
    /// The place before its first record.
    fn place(&self) -> Place {
        Place { offset: self.first_offset, skip: self.skip, value: self.value.clone() }
    }
}

/// What a consumer has ready.
#[derive(Debug)]
pub enum Take {
    /// Records.
    Chunk(Chunk),
    /// Nothing now.
    Empty,
    /// What a member of a group reads has changed: see [`Consumer::change`].
    Changed,
    /// Nothing ever again.
    End,
}

static ALIVE: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn alive() -> usize {
    ALIVE.load(Ordering::Relaxed)
}

/// Where a consumer is in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionState {
    /// The partition.
    pub partition: u32,
    /// The offset after what was taken; the start before. `None`: the start is not known yet.
    pub position: Option<i64>,
    /// The offset after the last record of the log, as far as it was seen.
    pub end: Option<i64>,
    /// How often the caller has sought in the partition. An assignment after a revocation counts as a seek.
    pub seeks: u32,
}

/// A consumer of one topic; a cheap handle. Dropping the last one closes it.
#[derive(Clone)]
pub struct Consumer {
    owner: Arc<Owner>,
}

/// What the handle, the fetchers and the background tasks of one consumer share.
struct ConsumerShared {
    session: Session,
    topic: String,
    options: ConsumerOptions,
    /// Bytes that one stream asks for: a quarter of the prefetch, divided over the partitions, and at most `max_bytes`;
    /// more with SmartModules.
    fetch_bytes: u32,
    /// What the SPU runs on each stream.
    chain: Option<Chain>,
    subscription: Subscription,
    /// Those of the topic.
    counters: Arc<TopicCounters>,
    encoder: Arc<dyn ChunkEncoder>,
    fetchers: Fetchers,
    /// What keeps the fetchers from reading.
    trouble: Trouble,
}

impl Member for ConsumerShared {
    fn measure(&self, metrics: &mut Metrics) {
        metrics.lag += self.lag();
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }

    fn unsettled(&self) -> u64 {
        0
    }
}

impl ConsumerShared {
    /// Records between the caller's positions and the ends of the logs, as far as these were seen.
    fn lag(&self) -> u64 {
        if self.subscription.is_over() {
            return 0;
        }
        let behind = |state: &PartitionState| state.end.zip(state.position).map_or(0, |(end, position)| end - position);
        self.subscription.partitions().iter().map(|state| u64::try_from(behind(state)).unwrap_or(0)).sum()
    }
}

/// Ends the fetchers when the last handle is dropped.
struct Owner {
    shared: Arc<ConsumerShared>,
    commits: Option<Arc<Commits>>,
    membership: OnceLock<Membership>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.subscription.close();
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("topic", &self.topic()).finish_non_exhaustive()
    }
}

impl Consumer {
    pub(crate) async fn open(
        session: Session,
        topic: &str,
        options: ConsumerOptions,
        encoder: Arc<dyn ChunkEncoder>,
        make_log: Option<MakeLog>,
        timeout: Option<Duration>,
    ) -> Result<Self> {
        let limit = Limit::new(timeout);
        let opening = Self::opened(session, topic, options, encoder, make_log, &limit);
        let what = format!("opening the consumer of topic \"{topic}\"");
        limit.hold(opening, |timeout| took_longer(Phase::Connect, &what, timeout).with_topic(topic)).await
    }

    async fn opened(
        session: Session,
        topic: &str,
        options: ConsumerOptions,
        encoder: Arc<dyn ChunkEncoder>,
        make_log: Option<MakeLog>,
        limit: &Limit,
    ) -> Result<Self> {
        // Batches of the usual size, 16 KiB, come whole; with less, each would be asked for twice.
        const LEAST_FETCH: usize = 32 << 10;
        // With modules, what a reply leaves out has been run and is run again.
        const LEAST_MADE: u32 = 16 << 20;
        options.validate()?;
        let count = session.metadata().topic(topic, limit).await?.partitions;
        let chosen: BTreeSet<u32> = match options.partitions.is_empty() {
            // What the member of a group reads is found out later.
            true if options.group.is_some() => BTreeSet::new(),
            true => (0..count).collect(),
            false => options.partitions.iter().copied().collect(),
        };
        let named = chosen.iter().copied().chain(options.starts.iter().map(|(partition, _)| *partition));
        if let Some(wrong) = named.clone().find(|partition| *partition >= count) {
            return Err(Error::partition_not_found(topic, i64::from(wrong), count));
        }
        let commits = options.consumer_id.as_ref().map(|id| Arc::new(Commits::new(session.clone(), topic, id)));
        let stored = match &commits {
            Some(commits) => commits.fetch(limit).await?,
            None => BTreeMap::new(),
        };
        let chosen: Vec<u32> = chosen.into_iter().collect();
        let most = if options.group.is_some() { count as usize } else { chosen.len() };
        let share = (options.prefetch / 4 / most.max(1)).max(LEAST_FETCH);
        let chain = Chain::new(&options.smartmodules)?;
        let fetch_bytes = match &chain {
            // A reply that is cut has had the modules run over what it leaves out.
            Some(chain) if chain.hides_values() => i32::MAX as u32,
            Some(_) => options.max_bytes.max(LEAST_MADE),
            None => options.max_bytes.min(u32::try_from(share).unwrap_or(u32::MAX)),
        };
        let subscription = Subscription::new(topic, count, options.stop_at_end, options.prefetch);
        let assigned = subscription.assign(&chosen)?;
        let counters = session.counters().topic(topic);
        let shared = Arc::new(ConsumerShared {
            session,
            topic: topic.to_owned(),
            options,
            fetch_bytes,
            chain,
            subscription,
            counters,
            encoder,
            fetchers: Fetchers::default(),
            trouble: limit.trouble().clone(),
        });
        shared.session.add(&shared);
        let (topic, partitions) = (&*shared.topic, assigned.len());
        log!(DEBUG, CONSUMER, shared.session.counters(), "a consumer is opened", topic, partitions);
        ALIVE.fetch_add(1, Ordering::Relaxed);
        let consumer =
            Self { owner: Arc::new(Owner { shared: Arc::clone(&shared), commits, membership: OnceLock::new() }) };
        if let Some(make) = make_log.filter(|_| shared.options.group.is_some()) {
            let _ = consumer.owner.membership.set(Membership::start(&shared, make, limit).await?);
        }
        for assigned in assigned {
            let start = shared.options.start_of(assigned.partition, stored.get(&assigned.partition).copied());
            fetcher::begin(&shared, assigned, start);
        }
        shared.subscription.resolved().await?;
        consumer.spawn_tasks();
        Ok(consumer)
    }

    /// Starts what goes on in the background beside the fetchers.
    fn spawn_tasks(&self) {
        let Owner { shared, commits, .. } = &*self.owner;
        if let (Some(interval), Some(commits)) = (shared.options.auto_commit, commits) {
            let (shared, commits) = (Arc::clone(shared), Arc::clone(commits));
            spawn(Arc::clone(&shared), async move {
                lasting(&shared, || auto_commit(&shared, &commits, interval)).await;
            });
        }
        if shared.options.partitions.is_empty() && !shared.options.stop_at_end && shared.options.group.is_none() {
            let (shared, commits) = (Arc::clone(shared), commits.clone());
            spawn(Arc::clone(&shared), async move {
                lasting(&shared, || fetcher::follow_new_partitions(&shared, commits.as_deref())).await;
            });
        }
    }

    /// What is ready now; never waits. Partitions take turns. An error stays until the caller seeks in its partition,
    /// or pauses or revokes it.
    pub fn take(&self) -> Result<Take> {
        let take = self.owner.shared.subscription.take()?;
        if let Take::Chunk(chunk) = &take {
            self.count(chunk);
        }
        if let Some(membership) = self.owner.membership.get() {
            membership.took(&take);
        }
        Ok(take)
    }

    /// A chunk of a partition that had nothing ready for a while, if there is one; never waits. For a caller that takes
    /// long over its last chunk.
    pub fn take_fresh(&self) -> Option<Chunk> {
        let chunk = self.owner.shared.subscription.take_fresh();
        chunk.iter().for_each(|chunk| self.count(chunk));
        chunk
    }

    fn count(&self, chunk: &Chunk) {
        let counters = self.owner.shared.session.counters();
        counters.records_consumed.add(u64::from(chunk.count));
        counters.bytes_consumed.add(chunk.bytes);
        let counters = &self.owner.shared.counters;
        counters.records_consumed.add(u64::from(chunk.count));
        counters.bytes_consumed.add(chunk.bytes);
    }

    /// Waits until [`Self::take`] would not say [`Take::Empty`].
    pub async fn ready(&self) {
        if let Some(membership) = self.owner.membership.get() {
            membership.returned();
        }
        self.owner.shared.subscription.ready().await;
    }

    /// Begins to read partitions, each at its start: all of them, or none if one is read already or does not exist.
    /// Never waits: [`Self::partitions`] has the positions once the leaders have told the bounds of the logs, and
    /// [`Self::take`] gives the error if a start does not exist. A partition that was revoked begins anew: nothing of
    /// the earlier assignment is handed out. Must be called on a runtime.
    pub fn assign(&self, partitions: &[(u32, Start)]) -> Result<()> {
        let shared = &self.owner.shared;
        let count =
            shared.session.metadata().read(|metadata| metadata.topic(self.topic()).map(|topic| topic.partitions));
        for (partition, start) in partitions {
            start.validate()?;
            if let Some(count) = count.filter(|count| partition >= count) {
                return Err(Error::partition_not_found(self.topic(), i64::from(*partition), count));
            }
        }
        let numbers: Vec<u32> = partitions.iter().map(|(partition, _)| *partition).collect();
        for (assigned, (_, start)) in shared.subscription.assign(&numbers)?.into_iter().zip(partitions) {
            fetcher::begin(shared, assigned, *start);
        }
        Ok(())
    }

    /// Ends reading of partitions: all of them, or none if one is not read. What is ready of them is dropped before
    /// this returns, and nothing of them is handed out any more until they are assigned again. Their positions are
    /// forgotten, and their pauses; seeks that wait fail. What was marked as processed is still committed, but what is
    /// stored of these partitions does not go back any more. Without any partition left, [`Self::ready`] waits for the
    /// next assignment.
    pub fn revoke(&self, partitions: &[u32]) -> Result<()> {
        self.owner.shared.subscription.revoke(partitions)?;
        if let Some(commits) = &self.owner.commits {
            commits.keep_forward(partitions);
        }
        Ok(())
    }

    /// Goes on elsewhere in a partition: what is ready of it is dropped before this returns. The future gives the new
    /// position once it is known, or the outcome of a later seek that took this one's place. The seek stays in force if
    /// the future is dropped, or its time is over. After a seek backwards, commits may go backwards too.
    pub fn seek(
        &self,
        partition: u32,
        start: Start,
        timeout: Option<Duration>,
    ) -> Result<impl Future<Output = Result<i64>> + Send + use<>> {
        let shared = &self.owner.shared;
        let limit = Limit::new(timeout).with(&shared.trouble);
        let forward = matches!(start, Start::At(offset) if shared.subscription.position(partition) <= Some(offset));
        let sought = self.go_to(partition, start)?;
        let topic = self.topic().to_owned();
        if let Some(commits) = self.owner.commits.as_ref().filter(|_| !forward) {
            commits.allow_backward(partition);
        }
        Ok(async move {
            let position = async { sought.await.unwrap_or_else(|_| Err(Error::closed("consumer"))) };
            let what = format!("the seek in partition {partition} of topic \"{topic}\"");
            let overdue = |timeout| took_longer(Phase::Read, &what, timeout);
            limit.hold(position, |timeout| overdue(timeout).with_topic(&topic).with_partition(partition)).await
        })
    }

    /// Takes back the unused rest of what was taken of a partition, from `offset` on: it is handed out again.
    pub fn put_back(&self, partition: u32, offset: i64) -> Result<()> {
        if self.owner.shared.chain.as_ref().is_some_and(|chain| chain.gives_values() || chain.hides_values()) {
            let text = "nothing can be put back: the aggregate in smartmodules goes on from its last value";
            return Err(Error::new(ErrorKind::Usage, text));
        }
        self.go_to(partition, Start::At(offset)).map(drop)
    }

    fn go_to(&self, partition: u32, start: Start) -> Result<oneshot::Receiver<Result<i64>>> {
        let shared = &self.owner.shared;
        let (cursor, sought) = shared.subscription.seek(partition, start)?;
        if let Some(cursor) = cursor {
            fetcher::dispatch(shared, cursor);
        }
        Ok(sought)
    }

    /// Holds partitions back: nothing more of them is handed out until they are resumed.
    pub fn pause(&self, partitions: &[u32]) -> Result<()> {
        self.owner.shared.subscription.pause(partitions)
    }

    /// Goes on with partitions that were paused, where they were.
    pub fn resume(&self, partitions: &[u32]) -> Result<()> {
        let shared = &self.owner.shared;
        shared.subscription.resume(partitions)?.into_iter().for_each(|cursor| fetcher::dispatch(shared, cursor));
        Ok(())
    }

    /// What keeps the consumer from reading, if anything does.
    pub fn trouble(&self) -> Option<Error> {
        self.owner.shared.trouble.last()
    }

    /// Ends handing out: what is prefetched is dropped, and [`Self::take`] says [`Take::End`].
    pub fn stop(&self) {
        self.owner.shared.subscription.stop();
    }

    /// Ends reading, and commits that are under way; with automatic commits, commits what was processed.
    pub async fn close(&self, timeout: Option<Duration>) -> Result<()> {
        if self.owner.membership.get().is_some() {
            return self.close_member(false, timeout).await;
        }
        self.owner.shared.subscription.close();
        self.commit_marked(timeout).await
    }

    /// The partitions that are read, and where the caller is in them.
    pub fn partitions(&self) -> Vec<PartitionState> {
        self.owner.shared.subscription.partitions()
    }

    /// Where the reading of a partition began, or was sought to last, once that is known. Fails if it is not read.
    pub fn start(&self, partition: u32) -> Result<Option<i64>> {
        self.owner.shared.subscription.start(partition)
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.owner.shared.topic
    }
}

/// Commits what was processed, again and again. A commit that fails is tried again next time; the close reports it.
async fn auto_commit(shared: &ConsumerShared, commits: &Commits, interval: Duration) {
    let limit = Limit::new(None).with(commits.trouble());
    loop {
        let round = shared.subscription.unless_over(async {
            tokio::time::sleep(interval).await;
            let _ = commits.commit_marked(&limit).await;
        });
        if round.await.is_none() {
            return;
        }
    }
}

/// Runs a task of a consumer to its end, anew whenever it panics.
async fn lasting<T: Future<Output = ()>>(shared: &ConsumerShared, task: impl Fn() -> T) {
    let mut backoff = Backoff::default();
    while let Err(panic) = guard::caught(task()).await {
        shared.session.counters().note(panic.kind);
        if shared.subscription.unless_over(backoff.wait()).await.is_none() {
            return;
        }
    }
}

/// Runs a task of a consumer; if it panics, reading fails.
fn spawn(shared: Arc<ConsumerShared>, task: impl Future<Output = ()> + Send + 'static) {
    guard::spawn(task, move |error| shared.subscription.end(error));
}

/// A chunk of one record that has `bytes` bytes.
#[cfg(test)]
fn chunk_of(partition: u32, offset: i64, bytes: usize) -> Chunk {
    Chunk {
        partition,
        count: 1,
        first_offset: offset,
        next_offset: offset + 1,
        bytes: bytes as u64,
        payload: vec![0; bytes],
        seeks: 0,
        shares_offsets: false,
        epoch: None,
        skip: 0,
        value: None,
    }
}
