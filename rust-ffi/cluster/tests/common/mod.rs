//! What the tests share: a bare client on the official protocol types, and batches made by hand.

#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BufMut};
use fluvio_controlplane_metadata::message::MsgType;
use fluvio_controlplane_metadata::smartmodule::{FluvioSemVersion, SmartModuleMetadata, SmartModulePackage};
use fluvio_protocol::api::{Request, RequestMessage};
use fluvio_protocol::record::{Batch, RawRecords, Record};
use fluvio_protocol::{Decoder, Encoder, Version};
use fluvio_sc_schema::AdminSpec;
use fluvio_sc_schema::objects::{
    CommonCreateRequest, CreateRequest, DeleteRequest, ListRequest, ListResponse, Metadata, ObjectApiCreateRequest,
    ObjectApiDeleteRequest, ObjectApiListRequest, ObjectApiListResponse, ObjectApiWatchRequest, ObjectApiWatchResponse,
    WatchRequest, WatchResponse,
};
use fluvio_sc_schema::smartmodule::{SmartModuleSpec, SmartModuleWasm};
use fluvio_sc_schema::topic::TopicSpec;
use fluvio_sc_schema::{Status, TryEncodableFrom};
use fluvio_spu_schema::produce::{PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData};
use fluvio_spu_schema::server::smartmodule::{SmartModuleInvocation, SmartModuleInvocationWasm};
use fluvio_spu_schema::server::stream_fetch::{StreamFetchRequest, StreamFetchResponse};
use fluvio_spu_schema::server::update_offset::{OffsetUpdate, UpdateOffsetsRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Nothing here takes longer, so nothing hangs.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long silence must last to be believed.
pub const SILENCE: Duration = Duration::from_millis(100);

/// Runs a test on a runtime of its own, with a limit.
pub fn run<T>(seconds: u64, test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ended = runtime.block_on(async { timeout(Duration::from_secs(seconds), test).await });
    runtime.shutdown_background();
    ended.expect("the test takes too long")
}

/// A record set as it is on the wire.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Raw(pub Vec<u8>);

impl Encoder for Raw {
    fn write_size(&self, _version: Version) -> usize {
        4 + self.0.len()
    }

    fn encode<T: BufMut>(&self, target: &mut T, _version: Version) -> std::io::Result<()> {
        target.put_i32(self.0.len() as i32);
        target.put_slice(&self.0);
        Ok(())
    }
}

impl Decoder for Raw {
    fn decode<T: Buf>(&mut self, source: &mut T, _version: Version) -> std::io::Result<()> {
        let length = source.get_i32() as usize;
        self.0 = source.copy_to_bytes(length).to_vec();
        Ok(())
    }
}

/// A step of a chain that brings its code with it.
pub fn adhoc(wasm: &[u8], params: &[(&str, &str)]) -> SmartModuleInvocation {
    let params: BTreeMap<_, _> = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    SmartModuleInvocation {
        wasm: SmartModuleInvocationWasm::AdHoc(gzip(wasm)),
        params: params.into(),
        ..Default::default()
    }
}

/// A batch of records with these values, sealed as a producer would.
pub fn values<V: AsRef<[u8]>>(values: &[V]) -> Vec<u8> {
    let mut records = (values.len() as i32).to_be_bytes().to_vec();
    for (delta, value) in values.iter().enumerate() {
        let mut record = vec![0];
        varint(&mut record, 0);
        varint(&mut record, delta as i64);
        record.push(0);
        varint(&mut record, value.as_ref().len() as i64);
        record.extend_from_slice(value.as_ref());
        varint(&mut record, 0);
        varint(&mut records, record.len() as i64);
        records.extend_from_slice(&record);
    }
    sealed(&records, values.len())
}

/// The offsets and values of a record set, as they are on the wire.
pub fn offsets_and_values(set: &Raw) -> Vec<(i64, String)> {
    let mut rest = set.0.as_slice();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let batch = Batch::<RawRecords>::decode_from(&mut rest, 0).unwrap();
        let of_record = |record: &Record| {
            let value = String::from_utf8_lossy(record.value().as_ref()).into_owned();
            (batch.base_offset + record.offset_delta(), value)
        };
        found.extend(batch.memory_records().unwrap().iter().map(of_record));
    }
    found
}

/// A batch of `count` records of `size` bytes each, sealed as a producer would.
pub fn batch(count: usize, size: usize) -> Vec<u8> {
    let mut records = Vec::new();
    records.put_i32(count as i32);
    for delta in 0..count {
        let mut record = vec![0];
        varint(&mut record, 0);
        varint(&mut record, delta as i64);
        record.push(0);
        varint(&mut record, size as i64);
        record.resize(record.len() + size, b'x');
        varint(&mut record, 0);
        varint(&mut records, record.len() as i64);
        records.extend_from_slice(&record);
    }
    sealed(&records, count)
}

/// A batch around a block of records.
pub fn sealed(records: &[u8], count: usize) -> Vec<u8> {
    let mut batch = Vec::new();
    batch.put_i64(0);
    batch.put_i32((45 + records.len()) as i32);
    batch.put_i32(-1);
    batch.put_u8(2);
    batch.put_u32(0);
    batch.put_i16(0);
    batch.put_i32(count as i32 - 1);
    batch.put_i64(1000);
    batch.put_i64(2000);
    batch.put_i64(-1);
    batch.put_i16(-1);
    batch.put_i32(-1);
    batch.extend_from_slice(records);
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

fn varint(target: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        target.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    target.push(rest as u8);
}

/// The code of one of the test SmartModules.
pub fn smartmodule(name: &str) -> Vec<u8> {
    let path = format!("{}/../../tests/smartmodules/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut zipped = Vec::new();
    let mut encoder = flate2::bufread::GzEncoder::new(bytes, flate2::Compression::default());
    encoder.read_to_end(&mut zipped).unwrap();
    zipped
}

/// What came instead of a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum NoFrame {
    Silence,
    Closed,
}

pub struct Client {
    pub socket: TcpStream,
    correlation: i32,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let socket = timeout(PATIENCE, TcpStream::connect(address)).await.unwrap().unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket, correlation: 0 }
    }

    pub async fn send_frame(&mut self, frame: &[u8]) {
        let mut bytes = (frame.len() as i32).to_be_bytes().to_vec();
        bytes.extend_from_slice(frame);
        self.socket.write_all(&bytes).await.unwrap();
    }

    pub async fn receive(&mut self, wait: Duration) -> Result<Vec<u8>, NoFrame> {
        let mut head = [0; 4];
        match timeout(wait, self.socket.read_exact(&mut head)).await {
            Err(_) => return Err(NoFrame::Silence),
            Ok(Err(_)) => return Err(NoFrame::Closed),
            Ok(Ok(_)) => {}
        }
        let mut frame = vec![0; i32::from_be_bytes(head) as usize];
        match timeout(PATIENCE, self.socket.read_exact(&mut frame)).await {
            Ok(Ok(_)) => Ok(frame),
            _ => Err(NoFrame::Closed),
        }
    }

    pub async fn send<R: Request>(&mut self, request: R) -> i32 {
        self.correlation += 1;
        let mut message = RequestMessage::new_request(request).set_client_id("test");
        message.header.set_correlation_id(self.correlation);
        let mut frame = Vec::new();
        message.encode(&mut frame, 0).unwrap();
        self.send_frame(&frame).await;
        self.correlation
    }

    pub async fn call<R: Request>(&mut self, request: R) -> R::Response {
        let version = R::DEFAULT_API_VERSION;
        let correlation = self.send(request).await;
        let frame = self.receive(PATIENCE).await.unwrap();
        let mut body = frame.as_slice();
        assert_eq!(body.get_i32(), correlation);
        let response = R::Response::decode_from(&mut body, version).unwrap();
        assert_eq!(body.remaining(), 0, "bytes after the reply");
        response
    }

    pub async fn create(&mut self, name: &str, spec: TopicSpec) -> Status {
        let common = CommonCreateRequest { name: name.to_owned(), dry_run: false, timeout: None };
        let create = CreateRequest::new(common, spec);
        self.call(ObjectApiCreateRequest::try_encode_from(create, 19).unwrap()).await
    }

    /// Stores a SmartModule; `package`: its name, group and version.
    pub async fn create_module(&mut self, name: &str, wasm: &[u8], package: Option<(&str, &str, &str)>) -> Status {
        let meta = package.map(|(name, group, version)| SmartModuleMetadata {
            package: SmartModulePackage {
                name: name.to_owned(),
                group: group.to_owned(),
                version: FluvioSemVersion::parse(version).unwrap(),
                ..Default::default()
            },
            ..Default::default()
        });
        let wasm = SmartModuleWasm::from_compressed_gzip(gzip(wasm));
        let common = CommonCreateRequest { name: name.to_owned(), dry_run: false, timeout: None };
        let create = CreateRequest::new(common, SmartModuleSpec { meta, wasm, ..Default::default() });
        self.call(ObjectApiCreateRequest::try_encode_from(create, 19).unwrap()).await
    }

    pub async fn delete_module(&mut self, name: &str) -> Status {
        let delete = DeleteRequest::<SmartModuleSpec>::new(name.to_owned());
        self.call(ObjectApiDeleteRequest::try_encode_from(delete, 19).unwrap()).await
    }

    pub async fn delete(&mut self, name: &str) -> Status {
        let delete = DeleteRequest::<TopicSpec>::new(name.to_owned());
        self.call(ObjectApiDeleteRequest::try_encode_from(delete, 19).unwrap()).await
    }

    pub async fn list<S>(&mut self) -> Vec<Metadata<S>>
    where
        S: AdminSpec,
        S::Status: Encoder + Decoder,
        ObjectApiListRequest: TryEncodableFrom<ListRequest<S>>,
        ObjectApiListResponse: TryEncodableFrom<ListResponse<S>>,
    {
        let request = ListRequest::<S>::new(vec![], false);
        let response = self.call(ObjectApiListRequest::try_encode_from(request, 19).unwrap()).await;
        let list: ListResponse<S> = response.downcast().unwrap().unwrap();
        list.inner()
    }

    pub async fn produce(&mut self, topic: &str, partition: u32, set: Vec<u8>) -> PartitionProduceResponse {
        let response = self.call(produce(topic, partition, set)).await;
        response.responses.into_iter().next().unwrap().partitions.into_iter().next().unwrap()
    }

    /// Opens a stream with modules; its correlation id.
    pub async fn transformed(&mut self, topic: &str, offset: i64, modules: Vec<SmartModuleInvocation>) -> i32 {
        let mut request = StreamFetchRequest::<Raw>::default();
        request.topic = topic.to_owned();
        request.fetch_offset = offset;
        request.max_bytes = i32::MAX;
        request.smartmodules = modules;
        self.send(request).await
    }

    /// Opens a stream; its correlation id.
    pub async fn stream(&mut self, topic: &str, offset: i64, max_bytes: i32) -> i32 {
        let mut request = StreamFetchRequest::<Raw>::default();
        request.topic = topic.to_owned();
        request.fetch_offset = offset;
        request.max_bytes = max_bytes;
        self.send(request).await
    }

    pub async fn stream_reply(
        &mut self,
        correlation: i32,
        wait: Duration,
    ) -> Result<StreamFetchResponse<Raw>, NoFrame> {
        loop {
            let frame = self.receive(wait).await?;
            let mut body = frame.as_slice();
            if body.get_i32() == correlation {
                return Ok(StreamFetchResponse::decode_from(&mut body, 25).unwrap());
            }
        }
    }

    pub async fn acknowledge(&mut self, session_id: u32, offset: i64) {
        self.send(UpdateOffsetsRequest::new(vec![OffsetUpdate { offset, session_id }])).await;
    }
}

/// A watch of the SC, on a connection of its own.
pub struct Watch<S> {
    client: Client,
    kind: std::marker::PhantomData<S>,
}

impl<S> Watch<S>
where
    S: AdminSpec,
    S::Status: Encoder + Decoder,
    ObjectApiWatchRequest: TryEncodableFrom<WatchRequest<S>>,
    ObjectApiWatchResponse: TryEncodableFrom<WatchResponse<S>>,
{
    /// Begins a watch; what there is already.
    pub async fn begin(sc: SocketAddr) -> (Self, Vec<Metadata<S>>) {
        let mut client = Client::connect(sc).await;
        client.send(ObjectApiWatchRequest::try_encode_from(WatchRequest::<S>::default(), 19).unwrap()).await;
        let mut watch = Self { client, kind: std::marker::PhantomData };
        let all = watch.receive(PATIENCE).await.unwrap().all;
        (watch, all)
    }

    async fn receive(&mut self, wait: Duration) -> Result<fluvio_sc_schema::objects::MetadataUpdate<S>, NoFrame> {
        let frame = self.client.receive(wait).await?;
        let response = ObjectApiWatchResponse::decode_from(&mut &frame[4..], 19).unwrap();
        let response: WatchResponse<S> = response.downcast().unwrap().unwrap();
        Ok(response.inner())
    }

    /// The next change.
    pub async fn next(&mut self, wait: Duration) -> Result<(MsgType, Metadata<S>), NoFrame> {
        let change = self.receive(wait).await?.changes.remove(0);
        Ok((change.header, change.content))
    }

    /// The next update that is as wanted.
    pub async fn until(&mut self, wanted: impl Fn(&Metadata<S>) -> bool) -> Metadata<S> {
        loop {
            let (kind, object) = self.next(PATIENCE).await.unwrap();
            if kind == MsgType::UPDATE && wanted(&object) {
                return object;
            }
        }
    }
}

pub fn produce(topic: &str, partition: u32, set: Vec<u8>) -> ProduceRequest<Raw> {
    let mut request = ProduceRequest::<Raw> { timeout: Duration::from_millis(1500), ..Default::default() };
    let mut data = TopicProduceData { name: topic.to_owned(), ..Default::default() };
    data.partitions.push(PartitionProduceData { partition_index: partition, records: Raw(set) });
    request.topics.push(data);
    request
}

/// The whole batches of a log slice: base offset, offsets taken, bytes; and how much of a cut one follows.
pub fn batches(slice: &[u8]) -> (Vec<(i64, i64, Vec<u8>)>, usize) {
    let mut found = Vec::new();
    let mut rest = slice;
    while rest.len() >= 61 {
        let size = 12 + i32::from_be_bytes(rest[8..12].try_into().unwrap()) as usize;
        if size > rest.len() {
            break;
        }
        let base = i64::from_be_bytes(rest[..8].try_into().unwrap());
        let offsets = i64::from(i32::from_be_bytes(rest[23..27].try_into().unwrap())) + 1;
        found.push((base, offsets, rest[..size].to_vec()));
        rest = &rest[size..];
    }
    (found, rest.len())
}
