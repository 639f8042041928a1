//! FetchOffsets: where a partition begins and ends.

use fluvio_protocol::link::ErrorCode;
use fluvio_spu_schema::server::fetch_offset::{
    FetchOffsetPartitionResponse, FetchOffsetTopicResponse, FetchOffsetsRequest, FetchOffsetsResponse,
};

use super::Spu;
use super::replica::Extent;

pub(crate) async fn fetch_offsets(
    spu: &Spu,
    request: FetchOffsetsRequest,
    failure: Option<&ErrorCode>,
) -> FetchOffsetsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let partition_index = partition.partition_index;
            let entry = FetchOffsetPartitionResponse { partition_index, ..Default::default() };
            partitions.push(match (failure, spu.replica(&topic.name, partition_index).await) {
                (Some(failure), _) => FetchOffsetPartitionResponse { error_code: failure.clone(), ..entry },
                (None, Some(replica)) => {
                    let Extent { start, committed, .. } = replica.extent();
                    FetchOffsetPartitionResponse { start_offset: start, last_stable_offset: committed, ..entry }
                }
                (None, None) => FetchOffsetPartitionResponse { error_code: ErrorCode::PartitionNotLeader, ..entry },
            });
        }
        topics.push(FetchOffsetTopicResponse { partitions, name: topic.name });
    }
    FetchOffsetsResponse { topics }
}
