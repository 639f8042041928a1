//! The format is as `docs/group-log.md` has it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::command::{Command, Record};
use crate::json::{decode, encode};
use crate::names::{GroupKey, Offset};
use crate::replica::Replica;

const PAGE: &str = include_str!("../../../../docs/group-log.md");

/// The blocks of the page, by what they show.
fn blocks() -> BTreeMap<&'static str, &'static str> {
    let blocks = PAGE.split("\n```json ").skip(1);
    blocks.map(|block| block.split_once("\n```").unwrap().0.split_once('\n').unwrap()).collect()
}

#[test]
fn every_command_is_shown_and_is_what_it_says() {
    let kinds =
        ["join", "beat", "commit", "release", "leave", "evict", "grow", "reset", "delete", "snapshot", "directory"];
    for kind in kinds {
        assert!(blocks().contains_key(kind), "{kind} is not shown");
    }
    for (name, shown) in blocks().into_iter().filter(|(name, _)| *name != "log") {
        let shown: Value = serde_json::from_str(shown).unwrap();
        let command = decode(shown.to_string().as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written: Value = serde_json::from_slice(&encode(&command).unwrap()).unwrap();
        assert_eq!(written, shown, "{name}");
    }
}

#[test]
fn the_example_ends_as_shown() {
    let mut replica = Replica::empty(GroupKey::new("billing", "orders").unwrap(), -1);
    for (offset, value) in blocks()["log"].replace("\n ", "").lines().enumerate() {
        replica.read(&Record::decode(offset as Offset, value.as_bytes()).unwrap());
    }
    let Command::Snapshot(shown) = decode(blocks()["result"].as_bytes()).unwrap() else { panic!() };
    let snapshot = replica.snapshot();
    assert_eq!((snapshot.as_of, &snapshot.state), (shown.as_of, &shown.state));
    assert_eq!(format!("{:016x}", snapshot.chain), format!("{:016x}", shown.chain));
}

#[test]
fn keys_are_where_the_page_says() {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "));
    let mut count = 0;
    for (key, partition) in rows {
        let key = GroupKey::from_record(key.as_bytes()).unwrap();
        assert_eq!(key.log_partition().to_string(), partition, "{key}");
        count += 1;
    }
    assert_eq!(count, 2);
}

#[test]
fn keys_are_split_at_the_last_slash() {
    let key = GroupKey::from_record(b"a/b/orders").unwrap();
    assert_eq!((key.group(), key.topic()), ("a/b", "orders"));
    for none in [&b"orders"[..], b"/orders", b"a/", b"a\n/orders", b"\xff/orders", &[b'x'; 300]] {
        assert!(GroupKey::from_record(none).is_err(), "{none:?}");
    }
    assert!(GroupKey::new(&"x".repeat(200), "orders").is_ok());
    assert_eq!(
        GroupKey::new(&"x".repeat(201), "orders").unwrap_err().to_string().split(": ").nth(1),
        Some("a group's name has 1 to 200 bytes and no control characters")
    );
}
