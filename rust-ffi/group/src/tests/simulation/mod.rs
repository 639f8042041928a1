//! Members in real time, in steps of 10 ms: processes that are stopped, killed and cut off, a log that stalls or is
//! away, commands that are lost, late and doubled, clocks that differ by 5 %. It finds what a search does not: who
//! evicts whom wrongly, and whether everything comes to rest.

mod log;
mod process;
mod run;
pub(crate) mod setups;

pub(crate) use run::{Outcome, run};

use std::time::Instant;

use super::is_long;

/// Runs the seeds; fails with the first that breaks a rule.
pub(crate) fn all(name: &str, setup: setups::Setup, seeds: std::ops::Range<u64>) -> Outcome {
    let begun = Instant::now();
    let mut total = Outcome::default();
    for seed in seeds.clone() {
        let outcome = run(setup, seed);
        assert!(outcome.broken.is_none(), "{name}, seed {seed}: {}", outcome.broken.unwrap_or_default());
        assert_eq!(outcome.wrongful, 0, "{name}, seed {seed}: evicted although they signed in time");
        total.add(&outcome);
    }
    println!(
        "{name}: seeds {seeds:?}, {} commands, {} evictions, {} rejoins, {} records processed, {} of them again, {:.1?}",
        total.commands,
        total.evictions,
        total.rejoins,
        total.processed,
        total.repeated,
        begun.elapsed()
    );
    total
}

#[test]
fn members_keep_apart_and_come_to_rest() {
    for (name, setup, seeds) in setups::ALL {
        let seeds = if is_long() { seeds * 40 } else { *seeds };
        all(name, *setup, 1..1 + seeds);
    }
}

#[test]
fn who_starts_together_settles() {
    let setups: &[_] = if is_long() { &[setups::START, setups::HUNDRED, setups::MOST] } else { &[setups::START] };
    for setup in setups {
        let outcome = run(*setup, 1);
        assert_eq!(outcome.broken, None);
        println!(
            "{} members share {} partitions after {} ms and {} commands",
            setup.processes, setup.partitions, outcome.takeover, outcome.commands
        );
        assert!((1..10_000).contains(&outcome.takeover), "{outcome:?}");
    }
}

#[test]
fn the_partitions_of_the_dead_are_taken_over() {
    for seed in 1..if is_long() { 100 } else { 3 } {
        let outcome = run(setups::KILLED, seed);
        assert_eq!(outcome.broken, None);
        assert!((1..setups::KILLED.session + 1_000).contains(&outcome.takeover), "seed {seed}: {outcome:?}");
    }
}
