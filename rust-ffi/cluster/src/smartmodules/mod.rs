//! The engine of the SPUs: runs the SmartModules of consumers, producers and topics with deduplication.
//!
//! Modules are WebAssembly from anybody, so nothing of them is trusted: memory, fuel and every number that they give
//! have limits, and they run on threads of their own, as many as there are permits, never on those that serve
//! connections. A module that does not end is ended by its fuel, or when its owner goes.

mod batches;
mod chain;
mod failure;
mod habits;
mod host;
mod instance;
mod library;
mod merge;
mod records;
#[cfg(test)]
mod tests;
mod wasi;

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::bufread::GzDecoder;
use fluvio_protocol::link::ErrorCode;
use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_spu_schema::server::smartmodule::{
    SmartModuleContextData, SmartModuleInvocation, SmartModuleInvocationWasm, SmartModuleKind,
};
use tokio::sync::Semaphore;
use wasmi::{Config, Engine as Wasmi, Module};

pub(crate) use batches::{FileBatches, read_header, set_batches};
use chain::Step;
pub(crate) use chain::{Chain, Verdict};
pub(crate) use failure::Failure;
pub use habits::Habit;
pub(crate) use habits::Habits;
pub(crate) use host::{Stop, StopOnDrop};
pub(crate) use instance::Limits;
pub(crate) use library::Library;
pub(crate) use merge::{InputBatch, Limit, Merged, process};
pub(crate) use records::{Block, read_block};

/// Chains that run at the same time; the others wait.
const MOST_RUNNING: usize = 16;

/// Bytes of a module, and how many modules of how many bytes are kept compiled.
const MOST_CODE: u64 = 64 << 20;
const MOST_KEPT: usize = 64;
const MOST_KEPT_CODE: usize = 64 << 20;

/// Calls within each other in a module, and the 8-byte cells of its stack.
const MOST_CALLS: usize = 10_000;
const MOST_CELLS: usize = 1 << 20;

/// Modules that were compiled, by their bytes as they came; and the bytes of all.
#[derive(Debug, Default)]
struct Compiled {
    modules: HashMap<Arc<[u8]>, Module>,
    bytes: usize,
}

/// A step of a chain as a request asks for it, with its code at hand.
#[derive(Debug)]
pub(crate) struct Resolved {
    gzipped: Arc<[u8]>,
    params: SmartModuleExtraParams,
    initial: Vec<u8>,
}

/// What a server has been told about modules.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Settings {
    pub(crate) habits: Habits,
    /// The most bytes of memory of an instance, if it is another limit than the cluster's.
    pub(crate) memory: Option<usize>,
}

/// What all SPUs of a cluster share.
#[derive(Debug)]
pub(crate) struct Engine {
    limits: Limits,
    pub(crate) stored: Library,
    compiled: Mutex<Compiled>,
    permits: Arc<Semaphore>,
}

impl Engine {
    pub(crate) fn new(limits: Limits) -> Self {
        let permits = Arc::new(Semaphore::new(MOST_RUNNING));
        Self { limits, stored: Library::default(), compiled: Mutex::default(), permits }
    }

    /// Runs a job that may run modules, on a thread where it may take its time. When the caller goes, the job goes on:
    /// whoever starts it holds a [`StopOnDrop`].
    pub(crate) async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(Failure::other)?;
        let job = tokio::task::spawn_blocking(move || {
            let done = job();
            drop(permit);
            done
        });
        job.await.map_err(|_| Failure::other("the engine has failed"))
    }

    /// Finds the code of all steps.
    pub(crate) fn resolve(&self, invocations: Vec<SmartModuleInvocation>) -> Result<Vec<Resolved>, ErrorCode> {
        let resolve = |invocation: SmartModuleInvocation| {
            let gzipped = match invocation.wasm {
                SmartModuleInvocationWasm::AdHoc(gzipped) => gzipped.into(),
                SmartModuleInvocationWasm::Predefined(name) => self.stored.find(&name)?,
            };
            let initial = match invocation.kind {
                SmartModuleKind::Aggregate { accumulator }
                | SmartModuleKind::Generic(SmartModuleContextData::Aggregate { accumulator }) => accumulator,
                _ => Vec::new(),
            };
            Ok(Resolved { gzipped, params: invocation.params, initial })
        };
        invocations.into_iter().map(resolve).collect()
    }

    /// Makes a chain that serves requests of a version. It blocks.
    pub(crate) fn build(
        &self,
        mut steps: Vec<Resolved>,
        version: i16,
        settings: Settings,
        stop: &Stop,
    ) -> Result<Chain, ErrorCode> {
        if !settings.habits.has(Habit::Engine) {
            steps.clear();
        }
        // As on the real server: all are unpacked before the first is compiled.
        let steps = steps.into_iter().map(|step| {
            let code = self
                .kept(&step.gzipped)
                .map_or_else(|| unzip(&step.gzipped).map(Code::Bytes), |it| Ok(Code::Module(it)));
            code.map(|code| (code, step))
                .map_err(|error| ErrorCode::SmartModuleInvalid { error: error.to_string(), name: None })
        });
        let steps: Vec<_> = steps.collect::<Result<_, _>>()?;
        let limits = Limits { memory: settings.memory.unwrap_or(self.limits.memory), ..self.limits };
        let compile = |(code, step): (Code, Resolved)| {
            let module = match code {
                Code::Module(module) => module,
                Code::Bytes(wasm) => self.compile(step.gzipped, &wasm)?,
            };
            Ok(Step { module, params: step.params, initial: step.initial })
        };
        Chain::new(steps.into_iter().map(compile), limits, stop, version).map_err(|failure| match failure {
            Failure::Memory { requested, max } => ErrorCode::SmartModuleMemoryLimitExceeded { requested, max },
            failure => ErrorCode::SmartModuleChainInitError(failure.to_string()),
        })
    }

    fn kept(&self, gzipped: &[u8]) -> Option<Module> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner).modules.get(gzipped).cloned()
    }

    /// Each module has a runtime of its own: when it is not kept any more, nothing of it is left.
    fn compile(&self, gzipped: Arc<[u8]>, wasm: &[u8]) -> Result<Module, Failure> {
        let mut config = Config::default();
        config.consume_fuel(true).ignore_custom_sections(true);
        config.set_max_recursion_depth(MOST_CALLS).set_max_stack_height(MOST_CELLS);
        let module = Module::new(&Wasmi::new(&config), wasm).map_err(|error| {
            // The real server's words where the magic number is right; it takes what is not for text.
            let is_binary = wasm.starts_with(b"\0asm");
            if is_binary { Failure::other("failed to parse WebAssembly module") } else { Failure::other(error) }
        })?;
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = gzipped.len() + wasm.len();
        if compiled.modules.len() >= MOST_KEPT || compiled.bytes + bytes > MOST_KEPT_CODE {
            *compiled = Compiled::default();
        }
        compiled.bytes += bytes;
        compiled.modules.insert(gzipped, module.clone());
        Ok(module)
    }
}

/// The code of a step.
enum Code {
    Module(Module),
    Bytes(Vec<u8>),
}

fn unzip(gzipped: &[u8]) -> io::Result<Vec<u8>> {
    let mut wasm = Vec::new();
    GzDecoder::new(gzipped).take(MOST_CODE + 1).read_to_end(&mut wasm)?;
    if wasm.len() as u64 > MOST_CODE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("more than {MOST_CODE} bytes")));
    }
    Ok(wasm)
}
