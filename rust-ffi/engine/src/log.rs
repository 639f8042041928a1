//! What the engine says of what it does, as events of `tracing`: which words they have in common, and about whose
//! client each is.
//!
//! Nothing is said per record, and nothing of what records hold: topic, partition, SPU, offsets, counts and reasons.
//! A reason is [`crate::Error::reason`], never an error itself, which may quote a server or a SmartModule. Below the
//! level that somebody listens to, an event costs one comparison.

use std::sync::atomic::{AtomicU64, Ordering};

/// Connections to SPUs and to the SC: opened, refused, ended.
pub(crate) const CONNECTION: &str = "fluvio_cffi::connection";
/// What a client sees of its cluster: the SC lost and found again, leaders.
pub(crate) const CLUSTER: &str = "fluvio_cffi::cluster";
/// What producers do.
pub(crate) const PRODUCER: &str = "fluvio_cffi::producer";
/// What consumers do, and commits.
pub(crate) const CONSUMER: &str = "fluvio_cffi::consumer";
/// What becomes of members of consumer groups.
pub(crate) const GROUP: &str = "fluvio_cffi::group";
/// Administrative calls, and whatever else is asked of the SC.
pub(crate) const ADMIN: &str = "fluvio_cffi::admin";

/// About whose client an event is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Origin {
    /// The number that the host gave the client's owner; 0: none.
    pub(crate) owner: u64,
    /// The number of the client in the process, from 1.
    pub(crate) client: u64,
}

impl Origin {
    /// Of a new client.
    pub(crate) fn new(owner: u64) -> Self {
        static CLIENTS: AtomicU64 = AtomicU64::new(0);
        Self { owner, client: CLIENTS.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

/// Says something at a level about a target: `log!(WARN, PRODUCER, counters, "what happened", spu = 5001)`. `counters`
/// are those of the client; they and the fields are looked at only if somebody listens.
macro_rules! log {
    ($level:ident, $target:ident, $counters:expr, $message:literal $(, $($fields:tt)*)?) => {
        ::tracing::event!(
            target: crate::log::$target,
            ::tracing::Level::$level,
            message = $message,
            owner = $counters.origin.owner,
            client = $counters.origin.client,
            $($($fields)*)?
        )
    };
}
pub(crate) use log;

/// For tests: says `count` times something at the lowest level about a client of `owner`.
pub fn say(owner: u64, count: u64) {
    struct Of {
        origin: Origin,
    }
    let of = Of { origin: Origin { owner, client: 0 } };
    for number in 1..=count {
        log!(TRACE, CONNECTION, of, "for tests", number);
    }
}
