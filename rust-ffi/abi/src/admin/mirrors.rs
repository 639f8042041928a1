//! Mirrors, as `docs/admin-json.md` describes them.

use fluvio_cffi_engine::admin::MirrorSpec;
use fluvio_cffi_engine::{Admin, CreateFlags, Result};
use serde::{Deserialize, Serialize};

use super::{Answer, Entry, Method, answer};

pub(super) const METHODS: &[Entry] =
    &[Entry::of::<CreateMirror>(), Entry::of::<ListMirrors>(), Entry::of::<GetMirror>(), Entry::of::<DeleteMirror>()];

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct CreateMirror {
    name: String,
    spec: MirrorSpec,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    exist_ok: bool,
}

impl Method for CreateMirror {
    const NAME: &str = "mirrors.create";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        let Self { name, spec, dry_run, exist_ok } = self;
        answer(&admin.create_mirror(&name, spec, CreateFlags { dry_run, exist_ok }).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ListMirrors {
    #[serde(default)]
    name_contains: Option<String>,
}

impl Method for ListMirrors {
    const NAME: &str = "mirrors.list";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.mirrors(self.name_contains.as_deref()).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct GetMirror {
    name: String,
}

impl Method for GetMirror {
    const NAME: &str = "mirrors.get";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.mirror(&self.name).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DeleteMirror {
    name: String,
    #[serde(default)]
    missing_ok: bool,
}

impl Method for DeleteMirror {
    const NAME: &str = "mirrors.delete";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.delete_mirror(&self.name, self.missing_ok).await?)
    }
}
