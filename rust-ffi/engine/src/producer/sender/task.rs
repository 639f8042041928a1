//! The task of one sender: dials, sends, reads replies, and repairs what breaks.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::time::Instant;

use super::connection::ProduceConnection;
use super::work::Failure;
use super::{PATIENCE, SpuSender, sleep_until};
use crate::error::{Error, ErrorKind, Outcome, Phase, Result};
use crate::guard::{self, TaskKind, maybe_panic};
use crate::log::log;
use crate::producer::accumulator::{Batch, Past};
use crate::producer::{self, Delivery, Shared};
use crate::transport::{Connection, Frame};

pub(super) struct SenderTask {
    shared: Arc<Shared>,
    sender: Arc<SpuSender>,
    /// Whether a connection was lost since the last one was made.
    has_lost: bool,
    /// Whether the task was woken for more than a reply, or waits for more than replies: then it takes a connection
    /// back that callers watch.
    is_called: bool,
}

impl SenderTask {
    /// Starts the task of a new sender, which runs until the producer is abandoned.
    pub(super) fn start(shared: &Arc<Shared>, spu: i32) -> Arc<SpuSender> {
        let sender = Arc::new(SpuSender::new(spu));
        shared.accumulator.add_sender(&sender);
        let task = Self { shared: Arc::clone(shared), sender: Arc::clone(&sender), has_lost: false, is_called: false };
        producer::spawn(Arc::clone(shared), task.run());
        sender
    }

    /// Works, again after each panic. A panic ends what the sender has or would have sent.
    async fn run(mut self) {
        while let Err(panic) = guard::caught(self.work()).await {
            let connection = self.sender.lock().connection.take();
            if let Some(connection) = connection {
                self.has_lost = true;
                connection.io.abandon();
            }
            let (counters, spu) = (self.shared.session.counters(), self.sender.spu);
            log!(ERROR, PRODUCER, counters, "a sender begins anew", topic = &*self.shared.topic, spu, reason = %panic.reason());
            self.shared.settle(self.shared.accumulator.give_up_on(self.sender.spu, &panic));
            self.pause();
        }
    }

    /// Works until the producer is abandoned.
    async fn work(&mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            maybe_panic(TaskKind::Producer);
            if shared.accumulator.is_abandoned() {
                return self.end();
            }
            let failed = self.sender.lock().connection.take_failed();
            if let Some((connection, failure)) = failed {
                self.lose(connection, failure);
            }
            shared.settle(self.sender.expire(&shared));
            if shared.accumulator.has_broken(self.sender.spu) {
                // Before it is heard of here, the SPU may have started again: then it can store what waits.
                if self.sender.lock().connection.find_end() {
                    continue;
                }
                shared.settle(shared.accumulator.fail_broken(self.sender.spu));
            }
            let can_dial = {
                let mut work = self.sender.lock();
                work.pause_until = work.pause_until.filter(|until| *until > Instant::now());
                work.connection.is_idle() && work.pause_until.is_none()
            };
            if can_dial && shared.accumulator.has_work(Some(self.sender.spu)) {
                self.connect().await;
                continue;
            }
            let looked = Instant::now();
            if self.fill() {
                self.wait(looked).await;
            }
        }
    }

    /// Ends the connection, with a reset if something is in flight.
    fn end(&self) {
        let connection = self.sender.lock().connection.take();
        if let Some(connection) = connection.filter(|connection| !connection.in_flight.is_empty()) {
            connection.io.abandon();
        }
    }

    /// Sends what is ready; gives whether the connection is as good as before.
    fn fill(&mut self) -> bool {
        let mut failed = Vec::new();
        let filled = {
            let mut work = self.sender.lock();
            let before = work.connection.any().map_or(0, |connection| connection.in_flight.len());
            let filled = work.fill(&self.shared, self.sender.spu, &mut failed);
            // Otherwise a caller may have sent its next record while this task was settling the last one: that is
            // solo still.
            if let Some(connection) = work.connection.any().filter(|connection| connection.in_flight.len() > before) {
                connection.solo_run = 0;
                self.is_called = true;
            }
            filled.map_err(|error| work.connection.fail(error, true))
        };
        self.shared.settle(failed);
        filled.is_ok()
    }

    /// Dials, until the earliest deadline of what waits; a failure is followed by a pause.
    async fn connect(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut dial = pin!(shared.session.dial(self.sender.spu, false));
        let deadline = shared.accumulator.next_deadline(self.sender.spu);
        let mut patience = Some(Instant::now() + PATIENCE);
        let connected = loop {
            tokio::select! {
                connected = &mut dial => break connected,
                () = self.abandoned() => return,
                () = sleep_until(deadline) => return,
                // The SPU has become reachable while this attempt waited for it.
                () = self.sender.found.notified() => return,
                () = sleep_until(patience) => {
                    patience = None;
                    self.give_up_patience();
                }
            }
        };
        self.set_connected(connected);
    }

    /// Waits until the producer is abandoned, which wakes every sender.
    async fn abandoned(&self) {
        while !self.shared.accumulator.is_abandoned() {
            self.sender.handover.task.notified().await;
        }
    }

    /// The SPU does not accept a connection for a while: what can go elsewhere does, while the attempt goes on.
    fn give_up_patience(&self) {
        let (spu, waited) = (self.sender.spu, PATIENCE.as_secs());
        let address = self.shared.session.metadata().address(spu);
        let place = address.map_or_else(String::new, |(_, address)| format!(" at {address}"));
        let text = format!("SPU {spu}: no connection{place} within {waited} s");
        let (counters, topic) = (self.shared.session.counters(), &*self.shared.topic);
        log!(WARN, PRODUCER, counters, "records that can go elsewhere do", topic, spu, reason = &*text);
        self.sender.note_error(&mut self.sender.lock(), Error::timeout(Phase::Connect, text));
        self.sender.set_reachable(&self.shared, false);
    }

    fn set_connected(&mut self, connected: Result<Connection>) {
        let Self { shared, sender, .. } = self;
        match connected {
            Ok(connection) => {
                if std::mem::take(&mut self.has_lost) {
                    let counters = shared.session.counters();
                    let (topic, spu) = (&*shared.topic, sender.spu);
                    log!(INFO, PRODUCER, counters, "connected again", topic, spu, address = connection.peer());
                    counters.reconnects.add(1);
                }
                sender.lock().connection.set(ProduceConnection::new(connection));
                shared.accumulator.set_connected(sender.spu);
                sender.set_reachable(shared, true);
            }
            Err(error) => {
                shared.session.counters().note(error.kind);
                sender.note_error(&mut sender.lock(), error);
                sender.set_reachable(shared, false);
                self.pause();
            }
        }
    }

    /// Sends nothing for a while; meanwhile the supervisor asks whether the topic exists.
    fn pause(&self) {
        self.sender.lock().pause();
        self.shared.doubt.notify_one();
    }

    /// Waits for a reply, for work, or for a deadline, and handles it.
    async fn wait(&mut self, looked: Instant) {
        let alarm = self.set_alarm(looked);
        let is_called = std::mem::take(&mut self.is_called);
        tokio::select! {
            // A reply that has arrived counts, also when the task is late to look.
            biased;
            reply = next_reply(&self.sender, is_called) => {
                if let Some(frame) = reply {
                    self.handle(&frame);
                }
            }
            // Before the wake-up, which may come all the time.
            () = sleep_until(alarm) => {
                self.is_called = true;
                self.fail_if_silent();
            }
            () = self.sender.handover.task.notified() => self.is_called = true,
        }
    }

    /// Sets when to look up at the latest, at the next deadline. If there is none, the alarm that is set stays: what
    /// a caller sends by itself has a later deadline, so it need not wake the task.
    fn set_alarm(&self, looked: Instant) -> Option<Instant> {
        let mut work = self.sender.lock();
        let connection = work.connection.any();
        let linger = connection.as_ref().and_then(|_| self.shared.accumulator.next_linger(looked));
        let request = connection.and_then(|connection| connection.next_deadline(looked));
        let next = self.shared.accumulator.next_deadline(self.sender.spu);
        let next = [next, linger, request, work.pause_until].into_iter().flatten().min();
        work.alarm = next.or(work.alarm.filter(|alarm| *alarm > Instant::now()));
        work.alarm
    }

    /// Handles a reply.
    fn handle(&self, frame: &Frame) {
        let answered = {
            let mut work = self.sender.lock();
            self.sender.answer(&self.shared, &mut work, frame).map_err(|error| work.connection.fail(error, true))
        };
        if let Ok(answered) = answered {
            answered.deliver(&self.shared);
        }
    }

    /// Gives the connection up if the deadline of the oldest request has passed.
    fn fail_if_silent(&self) {
        let mut work = self.sender.lock();
        // The task first takes back a connection that callers watch: the reply may have arrived without being read.
        let connection = work.connection.any().filter(|connection| !connection.io.is_watched_elsewhere());
        let Some(connection) = connection else { return };
        if connection.in_flight.front().is_some_and(|first| first.deadline <= Instant::now()) {
            let (spu, peer) = (self.sender.spu, connection.io.peer());
            let seconds = self.shared.request_timeout().as_secs_f64();
            let text = format!("SPU {spu} at {peer} did not answer a produce request within {seconds} s");
            work.connection.fail(Error::new(ErrorKind::Connection, text), true);
        }
    }

    /// Takes a failed connection apart. Requests of which the kernel has taken no byte go again; the others do too,
    /// or fail if they may be sent only once.
    fn lose(&mut self, connection: ProduceConnection, Failure { error, reset }: Failure) {
        let ProduceConnection { io, mut in_flight, heard, .. } = connection;
        let unsent = in_flight.split_off(in_flight.partition_point(|request| io.has_sent(request.begins)));
        let (any_sent, any_unsent) = (!in_flight.is_empty(), !unsent.is_empty());
        self.has_lost = true;
        self.shared.accumulator.forget_broken(self.sender.spu);
        // A server may close an idle connection: that is no failure.
        if any_sent {
            self.shared.session.counters().note(error.kind);
        }
        self.tell_lost(&error, in_flight.len(), unsent.len());
        if reset {
            io.abandon();
        }
        let sent = in_flight.into_iter().flat_map(|request| request.batches);
        let sent = sent.map(|batch| Batch { past: Past::MaybeWritten, ..batch });
        let unsent = unsent.into_iter().flat_map(|request| request.batches);
        match self.shared.options.delivery {
            Delivery::AtLeastOnce => self.shared.accumulator.put_back(sent.chain(unsent)),
            Delivery::AtMostOnce => {
                self.shared.accumulator.put_back(unsent);
                self.fail_sent(&error, sent);
            }
        }
        // A server that ends connections before it answers anything is left alone for a while.
        if any_sent || (any_unsent && heard.is_none()) {
            self.sender.note_error(&mut self.sender.lock(), error);
            self.pause();
        }
    }

    /// Says what the end of a connection means for the requests on it, of which some were sent and some not.
    fn tell_lost(&self, error: &Error, sent: usize, unsent: usize) {
        let (counters, topic) = (self.shared.session.counters(), &*self.shared.topic);
        let (spu, reason) = (self.sender.spu, error.reason());
        if sent + unsent == 0 {
            log!(DEBUG, PRODUCER, counters, "an idle connection has ended", topic, spu, reason = &*reason);
        } else if self.shared.options.delivery == Delivery::AtLeastOnce {
            log!(
                WARN,
                PRODUCER,
                counters,
                "the connection is lost: its requests are sent again",
                topic,
                spu,
                sent,
                unsent,
                reason = &*reason
            );
        } else {
            log!(
                WARN,
                PRODUCER,
                counters,
                "the connection is lost: requests that were not sent are sent again",
                topic,
                spu,
                sent,
                unsent,
                reason = &*reason
            );
        }
    }

    /// Settles batches that were sent once and must not be sent again, after `error`.
    fn fail_sent(&self, error: &Error, batches: impl Iterator<Item = Batch>) {
        let text = format!("{error}; the batch was sent once, as at_most_once asks, and may be in the log");
        let error = Error { os_error: error.os_error, ..Error::new(ErrorKind::DeliveryUnknown, text) }
            .with_topic(&self.shared.topic)
            .with_outcome(Outcome::Unknown);
        let results = batches.map(|batch| (batch.ticket, Err(error.clone().with_partition(batch.partition))));
        self.shared.settle(self.shared.accumulator.settle(results));
    }
}

/// The next reply; `None` if the connection has failed, which is noted at once, before a caller sends on it.
/// `is_called`: takes the connection back if callers watch it.
async fn next_reply(sender: &SpuSender, mut is_called: bool) -> Option<Frame> {
    poll_fn(|cx| {
        let mut work = sender.lock();
        if work.connection.has_failed() {
            return Poll::Ready(None);
        }
        let Some(connection) = work.connection.connected() else { return Poll::Pending };
        // Callers have begun to watch the connection while this task was busy with a reply: they go on.
        if connection.io.is_watched_elsewhere() && !is_called {
            return Poll::Pending;
        }
        is_called = false;
        connection.io.poll_frame(cx).map(|frame| frame.map_err(|error| work.connection.fail(error, false)).ok())
    })
    .await
}
