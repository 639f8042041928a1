//! One run: what goes wrong, step by step, and what must hold after each step and at the end.

use std::collections::BTreeMap;

use super::log::Log;
use super::process::{Process, World};
use super::setups::Setup;
use crate::names::Offset;
use crate::tests::search::Random;

/// A record comes to each partition every so often.
const RECORD_EVERY: u64 = 100;

/// What is read: how far each partition goes, and what of it was processed.
#[derive(Default)]
pub(super) struct Topic {
    pub(super) partitions: u32,
    /// When each partition was added.
    added: BTreeMap<u32, u64>,
    now: u64,
    until: u64,
    /// Where the group began with each.
    begun: BTreeMap<u32, Offset>,
    processed: BTreeMap<u32, Vec<u32>>,
}

impl Topic {
    fn grow(&mut self, partitions: u32, now: u64) {
        self.added.extend((self.partitions..partitions).map(|partition| (partition, now)));
        self.partitions = partitions;
    }

    pub(super) fn end(&self, partition: u32, now: u64) -> Offset {
        let added = self.added.get(&partition).copied().unwrap_or(0);
        (now.min(self.until).saturating_sub(added) / RECORD_EVERY) as Offset - 1
    }

    /// Where one begins who wants only what comes: where the end is now.
    pub(super) fn begin(&self, partition: u32) -> Offset {
        self.end(partition, self.now)
    }

    /// Records behind `after` are handed out: from then on none may be missed.
    pub(super) fn assigned(&mut self, partition: u32, after: Offset) {
        self.begun.entry(partition).or_insert(after);
    }

    pub(super) fn process(&mut self, partition: u32, offset: Offset) {
        let counts = self.processed.entry(partition).or_default();
        if counts.len() <= offset as usize {
            counts.resize(offset as usize + 1, 0);
        }
        counts[offset as usize] += 1;
    }

    /// A record at or after the group's beginning that nobody processed.
    fn lost(&self, now: u64) -> Option<(u32, Offset)> {
        let missing = |partition: &u32| {
            let begun = self.begun.get(partition).copied().unwrap_or(-1);
            let counts = self.processed.get(partition).map_or(&[][..], |counts| counts);
            let all = begun + 1..=self.end(*partition, now);
            let mut missing = all.filter(|offset| counts.get(*offset as usize).is_none_or(|count| *count == 0));
            missing.next().map(|offset| (*partition, offset))
        };
        (0..self.partitions).find_map(|partition| missing(&partition))
    }
}

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) broken: Option<String>,
    pub(crate) commands: usize,
    pub(crate) evictions: usize,
    /// Of members that signed in time.
    pub(crate) wrongful: usize,
    pub(crate) rejoins: u32,
    pub(crate) processed: u64,
    pub(crate) repeated: u64,
    /// How long it took until everything was handed out, in milliseconds: since some were killed, or all started.
    pub(crate) takeover: u64,
}

impl Outcome {
    pub(crate) fn add(&mut self, other: &Self) {
        self.commands += other.commands;
        self.evictions += other.evictions;
        self.wrongful += other.wrongful;
        self.rejoins += other.rejoins;
        self.processed += other.processed;
        self.repeated += other.repeated;
        self.takeover = self.takeover.max(other.takeover);
    }
}

struct Run {
    setup: Setup,
    random: Random,
    log: Log,
    topic: Topic,
    processes: Vec<Process>,
    outcome: Outcome,
    judged: usize,
    /// For how long the log worked: while it does not, nobody can sign, and evictions that were sent before wait in it.
    worked: u64,
    /// When a member was last evicted whose process ran. Others came by late copies of joins.
    evicted: u64,
}

pub(crate) fn run(setup: Setup, seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let mut processes = Vec::new();
    for at in 0..setup.processes {
        // The first two differ as much as clocks may.
        let rate = [976, 1024].get(at).copied().unwrap_or(976 + random.below(49));
        processes.push(Process::new(at, rate, if setup.is_start { 10 } else { 10 + at as u64 * 100 }));
    }
    let mut topic = Topic { until: setup.trouble + setup.quiet / 2, ..Topic::default() };
    topic.grow(setup.partitions, 0);
    let mut run = Run {
        setup,
        random,
        log: Log::new(),
        topic,
        processes,
        outcome: Outcome::default(),
        judged: 0,
        worked: 0,
        evicted: 0,
    };
    match run.all() {
        Ok(()) => {}
        Err(broken) => run.outcome.broken = Some(broken),
    }
    run.outcome
}

impl Run {
    fn all(&mut self) -> Result<(), String> {
        let setup = self.setup;
        let killed_at = 3 * setup.session + 5_000 + self.random.below(setup.session) / 10 * 10;
        for now in (0..setup.trouble + setup.quiet).step_by(10) {
            self.topic.now = now;
            self.worked += if self.log.works(now) { 10 } else { 0 };
            if setup.killed > 0 && now == killed_at {
                for process in &mut self.processes[..setup.killed] {
                    process.kill(u64::MAX);
                }
            }
            self.trouble(now);
            let processes = &self.processes;
            self.log.write(&mut self.random, now, |from| processes[from].cut > now)?;
            self.judge();
            for at in 0..self.processes.len() {
                let (log, topic, random) = (&mut self.log, &mut self.topic, &mut self.random);
                self.processes[at].step(&mut World { setup: &setup, log, topic, random }, now);
            }
            let idle = self.apart(now)?;
            if setup.killed > 0 && now > killed_at + 20 && idle == 0 {
                self.outcome.takeover = now - killed_at;
                return Ok(());
            }
            if setup.is_start && idle == 0 && self.is_shared() {
                self.outcome.takeover = now;
                self.outcome.commands = self.log.records.len();
                return Ok(());
            }
        }
        self.rest(setup.trouble + setup.quiet)
    }

    /// Whether everybody has its share.
    fn is_shared(&self) -> bool {
        let state = self.log.state();
        state.members.len() == self.setup.processes && !state.partitions.iter().any(|it| it.moving)
    }

    /// Something goes wrong now and then; when the quiet begins everything is mended.
    fn trouble(&mut self, now: u64) {
        let (setup, random) = (self.setup, &mut self.random);
        if now >= setup.trouble {
            (self.log.stalled, self.log.down) = (self.log.stalled.min(now), self.log.down.min(now));
            for process in &mut self.processes {
                (process.paused, process.cut, process.lingers) = (process.paused.min(now), process.cut.min(now), 0);
                process.starts = if process.starts == u64::MAX { u64::MAX } else { process.starts.min(now) };
            }
        } else if random.below(1000) < setup.rate {
            let session = setup.session;
            let wait = random
                .one(&[500, 3_000, session * 45 / 100, session * 9 / 10, session * 12 / 10, session * 3])
                .min(setup.longest);
            let at = random.below(setup.processes as u64) as usize;
            let process = &mut self.processes[at];
            match random.below(8) {
                0 if setup.stalls => self.log.stalled = self.log.stalled.max(now + wait),
                1 if setup.outages => self.log.down = self.log.down.max(now + wait),
                2 if setup.pauses => process.paused = process.paused.max(now + wait),
                3 if setup.kills => {
                    let starts = now + 100 + random.below(2 * session);
                    process.kill(starts);
                }
                4 if setup.cuts => process.cut = process.cut.max(now + wait),
                5 if setup.grows && self.topic.partitions < 2 * setup.partitions && random.below(4) == 0 => {
                    self.topic.grow(self.topic.partitions + 1, now);
                }
                6 if setup.busy => process.lingers = random.one(&[session / 2, 3 * session, 5 * session]),
                7 if setup.leaves => {
                    let (log, topic) = (&mut self.log, &mut self.topic);
                    process.leave(&mut World { setup: &setup, log, topic, random }, now);
                }
                _ => {}
            }
        }
        for process in &mut self.processes {
            if process.paused > now || process.cut > now || now < process.starts || process.participant.is_none() {
                process.hindered = self.worked;
            }
        }
    }

    /// Was who was evicted hindered in the session before?
    fn judge(&mut self) {
        for (now, id) in &self.log.evictions[self.judged..] {
            self.outcome.evictions += 1;
            let evicted = self.processes.iter().find(|process| process.ids.last() == Some(id));
            let Some(process) = evicted.filter(|process| process.participant.is_some()) else { continue };
            self.evicted = *now;
            let session = self.setup.session_of(process.at);
            if self.worked - process.hindered > session * 4 / 3 + 1_000 {
                self.outcome.wrongful += 1;
            }
        }
        self.judged = self.log.evictions.len();
    }

    /// No partition is handed out by two. How many by none?
    fn apart(&self, now: u64) -> Result<u32, String> {
        let mut idle = 0;
        for partition in 0..self.topic.partitions {
            let mut handing = self.processes.iter().filter(|process| process.hands(partition, now));
            match (handing.next(), handing.next()) {
                (None, _) => idle += 1,
                (Some(one), Some(other)) => {
                    return Err(format!("at {now}: {} and {} both hand out partition {partition}", one.at, other.at));
                }
                _ => {}
            }
        }
        Ok(idle)
    }

    /// After the quiet.
    fn rest(&mut self, now: u64) -> Result<(), String> {
        let state = self.log.state();
        let alive: Vec<_> = self.processes.iter().filter_map(|it| it.participant.as_ref()?.member_id()).collect();
        if alive.len() != self.setup.processes || state.members.len() != alive.len() {
            return Err(format!(
                "{} of {} are members: {alive:?}, {:?}",
                alive.len(),
                self.setup.processes,
                state.members
            ));
        }
        let counts: Vec<usize> = alive.iter().map(|id| state.owned(*id).count()).collect();
        if counts.iter().sum::<usize>() != self.topic.partitions as usize
            || counts.iter().max() > counts.iter().min().map(|it| it + 1).as_ref()
        {
            return Err(format!("shares are {counts:?} of {}", self.topic.partitions));
        }
        let idle = self.apart(now)?;
        if idle > 0 {
            return Err(format!("{idle} partitions are idle after the quiet: {state:?}"));
        }
        let late = now - self.setup.quiet + 3 * self.setup.session + 10_000;
        if self.evicted > late {
            return Err(format!("a member was evicted at {}, long after the trouble", self.evicted));
        }
        if let Some((partition, offset)) = self.topic.lost(now) {
            let streams: Vec<_> = self.processes.iter().filter_map(|it| it.stream(partition)).collect();
            let state = state.partition(partition);
            return Err(format!("nobody processed record {offset} of partition {partition}: {state:?}, {streams:?}"));
        }
        self.outcome.commands = self.log.records.len();
        self.outcome.rejoins = self.processes.iter().map(|it| it.rejoins).sum();
        let counts = || self.topic.processed.values().flatten();
        self.outcome.processed = counts().map(|count| u64::from(*count)).sum();
        self.outcome.repeated = counts().map(|count| u64::from(count.saturating_sub(1))).sum();
        Ok(())
    }
}
