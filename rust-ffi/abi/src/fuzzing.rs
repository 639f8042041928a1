//! What `fuzz/` gives bytes of any kind, and what holds for all of them. In builds for fuzzing, and in the tests, which
//! go through all that is kept of it.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::{env, fs, process, ptr, thread};

use crate::admin;
use crate::boundary::OK;
use crate::bytes::{flv_buffer_free, flv_slice_t};
use crate::profiles::{flv_profiles_add, flv_profiles_read};

pub type Target = fn(&[u8]);

/// The targets, by their names.
pub const TARGETS: [(&str, Target); 1] = [("documents", documents)];

/// Behind the numbers of the methods.
const MANIFEST: u8 = 254;
const CLUSTER: u8 = 255;

/// A document; the first byte says what for: a method of administration, a SmartModule, or a profile.
pub fn documents(data: &[u8]) {
    let Some((&method, document)) = data.split_first() else { return };
    match method {
        MANIFEST => manifest(document),
        CLUSTER => cluster(document),
        method => admin::fuzz(method.into(), document),
    }
}

fn slice(bytes: &[u8]) -> flv_slice_t {
    flv_slice_t { data: bytes.as_ptr(), len: bytes.len() }
}

fn manifest(text: &[u8]) {
    let mut json = ptr::null_mut();
    if admin::flv_smartmodule_spec(slice(text), &raw mut json, ptr::null_mut()) == OK {
        assert!(!json.is_null());
        flv_buffer_free(json);
    }
}

/// What is added is there.
fn cluster(document: &[u8]) {
    let path = env::temp_dir().join(format!("fluvio-cffi-fuzz-{}-{:?}", process::id(), thread::current().id()));
    let _ = fs::remove_file(&path);
    let at = path.to_str().unwrap().as_bytes();
    let mut json = ptr::null_mut();
    if flv_profiles_add(slice(at), slice(b"name"), slice(document), 0, 1, ptr::null_mut()) == OK {
        assert_eq!(flv_profiles_read(slice(at), &raw mut json, ptr::null_mut()), OK);
        flv_buffer_free(json);
        fs::remove_file(&path).unwrap();
    }
}

#[cfg(test)]
#[path = "../../fuzz/kept.rs"]
mod kept;

#[cfg(test)]
#[test]
fn what_is_kept_of_fuzzing_does_no_harm() {
    kept::does_no_harm(&TARGETS);
}
