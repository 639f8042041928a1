//! The law of operations: what was accepted completes exactly once, whatever is cancelled, closed or freed meanwhile,
//! and whatever panics; and in the end nothing is left.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fluvio_cffi::*;
use support::*;

/// The tests count what is alive in the process, and make its tasks panic: one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        (!list.is_empty()).then(|| list[self.below(list.len())])
    }

    fn take<T>(&mut self, list: &mut Vec<T>) -> Option<T> {
        (!list.is_empty()).then(|| list.swap_remove(self.below(list.len())))
    }
}

/// What the result of an operation is: its token.
const NOTHING: u64 = 0;
const BUFFER: u64 = 1;
const CLIENT: u64 = 2;
const PRODUCER: u64 = 3;
const CONSUMER: u64 = 4;

/// A caller that does anything in any order, and keeps account.
struct Caller {
    random: Random,
    endpoint: String,
    queue: Queue,
    clients: Vec<*mut flv_client_t>,
    producers: Vec<*mut flv_producer_t>,
    consumers: Vec<*mut flv_consumer_t>,
    /// Operations that did not complete yet.
    pending: HashMap<u64, u64>,
    /// Every operation there was.
    started: Vec<u64>,
    tickets: HashSet<u64>,
    settled: HashSet<u64>,
    outcomes: HashMap<flv_status_t, usize>,
}

impl Caller {
    fn new(seed: u64, endpoint: String) -> Self {
        Self {
            random: Random(seed),
            endpoint,
            queue: Queue::new(),
            clients: Vec::new(),
            producers: Vec::new(),
            consumers: Vec::new(),
            pending: HashMap::new(),
            started: Vec::new(),
            tickets: HashSet::new(),
            settled: HashSet::new(),
            outcomes: HashMap::new(),
        }
    }

    fn start(
        &mut self,
        gives: u64,
        start: impl FnOnce(i64, *mut flv_queue_t, u64, *mut u64, *mut *mut flv_error_t) -> flv_status_t,
    ) {
        let timeout = [-1, 0, 1, 20, 5_000][self.random.below(5)];
        // Some complete on a queue that is given up at once: nobody hears of them.
        let lost = (self.random.below(12) == 0).then(Queue::new);
        let queue = lost.as_ref().map_or(self.queue.0, |queue| queue.0);
        let mut operation = 0;
        let mut error = std::ptr::null_mut();
        let status = start(timeout, queue, gives, &raw mut operation, &raw mut error);
        if status == OK {
            assert_ne!(operation, 0);
            assert!(error.is_null());
            if lost.is_none() {
                self.pending.insert(operation, gives);
            }
            self.started.push(operation);
        } else {
            let (info, _) = describe(error);
            assert_eq!((info.status, operation), (status, 0));
        }
    }

    fn step(&mut self) {
        let random = &mut self.random;
        let (client, producer, consumer) =
            (random.pick(&self.clients), random.pick(&self.producers), random.pick(&self.consumers));
        match random.below(24) {
            0 if self.clients.len() < 3 => {
                let dead = random.below(4) == 0;
                let endpoint = if dead { "127.0.0.1:1".to_owned() } else { self.endpoint.clone() };
                let options = client_options(&endpoint);
                self.start(CLIENT, |timeout, queue, token, operation, error| {
                    // An address where nobody listens is tried again and again: not without a limit.
                    let timeout = if dead { 20 } else { timeout };
                    flv_client_connect(&raw const options, timeout, queue, token, operation, error)
                });
            }
            1 | 2 => {
                let topic = ["events", "no-such-topic"][usize::from(random.below(6) == 0)];
                let mut options = producer_options();
                options.buffer_size = 20_000;
                options.max_request_size = 10_000;
                let Some(client) = client else { return };
                self.start(PRODUCER, |timeout, queue, token, operation, error| {
                    flv_producer_open(client, slice(topic), &raw const options, timeout, queue, token, operation, error)
                });
            }
            3 | 4 => {
                let topic = ["events", "no-such-topic"][usize::from(random.below(6) == 0)];
                let mut options = consumer_options();
                options.start_kind = flv_start_kind_e::FLV_START_BEGINNING as u32;
                options.format = random.below(2) as u32;
                options.consumer_id = slice("someone");
                options.auto_commit_ms = [0, 5][random.below(2)];
                let Some(client) = client else { return };
                self.start(CONSUMER, |timeout, queue, token, operation, error| {
                    flv_consumer_open(client, slice(topic), &raw const options, timeout, queue, token, operation, error)
                });
            }
            5..=8 => {
                let (count, size) = (1 + random.below(40), random.below(300));
                let Some(producer) = producer else { return };
                let (status, runs) = submit(producer, count, size);
                assert!(status == OK || status == CLOSED, "a submission says {status}");
                self.tickets.extend(runs.iter().map(|run| run.ticket));
            }
            9 => {
                let bytes = random.below(20_000) as u64;
                let Some(producer) = producer else { return };
                self.start(NOTHING, |timeout, queue, token, operation, error| {
                    flv_producer_wait_room(producer, bytes, timeout, queue, token, operation, error)
                });
            }
            10 => {
                let Some(producer) = producer else { return };
                self.start(NOTHING, |timeout, queue, token, operation, error| {
                    flv_producer_flush(producer, timeout, queue, token, operation, error)
                });
            }
            11 | 12 => {
                let Some(consumer) = consumer else { return };
                self.start(NOTHING, |timeout, queue, token, operation, error| {
                    flv_consumer_wait(consumer, timeout, queue, token, operation, error)
                });
            }
            13 => {
                let Some(consumer) = consumer else { return };
                // SAFETY: all bits zero are a valid value.
                let mut chunk: flv_chunk_t = unsafe { std::mem::zeroed() };
                chunk.struct_size = size_of::<flv_chunk_t>() as u32;
                flv_consumer_take(consumer, &raw mut chunk, std::ptr::null_mut());
            }
            14 => {
                let offset = random.below(50) as i64;
                let Some(consumer) = consumer else { return };
                let to = flv_start_t { partition: 0, kind: 1, value: offset };
                let processed = flv_offset_t { partition: 0, reserved: 0, offset };
                match offset % 3 {
                    0 => self.start(NOTHING, |timeout, queue, token, operation, error| {
                        flv_consumer_seek(consumer, to, timeout, queue, token, operation, error)
                    }),
                    1 => self.start(NOTHING, |timeout, queue, token, operation, error| {
                        let processed = &raw const processed;
                        flv_consumer_commit(consumer, processed, 1, timeout, queue, token, operation, error)
                    }),
                    _ => self.start(BUFFER, |timeout, queue, token, operation, error| {
                        flv_consumer_committed(consumer, timeout, queue, token, operation, error)
                    }),
                }
            }
            15 => {
                let (method, document) = [
                    ("topics.list", "{}"),
                    ("topics.get", r#"{"name": "events"}"#),
                    ("topics.get", r#"{"name": "no-such-topic"}"#),
                    ("topics.create", r#"{"name": "events", "exist_ok": true}"#),
                ][random.below(4)];
                let Some(client) = client else { return };
                let (method, document, none) = (slice(method), slice(document), slice(""));
                self.start(BUFFER, |timeout, queue, token, operation, error| {
                    flv_admin_call(client, method, document, none, timeout, queue, token, operation, error)
                });
            }
            16 | 17 => {
                // Any that ever was, mostly a recent one.
                let recent = self.started.len().min(10);
                let all = if random.below(4) == 0 { self.started.len() } else { recent };
                let Some(operation) = random.pick(&self.started[self.started.len() - all..]) else { return };
                assert_eq!(flv_operation_cancel(self.queue.0, operation), OK);
            }
            18 => {
                let flush = random.below(2) as u32;
                let Some(producer) = producer else { return };
                self.start(NOTHING, |timeout, queue, token, operation, error| {
                    flv_producer_close(producer, flush, timeout, queue, token, operation, error)
                });
            }
            19 => {
                let Some(consumer) = consumer else { return };
                if random.below(3) == 0 {
                    assert_eq!(flv_consumer_stop(consumer), OK);
                }
                self.start(NOTHING, |timeout, queue, token, operation, error| {
                    flv_consumer_close(consumer, timeout, queue, token, operation, error)
                });
            }
            20 if random.below(4) == 0 => {
                let Some(client) = client else { return };
                self.start(NOTHING, |timeout, queue, token, operation, error| {
                    flv_client_close(client, timeout, queue, token, operation, error)
                });
            }
            21 => match random.below(8) {
                0 => flv_client_free(random.take(&mut self.clients).unwrap_or_default()),
                1..=3 => flv_producer_free(random.take(&mut self.producers).unwrap_or_default()),
                _ => flv_consumer_free(random.take(&mut self.consumers).unwrap_or_default()),
            },
            _ => {
                let (capacity, wait) = (1 + random.below(20), random.below(4) as u64);
                self.look(capacity, Duration::from_millis(wait));
            }
        }
    }

    fn look(&mut self, capacity: usize, wait: Duration) {
        for completion in self.queue.drain(capacity, wait) {
            let flv_completion_t { token, operation, status, kind, result, .. } = completion;
            *self.outcomes.entry(status).or_default() += 1;
            if kind == TICKET {
                assert!(self.settled.insert(token), "ticket {token} is settled twice");
            } else {
                let gives = self.pending.remove(&operation);
                assert_eq!(gives, Some(token), "operation {operation} completes, but is not under way");
            }
            if status == CANCELLED && kind != TICKET {
                assert!(result.is_null());
            } else if status != OK {
                assert!(!result.is_null() || status == TIMEOUT);
                if !result.is_null() {
                    assert_eq!(describe(result.cast()).0.status, status);
                }
            } else {
                assert_eq!(result.is_null(), kind == TICKET || token == NOTHING);
                match if kind == TICKET { NOTHING } else { token } {
                    CLIENT => self.clients.push(result.cast()),
                    PRODUCER if self.producers.len() < 6 => self.producers.push(result.cast()),
                    CONSUMER if self.consumers.len() < 6 => self.consumers.push(result.cast()),
                    NOTHING => {}
                    _ => flv_completion_dispose(&raw const completion),
                }
            }
        }
    }

    /// Frees everything in any order, and waits for what is under way.
    fn end(mut self) -> HashMap<flv_status_t, usize> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.clients.is_empty() || !self.producers.is_empty() || !self.consumers.is_empty() {
            match self.random.below(3) {
                0 => flv_client_free(self.random.take(&mut self.clients).unwrap_or_default()),
                1 => flv_producer_free(self.random.take(&mut self.producers).unwrap_or_default()),
                _ => flv_consumer_free(self.random.take(&mut self.consumers).unwrap_or_default()),
            }
        }
        loop {
            self.look(50, Duration::from_millis(50));
            // What completed only now.
            self.clients.drain(..).for_each(|client| flv_client_free(client));
            self.producers.drain(..).for_each(|producer| flv_producer_free(producer));
            self.consumers.drain(..).for_each(|consumer| flv_consumer_free(consumer));
            if self.pending.is_empty() && self.tickets.is_subset(&self.settled) {
                break;
            }
            let open = self.tickets.difference(&self.settled).count();
            assert!(Instant::now() < deadline, "never completed: {:?}, and {open} tickets", self.pending);
        }
        // A second completion of anything would have to show now.
        self.look(1000, Duration::from_millis(100));
        std::mem::take(&mut self.outcomes)
    }
}

#[test]
fn anything_in_any_order() {
    let _alone = alone();
    let cluster = Running::start();
    let queue = Queue::new();
    let client = queue.connect(&cluster.endpoint());
    queue.create_topic(client, "events", 1);
    flv_client_free(client);
    drop(queue);

    let mut outcomes = HashMap::<flv_status_t, usize>::new();
    // For a long run: SEEDS=1000 cargo test -p fluvio-cffi-abi --test exactly_once
    let seeds = std::env::var("SEEDS").map_or(12, |seeds| seeds.parse().unwrap());
    for seed in 1..=seeds {
        let mut caller = Caller::new(seed, cluster.endpoint());
        for _ in 0..400 {
            caller.step();
        }
        for (status, count) in caller.end() {
            *outcomes.entry(status).or_default() += count;
        }
        assert_nothing_left();
    }
    // That the test does try something.
    for status in [OK, CANCELLED, TIMEOUT, CLOSED] {
        assert!(outcomes.get(&status).is_some_and(|count| *count > 10), "{outcomes:?}");
    }
}

#[test]
fn a_panic_in_an_operation() {
    let _alone = alone();
    let cluster = Running::start();
    let queue = Queue::new();
    let client = queue.connect(&cluster.endpoint());
    assert_eq!(flv_debug_panic(flv_task_e::FLV_TASK_OPERATION as u32, std::ptr::null_mut()), OK);
    let list = |timeout, queue, token, operation, error| {
        let (method, document, none) = (slice("topics.list"), slice("{}"), slice(""));
        flv_admin_call(client, method, document, none, timeout, queue, token, operation, error)
    };
    let (operation, completion) = queue.complete(list);
    assert_eq!((completion.operation, completion.status), (operation, INTERNAL));
    let (info, message) = describe(completion.result.cast());
    assert_eq!(info.status, INTERNAL);
    assert!(message.contains("guard.rs:"), "it says where: {message}");
    // The next one is not concerned.
    flv_buffer_free(queue.run(list));
    flv_client_free(client);
    drop(queue);
    assert_nothing_left();
}

/// It ends what is under way, and the producer goes on.
#[test]
fn a_panic_in_a_producer() {
    let _alone = alone();
    let cluster = Running::start();
    let queue = Queue::new();
    let client = queue.connect(&cluster.endpoint());
    queue.create_topic(client, "panics", 1);
    let producer = queue.producer(client, "panics", &producer_options());
    assert_eq!(flv_debug_panic(flv_task_e::FLV_TASK_PRODUCER as u32, std::ptr::null_mut()), OK);
    let (mut tickets, mut settled) = (HashSet::new(), HashMap::new());
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (status, runs) = submit(producer, 3, 1000);
        assert_eq!(status, OK);
        tickets.extend(runs.iter().map(|run| run.ticket));
        for completion in queue.drain(100, Duration::from_millis(5)) {
            assert_eq!(completion.kind, TICKET);
            assert!(settled.insert(completion.token, completion.status).is_none());
            if completion.status != OK {
                assert_eq!(describe(completion.result.cast()).0.status, completion.status);
            }
        }
        let last = runs.last().and_then(|run| settled.get(&run.ticket));
        let hit = settled.values().any(|status| *status == INTERNAL);
        if hit && last == Some(&OK) && tickets.iter().all(|ticket| settled.contains_key(ticket)) {
            break;
        }
        assert!(Instant::now() < deadline, "the producer is dead, or a ticket is never settled");
    }
    assert!(settled.values().all(|status| [OK, INTERNAL].contains(status)));
    flv_producer_free(producer);
    flv_client_free(client);
    drop(queue);
    assert_nothing_left();
}

#[test]
fn closing_a_client_closes_what_was_opened_with_it() {
    let _alone = alone();
    let cluster = Running::start();
    let queue = Queue::new();
    let client = queue.connect(&cluster.endpoint());
    queue.create_topic(client, "closing", 1);
    let options = flv_producer_options_t { linger_us: 60_000_000, ..producer_options() };
    let producer = queue.producer(client, "closing", &options);
    let mut reading = consumer_options();
    reading.start_kind = flv_start_kind_e::FLV_START_END as u32;
    let consumer: *mut flv_consumer_t = queue.run(|timeout, queue, token, operation, error| {
        flv_consumer_open(client, slice("closing"), &raw const reading, timeout, queue, token, operation, error)
    });
    let (mut wait, mut close) = (0, 0);
    assert_eq!(flv_consumer_wait(consumer, -1, queue.0, 1, &raw mut wait, std::ptr::null_mut()), OK);
    assert_eq!(submit(producer, 5, 10).0, OK);
    assert_eq!(flv_client_close(client, 10_000, queue.0, 2, &raw mut close, std::ptr::null_mut()), OK);
    // The record that lingers is written, the wait ends, nothing is dropped.
    let mut ended = [queue.next(), queue.next()];
    ended.sort_by_key(|completion| completion.token);
    assert_eq!((ended[0].operation, ended[0].status), (wait, OK));
    assert_eq!((ended[1].operation, ended[1].status, ended[1].value), (close, OK, 0));
    assert_eq!(submit(producer, 1, 10).0, CLOSED);
    flv_consumer_free(consumer);
    flv_producer_free(producer);
    flv_client_free(client);
    drop(queue);
    assert_nothing_left();
}

#[test]
fn a_freed_consumer_ends_its_waits() {
    let _alone = alone();
    let cluster = Running::start();
    let queue = Queue::new();
    let client = queue.connect(&cluster.endpoint());
    queue.create_topic(client, "quiet", 1);
    let options = consumer_options();
    let consumer: *mut flv_consumer_t = queue.run(|timeout, queue, token, operation, error| {
        flv_consumer_open(client, slice("quiet"), &raw const options, timeout, queue, token, operation, error)
    });
    let mut wait = 0;
    assert_eq!(flv_consumer_wait(consumer, -1, queue.0, 1, &raw mut wait, std::ptr::null_mut()), OK);
    assert!(queue.drain(1, Duration::from_millis(50)).is_empty());
    flv_consumer_free(consumer);
    assert_eq!(queue.next().operation, wait);
    flv_client_free(client);
    drop(queue);
    assert_nothing_left();
}

#[test]
fn replies_that_come_together_are_all_read() {
    let _alone = alone();
    let cluster = Running::start();
    let queue = Queue::new();
    let client = queue.connect(&cluster.endpoint());
    queue.create_topic(client, "together", 2);
    // A request takes one record.
    let options = flv_producer_options_t { batch_size: 1024, max_request_size: 1024, ..producer_options() };
    let producer = queue.producer(client, "together", &options);
    let settle = |partitions: &[i32]| {
        let (status, runs) = submit_awaited(producer, partitions, 600);
        assert_eq!((status, runs.len()), (OK, partitions.len()));
        if partitions.len() > 1 {
            // Long enough for all replies to be there before the first one is read.
            std::thread::sleep(Duration::from_millis(50));
        }
        let begun = Instant::now();
        let mut left: HashSet<u64> = runs.iter().map(|run| run.ticket).collect();
        while !left.is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(20), "a reply was not read");
            // One drain for one wake-up: one that comes by chance would look for the reply.
            for completion in queue.drain(10, Duration::from_secs(5)) {
                assert_eq!((completion.kind, completion.status), (TICKET, OK));
                assert!(left.remove(&completion.token));
            }
        }
        begun.elapsed()
    };
    let late = (0..5).filter(|_| {
        settle(&[1]);
        // From now on the queue's drain reads the replies.
        for _ in 0..20 {
            settle(&[0]);
        }
        settle(&[0, 1]) > Duration::from_millis(300)
    });
    // News of the cluster, of which there are some each second, have the sender look as well.
    assert!(late.count() < 3, "replies are read by chance only");
    flv_producer_free(producer);
    flv_client_free(client);
    drop(queue);
    assert_nothing_left();
}
