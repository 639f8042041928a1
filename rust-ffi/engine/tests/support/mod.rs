//! What the engine's tests share: a cluster, a client, tickets that are remembered, records as plain data.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fluvio_cffi_cluster::{Cluster, Config};
use fluvio_cffi_engine::{
    ChunkEncoder, Client, ClientOptions, Consumer, ConsumerOptions, CreateFlags, Producer, ProducerOptions, RecordRef,
    Records, Run, Take, TicketOutcome, TicketSink, TopicSpec,
};

/// A record as the test sees it.
pub type Plain = (i64, Option<Vec<u8>>, Vec<u8>);

/// Remembers the fate of each ticket; a second one fails the test.
#[derive(Default)]
pub struct Tickets(pub Mutex<HashMap<u64, TicketOutcome>>);

impl TicketSink for Tickets {
    fn complete(&self, ticket: u64, outcome: TicketOutcome) {
        let before = self.0.lock().unwrap().insert(ticket, outcome);
        assert!(before.is_none(), "ticket {ticket} was settled twice");
    }
}

impl Tickets {
    pub fn offset(&self, run: &Run) -> i64 {
        let outcome = self.0.lock().unwrap()[&run.ticket].clone();
        outcome.result.unwrap() + i64::from(run.index)
    }
}

/// Chunks as length-prefixed records.
pub struct Plainly;

impl ChunkEncoder for Plainly {
    fn encode(&self, _partition: u32, records: &[RecordRef<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        for record in records {
            out.extend_from_slice(&record.offset.to_le_bytes());
            out.extend_from_slice(&record.key.map_or(-1, |key| key.len() as i64).to_le_bytes());
            out.extend_from_slice(&(record.value.len() as i64).to_le_bytes());
            out.extend_from_slice(record.key.unwrap_or_default());
            out.extend_from_slice(record.value);
        }
        out
    }
}

pub fn plain(payload: &[u8]) -> Vec<Plain> {
    let mut out = Vec::new();
    let mut at = 0;
    let number = |at: usize| i64::from_le_bytes(payload[at..at + 8].try_into().unwrap());
    while at < payload.len() {
        let (offset, key, value) = (number(at), number(at + 8), number(at + 16) as usize);
        at += 24;
        let key = (key >= 0).then(|| {
            at += key as usize;
            payload[at - key as usize..at].to_vec()
        });
        out.push((offset, key, payload[at..at + value].to_vec()));
        at += value;
    }
    out
}

pub async fn cluster() -> Cluster {
    Cluster::start(Config::default()).await.unwrap()
}

pub async fn connect(endpoint: &str) -> Client {
    let options = ClientOptions {
        tls: None,
        connect_timeout: None,
        wait: None,
        endpoint: Some(endpoint.to_owned()),
        profile: None,
        client_id: None,
        use_spu_local_address: None,
        request_timeout: Duration::from_secs(5),
        admin_timeout: Duration::from_secs(10),
        probe_interval: Duration::from_secs(10),
        owner: 0,
    };
    Client::connect(options).await.unwrap()
}

pub fn spec(partitions: u32) -> TopicSpec {
    TopicSpec { partitions, ..TopicSpec::default() }
}

pub const CREATE: CreateFlags = CreateFlags { dry_run: false, exist_ok: false };

pub async fn producer(client: &Client, topic: &str, options: ProducerOptions) -> (Producer, Arc<Tickets>) {
    let tickets = Arc::new(Tickets::default());
    let sink: Arc<Tickets> = Arc::clone(&tickets);
    (client.producer(topic, options, sink, None).await.unwrap(), tickets)
}

pub async fn consumer(client: &Client, topic: &str, options: ConsumerOptions) -> Consumer {
    client.consumer(topic, options, Arc::new(Plainly), None).await.unwrap()
}

/// Submits values without keys, waiting for room as often as it takes.
pub async fn submit(producer: &Producer, values: &[Vec<u8>]) -> Vec<Run> {
    submit_to(producer, None, values).await
}

/// The same, to one partition.
pub async fn submit_to(producer: &Producer, partition: Option<i32>, values: &[Vec<u8>]) -> Vec<Run> {
    let mut all = Vec::new();
    let mut rest = values;
    while !rest.is_empty() {
        let part = &rest[..rest.len().min(1000)];
        let data = part.concat();
        let lengths: Vec<u32> = part.iter().map(|value| value.len() as u32).collect();
        let partitions = partition.map(|partition| vec![partition; part.len()]);
        let records = Records {
            count: part.len(),
            data: &data,
            value_lengths: &lengths,
            key_lengths: None,
            partitions: partitions.as_deref(),
            timestamps: None,
            awaited: false,
        };
        let mut runs = vec![Run::default(); part.len()];
        let submission = producer.submit(&records, &mut runs).unwrap();
        all.extend_from_slice(&runs[..submission.runs]);
        rest = &rest[submission.accepted..];
        if submission.accepted < part.len() {
            producer.wait_room(part[submission.accepted].len() as u64 + 24).await.unwrap();
        }
    }
    all
}

/// Reads until the consumer ends, or `count` records are there.
pub async fn read(consumer: &Consumer, count: usize) -> Vec<Plain> {
    let mut out = Vec::new();
    while out.len() < count {
        match consumer.take().unwrap() {
            Take::Chunk(chunk) => {
                let records = plain(&chunk.payload);
                assert_eq!(records.len(), chunk.count as usize);
                assert_eq!(records[0].0, chunk.first_offset);
                out.extend(records);
            }
            Take::Empty => consumer.ready().await,
            Take::End | Take::Changed => break,
        }
    }
    out
}

pub fn numbered(range: std::ops::Range<usize>, size: usize) -> Vec<Vec<u8>> {
    range
        .map(|number| {
            let digits = number.to_string();
            [vec![b'0'; size - digits.len()], digits.into_bytes()].concat()
        })
        .collect()
}
