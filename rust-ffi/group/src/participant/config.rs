//! What a member is set up with, and what goes in and out of it.

use std::sync::Arc;
use std::time::Duration;

use crate::command::Command;
use crate::names::{Moment, Offset};

/// How a member is set up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Config {
    /// A name that survives a restart: who comes back with it gets its partitions back.
    pub instance: Option<Arc<str>>,
    /// What the client calls itself.
    pub client_id: Arc<str>,
    /// Where it runs.
    pub host: Arc<str>,
    /// Whoever is silent for so long may be evicted. 1 s to 1 h: the host refuses anything else; here the nearest is taken.
    pub session_timeout: Duration,
    /// A partition that moves, and whose reader does not come back for so long, is released without an offset.
    pub rebalance_timeout: Duration,
    /// A member whose reader does not come back for so long leaves.
    pub processing_timeout: Duration,
    /// How many partitions the topic has.
    pub partitions: u32,
}

impl Config {
    pub(crate) fn session_ms(&self) -> u32 {
        u32::try_from(self.session_timeout.as_millis()).unwrap_or(u32::MAX).clamp(1_000, 3_600_000)
    }

    /// The session as everybody counts it.
    pub(crate) fn session(&self) -> Duration {
        Duration::from_millis(self.session_ms().into())
    }
}

/// What a member wants of its host. The host does it at once, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Output {
    /// Draw 128 random bits and call [`super::Participant::join`] with them.
    Draw,
    /// Hand this command to the log's producer now. If that cannot be done now, it is dropped, and the host says that the
    /// link is down: nothing is queued beside the member, and nothing is sent a second time.
    Append(Command),
    /// Both connections to the log are to be made anew: a command was not read back in time. The link counts as down until
    /// the host says that it is up.
    Renew,
    /// It is a member by now.
    Joined,
    /// The lease ended, and nobody evicted it: reads wait, what was read ahead stays.
    Suspended,
    /// It runs again.
    Resumed,
    /// Nothing was ever committed for this partition: find out where to begin and call [`super::Participant::resolved`].
    Resolve {
        /// Which.
        partition: u32,
        /// The epoch that it is owned under.
        epoch: Offset,
    },
    /// The partition is read from behind `after`.
    Assign {
        /// Which.
        partition: u32,
        /// The epoch that it is owned under.
        epoch: Offset,
        /// The last offset that was processed.
        after: Offset,
    },
    /// Nothing more of the partition is handed out, what was read ahead is thrown away; when what was handed out is done,
    /// call [`super::Participant::released`].
    Revoke {
        /// Which.
        partition: u32,
        /// The epoch that it is owned under.
        epoch: Offset,
    },
    /// It need not be given up: the host goes on where it stopped handing out.
    Keep {
        /// Which.
        partition: u32,
        /// The epoch that it is owned under.
        epoch: Offset,
    },
    /// The partition is gone without having been given up, or its reader did not come back.
    Lost {
        /// Which.
        partition: u32,
        /// The epoch that it was owned under.
        epoch: Offset,
    },
    /// A commit is done. Those partitions that are somebody else's by now did not hold.
    Committed {
        /// What the commit was called.
        token: u64,
        /// Partitions and offsets that were not stored.
        fenced: Vec<(u32, Offset)>,
    },
    /// Store this in the cluster's own offsets, when it suits: for tools, and for a group that sleeps long.
    Mirror {
        /// Which.
        partition: u32,
        /// What is committed.
        offset: Offset,
    },
    /// It was evicted and will join again by itself.
    Evicted,
    /// Another process has taken its instance over. This is the end.
    Fenced,
    /// It has left, or gone silent. After [`super::Participant::leave`] this is the end; else it joins again when its
    /// reader comes back.
    Left,
    /// The group speaks a version that this code does not. This is the end.
    Newer(u32),
    /// The log tells of another past than this member saw: begin anew, from the log.
    Diverged,
}

/// Whether anything is to be done by then.
pub(crate) fn earliest(moments: impl IntoIterator<Item = Option<Moment>>) -> Option<Moment> {
    moments.into_iter().flatten().min()
}
