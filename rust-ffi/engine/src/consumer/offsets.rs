//! Stored offsets: those of the last processed records, kept by the cluster under a consumer's id.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError};

use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::record::ReplicaKey;
use fluvio_spu_schema::server::consumer_offset::{
    ConsumerOffset, DeleteConsumerOffsetRequest, DeleteConsumerOffsetResponse, FetchConsumerOffsetsRequest,
    FetchConsumerOffsetsResponse, UpdateConsumerOffsetRequest, UpdateConsumerOffsetResponse,
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
    slots: std::sync::Mutex<BTreeMap<u32, Slot>>,
}

/// What the caller says it has processed, and what of it is stored.
struct Slot {
    processed: Arc<AtomicI64>,
    stored: i64,
}

impl Offsets {
    pub(crate) fn new(client: Client, topic: &str, id: &str) -> Self {
        Self { client, topic: topic.to_owned(), id: id.to_owned(), links: Mutex::default(), slots: Default::default() }
    }

    /// Stores what was processed last, exactly as given; retries while leaders change or are away.
    pub(crate) async fn commit(&self, processed: &[(u32, i64)]) -> Result<()> {
        let mut links = self.links.lock().await;
        let mut left = processed.to_vec();
        let mut backoff = backoff();
        loop {
            let mut failed = Vec::new();
            let mut cause = None;
            for (partition, offset) in left {
                if let Err(error) = self.commit_one(&mut links, partition, offset).await {
                    failed.push((partition, offset));
                    cause = Some(self.client.counters().noted(error));
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

    /// Where the caller writes what it has processed.
    pub(crate) fn slot(&self, partition: u32) -> Arc<AtomicI64> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot =
            slots.entry(partition).or_insert_with(|| Slot { processed: Arc::new(AtomicI64::new(-1)), stored: -1 });
        Arc::clone(&slot.processed)
    }

    /// Stores what was processed since the last time.
    pub(crate) async fn commit_processed(&self) -> Result<()> {
        let changed: Vec<(u32, i64)> = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let now =
                slots.iter().map(|(partition, slot)| (*partition, slot.processed.load(Ordering::Acquire), slot.stored));
            now.filter(|(_, processed, stored)| processed != stored)
                .map(|(partition, now, _)| (partition, now))
                .collect()
        };
        if changed.is_empty() {
            return Ok(());
        }
        self.commit(&changed).await?;
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, offset) in changed {
            if let Some(slot) = slots.get_mut(&partition) {
                slot.stored = offset;
            }
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

    /// The stored offsets, by partition.
    pub(crate) async fn committed(&self) -> Result<BTreeMap<u32, i64>> {
        let stored = stored(&self.client, Some(&self.id)).await?;
        Ok(stored
            .into_iter()
            .filter_map(|stored| match stored.replica_id {
                ReplicaKey { topic, partition } if topic == self.topic => Some((partition, stored.offset)),
                _ => None,
            })
            .collect())
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
    Backoff::new(std::time::Duration::from_millis(20), std::time::Duration::from_secs(1))
}

/// Whether another attempt can help: leaders change, SPUs come back.
fn again(error: &Error) -> bool {
    use ErrorKind as K;
    matches!(error.kind, K::Connection | K::NotLeader | K::SpuNotFound | K::Timeout)
}
