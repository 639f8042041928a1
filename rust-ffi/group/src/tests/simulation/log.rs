//! The log, and the connections to it.

use std::rc::Rc;

use super::setups::Setup;
use crate::command::{Command, Directory, Record};
use crate::names::{GroupKey, Offset};
use crate::state::State;
use crate::tests::search::Random;
use crate::tests::search::invariants::of_append;

/// A command on its way. Those of one connection arrive in order, but for copies and late ones.
struct Message {
    at: u64,
    from: usize,
    connection: u64,
    command: Command,
}

pub(super) struct Log {
    pub(super) key: GroupKey,
    pub(super) records: Vec<(Record, u64)>,
    /// The state after each record; the first is the empty one.
    pub(super) states: Vec<Rc<State>>,
    pub(super) directory: Directory,
    net: Vec<Message>,
    /// Until when it takes and gives nothing; until when it cannot be reached.
    pub(super) stalled: u64,
    pub(super) down: u64,
    /// The places of evictions that held, with those whom they hit.
    pub(super) evictions: Vec<(u64, crate::names::MemberId)>,
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            key: GroupKey::new("billing", "orders").unwrap(),
            records: Vec::new(),
            states: vec![Rc::default()],
            directory: Directory::new(-1),
            net: Vec::new(),
            stalled: 0,
            down: 0,
            evictions: Vec::new(),
        }
    }

    pub(super) fn is_reachable(&self, now: u64) -> bool {
        now >= self.down
    }

    pub(super) fn works(&self, now: u64) -> bool {
        now >= self.down && now >= self.stalled
    }

    pub(super) fn state(&self) -> &State {
        self.states.last().unwrap()
    }

    /// A process sends. Some of it is lost, some arrives late or twice.
    pub(super) fn send(&mut self, setup: &Setup, random: &mut Random, now: u64, from: (usize, u64), command: Command) {
        let (from, connection) = from;
        let mut happens = |thousandths| random.below(1000) < thousandths && now < setup.trouble;
        let (is_lost, is_copied, is_late) = (happens(setup.loss), happens(setup.copies), happens(setup.late));
        if is_lost {
            return;
        }
        if is_copied {
            let wait = if random.below(10) == 0 { 60_000 } else { 3_000 };
            let at = now + 300 + random.below(wait);
            self.net.push(Message { at, from, connection: u64::MAX, command: command.clone() });
        }
        if is_late {
            let at = now + 1_000 + random.below(60_000);
            return self.net.push(Message { at, from, connection: u64::MAX, command });
        }
        let before = self.net.iter().filter(|it| (it.from, it.connection) == (from, connection)).map(|it| it.at).max();
        let at = (now + 1 + random.below(15)).max(before.unwrap_or(0));
        self.net.push(Message { at, from, connection, command });
    }

    /// A connection ends. What it carried is lost, or the server has it already and writes it later.
    pub(super) fn disconnect(&mut self, random: &mut Random, from: usize, connection: u64, now: u64) {
        self.net.retain_mut(|it| {
            if (it.from, it.connection) != (from, connection) {
                return true;
            }
            it.connection = u64::MAX;
            it.at = it.at.max(now) + random.below(2_000);
            random.below(2) == 0
        });
    }

    /// The server writes what has arrived: in order for each connection, in any order between them.
    pub(super) fn write(
        &mut self,
        random: &mut Random,
        now: u64,
        is_cut: impl Fn(usize) -> bool,
    ) -> Result<(), String> {
        if !self.works(now) {
            return Ok(());
        }
        let arrived = |it: &Message| it.at <= now && !is_cut(it.from);
        let mut ready: Vec<Message> = self.net.extract_if(.., |it| arrived(it)).collect();
        ready.sort_by_key(|it| it.at);
        let shuffle: Vec<u64> = (0..100).map(|_| random.next()).collect();
        ready.sort_by_key(|it| shuffle[it.from]);
        ready.into_iter().try_for_each(|it| self.append(now, it.command))?;
        if random.below(3_000) == 0 && self.directory.as_of >= 0 {
            let directory = Command::Directory(Box::new(self.directory.clone()));
            self.append(now, directory)?;
        }
        Ok(())
    }

    fn append(&mut self, now: u64, command: Command) -> Result<(), String> {
        let offset = self.records.len() as Offset;
        let before = Rc::clone(self.states.last().unwrap());
        let mut after = State::clone(&before);
        let effect = after.apply(&self.key, offset, &command);
        let record = Record { offset, digest: offset as u64, command, size: 100 };
        of_append(&[], &record, &before, &after, &effect)?;
        if let Command::Evict { members } = &record.command {
            let gone = members.iter().filter(|(id, _)| before.position(*id).is_some() && after.position(*id).is_none());
            self.evictions.extend(gone.map(|(id, _)| (now, *id)));
        }
        self.directory.fold(&self.key, &record, true);
        self.records.push((record, now));
        self.states.push(Rc::new(after));
        Ok(())
    }
}
