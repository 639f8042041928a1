//! The C ABI of fluvio_cffi. `docs/c-abi.md` has the conventions that every function here follows.
//!
//! The only crate with unsafe code, and it has little: handles are numbers in a table, never pointers that are
//! followed, so that a stale, foreign or forged one is recognised. What is followed are the caller's own arguments.
// The exports are for C, which knows no `unsafe`; the contract of each pointer is in its comment.
#![allow(non_camel_case_types, clippy::not_unsafe_ptr_arg_deref)]

mod admin;
mod arrow;
mod boundary;
mod bytes;
mod client;
mod closing;
mod consumer;
mod debug;
mod encode;
mod errors;
mod events;
mod fork;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod handle;
mod json;
mod lifecycle;
mod logs;
mod metrics;
mod operation;
mod owner;
mod pointer;
mod producer;
mod profiles;
mod queue;
mod records;
mod runtime;
mod status;
mod structs;
mod tls;
mod transforms;
mod watch;

pub use admin::*;
pub use arrow::*;
pub use bytes::*;
pub use client::*;
pub use consumer::*;
pub use debug::*;
pub use encode::*;
pub use errors::*;
pub use events::*;
pub use fork::*;
pub use lifecycle::*;
pub use logs::*;
pub use metrics::*;
pub use owner::{flv_owner_flush, flv_owner_free, flv_owner_new, flv_owner_shutdown, flv_owner_t};
pub use producer::*;
pub use profiles::*;
pub use queue::*;
pub use records::*;
pub use runtime::*;
pub use status::*;
pub use tls::*;
pub use transforms::{flv_parameter_t, flv_smartmodule_init, flv_smartmodule_kind_e, flv_smartmodule_t};
pub use watch::*;
