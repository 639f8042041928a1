//! One who follows a group without being a member: it sees what members see, and may do what needs no member.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fluvio_cffi_group::{Command, GroupKey, MemberId, Offset, Record, Replica};
use tokio::sync::mpsc;

use super::{GroupLog, News, Place, load};
use crate::boottime::boottime;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::limit::Limit;
use crate::session::Session;

/// How long a connection to the log may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Follows a group.
pub(crate) struct Observer {
    replica: Replica,
    key: GroupKey,
    log: Arc<GroupLog>,
    news: mpsc::UnboundedReceiver<News>,
    link: Option<u64>,
    /// By place, when the SPU took the last records of the group, milliseconds since the epoch.
    times: HashMap<Offset, i64>,
}

impl Observer {
    /// Reads the state of a group, and follows it from there.
    pub(crate) async fn open(session: &Session, topic: &str, key: &GroupKey, limit: &Limit) -> Result<Self> {
        let place = Place::of(session, topic, key, limit).await?;
        let log = GroupLog::of(&place);
        let (from, news) = log.subscribe(key, PATIENCE, limit.trouble()).await?;
        let loaded = load(&place, key, from, limit).await?;
        let times = loaded.times.into_iter().collect();
        Ok(Self { replica: loaded.replica, key: key.clone(), log, news, link: None, times })
    }

    /// What was read.
    pub(crate) fn replica(&self) -> &Replica {
        &self.replica
    }

    /// When the SPU took the record at this place, if that was read.
    pub(crate) fn time(&self, place: Offset) -> Option<i64> {
        self.times.get(&place).copied().filter(|time| *time >= 0)
    }

    /// Waits for the next record, and applies it. Cancelling loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Arc<Record>> {
        loop {
            if let Some(record) = self.step().await? {
                return Ok(record);
            }
        }
    }

    /// Waits for the next record, or until the link to the log has changed.
    async fn step(&mut self) -> Result<Option<Arc<Record>>> {
        let gone = |why: &str| Error::new(ErrorKind::Connection, format!("the log of consumer groups: {why}"));
        match self.news.recv().await {
            None => Err(gone("its reader has ended")),
            Some(News::Gone(why)) => Err(gone(&why)),
            Some(News::Up(link)) => {
                self.link = Some(link);
                Ok(None)
            }
            Some(News::Down) => {
                self.link = None;
                Ok(None)
            }
            Some(News::Record(record)) if record.offset > self.replica.last() => {
                match self.replica.read(&record).diverged {
                    true => Err(gone("a snapshot tells of another past")),
                    false => Ok(Some(record)),
                }
            }
            Some(News::Record(_)) => Ok(None),
        }
    }

    /// Appends a command and reads it back: whether it held. An error if the link was lost meanwhile: it may have held.
    pub(crate) async fn apply(&mut self, command: &Command) -> Result<bool> {
        let wrong = |cause| Error::internal(format!("a command cannot be written: {cause}"));
        let value = fluvio_cffi_group::encode(command).map_err(wrong)?;
        let digest = Record::digest_of(&value);
        let link = loop {
            match self.link {
                Some(link) => break link,
                None => self.step().await?,
            };
        };
        self.log.append(link, &self.key, value);
        while self.link == Some(link) {
            let before = self.replica.state().generation;
            if self.step().await?.is_some_and(|record| record.digest == digest) {
                return Ok(self.replica.state().generation > before);
            }
        }
        let text = "the link to the log of consumer groups was lost: look whether it was done";
        Err(Error::new(ErrorKind::Connection, text).with_outcome(Outcome::Unknown))
    }

    /// Waits until the group has no members: those that are silent for their sessions are evicted, as members do it. An
    /// error at one sign of life.
    pub(crate) async fn empty(&mut self) -> Result<()> {
        let begun = boottime();
        loop {
            let members = &self.replica.state().members;
            let Some(session) = members.iter().map(|member| u64::from(member.session_ms)).max() else { return Ok(()) };
            let until = begun + Duration::from_millis(session);
            let left = until.saturating_sub(boottime());
            if left.is_zero() {
                return self.evict().await;
            }
            let known: Vec<MemberId> = members.iter().map(|member| member.id).collect();
            let Ok(record) = tokio::time::timeout(left, self.next()).await else { continue };
            self.refuse_sign(&*record?, &known)?;
        }
    }

    fn refuse_sign(&self, record: &Record, known: &[MemberId]) -> Result<()> {
        let left = matches!(record.command, Command::Leave { .. });
        let sender = record
            .command
            .sender()
            .map(|(id, _)| id)
            .filter(|id| !left && self.replica.state().position(*id).is_some());
        match sender {
            None => Ok(()),
            Some(id) => Err(self.not_empty(&format!(" ({id} of {})", known.len()))),
        }
    }

    /// All members are silent for their sessions: once it is proved that the log works, they are evicted.
    async fn evict(&mut self) -> Result<()> {
        let signs = |replica: &Replica| -> Vec<(MemberId, Offset)> {
            replica.state().members.iter().map(|member| (member.id, member.last_beat)).collect()
        };
        let before = signs(&self.replica);
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|cause| Error::internal(format!("no random bits can be had: {cause}")))?;
        // A command of nobody's is void, and comes back all the same.
        self.apply(&Command::Beat { member: MemberId(u128::from_le_bytes(bits)), n: 1 }).await?;
        if signs(&self.replica) == before {
            self.apply(&Command::Evict { members: before }).await?;
        }
        if self.replica.state().members.is_empty() {
            return Ok(());
        }
        Err(self.not_empty(""))
    }

    fn not_empty(&self, which: &str) -> Error {
        let (group, topic) = (self.key.group(), self.key.topic());
        let text =
            format!("group \"{group}\" on topic \"{topic}\" has members that are at work{which}: stop them first");
        Error::new(ErrorKind::GroupNotEmpty, text).with_topic(topic)
    }
}
