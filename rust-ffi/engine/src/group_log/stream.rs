//! The records of one partition of the log, as they are read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fluvio_cffi_group::{GroupKey, Record};
use fluvio_cffi_wire::{Remainder, split_batches};
use fluvio_protocol::link::ErrorCode;
use fluvio_spu_schema::Isolation;
use fluvio_spu_schema::server::stream_fetch::{StreamFetchRequest, StreamFetchResponse};
use fluvio_spu_schema::server::update_offset::{OffsetUpdate, UpdateOffsetsRequest};

use super::Place;
use crate::error::{Error, ErrorKind, Result};
use crate::limit::Limit;
use crate::log_offsets::leader;
use crate::replies::RecordBytes;
use crate::transport::{Connection, Frame};

const STREAM_FETCH_VERSION: i16 = 25;
const UPDATE_OFFSETS_VERSION: i16 = 0;
/// Bytes of one reply, unless one batch is larger.
const REPLY: i32 = 1 << 20;
/// Replies in a row without a whole batch, after which the connection is replaced.
const MOST_EMPTY: usize = 8;
/// Bytes of an unpacked batch, at most.
const MOST_UNPACKED: usize = 64 << 20;

/// Something that stands in the log.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) offset: i64,
    /// A hash of the value, also where it is no command.
    pub(crate) digest: u64,
    /// When the SPU took it, milliseconds since the epoch; -1: not known.
    pub(crate) timestamp: i64,
    /// The command, if it is one.
    pub(crate) said: Option<(GroupKey, Arc<Record>)>,
}

/// A stream of committed records.
#[derive(Debug)]
pub(crate) struct LogStream {
    connection: Connection,
    topic: String,
    partition: u32,
    /// The request that opened it.
    number: i32,
    /// The stream to acknowledge, and whether a reply waits for that.
    session: u32,
    waits: bool,
    next: i64,
    largest: i32,
    /// How many replies in a row had no whole batch: each leaves a stream behind that cannot be ended.
    empty: usize,
}

impl LogStream {
    /// Opens one that begins at `next`.
    pub(crate) async fn open(place: &Place, next: i64, limit: &Limit) -> Result<Self> {
        let spu = leader(&place.session, &place.topic, place.partition, limit).await?;
        let connection = place.session.dial(spu, true).await?;
        Self::on(connection, place, next)
    }

    /// The same on a connection that is there.
    pub(super) fn on(connection: Connection, place: &Place, next: i64) -> Result<Self> {
        let (topic, partition) = (place.topic.clone(), place.partition);
        let mut stream =
            Self { connection, topic, partition, number: 0, session: 0, waits: false, next, largest: REPLY, empty: 0 };
        stream.request()?;
        Ok(stream)
    }

    fn request(&mut self) -> Result<()> {
        let mut request = StreamFetchRequest::<RecordBytes>::default();
        request.topic.clone_from(&self.topic);
        request.partition = self.partition;
        request.fetch_offset = self.next;
        request.max_bytes = self.largest;
        request.isolation = Isolation::ReadCommitted;
        self.connection.expect(self.largest as usize * 2);
        self.number = self.connection.request(&request, STREAM_FETCH_VERSION)?;
        (self.session, self.waits) = (0, false);
        self.connection.try_flush().map(drop)
    }

    /// The offset that is read next.
    pub(crate) fn next_offset(&self) -> i64 {
        self.next
    }

    /// The next records: at least one, or none where there is to be another call. Cancelling loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Vec<Item>> {
        loop {
            let frame = self.connection.next_frame().await?;
            if frame.correlation == self.number {
                return self.receive(&frame);
            }
            self.connection.stray()?;
        }
    }

    /// Whether a reply waits for being acknowledged.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// Has the next reply sent.
    pub(crate) fn acknowledge(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.waits) {
            return Ok(());
        }
        let offsets = vec![OffsetUpdate { offset: self.next, session_id: self.session }];
        self.connection.request(&UpdateOffsetsRequest { offsets }, UPDATE_OFFSETS_VERSION)?;
        self.connection.try_flush().map(drop)
    }

    fn receive(&mut self, frame: &Frame) -> Result<Vec<Item>> {
        let response = frame.decode::<StreamFetchResponse<RecordBytes>>(STREAM_FETCH_VERSION)?;
        match &response.partition.error_code {
            ErrorCode::None => {}
            code => return Err(Error::from_code(code, None).with_topic(&self.topic).with_partition(self.partition)),
        }
        let items = self.split(&response.partition.records.0)?;
        if !items.is_empty() {
            (self.session, self.waits, self.empty) = (response.stream_id, true, 0);
            return Ok(items);
        }
        self.empty += 1;
        if self.empty > MOST_EMPTY {
            let text = format!("{} sends replies without records", self.connection.peer());
            return Err(Error::new(ErrorKind::Connection, text));
        }
        self.request()?;
        Ok(items)
    }

    fn split(&mut self, bytes: &Bytes) -> Result<Vec<Item>> {
        let broken = |what: &dyn std::fmt::Display| {
            let text = format!("the log of consumer groups, topic \"{}\", is broken: {what}", self.topic);
            Error::new(ErrorKind::CorruptRecord, text).with_topic(&self.topic).with_partition(self.partition)
        };
        let (mut batches, mut items, mut next) = (Vec::new(), Vec::new(), self.next);
        let remainder = split_batches(bytes, &mut batches).map_err(|cause| broken(&cause))?;
        for batch in &batches {
            if batch.header.next_offset() <= next {
                continue;
            }
            if batch.header.base_offset > next {
                return Err(broken(&format!("offset {next} is missing")));
            }
            batch.check_crc().map_err(|cause| broken(&cause))?;
            let body = batch.body(MOST_UNPACKED).map_err(|cause| broken(&cause))?;
            for record in batch.records(&body).map_err(|cause| broken(&cause))? {
                let record = record.map_err(|cause| broken(&cause))?;
                let offset = batch.header.base_offset + record.offset_delta;
                if offset >= next {
                    let timestamp = batch.header.first_timestamp.saturating_add(record.timestamp_delta);
                    items.push(item(offset, timestamp, record.key, record.value));
                }
            }
            next = batch.header.next_offset();
        }
        if let (true, Remainder::Cut(whole)) = (items.is_empty(), remainder) {
            self.largest = i32::try_from(whole).unwrap_or(i32::MAX);
        }
        self.next = next;
        Ok(items)
    }
}

fn item(offset: i64, timestamp: i64, key: Option<&[u8]>, value: &[u8]) -> Item {
    let key = key.and_then(|key| GroupKey::from_record(key).ok());
    let said = key.and_then(|key| Some((key, Arc::new(Record::decode(offset, value).ok()?))));
    let digest = said.as_ref().map_or_else(|| Record::digest_of(value), |(_, record)| record.digest);
    Item { offset, digest, timestamp, said }
}

/// What `work` comes to, unless it takes longer than `patience`.
pub(super) async fn within<T>(patience: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| {
        let text = format!("the log of consumer groups did not answer within {} s", patience.as_secs_f64());
        Err(Error::new(ErrorKind::Connection, text))
    })
}
