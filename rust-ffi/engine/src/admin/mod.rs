//! Administration, over the `fluvio` crate's own admin interface.
//!
//! The types here are also the JSON documents that `docs/admin-json.md` describes: names and order of fields are
//! theirs.

mod cluster;
mod consumer_offsets;
mod group_watch;
mod groups;
mod mirrors;
mod partitions;
mod smartmodules;
mod spu_groups;
mod spus;
mod table_formats;
mod topics;
mod watch;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use fluvio::FluvioAdmin;
use fluvio::metadata::objects::ListRequest;
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::objects::{ListFilter, Metadata};
use fluvio_sc_schema::{AdminSpec, CreatableAdminSpec, DeletableAdminSpec, UpdatableAdminSpec};
use serde::Serialize;

use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::limit::{Attempts, Limit};
use crate::session::Session;

pub use cluster::ClusterStatus;
pub use consumer_offsets::{ConsumerOffset, ResetTo};
pub use group_watch::{GroupNews, GroupWatch};
pub use groups::{Group, GroupMemberState, GroupPartition, GroupSummary};
pub use mirrors::{
    ClientTls, Connection, Mirror, MirrorHome, MirrorRemote, MirrorSpec, MirrorStatus, Pairing, PairingResolution,
};
pub use partitions::{
    HomePartition, Partition, PartitionMirror, PartitionResolution, PartitionSpec, PartitionStatus, RemotePartition,
    ReplicaStatus,
};
pub use smartmodules::{Package, Param, SmartModule, SmartModuleSpec, Visibility, WasmRange};
pub use spu_groups::{SpuGroup, SpuGroupResolution, SpuGroupSpec, SpuGroupStatus};
pub use spus::{
    CustomSpuSpec, Encryption, Endpoint, Ingress, PublicEndpoint, Spu, SpuKey, SpuKind, SpuResolution, SpuSpec,
    SpuStatus,
};
pub use table_formats::{
    Alignment, Color, Column, DataFormat, TableFormat, TableFormatResolution, TableFormatSpec, TableFormatStatus,
};
pub use topics::{
    Assignment, Compression, Deduplication, HomeMirror, HomeSpu, MirroredPartition, RemoteMirror, Topic, TopicMirror,
    TopicResolution, TopicSpec, TopicStatus,
};
pub use watch::{Change, ChangeKind, Object, Watch, Watchable};

/// How to create an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CreateFlags {
    /// Check only, create nothing.
    pub dry_run: bool,
    /// An existing object of that name is returned unchanged.
    pub exist_ok: bool,
}

/// The administration of a cluster. Everything that is done with one of these ends by one deadline.
#[derive(Debug)]
pub struct Admin {
    session: Session,
    limit: Limit,
}

impl Admin {
    /// For what ends within `timeout` from now.
    pub(crate) fn new(session: Session, timeout: Option<Duration>) -> Self {
        Self { session, limit: Limit::new(timeout) }
    }
}

/// A kind of objects that the SC keeps by name.
trait Kind: Serialize + Sized + Send + 'static {
    /// The official crate's specification of it.
    type Spec: AdminSpec<Status = Self::UpstreamStatus> + Sync + Send + Clone + 'static;
    /// The official crate's status.
    type UpstreamStatus: Encoder + Decoder + Debug + Send + Sync + 'static;
    /// What one is called, for people; with an `s`, several.
    const LABEL: &str;
    /// The error when there is none of a name.
    const MISSING: ErrorKind;
    /// Whether the server's list knows names that contain something.
    const FILTERED: bool = true;

    fn from_upstream(object: Metadata<Self::Spec>) -> Result<Self>;

    fn name(&self) -> &str;
}

fn missing<K: Kind>(name: &str) -> Error {
    Error::new(K::MISSING, format!("{0} \"{name}\" does not exist: list the {0}s to see which there are", K::LABEL))
}

fn exists<K: Kind>(name: &str) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!("{} \"{name}\" exists already: take another name, or delete it first", K::LABEL),
    )
}

/// An error before a change was sent.
fn unsent(error: Error) -> Error {
    error.with_outcome(Outcome::NotWritten)
}

/// An error after a change was made.
fn done(error: Error) -> Error {
    error.with_outcome(Outcome::Pending)
}

/// What no name may be, whatever the server would accept.
fn check_name(what: &str, name: &str) -> Result<()> {
    const MOST: usize = 255;
    if name.is_empty() || name.len() > MOST || name.contains(|letter: char| letter == '/' || letter.is_control()) {
        return Err(Error::invalid(format!(
            "{what} is {name:?}: it must have 1 to {MOST} bytes, and neither \"/\" nor control characters"
        )));
    }
    Ok(())
}

impl Admin {
    /// The objects of a kind, by name. `system`: for kinds that have them, the cluster's own instead of all others.
    /// `summary`: without code.
    async fn list<K: Kind>(&self, name_contains: Option<&str>, system: bool, summary: bool) -> Result<Vec<K>> {
        let filter = name_contains.filter(|_| K::FILTERED);
        let mut objects: Vec<K> = self.fetch::<K>(filter, system, summary).await?;
        objects.retain(|object| name_contains.is_none_or(|part| object.name().contains(part)));
        Ok(objects)
    }

    /// What the server's list gives, by name.
    async fn fetch<K: Kind>(&self, filter: Option<&str>, system: bool, summary: bool) -> Result<Vec<K>> {
        let what = format!("listing {}s", K::LABEL);
        let list = |admin: Arc<FluvioAdmin>| {
            let filters: Vec<ListFilter> = filter.map(|part| part.to_owned().into()).into_iter().collect();
            let request = ListRequest::<K::Spec>::new(filters, summary).system(system);
            async move { admin.list_with_config::<K::Spec, String>(request).await }
        };
        let listed = self.session.controller().short(&self.limit, &what, list).await?;
        let mut objects = listed.into_iter().map(K::from_upstream).collect::<Result<Vec<K>>>()?;
        objects.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(objects)
    }

    /// The object of that name.
    async fn find<K: Kind>(&self, name: &str) -> Result<Option<K>> {
        Ok(self.list::<K>(Some(name), false, true).await?.into_iter().find(|object| object.name() == name))
    }

    async fn get<K: Kind>(&self, name: &str) -> Result<K> {
        self.find(name).await?.ok_or_else(|| missing::<K>(name))
    }

    /// Creates an object of a kind for which the server knows no dry run and may replace what exists. Where it may
    /// exist, creating it again changes nothing more, and is tried again while the cluster is away.
    async fn create<K: Kind>(&self, name: &str, spec: K::Spec, flags: CreateFlags) -> Result<K>
    where
        K::Spec: CreatableAdminSpec,
        K::UpstreamStatus: Default,
    {
        let mut attempts = self.attempts();
        loop {
            match self.try_create(name, spec.clone(), flags).await {
                Err(error) if flags.exist_ok => attempts.after(error).await?,
                created => return created,
            }
        }
    }

    async fn try_create<K: Kind>(&self, name: &str, spec: K::Spec, flags: CreateFlags) -> Result<K>
    where
        K::Spec: CreatableAdminSpec,
        K::UpstreamStatus: Default,
    {
        if let Some(existing) = self.find::<K>(name).await.map_err(unsent)? {
            return if flags.exist_ok { Ok(existing) } else { Err(exists::<K>(name)) };
        }
        if flags.dry_run {
            return K::from_upstream(Metadata { name: name.to_owned(), spec, status: K::UpstreamStatus::default() });
        }
        match self.send_create::<K::Spec>(K::LABEL, name, flags, spec).await {
            Err(error) if error.kind == ErrorKind::AlreadyExists && flags.exist_ok => {}
            sent => sent?,
        }
        self.get(name).await.map_err(done)
    }

    /// The attempts at a change that may be repeated.
    fn attempts(&self) -> Attempts<'_> {
        self.limit.attempts(self.session.counters())
    }

    /// Asks once for an object to be created.
    async fn send_create<S: CreatableAdminSpec + Sync + Send>(
        &self,
        label: &str,
        name: &str,
        flags: CreateFlags,
        spec: S,
    ) -> Result<()> {
        let what = format!("creating {label} \"{name}\"");
        let (name, CreateFlags { dry_run, exist_ok }) = (name.to_owned(), flags);
        let create = |admin: Arc<FluvioAdmin>| async move { admin.create(name, dry_run, spec).await };
        self.session.controller().long(&self.limit, &what, exist_ok || dry_run, create).await
    }

    async fn delete<K: Kind>(&self, name: &str, missing_ok: bool) -> Result<()>
    where
        K::Spec: DeletableAdminSpec<DeleteKey = String>,
    {
        check_name("name", name)?;
        let what = format!("deleting {} \"{name}\"", K::LABEL);
        let delete = |admin: Arc<FluvioAdmin>| {
            let name = name.to_owned();
            async move { admin.delete::<K::Spec>(name).await }
        };
        self.send_delete(&what, missing_ok, K::MISSING, delete).await
    }

    /// Has an object deleted; again while the cluster is away, if it may be missing.
    async fn send_delete<F>(
        &self,
        what: &str,
        missing_ok: bool,
        missing: ErrorKind,
        delete: impl Fn(Arc<FluvioAdmin>) -> F,
    ) -> Result<()>
    where
        F: Future<Output = anyhow::Result<()>>,
    {
        let mut attempts = self.attempts();
        loop {
            match self.session.controller().long(&self.limit, what, missing_ok, &delete).await {
                Err(error) if error.kind == missing && missing_ok => return Ok(()),
                Err(error) if missing_ok => attempts.after(error).await?,
                deleted => return deleted,
            }
        }
    }

    /// Changes an object in a way that is not to be repeated.
    async fn update<S>(&self, what: &str, key: S::UpdateKey, action: S::UpdateAction) -> Result<()>
    where
        S: UpdatableAdminSpec + Sync + Send,
        S::UpdateKey: Send + Sync,
        S::UpdateAction: Send + Sync,
    {
        let update = |admin: Arc<FluvioAdmin>| async move { admin.update::<S>(key, action).await };
        self.session.controller().long(&self.limit, what, false, update).await
    }
}

/// An enum with the variants of one of the official crate's, and the names of the documents.
macro_rules! like {
    (
        $(#[$attribute:meta])*
        $name:ident: $upstream:ty {
            $($(#[$inner:meta])* $variant:ident = $theirs:ident),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$inner])* $variant,)*
        }

        impl From<$upstream> for $name {
            fn from(upstream: $upstream) -> Self {
                type Theirs = $upstream;
                match upstream {
                    $(Theirs::$theirs => Self::$variant,)*
                }
            }
        }

        impl From<$name> for $upstream {
            fn from(ours: $name) -> Self {
                type Theirs = $upstream;
                match ours {
                    $($name::$variant => Theirs::$theirs,)*
                }
            }
        }
    };
}
use like;
