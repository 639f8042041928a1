//! Who leads a partition when its leader goes.

use std::fs;
use std::io;

use fluvio_controlplane_metadata::partition::{PartitionSpec, PartitionStatus, ReplicaKey};
use fluvio_types::SpuId;
use fluvio_types::defaults::CONSUMER_REPLICA_KEY;

use super::{Sc, provisioning};
use crate::log;
use crate::spu::Node;

impl Sc {
    /// Lets a follower take the place of a leader that went, wherever one is up. It has all that the leader had.
    pub(super) fn elect(&self, gone: &Node) {
        for partition in self.list::<PartitionSpec>(|partition| partition.spec.leader == gone.id()) {
            let Ok(key) = partition.name.parse::<ReplicaKey>() else { continue };
            let candidates = partition.spec.followers().into_iter().filter(|id| self.follows(*id));
            let Some(elected) = candidates.filter_map(|id| self.node(id)).next() else { continue };
            if let Err(error) = self.hand_over(&key, &partition.spec, gone, elected) {
                complain!("partition {key} on SPU {}: {error}", elected.id());
            }
        }
    }

    /// Makes `new` the leader of a partition that `old` leads, with its files. Both may be down.
    pub(super) fn hand_over(&self, key: &ReplicaKey, spec: &PartitionSpec, old: &Node, new: &Node) -> io::Result<()> {
        let found = self.objects().topics.get(&key.topic).map(|topic| (topic.spec.clone(), topic.status.clone()));
        let (topic_spec, mut topic_status) = found.ok_or(io::ErrorKind::NotFound)?;
        // The new leader first, then those who held it before; an SPU that is new to it takes the old leader's place.
        let is_new = !spec.replicas.contains(&new.id());
        let stays = |other: &SpuId| *other != new.id() && !(is_new && *other == spec.leader);
        let replicas: Vec<SpuId> = [new.id()].into_iter().chain(spec.replicas.iter().copied().filter(stays)).collect();
        topic_status.replica_map.insert(key.partition, replicas.clone());

        let config = self.replica_config(&topic_spec, key.partition);
        old.give_up(key);
        let moved = move_directory(key, old, new)
            .and_then(|()| self.save_topic(&key.topic, &topic_spec, &topic_status.replica_map))
            .and_then(|()| new.open(key.clone(), &config));
        if let Err(error) = moved {
            // Whatever was done is undone as far as it can be.
            let _ = move_directory(key, new, old);
            let _ = old.open(key.clone(), &config);
            return Err(error);
        }
        if (key.topic.as_str(), key.partition) == CONSUMER_REPLICA_KEY {
            match new.spu() {
                Some(_) => self.consumers.open()?,
                None => self.consumers.close(),
            }
        }
        let mut objects = self.objects();
        let name = key.to_string();
        let spec = provisioning::partition_spec(&topic_spec, key.partition, &replicas);
        let last = objects.partitions.get(&name).map_or_else(PartitionStatus::default, |it| it.status.clone());
        let status = self.partition_status(key, &spec, &last);
        objects.topics.put(&key.topic, topic_spec, topic_status);
        objects.partitions.put(&name, spec, status);
        Ok(())
    }
}

fn move_directory(key: &ReplicaKey, from: &Node, to: &Node) -> io::Result<()> {
    let (from, to) = (from.directory(key), to.directory(key));
    if !from.exists() {
        return Ok(());
    }
    log::remove(&to)?;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::rename(from, to)
}
