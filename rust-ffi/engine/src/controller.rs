//! Connections to the SC, through the `fluvio` crate over our own connector.
//!
//! The SC serves the calls of a connection one after another and may hold a create for 90 s, and the crate never
//! reconnects. So a call has a connection to itself: the one that is kept, or a fresh one while another call has that.
//! One on which a call failed or timed out is dropped. To connect costs more round trips than to ask whether the SC is
//! still there.
//!
//! While the SC is away, what may be repeated is tried again until its deadline; of what may not, connecting is.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fluvio::metadata::topic::TopicSpec;
use fluvio::{Fluvio, FluvioAdmin, FluvioClusterConfig};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::blocking;
use crate::error::{Error, ErrorKind, Outcome, Phase, Result};
use crate::guard;
use crate::limit::Limit;
use crate::log::{Origin, log};
use crate::metrics::Counters;
use crate::options::{ClientOptions, check_endpoint};
use crate::profile::{ClusterConfig, Profiles};
use crate::transport::{Connector, Dialer, Failure};

const CLIENT_ID: &str = "fluvio-cffi";

/// How long after the end of a connection an answer that came before it may need to get through the crate.
const GRACE: Duration = Duration::from_millis(200);

/// The SC is not asked more often whether it is still there, however often a probe is requested.
const LEAST_BETWEEN_PROBES: Duration = Duration::from_secs(1);

/// No topic has this in its name, so a list of those that do is the smallest answer there is.
const NO_TOPIC: &str = "/";

/// A connection to the SC.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) admin: Arc<FluvioAdmin>,
    /// The cluster's version.
    pub(crate) version: String,
    /// Cancelled when the connection ends.
    lost: CancellationToken,
    failure: Failure,
}

impl Link {
    /// What `work` on this connection, about `what`, comes to. The crate never answers what begins when the connection
    /// has just ended.
    pub(crate) async fn alive<T>(&self, what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let ended = async {
            self.lost.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            biased;
            result = work => result,
            () = ended => {
                Err(Error::new(ErrorKind::Connection, format!("{what}: the SC closed the connection")))
            }
        }
    }

    async fn call<T, F>(&self, what: &str, call: impl FnOnce(Arc<FluvioAdmin>) -> F) -> Result<T>
    where
        F: Future<Output = anyhow::Result<T>>,
    {
        // In a box: the crate's futures are so large that those around them would outgrow a thread's stack.
        let call = guard::caught(Box::pin(call(Arc::clone(&self.admin))));
        let answer = async {
            // Whatever the crate panics on is what the SC has answered.
            call.await.map_err(|panic| unreadable(what, &panic.message))?.map_err(|error| call_error(&error, what))
        };
        self.alive(what, answer).await.map_err(|error| self.explain(what, error))
    }

    /// The error of `what` is `error`, or why the connection was given up, where that is known better.
    pub(crate) fn explain(&self, what: &str, error: Error) -> Error {
        match self.failure.get() {
            Some(known) if known.kind == ErrorKind::Version && error.kind == ErrorKind::Connection => {
                Error { message: format!("{what}: {known}"), ..known }
            }
            _ => error,
        }
    }
}

/// How to reach the SC, and the shared connection for short calls.
pub(crate) struct Controller {
    config: FluvioClusterConfig,
    dialer: Dialer,
    timeout: Duration,
    request_timeout: Duration,
    probe_interval: Duration,
    counters: Arc<Counters>,
    shared: Mutex<Option<Link>>,
    /// Changes when a probe of the SC is requested.
    probe_requests: watch::Sender<()>,
}

impl Controller {
    /// Settles how to connect: as given, else as the profile says. Without an endpoint, or with a profile's name, that
    /// is read.
    pub(crate) async fn new(options: &ClientOptions) -> Result<Self> {
        let profile = match (&options.endpoint, &options.profile) {
            (Some(_), None) => None,
            (_, name) => Some(from_profile(name.clone()).await?),
        };
        let ClusterConfig { endpoint, tls, use_spu_local_address } = profile.unwrap_or_default();
        let endpoint = options.endpoint.clone().unwrap_or(endpoint);
        check_endpoint(&endpoint)?;
        let mut config = FluvioClusterConfig::new(endpoint);
        config.use_spu_local_address = options.use_spu_local_address.unwrap_or(use_spu_local_address);
        config.client_id = Some(options.client_id.clone().unwrap_or_else(|| CLIENT_ID.to_owned()));
        let limit = options.connect_timeout.map_or(options.request_timeout, |it| it.min(options.request_timeout));
        let dialer = Dialer::new(options.tls.clone().unwrap_or(tls), limit / 2).await?;
        Ok(Self {
            config,
            dialer,
            timeout: options.admin_timeout,
            request_timeout: options.request_timeout,
            probe_interval: options.probe_interval,
            counters: Arc::new(Counters::new(Origin::new(options.owner))),
            shared: Mutex::default(),
            probe_requests: watch::Sender::default(),
        })
    }

    /// The SC's address.
    pub(crate) fn endpoint(&self) -> &str {
        &self.config.endpoint
    }

    /// The name given in each request.
    pub(crate) fn client_id(&self) -> &str {
        self.config.client_id.as_deref().unwrap_or(CLIENT_ID)
    }

    /// Whether the SPUs' local addresses are dialled.
    pub(crate) fn use_spu_local_address(&self) -> bool {
        self.config.use_spu_local_address
    }

    /// How connections are opened.
    pub(crate) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// How long one call may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What the client counts.
    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// A fresh connection instead of a lost one, within the time of one request.
    pub(crate) async fn reconnect(&self) -> Result<Link> {
        self.promptly("connecting", self.connect()).await
    }

    /// Has the SC asked soon whether it is still there: what it told last turned out wrong, so it may be gone without a
    /// word.
    pub(crate) fn request_probe(&self) {
        self.probe_requests.send_replace(());
    }

    /// Asks the SC time and again on `link`, where it otherwise speaks by itself, whether it is still there. Ends when
    /// it does not answer in time, or the connection is lost.
    pub(crate) async fn watch_over(&self, link: &Link) -> Error {
        let mut requests = self.probe_requests.subscribe();
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.probe_interval) => {}
                // This never fails: the sender lives as long as `self`.
                _ = requests.changed() => {}
            }
            match self.probe(link).await {
                Err(error) => return error,
                Ok(()) => tokio::time::sleep(LEAST_BETWEEN_PROBES.min(self.probe_interval)).await,
            }
        }
    }

    /// Whether the SC answers on `link`, within the time of one request.
    async fn probe(&self, link: &Link) -> Result<()> {
        let what = "asking whether the SC is there";
        let probe = link.call(what, |admin| async move { admin.list::<TopicSpec, _>(vec![NO_TOPIC.to_owned()]).await });
        match self.promptly(what, Box::pin(probe)).await {
            Err(error) if error.kind.is_lost() || link.lost.is_cancelled() => Err(error),
            // Whatever it says, it is there.
            _ => Ok(()),
        }
    }

    /// How long the SC takes to answer the smallest question; asked again while it is away.
    pub(crate) async fn ping(&self, limit: &Limit) -> Result<Duration> {
        self.short(limit, "asking whether the SC is there", |admin| async move {
            let asked = Instant::now();
            admin.list::<TopicSpec, _>(vec![NO_TOPIC.to_owned()]).await?;
            Ok(asked.elapsed())
        })
        .await
    }

    /// A fresh connection.
    pub(crate) async fn connect(&self) -> Result<Link> {
        let (connector, failure, lost) = Connector::new(&self.config.endpoint, self.dialer.clone());
        let explain = |cause: anyhow::Error| {
            failure.get().unwrap_or_else(|| {
                Error::from_anyhow(&cause, &format!("connecting to the SC at {}", self.config.endpoint))
            })
        };
        let connecting = Box::pin(Fluvio::connect_with_connector(Box::new(connector), &self.config));
        let fluvio = connecting.await.map_err(explain)?;
        let version = fluvio.platform_version().to_string();
        log!(DEBUG, CONNECTION, self.counters, "connected to the SC", address = self.endpoint(), version = &*version);
        Ok(Link { admin: Arc::new(fluvio.admin().await), version, lost, failure: failure.clone() })
    }

    /// Runs a short call, which changes nothing, on the shared connection; again while the SC is away.
    pub(crate) async fn short<T, F>(&self, limit: &Limit, what: &str, call: impl Fn(Arc<FluvioAdmin>) -> F) -> Result<T>
    where
        F: Future<Output = anyhow::Result<T>>,
    {
        let work = async {
            let mut attempts = limit.attempts(&self.counters);
            // A silent connection is given up soon; an SC that is slow rather than gone gets longer each time.
            let mut patience = self.request_timeout;
            loop {
                let attempt = self.on_shared(what, &call);
                match Limit::new(Some(patience)).hold(attempt, |timeout| self.overdue(what, timeout)).await {
                    Err(error) => {
                        if error.kind == ErrorKind::Timeout {
                            patience = patience.saturating_mul(2);
                        }
                        attempts.after(error).await?;
                    }
                    result => return result,
                }
            }
        };
        // Boxed, as everything that has the crate's futures in it: callers would grow too deep for the compiler.
        self.bounded(limit, what, Box::pin(work)).await
    }

    /// Runs a short call on the shared connection, which is kept if it is good for the next one, or on a fresh one.
    async fn on_shared<T, F>(&self, what: &str, call: impl Fn(Arc<FluvioAdmin>) -> F) -> Result<T>
    where
        F: Future<Output = anyhow::Result<T>>,
    {
        // A silent connection is only noticed by the call that uses it: taken out first, and put back if it worked.
        let link = match self.take_shared() {
            Some(link) => link,
            None => self.connect().await?,
        };
        let value = link.call(what, call).await;
        self.keep(link, &value);
        value
    }

    fn take_shared(&self) -> Option<Link> {
        self.shared.lock().ok()?.take().filter(|link| !link.lost.is_cancelled())
    }

    /// Keeps a connection for the next call, if this one has shown that it is good.
    fn keep<T>(&self, link: Link, value: &Result<T>) {
        if !value.as_ref().is_err_and(|error| is_of_connection(error.kind))
            && let Ok(mut shared) = self.shared.lock()
        {
            *shared = Some(link);
        }
    }

    /// Runs a call that can take long, and may change something, once, on a connection on which the SC has just
    /// answered, and which is waited for. If nobody knows what became of it, the error says so, and may be repeated
    /// where the call is `repeatable`.
    pub(crate) async fn long<T, F>(
        &self,
        limit: &Limit,
        what: &str,
        repeatable: bool,
        call: impl FnOnce(Arc<FluvioAdmin>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = anyhow::Result<T>>,
    {
        let begun = AtomicBool::new(false);
        let work = async {
            let link = self.proven(limit).await?;
            begun.store(true, Ordering::Relaxed);
            let value = link.call(what, call).await;
            self.keep(link, &value);
            value
        };
        self.bounded(limit, what, Box::pin(work)).await.map_err(|error| {
            let (begun, late) = (begun.load(Ordering::Relaxed), error.kind == ErrorKind::Timeout);
            match begun {
                false => error.with_outcome(Outcome::NotWritten).adding(if late { "; it was not sent" } else { "" }),
                // Anything else that came after it was sent is the SC's answer.
                true if is_of_connection(error.kind) => {
                    let error = error.with_outcome(Outcome::Unknown).adding("; it may have been done all the same");
                    Error { retriable: repeatable, ..error }
                }
                true => error,
            }
        })
    }

    /// A connection on which the SC has just answered.
    async fn proven(&self, limit: &Limit) -> Result<Link> {
        if let Some(link) = self.take_shared()
            && self.probe(&link).await.is_ok()
        {
            return Ok(link);
        }
        let mut attempts = limit.attempts(&self.counters);
        loop {
            match self.reconnect().await {
                Err(error) => attempts.after(error).await?,
                Ok(link) => return Ok(link),
            }
        }
    }

    /// Ends `call` by `limit`.
    pub(crate) async fn bounded<T>(
        &self,
        limit: &Limit,
        what: &str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let result = limit.hold(call, |timeout| self.overdue(what, timeout)).await;
        match &result {
            Ok(_) => log!(DEBUG, ADMIN, self.counters, "a call was answered", call = what),
            Err(error) if error.kind.is_lost() => {
                log!(WARN, ADMIN, self.counters, "a call has failed", call = what, reason = %error.reason());
            }
            // Whoever called hears of it, and may have expected it.
            Err(error) => log!(INFO, ADMIN, self.counters, "a call was refused", call = what, reason = %error.reason()),
        }
        result.map_err(|error| self.counters.noted(error))
    }

    /// Ends `call` when one request may take no longer.
    async fn promptly<T>(&self, what: &str, call: impl Future<Output = Result<T>>) -> Result<T> {
        Limit::new(Some(self.request_timeout)).hold(call, |timeout| self.overdue(what, timeout)).await
    }

    /// The error when `what` took longer than `timeout`.
    pub(crate) fn overdue(&self, what: &str, timeout: Duration) -> Error {
        let (endpoint, seconds) = (self.endpoint(), timeout.as_secs_f64());
        let text = format!("{what}: the cluster at {endpoint} did not answer within {seconds} s");
        Error::timeout(Phase::Admin, text)
    }

    /// Drops the shared connection.
    pub(crate) fn close(&self) {
        if let Ok(mut shared) = self.shared.lock() {
            *shared = None;
        }
    }
}

/// Whether the connection is of no use any more: it is lost, or what came on it could not be read.
fn is_of_connection(error: ErrorKind) -> bool {
    error.is_lost() || error == ErrorKind::Version
}

/// The error of a watch, `what`.
pub(crate) fn watch_error(cause: &std::io::Error, what: &str) -> Error {
    let text = cause.to_string();
    // The crate has no other word for it. A socket's end is "Socket closed"; what else befalls a stream is its bytes.
    let unreadable = ["downcast error", "cannot decoded", "socket error Socket io"];
    let kind = match unreadable.iter().any(|begin| text.starts_with(begin)) {
        true => ErrorKind::Version,
        false => ErrorKind::Connection,
    };
    Error::new(kind, format!("{what}: {text}")).caused_by(cause)
}

/// The error of a call about `what`, on a connection that was made.
fn call_error(error: &anyhow::Error, what: &str) -> Error {
    use std::io::ErrorKind as Io;
    let text = error.to_string();
    // What codecs complain of looks like what sockets do; only its end is put in words of the crate's own.
    let cause = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    match cause.map(|cause| (cause.kind(), cause.to_string())) {
        // The crate waits for a minute at most, whatever its caller wants.
        Some((Io::TimedOut, cause)) => Error::timeout(Phase::Admin, format!("{what}: {cause}")),
        Some((Io::InvalidData, cause)) => unreadable(what, &cause),
        Some((Io::UnexpectedEof, cause)) if cause != "connection is closed" => unreadable(what, &cause),
        _ if text.starts_with("downcast error") || text.starts_with("no version found") => unreadable(what, &text),
        _ => {
            let mut error = Error::from_anyhow(error, what);
            if error.code.is_some() {
                error.message = format!("{what}: {}", error.message);
            }
            error
        }
    }
}

fn unreadable(what: &str, why: &str) -> Error {
    let text = format!("{what}: this version of the client cannot read the cluster's answer: {why}");
    Error::new(ErrorKind::Version, text)
}

/// The named profile, or the current one. Files are read on a thread that may block.
async fn from_profile(name: Option<String>) -> Result<ClusterConfig> {
    blocking::run("reading the profile file", move || Profiles::at(None)?.load(name.as_deref())).await
}
