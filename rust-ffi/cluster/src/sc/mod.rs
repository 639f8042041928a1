//! The SC: knows the topics, the partitions and the SPUs, and tells them to those who ask or watch.

mod connection;
mod control;
mod document;
mod outbox;
mod store;
mod topics;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fluvio_controlplane_metadata::partition::{PartitionResolution, PartitionSpec, PartitionStatus, ReplicaKey};
use fluvio_controlplane_metadata::spu::{Endpoint, IngressPort, SpuSpec, SpuStatus};
use fluvio_controlplane_metadata::topic::{TopicResolution, TopicSpec};
use fluvio_sc_schema::objects::Metadata;
use fluvio_types::{ReplicaMap, SpuId};
use tokio::sync::Notify;

use crate::config::{Config, FIRST_SPU, StartError};
use crate::door::Line;
use crate::faults::Faults;
use crate::spu::{Consumers, Node};
use store::Store;

/// All that can be listed and watched.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    topics: Store<TopicSpec>,
    partitions: Store<PartitionSpec>,
    spus: Store<SpuSpec>,
}

/// The state of the SC.
#[derive(Debug)]
pub(crate) struct Sc {
    document: PathBuf,
    objects: Mutex<Objects>,
    /// Held over a change from its check to its last event, so that changes of several connections do not mix.
    changing: tokio::sync::Mutex<()>,
    /// Topics that waited for SPUs have got them.
    provisioned: Notify,
    /// In the order of their numbers, which follow each other.
    nodes: Vec<Arc<Node>>,
    consumers: Arc<Consumers>,
    faults: Arc<Faults>,
    topic_wait: Duration,
    segment_bytes: u32,
    write_like_real: bool,
}

/// The name under which an SPU is registered.
fn spu_name(id: SpuId) -> String {
    format!("custom-spu-{id}")
}

impl Sc {
    /// Reads the metadata and starts the SPUs with the logs of all partitions. They do not accept connections yet.
    pub(crate) fn load(
        document: PathBuf,
        nodes: Vec<Arc<Node>>,
        consumers: Arc<Consumers>,
        faults: Arc<Faults>,
        config: &Config,
    ) -> Result<Self, StartError> {
        let sc = Self {
            document,
            objects: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            provisioned: Notify::new(),
            nodes,
            consumers,
            faults,
            topic_wait: config.topic_wait,
            segment_bytes: config.segment_bytes,
            write_like_real: config.write_like_real,
        };
        let path = || sc.document.clone();
        let invalid = |reason| StartError::Metadata { path: path(), reason };
        let failed = |source| StartError::DataDir { path: path(), source };
        let stored = document::load(&sc.document).map_err(invalid)?;
        let mut found: BTreeMap<String, (TopicSpec, ReplicaMap)> = BTreeMap::new();
        found.insert(topics::SYSTEM_TOPIC.to_owned(), (topics::consumer_offsets(), ReplicaMap::new()));
        for topic in stored.into_iter().flat_map(|it| it.topics) {
            let spec = topic.spec();
            let mut placement: ReplicaMap = (0..).zip(topic.placement.iter().cloned()).collect();
            if placement.is_empty() && spec.is_computed() && spec.replication_factor() == Some(1) {
                // A document of the time when there was one SPU.
                placement = (0..spec.partitions()).map(|id| (id, vec![FIRST_SPU])).collect();
            }
            found.insert(topic.name.clone(), (spec, placement));
        }
        sc.consumers.open().map_err(failed)?;
        for node in &sc.nodes {
            node.start();
        }
        for (name, (spec, placement)) in found {
            if let Some(id) = placement.values().flatten().find(|id| sc.node(**id).is_none()) {
                let needed = i64::from(*id) - i64::from(FIRST_SPU) + 1;
                return Err(invalid(format!("topic {name} is kept on SPU {id}: at least {needed} SPUs are needed")));
            }
            sc.restore(&name, &spec, placement).map_err(failed)?;
        }
        sc.save(&sc.objects(), None).map_err(failed)?;
        Ok(sc)
    }

    fn restore(&self, name: &str, spec: &TopicSpec, stored: ReplicaMap) -> io::Result<()> {
        let mut objects = self.objects();
        self.consumers.add_topic(name);
        let Some(map) = self.replica_map(spec, &stored) else {
            let status = topics::status(TopicResolution::InsufficientResources, ReplicaMap::new(), "");
            objects.topics.put(name, spec.clone(), status);
            return Ok(());
        };
        let config = self.replica_config(spec);
        for (id, replicas) in &map {
            let key = ReplicaKey::new(name, *id);
            if let Some(node) = self.leader(replicas) {
                node.open(key.clone(), &config)?;
            }
            let partition = topics::partition_spec(spec, replicas);
            let status = self.partition_status(&key, &partition, &PartitionStatus::default());
            objects.partitions.put(&key.to_string(), partition, status);
        }
        objects.topics.put(name, spec.clone(), topics::status(TopicResolution::Provisioned, map, ""));
        Ok(())
    }

    /// Takes note of where an SPU listens. It is online from now on.
    pub(crate) fn register_spu(&self, id: SpuId, host: &str, port: u16) {
        let spec = SpuSpec {
            id,
            public_endpoint: IngressPort::from_port_host(port, host.to_owned()),
            // Nothing listens for other SPUs; the field cannot be empty.
            private_endpoint: Endpoint::from_port_host(port, host.to_owned()),
            ..SpuSpec::default()
        }
        .set_custom();
        let mut status = SpuStatus::default();
        status.set_online();
        self.objects().spus.put(&spu_name(id), spec, status);
    }

    pub(crate) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// The SPU of this number, up or down.
    fn node(&self, id: SpuId) -> Option<&Arc<Node>> {
        self.nodes.get(usize::try_from(i64::from(id) - i64::from(FIRST_SPU)).ok()?)
    }

    /// The SPU that leads a partition: the first of its replicas.
    fn leader(&self, replicas: &[SpuId]) -> Option<&Arc<Node>> {
        replicas.first().and_then(|id| self.node(*id))
    }

    // Each change leaves the stores whole before the next can panic.
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the topics, with one of them changed (or removed).
    fn save(&self, objects: &Objects, change: Option<(&str, Option<(&TopicSpec, &ReplicaMap)>)>) -> io::Result<()> {
        let unchanged = objects.topics.all().filter(|topic| change.is_none_or(|(name, _)| name != topic.name));
        let unchanged = unchanged.map(|topic| (topic.name.as_str(), &topic.spec, &topic.status.replica_map));
        let fresh = change.and_then(|(name, change)| change.map(|(spec, placement)| (name, spec, placement)));
        document::save(&self.document, unchanged.chain(fresh))
    }

    /// What the SPUs know about a partition; `last`: what was known before.
    fn partition_status(&self, key: &ReplicaKey, spec: &PartitionSpec, last: &PartitionStatus) -> PartitionStatus {
        let spu = self.node(spec.leader).and_then(|node| node.spu());
        let Some(replica) = spu.and_then(|spu| spu.replica(&key.topic, key.partition)) else {
            return PartitionStatus { resolution: PartitionResolution::Offline, ..last.clone() };
        };
        let is_up = |id: &SpuId| self.node(*id).is_some_and(|node| node.spu().is_some());
        let followers = spec.followers().into_iter().map(|id| (id, is_up(&id)));
        let mut status = topics::online(spec.leader, followers, replica.extent());
        if replica.has_failed() {
            status.resolution = PartitionResolution::OutOfStorage;
        }
        status
    }

    /// Fills in what the log knows better than the store.
    fn refresh(&self, partition: &mut Metadata<PartitionSpec>) {
        let Ok(key) = partition.name.parse::<ReplicaKey>() else { return };
        partition.status = self.partition_status(&key, &partition.spec, &partition.status);
    }

    /// Takes over what has changed in the partitions, as the real SPUs report it, and tells the watches.
    pub(crate) fn refresh_partitions(&self) {
        let mut objects = self.objects();
        let refreshed: Vec<_> = objects
            .partitions
            .all()
            .filter_map(|partition| {
                let key = partition.name.parse::<ReplicaKey>().ok()?;
                let status = self.partition_status(&key, &partition.spec, &partition.status);
                (status != partition.status).then(|| (partition.name.clone(), status))
            })
            .collect();
        for (name, status) in refreshed {
            objects.partitions.set_status(&name, status);
        }
    }

    /// Serves one client until it goes.
    pub(crate) async fn serve(self: Arc<Self>, line: Line) -> io::Result<()> {
        connection::serve(self, line).await
    }
}
