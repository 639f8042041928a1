//! What `fuzz/` gives bytes of any kind, and what holds for all of them. In builds for fuzzing, and in the tests, which
//! go through all that is kept of it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::{env, fs, process, thread};

use crate::consumer;
use crate::group_log;
use crate::producer;
use crate::profile::{ClusterConfig, Profile, Profiles};
use crate::replies;
use crate::smartmodule;
use crate::transport;

pub type Target = fn(&[u8]);

/// The targets, by their names.
pub const TARGETS: [(&str, Target); 9] = [
    ("spu_replies", replies::fuzzing::of_an_spu),
    ("sc_replies", replies::fuzzing::of_the_sc),
    ("produce_replies", producer::fuzzing::replies),
    ("streams", consumer::fuzzing::stream),
    ("stamps", consumer::fuzzing::stamps),
    ("group_log", group_log::fuzzing::reply),
    ("connections", transport::fuzzing::connection),
    ("modules", smartmodule::fuzzing::module),
    ("profiles", profiles),
];

/// A target by its name.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    target(data);
}

/// A folder of this thread's own, in memory where there is such a place: the file is synced at each change.
fn folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
    place.join(format!("fluvio-cffi-fuzz-{}-{:?}", process::id(), thread::current().id()))
}

/// Any file as the file of profiles: what can be read can be edited, and what is said to be there is, beside all that
/// was there before.
fn profiles(data: &[u8]) {
    let folder = folder();
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("config");
    fs::write(&path, data).unwrap();
    edit(&Profiles::at(Some(&path)).unwrap());
    fs::remove_dir_all(&folder).unwrap();
}

fn edit(file: &Profiles) {
    const NAME: &str = "of the fuzzer";
    let _ = file.load(None);
    let Ok((_, before)) = file.list() else { return };
    let config = ClusterConfig { endpoint: "there:9003".to_owned(), ..ClusterConfig::default() };
    let is_other = |it: &Profile| it.cluster != NAME && ![NAME, "other"].contains(&&*it.name);
    let others = |all: Vec<Profile>| all.into_iter().filter(is_other).collect::<Vec<_>>();
    let now = || file.list().unwrap();
    if file.add(NAME, &config, false, true).is_err() {
        assert_eq!(now().1, before);
        return;
    }
    assert_eq!(file.load(None).unwrap(), config);
    assert_eq!(others(now().1), others(before.clone()));
    file.add(NAME, &config, true, false).unwrap();
    file.switch(NAME).unwrap();
    let name = if file.rename(NAME, "other").is_ok() { "other" } else { NAME };
    assert_eq!(now().0.as_deref(), Some(name));
    file.delete(name).unwrap();
    assert_eq!(now().0, None);
    assert_eq!(others(now().1), others(before));
}

#[cfg(test)]
#[path = "../../fuzz/kept.rs"]
mod kept;

#[cfg(test)]
#[test]
fn what_is_kept_of_fuzzing_does_no_harm() {
    kept::does_no_harm(&TARGETS);
}
