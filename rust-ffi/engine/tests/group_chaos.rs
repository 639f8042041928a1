//! Members that come, go and die while their log and their topic have trouble: every record is read, and no partition
//! is handed out to two whose leases run. `FLUVIO_CFFI_LONG=1`: for 10 minutes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fluvio_cffi_engine::{
    Consumer, ConsumerOptions, EpochOffset, ErrorKind, GroupChangeKind, GroupOptions, ProducerOptions, Start, Take,
    boottime,
};
use support::*;

const PARTITIONS: u32 = 6;
const MOST: usize = 5;

fn now() -> i64 {
    boottime().as_nanos() as i64
}

/// Who was handed records of a partition last.
struct Hand {
    member: usize,
    epoch: i64,
    slot: Arc<AtomicI64>,
    lease: Arc<AtomicI64>,
}

#[derive(Default)]
struct Seen {
    hands: BTreeMap<u32, Hand>,
    /// By partition, the offsets that were processed.
    processed: BTreeMap<u32, BTreeSet<i64>>,
    handed: u64,
    takeovers: u64,
    faults: Vec<String>,
}

#[derive(Default)]
struct Record(Mutex<Seen>);

impl Record {
    /// A member is handed records of a partition.
    fn hand(&self, member: usize, consumer: &Consumer, partition: u32, epoch: i64) {
        let mut seen = self.0.lock().unwrap();
        let at = now();
        if let Some(before) = seen.hands.get(&partition)
            && before.member != member
        {
            let runs = before.lease.load(Ordering::SeqCst) > at && before.slot.load(Ordering::SeqCst) == before.epoch;
            let text = format!(
                "partition {partition} is handed to {member} under {epoch} while the lease of {} under {} runs",
                before.member, before.epoch
            );
            let back = before.epoch >= epoch;
            seen.takeovers += 1;
            if runs || back {
                seen.faults.push(text);
            }
        }
        let hand = Hand {
            member,
            epoch,
            slot: consumer.epoch(partition).unwrap(),
            lease: consumer.group_slots().unwrap().lease,
        };
        seen.hands.insert(partition, hand);
    }
}

fn options() -> ConsumerOptions {
    let group = GroupOptions {
        group: "chaos".to_owned(),
        session_timeout: Duration::from_secs(1),
        rebalance_timeout: Duration::from_secs(5),
        ..Default::default()
    };
    ConsumerOptions { group: Some(group), start: Some(Start::Beginning(0)), ..Default::default() }
}

/// One member, until it is told to leave.
async fn take_part(number: usize, endpoint: String, record: Arc<Record>, leaves: Arc<AtomicBool>) {
    let client = connect(&endpoint).await;
    let consumer = loop {
        match client.consumer("work", options(), Arc::new(Plainly), Some(Duration::from_secs(20))).await {
            Ok(consumer) => break consumer,
            Err(error) => assert!(error.retriable, "{error}"),
        }
    };
    let mut last: BTreeMap<(u32, i64), i64> = BTreeMap::new();
    while !leaves.load(Ordering::SeqCst) {
        match consumer.take() {
            Ok(Take::Chunk(chunk)) => {
                let epoch = chunk.epoch.unwrap();
                record.hand(number, &consumer, chunk.partition, epoch);
                let offsets: Vec<i64> = plain(&chunk.payload).into_iter().map(|it| it.0).collect();
                let before = last.insert((chunk.partition, epoch), *offsets.last().unwrap());
                assert!(before.is_none_or(|before| before < offsets[0]), "in order");
                {
                    let mut seen = record.0.lock().unwrap();
                    seen.handed += offsets.len() as u64;
                    seen.processed.entry(chunk.partition).or_default().extend(offsets);
                }
                let offset =
                    EpochOffset { partition: chunk.partition, epoch: Some(epoch), offset: chunk.next_offset - 1 };
                if let Err(error) = consumer.commit_epochs(&[offset], Some(Duration::from_secs(20))).await {
                    assert!(error.retriable || error.kind == ErrorKind::Timeout, "{error}");
                }
            }
            Ok(Take::Changed) => {
                if let Some(change) = consumer.change().unwrap() {
                    for (partition, epoch) in &change.partitions {
                        if change.kind != GroupChangeKind::Assigned {
                            last.remove(&(*partition, *epoch));
                        }
                    }
                    consumer.change_done(change.number).unwrap();
                }
            }
            Ok(Take::Empty) => drop(tokio::time::timeout(Duration::from_millis(200), consumer.ready()).await),
            Ok(Take::End) => panic!("ended"),
            Err(error) => {
                assert!(error.retriable, "{error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    let _ = consumer.close(Some(Duration::from_secs(5))).await;
}

struct Process {
    runtime: tokio::runtime::Runtime,
    leaves: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

fn start(number: usize, endpoint: &str, record: &Arc<Record>) -> Process {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let leaves = Arc::new(AtomicBool::new(false));
    let task = runtime.spawn(take_part(number, endpoint.to_owned(), Arc::clone(record), Arc::clone(&leaves)));
    Process { runtime, leaves, task }
}

fn random(below: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish() % below
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_go_and_die_and_every_record_is_read() {
    let long = std::env::var_os("FLUVIO_CFFI_LONG").is_some();
    let trouble = Duration::from_secs(if long { 600 } else { 12 });
    let cluster = cluster().await;
    let endpoint = cluster.endpoint().to_string();
    let client = connect(&endpoint).await;
    client.admin(None).create_topic("work", spec(PARTITIONS), CREATE, true).await.unwrap();
    let (producer, _) = producer(&client, "work", ProducerOptions::default()).await;
    let record = Arc::new(Record::default());
    let mut processes: Vec<Process> = (0..3).map(|number| start(number, &endpoint, &record)).collect();
    let mut started = processes.len();
    let end = Instant::now() + trouble;
    while Instant::now() < end {
        for partition in 0..PARTITIONS {
            submit_to(&producer, Some(partition as i32), &numbered(0..50, 20)).await;
        }
        tokio::time::sleep(Duration::from_millis(100 + random(300))).await;
        match random(10) {
            0 | 1 if processes.len() > 1 => {
                processes.swap_remove(random(processes.len() as u64) as usize).runtime.shutdown_background()
            }
            2 if processes.len() > 1 => {
                let process = processes.swap_remove(random(processes.len() as u64) as usize);
                process.leaves.store(true, Ordering::SeqCst);
                process.task.await.unwrap();
                process.runtime.shutdown_background();
            }
            3..=5 if processes.len() < MOST => {
                processes.push(start(started, &endpoint, &record));
                started += 1;
            }
            6 => {
                cluster.control("kill-spu 5001").await.unwrap();
                tokio::time::sleep(Duration::from_millis(random(1500))).await;
                cluster.control("start-spu 5001").await.unwrap();
            }
            7 => cluster.control("reset-sockets 5001").await.unwrap(),
            8 => {
                cluster.control("sc kill").await.unwrap();
                tokio::time::sleep(Duration::from_millis(random(500))).await;
                cluster.control("sc start").await.unwrap();
            }
            _ => {}
        }
    }
    producer.flush().await.unwrap();
    let ends: BTreeMap<u32, i64> = client
        .offsets("work", &[], None)
        .await
        .unwrap()
        .into_iter()
        .map(|(partition, (_, end))| (partition, end))
        .collect();
    let is_read = || {
        let seen = record.0.lock().unwrap();
        ends.iter()
            .all(|(partition, end)| seen.processed.get(partition).is_some_and(|all| all.iter().copied().eq(0..*end)))
    };
    let begun = Instant::now();
    while !is_read() && begun.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for process in &processes {
        assert!(!process.task.is_finished(), "no member has failed");
    }
    {
        let seen = record.0.lock().unwrap();
        let total: i64 = ends.values().sum();
        println!("{started} members, {total} records, {} handed out, {} takeovers", seen.handed, seen.takeovers);
        assert_eq!(seen.faults, Vec::<String>::new());
    }
    assert!(is_read(), "every record is read");
    processes.into_iter().for_each(|process| process.runtime.shutdown_background());
}
