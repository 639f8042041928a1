//! SmartModules, as `docs/admin-json.md` describes them.

use fluvio_cffi_engine::admin::SmartModuleSpec;
use fluvio_cffi_engine::{Admin, CreateFlags, Result};
use serde::{Deserialize, Serialize};

use super::{Answer, Entry, Method, answer};
use crate::json::json;

pub(super) const METHODS: &[Entry] = &[
    Entry::of::<CreateSmartModule>(),
    Entry::of::<ListSmartModules>(),
    Entry::of::<GetSmartModule>(),
    Entry::of::<DeleteSmartModule>(),
];

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct CreateSmartModule {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    spec: SmartModuleSpec,
    #[serde(default)]
    overwrite: bool,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    exist_ok: bool,
}

impl Method for CreateSmartModule {
    const NAME: &str = "smartmodules.create";
    const TAKES_BINARY: bool = true;

    async fn run(self, admin: &Admin, binary: &[u8]) -> Result<Answer> {
        let Self { name, spec, overwrite, dry_run, exist_ok } = self;
        let flags = CreateFlags { dry_run, exist_ok };
        answer(&admin.create_smartmodule(name.as_deref(), spec, binary, flags, overwrite).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ListSmartModules {
    #[serde(default)]
    name_contains: Option<String>,
    #[serde(default)]
    wasm: bool,
}

impl Method for ListSmartModules {
    const NAME: &str = "smartmodules.list";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        let (modules, binary) = admin.smartmodules(self.name_contains.as_deref(), self.wasm).await?;
        Ok(Answer { json: json(&modules)?, binary })
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct GetSmartModule {
    name: String,
    #[serde(default)]
    wasm: bool,
}

impl Method for GetSmartModule {
    const NAME: &str = "smartmodules.get";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        let (module, binary) = admin.smartmodule(&self.name, self.wasm).await?;
        Ok(Answer { json: json(&module)?, binary })
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DeleteSmartModule {
    name: String,
    #[serde(default)]
    missing_ok: bool,
}

impl Method for DeleteSmartModule {
    const NAME: &str = "smartmodules.delete";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.delete_smartmodule(&self.name, self.missing_ok).await?)
    }
}
