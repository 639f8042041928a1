//! The accumulator's state beside a model of it, with time as an argument: records go where they belong, in order;
//! each is settled once; the room is never overdrawn.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fluvio_cffi_wire::split_batches;
use proptest::prelude::*;
use tokio::time::Instant;

use super::super::batch::{Batch, Past, WaitingBatch};
use super::super::state::State;
use super::super::{Limits, Wake};
use crate::error::Error;
use crate::producer::sender::SpuSender;
use crate::producer::{RECORD_OVERHEAD, Records, Run, partitioner};

const SPUS: [i32; 2] = [5001, 5002];
const DELIVERY_TIMEOUT: Duration = Duration::from_millis(200);
const BUFFER: u64 = 1000;
const BATCH: usize = 200;
const REQUEST: usize = 500;

/// Where a record is to go.
#[derive(Debug, Clone, Copy)]
enum To {
    Anywhere,
    Key(u8),
    Partition(u32),
}

#[derive(Debug, Clone)]
enum Step {
    /// Records, each with the length of its value, and the number of runs.
    Submit(Vec<(To, usize)>, usize),
    Take(usize),
    /// The oldest batches in flight to an SPU are acknowledged or refused for good.
    Answer {
        spu: usize,
        batches: usize,
        written: bool,
    },
    /// All that is in flight to an SPU goes again.
    PutBack(usize, Past),
    Pass(u64),
    Flush,
    Expire(usize),
    Online(u8),
    /// The other SPU leads each partition.
    SwapLeaders,
}

fn step() -> impl Strategy<Value = Step> {
    let to = prop_oneof![
        2 => Just(To::Anywhere),
        1 => any::<u8>().prop_map(To::Key),
        1 => (0..4_u32).prop_map(To::Partition),
    ];
    // Some are larger than a batch, or the whole buffer.
    let length = prop_oneof![12 => 8..60_usize, 1 => 150..400_usize, 1 => 900..1200_usize];
    let past = prop_oneof![Just(Past::Unsent), Just(Past::Refused), Just(Past::MaybeWritten)];
    prop_oneof![
        6 => (prop::collection::vec((to, length), 1..12), 1..6_usize)
            .prop_map(|(records, runs)| Step::Submit(records, runs)),
        6 => (0..2_usize).prop_map(Step::Take),
        4 => (0..2_usize, 1..4_usize, any::<bool>())
            .prop_map(|(spu, batches, written)| Step::Answer { spu, batches, written }),
        2 => (0..2_usize, past).prop_map(|(spu, past)| Step::PutBack(spu, past)),
        2 => (1..80_u64).prop_map(Step::Pass),
        1 => Just(Step::Flush),
        1 => (0..2_usize).prop_map(Step::Expire),
        1 => any::<u8>().prop_map(Step::Online),
        1 => Just(Step::SwapLeaders),
    ]
}

/// What the model knows of a record.
#[derive(Debug, Clone, Copy)]
struct Sent {
    number: u64,
    to: To,
    cost: u64,
}

struct Model {
    state: State,
    now: Instant,
    senders: [Arc<SpuSender>; 2],
    swapped: bool,
    online: u8,
    /// The records of each ticket that is not settled, in the order of the batch.
    tickets: BTreeMap<u64, Vec<Sent>>,
    settled: BTreeSet<u64>,
    in_flight: [Vec<Batch>; 2],
    /// Where batches are that may be in a log.
    written: BTreeMap<u64, u32>,
    number: u64,
}

impl Model {
    fn new(partitions: u32, linger: Duration) -> Self {
        let limits = Limits {
            batch_size: BATCH,
            max_request_size: REQUEST,
            buffer_size: BUFFER,
            linger,
            delivery_timeout: DELIVERY_TIMEOUT,
            one_batch: false,
            deduplicates: false,
        };
        let mut model = Self {
            state: State::new(partitions, limits),
            now: Instant::now(),
            senders: SPUS.map(|spu| Arc::new(SpuSender::new(spu))),
            swapped: false,
            online: u8::MAX,
            tickets: BTreeMap::new(),
            settled: BTreeSet::new(),
            in_flight: Default::default(),
            written: BTreeMap::new(),
            number: 0,
        };
        model.set_partitions();
        model
    }

    fn count(&self) -> u32 {
        self.state.partitions.len() as u32
    }

    fn set_partitions(&mut self) {
        let indexes = 0..self.count() as usize;
        let online = indexes.clone().map(|index| self.online >> index & 1 == 1).collect();
        let leader = |index: usize| Some(Arc::clone(&self.senders[(index + usize::from(self.swapped)) % 2]));
        let leaders = indexes.map(leader).collect();
        self.state.set_partitions(online, leaders, self.now);
    }

    fn home(&self, to: To) -> Option<u32> {
        match to {
            To::Anywhere => None,
            To::Key(key) => Some(partitioner::keyed(&[key], self.count())),
            To::Partition(partition) => Some(partition % self.count()),
        }
    }

    fn submit(&mut self, given: &[(To, usize)], places: usize) {
        let used = self.state.room.used();
        let (mut data, mut records) = (Vec::new(), Vec::new());
        let (mut values, mut keys, mut partitions) = (Vec::new(), Vec::new(), Vec::new());
        for (to, length) in given {
            let begins = data.len();
            keys.push(if let To::Key(key) = to {
                data.push(*key);
                1
            } else {
                -1
            });
            partitions.push(if let To::Partition(_) = to { self.home(*to).unwrap() as i32 } else { -1 });
            data.extend_from_slice(&self.number.to_be_bytes());
            data.resize(data.len() + length - 8, 0);
            values.push(*length as u32);
            let cost = (data.len() - begins) as u64 + RECORD_OVERHEAD;
            records.push(Sent { number: self.number, to: *to, cost });
            self.number += 1;
        }
        let columns = Records {
            count: given.len(),
            data: &data,
            value_lengths: &values,
            key_lengths: Some(&keys),
            partitions: Some(&partitions),
            timestamps: None,
            awaited: false,
        };
        let mut runs = vec![Run::default(); places];
        let (submission, wake) = self.state.submit(&columns, &mut runs, self.now, 1_700_000_000_000);
        let mut accepted = records.iter().copied();
        let mut is_new = false;
        for run in &runs[..submission.runs] {
            assert!(run.count > 0 && !self.settled.contains(&run.ticket));
            let batch = self.tickets.entry(run.ticket).or_default();
            is_new |= batch.is_empty();
            assert_eq!(batch.len(), run.index as usize, "a run continues its batch");
            batch.extend(accepted.by_ref().take(run.count as usize));
        }
        assert_eq!(accepted.len(), given.len() - submission.accepted, "the runs are the records accepted");
        assert_eq!(is_new, !matches!(wake, Wake::Nobody), "a new batch is heard of");
        let cost: u64 = records[..submission.accepted].iter().map(|record| record.cost).sum();
        assert_eq!(submission.room, BUFFER.saturating_sub(used + cost));
        if let Some(next) = records.get(submission.accepted) {
            let has_room = used + cost + next.cost <= BUFFER || used + cost == 0;
            assert!(!has_room || submission.runs == places, "a record was left out for nothing");
        }
    }

    fn take(&mut self, spu: usize) {
        let taken = self.state.take(SPUS[spu], self.now).batches;
        let size: usize = taken.iter().map(|(_, batch)| batch.len()).sum();
        assert!(size <= REQUEST || taken.len() == 1, "{size} bytes in {} batches", taken.len());
        let mut newest: BTreeMap<u32, u64> = BTreeMap::new();
        for (partition, batch) in taken {
            let ticket = batch.ticket();
            assert!(newest.insert(partition, ticket).is_none_or(|before| before < ticket), "in order");
            let others = self.in_flight.iter().enumerate().filter(|(other, _)| *other != spu);
            let mut others = others.flat_map(|(_, batches)| batches);
            assert!(others.all(|other| other.partition != partition), "of two senders");
            let batch = match batch {
                WaitingBatch::Again(batch) => batch,
                WaitingBatch::Closed { ticket, builder, deadline, any_partition } => {
                    let bytes = builder.finish(Default::default()).unwrap();
                    let (past, given_up) = (Past::Unsent, false);
                    Batch { ticket, partition, bytes, deadline, past, any_partition, given_up }
                }
            };
            self.check_batch(partition, &batch);
            self.in_flight[spu].push(batch);
        }
        for (partition, ticket) in newest {
            let queue = &self.state.partitions[partition as usize];
            let mut waiting =
                queue.ready.iter().map(WaitingBatch::ticket).chain(queue.open.as_ref().map(|open| open.ticket));
            assert!(waiting.all(|other| other > ticket), "an older one was left behind");
        }
    }

    /// A batch has its ticket's records in the order of submission, and each may go to this partition.
    fn check_batch(&self, partition: u32, batch: &Batch) {
        let records = &self.tickets[&batch.ticket];
        assert_eq!(read(&batch.bytes), records.iter().map(|record| record.number).collect::<Vec<_>>());
        assert!(records.is_sorted_by_key(|record| record.number));
        assert!(records.iter().all(|record| self.home(record.to).is_none_or(|home| home == partition)));
        let keyless = records.iter().filter(|record| self.home(record.to).is_none()).count();
        assert!(self.count() == 1 || keyless == 0 || keyless == records.len(), "both kinds share a batch");
        assert_eq!(batch.partition, partition);
        assert!(self.written.get(&batch.ticket).is_none_or(|written| *written == partition), "in two logs");
    }

    fn settle(&mut self, results: Vec<(u64, Result<i64, Error>)>, answered: Option<Instant>) {
        let again: Vec<_> = results.iter().map(|(ticket, _)| (*ticket, Ok(0))).collect();
        let expected: Vec<u64> =
            results.iter().map(|(ticket, _)| *ticket).filter(|ticket| !self.settled.contains(ticket)).collect();
        let fates = self.state.settle(results, answered);
        assert_eq!(fates.settled.iter().map(|settled| settled.ticket).collect::<Vec<_>>(), expected);
        for settled in fates.settled {
            let records = self.tickets.remove(&settled.ticket).unwrap();
            assert_eq!(settled.records as usize, records.len());
            assert!(self.settled.insert(settled.ticket), "settled twice");
        }
        assert!(self.state.settle(again, answered).settled.is_empty(), "settled twice");
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Submit(records, places) => self.submit(records, *places),
            Step::Take(spu) => self.take(*spu),
            Step::Answer { spu, batches, written } => {
                let flying = &mut self.in_flight[*spu];
                let answered = flying.drain(..(*batches).min(flying.len()));
                let result = |batch: Batch| (batch.ticket, if *written { Ok(7) } else { Err(Error::internal("no")) });
                let results = answered.map(result).collect();
                self.settle(results, Some(self.now));
            }
            Step::PutBack(spu, past) => {
                let back: Vec<Batch> = std::mem::take(&mut self.in_flight[*spu])
                    .into_iter()
                    .map(|batch| Batch { past: batch.past.max(*past), ..batch })
                    .collect();
                let maybe_written = back.iter().filter(|batch| batch.past == Past::MaybeWritten);
                self.written.extend(maybe_written.map(|batch| (batch.ticket, batch.partition)));
                self.state.put_back(back.into_iter(), self.now);
            }
            Step::Pass(milliseconds) => self.now += Duration::from_millis(*milliseconds),
            Step::Flush => {
                self.state.flush_up_to = self.state.flush_up_to.max(self.state.tickets.newest().unwrap_or(0))
            }
            Step::Expire(spu) => {
                let mut results = Vec::new();
                self.state.take_overdue(SPUS[*spu], self.now, |ticket, _, sent, _| {
                    assert_eq!(sent, self.written.contains_key(&ticket));
                    results.push((ticket, Err(Error::internal("late"))));
                });
                self.settle(results, None);
            }
            Step::Online(online) => {
                self.online = *online;
                self.set_partitions();
            }
            Step::SwapLeaders => {
                self.swapped = !self.swapped;
                self.set_partitions();
            }
        }
    }

    /// Each ticket is in one place, in order, and known to be sent if it may be written; the account of the buffer is
    /// right.
    fn check(&self) {
        let mut places: Vec<u64> = self.in_flight.iter().flatten().map(|batch| batch.ticket).collect();
        for queue in &self.state.partitions {
            let open = queue.open.as_ref().map(|open| open.ticket);
            let waiting: Vec<u64> = queue.ready.iter().map(WaitingBatch::ticket).chain(open).collect();
            assert!(waiting.is_sorted(), "{waiting:?}");
            places.extend(waiting);
        }
        places.sort_unstable();
        assert_eq!(places, self.tickets.keys().copied().collect::<Vec<_>>(), "each in one place");
        for (ticket, unsettled) in self.state.tickets.iter() {
            let in_flight = self.in_flight.iter().flatten().any(|batch| batch.ticket == ticket);
            assert_eq!(unsettled.in_flight, in_flight);
            assert_eq!(unsettled.sent, in_flight || self.written.contains_key(&ticket));
        }
        let records = || self.tickets.values().flatten();
        let used: u64 = records().map(|record| record.cost).sum();
        assert_eq!((self.state.room.used(), self.state.tickets.records()), (used, records().count() as u64));
        assert!(used <= BUFFER || records().count() == 1, "{used} bytes");
    }

    /// Sends and acknowledges what is left; all of it must go.
    fn drain(&mut self) {
        self.online = u8::MAX;
        self.set_partitions();
        self.state.closed = true;
        while !self.tickets.is_empty() {
            for spu in 0..2 {
                self.take(spu);
            }
            assert!(!self.in_flight.iter().all(Vec::is_empty), "something waits for ever");
            for spu in 0..2 {
                self.step(&Step::Answer { spu, batches: usize::MAX, written: true });
            }
            self.check();
        }
    }
}

/// The numbers of the records in a batch.
fn read(batch: &Bytes) -> Vec<u64> {
    let mut batches = Vec::new();
    split_batches(batch, &mut batches).unwrap();
    let body = batches[0].body(usize::MAX).unwrap();
    let records = batches[0].records(&body).unwrap();
    records.map(|record| u64::from_be_bytes(*record.unwrap().value.first_chunk().unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn records_go_where_they_belong_in_order_and_once(
        partitions in 1..=4_u32,
        lingers in any::<bool>(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let linger = if lingers { Duration::from_millis(20) } else { Duration::ZERO };
        let mut model = Model::new(partitions, linger);
        for step in &steps {
            model.step(step);
            model.check();
        }
        model.drain();
    }
}
