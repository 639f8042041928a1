//! Custom SPUs, which their owners start, as `docs/admin-json.md` describes them.

use fluvio_cffi_engine::admin::CustomSpuSpec;
use fluvio_cffi_engine::{Admin, CreateFlags, Result};
use serde::{Deserialize, Serialize};

use super::{Answer, Entry, Method, answer, spu_key};

pub(super) const METHODS: &[Entry] = &[
    Entry::of::<CreateCustomSpu>(),
    Entry::of::<ListCustomSpus>(),
    Entry::of::<GetCustomSpu>(),
    Entry::of::<DeleteCustomSpu>(),
];

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct CreateCustomSpu {
    #[serde(default)]
    name: Option<String>,
    spec: CustomSpuSpec,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    exist_ok: bool,
}

impl Method for CreateCustomSpu {
    const NAME: &str = "custom_spus.create";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        let Self { name, spec, dry_run, exist_ok } = self;
        answer(&admin.create_custom_spu(name.as_deref(), spec, CreateFlags { dry_run, exist_ok }).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ListCustomSpus {
    #[serde(default)]
    name_contains: Option<String>,
}

impl Method for ListCustomSpus {
    const NAME: &str = "custom_spus.list";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.custom_spus(self.name_contains.as_deref()).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct GetCustomSpu {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    id: Option<i32>,
}

impl Method for GetCustomSpu {
    const NAME: &str = "custom_spus.get";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.custom_spu(&spu_key(self.name, self.id)?).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DeleteCustomSpu {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    id: Option<i32>,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    missing_ok: bool,
}

impl Method for DeleteCustomSpu {
    const NAME: &str = "custom_spus.delete";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        let key = spu_key(self.name, self.id)?;
        answer(&admin.delete_custom_spu(&key, self.force, self.missing_ok).await?)
    }
}
