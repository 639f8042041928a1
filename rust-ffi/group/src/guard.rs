//! The rules that keep two members apart, by name. Each stands in the code where it decides something, so that the
//! tests can take it away and show what goes wrong without it: a rule whose absence nobody notices is no rule.

macro_rules! guards {
    ($($(#[doc = $text:literal])+ $name:ident,)+) => {
        /// A rule that can be taken away in tests.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Guard { $($(#[doc = $text])+ $name,)+ }

        #[cfg(test)]
        pub(crate) const ALL: &[Guard] = &[$(Guard::$name,)+];
    };
}

guards! {
    /// A command of a member counts only with a greater number than the last.
    Number,
    /// Who commits or releases is a member and owns the partition.
    Owner,
    /// And owns it under the epoch that the command names.
    Epoch,
    /// An eviction names the last sign of life that its sender saw.
    EvictedSign,
    /// A join takes an instance over only from the member that it names.
    Replaces,
    /// Who takes an instance over has at least the session of the one before, so that it is not evicted earlier.
    LongerSession,
    /// `reset` and `delete` name the generation that they saw.
    Generation,
    /// `grow` holds only for a group that has partitions.
    GrowsWhatIs,
    /// A partition that is added is read from its first offset.
    GrownFromFirst,
    /// The epoch of a partition is the place in the log that gave it to its owner: it never repeats.
    EpochIsPlace,
    /// The lease is nine tenths of the session, since clocks differ.
    LeaseShare,
    /// The lease begins with the reading back of a command, not with its sending.
    ReadBack,
    /// It counts from the moment before the command was sent.
    FromSending,
    /// Records are handed out only while the lease runs.
    LeaseGates,
    /// From the sending of a release the partition is not handed out.
    StopAtRelease,
    /// Who took an instance over gives up nothing for a session of the one before.
    Quarantine,
    /// An eviction needs a command of one's own, sent when the other was overdue and read back since.
    Probe,
    /// Silence of the log starts the clocks of all others anew.
    Silence,
    /// So does a new connection of the log's reader.
    Reconnect,
    /// Who waits to evict counts only the members before it that are not overdue themselves.
    RankOfLiving,
    /// The shortest session of the group paces everybody's signs of life.
    SharedPace,
    /// The start of a partition without commits is committed before its first record is handed out.
    StartCommitted,
    /// A release or commit that is void for certain is sent again.
    VoidSentAgain,
    /// A late join of an id that is used up is answered with `leave`.
    GhostLeaves,
}

/// Whether the rule stands. Outside of tests it always does, and the question costs nothing.
#[cfg(not(test))]
#[inline]
pub(crate) const fn stands(_: Guard) -> bool {
    true
}

#[cfg(test)]
pub(crate) use removal::stands;
#[cfg(test)]
pub(crate) use removal::without;

#[cfg(test)]
mod removal {
    use std::cell::Cell;

    use super::Guard;

    thread_local! {
        static REMOVED: Cell<Option<Guard>> = const { Cell::new(None) };
    }

    pub(crate) fn stands(guard: Guard) -> bool {
        REMOVED.get() != Some(guard)
    }

    /// Runs `body` on this thread as if `guard` had never been written.
    pub(crate) fn without<T>(guard: Option<Guard>, body: impl FnOnce() -> T) -> T {
        REMOVED.set(guard);
        let result = body();
        REMOVED.set(None);
        result
    }
}
