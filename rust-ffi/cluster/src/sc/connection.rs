//! One client connection to the SC: requests are served one after another; watches only register where their events go.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use fluvio_controlplane_metadata::partition::PartitionSpec;
use fluvio_controlplane_metadata::smartmodule::SmartModulePackageKey;
use fluvio_controlplane_metadata::spu::{CustomSpuSpec, SpuSpec};
use fluvio_controlplane_metadata::topic::TopicSpec;
use fluvio_protocol::api::{Request, RequestHeader};
use fluvio_protocol::link::versions::{ApiVersionKey, ApiVersionsRequest, ApiVersionsResponse, PlatformVersion};
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::errors::ErrorCode;
use fluvio_sc_schema::mirror::MirrorSpec;
use fluvio_sc_schema::mirroring::ObjectMirroringRequest;
use fluvio_sc_schema::objects::{
    CreateRequest, DeleteRequest, ListFilter, ListRequest, ListResponse, Metadata, ObjectApiCreateRequest,
    ObjectApiDeleteRequest, ObjectApiListRequest, ObjectApiListResponse, ObjectApiUpdateRequest, ObjectApiWatchRequest,
    UpdateRequest, WatchRequest,
};
use fluvio_sc_schema::smartmodule::SmartModuleSpec;
use fluvio_sc_schema::spg::SpuGroupSpec;
use fluvio_sc_schema::store::KeyFilter;
use fluvio_sc_schema::tableformat::TableFormatSpec;
use fluvio_sc_schema::{AdminSpec, Status, TryEncodableFrom};

use super::Sc;
use super::kinds::Kind;
use super::outbox::{Outbox, outbox};
use super::store::Watch;
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
    if let Some((common, spec)) = of_kind(request)?.map(CreateRequest::<TopicSpec>::parts) {
        return Ok(sc.create_topic(common, spec).await);
    }
    if let Some((common, spec)) = of_kind(request)?.map(CreateRequest::<CustomSpuSpec>::parts) {
        return Ok(sc.create_custom_spu(common, spec).await);
    }
    // For the others a dry run is a run, on the real SC, too.
    if let Some((common, spec)) = of_kind(request)?.map(CreateRequest::<SpuGroupSpec>::parts) {
        return Ok(sc.create_spu_group(common.name, spec).await);
    }
    if let Some((common, spec)) = of_kind(request)?.map(CreateRequest::<SmartModuleSpec>::parts) {
        return Ok(sc.create_smartmodule(common.name, spec).await);
    }
    if let Some((common, spec)) = of_kind(request)?.map(CreateRequest::<TableFormatSpec>::parts) {
        return Ok(sc.create_table_format(common.name, spec).await);
    }
    if let Some((common, spec)) = of_kind(request)?.map(CreateRequest::<MirrorSpec>::parts) {
        return sc.create_mirror(common.name, spec).await;
    }
    Ok(unknown("create error"))
}

async fn delete(sc: &Sc, request: &ObjectApiDeleteRequest) -> io::Result<Status> {
    if let Some(delete) = of_kind::<_, DeleteRequest<TopicSpec>>(request)? {
        let force = delete.is_force();
        return Ok(sc.delete_topic(delete.key(), force).await);
    }
    if let Some(key) = of_kind(request)?.map(DeleteRequest::<CustomSpuSpec>::key) {
        return Ok(sc.delete_custom_spu(key).await);
    }
    if let Some(key) = of_kind(request)?.map(DeleteRequest::<SpuGroupSpec>::key) {
        return Ok(sc.delete_spu_group(key).await);
    }
    if let Some(key) = of_kind(request)?.map(DeleteRequest::<SmartModuleSpec>::key) {
        return sc.delete_smartmodule(key).await.map_err(|error| invalid(error.to_string()));
    }
    if let Some(key) = of_kind(request)?.map(DeleteRequest::<TableFormatSpec>::key) {
        return Ok(sc.delete_table_format(key).await);
    }
    if let Some(key) = of_kind(request)?.map(DeleteRequest::<MirrorSpec>::key) {
        return Ok(sc.delete_mirror(key).await);
    }
    Ok(unknown("create error"))
}

async fn update(sc: &Sc, request: &ObjectApiUpdateRequest) -> io::Result<Status> {
    match of_kind::<_, UpdateRequest<TopicSpec>>(request)? {
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

/// The list of the kind `S`, if the request is about it; only some of its objects are `asked` for.
fn list_of<S: Kind>(
    sc: &Sc,
    request: &ObjectApiListRequest,
    version: i16,
    asked: impl Fn(&ListRequest<S>, &Metadata<S>) -> bool,
) -> io::Result<Option<ObjectApiListResponse>> {
    let Some(request) = of_kind::<_, ListRequest<S>>(request)? else { return Ok(None) };
    let objects = sc.list::<S>(|object| asked(&request, object));
    listed(objects, version).map(Some)
}

fn is_named<S: Kind>(request: &ListRequest<S>, object: &Metadata<S>) -> bool {
    KeyFilter::<str>::filter(&request.name_filters, &object.name)
}

fn list(sc: &Sc, request: &ObjectApiListRequest, version: i16) -> io::Result<ObjectApiListResponse> {
    if let Some(request) = of_kind::<_, ListRequest<CustomSpuSpec>>(request)? {
        let spus = sc
            .list::<SpuSpec>(|spu| spu.spec.is_custom() && KeyFilter::<str>::filter(&request.name_filters, &spu.name));
        let custom = spus.into_iter().map(|Metadata { name, spec, status }| {
            let spec = CustomSpuSpec::from(spec);
            Metadata { name, spec, status }
        });
        return listed::<CustomSpuSpec>(custom.collect(), version);
    }
    if let Some(request) = of_kind::<_, ListRequest<SmartModuleSpec>>(request)? {
        return listed(smartmodules(sc, request)?, version);
    }
    if of_kind::<_, ListRequest<PartitionSpec>>(request)?.is_some() {
        sc.refresh_partitions();
    }
    let is_system = |request: &ListRequest<TopicSpec>, topic: &Metadata<TopicSpec>| {
        topic.spec.is_system() == request.system && is_named(request, topic)
    };
    // The real SC ignores the names of partitions and mirrors.
    let lists = [
        list_of::<TopicSpec>(sc, request, version, is_system)?,
        list_of::<PartitionSpec>(sc, request, version, |request, it| it.spec.system == request.system)?,
        list_of::<SpuSpec>(sc, request, version, is_named)?,
        list_of::<SpuGroupSpec>(sc, request, version, is_named)?,
        list_of::<TableFormatSpec>(sc, request, version, is_named)?,
        list_of::<MirrorSpec>(sc, request, version, |_, _| true)?,
    ];
    lists.into_iter().flatten().next().ok_or_else(|| invalid("unknown object type"))
}

fn smartmodules(sc: &Sc, request: ListRequest<SmartModuleSpec>) -> io::Result<Vec<Metadata<SmartModuleSpec>>> {
    let filters: Vec<ListFilter> = request.name_filters.into();
    let keys = filters.iter().map(|filter| SmartModulePackageKey::from_qualified_name(&filter.name));
    let keys: Vec<_> = keys.collect::<Result<_, _>>().map_err(|error| invalid(error.to_string()))?;
    let found = sc.list::<SmartModuleSpec>(|module| {
        let package = module.spec.meta.as_ref().map(|meta| &meta.package);
        keys.is_empty() || keys.iter().any(|key| key.is_match(&module.name, package))
    });
    Ok(if request.summary { found.into_iter().map(Metadata::summary).collect() } else { found })
}

fn watch(sc: &Sc, outbox: &Outbox, header: &RequestHeader, request: &ObjectApiWatchRequest) -> io::Result<()> {
    if of_kind::<_, WatchRequest<PartitionSpec>>(request)?.is_some() {
        sc.refresh_partitions();
    }
    // CustomSpu and Mirror cannot be watched, on the real SC either.
    let began = begin::<TopicSpec>(sc, outbox, header, request)?
        || begin::<PartitionSpec>(sc, outbox, header, request)?
        || begin::<SpuSpec>(sc, outbox, header, request)?
        || begin::<SpuGroupSpec>(sc, outbox, header, request)?
        || begin::<SmartModuleSpec>(sc, outbox, header, request)?
        || begin::<TableFormatSpec>(sc, outbox, header, request)?;
    if began { Ok(()) } else { Err(invalid("object type cannot be watched")) }
}

/// Begins a watch of the kind `S`, if the request is about it.
fn begin<S: Kind>(
    sc: &Sc,
    outbox: &Outbox,
    header: &RequestHeader,
    request: &ObjectApiWatchRequest,
) -> io::Result<bool> {
    let Some(WatchRequest { summary, .. }) = of_kind::<_, WatchRequest<S>>(request)? else { return Ok(false) };
    let (correlation_id, version) = (header.correlation_id(), header.api_version());
    let watch = Watch { outbox: outbox.clone(), correlation_id, version, summary };
    S::store_mut(&mut sc.objects()).watch(watch)?;
    Ok(true)
}
