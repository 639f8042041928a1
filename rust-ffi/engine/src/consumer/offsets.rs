//! Stored offsets: those of the last processed records, kept by the cluster under a consumer's id.

use std::collections::{BTreeMap, HashMap};
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
    FetchOffsetPartition, FetchOffsetTopic, FetchOffsetsRequest, FetchOffsetsResponse,
};
use fluvio_spu_schema::server::stream_fetch::{StreamFetchRequest, StreamFetchResponse};
use tokio::sync::Mutex;

use super::reader::RecordBytes;
use crate::backoff::Backoff;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
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
        Self { client, topic: topic.to_owned(), id: id.to_owned(), links: Mutex::default(), slots: Default::default() }
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores offsets exactly as given; retries while leaders change or are away.
    pub(crate) async fn commit(&self, processed: &[(u32, i64)]) -> Result<()> {
        let mut links = self.links.lock().await;
        self.store(&mut links, processed).await
    }

    /// Stores what was processed, but nothing less than what is stored, unless the caller has sought backwards.
    pub(crate) async fn commit_processed(&self, processed: &[(u32, i64)]) -> Result<()> {
        let mut links = self.links.lock().await;
        let doubtful = {
            let mut slots = self.slots();
            processed.iter().any(|(partition, _)| {
                let slot = slots.entry(*partition).or_default();
                !slot.sought && slot.known.is_none_or(|known| known.elapsed() > BELIEVED)
            })
        };
        if doubtful {
            self.look().await?;
        }
        let processed: Vec<(u32, i64)> = {
            let mut slots = self.slots();
            let forward = processed.iter().filter(|(partition, offset)| {
                let slot = slots.entry(*partition).or_default();
                slot.sought || *offset >= slot.stored
            });
            forward.copied().collect()
        };
        self.store(&mut links, &processed).await
    }

    async fn store(&self, links: &mut HashMap<i32, Link>, processed: &[(u32, i64)]) -> Result<()> {
        let mut left = processed.to_vec();
        let mut backoff = backoff();
        loop {
            let mut failed = Vec::new();
            let mut cause = None;
            for (partition, offset) in left {
                match self.commit_one(links, partition, offset).await {
                    Ok(()) => self.note_stored(partition, offset),
                    Err(error) => {
                        failed.push((partition, offset));
                        cause = Some(self.client.counters().noted(error));
                    }
                }
            }
            match cause {
                None => return Ok(()),
                Some(error) if again(&error) => {}
                Some(error) => return Err(error.with_topic(&self.topic)),
            }
            left = failed;
            self.client.view().require(&self.topic).await?;
            backoff.wait().await;
        }
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
    pub(crate) async fn commit_marked(&self) -> Result<()> {
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
        self.commit_processed(&changed).await?;
        let mut slots = self.slots();
        for (partition, mark) in changed {
            slots.entry(partition).or_default().committed = mark;
        }
        Ok(())
    }

    async fn commit_one(&self, links: &mut HashMap<i32, Link>, partition: u32, offset: i64) -> Result<()> {
        let leader = leader(&self.client, &self.topic, partition)?;
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
        if response.error_code != ErrorCode::None {
            return Err(Error::from_code(&response.error_code, None).with_partition(partition));
        }
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
            0 => Err(Error::from_code(&response.partition.error_code, None).with_partition(partition)),
            session => Ok(session),
        }
    }

    /// The stored offsets, by partition, which are also remembered.
    pub(crate) async fn look(&self) -> Result<BTreeMap<u32, i64>> {
        let asked = Instant::now();
        let stored = stored(&self.client, Some(&self.id)).await?;
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

/// The stored offsets of one consumer's id, or of all; retries while leaders change or are away.
pub(crate) async fn stored(client: &Client, id: Option<&str>) -> Result<Vec<ConsumerOffset>> {
    let mut retry = Retry::new(client);
    loop {
        match fetch(client, id).await {
            Ok(stored) => return Ok(stored),
            Err(error) => retry.after(error).await?,
        }
    }
}

async fn fetch(client: &Client, id: Option<&str>) -> Result<Vec<ConsumerOffset>> {
    // A young cluster has not made the topic yet, and so has no offsets.
    let Some(mut connection) = keeper(client).await? else { return Ok(Vec::new()) };
    let request = FetchConsumerOffsetsRequest::with_opts(None, id.map(str::to_owned));
    let number = connection.request(&request, VERSION)?;
    let response: FetchConsumerOffsetsResponse = reply(client, &mut connection, number).await?.decode(VERSION)?;
    match response.error_code {
        ErrorCode::None => {
            Ok(response.consumers.into_iter().filter(|stored| id.is_none_or(|id| stored.consumer_id == id)).collect())
        }
        code => Err(Error::from_code(&code, None)),
    }
}

/// Forgets a stored offset, if there is one; retries while leaders change or are away.
pub(crate) async fn forget(client: &Client, id: &str, topic: &str, partition: u32) -> Result<()> {
    let mut retry = Retry::new(client);
    loop {
        match delete(client, id, topic, partition).await {
            Ok(()) => return Ok(()),
            Err(error) => retry.after(error).await?,
        }
    }
}

async fn delete(client: &Client, id: &str, topic: &str, partition: u32) -> Result<()> {
    let Some(mut connection) = keeper(client).await? else { return Ok(()) };
    let number = connection.request(&DeleteConsumerOffsetRequest::new(topic, partition, id), VERSION)?;
    let response: DeleteConsumerOffsetResponse = reply(client, &mut connection, number).await?.decode(VERSION)?;
    match response.error_code {
        ErrorCode::None => Ok(()),
        code => Err(Error::from_code(&code, None)),
    }
}

/// A connection to the SPU that keeps the offsets. `None`: they have no place yet.
async fn keeper(client: &Client) -> Result<Option<Connection>> {
    match client.view().topic(TOPIC).await {
        Err(error) if error.kind == ErrorKind::TopicNotFound => return Ok(None),
        other => other?,
    };
    client.dial(leader(client, TOPIC, 0)?, true).await.map(Some)
}

pub(crate) fn leader(client: &Client, topic: &str, partition: u32) -> Result<i32> {
    let state = client.view().read(|view| view.partition(topic, partition));
    state.map(|state| state.leader).ok_or_else(|| {
        let text = format!("partition {partition} of topic \"{topic}\" has no leader");
        Error::new(ErrorKind::NotLeader, text).with_topic(topic).with_partition(partition)
    })
}

/// The first offset of a log, and the one after its last.
pub(crate) type Bounds = (i64, i64);

/// The bounds of the logs of partitions that one SPU leads.
pub(crate) async fn bounds(
    client: &Client,
    spu: i32,
    partitions: Vec<(String, u32)>,
) -> Result<BTreeMap<(String, u32), Bounds>> {
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
            if partition.error_code == ErrorCode::None {
                let key = (topic.name.clone(), partition.partition_index);
                bounds.insert(key, (partition.start_offset, partition.last_stable_offset));
            }
        }
    }
    Ok(bounds)
}

/// The bounds of one log; retries while leaders change or are away.
pub(crate) async fn log_bounds(client: &Client, topic: &str, partition: u32) -> Result<Bounds> {
    let key = (topic.to_owned(), partition);
    let mut retry = Retry::new(client);
    loop {
        let known = match leader(client, topic, partition) {
            Ok(leader) => bounds(client, leader, vec![key.clone()]).await,
            Err(error) => Err(error),
        };
        let error = match known.map(|known| known.get(&key).copied()) {
            Ok(Some(bounds)) => return Ok(bounds),
            Ok(None) => Error::new(ErrorKind::NotLeader, format!("nobody leads partition {partition} of \"{topic}\"")),
            Err(error) => error,
        };
        retry.after(error).await?;
    }
}

/// The frame that answers request `number`.
pub(crate) async fn reply(client: &Client, connection: &mut Connection, number: i32) -> Result<Frame> {
    let reply = async {
        loop {
            let frame = connection.next_frame().await?;
            if frame.correlation == number {
                return Ok(frame);
            }
        }
    };
    tokio::time::timeout(client.request_timeout(), reply)
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Connection, "an SPU did not answer a request about offsets")))
}

/// The pauses between attempts.
pub(crate) struct Retry<'a> {
    client: &'a Client,
    backoff: Backoff,
}

impl<'a> Retry<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client, backoff: backoff() }
    }

    /// Waits for the next attempt after `error`, or gives it back if another cannot mend it.
    pub(crate) async fn after(&mut self, error: Error) -> Result<()> {
        let error = self.client.counters().noted(error);
        if !again(&error) {
            return Err(error);
        }
        self.backoff.wait().await;
        Ok(())
    }
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(20), Duration::from_secs(1))
}

/// Whether another attempt can help: leaders change, SPUs come back.
fn again(error: &Error) -> bool {
    use ErrorKind as K;
    matches!(error.kind, K::Connection | K::NotLeader | K::SpuNotFound | K::Timeout)
}
