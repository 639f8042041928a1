//! Partitions, as `docs/admin-json.md` describes them.

use fluvio_cffi_engine::{Admin, Result};
use serde::{Deserialize, Serialize};

use super::{Answer, Entry, Method, answer};

pub(super) const METHODS: &[Entry] = &[Entry::of::<ListPartitions>(), Entry::of::<GetPartition>()];

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ListPartitions {
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    system: bool,
}

impl Method for ListPartitions {
    const NAME: &str = "partitions.list";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.partitions(self.topic.as_deref(), self.system).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct GetPartition {
    topic: String,
    partition: u32,
}

impl Method for GetPartition {
    const NAME: &str = "partitions.get";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.partition(&self.topic, self.partition).await?)
    }
}
