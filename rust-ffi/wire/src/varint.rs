//! Zigzag varints.

use crate::WireError;

/// Bytes that `value` takes.
#[inline]
pub(crate) fn len(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    // One byte per started group of seven bits.
    (70 - (zigzag | 1).leading_zeros() as usize) / 7
}

/// Some bytes and varints, gathered to be appended at once.
pub(crate) struct Small {
    bytes: [u8; 48],
    len: usize,
}

impl Small {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { bytes: [0; 48], len: 0 }
    }

    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    #[inline]
    pub(crate) fn put(&mut self, value: i64) {
        let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
        while zigzag >= 0x80 {
            self.byte(zigzag as u8 | 0x80);
            zigzag >>= 7;
        }
        self.byte(zigzag as u8);
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Reads a varint at `*at` and moves `*at` behind it.
#[inline]
pub(crate) fn get(bytes: &[u8], at: &mut usize, what: &'static str) -> Result<i64, WireError> {
    let mut zigzag = 0_u64;
    let mut shift = 0;
    loop {
        let byte = *bytes.get(*at).ok_or(WireError::Truncated(what))?;
        *at += 1;
        if shift == 63 && byte > 1 {
            return Err(WireError::Invalid { field: what, value: i64::from(byte) });
        }
        zigzag |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
        }
        shift += 7;
    }
}
