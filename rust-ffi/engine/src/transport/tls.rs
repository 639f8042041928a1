//! What TLS a client asks for, and the certificates and keys for it.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::{Error, ErrorKind, Result, first_few};

/// How the connections of a client are protected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tls {
    /// Plain TCP.
    #[default]
    Disabled,
    /// Encrypted; whom it talks to is not checked.
    Anonymous,
    /// Encrypted, with the server's certificate checked.
    Verified(Verified),
}

/// Whom a client trusts, and who it says it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// The name that the SC's certificate must have, and an SPU's with the SPU's name and a dot before it. `None`: the
    /// host that is dialled.
    pub domain: Option<String>,
    /// The certificates of the CAs that are trusted. `None`: those that the system trusts.
    pub ca: Option<Pem>,
    /// Who the client is, for servers that ask.
    pub identity: Option<Identity>,
}

/// The certificate of a client, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, followed by those of intermediate CAs.
    pub cert: Pem,
    /// Its private key: PKCS#8, SEC1 or PKCS#1, not encrypted.
    pub key: Pem,
}

/// PEM text, or the path of a file with it.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// The text itself.
    Text(String),
    /// A path.
    Path(PathBuf),
}

impl Pem {
    /// Text if it looks like it, else a path, which may be of any bytes.
    pub fn new(value: &[u8]) -> Self {
        match String::from_utf8(value.to_owned()) {
            Ok(text) if text.contains("-----BEGIN ") || text.contains('\n') => Self::Text(text),
            _ => Self::Path(OsStr::from_bytes(value).into()),
        }
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Path(path) => std::fs::read(path).map_err(|cause| {
                let place = self.place();
                Error::invalid(format!("tls: {name} {place} cannot be read: {cause}")).caused_by(&cause)
            }),
        }
    }

    /// Where it comes from, for messages. The text is nobody's business.
    fn place(&self) -> String {
        match self {
            Self::Text(_) => "the given text".to_owned(),
            Self::Path(path) => format!("\"{}\"", path.display()),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(..)"),
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
        }
    }
}

impl Tls {
    /// What rustls needs; `None` without TLS. Reads files, and takes milliseconds for the system's certificates.
    pub(super) fn load(&self) -> Result<Option<Arc<ClientConfig>>> {
        // Named here: whoever embeds the library may have installed another one, or none, for the process.
        let provider = Arc::new(ring::default_provider());
        let unusable = |cause: &dyn fmt::Display| Error::invalid(format!("tls: {cause}"));
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|cause| unusable(&cause))?;
        let config = match self {
            Self::Disabled => return Ok(None),
            Self::Anonymous => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
                .with_no_client_auth(),
            Self::Verified(Verified { ca, identity, .. }) => {
                let roots = match ca {
                    Some(ca) => given_roots(ca)?,
                    None => system_roots()?,
                };
                let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|cause| unusable(&cause))?;
                let builder = builder.with_webpki_verifier(verifier);
                match identity {
                    None => builder.with_no_client_auth(),
                    Some(identity) => {
                        let certificates = certificates(&identity.cert, "cert")?;
                        let key = private_key(&identity.key)?;
                        builder.with_client_auth_cert(certificates, key).map_err(|cause| mismatch(identity, &cause))?
                    }
                }
            }
        };
        Ok(Some(Arc::new(config)))
    }
}

fn mismatch(identity: &Identity, cause: &rustls::Error) -> Error {
    let (cert, key) = (identity.cert.place(), identity.key.place());
    Error::invalid(match cause {
        rustls::Error::InconsistentKeys(_) => {
            format!("tls: the key in {key} does not belong to the certificate in {cert}")
        }
        cause => format!("tls: cert {cert} with key {key} cannot be used: {cause}"),
    })
}

/// The certificates in `source`, one at least.
fn certificates(source: &Pem, name: &str) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = source.read(name)?;
    let found: std::result::Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => {
            let text = format!("tls: {name}: there is no PEM certificate in {}", source.place());
            Err(Error::invalid(format!("{text}; it must be a file, or text, with \"-----BEGIN CERTIFICATE-----\"")))
        }
        Err(cause) => Err(Error::invalid(format!("tls: {name}: the PEM in {} is damaged: {cause}", source.place()))),
    }
}

fn private_key(source: &Pem) -> Result<PrivateKeyDer<'static>> {
    let bytes = source.read("key")?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|cause| {
        let place = source.place();
        Error::invalid(match cause {
            pem::Error::NoItemsFound if bytes.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED) => {
                format!("tls: key: the key in {place} is encrypted; it must be plain (openssl pkey decrypts it)")
            }
            pem::Error::NoItemsFound => {
                format!("tls: key: there is no PEM private key in {place}; it must be PKCS#8, SEC1 or PKCS#1")
            }
            cause => format!("tls: key: the PEM in {place} is damaged: {cause}"),
        })
    })
}

const ENCRYPTED: &[u8] = b"BEGIN ENCRYPTED PRIVATE KEY";

fn given_roots(ca: &Pem) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca, "ca")? {
        roots.add(certificate).map_err(|cause| {
            Error::invalid(format!("tls: ca: a certificate in {} cannot be used: {cause}", ca.place()))
        })?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    // Some could be read, and the one that is needed perhaps not.
    let causes = found.errors.iter().filter_map(|error| match &error.kind {
        rustls_native_certs::ErrorKind::Io { inner, .. } => Some(inner),
        _ => None,
    });
    let mut unread =
        causes.map(|cause| Error::invalid(format!("tls: the system's certificates: {cause}")).caused_by(cause));
    if let Some(error) = unread.find(|error| error.kind == ErrorKind::Resource) {
        return Err(error);
    }
    let mut roots = RootCertStore::empty();
    // Among the many there may be a few that nobody can use.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(String::new, |cause| format!(" ({cause})"));
        let text = format!("tls: the system has no trusted certificates{why}");
        return Err(Error::invalid(format!("{text}: give the CA's with ca, or install some (ca-certificates)")));
    }
    Ok(roots)
}

/// Takes any certificate; the handshake is signed with its key all the same.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The TLS error in an I/O error.
pub(super) fn inside(cause: &io::Error) -> Option<&rustls::Error> {
    cause.get_ref()?.downcast_ref()
}

/// A name in a certificate: `DnsName("localhost")` is `"localhost"`.
fn plain_name(shown: &str) -> &str {
    shown.split_once('(').and_then(|(_, name)| name.strip_suffix(')')).unwrap_or(shown)
}

/// Why TLS with `peer` failed, and what to do about it. `shown`: whether there is a certificate to show to the server.
pub(super) fn refusal(peer: &str, cause: &rustls::Error, shown: bool) -> Error {
    use rustls::AlertDescription as A;
    use rustls::CertificateError as C;
    use rustls::Error as E;
    let why = match cause {
        // A bad signature: a CA of that name is trusted, but it is another one.
        E::InvalidCertificate(C::UnknownIssuer | C::BadSignature) => {
            "the server's certificate is not signed by a CA that is trusted; give the CA's certificate with ca"
                .to_owned()
        }
        E::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            format!("the server's certificate has expired: {cause}; renew it, or correct the clock of this machine")
        }
        E::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            format!("the server's certificate is not valid yet: {cause}; correct the clock of one of the machines")
        }
        E::InvalidCertificate(C::NotValidForNameContext { expected, presented }) => {
            let (expected, names) = (expected.to_str(), first_few(presented.iter().map(|name| plain_name(name))));
            format!(
                "the server's certificate is for another name than \"{expected}\": {names}; give one of those with domain"
            )
        }
        E::InvalidCertificate(_) => format!("the server's certificate is not accepted: {cause}"),
        E::AlertReceived(A::CertificateRequired) => {
            "the server wants a certificate of the client; give it with cert and key".to_owned()
        }
        E::AlertReceived(
            A::UnknownCA
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::DecryptError
            | A::AccessDenied,
        ) if shown => format!("the server does not accept the certificate of the client: {cause}"),
        E::AlertReceived(_) if !shown => {
            format!("the server refuses: {cause}; it may want a certificate of the client (cert and key)")
        }
        E::InvalidMessage(_) => format!("the server does not speak TLS on that port ({cause}); connect without tls="),
        _ => cause.to_string(),
    };
    Error::new(ErrorKind::Tls, format!("TLS with {peer}: {why}"))
}
