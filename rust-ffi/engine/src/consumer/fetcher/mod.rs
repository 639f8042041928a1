//! The fetchers, one for each SPU that leads partitions of the consumer. A fetcher streams its partitions over a
//! connection of its own, decodes ahead of the caller within the budget, and hands a partition on when its leader
//! changes.
//!
//! ```text
//!   assign, seek, resume          dispatch: to the fetcher of the leader      chunks
//!   Subscription ──── cursor ──────────────────────────────────────> Fetcher ─────────> Subscription ────> the caller
//!                        ^     find_leader: while there is none         │   deliver                take
//!                        └──────────────────────────────────────────────┘
//!                          another leader, a lost connection
//! ```
//!
//! A stream sends one reply, and the next one when it is acknowledged. So a partition that has no room holds up no
//! other: its reply waits undecoded or unacknowledged, and the socket is read on. The acknowledgements of a stream rise
//! strictly, since the server can lose the second of two equal ones; whatever else is wanted of a partition opens a new
//! stream.

mod chains;
mod connection;
mod probe;
mod since;
mod task;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::assignment::Assigned;
use super::cursor::Cursor;
use super::{ConsumerShared, Start};
use crate::commits::Commits;
use crate::error::{Error, Phase, Result};
use crate::guard;
use crate::limit::{Limit, took_longer};
use crate::log::log;
use crate::metadata::Snapshot;
use crate::smartmodule::Chain;

pub(crate) use since::first_since;

/// How long the SC may say nothing of a partition before the leader that is known is tried again.
const UNCONFIRMED: Duration = Duration::from_secs(1);

/// The ways to the running fetchers, by leader.
#[derive(Default)]
pub(super) struct Fetchers(Mutex<HashMap<i32, mpsc::UnboundedSender<Cursor>>>);

/// Begins to read a partition that has just been assigned.
pub(super) fn begin(shared: &Arc<ConsumerShared>, assigned: Assigned, start: Start) {
    dispatch(shared, cursor(shared, assigned, start));
}

/// The same up to an end that was seen before.
pub(super) fn begin_until(shared: &Arc<ConsumerShared>, assigned: Assigned, start: Start, end: Option<i64>) {
    let mut cursor = cursor(shared, assigned, start);
    cursor.end = end;
    dispatch(shared, cursor);
}

fn cursor(shared: &ConsumerShared, assigned: Assigned, start: Start) -> Cursor {
    let mut cursor = Cursor::new(assigned, start, shared.fetch_bytes);
    cursor.gives_values = shared.chain.as_ref().is_some_and(Chain::gives_values);
    cursor
}

/// Gives a partition to the fetcher of its leader, which is started if need be. While the partition has no leader, this
/// is waited for in the background.
pub(super) fn dispatch(shared: &Arc<ConsumerShared>, cursor: Cursor) {
    let leader = shared
        .session
        .metadata()
        .read(|metadata| metadata.partition(&shared.topic, cursor.partition))
        .map(|it| it.leader);
    let Some(leader) = leader else { return find_leader(shared, cursor, None, Duration::ZERO) };
    let mut fetchers = shared.fetchers.0.lock().unwrap_or_else(PoisonError::into_inner);
    let cursor = match fetchers.get(&leader) {
        Some(fetcher) => match fetcher.send(cursor) {
            Ok(()) => return,
            Err(mpsc::error::SendError(cursor)) => cursor,
        },
        None => cursor,
    };
    let (sender, receiver) = mpsc::unbounded_channel();
    // This cannot fail: the receiver is alive.
    let _ = sender.send(cursor);
    fetchers.insert(leader, sender);
    super::spawn(Arc::clone(shared), task::Fetcher::new(Arc::clone(shared), leader, receiver).run());
}

/// After a pause, gives the partition to its leader once there is one. Unless that is another than the SPU that
/// `refused` it, the SC is asked first whether the topic still exists; while the SC says nothing, the same SPU may
/// serve it again.
fn find_leader(shared: &Arc<ConsumerShared>, cursor: Cursor, refused: Option<i32>, pause: Duration) {
    let shared = Arc::clone(shared);
    super::spawn(Arc::clone(&shared), async move {
        let (metadata, limit) = (shared.session.metadata(), Limit::new(None).with(&shared.trouble));
        metadata.request_refresh();
        let leader = |metadata: &Snapshot| metadata.partition(&shared.topic, cursor.partition).map(|it| it.leader);
        let found = guard::caught(async {
            tokio::time::sleep(pause).await;
            let moved = metadata.wait(|metadata| leader(metadata).filter(|leader| Some(*leader) != refused));
            let confirmed = async {
                metadata.require(&shared.topic, &limit).await?;
                let what =
                    format!("finding the leader of partition {} of topic \"{}\"", cursor.partition, shared.topic);
                let overdue = |timeout| took_longer(Phase::Read, &what, timeout);
                metadata.find(&shared.topic, &limit, leader, overdue).await
            };
            tokio::select! {
                confirmed = confirmed => confirmed.map(Some),
                moved = moved => moved.map(Some),
                () = tokio::time::sleep(UNCONFIRMED), if refused.is_some() => Ok(metadata.read(leader)),
            }
        });
        let found = tokio::select! {
            found = found => found,
            () = shared.subscription.wait_revoked(&cursor) => return,
            () = shared.subscription.wait_over() => return,
        };
        match found.flatten() {
            Ok(Some(_)) => dispatch(&shared, cursor),
            Ok(None) => find_leader(&shared, cursor, None, Duration::ZERO),
            Err(error) => fail(&shared, cursor, error),
        }
    });
}

/// Lets the partition stand at an error, unless the caller has sought elsewhere meanwhile.
fn fail(shared: &Arc<ConsumerShared>, cursor: Cursor, error: Error) {
    let counters = shared.session.counters();
    log!(
        WARN, CONSUMER, counters, "a partition is not read on",
        topic = &*shared.topic, partition = cursor.partition, reason = %error.reason()
    );
    counters.note(error.kind);
    if let Some(cursor) = shared.subscription.fail(cursor, error) {
        dispatch(shared, cursor);
    }
}

/// Reads partitions that the topic gets later: after what is stored of them if that is known, else from their first
/// offset. Runs until nothing more is read.
pub(super) async fn follow_new_partitions(shared: &Arc<ConsumerShared>, commits: Option<&Commits>) {
    let mut changes = shared.session.metadata().changes();
    loop {
        let count = changes.borrow_and_update().topic(&shared.topic).map_or(0, |topic| topic.partitions);
        let new = shared.subscription.discover(count);
        let goes_on = shared.subscription.unless_over(async {
            if new.is_empty() {
                return changes.changed().await.is_ok();
            }
            begin_new(shared, commits, new).await;
            true
        });
        if goes_on.await != Some(true) {
            return;
        }
    }
}

async fn begin_new(shared: &Arc<ConsumerShared>, commits: Option<&Commits>, new: Vec<Assigned>) {
    let limit = Limit::new(None).with(&shared.trouble);
    let stored: Result<BTreeMap<u32, i64>> = match commits {
        // A panic is caught, since each partition that was assigned is either read or fails.
        Some(commits) => guard::caught(commits.fetch(&limit)).await.flatten(),
        None => Ok(BTreeMap::new()),
    };
    for assigned in new {
        match &stored {
            Ok(stored) => {
                let start = shared.options.start_of_new(stored.get(&assigned.partition).copied());
                begin(shared, assigned, start);
            }
            Err(error) => {
                let cursor = cursor(shared, assigned, Start::Beginning(0));
                fail(shared, cursor, error.clone());
            }
        }
    }
}
