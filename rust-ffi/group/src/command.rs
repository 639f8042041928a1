//! What members append to the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::names::{GroupKey, MemberId, Offset};
use crate::state::State;

/// A partition, the epoch under which its records were handed out, and an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The number of the partition.
    pub partition: u32,
    /// The epoch of its owner.
    pub epoch: Offset,
    /// The last offset that was processed.
    pub offset: Offset,
}

/// A partition that is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Released {
    /// The number of the partition.
    pub partition: u32,
    /// The epoch of its owner.
    pub epoch: Offset,
    /// The last offset that was processed, if it is not stored yet.
    pub committed: Option<Offset>,
}

/// A member that wants to take part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Join {
    /// Its id, never used before.
    pub member: MemberId,
    /// A name that survives a restart.
    pub instance: Option<Arc<str>>,
    /// Who had the instance before, and is replaced.
    pub replaces: Option<MemberId>,
    /// What the client calls itself.
    pub client_id: Arc<str>,
    /// Where it runs.
    pub host: Arc<str>,
    /// Its session time-out in milliseconds.
    pub session_ms: u32,
    /// The highest version that it speaks.
    pub v: u32,
    /// How many partitions the topic has.
    pub partitions: u32,
}

/// A state, for those who come later.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The last command that it contains.
    pub as_of: Offset,
    /// The state after it.
    pub state: State,
    /// The running hash after it.
    pub chain: u64,
}

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Known {
    /// The place of the snapshot with the greatest `as_of`, if there is one.
    pub snapshot: Option<Offset>,
    /// The last command that the snapshot contains. Without a snapshot: the place before the first command that the key
    /// ever had, and its state there is empty. `None`: the beginning is not known.
    pub from: Option<Offset>,
    /// The last command.
    pub last: Offset,
}

/// The keys of one partition of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Directory {
    /// The last record that is taken into account; -1: none.
    pub as_of: Offset,
    /// Every key with commands since the log began, or since retention took those before.
    pub keys: BTreeMap<GroupKey, Known>,
}

/// A command: what it does and when it holds is in [`State::apply`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are those of the types above; docs/group-log.md has them all")]
pub enum Command {
    Join(Box<Join>),
    Beat { member: MemberId, n: u64 },
    Leave { member: MemberId, n: u64, released: Vec<Released> },
    Evict { members: Vec<(MemberId, Offset)> },
    Grow { partitions: u32 },
    Release { member: MemberId, n: u64, released: Released },
    Commit { member: MemberId, n: u64, offsets: Vec<Entry> },
    Reset { generation: Offset, offsets: Vec<(u32, Offset)> },
    Delete { generation: Offset },
    Snapshot(Box<Snapshot>),
    Directory(Box<Directory>),
}

impl Command {
    /// Whose command it is, and its number. A join has number 0.
    pub fn sender(&self) -> Option<(MemberId, u64)> {
        match self {
            Self::Join(join) => Some((join.member, 0)),
            Self::Beat { member, n }
            | Self::Leave { member, n, .. }
            | Self::Release { member, n, .. }
            | Self::Commit { member, n, .. } => Some((*member, *n)),
            _ => None,
        }
    }

    /// Whether by it members come or go.
    pub(crate) fn is_of_members(&self) -> bool {
        matches!(self, Self::Join(_) | Self::Leave { .. } | Self::Evict { .. })
    }
}

/// A command at its place in the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Record {
    /// Its place.
    pub offset: Offset,
    /// What it says.
    pub command: Command,
    /// A hash of the bytes that said it.
    pub digest: u64,
    /// How many bytes these were.
    pub size: usize,
}
