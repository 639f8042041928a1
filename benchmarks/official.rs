//! The official Fluvio client as a contestant of the benchmarks: one verb a run, one line of JSON as the result.
//!
//! Every record's value begins with its number, and every verb checks that each record is where it belongs.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fluvio::consumer::{ConsumerConfig, ConsumerConfigExtBuilder, RetryMode};
use fluvio::metadata::topic::TopicSpec;
use fluvio::{Fluvio, FluvioClusterConfig, Offset, RecordKey, TopicProducerConfigBuilder, TopicProducerPool};
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const HELP: &str = "\
The official Fluvio client as a contestant of the benchmarks.

Usage: official create ADDR TOPIC
       official produce ADDR TOPIC COUNT SIZE [BATCH_SIZE]
       official consume ADDR TOPIC COUNT SIZE [records | batches]
       official latency ADDR TOPIC COUNT SIZE
       official end-to-end ADDR TOPIC COUNT INTERVAL_MS

ADDR is the HOST:PORT of the cluster. consume needs a topic with exactly COUNT records, the others an empty one.";

/// Larger than any backlog here. A client that asks for less than there is loses what a reply cuts in two.
const MAX_BYTES: i32 = i32::MAX;
const END_TO_END_SIZE: usize = 100;
/// So many of the first samples of a latency are not counted.
const WARM_UP: usize = 5;
const PATIENCE: Duration = Duration::from_secs(20);

fn values(count: usize, size: usize) -> Vec<Vec<u8>> {
    let value = |number: usize| {
        let mut value = format!("{number:012}").into_bytes();
        value.resize(size, b'.');
        value
    };
    (0..count).map(value).collect()
}

/// The processor time of this process so far, in ticks of 10 ms; 0 where it cannot be found out.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

struct Clock {
    started: Instant,
    cpu: f64,
}

impl Clock {
    fn start() -> Self {
        Self { cpu: cpu_seconds(), started: Instant::now() }
    }

    fn stop(&self) -> Value {
        let seconds = self.started.elapsed().as_secs_f64();
        json!({ "seconds": seconds, "cpu_seconds": cpu_seconds() - self.cpu })
    }
}

fn latencies(mut samples: Vec<Duration>) -> Outcome<Value> {
    samples.drain(..WARM_UP.min(samples.len()));
    samples.sort_unstable();
    let last = samples.len().checked_sub(1).ok_or("too few samples")?;
    let quantile = |percent: usize| samples[(last * percent + 50) / 100].as_secs_f64() * 1e6;
    Ok(json!({ "p50_us": quantile(50), "p99_us": quantile(99), "samples": samples.len() }))
}

/// Sends all, and waits until all are acknowledged. The clock stops when `flush` returns; that each one was acknowledged,
/// and where, is looked at afterwards.
async fn produce(fluvio: &Fluvio, topic: &str, count: usize, size: usize, batch_size: Option<usize>) -> Outcome<Value> {
    let values = values(count, size);
    let mut config = TopicProducerConfigBuilder::default();
    if let Some(batch_size) = batch_size {
        config.batch_size(batch_size).max_request_size((2 * batch_size).max(1 << 20));
    }
    let producer = fluvio.topic_producer_with_config(topic, config.build()?).await?;
    let mut outputs = Vec::with_capacity(count);
    let clock = Clock::start();
    for value in values {
        outputs.push(producer.send(RecordKey::NULL, value).await?);
    }
    producer.flush().await?;
    let result = clock.stop();
    for (number, output) in outputs.into_iter().enumerate() {
        let offset = output.wait().await?.offset();
        if usize::try_from(offset) != Ok(number) {
            return Err(format!("record {number} was written at offset {offset}").into());
        }
    }
    Ok(result)
}

/// Whether the records are those that were sent, each once and in order.
struct Check {
    values: Vec<Vec<u8>>,
    seen: usize,
}

impl Check {
    fn new(count: usize, size: usize) -> Self {
        Self { values: values(count, size), seen: 0 }
    }

    fn record(&mut self, value: &[u8]) -> Outcome<()> {
        if self.values.get(self.seen).map(Vec::as_slice) != Some(value) {
            return Err(format!("a wrong record after the first {}", self.seen).into());
        }
        self.seen += 1;
        Ok(())
    }

    fn end(&self) -> Outcome<()> {
        if self.seen == self.values.len() {
            return Ok(());
        }
        Err(format!("only {} of {} records arrived", self.seen, self.values.len()).into())
    }
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> Outcome<Option<S::Item>> {
    Ok(tokio::time::timeout(PATIENCE, stream.next()).await?)
}

/// The documented way, record by record, to the end of the topic.
async fn consume_records(fluvio: &Fluvio, topic: &str, mut check: Check) -> Outcome<Value> {
    let clock = Clock::start();
    let mut config = ConsumerConfigExtBuilder::default();
    config.topic(topic).offset_start(Offset::beginning()).max_bytes(MAX_BYTES);
    config.disable_continuous(true).retry_mode(RetryMode::Disabled);
    let mut stream = fluvio.consumer_with_config(config.build()?).await?;
    while let Some(record) = stream.next().await {
        check.record(record?.value())?;
    }
    let result = clock.stop();
    check.end()?;
    Ok(result)
}

/// The faster way, by batches: of one partition, without retries, deprecated.
async fn consume_batches(fluvio: &Fluvio, topic: &str, mut check: Check) -> Outcome<Value> {
    let clock = Clock::start();
    #[allow(deprecated)]
    let consumer = fluvio.partition_consumer(topic, 0).await?;
    let config = ConsumerConfig::builder().max_bytes(MAX_BYTES).disable_continuous(true).build()?;
    let mut stream = Box::pin(consumer.stream_batches_with_config(Offset::beginning(), config).await?);
    while let Some(batch) = next(&mut stream).await? {
        for record in batch?.records() {
            check.record(record.value().as_ref())?;
        }
    }
    let result = clock.stop();
    check.end()?;
    Ok(result)
}

async fn send(producer: &TopicProducerPool, value: Vec<u8>) -> Outcome<i64> {
    Ok(producer.send(RecordKey::NULL, value).await?.wait().await?.offset())
}

/// One record at a time, each acknowledged before the next is sent.
async fn latency(fluvio: &Fluvio, topic: &str, count: usize, size: usize) -> Outcome<Value> {
    let producer = fluvio.topic_producer(topic).await?;
    let mut samples = Vec::with_capacity(count);
    for (number, value) in values(count, size).into_iter().enumerate() {
        let started = Instant::now();
        let offset = send(&producer, value).await?;
        samples.push(started.elapsed());
        if usize::try_from(offset) != Ok(number) {
            return Err(format!("record {number} was written at offset {offset}").into());
        }
    }
    latencies(samples)
}

/// One client sends a record every now and then, another one reads it.
async fn end_to_end(addr: &str, topic: &str, count: usize, interval: Duration) -> Outcome<Value> {
    let sending = connect(addr).await?;
    let reading = connect(addr).await?;
    let values = values(count, END_TO_END_SIZE);
    let mut config = ConsumerConfigExtBuilder::default();
    config.topic(topic).offset_start(Offset::beginning()).retry_mode(RetryMode::Disabled);
    let mut stream = reading.consumer_with_config(config.build()?).await?;
    let mut check = Check { values: values.clone(), seen: 0 };
    let reader = tokio::spawn(async move {
        let mut arrivals = Vec::new();
        while arrivals.len() < check.values.len() {
            let record = next(&mut stream).await?.ok_or("the stream ended")??;
            arrivals.push(Instant::now());
            check.record(record.value())?;
        }
        Outcome::Ok(arrivals)
    });
    let producer = sending.topic_producer(topic).await?;
    let mut departures = Vec::with_capacity(count);
    for value in values {
        tokio::time::sleep(interval).await;
        departures.push(Instant::now());
        send(&producer, value).await?;
    }
    let arrivals = reader.await??;
    latencies(arrivals.iter().zip(&departures).map(|(arrival, departure)| *arrival - *departure).collect())
}

async fn connect(addr: &str) -> Outcome<Fluvio> {
    Ok(Fluvio::connect_with_config(&FluvioClusterConfig::new(addr)).await?)
}

async fn run(arguments: &[&str]) -> Outcome<Value> {
    match *arguments {
        ["create", addr, topic] => {
            let fluvio = connect(addr).await?;
            fluvio.admin().await.create(topic.to_owned(), false, TopicSpec::new_computed(1, 1, None)).await?;
            Ok(json!({}))
        }
        ["produce", addr, topic, count, size, ref rest @ ..] => {
            let batch_size = rest.first().map(|text| text.parse()).transpose()?;
            produce(&connect(addr).await?, topic, count.parse()?, size.parse()?, batch_size).await
        }
        ["consume", addr, topic, count, size, ref rest @ ..] => {
            let check = Check::new(count.parse()?, size.parse()?);
            let fluvio = connect(addr).await?;
            match *rest {
                [] | ["records"] => consume_records(&fluvio, topic, check).await,
                ["batches"] => consume_batches(&fluvio, topic, check).await,
                _ => Err(HELP.into()),
            }
        }
        ["latency", addr, topic, count, size] => {
            latency(&connect(addr).await?, topic, count.parse()?, size.parse()?).await
        }
        ["end-to-end", addr, topic, count, interval] => {
            end_to_end(addr, topic, count.parse()?, Duration::from_millis(interval.parse()?)).await
        }
        _ => Err(HELP.into()),
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments).await {
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
