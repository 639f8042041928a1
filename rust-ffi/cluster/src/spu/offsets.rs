//! FetchOffsets: where a partition begins and ends.

use fluvio_protocol::link::ErrorCode;
use fluvio_spu_schema::server::fetch_offset::{
    FetchOffsetPartitionResponse, FetchOffsetTopicResponse, FetchOffsetsRequest, FetchOffsetsResponse,
};

use super::Spu;
use super::replica::Extent;

pub(crate) fn fetch_offsets(
    spu: &Spu,
    request: FetchOffsetsRequest,
    failure: Option<&ErrorCode>,
) -> FetchOffsetsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let partition_index = partition.partition_index;
            let entry = FetchOffsetPartitionResponse { partition_index, ..Default::default() };
            if let Some(error_code) = failure.cloned() {
                return FetchOffsetPartitionResponse { error_code, ..entry };
            }
            match spu.replica(&topic.name, partition_index) {
                Some(replica) => {
                    let Extent { start, committed, .. } = replica.extent();
                    FetchOffsetPartitionResponse { start_offset: start, last_stable_offset: committed, ..entry }
                }
                None => FetchOffsetPartitionResponse { error_code: ErrorCode::PartitionNotLeader, ..entry },
            }
        });
        FetchOffsetTopicResponse { partitions: partitions.collect(), name: topic.name }
    });
    FetchOffsetsResponse { topics: topics.collect() }
}
