//! Searches all orders in which threads can do what they do. What is searched is the library's own source: each test
//! includes a file of it, which takes its locks from the module that includes it.

use loom::sync::{Condvar, Mutex};

#[path = "../../abi/src/queue/wakeup.rs"]
mod wakeup;

pub use wakeup::Wakeup;

/// Runs `model` in every order in which its threads are not interrupted more than `preemptions` times where they could
/// go on: few suffice for nearly every mistake. `FLUVIO_CFFI_LONG` allows one more.
pub fn every_order(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let is_long = std::env::var_os("FLUVIO_CFFI_LONG").is_some_and(|it| it != "0");
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions + usize::from(is_long));
    builder.check(model);
}

/// A descriptor, and an event loop that waits for it.
#[derive(Default)]
pub struct Descriptor {
    readable: Mutex<bool>,
    changed: Condvar,
}

impl Descriptor {
    pub fn is_readable(&self) -> bool {
        *self.readable.lock().unwrap()
    }

    /// As an event loop does. That it waits for ever is what loom calls a deadlock.
    pub fn wait(&self) {
        let mut readable = self.readable.lock().unwrap();
        while !*readable {
            readable = self.changed.wait(readable).unwrap();
        }
    }
}

impl Wakeup for Descriptor {
    fn set(&self) {
        *self.readable.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn clear(&self) {
        *self.readable.lock().unwrap() = false;
    }
}
