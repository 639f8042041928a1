//! What goes wrong in a run, and how often.

/// Times in milliseconds, probabilities in thousandths.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) processes: usize,
    pub(crate) partitions: u32,
    pub(crate) session: u64,
    /// The session of the second process, if it differs.
    pub(crate) other_session: Option<u64>,
    /// The log takes nothing and gives nothing, but its connections stay.
    pub(crate) stalls: bool,
    /// Its connections break, and nobody can make new ones.
    pub(crate) outages: bool,
    /// Processes are stopped, and go on.
    pub(crate) pauses: bool,
    /// They are killed, and start again.
    pub(crate) kills: bool,
    /// They are cut off from the log.
    pub(crate) cuts: bool,
    /// They leave, and start again; with an instance some of them without giving anything up.
    pub(crate) leaves: bool,
    /// Their readers do not come back for long.
    pub(crate) busy: bool,
    /// Partitions are added.
    pub(crate) grows: bool,
    pub(crate) loss: u64,
    pub(crate) copies: u64,
    pub(crate) late: u64,
    /// How often anything goes wrong, for each step of 10 ms, and for how long at most.
    pub(crate) rate: u64,
    pub(crate) longest: u64,
    /// Every process has an instance of its own.
    pub(crate) instances: bool,
    /// So long things go wrong, and so long nothing does.
    pub(crate) trouble: u64,
    pub(crate) quiet: u64,
    /// So many are killed at once, for good: how long are their partitions idle?
    pub(crate) killed: usize,
    /// All start at once: how long until everything is shared?
    pub(crate) is_start: bool,
}

impl Setup {
    /// The session of a process.
    pub(crate) fn session_of(&self, process: usize) -> u64 {
        self.other_session.filter(|_| process == 1).unwrap_or(self.session)
    }
}

pub(crate) const CALM: Setup = Setup {
    processes: 3,
    partitions: 4,
    session: 10_000,
    other_session: None,
    stalls: false,
    outages: false,
    pauses: false,
    kills: false,
    cuts: false,
    leaves: false,
    busy: false,
    grows: false,
    loss: 0,
    copies: 0,
    late: 0,
    rate: 4,
    longest: u64::MAX,
    instances: false,
    trouble: 60_000,
    quiet: 90_000,
    killed: 0,
    is_start: false,
};
pub(crate) const TROUBLE: Setup = Setup {
    stalls: true,
    outages: true,
    pauses: true,
    kills: true,
    cuts: true,
    leaves: true,
    busy: true,
    grows: true,
    loss: 10,
    copies: 30,
    late: 5,
    trouble: 120_000,
    ..CALM
};
pub(crate) const FIVE: Setup = Setup { processes: 5, partitions: 7, ..TROUBLE };
pub(crate) const SHORT: Setup = Setup { session: 3_000, ..FIVE };
pub(crate) const INSTANCES: Setup = Setup { instances: true, ..FIVE };
pub(crate) const STALLS: Setup = Setup { processes: 5, partitions: 7, stalls: true, trouble: 120_000, ..CALM };
pub(crate) const OUTAGES: Setup = Setup { outages: true, stalls: false, ..STALLS };
/// Connections break every few seconds, and some are unlucky with making new ones.
pub(crate) const FLAPS: Setup = Setup { rate: 20, longest: 2_500, ..OUTAGES };
pub(crate) const MIXED: Setup = Setup { session: 30_000, other_session: Some(2_000), outages: true, ..STALLS };

/// Name, setup, and how many seeds are run each time.
pub(crate) const ALL: &[(&str, Setup, u64)] = &[
    ("nothing goes wrong", CALM, 5),
    ("everything goes wrong", TROUBLE, 20),
    ("five members", FIVE, 15),
    ("short sessions", SHORT, 15),
    ("instances", INSTANCES, 15),
    ("the log stalls", STALLS, 8),
    ("the log is away", OUTAGES, 8),
    ("connections flap", FLAPS, 8),
    ("sessions differ", MIXED, 12),
];

/// Most are killed at once, those that joined first.
pub(crate) const KILLED: Setup = Setup { processes: 25, partitions: 50, killed: 20, trouble: 100_000, ..CALM };

/// All start at once.
pub(crate) const START: Setup = Setup { processes: 25, partitions: 75, is_start: true, ..CALM };
pub(crate) const HUNDRED: Setup = Setup { processes: 100, partitions: 300, ..START };
/// As many as are supported.
pub(crate) const MOST: Setup = Setup { processes: 300, partitions: 900, ..START };
