//! Watches: a snapshot of the objects of a kind, then what becomes of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fluvio::FluvioAdmin;
use fluvio_controlplane_metadata::message::MsgType;
use fluvio_protocol::Encoder;
use fluvio_protocol::api::Request;
use fluvio_sc_schema::objects::{Metadata, ObjectApiWatchRequest, WatchResponse};
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, select_all};
use serde::Serialize;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::task::coop::consume_budget;

use super::{Admin, ClusterStatus, Kind, Partition, SmartModule, Spu, SpuGroup, TableFormat, Topic};
use crate::backoff::Backoff;
use crate::controller::{Link, watch_error};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{self, TaskKind, maybe_panic};
use crate::limit::{Limit, Told};
use crate::session::Session;

/// So many items wait for their reader, and so many bytes of them; then they are replaced by a snapshot.
const MOST_WAITING: usize = 1000;
const MOST_BYTES_WAITING: usize = 32 << 20;

/// What a watch does, for errors.
const WHAT: &str = "watching the cluster";

/// What can be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watchable {
    /// Topics.
    Topics,
    /// Partitions.
    Partitions,
    /// SPUs.
    Spus,
    /// SPU groups.
    SpuGroups,
    /// SmartModules, without code.
    SmartModules,
    /// Table formats.
    TableFormats,
    /// The state of the cluster as a whole.
    Cluster,
}

/// What a watch tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Object {
    /// A topic.
    Topic(Topic),
    /// A partition.
    Partition(Partition),
    /// An SPU.
    Spu(Spu),
    /// An SPU group.
    SpuGroup(SpuGroup),
    /// A SmartModule.
    SmartModule(SmartModule),
    /// A table format.
    TableFormat(TableFormat),
    /// The cluster.
    Cluster(ClusterStatus),
}

/// What became of the items of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// These are all there are.
    Snapshot,
    /// These are new or have changed.
    Updated,
    /// These are gone.
    Deleted,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What became of the items.
    pub kind: ChangeKind,
    /// The objects.
    pub items: Vec<Object>,
}

/// Kind, name, and number of a partition: also the order.
type Key = (Watchable, String, u32);

impl Object {
    fn key(&self) -> Key {
        match self {
            Self::Topic(topic) => (Watchable::Topics, topic.name.clone(), 0),
            Self::Partition(partition) => (Watchable::Partitions, partition.topic.clone(), partition.partition),
            Self::Spu(spu) => (Watchable::Spus, spu.name.clone(), 0),
            Self::SpuGroup(group) => (Watchable::SpuGroups, group.name.clone(), 0),
            Self::SmartModule(module) => (Watchable::SmartModules, module.name.clone(), 0),
            Self::TableFormat(format) => (Watchable::TableFormats, format.name.clone(), 0),
            Self::Cluster(_) => (Watchable::Cluster, String::new(), 0),
        }
    }
}

/// An object, and how many bytes it is on the wire.
#[derive(Clone)]
struct Weighed {
    object: Object,
    bytes: usize,
}

/// What the SC tells of one kind.
enum News {
    All(Vec<Weighed>),
    Changes(Vec<(ChangeKind, Weighed)>),
}

impl News {
    fn bytes(&self) -> usize {
        match self {
            Self::All(all) => all.iter().map(|told| told.bytes).sum(),
            Self::Changes(changes) => changes.iter().map(|(_, told)| told.bytes).sum(),
        }
    }
}

/// What is known, and what of it is still to be told.
#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Weighed>,
    /// Never a snapshot; each with the bytes of its items.
    waiting: VecDeque<(Change, usize)>,
    /// In all of `waiting`.
    items: usize,
    bytes: usize,
    /// Instead of what waits, everything is to be told.
    behind: bool,
    /// Of the cluster: something is to be told.
    changed: bool,
    /// A panic of the task, to be told once: it has begun anew.
    panic: Option<Error>,
    ended: Option<Error>,
}

impl State {
    fn replace(&mut self, objects: BTreeMap<Key, Weighed>) {
        self.objects = objects;
        self.fall_behind();
    }

    fn fall_behind(&mut self) {
        self.waiting.clear();
        self.items = 0;
        self.bytes = 0;
        self.changed = false;
        self.behind = true;
    }

    fn apply(&mut self, kind: ChangeKind, told: Weighed, what: Watchable) {
        let key = told.object.key();
        let news = match kind {
            ChangeKind::Deleted => self.objects.remove(&key).is_some(),
            _ => self.objects.insert(key, told.clone()).is_none_or(|before| before.object != told.object),
        };
        if !news || self.behind {
            return;
        }
        if what == Watchable::Cluster {
            self.changed = true;
            return;
        }
        let Weighed { object, bytes } = told;
        match self.waiting.back_mut() {
            Some((last, before)) if last.kind == kind => {
                last.items.push(object);
                *before += bytes;
            }
            _ => self.waiting.push_back((Change { kind, items: vec![object] }, bytes)),
        }
        self.items += 1;
        self.bytes += bytes;
        if self.items >= MOST_WAITING || self.bytes >= MOST_BYTES_WAITING {
            self.fall_behind();
        }
    }

    /// Of the cluster only the latest state is told.
    fn take_status(&mut self, session: &Session) -> Option<Change> {
        let kind = match (std::mem::take(&mut self.behind), std::mem::take(&mut self.changed)) {
            (true, _) => ChangeKind::Snapshot,
            (false, true) => ChangeKind::Updated,
            (false, false) => return None,
        };
        let objects = || self.objects.values().map(|known| &known.object);
        let topics = objects().filter(|object| matches!(object, Object::Topic(_))).count();
        let partitions = objects().filter_map(|object| match object {
            Object::Partition(partition) => Some(partition),
            _ => None,
        });
        let spus = objects().filter_map(|object| match object {
            Object::Spu(spu) => Some(spu),
            _ => None,
        });
        let status = ClusterStatus::of(session, topics, partitions, spus);
        Some(Change { kind, items: vec![Object::Cluster(status)] })
    }

    fn take(&mut self) -> Option<Change> {
        if std::mem::take(&mut self.behind) {
            let items = self.objects.values().map(|known| known.object.clone()).collect();
            return Some(Change { kind: ChangeKind::Snapshot, items });
        }
        let (change, bytes) = self.waiting.pop_front()?;
        self.items -= change.items.len();
        self.bytes -= bytes;
        Some(change)
    }

    fn is_ready(&self) -> bool {
        self.behind || self.changed || !self.waiting.is_empty() || self.panic.is_some() || self.ended.is_some()
    }
}

/// What a watch and its task share.
struct Shared {
    session: Session,
    what: Watchable,
    state: Mutex<State>,
    /// Called at each change.
    news: Notify,
}

/// A watch of a kind of objects. It connects again by itself, and ends when it is dropped.
pub struct Watch {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("what", &self.shared.what).finish_non_exhaustive()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Admin {
    /// Watches a kind of objects. The first state is there when this returns.
    pub async fn watch(&self, what: Watchable) -> Result<Watch> {
        let controller = self.session.controller();
        let open = async {
            let mut attempts = self.limit.attempts(controller.counters());
            loop {
                match self.try_watch(what).await {
                    Err(error) => attempts.after(error).await?,
                    watch => return watch,
                }
            }
        };
        controller.bounded(&self.limit, "opening a watch", open).await
    }

    async fn try_watch(&self, what: Watchable) -> Result<Watch> {
        let shared =
            Arc::new(Shared { session: self.session.clone(), what, state: Mutex::default(), news: Notify::new() });
        let (announce, first) = oneshot::channel();
        let on_panic = Arc::clone(&shared);
        let task = guard::spawn(Arc::clone(&shared).follow(announce), move |error| on_panic.end(error));
        // From here on: whoever gives up the wait ends the task.
        let watch = Watch { shared, task: Mutex::new(Some(task)) };
        // The task goes without a word only when it panicked.
        first.await.unwrap_or_else(|_| Err(Error::internal("the task of a watch has panicked")))?;
        Ok(watch)
    }
}

impl Watch {
    /// The next change, if there is one. An error stays, unless it is that of a panic: after that everything is told
    /// anew.
    pub fn take(&self) -> Result<Option<Change>> {
        let mut state = self.shared.state();
        if let Some(closed) = state.ended.as_ref().filter(|error| error.kind == ErrorKind::Closed) {
            return Err(closed.clone());
        }
        if let Some(panic) = state.panic.take() {
            return Err(panic);
        }
        let change = match self.shared.what {
            Watchable::Cluster => state.take_status(&self.shared.session),
            _ => state.take(),
        };
        match (change, &state.ended) {
            (Some(change), _) => Ok(Some(change)),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Ok(None),
        }
    }

    /// Waits until [`Watch::take`] has something to say.
    pub async fn ready(&self) {
        loop {
            let news = self.shared.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if self.shared.state().is_ready() {
                return;
            }
            news.await;
        }
    }

    /// Ends it: a wait ends, a take says that it is closed.
    pub async fn close(&self) {
        self.stop();
        let task = self.task().take();
        if let Some(task) = task {
            // It was told to end: how does not matter.
            let _ = task.await;
        }
    }

    /// As [`Watch::close`], without waiting for the end.
    pub fn stop(&self) {
        self.shared.end(Error::closed("watch"));
        if let Some(task) = self.task().as_ref() {
            task.abort();
        }
    }

    fn task(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A close wins over what went wrong before.
    fn end(&self, error: Error) {
        let mut state = self.state();
        if state.ended.is_none() || error.kind == ErrorKind::Closed {
            state.ended = Some(error);
        }
        drop(state);
        self.news.notify_waiters();
    }

    /// Follows the cluster, over one connection after another, until the client closes or the SC cannot be understood.
    async fn follow(self: Arc<Self>, announce: oneshot::Sender<Result<()>>) {
        let mut announce = Some(announce);
        let mut backoff = Backoff::default();
        let metadata = self.session.metadata();
        loop {
            let session = guard::caught(self.session(&mut announce, &mut backoff));
            let ended = tokio::select! {
                ended = session => ended,
                closed = metadata.ended() => Ok(closed),
            };
            // Whoever opens it hears of whatever it is.
            if let Some(announce) = announce.take() {
                let _ = announce.send(Err(ended.unwrap_or_else(|panic| panic)));
                return;
            }
            match ended {
                Ok(error) if matches!(error.kind, ErrorKind::Version | ErrorKind::Closed) => return self.end(error),
                Ok(_) => {}
                Err(panic) => {
                    self.state().panic = Some(panic);
                    self.news.notify_waiters();
                }
            }
            tokio::select! {
                () = backoff.wait() => {}
                closed = metadata.ended() => return self.end(closed),
            }
        }
    }

    /// One connection to the SC, to its end, which is the error returned.
    async fn session(&self, announce: &mut Option<oneshot::Sender<Result<()>>>, backoff: &mut Backoff) -> Error {
        let controller = self.session.controller();
        match controller.reconnect().await {
            Ok(link) => link.explain(WHAT, self.watch(&link, announce, backoff).await),
            Err(error) => error,
        }
    }

    /// Watches on one connection, to its end, which is the error returned.
    async fn watch(
        &self,
        link: &Link,
        announce: &mut Option<oneshot::Sender<Result<()>>>,
        backoff: &mut Backoff,
    ) -> Error {
        let controller = self.session.controller();
        let opened = async {
            let mut news = select_all(self.streams(&link.admin).await?);
            // Each stream tells everything first.
            let mut missing: BTreeSet<Watchable> = self.parts().iter().copied().collect();
            let mut objects = BTreeMap::new();
            let mut told = Told::default();
            while !missing.is_empty() {
                let (part, all) = next(&mut news).await?;
                told.more(all.bytes(), WHAT, || size_of_all(&objects))?;
                missing.remove(&part);
                merge(&mut objects, part, all);
            }
            Ok((news, objects))
        };
        let opened = link.alive(WHAT, opened);
        let limit = Limit::new(Some(controller.timeout()));
        let (mut news, objects) = match controller.bounded(&limit, WHAT, opened).await {
            Ok(opened) => opened,
            Err(error) => return error,
        };
        self.state().replace(objects);
        self.news.notify_waiters();
        backoff.reset();
        if let Some(announce) = announce.take() {
            let _ = announce.send(Ok(()));
        }
        let mut silent = pin!(controller.watch_over(link));
        let mut told = Told::default();
        loop {
            let (part, update) = tokio::select! {
                next = next(&mut news) => match next {
                    Ok(next) => next,
                    Err(error) => return error,
                },
                error = &mut silent => return error,
            };
            let bytes = update.bytes();
            {
                let mut state = self.state();
                match update {
                    News::All(_) => {
                        let mut objects = std::mem::take(&mut state.objects);
                        merge(&mut objects, part, update);
                        state.replace(objects);
                    }
                    News::Changes(changes) => {
                        changes.into_iter().for_each(|(kind, object)| state.apply(kind, object, self.what));
                    }
                }
                if let Err(error) = told.more(bytes, WHAT, || size_of_all(&state.objects)) {
                    return error;
                }
            }
            self.news.notify_waiters();
            maybe_panic(TaskKind::Watch);
            // The crate's queues do not make a task take turns.
            consume_budget().await;
        }
    }

    /// The kinds that it takes to tell of what is watched.
    fn parts(&self) -> &'static [Watchable] {
        use Watchable as W;
        match self.what {
            W::Topics => &[W::Topics],
            W::Partitions => &[W::Partitions],
            W::Spus => &[W::Spus],
            W::SpuGroups => &[W::SpuGroups],
            W::SmartModules => &[W::SmartModules],
            W::TableFormats => &[W::TableFormats],
            W::Cluster => &[W::Topics, W::Partitions, W::Spus],
        }
    }

    async fn streams<'a>(&self, admin: &'a FluvioAdmin) -> Result<Vec<Stream<'a>>> {
        let mut streams = Vec::new();
        for part in self.parts() {
            streams.push(match part {
                Watchable::Topics => stream(admin, *part, Object::Topic).await?,
                Watchable::Partitions => stream(admin, *part, Object::Partition).await?,
                Watchable::Spus => stream(admin, *part, Object::Spu).await?,
                Watchable::SpuGroups => stream(admin, *part, Object::SpuGroup).await?,
                Watchable::SmartModules => stream(admin, *part, Object::SmartModule).await?,
                Watchable::TableFormats => stream(admin, *part, Object::TableFormat).await?,
                // It has none of its own.
                Watchable::Cluster => continue,
            });
        }
        Ok(streams)
    }
}

type Stream<'a> = BoxStream<'a, Result<(Watchable, News)>>;

/// What the SC tells of `K`: everything first, then changes.
async fn stream<K: Kind>(admin: &FluvioAdmin, part: Watchable, wrap: fn(K) -> Object) -> Result<Stream<'_>> {
    let what = format!("watching {}s", K::LABEL);
    let responses = admin.watch::<K::Spec>().await.map_err(|error| Error::from_anyhow(&error, &what))?;
    let ended = Error::new(ErrorKind::Connection, format!("{what}: the SC closed the connection"));
    let mut first = true;
    let news = responses.map(move |response| {
        let update = WatchResponse::inner(response.map_err(|cause| watch_error(&cause, &what))?);
        let object = |object: Metadata<K::Spec>| {
            let bytes = object.write_size(ObjectApiWatchRequest::DEFAULT_API_VERSION);
            Ok(Weighed { object: wrap(K::from_upstream(object)?), bytes })
        };
        let all = std::mem::take(&mut first) || !update.all.is_empty();
        let news = match all {
            true => News::All(update.all.into_iter().map(object).collect::<Result<_>>()?),
            false => {
                let changes = update.changes.into_iter().map(|change| {
                    let kind = match change.header {
                        MsgType::UPDATE => ChangeKind::Updated,
                        MsgType::DELETE => ChangeKind::Deleted,
                    };
                    Ok((kind, object(change.content)?))
                });
                News::Changes(changes.collect::<Result<_>>()?)
            }
        };
        Ok((part, news))
    });
    Ok(news.chain(futures_util::stream::once(async { Err(ended) })).boxed())
}

async fn next(
    news: &mut (impl futures_util::Stream<Item = Result<(Watchable, News)>> + Unpin),
) -> Result<(Watchable, News)> {
    match news.next().await {
        Some(item) => item,
        None => Err(Error::new(ErrorKind::Connection, format!("{WHAT}: the SC closed the connection"))),
    }
}

fn size_of_all(objects: &BTreeMap<Key, Weighed>) -> usize {
    objects.values().map(|known| known.bytes).sum()
}

/// Brings one kind of `objects` to what was told of it.
fn merge(objects: &mut BTreeMap<Key, Weighed>, part: Watchable, news: News) {
    match news {
        News::All(all) => {
            objects.retain(|(kind, _, _), _| *kind != part);
            objects.extend(all.into_iter().map(|told| (told.object.key(), told)));
        }
        News::Changes(changes) => {
            for (kind, told) in changes {
                match kind {
                    ChangeKind::Deleted => objects.remove(&told.object.key()),
                    _ => objects.insert(told.object.key(), told),
                };
            }
        }
    }
}
