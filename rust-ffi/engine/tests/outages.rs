//! The cluster, or a part of it, is away for a while: what may be repeated waits, what may not says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fluvio_cffi_cluster::{Cluster, Config};
use fluvio_cffi_engine::*;
use support::*;

const LONG: Option<Duration> = Some(Duration::from_secs(30));

async fn within(work: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(90), work).await.expect("in time");
}

fn at(directory: &Path, port: u16) -> Config {
    Config { data_dir: Some(directory.into()), port, ..Default::default() }
}

fn worker() -> ConsumerOptions {
    ConsumerOptions { consumer_id: Some("w".to_owned()), start: Some(Start::Beginning(0)), ..Default::default() }
}

fn options(endpoint: &str, timeout: Option<Duration>, wait: Option<bool>) -> ClientOptions {
    ClientOptions {
        endpoint: Some(endpoint.to_owned()),
        profile: None,
        client_id: None,
        use_spu_local_address: None,
        tls: None,
        connect_timeout: timeout,
        wait,
        request_timeout: Duration::from_secs(5),
        admin_timeout: Duration::from_secs(10),
        probe_interval: Duration::from_secs(10),
        owner: 0,
    }
}

/// Makes a topic, with so many records in one of its partitions.
async fn fill(client: &Client, topic: &str, partitions: u32, at: i32, count: usize) {
    client.admin(None).create_topic(topic, spec(partitions), CREATE, true).await.unwrap();
    let (producer, _) = producer(client, topic, ProducerOptions::default()).await;
    let (lengths, places) = (vec![1; count], vec![at; count]);
    let records = Records {
        count,
        data: &vec![b'x'; count],
        value_lengths: &lengths,
        key_lengths: None,
        partitions: Some(&places),
        timestamps: None,
        awaited: false,
    };
    assert_eq!(producer.submit(&records, &mut vec![Run::default(); count]).unwrap().accepted, count);
    producer.flush().await.unwrap();
}

/// Where nobody listens.
fn nowhere() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connecting_waits_where_somebody_is_expected() {
    within(async {
        let second = Some(Duration::from_secs(1));
        // Nobody has ever answered: a wrong port.
        let begun = Instant::now();
        for wait in [None, Some(false)] {
            let error = Client::connect(options(&nowhere(), LONG.filter(|_| wait.is_some()).or(second), wait)).await;
            assert_eq!(error.unwrap_err().kind, ErrorKind::Connection);
        }
        assert!(begun.elapsed() < Duration::from_secs(1));
        // Its time is over: the error says why.
        let endpoint = nowhere();
        let error = Client::connect(options(&endpoint, second, Some(true))).await.unwrap_err();
        assert_eq!((error.kind, error.phase, error.retriable), (ErrorKind::Timeout, Phase::Connect, true));
        assert!(error.message.contains("longer than 1 s; the last attempt: ") && error.message.contains(&endpoint));
        assert!(error.os_error.is_some(), "{error}");
        assert!((Duration::from_secs(1)..Duration::from_secs(3)).contains(&(begun.elapsed())));
        // Bad arguments, and what cannot be understood, are no reason to wait.
        let error = Client::connect(options("nonsense", LONG, Some(true))).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidArgument);

        // One that is about to start: whoever says so, or has more time than usual, waits.
        let directory = tempfile::tempdir().unwrap();
        let mut cluster = None;
        for (timeout, wait) in [(Some(Duration::from_secs(9)), Some(true)), (LONG, None), (None, None)] {
            drop(cluster.take());
            let endpoint = nowhere();
            let port = endpoint.rsplit_once(':').unwrap().1.parse().unwrap();
            let connecting = tokio::spawn(Client::connect(options(&endpoint, timeout, wait)));
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(!connecting.is_finished());
            cluster = Some(Cluster::start(at(directory.path(), port)).await.unwrap());
            assert_eq!(connecting.await.unwrap().unwrap().endpoint(), endpoint);
        }
        // One that has answered before is restarting.
        let known = cluster.as_ref().unwrap().endpoint();
        cluster.take().unwrap().shutdown().await;
        let connecting = tokio::spawn(Client::connect(options(&known.to_string(), Some(Duration::from_secs(9)), None)));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!connecting.is_finished());
        let error = Client::connect(options(&known.to_string(), LONG, Some(false))).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Connection);
        let cluster = Cluster::start(at(directory.path(), known.port())).await.unwrap();
        connecting.await.unwrap().unwrap();
        cluster.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_needs_the_leader_alone() {
    within(async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "t", 1, 0, 20).await;
        let consumer = consumer(&client, "t", worker()).await;
        consumer.commit(&[(0, 1)], LONG).await.unwrap();
        // The SC is away.
        cluster.control("sc kill").await.unwrap();
        let begun = Instant::now();
        consumer.commit(&[(0, 2)], LONG).await.unwrap();
        cluster.control("reset-sockets 5001").await.unwrap();
        consumer.commit(&[(0, 3)], LONG).await.unwrap();
        assert_eq!(consumer.committed(LONG).await.unwrap()[&0], 3);
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        // The leader too; and when it is back it does not know yet that it leads. The SC stays away.
        cluster.control("kill-spu 5001").await.unwrap();
        let (first, second) = (consumer.clone(), consumer.clone());
        let first = tokio::spawn(async move { first.commit(&[(0, 4)], LONG).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        let second = tokio::spawn(async move { second.commit(&[(0, 5)], LONG).await });
        let error = consumer.commit(&[(0, 6)], Some(Duration::from_millis(300))).await.unwrap_err();
        assert_eq!((error.kind, error.phase, error.retriable), (ErrorKind::Timeout, Phase::Commit, true));
        assert!(
            error.message.contains("SPU 5001") && error.message.contains("refused"),
            "it waited for others: {error}"
        );
        cluster.control("start-spu 5001 not-leader-for 1").await.unwrap();
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        assert_eq!(consumer.committed(LONG).await.unwrap()[&0], 5, "the later one wins");
        // A topic that is gone ends it at once.
        cluster.control("sc start").await.unwrap();
        client.admin(LONG).delete_topic("t", false, false).await.unwrap();
        // On a connection that it had before, the server takes it still.
        cluster.control("reset-sockets 5001").await.unwrap();
        let error = consumer.commit(&[(0, 7)], LONG).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::TopicNotFound, "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_go_on_without_the_sc() {
    within(async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        client.admin(None).create_topic("t", spec(1), CREATE, true).await.unwrap();
        let (producer, _) = producer(&client, "t", ProducerOptions::default()).await;
        let reader = consumer(&client, "t", worker()).await;
        cluster.control("sc kill").await.unwrap();
        for round in 1..4 {
            cluster.control("kill-spu 5001").await.unwrap();
            submit(&producer, &numbered(0..10, 10)).await;
            // It does not know yet that it leads, and nobody can say so.
            cluster.control("start-spu 5001 not-leader-for 0.5").await.unwrap();
            let begun = Instant::now();
            assert_eq!(read(&reader, 10).await.len(), 10);
            producer.flush().await.unwrap();
            reader.commit(&[(0, 10 * round - 1)], LONG).await.unwrap();
            assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_waits_for_the_spu_that_keeps_offsets() {
    within(async {
        let cluster = Cluster::start(Config { spus: 2, ..Default::default() }).await.unwrap();
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "t", 2, 1, 20).await;
        let consumer = consumer(&client, "t", ConsumerOptions { partitions: vec![1], ..worker() }).await;
        consumer.commit(&[(1, 1)], LONG).await.unwrap();
        cluster.control("kill-spu 5001").await.unwrap();
        let error = consumer.commit(&[(1, 2)], Some(Duration::from_millis(300))).await.unwrap_err();
        assert_eq!((error.kind, error.retriable, error.partition), (ErrorKind::Timeout, true, Some(1)));
        assert!(error.message.contains("consumer-offset is not available"), "{error}");
        let commit = tokio::spawn({
            let consumer = consumer.clone();
            async move { consumer.commit(&[(1, 3)], LONG).await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        cluster.control("start-spu 5001").await.unwrap();
        commit.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_spu_holds_up_no_commit_of_what_others_lead() {
    within(async {
        let cluster = Cluster::start(Config { spus: 2, ..Default::default() }).await.unwrap();
        let endpoint = cluster.endpoint().to_string();
        let brief = ClientOptions { request_timeout: Duration::from_millis(500), ..options(&endpoint, LONG, None) };
        let client = Client::connect(brief).await.unwrap();
        fill(&client, "t", 40, 0, 20).await;
        let consumer = consumer(&client, "t", worker()).await;
        cluster.control("stall 5002 on").await.unwrap();
        let begun = Instant::now();
        // Those with odd numbers are led by the silent one.
        let all: Vec<(u32, i64)> = (0..20).map(|half| (2 * half + 1, 0)).chain([(0, 7)]).collect();
        let commit = tokio::spawn({
            let consumer = consumer.clone();
            async move { consumer.commit_processed(&all, LONG).await }
        });
        let stored = async || client.admin(LONG).consumer_offset("w", "t", 0).await.is_ok();
        while !stored().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(!commit.is_finished());
        cluster.control("stall 5002 off").await.unwrap();
        commit.await.unwrap().unwrap();
        assert_eq!(consumer.committed(LONG).await.unwrap().len(), 21);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_what_waits() {
    within(async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "t", 1, 0, 20).await;
        let options = ConsumerOptions { auto_commit: Some(Duration::from_millis(10)), ..worker() };
        let consumer = consumer(&client, "t", options).await;
        consumer.processed(0).unwrap().store(5, std::sync::atomic::Ordering::Release);
        cluster.control("kill-spu 5001").await.unwrap();
        consumer.processed(0).unwrap().store(7, std::sync::atomic::Ordering::Release);
        let (commits, fetches) = (consumer.clone(), consumer.clone());
        let commits = tokio::spawn(async move { commits.commit(&[(0, 6)], None).await });
        let fetches = tokio::spawn(async move { fetches.committed(None).await });
        tokio::time::sleep(Duration::from_millis(200)).await;
        let begun = Instant::now();
        let error = consumer.close(Some(Duration::from_millis(300))).await.unwrap_err();
        assert_eq!((error.kind, error.phase), (ErrorKind::Timeout, Phase::Close));
        assert!(error.message.contains("refused"), "{error}");
        assert_eq!(commits.await.unwrap().unwrap_err().kind, ErrorKind::Closed);
        assert_eq!(fetches.await.unwrap().unwrap_err().kind, ErrorKind::Closed);
        assert!(begun.elapsed() < Duration::from_secs(3));
        // What it commits at the end waits, too.
        let closing = tokio::spawn(async move { consumer.close(LONG).await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        cluster.control("start-spu 5001").await.unwrap();
        closing.await.unwrap().unwrap();
        let stored = client.admin(LONG).consumer_offset("w", "t", 0).await.unwrap();
        assert_eq!(stored.offset, Some(7));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_sc_that_has_only_just_started_is_not_believed() {
    within(async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        client.admin(None).create_topic("t", spec(1), CREATE, true).await.unwrap();
        let (producer, _) = producer(&client, "t", ProducerOptions::default()).await;
        let reader = consumer(&client, "t", worker()).await;
        submit(&producer, &numbered(0..10, 10)).await;
        assert_eq!(read(&reader, 10).await.len(), 10);
        reader.commit(&[(0, 9)], LONG).await.unwrap();
        let events = client.events();
        let until = async |kind| {
            loop {
                match events.take() {
                    NextEvent::Event(event) if event.kind == kind => return,
                    NextEvent::End => panic!("ended"),
                    NextEvent::Event(_) => {}
                    NextEvent::Empty => events.ready().await,
                }
            }
        };
        until(EventKind::Connected).await;
        cluster.control("sc blank on").await.unwrap();
        cluster.control("sc kill").await.unwrap();
        cluster.control("sc start").await.unwrap();
        until(EventKind::Reconnecting).await;
        until(EventKind::Connected).await;
        assert!(client.admin(LONG).topics(None, true).await.unwrap().is_empty(), "it knows nothing");
        // All of them have to look for the leader now.
        cluster.control("kill-spu 5001").await.unwrap();
        cluster.control("start-spu 5001").await.unwrap();
        let (sink, other) = (Arc::new(Tickets::default()), client.clone());
        let opened = tokio::spawn(async move { other.producer("t", ProducerOptions::default(), sink, LONG).await });
        let (sink, other) = (Arc::new(Tickets::default()), client.clone());
        let missing = tokio::spawn(async move { other.producer("none", ProducerOptions::default(), sink, LONG).await });
        let (commits, opens) = (reader.clone(), client.clone());
        let commits = tokio::spawn(async move { commits.commit(&[(0, 9)], LONG).await });
        let opens = tokio::spawn(async move { opens.consumer("t", worker(), Arc::new(Plainly), LONG).await });
        submit(&producer, &numbered(10..20, 10)).await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert!(!opened.is_finished() && !missing.is_finished() && !commits.is_finished() && !opens.is_finished());
        cluster.control("sc blank off").await.unwrap();
        commits.await.unwrap().unwrap();
        opened.await.unwrap().unwrap();
        assert_eq!(missing.await.unwrap().unwrap_err().kind, ErrorKind::TopicNotFound);
        let resumed = opens.await.unwrap().unwrap();
        assert_eq!(read(&resumed, 10).await[0].0, 10, "it has found what is stored");
        assert_eq!(read(&reader, 10).await.len(), 10);
        producer.flush().await.unwrap();
    })
    .await;
}
