//! What goes by itself: records beyond their topic's retention; and what watches of partitions hear meanwhile.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use common::{Client, NoFrame, PATIENCE, SILENCE, Watch, batch, batches};
use fluvio_cffi_cluster::{Cluster, Config};
use fluvio_controlplane_metadata::topic::{CleanupPolicy, SegmentBasedPolicy, TopicStorageConfig};
use fluvio_protocol::link::ErrorCode;
use fluvio_sc_schema::partition::PartitionSpec;
use fluvio_sc_schema::topic::TopicSpec;

const INTERVAL: Duration = Duration::from_millis(20);

async fn cluster(directory: &Path) -> Cluster {
    let config = Config {
        data_dir: Some(directory.to_owned()),
        retention_interval: INTERVAL,
        status_interval: INTERVAL,
        ..Config::default()
    };
    Cluster::start(config).await.unwrap()
}

/// The segment files of partition 0 of `t`.
fn segments(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory.join("spu-logs-5001/t-0")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "log"));
    paths.sort();
    paths
}

/// 20 segments with a batch of ten records each.
fn set() -> Vec<u8> {
    (0..20).flat_map(|_| batch(10, 150)).collect()
}

fn spec(retention_seconds: u32, max_partition_size: Option<u64>) -> TopicSpec {
    let mut spec = TopicSpec::new_computed(1, 1, None);
    spec.set_cleanup_policy(CleanupPolicy::Segment(SegmentBasedPolicy { time_in_seconds: retention_seconds }));
    spec.set_storage(TopicStorageConfig { segment_size: Some(2000), max_partition_size });
    spec
}

#[test]
fn a_partition_does_not_outgrow_its_size() {
    common::run(30, async {
        let directory = tempfile::tempdir().unwrap();
        let cluster = cluster(directory.path()).await;
        Client::connect(cluster.endpoint()).await.create("t", spec(3600, Some(8000))).await;
        let (mut partitions, _) = Watch::<PartitionSpec>::begin(cluster.endpoint()).await;
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        let mut reader = Client::connect(cluster.spu_endpoint()).await;
        let stream = reader.stream("t", 0, -1).await;
        // A reader in front of the segments that go is told when it asks for one of them.
        assert_eq!(spu.produce("t", 0, batch(10, 150)).await.base_offset, 0);
        let reply = reader.stream_reply(stream, PATIENCE).await.unwrap();
        let set = set();
        let size = set.len() as i64 / 20;
        spu.produce("t", 0, set[size as usize..].to_vec()).await;

        // Each time as many segments as the excess is full ones, as the real server counts.
        let mut left = 20;
        while left * size > 8000 {
            left -= (left * size - 8000 + 1999) / 2000;
        }
        let gone = 20 - left;
        let told = partitions.until(|it| it.name == "t-0" && it.status.base_offset >= 10 * gone).await;
        assert_eq!((told.status.base_offset, told.status.leader.leo, told.status.size), (10 * gone, 200, left * size));
        assert_eq!(segments(directory.path()).len() as i64, left);
        reader.acknowledge(reply.stream_id, 10).await;
        let evicted = ErrorCode::OffsetEvicted { offset: 10, next_available: 10 * gone };
        assert_eq!(reader.stream_reply(stream, PATIENCE).await.unwrap().partition.error_code, evicted);
        let stream = reader.stream("t", 10 * gone, -1).await;
        let reply = reader.stream_reply(stream, PATIENCE).await.unwrap();
        assert_eq!(batches(&reply.partition.records.0).0[0].0, 10 * gone);
        cluster.shutdown().await;
    });
}

#[test]
fn closed_segments_go_when_they_are_old() {
    common::run(30, async {
        let directory = tempfile::tempdir().unwrap();
        let cluster = cluster(directory.path()).await;
        Client::connect(cluster.endpoint()).await.create("t", spec(60, None)).await;
        let (mut partitions, _) = Watch::<PartitionSpec>::begin(cluster.endpoint()).await;
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        assert_eq!(spu.produce("t", 0, set()).await.base_offset, 0);
        let age = |path: &Path, seconds| {
            File::open(path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        };
        let all = segments(directory.path());
        assert_eq!(all.len(), 20);
        for path in &all[..5] {
            age(path, 50);
        }
        // Several rounds of the cleaner; nothing is old enough.
        tokio::time::sleep(5 * INTERVAL).await;
        assert_eq!(segments(directory.path()), all);
        // The last first: there is no hole while the older ones are young.
        age(&all[4], 70);
        for path in &all[..4] {
            age(path, 70);
        }
        let told = partitions.until(|it| it.status.base_offset == 50).await;
        assert_eq!(told.name, "t-0");
        assert_eq!(segments(directory.path()), all[5..]);
        // The one that is written stays, however old.
        for path in &all[5..] {
            age(path, 3600);
        }
        partitions.until(|it| it.status.base_offset == 190).await;
        tokio::time::sleep(5 * INTERVAL).await;
        assert_eq!(segments(directory.path()), all[19..]);
        cluster.shutdown().await;

        let cluster = Cluster::start(Config { data_dir: Some(directory.path().to_owned()), ..Config::default() });
        let cluster = cluster.await.unwrap();
        assert_eq!(Client::connect(cluster.spu_endpoint()).await.produce("t", 0, batch(1, 1)).await.base_offset, 200);
        cluster.shutdown().await;
    });
}

#[test]
fn partition_watches_hear_of_progress_and_of_nothing_else() {
    common::run(30, async {
        let directory = tempfile::tempdir().unwrap();
        let cluster = cluster(directory.path()).await;
        Client::connect(cluster.endpoint()).await.create("t", TopicSpec::new_computed(2, 1, None)).await;
        let (mut partitions, _) = Watch::<PartitionSpec>::begin(cluster.endpoint()).await;
        assert_eq!(partitions.next(SILENCE).await.unwrap_err(), NoFrame::Silence);
        let mut spu = Client::connect(cluster.spu_endpoint()).await;
        let set = batch(3, 100);
        let size = set.len() as i64;
        for round in 1..4 {
            spu.produce("t", 1, set.clone()).await;
            let (_, told) = partitions.next(PATIENCE).await.unwrap();
            assert_eq!(told.name, "t-1");
            assert_eq!((told.status.leader.leo, told.status.leader.hw), (3 * round, 3 * round));
            assert_eq!((told.status.size, told.status.base_offset), (round * size, 0));
            assert!(told.status.is_online());
        }
        assert_eq!(partitions.next(SILENCE).await.unwrap_err(), NoFrame::Silence);
        cluster.shutdown().await;
    });
}
