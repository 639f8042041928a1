//! Where batches come from on their way into a chain: the log, or a produced record set.

use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;

use fluvio_compression::Compression;

use super::merge::InputBatch;
use crate::log::Slice;
use crate::log::batch::{Batch, HEADER, Header, SCHEMA_ID};

/// The most bytes that a batch may have when it is unpacked.
const MOST_UNPACKED: u64 = 1 << 30;

/// How much of a file is read at once.
const AHEAD: usize = 256 << 10;

fn input(header: Header, body: &[u8]) -> io::Result<InputBatch> {
    let codec = Compression::try_from((header.attributes & 0x07) as i8)
        .map_err(|error| io::Error::other(format!("unknown compression value for batch {error}")))?;
    let block = unpack(codec, body).map_err(|error| io::Error::other(format!("uncompress error {error}")))?;
    Ok(InputBatch {
        base_offset: header.base,
        base_time: header.first_time,
        last_offset_delta: header.last_offset_delta,
        codec,
        block,
    })
}

fn unpack(codec: Compression, packed: &[u8]) -> io::Result<Vec<u8>> {
    let reader: Box<dyn Read + '_> = match codec {
        Compression::None => return Ok(packed.to_vec()),
        Compression::Gzip => Box::new(flate2::read::GzDecoder::new(packed)),
        Compression::Snappy => Box::new(snap::read::FrameDecoder::new(packed)),
        Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(packed)),
        Compression::Zstd => Box::new(zstd::Decoder::new(packed)?),
    };
    let mut block = Vec::new();
    reader.take(MOST_UNPACKED + 1).read_to_end(&mut block)?;
    if block.len() as u64 > MOST_UNPACKED {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("more than {MOST_UNPACKED} bytes")));
    }
    Ok(block)
}

/// The batches of a produced record set.
pub(crate) fn set_batches<'a>(
    set: &'a [u8],
    batches: &'a [Batch],
) -> impl Iterator<Item = io::Result<InputBatch>> + 'a {
    batches.iter().map(|batch| {
        let body = HEADER + if batch.header.has_schema() { SCHEMA_ID } else { 0 };
        input(batch.header, set.get(batch.start + body..batch.start + batch.size).unwrap_or_default())
    })
}

/// The header of the first batch of a piece of a log. Nothing else is read.
pub(crate) fn read_header(slice: &Slice) -> io::Result<Header> {
    let mut header = [0; HEADER];
    slice.file.read_exact_at(&mut header, slice.position)?;
    Ok(Header::read(&header))
}

/// The batches of a piece of a log.
#[derive(Debug)]
pub(crate) struct FileBatches {
    slice: Slice,
    /// How much of the slice was given.
    at: usize,
    window: Vec<u8>,
    /// Where in the slice the window begins.
    window_at: usize,
}

impl FileBatches {
    pub(crate) fn new(slice: Slice) -> Self {
        Self { slice, at: 0, window: Vec::new(), window_at: 0 }
    }

    /// The next so many bytes.
    fn bytes(&mut self, length: usize) -> io::Result<&[u8]> {
        let left = self.slice.length - self.at;
        if length > left {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "not enough for batch"));
        }
        if self.at + length > self.window_at + self.window.len() {
            self.window.resize(length.max(AHEAD).min(left), 0);
            self.slice.file.read_exact_at(&mut self.window, self.slice.position + self.at as u64)?;
            self.window_at = self.at;
        }
        let from = self.at - self.window_at;
        Ok(&self.window[from..from + length])
    }

    fn batch(&mut self) -> io::Result<InputBatch> {
        let header = Header::read(self.bytes(HEADER)?);
        let size = header.size().ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "batch length too small"))?;
        let batch = self.bytes(size).map(|bytes| input(header, &bytes[HEADER..]))?;
        self.at += size;
        batch
    }
}

impl Iterator for FileBatches {
    type Item = io::Result<InputBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.at < self.slice.length).then(|| self.batch())
    }
}
