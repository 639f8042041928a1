//! The producer: callers encode records into the open batch of their partition, a sender for each leader ships the
//! batches.
//!
//! - [`accumulator`]: the records accepted, from their submission until their owner was notified of their fate
//! - [`sender`]: one an SPU, with a task and a connection; and the supervisor, which follows the cluster metadata
//! - [`partitioner`]: the partition of a record with a key
//!
//! A submission runs on the caller's thread, encodes, and wakes a sender, or sends by itself where nothing is under
//! way. A sender takes batches, and settles their tickets by the replies; [`Shared::settle`] hands these to the
//! [`TicketSink`].

mod accumulator;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod modules;
mod partitioner;
mod sender;

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fluvio_cffi_wire::Codec;
use fluvio_protocol::link::ErrorCode;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Outcome, Phase, Result};
use crate::guard;
use crate::limit::{Limit, took_longer};
use crate::log::log;
use crate::metrics::Metrics;
use crate::options::Isolation;
use crate::session::{Member, Session};
use crate::smartmodule::Transform;
use crate::transport::{Reader, Watch};

use accumulator::{Accumulator, Settled, Wake};
use modules::Modules;

/// What a record costs of the buffer beside the bytes of its key and value.
pub const RECORD_OVERHEAD: u64 = 24;

/// The version of the produce request that the official client 0.50 speaks.
const PRODUCE_VERSION: i16 = 25;

/// In place of the base offset of a batch: nobody knows the offsets of its records.
pub const NO_OFFSET: i64 = -1;

/// A submission of at most this many bytes is sent by the caller's own thread if nothing is in flight.
const DIRECT_BYTES: usize = 16_384;

/// How often a record may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum Delivery {
    /// Again after a lost connection, until the record is acknowledged.
    #[default]
    AtLeastOnce = 0,
    /// Once. A sending of which no server has seen a byte does not count.
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
    /// How batches are compressed. `None`: as the topic asks, not at all if it takes any codec.
    pub compression: Option<Codec>,
    /// SmartModules that the SPU runs on what is sent, one after the other, before it is written. Each request then has
    /// one batch, for which the SPU compiles them, so batches should be large; and the offsets of its records are not
    /// known.
    pub smartmodules: Vec<Transform>,
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
            compression: None,
            smartmodules: Vec::new(),
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
            let milliseconds = self.delivery_timeout.as_secs_f64() * 1e3;
            return Err(Error::invalid(format!("delivery_timeout is {milliseconds} ms: it must be at least 1 ms")));
        }
        self.smartmodules.iter().try_for_each(Transform::validate)
    }
}

/// Receives the fate of each ticket, exactly once, on a thread of the runtime, on one that watches a connection, or
/// on the one that abandons the producer. Must not block.
pub trait TicketSink: Send + Sync + 'static {
    /// `ticket` is settled.
    fn complete(&self, ticket: u64, outcome: TicketOutcome);

    /// Has `descriptor` watched for `reader`, where the producer's owner waits for its tickets, until the result is
    /// dropped. `None`: that is not possible.
    fn watch(&self, descriptor: RawFd, reader: Arc<dyn Reader>) -> Option<Watch> {
        let _ = (descriptor, reader);
        None
    }
}

/// The fate of a ticket.
#[derive(Debug, Clone)]
pub struct TicketOutcome {
    /// The partition of its batch, which may have moved since the submission if no record of it has a key or a
    /// partition.
    pub partition: u32,
    /// How many records the batch has.
    pub records: u32,
    /// The base offset, or [`NO_OFFSET`]; or why the batch was not acknowledged.
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
    /// Whether the caller is going to wait until the records are settled, where the sink can have a connection
    /// watched.
    pub awaited: bool,
}

/// Consecutive records of a submission that went into the same batch, one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Run {
    /// The batch's ticket, unique in the process, never 0.
    pub ticket: u64,
    /// The index of the first of them in the batch.
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

static ALIVE: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn alive() -> usize {
    ALIVE.load(Ordering::Relaxed)
}

/// A producer of one topic; a cheap handle. Dropping the last one gives up what is queued.
#[derive(Clone)]
pub struct Producer {
    owner: Arc<Owner>,
}

/// What the senders share with the handle.
pub(crate) struct Shared {
    session: Session,
    topic: String,
    options: ProducerOptions,
    modules: Modules,
    /// Whether the topic drops records that it has already.
    deduplicates: bool,
    accumulator: Accumulator,
    /// Notified when a sender doubts that the topic still exists, for the supervisor to ask.
    doubt: Notify,
    sink: Arc<dyn TicketSink>,
}

/// Ends the senders when the last handle goes.
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.abandon();
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Member for Shared {
    fn measure(&self, metrics: &mut Metrics) {
        let (records, bytes) = self.pending();
        metrics.records_buffered += records;
        metrics.bytes_buffered += bytes;
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.accumulator.flush())
    }

    fn unsettled(&self) -> u64 {
        self.pending().0
    }
}

impl Shared {
    /// How long one request may take: half of the delivery time-out at most, so that there is time to try again.
    /// With SmartModules, which the server compiles for each request, it may take longer.
    fn request_timeout(&self) -> Duration {
        const WITH_MODULES: Duration = Duration::from_secs(30);
        let usual = self.session.request_timeout();
        let longest = if self.modules.is_empty() { usual } else { usual.max(WITH_MODULES) };
        longest.min(self.options.delivery_timeout / 2)
    }

    /// The base offset for the owner of a batch: what a SmartModule drops has no offset, and moves those behind it.
    fn offset(&self, base_offset: i64) -> i64 {
        if self.deduplicates || !self.modules.is_empty() { NO_OFFSET } else { base_offset }
    }

    /// The error with what `code` means to this producer.
    fn explained(&self, error: Error, code: &ErrorCode) -> Error {
        let error = self.modules.explained(error);
        match code {
            ErrorCode::StorageError if self.deduplicates => error.adding(
                "; or the SmartModule that deduplicates the topic has failed on a record of the batch: it remembers \
                     those before, and drops them if they are sent again",
            ),
            ErrorCode::NotLeaderForPartition | ErrorCode::PartitionNotLeader if self.deduplicates => error.adding(
                "; a topic with deduplication is not served while its SmartModule is missing or refuses its parameters",
            ),
            _ => error,
        }
    }

    /// Records and bytes that are not settled.
    fn pending(&self) -> (u64, u64) {
        self.accumulator.pending()
    }

    /// Takes no more records and gives up those that are not settled; those of which no server has seen a byte were
    /// not written. Returns how many records were given up.
    fn abandon(&self) -> u64 {
        for sender in self.accumulator.stop() {
            sender.take_back(&self.accumulator);
        }
        let dropped = self.accumulator.abandon();
        let count = dropped.iter().map(|settled| u64::from(settled.records)).sum();
        self.settle(dropped);
        count
    }

    /// Says how many of the batches have failed, and why the first one.
    fn tell_failed(&self, settled: &[Settled]) {
        let mut failed = settled.iter().filter_map(|one| Some((one, one.result.as_ref().err()?)));
        let Some((first, error)) = failed.next() else { return };
        let (mut batches, mut records) = (1, u64::from(first.records));
        failed.for_each(|(one, _)| (batches, records) = (batches + 1, records + u64::from(one.records)));
        log!(
            WARN,
            PRODUCER,
            self.session.counters(),
            "records were not delivered",
            topic = &*self.topic,
            partition = first.partition,
            batches = batches,
            records = records,
            outcome = ?error.outcome,
            reason = %error.reason()
        );
    }

    /// Notifies the owner of the fate of tickets. No lock may be held.
    fn settle(&self, settled: Vec<Settled>) {
        if settled.is_empty() {
            return;
        }
        let counters = self.session.counters();
        for failed in settled.iter().filter_map(|settled| settled.result.as_ref().err()) {
            counters.note(failed.kind);
        }
        self.tell_failed(&settled);
        let tickets: Vec<u64> = settled.iter().map(|settled| settled.ticket).collect();
        for Settled { ticket, partition, records, result } in settled {
            self.sink.complete(ticket, TicketOutcome { partition, records, result });
        }
        // Only now: when a flush ends, the owner knows of everything.
        self.accumulator.notified(tickets);
    }
}

/// Runs a task of a producer that handles its panics itself. If even that panics, everything that is not settled
/// fails, and so does what is submitted later.
fn spawn(shared: Arc<Shared>, task: impl Future<Output = ()> + Send + 'static) {
    guard::spawn(task, move |error| shared.settle(shared.accumulator.fail(error)));
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("topic", &self.topic()).finish_non_exhaustive()
    }
}

impl Producer {
    pub(crate) async fn open(
        session: Session,
        topic: &str,
        options: ProducerOptions,
        sink: Arc<dyn TicketSink>,
        timeout: Option<Duration>,
    ) -> Result<Self> {
        options.validate()?;
        let modules = Modules::new(&options.smartmodules)?;
        let limit = Limit::new(timeout);
        let what = format!("opening the producer for topic \"{topic}\"");
        let overdue = |timeout| took_longer(Phase::Connect, &what, timeout).with_topic(topic);
        let state = limit.hold(session.metadata().topic(topic, &limit), overdue).await?;
        let codec = codec(topic, options.compression, state.compression)?;
        let deduplicates = state.deduplicates;
        let counters = Arc::clone(session.counters());
        let accumulator = Accumulator::new(topic, state.partitions, codec, &options, deduplicates, counters);
        let (topic, doubt) = (topic.to_owned(), Notify::new());
        let shared = Arc::new(Shared { session, topic, options, modules, deduplicates, accumulator, doubt, sink });
        shared.session.add(&shared);
        let partitions = state.partitions;
        log!(DEBUG, PRODUCER, shared.session.counters(), "a producer is open", topic = &*shared.topic, partitions);
        ALIVE.fetch_add(1, Ordering::Relaxed);
        let producer = Self { owner: Arc::new(Owner(Arc::clone(&shared))) };
        spawn(Arc::clone(&shared), sender::supervise(shared));
        Ok(producer)
    }

    fn shared(&self) -> &Shared {
        &self.owner.0
    }

    /// Encodes as many records as room and `runs` allow into the open batches, in order. Never waits.
    ///
    /// All lengths are checked first: an error accepts nothing.
    pub fn submit(&self, records: &Records<'_>, runs: &mut [Run]) -> Result<Submission> {
        let shared = &self.owner.0;
        let (submission, wake) = shared.accumulator.submit(records, runs)?;
        match wake {
            Wake::Nobody => {}
            Wake::One(sender) if records.data.len() <= DIRECT_BYTES => sender.send_or_wake(shared, records.awaited),
            Wake::One(sender) => sender.wake(),
            Wake::All => shared.accumulator.wake_senders(),
        }
        Ok(submission)
    }

    /// How many bytes the buffer takes now.
    pub fn room(&self) -> u64 {
        self.shared().accumulator.room()
    }

    /// Records and bytes that are not settled.
    pub fn pending(&self) -> (u64, u64) {
        let pending = self.shared().pending();
        if pending.0 > 0 {
            // A caller that watched a connection may have left without reading the reply: the task does.
            self.shared().accumulator.wake_senders();
        }
        pending
    }

    /// What went wrong last with an SPU that leads one of the partitions, if it has not taken records since.
    pub fn trouble(&self) -> Option<Error> {
        self.shared().accumulator.last_error()
    }

    /// How many partitions the topic has.
    pub fn partition_count(&self) -> u32 {
        self.shared().accumulator.partition_count()
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.shared().topic
    }

    /// Waits until `bytes` (at most the buffer's size) are free, first come first served; gives the room. Dropping the
    /// future gives up the place.
    pub async fn wait_room(&self, bytes: u64) -> Result<u64> {
        // The thread that waits for room may not be the one that watches the connection: the task does.
        self.shared().accumulator.wake_senders();
        self.shared().accumulator.wait_room(bytes).await
    }

    /// Waits until everything submitted before is settled.
    pub async fn flush(&self) -> Result<()> {
        self.shared().accumulator.flush().await;
        Ok(())
    }

    /// Takes no more records; waits for the accepted ones if `flush`, for up to `timeout`; fails the rest. Returns how
    /// many were dropped.
    pub async fn close(&self, flush: bool, timeout: Option<Duration>) -> u64 {
        let shared = self.shared();
        if shared.accumulator.close() {
            let (topic, records) = (&*shared.topic, shared.pending().0);
            log!(DEBUG, PRODUCER, shared.session.counters(), "a producer is closed", topic, records);
        }
        if flush {
            let flushed = shared.accumulator.flush();
            match timeout.map(|timeout| Instant::now() + timeout) {
                None => flushed.await,
                Some(deadline) => {
                    let _ = tokio::time::timeout_at(deadline, flushed).await;
                }
            }
        }
        shared.abandon()
    }

    /// Takes no more records and fails what is queued, at once.
    pub fn abandon(&self) {
        self.shared().abandon();
    }
}

/// The codec for a topic that asks for `asked`, if it does; an error if another one was `chosen`.
fn codec(topic: &str, chosen: Option<Codec>, asked: Option<Codec>) -> Result<Codec> {
    match (chosen, asked) {
        (Some(chosen), Some(asked)) if chosen != asked => Err(Error::invalid(format!(
            "compression is \"{}\": topic \"{topic}\" takes only \"{}\"",
            chosen.name(),
            asked.name()
        ))
        .with_topic(topic)),
        (chosen, asked) => Ok(chosen.or(asked).unwrap_or_default()),
    }
}

/// The error of a batch whose delivery time-out has ended. `last_error`: what went wrong last with the SPU.
fn overdue(topic: &str, partition: u32, timeout: Duration, sent: bool, last_error: Option<Error>) -> Error {
    let (outcome, fate) = match sent {
        true => (Outcome::Unknown, "it was sent and may be in the log"),
        false => (Outcome::NotWritten, "it was not sent"),
    };
    let seconds = timeout.as_secs_f64();
    let text = format!(
        "a batch for topic \"{topic}\" was not acknowledged within the delivery time-out of {seconds} s: {fate}"
    );
    let error = Error { retriable: !sent, ..Error::timeout(Phase::Delivery, text) }.after(last_error);
    error.with_topic(topic).with_partition(partition).with_outcome(outcome)
}

/// The error of a batch that was dropped by a close.
fn dropped(topic: &str, partition: u32, sent: bool) -> Error {
    let (kind, outcome, fate) = match sent {
        true => (ErrorKind::DeliveryUnknown, Outcome::Unknown, "it was sent and may be in the log"),
        false => (ErrorKind::Closed, Outcome::NotWritten, "it was not sent"),
    };
    let text = format!("the producer was closed before a batch for topic \"{topic}\" was acknowledged: {fate}");
    Error::new(kind, text).with_topic(topic).with_partition(partition).with_outcome(outcome)
}
