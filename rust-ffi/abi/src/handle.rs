//! Handles: numbers that look like pointers, in one table. A number is never used twice, so that a stale handle, one of
//! another kind or a forged one is an error in every build, not undefined behaviour.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use fluvio_cffi_engine::{Error, ErrorKind, Result};

use crate::client::ClientObject;
use crate::consumer::ConsumerObject;
use crate::events::EventsObject;
use crate::producer::ProducerObject;
use crate::queue::Queue;
use crate::watch::WatchObject;

/// What a handle stands for.
pub(crate) enum Object {
    Queue(Arc<Queue>),
    Client(Arc<ClientObject>),
    Producer(Arc<ProducerObject>),
    Consumer(Arc<ConsumerObject>),
    Watch(Arc<WatchObject>),
    Events(Arc<EventsObject>),
    /// Boxed: views into it stay valid wherever the table moves it.
    Error(Box<Error>),
    Buffer(Box<[u8]>),
}

static TABLE: LazyLock<RwLock<HashMap<usize, Object>>> = LazyLock::new(RwLock::default);
/// Multiples of 16, as real pointers would be. The first page is left out.
static NEXT: AtomicUsize = AtomicUsize::new(0x1000);

/// Puts `object` into the table; the handle is the caller's.
pub(crate) fn insert(object: Object) -> *mut c_void {
    let number = NEXT.fetch_add(16, Ordering::Relaxed);
    TABLE.write().unwrap_or_else(PoisonError::into_inner).insert(number, object);
    std::ptr::without_provenance_mut(number)
}

/// Takes the object of a handle out of the table, if it is `wanted`. `None`: no such handle (any more), or NULL.
pub(crate) fn remove<T>(handle: *mut T, wanted: impl FnOnce(&Object) -> bool) -> Option<Object> {
    let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
    table.get(&handle.addr()).is_some_and(wanted).then(|| table.remove(&handle.addr())).flatten()
}

/// Reads the object of a handle in place.
pub(crate) fn with<T, R>(handle: *const T, name: &str, read: impl FnOnce(&Object) -> Option<R>) -> Result<R> {
    crate::boundary::require(handle, name)?;
    let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
    match table.get(&handle.addr()) {
        Some(object) => read(object).ok_or_else(|| Error::invalid(format!("{name} is a handle of another kind"))),
        None => Err(Error::new(ErrorKind::Closed, format!("{name} was freed, or was never a handle"))),
    }
}

macro_rules! typed {
    ($function:ident, $variant:ident, $type:ty) => {
        /// The object of such a handle.
        pub(crate) fn $function<T>(handle: *const T) -> Result<Arc<$type>> {
            with(handle, stringify!($function), |object| match object {
                Object::$variant(object) => Some(Arc::clone(object)),
                _ => None,
            })
        }
    };
}

typed!(queue, Queue, Queue);
typed!(client, Client, ClientObject);
typed!(producer, Producer, ProducerObject);
typed!(consumer, Consumer, ConsumerObject);
typed!(watch, Watch, WatchObject);
typed!(events, Events, EventsObject);

/// How many handles of each kind exist: queues, clients, producers, consumers, errors, buffers, watches, events.
pub(crate) fn counts() -> [usize; 8] {
    let mut counts = [0; 8];
    for object in TABLE.read().unwrap_or_else(PoisonError::into_inner).values() {
        counts[match object {
            Object::Queue(_) => 0,
            Object::Client(_) => 1,
            Object::Producer(_) => 2,
            Object::Consumer(_) => 3,
            Object::Error(_) => 4,
            Object::Buffer(_) => 5,
            Object::Watch(_) => 6,
            Object::Events(_) => 7,
        }] += 1;
    }
    counts
}
