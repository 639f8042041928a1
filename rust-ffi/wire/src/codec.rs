//! The codecs of batches. Compressed is the body as one: record count and records.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use crate::WireError;

/// How the body of a batch is compressed. The discriminants are those of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Codec {
    /// Not at all.
    #[default]
    None = 0,
    /// gzip.
    Gzip = 1,
    /// Snappy, in its frame format.
    Snappy = 2,
    /// LZ4, in its frame format.
    Lz4 = 3,
    /// Zstandard.
    Zstd = 4,
}

impl Codec {
    /// The codec of that number.
    pub fn from_wire(number: u8) -> Result<Self, WireError> {
        Ok(match number {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            other => return Err(WireError::Invalid { field: "the codec of a batch", value: other.into() }),
        })
    }

    /// Its usual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Appends `body`, compressed, to `out`. Levels are those of the official client.
    pub fn compress(self, body: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::None => out.extend_from_slice(body),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::default());
                encoder.write_all(body)?;
                encoder.finish()?;
            }
            Self::Snappy => {
                let mut encoder = snap::write::FrameEncoder::new(out);
                encoder.write_all(body)?;
                encoder.flush()?;
            }
            Self::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(out);
                encoder.write_all(body)?;
                encoder.finish().map_err(io::Error::other)?;
            }
            Self::Zstd => {
                let mut encoder = zstd::Encoder::new(out, 1)?;
                encoder.write_all(body)?;
                encoder.finish()?;
            }
        }
        Ok(())
    }

    /// The body behind `packed`, of at most `limit` bytes.
    pub fn decompress(self, packed: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, WireError> {
        let unpacked = match self {
            Self::None => return Ok(Cow::Borrowed(packed)),
            Self::Gzip => read(flate2::read::GzDecoder::new(packed), limit),
            Self::Snappy => read(snap::read::FrameDecoder::new(packed), limit),
            Self::Lz4 => read(lz4_flex::frame::FrameDecoder::new(packed), limit),
            Self::Zstd => zstd::Decoder::new(packed).and_then(|decoder| read(decoder, limit)),
        };
        let unpacked = unpacked.map_err(|_| WireError::Packed(self.name()))?;
        if unpacked.len() > limit {
            return Err(WireError::Unpacked { limit });
        }
        Ok(Cow::Owned(unpacked))
    }
}

/// Reads one byte more than `limit` at most: memory grows with what really comes out.
fn read(decoder: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    decoder.take(limit as u64 + 1).read_to_end(&mut out)?;
    Ok(out)
}
