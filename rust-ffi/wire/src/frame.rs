//! Frames: a four-byte length, then a request or a response.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::WireError;

/// Appends the header that every request begins with. The frame's length is not part of it.
pub fn request_header(out: &mut BytesMut, api_key: u16, api_version: i16, correlation_id: i32, client_id: &str) {
    out.put_u16(api_key);
    out.put_i16(api_version);
    out.put_i32(correlation_id);
    out.put_u16(client_id.len() as u16);
    out.put_slice(client_id.as_bytes());
}

/// Bytes read from a connection, cut into frames.
#[derive(Debug)]
pub struct FrameBuffer {
    bytes: BytesMut,
    limit: usize,
}

impl FrameBuffer {
    /// Frames longer than `limit` are an error.
    pub fn new(limit: usize) -> Self {
        Self { bytes: BytesMut::with_capacity(1 << 16), limit }
    }

    /// Frames longer than `limit` are an error from now on.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Where the next bytes go.
    pub fn space(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// What has arrived and was not taken out.
    pub fn arrived(&self) -> &[u8] {
        &self.bytes
    }

    /// How long the next frame is, without its length, and what of it, and perhaps of later ones, has arrived. `None`:
    /// not even its length has.
    pub fn begun(&self) -> Option<(i32, &[u8])> {
        let (length, begun) = self.bytes.split_first_chunk()?;
        Some((i32::from_be_bytes(*length), begun))
    }

    /// The next whole frame, without its length; shares the buffer. `None`: read on.
    ///
    /// Reserves space for the rest of a frame whose length is known, but never more than what has arrived so far and a
    /// bit: a length alone is no reason to allocate.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, WireError> {
        const STEP: usize = 1 << 20;
        let Some(&length) = self.bytes.first_chunk::<4>() else {
            self.bytes.reserve(STEP / 16);
            return Ok(None);
        };
        let length = i32::from_be_bytes(length);
        let size = usize::try_from(length)
            .ok()
            .filter(|size| *size <= self.limit)
            .ok_or(WireError::Invalid { field: "the length of a frame", value: length.into() })?;
        let missing = (4 + size).saturating_sub(self.bytes.len());
        if missing > 0 {
            let room = missing.min(STEP.max(self.bytes.len()));
            if room >= STEP {
                // The buffer itself would end the process where it cannot grow.
                let all = self.bytes.len() + room;
                Vec::<u8>::new().try_reserve_exact(all).map_err(|_| WireError::Memory("a frame"))?;
            }
            self.bytes.reserve(room);
            return Ok(None);
        }
        self.bytes.advance(4);
        Ok(Some(self.bytes.split_to(size).freeze()))
    }
}
