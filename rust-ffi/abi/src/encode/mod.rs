//! The forms in which records leave the library.

mod arrow;
mod pickle;
mod records;

use std::sync::Arc;

use fluvio_cffi_engine::ChunkEncoder;

pub(crate) use arrow::{Columns, columns};
pub use records::flv_record_t;
pub(crate) use records::index;

/// The form in which a consumer's records leave the library.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    Records,
    Pickle,
    Arrow,
}

impl Format {
    pub(crate) fn encoder(self) -> Arc<dyn ChunkEncoder> {
        match self {
            Self::Records => Arc::new(records::Plain),
            Self::Pickle => Arc::new(pickle::Pickle),
            Self::Arrow => Arc::new(arrow::Arrow),
        }
    }
}
