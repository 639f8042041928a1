//! Handles and structures under callers that get them wrong: a status each time, and nothing is damaged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::mem::offset_of;
use std::ptr::{null, null_mut, without_provenance_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fluvio_cffi::*;

const OK: flv_status_t = flv_status_e::FLV_STATUS_OK as flv_status_t;
const CLOSED: flv_status_t = flv_status_e::FLV_STATUS_CLOSED as flv_status_t;
const INVALID: flv_status_t = flv_status_e::FLV_STATUS_INVALID_ARGUMENT as flv_status_t;

/// As a number: handles are shared between threads below, as a C program would.
fn new_queue() -> usize {
    let mut queue = null_mut();
    assert_eq!(flv_queue_new(&raw mut queue, null_mut()), OK);
    queue.addr()
}

fn queue(number: usize) -> *mut flv_queue_t {
    without_provenance_mut(number)
}

fn drain(number: usize) -> flv_status_t {
    let mut count = 7;
    let status = flv_queue_drain(queue(number), null_mut(), 0, &raw mut count);
    assert!(count == 0);
    status
}

fn new_error() -> *mut flv_error_t {
    let mut error = null_mut();
    assert_eq!(flv_runtime_configure(0, &raw mut error), INVALID);
    assert!(!error.is_null());
    error
}

fn info() -> flv_error_info_t {
    // SAFETY: plain numbers and pointers, of which all zeros is a value.
    let mut info: flv_error_info_t = unsafe { std::mem::zeroed() };
    info.struct_size = size_of::<flv_error_info_t>() as u32;
    info
}

#[test]
fn numbers_are_never_used_twice() {
    let mut seen = std::collections::HashSet::new();
    for _ in 0..1000 {
        let number = new_queue();
        assert!(number >= 0x1000 && number.is_multiple_of(16) && seen.insert(number));
        flv_queue_free(queue(number));
        assert_eq!(drain(number), CLOSED);
    }
}

#[test]
fn of_many_frees_at_once_one_counts() {
    static FINALIZED: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn finalizer(_: *mut std::ffi::c_void) {
        FINALIZED.fetch_add(1, Ordering::SeqCst);
    }
    extern "C" fn callback(_: *mut std::ffi::c_void, _: *const flv_completion_t) {}
    for round in 1..=500 {
        let mut made = null_mut();
        let status = flv_queue_new_callback(Some(callback), null_mut(), Some(finalizer), &raw mut made, null_mut());
        assert_eq!(status, OK);
        let number = made.addr();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    let before = drain(number);
                    flv_queue_free(queue(number));
                    assert!([OK, CLOSED].contains(&before));
                    assert_eq!(drain(number), CLOSED);
                });
            }
        });
        assert_eq!(FINALIZED.load(Ordering::SeqCst), round);
    }
}

#[test]
fn a_descriptor_lives_as_long_as_its_handle() {
    let number = new_queue();
    let descriptor = flv_queue_fd(queue(number));
    assert!(descriptor >= 0);
    flv_queue_free(queue(number));
    assert_eq!(flv_queue_fd(queue(number)), -1);
    assert_eq!(flv_queue_fd(null()), -1);
}

#[test]
fn kinds_are_told_apart() {
    let error = new_error();
    assert_eq!(drain(error.addr()), INVALID);
    flv_queue_free(error.cast());
    flv_client_free(error.cast());
    flv_buffer_free(error.cast());
    let mut known = info();
    assert_eq!(flv_error_info(error, &raw mut known), OK);
    assert_eq!(known.status, INVALID);
    flv_error_free(error);
    flv_error_free(error);
    assert_eq!(flv_error_info(error, &raw mut known), CLOSED);
}

#[test]
fn an_unaligned_or_null_out_argument_is_refused() {
    let error = new_error();
    let mut known = [info(), info()];
    let unaligned = known.as_mut_ptr().cast::<u8>().wrapping_add(4).cast();
    assert_eq!(flv_error_info(error, unaligned), INVALID);
    assert_eq!(flv_error_info(error, null_mut()), INVALID);
    flv_error_free(error);
}

/// Where the fields of a structure begin.
fn fields(structure: &str) -> Vec<usize> {
    let table = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/c_abi/layout.json")).unwrap();
    let table: serde_json::Value = serde_json::from_str(&table).unwrap();
    table[structure]["fields"].as_object().unwrap().values().map(|at| at.as_u64().unwrap() as usize).collect()
}

/// A structure of any size that ends where a field does: only what the caller says is his is written.
#[test]
fn structures_are_filled_as_far_as_they_go() {
    const FULL: usize = size_of::<flv_error_info_t>();
    let error = new_error();
    #[repr(C, align(8))]
    struct Raw([u8; FULL + 64]);
    let mut whole = info();
    assert_eq!(flv_error_info(error, &raw mut whole), OK);
    // SAFETY: all bytes of it are initialised: it has no padding.
    let whole: [u8; FULL] = unsafe { std::mem::transmute(whole) };
    let fields = fields("flv_error_info_t");
    for size in (4..FULL + 64).filter(|size| *size >= FULL || fields.contains(size)) {
        let mut raw = Raw([0xaa; FULL + 64]);
        raw.0[..4].copy_from_slice(&(size as u32).to_ne_bytes());
        assert_eq!(flv_error_info(error, (&raw mut raw).cast()), OK);
        let filled = size.min(FULL);
        assert_eq!(raw.0[4..filled], whole[4..filled], "size {size}");
        assert!(raw.0[filled..].iter().all(|byte| *byte == 0xaa), "size {size}: written beyond what it may");
        assert_eq!(raw.0[..4], (size as u32).to_ne_bytes(), "struct_size stays as it was");
    }
    let within = (1..FULL as u32).filter(|size| !fields.contains(&(*size as usize)));
    for size in within.chain([0, (1 << 16) + 1, u32::MAX]) {
        let mut raw = Raw([0xaa; FULL + 64]);
        raw.0[..4].copy_from_slice(&size.to_ne_bytes());
        assert_eq!(flv_error_info(error, (&raw mut raw).cast()), INVALID, "size {size}");
        assert!(raw.0[4..].iter().all(|byte| *byte == 0xaa), "size {size}: refused, but written to");
    }
    flv_error_free(error);
}

/// What is read of options of a size: the fields within it, the defaults beyond, and no unknown field that is set.
#[test]
fn options_are_read_as_far_as_they_go() {
    #[repr(C)]
    struct Later {
        known: flv_client_options_t,
        unknown: [u64; 2],
    }
    let number = new_queue();
    let connect = |options: &Later| {
        let (mut operation, mut error) = (0, null_mut());
        // Overdue at once: only whether it is started matters.
        let options = (&raw const *options).cast();
        let status = flv_client_connect(options, 0, queue(number), 0, &raw mut operation, &raw mut error);
        assert_eq!(status == OK, operation != 0);
        assert_eq!(status == OK, error.is_null());
        let mut known = info();
        let message = if flv_error_info(error, &raw mut known) == OK {
            // SAFETY: valid until the error is freed.
            let message = unsafe { std::slice::from_raw_parts(known.message.data, known.message.len) };
            String::from_utf8(message.to_vec()).unwrap()
        } else {
            String::new()
        };
        flv_error_free(error);
        (status, message)
    };
    // SAFETY: as above.
    let mut options: Later = unsafe { std::mem::zeroed() };
    flv_client_options_init(&raw mut options.known, size_of::<flv_client_options_t>());
    assert_eq!(options.known.struct_size as usize, size_of::<flv_client_options_t>());
    options.known.endpoint = flv_slice_t { data: b"127.0.0.1:1".as_ptr(), len: 11 };
    assert_eq!(connect(&options).0, OK);

    // A field that is wrong counts only if it is within the caller's structure.
    options.known.admin_timeout_ms = -5;
    let (status, message) = connect(&options);
    assert!(status == INVALID && message.contains("admin_timeout_ms is -5"), "{message}");
    options.known.struct_size = offset_of!(flv_client_options_t, admin_timeout_ms) as u32;
    assert_eq!(connect(&options).0, OK);
    options.known.admin_timeout_ms = 1000;

    options.known.struct_size = size_of::<Later>() as u32;
    assert_eq!(connect(&options).0, OK);
    for at in 0..2 {
        options.unknown[at] = 1 << 63;
        let (status, message) = connect(&options);
        assert!(status == INVALID && message.contains("does not know"), "{message}");
        options.unknown[at] = 0;
    }
    flv_queue_free(queue(number));
}
