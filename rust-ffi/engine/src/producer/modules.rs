//! The SmartModules that run on what a producer sends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fluvio_protocol::link::ErrorCode;
use tokio::time::Instant;

use super::PRODUCE_VERSION;
use crate::error::{Error, ErrorKind, Result};
use crate::smartmodule::{self, OLD_VERSION, TOO_NEW, Transform, UNKNOWN};

/// The modules of one producer, as they stand in its requests.
#[derive(Debug, Default)]
pub(super) struct Modules {
    /// `None`: there are none.
    encoded: Option<Encoded>,
    /// What the only one is called.
    only: Option<String>,
    /// Whether one turned out to be of before July 2023.
    is_old: AtomicBool,
    /// Since when an SPU has not known one of them, with no batch written since.
    unknown_since: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Encoded {
    newest: Bytes,
    old: Bytes,
}

impl Modules {
    pub(super) fn new(transforms: &[Transform]) -> Result<Self> {
        transforms.iter().try_for_each(Transform::validate)?;
        if transforms.is_empty() {
            return Ok(Self::default());
        }
        let encoded = |version| smartmodule::encoded(transforms, version).map(Bytes::from);
        let only = match transforms {
            [only] => only.name().map(str::to_owned),
            _ => None,
        };
        let encoded = Some(Encoded { newest: encoded(PRODUCE_VERSION)?, old: encoded(OLD_VERSION)? });
        Ok(Self { encoded, only, ..Self::default() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.encoded.is_none()
    }

    /// The version of the next request, and what it says of the modules.
    pub(super) fn for_request(&self) -> (i16, Option<Bytes>) {
        match &self.encoded {
            None => (PRODUCE_VERSION, None),
            Some(encoded) if self.is_old.load(Ordering::Relaxed) => (OLD_VERSION, Some(encoded.old.clone())),
            Some(encoded) => (PRODUCE_VERSION, Some(encoded.newest.clone())),
        }
    }

    /// Whether a batch that was refused with `code`, in a request of `version`, goes again: nothing of it was written, and
    /// the next request is in another version, or the SPU will soon have heard of a module.
    pub(super) fn goes_again(&self, code: &ErrorCode, version: i16) -> bool {
        match code {
            _ if self.is_empty() => false,
            ErrorCode::Other(text) if text.contains(TOO_NEW) && version > OLD_VERSION => {
                self.is_old.store(true, Ordering::Relaxed);
                true
            }
            ErrorCode::SmartModuleNotFound { .. } => {
                self.unknown_since().get_or_insert_with(Instant::now).elapsed() < UNKNOWN
            }
            _ => false,
        }
    }

    /// A batch was written, so the SPU knows them.
    pub(super) fn are_known(&self) {
        if !self.is_empty() {
            *self.unknown_since() = None;
        }
    }

    fn unknown_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.unknown_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of an error of one of them: `offset` is the index of the record in its batch.
    pub(super) fn explained(&self, mut error: Error) -> Error {
        if error.kind == ErrorKind::SmartModule && !self.is_empty() {
            let index = error.offset.take().and_then(|index| u32::try_from(index).ok());
            error.blame(self.only.as_deref());
            if let Some(failure) = &mut error.smart_module {
                failure.record_index = index;
            }
        }
        error
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::smartmodule::ModuleCode;

    fn modules(names: &[&str]) -> Modules {
        let stored = |name: &&str| Transform::new(ModuleCode::Stored((*name).to_owned()));
        Modules::new(&names.iter().map(stored).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn an_old_module_gets_requests_of_the_old_version() {
        let code = ErrorCode::Other(format!("smartmodule chain failed: {TOO_NEW}"));
        let modules = modules(&["old"]);
        assert_eq!(modules.for_request().0, PRODUCE_VERSION);
        assert!(modules.goes_again(&code, PRODUCE_VERSION));
        assert_eq!(modules.for_request().0, OLD_VERSION);
        assert!(modules.goes_again(&code, PRODUCE_VERSION), "it was sent before that was known");
        assert!(!modules.goes_again(&code, OLD_VERSION));
    }

    #[test]
    fn a_module_that_is_new_is_waited_for() {
        let code = ErrorCode::SmartModuleNotFound { name: "new".to_owned() };
        let modules = modules(&["new"]);
        assert!(modules.goes_again(&code, PRODUCE_VERSION));
        *modules.unknown_since() = Instant::now().checked_sub(UNKNOWN);
        assert!(!modules.goes_again(&code, PRODUCE_VERSION));
        assert!(!modules.goes_again(&code, PRODUCE_VERSION), "it is not waited for again for each batch");
        modules.are_known();
        assert!(modules.goes_again(&code, PRODUCE_VERSION), "it was made anew");
        assert!(!Modules::default().goes_again(&code, PRODUCE_VERSION), "there are none");
    }
}
