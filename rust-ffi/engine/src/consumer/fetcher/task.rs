//! The task of one fetcher: it waits for an event and acts on it, without waiting but for a connection or a pause.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fluvio_protocol::link::ErrorCode;
use fluvio_spu_schema::server::fetch_offset::FetchOffsetsResponse;
use fluvio_spu_schema::server::stream_fetch::StreamFetchResponse;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::super::assignment::Directive;
use super::super::cursor::{AfterReply, Cursor, Log};
use super::super::{ConsumerShared, Start};
use super::chains;
use super::connection::{FETCH_OFFSETS_VERSION, PendingAck, PendingRequest, Stream, StreamConnection};
use super::probe::Verdict;
use super::since::find_since;
use super::{dispatch, fail, find_leader};
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{self, TaskKind, maybe_panic};
use crate::log::log;
use crate::log_offsets::bounds_of;
use crate::replies::RecordBytes;
use crate::transport::Frame;

/// How long one stream is decoded before others have their turn.
const TURN: Duration = Duration::from_millis(1);

/// What a fetcher waits for.
enum Event {
    /// A partition was given to this fetcher.
    Partition(Cursor),
    /// The caller has sought, paused, resumed or revoked.
    Directives,
    /// A reply has come.
    Frame(Frame),
    /// There may be room for streams that wait for it.
    Room,
    /// The streams that wait can go on: they only gave others a turn.
    Turn,
    /// The peer has not answered in time.
    Overdue,
    /// The peer was silent for long.
    ProbeDue,
    /// Nothing more will be read.
    Over,
}

/// How reading goes on with a cursor.
pub(super) enum NextStep {
    /// Ask for the log's bounds.
    AskBounds,
    /// Open a stream.
    OpenStream,
    /// Decode the stream's reply.
    Decode,
    /// Not at all: the partition was read to its end.
    Finish,
}

/// Reads the partitions of a consumer that one SPU leads.
pub(super) struct Fetcher {
    pub(super) shared: Arc<ConsumerShared>,
    leader: i32,
    incoming: mpsc::UnboundedReceiver<Cursor>,
    directives: watch::Receiver<u64>,
    /// Partitions whose bounds are to be asked for.
    idle: Vec<Cursor>,
    pub(super) connection: Option<StreamConnection>,
    /// Whether a stream that waits has room, and only gave others a turn.
    gave_turn: bool,
    pub(super) backoff: Backoff,
    /// Whether a connection was lost since the last one was made.
    lost_connection: bool,
}

impl Fetcher {
    pub(super) fn new(shared: Arc<ConsumerShared>, leader: i32, incoming: mpsc::UnboundedReceiver<Cursor>) -> Self {
        let directives = shared.subscription.directives();
        Self {
            shared,
            leader,
            incoming,
            directives,
            idle: Vec::new(),
            connection: None,
            gave_turn: false,
            backoff: Backoff::default(),
            lost_connection: false,
        }
    }

    /// Runs until nothing more is read.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while !shared.subscription.is_over() {
            // An error, also that of a panic, ends the connection, but not the fetcher.
            if let Err(error) = guard::caught(self.turn()).await.flatten() {
                self.recover(&error).await;
            }
        }
    }

    /// Does what can be done at once, then waits for one event and acts on it.
    async fn turn(&mut self) -> Result<()> {
        maybe_panic(TaskKind::Consumer);
        while let Ok(cursor) = self.incoming.try_recv() {
            self.idle.push(cursor);
        }
        if self.directives.has_changed().unwrap_or(false) {
            self.directives.mark_unchanged();
            self.apply_directives()?;
        }
        // Before room is asked for: what is announced from now on wakes the wait.
        let announcements = self.shared.subscription.room_announcements();
        self.advance_waiting()?;
        if !self.idle.is_empty() {
            return self.ask_bounds().await;
        }
        let event = self.next_event(announcements).await?;
        self.on_event(event)
    }

    /// Waits for an event. `announcements`: how often room was announced before it was asked for.
    async fn next_event(&mut self, announcements: u64) -> Result<Event> {
        let subscription = &self.shared.subscription;
        let Some(connection) = &mut self.connection else {
            return Ok(tokio::select! {
                Some(cursor) = self.incoming.recv() => Event::Partition(cursor),
                () = subscription.wait_over() => Event::Over,
            });
        };
        // A start, for which a caller may wait, is found even if there is no room for records.
        let reading = subscription.admits_replies() || connection.has_pending();
        let blocked = !reading || connection.has_waiting();
        let deadline = connection.deadline();
        let overdue = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let probe_due = connection.heard + self.shared.options.probe_interval;
        Ok(tokio::select! {
            frame = connection.connection.next_frame(), if reading => Event::Frame(frame?),
            Some(cursor) = self.incoming.recv() => Event::Partition(cursor),
            _ = self.directives.changed() => Event::Directives,
            () = subscription.wait_over() => Event::Over,
            () = subscription.room_since(announcements), if blocked => Event::Room,
            () = std::future::ready(()), if self.gave_turn => Event::Turn,
            () = overdue => Event::Overdue,
            () = tokio::time::sleep_until(probe_due), if reading => Event::ProbeDue,
        })
    }

    fn on_event(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Partition(cursor) => self.idle.push(cursor),
            Event::Directives => return self.apply_directives(),
            Event::Frame(frame) => return self.on_frame(frame),
            Event::Overdue => return Err(self.no_answer()),
            Event::ProbeDue => {
                if let Some(connection) = &mut self.connection {
                    return connection.probe(&self.shared);
                }
            }
            // The next turn goes on with the streams that wait; the loop sees the end.
            Event::Room | Event::Turn | Event::Over => {}
        }
        Ok(())
    }

    fn no_answer(&self) -> Error {
        let peer = self.connection.as_ref().map_or("its address", |connection| connection.connection.peer());
        let seconds = self.shared.session.request_timeout().as_secs_f64();
        let text = format!("SPU {} at {peer} did not answer within {seconds} s", self.leader);
        Error::new(ErrorKind::Connection, text)
    }

    /// Asks what the caller wants of each partition that is streamed. Streams that are not wanted any more are
    /// abandoned.
    fn apply_directives(&mut self) -> Result<()> {
        let subscription = &self.shared.subscription;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let mut outcome = Ok(());
        for (number, mut stream) in std::mem::take(&mut connection.streams) {
            match subscription.directive(&mut stream.cursor) {
                Directive::Continue => {
                    connection.streams.insert(number, stream);
                    continue;
                }
                Directive::Restart => self.idle.push(stream.cursor),
                Directive::Park => self.idle.extend(subscription.park(stream.cursor)),
                Directive::Abandon => {}
            }
            outcome = connection.count_abandoned();
        }
        outcome
    }

    /// Asks for the log's bounds of the idle partitions, over a new connection if there is none. Their streams follow
    /// from the answers.
    async fn ask_bounds(&mut self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        for mut cursor in std::mem::take(&mut self.idle) {
            match shared.subscription.directive(&mut cursor) {
                Directive::Continue | Directive::Restart => match cursor.start {
                    Some(Start::Since(time)) => find_since(&shared, cursor, time),
                    _ => self.idle.push(cursor),
                },
                Directive::Park => self.idle.extend(shared.subscription.park(cursor)),
                Directive::Abandon => {}
            }
        }
        if self.idle.is_empty() {
            return Ok(());
        }
        if self.connection.is_none() {
            let dial = shared.session.dial(self.leader, true);
            let Some(connection) = shared.subscription.unless_over(dial).await else { return Ok(()) };
            self.connection = Some(StreamConnection::new(connection?));
            if std::mem::take(&mut self.lost_connection) {
                let (counters, topic, spu) = (shared.session.counters(), &*shared.topic, self.leader);
                log!(INFO, CONSUMER, counters, "connected again", topic, spu);
                counters.reconnects.add(1);
            }
        }
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let mut idle = std::mem::take(&mut self.idle).into_iter();
        for cursor in idle.by_ref() {
            if let Err(lost) = connection.ask_bounds(&shared, cursor) {
                self.idle.push(lost.cursor);
                self.idle.extend(idle);
                return Err(lost.error);
            }
        }
        Ok(())
    }

    /// The connection is gone, or was not to be had: every partition looks for its leader again, after a pause; or
    /// fails, if that cannot help.
    async fn recover(&mut self, error: &Error) {
        let shared = Arc::clone(&self.shared);
        if let Some(connection) = self.connection.take() {
            self.lost_connection = true;
            self.idle.extend(connection.abandon());
            let (counters, topic, spu) = (shared.session.counters(), &*shared.topic, self.leader);
            let (partitions, reason) = (self.idle.len(), error.reason());
            if error.kind == ErrorKind::Internal {
                log!(ERROR, CONSUMER, counters, "a fetcher begins anew", topic, spu, partitions, reason = &*reason);
            } else {
                log!(WARN, CONSUMER, counters, "the connection is lost", topic, spu, partitions, reason = &*reason);
            }
        }
        if !error.retriable {
            return self.idle.drain(..).for_each(|cursor| fail(&shared, cursor, error.clone()));
        }
        shared.session.counters().note(error.kind);
        shared.trouble.note(error.clone());
        shared.session.metadata().request_refresh();
        if shared.subscription.unless_over(self.backoff.wait()).await.is_some() {
            self.idle.drain(..).for_each(|cursor| dispatch(&shared, cursor));
        }
    }

    // ---- replies

    fn on_frame(&mut self, frame: Frame) -> Result<()> {
        let number = frame.correlation;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        connection.heard = Instant::now();
        match connection.answered(number) {
            Some(PendingRequest::Bounds(mut cursor, _)) => {
                let outcome = guard::attempt(|| self.on_bounds(&mut cursor, &frame));
                return self.proceed(cursor, outcome);
            }
            Some(PendingRequest::Probe(_)) => return self.on_probe(&frame),
            None => {}
        }
        let Some(mut stream) = connection.streams.remove(&number) else {
            // It answers an acknowledgement, or belongs to an abandoned stream.
            return connection.connection.stray();
        };
        if stream.is_quiet() {
            return self.on_reply(number, stream, &frame);
        }
        if stream.next.replace(frame).is_some() {
            let peer = connection.connection.peer();
            let text = format!("SPU {} at {peer} sent replies that nobody asked for", self.leader);
            self.idle.push(stream.cursor);
            return Err(Error::new(ErrorKind::Connection, text));
        }
        connection.streams.insert(number, stream);
        Ok(())
    }

    /// Takes a reply of a quiet stream. A panic over it is an error of its partition alone: the cursor is kept.
    fn on_reply(&mut self, number: i32, mut stream: Stream, frame: &Frame) -> Result<()> {
        match guard::attempt(|| self.receive(&mut stream, frame)) {
            Ok(NextStep::Decode) => self.advance(number, stream),
            outcome => self.proceed(stream.cursor, outcome),
        }
    }

    /// The log's bounds are here: fixes the cursor's start.
    fn on_bounds(&mut self, cursor: &mut Cursor, frame: &Frame) -> Result<NextStep> {
        let shared = &self.shared;
        if shared.subscription.directive(cursor) != Directive::Continue {
            return Ok(NextStep::AskBounds);
        }
        let response = frame.decode::<FetchOffsetsResponse>(FETCH_OFFSETS_VERSION)?;
        let bounds = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let bounds = bounds.ok_or_else(|| Error::incompatible("the SPU's reply about offsets is empty"))?;
        let bounds = bounds_of(&bounds);
        let (start, end) = bounds.map_err(|error| error.with_topic(&shared.topic).with_partition(cursor.partition))?;
        let log = Log { topic: &shared.topic, start, end };
        shared.trouble.clear();
        if cursor.resolve(&log, &shared.options)? {
            shared.subscription.resolve(cursor, log.end);
            if shared.subscription.directive(cursor) != Directive::Continue {
                return Ok(NextStep::AskBounds);
            }
        }
        if cursor.finished() {
            return Ok(NextStep::Finish);
        }
        match cursor.search.take() {
            Some(search) => chains::proceed(cursor, search.bounded(cursor.next(), log.end)),
            None => Ok(NextStep::OpenStream),
        }
    }

    /// Takes in a stream's reply; acknowledges it at once if there is room for what it becomes and for the next one.
    fn receive(&mut self, stream: &mut Stream, frame: &Frame) -> Result<NextStep> {
        let shared = &self.shared;
        let cursor = &mut stream.cursor;
        let response = frame.decode::<StreamFetchResponse<RecordBytes>>(stream.version)?;
        if cursor.inspection.is_some() {
            return self.inspect(stream, response);
        }
        if shared.chain.is_some() {
            return self.receive_made(stream, response);
        }
        match &response.partition.error_code {
            ErrorCode::None => {}
            // The bounds decide what becomes of the partition.
            ErrorCode::OffsetEvicted { .. } => return Ok(NextStep::AskBounds),
            code => {
                let error = stream_error(code, cursor.next());
                return Err(error.with_topic(&shared.topic).with_partition(cursor.partition));
            }
        }
        self.backoff.reset();
        shared.subscription.note_end(cursor.partition, response.partition.high_watermark);
        let bytes = response.partition.records.0;
        log!(
            TRACE,
            CONSUMER,
            shared.session.counters(),
            "a stream has replied",
            topic = &*shared.topic,
            partition = cursor.partition,
            spu = self.leader,
            offset = cursor.next(),
            bytes = bytes.len(),
            log_end = response.partition.high_watermark
        );
        let (reply, after) = cursor.split(&shared.topic, &bytes)?;
        let Some(connection) = &mut self.connection else { return Ok(NextStep::AskBounds) };
        match after {
            AfterReply::Reopen => {
                connection.count_abandoned()?;
                return Ok(NextStep::OpenStream);
            }
            AfterReply::Acknowledge(offset) if cursor.end.is_none_or(|end| offset < end) => {
                let ack = PendingAck { session_id: response.stream_id, offset };
                // The server prepares the next reply while this one is decoded, if there is room for both.
                if !reply.grows() && shared.subscription.has_room(bytes.len()) {
                    connection.acknowledge(&ack)?;
                } else {
                    stream.ack = Some(ack);
                }
            }
            AfterReply::Acknowledge(_) | AfterReply::Stop => {}
        }
        stream.reply = Some(reply);
        Ok(NextStep::Decode)
    }

    /// The peer lives. Quiet streams that keep back what is in the log are opened again.
    fn on_probe(&mut self, frame: &Frame) -> Result<()> {
        let response = frame.decode::<FetchOffsetsResponse>(FETCH_OFFSETS_VERSION)?;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let before = std::mem::take(&mut connection.suspects);
        let quiet = connection.streams.iter().filter(|(_, stream)| stream.is_quiet());
        let quiet: HashMap<u32, i32> = quiet.map(|(number, stream)| (stream.cursor.partition, *number)).collect();
        let mut outcome = Ok(());
        for bounds in response.topics.into_iter().flat_map(|topic| topic.partitions) {
            let partition = bounds.partition_index;
            let number = quiet.get(&partition);
            let Some((number, stream)) = number.and_then(|number| Some((*number, connection.streams.get(number)?)))
            else {
                continue;
            };
            self.shared.subscription.note_end(partition, bounds.last_stable_offset);
            let verdict = connection.suspects.judge(&before, &bounds, stream.cursor.next(), stream.cursor.end);
            if verdict == Verdict::Keep {
                continue;
            }
            let Some(mut stream) = connection.streams.remove(&number) else { continue };
            let is_served = bounds.error_code == ErrorCode::None && verdict == Verdict::Reopen;
            if is_served && self.shared.chain.is_some() && !stream.cursor.loses_patience() {
                connection.streams.insert(number, stream);
                continue;
            }
            let cursor = stream.cursor;
            log!(
                WARN,
                CONSUMER,
                self.shared.session.counters(),
                "a stream stands still, and is opened again",
                topic = &*self.shared.topic,
                partition,
                spu = self.leader,
                offset = cursor.next(),
                log_end = bounds.last_stable_offset
            );
            outcome = connection.count_abandoned();
            match verdict {
                Verdict::Truncated { log_end, end } => {
                    let text = format!(
                        "the log ends at {log_end}, but it ended at {end} when reading began: \
                         records were lost with their leader"
                    );
                    let error = Error::new(ErrorKind::OffsetOutOfRange, text).with_topic(&self.shared.topic);
                    let error = error.with_partition(partition).with_offset(cursor.next());
                    fail(&self.shared, cursor, error);
                }
                Verdict::Reopen | Verdict::Keep => self.idle.push(cursor),
            }
        }
        outcome
    }

    // ---- what becomes of cursors and streams

    /// Goes on with a cursor that has no stream, or whose stream is left.
    fn proceed(&mut self, cursor: Cursor, outcome: Result<NextStep>) -> Result<()> {
        match outcome {
            Ok(NextStep::OpenStream) => return self.open_stream(cursor),
            Ok(NextStep::Finish) => self.idle.extend(self.shared.subscription.finish(cursor)),
            Ok(NextStep::AskBounds | NextStep::Decode) => self.idle.push(cursor),
            Err(error) if matches!(error.kind, ErrorKind::Connection | ErrorKind::Resource | ErrorKind::Version) => {
                self.idle.push(cursor);
                return Err(error);
            }
            // An error of one partition alone leaves the others in peace.
            Err(error) if error.retriable => {
                log!(
                    WARN, CONSUMER, self.shared.session.counters(), "the SPU does not serve a partition",
                    topic = &*self.shared.topic, partition = cursor.partition, spu = self.leader, reason = %error.reason()
                );
                self.shared.trouble.note(self.shared.session.counters().noted(error));
                find_leader(&self.shared, cursor, Some(self.leader), self.backoff.next());
            }
            Err(error) => fail(&self.shared, cursor, error),
        }
        Ok(())
    }

    fn open_stream(&mut self, cursor: Cursor) -> Result<()> {
        if let Some(error) = chains::no_way_on(&self.shared, &cursor) {
            fail(&self.shared, cursor, error);
            return Ok(());
        }
        let Some(connection) = &mut self.connection else {
            self.idle.push(cursor);
            return Ok(());
        };
        log!(
            DEBUG,
            CONSUMER,
            self.shared.session.counters(),
            "a stream is opened",
            topic = &*self.shared.topic,
            partition = cursor.partition,
            spu = self.leader,
            offset = cursor.next()
        );
        connection.open_stream(&self.shared, cursor).map_err(|lost| {
            self.idle.push(lost.cursor);
            lost.error
        })
    }

    /// Goes on with the streams that wait.
    fn advance_waiting(&mut self) -> Result<()> {
        self.gave_turn = false;
        let waiting = self.connection.as_ref().map_or(0, StreamConnection::count_waiting);
        for _ in 0..waiting {
            if let Some((number, stream)) = self.connection.as_mut().and_then(StreamConnection::next_waiting) {
                self.advance(number, stream)?;
            }
        }
        Ok(())
    }

    /// Decodes a stream's reply, acknowledges it, and goes on with the next one, as far as there is room.
    fn advance(&mut self, number: i32, mut stream: Stream) -> Result<()> {
        match self.decode(&mut stream) {
            Ok(true) => {}
            Ok(false) => return self.wait(number, stream),
            Err(error) => return self.proceed(stream.cursor, Err(error)),
        }
        if stream.cursor.finished() {
            self.idle.extend(self.shared.subscription.finish(stream.cursor));
            return Ok(());
        }
        if let Some(next) = self.leave_made(&mut stream) {
            return self.proceed(stream.cursor, next);
        }
        if stream.ack.is_some() && !self.shared.subscription.admits(stream.cursor.partition) {
            return self.wait(number, stream);
        }
        let Some(connection) = &mut self.connection else {
            self.idle.push(stream.cursor);
            return Ok(());
        };
        let acknowledged = match stream.ack.take() {
            Some(ack) => connection.acknowledge(&ack),
            None => Ok(()),
        };
        if acknowledged.is_ok()
            && let Some(frame) = stream.next.take()
        {
            return self.on_reply(number, stream, &frame);
        }
        connection.streams.insert(number, stream);
        acknowledged
    }

    /// Decodes a stream's reply and makes its chunks ready. False: it waits for room, or gives others a turn.
    fn decode(&mut self, stream: &mut Stream) -> Result<bool> {
        let shared = &self.shared;
        let begun = Instant::now();
        while let Some(reply) = &mut stream.reply {
            if !shared.subscription.admits(stream.cursor.partition) {
                return Ok(false);
            }
            if begun.elapsed() > TURN {
                self.gave_turn = true;
                return Ok(false);
            }
            let mut chunks = Vec::new();
            let decode = || stream.cursor.decode(&shared.topic, reply, &*shared.encoder, &mut chunks);
            let decoded = guard::attempt(decode);
            // Also what comes before an error.
            shared.subscription.deliver(&stream.cursor, chunks);
            decoded?;
            if reply.is_decoded() {
                stream.reply = None;
            }
        }
        Ok(true)
    }

    fn wait(&mut self, number: i32, stream: Stream) -> Result<()> {
        match &mut self.connection {
            Some(connection) => connection.wait(number, stream),
            None => self.idle.push(stream.cursor),
        }
        Ok(())
    }
}

/// The error that a stream was answered with at `offset`.
pub(super) fn stream_error(code: &ErrorCode, offset: i64) -> Error {
    match code {
        // The server has no code for it.
        ErrorCode::Other(text) if text.contains("greater than leo") => {
            let text = format!("offset {offset} lies beyond the end of the log: {text}");
            Error::new(ErrorKind::OffsetOutOfRange, text).with_offset(offset)
        }
        code => Error::from_code(code, None).with_offset(offset),
    }
}
