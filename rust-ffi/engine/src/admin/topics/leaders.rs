//! Whether a topic can be used, by the word of those who serve it. The SC hears of it up to 400 ms later, and sometimes
//! never.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::backoff::Backoff;
use crate::error::Result;
use crate::limit::Limit;
use crate::log_offsets::bounds_by;
use crate::metadata::{PartitionView, Snapshot};
use crate::session::Session;
use crate::transport::Connection;

/// How long an SPU may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// A new partition is usually served within 10 ms.
fn backoff() -> Backoff {
    Backoff::between(Duration::from_millis(1), Duration::from_millis(100))
}

/// The leaders of a topic's partitions, asked whether they serve them.
pub(super) struct Leaders<'a> {
    session: &'a Session,
    topic: &'a str,
    limit: &'a Limit,
    connections: HashMap<i32, Connection>,
    /// Partitions, and SPUs that may still serve those of an earlier topic of that name by these numbers.
    suspects: BTreeSet<(u32, i32)>,
}

/// What an SPU said of each partition that it was asked about: whether it serves it. `None`: it could not be asked.
type Answer = (i32, Option<BTreeMap<u32, bool>>);

impl<'a> Leaders<'a> {
    pub(super) fn new(session: &'a Session, topic: &'a str, limit: &'a Limit) -> Self {
        Self { session, topic, limit, connections: HashMap::new(), suspects: BTreeSet::new() }
    }

    /// All who lead partitions of that name, or did a moment ago, may serve those of an earlier topic. The watches of
    /// topics and of partitions do not hear of a deletion at the same time.
    pub(super) fn suspect(&mut self, metadata: &Snapshot) {
        self.suspects.extend(metadata.leaders_so_far(self.topic));
    }

    /// Has the suspects say that they do not serve such partitions any more: what they say from then on is of a later
    /// topic. What is written to an earlier one would be lost. It is a matter of milliseconds; whoever has not said it
    /// after a while stays a suspect.
    pub(super) async fn take_leave(&mut self) {
        let asking = async {
            let mut backoff = backoff();
            loop {
                let mut asked: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
                for (partition, spu) in &self.suspects {
                    asked.entry(*spu).or_default().push(*partition);
                }
                if asked.is_empty() {
                    return;
                }
                let answers = self.ask(asked).await;
                if answers.iter().all(|(_, answer)| answer.is_none()) {
                    return;
                }
                if !self.suspects.is_empty() {
                    backoff.wait().await;
                }
            }
        };
        let _ = timeout(PATIENCE, asking).await;
    }

    /// Waits until each of the partitions that have appeared `since` is served by its leader. An SPU that cannot be
    /// reached from here is taken to serve what the SC says is online.
    pub(super) async fn serve(mut self, partitions: Range<u32>, since: u64) -> Result<()> {
        let mut left: BTreeSet<u32> = partitions.collect();
        let mut backoff = backoff();
        loop {
            let known = self
                .session
                .metadata()
                .read(|metadata| metadata.has_topic(self.topic).then(|| metadata.partitions(self.topic)));
            let Some(known) = known else {
                // It is not there yet, or not any more.
                self.session.metadata().require(self.topic, self.limit).await?;
                backoff.wait().await;
                continue;
            };
            let mut led: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
            for (number, partition) in young(&known, since).filter(|(number, _)| left.contains(number)) {
                led.entry(partition.leader).or_default().push(number);
            }
            for (spu, answer) in self.ask(led).await {
                for (number, partition) in young(&known, since).filter(|(_, partition)| partition.leader == spu) {
                    let serves = match &answer {
                        Some(answer) => answer.get(&number).copied().unwrap_or(false),
                        None => partition.online,
                    };
                    if serves && (partition.online || !self.suspects.contains(&(number, spu))) {
                        left.remove(&number);
                    }
                }
            }
            if left.is_empty() {
                return Ok(());
            }
            let changed =
                self.session.metadata().wait(|metadata| (metadata.partitions(self.topic) != known).then_some(()));
            tokio::select! {
                changed = changed => changed?,
                () = backoff.wait() => {}
            }
        }
    }

    /// Asks SPUs whether they serve partitions. Those that do not are no suspects any more.
    async fn ask(&mut self, led: BTreeMap<i32, Vec<u32>>) -> Vec<Answer> {
        let (session, topic) = (self.session, self.topic);
        let asked = led.into_iter().map(|(spu, partitions)| {
            let connection = self.connections.remove(&spu);
            async move {
                let answer = ask_one(session, topic, spu, connection, partitions);
                (spu, timeout(PATIENCE, answer).await)
            }
        });
        let mut answers = Vec::new();
        for (spu, answer) in join_all(asked.collect::<Vec<_>>()).await {
            let answer = match answer {
                Ok(Ok((connection, answer))) => {
                    self.connections.insert(spu, connection);
                    self.suspects.retain(|(number, suspect)| *suspect != spu || answer.get(number) != Some(&false));
                    Some(answer)
                }
                Ok(Err(error)) => {
                    self.limit.trouble().note(error);
                    None
                }
                Err(_) => None,
            };
            answers.push((spu, answer));
        }
        answers
    }
}

/// The partitions that have appeared `since`, by number.
fn young(known: &[Option<PartitionView>], since: u64) -> impl Iterator<Item = (u32, PartitionView)> {
    let partitions = (0..).zip(known).filter_map(|(number, partition)| Some((number, (*partition)?)));
    partitions.filter(move |(_, partition)| partition.birth > since)
}

async fn ask_one(
    session: &Session,
    topic: &str,
    spu: i32,
    connection: Option<Connection>,
    partitions: Vec<u32>,
) -> Result<(Connection, BTreeMap<u32, bool>)> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => session.dial(spu, false).await?,
    };
    let named = partitions.into_iter().map(|partition| (topic.to_owned(), partition)).collect();
    let told = bounds_by(session, &mut connection, named).await?;
    Ok((connection, told.into_iter().map(|((_, partition), told)| (partition, told.is_ok())).collect()))
}
