//! Walks over the bytes of a reply before an official decoder sees them.
//!
//! The official decoders trust the network: they allocate what a length announces before they look whether it is there,
//! and an allocation that fails ends the process; other numbers make them panic. So each type that they decode has its
//! [`Layout`] here, which goes over the same bytes, allocates nothing, and finds every length, count, tag and duration
//! possible or says which is not.

use std::collections::BTreeMap;
use std::time::Duration;

use fluvio_cffi_wire::WireError;
use fluvio_protocol::record::RecordData;
use fluvio_protocol::{ByteBuf, Version};

/// Memory that one decoded reply may take. Many small objects take a multiple of their bytes.
const MOST_DECODED: usize = 512 << 20;

/// A varint has no more bytes than this.
const MOST_VARINT: usize = 10;

/// Whether what was walked over is as it must be.
pub(crate) type Walked = Result<(), WireError>;

/// How a type lies on the wire.
pub(crate) trait Layout {
    /// Goes over one.
    fn walk(walk: &mut Walk<'_>) -> Walked;
}

/// The bytes that are still to be walked over.
pub(crate) struct Walk<'a> {
    rest: &'a [u8],
    version: Version,
    decoded: usize,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(bytes: &'a [u8], version: Version) -> Self {
        Self { rest: bytes, version, decoded: 0 }
    }

    /// The version of the protocol, on which it depends which fields there are.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(WireError::Truncated(what))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(WireError::Truncated(what))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A text as it is.
    pub(crate) fn text(&mut self) -> Result<&'a [u8], WireError> {
        // The official decoder takes what is below zero for nothing.
        let length = usize::try_from(i16::from_be_bytes(self.array("a text")?)).unwrap_or(0);
        self.take(length, "a text")
    }

    /// Bytes behind a length of 32 bits.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = u32::from_be_bytes(self.array("bytes")?);
        self.take(length as usize, "bytes")
    }

    fn varint(&mut self, what: &'static str) -> Result<i64, WireError> {
        let mut zigzag = 0_u64;
        for place in 0..MOST_VARINT {
            let [byte] = self.array(what)?;
            zigzag |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
            }
        }
        Err(WireError::Invalid { field: what, value: i64::MAX })
    }

    /// So many bytes of memory are taken once this is decoded.
    pub(crate) fn hold(&mut self, bytes: usize) -> Walked {
        self.decoded = self.decoded.saturating_add(bytes);
        if self.decoded > MOST_DECODED {
            let value = i64::try_from(self.decoded).unwrap_or(i64::MAX);
            return Err(WireError::Invalid { field: "the memory that a reply takes", value });
        }
        Ok(())
    }

    /// `count` of what `each` goes over, which takes `size` bytes of memory and one on the wire at least.
    fn repeat(&mut self, count: usize, size: usize, each: impl Fn(&mut Self) -> Walked) -> Walked {
        if count > self.rest.len() {
            return Err(WireError::Truncated("a list"));
        }
        self.hold(count.saturating_mul(size))?;
        (0..count).try_for_each(|_| each(self))
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Layout for $number {
            fn walk(walk: &mut Walk<'_>) -> Walked {
                walk.array::<{ size_of::<$number>() }>("a number").map(|_| ())
            }
        }
    )*};
}
numbers!(u8, u16, i16, u32, i32, u64, i64);

impl Layout for bool {
    fn walk(walk: &mut Walk<'_>) -> Walked {
        match walk.array("a truth value")? {
            [0 | 1] => Ok(()),
            [other] => Err(WireError::Invalid { field: "a truth value", value: other.into() }),
        }
    }
}

impl Layout for String {
    fn walk(walk: &mut Walk<'_>) -> Walked {
        let text = walk.text()?;
        walk.hold(text.len())
    }
}

impl Layout for Duration {
    fn walk(walk: &mut Walk<'_>) -> Walked {
        const SECOND: u32 = 1_000_000_000;
        let seconds = u64::from_be_bytes(walk.array("a duration")?);
        let nanos = u32::from_be_bytes(walk.array("a duration")?);
        match seconds.checked_add(u64::from(nanos / SECOND)) {
            Some(_) => Ok(()),
            None => Err(WireError::Invalid { field: "a duration", value: i64::MAX }),
        }
    }
}

impl Layout for ByteBuf {
    fn walk(walk: &mut Walk<'_>) -> Walked {
        let bytes = walk.bytes()?;
        walk.hold(bytes.len())
    }
}

impl Layout for RecordData {
    fn walk(walk: &mut Walk<'_>) -> Walked {
        const WHAT: &str = "the data of a record";
        let length = walk.varint(WHAT)?;
        let length = usize::try_from(length).map_err(|_| WireError::Invalid { field: WHAT, value: length })?;
        walk.take(length, WHAT)?;
        walk.hold(length)
    }
}

impl<T: Layout> Layout for Option<T> {
    fn walk(walk: &mut Walk<'_>) -> Walked {
        match walk.array("an option")? {
            [0] => Ok(()),
            [1] => T::walk(walk),
            [other] => Err(WireError::Invalid { field: "an option", value: other.into() }),
        }
    }
}

impl<T: Layout> Layout for Vec<T> {
    fn walk(walk: &mut Walk<'_>) -> Walked {
        // The official decoder takes what is below zero for nothing.
        let count = usize::try_from(i32::from_be_bytes(walk.array("a list")?)).unwrap_or(0);
        walk.repeat(count, size_of::<T>(), T::walk)
    }
}

impl<K: Layout, V: Layout> Layout for BTreeMap<K, V> {
    fn walk(walk: &mut Walk<'_>) -> Walked {
        let count = u16::from_be_bytes(walk.array("a table")?).into();
        walk.repeat(count, size_of::<(K, V)>(), <(K, V)>::walk)
    }
}

impl<A: Layout, B: Layout> Layout for (A, B) {
    fn walk(walk: &mut Walk<'_>) -> Walked {
        A::walk(walk)?;
        B::walk(walk)
    }
}
