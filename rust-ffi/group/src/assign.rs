//! Who is to have which partition. Part of the format: two members that disagree here read the same partition.

use std::cmp::Reverse;

use crate::names::{GroupKey, MemberId};
use crate::roll::served;

/// A partition, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// The owner's place in the list of members.
    pub owner: Option<usize>,
    /// Whether it is being given up already.
    pub moving: bool,
}

/// The member, as a place in the list, that each partition is to go to; `None` only without members.
///
/// Balanced: two members differ by at most one. As few partitions change their owner as balance allows. Who has what it
/// is to have keeps it, and the same input gives the same result on every machine:
///
/// 1. Everybody gets `partitions / members`, rounded down. The larger shares go first to those that own more than that
///    without giving it up, then to those that own more, then to the rest; among equals the hash decides.
/// 2. Who owns more than its share gives first what is moving already, then its highest numbers.
/// 3. What has no owner, or is given, goes in ascending order to those below their share, in the order of the hash.
pub fn assign(key: &GroupKey, members: &[MemberId], partitions: &[Holding]) -> Vec<Option<usize>> {
    assign_in(&order(key, members), partitions)
}

/// The places of the members in the order of the hash.
pub(crate) fn order(key: &GroupKey, members: &[MemberId]) -> Vec<usize> {
    served(members.iter().map(|id| (key.rank(*id), *id)))
}

/// The same, where the order of the hash is known: `order` has the place of each member once.
pub(crate) fn assign_in(order: &[usize], partitions: &[Holding]) -> Vec<Option<usize>> {
    if order.is_empty() {
        return vec![None; partitions.len()];
    }
    let mut owned: Vec<Vec<usize>> = vec![Vec::new(); order.len()];
    let mut settled = vec![0_usize; order.len()];
    let mut free = Vec::new();
    for (number, partition) in partitions.iter().enumerate() {
        match partition.owner {
            Some(owner) => {
                owned[owner].push(number);
                settled[owner] += usize::from(!partition.moving);
            }
            None => free.push(number),
        }
    }
    let counts: Vec<usize> = owned.iter().map(Vec::len).collect();
    let quotas = quotas(partitions.len(), order, &counts, &settled);

    let mut targets: Vec<Option<usize>> = partitions.iter().map(|partition| partition.owner).collect();
    for (owned, &quota) in owned.iter_mut().zip(&quotas) {
        let surplus = owned.len().saturating_sub(quota);
        owned.sort_by_key(|&number| (!partitions[number].moving, Reverse(number)));
        free.extend(owned.drain(..surplus));
    }
    free.sort_unstable();
    let mut free = free.into_iter();
    for &member in order {
        for number in free.by_ref().take(quotas[member].saturating_sub(owned[member].len())) {
            targets[number] = Some(member);
        }
    }
    targets
}

/// Where one partition goes that has just been given up, by one who was to give it up, after everything else was
/// assigned: what [`assign_in`] says of it. It says nothing new of the others, so that they need not be looked at one
/// by one: what is moving is what is owned beyond the shares, and stays so.
pub(crate) fn assign_one(
    order: &[usize],
    number: usize,
    partitions: impl ExactSizeIterator<Item = Holding>,
) -> Option<usize> {
    let count = partitions.len();
    let (mut owned, mut settled, mut before) = (vec![0; order.len()], vec![0; order.len()], 0);
    for (at, partition) in partitions.enumerate() {
        if let Some(owner) = partition.owner {
            owned[owner] += 1;
            settled[owner] += usize::from(!partition.moving);
            before += usize::from(partition.moving && at < number);
        }
    }
    let quotas = quotas(count, order, &owned, &settled);
    let mut wanted = 0;
    order.iter().copied().find(|&member| {
        wanted += quotas[member].saturating_sub(owned[member]);
        wanted > before
    })
}

/// How many partitions each member is to have.
fn quotas(partitions: usize, order: &[usize], owned: &[usize], settled: &[usize]) -> Vec<usize> {
    let (floor, larger) = (partitions / order.len(), partitions % order.len());
    let mut quotas = vec![floor; order.len()];
    let claim = |member: usize| match () {
        () if settled[member] > floor => 0,
        () if owned[member] > floor => 1,
        () => 2,
    };
    let claims = (0..3).flat_map(|first| order.iter().filter(move |&&member| claim(member) == first));
    for &member in claims.take(larger) {
        quotas[member] += 1;
    }
    quotas
}
