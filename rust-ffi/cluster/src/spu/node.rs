//! The place of an SPU in the cluster: its number, its address and its files, which are there also while it is down.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use fluvio_protocol::record::ReplicaKey;
use fluvio_types::SpuId;

use super::{Consumers, Gone, Order, Orders, Replica, ReplicaConfig, Reports, Spu};
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
    reports: Arc<Reports>,
    orders: Orders,
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
        let (reports, orders, running) = (Arc::default(), Orders::default(), Mutex::default());
        Self { id, log_directory, listener, write_like_real, consumers, engine, reports, orders, running }
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
            reports: Arc::clone(&self.reports),
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

    /// What it has still to tell the SC.
    pub(crate) fn reports(&self) -> &Reports {
        &self.reports
    }

    /// What it has still to hear from the SC.
    pub(crate) fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Has an empty partition made, at once or a little later.
    pub(crate) fn create(&self, key: ReplicaKey, config: &ReplicaConfig) -> io::Result<()> {
        let delay = self.listener.faults().order_delay();
        self.orders.give(delay, Order::Create(key, config.clone())).map_or(Ok(()), |order| self.obey(&order))
    }

    /// Does what the SC has ordered.
    pub(crate) fn obey(&self, order: &Order) -> io::Result<()> {
        let (key, config) = match order {
            Order::Create(key, config) => (key, config),
            Order::Delete(key) => {
                self.delete_now(key);
                return Ok(());
            }
        };
        // One that was started meanwhile has it already.
        let Some(spu) = self.spu().filter(|spu| spu.held(&key.topic, key.partition).is_none()) else { return Ok(()) };
        let replica = Replica::create(key.clone(), self.directory(key), config)?;
        if self.listener.faults().report_delay().is_some() {
            replica.set_reported(false);
            self.reports.note(key);
        }
        spu.add(key.clone(), replica);
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

    /// Has a partition deleted, at once or a little later; its streams end.
    pub(crate) fn delete(&self, key: &ReplicaKey) {
        let delay = self.listener.faults().order_delay();
        if self.orders.give(delay, Order::Delete(key.clone())).is_some() {
            self.delete_now(key);
        }
    }

    fn delete_now(&self, key: &ReplicaKey) {
        if let Some(replica) = self.spu().and_then(|spu| spu.remove(key)) {
            replica.delete();
        } else if let Err(error) = log::remove(&self.directory(key)) {
            complain!("cannot remove partition {key}: {error}");
        }
    }
}
