//! Produce: the record sets stay where they were received; the log seals them there and writes them.

use std::io;
use std::ops::Range;

use bytes::{Buf, BufMut};
use fluvio_protocol::api::{RequestHeader, RequestKind};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::ReplicaKey;
use fluvio_protocol::{Decoder, Encoder, Version};
use fluvio_spu_schema::Isolation;
use fluvio_spu_schema::produce::{PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse};

use fluvio_types::PartitionId;

use super::Spu;
use super::connection::entries;
use crate::log::batch;
use crate::net;

pub(crate) type Produce = ProduceRequest<Place>;

/// Where a record set is in its frame, counted from the frame's end, which is what a decoder can see.
#[derive(Debug, Default, Clone)]
pub(crate) struct Place {
    from_end: usize,
    length: usize,
}

impl Place {
    fn range(&self, frame_length: usize) -> Range<usize> {
        let start = frame_length.saturating_sub(self.from_end);
        start..start + self.length
    }
}

impl Decoder for Place {
    fn decode<T: Buf>(&mut self, source: &mut T, version: Version) -> io::Result<()> {
        let mut length = 0_i32;
        length.decode(source, version)?;
        self.from_end = source.remaining();
        self.length = usize::try_from(length)
            .ok()
            .filter(|&length| length <= self.from_end)
            .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "record set longer than its frame"))?;
        source.advance(self.length);
        Ok(())
    }
}

/// Asked for by the request type; a server sends no requests.
impl Encoder for Place {
    fn write_size(&self, _version: Version) -> usize {
        0
    }

    fn encode<T: BufMut>(&self, _target: &mut T, _version: Version) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

/// An error as it is told of a partition.
fn with_partition(error: &ErrorCode, topic: &str, partition: PartitionId) -> ErrorCode {
    match error {
        ErrorCode::PartitionFull { .. } => ErrorCode::PartitionFull { replica_key: ReplicaKey::new(topic, partition) },
        error => error.clone(),
    }
}

/// Serves a request; the reply has one entry for each of its partition entries, in order. An error closes the
/// connection. With a `failure` that is the answer; nothing is written, unless it says that the records were not
/// replicated in time.
pub(crate) async fn produce(
    spu: &Spu,
    header: &RequestHeader,
    frame: &mut [u8],
    body: usize,
    failure: Option<&ErrorCode>,
) -> io::Result<Vec<u8>> {
    let request = Produce::decode_from(&mut &frame[body..], header.api_version())?;
    entries(request.topics.iter().map(|topic| topic.partitions.len()))?;
    let transformed = !request.smartmodules.is_empty();
    let timed_out = ErrorCode::RequestTimedOut {
        timeout_ms: u64::try_from(request.timeout.as_millis()).unwrap_or(u64::MAX),
        kind: RequestKind::Produce,
    };
    let mut uncommitted = Vec::new();
    let mut responses = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for entry in topic.partitions {
            let place = entry.records.range(frame.len());
            let set = &mut frame[place];
            let batches = batch::split(set)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "schema attribute without its id"))?;
            let replica = spu.replica(&topic.name, entry.partition_index);
            let written = match (replica, failure) {
                (Some(replica), Some(ErrorCode::RequestTimedOut { .. })) => {
                    replica.produce(set, &batches, &spu.faults).and(Err(timed_out.clone()))
                }
                (_, Some(failure)) => Err(with_partition(failure, &topic.name, entry.partition_index)),
                _ if transformed => Err(ErrorCode::Other("SmartModules are not available here".to_owned())),
                (Some(replica), None) => replica.produce(set, &batches, &spu.faults).inspect(|base| {
                    let end = batches.iter().fold(*base, |end, batch| end.saturating_add(batch.header.offsets()));
                    uncommitted.push(((responses.len(), partitions.len()), replica, end));
                }),
                (None, None) => Err(ErrorCode::NotLeaderForPartition),
            };
            let mut response =
                PartitionProduceResponse { partition_index: entry.partition_index, ..Default::default() };
            match written {
                Ok(base_offset) => response.base_offset = base_offset,
                Err(error_code) => response.error_code = error_code,
            }
            partitions.push(response);
        }
        responses.push(TopicProduceResponse { name: topic.name, partitions });
    }
    if request.isolation == Isolation::ReadCommitted {
        // One after another, and each with its own time, as on the real server.
        for ((topic, partition), replica, end) in uncommitted {
            if tokio::time::timeout(request.timeout, replica.committed(end)).await.is_err() {
                let responses: &mut Vec<TopicProduceResponse> = &mut responses;
                responses[topic].partitions[partition].error_code = timed_out.clone();
            }
        }
    }
    net::reply(header, &ProduceResponse { responses, ..Default::default() })
}
