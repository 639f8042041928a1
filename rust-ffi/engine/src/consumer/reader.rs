//! The readers, one a leader: each streams the partitions that its SPU leads over a connection of its own, decodes
//! ahead of the caller within the budget, and hands a partition on when its leader changes.
//!
//! A stream sends one reply, and the next one when it is acknowledged. So a partition that has no room holds up nobody: its
//! reply waits undecoded or unacknowledged, and the socket is read on. Acknowledgements of a stream rise strictly, since
//! the server can lose the second of two equal ones; whatever else is wanted of a partition opens a new stream.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fluvio_protocol::link::ErrorCode;
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
use crate::backoff::Backoff;
use crate::commits::Commits;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::guard::{self, TaskKind, maybe_panic};
use crate::limit::{Limit, took_longer};
use crate::log_offsets::bounds_of;
use crate::options::Isolation;
use crate::replies::RecordBytes;
use crate::transport::{Connection, Frame};
use crate::view::Snapshot;

const FETCH_OFFSETS_VERSION: i16 = 25;
const STREAM_FETCH_VERSION: i16 = 25;
const UPDATE_OFFSETS_VERSION: i16 = 0;

/// Streams cannot be ended: a connection with more than so many that nobody reads is replaced.
const MOST_ORPHANS: usize = 8;

/// How long one reply is decoded before others have their turn.
const TURN: Duration = Duration::from_millis(1);

/// How long the SC may say nothing of a partition before the leader that is known is tried again.
const UNCONFIRMED: Duration = Duration::from_secs(1);

/// A reply has so many times the bytes that were asked for at most: a SmartModule can make more of records.
const MOST_TIMES: usize = 16;

/// The running readers, by leader.
#[derive(Default)]
pub(crate) struct Readers(Mutex<HashMap<i32, mpsc::UnboundedSender<Cursor>>>);

/// Gives a partition to the reader of its leader, which is started if need be. Waits in the background while the
/// partition has no leader.
pub(super) fn assign(shared: &Arc<Shared>, cursor: Cursor) {
    let leader = shared.session.view().read(|view| view.partition(&shared.topic, cursor.partition)).map(|it| it.leader);
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
/// the SC is asked first whether the topic still exists; while it says nothing, that SPU may serve it again.
fn search(shared: &Arc<Shared>, cursor: Cursor, refused: Option<i32>, pause: Duration) {
    let shared = Arc::clone(shared);
    super::spawn(Arc::clone(&shared), async move {
        let (view, limit) = (shared.session.view(), Limit::new(None).with(&shared.trouble));
        view.doubt();
        let leader = |view: &Snapshot| view.partition(&shared.topic, cursor.partition).map(|it| it.leader);
        let found = guard::caught(async {
            tokio::time::sleep(pause).await;
            let moved = view.wait(|view| leader(view).filter(|leader| Some(*leader) != refused));
            let confirmed = async {
                view.require(&shared.topic, &limit).await?;
                let what =
                    format!("finding the leader of partition {} of topic \"{}\"", cursor.partition, shared.topic);
                let overdue = |timeout| took_longer(Phase::Read, &what, timeout);
                view.find(&shared.topic, &limit, leader, overdue).await
            };
            tokio::select! {
                confirmed = confirmed => confirmed.map(Some),
                moved = moved => moved.map(Some),
                () = tokio::time::sleep(UNCONFIRMED), if refused.is_some() => Ok(view.read(leader)),
            }
        });
        let found = tokio::select! {
            found = found => found,
            () = shared.chunks.wait_over() => return,
        };
        match found.flatten() {
            Ok(Some(_)) => assign(&shared, cursor),
            Ok(None) => search(&shared, cursor, None, Duration::ZERO),
            Err(error) => fail(&shared, cursor, error),
        }
    });
}

/// The partition stands at an error, unless the caller has sought elsewhere meanwhile.
fn fail(shared: &Arc<Shared>, cursor: Cursor, error: Error) {
    shared.session.counters().note(error.kind);
    if let Some(cursor) = shared.chunks.fail(cursor, error) {
        assign(shared, cursor);
    }
}

/// Reads partitions that appear later: after what is stored of them, if it is, else from their first offset.
pub(super) async fn follow_new_partitions(shared: &Arc<Shared>, offsets: Option<&Commits>) {
    let mut changes = shared.session.view().changes();
    loop {
        let count = changes.borrow_and_update().topic(&shared.topic).map_or(0, |topic| topic.partitions);
        let new: Vec<u32> = (0..count).filter(|partition| shared.chunks.add(*partition)).collect();
        tokio::select! {
            () = begin(shared, offsets, &new), if !new.is_empty() => continue,
            changed = changes.changed(), if new.is_empty() => if changed.is_err() { return },
            () = shared.chunks.wait_over() => return,
        }
    }
}

async fn begin(shared: &Arc<Shared>, offsets: Option<&Commits>, new: &[u32]) {
    let limit = Limit::new(None).with(&shared.trouble);
    let stored = match offsets {
        // A partition that has been added is read, or has an error, whatever happens here.
        Some(offsets) => guard::caught(offsets.look(&limit)).await.flatten(),
        None => Ok(BTreeMap::new()),
    };
    for partition in new {
        let first = |start| Cursor::new(*partition, start, shared.fetch_bytes);
        match &stored {
            Ok(stored) => assign(shared, first(shared.options.start_of_new(stored.get(partition).copied()))),
            Err(error) => fail(shared, first(Start::Beginning(0)), error.clone()),
        }
    }
}

/// A request that the peer owes an answer.
enum Asked {
    /// The log's bounds, before a stream is opened.
    Bounds(Cursor, Instant),
    /// The log's bounds, to see whether the peer lives and whether a stream keeps something back.
    Probe(Instant),
}

impl Asked {
    fn deadline(&self) -> Instant {
        match self {
            Self::Bounds(_, deadline) | Self::Probe(deadline) => *deadline,
        }
    }
}

/// An open stream.
struct Stream {
    cursor: Cursor,
    /// The reply that is decoded as far as there is room.
    reply: Option<Reply>,
    /// The acknowledgement that waits for room: session and offset.
    owed: Option<(u32, i64)>,
    /// The reply that came while the one before it was decoded. Each is asked for, so there is at most one.
    next: Option<Frame>,
}

impl Stream {
    fn new(cursor: Cursor) -> Self {
        Self { cursor, reply: None, owed: None, next: None }
    }

    /// Whether it waits for the peer, and not for room.
    fn is_quiet(&self) -> bool {
        self.reply.is_none() && self.owed.is_none() && self.next.is_none()
    }
}

struct Link {
    connection: Connection,
    /// By their number.
    asked: HashMap<i32, Asked>,
    /// By the number of the request that opened them.
    streams: HashMap<i32, Stream>,
    /// Streams that have something to do, most of them once there is room.
    behind: VecDeque<i32>,
    /// Streams that were left, for a larger one or for another position.
    orphans: usize,
    /// When the peer was last heard, or asked.
    heard: Instant,
    /// Streams that something was wrong with at the last probe, and where they stood.
    suspects: HashMap<u32, i64>,
    /// Bytes of the largest reply that was asked for.
    largest: usize,
}

impl Link {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            asked: HashMap::new(),
            streams: HashMap::new(),
            behind: VecDeque::new(),
            orphans: 0,
            heard: Instant::now(),
            suspects: HashMap::new(),
            largest: 0,
        }
    }
}

struct Reader {
    shared: Arc<Shared>,
    leader: i32,
    incoming: mpsc::UnboundedReceiver<Cursor>,
    orders: watch::Receiver<u64>,
    /// Partitions to open at the next opportunity.
    idle: Vec<Cursor>,
    link: Option<Link>,
    /// Whether a stream that is behind has room, and only let others have their turn.
    unfinished: bool,
    backoff: Backoff,
    /// Whether a connection was lost since the last one was made.
    lost: bool,
}

impl Reader {
    fn new(shared: Arc<Shared>, leader: i32, incoming: mpsc::UnboundedReceiver<Cursor>) -> Self {
        let backoff = Backoff::default();
        let orders = shared.chunks.orders();
        Self { shared, leader, incoming, orders, idle: Vec::new(), link: None, unfinished: false, backoff, lost: false }
    }

    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while !shared.chunks.over() {
            // A panic is the end of what is read at the moment, as other errors are, but not of the reader.
            if let Err(error) = guard::caught(self.turn()).await.flatten() {
                self.recover(&error).await;
            }
        }
    }

    /// One step: carry out orders, open what is idle, go on with what has room, or handle what arrives.
    async fn turn(&mut self) -> Result<()> {
        maybe_panic(TaskKind::Consumer);
        let shared = Arc::clone(&self.shared);
        while let Ok(cursor) = self.incoming.try_recv() {
            self.idle.push(cursor);
        }
        if self.orders.has_changed().unwrap_or(false) {
            self.orders.mark_unchanged();
            self.obey()?;
        }
        let round = shared.chunks.rounds();
        self.catch_up()?;
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
        // A start that somebody waits for must not wait for the caller of the reads.
        let reading = shared.chunks.admits_replies() || !link.asked.is_empty();
        let blocked = !reading || !link.behind.is_empty();
        let deadline = link.asked.values().map(Asked::deadline).min();
        let late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let probe = link.heard + shared.options.probe_interval;
        let frame = tokio::select! {
            frame = link.connection.next_frame(), if reading => frame?,
            cursor = self.incoming.recv() => {
                self.idle.extend(cursor);
                return Ok(());
            }
            _ = self.orders.changed() => {
                self.orders.mark_changed();
                return Ok(());
            }
            () = shared.chunks.wait_over() => return Ok(()),
            () = shared.chunks.room_since(round), if blocked => return Ok(()),
            () = std::future::ready(()), if self.unfinished => return Ok(()),
            () = late => {
                let (peer, seconds) = (link.connection.peer(), shared.session.request_timeout().as_secs_f64());
                let text = format!("SPU {} at {peer} did not answer within {seconds} s", self.leader);
                return Err(Error::new(ErrorKind::Connection, text));
            }
            () = tokio::time::sleep_until(probe), if reading => return link.probe(&shared),
        };
        link.heard = Instant::now();
        self.handle(frame)
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
        for (number, mut stream) in std::mem::take(&mut link.streams) {
            match leave(stream.cursor) {
                Some(cursor) => {
                    stream.cursor = cursor;
                    link.streams.insert(number, stream);
                }
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
            let dial = self.shared.session.dial(self.leader, true);
            let connection = tokio::select! {
                connection = dial => connection?,
                () = self.shared.chunks.wait_over() => return Ok(()),
            };
            if std::mem::take(&mut self.lost) {
                self.shared.session.counters().reconnects.add(1);
            }
            self.link = Some(Link::new(connection));
        }
        let Some(link) = &mut self.link else { return Ok(()) };
        let deadline = Instant::now() + self.shared.session.request_timeout();
        for cursor in self.idle.drain(..) {
            let request = FetchOffsetsRequest::new(self.shared.topic.clone(), cursor.partition);
            let correlation = link.connection.request(&request, FETCH_OFFSETS_VERSION)?;
            link.asked.insert(correlation, Asked::Bounds(cursor, deadline));
        }
        Ok(())
    }

    /// The connection is gone, or was not to be had: every partition looks for its leader again.
    async fn recover(&mut self, error: &Error) {
        if let Some(link) = self.link.take() {
            self.lost = true;
            self.idle.extend(link.streams.into_values().map(|stream| stream.cursor));
            self.idle.extend(link.asked.into_values().filter_map(|asked| match asked {
                Asked::Bounds(cursor, _) => Some(cursor),
                Asked::Probe(_) => None,
            }));
            link.connection.abandon();
        }
        let shared = Arc::clone(&self.shared);
        if !error.retriable {
            return self.idle.drain(..).for_each(|cursor| fail(&shared, cursor, error.clone()));
        }
        shared.session.counters().note(error.kind);
        shared.trouble.note(error.clone());
        shared.session.view().doubt();
        tokio::select! {
            () = self.backoff.wait() => {}
            () = shared.chunks.wait_over() => return,
        }
        self.idle.drain(..).for_each(|cursor| assign(&shared, cursor));
    }

    fn handle(&mut self, frame: Frame) -> Result<()> {
        let number = frame.correlation;
        let Some(link) = &mut self.link else { return Ok(()) };
        match link.asked.remove(&number) {
            Some(Asked::Bounds(mut cursor, _)) => {
                let outcome = guard::attempt(|| self.start(&mut cursor, &frame));
                return self.go_on(cursor, outcome);
            }
            Some(Asked::Probe(_)) => return self.probed(&frame),
            None => {}
        }
        // Else it is an acknowledgement's own reply, or of a stream that was left.
        let Some(mut stream) = link.streams.remove(&number) else { return link.connection.stray() };
        if stream.is_quiet() {
            return self.take_in(number, stream, &frame);
        }
        if stream.next.replace(frame).is_some() {
            let text = format!("SPU {} at {} sent replies that nobody asked for", self.leader, link.connection.peer());
            self.idle.push(stream.cursor);
            return Err(Error::new(ErrorKind::Connection, text));
        }
        link.streams.insert(number, stream);
        Ok(())
    }

    /// A reply of a stream whose turn it is. A panic over it is the end of that partition alone: the cursor is kept.
    fn take_in(&mut self, number: i32, mut stream: Stream, frame: &Frame) -> Result<()> {
        match guard::attempt(|| self.receive(&mut stream, frame)) {
            Ok(Then::Decode) => self.advance(number, stream),
            outcome => self.go_on(stream.cursor, outcome),
        }
    }

    /// What becomes of a cursor that has no stream, or whose stream is left.
    fn go_on(&mut self, cursor: Cursor, outcome: Result<Then>) -> Result<()> {
        match outcome {
            Ok(Then::Stream) => return self.stream(cursor),
            Ok(Then::Finished) => self.idle.extend(self.shared.chunks.finish(cursor)),
            Ok(Then::Again | Then::Decode) => self.idle.push(cursor),
            Err(error) if matches!(error.kind, ErrorKind::Connection | ErrorKind::Resource | ErrorKind::Version) => {
                self.idle.push(cursor);
                return Err(error);
            }
            // What concerns one partition alone leaves the others in peace.
            Err(error) if error.retriable => {
                self.shared.trouble.note(self.shared.session.counters().noted(error));
                search(&self.shared, cursor, Some(self.leader), self.backoff.next());
            }
            Err(error) => fail(&self.shared, cursor, error),
        }
        Ok(())
    }

    /// Opens a stream at the cursor.
    fn stream(&mut self, cursor: Cursor) -> Result<()> {
        let Some(link) = &mut self.link else {
            self.idle.push(cursor);
            return Ok(());
        };
        match link.stream(&self.shared, &cursor) {
            Ok(number) => {
                link.streams.insert(number, Stream::new(cursor));
                Ok(())
            }
            Err(error) => {
                self.idle.push(cursor);
                Err(error)
            }
        }
    }

    /// Goes on with the streams that are behind.
    fn catch_up(&mut self) -> Result<()> {
        self.unfinished = false;
        let waiting = self.link.as_ref().map_or(0, |link| link.behind.len());
        for _ in 0..waiting {
            let Some(link) = &mut self.link else { break };
            let Some(number) = link.behind.pop_front() else { break };
            // Else it was left.
            if let Some(stream) = link.streams.remove(&number) {
                self.advance(number, stream)?;
            }
        }
        Ok(())
    }

    /// Decodes a stream's reply, acknowledges it, and goes on with the next one, as far as there is room.
    fn advance(&mut self, number: i32, mut stream: Stream) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let partition = stream.cursor.partition;
        let begun = Instant::now();
        while let Some(reply) = &mut stream.reply {
            if !shared.chunks.admits(partition) {
                return self.go_on_later(number, stream);
            }
            if begun.elapsed() > TURN {
                self.unfinished = true;
                return self.go_on_later(number, stream);
            }
            let mut chunks = Vec::new();
            let decode = || stream.cursor.decode(&shared.topic, reply, &*shared.encoder, &mut chunks);
            let decoded = guard::attempt(decode);
            shared.chunks.push(&stream.cursor, chunks);
            if let Err(error) = decoded {
                return self.go_on(stream.cursor, Err(error));
            }
            if reply.is_decoded() {
                stream.reply = None;
            }
        }
        if stream.cursor.finished() {
            self.idle.extend(shared.chunks.finish(stream.cursor));
            return Ok(());
        }
        if stream.owed.is_some() && !shared.chunks.admits(partition) {
            return self.go_on_later(number, stream);
        }
        let Some(link) = &mut self.link else {
            self.idle.push(stream.cursor);
            return Ok(());
        };
        let acknowledged = match stream.owed.take() {
            Some((session, offset)) => link.acknowledge(session, offset),
            None => Ok(()),
        };
        let next = stream.next.take();
        if acknowledged.is_ok()
            && let Some(frame) = next
        {
            return self.take_in(number, stream, &frame);
        }
        link.streams.insert(number, stream);
        acknowledged
    }

    fn go_on_later(&mut self, number: i32, stream: Stream) -> Result<()> {
        match &mut self.link {
            Some(link) => {
                link.streams.insert(number, stream);
                link.behind.push_back(number);
            }
            None => self.idle.push(stream.cursor),
        }
        Ok(())
    }

    /// The log's bounds are here: fixes the start and opens the stream.
    fn start(&mut self, cursor: &mut Cursor, frame: &Frame) -> Result<Then> {
        let shared = &self.shared;
        if shared.chunks.look(cursor) != Order::Keep {
            return Ok(Then::Again);
        }
        let response = frame.decode::<FetchOffsetsResponse>(FETCH_OFFSETS_VERSION)?;
        let bounds = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let bounds = bounds.ok_or_else(|| Error::incompatible("the SPU's reply about offsets is empty"))?;
        let told = bounds_of(&bounds);
        let (start, end) = told.map_err(|error| error.with_topic(&shared.topic).with_partition(cursor.partition))?;
        let log = Log { topic: &shared.topic, start, end };
        shared.trouble.clear();
        if cursor.resolve(&log, &shared.options)? {
            shared.chunks.resolve(cursor, log.end);
            if shared.chunks.look(cursor) != Order::Keep {
                return Ok(Then::Again);
            }
        }
        if cursor.finished() {
            return Ok(Then::Finished);
        }
        Ok(Then::Stream)
    }

    /// A stream's reply: acknowledges it at once if there is room for what it becomes and for the next one.
    fn receive(&mut self, stream: &mut Stream, frame: &Frame) -> Result<Then> {
        let shared = &self.shared;
        let cursor = &mut stream.cursor;
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
        match split.next {
            Next::Reopen => {
                link.orphans += 1;
                return if link.orphans > MOST_ORPHANS { Err(too_many_orphans()) } else { Ok(Then::Stream) };
            }
            // The server prepares the next reply while this one is decoded, if there is room for both.
            Next::Acknowledge(after) if cursor.end.is_none_or(|end| after < end) => {
                if !split.grows() && shared.chunks.has_room(bytes.len()) {
                    link.acknowledge(reply.stream_id, after)?;
                } else {
                    stream.owed = Some((reply.stream_id, after));
                }
            }
            Next::Acknowledge(_) | Next::Stop => {}
        }
        stream.reply = Some(split);
        Ok(Then::Decode)
    }

    /// The peer lives. A stream that keeps back what is in the log, twice in a row, is opened again.
    fn probed(&mut self, frame: &Frame) -> Result<()> {
        let response = frame.decode::<FetchOffsetsResponse>(FETCH_OFFSETS_VERSION)?;
        let Some(link) = &mut self.link else { return Ok(()) };
        let quiet = link.streams.iter().filter(|(_, stream)| stream.is_quiet());
        let quiet: HashMap<u32, i32> = quiet.map(|(number, stream)| (stream.cursor.partition, *number)).collect();
        let mut suspects = HashMap::new();
        for bounds in response.topics.into_iter().flat_map(|topic| topic.partitions) {
            let partition = bounds.partition_index;
            let log_end = bounds.last_stable_offset;
            let number = quiet.get(&partition);
            let Some((number, stream)) = number.and_then(|number| Some((*number, link.streams.get(number)?))) else {
                continue;
            };
            self.shared.chunks.note_end(partition, log_end);
            let next = stream.cursor.next;
            let failed = bounds.error_code != ErrorCode::None;
            // Records between the end of the log and the end that was seen once will not come back.
            let lost = stream.cursor.end.filter(|end| *end > log_end);
            let suspicious = log_end > next || lost.is_some();
            if failed || (suspicious && link.suspects.get(&partition) == Some(&next)) {
                let Some(Stream { cursor, .. }) = link.streams.remove(&number) else { continue };
                link.orphans += 1;
                match lost {
                    Some(end) if !failed => {
                        let text = format!(
                            "the log ends at {log_end}, but it ended at {end} when reading began: records were lost with their leader"
                        );
                        let error = Error::new(ErrorKind::OffsetOutOfRange, text).with_topic(&self.shared.topic);
                        fail(&self.shared, cursor, error.with_partition(partition).with_offset(next));
                    }
                    _ => self.idle.push(cursor),
                }
            } else if suspicious {
                suspects.insert(partition, next);
            }
        }
        link.suspects = suspects;
        Ok(())
    }
}

/// How it goes on with a cursor.
enum Then {
    /// On a new stream.
    Stream,
    /// Once the stream's reply is decoded.
    Decode,
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
        self.largest = self.largest.max(cursor.fetch_bytes as usize);
        self.connection.expect(self.largest.saturating_mul(MOST_TIMES));
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
        let partition = |stream: &Stream| FetchOffsetPartition { partition_index: stream.cursor.partition };
        let streams = self.streams.values().map(partition);
        let topic = FetchOffsetTopic { name: shared.topic.clone(), partitions: streams.collect() };
        if topic.partitions.is_empty() {
            return Ok(());
        }
        let mut request = FetchOffsetsRequest::default();
        request.topics.push(topic);
        let correlation = self.connection.request(&request, FETCH_OFFSETS_VERSION)?;
        let deadline = Instant::now() + shared.session.request_timeout();
        self.asked.insert(correlation, Asked::Probe(deadline));
        Ok(())
    }
}

fn too_many_orphans() -> Error {
    Error::new(ErrorKind::Connection, "the SPU has too many streams that nobody reads: the connection is replaced")
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
