//! The cluster goes away and comes back while records flow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use fluvio_cffi_cluster::{Cluster, Config};
use fluvio_cffi_engine::{ConsumerOptions, ProducerOptions, Run, Start, Take};
use support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_the_consumer_goes_on() {
    let run = async {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { data_dir: Some(directory.path().into()), ..Default::default() };
        let mut cluster = Cluster::start(config.clone()).await.unwrap();
        let port = cluster.endpoint().port();
        let client = connect(&cluster.endpoint().to_string()).await;
        client.admin(None).create_topic("restart", spec(1), CREATE, true).await.unwrap();
        let (producer, tickets) = producer(&client, "restart", ProducerOptions::default()).await;
        let consumer =
            consumer(&client, "restart", ConsumerOptions { start: Some(Start::Beginning(0)), ..Default::default() })
                .await;
        let mut runs: Vec<Run> = Vec::new();
        for round in 0..4 {
            let values = numbered(round * 50_000..(round + 1) * 50_000, 100);
            runs.extend(submit(&producer, &values[..30_000]).await);
            // In mid-send: nothing waited for the acknowledgements.
            cluster.shutdown().await;
            runs.extend(submit(&producer, &values[30_000..]).await);
            cluster = Cluster::start(Config { port, ..config.clone() }).await.unwrap();
        }
        producer.flush().await.unwrap();
        let mut first = 0_usize;
        let mut acknowledged = Vec::new();
        for run in &runs {
            for index in 0..run.count {
                let single = Run { index: run.index + index, ..*run };
                acknowledged.push((tickets.offset(&single), first));
                first += 1;
            }
        }
        assert_eq!(first, 200_000);
        assert!(acknowledged.is_sorted(), "acknowledged in order of submission");
        let end = acknowledged.last().unwrap().0 + 1;
        let mut log = Vec::new();
        while log.len() < end as usize {
            match consumer.take().unwrap() {
                Take::Chunk(chunk) => log.extend(plain(&chunk.payload)),
                Take::Empty => consumer.ready().await,
                Take::End | Take::Changed => panic!("ended"),
            }
        }
        assert!(log.iter().map(|record| record.0).eq(0..end), "each offset once, in order");
        let number = |value: &[u8]| std::str::from_utf8(value).unwrap().parse::<usize>().unwrap();
        for (offset, expected) in acknowledged {
            assert_eq!(number(&log[offset as usize].2), expected);
        }
        let mut highest = None;
        for record in &log {
            let number = number(&record.2);
            assert!(highest.is_none_or(|highest| number <= highest + 1), "first occurrences are in order");
            highest = highest.max(Some(number));
        }
        eprintln!("{} records for 200000, {} repeated", log.len(), log.len() - 200_000);
    };
    tokio::time::timeout(Duration::from_secs(120), run).await.expect("in time");
}
