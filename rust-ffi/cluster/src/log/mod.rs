//! The log of one partition: append-only segment files in the layout of the real server
//! (`<topic>-<partition>/<base offset in 20 digits>.log`), whose bytes are the batches as they go over the wire.

pub(crate) mod batch;
mod recovery;
mod segment;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::files;
use batch::Batch;
use segment::Segment;

/// A piece of one segment file, ready to be read without the log's lock.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) file: Arc<File>,
    pub(crate) position: u64,
    pub(crate) length: usize,
}

/// What a position in the log turned out to be.
#[derive(Debug)]
pub(crate) enum Found {
    /// There are bytes from here.
    Slice(Slice),
    /// Nothing yet: the position is the end.
    End,
    /// Before the first offset that is kept.
    Evicted,
    /// After the end.
    Beyond,
}

/// An append-only log.
#[derive(Debug)]
pub(crate) struct Log {
    directory: PathBuf,
    segment_bytes: u64,
    /// In order of their bases, never empty.
    closed: Vec<Segment>,
    active: Segment,
    /// Not below the first segment's base; above it when a part of it was given up.
    start: i64,
    end: i64,
}

/// The file that holds a start which is not a segment's base.
const START_FILE: &str = "log-start";

impl Log {
    /// Makes an empty log, removing what a deleted namesake may have left.
    pub(crate) fn create(directory: PathBuf, segment_bytes: u32) -> io::Result<Self> {
        remove(&directory)?;
        fs::create_dir_all(&directory)?;
        let active = Segment::create(&directory, 0)?;
        Ok(Self { directory, segment_bytes: u64::from(segment_bytes), closed: Vec::new(), active, start: 0, end: 0 })
    }

    /// Opens a log as a stop has left it. A missing one is an empty one.
    pub(crate) fn open(directory: PathBuf, segment_bytes: u32) -> io::Result<Self> {
        let mut bases = segment_bases(&directory)?;
        let Some(last) = bases.pop() else { return Self::create(directory, segment_bytes) };
        let mut closed = Vec::with_capacity(bases.len());
        for base in bases {
            let file = File::open(directory.join(segment::file_name(base)))?;
            let scan = recovery::scan(&file, base, false)?;
            closed.push(Segment::closed(base, scan.length, scan.index));
        }
        let file = OpenOptions::new().read(true).write(true).open(directory.join(segment::file_name(last)))?;
        let scan = recovery::scan(&file, last, true)?;
        if file.metadata()?.len() > scan.length {
            file.set_len(scan.length)?;
        }
        let active = Segment::active(file, last, scan.length, scan.index);
        let stored = files::read(&directory.join(START_FILE))?;
        let stored = stored.and_then(|bytes| bytes.first_chunk().map(|bytes| i64::from_be_bytes(*bytes)));
        let first = closed.first().unwrap_or(&active).base;
        let start = stored.unwrap_or(first).clamp(first, scan.next);
        Ok(Self { directory, segment_bytes: u64::from(segment_bytes), closed, active, start, end: scan.next })
    }

    /// The first offset that is kept.
    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    /// Removes the oldest closed segments. What cannot be removed is no part of the log any more until it is opened
    /// again.
    fn remove_segments(&mut self, count: usize) -> io::Result<()> {
        let removed: Vec<Segment> = self.closed.drain(..count).collect();
        self.start = self.start.max(self.closed.first().unwrap_or(&self.active).base);
        // The oldest first, and no further than the first failure: a hole would be found on opening.
        removed.iter().try_for_each(|segment| fs::remove_file(self.directory.join(segment::file_name(segment.base))))
    }

    /// Gives up everything before `offset`, which must be within the log. Files that hold nothing else are removed.
    pub(crate) fn evict(&mut self, offset: i64) -> io::Result<()> {
        files::replace(&self.directory.join(START_FILE), &offset.to_be_bytes())?;
        self.start = offset;
        // A segment ends where the next one begins.
        let ends = self.closed.iter().skip(1).chain([&self.active]).map(|segment| segment.base);
        let count = self.closed.iter().zip(ends).take_while(|(_, end)| *end <= offset).count();
        self.remove_segments(count)
    }

    /// Does what the real server does about retention: as many closed segments as the log is too large go, the oldest
    /// first, and then those that were last written too long ago.
    pub(crate) fn retain(&mut self, retention: Duration, max_bytes: u64, now: SystemTime) -> io::Result<()> {
        let excess = self.size().saturating_sub(max_bytes).div_ceil(self.segment_bytes.max(1));
        let count = usize::try_from(excess).unwrap_or(usize::MAX).min(self.closed.len());
        self.remove_segments(count)?;
        let mut old = 0;
        for segment in &self.closed {
            // A file of the future is not old.
            if now.duration_since(segment.modified(&self.directory)?).is_ok_and(|age| age > retention) {
                old += 1;
            } else {
                break;
            }
        }
        self.remove_segments(old)
    }

    /// The offset that the next record gets.
    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    /// Bytes in all segments.
    pub(crate) fn size(&self) -> u64 {
        self.closed.iter().map(|segment| segment.length).sum::<u64>() + self.active.length
    }

    /// The largest batch that fits into a segment.
    pub(crate) fn max_batch(&self) -> u64 {
        self.segment_bytes
    }

    /// Seals and appends the batches of a record set; the base offset of the first. Neighbours that go into the same
    /// segment are written with one call.
    pub(crate) fn append(&mut self, set: &mut [u8], batches: &[Batch]) -> io::Result<i64> {
        let first = self.end;
        let mut rest = batches;
        while let Some(head) = rest.first() {
            if self.active.length > 0 && self.active.length + head.size as u64 > self.segment_bytes {
                self.roll();
            }
            let mut room = self.segment_bytes.saturating_sub(self.active.length);
            let mut count = 0;
            let mut next = self.end;
            let mut bases = Vec::with_capacity(rest.len());
            for batch in rest {
                let size = batch.size as u64;
                if size > room && count > 0 {
                    break;
                }
                batch::seal(&mut set[batch.start..batch.start + batch.size], next);
                bases.push((next, batch.start - head.start));
                next = next.saturating_add(batch.header.offsets());
                room = room.saturating_sub(size);
                count += 1;
            }
            let (run, later) = rest.split_at(count);
            let stop = run.last().map_or(head.start, |batch| batch.start + batch.size);
            self.active.append(&self.directory, &set[head.start..stop], bases.into_iter())?;
            self.end = next;
            rest = later;
        }
        Ok(first)
    }

    /// Begins the next segment. Where no file can be had for it, the last one grows until there is one: what cannot be
    /// written at all is told by the write.
    fn roll(&mut self) {
        if let Ok(next) = Segment::create(&self.directory, self.end) {
            let mut full = std::mem::replace(&mut self.active, next);
            full.close();
            self.closed.push(full);
        }
    }

    /// Up to `limit` bytes from the start of the batch that contains `offset`, never more than its segment holds, and
    /// nothing of the batches from `until` on.
    pub(crate) fn find(&self, offset: i64, limit: u32, until: i64) -> io::Result<Found> {
        if offset > self.end {
            return Ok(Found::Beyond);
        }
        if offset < self.start {
            return Ok(Found::Evicted);
        }
        if offset >= self.end.min(until) {
            return Ok(Found::End);
        }
        let (segment, next) = if offset >= self.active.base {
            (&self.active, self.end)
        } else {
            let after = self.closed.partition_point(|segment| segment.base <= offset);
            let segment = after.checked_sub(1).and_then(|i| self.closed.get(i)).unwrap_or(&self.active);
            (segment, self.closed.get(after).unwrap_or(&self.active).base)
        };
        let file = segment.file(&self.directory)?;
        let position = segment.locate(&file, offset)?;
        let stop = if until < next { segment.locate(&file, until)? } else { segment.length };
        let length = usize::try_from((stop - position).min(u64::from(limit))).unwrap_or(usize::MAX);
        Ok(Found::Slice(Slice { file, position, length }))
    }
}

/// Removes the directory of a log, if it is there.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The bases of the segment files in a directory, in order.
fn segment_bases(directory: &Path) -> io::Result<Vec<i64>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut bases = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let base = name.to_str().and_then(|name| name.strip_suffix(".log")).filter(|digits| digits.len() == 20);
        bases.extend(base.and_then(|digits| digits.parse::<i64>().ok()));
    }
    bases.sort_unstable();
    Ok(bases)
}
