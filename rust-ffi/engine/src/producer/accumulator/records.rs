//! The records of one submission: checked as a whole, then read one after the other.

use fluvio_cffi_wire::BatchBuilder;

use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::producer::{RECORD_OVERHEAD, Records, Run, partitioner};

/// One of the records to submit.
pub(super) struct Record<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: &'a [u8],
    pub(super) timestamp: i64,
    /// The partition that was named or follows from the key. `None`: the record goes to the sticky partition.
    pub(super) partition: Option<u32>,
    /// What the record takes of the buffer.
    pub(super) cost: u64,
    /// Where the record's bytes end in [`Records::data`].
    end: usize,
}

impl Record<'_> {
    /// Whether the record fits into a batch that may grow to `batch_size` bytes.
    pub(super) fn fits(&self, builder: &BatchBuilder, batch_size: usize) -> bool {
        let Self { timestamp, key, value, .. } = *self;
        builder.len() + builder.cost(timestamp, key, value) <= batch_size && builder.takes_timestamp(timestamp)
    }

    /// Appends the record to a batch if it fits; returns whether it did.
    #[inline(always)]
    pub(super) fn push_to(&self, builder: &mut BatchBuilder, batch_size: usize) -> bool {
        let Self { timestamp, key, value, .. } = *self;
        builder.takes_timestamp(timestamp) && builder.push_within(batch_size, timestamp, key, value)
    }
}

/// The records of a submission that are in no batch yet. All lengths were checked before.
#[derive(Clone, Copy)]
pub(super) struct Remaining<'a> {
    records: &'a Records<'a>,
    /// The number of partitions of the topic.
    partitions: u32,
    /// The timestamp of records that have none, in milliseconds since the epoch.
    timestamp: i64,
    /// The index of the next record, and where its bytes begin.
    index: usize,
    at: usize,
}

impl<'a> Remaining<'a> {
    pub(super) fn new(records: &'a Records<'a>, partitions: u32, timestamp: i64) -> Self {
        Self { records, partitions, timestamp, index: 0, at: 0 }
    }

    /// How many records have gone before.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// The next record.
    #[inline(always)]
    pub(super) fn first(&self) -> Option<Record<'a>> {
        let Self { records, index, at, .. } = *self;
        if index >= records.count {
            return None;
        }
        let key_length = records.key_lengths.and_then(|lengths| usize::try_from(lengths[index]).ok());
        let key_end = at + key_length.unwrap_or(0);
        let end = key_end + records.value_lengths[index] as usize;
        let key = key_length.map(|_| &records.data[at..key_end]);
        let named = records.partitions.and_then(|partitions| u32::try_from(partitions[index]).ok());
        let timestamp = records.timestamps.map(|timestamps| timestamps[index]).filter(|given| *given != i64::MIN);
        Some(Record {
            key,
            value: &records.data[key_end..end],
            timestamp: timestamp.unwrap_or(self.timestamp),
            partition: named.or_else(|| key.map(|key| partitioner::keyed(key, self.partitions))),
            cost: (end - at) as u64 + RECORD_OVERHEAD,
            end,
        })
    }

    /// Goes on behind `record`, which was the next one.
    #[inline(always)]
    pub(super) fn advance(&mut self, record: &Record<'_>) {
        self.index += 1;
        self.at = record.end;
    }

    /// About how many bytes a batch of all these records would have.
    pub(super) fn bytes(&self) -> usize {
        self.records.data.len() - self.at + (self.records.count - self.index) * RECORD_OVERHEAD as usize
    }
}

/// Where a submission writes down which records went into which batch.
pub(super) struct Runs<'a> {
    runs: &'a mut [Run],
    filled: usize,
}

impl<'a> Runs<'a> {
    pub(super) fn new(runs: &'a mut [Run]) -> Self {
        Self { runs, filled: 0 }
    }

    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == self.runs.len()
    }

    /// Whether the record `index` of the batch of `ticket` would continue the last run.
    pub(super) fn continues(&self, ticket: u64, index: u32) -> bool {
        let last = self.filled.checked_sub(1).map(|last| self.runs[last]);
        last.is_some_and(|last| last.ticket == ticket && last.index + last.count == index)
    }

    /// Adds a run, or the records of `run` to the last one if it `continues` that. There must be a place for it.
    pub(super) fn add(&mut self, run: Run, continues: bool) {
        if continues {
            self.runs[self.filled - 1].count += run.count;
        } else {
            self.runs[self.filled] = run;
            self.filled += 1;
        }
    }
}

/// Checks every length, so that encoding cannot fail half-way.
pub(super) fn check(records: &Records<'_>, max_request_size: usize, topic: &str) -> Result<()> {
    let Records { count, data, value_lengths, key_lengths, partitions, timestamps, .. } = *records;
    let columns = [
        ("value_lengths", Some(value_lengths.len())),
        ("key_lengths", key_lengths.map(<[i32]>::len)),
        ("partitions", partitions.map(<[i32]>::len)),
        ("timestamps", timestamps.map(<[i64]>::len)),
    ];
    for (name, length) in columns {
        if let Some(length) = length.filter(|length| *length != count) {
            return Err(Error::invalid(format!("{name} has {length} entries: it must have one a record, {count}")));
        }
    }
    let mut total = 0_u64;
    for index in 0..count {
        let value = value_lengths[index] as usize;
        let key = key_lengths.map(|lengths| lengths[index]);
        if let Some(key) = key.filter(|key| *key < -1) {
            return Err(Error::invalid(format!("key_lengths[{index}] is {key}: it must be -1 (no key) or more")));
        }
        let key = key.and_then(|key| usize::try_from(key).ok());
        let bytes = value + key.unwrap_or(0);
        if BatchBuilder::alone(key, value) > max_request_size {
            return Err(too_large(index, bytes, max_request_size, topic));
        }
        total += bytes as u64;
    }
    if total != data.len() as u64 {
        return Err(Error::invalid(format!("data has {} bytes: the lengths add up to {total}", data.len())));
    }
    Ok(())
}

fn too_large(index: usize, bytes: usize, max_request_size: usize, topic: &str) -> Error {
    let text = format!(
        "record {index} has {bytes} bytes of key and value, too many for a request: max_request_size is \
         {max_request_size}"
    );
    Error::new(ErrorKind::RecordTooLarge, text).with_topic(topic).with_outcome(Outcome::NotWritten)
}
