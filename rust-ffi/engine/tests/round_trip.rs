//! Producer and consumer against the embedded cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use fluvio_cffi_engine::admin::Compression;
use fluvio_cffi_engine::{
    Codec, ConsumerOptions, ErrorKind, Outcome, ProducerOptions, Records, Run, Start, Take, TopicSpec,
};
use support::*;

async fn within<T>(seconds: u64, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("in time")
}

fn from_beginning() -> ConsumerOptions {
    ConsumerOptions { start: Some(Start::Beginning(0)), stop_at_end: true, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_come_back_once_and_in_order() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        client.admin(None).create_topic("numbers", spec(1), CREATE, true).await.unwrap();
        let options = ProducerOptions { buffer_size: 2 << 20, ..Default::default() };
        let (producer, tickets) = producer(&client, "numbers", options).await;
        let values = numbered(0..200_000, 100);
        let started = Instant::now();
        let runs = submit(&producer, &values).await;
        producer.flush().await.unwrap();
        eprintln!("produced in {:?}", started.elapsed());
        assert_eq!(producer.pending(), (0, 0));
        let mut expected = 0;
        for run in &runs {
            assert_eq!(tickets.offset(run), expected);
            expected += i64::from(run.count);
        }
        assert_eq!(expected, 200_000);
        for max_bytes in [1 << 20, 100_000, 20_000] {
            let consumer = consumer(&client, "numbers", ConsumerOptions { max_bytes, ..from_beginning() }).await;
            let started = Instant::now();
            let records = read(&consumer, usize::MAX).await;
            eprintln!("consumed in {:?} by {max_bytes}", started.elapsed());
            assert_eq!(records.len(), values.len());
            for (number, (offset, key, value)) in records.iter().enumerate() {
                assert_eq!((*offset, key, value), (number as i64, &None, &values[number]));
            }
        }
        assert_eq!(producer.close(true, Some(Duration::from_secs(1))).await, 0);
        client.close().await;
        cluster.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_larger_than_max_bytes_are_read() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        client.admin(None).create_topic("large", spec(1), CREATE, true).await.unwrap();
        let (producer, _) =
            producer(&client, "large", ProducerOptions { batch_size: 300_000, ..Default::default() }).await;
        let values = numbered(0..20, 200_000);
        submit(&producer, &values).await;
        producer.flush().await.unwrap();
        for max_bytes in [1, 11, 12, 100_000] {
            let consumer = consumer(&client, "large", ConsumerOptions { max_bytes, ..from_beginning() }).await;
            let records = read(&consumer, usize::MAX).await;
            assert!(records.iter().map(|record| &record.2).eq(&values), "{max_bytes}: {}", records.len());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_codec_comes_back() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        client.admin(None).create_topic("packed", spec(1), CREATE, true).await.unwrap();
        let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
        let values = numbered(0..50_000, 100);
        for (codec, values) in codecs.iter().zip(values.chunks(10_000)) {
            let options = ProducerOptions { compression: Some(*codec), batch_size: 200_000, ..Default::default() };
            let (producer, _) = producer(&client, "packed", options).await;
            submit(&producer, values).await;
            producer.flush().await.unwrap();
        }
        // The last is far smaller than what the replies unpack to.
        for prefetch in [16 << 20, 50_000] {
            let consumer = consumer(&client, "packed", ConsumerOptions { prefetch, ..from_beginning() }).await;
            let records = read(&consumer, usize::MAX).await;
            assert!(records.iter().map(|record| record.0).eq(0..50_000));
            assert!(records.iter().map(|record| &record.2).eq(&values));
        }

        let zstd = TopicSpec { compression: Compression::Zstd, ..spec(1) };
        client.admin(None).create_topic("zstd-only", zstd, CREATE, true).await.unwrap();
        let refused = ProducerOptions { compression: Some(Codec::Gzip), ..Default::default() };
        let tickets = std::sync::Arc::new(Tickets::default());
        let error = client.producer("zstd-only", refused, tickets, None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
        // Follows the topic.
        let (producer, tickets) = producer(&client, "zstd-only", ProducerOptions::default()).await;
        let runs = submit(&producer, &values[..100]).await;
        producer.flush().await.unwrap();
        assert_eq!(tickets.offset(&runs[0]), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_partitions_and_starts() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        client.admin(None).create_topic("keyed", spec(3), CREATE, true).await.unwrap();
        let (producer, tickets) = producer(&client, "keyed", ProducerOptions::default()).await;
        assert_eq!(producer.partition_count(), 3);
        let mut data = Vec::new();
        let (mut keys, mut values, mut partitions) = (Vec::new(), Vec::new(), Vec::new());
        for (key, value, partition) in
            [(Some("a"), "1", -1), (Some("o-1"), "2", -1), (None, "3", 2), (Some(""), "4", 1)]
        {
            data.extend_from_slice(key.unwrap_or_default().as_bytes());
            data.extend_from_slice(value.as_bytes());
            keys.push(key.map_or(-1, |key: &str| key.len() as i32));
            values.push(value.len() as u32);
            partitions.push(partition);
        }
        let records = Records {
            count: 4,
            data: &data,
            value_lengths: &values,
            key_lengths: Some(&keys),
            partitions: Some(&partitions),
            timestamps: None,
            awaited: false,
        };
        let mut runs = [Run::default(); 4];
        assert_eq!(producer.submit(&records, &mut runs).unwrap().accepted, 4);
        producer.flush().await.unwrap();
        let partitions: Vec<u32> = {
            let tickets = tickets.0.lock().unwrap();
            (0..4).map(|index| tickets[&runs[index.min(runs.len() - 1)].ticket].partition).collect()
        };
        assert_eq!(partitions[..3], [1, 0, 2]);
        let consumer_of = |partition: u32, start: Start| ConsumerOptions {
            partitions: vec![partition],
            starts: vec![(partition, start)],
            ..from_beginning()
        };
        let of_1 = read(&consumer(&client, "keyed", consumer_of(1, Start::Beginning(0))).await, 10).await;
        assert_eq!(of_1, [(0, Some(b"a".to_vec()), b"1".to_vec()), (1, Some(vec![]), b"4".to_vec())]);
        let last = read(&consumer(&client, "keyed", consumer_of(1, Start::End(1))).await, 10).await;
        assert_eq!(last, of_1[1..]);
        let at = read(&consumer(&client, "keyed", consumer_of(1, Start::At(1))).await, 10).await;
        assert_eq!(at, of_1[1..]);
        let all = read(&consumer(&client, "keyed", from_beginning()).await, 10).await;
        assert_eq!(all.len(), 4);
        let beyond = client.consumer("keyed", consumer_of(0, Start::At(100)), std::sync::Arc::new(Plainly), None).await;
        assert_eq!(beyond.unwrap_err().kind, ErrorKind::OffsetOutOfRange);
        let waiting = ConsumerOptions { stop_at_end: false, ..consumer_of(0, Start::At(100)) };
        let beyond = consumer(&client, "keyed", waiting).await;
        beyond.ready().await;
        assert_eq!(beyond.take().unwrap_err().kind, ErrorKind::OffsetOutOfRange);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_said_at_once() {
    within(20, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        let consumer_error =
            client.consumer("nope", ConsumerOptions::default(), std::sync::Arc::new(Plainly), None).await.unwrap_err();
        assert_eq!(consumer_error.kind, ErrorKind::TopicNotFound);
        assert_eq!(client.admin(None).topic("nope").await.unwrap_err().kind, ErrorKind::TopicNotFound);
        assert_eq!(
            client.admin(None).delete_topic("nope", false, false).await.unwrap_err().kind,
            ErrorKind::TopicNotFound
        );
        client.admin(None).delete_topic("nope", false, true).await.unwrap();
        client.admin(None).create_topic("twice", spec(1), CREATE, true).await.unwrap();
        assert_eq!(
            client.admin(None).create_topic("twice", spec(1), CREATE, true).await.unwrap_err().kind,
            ErrorKind::AlreadyExists
        );
        assert_eq!(
            client.admin(None).create_topic("Twice", spec(1), CREATE, true).await.unwrap_err().kind,
            ErrorKind::InvalidTopic
        );

        // Deleted under a producer and a consumer.
        let (producer, tickets) = producer(&client, "twice", ProducerOptions::default()).await;
        let consumer = consumer(&client, "twice", ConsumerOptions::default()).await;
        client.admin(None).delete_topic("twice", false, false).await.unwrap();
        consumer.ready().await;
        assert_eq!(consumer.take().unwrap_err().kind, ErrorKind::TopicNotFound);
        let runs = submit(&producer, &numbered(0..1, 10)).await;
        producer.flush().await.unwrap();
        let outcome = tickets.0.lock().unwrap()[&runs[0].ticket].clone();
        let error = outcome.result.unwrap_err();
        assert_eq!((error.kind, error.outcome), (ErrorKind::TopicNotFound, Outcome::NotWritten));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_to_end_is_fast_on_a_server_that_writes_in_pieces() {
    within(60, async {
        let config = fluvio_cffi_cluster::Config { write_like_real: true, ..Default::default() };
        let cluster = fluvio_cffi_cluster::Cluster::start(config).await.unwrap();
        let client = connect(&cluster.endpoint().to_string()).await;
        client.admin(None).create_topic("live", spec(1), CREATE, true).await.unwrap();
        let (producer, _) = producer(&client, "live", ProducerOptions::default()).await;
        let consumer = consumer(&client, "live", ConsumerOptions::default()).await;
        let mut times = Vec::new();
        for value in numbered(0..50, 20) {
            let started = Instant::now();
            submit(&producer, std::slice::from_ref(&value)).await;
            loop {
                match consumer.take().unwrap() {
                    Take::Chunk(chunk) => {
                        assert_eq!(plain(&chunk.payload)[0].2, value);
                        break;
                    }
                    Take::Empty => consumer.ready().await,
                    Take::End | Take::Changed => panic!("ended"),
                }
            }
            times.push(started.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        times.sort();
        eprintln!("end to end p50 {:?}", times[25]);
        assert!(times[25] < Duration::from_millis(20), "{:?}", times[25]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_and_tells() {
    within(20, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        client.admin(None).create_topic("closing", spec(1), CREATE, true).await.unwrap();
        let (producer, tickets) = producer(&client, "closing", ProducerOptions::default()).await;
        cluster.shutdown().await;
        let runs = submit(&producer, &numbered(0..10, 10)).await;
        let dropped = producer.close(true, Some(Duration::from_millis(200))).await;
        assert_eq!(dropped, 10);
        let outcome = tickets.0.lock().unwrap()[&runs[0].ticket].clone();
        assert_ne!(outcome.result.unwrap_err().outcome, Outcome::None);
        client.close().await;
    })
    .await;
}
