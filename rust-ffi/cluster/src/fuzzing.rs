//! What `fuzz/` gives bytes of any kind, and what holds for all of them. In builds for fuzzing, and in the tests, which
//! go through all that is kept of it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;
use std::{panic, thread};

use fluvio_protocol::api::Request;
use fluvio_protocol::link::versions::ApiVersionsRequest;
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::TryEncodableFrom;
use fluvio_sc_schema::objects::{CommonCreateRequest, CreateRequest, ObjectApiCreateRequest, ObjectApiUpdateRequest};
use fluvio_sc_schema::topic::TopicSpec;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::config::Config;
use crate::net;

pub type Target = fn(&[u8]);

/// The targets, by their names.
pub const TARGETS: [(&str, Target); 1] = [("requests", requests)];

/// Nothing takes longer, so nothing hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// After so many inputs there is a new cluster: topics take files.
const INPUTS: u32 = 2000;
/// A topic with more partitions only takes longer.
const PARTITIONS: u32 = 16;

/// What the threads of a cluster are called.
const THREADS: &str = "cluster";

/// The official decoders panic on some bytes, which ends a connection. That is no finding.
fn pass_over_panics() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().name() != Some(THREADS) {
            hook(info);
        }
    }));
}

struct Tried {
    runtime: Runtime,
    cluster: Cluster,
    inputs: u32,
}

static TRIED: Mutex<Option<Tried>> = Mutex::new(None);

impl Tried {
    fn new() -> Self {
        static QUIET: Once = Once::new();
        QUIET.call_once(pass_over_panics);
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).thread_name(THREADS).enable_all().build().unwrap();
        let (retention, wait) = (Duration::from_secs(3600), Duration::from_millis(100));
        let config = Config { topic_wait: wait, retention_interval: retention, ..Config::default() };
        let cluster = runtime.block_on(Cluster::start(config)).unwrap();
        let tried = Self { runtime, cluster, inputs: 0 };
        tried.send(false, &framed(&creation()));
        tried
    }

    fn address(&self, spu: bool) -> SocketAddr {
        if spu { self.cluster.spu_endpoint() } else { self.cluster.endpoint() }
    }

    /// Says something, and waits until the server has hung up. Writing may fail: it may have done so already.
    fn send(&self, spu: bool, bytes: &[u8]) {
        let talk = async {
            let mut socket = TcpStream::connect(self.address(spu)).await.unwrap();
            let _ = socket.write_all(bytes).await;
            let _ = socket.shutdown().await;
            let _ = copy(&mut socket, &mut sink()).await;
        };
        self.runtime.block_on(async { timeout(PATIENCE, talk).await }).expect("a server does not hang up");
    }

    /// Whether the request makes many partitions. On a thread of the cluster, as it is decoded.
    fn is_large(&self, request: &[u8]) -> bool {
        let request = request.to_vec();
        self.runtime.block_on(self.runtime.spawn_blocking(move || makes_many(&request))).unwrap_or(false)
    }

    /// Both servers answer others.
    fn serves(&self) {
        let talk = async {
            for spu in [false, true] {
                let mut socket = TcpStream::connect(self.address(spu)).await.unwrap();
                socket.write_all(&framed(&versions())).await.unwrap();
                let length = socket.read_i32().await.unwrap();
                assert!(length > 8);
            }
        };
        self.runtime.block_on(async { timeout(PATIENCE, talk).await }).expect("a server answers no more");
    }
}

/// Requests to the SC, or to an SPU if the first byte is odd; each begins with its length in two bytes, which become
/// the four of a frame. If that byte has its second bit set the rest is said as it is. Whatever comes, the servers hang
/// up when the client does, and answer others.
pub fn requests(data: &[u8]) {
    let Some((&to, mut rest)) = data.split_first() else { return };
    let mut tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner);
    if tried.as_ref().is_none_or(|tried| tried.inputs == INPUTS) {
        *tried = None;
        *tried = Some(Tried::new());
    }
    let Some(tried) = &mut *tried else { return };
    tried.inputs += 1;
    let mut said = Vec::new();
    if to & 2 == 0 {
        while let Some((length, after)) = rest.split_first_chunk() {
            let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
            let (request, after) = after.split_at(length);
            rest = after;
            if tried.is_large(request) {
                return;
            }
            said.extend(framed(request));
        }
    } else {
        said.extend_from_slice(rest);
        if [CREATE, UPDATE].iter().any(|key| rest.get(4..6) == Some(key)) {
            return;
        }
    }
    tried.send(to & 1 == 1, &said);
    tried.serves();
}

const CREATE: [u8; 2] = ObjectApiCreateRequest::API_KEY.to_be_bytes();
const UPDATE: [u8; 2] = ObjectApiUpdateRequest::API_KEY.to_be_bytes();

/// Whether the request makes many partitions.
fn makes_many(request: &[u8]) -> bool {
    let Ok((header, at)) = net::request_header(request) else { return false };
    let (mut body, version) = (&request[at..], header.api_version());
    match header.api_key() {
        ObjectApiCreateRequest::API_KEY => {
            let Ok(request) = ObjectApiCreateRequest::decode_from(&mut body, version) else { return false };
            let topic: Option<CreateRequest<TopicSpec>> = request.downcast().ok().flatten();
            topic.is_some_and(|topic| topic.parts().1.partitions() > PARTITIONS)
        }
        // The number of them is somewhere in it.
        ObjectApiUpdateRequest::API_KEY => body.windows(4).any(|bytes| bytes[..3] == [0; 3] && bytes[3] > 16),
        _ => false,
    }
}

fn framed(request: &[u8]) -> Vec<u8> {
    [&(request.len() as u32).to_be_bytes()[..], request].concat()
}

fn header(key: u16, version: i16) -> Vec<u8> {
    [&key.to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 1, 0, 1, b'f']].concat()
}

fn versions() -> Vec<u8> {
    let mut request = header(ApiVersionsRequest::API_KEY, 2);
    ApiVersionsRequest { client_version: "0.50.1".into(), client_os: "linux".into(), client_arch: "x86_64".into() }
        .encode(&mut request, 2)
        .unwrap();
    request
}

/// Makes the topic that is in many requests.
fn creation() -> Vec<u8> {
    const VERSION: i16 = 19;
    let mut request = header(ObjectApiCreateRequest::API_KEY, VERSION);
    let common = CommonCreateRequest { name: "t".to_owned(), ..CommonCreateRequest::default() };
    let create = CreateRequest::new(common, TopicSpec::new_computed(2, 1, None));
    ObjectApiCreateRequest::try_encode_from(create, VERSION).unwrap().encode(&mut request, VERSION).unwrap();
    request
}

#[cfg(test)]
#[path = "../../fuzz/kept.rs"]
mod kept;

#[cfg(test)]
#[test]
fn what_is_kept_of_fuzzing_does_no_harm() {
    kept::does_no_harm(&TARGETS);
}
