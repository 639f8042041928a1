//! Where one partition is read, and how its replies follow each other without a gap and without a repeat.

use std::sync::Arc;

use bytes::Bytes;
use fluvio_cffi_wire::{Remainder, WireError, split_batches, split_made_batches};
use tokio::time::Instant;

use super::assignment::Assigned;
use super::decode::Reply;
use super::inspection::Inspection;
use super::place::Place;
use super::search::Search;
use super::{ConsumerOptions, Start};
use crate::error::{Error, ErrorKind, Result};
use crate::smartmodule::Range;

/// Bytes that are asked for, at least, once a reply was too short even for the head of a batch.
const LEAST_REPEATED_FETCH: u32 = 4096;
/// Bytes of one batch, at most. The server takes none of more than 32 MiB: what says that it is longer is damaged.
const LONGEST_BATCH: usize = 128 << 20;

/// The position in one partition. It belongs to the fetcher that reads the partition, or is parked in the assignment.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(super) partition: u32,
    /// Under which epoch of the assignment it reads.
    pub(super) epoch: u64,
    /// How to find the first offset; `None` once that is known.
    pub(super) start: Option<Start>,
    /// Where reading goes on.
    pub(super) place: Place,
    /// Reading ends here.
    pub(super) end: Option<i64>,
    /// Bytes to ask for in one reply.
    pub(super) fetch_bytes: u32,
    /// Bytes to ask for as long as no batch needs more.
    least_fetch_bytes: u32,
    /// Whether the last reply began beyond the expected offset, and was asked for again.
    gap: bool,
    /// Whether what it reads is the values of an aggregate: the place keeps the last one.
    pub(super) gives_values: bool,
    /// Bytes of what SmartModules made for the last reply, unpacked.
    pub(super) made_bytes: usize,
    /// Whether something was read since the start, so that SmartModules have seen it.
    pub(super) has_begun: bool,
    /// The search for the record on which SmartModules fail.
    pub(super) search: Option<Box<Search>>,
    /// The look into the log, without SmartModules, at which they have failed.
    pub(super) inspection: Option<Box<Inspection>>,
    /// When the SPU first did not know one of the SmartModules.
    pub(super) unknown_since: Option<Instant>,
    /// How many probes a stream that SmartModules work for may be silent, and how many it has been.
    silence: Silence,
}

/// How long SmartModules may work without a reply.
#[derive(Debug, Clone, Copy)]
struct Silence {
    probes: u32,
    patience: u32,
}

impl Default for Silence {
    fn default() -> Self {
        Self { probes: 0, patience: 1 }
    }
}

/// The bounds of a partition's log.
pub(super) struct Log<'a> {
    pub(super) topic: &'a str,
    /// The first offset that exists.
    pub(super) start: i64,
    /// The offset after the last.
    pub(super) end: i64,
}

/// How reading goes on after a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AfterReply {
    /// On the same stream, from this offset on: the one after the last record of the reply.
    Acknowledge(i64),
    /// On a new stream: not one whole batch fits, so it must ask for more; or nothing in the reply is wanted. The
    /// offset at which the stream stands is not acknowledged once more, since the server can lose the second of two
    /// equal ones.
    Reopen,
    /// Not at all: the log is broken behind the whole batches.
    Stop,
}

impl Cursor {
    /// The cursor of a partition that has just been assigned.
    pub(super) fn new(assigned: Assigned, start: Start, fetch_bytes: u32) -> Self {
        let Assigned { partition, epoch } = assigned;
        Self {
            partition,
            epoch,
            start: Some(start),
            place: Place::default(),
            end: None,
            fetch_bytes,
            least_fetch_bytes: fetch_bytes,
            gap: false,
            gives_values: false,
            made_bytes: 0,
            has_begun: false,
            search: None,
            inspection: None,
            unknown_since: None,
            silence: Silence::default(),
        }
    }

    /// The offset expected next.
    pub(super) fn next(&self) -> i64 {
        self.place.offset
    }

    /// Everything before `next` was read.
    pub(super) fn go_on(&mut self, next: i64) {
        self.place = Place { offset: next, skip: 0, value: self.place.value.take() };
        self.has_begun = true;
        self.silence.probes = 0;
    }

    /// Goes back to a place where it was: what was read since is not handed out.
    pub(super) fn go_back(&mut self, place: Place) {
        self.place = place;
        self.search = None;
        self.inspection = None;
    }

    /// Goes on elsewhere. The end stays the one that was seen first.
    pub(super) fn restart(&mut self, start: Start) {
        self.start = Some(start);
        self.place = Place::default();
        self.gap = false;
        self.has_begun = false;
        self.search = None;
        self.inspection = None;
        self.unknown_since = None;
    }

    /// What the next stream passes to SmartModules, and the value from which an aggregate goes on.
    pub(super) fn range(&self) -> (Range, Option<Arc<[u8]>>) {
        let to = self.search.as_deref().and_then(Search::to);
        (Range { from: self.next(), to }, self.place.value.clone())
    }

    /// Whether a stream that was silent for another probe is to be given up. A reply may have been too small for what
    /// SmartModules make of one batch, in which case the server says nothing; but they may also take long, so each time
    /// more of both is allowed.
    pub(super) fn loses_patience(&mut self) -> bool {
        self.silence.probes += 1;
        if self.silence.probes < self.silence.patience {
            return false;
        }
        self.silence = Silence { probes: 0, patience: self.silence.patience.saturating_mul(2) };
        self.fetch_bytes = self.fetch_bytes.saturating_mul(2).min(i32::MAX as u32);
        true
    }

    /// SmartModules made so many bytes for a reply. What had to be asked for because of one large batch is not asked for
    /// for ever.
    pub(super) fn note_made(&mut self, bytes: usize) {
        self.made_bytes = bytes;
        if bytes < self.fetch_bytes as usize / 4 {
            self.fetch_bytes = (self.fetch_bytes / 2).max(self.least_fetch_bytes);
        }
    }

    /// Fixes the start now that the log's bounds are known. False: the start was known already, and only checked.
    pub(super) fn resolve(&mut self, log: &Log, options: &ConsumerOptions) -> Result<bool> {
        let Log { topic, start: log_start, end: log_end } = *log;
        let error = |kind, offset, text: String| {
            Error::new(kind, text).with_topic(topic).with_partition(self.partition).with_offset(offset)
        };
        let end = if options.stop_at_end { self.end.or(Some(log_end)) } else { None };
        let resumes = self.start.is_none();
        let mut next = match self.start {
            // A start by time is an offset by now.
            None | Some(Start::Since(_)) => self.next(),
            Some(Start::Beginning(after)) => log_start.saturating_add_unsigned(after).min(log_end),
            Some(Start::End(before)) => log_end.saturating_sub_unsigned(before).max(log_start),
            Some(Start::At(offset) | Start::Stored(offset)) => offset,
        };
        let what = match self.start {
            Some(Start::Stored(_)) => format!("offset {next}, which follows the stored one,"),
            _ => format!("offset {next}"),
        };
        // Otherwise the stream decides: without an end to read to, or after a lost connection, when replicas may be
        // behind.
        if next > log_end && end.is_some() && !resumes {
            let text = format!(
                "{what} lies beyond the end of the log, {log_end}: seek to one that exists, or reset the stored offset"
            );
            return Err(error(ErrorKind::OffsetOutOfRange, next, text));
        }
        if next < log_start {
            if !options.skip_evicted {
                let text = format!(
                    "{what} was removed by retention: the log begins at {log_start}; \
                     seek there, or open with skip_evicted"
                );
                let mut error = error(ErrorKind::OffsetEvicted, next, text);
                error.next_available = Some(log_start);
                return Err(error);
            }
            next = log_start;
        }
        self.start = None;
        if next != self.place.offset {
            self.place = Place { offset: next, skip: 0, value: self.place.value.take() };
        }
        self.end = end;
        Ok(!resumes)
    }

    /// Whether the end was reached.
    pub(super) fn finished(&self) -> bool {
        self.end.is_some_and(|end| self.next() >= end)
    }

    /// Finds the whole batches of a reply and how reading goes on, before any batch is decoded, so that the server can
    /// prepare the next reply meanwhile.
    pub(super) fn split(&mut self, topic: &str, bytes: &Bytes) -> Result<(Reply, AfterReply)> {
        let mut batches = Vec::new();
        let remainder = split_batches(bytes, &mut batches).and_then(|remainder| match remainder {
            // A reply is cut only where it is as long as was asked for.
            Remainder::Unknown | Remainder::Cut(_) if bytes.len() < self.fetch_bytes as usize => {
                Err(WireError::Truncated("a batch"))
            }
            Remainder::Cut(length) if length > LONGEST_BATCH => {
                Err(WireError::Invalid { field: "the length of a batch", value: i64::try_from(length).unwrap_or(-1) })
            }
            remainder => Ok(remainder),
        });
        // The server sends whole batches from the one on that holds the offset: earlier ones were read before.
        batches.retain(|batch| batch.header.next_offset() > self.next());
        let mut expected = self.next();
        for (index, batch) in batches.iter().enumerate() {
            let base = batch.header.base_offset;
            // The first batch may begin before the offset, never after it.
            if base > expected || (base < expected && index > 0) {
                if index > 0 {
                    batches.truncate(index);
                    break;
                }
                let what = format!("the log goes on at {base}; seek there to go on without what is lost");
                self.note_gap(topic, &what)?;
                return Ok((Reply::default(), AfterReply::Reopen));
            }
            expected = batch.header.next_offset();
        }
        if !batches.is_empty() {
            self.gap = false;
        }
        let mut broken = None;
        let after = match remainder {
            Err(cause) => {
                broken = Some(cause);
                AfterReply::Stop
            }
            Ok(_) if !batches.is_empty() => AfterReply::Acknowledge(expected),
            Ok(Remainder::Cut(length)) => {
                self.fetch_bytes = u32::try_from(length).unwrap_or(u32::MAX).max(self.fetch_bytes);
                AfterReply::Reopen
            }
            Ok(Remainder::Unknown) => {
                self.fetch_bytes = self.fetch_bytes.saturating_mul(2).max(LEAST_REPEATED_FETCH);
                AfterReply::Reopen
            }
            Ok(Remainder::None) => {
                self.note_gap(topic, "the SPU sends nothing but what lies before it")?;
                AfterReply::Reopen
            }
        };
        Ok((Reply::new(batches, broken), after))
    }

    /// The offset that is expected has not come. It is asked for once more, but not for ever.
    fn note_gap(&mut self, topic: &str, what_comes: &str) -> Result<()> {
        if !std::mem::replace(&mut self.gap, true) {
            return Ok(());
        }
        let text = format!("offset {} is missing: {}", self.next(), what_comes);
        let error = Error::new(ErrorKind::Consumer, text).with_topic(topic);
        Err(error.with_partition(self.partition).with_offset(self.next()))
    }

    /// What SmartModules made of all up to offset `next`. Their batches do not follow each other, and none is cut.
    pub(super) fn split_made(&self, topic: &str, bytes: &Bytes, next: i64) -> Result<Reply> {
        let mut batches = Vec::new();
        let wrong = match split_made_batches(bytes, &mut batches) {
            // The stamp leaves a mark of a batch of which nothing is left.
            Ok(Remainder::None) if batches.is_empty() => WireError::Truncated("an empty one"),
            Ok(Remainder::None) if next > self.next() => return Ok(Reply::made(batches, next)),
            Ok(Remainder::None) => WireError::Invalid { field: "the offset behind them", value: next },
            Ok(Remainder::Unknown | Remainder::Cut(_)) => WireError::Truncated("a batch"),
            Err(cause) => cause,
        };
        let text = format!("the SPU's reply is not what SmartModules make: {wrong}");
        let error = Error::new(ErrorKind::SmartModule, text).with_topic(topic);
        Err(error.with_partition(self.partition).with_offset(self.next()))
    }
}

#[cfg(test)]
mod tests;
