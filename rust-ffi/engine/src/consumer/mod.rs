//! The consumer: a reader per leader streams the partitions that its SPU leads, and keeps decoded chunks ready.

mod chunks;
mod cursor;
mod reader;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, ready};
use tokio::sync::oneshot;

use crate::backoff::Backoff;
use crate::commits::Commits;
use crate::error::{Error, ErrorKind, Phase, Result, first_few};
use crate::guard;
use crate::limit::{Limit, Trouble, took_longer};
use crate::log_offsets::log_bounds;
use crate::metrics::Metrics;
use crate::options::Isolation;
use crate::session::{Member, Session};

use chunks::Chunks;
use cursor::Cursor;
use reader::Readers;

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// So many records after the first that exists.
    Beginning(u64),
    /// So many records before the end.
    End(u64),
    /// At this offset.
    At(i64),
    /// At this offset, which follows a stored one.
    Stored(i64),
}

/// How a consumer works.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// Which partitions; none: all.
    pub partitions: Vec<u32>,
    /// Where reading begins. `None`: at the beginning with a `consumer_id`, so that nothing is lost before the first commit,
    /// else at the end.
    pub start: Option<Start>,
    /// Other starts of single partitions.
    pub starts: Vec<(u32, Start)>,
    /// Where an offset is stored under the `consumer_id`, reading goes on after it, whatever the start.
    pub resume: bool,
    /// End at the ends seen when it was opened.
    pub stop_at_end: bool,
    /// Which records it sees.
    pub isolation: Isolation,
    /// Bytes of one reply, at most, unless one batch is larger.
    pub max_bytes: u32,
    /// Decoded bytes kept ready, at most, unless one batch is larger.
    pub prefetch: usize,
    /// Commits that retention removed are passed over instead of being an error.
    pub skip_evicted: bool,
    /// How long a silent stream may be silent before its peer is asked whether it is still there.
    pub probe_interval: Duration,
    /// Under which id offsets are committed, and found again. `None`: they are not.
    pub consumer_id: Option<String>,
    /// How often the offsets that the caller marked as processed are committed. `None`: only on demand.
    pub auto_commit: Option<Duration>,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            partitions: Vec::new(),
            start: None,
            starts: Vec::new(),
            resume: true,
            stop_at_end: false,
            isolation: Isolation::ReadUncommitted,
            max_bytes: 1 << 20,
            prefetch: 16 << 20,
            skip_evicted: false,
            probe_interval: Duration::from_secs(10),
            consumer_id: None,
            auto_commit: None,
        }
    }
}

impl ConsumerOptions {
    /// Checks every option; the error names the option, its value and what is allowed.
    pub fn validate(&self) -> Result<()> {
        if !(1..=1 << 30).contains(&self.max_bytes) {
            return Err(Error::invalid(format!("max_bytes is {}: it must be from 1 to {}", self.max_bytes, 1 << 30)));
        }
        if self.prefetch == 0 {
            return Err(Error::invalid("prefetch is 0: it must be at least 1"));
        }
        if self.probe_interval.is_zero() {
            return Err(Error::invalid("the probe interval is 0: it must be positive"));
        }
        if let Some(id) = &self.consumer_id
            && (id.is_empty() || id.len() > 255)
        {
            return Err(Error::invalid(format!("consumer_id has {} bytes: it must have 1 to 255", id.len())));
        }
        if self.auto_commit.is_some() && self.consumer_id.is_none() {
            return Err(Error::invalid("commit is automatic: it needs a consumer_id, under which offsets are stored"));
        }
        if let Some(interval) = self.auto_commit.filter(|interval| *interval < Duration::from_millis(1)) {
            return Err(Error::invalid(format!("auto_commit_interval is {interval:?}: it must be at least 1 ms")));
        }
        for start in self.starts.iter().map(|(_, start)| start).chain(&self.start) {
            if let Start::At(offset) = start
                && *offset < 0
            {
                return Err(Error::invalid(format!("the start offset is {offset}: it must be 0 or more")));
            }
        }
        Ok(())
    }

    /// Where reading of a partition begins if `stored` is the last processed offset that is kept of it.
    fn start_of(&self, partition: u32, stored: Option<i64>) -> Start {
        let own = || self.starts.iter().rev().find(|(of, _)| *of == partition).map(|(_, start)| *start);
        let usual = match self.consumer_id {
            Some(_) => Start::Beginning(0),
            None => Start::End(0),
        };
        self.after(stored).or_else(own).or(self.start).unwrap_or(usual)
    }

    /// Where reading of a partition begins that appears later.
    fn start_of_new(&self, stored: Option<i64>) -> Start {
        self.after(stored).unwrap_or(Start::Beginning(0))
    }

    fn after(&self, stored: Option<i64>) -> Option<Start> {
        // The server stores any number: nothing lies before offset 0.
        stored.filter(|_| self.resume).map(|stored| Start::Stored(stored.saturating_add(1).max(0)))
    }
}

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

/// Turns the records of a chunk into bytes, in the consumer's task; the form in which records leave is the host's choice.
pub trait ChunkEncoder: Send + Sync + 'static {
    /// The bytes for `records`, which are never none.
    fn encode(&self, records: &[RecordRef<'_>]) -> Vec<u8>;
}

/// Records of one partition, encoded.
#[derive(Debug)]
pub struct Chunk {
    /// The partition.
    pub partition: u32,
    /// How many records.
    pub count: u32,
    /// The first record's offset.
    pub first_offset: i64,
    /// Where reading goes on after the chunk.
    pub next_offset: i64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// What the encoder made of them.
    pub payload: Vec<u8>,
    /// How many seeks of the partition came before it was taken.
    pub seeks: u32,
}

/// What a consumer has ready.
#[derive(Debug)]
pub enum Take {
    /// Records.
    Chunk(Chunk),
    /// Nothing now.
    Empty,
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
    /// How many seeks there were.
    pub seeks: u32,
}

/// A consumer of one topic; a cheap handle. Dropping the last one closes it.
#[derive(Clone)]
pub struct Consumer {
    owner: Arc<Owner>,
}

/// What the readers share with the handle.
pub(crate) struct Shared {
    session: Session,
    topic: String,
    options: ConsumerOptions,
    /// Bytes that one stream asks for: a quarter of the prefetch, divided over the partitions, and at most `max_bytes`.
    fetch_bytes: u32,
    chunks: Chunks,
    encoder: Arc<dyn ChunkEncoder>,
    readers: Readers,
    /// What keeps the readers from reading.
    trouble: Trouble,
}

impl Member for Shared {
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

impl Shared {
    /// Records between where its reader is and the ends of the logs, as far as these were seen.
    fn lag(&self) -> u64 {
        if self.chunks.over() {
            return 0;
        }
        let behind = |state: &PartitionState| state.end.zip(state.position).map_or(0, |(end, position)| end - position);
        self.chunks.partitions().iter().map(|state| u64::try_from(behind(state)).unwrap_or(0)).sum()
    }
}

/// Ends the readers when the last handle goes.
struct Owner {
    shared: Arc<Shared>,
    offsets: Option<Arc<Commits>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.chunks.close();
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
        timeout: Option<Duration>,
    ) -> Result<Self> {
        let limit = Limit::new(timeout);
        let opening = Self::opened(session, topic, options, encoder, &limit);
        let what = format!("opening the consumer of topic \"{topic}\"");
        limit.hold(opening, |timeout| took_longer(Phase::Connect, &what, timeout).with_topic(topic)).await
    }

    async fn opened(
        session: Session,
        topic: &str,
        options: ConsumerOptions,
        encoder: Arc<dyn ChunkEncoder>,
        limit: &Limit,
    ) -> Result<Self> {
        // Batches of the usual size, 16 KiB, come whole: less would have each asked for twice.
        const LEAST_FETCH: usize = 32 << 10;
        options.validate()?;
        let count = session.view().topic(topic, limit).await?.partitions;
        let chosen: BTreeSet<u32> = match options.partitions.is_empty() {
            true => (0..count).collect(),
            false => options.partitions.iter().copied().collect(),
        };
        let named = chosen.iter().copied().chain(options.starts.iter().map(|(partition, _)| *partition));
        if let Some(wrong) = named.clone().find(|partition| *partition >= count) {
            return Err(Error::partition_not_found(topic, i64::from(wrong), count));
        }
        let offsets = options.consumer_id.as_ref().map(|id| Arc::new(Commits::new(session.clone(), topic, id)));
        let stored = match &offsets {
            Some(offsets) => offsets.look(limit).await?,
            None => BTreeMap::new(),
        };
        let assignment: Vec<u32> = chosen.into_iter().collect();
        let share = (options.prefetch / 4 / assignment.len()).max(LEAST_FETCH);
        let fetch_bytes = options.max_bytes.min(u32::try_from(share).unwrap_or(u32::MAX));
        let chunks = Chunks::new(&assignment, options.prefetch);
        let shared = Arc::new(Shared {
            session,
            topic: topic.to_owned(),
            options,
            fetch_bytes,
            chunks,
            encoder,
            readers: Readers::default(),
            trouble: limit.trouble().clone(),
        });
        shared.session.add(&shared);
        ALIVE.fetch_add(1, Ordering::Relaxed);
        let consumer = Self { owner: Arc::new(Owner { shared: Arc::clone(&shared), offsets }) };
        for partition in &assignment {
            let start = shared.options.start_of(*partition, stored.get(partition).copied());
            reader::assign(&shared, Cursor::new(*partition, start, shared.fetch_bytes));
        }
        shared.chunks.resolved().await?;
        if let (Some(interval), Some(offsets)) = (shared.options.auto_commit, &consumer.owner.offsets) {
            let (shared, offsets) = (Arc::clone(&shared), Arc::clone(offsets));
            spawn(Arc::clone(&shared), async move {
                lasting(&shared, || auto_commit(&shared, &offsets, interval)).await;
            });
        }
        if shared.options.partitions.is_empty() && !shared.options.stop_at_end {
            let offsets = consumer.owner.offsets.clone();
            spawn(Arc::clone(&shared), async move {
                lasting(&shared, || reader::follow_new_partitions(&shared, offsets.as_deref())).await;
            });
        }
        Ok(consumer)
    }

    /// What is ready now; never waits. Partitions take turns. An error stays, at the front, until a seek in its partition
    /// passes it.
    pub fn take(&self) -> Result<Take> {
        let take = self.owner.shared.chunks.take()?;
        if let Take::Chunk(chunk) = &take {
            self.count(chunk);
        }
        Ok(take)
    }

    /// A chunk of a partition that had nothing ready for a while, if there is one; never waits. For a caller that is not
    /// through with its last chunk, and will not be soon.
    pub fn take_fresh(&self) -> Option<Chunk> {
        let chunk = self.owner.shared.chunks.take_fresh();
        chunk.iter().for_each(|chunk| self.count(chunk));
        chunk
    }

    fn count(&self, chunk: &Chunk) {
        let counters = self.owner.shared.session.counters();
        counters.records_consumed.add(u64::from(chunk.count));
        counters.bytes_consumed.add(chunk.bytes);
    }

    /// Waits until [`Self::take`] would not say [`Take::Empty`].
    pub async fn ready(&self) {
        self.owner.shared.chunks.ready().await;
    }

    /// Goes on elsewhere in a partition: what is ready of it is dropped before this returns. The future gives the new
    /// position once it is known, or what becomes of another seek that has taken its place before; dropping it leaves the
    /// seek in force, as does the end of its time. Whoever seeks backwards may commit so, too.
    pub fn seek(
        &self,
        partition: u32,
        start: Start,
        timeout: Option<Duration>,
    ) -> Result<impl Future<Output = Result<i64>> + Send + use<>> {
        self.assigned(&[partition])?;
        let limit = Limit::new(timeout).with(&self.owner.shared.trouble);
        let chunks = &self.owner.shared.chunks;
        let forward = matches!(start, Start::At(offset) if chunks.position(partition) <= Some(offset));
        let sought = self.go_to(partition, start)?;
        let topic = self.topic().to_owned();
        if let Some(offsets) = self.owner.offsets.as_ref().filter(|_| !forward) {
            offsets.sought(partition);
        }
        Ok(async move {
            let position = async { sought.await.unwrap_or_else(|_| Err(Error::closed("consumer"))) };
            let what = format!("the seek in partition {partition} of topic \"{topic}\"");
            let overdue = |timeout| took_longer(Phase::Read, &what, timeout);
            limit.hold(position, |timeout| overdue(timeout).with_topic(&topic).with_partition(partition)).await
        })
    }

    /// Takes back what was taken of a partition, from `offset` on, and has not been used: it is handed out again.
    pub fn put_back(&self, partition: u32, offset: i64) -> Result<()> {
        self.assigned(&[partition])?;
        self.go_to(partition, Start::At(offset)).map(drop)
    }

    fn go_to(&self, partition: u32, start: Start) -> Result<oneshot::Receiver<Result<i64>>> {
        let shared = &self.owner.shared;
        let (cursor, sought) = shared.chunks.seek(partition, start)?;
        if let Some(cursor) = cursor {
            reader::assign(shared, cursor);
        }
        Ok(sought)
    }

    /// Holds partitions back: nothing more of them is handed out until they are resumed.
    pub fn pause(&self, partitions: &[u32]) -> Result<()> {
        self.assigned(partitions)?;
        self.owner.shared.chunks.pause(partitions);
        Ok(())
    }

    /// Goes on with partitions that were paused, where they were.
    pub fn resume(&self, partitions: &[u32]) -> Result<()> {
        self.assigned(partitions)?;
        let shared = &self.owner.shared;
        shared.chunks.resume(partitions).into_iter().for_each(|cursor| reader::assign(shared, cursor));
        Ok(())
    }

    fn assigned(&self, partitions: &[u32]) -> Result<()> {
        let known = self.partitions();
        match partitions.iter().find(|partition| known.iter().all(|state| state.partition != **partition)) {
            None => Ok(()),
            Some(other) => {
                let (topic, read) = (self.topic(), first_few(known.iter().map(|state| state.partition)));
                let text =
                    format!("partition {other} of topic \"{topic}\" is not read by this consumer: it reads {read}");
                Err(Error::new(ErrorKind::PartitionNotFound, text).with_topic(self.topic()).with_partition(*other))
            }
        }
    }

    /// Stores offsets under the consumer's id, exactly as given: those of the last processed records. One beyond the end
    /// of its log is refused.
    pub async fn commit(&self, processed: &[(u32, i64)], timeout: Option<Duration>) -> Result<()> {
        let known: Vec<u32> = processed.iter().map(|(partition, _)| *partition).collect();
        self.assigned(&known)?;
        let offsets = self.offsets()?;
        let limit = Limit::new(timeout).with(offsets.trouble());
        let work = async {
            for (partition, offset) in processed {
                self.check_end(*partition, *offset, &limit).await?;
            }
            offsets.commit(processed, &limit).await
        };
        self.while_open(&limit, "the commit", work).await
    }

    /// Stores the offsets of records that were processed. Unless the caller has sought backwards in a partition, what is
    /// stored of it never goes back: not by a consumer that went on for a while after another had taken its place.
    pub async fn commit_processed(&self, processed: &[(u32, i64)], timeout: Option<Duration>) -> Result<()> {
        let known: Vec<u32> = processed.iter().map(|(partition, _)| *partition).collect();
        self.assigned(&known)?;
        let offsets = self.offsets()?;
        let limit = Limit::new(timeout).with(offsets.trouble());
        self.while_open(&limit, "the commit", offsets.commit_processed(processed, &limit)).await
    }

    /// What `work` on stored offsets comes to, unless its time is over or the consumer is closed first.
    async fn while_open<T>(&self, limit: &Limit, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let work = async {
            tokio::select! {
                biased;
                result = work => result,
                () = self.owner.shared.chunks.wait_closed() => Err(Error::closed("consumer")),
            }
        };
        let what = format!("{what} of topic \"{}\"", self.topic());
        limit.hold(work, |timeout| took_longer(Phase::Commit, &what, timeout).with_topic(self.topic())).await
    }

    /// Whether there is, or was, a record at `offset`: as far as the log was seen, else as its leader says.
    async fn check_end(&self, partition: u32, offset: i64, limit: &Limit) -> Result<()> {
        let shared = &self.owner.shared;
        let seen = shared.chunks.partitions().into_iter().find(|state| state.partition == partition);
        if seen.is_some_and(|seen| Some(offset) < seen.end.max(seen.position)) {
            return Ok(());
        }
        let (_, end) = log_bounds(&shared.session, &shared.topic, partition, limit).await?;
        if offset < end {
            return Ok(());
        }
        let text = format!(
            "the offset to commit is {offset}: it must be below {end}, where partition {partition} of topic \"{}\" ends",
            shared.topic
        );
        let error = Error::new(ErrorKind::OffsetOutOfRange, text).with_topic(&shared.topic);
        Err(error.with_partition(partition).with_offset(offset))
    }

    /// The stored offsets of the consumer's id, by partition: those of the last processed records.
    pub async fn committed(&self, timeout: Option<Duration>) -> Result<BTreeMap<u32, i64>> {
        let limit = Limit::new(timeout);
        self.while_open(&limit, "fetching the stored offsets", self.offsets()?.look(&limit)).await
    }

    /// Where the caller writes the offset of the last record of a partition that it has processed, for automatic commits;
    /// -1: none yet. Valid for ever.
    pub fn processed(&self, partition: u32) -> Result<Arc<AtomicI64>> {
        self.assigned(&[partition])?;
        Ok(self.offsets()?.mark(partition))
    }

    fn offsets(&self) -> Result<&Commits> {
        self.owner.offsets.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::Usage, "the consumer was opened without a consumer_id: it has no stored offsets")
        })
    }

    /// What keeps it from reading, if anything does.
    pub fn trouble(&self) -> Option<Error> {
        self.owner.shared.trouble.last()
    }

    /// Hands out nothing further: what is prefetched is dropped, and [`Self::take`] says [`Take::End`].
    pub fn stop(&self) {
        self.owner.shared.chunks.stop();
    }

    /// Ends reading, and commits that are under way; with automatic commits, commits what was processed.
    pub async fn close(&self, timeout: Option<Duration>) -> Result<()> {
        self.owner.shared.chunks.close();
        self.commit_marked(timeout).await
    }

    /// With automatic commits, commits what was processed.
    pub async fn commit_marked(&self, timeout: Option<Duration>) -> Result<()> {
        let Some(offsets) = self.owner.offsets.as_ref().filter(|_| self.owner.shared.options.auto_commit.is_some())
        else {
            return Ok(());
        };
        let limit = Limit::new(timeout).with(offsets.trouble());
        let what = format!("the commit of what was processed of topic \"{}\"", self.topic());
        let overdue = |timeout| took_longer(Phase::Close, &what, timeout);
        limit.hold(offsets.commit_marked(&limit), overdue).await
    }

    /// The partitions that it reads, and where it is in them.
    pub fn partitions(&self) -> Vec<PartitionState> {
        self.owner.shared.chunks.partitions()
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.owner.shared.topic
    }
}

/// Commits what was processed, again and again. What fails is tried again next time; the close tells.
async fn auto_commit(shared: &Shared, offsets: &Commits, interval: Duration) {
    let limit = Limit::new(None).with(offsets.trouble());
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = shared.chunks.wait_over() => return,
        }
        tokio::select! {
            _ = offsets.commit_marked(&limit) => {}
            () = shared.chunks.wait_over() => return,
        }
    }
}

/// Runs a task of a consumer to its end, again and again if it panics.
async fn lasting<T: Future<Output = ()>>(shared: &Shared, task: impl Fn() -> T) {
    let mut backoff = Backoff::default();
    while let Err(panic) = guard::caught(task()).await {
        shared.session.counters().note(panic.kind);
        tokio::select! {
            () = backoff.wait() => {}
            () = shared.chunks.wait_over() => return,
        }
    }
}

/// Runs a task of a consumer; if it panics, reading fails.
fn spawn(shared: Arc<Shared>, task: impl Future<Output = ()> + Send + 'static) {
    guard::spawn(task, move |error| shared.chunks.end(error));
}
