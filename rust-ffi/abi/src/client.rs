//! The client handle.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fluvio_cffi_engine::{Client, ClientOptions, ClientState, Error, Phase, Result};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::boundary::{OK, export, quiet};
use crate::bytes::{buffer, flv_slice_t, flv_view_t};
use crate::closing::{Closing, Owned, Settling, Work, close_all, commit_all};
use crate::handle::{self, Handle, Kind};
use crate::operation::{self, Done, Request, overdue};
use crate::owner::{self, Owner, flv_owner_t};
use crate::pointer::{slice, write_out};
use crate::queue::flv_queue_t;
use crate::runtime::Runtime;
use crate::status::{flv_error_t, flv_status_t};
use crate::structs::{self, growing, millis};
use crate::tls::{self, flv_tls_policy_e};

/// A connection to a cluster. May be used from any threads.
pub struct flv_client_t {
    _opaque: [u8; 0],
}

/// How to connect. `flv_client_options_init` fills in the defaults.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_client_options_t {
    /// `sizeof(flv_client_options_t)`.
    pub struct_size: u32,
    /// Dial the SPUs' local addresses: 0 no, 1 yes, 2 as the profile says. Default 2.
    pub use_spu_local_address: u32,
    /// `host:port` of the SC. Empty: from the profile.
    pub endpoint: flv_slice_t,
    /// A profile of the profile file. Empty: the current one.
    pub profile: flv_slice_t,
    /// The name given in each request. Empty: `fluvio-cffi`.
    pub client_id: flv_slice_t,
    /// Bounds one data request and one probe, milliseconds. Default 10,000.
    pub request_timeout_ms: i64,
    /// Bounds one question of the client's own to the SC, milliseconds. Default 30,000.
    pub admin_timeout_ms: i64,
    /// One of `FLV_TLS_POLICY_`. Default `FLV_TLS_POLICY_PROFILE`.
    pub tls_policy: u32,
    /// 0.
    pub reserved: u32,
    /// Verified: the name in the SC's certificate; an SPU's has the SPU's name and a dot before it. Empty: the hosts
    /// that are dialled.
    pub tls_domain: flv_slice_t,
    /// Verified: certificates of the CAs that are trusted, the path of a file or PEM text. Empty: those of the system.
    pub tls_ca: flv_slice_t,
    /// Verified: the client's certificate, the path of a file or PEM text. Empty: none.
    pub tls_cert: flv_slice_t,
    /// Verified: its private key (PKCS#8, SEC1 or PKCS#1), the path of a file or PEM text.
    pub tls_key: flv_slice_t,
    /// How often the SC is asked whether it is still there, milliseconds. Default 10,000.
    pub probe_ms: i64,
    /// Whether a cluster that cannot be reached is waited for until the time-out: 1 yes, 2 no, 0 if it has answered
    /// this process before, or the time-out is longer than 10 s. Default 0. What cannot change by waiting is an error
    /// at once: bad arguments, TLS, versions.
    pub wait: u32,
    /// 0.
    pub reserved2: u32,
    /// Whose end is the client's, too. NULL: that of the process alone, `flv_runtime_shutdown`.
    pub owner: *mut flv_owner_t,
}

growing!(flv_client_options_t {
    struct_size,
    use_spu_local_address,
    endpoint,
    profile,
    client_id,
    request_timeout_ms,
    admin_timeout_ms,
    tls_policy,
    reserved,
    tls_domain,
    tls_ca,
    tls_cert,
    tls_key,
    probe_ms,
    wait,
    reserved2,
    owner
});

/// Whether a client sees its cluster.
#[repr(C)]
pub enum flv_client_state_e {
    /// Not one that this version knows, or not a client.
    FLV_CLIENT_STATE_UNKNOWN = 0,
    /// The SC's watches are alive.
    FLV_CLIENT_STATE_CONNECTED = 1,
    /// The SC is away; the data path goes on.
    FLV_CLIENT_STATE_RECONNECTING = 2,
    /// Closed.
    FLV_CLIENT_STATE_CLOSED = 3,
}

impl flv_client_options_t {
    const DEFAULT: Self = Self {
        struct_size: size_of::<Self>() as u32,
        use_spu_local_address: 2,
        endpoint: flv_slice_t::EMPTY,
        profile: flv_slice_t::EMPTY,
        client_id: flv_slice_t::EMPTY,
        request_timeout_ms: 10_000,
        admin_timeout_ms: 30_000,
        tls_policy: flv_tls_policy_e::FLV_TLS_POLICY_PROFILE as u32,
        reserved: 0,
        tls_domain: flv_slice_t::EMPTY,
        tls_ca: flv_slice_t::EMPTY,
        tls_cert: flv_slice_t::EMPTY,
        tls_key: flv_slice_t::EMPTY,
        probe_ms: 10_000,
        wait: 0,
        reserved2: 0,
        owner: std::ptr::null_mut(),
    };

    fn parse(&self, timeout_ms: i64) -> Result<ClientOptions> {
        structs::unused(self.reserved, "options")?;
        structs::unused(self.reserved2, "options")?;
        let wait = match self.wait {
            0 => None,
            1 => Some(true),
            2 => Some(false),
            other => return Err(Error::invalid(format!("wait is {other}: it must be 0, 1 or 2"))),
        };
        let use_spu_local_address = match self.use_spu_local_address {
            0 => Some(false),
            1 => Some(true),
            2 => None,
            other => return Err(Error::invalid(format!("use_spu_local_address is {other}: it must be 0, 1 or 2"))),
        };
        let client_id = self.client_id.optional_text("client_id")?;
        if let Some(id) = client_id.as_ref().filter(|id| id.len() > 255) {
            return Err(Error::invalid(format!("client_id has {} bytes: at most 255 are allowed", id.len())));
        }
        Ok(ClientOptions {
            endpoint: self.endpoint.optional_text("endpoint")?,
            profile: self.profile.optional_text("profile")?,
            client_id,
            use_spu_local_address,
            tls: tls::parse(self.tls_policy, self.tls_domain, self.tls_ca, self.tls_cert, self.tls_key)?,
            connect_timeout: u64::try_from(timeout_ms).ok().map(Duration::from_millis),
            wait,
            request_timeout: millis(self.request_timeout_ms, "request_timeout_ms")?,
            admin_timeout: millis(self.admin_timeout_ms, "admin_timeout_ms")?,
            probe_interval: millis(self.probe_ms, "probe_ms")?,
            owner: 0,
        })
    }
}

/// A client and what was opened with it.
pub(crate) struct ClientObject {
    pub(crate) client: Client,
    pub(crate) runtime: Arc<Runtime>,
    closed: AtomicBool,
    closing: Notify,
    opened: Owned<dyn Closing>,
}

impl ClientObject {
    pub(crate) fn usable(&self) -> Result<()> {
        if self.closed.load(Ordering::SeqCst) { Err(Error::closed("client")) } else { Ok(()) }
    }

    /// What `work` comes to, unless the client is closed first.
    pub(crate) async fn while_open<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut closing = pin!(self.closing.notified());
        closing.as_mut().enable();
        self.usable()?;
        tokio::select! {
            result = work => result,
            () = closing => Err(Error::closed("client")),
        }
    }

    /// `object`, which was opened with it, ends with it.
    pub(crate) fn add<T: Closing + 'static>(&self, object: &Arc<T>) {
        self.opened.add(&(Arc::clone(object) as Arc<dyn Closing>));
    }
}

impl Closing for ClientObject {
    fn commit_marked(self: Arc<Self>, timeout: Option<Duration>) -> Work<()> {
        Box::pin(async move { commit_all(self.opened.alive(), timeout).await })
    }

    /// Closes what was opened with it, then the client itself.
    fn close(self: Arc<Self>, deadline: Option<Instant>) -> Work<u64> {
        Box::pin(async move {
            self.closed.store(true, Ordering::SeqCst);
            self.closing.notify_waiters();
            let dropped = close_all(self.opened.alive(), deadline).await;
            self.client.close().await;
            dropped
        })
    }
}

impl Settling for ClientObject {
    fn flush(self: Arc<Self>, deadline: Option<Instant>) -> Work<u64> {
        Box::pin(async move { self.client.flush(deadline).await })
    }
}

impl Handle for flv_client_t {
    type Object = ClientObject;
    const KIND: Kind = Kind::Client;
}

/// Fills in the defaults of the fields within `size` bytes, which is the size of `*options`: in C a macro of the same
/// name adds it. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_client_options_init(options: *mut flv_client_options_t, size: usize) {
    structs::init(options, size, flv_client_options_t::DEFAULT);
}

/// Connects to a cluster. The options are read before it returns. Result: `flv_client_t *`, owned by whoever drains,
/// until `flv_client_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_client_connect(
    options: *const flv_client_options_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let given = structs::read(options, "options", flv_client_options_t::DEFAULT)?;
        let owner = owner::find(given.owner)?;
        let of = owner.as_deref().map_or(0, Owner::number);
        let options = ClientOptions { owner: of, ..given.parse(timeout_ms)? };
        let runtime = Runtime::acquire()?;
        let keep = Arc::clone(&runtime);
        let request = Request { timeout_ms, queue, token, operation };
        operation::start_bounded(runtime, request, |_| async move {
            let client = Client::connect(options).await?;
            let object = Arc::new(ClientObject {
                client,
                runtime: keep,
                closed: AtomicBool::new(false),
                closing: Notify::new(),
                opened: Owned::new(),
            });
            owner::adopt(owner.as_deref(), &object)?;
            Ok(Done::object::<flv_client_t>(object))
        })?;
        Ok(OK)
    })
}

/// Closes a client and what was opened with it; its producers flush within the time-out. Value: how many records were
/// dropped; their tickets tell. Again: nothing to do. The handle stays until it is freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_client_close(
    client: *mut flv_client_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let client = handle::get(client)?;
        // The deadline is kept inside: the close itself always succeeds.
        let deadline = u64::try_from(timeout_ms).ok().map(|millis| Instant::now() + Duration::from_millis(millis));
        let request = Request { timeout_ms: -1, queue, token, operation };
        let late = overdue(Phase::Close, "closing the client");
        operation::start(Arc::clone(&client.runtime), &request, late, async move {
            Ok(Done::value(client.close(deadline).await))
        })?;
        Ok(OK)
    })
}

/// Where the log of a partition begins and ends.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_bounds_t {
    /// The partition.
    pub partition: u32,
    /// 0.
    pub reserved: u32,
    /// The first offset that exists.
    pub begin: i64,
    /// The offset after the last committed record. As large as `begin`: there is none.
    pub end: i64,
}

/// Asks the SPUs that lead the partitions of `topic` where their logs begin and end now; while leaders change or are
/// away, again within the time-out. `partitions`: which; `count` 0: all. Result: `flv_buffer_t *` that holds an array
/// of `flv_bounds_t`, by partition, owned by whoever drains. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_client_offsets(
    client: *mut flv_client_t,
    topic: flv_slice_t,
    partitions: *const u32,
    count: usize,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let client = handle::get(client)?;
        client.usable()?;
        let topic = topic.text("topic")?.to_owned();
        let partitions = slice(partitions, count, "partitions")?.to_vec();
        let request = Request { timeout_ms, queue, token, operation };
        operation::start_bounded(Arc::clone(&client.runtime), request, |timeout| async move {
            let found = client.while_open(client.client.offsets(&topic, &partitions, timeout)).await?;
            let mut bytes = Vec::with_capacity(found.len() * size_of::<flv_bounds_t>());
            for (partition, (begin, end)) in found {
                bytes.extend_from_slice(&partition.to_ne_bytes());
                bytes.extend_from_slice(&0_u32.to_ne_bytes());
                bytes.extend_from_slice(&begin.to_ne_bytes());
                bytes.extend_from_slice(&end.to_ne_bytes());
            }
            Ok(Done::entry(buffer(bytes)))
        })?;
        Ok(OK)
    })
}

/// Asks the SC the smallest question there is; again while it is away, within the time-out. Value: how many nanoseconds
/// it took to answer. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_client_ping(
    client: *mut flv_client_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let client = handle::get(client)?;
        client.usable()?;
        let request = Request { timeout_ms, queue, token, operation };
        operation::start_bounded(Arc::clone(&client.runtime), request, |timeout| async move {
            let took = client.while_open(client.client.ping(timeout)).await?;
            Ok(Done::value(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)))
        })?;
        Ok(OK)
    })
}

/// Frees a client. Its producers and consumers go on until they are freed. Never blocks. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_client_free(client: *mut flv_client_t) {
    quiet((), || {
        drop(handle::remove(client));
        Ok(())
    });
}

/// The SC's address. `*endpoint` is valid until the client is freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_client_endpoint(client: *const flv_client_t, endpoint: *mut flv_view_t) -> flv_status_t {
    export(std::ptr::null_mut(), || {
        write_out(endpoint, "endpoint", flv_view_t::new(handle::get(client)?.client.endpoint().as_bytes()))?;
        Ok(OK)
    })
}

/// The cluster's version. `*version` is valid until the client is freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_client_platform_version(client: *const flv_client_t, version: *mut flv_view_t) -> flv_status_t {
    export(std::ptr::null_mut(), || {
        write_out(version, "version", flv_view_t::new(handle::get(client)?.client.platform_version().as_bytes()))?;
        Ok(OK)
    })
}

/// One of `FLV_CLIENT_STATE_`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_client_state(client: *const flv_client_t) -> u32 {
    quiet(flv_client_state_e::FLV_CLIENT_STATE_UNKNOWN as u32, || {
        let client = handle::get(client)?;
        Ok(if client.usable().is_err() { ClientState::Closed } else { client.client.state() } as u32)
    })
}
