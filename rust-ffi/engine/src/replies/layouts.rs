//! The layouts of the official crates' types: their fields in order, as the crates' sources have them.

use std::collections::BTreeMap;
use std::time::Duration;

use fluvio::metadata::partition::PartitionSpec;
use fluvio::metadata::spu::SpuSpec;
use fluvio::metadata::topic::{CompressionAlgorithm, TopicSpec};
use fluvio_cffi_wire::WireError;
use fluvio_controlplane_metadata::message::Message;
use fluvio_controlplane_metadata::mirror::{ClientTls, MirrorPairStatus, MirrorSpec, MirrorStatus, MirrorType};
use fluvio_controlplane_metadata::partition::{
    HomePartitionConfig, PartitionMirrorConfig, PartitionStatus, RemotePartitionConfig, ReplicaKey, ReplicaStatus,
};
use fluvio_controlplane_metadata::smartmodule::{
    SmartModuleMetadata, SmartModulePackage, SmartModuleSpec, SmartModuleStatus, SmartModuleWasm,
};
use fluvio_controlplane_metadata::spg::{
    EnvVar, ReplicationConfig, SpuConfig, SpuGroupSpec, SpuGroupStatus, StorageConfig,
};
use fluvio_controlplane_metadata::spu::{CustomSpuSpec, Endpoint, IngressAddr, IngressPort, SpuStatus};
use fluvio_controlplane_metadata::tableformat::{TableFormatColumnConfig, TableFormatSpec, TableFormatStatus};
use fluvio_controlplane_metadata::topic::{
    CleanupPolicy, Deduplication, HomeMirrorConfig, MirrorConfig, PartitionMap, RemoteMirrorConfig, ReplicaSpec,
    SpuMirrorConfig, TopicStatus, TopicStorageConfig,
};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::link::smartmodule::SmartModuleTransformRuntimeError;
use fluvio_protocol::link::versions::{ApiVersionKey, ApiVersionsResponse};
use fluvio_protocol::record::RecordData;
use fluvio_protocol::{ByteBuf, Decoder, Encoder};
use fluvio_sc_schema::objects::{ListResponse, Metadata, MetadataUpdate, WatchResponse};
use fluvio_sc_schema::{AdminSpec, Status};
use fluvio_spu_schema::fetch::{AbortedTransaction, FetchablePartitionResponse};
use fluvio_spu_schema::server::consumer_offset::{
    ConsumerOffset, DeleteConsumerOffsetResponse, FetchConsumerOffsetsResponse, UpdateConsumerOffsetResponse,
};
use fluvio_spu_schema::server::fetch_offset::{
    FetchOffsetPartitionResponse, FetchOffsetTopicResponse, FetchOffsetsResponse,
};
use fluvio_spu_schema::server::stream_fetch::StreamFetchResponse;

use super::walk::{Layout, Walk, Walked};

/// A struct's fields, each with the version that brought it where that is not the first. What is small and has no name
/// of its own here stands as its own fields.
macro_rules! structs {
    ($($name:ty { $($field:ty $(: $since:literal)?),* $(,)? })*) => {$(
        impl Layout for $name {
            fn walk(walk: &mut Walk<'_>) -> Walked {
                $(structs!(@field walk, $field $(, $since)?);)*
                Ok(())
            }
        }
    )*};
    (@field $walk:ident, $field:ty) => { <$field>::walk($walk)? };
    (@field $walk:ident, $field:ty, $since:literal) => { if $walk.version() >= $since { <$field>::walk($walk)?; } };
}

/// An enum's tags with what follows each. Which version brought which is not looked at, as by the decoders.
macro_rules! enums {
    ($($name:ty as $tag:ty { $($number:pat => ($($field:ty),*)),* $(,)? })*) => {$(
        impl Layout for $name {
            fn walk(walk: &mut Walk<'_>) -> Walked {
                match <$tag>::from_be_bytes(walk.array(stringify!($name))?) {
                    $($number => { $(<$field>::walk(walk)?;)* Ok(()) })*
                    other => Err(WireError::Invalid { field: stringify!($name), value: other.into() }),
                }
            }
        }
    )*};
}

/// A tag of one byte that is at most `MOST`, and nothing behind it.
enum Tag<const MOST: u8> {}

impl<const MOST: u8> Layout for Tag<MOST> {
    fn walk(walk: &mut Walk<'_>) -> Walked {
        match walk.array("a tag")? {
            [tag] if tag <= MOST => Ok(()),
            [other] => Err(WireError::Invalid { field: "a tag", value: other.into() }),
        }
    }
}

// -- everywhere

enums! {
    ErrorCode as i16 {
        -1..=1 | 6 | 10 | 13 | 56 | 60 | 61 | 73 | 1000..=1004 | 2000..=2008 | 3000..=3002 | 3004 | 3005 | 5000..=5002 | 6000
            | 7000..=7002 | 8000 | 8002 | 9000 | 10_000 | 11_001..=11_006 => (),
        2 | 3003 | 6001 | 6005..=6007 | 8001 | 8003 | 10_001 => (String),
        7 => (u64, Tag<0>),
        71 | 6008 => (u64, u64),
        72 => (ReplicaKey),
        6002 => (String, Option<String>),
        6003 | 12_001 | 12_002 => (String, String),
        6004 => (SmartModuleTransformRuntimeError),
    }
}

structs! {
    ReplicaKey { String, u32 }
    SmartModuleTransformRuntimeError { String, i64, Tag<6>, Option<RecordData>, RecordData }
    ApiVersionsResponse { ErrorCode, Vec<ApiVersionKey>, String }
    ApiVersionKey { i16, i16, i16 }
}

// -- the SPU's replies

structs! {
    AbortedTransaction { i64, i64 }
    FetchOffsetsResponse { Vec<FetchOffsetTopicResponse> }
    FetchOffsetTopicResponse { String, Vec<FetchOffsetPartitionResponse> }
    FetchOffsetPartitionResponse { ErrorCode, u32, i64, i64 }
    UpdateConsumerOffsetResponse { i64, ErrorCode }
    DeleteConsumerOffsetResponse { ErrorCode }
    FetchConsumerOffsetsResponse { ErrorCode, Vec<ConsumerOffset> }
    ConsumerOffset { String, ReplicaKey, i64, u64 }
}

impl<R: Layout> Layout for StreamFetchResponse<R> {
    fn walk(walk: &mut Walk<'_>) -> Walked {
        String::walk(walk)?;
        u32::walk(walk)?;
        FetchablePartitionResponse::<R>::walk(walk)
    }
}

impl<R: Layout> Layout for FetchablePartitionResponse<R> {
    fn walk(walk: &mut Walk<'_>) -> Walked {
        u32::walk(walk)?;
        ErrorCode::walk(walk)?;
        i64::walk(walk)?;
        if walk.version() >= 11 {
            i64::walk(walk)?;
        }
        i64::walk(walk)?;
        Option::<Vec<AbortedTransaction>>::walk(walk)?;
        R::walk(walk)
    }
}

// -- the SC's replies

structs! {
    Status { String, ErrorCode, Option<String> }
}

impl<S> Layout for Metadata<S>
where
    S: AdminSpec<Status: Decoder + Encoder + Layout> + Layout,
{
    fn walk(walk: &mut Walk<'_>) -> Walked {
        String::walk(walk)?;
        S::walk(walk)?;
        S::Status::walk(walk)
    }
}

impl<T: Layout> Layout for Message<T> {
    fn walk(walk: &mut Walk<'_>) -> Walked {
        Tag::<1>::walk(walk)?;
        T::walk(walk)
    }
}

impl<S> Layout for ListResponse<S>
where
    S: AdminSpec<Status: Decoder + Encoder + Layout> + Layout,
{
    fn walk(walk: &mut Walk<'_>) -> Walked {
        Vec::<Metadata<S>>::walk(walk)
    }
}

impl<S> Layout for WatchResponse<S>
where
    S: AdminSpec<Status: Decoder + Encoder + Layout> + Layout,
{
    fn walk(walk: &mut Walk<'_>) -> Walked {
        MetadataUpdate::<S>::walk(walk)
    }
}

impl<S> Layout for MetadataUpdate<S>
where
    S: AdminSpec<Status: Decoder + Encoder + Layout> + Layout,
{
    fn walk(walk: &mut Walk<'_>) -> Walked {
        i64::walk(walk)?;
        Vec::<Message<Metadata<S>>>::walk(walk)?;
        Vec::<Metadata<S>>::walk(walk)
    }
}

// -- topics and partitions

structs! {
    TopicSpec {
        ReplicaSpec,
        Option<CleanupPolicy>: 3,
        Option<TopicStorageConfig>: 4,
        CompressionAlgorithm: 6,
        Option<Deduplication>: 12,
        bool: 13,
    }
    PartitionMap { u32, Vec<i32>, Option<PartitionMirrorConfig>: 14 }
    RemoteMirrorConfig { String, Vec<SpuMirrorConfig>, bool: 18 }
    SpuMirrorConfig { i32, String, String }
    HomeMirrorConfig { Vec<HomePartitionConfig>, bool: 18 }
    TopicStorageConfig { Option<u32>, Option<u64> }
    Deduplication { u64, Option<Duration>, String, BTreeMap<String, String> }
    TopicStatus { Tag<5>, BTreeMap<u32, Vec<i32>>, BTreeMap<u32, PartitionMirrorConfig>: 14, String }
    PartitionSpec {
        i32,
        Vec<i32>,
        Option<CleanupPolicy>: 4,
        Option<TopicStorageConfig>: 4,
        CompressionAlgorithm: 6,
        Option<Deduplication>: 12,
        bool: 13,
        Option<PartitionMirrorConfig>: 14,
    }
    HomePartitionConfig { String, String, bool: 18 }
    RemotePartitionConfig { String, String, i32, String, bool: 18 }
    PartitionStatus { Tag<4>, ReplicaStatus, u32, Vec<ReplicaStatus>, i64: 5, bool, i64: 16 }
    ReplicaStatus { i32, i64, i64 }
}

enums! {
    ReplicaSpec as u8 { 0 => (Vec<PartitionMap>), 1 => (u32, u32, bool), 2 => (MirrorConfig) }
    MirrorConfig as u8 { 0 => (RemoteMirrorConfig), 1 => (HomeMirrorConfig) }
    PartitionMirrorConfig as u8 { 0 => (RemotePartitionConfig), 1 => (HomePartitionConfig) }
    CleanupPolicy as u8 { 0 => (u32) }
    CompressionAlgorithm as u8 { 0..=5 => () }
}

// -- SPUs and their groups

structs! {
    SpuSpec { i32, Tag<1>, IngressPort, Endpoint, Option<String>, Option<Endpoint>: 1 }
    CustomSpuSpec { i32, IngressPort, Endpoint, Option<String>, Option<Endpoint> }
    SpuStatus { Tag<2> }
    IngressPort { u16, Vec<IngressAddr>, Tag<1> }
    IngressAddr { Option<String>, Option<String> }
    Endpoint { u16, String, Tag<1> }
    SpuGroupSpec { u16, i32, SpuConfig }
    SpuConfig { Option<String>, Option<ReplicationConfig>, Option<StorageConfig>, Vec<EnvVar> }
    ReplicationConfig { Option<u16> }
    StorageConfig { Option<String>, Option<String> }
    EnvVar { String, String }
    SpuGroupStatus { Tag<2>, Option<String> }
}

// -- SmartModules, table formats, mirrors

impl Layout for SmartModuleSpec {
    fn walk(walk: &mut Walk<'_>) -> Walked {
        const PACKAGES: i16 = 10;
        if walk.version() < PACKAGES {
            let value = walk.version().into();
            return Err(WireError::Invalid { field: "the version of a SmartModule", value });
        }
        Option::<SmartModuleMetadata>::walk(walk)?;
        Option::<u32>::walk(walk)?;
        SmartModuleWasm::walk(walk)
    }
}

structs! {
    SmartModuleMetadata { SmartModulePackage, BTreeMap<String, (Option<String>, bool)> }
    SmartModulePackage { String, String, String, String, Option<String>, Option<String>, Tag<1>: 19, Option<String> }
    SmartModuleWasm { Tag<1>, ByteBuf }
    TableFormatSpec { String, Option<Tag<0>>, Option<Vec<TableFormatColumnConfig>>, Option<String> }
    TableFormatColumnConfig {
        Option<String>,
        Option<String>,
        Option<Tag<2>>,
        String,
        Option<String>,
        Option<bool>,
        Option<bool>,
        Option<Tag<2>>,
        Option<Tag<2>>,
    }
    TableFormatStatus { Tag<4>, Option<String> }
    MirrorSpec { MirrorType }
    ClientTls { String, String, String, String }
    MirrorStatus { Tag<1>, MirrorPairStatus, MirrorPairStatus, u64 }
}

impl Layout for SmartModuleStatus {
    fn walk(_: &mut Walk<'_>) -> Walked {
        Ok(())
    }
}

enums! {
    MirrorType as u8 { 0 => (String), 1 => (String, String, String, Option<ClientTls>) }
    MirrorPairStatus as u8 { 0..=4 => (), 5 => (String) }
}
