//! The picture of the cluster itself, and how the SC's updates change it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use fluvio::metadata::partition::PartitionSpec;
use fluvio::metadata::spu::SpuSpec;
use fluvio::metadata::topic::{CompressionAlgorithm, TopicSpec};
use fluvio_cffi_wire::Codec;
use fluvio_controlplane_metadata::message::MsgType;
use fluvio_sc_schema::AdminSpec;
use fluvio_sc_schema::objects::{Metadata, MetadataUpdate};

use crate::error::Error;
use crate::events::Event;

/// How long who led the partitions of a topic that is gone is of interest.
const FORMER: Duration = Duration::from_secs(10);

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
    /// When it appeared, see [`Snapshot::births`].
    pub(crate) birth: u64,
}

/// One partition as the SC sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartitionView {
    /// The SPU that leads it.
    pub(crate) leader: i32,
    /// Whether it can be used, by the SC's word. Its leader's own word counts for more.
    pub(crate) online: bool,
    /// When it appeared, see [`Snapshot::births`].
    pub(crate) birth: u64,
}

/// The partitions of a topic that is gone, and who led them.
#[derive(Debug)]
struct Former {
    leaders: BTreeMap<u32, i32>,
    since: Instant,
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
    /// How many topics and partitions have appeared so far. What is deleted and created again has appeared twice, if the
    /// SC has told of both.
    births: u64,
    /// Of topics that went a moment ago. Their leaders may not have heard of it yet.
    former: HashMap<String, Former>,
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

    /// How many topics and partitions have appeared so far: what appears from now on has a later birth.
    pub(crate) fn births(&self) -> u64 {
        self.births
    }

    /// When `topic` appeared, if it is there.
    pub(crate) fn birth(&self, topic: &str) -> Option<u64> {
        self.topics.get(topic).map(|topic| topic.birth)
    }

    /// Partitions of a topic of that name, and who leads them, or led them until a moment ago.
    pub(crate) fn leaders_so_far(&self, topic: &str) -> BTreeSet<(u32, i32)> {
        let former = self.former.get(topic).filter(|former| former.since.elapsed() < FORMER);
        let former = former.into_iter().flat_map(|former| former.leaders.iter().map(|(number, spu)| (*number, *spu)));
        let now = self.partitions.get(topic).into_iter().flatten().map(|(number, state)| (*number, state.leader));
        former.chain(now).collect()
    }

    /// Takes the place of what was known `before` the SC has told everything anew. What is there still has not appeared
    /// just now.
    pub(super) fn follow(&mut self, before: &mut Self) {
        self.ended = before.ended.take();
        self.had_topics |= before.had_topics;
        self.panics = std::mem::take(&mut before.panics);
        self.former = std::mem::take(&mut before.former);
        self.births += before.births;
        for (name, topic) in &mut self.topics {
            topic.birth = before.birth(name).unwrap_or(topic.birth + before.births);
        }
        for (topic, partitions) in &mut self.partitions {
            for (number, partition) in partitions {
                let known = before.partition(topic, *number).map(|known| known.birth);
                partition.birth = known.unwrap_or(partition.birth + before.births);
            }
        }
        self.note_all_former(&before.partitions);
    }

    /// Those of the partitions `before` that are there no more are gone.
    fn note_all_former(&mut self, before: &HashMap<String, BTreeMap<u32, PartitionView>>) {
        for (topic, partitions) in before {
            for (number, partition) in partitions {
                if self.partition(topic, *number).is_none() {
                    self.note_former(topic, *number, partition.leader);
                }
            }
        }
    }

    /// A partition is gone. What went long ago is forgotten.
    fn note_former(&mut self, topic: &str, partition: u32, leader: i32) {
        if !self.former.contains_key(topic) {
            self.former.retain(|_, former| former.since.elapsed() < FORMER);
        }
        let former = self
            .former
            .entry(topic.to_owned())
            .or_insert_with(|| Former { leaders: BTreeMap::new(), since: Instant::now() });
        former.leaders.insert(partition, leader);
        former.since = Instant::now();
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

/// Whether it is a full list.
fn is_whole<S>(update: &MetadataUpdate<S>) -> bool
where
    S: AdminSpec,
    S::Status: fluvio_protocol::Encoder + fluvio_protocol::Decoder,
{
    !update.all.is_empty() || update.changes.is_empty()
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
    if is_whole(&update) {
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
    /// When something appeared that was `known` already or not.
    fn birth_of(&mut self, known: Option<u64>) -> u64 {
        known.unwrap_or_else(|| {
            self.births += 1;
            self.births
        })
    }

    pub(super) fn apply_topics(&mut self, update: MetadataUpdate<TopicSpec>) {
        let before = if is_whole(&update) { std::mem::take(&mut self.topics) } else { HashMap::new() };
        apply(
            self,
            update,
            |_| {},
            |snapshot, topic| {
                if topic.status.resolution.is_being_deleted() {
                    snapshot.topics.remove(&topic.name);
                } else {
                    let known = snapshot.birth(&topic.name).or(before.get(&topic.name).map(|topic| topic.birth));
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
                        birth: snapshot.birth_of(known),
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
        let before = if is_whole(&update) { std::mem::take(&mut self.partitions) } else { HashMap::new() };
        apply(
            self,
            update,
            |_| {},
            |snapshot, object| {
                if let Some((topic, partition)) = replica(&object.name) {
                    let known = snapshot.partition(topic, partition);
                    let known = known.or_else(|| before.get(topic)?.get(&partition).copied());
                    let state = PartitionView {
                        leader: object.spec.leader,
                        online: object.status.is_online(),
                        birth: snapshot.birth_of(known.map(|known| known.birth)),
                    };
                    snapshot.partitions.entry(topic.to_owned()).or_default().insert(partition, state);
                }
            },
            |snapshot, object| {
                if let Some((topic, partition)) = replica(&object.name)
                    && let Some(known) = snapshot.partitions.get_mut(topic)
                {
                    let removed = known.remove(&partition);
                    if known.is_empty() {
                        snapshot.partitions.remove(topic);
                    }
                    if let Some(removed) = removed {
                        snapshot.note_former(topic, partition, removed.leader);
                    }
                }
            },
        );
        self.note_all_former(&before);
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
