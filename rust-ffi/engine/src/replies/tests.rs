//! The layouts against the official crates: what these write is walked over to its end, and what was walked over is
//! decoded without a panic.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use fluvio::metadata::topic::CompressionAlgorithm;
use fluvio_controlplane_metadata::mirror::*;
use fluvio_controlplane_metadata::partition::*;
use fluvio_controlplane_metadata::smartmodule::*;
use fluvio_controlplane_metadata::spg::*;
use fluvio_controlplane_metadata::spu::*;
use fluvio_controlplane_metadata::tableformat::*;
use fluvio_controlplane_metadata::topic::*;
use fluvio_protocol::Encoder;
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::link::smartmodule::SmartModuleTransformRuntimeError;
use fluvio_protocol::link::versions::ApiVersionKey;
use fluvio_spu_schema::server::consumer_offset::{
    DeleteConsumerOffsetResponse, FetchConsumerOffsetsResponse, UpdateConsumerOffsetResponse,
};
use fluvio_spu_schema::server::fetch_offset::FetchOffsetsResponse;
use fluvio_spu_schema::server::stream_fetch::StreamFetchResponse;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{TestRng, TestRunner};

use super::fuzzing::{SC, SPU, agree, decode_sc};
use super::*;
use crate::error::ErrorKind;

/// A reply of the SC that was recorded: what it answers, in which version, and its body.
type Recorded = (Answer, Version, Vec<u8>);

static RECORDED: LazyLock<Vec<Recorded>> = LazyLock::new(|| {
    let mut asked = HashMap::new();
    let mut replies = Vec::new();
    for line in include_str!("../../../cluster/tests/golden/sc.jsonl").lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let hex = line["frame"].as_str().unwrap();
        let digits = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        let frame: Vec<u8> = digits.collect();
        let number = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
        if line["from"] == "client" {
            let answer = Answer::to(number(0).cast_unsigned()).unwrap();
            asked.insert(frame[4..8].to_vec(), (answer, number(2)));
        } else {
            let (answer, version) = asked[&frame[..4]];
            replies.push((answer, version, frame[4..].to_vec()));
        }
    }
    replies
});

/// What a decoder makes of `bytes`: whether it was content, and how many it left. Must not panic.
fn decoded<T: Decoder>(mut bytes: &[u8], version: Version) -> Option<usize> {
    let read = catch_unwind(AssertUnwindSafe(|| T::decode_from(&mut bytes, version).is_ok().then_some(bytes.len())));
    read.unwrap_or_else(|_| panic!("{} panics on what was found good", std::any::type_name::<T>()))
}

#[test]
fn what_an_sc_has_answered_is_walked_over_to_its_end() {
    assert!(RECORDED.len() > 100);
    for (answer, version, body) in &*RECORDED {
        answer.check(body, *version).unwrap_or_else(|cause| panic!("{answer:?}: {cause}"));
        let cut = answer.check(&body[..body.len() - 1], *version);
        assert!(cut.is_err(), "{answer:?} of {} bytes is not walked over to its end", body.len());
    }
}

#[test]
fn every_error_code() {
    let mut bytes = vec![0; 64];
    for number in i16::MIN..=i16::MAX {
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        let mut walk = Walk::new(&bytes, SPU);
        let walked = ErrorCode::walk(&mut walk).ok().map(|()| walk.left());
        assert_eq!(walked, decoded::<ErrorCode>(&bytes, SPU), "error code {number}");
    }
}

// -- what official decoders panic on, or abort the process with

/// What a varint can say that it should not, and one that has no end.
fn bad_lengths() -> Vec<Vec<u8>> {
    let zigzag = |value: i64| {
        let mut bytes = Vec::new();
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while rest >= 0x80 {
            bytes.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        bytes.push(rest.to_le_bytes()[0]);
        bytes
    };
    let lengths =
        [-1, i64::MIN, 1 << 20, 1 << 31, 1 << 34, 1 << 45, 1_194_220_729, 4_575_657_221_408_423_934, i64::MAX];
    lengths.into_iter().map(zigzag).chain([vec![0xff; 12], vec![0x80; 40]]).collect()
}

/// Error code 6004 with a record of which a length is wrong: that of its key, or of its value.
fn bad_codes() -> Vec<Vec<u8>> {
    let head = [&6004_i16.to_be_bytes()[..], &[0, 0], &[0; 8], &[0]].concat();
    let key = |length: Vec<u8>| [&head[..], &[1], &length, &[0; 8]].concat();
    let value = |length: Vec<u8>| [&head[..], &[0], &length, &[0; 8]].concat();
    bad_lengths().into_iter().flat_map(|length| [key(length.clone()), value(length)]).collect()
}

fn refuses<T: Decoder + Layout + std::fmt::Debug>(bytes: Vec<u8>, version: Version) {
    let error = take::<T>(&mut Bytes::from(bytes), version).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Version, "{error}");
}

#[test]
fn a_record_of_impossible_length_in_an_error_code_is_refused_wherever_one_is() {
    for code in bad_codes() {
        let around = |before: &[u8], after: usize| [before, &code, &vec![0; after]].concat();
        refuses::<ErrorCode>(code.clone(), SPU);
        refuses::<FetchOffsetsResponse>(around(&[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1], 20), SPU);
        refuses::<StreamFetchResponse<RecordBytes>>(around(&[0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0], 60), SPU);
        refuses::<UpdateConsumerOffsetResponse>(around(&[0; 8], 0), SPU);
        refuses::<DeleteConsumerOffsetResponse>(around(&[], 0), SPU);
        refuses::<FetchConsumerOffsetsResponse>(around(&[], 4), SPU);
        assert!(Answer::Versions.check(&around(&[], 20), SC).is_err());
        assert!(Answer::Status.check(&around(&[0, 0], 20), SC).is_err());
    }
}

fn named(label: &str, objects: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    label.to_owned().encode(&mut body, SC).unwrap();
    body.extend_from_slice(&(objects.len() as u32).to_be_bytes());
    body.extend_from_slice(objects);
    body
}

/// A list and a watch's first reply with one object, `object`.
fn alone(label: &str, object: &[u8]) -> [(Answer, Vec<u8>); 3] {
    let one = 1_i32.to_be_bytes();
    [
        (Answer::List, named(label, &[&one[..], object].concat())),
        (Answer::Watch, named(label, &[&[0; 8][..], &[0; 4], &one, object].concat())),
        (Answer::Watch, named(label, &[&[0; 8][..], &one, &[0], object, &[0; 4]].concat())),
    ]
}

#[test]
fn a_duration_that_is_too_long_is_refused() {
    let topic = |seconds: u64, nanos: u32| {
        let age = [&[1][..], &seconds.to_be_bytes(), &nanos.to_be_bytes()].concat();
        let replicas = [&[1][..], &[0, 0, 0, 1, 0, 0, 0, 1, 0]].concat();
        // No clean-up, no storage, any compression; the filter without a name or parameters; not of the system.
        let spec = [&replicas[..], &[0, 0, 4], &[1], &[0; 8], &age, &[0, 0, 0, 0], &[0]].concat();
        [&[0, 1, b't'][..], &spec, &[0, 0, 0, 0, 0, 0, 0]].concat()
    };
    for (seconds, nanos) in [(u64::MAX, 1_000_000_000), (u64::MAX, u32::MAX), (u64::MAX - 3, u32::MAX)] {
        for (answer, body) in alone("Topic", &topic(seconds, nanos)) {
            assert!(answer.check(&body, SC).is_err());
        }
    }
    for (seconds, nanos) in [(0, 0), (u64::MAX, 999_999_999), (u64::MAX - 4, u32::MAX)] {
        for (answer, body) in alone("Topic", &topic(seconds, nanos)) {
            answer.check(&body, SC).unwrap();
            decode_sc(answer, &body, SC);
        }
    }
}

#[test]
fn code_of_a_smartmodule_that_is_not_there_is_refused() {
    // No package, no summary, binary.
    let module = |length: u32, code: &[u8]| [&[0, 1, b'm'][..], &[0, 0, 0], &length.to_be_bytes(), code].concat();
    for length in [8, 905_969_672, u32::MAX] {
        for (answer, body) in alone("SmartModule", &module(length, b"wasm")) {
            assert!(answer.check(&body, SC).is_err());
        }
    }
    for (answer, body) in alone("SmartModule", &module(4, b"wasm")) {
        answer.check(&body, SC).unwrap();
        decode_sc(answer, &body, SC);
    }
}

#[test]
fn counts_without_end_are_refused_and_hold_no_memory() {
    for count in [1_000_i32, 1 << 24, i32::MAX] {
        let count = count.to_be_bytes();
        for label in ["Topic", "Partition", "SPU", "CustomSpu", "SpuGroup", "SmartModule", "TableFormat", "Mirror"] {
            assert!(Answer::List.check(&named(label, &[&count[..], &[0; 900]].concat()), SC).is_err());
            assert!(Answer::Watch.check(&named(label, &[&[0; 8][..], &count, &[0; 900]].concat()), SC).is_err());
        }
        refuses::<FetchOffsetsResponse>([&count[..], &[0; 900]].concat(), SPU);
        refuses::<FetchConsumerOffsetsResponse>([&[0, 0][..], &count, &[0; 900]].concat(), SPU);
    }
}

#[test]
fn what_would_take_too_much_memory_is_refused() {
    // Strings without a letter: two bytes each, and twelve times as much once they are decoded.
    let count = 40 << 20;
    let bytes = [&(count as i32).to_be_bytes()[..], &vec![0; 2 * count]].concat();
    assert!(check::<Vec<String>>(&bytes, SC).is_err());
    assert!(check::<Vec<u16>>(&bytes, SC).is_ok());
}

// -- noise

/// Bytes of which many can be lengths, tags and options.
fn noise(random: &mut TestRng) -> Vec<u8> {
    let length = random.next_u32() % 160;
    let byte = |_| match random.next_u32() {
        number if number & 0xff < 128 => 0,
        number if number & 0xff < 192 => 1,
        number if number & 0xff < 232 => number.to_be_bytes()[0] % 6,
        number => number.to_be_bytes()[0],
    };
    (0..length).map(byte).collect()
}

/// Noise is understood alike, also in parts that whole replies seldom get to.
#[test]
fn layouts_and_decoders_agree() {
    const ENOUGH: usize = 50;
    let mut random = TestRunner::deterministic().new_rng();
    macro_rules! agree {
        ($newest:ident: $($name:ty),* $(,)?) => {$(
            for version in $newest - 8..=$newest {
                let found = (0..20_000).filter(|_| agree::<$name>(&noise(&mut random), version)).take(ENOUGH).count();
                assert_eq!(found, ENOUGH, "{} in version {version} is hardly seen", stringify!($name));
            }
        )*};
    }
    agree!(SC: TopicSpec, ReplicaSpec, PartitionMap, MirrorConfig, RemoteMirrorConfig, SpuMirrorConfig, HomeMirrorConfig,
        TopicStorageConfig, Deduplication, CleanupPolicy, CompressionAlgorithm, TopicStatus, PartitionSpec,
        PartitionMirrorConfig, HomePartitionConfig, RemotePartitionConfig, PartitionStatus, ReplicaStatus);
    agree!(SC: SpuSpec, CustomSpuSpec, SpuStatus, IngressPort, IngressAddr, Endpoint, SpuGroupSpec, SpuConfig,
        ReplicationConfig, StorageConfig, EnvVar, SpuGroupStatus);
    agree!(SC: SmartModuleWasm, SmartModuleStatus, TableFormatSpec, TableFormatColumnConfig, TableFormatStatus,
        MirrorSpec, MirrorType, ClientTls, MirrorStatus, MirrorPairStatus);
    agree!(SC: ApiVersionKey, Status, ListResponse<TopicSpec>, ListResponse<PartitionSpec>, ListResponse<SpuSpec>,
        ListResponse<CustomSpuSpec>, ListResponse<SpuGroupSpec>, ListResponse<SmartModuleSpec>,
        ListResponse<TableFormatSpec>, ListResponse<MirrorSpec>, WatchResponse<TopicSpec>, WatchResponse<PartitionSpec>);
    agree!(SPU: FetchOffsetsResponse, StreamFetchResponse<RecordBytes>, UpdateConsumerOffsetResponse,
        FetchConsumerOffsetsResponse, DeleteConsumerOffsetResponse, SmartModuleTransformRuntimeError, ReplicaKey);
}

/// What noise does not hit: texts that must be versions.
#[test]
fn a_package() {
    for version in [SC - 1, SC] {
        let package = SmartModulePackage {
            name: "name".to_owned(),
            group: "group".to_owned(),
            description: Some("what".to_owned()),
            repository: Some("where".to_owned()),
            ..SmartModulePackage::default()
        };
        let mut meta = Vec::new();
        package.encode(&mut meta, version).unwrap();
        // Two parameters, one of which is described.
        meta.extend([0, 2, 0, 1, b'p', 1, 0, 2, b'i', b's', 1, 0, 1, b'q', 0, 0]);
        assert!(agree::<SmartModuleMetadata>(&meta, version));
        for length in 0..meta.len() {
            assert!(check::<SmartModuleMetadata>(&meta[..length], version).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_recorded_reply_with_bytes_changed_is_no_danger(
        which in any::<Index>(), changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let (answer, version, mut body) = which.get(&RECORDED).clone();
        for (at, to) in changes {
            *at.get_mut(&mut body) = to;
        }
        if answer.check(&body, version).is_ok() {
            decode_sc(answer, &body, version);
        }
    }
}
