//! A process: the machine, its host, and a reader that takes records and commits them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::log::Log;
use super::run::Topic;
use super::setups::Setup;
use crate::command::{Entry, Released};
use crate::names::{MemberId, Moment, Offset};
use crate::newcomer::{Newcomer, Step};
use crate::participant::{Config, Output, Participant};
use crate::tests::search::Random;

/// So many records of a partition are taken at a time.
const CHUNK: Offset = 20;

/// What a process acts on.
pub(super) struct World<'a> {
    pub(super) setup: &'a Setup,
    pub(super) log: &'a mut Log,
    pub(super) topic: &'a mut Topic,
    pub(super) random: &'a mut Random,
}

/// A stream of one partition.
#[derive(Debug, Clone, Copy)]
struct Stream {
    epoch: Offset,
    position: Offset,
    committed: Offset,
    is_revoked: bool,
}

pub(super) struct Process {
    pub(super) at: usize,
    pub(super) participant: Option<Participant>,
    pub(super) rate: u64,
    pub(super) paused: u64,
    pub(super) cut: u64,
    /// When it starts, if it does not run.
    pub(super) starts: u64,
    /// When it was last hindered, by the time for which the log worked.
    pub(super) hindered: u64,
    /// Ids that it had, and when it stopped having each.
    pub(super) ids: Vec<MemberId>,
    pub(super) rejoins: u32,
    connection: Option<u64>,
    reconnects: u64,
    connections: u64,
    read: usize,
    polls: u64,
    streams: BTreeMap<u32, Stream>,
    /// Until when the reader is at work, and on what.
    busy: Option<u64>,
    in_hand: Vec<(u32, Offset)>,
    /// How long it is at work the next time.
    pub(super) lingers: u64,
    commits: u64,
    tokens: u64,
    grown: u32,
}

impl Process {
    pub(super) fn new(at: usize, rate: u64, starts: u64) -> Self {
        Self {
            at,
            participant: None,
            rate,
            paused: 0,
            cut: 0,
            starts,
            hindered: 0,
            ids: Vec::new(),
            rejoins: 0,
            connection: None,
            reconnects: 0,
            connections: 0,
            read: 0,
            polls: 0,
            streams: BTreeMap::new(),
            busy: None,
            in_hand: Vec::new(),
            lingers: 0,
            commits: 0,
            tokens: 0,
            grown: 0,
        }
    }

    pub(super) fn clock(&self, now: u64) -> Moment {
        Duration::from_micros(now * self.rate)
    }

    /// Which partitions it hands out at this moment, also when it is stopped: the reader may be past the check.
    pub(super) fn hands(&self, partition: u32, now: u64) -> bool {
        self.participant.as_ref().is_some_and(|it| it.hands(partition, self.clock(now)).is_some())
    }

    /// Where it is with a partition, and whether its machine lets it go on.
    pub(super) fn stream(&self, partition: u32) -> Option<String> {
        self.streams.get(&partition).map(|it| format!("{} {it:?} busy until {:?}", self.at, self.busy))
    }

    /// What the kernel has of it still arrives.
    pub(super) fn kill(&mut self, starts: u64) {
        self.connection = None;
        self.participant = None;
        self.streams.clear();
        self.busy = None;
        self.in_hand.clear();
        self.starts = starts;
    }

    /// It is done with what it has in hand, stores that, and leaves; it starts again a while later.
    pub(super) fn leave(&mut self, world: &mut World<'_>, now: u64) {
        if self.participant.is_none() || self.paused > now {
            return;
        }
        self.come_back(world, now);
        let streams = self.streams.iter();
        let processed = streams.map(|(&partition, it)| Entry { partition, epoch: it.epoch, offset: it.position });
        let (processed, is_silent) = (processed.collect(), world.setup.instances && world.random.below(2) == 0);
        self.call(world, now, |it, clock, out| it.leave(clock, processed, is_silent, out));
    }

    fn come_back(&mut self, world: &mut World<'_>, now: u64) {
        if self.busy.take().is_some() {
            for (partition, offset) in self.in_hand.drain(..) {
                world.topic.process(partition, offset);
            }
            self.call(world, now, |it, clock, out| it.returned(clock, out));
        }
    }

    fn disconnect(&mut self, log: &mut Log, random: &mut Random, now: u64) {
        if let Some(connection) = self.connection.take() {
            log.disconnect(random, self.at, connection, now);
        }
        self.reconnects = now + 20 + random.below(50);
    }

    /// One step of 10 ms, if it is not stopped.
    pub(super) fn step(&mut self, world: &mut World<'_>, now: u64) {
        if self.paused > now || now < self.starts {
            return;
        }
        let works = world.log.works(now) && self.cut <= now;
        if self.participant.is_none() {
            if !works {
                return;
            }
            self.start(world, now);
        }
        if self.connection.is_some() && !world.log.is_reachable(now) {
            self.disconnect(world.log, world.random, now);
            self.call(world, now, |it, clock, out| it.link(clock, false, out));
        }
        if self.connection.is_none() && !works && now >= self.reconnects {
            // An attempt ends by its time-out.
            self.reconnects = now + 50 + world.random.below(world.setup.session_of(self.at) / 4);
        }
        if self.connection.is_none() && works && now >= self.reconnects {
            self.connections += 1;
            self.connection = Some(self.connections);
            self.call(world, now, |it, clock, out| it.link(clock, true, out));
        }
        let timers_first = world.random.below(2) == 0;
        if timers_first {
            self.timers(world, now);
        }
        if self.connection.is_some() && works && now >= self.polls {
            self.polls = now + world.random.one(&[10, 50]);
            self.read_log(world, now);
        }
        if !timers_first {
            self.timers(world, now);
        }
        self.reader(world, now);
        if self.participant.as_ref().is_some_and(Participant::is_ended) {
            self.kill(now + 100 + world.random.below(world.setup.session));
        }
    }

    fn start(&mut self, world: &World<'_>, now: u64) {
        let World { setup, log, topic, .. } = world;
        let mut newcomer = Newcomer::new(log.key.clone(), 0, log.records.len() as Offset);
        let replica = loop {
            match newcomer.next(self.clock(now)) {
                Step::Read(from, until) => {
                    let read = log.records[from as usize..until as usize].iter();
                    read.for_each(|(record, _)| newcomer.record(&log.key, record));
                }
                Step::Ready(replica) => break replica,
                step => panic!("{step:?} of a log from its beginning"),
            }
        };
        assert_eq!(replica.state(), log.state(), "a newcomer comes to another state");
        let config = Config {
            instance: setup.instances.then(|| format!("worker-{}", self.at).into()),
            client_id: "client".into(),
            host: "host".into(),
            session_timeout: Duration::from_millis(setup.session_of(self.at)),
            rebalance_timeout: Duration::from_millis(2 * setup.session),
            processing_timeout: Duration::from_millis(4 * setup.session),
            partitions: topic.partitions,
        };
        self.grown = topic.partitions;
        self.read = log.records.len();
        self.participant = Some(Participant::new(config, *replica, self.clock(now)));
    }

    fn timers(&mut self, world: &mut World<'_>, now: u64) {
        let partitions = world.topic.partitions;
        if self.grown < partitions {
            self.grown = partitions;
            self.call(world, now, |it, clock, out| it.grown(clock, partitions, out));
        }
        self.call(world, now, |it, clock, out| {
            if it.next_tick(clock).is_some_and(|due| due <= clock) {
                it.tick(clock, out);
                let is_due = it.next_tick(clock).is_some_and(|due| due <= clock);
                assert!(!is_due || !out.is_empty(), "it is always due: {it:?}");
            }
        });
    }

    fn read_log(&mut self, world: &mut World<'_>, now: u64) {
        while self.read < world.log.records.len() && world.log.records[self.read].1 + 5 <= now {
            let record = world.log.records[self.read].0.clone();
            self.read += 1;
            self.call(world, now, |it, clock, out| it.record(clock, &record, out));
            let Some(participant) = self.participant.as_ref().filter(|it| !it.is_ended()) else { return };
            if self.read.is_multiple_of(8) {
                assert_eq!(participant.replica().state(), &*world.log.states[self.read], "two states at {}", self.read);
            }
        }
    }

    fn host(&mut self, world: &mut World<'_>, now: u64, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Append(command) => {
                    let Some(connection) = self.connection else { panic!("sent without a link: {command:?}") };
                    world.log.send(world.setup, world.random, now, (self.at, connection), command);
                }
                Output::Draw => {
                    // In the order of time, so that the invariants can tell an older one.
                    let id = MemberId(u128::from(now) << 64 | u128::from(world.random.next()));
                    self.ids.push(id);
                    self.call(world, now, |it, clock, out| it.join(clock, id, out));
                }
                Output::Renew => {
                    self.disconnect(world.log, world.random, now);
                    self.call(world, now, |it, clock, out| it.link(clock, false, out));
                }
                Output::Resolve { partition, epoch } => {
                    let start = Entry { partition, epoch, offset: world.topic.begin(partition) };
                    self.call(world, now, |it, clock, out| it.resolved(clock, &[start], out));
                }
                Output::Assign { partition, epoch, after } => {
                    let stream = Stream { epoch, position: after, committed: after, is_revoked: false };
                    self.streams.insert(partition, stream);
                    world.topic.assigned(partition, after);
                }
                Output::Revoke { partition, .. } => {
                    self.streams.entry(partition).and_modify(|it| it.is_revoked = true);
                }
                Output::Keep { partition, .. } => {
                    self.streams.entry(partition).and_modify(|it| it.is_revoked = false);
                }
                Output::Lost { partition, .. } => drop(self.streams.remove(&partition)),
                Output::Evicted => self.rejoins += 1,
                Output::Fenced if world.setup.instances => {}
                Output::Fenced | Output::Diverged | Output::Newer(_) => panic!("{output:?}"),
                _ => {}
            }
        }
    }

    /// Calls the machine, and does what it wants before anything else happens.
    fn call(&mut self, world: &mut World<'_>, now: u64, call: impl FnOnce(&mut Participant, Moment, &mut Vec<Output>)) {
        let (clock, mut out) = (self.clock(now), Vec::new());
        if let Some(participant) = &mut self.participant {
            call(participant, clock, &mut out);
        }
        self.host(world, now, out);
    }

    /// The reader: it takes records, is at work for a while, comes back, and commits now and then.
    fn reader(&mut self, world: &mut World<'_>, now: u64) {
        if self.participant.is_none() || self.busy.is_some_and(|until| until > now) {
            return;
        }
        self.come_back(world, now);
        let revoked = self.streams.iter().filter(|(_, it)| it.is_revoked).map(|(at, it)| (*at, *it));
        for (partition, stream) in revoked.collect::<Vec<_>>() {
            self.streams.remove(&partition);
            let committed = Some(stream.position).filter(|position| *position > stream.committed);
            let released = Released { partition, epoch: stream.epoch, committed };
            self.call(world, now, |it, clock, out| it.released(clock, released, out));
        }
        if now >= self.commits {
            self.commits = now + 300 + world.random.below(400);
            let mut entries = Vec::new();
            for (&partition, stream) in self.streams.iter_mut().filter(|(_, it)| it.position > it.committed) {
                stream.committed = stream.position;
                entries.push(Entry { partition, epoch: stream.epoch, offset: stream.position });
            }
            self.tokens += 1;
            let token = self.tokens;
            if !entries.is_empty() {
                self.call(world, now, |it, clock, out| it.commit(clock, token, entries, out));
            }
        }
        self.take(world, now);
    }

    fn take(&mut self, world: &mut World<'_>, now: u64) {
        let clock = self.clock(now);
        let Some(participant) = &mut self.participant else { return };
        for (&partition, stream) in &mut self.streams {
            let may = participant.hands(partition, clock) == Some(stream.epoch);
            let until = world.topic.end(partition, now).min(stream.position + CHUNK);
            while may && stream.position < until {
                stream.position += 1;
                self.in_hand.push((partition, stream.position));
            }
        }
        if !self.in_hand.is_empty() {
            participant.took(clock);
            self.busy = Some(now + 10 + world.random.below(100) + std::mem::take(&mut self.lingers));
        }
    }
}
