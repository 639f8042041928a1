//! What happens to a client, for whoever listens.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

/// So many events wait for their reader; then the oldest goes.
const MOST_WAITING: usize = 256;

/// Whether the client sees its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum ClientState {
    /// The SC's watches are alive.
    Connected = 1,
    /// The SC is away; the data path goes on.
    Reconnecting = 2,
    /// Closed by its owner.
    Closed = 3,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum EventKind {
    /// The client sees its cluster, or sees it again.
    Connected = 1,
    /// The SC is away; the data path goes on.
    Reconnecting = 2,
    /// The client was closed: nothing comes after this.
    Closed = 3,
    /// Another SPU leads a partition.
    LeaderChanged = 4,
    /// A consumer is a member of its group now.
    GroupJoined = 5,
    /// The lease of a member is over, and nobody has evicted it.
    GroupSuspended = 6,
    /// The lease of a member runs again.
    GroupResumed = 7,
    /// A member is none any more without having left.
    GroupLost = 8,
}

/// Something that happened to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// Its number for this listener, from 1: those between it and the one before were dropped, because they were not
    /// taken in time.
    pub number: u64,
    /// `LeaderChanged`, `Group...`: the topic.
    pub topic: Option<String>,
    /// `LeaderChanged`: the partition.
    pub partition: Option<u32>,
    /// `LeaderChanged`: the SPU that leads it now.
    pub leader: Option<i32>,
    /// `Reconnecting`, `GroupLost`: why.
    pub reason: Option<String>,
    /// `Group...`: the group.
    pub group: Option<String>,
}

impl Event {
    fn state(kind: EventKind, reason: Option<String>) -> Self {
        Self { kind, number: 0, topic: None, partition: None, leader: None, reason, group: None }
    }

    pub(crate) fn leader_changed(topic: String, partition: u32, leader: i32) -> Self {
        let (topic, partition, leader) = (Some(topic), Some(partition), Some(leader));
        Self { kind: EventKind::LeaderChanged, number: 0, topic, partition, leader, reason: None, group: None }
    }

    /// Something that happened to a member of a group.
    pub(crate) fn of_group(kind: EventKind, group: &str, topic: &str, reason: Option<String>) -> Self {
        let (topic, group) = (Some(topic.to_owned()), Some(group.to_owned()));
        Self { kind, number: 0, topic, partition: None, leader: None, reason, group }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Event>,
    number: u64,
    ended: bool,
}

#[derive(Default)]
struct Listener {
    queue: Mutex<Queue>,
    bell: Notify,
}

impl Listener {
    fn push(&self, mut event: Event) {
        let mut queue = lock(&self.queue);
        queue.number += 1;
        event.number = queue.number;
        queue.ended |= event.kind == EventKind::Closed;
        if queue.waiting.len() == MOST_WAITING {
            queue.waiting.pop_front();
        }
        queue.waiting.push_back(event);
        drop(queue);
        self.bell.notify_waiters();
    }

    fn is_ready(&self) -> bool {
        let queue = lock(&self.queue);
        queue.ended || !queue.waiting.is_empty()
    }
}

/// What [`Events::take`] finds.
#[derive(Debug)]
pub enum NextEvent {
    /// An event.
    Event(Event),
    /// None now.
    Empty,
    /// None ever again: the client was closed, or this was stopped.
    End,
}

/// The events of a client from the time on when this was made, the latest ones if they are not taken in time. The first
/// tells the state at that time.
pub struct Events(Arc<Listener>);

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    /// The next event, if there is one now. Never waits.
    pub fn take(&self) -> NextEvent {
        let mut queue = lock(&self.0.queue);
        match queue.waiting.pop_front() {
            Some(event) => NextEvent::Event(event),
            None if queue.ended => NextEvent::End,
            None => NextEvent::Empty,
        }
    }

    /// Ends it: who waits goes on.
    pub fn stop(&self) {
        lock(&self.0.queue).ended = true;
        self.0.bell.notify_waiters();
    }

    /// Waits until [`Self::take`] would not say [`NextEvent::Empty`].
    pub async fn ready(&self) {
        loop {
            let rung = self.0.bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            if self.0.is_ready() {
                return;
            }
            rung.await;
        }
    }
}

struct State {
    now: ClientState,
    listeners: Vec<Weak<Listener>>,
}

/// Tells those who listen what happens.
pub(crate) struct Announcer(Mutex<State>);

impl Default for Announcer {
    fn default() -> Self {
        Self(Mutex::new(State { now: ClientState::Connected, listeners: Vec::new() }))
    }
}

impl Announcer {
    /// Listens from now on.
    pub(crate) fn listen(&self) -> Events {
        let listener = Arc::new(Listener::default());
        let mut state = lock(&self.0);
        listener.push(Event::state(kind_of(state.now), None));
        state.listeners.retain(|listener| listener.strong_count() > 0);
        state.listeners.push(Arc::downgrade(&listener));
        Events(listener)
    }

    /// The client's state is `now`. Closed is for ever.
    pub(crate) fn state(&self, now: ClientState, reason: Option<String>) {
        let mut state = lock(&self.0);
        if state.now != now && state.now != ClientState::Closed {
            state.now = now;
            tell(&state, &Event::state(kind_of(now), reason));
        }
    }

    /// Something else happened.
    pub(crate) fn tell(&self, event: &Event) {
        let state = lock(&self.0);
        if state.now != ClientState::Closed {
            tell(&state, event);
        }
    }
}

fn tell(state: &State, event: &Event) {
    for listener in state.listeners.iter().filter_map(Weak::upgrade) {
        listener.push(event.clone());
    }
}

fn kind_of(state: ClientState) -> EventKind {
    match state {
        ClientState::Connected => EventKind::Connected,
        ClientState::Reconnecting => EventKind::Reconnecting,
        ClientState::Closed => EventKind::Closed,
    }
}
