//! `FLV_FORMAT_RECORDS`: structures that point into the chunk.

use fluvio_cffi_engine::{ChunkEncoder, RecordRef};

/// A record of a chunk in `FLV_FORMAT_RECORDS`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_record_t {
    /// Its offset in the partition.
    pub offset: i64,
    /// Milliseconds since the epoch; -1: none.
    pub timestamp: i64,
    /// The key; NULL: none.
    pub key: *const u8,
    /// Bytes of the key; -1: none.
    pub key_len: i32,
    /// Bytes of the value.
    pub value_len: u32,
    /// The value.
    pub value: *const u8,
}

/// `FLV_FORMAT_RECORDS`: an index entry for each record, then the bytes of keys and values.
pub(super) struct Plain;

/// Offset, timestamp, bytes of the key or -1, bytes of the value.
const ENTRY: usize = 32;

impl ChunkEncoder for Plain {
    fn encode(&self, _partition: u32, records: &[RecordRef<'_>]) -> Vec<u8> {
        let bytes: usize = records.iter().map(|record| record.key.map_or(0, <[u8]>::len) + record.value.len()).sum();
        let mut out = Vec::with_capacity(records.len() * ENTRY + bytes);
        for record in records {
            out.extend_from_slice(&record.offset.to_ne_bytes());
            out.extend_from_slice(&record.timestamp.to_ne_bytes());
            out.extend_from_slice(&record.key.map_or(-1, |key| key.len() as i64).to_ne_bytes());
            out.extend_from_slice(&(record.value.len() as i64).to_ne_bytes());
        }
        for record in records {
            out.extend_from_slice(record.key.unwrap_or_default());
            out.extend_from_slice(record.value);
        }
        out
    }
}

/// The records of a payload that [`Plain`] made, as structures that point into it.
pub(crate) fn index(payload: &[u8], count: usize) -> Vec<flv_record_t> {
    let (entries, mut bytes) = payload.split_at(count * ENTRY);
    let number = |entry: &[u8], at: usize| entry[at..].first_chunk().map_or(0, |bytes| i64::from_ne_bytes(*bytes));
    entries
        .chunks_exact(ENTRY)
        .map(|entry| {
            let key_len = number(entry, 16);
            let (key, rest) = bytes.split_at(usize::try_from(key_len).unwrap_or(0));
            let (value, rest) = rest.split_at(usize::try_from(number(entry, 24)).unwrap_or(0));
            bytes = rest;
            flv_record_t {
                offset: number(entry, 0),
                timestamp: number(entry, 8),
                key: if key_len < 0 { std::ptr::null() } else { key.as_ptr() },
                key_len: key_len as i32,
                value_len: value.len() as u32,
                value: value.as_ptr(),
            }
        })
        .collect()
}
