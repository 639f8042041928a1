//! Other clusters: those that send their records here, and the one to which this one sends.

use fluvio_sc_schema::mirror::{
    ClientTls as UpstreamTls, ConnectionStatus, Home, MirrorPairStatus, MirrorSpec as Upstream,
    MirrorStatus as UpstreamStatus, MirrorType, Remote,
};
use fluvio_sc_schema::objects::Metadata;
use serde::{Deserialize, Serialize};

use super::{Admin, CreateFlags, Kind, check_name, like};
use crate::error::{Error, ErrorKind, Result};

like! {
    /// Whether the other cluster is there.
    Connection: ConnectionStatus {
        /// It is.
        Online = Online,
        /// It is not.
        Offline = Offline,
    }
}

/// Another cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MirrorSpec {
    /// One that sends its records here.
    Remote(MirrorRemote),
    /// The one to which this cluster sends.
    Home(MirrorHome),
}

/// A cluster that sends its records here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorRemote {
    /// What it calls itself. `None` when creating: the mirror's name.
    #[serde(default)]
    pub id: Option<String>,
}

/// The cluster to which this one sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorHome {
    /// What it calls itself. `None` when creating: the mirror's name.
    #[serde(default)]
    pub id: Option<String>,
    /// What this cluster is called there.
    pub remote_id: String,
    /// `host:port` of its SC.
    pub public_endpoint: String,
    /// How this cluster proves who it is.
    #[serde(default)]
    pub client_tls: Option<ClientTls>,
}

/// Certificates for the home cluster, PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientTls {
    /// The name that its certificate must have.
    pub domain: String,
    /// Who signed it.
    pub ca_cert: String,
    /// The certificate of this cluster.
    pub client_cert: String,
    /// The key of it; secret.
    pub client_key: String,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls").field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// How far two clusters have come with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PairingResolution {
    /// Not yet.
    Waiting,
    /// Paired.
    Successful,
    /// It did not work.
    Failed,
    /// Switched off.
    Disabled,
    /// The other one refuses.
    Unauthorized,
}

/// A pairing, and what went wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pairing {
    /// How far it has come.
    pub resolution: PairingResolution,
    /// Why it failed.
    pub reason: Option<String>,
}

/// How it is with the other cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MirrorStatus {
    /// Whether it is there.
    pub connection: Connection,
    /// The pairing of the SCs.
    pub pairing_sc: Pairing,
    /// The pairing of the SPUs.
    pub pairing_spu: Pairing,
    /// When it was there last, milliseconds since the epoch.
    pub last_seen_ms: Option<u64>,
}

/// Another cluster, as this one knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mirror {
    /// Its name.
    pub name: String,
    /// What it is.
    pub spec: MirrorSpec,
    /// How it is with it.
    pub status: MirrorStatus,
}

impl From<MirrorPairStatus> for Pairing {
    fn from(upstream: MirrorPairStatus) -> Self {
        let (resolution, reason) = match upstream {
            MirrorPairStatus::Waiting => (PairingResolution::Waiting, None),
            MirrorPairStatus::Successful => (PairingResolution::Successful, None),
            MirrorPairStatus::Failed => (PairingResolution::Failed, None),
            MirrorPairStatus::Disabled => (PairingResolution::Disabled, None),
            MirrorPairStatus::Unauthorized => (PairingResolution::Unauthorized, None),
            MirrorPairStatus::DetailFailure(reason) => (PairingResolution::Failed, Some(reason)),
        };
        Self { resolution, reason }
    }
}

impl Kind for Mirror {
    type Spec = Upstream;
    type UpstreamStatus = UpstreamStatus;
    const LABEL: &str = "mirror";
    const MISSING: ErrorKind = ErrorKind::MirrorNotFound;
    const FILTERED: bool = false;

    fn from_upstream(Metadata { name, spec, status }: Metadata<Upstream>) -> Result<Self> {
        let spec = match spec.mirror_type {
            MirrorType::Remote(Remote { id }) => MirrorSpec::Remote(MirrorRemote { id: Some(id) }),
            MirrorType::Home(Home { id, remote_id, public_endpoint, client_tls }) => {
                let tls = |UpstreamTls { domain, ca_cert, client_cert, client_key }| ClientTls {
                    domain,
                    ca_cert,
                    client_cert,
                    client_key,
                };
                MirrorSpec::Home(MirrorHome {
                    id: Some(id),
                    remote_id,
                    public_endpoint,
                    client_tls: client_tls.map(tls),
                })
            }
        };
        Ok(Self {
            name,
            spec,
            status: MirrorStatus {
                connection: status.connection_status.into(),
                pairing_sc: status.pairing_sc.into(),
                pairing_spu: status.pairing_spu.into(),
                last_seen_ms: Some(status.connection_stat.last_seen).filter(|seen| *seen != 0),
            },
        })
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl MirrorSpec {
    fn into_upstream(self, name: &str) -> Result<Upstream> {
        let checked = |what: &str, id: Option<String>| {
            let id = id.unwrap_or_else(|| name.to_owned());
            check_name(what, &id).map(|()| id)
        };
        let mirror_type = match self {
            Self::Remote(MirrorRemote { id }) => MirrorType::Remote(Remote { id: checked("id", id)? }),
            Self::Home(MirrorHome { id, remote_id, public_endpoint, client_tls }) => {
                if public_endpoint.is_empty() {
                    return Err(Error::invalid("public_endpoint is empty: it must be \"host:port\" of the home's SC"));
                }
                let tls = |ClientTls { domain, ca_cert, client_cert, client_key }| UpstreamTls {
                    domain,
                    ca_cert,
                    client_cert,
                    client_key,
                };
                MirrorType::Home(Home {
                    id: checked("id", id)?,
                    remote_id: checked("remote_id", Some(remote_id))?,
                    public_endpoint,
                    client_tls: client_tls.map(tls),
                })
            }
        };
        Ok(Upstream { mirror_type })
    }
}

impl Admin {
    /// Registers another cluster.
    pub async fn create_mirror(&self, name: &str, spec: MirrorSpec, flags: CreateFlags) -> Result<Mirror> {
        check_name("name", name)?;
        let spec = spec.into_upstream(name)?;
        self.create(name, spec, flags).await
    }

    /// The mirrors whose name contains a string.
    pub async fn mirrors(&self, name_contains: Option<&str>) -> Result<Vec<Mirror>> {
        self.list(name_contains, false, false).await
    }

    /// One mirror.
    pub async fn mirror(&self, name: &str) -> Result<Mirror> {
        self.get(name).await
    }

    /// Forgets another cluster.
    pub async fn delete_mirror(&self, name: &str, missing_ok: bool) -> Result<()> {
        self.delete::<Mirror>(name, missing_ok).await
    }
}
