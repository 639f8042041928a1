//! The senders, one a leader: each ships the batches of the partitions that its SPU leads, over a connection of its own.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fluvio_cffi_wire::{ProduceEntry, produce_request};
use fluvio_protocol::link::ErrorCode;
use fluvio_spu_schema::produce::ProduceResponse;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::batches::Batch;
use super::{Delivery, Shared};
use crate::Isolation;
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::guard::{TaskKind, maybe_panic};
use crate::transport::{Connection, Frame};

/// The version of the produce request.
const PRODUCE_VERSION: i16 = 25;

/// Follows the cluster view for one producer: new partitions, which of them are online, and a sender for each leader.
pub(super) async fn supervise(shared: Arc<Shared>) {
    let mut changes = shared.client.view().changes();
    let bell = shared.batches.add_sender();
    let mut leaders = HashSet::new();
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
    loop {
        let (online, leading) = {
            let view = changes.borrow_and_update();
            let count = view.topic(&shared.topic).map_or(0, |topic| topic.partitions);
            let partitions = (0..count).map(|partition| view.partition(&shared.topic, partition));
            let online: Vec<bool> = partitions.clone().map(|state| state.is_some_and(|state| state.online)).collect();
            let leading: Vec<i32> = partitions.flatten().map(|state| state.leader).collect();
            (online, leading)
        };
        shared.batches.set_online(online);
        for leader in leading {
            if leaders.insert(leader) {
                super::spawn(Arc::clone(&shared), Sender::new(Arc::clone(&shared), leader).run());
            }
        }
        // Batches for a partition that nobody leads: the topic may be gone, which no sender would notice.
        let shared_view = shared.client.view();
        let orphaned = || {
            let led = |partition| shared_view.read(|view| view.partition(&shared.topic, partition)).is_some();
            shared.batches.has_work(|partition| !led(partition))
        };
        let mut pause = None;
        loop {
            if shared.batches.abandoned() {
                return;
            }
            if pause.is_none() && orphaned() {
                tokio::select! {
                    () = fail_if_gone(&shared) => {}
                    () = abandoned(&shared, &bell) => return,
                }
                pause = Some(Instant::now() + backoff.next());
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
    if let Err(error) = shared.client.view().require(&shared.topic).await
        && error.kind == ErrorKind::TopicNotFound
    {
        shared.settle(shared.batches.give_up(&error.with_outcome(Outcome::NotWritten)));
    }
}

/// A request in flight.
struct Request {
    correlation: i32,
    batches: Vec<Batch>,
    deadline: Instant,
}

/// A living connection and what is under way on it.
struct Link {
    connection: Connection,
    /// In order: the server answers one after another.
    in_flight: VecDeque<Request>,
    /// 1 until the first success, so that what is sent again stays in order whatever becomes of it.
    window: usize,
}

struct Sender {
    shared: Arc<Shared>,
    leader: i32,
    bell: Arc<Notify>,
    link: Option<Link>,
    backoff: Backoff,
    /// Nothing is sent before.
    pause_until: Option<Instant>,
    /// Asks the SC whether the topic still exists.
    lookup: Option<BoxFuture<'static, ()>>,
}

impl Sender {
    fn new(shared: Arc<Shared>, leader: i32) -> Self {
        let bell = shared.batches.add_sender();
        let backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        Self { shared, leader, bell, link: None, backoff, pause_until: None, lookup: None }
    }

    /// How long one request may take: half of the delivery time-out at most, so that there is time to try again.
    fn request_timeout(&self) -> Duration {
        self.shared.client.request_timeout().min(self.shared.options.delivery_timeout / 2)
    }

    async fn run(mut self) {
        loop {
            maybe_panic(TaskKind::Producer);
            let shared = Arc::clone(&self.shared);
            if shared.batches.abandoned() {
                if let Some(link) = self.link.take().filter(|link| !link.in_flight.is_empty()) {
                    link.connection.abandon();
                }
                return;
            }
            shared.settle(shared.batches.expire());
            if self.pause_until.is_some_and(|until| until <= Instant::now()) {
                self.pause_until = None;
            }
            if self.link.is_none()
                && self.pause_until.is_none()
                && shared.batches.has_work(|partition| self.leads(partition))
            {
                self.connect().await;
                continue;
            }
            if let Err(error) = self.fill() {
                self.lose(error, true);
                continue;
            }
            self.wait().await;
        }
    }

    fn leads(&self, partition: u32) -> bool {
        let leader = self.shared.client.view().read(|view| view.partition(&self.shared.topic, partition));
        leader.is_some_and(|state| state.leader == self.leader)
    }

    async fn connect(&mut self) {
        let shared = Arc::clone(&self.shared);
        let dial = shared.client.dial(self.leader, false);
        let deadline = shared.batches.next_deadline();
        let connected = tokio::select! {
            connected = dial => connected,
            () = abandoned(&shared, &self.bell) => return,
            () = sleep_until(deadline) => return,
        };
        match connected {
            Ok(connection) => self.link = Some(Link { connection, in_flight: VecDeque::new(), window: 1 }),
            Err(_) => self.pause(),
        }
    }

    /// Waits before the next attempt, and meanwhile asks whether the topic exists.
    fn pause(&mut self) {
        self.pause_until = Some(Instant::now() + self.backoff.next());
        if self.lookup.is_none() {
            let shared = Arc::clone(&self.shared);
            self.lookup = Some(async move { fail_if_gone(&shared).await }.boxed());
        }
    }

    /// Sends what is ready, as far as the window goes.
    fn fill(&mut self) -> Result<()> {
        let timeout = self.request_timeout();
        let Some(mut link) = self.link.take() else { return Ok(()) };
        if self.pause_until.is_none() {
            while link.in_flight.len() < link.window {
                let mut batches = Vec::new();
                self.shared.settle(self.shared.batches.take(|partition| self.leads(partition), &mut batches));
                if batches.is_empty() {
                    break;
                }
                link.send(&self.shared, batches, timeout);
            }
        }
        let flushed = link.connection.try_flush();
        self.link = Some(link);
        flushed
    }

    /// Waits for a reply, for work, or for a deadline, and handles it.
    async fn wait(&mut self) {
        let linger = self.link.as_ref().and_then(|_| self.shared.batches.next_linger());
        let request = self.link.as_ref().and_then(|link| link.in_flight.front()).map(|request| request.deadline);
        let next = [self.shared.batches.next_deadline(), linger, request, self.pause_until].into_iter().flatten().min();
        let reply = async {
            match &mut self.link {
                Some(link) => link.connection.next_frame().await,
                None => std::future::pending().await,
            }
        };
        let lookup = async {
            match &mut self.lookup {
                Some(lookup) => lookup.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            reply = reply => match reply {
                Ok(frame) => self.answer(&frame),
                Err(error) => self.lose(error, false),
            },
            () = lookup => self.lookup = None,
            () = self.bell.notified() => {}
            () = sleep_until(next) => {
                if request.is_some_and(|deadline| deadline <= Instant::now()) {
                    let text = format!("SPU {} did not answer a produce request in time", self.leader);
                    self.lose(Error::new(ErrorKind::Connection, text), true);
                }
            }
        }
    }

    /// The connection is gone, or is given up with a reset: what was in flight goes again, or fails if it may go once only.
    fn lose(&mut self, error: Error, reset: bool) {
        let Some(link) = self.link.take() else { return };
        let idle = link.in_flight.is_empty();
        if reset {
            link.connection.abandon();
        }
        let batches = link.in_flight.into_iter().flat_map(|request| request.batches);
        match self.shared.options.delivery {
            Delivery::AtLeastOnce => self.shared.batches.put_back(batches),
            Delivery::AtMostOnce => {
                let error = Error::new(
                    ErrorKind::DeliveryUnknown,
                    format!("{error}; the batch was sent once, as at_most_once asks, and may be in the log"),
                )
                .with_topic(&self.shared.topic)
                .with_outcome(Outcome::Unknown);
                let results = batches.map(|batch| (batch.ticket, Err(error.clone().with_partition(batch.partition))));
                self.shared.settle(self.shared.batches.settle(results));
            }
        }
        // A server may close an idle connection: that is no failure.
        if !idle {
            self.pause();
        }
    }

    /// Handles the reply to the oldest request.
    fn answer(&mut self, frame: &Frame) {
        let Some(link) = &mut self.link else { return };
        let expected = link.in_flight.pop_front();
        let Some(request) = expected.filter(|request| request.correlation == frame.correlation) else {
            let text = format!("SPU {} answered a request that was not the next one", self.leader);
            return self.lose(Error::new(ErrorKind::Version, text), true);
        };
        let answers: Vec<(ErrorCode, i64)> = match frame.decode::<ProduceResponse>(PRODUCE_VERSION) {
            Ok(response) => response
                .responses
                .into_iter()
                .flat_map(|topic| topic.partitions)
                .map(|partition| (partition.error_code, partition.base_offset))
                .collect(),
            Err(error) => {
                link.in_flight.push_front(request);
                return self.lose(error, true);
            }
        };
        if answers.len() != request.batches.len() {
            link.in_flight.push_front(request);
            let text = format!("SPU {} answered {} of the batches of a request", self.leader, answers.len());
            return self.lose(Error::new(ErrorKind::Version, text), true);
        }
        let mut results = Vec::with_capacity(answers.len());
        let mut again = Vec::new();
        for (batch, (code, base_offset)) in request.batches.into_iter().zip(answers) {
            match code {
                ErrorCode::None => results.push((batch.ticket, Ok(base_offset))),
                code if retriable(&code) && self.shared.options.delivery == Delivery::AtLeastOnce => again.push(batch),
                code => {
                    let error = refused(&code).with_topic(&self.shared.topic).with_partition(batch.partition);
                    results.push((batch.ticket, Err(error)));
                }
            }
        }
        if again.is_empty() {
            link.window = self.shared.options.max_in_flight;
            self.backoff.reset();
        } else {
            link.window = 1;
            self.shared.batches.put_back(again);
            self.pause();
        }
        self.shared.settle(self.shared.batches.settle(results));
    }
}

impl Link {
    fn send(&mut self, shared: &Shared, batches: Vec<Batch>, timeout: Duration) {
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
        self.in_flight.push_back(Request { correlation, batches, deadline });
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
