//! What the recorded conversations do not show.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use common::{Client, NoFrame, PATIENCE, Raw, SILENCE, batch, batches};
use fluvio_cffi_cluster::{Cluster, Config};
use fluvio_controlplane_metadata::spu::CustomSpuSpec;
use fluvio_controlplane_metadata::topic::{
    AddPartition, CleanupPolicy, CompressionAlgorithm, SegmentBasedPolicy, TopicResolution, TopicStorageConfig,
    UpdateTopicAction,
};
use fluvio_protocol::Encoder;
use fluvio_protocol::api::RequestMessage;
use fluvio_protocol::link::ErrorCode;
use fluvio_sc_schema::TryEncodableFrom;
use fluvio_sc_schema::objects::{
    ListRequest, ListResponse, ObjectApiListRequest, ObjectApiUpdateRequest, ObjectApiWatchRequest, UpdateRequest,
    WatchRequest,
};
use fluvio_sc_schema::topic::TopicSpec;
use fluvio_spu_schema::fetch::{FetchPartition, FetchRequest, FetchableTopic};
use fluvio_spu_schema::server::consumer_offset::{FetchConsumerOffsetsRequest, UpdateConsumerOffsetRequest};
use fluvio_spu_schema::server::fetch_offset::FetchOffsetsRequest;
use fluvio_spu_schema::server::stream_fetch::StreamFetchRequest;

async fn cluster_with(topics: &[&str]) -> Cluster {
    let cluster = Cluster::start(Config::default()).await.unwrap();
    let mut sc = Client::connect(cluster.endpoint()).await;
    for topic in topics {
        assert!(!sc.create(topic, TopicSpec::new_computed(1, 1, None)).await.is_error());
    }
    cluster
}

async fn topics(sc: &mut Client, system: bool) -> Vec<(String, TopicSpec, TopicResolution)> {
    let request = ListRequest::<TopicSpec>::new(vec![], false).system(system);
    let response = sc.call(ObjectApiListRequest::try_encode_from(request, 19).unwrap()).await;
    let list: ListResponse<TopicSpec> = response.downcast().unwrap().unwrap();
    list.inner().into_iter().map(|topic| (topic.name, topic.spec, topic.status.resolution)).collect()
}

#[test]
fn a_create_that_waits_holds_up_its_connection_alone() {
    common::run(30, async {
        let config = Config { topic_wait: Duration::from_millis(500), ..Config::default() };
        let cluster = Cluster::start(config).await.unwrap();
        let (mut one, mut other) =
            (Client::connect(cluster.endpoint()).await, Client::connect(cluster.endpoint()).await);
        let start = Instant::now();
        let waiting = tokio::spawn(async move {
            let status = one.create("r2", TopicSpec::new_computed(1, 2, None)).await;
            (status, start.elapsed())
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!other.create("r1", TopicSpec::new_computed(1, 1, None)).await.is_error());
        assert!(start.elapsed() < Duration::from_millis(400));
        let listed = topics(&mut other, false).await;
        assert_eq!(listed[1].2, TopicResolution::InsufficientResources);
        let (status, elapsed) = waiting.await.unwrap();
        assert_eq!(status.error_code, ErrorCode::TopicNotProvisioned);
        assert!(elapsed >= Duration::from_millis(500));
        cluster.shutdown().await;
    });
}

#[test]
fn metadata_survives_a_restart() {
    common::run(30, async {
        let directory = tempfile::tempdir().unwrap();
        let config =
            Config { data_dir: Some(directory.path().to_owned()), topic_wait: Duration::ZERO, ..Config::default() };
        let cluster = Cluster::start(config.clone()).await.unwrap();
        let mut sc = Client::connect(cluster.endpoint()).await;
        let mut spec = TopicSpec::new_computed(3, 1, Some(true));
        spec.set_cleanup_policy(CleanupPolicy::Segment(SegmentBasedPolicy { time_in_seconds: 77 }));
        spec.set_storage(TopicStorageConfig { segment_size: Some(2000), max_partition_size: Some(u64::MAX) });
        spec.set_compression_type(CompressionAlgorithm::Lz4);
        sc.create("a", spec).await;
        sc.create("b", TopicSpec::new_assigned(vec![(0, vec![5001]), (1, vec![5001])])).await;
        sc.create("c", TopicSpec::new_computed(1, 2, None)).await;
        sc.create("d", TopicSpec::new_computed(1, 1, None)).await;
        sc.create("gone", TopicSpec::new_computed(1, 1, None)).await;
        sc.delete("gone").await;
        let more = UpdateTopicAction::AddPartition(AddPartition { count: 2 });
        let update = UpdateRequest::<TopicSpec>::new("d".to_owned(), more);
        assert!(!sc.call(ObjectApiUpdateRequest::try_encode_from(update, 19).unwrap()).await.is_error());
        assert_eq!(Client::connect(cluster.spu_endpoint()).await.produce("d", 2, batch(1, 1)).await.base_offset, 0);
        let before = (topics(&mut sc, false).await, topics(&mut sc, true).await);
        assert_eq!(before.0.len(), 4);
        cluster.shutdown().await;

        let cluster = Cluster::start(config).await.unwrap();
        let mut sc = Client::connect(cluster.endpoint()).await;
        assert_eq!((topics(&mut sc, false).await, topics(&mut sc, true).await), before);
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        assert_eq!(spu.produce("d", 2, batch(1, 1)).await.base_offset, 1);
        assert_eq!(spu.produce("b", 1, batch(1, 1)).await.base_offset, 0);
        assert_eq!(spu.produce("gone", 0, batch(1, 1)).await.error_code, ErrorCode::NotLeaderForPartition);
        cluster.shutdown().await;
    });
}

#[test]
fn a_stream_reads_through_segments() {
    common::run(30, async {
        let cluster = cluster_with(&[]).await;
        let mut spec = TopicSpec::new_computed(1, 1, None);
        spec.set_storage(TopicStorageConfig { segment_size: Some(2048), max_partition_size: None });
        Client::connect(cluster.endpoint()).await.create("t", spec).await;
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        let set: Vec<u8> = (0..50).flat_map(|_| batch(2, 300)).collect();
        assert_eq!(spu.produce("t", 0, set).await.base_offset, 0);
        assert_eq!(spu.produce("t", 0, batch(1, 2048)).await.error_code, ErrorCode::MessageTooLarge);
        let correlation = spu.stream("t", 0, -1).await;
        let (mut next, mut replies) = (0, 0);
        while next < 100 {
            let reply = spu.stream_reply(correlation, PATIENCE).await.unwrap();
            assert!(reply.partition.records.0.len() <= 2048);
            let (batches, rest) = batches(&reply.partition.records.0);
            assert_eq!(rest, 0);
            for (base, offsets, _) in batches {
                assert_eq!(base, next);
                next += offsets;
            }
            replies += 1;
            spu.acknowledge(reply.stream_id, next).await;
        }
        assert_eq!(replies, 17, "three batches a segment, a segment a reply");
        cluster.shutdown().await;
    });
}

#[test]
fn a_topic_takes_its_own_compression_only() {
    common::run(30, async {
        let cluster = cluster_with(&[]).await;
        let mut spec = TopicSpec::new_computed(1, 1, None);
        spec.set_compression_type(CompressionAlgorithm::Gzip);
        Client::connect(cluster.endpoint()).await.create("gzip", spec).await;
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        for (codec, error) in [(0, ErrorCode::CompressionError), (1, ErrorCode::None), (3, ErrorCode::CompressionError)]
        {
            let mut set = batch(1, 10);
            set[22] = codec;
            assert_eq!(spu.produce("gzip", 0, set).await.error_code, error);
        }
        cluster.shutdown().await;
    });
}

#[test]
fn a_plain_fetch_answers_at_once() {
    common::run(30, async {
        let cluster = cluster_with(&["t"]).await;
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        let set: Vec<u8> = (0..10).flat_map(|_| batch(2, 100)).collect();
        let length = set.len();
        spu.produce("t", 0, set).await;
        let mut wanted = Vec::new();
        for (partition_index, fetch_offset, max_bytes) in
            [(0, 3, 100), (0, 0, -1), (0, 20, -1), (0, 21, -1), (7, 0, -1)]
        {
            wanted.push(FetchPartition { partition_index, fetch_offset, max_bytes, ..Default::default() });
        }
        let topic = FetchableTopic { name: "t".to_owned(), fetch_partitions: wanted };
        let request = FetchRequest::<Raw> { max_wait: 10_000, topics: vec![topic], ..Default::default() };
        let response = spu.call(request).await;
        let partitions = &response.topics[0].partitions;
        let lengths: Vec<usize> = partitions.iter().map(|it| it.records.0.len()).collect();
        assert_eq!(lengths, [100, length, 0, 0, 0]);
        assert_eq!(partitions[0].records.0[..8], 2_i64.to_be_bytes(), "the batch that holds the offset");
        assert_eq!(partitions[2].error_code, ErrorCode::None);
        assert_eq!(partitions[3].error_code, ErrorCode::Other("start offset: 21 is greater than leo: 20".to_owned()));
        assert_eq!(partitions[4].error_code, ErrorCode::NotLeaderForPartition);
        cluster.shutdown().await;
    });
}

/// A client that does not read holds up itself and nobody else.
#[test]
fn an_unread_reply_holds_up_its_connection_alone() {
    common::run(30, async {
        let cluster = cluster_with(&["t"]).await;
        let mut lazy = Client::connect(cluster.spu_endpoint()).await;
        lazy.produce("t", 0, batch(1, 30 << 20)).await;
        let correlation = lazy.stream("t", 0, -1).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        lazy.send(FetchOffsetsRequest::new("t".to_owned(), 0)).await;
        let mut other = Client::connect(cluster.spu_endpoint()).await;
        let start = Instant::now();
        other.call(FetchOffsetsRequest::new("t".to_owned(), 0)).await;
        assert!(start.elapsed() < Duration::from_millis(100));
        let reply = lazy.stream_reply(correlation, PATIENCE).await.unwrap();
        assert!(reply.partition.records.0.len() > 30 << 20);
        assert!(lazy.receive(PATIENCE).await.is_ok());
        cluster.shutdown().await;
    });
}

#[test]
fn versions_that_were_never_agreed_are_answered() {
    common::run(30, async {
        let cluster = cluster_with(&["t"]).await;
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        for version in [0, 24, 25, 26, 100] {
            let mut message = RequestMessage::new_request(FetchOffsetsRequest::new("t".to_owned(), 0));
            message.header.set_api_version(version);
            let mut frame = Vec::new();
            message.encode(&mut frame, version).unwrap();
            spu.send_frame(&frame).await;
            assert!(spu.receive(PATIENCE).await.is_ok(), "version {version}");
        }
        cluster.shutdown().await;
    });
}

#[test]
fn what_cannot_be_watched_closes_the_connection() {
    common::run(30, async {
        let cluster = cluster_with(&[]).await;
        let mut sc = Client::connect(cluster.endpoint()).await;
        let watch = WatchRequest::<CustomSpuSpec>::default();
        sc.send(ObjectApiWatchRequest::try_encode_from(watch, 19).unwrap()).await;
        assert_eq!(sc.receive(PATIENCE).await, Err(NoFrame::Closed));
        cluster.shutdown().await;
    });
}

/// A watch that nobody reads ends; changes do not wait for it.
#[test]
fn an_unread_watch_is_cut_off() {
    common::run(60, async {
        let cluster = cluster_with(&["t"]).await;
        let mut lazy = Client::connect(cluster.endpoint()).await;
        for _ in 0..200 {
            let watch = WatchRequest::<TopicSpec>::default();
            lazy.send(ObjectApiWatchRequest::try_encode_from(watch, 19).unwrap()).await;
        }
        let mut sc = Client::connect(cluster.endpoint()).await;
        for number in 0..400 {
            let none = UpdateTopicAction::AddPartition(AddPartition { count: 0 });
            let update = UpdateRequest::<TopicSpec>::new("t".to_owned(), none);
            let status = sc.call(ObjectApiUpdateRequest::try_encode_from(update, 19).unwrap()).await;
            assert!(!status.is_error(), "{number}: {status:?}");
        }
        while lazy.receive(SILENCE).await.is_ok() {}
        assert_eq!(lazy.receive(SILENCE).await, Err(NoFrame::Closed));
        cluster.shutdown().await;
    });
}

#[test]
fn consumer_offsets_survive_a_restart_and_go_with_their_topic() {
    common::run(30, async {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data_dir: Some(directory.path().to_owned()), ..Config::default() };
        let start = || async { Cluster::start(config.clone()).await.unwrap() };
        let cluster = start().await;
        let mut sc = Client::connect(cluster.endpoint()).await;
        for topic in ["a", "b"] {
            sc.create(topic, TopicSpec::new_computed(1, 1, None)).await;
        }
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        for topic in ["a", "b"] {
            let consumer_id = Some("me".to_owned());
            let mut request = StreamFetchRequest::<Raw>::default();
            (request.topic, request.consumer_id) = (topic.to_owned(), consumer_id);
            spu.send(request).await;
        }
        // Often enough for the journal to be written anew in between.
        for offset in 0..3000 {
            let session = 1 + u32::from(offset % 2 == 1);
            assert_eq!(spu.call(UpdateConsumerOffsetRequest::new(offset, session)).await.offset, offset);
        }
        let stored = |mut spu: Client| async move {
            let list = spu.call(FetchConsumerOffsetsRequest::with_opts(None, None)).await;
            list.consumers.into_iter().map(|it| (it.replica_id.topic, it.offset)).collect::<Vec<_>>()
        };
        cluster.shutdown().await;
        let cluster = start().await;
        let both = [("a".to_owned(), 2998), ("b".to_owned(), 2999)];
        assert_eq!(stored(Client::connect(cluster.spu_endpoint()).await).await, both);
        let mut sc = Client::connect(cluster.endpoint()).await;
        sc.delete("a").await;
        sc.create("a", TopicSpec::new_computed(1, 1, None)).await;
        assert_eq!(stored(Client::connect(cluster.spu_endpoint()).await).await, both[1..]);
        cluster.shutdown().await;
        let cluster = start().await;
        assert_eq!(stored(Client::connect(cluster.spu_endpoint()).await).await, both[1..]);
        cluster.shutdown().await;
    });
}
