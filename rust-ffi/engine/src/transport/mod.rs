//! Sockets: how they are opened, what is set on them, and the connection to one SPU.

mod connection;
mod connector;

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::descriptors::Registered;

pub(crate) use connection::{Connection, Frame};
pub(crate) use connector::Connector;

/// The kernel gives up on a peer that acknowledges nothing for this long.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
const KEEPALIVE_AFTER: Duration = Duration::from_secs(20);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// How many sockets of ours are open in the process.
pub(crate) fn connections() -> usize {
    CONNECTIONS.load(Ordering::Relaxed)
}

/// Counts a socket and registers its descriptor; to be dropped before the socket is.
#[derive(Debug)]
struct SocketGuard {
    _registered: Registered,
}

impl SocketGuard {
    fn new(stream: &TcpStream) -> Self {
        CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        Self { _registered: Registered::new(stream.as_raw_fd()) }
    }
}

impl Drop for SocketGuard {
    fn drop(&mut self) {
        CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Opens a TCP connection to `address` (`host:port`) with what every connection of ours needs.
async fn dial(address: &str) -> io::Result<(SocketGuard, TcpStream)> {
    let stream = TcpStream::connect(address).await?;
    let guard = SocketGuard::new(&stream);
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_INTERVAL))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok((guard, stream))
}

/// Makes the kernel acknowledge at once what arrives next.
///
/// The server writes a stream reply in two pieces with Nagle's algorithm on: a delayed acknowledgement of the first holds
/// the second back for 40 ms. The kernel leaves this mode by itself, so it is set again before each wait.
fn acknowledge_at_once(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    // Without it the connection is slower, not wrong.
    let _ = SockRef::from(stream).set_tcp_quickack(true);
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}
