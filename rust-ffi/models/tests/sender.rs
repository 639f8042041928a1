//! The hand-over between callers and a sender: no record is left lying.

use std::collections::VecDeque;

use fluvio_cffi_models::every_order;
use loom::sync;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

#[path = "../../engine/src/producer/sender/handover.rs"]
mod handover;

use handover::{Handover, Wake};

/// A permit that is kept, as that of tokio's `Notify`.
#[derive(Default)]
struct Notify {
    permit: Mutex<bool>,
    changed: Condvar,
}

impl Notify {
    /// That it waits for ever is what loom calls a deadlock.
    fn notified(&self) {
        let mut permit = self.permit.lock().unwrap();
        while !std::mem::take(&mut *permit) {
            permit = self.changed.wait(permit).unwrap();
        }
    }
}

impl Wake for Notify {
    fn wake(&self) {
        *self.permit.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

/// A sender's work, as far as it matters here: a connection on which requests wait for their replies.
#[derive(Default)]
struct Work {
    in_flight: usize,
    sent: Vec<u32>,
}

/// A producer: what it has accepted, and its sender.
struct Producer {
    waiting: Mutex<VecDeque<u32>>,
    sender: Handover<Work, Notify>,
    settled: Mutex<Vec<u32>>,
    has_settled: Condvar,
    ended: Mutex<bool>,
}

impl Producer {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            sender: Handover::default(),
            settled: Mutex::default(),
            has_settled: Condvar::new(),
            ended: Mutex::default(),
        })
    }

    /// Sends what waits. The lock of the work comes before the accumulator's.
    fn fill(&self, work: &mut Work) {
        for record in self.waiting.lock().unwrap().drain(..) {
            work.in_flight += 1;
            work.sent.push(record);
        }
    }

    /// All that was sent is answered.
    fn answer(&self, work: &mut Work) {
        work.in_flight = 0;
        self.settled.lock().unwrap().append(&mut work.sent);
        self.has_settled.notify_all();
    }

    /// Sends what waits from here, unless something is in flight: as `SpuSender::send_or_wake`. Then the reply is read
    /// here, too, as `SpuSender::take_reply` does.
    fn send_or_wake(&self) {
        let mut is_sent = false;
        self.sender.here_or_wake(|work| {
            if work.in_flight > 0 {
                return false;
            }
            self.fill(work);
            is_sent = true;
            true
        });
        if is_sent {
            self.answer(&mut self.sender.lock());
            let has_work = !self.waiting.lock().unwrap().is_empty();
            if has_work {
                self.send_or_wake();
            }
        }
    }

    /// A caller sends a record, and waits for its fate.
    fn send(&self, record: u32) {
        self.waiting.lock().unwrap().push_back(record);
        self.send_or_wake();
        let mut settled = self.settled.lock().unwrap();
        while !settled.contains(&record) {
            settled = self.has_settled.wait(settled).unwrap();
        }
    }

    /// The sender's task: fills, then waits.
    fn run(&self) {
        while !*self.ended.lock().unwrap() {
            {
                let mut work = self.sender.lock();
                self.fill(&mut work);
                self.answer(&mut work);
            }
            self.sender.task.notified();
        }
    }
}

/// Each record is sent once, by its caller, by another one or by the task, and nobody waits for ever.
#[test]
fn no_record_is_left_lying() {
    every_order(2, || {
        let producer = Producer::new();
        let task = thread::spawn({
            let producer = Arc::clone(&producer);
            move || producer.run()
        });
        let caller = thread::spawn({
            let producer = Arc::clone(&producer);
            move || producer.send(1)
        });
        producer.send(2);
        caller.join().unwrap();
        *producer.ended.lock().unwrap() = true;
        producer.sender.task.wake();
        task.join().unwrap();
        let mut settled = producer.settled.lock().unwrap().clone();
        settled.sort_unstable();
        assert_eq!(settled, [1, 2]);
        assert!(producer.waiting.lock().unwrap().is_empty());
    });
}
