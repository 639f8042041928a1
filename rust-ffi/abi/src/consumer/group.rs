//! A consumer as the member of a group.

use std::sync::{Arc, PoisonError};

use fluvio_cffi_engine::{EpochOffset, GroupChange, MemberState, Result, Unchanged, boottime};

use super::flv_consumer_t;
use crate::boundary::{OK, export};
use crate::bytes::buffer;
use crate::handle;
use crate::operation::{self, Done, Request};
use crate::pointer::{slice, write_out};
use crate::queue::flv_queue_t;
use crate::status::{flv_error_t, flv_status_e, flv_status_t};
use crate::structs::{self, growing};

/// What became of partitions of a member.
#[repr(C)]
pub enum flv_group_change_kind_e {
    /// They are read from now on. Nothing of them is handed over before this is acknowledged.
    FLV_GROUP_ASSIGNED = 1,
    /// They are given up. Until this is acknowledged the member owns them, and commits hold; after it, what is still
    /// held of them must be dropped. While the reader waits and `revoke_waits` is 0, they are given up already.
    FLV_GROUP_REVOKED = 2,
    /// They are gone, without having been given up.
    FLV_GROUP_LOST = 3,
}

/// A change of what a member of a group reads. The caller sets `struct_size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_group_change_t {
    /// `sizeof(flv_group_change_t)`.
    pub struct_size: u32,
    /// One of `FLV_GROUP_`.
    pub kind: u32,
    /// Its number, for `flv_consumer_change_done`.
    pub number: u64,
    /// Which partitions. Lent until the next `flv_consumer_change`, or the free.
    pub partitions: *const u32,
    /// The epoch of each: it never repeats, and rises with each owner. Lent as `partitions` are.
    pub epochs: *const i64,
    /// How many: at least 1.
    pub count: usize,
}

growing!(flv_group_change_t { struct_size, kind, number, partitions, epochs, count });

/// Where a member of a group and its reader meet without a call. The caller sets `struct_size`. The pointers are valid
/// until the consumer is freed.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_group_slots_t {
    /// `sizeof(flv_group_slots_t)`.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Until when records may be handed out, in nanoseconds of `flv_boottime`; 0: not at all.
    pub lease: *const i64,
    /// Rises whenever an epoch slot changes, a change waits to be told, or the lease ends.
    pub changes: *const i64,
    /// The reader writes `flv_boottime()` here when it comes back for more, where it is served from what it holds.
    pub came_back: *mut i64,
    /// Bytes for a reader that goes through them in step with its records: all are 1 while `*changes` is what it was when
    /// `flv_consumer_change` last said EMPTY, else 0. Before the library has noticed that a lease has ended, say after the
    /// process was stopped, they are still 1: so the clock is looked at as well, every few records.
    pub unchanged: *const u8,
    /// How many.
    pub unchanged_count: usize,
}

growing!(flv_group_slots_t { struct_size, reserved, lease, changes, came_back, unchanged, unchanged_count });

/// Where a member of a group stands.
#[repr(C)]
pub enum flv_member_state_e {
    /// It asks to be taken in.
    FLV_MEMBER_JOINING = 1,
    /// It takes part.
    FLV_MEMBER_MEMBER = 2,
    /// It takes part, but its lease is over: nothing is handed out.
    FLV_MEMBER_SUSPENDED = 3,
    /// Its reader did not come back in time: it has left, and joins anew when the reader does.
    FLV_MEMBER_AWAY = 4,
    /// It was closed, or another process has taken its place.
    FLV_MEMBER_ENDED = 5,
}

/// Who a consumer is in its group. The caller sets `struct_size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_group_member_t {
    /// `sizeof(flv_group_member_t)`.
    pub struct_size: u32,
    /// One of `FLV_MEMBER_`.
    pub state: u32,
    /// The group's generation; -1: none yet.
    pub generation: i64,
    /// The member's id: 32 hexadecimal digits and a zero; empty: it is no member now.
    pub id: [u8; 40],
}

growing!(flv_group_member_t { struct_size, state, generation, id });

/// An offset of a partition, and the epoch under which its record was handed out.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flv_epoch_offset_t {
    /// The partition.
    pub partition: u32,
    /// 0.
    pub reserved: u32,
    /// Of the last processed record; -1: none, but begin with the first.
    pub offset: i64,
    /// The epoch of its chunk; -1: the current one.
    pub epoch: i64,
}

/// What a change lends.
#[derive(Default)]
pub(super) struct LentChange {
    partitions: Vec<u32>,
    epochs: Vec<i64>,
}

/// What the clock of leases shows, in nanoseconds: it counts the time for which the machine was suspended. On Linux
/// `CLOCK_BOOTTIME`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_boottime() -> i64 {
    i64::try_from(boottime().as_nanos()).unwrap_or(i64::MAX)
}

/// Where the member and its reader meet. `slots->struct_size` must be set. Fails with `FLV_STATUS_USAGE` without a
/// group. Any thread; never waits.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_group_slots(
    consumer: *mut flv_consumer_t,
    slots: *mut flv_group_slots_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        // The consumer keeps the slots for as long as it lives.
        let known = consumer.consumer.group_slots()?;
        let filled = flv_group_slots_t {
            struct_size: 0,
            reserved: 0,
            lease: known.lease.as_ptr(),
            changes: known.changes.as_ptr(),
            came_back: known.came_back.as_ptr(),
            unchanged: known.unchanged.as_ptr(),
            unchanged_count: Unchanged::COUNT,
        };
        structs::write(slots, "slots", filled)?;
        Ok(OK)
    })
}

/// The place that has the epoch under which records of the partition may be handed out now; -1: none of it may. `*slot`
/// is valid until the consumer is freed. Fails with `FLV_STATUS_USAGE` without a group. Any thread; never waits.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_epoch(
    consumer: *mut flv_consumer_t,
    partition: u32,
    slot: *mut *const i64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        write_out(slot, "slot", consumer.consumer.epoch(partition)?.as_ptr().cast_const())?;
        Ok(OK)
    })
}

/// The oldest change that is not acknowledged. Until it is, `flv_consumer_take` says CHANGED and a wait completes at
/// once. OK: `*change` has it; asked again, it is the same, less what was taken back meanwhile. EMPTY: there is none.
/// `change->struct_size` must be set. Never blocks. The thread that reads.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_change(
    consumer: *mut flv_consumer_t,
    change: *mut flv_group_change_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        structs::check(change, "change")?;
        let Some(GroupChange { kind, number, partitions }) = consumer.consumer.change()? else {
            return Ok(flv_status_e::FLV_STATUS_EMPTY as flv_status_t);
        };
        let mut lent = consumer.lent_change.lock().unwrap_or_else(PoisonError::into_inner);
        (lent.partitions, lent.epochs) = partitions.into_iter().unzip();
        let filled = flv_group_change_t {
            struct_size: 0,
            kind: kind as u32,
            number,
            partitions: lent.partitions.as_ptr(),
            epochs: lent.epochs.as_ptr(),
            count: lent.partitions.len(),
        };
        structs::write(change, "change", filled)?;
        Ok(OK)
    })
}

/// The caller has dealt with the change of that number: what its callback was to do is done. Revoked partitions are
/// given up now, with what `flv_consumer_processed` has of them; what it has of assigned ones is cleared. Another
/// number than that of the oldest change does nothing. Never blocks. The thread that reads.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_change_done(
    consumer: *mut flv_consumer_t,
    number: u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        handle::get(consumer)?.consumer.change_done(number)?;
        Ok(OK)
    })
}

/// Who the consumer is in its group. `member->struct_size` must be set. Fails with `FLV_STATUS_USAGE` without a group.
/// Any thread; never waits.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_member(
    consumer: *const flv_consumer_t,
    member: *mut flv_group_member_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let known = handle::get(consumer)?.consumer.member()?;
        let mut id = [0; 40];
        for (place, letter) in id.iter_mut().zip(known.id.unwrap_or_default().bytes().take(39)) {
            *place = letter;
        }
        let state = match known.state {
            MemberState::Joining => flv_member_state_e::FLV_MEMBER_JOINING,
            MemberState::Member => flv_member_state_e::FLV_MEMBER_MEMBER,
            MemberState::Suspended => flv_member_state_e::FLV_MEMBER_SUSPENDED,
            MemberState::Away => flv_member_state_e::FLV_MEMBER_AWAY,
            MemberState::Ended => flv_member_state_e::FLV_MEMBER_ENDED,
        };
        let filled = flv_group_member_t { struct_size: 0, state: state as u32, generation: known.generation, id };
        structs::write(member, "member", filled)?;
        Ok(OK)
    })
}

/// Stores offsets of a group's partitions, each if the member still owns it under the epoch that is given; they are
/// read before it returns. Completes when the group's log says which hold. Value: how many do not. Result: NULL if all
/// hold, else `flv_buffer_t *` with an array of `flv_offset_t`: those that are another member's by now, owned by
/// whoever drains. An offset beyond the end of its log, under the current epoch, fails with
/// `FLV_STATUS_OFFSET_OUT_OF_RANGE`, and nothing is stored. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_commit_epochs(
    consumer: *mut flv_consumer_t,
    processed: *const flv_epoch_offset_t,
    count: usize,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        let processed = slice(processed, count, "processed")?;
        processed.iter().try_for_each(|one| structs::unused(one.reserved, "processed"))?;
        let epoch = |one: &flv_epoch_offset_t| Some(one.epoch).filter(|epoch| *epoch >= 0);
        let given =
            processed.iter().map(|one| EpochOffset { partition: one.partition, epoch: epoch(one), offset: one.offset });
        let given: Vec<EpochOffset> = given.collect();
        let request = Request { timeout_ms, queue, token, operation };
        operation::start_bounded(Arc::clone(&consumer.client.runtime), request, |timeout| async move {
            fenced(&consumer.consumer.commit_epochs(&given, timeout).await?)
        })?;
        Ok(OK)
    })
}

/// What of a commit was not stored, for whoever drains.
fn fenced(fenced: &[(u32, i64)]) -> Result<Done> {
    let mut bytes = Vec::new();
    for (partition, offset) in fenced {
        bytes.extend_from_slice(&partition.to_ne_bytes());
        bytes.extend_from_slice(&0_u32.to_ne_bytes());
        bytes.extend_from_slice(&offset.to_ne_bytes());
    }
    let mut done = Done::value(fenced.len() as u64);
    done.object = (!fenced.is_empty()).then(|| buffer(bytes));
    Ok(done)
}

/// As `flv_consumer_close`, but gives the partitions of a member with an `instance` up, too: nobody waits for it to
/// come back. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_consumer_leave(
    consumer: *mut flv_consumer_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let consumer = handle::get(consumer)?;
        let request = Request { timeout_ms, queue, token, operation };
        operation::start_bounded(Arc::clone(&consumer.client.runtime), request, |timeout| async move {
            consumer.consumer.leave(timeout).await?;
            Ok(Done::default())
        })?;
        Ok(OK)
    })
}
