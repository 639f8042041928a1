//! A search through all orders of events: breadth first until nothing is new, and random walks that go deep.

pub(crate) mod invariants;
pub(crate) mod setups;
pub(crate) mod world;

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Instant;

use world::{Act, Setup, Stop, World};

use super::is_long;

/// Fingerprints are hashes already.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// How a broken invariant was come to.
#[derive(Debug)]
pub(crate) struct Counterexample {
    pub(crate) broken: String,
    pub(crate) steps: Vec<String>,
}

/// What a search has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) states: usize,
    pub(crate) steps: u64,
    pub(crate) depth: usize,
    pub(crate) is_complete: bool,
}

/// Breadth first, at most `limit` states.
pub(crate) fn search(setup: Setup, limit: usize) -> Result<Seen, Counterexample> {
    let start = World::new(setup);
    let mut known: HashSet<u64, BuildHasherDefault<Same>> = HashSet::default();
    known.insert(start.fingerprint());
    let mut parents: Vec<(usize, Act)> = vec![(0, Act::Pass)];
    let mut front = vec![(start, 0)];
    let (mut seen, mut acts) = (Seen::default(), Vec::new());
    while !front.is_empty() {
        let mut next = Vec::new();
        for (world, id) in front.drain(..) {
            world.acts(&mut acts);
            for &act in &acts {
                seen.steps += 1;
                match world.step(act) {
                    Err(Stop::Pruned) => {}
                    Err(Stop::Broken(_)) => return Err(retrace(setup, &parents, id, act)),
                    Ok(world) => {
                        if known.insert(world.fingerprint()) {
                            parents.push((id, act));
                            next.push((world, parents.len() - 1));
                        }
                    }
                }
            }
            if known.len() > limit {
                return Ok(Seen { states: known.len(), ..seen });
            }
        }
        seen.depth += 1;
        front = next;
    }
    Ok(Seen { states: known.len(), is_complete: true, ..seen })
}

fn retrace(setup: Setup, parents: &[(usize, Act)], mut id: usize, last: Act) -> Counterexample {
    let mut acts = vec![last];
    while id != 0 {
        acts.push(parents[id].1);
        id = parents[id].0;
    }
    acts.reverse();
    narrate(setup, &acts)
}

/// The steps in words, and what is broken at their end.
fn narrate(setup: Setup, acts: &[Act]) -> Counterexample {
    let (mut world, mut steps) = (World::new(setup), Vec::new());
    for &act in acts {
        steps.push(world.describe(act));
        match world.step(act) {
            Ok(next) => world = next,
            Err(Stop::Broken(broken)) => return Counterexample { broken, steps },
            Err(Stop::Pruned) => break,
        }
    }
    Counterexample { broken: "nothing".into(), steps }
}

/// Numbers that look random, the same for the same seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        random.next();
        random.next();
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// Random walks from `seeds`, each of `length` steps. Time and the log come forward more often than anything else.
pub(crate) fn walk(setup: Setup, seeds: std::ops::Range<u64>, length: usize) -> Result<Seen, Counterexample> {
    let (start, mut seen, mut options) = (World::new(setup), Seen::default(), Vec::new());
    for seed in seeds {
        let mut random = Random::new(seed);
        let (mut world, mut acts, forward) = (start.clone(), Vec::new(), random.below(4));
        for _ in 0..length {
            world.acts(&mut options);
            let ahead: Vec<Act> = options
                .iter()
                .copied()
                .filter(|act| matches!(act, Act::Pass | Act::Append(_) | Act::Read(_)))
                .collect();
            let prefers = random.below(4) < forward && !ahead.is_empty();
            let act = random.one(if prefers { &ahead } else { &options });
            if matches!(act, Act::Crash(_) | Act::Leave(_)) && random.below(8) > 0 {
                continue;
            }
            match world.step(act) {
                Ok(next) => {
                    acts.push(act);
                    seen.steps += 1;
                    world = next;
                }
                Err(Stop::Pruned) => {}
                Err(Stop::Broken(_)) => {
                    acts.push(act);
                    let mut found = narrate(setup, &acts);
                    found.steps.insert(0, format!("seed {seed}"));
                    return Err(found);
                }
            }
        }
        seen.states += 1;
        seen.depth = seen.depth.max(world.log.len());
    }
    Ok(seen)
}

/// Fails with the way to the counterexample.
fn holds(name: &str, result: Result<Seen, Counterexample>, begun: Instant) -> Seen {
    match result {
        Ok(seen) => {
            println!(
                "{name}: {} states, {} steps, depth {}{}, {:.1?}",
                seen.states,
                seen.steps,
                seen.depth,
                if seen.is_complete { ", complete" } else { "" },
                begun.elapsed()
            );
            seen
        }
        Err(found) => panic!("{name}: {}\n  {}", found.broken, found.steps.join("\n  ")),
    }
}

#[test]
fn no_order_of_events_breaks_the_rules() {
    for (name, setup) in setups::ALL {
        let begun = Instant::now();
        let limit = if is_long() { 2_000_000 } else { 40_000 };
        holds(name, search(*setup, limit), begun);
    }
}

#[test]
fn no_walk_breaks_the_rules() {
    for (name, setup) in setups::DEEP {
        let begun = Instant::now();
        let seeds = if is_long() { 20_000 } else { 100 };
        holds(name, walk(*setup, 0..seeds, 600), begun);
    }
}
