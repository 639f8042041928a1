//! Consumer groups: partitions shared among members.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fluvio_cffi_engine::{
    Client, Consumer, ConsumerOptions, EpochOffset, ErrorKind, GroupChangeKind, GroupOptions, MemberState,
    ProducerOptions, Start, Take,
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
                assert_eq!(
                    self.owned.get(&chunk.partition),
                    Some(&chunk.epoch.unwrap()),
                    "{} is owned",
                    chunk.partition
                );
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
    })
    .await;
}

/// A member on a runtime of its own, which can be killed: its connections end, and it says nothing.
struct Killable {
    runtime: Option<tokio::runtime::Runtime>,
}

impl Killable {
    /// Joins, and reads all that it owns until it is killed.
    fn join(
        endpoint: String,
        topic: &'static str,
        options: ConsumerOptions,
    ) -> (Self, tokio::sync::oneshot::Receiver<()>) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (joined, hears) = tokio::sync::oneshot::channel();
        runtime.spawn(async move {
            let client = connect(&endpoint).await;
            let mut reader = Reader::open(&client, topic, options).await;
            let mut joined = Some(joined);
            loop {
                reader.until(|it| !it.owned.is_empty()).await;
                joined.take().into_iter().for_each(|joined| joined.send(()).unwrap_or_default());
                reader.until(|it| it.count() > 1_000_000_000).await;
            }
        });
        (Self { runtime: Some(runtime) }, hears)
    }

    fn kill(mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

fn quick(name: &str) -> GroupOptions {
    GroupOptions { session_timeout: Duration::from_secs(1), ..group(name) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_share_and_the_rest_has_all_again() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "orders", 4, 50).await;
        let mut first = Reader::open(&client, "orders", options(group("billing"))).await;
        first.until(|it| it.count() == 200).await;
        assert_eq!(first.commit().await, []);
        let epochs = first.owned.clone();
        let mut second = Reader::open(&client, "orders", options(group("billing"))).await;
        let both = async {
            tokio::join!(first.until(|it| it.owned.len() == 2), second.until(|it| it.owned.len() == 2));
        };
        both.await;
        assert!(first.owned.keys().all(|partition| !second.owned.contains_key(partition)));
        assert_eq!(
            second.told.iter().map(|it| it.0).collect::<Vec<_>>(),
            vec![GroupChangeKind::Assigned; second.told.len()]
        );
        // Who keeps what he has goes on under the same epoch; what went has a greater one.
        assert!(first.owned.iter().all(|(partition, epoch)| epochs[partition] == *epoch));
        assert!(second.owned.iter().all(|(partition, epoch)| epochs[partition] < *epoch));

        // What was handed out under an old epoch is fenced; the rest of the commit is stored.
        let (gone, kept) = (*second.owned.keys().next().unwrap(), *first.owned.keys().next().unwrap());
        let late = [gone, kept].map(|partition| EpochOffset { partition, epoch: Some(epochs[&partition]), offset: 20 });
        assert_eq!(first.consumer.commit_epochs(&late, None).await.unwrap(), [(gone, 20)]);
        let committed = second.consumer.committed(None).await.unwrap();
        assert_eq!((committed[&gone], committed[&kept]), (49, 20));
        let error = first.consumer.commit(&[(gone, 10)], None).await.unwrap_err();
        assert_eq!((error.kind, error.partition, error.offset), (ErrorKind::CommitFenced, Some(gone), Some(10)));
        assert_eq!(client.metrics().commits_fenced, 1, "what is not owned is not even sent");

        add(&client, "orders", 4, 0..10).await;
        tokio::join!(first.until(|it| it.count() == 220), second.until(|it| it.count() == 20));
        assert!(second.read.values().all(|offsets| offsets.iter().copied().eq(50..60)));
        second.commit().await;
        let begun = Instant::now();
        second.consumer.close(None).await.unwrap();
        first.until(|it| it.owned.len() == 4).await;
        println!("the rest has all after {:?}", begun.elapsed());
        assert!(client.metrics().rebalances > 0 && client.metrics().signs > 0);
        first.consumer.close(None).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_killed_is_evicted_after_its_session() {
    within(60, async {
        let cluster = cluster().await;
        let endpoint = cluster.endpoint().to_string();
        let client = connect(&endpoint).await;
        fill(&client, "orders", 4, 10).await;
        let (killable, joined) = Killable::join(endpoint, "orders", options(quick("billing")));
        joined.await.unwrap();
        let mut rest = Reader::open(&client, "orders", options(quick("billing"))).await;
        rest.until(|it| it.owned.len() == 2).await;
        killable.kill();
        let begun = Instant::now();
        rest.until(|it| it.owned.len() == 4).await;
        let took = begun.elapsed();
        println!("the rest has all after {took:?}");
        assert!(took >= Duration::from_millis(500), "not before its session is over: {took:?}");
        rest.until(|it| it.count() == 40).await;
        assert_eq!(client.metrics().evictions, 1);
        rest.consumer.close(None).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_gets_its_partitions_back_and_the_older_is_fenced() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "orders", 4, 10).await;
        let named = |name: &str| options(GroupOptions { instance: Some(name.to_owned()), ..quick("billing") });
        let mut a = Reader::open(&client, "orders", named("a")).await;
        let mut b = Reader::open(&client, "orders", named("b")).await;
        tokio::join!(a.until(|it| it.owned.len() == 2), b.until(|it| it.owned.len() == 2));
        a.until(|it| it.count() >= 20).await;
        assert_eq!(a.commit().await, []);
        let (owned, of_b) = (a.owned.clone(), b.owned.clone());
        a.consumer.close(None).await.unwrap();
        let mut again = Reader::open(&client, "orders", named("a")).await;
        again.until(|it| it.owned.len() == 2).await;
        assert!(again.owned.keys().eq(owned.keys()), "it has the same again");
        while b.step() {}
        assert_eq!(b.owned, of_b, "and nobody else was moved");

        // A second process with that name takes its place.
        let newer = Reader::open(&client, "orders", named("a")).await;
        while again.consumer.member().unwrap().state != MemberState::Ended {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The reader hears first what is gone.
        while let Some(change) = again.consumer.change().unwrap() {
            assert_eq!(change.kind, GroupChangeKind::Lost);
            again.consumer.change_done(change.number).unwrap();
        }
        again.consumer.ready().await;
        let error = again.consumer.take().unwrap_err();
        assert_eq!(error.kind, ErrorKind::MemberFenced);
        let late = again.consumer.commit(&[(*owned.keys().next().unwrap(), 1)], None).await.unwrap_err();
        assert_eq!(late.kind, ErrorKind::MemberFenced);
        assert_eq!(again.consumer.member().unwrap().state, MemberState::Ended);
        newer.consumer.leave(None).await.unwrap();
        b.until(|it| it.owned.len() == 4).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_marked_is_committed_by_itself_and_when_it_is_given_up() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "orders", 2, 10).await;
        let auto =
            |seconds| ConsumerOptions { auto_commit: Some(Duration::from_secs(seconds)), ..options(group("billing")) };
        let mut first = Reader::open(&client, "orders", auto(3600)).await;
        first.until(|it| it.count() == 20).await;
        for partition in 0..2 {
            let mark = first.consumer.processed(partition).unwrap();
            assert_eq!(mark.load(std::sync::atomic::Ordering::SeqCst), -1);
            mark.store(7, std::sync::atomic::Ordering::SeqCst);
        }
        let mut second = Reader::open(&client, "orders", auto(3600)).await;
        tokio::join!(first.until(|it| it.owned.len() == 1), second.until(|it| it.count() == 2));
        let gone = *second.owned.keys().next().unwrap();
        assert_eq!(second.read[&gone], [8, 9], "what was marked was stored when it was given up");
        first.consumer.close(None).await.unwrap();
        second.until(|it| it.owned.len() == 2).await;
        assert_eq!(second.consumer.committed(None).await.unwrap(), BTreeMap::from([(0, 7), (1, 7)]));
        // They are in the cluster's own store as well.
        let stored = async || client.admin(None).consumer_offsets(Some("billing"), Some("orders")).await.unwrap();
        while stored().await.iter().any(|it| it.offset != Some(7)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_ends_at_the_ends_and_grows_with_its_topic() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "orders", 2, 10).await;
        let ending = || ConsumerOptions { stop_at_end: true, ..options(group("ending")) };
        let mut first = Reader::open(&client, "orders", ending()).await;
        add(&client, "orders", 2, 0..5).await;
        first.until(|it| it.count() == 20).await;
        first.consumer.ready().await;
        assert!(matches!(first.consumer.take().unwrap(), Take::End));
        // Also for one that owns nothing.
        for _ in 0..2 {
            let idle = Reader::open(&client, "orders", ending()).await;
            assert_eq!(idle.count(), 0);
        }

        let mut growing = Reader::open(&client, "orders", options(group("growing"))).await;
        growing.until(|it| it.count() == 30).await;
        client.admin(None).add_partitions("orders", 2, true).await.unwrap();
        let (producer, _) = producer(&client, "orders", ProducerOptions::default()).await;
        for partition in 2..4 {
            submit_to(&producer, Some(partition), &numbered(0..10, 10)).await;
        }
        producer.flush().await.unwrap();
        growing.until(|it| it.count() == 50).await;
        assert_eq!(growing.read[&3], (0..10).collect::<Vec<_>>(), "from the first record");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_come_back_loses_its_place_and_gets_one_again() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "orders", 2, 10).await;
        let stuck = GroupOptions { processing_timeout: Duration::from_millis(500), ..group("billing") };
        let mut first = Reader::open(&client, "orders", options(stuck)).await;
        first.until(|it| it.count() > 0).await;
        let id = first.consumer.member().unwrap().id;
        let mut second = Reader::open(&client, "orders", options(group("billing"))).await;
        // It has a chunk in hand, and does not come back.
        second.until(|it| it.owned.len() == 2).await;
        assert_eq!(first.consumer.member().unwrap().state, MemberState::Away);
        first.until(|it| it.owned.is_empty()).await;
        assert!(first.told.iter().any(|it| it.0 == GroupChangeKind::Lost));
        tokio::join!(first.until(|it| it.owned.len() == 1), second.until(|it| it.owned.len() == 1));
        assert_ne!(first.consumer.member().unwrap().id, id);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_away_suspends_and_one_made_anew_begins_anew() {
    within(90, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "orders", 2, 10).await;
        let mut reader = Reader::open(&client, "orders", options(quick("billing"))).await;
        reader.until(|it| it.count() == 20).await;
        assert_eq!(reader.commit().await, []);
        let epochs = reader.owned.clone();
        let id = reader.consumer.member().unwrap().id;
        cluster.control("kill-spu 5001").await.unwrap();
        let state = || reader.consumer.member().unwrap().state;
        while state() != MemberState::Suspended {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(matches!(reader.consumer.take().unwrap(), Take::Empty));
        cluster.control("start-spu 5001").await.unwrap();
        while state() != MemberState::Member {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(reader.consumer.member().unwrap().id, id, "nobody has evicted it");
        add(&client, "orders", 2, 0..5).await;
        reader.until(|it| it.count() == 30).await;
        assert_eq!(reader.owned, epochs);
        assert_eq!(reader.commit().await, []);

        // It is stored in the cluster as well, from where a group goes on whose log was lost.
        let stored = async || client.admin(None).consumer_offsets(Some("billing"), Some("orders")).await.unwrap();
        while stored().await.iter().any(|it| it.offset != Some(14)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        client.admin(None).delete_topic("consumer-group", false, false).await.unwrap();
        reader.until(|it| it.told.iter().any(|told| told.0 == GroupChangeKind::Lost)).await;
        reader.until(|it| it.owned.len() == 2).await;
        assert_ne!(reader.consumer.member().unwrap().id, id);
        add(&client, "orders", 2, 0..5).await;
        reader.until(|it| it.count() == 40).await;
        assert!(reader.read.values().all(|offsets| offsets.iter().copied().eq(0..20)), "nothing twice, nothing lost");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_log_gets_a_directory_and_snapshots_for_those_who_come_later() {
    within(90, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "orders", 2, 10).await;
        let mut first = Reader::open(&client, "orders", options(group("billing"))).await;
        first.until(|it| it.count() == 20).await;
        for round in 0..4_200 {
            let offset = EpochOffset { partition: 0, epoch: None, offset: round % 10 };
            assert_eq!(first.consumer.commit_epochs(&[offset], None).await.unwrap(), []);
        }
        let log = ConsumerOptions { start: Some(Start::Beginning(0)), ..Default::default() };
        let log = consumer(&client, "consumer-group", log).await;
        let (mut snapshots, mut directories) = (0, 0);
        while directories == 0 {
            for (_, _, value) in read(&log, 1).await {
                let said = String::from_utf8(value).unwrap();
                snapshots += usize::from(said.contains(r#""type":"snapshot""#));
                directories += usize::from(said.contains(r#""type":"directory""#));
            }
        }
        assert!(snapshots >= 4, "{snapshots}");
        let mut second = Reader::open(&client, "orders", options(group("billing"))).await;
        tokio::join!(first.until(|it| it.owned.len() == 1), second.until(|it| it.owned.len() == 1));
        assert_eq!(second.consumer.committed(None).await.unwrap()[&0], 4_199 % 10);
        assert_eq!(second.consumer.committed(None).await.unwrap(), first.consumer.committed(None).await.unwrap());
    })
    .await;
}
