//! Batches of any content whose checksums are right, so that what lies behind these is reached. For fuzzing and tests.

use bytes::Bytes;
use fluvio_cffi_wire::split_batches;

/// An offset: near the first, or near the greatest.
pub(crate) fn offset(byte: u8) -> i64 {
    let near = i64::from(byte & 0x7f);
    if byte < 0x80 { near } else { i64::MAX - near }
}

/// The bytes of batches with their checksums set right: no noise would come behind them.
pub(crate) fn sealed(bytes: &[u8]) -> Bytes {
    let mut sealed = bytes.to_vec();
    let mut found = Vec::new();
    let _ = split_batches(&Bytes::copy_from_slice(bytes), &mut found);
    let mut at = 0;
    for batch in found {
        let batch_bytes = &mut sealed[at..at + batch.size()];
        let checksum = crc32c(&batch_bytes[21..]);
        batch_bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
        at += batch_bytes.len();
    }
    sealed.into()
}

pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    }) ^ u32::MAX
}
