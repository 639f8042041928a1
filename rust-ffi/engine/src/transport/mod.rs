//! Sockets: how they are opened, plain or with TLS, and the connection to one SPU.

mod connection;
mod connector;
mod dialer;
mod session;
mod socket;
mod tls;
mod watch;

pub(crate) use connection::{Connection, Frame};
pub(crate) use connector::Connector;
pub(crate) use dialer::Dialer;
pub(crate) use socket::connections;
pub use tls::{Identity, Pem, Tls, Verified};
pub use watch::{Reader, Watch};
