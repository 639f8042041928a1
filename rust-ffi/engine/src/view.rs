//! The client's view of its cluster: topics, partitions and SPUs, kept up to date by watches, read without I/O.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fluvio::FluvioAdmin;
use fluvio::metadata::objects::ListRequest;
use fluvio::metadata::partition::PartitionSpec;
use fluvio::metadata::spu::SpuSpec;
use fluvio::metadata::topic::{CompressionAlgorithm, TopicSpec};
use fluvio_cffi_wire::Codec;
use fluvio_controlplane_metadata::message::MsgType;
use fluvio_sc_schema::AdminSpec;
use fluvio_sc_schema::objects::{ListFilter, Metadata, MetadataUpdate, WatchResponse};
use futures_util::StreamExt;
use tokio::sync::{oneshot, watch};
use tokio::task::coop::consume_budget;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::control::{Control, Link, watch_error};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::events::{Announcer, ClientState, Event, Events};
use crate::guard::{self, TaskKind, maybe_panic};
use crate::limit::{Limit, Told, Trouble};

/// What the view does, for errors.
const WHAT: &str = "watching the cluster";

/// What one object takes in the view, about, beside its name.
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
struct SpuView {
    name: String,
    public: String,
    local: Option<String>,
}

/// What is known of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    topics: HashMap<String, TopicView>,
    /// By topic, then partition.
    partitions: HashMap<String, BTreeMap<u32, PartitionView>>,
    spus: HashMap<i32, SpuView>,
    /// Whether the SC has ever told of a topic.
    had_topics: bool,
    /// Set when the view will not change any more: its owner has closed it.
    ended: Option<Error>,
    /// How often the task that keeps it has panicked, and with what the last time: who waited then has waited in vain.
    panics: (u64, Option<Error>),
    reconnecting: bool,
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
    fn size(&self) -> usize {
        let topics = self.topics.keys().map(|name| ENTRY + name.len());
        let partitions = self.partitions.iter().map(|(topic, known)| (ENTRY + topic.len()) * (1 + known.len()));
        topics.chain(partitions).sum::<usize>() + self.spus.len() * ENTRY
    }

    /// Which of these partitions, with their leaders until now, have another one.
    fn moves(&self, before: impl IntoIterator<Item = (String, u32, i32)>) -> Vec<Event> {
        let moved = |(topic, partition, leader): (String, u32, i32)| {
            let now = self.partition(&topic, partition)?.leader;
            (now != leader).then(|| Event::leader_changed(topic, partition, now))
        };
        before.into_iter().filter_map(moved).collect()
    }
}

fn update<S>(item: Option<std::io::Result<WatchResponse<S>>>) -> Result<MetadataUpdate<S>>
where
    S: AdminSpec,
    S::Status: fluvio_protocol::Encoder + fluvio_protocol::Decoder,
{
    match item {
        Some(Ok(response)) => Ok(response.inner()),
        Some(Err(cause)) => Err(watch_error(&cause, &format!("watching {}s", S::LABEL.to_lowercase()))),
        None => Err(Error::new(ErrorKind::Connection, format!("{WHAT}: the SC closed the connection"))),
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
fn size_of_update<S>(update: &MetadataUpdate<S>) -> usize
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
    fn apply_topics(&mut self, update: MetadataUpdate<TopicSpec>) {
        apply(
            self,
            update,
            |view| view.topics.clear(),
            |view, topic| {
                if topic.status.resolution.is_being_deleted() {
                    view.topics.remove(&topic.name);
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
                    view.topics.insert(topic.name, state);
                    view.had_topics = true;
                }
            },
            |view, topic| {
                view.topics.remove(&topic.name);
            },
        );
    }

    fn apply_partitions(&mut self, update: MetadataUpdate<PartitionSpec>) {
        apply(
            self,
            update,
            |view| view.partitions.clear(),
            |view, object| {
                if let Some((topic, partition)) = replica(&object.name) {
                    let state = PartitionView { leader: object.spec.leader, online: object.status.is_online() };
                    view.partitions.entry(topic.to_owned()).or_default().insert(partition, state);
                }
            },
            |view, object| {
                if let Some((topic, partition)) = replica(&object.name)
                    && let Some(known) = view.partitions.get_mut(topic)
                {
                    known.remove(&partition);
                    if known.is_empty() {
                        view.partitions.remove(topic);
                    }
                }
            },
        );
    }

    fn apply_spus(&mut self, update: MetadataUpdate<SpuSpec>) {
        apply(
            self,
            update,
            |view| view.spus.clear(),
            |view, spu| {
                let public = spu.spec.public_endpoint.addr();
                let local = spu.spec.public_endpoint_local.map(|local| format!("{}:{}", local.host, local.port));
                view.spus.insert(spu.spec.id, SpuView { name: spu.name, public, local });
            },
            |view, spu| {
                view.spus.remove(&spu.spec.id);
            },
        );
    }
}

/// The view, shared by everything that a client made.
pub(crate) struct View {
    snapshot: watch::Sender<Snapshot>,
    control: Arc<Control>,
    announcer: Announcer,
    /// Why it does not see the cluster.
    trouble: Trouble,
}

/// Ends the view of a connect that was given up.
struct EndOnDrop(Option<Arc<View>>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if let Some(view) = self.0.take() {
            view.end(Error::closed("client"));
        }
    }
}

impl View {
    /// Connects and waits for the first state; also gives the cluster's version. Dropping the future ends the attempt.
    /// `promptly`: connecting takes no longer than a request may, since there will be other attempts.
    pub(crate) async fn start(control: Arc<Control>, promptly: bool) -> Result<(Arc<Self>, String)> {
        let view = Arc::new(Self {
            snapshot: watch::Sender::default(),
            control,
            announcer: Announcer::default(),
            trouble: Trouble::default(),
        });
        let mut given_up = EndOnDrop(Some(Arc::clone(&view)));
        let (announce, first) = oneshot::channel();
        let on_panic = Arc::clone(&view);
        guard::spawn(Arc::clone(&view).follow(announce, promptly), move |error| on_panic.end(error));
        // The task goes without a word only when it panicked.
        let version =
            first.await.unwrap_or_else(|_| Err(Error::internal("the task that watches the cluster has panicked")))?;
        given_up.0 = None;
        Ok((view, version))
    }

    /// Follows the cluster until the view ends: applies changes, and reconnects when the SC went away, or cannot be
    /// understood, or a panic was caught.
    async fn follow(self: Arc<Self>, announce: oneshot::Sender<Result<String>>, promptly: bool) {
        let mut announce = Some(announce);
        let mut backoff = Backoff::default();
        loop {
            let session = guard::caught(self.session(&mut announce, &mut backoff, promptly));
            let (error, panicked) = tokio::select! {
                ended = session => match ended {
                    Ok(error) => (error, false),
                    Err(panic) => (panic, true),
                },
                _ = self.ended() => return,
            };
            if let Some(announce) = announce.take() {
                let _ = announce.send(Err(error));
                return;
            }
            self.control.counters().note(error.kind);
            self.trouble.note(error.clone());
            self.snapshot.send_modify(|view| {
                view.reconnecting = true;
                if panicked {
                    view.panics = (view.panics.0 + 1, Some(error.clone()));
                }
            });
            self.announcer.state(ClientState::Reconnecting, Some(error.message));
            tokio::select! {
                () = backoff.wait() => {}
                _ = self.ended() => return,
            }
        }
    }

    /// One connection to the SC, from its watches' first state to its end, which is the error returned.
    async fn session(
        &self,
        announce: &mut Option<oneshot::Sender<Result<String>>>,
        backoff: &mut Backoff,
        promptly: bool,
    ) -> Error {
        let deadline = Instant::now() + self.control.timeout();
        let connected = match announce {
            // Whoever waits for the only one has a deadline.
            Some(_) if !promptly => self.until(deadline, self.control.connect()).await,
            _ => self.control.reconnect().await,
        };
        match connected {
            Ok(link) => link.explain(WHAT, self.watch(&link, deadline, announce, backoff).await),
            Err(error) => error,
        }
    }

    /// Watches the cluster on one connection, to its end, which is the error returned.
    async fn watch(
        &self,
        link: &Link,
        deadline: Instant,
        announce: &mut Option<oneshot::Sender<Result<String>>>,
        backoff: &mut Backoff,
    ) -> Error {
        let admin = &link.admin;
        let opened = async {
            let what = |error: anyhow::Error| Error::from_anyhow(&error, WHAT);
            let mut topics = admin.watch::<TopicSpec>().await.map_err(what)?;
            let mut partitions = admin.watch::<PartitionSpec>().await.map_err(what)?;
            let mut spus = admin.watch::<SpuSpec>().await.map_err(what)?;
            // Each watch sends the whole state first.
            let mut snapshot = Snapshot::default();
            snapshot.apply_topics(update(topics.next().await)?);
            snapshot.apply_partitions(update(partitions.next().await)?);
            snapshot.apply_spus(update(spus.next().await)?);
            Ok((topics, partitions, spus, snapshot))
        };
        let opened = self.until(deadline, link.alive(WHAT, opened));
        let (mut topics, mut partitions, mut spus, snapshot) = match opened.await {
            Ok(opened) => opened,
            Err(error) => return error,
        };
        let mut moves = Vec::new();
        self.snapshot.send_modify(|view| {
            let before = std::mem::take(view);
            let had_topics = before.had_topics || snapshot.had_topics;
            *view = Snapshot { ended: before.ended, had_topics, panics: before.panics, ..snapshot };
            moves = view.moves(before.partitions.into_iter().flat_map(|(topic, partitions)| {
                partitions.into_iter().map(move |(partition, state)| (topic.clone(), partition, state.leader))
            }));
        });
        backoff.reset();
        self.trouble.clear();
        self.announcer.state(ClientState::Connected, None);
        moves.iter().for_each(|event| self.announcer.tell(event));
        match announce.take() {
            Some(announce) => drop(announce.send(Ok(link.version.clone()))),
            None => self.control.counters().reconnects.add(1),
        }
        let mut silent = pin!(self.control.watch_over(link));
        let mut told = Told::default();
        loop {
            maybe_panic(TaskKind::View);
            let applied = tokio::select! {
                item = topics.next() => update(item).map(|update| {
                    let size = size_of_update(&update);
                    self.snapshot.send_modify(|view| view.apply_topics(update));
                    size
                }),
                item = partitions.next() => update(item).map(|update| {
                    let size = size_of_update(&update);
                    self.set_partitions(update);
                    size
                }),
                item = spus.next() => update(item).map(|update| {
                    let size = size_of_update(&update);
                    self.snapshot.send_modify(|view| view.apply_spus(update));
                    size
                }),
                error = &mut silent => Err(error),
            };
            let held = applied.and_then(|size| told.more(size, WHAT, || self.snapshot.borrow().size()));
            if let Err(error) = held {
                return error;
            }
            // The crate's queues do not make a task take turns.
            consume_budget().await;
        }
    }

    fn set_partitions(&self, update: MetadataUpdate<PartitionSpec>) {
        let objects = update.all.iter().chain(update.changes.iter().map(|change| &change.content));
        let named: Vec<_> = objects
            .filter_map(|object| replica(&object.name))
            .map(|(topic, number)| (topic.to_owned(), number))
            .collect();
        let mut moves = Vec::new();
        self.snapshot.send_modify(|view| {
            let before: Vec<_> = named
                .into_iter()
                .filter_map(|(topic, number)| view.partition(&topic, number).map(|state| (topic, number, state.leader)))
                .collect();
            view.apply_partitions(update);
            moves = view.moves(before);
        });
        moves.iter().for_each(|event| self.announcer.tell(event));
    }

    async fn until<T>(&self, deadline: Instant, step: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout_at(deadline, step).await.unwrap_or_else(|_| {
            let (endpoint, seconds) = (self.control.endpoint(), self.control.timeout().as_secs_f64());
            let text = format!("connection to the SC at {endpoint}: no answer within {seconds} s");
            Err(Error::timeout(Phase::Connect, text))
        })
    }

    /// Ends the view: every wait on it ends with `error`.
    pub(crate) fn end(&self, error: Error) {
        self.snapshot.send_modify(|view| {
            view.ended.get_or_insert(error);
        });
        self.announcer.state(ClientState::Closed, None);
    }

    /// Whether the watches are alive.
    pub(crate) fn state(&self) -> ClientState {
        let view = self.snapshot.borrow();
        match (&view.ended, view.reconnecting) {
            (Some(_), _) => ClientState::Closed,
            (None, true) => ClientState::Reconnecting,
            (None, false) => ClientState::Connected,
        }
    }

    /// What happens from now on.
    pub(crate) fn events(&self) -> Events {
        self.announcer.listen()
    }

    /// Reads the current state.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Snapshot) -> T) -> T {
        read(&self.snapshot.borrow())
    }

    /// Waits until `read` finds something; fails when the view ends, or the task that keeps it panics.
    pub(crate) async fn wait<T>(&self, mut read: impl FnMut(&Snapshot) -> Option<T>) -> Result<T> {
        let mut found = None;
        let mut updates = self.snapshot.subscribe();
        let before = updates.borrow().panics.0;
        let view = updates.wait_for(|view| {
            found = read(view);
            found.is_some() || view.ended.is_some() || view.panics.0 != before
        });
        let failed = match view.await {
            Ok(view) => view.ended.clone().or_else(|| view.panics.1.clone()),
            Err(_) => None,
        };
        found.ok_or_else(|| failed.unwrap_or_else(|| Error::closed("client")))
    }

    /// Waits until the view ends; says why.
    pub(crate) async fn ended(&self) -> Error {
        let mut ended = None;
        let mut updates = self.snapshot.subscribe();
        let view = updates.wait_for(|view| {
            ended.clone_from(&view.ended);
            ended.is_some()
        });
        drop(view.await);
        ended.unwrap_or_else(|| Error::closed("client"))
    }

    /// Something that resolves at the next change.
    pub(crate) fn changes(&self) -> watch::Receiver<Snapshot> {
        self.snapshot.subscribe()
    }

    /// The name of SPU `spu`, and the address that it is dialled at.
    pub(crate) fn address(&self, spu: i32) -> Option<(String, String)> {
        self.read(|view| {
            let SpuView { name, public, local } = view.spus.get(&spu)?;
            let local = local.as_ref().filter(|_| self.control.use_spu_local_address());
            Some((name.clone(), local.unwrap_or(public).clone()))
        })
    }

    /// Waits, no longer than `limit`, for what `read` finds about `topic`. Asks the SC for a topic that the view does
    /// not know, or no longer: absent is an error at once. It asks again while the view hears nothing, since a topic
    /// may be deleted before the view has heard of it.
    pub(crate) async fn find<T>(
        &self,
        topic: &str,
        limit: &Limit,
        mut read: impl FnMut(&Snapshot) -> Option<T>,
        overdue: impl Fn(Duration) -> Error,
    ) -> Result<T> {
        let waiting = limit.with(&self.trouble);
        let mut backoff = Backoff::default();
        loop {
            let mut known = self.read(|view| view.has_topic(topic));
            if !known {
                self.require(topic, limit).await?;
            }
            let unheard = !known;
            let found_or_gone = self.wait(|view| match read(view) {
                None if known && !view.has_topic(topic) => Some(None),
                None => {
                    known |= view.has_topic(topic);
                    None
                }
                found => Some(found),
            });
            tokio::select! {
                found = waiting.hold(found_or_gone, &overdue) => if let Some(found) = found? {
                    return Ok(found);
                },
                () = backoff.wait(), if unheard => {}
            }
        }
    }

    /// What is known of `topic`, once all of its partitions are known; an error at once if there is no such topic.
    pub(crate) async fn topic(&self, topic: &str, limit: &Limit) -> Result<TopicView> {
        if let Some(state) = self.read(|view| view.topic(topic)) {
            return Ok(state);
        }
        self.request_refresh();
        let overdue = |timeout: Duration| {
            let seconds = timeout.as_secs_f64();
            let text = format!("topic \"{topic}\" exists, but its partitions were not there within {seconds} s");
            Error::timeout(Phase::Connect, text).with_topic(topic)
        };
        self.find(topic, limit, |view| view.topic(topic), overdue).await
    }

    /// Has the SC asked soon whether it is still there to correct the view, which turned out wrong, or too small.
    pub(crate) fn request_refresh(&self) {
        self.control.request_probe();
    }

    /// Asks the SC whether `topic` exists; an error if not.
    pub(crate) async fn require(&self, topic: &str, limit: &Limit) -> Result<()> {
        let mut attempts = limit.attempts(self.control.counters());
        while let Err(error) = self.look_up(topic, limit).await {
            attempts.after(error).await?;
        }
        Ok(())
    }

    async fn look_up(&self, topic: &str, limit: &Limit) -> Result<()> {
        let what = format!("looking up topic \"{topic}\"");
        let is_it = |name: &String| name == topic;
        let is_listed =
            async || Ok::<_, Error>(self.names(limit, &what, vec![topic.to_owned()], false).await?.iter().any(is_it));
        if is_listed().await? || self.read(|view| view.has_topic(topic)) {
            return Ok(());
        }
        let system = self.names(limit, &what, Vec::new(), true).await?;
        if system.iter().any(is_it) {
            return Ok(());
        }
        // The real SC answers before it has read what it keeps, and then knows of nothing at all: that says as little
        // of this topic. It always has one of its own.
        if self.read(|view| view.had_topics) {
            if system.is_empty() && self.names(limit, &what, Vec::new(), false).await?.is_empty() {
                let text = format!("{what}: the SC knows no topic at all, as one that has only just started");
                return Err(Error::new(ErrorKind::Connection, text));
            }
            // It may have done so since it was asked.
            if is_listed().await? {
                return Ok(());
            }
        }
        Err(Error::topic_not_found(topic))
    }

    /// The names of topics that the SC lists.
    async fn names(&self, limit: &Limit, what: &str, filters: Vec<String>, system: bool) -> Result<Vec<String>> {
        let list = |admin: Arc<FluvioAdmin>| {
            let filters = filters.iter().cloned().map(Into::into).collect::<Vec<ListFilter>>();
            let request = ListRequest::<TopicSpec>::new(filters, true).system(system);
            async move { admin.list_with_config::<TopicSpec, String>(request).await }
        };
        let listed = self.control.short(limit, what, list).await?;
        Ok(listed.into_iter().map(|topic| topic.name).collect())
    }
}
