//! Creating and deleting the objects that are only kept: SPU groups, SmartModules, table formats, mirrors.

use std::io;

use fluvio_controlplane_metadata::smartmodule::{SmartModuleKeyError, SmartModulePackageKey};
use fluvio_sc_schema::Status;
use fluvio_sc_schema::errors::ErrorCode;
use fluvio_sc_schema::mirror::{MirrorSpec, MirrorType};
use fluvio_sc_schema::objects::Metadata;
use fluvio_sc_schema::smartmodule::SmartModuleSpec;
use fluvio_sc_schema::spg::SpuGroupSpec;
use fluvio_sc_schema::tableformat::TableFormatSpec;

use super::kinds::Kind;
use super::object_files::ObjectFiles;
use super::{Sc, failure};
use crate::config::StartError;

const NOT_FOUND: &str = "not found";

fn answer(name: String, done: io::Result<()>, code: ErrorCode) -> Status {
    match done {
        Ok(()) => Status::new_ok(name),
        Err(error) => failure(&name, code, error.to_string()),
    }
}

impl Sc {
    pub(super) fn files<S: Kind>(&self) -> ObjectFiles {
        ObjectFiles::new(&self.shelves, S::LABEL)
    }

    /// Sets the spec of an object, on disk and for the watches. One that is there already keeps its status.
    pub(super) fn keep<S: Kind>(&self, name: &str, spec: S) -> io::Result<()> {
        self.files::<S>().write(name, &spec)?;
        let mut objects = self.objects();
        let store = S::store_mut(&mut objects);
        let status = store.get(name).map(|object| object.status.clone()).unwrap_or_default();
        store.put(name, spec, status);
        Ok(())
    }

    /// Removes an object, on disk and for the watches.
    pub(super) fn drop_object<S: Kind>(&self, name: &str) -> io::Result<()> {
        self.files::<S>().remove(name)?;
        S::store_mut(&mut self.objects()).remove(name);
        Ok(())
    }

    /// Takes over what an earlier run has kept.
    pub(super) fn restore_kept<S: Kind>(&self) -> Result<(), StartError> {
        for (name, spec) in self.files::<S>().read::<S>()? {
            S::store_mut(&mut self.objects()).put(&name, spec, S::Status::default());
        }
        Ok(())
    }

    fn has<S: Kind>(&self, name: &str) -> bool {
        S::store(&self.objects()).get(name).is_some()
    }

    /// The objects of a kind that are wanted.
    pub(super) fn list<S: Kind>(&self, wanted: impl Fn(&Metadata<S>) -> bool) -> Vec<Metadata<S>> {
        S::store(&self.objects()).all().filter(|object| wanted(object)).cloned().collect()
    }

    /// The same as far as clients are told.
    pub(super) fn shown<S: Kind>(&self, wanted: impl Fn(&Metadata<S>) -> bool) -> Vec<Metadata<S>> {
        S::store(&self.objects()).shown().filter(|object| wanted(object)).cloned().collect()
    }

    async fn delete<S: Kind>(&self, name: String, missing: ErrorCode, failed: ErrorCode) -> Status {
        let _changing = self.changing.lock().await;
        if !self.has::<S>(&name) {
            return failure(&name, missing, NOT_FOUND);
        }
        let done = self.drop_object::<S>(&name);
        answer(name, done, failed)
    }

    /// Nothing runs an SPU group here, as on a real cluster without Kubernetes.
    pub(super) async fn create_spu_group(&self, name: String, spec: SpuGroupSpec) -> Status {
        let _changing = self.changing.lock().await;
        let done = self.keep(&name, spec);
        answer(name, done, ErrorCode::SpuError)
    }

    pub(super) async fn delete_spu_group(&self, name: String) -> Status {
        self.delete::<SpuGroupSpec>(name, ErrorCode::SpuNotFound, ErrorCode::SpuError).await
    }

    pub(super) async fn create_table_format(&self, name: String, spec: TableFormatSpec) -> Status {
        let _changing = self.changing.lock().await;
        if self.has::<TableFormatSpec>(&name) {
            let message = format!("tableformat '{name}' already defined");
            return failure(&name, ErrorCode::TableFormatAlreadyExists, message);
        }
        let done = self.keep(&name, spec);
        answer(name, done, ErrorCode::TableFormatError)
    }

    pub(super) async fn delete_table_format(&self, name: String) -> Status {
        self.delete::<TableFormatSpec>(name, ErrorCode::TableFormatNotFound, ErrorCode::TableFormatError).await
    }

    /// A SmartModule takes the place of one of the same name in silence; its code is not looked at. One with a package
    /// is kept under the package's name.
    pub(super) async fn create_smartmodule(&self, name: String, spec: SmartModuleSpec) -> Status {
        let _changing = self.changing.lock().await;
        let name = match &spec.meta {
            Some(meta) if !meta.package.is_valid() => {
                return failure(&name, ErrorCode::SmartModuleError, "invalid SmartModule package");
            }
            Some(meta) => meta.store_id(),
            None => name,
        };
        let done = self.keep(&name, spec.clone()).inspect(|()| self.engine.stored.put(&name, &spec));
        answer(name, done, ErrorCode::SmartModuleError)
    }

    pub(super) async fn delete_smartmodule(&self, name: String) -> Result<Status, SmartModuleKeyError> {
        let _changing = self.changing.lock().await;
        let kept_as = SmartModulePackageKey::from_qualified_name(&name)?.store_id();
        if !self.has::<SmartModuleSpec>(&kept_as) {
            return Ok(failure(&name, ErrorCode::SmartModuleNotFound { name: name.clone() }, NOT_FOUND));
        }
        let done = self.drop_object::<SmartModuleSpec>(&kept_as).inspect(|()| self.engine.stored.remove(&kept_as));
        Ok(answer(name, done, ErrorCode::SmartModuleError))
    }

    /// A remote can be registered once; a home is replaced.
    pub(super) async fn create_mirror(&self, name: String, spec: MirrorSpec) -> io::Result<Status> {
        let _changing = self.changing.lock().await;
        if let Some(MirrorType::Remote(_)) = self.mirror_type(&name) {
            let message = format!("remote cluster {name:?} already exists");
            return Ok(failure(&name, ErrorCode::MirrorAlreadyExists, message));
        }
        self.keep(&name, spec)?;
        Ok(Status::new_ok(name))
    }

    pub(super) fn mirror_type(&self, name: &str) -> Option<MirrorType> {
        self.objects().mirrors.get(name).map(|mirror| mirror.spec.mirror_type.clone())
    }

    pub(super) async fn delete_mirror(&self, name: String) -> Status {
        let _changing = self.changing.lock().await;
        if !self.has::<MirrorSpec>(&name) {
            let message = format!("remote cluster {name:?} not found");
            return failure(&name, ErrorCode::MirrorNotFound, message);
        }
        let done = self.drop_object::<MirrorSpec>(&name);
        answer(name, done, ErrorCode::Other("remote to unregister remote cluster".to_owned()))
    }
}
