//! The official client's profile file: read as it reads it, edited without losing what others wrote in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fluvio::FluvioClusterConfig;
use fluvio::config::{Config, TlsCerts, TlsConfig, TlsPaths, TlsPolicy};
use toml_edit::{DocumentMut, Item, Table, TableLike, value};

use crate::error::{Error, Result, first_few};
use crate::options::check_endpoint;
use crate::transport::{Identity, Pem, Tls, Verified};

/// The version of the format, as the official client writes it.
const VERSION: &str = "2.0";
/// How long another editor of the file is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a cluster is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterConfig {
    /// `host:port` of the SC.
    pub endpoint: String,
    /// How connections are protected.
    pub tls: Tls,
    /// Dial the SPUs' local addresses.
    pub use_spu_local_address: bool,
}

/// A name for a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// The name of the cluster.
    pub cluster: String,
    /// How that is reached; `None`: the file does not say.
    pub config: Option<ClusterConfig>,
}

/// A profile file.
#[derive(Debug, Clone)]
pub struct Profiles {
    path: PathBuf,
}

impl Profiles {
    /// The file at `path`; `None`: at `FLV_PROFILE_PATH`, else `~/.fluvio/config`.
    pub fn at(path: Option<&Path>) -> Result<Self> {
        if let Some(path) = path {
            return Ok(Self { path: path.into() });
        }
        if let Some(path) = std::env::var_os("FLV_PROFILE_PATH") {
            return Ok(Self { path: path.into() });
        }
        match std::env::home_dir() {
            Some(home) => Ok(Self { path: home.join(".fluvio").join("config") }),
            None => Err(Error::invalid(
                "there is no home directory to find .fluvio/config in; set FLV_PROFILE_PATH, or give an endpoint",
            )),
        }
    }

    /// Where the file is, or will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The named profile, or the current one.
    pub fn load(&self, name: Option<&str>) -> Result<ClusterConfig> {
        let (current, mut profiles) = self.list()?;
        if profiles.is_empty() && !self.path.exists() {
            let text = format!("{} does not exist", self.shown());
            return Err(Error::invalid(format!("{text}; give an endpoint, or say in FLV_PROFILE_PATH where it is")));
        }
        let Some(name) = name.or(current.as_deref()) else {
            let text = format!("{} has no current profile", self.shown());
            return Err(Error::invalid(format!(
                "{text}; name one (it has: {}), or give an endpoint",
                names(&profiles)
            )));
        };
        let Some(position) = profiles.iter().position(|profile| profile.name == name) else {
            return Err(self.unknown(name, &names(&profiles)));
        };
        let Profile { cluster, config, .. } = profiles.swap_remove(position);
        config.ok_or_else(|| {
            let text = format!("profile \"{name}\" names cluster \"{cluster}\"");
            Error::invalid(format!("{text}, which is not in {}: add it", self.shown()))
        })
    }

    /// The name of the current profile, and all profiles, by name. A file that does not exist has none.
    pub fn list(&self) -> Result<(Option<String>, Vec<Profile>)> {
        let Some(text) = self.read(&self.path)? else { return Ok((None, Vec::new())) };
        let config = self.parse(&text)?;
        let mut profiles = Vec::with_capacity(config.profile.len());
        for (name, profile) in &config.profile {
            let found = config.cluster(&profile.cluster).map(|it| self.understand(&profile.cluster, it)).transpose()?;
            profiles.push(Profile { name: name.clone(), cluster: profile.cluster.clone(), config: found });
        }
        profiles.sort_by(|one, other| one.name.cmp(&other.name));
        Ok((config.current_profile_name().map(str::to_owned), profiles))
    }

    /// Adds a profile, and a cluster of the same name. One of that name is an error, unless it is to be overwritten.
    /// The profile becomes the current one if `current`, or if there is none.
    pub fn add(&self, name: &str, config: &ClusterConfig, overwrite: bool, current: bool) -> Result<()> {
        check_name(name)?;
        check_endpoint(&config.endpoint)?;
        let tls = tls_table(&config.tls)?;
        self.edit(|document| {
            let exists = |section: &str| document.get(section).is_some_and(|it| it.get(name).is_some());
            if !overwrite && (exists("profile") || exists("cluster")) {
                let text = format!(
                    "{} has a profile or a cluster \"{name}\" already; overwrite it, or take another name",
                    self.shown()
                );
                return Err(Error::invalid(text));
            }
            entry(section(document, "profile")?, name)?.insert("cluster", value(name));
            let cluster = entry(section(document, "cluster")?, name)?;
            cluster.remove("addr");
            cluster.insert("endpoint", value(config.endpoint.as_str()));
            cluster.insert("use_spu_local_address", value(config.use_spu_local_address));
            cluster.insert("tls", Item::Table(tls));
            if current || document.get("current_profile").is_none() {
                document.insert("current_profile", value(name));
            }
            Ok(())
        })
    }

    /// Makes a profile the current one.
    pub fn switch(&self, name: &str) -> Result<()> {
        self.edit(|document| {
            self.require(document, name)?;
            let key = document.entry("current_profile").or_insert(value(""));
            replace(key, name);
            Ok(())
        })
    }

    /// Gives a profile another name; its cluster keeps its own.
    pub fn rename(&self, name: &str, to: &str) -> Result<()> {
        check_name(to)?;
        self.edit(|document| {
            self.require(document, name)?;
            let profiles = section(document, "profile")?;
            if profiles.contains_key(to) {
                let text = format!("{} has a profile \"{to}\" already; take another name", self.shown());
                return Err(Error::invalid(text));
            }
            if let Some(profile) = profiles.remove(name) {
                profiles.insert(to, profile);
            }
            if let Some(current) = document.get_mut("current_profile").filter(|it| it.as_str() == Some(name)) {
                replace(current, to);
            }
            Ok(())
        })
    }

    /// Removes a profile, and its cluster unless another profile uses that.
    pub fn delete(&self, name: &str) -> Result<()> {
        self.edit(|document| {
            self.require(document, name)?;
            let profiles = section(document, "profile")?;
            let cluster = |profile: &Item| profile.get("cluster").and_then(Item::as_str).map(str::to_owned);
            let removed = profiles.remove(name).as_ref().and_then(cluster);
            let used: Vec<_> = profiles.iter().filter_map(|(_, profile)| cluster(profile)).collect();
            if let Some(removed) = removed.filter(|it| !used.contains(it)) {
                section(document, "cluster")?.remove(&removed);
            }
            if document.get("current_profile").and_then(Item::as_str) == Some(name) {
                document.remove("current_profile");
            }
            Ok(())
        })
    }

    fn shown(&self) -> String {
        format!("the profile file \"{}\"", self.path.display())
    }

    fn unknown(&self, name: &str, known: &str) -> Error {
        Error::invalid(format!("{} has no profile \"{name}\"; it has: {known}", self.shown()))
    }

    fn require(&self, document: &DocumentMut, name: &str) -> Result<()> {
        let profiles = document.get("profile").and_then(Item::as_table_like);
        let known: Vec<&str> = profiles.into_iter().flat_map(TableLike::iter).map(|(name, _)| name).collect();
        match known.contains(&name) {
            true => Ok(()),
            false => Err(self.unknown(name, &first_few(known.iter().map(|name| format!("\"{name}\""))))),
        }
    }

    fn read(&self, path: &Path) -> Result<Option<String>> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(Error::invalid(format!("{} cannot be read: {cause}", self.shown())).caused_by(&cause)),
        }
    }

    /// What the official client makes of it.
    fn parse(&self, text: &str) -> Result<Config> {
        toml_edit::de::from_str(text).map_err(|cause| self.unreadable(text, cause.span(), cause.message()))
    }

    /// Names the line, without what is in it: that may be a key.
    fn unreadable(&self, text: &str, span: Option<std::ops::Range<usize>>, why: &str) -> Error {
        let at = span.map_or_else(String::new, |span| {
            let before = text.get(..span.start).unwrap_or_default();
            format!(" in line {}", before.matches('\n').count() + 1)
        });
        Error::invalid(format!("{} is not one{at}: {why}", self.shown()))
    }

    fn understand(&self, cluster: &str, found: &FluvioClusterConfig) -> Result<ClusterConfig> {
        let given = |text: &str| Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
        let (domain, ca, cert, key) = match &found.tls {
            TlsPolicy::Disabled => return Ok(config_of(found, Tls::Disabled)),
            TlsPolicy::Anonymous => return Ok(config_of(found, Tls::Anonymous)),
            TlsPolicy::Verified(TlsConfig::Inline(TlsCerts { domain, key, cert, ca_cert })) => {
                let pem = |text: &str| given(text).map(Pem::Text);
                (domain, pem(ca_cert), pem(cert), pem(key))
            }
            TlsPolicy::Verified(TlsConfig::Files(TlsPaths { domain, key, cert, ca_cert })) => {
                let pem = |path: &Path| Some(path.to_owned()).filter(|it| !it.as_os_str().is_empty()).map(Pem::Path);
                (domain, pem(ca_cert), pem(cert), pem(key))
            }
        };
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => Some(Identity { cert, key }),
            (None, None) => None,
            _ => {
                let text = format!("cluster \"{cluster}\" in {}", self.shown());
                return Err(Error::invalid(format!("{text} has one of cert and key: they belong together")));
            }
        };
        Ok(config_of(found, Tls::Verified(Verified { domain: given(domain), ca, identity })))
    }

    /// Changes the file: under a lock, and all at once.
    fn edit(&self, change: impl FnOnce(&mut DocumentMut) -> Result<()>) -> Result<()> {
        let failed =
            |cause: io::Error| Error::invalid(format!("{} cannot be written: {cause}", self.shown())).caused_by(&cause);
        // A link stays one.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder).map_err(failed)?;
        let _lock = lock(folder).map_err(failed)?;

        let text = match self.read(&path)? {
            // The official client wants both tables.
            None => format!("version = \"{VERSION}\"\n\n[profile]\n\n[cluster]\n"),
            Some(text) => {
                self.parse(&text)?;
                text
            }
        };
        let mut document: DocumentMut = text
            .parse()
            .map_err(|cause: toml_edit::TomlError| self.unreadable(&text, cause.span(), cause.message()))?;
        change(&mut document)?;
        let text = document.to_string();
        self.parse(&text)?;
        write(folder, &path, &text).map_err(failed)
    }
}

fn config_of(found: &FluvioClusterConfig, tls: Tls) -> ClusterConfig {
    ClusterConfig { endpoint: found.endpoint.clone(), tls, use_spu_local_address: found.use_spu_local_address }
}

fn names(profiles: &[Profile]) -> String {
    first_few(profiles.iter().map(|profile| format!("\"{}\"", profile.name)))
}

fn check_name(name: &str) -> Result<()> {
    match name.is_empty() || name.chars().any(char::is_control) {
        true => Err(Error::invalid(format!("the name of a profile is {name:?}: it must be text of one line"))),
        false => Ok(()),
    }
}

/// One of the two tables of the file.
fn section<'a>(document: &'a mut DocumentMut, name: &str) -> Result<&'a mut dyn TableLike> {
    let mut empty = Table::new();
    empty.set_implicit(true);
    table(document.entry(name).or_insert(Item::Table(empty)), name)
}

/// The table `name` in `section`, made if it is missing.
fn entry<'a>(section: &'a mut dyn TableLike, name: &str) -> Result<&'a mut dyn TableLike> {
    if !section.contains_key(name) {
        // Unlike an entry, this makes of it what can stand in the section: an inline table in one that is inline
        // itself.
        section.insert(name, Item::Table(Table::new()));
    }
    match section.get_mut(name) {
        Some(item) => table(item, name),
        None => Err(Error::internal(format!("the profile file takes no \"{name}\""))),
    }
}

fn table<'a>(item: &'a mut Item, name: &str) -> Result<&'a mut dyn TableLike> {
    item.as_table_like_mut()
        .ok_or_else(|| Error::invalid(format!("\"{name}\" in the profile file is no table: it must be one, [{name}]")))
}

/// Another value in the same place, with the comment behind it.
fn replace(item: &mut Item, text: &str) {
    let decor = item.as_value().map(|value| value.decor().clone());
    *item = value(text);
    if let (Some(decor), Some(value)) = (decor, item.as_value_mut()) {
        *value.decor_mut() = decor;
    }
}

/// The official client wants all four texts of a verified connection; those that are not given are empty.
fn tls_table(tls: &Tls) -> Result<Table> {
    let mut table = Table::new();
    let Tls::Verified(Verified { domain, ca, identity }) = tls else {
        table.insert("tls_policy", value(if *tls == Tls::Anonymous { "anonymous" } else { "disabled" }));
        return Ok(table);
    };
    let (cert, key) = identity.as_ref().map(|it| (&it.cert, &it.key)).unzip();
    let pems = [("key", key), ("cert", cert), ("ca_cert", ca.as_ref())];
    let inline = pems.iter().any(|(_, pem)| matches!(pem, Some(Pem::Text(_))));
    let mut certs = Table::new();
    certs.insert("domain", value(domain.as_deref().unwrap_or_default()));
    for (name, pem) in pems {
        let text = match pem {
            None => String::new(),
            Some(Pem::Text(text)) => text.clone(),
            Some(Pem::Path(_)) if inline => {
                let text = "a profile holds either paths or PEM text, not both: give ca, cert and key all one way";
                return Err(Error::invalid(format!("tls: {text}")));
            }
            // Profiles are used from anywhere.
            Some(Pem::Path(path)) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone()).into_os_string();
                path.into_string().map_err(|path| {
                    let text = format!("tls: a profile cannot hold the path {path:?}, which is not UTF-8");
                    Error::invalid(format!("{text}: give PEM text"))
                })?
            }
        };
        certs.insert(name, value(text));
    }
    table.insert("tls_policy", value("verified"));
    table.insert("tls_source", value(if inline { "inline" } else { "files" }));
    table.insert("certs", Item::Table(certs));
    Ok(table)
}

/// Held until it is dropped. The directory's, as the file itself is replaced.
fn lock(folder: &Path) -> io::Result<File> {
    let file = File::open(folder)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another program holds its directory locked"));
            }
            Err(TryLockError::Error(cause)) => return Err(cause),
        }
    }
}

/// Puts a new file in the place of the old one, with its permissions; a first one is its owner's alone, as keys may be
/// in it.
fn write(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let fresh = folder.join(format!(".fluvio-config-{}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(fs::Permissions::from_mode(old.permissions().mode()))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    })();
    if written.is_err() {
        // What failed is the news; that a file may be left, too, is not.
        let _ = fs::remove_file(&fresh);
    }
    written
}
