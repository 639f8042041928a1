//! One who takes part in a group, as a machine: what it reads, hears and is asked for goes in with the time, what is to
//! be done comes out. It does nothing by itself, so that a test can try every order of events.
//!
//! The host owns one [`Participant`] per consumer, calls it from one task, and does what the outputs say before it
//! calls again. It reads the log with `read_committed`, hands over every record of the key in order, and calls
//! [`Participant::tick`] at [`Participant::next_tick`]. Time is taken *before* a call, from a clock that counts
//! suspended time: what the machine sends in that call counts from then.

mod commits;
mod config;
mod holdings;
mod lease;
mod membership;
mod peers;

use std::collections::VecDeque;
use std::time::Duration;

pub use config::{Config, Output};

use self::config::earliest;
use self::membership::Membership;
use self::peers::RANK;
use crate::command::{Command, Entry, Join, Record, Released};
use crate::guard::{Guard, stands};
use crate::names::{MemberId, Moment, Offset};
use crate::replica::Replica;
use crate::state::VERSION;

/// Who was evicted joins again after so long; twice as long each time,
const REJOIN: Duration = Duration::from_millis(100);
/// but never longer than this. Whoever was a member for so long begins anew.
const REJOIN_AT_MOST: Duration = Duration::from_secs(60);
/// Changes are in a snapshot after so long.
const CHANGES_AFTER: Duration = Duration::from_secs(60);
/// And signs of life after so long: else the log would keep a living group, but not its last snapshot.
const SNAPSHOT_AT_LEAST: Duration = Duration::from_secs(600);
/// A snapshot that did not come back is written again after so long.
const SNAPSHOT_AGAIN: Duration = Duration::from_secs(10);
/// Of so many of its ids a participant knows that they are used up.
const USED: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    /// It joins when the time has come and the link is up.
    Waiting {
        until: Moment,
    },
    /// It has asked for an id.
    Drawing,
    /// Its join is out; when it was first sent.
    Joining {
        id: MemberId,
        sent: Option<Moment>,
    },
    Member(Box<Membership>),
    /// It left since its reader did not come back.
    Idle,
    Ended,
}

/// One consumer of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Participant {
    config: Config,
    replica: Replica,
    phase: Phase,
    is_up: bool,
    /// When the connections were last made anew, or that was asked for.
    renewed: Option<Moment>,
    /// Since when the reader is at work.
    busy: Option<Moment>,
    evictions: u32,
    /// Ids that are used up, and the last number that each sent.
    used: VecDeque<(MemberId, u64)>,
    /// How many partitions the topic has, if the group does not know yet, and when to say so.
    growth: Option<(u32, Moment)>,
    /// Since when there are changes that no snapshot has.
    changed: Option<Moment>,
    snapshot_sent: Option<Moment>,
    snapshot_read: Moment,
}

impl Participant {
    /// One that is not a member yet, and has read the log up to the end of `replica`. The link is down.
    pub fn new(config: Config, replica: Replica, now: Moment) -> Self {
        Self {
            config,
            replica,
            phase: Phase::Waiting { until: now },
            is_up: false,
            renewed: None,
            busy: None,
            evictions: 0,
            used: VecDeque::new(),
            growth: None,
            changed: None,
            snapshot_sent: None,
            snapshot_read: now,
        }
    }

    /// How it is set up.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What it has read.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Its id, if it is a member.
    pub fn member_id(&self) -> Option<MemberId> {
        self.membership().map(|member| member.id)
    }

    /// Until when records may be handed out: what the host's shared slot holds. [`Moment::ZERO`] if it is no member, or
    /// leaves.
    pub fn lease_end(&self) -> Moment {
        self.membership().filter(|member| member.leaving.is_none()).map_or(Moment::ZERO, |member| member.lease.end())
    }

    /// Whether it is a member that owns all that it is going to own for now: nothing moves, and all it has is read.
    pub fn is_settled(&self) -> bool {
        let calm = self.replica.state().partitions.iter().all(|it| it.owner.is_some() && !it.moving);
        calm && self.membership().is_some_and(Membership::is_settled)
    }

    /// The epoch under which records of the partition may be handed out at this moment.
    pub fn hands(&self, partition: u32, now: Moment) -> Option<Offset> {
        self.membership()?.hands(partition, now)
    }

    /// Whether it came to its end: fenced, left, or the group is not to be read by this code.
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    fn membership(&self) -> Option<&Membership> {
        if let Phase::Member(member) = &self.phase { Some(member) } else { None }
    }

    /// The connections to the log, both of them, are there or are not. It is up only while nothing waits to be sent.
    pub fn link(&mut self, now: Moment, is_up: bool, out: &mut Vec<Output>) {
        let comes_up = is_up && !self.is_up;
        self.is_up = is_up;
        if comes_up {
            self.renewed = Some(now);
            match &mut self.phase {
                Phase::Member(member) => member.reconnected(now),
                Phase::Joining { id, sent } => {
                    let (id, sent) = (*id, *sent);
                    self.send_join(now, id, sent, out);
                }
                _ => {}
            }
        }
        self.tick(now, out);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Moment, out: &mut Vec<Output>) {
        match &mut self.phase {
            Phase::Waiting { until } if *until <= now && self.is_up => {
                self.phase = Phase::Drawing;
                out.push(Output::Draw);
            }
            Phase::Member(member) => {
                member.tick(&self.config, self.replica.state(), now, out);
                if self.busy.is_some_and(|since| since + self.config.processing_timeout <= now) {
                    member.leave(Vec::new(), false, true, self.replica.state(), out);
                }
            }
            _ => {}
        }
        if let Some(at) = self.renew_at()
            && at <= now
        {
            self.renewed = Some(now);
            self.is_up = false;
            out.push(Output::Renew);
        }
        self.send(now, out);
    }

    /// Since when something waits for being read back, so that both connections are in doubt.
    fn renew_at(&self) -> Option<Moment> {
        let waiting = match &self.phase {
            Phase::Member(member) => member.lease.waiting_since(),
            Phase::Joining { sent, .. } => *sent,
            _ => None,
        };
        let since = waiting.filter(|_| self.is_up)?.max(self.renewed.unwrap_or(Moment::ZERO));
        Some(since + self.config.session() / 4)
    }

    /// The id that was asked for: 128 random bits, never used before.
    pub fn join(&mut self, now: Moment, id: MemberId, out: &mut Vec<Output>) {
        if self.phase == Phase::Drawing {
            self.send_join(now, id, None, out);
        }
    }

    fn send_join(&mut self, now: Moment, member: MemberId, first: Option<Moment>, out: &mut Vec<Output>) {
        self.phase = Phase::Joining { id: member, sent: first.or(self.is_up.then_some(now)) };
        if !self.is_up {
            return;
        }
        let instance = self.config.instance.clone();
        let holder = instance.as_deref().and_then(|instance| self.replica.state().holder(instance));
        out.push(Output::Append(Command::Join(Box::new(Join {
            member,
            replaces: holder.map(|holder| holder.id),
            instance,
            client_id: self.config.client_id.clone(),
            host: self.config.host.clone(),
            session_ms: self.config.session_ms(),
            v: VERSION,
            partitions: self.config.partitions,
        }))));
    }

    /// The next record of the key.
    pub fn record(&mut self, now: Moment, record: &Record, out: &mut Vec<Output>) {
        if self.phase == Phase::Ended {
            return;
        }
        let replaced = self.replaced_session(record);
        let read = self.replica.read(record);
        self.changed = if self.replica.has_changed() { self.changed.or(Some(now)) } else { None };
        if matches!(record.command, Command::Snapshot(_)) {
            (self.snapshot_sent, self.snapshot_read) = (None, now);
        }
        let version = self.replica.state().version;
        if read.diverged || version > VERSION {
            out.push(if read.diverged { Output::Diverged } else { Output::Newer(version) });
            return self.finish(out);
        }
        self.answer_ghost(record, read.effect.counts, out);
        match &mut self.phase {
            Phase::Joining { id, sent } if record.command.sender() == Some((*id, 0)) => {
                let (id, sent) = (*id, sent.unwrap_or(now));
                self.joined(now, id, sent, read.effect.counts, replaced, out);
            }
            Phase::Member(member) => {
                let state = self.replica.state();
                if state.position(member.id).is_none() {
                    self.gone(now, record, out);
                } else {
                    if read.effect.changed {
                        if record.command.is_of_members() {
                            member.follow(state, now);
                        }
                        member.settle(state, now, out);
                    }
                    match record.command.sender() {
                        Some((id, n)) if id == member.id && read.effect.counts => {
                            member.read_back(n, &read.effect, state, now, out);
                        }
                        Some((id, _)) if read.effect.counts => member.heard(id, now),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        self.send(now, out);
    }

    /// The session of the member that this join replaces, if it does.
    fn replaced_session(&self, record: &Record) -> Option<Duration> {
        let Command::Join(join) = &record.command else { return None };
        let replaced = self.replica.state().member(join.replaces?)?;
        Some(Duration::from_millis(replaced.session_ms.into()))
    }

    /// A copy of a join that came late makes a member of an id that nobody has any more.
    fn answer_ghost(&mut self, record: &Record, counts: bool, out: &mut Vec<Output>) {
        let Command::Join(join) = &record.command else { return };
        if !counts || !self.is_up || !stands(Guard::GhostLeaves) {
            return;
        }
        if let Some((member, n)) = self.used.iter_mut().find(|(id, _)| *id == join.member) {
            *n += 1;
            out.push(Output::Append(Command::Leave { member: *member, n: *n, released: Vec::new() }));
        }
    }

    fn joined(
        &mut self,
        now: Moment,
        id: MemberId,
        sent: Moment,
        counts: bool,
        replaced: Option<Duration>,
        out: &mut Vec<Output>,
    ) {
        let state = self.replica.state();
        if counts {
            let session = self.config.session();
            let mut member = Box::new(Membership::new((id, session), state, sent, replaced, now));
            out.push(Output::Joined);
            member.settle(state, now, out);
            self.phase = Phase::Member(member);
            if self.busy.is_some() {
                self.busy = Some(now);
            }
        } else if state.position(id).is_none() {
            // Somebody has taken or given back the instance in between.
            self.use_up(id, 0);
            self.phase = Phase::Waiting { until: now + REJOIN };
        }
    }

    fn use_up(&mut self, id: MemberId, n: u64) {
        if self.used.len() == USED {
            self.used.pop_front();
        }
        self.used.push_back((id, n));
    }

    /// It is no member any more.
    fn gone(&mut self, now: Moment, record: &Record, out: &mut Vec<Output>) {
        let Phase::Member(mut member) = std::mem::replace(&mut self.phase, Phase::Ended) else { return };
        self.use_up(member.id, member.lease.last());
        member.end(out);
        let replaces = matches!(&record.command, Command::Join(join) if join.replaces == Some(member.id));
        let has_left = member.has_left(record);
        if has_left && self.replica.state().members.is_empty() && self.is_up {
            out.push(Output::Append(Command::Snapshot(Box::new(self.replica.snapshot()))));
        }
        if let Some(leaving) = member.leaving {
            self.phase = if leaving.comes_back { Phase::Idle } else { Phase::Ended };
            if leaving.comes_back && self.busy.is_none() {
                self.phase = Phase::Waiting { until: now };
            }
            out.push(Output::Left);
        } else if replaces {
            out.push(Output::Fenced);
        } else {
            if now >= member.since + REJOIN_AT_MOST {
                self.evictions = 0;
            }
            let pause = (REJOIN * (1 << self.evictions.min(10))).min(REJOIN_AT_MOST);
            self.evictions += 1;
            self.phase = Phase::Waiting { until: now + pause };
            out.push(Output::Evicted);
        }
    }

    fn finish(&mut self, out: &mut Vec<Output>) {
        if let Phase::Member(mut member) = std::mem::replace(&mut self.phase, Phase::Ended) {
            member.end(out);
        }
    }

    /// Something was handed out: the reader is at work.
    pub fn took(&mut self, now: Moment) {
        self.busy = Some(now);
    }

    /// The reader came back: everything that was handed out is done.
    pub fn returned(&mut self, now: Moment, out: &mut Vec<Output>) {
        self.busy = None;
        if self.phase == Phase::Idle {
            self.phase = Phase::Waiting { until: now };
        }
        self.tick(now, out);
    }

    /// Stores offsets, each under the epoch under which its record was handed out; `token` comes back when it is done.
    pub fn commit(&mut self, now: Moment, token: u64, entries: Vec<Entry>, out: &mut Vec<Output>) {
        match &mut self.phase {
            Phase::Member(member) => member.commit(token, entries),
            _ => {
                let fenced = entries.iter().map(|entry| (entry.partition, entry.offset)).collect();
                out.push(Output::Committed { token, fenced });
            }
        }
        self.send(now, out);
    }

    /// Where partitions begin that never had a commit: of each the offset before its first record.
    pub fn resolved(&mut self, now: Moment, starts: &[Entry], out: &mut Vec<Output>) {
        if let Phase::Member(member) = &mut self.phase {
            starts.iter().for_each(|start| member.resolved(*start, out));
        }
        self.send(now, out);
    }

    /// A partition is given up: nothing of it is handed out, and everything that was is done.
    pub fn released(&mut self, now: Moment, released: Released, out: &mut Vec<Output>) {
        if let Phase::Member(member) = &mut self.phase {
            member.released(released);
        }
        self.send(now, out);
    }

    /// The topic has so many partitions.
    pub fn grown(&mut self, now: Moment, partitions: u32, out: &mut Vec<Output>) {
        if partitions > self.config.partitions {
            self.config.partitions = partitions;
            let rank = self.member_id().and_then(|id| self.replica.state().position(id)).unwrap_or(0);
            self.growth = Some((partitions, now + RANK * rank as u32));
        }
        self.tick(now, out);
    }

    /// It stores what was processed and leaves; nothing is handed out from now on. `is_silent`: it does not give its
    /// partitions up, since its instance will come back.
    pub fn leave(&mut self, now: Moment, processed: Vec<Entry>, is_silent: bool, out: &mut Vec<Output>) {
        match &mut self.phase {
            Phase::Member(member) => {
                if let Some(leaving) = &mut member.leaving {
                    leaving.comes_back = false;
                }
                member.leave(processed, is_silent, false, self.replica.state(), out);
            }
            Phase::Ended => {}
            Phase::Joining { id, .. } if self.is_up && !is_silent => {
                // Whether it became a member or not: by then it is none.
                let leave = Command::Leave { member: *id, n: 1, released: Vec::new() };
                out.extend([Output::Append(leave), Output::Left]);
                self.phase = Phase::Ended;
            }
            _ => {
                self.phase = Phase::Ended;
                out.push(Output::Left);
            }
        }
        self.send(now, out);
    }

    /// Sends what there is to send, if the link is up.
    fn send(&mut self, now: Moment, out: &mut Vec<Output>) {
        let Phase::Member(member) = &mut self.phase else { return };
        if self.is_up {
            member.send(self.replica.state(), now, out);
            let (id, is_leaving) = (member.id, member.leaving.is_some());
            if !is_leaving {
                self.send_growth(now, out);
                self.send_snapshot(now, id, out);
            }
        }
        if let Phase::Member(member) = &mut self.phase
            && member.is_silent()
        {
            let comes_back = member.leaving.as_ref().is_some_and(|leaving| leaving.comes_back);
            let (id, last) = (member.id, member.lease.last());
            member.end(out);
            self.use_up(id, last);
            self.phase = if comes_back { Phase::Idle } else { Phase::Ended };
            out.push(Output::Left);
        }
    }

    fn send_growth(&mut self, now: Moment, out: &mut Vec<Output>) {
        let Some((partitions, at)) = self.growth else { return };
        if partitions <= self.replica.state().partition_count() {
            self.growth = None;
        } else if at <= now {
            self.growth = Some((partitions, now + self.config.session()));
            out.push(Output::Append(Command::Grow { partitions }));
        }
    }

    /// The first in the order of joining writes the snapshots.
    fn send_snapshot(&mut self, now: Moment, me: MemberId, out: &mut Vec<Output>) {
        let is_first = self.replica.state().members.first().is_some_and(|first| first.id == me);
        if is_first && self.snapshot_at(now).is_some_and(|at| at <= now) {
            self.snapshot_sent = Some(now);
            out.push(Output::Append(Command::Snapshot(Box::new(self.replica.snapshot()))));
        }
    }

    fn snapshot_at(&self, now: Moment) -> Option<Moment> {
        let wanted = earliest([
            self.replica.is_long().then_some(now),
            self.changed.map(|at| at + CHANGES_AFTER),
            self.replica.has_commands().then(|| self.snapshot_read + SNAPSHOT_AT_LEAST),
        ]);
        wanted.map(|at| at.max(self.snapshot_sent.map_or(Moment::ZERO, |sent| sent + SNAPSHOT_AGAIN)))
    }

    /// When [`Participant::tick`] is to be called, if nothing else comes before.
    pub fn next_tick(&self, now: Moment) -> Option<Moment> {
        match &self.phase {
            Phase::Waiting { until } => Some(*until).filter(|_| self.is_up),
            Phase::Joining { .. } => self.renew_at(),
            Phase::Member(member) => {
                let stays = member.leaving.is_none();
                let state = self.replica.state();
                let is_first = state.members.first().is_some_and(|first| first.id == member.id);
                earliest([
                    member.next_due(&self.config, state, self.is_up, now),
                    self.renew_at(),
                    self.busy.filter(|_| stays).map(|since| since + self.config.processing_timeout),
                    self.growth.filter(|_| stays && self.is_up).map(|(_, at)| at),
                    self.snapshot_at(now).filter(|_| is_first && stays && self.is_up),
                ])
            }
            Phase::Drawing | Phase::Idle | Phase::Ended => None,
        }
    }
}
