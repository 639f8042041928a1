//! Certificates of the cluster's own making, and what its listeners make of them.
//!
//! In `tls/` of the data directory: `ca.crt` and `ca.key`, made once; `client.crt` and `client.key` for clients, made
//! once; `server.crt` and `server.key`, made at each start, as the host and the SPUs may have changed. Keys are PKCS#8.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::config::{Config, Tls};
use crate::files;

/// Where the certificates are in the data directory.
pub(crate) const DIRECTORY: &str = "tls";

/// The name that the official client can be given: it puts an SPU's name before it, and a wildcard needs two labels.
const DOMAIN: &str = "fluvio.local";

/// How connections are accepted, as `config` asks. `spus`: the names of the SPUs.
pub(crate) fn server_config(
    config: &Config,
    directory: &Path,
    spus: impl Iterator<Item = String>,
) -> io::Result<Option<Arc<ServerConfig>>> {
    if config.tls == Tls::Disabled {
        return Ok(None);
    }
    fs::create_dir_all(directory)?;
    let (ca, client, server) = (directory.join("ca"), directory.join("client"), directory.join("server"));

    let not_after = not_after(config);
    let mut authority = CertificateParams::default();
    authority.not_after = not_after;
    authority.distinguished_name = named("fluvio-cffi-cluster CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    if !exists(&ca) {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = authority.self_signed(&key).map_err(io::Error::other)?;
        keep(&ca, &certificate.pem(), &key)?;
    }
    let key = fs::read_to_string(ca.with_extension("key"))?;
    let issuer = Issuer::from_params(&authority, KeyPair::from_pem(&key).map_err(io::Error::other)?);

    if !exists(&client) {
        let mut params = CertificateParams::default();
        params.distinguished_name = named("fluvio-cffi-client");
        issue(&client, params, ExtendedKeyUsagePurpose::ClientAuth, &issuer, config)?;
    }
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend([DOMAIN.to_owned(), format!("*.{DOMAIN}")]);
    names.extend(spus.map(|spu| format!("{spu}.localhost")));
    if !names.contains(&config.host) {
        names.push(config.host.clone());
    }
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name = named("fluvio-cffi-cluster");
    issue(&server, params, ExtendedKeyUsagePurpose::ServerAuth, &issuer, config)?;

    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = match config.tls {
        Tls::Mutual => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(&ca.with_extension("crt"))? {
                roots.add(certificate).map_err(io::Error::other)?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()));
            builder.with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
        }
        _ => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_file(server.with_extension("key")).map_err(io::Error::other)?;
    let config =
        builder.with_single_cert(certificates(&server.with_extension("crt"))?, key).map_err(io::Error::other)?;
    Ok(Some(Arc::new(config)))
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::OrganizationName, "fluvio_cffi");
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// A second before, so that those without a lifetime have expired when they are shown.
fn not_after(config: &Config) -> OffsetDateTime {
    OffsetDateTime::now_utc() - Duration::SECOND + Duration::days(config.certificate_days.into())
}

fn exists(stem: &Path) -> bool {
    ["crt", "key"].iter().all(|extension| stem.with_extension(extension).exists())
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(io::Error::other)
}

/// Makes a certificate for one end, and keeps it.
fn issue(
    stem: &Path,
    mut params: CertificateParams,
    usage: ExtendedKeyUsagePurpose,
    issuer: &Issuer<'_, KeyPair>,
    config: &Config,
) -> io::Result<()> {
    // Clocks differ, and the certificate is to be good at once.
    params.not_before = OffsetDateTime::now_utc() - Duration::DAY;
    params.not_after = not_after(config);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.signed_by(&key, issuer).map_err(io::Error::other)?;
    keep(stem, &certificate.pem(), &key)
}

/// Writes a certificate, and its key so that only the owner can read it.
fn keep(stem: &Path, certificate: &str, key: &KeyPair) -> io::Result<()> {
    let path = stem.with_extension("key");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key.serialize_pem().as_bytes())?;
    files::replace(&stem.with_extension("crt"), certificate.as_bytes())
}
