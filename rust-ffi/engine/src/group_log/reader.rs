//! The records of one partition of the log, as they are read. Pure.

use std::sync::Arc;

use bytes::Bytes;
use fluvio_cffi_group::{GroupKey, Record};
use fluvio_cffi_wire::{Remainder, split_batches};

use crate::error::{Error, ErrorKind, Result};

/// Bytes of an unpacked batch, at most.
const MOST_UNPACKED: usize = 64 << 20;

/// Something that stands in the log.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) offset: i64,
    /// A hash of the value, also where it is no command.
    pub(crate) digest: u64,
    /// When the SPU took it, milliseconds since the epoch; -1: not known.
    pub(crate) timestamp: i64,
    /// Bytes of the value.
    pub(crate) size: usize,
    /// The command, if it is one.
    pub(crate) said: Option<(GroupKey, Arc<Record>)>,
}

/// Where the log is read.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) topic: String,
    pub(super) partition: u32,
    /// The offset that is read next.
    pub(super) next: i64,
    /// Bytes to ask for in one reply.
    pub(super) largest: i32,
}

impl Reader {
    pub(super) fn new(topic: &str, partition: u32, next: i64, largest: i32) -> Self {
        Self { topic: topic.to_owned(), partition, next, largest }
    }

    /// Says where it is that `error` is about.
    pub(super) fn at(&self, error: Error) -> Error {
        error.with_topic(&self.topic).with_partition(self.partition)
    }

    fn broken(&self, what: &dyn std::fmt::Display) -> Error {
        let text = format!("the log of consumer groups, topic \"{}\", is broken: {what}", self.topic);
        self.at(Error::new(ErrorKind::CorruptRecord, text))
    }

    /// The records of a reply from the next offset on.
    pub(super) fn split(&mut self, bytes: &Bytes) -> Result<Vec<Item>> {
        let (mut batches, mut items, mut next) = (Vec::new(), Vec::new(), self.next);
        let remainder = split_batches(bytes, &mut batches).map_err(|cause| self.broken(&cause))?;
        for batch in &batches {
            if batch.header.next_offset() <= next {
                continue;
            }
            if batch.header.base_offset > next {
                return Err(self.broken(&format!("offset {next} is missing")));
            }
            batch.check_crc().map_err(|cause| self.broken(&cause))?;
            let body = batch.body(MOST_UNPACKED).map_err(|cause| self.broken(&cause))?;
            for record in batch.records(&body).map_err(|cause| self.broken(&cause))? {
                let record = record.map_err(|cause| self.broken(&cause))?;
                let offset = batch.header.base_offset.checked_add(record.offset_delta);
                let offset = offset.ok_or_else(|| self.broken(&"an offset lies beyond the greatest that there is"))?;
                if offset >= next {
                    let timestamp = batch.header.first_timestamp.saturating_add(record.timestamp_delta);
                    items.push(item(offset, timestamp, record.key, record.value));
                }
            }
            next = batch.header.next_offset();
        }
        if let (true, Remainder::Cut(whole)) = (items.is_empty(), remainder) {
            self.largest = i32::try_from(whole).unwrap_or(i32::MAX);
        }
        self.next = next;
        Ok(items)
    }
}

fn item(offset: i64, timestamp: i64, key: Option<&[u8]>, value: &[u8]) -> Item {
    let key = key.and_then(|key| GroupKey::from_record(key).ok());
    let said = key.and_then(|key| Some((key, Arc::new(Record::decode(offset, value).ok()?))));
    let digest = said.as_ref().map_or_else(|| Record::digest_of(value), |(_, record)| record.digest);
    Item { offset, digest, timestamp, size: value.len(), said }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fluvio_cffi_wire::{BatchBuilder, Codec};

    use super::*;
    use crate::sealing::sealed;

    /// A batch of two records from offset `base` on, the last of which says that it is `last` behind that.
    fn batch(base: i64, last: u8) -> Bytes {
        let mut builder = BatchBuilder::with_capacity(100);
        builder.push(7, Some(b"group/topic"), b"{}");
        builder.push(7, None, b"");
        let mut bytes = builder.finish(Codec::None).unwrap().to_vec();
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes[26] = last;
        let at = bytes.len() - 4;
        assert_eq!(bytes[at], 2, "the second record's offset, zigzag-coded");
        bytes[at] = 2 * last;
        sealed(&bytes)
    }

    #[test]
    fn records_from_the_next_one_on() {
        let mut reader = Reader::new("log", 0, 6, 100);
        let items = reader.split(&batch(5, 1)).unwrap();
        assert_eq!((items.len(), items[0].offset, reader.next), (1, 6, 7));
    }

    #[test]
    fn an_offset_beyond_the_greatest_is_an_error() {
        const NEXT: i64 = i64::MAX - 3;
        let mut reader = Reader::new("log", 0, NEXT, 100);
        let error = reader.split(&batch(NEXT, 9)).unwrap_err();
        assert_eq!((error.kind, reader.next), (ErrorKind::CorruptRecord, NEXT));
    }
}
