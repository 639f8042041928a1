//! An SPU: serves records.

mod connection;
mod consumers;
mod deduplication;
mod fetch;
mod lookback;
mod node;
mod offsets;
mod produce;
mod replica;
mod reports;
mod stream;
mod transforms;
mod versions;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use fluvio_protocol::record::ReplicaKey;
use fluvio_types::PartitionId;

use crate::faults::Faults;
use crate::listener::Accepted;
use crate::smartmodules::Engine;
pub(crate) use consumers::Consumers;
use deduplication::Filter;
pub(crate) use node::Node;
pub(crate) use replica::{Extent, Gone, Replica, ReplicaConfig};
pub(crate) use reports::{Order, Orders, Reports};

/// A running SPU: the partitions that it leads.
#[derive(Debug)]
pub(crate) struct Spu {
    write_like_real: bool,
    faults: Arc<Faults>,
    consumers: Arc<Consumers>,
    engine: Arc<Engine>,
    reports: Arc<Reports>,
    topics: RwLock<HashMap<String, BTreeMap<PartitionId, Arc<Replica>>>>,
}

impl Spu {
    /// Takes the lead of a partition.
    pub(crate) fn add(&self, key: ReplicaKey, replica: Replica) {
        let replica = Arc::new(replica);
        if replica.filter().is_some() {
            let (engine, settings) = (Arc::clone(&self.engine), self.faults.smartmodules());
            tokio::spawn(Filter::make(Arc::downgrade(&replica), engine, settings));
        }
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.entry(key.topic).or_default().insert(key.partition, replica);
    }

    /// What was written is told to the SC, where that takes time.
    fn note_written(&self, replica: &Replica) {
        if self.faults.report_delay().is_some() {
            self.reports.note(replica.key());
        }
    }

    /// Gives up the lead of a partition.
    pub(crate) fn remove(&self, key: &ReplicaKey) -> Option<Arc<Replica>> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let partitions = topics.get_mut(&key.topic)?;
        let removed = partitions.remove(&key.partition);
        if partitions.is_empty() {
            topics.remove(&key.topic);
        }
        removed
    }

    /// The partition, if it is led here and served: one whose filter of duplicates cannot be made is not, and while it is
    /// being made, who asks waits.
    pub(crate) async fn replica(&self, topic: &str, partition: PartitionId) -> Option<Arc<Replica>> {
        let replica = self.held(topic, partition)?;
        match replica.filter() {
            Some(filter) if !filter.is_made().await => None,
            _ => Some(replica),
        }
    }

    /// The partition, if it is led here.
    pub(crate) fn held(&self, topic: &str, partition: PartitionId) -> Option<Arc<Replica>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(topic)?.get(&partition).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Replica>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.values().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Gives up all partitions. Jobs of the engine may still hold them, and write nothing any more.
    pub(crate) fn end(&self) {
        for replica in self.all() {
            replica.end(Gone::Moved);
        }
    }

    /// Removes what is beyond the retention of its partition.
    pub(crate) fn retain(&self) {
        for replica in self.all() {
            if let Err(error) = replica.retain() {
                complain!("retention of partition {}: {error}", replica.key());
            }
        }
    }

    /// Serves one client until it goes.
    pub(crate) async fn serve(self: Arc<Self>, accepted: Accepted) -> io::Result<()> {
        connection::serve(self, accepted).await
    }
}
