//! Stored offsets of consumers: those of the last processed records.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::Admin;
use crate::commits::Commits;
use crate::consumer::first_since;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::limit::took_longer;
use crate::log_offsets::{Bounds, bounds, known_leader, log_bounds};
use crate::stored_offsets;

/// A stored offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsumerOffset {
    /// Under which id.
    pub consumer_id: String,
    /// In which topic.
    pub topic: String,
    /// In which partition.
    pub partition: u32,
    /// Of the last processed record; -1: before the first. `None`: nothing is stored of this partition.
    pub offset: Option<i64>,
    /// When it was stored, milliseconds since the epoch, exact to the second.
    pub modified_ms: Option<u64>,
    /// How many records follow it; where nothing is stored, how many there are. `None`: the partition's leader does not
    /// answer.
    pub lag: Option<u64>,
}

impl ConsumerOffset {
    /// What it is about.
    fn place(&self) -> (&str, &str, u32) {
        (&self.consumer_id, &self.topic, self.partition)
    }
}

/// Where a consumer is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetTo {
    /// At the first record.
    Beginning,
    /// After the last record.
    End,
    /// At an offset.
    At(i64),
    /// So many records after the first.
    FromBeginning(u32),
    /// So many records before the end.
    FromEnd(u32),
    /// At the first record that is not older than this, in milliseconds since the epoch; at the end if there is none.
    Since(i64),
}

fn lag(offset: Option<i64>, (start, end): Bounds) -> u64 {
    let next = offset.map_or(start, |offset| offset.saturating_add(1).max(start));
    u64::try_from(end.saturating_sub(next)).unwrap_or(0)
}

fn check_id(consumer_id: &str) -> Result<()> {
    match consumer_id.is_empty() {
        true => Err(Error::invalid("consumer_id has 0 bytes: it must have 1 to 255")),
        false => Ok(()),
    }
}

impl Admin {
    /// The stored offsets, by consumer id, topic and partition: those of an id and of a topic, where they are given. In
    /// a topic where an id has stored any, or in the one that is given with it, the other partitions are told, too.
    pub async fn consumer_offsets(
        &self,
        consumer_id: Option<&str>,
        topic: Option<&str>,
    ) -> Result<Vec<ConsumerOffset>> {
        self.within("listing stored offsets", async {
            let mut found = self.stored_offsets(consumer_id, topic).await?;
            let mut followed: BTreeSet<(&str, &str)> =
                found.iter().map(|one| (one.consumer_id.as_str(), one.topic.as_str())).collect();
            if let (Some(consumer_id), Some(topic)) = (consumer_id, topic) {
                match self.session.metadata().topic(topic, &self.limit).await {
                    // Nothing is stored in a topic that does not exist.
                    Err(error) if error.kind == ErrorKind::TopicNotFound => {}
                    known => {
                        known?;
                        followed.insert((consumer_id, topic));
                    }
                }
            }
            let partitions = |topic: &str| {
                self.session.metadata().read(|metadata| metadata.topic(topic)).map_or(0, |topic| topic.partitions)
            };
            let stored: BTreeSet<_> = found.iter().map(ConsumerOffset::place).collect();
            let all = followed.into_iter().flat_map(|(consumer_id, topic)| {
                (0..partitions(topic)).map(move |partition| (consumer_id, topic, partition))
            });
            let missing: Vec<_> = all
                .filter(|place| !stored.contains(place))
                .map(|(consumer_id, topic, partition)| ConsumerOffset {
                    consumer_id: consumer_id.to_owned(),
                    topic: topic.to_owned(),
                    partition,
                    offset: None,
                    modified_ms: None,
                    lag: None,
                })
                .collect();
            found.extend(missing);
            found.sort_by(|a, b| a.place().cmp(&b.place()));
            self.fill_in_lags(&mut found).await;
            Ok(found)
        })
        .await
    }

    async fn stored_offsets(&self, consumer_id: Option<&str>, topic: Option<&str>) -> Result<Vec<ConsumerOffset>> {
        consumer_id.map_or(Ok(()), check_id)?;
        let stored = stored_offsets::stored(&self.session, consumer_id, &self.limit).await?.into_iter();
        let asked = stored.filter(|stored| topic.is_none_or(|topic| stored.replica_id.topic == topic));
        Ok(asked
            .map(|stored| ConsumerOffset {
                consumer_id: stored.consumer_id,
                topic: stored.replica_id.topic,
                partition: stored.replica_id.partition,
                offset: Some(stored.offset),
                modified_ms: Some(stored.modified_time.saturating_mul(1000)),
                lag: None,
            })
            .collect())
    }

    /// Asks all leaders at once; of those that do not answer nothing is known.
    async fn fill_in_lags(&self, stored: &mut [ConsumerOffset]) {
        let mut led: BTreeMap<i32, Vec<(String, u32)>> = BTreeMap::new();
        for one in stored.iter() {
            if let Some(leader) = known_leader(&self.session, &one.topic, one.partition) {
                led.entry(leader).or_default().push((one.topic.clone(), one.partition));
            }
        }
        for partitions in led.values_mut() {
            partitions.sort_unstable();
            partitions.dedup();
        }
        let asked = led.into_iter().map(|(spu, partitions)| bounds(&self.session, spu, partitions));
        let known: BTreeMap<_, _> = join_all(asked).await.into_iter().filter_map(Result::ok).flatten().collect();
        for one in stored {
            if let Some(Ok(bounds)) = known.get(&(one.topic.clone(), one.partition)) {
                one.lag = Some(lag(one.offset, *bounds));
            }
        }
    }

    /// One stored offset.
    pub async fn consumer_offset(&self, consumer_id: &str, topic: &str, partition: u32) -> Result<ConsumerOffset> {
        self.within("looking for a stored offset", async {
            let mut stored = self.stored_offsets(Some(consumer_id), Some(topic)).await?;
            stored.retain(|one| one.partition == partition);
            self.fill_in_lags(&mut stored).await;
            stored.pop().ok_or_else(|| {
                let text = format!(
                    "consumer \"{consumer_id}\" has no stored offset in partition {partition} of \"{topic}\": list the consumer \
                     offsets to see which there are"
                );
                Error::new(ErrorKind::ConsumerOffsetNotFound, text).with_topic(topic).with_partition(partition)
            })
        })
        .await
    }

    /// Forgets a stored offset.
    pub async fn delete_consumer_offset(
        &self,
        consumer_id: &str,
        topic: &str,
        partition: u32,
        missing_ok: bool,
    ) -> Result<()> {
        // The server does not tell.
        match self.consumer_offset(consumer_id, topic, partition).await {
            Err(error) if error.kind == ErrorKind::ConsumerOffsetNotFound && missing_ok => return Ok(()),
            other => other?,
        };
        let forget = stored_offsets::forget(&self.session, consumer_id, topic, partition, &self.limit);
        self.within("deleting a stored offset", forget).await
    }

    /// Stores where a consumer will go on, also if nothing was stored or the partition is empty.
    pub async fn reset_consumer_offset(
        &self,
        consumer_id: &str,
        topic: &str,
        partition: u32,
        to: ResetTo,
    ) -> Result<ConsumerOffset> {
        check_id(consumer_id)?;
        self.within("resetting a stored offset", async {
            let partitions = self.session.metadata().topic(topic, &self.limit).await?.partitions;
            if partition >= partitions {
                return Err(Error::partition_not_found(topic, partition.into(), partitions));
            }
            let bounds = log_bounds(&self.session, topic, partition, &self.limit).await?;
            let next = self.next_offset(to, topic, partition, bounds).await?;
            Commits::new(self.session.clone(), topic, consumer_id).commit(&[(partition, next - 1)], &self.limit).await
        })
        .await?;
        self.consumer_offset(consumer_id, topic, partition).await
    }

    /// The offset at which a consumer then goes on, in a log of these bounds; an error if there is no such offset.
    pub(super) async fn next_offset(
        &self,
        to: ResetTo,
        topic: &str,
        partition: u32,
        (start, end): Bounds,
    ) -> Result<i64> {
        let next = match to {
            ResetTo::Beginning => start,
            ResetTo::End => end,
            ResetTo::At(offset) => offset,
            ResetTo::FromBeginning(count) => start.saturating_add(count.into()),
            ResetTo::FromEnd(count) => end.saturating_sub(count.into()),
            ResetTo::Since(time) => first_since(&self.session, topic, partition, time, &self.limit).await?,
        };
        if (start..=end).contains(&next) {
            return Ok(next);
        }
        let kind = if next < start { ErrorKind::OffsetEvicted } else { ErrorKind::OffsetOutOfRange };
        let text = format!(
            "the offset to go on at is {next}: it must be from {start} to {end}, which partition {partition} of \"{topic}\" has"
        );
        let mut error = Error::new(kind, text).with_topic(topic).with_partition(partition).with_offset(next);
        error.next_available = (next < start).then_some(start);
        Err(error)
    }

    async fn within<T>(&self, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        // What goes wrong on the way is counted where it does.
        let overdue = |timeout| self.session.counters().noted(took_longer(Phase::Admin, what, timeout));
        self.limit.hold(work, overdue).await
    }
}
