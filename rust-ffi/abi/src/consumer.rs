//! The consumer handle, and the two forms in which records leave the library.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fluvio_cffi_engine::{Chunk, ChunkEncoder, Consumer, ConsumerOptions, Error, RecordRef, Result, Start, Take};

use tokio::time::Instant;

use crate::boundary::{OK, export, quiet};
use crate::bytes::{buffer, flv_slice_t};
use crate::client::flv_client_t;
use crate::closing::{Closing, Work};
use crate::handle::{self, Handle, Kind};
use crate::operation::{self, Done, Request, nothing_came};
use crate::options::{self, isolation, millis};
use crate::pickle::Pickle;
use crate::pointer::{fill, require, slice, write_out};
use crate::queue::flv_queue_t;
use crate::runtime::Runtime;
use crate::status::{flv_error_t, flv_status_e, flv_status_t};

/// A consumer of one topic. One reader at a time; everything else from any threads.
pub struct flv_consumer_t {
    _opaque: [u8; 0],
}

impl Handle for flv_consumer_t {
    type Object = ConsumerObject;
    const KIND: Kind = Kind::Consumer;
}

/// Where reading begins.
#[repr(C)]
pub enum flv_start_kind_e {
    /// The beginning with a `consumer_id`, so that nothing is lost before the first commit, else the end.
    FLV_START_DEFAULT = 0,
    /// So many records after the first that exists.
    FLV_START_BEGINNING = 1,
    /// So many records before the end.
    FLV_START_END = 2,
    /// At this offset.
    FLV_START_AT = 3,
}

/// The form in which records leave the library.
#[repr(C)]
pub enum flv_format_e {
    /// `flv_record_t` structures.
    FLV_FORMAT_RECORDS = 0,
    /// A pickle stream for Python: see `docs/c-abi.md`.
    FLV_FORMAT_PICKLE = 1,
}

/// Where reading of one partition begins.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_start_t {
    /// The partition.
    pub partition: u32,
    /// One of `FLV_START_`.
    pub kind: u32,
    /// Records after the beginning, records before the end, or the offset.
    pub value: i64,
}

/// How a consumer works. `flv_consumer_options_init` fills in the defaults.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_consumer_options_t {
    /// `sizeof(flv_consumer_options_t)`.
    pub struct_size: u32,
    /// One of `FLV_FORMAT_`. Default `FLV_FORMAT_RECORDS`.
    pub format: u32,
    /// Which partitions. Default none: all.
    pub partitions: *const u32,
    /// How many.
    pub partitions_len: usize,
    /// Starts of single partitions, which win over `start_kind`. Default none.
    pub starts: *const flv_start_t,
    /// How many.
    pub starts_len: usize,
    /// One of `FLV_START_`. Default `FLV_START_DEFAULT`. Where an offset is stored under `consumer_id`, see `resume`.
    pub start_kind: u32,
    /// Not 0: end at the ends seen when it was opened. Default 0.
    pub stop_at_end: u32,
    /// Goes with `start_kind`. Default 0.
    pub start_value: i64,
    /// One of `FLV_ISOLATION_`. Default `FLV_ISOLATION_READ_UNCOMMITTED`.
    pub isolation: u32,
    /// Bytes of one reply, at most, unless one batch is larger. Default 1,048,576.
    pub max_bytes: u32,
    /// Decoded bytes kept ready, at most, unless one batch is larger. Default 16,777,216.
    pub prefetch: u64,
    /// Under which id offsets are stored, and found again. Empty: they are not. Default empty.
    pub consumer_id: flv_slice_t,
    /// How often what was processed (`flv_consumer_processed`) is committed, milliseconds. 0: only on demand. Default 0.
    pub auto_commit_ms: i64,
    /// How long a silent stream may be silent before its peer is asked whether it is there, milliseconds. Default 10,000.
    pub probe_ms: i64,
    /// Not 0: offsets that retention removed are passed over instead of being an error. Default 0.
    pub skip_evicted: u32,
    /// Not 0: where an offset is stored under `consumer_id`, reading goes on after it, whatever the start. 0: the start
    /// decides. Default 1.
    pub resume: u32,
}

fn start(kind: u32, value: i64, name: &str) -> Result<Start> {
    let records = u64::try_from(value).map_err(|_| Error::invalid(format!("{name} is {value}: it must be 0 or more")));
    Ok(match kind {
        1 => Start::Beginning(records?),
        2 => Start::End(records?),
        3 => Start::At(value),
        other => {
            return Err(Error::invalid(format!("the kind of {name} is {other}: it must be one of FLV_START_")));
        }
    })
}

fn default_or(kind: u32, value: i64) -> Result<Option<Start>> {
    match kind {
        0 => Ok(None),
        kind => start(kind, value, "start").map(Some),
    }
}

impl flv_consumer_options_t {
    const DEFAULT: Self = Self {
        struct_size: size_of::<Self>() as u32,
        format: 0,
        partitions: std::ptr::null(),
        partitions_len: 0,
        starts: std::ptr::null(),
        starts_len: 0,
        start_kind: flv_start_kind_e::FLV_START_DEFAULT as u32,
        stop_at_end: 0,
        start_value: 0,
        isolation: 0,
        max_bytes: 1 << 20,
        prefetch: 16 << 20,
        consumer_id: flv_slice_t::EMPTY,
        auto_commit_ms: 0,
        probe_ms: 10_000,
        skip_evicted: 0,
        resume: 1,
    };

    fn parse(&self) -> Result<(ConsumerOptions, Format)> {
        let format = match self.format {
            0 => Format::Records,
            1 => Format::Pickle,
            other => return Err(Error::invalid(format!("format is {other}: it must be one of FLV_FORMAT_, 0 or 1"))),
        };
        let mut starts = Vec::new();
        for one in slice(self.starts, self.starts_len, "starts")? {
            starts.push((one.partition, start(one.kind, one.value, "starts")?));
        }
        let options = ConsumerOptions {
            partitions: slice(self.partitions, self.partitions_len, "partitions")?.to_vec(),
            start: default_or(self.start_kind, self.start_value)?,
            starts,
            resume: self.resume != 0,
            stop_at_end: self.stop_at_end != 0,
            isolation: isolation(self.isolation)?,
            max_bytes: self.max_bytes,
            prefetch: usize::try_from(self.prefetch).unwrap_or(usize::MAX),
            skip_evicted: self.skip_evicted != 0,
            probe_interval: millis(self.probe_ms, "probe_ms")?,
            consumer_id: self.consumer_id.optional_text("consumer_id")?,
            auto_commit: match self.auto_commit_ms {
                0 => None,
                interval => Some(millis(interval, "auto_commit_ms")?),
            },
        };
        options.validate()?;
        Ok((options, format))
    }
}

/// A record of a chunk in `FLV_FORMAT_RECORDS`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_record_t {
    /// Its offset in the partition.
    pub offset: i64,
    /// Milliseconds since the epoch; -1: none.
    pub timestamp: i64,
    /// The key; NULL: none.
    pub key: *const u8,
    /// Bytes of the key; -1: none.
    pub key_len: i32,
    /// Bytes of the value.
    pub value_len: u32,
    /// The value.
    pub value: *const u8,
}

/// Records of one partition, at most 1,000, lent until the next take or the free of their consumer. The caller sets
/// `struct_size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_chunk_t {
    /// `sizeof(flv_chunk_t)`.
    pub struct_size: u32,
    /// The partition.
    pub partition: u32,
    /// How many records.
    pub count: u32,
    /// How many seeks of the partition came before the take. Where threads seek while another one takes, it tells whether
    /// the records are of before the last one: `flv_consumer_positions` says how many there were.
    pub seeks: u32,
    /// The first record's offset.
    pub first_offset: i64,
    /// Where reading goes on after the chunk.
    pub next_offset: i64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// `FLV_FORMAT_PICKLE`: the stream. Else NULL.
    pub data: *const u8,
    /// Bytes of the stream.
    pub len: usize,
    /// `FLV_FORMAT_RECORDS`: `count` records. Else NULL.
    pub records: *const flv_record_t,
}

#[derive(Clone, Copy)]
enum Format {
    Records,
    Pickle,
}

/// What the caller was lent: replaced by the next take.
#[derive(Default)]
struct Lent {
    payload: Vec<u8>,
    records: Vec<flv_record_t>,
}

// SAFETY: the pointers in `records` lead into `payload`, which lives and moves with them on the heap.
unsafe impl Send for Lent {}

/// A consumer and what is lent of it.
pub(crate) struct ConsumerObject {
    pub(crate) consumer: Consumer,
    runtime: Arc<Runtime>,
    format: Format,
    lent: Mutex<Lent>,
}

impl Closing for ConsumerObject {
    fn commit_marked(self: Arc<Self>, timeout: Option<Duration>) -> Work<()> {
        Box::pin(async move { drop(self.consumer.commit_marked(timeout).await) })
    }

    fn close(self: Arc<Self>, deadline: Option<Instant>) -> Work<u64> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        Box::pin(async move {
            // What could not be committed comes again: at least once holds.
            drop(self.consumer.close(left).await);
            0
        })
    }
}

/// `FLV_FORMAT_RECORDS`: an index entry for each record, then the bytes of keys and values.
struct Plain;

/// Offset, timestamp, bytes of the key or -1, bytes of the value.
const ENTRY: usize = 32;

impl ChunkEncoder for Plain {
    fn encode(&self, records: &[RecordRef<'_>]) -> Vec<u8> {
        let bytes: usize = records.iter().map(|record| record.key.map_or(0, <[u8]>::len) + record.value.len()).sum();
        let mut out = Vec::with_capacity(records.len() * ENTRY + bytes);
        for record in records {
            out.extend_from_slice(&record.offset.to_ne_bytes());
            out.extend_from_slice(&record.timestamp.to_ne_bytes());
            out.extend_from_slice(&record.key.map_or(-1, |key| key.len() as i64).to_ne_bytes());
            out.extend_from_slice(&(record.value.len() as i64).to_ne_bytes());
        }
        for record in records {
            out.extend_from_slice(record.key.unwrap_or_default());
            out.extend_from_slice(record.value);
        }
        out
    }
}

/// The records of a payload that [`Plain`] made, as structures that point into it.
fn index(payload: &[u8], count: usize) -> Vec<flv_record_t> {
    let (entries, mut bytes) = payload.split_at(count * ENTRY);
    let number = |entry: &[u8], at: usize| entry[at..].first_chunk().map_or(0, |bytes| i64::from_ne_bytes(*bytes));
    entries
        .chunks_exact(ENTRY)
        .map(|entry| {
            let key_len = number(entry, 16);
            let (key, rest) = bytes.split_at(usize::try_from(key_len).unwrap_or(0));
            let (value, rest) = rest.split_at(usize::try_from(number(entry, 24)).unwrap_or(0));
            bytes = rest;
            flv_record_t {
                offset: number(entry, 0),
                timestamp: number(entry, 8),
                key: if key_len < 0 { std::ptr::null() } else { key.as_ptr() },
                key_len: key_len as i32,
                value_len: value.len() as u32,
                value: value.as_ptr(),
            }
        })
        .collect()
}

/// Fills in the defaults. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_options_init(options: *mut flv_consumer_options_t) {
    fill(options, flv_consumer_options_t::DEFAULT);
}

/// Opens a consumer of `topic`. Once it completes, the offsets at which reading begins are fixed. Result:
/// `flv_consumer_t *`, owned by whoever drains, until `flv_consumer_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_open(
    client: *mut flv_client_t,
    topic: flv_slice_t,
    options: *const flv_consumer_options_t,
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
        let (options, format) = options::read(options, "options", flv_consumer_options_t::DEFAULT)?.parse()?;
        let encoder: Arc<dyn ChunkEncoder> = match format {
            Format::Records => Arc::new(Plain),
            Format::Pickle => Arc::new(Pickle),
        };
        let request = Request { timeout_ms, queue, token, operation };
        operation::start_bounded(Arc::clone(&client.runtime), request, |timeout| async move {
            let consumer = client.while_open(client.client.consumer(&topic, options, encoder, timeout)).await?;
            let runtime = Arc::clone(&client.runtime);
            let object = Arc::new(ConsumerObject { consumer, runtime, format, lent: Mutex::default() });
            client.add(&object);
            Ok(Done::object::<flv_consumer_t>(object))
        })?;
        Ok(OK)
    })
}

/// Completes once `flv_consumer_take` would not say EMPTY: there are records, the end, or an error. A passed deadline
/// completes with `FLV_STATUS_TIMEOUT` and no error object. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_wait(
    consumer: *mut flv_consumer_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        let request = Request { timeout_ms, queue, token, operation };
        operation::start(Arc::clone(&consumer.runtime), &request, nothing_came, async move {
            consumer.consumer.ready().await;
            Ok(Done::default())
        })?;
        Ok(OK)
    })
}

/// Lends a chunk to the caller.
fn lend(consumer: &ConsumerObject, taken: Chunk, chunk: *mut flv_chunk_t) -> Result<flv_status_t> {
    let Chunk { partition, count, first_offset, next_offset, bytes, payload, seeks } = taken;
    let mut lent = consumer.lent.lock().unwrap_or_else(PoisonError::into_inner);
    lent.payload = payload;
    lent.records = match consumer.format {
        Format::Records => index(&lent.payload, count as usize),
        Format::Pickle => Vec::new(),
    };
    let (data, len, records) = match consumer.format {
        Format::Records => (std::ptr::null(), 0, lent.records.as_ptr()),
        Format::Pickle => (lent.payload.as_ptr(), lent.payload.len(), std::ptr::null()),
    };
    let filled =
        flv_chunk_t { struct_size: 0, partition, count, seeks, first_offset, next_offset, bytes, data, len, records };
    options::write(chunk, "chunk", filled)?;
    Ok(OK)
}

/// Takes what is ready; partitions take turns. Never blocks. OK: `*chunk` is filled, and what was lent before is not valid
/// any more. EMPTY: nothing now. END: read to its end, or stopped. Otherwise the error at which the stream stands; it
/// stays. One thread at a time.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_take(
    consumer: *mut flv_consumer_t,
    chunk: *mut flv_chunk_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        // Before anything is taken: what could not be handed over would be lost.
        options::check(chunk, "chunk")?;
        match consumer.consumer.take()? {
            Take::Chunk(taken) => lend(&consumer, taken, chunk),
            Take::Empty => Ok(flv_status_e::FLV_STATUS_EMPTY as flv_status_t),
            Take::End => Ok(flv_status_e::FLV_STATUS_END as flv_status_t),
        }
    })
}

/// Takes what is ready of a partition that had nothing ready for a while: for a caller who is not through with the last
/// chunk, and will not be soon. Never blocks. OK: `*chunk` is filled, and what was lent before is not valid any more.
/// EMPTY: there is no such partition. One thread at a time.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_take_fresh(
    consumer: *mut flv_consumer_t,
    chunk: *mut flv_chunk_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        options::check(chunk, "chunk")?;
        match consumer.consumer.take_fresh() {
            Some(taken) => lend(&consumer, taken, chunk),
            None => Ok(flv_status_e::FLV_STATUS_EMPTY as flv_status_t),
        }
    })
}

/// What keeps it from reading: fails with what went wrong last with an SPU that leads one of the partitions, if that goes on.
/// OK: nothing. Any thread; never waits.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_trouble(consumer: *const flv_consumer_t, error: *mut *mut flv_error_t) -> flv_status_t {
    export(error, || handle::get(consumer)?.consumer.trouble().map_or(Ok(OK), Err))
}

/// Hands out nothing further: what is prefetched is dropped, a wait completes, a take says END. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_stop(consumer: *mut flv_consumer_t) -> flv_status_t {
    export(std::ptr::null_mut(), || {
        handle::get(consumer)?.consumer.stop();
        Ok(OK)
    })
}

/// Where a consumer is in a partition.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_position_t {
    /// The partition.
    pub partition: u32,
    /// How many seeks of it there were.
    pub seeks: u32,
    /// The offset after what was taken; the start before; -1: not known yet.
    pub position: i64,
    /// The offset after the last record of the log, as far as it was seen; -1: not known yet.
    pub end: i64,
}

/// The partitions that it reads, and where it is in them: up to `capacity` to `positions`, and how many there are to
/// `*count`. Partitions that the topic gets later appear by themselves. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_positions(
    consumer: *const flv_consumer_t,
    positions: *mut flv_position_t,
    capacity: usize,
    count: *mut usize,
) -> flv_status_t {
    export(std::ptr::null_mut(), || {
        let consumer = handle::get(consumer)?;
        let states = consumer.consumer.partitions();
        write_out(count, "count", states.len())?;
        for (index, state) in states.iter().take(capacity).enumerate() {
            require(positions, "positions")?;
            let position = flv_position_t {
                partition: state.partition,
                seeks: state.seeks,
                position: state.position.unwrap_or(-1),
                end: state.end.unwrap_or(-1),
            };
            // SAFETY: not null; the caller vouches for room for `capacity` positions, of which this is one.
            unsafe { positions.add(index).write(position) };
        }
        Ok(OK)
    })
}

/// Goes on elsewhere in a partition. What is ready of it is dropped before the call returns; an error at which the
/// partition stands is passed. Completes once the new position is known; value: that position. If another seek of the
/// partition takes its place before, both complete as that one does. Cancelling, or a passed deadline, abandons the wait;
/// the seek stays in force. After a seek backwards, what is stored of the partition may go back, too. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_seek(
    consumer: *mut flv_consumer_t,
    to: flv_start_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        let start = start(to.kind, to.value, "to")?;
        if let Start::At(offset) = start
            && offset < 0
        {
            return Err(Error::invalid(format!("the offset to seek is {offset}: it must be 0 or more")));
        }
        let request = Request { timeout_ms, queue, token, operation };
        // Begun here, not in the task: the next take sees it.
        let runtime = Arc::clone(&consumer.runtime);
        let _inside = runtime.handle()?.enter();
        let seek = consumer.consumer.seek(to.partition, start, request.timeout())?;
        operation::start_bounded(Arc::clone(&runtime), request, |_| async move {
            let position = seek.await?;
            Ok(Done::value(position.unsigned_abs()))
        })?;
        Ok(OK)
    })
}

/// Takes back what was taken of a partition and has not been used, from `offset` on: it is handed out again. Unlike a seek it
/// is no word of the user's: what is stored by `flv_consumer_commit_processed` still never goes back. Never blocks. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_put_back(
    consumer: *mut flv_consumer_t,
    partition: u32,
    offset: i64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        let _inside = consumer.runtime.handle()?.enter();
        consumer.consumer.put_back(partition, offset)?;
        Ok(OK)
    })
}

fn change(
    consumer: *mut flv_consumer_t,
    partitions: *const u32,
    count: usize,
    error: *mut *mut flv_error_t,
    how: impl FnOnce(&Consumer, &[u32]) -> Result<()>,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        let _inside = consumer.runtime.handle()?.enter();
        how(&consumer.consumer, slice(partitions, count, "partitions")?)?;
        Ok(OK)
    })
}

/// Holds partitions back: nothing more of them is handed out until they are resumed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_pause(
    consumer: *mut flv_consumer_t,
    partitions: *const u32,
    count: usize,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    change(consumer, partitions, count, error, Consumer::pause)
}

/// Goes on with partitions that were paused, where they were. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_resume(
    consumer: *mut flv_consumer_t,
    partitions: *const u32,
    count: usize,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    change(consumer, partitions, count, error, Consumer::resume)
}

/// An offset in a partition.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_offset_t {
    /// The partition.
    pub partition: u32,
    /// 0.
    pub reserved: u32,
    /// The offset.
    pub offset: i64,
}

fn commit(
    consumer: *mut flv_consumer_t,
    processed: *const flv_offset_t,
    count: usize,
    request: Request,
    exactly: bool,
) -> Result<flv_status_t> {
    let consumer = handle::get(consumer)?;
    let processed = slice(processed, count, "processed")?;
    processed.iter().try_for_each(|one| options::unused(one.reserved, "processed"))?;
    let processed: Vec<(u32, i64)> = processed.iter().map(|one| (one.partition, one.offset)).collect();
    operation::start_bounded(Arc::clone(&consumer.runtime), request, |timeout| async move {
        match exactly {
            true => consumer.consumer.commit(&processed, timeout).await?,
            false => consumer.consumer.commit_processed(&processed, timeout).await?,
        }
        Ok(Done::default())
    })?;
    Ok(OK)
}

/// Stores offsets under the consumer's id, exactly as given, also backwards: those of the last processed records. One beyond
/// the end of its log fails with `FLV_STATUS_OFFSET_OUT_OF_RANGE`. They are read before it returns. Retries while leaders
/// change or are away, until the deadline. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_commit(
    consumer: *mut flv_consumer_t,
    processed: *const flv_offset_t,
    count: usize,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    let request = Request { timeout_ms, queue, token, operation };
    export(error, || commit(consumer, processed, count, request, true))
}

/// Stores the offsets of records that were processed, of each partition the last one. What is stored never goes back by it,
/// unless the caller has sought backwards in the partition: where more is stored, nothing happens. What is stored is looked
/// up if the last look, or commit, is older than a second. Else as `flv_consumer_commit`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_commit_processed(
    consumer: *mut flv_consumer_t,
    processed: *const flv_offset_t,
    count: usize,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    let request = Request { timeout_ms, queue, token, operation };
    export(error, || commit(consumer, processed, count, request, false))
}

/// Fetches the stored offsets of the consumer's id in its topic: those of the last processed records. Result:
/// `flv_buffer_t *` that holds an array of `flv_offset_t`, owned by whoever drains. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_committed(
    consumer: *mut flv_consumer_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        let request = Request { timeout_ms, queue, token, operation };
        operation::start_bounded(Arc::clone(&consumer.runtime), request, |timeout| async move {
            let mut bytes = Vec::new();
            for (partition, offset) in consumer.consumer.committed(timeout).await? {
                bytes.extend_from_slice(&partition.to_ne_bytes());
                bytes.extend_from_slice(&0_u32.to_ne_bytes());
                bytes.extend_from_slice(&offset.to_ne_bytes());
            }
            Ok(Done::entry(buffer(bytes)))
        })?;
        Ok(OK)
    })
}

/// Where the caller writes the offset of the last record of a partition that it has processed, for automatic commits; -1:
/// none yet. `*slot` is valid until the consumer is freed. One writer at a time, any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_processed(
    consumer: *mut flv_consumer_t,
    partition: u32,
    slot: *mut *mut i64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        // The consumer keeps the slot for as long as it lives.
        write_out(slot, "slot", consumer.consumer.processed(partition)?.as_ptr())?;
        Ok(OK)
    })
}

/// Ends reading: a wait completes, a take says CLOSED. With automatic commits, commits what was processed. The handle, and
/// what is lent, stay until it is freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_close(
    consumer: *mut flv_consumer_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        let request = Request { timeout_ms, queue, token, operation };
        operation::start_bounded(Arc::clone(&consumer.runtime), request, |timeout| async move {
            consumer.consumer.close(timeout).await?;
            Ok(Done::default())
        })?;
        Ok(OK)
    })
}

/// Frees a consumer, which ends reading, and what is lent of it; a wait under way completes. Never blocks. NULL is fine. Any thread but that of a take
/// under way.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_free(consumer: *mut flv_consumer_t) {
    quiet((), || {
        if let Some(consumer) = handle::remove(consumer) {
            // A wait under way holds it, and is not to hold it for ever.
            consumer.consumer.stop();
        }
        Ok(())
    });
}
