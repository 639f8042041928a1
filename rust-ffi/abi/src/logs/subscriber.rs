//! Takes the engine's events. `tracing` asks once for each place in the code whether anybody wants to hear of it, and
//! remembers the answer until the levels change; above the highest level a place costs one comparison.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, RwLock};

use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, LevelFilter, Metadata, Subscriber, callsite, dispatcher};

use super::entry::{self, Entry, TARGETS};
use super::listener::Listener;

/// Who listens. Read while an event is told; a leaf, but for the rings.
static LISTENERS: RwLock<Vec<Arc<Listener>>> = RwLock::new(Vec::new());
/// The most that any of them wants to hear of each target.
static WANTED: [AtomicU8; TARGETS.len()] = [const { AtomicU8::new(0) }; TARGETS.len()];
/// Held while [`WANTED`] changes.
static CHANGING: Mutex<()> = Mutex::new(());

/// From now on `listener` hears what it wants to.
pub(super) fn add(listener: &Arc<Listener>) {
    static FIRST: Once = Once::new();
    // This library's own: neither a host's `tracing` nor that of another library meets it.
    FIRST.call_once(|| drop(dispatcher::set_global_default(Dispatch::new(Bridge))));
    LISTENERS.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(listener));
    changed();
}

/// It hears nothing more.
pub(super) fn remove(listener: &Arc<Listener>) {
    LISTENERS.write().unwrap_or_else(PoisonError::into_inner).retain(|it| !Arc::ptr_eq(it, listener));
    changed();
}

/// Somebody wants to hear more, or less.
pub(super) fn changed() {
    let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut has_changed = false;
    for (target, wanted) in WANTED.iter().enumerate() {
        let listeners = LISTENERS.read().unwrap_or_else(PoisonError::into_inner);
        let most = listeners.iter().map(|listener| listener.level(target)).max().unwrap_or(0);
        has_changed |= wanted.swap(most, Ordering::Relaxed) != most;
    }
    if has_changed {
        callsite::rebuild_interest_cache();
    }
}

fn is_wanted(metadata: &Metadata<'_>) -> bool {
    let wanted = |target: usize| WANTED.get(target).map_or(0, |wanted| wanted.load(Ordering::Relaxed));
    metadata.is_event()
        && entry::target(metadata.target()).is_some_and(|it| entry::verbosity(metadata.level()) <= wanted(it))
}

struct Bridge;

impl Subscriber for Bridge {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_wanted(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_wanted(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let most = WANTED.iter().map(|wanted| wanted.load(Ordering::Relaxed)).max();
        Some(match most.unwrap_or(0) {
            0 => LevelFilter::OFF,
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let Some(target) = entry::target(metadata.target()) else { return };
        let (level, owner) = (entry::verbosity(metadata.level()), entry::owner_of(event));
        let listeners = LISTENERS.read().unwrap_or_else(PoisonError::into_inner);
        let mut made = None;
        for listener in listeners.iter().filter(|listener| listener.wants(target, level, owner)) {
            // What has no place is not even put into words.
            if !listener.is_full() {
                listener.push(made.get_or_insert_with(|| Arc::new(Entry::new(event, target))));
            }
        }
    }

    // Nobody asks for spans: these are the official crate's, and never enabled.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
