//! Commands as JSON, one object each: what stands in the values of the log. `docs/group-log.md` describes them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::command::{Command, Directory, Entry, Join, Known, Record, Released, Snapshot};
use crate::names::{GroupKey, MemberId, Offset, hash};
use crate::state::{MAX_PARTITIONS, Member, Partition, State, VERSION};

/// Numbers beyond this are not the same in every language that reads JSON.
const MAX_NUMBER: i64 = (1 << 53) - 1;

/// Why a value is no command. It is skipped, and counted.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is not JSON, or a field has the wrong type.
    #[error("not a command: {0}")]
    Json(#[from] serde_json::Error),
    /// It is written in a version that this code does not speak. It holds for no group of which this code is a member.
    #[error("a command of version {0}")]
    Version(u32),
    /// There is no such command.
    #[error("unknown command {0:?}")]
    Unknown(String),
    /// A field is missing, or outside of what is allowed.
    #[error("{0} of a command is missing or out of range")]
    Field(&'static str),
}

/// All fields of all commands: those that a command does not have are passed over.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Flat {
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<MemberId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<MemberId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitions: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    committed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    released: Option<Vec<(u32, i64, Option<i64>)>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<(MemberId, i64)>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<i64>,
    /// Of `commit` triples, of `reset` pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    offsets: Option<Vec<Vec<i64>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<FlatState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<BTreeMap<String, FlatKnown>>,
}

/// The snapshot's place, from where the key is replayed, and its last command.
type FlatKnown = (Option<i64>, Option<i64>, i64);

/// A state has no fields that this code does not know: it would have to hand them on.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlatState {
    generation: i64,
    v: u32,
    members: Vec<FlatMember>,
    /// The owner as a place in `members`, the epoch, whether it is moving, what is committed.
    partitions: Vec<(Option<u32>, i64, bool, Option<i64>)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlatMember {
    id: MemberId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<Arc<str>>,
    client_id: Arc<str>,
    host: Arc<str>,
    session_ms: u32,
    v: u32,
    n: i64,
    last_beat: i64,
}

type Decoded<T> = Result<T, DecodeError>;

fn within(field: &'static str, number: Option<i64>, least: i64) -> Decoded<i64> {
    number.filter(|number| (least..=MAX_NUMBER).contains(number)).ok_or(DecodeError::Field(field))
}

fn optional(field: &'static str, number: Option<i64>) -> Decoded<Option<i64>> {
    number.map(|number| within(field, Some(number), -1)).transpose()
}

fn number_of_partition(number: i64) -> Decoded<u32> {
    within("partition", Some(number), 0).map(|number| number as u32).and_then(|number| match number < MAX_PARTITIONS {
        true => Ok(number),
        false => Err(DecodeError::Field("partition")),
    })
}

/// Reads the value of a record.
pub fn decode(value: &[u8]) -> Result<Command, DecodeError> {
    let flat: Flat = serde_json::from_slice(value)?;
    match flat.v {
        Some(v) if v == 0 || (v > VERSION && flat.kind != "join") => return Err(DecodeError::Version(v)),
        _ => {}
    }
    Ok(match flat.kind.as_str() {
        "join" => Command::Join(Box::new(flat.join()?)),
        "beat" => Command::Beat { member: flat.member()?, n: flat.n()? },
        "leave" => Command::Leave { member: flat.member()?, n: flat.n()?, released: flat.all_released()? },
        "evict" => Command::Evict { members: flat.evicted()? },
        "grow" => Command::Grow { partitions: flat.partitions()? },
        "release" => {
            let partition = number_of_partition(i64::from(flat.partition.ok_or(DecodeError::Field("partition"))?))?;
            let epoch = within("epoch", flat.epoch, 0)?;
            let released = Released { partition, epoch, committed: optional("committed", flat.committed)? };
            Command::Release { member: flat.member()?, n: flat.n()?, released }
        }
        "commit" => Command::Commit { member: flat.member()?, n: flat.n()?, offsets: flat.committed_entries()? },
        "reset" => Command::Reset { generation: flat.generation()?, offsets: flat.reset_entries()? },
        "delete" => Command::Delete { generation: flat.generation()? },
        "snapshot" => Command::Snapshot(Box::new(flat.snapshot()?)),
        "directory" => Command::Directory(Box::new(flat.directory()?)),
        _ => return Err(DecodeError::Unknown(flat.kind)),
    })
}

impl Record {
    /// Reads the value of a record.
    pub fn decode(offset: Offset, value: &[u8]) -> Result<Self, DecodeError> {
        let command = decode(value)?;
        Ok(Self { offset, command, digest: Self::digest_of(value), size: value.len() })
    }

    /// The hash of the bytes of a value, by which a host tells whether it reads again what it has read.
    pub fn digest_of(value: &[u8]) -> u64 {
        hash(&[value])
    }
}

impl Flat {
    fn member(&self) -> Decoded<MemberId> {
        self.member.ok_or(DecodeError::Field("member"))
    }

    fn n(&self) -> Decoded<u64> {
        within("n", self.n, 1).map(|n| n as u64)
    }

    fn generation(&self) -> Decoded<i64> {
        within("generation", self.generation, -1)
    }

    fn partitions(&self) -> Decoded<u32> {
        let allowed = self.partitions.filter(|partitions| (1..=MAX_PARTITIONS).contains(partitions));
        allowed.ok_or(DecodeError::Field("partitions"))
    }

    fn join(self) -> Decoded<Join> {
        if self.replaces.is_some() && self.instance.is_none() {
            return Err(DecodeError::Field("instance"));
        }
        Ok(Join {
            member: self.member()?,
            partitions: self.partitions()?,
            instance: self.instance,
            replaces: self.replaces,
            client_id: self.client_id.ok_or(DecodeError::Field("client_id"))?,
            host: self.host.ok_or(DecodeError::Field("host"))?,
            session_ms: session(self.session_ms)?,
            v: self.v.ok_or(DecodeError::Field("v"))?,
        })
    }

    fn all_released(&self) -> Decoded<Vec<Released>> {
        let released = self.released.as_ref().ok_or(DecodeError::Field("released"))?;
        let read = released.iter().map(|&(partition, epoch, committed)| {
            let partition = number_of_partition(i64::from(partition))?;
            let epoch = within("epoch", Some(epoch), 0)?;
            Ok(Released { partition, epoch, committed: optional("committed", committed)? })
        });
        read.collect()
    }

    fn evicted(self) -> Decoded<Vec<(MemberId, Offset)>> {
        let members = self.members.ok_or(DecodeError::Field("members"))?;
        members.iter().try_for_each(|(_, sign)| within("members", Some(*sign), 0).map(drop))?;
        Ok(members)
    }

    fn committed_entries(&self) -> Decoded<Vec<Entry>> {
        let read = self.offsets.iter().flatten().map(|entry| match entry[..] {
            [partition, epoch, offset] => Ok(Entry {
                partition: number_of_partition(partition)?,
                epoch: within("epoch", Some(epoch), 0)?,
                offset: within("offsets", Some(offset), -1)?,
            }),
            _ => Err(DecodeError::Field("offsets")),
        });
        if self.offsets.is_none() { Err(DecodeError::Field("offsets")) } else { read.collect() }
    }

    fn reset_entries(&self) -> Decoded<Vec<(u32, Offset)>> {
        let read = self.offsets.iter().flatten().map(|entry| match entry[..] {
            [partition, offset] => Ok((number_of_partition(partition)?, within("offsets", Some(offset), -1)?)),
            _ => Err(DecodeError::Field("offsets")),
        });
        if self.offsets.is_none() { Err(DecodeError::Field("offsets")) } else { read.collect() }
    }

    fn snapshot(self) -> Decoded<Snapshot> {
        let chain = self.chain.filter(|chain| chain.len() == 16).ok_or(DecodeError::Field("chain"))?;
        Ok(Snapshot {
            as_of: within("as_of", self.as_of, 0)?,
            state: self.state.ok_or(DecodeError::Field("state"))?.read()?,
            chain: u64::from_str_radix(&chain, 16).map_err(|_| DecodeError::Field("chain"))?,
        })
    }

    fn directory(self) -> Decoded<Directory> {
        let mut directory = Directory::new(within("as_of", self.as_of, -1)?);
        for (key, (snapshot, from, last)) in self.keys.ok_or(DecodeError::Field("keys"))? {
            let known = Known {
                snapshot: optional("keys", snapshot)?,
                from: optional("keys", from)?,
                last: within("keys", Some(last), 0)?,
            };
            if let Ok(key) = GroupKey::from_record(key.as_bytes()) {
                directory.keys.insert(key, known);
            }
        }
        Ok(directory)
    }
}

fn session(ms: Option<u32>) -> Decoded<u32> {
    ms.filter(|ms| (1_000..=3_600_000).contains(ms)).ok_or(DecodeError::Field("session_ms"))
}

impl FlatState {
    fn read(self) -> Decoded<State> {
        let mut members: Vec<Member> = Vec::with_capacity(self.members.len());
        for flat in self.members {
            if members.iter().any(|member| member.id == flat.id) {
                return Err(DecodeError::Field("id"));
            }
            members.push(Member {
                id: flat.id,
                instance: flat.instance,
                client_id: flat.client_id,
                host: flat.host,
                session_ms: session(Some(flat.session_ms))?,
                v: flat.v,
                n: within("n", Some(flat.n), 0)? as u64,
                last_beat: within("last_beat", Some(flat.last_beat), 0)?,
            });
        }
        let mut partitions = Vec::with_capacity(self.partitions.len());
        for (owner, epoch, moving, committed) in self.partitions {
            let owner = match owner.map(|owner| members.get(owner as usize)) {
                None => None,
                Some(Some(owner)) => Some(owner.id),
                Some(None) => return Err(DecodeError::Field("owner")),
            };
            let (epoch, committed) = (within("epoch", Some(epoch), -1)?, optional("committed", committed)?);
            partitions.push(Partition { owner, epoch, moving, committed });
        }
        let generation = within("generation", Some(self.generation), -1)?;
        Ok(State { generation, version: self.v, members, partitions })
    }

    fn of(state: &State) -> Self {
        let places: HashMap<MemberId, u32> =
            state.members.iter().zip(0..).map(|(member, at)| (member.id, at)).collect();
        let owner = |partition: &Partition| partition.owner.and_then(|owner| places.get(&owner).copied());
        let partitions = state.partitions.iter();
        Self {
            generation: state.generation,
            v: state.version,
            members: state.members.iter().map(FlatMember::of).collect(),
            partitions: partitions.map(|it| (owner(it), it.epoch, it.moving, it.committed)).collect(),
        }
    }
}

impl FlatMember {
    fn of(member: &Member) -> Self {
        Self {
            id: member.id,
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            host: member.host.clone(),
            session_ms: member.session_ms,
            v: member.v,
            n: member.n as i64,
            last_beat: member.last_beat,
        }
    }
}

fn of_member(kind: &str, member: MemberId, n: u64) -> Flat {
    Flat { kind: kind.into(), member: Some(member), n: Some(n as i64), ..Flat::default() }
}

/// The value of the record that says `command`.
pub fn encode(command: &Command) -> Result<Vec<u8>, DecodeError> {
    let kind = |kind: &str| Flat { kind: kind.into(), ..Flat::default() };
    let flat = match command {
        Command::Join(join) => Flat {
            v: Some(join.v),
            member: Some(join.member),
            instance: join.instance.clone(),
            replaces: join.replaces,
            client_id: Some(join.client_id.clone()),
            host: Some(join.host.clone()),
            session_ms: Some(join.session_ms),
            partitions: Some(join.partitions),
            ..kind("join")
        },
        Command::Beat { member, n } => of_member("beat", *member, *n),
        Command::Leave { member, n, released } => {
            let released = released.iter().map(|it| (it.partition, it.epoch, it.committed)).collect();
            Flat { released: Some(released), ..of_member("leave", *member, *n) }
        }
        Command::Evict { members } => Flat { members: Some(members.clone()), ..kind("evict") },
        Command::Grow { partitions } => Flat { partitions: Some(*partitions), ..kind("grow") },
        Command::Release { member, n, released } => Flat {
            partition: Some(released.partition),
            epoch: Some(released.epoch),
            committed: released.committed,
            ..of_member("release", *member, *n)
        },
        Command::Commit { member, n, offsets } => {
            let offsets = offsets.iter().map(|it| vec![i64::from(it.partition), it.epoch, it.offset]).collect();
            Flat { offsets: Some(offsets), ..of_member("commit", *member, *n) }
        }
        Command::Reset { generation, offsets } => {
            let offsets = offsets.iter().map(|(partition, offset)| vec![i64::from(*partition), *offset]).collect();
            Flat { generation: Some(*generation), offsets: Some(offsets), ..kind("reset") }
        }
        Command::Delete { generation } => Flat { generation: Some(*generation), ..kind("delete") },
        Command::Snapshot(snapshot) => Flat {
            as_of: Some(snapshot.as_of),
            chain: Some(format!("{:016x}", snapshot.chain)),
            state: Some(FlatState::of(&snapshot.state)),
            ..kind("snapshot")
        },
        Command::Directory(directory) => {
            let keys = directory.keys.iter().map(|(key, it)| (key.to_string(), (it.snapshot, it.from, it.last)));
            Flat { as_of: Some(directory.as_of), keys: Some(keys.collect()), ..kind("directory") }
        }
    };
    Ok(serde_json::to_vec(&flat)?)
}
