//! Objects on disk: a file for each, replaced by a rename, so that a kill leaves the old or the new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fluvio_protocol::api::Request;
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::objects::ObjectApiCreateRequest;

use crate::config::StartError;
use crate::files;

/// The version of the protocol in which objects are written; each file says its own.
const VERSION: i16 = ObjectApiCreateRequest::DEFAULT_API_VERSION;

const SUFFIX: &str = ".object";

/// The files of the objects of one kind.
#[derive(Debug)]
pub(crate) struct ObjectFiles {
    directory: PathBuf,
}

/// A name as part of a path: any text can be one.
fn escaped(name: &str) -> String {
    name.bytes().fold(String::new(), |mut escaped, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("%{byte:02x}")),
        }
        escaped
    })
}

fn decoded<T: Decoder + Default>(bytes: &[u8]) -> io::Result<(String, T)> {
    // The decoders trust lengths: only what was written here gets there.
    let (sum, mut bytes) = bytes.split_first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
    if crc32c::crc32c(bytes) != u32::from_be_bytes(*sum) {
        return Err(io::Error::other("wrong checksum"));
    }
    let version = i16::decode_from(&mut bytes, 0)?;
    Ok((String::decode_from(&mut bytes, version)?, T::decode_from(&mut bytes, version)?))
}

impl ObjectFiles {
    pub(crate) fn new(root: &Path, label: &str) -> Self {
        Self { directory: root.join(label) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(escaped(name) + SUFFIX)
    }

    /// Writes an object in the place of the one of that name, if there is one.
    pub(crate) fn write<T: Encoder>(&self, name: &str, object: &T) -> io::Result<()> {
        let mut bytes = vec![0; 4];
        VERSION.encode(&mut bytes, 0)?;
        name.to_owned().encode(&mut bytes, VERSION)?;
        object.encode(&mut bytes, VERSION)?;
        let sum = crc32c::crc32c(&bytes[4..]);
        bytes[..4].copy_from_slice(&sum.to_be_bytes());
        fs::create_dir_all(&self.directory)?;
        files::replace(&self.path(name), &bytes)
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// All that was written, and not removed since. What a kill has left half written is no object yet.
    pub(crate) fn read<T: Decoder + Default>(&self) -> Result<Vec<(String, T)>, StartError> {
        let failed = |path: &Path, source| StartError::DataDir { path: path.to_owned(), source };
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|source| failed(&self.directory, source))?,
        };
        let mut objects = Vec::new();
        for entry in entries {
            let path = entry.map_err(|source| failed(&self.directory, source))?.path();
            if !path.to_string_lossy().ends_with(SUFFIX) {
                continue;
            }
            let bytes = fs::read(&path).map_err(|source| failed(&path, source))?;
            let object = decoded(&bytes);
            objects.push(object.map_err(|error| StartError::Metadata { path, reason: error.to_string() })?);
        }
        Ok(objects)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    #[test]
    fn any_name_is_a_file_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let files = ObjectFiles::new(root.path(), "Kind");
        assert!(files.read::<String>().unwrap().is_empty());
        let names = ["", ".", "..", "../up", "a/b@1.2", "a", "A", "ä", "%41"];
        for name in names {
            files.write(name, &format!("old {name}")).unwrap();
            files.write(name, &format!("spec of {name}")).unwrap();
        }
        std::fs::write(files.directory.join("a.new"), "half").unwrap();
        let mut read = files.read::<String>().unwrap();
        read.sort();
        let mut wanted = names.map(|name| (name.to_owned(), format!("spec of {name}")));
        wanted.sort();
        assert_eq!(read, wanted);
        for name in names {
            files.remove(name).unwrap();
            files.remove(name).unwrap();
        }
        assert!(files.read::<String>().unwrap().is_empty());
    }

    #[test]
    fn a_broken_file_is_named() {
        let root = tempfile::tempdir().unwrap();
        let files = ObjectFiles::new(root.path(), "Kind");
        files.write("x", &"spec".to_owned()).unwrap();
        let whole = std::fs::read(files.path("x")).unwrap();
        let other = [&whole[..whole.len() - 1], b"x"].concat();
        for broken in [&whole[..whole.len() - 1], &[&whole[..], &[0]].concat(), &other, &[]] {
            std::fs::write(files.path("x"), broken).unwrap();
            match files.read::<String>() {
                Err(StartError::Metadata { path, .. }) => assert_eq!(path, files.path("x")),
                other => panic!("{other:?}"),
            }
        }
    }
}
