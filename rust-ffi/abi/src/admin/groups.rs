//! Consumer groups, as `docs/admin-json.md` describes them.

use std::collections::BTreeMap;

use fluvio_cffi_engine::admin::ResetTo;
use fluvio_cffi_engine::{Admin, Error, Result};
use serde::{Deserialize, Serialize};

use super::{Answer, Entry, Method, answer};

pub(super) const METHODS: &[Entry] =
    &[Entry::of::<ListGroups>(), Entry::of::<GetGroup>(), Entry::of::<ResetGroup>(), Entry::of::<DeleteGroup>()];

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ListGroups {
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    log: Option<String>,
}

impl Method for ListGroups {
    const NAME: &str = "groups.list";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.groups(self.topic.as_deref(), self.log.as_deref()).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct GetGroup {
    group: String,
    topic: String,
    #[serde(default)]
    log: Option<String>,
}

impl Method for GetGroup {
    const NAME: &str = "groups.get";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.group(&self.group, &self.topic, self.log.as_deref()).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ResetGroup {
    group: String,
    topic: String,
    /// For all partitions.
    #[serde(default)]
    to: Option<ResetTo>,
    /// For single ones.
    #[serde(default)]
    partitions: Option<BTreeMap<u32, ResetTo>>,
    #[serde(default)]
    log: Option<String>,
}

impl Method for ResetGroup {
    const NAME: &str = "groups.reset";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        let Self { group, topic, to, partitions, log } = self;
        if to.is_some() == partitions.is_some() {
            return Err(Error::invalid("to and partitions: one of them must be given, not both"));
        }
        answer(&admin.reset_group(&group, &topic, to, &partitions.unwrap_or_default(), log.as_deref()).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DeleteGroup {
    group: String,
    topic: String,
    #[serde(default)]
    log: Option<String>,
}

impl Method for DeleteGroup {
    const NAME: &str = "groups.delete";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.delete_group(&self.group, &self.topic, self.log.as_deref()).await?)
    }
}
