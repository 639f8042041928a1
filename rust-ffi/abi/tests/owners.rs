//! Owners: each ends with what it has open, and what others have open goes on.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::ptr::null_mut;
use std::time::{Duration, Instant};

use fluvio_cffi::*;
use support::*;

fn new_owner() -> *mut flv_owner_t {
    let mut owner = null_mut();
    assert_eq!(flv_owner_new(&raw mut owner, null_mut()), OK);
    owner
}

/// A client of `owner`, and a producer whose records wait for company.
fn open(queue: &Queue, endpoint: &str, owner: *mut flv_owner_t) -> (*mut flv_client_t, *mut flv_producer_t) {
    let options = flv_client_options_t { owner, ..client_options(endpoint) };
    let client = queue.run(|timeout, queue, token, operation, error| {
        flv_client_connect(&raw const options, timeout, queue, token, operation, error)
    });
    let lingering = flv_producer_options_t { linger_us: 60_000_000, ..producer_options() };
    (client, queue.producer(client, "owned", &lingering))
}

fn pending(producer: *mut flv_producer_t) -> u64 {
    let mut records = 0;
    flv_producer_pending(producer, &raw mut records, null_mut());
    records
}

fn settle_tickets(queue: &Queue) {
    for completion in queue.drain(100, Duration::from_millis(100)) {
        assert_eq!((completion.kind, completion.status), (TICKET, OK));
    }
}

#[test]
fn each_ends_by_itself() {
    let cluster = Running::start();
    let endpoint = cluster.endpoint();
    let queue = Queue::new();
    let first = queue.connect(&endpoint);
    queue.create_topic(first, "owned", 1);
    let owners = [new_owner(), new_owner(), new_owner()];
    let opened = owners.map(|owner| open(&queue, &endpoint, owner));
    for (_, producer) in opened {
        assert_eq!(submit(producer, 4, 10).0, OK);
    }
    let left = || opened.map(|(_, producer)| pending(producer));

    // A flush waits for its own records alone, also where the client was freed.
    flv_client_free(opened[0].0);
    let (_, flushed) = queue.complete(|timeout, queue, token, operation, error| {
        flv_owner_flush(owners[0], timeout, queue, token, operation, error)
    });
    assert_eq!((flushed.status, flushed.value, left()), (OK, 0, [0, 4, 4]));
    assert_eq!(submit(opened[0].1, 1, 10).0, OK);

    // An end closes its own clients alone; it takes no more.
    let mut dropped = 7;
    flv_owner_shutdown(owners[1], 5000, &raw mut dropped);
    assert_eq!((dropped, left()), (0, [1, 0, 4]));
    assert_eq!((submit(opened[1].1, 1, 1).0, submit(opened[2].1, 1, 1).0), (CLOSED, OK));
    let options = flv_client_options_t { owner: owners[1], ..client_options(&endpoint) };
    let (mut operation, mut error) = (0, null_mut());
    assert_eq!(flv_client_connect(&raw const options, 100, queue.0, 1, &raw mut operation, &raw mut error), CLOSED);
    flv_error_free(error);
    settle_tickets(&queue);

    // A free never blocks, and the records get one more second.
    let begun = Instant::now();
    flv_owner_free(owners[2]);
    assert!(begun.elapsed() < Duration::from_millis(500));
    while left()[2] > 0 {
        assert!(begun.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(submit(opened[2].1, 1, 1).0, CLOSED);
    flv_owner_free(owners[2]);
    settle_tickets(&queue);

    // Who has nothing open has nothing to flush.
    let empty = new_owner();
    assert_eq!(flv_owner_flush(empty, 0, queue.0, 1, &raw mut operation, null_mut()), EMPTY);
    assert_eq!(flv_owner_flush(owners[2], 0, queue.0, 1, &raw mut operation, null_mut()), CLOSED);
    flv_owner_free(empty);
    flv_owner_free(null_mut());

    // What nobody owns, and the other owner, went on all the time.
    assert_eq!(flv_client_state(first), flv_client_state_e::FLV_CLIENT_STATE_CONNECTED as u32);
    assert_eq!(submit(opened[0].1, 1, 10).0, OK);
    flv_client_free(first);
    for (client, producer) in opened {
        flv_producer_free(producer);
        flv_client_free(client);
    }
    flv_owner_free(owners[0]);
    flv_owner_free(owners[1]);
    drop(queue);
    assert_nothing_left();
}
