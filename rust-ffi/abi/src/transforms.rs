//! SmartModules of consumers and producers.

use std::time::Duration;

use fluvio_cffi_engine::{Error, Lookback, ModuleCode, Result, Transform};

use crate::bytes::flv_slice_t;
use crate::pointer::slice;
use crate::structs::{self, growing};

/// What a SmartModule is. The server goes by the module's code; it need only be said of an aggregate that is stored in
/// the cluster, so that it can go on from its last value when a stream is opened again.
#[repr(C)]
pub enum flv_smartmodule_kind_e {
    /// As its code says.
    FLV_SMARTMODULE_ANY = 0,
    /// A filter.
    FLV_SMARTMODULE_FILTER = 1,
    /// A map.
    FLV_SMARTMODULE_MAP = 2,
    /// A map to any number of records.
    FLV_SMARTMODULE_ARRAY_MAP = 3,
    /// A filter and map in one.
    FLV_SMARTMODULE_FILTER_MAP = 4,
    /// An aggregate.
    FLV_SMARTMODULE_AGGREGATE = 5,
}

/// A parameter of a SmartModule. Each text has at most 32,767 bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_parameter_t {
    /// Its name, UTF-8.
    pub name: flv_slice_t,
    /// Its value, UTF-8.
    pub value: flv_slice_t,
}

/// A SmartModule that the SPU runs on what is read or sent. `flv_smartmodule_init` fills in the defaults. It is copied
/// when the consumer or producer is opened.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_smartmodule_t {
    /// `sizeof(flv_smartmodule_t)`, the same in each of an array.
    pub struct_size: u32,
    /// One of `FLV_SMARTMODULE_`. Default `FLV_SMARTMODULE_ANY`.
    pub kind: u32,
    /// As what it is stored in the cluster, or `group/name`, or `group/name@version`; with `wasm`, what it is called in
    /// errors and in the SPU's metrics. Default empty.
    pub name: flv_slice_t,
    /// Its code, WebAssembly, also compressed with gzip, if it is not stored in the cluster. Default empty.
    pub wasm: flv_slice_t,
    /// Its parameters. Default none.
    pub parameters: *const flv_parameter_t,
    /// How many.
    pub parameters_len: usize,
    /// The first value of an aggregate. Default empty: none.
    pub initial: flv_slice_t,
    /// With `has_lookback`: how many of the newest records it is shown first. Default 0.
    pub lookback_last: u64,
    /// With `has_lookback`: only those that are not older, milliseconds; with `lookback_last` 0: all of these. Negative:
    /// of any age. Default -1.
    pub lookback_age_ms: i64,
    /// Not 0: it is shown records of the log before the first one that it transforms. Default 0.
    pub has_lookback: u32,
    /// 0.
    pub reserved: u32,
}

growing!(flv_smartmodule_t {
    struct_size,
    kind,
    name,
    wasm,
    parameters,
    parameters_len,
    initial,
    lookback_last,
    lookback_age_ms,
    has_lookback,
    reserved
});

impl flv_smartmodule_t {
    const DEFAULT: Self = Self {
        struct_size: size_of::<Self>() as u32,
        kind: 0,
        name: flv_slice_t::EMPTY,
        wasm: flv_slice_t::EMPTY,
        parameters: std::ptr::null(),
        parameters_len: 0,
        initial: flv_slice_t::EMPTY,
        lookback_last: 0,
        lookback_age_ms: -1,
        has_lookback: 0,
        reserved: 0,
    };

    fn parse(&self) -> Result<Transform> {
        structs::unused(self.reserved, "smartmodules")?;
        if self.kind > flv_smartmodule_kind_e::FLV_SMARTMODULE_AGGREGATE as u32 {
            let text =
                format!("the kind of a SmartModule is {}: it must be one of FLV_SMARTMODULE_, 0 to 5", self.kind);
            return Err(Error::invalid(text));
        }
        let name = self.name.optional_text("a SmartModule's name")?;
        let (code, label) = match (self.wasm.len, name) {
            (0, name) => (ModuleCode::Stored(name.unwrap_or_default()), None),
            (_, name) => (ModuleCode::Wasm(self.wasm.bytes("a SmartModule's code")?.to_vec()), name),
        };
        let mut transform = Transform::new(code);
        transform.label = label;
        for parameter in slice(self.parameters, self.parameters_len, "parameters")? {
            let name = parameter.name.text("the name of a SmartModule's parameter")?.to_owned();
            let value = parameter.value.text("the value of a SmartModule's parameter")?.to_owned();
            transform.params.insert(name, value);
        }
        transform.initial = self.initial.bytes("initial")?.to_vec();
        let is_aggregate = self.kind == flv_smartmodule_kind_e::FLV_SMARTMODULE_AGGREGATE as u32;
        let is_said = self.kind != 0 || !transform.initial.is_empty();
        transform.aggregates = is_said.then_some(is_aggregate || !transform.initial.is_empty());
        let age = u64::try_from(self.lookback_age_ms).ok().map(Duration::from_millis);
        transform.lookback = (self.has_lookback != 0).then_some(Lookback { last: self.lookback_last, age });
        Ok(transform)
    }
}

/// Fills in the defaults of the fields within `size` bytes, which is the size of `*module`: in C a macro of the same
/// name adds it. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_smartmodule_init(module: *mut flv_smartmodule_t, size: usize) {
    structs::init(module, size, flv_smartmodule_t::DEFAULT);
}

/// The modules of a chain. The caller's structure may be of another version, and so of another size.
pub(crate) fn read(modules: *const flv_smartmodule_t, count: usize) -> Result<Vec<Transform>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let size = structs::check(modules, "smartmodules")?;
    let module = |index: usize| {
        let at = modules.cast::<u8>().wrapping_add(index * size).cast::<flv_smartmodule_t>();
        let module = structs::read(at, "smartmodules", flv_smartmodule_t::DEFAULT)?;
        if module.struct_size as usize != size {
            let text = format!("smartmodules[{index}].struct_size is {}: it must be {size}", module.struct_size);
            return Err(Error::invalid(text));
        }
        module.parse()
    };
    (0..count).map(module).collect()
}
