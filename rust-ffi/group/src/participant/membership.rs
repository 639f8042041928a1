//! What there is of a participant while it is a member.

use std::time::Duration;

use super::commits::Commits;
use super::config::{Config, Output, earliest};
use super::holdings::Holdings;
use super::lease::Lease;
use super::peers::Peers;
use crate::apply::Effect;
use crate::command::{Command, Entry, Record, Released};
use crate::guard::{Guard, stands};
use crate::names::{MemberId, Moment, Offset};
use crate::state::State;

/// What is committed is told to the cluster's own store at most so often.
const MIRROR_EVERY: Duration = Duration::from_secs(1);

/// How a member goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Leaving {
    processed: Vec<Entry>,
    /// It stores what was processed, and is silent from then on: it will be evicted, or come back by its instance.
    is_silent: bool,
    n: Option<u64>,
    /// It comes back with its reader.
    pub(crate) comes_back: bool,
}

/// A member that takes part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Membership {
    pub(crate) id: MemberId,
    pub(crate) since: Moment,
    pub(crate) lease: Lease,
    pub(crate) leaving: Option<Leaving>,
    peers: Peers,
    holdings: Holdings,
    commits: Commits,
    is_suspended: bool,
    /// Until then, nothing of what was taken over is given up.
    quarantine: Option<(Moment, Vec<(u32, Offset)>)>,
    mirrored: Moment,
}

impl Membership {
    /// The own join was read at `now`; it was first sent at `sent`. `replaced`: the session of whom it replaced.
    pub(crate) fn new(
        (id, session): (MemberId, Duration),
        state: &State,
        sent: Moment,
        replaced: Option<Duration>,
        now: Moment,
    ) -> Self {
        let taken = state.owned(id).map(|(number, partition)| (number, partition.epoch)).collect();
        Self {
            id,
            since: now,
            lease: Lease::new(session, sent, now),
            leaving: None,
            peers: Peers::new(id, state, now),
            holdings: Holdings::default(),
            commits: Commits::default(),
            is_suspended: false,
            quarantine: replaced.filter(|_| stands(Guard::Quarantine)).map(|session| (now + session, taken)),
            mirrored: now,
        }
    }

    /// Which epoch of the partition may be handed out now.
    pub(crate) fn hands(&self, partition: u32, now: Moment) -> Option<Offset> {
        let leased = self.lease.end() > now || !stands(Guard::LeaseGates);
        if leased && self.leaving.is_none() { self.holdings.hands(partition) } else { None }
    }

    /// Members came or went.
    pub(crate) fn follow(&mut self, state: &State, now: Moment) {
        self.peers.follow(state, now);
    }

    /// Owners changed, or the quarantine ended.
    pub(crate) fn settle(&mut self, state: &State, now: Moment, out: &mut Vec<Output>) {
        let quarantine = &self.quarantine;
        let stays = |number, epoch| quarantine.as_ref().is_some_and(|(_, taken)| taken.contains(&(number, epoch)));
        self.holdings.settle(state, self.id, stays, now, out);
    }

    /// Somebody else gave a sign of life.
    pub(crate) fn heard(&mut self, id: MemberId, now: Moment) {
        self.peers.heard(id, now);
    }

    /// The connections to the log are new: what was sent may be lost, and nobody could be heard.
    pub(crate) fn reconnected(&mut self, now: Moment) {
        if stands(Guard::Reconnect) {
            self.peers.begin_anew(now);
        }
        self.commits.again();
        self.holdings.release_again();
        if let Some(leaving) = &mut self.leaving {
            leaving.n = None;
        }
    }

    /// A command of its own was read back, and counts.
    pub(crate) fn read_back(&mut self, n: u64, effect: &Effect, state: &State, now: Moment, out: &mut Vec<Output>) {
        let heard = self.lease.heard();
        let Some(sent) = self.lease.read_back(n, now) else { return };
        if now > heard + self.pace() / 2 && stands(Guard::Silence) {
            self.peers.begin_anew(now);
        }
        if self.is_suspended && self.lease.end() > now {
            self.is_suspended = false;
            out.push(Output::Resumed);
        }
        self.done(n, effect, out);
        if stands(Guard::VoidSentAgain) {
            self.holdings.void_up_to(n, state, out);
            self.commits.void_below(n);
            if let Some(leaving) = &mut self.leaving {
                leaving.n = leaving.n.filter(|sent| *sent > n);
            }
        }
        self.holdings.open(state, now, out);
        if self.leaving.is_none() {
            let members = self.peers.evict(state, sent, now);
            out.extend((!members.is_empty()).then_some(Output::Append(Command::Evict { members })));
        }
    }

    fn done(&mut self, n: u64, effect: &Effect, out: &mut Vec<Output>) {
        for (token, fenced) in self.commits.read_back(n, &effect.refused) {
            out.push(Output::Committed { token, fenced });
        }
    }

    /// The own `leave` was read: what still waits is answered.
    pub(crate) fn end(&mut self, out: &mut Vec<Output>) {
        for (token, fenced) in self.commits.end() {
            out.push(Output::Committed { token, fenced });
        }
        self.holdings.lose(out);
    }

    pub(crate) fn commit(&mut self, token: u64, entries: Vec<Entry>) {
        self.commits.call(Some(token), entries);
    }

    pub(crate) fn resolved(&mut self, start: Entry, out: &mut Vec<Output>) {
        if let Some(start) = self.holdings.resolved(start, out) {
            self.commits.call(None, vec![start]);
        }
    }

    pub(crate) fn released(&mut self, released: Released) {
        self.holdings.released(released);
    }

    /// From now on nothing is handed out. In quarantine nothing is given up either: the member goes silent.
    pub(crate) fn leave(
        &mut self,
        processed: Vec<Entry>,
        is_silent: bool,
        comes_back: bool,
        state: &State,
        out: &mut Vec<Output>,
    ) {
        if self.leaving.is_some() {
            return;
        }
        let holds_on = |taken: &[(u32, Offset)]| {
            taken.iter().any(|(number, epoch)| {
                state.partition(*number).is_some_and(|it| it.owner == Some(self.id) && it.epoch == *epoch)
            })
        };
        let is_silent = is_silent || self.quarantine.as_ref().is_some_and(|(_, taken)| holds_on(taken));
        if is_silent && !processed.is_empty() {
            self.commits.call(None, processed.clone());
        }
        self.holdings.mirror(state, out);
        self.leaving = Some(Leaving { processed, is_silent, n: None, comes_back });
    }

    /// Whether all that it owns is read.
    pub(crate) fn is_settled(&self) -> bool {
        self.leaving.is_none() && self.holdings.are_read()
    }

    /// Whether it has gone silent, with nothing more to do.
    pub(crate) fn is_silent(&self) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| leaving.is_silent) && self.commits.is_idle()
    }

    /// The shortest session of the group: it paces the signs of life, so that everybody can tell silence from an idle log.
    fn pace(&self) -> Duration {
        let own = self.lease.session();
        if stands(Guard::SharedPace) { own.min(self.peers.pace()) } else { own }
    }

    /// What time alone does.
    pub(crate) fn tick(&mut self, config: &Config, state: &State, now: Moment, out: &mut Vec<Output>) {
        if self.lease.end() <= now && !self.is_suspended {
            self.is_suspended = true;
            out.push(Output::Suspended);
        }
        if self.quarantine.as_ref().is_some_and(|(until, _)| *until <= now) {
            self.quarantine = None;
            self.settle(state, now, out);
        }
        if self.leaving.is_none() {
            self.holdings.open(state, now, out);
            self.holdings.give_up_late(config.rebalance_timeout, now, out);
            if self.mirrored + MIRROR_EVERY <= now {
                self.mirrored = now;
                self.holdings.mirror(state, out);
            }
        }
    }

    /// Sends what there is to send: the link is up.
    pub(crate) fn send(&mut self, state: &State, now: Moment, out: &mut Vec<Output>) {
        let member = self.id;
        if self.leaving.is_none() {
            let waiting = self.holdings.to_release();
            if !waiting.is_empty() {
                self.holdings.mirror(state, out);
            }
            for released in waiting {
                let n = self.lease.send(now);
                self.holdings.release_sent(released.partition, n);
                out.push(Output::Append(Command::Release { member, n, released }));
            }
        }
        if let Some(offsets) = self.commits.next() {
            let n = self.lease.send(now);
            self.commits.sent(n, offsets.clone());
            out.push(Output::Append(Command::Commit { member, n, offsets }));
        }
        if !stands(Guard::Probe) && self.leaving.is_none() {
            let members = self.peers.evict(state, now, now);
            out.extend((!members.is_empty()).then_some(Output::Append(Command::Evict { members })));
        }
        let beats = self.wants_beat(state, now);
        match &mut self.leaving {
            Some(leaving) if !leaving.is_silent && leaving.n.is_none() && self.commits.is_idle() => {
                let n = self.lease.send(now);
                leaving.n = Some(n);
                let released = self.holdings.leave(&leaving.processed);
                out.push(Output::Append(Command::Leave { member, n, released }));
            }
            Some(_) => {}
            None if beats => {
                let n = self.lease.send(now);
                out.push(Output::Append(Command::Beat { member, n }));
            }
            None => {}
        }
    }

    fn beat_at(&self) -> Moment {
        self.lease.sent_at() + self.pace() / 3
    }

    /// A sign of life is due, or a proof is wanted that the log works.
    fn wants_beat(&mut self, state: &State, now: Moment) -> bool {
        let proof = self.peers.wants_proof(state, now);
        self.beat_at() <= now || proof.is_some_and(|since| !self.lease.is_out_since(since))
    }

    /// When [`Membership::tick`] or [`Membership::send`] have something to do.
    pub(crate) fn next_due(&self, config: &Config, state: &State, is_up: bool, now: Moment) -> Option<Moment> {
        let stays = self.leaving.is_none();
        earliest([
            (!self.is_suspended).then(|| self.lease.end()),
            self.quarantine.as_ref().map(|(until, _)| *until),
            self.holdings.next_due(config.rebalance_timeout).filter(|_| stays),
            (stays && !self.holdings.is_mirrored(state)).then(|| self.mirrored + MIRROR_EVERY),
            (stays && is_up).then(|| self.beat_at()),
            self.peers.next_due(state, now).filter(|_| stays && is_up),
        ])
    }

    /// Whether this record is the one by which it has left.
    pub(crate) fn has_left(&self, record: &Record) -> bool {
        matches!(&record.command, Command::Leave { member, .. } if *member == self.id)
    }
}
