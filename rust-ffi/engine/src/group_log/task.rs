//! The task that reads and writes one partition of the log. It is alone with its connections; what it hears goes to all
//! who have subscribed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use fluvio_cffi_group::{GroupKey, Record};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::directory::Kept;
use super::link::Link;
use super::reader::Item;
use super::{Ask, News, Place, Subscriber};
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind, Result};
use crate::guard;
use crate::limit::Trouble;
use crate::log::log;

/// Without a command of one's own on its way, replies are acknowledged at most so often: so a reply has the commands of
/// many.
const CALM: Duration = Duration::from_millis(50);
/// A connection may take so long, at least.
const LEAST_PATIENCE: Duration = Duration::from_millis(250);
/// After so long without a word the peer is asked for one: those who only look on say nothing that would come back.
const QUIET: Duration = Duration::from_secs(5);
/// How long a log may end before what was read of it, as it may while its leader changes.
const SHORT: Duration = Duration::from_secs(5);

/// Why the connections are given up.
enum End {
    /// Nobody is left.
    Over,
    /// They are to be made anew.
    Lost(Error),
    /// It is another log.
    Gone(String),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error.kind {
            ErrorKind::TopicNotFound
            | ErrorKind::OffsetEvicted
            | ErrorKind::OffsetOutOfRange
            | ErrorKind::CorruptRecord => Self::Gone(error.message),
            _ => Self::Lost(error),
        }
    }
}

struct Task {
    place: Place,
    asks: mpsc::UnboundedReceiver<Ask>,
    subscribers: HashMap<GroupKey, Vec<Subscriber>>,
    /// Those who are to hear where their records begin, once that is known.
    newcomers: Vec<oneshot::Sender<i64>>,
    /// The number of the link, which rises.
    number: u64,
    /// The last record that was read: its place and a hash of its value.
    anchor: Option<(i64, u64)>,
    /// What is read next. `None`: nothing was read yet.
    next: Option<i64>,
    /// Whether the stream begins with the last record that was read.
    compares: bool,
    /// Since when the log ends before that.
    short: Option<Instant>,
    /// Hashes of what was sent and not read yet.
    out: HashSet<u64>,
    kept: Kept,
    acknowledged: Instant,
    /// Why there is no link, if there is none.
    trouble: Trouble,
}

/// Starts it. It ends when nobody can ask anything any more.
pub(super) fn spawn(place: Place, asks: mpsc::UnboundedReceiver<Ask>) {
    let task = Task {
        place,
        asks,
        subscribers: HashMap::new(),
        newcomers: Vec::new(),
        number: 0,
        anchor: None,
        next: None,
        compares: false,
        short: None,
        out: HashSet::new(),
        kept: Kept::default(),
        acknowledged: Instant::now(),
        trouble: Trouble::default(),
    };
    // Whoever has subscribed hears no more news, and begins anew.
    guard::spawn(task.run(), drop);
}

impl Task {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let end = match self.connect().await {
                Ok(link) => {
                    backoff.reset();
                    self.follow(link).await
                }
                Err(end) => end,
            };
            self.tell_all(&News::Down);
            match end {
                End::Over => return,
                End::Gone(why) => self.forget(&why),
                End::Lost(error) => {
                    let counters = self.place.session.counters();
                    log!(WARN, GROUP, counters, "the link to the log of groups is lost", reason = %error.reason());
                    counters.note(error.kind);
                    self.note(&error);
                    self.place.session.metadata().request_refresh();
                }
            }
            if self.idle(backoff.next()).await.is_none() {
                return;
            }
        }
    }

    /// Hears what is asked for a while; `None`: nobody is left.
    async fn idle(&mut self, pause: Duration) -> Option<()> {
        let until = Instant::now() + pause;
        loop {
            tokio::select! {
                ask = self.asks.recv() => self.hear_unlinked(ask?),
                () = tokio::time::sleep_until(until) => return Some(()),
            }
        }
    }

    /// What is asked while there is no link: nothing is sent.
    fn hear_unlinked(&mut self, ask: Ask) {
        match ask {
            Ask::Subscribe { key, subscriber, from } => self.subscribe(key, subscriber, from),
            Ask::Learn(known) => self.kept.learn(known),
            Ask::Append { .. } | Ask::Renew { .. } => {}
        }
    }

    fn subscribe(&mut self, key: GroupKey, subscriber: Subscriber, from: oneshot::Sender<i64>) {
        if let Some(error) = self.trouble.last() {
            subscriber.trouble.note(error);
        }
        match self.next {
            Some(next) => {
                let _ = from.send(next);
            }
            None => self.newcomers.push(from),
        }
        self.subscribers.entry(key).or_default().push(subscriber);
    }

    /// This is why there is no link.
    fn note(&self, error: &Error) {
        self.trouble.note(error.clone());
        self.subscribers.values().flatten().for_each(|subscriber| subscriber.trouble.note(error.clone()));
    }

    fn tell_all(&mut self, news: &News) {
        self.subscribers.retain(|_, all| {
            all.retain(|subscriber| subscriber.news.send(news.clone()).is_ok());
            !all.is_empty()
        });
    }

    /// It is another log: all begin anew.
    fn forget(&mut self, why: &str) {
        self.tell_all(&News::Gone(why.to_owned()));
        self.subscribers.clear();
        self.newcomers.clear();
        (self.anchor, self.next, self.short) = (None, None, None);
        self.kept = Kept::default();
    }

    fn patience(&self) -> Duration {
        let all = self.subscribers.values().flatten().map(|subscriber| subscriber.patience);
        all.min().unwrap_or(Duration::from_secs(10)).max(LEAST_PATIENCE)
    }

    async fn connect(&mut self) -> std::result::Result<Link, End> {
        let (place, patience) = (self.place.clone(), self.patience());
        let from = self.anchor.map(|(offset, _)| offset).or(self.next);
        let opening = Link::open(&place, from, patience);
        tokio::pin!(opening);
        let link = loop {
            tokio::select! {
                link = &mut opening => break link?,
                ask = self.asks.recv() => match ask {
                    Some(ask) => self.hear_unlinked(ask),
                    None => return Err(End::Over),
                },
            }
        };
        if let Some((offset, _)) = self.anchor
            && link.end <= offset
        {
            let since = *self.short.get_or_insert_with(Instant::now);
            let text = format!("the log ends at {}, though {offset} was read", link.end);
            return Err(match since.elapsed() < SHORT && link.end > 0 {
                true => End::Lost(Error::new(ErrorKind::Connection, text)),
                false => End::Gone(text),
            });
        }
        self.short = None;
        self.compares = self.anchor.is_some();
        let next = *self.next.get_or_insert(link.end);
        for newcomer in self.newcomers.drain(..) {
            let _ = newcomer.send(next);
        }
        self.number += 1;
        self.out.clear();
        self.trouble.clear();
        self.subscribers.values().flatten().for_each(|subscriber| subscriber.trouble.clear());
        self.tell_all(&News::Up(self.number));
        Ok(link)
    }

    /// Reads and writes until the connections are given up.
    async fn follow(&mut self, mut link: Link) -> End {
        loop {
            if let Err(error) = self.catch_up(&mut link) {
                return error.into();
            }
            let (calm, quiet) = (self.acknowledged + CALM, link.heard() + QUIET);
            tokio::select! {
                items = link.next() => match items.map_err(End::from).and_then(|items| self.read(items)) {
                    Ok(()) => {}
                    Err(end) => return end,
                },
                ask = self.asks.recv() => match ask {
                    None => return End::Over,
                    Some(ask) => match self.hear(&mut link, ask) {
                        Ok(()) => {}
                        Err(end) => return end,
                    },
                },
                () = tokio::time::sleep_until(calm), if link.waits() => {}
                () = due(self.kept.due()) => {}
                () = tokio::time::sleep_until(quiet) => if let Err(error) = link.probe() {
                    return error.into();
                }
            }
        }
    }

    /// Acknowledges what was read, if it is time to; writes a directory, if one is due.
    fn catch_up(&mut self, link: &mut Link) -> Result<()> {
        let now = Instant::now();
        if self.kept.due().is_some_and(|at| at <= now)
            && let Some((key, command)) = self.kept.take_due(link.start)
            && let Ok(value) = fluvio_cffi_group::encode(&command)
        {
            link.send(&[(key, value)], self.patience())?;
        }
        if link.waits() && (!self.out.is_empty() || self.acknowledged + CALM <= now) {
            self.acknowledged = now;
            link.acknowledge()?;
        }
        Ok(())
    }

    /// What is asked while there is a link. Commands that wait together leave together.
    fn hear(&mut self, link: &mut Link, ask: Ask) -> std::result::Result<(), End> {
        let mut commands = Vec::new();
        let mut next = Some(ask);
        let mut renew = false;
        while let Some(ask) = next.take() {
            match ask {
                Ask::Append { link, key, value } if link == self.number => {
                    self.out.insert(Record::digest_of(&value));
                    commands.push((key, value));
                }
                Ask::Append { .. } => {}
                Ask::Renew { link } => renew |= link == self.number,
                Ask::Subscribe { key, subscriber, from } => {
                    let _ = subscriber.news.send(News::Up(self.number));
                    self.subscribe(key, subscriber, from);
                }
                Ask::Learn(known) => self.kept.learn(known),
            }
            next = self.asks.try_recv().ok();
        }
        if renew {
            return Err(End::Lost(Error::new(ErrorKind::Connection, "a command was not read back in time")));
        }
        if !commands.is_empty() {
            link.send(&commands, self.patience())?;
        }
        Ok(())
    }

    fn read(&mut self, items: Vec<Item>) -> std::result::Result<(), End> {
        for item in items {
            if std::mem::take(&mut self.compares) && self.anchor != Some((item.offset, item.digest)) {
                return Err(End::Gone(format!("the log has another record at offset {}", item.offset)));
            }
            self.anchor = Some((item.offset, item.digest));
            if self.next.is_some_and(|next| item.offset < next) {
                continue;
            }
            self.next = Some(item.offset + 1);
            self.out.remove(&item.digest);
            let Some((key, record)) = item.said else { continue };
            self.kept.read(&key, &record);
            if let Some(all) = self.subscribers.get_mut(&key) {
                all.retain(|subscriber| subscriber.news.send(News::Record(record.clone())).is_ok());
            }
        }
        Ok(())
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
