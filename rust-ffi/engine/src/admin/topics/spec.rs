//! What a topic can be configured to be, checked as the server checks it.

use std::collections::BTreeMap;
use std::time::Duration;

use fluvio::metadata::topic::{
    Bounds, CleanupPolicy, CompressionAlgorithm, Deduplication as UpstreamDeduplication, Filter, HomeMirrorConfig,
    MirrorConfig, PartitionMap, PartitionMaps, RemoteMirrorConfig, ReplicaSpec, SegmentBasedPolicy, SpuMirrorConfig,
    TopicSpec as Upstream, TopicStorageConfig, Transform,
};
use fluvio_controlplane_metadata::partition::HomePartitionConfig;
use serde::{Deserialize, Serialize};

use crate::admin::{check_name, like};
use crate::error::{Error, ErrorKind, Result};

like! {
    /// The codec that batches must have.
    #[derive(Default)]
    Compression: CompressionAlgorithm {
        /// Whatever the producer likes.
        #[default]
        Any = Any,
        /// None.
        None = None,
        /// gzip.
        Gzip = Gzip,
        /// Snappy.
        Snappy = Snappy,
        /// LZ4.
        Lz4 = Lz4,
        /// Zstandard.
        Zstd = Zstd,
    }
}

/// Which SPUs hold a partition; the first is the preferred leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The partition's number.
    pub partition: u32,
    /// SPU ids.
    pub replicas: Vec<i32>,
}

/// A topic that mirrors one of another cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TopicMirror {
    /// This cluster is the home of remote ones.
    Home(HomeMirror),
    /// This cluster is a remote one.
    Remote(RemoteMirror),
}

/// The home side of a mirrored topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeMirror {
    /// Records go from here to the remote clusters, not from there to here.
    #[serde(default)]
    pub source: bool,
    /// One for each remote cluster.
    pub partitions: Vec<MirroredPartition>,
}

/// What a partition of a home topic mirrors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirroredPartition {
    /// The remote cluster's name.
    pub remote_cluster: String,
    /// Topic and partition there. `None` when creating: partition 0 of the topic of the same name.
    #[serde(default)]
    pub remote_replica: Option<String>,
    /// Records go from here to there. `None` when creating: as the topic's.
    #[serde(default)]
    pub source: Option<bool>,
}

/// The remote side of a mirrored topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteMirror {
    /// The home cluster's name.
    pub home_cluster: String,
    /// The home's SPUs, one for each partition.
    pub home_spus: Vec<HomeSpu>,
    /// Records come from home, they do not go there.
    #[serde(default)]
    pub target: bool,
}

/// An SPU of a home cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeSpu {
    /// Its id.
    pub id: i32,
    /// Its name.
    pub key: String,
    /// `host:port`.
    pub endpoint: String,
}

/// Records that were there already are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deduplication {
    /// Among how many of the last records, at least 1.
    pub count: u64,
    /// Among those of the last milliseconds. `None`: whatever their age.
    #[serde(default)]
    pub age_ms: Option<u64>,
    /// The SmartModule that tells.
    pub smartmodule: String,
    /// Its parameters.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
}

/// What a topic is configured to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopicSpec {
    /// Number of partitions, at least 1.
    pub partitions: u32,
    /// Number of SPUs that hold each partition, at least 1.
    pub replication: u32,
    /// Place replicas without regard to racks.
    pub ignore_rack: bool,
    /// Explicit placement; `partitions` and `replication` follow from it.
    pub assignment: Option<Vec<Assignment>>,
    /// What it mirrors; everything above follows from it.
    pub mirror: Option<TopicMirror>,
    /// Seconds after which closed segments are removed, at least 10. `None`: the server's default (7 days).
    pub retention_seconds: Option<u32>,
    /// Bytes of a log segment, at least 1024. `None`: the server's default (1 GiB).
    pub segment_size: Option<u32>,
    /// Bytes that a partition may hold, at least 2048. `None`: the server's default (100 GB).
    pub max_partition_size: Option<u64>,
    /// The codec that batches must have.
    pub compression: Compression,
    /// Drops records that were there already.
    pub deduplication: Option<Deduplication>,
    /// One of the cluster's own.
    pub system: bool,
}

impl Default for TopicSpec {
    fn default() -> Self {
        Self {
            partitions: 1,
            replication: 1,
            ignore_rack: false,
            assignment: None,
            mirror: None,
            retention_seconds: None,
            segment_size: None,
            max_partition_size: None,
            compression: Compression::Any,
            deduplication: None,
            system: false,
        }
    }
}

impl Deduplication {
    pub(in crate::admin) fn from_upstream(upstream: &UpstreamDeduplication) -> Self {
        let UpstreamDeduplication { bounds, filter } = upstream;
        let age_ms = bounds.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        Self {
            count: bounds.count,
            age_ms,
            smartmodule: filter.transform.uses.clone(),
            params: filter.transform.with.clone(),
        }
    }

    pub(super) fn into_upstream(self) -> UpstreamDeduplication {
        UpstreamDeduplication {
            bounds: Bounds { count: self.count, age: self.age_ms.map(Duration::from_millis) },
            filter: Filter { transform: Transform { uses: self.smartmodule, with: self.params } },
        }
    }
}

impl TopicMirror {
    pub(super) fn into_upstream(self, topic: &str) -> MirrorConfig {
        match self {
            Self::Home(HomeMirror { source, partitions }) => {
                let partitions = partitions.into_iter().map(|partition| HomePartitionConfig {
                    remote_cluster: partition.remote_cluster,
                    remote_replica: partition.remote_replica.unwrap_or_else(|| format!("{topic}-0")),
                    source: partition.source.unwrap_or(source),
                });
                let mut home = HomeMirrorConfig::from(partitions.collect::<Vec<_>>());
                home.source = source;
                MirrorConfig::Home(home)
            }
            Self::Remote(RemoteMirror { home_cluster, home_spus, target }) => {
                let spu = |HomeSpu { id, key, endpoint }| SpuMirrorConfig { id, key, endpoint };
                MirrorConfig::Remote(RemoteMirrorConfig {
                    home_cluster,
                    home_spus: home_spus.into_iter().map(spu).collect(),
                    target,
                })
            }
        }
    }

    pub(super) fn from_upstream(upstream: &MirrorConfig) -> Self {
        match upstream {
            MirrorConfig::Home(home) => {
                let partition = |partition: &HomePartitionConfig| MirroredPartition {
                    remote_cluster: partition.remote_cluster.clone(),
                    remote_replica: Some(partition.remote_replica.clone()),
                    source: Some(partition.source),
                };
                Self::Home(HomeMirror {
                    source: home.source,
                    partitions: home.partitions().iter().map(partition).collect(),
                })
            }
            MirrorConfig::Remote(remote) => {
                let spu = |SpuMirrorConfig { id, key, endpoint }| HomeSpu { id, key, endpoint };
                Self::Remote(RemoteMirror {
                    home_cluster: remote.home_cluster.clone(),
                    home_spus: remote.home_spus.iter().cloned().map(spu).collect(),
                    target: remote.target,
                })
            }
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        match self {
            Self::Home(home) => home
                .partitions
                .iter()
                .try_for_each(|one| check_name("mirror.home.partitions.remote_cluster", &one.remote_cluster)),
            Self::Remote(remote) => {
                if remote.home_spus.is_empty() {
                    return Err(Error::invalid("mirror.remote.home_spus is empty: it must name the home's SPUs"));
                }
                check_name("mirror.remote.home_cluster", &remote.home_cluster)
            }
        }
    }
}

/// The limits of the server, which would answer as this does.
const LEAST_RETENTION: u32 = 10;
const LEAST_SEGMENT: u32 = 1024;
const LEAST_PARTITION: u64 = 2048;
const DEFAULT_SEGMENT: u32 = 1 << 30;

pub(super) fn invalid_topic(text: String) -> Error {
    Error::new(ErrorKind::InvalidTopic, text)
}

pub(super) fn check_topic_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(plain) || name.starts_with('-') || name.ends_with('-') {
        return Err(invalid_topic(format!(
            "the topic name is \"{name}\": it must be 1 to 63 lower-case letters, digits and '-', \
             and neither begin nor end with '-'"
        ))
        .with_topic(name));
    }
    Ok(())
}

impl TopicSpec {
    /// Checks what the server checks, and what it forgets to.
    pub(super) fn validate(&self) -> Result<()> {
        match (&self.mirror, &self.assignment) {
            (Some(mirror), _) => mirror.validate()?,
            (None, Some(assignment)) => partition_maps(assignment)
                .validate()
                .map_err(|cause| invalid_topic(format!("assignment is wrong: {cause}")))?,
            (None, None) if self.partitions == 0 || self.replication == 0 => {
                return Err(Error::invalid(format!(
                    "partitions is {} and replication is {}: both must be at least 1",
                    self.partitions, self.replication
                )));
            }
            (None, None) => {}
        }
        let least = |name: &str, value: Option<u64>, least: u64, unit: &str| match value {
            Some(value) if value < least => {
                Err(invalid_topic(format!("{name} is {value}{unit}: it must be at least {least}{unit}")))
            }
            _ => Ok(()),
        };
        least("retention", self.retention_seconds.map(u64::from), LEAST_RETENTION.into(), " s")?;
        least("segment_size", self.segment_size.map(u64::from), LEAST_SEGMENT.into(), "")?;
        least("max_partition_size", self.max_partition_size, LEAST_PARTITION, "")?;
        let segment = self.segment_size.unwrap_or(DEFAULT_SEGMENT);
        if let Some(size) = self.max_partition_size.filter(|size| *size < u64::from(segment)) {
            return Err(invalid_topic(format!(
                "max_partition_size is {size}: it must be at least segment_size, which is {segment}"
            )));
        }
        if let Some(deduplication) = &self.deduplication {
            if deduplication.count == 0 {
                return Err(Error::invalid("deduplication.count is 0: it must be at least 1"));
            }
            // Other than names, this one may have a group before it.
            if deduplication.smartmodule.is_empty() {
                return Err(Error::invalid("deduplication.smartmodule is empty: it must name a SmartModule"));
            }
        }
        Ok(())
    }

    pub(super) fn into_upstream(self, name: &str) -> Upstream {
        let mut spec = match (self.mirror, self.assignment) {
            (Some(mirror), _) => Upstream::new_mirror(mirror.into_upstream(name)),
            (None, Some(assignment)) => Upstream::new_assigned(partition_maps(&assignment)),
            (None, None) => Upstream::new_computed(self.partitions, self.replication, Some(self.ignore_rack)),
        };
        if let Some(time_in_seconds) = self.retention_seconds {
            spec.set_cleanup_policy(CleanupPolicy::Segment(SegmentBasedPolicy { time_in_seconds }));
        }
        if self.segment_size.is_some() || self.max_partition_size.is_some() {
            spec.set_storage(TopicStorageConfig {
                segment_size: self.segment_size,
                max_partition_size: self.max_partition_size,
            });
        }
        spec.set_compression_type(self.compression.into());
        spec.set_deduplication(self.deduplication.map(Deduplication::into_upstream));
        spec.set_system(self.system);
        spec
    }

    /// Whether its partitions are placed like those of `other`.
    pub(super) fn is_placed_like(&self, other: &Self) -> bool {
        (self.partitions, self.replication, &self.assignment)
            == (other.partitions, other.replication, &other.assignment)
    }

    pub(super) fn from_upstream(spec: &Upstream) -> Self {
        let replicas = spec.replicas();
        let (assignment, mirror) = match replicas {
            ReplicaSpec::Computed(_) => (None, None),
            ReplicaSpec::Assigned(maps) => {
                let assignment = |map: &PartitionMap| Assignment { partition: map.id, replicas: map.replicas.clone() };
                (Some(maps.maps().iter().map(assignment).collect()), None)
            }
            ReplicaSpec::Mirror(mirror) => (None, Some(TopicMirror::from_upstream(mirror))),
        };
        Self {
            partitions: replicas.partitions(),
            replication: replicas.replication_factor().unwrap_or(1),
            ignore_rack: replicas.ignore_rack_assignment(),
            assignment,
            mirror,
            retention_seconds: spec.get_clean_policy().map(CleanupPolicy::retention_secs),
            segment_size: spec.get_storage().and_then(|storage| storage.segment_size),
            max_partition_size: spec.get_storage().and_then(|storage| storage.max_partition_size),
            compression: spec.get_compression_type().clone().into(),
            deduplication: spec.get_deduplication().map(Deduplication::from_upstream),
            system: spec.is_system(),
        }
    }
}

fn partition_maps(assignment: &[Assignment]) -> PartitionMaps {
    let map = |one: &Assignment| PartitionMap { id: one.partition, replicas: one.replicas.clone(), mirror: None };
    assignment.iter().map(map).collect::<Vec<_>>().into()
}
