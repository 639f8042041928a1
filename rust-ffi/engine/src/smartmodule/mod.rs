//! SmartModules as consumers and producers use them: a *chain* of modules that the SPU runs one after the other.
//!
//! A consumer's chain has two modules of ours around those of the caller. What the SPU sends of a chain has no place in
//! the log any more: the outputs of several batches come as one, numbered anew, without their times, and where a filter
//! passes nothing of a whole segment, nothing comes at all. So the *stamp* ends the chain: it writes offset and time
//! behind the value of each record, and marks the batches of which nothing is left. The *head* opens it: the SPU begins
//! at the batch that holds the start, and the head drops what lies before it, so that no module sees that.
//!
//! `head.wat` and `stamp.wat` are their sources; a test makes the `.wasm` files of them, and compares.

mod chain;
mod exports;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use fluvio_protocol::Encoder;
use fluvio_smartmodule::dataplane::smartmodule::{Lookback as WireLookback, SmartModuleExtraParams};
use fluvio_spu_schema::server::smartmodule::{
    SmartModuleContextData, SmartModuleInvocation, SmartModuleInvocationWasm, SmartModuleKind,
};

pub(crate) use chain::{Chain, OLD_VERSION, Range};

use crate::error::{Error, ErrorKind, Result};

/// SPUs hear of a module up to half a second after the SC has stored it.
pub(crate) const UNKNOWN: Duration = Duration::from_secs(2);
/// What modules of before July 2023 say to requests that are newer than [`OLD_VERSION`].
pub(crate) const TOO_NEW: &str = "failed to decode SmartModule base input";

const WASM: &[u8] = b"\0asm";
const GZIP: &[u8] = &[0x1f, 0x8b];
/// The server reads the length of a text as a signed number of 16 bits.
const LONGEST_TEXT: usize = 32_767;
/// What code may be unpacked to: no real module comes near.
const LARGEST: u64 = 256 << 20;

/// Where the code of a module is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModuleCode {
    /// In the cluster, stored as this; also `group/name` and `group/name@version` of its package.
    Stored(String),
    /// Here: WebAssembly, raw or compressed with gzip. It goes with each request.
    Wasm(Vec<u8>),
}

/// Which records of the log a module is shown before the first one that it transforms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lookback {
    /// So many of the newest.
    pub last: u64,
    /// Only those that are not older. With `last` 0: all of these.
    pub age: Option<Duration>,
}

/// A SmartModule of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transform {
    /// Its code.
    pub code: ModuleCode,
    /// What it is called in errors and in the SPU's metrics. `None`: as it is stored.
    pub label: Option<String>,
    /// Its parameters.
    pub params: BTreeMap<String, String>,
    /// Whether it is an aggregate: then a stream that is opened again goes on from its last value. `None`: its code says.
    pub aggregates: Option<bool>,
    /// The first value of an aggregate.
    pub initial: Vec<u8>,
    /// What it is shown first.
    pub lookback: Option<Lookback>,
    /// Whether the SC knows that there is none of its name.
    pub(crate) is_missing: bool,
}

impl Transform {
    /// A module that needs nothing but its code.
    pub fn new(code: ModuleCode) -> Self {
        let (label, params, aggregates, initial, lookback, is_missing) = Default::default();
        Self { code, label, params, aggregates, initial, lookback, is_missing }
    }

    /// Takes note of the code under its name.
    pub(crate) fn learn(&mut self, code: &[u8]) {
        self.is_missing = false;
        let is_said = self.aggregates == Some(true);
        self.aggregates = Some(is_said || unpacked(code).is_some_and(|code| exports::is_aggregate(&code)));
    }

    /// What it is called.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.code {
            ModuleCode::Stored(name) => Some(name),
            ModuleCode::Wasm(_) => self.label.as_deref(),
        }
    }

    /// Checks it; the error names what is wrong, its value and what is allowed.
    pub fn validate(&self) -> Result<()> {
        match &self.code {
            ModuleCode::Stored(name) if name.is_empty() => {
                return Err(Error::invalid("a SmartModule's name is empty: it must be the one that it is stored as"));
            }
            ModuleCode::Stored(name) => check_text(name, "a SmartModule's name")?,
            ModuleCode::Wasm(code) if code.starts_with(WASM) || code.starts_with(GZIP) => {}
            ModuleCode::Wasm(code) => {
                let begins = &code[..code.len().min(4)];
                let text = format!(
                    "a SmartModule's code begins with {begins:02x?}: it must be WebAssembly (00 61 73 6d), or that \
                     compressed with gzip (1f 8b)"
                );
                return Err(Error::invalid(text));
            }
        }
        if self.params.len() > usize::from(u16::MAX) {
            let text = format!("a SmartModule has {} parameters: it may have {}", self.params.len(), u16::MAX);
            return Err(Error::invalid(text));
        }
        for (key, value) in &self.params {
            check_text(key, "the name of a SmartModule's parameter")?;
            check_text(value, "the value of a SmartModule's parameter")?;
        }
        self.label.iter().try_for_each(|label| check_text(label, "a SmartModule's label"))
    }

    /// Whether it is an aggregate; `None`: neither was that said, nor has its code been seen.
    fn is_aggregate(&self) -> Option<bool> {
        match &self.code {
            ModuleCode::Wasm(code) if self.aggregates != Some(true) => {
                Some(unpacked(code).is_some_and(|code| exports::is_aggregate(&code)))
            }
            _ => self.aggregates,
        }
    }

    fn invocation(&self) -> Result<SmartModuleInvocation> {
        let wasm = match &self.code {
            ModuleCode::Stored(name) => SmartModuleInvocationWasm::Predefined(name.clone()),
            ModuleCode::Wasm(code) => SmartModuleInvocationWasm::AdHoc(packed(code)?),
        };
        let lookback = self.lookback.map(|Lookback { last, age }| WireLookback { last, age });
        let kind = match self.initial.is_empty() {
            true => SmartModuleKind::Generic(SmartModuleContextData::None),
            false => accumulated(self.initial.clone()),
        };
        let params = SmartModuleExtraParams::new(self.params.clone(), lookback);
        Ok(SmartModuleInvocation { wasm, kind, params, name: self.name().map(str::to_owned) })
    }
}

/// The kind of a module that goes on from a value.
fn accumulated(accumulator: Vec<u8>) -> SmartModuleKind {
    SmartModuleKind::Generic(SmartModuleContextData::Aggregate { accumulator })
}

fn check_text(text: &str, what: &str) -> Result<()> {
    match text.len() {
        0..=LONGEST_TEXT => Ok(()),
        length => Err(Error::invalid(format!("{what} has {length} bytes: it may have {LONGEST_TEXT}"))),
    }
}

/// `code` compressed, as it goes over the wire.
fn packed(code: &[u8]) -> Result<Vec<u8>> {
    if code.starts_with(GZIP) {
        return Ok(code.to_vec());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let packed = encoder.write_all(code).and_then(|()| encoder.finish());
    packed.map_err(|cause| Error::new(ErrorKind::Compression, format!("a SmartModule cannot be compressed: {cause}")))
}

/// `code` as it is run; `None`: it is damaged, which the server says.
fn unpacked(code: &[u8]) -> Option<Vec<u8>> {
    if code.starts_with(WASM) {
        return Some(code.to_vec());
    }
    let mut unpacked = Vec::new();
    GzDecoder::new(code).take(LARGEST).read_to_end(&mut unpacked).ok()?;
    Some(unpacked)
}

/// Modules for a produce request of `version`, as they stand there: their number, and one after the other.
pub(crate) fn encoded(transforms: &[Transform], version: i16) -> Result<Vec<u8>> {
    let modules = transforms.iter().map(Transform::invocation).collect::<Result<Vec<_>>>()?;
    let mut bytes = Vec::new();
    modules.encode(&mut bytes, version).map_err(|cause| Error::invalid(format!("smartmodules: {cause}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
