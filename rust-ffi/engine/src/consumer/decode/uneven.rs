//! Chunks of records whose offsets do not rise strictly: several share one, or they fall.

use std::sync::Arc;

use super::super::place::Place;
use super::super::{Chunk, ChunkEncoder, ChunkSize, RecordRef};

/// Records in the order in which they are handed out, and what lies around them.
pub(super) struct Uneven<'a> {
    pub(super) partition: u32,
    /// The place before them.
    pub(super) place: &'a Place,
    pub(super) records: &'a [RecordRef<'a>],
    /// Where reading goes on behind them.
    pub(super) end: i64,
    /// Whether their values are those of an aggregate.
    pub(super) has_values: bool,
}

impl Uneven<'_> {
    /// Appends their chunks, but for the records that the place passes over.
    pub(super) fn chunks(&self, encoder: &dyn ChunkEncoder, chunks: &mut Vec<Chunk>) {
        let places = self.offsets();
        let rises = self.records.is_sorted_by_key(|record| record.offset);
        let mut from = (self.place.skip as usize).min(self.records.len());
        while from < self.records.len() {
            let to = self.chunk_end(from, encoder.chunk_size());
            let records = &self.records[from..to];
            let place = self.place_before(from, &places, rises);
            let next_offset = places[to];
            let is_even = records.is_sorted_by(|one, other| one.offset < other.offset)
                && records.first().is_none_or(|first| first.offset >= place.offset)
                && records.last().is_none_or(|last| last.offset < next_offset);
            chunks.push(Chunk {
                shares_offsets: !is_even || place.skip > 0,
                epoch: None,
                skip: place.skip,
                value: place.value,
                ..super::chunk(self.partition, records, place.offset, next_offset, encoder)
            });
            from = to;
        }
    }

    /// For each record, and for what follows them, the smallest offset from there on.
    fn offsets(&self) -> Vec<i64> {
        let mut least = self.end;
        let mut offsets = vec![self.end; self.records.len() + 1];
        for (place, record) in offsets.iter_mut().zip(self.records).rev() {
            least = least.min(self.begins(record));
            *place = least;
        }
        offsets
    }

    /// From which offset on a record comes again. What an `array_map` makes of a batch in whose midst the stream begins
    /// has the offset of the whole batch, but is made from the place on.
    fn begins(&self, record: &RecordRef<'_>) -> i64 {
        record.offset.max(self.place.offset)
    }

    fn chunk_end(&self, from: usize, most: ChunkSize) -> usize {
        let mut bytes = 0;
        let fits = |record: &&RecordRef<'_>| {
            bytes += record.key.map_or(0, <[u8]>::len) + record.value.len();
            bytes <= most.bytes
        };
        let count = self.records[from..].iter().take(most.records).take_while(fits).count();
        from + count.max(1)
    }

    fn place_before(&self, index: usize, offsets: &[i64], rises: bool) -> Place {
        let before = &self.records[..index];
        let offset = offsets[index];
        let counts = |record: &&RecordRef<'_>| self.begins(record) >= offset;
        let skip = match rises {
            true => before.iter().rev().take_while(counts).count(),
            false => before.iter().filter(counts).count(),
        };
        // Those that are passed over are made again, from what was before them.
        let value = match before[..index - skip].last() {
            Some(last) if self.has_values => Some(Arc::from(last.value)),
            _ => self.place.value.clone(),
        };
        Place { offset, skip: skip as u32, value }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Keeps the offsets as they are.
    struct Offsets;

    impl ChunkEncoder for Offsets {
        fn encode(&self, _partition: u32, records: &[RecordRef<'_>]) -> Vec<u8> {
            records.iter().flat_map(|record| record.value.to_vec()).collect()
        }
    }

    /// The chunks of records with these offsets, whose values are their numbers, from a place on.
    fn chunks(offsets: &[i64], place: &Place, end: i64) -> Vec<Chunk> {
        let numbers: Vec<[u8; 2]> = (0..offsets.len() as u16).map(u16::to_be_bytes).collect();
        let records = offsets.iter().zip(&numbers).map(|(offset, number)| {
            let value = &number[..];
            RecordRef { offset: *offset, timestamp: -1, key: None, value }
        });
        let records: Vec<_> = records.filter(|record| record.offset >= place.offset).collect();
        let mut chunks = Vec::new();
        let uneven = Uneven { partition: 0, place, records: &records, end, has_values: true };
        uneven.chunks(&Offsets, &mut chunks);
        chunks
    }

    fn numbers(chunks: &[Chunk]) -> Vec<u8> {
        chunks.iter().flat_map(|chunk| chunk.payload.clone()).collect()
    }

    proptest! {
        /// Reading on from before any chunk gives what is left, each record once.
        #[test]
        fn nothing_is_lost_or_repeated_from_any_place_on(
            offsets in prop_oneof![
                prop::collection::vec(0..50_i64, 0..4000),
                prop::collection::vec(0..5_i64, 0..4000).prop_map(|mut all| { all.sort_unstable(); all }),
                (0..3000_i64).prop_map(|count| (0..count).collect::<Vec<_>>()),
            ],
        ) {
            let end = offsets.iter().max().map_or(0, |most| most + 1);
            let whole = chunks(&offsets, &Place::default(), end);
            prop_assert_eq!(whole.iter().map(|chunk| chunk.count as usize).sum::<usize>(), offsets.len());
            prop_assert!(whole.iter().all(|chunk| chunk.count as usize <= ChunkSize::default().records));
            for index in 0..whole.len() {
                let rest = chunks(&offsets, &whole[index].place(), end);
                prop_assert_eq!(numbers(&rest), numbers(&whole[index..]));
                let next = whole.get(index + 1).map_or(end, |next| next.first_offset);
                prop_assert_eq!(whole[index].next_offset, next);
            }
            let rises = offsets.is_sorted_by(|one, other| one < other);
            prop_assert_eq!(whole.iter().any(|chunk| chunk.shares_offsets), !rises);
        }
    }

    /// The stream begins in the midst of a batch of which an `array_map` makes these: they have its offset.
    #[test]
    fn a_group_from_before_the_place_comes_again_from_the_place_on() {
        for count in [1, 1000, 2500] {
            let numbers: Vec<[u8; 2]> = (0..count + 1500_u16).map(u16::to_be_bytes).collect();
            let made = |place: &Place| {
                let records = numbers.iter().zip(0..).filter_map(|(value, number)| {
                    let offset = if number < count { 5 } else { 600 };
                    let record = RecordRef { offset, timestamp: -1, key: None, value: &value[..] };
                    (offset == 600 || place.offset < 600).then_some(record)
                });
                let records: Vec<_> = records.collect();
                let mut chunks = Vec::new();
                let uneven = Uneven { partition: 0, place, records: &records, end: 700, has_values: true };
                uneven.chunks(&Offsets, &mut chunks);
                chunks
            };
            let whole = made(&Place::at(300));
            let payload = |chunks: &[Chunk]| chunks.iter().flat_map(|chunk| chunk.payload.clone()).collect::<Vec<_>>();
            assert_eq!(payload(&whole), numbers.concat());
            for (index, chunk) in whole.iter().enumerate() {
                assert!(chunk.first_offset >= 300 && chunk.shares_offsets);
                assert_eq!(payload(&made(&chunk.place())), payload(&whole[index..]));
            }
        }
    }

    #[test]
    fn the_value_before_a_chunk_is_that_of_the_record_before() {
        let offsets: Vec<i64> = (0..2500).collect();
        let place = Place { value: Some(Arc::from(&b"first"[..])), ..Place::default() };
        let all = chunks(&offsets, &place, 2500);
        let values: Vec<Option<&[u8]>> = all.iter().map(|chunk| chunk.value.as_deref()).collect();
        assert_eq!(values, [Some(&b"first"[..]), Some(&999_u16.to_be_bytes()), Some(&1999_u16.to_be_bytes())]);
        // Of a group the one before the group, which comes again whole.
        let group: Vec<i64> = (0..2500).map(|number| number / 1500).collect();
        let all = chunks(&group, &place, 2);
        let values: Vec<Option<&[u8]>> = all.iter().map(|chunk| chunk.value.as_deref()).collect();
        assert_eq!(values, [Some(&b"first"[..]), Some(b"first"), Some(&1499_u16.to_be_bytes())]);
        assert_eq!(
            all.iter().map(|chunk| (chunk.first_offset, chunk.skip)).collect::<Vec<_>>(),
            [(0, 0), (0, 1000), (1, 500)]
        );
    }
}
