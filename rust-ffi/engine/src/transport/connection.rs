//! A connection to one SPU, owned by one task: requests out, frames in, both driven by one future.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use fluvio_cffi_wire::{FrameBuffer, WireError, request_header};
use fluvio_protocol::Decoder;
use fluvio_protocol::api::Request;
use fluvio_protocol::link::versions::ApiVersionsRequest;
use tokio::task::coop::poll_proceed;

use super::FRAME_LIMIT;
use super::dialer::Dialer;
use super::greeting::{self, Server};
use super::stream::Stream;
use super::watch::Watch;
use super::{closed, tls};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::metrics::Counters;
use crate::replies::{self, Layout};

/// Pieces handed to the kernel in one call.
const MOST_SLICES: usize = 64;
/// Bytes that wait for a peer which does not read, before it is asked anything else. What producers send is bounded by
/// them.
const MOST_OUT: u64 = 8 << 20;
/// Bytes of a reply, unless more are expected: of one to a produce request as large as any, or about the bounds of as
/// many logs.
const USUAL_LIMIT: usize = 16 << 20;
/// Replies that nobody reads: one for each request, as acknowledgements have, and so many more.
const SPARE_STRAYS: u64 = 1000;
const API_VERSIONS_VERSION: i16 = 2;

/// A response: which request it answers, and its body.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The request's number. All replies of a stream carry that of the request that opened it.
    pub(crate) correlation: i32,
    /// What follows.
    pub(crate) body: Bytes,
}

impl Frame {
    /// The body as the response `T` in `version`.
    pub(crate) fn decode<T: Decoder + Layout>(&self, version: i16) -> Result<T> {
        replies::take(&mut self.body.clone(), version)
    }
}

/// A connection to one SPU.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Where the stream is watched instead of by the runtime. Stands first: must go before the socket.
    watch: Option<Watch>,
    stream: Stream,
    frames: FrameBuffer,
    out: VecDeque<Bytes>,
    /// Bytes that were queued so far, and how many of them the stream has taken up.
    queued: u64,
    taken: u64,
    peer: String,
    client_id: String,
    /// How many requests were numbered.
    requests: u64,
    /// How many replies nobody read.
    strays: u64,
    /// Whether what arrives is acknowledged at once. Only stream replies come in two pieces.
    quick: bool,
    counters: Arc<Counters>,
    /// Until the server has answered it is told what is wrong with it: it may be of another kind, or refuse a client
    /// after the TLS handshake. Later failures are those of a connection, and another one may do better.
    refusal: Option<Dialer>,
}

fn versions() -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_version: env!("CARGO_PKG_VERSION").into(),
        client_os: std::env::consts::OS.into(),
        client_arch: std::env::consts::ARCH.into(),
    }
}

/// What every connection begins with, as a frame.
pub(super) fn greeting() -> Result<Bytes> {
    framed(&versions(), API_VERSIONS_VERSION, 1, "")
}

fn framed<R: Request>(request: &R, version: i16, correlation: i32, client_id: &str) -> Result<Bytes> {
    let mut out = BytesMut::with_capacity(128 + request.write_size(version));
    out.put_u32(0);
    request_header(&mut out, R::API_KEY, version, correlation, client_id);
    request
        .encode(&mut out, version)
        .map_err(|cause| Error::internal(format!("a request cannot be encoded: {cause}")))?;
    let length = (out.len() - 4) as u32;
    out[..4].copy_from_slice(&length.to_be_bytes());
    Ok(out.freeze())
}

impl Connection {
    /// Connects to the SPU with the name `spu` at `address` and exchanges versions, within `timeout`. `quick`:
    /// acknowledge at once what arrives.
    pub(crate) async fn open(
        dialer: &Dialer,
        spu: &str,
        address: &str,
        client_id: &str,
        quick: bool,
        timeout: Duration,
        counters: &Arc<Counters>,
    ) -> Result<Self> {
        let open = async {
            let mut connection = Self {
                watch: None,
                stream: Stream::new(dialer.dial(address, Some(spu)).await?),
                frames: FrameBuffer::new(USUAL_LIMIT),
                out: VecDeque::new(),
                queued: 0,
                taken: 0,
                peer: address.to_owned(),
                client_id: client_id.to_owned(),
                requests: 0,
                strays: 0,
                quick,
                counters: Arc::clone(counters),
                refusal: Some(dialer.clone()),
            };
            let correlation = connection.request(&versions(), API_VERSIONS_VERSION)?;
            if connection.next_frame().await?.correlation != correlation {
                return Err(connection.unasked());
            }
            connection.refusal = None;
            Ok(connection)
        };
        tokio::time::timeout(timeout, open).await.unwrap_or_else(|_| {
            Err(Error::timeout(
                Phase::Connect,
                format!("no connection to {address} within {} s", timeout.as_secs_f64()),
            ))
        })
    }

    /// The number of the next request.
    pub(crate) fn next_correlation(&mut self) -> i32 {
        const NUMBERS: u64 = i32::MAX as u64;
        self.requests += 1;
        (self.requests % NUMBERS) as i32
    }

    /// Queues `request` in `version`; returns its number.
    pub(crate) fn request<R: Request>(&mut self, request: &R, version: i16) -> Result<i32> {
        if self.queued - self.taken > MOST_OUT {
            let text = format!("connection to {}: the server does not read what it is sent", self.peer);
            return Err(Error::new(ErrorKind::Connection, text));
        }
        let correlation = self.next_correlation();
        let frame = framed(request, version, correlation, &self.client_id)?;
        self.queue([frame]);
        Ok(correlation)
    }

    /// Queues the segments of a frame, and says where its bytes begin among all that were queued so far.
    pub(crate) fn queue(&mut self, segments: impl IntoIterator<Item = Bytes>) -> u64 {
        self.counters.requests.add(1);
        let begins = self.queued;
        for segment in segments {
            self.queued += segment.len() as u64;
            self.out.push_back(segment);
        }
        begins
    }

    /// Whether the kernel may have taken some of what was queued from `begins` on. If not, nobody will ever see it,
    /// unless this connection goes on.
    pub(crate) fn has_sent(&self, begins: u64) -> bool {
        begins < self.taken - self.stream.held() as u64
    }

    /// Whether what was queued from `begins` on still waits here as a whole.
    pub(crate) fn can_take_back(&self, begins: u64) -> bool {
        begins >= self.taken
    }

    /// Takes back what was queued from `begins` on, which must be possible.
    pub(crate) fn take_back(&mut self, begins: u64) {
        while self.queued > begins
            && let Some(segment) = self.out.pop_back()
        {
            self.queued -= segment.len() as u64;
        }
    }

    /// The other side's address.
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// A reply came that nobody reads. Some are in order; a peer that sends them in masses is not listened to any more.
    pub(crate) fn stray(&mut self) -> Result<()> {
        self.strays += 1;
        if self.strays > self.requests + SPARE_STRAYS { Err(self.unasked()) } else { Ok(()) }
    }

    fn unasked(&self) -> Error {
        Error::incompatible(format!("the SPU at {} sent replies that nobody asked for", self.peer))
    }

    /// Replies may have `bytes` from now on, if that is more than is usual.
    pub(crate) fn expect(&mut self, bytes: usize) {
        self.frames.set_limit(bytes.clamp(USUAL_LIMIT, FRAME_LIMIT));
    }

    /// The name given in each request.
    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Writes what is queued, as far as the kernel takes it, until the next frame has arrived. Cancelling loses
    /// nothing.
    pub(crate) async fn next_frame(&mut self) -> Result<Frame> {
        poll_fn(|cx| self.poll_frame(cx)).await
    }

    /// The same in steps, for who shares the connection. From now on the runtime watches it.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame>> {
        self.watch = None;
        loop {
            // A peer may send faster than is read here: the other tasks and the timers have their turns all the same.
            let turn = ready!(poll_proceed(cx));
            if let Some(frame) = self.frame()? {
                turn.made_progress();
                return Poll::Ready(Ok(frame));
            }
            ready!(self.poll_turn(cx)).map_err(|cause| self.failure(&cause))?;
            turn.made_progress();
        }
    }

    /// The next frame, if it is here.
    fn frame(&mut self) -> Result<Option<Frame>> {
        if self.refusal.is_some() && !greeting::judge(&self.peer, Server::Spu, self.frames.arrived())? {
            return Ok(None);
        }
        let next = self.frames.next_frame().map_err(|cause| {
            if let WireError::Memory(_) = cause {
                return Error::no_memory(format!("connection to {}: {cause}", self.peer));
            }
            Error::incompatible(format!("the SPU at {} sent something that is no frame: {cause}", self.peer))
        })?;
        let Some(mut body) = next else { return Ok(None) };
        if body.len() < 4 {
            return Err(Error::incompatible(format!("the SPU at {} sent a frame without a number", self.peer)));
        }
        Ok(Some(Frame { correlation: body.get_i32(), body }))
    }

    /// Has the connection watched by `watch`, which gets its descriptor, instead of by the runtime, until the next
    /// [`Self::poll_frame`]; not if it has TLS, or `watch` gives nothing.
    pub(crate) fn have_watched(&mut self, watch: impl FnOnce(RawFd) -> Option<Watch>) -> Result<()> {
        let Some(watch) = self.stream.plain_descriptor().and_then(watch) else { return Ok(()) };
        self.stream.unwatch().map_err(|cause| self.failure(&cause))?;
        self.watch = Some(watch);
        Ok(())
    }

    /// Ends [`Self::have_watched`]; [`Self::poll_frame`] must come soon.
    pub(crate) fn stop_watching(&mut self) {
        self.watch = None;
    }

    /// Whether somebody else watches the connection: see [`Self::have_watched`].
    pub(crate) fn is_watched_elsewhere(&self) -> bool {
        self.watch.is_some()
    }

    /// Whether the runtime does not watch the connection.
    pub(crate) fn is_unwatched(&self) -> bool {
        self.stream.is_unwatched()
    }

    /// An error if the other side has ended the connection, as far as the kernel knows.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.stream.is_open(self.frames.space()) {
            true => Ok(()),
            false => Err(self.failure(&closed())),
        }
    }

    /// The next frame of a connection that the runtime does not watch, if it is here now.
    pub(crate) fn try_frame(&mut self) -> Result<Option<Frame>> {
        if let Some(frame) = self.frame()? {
            return Ok(Some(frame));
        }
        match self.read() {
            Ok(true) => self.frame(),
            Ok(false) => Ok(None),
            Err(cause) => Err(self.failure(&cause)),
        }
    }

    /// Writes what is queued, as far as the kernel takes it: whether that was all.
    pub(crate) fn try_flush(&mut self) -> Result<bool> {
        self.write().map_err(|cause| self.failure(&cause))
    }

    fn failure(&self, cause: &io::Error) -> Error {
        match (tls::inside(cause), &self.refusal) {
            (Some(reason), Some(dialer)) => tls::refusal(&self.peer, reason, dialer.has_identity()),
            (None, Some(dialer)) if self.frames.arrived().is_empty() && greeting::is_end(cause) => {
                greeting::silent_end(Error::connection(&self.peer, cause), dialer.is_tls())
            }
            _ => Error::connection(&self.peer, cause),
        }
    }

    /// One step of progress in either direction.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let blocked = match self.write() {
                Ok(flushed) => !flushed,
                // What has arrived before that counts.
                Err(_) if self.stream.read_now(self.frames.space()).is_ok_and(|count| count > 0) => {
                    return Poll::Ready(Ok(()));
                }
                Err(cause) => return Poll::Ready(Err(cause)),
            };
            if self.read()? {
                return Poll::Ready(Ok(()));
            }
            if self.quick {
                self.stream.acknowledge_at_once();
            }
            ready!(self.stream.poll_ready(cx, blocked))?;
        }
    }

    /// Reads some of what has arrived (true), if anything has (else false). The end is an error.
    fn read(&mut self) -> io::Result<bool> {
        match self.stream.try_read(self.frames.space()) {
            Ok(0) => Err(closed()),
            Ok(_) => Ok(true),
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => Ok(false),
            // There was much, and nothing in it.
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(cause) => Err(cause),
        }
    }

    /// Writes until all is written (true) or the kernel takes no more (false).
    fn write(&mut self) -> io::Result<bool> {
        while !self.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); MOST_SLICES];
            let mut count = 0;
            for (slice, segment) in slices.iter_mut().zip(&self.out) {
                *slice = IoSlice::new(segment);
                count += 1;
            }
            match self.stream.try_write(&slices[..count]) {
                Ok(written) => self.advance(written),
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(cause) => return Err(cause),
            }
        }
        match self.stream.try_flush() {
            Ok(()) => Ok(true),
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(cause) => Err(cause),
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.taken += written as u64;
        while let Some(segment) = self.out.front_mut() {
            if written < segment.len() {
                segment.advance(written);
                return;
            }
            written -= segment.len();
            self.out.pop_front();
        }
    }

    /// Closes with a reset, so that nothing which the server has not read yet is written to a log later.
    pub(crate) fn abandon(mut self) {
        self.stream.abandon();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::dialer::Dialled;
    use super::super::socket::Socket;
    use super::*;

    /// A connection, and its other side.
    async fn connected() -> (Connection, tokio::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = listener.local_addr().unwrap();
        let socket = Socket::connect(peer).await.unwrap();
        let connection = Connection {
            watch: None,
            stream: Stream::new(Dialled::Plain(socket)),
            frames: FrameBuffer::new(FRAME_LIMIT),
            out: VecDeque::new(),
            queued: 0,
            taken: 0,
            peer: peer.to_string(),
            client_id: "test".to_owned(),
            requests: 0,
            strays: 0,
            quick: false,
            counters: Arc::default(),
            refusal: None,
        };
        (connection, listener.accept().await.unwrap().0)
    }

    fn bytes(length: usize) -> [Bytes; 2] {
        [Bytes::from(vec![1; length / 2]), Bytes::from(vec![2; length - length / 2])]
    }

    /// Waits until the kernel has heard something from the other side.
    async fn heard(connection: &mut Connection) {
        poll_fn(|cx| connection.stream.poll_ready(cx, false)).await.unwrap();
    }

    #[tokio::test]
    async fn a_write_that_ends_in_the_middle_of_the_second_of_three_requests() {
        const LARGE: usize = 64 << 20;
        let (mut connection, mut other) = connected().await;
        let first = connection.queue(bytes(100));
        let second = connection.queue(bytes(LARGE));
        let third = connection.queue(bytes(100));
        assert!(!connection.has_sent(first) && connection.can_take_back(first));
        assert!(!connection.try_flush().unwrap());
        assert_eq!([first, second, third].map(|begins| connection.has_sent(begins)), [true, true, false]);
        assert_eq!([first, second, third].map(|begins| connection.can_take_back(begins)), [false, false, true]);
        connection.take_back(third);
        assert_eq!(connection.queue(bytes(10)), third, "as if it had never been there");
        let mut read = 0;
        let mut space = vec![0; 1 << 20];
        while read < 100 + LARGE + 10 {
            tokio::select! {
                count = other.read(&mut space) => read += count.unwrap(),
                _ = connection.next_frame() => unreachable!("nothing is answered"),
            }
        }
        assert!(connection.has_sent(third));
        drop(connection);
        assert_eq!(other.read(&mut space).await.unwrap(), 0, "no byte more");
    }

    #[tokio::test]
    async fn an_end_is_seen_before_the_first_byte() {
        for reset in [false, true] {
            let (mut connection, other) = connected().await;
            connection.check().unwrap();
            other.set_zero_linger().unwrap();
            if !reset {
                let mut other = other;
                other.shutdown().await.unwrap();
                heard(&mut connection).await;
                connection.check().unwrap_err();
                continue;
            }
            drop(other);
            heard(&mut connection).await;
            let begins = connection.queue(bytes(100));
            connection.try_flush().unwrap_err();
            connection.try_flush().unwrap_err();
            assert!(!connection.has_sent(begins));
            connection.check().unwrap_err();
        }
    }

    #[tokio::test]
    async fn what_has_arrived_is_read_though_nothing_can_be_written() {
        let (mut connection, mut other) = connected().await;
        other.write_all(&[0, 0, 0, 5, 0, 0, 0, 7, 9]).await.unwrap();
        heard(&mut connection).await;
        other.set_zero_linger().unwrap();
        drop(other);
        while connection.try_flush().is_ok() {
            connection.queue(bytes(10));
            tokio::task::yield_now().await;
        }
        let frame = connection.next_frame().await.unwrap();
        assert_eq!((frame.correlation, &frame.body[..]), (7, &[9][..]));
        assert!(connection.next_frame().await.is_err());
    }
}
