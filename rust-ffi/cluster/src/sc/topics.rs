//! Creating, extending and deleting topics, and the partitions that follow from them.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

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
use fluvio_types::defaults::{CONSUMER_STORAGE_TOPIC, SPU_PARTITION_MAX_BYTES, STORAGE_RETENTION_SECONDS};
use fluvio_types::{PartitionId, ReplicaMap, SpuId};
use tokio::time::Instant;

use super::{Objects, Sc};
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

/// An offset that nobody has told.
const UNKNOWN: i64 = -1;

/// Every partition is a directory and an open file; the real SC has no limit, and no answer to a million either.
const MAX_PARTITIONS: u32 = 10_000;

fn failure(name: &str, code: ErrorCode, message: impl Into<String>) -> Status {
    Status::new(name.to_owned(), code, Some(message.into()))
}

/// The status of a topic whose partitions are where `map` says.
pub(crate) fn status(resolution: TopicResolution, map: ReplicaMap, reason: &str) -> TopicStatus {
    TopicStatus { resolution, replica_map: map, mirror_map: BTreeMap::new(), reason: reason.to_owned() }
}

/// The status of a partition that is served. Its followers, with whether they are up, have what the leader has.
pub(crate) fn online(
    leader: SpuId,
    followers: impl Iterator<Item = (SpuId, bool)>,
    (start, end, size): (i64, i64, u64),
) -> PartitionStatus {
    let has = |end| move |id| ReplicaStatus::new(id, end, end);
    let followers = followers.map(|(id, up)| has(if up { end } else { UNKNOWN })(id)).collect();
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    PartitionStatus::new2(has(end)(leader), followers, size, PartitionResolution::Online, start)
}

pub(crate) fn partition_spec(spec: &TopicSpec, replicas: &[i32]) -> PartitionSpec {
    PartitionSpec::from_replicas(replicas.to_vec(), spec, None)
}

impl Sc {
    /// Which SPUs hold which partition, the leader first; None when too few are up. Partitions that have a place keep it; the
    /// others are dealt out in turn.
    pub(crate) fn replica_map(&self, spec: &TopicSpec, placed: &ReplicaMap) -> Option<ReplicaMap> {
        let mut map = placed.clone();
        match spec.replicas() {
            ReplicaSpec::Assigned(maps) => {
                for row in maps.maps() {
                    map.entry(row.id).or_insert_with(|| row.replicas.clone());
                }
            }
            ReplicaSpec::Computed(param) => {
                let fresh: Vec<PartitionId> = (0..param.partitions).filter(|id| !map.contains_key(id)).collect();
                let up: Vec<SpuId> =
                    self.nodes().iter().filter(|node| node.spu().is_some()).map(|node| node.id()).collect();
                let copies = param.replication_factor as usize;
                if !fresh.is_empty() && copies > up.len() {
                    return None;
                }
                for id in fresh {
                    let turn = up.iter().cycle().skip(id as usize % up.len()).take(copies);
                    map.insert(id, turn.copied().collect());
                }
            }
            ReplicaSpec::Mirror(_) => return None,
        }
        Some(map)
    }

    pub(crate) fn replica_config(&self, spec: &TopicSpec) -> ReplicaConfig {
        let storage = spec.get_storage();
        let seconds = spec.get_clean_policy().map_or(STORAGE_RETENTION_SECONDS, CleanupPolicy::retention_secs);
        ReplicaConfig {
            segment_bytes: storage.and_then(|storage| storage.segment_size).unwrap_or(self.segment_bytes),
            retention: Duration::from_secs(u64::from(seconds)),
            max_bytes: storage.and_then(|storage| storage.max_partition_size).unwrap_or(SPU_PARTITION_MAX_BYTES),
            compression: spec.get_compression_type().clone(),
        }
    }

    /// Creates a topic. Only the wait for SPUs that are not there happens outside the lock that orders all changes.
    pub(crate) async fn create_topic(&self, common: CommonCreateRequest, spec: TopicSpec) -> Status {
        let CommonCreateRequest { name, dry_run, .. } = common;
        let changing = self.changing.lock().await;
        if let Err(refusal) = self.check(&name, &spec) {
            return refusal;
        }
        if dry_run {
            return Status::new_ok(name);
        }
        let Some(map) = self.replica_map(&spec, &ReplicaMap::new()) else {
            if let Err(error) =
                self.announce(&name, &spec, status(TopicResolution::InsufficientResources, ReplicaMap::new(), ""))
            {
                return self.broken(name, &error);
            }
            drop(changing);
            return self.provisioned(name, &spec).await;
        };
        let provisioned = self
            .make_partitions(&name, &spec, &map)
            .and_then(|()| self.announce(&name, &spec, status(TopicResolution::Provisioned, map.clone(), "")));
        if let Err(error) = provisioned {
            self.delete_partitions(&name, &map);
            return self.broken(name, &error);
        }
        self.bring_online(&mut self.objects(), &name, &spec, &map);
        drop(changing);
        self.provisioned(name, &spec).await
    }

    /// Waits until all partitions of a topic are online.
    async fn provisioned(&self, name: String, spec: &TopicSpec) -> Status {
        let deadline = Instant::now() + self.topic_wait;
        let wanted = spec.partitions();
        loop {
            let change = self.provisioned.notified();
            let online = {
                let objects = self.objects();
                let is_online = |id: &u32| {
                    let key = ReplicaKey::new(name.as_str(), *id).to_string();
                    objects.partitions.get(&key).is_some_and(|partition| partition.status.is_online())
                };
                (0..wanted).filter(is_online).count()
            };
            if online == wanted as usize {
                return Status::new_ok(name);
            }
            if tokio::time::timeout_at(deadline, change).await.is_err() {
                let message = format!("only {online} out of {wanted} provisioned");
                return failure(&name, ErrorCode::TopicNotProvisioned, message);
            }
        }
    }

    /// Makes the partitions of topics that had too few SPUs, as far as there are enough now.
    pub(crate) fn provision_waiting(&self) {
        let waiting: Vec<(String, TopicSpec)> = self
            .objects()
            .topics
            .all()
            .filter(|topic| topic.status.resolution == TopicResolution::InsufficientResources)
            .map(|topic| (topic.name.clone(), topic.spec.clone()))
            .collect();
        for (name, spec) in waiting {
            let Some(map) = self.replica_map(&spec, &ReplicaMap::new()) else { continue };
            let made = self
                .make_partitions(&name, &spec, &map)
                .and_then(|()| self.save(&self.objects(), Some((&name, Some((&spec, &map))))));
            if let Err(error) = made {
                self.broken(name, &error);
                continue;
            }
            let mut objects = self.objects();
            objects.topics.put(&name, spec.clone(), status(TopicResolution::Provisioned, map.clone(), ""));
            self.bring_online(&mut objects, &name, &spec, &map);
        }
        self.provisioned.notify_waiters();
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
                Ok(()) if maps.unique_spus_in_partition_map().iter().any(|id| self.node(*id).is_none()) => {
                    Some("invalid spu id".to_owned())
                }
                Ok(()) => None,
            },
            ReplicaSpec::Mirror(_) => Some("mirror topics are not available here".to_owned()),
        };
        let too_many = (spec.partitions() > MAX_PARTITIONS).then(|| format!("more than {MAX_PARTITIONS} partitions"));
        reason.or(too_many).map_or(Ok(()), |reason| Err(failure(name, ErrorCode::TopicError, reason)))
    }

    fn make_partitions(&self, name: &str, spec: &TopicSpec, map: &ReplicaMap) -> io::Result<()> {
        let config = self.replica_config(spec);
        for (id, replicas) in map {
            if let Some(node) = self.leader(replicas) {
                node.create(ReplicaKey::new(name, *id), &config)?;
            }
        }
        Ok(())
    }

    fn delete_partitions(&self, name: &str, map: &ReplicaMap) {
        for (id, replicas) in map {
            if let Some(node) = self.leader(replicas) {
                node.delete(&ReplicaKey::new(name, *id));
            }
        }
    }

    /// Stores a new topic, and tells it in the steps of the real SC.
    fn announce(&self, name: &str, spec: &TopicSpec, last: TopicStatus) -> io::Result<()> {
        let mut objects = self.objects();
        self.save(&objects, Some((name, Some((spec, &last.replica_map)))))?;
        self.consumers.add_topic(name);
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
        self.delete_partitions(&name, &topic.status.replica_map);
        self.consumers.delete_topic(&name);
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
        let map = self.replica_map(&spec, &old).filter(|_| topic.status.is_resolution_provisioned());
        let fresh: ReplicaMap =
            map.iter().flatten().filter(|(id, _)| !old.contains_key(id)).map(|(id, row)| (*id, row.clone())).collect();
        let made = self
            .make_partitions(&name, &spec, &fresh)
            .and_then(|()| self.save(&self.objects(), Some((&name, Some((&spec, map.as_ref().unwrap_or(&old)))))));
        if let Err(error) = made {
            return self.broken(name, &error);
        }
        let mut objects = self.objects();
        objects.topics.put(&name, spec.clone(), topic.status);
        if let Some(map) = map.filter(|_| !fresh.is_empty()) {
            objects.topics.put(&name, spec.clone(), status(TopicResolution::Pending, old, ""));
            objects.topics.put(&name, spec.clone(), status(TopicResolution::Provisioned, map, ""));
            self.bring_online(&mut objects, &name, &spec, &fresh);
        }
        drop(objects);
        Status::new_ok(name)
    }

    /// Tells new partitions: first offline, then served if their leader is up.
    fn bring_online(&self, objects: &mut Objects, name: &str, spec: &TopicSpec, map: &ReplicaMap) {
        for (id, replicas) in map {
            let key = ReplicaKey::new(name, *id).to_string();
            objects.partitions.put(&key, partition_spec(spec, replicas), PartitionStatus::default());
        }
        for (id, replicas) in map {
            let key = ReplicaKey::new(name, *id);
            let spec = partition_spec(spec, replicas);
            let status = self.partition_status(&key, &spec, &PartitionStatus::default());
            objects.partitions.set_status(&key.to_string(), status);
        }
    }
}
