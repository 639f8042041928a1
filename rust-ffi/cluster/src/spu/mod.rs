//! The SPU: serves records.

mod connection;
mod consumers;
mod fetch;
mod offsets;
mod produce;
mod replica;
mod stream;
mod versions;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use fluvio_protocol::record::ReplicaKey;
use fluvio_types::PartitionId;
use tokio::net::TcpStream;

use consumers::Consumers;
pub(crate) use replica::{Replica, ReplicaConfig};

/// The partitions of one SPU and how it writes.
#[derive(Debug)]
pub(crate) struct Spu {
    log_directory: PathBuf,
    write_like_real: bool,
    consumers: Consumers,
    topics: RwLock<HashMap<String, BTreeMap<PartitionId, Arc<Replica>>>>,
}

impl Spu {
    /// An SPU without partitions, whose files are in `directory`.
    pub(crate) fn open_in(directory: &Path, write_like_real: bool) -> io::Result<Self> {
        let consumers = Consumers::open(directory.join("consumer-offsets.jsonl"))?;
        Ok(Self { log_directory: directory.join("spu-logs"), write_like_real, consumers, topics: RwLock::default() })
    }

    fn directory(&self, key: &ReplicaKey) -> PathBuf {
        self.log_directory.join(key.to_string())
    }

    fn add(&self, key: ReplicaKey, replica: Replica) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.entry(key.topic).or_default().insert(key.partition, Arc::new(replica));
    }

    /// Makes an empty partition.
    pub(crate) fn create(&self, key: ReplicaKey, config: &ReplicaConfig) -> io::Result<()> {
        let replica = Replica::create(key.clone(), self.directory(&key), config)?;
        self.add(key, replica);
        Ok(())
    }

    /// Opens a partition of an earlier run.
    pub(crate) fn open(&self, key: ReplicaKey, config: &ReplicaConfig) -> io::Result<()> {
        let replica = Replica::open(key.clone(), self.directory(&key), config)?;
        self.add(key, replica);
        Ok(())
    }

    /// Deletes all partitions of a topic; their streams end.
    pub(crate) fn delete_topic(&self, topic: &str) {
        let removed = self.topics.write().unwrap_or_else(PoisonError::into_inner).remove(topic);
        for replica in removed.into_iter().flat_map(BTreeMap::into_values) {
            replica.delete();
        }
        self.consumers.delete_topic(topic);
    }

    /// The partition, if it is led here.
    pub(crate) fn replica(&self, topic: &str, partition: PartitionId) -> Option<Arc<Replica>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(topic)?.get(&partition).cloned()
    }

    /// Serves one client until it goes.
    pub(crate) async fn serve(self: Arc<Self>, socket: TcpStream) -> io::Result<()> {
        connection::serve(self, socket).await
    }
}
