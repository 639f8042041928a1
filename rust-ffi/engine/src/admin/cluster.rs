//! The state of the cluster as a whole.

use serde::Serialize;

use super::{Admin, Partition, PartitionResolution, Spu, SpuResolution};
use crate::error::Result;
use crate::session::Session;

/// The state of the cluster as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClusterStatus {
    /// The SC's address, as the client was given it.
    pub endpoint: String,
    /// The cluster's version, as of connecting.
    pub platform_version: String,
    /// All SPUs.
    pub spus: Vec<Spu>,
    /// How many of them are online.
    pub spus_online: usize,
    /// How many topics there are, the cluster's own included.
    pub topics: usize,
    /// How many partitions there are, the cluster's own included.
    pub partitions: usize,
    /// Bytes of all leaders' logs, as far as they are known.
    pub size: u64,
    /// Partitions that cannot be used.
    pub offline_partitions: Vec<Partition>,
    /// Partitions of which a replica's SPU is not online, or is behind the high watermark.
    pub under_replicated_partitions: Vec<Partition>,
}

impl ClusterStatus {
    /// From what there is. The lists are ordered.
    pub(super) fn of<'a>(
        session: &Session,
        topics: usize,
        partitions: impl IntoIterator<Item = &'a Partition>,
        spus: impl IntoIterator<Item = &'a Spu>,
    ) -> Self {
        let spus: Vec<Spu> = spus.into_iter().cloned().collect();
        let mut status = Self {
            endpoint: session.endpoint().to_owned(),
            platform_version: session.platform_version().to_owned(),
            spus_online: spus.iter().filter(|spu| spu.status.resolution == SpuResolution::Online).count(),
            spus,
            topics,
            partitions: 0,
            size: 0,
            offline_partitions: Vec::new(),
            under_replicated_partitions: Vec::new(),
        };
        for partition in partitions {
            status.partitions += 1;
            status.size = status.size.saturating_add(partition.status.size.unwrap_or(0));
            if partition.status.resolution != PartitionResolution::Online {
                status.offline_partitions.push(partition.clone());
            }
            if !partition.spec.replicas.iter().all(|replica| status.has_all(partition, *replica)) {
                status.under_replicated_partitions.push(partition.clone());
            }
        }
        status
    }

    /// Whether `replica` of a partition is there, and has what counts as replicated.
    fn has_all(&self, partition: &Partition, replica: i32) -> bool {
        let online = |spu: &Spu| spu.spec.id == replica && spu.status.resolution == SpuResolution::Online;
        let high_watermark = partition.status.leader.as_ref().and_then(|leader| leader.high_watermark);
        let follows = || {
            let follower = partition.status.replicas.iter().find(|follower| follower.spu == replica);
            follower.is_some_and(|follower| follower.log_end >= high_watermark)
        };
        self.spus.iter().any(online) && (replica == partition.spec.leader || follows())
    }
}

impl Admin {
    /// The state of the cluster as a whole.
    pub async fn cluster_status(&self) -> Result<ClusterStatus> {
        let mut topics = 0;
        let mut partitions = Vec::new();
        for system in [false, true] {
            topics += self.topics(None, system).await?.len();
            partitions.extend(self.partitions(None, system).await?);
        }
        partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        let spus = self.spus(None).await?;
        Ok(ClusterStatus::of(&self.session, topics, &partitions, &spus))
    }
}
