//! Administration of consumer groups.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fluvio_cffi_engine::admin::{GroupWatch, ResetTo};
use fluvio_cffi_engine::{Client, ConsumerOptions, ErrorKind, GroupOptions, ProducerOptions};
use support::*;

async fn within<T>(seconds: u64, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("in time")
}

fn member(instance: Option<&str>) -> ConsumerOptions {
    let group = GroupOptions {
        group: "billing".to_owned(),
        instance: instance.map(str::to_owned),
        session_timeout: Duration::from_secs(1),
        ..Default::default()
    };
    ConsumerOptions { group: Some(group), ..Default::default() }
}

async fn fill(client: &Client, topic: &str, partitions: u32, count: usize) {
    client.admin(None).create_topic(topic, spec(partitions), CREATE, true).await.unwrap();
    let (producer, _) = producer(client, topic, ProducerOptions::default()).await;
    for partition in 0..partitions {
        submit_to(&producer, Some(partition as i32), &numbered(0..count, 10)).await;
    }
    producer.flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_listed_shown_reset_and_deleted() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        let admin = || client.admin(Some(Duration::from_secs(20)));
        fill(&client, "orders", 2, 10).await;
        assert_eq!(admin().groups(None, None).await.unwrap(), [], "there is no log yet");
        assert_eq!(admin().group("billing", "orders", None).await.unwrap_err().kind, ErrorKind::GroupNotFound);

        let consumer = consumer(&client, "orders", member(Some("a"))).await;
        consumer.ready().await;
        let change = consumer.change().unwrap().unwrap();
        consumer.change_done(change.number).unwrap();
        consumer.commit(&[(0, 3), (1, 9)], None).await.unwrap();
        let listed = admin().groups(None, None).await.unwrap();
        assert_eq!(
            listed.iter().map(|it| (&*it.group, &*it.topic, it.members, it.partitions)).collect::<Vec<_>>(),
            [("billing", "orders", 1, 2)]
        );
        assert_eq!(admin().groups(Some("others"), None).await.unwrap(), []);
        let shown = admin().group("billing", "orders", None).await.unwrap();
        let id = consumer.member().unwrap().id.unwrap();
        assert_eq!((&*shown.members[0].id, shown.members[0].instance.as_deref()), (&*id, Some("a")));
        assert_eq!(shown.members[0].partitions, [0, 1]);
        let first = &shown.partitions[0];
        assert_eq!(
            (first.committed, first.end, first.lag, first.owner.as_deref()),
            (Some(3), Some(10), Some(6), Some(&*id))
        );

        let refused = admin().reset_group("billing", "orders", Some(ResetTo::Beginning), &BTreeMap::new(), None).await;
        assert_eq!(refused.unwrap_err().kind, ErrorKind::GroupNotEmpty);
        assert_eq!(admin().delete_group("billing", "orders", None).await.unwrap_err().kind, ErrorKind::GroupNotEmpty);

        // Its instance falls silent, and is evicted after its session.
        consumer.close(None).await.unwrap();
        let begun = Instant::now();
        let partitions = BTreeMap::from([(1, ResetTo::At(5))]);
        let reset = admin().reset_group("billing", "orders", None, &partitions, None).await.unwrap();
        println!("reset after {:?}", begun.elapsed());
        assert!(reset.members.is_empty());
        assert_eq!(reset.partitions.iter().map(|it| it.committed).collect::<Vec<_>>(), [Some(3), Some(4)]);
        let beyond = admin().reset_group("billing", "orders", Some(ResetTo::At(11)), &BTreeMap::new(), None).await;
        assert_eq!(beyond.unwrap_err().kind, ErrorKind::OffsetOutOfRange);

        admin().delete_group("billing", "orders", None).await.unwrap();
        assert_eq!(admin().groups(None, None).await.unwrap(), []);
        assert_eq!(admin().group("billing", "orders", None).await.unwrap_err().kind, ErrorKind::GroupNotFound);
    })
    .await;
}

async fn told(watch: &GroupWatch) -> fluvio_cffi_engine::admin::Group {
    watch.ready().await;
    watch.take().unwrap().unwrap().items.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_tells_the_whole_of_a_group() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "orders", 2, 10).await;
        let watch = client.admin(None).watch_group("billing", "orders", None).await.unwrap();
        assert!(told(&watch).await.partitions.is_empty());
        let consumer = consumer(&client, "orders", member(None)).await;
        while told(&watch).await.members.is_empty() {}
        consumer.close(None).await.unwrap();
        while !told(&watch).await.members.is_empty() {}
        watch.close().await;
        assert_eq!(watch.take().unwrap_err().kind, ErrorKind::Closed);
    })
    .await;
}
