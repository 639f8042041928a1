//! What the tests of the C ABI share: a cluster, a queue that is waited for, and names for what is awkward in Rust.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use fluvio_cffi::*;
use fluvio_cffi_cluster::{Cluster, Config};

pub const OK: flv_status_t = flv_status_e::FLV_STATUS_OK as flv_status_t;
pub const EMPTY: flv_status_t = flv_status_e::FLV_STATUS_EMPTY as flv_status_t;
pub const CANCELLED: flv_status_t = flv_status_e::FLV_STATUS_CANCELLED as flv_status_t;
pub const TIMEOUT: flv_status_t = flv_status_e::FLV_STATUS_TIMEOUT as flv_status_t;
pub const CLOSED: flv_status_t = flv_status_e::FLV_STATUS_CLOSED as flv_status_t;
pub const INTERNAL: flv_status_t = flv_status_e::FLV_STATUS_INTERNAL as flv_status_t;
pub const TICKET: u32 = flv_completion_kind_e::FLV_COMPLETION_TICKET as u32;

/// A cluster, on a runtime of its own.
pub struct Running {
    runtime: tokio::runtime::Runtime,
    cluster: Option<Cluster>,
}

impl Running {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let cluster = runtime.block_on(Cluster::start(Config::default())).unwrap();
        Self { runtime, cluster: Some(cluster) }
    }

    pub fn endpoint(&self) -> String {
        self.cluster.as_ref().unwrap().endpoint().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.runtime.block_on(self.cluster.take().unwrap().shutdown());
    }
}

/// Must not outlive what it is of: the compiler does not see it.
pub fn slice(bytes: &(impl AsRef<[u8]> + ?Sized)) -> flv_slice_t {
    let bytes = bytes.as_ref();
    flv_slice_t { data: bytes.as_ptr(), len: bytes.len() }
}

/// Must not outlive the text.
pub fn client_options(endpoint: &str) -> flv_client_options_t {
    let mut options = std::mem::MaybeUninit::uninit();
    flv_client_options_init(options.as_mut_ptr(), size_of::<flv_client_options_t>());
    // SAFETY: just filled in.
    let mut options = unsafe { options.assume_init() };
    options.endpoint = slice(endpoint);
    options
}

pub fn producer_options() -> flv_producer_options_t {
    let mut options = std::mem::MaybeUninit::uninit();
    flv_producer_options_init(options.as_mut_ptr(), size_of::<flv_producer_options_t>());
    // SAFETY: just filled in.
    unsafe { options.assume_init() }
}

pub fn consumer_options() -> flv_consumer_options_t {
    let mut options = std::mem::MaybeUninit::uninit();
    flv_consumer_options_init(options.as_mut_ptr(), size_of::<flv_consumer_options_t>());
    // SAFETY: just filled in.
    unsafe { options.assume_init() }
}

fn view(view: flv_view_t) -> String {
    // SAFETY: just lent.
    String::from_utf8(unsafe { std::slice::from_raw_parts(view.data, view.len) }.to_vec()).unwrap()
}

/// The error's description and message. Frees it.
pub fn describe(error: *mut flv_error_t) -> (flv_error_info_t, String) {
    // SAFETY: all bits zero are a valid value.
    let mut info: flv_error_info_t = unsafe { std::mem::zeroed() };
    info.struct_size = size_of::<flv_error_info_t>() as u32;
    assert_eq!(flv_error_info(error, &raw mut info), OK);
    let message = view(info.message);
    assert!(!message.is_empty());
    flv_error_free(error);
    (info, message)
}

pub fn counts() -> flv_counts_t {
    // SAFETY: all bits zero are a valid value.
    let mut counts: flv_counts_t = unsafe { std::mem::zeroed() };
    counts.struct_size = size_of::<flv_counts_t>() as u32;
    assert_eq!(flv_debug_counts(&raw mut counts), OK);
    counts
}

/// Waits until nothing of the library's is alive any more.
pub fn assert_nothing_left() {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut left = counts();
        left.struct_size = 0;
        let left = format!("{left:?}");
        if !left.contains(|digit: char| ('1'..='9').contains(&digit)) {
            return;
        }
        assert!(Instant::now() < deadline, "{left}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The library's panic hook, which is in place after the first connect, says nothing. Failed assertions of a test are
/// to be seen.
fn speak_of_failures() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() != Some("fluvio-cffi") {
                eprintln!("{info}");
            }
            quiet(info);
        }));
    });
}

/// A queue.
pub struct Queue(pub *mut flv_queue_t);

impl Queue {
    pub fn new() -> Self {
        let mut queue = std::ptr::null_mut();
        assert_eq!(flv_queue_new(&raw mut queue, std::ptr::null_mut()), OK);
        Self(queue)
    }

    /// Up to `capacity` completions, after a wait of at most `wait` for the first.
    pub fn drain(&self, capacity: usize, wait: Duration) -> Vec<flv_completion_t> {
        let mut poll = libc::pollfd { fd: flv_queue_fd(self.0), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        unsafe { libc::poll(&raw mut poll, 1, wait.as_millis() as i32) };
        let mut out = Vec::with_capacity(capacity);
        let mut count = 0;
        assert_eq!(flv_queue_drain(self.0, out.as_mut_ptr(), capacity, &raw mut count), OK);
        // SAFETY: a drain fills in `count` of them.
        unsafe { out.set_len(count) };
        out
    }

    /// The next completion of an operation; tickets that come before it must be fine.
    pub fn next(&self) -> flv_completion_t {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            for completion in self.drain(1, Duration::from_secs(1)) {
                if completion.kind != TICKET {
                    return completion;
                }
                assert_eq!(completion.status, OK);
            }
            assert!(Instant::now() < deadline, "nothing completed");
        }
    }

    /// Starts an operation and gives its result, which must be fine.
    pub fn run<T>(
        &self,
        start: impl FnOnce(i64, *mut flv_queue_t, u64, *mut u64, *mut *mut flv_error_t) -> flv_status_t,
    ) -> *mut T {
        let (operation, completion) = self.complete(start);
        assert_eq!(completion.operation, operation);
        if completion.status != OK {
            panic!("status {}: {:?}", completion.status, describe(completion.result.cast()));
        }
        completion.result.cast()
    }

    /// Starts an operation and gives its completion.
    pub fn complete(
        &self,
        start: impl FnOnce(i64, *mut flv_queue_t, u64, *mut u64, *mut *mut flv_error_t) -> flv_status_t,
    ) -> (u64, flv_completion_t) {
        let mut operation = 0;
        let mut error = std::ptr::null_mut();
        let status = start(10_000, self.0, 7, &raw mut operation, &raw mut error);
        if status != OK {
            panic!("status {status}: {:?}", describe(error));
        }
        (operation, self.next())
    }

    pub fn connect(&self, endpoint: &str) -> *mut flv_client_t {
        let options = client_options(endpoint);
        let client = self.run(|timeout, queue, token, operation, error| {
            flv_client_connect(&raw const options, timeout, queue, token, operation, error)
        });
        speak_of_failures();
        client
    }

    pub fn create_topic(&self, client: *mut flv_client_t, name: &str, partitions: usize) {
        let document = format!(r#"{{"name": "{name}", "spec": {{"partitions": {partitions}}}}}"#);
        let (method, document, none) = (slice("topics.create"), slice(&document), slice(""));
        let topic = self.run(|timeout, queue, token, operation, error| {
            flv_admin_call(client, method, document, none, timeout, queue, token, operation, error)
        });
        flv_buffer_free(topic);
    }

    pub fn producer(
        &self,
        client: *mut flv_client_t,
        topic: &str,
        options: &flv_producer_options_t,
    ) -> *mut flv_producer_t {
        self.run(|timeout, queue, token, operation, error| {
            flv_producer_open(client, slice(topic), options, timeout, queue, token, operation, error)
        })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        flv_queue_free(self.0);
    }
}

/// Submits `count` records of `size` bytes. The status, and the runs.
pub fn submit(producer: *mut flv_producer_t, count: usize, size: usize) -> (flv_status_t, Vec<flv_run_t>) {
    hand_over(producer, count, size, std::ptr::null(), 0)
}

/// The same with a record for each of `partitions`, whose replies the queue's drain is to read.
pub fn submit_awaited(
    producer: *mut flv_producer_t,
    partitions: &[i32],
    size: usize,
) -> (flv_status_t, Vec<flv_run_t>) {
    let awaited = flv_records_flag_e::FLV_RECORDS_AWAITED as u32;
    hand_over(producer, partitions.len(), size, partitions.as_ptr(), awaited)
}

fn hand_over(
    producer: *mut flv_producer_t,
    count: usize,
    size: usize,
    partitions: *const i32,
    flags: u32,
) -> (flv_status_t, Vec<flv_run_t>) {
    let data = vec![b'v'; count * size];
    let lengths = vec![size as u32; count];
    let records = flv_records_t {
        struct_size: size_of::<flv_records_t>() as u32,
        flags,
        count,
        data: data.as_ptr(),
        data_len: data.len(),
        value_lengths: lengths.as_ptr(),
        key_lengths: std::ptr::null(),
        partitions,
        timestamps: std::ptr::null(),
    };
    let mut runs = Vec::with_capacity(count);
    let mut submission = flv_submission_t {
        struct_size: size_of::<flv_submission_t>() as u32,
        reserved: 0,
        accepted: 0,
        runs: 0,
        room: 0,
        timestamp: 0,
    };
    let status = flv_producer_submit(
        producer,
        &raw const records,
        runs.as_mut_ptr(),
        count,
        &raw mut submission,
        std::ptr::null_mut(),
    );
    // SAFETY: a submission fills in `runs` of them.
    unsafe { runs.set_len(submission.runs) };
    (status, runs)
}
