//! Completions and operations: none is lost, none is told twice, and who waits is woken.

use std::sync::atomic::AtomicUsize;

use fluvio_cffi_models::{Descriptor, Wakeup, every_order};
use loom::sync;
use loom::sync::Arc;
use loom::sync::atomic::Ordering::SeqCst;
use loom::thread;

#[path = "../../abi/src/queue/inbox.rs"]
mod inbox;

use inbox::Inbox;

/// What a model counts with; leaked, as the queue's is for ever.
fn counter() -> &'static AtomicUsize {
    Box::leak(Box::default())
}

struct Queue {
    inbox: Inbox<u32, u64>,
    descriptor: Descriptor,
    count: &'static AtomicUsize,
}

impl Queue {
    fn new() -> Arc<Self> {
        let count = counter();
        Arc::new(Self { inbox: Inbox::new(count), descriptor: Descriptor::default(), count })
    }

    fn drain(&self, most: usize, is_quiet: bool) -> Vec<u32> {
        let mut taken = Vec::new();
        self.inbox.drain(most, is_quiet, Some(&self.descriptor), |completion| taken.push(completion));
        taken
    }

    /// Drains what is left; then nothing is readable any more.
    fn rest(&self) -> Vec<u32> {
        let mut taken = Vec::new();
        loop {
            let some = self.drain(9, false);
            if some.is_empty() {
                assert!(!self.descriptor.is_readable(), "readable, and nothing is there");
                return taken;
            }
            taken.extend(some);
        }
    }
}

/// Who waits for the descriptor gets all, one at a time.
#[test]
fn no_wakeup_is_lost() {
    every_order(3, || {
        let queue = Queue::new();
        let posters: Vec<_> = (0..2)
            .map(|number| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || queue.inbox.post(number, None, &queue.descriptor).unwrap())
            })
            .collect();
        let mut taken = Vec::new();
        while taken.len() < 2 {
            queue.descriptor.wait();
            taken.extend(queue.drain(1, false));
        }
        posters.into_iter().for_each(|poster| poster.join().unwrap());
        assert!(queue.rest().is_empty());
        taken.sort_unstable();
        assert_eq!(taken, [0, 1]);
    });
}

/// Of two who drain at a time each gets something else, and what neither has taken keeps the descriptor readable.
#[test]
fn two_who_drain_share() {
    every_order(2, || {
        let queue = Queue::new();
        let other = Arc::clone(&queue);
        let poster = thread::spawn(move || {
            other.inbox.post(0, None, &other.descriptor).unwrap();
            other.inbox.post(1, None, &other.descriptor).unwrap();
        });
        let other = Arc::clone(&queue);
        let drainer = thread::spawn(move || other.drain(1, false));
        let mut taken = queue.drain(1, false);
        taken.extend(drainer.join().unwrap());
        poster.join().unwrap();
        assert!(taken.len() == 2 || queue.descriptor.is_readable(), "a wake-up was lost: {taken:?}");
        taken.extend(queue.rest());
        taken.sort_unstable();
        assert_eq!(taken, [0, 1]);
    });
}

/// A drain that itself reads what others would be woken for, as that of watched connections does.
#[test]
fn no_wakeup_is_lost_while_a_drain_is_quiet() {
    every_order(3, || {
        let queue = Queue::new();
        let other = Arc::clone(&queue);
        let poster = thread::spawn(move || other.inbox.post(0, None, &other.descriptor).unwrap());
        let mut taken = Vec::new();
        let is_quiet = queue.inbox.quieten();
        queue.inbox.post(1, None, &queue.descriptor).unwrap();
        taken.extend(queue.drain(1, is_quiet));
        while taken.len() < 2 {
            queue.descriptor.wait();
            let is_quiet = queue.inbox.quieten();
            taken.extend(queue.drain(1, is_quiet));
        }
        poster.join().unwrap();
        assert!(queue.rest().is_empty());
        taken.sort_unstable();
        assert_eq!(taken, [0, 1]);
    });
}

/// An operation completes once, whoever cancels it and gives the queue up meanwhile; an id that is over aborts nothing.
#[test]
fn an_operation_completes_once() {
    const ID: u64 = 7;
    every_order(3, || {
        let queue = Queue::new();
        let refused = Arc::new(sync::atomic::AtomicUsize::new(0));
        let (other, also_refused) = (Arc::clone(&queue), Arc::clone(&refused));
        let mut task = None;
        let begun = queue.inbox.begin(ID, || {
            // It may end before `begin` does.
            task = Some(thread::spawn(move || {
                if other.inbox.post(1, Some(ID), &other.descriptor).is_err() {
                    also_refused.fetch_add(1, SeqCst);
                }
                assert_eq!(other.inbox.abort(ID), None, "it is over");
                assert_eq!(other.count.load(SeqCst), 0);
            }));
            ID
        });
        assert!(begun);
        let other = Arc::clone(&queue);
        let canceller = thread::spawn(move || assert!(other.inbox.abort(ID).is_none_or(|abort| abort == ID)));
        let left = queue.inbox.close().len();
        assert!(!queue.inbox.begin(ID + 1, || panic!("nothing begins in a queue that was given up")));
        canceller.join().unwrap();
        task.unwrap().join().unwrap();
        assert_eq!(left + refused.load(SeqCst), 1);
        assert!(queue.rest().is_empty());
        assert!(!queue.inbox.end(Some(ID)));
    });
}
