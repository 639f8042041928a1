//! How a client connects, and what producers and consumers have to choose alike.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::transport::Tls;

/// Which records a consumer sees, and when a producer's record counts as acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum Isolation {
    /// As soon as the leader has written them.
    #[default]
    ReadUncommitted = 0,
    /// Once all in-sync replicas have them.
    ReadCommitted = 1,
}

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
    /// How connections are protected. `None`: as the profile says, else not at all.
    pub tls: Option<Tls>,
    /// When whoever connects gives up; the TLS handshake gets half of it, to say what was wrong. `None`: no limit.
    pub connect_timeout: Option<Duration>,
    /// Whether a cluster that cannot be reached is waited for until then. `None`: one that has answered this process
    /// before, and any if `connect_timeout` is longer than [`Self::SHORT`].
    pub wait: Option<bool>,
    /// Bounds one data request and one probe; the TLS handshake gets half of it, too.
    pub request_timeout: Duration,
    /// Bounds one question of the client's own to the SC; what others ask has its own deadline.
    pub admin_timeout: Duration,
    /// How often the SC is asked whether it is still there.
    pub probe_interval: Duration,
    /// Who opens the client, by a number of the host's, for what is logged of it. 0: nobody by name.
    pub owner: u64,
}

impl ClientOptions {
    /// Whoever gives a cluster more time than this to answer gives it time to start.
    pub const SHORT: Duration = Duration::from_secs(10);

    /// Whether a cluster that cannot be reached is waited for; `has_answered`: whether it answered this process before.
    pub(crate) fn waits(&self, has_answered: impl FnOnce() -> bool) -> bool {
        let patient = || self.connect_timeout.is_none_or(|timeout| timeout > Self::SHORT);
        self.wait.unwrap_or_else(|| patient() || has_answered())
    }
}

/// Whether `endpoint` is an address to connect to.
pub(crate) fn check_endpoint(endpoint: &str) -> Result<()> {
    let is_host = |host: &str| !host.is_empty() && !host.contains(['/', '@']) && !host.contains(char::is_whitespace);
    let port = endpoint.rsplit_once(':').filter(|(host, _)| is_host(host)).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(port)) if port != 0 => Ok(()),
        _ => Err(Error::invalid(format!(
            "endpoint is \"{endpoint}\": it must be \"host:port\" and no more, such as \"127.0.0.1:9003\""
        ))),
    }
}
