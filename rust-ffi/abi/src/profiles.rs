//! The official client's profile file. What is in it crosses as JSON; see `docs/c-abi.md`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fluvio_cffi_engine::{ClusterConfig, Error, Identity, Pem, Profile, Profiles, Result, Tls, Verified};
use serde::{Deserialize, Serialize};

use crate::boundary::{OK, export};
use crate::bytes::{flv_buffer_t, flv_slice_t};
use crate::json::give;
use crate::pointer::require;
use crate::status::{flv_error_t, flv_status_t};
use crate::tls::Texts;

#[derive(Serialize)]
struct FileDocument {
    path: String,
    current: Option<String>,
    profiles: Vec<ProfileDocument>,
}

#[derive(Serialize)]
struct ProfileDocument {
    name: String,
    cluster: String,
    config: Option<ConfigDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigDocument {
    endpoint: String,
    #[serde(default)]
    use_spu_local_address: bool,
    #[serde(default)]
    tls: TlsDocument,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "lowercase", deny_unknown_fields)]
enum TlsDocument {
    #[default]
    Disabled,
    Anonymous,
    Verified {
        #[serde(default)]
        domain: Option<String>,
        #[serde(default)]
        ca: Option<String>,
        #[serde(default)]
        cert: Option<String>,
        #[serde(default)]
        key: Option<String>,
    },
}

impl From<Profile> for ProfileDocument {
    fn from(Profile { name, cluster, config }: Profile) -> Self {
        Self { name, cluster, config: config.map(ConfigDocument::from) }
    }
}

impl From<ClusterConfig> for ConfigDocument {
    fn from(ClusterConfig { endpoint, tls, use_spu_local_address }: ClusterConfig) -> Self {
        let text = |pem: Pem| match pem {
            Pem::Text(text) => text,
            Pem::Path(path) => path.to_string_lossy().into_owned(),
        };
        let tls = match tls {
            Tls::Disabled => TlsDocument::Disabled,
            Tls::Anonymous => TlsDocument::Anonymous,
            Tls::Verified(Verified { domain, ca, identity }) => {
                let (cert, key) = identity.map(|Identity { cert, key }| (text(cert), text(key))).unzip();
                TlsDocument::Verified { domain, ca: ca.map(text), cert, key }
            }
        };
        Self { endpoint, use_spu_local_address, tls }
    }
}

impl ConfigDocument {
    fn config(self) -> Result<ClusterConfig> {
        let Self { endpoint, use_spu_local_address, tls } = self;
        let tls = match tls {
            TlsDocument::Disabled => Tls::Disabled,
            TlsDocument::Anonymous => Tls::Anonymous,
            TlsDocument::Verified { domain, ca, cert, key } => {
                let pem = |text: Option<String>| text.map(|text| Pem::new(text.as_bytes()));
                Texts { domain, ca: pem(ca), cert: pem(cert), key: pem(key) }.verified()?
            }
        };
        Ok(ClusterConfig { endpoint, tls, use_spu_local_address })
    }
}

fn profiles(path: flv_slice_t) -> Result<Profiles> {
    let path = path.bytes("path")?;
    Profiles::at(Some(Path::new(OsStr::from_bytes(path))).filter(|_| !path.is_empty()))
}

/// Reads a profile file: its path, the name of the current profile, and all profiles, as JSON in `*json`, which is the
/// caller's until `flv_buffer_free`. It may hold private keys. `path` empty: `FLV_PROFILE_PATH`, else
/// `~/.fluvio/config`. A file that does not exist has no profiles. Blocks for as long as reading the file takes. Any
/// thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_profiles_read(
    path: flv_slice_t,
    json: *mut *mut flv_buffer_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        require(json, "json")?;
        let profiles = profiles(path)?;
        let (current, found) = profiles.list()?;
        let document = FileDocument {
            path: profiles.path().to_string_lossy().into_owned(),
            current,
            profiles: found.into_iter().map(ProfileDocument::from).collect(),
        };
        give(&document, json)
    })
}

/// Adds profile `name` to a profile file, which is made if it is missing, and a cluster of the same name as the JSON
/// `config` describes it. What else is in the file stays. A profile or a cluster of that name is
/// `FLV_STATUS_INVALID_ARGUMENT`, unless `overwrite`. It becomes the current profile if `current`, or if there is none.
/// The file is replaced as a whole: readers see the old or the new one. Blocks for as long as that takes, and up to 5 s
/// while another program edits it. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_profiles_add(
    path: flv_slice_t,
    name: flv_slice_t,
    config: flv_slice_t,
    overwrite: u32,
    current: u32,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        // Without what was given: a key may be in it.
        let document: ConfigDocument = serde_json::from_slice(config.bytes("config")?).map_err(|cause| {
            Error::invalid(format!(
                "config is no document of a cluster, near column {}: see flv_profiles_add",
                cause.column()
            ))
        })?;
        profiles(path)?.add(name.text("name")?, &document.config()?, overwrite != 0, current != 0)?;
        Ok(OK)
    })
}

/// Makes profile `name` the current one, as `flv_profiles_add` edits. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_profiles_switch(
    path: flv_slice_t,
    name: flv_slice_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        profiles(path)?.switch(name.text("name")?)?;
        Ok(OK)
    })
}

/// Gives profile `name` another name; its cluster keeps its own. As `flv_profiles_add` edits. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_profiles_rename(
    path: flv_slice_t,
    name: flv_slice_t,
    to: flv_slice_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        profiles(path)?.rename(name.text("name")?, to.text("to")?)?;
        Ok(OK)
    })
}

/// Removes profile `name`, and its cluster unless another profile uses that, as `flv_profiles_add` edits. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_profiles_delete(
    path: flv_slice_t,
    name: flv_slice_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        profiles(path)?.delete(name.text("name")?)?;
        Ok(OK)
    })
}
