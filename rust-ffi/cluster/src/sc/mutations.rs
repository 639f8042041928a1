//! Requests that change something: which kind of object they are about.

use std::io;

use fluvio_controlplane_metadata::spu::CustomSpuSpec;
use fluvio_controlplane_metadata::topic::TopicSpec;
use fluvio_sc_schema::Status;
use fluvio_sc_schema::errors::ErrorCode;
use fluvio_sc_schema::mirror::MirrorSpec;
use fluvio_sc_schema::objects::{
    CreateRequest, DeleteRequest, ObjectApiCreateRequest, ObjectApiDeleteRequest, ObjectApiUpdateRequest, UpdateRequest,
};
use fluvio_sc_schema::smartmodule::SmartModuleSpec;
use fluvio_sc_schema::spg::SpuGroupSpec;
use fluvio_sc_schema::tableformat::TableFormatSpec;

use super::Sc;
use super::connection::{invalid, of_kind};

/// What the real SC says to a create, delete or update of something that has none.
fn unknown(name: &str) -> Status {
    Status::new(name.to_owned(), ErrorCode::Other("unknown admin object type".to_owned()), None)
}

pub(super) async fn create(sc: &Sc, request: &ObjectApiCreateRequest) -> io::Result<Status> {
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

pub(super) async fn delete(sc: &Sc, request: &ObjectApiDeleteRequest) -> io::Result<Status> {
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

pub(super) async fn update(sc: &Sc, request: &ObjectApiUpdateRequest) -> io::Result<Status> {
    match of_kind::<_, UpdateRequest<TopicSpec>>(request)? {
        Some(update) => {
            let action = update.action.clone();
            Ok(sc.update_topic(update.key(), action).await)
        }
        None => Ok(unknown("update error")),
    }
}
