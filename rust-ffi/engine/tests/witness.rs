//! The official client as a witness: each of the two reads all that the other has written, and finds it in the same
//! partition.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::HashMap;
use std::time::Duration;

use fluvio::consumer::{ConsumerConfigExtBuilder, RetryMode};
use fluvio::{Compression, Fluvio, FluvioClusterConfig, Offset, RecordKey, TopicProducerConfigBuilder};
use fluvio_cffi_cluster::Cluster;
use fluvio_cffi_engine::{Client, Codec, Consumer, ConsumerOptions, ProducerOptions, Records, Run, Start, Take};
use futures_util::StreamExt;
use support::*;

const CODECS: [(Codec, Compression); 5] = [
    (Codec::None, Compression::None),
    (Codec::Gzip, Compression::Gzip),
    (Codec::Snappy, Compression::Snappy),
    (Codec::Lz4, Compression::Lz4),
    (Codec::Zstd, Compression::Zstd),
];
/// More than any backlog here. With less the official client loses what a reply cuts in two.
const ABOVE_THE_BACKLOG: i32 = 64 << 20;

/// Key and value of a record.
type Pair = (Option<Vec<u8>>, Vec<u8>);

async fn within<T>(seconds: u64, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("in time")
}

/// The official client. It hears of topics that are made later only after a while.
async fn official(cluster: &Cluster) -> Fluvio {
    Fluvio::connect_with_config(&FluvioClusterConfig::new(cluster.endpoint().to_string())).await.unwrap()
}

/// The same numbers in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.next() % (most + 1)).map(|_| self.next() as u8).collect()
    }
}

/// Records with keys, without, with empty ones; some empty, some large.
fn pairs(seed: u64, count: usize) -> Vec<Pair> {
    let mut random = Random(seed);
    (0..count)
        .map(|number| {
            let key = match number % 4 {
                0 => None,
                1 => Some(Vec::new()),
                _ => Some(random.bytes(40)),
            };
            let most = if number % 100 == 0 { 20_000 } else { 200 };
            (key, random.bytes(most))
        })
        .collect()
}

async fn write_ours(client: &Client, topic: &str, options: ProducerOptions, pairs: &[Pair]) {
    let (producer, tickets) = producer(client, topic, options).await;
    let mut rest = pairs;
    while !rest.is_empty() {
        let part = &rest[..rest.len().min(1000)];
        let mut data = Vec::new();
        for (key, value) in part {
            data.extend_from_slice(key.as_deref().unwrap_or_default());
            data.extend_from_slice(value);
        }
        let keys: Vec<i32> = part.iter().map(|(key, _)| key.as_ref().map_or(-1, |key| key.len() as i32)).collect();
        let values: Vec<u32> = part.iter().map(|(_, value)| value.len() as u32).collect();
        let records = Records {
            count: part.len(),
            data: &data,
            value_lengths: &values,
            key_lengths: Some(&keys),
            partitions: None,
            timestamps: None,
            awaited: false,
        };
        let submission = producer.submit(&records, &mut vec![Run::default(); part.len()]).unwrap();
        rest = &rest[submission.accepted..];
        if submission.accepted < part.len() {
            producer.wait_room(40_000).await.unwrap();
        }
    }
    producer.flush().await.unwrap();
    assert!(tickets.0.lock().unwrap().values().all(|outcome| outcome.result.is_ok()));
}

async fn write_official(fluvio: &Fluvio, topic: &str, compression: Option<Compression>, pairs: &[Pair]) {
    let mut config = TopicProducerConfigBuilder::default();
    if let Some(compression) = compression {
        config.compression(compression);
    }
    let producer = fluvio.topic_producer_with_config(topic, config.build().unwrap()).await.unwrap();
    for (key, value) in pairs {
        let key = key.clone().map_or(RecordKey::NULL, RecordKey::from);
        producer.send(key, value.clone()).await.unwrap();
    }
    producer.flush().await.unwrap();
}

async fn read_ours(client: &Client, topic: &str) -> HashMap<u32, Vec<Pair>> {
    let options = ConsumerOptions { start: Some(Start::Beginning(0)), stop_at_end: true, ..Default::default() };
    let consumer: Consumer = consumer(client, topic, options).await;
    let mut all: HashMap<u32, Vec<Pair>> = HashMap::new();
    loop {
        match consumer.take().unwrap() {
            Take::Chunk(chunk) => {
                let records = all.entry(chunk.partition).or_default();
                for (offset, key, value) in plain(&chunk.payload) {
                    assert_eq!(offset, records.len() as i64);
                    records.push((key, value));
                }
            }
            Take::Empty => consumer.ready().await,
            Take::End | Take::Changed => return all,
        }
    }
}

/// What the official consumer reads, by partition, in its order: offset, key and value.
async fn read_official(fluvio: &Fluvio, topic: &str, max_bytes: Option<i32>) -> HashMap<u32, Vec<(i64, Pair)>> {
    let mut config = ConsumerConfigExtBuilder::default();
    config.topic(topic).offset_start(Offset::beginning()).disable_continuous(true).retry_mode(RetryMode::Disabled);
    if let Some(max_bytes) = max_bytes {
        config.max_bytes(max_bytes);
    }
    let mut stream = fluvio.consumer_with_config(config.build().unwrap()).await.unwrap();
    let mut all: HashMap<u32, Vec<(i64, Pair)>> = HashMap::new();
    while let Some(record) = stream.next().await {
        let record = record.unwrap();
        let pair = (record.key().map(<[u8]>::to_vec), record.value().to_vec());
        all.entry(record.partition()).or_default().push((record.offset(), pair));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_client_reads_all_that_is_produced_here() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        for number in 0..CODECS.len() {
            client.admin(None).create_topic(&format!("ours-{number}"), spec(1), CREATE, true).await.unwrap();
        }
        let fluvio = official(&cluster).await;
        for (number, (codec, _)) in CODECS.into_iter().enumerate() {
            let topic = format!("ours-{number}");
            let pairs = pairs(number as u64, 3000);
            write_ours(&client, &topic, ProducerOptions { compression: Some(codec), ..Default::default() }, &pairs)
                .await;
            let expected: Vec<_> = pairs.into_iter().enumerate().map(|(offset, pair)| (offset as i64, pair)).collect();
            let read = read_official(&fluvio, &topic, Some(ABOVE_THE_BACKLOG)).await;
            assert!(read[&0] == expected, "{codec:?}: {} of {}", read[&0].len(), expected.len());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_the_official_client_produces_is_read_here() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        for number in 0..CODECS.len() {
            client.admin(None).create_topic(&format!("theirs-{number}"), spec(1), CREATE, true).await.unwrap();
        }
        let fluvio = official(&cluster).await;
        for (number, (_, compression)) in CODECS.into_iter().enumerate() {
            let topic = format!("theirs-{number}");
            let pairs = pairs(number as u64, 3000);
            write_official(&fluvio, &topic, Some(compression), &pairs).await;
            let read = read_ours(&client, &topic).await;
            assert!(read[&0] == pairs, "{compression:?}: {} of {}", read[&0].len(), pairs.len());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_random_keys_go_to_the_official_partitions() {
    within(60, async {
        const PARTITIONS: u32 = 7;
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        let mut random = Random(42);
        let pairs: Vec<Pair> =
            (0..10_000u32).map(|number| (Some(random.bytes(64)), number.to_be_bytes().to_vec())).collect();
        for topic in ["ours", "theirs"] {
            client.admin(None).create_topic(topic, spec(PARTITIONS), CREATE, true).await.unwrap();
        }
        let fluvio = official(&cluster).await;
        write_ours(&client, "ours", ProducerOptions::default(), &pairs).await;
        write_official(&fluvio, "theirs", None, &pairs).await;
        let (ours, theirs) = (read_ours(&client, "ours").await, read_ours(&client, "theirs").await);
        assert_eq!(ours.len(), PARTITIONS as usize);
        assert!(ours.values().all(|records| records.len() > 1000));
        assert!(ours == theirs);
    })
    .await;
}

/// At its default settings the official consumer loses the rest of each batch that the end of a reply cuts, whoever
/// wrote it. What is written here must not make it worse. Where a reply's end falls in a batch is chance; with records
/// of one size it would be the same place each time, so they have different sizes, and chance has some room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_client_loses_no_larger_share_of_what_is_produced_here() {
    within(120, async {
        const RUNS: usize = 5;
        const RECORDS: usize = 60_000;
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        for run in 0..RUNS {
            for topic in ["ours", "theirs"] {
                client.admin(None).create_topic(&format!("{topic}-{run}"), spec(1), CREATE, true).await.unwrap();
            }
        }
        let fluvio = official(&cluster).await;
        let mut random = Random(7);
        let pairs: Vec<Pair> = (0..RECORDS).map(|_| (None, vec![b'x'; 50 + (random.next() % 1950) as usize])).collect();
        let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
        for run in 0..RUNS {
            let (ours, theirs) = (format!("ours-{run}"), format!("theirs-{run}"));
            write_official(&fluvio, &theirs, None, &pairs).await;
            write_ours(&client, &ours, ProducerOptions::default(), &pairs).await;
            for (topic, lost) in [(ours, &mut of_ours), (theirs, &mut of_theirs)] {
                let read = read_official(&fluvio, &topic, None).await.remove(&0).unwrap_or_default();
                lost.push(RECORDS - read.len());
            }
        }
        eprintln!("lost of ours {of_ours:?}, of theirs {of_theirs:?}, of {RECORDS} each");
        let (ours, theirs): (usize, usize) = (of_ours.iter().sum(), of_theirs.iter().sum());
        assert!(theirs > 0 && ours * 100 <= theirs * 120, "{ours} of ours, {theirs} of theirs");
    })
    .await;
}
