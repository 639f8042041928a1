//! The senders, one a leader: each ships the batches of the partitions that its SPU leads, over a connection of its own.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use fluvio_cffi_wire::{ProduceEntry, produce_request};
use fluvio_protocol::link::ErrorCode;
use futures_util::future::{Fuse, FusedFuture, FutureExt, join_all};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::answers::{self, Answer};
use super::batches::{Batch, Batches, Past, Settled};
use super::{Delivery, Shared};
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind, Outcome, Phase, Result};
use crate::guard::{self, TaskKind, maybe_panic};
use crate::limit::{Limit, Trouble};
use crate::log_offsets::bounds;
use crate::metrics::InFlight;
use crate::options::Isolation;
use crate::transport::{Connection, Frame, Reader};

/// The version of the produce request.
pub(super) const PRODUCE_VERSION: i16 = 25;

/// After so many requests in a row that were sent by the callers' threads, and alone, these watch the connection, too.
const ALONE: u32 = 4;

/// A server that was heard of so shortly ago is taken to be there still.
const FRESH: Duration = Duration::from_micros(100);

/// A server that has not answered for so long is avoided by records that can go elsewhere; to one that has not even answered to
/// a new connection nothing is left that can.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Whether leaders serve partitions that could not be written is asked no more often.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How long a server that does not lead a partition any more has to say what became of requests for it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Follows the cluster view for one producer, again and again if it panics.
pub(super) async fn supervise(shared: Arc<Shared>) {
    let mut backoff = Backoff::default();
    while let Err(panic) = guard::caught(follow(&shared)).await {
        shared.session.counters().note(panic.kind);
        backoff.wait().await;
    }
}

/// Follows the cluster view: new partitions, which of them are online, and a sender for each leader. Where there is doubt, asks
/// the SC whether the topic still exists.
async fn follow(shared: &Arc<Shared>) {
    let mut changes = shared.session.view().changes();
    let mut desks: HashMap<i32, Arc<Desk>> =
        shared.batches.desks().into_iter().map(|desk| (desk.leader, desk)).collect();
    let mut backoff = Backoff::default();
    let mut lookup = pin!(Fuse::terminated());
    let mut asking = pin!(Fuse::terminated());
    let (mut doubt, mut asked) = (false, None);
    let bell = shared.batches.bell();
    loop {
        let partitions = changes.borrow_and_update().partitions(&shared.topic);
        let online = partitions.iter().map(|state| state.as_ref().is_some_and(|state| state.online)).collect();
        let leading = partitions.iter().map(|state| {
            let leader = state.as_ref()?.leader;
            let desk = desks.entry(leader).or_insert_with(|| Sender::start(shared, leader));
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
                lookup.set(fail_if_gone(shared).fuse());
            }
            if asked.is_none() && asking.is_terminated() {
                let missed = shared.batches.missed();
                if !missed.is_empty() {
                    asking.set(ask(shared, missed).fuse());
                }
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
                () = &mut asking => asked = Some(Instant::now() + ASK_EVERY),
                () = sleep_until(asked) => asked = None,
            }
        }
    }
}

/// Asks the leaders of partitions that could not be written, or are said to be offline, whether they serve them. That is not left
/// to records, which would have to wait, nor to the view, which may never hear of it.
async fn ask(shared: &Shared, missed: Vec<(u32, Arc<Desk>)>) {
    let mut leaders: HashMap<i32, (Arc<Desk>, Vec<u32>)> = HashMap::new();
    for (partition, desk) in missed {
        leaders.entry(desk.leader).or_insert_with(|| (desk, Vec::new())).1.push(partition);
    }
    join_all(leaders.into_iter().map(async |(leader, (desk, partitions))| {
        let named = partitions.iter().map(|partition| (shared.topic.clone(), *partition)).collect();
        if let Ok(Ok(served)) = timeout(PATIENCE, bounds(&shared.session, leader, named)).await {
            desk.set_found(shared);
            for partition in partitions {
                if let Some(Ok(_)) = served.get(&(shared.topic.clone(), partition)) {
                    shared.batches.set_served(leader, partition);
                }
            }
        }
    }))
    .await;
}

/// Waits until the producer is abandoned, which rings every bell.
async fn abandoned(shared: &Shared, bell: &Notify) {
    while !shared.batches.abandoned() {
        bell.notified().await;
    }
}

/// Fails what waits if the SC says that the topic does not exist.
async fn fail_if_gone(shared: &Shared) {
    shared.session.view().doubt();
    let limit = Limit::new(Some(shared.session.control().timeout()));
    if let Err(error) = shared.session.view().require(&shared.topic, &limit).await
        && error.kind == ErrorKind::TopicNotFound
    {
        shared.settle(shared.batches.give_up(&error.with_outcome(Outcome::NotWritten)));
    }
}

/// A request in flight.
#[derive(Debug)]
struct Request {
    correlation: i32,
    /// Where its bytes begin among those of the connection.
    begins: u64,
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
        shared.settle(shared.batches.answered(self.results));
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
    /// When the server has last answered, if it has.
    heard: Option<Instant>,
}

/// A sender's work, which it shares with the callers' threads: while nothing is in flight these send by themselves, which
/// spares a record the way through another thread. When that has gone well for a while they also watch the connection, where
/// they wait for the record's fate anyway, and the reply is spared that way, too; until the sender has something to do.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) leader: i32,
    bell: Notify,
    work: Mutex<Work>,
    /// What went wrong last, for the errors of what could not be delivered in time.
    trouble: Trouble,
    /// Whether there is none because the server cannot be reached.
    unreachable: AtomicBool,
    /// Notified when it turns out that it can.
    found: Notify,
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
    /// Whether something went wrong since the server took records last.
    troubled: bool,
}

impl Desk {
    pub(super) fn new(leader: i32) -> Self {
        let work = Work {
            link: None,
            failure: None,
            pause_until: None,
            backoff: Backoff::default(),
            alarm: None,
            troubled: false,
        };
        Self {
            leader,
            bell: Notify::new(),
            work: Mutex::new(work),
            trouble: Trouble::default(),
            unreachable: AtomicBool::new(false),
            found: Notify::new(),
        }
    }

    /// The sender has something to do.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// What went wrong since the server took records last, if anything.
    pub(super) fn trouble(&self) -> Option<Error> {
        self.trouble.last()
    }

    /// Whether the server can be reached, as far as is known.
    pub(super) fn is_reachable(&self) -> bool {
        !self.unreachable.load(Ordering::Relaxed)
    }

    /// The server can be reached: what waits for it need not wait any longer.
    fn set_found(&self, shared: &Shared) {
        if !self.is_reachable() {
            self.lock().pause_until = None;
            self.set_reachable(shared, true);
            self.found.notify_waiters();
        }
    }

    /// Sets whether the server can be reached.
    fn set_reachable(&self, shared: &Shared, is_it: bool) {
        self.unreachable.store(!is_it, Ordering::Relaxed);
        shared.batches.rehome();
    }

    /// This went wrong.
    fn note(&self, work: &mut Work, error: Error) {
        work.troubled = true;
        self.trouble.note(error);
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
        let is_idle = work.link.as_ref().is_some_and(|link| link.in_flight.is_empty());
        if !is_idle || work.failure.is_some() || !shared.batches.uncompressed() {
            return false;
        }
        // Nothing is compressed here, so no batch fails.
        match work.fill(shared, self.leader, &mut Vec::new()) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                self.fail(work, error, true);
                return false;
            }
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
    pub(super) fn hand_over(&self, batches: &Batches, partition: u32) {
        let mut work = self.lock();
        let Some(link) = &mut work.link else { return };
        link.known.remove(&partition);
        let limit = Instant::now() + LAST_WORDS;
        let of_it = |request: &Request| request.batches.iter().any(|batch| batch.partition == partition);
        if link.in_flight.iter().any(of_it) {
            batches.put_back(link.take_back());
            link.in_flight.iter_mut().for_each(|request| request.deadline = request.deadline.min(limit));
        }
    }

    /// Puts back what has not begun to be sent.
    pub(super) fn take_back(&self, batches: &Batches) {
        if let Some(link) = &mut self.lock().link {
            batches.put_back(link.take_back());
        }
    }

    /// Gives up batches whose time ran out. Those of which no byte has left were not written.
    fn expire(&self, shared: &Shared) -> Vec<Settled> {
        let now = Instant::now();
        let is_overdue = |batch: &Batch| batch.deadline <= now && !batch.given_up;
        let has_overdue = |request: &Request| request.deadline <= now && request.batches.iter().any(is_overdue);
        let mut in_flight = Vec::new();
        if let Some(link) = &mut self.lock().link
            && link.in_flight.iter().any(has_overdue)
        {
            shared.batches.put_back(link.take_back());
            let batches = link.in_flight.iter_mut().flat_map(|request| &mut request.batches);
            for batch in batches.filter(|batch| is_overdue(batch)) {
                batch.given_up = true;
                in_flight.push((batch.ticket, batch.partition));
            }
        }
        shared.batches.expire(self, in_flight)
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
                    let refused = refused(&code);
                    shared.session.counters().note(refused.kind);
                    let text = format!("SPU {}: {}", self.leader, refused.message);
                    self.note(work, Error { message: text, ..refused.with_partition(batch.partition) });
                    shared.batches.set_refused(self.leader, batch.partition);
                    again.push(Batch { past: batch.past.max(Past::Refused), ..batch });
                }
                Answer::Refused(code) => {
                    let error = refused(&code).with_topic(&shared.topic).with_partition(batch.partition);
                    if retriable(&code) {
                        shared.batches.set_refused(self.leader, batch.partition);
                    }
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
            if std::mem::take(&mut work.troubled) {
                self.trouble.clear();
            }
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

impl CallersReader {
    /// Takes the reply that is here, and sends what came meanwhile.
    fn take(shared: &Arc<Shared>, desk: &Arc<Desk>) {
        let mut work = desk.lock();
        let Some(link) = work.link.as_mut().filter(|link| link.connection.is_unwatched()) else { return };
        let frame = match link.connection.try_frame() {
            Ok(None) => return,
            Ok(Some(frame)) => frame,
            Err(error) => return desk.fail(&mut work, error, false),
        };
        match desk.answer(shared, &mut work, &frame) {
            Ok(answered) => {
                let more = work.link.as_ref().is_some_and(|link| !link.in_flight.is_empty());
                drop(work);
                let doubtful = answered.doubtful;
                answered.tell(shared);
                if more {
                    // The next reply may have come with this one; then the descriptor does not tell of it any more.
                    desk.ring();
                } else if doubtful || shared.batches.has_work(Some(desk.leader)) {
                    // What came meanwhile can go from here, too.
                    desk.send_or_ring(shared, false);
                }
            }
            Err(error) => desk.fail(&mut work, error, true),
        }
    }
}

impl Reader for CallersReader {
    fn read(&self) {
        let (Some(shared), Some(desk)) = (self.shared.upgrade(), self.desk.upgrade()) else { return };
        let taken = guard::attempt(|| {
            Self::take(&shared, &desk);
            Ok(())
        });
        if let Err(panic) = taken {
            desk.fail(&mut desk.lock(), panic, true);
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

    /// Sends what is ready, as far as the window and the kernel go; whether the kernel took all. Batches that have failed
    /// before are in `failed`.
    fn fill(&mut self, shared: &Shared, leader: i32, failed: &mut Vec<Settled>) -> Result<bool> {
        if self.failure.is_some() {
            return Ok(false);
        }
        let Some(link) = &mut self.link else { return Ok(true) };
        let was_idle = link.in_flight.is_empty();
        if self.pause_until.is_none() {
            while link.first.is_none() && link.in_flight.len() < shared.options.max_in_flight {
                let mut batches = Vec::new();
                failed.extend(shared.batches.take(leader, &mut batches));
                if batches.is_empty() {
                    break;
                }
                link.send(shared, batches);
            }
        }
        // The kernel takes bytes also for a server that has closed the connection, and then nobody knows what became of them.
        if was_idle && !link.in_flight.is_empty() && link.heard.is_none_or(|heard| heard.elapsed() > FRESH) {
            link.connection.check()?;
        }
        match link.connection.try_flush() {
            // Replies may have arrived before: whoever waits for them reads them first, and then hears of it.
            Err(_) if !was_idle => Ok(false),
            flushed => flushed,
        }
    }

    /// Takes the oldest request, which `frame` answers, out of flight. After an error it still is in flight.
    fn answer(&mut self, frame: &Frame, leader: i32) -> Result<(Request, Vec<Answer>)> {
        let link = self.link.as_mut().ok_or_else(|| Error::internal("a reply came without a connection"))?;
        let first = link.in_flight.front().filter(|request| request.correlation == frame.correlation);
        let Some(request) = first else {
            return Err(Error::incompatible(format!("SPU {leader} answered another request than the next one")));
        };
        let answers = answers::read(frame.body.clone(), request.batches.len())?;
        let request = link.in_flight.pop_front().ok_or_else(|| Error::internal("a reply came without a request"))?;
        link.heard = Some(Instant::now());
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
        let desk = Arc::new(Desk::new(leader));
        shared.batches.add_desk(&desk);
        let sender = Self { shared: Arc::clone(shared), desk: Arc::clone(&desk), lost: false, called: false };
        super::spawn(Arc::clone(shared), sender.run());
        desk
    }

    /// A panic is the end of what the sender has or would have sent, but not of the sender.
    async fn run(mut self) {
        while let Err(panic) = guard::caught(self.work()).await {
            let link = {
                let mut work = self.desk.lock();
                work.failure = None;
                work.link.take()
            };
            if let Some(link) = link {
                self.lost = true;
                link.connection.abandon();
            }
            let shared = Arc::clone(&self.shared);
            shared.settle(shared.batches.give_up_on(self.desk.leader, &panic));
            self.pause();
        }
    }

    /// Works until the producer is abandoned.
    async fn work(&mut self) {
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
            shared.settle(self.desk.expire(&shared));
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
            let mut failed = Vec::new();
            let filled = {
                let mut work = self.desk.lock();
                let before = work.link.as_ref().map_or(0, |link| link.in_flight.len());
                let filled = work.fill(&shared, self.desk.leader, &mut failed);
                // A caller may have sent its next record while this task was telling it of the last one: that is alone still.
                if let Some(link) = work.link.as_mut().filter(|link| link.in_flight.len() > before) {
                    link.alone = 0;
                    self.called = true;
                }
                filled.map_err(|error| work.fail(error, true))
            };
            shared.settle(failed);
            if filled.is_ok() {
                self.wait(looked).await;
            }
        }
    }

    async fn connect(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut dial = pin!(shared.session.dial(self.desk.leader, false));
        let deadline = shared.batches.next_deadline(self.desk.leader);
        let mut patience = Some(Instant::now() + PATIENCE);
        let connected = loop {
            tokio::select! {
                connected = &mut dial => break connected,
                () = abandoned(&shared, &self.desk.bell) => return,
                () = sleep_until(deadline) => return,
                // It has come while this attempt waited for it.
                () = self.desk.found.notified() => return,
                () = sleep_until(patience) => {
                    patience = None;
                    let (leader, waited) = (self.desk.leader, PATIENCE.as_secs());
                    let place = shared.session.view().address(leader).map_or_else(String::new, |(_, it)| format!(" at {it}"));
                    let text = format!("SPU {leader}: no connection{place} within {waited} s");
                    self.desk.note(&mut self.desk.lock(), Error::timeout(Phase::Connect, text));
                    self.desk.set_reachable(&shared, false);
                }
            }
        };
        match connected {
            Ok(connection) => {
                if std::mem::take(&mut self.lost) {
                    shared.session.counters().reconnects.add(1);
                }
                let (in_flight, known) = Default::default();
                self.desk.lock().link = Some(Link { connection, in_flight, known, first: None, alone: 0, heard: None });
                shared.batches.set_connected(self.desk.leader);
                self.desk.set_reachable(&shared, true);
            }
            Err(error) => {
                shared.session.counters().note(error.kind);
                self.desk.note(&mut self.desk.lock(), error);
                self.desk.set_reachable(&shared, false);
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
            if work.failure.is_some() {
                // Nothing more may leave on it.
                return Poll::Ready(None);
            }
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
            // Before the bell, which may ring all the time.
            () = sleep_until(alarm) => {
                self.called = true;
                let mut work = desk.lock();
                // A connection that callers watch is taken back first: the reply may be there, and nobody has looked.
                let link = work.link.as_ref().filter(|link| !link.connection.is_watched_elsewhere());
                let first = link.and_then(|link| link.in_flight.front());
                if first.is_some_and(|first| first.deadline <= Instant::now()) {
                    let peer = link.map_or("", |link| link.connection.peer());
                    let text = format!("SPU {} at {peer} did not answer a produce request within {} s", desk.leader, self.shared.request_timeout().as_secs_f64());
                    work.fail(Error::new(ErrorKind::Connection, text), true);
                }
            }
            () = desk.bell.notified() => self.called = true,
        }
    }

    /// When to look up at the latest: at the next deadline. If there is none, the alarm that is set stays: what a caller
    /// sends by himself has a later deadline, so nobody must be told.
    fn set_alarm(&self, looked: Instant) -> Option<Instant> {
        let mut work = self.desk.lock();
        let linger = work.link.as_ref().and_then(|_| self.shared.batches.next_linger(looked));
        let request = work.link.as_ref().and_then(|link| link.next_deadline(looked));
        let next = self.shared.batches.next_deadline(self.desk.leader);
        let next = [next, linger, request, work.pause_until].into_iter().flatten().min();
        work.alarm = next.or(work.alarm.filter(|alarm| *alarm > Instant::now()));
        work.alarm
    }

    /// The connection is gone, or is given up with a reset. Requests of which the kernel has taken no byte go again; the others
    /// do too, or fail if they may go once only.
    fn lose(&mut self, Failure { error, reset }: Failure, link: Link) {
        let Link { connection, mut in_flight, heard, .. } = link;
        let unsent = in_flight.split_off(in_flight.partition_point(|request| connection.has_sent(request.begins)));
        let (any_sent, any_unsent) = (!in_flight.is_empty(), !unsent.is_empty());
        self.lost = true;
        self.shared.batches.forget_broken(self.desk.leader);
        // A server may close an idle connection: that is no failure.
        if any_sent {
            self.shared.session.counters().note(error.kind);
        }
        if reset {
            connection.abandon();
        }
        let sent = in_flight.into_iter().flat_map(|request| request.batches);
        let sent = sent.map(|batch| Batch { past: Past::MaybeWritten, ..batch });
        let unsent = unsent.into_iter().flat_map(|request| request.batches);
        match self.shared.options.delivery {
            Delivery::AtLeastOnce => self.shared.batches.put_back(sent.chain(unsent)),
            Delivery::AtMostOnce => {
                self.shared.batches.put_back(unsent);
                let text = format!("{error}; the batch was sent once, as at_most_once asks, and may be in the log");
                let error = Error { os_error: error.os_error, ..Error::new(ErrorKind::DeliveryUnknown, text) }
                    .with_topic(&self.shared.topic)
                    .with_outcome(Outcome::Unknown);
                let results = sent.map(|batch| (batch.ticket, Err(error.clone().with_partition(batch.partition))));
                self.shared.settle(self.shared.batches.settle(results));
            }
        }
        // One that ends connections before it answers anything is left alone for a while.
        if any_sent || (any_unsent && heard.is_none()) {
            self.desk.note(&mut self.desk.lock(), error);
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
        let begins = self.connection.queue(segments);
        let now = Instant::now();
        let deadline =
            batches.iter().map(|batch| batch.deadline).min().map_or(now + timeout, |first| first.min(now + timeout));
        for batch in &batches {
            if self.known.insert(batch.partition) {
                self.first = Some(correlation);
            }
        }
        let counted = InFlight::new(shared.session.counters());
        self.in_flight.push_back(Request { correlation, begins, batches, deadline, counted });
    }

    /// Takes back the requests that have not begun to be sent, which are the last ones; gives their batches, in order.
    fn take_back(&mut self) -> impl Iterator<Item = Batch> + use<> {
        let sent = self.in_flight.partition_point(|request| !self.connection.can_take_back(request.begins));
        let unsent = self.in_flight.split_off(sent);
        if let Some(first) = unsent.front() {
            self.connection.take_back(first.begins);
        }
        for request in &unsent {
            self.first = self.first.filter(|first| *first != request.correlation);
            for batch in &request.batches {
                self.known.remove(&batch.partition);
            }
        }
        unsent.into_iter().flat_map(|request| request.batches)
    }

    /// When the oldest request is given up, or a batch of another one, of those to which that happens after `looked`.
    fn next_deadline(&self, looked: Instant) -> Option<Instant> {
        let mut requests = self.in_flight.iter().map(|request| request.deadline);
        let first = requests.next();
        requests.filter(|deadline| *deadline > looked).chain(first).min()
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
