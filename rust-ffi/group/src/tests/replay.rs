//! Whoever comes later has the same state as who was there from the beginning.

use std::collections::VecDeque;
use std::time::Duration;

use super::is_long;
use super::scenarios::{join, record};
use super::search::Random;
use crate::command::{Command, Directory, Entry, Join, Record, Released, Snapshot};
use crate::names::{GroupKey, MemberId, Offset};
use crate::newcomer::{Newcomer, Step};
use crate::replica::Replica;
use crate::state::State;

/// A log of several groups, and each one's replica after every place.
struct Log {
    keys: Vec<GroupKey>,
    records: Vec<(usize, Record)>,
    /// For each key, the replica before the first record and after each.
    replicas: Vec<Vec<Replica>>,
    directory: Directory,
    delayed: VecDeque<(Offset, usize, Command)>,
    ids: u128,
}

impl Log {
    fn new(groups: usize) -> Self {
        let keys: Vec<_> = (0..groups).map(|at| GroupKey::new(&format!("group-{at}"), "orders").unwrap()).collect();
        let replicas = keys.iter().map(|key| vec![Replica::empty(key.clone(), -1)]).collect();
        let directory = Directory::new(-1);
        Self { keys, records: Vec::new(), replicas, directory, delayed: VecDeque::new(), ids: 0 }
    }

    fn end(&self) -> Offset {
        self.records.len() as Offset
    }

    fn append(&mut self, at: usize, command: Command) {
        let record = record(self.end(), command);
        for (key, replicas) in self.replicas.iter_mut().enumerate() {
            let mut replica = replicas.last().unwrap().clone();
            if key == at {
                assert!(!replica.read(&record).diverged);
            }
            replicas.push(replica);
        }
        self.directory.fold(&self.keys[at], &record, true);
        self.records.push((at, record));
    }

    /// One more command: of the group, a copy of an earlier one, a snapshot or a directory; some arrive late.
    fn grow(&mut self, random: &mut Random, at: usize) {
        if self.delayed.front().is_some_and(|(due, ..)| *due <= self.end())
            && let Some((_, at, command)) = self.delayed.pop_front()
        {
            return self.append(at, command);
        }
        let replica = self.replicas[at].last().unwrap();
        let command = match random.below(12) {
            0 => Command::Snapshot(Box::new(replica.snapshot())),
            1 if self.end() > 0 => Command::Directory(Box::new(self.directory.clone())),
            2 => match self.records.get(random.below(self.records.len() as u64) as usize) {
                Some((key, copied)) if *key == at => copied.command.clone(),
                _ => return,
            },
            _ => command(replica.state(), random, &mut self.ids),
        };
        let is_bookkeeping = matches!(command, Command::Snapshot(_) | Command::Directory(_));
        if is_bookkeeping && random.below(2) == 0 && replica.last() >= 0 {
            self.delayed.push_back((self.end() + random.below(30) as Offset, at, command));
        } else if !matches!(&command, Command::Snapshot(it) if it.as_of < 0) {
            self.append(at, command);
        }
    }
}

fn command(state: &State, random: &mut Random, ids: &mut u128) -> Command {
    let Some(member) = state.members.get(random.below(state.members.len() as u64) as usize) else {
        *ids += 1;
        return join(*ids, 3);
    };
    let (member, n, sign) = (member.id, member.n + 1, member.last_beat);
    let partition = random.below(3) as u32;
    let epoch = state.partition(partition).map_or(0, |it| it.epoch);
    match random.below(8) {
        0 => {
            *ids += 1;
            let Command::Join(new) = join(*ids, 3 + random.below(2) as u32) else { unreachable!() };
            let instance = format!("i{}", random.below(3));
            let replaces = state.holder(&instance).map(|it| it.id);
            Command::Join(Box::new(Join { instance: Some(instance.into()), replaces, ..*new }))
        }
        1 => Command::Leave { member, n, released: vec![Released { partition, epoch, committed: Some(3) }] },
        2 => Command::Evict { members: vec![(member, sign)] },
        3 => Command::Release { member, n, released: Released { partition, epoch, committed: Some(4) } },
        4 => Command::Beat { member, n },
        5 => Command::Reset { generation: state.generation, offsets: vec![(0, 9)] },
        _ => {
            Command::Commit { member, n, offsets: vec![Entry { partition, epoch, offset: random.below(50) as Offset }] }
        }
    }
}

fn log_of(seed: u64, groups: usize, length: Offset) -> Log {
    let (mut random, mut log) = (Random::new(seed), Log::new(groups));
    while log.end() < length {
        // Each group lives for a while, then sleeps.
        let awake = (log.end() / 60) as usize % groups;
        let at = if random.below(4) == 0 { random.below(awake as u64 + 1) as usize } else { awake };
        log.grow(&mut random, at);
    }
    log
}

/// The state that a newcomer comes to when the log begins at `start`; `None` if it has to wait.
fn newcomer(log: &Log, at: usize, start: Offset) -> Option<State> {
    let mut newcomer = Newcomer::new(log.keys[at].clone(), start, log.end());
    loop {
        match newcomer.next(Duration::ZERO) {
            Step::Read(from, until) => {
                assert!(
                    from >= start && until <= log.end() && from < until,
                    "{from}..{until} of {start}..{}",
                    log.end()
                );
                for (key, record) in &log.records[from as usize..until as usize] {
                    newcomer.record(&log.keys[*key], record);
                }
            }
            Step::Ready(replica) => return Some(replica.state().clone()),
            Step::Wait(_) => return None,
            Step::Lost => panic!("lost"),
        }
    }
}

#[test]
fn a_newcomer_comes_to_the_state_of_a_full_replay() {
    let (mut right, mut waiting) = (0, 0);
    for seed in 0..if is_long() { 3_000 } else { 100 } {
        let log = log_of(seed, 6, 300);
        for at in 0..log.keys.len() {
            for start in [0, 100, 200] {
                match newcomer(&log, at, start) {
                    Some(state) if log.replicas[at].last().unwrap().state() == &state => right += 1,
                    // Nothing is left of a group that slept for so long.
                    Some(state) => {
                        let last = log.records.iter().rposition(|(key, _)| *key == at).unwrap_or(0) as Offset;
                        assert!(last < start && state == State::default(), "seed {seed}, {at} from {start}: {state:?}");
                        right += 1;
                    }
                    None => {
                        assert!(start > 0, "seed {seed}, {at}: the whole log is there");
                        waiting += 1;
                    }
                }
            }
        }
    }
    println!("{right} newcomers, {waiting} would wait");
    assert!(waiting < right / 4);
}

/// What goes wrong if a part of the rule is left out: the tail from the snapshot's own place, or without the numbers.
#[test]
fn a_snapshot_is_continued_from_what_it_contains() {
    let (mut right, mut from_its_place, mut without_numbers) = (0, 0, 0);
    for seed in 0..if is_long() { 20_000 } else { 500 } {
        let log = log_of(seed, 1, 80);
        let full = log.replicas[0].last().unwrap().state();
        let snapshots = log.records.iter().filter_map(|(_, record)| match &record.command {
            Command::Snapshot(snapshot) => Some((record.offset, Snapshot::clone(snapshot))),
            _ => None,
        });
        for (place, snapshot) in snapshots {
            let replay = |snapshot: Snapshot, after: Offset| {
                let mut replica = Replica::at(log.keys[0].clone(), snapshot);
                let tail = log.records.iter().filter(|(_, record)| record.offset > after);
                tail.for_each(|(_, record)| drop(replica.read(record)));
                replica.state().clone()
            };
            assert_eq!(&replay(snapshot.clone(), snapshot.as_of), full, "seed {seed}, snapshot at {place}");
            right += 1;
            from_its_place += u32::from(replay(snapshot.clone(), place) != *full);
            let mut forgetful = snapshot.clone();
            forgetful.state.members.iter_mut().for_each(|member| member.n = 0);
            let (mut state, mut expected) = (replay(forgetful, snapshot.as_of), full.clone());
            state.members.iter_mut().chain(&mut expected.members).for_each(|member| member.n = 0);
            without_numbers += u32::from(state != expected);
        }
    }
    println!("{right} snapshots; wrong from their own place {from_its_place}, without numbers {without_numbers}");
    assert!(from_its_place > 0 && without_numbers > 0);
}

/// A directory is continued from its `as_of`, not from its place: it was written a while later.
#[test]
fn a_directory_is_continued_from_what_it_contains() {
    let (mut right, mut from_its_place) = (0, 0);
    for seed in 0..100 {
        let log = log_of(seed, 4, 200);
        for (_, record) in &log.records {
            let Command::Directory(directory) = &record.command else { continue };
            let update = |after: Offset| {
                let mut directory = Directory::clone(directory);
                let tail = log.records.iter().filter(|(_, record)| record.offset > after);
                tail.for_each(|(key, record)| directory.fold(&log.keys[*key], record, true));
                directory
            };
            assert_eq!(update(directory.as_of).keys, log.directory.keys);
            right += 1;
            from_its_place += u32::from(update(record.offset).keys != log.directory.keys);
        }
    }
    println!("{right} directories; wrong from their own place {from_its_place}");
    assert!(from_its_place > 0);
}

/// All members of a group die before anybody wrote a snapshot, and a directory has been written since: whoever comes
/// next replays the group from its first command.
#[test]
fn a_group_that_died_young_is_found() {
    let mut log = Log::new(2);
    log.append(1, join(9, 1));
    log.append(0, join(1, 1));
    let directory = log.directory.clone();
    log.append(1, Command::Directory(Box::new(directory)));
    for n in 0..20_000 {
        log.records.push((1, record(log.end(), Command::Beat { member: MemberId(9), n: n + 1 })));
    }
    assert_eq!(newcomer(&log, 0, 0).unwrap().members.len(), 1);
    // But if retention has taken its beginning, nothing may be begun beside it.
    assert_eq!(newcomer(&log, 0, 2), None);
}

#[test]
fn a_trace_without_a_snapshot_is_waited_for() {
    let key = GroupKey::new("billing", "orders").unwrap();
    let beat = |offset, n| record(offset, Command::Beat { member: MemberId(1), n });
    let waiting = || {
        let mut newcomer = Newcomer::new(key.clone(), 100, 102);
        assert_eq!(newcomer.next(Duration::ZERO), Step::Read(100, 102));
        newcomer.record(&key, &beat(100, 5));
        newcomer.record(&key, &beat(101, 6));
        assert_eq!(newcomer.next(Duration::ZERO), Step::Read(100, 102));
        newcomer.record(&key, &beat(100, 5));
        newcomer.record(&key, &beat(101, 6));
        assert_eq!(newcomer.next(Duration::ZERO), Step::Wait(Duration::from_secs(120)));
        newcomer
    };
    assert_eq!(waiting().next(Duration::from_secs(120)), Step::Lost);

    let mut newcomer = waiting();
    newcomer.record(&key, &beat(102, 7));
    let snapshot = Snapshot { as_of: 102, state: State::default(), chain: 7 };
    newcomer.record(&key, &record(103, Command::Snapshot(Box::new(snapshot))));
    assert_eq!(newcomer.next(Duration::from_secs(60)), Step::Read(103, 104));
    let Step::Ready(replica) = newcomer.next(Duration::from_secs(60)) else { panic!() };
    assert_eq!(replica.last(), 102);
}

#[test]
fn another_past_is_noticed() {
    let log = log_of(3, 1, 50);
    let mut replica = log.replicas[0][40].clone();
    let mut other = log.replicas[0][30].snapshot();
    let place = log.end();
    assert!(!replica.read(&record(place, Command::Snapshot(Box::new(other.clone())))).diverged);
    other.chain ^= 1;
    assert!(replica.read(&record(place + 1, Command::Snapshot(Box::new(other)))).diverged);
}
