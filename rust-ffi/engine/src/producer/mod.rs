//! The producer.

use std::time::Duration;

use crate::Isolation;
use crate::error::{Error, Result};

/// What a record costs of the buffer beside the bytes of its key and value.
pub const RECORD_OVERHEAD: u64 = 24;

/// How often a record may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum Delivery {
    /// Again after a lost connection, until it is acknowledged.
    #[default]
    AtLeastOnce = 0,
    /// Once.
    AtMostOnce = 1,
}

/// How a producer works.
#[derive(Debug, Clone)]
pub struct ProducerOptions {
    /// Bytes at which a batch closes.
    pub batch_size: usize,
    /// How long a batch waits for more records.
    pub linger: Duration,
    /// Bytes of one request, and so of one record, at most.
    pub max_request_size: usize,
    /// Bytes of records accepted and not yet settled, at most.
    pub buffer_size: usize,
    /// Requests in flight per leader, at most.
    pub max_in_flight: usize,
    /// When a record counts as acknowledged.
    pub isolation: Isolation,
    /// How often a record may be sent.
    pub delivery: Delivery,
    /// How long a record may take from its acceptance to its acknowledgement.
    pub delivery_timeout: Duration,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            batch_size: 16_384,
            linger: Duration::ZERO,
            max_request_size: 1_048_576,
            buffer_size: 32 << 20,
            max_in_flight: 8,
            isolation: Isolation::ReadUncommitted,
            delivery: Delivery::AtLeastOnce,
            delivery_timeout: Duration::from_secs(30),
        }
    }
}

impl ProducerOptions {
    /// Checks every option; the error names the option, its value and what is allowed.
    pub fn validate(&self) -> Result<()> {
        fn within(name: &str, value: usize, low: usize, high: usize) -> Result<()> {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(Error::invalid(format!("{name} is {value}: it must be from {low} to {high}")))
        }
        within("batch_size", self.batch_size, 1, 32 << 20)?;
        within("max_request_size", self.max_request_size, 1_024, 32 << 20)?;
        within("buffer_size", self.buffer_size, self.max_request_size, 1 << 40)?;
        within("max_in_flight", self.max_in_flight, 1, 1_000)?;
        if self.linger > Duration::from_secs(60) {
            return Err(Error::invalid(format!("linger is {} s: it must be at most 60 s", self.linger.as_secs_f64())));
        }
        if self.delivery_timeout < Duration::from_millis(1) {
            return Err(Error::invalid("delivery_timeout must be at least 1 ms"));
        }
        Ok(())
    }
}

/// Receives the fate of each ticket, exactly once, on a thread of the runtime. Must not block.
pub trait TicketSink: Send + Sync + 'static {
    /// `ticket` is settled.
    fn complete(&self, ticket: u64, outcome: TicketOutcome);
}

/// The fate of a ticket.
#[derive(Debug, Clone)]
pub struct TicketOutcome {
    /// The partition of its batch.
    pub partition: u32,
    /// How many records the batch has.
    pub records: u32,
    /// The base offset, or why the batch was not acknowledged.
    pub result: Result<i64>,
}

/// Records to submit: their bytes joined, key before value, and their lengths.
#[derive(Debug, Clone, Copy)]
pub struct Records<'a> {
    /// How many.
    pub count: usize,
    /// Key and value bytes of one record after the other.
    pub data: &'a [u8],
    /// One a record.
    pub value_lengths: &'a [u32],
    /// One a record; -1: no key. `None`: no record has one.
    pub key_lengths: Option<&'a [i32]>,
    /// One a record; -1: the partitioner decides. `None`: for all.
    pub partitions: Option<&'a [i32]>,
    /// One a record, milliseconds since the epoch; `i64::MIN`: now. `None`: for all.
    pub timestamps: Option<&'a [i64]>,
}

/// `count` consecutive records of a submission are the records `index`.. of the batch that `ticket` stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Run {
    /// The batch's ticket, unique in the process, never 0.
    pub ticket: u64,
    /// The first record's index in the batch.
    pub index: u32,
    /// How many records.
    pub count: u32,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submission {
    /// How many records, from the first, were accepted.
    pub accepted: usize,
    /// How many runs were filled.
    pub runs: usize,
    /// How many bytes the buffer takes now.
    pub room: u64,
    /// The timestamp of the records that came without one.
    pub timestamp: i64,
}

/// A producer of one topic; a cheap handle.
#[derive(Debug, Clone)]
pub struct Producer;

pub(crate) fn alive() -> usize {
    0
}
impl Producer {
    pub(crate) async fn open(
        _client: crate::Client,
        _topic: &str,
        _options: ProducerOptions,
        _sink: std::sync::Arc<dyn TicketSink>,
    ) -> Result<Self> {
        Err(Error::closed("x"))
    }

    /// Encodes as many records as room and `runs` allow into the open batches. Never waits.
    pub fn submit(&self, _records: &Records<'_>, _runs: &mut [Run]) -> Result<Submission> {
        Err(Error::closed("producer"))
    }

    /// How many bytes the buffer takes now.
    pub fn room(&self) -> u64 {
        0
    }

    /// Records and bytes that are not settled.
    pub fn pending(&self) -> (u64, u64) {
        (0, 0)
    }

    /// How many partitions the topic has.
    pub fn partition_count(&self) -> u32 {
        0
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        ""
    }

    /// Waits until `bytes` are free, first come first served.
    pub async fn wait_room(&self, _bytes: u64) -> Result<u64> {
        Err(Error::closed("producer"))
    }

    /// Waits until everything submitted before is settled.
    pub async fn flush(&self) -> Result<()> {
        Err(Error::closed("producer"))
    }

    /// Takes no more records; waits for the accepted ones if `flush`; fails the rest. Returns how many were dropped.
    pub async fn close(&self, _flush: bool, _timeout: Option<Duration>) -> u64 {
        0
    }

    /// Takes no more records and fails what is queued, at once.
    pub fn abandon(&self) {}
}
