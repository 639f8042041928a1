//! Small files that are read and replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

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
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    drop(file);
    fs::rename(fresh, path)
}
