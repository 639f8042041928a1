//! Each rule is taken away, and something goes wrong.

use super::search::setups::{COMMITS, EVICTIONS, FULL, FULL_INSTANCES, INSTANCES, MOVES, REPLACEMENTS, RETURNS, SESSIONS};
use super::search::world::Setup;
use super::search::{Counterexample, search, walk};
use crate::guard::{self, Guard};

/// The first that a search of these worlds finds, or else walks through them.
fn found(small: Setup, large: Setup) -> Option<Counterexample> {
    search(small, 150_000).err().or_else(|| walk(large, 0..0, 400).err())
}

/// What goes wrong without the rule.
fn counterexample(guard: Guard) -> Option<Counterexample> {
    match guard {
        Guard::Number | Guard::Owner => found(COMMITS, FULL),
        Guard::Epoch => found(RETURNS, FULL),
        Guard::StopAtRelease => found(MOVES, FULL),
        Guard::Replaces => found(REPLACEMENTS, FULL_INSTANCES),
        Guard::Quarantine => found(INSTANCES, FULL_INSTANCES),
        Guard::LongerSession => found(SESSIONS, FULL_INSTANCES),
        Guard::EvictedSign | Guard::LeaseShare | Guard::ReadBack | Guard::FromSending | Guard::LeaseGates => {
            found(EVICTIONS, FULL)
        }
        _ => None,
    }
}

#[test]
fn each_rule_is_needed() {
    let mut idle = Vec::new();
    for &guard in guard::ALL {
        let begun = std::time::Instant::now();
        match guard::without(Some(guard), || counterexample(guard)) {
            Some(found) => println!(
                "without {guard:?}: {} ({} steps, {:.1?})\n    {}",
                found.broken,
                found.steps.len(),
                begun.elapsed(),
                found.steps.join("\n    ")
            ),
            None => idle.push(guard),
        }
    }
    assert_eq!(idle, Vec::new());
}
