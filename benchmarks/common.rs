//! What the Rust contestants share: the records that are sent, the clock, and the check of what arrives.

use std::error::Error;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// So many of the first samples of a latency are not counted.
const WARM_UP: usize = 5;
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a run is to do: the JSON object of the command line.
pub struct Spec(pub Value);

impl Spec {
    pub fn text(&self, name: &str) -> Outcome<&str> {
        self.0.get(name).and_then(Value::as_str).ok_or_else(|| format!("{name}: a text is needed").into())
    }

    pub fn number(&self, name: &str) -> Outcome<usize> {
        let number = self.0.get(name).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| format!("{name}: a number is needed").into())
    }

    pub fn yes(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }
}

/// The values: each begins with its number, in ten digits; words follow that compress as text does.
#[derive(Clone)]
pub struct Values {
    words: Vec<u8>,
    size: usize,
    keys: bool,
}

const DIGITS: usize = 10;
const WORDS: usize = 1 << 17;

impl Values {
    pub fn new(spec: &Spec) -> Outcome<Self> {
        let mut state = 1_u64;
        let mut draw = move |below: u64| {
            state = (state * 1_103_515_245 + 12_345) & 0x7fff_ffff;
            (state >> 16) % below
        };
        let vocabulary: Vec<Vec<u8>> = (0..64)
            .map(|_| {
                (0..3 + draw(6)).map(|_| b'a' + u8::try_from(draw(26)).unwrap_or_default()).chain([b' ']).collect()
            })
            .collect();
        let mut words = Vec::with_capacity(WORDS + 16);
        while words.len() < WORDS {
            words.extend_from_slice(&vocabulary[usize::try_from(draw(64))?]);
        }
        words.truncate(WORDS);
        if spec.text("verb")? == "consume" && spec.text("through").is_ok_and(|module| module == "upper") {
            words.make_ascii_uppercase();
        }
        let size = spec.number("size")?;
        if !(DIGITS..WORDS / 2).contains(&size) {
            return Err(format!("size: from {DIGITS} to {}", WORDS / 2 - 1).into());
        }
        Ok(Self { words, size, keys: spec.yes("keys") })
    }

    fn rest(&self, number: usize) -> &[u8] {
        let length = self.size - DIGITS;
        let start = (number * 127) % (WORDS - length);
        &self.words[start..start + length]
    }

    pub fn value(&self, number: usize) -> Vec<u8> {
        let mut value = format!("{number:010}").into_bytes();
        value.extend_from_slice(self.rest(number));
        value
    }

    pub fn key(&self, number: usize) -> Option<String> {
        self.keys.then(|| format!("key-{:04}", number % 1000))
    }
}

/// Whether the records are those that were sent, each once and in order: that of the sending within a partition, or, where
/// `lanes` tasks sent at the same time, that of each task.
pub struct Check {
    values: Values,
    count: usize,
    lanes: usize,
    found: Vec<bool>,
    /// The number of the last record of each lane of each partition.
    last: Vec<usize>,
    seen: usize,
}

impl Check {
    pub fn new(spec: &Spec, count: usize) -> Outcome<Self> {
        let lanes = spec.number("lanes").unwrap_or(1);
        let values = Values::new(spec)?;
        Ok(Self { values, count, lanes, found: vec![false; count], last: Vec::new(), seen: 0 })
    }

    pub fn seen(&self) -> usize {
        self.seen
    }

    pub fn record(&mut self, partition: u32, key: Option<&[u8]>, value: &[u8]) -> Outcome<()> {
        let wrong = || format!("partition {partition}: a wrong record after the first {} of all", self.seen);
        let (digits, rest) = value.split_at_checked(DIGITS).ok_or_else(wrong)?;
        let number = digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit.wrapping_sub(b'0')));
        if self.found.get(number) != Some(&false) || rest != self.values.rest(number) {
            return Err(wrong().into());
        }
        if self.values.keys && self.values.key(number).as_deref().map(str::as_bytes) != key {
            return Err(wrong().into());
        }
        let lane = usize::try_from(partition)? * self.lanes + number % self.lanes;
        if lane >= self.last.len() {
            self.last.resize(lane + 1, 0);
        }
        if self.last[lane] > number {
            return Err(wrong().into());
        }
        self.last[lane] = number;
        self.found[number] = true;
        self.seen += 1;
        Ok(())
    }

    pub fn end(&self) -> Outcome<()> {
        if self.seen == self.count {
            return Ok(());
        }
        Err(format!("only {} of {} records arrived", self.seen, self.count).into())
    }
}

/// The processor time of the threads of this process so far; 0 where it cannot be found out.
fn cpu_seconds() -> f64 {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

pub struct Clock {
    started: Instant,
    cpu: f64,
}

impl Clock {
    pub fn start() -> Self {
        Self { cpu: cpu_seconds(), started: Instant::now() }
    }

    pub fn stop(&self) -> Value {
        let seconds = self.started.elapsed().as_secs_f64();
        json!({ "seconds": seconds, "cpu_seconds": cpu_seconds() - self.cpu })
    }
}

/// Adds the percentiles of some latencies, in microseconds.
pub fn with_latencies(mut result: Value, mut samples: Vec<Duration>) -> Outcome<Value> {
    samples.drain(..WARM_UP.min(samples.len()));
    samples.sort_unstable();
    let last = samples.len().checked_sub(1).ok_or("too few samples")?;
    for (name, permille) in [("p50_us", 500), ("p90_us", 900), ("p99_us", 990), ("p999_us", 999), ("max_us", 1000)] {
        result[name] = json!(samples[(last * permille + 500) / 1000].as_secs_f64() * 1e6);
    }
    result["samples"] = json!(samples.len());
    Ok(result)
}
