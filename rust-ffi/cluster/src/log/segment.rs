//! One file of a log: batches one after another, and a sparse index of them in memory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::batch::{HEADER, Header};

/// One index entry for at least this many bytes of log.
const INDEX_INTERVAL: u64 = 4096;

/// Batch base offset and position of some batches, in order.
#[derive(Debug, Default)]
pub(crate) struct Index(Vec<(i64, u64)>);

impl Index {
    /// Takes note of a batch, unless the last noted one is close before it.
    pub(crate) fn note(&mut self, base: i64, position: u64) {
        if self.0.last().is_none_or(|&(_, last)| position - last >= INDEX_INTERVAL) {
            self.0.push((base, position));
        }
    }

    /// The last noted position whose batch begins at or before `offset`.
    fn before(&self, offset: i64) -> u64 {
        let after = self.0.partition_point(|&(base, _)| base <= offset);
        after.checked_sub(1).map_or(0, |i| self.0[i].1)
    }
}

/// A segment file; only the last one of a log is written, and kept open: there may be very many of the others.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base: i64,
    pub(crate) length: u64,
    file: Option<Arc<File>>,
    index: Index,
}

/// The name that the real server gives a segment.
pub(crate) fn file_name(base: i64) -> String {
    format!("{base:020}.log")
}

impl Segment {
    pub(crate) fn create(directory: &Path, base: i64) -> io::Result<Self> {
        let path: PathBuf = directory.join(file_name(base));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Self::active(file, base, 0, Index::default()))
    }

    /// The one that is written.
    pub(crate) fn active(file: File, base: i64, length: u64, index: Index) -> Self {
        Self { base, length, file: Some(Arc::new(file)), index }
    }

    /// One that is not written any more.
    pub(crate) fn closed(base: i64, length: u64, index: Index) -> Self {
        Self { base, length, file: None, index }
    }

    /// It is not written any more.
    pub(crate) fn close(&mut self) {
        self.file = None;
    }

    /// Its file, for as long as somebody has it.
    pub(crate) fn file(&self, directory: &Path) -> io::Result<Arc<File>> {
        match &self.file {
            Some(file) => Ok(Arc::clone(file)),
            None => File::open(directory.join(file_name(self.base))).map(Arc::new),
        }
    }

    /// Appends whole batches (`bases`: their base offsets and positions inside `bytes`) with one write.
    pub(crate) fn append(
        &mut self,
        directory: &Path,
        bytes: &[u8],
        bases: impl Iterator<Item = (i64, usize)>,
    ) -> io::Result<()> {
        let file = self.file(directory)?;
        if let Err(error) = file.write_all_at(bytes, self.length) {
            // What was written of it is no batch: the next append begins at the same place, and so does a restart.
            let _ = file.set_len(self.length);
            return Err(error);
        }
        for (base, at) in bases {
            self.index.note(base, self.length + at as u64);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Where the batch begins that contains `offset`, which must be in this segment. `file`: its own.
    pub(crate) fn locate(&self, file: &File, offset: i64) -> io::Result<u64> {
        let mut found = self.index.before(offset);
        let mut window = [0_u8; INDEX_INTERVAL as usize + HEADER];
        // Batches that are not in the index begin less than an interval after one that is, so one read shows them all.
        let origin = found;
        let available = usize::try_from(self.length - origin).unwrap_or(usize::MAX).min(window.len());
        let window = &mut window[..available];
        file.read_exact_at(window, origin)?;
        loop {
            let at = (found - origin) as usize;
            let Some(size) = window.get(at..at + HEADER).and_then(|bytes| Header::read(bytes).size()) else {
                return Ok(found);
            };
            let next = at + size;
            match window.get(next..next + 8).and_then(|bytes| bytes.first_chunk::<8>()) {
                Some(base) if i64::from_be_bytes(*base) <= offset => found = origin + next as u64,
                _ => return Ok(found),
            }
        }
    }

    /// When it was written last.
    pub(crate) fn modified(&self, directory: &Path) -> io::Result<SystemTime> {
        fs::metadata(directory.join(file_name(self.base)))?.modified()
    }
}
