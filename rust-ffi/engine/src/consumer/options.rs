//! How a consumer works, and where it begins.

use std::time::Duration;

use fluvio_cffi_group::GroupKey;

use crate::error::{Error, Result};
use crate::group_log::DEFAULT_LOG;
use crate::options::Isolation;
use crate::smartmodule::Transform;

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// This number of records after the first that exists.
    Beginning(u64),
    /// This number of records before the end.
    End(u64),
    /// At this offset.
    At(i64),
    /// At the first record that is not older than this, in milliseconds since the epoch; at the end if there is none.
    Since(i64),
    /// At this offset, which follows a stored one.
    Stored(i64),
}

impl Start {
    /// An error if there can be no such offset.
    pub(super) fn validate(&self) -> Result<()> {
        match *self {
            Self::At(offset) if offset < 0 => {
                Err(Error::invalid(format!("the start offset is {offset}: it must be 0 or more")))
            }
            Self::Since(time) if time < 0 => {
                Err(Error::invalid(format!("the time to start at is {time} ms since the epoch: it must be 0 or more")))
            }
            _ => Ok(()),
        }
    }
}

/// How a consumer takes part in a group, whose members share the partitions of a topic.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// The group's name.
    pub group: String,
    /// A name that survives a restart: who comes back with it within the session gets its partitions back.
    pub instance: Option<String>,
    /// Whoever gives no sign of life for so long loses its partitions.
    pub session_timeout: Duration,
    /// A partition that moves, and whose reader does not come back for so long, is released without an offset.
    pub rebalance_timeout: Duration,
    /// A member whose reader does not come back for so long leaves.
    pub processing_timeout: Duration,
    /// The topic in which the members of groups agree.
    pub log: String,
    /// How many replicas it gets where it is made here.
    pub log_replication: u32,
    /// Whether a partition that moves waits for its acknowledgement also where the reader has nothing in hand.
    pub revoke_waits: bool,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self {
            group: String::new(),
            instance: None,
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: Duration::from_secs(60),
            processing_timeout: Duration::from_secs(300),
            log: DEFAULT_LOG.to_owned(),
            log_replication: 1,
            revoke_waits: false,
        }
    }
}

impl GroupOptions {
    fn validate(&self, others: &ConsumerOptions) -> Result<()> {
        if others.consumer_id.is_some() {
            return Err(Error::invalid("group and consumer_id are given: a group stores the offsets of its own"));
        }
        if !others.partitions.is_empty() {
            return Err(Error::invalid("group and partitions are given: the members of a group share all partitions"));
        }
        if !others.resume {
            return Err(Error::invalid("resume is off: a group goes on after what it has committed; reset it instead"));
        }
        GroupKey::new(&self.group, "topic").map_err(|wrong| Error::invalid(wrong.to_string()))?;
        if let Some(instance) = &self.instance
            && (instance.is_empty() || instance.len() > 200 || instance.chars().any(char::is_control))
        {
            let text = format!("instance is {instance:?}: it must have 1 to 200 bytes and no control characters");
            return Err(Error::invalid(text));
        }
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(3600));
        if !(least..=most).contains(&self.session_timeout) {
            let seconds = self.session_timeout.as_secs_f64();
            return Err(Error::invalid(format!("session_timeout is {seconds} s: it must be from 1 s to 3600 s")));
        }
        for (name, timeout) in
            [("rebalance_timeout", self.rebalance_timeout), ("processing_timeout", self.processing_timeout)]
        {
            if timeout < Duration::from_millis(1) {
                return Err(Error::invalid(format!("{name} is {timeout:?}: it must be at least 1 ms")));
            }
        }
        if self.log.is_empty() || self.log_replication == 0 {
            return Err(Error::invalid("the log of a group must have a topic, and at least 1 replica"));
        }
        Ok(())
    }
}

/// How a consumer works.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// Which partitions are read. None: all, also those that the topic gets later.
    pub partitions: Vec<u32>,
    /// Where reading begins. `None`: at the beginning with a `consumer_id`, so that nothing is lost before the first
    /// commit, else at the end.
    pub start: Option<Start>,
    /// The starts of partitions that begin elsewhere; of two for one partition the last counts.
    pub starts: Vec<(u32, Start)>,
    /// Whether reading goes on after the offset that is stored under the `consumer_id`, if one is, whatever the start.
    pub resume: bool,
    /// Whether reading ends where the logs ended when the consumer was opened.
    pub stop_at_end: bool,
    /// Which records are read.
    pub isolation: Isolation,
    /// Bytes of one reply, at most, unless one batch is larger.
    pub max_bytes: u32,
    /// Decoded bytes kept ready, at most, unless one batch is larger.
    pub prefetch: usize,
    /// Whether offsets that retention removed are skipped instead of being an error.
    pub skip_evicted: bool,
    /// How long a peer may be silent before it is asked whether it is still there.
    pub probe_interval: Duration,
    /// The id under which offsets are committed, and found again. `None`: there are no stored offsets.
    pub consumer_id: Option<String>,
    /// How often the offsets that the caller marked as processed are committed. `None`: only on demand.
    pub auto_commit: Option<Duration>,
    /// SmartModules that the SPU runs on what is read, one after the other.
    pub smartmodules: Vec<Transform>,
    /// The group that it is a member of. `None`: it reads by itself.
    pub group: Option<GroupOptions>,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            partitions: Vec::new(),
            start: None,
            starts: Vec::new(),
            resume: true,
            stop_at_end: false,
            isolation: Isolation::ReadUncommitted,
            max_bytes: 1 << 20,
            prefetch: 16 << 20,
            skip_evicted: false,
            probe_interval: Duration::from_secs(10),
            consumer_id: None,
            auto_commit: None,
            smartmodules: Vec::new(),
            group: None,
        }
    }
}

impl ConsumerOptions {
    /// Checks every option; the error names the option, its value and what is allowed.
    pub fn validate(&self) -> Result<()> {
        if !(1..=1 << 30).contains(&self.max_bytes) {
            return Err(Error::invalid(format!("max_bytes is {}: it must be from 1 to {}", self.max_bytes, 1 << 30)));
        }
        if self.prefetch == 0 {
            return Err(Error::invalid("prefetch is 0: it must be at least 1"));
        }
        if self.probe_interval.is_zero() {
            return Err(Error::invalid("the probe interval is 0: it must be positive"));
        }
        if let Some(id) = &self.consumer_id
            && (id.is_empty() || id.len() > 255)
        {
            return Err(Error::invalid(format!("consumer_id has {} bytes: it must have 1 to 255", id.len())));
        }
        if self.auto_commit.is_some() && self.consumer_id.is_none() && self.group.is_none() {
            let text = "commit is automatic: it needs a consumer_id or a group, under which offsets are stored";
            return Err(Error::invalid(text));
        }
        if let Some(group) = &self.group {
            group.validate(self)?;
        }
        if let Some(interval) = self.auto_commit.filter(|interval| *interval < Duration::from_millis(1)) {
            return Err(Error::invalid(format!("auto_commit_interval is {interval:?}: it must be at least 1 ms")));
        }
        for start in self.starts.iter().map(|(_, start)| start).chain(&self.start) {
            start.validate()?;
        }
        self.smartmodules.iter().try_for_each(Transform::validate)
    }

    /// Where reading of a partition begins if `stored` is the last processed offset that is kept of it.
    pub(super) fn start_of(&self, partition: u32, stored: Option<i64>) -> Start {
        let own = || self.starts.iter().rev().find(|(of, _)| *of == partition).map(|(_, start)| *start);
        let usual = match self.consumer_id.is_some() || self.group.is_some() {
            true => Start::Beginning(0),
            false => Start::End(0),
        };
        self.after(stored).or_else(own).or(self.start).unwrap_or(usual)
    }

    /// Where reading of a partition begins that the topic got later.
    pub(super) fn start_of_new(&self, stored: Option<i64>) -> Start {
        self.after(stored).unwrap_or(Start::Beginning(0))
    }

    fn after(&self, stored: Option<i64>) -> Option<Start> {
        // The server stores any number: nothing lies before offset 0.
        stored.filter(|_| self.resume).map(|stored| Start::Stored(stored.saturating_add(1).max(0)))
    }
}
