//! Sockets: how they are opened, plain or with TLS, and the connection to one SPU.

mod connection;
mod connector;
mod dialer;
mod exchange;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod greeting;
mod socket;
mod stream;
mod tls;
mod watch;

pub(crate) use connection::{Connection, Frame};
pub(crate) use connector::{Connector, Failure};
pub(crate) use dialer::Dialer;
pub(crate) use socket::connections;
pub use tls::{Identity, Pem, Tls, Verified};
pub use watch::{Reader, Watch};

/// Frames longer than this are refused: no reply that we ask for comes near.
const FRAME_LIMIT: usize = 256 << 20;

/// The other side has ended the connection.
fn closed() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "closed by the other side")
}
