//! The SC: knows the topics, the partitions and the SPU, and tells them to those who ask or watch.

mod connection;
mod document;
mod outbox;
mod store;
mod topics;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fluvio_controlplane_metadata::partition::{PartitionSpec, ReplicaKey};
use fluvio_controlplane_metadata::spu::{Endpoint, IngressPort, SpuSpec, SpuStatus};
use fluvio_controlplane_metadata::topic::{TopicResolution, TopicSpec};
use fluvio_sc_schema::objects::Metadata;
use fluvio_types::ReplicaMap;
use tokio::net::TcpStream;

use crate::config::{Config, StartError};
use crate::spu::Spu;
use store::Store;

/// The one SPU has the number that the real cluster gives its first.
pub(crate) const SPU_ID: i32 = 5001;

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
    spu: Arc<Spu>,
    topic_wait: Duration,
    segment_bytes: u32,
    write_like_real: bool,
}

impl Sc {
    /// Reads the metadata and opens the logs of all partitions.
    pub(crate) fn load(document: PathBuf, spu: Arc<Spu>, config: &Config) -> Result<Self, StartError> {
        let sc = Self {
            document,
            objects: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            spu,
            topic_wait: config.topic_wait,
            segment_bytes: config.segment_bytes,
            write_like_real: config.write_like_real,
        };
        let path = || sc.document.clone();
        let stored = document::load(&sc.document).map_err(|reason| StartError::Metadata { path: path(), reason })?;
        let mut found: BTreeMap<String, TopicSpec> = BTreeMap::new();
        found.insert(topics::SYSTEM_TOPIC.to_owned(), topics::consumer_offsets());
        found.extend(stored.into_iter().flat_map(|it| it.topics).map(|topic| (topic.name.clone(), topic.spec())));
        for (name, spec) in found {
            sc.restore(&name, &spec).map_err(|source| StartError::DataDir { path: path(), source })?;
        }
        sc.save(&sc.objects(), None).map_err(|source| StartError::DataDir { path: path(), source })?;
        Ok(sc)
    }

    fn restore(&self, name: &str, spec: &TopicSpec) -> io::Result<()> {
        let mut objects = self.objects();
        let Some(map) = topics::replica_map(spec) else {
            let status = topics::status(TopicResolution::InsufficientResources, ReplicaMap::new(), "");
            objects.topics.put(name, spec.clone(), status);
            return Ok(());
        };
        let config = self.replica_config(spec);
        for (id, replicas) in &map {
            let key = ReplicaKey::new(name, *id);
            let label = key.to_string();
            self.spu.open(key, &config)?;
            objects.partitions.put(&label, topics::partition_spec(spec, replicas), topics::online((0, 0, 0)));
        }
        objects.topics.put(name, spec.clone(), topics::status(TopicResolution::Provisioned, map, ""));
        Ok(())
    }

    /// Takes note of where the SPU listens.
    pub(crate) fn register_spu(&self, host: &str, port: u16) {
        let spec = SpuSpec {
            id: SPU_ID,
            public_endpoint: IngressPort::from_port_host(port, host.to_owned()),
            // Nothing listens for other SPUs; the field cannot be empty.
            private_endpoint: Endpoint::from_port_host(port, host.to_owned()),
            ..SpuSpec::default()
        }
        .set_custom();
        let mut status = SpuStatus::default();
        status.set_online();
        self.objects().spus.put(&format!("custom-spu-{SPU_ID}"), spec, status);
    }

    // Each change leaves the stores whole before the next can panic.
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the topics, with one of them changed (or removed).
    fn save(&self, objects: &Objects, change: Option<(&str, Option<&TopicSpec>)>) -> io::Result<()> {
        let changed = change.map(|(name, spec)| (name.to_owned(), spec));
        let is_changed = |topic: &&Metadata<TopicSpec>| changed.as_ref().is_none_or(|(name, _)| *name != topic.name);
        let unchanged = objects.topics.all().filter(is_changed).map(|topic| (&topic.name, &topic.spec));
        let fresh = changed.iter().filter_map(|(name, spec)| spec.map(|spec| (name, spec)));
        document::save(&self.document, unchanged.chain(fresh))
    }

    /// Fills in what the log knows better than the store.
    fn refresh(&self, partition: &mut Metadata<PartitionSpec>) {
        let Ok(key) = partition.name.parse::<ReplicaKey>() else { return };
        if let Some(replica) = self.spu.replica(&key.topic, key.partition) {
            partition.status = topics::online(replica.extent());
        }
    }

    /// Serves one client until it goes.
    pub(crate) async fn serve(self: Arc<Self>, socket: TcpStream) -> io::Result<()> {
        connection::serve(self, socket).await
    }
}
