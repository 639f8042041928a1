//! Connections that the embedding program's own threads watch, where they wait anyway.

use std::any::Any;

/// Reads a connection that the runtime does not watch.
pub trait Reader: Send + Sync + 'static {
    /// There may be something to read, perhaps the end. On the thread that watches.
    fn read(&self);

    /// Nobody watches any more.
    fn unwatched(&self);
}

/// Watches a connection until it is dropped.
pub type Watch = Box<dyn Any + Send + Sync>;
