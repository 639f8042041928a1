//! `assign`: every small input, and long sequences of joins, evictions and releases.

use super::is_long;
use super::scenarios::{join, key};
use super::search::Random;
use crate::assign::{Holding, assign, assign_one, order};
use crate::command::{Command, Join, Released};
use crate::names::{GroupKey, MemberId, Offset};
use crate::roll::Roll;
use crate::state::{Partition, State};

fn members(count: usize) -> Vec<MemberId> {
    (1..=count as u128).map(MemberId).collect()
}

/// How many partitions each member is to have.
fn shares(members: usize, targets: &[Option<usize>]) -> Vec<usize> {
    (0..members).map(|at| targets.iter().filter(|target| **target == Some(at)).count()).collect()
}

fn spread(shares: &[usize]) -> usize {
    shares.iter().max().unwrap_or(&0) - shares.iter().min().unwrap_or(&0)
}

/// The fewest partitions that must change their owner: tried for every choice of who gets the larger shares.
fn fewest_moves(members: usize, held: &[Holding]) -> usize {
    let (floor, larger) = (held.len() / members, held.len() % members);
    let owned = shares(members, &held.iter().map(|it| it.owner).collect::<Vec<_>>());
    let choices = (0_u32..1 << members).filter(|choice| choice.count_ones() as usize == larger);
    let moves = choices.map(|choice| {
        (0..members).map(|at| owned[at].saturating_sub(floor + (choice >> at & 1) as usize)).sum::<usize>()
    });
    moves.min().unwrap_or(0)
}

/// What is marked, after everything that has no owner was given away.
fn given(held: &[Holding], targets: &[Option<usize>]) -> Vec<Holding> {
    let give = |(it, target): (&Holding, &Option<usize>)| match it.owner {
        None => Holding { owner: *target, moving: false },
        Some(_) => Holding { owner: it.owner, moving: it.owner != *target },
    };
    held.iter().zip(targets).map(give).collect()
}

fn moving(held: &[Holding]) -> Vec<bool> {
    held.iter().map(|it| it.moving).collect()
}

fn check(members: &[MemberId], held: &[Holding], releases: &mut u64) {
    let targets = assign(&key(), members, held);
    assert!(targets.iter().all(Option::is_some));
    assert!(spread(&shares(members.len(), &targets)) <= 1, "{held:?} {targets:?}");
    let moves = held.iter().zip(&targets).filter(|(it, target)| it.owner.is_some() && it.owner != **target).count();
    assert_eq!(moves, fewest_moves(members.len(), held), "{held:?} {targets:?}");

    let settled = given(held, &targets);
    assert_eq!(
        moving(&given(&settled, &assign(&key(), members, &settled))),
        moving(&settled),
        "no fixed point: {held:?}"
    );
    let order = order(&key(), members);
    for number in (0..held.len()).filter(|number| settled[*number].moving) {
        let mut released = settled.clone();
        released[number] = Holding { owner: None, moving: false };
        let next = assign(&key(), members, &released);
        assert_ne!(next[number], settled[number].owner, "what was released goes back: {held:?}");
        assert_eq!(assign_one(&order, number, released.iter().copied()), next[number], "looked at alone: {held:?}");
        let after = given(&released, &next);
        let mut expected = moving(&settled);
        expected[number] = false;
        assert_eq!(moving(&after), expected, "a release begins a new move: {held:?}");
        *releases += 1;
    }
}

#[test]
fn every_small_input_is_balanced_with_the_fewest_moves() {
    let (mut inputs, mut releases) = (0_u64, 0);
    let (most_members, most_partitions) = if is_long() { (5, 7) } else { (4, 5) };
    for (count, partitions) in (1..=most_members).flat_map(|count| (0..=most_partitions).map(move |it| (count, it))) {
        let members = members(count);
        for code in 0..(count + 1).pow(partitions as u32) {
            let owner = |at: usize| (code / (count + 1).pow(at as u32) % (count + 1)).checked_sub(1);
            let masks = if count <= 3 && partitions <= 5 { 1_u32 << partitions } else { 1 };
            for mask in 0..masks {
                let holding =
                    |at: usize| Holding { owner: owner(at), moving: owner(at).is_some() && mask >> at & 1 == 1 };
                let held: Vec<Holding> = (0..partitions).map(holding).collect();
                check(&members, &held, &mut releases);
                inputs += 1;
            }
        }
    }
    println!("{inputs} inputs, {releases} releases");
}

/// Joins, evictions and replacements, with releases in between in any order: everything settles.
#[test]
fn sequences_settle() {
    let mut random = Random::new(7);
    for _ in 0..if is_long() { 200_000 } else { 5_000 } {
        let partitions = 1 + random.below(12) as u32;
        let (mut state, mut roll, mut offset, mut ids) = (State::default(), Roll::new(key()), 0, 0_u128);
        let mut changes = 1 + random.below(8);
        while changes > 0 || state.partitions.iter().any(|it| it.moving) {
            let moving: Vec<u32> =
                (0..partitions).filter(|at| state.partition(*at).is_some_and(|it| it.moving)).collect();
            if !moving.is_empty() && (changes == 0 || random.below(3) > 0) {
                release(&mut state, &mut roll, offset, random.one(&moving));
            } else {
                changes -= 1;
                ids += 1;
                change(&mut state, &mut roll, offset, &mut random, (ids, partitions));
            }
            offset += 1;
        }
        let owned: Vec<usize> = state.members.iter().map(|it| state.owned(it.id).count()).collect();
        assert!(spread(&owned) <= 1, "{state:?}");
        assert!(owned.is_empty() || owned.iter().sum::<usize>() == partitions as usize, "{state:?}");
    }
}

fn release(state: &mut State, roll: &mut Roll, offset: Offset, number: u32) {
    let partition = state.partitions[number as usize];
    let ids: Vec<MemberId> = state.members.iter().map(|it| it.id).collect();
    let holding = |(at, it): (usize, &Partition)| match at == number as usize {
        true => Holding { owner: None, moving: false },
        false => Holding { owner: ids.iter().position(|id| Some(*id) == it.owner), moving: it.moving },
    };
    let held: Vec<Holding> = state.partitions.iter().enumerate().map(holding).collect();
    let expected = given(&held, &assign(&key(), &ids, &held));
    let member = partition.owner.unwrap();
    let n = state.member(member).unwrap().n + 1;
    let released = Released { partition: number, epoch: partition.epoch, committed: None };
    assert!(state.apply_with(roll, offset, &Command::Release { member, n, released }).changed);
    let is = |it: &Partition| (it.owner, it.moving);
    let of = |it: &Holding| (it.owner.map(|at| ids[at]), it.moving);
    assert_eq!(state.partitions.iter().map(is).collect::<Vec<_>>(), expected.iter().map(of).collect::<Vec<_>>());
}

fn change(state: &mut State, roll: &mut Roll, offset: Offset, random: &mut Random, (id, partitions): (u128, u32)) {
    let Command::Join(mut new) = join(id, partitions) else { unreachable!() };
    let holders: Vec<_> = state.members.iter().filter(|it| it.instance.is_some()).cloned().collect();
    let kind = random.below(5);
    if kind == 4 && !holders.is_empty() {
        // Who comes back by its instance moves nobody.
        let holder = &holders[random.below(holders.len() as u64) as usize];
        let before: Vec<bool> = state.partitions.iter().map(|it| it.moving).collect();
        *new = Join { instance: holder.instance.clone(), replaces: Some(holder.id), ..*new };
        assert!(state.apply_with(roll, offset, &Command::Join(new)).changed);
        assert_eq!(state.partitions.iter().map(|it| it.moving).collect::<Vec<_>>(), before);
    } else if kind < 2 || state.members.is_empty() {
        new.instance = (random.below(2) == 0).then(|| format!("i{id}").into());
        assert!(state.apply_with(roll, offset, &Command::Join(new)).changed);
    } else {
        let gone = &state.members[random.below(state.members.len() as u64) as usize];
        let evict = Command::Evict { members: vec![(gone.id, gone.last_beat)] };
        assert!(state.apply_with(roll, offset, &evict).changed);
    }
}

/// Topics of one partition do not all land on one member.
#[test]
fn small_topics_are_spread() {
    let members = members(5);
    let owner = |topic: u32| {
        let key = GroupKey::new("billing", &format!("orders-{topic}")).unwrap();
        assign(&key, &members, &[Holding { owner: None, moving: false }])[0].unwrap()
    };
    let targets: Vec<Option<usize>> = (0..200).map(|topic| Some(owner(topic))).collect();
    assert!(shares(5, &targets).iter().all(|share| (20..60).contains(share)), "{:?}", shares(5, &targets));
}
