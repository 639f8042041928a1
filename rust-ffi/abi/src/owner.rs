//! Who opened what. An owner ends by itself, while the clients of others in the process go on: an interpreter of
//! several, a plugin of a host. The process is the owner of everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fluvio_cffi_engine::{Error, ErrorKind, Result};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::boundary::{OK, export, quiet};
use crate::closing::{Owned, Settling, close_all, commit_all};
use crate::handle::{self, Handle, Kind};
use crate::operation::{self, Done, Request};
use crate::pointer::{fill, require, write_out};
use crate::queue::flv_queue_t;
use crate::runtime;
use crate::status::{flv_error_t, flv_status_e, flv_status_t};

/// An owner of clients, which end with it: an interpreter, or a plugin, whose end is not that of the process. May be
/// used from any threads.
pub struct flv_owner_t {
    _opaque: [u8; 0],
}

impl Handle for flv_owner_t {
    type Object = Owner;
    const KIND: Kind = Kind::Owner;
}

/// How long what is open of an owner that was freed may still take.
const FREED_CLOSE: Duration = Duration::from_secs(1);
/// The longest that a thread is blocked.
const LONGEST: Duration = Duration::from_secs(3600);

/// The clients of one owner, as long as they live, and whether it takes more.
pub(crate) struct Owner {
    /// Its number in the process; 0: the process itself.
    number: u64,
    clients: Owned<dyn Settling>,
    ended: AtomicBool,
}

/// Who owns everything.
static PROCESS: Owner = Owner::new(0);

/// The owner that everything has.
pub(crate) fn process() -> &'static Owner {
    &PROCESS
}

impl Owner {
    const fn new(number: u64) -> Self {
        Self { number, clients: Owned::new(), ended: AtomicBool::new(false) }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Fails once it has ended: nobody connects any more.
    fn usable(&self) -> Result<()> {
        match self.ended.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::Closed,
                "the interpreter is ending, or another host: the library was shut down",
            )),
        }
    }

    /// Waits for what producers have accepted, and commits what was processed; gives how many records are not settled.
    async fn flush(&self, timeout: Option<Duration>) -> u64 {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let clients = self.clients.alive();
        let flushes = clients.iter().map(|client| Arc::clone(client).flush(deadline)).collect::<JoinSet<u64>>();
        let (unsettled, ()) = tokio::join!(flushes.join_all(), commit_all(clients, timeout));
        unsettled.into_iter().sum()
    }

    /// Starts a flush as an operation; EMPTY: there is nothing to flush.
    pub(crate) fn start_flush(owner: impl AsRef<Self> + Send + 'static, request: Request) -> Result<flv_status_t> {
        let empty = Ok(flv_status_e::FLV_STATUS_EMPTY as flv_status_t);
        let Some(runtime) = runtime::running() else { return empty };
        if owner.as_ref().clients.alive().is_empty() {
            return empty;
        }
        // The deadline is kept inside: the flush itself always succeeds.
        operation::start_bounded(runtime, request, |timeout| async move {
            Ok(Done::value(owner.as_ref().flush(timeout).await))
        })?;
        Ok(OK)
    }

    /// Ends it, and closes its clients within the time-out, for which it blocks; gives how many records were dropped.
    pub(crate) fn shut_down(&self, timeout_ms: i64) -> Result<u64> {
        self.ended.store(true, Ordering::SeqCst);
        let Some(runtime) = runtime::running() else { return Ok(0) };
        let timeout = Duration::from_millis(timeout_ms.max(0).unsigned_abs()).min(LONGEST);
        Ok(runtime.handle()?.block_on(close_all(self.clients.alive(), Some(Instant::now() + timeout))))
    }

    /// Ends it, and closes its clients in the background.
    fn release(&self) {
        self.ended.store(true, Ordering::SeqCst);
        let clients = self.clients.alive();
        if let Some(runtime) = runtime::running()
            && let Ok(tasks) = runtime.handle().cloned()
            && !clients.is_empty()
        {
            tasks.spawn(async move {
                close_all(clients, Some(Instant::now() + FREED_CLOSE)).await;
                drop(runtime);
            });
        }
    }
}

impl AsRef<Owner> for Owner {
    fn as_ref(&self) -> &Owner {
        self
    }
}

/// The owner that a client is to have: `NULL` is the process alone. Fails once either has ended.
pub(crate) fn find(owner: *mut flv_owner_t) -> Result<Option<Arc<Owner>>> {
    PROCESS.usable()?;
    if owner.is_null() {
        return Ok(None);
    }
    let owner = handle::get(owner)?;
    owner.usable()?;
    Ok(Some(owner))
}

/// `client` ends with its owner, and with the process; one that connected too late for that is refused.
pub(crate) fn adopt<T: Settling + 'static>(owner: Option<&Owner>, client: &Arc<T>) -> Result<()> {
    for owner in [Some(&PROCESS), owner].into_iter().flatten() {
        owner.clients.add(&(Arc::clone(client) as Arc<dyn Settling>));
        owner.usable()?;
    }
    Ok(())
}

/// Makes an owner, for `owner` of `flv_client_options_t`. It is the caller's until `flv_owner_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_owner_new(owner: *mut *mut flv_owner_t, error: *mut *mut flv_error_t) -> flv_status_t {
    static OWNERS: AtomicU64 = AtomicU64::new(1);
    export(error, || {
        require(owner, "owner")?;
        let made = Owner::new(OWNERS.fetch_add(1, Ordering::Relaxed));
        write_out(owner, "owner", handle::insert(Arc::new(made)))?;
        Ok(OK)
    })
}

/// As `flv_runtime_flush`, for the clients of one owner: completes when all records that their producers have accepted
/// until now are settled, also of producers and clients that were freed, and what their consumers with automatic
/// commits have processed is committed; at the latest after `timeout_ms`. Value: how many records are not settled.
/// Everything goes on as before. If the owner has nothing open, nothing is started: `FLV_STATUS_EMPTY`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_owner_flush(
    owner: *mut flv_owner_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || Owner::start_flush(handle::get(owner)?, Request { timeout_ms, queue, token, operation }))
}

/// As `flv_runtime_shutdown`, for the clients of one owner: closes them within `timeout_ms` (negative: 0), their
/// producers flush; nobody can connect with this owner afterwards. The clients of others go on. Blocks for up to that
/// time; any thread but the library's. `*dropped_records`: how many records were given up; NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn flv_owner_shutdown(owner: *mut flv_owner_t, timeout_ms: i64, dropped_records: *mut u64) {
    fill(dropped_records, 0);
    quiet((), || {
        fill(dropped_records, handle::get(owner)?.shut_down(timeout_ms)?);
        Ok(())
    });
}

/// Frees an owner, and closes what it has open: in the background, where its records get one more second. Handles of
/// its clients, and of what was opened with them, stay until they are freed. Never blocks. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_owner_free(owner: *mut flv_owner_t) {
    quiet((), || {
        if let Some(owner) = handle::remove(owner) {
            owner.release();
        }
        Ok(())
    });
}
