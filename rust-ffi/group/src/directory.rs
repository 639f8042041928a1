//! Where in a partition of the log the groups are that live there, so that a newcomer need not read it all.

use std::collections::BTreeMap;

use crate::command::{Command, Directory, Known, Record};
use crate::names::{GroupKey, Offset};

/// Whoever has read so many records without a directory appends one.
pub const DIRECTORY_EVERY: u64 = 4096;

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
