//! Lists and watches: which kind of object they are about.

use std::fmt::Debug;
use std::io;

use fluvio_controlplane_metadata::partition::PartitionSpec;
use fluvio_controlplane_metadata::smartmodule::SmartModulePackageKey;
use fluvio_controlplane_metadata::spu::{CustomSpuSpec, SpuSpec};
use fluvio_controlplane_metadata::topic::TopicSpec;
use fluvio_protocol::api::RequestHeader;
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::mirror::MirrorSpec;
use fluvio_sc_schema::objects::{
    ListFilter, ListRequest, ListResponse, Metadata, ObjectApiListRequest, ObjectApiListResponse,
    ObjectApiWatchRequest, WatchRequest,
};
use fluvio_sc_schema::smartmodule::SmartModuleSpec;
use fluvio_sc_schema::spg::SpuGroupSpec;
use fluvio_sc_schema::store::KeyFilter;
use fluvio_sc_schema::tableformat::TableFormatSpec;
use fluvio_sc_schema::{AdminSpec, TryEncodableFrom};

use super::Sc;
use super::connection::{invalid, of_kind};
use super::kinds::Kind;
use super::outbox::Outbox;
use super::store::Watch;

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
    let objects = sc.shown::<S>(|object| asked(&request, object));
    listed(objects, version).map(Some)
}

fn is_named<S: Kind>(request: &ListRequest<S>, object: &Metadata<S>) -> bool {
    KeyFilter::<str>::filter(&request.name_filters, &object.name)
}

pub(super) fn list(sc: &Sc, request: &ObjectApiListRequest, version: i16) -> io::Result<ObjectApiListResponse> {
    if let Some(request) = of_kind::<_, ListRequest<CustomSpuSpec>>(request)? {
        let spus = sc
            .shown::<SpuSpec>(|spu| spu.spec.is_custom() && KeyFilter::<str>::filter(&request.name_filters, &spu.name));
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
    let found = sc.shown::<SmartModuleSpec>(|module| {
        let package = module.spec.meta.as_ref().map(|meta| &meta.package);
        keys.is_empty() || keys.iter().any(|key| key.is_match(&module.name, package))
    });
    Ok(if request.summary { found.into_iter().map(Metadata::summary).collect() } else { found })
}

pub(super) fn watch(
    sc: &Sc,
    outbox: &Outbox,
    header: &RequestHeader,
    request: &ObjectApiWatchRequest,
) -> io::Result<()> {
    outbox.add_watch()?;
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
