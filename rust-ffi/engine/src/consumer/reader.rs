//! The readers, one a leader: each streams the partitions that its SPU leads over a connection of its own, decodes
//! ahead of the caller within the budget, and hands a partition on when its leader changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::{Decoder, Encoder, Version};
use fluvio_spu_schema::Isolation as WireIsolation;
use fluvio_spu_schema::server::fetch_offset::{FetchOffsetsRequest, FetchOffsetsResponse};
use fluvio_spu_schema::server::stream_fetch::{StreamFetchRequest, StreamFetchResponse};
use fluvio_spu_schema::server::update_offset::{OffsetUpdate, UpdateOffsetsRequest};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Shared;
use super::cursor::{Cursor, Next};
use crate::Isolation;
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{TaskKind, maybe_panic};
use crate::transport::{Connection, Frame};

const FETCH_OFFSETS_VERSION: i16 = 25;
const STREAM_FETCH_VERSION: i16 = 25;
const UPDATE_OFFSETS_VERSION: i16 = 0;

/// Streams cannot be ended: a connection with more than so many that nobody reads is replaced.
const MOST_ORPHANS: usize = 8;

/// The bytes of a record set, taken from the frame without copying.
#[derive(Debug, Default, Clone)]
struct RecordBytes(Bytes);

impl Encoder for RecordBytes {
    fn write_size(&self, _version: Version) -> usize {
        4 + self.0.len()
    }

    fn encode<T: BufMut>(&self, out: &mut T, _version: Version) -> std::io::Result<()> {
        out.put_u32(self.0.len() as u32);
        out.put_slice(&self.0);
        Ok(())
    }
}

impl Decoder for RecordBytes {
    fn decode<T: Buf>(&mut self, from: &mut T, _version: Version) -> std::io::Result<()> {
        let cut = || std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "a record set reaches beyond its frame");
        let length = from.try_get_u32().map_err(|_| cut())? as usize;
        if length > from.remaining() {
            return Err(cut());
        }
        self.0 = from.copy_to_bytes(length);
        Ok(())
    }
}

/// The running readers, by leader.
#[derive(Default)]
pub(crate) struct Readers(Mutex<HashMap<i32, mpsc::UnboundedSender<Cursor>>>);

/// Gives a partition to the reader of its leader, which is started if need be. Waits in the background while the
/// partition has no leader.
pub(super) fn assign(shared: &Arc<Shared>, cursor: Cursor) {
    let leader = shared.client.view().read(|view| view.partition(&shared.topic, cursor.partition)).map(|it| it.leader);
    let Some(leader) = leader else {
        let waiting = Arc::clone(shared);
        super::spawn(Arc::clone(shared), async move { find_leader(waiting, cursor).await });
        return;
    };
    let mut readers = shared.readers.0.lock().unwrap_or_else(PoisonError::into_inner);
    let cursor = match readers.get(&leader) {
        Some(reader) => match reader.send(cursor) {
            Ok(()) => return,
            Err(mpsc::error::SendError(cursor)) => cursor,
        },
        None => cursor,
    };
    let (sender, receiver) = mpsc::unbounded_channel();
    // The channel was made a line ago and its other end is alive.
    let _ = sender.send(cursor);
    readers.insert(leader, sender);
    super::spawn(Arc::clone(shared), Reader::new(Arc::clone(shared), leader, receiver).run());
}

/// The partition is not in the view: it was deleted, or is about to appear.
async fn find_leader(shared: Arc<Shared>, cursor: Cursor) {
    let search = async {
        shared.client.view().require(&shared.topic).await?;
        shared.client.view().wait(|view| view.partition(&shared.topic, cursor.partition)).await
    };
    let found = tokio::select! {
        found = search => found,
        () = shared.chunks.wait_over() => return,
    };
    match found {
        Ok(_) => assign(&shared, cursor),
        Err(error) if error.kind == ErrorKind::Connection || error.kind == ErrorKind::Timeout => {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assign(&shared, cursor);
        }
        Err(error) => shared.chunks.fail(error),
    }
}

/// What a request's number stands for.
enum Waiting {
    /// The log's bounds, before a stream is opened.
    Bounds(Cursor, Instant),
    /// A stream.
    Stream(Cursor),
}

struct Link {
    connection: Connection,
    waiting: HashMap<i32, Waiting>,
    /// Streams that were left for a larger one.
    orphans: usize,
}

struct Reader {
    shared: Arc<Shared>,
    leader: i32,
    incoming: mpsc::UnboundedReceiver<Cursor>,
    /// Partitions to open at the next opportunity.
    idle: Vec<Cursor>,
    link: Option<Link>,
    /// Acknowledgements that wait for room: stream, session and offset.
    owed: Vec<(u32, i64)>,
    backoff: Backoff,
}

impl Reader {
    fn new(shared: Arc<Shared>, leader: i32, incoming: mpsc::UnboundedReceiver<Cursor>) -> Self {
        let backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        Self { shared, leader, incoming, idle: Vec::new(), link: None, owed: Vec::new(), backoff }
    }

    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            maybe_panic(TaskKind::Consumer);
            if shared.chunks.over() {
                return;
            }
            if let Err(error) = self.turn().await {
                self.recover(error).await;
            }
        }
    }

    /// One step: open what is idle, acknowledge what is owed, or handle what arrives.
    async fn turn(&mut self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        while let Ok(cursor) = self.incoming.try_recv() {
            self.idle.push(cursor);
        }
        if !self.idle.is_empty() {
            return self.open().await;
        }
        let Some(link) = &mut self.link else {
            tokio::select! {
                cursor = self.incoming.recv() => self.idle.extend(cursor),
                () = shared.chunks.wait_over() => {}
            }
            return Ok(());
        };
        if !self.owed.is_empty() && shared.chunks.has_room(0) {
            for (session, offset) in std::mem::take(&mut self.owed) {
                link.acknowledge(session, offset)?;
            }
        }
        if !shared.chunks.has_room(0) {
            // The socket is not read while the budget is used up.
            shared.chunks.wait_room().await;
            return Ok(());
        }
        let deadline = link.waiting.values().filter_map(|it| match it {
            Waiting::Bounds(_, deadline) => Some(*deadline),
            Waiting::Stream(_) => None,
        });
        let deadline = deadline.min();
        let late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let frame = tokio::select! {
            frame = link.connection.next_frame() => frame?,
            cursor = self.incoming.recv() => {
                self.idle.extend(cursor);
                return Ok(());
            }
            () = shared.chunks.wait_over() => return Ok(()),
            () = late => {
                return Err(Error::new(ErrorKind::Connection, format!("SPU {} does not answer", self.leader)));
            }
        };
        self.handle(&frame).await
    }

    /// Asks for the log's bounds of the partitions that are not read yet; their streams follow from the replies.
    async fn open(&mut self) -> Result<()> {
        if self.link.is_none() {
            let dial = self.shared.client.dial(self.leader, true);
            let connection = tokio::select! {
                connection = dial => connection?,
                () = self.shared.chunks.wait_over() => return Ok(()),
            };
            self.link = Some(Link { connection, waiting: HashMap::new(), orphans: 0 });
        }
        let Some(link) = &mut self.link else { return Ok(()) };
        let deadline = Instant::now() + self.shared.client.request_timeout();
        for cursor in self.idle.drain(..) {
            let request = FetchOffsetsRequest::new(self.shared.topic.clone(), cursor.partition);
            let correlation = link.connection.request(&request, FETCH_OFFSETS_VERSION)?;
            link.waiting.insert(correlation, Waiting::Bounds(cursor, deadline));
        }
        Ok(())
    }

    /// Gives every partition back after the connection was lost, or was not to be had.
    async fn recover(&mut self, error: Error) {
        self.owed.clear();
        if let Some(link) = self.link.take() {
            self.idle.extend(link.waiting.into_values().map(|waiting| match waiting {
                Waiting::Bounds(cursor, _) | Waiting::Stream(cursor) => cursor,
            }));
            link.connection.abandon();
        }
        let shared = Arc::clone(&self.shared);
        let again = matches!(
            error.kind,
            ErrorKind::Connection | ErrorKind::NotLeader | ErrorKind::Timeout | ErrorKind::SpuNotFound
        );
        if !again {
            return shared.chunks.fail(error);
        }
        let pause = async {
            self.backoff.wait().await;
            // A partition without a leader and one whose topic is gone get the same answer from an SPU.
            if error.kind == ErrorKind::NotLeader { shared.client.view().require(&shared.topic).await } else { Ok(()) }
        };
        let found = tokio::select! {
            found = pause => found,
            () = shared.chunks.wait_over() => return,
        };
        match found {
            Err(error) if error.kind == ErrorKind::TopicNotFound => shared.chunks.fail(error),
            _ => self.idle.drain(..).for_each(|cursor| assign(&shared, cursor)),
        }
    }

    async fn handle(&mut self, frame: &Frame) -> Result<()> {
        let (cursor, outcome) = match self.link.as_mut().and_then(|link| link.waiting.remove(&frame.correlation)) {
            Some(Waiting::Bounds(mut cursor, _)) => {
                let outcome = self.start(&mut cursor, frame);
                (cursor, outcome)
            }
            Some(Waiting::Stream(mut cursor)) => {
                let outcome = self.receive(&mut cursor, frame).await;
                (cursor, outcome)
            }
            // An acknowledgement's own reply, or a stream that was left.
            None => return Ok(()),
        };
        match (outcome, &mut self.link) {
            (Ok(Some(stream)), Some(link)) => {
                link.waiting.insert(stream, Waiting::Stream(cursor));
                Ok(())
            }
            (Ok(_), _) => Ok(()),
            (Err(error), _) => {
                self.idle.push(cursor);
                Err(error)
            }
        }
    }

    /// The log's bounds are here: fixes the start and opens the stream, whose number it returns. `None`: read to its end.
    fn start(&mut self, cursor: &mut Cursor, frame: &Frame) -> Result<Option<i32>> {
        let shared = &self.shared;
        let (log_start, log_end) = bounds(frame)?;
        if cursor.resolve(&shared.topic, log_start, log_end, shared.options.stop_at_end)? {
            shared.chunks.resolve();
        }
        if cursor.finished() {
            shared.chunks.finish();
            return Ok(None);
        }
        let Some(link) = &mut self.link else { return Ok(None) };
        link.stream(shared, cursor).map(Some)
    }

    /// A stream's reply: acknowledges, decodes, queues. Returns the number of the stream that goes on. `None`: read to
    /// its end.
    async fn receive(&mut self, cursor: &mut Cursor, frame: &Frame) -> Result<Option<i32>> {
        let shared = &self.shared;
        let reply = frame.decode::<StreamFetchResponse<RecordBytes>>(STREAM_FETCH_VERSION)?;
        let code = reply.partition.error_code;
        if code != ErrorCode::None {
            let error = stream_error(&code, cursor.next);
            return Err(error.with_topic(&shared.topic).with_partition(cursor.partition));
        }
        self.backoff.reset();
        let bytes = reply.partition.records.0;
        let mut split = cursor.split(&shared.topic, &bytes)?;
        let Some(link) = &mut self.link else { return Ok(None) };
        if split.next == Next::Reopen {
            link.orphans += 1;
            if link.orphans > MOST_ORPHANS {
                let text = "too many streams that nobody reads: the connection is replaced";
                return Err(Error::new(ErrorKind::Connection, text));
            }
            return link.stream(shared, cursor).map(Some);
        }
        // The server prepares the next reply while this one is decoded, if the budget has room for both.
        if cursor.end.is_none_or(|end| split.after < end) {
            if !split.grows() && shared.chunks.has_room(bytes.len()) {
                link.acknowledge(reply.stream_id, split.after)?;
            } else {
                self.owed.push((reply.stream_id, split.after));
            }
        }
        while !split.is_decoded() {
            // What unpacks to more than it was waits for the reader in between.
            shared.chunks.wait_room().await;
            let mut chunks = Vec::new();
            let decoded = cursor.decode(&shared.topic, &mut split, &*shared.encoder, &mut chunks);
            shared.chunks.push(chunks);
            decoded?;
            if shared.chunks.over() {
                break;
            }
        }
        if cursor.finished() {
            shared.chunks.finish();
            return Ok(None);
        }
        Ok(Some(frame.correlation))
    }
}

impl Link {
    /// Opens a stream at the cursor; returns its number.
    fn stream(&mut self, shared: &Shared, cursor: &Cursor) -> Result<i32> {
        let mut request = StreamFetchRequest::<RecordBytes>::default();
        request.topic.clone_from(&shared.topic);
        request.partition = cursor.partition;
        request.fetch_offset = cursor.next;
        request.max_bytes = i32::try_from(cursor.fetch_bytes).unwrap_or(i32::MAX);
        request.isolation = match shared.options.isolation {
            Isolation::ReadUncommitted => WireIsolation::ReadUncommitted,
            Isolation::ReadCommitted => WireIsolation::ReadCommitted,
        };
        self.connection.request(&request, STREAM_FETCH_VERSION)
    }

    /// Asks a stream for what comes at `offset`; sent at once.
    fn acknowledge(&mut self, session_id: u32, offset: i64) -> Result<()> {
        let request = UpdateOffsetsRequest { offsets: vec![OffsetUpdate { offset, session_id }] };
        self.connection.request(&request, UPDATE_OFFSETS_VERSION)?;
        self.connection.try_flush()
    }
}

/// The first offset of the log and the one after its last.
fn bounds(frame: &Frame) -> Result<(i64, i64)> {
    let response = frame.decode::<FetchOffsetsResponse>(FETCH_OFFSETS_VERSION)?;
    let partition = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
    let partition = partition.ok_or_else(|| Error::new(ErrorKind::Version, "a reply about offsets is empty"))?;
    match partition.error_code {
        ErrorCode::None => Ok((partition.start_offset, partition.last_stable_offset)),
        code => Err(Error::from_code(&code, None)),
    }
}

/// The error that a stream was answered with at `offset`.
fn stream_error(code: &ErrorCode, offset: i64) -> Error {
    match code {
        // The server has no code for it.
        ErrorCode::Other(text) if text.contains("greater than leo") => {
            let mut error = Error::new(
                ErrorKind::OffsetOutOfRange,
                format!("offset {offset} lies beyond the end of the log: {text}"),
            );
            error.offset = Some(offset);
            error
        }
        code => {
            let error = Error::from_code(code, None);
            if error.offset.is_some() { error } else { error.with_offset(offset) }
        }
    }
}
