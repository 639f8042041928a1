//! The connector that the `fluvio` crate dials the SC with.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use fluvio_future::net::{BoxReadConnection, BoxWriteConnection, ConnectionFd, DomainConnector, TcpDomainConnector};
use futures_util::io::AsyncWrite as FuturesWrite;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};
use tokio_util::sync::CancellationToken;

use super::dialer::{Dialer, Dialled};
use super::greeting::{self, Server};
use super::{closed, tls};
use crate::error::Error;

/// Dials over tokio sockets with the options of ours. Must be used inside the engine's runtime.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    endpoint: String,
    dialer: Dialer,
    failure: Failure,
    lost: CancellationToken,
}

/// Why connecting failed: more than the `fluvio` crate lets through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<Error>>>);

impl Failure {
    pub(crate) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

impl Connector {
    /// For one connection to the SC at `endpoint`. Also gives where it says why it failed, and what is cancelled when the
    /// connection ends.
    pub(crate) fn new(endpoint: &str, dialer: Dialer) -> (Self, Failure, CancellationToken) {
        let (failure, lost) = (Failure::default(), CancellationToken::new());
        let connector = Self { endpoint: endpoint.to_owned(), dialer, failure: failure.clone(), lost: lost.clone() };
        (connector, failure, lost)
    }

    fn split<S>(&self, stream: S) -> (BoxWriteConnection, BoxReadConnection)
    where
        S: AsyncRead + AsyncWrite + Send + Sync + 'static,
    {
        let (read, write) = tokio::io::split(stream);
        let reader = Reader { half: read, connector: self.clone(), greeting: Some(Vec::new()) };
        (Box::new(Writer(write.compat_write())), Box::new(reader.compat()))
    }
}

#[async_trait]
impl TcpDomainConnector for Connector {
    async fn connect(&self, address: &str) -> io::Result<(BoxWriteConnection, BoxReadConnection, ConnectionFd)> {
        let dialled = self.dialer.dial(address, None).await.map_err(|error| {
            self.failure.set(error.clone());
            io::Error::other(error)
        })?;
        let descriptor = dialled.descriptor();
        let (writer, reader) = match dialled {
            Dialled::Plain(socket) => self.split(socket),
            Dialled::Tls(stream) => self.split(*stream),
        };
        Ok((writer, reader, descriptor))
    }

    fn new_domain(&self, endpoint: String) -> DomainConnector {
        Box::new(Self { endpoint, ..self.clone() })
    }

    fn domain(&self) -> &str {
        &self.endpoint
    }

    fn clone_box(&self) -> DomainConnector {
        Box::new(self.clone())
    }
}

/// The reading half: hears who answers, why a server refuses the client, which may come after the handshake, and that the
/// connection ends.
struct Reader<R> {
    half: R,
    connector: Connector,
    /// What has been heard, until that is a whole answer.
    greeting: Option<Vec<u8>>,
}

impl<R> Reader<R> {
    /// These bytes have come.
    fn hear(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(heard) = &mut self.greeting else { return Ok(()) };
        heard.extend_from_slice(bytes);
        match greeting::judge(&self.connector.endpoint, Server::Sc, heard) {
            Ok(false) => return Ok(()),
            Ok(true) => self.greeting = None,
            Err(error) => {
                self.connector.failure.set(error.clone());
                self.connector.lost.cancel();
                return Err(io::Error::other(error));
            }
        }
        Ok(())
    }

    /// The connection has ended.
    fn end(&self, cause: &io::Error) {
        let Connector { endpoint, dialer, failure, lost } = &self.connector;
        if let Some(reason) = tls::inside(cause) {
            failure.set(tls::refusal(endpoint, reason, dialer.has_identity()));
        } else if self.greeting.as_ref().is_some_and(Vec::is_empty) && greeting::is_end(cause) {
            failure.set(greeting::silent_end(Error::connection(endpoint, cause), dialer.is_tls()));
        }
        lost.cancel();
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Reader<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.half).poll_read(cx, buf);
        match &poll {
            Poll::Ready(Ok(())) if buf.filled().len() > before => self.hear(&buf.filled()[before..])?,
            Poll::Ready(Ok(())) if buf.remaining() > 0 => self.end(&closed()),
            Poll::Ready(Err(cause)) => self.end(cause),
            _ => {}
        }
        poll
    }
}

impl<R> Drop for Reader<R> {
    fn drop(&mut self) {
        self.connector.lost.cancel();
    }
}

/// The writing half. Dropping it ends what is sent, so that the server closes the connection, and the reader hears of it.
struct Writer<W: AsyncWrite + Unpin>(Compat<W>);

impl<W: AsyncWrite + Unpin> FuturesWrite for Writer<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

impl<W: AsyncWrite + Unpin> Drop for Writer<W> {
    fn drop(&mut self) {
        // Nobody waits for it: where the kernel takes nothing more, the socket's own end must do.
        let _ = Pin::new(&mut self.0).poll_close(&mut Context::from_waker(Waker::noop()));
    }
}
