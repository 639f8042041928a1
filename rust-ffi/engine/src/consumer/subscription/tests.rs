//! A caller and fetchers in any order of their calls, against a model of what each partition is to give.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::cursor::Log;
use super::super::{ConsumerOptions, chunk_of};
use super::*;
use crate::error::ErrorKind;

const PARTITIONS: u32 = 3;
/// Where each log ends.
const END: i64 = 30;
/// The offset of a record that cannot be read.
const BROKEN: i64 = 20;
const BYTES: usize = 10;
const BUDGET: usize = 200;

#[derive(Debug, Clone)]
enum Step {
    Take,
    TakeFresh,
    Seek(u32, i64),
    Pause(u32),
    Resume(u32),
    Revoke(u32),
    Assign(u32, i64),
    /// A fetcher makes its next call for one of its cursors, and reads this number of records if that is what comes
    /// next.
    Fetch(Index, i64),
}

fn step() -> impl Strategy<Value = Step> {
    let (partition, offset) = (0..PARTITIONS, 0..END);
    let both = || (0..PARTITIONS, 0..END);
    prop_oneof![
        12 => Just(Step::Take),
        3 => Just(Step::TakeFresh),
        2 => both().prop_map(|(partition, offset)| Step::Seek(partition, offset)),
        2 => partition.clone().prop_map(Step::Pause),
        2 => partition.clone().prop_map(Step::Resume),
        1 => partition.prop_map(Step::Revoke),
        2 => both().prop_map(|(partition, offset)| Step::Assign(partition, offset)),
        40 => (any::<Index>(), offset).prop_map(|(which, count)| Step::Fetch(which, count % 4 + 1)),
    ]
}

/// What a fetcher is about to do with a cursor that it has.
enum Next {
    Ask,
    Read,
    Deliver(Vec<Chunk>),
    Park,
}

/// What a partition is to give.
#[derive(Debug, Default)]
struct Expected {
    /// The offset of the next record.
    next: i64,
    paused: bool,
    seeks: u32,
    /// The position that is shown.
    position: Option<i64>,
}

struct World {
    subscription: Subscription,
    options: ConsumerOptions,
    cursors: Vec<(Cursor, Next)>,
    expected: BTreeMap<u32, Expected>,
    revoked_seeks: BTreeMap<u32, u32>,
}

impl World {
    fn new(stop_at_end: bool) -> Self {
        let options = ConsumerOptions { stop_at_end, ..ConsumerOptions::default() };
        let mut world = Self {
            subscription: Subscription::new("t", PARTITIONS, stop_at_end, BUDGET),
            options,
            cursors: Vec::new(),
            expected: BTreeMap::new(),
            revoked_seeks: BTreeMap::new(),
        };
        (0..PARTITIONS).for_each(|partition| world.assign(partition, 0));
        world
    }

    fn assign(&mut self, partition: u32, offset: i64) {
        let assigned = self.subscription.assign(&[partition]);
        if self.expected.contains_key(&partition) {
            assert_eq!(assigned.unwrap_err().kind, ErrorKind::Usage);
            return;
        }
        let cursor = Cursor::new(assigned.unwrap().remove(0), Start::At(offset), 1);
        self.cursors.push((cursor, Next::Ask));
        let seeks = self.revoked_seeks.get(&partition).map_or(0, |seeks| seeks + 1);
        self.expected.insert(partition, Expected { next: offset, seeks, ..Expected::default() });
    }

    fn seek(&mut self, partition: u32, offset: i64) {
        match (self.subscription.seek(partition, Start::At(offset)), self.expected.get_mut(&partition)) {
            (Ok((cursor, _)), Some(expected)) => {
                self.cursors.extend(cursor.map(|cursor| (cursor, Next::Ask)));
                expected.next = offset;
                expected.seeks += 1;
            }
            (outcome, None) => assert_eq!(outcome.unwrap_err().kind, ErrorKind::PartitionNotFound),
            (Err(error), Some(_)) => panic!("{error}"),
        }
    }

    fn resume(&mut self, partition: u32) {
        if let Ok(cursors) = self.subscription.resume(&[partition]) {
            self.cursors.extend(cursors.into_iter().map(|cursor| (cursor, Next::Ask)));
            self.expected.get_mut(&partition).unwrap().paused = false;
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Take => _ = self.take(),
            Step::TakeFresh => drop(self.subscription.take_fresh().map(|chunk| self.taken(&chunk))),
            Step::Seek(partition, offset) => self.seek(partition, offset),
            Step::Pause(partition) => {
                if self.subscription.pause(&[partition]).is_ok() {
                    self.expected.get_mut(&partition).unwrap().paused = true;
                }
            }
            Step::Resume(partition) => self.resume(partition),
            Step::Revoke(partition) => {
                if self.subscription.revoke(&[partition]).is_ok() {
                    let revoked = self.expected.remove(&partition).unwrap();
                    self.revoked_seeks.insert(partition, revoked.seeks);
                }
            }
            Step::Assign(partition, offset) => self.assign(partition, offset),
            Step::Fetch(which, count) => {
                if !self.cursors.is_empty() {
                    let (cursor, next) = self.cursors.swap_remove(which.index(self.cursors.len()));
                    let kept = self.fetch(cursor, next, count);
                    self.cursors.extend(kept);
                }
            }
        }
        self.check();
    }

    /// One call of a fetcher.
    fn fetch(&mut self, mut cursor: Cursor, next: Next, count: i64) -> Option<(Cursor, Next)> {
        let returned = |cursor: Option<Cursor>| cursor.map(|cursor| (cursor, Next::Ask));
        let subscription = &self.subscription;
        match next {
            Next::Ask => match subscription.directive(&mut cursor) {
                Directive::Continue => Some((cursor, Next::Read)),
                Directive::Restart => Some((cursor, Next::Ask)),
                Directive::Park => Some((cursor, Next::Park)),
                Directive::Abandon => None,
            },
            Next::Park => returned(subscription.park(cursor)),
            Next::Deliver(chunks) => {
                subscription.deliver(&cursor, chunks);
                Some((cursor, Next::Ask))
            }
            Next::Read if cursor.start.is_some() => {
                let log = Log { topic: "t", start: 0, end: END };
                cursor.resolve(&log, &self.options).unwrap();
                subscription.resolve(&cursor, END);
                if let Some(expected) = self.expected.get_mut(&cursor.partition) {
                    // Only a start that is still wanted moves the position.
                    let shown = subscription.position(cursor.partition);
                    assert!(shown == expected.position || shown == Some(expected.next));
                    expected.position = shown;
                }
                Some((cursor, Next::Ask))
            }
            Next::Read if cursor.finished() => returned(subscription.finish(cursor)),
            Next::Read if cursor.next() == BROKEN => {
                let error = Error::new(ErrorKind::CorruptRecord, "broken").with_partition(cursor.partition);
                returned(subscription.fail(cursor, error))
            }
            Next::Read => {
                let limit = if cursor.next() < BROKEN { BROKEN } else { END };
                let read = cursor.next()..limit.min(cursor.next() + count);
                if read.is_empty() || !subscription.admits(cursor.partition) {
                    return Some((cursor, Next::Ask));
                }
                cursor.go_on(read.end);
                let chunks = read.map(|offset| chunk_of(cursor.partition, offset, BYTES)).collect();
                Some((cursor, Next::Deliver(chunks)))
            }
        }
    }

    /// `None`: nothing was ready. An error gives its partition.
    fn take(&mut self) -> Option<std::result::Result<(), u32>> {
        match self.subscription.take() {
            Ok(Take::Chunk(chunk)) => {
                self.taken(&chunk);
                Some(Ok(()))
            }
            Ok(Take::Empty) => None,
            Ok(Take::End | Take::Changed) => {
                assert!(self.options.stop_at_end && self.expected.values().all(|expected| expected.next == END));
                None
            }
            Err(error) => {
                let partition = error.partition.unwrap();
                let expected = &self.expected[&partition];
                assert!(expected.next == BROKEN && !expected.paused, "{expected:?}");
                Some(Err(partition))
            }
        }
    }

    fn taken(&mut self, chunk: &Chunk) {
        let expected = self.expected.get_mut(&chunk.partition).unwrap();
        assert!(!expected.paused);
        assert_eq!((chunk.first_offset, chunk.seeks), (expected.next, expected.seeks));
        expected.next = chunk.next_offset;
        expected.position = Some(chunk.next_offset);
    }

    fn check(&self) {
        let shown: Vec<_> = self.subscription.partitions();
        let shown = shown.iter().map(|state| (state.partition, state.position, state.seeks));
        let expected = self.expected.iter().map(|(partition, it)| (*partition, it.position, it.seeks));
        assert!(shown.eq(expected), "no position moves unasked");
        for partition in 0..PARTITIONS {
            let mut state = self.subscription.lock();
            let cursors = self.cursors.iter().filter(|(cursor, _)| cursor.partition == partition);
            let valid = cursors.filter(|(cursor, _)| !state.assignment.is_revoked(cursor)).count();
            assert!(valid <= 1, "partition {partition} has {valid} cursors");
        }
    }

    /// Reads all that is left: each partition gives every record up to its end.
    fn drain(&mut self) {
        (0..PARTITIONS).for_each(|partition| self.resume(partition));
        for _ in 0..2000 {
            while let Some(taken) = self.take() {
                if let Err(partition) = taken {
                    self.seek(partition, BROKEN + 1);
                }
            }
            for (cursor, next) in std::mem::take(&mut self.cursors) {
                let kept = self.fetch(cursor, next, 3);
                self.cursors.extend(kept);
            }
            self.check();
            if self.expected.values().all(|expected| expected.next == END) {
                return;
            }
        }
        panic!("something was lost: {:?}", self.expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_comes_once_and_in_order_whatever_the_caller_does(
        stop_at_end in any::<bool>(), steps in proptest::collection::vec(step(), 1..200),
    ) {
        let mut world = World::new(stop_at_end);
        steps.into_iter().for_each(|step| world.run(step));
        world.drain();
    }
}

/// A subscription of partitions 0 and 1, and their cursors.
fn subscription() -> (Subscription, Vec<Cursor>) {
    let subscription = Subscription::new("t", 2, false, 100);
    let assigned = subscription.assign(&[0, 1]).unwrap();
    let cursors = assigned.into_iter().map(|assigned| Cursor::new(assigned, Start::At(0), 1)).collect();
    (subscription, cursors)
}

fn deliver(subscription: &Subscription, cursor: &Cursor, offsets: std::ops::Range<i64>) {
    subscription.deliver(cursor, offsets.map(|offset| chunk_of(cursor.partition, offset, 10)).collect());
}

/// Polls a future once each time.
fn poll_of(future: impl Future<Output = ()>) -> impl FnMut() -> bool {
    let mut future = Box::pin(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    move || future.as_mut().poll(&mut context).is_ready()
}

#[test]
fn a_fetcher_that_was_refused_room_is_told_when_there_may_be_some() {
    let (subscription, cursors) = subscription();
    deliver(&subscription, &cursors[0], 0..12);
    deliver(&subscription, &cursors[1], 0..1);
    let mut refused = 0;
    loop {
        let before = subscription.room_announcements();
        if subscription.admits(1) {
            break;
        }
        refused += 1;
        let mut told = poll_of(subscription.room_since(before));
        while subscription.room_announcements() == before {
            assert!(!told(), "nothing has left that could make room");
            subscription.take().unwrap();
        }
        assert!(told());
    }
    assert!(refused > 0);
}

#[test]
fn a_revocation_makes_room_and_ends_waits_for_its_partition() {
    let (subscription, mut cursors) = subscription();
    deliver(&subscription, &cursors[0], 0..12);
    let before = subscription.room_announcements();
    assert!(!subscription.admits_replies());
    let (mut room, mut revoked) =
        (poll_of(subscription.room_since(before)), poll_of(subscription.wait_revoked(&cursors[0])));
    let directives = subscription.directives();
    assert!(!room() && !revoked());
    subscription.revoke(&[0]).unwrap();
    assert!(room() && revoked() && subscription.admits_replies());
    assert!(directives.has_changed().unwrap());
    assert!(matches!(subscription.take().unwrap(), Take::Empty));
    drop((room, revoked));
    assert_eq!(subscription.directive(&mut cursors[0]), Directive::Abandon);
    assert_eq!(subscription.directive(&mut cursors[1]), Directive::Continue);
}

#[test]
fn an_error_that_was_met_before_a_pause_is_met_again_after_what_the_pause_dropped() {
    let (subscription, mut cursors) = subscription();
    let mut cursor = cursors.remove(0);
    cursor.start = None;
    deliver(&subscription, &cursor, 0..2);
    assert!(subscription.fail(cursor, Error::new(ErrorKind::CorruptRecord, "broken")).is_none());
    subscription.pause(&[0]).unwrap();
    let cursor = subscription.resume(&[0]).unwrap().remove(0);
    assert_eq!(cursor.next(), 0);
    assert!(matches!(subscription.take().unwrap(), Take::Empty), "the error does not come before records 0 and 1");
}
