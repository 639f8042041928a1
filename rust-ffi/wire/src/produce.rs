//! The produce request, in segments, so that batches are written to the socket without another copy.

use bytes::{BufMut, Bytes, BytesMut};

use crate::request_header;

const API_KEY: u16 = 0;

/// One batch for one partition.
#[derive(Debug, Clone)]
pub struct ProduceEntry {
    /// The partition.
    pub partition: u32,
    /// The finished batch.
    pub batch: Bytes,
}

/// What a produce request says beside its batches.
#[derive(Debug, Clone)]
pub struct ProduceHead<'a> {
    /// The version of the protocol.
    pub version: i16,
    /// Who sends it.
    pub client_id: &'a str,
    /// Where the batches go.
    pub topic: &'a str,
    /// Whether it is acknowledged when replicated.
    pub committed: bool,
    /// How long the server may wait for that.
    pub timeout_ms: i32,
    /// The SmartModules that the server runs on each entry: their number, and one after the other. `None`: none.
    pub smartmodules: Option<Bytes>,
}

/// The whole frame of a produce request, one partition entry per batch. Written one after the other the segments are
/// the frame.
pub fn produce_request(correlation_id: i32, head: &ProduceHead<'_>, entries: &[ProduceEntry]) -> Vec<Bytes> {
    let ProduceHead { version, client_id, topic, committed, timeout_ms, ref smartmodules } = *head;
    let batches: usize = entries.iter().map(|entry| entry.batch.len()).sum();
    let heads = 64 + client_id.len() + topic.len() + 8 * entries.len();
    let mut out = BytesMut::with_capacity(heads);
    out.put_u32(0); // the frame's length, known at the end
    request_header(&mut out, API_KEY, version, correlation_id, client_id);
    out.put_u8(0); // no transaction
    out.put_i16(if committed { -1 } else { 1 });
    out.put_i32(timeout_ms);
    out.put_i32(1);
    out.put_u16(topic.len() as u16);
    out.put_slice(topic.as_bytes());
    out.put_i32(entries.len() as i32);
    let mut cuts = Vec::with_capacity(entries.len());
    for entry in entries {
        out.put_u32(entry.partition);
        out.put_i32(entry.batch.len() as i32);
        cuts.push(out.len());
    }
    if smartmodules.is_none() {
        out.put_i32(0);
    }
    let length = (out.len() - 4 + batches + smartmodules.as_ref().map_or(0, Bytes::len)) as u32;
    out[..4].copy_from_slice(&length.to_be_bytes());

    let heads = out.freeze();
    let mut segments = Vec::with_capacity(2 * entries.len() + 1);
    let mut from = 0;
    for (entry, cut) in entries.iter().zip(cuts) {
        segments.push(heads.slice(from..cut));
        segments.push(entry.batch.clone());
        from = cut;
    }
    segments.push(heads.slice(from..));
    segments.extend(smartmodules.clone());
    segments
}
