//! A fetcher's connection to its SPU: the streams on it, and the requests that wait for a reply.

use std::collections::{HashMap, VecDeque};

use fluvio_spu_schema::Isolation as WireIsolation;
use fluvio_spu_schema::server::fetch_offset::{FetchOffsetPartition, FetchOffsetTopic, FetchOffsetsRequest};
use fluvio_spu_schema::server::stream_fetch::StreamFetchRequest;
use fluvio_spu_schema::server::update_offset::{OffsetUpdate, UpdateOffsetsRequest};
use tokio::time::Instant;

use super::super::ConsumerShared;
use super::super::cursor::Cursor;
use super::super::decode::Reply;
use super::probe::Suspects;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Isolation;
use crate::replies::RecordBytes;
use crate::smartmodule::Chain;
use crate::transport::{Connection, Frame};

pub(super) const FETCH_OFFSETS_VERSION: i16 = 25;
const STREAM_FETCH_VERSION: i16 = 25;
const UPDATE_OFFSETS_VERSION: i16 = 0;

/// Streams cannot be ended: a connection with more abandoned ones than this is replaced.
const MOST_ABANDONED: usize = 8;

/// A reply has at most this many times the bytes that were asked for: a SmartModule can make more of records.
const MOST_TIMES: usize = 16;

/// A request that the peer has not answered yet.
pub(super) enum PendingRequest {
    /// For the log's bounds, before a stream is opened at the cursor.
    Bounds(Cursor, Instant),
    /// For the bounds of the logs that are streamed, to see whether the peer lives and whether a stream has stalled.
    Probe(Instant),
}

impl PendingRequest {
    fn deadline(&self) -> Instant {
        match self {
            Self::Bounds(_, deadline) | Self::Probe(deadline) => *deadline,
        }
    }
}

/// The acknowledgement of a reply, after which the server sends the next one.
pub(super) struct PendingAck {
    pub(super) session_id: u32,
    pub(super) offset: i64,
}

/// An open stream.
pub(super) struct Stream {
    pub(super) cursor: Cursor,
    /// The reply that is decoded as far as there is room.
    pub(super) reply: Option<Reply>,
    /// The acknowledgement that waits for room.
    pub(super) ack: Option<PendingAck>,
    /// The reply that came while the one before it was decoded. Each reply is asked for, so there is at most one.
    pub(super) next: Option<Frame>,
    /// The version of its request, and so of its replies.
    pub(super) version: i16,
    /// Bytes that were asked for in one reply.
    pub(super) fetch_bytes: u32,
    /// Whether the log goes on behind the reply.
    pub(super) is_behind: bool,
}

impl Stream {
    fn new(cursor: Cursor, version: i16) -> Self {
        let fetch_bytes = cursor.fetch_bytes;
        Self { cursor, reply: None, ack: None, next: None, version, fetch_bytes, is_behind: false }
    }

    /// Whether it waits for the peer, and not for room.
    pub(super) fn is_quiet(&self) -> bool {
        self.reply.is_none() && self.ack.is_none() && self.next.is_none()
    }
}

/// A connection and its streams. Only the fetcher's task uses it.
pub(super) struct StreamConnection {
    pub(super) connection: Connection,
    /// By their number.
    requests: HashMap<i32, PendingRequest>,
    /// By the number of the request that opened them.
    pub(super) streams: HashMap<i32, Stream>,
    /// The numbers of streams that go on once there is room, or once others had their turn. Some are gone.
    waiting: VecDeque<i32>,
    /// Streams that were left, for a larger one, for another position, or because their partition was revoked.
    abandoned_streams: usize,
    /// When the peer was last heard, or probed.
    pub(super) heard: Instant,
    pub(super) suspects: Suspects,
    /// Bytes of the largest reply that was asked for.
    largest: usize,
}

impl StreamConnection {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            requests: HashMap::new(),
            streams: HashMap::new(),
            waiting: VecDeque::new(),
            abandoned_streams: 0,
            heard: Instant::now(),
            suspects: Suspects::default(),
            largest: 0,
        }
    }

    // ---- requests

    /// When the first of the pending requests is overdue. `None`: there is none.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.requests.values().map(PendingRequest::deadline).min()
    }

    /// Takes the request that a frame with this number answers, if it is no stream's.
    pub(super) fn answered(&mut self, number: i32) -> Option<PendingRequest> {
        self.requests.remove(&number)
    }

    /// Asks for the bounds of the log that the cursor is to read.
    pub(super) fn ask_bounds(&mut self, shared: &ConsumerShared, cursor: Cursor) -> std::result::Result<(), Box<Lost>> {
        let request = FetchOffsetsRequest::new(shared.topic.clone(), cursor.partition);
        match self.connection.request(&request, FETCH_OFFSETS_VERSION) {
            Ok(number) => {
                let deadline = Instant::now() + shared.session.request_timeout();
                self.requests.insert(number, PendingRequest::Bounds(cursor, deadline));
                Ok(())
            }
            Err(error) => Err(Box::new(Lost { cursor, error })),
        }
    }

    /// Asks for the bounds of the logs that are streamed, if any: an answer shows that the peer lives.
    pub(super) fn probe(&mut self, shared: &ConsumerShared) -> Result<()> {
        self.heard = Instant::now();
        let partition = |stream: &Stream| FetchOffsetPartition { partition_index: stream.cursor.partition };
        let partitions: Vec<_> = self.streams.values().map(partition).collect();
        if partitions.is_empty() {
            return Ok(());
        }
        let mut request = FetchOffsetsRequest::default();
        request.topics.push(FetchOffsetTopic { name: shared.topic.clone(), partitions });
        let number = self.connection.request(&request, FETCH_OFFSETS_VERSION)?;
        let deadline = Instant::now() + shared.session.request_timeout();
        self.requests.insert(number, PendingRequest::Probe(deadline));
        Ok(())
    }

    // ---- streams

    /// Opens a stream at the cursor.
    pub(super) fn open_stream(
        &mut self,
        shared: &ConsumerShared,
        cursor: Cursor,
    ) -> std::result::Result<(), Box<Lost>> {
        let chain = shared.chain.as_ref().filter(|_| cursor.inspection.is_none());
        let place = cursor.inspection.as_ref().map_or(&cursor, |inspection| &inspection.log);
        let request = stream_request(&shared.topic, place, shared.options.isolation, chain);
        let version = chain.map_or(STREAM_FETCH_VERSION, |chain| chain.version(STREAM_FETCH_VERSION));
        self.largest = self.largest.max(place.fetch_bytes as usize);
        self.connection.expect(self.largest.saturating_mul(MOST_TIMES));
        match self.connection.request(&request, version) {
            Ok(number) => {
                self.streams.insert(number, Stream::new(cursor, version));
                Ok(())
            }
            Err(error) => Err(Box::new(Lost { cursor, error })),
        }
    }

    /// Asks a stream for what follows; sent at once.
    pub(super) fn acknowledge(&mut self, ack: &PendingAck) -> Result<()> {
        let PendingAck { session_id, offset } = *ack;
        let request = UpdateOffsetsRequest { offsets: vec![OffsetUpdate { offset, session_id }] };
        self.connection.request(&request, UPDATE_OFFSETS_VERSION)?;
        self.connection.try_flush().map(|_| ())
    }

    /// Counts a stream that was left. An error if there are too many: the connection is to be replaced.
    pub(super) fn count_abandoned(&mut self) -> Result<()> {
        self.abandoned_streams += 1;
        if self.abandoned_streams <= MOST_ABANDONED {
            return Ok(());
        }
        let text = "the SPU has too many streams that nobody reads: the connection is replaced";
        Err(Error::new(ErrorKind::Connection, text))
    }

    /// Lets a stream go on later.
    pub(super) fn wait(&mut self, number: i32, stream: Stream) {
        self.streams.insert(number, stream);
        self.waiting.push_back(number);
    }

    /// Whether streams wait for room, or for their turn.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many numbers [`Self::next_waiting`] has to give.
    pub(super) fn count_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes the stream that has waited longest. `None`: it was left meanwhile.
    pub(super) fn next_waiting(&mut self) -> Option<(i32, Stream)> {
        let number = self.waiting.pop_front()?;
        self.streams.remove(&number).map(|stream| (number, stream))
    }

    /// Whether a start is to be found, or a probe answered.
    pub(super) fn has_pending(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Gives the connection up, and all cursors on it back.
    pub(super) fn abandon(self) -> impl Iterator<Item = Cursor> {
        self.connection.abandon();
        let pending = self.requests.into_values().filter_map(|request| match request {
            PendingRequest::Bounds(cursor, _) => Some(cursor),
            PendingRequest::Probe(_) => None,
        });
        self.streams.into_values().map(|stream| stream.cursor).chain(pending)
    }
}

/// A request could not be sent: the cursor that it was for, and why.
pub(super) struct Lost {
    pub(super) cursor: Cursor,
    pub(super) error: Error,
}

/// The request for a stream that begins at the cursor. The SPU sends what the chain makes of the records; without any,
/// the records themselves.
fn stream_request(
    topic: &str,
    cursor: &Cursor,
    isolation: Isolation,
    chain: Option<&Chain>,
) -> StreamFetchRequest<RecordBytes> {
    let mut request = StreamFetchRequest::default();
    topic.clone_into(&mut request.topic);
    request.partition = cursor.partition;
    request.fetch_offset = cursor.next();
    request.max_bytes = i32::try_from(cursor.fetch_bytes).unwrap_or(i32::MAX);
    request.isolation = match isolation {
        Isolation::ReadUncommitted => WireIsolation::ReadUncommitted,
        Isolation::ReadCommitted => WireIsolation::ReadCommitted,
    };
    if let Some(chain) = chain {
        let (range, value) = cursor.range();
        request.smartmodules = chain.invocations(range, value.as_deref());
    }
    request
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::super::Start;
    use super::super::super::assignment::Assignment;
    use super::*;
    use crate::smartmodule::{ModuleCode, Transform};

    #[test]
    fn a_stream_is_asked_for_from_the_cursor_on_and_through_the_smartmodules() {
        let assigned = Assignment::new("t", 3, false).assign(&[2]).unwrap().remove(0);
        let mut cursor = Cursor::new(assigned, Start::At(7), 100);
        cursor.go_on(7);
        let filter = Transform::new(ModuleCode::Stored("filter".to_owned()));
        let chain = Chain::new(&[filter]).unwrap();
        let request = stream_request("t", &cursor, Isolation::ReadCommitted, chain.as_ref());
        assert_eq!((&*request.topic, request.partition, request.fetch_offset, request.max_bytes), ("t", 2, 7, 100));
        assert_eq!(request.isolation, WireIsolation::ReadCommitted);
        let names: Vec<_> = request.smartmodules.iter().map(|module| module.name.as_deref().unwrap()).collect();
        assert_eq!(names, ["fluvio-cffi-head", "filter", "fluvio-cffi-stamp"]);
        assert!(stream_request("t", &cursor, Isolation::ReadCommitted, None).smartmodules.is_empty());
    }
}
