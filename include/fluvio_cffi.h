#ifndef FLUVIO_CFFI_H
#define FLUVIO_CFFI_H

/* Generated from rust-ffi/abi by cbindgen; do not edit. The conventions are in docs/c-abi.md. */

#include <stddef.h>
#include <stdint.h>

/* The Arrow C data interface: who uses them defines them, as its specification says. */
struct ArrowSchema;
struct ArrowArray;
struct ArrowArrayStream;

/*
 The numbers of `flv_status_t`. New ones are appended, none is ever reused.
 */
typedef enum {
    /*
     Done.
     */
    FLV_STATUS_OK = 0,
    /*
     Nothing is there now.
     */
    FLV_STATUS_EMPTY = 1,
    /*
     Nothing will ever be there again.
     */
    FLV_STATUS_END = 2,
    /*
     What a member of a consumer group reads has changed: `flv_consumer_change` says how.
     */
    FLV_STATUS_CHANGED = 3,
    /*
     The operation was cancelled: nothing was done, or only the wait was abandoned.
     */
    FLV_STATUS_CANCELLED = 10,
    /*
     A deadline passed.
     */
    FLV_STATUS_TIMEOUT = 11,
    /*
     The object was closed or freed.
     */
    FLV_STATUS_CLOSED = 12,
    /*
     The process is a fork of one that had connected. Comes without an error object.
     */
    FLV_STATUS_FORKED = 13,
    /*
     An argument is out of range or malformed; the message names it, its value and what is allowed.
     */
    FLV_STATUS_INVALID_ARGUMENT = 20,
    /*
     A call that the object's state forbids.
     */
    FLV_STATUS_USAGE = 21,
    /*
     The machine, or what this process may have of it, has no more: descriptors, threads, memory, ports, room on a
     disk.
     */
    FLV_STATUS_RESOURCE = 22,
    /*
     The peer cannot be reached, or the connection was lost.
     */
    FLV_STATUS_CONNECTION = 30,
    /*
     TLS could not be set up.
     */
    FLV_STATUS_TLS = 31,
    /*
     The server refused the client's identity.
     */
    FLV_STATUS_AUTH = 32,
    /*
     Client and server do not understand each other's version.
     */
    FLV_STATUS_VERSION = 33,
    /*
     The server answered an error that has no number of its own here.
     */
    FLV_STATUS_SERVER = 40,
    /*
     An object that has no number of its own here does not exist.
     */
    FLV_STATUS_NOT_FOUND = 41,
    /*
     The topic does not exist (any more).
     */
    FLV_STATUS_TOPIC_NOT_FOUND = 42,
    /*
     The topic has no such partition.
     */
    FLV_STATUS_PARTITION_NOT_FOUND = 43,
    /*
     There is no such SPU.
     */
    FLV_STATUS_SPU_NOT_FOUND = 44,
    /*
     There is no such SmartModule.
     */
    FLV_STATUS_SMARTMODULE_NOT_FOUND = 45,
    /*
     An object of that name exists.
     */
    FLV_STATUS_ALREADY_EXISTS = 46,
    /*
     The server's policy forbids it.
     */
    FLV_STATUS_PERMISSION_DENIED = 47,
    /*
     The topic's name or configuration is not allowed.
     */
    FLV_STATUS_INVALID_TOPIC = 48,
    /*
     The SPU does not lead the partition.
     */
    FLV_STATUS_NOT_LEADER = 49,
    /*
     The server could not store or read its log.
     */
    FLV_STATUS_STORAGE = 50,
    /*
     The offset lies beyond the end of the log.
     */
    FLV_STATUS_OFFSET_OUT_OF_RANGE = 51,
    /*
     The offset was removed by retention.
     */
    FLV_STATUS_OFFSET_EVICTED = 52,
    /*
     There is no such table format.
     */
    FLV_STATUS_TABLE_FORMAT_NOT_FOUND = 53,
    /*
     There is no such mirror.
     */
    FLV_STATUS_MIRROR_NOT_FOUND = 54,
    /*
     There is no such SPU group.
     */
    FLV_STATUS_SPU_GROUP_NOT_FOUND = 55,
    /*
     No such offset is stored.
     */
    FLV_STATUS_CONSUMER_OFFSET_NOT_FOUND = 56,
    /*
     The consumer group has members.
     */
    FLV_STATUS_GROUP_NOT_EMPTY = 57,
    /*
     There is no such consumer group.
     */
    FLV_STATUS_GROUP_NOT_FOUND = 58,
    /*
     Producing failed in another way.
     */
    FLV_STATUS_PRODUCER = 60,
    /*
     A record does not fit into a request.
     */
    FLV_STATUS_RECORD_TOO_LARGE = 61,
    /*
     Bytes may have reached the log, nobody knows.
     */
    FLV_STATUS_DELIVERY_UNKNOWN = 62,
    /*
     Compressing or decompressing failed, or the topic forbids the codec.
     */
    FLV_STATUS_COMPRESSION = 63,
    /*
     Consuming failed in another way.
     */
    FLV_STATUS_CONSUMER = 70,
    /*
     The log holds bytes that are no valid record batch.
     */
    FLV_STATUS_CORRUPT_RECORD = 71,
    /*
     Another process has taken the place of this member of a consumer group.
     */
    FLV_STATUS_MEMBER_FENCED = 72,
    /*
     Partitions to commit are read by another member of the consumer group by now.
     */
    FLV_STATUS_COMMIT_FENCED = 73,
    /*
     A SmartModule failed.
     */
    FLV_STATUS_SMARTMODULE = 80,
    /*
     A panic was caught: a bug in the library.
     */
    FLV_STATUS_INTERNAL = 90,
    /*
     An error of a kind that this version does not know.
     */
    FLV_STATUS_UNKNOWN = 99,
} flv_status_e;

/*
 What became of the records that an error speaks of, or of the change that was asked for.
 */
typedef enum {
    /*
     The error is about neither, or it is a server's answer, which says it.
     */
    FLV_OUTCOME_NONE = 0,
    /*
     They are not in the log and never will be. The change was not sent.
     */
    FLV_OUTCOME_NOT_WRITTEN = 1,
    /*
     Bytes may have reached the log. The change may have been made.
     */
    FLV_OUTCOME_UNKNOWN = 2,
    /*
     Only the wait ended; they go on until their delivery time-out. The change was made; what follows from it was not
     seen.
     */
    FLV_OUTCOME_PENDING = 3,
} flv_outcome_e;

/*
 In which part of the work a deadline passed.
 */
typedef enum {
    /*
     Not a time-out.
     */
    FLV_PHASE_NONE = 0,
    /*
     Connecting, opening a producer or a consumer.
     */
    FLV_PHASE_CONNECT = 1,
    /*
     Waiting for room in a producer's buffer.
     */
    FLV_PHASE_ENQUEUE = 2,
    /*
     Waiting for a receipt.
     */
    FLV_PHASE_WAIT = 3,
    /*
     Delivering records.
     */
    FLV_PHASE_DELIVERY = 4,
    /*
     Flushing.
     */
    FLV_PHASE_FLUSH = 5,
    /*
     Waiting for records.
     */
    FLV_PHASE_READ = 6,
    /*
     Committing offsets.
     */
    FLV_PHASE_COMMIT = 7,
    /*
     An administrative call.
     */
    FLV_PHASE_ADMIN = 8,
    /*
     Closing.
     */
    FLV_PHASE_CLOSE = 9,
} flv_phase_e;

/*
 What a completion is about.
 */
typedef enum {
    /*
     Not one that this version knows.
     */
    FLV_COMPLETION_UNKNOWN = 0,
    /*
     An operation ended.
     */
    FLV_COMPLETION_OPERATION = 1,
    /*
     A ticket, that is a batch of records, was settled.
     */
    FLV_COMPLETION_TICKET = 2,
} flv_completion_kind_e;

/*
 Whether a client sees its cluster.
 */
typedef enum {
    /*
     Not one that this version knows, or not a client.
     */
    FLV_CLIENT_STATE_UNKNOWN = 0,
    /*
     The SC's watches are alive.
     */
    FLV_CLIENT_STATE_CONNECTED = 1,
    /*
     The SC is away; the data path goes on.
     */
    FLV_CLIENT_STATE_RECONNECTING = 2,
    /*
     Closed.
     */
    FLV_CLIENT_STATE_CLOSED = 3,
} flv_client_state_e;

/*
 What happened to a client.
 */
typedef enum {
    /*
     It sees its cluster, or sees it again.
     */
    FLV_EVENT_CONNECTED = 1,
    /*
     The SC is away; the data path goes on.
     */
    FLV_EVENT_RECONNECTING = 2,
    /*
     It was closed: nothing comes after this.
     */
    FLV_EVENT_CLOSED = 3,
    /*
     Another SPU leads a partition.
     */
    FLV_EVENT_LEADER_CHANGED = 4,
    /*
     A consumer is a member of its group now.
     */
    FLV_EVENT_GROUP_JOINED = 5,
    /*
     The lease of a member is over, and nobody has evicted it: reads wait.
     */
    FLV_EVENT_GROUP_SUSPENDED = 6,
    /*
     The lease of a member runs again.
     */
    FLV_EVENT_GROUP_RESUMED = 7,
    /*
     A member is none any more without having left.
     */
    FLV_EVENT_GROUP_LOST = 8,
} flv_event_kind_e;

/*
 Which records a consumer sees, and when a producer's record counts as acknowledged.
 */
typedef enum {
    /*
     As soon as the leader has written them.
     */
    FLV_ISOLATION_READ_UNCOMMITTED = 0,
    /*
     Once all in-sync replicas have them.
     */
    FLV_ISOLATION_READ_COMMITTED = 1,
} flv_isolation_e;

/*
 How often a record may be sent.
 */
typedef enum {
    /*
     Again after a lost connection, until it is acknowledged.
     */
    FLV_DELIVERY_AT_LEAST_ONCE = 0,
    /*
     Once. What no server has seen a byte of, because the connection had ended, does not count.
     */
    FLV_DELIVERY_AT_MOST_ONCE = 1,
} flv_delivery_e;

/*
 How batches are compressed.
 */
typedef enum {
    /*
     As the topic asks; not at all if it takes any codec.
     */
    FLV_COMPRESSION_TOPIC = 0,
    /*
     Not at all.
     */
    FLV_COMPRESSION_NONE = 1,
    /*
     gzip.
     */
    FLV_COMPRESSION_GZIP = 2,
    /*
     Snappy.
     */
    FLV_COMPRESSION_SNAPPY = 3,
    /*
     LZ4.
     */
    FLV_COMPRESSION_LZ4 = 4,
    /*
     Zstandard.
     */
    FLV_COMPRESSION_ZSTD = 5,
} flv_compression_e;

/*
 Numbers that hosts need.
 */
typedef enum {
    /*
     What a record takes of the producer's buffer beside the bytes of its key and value.
     */
    FLV_RECORD_OVERHEAD = 24,
} flv_limit_e;

/*
 What a submission says of itself.
 */
typedef enum {
    /*
     Whoever submits the records waits on the descriptor of the producer's queue, and drains it, until their tickets
     have completed: the drain may read the reply itself, which spares waking a thread of the library.
     */
    FLV_RECORDS_AWAITED = 1,
} flv_records_flag_e;

/*
 Where reading begins.
 */
typedef enum {
    /*
     The beginning with a `consumer_id`, so that nothing is lost before the first commit, else the end.
     */
    FLV_START_DEFAULT = 0,
    /*
     So many records after the first that exists.
     */
    FLV_START_BEGINNING = 1,
    /*
     So many records before the end.
     */
    FLV_START_END = 2,
    /*
     At this offset.
     */
    FLV_START_AT = 3,
    /*
     At the first record that is not older than this, in milliseconds since the epoch; at the end if there is none.
     The log is halved until it is found: its times are taken to rise.
     */
    FLV_START_SINCE = 4,
} flv_start_kind_e;

/*
 The form in which records leave the library.
 */
typedef enum {
    /*
     `flv_record_t` structures.
     */
    FLV_FORMAT_RECORDS = 0,
    /*
     A pickle stream for Python: see `docs/c-abi.md`.
     */
    FLV_FORMAT_PICKLE = 1,
    /*
     Columns in the Arrow format: see `flv_consumer_arrow`.
     */
    FLV_FORMAT_ARROW = 2,
} flv_format_e;

/*
 Kinds of task inside the library.
 */
typedef enum {
    /*
     One operation.
     */
    FLV_TASK_OPERATION = 1,
    /*
     A client's watch of its cluster.
     */
    FLV_TASK_VIEW = 2,
    /*
     A producer's sender.
     */
    FLV_TASK_PRODUCER = 3,
    /*
     A consumer's reader.
     */
    FLV_TASK_CONSUMER = 4,
    /*
     A watch.
     */
    FLV_TASK_WATCH = 5,
} flv_task_e;

/*
 How connections are protected.
 */
typedef enum {
    /*
     As the profile says; without one, plain TCP.
     */
    FLV_TLS_POLICY_PROFILE = 0,
    /*
     Plain TCP.
     */
    FLV_TLS_POLICY_DISABLED = 1,
    /*
     Encrypted; whom it talks to is not checked.
     */
    FLV_TLS_POLICY_ANONYMOUS = 2,
    /*
     Encrypted, with the server's certificate checked.
     */
    FLV_TLS_POLICY_VERIFIED = 3,
} flv_tls_policy_e;

/*
 What became of partitions of a member.
 */
typedef enum {
    /*
     They are read from now on. Nothing of them is handed over before this is acknowledged.
     */
    FLV_GROUP_ASSIGNED = 1,
    /*
     They are given up. Until this is acknowledged the member owns them, and commits hold; after it, what is still
     held of them must be dropped. While the reader waits and `revoke_waits` is 0, they are given up already.
     */
    FLV_GROUP_REVOKED = 2,
    /*
     They are gone, without having been given up.
     */
    FLV_GROUP_LOST = 3,
} flv_group_change_kind_e;

/*
 Where a member of a group stands.
 */
typedef enum {
    /*
     It asks to be taken in.
     */
    FLV_MEMBER_JOINING = 1,
    /*
     It takes part.
     */
    FLV_MEMBER_MEMBER = 2,
    /*
     It takes part, but its lease is over: nothing is handed out.
     */
    FLV_MEMBER_SUSPENDED = 3,
    /*
     Its reader did not come back in time: it has left, and joins anew when the reader does.
     */
    FLV_MEMBER_AWAY = 4,
    /*
     It was closed, or another process has taken its place.
     */
    FLV_MEMBER_ENDED = 5,
} flv_member_state_e;

/*
 A structure of the Arrow C data interface.
 */
typedef enum {
    /*
     `struct ArrowSchema`.
     */
    FLV_ARROW_SCHEMA = 0,
    /*
     `struct ArrowArray`.
     */
    FLV_ARROW_ARRAY = 1,
    /*
     `struct ArrowArrayStream`.
     */
    FLV_ARROW_STREAM = 2,
} flv_arrow_kind_e;

/*
 How much is said. Each level has what those before it have.
 */
typedef enum {
    /*
     Nothing.
     */
    FLV_LOG_OFF = 0,
    /*
     What is lost for good, or is a bug of the library.
     */
    FLV_LOG_ERROR = 1,
    /*
     What went wrong, and whether it is tried again: lost connections, refused requests, time-outs, stalls.
     */
    FLV_LOG_WARN = 2,
    /*
     What has changed: connected, connected again, another leader, partitions of a group's member.
     */
    FLV_LOG_INFO = 3,
    /*
     What is done: connections, streams, commits, calls.
     */
    FLV_LOG_DEBUG = 4,
    /*
     Each request that carries records.
     */
    FLV_LOG_TRACE = 5,
} flv_log_level_e;

/*
 Reads what is to be sent out of Arrow data. One thread at a time.
 */
typedef struct flv_arrow_reader_t flv_arrow_reader_t;

/*
 Records in the Arrow format: columns `partition` (int32), `offset` (int64), `timestamp` (timestamp[ms, UTC], or
 null), `key` (binary, or null) and `value` (binary). They never change, and may be used from any threads.
 */
typedef struct flv_arrow_t flv_arrow_t;

/*
 Bytes that are the caller's, until `flv_buffer_free`.
 */
typedef struct flv_buffer_t flv_buffer_t;

/*
 A connection to a cluster. May be used from any threads.
 */
typedef struct flv_client_t flv_client_t;

/*
 A consumer of one topic. One reader at a time; everything else from any threads.
 */
typedef struct flv_consumer_t flv_consumer_t;

/*
 An error, owned by whoever received it until `flv_error_free`. May be used and freed on any thread.
 */
typedef struct flv_error_t flv_error_t;

/*
 The events of a client. One thread takes at a time; everything else from any threads.
 */
typedef struct flv_events_t flv_events_t;

/*
 Somebody who listens to what the library does, to write it to a log. One thread takes at a time; everything else
 from any threads.
 */
typedef struct flv_logs_t flv_logs_t;

/*
 An owner of clients, which end with it: an interpreter, or a plugin, whose end is not that of the process. May be
 used from any threads.
 */
typedef struct flv_owner_t flv_owner_t;

/*
 A producer of one topic. May be used from any threads.
 */
typedef struct flv_producer_t flv_producer_t;

/*
 A completion queue. May be used from any thread, and drained from several at a time.
 */
typedef struct flv_queue_t flv_queue_t;

/*
 A watch of administrative objects. May be used from any threads.
 */
typedef struct flv_watch_t flv_watch_t;

/*
 What a call or a completion says: one of the `FLV_STATUS_` numbers.
 */
typedef int32_t flv_status_t;

/*
 Bytes of the caller's, borrowed for one call. With `len` 0, `data` is ignored.
 */
typedef struct {
    /*
     The first byte.
     */
    const uint8_t *data;
    /*
     How many.
     */
    size_t len;
} flv_slice_t;

/*
 Records to submit, borrowed for the call.
 */
typedef struct {
    /*
     `sizeof(flv_records_t)`.
     */
    uint32_t struct_size;
    /*
     0, or `FLV_RECORDS_AWAITED`.
     */
    uint32_t flags;
    /*
     How many records.
     */
    size_t count;
    /*
     One record after the other: the bytes of its key, if it has one, then of its value.
     */
    const uint8_t *data;
    /*
     Bytes of `data`.
     */
    size_t data_len;
    /*
     Bytes of each value; `count` entries.
     */
    const uint32_t *value_lengths;
    /*
     NULL: no record has a key. Else `count` entries: bytes of the key, or -1 for no key (0 is an empty one).
     */
    const int32_t *key_lengths;
    /*
     NULL: the partitioner decides. Else `count` entries: the partition, or -1. With neither key nor partition a
     record goes where it can be written, and moves with its batch if it waits where that is not possible; its ticket
     tells.
     */
    const int32_t *partitions;
    /*
     NULL: now. Else `count` entries: milliseconds since the epoch, or INT64_MIN for now.
     */
    const int64_t *timestamps;
} flv_records_t;

/*
 Some of the records of an `flv_arrow_t`.
 */
typedef struct {
    /*
     Whose.
     */
    const flv_arrow_t *arrow;
    /*
     The first of them.
     */
    size_t start;
    /*
     How many.
     */
    size_t count;
} flv_arrow_part_t;

/*
 Bytes of the library's, lent to the caller for as long as the function that gave them says.
 */
typedef struct {
    /*
     The first byte.
     */
    const uint8_t *data;
    /*
     How many.
     */
    size_t len;
} flv_view_t;

/*
 How to connect. `flv_client_options_init` fills in the defaults.
 */
typedef struct {
    /*
     `sizeof(flv_client_options_t)`.
     */
    uint32_t struct_size;
    /*
     Dial the SPUs' local addresses: 0 no, 1 yes, 2 as the profile says. Default 2.
     */
    uint32_t use_spu_local_address;
    /*
     `host:port` of the SC. Empty: from the profile.
     */
    flv_slice_t endpoint;
    /*
     A profile of the profile file. Empty: the current one.
     */
    flv_slice_t profile;
    /*
     The name given in each request. Empty: `fluvio-cffi`.
     */
    flv_slice_t client_id;
    /*
     Bounds one data request and one probe, milliseconds. Default 10,000.
     */
    int64_t request_timeout_ms;
    /*
     Bounds one question of the client's own to the SC, milliseconds. Default 30,000.
     */
    int64_t admin_timeout_ms;
    /*
     One of `FLV_TLS_POLICY_`. Default `FLV_TLS_POLICY_PROFILE`.
     */
    uint32_t tls_policy;
    /*
     0.
     */
    uint32_t reserved;
    /*
     Verified: the name in the SC's certificate; an SPU's has the SPU's name and a dot before it. Empty: the hosts
     that are dialled.
     */
    flv_slice_t tls_domain;
    /*
     Verified: certificates of the CAs that are trusted, the path of a file or PEM text. Empty: those of the system.
     */
    flv_slice_t tls_ca;
    /*
     Verified: the client's certificate, the path of a file or PEM text. Empty: none.
     */
    flv_slice_t tls_cert;
    /*
     Verified: its private key (PKCS#8, SEC1 or PKCS#1), the path of a file or PEM text.
     */
    flv_slice_t tls_key;
    /*
     How often the SC is asked whether it is still there, milliseconds. Default 10,000.
     */
    int64_t probe_ms;
    /*
     Whether a cluster that cannot be reached is waited for until the time-out: 1 yes, 2 no, 0 if it has answered
     this process before, or the time-out is longer than 10 s. Default 0. What cannot change by waiting is an error
     at once: bad arguments, TLS, versions.
     */
    uint32_t wait;
    /*
     0.
     */
    uint32_t reserved2;
    /*
     Whose end is the client's, too. NULL: that of the process alone, `flv_runtime_shutdown`.
     */
    flv_owner_t *owner;
} flv_client_options_t;

/*
 Where reading of one partition begins.
 */
typedef struct {
    /*
     The partition.
     */
    uint32_t partition;
    /*
     One of `FLV_START_`.
     */
    uint32_t kind;
    /*
     Records after the beginning, records before the end, the offset, or the time.
     */
    int64_t value;
} flv_start_t;

/*
 A parameter of a SmartModule. Each text has at most 32,767 bytes.
 */
typedef struct {
    /*
     Its name, UTF-8.
     */
    flv_slice_t name;
    /*
     Its value, UTF-8.
     */
    flv_slice_t value;
} flv_parameter_t;

/*
 A SmartModule that the SPU runs on what is read or sent. `flv_smartmodule_init` fills in the defaults. It is copied
 when the consumer or producer is opened.
 */
typedef struct {
    /*
     `sizeof(flv_smartmodule_t)`, the same in each of an array.
     */
    uint32_t struct_size;
    /*
     One of `FLV_SMARTMODULE_`. Default `FLV_SMARTMODULE_ANY`.
     */
    uint32_t kind;
    /*
     As what it is stored in the cluster, or `group/name`, or `group/name@version`; with `wasm`, what it is called in
     errors and in the SPU's metrics. Default empty.
     */
    flv_slice_t name;
    /*
     Its code, WebAssembly, also compressed with gzip, if it is not stored in the cluster. Default empty.
     */
    flv_slice_t wasm;
    /*
     Its parameters. Default none.
     */
    const flv_parameter_t *parameters;
    /*
     How many.
     */
    size_t parameters_len;
    /*
     The first value of an aggregate. Default empty: none.
     */
    flv_slice_t initial;
    /*
     With `has_lookback`: how many of the newest records it is shown first. Default 0.
     */
    uint64_t lookback_last;
    /*
     With `has_lookback`: only those that are not older, milliseconds; with `lookback_last` 0: all of these. Negative:
     of any age. Default -1.
     */
    int64_t lookback_age_ms;
    /*
     Not 0: it is shown records of the log before the first one that it transforms. Default 0.
     */
    uint32_t has_lookback;
    /*
     0.
     */
    uint32_t reserved;
} flv_smartmodule_t;

/*
 How a consumer works. `flv_consumer_options_init` fills in the defaults.
 */
typedef struct {
    /*
     `sizeof(flv_consumer_options_t)`.
     */
    uint32_t struct_size;
    /*
     One of `FLV_FORMAT_`. Default `FLV_FORMAT_RECORDS`.
     */
    uint32_t format;
    /*
     Which partitions. Default none: all.
     */
    const uint32_t *partitions;
    /*
     How many.
     */
    size_t partitions_len;
    /*
     Starts of single partitions, which win over `start_kind`. Default none.
     */
    const flv_start_t *starts;
    /*
     How many.
     */
    size_t starts_len;
    /*
     One of `FLV_START_`. Default `FLV_START_DEFAULT`. Where an offset is stored under `consumer_id`, see `resume`.
     */
    uint32_t start_kind;
    /*
     Not 0: end at the ends seen when it was opened. Default 0.
     */
    uint32_t stop_at_end;
    /*
     Goes with `start_kind`. Default 0.
     */
    int64_t start_value;
    /*
     One of `FLV_ISOLATION_`. Default `FLV_ISOLATION_READ_UNCOMMITTED`.
     */
    uint32_t isolation;
    /*
     Bytes of one reply, at most, unless one batch is larger. Default 1,048,576.
     */
    uint32_t max_bytes;
    /*
     Decoded bytes kept ready, at most, unless one batch is larger. Default 16,777,216.
     */
    uint64_t prefetch;
    /*
     Under which id offsets are stored, and found again. Empty: they are not. Default empty.
     */
    flv_slice_t consumer_id;
    /*
     How often what was processed (`flv_consumer_processed`) is committed, milliseconds. 0: only on demand. Default
     0.
     */
    int64_t auto_commit_ms;
    /*
     How long a silent stream may be silent before its peer is asked whether it is there, milliseconds. Default
     10,000.
     */
    int64_t probe_ms;
    /*
     Not 0: offsets that retention removed are passed over instead of being an error. Default 0.
     */
    uint32_t skip_evicted;
    /*
     Not 0: where an offset is stored under `consumer_id`, reading goes on after it, whatever the start. 0: the start
     decides. Default 1.
     */
    uint32_t resume;
    /*
     SmartModules that the SPU runs on what is read, one after the other. Each reply then has up to 16 MiB, also where
     `max_bytes` is smaller. Default none.
     */
    const flv_smartmodule_t *smartmodules;
    /*
     How many.
     */
    size_t smartmodules_len;
    /*
     The group of which the consumer is a member: 1 to 200 bytes, without control characters. Its members share the
     partitions of the topic, and what is committed is the group's. Not together with `consumer_id`, `partitions`, or
     `resume` 0. Empty: none. Default empty.
     */
    flv_slice_t group;
    /*
     A name that survives a restart: who comes back with it within `session_timeout_ms` gets its partitions back, and
     `flv_consumer_close` does not leave. At most one process may have it at a time. Default empty.
     */
    flv_slice_t instance;
    /*
     Whoever gives no sign of life for so long loses its partitions, milliseconds: 1,000 to 3,600,000. Default 10,000.
     */
    int64_t session_timeout_ms;
    /*
     A partition that is to move, and whose reader does not come back for so long, is given up without an offset,
     milliseconds. Default 60,000.
     */
    int64_t rebalance_timeout_ms;
    /*
     A member whose reader does not come back for so long leaves, and joins anew when it does, milliseconds. Default
     300,000.
     */
    int64_t processing_timeout_ms;
    /*
     The topic in which the members of groups agree; it is made if there is none. Empty: `consumer-group`. Default
     empty.
     */
    flv_slice_t group_log;
    /*
     How many replicas it gets if it is made. Default 1.
     */
    uint32_t group_log_replication;
    /*
     Not 0: a partition that is to move is given up only when that was acknowledged (`flv_consumer_change_done`), also
     while the reader waits. Default 0.
     */
    uint32_t revoke_waits;
} flv_consumer_options_t;

/*
 A record of a chunk in `FLV_FORMAT_RECORDS`.
 */
typedef struct {
    /*
     Its offset in the partition.
     */
    int64_t offset;
    /*
     Milliseconds since the epoch; -1: none.
     */
    int64_t timestamp;
    /*
     The key; NULL: none.
     */
    const uint8_t *key;
    /*
     Bytes of the key; -1: none.
     */
    int32_t key_len;
    /*
     Bytes of the value.
     */
    uint32_t value_len;
    /*
     The value.
     */
    const uint8_t *value;
} flv_record_t;

/*
 Records of one partition, at most 1,000 (65,536 with `FLV_FORMAT_ARROW`), lent until the next take or the free of
 their consumer. The caller sets `struct_size`.
 */
typedef struct {
    /*
     `sizeof(flv_chunk_t)`.
     */
    uint32_t struct_size;
    /*
     The partition.
     */
    uint32_t partition;
    /*
     How many records.
     */
    uint32_t count;
    /*
     How many seeks of the partition came before the take. Where threads seek while another one takes, it tells
     whether the records are of before the last one: `flv_consumer_positions` says how many there were.
     */
    uint32_t seeks;
    /*
     The first record's offset.
     */
    int64_t first_offset;
    /*
     Where reading goes on after the chunk.
     */
    int64_t next_offset;
    /*
     Bytes of keys and values.
     */
    uint64_t bytes;
    /*
     `FLV_FORMAT_PICKLE`: the stream. Else NULL.
     */
    const uint8_t *data;
    /*
     Bytes of the stream.
     */
    size_t len;
    /*
     `FLV_FORMAT_RECORDS`: `count` records. Else NULL.
     */
    const flv_record_t *records;
    /*
     Not 0: records in it share an offset, with each other or with neighbours, or offsets fall, as SmartModules that
     make several records of one have it. Then only what lies before the smallest offset that is still to be handed
     out is processed: at the end of the chunk, what lies before `next_offset`.
     */
    uint32_t shares_offsets;
    /*
     0.
     */
    uint32_t reserved;
    /*
     With a group: the epoch under which the chunk was taken. Its records may be handed out as long as the
     partition's epoch slot (`flv_consumer_epoch`) has the same. Else -1.
     */
    int64_t epoch;
} flv_chunk_t;

/*
 Where a consumer is in a partition.
 */
typedef struct {
    /*
     The partition.
     */
    uint32_t partition;
    /*
     How many seeks of it there were.
     */
    uint32_t seeks;
    /*
     The offset after what was taken; the start before; -1: not known yet.
     */
    int64_t position;
    /*
     The offset after the last record of the log, as far as it was seen; -1: not known yet.
     */
    int64_t end;
} flv_position_t;

/*
 An offset in a partition.
 */
typedef struct {
    /*
     The partition.
     */
    uint32_t partition;
    /*
     0.
     */
    uint32_t reserved;
    /*
     The offset.
     */
    int64_t offset;
} flv_offset_t;

/*
 Where a member of a group and its reader meet without a call. The caller sets `struct_size`. The pointers are valid
 until the consumer is freed.
 */
typedef struct {
    /*
     `sizeof(flv_group_slots_t)`.
     */
    uint32_t struct_size;
    /*
     0.
     */
    uint32_t reserved;
    /*
     Until when records may be handed out, in nanoseconds of `flv_boottime`; 0: not at all.
     */
    const int64_t *lease;
    /*
     Rises whenever an epoch slot changes, a change waits to be told, or the lease ends.
     */
    const int64_t *changes;
    /*
     The reader writes `flv_boottime()` here when it comes back for more, where it is served from what it holds.
     */
    int64_t *came_back;
    /*
     Bytes for a reader that goes through them in step with its records: all are 1 while `*changes` is what it was when
     `flv_consumer_change` last said EMPTY, else 0. Before the library has noticed that a lease has ended, say after the
     process was stopped, they are still 1: so the clock is looked at as well, every few records.
     */
    const uint8_t *unchanged;
    /*
     How many.
     */
    size_t unchanged_count;
} flv_group_slots_t;

/*
 A change of what a member of a group reads. The caller sets `struct_size`.
 */
typedef struct {
    /*
     `sizeof(flv_group_change_t)`.
     */
    uint32_t struct_size;
    /*
     One of `FLV_GROUP_`.
     */
    uint32_t kind;
    /*
     Its number, for `flv_consumer_change_done`.
     */
    uint64_t number;
    /*
     Which partitions. Lent until the next `flv_consumer_change`, or the free.
     */
    const uint32_t *partitions;
    /*
     The epoch of each: it never repeats, and rises with each owner. Lent as `partitions` are.
     */
    const int64_t *epochs;
    /*
     How many: at least 1.
     */
    size_t count;
} flv_group_change_t;

/*
 Who a consumer is in its group. The caller sets `struct_size`.
 */
typedef struct {
    /*
     `sizeof(flv_group_member_t)`.
     */
    uint32_t struct_size;
    /*
     One of `FLV_MEMBER_`.
     */
    uint32_t state;
    /*
     The group's generation; -1: none yet.
     */
    int64_t generation;
    /*
     The member's id: 32 hexadecimal digits and a zero; empty: it is no member now.
     */
    uint8_t id[40];
} flv_group_member_t;

/*
 An offset of a partition, and the epoch under which its record was handed out.
 */
typedef struct {
    /*
     The partition.
     */
    uint32_t partition;
    /*
     0.
     */
    uint32_t reserved;
    /*
     Of the last processed record; -1: none, but begin with the first.
     */
    int64_t offset;
    /*
     The epoch of its chunk; -1: the current one.
     */
    int64_t epoch;
} flv_epoch_offset_t;

/*
 What is alive in the process. The caller sets `struct_size`.
 */
typedef struct {
    /*
     `sizeof(flv_counts_t)`.
     */
    uint32_t struct_size;
    /*
     Handles of queues.
     */
    uint32_t queues;
    /*
     Operations under way.
     */
    uint32_t operations;
    /*
     Handles of clients.
     */
    uint32_t clients;
    /*
     Handles of producers.
     */
    uint32_t producers;
    /*
     Handles of consumers.
     */
    uint32_t consumers;
    /*
     Errors not freed.
     */
    uint32_t errors;
    /*
     Buffers not freed.
     */
    uint32_t buffers;
    /*
     Clients inside the library: outlive their handles for as long as something of theirs does.
     */
    uint32_t inner_clients;
    /*
     Producers inside the library.
     */
    uint32_t inner_producers;
    /*
     Consumers inside the library.
     */
    uint32_t inner_consumers;
    /*
     Sockets open.
     */
    uint32_t connections;
    /*
     Descriptors open: sockets and queues.
     */
    uint32_t descriptors;
    /*
     Handles of watches.
     */
    uint32_t watches;
    /*
     Events not freed.
     */
    uint32_t events;
    /*
     Handles of owners.
     */
    uint32_t owners;
    /*
     Handles of records in the Arrow format.
     */
    uint32_t arrows;
    /*
     Handles of readers of Arrow data.
     */
    uint32_t arrow_readers;
    /*
     Handles of those who listen to logs.
     */
    uint32_t logs;
    /*
     0.
     */
    uint32_t reserved;
} flv_counts_t;

/*
 What is known about an error. The caller sets `struct_size`.
 */
typedef struct {
    /*
     `sizeof(flv_error_info_t)`, set by the caller.
     */
    uint32_t struct_size;
    /*
     The class of the error, the status that came with it.
     */
    flv_status_t status;
    /*
     The server's own error code, if `has_code`.
     */
    int32_t code;
    /*
     Not 0: a server answered `code`.
     */
    uint32_t has_code;
    /*
     Not 0: trying again cannot do anything twice, and can succeed.
     */
    uint32_t retriable;
    /*
     One of `FLV_OUTCOME_`.
     */
    uint32_t outcome;
    /*
     One of `FLV_PHASE_`.
     */
    uint32_t phase;
    /*
     The partition concerned; -1: not known.
     */
    int32_t partition;
    /*
     The offset concerned; -1: not known.
     */
    int64_t offset;
    /*
     The first offset that still exists; -1: not known.
     */
    int64_t next_available;
    /*
     What happened and what to do about it, UTF-8. Valid until the error is freed.
     */
    flv_view_t message;
    /*
     The topic concerned; empty: not known. Valid until the error is freed.
     */
    flv_view_t topic;
    /*
     `FLV_STATUS_SMARTMODULE`: the module's name; empty: not known. Valid until the error is freed.
     */
    flv_view_t module;
    /*
     `FLV_STATUS_SMARTMODULE`: what the module said; empty: not known. Valid until the error is freed.
     */
    flv_view_t hint;
    /*
     `FLV_STATUS_SMARTMODULE`: the key of the record that it failed on, if `has_key`. Valid until the error is freed.
     */
    flv_view_t key;
    /*
     Not 0: that record is known, and has a key.
     */
    uint32_t has_key;
    /*
     The operating system's own error number (`errno`) if it is the cause; 0: it is not.
     */
    int32_t os_error;
    /*
     `FLV_STATUS_SMARTMODULE`: what the module is (`filter`, `map`, `array_map`, `filter_map`, `aggregate`); empty: not
     known. Static.
     */
    flv_view_t module_kind;
    /*
     `FLV_STATUS_SMARTMODULE`: the value of the record that it failed on, if `has_value`. Valid until the error is
     freed.
     */
    flv_view_t value;
    /*
     Not 0: that record is known.
     */
    uint32_t has_value;
    /*
     `FLV_STATUS_SMARTMODULE` of a ticket: the index in its batch of the record that the module failed on; -1: not
     known.
     */
    int32_t record_index;
} flv_error_info_t;

/*
 Something that happened to a client. The caller sets `struct_size`.
 */
typedef struct {
    /*
     `sizeof(flv_event_t)`.
     */
    uint32_t struct_size;
    /*
     One of `FLV_EVENT_`.
     */
    uint32_t kind;
    /*
     Rises by 1 with each event, from 1. Where it rises by more, events in between were dropped, because they were
     not taken in time.
     */
    uint64_t number;
    /*
     `FLV_EVENT_LEADER_CHANGED`: the partition. Else -1.
     */
    int32_t partition;
    /*
     `FLV_EVENT_LEADER_CHANGED`: the SPU that leads it now. Else -1.
     */
    int32_t leader;
    /*
     `FLV_EVENT_LEADER_CHANGED`, `FLV_EVENT_GROUP_`: the topic. Else empty. Valid until the next take, or the free.
     */
    flv_view_t topic;
    /*
     `FLV_EVENT_RECONNECTING`, `FLV_EVENT_GROUP_LOST`: why. Else empty. Valid until the next take, or the free.
     */
    flv_view_t reason;
    /*
     `FLV_EVENT_GROUP_`: the group. Else empty. Valid until the next take, or the free.
     */
    flv_view_t group;
} flv_event_t;

/*
 An entry of a log. Nothing in it is of a record's key or value, a SmartModule's words, or a secret.
 */
typedef struct {
    /*
     When it happened: nanoseconds since the epoch.
     */
    int64_t time_ns;
    /*
     Rises by 1 with each entry for this listener, from 1. Where it rises by more, entries in between were dropped,
     because 4,096 were waiting to be taken.
     */
    uint64_t number;
    /*
     One of `FLV_LOG_`.
     */
    uint32_t level;
    /*
     0.
     */
    uint32_t reserved;
    /*
     What it is about: "connection", "cluster", "producer", "consumer", "group" or "admin"; later versions may have
     more. Valid for ever.
     */
    flv_view_t target;
    /*
     One line: what happened, and the fields as `name=value`. Valid until the next take, or the free.
     */
    flv_view_t message;
    /*
     The fields as a JSON object, of numbers, texts and truths. Valid as `message` is.
     */
    flv_view_t fields;
} flv_log_t;

/*
 What a client has done since it was opened, counted per batch, request or chunk, and what is under way. The caller
 sets `struct_size`.
 */
typedef struct {
    /*
     `sizeof(flv_metrics_t)`.
     */
    uint32_t struct_size;
    /*
     0.
     */
    uint32_t reserved;
    /*
     Records acknowledged.
     */
    uint64_t records_produced;
    /*
     Bytes of their keys and values.
     */
    uint64_t bytes_produced;
    /*
     Records handed to readers, a chunk at a time.
     */
    uint64_t records_consumed;
    /*
     Bytes of their keys and values.
     */
    uint64_t bytes_consumed;
    /*
     Requests sent to SPUs.
     */
    uint64_t requests;
    /*
     Batches sent again.
     */
    uint64_t retries;
    /*
     Records sent again though an earlier sending may have reached the log: the log has at most so many twice.
     */
    uint64_t duplicates_possible;
    /*
     Batches acknowledged after a later one of their partition, or in another partition than that of their
     submission.
     */
    uint64_t reordered;
    /*
     Connections, to SPUs and to the SC, that took the place of one that was lost.
     */
    uint64_t reconnects;
    /*
     Now: records accepted by producers and not settled.
     */
    uint64_t records_buffered;
    /*
     Now: what they take of the producers' buffers.
     */
    uint64_t bytes_buffered;
    /*
     Now: produce requests that are not answered.
     */
    uint64_t requests_in_flight;
    /*
     Now: records between what was handed to readers and the ends of the logs, as far as these were seen.
     */
    uint64_t lag;
    /*
     Errors met, by `FLV_STATUS_`, whether they were repaired or reported: one for each connection, call, batch that
     has failed or must go again, and partition that is not read on.
     */
    uint64_t errors[100];
    /*
     How often what members of groups read has changed.
     */
    uint64_t rebalances;
    /*
     Offsets that were not stored because their partitions were another member's by then.
     */
    uint64_t commits_fenced;
    /*
     Commands sent to the logs of groups: each is a sign of life.
     */
    uint64_t signs;
    /*
     Members of groups that were found silent and evicted.
     */
    uint64_t evictions;
} flv_metrics_t;

/*
 What a client has done in one topic since it was opened.
 */
typedef struct {
    /*
     Its name; empty: all topics beyond the first thousand. Valid until the client is freed.
     */
    flv_view_t topic;
    /*
     Records acknowledged.
     */
    uint64_t records_produced;
    /*
     Bytes of their keys and values.
     */
    uint64_t bytes_produced;
    /*
     Records handed to readers, a chunk at a time.
     */
    uint64_t records_consumed;
    /*
     Bytes of their keys and values.
     */
    uint64_t bytes_consumed;
} flv_topic_metrics_t;

/*
 How a producer works. `flv_producer_options_init` fills in the defaults.
 */
typedef struct {
    /*
     `sizeof(flv_producer_options_t)`.
     */
    uint32_t struct_size;
    /*
     Requests in flight per leader, at most. Default 8.
     */
    uint32_t max_in_flight;
    /*
     Bytes at which a batch closes. Default 16,384.
     */
    uint64_t batch_size;
    /*
     Bytes of one request, and so of one record, at most. Default 1,048,576.
     */
    uint64_t max_request_size;
    /*
     Bytes of records accepted and not settled, at most; at least `max_request_size`. Default 33,554,432.
     */
    uint64_t buffer_size;
    /*
     How long a batch waits for more records, microseconds. 0: as long as a request is in flight. Default 0.
     */
    int64_t linger_us;
    /*
     How long a record may take from its acceptance to its acknowledgement, milliseconds. Default 30,000.
     */
    int64_t delivery_timeout_ms;
    /*
     One of `FLV_ISOLATION_`. Default `FLV_ISOLATION_READ_UNCOMMITTED`.
     */
    uint32_t isolation;
    /*
     One of `FLV_DELIVERY_`. Default `FLV_DELIVERY_AT_LEAST_ONCE`.
     */
    uint32_t delivery;
    /*
     One of `FLV_COMPRESSION_`. Default `FLV_COMPRESSION_TOPIC`.
     */
    uint32_t compression;
    /*
     0.
     */
    uint32_t reserved;
    /*
     SmartModules that the SPU runs on what is sent, one after the other, before it is written. The SPU compiles them
     for each request, which then has one batch: set a larger `batch_size`, such as 262,144. Default none.
     */
    const flv_smartmodule_t *smartmodules;
    /*
     How many.
     */
    size_t smartmodules_len;
} flv_producer_options_t;

/*
 `count` consecutive records of a submission are the records `index`, `index + 1`, ... of the batch `ticket`.
 */
typedef struct {
    /*
     Unique in the process, never 0.
     */
    uint64_t ticket;
    /*
     The first record's index in the batch: its offset is the ticket's base offset plus this, unless that is -1: with
     SmartModules, and on topics with deduplication, nobody knows which records were dropped.
     */
    uint32_t index;
    /*
     How many records.
     */
    uint32_t count;
} flv_run_t;

/*
 What became of a submission. The caller sets `struct_size`.
 */
typedef struct {
    /*
     `sizeof(flv_submission_t)`.
     */
    uint32_t struct_size;
    /*
     0.
     */
    uint32_t reserved;
    /*
     How many records, from the first, were accepted.
     */
    size_t accepted;
    /*
     How many runs were filled; together they cover the accepted records, in order.
     */
    size_t runs;
    /*
     How many bytes the buffer takes now.
     */
    uint64_t room;
    /*
     The timestamp of the records that came without one.
     */
    int64_t timestamp;
} flv_submission_t;

/*
 The end of an operation, or the fate of a ticket. The layout is frozen: 56 bytes.
 */
typedef struct {
    /*
     OPERATION: the submitter's token. TICKET: the ticket.
     */
    uint64_t token;
    /*
     OPERATION: its id. TICKET: 0.
     */
    uint64_t operation;
    /*
     How it ended.
     */
    flv_status_t status;
    /*
     One of `FLV_COMPLETION_`.
     */
    uint32_t kind;
    /*
     With `FLV_STATUS_OK`: what the operation gives, owned by whoever drains, or NULL. Otherwise an `flv_error_t *`,
     owned likewise, or NULL.
     */
    void *result;
    /*
     TICKET: the offset of the batch's first record; -1: nobody knows it. OPERATION: what its function's comment says.
     */
    int64_t value;
    /*
     TICKET: how many records the batch has. OPERATION: 0.
     */
    int64_t extra;
    /*
     TICKET: the partition. OPERATION: 0.
     */
    uint32_t partition;
    /*
     0.
     */
    uint32_t reserved;
} flv_completion_t;

/*
 Called with each completion, on a thread of the library, perhaps on several at once. `*completion` is valid for the
 call, its `result` is the callee's. Must not block, nor leave by an exception, nor call back into the library but
 for `flv_operation_cancel`, `flv_completion_dispose`, `flv_error_info`, `flv_buffer_view` and the functions that
 free.
 */
typedef void (*flv_callback_t)(void *ctx, const flv_completion_t *completion);

/*
 Called once, on any thread, when `ctx` will not be used any more: after the owner gave the queue up, and the last
 operation and producer that complete on it are over.
 */
typedef void (*flv_finalizer_t)(void *ctx);

/*
 Where the log of a partition begins and ends.
 */
typedef struct {
    /*
     The partition.
     */
    uint32_t partition;
    /*
     0.
     */
    uint32_t reserved;
    /*
     The first offset that exists.
     */
    int64_t begin;
    /*
     The offset after the last committed record. As large as `begin`: there is none.
     */
    int64_t end;
} flv_bounds_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 What the text of a `SmartModule.toml` says, as the `spec` of `smartmodules.create`: JSON in `*json`, which is the
 caller's until `flv_buffer_free`. A text that is none is `FLV_STATUS_INVALID_ARGUMENT`, with the line. Any thread.
 */
flv_status_t flv_smartmodule_spec(flv_slice_t toml, flv_buffer_t **json, flv_error_t **error);

/*
 Calls an administrative method with a JSON document, as `docs/admin-json.md` describes; `binary` goes beside it
 where a method takes bytes, else it must be empty. All are read before it returns. Result: `flv_buffer_t *` with
 JSON, and the bytes that belong to it behind that, owned by whoever drains; value: how many bytes are JSON. Any
 thread.
 */
flv_status_t flv_admin_call(flv_client_t *client,
                            flv_slice_t method,
                            flv_slice_t document,
                            flv_slice_t binary,
                            int64_t timeout_ms,
                            flv_queue_t *queue,
                            uint64_t token,
                            uint64_t *operation,
                            flv_error_t **error);

/*
 Records as they were read, in the Arrow format: `offsets` has the offset of each, and `records->partitions` the
 partition. In place of a timestamp INT64_MIN says that there is none. The records are copied. `*arrow` is yours,
 until `flv_arrow_free`. Any thread.
 */
flv_status_t flv_arrow_from_columns(const flv_records_t *records,
                                    const int64_t *offsets,
                                    flv_arrow_t **arrow,
                                    flv_error_t **error);

/*
 The offsets, one a record, valid until the free; NULL if `arrow` is none. Any thread.
 */
const int64_t *flv_arrow_offsets(const flv_arrow_t *arrow);

/*
 Bytes of keys and values of some of the records; 0 if `arrow` has no such. Any thread.
 */
uint64_t flv_arrow_bytes(const flv_arrow_t *arrow, size_t start, size_t count);

/*
 Frees records; what was made of them stays. NULL is fine. Any thread.
 */
void flv_arrow_free(flv_arrow_t *arrow);

/*
 Makes the schema of records of `topic`, whose name is in its metadata. `*schema` is the caller's, to release. Any
 thread.
 */
flv_status_t flv_arrow_schema(flv_slice_t topic, struct ArrowSchema *schema, flv_error_t **error);

/*
 Makes one array of the records of all parts; those of one part are not copied. `*array` is the caller's, to release;
 it may live longer than anything of the library. Any thread.
 */
flv_status_t flv_arrow_array(const flv_arrow_part_t *parts,
                             size_t count,
                             struct ArrowArray *array,
                             flv_error_t **error);

/*
 Makes a stream of records of `topic`, of an array for each part. Nothing is copied. `*stream` is the caller's, to
 release; it and its arrays may live longer than anything of the library. Any thread.
 */
flv_status_t flv_arrow_stream(flv_slice_t topic,
                              const flv_arrow_part_t *parts,
                              size_t count,
                              struct ArrowArrayStream *stream,
                              flv_error_t **error);

/*
 Opens a reader of a table. Its columns: `value` and `key` are binary or utf8, also large, views, of a fixed size or
 in a dictionary; `partition` is an integer, `timestamp` a time with a zone, or an integer in milliseconds since the
 epoch. All but `value` may be empty, for none, and have nulls. Of `stream` the reader takes everything, and leaves
 it released, also where it fails; or, with `stream` NULL, of `schema` and `array`. It reads as it is asked to, on
 the caller's thread. `*reader` is yours, until `flv_arrow_reader_free`. Any thread.
 */
flv_status_t flv_arrow_reader_open(struct ArrowArrayStream *stream,
                                   struct ArrowSchema *schema,
                                   struct ArrowArray *array,
                                   flv_slice_t value,
                                   flv_slice_t key,
                                   flv_slice_t partition,
                                   flv_slice_t timestamp,
                                   flv_arrow_reader_t **reader,
                                   flv_error_t **error);

/*
 Reads the next records, for `flv_producer_submit`: at most 4,096, and 256 KiB of keys and values unless one alone
 has more. `*records`, whose `struct_size` the caller sets, is filled in; what it points to is lent until the next
 read, or the free. END: there are no more. If it fails, all before was read: a batch in which a row has no value is
 not read at all. It may call whoever made the data, and takes as long as that. One thread at a time.
 */
flv_status_t flv_arrow_reader_read(flv_arrow_reader_t *reader, flv_records_t *records, flv_error_t **error);

/*
 Frees a reader, and releases what it reads. NULL is fine. Any thread.
 */
void flv_arrow_reader_free(flv_arrow_reader_t *reader);

/*
 Tells where Python's `PyCapsule_GetName` and `PyCapsule_GetPointer` are, for `flv_arrow_capsule_free`. Any thread.
 */
void flv_arrow_capsule_init(void *get_name, void *get_pointer);

/*
 The name of a capsule that holds a structure of a kind, one of `FLV_ARROW_`; NULL: there is no such kind. It ends
 with a 0 byte, and lasts as long as the library. Any thread.
 */
const char *flv_arrow_capsule_name(uint32_t kind);

/*
 An empty structure of a kind, one of `FLV_ARROW_`, for a capsule of that name; NULL: there is no such kind. It
 belongs to the capsule, whose destructor is `flv_arrow_capsule_free`. Any thread.
 */
void *flv_arrow_capsule_structure(uint32_t kind);

/*
 The destructor of a capsule that holds a structure of `flv_arrow_capsule_structure`: releases what nobody has taken
 out of it, and frees it. Python calls it, on any thread, also in a forked child.
 */
void flv_arrow_capsule_free(void *capsule);

/*
 The bytes of a buffer; `*view` is valid until the buffer is freed. Any thread.
 */
flv_status_t flv_buffer_view(const flv_buffer_t *buffer, flv_view_t *view);

/*
 Frees a buffer. NULL is fine. Any thread.
 */
void flv_buffer_free(flv_buffer_t *buffer);

/*
 Fills in the defaults of the fields within `size` bytes, which is the size of `*options`: in C a macro of the same
 name adds it. Any thread.
 */
void flv_client_options_init(flv_client_options_t *options, size_t size);

/*
 Connects to a cluster. The options are read before it returns. Result: `flv_client_t *`, owned by whoever drains,
 until `flv_client_free`. Any thread.
 */
flv_status_t flv_client_connect(const flv_client_options_t *options,
                                int64_t timeout_ms,
                                flv_queue_t *queue,
                                uint64_t token,
                                uint64_t *operation,
                                flv_error_t **error);

/*
 Closes a client and what was opened with it; its producers flush within the time-out. Value: how many records were
 dropped; their tickets tell. Again: nothing to do. The handle stays until it is freed. Any thread.
 */
flv_status_t flv_client_close(flv_client_t *client,
                              int64_t timeout_ms,
                              flv_queue_t *queue,
                              uint64_t token,
                              uint64_t *operation,
                              flv_error_t **error);

/*
 Asks the SPUs that lead the partitions of `topic` where their logs begin and end now; while leaders change or are
 away, again within the time-out. `partitions`: which; `count` 0: all. Result: `flv_buffer_t *` that holds an array
 of `flv_bounds_t`, by partition, owned by whoever drains. Any thread.
 */
flv_status_t flv_client_offsets(flv_client_t *client,
                                flv_slice_t topic,
                                const uint32_t *partitions,
                                size_t count,
                                int64_t timeout_ms,
                                flv_queue_t *queue,
                                uint64_t token,
                                uint64_t *operation,
                                flv_error_t **error);

/*
 Asks the SC the smallest question there is; again while it is away, within the time-out. Value: how many nanoseconds
 it took to answer. Any thread.
 */
flv_status_t flv_client_ping(flv_client_t *client,
                             int64_t timeout_ms,
                             flv_queue_t *queue,
                             uint64_t token,
                             uint64_t *operation,
                             flv_error_t **error);

/*
 Frees a client. Its producers and consumers go on until they are freed. Never blocks. NULL is fine. Any thread.
 */
void flv_client_free(flv_client_t *client);

/*
 The SC's address. `*endpoint` is valid until the client is freed. Any thread.
 */
flv_status_t flv_client_endpoint(const flv_client_t *client, flv_view_t *endpoint);

/*
 The cluster's version. `*version` is valid until the client is freed. Any thread.
 */
flv_status_t flv_client_platform_version(const flv_client_t *client, flv_view_t *version);

/*
 One of `FLV_CLIENT_STATE_`. Any thread.
 */
uint32_t flv_client_state(const flv_client_t *client);

/*
 Fills in the defaults of the fields within `size` bytes, which is the size of `*options`: in C a macro of the same
 name adds it. Any thread.
 */
void flv_consumer_options_init(flv_consumer_options_t *options, size_t size);

/*
 Opens a consumer of `topic`. Once it completes, the offsets at which reading begins are fixed. Result:
 `flv_consumer_t *`, owned by whoever drains, until `flv_consumer_free`. Any thread.
 */
flv_status_t flv_consumer_open(flv_client_t *client,
                               flv_slice_t topic,
                               const flv_consumer_options_t *options,
                               int64_t timeout_ms,
                               flv_queue_t *queue,
                               uint64_t token,
                               uint64_t *operation,
                               flv_error_t **error);

/*
 Completes once `flv_consumer_take` would not say EMPTY: there are records, the end, or an error. A passed deadline
 completes with `FLV_STATUS_TIMEOUT` and no error object. Any thread.
 */
flv_status_t flv_consumer_wait(flv_consumer_t *consumer,
                               int64_t timeout_ms,
                               flv_queue_t *queue,
                               uint64_t token,
                               uint64_t *operation,
                               flv_error_t **error);

/*
 Takes what is ready; partitions take turns. Never blocks. OK: `*chunk` is filled, and what was lent before is not
 valid any more. EMPTY: nothing now. CHANGED: a member of a group is to look at `flv_consumer_change` first. END:
 read to its end, or stopped. Otherwise the error at which the stream stands; it stays. One thread at a time.
 */
flv_status_t flv_consumer_take(flv_consumer_t *consumer, flv_chunk_t *chunk, flv_error_t **error);

/*
 Takes what is ready of a partition that had nothing ready for a while: for a caller who is not through with the last
 chunk, and will not be soon. Never blocks. OK: `*chunk` is filled, and what was lent before is not valid any more.
 EMPTY: there is no such partition. One thread at a time.
 */
flv_status_t flv_consumer_take_fresh(flv_consumer_t *consumer, flv_chunk_t *chunk, flv_error_t **error);

/*
 What keeps it from reading: fails with what went wrong last with an SPU that leads one of the partitions, if that
 goes on. OK: nothing. Any thread; never waits.
 */
flv_status_t flv_consumer_trouble(const flv_consumer_t *consumer, flv_error_t **error);

/*
 Hands out nothing further: what is prefetched is dropped, a wait completes, a take says END. Any thread.
 */
flv_status_t flv_consumer_stop(flv_consumer_t *consumer);

/*
 The partitions that it reads, and where it is in them: up to `capacity` to `positions`, and how many there are to
 `*count`. Partitions that the topic gets later appear by themselves. Any thread.
 */
flv_status_t flv_consumer_positions(const flv_consumer_t *consumer,
                                    flv_position_t *positions,
                                    size_t capacity,
                                    size_t *count);

/*
 Where the reading of a partition began, or was sought to last, to `*start`; -1: not known yet. With SmartModules a
 position may lie behind it without any record: then all before the position is processed. Any thread.
 */
flv_status_t flv_consumer_start(const flv_consumer_t *consumer,
                                uint32_t partition,
                                int64_t *start,
                                flv_error_t **error);

/*
 Goes on elsewhere in a partition. What is ready of it is dropped before the call returns; an error at which the
 partition stands is passed. Completes once the new position is known; value: that position. If another seek of the
 partition takes its place before, both complete as that one does. Cancelling, or a passed deadline, abandons the
 wait; the seek stays in force. After a seek backwards, what is stored of the partition may go back, too. Any thread.
 */
flv_status_t flv_consumer_seek(flv_consumer_t *consumer,
                               flv_start_t to,
                               int64_t timeout_ms,
                               flv_queue_t *queue,
                               uint64_t token,
                               uint64_t *operation,
                               flv_error_t **error);

/*
 Takes back what was taken of a partition and has not been used, from `offset` on: it is handed out again. Unlike a
 seek it is no word of the user's: what is stored by `flv_consumer_commit_processed` still never goes back. Never
 blocks. Any thread.
 */
flv_status_t flv_consumer_put_back(flv_consumer_t *consumer, uint32_t partition, int64_t offset, flv_error_t **error);

/*
 Holds partitions back: nothing more of them is handed out until they are resumed. Any thread.
 */
flv_status_t flv_consumer_pause(flv_consumer_t *consumer,
                                const uint32_t *partitions,
                                size_t count,
                                flv_error_t **error);

/*
 Goes on with partitions that were paused, where they were. Any thread.
 */
flv_status_t flv_consumer_resume(flv_consumer_t *consumer,
                                 const uint32_t *partitions,
                                 size_t count,
                                 flv_error_t **error);

/*
 Stores offsets under the consumer's id, exactly as given, also backwards: those of the last processed records. One
 beyond the end of its log fails with `FLV_STATUS_OFFSET_OUT_OF_RANGE`. They are read before it returns. Retries
 while leaders change or are away, until the deadline. Any thread.
 */
flv_status_t flv_consumer_commit(flv_consumer_t *consumer,
                                 const flv_offset_t *processed,
                                 size_t count,
                                 int64_t timeout_ms,
                                 flv_queue_t *queue,
                                 uint64_t token,
                                 uint64_t *operation,
                                 flv_error_t **error);

/*
 Stores the offsets of records that were processed, of each partition the last one. What is stored never goes back by
 it, unless the caller has sought backwards in the partition: where more is stored, nothing happens. What is stored
 is looked up if the last look, or commit, is older than a second. Else as `flv_consumer_commit`. Any thread.
 */
flv_status_t flv_consumer_commit_processed(flv_consumer_t *consumer,
                                           const flv_offset_t *processed,
                                           size_t count,
                                           int64_t timeout_ms,
                                           flv_queue_t *queue,
                                           uint64_t token,
                                           uint64_t *operation,
                                           flv_error_t **error);

/*
 Fetches the stored offsets of the consumer's id in its topic: those of the last processed records. Result:
 `flv_buffer_t *` that holds an array of `flv_offset_t`, owned by whoever drains. Any thread.
 */
flv_status_t flv_consumer_committed(flv_consumer_t *consumer,
                                    int64_t timeout_ms,
                                    flv_queue_t *queue,
                                    uint64_t token,
                                    uint64_t *operation,
                                    flv_error_t **error);

/*
 Where the caller writes the offset of the last record of a partition that it has processed, for automatic commits;
 -1: none yet. `*slot` is valid until the consumer is freed. One writer at a time, any thread.
 */
flv_status_t flv_consumer_processed(flv_consumer_t *consumer, uint32_t partition, int64_t **slot, flv_error_t **error);

/*
 Ends reading: a wait completes, a take says CLOSED. With automatic commits, commits what was processed. The handle,
 and what is lent, stay until it is freed. Any thread.
 */
flv_status_t flv_consumer_close(flv_consumer_t *consumer,
                                int64_t timeout_ms,
                                flv_queue_t *queue,
                                uint64_t token,
                                uint64_t *operation,
                                flv_error_t **error);

/*
 Frees a consumer, which ends reading, and what is lent of it; a wait under way completes. Never blocks. NULL is
 fine. Any thread but that of a take under way.
 */
void flv_consumer_free(flv_consumer_t *consumer);

/*
 The records of the chunk that is lent, with `FLV_FORMAT_ARROW`. `*arrow` is yours, until `flv_arrow_free`, and may
 live longer than the consumer. The thread that takes.
 */
flv_status_t flv_consumer_arrow(flv_consumer_t *consumer, flv_arrow_t **arrow, flv_error_t **error);

/*
 What the clock of leases shows, in nanoseconds: it counts the time for which the machine was suspended. On Linux
 `CLOCK_BOOTTIME`. Any thread.
 */
int64_t flv_boottime(void);

/*
 Where the member and its reader meet. `slots->struct_size` must be set. Fails with `FLV_STATUS_USAGE` without a
 group. Any thread; never waits.
 */
flv_status_t flv_consumer_group_slots(flv_consumer_t *consumer, flv_group_slots_t *slots, flv_error_t **error);

/*
 The place that has the epoch under which records of the partition may be handed out now; -1: none of it may. `*slot`
 is valid until the consumer is freed. Fails with `FLV_STATUS_USAGE` without a group. Any thread; never waits.
 */
flv_status_t flv_consumer_epoch(flv_consumer_t *consumer,
                                uint32_t partition,
                                const int64_t **slot,
                                flv_error_t **error);

/*
 The oldest change that is not acknowledged. Until it is, `flv_consumer_take` says CHANGED and a wait completes at
 once. OK: `*change` has it; asked again, it is the same, less what was taken back meanwhile. EMPTY: there is none.
 `change->struct_size` must be set. Never blocks. The thread that reads.
 */
flv_status_t flv_consumer_change(flv_consumer_t *consumer, flv_group_change_t *change, flv_error_t **error);

/*
 The caller has dealt with the change of that number: what its callback was to do is done. Revoked partitions are
 given up now, with what `flv_consumer_processed` has of them; what it has of assigned ones is cleared. Another
 number than that of the oldest change does nothing. Never blocks. The thread that reads.
 */
flv_status_t flv_consumer_change_done(flv_consumer_t *consumer, uint64_t number, flv_error_t **error);

/*
 Who the consumer is in its group. `member->struct_size` must be set. Fails with `FLV_STATUS_USAGE` without a group.
 Any thread; never waits.
 */
flv_status_t flv_consumer_member(const flv_consumer_t *consumer, flv_group_member_t *member, flv_error_t **error);

/*
 Stores offsets of a group's partitions, each if the member still owns it under the epoch that is given; they are
 read before it returns. Completes when the group's log says which hold. Value: how many do not. Result: NULL if all
 hold, else `flv_buffer_t *` with an array of `flv_offset_t`: those that are another member's by now, owned by
 whoever drains. An offset beyond the end of its log, under the current epoch, fails with
 `FLV_STATUS_OFFSET_OUT_OF_RANGE`, and nothing is stored. Any thread.
 */
flv_status_t flv_consumer_commit_epochs(flv_consumer_t *consumer,
                                        const flv_epoch_offset_t *processed,
                                        size_t count,
                                        int64_t timeout_ms,
                                        flv_queue_t *queue,
                                        uint64_t token,
                                        uint64_t *operation,
                                        flv_error_t **error);

/*
 As `flv_consumer_close`, but gives the partitions of a member with an `instance` up, too: nobody waits for it to
 come back. Any thread.
 */
flv_status_t flv_consumer_leave(flv_consumer_t *consumer,
                                int64_t timeout_ms,
                                flv_queue_t *queue,
                                uint64_t token,
                                uint64_t *operation,
                                flv_error_t **error);

/*
 For leak tests: what is alive now. Any thread.
 */
flv_status_t flv_debug_counts(flv_counts_t *out);

/*
 For tests: the next task of kind `task`, one of `FLV_TASK_`, that takes a turn panics, once. Any thread.
 */
flv_status_t flv_debug_panic(uint32_t task, flv_error_t **error);

/*
 For tests: says `count` times something at the lowest level, about a client of `owner`; NULL: of nobody's. Any
 thread.
 */
flv_status_t flv_debug_log(const flv_owner_t *owner, uint64_t count, flv_error_t **error);

/*
 Tells what is known about an error. `info->struct_size` must be set. Any thread.
 */
flv_status_t flv_error_info(const flv_error_t *error, flv_error_info_t *info);

/*
 Frees an error. NULL is fine. Any thread.
 */
void flv_error_free(flv_error_t *error);

/*
 Listens to what happens to a client from now on. The first event tells its state now, the last one
 (`FLV_EVENT_CLOSED`) its end. Up to 256 wait to be taken; then the oldest is dropped. `*events` is the caller's
 until `flv_events_free`. Never waits. Any thread.
 */
flv_status_t flv_client_events(const flv_client_t *client, flv_events_t **events, flv_error_t **error);

/*
 Completes once `flv_events_take` would not say EMPTY. A passed deadline completes with `FLV_STATUS_TIMEOUT` and no
 error object. Any thread.
 */
flv_status_t flv_events_wait(flv_events_t *events,
                             int64_t timeout_ms,
                             flv_queue_t *queue,
                             uint64_t token,
                             uint64_t *operation,
                             flv_error_t **error);

/*
 Takes the next event; never waits. OK: `*event` has it. EMPTY: none now. END: none ever again, the client was
 closed. `event->struct_size` must be set. One thread at a time.
 */
flv_status_t flv_events_take(flv_events_t *events, flv_event_t *event, flv_error_t **error);

/*
 Frees the events of a client; a wait under way completes. Never blocks. NULL is fine. Any thread.
 */
void flv_events_free(flv_events_t *events);

/*
 To be called in the child after a fork, if the host cannot rely on `pthread_atfork`: if the parent had connected,
 every function says `FLV_STATUS_FORKED` from here on, and the inherited descriptors are closed. Async-signal-safe.
 */
void flv_fork_child(void);

/*
 The version of the ABI, major in the upper 16 bits. Check it before anything else. Any thread.
 */
uint32_t flv_abi_version(void);

/*
 The version of the library, such as "0.1.0". `*version` is valid for ever. Any thread.
 */
void flv_version(flv_view_t *version);

/*
 Completes when all records that producers have accepted until now are settled, also of producers and clients that
 were freed, and what consumers with automatic commits have processed is committed; at the latest after `timeout_ms`.
 Value: how many records are not settled. Everything goes on as before. If nothing is open, nothing is started:
 `FLV_STATUS_EMPTY`. For a host that ends; any thread.
 */
flv_status_t flv_runtime_flush(int64_t timeout_ms,
                               flv_queue_t *queue,
                               uint64_t token,
                               uint64_t *operation,
                               flv_error_t **error);

/*
 Closes every client of the process, whoever owns it, within `timeout_ms` (negative: 0), producers flush, also those
 that were freed; nobody can connect afterwards. For a host's exit. Blocks for up to that time; any thread but the
 library's. `*dropped_records`: how many records were given up; NULL is fine.
 */
void flv_runtime_shutdown(int64_t timeout_ms, uint64_t *dropped_records);

/*
 Listens from now on to what is said at `level` (one of `FLV_LOG_`) and below: of the clients of `owner`; NULL: of
 all in the process. Up to 4,096 entries wait to be taken; those that come then are dropped. Nobody ever waits for a
 listener. Needs no client. `*logs` is the caller's until `flv_logs_free`. Any thread.
 */
flv_status_t flv_logs_new(const flv_owner_t *owner, uint32_t level, flv_logs_t **logs, flv_error_t **error);

/*
 From now on this listener hears of `target` what is said at `level` and below; with an empty `target` that holds for
 all. A target that this version does not know is ignored. Any thread.
 */
flv_status_t flv_logs_set_level(flv_logs_t *logs, flv_slice_t target, uint32_t level, flv_error_t **error);

/*
 The descriptor that is readable while entries wait, and for good once it is closed: for poll, epoll or an event
 loop. It belongs to the library: never read, write or close it. Valid until the listener is freed. Any thread.
 */
int32_t flv_logs_fd(const flv_logs_t *logs);

/*
 Takes up to `capacity` entries; never waits. OK: `*count` says how many. EMPTY: there are none now. END: none ever
 again, it was closed. What they show is lent until the next take that gives some, or the free. One thread at a time.
 */
flv_status_t flv_logs_take(flv_logs_t *logs, flv_log_t *entries, size_t capacity, size_t *count);

/*
 How many entries were dropped since the listener was made, because 4,096 were waiting. Any thread.
 */
uint64_t flv_logs_dropped(const flv_logs_t *logs);

/*
 Nothing more is said to this listener. What waits can be taken; then `flv_logs_take` says END. Any thread.
 */
void flv_logs_close(flv_logs_t *logs);

/*
 Frees a listener; what waits is lost. Never blocks. NULL is fine. Any thread.
 */
void flv_logs_free(flv_logs_t *logs);

/*
 Tells what a client has done, also after its close. `metrics->struct_size` must be set. Never waits. Any thread.
 */
flv_status_t flv_client_metrics(const flv_client_t *client, flv_metrics_t *metrics, flv_error_t **error);

/*
 Tells what a client has done by topic, also after its close: of the first thousand topics that it had a producer or
 consumer of, and of all others as one. Up to `capacity` to `topics`, in the order of their names, and how many there
 are to `*count`. Never waits. Any thread.
 */
flv_status_t flv_client_topic_metrics(const flv_client_t *client,
                                      flv_topic_metrics_t *topics,
                                      size_t capacity,
                                      size_t *count,
                                      flv_error_t **error);

/*
 Makes an owner, for `owner` of `flv_client_options_t`. It is the caller's until `flv_owner_free`. Any thread.
 */
flv_status_t flv_owner_new(flv_owner_t **owner, flv_error_t **error);

/*
 As `flv_runtime_flush`, for the clients of one owner: completes when all records that their producers have accepted
 until now are settled, also of producers and clients that were freed, and what their consumers with automatic
 commits have processed is committed; at the latest after `timeout_ms`. Value: how many records are not settled.
 Everything goes on as before. If the owner has nothing open, nothing is started: `FLV_STATUS_EMPTY`. Any thread.
 */
flv_status_t flv_owner_flush(flv_owner_t *owner,
                             int64_t timeout_ms,
                             flv_queue_t *queue,
                             uint64_t token,
                             uint64_t *operation,
                             flv_error_t **error);

/*
 As `flv_runtime_shutdown`, for the clients of one owner: closes them within `timeout_ms` (negative: 0), their
 producers flush; nobody can connect with this owner afterwards. The clients of others go on. Blocks for up to that
 time; any thread but the library's. `*dropped_records`: how many records were given up; NULL is fine.
 */
void flv_owner_shutdown(flv_owner_t *owner, int64_t timeout_ms, uint64_t *dropped_records);

/*
 Frees an owner, and closes what it has open: in the background, where its records get one more second. Handles of
 its clients, and of what was opened with them, stay until they are freed. Never blocks. NULL is fine. Any thread.
 */
void flv_owner_free(flv_owner_t *owner);

/*
 Fills in the defaults of the fields within `size` bytes, which is the size of `*options`: in C a macro of the same
 name adds it. Any thread.
 */
void flv_producer_options_init(flv_producer_options_t *options, size_t size);

/*
 Opens a producer of `topic`. Result: `flv_producer_t *`, owned by whoever drains, until `flv_producer_free`. Its
 tickets complete on `queue`. Any thread.
 */
flv_status_t flv_producer_open(flv_client_t *client,
                               flv_slice_t topic,
                               const flv_producer_options_t *options,
                               int64_t timeout_ms,
                               flv_queue_t *queue,
                               uint64_t token,
                               uint64_t *operation,
                               flv_error_t **error);

/*
 How many partitions the topic has now; 0 if `producer` is no producer. Any thread.
 */
uint32_t flv_producer_partition_count(const flv_producer_t *producer);

/*
 What keeps records from being acknowledged: fails with what went wrong last with an SPU that leads one of the
 partitions, if it has not taken records since. OK: nothing. Any thread; never waits.
 */
flv_status_t flv_producer_trouble(const flv_producer_t *producer, flv_error_t **error);

/*
 Encodes the first `submission->accepted` records into batches, in order: as many as the buffer has room and `runs`
 has places for. With fewer than all, wait for room, then submit the rest. Never waits. All lengths are checked
 first: a status other than OK accepts nothing. Any thread.
 */
flv_status_t flv_producer_submit(flv_producer_t *producer,
                                 const flv_records_t *records,
                                 flv_run_t *runs,
                                 size_t runs_capacity,
                                 flv_submission_t *submission,
                                 flv_error_t **error);

/*
 How many bytes the buffer takes now. Any thread.
 */
uint64_t flv_producer_room(const flv_producer_t *producer);

/*
 Completes once `bytes` (at most the buffer's size) are free, first come, first served. Value: the room then. Any
 thread.
 */
flv_status_t flv_producer_wait_room(flv_producer_t *producer,
                                    uint64_t bytes,
                                    int64_t timeout_ms,
                                    flv_queue_t *queue,
                                    uint64_t token,
                                    uint64_t *operation,
                                    flv_error_t **error);

/*
 Completes once everything that was submitted before is settled: delivered or failed, as the tickets tell. Any
 thread.
 */
flv_status_t flv_producer_flush(flv_producer_t *producer,
                                int64_t timeout_ms,
                                flv_queue_t *queue,
                                uint64_t token,
                                uint64_t *operation,
                                flv_error_t **error);

/*
 Takes no more records. With `flush` not 0 waits for what was accepted, within the time-out; then fails the rest.
 Value: how many records were dropped; their tickets tell. The handle stays until it is freed. Any thread.
 */
flv_status_t flv_producer_close(flv_producer_t *producer,
                                uint32_t flush,
                                int64_t timeout_ms,
                                flv_queue_t *queue,
                                uint64_t token,
                                uint64_t *operation,
                                flv_error_t **error);

/*
 How many records and bytes are not settled; 0 if `producer` is no producer. NULL is fine for what nobody asks. Any
 thread.
 */
void flv_producer_pending(const flv_producer_t *producer, uint64_t *records, uint64_t *bytes);

/*
 Frees a producer. Not closed before, its records get one more second in the background. Never blocks. NULL is fine.
 Any thread.
 */
void flv_producer_free(flv_producer_t *producer);

/*
 Reads a profile file: its path, the name of the current profile, and all profiles, as JSON in `*json`, which is the
 caller's until `flv_buffer_free`. It may hold private keys. `path` empty: `FLV_PROFILE_PATH`, else
 `~/.fluvio/config`. A file that does not exist has no profiles. Blocks for as long as reading the file takes. Any
 thread.
 */
flv_status_t flv_profiles_read(flv_slice_t path, flv_buffer_t **json, flv_error_t **error);

/*
 Adds profile `name` to a profile file, which is made if it is missing, and a cluster of the same name as the JSON
 `config` describes it. What else is in the file stays. A profile or a cluster of that name is
 `FLV_STATUS_INVALID_ARGUMENT`, unless `overwrite`. It becomes the current profile if `current`, or if there is none.
 The file is replaced as a whole: readers see the old or the new one. Blocks for as long as that takes, and up to 5 s
 while another program edits it. Any thread.
 */
flv_status_t flv_profiles_add(flv_slice_t path,
                              flv_slice_t name,
                              flv_slice_t config,
                              uint32_t overwrite,
                              uint32_t current,
                              flv_error_t **error);

/*
 Makes profile `name` the current one, as `flv_profiles_add` edits. Any thread.
 */
flv_status_t flv_profiles_switch(flv_slice_t path, flv_slice_t name, flv_error_t **error);

/*
 Gives profile `name` another name; its cluster keeps its own. As `flv_profiles_add` edits. Any thread.
 */
flv_status_t flv_profiles_rename(flv_slice_t path, flv_slice_t name, flv_slice_t to, flv_error_t **error);

/*
 Removes profile `name`, and its cluster unless another profile uses that, as `flv_profiles_add` edits. Any thread.
 */
flv_status_t flv_profiles_delete(flv_slice_t path, flv_slice_t name, flv_error_t **error);

/*
 Makes a queue with a descriptor to wait on. The caller owns it until `flv_queue_free`. Any thread.
 */
flv_status_t flv_queue_new(flv_queue_t **queue, flv_error_t **error);

/*
 Makes a queue that calls `callback` with each completion, on a thread of the library, exactly once an operation and
 a ticket. `finalizer` is called once with `ctx` after the last call; NULL is fine. If this fails it is not called.
 The caller owns the queue until `flv_queue_free`. Any thread.
 */
flv_status_t flv_queue_new_callback(flv_callback_t callback,
                                    void *ctx,
                                    flv_finalizer_t finalizer,
                                    flv_queue_t **queue,
                                    flv_error_t **error);

/*
 The descriptor that is readable while completions wait, or a drain has to read a reply: for poll, epoll or an event
 loop. It belongs to the library: never read, write or close it. -1 in callback mode. Valid until the queue is freed.
 Any thread.
 */
int32_t flv_queue_fd(const flv_queue_t *queue);

/*
 Takes up to `capacity` completions; `*count` says how many. Never blocks. What does not fit keeps the descriptor
 readable. The caller owns the results. Any thread, also several at a time: each completion goes to one of them.
 `*count` is written last: another thread that sees it may take the completions as well.
 */
flv_status_t flv_queue_drain(flv_queue_t *queue, flv_completion_t *completions, size_t capacity, size_t *count);

/*
 Asks an operation to end. It completes all the same, exactly once: cancelled, or with what it had come to. The id of
 an operation that is over, or never was, is ignored. Any thread.
 */
flv_status_t flv_operation_cancel(flv_queue_t *queue, uint64_t operation);

/*
 Gives a queue up. Completions that wait, or come later, are disposed of; its operations go on. NULL is fine. Any
 thread.
 */
void flv_queue_free(flv_queue_t *queue);

/*
 Frees the result of a completion that nobody wants, whatever it is. NULL is fine. Any thread.
 */
void flv_completion_dispose(const flv_completion_t *completion);

/*
 Sets the number of the library's threads (1 to 256; default: 2, or 1 on a single core). Before the first connect,
 else `FLV_STATUS_USAGE`. Any thread.
 */
flv_status_t flv_runtime_configure(uint32_t worker_threads, flv_error_t **error);

/*
 Fills in the defaults of the fields within `size` bytes, which is the size of `*module`: in C a macro of the same
 name adds it. Any thread.
 */
void flv_smartmodule_init(flv_smartmodule_t *module, size_t size);

/*
 Watches `object`, as `docs/admin-json.md` describes: `topics`, `partitions`, `spus`, `spu_groups`, `smartmodules`,
 `table_formats` or `cluster`. Completes once the first state is there. Result: `flv_watch_t *`, owned by whoever
 drains, until `flv_watch_free`. Any thread.
 */
flv_status_t flv_watch_open(flv_client_t *client,
                            flv_slice_t object,
                            int64_t timeout_ms,
                            flv_queue_t *queue,
                            uint64_t token,
                            uint64_t *operation,
                            flv_error_t **error);

/*
 Watches one consumer group, as `docs/admin-json.md` describes: each change has the whole of it, and changes that
 follow each other are told together. Completes once its state is there; a group that does not exist yet has no
 partitions. `log`: the topic of the log; empty: `consumer-group`. Result: `flv_watch_t *`, owned by whoever drains,
 until `flv_watch_free`. Any thread.
 */
flv_status_t flv_watch_group(flv_client_t *client,
                             flv_slice_t group,
                             flv_slice_t topic,
                             flv_slice_t log,
                             int64_t timeout_ms,
                             flv_queue_t *queue,
                             uint64_t token,
                             uint64_t *operation,
                             flv_error_t **error);

/*
 Completes once `flv_watch_take` would not say EMPTY. A passed deadline completes with `FLV_STATUS_TIMEOUT` and no
 error object. Any thread.
 */
flv_status_t flv_watch_wait(flv_watch_t *watch,
                            int64_t timeout_ms,
                            flv_queue_t *queue,
                            uint64_t token,
                            uint64_t *operation,
                            flv_error_t **error);

/*
 Takes the next change. Never blocks. OK: `*buffer` has it, as JSON, and is the caller's. EMPTY: nothing now.
 Otherwise the error at which the watch stands; it stays, but for INTERNAL, after which the watch begins anew. Any
 thread.
 */
flv_status_t flv_watch_take(flv_watch_t *watch, flv_buffer_t **buffer, flv_error_t **error);

/*
 Ends a watch: a wait completes, a take says CLOSED. The handle stays until it is freed. Any thread.
 */
flv_status_t flv_watch_close(flv_watch_t *watch,
                             int64_t timeout_ms,
                             flv_queue_t *queue,
                             uint64_t token,
                             uint64_t *operation,
                             flv_error_t **error);

/*
 Frees a watch, which ends it; a wait under way completes. Never blocks. NULL is fine. Any thread.
 */
void flv_watch_free(flv_watch_t *watch);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FLUVIO_CFFI_H */

#define flv_client_options_init(options) (flv_client_options_init)((options), sizeof(flv_client_options_t))
#define flv_producer_options_init(options) (flv_producer_options_init)((options), sizeof(flv_producer_options_t))
#define flv_consumer_options_init(options) (flv_consumer_options_init)((options), sizeof(flv_consumer_options_t))
#define flv_smartmodule_init(module) (flv_smartmodule_init)((module), sizeof(flv_smartmodule_t))
