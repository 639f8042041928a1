//! Small files that are read and replaced as a whole, and how many files there may be.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that partitions leave to connections and small files: with none left nobody could connect to delete a
/// topic.
const SPARE: u64 = 64;

/// Each partition has a file open, and each client a socket: lets this process open as many as the system allows it at
/// most.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it fails, what is beyond the limit is refused when it comes to that.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Fails when so many files are open that connections would be without descriptors.
pub(crate) fn check_spare() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let spare = (0..SPARE.min(limit / 4)).map(|_| rustix::io::dup(io::stderr()));
    // All of them together, for a moment.
    let together: Result<Vec<_>, _> = spare.collect();
    together.map(drop).map_err(io::Error::from)
}

/// The bytes of a file; None when there is none.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file beside the old one and puts it in its place: a kill leaves the old or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let written =
        File::create(&fresh).and_then(|mut file| file.write_all(bytes)).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        // What failed is the news; where the disk is full, a part of it is in the way.
        let _ = fs::remove_file(&fresh);
    }
    written
}
