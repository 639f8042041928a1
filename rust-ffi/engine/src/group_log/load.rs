//! The way of a newcomer to the state of its group.

use fluvio_cffi_group::{GroupKey, Newcomer, Replica, Step};

use super::Place;
use super::directory::Known;
use super::reader::Item;
use super::stream::{LogStream, within};
use crate::boottime::boottime;
use crate::error::{Error, ErrorKind, Result};
use crate::limit::Limit;
use crate::log_offsets::log_bounds;

/// Bytes of the records that are kept in memory, at most.
const MOST_KEPT: usize = 8 << 20;

/// What a newcomer has found.
pub(crate) struct Loaded {
    pub(crate) replica: Replica,
    pub(crate) known: Option<Known>,
    /// When the last record of the group was taken, milliseconds since the epoch, by place; for those that were read.
    pub(crate) times: Vec<(i64, i64)>,
}

/// Reads the state of a group, at least up to `at_least`. Tried anew while leaders change or are away.
pub(crate) async fn load(place: &Place, key: &GroupKey, at_least: i64, limit: &Limit) -> Result<Loaded> {
    let counters = place.session.counters();
    let mut attempts = limit.attempts(counters);
    loop {
        match try_load(place, key, at_least, limit).await {
            Err(error) => {
                place.session.metadata().request_refresh();
                attempts.after(error).await.map_err(|error| counters.noted(error))?;
            }
            loaded => return loaded,
        }
    }
}

/// The groups of which there is anything in a partition of the log.
pub(crate) async fn keys(place: &Place, limit: &Limit) -> Result<Vec<GroupKey>> {
    // A group that nobody has: what is found on the way is what is wanted.
    let nobody = GroupKey::new("/", "-").map_err(|wrong| Error::internal(wrong.to_string()))?;
    let known = load(place, &nobody, 0, limit).await?.known;
    Ok(known.into_iter().flat_map(|known| known.directory.keys.into_keys()).collect())
}

async fn try_load(place: &Place, key: &GroupKey, at_least: i64, limit: &Limit) -> Result<Loaded> {
    let (start, end) = log_bounds(&place.session, &place.topic, place.partition, limit).await?;
    let end = end.max(at_least);
    let mut newcomer = Newcomer::new(key.clone(), start, end);
    let mut times = Vec::new();
    let mut hand = |newcomer: &mut Newcomer, item: &Item| {
        if let Some((of, record)) = &item.said {
            if of == key {
                times.push((item.offset, item.timestamp));
            }
            newcomer.record(of, record);
        }
    };
    let mut passage = Passage::default();
    loop {
        match newcomer.next(boottime()) {
            Step::Ready(replica) => {
                let known = newcomer.directory().map(|(directory, is_complete)| Known { directory, is_complete });
                return Ok(Loaded { replica: *replica, known, times });
            }
            Step::Read(from, to) => {
                if passage.has(from, to) {
                    passage.items(from, to).for_each(|item| hand(&mut newcomer, item));
                } else {
                    passage.read(place, (from, to), limit, |item| hand(&mut newcomer, item)).await?;
                }
            }
            Step::Wait(until) => {
                let mut stream = LogStream::open(place, newcomer.end(), limit).await?;
                while let Step::Wait(_) = newcomer.next(boottime()) {
                    let left = until.saturating_sub(boottime());
                    let Ok(items) = tokio::time::timeout(left, stream.next()).await else { break };
                    items?.iter().for_each(|item| hand(&mut newcomer, item));
                    stream.acknowledge()?;
                }
            }
            Step::Lost => {
                let text = format!(
                    "group \"{}\" on topic \"{}\" lives, but none of its members has written a snapshot for 2 minutes: \
                     nothing is begun beside it",
                    key.group(),
                    key.topic()
                );
                return Err(Error::new(ErrorKind::Consumer, text).with_topic(key.topic()));
            }
        }
    }
}

/// What was read of the log last. A newcomer wants most of it twice: first for where things are, then for the state.
#[derive(Default)]
struct Passage {
    /// The first place, and the one after the last.
    range: (i64, i64),
    items: Vec<Item>,
}

impl Passage {
    fn has(&self, from: i64, to: i64) -> bool {
        self.range.0 <= from && to <= self.range.1
    }

    fn items(&self, from: i64, to: i64) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| (from..to).contains(&item.offset))
    }

    /// Hands over what is there from a place up to, but not with, another.
    async fn read(
        &mut self,
        place: &Place,
        (from, to): (i64, i64),
        limit: &Limit,
        mut hand: impl FnMut(&Item),
    ) -> Result<()> {
        *self = Self::default();
        let mut size = 0;
        let mut stream = LogStream::open(place, from, limit).await?;
        while stream.next_offset() < to {
            stream.acknowledge()?;
            let read = within(place.session.request_timeout(), stream.next()).await?;
            for item in read.into_iter().filter(|item| item.offset < to) {
                hand(&item);
                size += item.size;
                if size <= MOST_KEPT {
                    self.items.push(item);
                } else {
                    self.items = Vec::new();
                }
            }
        }
        if size <= MOST_KEPT {
            self.range = (from, to);
        }
        Ok(())
    }
}
