//! The tickets, one a batch: what is known of each from its issue until the owner was notified of its fate.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

/// Tickets are unique in the process, so that a host can keep those of all producers in one table.
static NEXT_TICKET: AtomicU64 = AtomicU64::new(1);

/// What is known of a ticket until it is settled.
#[derive(Debug)]
pub(super) struct Unsettled {
    pub(super) partition: u32,
    pub(super) records: u32,
    /// What the batch's records take of the buffer.
    pub(super) cost: u64,
    /// Whether bytes of the batch may have reached the log.
    pub(super) sent: bool,
    /// Whether a sender has the batch.
    pub(super) in_flight: bool,
    /// Whether the batch was in another partition before.
    pub(super) moved: bool,
}

/// The tickets of one producer. Each is issued, settled and notified exactly once, in this order.
#[derive(Default)]
pub(super) struct TicketTable {
    unsettled: BTreeMap<u64, Unsettled>,
    /// Settled tickets of which the owner is still being notified.
    notifying: BTreeSet<u64>,
    /// The records of all unsettled tickets.
    records: u64,
}

impl TicketTable {
    /// A ticket for a new batch of `partition`, larger than all before.
    pub(super) fn issue(&mut self, partition: u32) -> u64 {
        let ticket = NEXT_TICKET.fetch_add(1, Ordering::Relaxed);
        let (records, cost, sent, in_flight, moved) = Default::default();
        self.unsettled.insert(ticket, Unsettled { partition, records, cost, sent, in_flight, moved });
        ticket
    }

    /// Counts records that have joined a ticket's batch.
    pub(super) fn add(&mut self, ticket: u64, records: u32, cost: u64) {
        if let Some(unsettled) = self.unsettled.get_mut(&ticket) {
            unsettled.records += records;
            unsettled.cost += cost;
        }
        self.records += u64::from(records);
    }

    pub(super) fn get_mut(&mut self, ticket: u64) -> Option<&mut Unsettled> {
        self.unsettled.get_mut(&ticket)
    }

    /// The unsettled tickets, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Unsettled)> {
        self.unsettled.iter().map(|(ticket, unsettled)| (*ticket, unsettled))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsettled.is_empty()
    }

    /// The records of all unsettled tickets.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Gives what was known of a ticket, whose owner must be notified now; `None` if it is settled already.
    pub(super) fn settle(&mut self, ticket: u64) -> Option<Unsettled> {
        let unsettled = self.unsettled.remove(&ticket)?;
        self.notifying.insert(ticket);
        self.records -= u64::from(unsettled.records);
        Some(unsettled)
    }

    /// The same for all tickets that are not settled, in order.
    pub(super) fn settle_all(&mut self) -> impl Iterator<Item = (u64, Unsettled)> + use<> {
        self.notifying.extend(self.unsettled.keys());
        self.records = 0;
        std::mem::take(&mut self.unsettled).into_iter()
    }

    /// The owner was notified of these tickets' fates.
    pub(super) fn notified(&mut self, tickets: impl IntoIterator<Item = u64>) {
        for ticket in tickets {
            self.notifying.remove(&ticket);
        }
    }

    /// The oldest ticket of whose fate the owner was not notified yet.
    pub(super) fn oldest(&self) -> Option<u64> {
        let unsettled = self.unsettled.first_key_value().map(|(ticket, _)| *ticket);
        unsettled.into_iter().chain(self.notifying.first().copied()).min()
    }

    /// The newest ticket of whose fate the owner was not notified yet.
    pub(super) fn newest(&self) -> Option<u64> {
        let unsettled = self.unsettled.last_key_value().map(|(ticket, _)| *ticket);
        unsettled.max(self.notifying.last().copied())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Issue,
        /// Records join the batch of one of the tickets issued so far, and so on.
        Add(usize, u32),
        Settle(usize),
        Notify(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Issue),
            (any::<usize>(), 1..5_u32).prop_map(|(ticket, records)| Step::Add(ticket, records)),
            any::<usize>().prop_map(Step::Settle),
            any::<usize>().prop_map(Step::Notify),
        ]
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Stage {
        Unsettled,
        Notifying,
        Notified,
    }

    proptest! {
        #[test]
        fn each_ticket_is_settled_once_and_counts_until_then(steps in prop::collection::vec(step(), 1..100)) {
            let mut table = TicketTable::default();
            let mut model: BTreeMap<u64, (Stage, u32)> = BTreeMap::new();
            for step in steps {
                let pick = |index: usize, stage: Stage| {
                    let those = model.iter().filter(|(_, (its, _))| *its == stage);
                    let those: Vec<u64> = those.map(|(ticket, _)| *ticket).collect();
                    (!those.is_empty()).then(|| those[index % those.len()])
                };
                match step {
                    Step::Issue => {
                        let ticket = table.issue(0);
                        prop_assert!(model.last_key_value().is_none_or(|(newest, _)| ticket > *newest));
                        model.insert(ticket, (Stage::Unsettled, 0));
                    }
                    Step::Add(index, records) => {
                        if let Some(ticket) = pick(index, Stage::Unsettled) {
                            table.add(ticket, records, 10 * u64::from(records));
                            model.entry(ticket).and_modify(|(_, its)| *its += records);
                        }
                    }
                    Step::Settle(index) => {
                        for stage in [Stage::Notifying, Stage::Notified] {
                            if let Some(ticket) = pick(index, stage) {
                                prop_assert!(table.settle(ticket).is_none(), "settled twice");
                            }
                        }
                        if let Some(ticket) = pick(index, Stage::Unsettled) {
                            let settled = table.settle(ticket).map(|settled| (settled.records, settled.cost));
                            let (_, records) = model[&ticket];
                            prop_assert_eq!(settled, Some((records, 10 * u64::from(records))));
                            model.insert(ticket, (Stage::Notifying, 0));
                        }
                    }
                    Step::Notify(index) => {
                        if let Some(ticket) = pick(index, Stage::Notifying) {
                            table.notified([ticket]);
                            model.insert(ticket, (Stage::Notified, 0));
                        }
                    }
                }
                let open = || model.iter().filter(|(_, (stage, _))| *stage != Stage::Notified).map(|(it, _)| *it);
                prop_assert_eq!((table.oldest(), table.newest()), (open().min(), open().max()));
                let records: u32 = model.values().map(|(_, records)| records).sum();
                prop_assert_eq!(table.records(), u64::from(records));
            }
            let unsettled = model.iter().filter(|(_, (stage, _))| *stage == Stage::Unsettled);
            let unsettled: Vec<u64> = unsettled.map(|(ticket, _)| *ticket).collect();
            prop_assert_eq!(table.settle_all().map(|(ticket, _)| ticket).collect::<Vec<_>>(), unsettled);
            prop_assert_eq!((table.is_empty(), table.records()), (true, 0));
            prop_assert_eq!(table.settle_all().count(), 0);
            table.notified(model.keys().copied());
            prop_assert_eq!(table.oldest(), None);
        }
    }
}
