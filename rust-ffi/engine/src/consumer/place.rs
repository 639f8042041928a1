//! Where reading of a partition goes on.

use std::sync::Arc;

/// A place between two records of a partition. Records can share an offset, so an offset alone does not tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// No record after the place has a smaller offset.
    pub(super) offset: i64,
    /// How many records before the place have no smaller one either: they come again, and are passed over.
    pub(super) skip: u32,
    /// What the aggregate, if the stream has one, came to before.
    pub(super) value: Option<Arc<[u8]>>,
}

impl Place {
    /// Before the first record that has this offset.
    #[cfg(test)]
    pub(super) fn at(offset: i64) -> Self {
        Self { offset, ..Self::default() }
    }
}
