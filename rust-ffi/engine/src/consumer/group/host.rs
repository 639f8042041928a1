//! The task that owns the member of a consumer: it hears the log, the caller and the clock, and does what the member
//! wants.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fluvio_cffi_group::{Config, Entry, GroupKey, Output, Participant, Released, Replica};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::mirror::Mirror;
use super::processed::Marks;
use super::{Call, EpochOffset, MemberState, Shared};
use crate::backoff::Backoff;
use crate::boottime::{boottime, nanoseconds};
use crate::commits::Commits;
use crate::consumer::{ConsumerShared, GroupOptions};
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};
use crate::group_log::{GroupLog, MakeLog, News, Place, load};
use crate::guard::{TaskKind, maybe_panic};
use crate::limit::Limit;
use crate::log::log;

/// Nothing waits longer without being looked at.
const FAR: Duration = Duration::from_secs(3600);

/// Who waits for a commit.
pub(super) type Answer = oneshot::Sender<Result<Vec<(u32, i64)>>>;

/// What the host of a member has.
pub(super) struct Host {
    pub(super) consumer: Arc<ConsumerShared>,
    pub(super) options: GroupOptions,
    pub(super) key: GroupKey,
    pub(super) shared: Arc<Shared>,
    make: MakeLog,
    /// The way of what runs beside it to come back to it. It does not keep the host alive.
    pub(super) calls: mpsc::WeakUnboundedSender<Call>,
    called: mpsc::UnboundedReceiver<Call>,
    /// Where reading ends, if it does.
    pub(super) ends: BTreeMap<u32, i64>,
    pub(super) store: Arc<Commits>,
    pub(super) mirror: Mirror,
    pub(super) marks: Marks,
    /// Hears whether it has joined.
    pub(super) opened: Option<oneshot::Sender<Result<()>>>,
    pub(super) log: Option<Arc<GroupLog>>,
    pub(super) link: u64,
    pub(super) participant: Option<Participant>,
    pub(super) commits: HashMap<u64, (Answer, Vec<(u32, i64)>)>,
    tokens: u64,
    /// Partitions that were to be given up, and stay, of which the reader was told otherwise.
    pub(super) begins_anew: BTreeSet<(u32, i64)>,
    /// Who waits for it to leave, and until when it may.
    pub(super) leaving: Option<(Instant, Option<oneshot::Sender<()>>)>,
    /// Why the round ends.
    pub(super) end: Option<RoundEnd>,
}

/// Why a round with one log ends.
#[derive(Debug)]
pub(super) enum RoundEnd {
    /// The log, or what was made of it, is not to be trusted any more.
    Anew(String),
    /// For good.
    Over,
}

/// Starts the host; what comes back hears whether the member has joined.
pub(super) fn spawn(
    consumer: Arc<ConsumerShared>,
    shared: Arc<Shared>,
    make: MakeLog,
    (calls, called): (mpsc::WeakUnboundedSender<Call>, mpsc::UnboundedReceiver<Call>),
    ends: BTreeMap<u32, i64>,
) -> Result<oneshot::Receiver<Result<()>>> {
    let Some(options) = consumer.options.group.clone() else { return Err(Error::internal("a member without a group")) };
    let key = GroupKey::new(&options.group, &consumer.topic).map_err(|wrong| Error::invalid(wrong.to_string()))?;
    let store = Arc::new(Commits::new(consumer.session.clone(), &consumer.topic, &options.group));
    let (opened, joined) = oneshot::channel();
    let host = Host {
        marks: Marks::new(consumer.options.auto_commit),
        mirror: Mirror::new(Arc::clone(&store)),
        consumer: Arc::clone(&consumer),
        options,
        key,
        shared,
        make,
        calls,
        called,
        ends,
        store,
        opened: Some(opened),
        log: None,
        link: 0,
        participant: None,
        commits: HashMap::new(),
        tokens: 0,
        begins_anew: BTreeSet::new(),
        leaving: None,
        end: None,
    };
    crate::consumer::spawn(consumer, host.run());
    Ok(joined)
}

impl Host {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        while self.leaving.is_none() {
            match self.round().await {
                Ok(RoundEnd::Over) => break,
                Ok(RoundEnd::Anew(why)) => {
                    self.lose_all(&why);
                    backoff.reset();
                }
                Err(error) if error.retriable => {
                    let (group, topic) = (self.key.group(), self.key.topic());
                    let counters = self.consumer.session.counters();
                    log!(WARN, GROUP, counters, "the group's log cannot be read", group, topic, reason = %error.reason());
                    self.consumer.trouble.note(error);
                }
                Err(error) => {
                    self.fail(error);
                    break;
                }
            }
            if self.pause(backoff.next()).await {
                break;
            }
        }
        self.finish();
    }

    /// Waits before the next round; true: it is to end.
    async fn pause(&mut self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return false,
                call = self.called.recv() => match call {
                    None => return true,
                    Some(call) => self.call_away(call),
                },
            }
            if self.leaving.is_some() {
                return true;
            }
        }
    }

    /// What is asked while there is no member.
    fn call_away(&mut self, call: Call) {
        match call {
            Call::Leave { patience, answer, .. } => self.leaving = Some((Instant::now() + patience, answer)),
            Call::Commit { processed, answer } => {
                let fenced = processed.iter().map(|one| (one.partition, one.offset)).collect();
                drop(answer.send(Ok(fenced)));
            }
            Call::Took | Call::Returned | Call::Released { .. } | Call::Resolved(_) => {}
            Call::CommitMarked { .. } | Call::Committed { .. } => {}
        }
    }

    /// It is no member any more, for good.
    pub(super) fn fail(&mut self, error: Error) {
        let counters = self.consumer.session.counters();
        let (group, topic) = (self.key.group(), self.key.topic());
        log!(ERROR, GROUP, counters, "the member ends", group, topic, reason = %error.reason());
        counters.note(error.kind);
        self.shared.fatal().get_or_insert(error.clone());
        match self.opened.take() {
            Some(opened) => drop(opened.send(Err(error))),
            None => self.consumer.subscription.end(error),
        }
        self.end = Some(RoundEnd::Over);
    }

    fn finish(&mut self) {
        self.lease_until(0);
        let mut member = self.shared.member();
        (member.state, member.id) = (MemberState::Ended, None);
        drop(member);
        for (answer, _) in std::mem::take(&mut self.commits).into_values() {
            drop(answer.send(Err(self.shared.fatal().clone().unwrap_or_else(|| Error::closed("consumer")))));
        }
        if let Some((_, Some(answer))) = self.leaving.take() {
            let _ = answer.send(());
        }
    }

    /// Everything that it owns is gone.
    fn lose_all(&mut self, why: &str) {
        self.lease_until(0);
        for (partition, epoch) in self.consumer.subscription.owned() {
            self.consumer.subscription.lose(partition, epoch);
        }
        self.begins_anew.clear();
        for (_, (answer, entries)) in std::mem::take(&mut self.commits) {
            drop(answer.send(Ok(entries)));
        }
        self.tell(EventKind::GroupLost, Some(why.to_owned()));
    }

    pub(super) fn tell(&self, kind: EventKind, reason: Option<String>) {
        let (counters, why) = (self.consumer.session.counters(), reason.as_deref());
        let (group, topic) = (self.key.group(), self.key.topic());
        match kind {
            EventKind::GroupJoined => log!(INFO, GROUP, counters, "the group is joined", group, topic),
            EventKind::GroupResumed => log!(INFO, GROUP, counters, "the member's lease runs again", group, topic),
            EventKind::GroupSuspended => {
                log!(WARN, GROUP, counters, "the member's lease is over: it waits", group, topic)
            }
            _ => log!(WARN, GROUP, counters, "the member has lost its place", group, topic, reason = why),
        }
        let event = Event::of_group(kind, self.key.group(), self.key.topic(), reason);
        self.consumer.session.metadata().announce(&event);
    }

    /// One life with one log: from reading its state to its end.
    async fn round(&mut self) -> Result<RoundEnd> {
        maybe_panic(TaskKind::Consumer);
        (self.participant, self.end, self.link) = (None, None, 0);
        let entering =
            enter(Arc::clone(&self.consumer), self.options.clone(), self.key.clone(), Arc::clone(&self.make));
        let Some(entered) = self.unless_left(entering).await else { return Ok(RoundEnd::Over) };
        let (log, mut news, loaded) = entered?;
        let partitions = self.partitions().unwrap_or(1);
        let config = Config {
            instance: self.options.instance.as_deref().map(Into::into),
            client_id: self.consumer.session.controller().client_id().into(),
            host: host_name().into(),
            session_timeout: self.options.session_timeout,
            rebalance_timeout: self.options.rebalance_timeout,
            processing_timeout: self.options.processing_timeout,
            partitions,
        };
        self.participant = Some(Participant::new(config, loaded, boottime()));
        self.log = Some(log);
        let mut changes = self.consumer.session.metadata().changes();
        loop {
            if let Some(end) = self.end.take() {
                return Ok(end);
            }
            let due = self.due();
            tokio::select! {
                biased;
                heard = news.recv() => match heard {
                    Some(heard) => self.hear(heard),
                    None => self.end = Some(RoundEnd::Anew("the reader of the log has ended".to_owned())),
                },
                call = self.called.recv() => match call {
                    Some(call) => self.answer(call),
                    None => self.leave(true, super::LAST, None),
                },
                changed = changes.changed() => {
                    if changed.is_ok() && let Some(count) = self.partitions() {
                        self.call(|participant, now, out| participant.grown(now, count, out));
                    }
                }
                () = tokio::time::sleep_until(due) => self.tick(),
            }
            self.settle();
        }
    }
}

/// What of the log is needed to take part: it, what happens in it, and the state of the group.
type Entered = (Arc<GroupLog>, mpsc::UnboundedReceiver<News>, Replica);

async fn enter(consumer: Arc<ConsumerShared>, options: GroupOptions, key: GroupKey, make: MakeLog) -> Result<Entered> {
    let limit = Limit::new(None).with(&consumer.trouble);
    if !consumer.session.metadata().read(|metadata| metadata.has_topic(&options.log)) {
        make().await?;
    }
    let place = Place::of(&consumer.session, &options.log, &key, &limit).await?;
    let log = GroupLog::of(&place);
    let (from, news) = log.subscribe(&key, options.session_timeout / 4, limit.trouble()).await?;
    let loaded = load(&place, &key, from, &limit).await?;
    loaded.known.into_iter().for_each(|known| log.learn(known));
    Ok((log, news, loaded.replica))
}

/// What this machine is called, for people.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::env::var("HOSTNAME"));
    name.unwrap_or_default().trim().to_owned()
}

impl Host {
    /// What `work` comes to; `None` if it is to leave before that.
    async fn unless_left<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                call = self.called.recv() => self.call_away(call?),
            }
            if self.leaving.is_some() {
                return None;
            }
        }
    }

    /// How many partitions the topic has.
    fn partitions(&self) -> Option<u32> {
        let topic = &self.consumer.topic;
        self.consumer.session.metadata().read(|metadata| metadata.topic(topic)).map(|topic| topic.partitions)
    }

    /// When something is to be done, if nothing happens before.
    fn due(&self) -> Instant {
        let now = boottime();
        let tick = self.participant.as_ref().and_then(|participant| participant.next_tick(now));
        let tick = tick.map_or(FAR, |at| at.saturating_sub(now).min(FAR));
        let leaving = self.leaving.as_ref().map(|(until, _)| *until);
        let due = [Some(Instant::now() + tick), self.marks.due(), leaving];
        due.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + FAR)
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if self.leaving.as_ref().is_some_and(|(until, _)| *until <= now) {
            self.end = Some(RoundEnd::Over);
            return;
        }
        if self.marks.due().is_some_and(|at| at <= now) {
            self.marks.begin_round();
            self.commit_marks(None);
        }
        // A reader that takes one chunk after the other, or says so itself, is at work, and not stuck.
        let seen = Duration::from_nanos(u64::try_from(self.shared.slots.seen()).unwrap_or(0));
        if self.shared.is_busy.load(Ordering::SeqCst)
            && let Some(participant) = &mut self.participant
        {
            participant.took(seen);
        }
        self.call(|participant, now, out| participant.tick(now, out));
    }

    /// Something happened in the log.
    fn hear(&mut self, news: News) {
        match news {
            News::Record(record) => {
                let last = self.participant.as_ref().map_or(i64::MAX, |participant| participant.replica().last());
                if record.offset > last {
                    self.call(|participant, now, out| participant.record(now, &record, out));
                }
            }
            News::Up(link) => {
                self.link = link;
                self.call(|participant, now, out| participant.link(now, true, out));
            }
            News::Down => self.call(|participant, now, out| participant.link(now, false, out)),
            News::Gone(why) => self.end = Some(RoundEnd::Anew(why)),
        }
    }

    /// Something is asked.
    fn answer(&mut self, call: Call) {
        match call {
            Call::Took => self.call(|participant, now, _| participant.took(now)),
            Call::Returned => {
                self.shared.is_away.store(false, Ordering::SeqCst);
                self.call(|participant, now, out| participant.returned(now, out));
            }
            Call::Released { partition, epoch } => self.released(partition, epoch, true),
            Call::Resolved(starts) => self.call(|participant, now, out| participant.resolved(now, &starts, out)),
            Call::Commit { processed, answer } => self.commit(&processed, answer),
            Call::CommitMarked { answer } => self.commit_marks(Some(answer)),
            Call::Committed { answer } => {
                let state = self.participant.as_ref().map(|participant| participant.replica().state());
                let partitions = state.into_iter().flat_map(|state| state.partitions.iter().enumerate());
                let committed = partitions.filter_map(|(number, it)| Some((number as u32, it.committed?)));
                drop(answer.send(committed.collect()));
            }
            Call::Leave { stays, patience, answer } => self.leave(stays, patience, answer),
        }
    }

    /// The reader has nothing of a partition any more.
    pub(super) fn released(&mut self, partition: u32, epoch: i64, is_known: bool) {
        if self.begins_anew.remove(&(partition, epoch)) {
            let state = self.participant.as_ref().map(|participant| participant.replica().state());
            let committed = state.and_then(|state| state.partition(partition)?.committed).unwrap_or(-1);
            return self.read(&[(partition, epoch, committed)]);
        }
        let committed = if is_known { self.marks.of(&self.shared.slots, partition) } else { None };
        let released = Released { partition, epoch, committed };
        self.call(|participant, now, out| participant.released(now, released, out));
    }

    fn commit(&mut self, processed: &[EpochOffset], answer: Answer) {
        if let Some(error) = self.shared.fatal().clone() {
            return drop(answer.send(Err(error)));
        }
        let (mut entries, mut fenced) = (Vec::new(), Vec::new());
        for &EpochOffset { partition, epoch, offset } in processed {
            match epoch.or_else(|| self.consumer.subscription.owned_epoch(partition)) {
                Some(epoch) => entries.push(Entry { partition, epoch, offset }),
                None => fenced.push((partition, offset)),
            }
        }
        self.send_commit(entries, Some((answer, fenced)));
    }

    fn commit_marks(&mut self, answer: Option<Answer>) {
        let entries = self.marks.take(&self.shared.slots, &self.consumer.subscription.known());
        self.send_commit(entries, answer.map(|answer| (answer, Vec::new())));
    }

    fn send_commit(&mut self, entries: Vec<Entry>, waits: Option<(Answer, Vec<(u32, i64)>)>) {
        if entries.is_empty() {
            waits.into_iter().for_each(|(answer, fenced)| drop(answer.send(Ok(fenced))));
            return;
        }
        self.tokens += 1;
        let token = self.tokens;
        self.commits.extend(waits.map(|waits| (token, waits)));
        self.call(|participant, now, out| participant.commit(now, token, entries, out));
    }

    fn leave(&mut self, stays: bool, patience: Duration, answer: Option<oneshot::Sender<()>>) {
        let before = self.leaving.replace((Instant::now() + patience, answer));
        if let Some((_, answer)) = before {
            // Whoever asked before hears of it at the end, too.
            answer.into_iter().for_each(|answer| answer.send(()).unwrap_or_default());
            return;
        }
        let processed = self.marks.all(&self.shared.slots, &self.consumer.subscription.known());
        let is_silent = stays && self.options.instance.is_some();
        self.call(|participant, now, out| participant.leave(now, processed, is_silent, out));
    }

    /// Calls the member, and does what it wants before anything else happens.
    pub(super) fn call(&mut self, call: impl FnOnce(&mut Participant, Duration, &mut Vec<Output>)) {
        // Before the call: what it sends counts from then.
        let now = boottime();
        let Some(participant) = &mut self.participant else { return };
        let mut out = Vec::new();
        call(participant, now, &mut out);
        self.perform(out);
    }

    /// Records may be handed out until then.
    fn lease_until(&self, end: i64) {
        if end < self.shared.slots.lease.swap(end, Ordering::SeqCst) {
            self.consumer.subscription.lapse();
        }
    }

    /// Lets the reader, and whoever asks, see where the member stands.
    fn settle(&mut self) {
        let Some(participant) = &self.participant else { return };
        let had = self.shared.slots.has_lease();
        self.lease_until(nanoseconds(participant.lease_end()));
        if !had && self.shared.slots.has_lease() {
            self.consumer.subscription.wake_reader();
        }
        self.consumer.subscription.settled(participant.is_settled());
        let mut member = self.shared.member();
        member.generation = participant.replica().state().generation;
        member.id = participant.member_id().map(|id| id.to_string());
        let is_member = member.id.is_some();
        drop(member);
        // Only now: whoever opened it sees who it is.
        if is_member && let Some(opened) = self.opened.take() {
            drop(opened.send(Ok(())));
        }
    }
}
