//! Where one partition is read, and how its replies follow each other without a gap and without a repeat.

use bytes::Bytes;
use fluvio_cffi_wire::{Remainder, split_batches};

use super::assignment::Assigned;
use super::decode::Reply;
use super::{ConsumerOptions, Start};
use crate::error::{Error, ErrorKind, Result};

/// Bytes that are asked for, at least, once a reply was too short even for the head of a batch.
const LEAST_REPEATED_FETCH: u32 = 4096;

/// The position in one partition. It belongs to the fetcher that reads the partition, or is parked in the assignment.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(super) partition: u32,
    /// Under which epoch of the assignment it reads.
    pub(super) epoch: u64,
    /// How to find the first offset; `None` once that is known.
    pub(super) start: Option<Start>,
    /// The offset expected next.
    pub(super) next: i64,
    /// Reading ends here.
    pub(super) end: Option<i64>,
    /// Bytes to ask for in one reply.
    pub(super) fetch_bytes: u32,
    /// Whether the last reply began beyond the expected offset, and was asked for again.
    gap: bool,
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
        Self { partition, epoch, start: Some(start), next: 0, end: None, fetch_bytes, gap: false }
    }

    /// Goes on elsewhere. The end stays the one that was seen first.
    pub(super) fn restart(&mut self, start: Start) {
        self.start = Some(start);
        self.gap = false;
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
            None => self.next,
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
        self.next = next;
        self.end = end;
        Ok(!resumes)
    }

    /// Whether the end was reached.
    pub(super) fn finished(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }

    /// Finds the whole batches of a reply and how reading goes on, before any batch is decoded, so that the server can
    /// prepare the next reply meanwhile.
    pub(super) fn split(&mut self, topic: &str, bytes: &Bytes) -> Result<(Reply, AfterReply)> {
        let mut batches = Vec::new();
        let remainder = split_batches(bytes, &mut batches);
        // The server sends whole batches from the one on that holds the offset: earlier ones were read before.
        batches.retain(|batch| batch.header.next_offset() > self.next);
        let mut expected = self.next;
        for (index, batch) in batches.iter().enumerate() {
            let base = batch.header.base_offset;
            // The first batch may begin before the offset, never after it.
            if base > expected || (base < expected && index > 0) {
                if index > 0 {
                    batches.truncate(index);
                    break;
                }
                if std::mem::replace(&mut self.gap, true) {
                    let text = format!(
                        "offset {expected} is missing: the log goes on at {base}; \
                         seek there to go on without what is lost"
                    );
                    let error = Error::new(ErrorKind::Consumer, text).with_topic(topic);
                    return Err(error.with_partition(self.partition).with_offset(expected));
                }
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
            Ok(_) => AfterReply::Reopen,
        };
        Ok((Reply::new(batches, broken), after))
    }
}

#[cfg(test)]
mod tests;
