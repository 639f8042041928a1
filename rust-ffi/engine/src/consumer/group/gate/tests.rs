#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::Slots;
use super::{Gate, GroupChangeKind, Keeping, Revocation};

fn gate(revoke_waits: bool) -> Gate {
    Gate::new(Arc::new(Slots::default()), revoke_waits)
}

fn slot(gate: &Gate, partition: u32) -> i64 {
    gate.slots().epoch(partition).load(Ordering::SeqCst)
}

/// Tells and acknowledges the oldest change: its kind, its partitions, and what is released.
fn tell(gate: &mut Gate) -> (GroupChangeKind, Vec<u32>, Vec<(u32, i64)>) {
    let change = gate.change().unwrap();
    let released = gate.acknowledge(change.number);
    (change.kind, change.partitions.iter().map(|it| it.0).collect(), released)
}

#[test]
fn what_is_gained_is_handed_out_once_the_reader_knows_of_it() {
    let mut gate = gate(false);
    gate.assign(0, 7);
    gate.assign(2, 8);
    gate.slots().mark(0).store(5, Ordering::SeqCst);
    assert_eq!((slot(&gate, 0), gate.epoch(0), gate.owned(0)), (-1, None, Some(7)));
    assert_eq!(tell(&mut gate), (GroupChangeKind::Assigned, vec![0, 2], vec![]));
    assert_eq!((slot(&gate, 0), slot(&gate, 2), gate.epoch(0)), (7, 8, Some(7)));
    assert_eq!(gate.slots().marked(0), None, "what was marked is of before");
    assert!(!gate.has_changes());
}

#[test]
fn what_moves_is_given_up_once_it_was_acknowledged() {
    let mut gate = gate(false);
    gate.assign(0, 7);
    tell(&mut gate);
    assert_eq!(gate.revoke(0, 7), Revocation::Later);
    assert_eq!((slot(&gate, 0), gate.epoch(0), gate.owned(0)), (-1, None, Some(7)));
    assert_eq!(tell(&mut gate), (GroupChangeKind::Revoked, vec![0], vec![(0, 7)]));
    assert_eq!(gate.owned(0), None);
}

#[test]
fn a_reader_with_nothing_in_hand_is_not_waited_for_unless_it_wants_to() {
    for (revoke_waits, expected) in [(false, Revocation::Now), (true, Revocation::Later)] {
        let mut gate = gate(revoke_waits);
        gate.assign(0, 7);
        tell(&mut gate);
        gate.is_idle = true;
        assert_eq!(gate.revoke(0, 7), expected);
        let released = if revoke_waits { vec![(0, 7)] } else { vec![] };
        assert_eq!(tell(&mut gate), (GroupChangeKind::Revoked, vec![0], released));
    }
}

#[test]
fn what_nobody_was_told_is_taken_back_without_a_word() {
    let mut gate = gate(true);
    gate.assign(0, 7);
    gate.assign(1, 7);
    assert_eq!(gate.revoke(0, 7), Revocation::Unknown);
    gate.lose(1, 7);
    assert!(!gate.has_changes());
    gate.assign(0, 9);
    tell(&mut gate);
    gate.revoke(0, 9);
    assert_eq!(gate.keep(0, 9), Keeping::GoesOn);
    assert!(!gate.has_changes());
    assert_eq!(slot(&gate, 0), 9);
}

#[test]
fn what_was_told_is_followed_by_the_truth() {
    let mut gate = gate(true);
    gate.assign(0, 7);
    let assigned = gate.change().unwrap();
    gate.lose(0, 7);
    gate.acknowledge(assigned.number);
    assert_eq!(slot(&gate, 0), -1);
    assert_eq!(tell(&mut gate), (GroupChangeKind::Lost, vec![0], vec![]));

    gate.assign(0, 8);
    tell(&mut gate);
    gate.revoke(0, 8);
    let revoked = gate.change().unwrap();
    assert_eq!(gate.keep(0, 8), Keeping::BeginsAnew, "the reader was told that it goes");
    assert_eq!(gate.acknowledge(revoked.number), [(0, 8)]);
    // Another number than that of the oldest change does nothing.
    gate.assign(0, 8);
    assert_eq!(gate.acknowledge(revoked.number), []);
    assert!(gate.has_changes());
}

#[test]
fn a_reader_that_knows_of_all_need_not_look_until_something_changes() {
    let mut gate = gate(true);
    let knows = |gate: &Gate| gate.slots().unchanged.is_so();
    assert!(!knows(&gate));
    assert_eq!(gate.change(), None);
    assert!(knows(&gate));
    gate.assign(0, 7);
    assert!(!knows(&gate));
    // Being told is not enough, nor is the acknowledgement, which changes an epoch.
    let change = gate.change().unwrap();
    assert!(!knows(&gate));
    gate.acknowledge(change.number);
    assert!(!knows(&gate));
    let changes: [fn(&mut Gate); 4] = [
        |gate| assert_eq!(gate.revoke(0, 7), Revocation::Later),
        |gate| assert_eq!(gate.keep(0, 7), Keeping::BeginsAnew),
        |gate| gate.lose(0, 7),
        Gate::lapse,
    ];
    for change in changes {
        while let Some(told) = gate.change() {
            gate.acknowledge(told.number);
        }
        assert!(knows(&gate));
        change(&mut gate);
        assert!(!knows(&gate));
    }
}
