//! Groups of SPUs that the cluster runs by itself.

use std::collections::BTreeMap;

use fluvio::metadata::spg::{
    EnvVar, ReplicationConfig, SpuConfig, SpuGroupSpec as Upstream, SpuGroupStatus as UpstreamStatus,
    SpuGroupStatusResolution, StorageConfig,
};
use fluvio_sc_schema::objects::Metadata;
use serde::{Deserialize, Serialize};

use super::{Admin, CreateFlags, Kind, check_name, like, missing};
use crate::error::{Error, ErrorKind, Result};

like! {
    /// How far a group has come.
    SpuGroupResolution: SpuGroupStatusResolution {
        /// New.
        Init = Init,
        /// It cannot be.
        Invalid = Invalid,
        /// Its ids are its own.
        Reserved = Reserved,
    }
}

/// What a group is configured to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpuGroupSpec {
    /// How many SPUs, at least 1.
    pub replicas: u16,
    /// The id of the first.
    pub min_id: i32,
    /// Where they stand.
    pub rack: Option<String>,
    /// How many replicas must have a record before it counts as committed.
    pub in_sync_replica_min: Option<u16>,
    /// Where each keeps its logs.
    pub log_dir: Option<String>,
    /// How much of it there is, such as `10Gi`.
    pub storage_size: Option<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
}

impl Default for SpuGroupSpec {
    fn default() -> Self {
        Self {
            replicas: 1,
            min_id: 0,
            rack: None,
            in_sync_replica_min: None,
            log_dir: None,
            storage_size: None,
            env: BTreeMap::new(),
        }
    }
}

/// How a group is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpuGroupStatus {
    /// How far it has come.
    pub resolution: SpuGroupResolution,
    /// Why it is invalid.
    pub reason: Option<String>,
}

/// A group of SPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpuGroup {
    /// Its name.
    pub name: String,
    /// What it is configured to be.
    pub spec: SpuGroupSpec,
    /// How it is.
    pub status: SpuGroupStatus,
}

impl Kind for SpuGroup {
    type Spec = Upstream;
    type UpstreamStatus = UpstreamStatus;
    const LABEL: &str = "SPU group";
    const MISSING: ErrorKind = ErrorKind::SpuGroupNotFound;

    fn from_upstream(Metadata { name, spec, status }: Metadata<Upstream>) -> Result<Self> {
        let SpuConfig { rack, replication, storage, env } = spec.spu_config;
        let StorageConfig { log_dir, size } = storage.unwrap_or_default();
        Ok(Self {
            name,
            spec: SpuGroupSpec {
                replicas: spec.replicas,
                min_id: spec.min_id,
                rack,
                in_sync_replica_min: replication.and_then(|replication| replication.in_sync_replica_min),
                log_dir,
                storage_size: size,
                env: env.into_iter().map(|EnvVar { name, value }| (name, value)).collect(),
            },
            status: SpuGroupStatus { resolution: status.resolution.into(), reason: status.reason },
        })
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl SpuGroupSpec {
    fn validate(&self) -> Result<()> {
        if self.replicas == 0 {
            return Err(Error::invalid("replicas is 0: it must be at least 1"));
        }
        if self.min_id < 0 {
            return Err(Error::invalid(format!("min_id is {}: it must be 0 or more", self.min_id)));
        }
        Ok(())
    }

    fn into_upstream(self) -> Upstream {
        let replication = self.in_sync_replica_min.map(|min| ReplicationConfig { in_sync_replica_min: Some(min) });
        let storage = (self.log_dir.is_some() || self.storage_size.is_some())
            .then_some(StorageConfig { log_dir: self.log_dir, size: self.storage_size });
        let env = self.env.into_iter().map(|(name, value)| EnvVar { name, value }).collect();
        Upstream {
            replicas: self.replicas,
            min_id: self.min_id,
            spu_config: SpuConfig { rack: self.rack, replication, storage, env },
        }
    }
}

impl Admin {
    /// Asks for a group.
    pub async fn create_spu_group(&self, name: &str, spec: SpuGroupSpec, flags: CreateFlags) -> Result<SpuGroup> {
        check_name("name", name)?;
        spec.validate()?;
        self.create(name, spec.into_upstream(), flags).await
    }

    /// The groups whose name contains a string.
    pub async fn spu_groups(&self, name_contains: Option<&str>) -> Result<Vec<SpuGroup>> {
        self.list(name_contains, false, false).await
    }

    /// One group.
    pub async fn spu_group(&self, name: &str) -> Result<SpuGroup> {
        self.get(name).await
    }

    /// Deletes a group.
    pub async fn delete_spu_group(&self, name: &str, missing_ok: bool) -> Result<()> {
        match self.delete::<SpuGroup>(name, missing_ok).await {
            // The server has no code of its own for groups.
            Err(error) if error.kind == ErrorKind::SpuNotFound && missing_ok => Ok(()),
            Err(error) if error.kind == ErrorKind::SpuNotFound => Err(missing::<SpuGroup>(name)),
            other => other,
        }
    }
}
