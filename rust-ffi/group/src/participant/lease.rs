//! How long a member may hand out records: what it sent, and what of that it has read back.

use std::collections::VecDeque;
use std::time::Duration;

use crate::guard::{Guard, stands};
use crate::names::Moment;

/// Numbers and times of what was sent, and the lease that follows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    session: Duration,
    last: u64,
    sent: VecDeque<(u64, Moment)>,
    sent_at: Moment,
    heard: Moment,
    end: Moment,
}

impl Lease {
    /// Of a member whose join was first sent at `sent`, and read back at `now`.
    pub(crate) fn new(session: Duration, sent: Moment, now: Moment) -> Self {
        let mut lease = Self { session, last: 0, sent: VecDeque::new(), sent_at: sent, heard: now, end: Moment::ZERO };
        lease.extend(sent, now);
        lease
    }

    fn extend(&mut self, sent: Moment, now: Moment) {
        let from = if stands(Guard::FromSending) { sent } else { now };
        let share = if stands(Guard::LeaseShare) { 9 } else { 10 };
        self.end = self.end.max(from + self.session * share / 10);
    }

    /// The number of the next command, which is sent now: `now` was taken before.
    pub(crate) fn send(&mut self, now: Moment) -> u64 {
        self.last += 1;
        self.sent.push_back((self.last, now));
        self.sent_at = now;
        if !stands(Guard::ReadBack) {
            self.extend(now, now);
        }
        self.last
    }

    /// The own command with this number was read back, and counts. When was it sent?
    pub(crate) fn read_back(&mut self, n: u64, now: Moment) -> Option<Moment> {
        let at = self.sent.iter().position(|(number, _)| *number == n)?;
        let sent = self.sent.drain(..=at).next_back().map(|(_, sent)| sent)?;
        self.extend(sent, now);
        self.heard = now;
        Some(sent)
    }

    /// The session that it is a part of.
    pub(crate) fn session(&self) -> Duration {
        self.session
    }

    /// The last number that was used.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// When the lease ends.
    pub(crate) fn end(&self) -> Moment {
        self.end
    }

    /// When a command of one's own was last read back.
    pub(crate) fn heard(&self) -> Moment {
        self.heard
    }

    /// When anything was last sent.
    pub(crate) fn sent_at(&self) -> Moment {
        self.sent_at
    }

    /// Since when the oldest command waits for being read back.
    pub(crate) fn waiting_since(&self) -> Option<Moment> {
        self.sent.front().map(|(_, sent)| *sent)
    }

    /// Whether something is out that was sent at that time or later.
    pub(crate) fn is_out_since(&self, moment: Moment) -> bool {
        self.sent.back().is_some_and(|(_, sent)| *sent >= moment)
    }
}
