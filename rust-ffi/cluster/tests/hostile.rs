//! Bytes that no client sends. Whatever comes, other connections are served on.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::net::SocketAddr;
use std::sync::LazyLock;

use common::{Client, NoFrame, PATIENCE};
use fluvio_cffi_cluster::{Cluster, Config};
use fluvio_protocol::Encoder;
use fluvio_protocol::api::RequestMessage;
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::link::versions::ApiVersionsRequest;
use fluvio_sc_schema::topic::TopicSpec;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::runtime::Runtime;

struct Shared {
    runtime: Runtime,
    sc: SocketAddr,
    spu: SocketAddr,
    _cluster: Cluster,
}

/// One cluster for all cases: it must survive them together.
static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    // The official decoders panic on some bytes, which ends the connection; that need not be told each time.
    std::panic::set_hook(Box::new(|info| {
        if !std::thread::current().name().is_some_and(|name| name.starts_with("tokio")) {
            eprintln!("{info}");
        }
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cluster = runtime.block_on(async {
        let cluster = Cluster::start(Config::default()).await.unwrap();
        for topic in ["t", "broken"] {
            let mut client = Client::connect(cluster.endpoint()).await;
            assert!(!client.create(topic, TopicSpec::new_computed(1, 1, None)).await.is_error());
        }
        cluster
    });
    Shared { runtime, sc: cluster.endpoint(), spu: cluster.spu_endpoint(), _cluster: cluster }
});

/// The requests to the SC that were recorded.
static RECORDED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let text = include_str!("golden/sc.jsonl");
    let requests = text.lines().filter(|line| line.contains("\"client\"")).map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let hex = line["frame"].as_str().unwrap();
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    });
    requests.collect()
});

fn versions() -> ApiVersionsRequest {
    ApiVersionsRequest { client_version: "0.50.1".into(), client_os: "linux".into(), client_arch: "x86_64".into() }
}

fn still_served() {
    SHARED.runtime.block_on(async {
        for address in [SHARED.sc, SHARED.spu] {
            let mut client = Client::connect(address).await;
            assert_eq!(client.call(versions()).await.error_code, ErrorCode::None);
        }
    });
}

/// Sends bytes and waits a moment for what they do. Writing may fail: the server may have hung up.
fn throw(address: SocketAddr, bytes: &[u8]) {
    SHARED.runtime.block_on(async {
        let mut client = Client::connect(address).await;
        let _ = client.socket.write_all(bytes).await;
        let _ = client.socket.shutdown().await;
        let _ = client.receive(PATIENCE).await;
    });
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as i32).to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

fn request(api_key: u16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut bytes = api_key.to_be_bytes().to_vec();
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0, 7, 0, 1, b'h']);
    bytes.extend_from_slice(body);
    framed(&bytes)
}

const KEYS: [u16; 12] = [0, 1, 18, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 4242];

fn encoded_produce(topic: &str, set: Vec<u8>) -> Vec<u8> {
    let message = RequestMessage::new_request(common::produce(topic, 0, set));
    let mut frame = Vec::new();
    message.encode(&mut frame, 25).unwrap();
    frame
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        throw(SHARED.sc, &bytes);
        throw(SHARED.spu, &bytes);
        still_served();
    }

    #[test]
    fn noise_in_a_frame_with_a_header(
        key in proptest::sample::select(KEYS.to_vec()),
        version in -2_i16..30,
        body in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(255), any::<u8>()], 0..200),
    ) {
        let bytes = request(key, version, &body);
        throw(SHARED.sc, &bytes);
        throw(SHARED.spu, &bytes);
        still_served();
    }

    #[test]
    fn a_request_with_a_byte_changed_or_its_end_missing(at in 0_usize..200, to in any::<u8>(), cut in any::<bool>()) {
        let mut body = encoded_produce("t", common::batch(3, 10));
        let at = at % body.len();
        if cut { body.truncate(at) } else { body[at] = to }
        throw(SHARED.spu, &framed(&body));
        still_served();
    }

    /// What the official client once asked the SC for. Creations are only cut: a larger number would make as many
    /// partitions.
    #[test]
    fn a_recorded_request_with_a_byte_changed_or_its_end_missing(
        which in any::<proptest::sample::Index>(), at in 0_usize..200, to in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut body = which.get(&RECORDED).clone();
        let at = at % body.len();
        if cut || body[..2] == 1001_u16.to_be_bytes() { body.truncate(at) } else { body[at] = to }
        throw(SHARED.sc, &framed(&body));
        still_served();
    }

    /// Whatever is accepted can be read back, whole and in order, after any mixture of broken batches.
    #[test]
    fn broken_batches_leave_a_whole_log(
        changes in proptest::collection::vec((0_usize..57, any::<u8>()), 0..4),
        cut in 0_usize..40,
    ) {
        let mut set = [common::batch(2, 5), common::batch(1, 5)].concat();
        for (at, to) in changes {
            // The attribute for a schema has a test of its own, and offsets must not run out.
            if !(21..25).contains(&at) {
                set[at] = to;
            }
        }
        set.truncate(set.len() - cut);
        throw(SHARED.spu, &framed(&encoded_produce("broken", set)));
        SHARED.runtime.block_on(async {
            let mut client = Client::connect(SHARED.spu).await;
            let good = client.produce("broken", 0, common::batch(1, 1)).await;
            assert_eq!(good.error_code, ErrorCode::None);
            let correlation = client.stream("broken", 0, -1).await;
            let reply = client.stream_reply(correlation, PATIENCE).await.unwrap().partition;
            let (batches, rest) = common::batches(&reply.records.0);
            assert_eq!(rest, 0);
            let mut next = 0;
            for (base, offsets, bytes) in &batches {
                assert_eq!(*base, next);
                assert_eq!(bytes[17..21], crc32c::crc32c(&bytes[21..]).to_be_bytes());
                next += offsets;
            }
            assert_eq!(next, reply.high_watermark);
            assert_eq!(good.base_offset + 1, next);
        });
    }
}

#[test]
fn frames_that_end_a_connection() {
    SHARED.runtime.block_on(async {
        for address in [SHARED.sc, SHARED.spu] {
            let endings: [Vec<u8>; 5] = [
                framed(&[]),
                framed(b"garbage"),
                request(4242, 25, &[]),
                // A version below zero, and a body that stops in the middle.
                request(18, -1, &[]),
                request(1003, 19, &[0, 5, b'T']),
            ];
            for bytes in endings {
                let mut client = Client::connect(address).await;
                client.call(versions()).await;
                client.socket.write_all(&bytes).await.unwrap();
                assert_eq!(client.receive(PATIENCE).await, Err(NoFrame::Closed), "{bytes:?}");
            }
        }
    });
}

#[test]
fn too_large_is_refused_and_the_connection_lives_on() {
    SHARED.runtime.block_on(async {
        let mut client = Client::connect(SHARED.spu).await;
        let large = client.produce("t", 0, common::batch(1, 33 << 20)).await;
        assert_eq!(large.error_code, ErrorCode::MessageTooLarge);
        let fits = client.produce("t", 0, common::batch(1, 5 << 20)).await;
        assert_eq!(fits.error_code, ErrorCode::None);
    });
}

/// Whether the connection is ended by so many of a request; what comes is read.
async fn is_ended_by(count: usize, request: &[u8], address: SocketAddr) -> bool {
    let (mut from, mut to) = Client::connect(address).await.socket.into_split();
    let reading = tokio::spawn(async move { tokio::io::copy(&mut from, &mut tokio::io::sink()).await });
    // It may fail: it may be ended already.
    let _ = to.write_all(&request.repeat(count)).await;
    tokio::time::timeout(PATIENCE, reading).await.is_ok()
}

fn many(count: usize, head: &[u8], entry: &[u8]) -> Vec<u8> {
    [head, &(count as u32).to_be_bytes(), &entry.repeat(count)].concat()
}

#[test]
fn what_no_client_asks_for_ends_a_connection() {
    SHARED.runtime.block_on(async {
        let topic = [0, 0, 0, 1, 0, 1, b't'];
        let list = |size: usize| {
            let body = vec![0; size];
            [&[0, 5][..], b"Topic", &(size as u32).to_be_bytes(), &body].concat()
        };
        for bytes in [
            // More entries than there are partitions, and longer requests than there is anything to ask.
            request(1002, 25, &many(100_000, &topic, &[0; 4])),
            request(1005, 0, &many(100_001, &[], &[0; 12])),
            request(1003, 25, &vec![0; 17 << 20]),
        ] {
            let mut client = Client::connect(SHARED.spu).await;
            client.socket.write_all(&bytes).await.unwrap();
            assert_eq!(client.receive(PATIENCE).await, Err(NoFrame::Closed));
        }
        for bytes in [request(1003, 19, &list(2 << 20)), request(1001, 19, &list(65 << 20))] {
            let mut client = Client::connect(SHARED.sc).await;
            // It may hang up before it has taken everything.
            let _ = client.socket.write_all(&bytes).await;
            assert_eq!(client.receive(PATIENCE).await, Err(NoFrame::Closed));
        }
        // A little less is served.
        let mut client = Client::connect(SHARED.spu).await;
        client.socket.write_all(&request(1002, 25, &many(90_000, &topic, &[0; 4]))).await.unwrap();
        assert!(client.receive(PATIENCE).await.unwrap().len() > 90_000 * 20);
    });
    still_served();
}

#[test]
fn watches_and_streams_without_end_end_a_connection() {
    SHARED.runtime.block_on(async {
        let body = [&[0, 5][..], b"Topic", &[0, 0, 0, 9], &[0; 8], &[1]].concat();
        assert!(is_ended_by(1001, &request(1004, 19, &body), SHARED.sc).await);
        // Topic, partition, offset, most bytes, isolation, no SmartModules, no consumer.
        let stream =
            [&[0, 1, b't'][..], &[0; 4], &i64::MAX.to_be_bytes(), &[0, 0, 0, 1], &[0], &[0; 4], &[0; 2]].concat();
        assert!(is_ended_by(10_001, &request(1003, 25, &stream), SHARED.spu).await);
    });
    still_served();
}
