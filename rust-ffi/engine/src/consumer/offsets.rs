//! Stored offsets: those of the last processed records, kept by the cluster under a consumer's id.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::ReplicaKey;
use fluvio_spu_schema::server::consumer_offset::{
    ConsumerOffset, DeleteConsumerOffsetRequest, DeleteConsumerOffsetResponse, FetchConsumerOffsetsRequest,
    FetchConsumerOffsetsResponse, UpdateConsumerOffsetRequest, UpdateConsumerOffsetResponse,
};
use fluvio_spu_schema::server::fetch_offset::{
    FetchOffsetPartition, FetchOffsetPartitionResponse, FetchOffsetTopic, FetchOffsetsRequest, FetchOffsetsResponse,
};
use fluvio_spu_schema::server::stream_fetch::{StreamFetchRequest, StreamFetchResponse};
use futures_util::future::join_all;
use tokio::sync::Mutex;

use super::reader::RecordBytes;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::limit::{Limit, Trouble};
use crate::transport::{Connection, Frame};

/// The system topic whose leader keeps them.
const TOPIC: &str = "consumer-offset";
const VERSION: i16 = 25;

/// How long what is known of the stored offsets is believed. Whoever was stopped for longer looks first.
const BELIEVED: Duration = Duration::from_secs(1);

/// A connection to one SPU, and the sessions on it.
struct Link {
    connection: Connection,
    /// By partition.
    sessions: HashMap<u32, u32>,
}

/// Stores and finds the offsets of one consumer id in one topic.
pub(crate) struct Offsets {
    client: Client,
    topic: String,
    id: String,
    /// By leader. Commits go one after another: the last one wins.
    links: Mutex<HashMap<i32, Link>>,
    trouble: Trouble,
    /// By partition.
    slots: std::sync::Mutex<Slots>,
}

/// What the caller has processed of a partition, and what of it is stored.
struct Slot {
    /// What the caller marked as processed, for automatic commits.
    marked: Arc<AtomicI64>,
    /// The mark that was committed last.
    committed: i64,
    /// What is stored, as far as is known; -1: nothing.
    stored: i64,
    /// When that was known.
    known: Option<Instant>,
    /// The caller has sought backwards: what is stored may go back.
    sought: bool,
}

impl Default for Slot {
    fn default() -> Self {
        Self { marked: Arc::new(AtomicI64::new(-1)), committed: -1, stored: -1, known: None, sought: false }
    }
}

type Slots = BTreeMap<u32, Slot>;

impl Offsets {
    pub(crate) fn new(client: Client, topic: &str, id: &str) -> Self {
        Self {
            client,
            topic: topic.to_owned(),
            id: id.to_owned(),
            links: Mutex::default(),
            trouble: Trouble::default(),
            slots: Default::default(),
        }
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong with commits, also with those of others that one waits for.
    pub(crate) fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Stores offsets exactly as given; again while leaders change or are away.
    pub(crate) async fn commit(&self, processed: &[(u32, i64)], limit: &Limit) -> Result<()> {
        self.store(processed, true, limit).await
    }

    /// Stores what was processed, but nothing less than what is stored, unless the caller has sought backwards.
    pub(crate) async fn commit_processed(&self, processed: &[(u32, i64)], limit: &Limit) -> Result<()> {
        self.store(processed, false, limit).await
    }

    /// It needs the SC only for what it does not know.
    async fn store(&self, processed: &[(u32, i64)], exactly: bool, limit: &Limit) -> Result<()> {
        let counters = self.client.counters();
        // Held throughout: a commit that is tried again does not overtake a later one.
        let mut links = self.links.lock().await;
        let mut left = processed.to_vec();
        let mut attempts = limit.attempts(counters);
        loop {
            // Each time: while this one was away another may have taken its place.
            if !exactly {
                self.keep_forward(&mut left, limit).await?;
            }
            let Err(error) = self.store_all(&mut links, &mut left, limit).await else { return Ok(()) };
            self.client.view().doubt();
            attempts.after(error.with_topic(&self.topic)).await.map_err(|error| counters.noted(error))?;
        }
    }

    /// Drops what is less than what is stored, and may not be.
    async fn keep_forward(&self, processed: &mut Vec<(u32, i64)>, limit: &Limit) -> Result<()> {
        let doubtful = {
            let mut slots = self.slots();
            processed.iter().any(|(partition, _)| {
                let slot = slots.entry(*partition).or_default();
                !slot.sought && slot.known.is_none_or(|known| known.elapsed() > BELIEVED)
            })
        };
        if doubtful {
            self.look(limit).await?;
        }
        let mut slots = self.slots();
        processed.retain(|(partition, offset)| {
            let slot = slots.entry(*partition).or_default();
            slot.sought || *offset >= slot.stored
        });
        Ok(())
    }

    /// One attempt at all that is `left`; what fails stays there.
    async fn store_all(&self, links: &mut HashMap<i32, Link>, left: &mut Vec<(u32, i64)>, limit: &Limit) -> Result<()> {
        let mut failed = Vec::new();
        let mut cause: Option<Error> = None;
        // A silent SPU is waited for once, and does not hold up what others lead.
        let mut silent = HashSet::new();
        for (partition, offset) in left.drain(..) {
            let leader = known_leader(&self.client, &self.topic, partition);
            if leader.is_some_and(|leader| silent.contains(&leader)) {
                failed.push((partition, offset));
                continue;
            }
            match self.commit_one(links, partition, offset, limit).await {
                Ok(()) => self.note_stored(partition, offset),
                Err(error) => {
                    failed.push((partition, offset));
                    if matches!(error.kind, ErrorKind::Connection | ErrorKind::Timeout) {
                        silent.extend(leader);
                    }
                    // What no other attempt mends ends all of them.
                    cause = cause.filter(|cause| !cause.retriable).or(Some(error));
                }
            }
        }
        *left = failed;
        cause.map_or(Ok(()), Err)
    }

    fn note_stored(&self, partition: u32, offset: i64) {
        let mut slots = self.slots();
        let slot = slots.entry(partition).or_default();
        slot.stored = offset;
        slot.known = Some(Instant::now());
    }

    /// The caller has sought backwards in a partition: what is stored of it may go back from now on.
    pub(crate) fn sought(&self, partition: u32) {
        self.slots().entry(partition).or_default().sought = true;
    }

    /// Where the caller writes what it has processed.
    pub(crate) fn mark(&self, partition: u32) -> Arc<AtomicI64> {
        Arc::clone(&self.slots().entry(partition).or_default().marked)
    }

    /// Stores what was marked as processed since the last time.
    pub(crate) async fn commit_marked(&self, limit: &Limit) -> Result<()> {
        let changed: Vec<(u32, i64)> = {
            let slots = self.slots();
            let marks = slots.iter().map(|(partition, slot)| (*partition, slot.marked.load(Ordering::Acquire), slot));
            marks
                .filter(|(_, mark, slot)| *mark != slot.committed)
                .map(|(partition, mark, _)| (partition, mark))
                .collect()
        };
        if changed.is_empty() {
            return Ok(());
        }
        self.commit_processed(&changed, limit).await?;
        let mut slots = self.slots();
        for (partition, mark) in changed {
            slots.entry(partition).or_default().committed = mark;
        }
        Ok(())
    }

    async fn commit_one(
        &self,
        links: &mut HashMap<i32, Link>,
        partition: u32,
        offset: i64,
        limit: &Limit,
    ) -> Result<()> {
        let leader = leader(&self.client, &self.topic, partition, limit).await?;
        // Taken out: what goes wrong, or is cancelled, leaves no connection behind with a reply under way.
        let mut link = match links.remove(&leader) {
            Some(link) => link,
            None => Link { connection: self.client.dial(leader, true).await?, sessions: HashMap::new() },
        };
        let session_id = match link.sessions.get(&partition) {
            Some(session) => *session,
            None => {
                let session = self.open_session(&mut link.connection, partition).await?;
                link.sessions.insert(partition, session);
                session
            }
        };
        let request = UpdateConsumerOffsetRequest { offset, session_id };
        let number = link.connection.request(&request, VERSION)?;
        let response: UpdateConsumerOffsetResponse =
            reply(&self.client, &mut link.connection, number).await?.decode(VERSION)?;
        accepted(&response.error_code, &link.connection).map_err(|error| error.with_partition(partition))?;
        links.insert(leader, link);
        Ok(())
    }

    /// A session is that of a stream with the consumer's id; it outlives the stream. One beyond the end of any log fails
    /// at once, and its answer says its number.
    async fn open_session(&self, connection: &mut Connection, partition: u32) -> Result<u32> {
        let mut request = StreamFetchRequest::<RecordBytes>::default();
        request.topic.clone_from(&self.topic);
        request.partition = partition;
        request.fetch_offset = i64::MAX;
        request.max_bytes = 1;
        request.consumer_id = Some(self.id.clone());
        let number = connection.request(&request, VERSION)?;
        let response: StreamFetchResponse<RecordBytes> =
            reply(&self.client, connection, number).await?.decode(VERSION)?;
        // A stream that found no leader takes no number.
        match response.stream_id {
            0 => Err(refusal(&response.partition.error_code, connection).with_partition(partition)),
            session => Ok(session),
        }
    }

    /// The stored offsets, by partition, which are also remembered.
    pub(crate) async fn look(&self, limit: &Limit) -> Result<BTreeMap<u32, i64>> {
        let asked = Instant::now();
        let stored = stored(&self.client, Some(&self.id), limit).await?;
        let found: BTreeMap<u32, i64> = stored
            .into_iter()
            .filter_map(|stored| match stored.replica_id {
                ReplicaKey { topic, partition } if topic == self.topic => Some((partition, stored.offset)),
                _ => None,
            })
            .collect();
        let mut slots = self.slots();
        for partition in found.keys() {
            slots.entry(*partition).or_default();
        }
        for (partition, slot) in slots.iter_mut() {
            // A commit may have come in between.
            if slot.known.is_none_or(|known| known < asked) {
                slot.stored = found.get(partition).copied().unwrap_or(-1);
                slot.known = Some(asked);
            }
        }
        Ok(found)
    }
}

/// The stored offsets of one consumer's id, or of all; again while leaders change or are away.
pub(crate) async fn stored(client: &Client, id: Option<&str>, limit: &Limit) -> Result<Vec<ConsumerOffset>> {
    let mut attempts = limit.attempts(client.counters());
    loop {
        match fetch(client, id, limit).await {
            Err(error) => attempts.after(error).await.map_err(|error| client.counters().noted(error))?,
            stored => return stored,
        }
    }
}

async fn fetch(client: &Client, id: Option<&str>, limit: &Limit) -> Result<Vec<ConsumerOffset>> {
    // A young cluster has not made the topic yet, and so has no offsets.
    let Some(mut connection) = keeper(client, limit).await? else { return Ok(Vec::new()) };
    // There may be many, of all consumers.
    connection.expect(usize::MAX);
    let request = FetchConsumerOffsetsRequest::with_opts(None, id.map(str::to_owned));
    let number = connection.request(&request, VERSION)?;
    let response: FetchConsumerOffsetsResponse = reply(client, &mut connection, number).await?.decode(VERSION)?;
    accepted(&response.error_code, &connection)?;
    Ok(response.consumers.into_iter().filter(|stored| id.is_none_or(|id| stored.consumer_id == id)).collect())
}

/// Forgets a stored offset, if there is one; again while leaders change or are away.
pub(crate) async fn forget(client: &Client, id: &str, topic: &str, partition: u32, limit: &Limit) -> Result<()> {
    let mut attempts = limit.attempts(client.counters());
    while let Err(error) = delete(client, id, topic, partition, limit).await {
        attempts.after(error).await.map_err(|error| client.counters().noted(error))?;
    }
    Ok(())
}

async fn delete(client: &Client, id: &str, topic: &str, partition: u32, limit: &Limit) -> Result<()> {
    let Some(mut connection) = keeper(client, limit).await? else { return Ok(()) };
    let number = connection.request(&DeleteConsumerOffsetRequest::new(topic, partition, id), VERSION)?;
    let response: DeleteConsumerOffsetResponse = reply(client, &mut connection, number).await?.decode(VERSION)?;
    accepted(&response.error_code, &connection)
}

/// A connection to the SPU that keeps the offsets. `None`: they have no place yet.
async fn keeper(client: &Client, limit: &Limit) -> Result<Option<Connection>> {
    match client.view().topic(TOPIC, limit).await {
        Err(error) if error.kind == ErrorKind::TopicNotFound => return Ok(None),
        other => other?,
    };
    client.dial(leader(client, TOPIC, 0, limit).await?, true).await.map(Some)
}

/// The SPU that leads a partition. The SC is only asked, whether there is such a topic, where none is known.
pub(crate) async fn leader(client: &Client, topic: &str, partition: u32, limit: &Limit) -> Result<i32> {
    if let Some(leader) = known_leader(client, topic, partition) {
        return Ok(leader);
    }
    client.view().require(topic, limit).await?;
    known_leader(client, topic, partition).ok_or_else(|| leaderless(topic, partition))
}

fn leaderless(topic: &str, partition: u32) -> Error {
    let text = format!("partition {partition} of topic \"{topic}\" has no leader");
    Error::new(ErrorKind::NotLeader, text).with_topic(topic).with_partition(partition)
}

/// The SPU that leads a partition, as far as is known.
pub(crate) fn known_leader(client: &Client, topic: &str, partition: u32) -> Option<i32> {
    client.view().read(|view| view.partition(topic, partition)).map(|state| state.leader)
}

/// What an SPU answered to a request about stored offsets.
fn accepted(code: &ErrorCode, connection: &Connection) -> Result<()> {
    match code {
        ErrorCode::None => Ok(()),
        code => Err(refusal(code, connection)),
    }
}

/// What the SPU has no code for passes: the one that keeps the offsets is away, or this one has just started and has not
/// heard of it yet.
fn refusal(code: &ErrorCode, connection: &Connection) -> Error {
    let error = Error::from_code(code, None);
    let passes = matches!(code, ErrorCode::Other(_) | ErrorCode::UnknownServerError | ErrorCode::FetchSessionNotFoud);
    let retriable = error.retriable || passes;
    Error { message: format!("{}: {}", connection.peer(), error.message), retriable, ..error }
}

/// The first offset of a log, and the one after its last.
pub(crate) type Bounds = (i64, i64);

/// The bounds of the logs of partitions that one SPU leads, or why it does not tell them.
pub(crate) async fn bounds(
    client: &Client,
    spu: i32,
    partitions: Vec<(String, u32)>,
) -> Result<BTreeMap<(String, u32), Result<Bounds>>> {
    let mut topics: BTreeMap<String, Vec<FetchOffsetPartition>> = BTreeMap::new();
    for (topic, partition_index) in partitions {
        topics.entry(topic).or_default().push(FetchOffsetPartition { partition_index });
    }
    let mut request = FetchOffsetsRequest::default();
    request.topics.extend(topics.into_iter().map(|(name, partitions)| FetchOffsetTopic { name, partitions }));
    let mut connection = client.dial(spu, false).await?;
    let number = connection.request(&request, VERSION)?;
    let response: FetchOffsetsResponse = reply(client, &mut connection, number).await?.decode(VERSION)?;
    let mut bounds = BTreeMap::new();
    for topic in response.topics {
        for partition in topic.partitions {
            let key = (topic.name.clone(), partition.partition_index);
            let answer = bounds_of(&partition).map_err(|error| error.with_topic(&key.0).with_partition(key.1));
            bounds.insert(key, answer);
        }
    }
    Ok(bounds)
}

/// The bounds of a log, as its leader tells them.
pub(super) fn bounds_of(told: &FetchOffsetPartitionResponse) -> Result<Bounds> {
    let FetchOffsetPartitionResponse { error_code, start_offset: start, last_stable_offset: end, .. } = told;
    if *error_code != ErrorCode::None {
        return Err(Error::from_code(error_code, None));
    }
    if *start < 0 || *end < 0 {
        return Err(Error::new(ErrorKind::Version, format!("the server says that a log goes from {start} to {end}")));
    }
    Ok((*start, *end))
}

/// The bounds of one log; again while leaders change or are away.
pub(crate) async fn log_bounds(client: &Client, topic: &str, partition: u32, limit: &Limit) -> Result<Bounds> {
    let found = logs_bounds(client, topic, BTreeSet::from([partition]), limit).await?;
    found.get(&partition).copied().ok_or_else(|| unled(topic, partition))
}

/// The bounds of the logs of partitions of a topic, by partition, as their leaders tell them; again while leaders change or
/// are away.
pub(crate) async fn logs_bounds(
    client: &Client,
    topic: &str,
    mut left: BTreeSet<u32>,
    limit: &Limit,
) -> Result<BTreeMap<u32, Bounds>> {
    let mut found = BTreeMap::new();
    let mut attempts = limit.attempts(client.counters());
    while let Err(error) = try_bounds(client, topic, &mut left, &mut found, limit).await {
        client.view().doubt();
        attempts.after(error).await.map_err(|error| client.counters().noted(error))?;
    }
    Ok(found)
}

/// One attempt at all that are `left`, at all leaders at once; those that are found are left no more.
async fn try_bounds(
    client: &Client,
    topic: &str,
    left: &mut BTreeSet<u32>,
    found: &mut BTreeMap<u32, Bounds>,
    limit: &Limit,
) -> Result<()> {
    let mut led: BTreeMap<i32, Vec<(String, u32)>> = BTreeMap::new();
    let mut cause: Option<Error> = None;
    // What no other attempt mends ends all of them.
    let mut failed = |error: Error| {
        if cause.as_ref().is_none_or(|cause| cause.retriable) {
            cause = Some(error);
        }
    };
    for partition in left.iter() {
        match known_leader(client, topic, *partition) {
            Some(leader) => led.entry(leader).or_default().push((topic.to_owned(), *partition)),
            None => failed(leaderless(topic, *partition)),
        }
    }
    if led.values().map(Vec::len).sum::<usize>() < left.len() {
        client.view().require(topic, limit).await?;
    }
    for answer in join_all(led.into_iter().map(|(spu, partitions)| bounds(client, spu, partitions))).await {
        match answer {
            Err(error) => failed(error),
            Ok(answers) => answers.into_iter().for_each(|((_, partition), answer)| match answer {
                Err(error) => failed(error),
                Ok(bounds) => {
                    left.remove(&partition);
                    found.insert(partition, bounds);
                }
            }),
        }
    }
    match left.first() {
        None => Ok(()),
        Some(partition) => Err(cause.unwrap_or_else(|| unled(topic, *partition))),
    }
}

fn unled(topic: &str, partition: u32) -> Error {
    let text = format!("the leader of partition {partition} of \"{topic}\" does not tell its offsets");
    Error::new(ErrorKind::NotLeader, text).with_topic(topic).with_partition(partition)
}

/// The frame that answers request `number`.
pub(crate) async fn reply(client: &Client, connection: &mut Connection, number: i32) -> Result<Frame> {
    let reply = async {
        loop {
            let frame = connection.next_frame().await?;
            if frame.correlation == number {
                return Ok(frame);
            }
            connection.stray()?;
        }
    };
    let timeout = client.request_timeout();
    match tokio::time::timeout(timeout, reply).await {
        Ok(reply) => reply,
        Err(_) => {
            let (peer, seconds) = (connection.peer(), timeout.as_secs_f64());
            let text = format!("{peer} did not answer a request about offsets within {seconds} s");
            Err(Error::new(ErrorKind::Connection, text))
        }
    }
}
