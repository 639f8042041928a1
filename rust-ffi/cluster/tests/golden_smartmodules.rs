//! The conversations about SmartModules that were recorded with the real SPU, held with this one. Every reply is equal
//! to the byte, but for the texts of a runtime and the bytes that a codec has made.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use common::{Client, NoFrame, PATIENCE, Raw, SILENCE, smartmodule};
use fluvio_cffi_cluster::{Cluster, Config};
use fluvio_controlplane_metadata::topic::{
    Bounds, CompressionAlgorithm, Deduplication, Filter, TopicStorageConfig, Transform,
};
use fluvio_protocol::Decoder;
use fluvio_protocol::api::{Request, RequestHeader};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::{Batch, RawRecords};
use fluvio_sc_schema::topic::TopicSpec;
use fluvio_spu_schema::produce::{ProduceRequest, ProduceResponse};
use fluvio_spu_schema::server::stream_fetch::{StreamFetchRequest, StreamFetchResponse};
use serde_json::Value;

/// How long the server must be silent where the real one was; it was watched for a third of that. In that time modules
/// have run, also on a busy machine: what is sent next is not part of what they are given.
const PAUSE: Duration = Duration::from_secs(1);

fn topic(setup: &Value) -> TopicSpec {
    let mut spec = TopicSpec::new_computed(setup["partitions"].as_u64().unwrap() as u32, 1, None);
    if let Some(bytes) = setup["segment_size"].as_u64() {
        spec.set_storage(TopicStorageConfig { segment_size: Some(bytes as u32), max_partition_size: None });
    }
    if let Some(codec) = setup["compression"].as_str() {
        spec.set_compression_type(codec.parse::<CompressionAlgorithm>().unwrap());
    }
    let deduplication = &setup["deduplication"];
    if let Some(module) = deduplication["smartmodule"].as_str() {
        let with = serde_json::from_value(deduplication["params"].clone()).unwrap();
        let age = deduplication["age_ms"].as_u64().map(Duration::from_millis);
        spec.set_deduplication(Some(Deduplication {
            bounds: Bounds { count: deduplication["count"].as_u64().unwrap(), age },
            filter: Filter { transform: Transform { uses: module.to_owned(), with } },
        }));
    }
    spec
}

/// Makes what the SC had before the first frame.
async fn prepare(cluster: &Cluster, setup: &Value) {
    let mut sc = Client::connect(cluster.endpoint()).await;
    for module in setup["smartmodules"].as_array().unwrap() {
        let file = module["file"].as_str().unwrap().strip_suffix(".wasm").unwrap();
        let field = |name| module["package"][name].as_str();
        let package = field("name").zip(field("group")).zip(field("version"));
        let package = package.map(|((name, group), version)| (name, group, version));
        let status = sc.create_module(module["name"].as_str().unwrap(), &smartmodule(file), package).await;
        assert!(!status.is_error(), "{status:?}");
    }
    for wanted in setup["topics"].as_array().unwrap() {
        let status = sc.create(wanted["name"].as_str().unwrap(), topic(wanted)).await;
        assert!(!status.is_error(), "{status:?}");
    }
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The text of a runtime: only how it begins is the server's.
fn without_text(error: &mut ErrorCode) {
    for text in ["SmartModule err ", "smartmodule chain failed: "] {
        if matches!(error, ErrorCode::Other(said) if said.starts_with(text)) {
            *error = ErrorCode::Other(text.to_owned());
        }
    }
    match error {
        ErrorCode::SmartModuleInvalid { error, .. } => error.clear(),
        ErrorCode::SmartModuleChainInitError(text) | ErrorCode::SmartModuleLookBackError(text) => text.clear(),
        _ => {}
    }
}

/// The records of a set, unpacked, and the headers of its batches without length and checksum.
fn unpacked(set: &Raw) -> String {
    let mut rest = set.0.as_slice();
    let mut batches = Vec::new();
    while !rest.is_empty() {
        let mut batch = Batch::<RawRecords>::decode_from(&mut rest, 0).unwrap();
        batch.header.crc = 0;
        batch.batch_len = 0;
        let records = batch.memory_records().unwrap();
        batches.push(format!("{} {:?} {records:?}", batch.base_offset, batch.header));
    }
    batches.join("\n")
}

/// Compares replies that need not be equal to the byte.
fn compare(loose: &str, api_key: u16, version: i16, ours: &[u8], real: &[u8], place: &str) {
    assert_eq!(ours[..4], real[..4], "{place}: correlation");
    let (mut ours, mut real) = (&ours[4..], &real[4..]);
    if api_key == ProduceRequest::<Raw>::API_KEY {
        let mut ours = ProduceResponse::decode_from(&mut ours, version).unwrap();
        let mut real = ProduceResponse::decode_from(&mut real, version).unwrap();
        for response in [&mut ours, &mut real] {
            response
                .responses
                .iter_mut()
                .flat_map(|it| &mut it.partitions)
                .for_each(|it| without_text(&mut it.error_code));
        }
        assert_eq!(format!("{ours:?}"), format!("{real:?}"), "{place}");
        return;
    }
    assert_eq!(api_key, StreamFetchRequest::<Raw>::API_KEY, "{place}");
    let mut ours = StreamFetchResponse::<Raw>::decode_from(&mut ours, version).unwrap();
    let mut real = StreamFetchResponse::<Raw>::decode_from(&mut real, version).unwrap();
    if loose == "text" {
        without_text(&mut ours.partition.error_code);
        without_text(&mut real.partition.error_code);
    } else {
        assert_eq!(unpacked(&ours.partition.records), unpacked(&real.partition.records), "{place}");
        ours.partition.records = Raw::default();
        real.partition.records = Raw::default();
    }
    assert_eq!(format!("{ours:?}"), format!("{real:?}"), "{place}");
}

/// The reply to the request of a number. Streams are tasks of their own, there and here: whether one is quicker than
/// the answer to the next request is chance, so what comes before is put aside.
async fn reply(connection: &mut Client, early: &mut Vec<Vec<u8>>, wanted: &[u8]) -> Result<Vec<u8>, NoFrame> {
    if let Some(at) = early.iter().position(|frame| frame.starts_with(wanted)) {
        return Ok(early.remove(at));
    }
    loop {
        let frame = connection.receive(PATIENCE).await?;
        if frame.starts_with(wanted) {
            return Ok(frame);
        }
        early.push(frame);
    }
}

fn replay(file: &'static str) {
    common::run(120, async move {
        let path = format!("{}/tests/golden/{file}.jsonl", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let setup = lines.next().unwrap()["setup"].take();
        let cluster = Cluster::start(Config::default()).await.unwrap();
        prepare(&cluster, &setup).await;
        let mut connections: HashMap<u64, Client> = HashMap::new();
        let mut sent = HashMap::new();
        let mut early: HashMap<u64, Vec<Vec<u8>>> = HashMap::new();
        let mut note = String::new();
        for (number, line) in lines.enumerate() {
            let conn = line["conn"].as_u64().unwrap();
            let frame = bytes(&line["frame"]);
            let connection = match connections.entry(conn) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(Client::connect(cluster.spu_endpoint()).await),
            };
            let place = format!("{file} line {}, {note}", number + 2);
            if line["from"] == "server" {
                let reply = reply(connection, early.entry(conn).or_default(), &frame[..4]).await;
                let (api_key, version) = sent[&(conn, i32::from_be_bytes(frame[..4].try_into().unwrap()))];
                match line["loose"].as_str() {
                    None => assert_eq!(reply.as_deref(), Ok(frame.as_slice()), "{place}"),
                    Some(loose) => compare(loose, api_key, version, &reply.unwrap(), &frame, &place),
                }
                continue;
            }
            if let Some(said) = line["note"].as_str() {
                note = said.to_owned();
            }
            if line["pause_ms"].is_u64() {
                let reply = connection.receive(PAUSE).await;
                assert_eq!(reply, Err(NoFrame::Silence), "{place}: a frame too many");
            }
            connection.send_frame(&frame).await;
            let header = RequestHeader::decode_from(&mut frame.as_slice(), 0).unwrap();
            sent.insert((conn, header.correlation_id()), (header.api_key(), header.api_version()));
        }
        assert!(early.values().all(Vec::is_empty), "{file}: frames too many, {early:?}");
        let closed: Vec<u64> = serde_json::from_value(setup["closed"].clone()).unwrap_or_default();
        for (conn, mut connection) in connections {
            let expected = if closed.contains(&conn) { NoFrame::Closed } else { NoFrame::Silence };
            assert_eq!(connection.receive(SILENCE).await, Err(expected), "{file} connection {conn} at the end");
        }
        cluster.shutdown().await;
    });
}

#[test]
fn opening() {
    replay("sm-open-errors");
}

#[test]
fn consuming() {
    replay("sm-consume");
}

#[test]
fn errors_in_a_read() {
    replay("sm-consume-errors");
}

#[test]
fn lookback() {
    replay("sm-lookback");
}

#[test]
fn producing() {
    replay("sm-produce");
}

#[test]
fn deduplication() {
    replay("sm-dedup");
}

#[test]
fn versions() {
    replay("sm-versions");
}
