//! What a drain finds, and when the descriptor is readable.

use std::os::fd::AsRawFd;
use std::sync::atomic::AtomicUsize;

use super::Wakeup;
use super::completion::TICKET;
use super::signal::Signal;
use super::*;
use crate::boundary::OK;

fn ticket(token: u64) -> flv_completion_t {
    flv_completion_t {
        token,
        operation: 0,
        status: OK,
        kind: TICKET,
        result: std::ptr::null_mut(),
        value: 0,
        extra: 0,
        partition: 0,
        reserved: 0,
    }
}

fn readable(queue: &Queue) -> bool {
    let Mode::Descriptor(signal) = &queue.mode else { panic!("it has no descriptor") };
    let mut poll = libc::pollfd { fd: signal.descriptor(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry.
    unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
}

fn tokens(queue: &Queue, capacity: usize) -> Vec<u64> {
    let mut out = vec![std::mem::MaybeUninit::uninit(); capacity];
    let count = queue.drain(&mut out);
    // SAFETY: a drain fills the first `count`.
    out[..count].iter().map(|one| unsafe { one.assume_init() }.token).collect()
}

#[test]
fn readable_while_completions_wait() {
    let queue = Queue::new(Mode::Descriptor(Signal::new().unwrap()));
    assert!(!readable(&queue));
    (1..=3).for_each(|token| queue.post(ticket(token)));
    assert!(readable(&queue));
    assert_eq!(tokens(&queue, 2), [1, 2]);
    assert!(readable(&queue), "a drain that leaves something must leave the descriptor readable");
    assert_eq!(tokens(&queue, 2), [3]);
    assert!(!readable(&queue));
    queue.post(ticket(4));
    assert!(readable(&queue));
    assert_eq!(tokens(&queue, 2), [4]);
}

/// Reads a byte from `source`, and posts two completions for it.
#[cfg(target_os = "linux")]
struct Poster {
    queue: std::sync::Weak<Queue>,
    source: std::os::unix::net::UnixStream,
    ended: AtomicUsize,
}

#[cfg(target_os = "linux")]
impl Reader for Poster {
    fn read(&self) {
        use std::io::Read;
        let mut byte = [0];
        if (&self.source).read(&mut byte).is_err() {
            return;
        }
        let queue = self.queue.upgrade().unwrap();
        queue.post(ticket(u64::from(byte[0])));
        queue.post(ticket(u64::from(byte[0]) + 100));
    }

    fn unwatched(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_watched_connection_is_read_by_who_drains() {
    use std::io::Write;
    let queue = Arc::new(Queue::new(Mode::Descriptor(Signal::new().unwrap())));
    let (mut writer, source) = std::os::unix::net::UnixStream::pair().unwrap();
    source.set_nonblocking(true).unwrap();
    let descriptor = source.as_raw_fd();
    let reader = Arc::new(Poster { queue: Arc::downgrade(&queue), source, ended: AtomicUsize::new(0) });
    let watch = queue.watch(descriptor, Arc::<Poster>::clone(&reader)).unwrap();
    assert!(!readable(&queue));
    writer.write_all(&[1]).unwrap();
    assert!(readable(&queue));
    // What the reading brings is there at once; what has no room keeps the descriptor readable.
    assert_eq!(tokens(&queue, 1), [1]);
    assert!(readable(&queue));
    assert_eq!(tokens(&queue, 2), [101]);
    assert!(!readable(&queue));
    // Along with what others post, before and while it is read.
    queue.post(ticket(7));
    writer.write_all(&[2]).unwrap();
    assert_eq!(tokens(&queue, 9), [7, 2, 102]);
    assert!(!readable(&queue));
    // Many are asked for, instead of tried.
    let others: Vec<_> = (0..3).map(|_| std::os::unix::net::UnixStream::pair().unwrap()).collect();
    let idle = |(_, source): &(_, std::os::unix::net::UnixStream)| {
        let source = source.try_clone().unwrap();
        source.set_nonblocking(true).unwrap();
        let descriptor = source.as_raw_fd();
        let reader = Poster { queue: Arc::downgrade(&queue), source, ended: AtomicUsize::new(0) };
        queue.watch(descriptor, Arc::new(reader)).unwrap()
    };
    let watches: Vec<_> = others.iter().map(idle).collect();
    writer.write_all(&[3]).unwrap();
    queue.post(ticket(8));
    assert_eq!(tokens(&queue, 9), [8, 3, 103]);
    assert!(!readable(&queue));
    drop(watches);
    // A signal that comes late wakes once.
    writer.write_all(&[4]).unwrap();
    assert_eq!(tokens(&queue, 9), [4, 104]);
    let Mode::Descriptor(signal) = &queue.mode else { panic!("it has no descriptor") };
    signal.set();
    assert!(tokens(&queue, 9).is_empty());
    assert!(!readable(&queue));
    queue.close();
    assert_eq!(reader.ended.load(Ordering::Relaxed), 1);
    assert!(queue.watch(descriptor, Arc::<Poster>::clone(&reader)).is_none(), "nobody drains any more");
    drop(watch);
    writer.write_all(&[5]).unwrap();
    assert!(!readable(&queue));
}

#[cfg(target_os = "linux")]
#[test]
fn not_too_many_are_watched() {
    let queue = Arc::new(Queue::new(Mode::Descriptor(Signal::new().unwrap())));
    let pairs: Vec<_> = (0..40).map(|_| std::os::unix::net::UnixStream::pair().unwrap()).collect();
    let watch = |(_, source): &(_, std::os::unix::net::UnixStream)| {
        let source = source.try_clone().unwrap();
        let descriptor = source.as_raw_fd();
        let reader = Poster { queue: Arc::downgrade(&queue), source, ended: AtomicUsize::new(0) };
        queue.watch(descriptor, Arc::new(reader))
    };
    let watches: Vec<_> = pairs.iter().map_while(watch).collect();
    assert!(!watches.is_empty() && watches.len() < pairs.len());
    drop(watches);
    assert!(watch(&pairs[0]).is_some());
}

#[test]
fn a_late_signal_wakes_once() {
    let queue = Queue::new(Mode::Descriptor(Signal::new().unwrap()));
    queue.post(ticket(1));
    assert_eq!(tokens(&queue, 2), [1]);
    // As if the poster had been held up between the lock and the write.
    let Mode::Descriptor(signal) = &queue.mode else { panic!("it has no descriptor") };
    signal.set();
    assert!(readable(&queue));
    assert!(tokens(&queue, 2).is_empty());
    assert!(!readable(&queue), "a wake-up for nothing must not repeat itself");
    queue.post(ticket(2));
    assert!(readable(&queue));
}

#[test]
fn nothing_is_lost_between_threads() {
    const COUNT: u64 = 20_000;
    let queue = Arc::new(Queue::new(Mode::Descriptor(Signal::new().unwrap())));
    let posters: Vec<_> = (0..2)
        .map(|poster| {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || (0..COUNT).for_each(|i| queue.post(ticket(2 * i + poster))))
        })
        .collect();
    let mut seen = Vec::new();
    while seen.len() < 2 * COUNT as usize {
        let Mode::Descriptor(signal) = &queue.mode else { panic!("it has no descriptor") };
        let mut poll = libc::pollfd { fd: signal.descriptor(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        assert_eq!(unsafe { libc::poll(&raw mut poll, 1, 10_000) }, 1, "a wake-up was lost");
        seen.extend(tokens(&queue, 7));
    }
    posters.into_iter().for_each(|poster| poster.join().unwrap());
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..2 * COUNT));
    // Late signals may be left; one drain each ends them.
    tokens(&queue, 1);
    assert!(!readable(&queue));
}
