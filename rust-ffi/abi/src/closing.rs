//! What ends with its owner: clients with the library, producers and consumers with their client.

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

/// What an owner has, for as long as it lives.
#[derive(Default)]
pub(crate) struct Owned(Mutex<Vec<Weak<dyn Closing>>>);

impl Owned {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(crate) fn add<T: Closing + 'static>(&self, object: &Arc<T>) {
        let object: Weak<T> = Arc::downgrade(object);
        let mut objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        objects.retain(|object| object.strong_count() > 0);
        objects.push(object);
    }

    pub(crate) fn alive(&self) -> Vec<Arc<dyn Closing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }
}

/// Commits what `objects` have to commit, all at a time.
pub(crate) async fn commit_all(objects: Vec<Arc<dyn Closing>>, timeout: Option<Duration>) {
    objects.into_iter().map(|object| object.commit_marked(timeout)).collect::<JoinSet<()>>().join_all().await;
}

/// Closes `objects`, all at a time; how many records are dropped.
pub(crate) async fn close_all(objects: Vec<Arc<dyn Closing>>, deadline: Option<Instant>) -> u64 {
    let mut closing: JoinSet<u64> = objects.into_iter().map(|object| object.close(deadline)).collect();
    let mut dropped = 0;
    while let Some(count) = closing.join_next().await {
        dropped += count.unwrap_or_default();
    }
    dropped
}
