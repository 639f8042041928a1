//! Where a log comes to a time. The servers have no index of times, so the log is halved, one batch at a time, over
//! a connection of its own: about twenty reads find one record of a million.
//!
//! Times are taken to rise with the offsets. Where they do not, what is found is a record that is not older than the
//! time, which the batch before it is; of several such places it is any. A record without a time counts as older than
//! all others.

use std::sync::Arc;

use fluvio_cffi_wire::{RawBatch, Remainder, WireError, split_batches};
use fluvio_protocol::link::ErrorCode;
use fluvio_spu_schema::server::stream_fetch::{StreamFetchRequest, StreamFetchResponse};

use super::super::cursor::Cursor;
use super::super::decode::{body, walk};
use super::super::{ConsumerShared, Start, spawn};
use super::task::stream_error;
use super::{dispatch, fail};
use crate::error::{Error, ErrorKind, Result};
use crate::guard;
use crate::limit::Limit;
use crate::log_offsets::{leader, log_bounds};
use crate::replies::RecordBytes;
use crate::session::Session;
use crate::transport::Connection;

const STREAM_FETCH_VERSION: i16 = 25;

/// Bytes that the first reply may have. A batch that is larger is asked for again.
const FIRST_FETCH: usize = 64 << 10;

/// What one batch tells of a time.
struct Told {
    /// The offset after the batch.
    next: i64,
    /// The first record that is not older.
    reached: Option<i64>,
    /// Whether one before it is older.
    follows_older: bool,
}

/// The part of a log in which the first record may lie that is not older than a time.
struct Halving {
    begin: i64,
    end: i64,
    /// The first one that was found; the end of the log before.
    found: i64,
}

impl Halving {
    fn new((begin, end): (i64, i64)) -> Self {
        Self { begin, end, found: end }
    }

    /// The offset to look at next.
    fn probe(&self) -> Option<i64> {
        (self.begin < self.end).then(|| self.begin + (self.end - self.begin) / 2)
    }

    /// The batch that holds `probe`, or the one behind it, is here.
    fn note(&mut self, probe: i64, told: &Told) {
        match told.reached {
            Some(offset) => {
                self.found = self.found.min(offset);
                self.end = if told.follows_older { self.begin } else { probe.min(offset) };
            }
            None => self.begin = told.next.max(probe + 1),
        }
    }
}

/// Finds the start of a cursor that begins at a time, and gives it back to the fetcher of its leader.
pub(super) fn find_since(shared: &Arc<ConsumerShared>, mut cursor: Cursor, time: i64) {
    let shared = Arc::clone(shared);
    spawn(Arc::clone(&shared), async move {
        let limit = Limit::new(None).with(&shared.trouble);
        let search = first_since(&shared.session, &shared.topic, cursor.partition, time, &limit);
        let found = tokio::select! {
            found = guard::caught(search) => found,
            () = shared.subscription.wait_revoked(&cursor) => return,
            () = shared.subscription.wait_over() => return,
        };
        match found.flatten() {
            Ok(offset) => {
                cursor.start = Some(Start::At(offset));
                dispatch(&shared, cursor);
            }
            Err(error) => fail(&shared, cursor, error),
        }
    });
}

/// The offset of the first record of a log that is not older than `time`, in milliseconds since the epoch; the end of
/// the log if there is none. Begun anew while leaders change or are away.
pub(crate) async fn first_since(
    session: &Session,
    topic: &str,
    partition: u32,
    time: i64,
    limit: &Limit,
) -> Result<i64> {
    let mut attempts = limit.attempts(session.counters());
    loop {
        match search(session, topic, partition, time, limit).await {
            Err(error) => {
                session.metadata().request_refresh();
                attempts.after(error).await.map_err(|error| session.counters().noted(error))?;
            }
            found => return found,
        }
    }
}

async fn search(session: &Session, topic: &str, partition: u32, time: i64, limit: &Limit) -> Result<i64> {
    let mut halving = Halving::new(log_bounds(session, topic, partition, limit).await?);
    let connection = session.dial(leader(session, topic, partition, limit).await?, true).await?;
    let mut log = Log { session, connection, topic, partition, fetch_bytes: FIRST_FETCH };
    while let Some(probe) = halving.probe() {
        let about = |error: Error| error.with_topic(topic).with_partition(partition);
        let batch = log.batch(probe).await.map_err(about)?;
        let told = told(&batch, halving.begin, time).map_err(|cause| about(corrupt(&batch, cause)))?;
        halving.note(probe, &told);
    }
    log.connection.abandon();
    Ok(halving.found)
}

/// What a batch tells of a time; records before `begin` do not count as reaching it.
fn told(batch: &RawBatch, begin: i64, time: i64) -> std::result::Result<Told, WireError> {
    let mut told = Told { next: batch.header.next_offset(), reached: None, follows_older: false };
    walk(batch, &body(batch)?, |record| match told.reached {
        None if record.timestamp < time => told.follows_older = true,
        None if record.offset >= begin => told.reached = Some(record.offset),
        _ => {}
    })?;
    Ok(told)
}

fn corrupt(batch: &RawBatch, cause: WireError) -> Error {
    let offset = batch.header.base_offset;
    let text = format!("the log holds bytes at offset {offset} that are no valid batch, and so no times: {cause}");
    Error::new(ErrorKind::CorruptRecord, text).with_offset(offset)
}

/// A log whose batches are read one by one. Each takes a stream of its own, which ends with the connection.
struct Log<'a> {
    session: &'a Session,
    connection: Connection,
    topic: &'a str,
    partition: u32,
    /// Bytes that a reply may have.
    fetch_bytes: usize,
}

impl Log<'_> {
    /// The batch that holds an offset, or the first one behind it.
    async fn batch(&mut self, offset: i64) -> Result<RawBatch> {
        loop {
            let bytes = self.read(offset).await?;
            let mut batches = Vec::new();
            let remainder = split_batches(&bytes, &mut batches);
            if let Some(batch) = batches.into_iter().find(|batch| batch.header.next_offset() > offset) {
                return Ok(batch);
            }
            self.fetch_bytes = match remainder {
                Ok(Remainder::Cut(length)) if length > self.fetch_bytes => length,
                Ok(Remainder::Unknown | Remainder::Cut(_)) => self.fetch_bytes.saturating_mul(2),
                Ok(Remainder::None) => {
                    let text = format!("the SPU sends nothing of offset {offset}, though its log has that");
                    return Err(Error::new(ErrorKind::Consumer, text).with_offset(offset).passing());
                }
                Err(cause) => {
                    let text = format!("the log holds bytes at offset {offset} that are no valid batch: {cause}");
                    return Err(Error::new(ErrorKind::CorruptRecord, text).with_offset(offset));
                }
            };
        }
    }

    async fn read(&mut self, offset: i64) -> Result<bytes::Bytes> {
        let mut request = StreamFetchRequest::<RecordBytes>::default();
        self.topic.clone_into(&mut request.topic);
        request.partition = self.partition;
        request.fetch_offset = offset;
        request.max_bytes = i32::try_from(self.fetch_bytes).unwrap_or(i32::MAX);
        self.connection.expect(self.fetch_bytes.saturating_add(FIRST_FETCH));
        let number = self.connection.request(&request, STREAM_FETCH_VERSION)?;
        let frame = self.session.reply(&mut self.connection, number).await?;
        let reply = frame.decode::<StreamFetchResponse<RecordBytes>>(STREAM_FETCH_VERSION)?.partition;
        match reply.error_code {
            ErrorCode::None => Ok(reply.records.0),
            // Retention has come in between.
            code @ ErrorCode::OffsetEvicted { .. } => Err(stream_error(&code, offset).passing()),
            code => Err(stream_error(&code, offset)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
