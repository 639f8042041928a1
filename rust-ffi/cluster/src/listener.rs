//! A port at which clients are served while it is open, and their connections.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use crate::faults::Faults;
use crate::net::Requests;
use crate::socket::Socket;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// How long a client may take to agree on TLS, and one that was refused to hear of it.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How connections end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shutdown {
    Orderly,
    /// With RST, as those of a process that was killed.
    Reset,
}

#[derive(Debug)]
enum Order {
    /// Ends all connections, and says when it is done.
    Reset(oneshot::Sender<()>),
    Close(Shutdown),
}

#[derive(Debug)]
struct Accepting {
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

/// A port. While it is closed it stays reserved, and connections to it are refused.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    /// None: plain TCP.
    tls: Option<Arc<ServerConfig>>,
    faults: Arc<Faults>,
    reserved: Mutex<Option<TcpSocket>>,
    accepting: Mutex<Option<Accepting>>,
}

/// Takes a port without listening on it.
fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

impl Listener {
    /// Takes a port (0: any free one) and keeps it closed.
    pub(crate) async fn new(
        host: &str,
        port: u16,
        tls: Option<Arc<ServerConfig>>,
        faults: Arc<Faults>,
    ) -> io::Result<Self> {
        let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "the host has no address");
        for address in tokio::net::lookup_host((host, port)).await? {
            match reserve(address).and_then(|socket| Ok((socket.local_addr()?, socket))) {
                Ok((address, socket)) => {
                    let (reserved, accepting) = (Mutex::new(Some(socket)), Mutex::default());
                    return Ok(Self { address, tls, faults, reserved, accepting });
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// Serves those who connect from now on.
    pub(crate) fn open<F, S>(&self, serve: F) -> io::Result<()>
    where
        F: Fn(Accepted) -> S + Clone + Send + Sync + 'static,
        S: Future<Output = io::Result<()>> + Send + 'static,
    {
        let reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner).take();
        let listener = reserved.map_or_else(|| reserve(self.address), Ok)?.listen(BACKLOG)?;
        let (orders, receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(accept(listener, self.tls.clone(), serve, receiver, Arc::clone(&self.faults)));
        *self.accepting.lock().unwrap_or_else(PoisonError::into_inner) = Some(Accepting { orders, task });
        Ok(())
    }

    /// Ends the connections and refuses new ones. Returns when it is done.
    pub(crate) async fn close(&self, shutdown: Shutdown) {
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Accepting { orders, task }) = accepting {
            // Only a task that has panicked is not there to hear it.
            let _ = orders.send(Order::Close(shutdown));
            let _ = task.await;
        }
        // If another program was quicker, `open` will say so.
        *self.reserved.lock().unwrap_or_else(PoisonError::into_inner) = reserve(self.address).ok();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.accepting.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Ends everything without waiting for it.
    pub(crate) fn abort(&self) {
        if let Some(accepting) = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            accepting.task.abort();
        }
    }

    /// Resets the connections there are. Returns when it is done.
    pub(crate) async fn reset(&self) {
        let (done, wait) = oneshot::channel();
        match &*self.accepting.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(accepting) => drop(accepting.orders.send(Order::Reset(done))),
            // A closed listener has no connections.
            None => return,
        }
        let _ = wait.await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.abort();
    }
}

/// Accepts connections until told to stop. The connections are tasks of this one: when it ends or is dropped, they end.
async fn accept<F, S>(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    serve: F,
    mut orders: mpsc::UnboundedReceiver<Order>,
    faults: Arc<Faults>,
) where
    F: Fn(Accepted) -> S + Clone + Send + Sync + 'static,
    S: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut reset = watch::Sender::new(false);
    let mut is_short = false;
    let shutdown = loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            order = orders.recv() => match order {
                None => break Shutdown::Orderly,
                Some(Order::Close(shutdown)) => break shutdown,
                Some(Order::Reset(done)) => {
                    reset.send_replace(true);
                    while connections.join_next().await.is_some() {}
                    reset = watch::Sender::new(false);
                    let _ = done.send(());
                    continue;
                }
            },
        };
        match accepted {
            Ok((socket, _)) if faults.refuses() => drop(socket.set_zero_linger()),
            Ok((socket, _)) => {
                is_short = false;
                let accepted = Accepted {
                    socket: Socket::new(socket),
                    tls: None,
                    reset: reset.subscribe(),
                    cut_after: faults.next_cut(),
                    faults: faults.clone(),
                };
                // How a connection ends is the client's affair; the server has nothing to add to it.
                match tls.clone() {
                    None => connections.spawn(serve(accepted)),
                    Some(tls) => {
                        let serve = serve.clone();
                        connections.spawn(async move { serve(accepted.agree(tls).await?).await })
                    }
                };
            }
            Err(error) => {
                // Out of descriptors, most likely: whoever connects waits until those who go have made room.
                if !std::mem::replace(&mut is_short, true) {
                    complain!("accept: {error}");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    };
    drop(listener);
    if shutdown == Shutdown::Reset {
        reset.send_replace(true);
        while connections.join_next().await.is_some() {}
    }
    connections.shutdown().await;
}

/// A new connection.
pub(crate) struct Accepted {
    socket: Socket,
    tls: Option<Box<TlsStream<Socket>>>,
    reset: watch::Receiver<bool>,
    cut_after: Option<u64>,
    faults: Arc<Faults>,
}

impl Accepted {
    /// Agrees with the client on TLS.
    async fn agree(mut self, tls: Arc<ServerConfig>) -> io::Result<Self> {
        let socket = self.socket.clone();
        let agreed = async {
            let error = match TlsAcceptor::from(tls).accept(socket.clone()).into_fallible().await {
                Ok(stream) => return Ok(stream),
                Err((error, _)) => error,
            };
            // Closed with requests unread, the connection would be reset, and the client might miss the reason.
            let mut socket = socket;
            socket.shutdown().await?;
            while socket.read(&mut [0; 1024]).await? > 0 {}
            Err(error)
        };
        let agreed = tokio::select! {
            agreed = tokio::time::timeout(HANDSHAKE_TIMEOUT, agreed) => agreed?,
            Ok(_) = self.reset.wait_for(|reset| *reset) => {
                self.socket.reset_on_close();
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        };
        self.tls = Some(Box::new(agreed?));
        Ok(self)
    }

    /// The two directions, and what may end them.
    pub(crate) fn split(self, nodelay: bool) -> io::Result<(Requests, Replies, End)> {
        let Self { socket, tls, reset, cut_after, faults } = self;
        socket.set_nodelay(nodelay)?;
        let cut = Arc::new(Notify::new());
        let left = cut_after;
        let (requests, half): (_, Box<dyn AsyncWrite + Send + Unpin>) = match tls {
            None => (Requests::new(Box::new(socket.clone()), socket.clone(), faults.stalled()), Box::new(socket)),
            Some(stream) => {
                let (read, write) = tokio::io::split(stream);
                (Requests::new(Box::new(read), socket, faults.stalled()), Box::new(write))
            }
        };
        Ok((requests, Replies { half, left, cut: Arc::clone(&cut) }, End { reset, cut }))
    }
}

/// What ends a connection from this side.
pub(crate) struct End {
    reset: watch::Receiver<bool>,
    cut: Arc<Notify>,
}

impl End {
    /// Waits for the order to end.
    pub(crate) async fn ordered(&mut self) -> Shutdown {
        tokio::select! {
            reset = self.reset.wait_for(|reset| *reset) => match reset {
                Ok(_) => Shutdown::Reset,
                Err(_) => Shutdown::Orderly,
            },
            () = self.cut.notified() => Shutdown::Orderly,
        }
    }
}

/// The sending half of a connection.
pub(crate) struct Replies {
    half: Box<dyn AsyncWrite + Send + Unpin>,
    /// How many bytes may still be sent.
    left: Option<u64>,
    cut: Arc<Notify>,
}

impl Replies {
    pub(crate) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut is_cut = false;
        if let Some(left) = &mut self.left {
            let room = usize::try_from(*left).unwrap_or(usize::MAX);
            is_cut = room < bytes.len();
            bytes = &bytes[..room.min(bytes.len())];
            *left -= bytes.len() as u64;
        }
        self.half.write_all(bytes).await?;
        self.half.flush().await?;
        if is_cut {
            self.end().await;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }

    /// Sends nothing more, and ends the connection.
    pub(crate) async fn end(&mut self) {
        // It fails on a connection that is gone already.
        let _ = self.half.shutdown().await;
        self.cut.notify_one();
    }
}
