//! Produce: the record sets stay where they were received; the log seals them there and writes them.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, BufMut};
use fluvio_protocol::api::{RequestHeader, RequestKind};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::ReplicaKey;
use fluvio_protocol::{Decoder, Encoder, Version};
use fluvio_spu_schema::Isolation;
use fluvio_spu_schema::produce::{PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse};
use fluvio_spu_schema::server::smartmodule::SmartModuleInvocation;
use fluvio_types::PartitionId;

use super::connection::{MOST_MODULES, entries};
use super::{Replica, Spu, transforms};
use crate::log::batch::{self, Batch};
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

/// Where the records of an entry have gone: the offset of the first, and that behind the last.
struct Written {
    replica: Arc<Replica>,
    base: i64,
    end: i64,
}

/// What holds for all entries of a request.
struct Order<'a> {
    spu: &'a Spu,
    modules: &'a [SmartModuleInvocation],
    version: i16,
    failure: Option<&'a ErrorCode>,
    timed_out: ErrorCode,
}

impl Order<'_> {
    /// Writes the records of one entry, or what the modules make of them.
    async fn write(
        &self,
        topic: &str,
        partition: PartitionId,
        set: &mut [u8],
        batches: &[Batch],
    ) -> Result<Written, ErrorCode> {
        let replica = match (self.spu.replica(topic, partition).await, self.failure) {
            (Some(replica), None | Some(ErrorCode::RequestTimedOut { .. })) => replica,
            (_, Some(failure)) => return Err(with_partition(failure, topic, partition)),
            (None, None) => return Err(ErrorCode::NotLeaderForPartition),
        };
        replica.check_refusal()?;
        let written = if self.modules.is_empty() {
            self.store(replica, set, batches).await
        } else {
            let (engine, settings) = (&self.spu.engine, self.spu.faults.smartmodules());
            let mut set = transforms::transform(engine, &replica, self.modules, self.version, settings, set).await?;
            let batches = batch::split(&set).unwrap_or_default();
            self.store(replica, &mut set, &batches).await
        };
        if self.failure.is_some() { written.and(Err(self.timed_out.clone())) } else { written }
    }

    async fn store(&self, replica: Arc<Replica>, set: &mut [u8], batches: &[Batch]) -> Result<Written, ErrorCode> {
        let faults = &self.spu.faults;
        let is_empty = batches.iter().all(|batch| batch.header.offsets() == 0);
        let (base, end) = match replica.filter().filter(|_| !is_empty) {
            Some(filter) => {
                replica.check_codecs(batches)?;
                let (of_job, faults) = (Arc::clone(&replica), Arc::clone(faults));
                filter.produce(of_job, &self.spu.engine, faults, set.to_vec()).await?
            }
            None => {
                let base = replica.produce(set, batches, faults)?;
                (base, batch::end(base, batches))
            }
        };
        if !is_empty {
            self.spu.note_written(&replica);
        }
        Ok(Written { replica, base, end })
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
    net::at_most(request.smartmodules.len(), MOST_MODULES, "SmartModules of a request")?;
    let timed_out = ErrorCode::RequestTimedOut {
        timeout_ms: u64::try_from(request.timeout.as_millis()).unwrap_or(u64::MAX),
        kind: RequestKind::Produce,
    };
    let modules = &request.smartmodules;
    let order = Order { spu, modules, version: header.api_version(), failure, timed_out };
    let mut uncommitted = Vec::new();
    let mut responses = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for entry in topic.partitions {
            let partition_index = entry.partition_index;
            let place = entry.records.range(frame.len());
            let set = &mut frame[place];
            let batches = batch::split(set)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "schema attribute without its id"))?;
            let mut response = PartitionProduceResponse { partition_index, ..Default::default() };
            match order.write(&topic.name, partition_index, set, &batches).await {
                Ok(written) => {
                    response.base_offset = written.base;
                    uncommitted.push(((responses.len(), partitions.len()), written));
                }
                Err(error_code) => response.error_code = error_code,
            }
            partitions.push(response);
        }
        responses.push(TopicProduceResponse { name: topic.name, partitions });
    }
    if request.isolation == Isolation::ReadCommitted {
        // One after another, and each with its own time, as on the real server.
        for ((topic, partition), Written { replica, end, .. }) in uncommitted {
            if tokio::time::timeout(request.timeout, replica.committed(end)).await.is_err() {
                let responses: &mut Vec<TopicProduceResponse> = &mut responses;
                responses[topic].partitions[partition].error_code = order.timed_out.clone();
            }
        }
    }
    net::reply(header, &ProduceResponse { responses, ..Default::default() })
}
