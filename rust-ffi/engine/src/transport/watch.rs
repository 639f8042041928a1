//! Connections that the embedding program's own threads watch, where they wait anyway.

use std::any::Any;
use std::os::fd::RawFd;
use std::sync::Arc;

/// Reads a connection that the runtime does not watch.
pub trait Reader: Send + Sync + 'static {
    /// There may be something to read, perhaps the end. On the thread that watches.
    fn read(&self);

    /// Nobody watches any more.
    fn unwatched(&self);
}

/// Watches a connection until it is dropped.
pub type Watch = Box<dyn Any + Send + Sync>;

/// Where an embedding program waits.
pub trait Lookout: Send + Sync + 'static {
    /// Watches `descriptor` for `reader` until the result is dropped. `None`: not possible.
    fn watch(&self, descriptor: RawFd, reader: Arc<dyn Reader>) -> Option<Watch>;
}
