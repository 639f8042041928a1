//! The exports about logs.

use std::sync::{Arc, PoisonError};

use fluvio_cffi_engine::{Error, ErrorKind, Result};

use super::entry::{Entry, TARGETS};
use super::listener::{Listener, Taken};
use super::subscriber;
use crate::boundary::{OK, export, quiet};
use crate::bytes::{flv_slice_t, flv_view_t};
use crate::handle::{self, Handle, Kind};
use crate::owner::flv_owner_t;
use crate::pointer::{require, write_out};
use crate::status::{flv_error_t, flv_status_e, flv_status_t};

/// Somebody who listens to what the library does, to write it to a log. One thread takes at a time; everything else
/// from any threads.
pub struct flv_logs_t {
    _opaque: [u8; 0],
}

impl Handle for flv_logs_t {
    type Object = Listener;
    const KIND: Kind = Kind::Logs;
}

/// How much is said. Each level has what those before it have.
#[repr(C)]
pub enum flv_log_level_e {
    /// Nothing.
    FLV_LOG_OFF = 0,
    /// What is lost for good, or is a bug of the library.
    FLV_LOG_ERROR = 1,
    /// What went wrong, and whether it is tried again: lost connections, refused requests, time-outs, stalls.
    FLV_LOG_WARN = 2,
    /// What has changed: connected, connected again, another leader, partitions of a group's member.
    FLV_LOG_INFO = 3,
    /// What is done: connections, streams, commits, calls.
    FLV_LOG_DEBUG = 4,
    /// Each request that carries records.
    FLV_LOG_TRACE = 5,
}

/// An entry of a log. Nothing in it is of a record's key or value, a SmartModule's words, or a secret.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_log_t {
    /// When it happened: nanoseconds since the epoch.
    pub time_ns: i64,
    /// Rises by 1 with each entry for this listener, from 1. Where it rises by more, entries in between were dropped,
    /// because 4,096 were waiting to be taken.
    pub number: u64,
    /// One of `FLV_LOG_`.
    pub level: u32,
    /// 0.
    pub reserved: u32,
    /// What it is about: "connection", "cluster", "producer", "consumer", "group" or "admin"; later versions may have
    /// more. Valid for ever.
    pub target: flv_view_t,
    /// One line: what happened, and the fields as `name=value`. Valid until the next take, or the free.
    pub message: flv_view_t,
    /// The fields as a JSON object, of numbers, texts and truths. Valid as `message` is.
    pub fields: flv_view_t,
}

fn level_of(level: u32) -> Result<u8> {
    match u8::try_from(level) {
        Ok(level @ 0..=5) => Ok(level),
        _ => Err(Error::invalid(format!("level is {level}: it must be one of FLV_LOG_, 0 to 5"))),
    }
}

fn describe(number: u64, entry: &Entry) -> flv_log_t {
    let target = TARGETS.get(entry.target).copied().unwrap_or_default();
    flv_log_t {
        time_ns: entry.time,
        number,
        level: entry.level.into(),
        reserved: 0,
        target: flv_view_t::new(target.as_bytes()),
        message: flv_view_t::new(entry.message.as_bytes()),
        fields: flv_view_t::new(entry.fields.as_bytes()),
    }
}

/// Listens from now on to what is said at `level` (one of `FLV_LOG_`) and below: of the clients of `owner`; NULL: of
/// all in the process. Up to 4,096 entries wait to be taken; those that come then are dropped. Nobody ever waits for a
/// listener. Needs no client. `*logs` is the caller's until `flv_logs_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_logs_new(
    owner: *const flv_owner_t,
    level: u32,
    logs: *mut *mut flv_logs_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        write_out(logs, "logs", std::ptr::null_mut())?;
        let level = level_of(level)?;
        let owner = if owner.is_null() { 0 } else { handle::get(owner)?.number() };
        let listener = Listener::new(owner, level).map_err(|cause| {
            Error::new(ErrorKind::Resource, format!("logs cannot be listened to: {cause}")).caused_by(&cause)
        })?;
        let listener = Arc::new(listener);
        subscriber::add(&listener);
        write_out(logs, "logs", handle::insert(listener))?;
        Ok(OK)
    })
}

/// From now on this listener hears of `target` what is said at `level` and below; with an empty `target` that holds for
/// all. A target that this version does not know is ignored. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_logs_set_level(
    logs: *mut flv_logs_t,
    target: flv_slice_t,
    level: u32,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let (listener, level) = (handle::get(logs)?, level_of(level)?);
        match target.text("target")? {
            "" => listener.set_level(None, level),
            name => {
                if let Some(target) = TARGETS.iter().position(|target| *target == name) {
                    listener.set_level(Some(target), level);
                }
            }
        }
        subscriber::changed();
        Ok(OK)
    })
}

/// The descriptor that is readable while entries wait, and for good once it is closed: for poll, epoll or an event
/// loop. It belongs to the library: never read, write or close it. Valid until the listener is freed. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_logs_fd(logs: *const flv_logs_t) -> i32 {
    quiet(-1, || Ok(handle::get(logs)?.descriptor()))
}

/// Takes up to `capacity` entries; never waits. OK: `*count` says how many. EMPTY: there are none now. END: none ever
/// again, it was closed. What they show is lent until the next take that gives some, or the free. One thread at a time.
#[unsafe(no_mangle)]
pub extern "C" fn flv_logs_take(
    logs: *mut flv_logs_t,
    entries: *mut flv_log_t,
    capacity: usize,
    count: *mut usize,
) -> flv_status_t {
    export(std::ptr::null_mut(), || {
        write_out(count, "count", 0)?;
        let listener = handle::get(logs)?;
        require(entries, "entries")?;
        if capacity == 0 {
            return Err(Error::invalid("capacity is 0: it must be at least 1"));
        }
        let taken = listener.take(capacity, |taken| {
            for (index, (number, entry)) in taken.iter().enumerate() {
                // SAFETY: not null and aligned; the caller vouches for room for `capacity` entries, and there are no
                // more.
                unsafe { entries.add(index).write(describe(*number, entry)) };
            }
            write_out(count, "count", taken.len())
        })?;
        Ok(match taken {
            Taken::Entries => OK,
            Taken::Empty => flv_status_e::FLV_STATUS_EMPTY as flv_status_t,
            Taken::End => flv_status_e::FLV_STATUS_END as flv_status_t,
        })
    })
}

/// How many entries were dropped since the listener was made, because 4,096 were waiting. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_logs_dropped(logs: *const flv_logs_t) -> u64 {
    quiet(0, || Ok(handle::get(logs)?.dropped()))
}

/// Nothing more is said to this listener. What waits can be taken; then `flv_logs_take` says END. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_logs_close(logs: *mut flv_logs_t) {
    quiet((), || {
        let listener = handle::get(logs)?;
        subscriber::remove(&listener);
        listener.close();
        Ok(())
    });
}

/// Frees a listener; what waits is lost. Never blocks. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_logs_free(logs: *mut flv_logs_t) {
    quiet((), || {
        if let Some(listener) = handle::remove(logs) {
            subscriber::remove(&listener);
            listener.close();
            listener.lent.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        Ok(())
    });
}
