//! The descriptor of a queue, with operations that end from many threads at once against drains that take few.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::ptr::{null_mut, without_provenance_mut};
use std::thread;
use std::time::Duration;

use fluvio_cffi::*;

const OK: flv_status_t = flv_status_e::FLV_STATUS_OK as flv_status_t;
const THREADS: u64 = 4;
const OPERATIONS: u64 = 500;

fn readable(queue: *const flv_queue_t, timeout_ms: i32) -> bool {
    let mut poll = libc::pollfd { fd: flv_queue_fd(queue), events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry.
    unsafe { libc::poll(&raw mut poll, 1, timeout_ms) == 1 }
}

fn drain(queue: *mut flv_queue_t, capacity: usize) -> Vec<flv_completion_t> {
    let mut out = vec![MaybeUninit::<flv_completion_t>::uninit(); capacity];
    let mut count = 0;
    assert_eq!(flv_queue_drain(queue, out.as_mut_ptr().cast(), capacity, &raw mut count), OK);
    // SAFETY: a drain fills the first `count`.
    out[..count].iter().map(|one| unsafe { one.assume_init() }).collect()
}

/// Starts a connect to a port that nobody listens on; it fails, or is overdue first.
fn start(queue: *mut flv_queue_t, token: u64) -> u64 {
    let mut options = MaybeUninit::uninit();
    flv_client_options_init(options.as_mut_ptr(), size_of::<flv_client_options_t>());
    // SAFETY: just filled in.
    let mut options: flv_client_options_t = unsafe { options.assume_init() };
    options.endpoint = flv_slice_t { data: b"127.0.0.1:1".as_ptr(), len: 11 };
    let mut operation = 0;
    let timeout = (token % 4) as i64;
    assert_eq!(flv_client_connect(&raw const options, timeout, queue, token, &raw mut operation, null_mut()), OK);
    operation
}

#[test]
fn no_wakeup_is_lost_and_each_operation_completes_once() {
    let mut queue = null_mut();
    assert_eq!(flv_queue_new(&raw mut queue, null_mut()), OK);
    let number = queue.addr();
    let starters: Vec<_> = (0..THREADS)
        .map(|thread| {
            thread::spawn(move || {
                let queue = without_provenance_mut(number);
                (0..OPERATIONS)
                    .map(|i| {
                        let token = thread * OPERATIONS + i;
                        let operation = start(queue, token);
                        if token.is_multiple_of(3) {
                            assert_eq!(flv_operation_cancel(queue, operation), OK);
                        }
                        (token, operation)
                    })
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let mut completed = HashMap::new();
    while completed.len() < (THREADS * OPERATIONS) as usize {
        assert!(readable(queue, 10_000), "a wake-up was lost: {} completions were seen", completed.len());
        // One drain for one wake-up: what does not fit must wake again.
        for completion in drain(queue, 3) {
            assert_eq!(completion.kind, flv_completion_kind_e::FLV_COMPLETION_OPERATION as u32);
            assert_ne!(completion.status, OK);
            let twice = completed.insert(completion.token, completion.operation);
            assert!(twice.is_none(), "operation {} completed twice", completion.operation);
            flv_completion_dispose(&raw const completion);
        }
    }
    for starter in starters {
        for (token, operation) in starter.join().unwrap() {
            assert_eq!(completed[&token], operation);
        }
    }
    // A signal that came late is taken back by one drain.
    thread::sleep(Duration::from_millis(50));
    assert!(drain(queue, 3).is_empty());
    assert!(!readable(queue, 100));
    flv_queue_free(queue);
}
