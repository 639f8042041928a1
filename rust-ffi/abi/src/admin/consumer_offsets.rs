//! The stored offsets of consumers, as `docs/admin-json.md` describes them.

use fluvio_cffi_engine::admin::ResetTo;
use fluvio_cffi_engine::{Admin, Result};
use serde::{Deserialize, Serialize};

use super::{Answer, Entry, Method, answer};

pub(super) const METHODS: &[Entry] = &[
    Entry::of::<ListConsumerOffsets>(),
    Entry::of::<GetConsumerOffset>(),
    Entry::of::<DeleteConsumerOffset>(),
    Entry::of::<ResetConsumerOffset>(),
];

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ListConsumerOffsets {
    #[serde(default)]
    consumer_id: Option<String>,
    #[serde(default)]
    topic: Option<String>,
}

impl Method for ListConsumerOffsets {
    const NAME: &str = "consumer_offsets.list";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.consumer_offsets(self.consumer_id.as_deref(), self.topic.as_deref()).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct GetConsumerOffset {
    consumer_id: String,
    topic: String,
    partition: u32,
}

impl Method for GetConsumerOffset {
    const NAME: &str = "consumer_offsets.get";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.consumer_offset(&self.consumer_id, &self.topic, self.partition).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DeleteConsumerOffset {
    consumer_id: String,
    topic: String,
    partition: u32,
    #[serde(default)]
    missing_ok: bool,
}

impl Method for DeleteConsumerOffset {
    const NAME: &str = "consumer_offsets.delete";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        let Self { consumer_id, topic, partition, missing_ok } = self;
        answer(&admin.delete_consumer_offset(&consumer_id, &topic, partition, missing_ok).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ResetConsumerOffset {
    consumer_id: String,
    topic: String,
    partition: u32,
    to: ResetTo,
}

impl Method for ResetConsumerOffset {
    const NAME: &str = "consumer_offsets.reset";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        let Self { consumer_id, topic, partition, to } = self;
        answer(&admin.reset_consumer_offset(&consumer_id, &topic, partition, to).await?)
    }
}
