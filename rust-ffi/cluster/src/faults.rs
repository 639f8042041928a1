//! What a test has in store for the clients of one server.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fluvio_protocol::Decoder;
use fluvio_protocol::link::ErrorCode;
use tokio::sync::watch;

use crate::smartmodules::{Habit, Settings};

/// The requests that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// Produce.
    Produce,
    /// Fetch (one request, one reply).
    Fetch,
    /// StreamFetch.
    Stream,
    /// FetchOffsets.
    Offsets,
}

/// The error that a server gives a number, its details empty; None when there is none of that number.
pub(crate) fn error_of(code: i16) -> Option<ErrorCode> {
    let mut encoded = code.to_be_bytes().to_vec();
    encoded.resize(256, 0);
    ErrorCode::decode_from(&mut encoded.as_slice(), 0).ok().filter(ErrorCode::is_error)
}

/// How often the real SPU reports to the SC.
const REPORT_DELAY: Duration = Duration::from_millis(400);

fn millis(delay: Duration) -> u64 {
    u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)
}

/// The faults of one server; they outlast its restarts.
#[derive(Debug)]
pub(crate) struct Faults {
    delay_ms: AtomicU64,
    refuse: AtomicBool,
    disk_full: AtomicBool,
    loses_acks: AtomicBool,
    loses_reports: AtomicBool,
    report_delay_ms: AtomicU64,
    order_delay_ms: AtomicU64,
    stalled: watch::Sender<bool>,
    /// After how many bytes the next connections are cut, and how many connections.
    cut: Mutex<(u64, u32)>,
    failures: Mutex<VecDeque<(RequestKind, ErrorCode)>>,
    smartmodules: Mutex<Settings>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            delay_ms: AtomicU64::new(0),
            refuse: AtomicBool::new(false),
            disk_full: AtomicBool::new(false),
            loses_acks: AtomicBool::new(false),
            loses_reports: AtomicBool::new(false),
            report_delay_ms: AtomicU64::new(0),
            order_delay_ms: AtomicU64::new(0),
            stalled: watch::Sender::new(false),
            cut: Mutex::default(),
            failures: Mutex::default(),
            smartmodules: Mutex::default(),
        }
    }
}

impl Faults {
    pub(crate) fn set_delay(&self, delay: Duration) {
        self.delay_ms.store(millis(delay), Ordering::Relaxed);
    }

    pub(crate) fn set_refuse(&self, on: bool) {
        self.refuse.store(on, Ordering::Relaxed);
    }

    pub(crate) fn refuses(&self) -> bool {
        self.refuse.load(Ordering::Relaxed)
    }

    pub(crate) fn set_disk_full(&self, on: bool) {
        self.disk_full.store(on, Ordering::Relaxed);
    }

    pub(crate) fn disk_is_full(&self) -> bool {
        self.disk_full.load(Ordering::Relaxed)
    }

    pub(crate) fn set_loses_acks(&self, on: bool) {
        self.loses_acks.store(on, Ordering::Relaxed);
    }

    pub(crate) fn loses_acks(&self) -> bool {
        self.loses_acks.load(Ordering::Relaxed)
    }

    pub(crate) fn set_loses_reports(&self, on: bool) {
        self.loses_reports.store(on, Ordering::Relaxed);
    }

    pub(crate) fn loses_reports(&self) -> bool {
        self.loses_reports.load(Ordering::Relaxed)
    }

    pub(crate) fn set_report_delay(&self, delay: Duration) {
        self.report_delay_ms.store(millis(delay), Ordering::Relaxed);
    }

    /// How long after a change the SC hears of it; None: at once.
    pub(crate) fn report_delay(&self) -> Option<Duration> {
        match self.report_delay_ms.load(Ordering::Relaxed) {
            // A report of one change is not lost.
            0 => self.loses_reports().then_some(REPORT_DELAY),
            delay => Some(Duration::from_millis(delay)),
        }
    }

    pub(crate) fn set_order_delay(&self, delay: Duration) {
        self.order_delay_ms.store(millis(delay), Ordering::Relaxed);
    }

    /// How long after a partition was created or deleted the SPU hears of it.
    pub(crate) fn order_delay(&self) -> Duration {
        Duration::from_millis(self.order_delay_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn set_stalled(&self, on: bool) {
        self.stalled.send_replace(on);
    }

    pub(crate) fn is_stalled(&self) -> bool {
        *self.stalled.borrow()
    }

    pub(crate) fn stalled(&self) -> watch::Receiver<bool> {
        self.stalled.subscribe()
    }

    pub(crate) fn set_cut(&self, bytes: u64, connections: u32) {
        *self.cut.lock().unwrap_or_else(PoisonError::into_inner) = (bytes, connections);
    }

    /// After how many bytes a new connection is cut, if it is.
    pub(crate) fn next_cut(&self) -> Option<u64> {
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        cut.1 = cut.1.checked_sub(1)?;
        Some(cut.0)
    }

    pub(crate) fn fail_next(&self, request: RequestKind, error: ErrorCode) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push_back((request, error));
    }

    /// The error that this request is to be answered with, if any.
    pub(crate) fn failure(&self, request: RequestKind) -> Option<ErrorCode> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let at = failures.iter().position(|(kind, _)| *kind == request)?;
        failures.remove(at).map(|(_, error)| error)
    }

    /// What holds for modules. A chain that is there keeps its engine and its memory.
    pub(crate) fn smartmodules(&self) -> Settings {
        *self.smartmodules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_habit(&self, habit: Habit, on: bool) {
        self.smartmodules.lock().unwrap_or_else(PoisonError::into_inner).habits.set(habit, on);
    }

    pub(crate) fn set_smartmodule_memory(&self, bytes: usize) {
        self.smartmodules.lock().unwrap_or_else(PoisonError::into_inner).memory = Some(bytes);
    }

    /// Waits before a reply as long as the server is told to be slow.
    pub(crate) async fn delay(&self) {
        let delay = self.delay_ms.load(Ordering::Relaxed);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
    }

    /// Waits as long as the server is told to be silent.
    pub(crate) async fn silence(&self) -> io::Result<()> {
        if self.is_stalled() {
            let waited = self.stalled.subscribe().wait_for(|stalled| !stalled).await.map(drop);
            return waited.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe));
        }
        Ok(())
    }
}
