//! One partition on the SPU: its log, and the word to those who wait for records in it.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fluvio_controlplane_metadata::topic::{CompressionAlgorithm, Deduplication};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::ReplicaKey;
use fluvio_spu_schema::Isolation;
use fluvio_types::defaults::STORAGE_MAX_REQUEST_SIZE;
use tokio::sync::watch;

use super::deduplication::Filter;
use crate::faults::Faults;
use crate::log::batch::Batch;
use crate::log::{self, Found, Log};

/// What the waiting ones look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    end: i64,
    /// The high watermark: a follower has what is before it, or there is none.
    committed: i64,
    pub(crate) gone: Option<Gone>,
}

impl Progress {
    /// How far one can read.
    pub(crate) fn end(&self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::ReadCommitted => self.committed,
            Isolation::ReadUncommitted => self.end,
        }
    }
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) start: i64,
    pub(crate) committed: i64,
    pub(crate) end: i64,
    /// In bytes.
    pub(crate) size: u64,
}

/// Why a partition is no longer served here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    Deleted,
    /// Another SPU leads it now, or this one is down.
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
    pub(crate) deduplication: Option<Deduplication>,
}

/// A partition that this SPU leads.
#[derive(Debug)]
pub(crate) struct Replica {
    key: ReplicaKey,
    directory: PathBuf,
    compression: CompressionAlgorithm,
    refusal: Option<ErrorCode>,
    filter: Option<Filter>,
    retention: Duration,
    max_bytes: u64,
    log: Mutex<Log>,
    progress: watch::Sender<Progress>,
    /// Whether a follower takes over what is written, or there is none.
    replicated: AtomicBool,
    /// Whether the SC has heard of it.
    reported: AtomicBool,
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
        // What an earlier run has left counts as committed.
        let (progress, _) = watch::channel(Progress { end: log.end(), committed: log.end(), gone: None });
        Self {
            key,
            directory,
            compression: config.compression.clone(),
            refusal: config.refusal.clone(),
            filter: config.deduplication.clone().map(Filter::new),
            retention: config.retention,
            max_bytes: config.max_bytes,
            log: Mutex::new(log),
            progress,
            replicated: AtomicBool::new(true),
            reported: AtomicBool::new(true),
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

    /// Whether the SC has heard of it.
    pub(crate) fn is_reported(&self) -> bool {
        self.reported.load(Ordering::Relaxed)
    }

    pub(crate) fn set_reported(&self, reported: bool) {
        self.reported.store(reported, Ordering::Relaxed);
    }

    /// Whether an append has failed since the SPU started.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(crate) fn extent(&self) -> Extent {
        self.extent_of(&self.log())
    }

    fn extent_of(&self, log: &Log) -> Extent {
        let committed = self.progress.borrow().committed;
        Extent { start: log.start(), committed, end: log.end(), size: log.size() }
    }

    pub(crate) fn find(&self, offset: i64, limit: u32, isolation: Isolation) -> io::Result<(Found, Extent)> {
        let log = self.log();
        let until = self.progress.borrow().end(isolation);
        Ok((log.find(offset, limit, until)?, self.extent_of(&log)))
    }

    /// Sets whether a follower takes over what is written. One that does has all at once.
    pub(crate) fn set_replicated(&self, replicated: bool) {
        let log = self.log();
        self.replicated.store(replicated, Ordering::Relaxed);
        self.tell(&log);
    }

    /// Tells those that wait how far the log has come.
    fn tell(&self, log: &Log) {
        let end = log.end();
        let replicated = self.replicated.load(Ordering::Relaxed);
        self.progress.send_if_modified(|progress| {
            let before = (progress.end, progress.committed);
            progress.end = end;
            if replicated {
                progress.committed = end;
            }
            before != (progress.end, progress.committed)
        });
    }

    /// Waits until all that is written now is committed. It does not come to that when the partition goes.
    pub(crate) async fn committed(&self, end: i64) {
        let mut progress = self.progress();
        // The sender is here.
        if progress.wait_for(|progress| progress.committed >= end).await.is_err() {
            std::future::pending::<()>().await;
        }
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

    /// Whether clients may produce here.
    pub(crate) fn check_refusal(&self) -> Result<(), ErrorCode> {
        self.refusal.clone().map_or(Ok(()), Err)
    }

    /// Whether the topic takes what the batches are compressed with.
    pub(crate) fn check_codecs(&self, batches: &[Batch]) -> Result<(), ErrorCode> {
        let accepted = batches.iter().all(|batch| self.accepts(batch.codec()));
        if accepted { Ok(()) } else { Err(ErrorCode::CompressionError) }
    }

    /// What removes duplicates from what is written, if something does.
    pub(crate) fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// Appends a record set; the base offset of its first batch. The real server's checks, and no others, all before a
    /// byte is written.
    pub(crate) fn produce(&self, set: &mut [u8], batches: &[Batch], faults: &Faults) -> Result<i64, ErrorCode> {
        self.check_refusal()?;
        if batches.iter().all(|batch| batch.header.offsets() == 0) {
            return Ok(0);
        }
        self.check_codecs(batches)?;
        let mut log = self.log();
        // With the lock held: what is written after this check is not lost by a move.
        if self.is_gone() {
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
        self.tell(&log);
        drop(log);
        written.map_err(|error| {
            complain!("partition {}: {error}", self.key);
            match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    ErrorCode::PartitionFull { replica_key: self.key.clone() }
                }
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
        if self.is_gone() {
            return Ok(());
        }
        log.retain(self.retention, self.max_bytes, SystemTime::now())
    }

    /// Ends all that wait; nothing is written any more.
    pub(crate) fn end(&self, reason: Gone) {
        if let Some(filter) = &self.filter {
            filter.end();
        }
        let _log = self.log();
        self.progress.send_modify(|progress| progress.gone = Some(reason));
    }

    pub(super) fn is_gone(&self) -> bool {
        self.progress.borrow().gone.is_some()
    }

    /// Ends all that wait, and removes the files. Streams in the middle of a slice still hold theirs open.
    pub(crate) fn delete(&self) {
        self.end(Gone::Deleted);
        if let Err(error) = log::remove(&self.directory) {
            complain!("cannot remove {}: {error}", self.directory.display());
        }
    }
}
