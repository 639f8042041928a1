//! Administration: JSON documents of our own, described in `docs/admin-json.md`. A method is a type that implements
//! [`Method`], in the file of its kind of objects.

mod cluster;
mod consumer_offsets;
mod custom_spus;
mod groups;
mod mirrors;
mod partitions;
mod smartmodules;
mod spu_groups;
mod spus;
mod table_formats;
mod topics;

use std::pin::Pin;
use std::sync::Arc;

use fluvio_cffi_engine::admin::{SmartModuleSpec, SpuKey};
use fluvio_cffi_engine::{Admin, Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::boundary::{OK, export};
use crate::bytes::{buffer, flv_buffer_t, flv_slice_t};
use crate::client::flv_client_t;
use crate::handle;
use crate::json::{give, json};
use crate::operation::{self, Done, Request};
use crate::pointer::require;
use crate::queue::flv_queue_t;
use crate::status::{flv_error_t, flv_status_t};

/// All methods, in the order of the documentation.
fn methods() -> impl Iterator<Item = &'static Entry> {
    [
        topics::METHODS,
        partitions::METHODS,
        spus::METHODS,
        custom_spus::METHODS,
        spu_groups::METHODS,
        smartmodules::METHODS,
        table_formats::METHODS,
        mirrors::METHODS,
        consumer_offsets::METHODS,
        groups::METHODS,
        cluster::METHODS,
    ]
    .into_iter()
    .flatten()
}

/// What a method answers: JSON, and the bytes that belong to it.
struct Answer {
    json: Vec<u8>,
    binary: Vec<u8>,
}

fn answer(value: &impl Serialize) -> Result<Answer> {
    Ok(Answer { json: json(value)?, binary: Vec::new() })
}

/// A method: its fields are those of the document that it is asked with. It can be written as well, for the test
/// against the documentation.
trait Method: DeserializeOwned + Serialize + Send + 'static {
    const NAME: &str;
    /// Whether bytes go beside the document.
    const TAKES_BINARY: bool = false;

    fn run(self, admin: &Admin, binary: &[u8]) -> impl Future<Output = Result<Answer>> + Send;
}

/// A method that was asked for.
trait Call: Send {
    fn run<'a>(
        self: Box<Self>,
        admin: &'a Admin,
        binary: &'a [u8],
    ) -> Pin<Box<dyn Future<Output = Result<Answer>> + Send + 'a>>;

    #[cfg(any(test, fuzzing))]
    fn document(&self) -> serde_json::Value;
}

impl<M: Method> Call for M {
    fn run<'a>(
        self: Box<Self>,
        admin: &'a Admin,
        binary: &'a [u8],
    ) -> Pin<Box<dyn Future<Output = Result<Answer>> + Send + 'a>> {
        Box::pin(Method::run(*self, admin, binary))
    }

    #[cfg(any(test, fuzzing))]
    #[allow(clippy::unwrap_used)]
    fn document(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap()
    }
}

/// A method in the list of all.
struct Entry {
    name: &'static str,
    takes_binary: bool,
    /// Reads the document.
    parse: fn(&[u8]) -> Result<Box<dyn Call>>,
}

impl Entry {
    const fn of<M: Method>() -> Self {
        Self {
            name: M::NAME,
            takes_binary: M::TAKES_BINARY,
            parse: |document| Ok(Box::new(read::<M>(M::NAME, document)?)),
        }
    }
}

fn find(method: &str) -> Result<&'static Entry> {
    methods().find(|entry| entry.name == method).ok_or_else(|| {
        let known: Vec<_> = methods().map(|entry| entry.name).collect();
        Error::invalid(format!("method is \"{method}\": it must be one of {}", known.join(", ")))
    })
}

fn yes() -> bool {
    true
}

/// An SPU goes by its name or its id.
fn spu_key(name: Option<String>, id: Option<i32>) -> Result<SpuKey> {
    match (name, id) {
        (Some(name), None) => Ok(SpuKey::Name(name)),
        (None, Some(id)) => Ok(SpuKey::Id(id)),
        (name, id) => {
            Err(Error::invalid(format!("name is {name:?} and id is {id:?}: one of them must be given, not both")))
        }
    }
}

fn read<T: DeserializeOwned>(method: &str, document: &[u8]) -> Result<T> {
    let wrong = |why: &dyn std::fmt::Display| Error::invalid(format!("the document of {method} is wrong: {why}"));
    // An array of the fields' values would pass, and depend on their order.
    if document.trim_ascii_start().first() == Some(&b'[') {
        return Err(wrong(&"it must be an object"));
    }
    serde_json::from_slice(document).map_err(|cause| wrong(&cause))
}

/// What the text of a `SmartModule.toml` says, as the `spec` of `smartmodules.create`: JSON in `*json`, which is the
/// caller's until `flv_buffer_free`. A text that is none is `FLV_STATUS_INVALID_ARGUMENT`, with the line. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_smartmodule_spec(
    toml: flv_slice_t,
    json: *mut *mut flv_buffer_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        require(json, "json")?;
        give(&SmartModuleSpec::from_toml(toml.text("toml")?)?, json)
    })
}

/// Calls an administrative method with a JSON document, as `docs/admin-json.md` describes; `binary` goes beside it
/// where a method takes bytes, else it must be empty. All are read before it returns. Result: `flv_buffer_t *` with
/// JSON, and the bytes that belong to it behind that, owned by whoever drains; value: how many bytes are JSON. Any
/// thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_admin_call(
    client: *mut flv_client_t,
    method: flv_slice_t,
    document: flv_slice_t,
    binary: flv_slice_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let client = handle::get(client)?;
        client.usable()?;
        let method = method.text("method")?;
        let entry = find(method)?;
        let call = (entry.parse)(document.bytes("document")?)?;
        let binary = binary.bytes("binary")?;
        match (entry.takes_binary, binary.len()) {
            (true, 0) => return Err(Error::invalid(format!("binary is empty: {method} takes code in it"))),
            (false, 1..) => {
                return Err(Error::invalid(format!("binary has {} bytes: {method} takes none", binary.len())));
            }
            _ => {}
        }
        let binary = binary.to_vec();
        let request = Request { timeout_ms, queue, token, operation };
        operation::start_bounded(Arc::clone(&client.runtime), request, |timeout| async move {
            let admin = client.client.admin(timeout);
            let Answer { json, binary } = client.while_open(call.run(&admin, &binary)).await?;
            let mut done = Done::value(json.len() as u64);
            done.object = Some(buffer([json, binary].concat()));
            Ok(done)
        })?;
        Ok(OK)
    })
}

/// A document for the method with this number, if there is one: what was understood is understood the same once it was
/// written.
#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used)]
pub(crate) fn fuzz(method: usize, document: &[u8]) {
    let Some(entry) = methods().nth(method) else { return };
    let Ok(call) = (entry.parse)(document) else { return };
    let written = call.document();
    let again = (entry.parse)(written.to_string().as_bytes()).unwrap();
    assert_eq!(again.document(), written, "{}", entry.name);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
