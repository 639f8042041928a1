//! SPUs as the SC knows them: those of this cluster, and others that were registered and never come.

use std::io;

use fluvio_controlplane_metadata::spu::{CustomSpuKey, CustomSpuSpec, Endpoint, IngressPort, SpuSpec, SpuStatus};
use fluvio_sc_schema::Status;
use fluvio_sc_schema::errors::ErrorCode;
use fluvio_sc_schema::objects::CommonCreateRequest;
use fluvio_types::SpuId;

use super::{Objects, Sc, failure};
use crate::config::StartError;

/// The name under which an SPU of this cluster is registered.
pub(crate) fn spu_name(id: SpuId) -> String {
    format!("custom-spu-{id}")
}

fn status(online: bool) -> SpuStatus {
    let mut status = SpuStatus::offline();
    if online {
        status.set_online();
    }
    status
}

/// The name under which an SPU is registered, if it is.
fn registered(objects: &Objects, id: SpuId) -> Option<String> {
    objects.spus.all().find(|spu| spu.spec.id == id).map(|spu| spu.name.clone())
}

impl Sc {
    /// Takes note of where an SPU listens. It is online from now on.
    pub(crate) fn register_spu(&self, id: SpuId, host: &str, port: u16) {
        let spec = SpuSpec {
            id,
            public_endpoint: IngressPort::from_port_host(port, host.to_owned()),
            // Nothing listens for other SPUs; the field cannot be empty.
            private_endpoint: Endpoint::from_port_host(port, host.to_owned()),
            ..SpuSpec::default()
        }
        .set_custom();
        self.objects().spus.put(&spu_name(id), spec, status(true));
    }

    /// Takes over the SPUs that clients have registered, but for those that this cluster runs itself: they are where
    /// they are now.
    pub(super) fn restore_spus(&self) -> Result<(), StartError> {
        for (name, spec) in self.files::<SpuSpec>().read::<SpuSpec>()? {
            if self.nodes().iter().all(|node| node.id() != spec.id && spu_name(node.id()) != name) {
                self.objects().spus.put(&name, spec, SpuStatus::default());
            }
        }
        Ok(())
    }

    pub(super) fn is_registered(&self, id: SpuId) -> bool {
        registered(&self.objects(), id).is_some()
    }

    /// Sets whether an SPU is online, if it is registered.
    pub(super) fn set_spu_online(&self, id: SpuId, online: bool) {
        let mut objects = self.objects();
        if let Some(name) = registered(&objects, id) {
            objects.spus.set_status(&name, status(online));
        }
    }

    /// The SPUs that new partitions can be placed on.
    pub(super) fn schedulable(&self) -> Vec<SpuId> {
        let objects = self.objects();
        let up = self.nodes().iter().filter(|node| node.spu().is_some()).map(|node| node.id());
        up.filter(|id| registered(&objects, *id).is_some()).collect()
    }

    /// Registers an SPU. It is online if it is one of this cluster, which had been unregistered.
    pub(super) async fn create_custom_spu(&self, common: CommonCreateRequest, spec: CustomSpuSpec) -> Status {
        let _changing = self.changing.lock().await;
        let CommonCreateRequest { name, dry_run, .. } = common;
        let id = spec.id;
        if self.objects().spus.get(&name).is_some() || self.is_registered(id) {
            let message = format!("spu '{name}({id})' already defined");
            return failure(&name, ErrorCode::SpuAlreadyExists, message);
        }
        if dry_run {
            // Without a name, on the real SC, too.
            return Status::default();
        }
        if let Err(error) = self.keep(&name, SpuSpec::from(spec)) {
            return failure(&name, ErrorCode::SpuError, error.to_string());
        }
        if self.node(id).is_some_and(|node| node.spu().is_some()) {
            self.announce_spu(id);
        }
        Status::new_ok(name)
    }

    /// Unregisters an SPU, also one that is online and leads partitions: it serves these on.
    pub(super) async fn delete_custom_spu(&self, key: CustomSpuKey) -> Status {
        let _changing = self.changing.lock().await;
        let (found, asked) = match key {
            CustomSpuKey::Name(name) => (self.objects().spus.get(&name).map(|spu| spu.name.clone()), name),
            CustomSpuKey::Id(id) => (registered(&self.objects(), id), format!("spu-{id}")),
        };
        let Some(name) = found else { return failure(&asked, ErrorCode::SpuNotFound, "not found") };
        let deleted: io::Result<()> = self.drop_object::<SpuSpec>(&name);
        match deleted {
            Ok(()) => Status::new_ok(name),
            Err(error) => failure(&name, ErrorCode::SpuError, format!("error deleting: {error}")),
        }
    }
}
