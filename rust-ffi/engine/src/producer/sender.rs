//! The senders, one a leader: each ships the batches of the partitions that its SPU leads, over a connection of its own.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use fluvio_cffi_wire::{ProduceEntry, produce_request};
use fluvio_protocol::link::ErrorCode;
use futures_util::future::{Fuse, FusedFuture, FutureExt};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::answers::{self, Answer};
use super::batches::Batch;
use super::{Delivery, Shared};
use crate::Isolation;
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::guard::{TaskKind, maybe_panic};
use crate::limit::Limit;
use crate::metrics::InFlight;
use crate::transport::{Connection, Frame, Reader};

/// The version of the produce request.
pub(super) const PRODUCE_VERSION: i16 = 25;

/// After so many requests in a row that were sent by the callers' threads, and alone, these watch the connection, too.
const ALONE: u32 = 4;

/// A server that was heard of so shortly ago is taken to be there still.
const FRESH: Duration = Duration::from_micros(100);

/// How long a server that does not lead a partition any more has to say what became of requests for it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Follows the cluster view for one producer: new partitions, which of them are online, and a sender for each leader. Where
/// there is doubt, asks the SC whether the topic still exists.
pub(super) async fn supervise(shared: Arc<Shared>) {
    let mut changes = shared.client.view().changes();
    let bell = shared.batches.add_bell();
    let mut desks: HashMap<i32, Arc<Desk>> = HashMap::new();
    let mut backoff = Backoff::default();
    let mut lookup = pin!(Fuse::terminated());
    let mut doubt = false;
    loop {
        let partitions = changes.borrow_and_update().partitions(&shared.topic);
        let online = partitions.iter().map(|state| state.as_ref().is_some_and(|state| state.online)).collect();
        let leading = partitions.iter().map(|state| {
            let leader = state.as_ref()?.leader;
            let desk = desks.entry(leader).or_insert_with(|| Sender::start(&shared, leader));
            Some(Arc::clone(desk))
        });
        shared.batches.set_partitions(online, leading.collect());
        let mut pause = None;
        loop {
            if shared.batches.abandoned() {
                return;
            }
            // Batches for a partition that nobody leads: the topic may be gone, which no sender would notice.
            if pause.is_none() && lookup.is_terminated() && (doubt || shared.batches.has_work(None)) {
                doubt = false;
                lookup.set(fail_if_gone(&shared).fuse());
            }
            tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    backoff.reset();
                    break;
                }
                () = bell.notified() => {}
                () = shared.doubt.notified() => doubt = true,
                () = &mut lookup => pause = Some(Instant::now() + backoff.next()),
                () = sleep_until(pause) => pause = None,
            }
        }
    }
}

/// Waits until the producer is abandoned, which rings every bell.
async fn abandoned(shared: &Shared, bell: &Notify) {
    while !shared.batches.abandoned() {
        bell.notified().await;
    }
}

/// Fails what waits if the SC says that the topic does not exist.
async fn fail_if_gone(shared: &Shared) {
    shared.client.view().doubt();
    let limit = Limit::new(Some(shared.client.control().timeout()));
    if let Err(error) = shared.client.view().require(&shared.topic, &limit).await
        && error.kind == ErrorKind::TopicNotFound
    {
        shared.settle(shared.batches.give_up(&error.with_outcome(Outcome::NotWritten)));
    }
}

/// A request in flight.
#[derive(Debug)]
struct Request {
    correlation: i32,
    batches: Vec<Batch>,
    deadline: Instant,
    counted: InFlight,
}

/// Why a connection is given up, and whether with a reset.
#[derive(Debug)]
struct Failure {
    error: Error,
    reset: bool,
}

/// What a reply came to.
#[derive(Debug)]
#[must_use]
struct Answered {
    results: Vec<(u64, Result<i64>)>,
    /// Whether the cluster is to be looked at anew.
    doubtful: bool,
}

impl Answered {
    /// Tells those that wait. No lock may be held.
    fn tell(self, shared: &Shared) {
        if self.doubtful {
            shared.doubt.notify_one();
        }
        shared.settle(shared.batches.settle(self.results));
    }
}

/// A living connection and what is under way on it.
#[derive(Debug)]
struct Link {
    connection: Connection,
    /// In order: the server answers one after another.
    in_flight: VecDeque<Request>,
    /// Partitions of which something was sent, and which the server has not refused since.
    known: HashSet<u32>,
    /// The request that was the first for some partition: until it is answered it is the last, so that what has to go
    /// again stays in order.
    first: Option<i32>,
    /// How many requests in a row had the connection to themselves.
    alone: u32,
    /// When the server was last heard of.
    heard: Instant,
}

/// A sender's work, which it shares with the callers' threads: while nothing is in flight these send by themselves, which
/// spares a record the way through another thread. When that has gone well for a while they also watch the connection, where
/// they wait for the record's fate anyway, and the reply is spared that way, too; until the sender has something to do.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) leader: i32,
    bell: Arc<Notify>,
    work: Mutex<Work>,
    /// Why there is no connection, for the errors of what could not be sent in time.
    trouble: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Work {
    /// Set and taken away by the sender only.
    link: Option<Link>,
    /// Why the link is to be given up, of which the sender has still to hear.
    failure: Option<Failure>,
    /// Nothing is sent before.
    pause_until: Option<Instant>,
    backoff: Backoff,
    /// When the sender looks up by itself.
    alarm: Option<Instant>,
}

impl Desk {
    /// The sender has something to do.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Why there is no connection, as far as that is known.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Sends what is ready on the caller's thread if nothing is in flight; otherwise the sender does it. Never waits.
    /// `awaited`: the caller will do so where he can watch the connection.
    pub(super) fn send_or_ring(self: &Arc<Self>, shared: &Arc<Shared>, awaited: bool) {
        let sent = self.work.try_lock().is_ok_and(|mut work| self.send(shared, &mut work, awaited));
        if !sent {
            self.ring();
        }
    }

    /// Whether what is ready was sent, and somebody waits for the reply.
    fn send(self: &Arc<Self>, shared: &Arc<Shared>, work: &mut Work, awaited: bool) -> bool {
        let Some(link) = work.link.as_ref().filter(|link| link.in_flight.is_empty()) else { return false };
        if work.failure.is_some() || !shared.batches.uncompressed() {
            return false;
        }
        // A connection that the runtime does not watch may have ended unseen.
        if link.connection.is_unwatched() && link.heard.elapsed() > FRESH && !link.connection.is_open() {
            let error = Error::new(ErrorKind::Connection, format!("SPU {} has closed the connection", self.leader));
            self.fail(work, error, false);
            return false;
        }
        if !work.fill(shared, self.leader).is_ok_and(|flushed| flushed) {
            return false;
        }
        let Work { link: Some(link), alarm, .. } = work else { return false };
        // The sender looks up in time whatever happens.
        let in_time = |first: &Request| alarm.is_some_and(|alarm| alarm <= first.deadline);
        if !link.in_flight.front().is_some_and(in_time) {
            return false;
        }
        let alone = link.in_flight.len() == 1;
        if !alone {
            link.alone = 0;
        }
        if !awaited || !alone {
            return !link.connection.is_unwatched();
        }
        link.alone += 1;
        if link.alone <= ALONE || link.connection.is_unwatched() {
            return true;
        }
        link.alone = 0;
        let reader = || Arc::new(CallersReader { shared: Arc::downgrade(shared), desk: Arc::downgrade(self) });
        match link.connection.have_watched(|descriptor| shared.sink.watch(descriptor, reader())) {
            Ok(()) => true,
            Err(error) => {
                self.fail(work, error, false);
                false
            }
        }
    }

    /// The sender has to give the connection up.
    fn fail(&self, work: &mut Work, error: Error, reset: bool) {
        work.fail(error, reset);
        self.ring();
    }

    /// The partition has another leader now, to which nothing is sent while something is in flight to this one: it gets
    /// that soon, whether or not this one answers.
    pub(super) fn hand_over(&self, partition: u32) {
        let mut work = self.lock();
        let Some(link) = &mut work.link else { return };
        link.known.remove(&partition);
        let limit = Instant::now() + LAST_WORDS;
        let of_it = |request: &Request| request.batches.iter().any(|batch| batch.partition == partition);
        if link.in_flight.iter().any(of_it) {
            link.in_flight.iter_mut().for_each(|request| request.deadline = request.deadline.min(limit));
        }
    }

    /// Handles the reply to the oldest request. One step for the callers: nothing later may be sent before what has to go
    /// again is back in its place.
    fn answer(&self, shared: &Shared, work: &mut Work, frame: &Frame) -> Result<Answered> {
        let (request, answers) = work.answer(frame, self.leader)?;
        // Before anybody hears of it.
        drop(request.counted);
        let mut results = Vec::with_capacity(answers.len());
        let mut again = Vec::new();
        for (batch, answer) in request.batches.into_iter().zip(answers) {
            let mut fail = |error: Error| {
                let error = error.with_topic(&shared.topic).with_partition(batch.partition);
                results.push((batch.ticket, Err(error)));
            };
            match answer {
                Answer::Written(base_offset) => results.push((batch.ticket, Ok(base_offset))),
                Answer::Refused(code) if retriable(&code) && shared.options.delivery == Delivery::AtLeastOnce => {
                    shared.client.counters().note(refused(&code).kind);
                    again.push(batch);
                }
                Answer::Refused(code) => {
                    let error = refused(&code).with_topic(&shared.topic).with_partition(batch.partition);
                    if matches!(code, ErrorCode::StorageError | ErrorCode::PartitionShortCircuited) {
                        shared.batches.set_broken(self.leader, batch.partition, &error);
                    }
                    fail(error);
                }
                Answer::Unknown(number) => fail(Error::from_unknown_code(number).with_outcome(Outcome::Unknown)),
                Answer::Unreadable => {
                    let text = "the server's answer stands behind an error code that this version does not know";
                    fail(Error::new(ErrorKind::DeliveryUnknown, text).with_outcome(Outcome::Unknown));
                }
            }
        }
        if let Some(link) = &mut work.link {
            link.first = link.first.filter(|first| *first != request.correlation);
            for batch in &again {
                link.known.remove(&batch.partition);
            }
        }
        let doubtful = !again.is_empty();
        if doubtful {
            shared.batches.put_back(again);
            work.pause_until = Some(Instant::now() + work.backoff.next());
        } else {
            work.backoff.reset();
        }
        Ok(Answered { results, doubtful })
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a desk's connection where the producer's owner waits.
struct CallersReader {
    shared: Weak<Shared>,
    desk: Weak<Desk>,
}

impl Reader for CallersReader {
    fn read(&self) {
        let (Some(shared), Some(desk)) = (self.shared.upgrade(), self.desk.upgrade()) else { return };
        let mut work = desk.lock();
        let Some(link) = work.link.as_mut().filter(|link| link.connection.is_unwatched()) else { return };
        let frame = match link.connection.try_frame() {
            Ok(None) => return,
            Ok(Some(frame)) => frame,
            Err(error) => return desk.fail(&mut work, error, false),
        };
        match desk.answer(&shared, &mut work, &frame) {
            Ok(answered) => {
                let more = work.link.as_ref().is_some_and(|link| !link.in_flight.is_empty());
                drop(work);
                let doubtful = answered.doubtful;
                answered.tell(&shared);
                if more {
                    // The next reply may have come with this one; then the descriptor does not tell of it any more.
                    desk.ring();
                } else if doubtful || shared.batches.has_work(Some(desk.leader)) {
                    // What came meanwhile can go from here, too.
                    desk.send_or_ring(&shared, false);
                }
            }
            Err(error) => desk.fail(&mut work, error, true),
        }
    }

    fn unwatched(&self) {
        if let Some(desk) = self.desk.upgrade() {
            desk.ring();
        }
    }
}

impl Work {
    /// The connection is to be given up: from now on nothing is sent on it.
    fn fail(&mut self, error: Error, reset: bool) {
        if let Some(link) = &mut self.link {
            link.connection.stop_watching();
        }
        self.failure.get_or_insert(Failure { error, reset });
    }

    /// Sends what is ready, as far as the window and the kernel go; whether the kernel took all.
    fn fill(&mut self, shared: &Shared, leader: i32) -> Result<bool> {
        if self.failure.is_some() {
            return Ok(false);
        }
        let Some(link) = &mut self.link else { return Ok(true) };
        if self.pause_until.is_none() {
            while link.first.is_none() && link.in_flight.len() < shared.options.max_in_flight {
                let mut batches = Vec::new();
                shared.settle(shared.batches.take(leader, &mut batches));
                if batches.is_empty() {
                    break;
                }
                link.send(shared, batches);
            }
        }
        link.connection.try_flush()
    }

    /// Takes the oldest request, which `frame` answers, out of flight. After an error it still is in flight.
    fn answer(&mut self, frame: &Frame, leader: i32) -> Result<(Request, Vec<Answer>)> {
        let link = self.link.as_mut().ok_or_else(|| Error::internal("a reply without a connection"))?;
        let first = link.in_flight.front().filter(|request| request.correlation == frame.correlation);
        let Some(request) = first else {
            let text = format!("SPU {leader} answered a request that was not the next one");
            return Err(Error::new(ErrorKind::Version, text));
        };
        let answers = answers::read(frame.body.clone(), request.batches.len())?;
        let request = link.in_flight.pop_front().ok_or_else(|| Error::internal("a reply without a request"))?;
        link.heard = Instant::now();
        Ok((request, answers))
    }
}

struct Sender {
    shared: Arc<Shared>,
    desk: Arc<Desk>,
    /// Whether a connection was lost since the last one was made.
    lost: bool,
    /// Whether there was something to do but replies, or more than these wait for: then a connection that callers watch is
    /// taken back.
    called: bool,
}

impl Sender {
    fn start(shared: &Arc<Shared>, leader: i32) -> Arc<Desk> {
        let work = Work { link: None, failure: None, pause_until: None, backoff: Backoff::default(), alarm: None };
        let (bell, trouble) = (shared.batches.add_bell(), Mutex::default());
        let desk = Arc::new(Desk { leader, bell, work: Mutex::new(work), trouble });
        let sender = Self { shared: Arc::clone(shared), desk: Arc::clone(&desk), lost: false, called: false };
        super::spawn(Arc::clone(shared), sender.run());
        desk
    }

    async fn run(mut self) {
        loop {
            maybe_panic(TaskKind::Producer);
            let shared = Arc::clone(&self.shared);
            if shared.batches.abandoned() {
                let link = self.desk.lock().link.take();
                if let Some(link) = link.filter(|link| !link.in_flight.is_empty()) {
                    link.connection.abandon();
                }
                return;
            }
            // Together: a failure that outlived its connection would end the next one.
            let failed = {
                let mut work = self.desk.lock();
                let failure = work.failure.take();
                failure.and_then(|failure| Some((failure, work.link.take()?)))
            };
            if let Some((failure, link)) = failed {
                self.lose(failure, link);
            }
            shared.settle(shared.batches.expire());
            shared.settle(shared.batches.fail_broken(self.desk.leader));
            let idle = {
                let mut work = self.desk.lock();
                work.pause_until = work.pause_until.filter(|until| *until > Instant::now());
                work.link.is_none() && work.pause_until.is_none()
            };
            if idle && shared.batches.has_work(Some(self.desk.leader)) {
                self.connect().await;
                continue;
            }
            let looked = Instant::now();
            {
                let mut work = self.desk.lock();
                let before = work.link.as_ref().map_or(0, |link| link.in_flight.len());
                if let Err(error) = work.fill(&shared, self.desk.leader) {
                    work.fail(error, true);
                    continue;
                }
                // A caller may have sent its next record while this task was telling it of the last one: that is alone still.
                if let Some(link) = work.link.as_mut().filter(|link| link.in_flight.len() > before) {
                    link.alone = 0;
                    self.called = true;
                }
            }
            self.wait(looked).await;
        }
    }

    async fn connect(&mut self) {
        let shared = Arc::clone(&self.shared);
        let dial = shared.client.dial(self.desk.leader, false);
        let deadline = shared.batches.next_deadline();
        let connected = tokio::select! {
            connected = dial => connected,
            () = abandoned(&shared, &self.desk.bell) => return,
            () = sleep_until(deadline) => return,
        };
        match connected {
            Ok(connection) => {
                if std::mem::take(&mut self.lost) {
                    shared.client.counters().reconnects.add(1);
                }
                self.desk.set_trouble(None);
                let (in_flight, known) = Default::default();
                self.desk.lock().link =
                    Some(Link { connection, in_flight, known, first: None, alone: 0, heard: Instant::now() });
            }
            Err(error) => {
                shared.client.counters().note(error.kind);
                self.desk.set_trouble(Some(error.message));
                self.pause();
            }
        }
    }

    /// Waits before the next attempt; meanwhile the supervisor asks whether the topic exists.
    fn pause(&mut self) {
        let mut work = self.desk.lock();
        work.pause_until = Some(Instant::now() + work.backoff.next());
        drop(work);
        self.shared.doubt.notify_one();
    }

    /// Waits for a reply, for work, or for a deadline, and handles it.
    async fn wait(&mut self, looked: Instant) {
        let desk = Arc::clone(&self.desk);
        let alarm = self.set_alarm(looked);
        let mut called = std::mem::take(&mut self.called);
        // None: the connection has failed. That is noted at once, before a caller sends on it.
        let reply = poll_fn(|cx| {
            let mut work = desk.lock();
            let Some(link) = &mut work.link else { return Poll::Pending };
            // Callers have begun to watch it while this task was busy with a reply: they go on.
            if link.connection.is_watched_elsewhere() && !called {
                return Poll::Pending;
            }
            called = false;
            link.connection.poll_frame(cx).map(|frame| frame.map_err(|error| work.fail(error, false)).ok())
        });
        tokio::select! {
            // A reply that is here counts, also when it is late that somebody looks.
            biased;
            reply = reply => {
                let Some(frame) = reply else { return };
                let answered = {
                    let mut work = desk.lock();
                    desk.answer(&self.shared, &mut work, &frame).map_err(|error| work.fail(error, true))
                };
                if let Ok(answered) = answered {
                    answered.tell(&self.shared);
                }
            }
            () = desk.bell.notified() => self.called = true,
            () = sleep_until(alarm) => {
                self.called = true;
                let mut work = desk.lock();
                // A connection that callers watch is taken back first: the reply may be there, and nobody has looked.
                let link = work.link.as_ref().filter(|link| !link.connection.is_watched_elsewhere());
                let first = link.and_then(|link| link.in_flight.front());
                if first.is_some_and(|first| first.deadline <= Instant::now()) {
                    let text = format!("SPU {} did not answer a produce request in time", desk.leader);
                    work.fail(Error::new(ErrorKind::Connection, text), true);
                }
            }
        }
    }

    /// When to look up at the latest: at the next deadline. If there is none, the alarm that is set stays: what a caller
    /// sends by himself has a later deadline, so nobody must be told.
    fn set_alarm(&self, looked: Instant) -> Option<Instant> {
        let mut work = self.desk.lock();
        let linger = work.link.as_ref().and_then(|_| self.shared.batches.next_linger(looked));
        let request = work.link.as_ref().and_then(|link| link.in_flight.front()).map(|request| request.deadline);
        let next = [self.shared.batches.next_deadline(), linger, request, work.pause_until].into_iter().flatten().min();
        work.alarm = next.or(work.alarm.filter(|alarm| *alarm > Instant::now()));
        work.alarm
    }

    /// The connection is gone, or is given up with a reset: what was in flight goes again, or fails if it may go once only.
    fn lose(&mut self, Failure { error, reset }: Failure, link: Link) {
        let idle = link.in_flight.is_empty();
        self.lost = true;
        self.shared.batches.forget_broken(self.desk.leader);
        // A server may close an idle connection: that is no failure.
        if !idle {
            self.shared.client.counters().note(error.kind);
        }
        if reset {
            link.connection.abandon();
        }
        let batches = link.in_flight.into_iter().flat_map(|request| request.batches);
        let batches = batches.map(|batch| Batch { maybe_written: true, ..batch });
        match self.shared.options.delivery {
            Delivery::AtLeastOnce => self.shared.batches.put_back(batches),
            Delivery::AtMostOnce => {
                let text = format!("{error}; the batch was sent once, as at_most_once asks, and may be in the log");
                let error = Error { os_error: error.os_error, ..Error::new(ErrorKind::DeliveryUnknown, text) }
                    .with_topic(&self.shared.topic)
                    .with_outcome(Outcome::Unknown);
                let results = batches.map(|batch| (batch.ticket, Err(error.clone().with_partition(batch.partition))));
                self.shared.settle(self.shared.batches.settle(results));
            }
        }
        if !idle {
            self.pause();
        }
    }
}

impl Link {
    fn send(&mut self, shared: &Shared, batches: Vec<Batch>) {
        let timeout = shared.request_timeout();
        let correlation = self.connection.next_correlation();
        let entries: Vec<ProduceEntry> = batches
            .iter()
            .map(|batch| ProduceEntry { partition: batch.partition, batch: batch.bytes.clone() })
            .collect();
        let committed = shared.options.isolation == Isolation::ReadCommitted;
        let millis = timeout.as_millis().min(i32::MAX as u128) as i32;
        let segments =
            produce_request(correlation, self.connection.client_id(), &shared.topic, committed, millis, &entries);
        self.connection.queue(segments);
        let now = Instant::now();
        let deadline =
            batches.iter().map(|batch| batch.deadline).min().map_or(now + timeout, |first| first.min(now + timeout));
        for batch in &batches {
            if self.known.insert(batch.partition) {
                self.first = Some(correlation);
            }
        }
        let counted = InFlight::new(shared.client.counters());
        self.in_flight.push_back(Request { correlation, batches, deadline, counted });
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Codes that say that nothing was written and that another attempt, perhaps elsewhere, can succeed.
fn retriable(code: &ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotLeaderForPartition
            | ErrorCode::SpuOffline
            | ErrorCode::TopicPendingInitialization
            | ErrorCode::PartitionPendingInitialization
            | ErrorCode::PartitionNotLeader
    )
}

/// The fate of a batch that the server answered with `code`.
fn refused(code: &ErrorCode) -> Error {
    let outcome = match code {
        // Written, but not replicated in time; or the server does not say.
        ErrorCode::RequestTimedOut { .. } | ErrorCode::UnknownServerError | ErrorCode::Other(_) => Outcome::Unknown,
        _ => Outcome::NotWritten,
    };
    Error::from_code(code, None).with_outcome(outcome)
}
