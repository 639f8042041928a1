//! Temporary data directories: they go with whoever made them, or else at the next start of a cluster.
//!
//! Each holds a file that its owner keeps locked for as long as it lives: the process that started the cluster, or the
//! cluster itself. It has its name only once it is locked, so that nobody takes a directory for left that is just being
//! made.

use std::fs::{self, DirEntry, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// What the names of temporary directories begin with.
const PREFIX: &str = "fluvio-cffi-cluster-";
const OWNER: &str = "owner";
/// The file that a cluster keeps locked while it uses a directory.
pub(crate) const LOCK: &str = "lock";

/// A directory that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
    kept: AtomicBool,
    /// None: somebody else's.
    _owner: Option<File>,
}

impl Temporary {
    /// A new one.
    pub(crate) fn make() -> io::Result<Self> {
        let path = tempfile::Builder::new().prefix(PREFIX).tempdir()?.keep();
        let claimed = claim(&path);
        let temporary = |owner| Self { path, kept: AtomicBool::new(false), _owner: owner };
        match claimed {
            Ok(owner) => Ok(temporary(Some(owner))),
            Err(error) => {
                drop(temporary(None));
                Err(error)
            }
        }
    }

    /// One that somebody else has made.
    pub(crate) fn given(path: PathBuf) -> Self {
        Self { path, kept: AtomicBool::new(false), _owner: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// It is not removed.
    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !*self.kept.get_mut() {
            // What cannot be removed now is removed by a later start.
            let _ = remove(&self.path);
        }
    }
}

fn claim(directory: &Path) -> io::Result<File> {
    let fresh = directory.join("owner.new");
    let file = File::create(&fresh)?;
    file.try_lock()?;
    fs::rename(fresh, directory.join(OWNER))?;
    Ok(file)
}

/// Removes the directories beside `directory` whose owners are dead, as far as they are the same user's.
pub(crate) fn sweep(directory: &Path) -> io::Result<()> {
    let user = fs::metadata(directory)?.uid();
    let Some(parent) = directory.parent() else { return Ok(()) };
    for entry in fs::read_dir(parent)?.filter_map(Result::ok) {
        if entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()) {
            // Whatever is wrong with one is no reason to leave the others.
            let _ = remove_dead(&entry, user);
        }
    }
    Ok(())
}

fn remove_dead(entry: &DirEntry, user: u32) -> io::Result<()> {
    let metadata = entry.metadata()?;
    if !metadata.is_dir() || metadata.uid() != user {
        return Ok(());
    }
    let path = entry.path();
    // Held until it is removed: nobody else is at it meanwhile.
    let _owner = unlocked(&path.join(OWNER))?;
    // The cluster may outlive its owner for a moment, and removes its files itself.
    match unlocked(&path.join(LOCK)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    remove(&path)
}

/// Removes a directory, last of all what shows that it is left: a kill may come in between.
fn remove(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name() != OWNER {
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
    }
    fs::remove_dir_all(directory)
}

/// The file, locked, if nobody else has it locked.
fn unlocked(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    file.try_lock()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_dead_ones_left_is_swept() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = parent.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("file"), "x").unwrap();
            path
        };
        let own = make("fluvio-cffi-cluster-own");
        let mine = claim(&own).unwrap();
        let dead = make("fluvio-cffi-cluster-dead");
        drop(claim(&dead).unwrap());
        fs::write(dead.join(LOCK), "").unwrap();
        let ending = make("fluvio-cffi-cluster-ending");
        drop(claim(&ending).unwrap());
        let cluster = File::create(ending.join(LOCK)).unwrap();
        cluster.lock().unwrap();
        let young = make("fluvio-cffi-cluster-young");
        let foreign = make("fluvio-cffi-else");
        drop(claim(&foreign).unwrap());
        let outside = make("outside");
        drop(claim(&outside).unwrap());
        std::os::unix::fs::symlink(&outside, parent.path().join("fluvio-cffi-cluster-link")).unwrap();

        sweep(&own).unwrap();
        assert!(!dead.exists());
        for left in [&own, &ending, &young, &foreign, &outside] {
            assert!(left.join("file").exists(), "{left:?}");
        }
        drop((mine, cluster));
        sweep(&ending).unwrap();
        assert!(!own.exists() && !ending.exists());
    }
}
