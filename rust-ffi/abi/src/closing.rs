//! What ends with its owner: clients with an owner, producers and consumers with their client.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

/// Something that takes a while.
pub(crate) type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Something that can be closed.
pub(crate) trait Closing: Send + Sync {
    /// Commits what was processed and is committed automatically, within `timeout`. What cannot be committed comes
    /// again.
    fn commit_marked(self: Arc<Self>, timeout: Option<Duration>) -> Work<()>;

    /// Closes it by `deadline`; how many records are dropped.
    fn close(self: Arc<Self>, deadline: Option<Instant>) -> Work<u64>;
}

/// Something whose records can be waited for.
pub(crate) trait Settling: Closing {
    /// Waits until `deadline` for the records that were accepted until now; how many are not settled.
    fn flush(self: Arc<Self>, deadline: Option<Instant>) -> Work<u64>;
}

/// What an owner has, for as long as it lives.
pub(crate) struct Owned<T: ?Sized>(Mutex<Vec<Weak<T>>>);

impl<T: ?Sized> Owned<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(crate) fn add(&self, object: &Arc<T>) {
        let mut objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        objects.retain(|object| object.strong_count() > 0);
        objects.push(Arc::downgrade(object));
    }

    pub(crate) fn alive(&self) -> Vec<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }
}

/// Commits what `objects` have to commit, all at a time.
pub(crate) async fn commit_all<T: Closing + ?Sized>(objects: Vec<Arc<T>>, timeout: Option<Duration>) {
    objects.into_iter().map(|object| object.commit_marked(timeout)).collect::<JoinSet<()>>().join_all().await;
}

/// Closes `objects`, all at a time; how many records are dropped.
pub(crate) async fn close_all<T: Closing + ?Sized>(objects: Vec<Arc<T>>, deadline: Option<Instant>) -> u64 {
    let mut closing: JoinSet<u64> = objects.into_iter().map(|object| object.close(deadline)).collect();
    let mut dropped = 0;
    while let Some(count) = closing.join_next().await {
        dropped += count.unwrap_or_default();
    }
    dropped
}
