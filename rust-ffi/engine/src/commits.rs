//! What one consumer has processed, and what of it is stored by the cluster under the consumer's id.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use fluvio_protocol::record::ReplicaKey;
use fluvio_spu_schema::server::consumer_offset::{UpdateConsumerOffsetRequest, UpdateConsumerOffsetResponse};
use fluvio_spu_schema::server::stream_fetch::{StreamFetchRequest, StreamFetchResponse};
use tokio::sync::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::limit::{Limit, Trouble};
use crate::log_offsets::{known_leader, leader};
use crate::replies::RecordBytes;
use crate::session::Session;
use crate::stored_offsets::{VERSION, accepted, refusal, stored};
use crate::transport::Connection;

/// How long what is known of the stored offsets is believed. Whoever was stopped for longer looks first.
const BELIEVED: Duration = Duration::from_secs(1);

/// A connection to one SPU, and the sessions on it.
struct Link {
    connection: Connection,
    /// By partition.
    sessions: HashMap<u32, u32>,
}

/// Stores and finds the offsets of one consumer id in one topic.
pub(crate) struct Commits {
    session: Session,
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

impl Commits {
    pub(crate) fn new(session: Session, topic: &str, id: &str) -> Self {
        Self {
            session,
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
        let counters = self.session.counters();
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
            self.session.view().doubt();
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
            let leader = known_leader(&self.session, &self.topic, partition);
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
        let leader = leader(&self.session, &self.topic, partition, limit).await?;
        // Taken out: what goes wrong, or is cancelled, leaves no connection behind with a reply under way.
        let mut link = match links.remove(&leader) {
            Some(link) => link,
            None => Link { connection: self.session.dial(leader, true).await?, sessions: HashMap::new() },
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
            self.session.reply(&mut link.connection, number).await?.decode(VERSION)?;
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
            self.session.reply(connection, number).await?.decode(VERSION)?;
        // A stream that found no leader takes no number.
        match response.stream_id {
            0 => Err(refusal(&response.partition.error_code, connection).with_partition(partition)),
            session => Ok(session),
        }
    }

    /// The stored offsets, by partition, which are also remembered.
    pub(crate) async fn look(&self, limit: &Limit) -> Result<BTreeMap<u32, i64>> {
        let asked = Instant::now();
        let stored = stored(&self.session, Some(&self.id), limit).await?;
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
