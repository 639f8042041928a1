//! SPU groups, as `docs/admin-json.md` describes them.

use fluvio_cffi_engine::admin::SpuGroupSpec;
use fluvio_cffi_engine::{Admin, CreateFlags, Result};
use serde::{Deserialize, Serialize};

use super::{Answer, Entry, Method, answer};

pub(super) const METHODS: &[Entry] = &[
    Entry::of::<CreateSpuGroup>(),
    Entry::of::<ListSpuGroups>(),
    Entry::of::<GetSpuGroup>(),
    Entry::of::<DeleteSpuGroup>(),
];

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct CreateSpuGroup {
    name: String,
    #[serde(default)]
    spec: SpuGroupSpec,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    exist_ok: bool,
}

impl Method for CreateSpuGroup {
    const NAME: &str = "spu_groups.create";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        let Self { name, spec, dry_run, exist_ok } = self;
        answer(&admin.create_spu_group(&name, spec, CreateFlags { dry_run, exist_ok }).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ListSpuGroups {
    #[serde(default)]
    name_contains: Option<String>,
}

impl Method for ListSpuGroups {
    const NAME: &str = "spu_groups.list";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.spu_groups(self.name_contains.as_deref()).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct GetSpuGroup {
    name: String,
}

impl Method for GetSpuGroup {
    const NAME: &str = "spu_groups.get";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.spu_group(&self.name).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DeleteSpuGroup {
    name: String,
    #[serde(default)]
    missing_ok: bool,
}

impl Method for DeleteSpuGroup {
    const NAME: &str = "spu_groups.delete";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.delete_spu_group(&self.name, self.missing_ok).await?)
    }
}
