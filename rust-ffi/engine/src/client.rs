//! The client handle.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::consumer::{self, ChunkEncoder, Consumer, ConsumerOptions};
use crate::control::Control;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::events::Events;
use crate::executor;
use crate::limit::{Limit, took_longer};
use crate::metrics::{Counters, Metrics};
use crate::producer::{self, Producer, ProducerOptions, TicketSink};
use crate::transport::{Connection, Tls};
use crate::view::View;

/// How to connect.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// `host:port` of the SC. `None`: from the profile.
    pub endpoint: Option<String>,
    /// A profile of the profile file. `None`: the current one.
    pub profile: Option<String>,
    /// The name the client gives in each request. `None`: `fluvio-cffi`.
    pub client_id: Option<String>,
    /// Dial the SPUs' local addresses. `None`: as the profile says, else no.
    pub use_spu_local_address: Option<bool>,
    /// How connections are protected. `None`: as the profile says, else not at all.
    pub tls: Option<Tls>,
    /// When whoever connects gives up; the TLS handshake gets half of it, to say what was wrong. `None`: no limit.
    pub connect_timeout: Option<Duration>,
    /// Whether a cluster that cannot be reached is waited for until then. `None`: one that has answered this process
    /// before, and any if `connect_timeout` is longer than [`Self::SHORT`].
    pub wait: Option<bool>,
    /// Bounds one data request and one probe; the TLS handshake gets half of it, too.
    pub request_timeout: Duration,
    /// Bounds one question of the client's own to the SC; what others ask has its own deadline.
    pub admin_timeout: Duration,
    /// How often the SC is asked whether it is still there.
    pub probe_interval: Duration,
}

impl ClientOptions {
    /// Whoever gives a cluster more time than this to answer gives it time to start.
    pub const SHORT: Duration = Duration::from_secs(10);

    fn waits_for(&self, control: &Control) -> bool {
        let patient = || self.connect_timeout.is_none_or(|timeout| timeout > Self::SHORT);
        self.wait.unwrap_or_else(|| patient() || answered().contains(&place(control)))
    }
}

/// An address, and whether TLS is spoken there.
type Place = (String, bool);

fn place(control: &Control) -> Place {
    (control.endpoint().to_owned(), control.dialer().is_tls())
}

/// So many clusters that have answered are remembered.
const MOST_ANSWERED: usize = 64;

/// Where clusters have answered this process, the latest ones: one that refuses now is taken to be starting again.
fn answered() -> MutexGuard<'static, VecDeque<Place>> {
    static ANSWERED: Mutex<VecDeque<Place>> = Mutex::new(VecDeque::new());
    ANSWERED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remember(place: Place) {
    let mut answered = answered();
    answered.retain(|known| *known != place);
    if answered.len() == MOST_ANSWERED {
        answered.pop_front();
    }
    answered.push_back(place);
}

/// Whether the client sees its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum ClientState {
    /// The SC's watches are alive.
    Connected = 1,
    /// The SC is away; the data path goes on.
    Reconnecting = 2,
    /// Closed by its owner.
    Closed = 3,
}

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
        clients: CLIENTS.load(Ordering::Relaxed),
        producers: crate::producer::alive(),
        consumers: crate::consumer::alive(),
        connections: crate::transport::connections(),
    }
}

static CLIENTS: AtomicUsize = AtomicUsize::new(0);
static ALL: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());

/// The clients that are open, and those that were given up while producers and consumers of theirs go on.
pub fn clients() -> Vec<Client> {
    let all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().filter_map(Weak::upgrade).map(|inner| Client { inner }).collect()
}

/// A connection to a cluster; a cheap handle.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    control: Arc<Control>,
    view: Arc<View>,
    platform_version: String,
    request_timeout: Duration,
    producers: Registry<producer::Shared>,
    consumers: Registry<consumer::Shared>,
}

/// What was opened with a client, for as long as it lives.
struct Registry<T>(Mutex<Vec<Weak<T>>>);

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Registry<T> {
    fn add(&self, object: &Arc<T>) {
        let mut objects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        objects.retain(|object| object.strong_count() > 0);
        objects.push(Arc::downgrade(object));
    }

    fn alive(&self) -> Vec<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.view.end(Error::closed("client"));
        CLIENTS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects and waits for the first view of the cluster, until `connect_timeout`.
    pub async fn connect(options: ClientOptions) -> Result<Self> {
        let limit = Limit::new(options.connect_timeout);
        let what = match &options.endpoint {
            Some(endpoint) => format!("connecting to the cluster at {endpoint}"),
            None => "connecting to the cluster".to_owned(),
        };
        let overdue = |timeout| took_longer(Phase::Connect, &what, timeout);
        limit.hold(Self::connected(options, &limit), overdue).await
    }

    async fn connected(options: ClientOptions, limit: &Limit) -> Result<Self> {
        executor::start()?;
        let control = Arc::new(Control::new(&options).await?);
        let waits = options.waits_for(&control);
        let mut attempts = limit.attempts(control.counters());
        let (view, platform_version) = loop {
            match View::start(Arc::clone(&control), waits).await {
                Err(error) if waits => attempts.after(error).await?,
                started => break started?,
            }
        };
        remember(place(&control));
        CLIENTS.fetch_add(1, Ordering::Relaxed);
        let request_timeout = options.request_timeout;
        let (producers, consumers) = (Registry::default(), Registry::default());
        let inner = Inner { control, view, platform_version, request_timeout, producers, consumers };
        let inner = Arc::new(inner);
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|client| client.strong_count() > 0);
        all.push(Arc::downgrade(&inner));
        Ok(Self { inner })
    }

    /// Ends its connections and watches. Producers and consumers that are still open fail.
    pub async fn close(&self) {
        self.inner.view.end(Error::closed("client"));
        self.inner.control.close();
    }

    /// The SC's address as given.
    pub fn endpoint(&self) -> &str {
        self.inner.control.endpoint()
    }

    /// The cluster's version.
    pub fn platform_version(&self) -> &str {
        &self.inner.platform_version
    }

    /// Whether it sees its cluster.
    pub fn state(&self) -> ClientState {
        self.inner.view.state()
    }

    /// What happens to it from now on.
    pub fn events(&self) -> Events {
        self.view().events()
    }

    /// What it has done, and what is under way. Any thread; never waits for I/O.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = self.counters().read();
        for producer in self.inner.producers.alive() {
            let (records, bytes) = producer.pending();
            metrics.records_buffered += records;
            metrics.bytes_buffered += bytes;
        }
        metrics.lag = self.inner.consumers.alive().iter().map(|consumer| consumer.lag()).sum();
        metrics
    }

    /// Opens a producer for a topic, within `timeout`; `None`: without a deadline. Its tickets go to `sink`.
    pub async fn producer(
        &self,
        topic: &str,
        options: ProducerOptions,
        sink: Arc<dyn TicketSink>,
        timeout: Option<Duration>,
    ) -> Result<Producer> {
        Producer::open(self.clone(), topic, options, sink, timeout).await
    }

    /// Opens a consumer of a topic, within `timeout`; `None`: without a deadline. Its start offsets are fixed when this
    /// returns.
    pub async fn consumer(
        &self,
        topic: &str,
        options: ConsumerOptions,
        encoder: Arc<dyn ChunkEncoder>,
        timeout: Option<Duration>,
    ) -> Result<Consumer> {
        Consumer::open(self.clone(), topic, options, encoder, timeout).await
    }

    /// Where the logs of a topic's partitions begin and end now, as the SPUs that lead them say, within `timeout`; `None`:
    /// without a deadline. The end is the offset after the last committed record. `partitions`: which; none: all.
    pub async fn offsets(
        &self,
        topic: &str,
        partitions: &[u32],
        timeout: Option<Duration>,
    ) -> Result<BTreeMap<u32, (i64, i64)>> {
        let limit = Limit::new(timeout);
        let what = format!("asking for the offsets of topic \"{topic}\"");
        let work = async {
            let count = self.view().topic(topic, &limit).await?.partitions;
            if let Some(wrong) = partitions.iter().find(|partition| **partition >= count) {
                return Err(Error::partition_not_found(topic, i64::from(*wrong), count));
            }
            let wanted = match partitions.is_empty() {
                true => (0..count).collect(),
                false => partitions.iter().copied().collect(),
            };
            consumer::offsets::logs_bounds(self, topic, wanted, &limit).await
        };
        limit.hold(work, |timeout| took_longer(Phase::Admin, &what, timeout)).await
    }

    /// Waits, until `deadline`, for the records that its producers have accepted until now to be settled, also of producers
    /// that were given up. Returns how many are not.
    pub async fn flush(&self, deadline: Option<Instant>) -> u64 {
        let flush = |producer: Arc<producer::Shared>| async move {
            match deadline {
                None => producer.flush().await,
                Some(deadline) => {
                    if tokio::time::timeout_at(deadline, producer.flush()).await.is_err() {
                        return producer.pending().0;
                    }
                }
            }
            0
        };
        join_all(self.inner.producers.alive().into_iter().map(flush)).await.into_iter().sum()
    }

    pub(crate) fn control(&self) -> &Control {
        &self.inner.control
    }

    pub(crate) fn view(&self) -> &View {
        &self.inner.view
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        self.inner.control.counters()
    }

    pub(crate) fn add_producer(&self, producer: &Arc<producer::Shared>) {
        self.inner.producers.add(producer);
    }

    pub(crate) fn add_consumer(&self, consumer: &Arc<consumer::Shared>) {
        self.inner.consumers.add(consumer);
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.inner.request_timeout
    }

    /// Opens a connection to SPU `spu`.
    pub(crate) async fn dial(&self, spu: i32, quick: bool) -> Result<Connection> {
        let (name, address) = self
            .view()
            .address(spu)
            // Not yet, or not any more: then its partitions get another leader.
            .ok_or_else(|| {
                Error::new(ErrorKind::SpuNotFound, format!("SPU {spu} is not known to the cluster")).passing()
            })?;
        let control = self.control();
        let (dialer, client_id, timeout) = (control.dialer(), control.client_id(), self.request_timeout());
        let opened = Connection::open(dialer, &name, &address, client_id, quick, timeout, self.counters()).await;
        opened.map_err(|error| Error { message: format!("SPU {spu}: {}", error.message), ..error })
    }
}
