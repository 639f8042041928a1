//! Starting and stopping.

use std::fs::{self, File, TryLockError};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::config::{Config, StartError};
use crate::files;
use crate::sc::Sc;
use crate::spu::Spu;

/// The ports of the last run. A restart on the same SC port takes the same SPU port if it can, so that clients find it again.
#[derive(Debug, Serialize, Deserialize)]
struct Ports {
    sc: u16,
    spu: u16,
}

/// A listener at work, and how to end it.
#[derive(Debug)]
struct Accepting {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// A running cluster. Dropping it stops it: sockets are closed, the directory is unlocked, and removed if it was temporary.
#[derive(Debug)]
pub struct Cluster {
    sc_address: SocketAddr,
    spu_address: SocketAddr,
    // In this order: what runs ends before the directory is unlocked, and that before it is removed.
    accepting: Vec<Accepting>,
    _lock: File,
    _temporary: Option<TempDir>,
}

impl Cluster {
    /// Starts a cluster on the current tokio runtime. It accepts connections when this returns.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let (directory, temporary) = data_directory(&config)?;
        let lock = lock(&directory)?;
        let spu = Spu::open_in(&directory, config.write_like_real)
            .map(Arc::new)
            .map_err(|source| StartError::DataDir { path: directory.clone(), source })?;
        let sc = Arc::new(Sc::load(directory.join("metadata.json"), Arc::clone(&spu), &config)?);

        let sc_listener = listen(&config.host, config.port).await?;
        let sc_address = address(&sc_listener)?;
        let ports_path = directory.join("ports.json");
        let spu_listener = listen_spu(&config, sc_address.port(), &ports_path).await?;
        let spu_address = address(&spu_listener)?;
        let ports = Ports { sc: sc_address.port(), spu: spu_address.port() };
        serde_json::to_vec(&ports)
            .map_err(io::Error::from)
            .and_then(|text| files::replace(&ports_path, &text))
            .map_err(|source| StartError::DataDir { path: ports_path, source })?;

        // A wildcard cannot be dialled; who listens on one is asked for on this machine, or brings a host name of its own.
        let reachable = match spu_address.ip() {
            ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
            IpAddr::V6(ip) => format!("[{ip}]"),
            IpAddr::V4(_) => config.host.clone(),
        };
        sc.register_spu(&reachable, spu_address.port());

        let accepting = vec![
            accepting(sc_listener, move |socket| Arc::clone(&sc).serve(socket)),
            accepting(spu_listener, move |socket| Arc::clone(&spu).serve(socket)),
        ];
        Ok(Self { sc_address, spu_address, accepting, _lock: lock, _temporary: temporary })
    }

    /// Where clients connect: the SC.
    pub fn endpoint(&self) -> SocketAddr {
        self.sc_address
    }

    /// Where the SPU serves records.
    pub fn spu_endpoint(&self) -> SocketAddr {
        self.spu_address
    }

    /// Stops the cluster, and returns when its sockets are closed.
    pub async fn shutdown(mut self) {
        for Accepting { stop, task } in self.accepting.drain(..) {
            // Only a task that has panicked is not there to hear it.
            let _ = stop.send(());
            let _ = task.await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for accepting in &self.accepting {
            accepting.task.abort();
        }
    }
}

fn data_directory(config: &Config) -> Result<(PathBuf, Option<TempDir>), StartError> {
    if let Some(path) = &config.data_dir {
        fs::create_dir_all(path).map_err(|source| StartError::DataDir { path: path.clone(), source })?;
        return Ok((path.clone(), None));
    }
    let temporary = tempfile::Builder::new()
        .prefix("fluvio-cffi-cluster-")
        .tempdir()
        .map_err(|source| StartError::DataDir { path: std::env::temp_dir(), source })?;
    Ok((temporary.path().to_owned(), Some(temporary)))
}

fn lock(directory: &Path) -> Result<File, StartError> {
    let path = directory.join("lock");
    let file = File::create(&path).map_err(|source| StartError::DataDir { path: path.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Locked { path: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(StartError::DataDir { path, source }),
    }
}

async fn listen(host: &str, port: u16) -> Result<TcpListener, StartError> {
    let bound = TcpListener::bind((host, port)).await;
    bound.map_err(|source| StartError::Bind { address: format!("{host}:{port}"), source })
}

async fn listen_spu(config: &Config, sc_port: u16, ports_path: &Path) -> Result<TcpListener, StartError> {
    if config.spu_port == 0 {
        let remembered: Option<Ports> = fs::read(ports_path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(ports) = remembered.filter(|ports| ports.sc == sc_port)
            && let Ok(listener) = listen(&config.host, ports.spu).await
        {
            return Ok(listener);
        }
    }
    listen(&config.host, config.spu_port).await
}

fn address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Bind { address: "local address".to_owned(), source })
}

fn accepting<F, S>(listener: TcpListener, serve: F) -> Accepting
where
    F: Fn(TcpStream) -> S + Send + 'static,
    S: Future<Output = io::Result<()>> + Send + 'static,
{
    let (stop, stopped) = oneshot::channel();
    Accepting { stop, task: tokio::spawn(accept(listener, serve, stopped)) }
}

/// Accepts connections until told to stop. The connections are tasks of this one: when it ends or is dropped, they end.
async fn accept<F, S>(listener: TcpListener, serve: F, mut stopped: oneshot::Receiver<()>)
where
    F: Fn(TcpStream) -> S,
    S: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => break,
        };
        match accepted {
            Ok((socket, _)) => {
                // How a connection ends is the client's affair; the server has nothing to add to it.
                connections.spawn(serve(socket));
            }
            Err(error) => {
                // Out of descriptors, most likely: those who go make room.
                eprintln!("fluvio-cffi-cluster: accept: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    connections.shutdown().await;
}
