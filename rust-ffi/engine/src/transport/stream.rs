//! The byte stream to an SPU, driven without waiting: plain TCP, or TLS over it.

use std::io::{self, BufRead, IoSlice, Write};
use std::os::fd::RawFd;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use rustls::ClientConnection;

use super::dialer::Dialled;
use super::socket::{Socket, Unwatched};
use super::tls;

/// What TLS reads from the kernel at once, and what it holds for it at most.
const TLS_BUFFER: usize = 64 << 10;

/// Reads in a row of what holds no data, after which others have a turn.
const MOST_EMPTY: usize = 64;

/// The byte stream to an SPU.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(Socket),
    /// Plain, and not watched by the runtime.
    Unwatched(Unwatched),
    Tls(Box<Secured>),
    /// Given up.
    Gone,
}

/// TLS over a socket.
#[derive(Debug)]
pub(super) struct Secured {
    socket: Socket,
    session: TlsSession,
}

#[derive(Debug)]
struct TlsSession {
    connection: ClientConnection,
    /// Arrived, and not decrypted yet.
    received: BytesMut,
    /// Decrypted, and not read yet.
    decrypted: BytesMut,
    /// Bytes that were taken up since the kernel last took some: it has nothing of these.
    held: usize,
    /// Given up: nothing more is to be sent, not even a goodbye.
    abandoned: bool,
}

impl Stream {
    pub(super) fn new(dialled: Dialled) -> Self {
        match dialled {
            Dialled::Plain(socket) => Self::Plain(socket),
            Dialled::Tls(stream) => {
                let (socket, mut connection) = stream.into_inner();
                connection.set_buffer_limit(Some(TLS_BUFFER));
                let session = TlsSession {
                    connection,
                    received: BytesMut::new(),
                    decrypted: BytesMut::new(),
                    held: 0,
                    abandoned: false,
                };
                Self::Tls(Box::new(Secured { socket, session }))
            }
        }
    }

    /// Reads what has arrived; 0: the end. Interrupted: there is more, but no data so far.
    pub(super) fn try_read(&mut self, space: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_read(space),
            Self::Unwatched(socket) => socket.try_read(space),
            Self::Tls(tls) => tls.session.try_read(&tls.socket, Socket::try_read, space),
            Self::Gone => Err(gone()),
        }
    }

    /// The same, whatever the runtime has heard of the socket.
    pub(super) fn read_now(&mut self, space: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read_now(space),
            Self::Unwatched(socket) => socket.try_read(space),
            Self::Tls(tls) => tls.session.try_read(&tls.socket, Socket::read_now, space),
            Self::Gone => Err(gone()),
        }
    }

    /// Takes up as much as there is room for; all of it is written before anything that is taken up later.
    pub(super) fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write(slices),
            Self::Unwatched(socket) => socket.try_write(slices),
            Self::Tls(tls) => {
                tls.session.push(&tls.socket)?;
                let count = tls.session.connection.writer().write_vectored(slices)?;
                tls.session.held += count;
                Ok(count)
            }
            Self::Gone => Err(gone()),
        }
    }

    /// Writes what was taken up.
    pub(super) fn try_flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(tls) => tls.session.push(&tls.socket),
            _ => Ok(()),
        }
    }

    /// Waits until reading is worth a try, or writing, where something waits to be written.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>, blocked: bool) -> Poll<io::Result<()>> {
        self.watch()?;
        let (socket, writing) = match self {
            Self::Plain(socket) => (&*socket, blocked),
            Self::Tls(tls) => (&tls.socket, blocked || tls.session.connection.wants_write()),
            Self::Unwatched(_) | Self::Gone => return Poll::Ready(Err(gone())),
        };
        let is_writable = writing && socket.poll_write_ready(cx)?.is_ready();
        match socket.poll_read_ready(cx) {
            Poll::Pending if is_writable => Poll::Ready(Ok(())),
            poll => poll,
        }
    }

    pub(super) fn acknowledge_at_once(&self) {
        match self {
            Self::Plain(socket) => socket.acknowledge_at_once(),
            Self::Tls(tls) => tls.socket.acknowledge_at_once(),
            Self::Unwatched(_) | Self::Gone => {}
        }
    }

    /// The descriptor of a plain stream.
    pub(super) fn plain_descriptor(&self) -> Option<RawFd> {
        match self {
            Self::Plain(socket) => Some(socket.descriptor()),
            _ => None,
        }
    }

    /// Takes a plain stream away from the runtime.
    pub(super) fn unwatch(&mut self) -> io::Result<()> {
        match std::mem::replace(self, Self::Gone) {
            Self::Plain(socket) => *self = Self::Unwatched(socket.unwatch()?),
            other => *self = other,
        }
        Ok(())
    }

    /// Gives the stream back to the runtime, in one of whose tasks this is.
    fn watch(&mut self) -> io::Result<()> {
        match std::mem::replace(self, Self::Gone) {
            Self::Unwatched(socket) => *self = Self::Plain(socket.watch()?),
            other => *self = other,
        }
        Ok(())
    }

    /// Whether the runtime does not watch it.
    pub(super) fn is_unwatched(&self) -> bool {
        matches!(self, Self::Unwatched(_))
    }

    /// How many of the bytes that were taken up are not with the kernel for certain, the last ones.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Tls(tls) => tls.session.held,
            _ => 0,
        }
    }

    /// Whether the other side has not ended the connection, as far as the kernel knows. What had to be read to find out
    /// is in `space`.
    pub(super) fn is_open(&mut self, space: &mut BytesMut) -> bool {
        match self {
            Self::Plain(socket) => socket.is_open(),
            Self::Unwatched(socket) => socket.is_open(),
            // A goodbye comes before the end.
            Self::Tls(_) | Self::Gone => match self.read_now(space) {
                Ok(count) => count > 0,
                Err(cause) => cause.kind() == io::ErrorKind::WouldBlock,
            },
        }
    }

    /// Lets the connection end with a reset, and sends nothing more.
    pub(super) fn abandon(&mut self) {
        match self {
            Self::Plain(socket) => socket.reset_on_close(),
            Self::Unwatched(socket) => socket.reset_on_close(),
            Self::Tls(tls) => {
                tls.socket.reset_on_close();
                tls.session.abandoned = true;
            }
            Self::Gone => {}
        }
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl Drop for Secured {
    fn drop(&mut self) {
        // A goodbye, as the protocol has it, but never records that were not on their way yet.
        if !self.session.abandoned && !self.session.connection.wants_write() {
            self.session.connection.send_close_notify();
            let _ = self.session.push(&self.socket);
        }
    }
}

/// The socket as rustls wants it.
struct Outgoing<'a>(&'a Socket);

impl Write for Outgoing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How to read from a socket.
type Read = fn(&Socket, &mut BytesMut) -> io::Result<usize>;

impl TlsSession {
    fn try_read(&mut self, socket: &Socket, read: Read, space: &mut BytesMut) -> io::Result<usize> {
        if !self.decrypted.is_empty() {
            let decrypted = self.decrypted.split();
            space.extend_from_slice(&decrypted);
            return Ok(decrypted.len());
        }
        for _ in 0..MOST_EMPTY {
            if let Some(count) = self.decrypt(space)? {
                return Ok(count);
            }
            self.advance(socket, read)?;
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Moves what is decrypted to `space`; `None`: nothing is yet, 0: the end.
    fn decrypt(&mut self, space: &mut BytesMut) -> io::Result<Option<usize>> {
        let mut reader = self.connection.reader();
        let mut count = 0;
        loop {
            match reader.fill_buf() {
                Ok([]) => return Ok(Some(count)),
                Ok(chunk) => {
                    let length = chunk.len();
                    space.extend_from_slice(chunk);
                    reader.consume(length);
                    count += length;
                }
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Ok((count > 0).then_some(count)),
                // Frames know their lengths: an end without a goodbye cuts nothing off unseen.
                Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => return Ok(Some(count)),
                Err(cause) => return Err(cause),
            }
        }
    }

    /// Decrypts more of what has arrived, and reads more first when there is nothing.
    fn advance(&mut self, socket: &Socket, read: Read) -> io::Result<()> {
        if self.received.is_empty() {
            self.received.reserve(TLS_BUFFER);
            if read(socket, &mut self.received)? == 0 {
                return self.connection.read_tls(&mut io::empty()).map(|_| ());
            }
        }
        let mut bytes = self.received.chunk();
        let taken = self.connection.read_tls(&mut bytes)?;
        self.received.advance(taken);
        match self.connection.process_new_packets() {
            Ok(_) => Ok(()),
            Err(cause) => {
                // The reason, for the other side.
                let _ = self.write_tls(socket);
                Err(io::Error::new(io::ErrorKind::InvalidData, cause))
            }
        }
    }

    /// Writes what is encrypted.
    fn push(&mut self, socket: &Socket) -> io::Result<()> {
        while self.connection.wants_write() {
            if let Err(cause) = self.write_tls(socket) {
                let is_gone = matches!(cause.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
                return Err(if is_gone { self.last_words(socket).unwrap_or(cause) } else { cause });
            }
        }
        Ok(())
    }

    fn write_tls(&mut self, socket: &Socket) -> io::Result<usize> {
        let count = self.connection.write_tls(&mut Outgoing(socket))?;
        if count > 0 {
            // Of which of the bytes, nobody knows.
            self.held = 0;
        }
        Ok(count)
    }

    /// The reason that the other side gave before it went. What else it has sent is read later.
    fn last_words(&mut self, socket: &Socket) -> Option<io::Error> {
        let mut before = BytesMut::new();
        let end = loop {
            match self.try_read(socket, Socket::read_now, &mut before) {
                Ok(0) => break None,
                Ok(_) => {}
                Err(cause) => break tls::inside(&cause).is_some().then_some(cause),
            }
        };
        self.decrypted = before;
        end
    }
}
