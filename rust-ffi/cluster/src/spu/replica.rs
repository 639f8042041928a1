//! One partition on the SPU: its log, and the word to those who wait for records in it.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fluvio_controlplane_metadata::topic::CompressionAlgorithm;
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::ReplicaKey;
use fluvio_types::defaults::STORAGE_MAX_REQUEST_SIZE;
use tokio::sync::watch;

use crate::faults::Faults;
use crate::log::batch::Batch;
use crate::log::{self, Found, Log};

/// What the waiting ones look at. With one replica the high watermark is the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) end: i64,
    pub(crate) gone: Option<Gone>,
}

/// Why a partition is no longer served here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    Deleted,
    /// Another SPU leads it now.
    Moved,
}

/// What the metadata says about a partition's log.
#[derive(Debug, Clone)]
pub(crate) struct ReplicaConfig {
    pub(crate) segment_bytes: u32,
    pub(crate) retention: Duration,
    pub(crate) max_bytes: u64,
    pub(crate) compression: CompressionAlgorithm,
    /// Why clients may not produce to it, if they may not.
    pub(crate) refusal: Option<ErrorCode>,
}

/// A partition that this SPU leads.
#[derive(Debug)]
pub(crate) struct Replica {
    key: ReplicaKey,
    directory: PathBuf,
    compression: CompressionAlgorithm,
    refusal: Option<ErrorCode>,
    retention: Duration,
    max_bytes: u64,
    log: Mutex<Log>,
    progress: watch::Sender<Progress>,
    failed: AtomicBool,
}

impl Replica {
    /// An empty partition.
    pub(crate) fn create(key: ReplicaKey, directory: PathBuf, config: &ReplicaConfig) -> io::Result<Self> {
        let log = Log::create(directory.clone(), config.segment_bytes)?;
        Ok(Self::with(key, directory, config, log))
    }

    /// A partition as it was left.
    pub(crate) fn open(key: ReplicaKey, directory: PathBuf, config: &ReplicaConfig) -> io::Result<Self> {
        let log = Log::open(directory.clone(), config.segment_bytes)?;
        Ok(Self::with(key, directory, config, log))
    }

    fn with(key: ReplicaKey, directory: PathBuf, config: &ReplicaConfig, log: Log) -> Self {
        let (progress, _) = watch::channel(Progress { end: log.end(), gone: None });
        Self {
            key,
            directory,
            compression: config.compression.clone(),
            refusal: config.refusal.clone(),
            retention: config.retention,
            max_bytes: config.max_bytes,
            log: Mutex::new(log),
            progress,
            failed: AtomicBool::new(false),
        }
    }

    // A panic while the lock is held leaves a log that is still whole: its fields change only after the write.
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn key(&self) -> &ReplicaKey {
        &self.key
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.progress.borrow().gone == Some(Gone::Deleted)
    }

    /// Whether an append has failed since the SPU started.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// First offset, end and bytes.
    pub(crate) fn extent(&self) -> (i64, i64, u64) {
        let log = self.log();
        (log.start(), log.end(), log.size())
    }

    pub(crate) fn find(&self, offset: i64, limit: u32) -> io::Result<(Found, i64, i64)> {
        let log = self.log();
        Ok((log.find(offset, limit)?, log.start(), log.end()))
    }

    fn accepts(&self, codec: i16) -> bool {
        match self.compression {
            CompressionAlgorithm::Any => (0..=4).contains(&codec),
            CompressionAlgorithm::None => codec == 0,
            CompressionAlgorithm::Gzip => codec == 1,
            CompressionAlgorithm::Snappy => codec == 2,
            CompressionAlgorithm::Lz4 => codec == 3,
            CompressionAlgorithm::Zstd => codec == 4,
        }
    }

    /// Appends a record set; the base offset of its first batch. The real server's checks, and no others, all before a byte
    /// is written.
    pub(crate) fn produce(&self, set: &mut [u8], batches: &[Batch], faults: &Faults) -> Result<i64, ErrorCode> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        if batches.iter().all(|batch| batch.header.offsets() == 0) {
            return Ok(0);
        }
        if !batches.iter().all(|batch| self.accepts(batch.codec())) {
            return Err(ErrorCode::CompressionError);
        }
        let mut log = self.log();
        // With the lock held: what is written after this check is not lost by a move.
        if self.progress.borrow().gone.is_some() {
            return Err(ErrorCode::NotLeaderForPartition);
        }
        let limit = log.max_batch().min(u64::from(STORAGE_MAX_REQUEST_SIZE));
        if batches.iter().any(|batch| batch.size as u64 > limit) {
            return Err(ErrorCode::MessageTooLarge);
        }
        if batches.iter().any(|batch| batch.header.offsets() == 0) {
            return Err(ErrorCode::StorageError);
        }
        if self.has_failed() {
            return Err(ErrorCode::PartitionShortCircuited);
        }
        let written =
            if faults.disk_is_full() { Err(io::ErrorKind::StorageFull.into()) } else { log.append(set, batches) };
        // As on the real server, nothing more is written after a failure until the SPU starts again.
        self.failed.store(written.is_err(), Ordering::Relaxed);
        let end = log.end();
        self.progress.send_if_modified(|progress| std::mem::replace(&mut progress.end, end) != end);
        drop(log);
        written.map_err(|error| {
            eprintln!("fluvio-cffi-cluster: partition {}: {error}", self.key);
            match error.kind() {
                io::ErrorKind::StorageFull => ErrorCode::PartitionFull { replica_key: self.key.clone() },
                _ => ErrorCode::StorageError,
            }
        })
    }

    /// Gives up the records before `offset`, which must be within the log.
    pub(crate) fn evict(&self, offset: i64) -> io::Result<()> {
        self.log().evict(offset)
    }

    /// Removes what is beyond the partition's retention.
    pub(crate) fn retain(&self) -> io::Result<()> {
        let mut log = self.log();
        // The files of a partition that is gone belong to someone else.
        if self.progress.borrow().gone.is_some() {
            return Ok(());
        }
        log.retain(self.retention, self.max_bytes, SystemTime::now())
    }

    /// Ends all that wait; nothing is written any more.
    pub(crate) fn end(&self, reason: Gone) {
        let _log = self.log();
        self.progress.send_modify(|progress| progress.gone = Some(reason));
    }

    /// Ends all that wait, and removes the files. Streams in the middle of a slice still hold theirs open.
    pub(crate) fn delete(&self) {
        self.end(Gone::Deleted);
        if let Err(error) = log::remove(&self.directory) {
            eprintln!("fluvio-cffi-cluster: cannot remove {}: {error}", self.directory.display());
        }
    }
}
