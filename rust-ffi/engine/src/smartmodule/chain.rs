//! The chain of a consumer: the head, the caller's modules, the stamp.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use fluvio_smartmodule::dataplane::smartmodule::SmartModuleExtraParams;
use fluvio_spu_schema::server::smartmodule::{
    SmartModuleContextData, SmartModuleInvocation, SmartModuleInvocationWasm, SmartModuleKind,
};

use super::{Transform, accumulated, packed};
use crate::error::Result;

const HEAD: &[u8] = include_bytes!("head.wasm");
const STAMP: &[u8] = include_bytes!("stamp.wasm");

/// Modules that were built before July 2023 take their input in the form of requests up to this version.
pub(crate) const OLD_VERSION: i16 = 22;

/// Where the aggregate of a chain is, if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    None,
    /// What comes out of the chain is its value.
    Last,
    /// Its value is not to be seen.
    Inside,
    /// A module of the cluster may be one: the SC did not say.
    Unknown,
}

/// Which offsets a stream passes to the caller's modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first.
    pub(crate) from: i64,
    /// The one after the last; `None`: all that come.
    pub(crate) to: Option<i64>,
}

/// What the SPU runs on a consumer's streams.
#[derive(Debug)]
pub(crate) struct Chain {
    head: SmartModuleInvocation,
    modules: Vec<SmartModuleInvocation>,
    stamp: SmartModuleInvocation,
    aggregate: Aggregate,
    /// Whether the SC knows that one of them is not there, so that it is in vain to wait for it.
    pub(crate) has_missing: bool,
    /// Whether one of them turned out to be of before July 2023.
    is_old: AtomicBool,
}

impl Chain {
    /// The chain of the caller's modules; `None`: there are none.
    pub(crate) fn new(transforms: &[Transform]) -> Result<Option<Self>> {
        if transforms.is_empty() {
            return Ok(None);
        }
        transforms.iter().try_for_each(Transform::validate)?;
        let kinds: Vec<Option<bool>> = transforms.iter().map(Transform::is_aggregate).collect();
        let count = kinds.iter().filter(|is_aggregate| **is_aggregate == Some(true)).count();
        let aggregate = match kinds.last() {
            _ if kinds.contains(&None) => Aggregate::Unknown,
            _ if count == 0 => Aggregate::None,
            Some(Some(true)) if count == 1 => Aggregate::Last,
            _ => Aggregate::Inside,
        };
        Ok(Some(Self {
            head: own(HEAD, "fluvio-cffi-head")?,
            modules: transforms.iter().map(Transform::invocation).collect::<Result<_>>()?,
            stamp: own(STAMP, "fluvio-cffi-stamp")?,
            aggregate,
            has_missing: transforms.iter().any(|transform| transform.is_missing),
            is_old: AtomicBool::new(false),
        }))
    }

    /// What a stream runs that passes `range` to the modules. `value`: the aggregate goes on from this one.
    pub(crate) fn invocations(&self, range: Range, value: Option<&[u8]>) -> Vec<SmartModuleInvocation> {
        let mut chain = Vec::with_capacity(self.modules.len() + 2);
        if range != (Range { from: 0, to: None }) {
            let bounds = [("from", Some(range.from)), ("to", range.to)];
            let params = bounds.into_iter().filter_map(|(name, bound)| Some((name.to_owned(), bound?.to_string())));
            let params = SmartModuleExtraParams::from(params.collect::<BTreeMap<_, _>>());
            chain.push(SmartModuleInvocation { params, ..self.head.clone() });
        }
        chain.extend_from_slice(&self.modules);
        if let (Some(value), Some(last)) = (value, chain.last_mut()) {
            last.kind = accumulated(value.to_vec());
        }
        chain.push(self.stamp.clone());
        chain
    }

    /// Whether what comes out is the value of an aggregate, from which a new stream can go on.
    pub(crate) fn gives_values(&self) -> bool {
        self.aggregate == Aggregate::Last
    }

    /// Whether a new stream cannot go on where another one ended.
    pub(crate) fn hides_values(&self) -> bool {
        self.aggregate == Aggregate::Inside
    }

    /// Whether it is not known if a new stream can go on where another one ended.
    pub(crate) fn may_hide_values(&self) -> bool {
        self.aggregate == Aggregate::Unknown
    }

    /// The module that an error speaks of; `None`: it may be any of several.
    pub(crate) fn only_module(&self) -> Option<&str> {
        match &*self.modules {
            [only] => only.name.as_deref(),
            _ => None,
        }
    }

    /// The version of the requests that open its streams, if `newest` is the newest one.
    pub(crate) fn version(&self, newest: i16) -> i16 {
        if self.is_old.load(Ordering::Relaxed) { OLD_VERSION } else { newest }
    }

    /// Notes that a module of it needs the old version, as it refused a request of `version`; false: that was the old one.
    pub(crate) fn set_old(&self, version: i16) -> bool {
        self.is_old.fetch_or(version > OLD_VERSION, Ordering::Relaxed);
        version > OLD_VERSION
    }
}

fn own(code: &[u8], name: &str) -> Result<SmartModuleInvocation> {
    Ok(SmartModuleInvocation {
        wasm: SmartModuleInvocationWasm::AdHoc(packed(code)?),
        kind: SmartModuleKind::Generic(SmartModuleContextData::None),
        params: SmartModuleExtraParams::default(),
        name: Some(name.to_owned()),
    })
}
