//! What a client knows of its cluster: topics, partitions and SPUs, kept up to date by watches, read without I/O.

mod snapshot;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fluvio::FluvioAdmin;
use fluvio::metadata::objects::ListRequest;
use fluvio::metadata::partition::PartitionSpec;
use fluvio::metadata::spu::SpuSpec;
use fluvio::metadata::topic::TopicSpec;
use fluvio_sc_schema::AdminSpec;
use fluvio_sc_schema::objects::{ListFilter, MetadataUpdate, WatchResponse};
use futures_util::StreamExt;
use tokio::sync::{oneshot, watch};
use tokio::task::coop::consume_budget;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::controller::{Controller, Link, watch_error};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::events::{Announcer, ClientState, Event, Events};
use crate::guard::{self, TaskKind, maybe_panic};
use crate::limit::{Limit, Told, Trouble};
use crate::log::log;

pub(crate) use snapshot::{PartitionView, Snapshot, TopicView, replica};
use snapshot::{SpuView, size_of_update};

/// What is done here, for errors.
const WHAT: &str = "watching the cluster";

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

/// The metadata, shared by everything that a client made.
pub(crate) struct ClusterMetadata {
    snapshot: watch::Sender<Snapshot>,
    controller: Arc<Controller>,
    announcer: Announcer,
    /// Why it does not see the cluster.
    trouble: Trouble,
}

/// Ends the metadata of a connect that was given up.
struct EndOnDrop(Option<Arc<ClusterMetadata>>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if let Some(metadata) = self.0.take() {
            metadata.end(Error::closed("client"));
        }
    }
}

impl ClusterMetadata {
    /// Connects and waits for the first state; also gives the cluster's version. Dropping the future ends the attempt.
    /// `promptly`: connecting takes no longer than a request may, since there will be other attempts.
    pub(crate) async fn start(controller: Arc<Controller>, promptly: bool) -> Result<(Arc<Self>, String)> {
        let metadata = Arc::new(Self {
            snapshot: watch::Sender::default(),
            controller,
            announcer: Announcer::default(),
            trouble: Trouble::default(),
        });
        let mut given_up = EndOnDrop(Some(Arc::clone(&metadata)));
        let (announce, first) = oneshot::channel();
        let on_panic = Arc::clone(&metadata);
        guard::spawn(Arc::clone(&metadata).follow(announce, promptly), move |error| on_panic.end(error));
        // The task goes without a word only when it panicked.
        let version =
            first.await.unwrap_or_else(|_| Err(Error::internal("the task that watches the cluster has panicked")))?;
        given_up.0 = None;
        Ok((metadata, version))
    }

    /// Follows the cluster until the metadata ends: applies changes, and reconnects when the SC went away, or cannot be
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
            self.controller.counters().note(error.kind);
            self.tell_lost(&error, panicked);
            self.trouble.note(error.clone());
            self.snapshot.send_modify(|metadata| {
                metadata.reconnecting = true;
                if panicked {
                    metadata.panics = (metadata.panics.0 + 1, Some(error.clone()));
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
        let deadline = Instant::now() + self.controller.timeout();
        let connected = match announce {
            // Whoever waits for the only one has a deadline.
            Some(_) if !promptly => self.until(deadline, self.controller.connect()).await,
            _ => self.controller.reconnect().await,
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
        self.snapshot.send_modify(|metadata| {
            let mut before = std::mem::replace(metadata, snapshot);
            metadata.follow(&mut before);
            moves = metadata.moves(before.partitions.into_iter().flat_map(|(topic, partitions)| {
                partitions.into_iter().map(move |(partition, state)| (topic.clone(), partition, state.leader))
            }));
        });
        backoff.reset();
        self.trouble.clear();
        self.announcer.state(ClientState::Connected, None);
        self.tell_moves(&moves);
        let (counters, address) = (self.controller.counters(), self.controller.endpoint());
        match announce.take() {
            Some(announce) => {
                log!(INFO, CLUSTER, counters, "connected to the cluster", address, version = &*link.version);
                drop(announce.send(Ok(link.version.clone())));
            }
            None => {
                log!(INFO, CLUSTER, counters, "the SC is back", address, version = &*link.version);
                counters.reconnects.add(1);
            }
        }
        let mut silent = pin!(self.controller.watch_over(link));
        let mut told = Told::default();
        loop {
            maybe_panic(TaskKind::Metadata);
            let applied = tokio::select! {
                item = topics.next() => update(item).map(|update| {
                    let size = size_of_update(&update);
                    self.snapshot.send_modify(|metadata| metadata.apply_topics(update));
                    size
                }),
                item = partitions.next() => update(item).map(|update| {
                    let size = size_of_update(&update);
                    self.set_partitions(update);
                    size
                }),
                item = spus.next() => update(item).map(|update| {
                    let size = size_of_update(&update);
                    self.snapshot.send_modify(|metadata| metadata.apply_spus(update));
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
        self.snapshot.send_modify(|metadata| {
            let before: Vec<_> = named
                .into_iter()
                .filter_map(|(topic, number)| {
                    metadata.partition(&topic, number).map(|state| (topic, number, state.leader))
                })
                .collect();
            metadata.apply_partitions(update);
            moves = metadata.moves(before);
        });
        self.tell_moves(&moves);
    }

    /// Other SPUs lead partitions now.
    fn tell_moves(&self, moves: &[Event]) {
        for event in moves {
            let (topic, partition, spu) = (event.topic.as_deref(), event.partition, event.leader);
            log!(INFO, CLUSTER, self.controller.counters(), "another SPU leads a partition", topic, partition, spu);
            self.announcer.tell(event);
        }
    }

    /// The cluster is out of sight: said loudly once, until it is seen again.
    fn tell_lost(&self, error: &Error, panicked: bool) {
        let (counters, address) = (self.controller.counters(), self.controller.endpoint());
        if panicked {
            log!(ERROR, CLUSTER, counters, "the watch of the cluster begins anew", address, reason = %error.reason());
        } else if self.state() == ClientState::Connected {
            log!(WARN, CLUSTER, counters, "the SC is away, and is dialled again", address, reason = %error.reason());
        } else {
            log!(DEBUG, CLUSTER, counters, "the SC is still away", address, reason = %error.reason());
        }
    }

    async fn until<T>(&self, deadline: Instant, step: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout_at(deadline, step).await.unwrap_or_else(|_| {
            let (endpoint, seconds) = (self.controller.endpoint(), self.controller.timeout().as_secs_f64());
            let text = format!("connection to the SC at {endpoint}: no answer within {seconds} s");
            Err(Error::timeout(Phase::Connect, text))
        })
    }

    /// Ends the metadata: every wait on it ends with `error`.
    pub(crate) fn end(&self, error: Error) {
        self.snapshot.send_modify(|metadata| {
            metadata.ended.get_or_insert(error);
        });
        self.announcer.state(ClientState::Closed, None);
    }

    /// Whether the watches are alive.
    pub(crate) fn state(&self) -> ClientState {
        let metadata = self.snapshot.borrow();
        match (&metadata.ended, metadata.reconnecting) {
            (Some(_), _) => ClientState::Closed,
            (None, true) => ClientState::Reconnecting,
            (None, false) => ClientState::Connected,
        }
    }

    /// What happens from now on.
    pub(crate) fn events(&self) -> Events {
        self.announcer.listen()
    }

    /// Tells those who listen what happened.
    pub(crate) fn announce(&self, event: &Event) {
        self.announcer.tell(event);
    }

    /// Reads the current state.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Snapshot) -> T) -> T {
        read(&self.snapshot.borrow())
    }

    /// Waits until `read` finds something; fails when the metadata ends, or the task that keeps it panics.
    pub(crate) async fn wait<T>(&self, mut read: impl FnMut(&Snapshot) -> Option<T>) -> Result<T> {
        let mut found = None;
        let mut updates = self.snapshot.subscribe();
        let before = updates.borrow().panics.0;
        let metadata = updates.wait_for(|metadata| {
            found = read(metadata);
            found.is_some() || metadata.ended.is_some() || metadata.panics.0 != before
        });
        let failed = match metadata.await {
            Ok(metadata) => metadata.ended.clone().or_else(|| metadata.panics.1.clone()),
            Err(_) => None,
        };
        found.ok_or_else(|| failed.unwrap_or_else(|| Error::closed("client")))
    }

    /// Waits until the metadata ends; says why.
    pub(crate) async fn ended(&self) -> Error {
        let mut ended = None;
        let mut updates = self.snapshot.subscribe();
        let metadata = updates.wait_for(|metadata| {
            ended.clone_from(&metadata.ended);
            ended.is_some()
        });
        drop(metadata.await);
        ended.unwrap_or_else(|| Error::closed("client"))
    }

    /// Something that resolves at the next change.
    pub(crate) fn changes(&self) -> watch::Receiver<Snapshot> {
        self.snapshot.subscribe()
    }

    /// The name of SPU `spu`, and the address that it is dialled at.
    pub(crate) fn address(&self, spu: i32) -> Option<(String, String)> {
        self.read(|metadata| {
            let SpuView { name, public, local } = metadata.spus.get(&spu)?;
            let local = local.as_ref().filter(|_| self.controller.use_spu_local_address());
            Some((name.clone(), local.unwrap_or(public).clone()))
        })
    }

    /// Waits, no longer than `limit`, for what `read` finds about `topic`. Asks the SC for a topic that the metadata does
    /// not know, or no longer: absent is an error at once. It asks again while the metadata hears nothing, since a topic
    /// may be deleted before the metadata has heard of it.
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
            let mut known = self.read(|metadata| metadata.has_topic(topic));
            if !known {
                self.require(topic, limit).await?;
            }
            let unheard = !known;
            let found_or_gone = self.wait(|metadata| match read(metadata) {
                None if known && !metadata.has_topic(topic) => Some(None),
                None => {
                    known |= metadata.has_topic(topic);
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
        if let Some(state) = self.read(|metadata| metadata.topic(topic)) {
            return Ok(state);
        }
        self.request_refresh();
        let overdue = |timeout: Duration| {
            let seconds = timeout.as_secs_f64();
            let text = format!("topic \"{topic}\" exists, but its partitions were not there within {seconds} s");
            Error::timeout(Phase::Connect, text).with_topic(topic)
        };
        self.find(topic, limit, |metadata| metadata.topic(topic), overdue).await
    }

    /// Has the SC asked soon whether it is still there to correct the metadata, which turned out wrong, or too small.
    pub(crate) fn request_refresh(&self) {
        self.controller.request_probe();
    }

    /// Asks the SC whether `topic` exists; an error if not.
    pub(crate) async fn require(&self, topic: &str, limit: &Limit) -> Result<()> {
        let mut attempts = limit.attempts(self.controller.counters());
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
        if is_listed().await? || self.read(|metadata| metadata.has_topic(topic)) {
            return Ok(());
        }
        let system = self.names(limit, &what, Vec::new(), true).await?;
        if system.iter().any(is_it) {
            return Ok(());
        }
        // The real SC answers before it has read what it keeps, and then knows of nothing at all: that says as little
        // of this topic. It always has one of its own.
        if self.read(|metadata| metadata.had_topics) {
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
        let listed = self.controller.short(limit, what, list).await?;
        Ok(listed.into_iter().map(|topic| topic.name).collect())
    }
}
