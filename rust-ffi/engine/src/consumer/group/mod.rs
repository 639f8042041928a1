//! The member of a consumer group: it shares the partitions of its topic with the other members.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the consumer's way to its member |
//! | `calls.rs` | what the caller asks for |
//! | `host.rs` | the task that owns the member: it hears the log, the caller and the clock |
//! | `outputs.rs` | what the member wants done |
//! | `processed.rs` | what the reader has marked as processed, and what others do with that |
//! | `starts.rs` | where a partition begins that never had a commit |
//! | `mirror.rs` | what is committed, in the cluster's own store |
//! | `gate.rs` | what stands between a member and its reader |
//! | `slots.rs` | where they meet without a call |
//!
//! The member itself, `Participant` of the crate `fluvio-cffi-group`, does no I/O and knows no clock. It lives in a
//! task of its own, not on the caller's loop, so that a caller who is busy stays a member.

mod calls;
mod gate;
mod host;
mod mirror;
mod outputs;
mod processed;
mod slots;
mod starts;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fluvio_cffi_group::Entry;
use tokio::sync::{mpsc, oneshot};

pub use calls::{EpochOffset, GroupMember, GroupSlots, MemberState};
pub(super) use gate::{Gate, Keeping, Revocation};
pub use gate::{GroupChange, GroupChangeKind};
pub(super) use slots::Slots;
pub use slots::Unchanged;

use super::{ConsumerShared, Take};
use crate::error::{Error, Result};
use crate::group_log::MakeLog;
use crate::limit::Limit;

/// Whoever is dropped without having been closed leaves within this time.
const LAST: Duration = Duration::from_secs(1);

/// What is asked of the host.
enum Call {
    /// Something was handed out: the reader is at work.
    Took,
    /// The reader came back: what was handed out is done.
    Returned,
    /// The reader has given a partition up.
    Released {
        partition: u32,
        epoch: i64,
    },
    /// Where partitions begin.
    Resolved(Vec<Entry>),
    Commit {
        processed: Vec<EpochOffset>,
        answer: host::Answer,
    },
    /// Stores what is marked as processed.
    CommitMarked {
        answer: host::Answer,
    },
    /// What is stored.
    Committed {
        answer: oneshot::Sender<BTreeMap<u32, i64>>,
    },
    /// It leaves, or, for the sake of its instance, falls silent.
    Leave {
        stays: bool,
        patience: Duration,
        answer: Option<oneshot::Sender<()>>,
    },
}

/// What the consumer and its member share beside the subscription.
pub(super) struct Shared {
    slots: Arc<Slots>,
    member: Mutex<GroupMember>,
    /// Whether the reader is at work.
    is_busy: AtomicBool,
    /// Whether the member has left until the reader comes back.
    is_away: AtomicBool,
    /// Why it is no member any more, for good.
    fatal: Mutex<Option<Error>>,
}

impl Shared {
    fn member(&self) -> MutexGuard<'_, GroupMember> {
        self.member.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fatal(&self) -> MutexGuard<'_, Option<Error>> {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A consumer's way to its member. Dropping it has the member leave, in the background.
pub(super) struct Membership {
    shared: Arc<Shared>,
    calls: mpsc::UnboundedSender<Call>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.ask(Call::Leave { stays: true, patience: LAST, answer: None });
    }
}

impl Membership {
    /// Starts the member of a consumer; it has joined when this returns. Given up, it leaves.
    pub(super) async fn start(consumer: &Arc<ConsumerShared>, make: MakeLog, limit: &Limit) -> Result<Self> {
        let Some(options) = &consumer.options.group else { return Err(Error::internal("a member without a group")) };
        let slots = Arc::new(Slots::default());
        let ends = starts::ends(consumer, limit).await?;
        consumer.subscription.gate(Arc::clone(&slots), options.revoke_waits);
        let shared = Arc::new(Shared {
            slots,
            member: Mutex::new(GroupMember { state: MemberState::Joining, generation: -1, id: None }),
            is_busy: AtomicBool::new(false),
            is_away: AtomicBool::new(false),
            fatal: Mutex::default(),
        });
        let (calls, called) = mpsc::unbounded_channel();
        let membership = Self { shared: Arc::clone(&shared), calls: calls.clone() };
        let joined = host::spawn(Arc::clone(consumer), shared, make, (calls.downgrade(), called), ends)?;
        joined.await.unwrap_or_else(|_| Err(Error::internal("the member of a group has ended")))?;
        Ok(membership)
    }

    /// The last record of a partition that is processed, for automatic commits.
    pub(super) fn mark(&self, partition: u32) -> Arc<AtomicI64> {
        self.shared.slots.mark(partition)
    }

    fn ask(&self, call: Call) {
        // Where nobody hears it any more, the member has ended.
        let _ = self.calls.send(call);
    }

    /// The reader takes something, or tries to.
    pub(super) fn took(&self, take: &Take) {
        match take {
            Take::Chunk(_) if !self.shared.is_busy.swap(true, Ordering::SeqCst) => self.ask(Call::Took),
            Take::Empty if self.shared.is_away.load(Ordering::SeqCst) => self.ask(Call::Returned),
            _ => {}
        }
    }

    /// The reader comes back for more.
    pub(super) fn returned(&self) {
        if self.shared.is_busy.swap(false, Ordering::SeqCst) || self.shared.is_away.load(Ordering::SeqCst) {
            self.ask(Call::Returned);
        }
    }
}
