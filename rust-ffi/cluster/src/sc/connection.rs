//! One client connection to the SC: requests are served one after another; watches only register where their events go.

use std::io;
use std::sync::Arc;

use fluvio_protocol::api::Request;
use fluvio_protocol::link::versions::{ApiVersionKey, ApiVersionsRequest, ApiVersionsResponse, PlatformVersion};
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::TryEncodableFrom;
use fluvio_sc_schema::errors::ErrorCode;
use fluvio_sc_schema::mirroring::ObjectMirroringRequest;
use fluvio_sc_schema::objects::{
    ObjectApiCreateRequest, ObjectApiDeleteRequest, ObjectApiListRequest, ObjectApiUpdateRequest, ObjectApiWatchRequest,
};

use super::outbox::{Outbox, outbox};
use super::{Sc, list_watch, mutations};
use crate::listener::{Accepted, Shutdown};
use crate::net;

/// Bytes of a request that creates something, which may hold the code of a SmartModule, and of any other.
const MOST_TO_CREATE: usize = 64 << 20;
const MOST_OTHERWISE: usize = 1 << 20;

/// The version that the real SC of these protocol crates gives.
const PLATFORM_VERSION: &str = "0.18.2";

pub(crate) async fn serve(sc: Arc<Sc>, accepted: Accepted) -> io::Result<()> {
    let (mut requests, replies, mut end) = accepted.split(!sc.write_like_real)?;
    let (outbox, outgoing) = outbox();
    let work = async {
        while let Some(frame) = requests.next().await? {
            handle(&sc, &outbox, &frame).await?;
        }
        Ok(())
    };
    let (ended, shutdown) = tokio::select! {
        ended = work => (ended, Shutdown::Orderly),
        ended = outgoing.run(replies, &sc.faults, sc.write_like_real) => (ended, Shutdown::Orderly),
        shutdown = end.ordered() => (Ok(()), shutdown),
    };
    if shutdown == Shutdown::Reset {
        requests.reset_on_close();
    }
    ended
}

/// Serves one request. An error closes the connection, as the real SC does for what it does not understand.
async fn handle(sc: &Sc, outbox: &Outbox, frame: &[u8]) -> io::Result<()> {
    let (header, at) = net::request_header(frame)?;
    let version = header.api_version();
    let most = if header.api_key() == ObjectApiCreateRequest::API_KEY { MOST_TO_CREATE } else { MOST_OTHERWISE };
    net::at_most(frame.len(), most, "bytes of a request")?;
    let mut body = &frame[at..];
    let (reply, in_pieces) = match header.api_key() {
        ApiVersionsRequest::API_KEY => {
            (net::reply(&header, &api_versions(&ApiVersionsRequest::decode_from(&mut body, version)?)?)?, false)
        }
        ObjectApiCreateRequest::API_KEY => {
            let request = ObjectApiCreateRequest::decode_from(&mut body, version)?;
            (net::reply(&header, &mutations::create(sc, &request).await?)?, false)
        }
        ObjectApiDeleteRequest::API_KEY => {
            let request = ObjectApiDeleteRequest::decode_from(&mut body, version)?;
            (net::reply(&header, &mutations::delete(sc, &request).await?)?, true)
        }
        ObjectApiUpdateRequest::API_KEY => {
            let request = ObjectApiUpdateRequest::decode_from(&mut body, version)?;
            (net::reply(&header, &mutations::update(sc, &request).await?)?, true)
        }
        ObjectApiListRequest::API_KEY => {
            let request = ObjectApiListRequest::decode_from(&mut body, version)?;
            (net::reply(&header, &list_watch::list(sc, &request, version)?)?, true)
        }
        ObjectApiWatchRequest::API_KEY => {
            let request = ObjectApiWatchRequest::decode_from(&mut body, version)?;
            return list_watch::watch(sc, outbox, &header, &request);
        }
        key => return Err(invalid(format!("api key {key} is not served"))),
    };
    outbox.reply(reply, in_pieces).await
}

pub(super) fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

fn platform_version(text: &str) -> io::Result<PlatformVersion> {
    let mut encoded = Vec::new();
    text.encode(&mut encoded, 0)?;
    PlatformVersion::decode_from(&mut encoded.as_slice(), 0)
}

fn api_versions(request: &ApiVersionsRequest) -> io::Result<ApiVersionsResponse> {
    platform_version(&request.client_version)?;
    let key = |api_key: u16, min_version, max_version| ApiVersionKey {
        api_key: api_key.cast_signed(),
        min_version,
        max_version,
    };
    Ok(ApiVersionsResponse {
        error_code: ErrorCode::None,
        api_keys: vec![
            key(ObjectApiCreateRequest::API_KEY, 9, 19),
            key(ObjectApiDeleteRequest::API_KEY, 1, 19),
            key(ObjectApiListRequest::API_KEY, 15, 19),
            key(ObjectApiWatchRequest::API_KEY, 15, 19),
            key(ObjectMirroringRequest::API_KEY, 14, 19),
            key(ObjectApiUpdateRequest::API_KEY, 1, 19),
        ],
        platform_version: platform_version(PLATFORM_VERSION)?,
    })
}

/// The request as one about `S`, if it is.
pub(super) fn of_kind<R, T>(request: &R) -> io::Result<Option<T>>
where
    R: TryEncodableFrom<T>,
{
    request.downcast().map_err(|error| invalid(error.to_string()))
}
