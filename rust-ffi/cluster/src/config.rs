//! What a cluster is started with, and why a start can fail.

use std::path::PathBuf;
use std::time::Duration;

/// How the real SC behaves when `FLV_TOPIC_WAIT` is not set.
pub const DEFAULT_TOPIC_WAIT: Duration = Duration::from_secs(90);

/// Settings of an embedded cluster.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the log and the metadata live. None: a temporary directory, removed at the end.
    pub data_dir: Option<PathBuf>,
    /// The address to listen on.
    pub host: String,
    /// The port of the SC; 0: any free one.
    pub port: u16,
    /// The port of the SPU; 0: the one remembered in the data directory, else any free one.
    pub spu_port: u16,
    /// Leave Nagle's algorithm on and write replies in two pieces, as the real servers do.
    pub write_like_real: bool,
    /// How long a create waits for partitions that cannot be provisioned.
    pub topic_wait: Duration,
    /// The size at which a segment file is closed, for topics that do not say it themselves.
    pub segment_bytes: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: None,
            host: "127.0.0.1".to_owned(),
            port: 0,
            spu_port: 0,
            write_like_real: false,
            topic_wait: DEFAULT_TOPIC_WAIT,
            segment_bytes: fluvio_types::defaults::SPU_LOG_SEGMENT_MAX_BYTES,
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
    #[error("data directory {path} is in use by another cluster")]
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
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
}
