//! The readers, one a leader: each streams the partitions that its SPU leads over a connection of its own, decodes
//! ahead of the caller within the budget, and hands a partition on when its leader changes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::{Decoder, Encoder, Version};
use fluvio_spu_schema::Isolation as WireIsolation;
use fluvio_spu_schema::server::fetch_offset::{
    FetchOffsetPartition, FetchOffsetTopic, FetchOffsetsRequest, FetchOffsetsResponse,
};
use fluvio_spu_schema::server::stream_fetch::{StreamFetchRequest, StreamFetchResponse};
use fluvio_spu_schema::server::update_offset::{OffsetUpdate, UpdateOffsetsRequest};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::chunks::Order;
use super::cursor::{Cursor, Log, Next, Reply};
use super::{Shared, Start};
use crate::Isolation;
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{TaskKind, maybe_panic};
use crate::transport::{Connection, Frame};
use crate::view::Snapshot;

const FETCH_OFFSETS_VERSION: i16 = 25;
const STREAM_FETCH_VERSION: i16 = 25;
const UPDATE_OFFSETS_VERSION: i16 = 0;

/// Streams cannot be ended: a connection with more than so many that nobody reads is replaced.
const MOST_ORPHANS: usize = 8;

/// How long to wait before the SC is asked again for a partition's leader.
const RETRY_SEARCH: Duration = Duration::from_millis(100);

/// The bytes of a record set, taken from the frame without copying.
#[derive(Debug, Default, Clone)]
pub(super) struct RecordBytes(Bytes);

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
    let Some(leader) = leader else { return search(shared, cursor, None, Duration::ZERO) };
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

/// After a pause, gives the partition to its leader once there is one. Unless that is another than the SPU that `refused` it,
/// the SC is asked first whether the topic still exists.
fn search(shared: &Arc<Shared>, cursor: Cursor, refused: Option<i32>, pause: Duration) {
    let shared = Arc::clone(shared);
    super::spawn(Arc::clone(&shared), async move {
        let view = shared.client.view();
        view.doubt();
        let leader = |view: &Snapshot| view.partition(&shared.topic, cursor.partition).map(|it| it.leader);
        let found = async {
            tokio::time::sleep(pause).await;
            let moved = view.wait(|view| leader(view).filter(|leader| Some(*leader) != refused));
            tokio::select! {
                required = view.require(&shared.topic) => required?,
                moved = moved => return moved,
            }
            view.wait(leader).await
        };
        let found = tokio::select! {
            found = found => found,
            () = shared.chunks.wait_over() => return,
        };
        match found {
            Ok(_) => assign(&shared, cursor),
            Err(error) if matches!(error.kind, ErrorKind::Connection | ErrorKind::Timeout) => {
                search(&shared, cursor, refused, RETRY_SEARCH);
            }
            Err(error) => fail(&shared, cursor, error),
        }
    });
}

/// The partition stands at an error, unless the caller has sought elsewhere meanwhile.
fn fail(shared: &Arc<Shared>, cursor: Cursor, error: Error) {
    shared.client.counters().note(error.kind);
    if let Some(cursor) = shared.chunks.fail(cursor, error) {
        assign(shared, cursor);
    }
}

/// Reads partitions that appear later from their first offset.
pub(super) async fn follow_new_partitions(shared: Arc<Shared>) {
    let mut changes = shared.client.view().changes();
    loop {
        let count = changes.borrow_and_update().topic(&shared.topic).map_or(0, |topic| topic.partitions);
        for partition in 0..count {
            if shared.chunks.add(partition) {
                assign(&shared, Cursor::new(partition, Start::Beginning(0), shared.fetch_bytes));
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = shared.chunks.wait_over() => return,
        }
    }
}

/// What a request's number stands for.
enum Waiting {
    /// The log's bounds, before a stream is opened.
    Bounds(Cursor, Instant),
    /// A stream.
    Stream(Cursor),
    /// The log's bounds, to see whether the peer lives and whether a stream keeps something back.
    Probe(Instant),
}

impl Waiting {
    /// Whether the peer owes an answer; a stream may be silent.
    fn is_answer(&self) -> bool {
        !matches!(self, Self::Stream(_))
    }
}

struct Link {
    connection: Connection,
    waiting: HashMap<i32, Waiting>,
    /// Streams that were left, for a larger one or for another position.
    orphans: usize,
    /// When the peer was last heard, or asked.
    heard: Instant,
    /// Streams that had records waiting at the last probe, and where they stood.
    suspects: HashMap<u32, i64>,
}

impl Link {
    fn new(connection: Connection) -> Self {
        Self { connection, waiting: HashMap::new(), orphans: 0, heard: Instant::now(), suspects: HashMap::new() }
    }
}

/// An acknowledgement that waits for room.
struct Owed {
    stream: i32,
    session: u32,
    offset: i64,
}

/// A reply that is decoded as far as the budget has room.
struct Decoding {
    stream: i32,
    cursor: Cursor,
    reply: Reply,
}

struct Reader {
    shared: Arc<Shared>,
    leader: i32,
    incoming: mpsc::UnboundedReceiver<Cursor>,
    orders: watch::Receiver<u64>,
    /// Partitions to open at the next opportunity.
    idle: Vec<Cursor>,
    link: Option<Link>,
    owed: Vec<Owed>,
    decoding: VecDeque<Decoding>,
    backoff: Backoff,
    /// Whether a connection was lost since the last one was made.
    lost: bool,
}

impl Reader {
    fn new(shared: Arc<Shared>, leader: i32, incoming: mpsc::UnboundedReceiver<Cursor>) -> Self {
        let backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        let orders = shared.chunks.orders();
        Self {
            shared,
            leader,
            incoming,
            orders,
            idle: Vec::new(),
            link: None,
            owed: Vec::new(),
            decoding: VecDeque::new(),
            backoff,
            lost: false,
        }
    }

    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            maybe_panic(TaskKind::Consumer);
            if shared.chunks.over() {
                return;
            }
            if let Err(error) = self.turn().await {
                self.recover(&error).await;
            }
        }
    }

    /// One step: carry out orders, open what is idle, acknowledge what is owed, or handle what arrives.
    async fn turn(&mut self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        while let Ok(cursor) = self.incoming.try_recv() {
            self.idle.push(cursor);
        }
        if self.orders.has_changed().unwrap_or(false) {
            self.orders.mark_unchanged();
            self.obey()?;
        }
        self.decode();
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
        let room = shared.chunks.has_room(0);
        if room && !self.decoding.is_empty() {
            // It came after the decoding had looked for it: nobody would say so again.
            return Ok(());
        }
        // The socket is not read while the budget is used up, unless an answer is waited for: a start that somebody waits
        // for must not wait for the reader. Streams send nothing new until they are acknowledged.
        if !room && !link.waiting.values().any(Waiting::is_answer) {
            tokio::select! {
                () = shared.chunks.wait_room() => {}
                cursor = self.incoming.recv() => self.idle.extend(cursor),
                _ = self.orders.changed() => self.orders.mark_changed(),
            }
            return Ok(());
        }
        if room {
            for owed in std::mem::take(&mut self.owed) {
                if link.waiting.contains_key(&owed.stream) {
                    link.acknowledge(owed.session, owed.offset)?;
                } else if self.decoding.iter().any(|decoding| decoding.stream == owed.stream) {
                    self.owed.push(owed);
                }
            }
        }
        let deadline = link.waiting.values().filter_map(|waiting| match waiting {
            Waiting::Bounds(_, deadline) | Waiting::Probe(deadline) => Some(*deadline),
            Waiting::Stream(_) => None,
        });
        let deadline = deadline.min();
        let late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let probe = link.heard + shared.options.probe_interval;
        let more = !room;
        let frame = tokio::select! {
            frame = link.connection.next_frame() => frame?,
            cursor = self.incoming.recv() => {
                self.idle.extend(cursor);
                return Ok(());
            }
            _ = self.orders.changed() => {
                self.orders.mark_changed();
                return Ok(());
            }
            () = shared.chunks.wait_over() => return Ok(()),
            () = shared.chunks.wait_room(), if more => return Ok(()),
            () = late => {
                return Err(Error::new(ErrorKind::Connection, format!("SPU {} does not answer", self.leader)));
            }
            () = tokio::time::sleep_until(probe) => return link.probe(&shared),
        };
        link.heard = Instant::now();
        self.handle(&frame)
    }

    /// Looks what the caller wants of each partition now.
    fn obey(&mut self) -> Result<()> {
        let chunks = &self.shared.chunks;
        let Some(link) = &mut self.link else { return Ok(()) };
        let mut leave = |mut cursor: Cursor| match chunks.look(&mut cursor) {
            Order::Keep => Some(cursor),
            Order::Park => {
                self.idle.extend(chunks.park(cursor));
                None
            }
            Order::Restart => {
                self.idle.push(cursor);
                None
            }
        };
        for (number, waiting) in std::mem::take(&mut link.waiting) {
            match waiting {
                Waiting::Stream(cursor) => match leave(cursor) {
                    Some(cursor) => drop(link.waiting.insert(number, Waiting::Stream(cursor))),
                    None => link.orphans += 1,
                },
                // Looked at when the answer is here.
                answer => drop(link.waiting.insert(number, answer)),
            }
        }
        for Decoding { stream, cursor, reply } in std::mem::take(&mut self.decoding) {
            match leave(cursor) {
                Some(cursor) => self.decoding.push_back(Decoding { stream, cursor, reply }),
                None => link.orphans += 1,
            }
        }
        if link.orphans > MOST_ORPHANS { Err(too_many_orphans()) } else { Ok(()) }
    }

    /// Asks for the log's bounds of the partitions that are not read yet; their streams follow from the replies.
    async fn open(&mut self) -> Result<()> {
        let chunks = &self.shared.chunks;
        for mut cursor in std::mem::take(&mut self.idle) {
            match chunks.look(&mut cursor) {
                Order::Park => self.idle.extend(chunks.park(cursor)),
                Order::Keep | Order::Restart => self.idle.push(cursor),
            }
        }
        if self.idle.is_empty() {
            return Ok(());
        }
        if self.link.is_none() {
            let dial = self.shared.client.dial(self.leader, true);
            let connection = tokio::select! {
                connection = dial => connection?,
                () = self.shared.chunks.wait_over() => return Ok(()),
            };
            if std::mem::take(&mut self.lost) {
                self.shared.client.counters().reconnects.add(1);
            }
            self.link = Some(Link::new(connection));
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

    /// The connection is gone, or was not to be had: every partition looks for its leader again.
    async fn recover(&mut self, error: &Error) {
        self.owed.clear();
        if let Some(link) = self.link.take() {
            self.lost = true;
            self.idle.extend(link.waiting.into_values().filter_map(|waiting| match waiting {
                Waiting::Bounds(cursor, _) | Waiting::Stream(cursor) => Some(cursor),
                Waiting::Probe(_) => None,
            }));
            link.connection.abandon();
        }
        self.idle.extend(self.decoding.drain(..).map(|decoding| decoding.cursor));
        let shared = Arc::clone(&self.shared);
        if !transient(error) {
            return self.idle.drain(..).for_each(|cursor| fail(&shared, cursor, error.clone()));
        }
        shared.client.counters().note(error.kind);
        shared.client.view().doubt();
        tokio::select! {
            () = self.backoff.wait() => {}
            () = shared.chunks.wait_over() => return,
        }
        self.idle.drain(..).for_each(|cursor| assign(&shared, cursor));
    }

    fn handle(&mut self, frame: &Frame) -> Result<()> {
        let (cursor, outcome) = match self.link.as_mut().and_then(|link| link.waiting.remove(&frame.correlation)) {
            Some(Waiting::Bounds(mut cursor, _)) => {
                let outcome = self.start(&mut cursor, frame);
                (cursor, outcome)
            }
            Some(Waiting::Stream(mut cursor)) => {
                let outcome = self.receive(&mut cursor, frame);
                (cursor, outcome)
            }
            Some(Waiting::Probe(_)) => return self.probed(frame),
            // An acknowledgement's own reply, or a stream that was left.
            None => return Ok(()),
        };
        match outcome {
            Ok(Then::Stream(stream)) => self.wait_on(stream, cursor),
            Ok(Then::Decode(reply)) => {
                self.decoding.push_back(Decoding { stream: frame.correlation, cursor, reply });
                self.decode();
            }
            Ok(Then::Finished) => self.idle.extend(self.shared.chunks.finish(cursor)),
            Ok(Then::Again) => self.idle.push(cursor),
            Err(error) if matches!(error.kind, ErrorKind::Connection | ErrorKind::Version) => {
                self.idle.push(cursor);
                return Err(error);
            }
            // What concerns one partition alone leaves the others in peace.
            Err(error) if transient(&error) => {
                self.shared.client.counters().note(error.kind);
                search(&self.shared, cursor, Some(self.leader), self.backoff.next());
            }
            Err(error) => fail(&self.shared, cursor, error),
        }
        Ok(())
    }

    fn wait_on(&mut self, stream: i32, cursor: Cursor) {
        match &mut self.link {
            Some(link) => drop(link.waiting.insert(stream, Waiting::Stream(cursor))),
            None => self.idle.push(cursor),
        }
    }

    /// Decodes what has arrived, as far as the budget has room.
    fn decode(&mut self) {
        let shared = Arc::clone(&self.shared);
        while shared.chunks.has_room(0)
            && let Some(Decoding { stream, mut cursor, mut reply }) = self.decoding.pop_front()
        {
            let mut chunks = Vec::new();
            let decoded = cursor.decode(&shared.topic, &mut reply, &*shared.encoder, &mut chunks);
            shared.chunks.push(&cursor, chunks);
            match decoded {
                Err(error) => fail(&shared, cursor, error),
                Ok(()) if !reply.is_decoded() => self.decoding.push_front(Decoding { stream, cursor, reply }),
                Ok(()) if cursor.finished() => self.idle.extend(shared.chunks.finish(cursor)),
                Ok(()) => self.wait_on(stream, cursor),
            }
        }
    }

    /// The log's bounds are here: fixes the start and opens the stream.
    fn start(&mut self, cursor: &mut Cursor, frame: &Frame) -> Result<Then> {
        let shared = &self.shared;
        if shared.chunks.look(cursor) != Order::Keep {
            return Ok(Then::Again);
        }
        let response = frame.decode::<FetchOffsetsResponse>(FETCH_OFFSETS_VERSION)?;
        let bounds = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let bounds = bounds.ok_or_else(|| Error::new(ErrorKind::Version, "a reply about offsets is empty"))?;
        if bounds.error_code != ErrorCode::None {
            return Err(Error::from_code(&bounds.error_code, None));
        }
        let log = Log { topic: &shared.topic, start: bounds.start_offset, end: bounds.last_stable_offset };
        if cursor.resolve(&log, &shared.options)? {
            shared.chunks.resolve(cursor, log.end);
            if shared.chunks.look(cursor) != Order::Keep {
                return Ok(Then::Again);
            }
        }
        if cursor.finished() {
            return Ok(Then::Finished);
        }
        match &mut self.link {
            Some(link) => link.stream(shared, cursor).map(Then::Stream),
            None => Ok(Then::Again),
        }
    }

    /// A stream's reply: acknowledges it if the budget has room for what it becomes.
    fn receive(&mut self, cursor: &mut Cursor, frame: &Frame) -> Result<Then> {
        let shared = &self.shared;
        let reply = frame.decode::<StreamFetchResponse<RecordBytes>>(STREAM_FETCH_VERSION)?;
        match &reply.partition.error_code {
            ErrorCode::None => {}
            // The bounds decide what becomes of it.
            ErrorCode::OffsetEvicted { .. } => return Ok(Then::Again),
            code => {
                let error = stream_error(code, cursor.next);
                return Err(error.with_topic(&shared.topic).with_partition(cursor.partition));
            }
        }
        self.backoff.reset();
        shared.chunks.note_end(cursor.partition, reply.partition.high_watermark);
        let bytes = reply.partition.records.0;
        let split = cursor.split(&shared.topic, &bytes)?;
        let Some(link) = &mut self.link else { return Ok(Then::Again) };
        if split.next == Next::Reopen {
            link.orphans += 1;
            if link.orphans > MOST_ORPHANS {
                return Err(too_many_orphans());
            }
            return link.stream(shared, cursor).map(Then::Stream);
        }
        // The server prepares the next reply while this one is decoded, if the budget has room for both.
        if cursor.end.is_none_or(|end| split.after < end) {
            if !split.grows() && shared.chunks.has_room(bytes.len()) {
                link.acknowledge(reply.stream_id, split.after)?;
            } else {
                self.owed.push(Owed { stream: frame.correlation, session: reply.stream_id, offset: split.after });
            }
        }
        Ok(Then::Decode(split))
    }

    /// The peer lives. A stream that keeps back what is in the log, twice in a row, is opened again.
    fn probed(&mut self, frame: &Frame) -> Result<()> {
        let response = frame.decode::<FetchOffsetsResponse>(FETCH_OFFSETS_VERSION)?;
        let Some(link) = &mut self.link else { return Ok(()) };
        let mut suspects = HashMap::new();
        for bounds in response.topics.into_iter().flat_map(|topic| topic.partitions) {
            let partition = bounds.partition_index;
            let stream = link.waiting.iter().find_map(|(number, waiting)| match waiting {
                Waiting::Stream(cursor) if cursor.partition == partition => Some((*number, cursor.next)),
                _ => None,
            });
            let Some((number, next)) = stream else { continue };
            self.shared.chunks.note_end(partition, bounds.last_stable_offset);
            let failed = bounds.error_code != ErrorCode::None;
            let kept_back = bounds.last_stable_offset > next;
            if failed || (kept_back && link.suspects.get(&partition) == Some(&next)) {
                if let Some(Waiting::Stream(cursor)) = link.waiting.remove(&number) {
                    link.orphans += 1;
                    self.idle.push(cursor);
                }
            } else if kept_back {
                suspects.insert(partition, next);
            }
        }
        link.suspects = suspects;
        Ok(())
    }
}

/// How it goes on with a cursor.
enum Then {
    /// On the stream of that number.
    Stream(i32),
    /// Once the reply is decoded.
    Decode(Reply),
    /// From the log's bounds.
    Again,
    /// Not at all: it was read to its end.
    Finished,
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
        self.connection.try_flush().map(|_| ())
    }

    /// Asks for the bounds of the logs that are streamed, if any: an answer shows that the peer lives.
    fn probe(&mut self, shared: &Shared) -> Result<()> {
        self.heard = Instant::now();
        let streams = self.waiting.values().filter_map(|waiting| match waiting {
            Waiting::Stream(cursor) => Some(FetchOffsetPartition { partition_index: cursor.partition }),
            _ => None,
        });
        let topic = FetchOffsetTopic { name: shared.topic.clone(), partitions: streams.collect() };
        if topic.partitions.is_empty() {
            return Ok(());
        }
        let mut request = FetchOffsetsRequest::default();
        request.topics.push(topic);
        let correlation = self.connection.request(&request, FETCH_OFFSETS_VERSION)?;
        let deadline = Instant::now() + shared.client.request_timeout();
        self.waiting.insert(correlation, Waiting::Probe(deadline));
        Ok(())
    }
}

/// Whether looking for the leader again can help.
fn transient(error: &Error) -> bool {
    use ErrorKind as K;
    matches!(error.kind, K::Connection | K::NotLeader | K::Timeout | K::SpuNotFound)
}

fn too_many_orphans() -> Error {
    Error::new(ErrorKind::Connection, "too many streams that nobody reads: the connection is replaced")
}

/// The error that a stream was answered with at `offset`.
fn stream_error(code: &ErrorCode, offset: i64) -> Error {
    match code {
        // The server has no code for it.
        ErrorCode::Other(text) if text.contains("greater than leo") => {
            let text = format!("offset {offset} lies beyond the end of the log: {text}");
            Error::new(ErrorKind::OffsetOutOfRange, text).with_offset(offset)
        }
        code => Error::from_code(code, None).with_offset(offset),
    }
}
