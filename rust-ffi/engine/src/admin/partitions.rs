//! Partitions.

use fluvio::metadata::partition::{
    PartitionMirrorConfig, PartitionResolution as UpstreamResolution, PartitionSpec as Upstream,
    PartitionStatus as UpstreamStatus, ReplicaStatus as UpstreamReplica,
};
use fluvio_controlplane_metadata::partition::{HomePartitionConfig, RemotePartitionConfig};
use fluvio_sc_schema::objects::Metadata;
use serde::{Deserialize, Serialize};

use super::{Admin, Compression, Deduplication, Kind, like};
use crate::error::{Error, ErrorKind, Result};
use crate::metadata::replica;

like! {
    /// Whether a partition can be used.
    PartitionResolution: UpstreamResolution {
        /// It has no leader.
        Offline = Offline,
        /// It can be used.
        Online = Online,
        /// No leader could be elected.
        LeaderOffline = LeaderOffline,
        /// A new leader is elected.
        ElectionLeaderFound = ElectionLeaderFound,
        /// Its leader has no room left.
        OutOfStorage = OutOfStorage,
    }
}

/// What a partition mirrors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionMirror {
    /// One of a remote cluster.
    Home(HomePartition),
    /// One of the home cluster.
    Remote(RemotePartition),
}

/// A partition that is the home of a remote one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomePartition {
    /// The remote cluster's name.
    pub remote_cluster: String,
    /// Topic and partition there.
    pub remote_replica: String,
    /// Records go from here to there.
    pub source: bool,
}

/// A partition that mirrors one of the home cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemotePartition {
    /// The home cluster's name.
    pub home_cluster: String,
    /// The name of the SPU there.
    pub home_spu_key: String,
    /// Its id.
    pub home_spu_id: i32,
    /// Its `host:port`.
    pub home_spu_endpoint: String,
    /// Records come from there.
    pub target: bool,
}

impl From<PartitionMirrorConfig> for PartitionMirror {
    fn from(upstream: PartitionMirrorConfig) -> Self {
        match upstream {
            PartitionMirrorConfig::Home(HomePartitionConfig { remote_cluster, remote_replica, source }) => {
                Self::Home(HomePartition { remote_cluster, remote_replica, source })
            }
            PartitionMirrorConfig::Remote(remote) => {
                let RemotePartitionConfig { home_cluster, home_spu_key, home_spu_id, home_spu_endpoint, target } =
                    remote;
                Self::Remote(RemotePartition { home_cluster, home_spu_key, home_spu_id, home_spu_endpoint, target })
            }
        }
    }
}

/// What a partition is configured to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionSpec {
    /// The SPU that leads it.
    pub leader: i32,
    /// The SPUs that hold it.
    pub replicas: Vec<i32>,
    /// What it mirrors.
    pub mirror: Option<PartitionMirror>,
    /// As the topic's.
    pub retention_seconds: Option<u32>,
    /// As the topic's.
    pub segment_size: Option<u32>,
    /// As the topic's.
    pub max_partition_size: Option<u64>,
    /// As the topic's.
    pub compression: Compression,
    /// As the topic's.
    pub deduplication: Option<Deduplication>,
    /// Of one of the cluster's own topics.
    pub system: bool,
}

/// What an SPU told of its replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplicaStatus {
    /// The SPU's id.
    pub spu: i32,
    /// The offset up to which records are replicated. `None`: not known.
    pub high_watermark: Option<i64>,
    /// The offset of the next record. `None`: not known.
    pub log_end: Option<i64>,
}

/// How a partition is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// Whether it can be used.
    pub resolution: PartitionResolution,
    /// What its leader told last. `None`: nothing yet.
    pub leader: Option<ReplicaStatus>,
    /// The followers that are alive.
    pub replicas: Vec<ReplicaStatus>,
    /// The server's count of them, which not every version fills in.
    pub live_replicas: u32,
    /// Bytes of the leader's log. `None`: not known.
    pub size: Option<u64>,
    /// The first offset that the log still holds.
    pub base_offset: i64,
    /// On its way out.
    pub is_being_deleted: bool,
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: u32,
    /// What it is configured to be.
    pub spec: PartitionSpec,
    /// How it is.
    pub status: PartitionStatus,
}

fn known(offset: i64) -> Option<i64> {
    (offset >= 0).then_some(offset)
}

impl ReplicaStatus {
    fn from_upstream(UpstreamReplica { spu, hw, leo }: UpstreamReplica) -> Option<Self> {
        (spu >= 0).then(|| Self { spu, high_watermark: known(hw), log_end: known(leo) })
    }
}

impl Kind for Partition {
    type Spec = Upstream;
    type UpstreamStatus = UpstreamStatus;
    const LABEL: &str = "partition";
    const MISSING: ErrorKind = ErrorKind::PartitionNotFound;
    const FILTERED: bool = false;

    fn from_upstream(Metadata { name, spec, status }: Metadata<Upstream>) -> Result<Self> {
        let (topic, partition) = replica(&name).ok_or_else(|| {
            Error::incompatible(format!("the cluster has a partition called \"{name}\", which has no number"))
        })?;
        Ok(Self {
            topic: topic.to_owned(),
            partition,
            spec: PartitionSpec {
                leader: spec.leader,
                replicas: spec.replicas,
                mirror: spec.mirror.map(Into::into),
                retention_seconds: spec.cleanup_policy.map(|policy| policy.retention_secs()),
                segment_size: spec.storage.as_ref().and_then(|storage| storage.segment_size),
                max_partition_size: spec.storage.as_ref().and_then(|storage| storage.max_partition_size),
                compression: spec.compression_type.into(),
                deduplication: spec.deduplication.as_ref().map(Deduplication::from_upstream),
                system: spec.system,
            },
            status: PartitionStatus {
                resolution: status.resolution.clone().into(),
                live_replicas: status.lrs(),
                leader: ReplicaStatus::from_upstream(status.leader),
                replicas: status.replicas.into_iter().filter_map(ReplicaStatus::from_upstream).collect(),
                size: u64::try_from(status.size).ok(),
                base_offset: status.base_offset,
                is_being_deleted: status.is_being_deleted,
            },
        })
    }

    fn name(&self) -> &str {
        &self.topic
    }
}

impl Admin {
    /// Partitions, by topic and number: of `topic`, the cluster's own or not; or all; with `system`, those of the
    /// cluster's own topics instead of all others.
    pub async fn partitions(&self, topic: Option<&str>, system: bool) -> Result<Vec<Partition>> {
        let mut partitions = self.list::<Partition>(None, system, false).await?;
        if let Some(topic) = topic {
            partitions.extend(self.list::<Partition>(None, !system, false).await?);
            partitions.retain(|partition| partition.topic == topic);
        }
        partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(partitions)
    }

    /// One partition.
    pub async fn partition(&self, topic: &str, partition: u32) -> Result<Partition> {
        let partitions = self.partitions(Some(topic), false).await?;
        let count = partitions.len() as u32;
        match partitions.into_iter().find(|found| found.partition == partition) {
            Some(found) => Ok(found),
            None => {
                self.topic(topic).await?;
                Err(Error::partition_not_found(topic, partition.into(), count))
            }
        }
    }
}
