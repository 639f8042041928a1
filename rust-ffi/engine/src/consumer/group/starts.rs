//! Where a partition begins that never had a commit.

use std::collections::{BTreeMap, BTreeSet};

use fluvio_cffi_group::Entry;

use super::super::{ConsumerShared, Start, first_since};
use crate::commits::Commits;
use crate::error::Result;
use crate::limit::Limit;
use crate::log_offsets::{Bounds, logs_bounds};

/// Finds where partitions begin, each owned under an epoch: after what the cluster stores under the group's name, else
/// where `start` says.
pub(super) async fn find(consumer: &ConsumerShared, store: &Commits, wanted: &[(u32, i64)]) -> Result<Vec<Entry>> {
    let limit = Limit::new(None).with(&consumer.trouble);
    let stored = store.fetch(&limit).await?;
    let unknown: BTreeSet<u32> =
        wanted.iter().map(|(partition, _)| *partition).filter(|partition| !stored.contains_key(partition)).collect();
    let bounds = match unknown.is_empty() {
        true => BTreeMap::new(),
        false => logs_bounds(&consumer.session, &consumer.topic, unknown, &limit).await?,
    };
    let mut starts = Vec::new();
    for &(partition, epoch) in wanted {
        let offset = match (stored.get(&partition), bounds.get(&partition)) {
            (Some(offset), _) => *offset,
            (None, Some(bounds)) => first(consumer, partition, *bounds, &limit).await? - 1,
            (None, None) => continue,
        };
        starts.push(Entry { partition, epoch, offset: offset.max(-1) });
    }
    Ok(starts)
}

/// The first offset that is read of a partition of which nothing is stored.
async fn first(consumer: &ConsumerShared, partition: u32, (start, end): Bounds, limit: &Limit) -> Result<i64> {
    Ok(match consumer.options.start_of(partition, None) {
        Start::Beginning(after) => start.saturating_add_unsigned(after).min(end),
        Start::End(before) => end.saturating_sub_unsigned(before).max(start),
        Start::At(offset) | Start::Stored(offset) => offset,
        Start::Since(time) => first_since(&consumer.session, &consumer.topic, partition, time, limit).await?,
    })
}

/// Where reading ends, if it does.
pub(super) async fn ends(consumer: &ConsumerShared, limit: &Limit) -> Result<BTreeMap<u32, i64>> {
    if !consumer.options.stop_at_end {
        return Ok(BTreeMap::new());
    }
    let count = consumer.session.metadata().topic(&consumer.topic, limit).await?.partitions;
    let bounds = logs_bounds(&consumer.session, &consumer.topic, (0..count).collect(), limit).await?;
    Ok(bounds.into_iter().map(|(partition, (_, end))| (partition, end)).collect())
}
