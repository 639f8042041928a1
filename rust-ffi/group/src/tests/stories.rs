//! One member, told step by step: what the host is asked to do, and when.

use std::time::Duration;

use super::scenarios::{join, key, leave, record};
use crate::command::{Command, Entry, Released, Snapshot};
use crate::names::{MemberId, Moment, Offset};
use crate::participant::{Config, Output, Participant};
use crate::replica::Replica;
use crate::state::State;

fn at(millis: u64) -> Moment {
    Duration::from_millis(millis)
}

/// A participant, and a log that takes everything at once.
struct Story {
    participant: Participant,
    now: Moment,
    end: Offset,
    /// What was not about the log.
    told: Vec<Output>,
    sent: Vec<Command>,
    /// Whether what is sent comes back at once.
    echoes: bool,
    ids: u128,
}

impl Story {
    fn begin(instance: Option<&str>, partitions: u32) -> Self {
        let config = Config {
            instance: instance.map(Into::into),
            client_id: "client".into(),
            host: "host".into(),
            session_timeout: at(10_000),
            rebalance_timeout: at(60_000),
            processing_timeout: at(300_000),
            partitions,
        };
        let participant = Participant::new(config, Replica::empty(key(), -1), at(0));
        Self { participant, now: at(0), end: 0, told: Vec::new(), sent: Vec::new(), echoes: true, ids: 0 }
    }

    /// It has joined, and reads everything from its beginning.
    fn alone(instance: Option<&str>, partitions: u32) -> Self {
        let mut story = Self::begin(instance, partitions);
        story.link(true);
        story.pass(400);
        story.told.clear();
        story.sent.clear();
        story
    }

    fn call(&mut self, call: impl FnOnce(&mut Participant, Moment, &mut Vec<Output>)) {
        let mut out = Vec::new();
        call(&mut self.participant, self.now, &mut out);
        self.host(out);
    }

    fn host(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Append(command) => {
                    self.sent.push(command.clone());
                    if self.echoes {
                        self.reads(command);
                    }
                }
                Output::Draw => {
                    self.ids += 1;
                    let id = MemberId(self.ids);
                    self.call(|it, now, out| it.join(now, id, out));
                }
                Output::Resolve { partition, epoch } => {
                    self.call(|it, now, out| it.resolved(now, &[Entry { partition, epoch, offset: -1 }], out));
                }
                output => self.told.push(output),
            }
        }
    }

    fn reads(&mut self, command: Command) {
        let record = record(self.end, command);
        self.end += 1;
        self.call(|it, now, out| it.record(now, &record, out));
    }

    fn link(&mut self, is_up: bool) {
        self.call(|it, now, out| it.link(now, is_up, out));
    }

    fn pass(&mut self, millis: u64) {
        let until = self.now + at(millis);
        while let Some(due) = self.participant.next_tick(self.now).filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.call(|it, now, out| it.tick(now, out));
        }
        self.now = until;
    }

    fn told(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.told)
    }

    fn me(&self) -> MemberId {
        self.participant.member_id().unwrap()
    }

    fn state(&self) -> &State {
        self.participant.replica().state()
    }

    fn epoch(&self, partition: u32) -> Offset {
        self.state().partition(partition).unwrap().epoch
    }

    fn entry(&self, partition: u32, offset: Offset) -> Entry {
        Entry { partition, epoch: self.epoch(partition), offset }
    }
}

#[test]
fn from_joining_to_reading() {
    let mut story = Story::begin(None, 2);
    story.pass(1_000);
    assert!(story.sent.is_empty(), "the link is down");
    story.link(true);
    story.pass(0);
    assert_eq!(story.told(), [Output::Joined]);
    story.pass(400);
    let assigned = |partition| Output::Assign { partition, epoch: 0, after: -1 };
    assert_eq!(story.told(), [assigned(0), assigned(1)]);
    assert_eq!(story.participant.hands(1, story.now), Some(0));
    assert_eq!(story.participant.hands(1, story.participant.lease_end()), None);
}

#[test]
fn what_moves_is_given_up_when_it_is_done() {
    let mut story = Story::alone(None, 2);
    story.reads(join(7, 2));
    let moving = (0..2).find(|at| story.state().partition(*at).unwrap().moving).unwrap();
    let epoch = story.epoch(moving);
    assert_eq!(story.told(), [Output::Revoke { partition: moving, epoch }]);
    assert_eq!(story.participant.hands(moving, story.now), None);
    let released = Released { partition: moving, epoch, committed: Some(41) };
    story.call(|it, now, out| it.released(now, released, out));
    let partition = story.state().partition(moving).unwrap();
    assert_eq!((partition.owner, partition.committed), (Some(MemberId(7)), Some(41)));
    assert_eq!(story.told(), []);
}

#[test]
fn who_need_not_give_up_goes_on() {
    let mut story = Story::alone(None, 2);
    story.reads(join(7, 2));
    let Some(Output::Revoke { partition, epoch }) = story.told().pop() else { panic!() };
    story.reads(leave(7, 1));
    assert_eq!(story.told(), [Output::Keep { partition, epoch }]);
    assert_eq!(story.participant.hands(partition, story.now), Some(epoch));
}

#[test]
fn a_reader_that_does_not_come_back_loses_what_moves_and_then_everything() {
    let mut story = Story::alone(None, 2);
    story.participant.took(story.now);
    story.reads(join(7, 2));
    let Some(Output::Revoke { partition, epoch }) = story.told().pop() else { panic!() };
    for n in 1..=19 {
        story.pass(3_000);
        story.reads(Command::Beat { member: MemberId(7), n });
    }
    assert_eq!(story.told().iter().find(|it| matches!(it, Output::Lost { .. })), None);
    story.pass(3_000);
    assert!(story.told().contains(&Output::Lost { partition, epoch }));
    assert_eq!(story.state().partition(partition).unwrap().owner, Some(MemberId(7)));
    for n in 20..=100 {
        story.pass(3_000);
        story.reads(Command::Beat { member: MemberId(7), n });
    }
    assert!(story.told().contains(&Output::Left));
    assert_eq!(story.participant.member_id(), None);
    story.call(|it, now, out| it.returned(now, out));
    assert_eq!(story.me(), MemberId(2), "it comes back under another id");
}

#[test]
fn commits_are_merged_and_say_what_was_fenced() {
    let mut story = Story::alone(None, 2);
    let (first, second, later) = (story.entry(0, 5), story.entry(0, 6), story.entry(0, 9));
    let stale = Entry { epoch: 77, ..story.entry(1, 3) };
    story.echoes = false;
    story.call(|it, now, out| it.commit(now, 1, vec![first], out));
    story.call(|it, now, out| it.commit(now, 2, vec![second, stale], out));
    story.call(|it, now, out| it.commit(now, 3, vec![later], out));
    assert_eq!(story.sent.len(), 1, "one at a time");
    let sent = story.sent.remove(0);
    story.echoes = true;
    story.reads(sent);
    let Some(Command::Commit { offsets, .. }) = story.sent.last() else { panic!() };
    assert_eq!(offsets, &[later, stale]);
    let done = |token, fenced| Output::Committed { token, fenced };
    assert_eq!(story.told(), [done(1, vec![]), done(2, vec![(1, 3)]), done(3, vec![])]);
    assert_eq!(story.state().partition(0).unwrap().committed, Some(9));
}

#[test]
fn a_commit_that_may_be_lost_goes_again_under_another_number() {
    let mut story = Story::alone(None, 1);
    story.echoes = false;
    let entry = story.entry(0, 5);
    story.call(|it, now, out| it.commit(now, 1, vec![entry], out));
    let lost = story.sent.pop().unwrap();
    story.pass(2_499);
    assert_eq!(story.told(), []);
    story.pass(1);
    assert_eq!(story.told(), [Output::Renew]);
    story.pass(5_000);
    assert!(story.sent.is_empty(), "nothing is sent without a link");
    story.echoes = true;
    story.link(true);
    assert!(story.told().contains(&Output::Committed { token: 1, fenced: vec![] }));
    let (before, n) = (story.state().clone(), lost.sender().unwrap().1);
    story.reads(lost);
    assert_eq!(&before, story.state(), "command {n} came late, and is void");
}

#[test]
fn who_is_evicted_loses_everything_and_comes_back_later_each_time() {
    let mut story = Story::alone(None, 1);
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let (me, epoch) = (story.me(), story.epoch(0));
        let entry = story.entry(0, 3);
        let sign = story.state().member(me).unwrap().last_beat;
        story.reads(Command::Evict { members: vec![(me, sign)] });
        assert_eq!(story.told(), [Output::Lost { partition: 0, epoch }, Output::Evicted]);
        story.call(|it, now, out| it.commit(now, 9, vec![entry], out));
        assert_eq!(story.told(), [Output::Committed { token: 9, fenced: vec![(0, 3)] }]);
        let before = story.now;
        story.pass(99);
        while story.participant.member_id().is_none() {
            story.pass(1);
        }
        pauses.push((story.now - before).as_millis());
        story.pass(400);
        story.told.clear();
    }
    assert_eq!(pauses, [100, 200, 400, 800]);
}

#[test]
fn the_lease_ends_and_runs_again() {
    let mut story = Story::alone(None, 1);
    story.link(false);
    story.pass(9_000);
    assert_eq!(story.told().iter().filter(|it| **it == Output::Suspended).count(), 1);
    assert_eq!(story.participant.hands(0, story.now), None);
    story.link(true);
    assert!(story.told().contains(&Output::Resumed));
    assert!(story.participant.hands(0, story.now).is_some());
}

/// A commit is called after its `leave` was sent, and overtakes it.
#[test]
fn a_leave_that_is_void_is_sent_again() {
    let mut story = Story::alone(None, 1);
    let entry = story.entry(0, 8);
    story.echoes = false;
    story.call(|it, now, out| it.leave(now, vec![entry], false, out));
    let late = story.sent.pop().unwrap();
    story.call(|it, now, out| it.commit(now, 1, vec![entry], out));
    let commit = story.sent.pop().unwrap();
    story.reads(commit);
    story.reads(late);
    assert!(!story.participant.is_ended(), "its leave is void");
    let again = story.sent.pop().unwrap();
    story.reads(again);
    assert!(story.participant.is_ended());
}

#[test]
fn who_leaves_last_writes_a_snapshot() {
    let mut story = Story::alone(None, 1);
    let entry = story.entry(0, 8);
    story.call(|it, now, out| it.leave(now, vec![entry], false, out));
    assert!(story.participant.is_ended());
    assert!(story.told().contains(&Output::Left));
    let Some(Command::Snapshot(snapshot)) = story.sent.last() else { panic!("{:?}", story.sent) };
    assert_eq!((snapshot.state.partitions[0].committed, snapshot.state.members.len()), (Some(8), 0));
}

#[test]
fn changes_are_in_a_snapshot_after_a_minute_and_once() {
    let mut story = Story::alone(None, 1);
    let count = |story: &Story| story.sent.iter().filter(|it| matches!(it, Command::Snapshot(_))).count();
    story.pass(59_000);
    assert_eq!(count(&story), 0);
    story.pass(2_000);
    assert_eq!(count(&story), 1);
    story.pass(300_000);
    assert_eq!(count(&story), 1, "nothing has changed since");
    story.pass(600_000);
    assert_eq!(count(&story), 2, "the log is not to keep the signs of life alone");
}

#[test]
fn many_commands_are_in_a_snapshot_too() {
    let mut story = Story::alone(None, 1);
    for offset in 0..1_001 {
        let entry = story.entry(0, offset);
        story.call(|it, now, out| it.commit(now, 1, vec![entry], out));
    }
    assert!(story.sent.iter().any(|it| matches!(it, Command::Snapshot(_))));
}

#[test]
fn an_instance_that_closes_keeps_its_partitions() {
    let mut story = Story::alone(Some("worker"), 1);
    let (entry, me) = (story.entry(0, 8), story.me());
    story.call(|it, now, out| it.leave(now, vec![entry], true, out));
    assert!(story.participant.is_ended());
    assert_eq!(story.told().last(), Some(&Output::Left));
    let partition = story.state().partition(0).unwrap();
    assert_eq!((partition.owner, partition.committed), (Some(me), Some(8)));
}

#[test]
fn the_older_process_of_an_instance_is_fenced() {
    let mut story = Story::alone(Some("worker"), 1);
    let (epoch, Command::Join(mut newer)) = (story.epoch(0), join(7, 1)) else { unreachable!() };
    (newer.instance, newer.replaces) = (Some("worker".into()), Some(story.me()));
    story.reads(Command::Join(newer));
    assert_eq!(story.told(), [Output::Lost { partition: 0, epoch }, Output::Fenced]);
    assert!(story.participant.is_ended());
}

#[test]
fn a_topic_that_grows_is_told_to_the_group() {
    let mut story = Story::alone(None, 1);
    story.call(|it, now, out| it.grown(now, 3, out));
    story.pass(400);
    let assigned = |partition| Output::Assign { partition, epoch: story.epoch(1), after: -1 };
    assert_eq!(story.told, [assigned(1), assigned(2)]);
}

#[test]
fn what_holds_is_told_to_the_clusters_own_store() {
    let mut story = Story::alone(None, 1);
    for offset in 1..=5 {
        let entry = story.entry(0, offset);
        story.call(|it, now, out| it.commit(now, 1, vec![entry], out));
    }
    story.told.clear();
    story.pass(1_000);
    assert_eq!(story.told(), [Output::Mirror { partition: 0, offset: 5 }]);
    story.pass(5_000);
    assert_eq!(story.told(), []);
}

#[test]
fn another_past_and_a_newer_version_are_the_end() {
    let mut story = Story::alone(None, 1);
    let mut snapshot: Snapshot = story.participant.replica().snapshot();
    snapshot.chain ^= 1;
    story.reads(Command::Snapshot(Box::new(snapshot)));
    assert_eq!(story.told()[0], Output::Diverged);
    assert!(story.participant.is_ended());

    let mut newer = State::default();
    let Command::Join(mut member) = join(7, 1) else { unreachable!() };
    member.v = 2;
    newer.apply(&key(), 0, &Command::Join(member));
    let mut story = Story::begin(None, 1);
    let replica = Replica::at(key(), Snapshot { as_of: 0, state: newer, chain: 0 });
    story.participant = Participant::new(story.participant.config().clone(), replica, at(0));
    story.end = 1;
    story.link(true);
    story.pass(0);
    assert_eq!(story.told(), [Output::Newer(2)]);
    assert!(story.participant.is_ended());
}
