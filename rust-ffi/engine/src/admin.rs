//! Administration, over the `fluvio` crate's own admin interface.

use std::collections::BTreeMap;

use fluvio::metadata::objects::ListRequest;
use fluvio::metadata::topic::{
    CleanupPolicy, CompressionAlgorithm, PartitionMap, ReplicaSpec, SegmentBasedPolicy, TopicResolution,
    TopicSpec as Upstream, TopicStorageConfig,
};
use fluvio_sc_schema::objects::{ListFilter, Metadata};

use crate::client::Client;
use crate::error::{Error, ErrorKind, Phase, Result};

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

impl TopicSpec {
    /// Checks what the server checks, and what it forgets to.
    pub(crate) fn validate(&self, name: &str) -> Result<()> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty()
            || name.len() > 63
            || !name.bytes().all(plain)
            || name.starts_with('-')
            || name.ends_with('-')
        {
            return Err(Error::new(
                ErrorKind::InvalidTopic,
                format!(
                    "the topic name is \"{name}\": it must be 1 to 63 lower-case letters, digits and '-', \
                     and neither begin nor end with '-'"
                ),
            )
            .with_topic(name));
        }
        if self.partitions == 0 || self.replication == 0 {
            return Err(Error::invalid(format!(
                "partitions is {} and replication is {}: both must be at least 1",
                self.partitions, self.replication
            )));
        }
        Ok(())
    }

    fn into_upstream(self) -> Result<Upstream> {
        let mut spec = match self.assignment {
            Some(assignment) => {
                let maps: Vec<PartitionMap> = assignment
                    .into_iter()
                    .map(|map| PartitionMap { id: map.partition, replicas: map.replicas, mirror: None })
                    .collect();
                Upstream::new_assigned(maps)
            }
            None => Upstream::new_computed(self.partitions, self.replication, Some(self.ignore_rack)),
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
        spec.set_compression_type(match self.compression.as_str() {
            "any" => CompressionAlgorithm::Any,
            "none" => CompressionAlgorithm::None,
            "gzip" => CompressionAlgorithm::Gzip,
            "snappy" => CompressionAlgorithm::Snappy,
            "lz4" => CompressionAlgorithm::Lz4,
            "zstd" => CompressionAlgorithm::Zstd,
            other => {
                return Err(Error::invalid(format!(
                    "compression is \"{other}\": it must be any, none, gzip, snappy, lz4 or zstd"
                )));
            }
        });
        spec.set_system(self.system);
        Ok(spec)
    }

    fn from_upstream(spec: &Upstream) -> Self {
        let replicas = spec.replicas();
        let assignment = match replicas {
            ReplicaSpec::Assigned(maps) => Some(
                maps.maps()
                    .iter()
                    .map(|map| PartitionAssignment { partition: map.id, replicas: map.replicas.clone() })
                    .collect(),
            ),
            _ => None,
        };
        let compression = match spec.get_compression_type() {
            CompressionAlgorithm::Any => "any",
            CompressionAlgorithm::None => "none",
            CompressionAlgorithm::Gzip => "gzip",
            CompressionAlgorithm::Snappy => "snappy",
            CompressionAlgorithm::Lz4 => "lz4",
            CompressionAlgorithm::Zstd => "zstd",
        };
        Self {
            partitions: replicas.partitions(),
            replication: replicas.replication_factor().unwrap_or(1),
            ignore_rack: replicas.ignore_rack_assignment(),
            assignment,
            retention_seconds: spec.get_clean_policy().map(CleanupPolicy::retention_secs),
            segment_size: spec.get_storage().and_then(|storage| storage.segment_size),
            max_partition_size: spec.get_storage().and_then(|storage| storage.max_partition_size),
            compression: compression.to_owned(),
            system: spec.is_system(),
        }
    }
}

impl Topic {
    fn from_upstream(topic: Metadata<Upstream>) -> Self {
        let resolution = match topic.status.resolution {
            TopicResolution::Init => "init",
            TopicResolution::Pending => "pending",
            TopicResolution::InsufficientResources => "insufficient_resources",
            TopicResolution::InvalidConfig => "invalid_config",
            TopicResolution::Provisioned => "provisioned",
            TopicResolution::Deleting => "deleting",
        };
        Self {
            spec: TopicSpec::from_upstream(&topic.spec),
            status: TopicStatus {
                resolution: resolution.to_owned(),
                reason: topic.status.reason,
                replica_map: topic.status.replica_map.into_iter().collect(),
            },
            name: topic.name,
        }
    }
}

impl Client {
    /// Creates a topic and returns it. Names and limits are checked before anything is sent.
    pub async fn create_topic(&self, name: &str, spec: TopicSpec, flags: CreateFlags) -> Result<Topic> {
        spec.validate(name)?;
        let what = format!("creating topic \"{name}\"");
        let planned = Topic {
            name: name.to_owned(),
            spec: spec.clone(),
            status: TopicStatus { resolution: "init".to_owned(), reason: String::new(), replica_map: BTreeMap::new() },
        };
        let request = spec.into_upstream()?;
        let created = self
            .control()
            .long(&what, |admin| {
                let name = name.to_owned();
                async move { admin.create(name, flags.dry_run, request).await }
            })
            .await;
        match created {
            Err(error) if error.kind == ErrorKind::AlreadyExists && flags.exist_ok => {
                return self.get_topic(name).await;
            }
            Err(error) => return Err(error.with_topic(name)),
            Ok(()) if flags.dry_run => return Ok(planned),
            Ok(()) => {}
        }
        if flags.wait_ready {
            let ready = self.view().wait(|view| view.ready(name).then_some(()));
            tokio::time::timeout(self.control().timeout(), ready).await.unwrap_or_else(|_| {
                let text = format!("topic \"{name}\" was created and exists, but is not ready yet");
                Err(Error::timeout(Phase::Admin, text).with_topic(name))
            })?;
        }
        self.get_topic(name).await
    }

    /// The topics whose name contains a string; with `system` only the internal ones.
    pub async fn list_topics(&self, name_contains: Option<&str>, system: bool) -> Result<Vec<Topic>> {
        let filters: Vec<ListFilter> = name_contains.map(|part| part.to_owned().into()).into_iter().collect();
        let topics = self
            .control()
            .short("listing topics", |admin| async move {
                let request = ListRequest::<Upstream>::new(filters, false).system(system);
                admin.list_with_config::<Upstream, String>(request).await
            })
            .await?;
        Ok(topics.into_iter().map(Topic::from_upstream).collect())
    }

    /// The topic of that name, internal or not.
    pub async fn get_topic(&self, name: &str) -> Result<Topic> {
        for system in [false, true] {
            // The server's filter is a substring.
            let topics = self.list_topics(Some(name), system).await?;
            if let Some(topic) = topics.into_iter().find(|topic| topic.name == name) {
                return Ok(topic);
            }
        }
        Err(Error::topic_not_found(name))
    }

    /// Deletes a topic; `force` for system topics; `missing_ok` when it need not exist.
    pub async fn delete_topic(&self, name: &str, force: bool, missing_ok: bool) -> Result<()> {
        let what = format!("deleting topic \"{name}\"");
        let deleted = self
            .control()
            .long(&what, |admin| {
                let name = name.to_owned();
                async move {
                    match force {
                        true => admin.force_delete::<Upstream>(name).await,
                        false => admin.delete::<Upstream>(name).await,
                    }
                }
            })
            .await;
        match deleted {
            Err(error) if error.kind == ErrorKind::TopicNotFound && missing_ok => Ok(()),
            Err(error) => Err(error.with_topic(name)),
            Ok(()) => Ok(()),
        }
    }
}
