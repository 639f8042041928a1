//! The filter of a topic with deduplication. Its chain lives as long as the partition is led here, and remembers what
//! it has seen.

use std::io;
use std::sync::{Arc, Weak};

use fluvio_controlplane_metadata::topic::Deduplication;
use fluvio_protocol::link::ErrorCode;
use fluvio_smartmodule::dataplane::smartmodule::{Lookback, SmartModuleExtraParams};
use fluvio_spu_schema::COMMON_VERSION;
use fluvio_spu_schema::server::smartmodule::{SmartModuleInvocation, SmartModuleInvocationWasm, SmartModuleKind};
use tokio::sync::{Mutex, SetOnce};

use super::transforms::build;
use super::{Replica, lookback};
use crate::faults::Faults;
use crate::log::batch;
use crate::smartmodules::{
    Chain, Engine, Failure, Habits, InputBatch, Limit, Settings, StopOnDrop, process, set_batches,
};

/// The filter of one partition.
#[derive(Debug)]
pub(crate) struct Filter {
    deduplication: Deduplication,
    /// None until it is made.
    chain: Arc<Mutex<Option<Chain>>>,
    /// Whether it could be made. Where it could not, the partition is not served.
    made: SetOnce<bool>,
    stop: StopOnDrop,
}

impl Filter {
    pub(crate) fn new(deduplication: Deduplication) -> Self {
        Self { deduplication, chain: Arc::default(), made: SetOnce::new(), stop: StopOnDrop::default() }
    }

    /// Waits until it is made, or cannot be.
    pub(super) async fn is_made(&self) -> bool {
        *self.made.wait().await
    }

    /// Ends what it runs, for good.
    pub(super) fn end(&self) {
        self.stop.order();
    }

    /// The module as a step of a chain, as the real server asks for it.
    fn invocation(&self) -> SmartModuleInvocation {
        let Deduplication { bounds, filter } = &self.deduplication;
        let mut params = std::collections::BTreeMap::from([("count".to_owned(), bounds.count.to_string())]);
        if let Some(age) = bounds.age {
            params.insert("age".to_owned(), age.as_millis().to_string());
        }
        params.extend(filter.transform.with.clone());
        let lookback = Lookback { last: bounds.count, age: bounds.age };
        SmartModuleInvocation {
            wasm: SmartModuleInvocationWasm::Predefined(filter.transform.uses.clone()),
            kind: SmartModuleKind::Filter,
            params: SmartModuleExtraParams::new(params, Some(lookback)),
            name: None,
        }
    }

    /// Makes it, while others wait. It holds nothing that it could outlive.
    pub(super) async fn make(replica: Weak<Replica>, engine: Arc<Engine>, settings: Settings) {
        let Some((invocation, stop)) =
            replica.upgrade().and_then(|it| it.filter().map(|filter| (filter.invocation(), filter.stop.stop())))
        else {
            return;
        };
        let (of_job, log) = (Arc::clone(&engine), replica.clone());
        let job = move || {
            let read = |lookback: &_, target: &mut _| match log.upgrade() {
                Some(replica) => lookback::read(&replica, lookback, settings.habits, &stop, target),
                None => Err(Failure::other("the partition has gone")),
            };
            build(&of_job, vec![invocation], COMMON_VERSION, settings, &stop, read)
        };
        let made = engine.run(job).await.map_err(|failure| ErrorCode::Other(failure.to_string())).flatten();
        let Some(replica) = replica.upgrade() else { return };
        let Some(filter) = replica.filter() else { return };
        let is_made = made.is_ok();
        match made {
            Ok(chain) => *filter.chain.lock().await = Some(chain),
            Err(error) => complain!("partition {}: its filter cannot be made: {error}", replica.key()),
        }
        // Nobody else makes it.
        let _ = filter.made.set(is_made);
    }

    /// Filters a record set and appends what is left of it; the offset of its first record. What the filter has seen
    /// and what is written go together, whatever becomes of the caller; but not where the write fails, as on the real
    /// server.
    pub(super) async fn produce(
        &self,
        replica: Arc<Replica>,
        engine: &Engine,
        faults: Arc<Faults>,
        set: Vec<u8>,
    ) -> Result<(i64, i64), ErrorCode> {
        let mut chain = Arc::clone(&self.chain).lock_owned().await;
        let job = move || {
            let batches = batch::split(&set).unwrap_or_default();
            let chain = chain.as_mut().ok_or(ErrorCode::NotLeaderForPartition)?;
            let filtered = filter(chain, set_batches(&set, &batches), faults.smartmodules().habits);
            // Then it was stopped, maybe, and has not failed.
            if replica.is_gone() {
                return Err(ErrorCode::NotLeaderForPartition);
            }
            let mut left = filtered.map_err(|failure| refused(&failure))?;
            let batches = batch::split(&left).unwrap_or_default();
            if batches.iter().all(|batch| batch.header.offsets() == 0) {
                let committed = replica.extent().committed;
                return Ok((committed, committed));
            }
            let base = replica.produce(&mut left, &batches, &faults)?;
            Ok((base, batch::end(base, &batches)))
        };
        engine.run(job).await.map_err(|_| ErrorCode::StorageError)?
    }
}

fn filter(
    chain: &mut Chain,
    batches: impl Iterator<Item = io::Result<InputBatch>>,
    habits: Habits,
) -> Result<Vec<u8>, Failure> {
    match process(chain, batches, Limit::WHOLE, habits)? {
        (merged, None) => merged.encode().map_err(Failure::other),
        (_, Some(error)) => Err(Failure::other(error)),
    }
}

/// What a producer is told of a failure.
fn refused(failure: &Failure) -> ErrorCode {
    if let Failure::Memory { requested, max } = *failure {
        return ErrorCode::SmartModuleMemoryLimitExceeded { requested, max };
    }
    complain!("a filter of duplicates: {failure}");
    ErrorCode::StorageError
}
