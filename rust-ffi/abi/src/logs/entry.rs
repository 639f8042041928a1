//! An event of the engine as it is told: one line of text, and the same fields as JSON.

use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing_core::field::{Field, Visit};
use tracing_core::{Event, Level};

/// Characters of one value, and bytes of the text of all, at most: so the ring is bounded in bytes, too.
const LONGEST_VALUE: usize = 300;
const LONGEST_TEXT: usize = 2048;

/// What the engine's events are about, as `target` of entries says it, and what their own targets begin with.
pub(super) const TARGETS: [&str; 6] = ["connection", "cluster", "producer", "consumer", "group", "admin"];
const PREFIX: &str = "fluvio_cffi::";

/// Where in [`TARGETS`] an event's target is; `None`: it is another crate's, of which nobody knows what it would tell.
pub(super) fn target(of: &str) -> Option<usize> {
    let name = of.strip_prefix(PREFIX)?;
    TARGETS.iter().position(|target| *target == name)
}

/// How much a level says: the number of `flv_log_level_e`.
pub(super) fn verbosity(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

/// Something that happened.
#[derive(Debug)]
pub(super) struct Entry {
    /// Nanoseconds since the epoch.
    pub(super) time: i64,
    pub(super) level: u8,
    pub(super) target: usize,
    /// What happened, and the fields, in one line.
    pub(super) message: String,
    /// The fields as a JSON object.
    pub(super) fields: String,
}

impl Entry {
    /// The event in words.
    pub(super) fn new(event: &Event<'_>, target: usize) -> Self {
        let mut words = Words::default();
        event.record(&mut words);
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let Words { text, mut values, mut json } = words;
        json.insert(0, '{');
        json.push('}');
        values.insert_str(0, &text);
        let level = verbosity(event.metadata().level());
        Self { time: i64::try_from(time).unwrap_or(i64::MAX), level, target, message: values, fields: json }
    }
}

/// Whose client an event is about: the number of an owner, 0 for none.
pub(super) fn owner_of(event: &Event<'_>) -> u64 {
    #[derive(Default)]
    struct Find(u64);

    impl Visit for Find {
        fn record_u64(&mut self, field: &Field, value: u64) {
            if field.name() == OWNER {
                self.0 = value;
            }
        }

        fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
    }

    let mut found = Find::default();
    event.record(&mut found);
    found.0
}

/// The field that is for the library alone.
const OWNER: &str = "owner";

#[derive(Default)]
struct Words {
    text: String,
    values: String,
    json: String,
}

impl Words {
    /// One more field: `shown` in the text, `told` in JSON. What would make the entry too long is left out of it.
    fn add(&mut self, field: &Field, shown: &dyn fmt::Display, told: &str) {
        if field.name() == OWNER || self.values.len() + told.len() > LONGEST_TEXT {
            return;
        }
        let comma = if self.json.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(self.values, " {}={shown}", field.name());
        let _ = write!(self.json, "{comma}\"{}\":{told}", field.name());
    }

    fn number(&mut self, field: &Field, value: impl fmt::Display) {
        self.add(field, &value, &value.to_string());
    }
}

impl Visit for Words {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let cut = value.char_indices().nth(LONGEST_VALUE).map_or(value, |(at, _)| &value[..at]);
        if field.name() == "message" {
            cut.clone_into(&mut self.text);
            return;
        }
        // Quoted, it is in one line, whatever a peer has put into it.
        let told = serde_json::Value::from(cut).to_string();
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || "._:-/[]".contains(letter);
        match !cut.is_empty() && cut.chars().all(is_word) {
            true => self.add(field, &cut, &told),
            false => self.add(field, &told, &told),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
