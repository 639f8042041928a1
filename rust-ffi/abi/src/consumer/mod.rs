//! The consumer handle.

mod arrow;
mod group;
mod options;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fluvio_cffi_engine::{Chunk, Consumer, Error, Result, Start, Take};
use tokio::time::Instant;

use crate::boundary::{OK, export, quiet};
use crate::bytes::{buffer, flv_slice_t};
use crate::client::{ClientObject, flv_client_t};
use crate::closing::{Closing, Work};
use crate::encode::{Columns, Format, flv_record_t, index};
use crate::handle::{self, Handle, Kind};
use crate::operation::{self, Done, Request, nothing_came};
use crate::pointer::{require, slice, write_out};
use crate::queue::flv_queue_t;
use crate::status::{flv_error_t, flv_status_e, flv_status_t};
use crate::structs::{self, growing};

pub use arrow::*;
pub use group::*;
use options::start;
pub use options::*;

/// A consumer of one topic. One reader at a time; everything else from any threads.
pub struct flv_consumer_t {
    _opaque: [u8; 0],
}

impl Handle for flv_consumer_t {
    type Object = ConsumerObject;
    const KIND: Kind = Kind::Consumer;
}

/// Records of one partition, at most 1,000 (65,536 with `FLV_FORMAT_ARROW`), lent until the next take or the free of
/// their consumer. The caller sets `struct_size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_chunk_t {
    /// `sizeof(flv_chunk_t)`.
    pub struct_size: u32,
    /// The partition.
    pub partition: u32,
    /// How many records.
    pub count: u32,
    /// How many seeks of the partition came before the take. Where threads seek while another one takes, it tells
    /// whether the records are of before the last one: `flv_consumer_positions` says how many there were.
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
    /// Not 0: records in it share an offset, with each other or with neighbours, or offsets fall, as SmartModules that
    /// make several records of one have it. Then only what lies before the smallest offset that is still to be handed
    /// out is processed: at the end of the chunk, what lies before `next_offset`.
    pub shares_offsets: u32,
    /// 0.
    pub reserved: u32,
    /// With a group: the epoch under which the chunk was taken. Its records may be handed out as long as the
    /// partition's epoch slot (`flv_consumer_epoch`) has the same. Else -1.
    pub epoch: i64,
}

growing!(flv_chunk_t {
    struct_size,
    partition,
    count,
    seeks,
    first_offset,
    next_offset,
    bytes,
    data,
    len,
    records,
    shares_offsets,
    reserved,
    epoch
});

/// What the caller was lent: replaced by the next take.
#[derive(Default)]
struct Lent {
    payload: Vec<u8>,
    records: Vec<flv_record_t>,
    arrow: Option<Arc<Columns>>,
}

// SAFETY: the pointers in `records` lead into `payload`, which lives and moves with them on the heap.
unsafe impl Send for Lent {}

/// A consumer and what is lent of it.
pub(crate) struct ConsumerObject {
    pub(crate) consumer: Consumer,
    /// Whose end is its own, too, as long as it lives.
    client: Arc<ClientObject>,
    format: Format,
    lent: Mutex<Lent>,
    lent_change: Mutex<group::LentChange>,
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

/// Fills in the defaults of the fields within `size` bytes, which is the size of `*options`: in C a macro of the same
/// name adds it. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_options_init(options: *mut flv_consumer_options_t, size: usize) {
    structs::init(options, size, flv_consumer_options_t::DEFAULT);
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
        let (options, format) = structs::read(options, "options", flv_consumer_options_t::DEFAULT)?.parse()?;
        let request = Request { timeout_ms, queue, token, operation };
        operation::start_bounded(Arc::clone(&client.runtime), request, |timeout| async move {
            let consumer =
                client.while_open(client.client.consumer(&topic, options, format.encoder(), timeout)).await?;
            let object = Arc::new(ConsumerObject {
                consumer,
                client: Arc::clone(&client),
                format,
                lent: Mutex::default(),
                lent_change: Mutex::default(),
            });
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
        operation::start(Arc::clone(&consumer.client.runtime), &request, nothing_came, async move {
            consumer.consumer.ready().await;
            Ok(Done::default())
        })?;
        Ok(OK)
    })
}

/// Lends a chunk to the caller.
fn lend(consumer: &ConsumerObject, taken: Chunk, chunk: *mut flv_chunk_t) -> Result<flv_status_t> {
    let Chunk { partition, count, first_offset, next_offset, bytes, payload, seeks, shares_offsets, epoch, .. } = taken;
    let mut lent = consumer.lent.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut data, mut len, mut records) = (std::ptr::null(), 0, std::ptr::null());
    match consumer.format {
        Format::Records => {
            lent.payload = payload;
            lent.records = index(&lent.payload, count as usize);
            records = lent.records.as_ptr();
        }
        Format::Pickle => {
            lent.payload = payload;
            (data, len) = (lent.payload.as_ptr(), lent.payload.len());
        }
        Format::Arrow => lent.arrow = Some(Arc::new(Columns::new(payload))),
    }
    let filled = flv_chunk_t {
        struct_size: 0,
        partition,
        count,
        seeks,
        first_offset,
        next_offset,
        bytes,
        data,
        len,
        records,
        shares_offsets: shares_offsets.into(),
        reserved: 0,
        epoch: epoch.unwrap_or(-1),
    };
    structs::write(chunk, "chunk", filled)?;
    Ok(OK)
}

/// Takes what is ready; partitions take turns. Never blocks. OK: `*chunk` is filled, and what was lent before is not
/// valid any more. EMPTY: nothing now. CHANGED: a member of a group is to look at `flv_consumer_change` first. END:
/// read to its end, or stopped. Otherwise the error at which the stream stands; it stays. One thread at a time.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_take(
    consumer: *mut flv_consumer_t,
    chunk: *mut flv_chunk_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        // Before anything is taken: what could not be handed over would be lost.
        structs::check(chunk, "chunk")?;
        match consumer.consumer.take()? {
            Take::Chunk(taken) => lend(&consumer, taken, chunk),
            Take::Empty => Ok(flv_status_e::FLV_STATUS_EMPTY as flv_status_t),
            Take::Changed => Ok(flv_status_e::FLV_STATUS_CHANGED as flv_status_t),
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
        structs::check(chunk, "chunk")?;
        match consumer.consumer.take_fresh() {
            Some(taken) => lend(&consumer, taken, chunk),
            None => Ok(flv_status_e::FLV_STATUS_EMPTY as flv_status_t),
        }
    })
}

/// What keeps it from reading: fails with what went wrong last with an SPU that leads one of the partitions, if that
/// goes on. OK: nothing. Any thread; never waits.
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

/// Where the reading of a partition began, or was sought to last, to `*start`; -1: not known yet. With SmartModules a
/// position may lie behind it without any record: then all before the position is processed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_start(
    consumer: *const flv_consumer_t,
    partition: u32,
    start: *mut i64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let known = handle::get(consumer)?.consumer.start(partition)?;
        write_out(start, "start", known.unwrap_or(-1))?;
        Ok(OK)
    })
}

/// Goes on elsewhere in a partition. What is ready of it is dropped before the call returns; an error at which the
/// partition stands is passed. Completes once the new position is known; value: that position. If another seek of the
/// partition takes its place before, both complete as that one does. Cancelling, or a passed deadline, abandons the
/// wait; the seek stays in force. After a seek backwards, what is stored of the partition may go back, too. Any thread.
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
        let runtime = Arc::clone(&consumer.client.runtime);
        let _inside = runtime.handle()?.enter();
        let seek = consumer.consumer.seek(to.partition, start, request.timeout())?;
        operation::start_bounded(Arc::clone(&runtime), request, |_| async move {
            let position = seek.await?;
            Ok(Done::value(position.unsigned_abs()))
        })?;
        Ok(OK)
    })
}

/// Takes back what was taken of a partition and has not been used, from `offset` on: it is handed out again. Unlike a
/// seek it is no word of the user's: what is stored by `flv_consumer_commit_processed` still never goes back. Never
/// blocks. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_put_back(
    consumer: *mut flv_consumer_t,
    partition: u32,
    offset: i64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        let _inside = consumer.client.runtime.handle()?.enter();
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
        let _inside = consumer.client.runtime.handle()?.enter();
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
    processed.iter().try_for_each(|one| structs::unused(one.reserved, "processed"))?;
    let processed: Vec<(u32, i64)> = processed.iter().map(|one| (one.partition, one.offset)).collect();
    operation::start_bounded(Arc::clone(&consumer.client.runtime), request, |timeout| async move {
        match exactly {
            true => consumer.consumer.commit(&processed, timeout).await?,
            false => consumer.consumer.commit_processed(&processed, timeout).await?,
        }
        Ok(Done::default())
    })?;
    Ok(OK)
}

/// Stores offsets under the consumer's id, exactly as given, also backwards: those of the last processed records. One
/// beyond the end of its log fails with `FLV_STATUS_OFFSET_OUT_OF_RANGE`. They are read before it returns. Retries
/// while leaders change or are away, until the deadline. Any thread.
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

/// Stores the offsets of records that were processed, of each partition the last one. What is stored never goes back by
/// it, unless the caller has sought backwards in the partition: where more is stored, nothing happens. What is stored
/// is looked up if the last look, or commit, is older than a second. Else as `flv_consumer_commit`. Any thread.
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
        operation::start_bounded(Arc::clone(&consumer.client.runtime), request, |timeout| async move {
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

/// Where the caller writes the offset of the last record of a partition that it has processed, for automatic commits;
/// -1: none yet. `*slot` is valid until the consumer is freed. One writer at a time, any thread.
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

/// Ends reading: a wait completes, a take says CLOSED. With automatic commits, commits what was processed. The handle,
/// and what is lent, stay until it is freed. Any thread.
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
        operation::start_bounded(Arc::clone(&consumer.client.runtime), request, |timeout| async move {
            consumer.consumer.close(timeout).await?;
            Ok(Done::default())
        })?;
        Ok(OK)
    })
}

/// Frees a consumer, which ends reading, and what is lent of it; a wait under way completes. Never blocks. NULL is
/// fine. Any thread but that of a take under way.
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
