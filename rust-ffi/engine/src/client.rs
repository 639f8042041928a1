//! The client handle.

use std::sync::Arc;
use std::time::Duration;

use crate::consumer::{ChunkEncoder, Consumer, ConsumerOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::producer::{Producer, ProducerOptions, TicketSink};

/// How to connect.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// `host:port` of the SC. `None`: from the profile.
    pub endpoint: Option<String>,
    /// A profile of the profile file. `None`: the current one.
    pub profile: Option<String>,
    /// The name the client gives in each request. `None`: `fluvio-cffi`.
    pub client_id: Option<String>,
    /// Dial the SPUs' local addresses. `None`: as the profile says, else no.
    pub use_spu_local_address: Option<bool>,
    /// Bounds one data request and one probe.
    pub request_timeout: Duration,
    /// Bounds one control call.
    pub admin_timeout: Duration,
}

/// Whether the client sees its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum ClientState {
    /// The SC's watches are alive.
    Connected = 1,
    /// The SC is away; the data path goes on.
    Reconnecting = 2,
    /// Closed by its owner.
    Closed = 3,
}

/// How many objects are alive in the process, for leak tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Clients.
    pub clients: usize,
    /// Producers.
    pub producers: usize,
    /// Consumers.
    pub consumers: usize,
    /// Connections of ours.
    pub connections: usize,
}

/// How many objects are alive now.
pub fn counts() -> Counts {
    Counts::default()
}

/// A connection to a cluster; a cheap handle.
#[derive(Debug, Clone)]
pub struct Client;

impl Client {
    /// Connects and waits for the first view of the cluster.
    pub async fn connect(_options: ClientOptions) -> Result<Self> {
        Err(Error::new(ErrorKind::Connection, "the engine is being built"))
    }

    /// Ends its connections and watches.
    pub async fn close(&self) {}

    /// The SC's address as given.
    pub fn endpoint(&self) -> &str {
        ""
    }

    /// The cluster's version.
    pub fn platform_version(&self) -> &str {
        ""
    }

    /// Whether it sees its cluster.
    pub fn state(&self) -> ClientState {
        ClientState::Closed
    }

    /// Opens a producer for a topic.
    pub async fn producer(
        &self,
        _topic: &str,
        _options: ProducerOptions,
        _sink: Arc<dyn TicketSink>,
    ) -> Result<Producer> {
        Err(Error::closed("client"))
    }

    /// Opens a consumer of a topic; its start offsets are fixed when this returns.
    pub async fn consumer(
        &self,
        _topic: &str,
        _options: ConsumerOptions,
        _encoder: Arc<dyn ChunkEncoder>,
    ) -> Result<Consumer> {
        Err(Error::closed("client"))
    }
}
