//! The members of a group in the order in which they are served.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use crate::names::{GroupKey, MemberId};
use crate::state::Member;

/// What is known of the members of one group, kept from one command to the next. It only saves time: a reader of the
/// log applies the releases of hundreds of partitions in a row, and between two of them no member comes or goes.
#[derive(Debug, Clone)]
pub(crate) struct Roll {
    key: GroupKey,
    known: Arc<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// In the order of joining.
    ids: Vec<MemberId>,
    /// The places in that order, in the order of the hash.
    order: Vec<usize>,
    /// The place of each, and its hash.
    places: HashMap<MemberId, (usize, u64), BuildHasherDefault<RandomBits>>,
}

/// Ids are random already.
#[derive(Debug, Default)]
struct RandomBits(u64);

impl Hasher for RandomBits {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.chunks(8).for_each(|chunk| self.0 = chunk.iter().fold(self.0, |all, byte| all << 8 ^ u64::from(*byte)));
    }

    fn write_u128(&mut self, bits: u128) {
        self.0 = bits as u64 ^ (bits >> 64) as u64;
    }
}

impl PartialEq for Roll {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Roll {}

/// Without what only saves time.
impl Hash for Roll {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

/// The places of members in the order in which they are served; `ranked` has their hashes and ids, in the order of
/// joining.
pub(crate) fn served(ranked: impl Iterator<Item = (u64, MemberId)>) -> Vec<usize> {
    let mut served: Vec<_> = ranked.enumerate().map(|(at, (rank, id))| (rank, id, at)).collect();
    served.sort_unstable();
    served.into_iter().map(|(_, _, at)| at).collect()
}

impl Roll {
    pub(crate) fn new(key: GroupKey) -> Self {
        Self { key, known: Arc::default() }
    }

    /// Whose it is.
    pub(crate) fn key(&self) -> &GroupKey {
        &self.key
    }

    /// These are the members by now.
    pub(crate) fn follow(&mut self, members: &[Member]) {
        if self.known.ids.iter().eq(members.iter().map(|member| &member.id)) {
            return;
        }
        let place = |(at, member): (usize, &Member)| {
            let before = self.known.places.get(&member.id);
            (member.id, (at, before.map_or_else(|| self.key.rank(member.id), |(_, rank)| *rank)))
        };
        let places: HashMap<_, _, _> = members.iter().enumerate().map(place).collect();
        let ids: Vec<MemberId> = members.iter().map(|member| member.id).collect();
        let order = served(ids.iter().map(|id| (places[id].1, *id)));
        self.known = Arc::new(Known { ids, order, places });
    }

    /// The places of the members in the order of joining, in the order in which they are served.
    pub(crate) fn order(&self) -> &[usize] {
        &self.known.order
    }

    /// Where in the order of joining the member is.
    pub(crate) fn place(&self, id: MemberId) -> Option<usize> {
        self.known.places.get(&id).map(|(at, _)| *at)
    }
}
