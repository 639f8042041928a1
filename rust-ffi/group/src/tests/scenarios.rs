//! Short stories in which one rule matters: what goes wrong, if anything does.

use std::time::Duration;

use crate::command::{Command, Entry, Join, Record, Released};
use crate::names::{GroupKey, MemberId, Offset};
use crate::participant::{Config, Output, Participant};
use crate::replica::Replica;
use crate::state::State;

pub(crate) fn key() -> GroupKey {
    GroupKey::new("billing", "orders").unwrap()
}

pub(crate) fn join(id: u128, partitions: u32) -> Command {
    Command::Join(Box::new(Join {
        member: MemberId(id),
        instance: None,
        replaces: None,
        client_id: "client".into(),
        host: "host".into(),
        session_ms: 10_000,
        v: 1,
        partitions,
    }))
}

pub(crate) fn record(offset: Offset, command: Command) -> Record {
    Record { offset, digest: offset as u64, command, size: 100 }
}

pub(crate) fn leave(id: u128, n: u64) -> Command {
    Command::Leave { member: MemberId(id), n, released: Vec::new() }
}

fn commit(id: u128, n: u64, epoch: Offset, offset: Offset) -> Command {
    Command::Commit { member: MemberId(id), n, offsets: vec![Entry { partition: 0, epoch, offset }] }
}

fn replay(commands: &[Command]) -> State {
    let mut state = State::default();
    for (offset, command) in commands.iter().enumerate() {
        state.apply(&key(), offset as Offset, command);
    }
    state
}

/// A reset that arrives a second time, after somebody has read on.
pub(crate) fn a_reset_comes_twice() -> Option<String> {
    let reset = Command::Reset { generation: 1, offsets: vec![(0, 5)] };
    let story = [join(1, 1), leave(1, 1), reset.clone(), join(2, 1), commit(2, 1, 3, 99), leave(2, 2), reset];
    let committed = replay(&story).partitions[0].committed;
    (committed != Some(99)).then(|| format!("the copy of a reset undid the commit of 99: {committed:?}"))
}

/// A late `grow` meets a group that was deleted; the next one wants to begin where it chooses.
pub(crate) fn a_grow_meets_a_deleted_group() -> Option<String> {
    let story =
        [join(1, 1), leave(1, 1), Command::Delete { generation: 1 }, Command::Grow { partitions: 2 }, join(2, 2)];
    let state = replay(&story);
    let begun = state.partitions.iter().any(|partition| partition.committed.is_some());
    begun.then(|| format!("offsets that nobody committed: {:?}", state.partitions))
}

/// A partition is added, its first owner dies before it has opened it, and the next one begins at the end.
pub(crate) fn an_owner_of_a_new_partition_dies() -> Option<String> {
    let evict = Command::Evict { members: vec![(MemberId(1), 0)] };
    let state = replay(&[join(1, 1), Command::Grow { partitions: 2 }, evict, join(2, 2)]);
    let committed = state.partitions[1].committed;
    (committed != Some(-1))
        .then(|| format!("nothing says that the new partition is read from its first record: {committed:?}"))
}

/// A group is deleted and begun anew: an old fencing token must not be valid again.
pub(crate) fn a_group_begins_anew() -> Option<String> {
    let story = [join(1, 1), leave(1, 1), Command::Delete { generation: 1 }, join(2, 1)];
    let (before, after) = (replay(&story[..1]).partitions[0].epoch, replay(&story).partitions[0].epoch);
    (after <= before).then(|| format!("epoch {before} of one owner and {after} of a later one"))
}

fn participant() -> Participant {
    let config = Config {
        instance: None,
        client_id: "client".into(),
        host: "host".into(),
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(60),
        processing_timeout: Duration::from_secs(300),
        partitions: 1,
    };
    Participant::new(config, Replica::empty(key(), -1), Duration::ZERO)
}

/// A member is evicted and comes back; then its first join arrives once more.
pub(crate) fn a_join_comes_late() -> Option<String> {
    let (mut participant, mut out, now) = (participant(), Vec::new(), Duration::from_secs);
    participant.link(now(0), true, &mut out);
    participant.join(now(0), MemberId(1), &mut out);
    participant.record(now(0), &record(0, join(1, 1)), &mut out);
    participant.record(now(1), &record(1, Command::Evict { members: vec![(MemberId(1), 0)] }), &mut out);
    participant.tick(now(2), &mut out);
    participant.join(now(2), MemberId(2), &mut out);
    participant.record(now(2), &record(2, join(2, 1)), &mut out);
    out.clear();
    participant.record(now(3), &record(3, join(1, 1)), &mut out);
    let leaves = |output: &Output| matches!(output, Output::Append(Command::Leave { member, n, .. }) if *member == MemberId(1) && *n > 0);
    (!out.iter().any(leaves)).then(|| "a member that nobody is holds its share for a session".to_owned())
}

/// A release is lost, and later commands of the member are not.
pub(crate) fn a_release_is_lost() -> Option<String> {
    let (mut participant, mut out, now) = (participant(), Vec::new(), Duration::from_millis);
    let two = Config { partitions: 2, ..participant.config().clone() };
    participant = Participant::new(two, Replica::empty(key(), -1), now(0));
    participant.link(now(0), true, &mut out);
    participant.join(now(0), MemberId(1), &mut out);
    participant.record(now(0), &record(0, join(1, 2)), &mut out);
    participant.tick(now(100), &mut out);
    for partition in 0..2 {
        participant.resolved(now(100), &[Entry { partition, epoch: 0, offset: -1 }], &mut out);
    }
    // One commit at a time: that of the second start follows when the first is read.
    for offset in 1..3 {
        let Some(Output::Append(commit)) = out.drain(..).find(is_commit) else { return Some("no commit".into()) };
        participant.record(now(150), &record(offset, commit), &mut out);
    }
    participant.record(now(200), &record(10, join(2, 2)), &mut out);
    participant.released(now(200), Released { partition: 1, epoch: 0, committed: None }, &mut out);
    out.clear();
    participant.commit(now(1_000), 7, vec![Entry { partition: 0, epoch: 0, offset: 5 }], &mut out);
    let Some(Output::Append(commit)) = out.drain(..).find(is_commit) else { return Some("no commit".into()) };
    participant.record(now(1_100), &record(11, commit), &mut out);
    let again = out.iter().any(|output| matches!(output, Output::Append(Command::Release { .. })));
    (!again).then(|| "the partition is given up, and nobody gets it".to_owned())
}

fn is_commit(output: &Output) -> bool {
    matches!(output, Output::Append(Command::Commit { .. }))
}
