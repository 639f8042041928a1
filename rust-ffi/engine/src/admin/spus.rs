//! SPUs, and the custom ones among them, which are registered by hand.

use std::sync::Arc;

use fluvio::FluvioAdmin;
use fluvio::metadata::customspu::CustomSpuSpec as UpstreamCustom;
use fluvio_controlplane_metadata::spu::{
    CustomSpuKey, EncryptionEnum, Endpoint as UpstreamEndpoint, IngressAddr, IngressPort, SpuSpec as Upstream,
    SpuStatus as UpstreamStatus, SpuStatusResolution, SpuType,
};
use fluvio_sc_schema::objects::Metadata;
use serde::{Deserialize, Serialize};

use super::{Admin, CreateFlags, Kind, Partition, check_name, done, exists, like, unsent};
use crate::error::{Error, ErrorKind, Result, first_few};

like! {
    /// Who runs an SPU.
    SpuKind: SpuType {
        /// The cluster.
        Managed = Managed,
        /// Whoever registered it.
        Custom = Custom,
    }
}

like! {
    /// Whether an SPU is there.
    SpuResolution: SpuStatusResolution {
        /// It is connected.
        Online = Online,
        /// It is gone.
        Offline = Offline,
        /// It was never seen.
        Init = Init,
    }
}

like! {
    /// What is spoken at an endpoint.
    #[derive(Default)]
    Encryption: EncryptionEnum {
        /// Plain TCP.
        #[default]
        Plaintext = PLAINTEXT,
        /// TLS.
        Ssl = SSL,
    }
}

/// A name or an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingress {
    /// A name.
    #[serde(default)]
    pub hostname: Option<String>,
    /// An address, for where there is no name.
    #[serde(default)]
    pub ip: Option<String>,
}

/// Where clients dial an SPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicEndpoint {
    /// The port.
    pub port: u16,
    /// Its hosts, of which the first counts.
    pub ingress: Vec<Ingress>,
    /// What is spoken there.
    #[serde(default)]
    pub encryption: Encryption,
}

/// Where something is dialled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The port.
    pub port: u16,
    /// Name or address.
    pub host: String,
    /// What is spoken there.
    #[serde(default)]
    pub encryption: Encryption,
}

/// What an SPU is registered as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpuSpec {
    /// Its id.
    pub id: i32,
    /// Who runs it.
    pub kind: SpuKind,
    /// Where clients dial it.
    pub public_endpoint: PublicEndpoint,
    /// Where other SPUs dial it.
    pub private_endpoint: Endpoint,
    /// Where clients dial it that use local addresses.
    pub public_endpoint_local: Option<Endpoint>,
    /// Where it stands.
    pub rack: Option<String>,
}

/// What a custom SPU is registered as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomSpuSpec {
    /// Its id, 0 or more.
    pub id: i32,
    /// Where clients dial it.
    pub public_endpoint: PublicEndpoint,
    /// Where other SPUs dial it.
    pub private_endpoint: Endpoint,
    /// Where clients dial it that use local addresses.
    #[serde(default)]
    pub public_endpoint_local: Option<Endpoint>,
    /// Where it stands.
    #[serde(default)]
    pub rack: Option<String>,
}

/// How an SPU is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpuStatus {
    /// Whether it is there.
    pub resolution: SpuResolution,
}

/// An SPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spu {
    /// Its name.
    pub name: String,
    /// What it is registered as.
    pub spec: SpuSpec,
    /// How it is.
    pub status: SpuStatus,
}

/// How an SPU is called for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpuKey {
    /// By its name.
    Name(String),
    /// By its id.
    Id(i32),
}

impl SpuKey {
    fn fits(&self, spu: &Spu) -> bool {
        match self {
            Self::Name(name) => *name == spu.name,
            Self::Id(id) => *id == spu.spec.id,
        }
    }
}

impl std::fmt::Display for SpuKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => write!(f, "SPU \"{name}\""),
            Self::Id(id) => write!(f, "SPU {id}"),
        }
    }
}

impl From<UpstreamEndpoint> for Endpoint {
    fn from(UpstreamEndpoint { port, host, encryption }: UpstreamEndpoint) -> Self {
        Self { port, host, encryption: encryption.into() }
    }
}

impl From<Endpoint> for UpstreamEndpoint {
    fn from(Endpoint { port, host, encryption }: Endpoint) -> Self {
        Self { port, host, encryption: encryption.into() }
    }
}

impl From<IngressPort> for PublicEndpoint {
    fn from(IngressPort { port, ingress, encryption }: IngressPort) -> Self {
        let ingress = ingress.into_iter().map(|IngressAddr { hostname, ip }| Ingress { hostname, ip }).collect();
        Self { port, ingress, encryption: encryption.into() }
    }
}

impl From<PublicEndpoint> for IngressPort {
    fn from(PublicEndpoint { port, ingress, encryption }: PublicEndpoint) -> Self {
        let ingress = ingress.into_iter().map(|Ingress { hostname, ip }| IngressAddr { hostname, ip }).collect();
        Self { port, ingress, encryption: encryption.into() }
    }
}

impl From<CustomSpuSpec> for UpstreamCustom {
    fn from(spec: CustomSpuSpec) -> Self {
        Self {
            id: spec.id,
            public_endpoint: spec.public_endpoint.into(),
            private_endpoint: spec.private_endpoint.into(),
            public_endpoint_local: spec.public_endpoint_local.map(Into::into),
            rack: spec.rack,
        }
    }
}

impl Kind for Spu {
    type Spec = Upstream;
    type UpstreamStatus = UpstreamStatus;
    const LABEL: &str = "SPU";
    const MISSING: ErrorKind = ErrorKind::SpuNotFound;

    fn from_upstream(Metadata { name, spec, status }: Metadata<Upstream>) -> Result<Self> {
        Ok(Self {
            name,
            spec: SpuSpec {
                id: spec.id,
                kind: spec.spu_type.into(),
                public_endpoint: spec.public_endpoint.into(),
                private_endpoint: spec.private_endpoint.into(),
                public_endpoint_local: spec.public_endpoint_local.map(Into::into),
                rack: spec.rack,
            },
            status: SpuStatus { resolution: status.resolution.into() },
        })
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// A custom SPU, as the server lists them. For users it is an SPU.
#[derive(Serialize)]
struct Custom(Spu);

impl Kind for Custom {
    type Spec = UpstreamCustom;
    type UpstreamStatus = UpstreamStatus;
    const LABEL: &str = "custom SPU";
    const MISSING: ErrorKind = ErrorKind::SpuNotFound;

    fn from_upstream(Metadata { name, spec, status }: Metadata<UpstreamCustom>) -> Result<Self> {
        Spu::from_upstream(Metadata { name, spec: spec.into(), status }).map(Self)
    }

    fn name(&self) -> &str {
        &self.0.name
    }
}

impl CustomSpuSpec {
    fn validate(&self) -> Result<()> {
        if self.id < 0 {
            return Err(Error::invalid(format!("id is {}: it must be 0 or more", self.id)));
        }
        let endpoint = |name: &str, host: Option<&str>, port: u16| match host {
            Some(host) if !host.is_empty() && port != 0 => Ok(()),
            host => Err(Error::invalid(format!(
                "{name} is {:?}, port {port}: it must have a host, and a port from 1 to 65535",
                host.unwrap_or_default()
            ))),
        };
        let first = self.public_endpoint.ingress.first();
        let public = first.and_then(|first| first.hostname.as_deref().or(first.ip.as_deref()));
        endpoint("public_endpoint", public, self.public_endpoint.port)?;
        endpoint("private_endpoint", Some(&self.private_endpoint.host), self.private_endpoint.port)?;
        match &self.public_endpoint_local {
            Some(local) => endpoint("public_endpoint_local", Some(&local.host), local.port),
            None => Ok(()),
        }
    }
}

fn pick(spus: Vec<Spu>, key: &SpuKey) -> Result<Spu> {
    let found = spus.into_iter().find(|spu| key.fits(spu));
    found.ok_or_else(|| {
        Error::new(ErrorKind::SpuNotFound, format!("{key} does not exist: list the SPUs to see which there are"))
    })
}

impl Admin {
    /// The SPUs whose name contains a string.
    pub async fn spus(&self, name_contains: Option<&str>) -> Result<Vec<Spu>> {
        self.list(name_contains, false, false).await
    }

    /// One SPU.
    pub async fn spu(&self, key: &SpuKey) -> Result<Spu> {
        pick(self.spus(None).await?, key)
    }

    /// The custom SPUs whose name contains a string.
    pub async fn custom_spus(&self, name_contains: Option<&str>) -> Result<Vec<Spu>> {
        let custom = self.list::<Custom>(name_contains, false, false).await?;
        Ok(custom.into_iter().map(|Custom(spu)| spu).collect())
    }

    /// One custom SPU.
    pub async fn custom_spu(&self, key: &SpuKey) -> Result<Spu> {
        pick(self.custom_spus(None).await?, key)
    }

    /// Registers a custom SPU, which then may connect to the SC. `name`: by default `custom-spu-` and the id.
    pub async fn create_custom_spu(&self, name: Option<&str>, spec: CustomSpuSpec, flags: CreateFlags) -> Result<Spu> {
        spec.validate()?;
        let id = spec.id;
        let name = name.map_or_else(|| format!("custom-spu-{id}"), str::to_owned);
        check_name("name", &name)?;
        let spec = UpstreamCustom::from(spec);
        let mut attempts = self.attempts();
        loop {
            match self.try_create_custom_spu(&name, spec.clone(), flags).await {
                // Where it may exist, creating it again changes nothing more.
                Err(error) if flags.exist_ok => attempts.after(error).await?,
                created => return created,
            }
        }
    }

    async fn try_create_custom_spu(&self, name: &str, spec: UpstreamCustom, flags: CreateFlags) -> Result<Spu> {
        let id = spec.id;
        let is_it = |spu: &Spu| spu.name == name || spu.spec.id == id;
        if let Some(existing) = self.spus(None).await.map_err(unsent)?.into_iter().find(is_it) {
            let same = existing.name == name && existing.spec.id == id && existing.spec.kind == SpuKind::Custom;
            return match same {
                true if flags.exist_ok => Ok(existing),
                true => Err(exists::<Spu>(name)),
                false => Err(Error::new(
                    ErrorKind::AlreadyExists,
                    format!(
                        "SPU \"{}\" exists already and has the id {}: take a name and an id that are free",
                        existing.name, existing.spec.id
                    ),
                )),
            };
        }
        if flags.dry_run {
            let planned = Metadata { name: name.to_owned(), spec, status: UpstreamStatus::default() };
            return Ok(Custom::from_upstream(planned)?.0);
        }
        self.send_create(Custom::LABEL, name, flags, spec).await?;
        self.custom_spu(&SpuKey::Name(name.to_owned())).await.map_err(done)
    }

    /// Unregisters a custom SPU; `force`: even if it leads partitions.
    pub async fn delete_custom_spu(&self, key: &SpuKey, force: bool, missing_ok: bool) -> Result<()> {
        let spu = match self.custom_spu(key).await {
            Err(error) if error.kind == ErrorKind::SpuNotFound && missing_ok => return Ok(()),
            found => found.map_err(unsent)?,
        };
        if !force {
            self.check_leads_nothing(&spu).await.map_err(unsent)?;
        }
        let what = format!("deleting {key}");
        let delete = |admin: Arc<FluvioAdmin>| {
            let key = CustomSpuKey::Name(spu.name.clone());
            async move { admin.delete::<UpstreamCustom>(key).await }
        };
        self.send_delete(&what, missing_ok, ErrorKind::SpuNotFound, delete).await
    }

    async fn check_leads_nothing(&self, spu: &Spu) -> Result<()> {
        let mut led = Vec::new();
        for system in [false, true] {
            led.extend(self.partitions(None, system).await?.into_iter().filter(|one| one.spec.leader == spu.spec.id));
        }
        if led.is_empty() {
            return Ok(());
        }
        let name = |Partition { topic, partition, .. }: &Partition| format!("{topic}-{partition}");
        let names = first_few(led.iter().map(name));
        Err(Error::new(
            ErrorKind::Usage,
            format!(
                "SPU \"{}\" leads {} partitions ({names}), which could not be used without it: \
                 delete it with force, or their topics first",
                spu.name,
                led.len()
            ),
        ))
    }
}
