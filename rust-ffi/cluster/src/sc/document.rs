//! The metadata on disk: a JSON document, replaced as a whole by a rename, so that a kill leaves the old or the new one.

use std::io;
use std::path::Path;

use fluvio_controlplane_metadata::topic::{
    CleanupPolicy, CompressionAlgorithm, ReplicaSpec, SegmentBasedPolicy, TopicSpec, TopicStorageConfig,
};
use fluvio_types::{ReplicaMap, SpuId};
use serde::{Deserialize, Serialize};

use crate::files;

const VERSION: u32 = 1;

/// The document.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Document {
    version: u32,
    pub(crate) topics: Vec<Topic>,
}

/// One topic.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Topic {
    pub(crate) name: String,
    replicas: Replicas,
    /// The SPUs of each partition, the leader first. Documents of one SPU do not have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) placement: Vec<Vec<SpuId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<Storage>,
    compression: Compression,
    system: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Replicas {
    Computed {
        partitions: u32,
        replication: u32,
        ignore_rack: bool,
    },
    /// The SPUs of each partition.
    Assigned(Vec<Vec<i32>>),
}

#[derive(Debug, Serialize, Deserialize)]
struct Storage {
    #[serde(skip_serializing_if = "Option::is_none")]
    segment_size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_partition_size: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Compression {
    Any,
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Topic {
    fn from_spec(name: &str, spec: &TopicSpec, placement: &ReplicaMap) -> Self {
        let replicas = match spec.replicas() {
            ReplicaSpec::Assigned(maps) => {
                Replicas::Assigned(maps.maps().iter().map(|map| map.replicas.clone()).collect())
            }
            other => Replicas::Computed {
                partitions: other.partitions(),
                replication: other.replication_factor().unwrap_or(1),
                ignore_rack: other.ignore_rack_assignment(),
            },
        };
        Self {
            name: name.to_owned(),
            replicas,
            placement: placement.values().cloned().collect(),
            retention_seconds: spec.get_clean_policy().map(CleanupPolicy::retention_secs),
            storage: spec.get_storage().map(|storage| Storage {
                segment_size: storage.segment_size,
                max_partition_size: storage.max_partition_size,
            }),
            compression: match spec.get_compression_type() {
                CompressionAlgorithm::Any => Compression::Any,
                CompressionAlgorithm::None => Compression::None,
                CompressionAlgorithm::Gzip => Compression::Gzip,
                CompressionAlgorithm::Snappy => Compression::Snappy,
                CompressionAlgorithm::Lz4 => Compression::Lz4,
                CompressionAlgorithm::Zstd => Compression::Zstd,
            },
            system: spec.is_system(),
        }
    }

    pub(crate) fn spec(&self) -> TopicSpec {
        let mut spec = match &self.replicas {
            Replicas::Computed { partitions, replication, ignore_rack } => {
                TopicSpec::new_computed(*partitions, *replication, Some(*ignore_rack))
            }
            Replicas::Assigned(rows) => {
                let maps: Vec<(u32, Vec<i32>)> = (0..).zip(rows.iter().cloned()).collect();
                TopicSpec::new_assigned(maps)
            }
        };
        if let Some(time_in_seconds) = self.retention_seconds {
            spec.set_cleanup_policy(CleanupPolicy::Segment(SegmentBasedPolicy { time_in_seconds }));
        }
        if let Some(Storage { segment_size, max_partition_size }) = self.storage {
            spec.set_storage(TopicStorageConfig { segment_size, max_partition_size });
        }
        spec.set_compression_type(match self.compression {
            Compression::Any => CompressionAlgorithm::Any,
            Compression::None => CompressionAlgorithm::None,
            Compression::Gzip => CompressionAlgorithm::Gzip,
            Compression::Snappy => CompressionAlgorithm::Snappy,
            Compression::Lz4 => CompressionAlgorithm::Lz4,
            Compression::Zstd => CompressionAlgorithm::Zstd,
        });
        spec.set_system(self.system);
        spec
    }
}

/// The document of a directory; None when there is none yet.
pub(crate) fn load(path: &Path) -> Result<Option<Document>, String> {
    let Some(text) = files::read(path).map_err(|error| error.to_string())? else { return Ok(None) };
    let document: Document = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if document.version != VERSION {
        return Err(format!("version {} is not known, only {VERSION}", document.version));
    }
    Ok(Some(document))
}

/// Replaces the document.
pub(crate) fn save<'a>(
    path: &Path,
    topics: impl Iterator<Item = (&'a str, &'a TopicSpec, &'a ReplicaMap)>,
) -> io::Result<()> {
    let topics = topics.map(|(name, spec, placement)| Topic::from_spec(name, spec, placement)).collect();
    let text = serde_json::to_vec_pretty(&Document { version: VERSION, topics })?;
    files::replace(path, &text)
}
