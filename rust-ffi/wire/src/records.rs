//! The records of one batch, read in place.

use crate::{WireError, varint};

/// A record, borrowed from its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Offset relative to the batch's base offset.
    pub offset_delta: i64,
    /// Timestamp relative to the batch's first.
    pub timestamp_delta: i64,
    /// The key, if the record has one.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: &'a [u8],
}

/// Iterator over the records of an uncompressed batch body (record count, then records).
///
/// Offsets must stay within the batch. They need not rise: a server stores also equal and falling ones. After an error
/// the iterator is finished.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    left: u32,
    least_delta: i64,
    most_delta: i64,
}

impl<'a> Records<'a> {
    /// Reads the record count of `body`, whose batch spans `last_offset_delta + 1` offsets.
    pub fn new(body: &'a [u8], last_offset_delta: i32) -> Result<Self, WireError> {
        let count = body.first_chunk::<4>().ok_or(WireError::Truncated("the record count"))?;
        let count = i32::from_be_bytes(*count);
        let left =
            u32::try_from(count).map_err(|_| WireError::Invalid { field: "the record count", value: count.into() })?;
        Ok(Self { bytes: body, at: 4, left, least_delta: 0, most_delta: last_offset_delta.into() })
    }

    /// Reads the record count of a body that is in no log, but was made of several batches by a server: its offsets
    /// mean nothing.
    pub fn made(body: &'a [u8]) -> Result<Self, WireError> {
        Ok(Self { least_delta: i64::MIN, most_delta: i64::MAX, ..Self::new(body, 0)? })
    }

    /// The attributes of the record that comes next; `None`: none comes, or it is damaged.
    pub fn next_attributes(&self) -> Option<u8> {
        let mut at = self.at;
        varint::get(self.bytes, &mut at, "a record's length").ok()?;
        self.bytes.get(at).copied().filter(|_| self.left > 0)
    }

    #[inline]
    fn read(&mut self) -> Result<RecordView<'a>, WireError> {
        const WHAT: &str = "a record";
        let bytes = self.bytes;
        let mut at = self.at;
        let length = take_len(varint::get(bytes, &mut at, "a record's length")?, "a record's length")?;
        let end = at.checked_add(length).filter(|end| *end <= bytes.len()).ok_or(WireError::Truncated(WHAT))?;
        let record = &bytes[..end];
        at += 1; // attributes, unused by the protocol in a log
        let timestamp_delta = varint::get(record, &mut at, "a timestamp")?;
        let offset_delta = varint::get(record, &mut at, "an offset")?;
        let has_key = *record.get(at).ok_or(WireError::Truncated(WHAT))?;
        at += 1;
        let key = match has_key {
            0 => None,
            1 => Some(take_bytes(record, &mut at, "a key")?),
            other => return Err(WireError::Invalid { field: "a record's key mark", value: other.into() }),
        };
        let value = take_bytes(record, &mut at, "a value")?;
        // What follows up to `end` are headers, which Fluvio knows but nobody can set.
        if offset_delta < self.least_delta || offset_delta > self.most_delta {
            return Err(WireError::Invalid { field: "a record's offset in its batch", value: offset_delta });
        }
        self.at = end;
        Ok(RecordView { offset_delta, timestamp_delta, key, value })
    }
}

#[inline]
fn take_len(value: i64, field: &'static str) -> Result<usize, WireError> {
    usize::try_from(value).map_err(|_| WireError::Invalid { field, value })
}

#[inline]
fn take_bytes<'a>(record: &'a [u8], at: &mut usize, what: &'static str) -> Result<&'a [u8], WireError> {
    let length = take_len(varint::get(record, at, what)?, what)?;
    let end = at.checked_add(length).ok_or(WireError::Truncated(what))?;
    let bytes = record.get(*at..end).ok_or(WireError::Truncated(what))?;
    *at = end;
    Ok(bytes)
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let record = self.read();
        self.left = if record.is_ok() { self.left - 1 } else { 0 };
        Some(record)
    }
}
