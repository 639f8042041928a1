//! Creating, extending and deleting topics, and the partitions that follow from them.

use std::collections::BTreeMap;
use std::io;

use fluvio_controlplane_metadata::partition::{
    PartitionResolution, PartitionSpec, PartitionStatus, ReplicaKey, ReplicaStatus,
};
use fluvio_controlplane_metadata::topic::{
    CleanupPolicy, PENDING_REASON, ReplicaSpec, SegmentBasedPolicy, TopicReplicaParam, TopicResolution, TopicSpec,
    TopicStatus, TopicStorageConfig, UpdateTopicAction,
};
use fluvio_sc_schema::Status;
use fluvio_sc_schema::errors::ErrorCode;
use fluvio_sc_schema::objects::CommonCreateRequest;
use fluvio_sc_schema::shared::validate_resource_name;
use fluvio_types::defaults::{CONSUMER_STORAGE_TOPIC, STORAGE_RETENTION_SECONDS};
use fluvio_types::{PartitionId, ReplicaMap};

use super::{Objects, SPU_ID, Sc};
use crate::spu::ReplicaConfig;

/// The topic in which the real cluster keeps consumer offsets. It is there before the SC listens: a client that watches only
/// empty lists waits for the first object before it answers anything.
pub(crate) fn consumer_offsets() -> TopicSpec {
    let mut spec = TopicSpec::new_computed(1, 1, None);
    spec.set_cleanup_policy(CleanupPolicy::Segment(SegmentBasedPolicy { time_in_seconds: STORAGE_RETENTION_SECONDS }));
    spec.set_storage(TopicStorageConfig { segment_size: Some(512_000_000), max_partition_size: Some(2_048_000_000) });
    spec.set_system(true);
    spec
}

/// The name of [`consumer_offsets`].
pub(crate) const SYSTEM_TOPIC: &str = CONSUMER_STORAGE_TOPIC;

/// Every partition is a directory and an open file; the real SC has no limit, and no answer to a million either.
const MAX_PARTITIONS: u32 = 10_000;

fn failure(name: &str, code: ErrorCode, message: impl Into<String>) -> Status {
    Status::new(name.to_owned(), code, Some(message.into()))
}

/// Which SPUs hold which partition; None when there are too few.
pub(crate) fn replica_map(spec: &TopicSpec) -> Option<ReplicaMap> {
    match spec.replicas() {
        ReplicaSpec::Assigned(maps) => Some(maps.maps().iter().map(|map| (map.id, map.replicas.clone())).collect()),
        ReplicaSpec::Computed(param) if param.replication_factor == 1 => {
            Some((0..param.partitions).map(|id| (id, vec![SPU_ID])).collect())
        }
        _ => None,
    }
}

/// The status of a topic whose partitions are where `map` says.
pub(crate) fn status(resolution: TopicResolution, map: ReplicaMap, reason: &str) -> TopicStatus {
    TopicStatus { resolution, replica_map: map, mirror_map: BTreeMap::new(), reason: reason.to_owned() }
}

/// The status of a partition that is served.
pub(crate) fn online((start, end, size): (i64, i64, u64)) -> PartitionStatus {
    let leader = ReplicaStatus::new(SPU_ID, end, end);
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    PartitionStatus::new2(leader, Vec::new(), size, PartitionResolution::Online, start)
}

pub(crate) fn partition_spec(spec: &TopicSpec, replicas: &[i32]) -> PartitionSpec {
    PartitionSpec::from_replicas(replicas.to_vec(), spec, None)
}

impl Sc {
    pub(crate) fn replica_config(&self, spec: &TopicSpec) -> ReplicaConfig {
        ReplicaConfig {
            segment_bytes: spec.get_storage().and_then(|storage| storage.segment_size).unwrap_or(self.segment_bytes),
            compression: spec.get_compression_type().clone(),
        }
    }

    /// Creates a topic. Only the wait for SPUs that do not exist happens outside the lock that orders all changes.
    pub(crate) async fn create_topic(&self, common: CommonCreateRequest, spec: TopicSpec) -> Status {
        let CommonCreateRequest { name, dry_run, .. } = common;
        let changing = self.changing.lock().await;
        if let Err(refusal) = self.check(&name, &spec) {
            return refusal;
        }
        if dry_run {
            return Status::new_ok(name);
        }
        let Some(map) = replica_map(&spec) else {
            if let Err(error) =
                self.announce(&name, &spec, status(TopicResolution::InsufficientResources, ReplicaMap::new(), ""))
            {
                return self.broken(name, &error);
            }
            drop(changing);
            tokio::time::sleep(self.topic_wait).await;
            let message = format!("only 0 out of {} provisioned", spec.partitions());
            return failure(&name, ErrorCode::TopicNotProvisioned, message);
        };
        let provisioned = self
            .make_partitions(&name, &spec, map.keys())
            .and_then(|()| self.announce(&name, &spec, status(TopicResolution::Provisioned, map.clone(), "")));
        if let Err(error) = provisioned {
            self.spu.delete_topic(&name);
            return self.broken(name, &error);
        }
        bring_online(&mut self.objects(), &name, &spec, &map);
        Status::new_ok(name)
    }

    fn broken(&self, name: String, error: &io::Error) -> Status {
        eprintln!("fluvio-cffi-cluster: topic {name}: {error}");
        failure(&name, ErrorCode::UnknownServerError, error.to_string())
    }

    fn check(&self, name: &str, spec: &TopicSpec) -> Result<(), Status> {
        if let Err(reason) = validate_resource_name(name) {
            let message = format!("Invalid topic name: '{name}'. {reason}");
            return Err(failure(name, ErrorCode::TopicInvalidName, message));
        }
        if self.objects().topics.get(name).is_some() {
            return Err(failure(name, ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists")));
        }
        if let Some(reason) = spec.validate_config() {
            return Err(failure(name, ErrorCode::TopicInvalidConfiguration, reason));
        }
        if let Some(deduplication) = spec.get_deduplication() {
            // There are no SmartModules here, so the one that it needs is missing.
            let module = deduplication.filter.transform.uses.clone();
            return Err(Status::new(module, ErrorCode::DeduplicationSmartModuleNotLoaded, None));
        }
        let reason = match spec.replicas() {
            ReplicaSpec::Computed(param) => ReplicaSpec::valid_partition(&param.partitions)
                .and_then(|()| ReplicaSpec::valid_replication_factor(&param.replication_factor))
                .err()
                .map(|error| error.to_string()),
            ReplicaSpec::Assigned(maps) => match maps.validate() {
                Err(error) => Some(error.to_string()),
                Ok(()) if maps.unique_spus_in_partition_map() != [SPU_ID] => Some("invalid spu id".to_owned()),
                Ok(()) => None,
            },
            ReplicaSpec::Mirror(_) => Some("mirror topics are not available here".to_owned()),
        };
        let too_many = (spec.partitions() > MAX_PARTITIONS).then(|| format!("more than {MAX_PARTITIONS} partitions"));
        reason.or(too_many).map_or(Ok(()), |reason| Err(failure(name, ErrorCode::TopicError, reason)))
    }

    fn make_partitions<'a>(
        &self,
        name: &str,
        spec: &TopicSpec,
        ids: impl Iterator<Item = &'a PartitionId>,
    ) -> io::Result<()> {
        let config = self.replica_config(spec);
        for id in ids {
            self.spu.create(ReplicaKey::new(name, *id), &config)?;
        }
        Ok(())
    }

    /// Stores a new topic, and tells it in the steps of the real SC.
    fn announce(&self, name: &str, spec: &TopicSpec, last: TopicStatus) -> io::Result<()> {
        let mut objects = self.objects();
        self.save(&objects, Some((name, Some(spec))))?;
        let steps = [TopicStatus::default(), status(TopicResolution::Pending, ReplicaMap::new(), PENDING_REASON), last];
        for step in steps {
            objects.topics.put(name, spec.clone(), step);
        }
        Ok(())
    }

    /// Deletes a topic and its partitions.
    pub(crate) async fn delete_topic(&self, name: String, force: bool) -> Status {
        let _changing = self.changing.lock().await;
        let Some(topic) = self.objects().topics.get(&name).cloned() else {
            return failure(&name, ErrorCode::TopicNotFound, "not found");
        };
        if topic.spec.is_system() && !force {
            let code = ErrorCode::SystemSpecDeletionAttempt { kind: "topic".to_owned(), name: name.clone() };
            return Status::new(name, code, None);
        }
        {
            let mut objects = self.objects();
            if let Err(error) = self.save(&objects, Some((&name, None))) {
                return self.broken(name, &error);
            }
            for id in topic.status.replica_map.keys() {
                objects.partitions.remove(&ReplicaKey::new(&name, *id).to_string());
            }
            objects.topics.remove(&name);
        }
        self.spu.delete_topic(&name);
        Status::new_ok(name)
    }

    /// Adds partitions to a topic.
    pub(crate) async fn update_topic(&self, name: String, action: UpdateTopicAction) -> Status {
        let _changing = self.changing.lock().await;
        let Some(topic) = self.objects().topics.get(&name).cloned() else {
            return failure(&name, ErrorCode::TopicNotFound, "not found");
        };
        if topic.spec.is_system() {
            let code = ErrorCode::SystemSpecUpdatingAttempt { kind: "topic".to_owned(), name: name.clone() };
            return Status::new(name, code, None);
        }
        let (ReplicaSpec::Computed(param), UpdateTopicAction::AddPartition(add)) = (topic.spec.replicas(), action)
        else {
            return Status::new(name, ErrorCode::TopicInvalidReplicaType, None);
        };
        let mut spec = topic.spec.clone();
        let partitions = param.partitions.saturating_add(add.count);
        if partitions > MAX_PARTITIONS {
            return failure(&name, ErrorCode::TopicError, format!("more than {MAX_PARTITIONS} partitions"));
        }
        spec.set_replicas(ReplicaSpec::Computed(TopicReplicaParam { partitions, ..param.clone() }));
        let old = topic.status.replica_map.clone();
        let map = replica_map(&spec).filter(|_| topic.status.is_resolution_provisioned());
        let fresh: ReplicaMap =
            map.iter().flatten().filter(|(id, _)| !old.contains_key(id)).map(|(id, row)| (*id, row.clone())).collect();
        let made = self
            .make_partitions(&name, &spec, fresh.keys())
            .and_then(|()| self.save(&self.objects(), Some((&name, Some(&spec)))));
        if let Err(error) = made {
            return self.broken(name, &error);
        }
        let mut objects = self.objects();
        objects.topics.put(&name, spec.clone(), topic.status);
        if let Some(map) = map.filter(|_| !fresh.is_empty()) {
            objects.topics.put(&name, spec.clone(), status(TopicResolution::Pending, old, ""));
            objects.topics.put(&name, spec.clone(), status(TopicResolution::Provisioned, map, ""));
            bring_online(&mut objects, &name, &spec, &fresh);
        }
        drop(objects);
        Status::new_ok(name)
    }
}

/// Tells new partitions: first offline, then served.
fn bring_online(objects: &mut Objects, name: &str, spec: &TopicSpec, map: &ReplicaMap) {
    for (id, replicas) in map {
        let key = ReplicaKey::new(name, *id).to_string();
        objects.partitions.put(&key, partition_spec(spec, replicas), PartitionStatus::default());
    }
    for (id, replicas) in map {
        let key = ReplicaKey::new(name, *id).to_string();
        objects.partitions.put(&key, partition_spec(spec, replicas), online((0, 0, 0)));
    }
}
