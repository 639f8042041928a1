//! What a cluster is started with, and why a start can fail.

use std::path::PathBuf;
use std::time::Duration;

use fluvio_types::SpuId;

/// How the real SC behaves when `FLV_TOPIC_WAIT` is not set.
pub const DEFAULT_TOPIC_WAIT: Duration = Duration::from_secs(90);

/// As on the real SPU.
pub const DEFAULT_SMARTMODULE_MEMORY: usize = 1 << 30;

/// Enough for some five seconds, or half a million records of 100 bytes in a module of the official SDK. The real SPU
/// has no limit.
pub const DEFAULT_SMARTMODULE_FUEL: u64 = 20_000_000_000;

/// The number that the real cluster gives its first SPU.
pub(crate) const FIRST_SPU: SpuId = 5001;

/// Whether the listeners speak TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Tls {
    /// Plain TCP.
    #[default]
    Disabled,
    /// TLS, with a server certificate that the cluster makes itself; see `tls/` in the data directory.
    Server,
    /// The same, and clients must show a certificate that a CA in `tls/ca.crt` has signed.
    Mutual,
}

/// Settings of an embedded cluster.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the log and the metadata live. None: a temporary directory, removed at the end.
    pub data_dir: Option<PathBuf>,
    /// `data_dir` is removed at the end, too.
    pub temporary: bool,
    /// The address to listen on.
    pub host: String,
    /// The port of the SC; 0: any free one.
    pub port: u16,
    /// How many SPUs there are, with the numbers 5001, 5002 and so on.
    pub spus: u16,
    /// The port of the first SPU; 0: the one remembered in the data directory, else any free one, as for the other
    /// SPUs.
    pub spu_port: u16,
    /// Whether the listeners speak TLS.
    pub tls: Tls,
    /// How long certificates are good that are made at this start; 0: not at all, they have expired.
    pub certificate_days: u32,
    /// Leave Nagle's algorithm on and write replies in two pieces, as the real servers do.
    pub write_like_real: bool,
    /// How long a create waits for partitions that cannot be provisioned.
    pub topic_wait: Duration,
    /// The size at which a segment file is closed, for topics that do not say it themselves.
    pub segment_bytes: u32,
    /// How often records beyond their topic's retention are looked for.
    pub retention_interval: Duration,
    /// How often watches of partitions are told how far these have come.
    pub status_interval: Duration,
    /// The most bytes of memory that an instance of a SmartModule may have.
    pub smartmodule_memory: usize,
    /// Fuel of one call of a SmartModule; an instruction costs about one.
    pub smartmodule_fuel: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: None,
            temporary: false,
            host: "127.0.0.1".to_owned(),
            port: 0,
            spus: 1,
            spu_port: 0,
            tls: Tls::Disabled,
            certificate_days: 3650,
            write_like_real: false,
            topic_wait: DEFAULT_TOPIC_WAIT,
            segment_bytes: fluvio_types::defaults::SPU_LOG_SEGMENT_MAX_BYTES,
            retention_interval: Duration::from_secs(10),
            status_interval: Duration::from_secs(1),
            smartmodule_memory: DEFAULT_SMARTMODULE_MEMORY,
            smartmodule_fuel: DEFAULT_SMARTMODULE_FUEL,
        }
    }
}

/// Why a cluster did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be made, read or written.
    #[error("data directory {path}: {source}")]
    DataDir {
        /// The directory or the file in it.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another cluster runs on the same directory.
    #[error("data directory {path} is in use by another cluster: stop it, or give another directory")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The metadata file is not one of ours.
    #[error("metadata file {path}: {reason}")]
    Metadata {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificates cannot be made, read or used.
    #[error("certificates in {path}: {source}")]
    Certificates {
        /// Their directory.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// The settings ask for no SPU, or for more than there are numbers.
    #[error("the number of SPUs is {0}: it must be from 1 to 1000")]
    Spus(u16),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
}
