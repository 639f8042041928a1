//! Topics, as `docs/admin-json.md` describes them.

use fluvio_cffi_engine::admin::TopicSpec;
use fluvio_cffi_engine::{Admin, CreateFlags, Result};
use serde::{Deserialize, Serialize};

use super::{Answer, Entry, Method, answer, yes};

pub(super) const METHODS: &[Entry] = &[
    Entry::of::<CreateTopic>(),
    Entry::of::<ListTopics>(),
    Entry::of::<GetTopic>(),
    Entry::of::<DeleteTopic>(),
    Entry::of::<AddPartitions>(),
    Entry::of::<AddMirror>(),
];

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct CreateTopic {
    name: String,
    #[serde(default)]
    spec: TopicSpec,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    exist_ok: bool,
    #[serde(default = "yes")]
    wait_ready: bool,
}

impl Method for CreateTopic {
    const NAME: &str = "topics.create";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        let Self { name, spec, dry_run, exist_ok, wait_ready } = self;
        answer(&admin.create_topic(&name, spec, CreateFlags { dry_run, exist_ok }, wait_ready).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ListTopics {
    #[serde(default)]
    name_contains: Option<String>,
    #[serde(default)]
    system: bool,
}

impl Method for ListTopics {
    const NAME: &str = "topics.list";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.topics(self.name_contains.as_deref(), self.system).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct GetTopic {
    name: String,
}

impl Method for GetTopic {
    const NAME: &str = "topics.get";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.topic(&self.name).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DeleteTopic {
    name: String,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    missing_ok: bool,
}

impl Method for DeleteTopic {
    const NAME: &str = "topics.delete";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.delete_topic(&self.name, self.force, self.missing_ok).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct AddPartitions {
    name: String,
    count: u32,
    #[serde(default = "yes")]
    wait_ready: bool,
}

impl Method for AddPartitions {
    const NAME: &str = "topics.add_partitions";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.add_partitions(&self.name, self.count, self.wait_ready).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct AddMirror {
    name: String,
    remote_cluster: String,
    #[serde(default)]
    home_to_remote: bool,
}

impl Method for AddMirror {
    const NAME: &str = "topics.add_mirror";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.add_mirror(&self.name, &self.remote_cluster, self.home_to_remote).await?)
    }
}
