//! Starting and stopping.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_rustls::rustls::ServerConfig;

use crate::config::{Config, FIRST_SPU, StartError};
use crate::control::{Command, ControlError};
use crate::faults::Faults;
use crate::files;
use crate::listener::{Listener, Shutdown};
use crate::sc::{Sc, attend, spu_name};
use crate::smartmodules::{Engine, Limits};
use crate::spu::{Consumers, Node};
use crate::temporary::{self, Temporary};
use crate::tls;

/// The ports of the last run. A restart on the same SC port takes the same SPU ports if it can, so that clients find
/// them again.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Ports {
    sc: u16,
    spu: u16,
    /// Those of the second SPU and the following ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    more: Vec<u16>,
}

/// The most SPUs there may be.
const MAX_SPUS: u16 = 1000;

/// A running cluster. Dropping it stops it: sockets are closed, the directory is unlocked, and removed if it was
/// temporary.
#[derive(Debug)]
pub struct Cluster {
    // In this order: what runs ends before the directory is unlocked, and that before it is removed.
    background: JoinSet<()>,
    listener: Listener,
    sc: Arc<Sc>,
    directory: PathBuf,
    _lock: File,
    temporary: Option<Temporary>,
}

impl Cluster {
    /// Starts a cluster on the current tokio runtime. It accepts connections when this returns.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if !(1..=MAX_SPUS).contains(&config.spus) {
            return Err(StartError::Spus(config.spus));
        }
        let (directory, temporary) = data_directory(&config)?;
        let lock = lock(&directory)?;
        let failed = |path: &Path, source| StartError::DataDir { path: path.to_owned(), source };

        let certificates = directory.join(tls::DIRECTORY);
        let spus = (FIRST_SPU..).take(usize::from(config.spus)).map(spu_name);
        let server = tls::server_config(&config, &certificates, spus)
            .map_err(|source| StartError::Certificates { path: certificates, source })?;

        // The ports are taken first and open when all is ready: clients are refused meanwhile.
        let sc_listener = listener(&config.host, config.port, server.as_ref()).await?;
        let ports_path = directory.join("ports.json");
        let spu_listeners = spu_listeners(&config, sc_listener.address().port(), &ports_path, server.as_ref()).await?;
        let mut spu_ports = spu_listeners.iter().map(|listener| listener.address().port());
        let ports = Ports {
            sc: sc_listener.address().port(),
            spu: spu_ports.next().unwrap_or_default(),
            more: spu_ports.collect(),
        };

        let consumers = Arc::new(Consumers::new(directory.join("consumer-offsets.jsonl")));
        let limits = Limits { memory: config.smartmodule_memory, fuel: config.smartmodule_fuel };
        let engine = Arc::new(Engine::new(limits));
        let nodes = (FIRST_SPU..).zip(spu_listeners).map(|(id, listener)| {
            let logs = directory.join(format!("spu-logs-{id}"));
            let (consumers, engine) = (Arc::clone(&consumers), Arc::clone(&engine));
            Arc::new(Node::new(id, logs, listener, config.write_like_real, consumers, engine))
        });
        let (nodes, faults) = (nodes.collect(), Arc::clone(sc_listener.faults()));
        let sc = Arc::new(Sc::load(directory.join("objects"), nodes, consumers, engine, faults, &config)?);

        let busy = |listener: &Listener| {
            let address = listener.address().to_string();
            move |source| StartError::Bind { address, source }
        };
        for node in sc.nodes() {
            node.listen().map_err(busy(node.listener()))?;
            sc.register_spu(
                node.id(),
                &reachable(&config, node.listener().address()),
                node.listener().address().port(),
            );
        }
        open(&sc_listener, &sc).map_err(busy(&sc_listener))?;
        serde_json::to_vec(&ports)
            .map_err(io::Error::from)
            .and_then(|text| files::replace(&ports_path, &text))
            .map_err(|source| failed(&ports_path, source))?;

        let mut background = JoinSet::new();
        background.spawn(tick(Arc::downgrade(&sc), config.status_interval, config.retention_interval));
        for node in sc.nodes() {
            background.spawn(attend(Arc::downgrade(&sc), Arc::clone(node)));
        }
        Ok(Self { background, listener: sc_listener, sc, directory, _lock: lock, temporary })
    }

    /// Where clients connect: the SC.
    pub fn endpoint(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Where the certificates are, with TLS.
    pub fn certificates(&self) -> PathBuf {
        self.directory.join(tls::DIRECTORY)
    }

    /// Where the first SPU serves records.
    pub fn spu_endpoint(&self) -> SocketAddr {
        self.spu_endpoints().first().map_or_else(|| self.endpoint(), |(_, address)| *address)
    }

    /// The numbers of the SPUs and where they serve records.
    pub fn spu_endpoints(&self) -> Vec<(i32, SocketAddr)> {
        self.sc.nodes().iter().map(|node| (node.id(), node.listener().address())).collect()
    }

    /// If its directory is temporary, begins to remove those beside it that clusters have left which were killed
    /// together with their owners. What is not removed when this process ends, or cannot be, is left to the next start.
    pub fn sweep(&self) {
        if let Some(temporary) = &self.temporary {
            let path = temporary.path().to_owned();
            let _ = std::thread::Builder::new().spawn(move || temporary::sweep(&path));
        }
    }

    /// Does something to the cluster that a test wants to see its client endure.
    pub async fn run(&self, command: Command) -> Result<(), ControlError> {
        match command {
            Command::ResetSc => self.listener.reset().await,
            Command::KillSc => self.listener.close(Shutdown::Reset).await,
            Command::StartSc if self.listener.is_open() => return Err(ControlError::new("the SC is up already")),
            Command::StartSc => open(&self.listener, &self.sc).map_err(|error| ControlError::new(error.to_string()))?,
            Command::KeepFiles => match &self.temporary {
                Some(temporary) => temporary.keep(),
                None => return Err(ControlError::new("the files are not temporary: they are kept anyway")),
            },
            command => return self.sc.run(command).await,
        }
        Ok(())
    }

    /// The same, as a line of text; see [`Command`].
    pub async fn control(&self, line: &str) -> Result<(), ControlError> {
        self.run(line.parse()?).await
    }

    /// Stops the cluster, and returns when its sockets are closed.
    pub async fn shutdown(mut self) {
        self.background.abort_all();
        self.listener.close(Shutdown::Orderly).await;
        for node in self.sc.nodes() {
            node.stop(Shutdown::Orderly).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.background.abort_all();
        self.listener.abort();
        for node in self.sc.nodes() {
            node.abort();
        }
    }
}

/// Serves the SC's clients from now on.
fn open(listener: &Listener, sc: &Arc<Sc>) -> io::Result<()> {
    let sc = Arc::clone(sc);
    listener.open(move |accepted| Arc::clone(&sc).serve(accepted))
}

/// Does what is due from time to time, as long as the cluster is there.
async fn tick(sc: Weak<Sc>, status: Duration, retention: Duration) {
    let interval = |period: Duration| {
        let mut interval = tokio::time::interval(period.max(Duration::from_millis(1)));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval
    };
    let (mut status, mut retention) = (interval(status), interval(retention));
    loop {
        let is_retention = tokio::select! {
            _ = status.tick() => false,
            _ = retention.tick() => true,
        };
        let Some(sc) = sc.upgrade() else { return };
        if is_retention {
            for spu in sc.nodes().iter().filter_map(|node| node.spu()) {
                spu.retain();
            }
        } else {
            sc.refresh_partitions();
        }
    }
}

/// A wildcard cannot be dialled; who listens on one is asked for on this machine, or brings a host name of its own.
fn reachable(config: &Config, address: SocketAddr) -> String {
    match address.ip() {
        ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V6(ip) => format!("[{ip}]"),
        IpAddr::V4(_) => config.host.clone(),
    }
}

fn data_directory(config: &Config) -> Result<(PathBuf, Option<Temporary>), StartError> {
    if let Some(path) = &config.data_dir {
        fs::create_dir_all(path).map_err(|source| StartError::DataDir { path: path.clone(), source })?;
        return Ok((path.clone(), config.temporary.then(|| Temporary::given(path.clone()))));
    }
    let temporary = Temporary::make().map_err(|source| StartError::DataDir { path: std::env::temp_dir(), source })?;
    Ok((temporary.path().to_owned(), Some(temporary)))
}

fn lock(directory: &Path) -> Result<File, StartError> {
    let path = directory.join(temporary::LOCK);
    let file = File::create(&path).map_err(|source| StartError::DataDir { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Locked { path: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(StartError::DataDir { path, source }),
    }
}

async fn listener(host: &str, port: u16, tls: Option<&Arc<ServerConfig>>) -> Result<Listener, StartError> {
    let taken = Listener::new(host, port, tls.cloned(), Arc::new(Faults::default())).await;
    taken.map_err(|source| StartError::Bind { address: format!("{host}:{port}"), source })
}

/// The ports of the SPUs: those of the last run where they are free.
async fn spu_listeners(
    config: &Config,
    sc_port: u16,
    ports_path: &Path,
    tls: Option<&Arc<ServerConfig>>,
) -> Result<Vec<Listener>, StartError> {
    let stored: Option<Ports> = fs::read(ports_path).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let stored = stored.filter(|ports| ports.sc == sc_port).unwrap_or_default();
    let remembered = [stored.spu].into_iter().chain(stored.more).chain(std::iter::repeat(0));
    let mut listeners = Vec::with_capacity(usize::from(config.spus));
    for (number, remembered) in (0..config.spus).zip(remembered) {
        let wanted = if number == 0 { config.spu_port } else { 0 };
        let listener = if wanted == 0 && remembered != 0 {
            match listener(&config.host, remembered, tls).await {
                Err(_) => listener(&config.host, 0, tls).await?,
                Ok(listener) => listener,
            }
        } else {
            listener(&config.host, wanted, tls).await?
        };
        listeners.push(listener);
    }
    Ok(listeners)
}
