//! What servers say of SmartModules that failed.

use fluvio_protocol::link::smartmodule::{SmartModuleKind as FailedKind, SmartModuleTransformRuntimeError};

use super::{Error, ErrorKind};

/// How the texts of the general code begin that are about SmartModules: of a chain that has run in a stream, or in a
/// producer, and of a name that is none.
const CHAINS: [&str; 3] = [RAN, "smartmodule chain failed: ", "error parsing SmartModule name: "];
/// How the texts begin that come when a stream's chain has run.
pub(crate) const RAN: &str = "SmartModule err ";

/// What is known of a SmartModule that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SmartModuleFailure {
    /// Its name.
    pub module: Option<String>,
    /// What it is: `filter`, `map`, `array_map`, `filter_map`, `aggregate`.
    pub kind: Option<&'static str>,
    /// The key of the record that it failed on.
    pub key: Option<Vec<u8>>,
    /// The value of that record.
    pub value: Option<Vec<u8>>,
    /// The index of that record in what was sent.
    pub record_index: Option<u32>,
    /// What it said.
    pub hint: Option<String>,
}

impl Error {
    /// The module that failed, if nobody has said which.
    pub(crate) fn blame(&mut self, module: Option<&str>) {
        if let (ErrorKind::SmartModule, Some(module)) = (self.kind, module) {
            self.smart_module().module.get_or_insert_with(|| module.to_owned());
        }
    }

    /// The server's general code says this. If it is about SmartModules, the error is.
    pub(super) fn listen_to(&mut self, text: &str) {
        if let Some(hint) = CHAINS.iter().find_map(|prefix| text.strip_prefix(prefix)) {
            self.kind = ErrorKind::SmartModule;
            self.smart_module().hint = Some(hint.to_owned());
        }
    }

    pub(super) fn tell_of(&mut self, failure: &SmartModuleTransformRuntimeError) {
        self.offset = Some(failure.offset);
        self.smart_module().hint = Some(failure.hint.clone());
        self.smart_module().key = failure.record_key.as_ref().map(|key| key.as_ref().to_vec());
        self.smart_module().value = Some(failure.record_value.as_ref().to_vec());
        self.smart_module().kind = match failure.kind {
            FailedKind::Filter => Some("filter"),
            FailedKind::Map => Some("map"),
            FailedKind::ArrayMap => Some("array_map"),
            FailedKind::FilterMap => Some("filter_map"),
            FailedKind::Aggregate => Some("aggregate"),
            _ => None,
        };
    }

    pub(super) fn smart_module(&mut self) -> &mut SmartModuleFailure {
        self.smart_module.get_or_insert_default()
    }
}
