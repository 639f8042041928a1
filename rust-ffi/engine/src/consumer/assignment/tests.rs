//! The table of states, cell by cell, without a lock or a fetcher.
#![allow(clippy::unwrap_used)]

use super::super::ConsumerOptions;
use super::super::cursor::Log;
use super::*;

/// The assignment of partition 0, and its cursor, whose start is known: offset 5.
fn reading() -> (Assignment, Cursor) {
    let mut assignment = Assignment::new("t", 1, true);
    let mut cursor = cursor(&mut assignment, Start::At(5));
    find_start(&mut assignment, &mut cursor);
    (assignment, cursor)
}

fn cursor(assignment: &mut Assignment, start: Start) -> Cursor {
    Cursor::new(assignment.assign(&[0]).unwrap().remove(0), start, 1)
}

fn find_start(assignment: &mut Assignment, cursor: &mut Cursor) {
    let log = Log { topic: "t", start: 0, end: 10 };
    assert!(cursor.resolve(&log, &ConsumerOptions { stop_at_end: true, ..Default::default() }).unwrap());
    assignment.resolve(cursor, log.end);
}

fn seek(assignment: &mut Assignment, offset: i64) -> (Option<Cursor>, oneshot::Receiver<Result<i64>>) {
    let (sender, receiver) = oneshot::channel();
    (assignment.seek(0, Start::At(offset), sender).unwrap(), receiver)
}

fn state(assignment: &Assignment) -> PartitionState {
    assignment.states().next().unwrap()
}

fn broken() -> Error {
    Error::new(ErrorKind::CorruptRecord, "broken")
}

#[test]
fn the_position_is_the_start_and_then_what_was_taken() {
    let (mut assignment, _cursor) = reading();
    assert_eq!(assignment.position(0), Some(5));
    let mut chunk = super::super::chunk_of(0, 5, 1);
    assignment.hand_out(&mut chunk);
    assert_eq!(state(&assignment), PartitionState { partition: 0, position: Some(6), end: Some(10), seeks: 0 });
}

#[test]
fn a_cursor_of_the_current_epoch_goes_on_and_is_taken() {
    let (mut assignment, mut cursor) = reading();
    assert_eq!(assignment.directive(&mut cursor), Directive::Continue);
    assert!(assignment.accepts(&cursor, Some(Place::at(5))));
    let mut cursor = assignment.park(cursor).returned().unwrap();
    assert_eq!(assignment.directive(&mut cursor), Directive::Continue, "it is not paused");
    assert!(!assignment.is_finished());
    assert!(matches!(assignment.finish(cursor), Custody::Parked));
    assert!(assignment.is_finished());
    let (cursor, _) = seek(&mut assignment, 7);
    assert!(!assignment.is_finished());
    assert!(matches!(assignment.fail(cursor.unwrap(), &broken()), Custody::Returned(_)));
}

#[test]
fn a_paused_partition_has_its_cursor_parked_and_reads_again_what_was_dropped() {
    let (mut assignment, mut cursor) = reading();
    assignment.pause(0, Some(Place::at(3)));
    assert_eq!(assignment.directive(&mut cursor), Directive::Park);
    assert!(!assignment.accepts(&cursor, Some(Place::at(5))));
    assert!(matches!(assignment.park(cursor), Custody::Rewound));
    assert_eq!(assignment.resume(0, false).unwrap().next(), 3);
}

#[test]
fn a_pause_that_drops_nothing_keeps_the_cursor_where_it_is() {
    let (mut assignment, cursor) = reading();
    assignment.pause(0, None);
    assert!(matches!(assignment.park(cursor), Custody::Parked));
    assert_eq!(assignment.resume(0, false).unwrap().next(), 5);
}

#[test]
fn a_resume_that_comes_before_the_cursor_is_parked_sends_it_back() {
    let (mut assignment, mut cursor) = reading();
    assignment.pause(0, Some(Place::at(3)));
    assert!(assignment.resume(0, false).is_none(), "a fetcher has the cursor");
    assert!(!assignment.accepts(&cursor, Some(Place::at(5))));
    assert_eq!(assignment.directive(&mut cursor), Directive::Restart);
    assert_eq!(cursor.start, Some(Start::At(3)));
    assert_eq!(state(&assignment).seeks, 0, "the caller has not sought");
}

#[test]
fn what_ends_while_chunks_before_it_were_dropped_has_not_ended() {
    for finished in [true, false] {
        let (mut assignment, cursor) = reading();
        assignment.pause(0, None);
        assert!(!assignment.accepts(&cursor, Some(Place::at(5))));
        let custody = if finished { assignment.finish(cursor) } else { assignment.fail(cursor, &broken()) };
        assert!(matches!(custody, Custody::Rewound));
        assert!(!assignment.is_finished());
        assert_eq!(assignment.resume(0, false).unwrap().next(), 5);
    }
}

#[test]
fn a_finished_partition_whose_chunks_a_pause_drops_is_not_finished() {
    let (mut assignment, cursor) = reading();
    assert!(matches!(assignment.finish(cursor), Custody::Parked));
    assignment.pause(0, Some(Place::at(8)));
    assert!(!assignment.is_finished());
    assert_eq!(assignment.resume(0, false).unwrap().next(), 8);
}

#[test]
fn nothing_of_an_epoch_before_a_seek_counts() {
    let (mut assignment, cursor) = reading();
    let (parked, mut position) = seek(&mut assignment, 7);
    assert!(parked.is_none());
    assert_eq!(state(&assignment), PartitionState { partition: 0, position: Some(5), end: Some(10), seeks: 1 });
    assert!(!assignment.accepts(&cursor, Some(Place::at(5))));
    assignment.resolve(&cursor, 12);
    assert_eq!(state(&assignment).end, Some(12), "the log is the same");
    assert_eq!(assignment.position(0), Some(5));
    let cursor = assignment.park(cursor).returned().unwrap();
    let cursor = assignment.finish(cursor).returned().unwrap();
    let mut cursor = assignment.fail(cursor, &broken()).returned().unwrap();
    assert!(position.try_recv().is_err());
    assert_eq!(assignment.directive(&mut cursor), Directive::Restart);
    find_start(&mut assignment, &mut cursor);
    assert_eq!(assignment.position(0), Some(7));
    assert_eq!(position.try_recv().unwrap().unwrap(), 7);
}

#[test]
fn a_seek_gives_way_to_a_later_one_whose_outcome_it_has() {
    let (mut assignment, mut cursor) = reading();
    let (_, mut first) = seek(&mut assignment, 7);
    let (_, mut second) = seek(&mut assignment, 9);
    assert_eq!(assignment.directive(&mut cursor), Directive::Restart);
    find_start(&mut assignment, &mut cursor);
    assert_eq!([first.try_recv().unwrap().unwrap(), second.try_recv().unwrap().unwrap()], [9, 9]);
}

#[test]
fn a_seek_that_fails_tells_why_and_one_that_is_revoked_too() {
    let (mut assignment, mut cursor) = reading();
    let (_, mut position) = seek(&mut assignment, 7);
    assert_eq!(assignment.directive(&mut cursor), Directive::Restart);
    assert!(matches!(assignment.fail(cursor, &broken()), Custody::Parked));
    assert_eq!(position.try_recv().unwrap().unwrap_err().kind, ErrorKind::CorruptRecord);
    let (cursor, mut position) = seek(&mut assignment, 7);
    assert!(cursor.is_some(), "it was parked");
    assignment.revoke(0);
    assert_eq!(position.try_recv().unwrap().unwrap_err().kind, ErrorKind::PartitionNotFound);
}

#[test]
fn a_paused_partition_finds_a_new_start_before_it_is_parked() {
    let (mut assignment, cursor) = reading();
    assignment.pause(0, None);
    assert!(matches!(assignment.park(cursor), Custody::Parked));
    let (cursor, _position) = seek(&mut assignment, 7);
    let mut cursor = cursor.unwrap();
    assert_eq!(assignment.directive(&mut cursor), Directive::Restart);
    assert_eq!(assignment.directive(&mut cursor), Directive::Continue);
    find_start(&mut assignment, &mut cursor);
    assert_eq!(assignment.directive(&mut cursor), Directive::Park);
}

#[test]
fn nothing_of_a_revoked_assignment_counts_whatever_is_assigned_by_then() {
    for assigned_again in [false, true] {
        let (mut assignment, mut cursor) = reading();
        let (_, _position) = seek(&mut assignment, 6);
        assert_eq!(assignment.directive(&mut cursor), Directive::Restart);
        let old = || {
            let (_, mut copy) = reading();
            copy.epoch = cursor.epoch;
            copy
        };
        assignment.revoke(0);
        let _new = assigned_again.then(|| self::cursor(&mut assignment, Start::At(2)));
        assert_eq!(assignment.directive(&mut old()), Directive::Abandon);
        assert!(assignment.is_revoked(&old()) && !assignment.accepts(&old(), Some(Place::at(5))));
        assignment.resolve(&old(), 10);
        assert!(matches!(assignment.park(old()), Custody::Dropped));
        assert!(matches!(assignment.finish(old()), Custody::Dropped));
        assert!(matches!(assignment.fail(old(), &broken()), Custody::Dropped));
        assert!(assignment.states().all(|state| state.position.is_none() && state.seeks == 2));
        assert_eq!(assignment.states().count(), usize::from(assigned_again));
        assert!(!assigned_again || !assignment.is_finished());
    }
}

#[test]
fn what_is_assigned_or_not_is_said_with_the_partition() {
    let (mut assignment, _cursor) = reading();
    let twice = assignment.assign(&[1, 0]).unwrap_err();
    assert_eq!((twice.kind, twice.partition), (ErrorKind::Usage, Some(0)));
    assert_eq!(assignment.assign(&[1, 1]).unwrap_err().partition, Some(1));
    assert_eq!(assignment.states().count(), 1, "all or none");
    let unknown = assignment.require(&[0, 1]).unwrap_err();
    assert_eq!((unknown.kind, unknown.partition), (ErrorKind::PartitionNotFound, Some(1)));
}

#[test]
fn partitions_are_discovered_once_even_if_they_were_revoked() {
    let mut assignment = Assignment::new("t", 1, false);
    assignment.assign(&[0]).unwrap();
    let discovered = |assignment: &mut Assignment, count| {
        assignment.discover(count).into_iter().map(|assigned| assigned.partition).collect::<Vec<_>>()
    };
    assert_eq!(discovered(&mut assignment, 1), [0_u32; 0]);
    assert_eq!(discovered(&mut assignment, 3), [1, 2]);
    assignment.revoke(1);
    assert_eq!(discovered(&mut assignment, 3), [0_u32; 0]);
    assignment.assign(&[3]).unwrap();
    assert_eq!(discovered(&mut assignment, 5), [4]);
    assert!(!assignment.is_finished());
    (0..5).for_each(|partition| assignment.revoke(partition));
    assert!(!assignment.is_finished(), "without an end to stop at, another assignment may come");
}
