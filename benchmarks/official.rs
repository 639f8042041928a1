//! The official Fluvio client as a contestant: the crate `fluvio`, used as its documentation says.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fluvio::consumer::{ConsumerConfig, ConsumerConfigExtBuilder, RetryMode};
use fluvio::{
    Compression, Fluvio, FluvioClusterConfig, Offset, ProduceOutput, RecordKey, SmartModuleContextData,
    SmartModuleExtraParams, SmartModuleInvocation, SmartModuleInvocationWasm, SmartModuleKind,
    TopicProducerConfigBuilder, TopicProducerPool,
};
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};

use crate::common::{Check, Clock, Outcome, PATIENCE, Spec, Values, with_latencies};

/// Larger than any backlog here. A client that asks for less than there is loses what a reply cuts in two.
const MAX_BYTES: i32 = i32::MAX;

pub async fn connect(spec: &Spec) -> Outcome<Fluvio> {
    Ok(Fluvio::connect_with_config(&FluvioClusterConfig::new(spec.text("addr")?)).await?)
}

async fn producer(fluvio: &Fluvio, spec: &Spec) -> Outcome<TopicProducerPool> {
    let mut config = TopicProducerConfigBuilder::default();
    config.compression(match spec.text("codec").unwrap_or("none") {
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => Compression::None,
    });
    Ok(fluvio.topic_producer_with_config(spec.text("topic")?, config.build()?).await?)
}

/// That each was acknowledged, and that those of a partition are in the order of the sending.
struct Placed(HashMap<u32, i64>);

impl Placed {
    async fn check(&mut self, output: ProduceOutput) -> Outcome<()> {
        let meta = output.wait().await?;
        let next = self.0.entry(meta.partition_id()).or_insert(0);
        if meta.offset() != *next {
            let partition = meta.partition_id();
            return Err(format!("partition {partition}: offset {} instead of {next}", meta.offset()).into());
        }
        *next += 1;
        Ok(())
    }
}

/// Sends all, and waits until all are acknowledged. The clock stops when `flush` returns; that each one was acknowledged,
/// and where, is looked at afterwards.
pub async fn produce(spec: &Spec) -> Outcome<Value> {
    let fluvio = connect(spec).await?;
    let values = Values::new(spec)?;
    let count = spec.number("count")?;
    let records: Vec<_> = (0..count)
        .map(|number| (values.key(number).map_or(RecordKey::NULL, RecordKey::from), values.value(number)))
        .collect();
    let producer = producer(&fluvio, spec).await?;
    let mut outputs = Vec::with_capacity(count);
    let clock = Clock::start();
    for (key, value) in records {
        outputs.push(producer.send(key, value).await?);
    }
    producer.flush().await?;
    let result = clock.stop();
    let mut placed = Placed(HashMap::new());
    for output in outputs {
        placed.check(output).await?;
    }
    Ok(result)
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> Outcome<Option<S::Item>> {
    Ok(tokio::time::timeout(PATIENCE, stream.next()).await?)
}

/// The SmartModule that what is read comes through, if any; a filter lets all pass.
fn modules(spec: &Spec) -> Outcome<Vec<SmartModuleInvocation>> {
    let Ok(path) = spec.text("wasm") else { return Ok(Vec::new()) };
    let mut params = SmartModuleExtraParams::default();
    params.insert("needle".to_owned(), " ".to_owned());
    Ok(vec![SmartModuleInvocation {
        wasm: SmartModuleInvocationWasm::adhoc_from_bytes(&std::fs::read(path)?)?,
        kind: SmartModuleKind::Generic(SmartModuleContextData::None),
        params,
        ..Default::default()
    }])
}

/// Reads to the end of the topic.
pub async fn consume(spec: &Spec) -> Outcome<Value> {
    let fluvio = connect(spec).await?;
    let mut check = Check::new(spec, spec.number("count")?)?;
    let (topic, modules) = (spec.text("topic")?, modules(spec)?);
    let clock = Clock::start();
    match spec.text("by")? {
        "batches" => by_batches(&fluvio, topic, modules, &mut check).await?,
        _ => by_records(&fluvio, topic, modules, &mut check).await?,
    }
    let result = clock.stop();
    check.end()?;
    Ok(result)
}

/// The documented way, record by record.
async fn by_records(
    fluvio: &Fluvio,
    topic: &str,
    modules: Vec<SmartModuleInvocation>,
    check: &mut Check,
) -> Outcome<()> {
    let mut config = ConsumerConfigExtBuilder::default();
    config.topic(topic).offset_start(Offset::beginning()).max_bytes(MAX_BYTES);
    config.disable_continuous(true).retry_mode(RetryMode::Disabled).smartmodule(modules);
    let mut stream = fluvio.consumer_with_config(config.build()?).await?;
    while let Some(record) = stream.next().await {
        let record = record?;
        check.record(record.partition(), record.key(), record.value())?;
    }
    Ok(())
}

/// The faster way, by batches: of one partition, without retries, deprecated.
async fn by_batches(
    fluvio: &Fluvio,
    topic: &str,
    modules: Vec<SmartModuleInvocation>,
    check: &mut Check,
) -> Outcome<()> {
    #[allow(deprecated)]
    let consumer = fluvio.partition_consumer(topic, 0).await?;
    let config =
        ConsumerConfig::builder().max_bytes(MAX_BYTES).disable_continuous(true).smartmodule(modules).build()?;
    let mut stream = Box::pin(consumer.stream_batches_with_config(Offset::beginning(), config).await?);
    while let Some(batch) = next(&mut stream).await? {
        for record in batch?.records() {
            check.record(0, record.key().map(AsRef::as_ref), record.value().as_ref())?;
        }
    }
    Ok(())
}

/// Some tasks, each with one record in flight: sent, acknowledged, the next.
pub async fn send(spec: &Spec) -> Outcome<Value> {
    let fluvio = connect(spec).await?;
    let values = Values::new(spec)?;
    let (count, tasks) = (spec.number("count")?, spec.number("tasks")?);
    let producer = Arc::new(producer(&fluvio, spec).await?);
    let work: Vec<Vec<Vec<u8>>> =
        (0..tasks).map(|task| (task..count).step_by(tasks).map(|number| values.value(number)).collect()).collect();
    let clock = Clock::start();
    let running: Vec<_> = work
        .into_iter()
        .map(|work| {
            let producer = Arc::clone(&producer);
            tokio::spawn(async move {
                let mut samples = Vec::with_capacity(work.len());
                let mut last = -1;
                for value in work {
                    let started = Instant::now();
                    let offset = producer.send(RecordKey::NULL, value).await?.wait().await?.offset();
                    samples.push(started.elapsed());
                    if offset <= last {
                        return Err(format!("offset {offset} after {last}").into());
                    }
                    last = offset;
                }
                Outcome::Ok(samples)
            })
        })
        .collect();
    let mut samples = Vec::with_capacity(count);
    for task in running {
        samples.extend(task.await??);
    }
    with_latencies(clock.stop(), samples)
}

/// One client sends a record every now and then, another one reads it; or one client does both, which then share one
/// connection to the SPU.
pub async fn end_to_end(spec: &Spec) -> Outcome<Value> {
    let sending = Arc::new(connect(spec).await?);
    let reading = if spec.yes("shared") { Arc::clone(&sending) } else { Arc::new(connect(spec).await?) };
    let count = spec.number("count")?;
    let values = Values::new(spec)?;
    let interval = Duration::from_millis(u64::try_from(spec.number("interval_ms")?)?);
    let mut config = ConsumerConfigExtBuilder::default();
    config.topic(spec.text("topic")?).offset_start(Offset::beginning()).retry_mode(RetryMode::Disabled);
    let mut stream = reading.consumer_with_config(config.build()?).await?;
    let mut check = Check::new(spec, count)?;
    let reader = tokio::spawn(async move {
        let mut arrivals = Vec::with_capacity(count);
        while check.seen() < count {
            let record = next(&mut stream).await?.ok_or("the stream ended")??;
            arrivals.push(Instant::now());
            check.record(record.partition(), record.key(), record.value())?;
        }
        Outcome::Ok(arrivals)
    });
    let producer = producer(&sending, spec).await?;
    let mut departures = Vec::with_capacity(count);
    for value in (0..count).map(|number| values.value(number)) {
        tokio::time::sleep(interval).await;
        departures.push(Instant::now());
        producer.send(RecordKey::NULL, value).await?.wait().await?;
    }
    let arrivals = reader.await??;
    let samples = arrivals.iter().zip(&departures).map(|(arrival, departure)| *arrival - *departure).collect();
    with_latencies(json!({}), samples)
}
