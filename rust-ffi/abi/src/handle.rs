//! Handles: numbers that look like pointers, in one table. A number is never used twice, so that a stale handle, one of
//! another kind or a forged one is an error in every build, not undefined behaviour.

mod table;

use std::any::Any;
use std::ffi::c_void;
// For the table.
use std::sync;
use std::sync::{Arc, LazyLock};

use fluvio_cffi_engine::{Error, ErrorKind, Result};

use crate::pointer::require;
use table::Table;

/// What a handle can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Queue,
    Client,
    Producer,
    Consumer,
    Watch,
    Events,
    Error,
    Buffer,
    Owner,
    Arrow,
    ArrowReader,
    Logs,
}

impl Kind {
    /// How errors call an argument of this kind.
    fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
            Self::Watch => "watch",
            Self::Events => "events",
            Self::Error => "error",
            Self::Buffer => "buffer",
            Self::Owner => "owner",
            Self::Arrow => "arrow",
            Self::ArrowReader => "reader",
            Self::Logs => "logs",
        }
    }
}

/// A C type that is known by pointer only: the pointer is a handle of `Object`.
pub(crate) trait Handle {
    /// What it stands for. It stays where it is while it is in the table, so that views into it are valid until then.
    type Object: Send + Sync + 'static;
    /// The one kind of it.
    const KIND: Kind;
}

/// An object that can have a handle.
pub(crate) struct Entry {
    kind: Kind,
    object: Arc<dyn Any + Send + Sync>,
}

impl Entry {
    pub(crate) fn new<H: Handle>(object: Arc<H::Object>) -> Self {
        Self { kind: H::KIND, object }
    }

    /// Puts it into the table; the handle is the caller's.
    pub(crate) fn insert(self) -> *mut c_void {
        std::ptr::without_provenance_mut(TABLE.insert(self))
    }
}

static TABLE: LazyLock<Table<Entry>> = LazyLock::new(Table::new);

/// Puts `object` into the table; the handle is the caller's.
pub(crate) fn insert<H: Handle>(object: Arc<H::Object>) -> *mut H {
    Entry::new::<H>(object).insert().cast()
}

/// The object of a handle.
pub(crate) fn get<H: Handle>(handle: *const H) -> Result<Arc<H::Object>> {
    let name = H::KIND.name();
    require(handle.cast::<u8>(), name)?;
    let found = TABLE.find(handle.addr(), |entry| Arc::clone(&entry.object));
    let found =
        found.ok_or_else(|| Error::new(ErrorKind::Closed, format!("{name} was freed, or was never a handle")))?;
    found
        .downcast()
        .map_err(|_| Error::invalid(format!("{name} is a handle of another kind: it must be one of its type")))
}

/// Takes the object of a handle out of the table. `None`: no such handle (any more), one of another kind, or NULL.
pub(crate) fn remove<H: Handle>(handle: *mut H) -> Option<Arc<H::Object>> {
    TABLE.take(handle.addr(), |entry| entry.kind == H::KIND)?.object.downcast().ok()
}

/// Takes what a handle stands for, if its kind is `wanted`, out of the table, and drops it.
pub(crate) fn dispose(handle: *mut c_void, wanted: impl FnOnce(Kind) -> bool) {
    drop(TABLE.take(handle.addr(), |entry| wanted(entry.kind)));
}

/// How many handles of a kind exist.
pub(crate) fn count(kind: Kind) -> usize {
    TABLE.count(|entry| entry.kind == kind)
}
