//! The others: when each was last heard of, and who may be evicted.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::guard::{Guard, stands};
use crate::names::{MemberId, Moment, Offset};
use crate::state::{Member, State};

/// Who comes later in the order of joining waits so much longer for each before it.
pub(crate) const RANK: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Sign {
    session: Duration,
    read: Moment,
    evicted: Option<Moment>,
}

impl Sign {
    fn overdue_at(&self) -> Moment {
        self.read + self.session
    }
}

/// When the last sign of life of each other member was read, by the own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peers {
    me: MemberId,
    signs: BTreeMap<MemberId, Sign>,
    pace: Duration,
    /// Nobody is overdue before: so that not everybody is looked at after each record.
    calm_until: Moment,
}

/// Without what only saves time.
impl Hash for Peers {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.me, &self.signs, self.pace).hash(state);
    }
}

impl Peers {
    /// The clocks of all begin now.
    pub(crate) fn new(me: MemberId, state: &State, now: Moment) -> Self {
        let mut peers = Self { me, signs: BTreeMap::new(), pace: Duration::MAX, calm_until: now };
        peers.follow(state, now);
        peers
    }

    /// Members came or went, by one command.
    pub(crate) fn follow(&mut self, state: &State, now: Moment) {
        let session = |member: &Member| Duration::from_millis(member.session_ms.into());
        // Who joins comes last, and the others are known: of hundreds that join together not all are looked at each time.
        let before = self.signs.len() + 1;
        let known = if before > 1 && state.members.len() == before + 1 { before } else { 0 };
        for member in state.members.iter().skip(known).filter(|member| member.id != self.me) {
            self.signs.entry(member.id).or_insert(Sign { session: session(member), read: now, evicted: None });
        }
        if self.signs.len() >= state.members.len() {
            let stay: BTreeSet<MemberId> = state.members.iter().map(|member| member.id).collect();
            self.signs.retain(|id, _| stay.contains(id));
        }
        self.pace = state.members.iter().map(session).min().unwrap_or(Duration::MAX);
        self.look_ahead();
    }

    fn look_ahead(&mut self) {
        self.calm_until = self.signs.values().map(Sign::overdue_at).min().unwrap_or(Moment::MAX);
    }

    /// The shortest session of the group.
    pub(crate) fn pace(&self) -> Duration {
        self.pace
    }

    /// A sign of life was read.
    pub(crate) fn heard(&mut self, id: MemberId, now: Moment) {
        if let Some(sign) = self.signs.get_mut(&id) {
            (sign.read, sign.evicted) = (now, None);
        }
    }

    /// The log was silent, or read anew: nobody could be heard.
    pub(crate) fn begin_anew(&mut self, now: Moment) {
        for sign in self.signs.values_mut() {
            (sign.read, sign.evicted) = (now, None);
        }
    }

    /// Who is silent for longer than its session, since when it may be evicted, and the place of its last sign.
    fn silent(&mut self, state: &State, now: Moment) -> Vec<(MemberId, Moment, Offset)> {
        if now < self.calm_until {
            return Vec::new();
        }
        self.look_ahead();
        let overdue_at = |id: MemberId| self.signs.get(&id).map(Sign::overdue_at);
        let mut rank = 0;
        for member in state.members.iter().take_while(|member| member.id != self.me) {
            let is_silent = overdue_at(member.id).is_some_and(|at| at <= now);
            rank += u32::from(!is_silent || !stands(Guard::RankOfLiving));
        }
        let due = |member: &Member| {
            let at = overdue_at(member.id)? + RANK * rank;
            (at <= now).then_some((member.id, at, member.last_beat))
        };
        state.members.iter().filter_map(due).collect()
    }

    /// The moment from which a command of one's own must have been sent, so that its reading back proves that the log
    /// works: nobody can be evicted without. `None` if nobody is silent, or their evictions are on their way.
    pub(crate) fn wants_proof(&mut self, state: &State, now: Moment) -> Option<Moment> {
        let silent = self.silent(state, now);
        let without = silent.iter().filter(|(id, ..)| self.signs.get(id).is_some_and(|sign| sign.evicted.is_none()));
        without.map(|(_, at, _)| *at).max()
    }

    /// A command of one's own that was sent at `sent` was read back: whom does that allow to evict?
    pub(crate) fn evict(&mut self, state: &State, sent: Moment, now: Moment) -> Vec<(MemberId, Offset)> {
        let mut evicted = Vec::new();
        for (id, since, sign) in self.silent(state, now) {
            let Some(clock) = self.signs.get_mut(&id) else { continue };
            let sent_before = clock.evicted.is_some_and(|at| at >= sent);
            if since <= sent && !sent_before {
                clock.evicted = Some(now);
                evicted.push((id, sign));
            }
        }
        evicted
    }

    /// When somebody may become overdue, if nothing is heard before.
    pub(crate) fn next_due(&self, state: &State, now: Moment) -> Option<Moment> {
        if now < self.calm_until {
            return Some(self.calm_until).filter(|_| !self.signs.is_empty());
        }
        let rank = RANK * state.position(self.me).unwrap_or(0) as u32;
        let due =
            self.signs.values().map(Sign::overdue_at).filter_map(|at| [at, at + rank].into_iter().find(|at| *at > now));
        due.min()
    }
}
