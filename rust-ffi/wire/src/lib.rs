//! Record batches and frames of the Fluvio protocol: built without an object per record, read without copying, and with
//! every length checked: hostile bytes give a [`WireError`], never a panic or a large allocation.
//!
//! The format is that of the official `fluvio-protocol` crate, which reads what is built here and the reverse (see the
//! tests). All fixed-width integers are big-endian; varints are zigzag-coded, seven bits a byte, least significant
//! first.

mod batch;
mod codec;
mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod produce;
mod records;
mod varint;

pub use batch::{BatchBuilder, BatchHeader, HEADER_LEN, RawBatch, Remainder, split_batches, split_made_batches};
pub use codec::Codec;
pub use frame::{FrameBuffer, request_header};
pub use produce::{ProduceEntry, ProduceHead, produce_request};
pub use records::{RecordView, Records};

/// Why bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A length points beyond the bytes that are there.
    #[error("{0} reaches beyond its end")]
    Truncated(&'static str),
    /// A number is outside of what is allowed.
    #[error("{field} is {value}")]
    Invalid {
        /// Which number.
        field: &'static str,
        /// Its value.
        value: i64,
    },
    /// The body of a batch is not what its codec makes.
    #[error("the body of a batch is not valid {0}")]
    Packed(&'static str),
    /// The body of a batch unpacks to more than is allowed.
    #[error("the body of a batch unpacks to more than {limit} bytes")]
    Unpacked {
        /// What is allowed.
        limit: usize,
    },
    /// There is no memory for it.
    #[error("there is no memory for {0}")]
    Memory(&'static str),
    /// The checksum of a batch does not match its bytes.
    #[error("the checksum is {stored:#010x} but that of the bytes is {computed:#010x}")]
    Checksum {
        /// What the batch says.
        stored: u32,
        /// What its bytes give.
        computed: u32,
    },
}
