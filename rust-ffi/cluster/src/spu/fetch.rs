//! What a position in a partition answers, and the plain Fetch (one request, one reply).

use std::io;
use std::os::unix::fs::FileExt;

use bytes::{Buf, BufMut};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::{Decoder, Encoder, Version};
use fluvio_spu_schema::Isolation;
use fluvio_spu_schema::fetch::{FetchRequest, FetchResponse, FetchablePartitionResponse, FetchableTopicResponse};
use fluvio_spu_schema::server::stream_fetch::StreamFetchRequest;
use fluvio_types::PartitionId;

use super::replica::Extent;
use super::{Replica, Spu};
use crate::log::{Found, Slice};

pub(crate) type Fetch = FetchRequest<Records>;
pub(crate) type StreamFetch = StreamFetchRequest<Records>;

/// The most a plain Fetch answers with, over all its partitions: its reply is built in memory.
const MAX_FETCH: usize = 64 << 20;

/// The record field of a reply: its length, and the bytes that are at hand. A stream sends the others from the file.
#[derive(Debug, Default, Clone)]
pub(crate) struct Records {
    pub(crate) length: usize,
    pub(crate) bytes: Vec<u8>,
}

impl Encoder for Records {
    fn write_size(&self, _version: Version) -> usize {
        4 + self.bytes.len()
    }

    fn encode<T: BufMut>(&self, target: &mut T, version: Version) -> io::Result<()> {
        // The length is read as unsigned by nobody; a segment is at most 1 GiB by default and 4 GiB at the very most.
        let length = i32::try_from(self.length).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        length.encode(target, version)?;
        target.put_slice(&self.bytes);
        Ok(())
    }
}

/// Asked for by the request types, which carry no records.
impl Decoder for Records {
    fn decode<T: Buf>(&mut self, _source: &mut T, _version: Version) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

/// Everything about a position but the records themselves.
pub(crate) fn look(
    replica: &Replica,
    partition_index: PartitionId,
    offset: i64,
    limit: u32,
    isolation: Isolation,
) -> (FetchablePartitionResponse<Records>, Option<Slice>) {
    let mut response = FetchablePartitionResponse::<Records> { partition_index, ..Default::default() };
    // A reply's length field must be able to say it.
    let limit = limit.min(i32::MAX as u32 - 4096);
    match replica.find(offset, limit, isolation) {
        Ok((Found::Slice(slice), extent)) => {
            response.high_watermark = extent.committed;
            response.log_start_offset = extent.start;
            response.records.length = slice.length;
            return (response, Some(slice));
        }
        Ok((Found::End, extent)) => {
            response.high_watermark = extent.committed;
            response.log_start_offset = extent.start;
        }
        Ok((Found::Evicted, extent)) => {
            response.error_code = ErrorCode::OffsetEvicted { offset, next_available: extent.start };
        }
        Ok((Found::Beyond, Extent { end, .. })) => {
            response.error_code = ErrorCode::Other(format!("start offset: {offset} is greater than leo: {end}"));
        }
        Err(error) => {
            complain!("reading a log: {error}");
            response.error_code = ErrorCode::StorageError;
        }
    }
    (response, None)
}

/// Serves a plain Fetch, or answers `failure`. It never waits for records.
pub(crate) async fn fetch(
    spu: &Spu,
    request: Fetch,
    failure: Option<&ErrorCode>,
) -> io::Result<FetchResponse<Records>> {
    let mut room = MAX_FETCH;
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.fetch_partitions.len());
        for wanted in topic.fetch_partitions {
            let partition_index = wanted.partition_index;
            if let Some(error_code) = failure.cloned() {
                partitions.push(FetchablePartitionResponse { partition_index, error_code, ..Default::default() });
                continue;
            }
            let Some(replica) = spu.replica(&topic.name, partition_index).await else {
                let error_code = ErrorCode::NotLeaderForPartition;
                partitions.push(FetchablePartitionResponse { partition_index, error_code, ..Default::default() });
                continue;
            };
            let limit = wanted.max_bytes.cast_unsigned().min(u32::try_from(room).unwrap_or(u32::MAX));
            let isolation = request.isolation_level;
            let (mut response, slice) = look(&replica, partition_index, wanted.fetch_offset, limit, isolation);
            if let Some(slice) = slice {
                response.records.bytes = vec![0; slice.length];
                slice.file.read_exact_at(&mut response.records.bytes, slice.position)?;
                room -= slice.length;
            }
            partitions.push(response);
        }
        topics.push(FetchableTopicResponse { name: topic.name, partitions, ..Default::default() });
    }
    Ok(FetchResponse { topics, ..Default::default() })
}
