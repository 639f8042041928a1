//! Statuses, and the handle of an error.

use fluvio_cffi_engine::Error;

use crate::handle::{Handle, Kind};

/// What a call or a completion says: one of the `FLV_STATUS_` numbers.
pub type flv_status_t = i32;

/// The numbers of `flv_status_t`. New ones are appended, none is ever reused.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum flv_status_e {
    /// Done.
    FLV_STATUS_OK = 0,
    /// Nothing is there now.
    FLV_STATUS_EMPTY = 1,
    /// Nothing will ever be there again.
    FLV_STATUS_END = 2,
    /// What a member of a consumer group reads has changed: `flv_consumer_change` says how.
    FLV_STATUS_CHANGED = 3,
    /// The operation was cancelled: nothing was done, or only the wait was abandoned.
    FLV_STATUS_CANCELLED = 10,
    /// A deadline passed.
    FLV_STATUS_TIMEOUT = 11,
    /// The object was closed or freed.
    FLV_STATUS_CLOSED = 12,
    /// The process is a fork of one that had connected. Comes without an error object.
    FLV_STATUS_FORKED = 13,
    /// An argument is out of range or malformed; the message names it, its value and what is allowed.
    FLV_STATUS_INVALID_ARGUMENT = 20,
    /// A call that the object's state forbids.
    FLV_STATUS_USAGE = 21,
    /// The machine, or what this process may have of it, has no more: descriptors, threads, memory, ports, room on a
    /// disk.
    FLV_STATUS_RESOURCE = 22,
    /// The peer cannot be reached, or the connection was lost.
    FLV_STATUS_CONNECTION = 30,
    /// TLS could not be set up.
    FLV_STATUS_TLS = 31,
    /// The server refused the client's identity.
    FLV_STATUS_AUTH = 32,
    /// Client and server do not understand each other's version.
    FLV_STATUS_VERSION = 33,
    /// The server answered an error that has no number of its own here.
    FLV_STATUS_SERVER = 40,
    /// An object that has no number of its own here does not exist.
    FLV_STATUS_NOT_FOUND = 41,
    /// The topic does not exist (any more).
    FLV_STATUS_TOPIC_NOT_FOUND = 42,
    /// The topic has no such partition.
    FLV_STATUS_PARTITION_NOT_FOUND = 43,
    /// There is no such SPU.
    FLV_STATUS_SPU_NOT_FOUND = 44,
    /// There is no such SmartModule.
    FLV_STATUS_SMARTMODULE_NOT_FOUND = 45,
    /// An object of that name exists.
    FLV_STATUS_ALREADY_EXISTS = 46,
    /// The server's policy forbids it.
    FLV_STATUS_PERMISSION_DENIED = 47,
    /// The topic's name or configuration is not allowed.
    FLV_STATUS_INVALID_TOPIC = 48,
    /// The SPU does not lead the partition.
    FLV_STATUS_NOT_LEADER = 49,
    /// The server could not store or read its log.
    FLV_STATUS_STORAGE = 50,
    /// The offset lies beyond the end of the log.
    FLV_STATUS_OFFSET_OUT_OF_RANGE = 51,
    /// The offset was removed by retention.
    FLV_STATUS_OFFSET_EVICTED = 52,
    /// There is no such table format.
    FLV_STATUS_TABLE_FORMAT_NOT_FOUND = 53,
    /// There is no such mirror.
    FLV_STATUS_MIRROR_NOT_FOUND = 54,
    /// There is no such SPU group.
    FLV_STATUS_SPU_GROUP_NOT_FOUND = 55,
    /// No such offset is stored.
    FLV_STATUS_CONSUMER_OFFSET_NOT_FOUND = 56,
    /// The consumer group has members.
    FLV_STATUS_GROUP_NOT_EMPTY = 57,
    /// There is no such consumer group.
    FLV_STATUS_GROUP_NOT_FOUND = 58,
    /// Producing failed in another way.
    FLV_STATUS_PRODUCER = 60,
    /// A record does not fit into a request.
    FLV_STATUS_RECORD_TOO_LARGE = 61,
    /// Bytes may have reached the log, nobody knows.
    FLV_STATUS_DELIVERY_UNKNOWN = 62,
    /// Compressing or decompressing failed, or the topic forbids the codec.
    FLV_STATUS_COMPRESSION = 63,
    /// Consuming failed in another way.
    FLV_STATUS_CONSUMER = 70,
    /// The log holds bytes that are no valid record batch.
    FLV_STATUS_CORRUPT_RECORD = 71,
    /// Another process has taken the place of this member of a consumer group.
    FLV_STATUS_MEMBER_FENCED = 72,
    /// Partitions to commit are read by another member of the consumer group by now.
    FLV_STATUS_COMMIT_FENCED = 73,
    /// A SmartModule failed.
    FLV_STATUS_SMARTMODULE = 80,
    /// A panic was caught: a bug in the library.
    FLV_STATUS_INTERNAL = 90,
    /// An error of a kind that this version does not know.
    FLV_STATUS_UNKNOWN = 99,
}

/// What became of the records that an error speaks of, or of the change that was asked for.
#[repr(C)]
pub enum flv_outcome_e {
    /// The error is about neither, or it is a server's answer, which says it.
    FLV_OUTCOME_NONE = 0,
    /// They are not in the log and never will be. The change was not sent.
    FLV_OUTCOME_NOT_WRITTEN = 1,
    /// Bytes may have reached the log. The change may have been made.
    FLV_OUTCOME_UNKNOWN = 2,
    /// Only the wait ended; they go on until their delivery time-out. The change was made; what follows from it was not
    /// seen.
    FLV_OUTCOME_PENDING = 3,
}

/// In which part of the work a deadline passed.
#[repr(C)]
pub enum flv_phase_e {
    /// Not a time-out.
    FLV_PHASE_NONE = 0,
    /// Connecting, opening a producer or a consumer.
    FLV_PHASE_CONNECT = 1,
    /// Waiting for room in a producer's buffer.
    FLV_PHASE_ENQUEUE = 2,
    /// Waiting for a receipt.
    FLV_PHASE_WAIT = 3,
    /// Delivering records.
    FLV_PHASE_DELIVERY = 4,
    /// Flushing.
    FLV_PHASE_FLUSH = 5,
    /// Waiting for records.
    FLV_PHASE_READ = 6,
    /// Committing offsets.
    FLV_PHASE_COMMIT = 7,
    /// An administrative call.
    FLV_PHASE_ADMIN = 8,
    /// Closing.
    FLV_PHASE_CLOSE = 9,
}

/// An error, owned by whoever received it until `flv_error_free`. May be used and freed on any thread.
pub struct flv_error_t {
    _opaque: [u8; 0],
}

impl Handle for flv_error_t {
    type Object = Error;
    const KIND: Kind = Kind::Error;
}
