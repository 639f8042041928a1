//! The Fluvio client behind the C ABI: transport, cluster metadata, producer, consumer and administration, as async
//! Rust on tokio. The control plane is the official `fluvio` crate over a connector of ours; the data path is our own.

pub mod admin;
mod backoff;
mod blocking;
mod boottime;
mod client;
mod commits;
mod consumer;
mod controller;
pub mod descriptors;
mod error;
mod events;
mod executor;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod group_log;
mod guard;
mod limit;
mod log;
mod log_offsets;
mod metadata;
mod metrics;
mod options;
mod producer;
mod profile;
mod replies;
#[cfg(any(test, fuzzing))]
mod sealing;
mod session;
mod smartmodule;
mod stored_offsets;
mod transport;

pub use admin::{Admin, CreateFlags, TopicSpec};
pub use boottime::boottime;
pub use client::{Client, Counts, counts};
pub use consumer::{
    Chunk, ChunkEncoder, ChunkSize, Consumer, ConsumerOptions, EpochOffset, GroupChange, GroupChangeKind, GroupMember,
    GroupOptions, GroupSlots, MemberState, PartitionState, RecordRef, Start, Take, Unchanged,
};
pub use error::{Error, ErrorKind, Outcome, Phase, Result};
pub use events::{ClientState, Event, EventKind, Events, NextEvent};
pub use fluvio_cffi_wire::Codec;
pub use guard::{TaskKind, arm_panic, install_panic_hook, maybe_panic, panic_error};
pub use log::say;
pub use metrics::{ERROR_KINDS, Metrics, TopicMetrics};
pub use options::{ClientOptions, Isolation};
pub use producer::{
    Delivery, NO_OFFSET, Producer, ProducerOptions, RECORD_OVERHEAD, Records, Run, Submission, TicketOutcome,
    TicketSink,
};
pub use profile::{ClusterConfig, Profile, Profiles};
pub use smartmodule::{Lookback, ModuleCode, Transform};
pub use transport::{Identity, Pem, Reader, Tls, Verified, Watch};
