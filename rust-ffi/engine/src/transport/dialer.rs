//! Opening connections, plain or with TLS.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connection;
use super::greeting::{self, Server};
use super::socket::Socket;
use super::tls::{self, Tls, Verified};
use crate::blocking;
use crate::error::{Error, ErrorKind, Phase, Result};

/// How long a server may say nothing to a TLS handshake before it is asked whether it speaks without.
const SILENCE: Duration = Duration::from_secs(1);

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
        let tls = match tls {
            Tls::Disabled => None,
            tls => blocking::run("reading certificates", move || tls.load()).await?,
        };
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
        let socket = connect(address).await?;
        let Some(config) = &self.tls else { return Ok(Dialled::Plain(socket)) };
        let name = self.server_name(address, spu)?;
        let agree = TlsConnector::from(Arc::clone(config)).connect(name, socket);
        let expected = if spu.is_some() { Server::Spu } else { Server::Sc };
        tokio::select! {
            biased;
            agreed = agree => match agreed {
                Ok(stream) => Ok(Dialled::Tls(Box::new(stream))),
                Err(cause) => Err(self.disagreement(address, &cause)),
            },
            () = tokio::time::sleep(self.handshake_timeout) => {
                let seconds = self.handshake_timeout.as_secs_f64();
                let text = format!(
                    "connection to {address}: no answer to the TLS handshake within {seconds} s, as of a server that speaks no TLS; \
                     if so, connect without tls="
                );
                Err(Error::timeout(Phase::Connect, text))
            }
            () = self.plain(address, expected) => Err(greeting::plain(address, expected)),
        }
    }

    /// What kept a TLS handshake from its end.
    fn disagreement(&self, address: &str, cause: &io::Error) -> Error {
        match tls::inside(cause) {
            Some(reason) => tls::refusal(address, reason, self.has_identity()),
            None if cause.kind() == io::ErrorKind::UnexpectedEof => {
                let text = format!(
                    "connection to {address}: closed by the other side in the TLS handshake; if it speaks no TLS, connect without \
                     tls="
                );
                Error::new(ErrorKind::Connection, text)
            }
            None => Error::connection(address, cause),
        }
    }

    /// Ends if the server, which is silent, turns out to speak Fluvio without TLS. It would take a TLS handshake for
    /// the beginning of a long frame, and wait for the rest: so it is asked without, on another connection, which tells
    /// it nothing but our version.
    async fn plain(&self, address: &str, expected: Server) {
        tokio::time::sleep(SILENCE.min(self.handshake_timeout / 2)).await;
        if greets(address, expected).await.is_none() {
            std::future::pending().await
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

/// Whether what is `expected` is at `address`, and speaks without TLS; `None`: not.
async fn greets(address: &str, expected: Server) -> Option<()> {
    let mut socket = connect(address).await.ok()?;
    socket.write_all(&connection::greeting().ok()?).await.ok()?;
    let mut heard = Vec::new();
    while !greeting::judge(address, expected, &heard).ok()? {
        if socket.read_buf(&mut heard).await.ok()? == 0 {
            return None;
        }
    }
    Some(())
}

/// A socket that is connected to `address`: where the first of its host's addresses answers.
async fn connect(address: &str) -> Result<Socket> {
    let mut last = None;
    for place in resolve(address).await? {
        match Socket::connect(place).await {
            Ok(socket) => return Ok(socket),
            Err(cause) => last = Some((place, cause)),
        }
    }
    let what = format!("connection to {address}");
    Err(match last {
        None => Error::new(ErrorKind::Connection, format!("{what}: the host has no address")),
        Some((place, cause)) if cause.kind() == io::ErrorKind::AddrNotAvailable && has_address_for(place) => {
            Error::resource(&what, &cause, "no local port is free: connections that ended keep theirs for a minute")
        }
        Some((_, cause)) => Error::connection(address, &cause),
    })
}

/// Where `address` is. Only names are looked up.
async fn resolve(address: &str) -> Result<Vec<SocketAddr>> {
    if let Ok(place) = address.parse() {
        return Ok(vec![place]);
    }
    let name = address.to_owned();
    blocking::run(&format!("looking up {address}"), move || {
        // Without a descriptor the resolver finds nothing, and does not say why: a socket cannot be had then either.
        let why = |cause| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).err().unwrap_or(cause);
        let places = name.to_socket_addrs().map_err(|cause| Error::connection(&name, &why(cause)))?;
        Ok(places.collect())
    })
    .await
}

/// Whether this machine has an address from which `place` can be reached. If not, it is not for want of ports that a
/// connection has none.
fn has_address_for(place: SocketAddr) -> bool {
    let any: SocketAddr = match place {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    UdpSocket::bind(any).and_then(|socket| socket.connect(place)).is_ok()
}

/// The host in `host:port`; an IPv6 address without its brackets.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}
