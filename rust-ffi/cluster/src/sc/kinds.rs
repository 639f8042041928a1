//! The kinds of objects that can be listed and watched.

use std::fmt::Debug;

use fluvio_controlplane_metadata::partition::PartitionSpec;
use fluvio_controlplane_metadata::spu::SpuSpec;
use fluvio_controlplane_metadata::topic::TopicSpec;
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::AdminSpec;
use fluvio_sc_schema::core::Spec;
use fluvio_sc_schema::mirror::MirrorSpec;
use fluvio_sc_schema::smartmodule::SmartModuleSpec;
use fluvio_sc_schema::spg::SpuGroupSpec;
use fluvio_sc_schema::tableformat::TableFormatSpec;

use super::store::Store;

/// A kind of objects.
pub(crate) trait Kind: AdminSpec + Spec<Status: Encoder + Decoder + Debug> {
    fn store(objects: &Objects) -> &Store<Self>;
    fn store_mut(objects: &mut Objects) -> &mut Store<Self>;
}

macro_rules! kinds {
    ($($field:ident: $spec:ty,)*) => {
        /// All objects.
        #[derive(Debug, Default)]
        pub(crate) struct Objects {
            $(pub(super) $field: Store<$spec>,)*
        }

        impl Objects {
            /// Whether clients are told of nothing. When that ends, watches hear of everything.
            pub(super) fn set_blank(&mut self, on: bool) {
                $(self.$field.set_blank(on);)*
            }
        }

        $(impl Kind for $spec {
            fn store(objects: &Objects) -> &Store<Self> {
                &objects.$field
            }

            fn store_mut(objects: &mut Objects) -> &mut Store<Self> {
                &mut objects.$field
            }
        })*
    };
}

kinds! {
    topics: TopicSpec,
    partitions: PartitionSpec,
    spus: SpuSpec,
    spu_groups: SpuGroupSpec,
    smartmodules: SmartModuleSpec,
    table_formats: TableFormatSpec,
    mirrors: MirrorSpec,
}
