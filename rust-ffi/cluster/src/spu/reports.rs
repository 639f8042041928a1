//! What an SPU has still to tell the SC of its partitions, and what the SC has still to tell it: where both take time,
//! as between real servers.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fluvio_protocol::record::ReplicaKey;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::ReplicaConfig;

/// The partitions of an SPU that are new or were written to since its last report. A report says how they are when it
/// is made.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    waiting: Mutex<(Option<Instant>, HashSet<ReplicaKey>)>,
    changed: Notify,
}

impl Reports {
    fn waiting(&self) -> MutexGuard<'_, (Option<Instant>, HashSet<ReplicaKey>)> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next report is about this partition, too.
    pub(crate) fn note(&self, key: &ReplicaKey) {
        let mut waiting = self.waiting();
        if waiting.0.is_none() {
            waiting.0 = Some(Instant::now());
            self.changed.notify_one();
        }
        if !waiting.1.contains(key) {
            waiting.1.insert(key.clone());
        }
    }

    /// Waits until a report is due, which is so long after the first change that it is about.
    pub(crate) async fn due(&self, delay: impl Fn() -> Duration) {
        loop {
            let since = self.waiting().0;
            match since.map(|since| since + delay()) {
                None => self.changed.notified().await,
                Some(due) if due <= Instant::now() => return,
                Some(due) => tokio::select! {
                    () = sleep_until(due) => {}
                    () = self.changed.notified() => {}
                },
            }
        }
    }

    /// Another time may be due.
    pub(crate) fn reconsider(&self) {
        self.changed.notify_one();
    }

    /// What the report is about that is made now.
    pub(crate) fn take(&self) -> HashSet<ReplicaKey> {
        std::mem::take(&mut *self.waiting()).1
    }
}

/// What an SPU is to do with a partition.
#[derive(Debug)]
pub(crate) enum Order {
    Create(ReplicaKey, ReplicaConfig),
    Delete(ReplicaKey),
}

impl Order {
    pub(crate) fn key(&self) -> &ReplicaKey {
        match self {
            Self::Create(key, _) | Self::Delete(key) => key,
        }
    }
}

/// Orders of the SC that an SPU has not heard of yet.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    given: Mutex<VecDeque<(Instant, Order)>>,
    more: Notify,
}

impl Orders {
    fn given(&self) -> MutexGuard<'_, VecDeque<(Instant, Order)>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an order that is heard so much later, and never before an earlier one. Without a delay, and with no earlier
    /// one, it is given back, to be done at once.
    pub(crate) fn give(&self, delay: Duration, order: Order) -> Option<Order> {
        let mut given = self.given();
        if delay.is_zero() && given.is_empty() {
            return Some(order);
        }
        let due = given.back().map_or(Instant::now() + delay, |(last, _)| (Instant::now() + delay).max(*last));
        given.push_back((due, order));
        self.more.notify_one();
        None
    }

    /// Whether the SPU is still to hear of this partition.
    pub(crate) fn name(&self, key: &ReplicaKey) -> bool {
        self.given().iter().any(|(_, order)| order.key() == key)
    }

    /// Waits until an order is due.
    pub(crate) async fn due(&self) {
        loop {
            let first = self.given().front().map(|(due, _)| *due);
            match first {
                None => self.more.notified().await,
                Some(due) if due <= Instant::now() => return,
                Some(due) => sleep_until(due).await,
            }
        }
    }

    /// Has the first order done.
    pub(crate) fn carry_out(&self, work: impl FnOnce(&Order)) {
        // Held over the work: an order that is given meanwhile waits for it.
        let mut given = self.given();
        if let Some((_, order)) = given.pop_front() {
            work(&order);
        }
    }
}
