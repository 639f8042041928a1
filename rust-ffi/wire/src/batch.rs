//! Record batches: built from the bytes of records, and taken apart without copying.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{Codec, Records, WireError, varint};

/// Bytes of a batch before its (schema id,) record count and records.
pub const HEADER_LEN: usize = 57;
const LENGTH_AT: usize = 8;
const LENGTH_END: usize = 12;
const CRC_AT: usize = 17;
const CRC_END: usize = 21;
const BODY_AT: usize = HEADER_LEN + 4;
const MAGIC: u8 = 2;
const CODEC_MASK: i16 = 0x07;
const SCHEMA_MASK: i16 = 0x10;

/// A batch under construction, in wire format from the first record on.
#[derive(Debug)]
pub struct BatchBuilder {
    bytes: Vec<u8>,
    count: i32,
    first_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// A batch that will take about `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity.max(BODY_AT));
        bytes.resize(BODY_AT, 0);
        Self { bytes, count: 0, first_timestamp: 0, max_timestamp: 0 }
    }

    /// Number of records.
    pub fn count(&self) -> u32 {
        self.count.unsigned_abs()
    }

    /// Bytes of the batch so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has no record yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of a batch of one record with these lengths, at most.
    pub fn alone(key: Option<usize>, value: usize) -> usize {
        const MOST: usize = BODY_AT + 10 + 1 + 10 + 5 + 1 + 10 + 10 + 1;
        MOST.saturating_add(key.unwrap_or(0)).saturating_add(value)
    }

    /// Bytes that the next record would add.
    #[inline]
    pub fn cost(&self, timestamp: i64, key: Option<&[u8]>, value: &[u8]) -> usize {
        let length = self.record_length(timestamp, key, value);
        varint::len(length as i64) + length
    }

    /// Whether a record with this timestamp can join: other readers hold the distance to the first in 32 bits.
    #[inline]
    pub fn takes_timestamp(&self, timestamp: i64) -> bool {
        self.count == 0 || timestamp.checked_sub(self.first_timestamp).is_some_and(|delta| i32::try_from(delta).is_ok())
    }

    #[inline]
    fn timestamp_delta(&self, timestamp: i64) -> i64 {
        if self.count == 0 { 0 } else { timestamp.wrapping_sub(self.first_timestamp) }
    }

    #[inline]
    fn record_length(&self, timestamp: i64, key: Option<&[u8]>, value: &[u8]) -> usize {
        // Attributes, key mark and the empty header list take a byte each.
        3 + varint::len(self.timestamp_delta(timestamp))
            + varint::len(self.count.into())
            + key.map_or(0, |key| varint::len(key.len() as i64) + key.len())
            + varint::len(value.len() as i64)
            + value.len()
    }

    /// Appends a record. `timestamp`: milliseconds since the epoch.
    #[inline]
    pub fn push(&mut self, timestamp: i64, key: Option<&[u8]>, value: &[u8]) {
        let length = self.record_length(timestamp, key, value);
        self.append(length, timestamp, key, value);
    }

    /// Appends a record if the batch then has at most `most` bytes, and says whether it does.
    #[inline]
    pub fn push_within(&mut self, most: usize, timestamp: i64, key: Option<&[u8]>, value: &[u8]) -> bool {
        let length = self.record_length(timestamp, key, value);
        let fits = self.bytes.len() + varint::len(length as i64) + length <= most;
        if fits {
            self.append(length, timestamp, key, value);
        }
        fits
    }

    // Always: otherwise the compiler makes it a call, or not, with each change of those who push in a loop.
    #[inline(always)]
    fn append(&mut self, length: usize, timestamp: i64, key: Option<&[u8]>, value: &[u8]) {
        let delta = self.timestamp_delta(timestamp);
        if self.count == 0 {
            self.first_timestamp = timestamp;
            self.max_timestamp = timestamp;
        } else {
            self.max_timestamp = self.max_timestamp.max(timestamp);
        }
        let out = &mut self.bytes;
        out.reserve(length + 10);
        let mut head = varint::Small::new();
        head.put(length as i64);
        head.byte(0);
        head.put(delta);
        head.put(self.count.into());
        head.byte(u8::from(key.is_some()));
        if let Some(key) = key {
            head.put(key.len() as i64);
            out.extend_from_slice(head.bytes());
            out.extend_from_slice(key);
            head = varint::Small::new();
        }
        head.put(value.len() as i64);
        out.extend_from_slice(head.bytes());
        out.extend_from_slice(value);
        out.push(0);
        self.count += 1;
    }

    /// Gives back memory that the batch holds and does not need, if that is more than an eighth of it.
    pub fn trim(&mut self) {
        if self.bytes.capacity() - self.bytes.len() > self.bytes.len() / 8 {
            self.bytes.shrink_to_fit();
        }
    }

    /// Fills in the header and gives the batch away, with base offset 0: the server assigns the real one.
    pub fn finish(mut self, codec: Codec) -> std::io::Result<Bytes> {
        self.bytes[HEADER_LEN..BODY_AT].copy_from_slice(&self.count.to_be_bytes());
        if codec != Codec::None {
            let mut packed = Vec::with_capacity(HEADER_LEN + self.bytes.len() / 2);
            packed.resize(HEADER_LEN, 0);
            codec.compress(&self.bytes[HEADER_LEN..], &mut packed)?;
            self.bytes = packed;
        }
        let length = (self.bytes.len() - LENGTH_END) as i32;
        let header = &mut self.bytes[..];
        header[LENGTH_AT..LENGTH_END].copy_from_slice(&length.to_be_bytes());
        header[12..16].copy_from_slice(&(-1_i32).to_be_bytes()); // leader epoch: unknown to producers
        header[16] = MAGIC;
        header[CRC_END..23].copy_from_slice(&i16::from(codec as u8).to_be_bytes());
        header[23..27].copy_from_slice(&(self.count - 1).to_be_bytes());
        header[27..35].copy_from_slice(&self.first_timestamp.to_be_bytes());
        header[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        header[43..57].fill(0xff); // producer id, epoch and sequence: -1
        let crc = crc32c::crc32c(&header[CRC_END..]);
        header[CRC_AT..CRC_END].copy_from_slice(&crc.to_be_bytes());
        Ok(Bytes::from(self.bytes))
    }
}

/// The header of a batch that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Checksum (CRC32C) from the attributes to the end, as stored.
    pub crc: u32,
    /// Codec (bits 0 to 2), schema mark (bit 4).
    pub attributes: i16,
    /// Offset of the last record, relative to the first.
    pub last_offset_delta: i32,
    /// Timestamp that those of the records are relative to; -1: none.
    pub first_timestamp: i64,
}

impl BatchHeader {
    /// The codec of the body.
    pub fn codec(&self) -> Result<Codec, WireError> {
        Codec::from_wire((self.attributes & CODEC_MASK) as u8)
    }

    /// The offset after the batch.
    pub fn next_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta)).saturating_add(1)
    }
}

/// One whole batch as it was stored.
#[derive(Debug, Clone)]
pub struct RawBatch {
    /// Its header.
    pub header: BatchHeader,
    bytes: Bytes,
}

impl RawBatch {
    /// Its bytes, header included.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Compares the stored checksum with that of the bytes.
    pub fn check_crc(&self) -> Result<(), WireError> {
        let computed = crc32c::crc32c(&self.bytes[CRC_END..]);
        if computed == self.header.crc {
            return Ok(());
        }
        Err(WireError::Checksum { stored: self.header.crc, computed })
    }

    /// Record count and records, unpacked to at most `limit` bytes.
    pub fn body(&self, limit: usize) -> Result<Cow<'_, [u8]>, WireError> {
        let at = if self.header.attributes & SCHEMA_MASK == 0 { HEADER_LEN } else { HEADER_LEN + 4 };
        let packed = self.bytes.get(at..).ok_or(WireError::Truncated("the schema id"))?;
        self.header.codec()?.decompress(packed, limit)
    }

    /// The records in `body`.
    pub fn records<'a>(&self, body: &'a [u8]) -> Result<Records<'a>, WireError> {
        Records::new(body, self.header.last_offset_delta)
    }
}

/// What follows the last whole batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remainder {
    /// Nothing.
    None,
    /// A cut batch too short to tell its length.
    Unknown,
    /// A cut batch of so many bytes in all.
    Cut(usize),
}

/// Splits the bytes of a record set into its whole batches and what is left of a cut last one.
///
/// The batches share `bytes`. Stops with an error at the first header that cannot be one; the batches before it are in
/// `out`.
pub fn split_batches(bytes: &Bytes, out: &mut Vec<RawBatch>) -> Result<Remainder, WireError> {
    split(bytes, out, 0)
}

/// The same for batches that are in no log, but were made by a server: such a batch may span no offset at all.
pub fn split_made_batches(bytes: &Bytes, out: &mut Vec<RawBatch>) -> Result<Remainder, WireError> {
    split(bytes, out, i32::MIN)
}

fn split(bytes: &Bytes, out: &mut Vec<RawBatch>, least_last: i32) -> Result<Remainder, WireError> {
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        if rest.is_empty() {
            return Ok(Remainder::None);
        }
        let Some(&length) = rest.get(LENGTH_AT..LENGTH_END).and_then(|bytes| bytes.first_chunk::<4>()) else {
            return Ok(Remainder::Unknown);
        };
        let length = i32::from_be_bytes(length);
        let total = usize::try_from(length)
            .ok()
            .filter(|length| *length >= HEADER_LEN - LENGTH_END)
            .map(|length| length + LENGTH_END)
            .ok_or(WireError::Invalid { field: "the length of a batch", value: length.into() })?;
        if total > rest.len() {
            return Ok(Remainder::Cut(total));
        }
        let header = parse_header(rest).ok_or(WireError::Truncated("a batch header"))?;
        let magic = rest[16];
        if magic != MAGIC {
            return Err(WireError::Invalid { field: "the format version of a batch", value: magic.into() });
        }
        if header.last_offset_delta < least_last {
            return Err(WireError::Invalid {
                field: "the last offset of a batch",
                value: header.last_offset_delta.into(),
            });
        }
        out.push(RawBatch { header, bytes: bytes.slice(at..at + total) });
        at += total;
    }
}

fn parse_header(bytes: &[u8]) -> Option<BatchHeader> {
    Some(BatchHeader {
        base_offset: i64::from_be_bytes(*bytes.first_chunk()?),
        crc: u32::from_be_bytes(*bytes.get(CRC_AT..)?.first_chunk()?),
        attributes: i16::from_be_bytes(*bytes.get(21..)?.first_chunk()?),
        last_offset_delta: i32::from_be_bytes(*bytes.get(23..)?.first_chunk()?),
        first_timestamp: i64::from_be_bytes(*bytes.get(27..)?.first_chunk()?),
    })
}
