//! What is known of a partition of the log: where each group is, for those who come later.

use std::sync::Arc;
use std::time::Duration;

use fluvio_cffi_group::{Command, DIRECTORY_EVERY, Directory, GroupKey, Record};
use tokio::time::Instant;

/// So many records wait for a directory to which they are added.
const MOST_EARLY: usize = 8192;
/// Whoever is to write a directory waits for up to so long: somebody else may be faster.
const WAIT: Duration = Duration::from_secs(2);

/// A directory, and whether it has everything that ever was in the log.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) directory: Directory,
    pub(crate) is_complete: bool,
}

/// A directory that is kept up to date.
#[derive(Debug, Default)]
pub(super) struct Kept {
    known: Option<Known>,
    early: Vec<(GroupKey, Arc<Record>)>,
    /// How many records were read since somebody wrote a directory.
    since: u64,
    /// When one is to be written, and under which key.
    due: Option<(Instant, GroupKey)>,
}

impl Kept {
    /// A newcomer knows what was in the log before.
    pub(super) fn learn(&mut self, known: Known) {
        if self.known.is_none() {
            let mut known = known;
            for (key, record) in self.early.drain(..) {
                known.directory.fold(&key, &record, known.is_complete);
            }
            self.known = Some(known);
        }
    }

    /// A record was read.
    pub(super) fn read(&mut self, key: &GroupKey, record: &Arc<Record>) {
        match &mut self.known {
            Some(known) => known.directory.fold(key, record, known.is_complete),
            None if self.early.len() < MOST_EARLY => self.early.push((key.clone(), Arc::clone(record))),
            // Nobody will bring one any more.
            None => {}
        }
        if matches!(record.command, Command::Directory(_)) {
            (self.since, self.due) = (0, None);
            return;
        }
        self.since += 1;
        if self.since >= DIRECTORY_EVERY && self.due.is_none() && self.known.is_some() {
            let mut random = [0; 8];
            // Without it, all write at the same time, which does no harm.
            let _ = getrandom::fill(&mut random);
            let wait = WAIT.mul_f64((u64::from_le_bytes(random) % 1024) as f64 / 1024.0);
            self.due = Some((Instant::now() + wait, key.clone()));
        }
    }

    /// When one is to be written.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.as_ref().map(|(at, _)| *at)
    }

    /// What is to be written now. `start`: where the log begins.
    pub(super) fn take_due(&mut self, start: i64) -> Option<(GroupKey, Command)> {
        let (_, key) = self.due.take()?;
        self.since = 0;
        let known = self.known.as_mut()?;
        known.directory.forget_before(start);
        Some((key, Command::Directory(Box::new(known.directory.clone()))))
    }
}
