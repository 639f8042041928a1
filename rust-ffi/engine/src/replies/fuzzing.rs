//! What holds for every reply, whoever wrote it.
#![allow(clippy::unwrap_used, clippy::panic)]

use fluvio_protocol::Encoder;
use fluvio_protocol::link::ErrorCode;
use fluvio_sc_schema::TryEncodableFrom;
use fluvio_sc_schema::objects::{ObjectApiListResponse, ObjectApiWatchResponse};
use fluvio_spu_schema::server::consumer_offset::{
    DeleteConsumerOffsetResponse, FetchConsumerOffsetsResponse, UpdateConsumerOffsetResponse,
};
use fluvio_spu_schema::server::fetch_offset::FetchOffsetsResponse;
use fluvio_spu_schema::server::stream_fetch::StreamFetchResponse;

use super::*;

/// The newest versions.
pub(super) const SC: Version = 19;
pub(super) const SPU: Version = 25;

/// How many older versions are tried.
const OLDER: Version = 8;

/// What was walked over is decoded without a panic, and as far as the walk went; what was decoded and encoded again is
/// walked over to its end. Says whether there was something.
pub(super) fn agree<T: Decoder + Encoder + Layout>(bytes: &[u8], version: Version) -> bool {
    let name = std::any::type_name::<T>();
    let mut walk = Walk::new(bytes, version);
    if T::walk(&mut walk).is_err() {
        return false;
    }
    let mut rest = bytes;
    // Texts that are none, and versions that are none, are the decoder's to find.
    let Ok(value) = T::decode_from(&mut rest, version) else { return false };
    assert_eq!(walk.left(), rest.len(), "{name}");
    let mut again = Vec::new();
    value.encode(&mut again, version).unwrap();
    let mut walk = Walk::new(&again, version);
    T::walk(&mut walk).unwrap_or_else(|cause| panic!("{name}: {cause}"));
    assert_eq!(walk.left(), 0, "{name}");
    true
}

/// Everything that the official crates make of a reply of the SC, as the `fluvio` crate has it done.
pub(super) fn decode_sc(answer: Answer, body: &[u8], version: Version) {
    macro_rules! objects {
        ($shell:ident, $reply:expr, $($spec:ident),*) => {
            if let Ok(reply) = $reply {
                $(drop(<_ as TryEncodableFrom<$shell<$spec>>>::downcast(&reply));)*
            }
        };
        ($shell:ident, $reply:expr) => {
            objects!($shell, $reply, TopicSpec, PartitionSpec, SpuSpec, CustomSpuSpec, SpuGroupSpec, SmartModuleSpec,
                TableFormatSpec, MirrorSpec)
        };
    }
    let mut body = body;
    match answer {
        Answer::Versions => drop(ApiVersionsResponse::decode_from(&mut body, version)),
        Answer::Status => drop(Status::decode_from(&mut body, version)),
        Answer::List => objects!(ListResponse, ObjectApiListResponse::decode_from(&mut body, version)),
        Answer::Watch => objects!(WatchResponse, ObjectApiWatchResponse::decode_from(&mut body, version)),
    }
}

/// A reply of an SPU, the first byte says of which kind and in which version: what was found good is decoded.
pub(crate) fn of_an_spu(data: &[u8]) {
    let Some((&number, body)) = data.split_first() else { return };
    let version = SPU - Version::from(number >> 4) % OLDER;
    match number & 0xf {
        0 => drop(agree::<StreamFetchResponse<RecordBytes>>(body, version)),
        1 => drop(agree::<FetchOffsetsResponse>(body, version)),
        2 => drop(agree::<UpdateConsumerOffsetResponse>(body, version)),
        3 => drop(agree::<DeleteConsumerOffsetResponse>(body, version)),
        4 => drop(agree::<FetchConsumerOffsetsResponse>(body, version)),
        5 => drop(agree::<ErrorCode>(body, version)),
        6 => drop(agree::<String>(body, version)),
        _ => drop(agree::<ApiVersionsResponse>(body, version)),
    }
}

/// A reply of the SC, the first byte says of which kind and in which version: what was found good is decoded.
pub(crate) fn of_the_sc(data: &[u8]) {
    let Some((&number, body)) = data.split_first() else { return };
    let version = SC - Version::from(number >> 4) % OLDER;
    let answer = match number & 3 {
        0 => Answer::List,
        1 => Answer::Watch,
        2 => Answer::Status,
        _ => Answer::Versions,
    };
    if answer.check(body, version).is_ok() {
        decode_sc(answer, body, version);
    }
}
