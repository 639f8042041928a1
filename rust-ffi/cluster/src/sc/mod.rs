//! The SC: knows topics, partitions, SPUs and all other objects, and tells them to those who ask or watch.

mod connection;
mod control;
mod kinds;
mod leaders;
mod list_watch;
mod mutations;
mod object_files;
mod objects;
mod outbox;
mod provisioning;
mod reports;
mod spus;
mod store;
mod topics;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fluvio_controlplane_metadata::partition::{PartitionResolution, PartitionSpec, PartitionStatus, ReplicaKey};
use fluvio_sc_schema::Status;
use fluvio_sc_schema::errors::ErrorCode;
use fluvio_sc_schema::mirror::MirrorSpec;
use fluvio_sc_schema::smartmodule::SmartModuleSpec;
use fluvio_sc_schema::spg::SpuGroupSpec;
use fluvio_sc_schema::tableformat::TableFormatSpec;
use fluvio_types::SpuId;
use tokio::sync::Notify;

use crate::config::{Config, FIRST_SPU, StartError};
use crate::faults::Faults;
use crate::listener::Accepted;
use crate::smartmodules::Engine;
use crate::spu::{Consumers, Node};
use kinds::Objects;
pub(crate) use reports::attend;
pub(crate) use spus::spu_name;

/// The state of the SC.
#[derive(Debug)]
pub(crate) struct Sc {
    /// Where the objects are on disk.
    shelves: PathBuf,
    objects: Mutex<Objects>,
    /// Held over a change from its check to its last event, so that changes of several connections do not mix.
    changing: tokio::sync::Mutex<()>,
    /// Topics that waited for SPUs have got them.
    provisioned: Notify,
    /// In the order of their numbers, which follow each other.
    nodes: Vec<Arc<Node>>,
    consumers: Arc<Consumers>,
    /// What the SPUs run SmartModules with; it knows those that are stored.
    engine: Arc<Engine>,
    faults: Arc<Faults>,
    topic_wait: Duration,
    segment_bytes: u32,
    write_like_real: bool,
}

fn failure(name: &str, code: ErrorCode, message: impl Into<String>) -> Status {
    Status::new(name.to_owned(), code, Some(message.into()))
}

impl Sc {
    /// Reads the metadata and starts the SPUs with the logs of all partitions. They do not accept connections yet.
    pub(crate) fn load(
        shelves: PathBuf,
        nodes: Vec<Arc<Node>>,
        consumers: Arc<Consumers>,
        engine: Arc<Engine>,
        faults: Arc<Faults>,
        config: &Config,
    ) -> Result<Self, StartError> {
        let sc = Self {
            shelves,
            objects: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            provisioned: Notify::new(),
            nodes,
            consumers,
            engine,
            faults,
            topic_wait: config.topic_wait,
            segment_bytes: config.segment_bytes,
            write_like_real: config.write_like_real,
        };
        sc.restore_kept::<SpuGroupSpec>()?;
        sc.restore_kept::<SmartModuleSpec>()?;
        for module in sc.objects().smartmodules.all() {
            sc.engine.stored.put(&module.name, &module.spec);
        }
        sc.restore_kept::<TableFormatSpec>()?;
        sc.restore_kept::<MirrorSpec>()?;
        sc.restore_spus()?;
        sc.consumers.open().map_err(|source| sc.unusable(source))?;
        for node in &sc.nodes {
            node.start();
        }
        sc.restore_topics()?;
        Ok(sc)
    }

    fn unusable(&self, source: io::Error) -> StartError {
        StartError::DataDir { path: self.shelves.clone(), source }
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

    /// What the SPUs know about a partition; `last`: what was known before.
    fn partition_status(&self, key: &ReplicaKey, spec: &PartitionSpec, last: &PartitionStatus) -> PartitionStatus {
        // What an SPU still has by that name while it is to hear of it is of an earlier topic.
        let node = self.node(spec.leader).filter(|node| !node.orders().name(key));
        let held = node.and_then(|node| node.spu()).and_then(|spu| spu.held(&key.topic, key.partition));
        let Some(replica) = held.filter(|replica| replica.is_reported()) else {
            return PartitionStatus { resolution: PartitionResolution::Offline, ..last.clone() };
        };
        let followers = spec.followers().into_iter().map(|id| (id, self.follows(id)));
        let mut status = provisioning::online(spec.leader, followers, replica.extent());
        if replica.has_failed() {
            status.resolution = PartitionResolution::OutOfStorage;
        }
        status
    }

    /// Whether an SPU takes over what leaders write.
    fn follows(&self, id: SpuId) -> bool {
        let is_up = |node: &Arc<Node>| node.spu().is_some() && !node.listener().faults().is_stalled();
        self.node(id).is_some_and(is_up)
    }

    /// Lets leaders know whether somebody follows them.
    fn follow(&self, objects: &Objects) {
        for partition in objects.partitions.all() {
            if let Ok(key) = partition.name.parse::<ReplicaKey>() {
                self.follow_one(&key, &partition.spec);
            }
        }
    }

    /// Lets the leader of a partition know whether somebody follows it. One follower is enough, as by default on the
    /// real SPU.
    fn follow_one(&self, key: &ReplicaKey, spec: &PartitionSpec) {
        let followers = spec.followers();
        if followers.is_empty() {
            return;
        }
        let leader = self.node(spec.leader).and_then(|node| node.spu());
        if let Some(replica) = leader.and_then(|leader| leader.held(&key.topic, key.partition)) {
            replica.set_replicated(followers.into_iter().any(|id| self.follows(id)));
        }
    }

    /// Takes over what has changed in the partitions, as the real SPUs report it, and tells the watches.
    pub(crate) fn refresh_partitions(&self) {
        let mut objects = self.objects();
        self.follow(&objects);
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
    pub(crate) async fn serve(self: Arc<Self>, accepted: Accepted) -> io::Result<()> {
        connection::serve(self, accepted).await
    }
}
