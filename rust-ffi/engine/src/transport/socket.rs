//! A TCP socket of ours, with what every one of them needs.

use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::descriptors::Registered;

/// The kernel gives up on a peer that acknowledges nothing for this long.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
const KEEPALIVE_AFTER: Duration = Duration::from_secs(20);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// A peer that is gone is an error, not a SIGPIPE that ends a host which does not ignore it.
#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: i32 = libc::MSG_NOSIGNAL;
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: i32 = 0;

/// Reads in a row before others have a turn.
const MOST_READS: u32 = 64;

/// More than the answer to a small request has.
const SMALL: usize = 1024;

static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// How many sockets of ours are open in the process.
pub(crate) fn connections() -> usize {
    CONNECTIONS.load(Ordering::Relaxed)
}

/// Counts as an open socket for as long as it lives.
#[derive(Debug)]
struct Counted;

impl Counted {
    fn new() -> Self {
        CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
    }
}

fn read_some(mut source: impl Read, space: &mut BytesMut) -> io::Result<usize> {
    let mut bytes = [0; SMALL];
    let count = source.read(&mut bytes)?;
    space.extend_from_slice(&bytes[..count]);
    Ok(count)
}

fn is_open(socket: &SockRef<'_>) -> bool {
    match socket.peek(&mut [MaybeUninit::uninit()]) {
        Ok(count) => count > 0,
        Err(cause) => cause.kind() == io::ErrorKind::WouldBlock,
    }
}

#[derive(Debug)]
struct Inner {
    counted: Counted,
    /// Since others last had a turn.
    reads: AtomicU32,
    /// Stands before the socket, as it must go before it.
    registered: Registered,
    stream: TcpStream,
}

/// A handle. The socket is closed with the last one.
#[derive(Debug, Clone)]
pub(super) struct Socket(Arc<Inner>);

impl Socket {
    /// Connects to `address`.
    pub(super) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let registered = Registered::new(stream.as_raw_fd());
        let socket = Self(Arc::new(Inner { counted: Counted::new(), reads: AtomicU32::new(0), registered, stream }));
        socket.0.stream.set_nodelay(true)?;
        let options = socket.options();
        options.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_INTERVAL))?;
        #[cfg(target_os = "linux")]
        options.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        Ok(socket)
    }

    fn options(&self) -> SockRef<'_> {
        SockRef::from(&self.0.stream)
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.0.stream.as_raw_fd()
    }

    /// Makes the kernel acknowledge at once what arrives next.
    ///
    /// The server writes a stream reply in two pieces with Nagle's algorithm on: a delayed acknowledgement of the first
    /// holds the second back for 40 ms. The kernel leaves this mode by itself, so it is set again before each wait.
    pub(super) fn acknowledge_at_once(&self) {
        #[cfg(target_os = "linux")]
        // Without it the connection is slower, not wrong.
        let _ = self.options().set_tcp_quickack(true);
    }

    /// Lets the connection end with a reset.
    pub(super) fn reset_on_close(&self) {
        let _ = self.options().set_linger(Some(Duration::ZERO));
    }

    /// Reads what has arrived; 0: the end.
    pub(super) fn try_read(&self, space: &mut BytesMut) -> io::Result<usize> {
        self.0.stream.try_read_buf(space)
    }

    /// The same without a look at what the runtime has heard of the socket, which under load is late; at most a little.
    pub(super) fn read_now(&self, space: &mut BytesMut) -> io::Result<usize> {
        read_some(&*self.options(), space)
    }

    /// Whether the other side has not ended the connection, as far as the kernel knows.
    pub(super) fn is_open(&self) -> bool {
        is_open(&self.options())
    }

    /// Writes as much as the kernel takes.
    pub(super) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let send = || self.options().send_vectored_with_flags(slices, NO_SIGNAL);
        self.0.stream.try_io(Interest::WRITABLE, send)
    }

    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.stream.poll_read_ready(cx)
    }

    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.stream.poll_write_ready(cx)
    }
}

impl Socket {
    /// Takes the socket away from the runtime. Only of one that has no other handle.
    pub(super) fn unwatch(self) -> io::Result<Unwatched> {
        let Some(Inner { counted, registered, stream, .. }) = Arc::into_inner(self.0) else {
            return Err(io::Error::other("the socket has another handle"));
        };
        Ok(Unwatched { counted, registered, stream: stream.into_std()? })
    }
}

/// A socket that the runtime does not watch: whoever has it is told otherwise when it is readable.
#[derive(Debug)]
pub(super) struct Unwatched {
    counted: Counted,
    /// Stands before the socket, as it must go before it.
    registered: Registered,
    stream: std::net::TcpStream,
}

impl Unwatched {
    /// Gives the socket back to the runtime, in one of whose tasks this is.
    pub(super) fn watch(self) -> io::Result<Socket> {
        let Self { counted, registered, stream } = self;
        Ok(Socket(Arc::new(Inner {
            counted,
            reads: AtomicU32::new(0),
            registered,
            stream: TcpStream::from_std(stream)?,
        })))
    }

    /// Reads some of what has arrived; 0: the end.
    pub(super) fn try_read(&self, space: &mut BytesMut) -> io::Result<usize> {
        read_some(&self.stream, space)
    }

    /// Writes as much as the kernel takes.
    pub(super) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        SockRef::from(&self.stream).send_vectored_with_flags(slices, NO_SIGNAL)
    }

    /// Whether the other side has not ended the connection, as far as the kernel knows.
    pub(super) fn is_open(&self) -> bool {
        is_open(&SockRef::from(&self.stream))
    }

    /// Lets the connection end with a reset.
    pub(super) fn reset_on_close(&self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// Acknowledges at once. Takes turns with others also where tokio does not see to it, as in the tasks of the `fluvio`
/// crate.
impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.0.reads.fetch_add(1, Ordering::Relaxed) >= MOST_READS {
            self.0.reads.store(0, Ordering::Relaxed);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if self.0.stream.poll_read_ready(cx)?.is_pending() {
                self.acknowledge_at_once();
                self.0.reads.store(0, Ordering::Relaxed);
                return Poll::Pending;
            }
            match self.0.stream.try_read_buf(buf) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {}
                Err(cause) => return Poll::Ready(Err(cause)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.stream.poll_write_ready(cx))?;
            match self.try_write(slices) {
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.options().shutdown(Shutdown::Write))
    }
}
