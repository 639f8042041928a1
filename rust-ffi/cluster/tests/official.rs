//! The official client works here, and loses here what it loses on the real server.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::Duration;

use fluvio::consumer::{ConsumerConfigExtBuilder, RetryMode};
use fluvio::metadata::smartmodule::{SmartModuleSpec, SmartModuleWasm};
use fluvio::metadata::topic::TopicSpec;
use fluvio::{
    Compression, Fluvio, FluvioClusterConfig, Offset, RecordKey, SmartModuleInvocation, SmartModuleInvocationWasm,
    SmartModuleKind, TopicProducerConfigBuilder,
};
use fluvio_cffi_cluster::{Cluster, Config};
use futures_util::StreamExt;
use tokio::time::timeout;

/// How long a consumer must be silent to be taken as done.
const IDLE: Duration = Duration::from_secs(2);
const RECORDS: usize = 20_000;
const RECORD_SIZE: usize = 1000;

async fn connect(cluster: &Cluster) -> Fluvio {
    let config = FluvioClusterConfig::new(cluster.endpoint().to_string());
    timeout(common::PATIENCE, Fluvio::connect_with_config(&config)).await.unwrap().unwrap()
}

/// The offsets that a consumer from the beginning sees.
async fn consume(fluvio: &Fluvio, topic: &str, max_bytes: Option<i32>, wanted: usize) -> Vec<i64> {
    let mut config = ConsumerConfigExtBuilder::default();
    config.topic(topic).offset_start(Offset::beginning()).retry_mode(RetryMode::Disabled);
    if let Some(max_bytes) = max_bytes {
        config.max_bytes(max_bytes);
    }
    let mut stream = fluvio.consumer_with_config(config.build().unwrap()).await.unwrap();
    let mut offsets = Vec::new();
    while offsets.len() < wanted {
        match timeout(IDLE, stream.next()).await {
            Ok(Some(record)) => offsets.push(record.unwrap().offset()),
            Ok(None) | Err(_) => break,
        }
    }
    offsets
}

async fn backlog(fluvio: &Fluvio, topic: &str, batch_size: usize) {
    let mut config = TopicProducerConfigBuilder::default();
    config.batch_size(batch_size).max_request_size(2 * batch_size);
    let producer = fluvio.topic_producer_with_config(topic, config.build().unwrap()).await.unwrap();
    let value = vec![b'x'; RECORD_SIZE];
    for _ in 0..RECORDS {
        producer.send(RecordKey::NULL, value.clone()).await.unwrap();
    }
    producer.flush().await.unwrap();
}

#[test]
fn creates_produces_and_consumes() {
    common::run(60, async {
        let cluster = Cluster::start(Config::default()).await.unwrap();
        let fluvio = connect(&cluster).await;
        let admin = fluvio.admin().await;
        admin.create("hello".to_owned(), false, TopicSpec::new_computed(2, 1, None)).await.unwrap();
        let topics = admin.all::<TopicSpec>().await.unwrap();
        assert_eq!(topics.iter().map(|topic| topic.name.as_str()).collect::<Vec<_>>(), ["hello"]);

        for compression in
            [Compression::None, Compression::Gzip, Compression::Lz4, Compression::Snappy, Compression::Zstd]
        {
            let mut config = TopicProducerConfigBuilder::default();
            config.compression(compression);
            let producer = fluvio.topic_producer_with_config("hello", config.build().unwrap()).await.unwrap();
            for number in 0..50 {
                producer.send(format!("key-{number}"), format!("value-{number}")).await.unwrap();
            }
            producer.flush().await.unwrap();
        }
        let mut config = ConsumerConfigExtBuilder::default();
        config.topic("hello").offset_start(Offset::beginning());
        let mut stream = fluvio.consumer_with_config(config.build().unwrap()).await.unwrap();
        let mut counts = std::collections::HashMap::new();
        for _ in 0..250 {
            let record = timeout(common::PATIENCE, stream.next()).await.unwrap().unwrap().unwrap();
            let key = String::from_utf8(record.key().unwrap().to_vec()).unwrap();
            assert_eq!(key.replace("key", "value").as_bytes(), record.value());
            *counts.entry(key).or_insert(0) += 1;
        }
        assert!(counts.len() == 50 && counts.values().all(|&count| count == 5));

        admin.delete::<TopicSpec>("hello").await.unwrap();
        assert!(admin.all::<TopicSpec>().await.unwrap().is_empty());
        assert!(fluvio.topic_producer("hello").await.is_err());
        cluster.shutdown().await;
    });
}

/// With its default settings the client acknowledges batches of which it has received only a part. That is its mistake;
/// it must be visible here, or our own client's cure would be tested against nothing.
#[test]
fn loses_records_as_on_the_real_server() {
    common::run(120, async {
        let cluster = Cluster::start(Config::default()).await.unwrap();
        let fluvio = connect(&cluster).await;
        let admin = fluvio.admin().await;
        for topic in ["large", "small"] {
            admin.create(topic.to_owned(), false, TopicSpec::new_computed(1, 1, None)).await.unwrap();
        }
        backlog(&fluvio, "large", 900_000).await;
        let offsets = consume(&fluvio, "large", None, RECORDS).await;
        let gaps = offsets.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
        assert!(gaps > 3, "{} records, {gaps} gaps", offsets.len());
        assert!(offsets.len() < RECORDS * 9 / 10, "{} of {RECORDS}", offsets.len());

        let all: Vec<i64> = (0..RECORDS as i64).collect();
        assert_eq!(consume(&fluvio, "large", Some(64 << 20), RECORDS).await, all);

        // Not only large batches: the cut is at a byte, whatever the batches are.
        backlog(&fluvio, "small", 16_384).await;
        assert!(consume(&fluvio, "small", None, RECORDS).await.len() < RECORDS);
        assert_eq!(consume(&fluvio, "small", Some(64 << 20), RECORDS).await, all);
        cluster.shutdown().await;
    });
}

/// The values that a consumer with these modules sees.
async fn transformed(fluvio: &Fluvio, topic: &str, modules: Vec<SmartModuleInvocation>, wanted: usize) -> Vec<String> {
    let mut config = ConsumerConfigExtBuilder::default();
    config.topic(topic).offset_start(Offset::beginning()).retry_mode(RetryMode::Disabled).smartmodule(modules);
    let mut stream = fluvio.consumer_with_config(config.build().unwrap()).await.unwrap();
    let mut values = Vec::new();
    while values.len() < wanted {
        let record = timeout(common::PATIENCE, stream.next()).await.unwrap().unwrap().unwrap();
        values.push(String::from_utf8(record.value().to_vec()).unwrap());
    }
    assert!(timeout(common::SILENCE, stream.next()).await.is_err(), "more than {values:?}");
    values
}

/// Each kind of module, by the name under which it is stored and with its code in the request.
#[test]
fn smartmodules_of_all_kinds() {
    common::run(60, async {
        let cluster = Cluster::start(Config::default()).await.unwrap();
        let fluvio = connect(&cluster).await;
        let admin = fluvio.admin().await;
        let kinds = [
            ("contains", vec!["ab", "bc", "ca"], vec!["ab", "ca"]),
            ("upper", vec!["a", "b"], vec!["A", "B"]),
            ("even_half", vec!["2", "3", "8"], vec!["1", "4"]),
            ("split", vec!["[1,2]", "[]", "[\"c\"]"], vec!["1", "2", "c"]),
            ("sum", vec!["1", "2", "3"], vec!["1", "3", "6"]),
        ];
        for (name, sent, expected) in kinds {
            let topic = name.replace('_', "-");
            admin.create(topic.clone(), false, TopicSpec::new_computed(1, 1, None)).await.unwrap();
            let code = common::smartmodule(name);
            let wasm = SmartModuleWasm::from_compressed_gzip(common::gzip(&code));
            admin.create(name.to_owned(), false, SmartModuleSpec { wasm, ..Default::default() }).await.unwrap();
            let producer = fluvio.topic_producer(topic.as_str()).await.unwrap();
            for value in sent {
                producer.send(RecordKey::NULL, value).await.unwrap();
            }
            producer.flush().await.unwrap();
            let adhoc = common::adhoc(&code, &[("needle", "a")]);
            let wasm = SmartModuleInvocationWasm::Predefined(name.to_owned());
            let kind = SmartModuleKind::Generic(Default::default());
            let by_name = SmartModuleInvocation { wasm, kind, ..adhoc.clone() };
            for module in [adhoc, by_name] {
                assert_eq!(transformed(&fluvio, &topic, vec![module], expected.len()).await, expected, "{name}");
            }
        }
        cluster.shutdown().await;
    });
}

/// What the official client makes of a filtered stream that begins inside of a batch: it takes offsets to be positions,
/// and drops what seems to be before the start.
#[test]
fn loses_filtered_records_as_on_the_real_server() {
    common::run(60, async {
        let cluster = Cluster::start(Config::default()).await.unwrap();
        let fluvio = connect(&cluster).await;
        let mut client = common::Client::connect(cluster.endpoint()).await;
        assert!(!client.create("t", TopicSpec::new_computed(1, 1, None)).await.is_error());
        let mut spu = common::Client::connect(cluster.spu_endpoint()).await;
        for batch in 0..3 {
            let values: Vec<String> =
                (0..10).map(|number| format!("{}{batch}{number}", if number > 6 { "a" } else { "b" })).collect();
            assert_eq!(spu.produce("t", 0, common::values(&values)).await.base_offset, 10 * batch);
        }
        let keeps_a = vec![common::adhoc(&common::smartmodule("contains"), &[("needle", "a")])];
        let seen = async |start: u32| {
            let mut config = ConsumerConfigExtBuilder::default();
            config.topic("t").offset_start(Offset::absolute(i64::from(start)).unwrap());
            config.retry_mode(RetryMode::Disabled).smartmodule(keeps_a.clone());
            let mut stream = fluvio.consumer_with_config(config.build().unwrap()).await.unwrap();
            let mut offsets = Vec::new();
            while let Ok(Some(record)) = timeout(IDLE / 2, stream.next()).await {
                offsets.push(record.unwrap().offset());
            }
            offsets
        };
        assert_eq!(seen(0).await, (0..9).collect::<Vec<_>>());
        // Eight of the nine are at or behind it.
        assert_eq!(seen(8).await, [8]);
        cluster.shutdown().await;
    });
}
