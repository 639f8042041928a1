//! The end of the host, in a process of its own: nothing can be opened afterwards.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use fluvio_cffi::*;
use support::*;

#[test]
fn shutdown_flushes_within_its_time_and_counts_the_rest() {
    let cluster = Running::start();
    let queue = Queue::new();
    // Without a client there is nothing to do.
    let (client, lost) = (queue.connect(&cluster.endpoint()), queue.connect(&cluster.endpoint()));
    queue.create_topic(client, "exit", 1);
    let lingering = flv_producer_options_t { linger_us: 60_000_000, ..producer_options() };
    let producer = queue.producer(client, "exit", &lingering);
    let (status, runs) = submit(producer, 5, 100);
    assert_eq!(status, OK);

    // A producer whose cluster is gone: its records cannot be written in time.
    let other = Running::start();
    let away = queue.connect(&other.endpoint());
    queue.create_topic(away, "exit", 1);
    let stuck = queue.producer(away, "exit", &lingering);
    drop(other);
    let (status, stuck_runs) = submit(stuck, 7, 100);
    assert_eq!(status, OK);

    // A client that nobody holds any more, one whose producer goes on without it, one whose producer nobody holds
    // either, and a connect under way.
    flv_client_free(lost);
    let freed = queue.connect(&cluster.endpoint());
    let orphan = queue.producer(freed, "exit", &lingering);
    let gone = queue.producer(freed, "exit", &lingering);
    flv_client_free(freed);
    let (status, orphan_runs) = submit(orphan, 3, 100);
    assert_eq!(status, OK);
    let (status, gone_runs) = submit(gone, 2, 100);
    assert_eq!(status, OK);
    flv_producer_free(gone);
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap().to_string();
    let options = client_options(&address);
    let mut connecting = 0;
    assert_eq!(flv_client_connect(&raw const options, -1, queue.0, 1, &raw mut connecting, std::ptr::null_mut()), OK);

    let started = Instant::now();
    let mut dropped = u64::MAX;
    flv_runtime_shutdown(700, &raw mut dropped);
    let took = started.elapsed();
    assert_eq!(dropped, 7);
    assert!(took < Duration::from_secs(3), "it took {took:?}");

    let mut settled = std::collections::HashMap::new();
    for completion in queue.drain(100, Duration::from_millis(100)) {
        assert_eq!(completion.kind, TICKET);
        settled.insert(completion.token, completion.status);
        flv_completion_dispose(&raw const completion);
    }
    assert!(runs.iter().chain(&orphan_runs).chain(&gone_runs).all(|run| settled[&run.ticket] == OK));
    assert!(stuck_runs.iter().all(|run| settled[&run.ticket] != OK));

    // The connect goes on until it is cancelled; new ones are refused; closed is what was closed.
    assert_eq!(flv_operation_cancel(queue.0, connecting), OK);
    let cancelled = queue.next();
    assert_eq!((cancelled.operation, cancelled.status), (connecting, CANCELLED));
    let address = cluster.endpoint();
    let options = client_options(&address);
    let mut error = std::ptr::null_mut();
    assert_eq!(flv_client_connect(&raw const options, 1000, queue.0, 1, &raw mut connecting, &raw mut error), CLOSED);
    assert_eq!(describe(error).0.status, CLOSED);
    assert_eq!(submit(producer, 1, 1).0, CLOSED);

    flv_producer_free(producer);
    flv_producer_free(orphan);
    flv_producer_free(stuck);
    flv_client_free(client);
    flv_client_free(away);
    drop(queue);
    assert_nothing_left();
    // Again is fine.
    flv_runtime_shutdown(-1, &raw mut dropped);
    assert_eq!(dropped, 0);
    flv_runtime_shutdown(0, std::ptr::null_mut());
}
