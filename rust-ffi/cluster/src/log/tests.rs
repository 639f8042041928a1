#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::fs::FileExt;

use super::batch::{HEADER, Header, crc_matches, seal, split};
use super::*;

/// A batch of `offsets` offsets with `size` bytes of anything for records.
fn raw(offsets: i32, size: usize) -> Vec<u8> {
    let mut batch = vec![0; HEADER + size];
    batch[23..27].copy_from_slice(&(offsets - 1).to_be_bytes());
    for (at, byte) in batch[HEADER..].iter_mut().enumerate() {
        *byte = at as u8;
    }
    seal(&mut batch, 99);
    batch
}

fn append(log: &mut Log, set: &[u8]) -> i64 {
    let mut set = set.to_vec();
    let batches = split(&set).unwrap();
    log.append(&mut set, &batches).unwrap()
}

fn read(log: &Log, offset: i64, limit: u32) -> Vec<u8> {
    let Found::Slice(slice) = log.find(offset, limit, i64::MAX).unwrap() else { panic!("no slice at {offset}") };
    let mut bytes = vec![0; slice.length];
    slice.file.read_exact_at(&mut bytes, slice.position).unwrap();
    bytes
}

fn open(directory: &Path) -> Log {
    Log::open(directory.to_owned(), 10_000).unwrap()
}

#[test]
fn every_offset_is_found_in_its_batch() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("t-0");
    let mut log = open(&directory);
    let mut expected = Vec::new();
    for number in 0..400 {
        let offsets = 1 + number % 5;
        let base = append(&mut log, &raw(offsets, (number * 37 % 3000) as usize));
        expected.push((base, i64::from(offsets)));
    }
    for log in [log, open(&directory)] {
        assert!(log.closed.len() > 10);
        for &(base, offsets) in &expected {
            for offset in base..base + offsets {
                assert_eq!(Header::read(&read(&log, offset, 100)).base, base);
            }
        }
        assert!(matches!(log.find(log.end(), 1, i64::MAX).unwrap(), Found::End));
        assert!(matches!(log.find(log.end() + 1, 1, i64::MAX).unwrap(), Found::Beyond));
        assert!(matches!(log.find(-1, 1, i64::MAX).unwrap(), Found::Evicted));
    }
}

#[test]
fn a_slice_does_not_span_segments_and_one_set_may() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("t-0");
    let mut log = open(&directory);
    let set: Vec<u8> = (0..10).flat_map(|_| raw(1, 4000 - HEADER)).collect();
    assert_eq!(append(&mut log, &set), 0);
    assert_eq!(log.end(), 10);
    for (offset, length) in [(0, 8000), (1, 4000), (2, 8000), (9, 4000)] {
        assert_eq!(read(&log, offset, u32::MAX).len(), length, "from {offset}");
    }
    assert_eq!(read(&log, 0, 4001).len(), 4001);
    let log = open(&directory);
    assert_eq!((log.end(), log.size()), (10, 40_000));
}

/// Whatever length a kill leaves, the whole batches before it are there, and the next record continues them.
#[test]
fn any_torn_length_is_cut_to_whole_batches() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("t-0");
    let mut log = open(&directory);
    let sizes = [0_usize, 13, 200];
    let mut ends = vec![0];
    for size in sizes {
        append(&mut log, &raw(2, size));
        ends.push(log.size());
    }
    let path = directory.join(segment::file_name(0));
    let whole = fs::read(&path).unwrap();
    for length in (0..=whole.len()).rev() {
        fs::write(&path, &whole[..length]).unwrap();
        let mut log = open(&directory);
        let kept = ends.iter().rposition(|&end| end <= length as u64).unwrap();
        assert_eq!((log.end(), log.size()), (2 * kept as i64, ends[kept]), "{length} bytes");
        assert_eq!(append(&mut log, &raw(1, 1)), 2 * kept as i64);
        assert_eq!(open(&directory).end(), 2 * kept as i64 + 1);
    }
}

#[test]
fn a_wrong_checksum_is_cut_at_the_end_and_kept_in_the_middle() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("t-0");
    let mut log = open(&directory);
    for _ in 0..4 {
        append(&mut log, &raw(1, 50));
    }
    let path = directory.join(segment::file_name(0));
    let whole = fs::read(&path).unwrap();
    let size = whole.len() / 4;
    for (damaged, end) in [(&[0][..], 4), (&[1, 2], 4), (&[3], 3), (&[2, 3], 2), (&[0, 3], 3), (&[0, 1, 2, 3], 0)] {
        let mut bytes = whole.clone();
        for batch in damaged {
            bytes[batch * size + HEADER + 5] ^= 1;
        }
        fs::write(&path, &bytes).unwrap();
        let log = open(&directory);
        assert_eq!((log.end(), log.size()), (end, end as u64 * size as u64), "{damaged:?}");
    }
}

/// A tail of zeros, or of another file, is no batch.
#[test]
fn a_foreign_tail_is_cut() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("t-0");
    let mut log = open(&directory);
    append(&mut log, &raw(1, 50));
    let path = directory.join(segment::file_name(0));
    let whole = fs::read(&path).unwrap();
    // The second: a batch that is right in itself, but whose offset does not follow.
    for tail in [vec![0; 5000], whole.clone(), vec![0xff; 300]] {
        fs::write(&path, [whole.as_slice(), &tail].concat()).unwrap();
        let log = open(&directory);
        assert_eq!((log.end(), log.size()), (1, whole.len() as u64));
    }
}

#[test]
fn sets_are_split_as_the_real_server_does() {
    let one = raw(1, 20);
    let sizes = |set: &[u8]| split(set).unwrap().iter().map(|batch| batch.size).collect::<Vec<_>>();
    assert_eq!(sizes(&[]), [0; 0]);
    assert_eq!(sizes(&one[..HEADER - 1]), [0; 0]);
    assert_eq!(sizes(&[one.as_slice(), &one[..10]].concat()), [one.len()]);
    // A cut batch, and one whose length is too small or negative, take the rest.
    assert_eq!(sizes(&one[..HEADER + 3]), [HEADER + 3]);
    for length in [0_i32, 44, -1, i32::MAX] {
        let mut odd = [one.as_slice(), &one].concat();
        odd[8..12].copy_from_slice(&length.to_be_bytes());
        assert_eq!(sizes(&odd), [odd.len()]);
        seal(&mut odd, 7);
        assert!(crc_matches(&odd));
        assert_eq!(Header::read(&odd).size(), Some(odd.len()));
    }
}

#[test]
fn the_only_segment_stays_when_its_records_are_evicted() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path().join("t-0");
    let mut log = open(&directory);
    append(&mut log, &raw(5, 100));
    for offset in [0, 3, 5] {
        log.evict(offset).unwrap();
        assert_eq!((log.start(), log.end()), (offset, 5));
    }
    let log = open(&directory);
    assert_eq!((log.start(), log.end()), (5, 5));
}
