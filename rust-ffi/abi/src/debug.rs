//! For tests: what is alive, and tasks that panic.

use fluvio_cffi_engine::{Error, TaskKind, arm_panic, counts, descriptors, say};

use crate::boundary::{OK, export};
use crate::handle::{self, Kind, count};
use crate::owner::flv_owner_t;
use crate::queue::running;
use crate::status::{flv_error_t, flv_status_t};
use crate::structs::{self, growing};

/// What is alive in the process. The caller sets `struct_size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_counts_t {
    /// `sizeof(flv_counts_t)`.
    pub struct_size: u32,
    /// Handles of queues.
    pub queues: u32,
    /// Operations under way.
    pub operations: u32,
    /// Handles of clients.
    pub clients: u32,
    /// Handles of producers.
    pub producers: u32,
    /// Handles of consumers.
    pub consumers: u32,
    /// Errors not freed.
    pub errors: u32,
    /// Buffers not freed.
    pub buffers: u32,
    /// Clients inside the library: outlive their handles for as long as something of theirs does.
    pub inner_clients: u32,
    /// Producers inside the library.
    pub inner_producers: u32,
    /// Consumers inside the library.
    pub inner_consumers: u32,
    /// Sockets open.
    pub connections: u32,
    /// Descriptors open: sockets and queues.
    pub descriptors: u32,
    /// Handles of watches.
    pub watches: u32,
    /// Events not freed.
    pub events: u32,
    /// Handles of owners.
    pub owners: u32,
    /// Handles of records in the Arrow format.
    pub arrows: u32,
    /// Handles of readers of Arrow data.
    pub arrow_readers: u32,
    /// Handles of those who listen to logs.
    pub logs: u32,
    /// 0.
    pub reserved: u32,
}

growing!(flv_counts_t {
    struct_size,
    queues,
    operations,
    clients,
    producers,
    consumers,
    errors,
    buffers,
    inner_clients,
    inner_producers,
    inner_consumers,
    connections,
    descriptors,
    watches,
    events,
    owners,
    arrows,
    arrow_readers,
    logs,
    reserved
});

/// Kinds of task inside the library.
#[repr(C)]
pub enum flv_task_e {
    /// One operation.
    FLV_TASK_OPERATION = 1,
    /// A client's watch of its cluster.
    FLV_TASK_VIEW = 2,
    /// A producer's sender.
    FLV_TASK_PRODUCER = 3,
    /// A consumer's reader.
    FLV_TASK_CONSUMER = 4,
    /// A watch.
    FLV_TASK_WATCH = 5,
}

/// For leak tests: what is alive now. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_debug_counts(out: *mut flv_counts_t) -> flv_status_t {
    export(std::ptr::null_mut(), || {
        let inner = counts();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let handles = |kind: Kind| number(count(kind));
        let counted = flv_counts_t {
            struct_size: 0,
            queues: handles(Kind::Queue),
            operations: number(running()),
            clients: handles(Kind::Client),
            producers: handles(Kind::Producer),
            consumers: handles(Kind::Consumer),
            errors: handles(Kind::Error),
            buffers: handles(Kind::Buffer),
            inner_clients: number(inner.clients),
            inner_producers: number(inner.producers),
            inner_consumers: number(inner.consumers),
            connections: number(inner.connections),
            descriptors: number(descriptors::count()),
            watches: handles(Kind::Watch),
            events: handles(Kind::Events),
            owners: handles(Kind::Owner),
            arrows: handles(Kind::Arrow),
            arrow_readers: handles(Kind::ArrowReader),
            logs: handles(Kind::Logs),
            reserved: 0,
        };
        structs::write(out, "out", counted)?;
        Ok(OK)
    })
}

/// For tests: the next task of kind `task`, one of `FLV_TASK_`, that takes a turn panics, once. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_debug_panic(task: u32, error: *mut *mut flv_error_t) -> flv_status_t {
    export(error, || {
        arm_panic(match task {
            1 => TaskKind::Operation,
            2 => TaskKind::Metadata,
            3 => TaskKind::Producer,
            4 => TaskKind::Consumer,
            5 => TaskKind::Watch,
            other => return Err(Error::invalid(format!("task is {other}: it must be one of FLV_TASK_, 1 to 5"))),
        });
        Ok(OK)
    })
}

/// For tests: says `count` times something at the lowest level, about a client of `owner`; NULL: of nobody's. Any
/// thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_debug_log(owner: *const flv_owner_t, count: u64, error: *mut *mut flv_error_t) -> flv_status_t {
    export(error, || {
        say(if owner.is_null() { 0 } else { handle::get(owner)?.number() }, count);
        Ok(OK)
    })
}
