//! The picture of the cluster itself, and how the SC's updates change it. Pure.

use std::collections::{BTreeMap, HashMap};

use fluvio::metadata::partition::PartitionSpec;
use fluvio::metadata::spu::SpuSpec;
use fluvio::metadata::topic::{CompressionAlgorithm, TopicSpec};
use fluvio_cffi_wire::Codec;
use fluvio_controlplane_metadata::message::MsgType;
use fluvio_sc_schema::AdminSpec;
use fluvio_sc_schema::objects::{Metadata, MetadataUpdate};

use crate::error::Error;
use crate::events::Event;

/// What one object takes in the metadata, about, beside its name.
const ENTRY: usize = 100;

/// One topic as the SC sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopicView {
    /// How many partitions it has, or will have.
    pub(crate) partitions: u32,
    /// The codec that its batches must have; `None`: any.
    pub(crate) compression: Option<Codec>,
    /// Whether it drops records that it has already.
    pub(crate) deduplicates: bool,
}

/// One partition as the SC sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartitionView {
    /// The SPU that leads it.
    pub(crate) leader: i32,
    /// Whether it can be used.
    pub(crate) online: bool,
}

/// Where an SPU is.
#[derive(Debug, Clone)]
pub(super) struct SpuView {
    pub(super) name: String,
    pub(super) public: String,
    pub(super) local: Option<String>,
}

/// What is known of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(super) topics: HashMap<String, TopicView>,
    /// By topic, then partition.
    pub(super) partitions: HashMap<String, BTreeMap<u32, PartitionView>>,
    pub(super) spus: HashMap<i32, SpuView>,
    /// Whether the SC has ever told of a topic.
    pub(super) had_topics: bool,
    /// Set when the metadata will not change any more: its owner has closed it.
    pub(super) ended: Option<Error>,
    /// How often the task that keeps it has panicked, and with what the last time: who waited then has waited in vain.
    pub(super) panics: (u64, Option<Error>),
    pub(super) reconnecting: bool,
}

impl Snapshot {
    /// `topic`, once all of its partitions are known.
    pub(crate) fn topic(&self, topic: &str) -> Option<TopicView> {
        let state = *self.topics.get(topic)?;
        let known = self.partitions.get(topic)?;
        (known.len() >= state.partitions as usize).then_some(state)
    }

    /// Whether there is such a topic, whatever its partitions do.
    pub(crate) fn has_topic(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// Whether all partitions of `topic` can be used.
    pub(crate) fn ready(&self, topic: &str) -> bool {
        self.topic(topic).is_some()
            && self.partitions.get(topic).is_some_and(|known| {
                known.values().all(|partition| partition.online && self.spus.contains_key(&partition.leader))
            })
    }

    /// The partitions of `topic` by their numbers, as many as are known.
    pub(crate) fn partitions(&self, topic: &str) -> Vec<Option<PartitionView>> {
        let Some(known) = self.partitions.get(topic) else { return Vec::new() };
        (0..known.len() as u32).map(|partition| known.get(&partition).copied()).collect()
    }

    /// One partition of `topic`.
    pub(crate) fn partition(&self, topic: &str, partition: u32) -> Option<PartitionView> {
        self.partitions.get(topic)?.get(&partition).copied()
    }

    /// Bytes that all of it takes, about.
    pub(super) fn size(&self) -> usize {
        let topics = self.topics.keys().map(|name| ENTRY + name.len());
        let partitions = self.partitions.iter().map(|(topic, known)| (ENTRY + topic.len()) * (1 + known.len()));
        topics.chain(partitions).sum::<usize>() + self.spus.len() * ENTRY
    }

    /// Which of these partitions, with their leaders until now, have another one.
    pub(super) fn moves(&self, before: impl IntoIterator<Item = (String, u32, i32)>) -> Vec<Event> {
        let moved = |(topic, partition, leader): (String, u32, i32)| {
            let now = self.partition(&topic, partition)?.leader;
            (now != leader).then(|| Event::leader_changed(topic, partition, now))
        };
        before.into_iter().filter_map(moved).collect()
    }
}

/// Calls `set` or `remove` for each object of an update. A full list replaces everything: `clear` is called first.
fn apply<S>(
    snapshot: &mut Snapshot,
    update: MetadataUpdate<S>,
    clear: impl FnOnce(&mut Snapshot),
    set: impl Fn(&mut Snapshot, Metadata<S>),
    remove: impl Fn(&mut Snapshot, Metadata<S>),
) where
    S: AdminSpec,
    S::Status: fluvio_protocol::Encoder + fluvio_protocol::Decoder,
{
    if !update.all.is_empty() || update.changes.is_empty() {
        clear(snapshot);
    }
    update.all.into_iter().for_each(|object| set(snapshot, object));
    for change in update.changes {
        match change.header {
            MsgType::UPDATE => set(snapshot, change.content),
            MsgType::DELETE => remove(snapshot, change.content),
        }
    }
}

/// Bytes of an update, about.
pub(super) fn size_of_update<S>(update: &MetadataUpdate<S>) -> usize
where
    S: AdminSpec,
    S::Status: fluvio_protocol::Encoder + fluvio_protocol::Decoder,
{
    let objects = update.all.iter().chain(update.changes.iter().map(|change| &change.content));
    objects.map(|object| ENTRY + object.name.len()).sum()
}

/// `topic-3` is partition 3 of `topic`.
pub(crate) fn replica(name: &str) -> Option<(&str, u32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    Some((topic, partition.parse().ok()?))
}

impl Snapshot {
    pub(super) fn apply_topics(&mut self, update: MetadataUpdate<TopicSpec>) {
        apply(
            self,
            update,
            |snapshot| snapshot.topics.clear(),
            |snapshot, topic| {
                if topic.status.resolution.is_being_deleted() {
                    snapshot.topics.remove(&topic.name);
                } else {
                    // A computed topic counts by its spec: partitions that were added last are still to come.
                    let state = TopicView {
                        partitions: topic.spec.replicas().partitions(),
                        compression: match topic.spec.get_compression_type() {
                            CompressionAlgorithm::Any => None,
                            CompressionAlgorithm::None => Some(Codec::None),
                            CompressionAlgorithm::Gzip => Some(Codec::Gzip),
                            CompressionAlgorithm::Snappy => Some(Codec::Snappy),
                            CompressionAlgorithm::Lz4 => Some(Codec::Lz4),
                            CompressionAlgorithm::Zstd => Some(Codec::Zstd),
                        },
                        deduplicates: topic.spec.get_deduplication().is_some(),
                    };
                    snapshot.topics.insert(topic.name, state);
                    snapshot.had_topics = true;
                }
            },
            |snapshot, topic| {
                snapshot.topics.remove(&topic.name);
            },
        );
    }

    pub(super) fn apply_partitions(&mut self, update: MetadataUpdate<PartitionSpec>) {
        apply(
            self,
            update,
            |snapshot| snapshot.partitions.clear(),
            |snapshot, object| {
                if let Some((topic, partition)) = replica(&object.name) {
                    let state = PartitionView { leader: object.spec.leader, online: object.status.is_online() };
                    snapshot.partitions.entry(topic.to_owned()).or_default().insert(partition, state);
                }
            },
            |snapshot, object| {
                if let Some((topic, partition)) = replica(&object.name)
                    && let Some(known) = snapshot.partitions.get_mut(topic)
                {
                    known.remove(&partition);
                    if known.is_empty() {
                        snapshot.partitions.remove(topic);
                    }
                }
            },
        );
    }

    pub(super) fn apply_spus(&mut self, update: MetadataUpdate<SpuSpec>) {
        apply(
            self,
            update,
            |snapshot| snapshot.spus.clear(),
            |snapshot, spu| {
                let public = spu.spec.public_endpoint.addr();
                let local = spu.spec.public_endpoint_local.map(|local| format!("{}:{}", local.host, local.port));
                snapshot.spus.insert(spu.spec.id, SpuView { name: spu.name, public, local });
            },
            |snapshot, spu| {
                snapshot.spus.remove(&spu.spec.id);
            },
        );
    }
}
