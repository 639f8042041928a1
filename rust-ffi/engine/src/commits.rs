//! What one consumer has processed, and what the cluster stores of that under the consumer's id.

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
use crate::log::log;
use crate::log_offsets::{known_leader, leader};
use crate::replies::RecordBytes;
use crate::session::Session;
use crate::stored_offsets::{VERSION, check, refusal, stored};
use crate::transport::Connection;

/// How long what is known of the stored offsets is trusted: another consumer may have stored more. After a longer pause
/// they are fetched anew before a commit.
const TRUSTED: Duration = Duration::from_secs(1);

/// A connection to one SPU, and the sessions on it under which offsets are stored.
struct CommitConnection {
    connection: Connection,
    /// The sessions' numbers, by partition.
    sessions: HashMap<u32, u32>,
}

/// Stores and finds the offsets of one consumer id in one topic.
pub(crate) struct Commits {
    session: Session,
    topic: String,
    id: String,
    /// By leader. The lock is held throughout a commit: commits go one after the other, and the last one wins.
    connections: Mutex<HashMap<i32, CommitConnection>>,
    trouble: Trouble,
    /// By partition. Taken while `connections` is held, never the other way round.
    cells: std::sync::Mutex<CommitCells>,
}

/// What the caller has processed of a partition, and what of it is stored.
struct CommitCell {
    /// The offset that the caller marked as processed, for automatic commits; -1: none. The caller writes it from any
    /// thread.
    marked: Arc<AtomicI64>,
    /// The mark that was committed last.
    committed: i64,
    /// The stored offset, as far as it is known; -1: none.
    stored: i64,
    /// When `stored` was learned.
    learned: Option<Instant>,
    /// Whether the stored offset may go back, since the caller has sought backwards.
    may_go_back: bool,
}

impl Default for CommitCell {
    fn default() -> Self {
        Self { marked: Arc::new(AtomicI64::new(-1)), committed: -1, stored: -1, learned: None, may_go_back: false }
    }
}

type CommitCells = BTreeMap<u32, CommitCell>;

impl Commits {
    pub(crate) fn new(session: Session, topic: &str, id: &str) -> Self {
        Self {
            session,
            topic: topic.to_owned(),
            id: id.to_owned(),
            connections: Mutex::default(),
            trouble: Trouble::default(),
            cells: Default::default(),
        }
    }

    fn cells(&self) -> std::sync::MutexGuard<'_, CommitCells> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong with commits, also with earlier ones that a commit waits for.
    pub(crate) fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Stores offsets exactly as given; again while leaders change or are away.
    pub(crate) async fn commit(&self, processed: &[(u32, i64)], limit: &Limit) -> Result<()> {
        self.store(processed, true, limit).await
    }

    /// Stores what was processed, but no offset below the stored one, unless the caller has sought backwards.
    pub(crate) async fn commit_processed(&self, processed: &[(u32, i64)], limit: &Limit) -> Result<()> {
        self.store(processed, false, limit).await
    }

    /// Stores offsets, anew while leaders change or are away. The SC is only needed for leaders that are not known.
    async fn store(&self, processed: &[(u32, i64)], exactly: bool, limit: &Limit) -> Result<()> {
        let counters = self.session.counters();
        // Held throughout, so that a commit that is tried again does not overtake a later one.
        let mut connections = self.connections.lock().await;
        let mut left = processed.to_vec();
        let mut attempts = limit.attempts(counters);
        loop {
            // Before each attempt: during the last one another consumer may have taken this one's place.
            if !exactly {
                self.drop_backward(&mut left, limit).await?;
            }
            let Err(error) = self.store_all(&mut connections, &mut left, limit).await else { return Ok(()) };
            log!(
                WARN, CONSUMER, counters, "a commit has failed",
                topic = &*self.topic, consumer_id = &*self.id, partitions = left.len(), reason = %error.reason()
            );
            self.session.metadata().request_refresh();
            attempts.after(error.with_topic(&self.topic)).await.map_err(|error| counters.noted(error))?;
        }
    }

    /// Drops offsets that would take the stored one back where that is not allowed.
    async fn drop_backward(&self, processed: &mut Vec<(u32, i64)>, limit: &Limit) -> Result<()> {
        let outdated = {
            let mut cells = self.cells();
            processed.iter().any(|(partition, _)| {
                let cell = cells.entry(*partition).or_default();
                !cell.may_go_back && cell.learned.is_none_or(|learned| learned.elapsed() > TRUSTED)
            })
        };
        if outdated {
            self.fetch(limit).await?;
        }
        let mut cells = self.cells();
        processed.retain(|(partition, offset)| {
            let cell = cells.entry(*partition).or_default();
            cell.may_go_back || *offset >= cell.stored
        });
        Ok(())
    }

    /// One attempt to store all that is `left`. What fails stays there.
    async fn store_all(
        &self,
        connections: &mut HashMap<i32, CommitConnection>,
        left: &mut Vec<(u32, i64)>,
        limit: &Limit,
    ) -> Result<()> {
        let mut failed = Vec::new();
        let mut cause: Option<Error> = None;
        // A silent SPU is waited for once, and does not hold up the partitions that others lead.
        let mut silent = HashSet::new();
        for (partition, offset) in left.drain(..) {
            let leader = known_leader(&self.session, &self.topic, partition);
            if leader.is_some_and(|leader| silent.contains(&leader)) {
                failed.push((partition, offset));
                continue;
            }
            match self.commit_one(connections, partition, offset, limit).await {
                Ok(()) => self.note_stored(partition, offset),
                Err(error) => {
                    failed.push((partition, offset));
                    if matches!(error.kind, ErrorKind::Connection | ErrorKind::Timeout) {
                        silent.extend(leader);
                    }
                    // An error that no other attempt mends outranks the others.
                    cause = cause.filter(|cause| !cause.retriable).or(Some(error));
                }
            }
        }
        *left = failed;
        cause.map_or(Ok(()), Err)
    }

    fn note_stored(&self, partition: u32, offset: i64) {
        let mut cells = self.cells();
        let cell = cells.entry(partition).or_default();
        cell.stored = offset;
        cell.learned = Some(Instant::now());
    }

    /// Lets the stored offset of a partition go back from now on: the caller has sought backwards.
    pub(crate) fn allow_backward(&self, partition: u32) {
        self.cells().entry(partition).or_default().may_go_back = true;
    }

    /// Ends what [`Self::allow_backward`] allowed: the partitions are not the consumer's any more.
    pub(crate) fn keep_forward(&self, partitions: &[u32]) {
        let mut cells = self.cells();
        for partition in partitions {
            if let Some(cell) = cells.get_mut(partition) {
                cell.may_go_back = false;
            }
        }
    }

    /// Where the caller writes the offset that it has processed.
    pub(crate) fn mark(&self, partition: u32) -> Arc<AtomicI64> {
        Arc::clone(&self.cells().entry(partition).or_default().marked)
    }

    /// Stores what was marked as processed since the last time.
    pub(crate) async fn commit_marked(&self, limit: &Limit) -> Result<()> {
        let changed: Vec<(u32, i64)> = {
            let cells = self.cells();
            let marks = cells.iter().map(|(partition, cell)| (*partition, cell.marked.load(Ordering::Acquire), cell));
            marks
                .filter(|(_, mark, cell)| *mark != cell.committed)
                .map(|(partition, mark, _)| (partition, mark))
                .collect()
        };
        if changed.is_empty() {
            return Ok(());
        }
        self.commit_processed(&changed, limit).await?;
        let mut cells = self.cells();
        for (partition, mark) in changed {
            cells.entry(partition).or_default().committed = mark;
        }
        Ok(())
    }

    async fn commit_one(
        &self,
        connections: &mut HashMap<i32, CommitConnection>,
        partition: u32,
        offset: i64,
        limit: &Limit,
    ) -> Result<()> {
        let leader = leader(&self.session, &self.topic, partition, limit).await?;
        // Taken out, so that an error, or a commit that is cancelled, leaves no connection behind with a reply under
        // way.
        let mut spu = match connections.remove(&leader) {
            Some(spu) => spu,
            None => CommitConnection { connection: self.session.dial(leader, true).await?, sessions: HashMap::new() },
        };
        let session_id = match spu.sessions.get(&partition) {
            Some(session) => *session,
            None => {
                let session = self.open_session(&mut spu.connection, partition).await?;
                spu.sessions.insert(partition, session);
                session
            }
        };
        let request = UpdateConsumerOffsetRequest { offset, session_id };
        let number = spu.connection.request(&request, VERSION)?;
        let response: UpdateConsumerOffsetResponse =
            self.session.reply(&mut spu.connection, number).await?.decode(VERSION)?;
        check(&response.error_code, &spu.connection).map_err(|error| error.with_partition(partition))?;
        log!(
            DEBUG,
            CONSUMER,
            self.session.counters(),
            "an offset is committed",
            topic = &*self.topic,
            partition,
            consumer_id = &*self.id,
            offset
        );
        connections.insert(leader, spu);
        Ok(())
    }

    /// Opens a session: that of a stream with the consumer's id, which it outlives. A stream that would begin beyond
    /// the end of any log fails at once, and the answer has the session's number.
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

    /// Fetches the stored offsets, by partition, and remembers them.
    pub(crate) async fn fetch(&self, limit: &Limit) -> Result<BTreeMap<u32, i64>> {
        let asked = Instant::now();
        let stored = stored(&self.session, Some(&self.id), limit).await?;
        let found: BTreeMap<u32, i64> = stored
            .into_iter()
            .filter_map(|stored| match stored.replica_id {
                ReplicaKey { topic, partition } if topic == self.topic => Some((partition, stored.offset)),
                _ => None,
            })
            .collect();
        let mut cells = self.cells();
        for partition in found.keys() {
            cells.entry(*partition).or_default();
        }
        for (partition, cell) in cells.iter_mut() {
            // A commit may have come in between.
            if cell.learned.is_none_or(|learned| learned < asked) {
                cell.stored = found.get(partition).copied().unwrap_or(-1);
                cell.learned = Some(asked);
            }
        }
        Ok(found)
    }
}
