//! Creating, extending and deleting topics.

use std::io;

use fluvio_controlplane_metadata::mirror::MirrorType;
use fluvio_controlplane_metadata::partition::{HomePartitionConfig, ReplicaKey};
use fluvio_controlplane_metadata::smartmodule::SmartModulePackageKey;
use fluvio_controlplane_metadata::topic::{
    AddMirror, AddPartition, CleanupPolicy, Deduplication, HomeMirrorConfig, MirrorConfig, PENDING_REASON, ReplicaSpec,
    SegmentBasedPolicy, TopicReplicaParam, TopicResolution, TopicSpec, TopicStatus, TopicStorageConfig,
    UpdateTopicAction,
};
use fluvio_sc_schema::Status;
use fluvio_sc_schema::errors::ErrorCode;
use fluvio_sc_schema::objects::{CommonCreateRequest, Metadata};
use fluvio_sc_schema::shared::validate_resource_name;
use fluvio_types::ReplicaMap;
use fluvio_types::defaults::{CONSUMER_STORAGE_TOPIC, STORAGE_RETENTION_SECONDS};

use super::provisioning::{provisioned, unplaced};
use super::{Sc, failure};

/// The topic in which the real cluster keeps consumer offsets. It is there before the SC listens: a client that watches
/// only empty lists waits for the first object before it answers anything.
pub(super) fn consumer_offsets() -> TopicSpec {
    let mut spec = TopicSpec::new_computed(1, 1, None);
    spec.set_cleanup_policy(CleanupPolicy::Segment(SegmentBasedPolicy { time_in_seconds: STORAGE_RETENTION_SECONDS }));
    spec.set_storage(TopicStorageConfig { segment_size: Some(512_000_000), max_partition_size: Some(2_048_000_000) });
    spec.set_system(true);
    spec
}

/// The name of [`consumer_offsets`].
pub(super) const SYSTEM_TOPIC: &str = CONSUMER_STORAGE_TOPIC;

/// Every partition is a directory and an open file; the real SC has no limit, and no answer to a million either.
const MAX_PARTITIONS: u32 = 10_000;

const WRONG_REPLICAS: &str = "invalid replica type";

impl Sc {
    /// Creates a topic. Only the wait for SPUs that are not there happens outside the lock that orders all changes.
    pub(super) async fn create_topic(&self, common: CommonCreateRequest, spec: TopicSpec) -> Status {
        let CommonCreateRequest { name, dry_run, .. } = common;
        let changing = self.changing.lock().await;
        if let Err(refusal) = self.check(&name, &spec) {
            return refusal;
        }
        if dry_run {
            return Status::new_ok(name);
        }
        let created = match self.replica_map(&spec, &ReplicaMap::new()) {
            None => self.announce(&name, &spec, unplaced(TopicResolution::InsufficientResources, "")),
            Some(map) => self
                .make_partitions(&name, &spec, &map)
                .and_then(|()| self.announce(&name, &spec, provisioned(&spec, map.clone())))
                .map(|()| self.bring_online(&mut self.objects(), &name, &spec, &map))
                .inspect_err(|_| self.delete_partitions(&name, &map)),
        };
        drop(changing);
        if let Err(error) = created {
            return broken(&name, &error);
        }
        match spec.replicas() {
            ReplicaSpec::Mirror(_) => Status::new_ok(name),
            _ => self.wait_for_partitions(name, &spec).await,
        }
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
            self.check_filter(deduplication)?;
        }
        let reason = match spec.replicas() {
            ReplicaSpec::Computed(param) => ReplicaSpec::valid_partition(&param.partitions)
                .and_then(|()| ReplicaSpec::valid_replication_factor(&param.replication_factor))
                .err()
                .map(|error| error.to_string()),
            ReplicaSpec::Assigned(maps) => match maps.validate() {
                Err(error) => Some(error.to_string()),
                Ok(()) => maps
                    .maps()
                    .iter()
                    .flat_map(|partition| &partition.replicas)
                    .find(|id| !self.is_registered(**id))
                    .map(|id| format!("invalid spu id: {id}")),
            },
            ReplicaSpec::Mirror(config) => config.validate().err().map(|error| error.to_string()),
        };
        let too_many = (spec.partitions() > MAX_PARTITIONS).then(|| format!("more than {MAX_PARTITIONS} partitions"));
        reason.or(too_many).map_or(Ok(()), |reason| Err(failure(name, ErrorCode::TopicError, reason)))
    }

    /// Whether the SmartModule that removes duplicates is there.
    fn check_filter(&self, deduplication: &Deduplication) -> Result<(), Status> {
        let module = deduplication.filter.transform.uses.as_str();
        let kept_as = SmartModulePackageKey::from_qualified_name(module).map_err(|error| {
            let reason = error.to_string();
            failure(module, ErrorCode::DeduplicationSmartModuleNameInvalid(reason.clone()), reason)
        })?;
        if self.objects().smartmodules.get(&kept_as.store_id()).is_some() {
            return Ok(());
        }
        let code = ErrorCode::DeduplicationSmartModuleNotLoaded;
        let message = format!("{code}\nHint: try `fluvio hub sm download {module}` and repeat this operation");
        Err(failure(module, code, message))
    }

    /// Stores a new topic, and tells it in the steps of the real SC.
    fn announce(&self, name: &str, spec: &TopicSpec, last: TopicStatus) -> io::Result<()> {
        self.save_topic(name, spec, &last.replica_map)?;
        self.consumers.add_topic(name);
        let mut objects = self.objects();
        for step in [TopicStatus::default(), unplaced(TopicResolution::Pending, PENDING_REASON), last] {
            objects.topics.put(name, spec.clone(), step);
        }
        Ok(())
    }

    /// Deletes a topic and its partitions.
    pub(super) async fn delete_topic(&self, name: String, force: bool) -> Status {
        let _changing = self.changing.lock().await;
        let Some(topic) = self.objects().topics.get(&name).cloned() else { return missing(&name) };
        if let ReplicaSpec::Mirror(MirrorConfig::Remote(_)) = topic.spec.replicas() {
            let message = "cannot delete mirrored topic from remote";
            return failure(&name, ErrorCode::MirrorDeleteFromRemote, message);
        }
        if topic.spec.is_system() && !force {
            let code = ErrorCode::SystemSpecDeletionAttempt { kind: "topic".to_owned(), name: name.clone() };
            return Status::new(name, code, None);
        }
        if let Err(error) = self.files::<TopicSpec>().remove(&name) {
            return broken(&name, &error);
        }
        {
            let mut objects = self.objects();
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
    pub(super) async fn update_topic(&self, name: String, action: UpdateTopicAction) -> Status {
        let _changing = self.changing.lock().await;
        let Some(topic) = self.objects().topics.get(&name).cloned() else { return missing(&name) };
        let replicas = match action {
            UpdateTopicAction::AddPartition(add) => with_partitions(&topic, &add),
            UpdateTopicAction::AddMirror(add) => {
                let mirror = self.mirror_type(&add.remote_cluster);
                with_mirror(&topic, add, mirror.as_ref())
            }
        };
        let mut spec = topic.spec.clone();
        match replicas {
            Ok(replicas) => spec.set_replicas(replicas),
            Err(refusal) => return refusal,
        }
        match self.extend(topic, spec) {
            Ok(()) => Status::new_ok(name),
            Err(error) => broken(&name, &error),
        }
    }

    fn extend(&self, topic: Metadata<TopicSpec>, spec: TopicSpec) -> io::Result<()> {
        let Metadata { name, status: old, .. } = topic;
        let placed = &old.replica_map;
        let map = self.replica_map(&spec, placed).filter(|_| old.is_resolution_provisioned());
        let is_fresh = |(id, _): &(&u32, &_)| !placed.contains_key(id);
        let fresh: ReplicaMap = map.iter().flatten().filter(is_fresh).map(|(id, row)| (*id, row.clone())).collect();
        self.make_partitions(&name, &spec, &fresh)
            .and_then(|()| self.save_topic(&name, &spec, map.as_ref().unwrap_or(placed)))
            .inspect_err(|_| self.delete_partitions(&name, &fresh))?;
        let mut objects = self.objects();
        objects.topics.put(&name, spec.clone(), old.clone());
        if let Some(map) = map.filter(|_| !fresh.is_empty()) {
            objects.topics.put(&name, spec.clone(), TopicStatus { resolution: TopicResolution::Pending, ..old });
            objects.topics.put(&name, spec.clone(), provisioned(&spec, map));
            self.bring_online(&mut objects, &name, &spec, &fresh);
            return Ok(());
        }
        drop(objects);
        // A home without a mirror waits for its first one.
        self.provision_waiting();
        Ok(())
    }
}

fn missing(name: &str) -> Status {
    failure(name, ErrorCode::TopicNotFound, "not found")
}

fn broken(name: &str, error: &io::Error) -> Status {
    complain!("topic {name}: {error}");
    failure(name, ErrorCode::StorageError, format!("nothing was done: {error}"))
}

fn system(name: &str) -> Status {
    let code = ErrorCode::SystemSpecUpdatingAttempt { kind: "topic".to_owned(), name: name.to_owned() };
    Status::new(name.to_owned(), code, None)
}

fn with_partitions(topic: &Metadata<TopicSpec>, add: &AddPartition) -> Result<ReplicaSpec, Status> {
    let name = &topic.name;
    if topic.spec.is_system() {
        return Err(system(name));
    }
    let ReplicaSpec::Computed(param) = topic.spec.replicas() else {
        return Err(failure(name, ErrorCode::TopicInvalidReplicaType, WRONG_REPLICAS));
    };
    let partitions = param.partitions.saturating_add(add.count);
    if partitions > MAX_PARTITIONS {
        return Err(failure(name, ErrorCode::TopicError, format!("more than {MAX_PARTITIONS} partitions")));
    }
    Ok(ReplicaSpec::Computed(TopicReplicaParam { partitions, ..param.clone() }))
}

/// `mirror`: what the remote cluster is registered as.
fn with_mirror(
    topic: &Metadata<TopicSpec>,
    add: AddMirror,
    mirror: Option<&MirrorType>,
) -> Result<ReplicaSpec, Status> {
    let (name, remote_cluster) = (&topic.name, add.remote_cluster);
    match mirror {
        None => return Err(failure(name, ErrorCode::MirrorNotFound, "not found")),
        Some(MirrorType::Home(_)) => {
            return Err(failure(name, ErrorCode::MirrorInvalidType, "remote cluster is not a remote mirror"));
        }
        Some(MirrorType::Remote(_)) => {}
    }
    let ReplicaSpec::Mirror(config) = topic.spec.replicas() else {
        return Err(failure(name, ErrorCode::TopicError, WRONG_REPLICAS));
    };
    let is_assigned = |home: &HomeMirrorConfig| {
        home.partitions().iter().position(|partition| partition.remote_cluster == remote_cluster)
    };
    let home = if let MirrorConfig::Home(home) = config { Some(home) } else { None };
    if let Some(at) = home.and_then(is_assigned) {
        let message = format!("remote \"{remote_cluster}\" is already assigned to partition: \"{at}\"");
        return Err(failure(name, ErrorCode::MirrorAlreadyExists, message));
    }
    if topic.spec.is_system() {
        return Err(system(name));
    }
    let Some(home) = home else {
        return Err(failure(name, ErrorCode::TopicInvalidReplicaType, WRONG_REPLICAS));
    };
    let mut home = home.clone();
    let (remote_replica, source) = (ReplicaKey::new(name, 0_u32).to_string(), home.source);
    home.add_partition(HomePartitionConfig { remote_cluster, remote_replica, source });
    Ok(ReplicaSpec::Mirror(MirrorConfig::Home(home)))
}
