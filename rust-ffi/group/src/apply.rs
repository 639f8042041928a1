//! The only way in which a state changes.

use crate::assign::{Holding, assign_in, assign_one};
use crate::command::{Command, Entry, Join, Released};
use crate::guard::{Guard, stands};
use crate::names::{GroupKey, MemberId, Offset};
use crate::roll::Roll;
use crate::state::{Member, Partition, State, VERSION};

/// What became of a command at its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effect {
    /// Whether it held. One of a member that counts is a sign of life, whatever became of its entries.
    pub counts: bool,
    /// Whether it changed members, partitions, or offsets by `reset`.
    pub changed: bool,
    /// The entries, by their places, that did not hold.
    pub refused: Vec<usize>,
}

impl Effect {
    const VOID: Self = Self { counts: false, changed: false, refused: Vec::new() };
    const CHANGED: Self = Self { counts: true, changed: true, refused: Vec::new() };

    fn changed_if(held: bool) -> Self {
        if held { Self::CHANGED } else { Self::VOID }
    }
}

impl State {
    /// Applies the command that stands at `offset` of the log. Whether what it supposes holds is decided here, and by
    /// everybody alike.
    pub fn apply(&mut self, key: &GroupKey, offset: Offset, command: &Command) -> Effect {
        self.apply_with(&mut Roll::new(key.clone()), offset, command)
    }

    /// The same, with what was found out about the members before.
    pub(crate) fn apply_with(&mut self, roll: &mut Roll, offset: Offset, command: &Command) -> Effect {
        let given_up = self.given_up_by(command);
        let effect = match command {
            Command::Join(join) => Effect::changed_if(self.join(offset, join)),
            Command::Beat { member, n } => Effect { counts: self.counts(*member, *n, offset), ..Effect::VOID },
            Command::Leave { member, n, released } => self.leave(*member, *n, offset, released),
            Command::Evict { members } => self.evict(members),
            Command::Grow { partitions } => Effect::changed_if(self.grow(*partitions)),
            Command::Release { member, n, released } => self.release(*member, *n, offset, released),
            Command::Commit { member, n, offsets } => self.commit(*member, *n, offset, offsets),
            Command::Reset { generation, offsets } => self.reset(*generation, offsets),
            Command::Delete { generation } => self.delete(*generation),
            Command::Snapshot(_) | Command::Directory(_) => Effect::VOID,
        };
        if effect.changed {
            self.generation = offset;
            match given_up {
                Some(number) => self.pass_on(roll, offset, number),
                None => self.rebalance(roll, offset),
            }
        }
        effect
    }

    /// The partition that a release gives up as it was asked to.
    fn given_up_by(&self, command: &Command) -> Option<usize> {
        let Command::Release { released, .. } = command else { return None };
        let number = released.partition as usize;
        self.partitions.get(number).is_some_and(|partition| partition.moving).then_some(number)
    }

    /// Whether the command of a member with this number counts; if so it is a sign of life.
    fn counts(&mut self, id: MemberId, n: u64, offset: Offset) -> bool {
        let Some(member) = self.members.iter_mut().find(|member| member.id == id) else { return false };
        if n <= member.n && stands(Guard::Number) {
            return false;
        }
        member.n = n;
        member.last_beat = offset;
        true
    }

    fn join(&mut self, offset: Offset, join: &Join) -> bool {
        let holder = join.instance.as_deref().and_then(|instance| self.holder(instance)).map(|member| member.id);
        let expected = holder == join.replaces || !stands(Guard::Replaces);
        if self.position(join.member).is_some() || !expected || join.v < self.version {
            return false;
        }
        let mut member = Member {
            id: join.member,
            instance: join.instance.clone(),
            client_id: join.client_id.clone(),
            host: join.host.clone(),
            session_ms: join.session_ms,
            v: join.v,
            n: 0,
            last_beat: offset,
        };
        match holder.and_then(|holder| self.position(holder)) {
            Some(at) => {
                let before = &mut self.members[at];
                if stands(Guard::LongerSession) {
                    member.session_ms = member.session_ms.max(before.session_ms);
                }
                let replaced = std::mem::replace(before, member).id;
                for partition in self.partitions.iter_mut().filter(|it| it.owner == Some(replaced)) {
                    partition.give(join.member, offset);
                }
            }
            None => self.members.push(member),
        }
        if self.partitions.is_empty() {
            self.partitions = vec![Partition::NEW; join.partitions as usize];
        } else {
            self.grow(join.partitions);
        }
        true
    }

    fn leave(&mut self, id: MemberId, n: u64, offset: Offset, released: &[Released]) -> Effect {
        if !self.counts(id, n, offset) {
            return Effect::VOID;
        }
        let mut refused = Vec::new();
        for (at, released) in released.iter().enumerate() {
            match self.owned_by(id, released.partition, released.epoch) {
                Some(partition) => partition.committed = released.committed.or(partition.committed),
                None => refused.push(at),
            }
        }
        self.remove(id);
        Effect { refused, ..Effect::CHANGED }
    }

    fn evict(&mut self, members: &[(MemberId, Offset)]) -> Effect {
        let mut refused = Vec::new();
        for (at, (id, sign)) in members.iter().enumerate() {
            match self.member(*id) {
                Some(member) if member.last_beat == *sign || !stands(Guard::EvictedSign) => self.remove(*id),
                _ => refused.push(at),
            }
        }
        let held = refused.len() < members.len();
        Effect { counts: held, changed: held, refused }
    }

    /// Partitions that come later are read from their first record: whoever reads the group expects to miss nothing.
    fn grow(&mut self, partitions: u32) -> bool {
        let is = self.partitions.len();
        let grows = partitions as usize > is && (is > 0 || !stands(Guard::GrowsWhatIs));
        if grows {
            let committed = stands(Guard::GrownFromFirst).then_some(-1);
            self.partitions.resize(partitions as usize, Partition { committed, ..Partition::NEW });
        }
        grows
    }

    fn release(&mut self, id: MemberId, n: u64, offset: Offset, released: &Released) -> Effect {
        if !self.counts(id, n, offset) {
            return Effect::VOID;
        }
        match self.owned_by(id, released.partition, released.epoch) {
            Some(partition) => {
                partition.committed = released.committed.or(partition.committed);
                partition.owner = None;
                Effect::CHANGED
            }
            None => Effect { counts: true, changed: false, refused: vec![0] },
        }
    }

    fn commit(&mut self, id: MemberId, n: u64, offset: Offset, entries: &[Entry]) -> Effect {
        let anybody = !stands(Guard::Owner) && self.position(id).is_none();
        if !self.counts(id, n, offset) && !anybody {
            return Effect::VOID;
        }
        let mut refused = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            match self.owned_by(id, entry.partition, entry.epoch) {
                Some(partition) => partition.committed = Some(entry.offset),
                None => refused.push(at),
            }
        }
        Effect { counts: true, changed: false, refused }
    }

    fn reset(&mut self, generation: Offset, offsets: &[(u32, Offset)]) -> Effect {
        if !self.is_asleep_at(generation) {
            return Effect::VOID;
        }
        let mut refused = Vec::new();
        for (at, (number, offset)) in offsets.iter().enumerate() {
            match self.partitions.get_mut(*number as usize) {
                Some(partition) => partition.committed = Some(*offset),
                None => refused.push(at),
            }
        }
        Effect { refused, ..Effect::CHANGED }
    }

    fn delete(&mut self, generation: Offset) -> Effect {
        if !self.is_asleep_at(generation) {
            return Effect::VOID;
        }
        self.partitions.clear();
        self.version = VERSION;
        Effect::CHANGED
    }

    fn is_asleep_at(&self, generation: Offset) -> bool {
        self.members.is_empty() && (self.generation == generation || !stands(Guard::Generation))
    }

    fn remove(&mut self, id: MemberId) {
        self.members.retain(|member| member.id != id);
        for partition in self.partitions.iter_mut().filter(|partition| partition.owner == Some(id)) {
            partition.owner = None;
        }
    }

    fn owned_by(&mut self, id: MemberId, number: u32, epoch: Offset) -> Option<&mut Partition> {
        let partition = self.partitions.get_mut(number as usize)?;
        let owner = partition.owner == Some(id) || !stands(Guard::Owner);
        (owner && (partition.epoch == epoch || !stands(Guard::Epoch))).then_some(partition)
    }

    /// Gives what has no owner to whom it is to go, and marks what is to move.
    fn rebalance(&mut self, roll: &mut Roll, offset: Offset) {
        self.version = self.members.iter().map(|member| member.v).min().unwrap_or(self.version);
        roll.follow(&self.members);
        let held: Vec<Holding> = self.held(roll).collect();
        let targets = assign_in(roll.order(), &held);
        for (partition, target) in self.partitions.iter_mut().zip(targets) {
            let target = target.map(|at| self.members[at].id);
            match (partition.owner, target) {
                (None, Some(target)) => {
                    partition.give(target, offset);
                    partition.moving = false;
                }
                (None, None) => partition.moving = false,
                (Some(owner), target) => partition.moving = target != Some(owner),
            }
        }
    }

    /// The same after nothing but this partition was given up, which was to move: no other's owner changes.
    fn pass_on(&mut self, roll: &mut Roll, offset: Offset, number: usize) {
        self.partitions[number].moving = false;
        roll.follow(&self.members);
        if let Some(target) = assign_one(roll.order(), number, self.held(roll)) {
            self.partitions[number].give(self.members[target].id, offset);
        }
    }

    fn held(&self, roll: &Roll) -> impl ExactSizeIterator<Item = Holding> {
        let held = |it: &Partition| Holding { owner: it.owner.and_then(|id| roll.place(id)), moving: it.moving };
        self.partitions.iter().map(held)
    }
}

impl Partition {
    fn give(&mut self, owner: MemberId, offset: Offset) {
        self.owner = Some(owner);
        self.epoch = if stands(Guard::EpochIsPlace) { offset } else { self.epoch + 1 };
    }
}
