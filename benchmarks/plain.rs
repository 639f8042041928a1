//! The ceiling: what a plain loop on the official protocol crates reaches, with one partition, one connection, no keys and no
//! compression; without futures for each record, without reconnecting, and with the batches that the clients use.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use fluvio::metadata::partition::PartitionSpec;
use fluvio::metadata::spu::SpuSpec;
use fluvio_protocol::api::{Request, RequestMessage};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::{Decoder, Encoder, Version};
use fluvio_spu_schema::Isolation;
use fluvio_spu_schema::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use fluvio_spu_schema::server::stream_fetch::{StreamFetchRequest, StreamFetchResponse};
use fluvio_spu_schema::server::update_offset::{OffsetUpdate, UpdateOffsetsRequest};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{Check, Clock, Outcome, PATIENCE, Spec, Values};
use crate::official;

const BATCH: usize = 16 << 10;
const BATCHES_A_REQUEST: usize = 16;
const REQUESTS_IN_FLIGHT: usize = 8;
const MAX_BYTES: i32 = 1 << 20;
/// A batch's header, before its records.
const HEADER: usize = 61;
const VERSION: Version = 25;

/// Batches as they are on the wire.
#[derive(Debug, Default, Clone)]
struct Batches(Bytes);

impl Encoder for Batches {
    fn write_size(&self, _: Version) -> usize {
        4 + self.0.len()
    }

    fn encode<T: BufMut>(&self, target: &mut T, _: Version) -> std::io::Result<()> {
        target.put_u32(u32::try_from(self.0.len()).map_err(std::io::Error::other)?);
        target.put_slice(&self.0);
        Ok(())
    }
}

impl Decoder for Batches {
    fn decode<T: Buf>(&mut self, source: &mut T, version: Version) -> std::io::Result<()> {
        let mut length = 0_u32;
        length.decode(source, version)?;
        let length = usize::try_from(length).map_err(std::io::Error::other)?;
        if source.remaining() < length {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.0 = source.copy_to_bytes(length);
        Ok(())
    }
}

struct Connection {
    socket: TcpStream,
    received: BytesMut,
}

impl Connection {
    /// To the leader of partition 0, which the official client finds out.
    async fn open(spec: &Spec) -> Outcome<Self> {
        let fluvio = official::connect(spec).await?;
        let admin = fluvio.admin().await;
        let name = format!("{}-0", spec.text("topic")?);
        let partitions = admin.all::<PartitionSpec>().await?;
        let partition = partitions.iter().find(|partition| partition.name == name).ok_or("no partition 0")?;
        let spus = admin.all::<SpuSpec>().await?;
        let leader = spus.iter().find(|spu| spu.spec.id == partition.spec.leader).ok_or("no leader")?;
        let endpoint = &leader.spec.public_endpoint;
        let host = endpoint.ingress.first().and_then(|address| address.host()).ok_or("no address")?;
        let socket = TcpStream::connect((host, endpoint.port)).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, received: BytesMut::with_capacity(1 << 20) })
    }

    async fn send<R: Request>(&mut self, request: R, version: Version, correlation: i32) -> Outcome<()> {
        let mut message = RequestMessage::new_request(request);
        message.header.set_api_version(version).set_correlation_id(correlation);
        let length = message.write_size(version);
        let mut frame = BytesMut::with_capacity(4 + length);
        frame.put_u32(u32::try_from(length)?);
        message.encode(&mut frame, version)?;
        Ok(self.socket.write_all(&frame).await?)
    }

    /// The next reply: its correlation id and its body.
    async fn receive(&mut self) -> Outcome<(i32, Bytes)> {
        loop {
            let mut wanted = 4;
            if let Some(head) = self.received.first_chunk::<4>() {
                wanted += usize::try_from(u32::from_be_bytes(*head))?;
                if self.received.len() >= wanted {
                    let mut frame = self.received.split_to(wanted).freeze();
                    frame.advance(4);
                    return Ok((frame.get_i32(), frame));
                }
            }
            self.received.reserve(wanted - self.received.len());
            if tokio::time::timeout(PATIENCE, self.socket.read_buf(&mut self.received)).await?? == 0 {
                return Err("the connection ended".into());
            }
        }
    }
}

fn put_varint(target: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        target.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    target.push(rest.to_le_bytes()[0]);
}

fn varint(source: &mut &[u8]) -> Outcome<i64> {
    let (mut value, mut shift) = (0_u64, 0);
    loop {
        let (&byte, rest) = source.split_first().ok_or("a cut number")?;
        *source = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
        shift += 7;
    }
}

/// Appends a batch that is closed once it has the size of a client's batch; how many records it took.
fn put_batch(target: &mut Vec<u8>, values: &[Vec<u8>], now: i64) -> Outcome<usize> {
    let start = target.len();
    target.resize(start + HEADER, 0);
    let mut taken = 0;
    for value in values {
        let length = i64::try_from(value.len())?;
        let mut head = Vec::with_capacity(16);
        head.push(0);
        put_varint(&mut head, 0);
        put_varint(&mut head, i64::try_from(taken)?);
        head.push(0);
        put_varint(&mut head, length);
        put_varint(target, i64::try_from(head.len())? + length + 1);
        target.extend_from_slice(&head);
        target.extend_from_slice(value);
        target.push(0);
        taken += 1;
        if target.len() - start >= BATCH {
            break;
        }
    }
    let count = i32::try_from(taken)?;
    let batch = &mut target[start..];
    let length = i32::try_from(batch.len() - 12)?;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[12..16].copy_from_slice(&(-1_i32).to_be_bytes());
    batch[16] = 2;
    batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    batch[27..35].copy_from_slice(&now.to_be_bytes());
    batch[35..43].copy_from_slice(&now.to_be_bytes());
    batch[43..57].fill(0xff);
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    Ok(taken)
}

pub async fn produce(spec: &Spec) -> Outcome<Value> {
    let source = Values::new(spec)?;
    let values: Vec<Vec<u8>> = (0..spec.number("count")?).map(|number| source.value(number)).collect();
    let mut connection = Connection::open(spec).await?;
    let topic = spec.text("topic")?;
    let clock = Clock::start();
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let (mut sent, mut acknowledged, mut correlation) = (0, 0, 0);
    let mut firsts = std::collections::VecDeque::new();
    while acknowledged < values.len() {
        while sent < values.len() && firsts.len() < REQUESTS_IN_FLIGHT {
            let mut batches = Vec::with_capacity(BATCHES_A_REQUEST * (BATCH + 2 * HEADER));
            firsts.push_back(sent);
            for _ in 0..BATCHES_A_REQUEST {
                if sent < values.len() {
                    sent += put_batch(&mut batches, &values[sent..], now)?;
                }
            }
            let partition = PartitionProduceData { partition_index: 0, records: Batches(batches.into()) };
            let topic = TopicProduceData { name: topic.to_owned(), partitions: vec![partition], ..Default::default() };
            let mut request = ProduceRequest { isolation: Isolation::ReadUncommitted, ..Default::default() };
            request.timeout = Duration::from_secs(10);
            request.topics.push(topic);
            correlation += 1;
            connection.send(request, VERSION, correlation).await?;
        }
        let (_, mut body) = connection.receive().await?;
        let reply = ProduceResponse::decode_from(&mut body, VERSION)?;
        let answer = reply.responses.first().and_then(|topic| topic.partitions.first()).ok_or("an empty answer")?;
        if answer.error_code != ErrorCode::None {
            return Err(answer.error_code.to_string().into());
        }
        let first = firsts.pop_front().ok_or("an answer to nothing")?;
        if usize::try_from(answer.base_offset) != Ok(first) {
            return Err(format!("record {first} was written at offset {}", answer.base_offset).into());
        }
        acknowledged = firsts.front().copied().unwrap_or(sent);
    }
    Ok(clock.stop())
}

/// Checks the records of a batch, and that nothing is missing before it.
fn read_batch(batch: &[u8], next: &mut i64, check: &mut Check) -> Outcome<()> {
    let mut header = batch;
    let base = header.get_i64();
    header.advance(15);
    let last = header.get_i32();
    let mut records = batch.get(HEADER..).ok_or("a short batch")?;
    while !records.is_empty() {
        let length = usize::try_from(varint(&mut records)?)?;
        let (mut record, rest) = records.split_at_checked(length).ok_or("a cut record")?;
        records = rest;
        record.advance(1);
        varint(&mut record)?;
        let offset = base + varint(&mut record)?;
        record.advance(1);
        let length = usize::try_from(varint(&mut record)?)?;
        if offset != *next {
            return Err(format!("offset {offset} after {next}").into());
        }
        *next += 1;
        check.record(0, None, record.get(..length).ok_or("a cut value")?)?;
    }
    if *next != base + i64::from(last) + 1 {
        return Err("a batch with a wrong count".into());
    }
    Ok(())
}

/// Acknowledges each reply before it looks at the records, so that the next one is on its way meanwhile.
pub async fn consume(spec: &Spec) -> Outcome<Value> {
    let count = spec.number("count")?;
    let mut check = Check::new(spec, count)?;
    let mut connection = Connection::open(spec).await?;
    let clock = Clock::start();
    let mut request = StreamFetchRequest::<Batches>::default();
    request.topic = spec.text("topic")?.to_owned();
    request.max_bytes = MAX_BYTES;
    connection.send(request, VERSION, 1).await?;
    let (mut next, mut correlation) = (0, 1);
    while check.seen() < count {
        let (id, mut body) = connection.receive().await?;
        if id != 1 {
            continue;
        }
        let reply = StreamFetchResponse::<Batches>::decode_from(&mut body, VERSION)?;
        if reply.partition.error_code != ErrorCode::None {
            return Err(reply.partition.error_code.to_string().into());
        }
        let bytes = reply.partition.records.0;
        let (mut batches, mut end, mut at) = (Vec::new(), next, 0);
        while let Some(mut header) = bytes.get(at..at + HEADER) {
            let base = header.get_i64();
            let length = 12 + usize::try_from(header.get_u32())?;
            header.advance(11);
            let Some(batch) = bytes.get(at..at + length) else { break };
            end = base + i64::from(header.get_i32()) + 1;
            batches.push(batch);
            at += length;
        }
        let offsets = vec![OffsetUpdate { offset: end, session_id: reply.stream_id }];
        correlation += 1;
        connection.send(UpdateOffsetsRequest { offsets }, 0, correlation).await?;
        for batch in batches {
            read_batch(batch, &mut next, &mut check)?;
        }
    }
    let result = clock.stop();
    check.end()?;
    Ok(result)
}
