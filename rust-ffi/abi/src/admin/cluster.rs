//! The cluster as a whole, as `docs/admin-json.md` describes them.

use fluvio_cffi_engine::{Admin, Result};
use serde::{Deserialize, Serialize};

use super::{Answer, Entry, Method, answer};

pub(super) const METHODS: &[Entry] = &[Entry::of::<ClusterStatus>()];

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ClusterStatus {}

impl Method for ClusterStatus {
    const NAME: &str = "cluster.status";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.cluster_status().await?)
    }
}
