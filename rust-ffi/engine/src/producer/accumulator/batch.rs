//! A batch on its way: open, then waiting, then with a sender, perhaps waiting again, and at last settled.

use bytes::Bytes;
use fluvio_cffi_wire::BatchBuilder;
use tokio::time::Instant;

use super::records::Record;
use crate::error::{Outcome, Result};

/// A settled ticket, which is handed to the sink when the accumulator's lock is released.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) ticket: u64,
    pub(crate) partition: u32,
    pub(crate) records: u32,
    pub(crate) result: Result<i64>,
}

/// A batch that a sender has. What is known of its ticket stays in the accumulator.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) ticket: u64,
    pub(crate) partition: u32,
    pub(crate) bytes: Bytes,
    pub(crate) deadline: Instant,
    pub(crate) past: Past,
    /// Whether the batch may go to any partition: none of its records has a key, or a partition of its own.
    pub(crate) any_partition: bool,
    /// Whether the deadline has passed while the batch was in flight: its ticket is settled, and the server's answer
    /// does not count any more.
    pub(crate) given_up: bool,
}

/// The worst that became of a batch when it was sent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Past {
    /// No server has seen a byte of it.
    Unsent,
    /// The server refused it: it was certainly not written.
    Refused,
    /// It may have reached the log.
    MaybeWritten,
}

/// A batch that waits for a sender to take it.
#[derive(Debug)]
pub(super) enum WaitingBatch {
    /// It takes no more records, and no sender has had it. The sender finishes it, without the lock.
    Closed { ticket: u64, builder: BatchBuilder, deadline: Instant, any_partition: bool },
    /// A sender had it and put it back, to be sent before all later ones.
    Again(Batch),
}

impl WaitingBatch {
    pub(super) fn ticket(&self) -> u64 {
        match self {
            Self::Closed { ticket, .. } | Self::Again(Batch { ticket, .. }) => *ticket,
        }
    }

    /// The outcome of the batch if it is given up now.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Again(Batch { past: Past::MaybeWritten, .. }) => Outcome::Unknown,
            _ => Outcome::NotWritten,
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        match self {
            Self::Closed { deadline, .. } | Self::Again(Batch { deadline, .. }) => *deadline,
        }
    }

    /// Whether the batch can go to another partition. One that may be in a partition's log must not be written to
    /// another partition as well.
    pub(super) fn is_movable(&self) -> bool {
        match self {
            Self::Closed { any_partition, .. } => *any_partition,
            Self::Again(batch) => batch.any_partition && batch.past != Past::MaybeWritten,
        }
    }

    /// The batch's bytes, before compression if it has not been sent yet.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Closed { builder, .. } => builder.len(),
            Self::Again(batch) => batch.bytes.len(),
        }
    }
}

/// A batch that takes records.
///
/// It takes those of a kind of which it holds some already: keyless ones, which go to the sticky partition, or
/// addressed ones, which have a key or a partition of their own. Only
/// [`PartitionQueue::shares`](super::partition::PartitionQueue) lets it take both, as a batch with an addressed
/// record cannot move to another partition.
#[derive(Debug)]
pub(super) struct OpenBatch {
    pub(super) ticket: u64,
    pub(super) builder: BatchBuilder,
    pub(super) created: Instant,
    /// When the records' delivery time-out ends.
    pub(super) deadline: Instant,
    pub(super) addressed: bool,
    pub(super) keyless: bool,
}

impl OpenBatch {
    /// Whether `record` joins the batch, if that may grow to `batch_size` bytes. `shared`: records of both kinds join.
    pub(super) fn admits(&self, record: &Record<'_>, shared: bool, batch_size: usize) -> bool {
        let takes_kind = if record.partition.is_none() { self.keyless } else { self.addressed };
        (shared || takes_kind) && record.fits(&self.builder, batch_size)
    }

    /// Closes the batch for a sender that takes it now.
    pub(super) fn close(self) -> WaitingBatch {
        let Self { ticket, builder, deadline, addressed, .. } = self;
        WaitingBatch::Closed { ticket, builder, deadline, any_partition: !addressed }
    }

    /// Closes the batch that may have to wait, without memory for records which will not come: the buffer's size
    /// bounds what waiting batches hold, not what they could hold.
    pub(super) fn close_to_wait(mut self) -> WaitingBatch {
        self.builder.trim();
        self.close()
    }
}
