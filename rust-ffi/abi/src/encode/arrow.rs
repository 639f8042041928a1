//! `FLV_FORMAT_ARROW`: a chunk as the columns of an Arrow array, each where the format wants it. One allocation holds
//! all of them.

use std::ops::Range;

use fluvio_cffi_engine::{ChunkEncoder, ChunkSize, RecordRef};

/// Arrow wants columns to begin at multiples of this.
const ALIGNMENT: usize = 64;
/// Bytes of the counts before the columns.
const COUNTS: usize = 5 * 8;

pub(super) struct Arrow;

impl ChunkEncoder for Arrow {
    fn encode(&self, partition: u32, records: &[RecordRef<'_>]) -> Vec<u8> {
        columns(records, |_| partition)
    }

    /// Nobody makes objects of them, so a chunk is whatever is decoded in one go.
    fn chunk_size(&self) -> ChunkSize {
        ChunkSize { records: 65_536, bytes: 1 << 20 }
    }
}

/// What decides where the columns are.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    rows: usize,
    times_missing: usize,
    keys_missing: usize,
    key_bytes: usize,
    value_bytes: usize,
}

/// Where the columns are, from the first aligned byte on. Those of which bits are missing have none.
struct Places {
    counts: Range<usize>,
    partitions: Range<usize>,
    offsets: Range<usize>,
    times: Range<usize>,
    times_valid: Range<usize>,
    key_ends: Range<usize>,
    keys_valid: Range<usize>,
    value_ends: Range<usize>,
    keys: Range<usize>,
    values: Range<usize>,
}

impl Counts {
    fn of(records: &[RecordRef<'_>]) -> Self {
        let mut counts = Self { rows: records.len(), ..Self::default() };
        for record in records {
            counts.times_missing += usize::from(record.timestamp < 0);
            counts.keys_missing += usize::from(record.key.is_none());
            counts.key_bytes += record.key.map_or(0, <[u8]>::len);
            counts.value_bytes += record.value.len();
        }
        counts
    }

    fn places(&self) -> Places {
        let mut end = 0_usize;
        let mut next = |bytes: usize| {
            let begin = end.next_multiple_of(ALIGNMENT);
            end = begin + bytes;
            begin..end
        };
        let valid = |missing: usize| if missing == 0 { 0 } else { self.rows.div_ceil(8) };
        Places {
            counts: next(COUNTS),
            partitions: next(self.rows * 4),
            offsets: next(self.rows * 8),
            times: next(self.rows * 8),
            times_valid: next(valid(self.times_missing)),
            key_ends: next((self.rows + 1) * 4),
            keys_valid: next(valid(self.keys_missing)),
            value_ends: next((self.rows + 1) * 4),
            keys: next(self.key_bytes),
            values: next(self.value_bytes),
        }
    }

    fn to_bytes(self) -> [u8; COUNTS] {
        let all = [self.rows, self.times_missing, self.keys_missing, self.key_bytes, self.value_bytes];
        let mut bytes = [0; COUNTS];
        for (place, count) in bytes.chunks_exact_mut(8).zip(all) {
            place.copy_from_slice(&(count as u64).to_ne_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let count = |index: usize| number::<8>(bytes, index).map_or(0, |it| u64::from_ne_bytes(it) as usize);
        Self {
            rows: count(0),
            times_missing: count(1),
            keys_missing: count(2),
            key_bytes: count(3),
            value_bytes: count(4),
        }
    }
}

/// The columns of records, each of the partition that `partition` says of its index. Together, their keys and their
/// values have less than 2 GiB.
pub(crate) fn columns(records: &[RecordRef<'_>], partition: impl Fn(usize) -> u32) -> Vec<u8> {
    let counts = Counts::of(records);
    let places = counts.places();
    let mut out = Vec::with_capacity(places.values.end + ALIGNMENT);
    let start = first_aligned(&out);
    out.resize(start + places.keys.start, 0);
    fill(&mut out[start..], records, partition, &counts, &places);
    if counts.key_bytes > 0 {
        records.iter().filter_map(|record| record.key).for_each(|key| out.extend_from_slice(key));
    }
    out.resize(start + places.values.start, 0);
    records.iter().for_each(|record| out.extend_from_slice(record.value));
    out
}

/// Fills in the columns before the keys, which are zeroes.
fn fill(
    memory: &mut [u8],
    records: &[RecordRef<'_>],
    partition: impl Fn(usize) -> u32,
    counts: &Counts,
    places: &Places,
) {
    let mut memory = Memory { rest: memory, at: 0 };
    memory.take(&places.counts).copy_from_slice(&counts.to_bytes());
    let partitions = memory.take_numbers(&places.partitions);
    let offsets = memory.take_numbers(&places.offsets);
    let times = memory.take_numbers(&places.times);
    if counts.times_missing > 0 {
        bits(memory.take(&places.times_valid), records, |record| record.timestamp >= 0);
    }
    if counts.key_bytes > 0 {
        ends(memory.take_numbers(&places.key_ends), records, |record| record.key.map_or(0, <[u8]>::len));
    }
    if 0 < counts.keys_missing && counts.keys_missing < counts.rows {
        bits(memory.take(&places.keys_valid), records, |record| record.key.is_some());
    }
    ends(memory.take_numbers(&places.value_ends), records, |record| record.value.len());
    // In one go: these are the columns that each record fills.
    let all = partitions.iter_mut().zip(offsets).zip(times).zip(records).enumerate();
    for (index, (((place, offset), time), record)) in all {
        *place = partition(index).to_ne_bytes();
        *offset = record.offset.to_ne_bytes();
        *time = record.timestamp.to_ne_bytes();
    }
}

/// The columns' memory, from the first aligned byte on; what is taken of it lies ever further back.
struct Memory<'a> {
    rest: &'a mut [u8],
    at: usize,
}

impl<'a> Memory<'a> {
    fn take(&mut self, place: &Range<usize>) -> &'a mut [u8] {
        let (_, rest) = std::mem::take(&mut self.rest).split_at_mut(place.start - self.at);
        let (taken, rest) = rest.split_at_mut(place.len());
        (self.rest, self.at) = (rest, place.end);
        taken
    }

    fn take_numbers<const N: usize>(&mut self, place: &Range<usize>) -> &'a mut [[u8; N]] {
        self.take(place).as_chunks_mut().0
    }
}

/// Where in the memory of `bytes` the first multiple of [`ALIGNMENT`] is.
fn first_aligned(bytes: &[u8]) -> usize {
    bytes.as_ptr().align_offset(ALIGNMENT)
}

/// A bit a record, the lowest one first.
fn bits(column: &mut [u8], records: &[RecordRef<'_>], is_there: impl Fn(&RecordRef<'_>) -> bool) {
    for (byte, eight) in column.iter_mut().zip(records.chunks(8)) {
        *byte = eight.iter().rev().fold(0, |byte, record| byte << 1 | u8::from(is_there(record)));
    }
}

/// Where the bytes of each record end, behind the 0 that is there.
fn ends(column: &mut [[u8; 4]], records: &[RecordRef<'_>], size: impl Fn(&RecordRef<'_>) -> usize) {
    let mut end = 0_i32;
    for (place, record) in column.iter_mut().skip(1).zip(records) {
        end = end.wrapping_add(size(record) as i32);
        *place = end.to_ne_bytes();
    }
}

fn number<const N: usize>(column: &[u8], index: usize) -> Option<[u8; N]> {
    column.get(index * N..).and_then(|rest| rest.first_chunk()).copied()
}

/// What [`columns`] made.
pub(crate) struct Columns {
    payload: Vec<u8>,
    start: usize,
    counts: Counts,
    places: Places,
}

impl Columns {
    /// `payload` is where it was when it was made.
    pub(crate) fn new(payload: Vec<u8>) -> Self {
        let start = first_aligned(&payload);
        let counts = Counts::from_bytes(&payload[start..]);
        Self { start, counts, places: counts.places(), payload }
    }

    fn column(&self, place: &Range<usize>) -> &[u8] {
        &self.payload[self.start + place.start..self.start + place.end]
    }

    fn unless(&self, missing: usize, place: &Range<usize>) -> Option<&[u8]> {
        (missing > 0).then(|| self.column(place))
    }

    /// How many records there are.
    pub(crate) fn rows(&self) -> usize {
        self.counts.rows
    }

    /// The partitions: `i32`.
    pub(crate) fn partitions(&self) -> &[u8] {
        self.column(&self.places.partitions)
    }

    /// The offsets: `i64`.
    pub(crate) fn offsets(&self) -> &[u8] {
        self.column(&self.places.offsets)
    }

    /// The times in milliseconds since the epoch: `i64`.
    pub(crate) fn times(&self) -> &[u8] {
        self.column(&self.places.times)
    }

    /// Which records have a time, a bit each; `None`: all.
    pub(crate) fn times_valid(&self) -> Option<&[u8]> {
        self.unless(self.counts.times_missing, &self.places.times_valid)
    }

    /// Where keys begin and end: `i32`, one more than there are records.
    pub(crate) fn key_ends(&self) -> &[u8] {
        self.column(&self.places.key_ends)
    }

    /// Which records have a key, a bit each; `None`: all.
    pub(crate) fn keys_valid(&self) -> Option<&[u8]> {
        self.unless(self.counts.keys_missing, &self.places.keys_valid)
    }

    /// The keys, one after the other.
    pub(crate) fn keys(&self) -> &[u8] {
        self.column(&self.places.keys)
    }

    /// Where values begin and end: `i32`, one more than there are records.
    pub(crate) fn value_ends(&self) -> &[u8] {
        self.column(&self.places.value_ends)
    }

    /// The values, one after the other.
    pub(crate) fn values(&self) -> &[u8] {
        self.column(&self.places.values)
    }

    /// Bytes of keys and values of the records in `range`.
    pub(crate) fn bytes(&self, range: Range<usize>) -> usize {
        let between = |ends: &[u8]| end(ends, range.end) - end(ends, range.start);
        between(self.key_ends()) + between(self.value_ends())
    }

    /// The partition of a record.
    pub(crate) fn partition(&self, row: usize) -> u32 {
        number(self.partitions(), row).map_or(0, u32::from_ne_bytes)
    }

    /// A record.
    pub(crate) fn record(&self, row: usize) -> RecordRef<'_> {
        let wide = |column: &[u8]| number(column, row).map_or(-1, i64::from_ne_bytes);
        let span = |ends: &[u8]| end(ends, row)..end(ends, row + 1);
        let has_key = self.keys_valid().is_none_or(|bits| bits[row / 8] >> (row % 8) & 1 == 1);
        RecordRef {
            offset: wide(self.offsets()),
            timestamp: wide(self.times()),
            key: has_key.then(|| &self.keys()[span(self.key_ends())]),
            value: &self.values()[span(self.value_ends())],
        }
    }
}

fn end(ends: &[u8], index: usize) -> usize {
    number(ends, index).map_or(0, |bytes| i32::from_ne_bytes(bytes) as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Fields = (i64, i64, Option<Vec<u8>>, Vec<u8>);

    fn fields() -> impl Strategy<Value = Fields> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..20);
        (any::<i64>(), -1..3_i64, prop::option::of(bytes()), bytes())
    }

    proptest! {
        #[test]
        fn records_come_back_from_their_columns(all in prop::collection::vec(fields(), 0..200), partition in any::<u32>()) {
            let refs: Vec<_> = all
                .iter()
                .map(|(offset, timestamp, key, value)| RecordRef {
                    offset: *offset,
                    timestamp: *timestamp,
                    key: key.as_deref(),
                    value,
                })
                .collect();
            let columns = Columns::new(Arrow.encode(partition, &refs));
            prop_assert_eq!(columns.rows(), all.len());
            for (row, (offset, timestamp, key, value)) in all.iter().enumerate() {
                let record = columns.record(row);
                prop_assert_eq!((record.offset, record.timestamp), (*offset, *timestamp));
                prop_assert_eq!((record.key, record.value), (key.as_deref(), &value[..]));
                prop_assert_eq!(columns.partition(row), partition);
            }
            let bytes = all.iter().map(|(_, _, key, value)| key.as_ref().map_or(0, Vec::len) + value.len());
            prop_assert_eq!(columns.bytes(0..all.len()), bytes.sum::<usize>());
        }

        /// Whatever the allocator gives.
        #[test]
        fn columns_begin_where_arrow_wants_them(lengths in prop::collection::vec(0..5_usize, 0..100)) {
            let bytes = [7; 5];
            let records = lengths.iter().zip(0..).map(|(length, offset)| {
                let key = (offset % 3 > 0).then_some(&bytes[*length..]);
                RecordRef { offset, timestamp: offset % 2 - 1, key, value: &bytes[..*length] }
            });
            let columns = Columns::new(Arrow.encode(1, &records.collect::<Vec<_>>()));
            let (times_valid, keys_valid) = (columns.times_valid(), columns.keys_valid());
            let all = [
                columns.partitions(), columns.offsets(), columns.times(), columns.key_ends(), columns.keys(),
                columns.value_ends(), columns.values(),
            ];
            for column in all.into_iter().chain(times_valid).chain(keys_valid) {
                prop_assert_eq!(column.as_ptr().align_offset(ALIGNMENT), 0);
            }
        }
    }
}
