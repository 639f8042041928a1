//! Commands as bytes: what is written is read, noise is refused, and what a later version adds changes nothing.

use proptest::prelude::*;

use crate::command::{Command, Directory, Entry, Join, Known, Released, Snapshot};
use crate::json::{DecodeError, decode, encode};
use crate::names::{GroupKey, MemberId};
use crate::state::{Member, Partition, State};

const MAX: i64 = (1 << 53) - 1;

fn text() -> impl Strategy<Value = std::sync::Arc<str>> {
    any::<String>().prop_map(Into::into)
}

fn id() -> impl Strategy<Value = MemberId> {
    any::<u128>().prop_map(MemberId)
}

fn released() -> impl Strategy<Value = Released> {
    (0..100_000_u32, 0..=MAX, proptest::option::of(-1..=MAX)).prop_map(|(partition, epoch, committed)| Released {
        partition,
        epoch,
        committed,
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    (0..100_000_u32, 0..=MAX, -1..=MAX).prop_map(|(partition, epoch, offset)| Entry { partition, epoch, offset })
}

fn joins() -> impl Strategy<Value = Command> {
    let instance = proptest::option::of((text(), proptest::option::of(id())));
    (id(), instance, text(), text(), 1_000..=3_600_000_u32, 1..9_u32, 1..=100_000_u32).prop_map(
        |(member, instance, client_id, host, session_ms, v, partitions)| {
            let (instance, replaces) = instance.map_or((None, None), |(instance, replaces)| (Some(instance), replaces));
            Command::Join(Box::new(Join { member, instance, replaces, client_id, host, session_ms, v, partitions }))
        },
    )
}

fn member() -> impl Strategy<Value = Member> {
    (id(), proptest::option::of(text()), text(), text(), 1_000..=3_600_000_u32, 1..9_u32, 0..=MAX, 0..=MAX).prop_map(
        |(id, instance, client_id, host, session_ms, v, n, last_beat)| Member {
            id,
            instance,
            client_id,
            host,
            session_ms,
            v,
            n: n as u64,
            last_beat,
        },
    )
}

fn snapshots() -> impl Strategy<Value = Command> {
    let partition =
        (any::<prop::sample::Index>(), any::<bool>(), -1..=MAX, any::<bool>(), proptest::option::of(-1..=MAX));
    let (members, partitions) = (prop::collection::vec(member(), 0..4), prop::collection::vec(partition, 0..5));
    (0..=MAX, any::<u64>(), -1..=MAX, members, partitions).prop_map(
        |(as_of, chain, generation, mut members, partitions)| {
            members.dedup_by_key(|member| member.id);
            let partition = |(owner, owned, epoch, moving, committed): (prop::sample::Index, _, _, _, _)| {
                let owned = owned && !members.is_empty();
                Partition { owner: owned.then(|| members[owner.index(members.len())].id), epoch, moving, committed }
            };
            let partitions = partitions.into_iter().map(partition).collect();
            Command::Snapshot(Box::new(Snapshot {
                as_of,
                chain,
                state: State { generation, version: 1, members, partitions },
            }))
        },
    )
}

fn directories() -> impl Strategy<Value = Command> {
    let known = (proptest::option::of(-1..=MAX), proptest::option::of(-1..=MAX), 0..=MAX)
        .prop_map(|(snapshot, from, last)| Known { snapshot, from, last });
    let keys = prop::collection::btree_map("[a-z/]{1,9}", known, 0..5);
    (-1..=MAX, keys).prop_map(|(as_of, keys)| {
        let keys = keys.into_iter().map(|(group, known)| (GroupKey::new(&group, "orders").unwrap(), known)).collect();
        Command::Directory(Box::new(Directory { as_of, keys }))
    })
}

fn commands() -> impl Strategy<Value = Command> {
    let n = || (1..=MAX).prop_map(|n| n as u64);
    prop_oneof![
        joins(),
        snapshots(),
        directories(),
        (id(), n()).prop_map(|(member, n)| Command::Beat { member, n }),
        (id(), n(), prop::collection::vec(released(), 0..4)).prop_map(|(member, n, released)| Command::Leave {
            member,
            n,
            released
        }),
        (id(), n(), released()).prop_map(|(member, n, released)| Command::Release { member, n, released }),
        (id(), n(), prop::collection::vec(entry(), 0..4)).prop_map(|(member, n, offsets)| Command::Commit {
            member,
            n,
            offsets
        }),
        prop::collection::vec((id(), 0..=MAX), 0..4).prop_map(|members| Command::Evict { members }),
        (1..=100_000_u32).prop_map(|partitions| Command::Grow { partitions }),
        (-1..=MAX, prop::collection::vec((0..100_000_u32, -1..=MAX), 0..4))
            .prop_map(|(generation, offsets)| Command::Reset { generation, offsets }),
        (-1..=MAX).prop_map(|generation| Command::Delete { generation }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(command in commands()) {
        let value = encode(&command).unwrap();
        prop_assert_eq!(decode(&value).unwrap(), command);
    }

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&bytes).is_err());
    }

    /// Damaged values are read as some command or refused, and a state takes whatever was read.
    #[test]
    fn damage_does_no_harm(command in commands(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut value = encode(&command).unwrap();
        let at = at.index(value.len());
        value[at] = byte;
        if let Ok(command) = decode(&value) {
            let mut state = State::default();
            if let Command::Snapshot(snapshot) = &command {
                state = snapshot.state.clone();
            }
            let key = GroupKey::new("billing", "orders").unwrap();
            state.apply(&key, 1 << 40, &command);
        }
    }

    #[test]
    fn fields_of_later_versions_are_passed_over(command in commands()) {
        let mut value: serde_json::Value = serde_json::from_slice(&encode(&command).unwrap()).unwrap();
        value["shoe_size"] = serde_json::json!({"left": [42]});
        prop_assert_eq!(decode(value.to_string().as_bytes()).unwrap(), command);
    }
}

#[test]
fn what_is_no_command_says_why() {
    let fails = |text: &str| decode(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(fails(r#"{"type": "dance"}"#), r#"unknown command "dance""#);
    assert_eq!(fails(r#"{"type": "beat", "v": 2}"#), "a command of version 2");
    assert_eq!(fails(r#"{"type": "beat", "n": 1}"#), "member of a command is missing or out of range");
    assert_eq!(
        fails(r#"{"type": "grow", "partitions": 4000000000}"#),
        "partitions of a command is missing or out of range"
    );
    assert!(fails(r#"{"type": "beat", "member": "x", "n": 1}"#).contains("32 lower-case hexadecimal digits"));
    assert!(matches!(decode(b"{\"type\": \"beat\", \"type\": \"beat\"}"), Err(DecodeError::Json(_))), "a field twice");
    let state = r#"{"type":"snapshot","as_of":1,"chain":"0000000000000000",
                    "state":{"generation":0,"v":1,"members":[],"partitions":[],"hats":3}}"#;
    assert!(fails(state).contains("hats"), "an unknown field inside a state");
}
