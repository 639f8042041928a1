//! What the member wants done.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fluvio_cffi_group::{Command, MemberId, Output};

use super::host::{Host, RoundEnd};
use super::{Call, MemberState, starts};
use crate::backoff::Backoff;
use crate::consumer::group::{Keeping, Revocation};
use crate::consumer::{Start, fetcher};
use crate::error::{Error, ErrorKind};
use crate::events::EventKind;
use crate::log::log;

impl Host {
    /// Does what the member wants, in this order.
    pub(super) fn perform(&mut self, outputs: Vec<Output>) {
        let (mut unresolved, mut gained) = (Vec::new(), Vec::new());
        let mut rebalanced = false;
        for output in outputs {
            if let Output::Revoke { partition, .. } = output {
                self.tell_partition("revoked", partition);
            }
            let takes = matches!(output, Output::Revoke { .. } | Output::Lost { .. } | Output::Keep { .. });
            rebalanced |= takes || matches!(output, Output::Assign { .. });
            if takes {
                self.read(&std::mem::take(&mut gained));
            }
            match output {
                Output::Draw => self.draw(),
                Output::Append(command) => self.append(&command),
                Output::Renew => self.renew(),
                Output::Resolve { partition, epoch } => unresolved.push((partition, epoch)),
                Output::Assign { partition, epoch, after } => {
                    self.tell_partition("assigned", partition);
                    gained.push((partition, epoch, after));
                }
                Output::Revoke { partition, epoch } => match self.consumer.subscription.give_up(partition, epoch) {
                    Revocation::Unknown => self.released(partition, epoch, false),
                    Revocation::Now => self.released(partition, epoch, true),
                    Revocation::Later => {}
                },
                Output::Keep { partition, epoch } => {
                    if self.consumer.subscription.keep(partition, epoch) == Keeping::BeginsAnew {
                        self.begins_anew.insert((partition, epoch));
                    }
                }
                Output::Lost { partition, epoch } => {
                    let change = if self.leaving.is_some() { "given up" } else { "lost" };
                    self.tell_partition(change, partition);
                    self.begins_anew.remove(&(partition, epoch));
                    self.consumer.subscription.lose(partition, epoch);
                }
                Output::Committed { token, fenced } => self.committed(token, fenced),
                Output::Mirror { partition, offset } => self.mirror.store(partition, offset),
                other => self.turn(&other),
            }
        }
        self.read(&gained);
        if rebalanced && self.leaving.is_none() {
            self.consumer.session.counters().rebalances.add(1);
        }
        if !unresolved.is_empty() {
            self.resolve(unresolved);
        }
    }

    fn tell_partition(&self, change: &str, partition: u32) {
        let (counters, group, topic) = (self.consumer.session.counters(), self.key.group(), self.key.topic());
        log!(INFO, GROUP, counters, "the member's partitions change", group, topic, partition, change);
    }

    fn draw(&mut self) {
        let mut bits = [0; 16];
        match getrandom::fill(&mut bits) {
            Ok(()) => {
                let id = MemberId(u128::from_le_bytes(bits));
                self.call(|participant, now, out| participant.join(now, id, out));
            }
            Err(cause) => self.fail(Error::internal(format!("no random bits can be had: {cause}"))),
        }
    }

    fn append(&mut self, command: &Command) {
        let counters = self.consumer.session.counters();
        match command {
            Command::Evict { members } => {
                let (group, topic, members) = (self.key.group(), self.key.topic(), members.len());
                log!(WARN, GROUP, counters, "members give no sign of life: they are evicted", group, topic, members);
                counters.evictions.add(members as u64);
            }
            command if command.sender().is_some() => counters.signs.add(1),
            _ => {}
        }
        match (fluvio_cffi_group::encode(command), &self.log) {
            (Ok(value), Some(log)) => log.append(self.link, &self.key, value),
            (Ok(_), None) => {}
            (Err(cause), _) => self.fail(Error::internal(format!("a command cannot be written: {cause}"))),
        }
    }

    fn renew(&mut self) {
        if let Some(log) = &self.log {
            log.renew(self.link);
        }
        self.call(|participant, now, out| participant.link(now, false, out));
    }

    /// Begins to read partitions, each under its epoch and behind an offset. Its reader hears of all at once.
    pub(super) fn read(&mut self, gained: &[(u32, i64, i64)]) {
        if gained.is_empty() {
            return;
        }
        let owned: Vec<(u32, i64)> = gained.iter().map(|(partition, epoch, _)| (*partition, *epoch)).collect();
        let assigned = match self.consumer.subscription.gain(&owned) {
            Ok(assigned) => assigned,
            Err(error) => return self.fail(error),
        };
        for (assigned, (partition, _, after)) in assigned.into_iter().zip(gained) {
            let start = match after {
                0.. => Start::Stored(after.saturating_add(1)),
                _ => Start::Beginning(0),
            };
            let end = self.ends.get(partition).copied();
            fetcher::begin_until(&self.consumer, assigned, start, end);
        }
    }

    /// Finds where partitions begin, in the background.
    fn resolve(&self, wanted: Vec<(u32, i64)>) {
        let (consumer, store, calls) = (Arc::clone(&self.consumer), Arc::clone(&self.store), self.calls.clone());
        crate::consumer::spawn(Arc::clone(&self.consumer), async move {
            let mut backoff = Backoff::default();
            loop {
                let found = consumer.subscription.unless_over(starts::find(&consumer, &store, &wanted)).await;
                let Some(calls) = calls.upgrade() else { return };
                match found {
                    None => return,
                    Some(Ok(found)) => {
                        return drop(calls.send(Call::Resolved(found)));
                    }
                    Some(Err(error)) if !error.retriable => return consumer.subscription.end(error),
                    Some(Err(_)) => backoff.wait().await,
                }
            }
        });
    }

    fn committed(&mut self, token: u64, fenced: Vec<(u32, i64)>) {
        let counters = self.consumer.session.counters();
        if !fenced.is_empty() {
            let (group, topic, partitions) = (self.key.group(), self.key.topic(), fenced.len());
            log!(WARN, GROUP, counters, "a commit is fenced: others have the partitions", group, topic, partitions);
        }
        counters.commits_fenced.add(fenced.len() as u64);
        if let Some((answer, mut before)) = self.commits.remove(&token) {
            before.extend(fenced);
            drop(answer.send(Ok(before)));
        }
    }

    /// Where the member stands has changed.
    fn turn(&mut self, output: &Output) {
        match output {
            Output::Joined => {
                self.stands(MemberState::Member);
                self.tell(EventKind::GroupJoined, None);
            }
            Output::Suspended => {
                self.consumer.subscription.lapse();
                self.stands(MemberState::Suspended);
                self.tell(EventKind::GroupSuspended, None);
            }
            Output::Resumed => {
                self.stands(MemberState::Member);
                self.tell(EventKind::GroupResumed, None);
            }
            Output::Evicted => {
                self.stands(MemberState::Joining);
                self.tell(EventKind::GroupLost, Some("it gave no sign of life in time, and was evicted".to_owned()));
            }
            Output::Fenced => self.fenced(),
            Output::Left if self.leaving.is_some() => self.end = Some(RoundEnd::Over),
            Output::Left => {
                self.stands(MemberState::Away);
                self.shared.is_away.store(true, Ordering::SeqCst);
                self.tell(EventKind::GroupLost, Some("its reader did not come back in time".to_owned()));
            }
            Output::Newer(version) => {
                let text = format!(
                    "group \"{}\" speaks version {version}, and this library {}: use a newer one",
                    self.key.group(),
                    fluvio_cffi_group::VERSION
                );
                self.fail(Error::new(ErrorKind::Version, text).with_topic(self.key.topic()));
            }
            Output::Diverged => {
                self.consumer.session.counters().note(ErrorKind::Internal);
                self.end = Some(RoundEnd::Anew("a snapshot in the log tells of another past".to_owned()));
            }
            _ => {}
        }
    }

    fn stands(&self, state: MemberState) {
        self.shared.member().state = state;
    }

    fn fenced(&mut self) {
        let instance = self.options.instance.as_deref().unwrap_or_default();
        let text = format!(
            "another process has joined group \"{}\" as instance \"{instance}\": only one at a time may have that name",
            self.key.group()
        );
        self.tell(EventKind::GroupLost, Some(text.clone()));
        self.fail(Error::new(ErrorKind::MemberFenced, text).with_topic(self.key.topic()));
    }
}
