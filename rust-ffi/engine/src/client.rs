//! The client handle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::admin::{Admin, CreateFlags, TopicSpec};
use crate::consumer::{ChunkEncoder, Consumer, ConsumerOptions};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::events::{ClientState, Events};
use crate::group_log::{LOG_PARTITIONS, MakeLog};
use crate::limit::{Limit, took_longer};
use crate::log_offsets::logs_bounds;
use crate::metrics::{Metrics, TopicMetrics};
use crate::options::ClientOptions;
use crate::producer::{Producer, ProducerOptions, TicketSink};
use crate::session::{self, Member, Session};
use crate::smartmodule::{ModuleCode, Transform};

/// How many objects are alive in the process, for leak tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Clients.
    pub clients: usize,
    /// Producers.
    pub producers: usize,
    /// Consumers.
    pub consumers: usize,
    /// Connections of ours.
    pub connections: usize,
}

/// How many objects are alive now.
pub fn counts() -> Counts {
    Counts {
        clients: session::alive(),
        producers: crate::producer::alive(),
        consumers: crate::consumer::alive(),
        connections: crate::transport::connections(),
    }
}

/// A connection to a cluster; a cheap handle.
#[derive(Clone)]
pub struct Client {
    session: Session,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects and waits for the first metadata of the cluster, until `connect_timeout`.
    pub async fn connect(options: ClientOptions) -> Result<Self> {
        Ok(Self { session: Session::connect(options).await? })
    }

    /// Ends its connections and watches. Producers and consumers that are still open fail.
    pub async fn close(&self) {
        self.session.close();
    }

    /// The SC's address as given.
    pub fn endpoint(&self) -> &str {
        self.session.endpoint()
    }

    /// The cluster's version.
    pub fn platform_version(&self) -> &str {
        self.session.platform_version()
    }

    /// Whether it sees its cluster.
    pub fn state(&self) -> ClientState {
        self.session.metadata().state()
    }

    /// What happens to it from now on.
    pub fn events(&self) -> Events {
        self.session.metadata().events()
    }

    /// What it has done, and what is under way. Any thread; never waits for I/O.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = self.session.counters().read();
        self.session.members().iter().for_each(|member| member.measure(&mut metrics));
        metrics
    }

    /// What it has done by topic, in the order of their names: of the first thousand topics that it had a producer or
    /// consumer of, and of all others as one, whose name is empty. Any thread; never waits for I/O.
    pub fn topic_metrics(&self) -> Vec<TopicMetrics> {
        self.session.counters().topics()
    }

    /// How long the SC takes to answer the smallest question, within `timeout`; `None`: without a deadline. While the
    /// SC is away it is asked again.
    pub async fn ping(&self, timeout: Option<Duration>) -> Result<Duration> {
        self.session.controller().ping(&Limit::new(timeout)).await
    }

    /// The administration, for what ends within `timeout` from now; `None`: without a deadline.
    pub fn admin(&self, timeout: Option<Duration>) -> Admin {
        Admin::new(self.session.clone(), timeout)
    }

    /// Opens a producer for a topic, within `timeout`; `None`: without a deadline. Its tickets go to `sink`.
    pub async fn producer(
        &self,
        topic: &str,
        options: ProducerOptions,
        sink: Arc<dyn TicketSink>,
        timeout: Option<Duration>,
    ) -> Result<Producer> {
        Producer::open(self.session.clone(), topic, options, sink, timeout).await
    }

    /// Opens a consumer of a topic, within `timeout`; `None`: without a deadline. Its start offsets are fixed when this
    /// returns.
    pub async fn consumer(
        &self,
        topic: &str,
        mut options: ConsumerOptions,
        encoder: Arc<dyn ChunkEncoder>,
        timeout: Option<Duration>,
    ) -> Result<Consumer> {
        self.look_up(&mut options.smartmodules, timeout).await;
        let make_log = options.group.as_ref().map(|group| self.log_maker(&group.log, group.log_replication));
        Consumer::open(self.session.clone(), topic, options, encoder, make_log, timeout).await
    }

    /// What makes the log of consumer groups where there is none.
    fn log_maker(&self, topic: &str, replication: u32) -> MakeLog {
        let spec = TopicSpec {
            partitions: LOG_PARTITIONS,
            replication,
            retention_seconds: Some(24 * 3600),
            segment_size: Some(16 << 20),
            max_partition_size: Some(1 << 30),
            ..TopicSpec::default()
        };
        let (session, topic) = (self.session.clone(), topic.to_owned());
        Arc::new(move || {
            let (session, topic, spec) = (session.clone(), topic.clone(), spec.clone());
            Box::pin(async move {
                let flags = CreateFlags { dry_run: false, exist_ok: true };
                Admin::new(session, None).create_topic(&topic, spec, flags, false).await.map(drop)
            })
        })
    }

    /// Finds out about SmartModules that are stored in the cluster: whether they are aggregates, which must not begin anew
    /// unnoticed, and whether there are such at all. If the SC does not say, the SPUs will.
    async fn look_up(&self, modules: &mut [Transform], timeout: Option<Duration>) {
        const LONGEST: Duration = Duration::from_secs(2);
        let limit = timeout.map_or(LONGEST, |timeout| LONGEST.min(timeout / 2));
        let admin = self.admin(Some(limit));
        let asked = async {
            for module in modules {
                let ModuleCode::Stored(name) = &module.code else { continue };
                match admin.code_run_as(name).await {
                    Ok(code) => module.learn(&code),
                    Err(error) => module.is_missing = error.kind == ErrorKind::SmartModuleNotFound,
                }
            }
        };
        let _ = tokio::time::timeout(limit, asked).await;
    }

    /// Where the logs of a topic's partitions begin and end now, as the SPUs that lead them say, within `timeout`;
    /// `None`: without a deadline. The end is the offset after the last committed record. `partitions`: which; none:
    /// all.
    pub async fn offsets(
        &self,
        topic: &str,
        partitions: &[u32],
        timeout: Option<Duration>,
    ) -> Result<BTreeMap<u32, (i64, i64)>> {
        let limit = Limit::new(timeout);
        let what = format!("asking for the offsets of topic \"{topic}\"");
        let work = async {
            let count = self.session.metadata().topic(topic, &limit).await?.partitions;
            if let Some(wrong) = partitions.iter().find(|partition| **partition >= count) {
                return Err(Error::partition_not_found(topic, i64::from(*wrong), count));
            }
            let wanted = match partitions.is_empty() {
                true => (0..count).collect(),
                false => partitions.iter().copied().collect(),
            };
            logs_bounds(&self.session, topic, wanted, &limit).await
        };
        limit.hold(work, |timeout| took_longer(Phase::Admin, &what, timeout)).await
    }

    /// Waits, until `deadline`, for the records that its producers have accepted until now to be settled, also of
    /// producers that were given up. Returns how many are not.
    pub async fn flush(&self, deadline: Option<Instant>) -> u64 {
        let flush = |member: Arc<dyn Member>| async move {
            match deadline {
                None => member.flush().await,
                Some(deadline) => {
                    if tokio::time::timeout_at(deadline, member.flush()).await.is_err() {
                        return member.unsettled();
                    }
                }
            }
            0
        };
        join_all(self.session.members().into_iter().map(flush)).await.into_iter().sum()
    }
}
