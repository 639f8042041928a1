//! Table formats, as `docs/admin-json.md` describes them.

use fluvio_cffi_engine::admin::TableFormatSpec;
use fluvio_cffi_engine::{Admin, CreateFlags, Result};
use serde::{Deserialize, Serialize};

use super::{Answer, Entry, Method, answer};

pub(super) const METHODS: &[Entry] = &[
    Entry::of::<CreateTableFormat>(),
    Entry::of::<ListTableFormats>(),
    Entry::of::<GetTableFormat>(),
    Entry::of::<DeleteTableFormat>(),
];

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct CreateTableFormat {
    name: String,
    #[serde(default)]
    spec: TableFormatSpec,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    exist_ok: bool,
}

impl Method for CreateTableFormat {
    const NAME: &str = "table_formats.create";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        let Self { name, spec, dry_run, exist_ok } = self;
        answer(&admin.create_table_format(&name, spec, CreateFlags { dry_run, exist_ok }).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ListTableFormats {
    #[serde(default)]
    name_contains: Option<String>,
}

impl Method for ListTableFormats {
    const NAME: &str = "table_formats.list";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.table_formats(self.name_contains.as_deref()).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct GetTableFormat {
    name: String,
}

impl Method for GetTableFormat {
    const NAME: &str = "table_formats.get";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.table_format(&self.name).await?)
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct DeleteTableFormat {
    name: String,
    #[serde(default)]
    missing_ok: bool,
}

impl Method for DeleteTableFormat {
    const NAME: &str = "table_formats.delete";

    async fn run(self, admin: &Admin, _: &[u8]) -> Result<Answer> {
        answer(&admin.delete_table_format(&self.name, self.missing_ok).await?)
    }
}
