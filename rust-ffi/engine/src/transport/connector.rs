//! The connector that the `fluvio` crate dials the SC with.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use fluvio_cffi_wire::FrameBuffer;
use fluvio_future::net::{BoxReadConnection, BoxWriteConnection, ConnectionFd, DomainConnector, TcpDomainConnector};
use futures_util::io::AsyncWrite as FuturesWrite;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};
use tokio_util::sync::CancellationToken;

use super::FRAME_LIMIT;
use super::dialer::{Dialer, Dialled};
use super::exchange::Exchange;
use super::greeting::{self, Server};
use super::{closed, tls};
use crate::error::Error;

/// Reads and replies between two turns of the other tasks on a thread of the crate's.
const STEPS: u32 = 64;

/// Bytes that are taken from the crate before they are written, at most about twice.
const MOST_OUT: usize = 64 << 10;

/// Dials over tokio sockets with the options of ours. Must be used inside the engine's runtime.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    endpoint: String,
    dialer: Dialer,
    failure: Failure,
    lost: CancellationToken,
}

/// Why a connection failed: more than the `fluvio` crate lets through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<Error>>>);

impl Failure {
    pub(crate) fn get(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, error: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

impl Connector {
    /// For one connection to the SC at `endpoint`. Also gives where it says why it failed, and what is cancelled when
    /// the connection ends.
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
        let exchange = Arc::new(Mutex::default());
        let reader = Reader {
            half: read,
            connector: self.clone(),
            exchange: Arc::clone(&exchange),
            frames: FrameBuffer::new(FRAME_LIMIT),
            greeted: false,
            given: VecDeque::new(),
            steps: 0,
        };
        (Box::new(Writer { half: write.compat_write(), exchange, out: BytesMut::new() }), Box::new(reader.compat()))
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

fn lock(exchange: &Mutex<Exchange>) -> MutexGuard<'_, Exchange> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The reading half. The crate gets whole replies only, that it can read and somebody waits for; others end the
/// connection. Also hears why a server refuses the client, which may come after the handshake, and that the connection
/// ends.
struct Reader<R> {
    half: R,
    connector: Connector,
    exchange: Arc<Mutex<Exchange>>,
    frames: FrameBuffer,
    /// Whether the SC has said who it is.
    greeted: bool,
    /// A reply that was checked, as far as the crate has not got it yet.
    given: VecDeque<Bytes>,
    /// How much was done since others last had a turn.
    steps: u32,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Reads some of what has arrived; false: the end.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let (half, space) = (&mut self.half, self.frames.space());
        let count = ready!(tokio_util::io::poll_read_buf(Pin::new(half), cx, space))?;
        Poll::Ready(Ok(count > 0))
    }

    /// The next reply, with its length, in place of the one that the crate has got. `None`: read on.
    fn next(&mut self) -> Result<Option<()>, Error> {
        if !self.greeted {
            self.greeted = greeting::judge(&self.connector.endpoint, Server::Sc, self.frames.arrived())?;
        }
        let next = self.frames.next_frame();
        let next = next.map_err(|cause| self.not_a_reply(&format!("something that is no frame: {cause}")))?;
        match next {
            // What nobody waits for is not waited for.
            None => {
                let Some((length, begun)) = self.frames.begun() else { return Ok(None) };
                let expected = lock(&self.exchange).expects(usize::try_from(length).unwrap_or(0), begun);
                expected.map(|()| None).map_err(|cause| self.not_a_reply(&cause))
            }
            Some(reply) => {
                let good = lock(&self.exchange).receive(&reply);
                good.map_err(|cause| self.not_a_reply(&cause))?;
                let length = (reply.len() as u32).to_be_bytes();
                self.given.extend([Bytes::copy_from_slice(&length), reply]);
                Ok(Some(()))
            }
        }
    }

    fn not_a_reply(&self, cause: &str) -> Error {
        Error::incompatible(format!("the SC at {} sent {cause}", self.connector.endpoint))
    }

    /// The connection is of no use any more.
    fn refuse(&self, error: Error) -> io::Error {
        self.connector.failure.set(error.clone());
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    /// The connection has ended.
    fn end(&self, cause: &io::Error) {
        let Connector { endpoint, dialer, failure, lost } = &self.connector;
        if let Some(reason) = tls::inside(cause) {
            failure.set(tls::refusal(endpoint, reason, dialer.has_identity()));
        } else if !self.greeted && self.frames.arrived().is_empty() && greeting::is_end(cause) {
            failure.set(greeting::silent_end(Error::connection(endpoint, cause), dialer.is_tls()));
        }
        lost.cancel();
    }

    fn poll_given(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.given.is_empty() {
            // The crate's tasks are not tokio's, and nobody but this half has them take turns.
            self.steps += 1;
            if self.steps > STEPS {
                self.steps = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let next = self.next().map_err(|error| self.refuse(error))?;
            if next.is_none() && !ready!(self.poll_bytes(cx))? {
                return Poll::Ready(Ok(()));
            }
        }
        while let Some(first) = self.given.front_mut().filter(|_| buf.remaining() > 0) {
            let part = first.split_to(first.len().min(buf.remaining()));
            buf.put_slice(&part);
            if first.is_empty() {
                self.given.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Reader<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = self.poll_given(cx, buf);
        match &poll {
            Poll::Ready(Ok(())) if buf.filled().len() == before && buf.remaining() > 0 => self.end(&closed()),
            Poll::Ready(Err(cause)) => self.end(cause),
            Poll::Ready(Ok(())) => {}
            Poll::Pending => self.steps = 0,
        }
        poll
    }
}

impl<R> Drop for Reader<R> {
    fn drop(&mut self) {
        self.connector.lost.cancel();
    }
}

/// The writing half, which notes what is asked. Dropping it ends what is sent, so that the server closes the
/// connection, and the reader hears of it.
struct Writer<W: AsyncWrite + Unpin> {
    half: Compat<W>,
    exchange: Arc<Mutex<Exchange>>,
    /// Taken from the crate and not written yet.
    out: BytesMut,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Writes what was taken.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            match ready!(Pin::new(&mut self.half).poll_write(cx, &self.out))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.out.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> FuturesWrite for Writer<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.out.len() >= MOST_OUT {
            ready!(self.poll_out(cx))?;
        }
        let Self { exchange, out, .. } = &mut *self;
        let taken = &buf[..buf.len().min(MOST_OUT)];
        lock(exchange).send(taken, out);
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.half).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.half).poll_close(cx)
    }
}

impl<W: AsyncWrite + Unpin> Drop for Writer<W> {
    fn drop(&mut self) {
        // Nobody waits for it: where the kernel takes nothing more, the socket's own end must do.
        let _ = Pin::new(&mut self.half).poll_close(&mut Context::from_waker(Waker::noop()));
    }
}
