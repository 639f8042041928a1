//! Consumer offsets: which record of which partition a consumer has processed last.
//!
//! The real cluster keeps them as a key-value log in the topic `consumer-offset`; here they are a journal of their own,
//! a line for each change, with the same promise as for records: what was answered survives the death of the process.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::ReplicaKey;
use fluvio_spu_schema::server::consumer_offset::{
    ConsumerOffset, DeleteConsumerOffsetRequest, DeleteConsumerOffsetResponse, FetchConsumerOffsetsRequest,
    FetchConsumerOffsetsResponse,
};
use fluvio_types::PartitionId;
use fluvio_types::defaults::CONSUMER_REPLICA_KEY;
use serde::{Deserialize, Serialize};

use super::Spu;
use crate::files;

/// Changes that may follow each other before the journal is written anew, beside four for each entry.
const SLACK: usize = 1000;

/// A line of the journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Set { consumer: String, topic: String, partition: PartitionId, offset: i64, time: u64 },
    Delete { consumer: String, topic: String, partition: PartitionId },
    DeleteTopic { topic: String },
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: i64,
    /// Seconds since 1970.
    time: u64,
}

#[derive(Debug)]
struct State {
    entries: BTreeMap<(String, ReplicaKey), Entry>,
    journal: File,
    /// Bytes of whole lines.
    length: u64,
    lines: usize,
}

impl State {
    /// Writes the entries as a journal without history.
    fn compacted(path: &PathBuf, entries: BTreeMap<(String, ReplicaKey), Entry>) -> io::Result<Self> {
        let text = lines(&entries)?;
        files::replace(path, &text)?;
        let journal = OpenOptions::new().append(true).open(path)?;
        Ok(Self { lines: entries.len(), length: text.len() as u64, entries, journal })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if let Err(error) = self.journal.write_all(line) {
            // The next line must not follow on a part of this one.
            let _ = self.journal.set_len(self.length);
            return Err(error);
        }
        self.length += line.len() as u64;
        self.lines += 1;
        Ok(())
    }
}

/// The offsets of all consumers, as kept by the SPU that leads `consumer-offset`; closed while it is down.
#[derive(Debug)]
pub(crate) struct Consumers {
    path: PathBuf,
    state: Mutex<Option<State>>,
    /// Offsets in other topics are not shown.
    topics: Mutex<BTreeSet<String>>,
}

fn apply(entries: &mut BTreeMap<(String, ReplicaKey), Entry>, change: Change) {
    match change {
        Change::Set { consumer, topic, partition, offset, time } => {
            entries.insert((consumer, ReplicaKey::new(topic, partition)), Entry { offset, time });
        }
        Change::Delete { consumer, topic, partition } => {
            entries.remove(&(consumer, ReplicaKey::new(topic, partition)));
        }
        Change::DeleteTopic { topic } => entries.retain(|(_, replica), _| replica.topic != topic),
    }
}

fn line(change: &Change) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(change)?;
    line.push(b'\n');
    Ok(line)
}

/// A journal without history.
fn lines(entries: &BTreeMap<(String, ReplicaKey), Entry>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for ((consumer, replica), Entry { offset, time }) in entries {
        text.extend(line(&Change::Set {
            consumer: consumer.clone(),
            topic: replica.topic.clone(),
            partition: replica.partition,
            offset: *offset,
            time: *time,
        })?);
    }
    Ok(text)
}

impl Consumers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::default(), topics: Mutex::default() }
    }

    /// Reads the journal. A last line that a kill has cut was not answered, and is dropped.
    pub(crate) fn open(&self) -> io::Result<()> {
        let mut entries = BTreeMap::new();
        let text = files::read(&self.path)?.unwrap_or_default();
        for line in text.split(|&byte| byte == b'\n') {
            if let Ok(change) = serde_json::from_slice(line) {
                apply(&mut entries, change);
            }
        }
        *self.state() = Some(State::compacted(&self.path, entries)?);
        Ok(())
    }

    /// Drops what is in memory.
    pub(crate) fn close(&self) {
        *self.state() = None;
    }

    // Each change leaves the state whole.
    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn topics(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a topic.
    pub(crate) fn add_topic(&self, topic: &str) {
        self.topics().insert(topic.to_owned());
    }

    fn change(&self, change: Change) -> Result<(), ErrorCode> {
        let mut state = self.state();
        let Some(state) = &mut *state else {
            return Err(ErrorCode::Other("the leader of consumer-offset is not available".to_owned()));
        };
        line(&change).and_then(|line| state.write(&line)).map_err(|error| {
            complain!("consumer offsets: {error}");
            ErrorCode::StorageError
        })?;
        apply(&mut state.entries, change);
        // Where that fails, the journal is longer than it need be.
        if state.lines > SLACK + 4 * state.entries.len()
            && let Ok(compacted) = State::compacted(&self.path, state.entries.clone())
        {
            *state = compacted;
        }
        Ok(())
    }

    /// Adds a line to the journal while it is closed.
    fn note(&self, change: &Change) -> io::Result<()> {
        OpenOptions::new().append(true).open(&self.path)?.write_all(&line(change)?)
    }

    /// Stores an offset as it is given: the real server checks nothing either.
    pub(crate) fn set(&self, consumer: &str, replica: &ReplicaKey, offset: i64) -> Result<(), ErrorCode> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        let (topic, partition) = replica.clone().split();
        self.change(Change::Set { consumer: consumer.to_owned(), topic, partition, offset, time })
    }

    /// Forgets the offsets in a topic that is deleted.
    pub(crate) fn delete_topic(&self, topic: &str) {
        self.topics().remove(topic);
        let change = Change::DeleteTopic { topic: topic.to_owned() };
        let concerned = |state: &State| state.entries.keys().any(|(_, replica)| replica.topic == topic);
        let state = self.state().as_ref().map(concerned);
        // The answer to the deletion does not depend on it: readers do not see offsets in unknown topics.
        match state {
            Some(true) => drop(self.change(change)),
            Some(false) => {}
            None => drop(self.note(&change)),
        }
    }
}

/// Whether the SPU leads the partition in which the real one keeps the offsets.
fn leads(spu: &Spu) -> bool {
    spu.held(CONSUMER_REPLICA_KEY.0, CONSUMER_REPLICA_KEY.1).is_some()
}

pub(crate) fn delete(spu: &Spu, request: DeleteConsumerOffsetRequest) -> DeleteConsumerOffsetResponse {
    let (topic, partition) = request.replica_id.split();
    let change = Change::Delete { consumer: request.consumer_id, topic, partition };
    let deleted = if leads(spu) { spu.consumers.change(change) } else { Err(ErrorCode::PartitionNotLeader) };
    DeleteConsumerOffsetResponse { error_code: deleted.err().unwrap_or_default() }
}

pub(crate) fn fetch(spu: &Spu, request: FetchConsumerOffsetsRequest) -> FetchConsumerOffsetsResponse {
    if !leads(spu) {
        return FetchConsumerOffsetsResponse { error_code: ErrorCode::PartitionNotLeader, consumers: Vec::new() };
    }
    let filter = request.filter_opts.unwrap_or_default();
    let state = spu.consumers.state();
    let topics = spu.consumers.topics();
    let wanted = state.iter().flat_map(|state| &state.entries).filter(|((consumer, replica), _)| {
        filter.consumer_id.as_ref().is_none_or(|wanted| wanted == consumer)
            && filter.replica_id.as_ref().is_none_or(|wanted| wanted == replica)
            && topics.contains(&replica.topic)
    });
    let consumers = wanted.map(|((consumer, replica), entry)| {
        ConsumerOffset::new(consumer.clone(), replica.clone(), entry.offset, entry.time)
    });
    FetchConsumerOffsetsResponse { error_code: ErrorCode::None, consumers: consumers.collect() }
}
