//! Seek, pause, stored offsets, partitions added later, and errors that can be passed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use fluvio_cffi_engine::{Client, Consumer, ConsumerOptions, ErrorKind, PartitionState, ProducerOptions, Start, Take};
use support::*;

async fn within<T>(seconds: u64, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("in time")
}

fn beginning() -> ConsumerOptions {
    ConsumerOptions { start: Some(Start::Beginning(0)), ..Default::default() }
}

async fn fill(client: &Client, topic: &str, partitions: u32, count: usize) {
    client.admin(None).create_topic(topic, spec(partitions), CREATE, true).await.unwrap();
    let (producer, _) = producer(client, topic, ProducerOptions { batch_size: 2000, ..Default::default() }).await;
    submit(&producer, &numbered(0..count, 100)).await;
    producer.flush().await.unwrap();
}

async fn next(consumer: &Consumer) -> Vec<Plain> {
    loop {
        match consumer.take().unwrap() {
            Take::Chunk(chunk) => return plain(&chunk.payload),
            Take::Empty => consumer.ready().await,
            Take::End | Take::Changed => panic!("ended"),
        }
    }
}

fn position(consumer: &Consumer) -> Option<i64> {
    consumer.partitions()[0].position
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seek_goes_anywhere_and_drops_what_was_ready() {
    within(30, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "sought", 1, 20_000).await;
        let consumer = consumer(&client, "sought", beginning()).await;
        assert_eq!(next(&consumer).await[0].0, 0);
        for (start, expected) in [
            (Start::At(15_000), 15_000),
            (Start::At(3), 3),
            (Start::End(10), 19_990),
            (Start::Beginning(7), 7),
            (Start::At(3), 3),
        ] {
            assert_eq!(consumer.seek(0, start, None).unwrap().await.unwrap(), expected);
            assert_eq!(position(&consumer), Some(expected));
            assert_eq!(next(&consumer).await[0].0, expected);
        }
        // Many more than a connection may have orphans.
        for offset in 0..50 {
            consumer.seek(0, Start::At(offset * 100), None).unwrap().await.unwrap();
            assert_eq!(next(&consumer).await[0].0, offset * 100);
        }
        assert_eq!(consumer.seek(1, Start::At(0), None).err().unwrap().kind, ErrorKind::PartitionNotFound);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seek_passes_an_error_and_wakes_what_ended() {
    within(30, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "passed", 1, 100).await;
        let at_end = consumer(&client, "passed", ConsumerOptions { stop_at_end: true, ..beginning() }).await;
        assert_eq!(read(&at_end, usize::MAX).await.len(), 100);
        assert_eq!(at_end.seek(0, Start::At(40), None).unwrap().await.unwrap(), 40);
        assert_eq!(read(&at_end, usize::MAX).await.len(), 60);

        let consumer = consumer(&client, "passed", beginning()).await;
        assert_eq!(next(&consumer).await[0].0, 0);
        consumer.seek(0, Start::At(1000), None).unwrap().await.unwrap();
        consumer.ready().await;
        for _ in 0..2 {
            assert_eq!(consumer.take().unwrap_err().kind, ErrorKind::OffsetOutOfRange, "it stays");
        }
        consumer.seek(0, Start::At(90), None).unwrap().await.unwrap();
        assert_eq!(next(&consumer).await[0].0, 90);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pause_holds_a_partition_back_and_resume_loses_nothing() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "paused", 2, 40_000).await;
        // A budget that one partition alone would use up.
        let options = ConsumerOptions { prefetch: 200_000, stop_at_end: true, ..beginning() };
        let consumer = consumer(&client, "paused", options).await;
        let mut seen = [Vec::new(), Vec::new()];
        let mut turn = 0_usize;
        loop {
            match consumer.take().unwrap() {
                Take::Chunk(chunk) => {
                    let records = plain(&chunk.payload);
                    seen[chunk.partition as usize].extend(records.iter().map(|record| record.0));
                    turn += 1;
                    let (one, other) = if turn.is_multiple_of(2) { (0, 1) } else { (1, 0) };
                    consumer.resume(&[one]).unwrap();
                    consumer.pause(&[other]).unwrap();
                    if turn.is_multiple_of(7) {
                        consumer.resume(&[0, 1]).unwrap();
                    }
                }
                Take::Empty => match tokio::time::timeout(Duration::from_millis(200), consumer.ready()).await {
                    Ok(()) => {}
                    Err(_) => consumer.resume(&[0, 1]).unwrap(),
                },
                Take::End | Take::Changed => break,
            }
        }
        let ends: Vec<PartitionState> = consumer.partitions();
        for (offsets, state) in seen.iter().zip(ends) {
            assert!(offsets.iter().copied().eq(0..state.end.unwrap()), "{} of {state:?}", offsets.len());
        }
        assert_eq!(seen[0].len() + seen[1].len(), 40_000);

        consumer.pause(&[0]).unwrap();
        assert_eq!(consumer.seek(0, Start::At(5), None).unwrap().await.unwrap(), 5, "also while it is paused");
        assert!(matches!(consumer.take().unwrap(), Take::Empty));
        consumer.resume(&[0]).unwrap();
        assert_eq!(next(&consumer).await[0].0, 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_partition_gives_nothing_until_it_is_assigned_again() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "taken", 2, 40_000).await;
        let consumer = consumer(&client, "taken", ConsumerOptions { prefetch: 200_000, ..beginning() }).await;
        let ends: Vec<i64> = consumer.partitions().iter().map(|state| state.end.unwrap()).collect();
        // Where each partition goes on; partition 1 is never taken away.
        let mut next = [0, 0];
        // More often than a connection may have abandoned streams.
        for round in 0..20 {
            let mut taken = 0;
            while taken < 2 {
                match consumer.take().unwrap() {
                    Take::Chunk(chunk) => {
                        let position = &mut next[chunk.partition as usize];
                        for (offset, ..) in plain(&chunk.payload) {
                            assert_eq!(offset, *position, "partition {} in round {round}", chunk.partition);
                            *position += 1;
                        }
                        taken += usize::from(chunk.partition == 0);
                    }
                    Take::Empty => consumer.ready().await,
                    Take::End | Take::Changed => panic!("ended"),
                }
            }
            consumer.revoke(&[0]).unwrap();
            assert!(consumer.partitions().iter().all(|state| state.partition == 1), "its position is forgotten");
            let error = consumer.seek(0, Start::At(0), None).err().unwrap();
            assert_eq!((error.kind, error.partition), (ErrorKind::PartitionNotFound, Some(0)));
            // What was on its way has time to arrive, in some rounds.
            if round % 4 == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            while let Some(chunk) = consumer.take_fresh() {
                assert_eq!((chunk.partition, chunk.first_offset), (1, next[1]));
                next[1] = chunk.next_offset;
            }
            next[0] = round * 500;
            consumer.assign(&[(0, Start::At(next[0]))]).unwrap();
        }
        while next.as_slice() != ends {
            match consumer.take().unwrap() {
                Take::Chunk(chunk) => {
                    assert_eq!(chunk.first_offset, next[chunk.partition as usize]);
                    next[chunk.partition as usize] = chunk.next_offset;
                }
                Take::Empty => consumer.ready().await,
                Take::End | Take::Changed => panic!("ended"),
            }
        }
        assert_eq!(consumer.assign(&[(0, Start::At(0))]).unwrap_err().kind, ErrorKind::Usage);
        assert_eq!(consumer.assign(&[(2, Start::At(0))]).unwrap_err().kind, ErrorKind::PartitionNotFound);
        assert_eq!(consumer.revoke(&[2]).unwrap_err().kind, ErrorKind::PartitionNotFound);
        // Without any partition it waits for the next assignment, and for those that the topic gets.
        consumer.revoke(&[0, 1]).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(50), consumer.ready()).await.is_err());
        consumer.assign(&[(1, Start::End(1))]).unwrap();
        assert_eq!(self::next(&consumer).await[0].0, ends[1] - 1);
        consumer.revoke(&[1]).unwrap();
        client.admin(None).add_partitions("taken", 1, true).await.unwrap();
        while consumer.partitions().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(consumer.partitions().iter().map(|state| state.partition).collect::<Vec<_>>(), [2]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seek_that_waits_ends_with_its_partition() {
    within(30, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "ended", 1, 10).await;
        let consumer = consumer(&client, "ended", beginning()).await;
        let seek = consumer.seek(0, Start::At(5), None).unwrap();
        consumer.revoke(&[0]).unwrap();
        match seek.await {
            Ok(position) => assert_eq!(position, 5, "it was faster"),
            Err(error) => assert_eq!(error.kind, ErrorKind::PartitionNotFound),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_offsets_are_found_again() {
    within(30, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "stored", 2, 1000).await;
        let of = |id: &str, start: Option<Start>| ConsumerOptions {
            consumer_id: Some(id.into()),
            start,
            ..Default::default()
        };
        let first = consumer(&client, "stored", of("billing", None)).await;
        assert_eq!(positions(&first), [0, 0], "nothing is lost before the first commit");
        assert!(first.committed(None).await.unwrap().is_empty());
        // Nothing was read: it works on what is idle too.
        first.commit(&[(0, 41), (1, 6)], None).await.unwrap();
        first.commit(&[(1, 5)], None).await.unwrap();
        assert_eq!(first.committed(None).await.unwrap().into_iter().collect::<Vec<_>>(), [(0, 41), (1, 5)]);
        let ends: Vec<i64> = first.partitions().iter().map(|state| state.end.unwrap()).collect();
        for (start, own) in [
            (None, [0, 0]),
            (Some(Start::Beginning(0)), [0, 0]),
            (Some(Start::Beginning(3)), [3, 3]),
            (Some(Start::End(2)), [ends[0] - 2, ends[1] - 2]),
            (Some(Start::At(10)), [10, 10]),
        ] {
            let resumed = consumer(&client, "stored", of("billing", start)).await;
            assert_eq!(positions(&resumed), [42, 6], "what is stored wins over {start:?}");
            let anew = ConsumerOptions { resume: false, ..of("billing", start) };
            assert_eq!(positions(&consumer(&client, "stored", anew).await), own, "{start:?} decides");
            let other = consumer(&client, "stored", of("other", start)).await;
            assert_eq!(positions(&other), own, "nothing is stored, so {start:?} decides");
        }
        let without = consumer(&client, "stored", beginning()).await;
        assert_eq!(without.commit(&[(0, 1)], None).await.unwrap_err().kind, ErrorKind::Usage);
        assert_eq!(first.commit(&[(2, 1)], None).await.unwrap_err().kind, ErrorKind::PartitionNotFound);
        client.admin(None).delete_topic("stored", false, false).await.unwrap();
        let fresh = client.consumer("stored", of("billing", None), Arc::new(Plainly), None).await;
        assert_eq!(fresh.unwrap_err().kind, ErrorKind::TopicNotFound);
    })
    .await;
}

fn positions(consumer: &Consumer) -> Vec<i64> {
    consumer.partitions().iter().map(|state| state.position.unwrap()).collect()
}

async fn stored(consumer: &Consumer) -> Vec<(u32, i64)> {
    consumer.committed(None).await.unwrap().into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_goes_back_only_if_somebody_asks() {
    within(30, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "kept", 1, 100).await;
        let options = ConsumerOptions { consumer_id: Some("worker".into()), ..Default::default() };
        let stopped = consumer(&client, "kept", options.clone()).await;
        stopped.commit_processed(&[(0, 10)], None).await.unwrap();
        let other = consumer(&client, "kept", options.clone()).await;
        other.commit_processed(&[(0, 50)], None).await.unwrap();
        // What the first one knows is too old to be believed.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        stopped.commit_processed(&[(0, 11)], None).await.unwrap();
        assert_eq!(stored(&stopped).await, [(0, 50)]);
        stopped.commit_processed(&[(0, 51)], None).await.unwrap();
        assert_eq!(stored(&stopped).await, [(0, 51)]);
        // Whoever says a number means it.
        stopped.commit(&[(0, 20)], None).await.unwrap();
        assert_eq!(stored(&stopped).await, [(0, 20)]);
        let error = stopped.commit(&[(0, 100)], None).await.unwrap_err();
        assert_eq!((error.kind, error.offset), (ErrorKind::OffsetOutOfRange, Some(100)));
        stopped.commit(&[(0, 99)], None).await.unwrap();
        stopped.seek(0, Start::At(99), None).unwrap().await.unwrap();
        stopped.commit_processed(&[(0, 5)], None).await.unwrap();
        assert_eq!(stored(&stopped).await, [(0, 99)], "that was no seek backwards");
        stopped.put_back(0, 30).unwrap();
        stopped.commit_processed(&[(0, 5)], None).await.unwrap();
        assert_eq!(stored(&stopped).await, [(0, 99)], "nor was that a seek");
        stopped.seek(0, Start::At(0), None).unwrap().await.unwrap();
        stopped.commit_processed(&[(0, 5)], None).await.unwrap();
        assert_eq!(stored(&stopped).await, [(0, 5)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_with_a_backlog_does_not_hold_up_another() {
    within(60, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        client.admin(None).create_topic("shared", spec(2), CREATE, true).await.unwrap();
        let (producer, _) = producer(&client, "shared", ProducerOptions::default()).await;
        submit_to(&producer, Some(0), &numbered(0..60_000, 100)).await;
        producer.flush().await.unwrap();
        let mut end = 0;
        for prefetch in [1, 50_000, 256 << 10, 16 << 20] {
            let starts = vec![(0, Start::Beginning(0))];
            let options = ConsumerOptions { prefetch, starts, ..Default::default() };
            let consumer = consumer(&client, "shared", options).await;
            for round in 0..10 {
                // What was read ahead of the backlog fills the budget.
                let mut others = 0;
                while others < 1000 {
                    others += next(&consumer).await.len();
                }
                submit_to(&producer, Some(1), &numbered(0..1, 10)).await;
                producer.flush().await.unwrap();
                end += 1;
                // It has arrived, or waits in the socket.
                let arrived = async {
                    while consumer.partitions()[1].end != Some(end) {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                };
                let _ = tokio::time::timeout(Duration::from_millis(300), arrived).await;
                let mut others = 0;
                while consumer.partitions()[1].position != Some(end) {
                    match consumer.take().unwrap() {
                        Take::Chunk(chunk) if chunk.partition == 0 => {
                            others += chunk.count;
                            // A caller who is faster than the reader learns nothing about turns.
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        Take::Chunk(_) => {}
                        Take::Empty => consumer.ready().await,
                        Take::End | Take::Changed => panic!("ended"),
                    }
                }
                assert!(others <= 3000, "{others} records came first with prefetch {prefetch}, round {round}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_stream_is_probed() {
    within(30, async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        fill(&client, "probed", 1, 10).await;
        let options = ConsumerOptions { probe_interval: Duration::from_millis(20), ..beginning() };
        let consumer = consumer(&client, "probed", options).await;
        assert_eq!(read(&consumer, 10).await.len(), 10);
        // Many probes of a stream that has nothing to say change nothing.
        assert!(tokio::time::timeout(Duration::from_millis(400), consumer.ready()).await.is_err());
        let (producer, _) = producer(&client, "probed", ProducerOptions::default()).await;
        submit(&producer, &numbered(10..20, 100)).await;
        assert!(read(&consumer, 10).await.iter().map(|record| record.0).eq(10..20));
    })
    .await;
}
