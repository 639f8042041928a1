//! What a chain of SmartModules made of batches: records that the stamp has given their places, and its marks.

use super::super::RecordRef;
use super::WireError;

/// The record has its place behind its value.
const STAMPED: u8 = 0x40;
/// It is none, but the mark of a batch of which nothing is left.
const MARK: u8 = 0x41;
/// Offset and time.
const PLACE: usize = 16;

/// Why what came is no output of the stamp.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unstamped {
    /// A record has not passed it: no SmartModule was run.
    Record,
    /// The bytes are damaged.
    Damaged(WireError),
}

impl From<WireError> for Unstamped {
    fn from(cause: WireError) -> Self {
        Self::Damaged(cause)
    }
}

/// Appends the records in `body`, which a server made of several batches. `first_timestamp` is no part of it: the stamp
/// has added it where there was one.
pub(super) fn append<'a>(body: &'a [u8], records: &mut Vec<RecordRef<'a>>) -> Result<(), Unstamped> {
    let mut made = fluvio_cffi_wire::Records::made(body)?;
    loop {
        let attributes = made.next_attributes();
        let Some(record) = made.next() else { return Ok(()) };
        let record = record?;
        match attributes {
            Some(MARK) => {}
            Some(STAMPED) => {
                let cut = WireError::Truncated("the stamp of a record");
                let (value, place) = record.value.split_last_chunk::<PLACE>().ok_or(cut)?;
                let (offset, time) = place.split_at(PLACE / 2);
                let number = |bytes: &[u8]| bytes.first_chunk().map_or(-1, |bytes| i64::from_be_bytes(*bytes));
                let (offset, timestamp) = (number(offset), number(time));
                records.push(RecordRef { offset, timestamp, key: record.key, value });
            }
            _ => return Err(Unstamped::Record),
        }
    }
}
