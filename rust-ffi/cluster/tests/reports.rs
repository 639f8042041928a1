//! What passes between the SC and an SPU late, or is lost, as its clients see it.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use common::{Client, NoFrame, PATIENCE, Watch, batch};
use fluvio_cffi_cluster::{Cluster, Config};
use fluvio_protocol::link::ErrorCode;
use fluvio_sc_schema::TryEncodableFrom;
use fluvio_sc_schema::objects::{CommonCreateRequest, CreateRequest, ObjectApiCreateRequest};
use fluvio_sc_schema::partition::PartitionSpec;
use fluvio_sc_schema::topic::TopicSpec;
use fluvio_spu_schema::server::fetch_offset::FetchOffsetsRequest;
use tokio::time::timeout;

/// Long enough to look what holds before it is over.
const LATE: Duration = Duration::from_millis(500);

async fn control(cluster: &Cluster, line: &str) {
    timeout(PATIENCE, cluster.control(line)).await.unwrap().unwrap_or_else(|error| panic!("{line}: {error}"));
}

/// Asks for a topic, on a connection on which the answer comes.
async fn ask_for(cluster: &Cluster, name: &str) -> Client {
    let mut client = Client::connect(cluster.endpoint()).await;
    let common = CommonCreateRequest { name: name.to_owned(), dry_run: false, timeout: None };
    let create = CreateRequest::new(common, TopicSpec::new_computed(1, 1, None));
    client.send(ObjectApiCreateRequest::try_encode_from(create, 19).unwrap()).await;
    client
}

/// What the SPU says of a partition.
async fn served(cluster: &Cluster, topic: &str) -> Result<i64, ErrorCode> {
    let mut spu = Client::connect(cluster.spu_endpoint()).await;
    let offsets = spu.call(FetchOffsetsRequest::new(topic.to_owned(), 0)).await;
    let told = &offsets.topics[0].partitions[0];
    match &told.error_code {
        ErrorCode::None => Ok(told.last_stable_offset),
        code => Err(code.clone()),
    }
}

async fn until_served(cluster: &Cluster, topic: &str) {
    let begun = Instant::now();
    while served(cluster, topic).await.is_err() {
        assert!(begun.elapsed() < PATIENCE);
    }
}

/// Whether the SC says that partition 0 of a topic is online.
async fn is_online(cluster: &Cluster, topic: &str) -> bool {
    let listed = Client::connect(cluster.endpoint()).await.list::<PartitionSpec>().await;
    let name = format!("{topic}-0");
    listed.iter().find(|it| it.name == name).expect(topic).status.is_online()
}

async fn write(cluster: &Cluster, topic: &str) {
    let mut spu = Client::connect(cluster.spu_endpoint()).await;
    assert_eq!(spu.produce(topic, 0, batch(1, 10)).await.error_code, ErrorCode::None);
}

#[test]
fn the_sc_hears_late_of_what_an_spu_serves() {
    common::run(30, async {
        let cluster = Cluster::start(Config::default()).await.unwrap();
        control(&cluster, &format!("report-delay 5001 {}", LATE.as_millis())).await;
        let (mut partitions, _) = Watch::<PartitionSpec>::begin(cluster.endpoint()).await;
        let begun = Instant::now();
        let mut waiting = ask_for(&cluster, "t").await;
        until_served(&cluster, "t").await;
        write(&cluster, "t").await;
        assert!(!is_online(&cluster, "t").await || begun.elapsed() >= LATE);
        let told = partitions.until(|it| it.name == "t-0" && it.status.is_online()).await;
        assert_eq!(told.status.leader.leo, 1);
        waiting.receive(PATIENCE).await.unwrap();
        assert!(begun.elapsed() >= LATE);

        control(&cluster, "report-delay 5001 3600000").await;
        let mut waiting = ask_for(&cluster, "u").await;
        until_served(&cluster, "u").await;
        assert_eq!(waiting.receive(LATE).await, Err(NoFrame::Silence));
        assert!(!is_online(&cluster, "u").await);
        control(&cluster, "report-delay 5001 0").await;
        waiting.receive(PATIENCE).await.unwrap();
        assert!(is_online(&cluster, "u").await);
        ask_for(&cluster, "v").await.receive(PATIENCE).await.unwrap();
        // What was to come in an hour comes when less is said, and the next report does not wait for the last one.
        control(&cluster, "report-delay 5001 3600000").await;
        let mut waiting = ask_for(&cluster, "w").await;
        until_served(&cluster, "w").await;
        control(&cluster, "report-delay 5001 10").await;
        waiting.receive(PATIENCE).await.unwrap();
        ask_for(&cluster, "x").await.receive(PATIENCE).await.unwrap();
        cluster.shutdown().await;
    });
}

#[test]
fn a_report_about_what_is_gone_is_lost_as_a_whole() {
    common::run(30, async {
        let cluster = Cluster::start(Config::default()).await.unwrap();
        control(&cluster, "lose-reports 5001 on").await;
        ask_for(&cluster, "old").await.receive(PATIENCE).await.unwrap();
        control(&cluster, &format!("report-delay 5001 {}", LATE.as_millis())).await;
        write(&cluster, "old").await;
        Client::connect(cluster.endpoint()).await.delete("old").await;
        let mut waiting = ask_for(&cluster, "new").await;
        until_served(&cluster, "new").await;
        assert_eq!(waiting.receive(2 * LATE).await, Err(NoFrame::Silence));
        assert!(!is_online(&cluster, "new").await);
        // It is heard of with the first record.
        write(&cluster, "new").await;
        waiting.receive(PATIENCE).await.unwrap();
        assert!(is_online(&cluster, "new").await);
        // Without what is gone nothing is lost.
        ask_for(&cluster, "other").await.receive(PATIENCE).await.unwrap();
        // When this ends, all is known.
        write(&cluster, "other").await;
        Client::connect(cluster.endpoint()).await.delete("other").await;
        let mut waiting = ask_for(&cluster, "last").await;
        control(&cluster, "report-delay 5001 0").await;
        control(&cluster, "lose-reports 5001 off").await;
        waiting.receive(PATIENCE).await.unwrap();
        cluster.shutdown().await;
    });
}

#[test]
fn an_spu_hears_late_of_partitions_and_in_order() {
    common::run(30, async {
        let cluster = Cluster::start(Config::default()).await.unwrap();
        let mut sc = Client::connect(cluster.endpoint()).await;
        ask_for(&cluster, "t").await.receive(PATIENCE).await.unwrap();
        write(&cluster, "t").await;
        control(&cluster, &format!("partition-delay 5001 {}", LATE.as_millis())).await;
        let begun = Instant::now();
        assert!(!sc.delete("t").await.is_error());
        let mut waiting = ask_for(&cluster, "t").await;
        // The old one is still served.
        let told = served(&cluster, "t").await;
        assert!(told == Ok(1) || begun.elapsed() >= LATE);
        assert!(!is_online(&cluster, "t").await || begun.elapsed() >= LATE);
        waiting.receive(PATIENCE).await.unwrap();
        assert!(begun.elapsed() >= LATE);
        assert_eq!(served(&cluster, "t").await, Ok(0));
        // What is ordered later is not heard of earlier.
        let mut waiting = ask_for(&cluster, "u").await;
        until_listed(&cluster, "u").await;
        control(&cluster, "partition-delay 5001 0").await;
        assert!(!sc.delete("t").await.is_error());
        assert_eq!(served(&cluster, "t").await, Ok(0));
        waiting.receive(PATIENCE).await.unwrap();
        let begun = Instant::now();
        while served(&cluster, "t").await.is_ok() {
            assert!(begun.elapsed() < PATIENCE);
        }
        assert_eq!(served(&cluster, "t").await, Err(ErrorCode::PartitionNotLeader));
        // An SPU that is started knows what there is.
        control(&cluster, &format!("partition-delay 5001 {}", LATE.as_millis())).await;
        let mut waiting = ask_for(&cluster, "v").await;
        until_listed(&cluster, "v").await;
        control(&cluster, "kill-spu 5001").await;
        control(&cluster, "start-spu 5001").await;
        write(&cluster, "v").await;
        waiting.receive(PATIENCE).await.unwrap();
        assert_eq!(served(&cluster, "v").await, Ok(1));
        cluster.shutdown().await;
    });
}

async fn until_listed(cluster: &Cluster, topic: &str) {
    let begun = Instant::now();
    let name = format!("{topic}-0");
    while !Client::connect(cluster.endpoint()).await.list::<PartitionSpec>().await.iter().any(|it| it.name == name) {
        assert!(begun.elapsed() < PATIENCE);
    }
}
