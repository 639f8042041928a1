//! Topics.

mod create;
mod leaders;
mod spec;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use fluvio::FluvioAdmin;
use fluvio::metadata::topic::{
    AddMirror, AddPartition, TopicResolution as UpstreamResolution, TopicSpec as Upstream,
    TopicStatus as UpstreamStatus, UpdateTopicAction,
};
use fluvio_sc_schema::objects::Metadata;
use serde::Serialize;

use super::{Admin, Kind, PartitionMirror, check_name, done, like, unsent};
use crate::error::{Error, ErrorKind, Outcome, Phase, Result};

use leaders::Leaders;
pub use spec::*;

like! {
    /// How far a topic has come.
    TopicResolution: UpstreamResolution {
        /// New.
        Init = Init,
        /// Waits for its places.
        Pending = Pending,
        /// The SPUs cannot hold it.
        InsufficientResources = InsufficientResources,
        /// Its configuration is wrong.
        InvalidConfig = InvalidConfig,
        /// All partitions have their places.
        Provisioned = Provisioned,
        /// On its way out.
        Deleting = Deleting,
    }
}

/// What the cluster made of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicStatus {
    /// How far it has come.
    pub resolution: TopicResolution,
    /// Why it is not provisioned.
    pub reason: String,
    /// SPU ids per partition.
    pub replica_map: BTreeMap<u32, Vec<i32>>,
    /// What is mirrored, per partition.
    pub mirror_map: BTreeMap<u32, PartitionMirror>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// What it is configured to be.
    pub spec: TopicSpec,
    /// What the cluster made of it.
    pub status: TopicStatus,
}

impl Kind for Topic {
    type Spec = Upstream;
    type UpstreamStatus = UpstreamStatus;
    const LABEL: &str = "topic";
    const MISSING: ErrorKind = ErrorKind::TopicNotFound;

    fn from_upstream(Metadata { name, spec, status }: Metadata<Upstream>) -> Result<Self> {
        Ok(Self {
            name,
            spec: TopicSpec::from_upstream(&spec),
            status: TopicStatus {
                resolution: status.resolution.into(),
                reason: status.reason,
                replica_map: status.replica_map.into_iter().collect(),
                mirror_map: status
                    .mirror_map
                    .into_iter()
                    .map(|(partition, mirror)| (partition, mirror.into()))
                    .collect(),
            },
        })
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// How long a deletion waits for the metadata to hear of it.
const WORD_OF_DELETION: Duration = Duration::from_secs(1);

/// The error when the time is over before a topic is ready.
fn unready(name: &str, what_is_done: &str) -> Error {
    let text = format!("topic \"{name}\" {what_is_done}, but is not ready yet");
    Error::timeout(Phase::Admin, text).with_topic(name)
}

impl Admin {
    /// The topics whose name contains a string; with `system` the cluster's own instead of all others.
    pub async fn topics(&self, name_contains: Option<&str>, system: bool) -> Result<Vec<Topic>> {
        self.list(name_contains, system, false).await
    }

    /// The topic of that name, the cluster's own or not.
    pub async fn topic(&self, name: &str) -> Result<Topic> {
        self.find_topic(name).await?.ok_or_else(|| Error::topic_not_found(name))
    }

    async fn find_topic(&self, name: &str) -> Result<Option<Topic>> {
        for system in [false, true] {
            let topics = self.topics(Some(name), system).await?;
            if let Some(topic) = topics.into_iter().find(|topic| topic.name == name) {
                return Ok(Some(topic));
            }
        }
        Ok(None)
    }

    /// Deletes a topic; `force` for the cluster's own; `missing_ok` when it need not exist.
    pub async fn delete_topic(&self, name: &str, force: bool, missing_ok: bool) -> Result<()> {
        let what = format!("deleting topic \"{name}\"");
        let delete = |admin: Arc<FluvioAdmin>| {
            let name = name.to_owned();
            async move {
                match force {
                    true => admin.force_delete::<Upstream>(name).await,
                    false => admin.delete::<Upstream>(name).await,
                }
            }
        };
        let metadata = self.session.metadata();
        let before = metadata.read(|metadata| metadata.birth(name));
        let deleted = self.send_delete(&what, missing_ok, ErrorKind::TopicNotFound, delete).await;
        deleted.map_err(|error| error.with_topic(name))?;
        if before.is_some() {
            // The watches have been told before the SC answered.
            let gone = metadata.wait(|metadata| (metadata.birth(name) != before).then_some(()));
            let _ = tokio::time::timeout(WORD_OF_DELETION, gone).await;
        }
        Ok(())
    }

    /// Waits until each of these partitions is served by its leader. `what_is_done` already, for an error.
    async fn ready(&self, name: &str, partitions: Range<u32>, what_is_done: &str) -> Result<()> {
        let overdue = |_| unready(name, what_is_done);
        let leaders = Leaders::new(&self.session, name, &self.limit);
        self.limit.hold(leaders.serve(partitions, 0), overdue).await.map_err(done)
    }

    /// Adds partitions to a topic whose replicas the server places.
    pub async fn add_partitions(&self, name: &str, count: u32, wait_ready: bool) -> Result<Topic> {
        if count == 0 {
            return Err(Error::invalid("count is 0: it must be at least 1"));
        }
        let before = self.topic(name).await.map_err(unsent)?.spec.partitions;
        let after = before.checked_add(count).ok_or_else(|| {
            Error::invalid(format!("count is {count}: topic \"{name}\" cannot have so many partitions"))
        })?;
        let what = format!("adding partitions to topic \"{name}\"");
        let action = UpdateTopicAction::AddPartition(AddPartition { count });
        self.update::<Upstream>(&what, name.to_owned(), action).await.map_err(|error| {
            let error = error.with_topic(name);
            match error.outcome {
                Outcome::Unknown => error.adding(&format!(": look whether it has {before} partitions or {after}")),
                _ => error,
            }
        })?;
        if wait_ready {
            self.ready(name, before..after, "has its new partitions").await?;
        }
        self.topic(name).await.map_err(done)
    }

    /// Adds a remote cluster to a topic that is a mirror's home.
    pub async fn add_mirror(&self, name: &str, remote_cluster: &str, home_to_remote: bool) -> Result<Topic> {
        check_name("remote_cluster", remote_cluster)?;
        let what = format!("adding mirror \"{remote_cluster}\" to topic \"{name}\"");
        let action = UpdateTopicAction::AddMirror(AddMirror {
            remote_cluster: remote_cluster.to_owned(),
            home_to_mirror: home_to_remote,
        });
        self.update::<Upstream>(&what, name.to_owned(), action).await.map_err(|error| error.with_topic(name))?;
        self.topic(name).await.map_err(done)
    }
}
