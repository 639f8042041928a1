//! The producer handle.

#[cfg(target_os = "linux")]
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use fluvio_cffi_engine::{
    Codec, Delivery, Error, Phase, Producer, ProducerOptions, Records, Result, Run, TicketOutcome, TicketSink,
};
#[cfg(target_os = "linux")]
use fluvio_cffi_engine::{Reader, Watch};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::boundary::{OK, export, quiet};
use crate::bytes::flv_slice_t;
use crate::client::{ClientObject, flv_client_t};
use crate::closing::{Closing, Work};
use crate::handle::{self, Handle, Kind};
use crate::operation::{self, Done, Request, overdue};
use crate::pointer::{fill, slice};
use crate::queue::{Queue, TICKET, flv_completion_t, flv_queue_t};
use crate::records::{flv_records_flag_e, flv_records_t};
use crate::status::{flv_error_t, flv_status_e, flv_status_t};
use crate::structs::{self, growing, isolation, millis};
use crate::transforms::{self, flv_smartmodule_t};

/// A producer of one topic. May be used from any threads.
pub struct flv_producer_t {
    _opaque: [u8; 0],
}

impl Handle for flv_producer_t {
    type Object = ProducerObject;
    const KIND: Kind = Kind::Producer;
}

/// Which records a consumer sees, and when a producer's record counts as acknowledged.
#[repr(C)]
pub enum flv_isolation_e {
    /// As soon as the leader has written them.
    FLV_ISOLATION_READ_UNCOMMITTED = 0,
    /// Once all in-sync replicas have them.
    FLV_ISOLATION_READ_COMMITTED = 1,
}

/// How often a record may be sent.
#[repr(C)]
pub enum flv_delivery_e {
    /// Again after a lost connection, until it is acknowledged.
    FLV_DELIVERY_AT_LEAST_ONCE = 0,
    /// Once. What no server has seen a byte of, because the connection had ended, does not count.
    FLV_DELIVERY_AT_MOST_ONCE = 1,
}

/// How batches are compressed.
#[repr(C)]
pub enum flv_compression_e {
    /// As the topic asks; not at all if it takes any codec.
    FLV_COMPRESSION_TOPIC = 0,
    /// Not at all.
    FLV_COMPRESSION_NONE = 1,
    /// gzip.
    FLV_COMPRESSION_GZIP = 2,
    /// Snappy.
    FLV_COMPRESSION_SNAPPY = 3,
    /// LZ4.
    FLV_COMPRESSION_LZ4 = 4,
    /// Zstandard.
    FLV_COMPRESSION_ZSTD = 5,
}

/// Numbers that hosts need.
#[repr(C)]
pub enum flv_limit_e {
    /// What a record takes of the producer's buffer beside the bytes of its key and value.
    FLV_RECORD_OVERHEAD = 24,
}

const _: () = assert!(flv_limit_e::FLV_RECORD_OVERHEAD as u64 == fluvio_cffi_engine::RECORD_OVERHEAD);

/// How a producer works. `flv_producer_options_init` fills in the defaults.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_producer_options_t {
    /// `sizeof(flv_producer_options_t)`.
    pub struct_size: u32,
    /// Requests in flight per leader, at most. Default 8.
    pub max_in_flight: u32,
    /// Bytes at which a batch closes. Default 16,384.
    pub batch_size: u64,
    /// Bytes of one request, and so of one record, at most. Default 1,048,576.
    pub max_request_size: u64,
    /// Bytes of records accepted and not settled, at most; at least `max_request_size`. Default 33,554,432.
    pub buffer_size: u64,
    /// How long a batch waits for more records, microseconds. 0: as long as a request is in flight. Default 0.
    pub linger_us: i64,
    /// How long a record may take from its acceptance to its acknowledgement, milliseconds. Default 30,000.
    pub delivery_timeout_ms: i64,
    /// One of `FLV_ISOLATION_`. Default `FLV_ISOLATION_READ_UNCOMMITTED`.
    pub isolation: u32,
    /// One of `FLV_DELIVERY_`. Default `FLV_DELIVERY_AT_LEAST_ONCE`.
    pub delivery: u32,
    /// One of `FLV_COMPRESSION_`. Default `FLV_COMPRESSION_TOPIC`.
    pub compression: u32,
    /// 0.
    pub reserved: u32,
    /// SmartModules that the SPU runs on what is sent, one after the other, before it is written. The SPU compiles them
    /// for each request, which then has one batch: set a larger `batch_size`, such as 262,144. Default none.
    pub smartmodules: *const flv_smartmodule_t,
    /// How many.
    pub smartmodules_len: usize,
}

growing!(flv_producer_options_t {
    struct_size,
    max_in_flight,
    batch_size,
    max_request_size,
    buffer_size,
    linger_us,
    delivery_timeout_ms,
    isolation,
    delivery,
    compression,
    reserved,
    smartmodules,
    smartmodules_len
});

impl flv_producer_options_t {
    const DEFAULT: Self = Self {
        struct_size: size_of::<Self>() as u32,
        max_in_flight: 8,
        batch_size: 16_384,
        max_request_size: 1 << 20,
        buffer_size: 32 << 20,
        linger_us: 0,
        delivery_timeout_ms: 30_000,
        isolation: 0,
        delivery: 0,
        compression: 0,
        reserved: 0,
        smartmodules: std::ptr::null(),
        smartmodules_len: 0,
    };

    fn parse(&self) -> Result<ProducerOptions> {
        structs::unused(self.reserved, "options")?;
        let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let linger = u64::try_from(self.linger_us)
            .map_err(|_| Error::invalid(format!("linger_us is {}: it must be 0 or more", self.linger_us)))?;
        let options = ProducerOptions {
            batch_size: size(self.batch_size),
            linger: Duration::from_micros(linger),
            max_request_size: size(self.max_request_size),
            buffer_size: size(self.buffer_size),
            max_in_flight: self.max_in_flight as usize,
            isolation: isolation(self.isolation)?,
            delivery: match self.delivery {
                0 => Delivery::AtLeastOnce,
                1 => Delivery::AtMostOnce,
                other => {
                    return Err(Error::invalid(format!(
                        "delivery is {other}: it must be one of FLV_DELIVERY_, 0 or 1"
                    )));
                }
            },
            delivery_timeout: millis(self.delivery_timeout_ms, "delivery_timeout_ms")?,
            compression: match self.compression {
                0 => None,
                1 => Some(Codec::None),
                2 => Some(Codec::Gzip),
                3 => Some(Codec::Snappy),
                4 => Some(Codec::Lz4),
                5 => Some(Codec::Zstd),
                other => {
                    return Err(Error::invalid(format!(
                        "compression is {other}: it must be one of FLV_COMPRESSION_, 0 to 5"
                    )));
                }
            },
            smartmodules: transforms::read(self.smartmodules, self.smartmodules_len)?,
        };
        options.validate()?;
        Ok(options)
    }
}

/// A producer and where its tickets go.
pub(crate) struct ProducerObject {
    pub(crate) producer: Producer,
    /// Whose end is its own, too, as long as it lives.
    client: Arc<ClientObject>,
}

impl Closing for ProducerObject {
    fn commit_marked(self: Arc<Self>, _: Option<Duration>) -> Work<()> {
        Box::pin(async {})
    }

    fn close(self: Arc<Self>, deadline: Option<Instant>) -> Work<u64> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        Box::pin(async move { self.producer.close(true, left).await })
    }
}

/// How long the records of a producer that was freed unclosed may still take.
const FREED_FLUSH: Duration = Duration::from_secs(1);

impl Drop for ProducerObject {
    fn drop(&mut self) {
        if self.producer.pending().0 == 0 {
            return;
        }
        let orphan = Arc::new(Orphan { producer: self.producer.clone(), dropped: Mutex::default() });
        self.client.add(&orphan);
        let client = Arc::clone(&self.client);
        if let Ok(tasks) = self.client.runtime.handle() {
            tasks.spawn(async move {
                let mut dropped = orphan.dropped.lock().await;
                *dropped = orphan.producer.close(true, Some(FREED_FLUSH)).await;
                drop(client);
            });
        }
    }
}

/// A producer that was freed unclosed, while records of it are under way: whoever shuts down waits for them, too, and
/// hears how many were dropped meanwhile.
struct Orphan {
    producer: Producer,
    /// Locked by the close that is under way.
    dropped: Mutex<u64>,
}

impl Closing for Orphan {
    fn commit_marked(self: Arc<Self>, _: Option<Duration>) -> Work<()> {
        Box::pin(async {})
    }

    fn close(self: Arc<Self>, deadline: Option<Instant>) -> Work<u64> {
        Box::pin(async move {
            let closed = async { std::mem::take(&mut *self.dropped.lock().await) };
            match deadline {
                None => closed.await,
                Some(deadline) => match tokio::time::timeout_at(deadline, closed).await {
                    Ok(dropped) => dropped,
                    Err(_) => self.producer.close(false, None).await,
                },
            }
        })
    }
}

/// Posts the fate of tickets.
struct Sink(Arc<Queue>);

impl TicketSink for Sink {
    fn complete(&self, ticket: u64, TicketOutcome { partition, records, result }: TicketOutcome) {
        let mut completion = flv_completion_t {
            token: ticket,
            operation: 0,
            status: flv_status_e::FLV_STATUS_OK as flv_status_t,
            kind: TICKET,
            result: std::ptr::null_mut(),
            value: 0,
            extra: records.into(),
            partition,
            reserved: 0,
        };
        match result {
            Ok(base_offset) => completion.value = base_offset,
            Err(error) => completion.set_error(error),
        }
        self.0.post(completion);
    }

    #[cfg(target_os = "linux")]
    fn watch(&self, descriptor: RawFd, reader: Arc<dyn Reader>) -> Option<Watch> {
        self.0.watch(descriptor, reader)
    }
}

const AWAITED: u32 = flv_records_flag_e::FLV_RECORDS_AWAITED as u32;

/// `count` consecutive records of a submission are the records `index`, `index + 1`, ... of the batch `ticket`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_run_t {
    /// Unique in the process, never 0.
    pub ticket: u64,
    /// The first record's index in the batch: its offset is the ticket's base offset plus this, unless that is -1: with
    /// SmartModules, and on topics with deduplication, nobody knows which records were dropped.
    pub index: u32,
    /// How many records.
    pub count: u32,
}

const _: () = assert!(size_of::<flv_run_t>() == size_of::<Run>() && align_of::<flv_run_t>() == align_of::<Run>());

/// What became of a submission. The caller sets `struct_size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_submission_t {
    /// `sizeof(flv_submission_t)`.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// How many records, from the first, were accepted.
    pub accepted: usize,
    /// How many runs were filled; together they cover the accepted records, in order.
    pub runs: usize,
    /// How many bytes the buffer takes now.
    pub room: u64,
    /// The timestamp of the records that came without one.
    pub timestamp: i64,
}

growing!(flv_submission_t { struct_size, reserved, accepted, runs, room, timestamp });

/// Fills in the defaults of the fields within `size` bytes, which is the size of `*options`: in C a macro of the same
/// name adds it. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_producer_options_init(options: *mut flv_producer_options_t, size: usize) {
    structs::init(options, size, flv_producer_options_t::DEFAULT);
}

/// Opens a producer of `topic`. Result: `flv_producer_t *`, owned by whoever drains, until `flv_producer_free`. Its
/// tickets complete on `queue`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_producer_open(
    client: *mut flv_client_t,
    topic: flv_slice_t,
    options: *const flv_producer_options_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let client = handle::get(client)?;
        client.usable()?;
        let topic = topic.text("topic")?.to_owned();
        let options = structs::read(options, "options", flv_producer_options_t::DEFAULT)?.parse()?;
        let sink = Arc::new(Sink(handle::get(queue)?));
        let request = Request { timeout_ms, queue, token, operation };
        operation::start_bounded(Arc::clone(&client.runtime), request, |timeout| async move {
            let producer = client.while_open(client.client.producer(&topic, options, sink, timeout)).await?;
            let object = Arc::new(ProducerObject { producer, client: Arc::clone(&client) });
            client.add(&object);
            Ok(Done::object::<flv_producer_t>(object))
        })?;
        Ok(OK)
    })
}

/// How many partitions the topic has now; 0 if `producer` is no producer. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_producer_partition_count(producer: *const flv_producer_t) -> u32 {
    quiet(0, || Ok(handle::get(producer)?.producer.partition_count()))
}

/// What keeps records from being acknowledged: fails with what went wrong last with an SPU that leads one of the
/// partitions, if it has not taken records since. OK: nothing. Any thread; never waits.
#[unsafe(no_mangle)]
pub extern "C" fn flv_producer_trouble(producer: *const flv_producer_t, error: *mut *mut flv_error_t) -> flv_status_t {
    export(error, || handle::get(producer)?.producer.trouble().map_or(Ok(OK), Err))
}

/// Encodes the first `submission->accepted` records into batches, in order: as many as the buffer has room and `runs`
/// has places for. With fewer than all, wait for room, then submit the rest. Never waits. All lengths are checked
/// first: a status other than OK accepts nothing. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_producer_submit(
    producer: *mut flv_producer_t,
    records: *const flv_records_t,
    runs: *mut flv_run_t,
    runs_capacity: usize,
    submission: *mut flv_submission_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let producer = handle::get(producer)?;
        let given = flv_records_t::read(records)?;
        let awaited = match given.flags {
            0 => false,
            AWAITED => true,
            other => {
                let text = format!("records->flags is {other}: it must be 0 or FLV_RECORDS_AWAITED, {AWAITED}");
                return Err(Error::invalid(text));
            }
        };
        structs::check(submission, "submission")?;
        let records = Records { awaited, ..given.columns()? };
        // Checks the pointer; never read, only written.
        slice(runs, runs_capacity, "runs")?;
        let runs: &mut [Run] = match runs_capacity {
            0 => &mut [],
            // SAFETY: checked above; the two types have the same layout; the caller vouches for room, and any bits are
            // a valid `Run`.
            _ => unsafe { std::slice::from_raw_parts_mut(runs.cast(), runs_capacity) },
        };
        let done = producer.producer.submit(&records, runs)?;
        let result = flv_submission_t {
            struct_size: 0,
            reserved: 0,
            accepted: done.accepted,
            runs: done.runs,
            room: done.room,
            timestamp: done.timestamp,
        };
        structs::write(submission, "submission", result)?;
        Ok(OK)
    })
}

/// How many bytes the buffer takes now. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_producer_room(producer: *const flv_producer_t) -> u64 {
    quiet(0, || Ok(handle::get(producer)?.producer.room()))
}

/// The error when `what` took too long, with what kept it.
fn late(producer: &Arc<ProducerObject>, phase: Phase, what: &'static str) -> impl FnOnce(Duration) -> Error + use<> {
    let (producer, late) = (Arc::clone(producer), overdue(phase, what));
    move |timeout| late(timeout).after(producer.producer.trouble()).with_topic(producer.producer.topic())
}

/// Completes once `bytes` (at most the buffer's size) are free, first come, first served. Value: the room then. Any
/// thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_producer_wait_room(
    producer: *mut flv_producer_t,
    bytes: u64,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let producer = handle::get(producer)?;
        let request = Request { timeout_ms, queue, token, operation };
        let late = late(&producer, Phase::Enqueue, "waiting for room in the producer's buffer");
        operation::start(Arc::clone(&producer.client.runtime), &request, late, async move {
            Ok(Done::value(producer.producer.wait_room(bytes).await?))
        })?;
        Ok(OK)
    })
}

/// Completes once everything that was submitted before is settled: delivered or failed, as the tickets tell. Any
/// thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_producer_flush(
    producer: *mut flv_producer_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let producer = handle::get(producer)?;
        let request = Request { timeout_ms, queue, token, operation };
        let late = late(&producer, Phase::Flush, "the flush");
        operation::start(Arc::clone(&producer.client.runtime), &request, late, async move {
            producer.producer.flush().await?;
            Ok(Done::default())
        })?;
        Ok(OK)
    })
}

/// Takes no more records. With `flush` not 0 waits for what was accepted, within the time-out; then fails the rest.
/// Value: how many records were dropped; their tickets tell. The handle stays until it is freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_producer_close(
    producer: *mut flv_producer_t,
    flush: u32,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let producer = handle::get(producer)?;
        let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        let request = Request { timeout_ms: -1, queue, token, operation };
        let late = overdue(Phase::Close, "closing the producer");
        operation::start(Arc::clone(&producer.client.runtime), &request, late, async move {
            Ok(Done::value(producer.producer.close(flush != 0, timeout).await))
        })?;
        Ok(OK)
    })
}

/// How many records and bytes are not settled; 0 if `producer` is no producer. NULL is fine for what nobody asks. Any
/// thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_producer_pending(producer: *const flv_producer_t, records: *mut u64, bytes: *mut u64) {
    let (count, size) = quiet((0, 0), || Ok(handle::get(producer)?.producer.pending()));
    fill(records, count);
    fill(bytes, size);
}

/// Frees a producer. Not closed before, its records get one more second in the background. Never blocks. NULL is fine.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_producer_free(producer: *mut flv_producer_t) {
    quiet((), || {
        drop(handle::remove(producer));
        Ok(())
    });
}
