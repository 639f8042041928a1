//! One module, ready to be called: its memory, its functions, and the rules of a call. The host puts the input where
//! the module's `alloc` says, calls, and reads the output where the module said that it is. No number that a module
//! gives is believed.

use std::io;

use fluvio_protocol::Encoder;
use fluvio_smartmodule::dataplane::smartmodule::{
    SmartModuleInitErrorStatus, SmartModuleInitInput, SmartModuleInitRuntimeError, SmartModuleLookbackErrorStatus,
    SmartModuleLookbackRuntimeError,
};
use wasmi::errors::{ErrorKind, InstantiationError, LinkerError};
use wasmi::{AsContextMut, Caller, Extern, Func, Instance as Wasm, Linker, Memory, Module, ResumableCall};
use wasmi::{Store, Val, ValType};

use super::failure::Failure;
use super::host::{Host, Stop};
use super::records::Reader;
use super::wasi;

/// The import through which a module says where its output is.
const COPY_RECORDS: &str = "copy_records";

/// After so much fuel a call is interrupted, to see whether it is still wanted: some ten milliseconds.
const SLICE: u64 = 2_000_000;

/// Fuel of a start section, which cannot be interrupted.
const START: u64 = 100_000_000;

/// What one instance may use up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of its memory.
    pub(crate) memory: usize,
    /// Fuel of one call; an instruction costs about one.
    pub(crate) fuel: u64,
}

/// An instance and the version of the requests that it serves.
#[derive(Debug)]
pub(super) struct Instance {
    store: Store<Host>,
    wasm: Wasm,
    pub(super) version: i16,
    fuel: u64,
}

/// A function of a module that takes the place, the length and the version of its input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function(Func);

impl Instance {
    pub(super) fn new(module: &Module, limits: Limits, stop: Stop, version: i16) -> Result<Self, Failure> {
        let mut store = Store::new(module.engine(), Host::new(limits.memory, stop));
        store.limiter(|host| host);
        let linker = linker(module).map_err(|error| Failure::Instantiate(error.to_string()))?;
        check_imports(module)?;
        let wasm = store
            .set_fuel(START.min(limits.fuel))
            .and_then(|()| linker.instantiate_and_start(&mut store, module))
            .map_err(|error| not_instantiated(&error, store.data_mut()))?;
        Ok(Self { store, wasm, version, fuel: limits.fuel })
    }

    /// An exported function, if there is one of that name.
    pub(super) fn function(&self, name: &str) -> Result<Option<Function>, Failure> {
        let Some(function) = self.wasm.get_func(&self.store, name) else { return Ok(None) };
        let ty = function.ty(&self.store);
        if ty.params() != [ValType::I32; 3] {
            return Err(Failure::other("type mismatch with parameters"));
        }
        if ty.results() != [ValType::I32] {
            return Err(Failure::other("type mismatch with results"));
        }
        Ok(Some(Function(function)))
    }

    /// Calls a function with an input; the number that it returns. Its output is what [`Self::output`] reads.
    pub(super) fn call(&mut self, function: Function, input: &[u8]) -> Result<i32, Failure> {
        self.store.data_mut().output = None;
        let length = i32::try_from(input.len()).map_err(|_| Failure::other("input of more than 2 GiB"))?;
        let memory = self.memory().ok_or_else(|| Failure::other("Missing memory"))?;
        let alloc = self.wasm.get_func(&self.store, "alloc").ok_or_else(|| Failure::other("missing alloc"))?;
        let place = self.run(alloc, &[Val::I32(length)])?;
        memory
            .write(&mut self.store, place.cast_unsigned() as usize, input)
            .map_err(|_| Failure::other(format!("alloc({length}) answered {place}, which is outside of the memory")))?;
        let answer = self.run(function.0, &[Val::I32(place), Val::I32(length), Val::I32(i32::from(self.version))]);
        self.store.data_mut().end_line();
        answer
    }

    /// Runs a function in slices, until it ends, has used up its fuel or is not wanted any more.
    fn run(&mut self, function: Func, arguments: &[Val]) -> Result<i32, Failure> {
        let store = &mut self.store;
        let mut results = [Val::I32(0)];
        let mut left = self.fuel;
        let ended = store.set_fuel(SLICE.min(left)).and_then(|()| {
            let mut call = function.call_resumable(store.as_context_mut(), arguments, &mut results)?;
            loop {
                match call {
                    ResumableCall::Finished => return Ok(()),
                    ResumableCall::HostTrap(trap) => return Err(trap.into_host_error()),
                    ResumableCall::OutOfFuel(paused) => {
                        let next = paused.required_fuel().max(SLICE);
                        left = left.saturating_sub(next);
                        if left == 0 || store.data().stop.is_ordered() {
                            return Err(wasmi::TrapCode::OutOfFuel.into());
                        }
                        store.set_fuel(next)?;
                        call = paused.resume(store.as_context_mut(), &mut results)?;
                    }
                }
            }
        });
        ended.map_err(|error| Failure::of(&error, store.data_mut()))?;
        match results {
            [Val::I32(result)] => Ok(result),
            _ => Err(Failure::other("guest pointer must be Val::I32")),
        }
    }

    fn memory(&self) -> Option<Memory> {
        self.wasm.get_memory(&self.store, "memory")
    }

    /// What the module has left in the last call; nothing if it has not, or outside of its memory.
    pub(super) fn output(&self) -> Reader<'_> {
        let left = self.store.data().output.and_then(|(at, length)| {
            let (at, length) = (usize::try_from(at).ok()?, usize::try_from(length).ok()?);
            self.memory()?.data(&self.store).get(at..at.checked_add(length)?)
        });
        Reader(left.unwrap_or_default())
    }

    /// Calls `init`, which may refuse.
    pub(super) fn init(&mut self, init: Function, input: &SmartModuleInitInput) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        input.encode(&mut bytes, self.version).map_err(Failure::other)?;
        let status = self.call(init, &bytes)?;
        if status >= 0 {
            return Ok(());
        }
        Err(match SmartModuleInitErrorStatus::try_from(status).unwrap_or_default() {
            SmartModuleInitErrorStatus::InitError => match self.output().string() {
                Ok(hint) => Failure::other(SmartModuleInitRuntimeError { hint }),
                Err(error) => Failure::other(error),
            },
            status => Failure::other(status),
        })
    }

    /// Calls `look_back`, which may refuse.
    pub(super) fn look_back(&mut self, look_back: Function, input: &[u8]) -> Result<(), Failure> {
        let status = self.call(look_back, input)?;
        if status >= 0 {
            return Ok(());
        }
        Err(match SmartModuleLookbackErrorStatus::try_from(status).unwrap_or_default() {
            SmartModuleLookbackErrorStatus::PropagatedError => {
                look_back_error(self.output()).map_or_else(Failure::other, Failure::other)
            }
            status => Failure::other(status),
        })
    }
}

fn look_back_error(mut output: Reader<'_>) -> io::Result<SmartModuleLookbackRuntimeError> {
    Ok(SmartModuleLookbackRuntimeError {
        hint: output.string()?,
        offset: output.i64()?,
        record_key: output.optional_data()?.map(Into::into),
        record_value: output.data()?.into(),
    })
}

/// All that a module can import.
fn linker(module: &Module) -> Result<Linker<Host>, wasmi::Error> {
    let mut linker = Linker::new(module.engine());
    linker.allow_shadowing(true);
    let of_wasi = module.imports().filter(|import| import.module() == wasi::MODULE);
    let of_wasi: Vec<_> = of_wasi.map(|import| (import.name().to_owned(), import.ty().clone())).collect();
    wasi::define(&mut linker, of_wasi.iter().map(|(name, ty)| (name.as_str(), ty)))?;
    // The name of the module that it comes from does not matter.
    if let Some(import) = module.imports().find(|import| import.name() == COPY_RECORDS) {
        linker.func_wrap(import.module(), COPY_RECORDS, copy_records)?;
    }
    Ok(linker)
}

fn copy_records(mut caller: Caller<'_, Host>, at: i32, length: i32) -> Result<(), wasmi::Error> {
    if !matches!(caller.get_export("memory"), Some(Extern::Memory(_))) {
        return Err(wasmi::Error::new("failed to find host memory"));
    }
    caller.data_mut().output = Some((at, length));
    Ok(())
}

fn check_imports(module: &Module) -> Result<(), Failure> {
    if module.imports().any(|import| import.name() == COPY_RECORDS) {
        return Ok(());
    }
    Err(Failure::Instantiate("At least one import is required".to_owned()))
}

fn incompatible(module: &str, name: &str) -> Failure {
    Failure::Instantiate(format!("incompatible import type for `{module}::{name}`"))
}

fn not_instantiated(error: &wasmi::Error, host: &mut Host) -> Failure {
    if let ErrorKind::Linker(error) = error.kind() {
        return Failure::Instantiate(match error {
            LinkerError::MissingDefinition { name, ty: _ } => {
                format!("unknown import: `{}::{}` has not been defined", name.module(), name.name())
            }
            LinkerError::InvalidTypeDefinition { name, .. } => return incompatible(name.module(), name.name()),
            error @ LinkerError::DuplicateDefinition { .. } => error.to_string(),
        });
    }
    if let ErrorKind::Instantiation(InstantiationError::FuncTypeMismatch { name, .. }) = error.kind() {
        return incompatible(name.module(), name.name());
    }
    match Failure::of(error, host) {
        refused @ Failure::Memory { .. } => refused,
        failure => Failure::Instantiate(failure.to_string()),
    }
}
