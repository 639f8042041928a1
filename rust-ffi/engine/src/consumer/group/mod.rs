//! The member of a consumer group: it shares the partitions of its topic with the other members.
//!
//! | file | what |
//! |---|---|
//! | `calls.rs` | what the caller asks for |
//! | `gate.rs` | what stands between a member and its reader |
//! | `slots.rs` | where they meet without a call |

mod calls;
mod gate;
mod slots;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use calls::{EpochOffset, GroupMember, GroupSlots, MemberState};
pub(super) use gate::{Gate, Keeping, Revocation};
pub use gate::{GroupChange, GroupChangeKind};
pub(super) use slots::Slots;

use std::sync::Arc;

/// A consumer's way to its member.
pub(super) struct Membership {
    slots: Arc<Slots>,
    member: Mutex<GroupMember>,
}

impl Membership {
    fn lock(&self) -> MutexGuard<'_, GroupMember> {
        self.member.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
