//! The SmartModules that the SC has stored, as the SPUs know them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use fluvio_controlplane_metadata::smartmodule::{SmartModulePackage, SmartModulePackageKey, SmartModuleSpec};
use fluvio_protocol::link::ErrorCode;

#[derive(Debug)]
struct Stored {
    package: Option<SmartModulePackage>,
    gzipped: Arc<[u8]>,
}

/// Modules by the name under which they are stored.
#[derive(Debug, Default)]
pub(crate) struct Library(RwLock<BTreeMap<String, Stored>>);

impl Library {
    pub(crate) fn put(&self, name: &str, spec: &SmartModuleSpec) {
        let package = spec.meta.as_ref().map(|meta| meta.package.clone());
        let stored = Stored { package, gzipped: spec.wasm.payload[..].into() };
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), stored);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// The module of a name, or of a group, name and version. The first one that matches, in the order of their stored
    /// names: without a version that is the lowest. One without a package matches any group and version.
    pub(super) fn find(&self, name: &str) -> Result<Arc<[u8]>, ErrorCode> {
        let wanted = SmartModulePackageKey::from_qualified_name(name)
            .map_err(|error| ErrorCode::Other(format!("error parsing SmartModule name: {error}")))?;
        let stored = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = stored.iter().find(|(key, stored)| wanted.is_match(key, stored.package.as_ref()));
        found
            .map(|(_, stored)| Arc::clone(&stored.gzipped))
            .ok_or_else(|| ErrorCode::SmartModuleNotFound { name: name.to_owned() })
    }
}
