//! Where records go, and what becomes of their tickets, without servers.

mod model;

use std::collections::HashMap;

use futures_util::FutureExt;

use super::batch::WaitingBatch;
use super::partition::MOST_APART;
use super::*;
use crate::producer::RECORD_OVERHEAD;
use crate::producer::sender::PATIENCE;

const LEADER: i32 = 5001;

/// The accumulator of a producer; one SPU leads all partitions of its topic.
struct Bench {
    accumulator: Accumulator,
    leader: Arc<SpuSender>,
    partitions: usize,
}

/// How a record is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum To {
    Anywhere,
    Partition(u32),
}
use To::{Anywhere, Partition as At};

impl Bench {
    fn new(partitions: usize) -> Self {
        let options = ProducerOptions { batch_size: 300, ..ProducerOptions::default() };
        let accumulator = Accumulator::new("t", partitions as u32, Codec::None, &options, false, Arc::default());
        let bench = Self { accumulator, leader: Arc::new(SpuSender::new(LEADER)), partitions };
        bench.online(&vec![true; partitions]);
        bench
    }

    fn online(&self, online: &[bool]) {
        let leaders = vec![Some(Arc::clone(&self.leader)); self.partitions];
        assert!(self.accumulator.set_partitions(online.to_vec(), leaders).is_empty());
    }

    /// The ticket of a record that is accepted.
    fn submit(&self, to: To) -> u64 {
        let partition = match to {
            Anywhere => -1,
            At(partition) => partition as i32,
        };
        let records = Records {
            count: 1,
            data: b"0123456789",
            value_lengths: &[10],
            key_lengths: None,
            partitions: Some(&[partition]),
            timestamps: None,
            awaited: false,
        };
        let mut runs = [Run::default()];
        let (submission, _) = self.accumulator.submit(&records, &mut runs).unwrap();
        assert_eq!((submission.accepted, submission.runs), (1, 1));
        runs[0].ticket
    }

    fn take(&self) -> Vec<Batch> {
        let mut taken = Vec::new();
        assert!(self.accumulator.take(LEADER, &mut taken).is_empty());
        taken
    }

    /// Where a batch is that waits.
    fn place(&self, ticket: u64) -> u32 {
        self.accumulator.lock().tickets.get_mut(ticket).unwrap().partition
    }

    fn tickets(batches: &[Batch]) -> Vec<(u32, u64)> {
        batches.iter().map(|batch| (batch.partition, batch.ticket)).collect()
    }
}

#[test]
fn what_may_go_anywhere_leaves_a_partition_that_is_offline() {
    let bench = Bench::new(2);
    // Under way in both, so that what comes then waits.
    bench.submit(At(0));
    bench.submit(At(1));
    assert_eq!(bench.take().len(), 2);
    let first = bench.submit(Anywhere);
    let place = bench.place(first);
    assert_eq!(bench.submit(Anywhere), first, "they share a batch");
    let own = bench.submit(At(place));
    assert_ne!(own, first, "but with no other");
    bench.online(&[place == 1, place == 0]);
    assert_eq!(bench.place(first), 1 - place);
    assert_eq!(bench.place(own), place);
    let next = bench.submit(Anywhere);
    assert_eq!(bench.place(next), 1 - place);
    bench.online(&[true, true]);
    assert_eq!((bench.place(first), bench.place(own)), (1 - place, place), "nothing comes back");
}

#[test]
fn what_may_have_been_written_stays_and_what_was_refused_does_not() {
    for (past, moves) in [(Past::Unsent, true), (Past::Refused, true), (Past::MaybeWritten, false)] {
        let bench = Bench::new(2);
        let ticket = bench.submit(Anywhere);
        let place = bench.place(ticket);
        let taken = bench.take();
        bench.online(&[place == 1, place == 0]);
        assert_eq!(bench.place(ticket), place, "what is in flight stays");
        bench.accumulator.put_back(taken.into_iter().map(|batch| Batch { past, ..batch }));
        assert_eq!(bench.place(ticket) != place, moves, "{past:?}");
        assert_eq!(bench.take()[0].partition, bench.place(ticket));
    }
}

#[test]
fn where_all_are_offline_they_wait_for_the_first_that_comes() {
    let bench = Bench::new(3);
    bench.online(&[false; 3]);
    let own = bench.submit(At(0));
    let tickets: Vec<u64> = (0..40).map(|_| bench.submit(Anywhere)).collect();
    assert!(tickets.last() > tickets.first(), "more than a batch");
    bench.online(&[false, false, true]);
    assert!(tickets.iter().all(|ticket| bench.place(*ticket) == 2));
    assert_eq!(bench.place(own), 0);
    let taken = Bench::tickets(&bench.take());
    let moved: Vec<_> = taken.iter().copied().filter(|(partition, _)| *partition == 2).collect();
    assert!(moved.is_sorted(), "in the order in which they were opened: {moved:?}");
}

#[test]
fn in_a_topic_of_one_partition_all_share_their_batches() {
    let bench = Bench::new(1);
    let ticket = bench.submit(Anywhere);
    assert_eq!(bench.submit(At(0)), ticket);
    assert_eq!(bench.submit(Anywhere), ticket);
    assert!(bench.accumulator.lock().partitions[0].ready.is_empty());
    bench.online(&[false]);
    assert_eq!(bench.submit(Anywhere), ticket);
}

#[test]
fn batches_that_are_not_shared_are_few() {
    let bench = Bench::new(2);
    for number in 0..1000 {
        bench.submit(if number % 2 == 0 { At(number / 2 % 2) } else { Anywhere });
    }
    let state = bench.accumulator.lock();
    let waiting: usize = state.partitions.iter().map(|partition| partition.ready.len()).sum();
    assert!(waiting < 2 * MOST_APART + 80, "{waiting} batches");
}

#[test]
fn a_server_that_does_not_answer_is_avoided() {
    let bench = Bench::new(2);
    let silent = bench.submit(Anywhere);
    let place = bench.place(silent);
    bench.take();
    bench.accumulator.lock().partitions[place as usize].unanswered_since = Some(Instant::now() - PATIENCE);
    let deliver = || {
        let place = bench.place(bench.submit(Anywhere));
        bench.accumulator.answered(bench.take().iter().map(|batch| (batch.ticket, Ok(0))).collect());
        place
    };
    assert_eq!([deliver(), deliver(), deliver()], [1 - place; 3]);
    bench.accumulator.answered(vec![(silent, Ok(0))]);
    assert_eq!([deliver(), deliver()], [place, 1 - place]);
}

#[test]
fn a_partition_changes_hands_when_nothing_is_in_flight_any_more() {
    let bench = Bench::new(1);
    let first = bench.submit(At(0));
    assert_eq!(Bench::tickets(&bench.take()), [(0, first)]);
    let second = bench.submit(At(0));
    let next = Arc::new(SpuSender::new(LEADER + 1));
    let moved = bench.accumulator.set_partitions(vec![true], vec![Some(Arc::clone(&next))]);
    assert_eq!(moved.iter().map(|(former, index)| (former.spu, *index)).collect::<Vec<_>>(), [(LEADER, 0)]);
    let mut taken = Vec::new();
    bench.accumulator.take(next.spu, &mut taken);
    assert!(taken.is_empty(), "the former leader may still write the first one");
    let wakeup = bench.accumulator.supervisor_wakeup();
    assert!(wakeup.notified().now_or_never().is_none());
    bench.accumulator.answered(vec![(first, Ok(0))]);
    assert!(wakeup.notified().now_or_never().is_some(), "all are woken");
    bench.accumulator.take(next.spu, &mut taken);
    assert_eq!(Bench::tickets(&taken), [(0, second)]);
}

#[test]
fn what_is_acknowledged_late_or_elsewhere_counts_as_reordered() {
    let bench = Bench::new(2);
    let reordered = || bench.accumulator.counters.read().reordered;
    let acknowledge = |ticket: u64| assert_eq!(bench.accumulator.answered(vec![(ticket, Ok(0))]).len(), 1);
    // So that a batch does not wait until that before it is acknowledged.
    bench.accumulator.lock().flush_up_to = u64::MAX;
    let first = bench.submit(At(0));
    assert_eq!(bench.take().len(), 1);
    let second = bench.submit(At(0));
    assert_eq!(bench.take().len(), 1);
    acknowledge(second);
    assert_eq!(reordered(), 0);
    acknowledge(first);
    assert_eq!(reordered(), 1, "a newer one was first");
    let moving = bench.submit(Anywhere);
    let place = bench.place(moving);
    bench.online(&[place == 1, place == 0]);
    assert_eq!(Bench::tickets(&bench.take()), [(1 - place, moving)]);
    acknowledge(moving);
    assert_eq!(reordered(), 2, "it is in another partition");
    let metrics = bench.accumulator.counters.read();
    assert_eq!((metrics.records_produced, metrics.bytes_produced), (3, 30));
}

/// Whatever happens in whatever order: each ticket is in one place and is settled once; what may not move does not;
/// batches wait in the order in which they were opened; the account of the buffer is right.
#[test]
fn anything_in_any_order() {
    for seed in 1..=60_u64 {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut below = move |limit: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % limit
        };
        let count = 1 + below(4) as usize;
        let bench = Bench::new(count);
        let mut sent: HashMap<u64, Vec<To>> = HashMap::new();
        let mut flying: Vec<Batch> = Vec::new();
        let mut stuck: HashMap<u64, u32> = HashMap::new();
        let mut settled = 0;
        for _ in 0..600 {
            match below(10) {
                0..=3 => {
                    let to = if below(3) > 0 { Anywhere } else { At(below(count as u64) as u32) };
                    let ticket = bench.submit(to);
                    if let At(partition) = to {
                        assert_eq!(bench.place(ticket), partition);
                    }
                    sent.entry(ticket).or_default().push(to);
                }
                4 | 5 => flying.extend(bench.take()),
                6 => {
                    let online: Vec<bool> = (0..count).map(|_| below(3) > 0).collect();
                    bench.online(&online);
                }
                7 | 8 if !flying.is_empty() => {
                    let batch = flying.remove(0);
                    assert_eq!(bench.accumulator.settle([(batch.ticket, Ok(0))]).len(), 1);
                    settled += sent.remove(&batch.ticket).unwrap().len();
                    stuck.remove(&batch.ticket);
                }
                _ => {
                    let past = [Past::Unsent, Past::Refused, Past::MaybeWritten][below(3) as usize];
                    let back = std::mem::take(&mut flying);
                    let back: Vec<_> =
                        back.into_iter().map(|batch| Batch { past: batch.past.max(past), ..batch }).collect();
                    stuck.extend(
                        back.iter()
                            .filter(|batch| batch.past == Past::MaybeWritten)
                            .map(|batch| (batch.ticket, batch.partition)),
                    );
                    bench.accumulator.put_back(back);
                }
            }
            let mut state = bench.accumulator.lock();
            let mut seen: Vec<u64> = flying.iter().map(|batch| batch.ticket).collect();
            for partition in &state.partitions {
                let waiting = partition.ready.iter().map(WaitingBatch::ticket);
                let waiting: Vec<u64> = waiting.chain(partition.open.as_ref().map(|open| open.ticket)).collect();
                assert!(waiting.is_sorted());
                seen.extend(waiting);
            }
            seen.sort_unstable();
            let mut expected: Vec<u64> = sent.keys().copied().collect();
            expected.sort_unstable();
            assert_eq!(seen, expected, "each in one place");
            assert_eq!(state.tickets.records(), sent.values().map(|records| records.len() as u64).sum::<u64>());
            assert_eq!(state.room.used(), state.tickets.records() * (10 + RECORD_OVERHEAD));
            for (ticket, records) in &sent {
                let place = state.tickets.get_mut(*ticket).unwrap().partition;
                let own = records.iter().filter(|to| **to != Anywhere);
                assert!(own.into_iter().all(|to| *to == At(place)));
                assert!(stuck.get(ticket).is_none_or(|partition| *partition == place));
            }
        }
        bench.online(&vec![true; count]);
        while !sent.is_empty() {
            flying.extend(bench.take());
            assert!(!flying.is_empty(), "something waits for ever");
            for batch in flying.drain(..) {
                let done = bench.accumulator.settle([(batch.ticket, Ok(0))]);
                let records = sent.remove(&batch.ticket).unwrap();
                assert_eq!((done[0].partition, done[0].records as usize), (batch.partition, records.len()));
                settled += done[0].records as usize;
            }
        }
        assert!(settled > 0);
        assert_eq!(bench.accumulator.pending(), (0, 0));
    }
}
