//! The consumer: a reader per leader streams the partitions that its SPU leads, and keeps decoded chunks ready.

mod chunks;
mod cursor;
mod reader;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Isolation;
use crate::client::Client;
use crate::error::{Error, Result};

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
}

/// How a consumer works.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// Which partitions; none: all.
    pub partitions: Vec<u32>,
    /// Where reading begins.
    pub start: Start,
    /// Other starts of single partitions.
    pub starts: Vec<(u32, Start)>,
    /// End at the ends seen when it was opened.
    pub stop_at_end: bool,
    /// Which records it sees.
    pub isolation: Isolation,
    /// Bytes of one reply, at most, unless one batch is larger.
    pub max_bytes: u32,
    /// Decoded bytes kept ready, at most, unless one batch is larger.
    pub prefetch: usize,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            partitions: Vec::new(),
            start: Start::End(0),
            starts: Vec::new(),
            stop_at_end: false,
            isolation: Isolation::ReadUncommitted,
            max_bytes: 1 << 20,
            prefetch: 16 << 20,
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
        for start in self.starts.iter().map(|(_, start)| start).chain([&self.start]) {
            if let Start::At(offset) = start
                && *offset < 0
            {
                return Err(Error::invalid(format!("the start offset is {offset}: it must be 0 or more")));
            }
        }
        Ok(())
    }

    fn start_of(&self, partition: u32) -> Start {
        self.starts.iter().rev().find(|(of, _)| *of == partition).map_or(self.start, |(_, start)| *start)
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

/// A consumer of one topic; a cheap handle. Dropping the last one closes it.
#[derive(Clone)]
pub struct Consumer {
    owner: Arc<Owner>,
}

/// What the readers share with the handle.
struct Shared {
    client: Client,
    topic: String,
    options: ConsumerOptions,
    /// Bytes that one stream asks for: a quarter of the prefetch, divided over the partitions, and at most `max_bytes`.
    fetch_bytes: u32,
    chunks: Chunks,
    encoder: Arc<dyn ChunkEncoder>,
    readers: Readers,
}

/// Ends the readers when the last handle goes.
struct Owner {
    shared: Arc<Shared>,
    assignment: Vec<u32>,
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
        client: Client,
        topic: &str,
        options: ConsumerOptions,
        encoder: Arc<dyn ChunkEncoder>,
    ) -> Result<Self> {
        const LEAST_FETCH: usize = 4096;
        options.validate()?;
        let count = client.view().topic(topic).await?.partitions;
        let chosen: BTreeSet<u32> = match options.partitions.is_empty() {
            true => (0..count).collect(),
            false => options.partitions.iter().copied().collect(),
        };
        let named = chosen.iter().copied().chain(options.starts.iter().map(|(partition, _)| *partition));
        if let Some(wrong) = named.clone().find(|partition| *partition >= count) {
            return Err(Error::partition_not_found(topic, i64::from(wrong), count));
        }
        let assignment: Vec<u32> = chosen.into_iter().collect();
        let share = (options.prefetch / 4 / assignment.len()).max(LEAST_FETCH);
        let fetch_bytes = options.max_bytes.min(u32::try_from(share).unwrap_or(u32::MAX));
        let chunks = Chunks::new(assignment.len(), options.prefetch);
        let shared = Arc::new(Shared {
            client,
            topic: topic.to_owned(),
            options,
            fetch_bytes,
            chunks,
            encoder,
            readers: Readers::default(),
        });
        ALIVE.fetch_add(1, Ordering::Relaxed);
        let consumer = Self { owner: Arc::new(Owner { shared: Arc::clone(&shared), assignment }) };
        for partition in &consumer.owner.assignment {
            let start = shared.options.start_of(*partition);
            reader::assign(&shared, Cursor::new(*partition, start, shared.fetch_bytes));
        }
        shared.chunks.resolved().await?;
        Ok(consumer)
    }

    /// What is ready now; never waits. An error stays: each call returns it.
    pub fn take(&self) -> Result<Take> {
        self.owner.shared.chunks.take()
    }

    /// Waits until [`Self::take`] would not say [`Take::Empty`].
    pub async fn ready(&self) {
        self.owner.shared.chunks.ready().await;
    }

    /// Hands out nothing further: what is prefetched is dropped, and [`Self::take`] says [`Take::End`].
    pub fn stop(&self) {
        self.owner.shared.chunks.stop();
    }

    /// Ends its connections.
    pub async fn close(&self) {
        self.owner.shared.chunks.close();
    }

    /// The partitions it reads.
    pub fn assignment(&self) -> &[u32] {
        &self.owner.assignment
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.owner.shared.topic
    }
}

/// Runs a task of a consumer; if it panics, reading fails.
fn spawn(shared: Arc<Shared>, task: impl Future<Output = ()> + Send + 'static) {
    crate::guard::spawn(task, move |error| shared.chunks.fail(error));
}
