//! What the callers' threads do themselves: send, and read the replies where they wait for them.

use std::sync::{Arc, Weak};

use super::SpuSender;
use super::connection::Request;
use super::work::{ConnectionState, Work};
use crate::guard;
use crate::producer::Shared;
use crate::transport::Reader;

/// After this number of requests in a row that callers' threads sent while nothing else was in flight, these also
/// watch the connection.
const SOLO_RUN: u32 = 4;

impl SpuSender {
    /// Sends what is ready on the caller's thread if nothing is in flight; otherwise wakes the task, which does it.
    /// Never waits. `awaited`: the caller is going to wait for the records where it can watch the connection.
    pub(in crate::producer) fn send_or_wake(self: &Arc<Self>, shared: &Arc<Shared>, awaited: bool) {
        self.handover.here_or_wake(|work| self.send(shared, work, awaited));
    }

    /// Sends what is ready if nothing is in flight; gives whether all of it has left and the reply will be read.
    fn send(self: &Arc<Self>, shared: &Arc<Shared>, work: &mut Work, awaited: bool) -> bool {
        let is_free = work.connection.connected().is_some_and(|connection| connection.in_flight.is_empty());
        if !is_free || !shared.accumulator.is_uncompressed() {
            return false;
        }
        // Nothing is compressed here, so no batch fails.
        match work.fill(shared, self.spu, &mut Vec::new()) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                self.fail(work, error, true);
                return false;
            }
        }
        let Work { connection: ConnectionState::Connected(connection), alarm, .. } = work else { return false };
        // The task must look up in time, whatever happens.
        let is_guarded = |first: &Request| alarm.is_some_and(|alarm| alarm <= first.deadline);
        if !connection.in_flight.front().is_some_and(is_guarded) {
            return false;
        }
        let is_solo = connection.in_flight.len() == 1;
        if !is_solo {
            connection.solo_run = 0;
        }
        if !awaited || !is_solo {
            return !connection.io.is_unwatched();
        }
        connection.solo_run += 1;
        if connection.solo_run <= SOLO_RUN || connection.io.is_unwatched() {
            return true;
        }
        connection.solo_run = 0;
        let reader = || Arc::new(CallersReader { shared: Arc::downgrade(shared), sender: Arc::downgrade(self) });
        match connection.io.have_watched(|descriptor| shared.sink.watch(descriptor, reader())) {
            Ok(()) => true,
            Err(error) => {
                self.fail(work, error, false);
                false
            }
        }
    }

    /// Takes the reply that has arrived on a connection which callers watch, and sends what came meanwhile.
    fn take_reply(self: &Arc<Self>, shared: &Arc<Shared>) {
        let mut work = self.lock();
        let Some(connection) = work.connection.any().filter(|connection| connection.io.is_unwatched()) else { return };
        let frame = match connection.io.try_frame() {
            Ok(None) => return,
            Ok(Some(frame)) => frame,
            Err(error) => return self.fail(&mut work, error, false),
        };
        let answered = match self.answer(shared, &mut work, &frame) {
            Ok(answered) => answered,
            Err(error) => return self.fail(&mut work, error, true),
        };
        let has_more = work.connection.any().is_some_and(|connection| !connection.in_flight.is_empty());
        drop(work);
        let has_refused = answered.has_refused;
        answered.deliver(shared);
        if has_more {
            // The next reply may have come with this one: then the descriptor does not become readable for it.
            self.wake();
        } else if has_refused || shared.accumulator.has_work(Some(self.spu)) {
            // What came meanwhile can go from here, too.
            self.send_or_wake(shared, false);
        }
    }
}

/// Reads a sender's connection where the producer's owner waits.
struct CallersReader {
    shared: Weak<Shared>,
    sender: Weak<SpuSender>,
}

impl Reader for CallersReader {
    fn read(&self) {
        let (Some(shared), Some(sender)) = (self.shared.upgrade(), self.sender.upgrade()) else { return };
        let taken = guard::attempt(|| {
            sender.take_reply(&shared);
            Ok(())
        });
        if let Err(panic) = taken {
            sender.fail(&mut sender.lock(), panic, true);
        }
    }

    fn unwatched(&self) {
        if let Some(sender) = self.sender.upgrade() {
            sender.wake();
        }
    }
}
