//! The outside of a record batch: what a log needs to know without looking at a record.
//!
//! ```text
//! 0 base offset i64 | 8 length i32 of all that follows | 12 leader epoch i32 | 16 magic i8
//! 17 crc32c u32 of all that follows | 21 attributes i16 | 23 last offset delta i32 | 27 timestamps 2 x i64
//! 43 producer id, epoch, sequence | 57 records
//! ```

use fluvio_protocol::record::{BATCH_FILE_HEADER_SIZE, BATCH_HEADER_SIZE, BATCH_PREAMBLE_SIZE};

/// Bytes before the records of a batch.
pub(crate) const HEADER: usize = BATCH_FILE_HEADER_SIZE;
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;
const SCHEMA_PRESENT: i16 = 0x10;
const CODEC_MASK: i16 = 0x07;
pub(crate) const SCHEMA_ID: usize = 4;
/// The smallest encoded record: length, attributes, two deltas, no key, an empty value, no headers.
const MIN_RECORD: usize = 7;

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    if let Some(source) = bytes.get(at..at + N) {
        field.copy_from_slice(source);
    }
    field
}

/// The fixed fields that a log needs. Reads as zero what is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base: i64,
    pub(crate) length: i32,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) first_time: i64,
    pub(crate) last_time: i64,
}

impl Header {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        Self {
            base: i64::from_be_bytes(array(bytes, 0)),
            length: i32::from_be_bytes(array(bytes, 8)),
            attributes: i16::from_be_bytes(array(bytes, 21)),
            last_offset_delta: i32::from_be_bytes(array(bytes, 23)),
            first_time: i64::from_be_bytes(array(bytes, 27)),
            last_time: i64::from_be_bytes(array(bytes, 35)),
        }
    }

    /// Whole size in the log, if the declared length can hold a header.
    pub(crate) fn size(self) -> Option<usize> {
        usize::try_from(self.length).ok().filter(|&length| length >= BATCH_HEADER_SIZE).map(|n| n + BATCH_PREAMBLE_SIZE)
    }

    pub(crate) fn has_schema(self) -> bool {
        self.attributes & SCHEMA_PRESENT != 0
    }

    /// How many offsets the batch takes. The real server believes the header, whatever the number of records.
    pub(crate) fn offsets(self) -> i64 {
        (i64::from(self.last_offset_delta) + 1).max(0)
    }
}

/// Whether the checksum of a whole batch is right.
pub(crate) fn crc_matches(batch: &[u8]) -> bool {
    batch.len() >= HEADER && u32::from_be_bytes(array(batch, CRC_AT)) == crc32c::crc32c(&batch[CRC_FROM..])
}

/// A batch inside a record set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) start: usize,
    pub(crate) size: usize,
    pub(crate) header: Header,
}

impl Batch {
    pub(crate) fn codec(&self) -> i16 {
        self.header.attributes & CODEC_MASK
    }
}

/// The offset behind batches that begin at an offset.
pub(crate) fn end(base: i64, batches: &[Batch]) -> i64 {
    batches.iter().fold(base, |end, batch| end.saturating_add(batch.header.offsets()))
}

/// The record set is one the real server drops the connection for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The batches of a record set, found as the real server's decoder finds them: bytes after the last whole header are
/// ignored, and a length that reaches beyond the set, or is too small for a header, means "all the rest".
pub(crate) fn split(set: &[u8]) -> Result<Vec<Batch>, Malformed> {
    let mut batches = Vec::new();
    let mut start = 0;
    while set.len() - start >= HEADER {
        let header = Header::read(&set[start..]);
        let has_schema = header.has_schema();
        let rest = set.len() - start;
        let fixed = if has_schema { HEADER + SCHEMA_ID } else { HEADER };
        if rest < fixed {
            break;
        }
        let size = header.size().filter(|&size| size >= fixed && size <= rest).unwrap_or(rest);
        let batch = Batch { start, size, header };
        if has_schema && batch.codec() == 0 {
            let after_id = &set[start + fixed..start + size];
            let count = usize::try_from(i32::from_be_bytes(array(after_id, 0))).unwrap_or(usize::MAX);
            if after_id.len() < 4 || count > (after_id.len() - 4) / MIN_RECORD {
                return Err(Malformed);
            }
        }
        batches.push(batch);
        start += size;
    }
    Ok(batches)
}

/// Makes a batch what the log stores: its offset, its true length and its checksum; everything else as it was sent.
pub(crate) fn seal(bytes: &mut [u8], base: i64) {
    if bytes.len() < HEADER {
        return;
    }
    let length = i32::try_from(bytes.len() - BATCH_PREAMBLE_SIZE).unwrap_or(i32::MAX);
    bytes[..8].copy_from_slice(&base.to_be_bytes());
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
    bytes[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
}
