//! How a consumer works, and where it begins.

use std::time::Duration;

use crate::error::{Error, Result};
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
        if self.auto_commit.is_some() && self.consumer_id.is_none() {
            return Err(Error::invalid("commit is automatic: it needs a consumer_id, under which offsets are stored"));
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
        let usual = match self.consumer_id {
            Some(_) => Start::Beginning(0),
            None => Start::End(0),
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
