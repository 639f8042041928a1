//! Connections that have ended, of which the client's runtime has not heard: what no server has seen a byte of goes
//! again, whatever the delivery. The runtime stands still meanwhile, as it may on a loaded machine.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use fluvio_cffi_cluster::{Cluster, Config};
use fluvio_cffi_engine::{ConsumerOptions, Delivery, Producer, ProducerOptions, Records, Run, Start};
use support::*;
use tokio::runtime::{Builder, Runtime};

/// Waits until the kernel has heard that the connections to a port have ended.
fn heard(port: u16) {
    let established = || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        table.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words[2].ends_with(&format!(":{port:04X}")) && words[3] == "01"
        })
    };
    let begun = Instant::now();
    while established() {
        assert!(begun.elapsed() < Duration::from_secs(10));
        std::thread::yield_now();
    }
}

/// A record on the caller's thread; nothing of the runtime runs.
fn submit_one(producer: &Producer, value: &[u8], awaited: bool) -> Run {
    let records = Records {
        count: 1,
        data: value,
        value_lengths: &[value.len() as u32],
        key_lengths: None,
        partitions: None,
        timestamps: None,
        awaited,
    };
    let mut runs = [Run::default()];
    assert_eq!(producer.submit(&records, &mut runs).unwrap().accepted, 1);
    runs[0]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Reset,
    Orderly,
}

/// The connection of a producer ends, and the next record is sent before the runtime has heard of it.
fn sent_after(end: End, delivery: Delivery, awaited: bool, size: usize) {
    let elsewhere = Runtime::new().unwrap();
    let here = Builder::new_current_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = Config { data_dir: Some(directory.path().into()), ..Config::default() };
    let mut cluster = elsewhere.block_on(Cluster::start(config.clone())).unwrap();
    let (endpoint, spu) = (cluster.endpoint(), cluster.spu_endpoint());
    let options = ProducerOptions { delivery, ..ProducerOptions::default() };
    let client = here.block_on(connect(&endpoint.to_string()));
    let (producer, tickets) = here.block_on(async {
        client.admin(None).create_topic("t", spec(1), CREATE, true).await.unwrap();
        producer(&client, "t", options).await
    });
    for round in 0..3 {
        submit_one(&producer, b"before", awaited);
        here.block_on(producer.flush()).unwrap();
        match end {
            End::Reset => elsewhere.block_on(cluster.control("reset-sockets 5001")).unwrap(),
            End::Orderly => {
                elsewhere.block_on(cluster.shutdown());
                let again = Config { port: endpoint.port(), ..config.clone() };
                cluster = elsewhere.block_on(Cluster::start(again)).unwrap();
                assert_eq!(cluster.spu_endpoint(), spu);
            }
        }
        heard(spu.port());
        let run = submit_one(&producer, &vec![b'0' + round; size], awaited);
        here.block_on(producer.flush()).unwrap();
        let outcome = tickets.0.lock().unwrap()[&run.ticket].clone();
        outcome.result.unwrap_or_else(|error| panic!("{end:?} {delivery:?} {awaited} {size}: {error}"));
    }
    let metrics = client.metrics();
    let case = (end, delivery, awaited, size);
    assert_eq!((metrics.retries, metrics.duplicates_possible), (0, 0), "{case:?}");
    let log = here.block_on(async {
        let options =
            ConsumerOptions { start: Some(Start::Beginning(0)), stop_at_end: true, ..ConsumerOptions::default() };
        read(&consumer(&client, "t", options).await, usize::MAX).await
    });
    let sent: Vec<u8> = log.iter().map(|(_, _, value)| value[0]).collect();
    assert_eq!(sent, b"b0b1b2");
    drop(producer);
    elsewhere.block_on(cluster.shutdown());
}

#[test]
fn what_is_sent_on_a_connection_that_has_ended_goes_on_the_next_one() {
    for end in [End::Reset, End::Orderly] {
        for delivery in [Delivery::AtLeastOnce, Delivery::AtMostOnce] {
            for awaited in [false, true] {
                // The caller sends small ones himself; the sender's task sends the others.
                for size in [10, 100_000] {
                    sent_after(end, delivery, awaited, size);
                }
            }
        }
    }
}
