//! What is searched: small worlds, each about one thing, and one large one for walks.

use super::world::Setup;

const BASE: Setup = Setup {
    members: 2,
    processes: 2,
    partitions: 1,
    ticks: 5,
    appends: 4,
    flight: 2,
    copies: 1,
    ids: 2,
    crashes: false,
    commits: false,
    stale: false,
    leaves: false,
    instance: false,
    sessions: (10, 10),
    offsets: 1,
    prompt: None,
};

/// Leases and evictions: what the first process does, or does not, while the second one looks on.
pub(crate) const EVICTIONS: Setup =
    Setup { ticks: 6, appends: 11, flight: 2, ids: 2, copies: 0, prompt: Some(1), ..BASE };
/// Commits that come late and twice.
pub(crate) const COMMITS: Setup = Setup { commits: true, ticks: 2, appends: 4, offsets: 2, ..BASE };
/// A newcomer gets its share.
pub(crate) const MOVES: Setup =
    Setup { members: 1, partitions: 2, ticks: 2, appends: 6, flight: 3, ids: 3, copies: 0, leaves: true, ..BASE };
/// Partitions that go and come back, and what was handed out before.
pub(crate) const RETURNS: Setup = Setup {
    members: 1,
    partitions: 2,
    ticks: 1,
    appends: 7,
    copies: 0,
    commits: true,
    stale: true,
    leaves: true,
    prompt: Some(1),
    offsets: 0,
    ..BASE
};
/// A process that comes back by its instance, while the older one still runs; a third looks on.
pub(crate) const INSTANCES: Setup = Setup {
    processes: 3,
    ticks: 4,
    appends: 8,
    ids: 3,
    copies: 0,
    instance: true,
    crashes: true,
    leaves: true,
    prompt: Some(1),
    ..BASE
};
/// The older one has a longer session.
pub(crate) const SESSIONS: Setup = Setup { ticks: 6, sessions: (20, 10), leaves: false, ..INSTANCES };
/// Two such processes, whose joins overtake each other.
pub(crate) const REPLACEMENTS: Setup = Setup { ticks: 1, appends: 4, ids: 4, prompt: None, leaves: false, ..INSTANCES };

pub(crate) const ALL: &[(&str, Setup)] = &[
    ("evictions", EVICTIONS),
    ("commits", COMMITS),
    ("moves", MOVES),
    ("returns", RETURNS),
    ("instances", INSTANCES),
    ("instances, a longer session before", SESSIONS),
    ("replacements", REPLACEMENTS),
];

/// Everything at once.
pub(crate) const FULL: Setup = Setup {
    members: 2,
    processes: 3,
    partitions: 2,
    ticks: 200,
    appends: 200,
    flight: 5,
    copies: 12,
    ids: 40,
    crashes: true,
    commits: true,
    stale: true,
    leaves: true,
    instance: false,
    sessions: (10, 10),
    offsets: 100,
    prompt: None,
};
/// And with an instance that two processes have.
pub(crate) const FULL_INSTANCES: Setup = Setup { instance: true, ..FULL };

pub(crate) const DEEP: &[(&str, Setup)] = &[("all", FULL), ("all, instances", FULL_INSTANCES)];
