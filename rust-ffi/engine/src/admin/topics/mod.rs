//! Topics.

mod spec;

use std::collections::BTreeMap;
use std::sync::Arc;

use fluvio::FluvioAdmin;
use fluvio::metadata::topic::{
    AddMirror, AddPartition, TopicResolution as UpstreamResolution, TopicSpec as Upstream,
    TopicStatus as UpstreamStatus, UpdateTopicAction,
};
use fluvio_sc_schema::objects::Metadata;
use serde::Serialize;

use super::{Admin, CreateFlags, Kind, PartitionMirror, Spu, SpuResolution, check_name, done, exists, like, unsent};
use crate::error::{Error, ErrorKind, Outcome, Phase, Result};

pub use spec::*;
use spec::{check_topic_name, invalid_topic};

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

impl Admin {
    /// Creates a topic and returns it. Names and limits are checked before anything is sent. `wait_ready`: return once
    /// it can be produced to.
    pub async fn create_topic(
        &self,
        name: &str,
        spec: TopicSpec,
        flags: CreateFlags,
        wait_ready: bool,
    ) -> Result<Topic> {
        check_topic_name(name)?;
        spec.validate().map_err(|error| error.with_topic(name))?;
        let mut attempts = self.attempts();
        loop {
            let lost = |error: &Error| error.kind == ErrorKind::Connection;
            match self.try_create_topic(name, &spec, flags, wait_ready, attempts.perhaps()).await {
                // Where it may exist, creating it again changes nothing more.
                Err(error) if flags.exist_ok || flags.dry_run && lost(&error) => attempts.after(error).await?,
                created => return created,
            }
        }
    }

    /// `perhaps`: whether an earlier attempt may have created it.
    async fn try_create_topic(
        &self,
        name: &str,
        spec: &TopicSpec,
        flags: CreateFlags,
        wait_ready: bool,
        perhaps: bool,
    ) -> Result<Topic> {
        if let Err(refused) = self.check_capacity(name, spec).await.map_err(unsent) {
            return match self.find_topic(name).await.map_err(unsent)? {
                Some(topic) if flags.exist_ok => Ok(topic),
                Some(_) => Err(exists::<Topic>(name).with_topic(name)),
                None => Err(refused),
            };
        }
        let request = spec.clone().into_upstream(name);
        // The home of mirrors that are still to come has no partitions.
        let wait_ready = wait_ready && request.replicas().partitions() > 0;
        let planned = Metadata { name: name.to_owned(), spec: request.clone(), status: UpstreamStatus::default() };
        // The SC answers once the partitions are there, or gives up after 90 s; the topic itself is there at once.
        let known = self.session.metadata().read(|metadata| metadata.has_topic(name));
        let create = self.send_create("topic", name, flags, request);
        let created = if wait_ready || known || flags.dry_run {
            create.await
        } else {
            tokio::select! {
                created = create => created,
                appeared = self.session.metadata().wait(|metadata| metadata.has_topic(name).then_some(())) => appeared,
            }
        };
        match created {
            Err(error) if error.kind == ErrorKind::AlreadyExists && flags.exist_ok => {
                // What an earlier attempt has created is still to become ready.
                if !perhaps {
                    return self.topic(name).await;
                }
            }
            // Slow, not lost.
            Err(error)
                if error.kind == ErrorKind::Timeout
                    && !known
                    && self.session.metadata().read(|metadata| metadata.has_topic(name)) => {}
            Err(error) => return Err(error.with_topic(name)),
            Ok(()) if flags.dry_run => return Topic::from_upstream(planned),
            Ok(()) => {}
        }
        if wait_ready {
            self.ready(name, 1, "was created and exists").await?;
        }
        self.topic(name).await.map_err(done)
    }

    /// A replication factor that cannot be served would be waited for.
    async fn check_capacity(&self, name: &str, spec: &TopicSpec) -> Result<()> {
        if spec.mirror.is_some() {
            return Ok(());
        }
        let spus = self.list::<Spu>(None, false, false).await?;
        let online = |spu: &&Spu| spu.status.resolution == SpuResolution::Online;
        let online: Vec<i32> = spus.iter().filter(online).map(|spu| spu.spec.id).collect();
        // One that is away may come back.
        let refusal = |text, passes| {
            let error = invalid_topic(text).with_topic(name);
            Err(if passes { error.passing() } else { error })
        };
        match &spec.assignment {
            None if spec.replication as usize > online.len() => refusal(
                format!(
                    "replication is {}: it must be at most the number of SPUs that are online, {}",
                    spec.replication,
                    online.len()
                ),
                spec.replication as usize <= spus.len(),
            ),
            None => Ok(()),
            Some(assignment) => {
                let mut wanted = assignment.iter().flat_map(|one| &one.replicas);
                match wanted.find(|id| !online.contains(id)) {
                    Some(id) => refusal(
                        format!("assignment names SPU {id}, which is not online"),
                        spus.iter().any(|spu| spu.spec.id == *id),
                    ),
                    None => Ok(()),
                }
            }
        }
    }

    /// Waits until a topic with at least `partitions` partitions can be produced to.
    async fn ready(&self, name: &str, partitions: u32, what_is_done: &str) -> Result<()> {
        let enough = |metadata: &crate::metadata::Snapshot| {
            let ready =
                metadata.topic(name).is_some_and(|topic| topic.partitions >= partitions) && metadata.ready(name);
            ready.then_some(())
        };
        let overdue = |_| {
            let text = format!("topic \"{name}\" {what_is_done}, but is not ready yet");
            Error::timeout(Phase::Admin, text).with_topic(name)
        };
        self.session.metadata().find(name, &self.limit, enough, overdue).await.map_err(done)
    }

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
        let deleted = self.send_delete(&what, missing_ok, ErrorKind::TopicNotFound, delete).await;
        deleted.map_err(|error| error.with_topic(name))
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
            self.ready(name, after, "has its new partitions").await?;
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
