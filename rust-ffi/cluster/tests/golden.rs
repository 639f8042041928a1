//! The conversations recorded with the real servers, held with this one: what the client said then is said again, and
//! what is answered must be what the real server answered.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use common::{Client, NoFrame, PATIENCE, Raw, SILENCE};
use fluvio_cffi_cluster::{Cluster, Config};
use fluvio_controlplane_metadata::message::MsgType;
use fluvio_controlplane_metadata::spu::{Endpoint, IngressPort};
use fluvio_controlplane_metadata::topic::CompressionAlgorithm;
use fluvio_protocol::api::{Request, RequestHeader};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::link::versions::{ApiVersionsRequest, ApiVersionsResponse};
use fluvio_protocol::record::ReplicaKey;
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::core::Spec;
use fluvio_sc_schema::customspu::CustomSpuSpec;
use fluvio_sc_schema::mirror::{Home, MirrorSpec, MirrorType, Remote};
use fluvio_sc_schema::objects::{
    CommonCreateRequest, CreateRequest, ListResponse, Metadata, MetadataUpdate, ObjectApiCreateRequest,
    ObjectApiListRequest, ObjectApiListResponse, ObjectApiWatchRequest, ObjectApiWatchResponse, WatchResponse,
};
use fluvio_sc_schema::partition::PartitionSpec;
use fluvio_sc_schema::smartmodule::{SmartModuleSpec, SmartModuleWasm};
use fluvio_sc_schema::spg::SpuGroupSpec;
use fluvio_sc_schema::spu::SpuSpec;
use fluvio_sc_schema::tableformat::TableFormatSpec;
use fluvio_sc_schema::topic::TopicSpec;
use fluvio_sc_schema::{CreatableAdminSpec, Status, TryEncodableFrom};
use fluvio_spu_schema::server::consumer_offset::{FetchConsumerOffsetsRequest, FetchConsumerOffsetsResponse};
use fluvio_spu_schema::server::stream_fetch::StreamFetchRequest;

struct Line {
    conn: u64,
    from_client: bool,
    frame: Vec<u8>,
}

fn recorded(file: &str) -> Vec<Line> {
    let path = format!("{}/tests/golden/{file}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let parse = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let hex = value["frame"].as_str().unwrap();
        let frame = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        Line { conn: value["conn"].as_u64().unwrap(), from_client: value["from"] == "client", frame }
    };
    text.lines().map(parse).collect()
}

#[derive(Clone, Copy)]
enum Step {
    Create(&'static str, u32),
    Delete(&'static str),
}

/// Replays a conversation with the SPU. `steps`: what was done at the SC before which line. `closed`: connections that
/// the server closes. Only lists of consumer offsets hold times; all other replies must be equal to the byte.
fn replay_spu(file: &'static str, steps: &'static [(usize, Step)], closed: &'static [u64]) {
    common::run(60, async move {
        let cluster = Cluster::start(Config::default()).await.unwrap();
        let mut sc = Client::connect(cluster.endpoint()).await;
        let mut connections: HashMap<u64, Client> = HashMap::new();
        let mut sent = HashMap::new();
        let mut early = HashMap::new();
        for (number, line) in recorded(file).iter().enumerate() {
            for (_, step) in steps.iter().filter(|(before, _)| *before == number) {
                let status = match *step {
                    Step::Create(name, partitions) => {
                        sc.create(name, TopicSpec::new_computed(partitions, 1, None)).await
                    }
                    Step::Delete(name) => sc.delete(name).await,
                };
                assert!(!status.is_error(), "{status:?}");
            }
            let connection = match connections.entry(line.conn) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(Client::connect(cluster.spu_endpoint()).await),
            };
            if line.from_client {
                connection.send_frame(&line.frame).await;
                let header = header(&line.frame).0;
                sent.insert((line.conn, header.correlation_id()), header.api_key());
            } else {
                let wanted = split(&line.frame).0;
                let is_stream = |correlation| sent[&(line.conn, correlation)] == StreamFetchRequest::<Raw>::API_KEY;
                // Streams of one connection are tasks of their own, there and here: which comes first is chance.
                let aside: &mut Vec<Vec<u8>> = early.entry(line.conn).or_default();
                let reply = match aside.iter().position(|frame| split(frame).0 == wanted) {
                    Some(at) => Ok(aside.remove(at)),
                    None => loop {
                        match connection.receive(PATIENCE).await {
                            Ok(frame)
                                if split(&frame).0 != wanted && is_stream(wanted) && is_stream(split(&frame).0) =>
                            {
                                aside.push(frame);
                            }
                            reply => break reply,
                        }
                    },
                };
                if sent[&(line.conn, split(&line.frame).0)] == FetchConsumerOffsetsRequest::API_KEY {
                    assert_eq!(committed(&reply.unwrap()), committed(&line.frame), "{file} line {}", number + 1);
                    continue;
                }
                assert_eq!(reply.as_deref(), Ok(line.frame.as_slice()), "{file} line {}", number + 1);
            }
        }
        assert!(early.values().all(Vec::is_empty), "{file}: too many frames");
        for (conn, mut connection) in connections {
            let expected = if closed.contains(&conn) { NoFrame::Closed } else { NoFrame::Silence };
            assert_eq!(connection.receive(SILENCE).await, Err(expected), "{file} connection {conn} at the end");
        }
        cluster.shutdown().await;
    });
}

/// The offsets in a list of consumers, without their times and order.
fn committed(frame: &[u8]) -> (ErrorCode, BTreeMap<(String, ReplicaKey), i64>) {
    let list = FetchConsumerOffsetsResponse::decode_from(&mut split(frame).1, 25).unwrap();
    (list.error_code, list.consumers.into_iter().map(|it| ((it.consumer_id, it.replica_id), it.offset)).collect())
}

#[test]
fn versions() {
    replay_spu("spu-versions", &[(0, Step::Create("w514807418748", 1))], &[]);
}

#[test]
fn max_bytes() {
    replay_spu("spu-max-bytes", &[(0, Step::Create("w514811485909", 1))], &[]);
}

#[test]
fn acknowledgements() {
    replay_spu("spu-acks", &[(0, Step::Create("w514814179143", 1))], &[]);
}

#[test]
fn consumer_offsets() {
    const FIRST: &str = "w514808439125";
    replay_spu(
        "spu-offsets",
        &[(0, Step::Create(FIRST, 1)), (0, Step::Create("w514808935311", 1)), (130, Step::Delete(FIRST))],
        &[],
    );
}

#[test]
fn produce() {
    replay_spu("spu-produce", &[(0, Step::Create("w514820746335", 2))], &[10]);
}

#[test]
fn create() {
    const TOPICS: [&str; 3] = ["cr8749-0", "cr8749-1", "cr8749-2"];
    replay_spu(
        "spu-create",
        &[(0, Step::Create(TOPICS[0], 3)), (0, Step::Create(TOPICS[1], 3)), (0, Step::Create(TOPICS[2], 3))],
        &[],
    );
}

#[test]
fn topic_deleted() {
    const FIRST: &str = "w514821823891";
    const SECOND: &str = "w514822762177";
    replay_spu(
        "spu-topic-deleted",
        &[
            (0, Step::Create(FIRST, 1)),
            (18, Step::Delete(FIRST)),
            (26, Step::Create(SECOND, 1)),
            (64, Step::Delete(SECOND)),
            (64, Step::Create(SECOND, 1)),
        ],
        &[],
    );
}

fn creation<S>(name: &str, spec: S) -> ObjectApiCreateRequest
where
    S: CreatableAdminSpec,
    ObjectApiCreateRequest: TryEncodableFrom<CreateRequest<S>>,
{
    let common = CommonCreateRequest { name: name.to_owned(), dry_run: false, timeout: None };
    ObjectApiCreateRequest::try_encode_from(CreateRequest::new(common, spec), 19).unwrap()
}

/// Creations that were not recorded: before which line, what, and how it is answered. They are made up after what was
/// seen.
fn unrecorded() -> Vec<(usize, ObjectApiCreateRequest, ErrorCode)> {
    let mut zstd = TopicSpec::new_computed(1, 1, None);
    zstd.set_compression_type(CompressionAlgorithm::Zstd);
    let spu = |id| CustomSpuSpec {
        id,
        public_endpoint: IngressPort::from_port_host(9990, "127.0.0.1".to_owned()),
        private_endpoint: Endpoint::from_port_host(9991, "127.0.0.1".to_owned()),
        ..Default::default()
    };
    let group = SpuGroupSpec { replicas: 1, min_id: 100, ..Default::default() };
    let module = |code: &[u8]| SmartModuleSpec {
        wasm: SmartModuleWasm::from_compressed_gzip(code.to_vec()),
        ..Default::default()
    };
    let remote = MirrorSpec { mirror_type: MirrorType::Remote(Remote { id: "edge1".to_owned() }) };
    let home = MirrorSpec {
        mirror_type: MirrorType::Home(Home {
            id: "home1".to_owned(),
            remote_id: "e".to_owned(),
            public_endpoint: "127.0.0.1:1".to_owned(),
            client_tls: None,
        }),
    };
    vec![
        (88, creation("z1", zstd), ErrorCode::None),
        (88, creation("as1", TopicSpec::new_assigned(vec![(0, vec![5001])])), ErrorCode::None),
        (156, creation("custom-spu-6001", spu(6001)), ErrorCode::None),
        (156, creation("custom-spu-6001", spu(6001)), ErrorCode::SpuAlreadyExists),
        (156, creation("custom-spu-other", spu(6001)), ErrorCode::SpuAlreadyExists),
        (165, creation("grp", group), ErrorCode::None),
        (169, creation("sm1", module(b"something else")), ErrorCode::None),
        (169, creation("sm1", module(b"\0asm\x01\0\0\0")), ErrorCode::None),
        (169, creation("sm2", module(b"")), ErrorCode::None),
        (177, creation("tf1", TableFormatSpec::default()), ErrorCode::None),
        (181, creation("edge1", remote.clone()), ErrorCode::None),
        (181, creation("edge1", remote), ErrorCode::MirrorAlreadyExists),
        (181, creation("home1", home), ErrorCode::None),
    ]
}

fn header(frame: &[u8]) -> (RequestHeader, &[u8]) {
    let mut rest = frame;
    let header = RequestHeader::decode_from(&mut rest, 0).unwrap();
    (header, rest)
}

/// The label of the object kind in the body of a request or reply.
fn label(mut body: &[u8]) -> String {
    String::decode_from(&mut body, 0).unwrap()
}

#[derive(Default)]
struct Watched {
    replies: BTreeMap<i32, Vec<u8>>,
    /// By correlation id.
    events: HashMap<i32, Vec<Vec<u8>>>,
}

fn split(frame: &[u8]) -> (i32, &[u8]) {
    (i32::from_be_bytes(frame[..4].try_into().unwrap()), &frame[4..])
}

fn updates<S>(events: &[Vec<u8>]) -> Vec<MetadataUpdate<S>>
where
    S: fluvio_sc_schema::AdminSpec,
    S::Status: Encoder + Decoder,
    ObjectApiWatchResponse: TryEncodableFrom<WatchResponse<S>>,
{
    let decode = |body: &Vec<u8>| {
        let response = ObjectApiWatchResponse::decode_from(&mut body.as_slice(), 19).unwrap();
        let inner: WatchResponse<S> = response.downcast().unwrap().expect("kind of object");
        inner.inner()
    };
    events.iter().map(decode).collect()
}

type History<S> = BTreeMap<String, Vec<(MsgType, S, <S as Spec>::Status)>>;

/// What a watch tells about each object after the first list, without repetitions: the real SC says the same thing up
/// to three times.
fn histories<S>(updates: &[MetadataUpdate<S>]) -> History<S>
where
    S: Spec + Encoder + Decoder,
    S::Status: Encoder + Decoder,
{
    let mut histories: History<S> = BTreeMap::new();
    for message in updates.iter().skip(1).flat_map(|update| &update.changes) {
        let Metadata { name, spec, status } = message.content.clone();
        let event = (message.header.clone(), spec, status);
        let history = histories.entry(name).or_default();
        if history.last() != Some(&event) {
            history.push(event);
        }
    }
    histories
}

fn objects<S>(body: &[u8]) -> BTreeMap<String, (S, S::Status)>
where
    S: fluvio_sc_schema::AdminSpec,
    S::Status: Encoder + Decoder,
    ObjectApiListResponse: TryEncodableFrom<ListResponse<S>>,
{
    let response = ObjectApiListResponse::decode_from(&mut &*body, 19).unwrap();
    let list: ListResponse<S> = response.downcast().unwrap().expect("kind of object");
    list.inner().into_iter().map(|object| (object.name, (object.spec, object.status))).collect()
}

fn without_ports(mut spec: SpuSpec) -> SpuSpec {
    spec.public_endpoint.port = 0;
    spec.private_endpoint.port = 0;
    spec
}

/// Compares a reply; ports, the order of lists and how soon partitions are online are not part of it.
fn compare(number: usize, api_key: u16, real: &[u8], ours: &[u8]) {
    let line = number + 1;
    if api_key == ApiVersionsRequest::API_KEY {
        let real = ApiVersionsResponse::decode_from(&mut &*real, 2).unwrap();
        let ours = ApiVersionsResponse::decode_from(&mut &*ours, 2).unwrap();
        assert_eq!(ours.error_code, real.error_code);
        assert_eq!(ours.api_keys, real.api_keys);
        // The recorded one was built before its release and says so.
        let mut released = real.platform_version.to_semver();
        released.pre = Default::default();
        assert_eq!(ours.platform_version.to_semver(), released);
        return;
    }
    if api_key != ObjectApiListRequest::API_KEY {
        assert_eq!(ours, real, "line {line}");
        return;
    }
    assert_eq!(label(ours), label(real), "line {line}");
    match label(real).as_str() {
        TopicSpec::LABEL => assert_eq!(objects::<TopicSpec>(ours), objects::<TopicSpec>(real), "line {line}"),
        PartitionSpec::LABEL => {
            let (real, ours) = (objects::<PartitionSpec>(real), objects::<PartitionSpec>(ours));
            assert!(ours.keys().eq(real.keys()), "line {line}: {ours:?}");
            for (name, (spec, status)) in &real {
                assert_eq!(&ours[name].0, spec, "line {line}");
                assert!(!status.is_online() || &ours[name].1 == status, "line {line}: {:?}", ours[name]);
            }
        }
        SpuSpec::LABEL => {
            let spus = |body| {
                objects::<SpuSpec>(body).into_iter().map(|(name, (spec, status))| (name, without_ports(spec), status))
            };
            assert!(spus(ours).eq(spus(real)), "line {line}");
        }
        CustomSpuSpec::LABEL => {
            let spus = |body| {
                objects::<CustomSpuSpec>(body)
                    .into_iter()
                    .map(|(name, (spec, status))| (name, without_ports(spec.into()), status))
            };
            assert!(spus(ours).eq(spus(real)), "line {line}");
        }
        MirrorSpec::LABEL => assert_eq!(objects::<MirrorSpec>(ours), objects::<MirrorSpec>(real), "line {line}"),
        _ => assert_eq!(ours, real, "line {line}"),
    }
}

#[test]
fn sc() {
    common::run(60, async {
        let config = Config { topic_wait: Duration::from_millis(300), ..Config::default() };
        let cluster = Cluster::start(config).await.unwrap();
        let mut client = Client::connect(cluster.endpoint()).await;
        let (lines, unrecorded) = (recorded("sc"), unrecorded());
        let mut sent: HashMap<i32, u16> = HashMap::new();
        // The first connection request and the first watch both have number 1: watches count from here.
        let mut watches: Vec<i32> = Vec::new();
        let (mut ours, mut real) = (Watched::default(), Watched::default());
        for (number, line) in lines.iter().enumerate() {
            for (at, (_, request, answer)) in unrecorded.iter().enumerate().filter(|(_, it)| it.0 == number) {
                let correlation = 1000 + at as i32;
                let mut header = RequestHeader::new(ObjectApiCreateRequest::API_KEY);
                header.set_api_version(19).set_correlation_id(correlation);
                let mut frame = Vec::new();
                header.encode(&mut frame, 0).unwrap();
                request.encode(&mut frame, 19).unwrap();
                client.send_frame(&frame).await;
                let status = reply(&mut client, &mut ours, &watches, correlation).await;
                let status = Status::decode_from(&mut status.as_slice(), 19).unwrap();
                assert_eq!(status.error_code, *answer, "made up before line {}: {status:?}", number + 1);
            }
            if line.from_client {
                let header = header(&line.frame).0;
                client.send_frame(&line.frame).await;
                if header.api_key() == ObjectApiWatchRequest::API_KEY {
                    watches.push(header.correlation_id());
                } else {
                    sent.insert(header.correlation_id(), header.api_key());
                }
                continue;
            }
            let (correlation, body) = split(&line.frame);
            if watches.contains(&correlation) {
                real.events.entry(correlation).or_default().push(body.to_vec());
            } else {
                let reply = reply(&mut client, &mut ours, &watches, correlation).await;
                compare(number, sent[&correlation], body, &reply);
            }
        }
        compare_watches(&ours, &real);
        cluster.shutdown().await;
    });
}

/// The reply to a request; events that come before it are put aside.
async fn reply(client: &mut Client, ours: &mut Watched, watches: &[i32], wanted: i32) -> Vec<u8> {
    loop {
        if let Some(body) = ours.replies.remove(&wanted) {
            return body;
        }
        let frame = client.receive(PATIENCE).await.expect("a reply");
        let (correlation, body) = split(&frame);
        if watches.contains(&correlation) {
            ours.events.entry(correlation).or_default().push(body.to_vec());
        } else {
            ours.replies.insert(correlation, body.to_vec());
        }
    }
}

fn compare_watches(ours: &Watched, real: &Watched) {
    let spus = |watched: &Watched| {
        let updates = updates::<SpuSpec>(&watched.events[&1]);
        assert!(updates[0].changes.is_empty());
        assert!(updates.windows(2).all(|pair| pair[1].epoch == pair[0].epoch + 1), "epochs rise by one");
        let first = updates[0].all.iter();
        let first: Vec<_> =
            first.map(|spu| (spu.name.clone(), without_ports(spu.spec.clone()), spu.status.clone())).collect();
        let mut histories = histories(&updates);
        for (_, spec, _) in histories.values_mut().flatten() {
            *spec = without_ports(spec.clone());
        }
        (first, histories)
    };
    assert_eq!(spus(ours), spus(real));

    for watch in [3, 4] {
        let (ours, real) = (updates::<TopicSpec>(&ours.events[&watch]), updates::<TopicSpec>(&real.events[&watch]));
        assert_eq!(format!("{:?}", ours[0].all), format!("{:?}", real[0].all), "first list");
        assert!(ours[0].changes.is_empty());
        assert!(ours.windows(2).all(|pair| pair[1].epoch == pair[0].epoch + 1), "epochs rise by one");
        assert!(ours.iter().skip(1).all(|update| update.all.is_empty() && update.changes.len() == 1));
        assert_eq!(histories(&ours), histories(&real));
    }

    let (ours, real) = (updates::<PartitionSpec>(&ours.events[&2]), updates::<PartitionSpec>(&real.events[&2]));
    assert_eq!(format!("{:?}", ours[0].all), format!("{:?}", real[0].all), "first list");
    let (mut ours, mut real) = (histories(&ours), histories(&real));
    // The real ones that were deleted before they were online, and what that makes of the end.
    for (name, history) in &mut real {
        let ours = ours.get_mut(name).expect("partition");
        if !history.iter().any(|(_, _, status)| status.is_online()) {
            ours.retain(|(kind, _, status)| *kind == MsgType::DELETE || !status.is_online());
            for (_, _, status) in ours.iter_mut().chain(history) {
                *status = Default::default();
            }
        }
    }
    assert_eq!(ours, real);
}
