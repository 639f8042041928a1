//! What is committed, in the cluster's own store: for tools, and for a group that sleeps longer than its log keeps.
//! While the group's state is in the log, the log decides.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::commits::Commits;
use crate::guard;
use crate::limit::Limit;

/// One attempt takes so long at most; what is newer is stored next.
const PATIENCE: Duration = Duration::from_secs(10);
/// After one that failed.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Waiting {
    offsets: BTreeMap<u32, i64>,
    is_over: bool,
}

/// Stores offsets in the background, the newest of each partition.
pub(super) struct Mirror {
    waiting: Arc<(Mutex<Waiting>, Notify)>,
}

impl Drop for Mirror {
    /// What waits is still stored.
    fn drop(&mut self) {
        self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
        self.waiting.1.notify_one();
    }
}

impl Mirror {
    pub(super) fn new(store: Arc<Commits>) -> Self {
        let waiting: Arc<(Mutex<Waiting>, Notify)> = Arc::default();
        let shared = Arc::clone(&waiting);
        guard::spawn(async move { follow(&store, &shared.0, &shared.1).await }, drop);
        Self { waiting }
    }

    /// Stores an offset, soon.
    pub(super) fn store(&self, partition: u32, offset: i64) {
        self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner).offsets.insert(partition, offset);
        self.waiting.1.notify_one();
    }
}

async fn follow(store: &Commits, waiting: &Mutex<Waiting>, bell: &Notify) {
    let lock = || waiting.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let (offsets, is_over) = {
            let mut waiting = lock();
            (std::mem::take(&mut waiting.offsets), waiting.is_over)
        };
        if offsets.is_empty() {
            if is_over {
                return;
            }
            bell.notified().await;
            continue;
        }
        let wanted: Vec<(u32, i64)> = offsets.iter().map(|(partition, offset)| (*partition, *offset)).collect();
        let limit = Limit::new(Some(PATIENCE));
        let stored = tokio::time::timeout(PATIENCE, store.commit(&wanted, &limit)).await;
        if !matches!(stored, Ok(Ok(()))) && !is_over {
            for (partition, offset) in offsets {
                lock().offsets.entry(partition).or_insert(offset);
            }
            // Its log has them in any case.
            tokio::time::sleep(PAUSE).await;
        }
    }
}
