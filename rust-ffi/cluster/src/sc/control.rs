//! Carrying out the commands of a test.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use fluvio_controlplane_metadata::partition::{PartitionSpec, ReplicaKey};
use fluvio_controlplane_metadata::topic::{AddPartition, UpdateTopicAction};
use fluvio_types::defaults::CONSUMER_REPLICA_KEY;
use fluvio_types::{PartitionId, SpuId};

use super::Sc;
use crate::control::{Command, ControlError};
use crate::faults::error_of;
use crate::listener::Shutdown;
use crate::spu::{Extent, Node, Spu};

fn failed(error: &io::Error) -> ControlError {
    ControlError::new(error.to_string())
}

impl Sc {
    /// Carries out all commands but those about the SC's own connections.
    pub(crate) async fn run(self: &Arc<Self>, command: Command) -> Result<(), ControlError> {
        match command {
            Command::KillSpu { id } => return self.kill_spu(id).await,
            Command::StartSpu { id, not_leader_for } => return self.start_spu(id, not_leader_for).await,
            Command::ResetSockets { id } => self.known(id)?.listener().reset().await,
            Command::DropAfter { id, bytes, connections } => {
                self.known(id)?.listener().faults().set_cut(bytes, connections);
            }
            Command::Delay { id, delay } => self.known(id)?.listener().faults().set_delay(delay),
            Command::Refuse { id, on } => self.known(id)?.listener().faults().set_refuse(on),
            Command::Stall { id, on } => {
                self.known(id)?.listener().faults().set_stalled(on);
                self.refresh_partitions();
            }
            Command::FailNext { id, request, code } => {
                let error = error_of(code).ok_or_else(|| ControlError::new(format!("no error has the code {code}")))?;
                self.known(id)?.listener().faults().fail_next(request, error);
            }
            Command::LoseAcks { id, on } => self.known(id)?.listener().faults().set_loses_acks(on),
            Command::ReportDelay { id, delay } => {
                let node = self.known(id)?;
                node.listener().faults().set_report_delay(delay);
                self.catch_up(node);
            }
            Command::LoseReports { id, on } => {
                let node = self.known(id)?;
                node.listener().faults().set_loses_reports(on);
                self.catch_up(node);
            }
            Command::PartitionDelay { id, delay } => self.known(id)?.listener().faults().set_order_delay(delay),
            Command::DiskFull { id, on } => self.known(id)?.listener().faults().set_disk_full(on),
            Command::Habit { id, habit, on } => self.known(id)?.listener().faults().set_habit(habit, on),
            Command::SmartModuleMemory { id, bytes } => {
                self.known(id)?.listener().faults().set_smartmodule_memory(bytes);
            }
            Command::SmartModuleDelay { delay } => self.engine.stored.set_delay(delay),
            Command::Move { topic, partition, id } => return self.move_partition(&topic, partition, id).await,
            Command::Evict { topic, partition, offset } => return self.evict(&topic, partition, offset).await,
            Command::AddPartitions { topic, count } => {
                let status = self.update_topic(topic, UpdateTopicAction::AddPartition(AddPartition { count })).await;
                if status.is_error() {
                    let message = status.error_message.unwrap_or_else(|| status.error_code.to_string());
                    return Err(ControlError::new(message));
                }
            }
            Command::Advertise { id, host, port } => {
                self.known(id)?;
                self.register_spu(id, &host, port);
            }
            Command::StallSc { on } => self.faults.set_stalled(on),
            Command::BlankSc { on } => self.objects().set_blank(on),
            Command::ResetSc | Command::KillSc | Command::StartSc | Command::KeepFiles => {}
        }
        Ok(())
    }

    fn known(&self, id: SpuId) -> Result<&Arc<Node>, ControlError> {
        self.node(id).ok_or_else(|| ControlError::new(format!("there is no SPU {id}")))
    }

    async fn kill_spu(&self, id: SpuId) -> Result<(), ControlError> {
        let _changing = self.changing.lock().await;
        let node = self.known(id)?;
        if node.spu().is_none() {
            return Err(ControlError::new(format!("SPU {id} is down already")));
        }
        // What is known of its partitions from now on.
        self.refresh_partitions();
        node.stop(Shutdown::Reset).await;
        if self.keeps_consumer_offsets(id) {
            self.consumers.close();
        }
        self.set_spu_online(id, false);
        self.elect(node);
        self.refresh_partitions();
        Ok(())
    }

    async fn start_spu(self: &Arc<Self>, id: SpuId, not_leader_for: Duration) -> Result<(), ControlError> {
        let _changing = self.changing.lock().await;
        let node = self.known(id)?;
        if node.spu().is_some() {
            return Err(ControlError::new(format!("SPU {id} is up already")));
        }
        let spu = node.start();
        let mut started = Ok(());
        if not_leader_for.is_zero() {
            started = self.take_lead(node);
        }
        started = started.and_then(|()| node.listen());
        if let Err(error) = started {
            node.stop(Shutdown::Orderly).await;
            return Err(failed(&error));
        }
        if not_leader_for.is_zero() {
            self.announce_spu(id);
        } else {
            tokio::spawn(Arc::clone(self).take_lead_later(id, spu, not_leader_for));
        }
        Ok(())
    }

    async fn take_lead_later(self: Arc<Self>, id: SpuId, spu: Arc<Spu>, wait: Duration) {
        let (sc, spu) = (Arc::downgrade(&self), { Arc::downgrade(&spu) });
        drop(self);
        tokio::time::sleep(wait).await;
        let Some(sc) = sc.upgrade() else { return };
        let _changing = sc.changing.lock().await;
        let Some(node) = sc.node(id) else { return };
        // It may have been killed, and be another one by now.
        if node.spu().is_none_or(|running| !std::ptr::eq(Arc::as_ptr(&running), spu.as_ptr())) {
            return;
        }
        match sc.take_lead(node) {
            Ok(()) => sc.announce_spu(id),
            Err(error) => complain!("SPU {id}: {error}"),
        }
    }

    fn keeps_consumer_offsets(&self, id: SpuId) -> bool {
        let key = ReplicaKey::new(CONSUMER_REPLICA_KEY.0, CONSUMER_REPLICA_KEY.1).to_string();
        self.objects().partitions.get(&key).is_some_and(|partition| partition.spec.leader == id)
    }

    /// Opens what an SPU leads.
    fn take_lead(&self, node: &Node) -> io::Result<()> {
        let led: Vec<_> = {
            let objects = self.objects();
            let led = objects.partitions.all().filter(|partition| partition.spec.leader == node.id());
            let with_config = led.filter_map(|partition| {
                let key = partition.name.parse::<ReplicaKey>().ok()?;
                let config = self.replica_config(&objects.topics.get(&key.topic)?.spec, key.partition);
                Some((key, config))
            });
            with_config.collect()
        };
        for (key, config) in led {
            node.open(key, &config)?;
        }
        if self.keeps_consumer_offsets(node.id()) {
            self.consumers.open()?;
        }
        Ok(())
    }

    /// Tells that an SPU is there, and gives it what has waited for one.
    pub(super) fn announce_spu(&self, id: SpuId) {
        self.set_spu_online(id, true);
        self.refresh_partitions();
        self.provision_waiting();
    }

    fn partition(&self, topic: &str, partition: PartitionId) -> Result<(ReplicaKey, PartitionSpec), ControlError> {
        let key = ReplicaKey::new(topic, partition);
        match self.objects().partitions.get(&key.to_string()) {
            Some(found) => Ok((key, found.spec.clone())),
            None => Err(ControlError::new(format!("there is no partition {key}"))),
        }
    }

    async fn move_partition(&self, topic: &str, partition: PartitionId, id: SpuId) -> Result<(), ControlError> {
        let _changing = self.changing.lock().await;
        let (key, spec) = self.partition(topic, partition)?;
        if spec.leader == id {
            return Err(ControlError::new(format!("SPU {id} leads {key} already")));
        }
        self.hand_over(&key, &spec, self.known(spec.leader)?, self.known(id)?).map_err(|error| failed(&error))?;
        self.refresh_partitions();
        self.provisioned.notify_waiters();
        Ok(())
    }

    async fn evict(&self, topic: &str, partition: PartitionId, offset: i64) -> Result<(), ControlError> {
        let _changing = self.changing.lock().await;
        let (key, spec) = self.partition(topic, partition)?;
        let spu = self.known(spec.leader)?.spu();
        let Some(replica) = spu.and_then(|spu| spu.held(topic, partition)) else {
            return Err(ControlError::new(format!("the leader of {key} is not available")));
        };
        let Extent { start, end, .. } = replica.extent();
        if !(start..=end).contains(&offset) {
            return Err(ControlError::new(format!("offset {offset} is not within {start} and {end}")));
        }
        replica.evict(offset).map_err(|error| failed(&error))?;
        self.refresh_partitions();
        Ok(())
    }
}
