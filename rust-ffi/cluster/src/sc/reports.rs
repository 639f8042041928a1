//! What passes between the SC and an SPU later than it happens.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Sc;
use crate::spu::Node;

/// Has an SPU hear of its orders, and the SC of its reports, when they are due, as long as the SC is there.
pub(crate) async fn attend(sc: Weak<Sc>, node: Arc<Node>) {
    let delay = || node.listener().faults().report_delay().unwrap_or(Duration::ZERO);
    loop {
        let is_order = tokio::select! {
            () = node.orders().due() => true,
            () = node.reports().due(delay) => false,
        };
        let Some(sc) = sc.upgrade() else { return };
        match is_order {
            true => sc.deliver(&node),
            false => sc.receive(&node),
        }
    }
}

impl Sc {
    /// Has an SPU do what it hears of now.
    fn deliver(&self, node: &Node) {
        node.orders().carry_out(|order| {
            if let Err(error) = node.obey(order) {
                complain!("partition {}: {error}", order.key());
            }
        });
        self.hear();
    }

    /// Takes a report, or loses it.
    fn receive(&self, node: &Node) {
        let keys = node.reports().take();
        let is_lost = node.listener().faults().loses_reports() && {
            let objects = self.objects();
            keys.iter().any(|key| objects.partitions.get(&key.to_string()).is_none())
        };
        if let Some(spu) = node.spu().filter(|_| !is_lost) {
            keys.iter().filter_map(|key| spu.held(&key.topic, key.partition)).for_each(|it| it.set_reported(true));
            self.hear();
        }
    }

    /// Hears of all of an SPU's partitions, if nothing keeps it from that any more.
    pub(super) fn catch_up(&self, node: &Node) {
        node.reports().reconsider();
        if node.listener().faults().report_delay().is_some() {
            return;
        }
        node.reports().take();
        if let Some(spu) = node.spu() {
            spu.all().iter().for_each(|replica| replica.set_reported(true));
        }
        self.hear();
    }

    /// Takes over how the partitions are, also where a create waits for it.
    fn hear(&self) {
        self.refresh_partitions();
        self.provisioned.notify_waiters();
    }
}
