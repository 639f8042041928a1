//! What the producers, the consumers and the administration of one client share: its metadata of the cluster, its way
//! to the SC, its counters, and connections to SPUs. It lives as long as any of them.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::controller::Controller;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::executor;
use crate::limit::{Limit, took_longer};
use crate::log::log;
use crate::metadata::ClusterMetadata;
use crate::metrics::{Counters, Metrics};
use crate::options::ClientOptions;
use crate::transport::{Connection, Frame};

/// An address, and whether TLS is spoken there.
type Place = (String, bool);

fn place(controller: &Controller) -> Place {
    (controller.endpoint().to_owned(), controller.dialer().is_tls())
}

/// The number of clusters that have answered and are remembered.
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

static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// How many sessions are alive in the process.
pub(crate) fn alive() -> usize {
    ALIVE.load(Ordering::Relaxed)
}

/// What was opened with a session, and counts in its metrics and its flush.
pub(crate) trait Member: Send + Sync {
    /// Adds what is under way to the session's numbers. Never waits.
    fn measure(&self, metrics: &mut Metrics);

    /// Waits until what was accepted before is settled.
    fn flush(&self) -> BoxFuture<'_, ()>;

    /// How many records are not settled.
    fn unsettled(&self) -> u64;
}

/// A connected client's means; a cheap handle.
#[derive(Clone)]
pub(crate) struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    controller: Arc<Controller>,
    metadata: Arc<ClusterMetadata>,
    platform_version: String,
    request_timeout: Duration,
    members: Mutex<Vec<Weak<dyn Member>>>,
    /// What all that is opened with it has in common, by name.
    common: Mutex<HashMap<String, Weak<dyn Any + Send + Sync>>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.metadata.end(Error::closed("client"));
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Session {
    /// Connects and waits for the first metadata of the cluster, until `connect_timeout`.
    pub(crate) async fn connect(options: ClientOptions) -> Result<Self> {
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
        let controller = Arc::new(Controller::new(&options).await?);
        let waits = options.waits(|| answered().contains(&place(&controller)));
        let mut attempts = limit.attempts(controller.counters());
        let (metadata, platform_version) = loop {
            match ClusterMetadata::start(Arc::clone(&controller), waits).await {
                Err(error) if waits => attempts.after(error).await?,
                started => break started?,
            }
        };
        remember(place(&controller));
        ALIVE.fetch_add(1, Ordering::Relaxed);
        let request_timeout = options.request_timeout;
        let (members, common) = Default::default();
        let inner = Arc::new(Inner { controller, metadata, platform_version, request_timeout, members, common });
        Ok(Self { inner })
    }

    /// Ends its connections to the SC and its watches; what was opened with it fails.
    pub(crate) fn close(&self) {
        log!(INFO, CLUSTER, self.counters(), "the client is closed", address = self.endpoint());
        self.inner.metadata.end(Error::closed("client"));
        self.inner.controller.close();
    }

    /// The SC's address as given.
    pub(crate) fn endpoint(&self) -> &str {
        self.inner.controller.endpoint()
    }

    /// The cluster's version.
    pub(crate) fn platform_version(&self) -> &str {
        &self.inner.platform_version
    }

    pub(crate) fn controller(&self) -> &Controller {
        &self.inner.controller
    }

    pub(crate) fn metadata(&self) -> &ClusterMetadata {
        &self.inner.metadata
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        self.inner.controller.counters()
    }

    /// Bounds one data request and one probe.
    pub(crate) fn request_timeout(&self) -> Duration {
        self.inner.request_timeout
    }

    /// `member` counts in its metrics and its flush, for as long as it lives.
    pub(crate) fn add<M: Member + 'static>(&self, member: &Arc<M>) {
        let member: Weak<M> = Arc::downgrade(member);
        let mut members = self.inner.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| member.strong_count() > 0);
        members.push(member);
    }

    /// What is shared under a name, made if nobody has it now.
    pub(crate) fn common<T: Any + Send + Sync>(&self, name: &str, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let mut common = self.inner.common.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = common.get(name).and_then(Weak::upgrade).and_then(|shared| shared.downcast().ok()) {
            return shared;
        }
        let made = make();
        common.retain(|_, shared| shared.strong_count() > 0);
        let shared: Weak<T> = Arc::downgrade(&made);
        common.insert(name.to_owned(), shared);
        made
    }

    /// What was opened with it and is alive.
    pub(crate) fn members(&self) -> Vec<Arc<dyn Member>> {
        self.inner.members.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }

    /// Opens a connection to SPU `spu`.
    pub(crate) async fn dial(&self, spu: i32, quick: bool) -> Result<Connection> {
        let (name, address) = self
            .metadata()
            .address(spu)
            // Not yet, or not any more: then its partitions get another leader.
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::SpuNotFound,
                    format!("SPU {spu} is not known to the cluster: list the SPUs to see which there are"),
                )
                .passing()
            })?;
        let controller = self.controller();
        let (dialer, client_id, timeout) = (controller.dialer(), controller.client_id(), self.request_timeout());
        let opened = Connection::open(dialer, &name, &address, client_id, quick, timeout, self.counters()).await;
        let counters = self.counters();
        match &opened {
            Ok(_) => log!(DEBUG, CONNECTION, counters, "connected to an SPU", spu, address = &*address),
            Err(error) => {
                let reason = error.reason();
                log!(
                    WARN,
                    CONNECTION,
                    counters,
                    "no connection to an SPU",
                    spu,
                    address = &*address,
                    reason = &*reason
                );
            }
        }
        opened.map_err(|error| Error { message: format!("SPU {spu}: {}", error.message), ..error })
    }

    /// The frame that answers request `number`, which is about offsets.
    pub(crate) async fn reply(&self, connection: &mut Connection, number: i32) -> Result<Frame> {
        let reply = async {
            loop {
                let frame = connection.next_frame().await?;
                if frame.correlation == number {
                    return Ok(frame);
                }
                connection.stray()?;
            }
        };
        let timeout = self.request_timeout();
        match tokio::time::timeout(timeout, reply).await {
            Ok(reply) => reply,
            Err(_) => {
                let (peer, seconds) = (connection.peer(), timeout.as_secs_f64());
                let text = format!("{peer} did not answer a request about offsets within {seconds} s");
                Err(Error::new(ErrorKind::Connection, text))
            }
        }
    }
}
