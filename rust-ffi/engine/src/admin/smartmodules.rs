//! SmartModules.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::Compression;
use flate2::bufread::{GzDecoder, GzEncoder};
use fluvio::metadata::smartmodule::{
    FluvioSemVersion, SmartModuleMetadata, SmartModulePackage, SmartModulePackageKey, SmartModuleSpec as Upstream,
    SmartModuleStatus, SmartModuleVisibility, SmartModuleWasm,
};
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::objects::Metadata;
use serde::{Deserialize, Serialize};

use super::{Admin, CreateFlags, Kind, check_name, done, exists, like, missing, unsent};
use crate::error::{Error, ErrorKind, Result, first_few};

/// What code may be unpacked to: no real module comes near.
const LARGEST: u64 = 256 << 20;
const WASM: &[u8] = b"\0asm";
const GZIP: &[u8] = &[0x1f, 0x8b];

like! {
    /// Who may see a package.
    #[derive(Default)]
    Visibility: SmartModuleVisibility {
        /// Its group.
        #[default]
        Private = Private,
        /// Everybody.
        Public = Public,
    }
}

/// What a SmartModule is called where SmartModules are shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub group: String,
    /// Its semantic version.
    pub version: String,
    /// The semantic version of the interface that it was made for.
    pub api_version: String,
    /// What it does.
    #[serde(default)]
    pub description: Option<String>,
    /// Its licence.
    #[serde(default)]
    pub license: Option<String>,
    /// Who may see it.
    #[serde(default)]
    pub visibility: Visibility,
    /// Where its source is.
    #[serde(default)]
    pub repository: Option<String>,
}

/// A parameter that a SmartModule takes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Encoder, Decoder)]
#[serde(deny_unknown_fields, default)]
pub struct Param {
    /// What it means.
    pub description: Option<String>,
    /// It need not be given.
    pub optional: bool,
}

/// What a SmartModule says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmartModuleSpec {
    /// Its package.
    pub package: Option<Package>,
    /// Its parameters, by name; only with a package.
    pub params: BTreeMap<String, Param>,
}

/// What is read of a `SmartModule.toml`. Other keys are passed over, as the official tools do.
#[derive(Deserialize)]
struct Manifest {
    package: SmartModulePackage,
    #[serde(default)]
    params: Vec<ManifestParam>,
}

#[derive(Deserialize)]
struct ManifestParam {
    name: String,
    description: Option<String>,
    #[serde(default)]
    optional: bool,
}

/// Where code lies in the bytes that come beside the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WasmRange {
    /// Its first byte.
    pub start: usize,
    /// How many bytes.
    pub length: usize,
}

/// A SmartModule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SmartModule {
    /// What it is stored as.
    pub name: String,
    /// What it says of itself.
    pub spec: SmartModuleSpec,
    /// Bytes of its code as it is stored.
    pub wasm_size: u64,
    /// Where its code is, if it was asked for.
    pub wasm: Option<WasmRange>,
}

/// A SmartModule with its code, as it is stored.
#[derive(Serialize)]
struct WithCode(SmartModule, #[serde(skip)] Vec<u8>);

impl From<&SmartModulePackage> for Package {
    fn from(package: &SmartModulePackage) -> Self {
        Self {
            name: package.name.clone(),
            group: package.group.clone(),
            version: package.version.to_string(),
            api_version: package.api_version.to_string(),
            description: package.description.clone(),
            license: package.license.clone(),
            visibility: package.visibility.clone().into(),
            repository: package.repository.clone(),
        }
    }
}

impl SmartModuleSpec {
    /// What the text of a `SmartModule.toml` says, the file beside the source of a SmartModule.
    pub fn from_toml(text: &str) -> Result<Self> {
        let Manifest { package, params } = toml_edit::de::from_str(text).map_err(|cause| {
            let line =
                cause.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
            let at = line.map_or_else(String::new, |line| format!(", in line {line}"));
            Error::invalid(format!("the text is no SmartModule.toml{at}: {}", cause.message()))
        })?;
        let mut spec = Self { package: Some(Package::from(&package)), params: BTreeMap::new() };
        for ManifestParam { name, description, optional } in params {
            if spec.params.contains_key(&name) {
                return Err(Error::invalid(format!("params has \"{name}\" twice: each must be there once")));
            }
            spec.params.insert(name, Param { description, optional });
        }
        spec.validate()?;
        Ok(spec)
    }

    fn validate(&self) -> Result<()> {
        match &self.package {
            None if self.params.is_empty() => Ok(()),
            None => Err(Error::invalid("params are given without a package: only a package can have them")),
            Some(package) => {
                for (what, name) in [("package.name", &package.name), ("package.group", &package.group)] {
                    check_name(what, name)?;
                    if name.contains('@') {
                        return Err(Error::invalid(format!("{what} is \"{name}\": it must not contain \"@\"")));
                    }
                }
                Ok(())
            }
        }
    }

    fn into_upstream(self) -> Result<Option<SmartModuleMetadata>> {
        let Some(package) = self.package else { return Ok(None) };
        let version = |what: &str, text: &str| {
            FluvioSemVersion::parse(text).map_err(|cause| {
                let text =
                    format!("package.{what} is \"{text}\": it must be a semantic version such as 0.1.0 ({cause})");
                Error::invalid(text)
            })
        };
        let mut meta = SmartModuleMetadata {
            package: SmartModulePackage {
                version: version("version", &package.version)?,
                api_version: version("api_version", &package.api_version)?,
                name: package.name,
                group: package.group,
                description: package.description,
                license: package.license,
                visibility: package.visibility.into(),
                repository: package.repository,
            },
            ..SmartModuleMetadata::default()
        };
        for (name, Param { description, optional }) in self.params {
            // The crate exports no name for the type of its parameters.
            let mut param = meta.params.get_param(&name).cloned().unwrap_or_default();
            param.description = description;
            param.optional = optional;
            meta.params.insert_param(name, param);
        }
        Ok(Some(meta))
    }

    fn from_upstream(meta: &SmartModuleMetadata) -> Result<Self> {
        // Nor does it let one go through them: what it sends does.
        let mut encoded = Vec::new();
        let params =
            meta.params.encode(&mut encoded, 0).and_then(|()| BTreeMap::decode_from(&mut encoded.as_slice(), 0));
        Ok(Self {
            package: Some(Package::from(&meta.package)),
            params: params
                .map_err(|cause| Error::internal(format!("the parameters of a SmartModule cannot be read: {cause}")))?,
        })
    }
}

impl Kind for WithCode {
    type Spec = Upstream;
    type UpstreamStatus = SmartModuleStatus;
    const LABEL: &str = "SmartModule";
    const MISSING: ErrorKind = ErrorKind::SmartModuleNotFound;
    const FILTERED: bool = false;

    fn from_upstream(Metadata { name, spec, status: SmartModuleStatus }: Metadata<Upstream>) -> Result<Self> {
        let wasm_size = match &spec.summary {
            Some(summary) => summary.wasm_length.into(),
            None => spec.wasm.payload.len() as u64,
        };
        let code = spec.wasm.payload.to_vec();
        let spec = spec.meta.as_ref().map(SmartModuleSpec::from_upstream).transpose()?.unwrap_or_default();
        Ok(Self(SmartModule { name, spec, wasm_size, wasm: None }, code))
    }

    fn name(&self) -> &str {
        &self.0.name
    }
}

impl Kind for SmartModule {
    type Spec = Upstream;
    type UpstreamStatus = SmartModuleStatus;
    const LABEL: &str = WithCode::LABEL;
    const MISSING: ErrorKind = WithCode::MISSING;
    const FILTERED: bool = WithCode::FILTERED;

    fn from_upstream(object: Metadata<Upstream>) -> Result<Self> {
        WithCode::from_upstream(object).map(|WithCode(module, _)| module)
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// Code as it is stored: compressed.
fn pack(wasm: &[u8]) -> Result<Vec<u8>> {
    if wasm.starts_with(GZIP) {
        let code = unpack(wasm).map_err(|why| {
            Error::invalid(format!("the code {why}; it must be WebAssembly, or that compressed with gzip"))
        })?;
        return check_wasm(&code).map(|()| wasm.to_vec());
    }
    check_wasm(wasm)?;
    let mut packed = Vec::new();
    GzEncoder::new(wasm, Compression::default())
        .read_to_end(&mut packed)
        .map_err(|cause| Error::internal(format!("the code of a SmartModule cannot be compressed: {cause}")))?;
    Ok(packed)
}

fn check_wasm(code: &[u8]) -> Result<()> {
    match code.starts_with(WASM) {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "the code has {} bytes that are not WebAssembly: it must begin with \"\\0asm\", or be that compressed with gzip",
            code.len()
        ))),
    }
}

/// Code as it was made. What is not compressed is given as it is.
fn unpack(stored: &[u8]) -> std::result::Result<Vec<u8>, String> {
    if !stored.starts_with(GZIP) {
        return Ok(stored.to_vec());
    }
    let mut code = Vec::new();
    match GzDecoder::new(stored).take(LARGEST + 1).read_to_end(&mut code) {
        Ok(_) if code.len() as u64 <= LARGEST => Ok(code),
        Ok(_) => Err(format!("has more than {LARGEST} bytes when it is unpacked")),
        Err(cause) => Err(format!("cannot be unpacked: {cause}")),
    }
}

/// Moves the code of modules behind each other.
fn lay_out(modules: Vec<WithCode>) -> Result<(Vec<SmartModule>, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut laid = Vec::with_capacity(modules.len());
    for WithCode(mut module, stored) in modules {
        let code = unpack(&stored).map_err(|why| {
            Error::new(ErrorKind::SmartModule, format!("the code of SmartModule \"{}\" {why}", module.name))
        })?;
        module.wasm = Some(WasmRange { start: bytes.len(), length: code.len() });
        bytes.extend_from_slice(&code);
        laid.push(module);
    }
    Ok((laid, bytes))
}

impl Package {
    fn is_called(&self, key: &SmartModulePackageKey) -> bool {
        key.name == self.name
            && key.group.as_ref().is_none_or(|group| *group == self.group)
            && key.version.as_ref().is_none_or(|version| version.to_string() == self.version)
    }
}

impl SmartModule {
    /// Whether a name, perhaps one of a package, means this one.
    fn is_called(&self, name: &str, key: Option<&SmartModulePackageKey>) -> bool {
        let Some(package) = self.spec.package.as_ref().filter(|_| self.name != name) else {
            return self.name == name;
        };
        key.is_some_and(|key| package.is_called(key))
    }

    /// Whether SPUs take a name for it: one without a package has any group and version.
    fn is_run_as(&self, key: &SmartModulePackageKey) -> bool {
        match &self.spec.package {
            Some(package) => package.is_called(key),
            None => key.name == self.name,
        }
    }

    /// Under which name the server's list finds it.
    fn full_name(&self) -> String {
        match &self.spec.package {
            Some(package) => format!("{}/{}@{}", package.group, package.name, package.version),
            None => self.name.clone(),
        }
    }
}

impl Admin {
    /// Creates a SmartModule from WebAssembly, perhaps compressed with gzip. `name` is needed without a package, and
    /// else what the server makes of it. `overwrite`: replaces one of that name.
    pub async fn create_smartmodule(
        &self,
        name: Option<&str>,
        spec: SmartModuleSpec,
        wasm: &[u8],
        flags: CreateFlags,
        overwrite: bool,
    ) -> Result<SmartModule> {
        spec.validate()?;
        let meta = spec.into_upstream()?;
        let name = match (name, meta.as_ref().map(SmartModuleMetadata::store_id)) {
            (None, None) => return Err(Error::invalid("name is not given: it must be, where spec has no package")),
            (None, Some(stored)) => stored,
            (Some(name), Some(stored)) if name != stored => {
                return Err(Error::invalid(format!(
                    "name is \"{name}\": the package is stored as \"{stored}\"; give that, or none"
                )));
            }
            (Some(name), _) => name.to_owned(),
        };
        check_name("name", &name)?;
        let spec = Upstream { meta, summary: None, wasm: SmartModuleWasm::from_compressed_gzip(pack(wasm)?) };
        // Where it may exist, or is replaced, creating it again changes nothing more.
        let (mut attempts, repeatable) = (self.attempts(), flags.exist_ok || overwrite);
        loop {
            match self.try_create_smartmodule(&name, spec.clone(), flags, overwrite).await {
                Err(error) if repeatable => attempts.after(error).await?,
                created => return created,
            }
        }
    }

    async fn try_create_smartmodule(
        &self,
        name: &str,
        spec: Upstream,
        flags: CreateFlags,
        overwrite: bool,
    ) -> Result<SmartModule> {
        match self.find::<SmartModule>(name).await.map_err(unsent)? {
            Some(existing) if flags.exist_ok && !overwrite => return Ok(existing),
            Some(_) if !overwrite => return Err(exists::<SmartModule>(name)),
            _ => {}
        }
        if flags.dry_run {
            return SmartModule::from_upstream(Metadata { name: name.to_owned(), spec, status: SmartModuleStatus });
        }
        let repeatable = CreateFlags { exist_ok: flags.exist_ok || overwrite, ..flags };
        self.send_create(SmartModule::LABEL, name, repeatable, spec).await?;
        self.get(name).await.map_err(done)
    }

    /// The SmartModules whose name contains a string, and, if asked for, their code.
    pub async fn smartmodules(&self, name_contains: Option<&str>, wasm: bool) -> Result<(Vec<SmartModule>, Vec<u8>)> {
        match wasm {
            false => Ok((self.list(name_contains, false, true).await?, Vec::new())),
            true => lay_out(self.list(name_contains, false, false).await?),
        }
    }

    /// The SmartModule of that name, as it is stored or as its package is called; and, if asked for, its code.
    pub async fn smartmodule(&self, name: &str, wasm: bool) -> Result<(SmartModule, Vec<u8>)> {
        let module = self.resolve(name).await?;
        if !wasm {
            return Ok((module, Vec::new()));
        }
        self.with_code(&module).await
    }

    /// The code that SPUs run as `name`: of all that it may mean, the one whose stored name is the lowest.
    pub(crate) async fn code_run_as(&self, name: &str) -> Result<Vec<u8>> {
        let key = SmartModulePackageKey::from_qualified_name(name).map_err(|_| missing::<SmartModule>(name))?;
        let stored = self.list::<SmartModule>(None, false, true).await?;
        let meant = stored.into_iter().filter(|module| module.is_run_as(&key));
        let module = meant.min_by(|one, other| one.name.cmp(&other.name));
        self.with_code(&module.ok_or_else(|| missing::<SmartModule>(name))?).await.map(|(_, code)| code)
    }

    async fn with_code(&self, module: &SmartModule) -> Result<(SmartModule, Vec<u8>)> {
        let fetched = self.fetch::<WithCode>(Some(&module.full_name()), false, false).await?;
        let wanted = fetched.into_iter().filter(|one| one.name() == module.name).collect();
        let (mut modules, code) = lay_out(wanted)?;
        modules.pop().map(|module| (module, code)).ok_or_else(|| missing::<SmartModule>(&module.name))
    }

    /// Deletes the SmartModule of that name, as [`Admin::smartmodule`] knows it.
    pub async fn delete_smartmodule(&self, name: &str, missing_ok: bool) -> Result<()> {
        match self.resolve(name).await {
            Err(error) if error.kind == ErrorKind::SmartModuleNotFound && missing_ok => Ok(()),
            Err(error) => Err(unsent(error)),
            Ok(module) => self.delete::<SmartModule>(&module.name, missing_ok).await,
        }
    }

    async fn resolve(&self, name: &str) -> Result<SmartModule> {
        let key = SmartModulePackageKey::from_qualified_name(name).ok();
        let mut found = self.list::<SmartModule>(None, false, true).await?;
        if let Some(at) = found.iter().position(|module| module.name == name) {
            return Ok(found.swap_remove(at));
        }
        found.retain(|module| module.is_called(name, key.as_ref()));
        match (found.pop(), found.len()) {
            (None, _) => Err(missing::<SmartModule>(name)),
            (Some(module), 0) => Ok(module),
            (Some(last), _) => {
                let names: Vec<String> = found.iter().chain([&last]).map(SmartModule::full_name).collect();
                let text =
                    format!("SmartModule \"{name}\" may be any of {}: give the whole name", first_few(names.iter()));
                Err(Error::new(ErrorKind::Usage, text))
            }
        }
    }
}
