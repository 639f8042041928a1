//! The connector that the `fluvio` crate dials the SC with.

use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use fluvio_future::net::{BoxReadConnection, BoxWriteConnection, ConnectionFd, DomainConnector, TcpDomainConnector};
use futures_util::io::AsyncWrite as FuturesWrite;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use super::{SocketGuard, acknowledge_at_once, dial};

/// Dials over tokio sockets with the options of ours. Must be used inside the engine's runtime.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    domain: String,
}

impl Connector {
    /// For the SC at `endpoint`.
    pub(crate) fn new(endpoint: &str) -> Self {
        Self { domain: endpoint.to_owned() }
    }
}

#[async_trait]
impl TcpDomainConnector for Connector {
    async fn connect(&self, address: &str) -> io::Result<(BoxWriteConnection, BoxReadConnection, ConnectionFd)> {
        let (guard, stream) = dial(address).await?;
        let guard = Arc::new(guard);
        acknowledge_at_once(&stream);
        let descriptor = stream.as_raw_fd();
        let (read, write) = stream.into_split();
        let reader = Reader { _guard: Arc::clone(&guard), half: read };
        let writer = Writer { _guard: guard, half: write.compat_write() };
        Ok((Box::new(writer), Box::new(reader.compat()), descriptor))
    }

    fn new_domain(&self, domain: String) -> DomainConnector {
        Box::new(Self { domain })
    }

    fn domain(&self) -> &str {
        &self.domain
    }

    fn clone_box(&self) -> DomainConnector {
        Box::new(self.clone())
    }
}

/// The reading half. The guard stands first: it must go before the half that may close the socket.
struct Reader {
    _guard: Arc<SocketGuard>,
    half: OwnedReadHalf,
}

impl AsyncRead for Reader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.half).poll_read(cx, buf);
        if poll.is_pending() {
            acknowledge_at_once(self.half.as_ref());
        }
        poll
    }
}

struct Writer {
    _guard: Arc<SocketGuard>,
    half: Compat<tokio::net::tcp::OwnedWriteHalf>,
}

impl FuturesWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.half).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_close(cx)
    }
}
