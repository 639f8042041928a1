//! A state as one reader of the log has it, with what tells whether all readers have the same.

use std::collections::VecDeque;

use crate::apply::Effect;
use crate::command::{Command, Record, Snapshot};
use crate::names::{GroupKey, Offset, hash};
use crate::roll::Roll;
use crate::state::State;

/// For so many commands a reader knows what its running hash was.
const REMEMBERED: usize = 4096;

/// A snapshot comes after so many commands, if they are twice its size.
const COMMANDS_AFTER: u64 = 1_000;

/// What reading a record did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Read {
    /// What became of the command.
    pub effect: Effect,
    /// Whether it is a snapshot that tells of another past than this reader saw. One of the two is wrong, and this state
    /// is not to be used any more.
    pub diverged: bool,
}

/// The state of a group up to a place of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Replica {
    roll: Roll,
    state: State,
    last: Offset,
    chain: u64,
    recent: VecDeque<(Offset, u64)>,
    commands: u64,
    bytes: usize,
    changes: u64,
}

impl Replica {
    /// A group of which nothing is in the log up to `last`.
    pub fn empty(key: GroupKey, last: Offset) -> Self {
        Self::at(key, Snapshot { as_of: last, state: State::default(), chain: 0 })
    }

    /// The group as the snapshot has it; what follows are the commands after its `as_of`.
    pub fn at(key: GroupKey, snapshot: Snapshot) -> Self {
        let Snapshot { as_of, state, chain } = snapshot;
        let recent = VecDeque::from([(as_of, chain)]);
        Self { roll: Roll::new(key), state, last: as_of, chain, recent, commands: 0, bytes: 0, changes: 0 }
    }

    /// Whose state it is.
    pub fn key(&self) -> &GroupKey {
        self.roll.key()
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The last record that was applied. A new connection begins there, and compares it.
    pub fn last(&self) -> Offset {
        self.last
    }

    /// Applies the next record of the key. What was applied already changes nothing.
    pub fn read(&mut self, record: &Record) -> Read {
        if record.offset <= self.last {
            return Read::default();
        }
        self.last = record.offset;
        if let Command::Snapshot(snapshot) = &record.command {
            return Read { diverged: self.meet(snapshot), ..Read::default() };
        }
        let effect = self.state.apply_with(&mut self.roll, record.offset, &record.command);
        if effect.counts {
            self.extend_chain(record, &effect);
            self.commands += 1;
            self.bytes += record.size;
            self.changes += u64::from(effect.changed || matches!(record.command, Command::Commit { .. }));
        }
        Read { effect, diverged: false }
    }

    fn extend_chain(&mut self, record: &Record, effect: &Effect) {
        let refused: Vec<u8> = effect.refused.iter().flat_map(|at| (*at as u32).to_le_bytes()).collect();
        let (offset, digest) = (record.offset.to_le_bytes(), record.digest.to_le_bytes());
        let generation = self.state.generation.to_le_bytes();
        self.chain = hash(&[&self.chain.to_le_bytes(), &offset, &digest, &generation, &refused]);
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((record.offset, self.chain));
    }

    /// Whether the snapshot of somebody else tells of another past.
    fn meet(&mut self, snapshot: &Snapshot) -> bool {
        let before = self.recent.partition_point(|(offset, _)| *offset <= snapshot.as_of);
        let Some((_, chain)) = before.checked_sub(1).and_then(|at| self.recent.get(at)) else { return false };
        if self.recent.back().is_some_and(|(offset, _)| *offset <= snapshot.as_of) {
            (self.commands, self.bytes, self.changes) = (0, 0, 0);
        } else {
            self.commands = self.commands.min((self.recent.len() - before) as u64);
            self.bytes = self.bytes.min(self.commands as usize * 100);
        }
        snapshot.chain != *chain
    }

    /// What newcomers begin with.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { as_of: self.last, state: self.state.clone(), chain: self.chain }
    }

    /// Whether so much came since the last snapshot that there is to be one.
    pub(crate) fn is_long(&self) -> bool {
        let size = 100 + self.state.members.len() * 200 + self.state.partitions.len() * 24;
        self.commands >= COMMANDS_AFTER && self.bytes >= 2 * size
    }

    /// Whether anything came since the last snapshot.
    pub(crate) fn has_commands(&self) -> bool {
        self.commands > 0
    }

    /// Whether anything but signs of life came since the last snapshot.
    pub(crate) fn has_changed(&self) -> bool {
        self.changes > 0
    }
}
