//! Table formats, which tell tools how to show records.

use fluvio::metadata::tableformat::{
    Color as UpstreamColor, DataFormat as UpstreamFormat, TableFormatAlignment, TableFormatColumnConfig,
    TableFormatSpec as Upstream, TableFormatStatus as UpstreamStatus, TableFormatStatusResolution,
};
use fluvio_sc_schema::objects::Metadata;
use serde::{Deserialize, Serialize};

use super::{Admin, CreateFlags, Kind, check_name, like};
use crate::error::{Error, ErrorKind, Result};

like! {
    /// What records hold.
    DataFormat: UpstreamFormat {
        /// JSON.
        Json = JSON,
    }
}

like! {
    /// Where the text of a column stands.
    Alignment: TableFormatAlignment {
        /// On the left.
        Left = Left,
        /// On the right.
        Right = Right,
        /// In the middle.
        Center = Center,
    }
}

like! {
    /// The colours there are.
    Color: UpstreamColor {
        /// Blue.
        Blue = Blue,
        /// Yellow.
        Yellow = Yellow,
        /// Green.
        Green = Green,
    }
}

like! {
    /// How far a table format has come.
    TableFormatResolution: TableFormatStatusResolution {
        /// New.
        Init = Init,
        /// It cannot be.
        Invalid = Invalid,
        /// In use.
        Running = Running,
        /// Waits.
        Pending = Pending,
        /// Broken.
        Failed = Failed,
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Where in the record its value is.
    pub key_path: String,
    /// What stands above it.
    #[serde(default)]
    pub header_label: Option<String>,
    /// How wide it is.
    #[serde(default)]
    pub width: Option<String>,
    /// Where its text stands.
    #[serde(default)]
    pub alignment: Option<Alignment>,
    /// How values are written.
    #[serde(default)]
    pub format: Option<String>,
    /// Whether it is shown.
    #[serde(default)]
    pub display: Option<bool>,
    /// Whether records with the same value are one row.
    #[serde(default)]
    pub primary_key: Option<bool>,
    /// The colour behind what stands above it.
    #[serde(default)]
    pub header_bg_color: Option<Color>,
    /// The colour of what stands above it.
    #[serde(default)]
    pub header_text_color: Option<Color>,
}

/// What a table format is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableFormatSpec {
    /// What records hold.
    pub input_format: Option<DataFormat>,
    /// Its columns.
    pub columns: Option<Vec<Column>>,
    /// A SmartModule that records go through first.
    pub smartmodule: Option<String>,
}

/// How a table format is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableFormatStatus {
    /// How far it has come.
    pub resolution: TableFormatResolution,
    /// Why.
    pub reason: Option<String>,
}

/// A table format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableFormat {
    /// Its name.
    pub name: String,
    /// What it is.
    pub spec: TableFormatSpec,
    /// How it is.
    pub status: TableFormatStatus,
}

impl From<TableFormatColumnConfig> for Column {
    fn from(column: TableFormatColumnConfig) -> Self {
        Self {
            key_path: column.key_path,
            header_label: column.header_label,
            width: column.width,
            alignment: column.alignment.map(Into::into),
            format: column.format,
            display: column.display,
            primary_key: column.primary_key,
            header_bg_color: column.header_bg_color.map(Into::into),
            header_text_color: column.header_text_color.map(Into::into),
        }
    }
}

impl From<Column> for TableFormatColumnConfig {
    fn from(column: Column) -> Self {
        Self {
            key_path: column.key_path,
            header_label: column.header_label,
            width: column.width,
            alignment: column.alignment.map(Into::into),
            format: column.format,
            display: column.display,
            primary_key: column.primary_key,
            header_bg_color: column.header_bg_color.map(Into::into),
            header_text_color: column.header_text_color.map(Into::into),
        }
    }
}

impl Kind for TableFormat {
    type Spec = Upstream;
    type UpstreamStatus = UpstreamStatus;
    const LABEL: &str = "table format";
    const MISSING: ErrorKind = ErrorKind::TableFormatNotFound;

    fn from_upstream(Metadata { name, spec, status }: Metadata<Upstream>) -> Result<Self> {
        Ok(Self {
            name,
            spec: TableFormatSpec {
                input_format: spec.input_format.map(Into::into),
                columns: spec.columns.map(|columns| columns.into_iter().map(Into::into).collect()),
                smartmodule: spec.smartmodule,
            },
            status: TableFormatStatus { resolution: status.resolution.into(), reason: status.reason },
        })
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Admin {
    /// Creates a table format.
    pub async fn create_table_format(
        &self,
        name: &str,
        spec: TableFormatSpec,
        flags: CreateFlags,
    ) -> Result<TableFormat> {
        check_name("name", name)?;
        if spec.columns.iter().flatten().any(|column| column.key_path.is_empty()) {
            return Err(Error::invalid("columns has one with an empty key_path: it must say where the value is"));
        }
        let spec = Upstream {
            name: name.to_owned(),
            input_format: spec.input_format.map(Into::into),
            columns: spec.columns.map(|columns| columns.into_iter().map(Into::into).collect()),
            smartmodule: spec.smartmodule,
        };
        self.create(name, spec, flags).await
    }

    /// The table formats whose name contains a string.
    pub async fn table_formats(&self, name_contains: Option<&str>) -> Result<Vec<TableFormat>> {
        self.list(name_contains, false, false).await
    }

    /// One table format.
    pub async fn table_format(&self, name: &str) -> Result<TableFormat> {
        self.get(name).await
    }

    /// Deletes a table format.
    pub async fn delete_table_format(&self, name: &str, missing_ok: bool) -> Result<()> {
        self.delete::<TableFormat>(name, missing_ok).await
    }
}
