//! The stream of one partition of the log.

use std::time::Duration;

use fluvio_protocol::link::ErrorCode;
use fluvio_spu_schema::Isolation;
use fluvio_spu_schema::server::fetch_offset::FetchOffsetsRequest;
use fluvio_spu_schema::server::stream_fetch::{StreamFetchRequest, StreamFetchResponse};
use fluvio_spu_schema::server::update_offset::{OffsetUpdate, UpdateOffsetsRequest};

use tokio::time::Instant;

use super::Place;
use super::reader::{Item, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::limit::Limit;
use crate::log_offsets::leader;
use crate::replies::RecordBytes;
use crate::transport::{Connection, Frame};

const STREAM_FETCH_VERSION: i16 = 25;
const UPDATE_OFFSETS_VERSION: i16 = 0;
const FETCH_OFFSETS_VERSION: i16 = 25;
/// Bytes of one reply, unless one batch is larger.
const REPLY: i32 = 1 << 20;
/// Replies in a row without a whole batch, after which the connection is replaced.
const MOST_EMPTY: usize = 8;

/// A stream of committed records.
#[derive(Debug)]
pub(crate) struct LogStream {
    connection: Connection,
    reader: Reader,
    /// The request that opened it.
    number: i32,
    /// The stream to acknowledge, and whether a reply waits for that.
    session: u32,
    waits: bool,
    /// How many replies in a row had no whole batch: each leaves a stream behind that cannot be ended.
    empty: usize,
    /// When the peer was last heard, or probed.
    heard: Instant,
    /// Whether it has answered since it was probed.
    is_heard: bool,
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
        let reader = Reader::new(&place.topic, place.partition, next, REPLY);
        let (heard, is_heard) = (Instant::now(), true);
        let mut stream = Self { connection, reader, number: 0, session: 0, waits: false, empty: 0, heard, is_heard };
        stream.request()?;
        Ok(stream)
    }

    fn request(&mut self) -> Result<()> {
        let mut request = StreamFetchRequest::<RecordBytes>::default();
        request.topic.clone_from(&self.reader.topic);
        request.partition = self.reader.partition;
        request.fetch_offset = self.reader.next;
        request.max_bytes = self.reader.largest;
        request.isolation = Isolation::ReadCommitted;
        self.connection.expect(self.reader.largest as usize * 2);
        self.number = self.connection.request(&request, STREAM_FETCH_VERSION)?;
        (self.session, self.waits) = (0, false);
        self.connection.try_flush().map(drop)
    }

    /// The offset that is read next.
    pub(crate) fn next_offset(&self) -> i64 {
        self.reader.next
    }

    /// The next records: at least one, or none where there is to be another call. Cancelling loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Vec<Item>> {
        loop {
            let frame = self.connection.next_frame().await?;
            (self.heard, self.is_heard) = (Instant::now(), true);
            if frame.correlation == self.number {
                return self.receive(&frame);
            }
            self.connection.stray()?;
        }
    }

    /// When the peer was last heard, or probed.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// Asks for the end of the log, so that the peer says anything; an error if it has not since the last time.
    pub(super) fn probe(&mut self) -> Result<()> {
        if !self.is_heard {
            let text = format!("{} does not answer", self.connection.peer());
            return Err(Error::new(ErrorKind::Connection, text));
        }
        (self.heard, self.is_heard) = (Instant::now(), false);
        let request = FetchOffsetsRequest::new(self.reader.topic.clone(), self.reader.partition);
        self.connection.request(&request, FETCH_OFFSETS_VERSION)?;
        self.connection.try_flush().map(drop)
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
        let offsets = vec![OffsetUpdate { offset: self.reader.next, session_id: self.session }];
        self.connection.request(&UpdateOffsetsRequest { offsets }, UPDATE_OFFSETS_VERSION)?;
        self.connection.try_flush().map(drop)
    }

    fn receive(&mut self, frame: &Frame) -> Result<Vec<Item>> {
        let response = frame.decode::<StreamFetchResponse<RecordBytes>>(STREAM_FETCH_VERSION)?;
        match &response.partition.error_code {
            ErrorCode::None => {}
            code => return Err(self.reader.at(Error::from_code(code, None))),
        }
        let items = self.reader.split(&response.partition.records.0)?;
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
}

/// What `work` comes to, unless it takes longer than `patience`.
pub(super) async fn within<T>(patience: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| {
        let text = format!("the log of consumer groups did not answer within {} s", patience.as_secs_f64());
        Err(Error::new(ErrorKind::Connection, text))
    })
}
