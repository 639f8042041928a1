//! Reading a log back after a stop, orderly or not.
//!
//! The rule. Everything that was acknowledged is in the file, whole, with a right checksum (batches are sealed before
//! they are written). What a kill can leave behind is the beginning of an append at the very end of the **last**
//! segment. So:
//!
//! * The last segment is walked from its start and every checksum is computed. It ends after the last batch that is
//!   whole, has a right checksum and continues the offsets; what follows is cut off.
//! * A wrong checksum *before* such a batch is damage of another kind: the batch stays (a reader will notice it), since
//!   cutting there would drop acknowledged records that are well.
//! * Older segments were complete before their successor was made: they are walked by their headers alone and never
//!   cut.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::batch::{HEADER, Header, crc_matches};
use super::segment::Index;

/// Read-ahead when whole batches are looked at, and when only headers are.
const WHOLE: usize = 1 << 20;
const HEADERS: usize = 4096;

/// What a segment file was found to hold.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) index: Index,
    /// Bytes of good batches; the file may be longer.
    pub(crate) length: u64,
    /// The offset after the last good batch.
    pub(crate) next: i64,
}

/// A part of a file, kept so that neighbouring reads cost one.
struct Window<'a> {
    file: &'a File,
    file_length: u64,
    ahead: usize,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// `length` bytes at `position`, or None when the file does not hold them.
    fn get(&mut self, position: u64, length: usize) -> io::Result<Option<&[u8]>> {
        let Some(end) = position.checked_add(length as u64).filter(|&end| end <= self.file_length) else {
            return Ok(None);
        };
        if position < self.start || end > self.start + self.bytes.len() as u64 {
            let wanted = length.max(self.ahead);
            let available = usize::try_from(self.file_length - position).unwrap_or(usize::MAX);
            self.bytes.resize(wanted.min(available), 0);
            self.file.read_exact_at(&mut self.bytes, position)?;
            self.start = position;
        }
        let from = (position - self.start) as usize;
        Ok(self.bytes.get(from..from + length))
    }
}

/// Walks a segment that begins at offset `base`.
pub(crate) fn scan(file: &File, base: i64, check: bool) -> io::Result<Scan> {
    let ahead = if check { WHOLE } else { HEADERS };
    let mut window = Window { file, file_length: file.metadata()?.len(), ahead, start: 0, bytes: Vec::new() };
    let mut good = Scan { index: Index::default(), length: 0, next: base };
    // Batches seen since the last good one: they count only if a good one follows.
    let mut doubtful: Vec<(i64, u64)> = Vec::new();
    let (mut position, mut next) = (0, base);
    while let Some(bytes) = window.get(position, HEADER)? {
        let header = Header::read(bytes);
        let Some(size) = header.size().filter(|_| header.base == next && header.offsets() > 0) else { break };
        let whole = if check { window.get(position, size)?.map(crc_matches) } else { Some(true) };
        let Some(right) = whole.filter(|_| position + size as u64 <= window.file_length) else { break };
        doubtful.push((next, position));
        position += size as u64;
        next += header.offsets();
        if right {
            for (base, at) in doubtful.drain(..) {
                good.index.note(base, at);
            }
            good.length = position;
            good.next = next;
        }
    }
    Ok(good)
}
