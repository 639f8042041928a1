//! What is committed, in the cluster's own store: for tools, and for a group that sleeps longer than its log keeps. While
//! the group's state is in the log, the log decides.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::commits::Commits;
use crate::limit::Limit;

/// One attempt takes so long at most; what is newer is stored next.
const PATIENCE: Duration = Duration::from_secs(10);

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
        crate::guard::spawn(
            async move {
                let (waiting, bell) = &*shared;
                loop {
                    let (offsets, is_over) = {
                        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                        (std::mem::take(&mut waiting.offsets), waiting.is_over)
                    };
                    let offsets: Vec<(u32, i64)> = offsets.into_iter().collect();
                    if !offsets.is_empty() {
                        let limit = Limit::new(Some(PATIENCE));
                        // It is stored again with the next commit; the log has it in any case.
                        let _ = tokio::time::timeout(PATIENCE, store.commit(&offsets, &limit)).await;
                    } else if is_over {
                        return;
                    } else {
                        bell.notified().await;
                    }
                }
            },
            drop,
        );
        Self { waiting }
    }

    /// Stores an offset, soon.
    pub(super) fn store(&self, partition: u32, offset: i64) {
        self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner).offsets.insert(partition, offset);
        self.waiting.1.notify_one();
    }
}
