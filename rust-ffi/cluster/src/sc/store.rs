//! Objects of one kind and those who watch them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;

use fluvio_controlplane_metadata::message::Message;
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::objects::{Metadata, MetadataUpdate, ObjectApiWatchResponse, WatchResponse};
use fluvio_sc_schema::{AdminSpec, TryEncodableFrom};

use super::outbox::Outbox;
use crate::net;

/// A client's watch.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) outbox: Outbox,
    pub(crate) correlation_id: i32,
    pub(crate) version: i16,
    pub(crate) summary: bool,
}

impl Watch {
    fn frame<S>(&self, update: MetadataUpdate<S>) -> io::Result<Vec<u8>>
    where
        S: AdminSpec,
        S::Status: Encoder + Decoder + Debug,
        ObjectApiWatchResponse: TryEncodableFrom<WatchResponse<S>>,
    {
        let response = ObjectApiWatchResponse::try_encode_from(WatchResponse::new(update), self.version)
            .map_err(io::Error::other)?;
        net::reply_to(self.correlation_id, self.version, &response, 0)
    }

    fn shown<S>(&self, object: &Metadata<S>) -> Metadata<S>
    where
        S: AdminSpec,
        S::Status: Encoder + Decoder + Debug,
    {
        if self.summary { object.clone().summary() } else { object.clone() }
    }
}

/// The objects of one kind, by name. Every change is an epoch.
#[derive(Debug)]
pub(crate) struct Store<S>
where
    S: AdminSpec,
    S::Status: Encoder + Decoder + Debug,
{
    epoch: i64,
    objects: BTreeMap<String, Metadata<S>>,
    watches: Vec<Watch>,
    /// Clients are told of nothing.
    blank: bool,
}

impl<S> Default for Store<S>
where
    S: AdminSpec,
    S::Status: Encoder + Decoder + Debug,
{
    fn default() -> Self {
        Self { epoch: 0, objects: BTreeMap::new(), watches: Vec::new(), blank: false }
    }
}

impl<S> Store<S>
where
    S: AdminSpec,
    S::Status: Encoder + Decoder + Debug,
    ObjectApiWatchResponse: TryEncodableFrom<WatchResponse<S>>,
{
    pub(crate) fn get(&self, name: &str) -> Option<&Metadata<S>> {
        self.objects.get(name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Metadata<S>> {
        self.objects.values()
    }

    /// What clients are told of.
    pub(crate) fn shown(&self) -> impl Iterator<Item = &Metadata<S>> {
        self.all().filter(|_| !self.blank)
    }

    /// Sets an object and tells the watches.
    pub(crate) fn put(&mut self, name: &str, spec: S, status: S::Status) {
        let object = Metadata { name: name.to_owned(), spec, status };
        self.objects.insert(name.to_owned(), object.clone());
        self.publish(&object, Message::update);
    }

    /// Sets the status of an object, and tells the watches if it is another one.
    pub(crate) fn set_status(&mut self, name: &str, status: S::Status)
    where
        S::Status: PartialEq,
    {
        if let Some(object) = self.objects.get(name).filter(|object| object.status != status) {
            let spec = object.spec.clone();
            self.put(name, spec, status);
        }
    }

    /// Removes an object and tells the watches its last state.
    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(object) = self.objects.remove(name) {
            self.publish(&object, Message::delete);
        }
    }

    fn publish(&mut self, object: &Metadata<S>, message: fn(Metadata<S>) -> Message<Metadata<S>>) {
        self.epoch += 1;
        if self.blank {
            return;
        }
        let epoch = self.epoch;
        self.watches.retain(|watch| {
            let update = MetadataUpdate::with_changes(epoch, vec![message(watch.shown(object))]);
            watch.frame(update).is_ok_and(|frame| watch.outbox.event(frame))
        });
    }

    /// Whether clients are told of nothing. When that ends, the watches hear of all there is.
    pub(crate) fn set_blank(&mut self, on: bool) {
        self.blank = on;
        for object in self.shown().cloned().collect::<Vec<_>>() {
            self.publish(&object, Message::update);
        }
    }

    /// Begins a watch: all there is first, then every change.
    pub(crate) fn watch(&mut self, watch: Watch) -> io::Result<()> {
        let all = self.shown().map(|object| watch.shown(object));
        let frame = watch.frame(MetadataUpdate::with_all(self.epoch, all.collect()))?;
        if watch.outbox.event(frame) {
            self.watches.push(watch);
        }
        Ok(())
    }
}
