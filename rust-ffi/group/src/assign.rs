//! Who is to have which partition. Part of the format: two members that disagree here read the same partition.

use std::cmp::Reverse;

use crate::names::{GroupKey, MemberId};

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
    if members.is_empty() {
        return vec![None; partitions.len()];
    }
    let mut owned: Vec<Vec<usize>> = vec![Vec::new(); members.len()];
    let mut settled = vec![0_usize; members.len()];
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
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_cached_key(|&at| (key.rank(members[at]), members[at]));
    let quotas = quotas(partitions.len(), &order, &owned, &settled);

    let mut targets: Vec<Option<usize>> = partitions.iter().map(|partition| partition.owner).collect();
    for (owned, &quota) in owned.iter_mut().zip(&quotas) {
        let surplus = owned.len().saturating_sub(quota);
        owned.sort_by_key(|&number| (!partitions[number].moving, Reverse(number)));
        free.extend(owned.drain(..surplus));
    }
    free.sort_unstable();
    let mut free = free.into_iter();
    for &member in &order {
        for number in free.by_ref().take(quotas[member].saturating_sub(owned[member].len())) {
            targets[number] = Some(member);
        }
    }
    targets
}

/// How many partitions each member is to have.
fn quotas(partitions: usize, order: &[usize], owned: &[Vec<usize>], settled: &[usize]) -> Vec<usize> {
    let (floor, larger) = (partitions / order.len(), partitions % order.len());
    let mut quotas = vec![floor; order.len()];
    let mut claims = order.to_vec();
    claims.sort_by_key(|&member| match () {
        () if settled[member] > floor => 0,
        () if owned[member].len() > floor => 1,
        () => 2,
    });
    for &member in &claims[..larger] {
        quotas[member] += 1;
    }
    quotas
}
