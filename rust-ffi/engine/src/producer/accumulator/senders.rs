//! Who sends, and who is woken when there is something to do.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::producer::sender::SpuSender;

/// Who must hear of a submission.
#[derive(Debug)]
pub(crate) enum Wake {
    /// Nobody: the records joined batches that the senders know of.
    Nobody,
    /// The sender to which all new batches go. If nothing is under way there, the caller can send them at once.
    One(Arc<SpuSender>),
    /// All senders, and the supervisor.
    All,
}

impl Wake {
    /// Adds the sender to the leader of one more partition; `None`: nobody is known to lead it.
    pub(super) fn and(self, leader: Option<&Arc<SpuSender>>) -> Self {
        match (self, leader) {
            (Self::Nobody, Some(leader)) => Self::One(Arc::clone(leader)),
            (Self::One(one), Some(leader)) if Arc::ptr_eq(&one, leader) => Self::One(one),
            _ => Self::All,
        }
    }
}

/// All senders of a producer, and its supervisor.
#[derive(Default)]
pub(super) struct Senders {
    all: Vec<Arc<SpuSender>>,
    /// Wakes the supervisor.
    supervisor: Arc<Notify>,
}

impl Senders {
    pub(super) fn add(&mut self, sender: &Arc<SpuSender>) {
        self.all.push(Arc::clone(sender));
    }

    pub(super) fn all(&self) -> Vec<Arc<SpuSender>> {
        self.all.clone()
    }

    pub(super) fn supervisor_wakeup(&self) -> Arc<Notify> {
        Arc::clone(&self.supervisor)
    }

    pub(super) fn wake_supervisor(&self) {
        self.supervisor.notify_one();
    }

    /// Wakes all senders and the supervisor.
    pub(super) fn wake_all(&self) {
        self.wake_supervisor();
        self.all.iter().for_each(|sender| sender.wake());
    }
}
