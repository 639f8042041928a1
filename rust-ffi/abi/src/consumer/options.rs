//! How a consumer works.

use fluvio_cffi_engine::{ConsumerOptions, Error, GroupOptions, Result, Start};

use crate::bytes::flv_slice_t;
use crate::encode::Format;
use crate::pointer::slice;
use crate::structs::{growing, isolation, millis};
use crate::transforms::{self, flv_smartmodule_t};

/// Where reading begins.
#[repr(C)]
pub enum flv_start_kind_e {
    /// The beginning with a `consumer_id`, so that nothing is lost before the first commit, else the end.
    FLV_START_DEFAULT = 0,
    /// So many records after the first that exists.
    FLV_START_BEGINNING = 1,
    /// So many records before the end.
    FLV_START_END = 2,
    /// At this offset.
    FLV_START_AT = 3,
    /// At the first record that is not older than this, in milliseconds since the epoch; at the end if there is none.
    /// The log is halved until it is found: its times are taken to rise.
    FLV_START_SINCE = 4,
}

/// The form in which records leave the library.
#[repr(C)]
pub enum flv_format_e {
    /// `flv_record_t` structures.
    FLV_FORMAT_RECORDS = 0,
    /// A pickle stream for Python: see `docs/c-abi.md`.
    FLV_FORMAT_PICKLE = 1,
    /// Columns in the Arrow format: see `flv_consumer_arrow`.
    FLV_FORMAT_ARROW = 2,
}

/// Where reading of one partition begins.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_start_t {
    /// The partition.
    pub partition: u32,
    /// One of `FLV_START_`.
    pub kind: u32,
    /// Records after the beginning, records before the end, the offset, or the time.
    pub value: i64,
}

/// How a consumer works. `flv_consumer_options_init` fills in the defaults.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_consumer_options_t {
    /// `sizeof(flv_consumer_options_t)`.
    pub struct_size: u32,
    /// One of `FLV_FORMAT_`. Default `FLV_FORMAT_RECORDS`.
    pub format: u32,
    /// Which partitions. Default none: all.
    pub partitions: *const u32,
    /// How many.
    pub partitions_len: usize,
    /// Starts of single partitions, which win over `start_kind`. Default none.
    pub starts: *const flv_start_t,
    /// How many.
    pub starts_len: usize,
    /// One of `FLV_START_`. Default `FLV_START_DEFAULT`. Where an offset is stored under `consumer_id`, see `resume`.
    pub start_kind: u32,
    /// Not 0: end at the ends seen when it was opened. Default 0.
    pub stop_at_end: u32,
    /// Goes with `start_kind`. Default 0.
    pub start_value: i64,
    /// One of `FLV_ISOLATION_`. Default `FLV_ISOLATION_READ_UNCOMMITTED`.
    pub isolation: u32,
    /// Bytes of one reply, at most, unless one batch is larger. Default 1,048,576.
    pub max_bytes: u32,
    /// Decoded bytes kept ready, at most, unless one batch is larger. Default 16,777,216.
    pub prefetch: u64,
    /// Under which id offsets are stored, and found again. Empty: they are not. Default empty.
    pub consumer_id: flv_slice_t,
    /// How often what was processed (`flv_consumer_processed`) is committed, milliseconds. 0: only on demand. Default
    /// 0.
    pub auto_commit_ms: i64,
    /// How long a silent stream may be silent before its peer is asked whether it is there, milliseconds. Default
    /// 10,000.
    pub probe_ms: i64,
    /// Not 0: offsets that retention removed are passed over instead of being an error. Default 0.
    pub skip_evicted: u32,
    /// Not 0: where an offset is stored under `consumer_id`, reading goes on after it, whatever the start. 0: the start
    /// decides. Default 1.
    pub resume: u32,
    /// SmartModules that the SPU runs on what is read, one after the other. Each reply then has up to 16 MiB, also where
    /// `max_bytes` is smaller. Default none.
    pub smartmodules: *const flv_smartmodule_t,
    /// How many.
    pub smartmodules_len: usize,
    /// The group of which the consumer is a member: 1 to 200 bytes, without control characters. Its members share the
    /// partitions of the topic, and what is committed is the group's. Not together with `consumer_id`, `partitions`, or
    /// `resume` 0. Empty: none. Default empty.
    pub group: flv_slice_t,
    /// A name that survives a restart: who comes back with it within `session_timeout_ms` gets its partitions back, and
    /// `flv_consumer_close` does not leave. At most one process may have it at a time. Default empty.
    pub instance: flv_slice_t,
    /// Whoever gives no sign of life for so long loses its partitions, milliseconds: 1,000 to 3,600,000. Default 10,000.
    pub session_timeout_ms: i64,
    /// A partition that is to move, and whose reader does not come back for so long, is given up without an offset,
    /// milliseconds. Default 60,000.
    pub rebalance_timeout_ms: i64,
    /// A member whose reader does not come back for so long leaves, and joins anew when it does, milliseconds. Default
    /// 300,000.
    pub processing_timeout_ms: i64,
    /// The topic in which the members of groups agree; it is made if there is none. Empty: `consumer-group`. Default
    /// empty.
    pub group_log: flv_slice_t,
    /// How many replicas it gets if it is made. Default 1.
    pub group_log_replication: u32,
    /// Not 0: a partition that is to move is given up only when that was acknowledged (`flv_consumer_change_done`), also
    /// while the reader waits. Default 0.
    pub revoke_waits: u32,
}

growing!(flv_consumer_options_t {
    struct_size,
    format,
    partitions,
    partitions_len,
    starts,
    starts_len,
    start_kind,
    stop_at_end,
    start_value,
    isolation,
    max_bytes,
    prefetch,
    consumer_id,
    auto_commit_ms,
    probe_ms,
    skip_evicted,
    resume,
    smartmodules,
    smartmodules_len,
    group,
    instance,
    session_timeout_ms,
    rebalance_timeout_ms,
    processing_timeout_ms,
    group_log,
    group_log_replication,
    revoke_waits
});

/// Where reading begins, of these numbers; `name` is the argument's.
pub(super) fn start(kind: u32, value: i64, name: &str) -> Result<Start> {
    let records = u64::try_from(value).map_err(|_| Error::invalid(format!("{name} is {value}: it must be 0 or more")));
    Ok(match kind {
        1 => Start::Beginning(records?),
        2 => Start::End(records?),
        3 => Start::At(value),
        4 => records.map(|_| Start::Since(value))?,
        other => {
            return Err(Error::invalid(format!("the kind of {name} is {other}: it must be one of FLV_START_")));
        }
    })
}

fn default_or(kind: u32, value: i64) -> Result<Option<Start>> {
    match kind {
        0 => Ok(None),
        kind => start(kind, value, "start").map(Some),
    }
}

impl flv_consumer_options_t {
    pub(super) const DEFAULT: Self = Self {
        struct_size: size_of::<Self>() as u32,
        format: 0,
        partitions: std::ptr::null(),
        partitions_len: 0,
        starts: std::ptr::null(),
        starts_len: 0,
        start_kind: flv_start_kind_e::FLV_START_DEFAULT as u32,
        stop_at_end: 0,
        start_value: 0,
        isolation: 0,
        max_bytes: 1 << 20,
        prefetch: 16 << 20,
        consumer_id: flv_slice_t::EMPTY,
        auto_commit_ms: 0,
        probe_ms: 10_000,
        skip_evicted: 0,
        resume: 1,
        smartmodules: std::ptr::null(),
        smartmodules_len: 0,
        group: flv_slice_t::EMPTY,
        instance: flv_slice_t::EMPTY,
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        processing_timeout_ms: 300_000,
        group_log: flv_slice_t::EMPTY,
        group_log_replication: 1,
        revoke_waits: 0,
    };

    fn group(&self) -> Result<Option<GroupOptions>> {
        let Some(group) = self.group.optional_text("group")? else {
            return match self.instance.optional_text("instance")? {
                Some(_) => Err(Error::invalid("instance is given without a group: it is the name of a member")),
                None => Ok(None),
            };
        };
        let mut options = GroupOptions {
            group,
            instance: self.instance.optional_text("instance")?,
            session_timeout: millis(self.session_timeout_ms, "session_timeout_ms")?,
            rebalance_timeout: millis(self.rebalance_timeout_ms, "rebalance_timeout_ms")?,
            processing_timeout: millis(self.processing_timeout_ms, "processing_timeout_ms")?,
            log_replication: self.group_log_replication,
            revoke_waits: self.revoke_waits != 0,
            ..GroupOptions::default()
        };
        if let Some(log) = self.group_log.optional_text("group_log")? {
            options.log = log;
        }
        Ok(Some(options))
    }

    pub(super) fn parse(&self) -> Result<(ConsumerOptions, Format)> {
        let format = match self.format {
            0 => Format::Records,
            1 => Format::Pickle,
            2 => Format::Arrow,
            other => return Err(Error::invalid(format!("format is {other}: it must be one of FLV_FORMAT_, 0 to 2"))),
        };
        let mut starts = Vec::new();
        for one in slice(self.starts, self.starts_len, "starts")? {
            starts.push((one.partition, start(one.kind, one.value, "starts")?));
        }
        let options = ConsumerOptions {
            partitions: slice(self.partitions, self.partitions_len, "partitions")?.to_vec(),
            start: default_or(self.start_kind, self.start_value)?,
            starts,
            resume: self.resume != 0,
            stop_at_end: self.stop_at_end != 0,
            isolation: isolation(self.isolation)?,
            max_bytes: self.max_bytes,
            prefetch: usize::try_from(self.prefetch).unwrap_or(usize::MAX),
            skip_evicted: self.skip_evicted != 0,
            probe_interval: millis(self.probe_ms, "probe_ms")?,
            consumer_id: self.consumer_id.optional_text("consumer_id")?,
            auto_commit: match self.auto_commit_ms {
                0 => None,
                interval => Some(millis(interval, "auto_commit_ms")?),
            },
            smartmodules: transforms::read(self.smartmodules, self.smartmodules_len)?,
            group: self.group()?,
        };
        options.validate()?;
        Ok((options, format))
    }
}
