//! The SmartModules that the SC has stored, as the SPUs know them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use fluvio_controlplane_metadata::smartmodule::{SmartModulePackage, SmartModulePackageKey, SmartModuleSpec};
use fluvio_protocol::link::ErrorCode;

#[derive(Debug)]
struct Stored {
    package: Option<SmartModulePackage>,
    gzipped: Arc<[u8]>,
}

type Modules = Arc<RwLock<BTreeMap<String, Stored>>>;

/// Modules by the name under which they are stored.
#[derive(Debug, Default)]
pub(crate) struct Library {
    modules: Modules,
    delay_ms: AtomicU64,
}

impl Library {
    /// How late the SPUs hear of what changes.
    pub(crate) fn set_delay(&self, delay: Duration) {
        self.delay_ms.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn put(&self, name: &str, spec: &SmartModuleSpec) {
        let package = spec.meta.as_ref().map(|meta| meta.package.clone());
        self.change(name, Some(Stored { package, gzipped: spec.wasm.payload[..].into() }));
    }

    pub(crate) fn remove(&self, name: &str) {
        self.change(name, None);
    }

    fn change(&self, name: &str, stored: Option<Stored>) {
        let name = name.to_owned();
        let delay = Duration::from_millis(self.delay_ms.load(Ordering::Relaxed));
        if delay.is_zero() {
            return change(&self.modules, name, stored);
        }
        let modules = Arc::clone(&self.modules);
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            change(&modules, name, stored);
        });
    }

    /// The module of a name, or of a group, name and version. The first one that matches, in the order of their stored
    /// names: without a version that is the lowest. One without a package matches any group and version.
    pub(super) fn find(&self, name: &str) -> Result<Arc<[u8]>, ErrorCode> {
        let wanted = SmartModulePackageKey::from_qualified_name(name)
            .map_err(|error| ErrorCode::Other(format!("error parsing SmartModule name: {error}")))?;
        let stored = self.modules.read().unwrap_or_else(PoisonError::into_inner);
        let found = stored.iter().find(|(key, stored)| wanted.is_match(key, stored.package.as_ref()));
        found
            .map(|(_, stored)| Arc::clone(&stored.gzipped))
            .ok_or_else(|| ErrorCode::SmartModuleNotFound { name: name.to_owned() })
    }
}

fn change(modules: &Modules, name: String, stored: Option<Stored>) {
    let mut modules = modules.write().unwrap_or_else(PoisonError::into_inner);
    match stored {
        Some(stored) => modules.insert(name, stored),
        None => modules.remove(&name),
    };
}
