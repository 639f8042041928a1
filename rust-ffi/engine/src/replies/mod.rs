//! What servers answer, decoded by the official crates after every length, count and duration in it was checked.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod layouts;
mod record_bytes;
mod walk;

use bytes::Bytes;
use fluvio::metadata::partition::PartitionSpec;
use fluvio::metadata::spu::SpuSpec;
use fluvio::metadata::topic::TopicSpec;
use fluvio_cffi_wire::WireError;
use fluvio_controlplane_metadata::core::Spec;
use fluvio_controlplane_metadata::mirror::MirrorSpec;
use fluvio_controlplane_metadata::smartmodule::SmartModuleSpec;
use fluvio_controlplane_metadata::spg::SpuGroupSpec;
use fluvio_controlplane_metadata::spu::CustomSpuSpec;
use fluvio_controlplane_metadata::tableformat::TableFormatSpec;
use fluvio_protocol::api::Request;
use fluvio_protocol::link::versions::{ApiVersionsRequest, ApiVersionsResponse};
use fluvio_protocol::{Decoder, Version};
use fluvio_sc_schema::Status;
use fluvio_sc_schema::objects::{
    ListResponse, ObjectApiCreateRequest, ObjectApiDeleteRequest, ObjectApiListRequest, ObjectApiUpdateRequest,
    ObjectApiWatchRequest, WatchResponse,
};

use crate::error::{Error, Result};

pub(crate) use record_bytes::RecordBytes;
pub(crate) use walk::{Layout, Walk, Walked};

/// Whether a `T` in `version` stands at the beginning of `bytes`, so that the official decoder can be given them.
fn check<T: Layout>(bytes: &[u8], version: Version) -> Walked {
    T::walk(&mut Walk::new(bytes, version))
}

/// The `T` in `version` that `from` begins with.
pub(crate) fn take<T: Decoder + Layout>(from: &mut Bytes, version: Version) -> Result<T> {
    let unreadable =
        |cause: &dyn std::fmt::Display| Error::incompatible(format!("a reply of the server cannot be read ({cause})"));
    check::<T>(from, version).map_err(|cause| unreadable(&cause))?;
    T::decode_from(from, version).map_err(|cause| unreadable(&cause))
}

/// What a request to the SC is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Versions,
    Status,
    List,
    /// Again and again.
    Watch,
}

impl Answer {
    /// To a request with this key, if it is one that the `fluvio` crate sends.
    pub(crate) fn to(api_key: u16) -> Option<Self> {
        match api_key {
            ApiVersionsRequest::API_KEY => Some(Self::Versions),
            ObjectApiCreateRequest::API_KEY | ObjectApiDeleteRequest::API_KEY | ObjectApiUpdateRequest::API_KEY => {
                Some(Self::Status)
            }
            ObjectApiListRequest::API_KEY => Some(Self::List),
            ObjectApiWatchRequest::API_KEY => Some(Self::Watch),
            _ => None,
        }
    }

    /// Whether `body` is one.
    pub(crate) fn check(self, body: &[u8], version: Version) -> Walked {
        /// Objects of a kind that is named, as `$shell` of the kind's specification.
        macro_rules! objects {
            ($shell:ident) => {{
                let mut walk = Walk::new(body, version);
                let (label, objects) = (walk.text()?, walk.bytes()?);
                objects!($shell, label, objects, TopicSpec, PartitionSpec, SpuSpec, CustomSpuSpec, SpuGroupSpec,
                    SmartModuleSpec, TableFormatSpec, MirrorSpec)
            }};
            ($shell:ident, $label:ident, $objects:ident, $($spec:ident),*) => {
                match $label {
                    $(label if label == <$spec as Spec>::LABEL.as_bytes() => check::<$shell<$spec>>($objects, version),)*
                    _ => Err(WireError::Invalid { field: "the kind of the objects", value: -1 }),
                }
            };
        }
        match self {
            Self::Versions => check::<ApiVersionsResponse>(body, version),
            Self::Status => check::<Status>(body, version),
            Self::List => objects!(ListResponse),
            Self::Watch => objects!(WatchResponse),
        }
    }
}

#[cfg(test)]
mod tests;
