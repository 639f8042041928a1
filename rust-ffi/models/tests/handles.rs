//! The table of handles: an object ends once, and not while it is used.

use fluvio_cffi_models::every_order;
use loom::sync;
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::SeqCst;
use loom::thread;

#[path = "../../abi/src/handle/table.rs"]
mod table;

use table::Table;

/// Counts its ends.
struct Object {
    ends: Arc<AtomicUsize>,
}

impl Drop for Object {
    fn drop(&mut self) {
        self.ends.fetch_add(1, SeqCst);
    }
}

/// One of those who free a handle gets its object, others who use it meanwhile have it whole or not at all, and it ends
/// once, when the last of them is done.
#[test]
fn an_object_ends_once_and_not_while_it_is_used() {
    every_order(3, || {
        let ends = Arc::new(AtomicUsize::new(0));
        let table = Arc::new(Table::<Arc<Object>>::new());
        let number = table.insert(Arc::new(Object { ends: Arc::clone(&ends) }));
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let table = Arc::clone(&table);
                thread::spawn(move || usize::from(table.take(number, |_| true).is_some()))
            })
            .collect();
        let used = table.find(number, Arc::clone);
        assert!(used.is_none() || ends.load(SeqCst) == 0);
        let taken: usize = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
        assert_eq!(taken, 1);
        assert!(table.find(number, |_| ()).is_none());
        drop(used);
        assert_eq!((ends.load(SeqCst), table.count(|_| true)), (1, 0));
    });
}

/// Whoever makes handles at the same time gets different ones, and none is given a second time.
#[test]
fn a_number_is_given_once() {
    every_order(3, || {
        let table = Arc::new(Table::new());
        let other = Arc::clone(&table);
        let thread = thread::spawn(move || {
            let number = other.insert(1);
            (number, other.take(number, |_| true))
        });
        let own = table.insert(2);
        let (theirs, taken) = thread.join().unwrap();
        let third = table.insert(3);
        assert_eq!(taken, Some(1));
        assert!(own != theirs && third != own && third != theirs);
        assert!(table.take(own, |it| *it == 3).is_none() && table.find(own, |it| *it) == Some(2));
    });
}
