//! Turns, budget and room, without a lock or a fetcher.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::chunk_of;
use super::*;
use crate::error::ErrorKind;

/// A queue with room for 100 bytes.
fn queue() -> ReadyQueue {
    ReadyQueue::new(100)
}

fn push(queue: &mut ReadyQueue, partition: u32, offsets: std::ops::Range<i64>, bytes: usize) {
    queue.push(partition, offsets.map(|offset| chunk_of(partition, offset, bytes)).collect());
}

fn broken() -> Error {
    Error::new(ErrorKind::CorruptRecord, "broken")
}

/// Partition and offset of what is handed out next.
fn take(queue: &mut ReadyQueue) -> Option<(u32, i64)> {
    queue.take().unwrap().map(|taken| (taken.chunk.partition, taken.chunk.first_offset))
}

fn take_all(queue: &mut ReadyQueue) -> Vec<(u32, i64)> {
    std::iter::from_fn(|| take(queue)).collect()
}

fn take_fresh(queue: &mut ReadyQueue) -> Option<(u32, i64)> {
    queue.take_fresh().map(|taken| (taken.chunk.partition, taken.chunk.first_offset))
}

#[test]
fn partitions_take_turns() {
    let mut queue = queue();
    push(&mut queue, 0, 0..3, 1);
    push(&mut queue, 1, 0..2, 1);
    push(&mut queue, 2, 0..1, 1);
    assert_eq!(take_all(&mut queue), [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (0, 2)]);
}

#[test]
fn a_partition_that_had_nothing_comes_first() {
    let mut queue = queue();
    push(&mut queue, 0, 0..9, 1);
    push(&mut queue, 1, 0..9, 1);
    assert_eq!([take(&mut queue), take(&mut queue), take(&mut queue)], [Some((0, 0)), Some((1, 0)), Some((0, 1))]);
    push(&mut queue, 2, 0..1, 1);
    assert_eq!(take(&mut queue), Some((2, 0)));
    // Partition 2 was served just now: it waits for its turn like the others.
    push(&mut queue, 2, 1..2, 1);
    assert_eq!([take(&mut queue), take(&mut queue), take(&mut queue)], [Some((1, 1)), Some((0, 2)), Some((2, 1))]);
}

#[test]
fn what_is_fresh_can_be_taken_alone() {
    let mut queue = queue();
    push(&mut queue, 0, 0..2, 1);
    assert_eq!(take(&mut queue), Some((0, 0)));
    assert_eq!(take_fresh(&mut queue), None);
    push(&mut queue, 1, 5..6, 1);
    assert_eq!(take_fresh(&mut queue), Some((1, 5)));
    assert_eq!(take_fresh(&mut queue), None);
    queue.push_error(2, broken());
    assert_eq!(take_fresh(&mut queue), None, "an error waits for its turn");
    assert!(queue.take().is_err());
}

#[test]
fn an_error_stays_until_its_partition_is_cleared_or_held() {
    let mut queue = queue();
    push(&mut queue, 0, 0..1, 1);
    queue.push_error(0, broken());
    assert_eq!(take(&mut queue), Some((0, 0)), "what comes before it");
    assert!(queue.take().is_err());
    push(&mut queue, 1, 0..2, 1);
    assert!(queue.take().is_err());
    assert_eq!(queue.hold(0), None);
    assert_eq!(take(&mut queue), Some((1, 0)));
    queue.release(0);
    assert!(queue.take().is_err());
    queue.clear(0);
    assert_eq!(take_all(&mut queue), [(1, 1)]);
}

#[test]
fn an_error_behind_chunks_that_a_hold_drops_goes_with_them() {
    let mut queue = queue();
    push(&mut queue, 0, 5..7, 1);
    queue.push_error(0, broken());
    assert_eq!(queue.hold(0), Some(Place::at(5)));
    queue.release(0);
    assert!(queue.error(0).is_none() && !queue.is_ready(), "reading from 5 on meets the error again");
}

#[test]
fn a_partition_that_is_removed_leaves_nothing_behind() {
    let mut queue = queue();
    push(&mut queue, 0, 0..3, 10);
    push(&mut queue, 1, 0..1, 10);
    assert_eq!(take(&mut queue), Some((0, 0)));
    queue.hold(0);
    queue.remove(0);
    assert_eq!(queue.bytes, 10);
    push(&mut queue, 0, 7..9, 10);
    assert_eq!(take_all(&mut queue), [(1, 0), (0, 7), (0, 8)], "neither held nor twice in turn");
}

#[test]
fn a_backlog_leaves_room_for_partitions_that_have_nothing() {
    let mut queue = queue();
    push(&mut queue, 0, 0..8, 10);
    assert!(!queue.admits(0), "three quarters are used up");
    assert!(queue.admits(1) && queue.admits_replies());
    push(&mut queue, 1, 0..2, 10);
    assert!(!queue.admits(1) && !queue.admits_replies());
}

#[test]
fn room_is_announced_once_to_a_fetcher_that_was_refused() {
    let mut queue = queue();
    push(&mut queue, 0, 0..9, 10);
    let announces = |queue: &mut ReadyQueue| queue.take().unwrap().unwrap().announces_room;
    assert!(!announces(&mut queue), "there was no refusal");
    assert!(!queue.admits(0));
    assert!(announces(&mut queue), "70 bytes are left");
    assert!(!announces(&mut queue), "and admitted by now");
}

#[test]
fn room_for_replies_is_announced_when_the_budget_is_used_up_no_more() {
    let mut queue = queue();
    push(&mut queue, 0, 0..10, 10);
    assert!(!queue.admits_replies());
    let before = queue.announcements();
    assert!(queue.take().unwrap().unwrap().announces_room);
    assert!(queue.admits_replies() && queue.announcements() > before);
}

#[derive(Debug, Clone)]
enum Step {
    Push(u32, usize),
    Take,
    TakeFresh,
    Hold(u32),
    Release(u32),
    Clear(u32),
    Remove(u32),
}

const PARTITIONS: u32 = 4;

fn step() -> impl Strategy<Value = Step> {
    let partition = 0..PARTITIONS;
    prop_oneof![
        6 => (partition.clone(), 1_usize..4).prop_map(|(partition, count)| Step::Push(partition, count)),
        6 => Just(Step::Take),
        2 => Just(Step::TakeFresh),
        1 => partition.clone().prop_map(Step::Hold),
        1 => partition.clone().prop_map(Step::Release),
        1 => partition.clone().prop_map(Step::Clear),
        1 => partition.prop_map(Step::Remove),
    ]
}

/// What the queue is to hold: of each partition the offsets, and whether it is held. And for each partition that may be
/// served, how often others were since it could be.
#[derive(Default)]
struct Model {
    ready: BTreeMap<u32, Vec<i64>>,
    held: BTreeMap<u32, bool>,
    next: i64,
    passed_by: BTreeMap<(u32, u32), u32>,
}

impl Model {
    fn may_be_served(&self, partition: u32) -> bool {
        let held = self.held.get(&partition).copied().unwrap_or_default();
        !held && self.ready.get(&partition).is_some_and(|offsets| !offsets.is_empty())
    }

    fn served(&mut self, (partition, offset): (u32, i64)) {
        assert!(self.may_be_served(partition));
        assert_eq!(self.ready.get_mut(&partition).unwrap().remove(0), offset, "in the order of the log");
        self.wait_anew(partition);
        for other in (0..PARTITIONS).filter(|other| *other != partition) {
            if self.may_be_served(other) {
                let passed = self.passed_by.entry((other, partition)).or_default();
                *passed += 1;
                assert!(*passed <= 1, "{partition} was served twice while {other} waited");
            }
        }
    }

    fn wait_anew(&mut self, partition: u32) {
        self.passed_by.retain(|(waiting, _), _| *waiting != partition);
    }

    fn drop_all(&mut self, partition: u32) -> Option<i64> {
        self.wait_anew(partition);
        std::mem::take(self.ready.entry(partition).or_default()).first().copied()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_partition_keeps_its_order_its_turn_and_its_bytes(steps in proptest::collection::vec(step(), 1..120)) {
        const BYTES: usize = 10;
        let (mut queue, mut model) = (queue(), Model::default());
        for step in steps {
            match step {
                Step::Push(partition, count) => {
                    let held = model.held.get(&partition).copied().unwrap_or_default();
                    if !held && queue.admits(partition) {
                        let offsets = model.next..model.next + count as i64;
                        model.next = offsets.end;
                        model.ready.entry(partition).or_default().extend(offsets.clone());
                        push(&mut queue, partition, offsets, BYTES);
                    }
                }
                Step::Take => match take(&mut queue) {
                    Some(taken) => model.served(taken),
                    None => prop_assert!((0..PARTITIONS).all(|partition| !model.may_be_served(partition))),
                },
                Step::TakeFresh => if let Some(taken) = take_fresh(&mut queue) {
                    model.served(taken);
                }
                Step::Hold(partition) => {
                    prop_assert_eq!(queue.hold(partition), model.drop_all(partition).map(Place::at));
                    model.held.insert(partition, true);
                }
                Step::Release(partition) => {
                    queue.release(partition);
                    model.held.insert(partition, false);
                }
                Step::Clear(partition) => {
                    queue.clear(partition);
                    model.drop_all(partition);
                }
                Step::Remove(partition) => {
                    queue.remove(partition);
                    model.drop_all(partition);
                    model.held.remove(&partition);
                    model.passed_by.retain(|(_, by), _| *by != partition);
                }
            }
            let ready: usize = model.ready.values().map(Vec::len).sum();
            prop_assert_eq!(queue.bytes, ready * BYTES);
            prop_assert!(queue.bytes < queue.budget + 3 * BYTES, "the budget, and one reply");
            prop_assert_eq!(queue.is_ready(), (0..PARTITIONS).any(|partition| model.may_be_served(partition)));
        }
    }
}
