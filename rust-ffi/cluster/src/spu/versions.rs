//! ApiVersions. The real SPU serves more keys than it lists.

use fluvio_protocol::api::Request;
use fluvio_protocol::link::versions::{ApiVersionKey, ApiVersionsRequest, ApiVersionsResponse};
use fluvio_spu_schema::server::stream_fetch::ARRAY_MAP_WASM_API;
use fluvio_spu_schema::server::{fetch_offset, update_offset};

use super::fetch::{Fetch, StreamFetch};
use super::produce::Produce;

pub(crate) fn api_versions(request: &ApiVersionsRequest) -> ApiVersionsResponse {
    // Clients that do not say what they are are taken to be too old for SmartModules by name.
    let stream_fetch_max =
        if request.client_version.is_empty() { ARRAY_MAP_WASM_API } else { StreamFetch::MAX_API_VERSION };
    let key = |api_key: u16, min_version, max_version| ApiVersionKey {
        api_key: api_key.cast_signed(),
        min_version,
        max_version,
    };
    ApiVersionsResponse {
        api_keys: vec![
            key(Produce::API_KEY, 0, Produce::MAX_API_VERSION),
            key(Fetch::API_KEY, 0, Fetch::MAX_API_VERSION),
            key(fetch_offset::FetchOffsetsRequest::API_KEY, 25, 25),
            key(StreamFetch::API_KEY, 0, stream_fetch_max),
            key(update_offset::UpdateOffsetsRequest::API_KEY, 0, 0),
        ],
        ..ApiVersionsResponse::default()
    }
}
