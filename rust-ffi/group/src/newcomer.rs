//! How one who knows nothing comes to the state of a group, without reading the whole log.

use std::time::Duration;

use crate::command::{Command, Directory, Known, Record, Snapshot};
use crate::directory::DIRECTORY_EVERY;
use crate::names::{GroupKey, Moment, Offset};
use crate::replica::Replica;

/// As far back is read first for a directory; then twice as far, and so on.
const WINDOW: Offset = 2 * DIRECTORY_EVERY as Offset;

/// So long one waits for the snapshot of a group that has left a trace, but whose beginning is gone.
const WAIT_FOR_SNAPSHOT: Duration = Duration::from_secs(120);

/// What the newcomer wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Read the records from the first of these places up to, but not with, the second, hand them to
    /// [`Newcomer::record`], and ask again.
    Read(Offset, Offset),
    /// Read what comes at the end, hand it over, and ask again after each record, and when the time is over.
    Wait(Moment),
    /// The state; what follows is the record after [`Replica::last`], or the end that was given.
    Ready(Box<Replica>),
    /// The group lives, but nobody wrote a snapshot: nothing may be begun beside it.
    Lost,
}

#[derive(Debug)]
enum Phase {
    /// Looking for a directory, backwards; everything from `scanned` on was seen.
    Scan { scanned: Offset, directory: Option<Directory> },
    /// Bringing a directory up to date. `complete`: nothing came before it that it does not have.
    Fold { directory: Directory, complete: bool },
    /// Reading the snapshot that the directory names.
    Fetch { known: Known },
    /// Applying what came after it.
    Replay { replica: Box<Replica> },
    /// Waiting for somebody to write one.
    Wait { since: Moment },
}

/// One who joins a group of which it knows only the key, in a log partition that reaches from `start` to `end`.
#[derive(Debug)]
pub struct Newcomer {
    key: GroupKey,
    start: Offset,
    end: Offset,
    phase: Phase,
    found: Option<Snapshot>,
    alive: bool,
    /// What was in the log, once that is known, and whether it has everything that ever was.
    known: Option<(Directory, bool)>,
}

impl Newcomer {
    /// The log has the records from `start` up to, but not with, `end`.
    pub fn new(key: GroupKey, start: Offset, end: Offset) -> Self {
        let phase = Phase::Scan { scanned: end, directory: None };
        Self { key, start, end, phase, found: None, alive: false, known: None }
    }

    /// A directory of the log up to the end that was given, once the state is there; and whether it has everything that
    /// ever was in the log. The host keeps it up to date with [`Directory::fold`].
    pub fn directory(&self) -> Option<(Directory, bool)> {
        self.known.clone()
    }

    /// Everything before was read, or need not be.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// A record that was read, in the order of the log. Those whose values are no commands are left out.
    pub fn record(&mut self, key: &GroupKey, record: &Record) {
        let own = *key == self.key;
        match &mut self.phase {
            Phase::Scan { directory: best, .. } => {
                if let Command::Directory(directory) = &record.command
                    && directory.as_of < record.offset
                    && best.as_ref().is_none_or(|best| best.as_of <= directory.as_of)
                {
                    *best = Some(Directory::clone(directory));
                }
            }
            Phase::Fold { directory, complete } => directory.fold(key, record, *complete),
            Phase::Fetch { .. } | Phase::Wait { .. } if own => {
                if let Command::Snapshot(snapshot) = &record.command
                    && snapshot.as_of < record.offset
                    && self.found.as_ref().is_none_or(|found| found.as_of <= snapshot.as_of)
                {
                    self.found = Some(Snapshot::clone(snapshot));
                }
                self.alive |= record.command.sender().is_some();
                self.end = self.end.max(record.offset + 1);
            }
            Phase::Replay { replica } if own => drop(replica.read(record)),
            _ => {}
        }
    }

    /// What is to be done next, after everything that was asked for was handed over.
    pub fn next(&mut self, now: Moment) -> Step {
        loop {
            if let Some(step) = self.step(now) {
                return step;
            }
        }
    }

    fn step(&mut self, now: Moment) -> Option<Step> {
        match std::mem::replace(&mut self.phase, Phase::Wait { since: now }) {
            Phase::Scan { directory: Some(directory), .. } => self.fold(directory, true),
            Phase::Scan { scanned, .. } if scanned <= self.start => {
                // All that is left of the log was seen. What retention took may have had the beginnings of its keys.
                self.fold(Directory::new(self.start - 1), self.start == 0)
            }
            Phase::Scan { scanned, .. } => {
                let from = self.start.max(self.end - WINDOW.max(2 * (self.end - scanned)));
                self.phase = Phase::Scan { scanned: from, directory: None };
                Some(Step::Read(from, self.end))
            }
            Phase::Fold { directory, complete } => {
                let step = self.look_up(&directory, now);
                self.known = Some((directory, complete));
                step
            }
            Phase::Fetch { known } => {
                match self.found.take() {
                    Some(snapshot) if known.from == Some(snapshot.as_of) => self.replay(snapshot, now),
                    _ => self.phase = Phase::Wait { since: now },
                }
                self.first_read()
            }
            Phase::Replay { replica } => Some(Step::Ready(replica)),
            Phase::Wait { since } => self.wait(since, now),
        }
    }

    /// Everything after the directory's `as_of` is read: after it, not after its place, for it was written a while later.
    fn fold(&mut self, directory: Directory, complete: bool) -> Option<Step> {
        let from = self.start.max(directory.as_of + 1);
        self.phase = Phase::Fold { directory, complete };
        (from < self.end).then_some(Step::Read(from, self.end))
    }

    fn look_up(&mut self, directory: &Directory, now: Moment) -> Option<Step> {
        match directory.keys.get(&self.key).copied() {
            None => {
                let replica = Box::new(Replica::empty(self.key.clone(), self.end - 1));
                self.phase = Phase::Replay { replica };
                None
            }
            Some(known @ Known { snapshot: Some(place), .. }) if place >= self.start => {
                self.phase = Phase::Fetch { known };
                Some(Step::Read(place, place + 1))
            }
            Some(Known { snapshot: None, from: Some(from), .. }) if from + 1 >= self.start => {
                self.phase = Phase::Replay { replica: Box::new(Replica::empty(self.key.clone(), from)) };
                self.first_read()
            }
            Some(known) => {
                self.alive = known.last >= self.start;
                self.phase = Phase::Wait { since: now };
                None
            }
        }
    }

    fn replay(&mut self, snapshot: Snapshot, since: Moment) {
        self.phase = match snapshot.as_of + 1 >= self.start {
            true => Phase::Replay { replica: Box::new(Replica::at(self.key.clone(), snapshot)) },
            false => Phase::Wait { since },
        };
    }

    fn first_read(&self) -> Option<Step> {
        match &self.phase {
            Phase::Replay { replica } if replica.last() + 1 < self.end => {
                Some(Step::Read(replica.last() + 1, self.end))
            }
            _ => None,
        }
    }

    fn wait(&mut self, since: Moment, now: Moment) -> Option<Step> {
        if let Some(snapshot) = self.found.take() {
            self.replay(snapshot, since);
            return self.first_read();
        }
        let until = since + WAIT_FOR_SNAPSHOT;
        if now < until {
            self.phase = Phase::Wait { since };
            return Some(Step::Wait(until));
        }
        if self.alive {
            self.phase = Phase::Wait { since };
            return Some(Step::Lost);
        }
        // Whoever lived would have signed since: nothing of the group is in the log.
        self.phase = Phase::Replay { replica: Box::new(Replica::empty(self.key.clone(), self.end - 1)) };
        None
    }
}
