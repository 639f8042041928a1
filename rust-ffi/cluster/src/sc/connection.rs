//! One client connection to the SC: requests are served one after another; watches only register where their events go.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use fluvio_controlplane_metadata::partition::PartitionSpec;
use fluvio_controlplane_metadata::spu::{CustomSpuSpec, SpuSpec};
use fluvio_controlplane_metadata::topic::TopicSpec;
use fluvio_protocol::api::{Request, RequestHeader};
use fluvio_protocol::link::versions::{ApiVersionKey, ApiVersionsRequest, ApiVersionsResponse, PlatformVersion};
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::errors::ErrorCode;
use fluvio_sc_schema::mirror::MirrorSpec;
use fluvio_sc_schema::mirroring::ObjectMirroringRequest;
use fluvio_sc_schema::objects::{
    CreateRequest, DeleteRequest, ListFilters, ListRequest, ListResponse, Metadata, ObjectApiCreateRequest,
    ObjectApiDeleteRequest, ObjectApiListRequest, ObjectApiListResponse, ObjectApiUpdateRequest, ObjectApiWatchRequest,
    ObjectApiWatchResponse, UpdateRequest, WatchRequest, WatchResponse,
};
use fluvio_sc_schema::smartmodule::SmartModuleSpec;
use fluvio_sc_schema::spg::SpuGroupSpec;
use fluvio_sc_schema::store::KeyFilter;
use fluvio_sc_schema::tableformat::TableFormatSpec;
use fluvio_sc_schema::{AdminSpec, Status, TryEncodableFrom};

use super::Sc;
use super::outbox::{Outbox, outbox};
use super::store::{Store, Watch};
use crate::door::{Ending, Line};
use crate::net;

/// The version that the real SC of these protocol crates gives.
const PLATFORM_VERSION: &str = "0.18.2";

pub(crate) async fn serve(sc: Arc<Sc>, line: Line) -> io::Result<()> {
    let (mut requests, replies, mut end) = line.split(!sc.write_like_real)?;
    let (outbox, outgoing) = outbox();
    let work = async {
        while let Some(frame) = requests.next().await? {
            handle(&sc, &outbox, &frame).await?;
        }
        Ok(())
    };
    let (ended, ending) = tokio::select! {
        ended = work => (ended, Ending::Orderly),
        ended = outgoing.run(replies, &sc.faults, sc.write_like_real) => (ended, Ending::Orderly),
        ending = end.ordered() => (Ok(()), ending),
    };
    if ending == Ending::Reset {
        requests.reset_on_close();
    }
    ended
}

/// Serves one request. An error closes the connection, as the real SC does for what it does not understand.
async fn handle(sc: &Sc, outbox: &Outbox, frame: &[u8]) -> io::Result<()> {
    let (header, at) = net::request_header(frame)?;
    let version = header.api_version();
    let mut body = &frame[at..];
    let (reply, in_pieces) = match header.api_key() {
        ApiVersionsRequest::API_KEY => {
            (net::reply(&header, &api_versions(&ApiVersionsRequest::decode_from(&mut body, version)?)?)?, false)
        }
        ObjectApiCreateRequest::API_KEY => {
            let request = ObjectApiCreateRequest::decode_from(&mut body, version)?;
            (net::reply(&header, &create(sc, &request).await?)?, false)
        }
        ObjectApiDeleteRequest::API_KEY => {
            let request = ObjectApiDeleteRequest::decode_from(&mut body, version)?;
            (net::reply(&header, &delete(sc, &request).await?)?, true)
        }
        ObjectApiUpdateRequest::API_KEY => {
            let request = ObjectApiUpdateRequest::decode_from(&mut body, version)?;
            (net::reply(&header, &update(sc, &request).await?)?, true)
        }
        ObjectApiListRequest::API_KEY => {
            let request = ObjectApiListRequest::decode_from(&mut body, version)?;
            (net::reply(&header, &list(sc, &request, version)?)?, true)
        }
        ObjectApiWatchRequest::API_KEY => {
            let request = ObjectApiWatchRequest::decode_from(&mut body, version)?;
            return watch(sc, outbox, &header, &request);
        }
        key => return Err(invalid(format!("api key {key} is not served"))),
    };
    outbox.reply(reply, in_pieces).await
}

fn invalid(reason: impl Into<String>) -> io::Error {
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
fn of_kind<R, T>(request: &R) -> io::Result<Option<T>>
where
    R: TryEncodableFrom<T>,
{
    request.downcast().map_err(|error| invalid(error.to_string()))
}

/// What the real SC says to a create, delete or update of something that has none.
fn unknown(name: &str) -> Status {
    Status::new(name.to_owned(), ErrorCode::Other("unknown admin object type".to_owned()), None)
}

async fn create(sc: &Sc, request: &ObjectApiCreateRequest) -> io::Result<Status> {
    let topic: Option<CreateRequest<TopicSpec>> = of_kind(request)?;
    match topic {
        Some(create) => {
            let (common, spec) = create.parts();
            Ok(sc.create_topic(common, spec).await)
        }
        None => Ok(unknown("create error")),
    }
}

async fn delete(sc: &Sc, request: &ObjectApiDeleteRequest) -> io::Result<Status> {
    let topic: Option<DeleteRequest<TopicSpec>> = of_kind(request)?;
    match topic {
        Some(delete) => {
            let force = delete.is_force();
            Ok(sc.delete_topic(delete.key(), force).await)
        }
        None => Ok(unknown("create error")),
    }
}

async fn update(sc: &Sc, request: &ObjectApiUpdateRequest) -> io::Result<Status> {
    let topic: Option<UpdateRequest<TopicSpec>> = of_kind(request)?;
    match topic {
        Some(update) => {
            let action = update.action.clone();
            Ok(sc.update_topic(update.key(), action).await)
        }
        None => Ok(unknown("update error")),
    }
}

fn listed<S>(objects: Vec<Metadata<S>>, version: i16) -> io::Result<ObjectApiListResponse>
where
    S: AdminSpec,
    S::Status: Encoder + Decoder + Debug,
{
    ObjectApiListResponse::try_encode_from(ListResponse::new(objects), version).map_err(io::Error::other)
}

fn matches(filters: &ListFilters, name: &str) -> bool {
    KeyFilter::<str>::filter(filters, name)
}

fn list(sc: &Sc, request: &ObjectApiListRequest, version: i16) -> io::Result<ObjectApiListResponse> {
    if let Some(request) = of_kind::<_, ListRequest<TopicSpec>>(request)? {
        let objects = sc.objects();
        let wanted = objects
            .topics
            .all()
            .filter(|topic| topic.spec.is_system() == request.system && matches(&request.name_filters, &topic.name));
        return listed(wanted.cloned().collect(), version);
    }
    if let Some(request) = of_kind::<_, ListRequest<PartitionSpec>>(request)? {
        // The real SC ignores the names here.
        let wanted: Vec<_> =
            sc.objects().partitions.all().filter(|it| it.spec.system == request.system).cloned().collect();
        let fresh = wanted.into_iter().map(|mut partition| {
            sc.refresh(&mut partition);
            partition
        });
        return listed(fresh.collect(), version);
    }
    if let Some(request) = of_kind::<_, ListRequest<SpuSpec>>(request)? {
        let objects = sc.objects();
        let wanted = objects.spus.all().filter(|spu| matches(&request.name_filters, &spu.name));
        return listed(wanted.cloned().collect(), version);
    }
    if let Some(request) = of_kind::<_, ListRequest<CustomSpuSpec>>(request)? {
        let objects = sc.objects();
        let wanted = objects.spus.all().filter(|spu| spu.spec.is_custom() && matches(&request.name_filters, &spu.name));
        let custom = wanted.map(|spu| {
            let Metadata { name, spec, status } = spu.clone();
            Metadata { name, spec: CustomSpuSpec::from(spec), status }
        });
        return listed(custom.collect(), version);
    }
    if of_kind::<_, ListRequest<SmartModuleSpec>>(request)?.is_some() {
        return listed::<SmartModuleSpec>(Vec::new(), version);
    }
    if of_kind::<_, ListRequest<TableFormatSpec>>(request)?.is_some() {
        return listed::<TableFormatSpec>(Vec::new(), version);
    }
    if of_kind::<_, ListRequest<SpuGroupSpec>>(request)?.is_some() {
        return listed::<SpuGroupSpec>(Vec::new(), version);
    }
    if of_kind::<_, ListRequest<MirrorSpec>>(request)?.is_some() {
        return listed::<MirrorSpec>(Vec::new(), version);
    }
    Err(invalid("unknown object type"))
}

fn watch(sc: &Sc, outbox: &Outbox, header: &RequestHeader, request: &ObjectApiWatchRequest) -> io::Result<()> {
    if let Some(request) = of_kind::<_, WatchRequest<TopicSpec>>(request)? {
        return begin(&mut sc.objects().topics, outbox, header, request.summary, |_| {});
    }
    if let Some(request) = of_kind::<_, WatchRequest<PartitionSpec>>(request)? {
        let refresh = |partition: &mut _| sc.refresh(partition);
        return begin(&mut sc.objects().partitions, outbox, header, request.summary, refresh);
    }
    if let Some(request) = of_kind::<_, WatchRequest<SpuSpec>>(request)? {
        return begin(&mut sc.objects().spus, outbox, header, request.summary, |_| {});
    }
    // Kinds that can be watched and of which there are none. (CustomSpu and Mirror cannot, on the real SC either.)
    if of_kind::<_, WatchRequest<SmartModuleSpec>>(request)?.is_some() {
        return begin(&mut Store::<SmartModuleSpec>::default(), outbox, header, false, |_| {});
    }
    if of_kind::<_, WatchRequest<TableFormatSpec>>(request)?.is_some() {
        return begin(&mut Store::<TableFormatSpec>::default(), outbox, header, false, |_| {});
    }
    if of_kind::<_, WatchRequest<SpuGroupSpec>>(request)?.is_some() {
        return begin(&mut Store::<SpuGroupSpec>::default(), outbox, header, false, |_| {});
    }
    Err(invalid("object type cannot be watched"))
}

fn begin<S>(
    store: &mut Store<S>,
    outbox: &Outbox,
    header: &RequestHeader,
    summary: bool,
    refresh: impl Fn(&mut Metadata<S>),
) -> io::Result<()>
where
    S: AdminSpec,
    S::Status: Encoder + Decoder + Debug,
    ObjectApiWatchResponse: TryEncodableFrom<WatchResponse<S>>,
{
    let (correlation_id, version) = (header.correlation_id(), header.api_version());
    store.watch(Watch { outbox: outbox.clone(), correlation_id, version, summary }, refresh)
}
