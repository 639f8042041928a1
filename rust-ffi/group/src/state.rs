//! What all members of a group agree on.

use std::sync::Arc;

use crate::names::{MemberId, Offset};

/// The version of the format, and of `assign`, that this code speaks.
pub const VERSION: u32 = 1;

/// More partitions than this no topic has: a larger number is no valid command.
pub const MAX_PARTITIONS: u32 = 100_000;

/// One who reads a share of the partitions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Member {
    /// Drawn at its join.
    pub id: MemberId,
    /// A name that survives a restart.
    pub instance: Option<Arc<str>>,
    /// What the client calls itself.
    pub client_id: Arc<str>,
    /// Where it runs.
    pub host: Arc<str>,
    /// Whoever is silent for so long may be evicted, in milliseconds.
    pub session_ms: u32,
    /// The highest version that it speaks.
    pub v: u32,
    /// The number of its last command that counted.
    pub n: u64,
    /// The place of that command: its last sign of life.
    pub last_beat: Offset,
}

/// One partition of the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Partition {
    /// Who reads it.
    pub owner: Option<MemberId>,
    /// The place in the log that gave it to its owner; -1 if nobody ever had it.
    pub epoch: Offset,
    /// Whether the owner is asked to give it up.
    pub moving: bool,
    /// The last offset that was processed. -1: none, but it was decided to begin with the first.
    pub committed: Option<Offset>,
}

impl Partition {
    pub(crate) const NEW: Self = Self { owner: None, epoch: -1, moving: false, committed: None };
}

/// The state of one group on one topic, after some place of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The place of the last command that changed members, partitions, or offsets by `reset`; -1 before the first.
    pub generation: Offset,
    /// The version in which the group speaks: the lowest among its members.
    pub version: u32,
    /// In the order of joining.
    pub members: Vec<Member>,
    /// By their numbers.
    pub partitions: Vec<Partition>,
}

impl Default for State {
    fn default() -> Self {
        Self { generation: -1, version: VERSION, members: Vec::new(), partitions: Vec::new() }
    }
}

impl State {
    /// Where in the order of joining the member is.
    pub fn position(&self, id: MemberId) -> Option<usize> {
        self.members.iter().position(|member| member.id == id)
    }

    /// The member of that id.
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// Who has the instance now.
    pub fn holder(&self, instance: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.instance.as_deref() == Some(instance))
    }

    /// The partition of that number.
    pub fn partition(&self, number: u32) -> Option<&Partition> {
        self.partitions.get(number as usize)
    }

    /// How many partitions the topic has, as far as the group knows.
    pub fn partition_count(&self) -> u32 {
        self.partitions.len() as u32
    }

    /// What a member owns: numbers and partitions.
    pub fn owned(&self, id: MemberId) -> impl Iterator<Item = (u32, &Partition)> {
        let numbered = self.partitions.iter().enumerate();
        numbered.filter(move |(_, partition)| partition.owner == Some(id)).map(|(number, it)| (number as u32, it))
    }
}
