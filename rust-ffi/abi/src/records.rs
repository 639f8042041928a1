//! Records of the caller's, as columns.

use fluvio_cffi_engine::{Records, Result};

use crate::pointer::slice;
use crate::structs::{self, growing};

/// What a submission says of itself.
#[repr(C)]
pub enum flv_records_flag_e {
    /// Whoever submits the records waits on the descriptor of the producer's queue, and drains it, until their tickets
    /// have completed: the drain may read the reply itself, which spares waking a thread of the library.
    FLV_RECORDS_AWAITED = 1,
}

/// Records to submit, borrowed for the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_records_t {
    /// `sizeof(flv_records_t)`.
    pub struct_size: u32,
    /// 0, or `FLV_RECORDS_AWAITED`.
    pub flags: u32,
    /// How many records.
    pub count: usize,
    /// One record after the other: the bytes of its key, if it has one, then of its value.
    pub data: *const u8,
    /// Bytes of `data`.
    pub data_len: usize,
    /// Bytes of each value; `count` entries.
    pub value_lengths: *const u32,
    /// NULL: no record has a key. Else `count` entries: bytes of the key, or -1 for no key (0 is an empty one).
    pub key_lengths: *const i32,
    /// NULL: the partitioner decides. Else `count` entries: the partition, or -1. With neither key nor partition a
    /// record goes where it can be written, and moves with its batch if it waits where that is not possible; its ticket
    /// tells.
    pub partitions: *const i32,
    /// NULL: now. Else `count` entries: milliseconds since the epoch, or INT64_MIN for now.
    pub timestamps: *const i64,
}

growing!(flv_records_t {
    struct_size,
    flags,
    count,
    data,
    data_len,
    value_lengths,
    key_lengths,
    partitions,
    timestamps
});

impl flv_records_t {
    pub(crate) const NONE: Self = Self {
        struct_size: size_of::<Self>() as u32,
        flags: 0,
        count: 0,
        data: std::ptr::null(),
        data_len: 0,
        value_lengths: std::ptr::null(),
        key_lengths: std::ptr::null(),
        partitions: std::ptr::null(),
        timestamps: std::ptr::null(),
    };

    pub(crate) fn read(records: *const Self) -> Result<Self> {
        structs::read(records, "records", Self::NONE)
    }

    /// What it points to. The lengths are not looked at.
    pub(crate) fn columns(&self) -> Result<Records<'_>> {
        fn column<'a, T>(pointer: *const T, count: usize, name: &str) -> Result<Option<&'a [T]>> {
            if pointer.is_null() { Ok(None) } else { slice(pointer, count, name).map(Some) }
        }
        let count = self.count;
        Ok(Records {
            count,
            data: slice(self.data, self.data_len, "records->data")?,
            value_lengths: slice(self.value_lengths, count, "records->value_lengths")?,
            key_lengths: column(self.key_lengths, count, "records->key_lengths")?,
            partitions: column(self.partitions, count, "records->partitions")?,
            timestamps: column(self.timestamps, count, "records->timestamps")?,
            awaited: false,
        })
    }
}
