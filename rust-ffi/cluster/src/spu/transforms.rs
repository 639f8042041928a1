//! Chains of SmartModules at their places: behind a stream, in front of a write.

use std::sync::Arc;

use fluvio_protocol::link::ErrorCode;
use fluvio_smartmodule::dataplane::smartmodule::Lookback;
use fluvio_spu_schema::server::smartmodule::SmartModuleInvocation;

use super::{Replica, lookback};
use crate::log::Slice;
use crate::log::batch;
use crate::smartmodules::{
    Block, Chain, Engine, Failure, FileBatches, Habits, Limit, Merged, Settings, Stop, StopOnDrop, Verdict, process,
    set_batches,
};

/// A chain at work for one owner; what it runs ends when the owner goes.
#[derive(Debug)]
pub(super) struct Transforms {
    engine: Arc<Engine>,
    chain: Option<Chain>,
    _stop: StopOnDrop,
}

/// What has come out of a chain for a piece of the log.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) is_empty: bool,
    /// The offset behind those that the batch covers.
    pub(super) next_offset: i64,
    /// The offset behind the last batch that was looked at.
    pub(super) read_to: Option<i64>,
    pub(super) verdict: Verdict,
    /// The batch as it goes over the wire.
    pub(super) batch: Vec<u8>,
}

impl Outcome {
    /// Compresses, and so takes its time.
    fn encode((merged, verdict): (Merged, Verdict)) -> Result<Self, Failure> {
        let (is_empty, next_offset, read_to) = (merged.is_empty(), merged.next_offset(), merged.read_to);
        Ok(Self { is_empty, next_offset, read_to, verdict, batch: merged.encode().map_err(Failure::other)? })
    }
}

/// Makes a chain for requests of a version: finds the code, makes the modules ready, and shows them what they want to
/// see of the log, which `read` reads. It blocks.
pub(super) fn build(
    engine: &Engine,
    invocations: Vec<SmartModuleInvocation>,
    version: i16,
    settings: Settings,
    stop: &Stop,
    read: impl FnMut(&Lookback, &mut Block) -> Result<(), Failure>,
) -> Result<Chain, ErrorCode> {
    let mut chain = engine.build(engine.resolve(invocations)?, version, settings, stop)?;
    chain.look_back(read).map_err(|failure| ErrorCode::SmartModuleLookBackError(failure.root()))?;
    Ok(chain)
}

fn chain_failed(failure: &Failure) -> ErrorCode {
    ErrorCode::Other(format!("SmartModule err {failure}"))
}

impl Transforms {
    pub(super) async fn open(
        engine: &Arc<Engine>,
        replica: &Arc<Replica>,
        invocations: Vec<SmartModuleInvocation>,
        version: i16,
        settings: Settings,
    ) -> Result<Self, ErrorCode> {
        let stop = StopOnDrop::default();
        let (of_job, replica, stopped) = (Arc::clone(engine), Arc::clone(replica), stop.stop());
        let job = move || {
            let read =
                |lookback: &_, target: &mut _| lookback::read(&replica, lookback, settings.habits, &stopped, target);
            build(&of_job, invocations, version, settings, &stopped, read)
        };
        let chain =
            engine.run(job).await.map_err(|failure| ErrorCode::SmartModuleChainInitError(failure.to_string()))?;
        Ok(Self { engine: Arc::clone(engine), chain: Some(chain?), _stop: stop })
    }

    /// Runs a piece of the log through the chain. After a failure there is no chain any more.
    pub(super) async fn read(&mut self, slice: Slice, most_bytes: u32, habits: Habits) -> Result<Outcome, ErrorCode> {
        let Some(mut chain) = self.chain.take() else {
            return Err(chain_failed(&Failure::Other("the chain has failed".to_owned())));
        };
        let job = move || {
            let done = process(&mut chain, FileBatches::new(slice), Limit::of_reply(most_bytes), habits);
            done.and_then(Outcome::encode).map(|done| (done, chain))
        };
        let done = self.engine.run(job).await.and_then(|done| done);
        let (done, chain) = done.map_err(|failure| chain_failed(&failure))?;
        self.chain = Some(chain);
        Ok(done)
    }
}

/// What producer's modules make of a record set: another one, of one batch.
pub(super) async fn transform(
    engine: &Arc<Engine>,
    replica: &Arc<Replica>,
    invocations: &[SmartModuleInvocation],
    version: i16,
    settings: Settings,
    set: &[u8],
) -> Result<Vec<u8>, ErrorCode> {
    let failed = |failure: Failure| ErrorCode::Other(format!("smartmodule chain failed: {failure}"));
    let stop = StopOnDrop::default();
    let (of_job, replica, stopped) = (Arc::clone(engine), Arc::clone(replica), stop.stop());
    let (invocations, set) = (invocations.to_vec(), set.to_vec());
    let job = move || {
        let read = |lookback: &_, target: &mut _| lookback::read(&replica, lookback, settings.habits, &stopped, target);
        let mut chain = build(&of_job, invocations, version, settings, &stopped, read)?;
        let batches = batch::split(&set).unwrap_or_default();
        let batches = set_batches(&set, &batches);
        let (merged, verdict) = process(&mut chain, batches, Limit::WHOLE, settings.habits).map_err(failed)?;
        match verdict {
            Some(error) => Err(ErrorCode::SmartModuleRuntimeError(error)),
            None => merged.encode().map_err(|error| ErrorCode::Other(format!("Compression Error: {error:?}"))),
        }
    };
    engine.run(job).await.map_err(failed)?
}
