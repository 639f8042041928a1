//! Where a partition begins that never had a commit.

use std::collections::{BTreeMap, BTreeSet};

use fluvio_cffi_group::Entry;

use super::super::{ConsumerShared, Start};
use crate::commits::Commits;
use crate::error::Result;
use crate::limit::Limit;
use crate::log_offsets::logs_bounds;

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
    let start = |partition: u32| {
        if let Some(offset) = stored.get(&partition) {
            return Some(*offset);
        }
        let (start, end) = *bounds.get(&partition)?;
        let first = match consumer.options.start_of(partition, None) {
            Start::Beginning(after) => start.saturating_add_unsigned(after).min(end),
            Start::End(before) => end.saturating_sub_unsigned(before).max(start),
            Start::At(offset) | Start::Stored(offset) => offset,
        };
        Some(first - 1)
    };
    let entry = |(partition, epoch): &(u32, i64)| {
        Some(Entry { partition: *partition, epoch: *epoch, offset: start(*partition)?.max(-1) })
    };
    Ok(wanted.iter().filter_map(entry).collect())
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
