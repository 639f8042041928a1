//! What happens to a client.

use std::sync::{Arc, Mutex, PoisonError};

use fluvio_cffi_engine::{Event, Events, NextEvent};

use crate::boundary::{OK, export, quiet};
use crate::bytes::flv_view_t;
use crate::client::flv_client_t;
use crate::handle::{self, Handle, Kind};
use crate::operation::{self, Done, Request, nothing_came};
use crate::pointer::write_out;
use crate::queue::flv_queue_t;
use crate::runtime::Runtime;
use crate::status::{flv_error_t, flv_status_e, flv_status_t};
use crate::structs::{self, growing};

/// The events of a client. One thread takes at a time; everything else from any threads.
pub struct flv_events_t {
    _opaque: [u8; 0],
}

impl Handle for flv_events_t {
    type Object = EventsObject;
    const KIND: Kind = Kind::Events;
}

/// What happened to a client.
#[repr(C)]
pub enum flv_event_kind_e {
    /// It sees its cluster, or sees it again.
    FLV_EVENT_CONNECTED = 1,
    /// The SC is away; the data path goes on.
    FLV_EVENT_RECONNECTING = 2,
    /// It was closed: nothing comes after this.
    FLV_EVENT_CLOSED = 3,
    /// Another SPU leads a partition.
    FLV_EVENT_LEADER_CHANGED = 4,
    /// A consumer is a member of its group now.
    FLV_EVENT_GROUP_JOINED = 5,
    /// The lease of a member is over, and nobody has evicted it: reads wait.
    FLV_EVENT_GROUP_SUSPENDED = 6,
    /// The lease of a member runs again.
    FLV_EVENT_GROUP_RESUMED = 7,
    /// A member is none any more without having left.
    FLV_EVENT_GROUP_LOST = 8,
}

/// Something that happened to a client. The caller sets `struct_size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_event_t {
    /// `sizeof(flv_event_t)`.
    pub struct_size: u32,
    /// One of `FLV_EVENT_`.
    pub kind: u32,
    /// Rises by 1 with each event, from 1. Where it rises by more, events in between were dropped, because they were
    /// not taken in time.
    pub number: u64,
    /// `FLV_EVENT_LEADER_CHANGED`: the partition. Else -1.
    pub partition: i32,
    /// `FLV_EVENT_LEADER_CHANGED`: the SPU that leads it now. Else -1.
    pub leader: i32,
    /// `FLV_EVENT_LEADER_CHANGED`, `FLV_EVENT_GROUP_`: the topic. Else empty. Valid until the next take, or the free.
    pub topic: flv_view_t,
    /// `FLV_EVENT_RECONNECTING`, `FLV_EVENT_GROUP_LOST`: why. Else empty. Valid until the next take, or the free.
    pub reason: flv_view_t,
    /// `FLV_EVENT_GROUP_`: the group. Else empty. Valid until the next take, or the free.
    pub group: flv_view_t,
}

growing!(flv_event_t { struct_size, kind, number, partition, leader, topic, reason, group });

/// The events of a client, the runtime on which they are waited for, and the event that is lent.
pub(crate) struct EventsObject {
    events: Events,
    runtime: Arc<Runtime>,
    lent: Mutex<Option<Event>>,
}

fn describe(event: &Event) -> flv_event_t {
    flv_event_t {
        struct_size: 0,
        kind: event.kind as u32,
        number: event.number,
        partition: event.partition.and_then(|partition| i32::try_from(partition).ok()).unwrap_or(-1),
        leader: event.leader.unwrap_or(-1),
        topic: flv_view_t::new(event.topic.as_deref().unwrap_or_default().as_bytes()),
        reason: flv_view_t::new(event.reason.as_deref().unwrap_or_default().as_bytes()),
        group: flv_view_t::new(event.group.as_deref().unwrap_or_default().as_bytes()),
    }
}

/// Listens to what happens to a client from now on. The first event tells its state now, the last one
/// (`FLV_EVENT_CLOSED`) its end. Up to 256 wait to be taken; then the oldest is dropped. `*events` is the caller's
/// until `flv_events_free`. Never waits. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_client_events(
    client: *const flv_client_t,
    events: *mut *mut flv_events_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let client = handle::get(client)?;
        write_out(events, "events", std::ptr::null_mut())?;
        let runtime = Arc::clone(&client.runtime);
        let object = EventsObject { events: client.client.events(), runtime, lent: Mutex::default() };
        write_out(events, "events", handle::insert(Arc::new(object)))?;
        Ok(OK)
    })
}

/// Completes once `flv_events_take` would not say EMPTY. A passed deadline completes with `FLV_STATUS_TIMEOUT` and no
/// error object. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_events_wait(
    events: *mut flv_events_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let events = handle::get(events)?;
        let request = Request { timeout_ms, queue, token, operation };
        operation::start(Arc::clone(&events.runtime), &request, nothing_came, async move {
            events.events.ready().await;
            Ok(Done::default())
        })?;
        Ok(OK)
    })
}

/// Takes the next event; never waits. OK: `*event` has it. EMPTY: none now. END: none ever again, the client was
/// closed. `event->struct_size` must be set. One thread at a time.
#[unsafe(no_mangle)]
pub extern "C" fn flv_events_take(
    events: *mut flv_events_t,
    event: *mut flv_event_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let events = handle::get(events)?;
        // Before anything is taken: what could not be handed over would be lost.
        structs::check(event, "event")?;
        let mut lent = events.lent.lock().unwrap_or_else(PoisonError::into_inner);
        match events.events.take() {
            NextEvent::Event(next) => structs::write(event, "event", describe(lent.insert(next))).map(|()| OK),
            NextEvent::Empty => Ok(flv_status_e::FLV_STATUS_EMPTY as flv_status_t),
            NextEvent::End => Ok(flv_status_e::FLV_STATUS_END as flv_status_t),
        }
    })
}

/// Frees the events of a client; a wait under way completes. Never blocks. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_events_free(events: *mut flv_events_t) {
    quiet((), || {
        if let Some(events) = handle::remove(events) {
            // A wait under way holds it, and is not to hold it for ever.
            events.events.stop();
        }
        Ok(())
    });
}
