//! The codecs of batches. Compressed is the body as one: record count and records.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, BufRead, Read, Write};

use zstd::zstd_safe::{CCtx, CParameter, DCtx};

use crate::WireError;

const ZSTD_LEVEL: i32 = 1;
/// What a thread's state may keep for the next batch.
const ZSTD_KEPT: usize = 1 << 20;

thread_local! {
    // To make this state takes longer than to pack, or to unpack, a small batch.
    static PACKING: RefCell<CCtx<'static>> = RefCell::new(CCtx::create());
    static UNPACKING: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

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
            Self::Zstd => PACKING.with_borrow_mut(|state| {
                state.set_parameter(CParameter::CompressionLevel(ZSTD_LEVEL)).map_err(|_| io::ErrorKind::Other)?;
                let mut encoder = zstd::Encoder::with_context(out, state);
                encoder.set_pledged_src_size(Some(body.len() as u64))?;
                encoder.write_all(body)?;
                encoder.finish().map(drop)
            })?,
        }
        Ok(())
    }

    /// The body behind `packed`, of at most `limit` bytes.
    pub fn decompress(self, packed: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, WireError> {
        let unpacked = match self {
            Self::None => return Ok(Cow::Borrowed(packed)),
            Self::Gzip => read(flate2::bufread::GzDecoder::new(packed), packed.len(), limit),
            Self::Snappy => read(snap::read::FrameDecoder::new(packed), packed.len(), limit),
            Self::Lz4 => read_buffered(lz4_flex::frame::FrameDecoder::new(packed), limit),
            Self::Zstd => UNPACKING.with_borrow_mut(|state| {
                let unpacked = read(zstd::Decoder::with_context(packed, state), packed.len(), limit);
                if state.sizeof() > ZSTD_KEPT {
                    *state = DCtx::create();
                }
                unpacked
            }),
        };
        let unpacked = unpacked.map_err(|cause| match cause.kind() {
            io::ErrorKind::OutOfMemory => WireError::Memory("the body of a batch"),
            _ => WireError::Packed(self.name()),
        })?;
        if unpacked.len() > limit {
            return Err(WireError::Unpacked { limit });
        }
        Ok(Cow::Owned(unpacked))
    }
}

/// Reads one byte more than `limit` at most, beginning with room for four times the `packed` bytes.
fn read(decoder: impl Read, packed: usize, limit: usize) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    out.try_reserve_exact(packed.saturating_mul(4).min(limit))?;
    // It goes on in the same way: where no memory can be had, that is an error.
    decoder.take(limit as u64 + 1).read_to_end(&mut out)?;
    Ok(out)
}

/// The same of a decoder that has whole blocks ready, which are copied once.
fn read_buffered(decoder: impl BufRead, limit: usize) -> io::Result<Vec<u8>> {
    let mut decoder = decoder.take(limit as u64 + 1);
    let mut out = Vec::new();
    loop {
        let block = decoder.fill_buf()?;
        if block.is_empty() {
            return Ok(out);
        }
        out.try_reserve(block.len())?;
        out.extend_from_slice(block);
        let length = block.len();
        decoder.consume(length);
    }
}
