//! The records of a reply, for our own decoder.

use bytes::{Buf, BufMut, Bytes};
use fluvio_protocol::{Decoder, Encoder, Version};

use super::{Layout, Walk, Walked};

/// The bytes of a record set, taken from the frame without copying.
#[derive(Debug, Default, Clone)]
pub(crate) struct RecordBytes(pub(crate) Bytes);

impl Encoder for RecordBytes {
    fn write_size(&self, _version: Version) -> usize {
        4 + self.0.len()
    }

    fn encode<T: BufMut>(&self, out: &mut T, _version: Version) -> std::io::Result<()> {
        out.put_u32(self.0.len() as u32);
        out.put_slice(&self.0);
        Ok(())
    }
}

impl Decoder for RecordBytes {
    fn decode<T: Buf>(&mut self, from: &mut T, _version: Version) -> std::io::Result<()> {
        let cut = || std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "a record set reaches beyond its frame");
        let length = from.try_get_u32().map_err(|_| cut())? as usize;
        if length > from.remaining() {
            return Err(cut());
        }
        self.0 = from.copy_to_bytes(length);
        Ok(())
    }
}

impl Layout for RecordBytes {
    fn walk(walk: &mut Walk<'_>) -> Walked {
        walk.bytes().map(|_| ())
    }
}
