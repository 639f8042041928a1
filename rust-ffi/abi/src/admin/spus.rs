//! SPUs, as `docs/admin-json.md` describes them.

use fluvio_cffi_engine::{Admin, Result};
use serde::{Deserialize, Serialize};

use super::{Answer, Entry, Method, answer, spu_key};

pub(super) const METHODS: &[Entry] = &[Entry::of::<ListSpus>(), Entry::of::<GetSpu>()];

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ListSpus {
    #[serde(default)]
    name_contains: Option<String>,
}

impl Method for ListSpus {
    const NAME: &str = "spus.list";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.spus(self.name_contains.as_deref()).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct GetSpu {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    id: Option<i32>,
}

impl Method for GetSpu {
    const NAME: &str = "spus.get";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.spu(&spu_key(self.name, self.id)?).await?)
    }
}
