//! The ring of a log's listener: none waits for it, none is woken for nothing twice, and what is dropped is counted.

use fluvio_cffi_models::{Descriptor, Wakeup, every_order};
use loom::sync;
use loom::sync::Arc;
use loom::thread;

#[path = "../../abi/src/logs/ring.rs"]
mod ring;

use ring::Ring;

struct Listener {
    ring: Ring<char>,
    descriptor: Descriptor,
}

impl Listener {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { ring: Ring::new(capacity), descriptor: Descriptor::default() })
    }

    /// As an event is told.
    fn tell(&self, entry: char) {
        if !self.ring.is_full() {
            self.ring.push(&entry, &self.descriptor);
        }
    }

    /// Takes one at a time, waiting for each, until the ring is closed: as a host does.
    fn listen(&self) -> Vec<u64> {
        let mut numbers = Vec::new();
        loop {
            self.descriptor.wait();
            let (taken, is_over) = self.ring.take(1, &self.descriptor);
            if taken.is_empty() && is_over {
                return numbers;
            }
            numbers.extend(taken.iter().map(|(number, _)| *number));
        }
    }
}

/// Threads that tell `entry`.
fn tellers<const N: usize>(listener: &Arc<Listener>, entries: [char; N]) -> [thread::JoinHandle<()>; N] {
    entries.map(|entry| {
        let listener = Arc::clone(listener);
        thread::spawn(move || listener.tell(entry))
    })
}

/// Who waits for the descriptor gets all for which there is a place.
#[test]
fn no_wakeup_is_lost() {
    every_order(3, || {
        let listener = Listener::new(2);
        let tellers = tellers(&listener, ['a', 'b']);
        let mut numbers = Vec::new();
        while numbers.len() < 2 {
            listener.descriptor.wait();
            numbers.extend(listener.ring.take(1, &listener.descriptor).0.iter().map(|(number, _)| *number));
        }
        tellers.into_iter().for_each(|teller| teller.join().unwrap());
        assert_eq!((numbers, listener.ring.dropped()), (vec![1, 2], 0));
        // A `set` that came late is for nothing, once.
        assert_eq!(listener.ring.take(1, &listener.descriptor), (vec![], false));
        assert!(!listener.descriptor.is_readable());
    });
}

/// Where there is no place each entry is dropped and counted, and has a number, also between `is_full` and `push`.
#[test]
fn what_is_dropped_is_counted() {
    every_order(3, || {
        let listener = Listener::new(1);
        let tellers = tellers(&listener, ['a', 'b']);
        let (first, _) = listener.ring.take(1, &listener.descriptor);
        tellers.into_iter().for_each(|teller| teller.join().unwrap());
        let (second, _) = listener.ring.take(1, &listener.descriptor);
        assert!(!listener.descriptor.is_readable(), "readable, and nothing is there");
        let taken: Vec<_> = [first, second].concat();
        assert!(taken.is_sorted() && taken.iter().all(|(number, _)| (1..=2).contains(number)));
        assert_eq!(taken.len() as u64 + listener.ring.dropped(), 2);
        listener.tell('c');
        assert_eq!(listener.ring.take(1, &listener.descriptor), (vec![(3, 'c')], false));
    });
}

/// Whoever waits is woken by the close, gets what was there before it, and is told as often as it asks that it is over.
#[test]
fn a_close_wakes_for_good() {
    every_order(3, || {
        let listener = Listener::new(2);
        let tellers = tellers(&listener, ['a']);
        let other = Arc::clone(&listener);
        let closer = thread::spawn(move || other.ring.close(&other.descriptor));
        let numbers = listener.listen();
        closer.join().unwrap();
        tellers.into_iter().for_each(|teller| teller.join().unwrap());
        assert!(numbers.is_empty() || numbers == [1], "{numbers:?}");
        assert_eq!(listener.ring.take(1, &listener.descriptor), (vec![], true));
        assert!(listener.descriptor.is_readable());
    });
}
