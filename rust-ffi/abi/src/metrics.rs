//! What a client has done.

use fluvio_cffi_engine::{ERROR_KINDS, Metrics};

use crate::boundary::{OK, export};
use crate::bytes::flv_view_t;
use crate::client::flv_client_t;
use crate::handle;
use crate::pointer::{require, write_out};
use crate::status::{flv_error_t, flv_status_t};
use crate::structs::{self, growing};

/// What a client has done since it was opened, counted per batch, request or chunk, and what is under way. The caller
/// sets `struct_size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_metrics_t {
    /// `sizeof(flv_metrics_t)`.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Records acknowledged.
    pub records_produced: u64,
    /// Bytes of their keys and values.
    pub bytes_produced: u64,
    /// Records handed to readers, a chunk at a time.
    pub records_consumed: u64,
    /// Bytes of their keys and values.
    pub bytes_consumed: u64,
    /// Requests sent to SPUs.
    pub requests: u64,
    /// Batches sent again.
    pub retries: u64,
    /// Records sent again though an earlier sending may have reached the log: the log has at most so many twice.
    pub duplicates_possible: u64,
    /// Batches acknowledged after a later one of their partition, or in another partition than that of their
    /// submission.
    pub reordered: u64,
    /// Connections, to SPUs and to the SC, that took the place of one that was lost.
    pub reconnects: u64,
    /// Now: records accepted by producers and not settled.
    pub records_buffered: u64,
    /// Now: what they take of the producers' buffers.
    pub bytes_buffered: u64,
    /// Now: produce requests that are not answered.
    pub requests_in_flight: u64,
    /// Now: records between what was handed to readers and the ends of the logs, as far as these were seen.
    pub lag: u64,
    /// Errors met, by `FLV_STATUS_`, whether they were repaired or reported: one for each connection, call, batch that
    /// has failed or must go again, and partition that is not read on.
    pub errors: [u64; 100],
    /// How often what members of groups read has changed.
    pub rebalances: u64,
    /// Offsets that were not stored because their partitions were another member's by then.
    pub commits_fenced: u64,
    /// Commands sent to the logs of groups: each is a sign of life.
    pub signs: u64,
    /// Members of groups that were found silent and evicted.
    pub evictions: u64,
}

growing!(flv_metrics_t {
    struct_size,
    reserved,
    records_produced,
    bytes_produced,
    records_consumed,
    bytes_consumed,
    requests,
    retries,
    duplicates_possible,
    reordered,
    reconnects,
    records_buffered,
    bytes_buffered,
    requests_in_flight,
    lag,
    errors,
    rebalances,
    commits_fenced,
    signs,
    evictions
});

impl From<Metrics> for flv_metrics_t {
    fn from(metrics: Metrics) -> Self {
        const { assert!(ERROR_KINDS == 100) };
        Self {
            struct_size: 0,
            reserved: 0,
            records_produced: metrics.records_produced,
            bytes_produced: metrics.bytes_produced,
            records_consumed: metrics.records_consumed,
            bytes_consumed: metrics.bytes_consumed,
            requests: metrics.requests,
            retries: metrics.retries,
            duplicates_possible: metrics.duplicates_possible,
            reordered: metrics.reordered,
            reconnects: metrics.reconnects,
            records_buffered: metrics.records_buffered,
            bytes_buffered: metrics.bytes_buffered,
            requests_in_flight: metrics.requests_in_flight,
            lag: metrics.lag,
            errors: metrics.errors,
            rebalances: metrics.rebalances,
            commits_fenced: metrics.commits_fenced,
            signs: metrics.signs,
            evictions: metrics.evictions,
        }
    }
}

/// Tells what a client has done, also after its close. `metrics->struct_size` must be set. Never waits. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_client_metrics(
    client: *const flv_client_t,
    metrics: *mut flv_metrics_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        structs::check(metrics, "metrics")?;
        structs::write(metrics, "metrics", handle::get(client)?.client.metrics().into())?;
        Ok(OK)
    })
}

/// What a client has done in one topic since it was opened.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_topic_metrics_t {
    /// Its name; empty: all topics beyond the first thousand. Valid until the client is freed.
    pub topic: flv_view_t,
    /// Records acknowledged.
    pub records_produced: u64,
    /// Bytes of their keys and values.
    pub bytes_produced: u64,
    /// Records handed to readers, a chunk at a time.
    pub records_consumed: u64,
    /// Bytes of their keys and values.
    pub bytes_consumed: u64,
}

/// Tells what a client has done by topic, also after its close: of the first thousand topics that it had a producer or
/// consumer of, and of all others as one. Up to `capacity` to `topics`, in the order of their names, and how many there
/// are to `*count`. Never waits. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_client_topic_metrics(
    client: *const flv_client_t,
    topics: *mut flv_topic_metrics_t,
    capacity: usize,
    count: *mut usize,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let metrics = handle::get(client)?.client.topic_metrics();
        write_out(count, "count", metrics.len())?;
        for (index, metrics) in metrics.iter().take(capacity).enumerate() {
            require(topics, "topics")?;
            let filled = flv_topic_metrics_t {
                // The client keeps the name for as long as it lives.
                topic: flv_view_t::new(metrics.topic.as_bytes()),
                records_produced: metrics.records_produced,
                bytes_produced: metrics.bytes_produced,
                records_consumed: metrics.records_consumed,
                bytes_consumed: metrics.bytes_consumed,
            };
            // SAFETY: not null; the caller vouches for room for `capacity` topics, of which this is one.
            unsafe { topics.add(index).write(filled) };
        }
        Ok(OK)
    })
}
