//! The buffer's room, and the waiters for it, first come first served.

use std::collections::VecDeque;

use tokio::sync::oneshot;

struct RoomWaiter {
    bytes: u64,
    /// Sent to when the waiter's turn has come. Dropped unsent when the producer ends; closed if the waiter has left.
    granted: oneshot::Sender<()>,
}

/// How many bytes the buffer takes, how many are in use, and who waits until some are free.
///
/// A grant reserves nothing: it says that the bytes are free now and that it is the waiter's turn to submit.
pub(super) struct Room {
    size: u64,
    used: u64,
    waiters: VecDeque<RoomWaiter>,
}

impl Room {
    pub(super) fn new(size: u64) -> Self {
        Self { size, used: 0, waiters: VecDeque::new() }
    }

    /// The bytes in use. More than the buffer's size only while one record is in it that is larger than the whole
    /// buffer.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    pub(super) fn free(&self) -> u64 {
        self.size.saturating_sub(self.used)
    }

    /// Whether a record of `cost` bytes is accepted now. An empty buffer accepts one record of any size.
    pub(super) fn admits(&self, cost: u64) -> bool {
        self.used + cost <= self.size || self.used == 0
    }

    pub(super) fn occupy(&mut self, bytes: u64) {
        self.used += bytes;
    }

    /// Frees bytes that were occupied. [`Self::grant`] must follow once all are.
    pub(super) fn release(&mut self, bytes: u64) {
        self.used -= bytes;
    }

    /// Gives a receiver that hears when it is the caller's turn; `None` if `bytes` are free now and nobody waits.
    /// Dropping the receiver gives up the place.
    pub(super) fn wait_for(&mut self, bytes: u64) -> Option<oneshot::Receiver<()>> {
        if self.waiters.is_empty() && self.used + bytes <= self.size {
            return None;
        }
        let (granted, turn) = oneshot::channel();
        self.waiters.push_back(RoomWaiter { bytes, granted });
        Some(turn)
    }

    /// Tells the waiters, in order, as far as the free room goes for all of them together.
    pub(super) fn grant(&mut self) {
        let mut free = self.free();
        while let Some(first) = self.waiters.front() {
            if first.granted.is_closed() {
                self.waiters.pop_front();
                continue;
            }
            if first.bytes > free {
                break;
            }
            free -= first.bytes;
            if let Some(first) = self.waiters.pop_front() {
                let _ = first.granted.send(());
            }
        }
    }

    /// Empties the buffer; every waiter's receiver fails.
    pub(super) fn clear(&mut self) {
        self.used = 0;
        self.waiters.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    const SIZE: u64 = 100;

    #[derive(Debug, Clone)]
    enum Step {
        Occupy(u64),
        Release,
        WaitFor(u64),
        /// A waiter leaves, one of those that wait.
        Leave(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1..150_u64).prop_map(Step::Occupy),
            4 => Just(Step::Release),
            4 => (1..=SIZE).prop_map(Step::WaitFor),
            1 => any::<usize>().prop_map(Step::Leave),
        ]
    }

    proptest! {
        #[test]
        fn is_never_overdrawn_and_serves_the_first_to_come_first(steps in prop::collection::vec(step(), 1..100)) {
            let mut room = Room::new(SIZE);
            let mut held: VecDeque<u64> = VecDeque::new();
            let mut waiters: VecDeque<(u64, oneshot::Receiver<()>)> = VecDeque::new();
            for step in steps {
                match step {
                    Step::Occupy(bytes) => {
                        let fits = held.is_empty() || held.iter().sum::<u64>() + bytes <= SIZE;
                        prop_assert_eq!(room.admits(bytes), fits);
                        if fits {
                            room.occupy(bytes);
                            held.push_back(bytes);
                        }
                    }
                    Step::Release => {
                        if let Some(bytes) = held.pop_front() {
                            room.release(bytes);
                        }
                        room.grant();
                        let mut free = room.free();
                        while let Some((bytes, turn)) = waiters.front_mut() {
                            let is_granted = turn.try_recv().is_ok();
                            prop_assert_eq!(is_granted, *bytes <= free, "{} bytes where {} are free", bytes, free);
                            if !is_granted {
                                break;
                            }
                            free -= *bytes;
                            waiters.pop_front();
                        }
                        for (_, turn) in waiters.iter_mut().skip(1) {
                            prop_assert_eq!(turn.try_recv(), Err(TryRecvError::Empty), "overtook the first");
                        }
                    }
                    Step::WaitFor(bytes) => match room.wait_for(bytes) {
                        Some(turn) => waiters.push_back((bytes, turn)),
                        None => {
                            prop_assert!(waiters.is_empty(), "overtook the waiters");
                            prop_assert!(bytes <= room.free());
                        }
                    },
                    Step::Leave(index) => {
                        if !waiters.is_empty() {
                            waiters.remove(index % waiters.len());
                        }
                    }
                }
                prop_assert_eq!(room.used(), held.iter().sum::<u64>());
                prop_assert!(room.used() <= SIZE || held.len() == 1, "{} bytes in {} records", room.used(), held.len());
            }
            room.clear();
            prop_assert_eq!((room.used(), room.free()), (0, SIZE));
            for (_, turn) in &mut waiters {
                prop_assert_eq!(turn.try_recv(), Err(TryRecvError::Closed));
            }
        }
    }
}
