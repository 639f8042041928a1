//! What `fuzz/` gives bytes of any kind, and what holds for all of them. In builds for fuzzing, and in the tests, which
//! go through all that is kept of it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use crate::command::{Command, Directory, Record};
use crate::json::{decode, encode};
use crate::names::{GroupKey, MemberId};
use crate::newcomer::{Newcomer, Step};
use crate::participant::{Config, Output, Participant};
use crate::replica::Replica;

pub type Target = fn(&[u8]);

/// The targets, by their names.
pub const TARGETS: [(&str, Target); 2] = [("commands", commands), ("log", log)];

/// Larger groups only take longer.
const FEW: usize = 64;

fn key() -> GroupKey {
    GroupKey::new("group", "topic").unwrap()
}

/// What is read as a command is read the same once it was written again.
pub fn commands(data: &[u8]) {
    let _ = GroupKey::from_record(data).map(|key| key.log_partition());
    let Ok(command) = decode(data) else { return };
    let written = encode(&command).unwrap();
    assert_eq!(decode(&written).unwrap(), command);
    assert_eq!(encode(&decode(&written).unwrap()).unwrap(), written);
}

/// Whatever stands in a log, a line a record: all who read it have the same state, newcomers come to an end, and a
/// member goes on.
pub fn log(data: &[u8]) {
    let values = data.split(|byte| *byte == b'\n').take(FEW);
    let records: Vec<_> = (0..).zip(values).filter_map(|(at, value)| Record::decode(at, value).ok()).collect();
    if records.iter().any(|record| is_large(&record.command)) {
        return;
    }
    let mut all = Replica::empty(key(), -1);
    let mut late = None;
    let mut directory = Directory::new(-1);
    for (at, record) in records.iter().enumerate() {
        if at == records.len() / 2 {
            let Ok(Command::Snapshot(snapshot)) =
                decode(&encode(&Command::Snapshot(Box::new(all.snapshot()))).unwrap_or_default())
            else {
                late = None;
                continue;
            };
            late = Some(Replica::at(key(), *snapshot));
        }
        all.read(record);
        directory.fold(&key(), record, true);
        if let Some(late) = &mut late {
            late.read(record);
        }
    }
    if let Some(late) = late {
        assert_eq!(late.state(), all.state());
    }
    directory.forget_before(1);
    arrive(&records);
    take_part(&records);
}

fn is_large(command: &Command) -> bool {
    const PARTITIONS: u32 = 64;
    match command {
        Command::Join(join) => join.partitions > PARTITIONS,
        Command::Grow { partitions } => *partitions > PARTITIONS,
        _ => false,
    }
}

/// A newcomer asks for a bounded part of the log a bounded number of times.
fn arrive(records: &[Record]) {
    let end = records.last().map_or(0, |last| last.offset + 1);
    for start in [0, end / 2] {
        let mut newcomer = Newcomer::new(key(), start, end);
        let mut now = Duration::ZERO;
        let came = (0..64).any(|_| match newcomer.next(now) {
            Step::Ready(_) | Step::Lost => true,
            Step::Wait(until) => {
                now = until;
                false
            }
            Step::Read(from, to) => {
                assert!(from < to);
                let within = records.iter().filter(|record| (from..to).contains(&record.offset));
                within.for_each(|record| newcomer.record(&key(), record));
                false
            }
        });
        assert!(came, "a newcomer comes to no end");
    }
}

/// A member reads the log behind its own commands, which are read back.
fn take_part(records: &[Record]) {
    let config = Config {
        instance: None,
        client_id: "fuzz".into(),
        host: "here".into(),
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(20),
        processing_timeout: Duration::from_secs(30),
        partitions: 3,
    };
    let mut member = Participant::new(config, Replica::empty(key(), -1), Duration::ZERO);
    let mut out = Vec::new();
    let (mut now, mut place, mut ids) = (Duration::ZERO, 0, 0);
    member.link(now, true, &mut out);
    for record in records {
        now += Duration::from_millis(700);
        for _ in 0..8 {
            let said = std::mem::take(&mut out);
            if said.is_empty() {
                break;
            }
            for output in said {
                match output {
                    Output::Draw => {
                        ids += 1;
                        member.join(now, MemberId(ids), &mut out);
                    }
                    Output::Append(command) => {
                        let own = Record::decode(place, &encode(&command).unwrap()).unwrap();
                        place += 1;
                        member.record(now, &own, &mut out);
                    }
                    Output::Renew => member.link(now, true, &mut out),
                    _ => {}
                }
            }
        }
        let theirs = Record { offset: place, ..record.clone() };
        place += 1;
        member.record(now, &theirs, &mut out);
        member.tick(now, &mut out);
        let _ = (member.next_tick(now), member.is_settled(), member.lease_end());
    }
}

#[cfg(test)]
#[path = "../../fuzz/kept.rs"]
mod kept;

#[cfg(test)]
#[test]
fn what_is_kept_of_fuzzing_does_no_harm() {
    kept::does_no_harm(&TARGETS);
}
