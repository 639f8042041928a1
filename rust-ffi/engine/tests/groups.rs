//! Consumer groups: partitions shared among members.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fluvio_cffi_engine::{
    Client, Consumer, ConsumerOptions, EpochOffset, GroupChangeKind, GroupOptions, MemberState, ProducerOptions, Start, Take,
};
use support::*;

async fn within<T>(seconds: u64, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("in time")
}

fn group(name: &str) -> GroupOptions {
    GroupOptions { group: name.to_owned(), ..Default::default() }
}

fn options(group: GroupOptions) -> ConsumerOptions {
    ConsumerOptions { group: Some(group), ..Default::default() }
}

async fn fill(client: &Client, topic: &str, partitions: u32, count: usize) {
    client.admin(None).create_topic(topic, spec(partitions), CREATE, true).await.unwrap();
    add(client, topic, partitions, 0..count).await;
}

/// So many to each partition.
async fn add(client: &Client, topic: &str, partitions: u32, range: std::ops::Range<usize>) {
    let (producer, _) = producer(client, topic, ProducerOptions::default()).await;
    for partition in 0..partitions {
        submit_to(&producer, Some(partition as i32), &numbered(range.clone(), 10)).await;
    }
    producer.flush().await.unwrap();
}

/// A reader of a member: what it owns as it was told, and what it has handed out.
struct Reader {
    consumer: Consumer,
    owned: BTreeMap<u32, i64>,
    /// By partition: offsets in the order of reading.
    read: BTreeMap<u32, Vec<i64>>,
    told: Vec<(GroupChangeKind, Vec<u32>)>,
}

impl Reader {
    async fn open(client: &Client, topic: &str, options: ConsumerOptions) -> Self {
        let consumer = consumer(client, topic, options).await;
        Self { consumer, owned: BTreeMap::new(), read: BTreeMap::new(), told: Vec::new() }
    }

    /// Deals with one thing that is there; false: nothing is.
    fn step(&mut self) -> bool {
        match self.consumer.take().unwrap() {
            Take::Chunk(chunk) => {
                assert_eq!(self.owned.get(&chunk.partition), Some(&chunk.epoch.unwrap()), "{} is owned", chunk.partition);
                let offsets = plain(&chunk.payload).into_iter().map(|record| record.0);
                self.read.entry(chunk.partition).or_default().extend(offsets);
                true
            }
            Take::Changed => {
                let Some(change) = self.consumer.change().unwrap() else { return true };
                for (partition, epoch) in &change.partitions {
                    match change.kind {
                        GroupChangeKind::Assigned => drop(self.owned.insert(*partition, *epoch)),
                        _ => drop(self.owned.remove(partition)),
                    }
                }
                self.told.push((change.kind, change.partitions.iter().map(|it| it.0).collect()));
                self.consumer.change_done(change.number).unwrap();
                true
            }
            Take::Empty => false,
            Take::End => panic!("ended"),
        }
    }

    /// Reads until the condition holds.
    async fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            if !self.step() {
                let _ = tokio::time::timeout(Duration::from_millis(100), self.consumer.ready()).await;
            }
        }
    }

    fn count(&self) -> usize {
        self.read.values().map(Vec::len).sum()
    }

    /// Commits the last record of each partition that it owns.
    async fn commit(&self) -> Vec<(u32, i64)> {
        let last = self.owned.iter().filter_map(|(partition, epoch)| {
            let offset = *self.read.get(partition)?.last()?;
            Some(EpochOffset { partition: *partition, epoch: Some(*epoch), offset })
        });
        self.consumer.commit_epochs(&last.collect::<Vec<_>>(), Some(Duration::from_secs(10))).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_joins_reads_commits_and_the_next_goes_on() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "orders", 3, 100).await;
        let mut first = Reader::open(&client, "orders", options(group("billing"))).await;
        let member = first.consumer.member().unwrap();
        assert_eq!(member.state, MemberState::Member);
        assert_eq!(member.id.unwrap().len(), 32);
        first.until(|it| it.count() == 300).await;
        assert_eq!(first.owned.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
        for offsets in first.read.values() {
            assert!(offsets.iter().copied().eq(0..100));
        }
        let begun = Instant::now();
        assert_eq!(first.commit().await, []);
        println!("commit: {:?}", begun.elapsed());
        let committed = first.consumer.committed(None).await.unwrap();
        assert_eq!(committed, BTreeMap::from([(0, 99), (1, 99), (2, 99)]));
        first.consumer.close(None).await.unwrap();

        add(&client, "orders", 3, 0..10).await;
        let begun = Instant::now();
        let mut second = Reader::open(&client, "orders", options(group("billing"))).await;
        second.until(|it| it.count() > 0).await;
        println!("join to first record: {:?}", begun.elapsed());
        second.until(|it| it.count() == 30).await;
        for offsets in second.read.values() {
            assert!(offsets.iter().copied().eq(100..110));
        }
        second.consumer.close(None).await.unwrap();
        let _ = Start::Beginning(0);
    })
    .await;
}
