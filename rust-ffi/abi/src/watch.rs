//! Watches of administrative objects, described in `docs/admin-json.md`.

use std::sync::Arc;

use fluvio_cffi_engine::admin::{GroupWatch, Watch, Watchable};
use fluvio_cffi_engine::{Error, Phase, Result};

use crate::boundary::{OK, export, quiet};
use crate::bytes::{buffer as bytes, flv_buffer_t, flv_slice_t};
use crate::client::{ClientObject, flv_client_t};
use crate::handle::{self, Handle, Kind};
use crate::json::json;
use crate::operation::{self, Done, Request, nothing_came, overdue};
use crate::pointer::{require, write_out};
use crate::queue::flv_queue_t;
use crate::status::{flv_error_t, flv_status_e, flv_status_t};

/// A watch of administrative objects. May be used from any threads.
pub struct flv_watch_t {
    _opaque: [u8; 0],
}

impl Handle for flv_watch_t {
    type Object = WatchObject;
    const KIND: Kind = Kind::Watch;
}

/// Of whatever kind.
enum AnyWatch {
    Objects(Watch),
    Group(GroupWatch),
}

impl AnyWatch {
    /// The next change, as JSON.
    fn take(&self) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Objects(watch) => watch.take()?.as_ref().map(json).transpose(),
            Self::Group(watch) => watch.take()?.as_ref().map(json).transpose(),
        }
    }

    async fn ready(&self) {
        match self {
            Self::Objects(watch) => watch.ready().await,
            Self::Group(watch) => watch.ready().await,
        }
    }

    async fn close(&self) {
        match self {
            Self::Objects(watch) => watch.close().await,
            Self::Group(watch) => watch.close().await,
        }
    }

    fn stop(&self) {
        match self {
            Self::Objects(watch) => watch.stop(),
            Self::Group(watch) => watch.stop(),
        }
    }
}

/// A watch, and the client that it was opened with, whose end is its own, too.
pub(crate) struct WatchObject {
    watch: AnyWatch,
    client: Arc<ClientObject>,
}

fn watchable(object: &str) -> Result<Watchable> {
    Ok(match object {
        "topics" => Watchable::Topics,
        "partitions" => Watchable::Partitions,
        "spus" => Watchable::Spus,
        "spu_groups" => Watchable::SpuGroups,
        "smartmodules" => Watchable::SmartModules,
        "table_formats" => Watchable::TableFormats,
        "cluster" => Watchable::Cluster,
        other => {
            return Err(Error::invalid(format!(
                "object is \"{other}\": it must be topics, partitions, spus, spu_groups, smartmodules, table_formats or \
                 cluster"
            )));
        }
    })
}

/// Watches `object`, as `docs/admin-json.md` describes: `topics`, `partitions`, `spus`, `spu_groups`, `smartmodules`,
/// `table_formats` or `cluster`. Completes once the first state is there. Result: `flv_watch_t *`, owned by whoever
/// drains, until `flv_watch_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_watch_open(
    client: *mut flv_client_t,
    object: flv_slice_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let client = handle::get(client)?;
        client.usable()?;
        let what = watchable(object.text("object")?)?;
        let request = Request { timeout_ms, queue, token, operation };
        operation::start_bounded(Arc::clone(&client.runtime), request, |timeout| async move {
            let admin = client.client.admin(timeout);
            let watch = AnyWatch::Objects(client.while_open(admin.watch(what)).await?);
            Ok(Done::object::<flv_watch_t>(Arc::new(WatchObject { watch, client })))
        })?;
        Ok(OK)
    })
}

/// Watches one consumer group, as `docs/admin-json.md` describes: each change has the whole of it, and changes that
/// follow each other are told together. Completes once its state is there; a group that does not exist yet has no
/// partitions. `log`: the topic of the log; empty: `consumer-group`. Result: `flv_watch_t *`, owned by whoever drains,
/// until `flv_watch_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_watch_group(
    client: *mut flv_client_t,
    group: flv_slice_t,
    topic: flv_slice_t,
    log: flv_slice_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let client = handle::get(client)?;
        client.usable()?;
        let (group, topic) = (group.text("group")?.to_owned(), topic.text("topic")?.to_owned());
        let log = log.optional_text("log")?;
        let request = Request { timeout_ms, queue, token, operation };
        operation::start_bounded(Arc::clone(&client.runtime), request, |timeout| async move {
            let admin = client.client.admin(timeout);
            let watch = AnyWatch::Group(client.while_open(admin.watch_group(&group, &topic, log.as_deref())).await?);
            Ok(Done::object::<flv_watch_t>(Arc::new(WatchObject { watch, client })))
        })?;
        Ok(OK)
    })
}

/// Completes once `flv_watch_take` would not say EMPTY. A passed deadline completes with `FLV_STATUS_TIMEOUT` and no
/// error object. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_watch_wait(
    watch: *mut flv_watch_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let watch = handle::get(watch)?;
        let request = Request { timeout_ms, queue, token, operation };
        operation::start(Arc::clone(&watch.client.runtime), &request, nothing_came, async move {
            watch.watch.ready().await;
            Ok(Done::default())
        })?;
        Ok(OK)
    })
}

/// Takes the next change. Never blocks. OK: `*buffer` has it, as JSON, and is the caller's. EMPTY: nothing now.
/// Otherwise the error at which the watch stands; it stays, but for INTERNAL, after which the watch begins anew. Any
/// thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_watch_take(
    watch: *mut flv_watch_t,
    buffer: *mut *mut flv_buffer_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let watch = handle::get(watch)?;
        // Before anything is taken: what could not be handed over would be lost.
        require(buffer, "buffer")?;
        let Some(change) = watch.watch.take()? else {
            return Ok(flv_status_e::FLV_STATUS_EMPTY as flv_status_t);
        };
        write_out(buffer, "buffer", bytes(change).insert().cast())?;
        Ok(OK)
    })
}

/// Ends a watch: a wait completes, a take says CLOSED. The handle stays until it is freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_watch_close(
    watch: *mut flv_watch_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let watch = handle::get(watch)?;
        let request = Request { timeout_ms, queue, token, operation };
        let late = overdue(Phase::Close, "closing the watch");
        operation::start(Arc::clone(&watch.client.runtime), &request, late, async move {
            watch.watch.close().await;
            Ok(Done::default())
        })?;
        Ok(OK)
    })
}

/// Frees a watch, which ends it; a wait under way completes. Never blocks. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_watch_free(watch: *mut flv_watch_t) {
    quiet((), || {
        if let Some(watch) = handle::remove(watch) {
            // A wait under way holds it, and is not to hold it for ever.
            watch.watch.stop();
        }
        Ok(())
    });
}
