//! Where the partitions of topics are, and how they come to be there.

use std::io;
use std::time::Duration;

use fluvio_controlplane_metadata::partition::{
    PartitionMirrorConfig, PartitionResolution, PartitionSpec, PartitionStatus, RemotePartitionConfig, ReplicaKey,
    ReplicaStatus,
};
use fluvio_controlplane_metadata::topic::{
    CleanupPolicy, MirrorConfig, ReplicaSpec, TopicResolution, TopicSpec, TopicStatus,
};
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::Status;
use fluvio_sc_schema::errors::ErrorCode;
use fluvio_types::defaults::{SPU_PARTITION_MAX_BYTES, STORAGE_RETENTION_SECONDS};
use fluvio_types::{PartitionId, ReplicaMap, SpuId};
use tokio::time::Instant;

use super::topics::{SYSTEM_TOPIC, consumer_offsets};
use super::{Objects, Sc, failure};
use crate::config::{FIRST_SPU, StartError};
use crate::files;
use crate::spu::{Extent, ReplicaConfig};

/// An offset that nobody has told.
const UNKNOWN: i64 = -1;

/// A topic on disk: what was asked for, and the SPUs of each partition, the leader first.
#[derive(Debug, Default, Encoder, Decoder)]
struct PlacedTopic {
    spec: TopicSpec,
    placement: ReplicaMap,
}

fn mirror_of(spec: &TopicSpec, partition: PartitionId) -> Option<PartitionMirrorConfig> {
    let ReplicaSpec::Mirror(config) = spec.replicas() else { return None };
    let at = partition as usize;
    match config {
        MirrorConfig::Home(home) => home.partitions().get(at).cloned().map(PartitionMirrorConfig::Home),
        MirrorConfig::Remote(remote) => remote.spus().get(at).map(|spu| {
            PartitionMirrorConfig::Remote(RemotePartitionConfig {
                home_cluster: remote.home_cluster.clone(),
                home_spu_id: spu.id,
                home_spu_key: spu.key.clone(),
                home_spu_endpoint: spu.endpoint.clone(),
                target: remote.target,
            })
        }),
    }
}

/// The status of a topic whose partitions are where `map` says.
pub(super) fn provisioned(spec: &TopicSpec, map: ReplicaMap) -> TopicStatus {
    let mirror_map = map.keys().filter_map(|id| Some((*id, mirror_of(spec, *id)?))).collect();
    let resolution = TopicResolution::Provisioned;
    TopicStatus { resolution, replica_map: map, mirror_map, reason: String::new() }
}

/// The status of a topic that has no partitions yet.
pub(super) fn unplaced(resolution: TopicResolution, reason: &str) -> TopicStatus {
    let replica_map = ReplicaMap::new();
    TopicStatus { resolution, replica_map, reason: reason.to_owned(), ..TopicStatus::default() }
}

/// The status of a partition that is served; `followers`: with whether they follow, which is at once.
pub(super) fn online(
    leader: SpuId,
    followers: impl Iterator<Item = (SpuId, bool)>,
    Extent { start, committed, end, size }: Extent,
) -> PartitionStatus {
    let follower = |(id, up)| {
        let (committed, end) = if up { (committed, end) } else { (UNKNOWN, UNKNOWN) };
        ReplicaStatus::new(id, committed, end)
    };
    let leader = ReplicaStatus::new(leader, committed, end);
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    PartitionStatus::new2(leader, followers.map(follower).collect(), size, PartitionResolution::Online, start)
}

pub(super) fn partition_spec(spec: &TopicSpec, partition: PartitionId, replicas: &[SpuId]) -> PartitionSpec {
    PartitionSpec::from_replicas(replicas.to_vec(), spec, mirror_of(spec, partition).as_ref())
}

/// Which SPUs hold which partition, the leader first; None when too few are `up`. Partitions that have a place keep it;
/// the others are dealt out in turn.
fn place(spec: &TopicSpec, placed: &ReplicaMap, up: &[SpuId]) -> Option<ReplicaMap> {
    let mut map = placed.clone();
    let copies = match spec.replicas() {
        ReplicaSpec::Assigned(maps) => {
            for row in maps.maps() {
                map.entry(row.id).or_insert_with(|| row.replicas.clone());
            }
            return Some(map);
        }
        ReplicaSpec::Computed(param) => param.replication_factor as usize,
        ReplicaSpec::Mirror(_) => 1,
    };
    let fresh: Vec<PartitionId> = (0..spec.partitions()).filter(|id| !map.contains_key(id)).collect();
    if !fresh.is_empty() && copies > up.len() {
        return None;
    }
    for id in fresh {
        let turn = up.iter().cycle().skip(id as usize % up.len()).take(copies);
        map.insert(id, turn.copied().collect());
    }
    (!map.is_empty()).then_some(map)
}

impl Sc {
    /// [`place`] on the SPUs that are there now.
    pub(super) fn replica_map(&self, spec: &TopicSpec, placed: &ReplicaMap) -> Option<ReplicaMap> {
        place(spec, placed, &self.schedulable())
    }

    pub(super) fn replica_config(&self, spec: &TopicSpec, partition: PartitionId) -> ReplicaConfig {
        let storage = spec.get_storage();
        let seconds = spec.get_clean_policy().map_or(STORAGE_RETENTION_SECONDS, CleanupPolicy::retention_secs);
        ReplicaConfig {
            segment_bytes: storage.and_then(|storage| storage.segment_size).unwrap_or(self.segment_bytes),
            retention: Duration::from_secs(u64::from(seconds)),
            max_bytes: storage.and_then(|storage| storage.max_partition_size).unwrap_or(SPU_PARTITION_MAX_BYTES),
            compression: spec.get_compression_type().clone(),
            refusal: mirror_of(spec, partition).and_then(|mirror| mirror.accept_traffic()),
            deduplication: spec.get_deduplication().cloned(),
        }
    }

    pub(super) fn save_topic(&self, name: &str, spec: &TopicSpec, placement: &ReplicaMap) -> io::Result<()> {
        let topic = PlacedTopic { spec: spec.clone(), placement: placement.clone() };
        self.files::<TopicSpec>().write(name, &topic)
    }

    /// Takes over the topics of an earlier run, and opens their partitions.
    pub(super) fn restore_topics(&self) -> Result<(), StartError> {
        let mut stored = self.files::<TopicSpec>().read::<PlacedTopic>()?;
        if stored.iter().all(|(name, _)| name != SYSTEM_TOPIC) {
            stored.push((SYSTEM_TOPIC.to_owned(), PlacedTopic { spec: consumer_offsets(), ..Default::default() }));
        }
        for (name, PlacedTopic { spec, placement }) in stored {
            let unknown = |id: &&SpuId| self.node(**id).is_none() && !self.is_registered(**id);
            if let Some(id) = placement.values().flatten().find(unknown) {
                let needed = i64::from(*id) - i64::from(FIRST_SPU) + 1;
                let reason = format!("topic {name} is kept on SPU {id}: at least {needed} SPUs are needed");
                return Err(StartError::Metadata { path: self.shelves.clone(), reason });
            }
            self.restore_topic(&name, spec, &placement).map_err(|source| self.unusable(source))?;
        }
        Ok(())
    }

    fn restore_topic(&self, name: &str, spec: TopicSpec, stored: &ReplicaMap) -> io::Result<()> {
        self.consumers.add_topic(name);
        // None of them is registered yet, and all of them will be.
        let up: Vec<SpuId> = self.nodes().iter().map(|node| node.id()).collect();
        let Some(map) = place(&spec, stored, &up) else {
            self.objects().topics.put(name, spec, unplaced(TopicResolution::InsufficientResources, ""));
            return Ok(());
        };
        if map != *stored {
            self.save_topic(name, &spec, &map)?;
        }
        for (id, replicas) in &map {
            let key = ReplicaKey::new(name, *id);
            if let Some(node) = self.leader(replicas) {
                node.open(key.clone(), &self.replica_config(&spec, *id))?;
            }
            let partition = partition_spec(&spec, *id, replicas);
            let status = self.partition_status(&key, &partition, &PartitionStatus::default());
            self.objects().partitions.put(&key.to_string(), partition, status);
        }
        let status = provisioned(&spec, map);
        self.objects().topics.put(name, spec, status);
        Ok(())
    }

    /// Waits until all partitions of a topic are online.
    pub(super) async fn wait_for_partitions(&self, name: String, spec: &TopicSpec) -> Status {
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
    pub(super) fn provision_waiting(&self) {
        let waiting = self.list::<TopicSpec>(|it| it.status.resolution == TopicResolution::InsufficientResources);
        for topic in waiting {
            let (name, spec) = (topic.name, topic.spec);
            let Some(map) = self.replica_map(&spec, &ReplicaMap::new()) else { continue };
            let made = self.make_partitions(&name, &spec, &map).and_then(|()| self.save_topic(&name, &spec, &map));
            if let Err(error) = made {
                complain!("topic {name}: {error}");
                self.delete_partitions(&name, &map);
                continue;
            }
            let mut objects = self.objects();
            objects.topics.put(&name, spec.clone(), provisioned(&spec, map.clone()));
            self.bring_online(&mut objects, &name, &spec, &map);
        }
        self.provisioned.notify_waiters();
    }

    /// Makes partitions. After a failure some may be there.
    pub(super) fn make_partitions(&self, name: &str, spec: &TopicSpec, map: &ReplicaMap) -> io::Result<()> {
        for (id, replicas) in map {
            if let Some(node) = self.leader(replicas) {
                node.create(ReplicaKey::new(name, *id), &self.replica_config(spec, *id))?;
            }
        }
        if map.is_empty() { Ok(()) } else { files::check_spare() }
    }

    pub(super) fn delete_partitions(&self, name: &str, map: &ReplicaMap) {
        for (id, replicas) in map {
            if let Some(node) = self.leader(replicas) {
                node.delete(&ReplicaKey::new(name, *id));
            }
        }
    }

    /// Tells new partitions: first offline, then served if their leader is up.
    pub(super) fn bring_online(&self, objects: &mut Objects, name: &str, spec: &TopicSpec, map: &ReplicaMap) {
        for (id, replicas) in map {
            let key = ReplicaKey::new(name, *id).to_string();
            objects.partitions.put(&key, partition_spec(spec, *id, replicas), PartitionStatus::default());
        }
        for (id, replicas) in map {
            let key = ReplicaKey::new(name, *id);
            let spec = partition_spec(spec, *id, replicas);
            self.follow_one(&key, &spec);
            let status = self.partition_status(&key, &spec, &PartitionStatus::default());
            objects.partitions.set_status(&key.to_string(), status);
        }
    }
}
