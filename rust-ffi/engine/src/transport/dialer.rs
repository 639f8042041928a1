//! Opening connections, plain or with TLS.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::socket::Socket;
use super::tls::{self, Tls, Verified};
use crate::error::{Error, ErrorKind, Phase, Result};

/// How a client opens its connections. A cheap handle.
#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    tls: Option<Arc<ClientConfig>>,
    domain: Option<Arc<str>>,
    handshake_timeout: Duration,
}

/// An open connection.
pub(super) enum Dialled {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Dialled {
    pub(super) fn descriptor(&self) -> RawFd {
        match self {
            Self::Plain(socket) => socket.descriptor(),
            Self::Tls(stream) => stream.get_ref().0.descriptor(),
        }
    }
}

impl Dialer {
    /// Reads the certificates.
    pub(crate) async fn new(tls: Tls, handshake_timeout: Duration) -> Result<Self> {
        let domain = match &tls {
            Tls::Verified(Verified { domain, .. }) => domain.as_deref().map(Arc::from),
            _ => None,
        };
        let loading = tokio::task::spawn_blocking(move || tls.load()).await;
        let tls = loading.map_err(|cause| Error::internal(format!("reading certificates: {cause}")))??;
        Ok(Self { tls, domain, handshake_timeout })
    }

    /// Whether it is TLS that is spoken.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether the server could ask for a certificate and get one.
    pub(super) fn has_identity(&self) -> bool {
        self.tls.as_ref().is_some_and(|config| config.client_auth_cert_resolver.has_certs())
    }

    /// Opens a connection to `address` (`host:port`), where the SC is, or the SPU with that name.
    pub(super) async fn dial(&self, address: &str, spu: Option<&str>) -> Result<Dialled> {
        let socket = Socket::connect(address).await.map_err(|cause| Error::connection(address, &cause))?;
        let Some(config) = &self.tls else { return Ok(Dialled::Plain(socket)) };
        let name = self.server_name(address, spu)?;
        let agree = TlsConnector::from(Arc::clone(config)).connect(name, socket);
        match tokio::time::timeout(self.handshake_timeout, agree).await {
            Ok(Ok(stream)) => Ok(Dialled::Tls(Box::new(stream))),
            Ok(Err(cause)) => Err(match tls::inside(&cause) {
                Some(reason) => tls::refusal(address, reason, self.has_identity()),
                None if cause.kind() == io::ErrorKind::UnexpectedEof => Error::new(
                    ErrorKind::Connection,
                    format!(
                        "connection to {address}: closed by the other side in the TLS handshake; does it speak TLS?"
                    ),
                ),
                None => Error::connection(address, &cause),
            }),
            Err(_) => Err(Error::timeout(
                Phase::Connect,
                format!(
                    "{address} did not answer the TLS handshake within {} s; does it speak TLS?",
                    self.handshake_timeout.as_secs_f64()
                ),
            )),
        }
    }

    /// The name that the certificate must have.
    fn server_name(&self, address: &str, spu: Option<&str>) -> Result<ServerName<'static>> {
        let name = match (&self.domain, spu) {
            (Some(domain), Some(spu)) => format!("{spu}.{domain}"),
            (Some(domain), None) => domain.to_string(),
            (None, _) => host(address).to_owned(),
        };
        ServerName::try_from(name)
            .map_err(|cause| Error::new(ErrorKind::Tls, format!("TLS with {address}: the server's name: {cause}")))
    }
}

/// The host in `host:port`; an IPv6 address without its brackets.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}
