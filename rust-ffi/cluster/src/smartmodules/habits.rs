//! What the real server does with SmartModules that nobody would wish for. This one does the same, unless it is told
//! not to.

use std::str::FromStr;

/// One of the habits; see [`Habits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// Has an engine that runs modules. Without it, as the real server can be built, all records pass unchanged.
    Engine,
    /// Records of all but the first batch of a reply get their offsets moved the wrong way.
    InventOffsets,
    /// A read of which nothing is left goes on at the end of the log, not at the next segment; one batch that is longer
    /// than the client can take is never sent.
    SkipSegments,
    /// A batch that does not fit into a reply any more has been run, and is run again for the next one.
    RunTwice,
    /// Lookback reads one segment, and by age from one offset too low.
    ShortLookback,
}

impl FromStr for Habit {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Ok(match name {
            "engine" => Self::Engine,
            "invent-offsets" => Self::InventOffsets,
            "skip-segments" => Self::SkipSegments,
            "run-twice" => Self::RunTwice,
            "short-lookback" => Self::ShortLookback,
            _ => return Err(()),
        })
    }
}

/// Which habits a server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Habits(u8);

impl Default for Habits {
    fn default() -> Self {
        Self(u8::MAX)
    }
}

impl Habits {
    pub(crate) fn has(self, habit: Habit) -> bool {
        self.0 & (1 << habit as u8) != 0
    }

    pub(crate) fn set(&mut self, habit: Habit, on: bool) {
        let bit = 1 << habit as u8;
        self.0 = if on { self.0 | bit } else { self.0 & !bit };
    }
}
