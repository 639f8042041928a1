//! The supervisor: follows the cluster metadata for one producer, and has a sender for each SPU that leads a partition.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Fuse, FusedFuture, FutureExt, join_all};
use tokio::time::{Instant, timeout};

use super::task::SenderTask;
use super::{PATIENCE, SpuSender, sleep_until};
use crate::backoff::Backoff;
use crate::error::{ErrorKind, Outcome};
use crate::guard;
use crate::limit::Limit;
use crate::log::log;
use crate::log_offsets::bounds;
use crate::metadata::PartitionView;
use crate::producer::Shared;

/// The time between two rounds of asking leaders whether they serve partitions that could not be written.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Supervises one producer's senders until the producer is abandoned, again after each panic.
pub(in crate::producer) async fn supervise(shared: Arc<Shared>) {
    let mut backoff = Backoff::default();
    while let Err(panic) = guard::caught(follow(&shared)).await {
        let (counters, topic) = (shared.session.counters(), &*shared.topic);
        log!(ERROR, PRODUCER, counters, "the supervisor begins anew", topic, reason = %panic.reason());
        counters.note(panic.kind);
        backoff.wait().await;
    }
}

/// Follows the cluster metadata: new partitions, which of them are online, and a sender for each leader. Asks the SC
/// whether the topic still exists when a sender doubts it, and leaders whether they serve partitions that keyless
/// records pass by.
async fn follow(shared: &Arc<Shared>) {
    let mut changes = shared.session.metadata().changes();
    let mut senders: HashMap<i32, Arc<SpuSender>> =
        shared.accumulator.senders().into_iter().map(|sender| (sender.spu, sender)).collect();
    let mut backoff = Backoff::default();
    let mut lookup = pin!(Fuse::terminated());
    let mut asking = pin!(Fuse::terminated());
    let (mut doubt, mut asked) = (false, None);
    let wakeup = shared.accumulator.supervisor_wakeup();
    loop {
        let partitions = changes.borrow_and_update().partitions(&shared.topic);
        set_partitions(shared, &mut senders, &partitions);
        let mut pause = None;
        loop {
            if shared.accumulator.is_abandoned() {
                return;
            }
            // Batches wait for a partition that nobody leads: the topic may be gone, which no sender would notice.
            if pause.is_none() && lookup.is_terminated() && (doubt || shared.accumulator.has_work(None)) {
                doubt = false;
                lookup.set(fail_if_gone(shared).fuse());
            }
            if asked.is_none() && asking.is_terminated() {
                let missed = shared.accumulator.take_missed();
                if !missed.is_empty() {
                    asking.set(ask(shared, missed).fuse());
                }
            }
            tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    backoff.reset();
                    break;
                }
                () = wakeup.notified() => {}
                () = shared.doubt.notified() => doubt = true,
                () = &mut lookup => pause = Some(Instant::now() + backoff.next()),
                () = sleep_until(pause) => pause = None,
                () = &mut asking => asked = Some(Instant::now() + ASK_EVERY),
                () = sleep_until(asked) => asked = None,
            }
        }
    }
}

/// Sets the partitions as the metadata has them, with senders to their leaders, and has former leaders' senders hand
/// over.
fn set_partitions(
    shared: &Arc<Shared>,
    senders: &mut HashMap<i32, Arc<SpuSender>>,
    partitions: &[Option<PartitionView>],
) {
    let online = partitions.iter().map(|state| state.as_ref().is_some_and(|state| state.online)).collect();
    let leaders = partitions.iter().map(|state| {
        let spu = state.as_ref()?.leader;
        let sender = senders.entry(spu).or_insert_with(|| SenderTask::start(shared, spu));
        Some(Arc::clone(sender))
    });
    for (former, partition) in shared.accumulator.set_partitions(online, leaders.collect()) {
        former.hand_over(shared, partition);
    }
    shared.accumulator.wake_senders();
}

/// Asks the leaders of partitions that could not be written, or are said to be offline, whether they serve them.
/// Records would have to wait for that answer, and the metadata may never hear of it.
async fn ask(shared: &Shared, missed: Vec<(u32, Arc<SpuSender>)>) {
    let mut leaders: HashMap<i32, (Arc<SpuSender>, Vec<u32>)> = HashMap::new();
    for (partition, sender) in missed {
        leaders.entry(sender.spu).or_insert_with(|| (sender, Vec::new())).1.push(partition);
    }
    join_all(leaders.into_iter().map(async |(spu, (sender, partitions))| {
        let named = partitions.iter().map(|partition| (shared.topic.clone(), *partition)).collect();
        if let Ok(Ok(served)) = timeout(PATIENCE, bounds(&shared.session, spu, named)).await {
            sender.set_found(shared);
            for partition in partitions {
                if let Some(Ok(_)) = served.get(&(shared.topic.clone(), partition)) {
                    shared.accumulator.set_served(spu, partition);
                }
            }
        }
    }))
    .await;
}

/// Fails what waits if the SC says that the topic does not exist.
async fn fail_if_gone(shared: &Shared) {
    shared.session.metadata().request_refresh();
    let limit = Limit::new(Some(shared.session.controller().timeout()));
    if let Err(error) = shared.session.metadata().require(&shared.topic, &limit).await
        && error.kind == ErrorKind::TopicNotFound
    {
        shared.settle(shared.accumulator.give_up(&error.with_outcome(Outcome::NotWritten)));
    }
}
