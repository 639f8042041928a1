//! Waiting longer after each failure, with jitter so that many clients do not come back in step.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(20);
const MOST: Duration = Duration::from_secs(1);

/// Doubles, from 20 ms to 1 s unless it is told otherwise; each wait is between half of that and all of it.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::between(FIRST, MOST)
    }
}

impl Backoff {
    /// One for what usually passes sooner.
    pub(crate) fn between(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// How long to wait now.
    pub(crate) fn next(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.most);
        let half = full / 2;
        // A fresh hasher is seeded at random: enough to spread clients, not for secrets.
        let random = RandomState::new().build_hasher().finish();
        half + half.mul_f64((random % 1024) as f64 / 1024.0)
    }

    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.next()).await;
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}
