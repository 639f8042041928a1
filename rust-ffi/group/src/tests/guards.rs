//! Each rule is taken away, and something goes wrong.

use super::search::setups::{
    COMMITS, EVICTIONS, FULL, FULL_INSTANCES, INSTANCES, MOVES, REPLACEMENTS, RETURNS, SESSIONS,
};
use super::search::world::Setup;
use super::search::{search, walk};
use super::simulation::setups as simulated;
use super::{scenarios, simulation};
use crate::guard::{self, Guard};

/// The first that a search of these worlds finds, or else walks through them.
fn searched(small: Setup, large: Setup) -> Option<String> {
    let found = search(small, 200_000).err().or_else(|| walk(large, 0..300, 400).err())?;
    Some(format!("{}\n    {}", found.broken, found.steps.join("\n    ")))
}

/// The first seed from `first` on in which something breaks, or somebody is evicted wrongly.
fn simulated(setup: simulated::Setup, first: u64) -> Option<String> {
    let found = (first..first + 300).map(|seed| (seed, simulation::run(setup, seed)));
    let mut bad = found.filter(|(_, outcome)| outcome.broken.is_some() || outcome.wrongful > 0);
    bad.next().map(|(seed, outcome)| match outcome.broken {
        Some(broken) => format!("seed {seed}: {broken}"),
        None => format!("seed {seed}: {} were evicted who signed in time", outcome.wrongful),
    })
}

/// The partitions of those that were killed are idle for longer than promised.
fn idle() -> Option<String> {
    let outcomes = (1..=2).map(|seed| simulation::run(simulated::KILLED, seed).takeover);
    let longest = outcomes.max().unwrap_or(0);
    (longest > simulated::KILLED.session + 1_000).then(|| format!("their partitions were idle for {longest} ms"))
}

/// What goes wrong without the rule.
fn counterexample(guard: Guard) -> Option<String> {
    match guard {
        Guard::Number => searched(COMMITS, FULL),
        Guard::Owner => searched(Setup { leaves: true, copies: 0, ..COMMITS }, FULL),
        Guard::Epoch => searched(RETURNS, FULL),
        Guard::StopAtRelease => searched(MOVES, FULL),
        Guard::Replaces => searched(REPLACEMENTS, FULL_INSTANCES),
        Guard::Quarantine => searched(INSTANCES, FULL_INSTANCES),
        Guard::LongerSession => searched(SESSIONS, FULL_INSTANCES),
        Guard::EvictedSign | Guard::LeaseShare | Guard::ReadBack | Guard::FromSending | Guard::LeaseGates => {
            searched(EVICTIONS, FULL)
        }
        Guard::Generation => scenarios::a_reset_comes_twice(),
        Guard::GrowsWhatIs => scenarios::a_grow_meets_a_deleted_group(),
        Guard::GrownFromFirst => scenarios::an_owner_of_a_new_partition_dies(),
        Guard::EpochIsPlace => scenarios::a_group_begins_anew(),
        Guard::GhostLeaves => scenarios::a_join_comes_late(),
        Guard::VoidSentAgain => scenarios::a_release_is_lost(),
        Guard::RankOfLiving => idle(),
        Guard::StartCommitted => simulated(simulated::SHORT, 1),
        Guard::Reconnect => simulated(simulated::FLAPS, 1),
        Guard::Probe => simulated(simulated::MIXED, 1),
        Guard::Silence | Guard::SharedPace => simulated(simulated::MIXED, 20),
    }
}

#[test]
fn each_rule_is_needed() {
    let mut unneeded = Vec::new();
    for &guard in guard::ALL {
        let begun = std::time::Instant::now();
        assert_eq!(cheap(guard), None, "with {guard:?}");
        match guard::without(Some(guard), || counterexample(guard)) {
            Some(found) => println!("without {guard:?} ({:.1?}): {found}", begun.elapsed()),
            None => unneeded.push(guard),
        }
    }
    assert_eq!(unneeded, Vec::new());
}

/// With every rule in its place the short stories end well; searches and simulations have tests of their own.
fn cheap(guard: Guard) -> Option<String> {
    match guard {
        Guard::Generation
        | Guard::GrowsWhatIs
        | Guard::GrownFromFirst
        | Guard::EpochIsPlace
        | Guard::GhostLeaves
        | Guard::VoidSentAgain
        | Guard::RankOfLiving => counterexample(guard),
        _ => None,
    }
}
