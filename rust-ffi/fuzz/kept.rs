//! The test of each crate that is fuzzed: what is kept of its targets, and what is near it, does no harm. Any compiler
//! builds it; a fuzzer that looks at what is covered goes further.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use super::Target;

/// Inputs that are made of those which are kept, for each target.
const NEAR: u32 = 500;
/// How long they are made for by `FLUVIO_CFFI_LONG`.
const LONG: Duration = Duration::from_secs(60);
/// Bytes of an input, at most.
const LONGEST: usize = 4096;

/// Numbers that lengths, counts and tags should not be, and some that they may.
const NUMBERS: [i64; 16] =
    [0, 1, 2, 3, 7, 61, 127, 128, 255, 256, 1 << 15, 1 << 31, (1 << 31) - 1, -1, i64::MAX, i64::MIN];

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// Changes a few things in `input`; `other` is one that parts may come from.
    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(4) {
            let at = self.below(input.len() + 1);
            let length = self.below((input.len() - at).min(32) + 1);
            match self.below(6) {
                0 => input.insert(at, self.next().to_le_bytes()[0]),
                1 => drop(input.drain(at..at + length)),
                2 => {
                    let from = self.below(other.len());
                    let part = other[from..].iter().take(1 + self.below(64)).copied().collect::<Vec<_>>();
                    drop(input.splice(at..at + length, part));
                }
                3 => {
                    let number = NUMBERS[self.below(NUMBERS.len())].to_be_bytes();
                    let bytes = &number[[0, 4, 6, 7][self.below(4)]..];
                    let end = (at + bytes.len()).min(input.len());
                    drop(input.splice(at..end, bytes.iter().copied()));
                }
                4 => input.truncate(at),
                _ => {
                    if let Some(byte) = input.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
            }
        }
        input.truncate(LONGEST);
    }
}

/// Runs a target; if it panics, the input is told.
fn run(name: &str, target: Target, input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("{name} does not stand this: {hex}");
        resume_unwind(panic);
    }
}

/// All that is kept, and for each target a number of inputs near that; the same ones each time, but for those of the
/// long form.
pub fn does_no_harm(targets: &[(&str, Target)]) {
    let is_long = env::var_os("FLUVIO_CFFI_LONG").is_some_and(|it| it != "0");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    for (name, target) in targets {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let kept: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        kept.iter().for_each(|input| run(name, *target, input));
        let mut random = Random(if is_long { now | 1 } else { 0x9e37_79b9_7f4a_7c15 });
        let (begun, mut count) = (Instant::now(), 0);
        while if is_long { begun.elapsed() < LONG } else { count < NEAR } {
            let mut input = kept[random.below(kept.len())].clone();
            let other = &kept[random.below(kept.len())];
            random.change(&mut input, other);
            run(name, *target, &input);
            count += 1;
        }
        println!("{name}: {count} inputs");
    }
}
