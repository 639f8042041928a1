//! Several SPUs in one cluster.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::{Client, NoFrame, PATIENCE, SILENCE, Watch, batch, batches};
use fluvio::consumer::ConsumerConfigExtBuilder;
use fluvio::{Fluvio, FluvioClusterConfig, Isolation, Offset};
use fluvio_cffi_cluster::{Cluster, Config, StartError};
use fluvio_controlplane_metadata::partition::ReplicaStatus;
use fluvio_controlplane_metadata::topic::{AddPartition, UpdateTopicAction};
use fluvio_protocol::api::RequestKind;
use fluvio_protocol::link::ErrorCode;
use fluvio_sc_schema::TryEncodableFrom;
use fluvio_sc_schema::objects::{ObjectApiUpdateRequest, UpdateRequest};
use fluvio_sc_schema::partition::PartitionSpec;
use fluvio_sc_schema::spu::SpuSpec;
use fluvio_sc_schema::topic::TopicSpec;
use fluvio_spu_schema::server::consumer_offset::{FetchConsumerOffsetsRequest, UpdateConsumerOffsetRequest};
use fluvio_spu_schema::server::fetch_offset::FetchOffsetsRequest;
use fluvio_spu_schema::server::stream_fetch::StreamFetchRequest;
use fluvio_spu_schema::server::update_offset::{OffsetUpdate, UpdateOffsetsRequest};
use futures_util::StreamExt;
use tokio::time::timeout;

async fn start(spus: u16) -> Cluster {
    Cluster::start(Config { spus, ..Config::default() }).await.unwrap()
}

/// The SPUs of each partition of a topic, the leader first.
async fn placement(cluster: &Cluster, topic: &str) -> Vec<Vec<i32>> {
    let mut sc = Client::connect(cluster.endpoint()).await;
    let partitions = sc.list::<PartitionSpec>().await;
    let of_topic = partitions.into_iter().filter(|it| it.name.starts_with(&format!("{topic}-")));
    let rows = of_topic.inspect(|it| assert_eq!(it.spec.leader, it.spec.replicas[0])).map(|it| it.spec.replicas);
    rows.collect()
}

#[test]
fn are_all_listed_and_watched() {
    common::run(30, async {
        let cluster = start(3).await;
        let (_watch, watched) = Watch::<SpuSpec>::begin(cluster.endpoint()).await;
        let listed = Client::connect(cluster.endpoint()).await.list::<SpuSpec>().await;
        assert_eq!(format!("{watched:?}"), format!("{listed:?}"));
        let endpoints = listed.iter().map(|spu| {
            assert!(spu.status.is_online());
            assert_eq!(spu.name, format!("custom-spu-{}", spu.spec.id));
            let address: SocketAddr = spu.spec.public_endpoint.addr().parse().unwrap();
            (spu.spec.id, address)
        });
        let endpoints: Vec<_> = endpoints.collect();
        assert_eq!(endpoints, cluster.spu_endpoints());
        assert_eq!(endpoints.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [5001, 5002, 5003]);
        assert_eq!(cluster.spu_endpoint(), endpoints[0].1);
        cluster.shutdown().await;
    });
}

#[test]
fn partitions_are_dealt_out_in_turn_and_served_by_their_leader_alone() {
    common::run(30, async {
        let cluster = start(3).await;
        let mut sc = Client::connect(cluster.endpoint()).await;
        assert!(!sc.create("t", TopicSpec::new_computed(4, 1, None)).await.is_error());
        assert_eq!(placement(&cluster, "t").await, [[5001], [5002], [5003], [5001]]);
        let more = UpdateTopicAction::AddPartition(AddPartition { count: 2 });
        let update = UpdateRequest::<TopicSpec>::new("t".to_owned(), more);
        assert!(!sc.call(ObjectApiUpdateRequest::try_encode_from(update, 19).unwrap()).await.is_error());
        assert_eq!(placement(&cluster, "t").await, [[5001], [5002], [5003], [5001], [5002], [5003]]);
        for (number, (_, address)) in cluster.spu_endpoints().into_iter().enumerate() {
            let mut spu = Client::connect(address).await;
            for partition in 0..6 {
                let produced = spu.produce("t", partition, batch(1, 1)).await;
                let is_leader = partition as usize % 3 == number;
                assert_eq!(produced.error_code == ErrorCode::None, is_leader);
                assert!(is_leader || produced.error_code == ErrorCode::NotLeaderForPartition);
            }
        }
        let unknown = sc.create("u", TopicSpec::new_assigned(vec![(0, vec![5003, 5004])])).await;
        assert_eq!(unknown.error_code, ErrorCode::TopicError);
        assert!(!sc.create("u", TopicSpec::new_assigned(vec![(0, vec![5003, 5001])])).await.is_error());
        assert_eq!(placement(&cluster, "u").await, [[5003, 5001]]);
        cluster.shutdown().await;
    });
}

#[test]
fn replicas_are_listed_and_committed_at_once() {
    common::run(30, async {
        let cluster = start(3).await;
        let mut sc = Client::connect(cluster.endpoint()).await;
        assert!(!sc.create("t", TopicSpec::new_computed(3, 2, None)).await.is_error());
        assert!(!sc.create("all", TopicSpec::new_computed(1, 3, None)).await.is_error());
        assert_eq!(placement(&cluster, "t").await, [[5001, 5002], [5002, 5003], [5003, 5001]]);
        let (_, address) = cluster.spu_endpoints()[1];
        let mut request = common::produce("t", 1, batch(7, 1));
        request.isolation = Isolation::ReadCommitted;
        let response = Client::connect(address).await.call(request).await;
        assert_eq!(response.responses[0].partitions[0].error_code, ErrorCode::None);
        let partitions = sc.list::<PartitionSpec>().await;
        let status = &partitions.iter().find(|it| it.name == "t-1").unwrap().status;
        assert_eq!(status.leader, ReplicaStatus::new(5002, 7, 7));
        assert_eq!(status.replicas, [ReplicaStatus::new(5003, 7, 7)]);
        cluster.shutdown().await;
    });
}

/// The follower is simulated: it has at once what its leader has, as long as it is up and does not stall.
#[test]
fn nothing_is_committed_without_a_follower() {
    common::run(30, async {
        let cluster = start(3).await;
        let mut sc = Client::connect(cluster.endpoint()).await;
        assert!(!sc.create("t", TopicSpec::new_computed(1, 2, None)).await.is_error());
        assert!(!sc.create("all", TopicSpec::new_computed(1, 3, None)).await.is_error());
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        assert_eq!(spu.produce("t", 0, batch(5, 1)).await.base_offset, 0);
        let open = |offset, isolation| {
            let mut request = StreamFetchRequest::<common::Raw>::default();
            (request.topic, request.fetch_offset) = ("t".into(), offset);
            (request.max_bytes, request.isolation) = (-1, isolation);
            request
        };
        let acknowledge = async |client: &mut Client, offset, session_id| {
            let request = UpdateOffsetsRequest::new(vec![OffsetUpdate { offset, session_id }]);
            client.call(request).await;
        };
        let mut late = Client::connect(cluster.spu_endpoint()).await;
        let stream = late.send(open(5, Isolation::ReadCommitted)).await;

        for (stop, go) in [("stall 5002 on", "stall 5002 off"), ("kill-spu 5002", "start-spu 5002")] {
            let base = spu.produce("t", 0, batch(1, 1)).await.base_offset + 1;
            let reply = late.stream_reply(stream, PATIENCE).await.unwrap();
            acknowledge(&mut late, base, reply.stream_id).await;
            cluster.control(stop).await.unwrap();
            let mut request = common::produce("t", 0, batch(7, 1));
            (request.isolation, request.timeout) = (Isolation::ReadCommitted, Duration::from_millis(200));
            let sent = Instant::now();
            let response = spu.call(request.clone()).await;
            assert!(sent.elapsed() >= Duration::from_millis(200));
            let entry = &response.responses[0].partitions[0];
            let timed_out = ErrorCode::RequestTimedOut { timeout_ms: 200, kind: RequestKind::Produce };
            assert_eq!((&entry.error_code, entry.base_offset), (&timed_out, base));

            // It is written, and seen by those who do not ask for more.
            let offsets = spu.call(FetchOffsetsRequest::new("t".to_owned(), 0)).await;
            assert_eq!(offsets.topics[0].partitions[0].last_stable_offset, base);
            let partitions = sc.list::<PartitionSpec>().await;
            let status = &partitions.iter().find(|it| it.name == "t-0").unwrap().status;
            assert_eq!(status.leader, ReplicaStatus::new(5001, base, base + 7));
            assert_eq!(status.replicas, [ReplicaStatus::new(5002, -1, -1)]);
            let mut reader = Client::connect(cluster.spu_endpoint()).await;
            let read = reader.send(open(0, Isolation::ReadUncommitted)).await;
            let all = reader.stream_reply(read, PATIENCE).await.unwrap().partition;
            assert_eq!(all.high_watermark, base);
            let (all, _) = batches(&all.records.0);
            let mut reader = Client::connect(cluster.spu_endpoint()).await;
            let read = reader.send(open(0, Isolation::ReadCommitted)).await;
            let (committed, rest) = batches(&reader.stream_reply(read, PATIENCE).await.unwrap().partition.records.0);
            assert_eq!((committed.as_slice(), rest), (&all[..all.len() - 1], 0));
            assert_eq!(late.receive(SILENCE).await, Err(NoFrame::Silence));
            // One of two followers is enough.
            let mut other = request.clone();
            other.topics[0].name = "all".to_owned();
            assert_eq!(spu.call(other).await.responses[0].partitions[0].error_code, ErrorCode::None);

            // A request that waits, and a stream, hear of it when the follower is back.
            request.timeout = PATIENCE;
            let mut writer = Client::connect(cluster.spu_endpoint()).await;
            let waiting = tokio::spawn(async move { writer.call(request).await });
            tokio::time::sleep(SILENCE).await;
            assert!(!waiting.is_finished());
            cluster.control(go).await.unwrap();
            let entry = waiting.await.unwrap().responses.remove(0).partitions.remove(0);
            assert_eq!((entry.error_code, entry.base_offset), (ErrorCode::None, base + 7));
            let reply = late.stream_reply(stream, PATIENCE).await.unwrap();
            acknowledge(&mut late, base + 14, reply.stream_id).await;
        }
        cluster.shutdown().await;
    });
}

#[test]
fn a_follower_takes_the_place_of_its_leader() {
    common::run(30, async {
        let cluster = start(3).await;
        let endpoints = cluster.spu_endpoints();
        let mut sc = Client::connect(cluster.endpoint()).await;
        assert!(!sc.create("t", TopicSpec::new_computed(2, 3, None)).await.is_error());
        assert!(!sc.create("alone", TopicSpec::new_computed(1, 1, None)).await.is_error());
        assert_eq!(Client::connect(endpoints[0].1).await.produce("t", 0, batch(5, 1)).await.base_offset, 0);
        let (mut partitions, _) = Watch::<PartitionSpec>::begin(cluster.endpoint()).await;
        // One that stalls does not follow.
        cluster.control("stall 5002 on").await.unwrap();
        cluster.control("kill-spu 5001").await.unwrap();
        cluster.control("stall 5002 off").await.unwrap();
        let partition = partitions.until(|it| it.name == "t-0" && it.spec.leader == 5003).await;
        assert!(partition.status.is_online());
        assert_eq!(partition.spec.replicas, [5003, 5001, 5002]);
        assert_eq!(Client::connect(endpoints[2].1).await.produce("t", 0, batch(1, 1)).await.base_offset, 5);
        let topic = sc.list::<TopicSpec>().await.into_iter().find(|it| it.name == "t").unwrap();
        assert_eq!(topic.status.replica_map[&0], [5003, 5001, 5002]);
        let alone = sc.list::<PartitionSpec>().await.into_iter().find(|it| it.name == "alone-0").unwrap();
        assert!(alone.spec.leader == 5001 && alone.status.is_offline());

        // Without a follower that is up it waits for its leader.
        cluster.control("kill-spu 5002").await.unwrap();
        cluster.control("kill-spu 5003").await.unwrap();
        partitions.until(|it| it.name == "t-0" && it.status.is_offline()).await;
        cluster.control("start-spu 5001").await.unwrap();
        let mut old = Client::connect(endpoints[0].1).await;
        assert_eq!(old.produce("t", 0, batch(1, 1)).await.error_code, ErrorCode::NotLeaderForPartition);
        cluster.control("start-spu 5003").await.unwrap();
        assert_eq!(Client::connect(endpoints[2].1).await.produce("t", 0, batch(1, 1)).await.base_offset, 6);
        cluster.shutdown().await;
    });
}

#[test]
fn a_restart_finds_ports_and_places_again() {
    common::run(60, async {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data_dir: Some(directory.path().to_owned()), spus: 2, ..Config::default() };
        let cluster = Cluster::start(config.clone()).await.unwrap();
        let endpoints = cluster.spu_endpoints();
        let config = Config { port: cluster.endpoint().port(), ..config };
        let mut sc = Client::connect(cluster.endpoint()).await;
        sc.create("t", TopicSpec::new_computed(2, 1, None)).await;
        for (partition, (_, address)) in (0..).zip(&endpoints) {
            let mut spu = Client::connect(*address).await;
            assert_eq!(spu.produce("t", partition, batch(3, 1)).await.base_offset, 0);
        }
        cluster.shutdown().await;
        for (id, topic) in [(5001, "t-0"), (5002, "t-1")] {
            assert!(directory.path().join(format!("spu-logs-{id}/{topic}")).is_dir());
        }

        // Fewer than the topics need are refused; more are welcome, and take nothing away.
        let fewer = Cluster::start(Config { spus: 1, ..config.clone() }).await;
        assert!(matches!(fewer, Err(StartError::Metadata { reason, .. }) if reason.contains("at least 2 SPUs")));
        let cluster = Cluster::start(Config { spus: 3, ..config }).await.unwrap();
        assert_eq!(cluster.spu_endpoints()[..2], endpoints);
        assert_eq!(placement(&cluster, "t").await, [[5001], [5002]]);
        for (partition, (_, address)) in (0..).zip(&endpoints) {
            let mut spu = Client::connect(*address).await;
            assert_eq!(spu.produce("t", partition, batch(1, 1)).await.base_offset, 3);
        }
        cluster.shutdown().await;
    });
}

#[test]
fn consumer_offsets_are_with_one_of_them() {
    common::run(30, async {
        let cluster = start(2).await;
        Client::connect(cluster.endpoint()).await.create("t", TopicSpec::new_computed(2, 1, None)).await;
        let endpoints = cluster.spu_endpoints();
        for (partition, (_, address)) in (0..).zip(&endpoints) {
            let mut spu = Client::connect(*address).await;
            let mut request = StreamFetchRequest::<common::Raw>::default();
            (request.topic, request.partition, request.consumer_id) = ("t".into(), partition, Some("me".into()));
            spu.send(request).await;
            let offset = 10 + i64::from(partition);
            assert_eq!(spu.call(UpdateConsumerOffsetRequest::new(offset, 1)).await.error_code, ErrorCode::None);
        }
        let ask = |address| async move {
            Client::connect(address).await.call(FetchConsumerOffsetsRequest::with_opts(None, None)).await
        };
        let list = ask(endpoints[0].1).await;
        let offsets: BTreeMap<_, _> =
            list.consumers.into_iter().map(|it| (it.replica_id.partition, it.offset)).collect();
        assert_eq!(offsets, BTreeMap::from([(0, 10), (1, 11)]));
        assert_eq!(ask(endpoints[1].1).await.error_code, ErrorCode::PartitionNotLeader);
        cluster.shutdown().await;
    });
}

#[test]
fn the_official_client_finds_each_leader() {
    common::run(60, async {
        let cluster = start(3).await;
        let config = FluvioClusterConfig::new(cluster.endpoint().to_string());
        let fluvio = timeout(PATIENCE, Fluvio::connect_with_config(&config)).await.unwrap().unwrap();
        let admin = fluvio.admin().await;
        admin.create("hello".to_owned(), false, TopicSpec::new_computed(6, 2, None)).await.unwrap();
        let producer = fluvio.topic_producer("hello").await.unwrap();
        for number in 0..120 {
            producer.send(format!("key-{number}"), format!("value-{number}")).await.unwrap();
        }
        producer.flush().await.unwrap();
        let mut config = ConsumerConfigExtBuilder::default();
        config.topic("hello").offset_start(Offset::beginning());
        let mut stream = fluvio.consumer_with_config(config.build().unwrap()).await.unwrap();
        let mut partitions: BTreeMap<u32, usize> = BTreeMap::new();
        for _ in 0..120 {
            let record = timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap();
            *partitions.entry(record.partition()).or_default() += 1;
        }
        assert_eq!(partitions.len(), 6, "{partitions:?}");
        cluster.shutdown().await;
    });
}
