//! Consumer groups: who shares the partitions of a topic, and where they are.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use fluvio_cffi_group::{Command, GroupKey, LOG_PARTITIONS, State};
use futures_util::future::join_all;
use serde::Serialize;

use super::{Admin, ResetTo};
use crate::commits::Commits;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::group_log::{DEFAULT_LOG, Observer, Place, keys};
use crate::limit::took_longer;
use crate::log_offsets::{Bounds, bounds, known_leader, logs_bounds};
use crate::stored_offsets;

/// A group, in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupSummary {
    /// Its name.
    pub group: String,
    /// The topic whose partitions its members share.
    pub topic: String,
    /// Rises whenever members or owners change.
    pub generation: i64,
    /// How many members.
    pub members: usize,
    /// How many partitions.
    pub partitions: usize,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its name.
    pub group: String,
    /// The topic whose partitions its members share.
    pub topic: String,
    /// Rises whenever members or owners change; -1: nobody has joined since the log began.
    pub generation: i64,
    /// In the order of joining.
    pub members: Vec<GroupMemberState>,
    /// By their numbers.
    pub partitions: Vec<GroupPartition>,
}

impl Group {
    /// One of which nobody knows anything.
    pub(super) fn empty(key: &GroupKey) -> Self {
        let (group, topic) = (key.group().to_owned(), key.topic().to_owned());
        Self { group, topic, generation: -1, members: Vec::new(), partitions: Vec::new() }
    }
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupMemberState {
    /// Drawn at its join.
    pub id: String,
    /// A name that survives a restart.
    pub instance: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it runs.
    pub host: String,
    /// Whoever is silent for so long may be evicted, milliseconds.
    pub session_ms: u32,
    /// What it owns.
    pub partitions: Vec<u32>,
    /// Milliseconds since its last sign of life, as far as clocks agree; 0 if that was not read.
    pub silent_ms: u64,
}

/// A partition of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupPartition {
    /// Its number.
    pub partition: u32,
    /// The id of the member that reads it.
    pub owner: Option<String>,
    /// Never repeats, and rises with each owner; -1: it never had one.
    pub epoch: i64,
    /// Whether its owner is asked to give it up.
    pub moving: bool,
    /// The last processed record; -1: none, but it is begun with the first.
    pub committed: Option<i64>,
    /// Where its log ends. `None`: its leader does not answer.
    pub end: Option<i64>,
    /// How many records follow what is committed.
    pub lag: Option<u64>,
}

pub(super) fn key(group: &str, topic: &str) -> Result<GroupKey> {
    GroupKey::new(group, topic).map_err(|wrong| Error::invalid(wrong.to_string()))
}

fn unknown(group: &str, topic: &str) -> Error {
    let text = format!("group \"{group}\" on topic \"{topic}\" does not exist: list the groups to see which there are");
    Error::new(ErrorKind::GroupNotFound, text).with_topic(topic)
}

impl Admin {
    /// The groups that the log knows, of one topic or all. `log`: the topic of the log, unless it is the usual one.
    pub async fn groups(&self, topic: Option<&str>, log: Option<&str>) -> Result<Vec<GroupSummary>> {
        let log = log.unwrap_or(DEFAULT_LOG);
        self.within_group("listing consumer groups", async {
            if !self.has_log(log).await? {
                return Ok(Vec::new());
            }
            let of = |partition| async move {
                let place = Place { session: self.session.clone(), topic: log.to_owned(), partition };
                keys(&place, &self.limit).await
            };
            let mut found = Vec::new();
            for keys in join_all((0..LOG_PARTITIONS).map(of)).await {
                for key in keys?.into_iter().filter(|key| topic.is_none_or(|topic| key.topic() == topic)) {
                    let observer = Observer::open(&self.session, log, &key, &self.limit).await?;
                    let state = observer.replica().state();
                    if state.partitions.is_empty() {
                        continue;
                    }
                    found.push(GroupSummary {
                        group: key.group().to_owned(),
                        topic: key.topic().to_owned(),
                        generation: state.generation,
                        members: state.members.len(),
                        partitions: state.partitions.len(),
                    });
                }
            }
            found.sort_by(|a, b| (&a.group, &a.topic).cmp(&(&b.group, &b.topic)));
            Ok(found)
        })
        .await
    }

    /// One group.
    pub async fn group(&self, group: &str, topic: &str, log: Option<&str>) -> Result<Group> {
        let key = key(group, topic)?;
        self.within_group("looking for a consumer group", async {
            let observer = self.observe(&key, log).await?;
            self.describe(&key, observer.as_ref()).await
        })
        .await
    }

    /// Stores where a group goes on, in all partitions or in those that are named. Silent members are evicted, which
    /// may take a session.
    pub async fn reset_group(
        &self,
        group: &str,
        topic: &str,
        to: Option<ResetTo>,
        partitions: &BTreeMap<u32, ResetTo>,
        log: Option<&str>,
    ) -> Result<Group> {
        let key = key(group, topic)?;
        self.within_group("resetting a consumer group", async {
            let mut observer = self.observe(&key, log).await?;
            let known = self.describe(&key, observer.as_ref()).await?;
            let offsets = self.targets(&known, to, partitions).await?;
            if let Some(observer) = &mut observer {
                observer.empty().await?;
                let generation = observer.replica().state().generation;
                let reset = Command::Reset { generation, offsets: offsets.clone() };
                if !observer.replica().state().partitions.is_empty() && !observer.apply(&reset).await? {
                    return Err(not_empty(&key));
                }
            }
            Commits::new(self.session.clone(), topic, group).commit(&offsets, &self.limit).await?;
            self.describe(&key, observer.as_ref()).await
        })
        .await
    }

    /// Forgets a group and what it has stored. Silent members are evicted, which may take a session.
    pub async fn delete_group(&self, group: &str, topic: &str, log: Option<&str>) -> Result<()> {
        let key = key(group, topic)?;
        self.within_group("deleting a consumer group", async {
            let mut observer = self.observe(&key, log).await?;
            let known = self.describe(&key, observer.as_ref()).await?;
            if let Some(observer) = &mut observer {
                observer.empty().await?;
            }
            // First, so that nobody finds them where the log has nothing.
            for partition in &known.partitions {
                stored_offsets::forget(&self.session, group, topic, partition.partition, &self.limit).await?;
            }
            if let Some(observer) = &mut observer {
                let generation = observer.replica().state().generation;
                if !observer.replica().state().partitions.is_empty()
                    && !observer.apply(&Command::Delete { generation }).await?
                {
                    return Err(not_empty(&key));
                }
            }
            Ok(())
        })
        .await
    }

    /// Follows a group. `None`: there is no log.
    pub(super) async fn observe(&self, key: &GroupKey, log: Option<&str>) -> Result<Option<Observer>> {
        let log = log.unwrap_or(DEFAULT_LOG);
        match self.has_log(log).await? {
            true => Observer::open(&self.session, log, key, &self.limit).await.map(Some),
            false => Ok(None),
        }
    }

    async fn has_log(&self, log: &str) -> Result<bool> {
        match self.session.metadata().topic(log, &self.limit).await {
            Err(error) if error.kind == ErrorKind::TopicNotFound => Ok(false),
            known => known.map(|_| true),
        }
    }

    /// Where the partitions of a group are to go on: the last offsets that count as processed.
    async fn targets(
        &self,
        known: &Group,
        to: Option<ResetTo>,
        partitions: &BTreeMap<u32, ResetTo>,
    ) -> Result<Vec<(u32, i64)>> {
        let topic = &known.topic;
        let count = self.session.metadata().topic(topic, &self.limit).await?.partitions;
        let wanted: BTreeMap<u32, ResetTo> = match to {
            Some(to) => (0..count).map(|partition| (partition, to)).collect(),
            None => partitions.clone(),
        };
        if let Some(wrong) = wanted.keys().find(|partition| **partition >= count) {
            return Err(Error::partition_not_found(topic, i64::from(*wrong), count));
        }
        let bounds = logs_bounds(&self.session, topic, wanted.keys().copied().collect(), &self.limit).await?;
        let mut targets = Vec::new();
        for (partition, to) in wanted {
            let bounds = bounds.get(&partition).copied().unwrap_or_default();
            targets.push((partition, self.next_offset(to, topic, partition, bounds).await? - 1));
        }
        Ok(targets)
    }

    /// A group as the log has it; one that the log does not know as the cluster stores it.
    pub(super) async fn describe(&self, key: &GroupKey, observer: Option<&Observer>) -> Result<Group> {
        let state = observer.map(|observer| observer.replica().state()).filter(|state| !state.partitions.is_empty());
        let mut group = match state {
            Some(state) => from_state(key, state, observer),
            None => self.stored_group(key).await?,
        };
        let bounds = self.bounds_now(key.topic(), &group).await;
        for partition in &mut group.partitions {
            if let Some((start, end)) = bounds.get(&partition.partition) {
                let next = partition.committed.map_or(*start, |committed| (committed + 1).max(*start));
                partition.end = Some(*end);
                partition.lag = u64::try_from(end - next).ok().or(Some(0));
            }
        }
        Ok(group)
    }

    /// The bounds of the logs of a group's partitions, as far as their leaders tell them at once.
    async fn bounds_now(&self, topic: &str, group: &Group) -> BTreeMap<u32, Bounds> {
        let mut led: BTreeMap<i32, Vec<(String, u32)>> = BTreeMap::new();
        for partition in group.partitions.iter().map(|it| it.partition) {
            if let Some(leader) = known_leader(&self.session, topic, partition) {
                led.entry(leader).or_default().push((topic.to_owned(), partition));
            }
        }
        let asked = led.into_iter().map(|(spu, partitions)| bounds(&self.session, spu, partitions));
        let told = join_all(asked).await.into_iter().filter_map(Result::ok).flatten();
        told.filter_map(|((_, partition), bounds)| Some((partition, bounds.ok()?))).collect()
    }

    async fn stored_group(&self, key: &GroupKey) -> Result<Group> {
        let stored = Commits::new(self.session.clone(), key.topic(), key.group()).fetch(&self.limit).await?;
        if stored.is_empty() {
            return Err(unknown(key.group(), key.topic()));
        }
        let partition = |(partition, offset): (u32, i64)| GroupPartition {
            partition,
            owner: None,
            epoch: -1,
            moving: false,
            committed: Some(offset),
            end: None,
            lag: None,
        };
        let partitions = stored.into_iter().map(partition).collect();
        Ok(Group { partitions, ..Group::empty(key) })
    }

    pub(super) async fn within_group<T>(&self, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let overdue = |timeout| self.session.counters().noted(took_longer(Phase::Admin, what, timeout));
        self.limit.hold(work, overdue).await
    }
}

fn not_empty(key: &GroupKey) -> Error {
    let text =
        format!("group \"{}\" on topic \"{}\" has got members meanwhile: stop them first", key.group(), key.topic());
    Error::new(ErrorKind::GroupNotEmpty, text).with_topic(key.topic())
}

fn from_state(key: &GroupKey, state: &State, observer: Option<&Observer>) -> Group {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64);
    let members = state.members.iter().map(|member| GroupMemberState {
        id: member.id.to_string(),
        instance: member.instance.as_deref().map(str::to_owned),
        client_id: member.client_id.to_string(),
        host: member.host.to_string(),
        session_ms: member.session_ms,
        partitions: state.owned(member.id).map(|(partition, _)| partition).collect(),
        silent_ms: observer
            .and_then(|observer| observer.time(member.last_beat))
            .map_or(0, |time| u64::try_from(now - time).unwrap_or(0)),
    });
    let partitions = state.partitions.iter().zip(0..).map(|(it, partition)| GroupPartition {
        partition,
        owner: it.owner.map(|owner| owner.to_string()),
        epoch: it.epoch,
        moving: it.moving,
        committed: it.committed,
        end: None,
        lag: None,
    });
    Group {
        group: key.group().to_owned(),
        topic: key.topic().to_owned(),
        generation: state.generation,
        members: members.collect(),
        partitions: partitions.collect(),
    }
}
