//! A watch of one consumer group: it tells the whole of it whenever something has changed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fluvio_cffi_group::GroupKey;
use serde::Serialize;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::groups::{Group, key};
use super::{Admin, ChangeKind};
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{self, TaskKind, maybe_panic};
use crate::limit::{Limit, Trouble};
use crate::session::Session;

/// Changes that follow each other are told together, after so long without one,
const CALM: Duration = Duration::from_millis(50);
/// but at most so long after the first.
const AT_MOST: Duration = Duration::from_millis(500);
/// One look at the ends of the logs takes so long, at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a watch of a group tells: always the whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupNews {
    /// A snapshot.
    pub kind: ChangeKind,
    /// The group, alone.
    pub items: Vec<Group>,
}

#[derive(Default)]
struct State {
    latest: Option<Group>,
    ended: Option<Error>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, error: Error) {
        self.state().ended.get_or_insert(error);
        self.news.notify_waiters();
    }
}

/// A watch of a group. It connects again by itself, and ends when it is dropped.
pub struct GroupWatch {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for GroupWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupWatch").finish_non_exhaustive()
    }
}

impl Drop for GroupWatch {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Admin {
    /// Watches a group. Its state is there when this returns; a group that does not exist yet has no partitions.
    pub async fn watch_group(&self, group: &str, topic: &str, log: Option<&str>) -> Result<GroupWatch> {
        let key = key(group, topic)?;
        let shared: Arc<Shared> = Arc::default();
        let (first, announced) = oneshot::channel();
        let (session, log) = (self.session.clone(), log.map(str::to_owned));
        let (told, on_panic, trouble) = (Arc::clone(&shared), Arc::clone(&shared), self.limit.trouble().clone());
        let task = guard::spawn(
            async move { follow(&session, &key, log.as_deref(), &told, &trouble, first).await },
            move |error| on_panic.end(error),
        );
        let watch = GroupWatch { shared, task: Mutex::new(Some(task)) };
        self.within_group("opening a watch of a consumer group", async {
            announced.await.unwrap_or_else(|_| Err(Error::internal("the task of a watch has ended")))
        })
        .await?;
        Ok(watch)
    }
}

async fn follow(
    session: &Session,
    key: &GroupKey,
    log: Option<&str>,
    shared: &Shared,
    trouble: &Trouble,
    first: oneshot::Sender<Result<()>>,
) {
    let (mut first, mut backoff) = (Some(first), Backoff::default());
    loop {
        maybe_panic(TaskKind::Watch);
        match tell(session, key, log, shared, trouble, &mut first).await {
            Ok(()) => backoff.reset(),
            Err(error) if error.retriable => session.counters().note(error.kind),
            Err(error) => {
                let error = session.counters().noted(error);
                first.take().into_iter().for_each(|first| drop(first.send(Err(error.clone()))));
                return shared.end(error);
            }
        }
        backoff.wait().await;
    }
}

/// Tells what happens to the group, until the log is lost, or there is none yet.
async fn tell(
    session: &Session,
    key: &GroupKey,
    log: Option<&str>,
    shared: &Shared,
    trouble: &Trouble,
    first: &mut Option<oneshot::Sender<Result<()>>>,
) -> Result<()> {
    let admin = || Admin { session: session.clone(), limit: Limit::new(Some(PATIENCE)).with(trouble) };
    let mut observer = admin().observe(key, log).await?;
    loop {
        let group = match admin().describe(key, observer.as_ref()).await {
            Err(error) if error.kind == ErrorKind::GroupNotFound => Group::empty(key),
            group => group?,
        };
        shared.state().latest = Some(group);
        shared.news.notify_waiters();
        first.take().into_iter().for_each(|first| drop(first.send(Ok(()))));
        let Some(observer) = &mut observer else { return Ok(()) };
        observer.next().await?;
        let until = Instant::now() + AT_MOST;
        while Instant::now() < until {
            match tokio::time::timeout(CALM, observer.next()).await {
                Ok(record) => drop(record?),
                Err(_) => break,
            }
        }
    }
}

impl GroupWatch {
    /// The group as it is now, if it has changed since the last call.
    pub fn take(&self) -> Result<Option<GroupNews>> {
        let mut state = self.shared.state();
        match (state.latest.take(), &state.ended) {
            (_, Some(error)) => Err(error.clone()),
            (Some(group), None) => Ok(Some(GroupNews { kind: ChangeKind::Snapshot, items: vec![group] })),
            (None, None) => Ok(None),
        }
    }

    /// Waits until [`GroupWatch::take`] has something to say.
    pub async fn ready(&self) {
        loop {
            let news = self.shared.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            let is_ready = {
                let state = self.shared.state();
                state.latest.is_some() || state.ended.is_some()
            };
            if is_ready {
                return;
            }
            news.await;
        }
    }

    /// Ends it: a wait ends, a take says that it is closed.
    pub async fn close(&self) {
        self.stop();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // It was told to end: how does not matter.
            let _ = task.await;
        }
    }

    /// As [`GroupWatch::close`], without waiting for the end.
    pub fn stop(&self) {
        self.shared.end(Error::closed("watch"));
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            task.abort();
        }
    }
}
