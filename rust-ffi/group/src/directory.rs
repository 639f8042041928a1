//! Where in a partition of the log the groups are that live there, so that a newcomer need not read it all.

use std::collections::BTreeMap;

use crate::command::{Command, Record};
use crate::names::{GroupKey, Offset};

/// Whoever has read so many records without a directory appends one.
pub const DIRECTORY_EVERY: u64 = 4096;

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

impl Directory {
    /// A directory of everything up to `as_of`, where nothing is.
    pub fn new(as_of: Offset) -> Self {
        Self { as_of, keys: BTreeMap::new() }
    }

    /// Takes a record into account. `complete` says that every record before it was, so that a key that is new here began
    /// here. Records that are taken into account already change nothing.
    pub fn fold(&mut self, key: &GroupKey, record: &Record, complete: bool) {
        if record.offset <= self.as_of {
            return;
        }
        self.as_of = record.offset;
        if matches!(record.command, Command::Directory(_)) {
            return;
        }
        let begun = Known { snapshot: None, from: complete.then_some(record.offset - 1), last: record.offset };
        let known = self.keys.entry(key.clone()).or_insert(begun);
        known.last = record.offset;
        if let Command::Snapshot(snapshot) = &record.command
            && snapshot.as_of < record.offset
            && (known.snapshot.is_none() || known.from.is_none_or(|from| from <= snapshot.as_of))
        {
            known.snapshot = Some(record.offset);
            known.from = Some(snapshot.as_of);
        }
    }

    /// Forgets keys of which the log has nothing any more: it begins at `start`.
    pub fn forget_before(&mut self, start: Offset) {
        self.keys.retain(|_, known| known.last >= start);
    }
}
