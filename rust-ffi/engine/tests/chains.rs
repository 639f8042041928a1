//! Streams through SmartModules, where the time of probes matters.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use fluvio_cffi_engine::{ConsumerOptions, ModuleCode, ProducerOptions, Start, Transform};
use support::*;

/// One of the modules in `tests/smartmodules`.
fn module(name: &str) -> Transform {
    let path = format!("{}/../../tests/smartmodules/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    Transform::new(ModuleCode::Wasm(std::fs::read(path).unwrap()))
}

/// What the modules make of the second batch does not fit into a reply: the server says nothing at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_larger_than_a_reply_comes_after_all() {
    const TIMES: usize = 1000;
    let read = async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        client.admin(None).create_topic("large", spec(1), CREATE, true).await.unwrap();
        let (producer, _) = producer(&client, "large", ProducerOptions::default()).await;
        for size in [10, 20_000, 10] {
            submit(&producer, &[vec![b'x'; size]]).await;
            producer.flush().await.unwrap();
        }
        let mut huge = module("huge");
        huge.params.insert("times".to_owned(), TIMES.to_string());
        let options = ConsumerOptions {
            start: Some(Start::Beginning(0)),
            stop_at_end: true,
            probe_interval: Duration::from_millis(100),
            smartmodules: vec![huge],
            ..ConsumerOptions::default()
        };
        let consumer = consumer(&client, "large", options).await;
        read(&consumer, usize::MAX).await
    };
    let records = tokio::time::timeout(Duration::from_secs(60), read).await.expect("in time");
    assert_eq!(records.len(), 3 * TIMES);
    for (offset, size) in [(0, 10), (1, 20_000), (2, 10)] {
        let group = records.iter().filter(|record| record.0 == offset && record.2.len() == size);
        assert_eq!(group.count(), TIMES);
    }
}
