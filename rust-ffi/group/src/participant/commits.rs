//! Commits: one command at a time; calls meanwhile are merged into the next.

use crate::command::Entry;
use crate::names::Offset;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Call {
    /// `None`: the member's own, of a start.
    token: Option<u64>,
    entries: Vec<Entry>,
}

/// A commit that is done: what it was called, and what of it was not stored.
pub(crate) type Done = (u64, Vec<(u32, Offset)>);

/// What waits, and what is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Commits {
    waiting: Vec<Call>,
    flying: Option<(u64, Vec<Call>, Vec<Entry>)>,
}

impl Commits {
    /// Somebody wants this stored.
    pub(crate) fn call(&mut self, token: Option<u64>, entries: Vec<Entry>) {
        self.waiting.push(Call { token, entries });
    }

    /// What is to be sent now.
    pub(crate) fn next(&mut self) -> Option<Vec<Entry>> {
        if self.flying.is_some() || self.waiting.is_empty() {
            return None;
        }
        let mut merged: Vec<Entry> = Vec::new();
        for entry in self.waiting.iter().flat_map(|call| &call.entries) {
            let same = |it: &&mut Entry| (it.partition, it.epoch) == (entry.partition, entry.epoch);
            match merged.iter_mut().find(same) {
                Some(earlier) => *earlier = *entry,
                None => merged.push(*entry),
            }
        }
        Some(merged)
    }

    /// It was sent under this number.
    pub(crate) fn sent(&mut self, n: u64, entries: Vec<Entry>) {
        self.flying = Some((n, std::mem::take(&mut self.waiting), entries));
    }

    /// The own command `n` was read back and counts; if it is a commit, these of its entries did not hold.
    pub(crate) fn read_back(&mut self, n: u64, refused: &[usize]) -> Vec<Done> {
        match self.flying.take() {
            Some((number, calls, entries)) if number == n => {
                let fenced = |it: &&Entry| {
                    refused
                        .iter()
                        .filter_map(|at| entries.get(*at))
                        .any(|no| (no.partition, no.epoch) == (it.partition, it.epoch))
                };
                let done = calls.iter().filter_map(|call| {
                    Some((
                        call.token?,
                        call.entries.iter().filter(fenced).map(|it| (it.partition, it.offset)).collect(),
                    ))
                });
                done.collect()
            }
            flying => {
                self.flying = flying;
                Vec::new()
            }
        }
    }

    /// What was sent under a smaller number is void for certain: it goes again.
    pub(crate) fn void_below(&mut self, n: u64) {
        if self.flying.as_ref().is_some_and(|(number, ..)| *number < n) {
            self.again();
        }
    }

    /// What was sent may be lost: it goes again, under a new number, so that one of the two is void.
    pub(crate) fn again(&mut self) {
        if let Some((_, calls, _)) = self.flying.take() {
            self.waiting.splice(..0, calls);
        }
    }

    /// Whether nothing waits and nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.flying.is_none()
    }

    /// The member is none any more: nothing of it will be stored.
    pub(crate) fn end(&mut self) -> Vec<Done> {
        self.again();
        let fenced = |call: &Call| call.entries.iter().map(|it| (it.partition, it.offset)).collect();
        self.waiting.drain(..).filter_map(|call| Some((call.token?, fenced(&call)))).collect()
    }
}
