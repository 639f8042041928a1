//! What a test can do to a cluster, as its clients see it.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::{Client, NoFrame, PATIENCE, Raw, SILENCE, Watch, batch, batches};
use fluvio_cffi_cluster::{Cluster, Command, Config};
use fluvio_controlplane_metadata::partition::PartitionResolution;
use fluvio_controlplane_metadata::topic::TopicResolution;
use fluvio_protocol::link::ErrorCode;
use fluvio_sc_schema::partition::PartitionSpec;
use fluvio_sc_schema::spu::SpuSpec;
use fluvio_sc_schema::topic::TopicSpec;
use fluvio_spu_schema::fetch::{FetchPartition, FetchRequest, FetchableTopic};
use fluvio_spu_schema::server::consumer_offset::{FetchConsumerOffsetsRequest, UpdateConsumerOffsetRequest};
use fluvio_spu_schema::server::fetch_offset::FetchOffsetsRequest;
use fluvio_spu_schema::server::stream_fetch::StreamFetchRequest;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

/// A cluster with a topic `t`, a partition on each SPU.
async fn cluster(spus: u16) -> Cluster {
    let cluster = Cluster::start(Config { spus, ..Config::default() }).await.unwrap();
    let spec = TopicSpec::new_computed(u32::from(spus), 1, None);
    assert!(!Client::connect(cluster.endpoint()).await.create("t", spec).await.is_error());
    cluster
}

async fn control(cluster: &Cluster, line: &str) {
    timeout(PATIENCE, cluster.control(line)).await.unwrap().unwrap_or_else(|error| panic!("{line}: {error}"));
}

async fn refusal(cluster: &Cluster, line: &str) -> String {
    timeout(PATIENCE, cluster.control(line)).await.unwrap().expect_err(line).to_string()
}

/// How a connection ended.
async fn end_of(client: &mut Client) -> std::io::ErrorKind {
    let mut rest = Vec::new();
    match timeout(PATIENCE, client.socket.read_to_end(&mut rest)).await.unwrap() {
        Ok(_) => std::io::ErrorKind::UnexpectedEof,
        Err(error) => error.kind(),
    }
}

/// Whether somebody listens.
async fn accepts(address: SocketAddr) -> bool {
    match timeout(PATIENCE, tokio::net::TcpStream::connect(address)).await.unwrap() {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
            false
        }
    }
}

async fn produce(spu: &mut Client) -> ErrorCode {
    spu.produce("t", 0, batch(1, 10)).await.error_code
}

#[test]
fn a_killed_spu_resets_its_clients_and_comes_back_with_its_files() {
    common::run(30, async {
        let cluster = cluster(2).await;
        let endpoints = cluster.spu_endpoints();
        let mut writer = Client::connect(endpoints[0].1).await;
        assert_eq!(writer.produce("t", 0, batch(5, 10)).await.base_offset, 0);
        let mut idle = Client::connect(endpoints[0].1).await;
        let mut reader = Client::connect(endpoints[0].1).await;
        let stream = reader.stream("t", 0, -1).await;
        reader.stream_reply(stream, PATIENCE).await.unwrap();
        let (mut spus, _) = Watch::<SpuSpec>::begin(cluster.endpoint()).await;
        let (mut partitions, _) = Watch::<PartitionSpec>::begin(cluster.endpoint()).await;

        control(&cluster, "kill-spu 5001").await;
        for client in [&mut writer, &mut idle, &mut reader] {
            assert_eq!(end_of(client).await, std::io::ErrorKind::ConnectionReset);
        }
        assert!(!accepts(endpoints[0].1).await);
        let spu = spus.until(|_| true).await;
        assert!(spu.name == "custom-spu-5001" && spu.status.is_offline());
        let partition = partitions.until(|it| it.name == "t-0" && it.status.is_offline()).await;
        assert_eq!((partition.spec.leader, partition.status.leader.leo), (5001, 5));
        let listed = Client::connect(cluster.endpoint()).await.list::<PartitionSpec>().await;
        let online: Vec<bool> = listed.iter().map(|it| it.status.is_online()).collect();
        assert_eq!(online, [false, true]);
        // The other one is served on.
        assert_eq!(Client::connect(endpoints[1].1).await.produce("t", 1, batch(1, 10)).await.base_offset, 0);
        assert_eq!(refusal(&cluster, "kill-spu 5001").await, "SPU 5001 is down already");

        control(&cluster, "start-spu 5001").await;
        assert!(spus.until(|_| true).await.status.is_online());
        partitions.until(|it| it.name == "t-0" && it.status.is_online()).await;
        assert_eq!(Client::connect(endpoints[0].1).await.produce("t", 0, batch(1, 10)).await.base_offset, 5);
        assert_eq!(refusal(&cluster, "start-spu 5001").await, "SPU 5001 is up already");
        assert_eq!(refusal(&cluster, "start-spu 5003").await, "there is no SPU 5003");
        cluster.shutdown().await;
    });
}

#[test]
fn a_started_spu_leads_nothing_for_a_while() {
    common::run(30, async {
        let cluster = cluster(1).await;
        control(&cluster, "kill-spu 5001").await;
        let (mut spus, all) = Watch::<SpuSpec>::begin(cluster.endpoint()).await;
        assert!(all[0].status.is_offline());
        let start = Instant::now();
        control(&cluster, "start-spu 5001 not-leader-for 0.3").await;
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        assert_eq!(produce(&mut spu).await, ErrorCode::NotLeaderForPartition);
        let offsets = spu.call(FetchOffsetsRequest::new("t".to_owned(), 0)).await;
        assert_eq!(offsets.topics[0].partitions[0].error_code, ErrorCode::PartitionNotLeader);
        let stream = spu.stream("t", 0, -1).await;
        let reply = spu.stream_reply(stream, PATIENCE).await.unwrap();
        assert_eq!((reply.stream_id, reply.partition.error_code), (0, ErrorCode::NotLeaderForPartition));
        assert!(spus.until(|_| true).await.status.is_online());
        assert!(start.elapsed() >= Duration::from_millis(300));
        assert_eq!(produce(&mut spu).await, ErrorCode::None);

        // One that is killed before its time does not wake up in its successor.
        control(&cluster, "kill-spu 5001").await;
        control(&cluster, "start-spu 5001 not-leader-for 0.1").await;
        control(&cluster, "kill-spu 5001").await;
        control(&cluster, "start-spu 5001 not-leader-for 1000").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        assert_eq!(produce(&mut spu).await, ErrorCode::NotLeaderForPartition);
        cluster.shutdown().await;
    });
}

#[test]
fn sockets_are_reset_and_no_more() {
    common::run(30, async {
        let cluster = cluster(1).await;
        let mut old = Client::connect(cluster.spu_endpoint()).await;
        assert_eq!(produce(&mut old).await, ErrorCode::None);
        control(&cluster, "reset-sockets 5001").await;
        assert_eq!(end_of(&mut old).await, std::io::ErrorKind::ConnectionReset);
        let mut fresh = Client::connect(cluster.spu_endpoint()).await;
        assert_eq!(produce(&mut fresh).await, ErrorCode::None);

        let mut sc = Client::connect(cluster.endpoint()).await;
        sc.list::<TopicSpec>().await;
        control(&cluster, "sc reset").await;
        assert_eq!(end_of(&mut sc).await, std::io::ErrorKind::ConnectionReset);
        assert_eq!(Client::connect(cluster.endpoint()).await.list::<TopicSpec>().await.len(), 1);
        assert_eq!(produce(&mut fresh).await, ErrorCode::None);
        cluster.shutdown().await;
    });
}

#[test]
fn connections_are_cut_at_a_byte() {
    common::run(30, async {
        let cluster = cluster(1).await;
        let mut before = Client::connect(cluster.spu_endpoint()).await;
        before.produce("t", 0, batch(1, 100_000)).await;
        control(&cluster, "drop-after 5001 50000").await;
        for cut in [Some(50_000), None] {
            let mut client = Client::connect(cluster.spu_endpoint()).await;
            client.stream("t", 0, -1).await;
            let mut bytes = vec![0; 100_000];
            let received = timeout(PATIENCE, client.socket.read_exact(&mut bytes)).await.unwrap();
            assert_eq!(received.is_err(), cut.is_some());
        }
        control(&cluster, "drop-after 5001 7 2").await;
        for cut in [true, true, false] {
            let mut client = Client::connect(cluster.spu_endpoint()).await;
            client.send(FetchOffsetsRequest::new("t".to_owned(), 0)).await;
            if cut {
                let mut bytes = Vec::new();
                timeout(PATIENCE, client.socket.read_to_end(&mut bytes)).await.unwrap().unwrap();
                assert_eq!(bytes.len(), 7);
            } else {
                assert!(client.receive(PATIENCE).await.is_ok());
            }
        }
        assert_eq!(produce(&mut before).await, ErrorCode::None, "connections of before are left alone");
        cluster.shutdown().await;
    });
}

#[test]
fn replies_are_delayed() {
    common::run(30, async {
        let cluster = cluster(1).await;
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        control(&cluster, "delay 5001 150").await;
        let start = Instant::now();
        assert_eq!(produce(&mut spu).await, ErrorCode::None);
        let stream = spu.stream("t", 0, -1).await;
        spu.stream_reply(stream, PATIENCE).await.unwrap();
        assert!(start.elapsed() >= Duration::from_millis(300));
        control(&cluster, "delay 5001 0").await;
        let start = Instant::now();
        assert_eq!(produce(&mut spu).await, ErrorCode::None);
        assert!(start.elapsed() < Duration::from_millis(150));
        cluster.shutdown().await;
    });
}

#[test]
fn connections_are_refused() {
    common::run(30, async {
        let cluster = cluster(1).await;
        let mut old = Client::connect(cluster.spu_endpoint()).await;
        assert_eq!(produce(&mut old).await, ErrorCode::None);
        control(&cluster, "refuse 5001 on").await;
        // It depends on who is quicker whether the connect or the first read says it.
        let refused = async { tokio::net::TcpStream::connect(cluster.spu_endpoint()).await?.read_u8().await };
        let refused = timeout(PATIENCE, refused).await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(produce(&mut old).await, ErrorCode::None);
        control(&cluster, "refuse 5001 off").await;
        assert_eq!(produce(&mut Client::connect(cluster.spu_endpoint()).await).await, ErrorCode::None);
        cluster.shutdown().await;
    });
}

#[test]
fn a_stalled_server_reads_and_is_silent() {
    common::run(30, async {
        let cluster = cluster(1).await;
        let (mut old, mut gone) =
            (Client::connect(cluster.spu_endpoint()).await, Client::connect(cluster.spu_endpoint()).await);
        let mut reader = Client::connect(cluster.spu_endpoint()).await;
        let stream = reader.stream("t", 0, -1).await;
        assert_eq!(produce(&mut old).await, ErrorCode::None);
        reader.stream_reply(stream, PATIENCE).await.unwrap();
        control(&cluster, "stall 5001 on").await;
        let mut fresh = Client::connect(cluster.spu_endpoint()).await;
        // More than the sockets hold: it is read.
        for _ in 0..10 {
            old.send(common::produce("t", 0, batch(1, 1 << 20))).await;
        }
        fresh.send(common::produce("t", 0, batch(1, 10))).await;
        reader.acknowledge(1, 0).await;
        for client in [&mut old, &mut fresh, &mut reader] {
            assert_eq!(client.receive(SILENCE).await, Err(NoFrame::Silence));
        }
        gone.send(common::produce("t", 0, batch(1, 10))).await;
        drop(gone);

        let mut sc = Client::connect(cluster.endpoint()).await;
        control(&cluster, "sc stall on").await;
        let list = tokio::spawn(async move { sc.list::<TopicSpec>().await.len() });
        tokio::time::sleep(SILENCE).await;
        assert!(!list.is_finished());
        control(&cluster, "sc stall off").await;
        assert_eq!(timeout(PATIENCE, list).await.unwrap().unwrap(), 1);

        control(&cluster, "stall 5001 off").await;
        for _ in 0..10 {
            old.receive(PATIENCE).await.unwrap();
        }
        fresh.receive(PATIENCE).await.unwrap();
        reader.stream_reply(stream, PATIENCE).await.unwrap();
        let offsets = old.call(FetchOffsetsRequest::new("t".to_owned(), 0)).await;
        assert_eq!(offsets.topics[0].partitions[0].last_stable_offset, 12, "what the lost client sent is not done");
        cluster.shutdown().await;
    });
}

#[test]
fn a_blank_sc_knows_of_nothing() {
    common::run(30, async {
        let cluster = cluster(1).await;
        let mut sc = Client::connect(cluster.endpoint()).await;
        control(&cluster, "sc blank on").await;
        assert!(sc.list::<TopicSpec>().await.is_empty());
        assert!(sc.list::<SpuSpec>().await.is_empty());
        control(&cluster, "sc blank off").await;
        assert_eq!(sc.list::<TopicSpec>().await.len(), 1);
        assert_eq!(sc.list::<SpuSpec>().await.len(), 1);
        cluster.shutdown().await;
    });
}

#[test]
fn the_next_request_fails() {
    common::run(30, async {
        let cluster = cluster(1).await;
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        for (code, error) in [
            (6, ErrorCode::NotLeaderForPartition),
            (-1, ErrorCode::UnknownServerError),
            (2, ErrorCode::Other(String::new())),
            (56, ErrorCode::StorageError),
        ] {
            control(&cluster, &format!("fail-next 5001 produce {code}")).await;
            assert_eq!(produce(&mut spu).await, error);
        }
        control(&cluster, "fail-next 5001 produce 72").await;
        control(&cluster, "fail-next 5001 produce 7").await;
        assert!(
            matches!(produce(&mut spu).await, ErrorCode::PartitionFull { replica_key } if replica_key.topic == "t")
        );
        assert!(matches!(produce(&mut spu).await, ErrorCode::RequestTimedOut { timeout_ms: 1500, .. }));
        // Of all these only the last was written.
        assert_eq!(spu.produce("t", 0, batch(1, 10)).await.base_offset, 1);

        control(&cluster, "fail-next 5001 offsets 3001").await;
        let mut codes = Vec::new();
        for _ in 0..2 {
            let offsets = spu.call(FetchOffsetsRequest::new("t".to_owned(), 0)).await;
            codes.push(offsets.topics[0].partitions[0].error_code.clone());
        }
        assert_eq!(codes, [ErrorCode::PartitionNotLeader, ErrorCode::None]);

        control(&cluster, "fail-next 5001 fetch 56").await;
        for error in [ErrorCode::StorageError, ErrorCode::None] {
            let partition = FetchPartition { max_bytes: -1, ..Default::default() };
            let topic = FetchableTopic { name: "t".to_owned(), fetch_partitions: vec![partition] };
            let request = FetchRequest::<Raw> { topics: vec![topic], ..Default::default() };
            assert_eq!(spu.call(request).await.topics[0].partitions[0].error_code, error);
        }

        control(&cluster, "fail-next 5001 stream 6").await;
        control(&cluster, "fail-next 5001 stream 1000").await;
        let mut seen = Vec::new();
        for _ in 0..3 {
            let stream = spu.stream("t", 0, -1).await;
            let reply = spu.stream_reply(stream, PATIENCE).await.unwrap();
            seen.push((reply.stream_id, reply.partition.error_code));
        }
        let expected = [(0, ErrorCode::NotLeaderForPartition), (1, ErrorCode::SpuError), (2, ErrorCode::None)];
        assert_eq!(seen, expected);
        cluster.shutdown().await;
    });
}

#[test]
fn the_second_of_two_equal_acknowledgements_can_be_lost() {
    common::run(30, async {
        let cluster = cluster(1).await;
        let mut writer = Client::connect(cluster.spu_endpoint()).await;
        for _ in 0..2 {
            assert_eq!(produce(&mut writer).await, ErrorCode::None);
        }
        let mut reader = Client::connect(cluster.spu_endpoint()).await;
        let stream = reader.stream("t", 0, 1).await;
        let session = reader.stream_reply(stream, PATIENCE).await.unwrap().stream_id;
        for (lossy, again) in [("off", true), ("on", false)] {
            control(&cluster, &format!("lose-acks 5001 {lossy}")).await;
            reader.acknowledge(session, 1).await;
            assert!(reader.stream_reply(stream, PATIENCE).await.is_ok());
            reader.acknowledge(session, 1).await;
            let wait = if again { PATIENCE } else { SILENCE };
            assert_eq!(reader.stream_reply(stream, wait).await.is_ok(), again);
            reader.acknowledge(session, 0).await;
            assert!(reader.stream_reply(stream, PATIENCE).await.is_ok(), "another one is heard");
        }
        cluster.shutdown().await;
    });
}

#[test]
fn a_full_disk_lasts_until_the_restart() {
    common::run(30, async {
        let cluster = cluster(1).await;
        let mut sc = Client::connect(cluster.endpoint()).await;
        sc.create("other", TopicSpec::new_computed(1, 1, None)).await;
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        assert_eq!(produce(&mut spu).await, ErrorCode::None);
        let (mut partitions, _) = Watch::<PartitionSpec>::begin(cluster.endpoint()).await;
        control(&cluster, "disk-full 5001 on").await;
        assert!(
            matches!(produce(&mut spu).await, ErrorCode::PartitionFull { replica_key } if replica_key.topic == "t")
        );
        assert_eq!(produce(&mut spu).await, ErrorCode::PartitionShortCircuited);
        let told = partitions.until(|it| it.name == "t-0" && !it.status.is_online()).await;
        assert_eq!(told.status.resolution, PartitionResolution::OutOfStorage);
        // What is there can still be read.
        let stream = spu.stream("t", 0, -1).await;
        assert_eq!(batches(&spu.stream_reply(stream, PATIENCE).await.unwrap().partition.records.0).0.len(), 1);
        control(&cluster, "disk-full 5001 off").await;
        assert_eq!(produce(&mut spu).await, ErrorCode::PartitionShortCircuited);
        assert_eq!(spu.produce("other", 0, batch(1, 10)).await.error_code, ErrorCode::None);
        control(&cluster, "kill-spu 5001").await;
        control(&cluster, "start-spu 5001").await;
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        assert_eq!(spu.produce("t", 0, batch(1, 10)).await.base_offset, 1);
        partitions.until(|it| it.name == "t-0" && it.status.is_online()).await;
        cluster.shutdown().await;
    });
}

#[test]
fn a_partition_moves_with_its_records() {
    common::run(30, async {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data_dir: Some(directory.path().to_owned()), spus: 3, ..Config::default() };
        let cluster = Cluster::start(config.clone()).await.unwrap();
        let mut sc = Client::connect(cluster.endpoint()).await;
        assert!(!sc.create("t", TopicSpec::new_computed(1, 2, None)).await.is_error());
        let endpoints = cluster.spu_endpoints();
        let mut old = Client::connect(endpoints[0].1).await;
        assert_eq!(old.produce("t", 0, batch(4, 10)).await.base_offset, 0);
        let mut reader = Client::connect(endpoints[0].1).await;
        let stream = reader.stream("t", 4, -1).await;
        let (mut partitions, _) = Watch::<PartitionSpec>::begin(cluster.endpoint()).await;

        control(&cluster, "move t 0 5002").await;
        let reply = reader.stream_reply(stream, PATIENCE).await.unwrap();
        assert_eq!(reply.partition.error_code, ErrorCode::NotLeaderForPartition);
        assert_eq!(produce(&mut old).await, ErrorCode::NotLeaderForPartition);
        let told = partitions.until(|it| it.spec.leader == 5002).await;
        assert_eq!((told.spec.replicas, told.status.is_online()), (vec![5002, 5001], true));
        assert_eq!((told.status.leader.spu, told.status.leader.leo), (5002, 4));
        assert_eq!(Client::connect(endpoints[1].1).await.produce("t", 0, batch(1, 10)).await.base_offset, 4);
        assert_eq!(refusal(&cluster, "move t 0 5002").await, "SPU 5002 leads t-0 already");
        assert_eq!(refusal(&cluster, "move t 1 5002").await, "there is no partition t-1");

        // From one that is down to one that did not have it, and that is down, too. (Its follower would take its
        // place.)
        control(&cluster, "stall 5001 on").await;
        control(&cluster, "kill-spu 5002").await;
        control(&cluster, "stall 5001 off").await;
        control(&cluster, "kill-spu 5003").await;
        control(&cluster, "move t 0 5003").await;
        let told = partitions.until(|it| it.spec.leader == 5003).await;
        assert_eq!((told.spec.replicas, told.status.is_offline()), (vec![5003, 5001], true));
        control(&cluster, "start-spu 5003").await;
        partitions.until(|it| it.status.is_online()).await;
        assert_eq!(Client::connect(endpoints[2].1).await.produce("t", 0, batch(1, 10)).await.base_offset, 5);
        let config = Config { port: cluster.endpoint().port(), ..config };
        cluster.shutdown().await;

        let cluster = Cluster::start(config).await.unwrap();
        assert_eq!(Client::connect(endpoints[2].1).await.produce("t", 0, batch(1, 10)).await.base_offset, 6);
        cluster.shutdown().await;
    });
}

#[test]
fn records_are_evicted_up_to_an_offset() {
    common::run(30, async {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data_dir: Some(directory.path().to_owned()), segment_bytes: 2000, ..Config::default() };
        let cluster = Cluster::start(config.clone()).await.unwrap();
        Client::connect(cluster.endpoint()).await.create("t", TopicSpec::new_computed(1, 1, None)).await;
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        let files = || std::fs::read_dir(directory.path().join("spu-logs-5001/t-0")).unwrap().count();
        let set: Vec<u8> = (0..10).flat_map(|_| batch(5, 200)).collect();
        spu.produce("t", 0, set).await;
        assert_eq!(files(), 10);
        let mut reader = Client::connect(cluster.spu_endpoint()).await;
        let stream = reader.stream("t", 0, 100).await;
        let session = reader.stream_reply(stream, PATIENCE).await.unwrap().stream_id;
        let (mut partitions, _) = Watch::<PartitionSpec>::begin(cluster.endpoint()).await;

        control(&cluster, "evict t 0 23").await;
        assert_eq!(files(), 6 + 1, "the batches 20, 25 and so on, and where the log begins");
        let told = partitions.until(|it| it.name == "t-0").await;
        assert_eq!(told.status.base_offset, 23);
        let offsets = spu.call(FetchOffsetsRequest::new("t".to_owned(), 0)).await;
        let entry = &offsets.topics[0].partitions[0];
        assert_eq!((entry.start_offset, entry.last_stable_offset), (23, 50));
        reader.acknowledge(session, 5).await;
        let evicted = ErrorCode::OffsetEvicted { offset: 5, next_available: 23 };
        assert_eq!(reader.stream_reply(stream, PATIENCE).await.unwrap().partition.error_code, evicted);
        let evicted = ErrorCode::OffsetEvicted { offset: 22, next_available: 23 };
        let stream = reader.stream("t", 22, -1).await;
        assert_eq!(reader.stream_reply(stream, PATIENCE).await.unwrap().partition.error_code, evicted);
        for line in ["evict t 0 22", "evict t 0 51"] {
            assert!(refusal(&cluster, line).await.contains("not within 23 and 50"));
        }
        cluster.shutdown().await;

        let cluster = Cluster::start(config).await.unwrap();
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        let stream = spu.stream("t", 23, -1).await;
        let reply = spu.stream_reply(stream, PATIENCE).await.unwrap();
        assert_eq!(reply.partition.log_start_offset, 23);
        assert_eq!(batches(&reply.partition.records.0).0[0].0, 20, "the batch that holds it comes whole");
        control(&cluster, "evict t 0 50").await;
        let stream = spu.stream("t", 49, -1).await;
        let evicted = ErrorCode::OffsetEvicted { offset: 49, next_available: 50 };
        assert_eq!(spu.stream_reply(stream, PATIENCE).await.unwrap().partition.error_code, evicted);
        assert_eq!(spu.produce("t", 0, batch(1, 10)).await.base_offset, 50);
        cluster.shutdown().await;
    });
}

#[test]
fn partitions_are_added() {
    common::run(30, async {
        let cluster = cluster(2).await;
        control(&cluster, "add-partitions t 2").await;
        let (_, all) = Watch::<PartitionSpec>::begin(cluster.endpoint()).await;
        assert_eq!(all.iter().filter(|it| it.name.starts_with("t-") && it.status.is_online()).count(), 4);
        assert_eq!(refusal(&cluster, "add-partitions u 1").await, "not found");
        cluster.shutdown().await;
    });
}

/// Consumer offsets are gone while their SPU is down, and are what was answered when it is back.
#[test]
fn consumer_offsets_go_and_come_with_their_leader() {
    common::run(30, async {
        let cluster = cluster(2).await;
        let endpoints = cluster.spu_endpoints();
        let mut other = Client::connect(endpoints[1].1).await;
        let mut request = StreamFetchRequest::<Raw>::default();
        (request.topic, request.partition, request.consumer_id) = ("t".into(), 1, Some("me".into()));
        other.send(request).await;
        assert_eq!(other.call(UpdateConsumerOffsetRequest::new(7, 1)).await.error_code, ErrorCode::None);
        control(&cluster, "kill-spu 5001").await;
        let refused = other.call(UpdateConsumerOffsetRequest::new(8, 1)).await.error_code;
        assert!(matches!(refused, ErrorCode::Other(_)), "{refused:?}");
        control(&cluster, "start-spu 5001").await;
        let request = FetchConsumerOffsetsRequest::with_opts(None, None);
        let list = Client::connect(endpoints[0].1).await.call(request).await;
        assert_eq!(list.consumers.into_iter().map(|it| it.offset).collect::<Vec<_>>(), [7]);
        control(&cluster, "move consumer-offset 0 5002").await;
        assert_eq!(other.call(UpdateConsumerOffsetRequest::new(9, 1)).await.error_code, ErrorCode::None);
        let list = other.call(FetchConsumerOffsetsRequest::with_opts(None, None)).await;
        assert_eq!(list.consumers.into_iter().map(|it| it.offset).collect::<Vec<_>>(), [9]);
        cluster.shutdown().await;
    });
}

#[test]
fn a_create_waits_for_an_spu_and_gets_it() {
    common::run(30, async {
        let cluster = cluster(2).await;
        control(&cluster, "kill-spu 5002").await;
        let (endpoint, (mut topics, _)) = (cluster.endpoint(), Watch::<TopicSpec>::begin(cluster.endpoint()).await);
        let create = tokio::spawn(async move {
            Client::connect(endpoint).await.create("two", TopicSpec::new_computed(1, 2, None)).await
        });
        topics.until(|it| it.name == "two" && it.status.resolution == TopicResolution::InsufficientResources).await;
        control(&cluster, "start-spu 5002").await;
        assert!(!timeout(PATIENCE, create).await.unwrap().unwrap().is_error());
        assert_eq!(Client::connect(cluster.spu_endpoint()).await.produce("two", 0, batch(1, 1)).await.base_offset, 0);
        // New ones stay off those that are down, and what is deleted meanwhile is deleted.
        control(&cluster, "kill-spu 5001").await;
        let mut sc = Client::connect(endpoint).await;
        assert!(!sc.create("one", TopicSpec::new_computed(2, 1, None)).await.is_error());
        assert!(!sc.delete("two").await.is_error());
        assert!(!sc.create("two", TopicSpec::new_computed(1, 1, None)).await.is_error());
        // An assigned one is there when its leader is.
        let create = tokio::spawn(async move {
            let spec = TopicSpec::new_assigned(vec![(0, vec![5002]), (1, vec![5001])]);
            Client::connect(endpoint).await.create("given", spec).await
        });
        let (mut partitions, all) = Watch::<PartitionSpec>::begin(endpoint).await;
        if all.iter().all(|it| it.name != "given-0") {
            partitions.until(|it| it.name == "given-0" && it.status.is_online()).await;
        }
        assert!(!create.is_finished());
        control(&cluster, "move given 1 5002").await;
        assert!(!timeout(PATIENCE, create).await.unwrap().unwrap().is_error());
        let mut spu = Client::connect(cluster.spu_endpoints()[1].1).await;
        for (topic, partition) in [("one", 0), ("one", 1), ("two", 0)] {
            assert_eq!(spu.produce(topic, partition, batch(1, 1)).await.base_offset, 0);
        }
        cluster.shutdown().await;
    });
}

#[test]
fn lines_that_are_not_understood() {
    for (line, reason) in [
        ("", "command is missing"),
        ("nonsense 1", "unknown command \"nonsense\""),
        ("kill-spu", "number of an SPU is missing"),
        ("kill-spu x", "\"x\" is not a number of an SPU"),
        ("kill-spu 5001 5002", "\"5002\" is one word too many"),
        ("start-spu 5001 soon", "\"soon\" is not the word not-leader-for"),
        ("start-spu 5001 not-leader-for -1", "-1 is not a number of seconds"),
        ("stall 5001 maybe", "\"maybe\" is neither on nor off"),
        ("fail-next 5001 commit 6", "\"commit\" is not produce, fetch, stream or offsets"),
        ("sc hang", "\"hang\" is not stall, blank, reset, kill or start"),
    ] {
        assert_eq!(line.parse::<Command>().unwrap_err().to_string(), reason, "{line}");
    }
    assert_eq!("drop-after 5002 10".parse(), Ok(Command::DropAfter { id: 5002, bytes: 10, connections: 1 }));
    common::run(30, async {
        let cluster = cluster(1).await;
        assert_eq!(refusal(&cluster, "fail-next 5001 produce 4711").await, "no error has the code 4711");
        assert_eq!(refusal(&cluster, "fail-next 5001 produce 0").await, "no error has the code 0");
        cluster.shutdown().await;
    });
}
