//! The place of an SPU in the cluster: its number, its address and its files, which are there also while it is down.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use fluvio_protocol::record::ReplicaKey;
use fluvio_types::SpuId;

use super::{Consumers, Gone, Replica, ReplicaConfig, Spu};
use crate::listener::{Listener, Shutdown};
use crate::log;
use crate::smartmodules::Engine;

/// An SPU, up or down.
#[derive(Debug)]
pub(crate) struct Node {
    id: SpuId,
    log_directory: PathBuf,
    listener: Listener,
    write_like_real: bool,
    consumers: Arc<Consumers>,
    engine: Arc<Engine>,
    running: Mutex<Option<Arc<Spu>>>,
}

impl Node {
    /// An SPU that is down.
    pub(crate) fn new(
        id: SpuId,
        log_directory: PathBuf,
        listener: Listener,
        write_like_real: bool,
        consumers: Arc<Consumers>,
        engine: Arc<Engine>,
    ) -> Self {
        Self { id, log_directory, listener, write_like_real, consumers, engine, running: Mutex::default() }
    }

    pub(crate) fn id(&self) -> SpuId {
        self.id
    }

    pub(crate) fn listener(&self) -> &Listener {
        &self.listener
    }

    /// The SPU, if it is up.
    pub(crate) fn spu(&self) -> Option<Arc<Spu>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An SPU that knows no partition yet and does not accept connections.
    pub(crate) fn start(&self) -> Arc<Spu> {
        let spu = Arc::new(Spu {
            write_like_real: self.write_like_real,
            faults: Arc::clone(self.listener.faults()),
            consumers: Arc::clone(&self.consumers),
            engine: Arc::clone(&self.engine),
            topics: RwLock::default(),
        });
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&spu));
        spu
    }

    /// Accepts connections.
    pub(crate) fn listen(&self) -> io::Result<()> {
        let Some(spu) = self.spu() else { return Ok(()) };
        self.listener.open(move |accepted| Arc::clone(&spu).serve(accepted))
    }

    /// Ends the SPU. When this returns, nothing of it writes any more: its files are free for the next one.
    pub(crate) async fn stop(&self, ending: Shutdown) {
        self.listener.close(ending).await;
        let spu = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(spu) = spu {
            spu.end();
        }
    }

    /// Ends the SPU without waiting for it.
    pub(crate) fn abort(&self) {
        self.listener.abort();
        if let Some(spu) = self.spu() {
            spu.end();
        }
    }

    pub(crate) fn directory(&self, key: &ReplicaKey) -> PathBuf {
        self.log_directory.join(key.to_string())
    }

    /// Makes an empty partition.
    pub(crate) fn create(&self, key: ReplicaKey, config: &ReplicaConfig) -> io::Result<()> {
        if let Some(spu) = self.spu() {
            let replica = Replica::create(key.clone(), self.directory(&key), config)?;
            spu.add(key, replica);
        }
        Ok(())
    }

    /// Opens a partition of an earlier run.
    pub(crate) fn open(&self, key: ReplicaKey, config: &ReplicaConfig) -> io::Result<()> {
        if let Some(spu) = self.spu() {
            let replica = Replica::open(key.clone(), self.directory(&key), config)?;
            spu.add(key, replica);
        }
        Ok(())
    }

    /// Gives a partition up. Its files stay.
    pub(crate) fn give_up(&self, key: &ReplicaKey) {
        if let Some(replica) = self.spu().and_then(|spu| spu.remove(key)) {
            replica.end(Gone::Moved);
        }
    }

    /// Deletes a partition; its streams end.
    pub(crate) fn delete(&self, key: &ReplicaKey) {
        if let Some(replica) = self.spu().and_then(|spu| spu.remove(key)) {
            replica.delete();
        } else if let Err(error) = log::remove(&self.directory(key)) {
            complain!("cannot remove partition {key}: {error}");
        }
    }
}
