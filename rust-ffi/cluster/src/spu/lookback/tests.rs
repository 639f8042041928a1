#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use fluvio_controlplane_metadata::topic::CompressionAlgorithm;
use fluvio_protocol::record::ReplicaKey;

use super::*;
use crate::faults::Faults;
use crate::log::batch::{HEADER, split};
use crate::spu::ReplicaConfig;

/// A batch of one record of 100 bytes, from just now.
fn young() -> Vec<u8> {
    let mut batch = vec![0; HEADER];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    batch[27..35].copy_from_slice(&now.to_be_bytes());
    batch[35..43].copy_from_slice(&now.to_be_bytes());
    batch.extend([0, 0, 0, 1, 0xd6, 1, 0, 0, 0, 0, 0xc8, 1]);
    batch.extend([b'x'; 100]);
    batch.push(0);
    let length = (batch.len() - 12) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch
}

/// A partition with so many batches, which has a directory of its own.
fn replica(directory: &tempfile::TempDir, batches: usize) -> Replica {
    let config = ReplicaConfig {
        segment_bytes: 100_000,
        retention: std::time::Duration::MAX,
        max_bytes: u64::MAX,
        compression: CompressionAlgorithm::Any,
        refusal: None,
        deduplication: None,
    };
    let replica = Replica::create(ReplicaKey::new("t", 0_u32), directory.path().join("t-0"), &config).unwrap();
    let mut set = young().repeat(batches);
    let split = split(&set).unwrap();
    replica.produce(&mut set, &split, &Faults::default()).unwrap();
    replica
}

fn read(replica: &Replica, how: impl FnOnce(&mut Reader<'_>) -> Result<(), Failure>) -> usize {
    let mut target = Block::new();
    let stop = Stop::default();
    how(&mut Reader { replica, short: false, not_before: 0, stop: &stop, target: &mut target }).unwrap();
    target.count()
}

/// The most memory that the process has had, in KiB.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn lookback_by_age_needs_no_more_memory_than_its_records() {
    let directory = tempfile::tempdir().unwrap();
    let replica = replica(&directory, 10_000);
    let before = peak();
    assert_eq!(read(&replica, |reader| reader.young()), 10_000);
    let more = peak() - before;
    assert!(more < 64 << 10, "{more} KiB");
}

#[test]
fn lookback_goes_on_behind_what_is_evicted_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let replica = replica(&directory, 10);
    replica.evict(4).unwrap();
    assert_eq!(read(&replica, |reader| reader.from(0)), 6);
    assert_eq!(read(&replica, |reader| reader.batches(&[9, 5, 3, 0])), 2);
}

#[test]
fn lookback_ends_when_it_is_not_wanted_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let replica = replica(&directory, 10);
    let (mut target, owner) = (Block::new(), crate::smartmodules::StopOnDrop::default());
    let stop = owner.stop();
    drop(owner);
    let mut reader = Reader { replica: &replica, short: false, not_before: 0, stop: &stop, target: &mut target };
    assert!(reader.last(10).is_err());
    assert!(reader.young().is_err());
    assert_eq!(target.count(), 0);
}
