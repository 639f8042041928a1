//! The partitions of one member: from gaining each to giving it up.

use std::collections::BTreeMap;
use std::time::Duration;

use super::config::{Output, earliest};
use crate::command::{Entry, Released};
use crate::guard::{Guard, stands};
use crate::names::{MemberId, Moment, Offset};
use crate::state::{Partition, State};

/// Streams are opened when nothing has changed for so long,
const CALM: Duration = Duration::from_millis(50);
/// or so long after the first partition was gained.
const AT_MOST: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    /// Its own, but more may change in the next moment.
    Gained,
    /// The host looks for where to begin.
    Resolving,
    /// Where to begin is being committed.
    Starting,
    /// Handed out.
    Reading,
    /// The host gives it up: nothing more is handed out, but what was is not done yet.
    Revoking { since: Moment },
    /// Given up; `n` is the number of the release if it was sent.
    Releasing { committed: Option<Offset>, n: Option<u64> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Held {
    epoch: Offset,
    stage: Stage,
    mirrored: Option<Offset>,
}

/// What a member owns, as it has read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Holdings {
    held: BTreeMap<u32, Held>,
    /// When the first of those was gained that are not opened yet, and when anything last changed.
    gained: Option<(Moment, Moment)>,
}

impl Holdings {
    /// Owners or moves changed. `stays` says what is not given up for now, whatever moves.
    pub(crate) fn settle(
        &mut self,
        state: &State,
        me: MemberId,
        stays: impl Fn(u32, Offset) -> bool,
        now: Moment,
        out: &mut Vec<Output>,
    ) {
        let is_mine =
            |number: u32, epoch| state.partition(number).is_some_and(|it| it.owner == Some(me) && it.epoch == epoch);
        self.held.retain(|&partition, held| {
            let kept = is_mine(partition, held.epoch);
            if !kept && matches!(held.stage, Stage::Reading | Stage::Revoking { .. }) {
                out.push(Output::Lost { partition, epoch: held.epoch });
            }
            kept
        });
        for (number, partition) in state.owned(me) {
            let held = self.held.entry(number).or_insert_with(|| {
                let since = self.gained.map_or(now, |(since, _)| since);
                self.gained = Some((since, now));
                Held { epoch: partition.epoch, stage: Stage::Gained, mirrored: None }
            });
            if partition.moving && !stays(number, partition.epoch) {
                held.give_up(number, now, out);
            } else if !partition.moving && matches!(held.stage, Stage::Revoking { .. }) {
                held.stage = Stage::Reading;
                out.push(Output::Keep { partition: number, epoch: held.epoch });
            }
        }
    }

    /// Opens what was gained, when nothing has changed for a moment; and what has waited for its start, by what is stored.
    pub(crate) fn open(&mut self, state: &State, now: Moment, out: &mut Vec<Output>) {
        let is_calm = self.opens_at().is_some_and(|at| at <= now);
        if is_calm {
            self.gained = None;
        }
        for (&number, held) in &mut self.held {
            let Some(Partition { committed, .. }) = state.partition(number) else { continue };
            match (held.stage, committed) {
                (Stage::Gained, None) if is_calm => held.resolve(number, out),
                (Stage::Gained, Some(after)) if is_calm => held.read(number, *after, out),
                (Stage::Starting, Some(after)) => held.read(number, *after, out),
                _ => {}
            }
        }
    }

    fn opens_at(&self) -> Option<Moment> {
        self.gained.map(|(since, changed)| (changed + CALM).min(since + AT_MOST))
    }

    /// The host has found where to begin. What is to be committed before the first record is handed out?
    pub(crate) fn resolved(&mut self, start: Entry, out: &mut Vec<Output>) -> Option<Entry> {
        let held = self.held.get_mut(&start.partition)?;
        if held.epoch != start.epoch || held.stage != Stage::Resolving {
            return None;
        }
        if !stands(Guard::StartCommitted) {
            held.read(start.partition, start.offset, out);
            return None;
        }
        held.stage = Stage::Starting;
        Some(start)
    }

    /// The host has given the partition up.
    pub(crate) fn released(&mut self, released: Released) {
        if let Some(held) = self.held.get_mut(&released.partition)
            && held.epoch == released.epoch
            && matches!(held.stage, Stage::Revoking { .. })
        {
            held.stage = Stage::Releasing { committed: released.committed, n: None };
        }
    }

    /// Gives up, without an offset, what its reader does not come back for.
    pub(crate) fn give_up_late(&mut self, timeout: Duration, now: Moment, out: &mut Vec<Output>) {
        for (&partition, held) in &mut self.held {
            if let Stage::Revoking { since } = held.stage
                && since + timeout <= now
            {
                held.stage = Stage::Releasing { committed: None, n: None };
                out.push(Output::Lost { partition, epoch: held.epoch });
            }
        }
    }

    /// What is given up, and not sent yet.
    pub(crate) fn to_release(&self) -> Vec<Released> {
        let waiting = self.held.iter().filter_map(|(&partition, held)| match held.stage {
            Stage::Releasing { committed, n: None } => Some(Released { partition, epoch: held.epoch, committed }),
            _ => None,
        });
        waiting.collect()
    }

    /// Its release was sent under this number.
    pub(crate) fn release_sent(&mut self, partition: u32, number: u64) {
        if let Some(Stage::Releasing { n, .. }) = self.held.get_mut(&partition).map(|held| &mut held.stage) {
            *n = Some(number);
        }
    }

    /// Everything that was sent under `number` or less, and is still here, did not hold and never will: it is sent again,
    /// or read on if it no longer moves.
    pub(crate) fn void_up_to(&mut self, number: u64, state: &State, out: &mut Vec<Output>) {
        for (&partition, held) in &mut self.held {
            let Stage::Releasing { committed, n: Some(n) } = held.stage else { continue };
            if n > number {
                continue;
            }
            let Some(now) = state.partition(partition) else { continue };
            match now.committed {
                _ if now.moving => held.stage = Stage::Releasing { committed, n: None },
                Some(after) => held.read(partition, after, out),
                None => held.resolve(partition, out),
            }
        }
    }

    /// What was sent may be lost.
    pub(crate) fn release_again(&mut self) {
        for held in self.held.values_mut() {
            if let Stage::Releasing { n, .. } = &mut held.stage {
                *n = None;
            }
        }
    }

    /// Under which epoch the partition may be handed out, as far as it is the member's own.
    pub(crate) fn hands(&self, partition: u32) -> Option<Offset> {
        self.held.get(&partition).filter(|held| held.hands()).map(|held| held.epoch)
    }

    /// Everything is given up at once, with what was processed.
    pub(crate) fn leave(&self, processed: &[Entry]) -> Vec<Released> {
        let released = self.held.iter().map(|(&partition, held)| {
            let same = |it: &&Entry| (it.partition, it.epoch) == (partition, held.epoch);
            let committed = processed.iter().find(same).map(|it| it.offset);
            let given_up = if let Stage::Releasing { committed, .. } = held.stage { committed } else { None };
            Released { partition, epoch: held.epoch, committed: committed.or(given_up) }
        });
        released.collect()
    }

    /// Everything is gone.
    pub(crate) fn lose(&mut self, out: &mut Vec<Output>) {
        for (partition, held) in std::mem::take(&mut self.held) {
            if matches!(held.stage, Stage::Reading | Stage::Revoking { .. }) {
                out.push(Output::Lost { partition, epoch: held.epoch });
            }
        }
        self.gained = None;
    }

    /// What is committed by now, and owned, is told to the cluster's own store.
    pub(crate) fn mirror(&mut self, state: &State, out: &mut Vec<Output>) {
        for (&partition, held) in &mut self.held {
            let Some(offset) = state.partition(partition).and_then(|it| it.committed) else { continue };
            if held.mirrored.replace(offset) != Some(offset) && offset >= 0 {
                out.push(Output::Mirror { partition, offset });
            }
        }
    }

    /// Whether all of it is read.
    pub(crate) fn are_read(&self) -> bool {
        self.held.values().all(|held| held.stage == Stage::Reading)
    }

    /// Whether there is anything to tell.
    pub(crate) fn is_mirrored(&self, state: &State) -> bool {
        self.held.iter().all(|(&partition, held)| {
            state.partition(partition).and_then(|it| it.committed).is_none_or(|offset| held.mirrored == Some(offset))
        })
    }

    /// When time alone changes something.
    pub(crate) fn next_due(&self, timeout: Duration) -> Option<Moment> {
        let late = self.held.values().map(|held| match held.stage {
            Stage::Revoking { since } => Some(since + timeout),
            _ => None,
        });
        earliest(late.chain([self.opens_at()]))
    }
}

impl Held {
    fn resolve(&mut self, partition: u32, out: &mut Vec<Output>) {
        self.stage = Stage::Resolving;
        out.push(Output::Resolve { partition, epoch: self.epoch });
    }

    fn read(&mut self, partition: u32, after: Offset, out: &mut Vec<Output>) {
        self.stage = Stage::Reading;
        out.push(Output::Assign { partition, epoch: self.epoch, after });
    }

    fn give_up(&mut self, partition: u32, now: Moment, out: &mut Vec<Output>) {
        match self.stage {
            Stage::Gained | Stage::Resolving | Stage::Starting => {
                self.stage = Stage::Releasing { committed: None, n: None };
            }
            Stage::Reading => {
                self.stage = Stage::Revoking { since: now };
                out.push(Output::Revoke { partition, epoch: self.epoch });
            }
            Stage::Revoking { .. } | Stage::Releasing { .. } => {}
        }
    }

    fn hands(&self) -> bool {
        match self.stage {
            Stage::Reading => true,
            Stage::Releasing { .. } => !stands(Guard::StopAtRelease),
            _ => false,
        }
    }
}
