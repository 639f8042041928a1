//! A few processes, a log, and commands on their way to it: everything that can happen next, in any order.
//!
//! The processes are the real machine. A process that takes no step is a stopped one; a command that was sent is
//! appended at any later time, twice, or never; clocks run at different rates.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use crate::command::{Command, Entry, Record, Released};
use crate::names::{GroupKey, MemberId, Moment, Offset};
use crate::participant::{Config, Output, Participant};
use crate::replica::Replica;
use crate::state::State;

/// What is tried, and how much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    /// How many are members when the search begins.
    pub(crate) members: usize,
    /// How many there are at most.
    pub(crate) processes: usize,
    pub(crate) partitions: u32,
    /// How often time passes.
    pub(crate) ticks: u8,
    /// How many commands are appended.
    pub(crate) appends: usize,
    /// How many are on their way at a time.
    pub(crate) flight: usize,
    /// How many are appended twice.
    pub(crate) copies: u8,
    /// How many ids are drawn, those of the first members included.
    pub(crate) ids: u8,
    /// Processes are killed and started again.
    pub(crate) crashes: bool,
    /// Records are handed out and committed.
    pub(crate) commits: bool,
    /// They are committed also when their partition went and came back.
    pub(crate) stale: bool,
    /// Processes leave.
    pub(crate) leaves: bool,
    /// The first and the last process have one instance.
    pub(crate) instance: bool,
    /// Sessions in seconds, of the first process and of the others.
    pub(crate) sessions: (u64, u64),
    /// The last record that may be handed out.
    pub(crate) offsets: Offset,
    /// A process that is never stopped, reads at once, and whose signs of life arrive at once: what the others do to it is
    /// searched the deeper.
    pub(crate) prompt: Option<usize>,
}

/// Ten seconds of real time are three ticks: a lease of 9 s by the slowest clock ends before that, a session of 10 s by
/// the fastest clock too, and one of 10 s by the slowest does not.
pub(crate) const TICK: Duration = Duration::from_nanos(10_000_000_000 / 3);
/// So long the short waits are, for more changes or for those of lower rank: time need not pass for them.
const SOON: Duration = Duration::from_millis(300);
const RATES: [u32; 3] = [976, 1024, 1000];

/// A record in the reader's hands.
type InHand = Option<(u32, Offset, Offset)>;

#[derive(Clone, Hash)]
pub(crate) struct Process {
    pub(crate) participant: Option<Participant>,
    read: usize,
    hand: InHand,
    stale: InHand,
    tokens: u64,
    revoked: Vec<(u32, Offset)>,
}

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) setup: Setup,
    key: GroupKey,
    pub(crate) log: Rc<Vec<Rc<Record>>>,
    /// The state before each place of the log, and after the last.
    states: Rc<Vec<Rc<State>>>,
    flight: Vec<Rc<Command>>,
    processes: Vec<(Rc<Process>, u64)>,
    begin: usize,
    ticks: u8,
    copies: u8,
    ids: u8,
    now: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Pass,
    Append(usize),
    AppendCopy(usize),
    Lose(usize),
    Read(usize),
    Tick(usize),
    Take(usize, u32),
    Commit(usize),
    CommitStale(usize),
    GiveUp(usize, u32, Offset),
    Leave(usize),
    Crash(usize),
    Restart(usize),
}

/// Why a step does not count.
#[derive(Debug)]
pub(crate) enum Stop {
    /// More than the setup allows.
    Pruned,
    /// The invariant that does not hold.
    Broken(String),
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl World {
    /// The first members have joined, and everything is calm.
    pub(crate) fn new(setup: Setup) -> Self {
        let key = GroupKey::new("billing", "orders").unwrap();
        let down = Process { participant: None, read: 0, hand: None, stale: None, tokens: 0, revoked: Vec::new() };
        let mut world = Self {
            setup: Setup {
                ticks: u8::MAX,
                appends: 1000,
                flight: 1000,
                copies: 0,
                ids: u8::MAX,
                prompt: None,
                ..setup
            },
            key,
            log: Rc::default(),
            states: Rc::new(vec![Rc::default()]),
            flight: Vec::new(),
            processes: vec![(Rc::new(down.clone()), 0); setup.processes],
            begin: 0,
            ticks: 0,
            copies: 0,
            ids: 0,
            now: Duration::from_secs(1_000),
        };
        for process in 0..setup.members {
            world = world.step(Act::Restart(process)).unwrap();
            world.calm();
        }
        world.begin = world.log.len();
        world.setup = setup;
        world
    }

    /// Everything arrives at once, for as long as anything changes.
    pub(crate) fn calm(&mut self) {
        for _ in 0..8 {
            while !self.flight.is_empty() {
                *self = self.step(Act::Append(0)).unwrap();
            }
            for process in 0..self.processes.len() {
                while self.processes[process].0.participant.is_some() && self.processes[process].0.read < self.log.len()
                {
                    *self = self.step(Act::Read(process)).unwrap();
                }
                for (partition, epoch) in self.processes[process].0.revoked.clone() {
                    *self = self.step(Act::GiveUp(process, partition, epoch)).unwrap();
                }
                if self.due(process).is_some() {
                    *self = self.step(Act::Tick(process)).unwrap();
                }
            }
            self.now += Duration::from_millis(60);
        }
    }

    fn clock(&self, process: usize) -> Moment {
        self.now * RATES[process % RATES.len()] / 1000
    }

    fn instance(&self, process: usize) -> bool {
        self.setup.instance && (process == 0 || process == self.setup.processes - 1)
    }

    /// What is due within a moment may come before anything else does.
    fn due(&self, process: usize) -> Option<Moment> {
        let now = self.clock(process);
        let due = self.processes[process].0.participant.as_ref()?.next_tick(now)?;
        (due <= now + SOON).then_some(due.max(now))
    }

    /// What tells this world from others.
    pub(crate) fn fingerprint(&self) -> u64 {
        let flight = self.flight.iter().map(hash_of).fold(0, u64::wrapping_add);
        let processes: Vec<u64> = self.processes.iter().map(|(_, hash)| *hash).collect();
        let digests: Vec<u64> = self.log[self.begin.min(self.log.len())..].iter().map(|record| record.digest).collect();
        hash_of(&(digests, flight, processes, self.ticks, self.copies, self.ids))
    }

    /// Everything that can happen next.
    pub(crate) fn acts(&self, acts: &mut Vec<Act>) {
        acts.clear();
        let setup = &self.setup;
        if let Some(prompt) = setup.prompt.filter(|prompt| self.processes[*prompt].0.participant.is_some()) {
            if self.processes[prompt].0.read < self.log.len() {
                return acts.push(Act::Read(prompt));
            }
            if self.due(prompt).is_some() {
                return acts.push(Act::Tick(prompt));
            }
        }
        if self.ticks < setup.ticks {
            acts.push(Act::Pass);
        }
        for at in 0..self.flight.len() {
            if self.log.len() < self.begin + setup.appends && !self.flight[..at].contains(&self.flight[at]) {
                acts.push(Act::Append(at));
                if self.copies < setup.copies {
                    acts.push(Act::AppendCopy(at));
                }
            }
            if self.flight.len() == setup.flight {
                acts.push(Act::Lose(at));
            }
        }
        for (at, (process, _)) in self.processes.iter().enumerate() {
            let Some(participant) = &process.participant else {
                if self.ids < setup.ids {
                    acts.push(Act::Restart(at));
                }
                continue;
            };
            if process.read < self.log.len() {
                acts.push(Act::Read(at));
            }
            if self.due(at).is_some() {
                acts.push(Act::Tick(at));
            }
            acts.extend(process.revoked.iter().map(|(partition, epoch)| Act::GiveUp(at, *partition, *epoch)));
            if participant.member_id().is_some() {
                self.reader_acts(at, process, acts);
            }
            if setup.crashes && setup.prompt != Some(at) {
                acts.push(Act::Crash(at));
            }
        }
    }

    fn reader_acts(&self, at: usize, process: &Process, acts: &mut Vec<Act>) {
        if self.setup.commits {
            let takes = (0..self.setup.partitions).filter(|partition| self.next(at, *partition).is_some());
            acts.extend(takes.map(|partition| Act::Take(at, partition)));
            if process.hand.is_some() {
                acts.push(Act::Commit(at));
            }
            if process.stale.is_some() {
                acts.push(Act::CommitStale(at));
            }
        }
        if self.setup.leaves {
            acts.push(Act::Leave(at));
        }
    }

    /// The next record of a partition that may be handed out.
    fn next(&self, at: usize, partition: u32) -> Option<(u32, Offset, Offset)> {
        let process = &self.processes[at].0;
        let participant = process.participant.as_ref()?;
        let epoch = participant.hands(partition, self.clock(at))?;
        let after = match process.hand {
            Some((in_hand, under, offset)) if (in_hand, under) == (partition, epoch) => offset,
            _ => participant.replica().state().partition(partition)?.committed.unwrap_or(-1),
        };
        (after < self.setup.offsets).then_some((partition, epoch, after + 1))
    }

    /// What comes of it.
    pub(crate) fn step(&self, act: Act) -> Result<Self, Stop> {
        let mut world = self.clone();
        match act {
            Act::Pass => {
                world.ticks += 1;
                world.now += TICK;
            }
            Act::Append(at) => {
                let command = world.flight.swap_remove(at);
                world.append(&command)?;
            }
            Act::AppendCopy(at) => {
                world.copies += 1;
                let command = Rc::clone(&world.flight[at]);
                world.append(&command)?;
            }
            Act::Lose(at) => drop(world.flight.swap_remove(at)),
            Act::Restart(at) => world.restart(at)?,
            Act::Crash(at) => world.change(at, |process, _, _| {
                *process = Process { participant: None, hand: None, stale: None, revoked: Vec::new(), ..*process };
            })?,
            Act::Read(at) => {
                let log = Rc::clone(&world.log);
                world.change(at, |process, now, out| {
                    process.read += 1;
                    if let Some(participant) = &mut process.participant {
                        participant.record(now, &log[process.read - 1], out);
                    }
                })?;
            }
            Act::Take(at, partition) => {
                let next = world.next(at, partition);
                world.change(at, |process, _, _| process.hand = next)?;
            }
            _ => world.act_of_participant(act)?,
        }
        world.check()?;
        Ok(world)
    }

    fn act_of_participant(&mut self, act: Act) -> Result<(), Stop> {
        let (Act::Tick(at) | Act::Commit(at) | Act::CommitStale(at) | Act::GiveUp(at, ..) | Act::Leave(at)) = act
        else {
            return Ok(());
        };
        let due = self.due(at);
        self.change(at, |process, now, out| {
            let Some(participant) = &mut process.participant else { return };
            let entry = |(partition, epoch, offset)| Entry { partition, epoch, offset };
            match act {
                Act::Tick(_) => participant.tick(due.unwrap_or(now), out),
                Act::GiveUp(_, partition, epoch) => {
                    process.revoked.retain(|it| *it != (partition, epoch));
                    participant.released(now, Released { partition, epoch, committed: None }, out);
                }
                Act::Leave(_) => participant.leave(now, Vec::new(), false, out),
                _ => {
                    let hand = if matches!(act, Act::Commit(_)) { &mut process.hand } else { &mut process.stale };
                    let in_hand = if matches!(act, Act::Commit(_)) { *hand } else { hand.take() };
                    process.tokens += 1;
                    participant.commit(now, process.tokens, in_hand.map(entry).into_iter().collect(), out);
                }
            }
        })
    }

    fn restart(&mut self, at: usize) -> Result<(), Stop> {
        let sessions = self.setup.sessions;
        let config = Config {
            instance: self.instance(at).then(|| "worker".into()),
            client_id: "c".into(),
            host: "h".into(),
            session_timeout: Duration::from_secs(if at == 0 { sessions.0 } else { sessions.1 }),
            rebalance_timeout: Duration::from_secs(1_000_000),
            processing_timeout: Duration::from_secs(1_000_000),
            partitions: self.setup.partitions,
        };
        let mut replica = Replica::empty(self.key.clone(), -1);
        for record in self.log.iter() {
            replica.read(record);
        }
        let read = self.log.len();
        self.change(at, |process, now, out| {
            let mut participant = Participant::new(config, replica, now);
            participant.link(now, true, out);
            process.participant = Some(participant);
            process.read = read;
        })
    }

    /// Changes a process, and does what it wants done.
    fn change(&mut self, at: usize, change: impl FnOnce(&mut Process, Moment, &mut Vec<Output>)) -> Result<(), Stop> {
        let now = self.clock(at);
        let mut process = Process::clone(&self.processes[at].0);
        let mut outputs = Vec::new();
        change(&mut process, now, &mut outputs);
        while !outputs.is_empty() {
            for output in std::mem::take(&mut outputs) {
                self.host(at, &mut process, now, output, &mut outputs)?;
            }
        }
        if let Some(participant) = &process.participant
            && let Some((partition, epoch, _)) = process.hand
        {
            let partition = participant.replica().state().partition(partition);
            if partition.is_none_or(|it| it.owner != participant.member_id() || it.epoch != epoch) {
                let gone = process.hand.take();
                process.stale = process.stale.or(gone.filter(|_| self.setup.stale));
            }
        }
        let hash = hash_of(&process);
        self.processes[at] = (Rc::new(process), hash);
        Ok(())
    }

    fn host(
        &mut self,
        at: usize,
        process: &mut Process,
        now: Moment,
        output: Output,
        out: &mut Vec<Output>,
    ) -> Result<(), Stop> {
        let Some(participant) = &mut process.participant else { return Ok(()) };
        match output {
            Output::Append(command) if self.setup.prompt == Some(at) && command.sender().is_some() => {
                self.append(&command)?;
            }
            Output::Append(_) if self.flight.len() == self.setup.flight => return Err(Stop::Pruned),
            Output::Append(command) => self.flight.push(Rc::new(command)),
            Output::Draw if self.ids == self.setup.ids => return Err(Stop::Pruned),
            Output::Draw => {
                self.ids += 1;
                participant.join(now, MemberId(self.ids.into()), out);
            }
            Output::Resolve { partition, epoch } => {
                participant.resolved(now, &[Entry { partition, epoch, offset: -1 }], out);
            }
            Output::Revoke { partition, epoch } => process.revoked.push((partition, epoch)),
            Output::Keep { partition, epoch } | Output::Lost { partition, epoch } => {
                process.revoked.retain(|it| *it != (partition, epoch));
            }
            Output::Diverged => return Err(Stop::Broken("a snapshot tells of another past".into())),
            _ => {}
        }
        Ok(())
    }

    fn append(&mut self, command: &Command) -> Result<(), Stop> {
        let offset = self.log.len() as Offset;
        let before = Rc::clone(self.states.last().unwrap());
        let mut after = State::clone(&before);
        let effect = after.apply(&self.key, offset, command);
        let record = Record { offset, command: command.clone(), digest: hash_of(command), size: 100 };
        super::invariants::of_append(&self.log, &record, &before, &after, &effect).map_err(Stop::Broken)?;
        Rc::make_mut(&mut self.log).push(Rc::new(record));
        Rc::make_mut(&mut self.states).push(Rc::new(after));
        Ok(())
    }

    /// No partition is handed out by two whose leases run, but by two of one instance.
    fn check(&self) -> Result<(), Stop> {
        for partition in 0..self.setup.partitions {
            let mut handing: Option<usize> = None;
            for (at, (process, _)) in self.processes.iter().enumerate() {
                let Some(participant) = &process.participant else { continue };
                if participant.hands(partition, self.clock(at)).is_none() {
                    continue;
                }
                match handing {
                    Some(other) if !(self.instance(at) && self.instance(other)) => {
                        let text = format!("processes {other} and {at} both hand out partition {partition}");
                        return Err(Stop::Broken(text));
                    }
                    _ => handing = Some(at),
                }
            }
        }
        Ok(())
    }
}

impl World {
    /// The step in words.
    pub(crate) fn describe(&self, act: Act) -> String {
        let place = self.log.len();
        match act {
            Act::Append(at) => format!("@{place} {:?}", self.flight[at]),
            Act::AppendCopy(at) => format!("@{place} a copy of {:?}", self.flight[at]),
            Act::Lose(at) => format!("lost: {:?}", self.flight[at]),
            Act::Read(at) => format!("process {at} reads @{}", self.processes[at].0.read),
            Act::Pass => format!("time passes, the {}. time", self.ticks + 1),
            act => format!("{act:?}"),
        }
    }
}
