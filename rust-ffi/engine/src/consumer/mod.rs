//! The consumer.

use crate::Isolation;
use crate::error::{Error, Result};

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

/// Makes builders of chunks; the form in which records leave the engine is the host's choice.
pub trait ChunkEncoder: Send + Sync + 'static {
    /// A builder for one chunk.
    fn begin(&self) -> Box<dyn ChunkBuilder>;
}

/// Turns the records of one chunk into bytes, in the consumer's task.
pub trait ChunkBuilder: Send {
    /// Appends records, in order.
    fn push_all(&mut self, records: &[RecordRef<'_>]);
    /// Ends the chunk.
    fn finish(self: Box<Self>) -> Vec<u8>;
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

/// A consumer of one topic; a cheap handle.
#[derive(Debug, Clone)]
pub struct Consumer;

pub(crate) fn alive() -> usize {
    0
}
impl Consumer {
    pub(crate) async fn open(
        _client: crate::Client,
        _topic: &str,
        _options: ConsumerOptions,
        _encoder: std::sync::Arc<dyn ChunkEncoder>,
    ) -> Result<Self> {
        Err(Error::closed("x"))
    }

    /// What is ready now; never waits.
    pub fn take(&self) -> Result<Take> {
        Err(Error::closed("consumer"))
    }

    /// Waits until [`Self::take`] would not say [`Take::Empty`].
    pub async fn ready(&self) {}

    /// Hands out nothing further.
    pub fn stop(&self) {}

    /// Ends its connections.
    pub async fn close(&self) {}

    /// The partitions it reads.
    pub fn assignment(&self) -> &[u32] {
        &[]
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        ""
    }
}
