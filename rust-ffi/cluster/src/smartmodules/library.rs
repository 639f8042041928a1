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

/// Changes of one name that were ordered.
#[derive(Debug, Default)]
struct Orders {
    last: u64,
    /// The last one that the SPUs have heard of.
    heard: u64,
    pending: usize,
}

#[derive(Debug, Default)]
struct Modules {
    stored: BTreeMap<String, Stored>,
    /// Of names with changes that are still to be heard of.
    orders: BTreeMap<String, Orders>,
}

impl Modules {
    /// The number of a new change of a name.
    fn order(&mut self, name: &str) -> u64 {
        let orders = self.orders.entry(name.to_owned()).or_default();
        orders.pending += 1;
        orders.last += 1;
        orders.last
    }

    /// Makes a change, unless a newer one was made already.
    fn change(&mut self, name: String, number: u64, stored: Option<Stored>) {
        let Some(orders) = self.orders.get_mut(&name) else { return };
        let is_newest = number > orders.heard;
        orders.heard = orders.heard.max(number);
        orders.pending -= 1;
        if orders.pending == 0 {
            self.orders.remove(&name);
        }
        match stored {
            _ if !is_newest => {}
            Some(stored) => drop(self.stored.insert(name, stored)),
            None => drop(self.stored.remove(&name)),
        }
    }
}

/// Modules by the name under which they are stored.
#[derive(Debug, Default)]
pub(crate) struct Library {
    modules: Arc<RwLock<Modules>>,
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
        let mut modules = self.modules.write().unwrap_or_else(PoisonError::into_inner);
        let number = modules.order(&name);
        if delay.is_zero() {
            return modules.change(name, number, stored);
        }
        let later = Arc::clone(&self.modules);
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            later.write().unwrap_or_else(PoisonError::into_inner).change(name, number, stored);
        });
    }

    /// The module of a name, or of a group, name and version. The first one that matches, in the order of their stored
    /// names: without a version that is the lowest. One without a package matches any group and version.
    pub(super) fn find(&self, name: &str) -> Result<Arc<[u8]>, ErrorCode> {
        let wanted = SmartModulePackageKey::from_qualified_name(name)
            .map_err(|error| ErrorCode::Other(format!("error parsing SmartModule name: {error}")))?;
        let modules = self.modules.read().unwrap_or_else(PoisonError::into_inner);
        let found = modules.stored.iter().find(|(key, stored)| wanted.is_match(key, stored.package.as_ref()));
        found
            .map(|(_, stored)| Arc::clone(&stored.gzipped))
            .ok_or_else(|| ErrorCode::SmartModuleNotFound { name: name.to_owned() })
    }
}
