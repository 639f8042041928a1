//! What holds at every place of the log, told without the code that decides there.

use std::rc::Rc;

use crate::apply::Effect;
use crate::command::{Command, Record};
use crate::names::{MemberId, Offset};
use crate::state::State;

/// What a command stores, if it holds: partition, epoch, offset.
fn stores(command: &Command) -> Vec<(u32, Offset, Option<Offset>)> {
    match command {
        Command::Commit { offsets, .. } => offsets.iter().map(|it| (it.partition, it.epoch, Some(it.offset))).collect(),
        Command::Leave { released, .. } => released.iter().map(|it| (it.partition, it.epoch, it.committed)).collect(),
        Command::Release { released, .. } => vec![(released.partition, released.epoch, released.committed)],
        _ => Vec::new(),
    }
}

/// Checks what the command at the end of the log did.
pub(crate) fn of_append(
    log: &[Rc<Record>],
    record: &Record,
    before: &State,
    after: &State,
    effect: &Effect,
) -> Result<(), String> {
    owners_are_members(after)?;
    if !effect.counts && before != after {
        return Err(format!("a void command changed something: {:?}", record.command));
    }
    for (number, (was, is)) in before.partitions.iter().zip(&after.partitions).enumerate() {
        if was.committed != is.committed {
            commit_is_the_owners(log, record, number as u32, before)?;
        }
        if was.owner != is.owner && is.owner.is_some() && is.epoch <= was.epoch {
            return Err(format!("partition {number} went to another owner under an old epoch"));
        }
    }
    if let Command::Join(join) = &record.command {
        let gone = before.members.iter().find(|member| after.position(member.id).is_none());
        if let Some(newer) = gone.filter(|gone| gone.id > join.member) {
            return Err(format!("the late join of {:?} replaces the newer {:?}", join.member, newer.id));
        }
    }
    Ok(())
}

fn owners_are_members(state: &State) -> Result<(), String> {
    let known = |id: MemberId| state.position(id).is_some();
    match state.partitions.iter().position(|it| it.owner.is_some_and(|owner| !known(owner))) {
        Some(number) => Err(format!("the owner of partition {number} is no member")),
        None => Ok(()),
    }
}

fn commit_is_the_owners(log: &[Rc<Record>], record: &Record, number: u32, before: &State) -> Result<(), String> {
    let Some((sender, n)) = record.command.sender() else {
        return match record.command {
            Command::Reset { .. } | Command::Delete { .. } => Ok(()),
            _ => Err(format!("{:?} changed what is committed", record.command)),
        };
    };
    let partition = &before.partitions[number as usize];
    let entry = stores(&record.command).into_iter().find(|(partition, ..)| *partition == number);
    let Some((_, epoch, offset)) = entry else { return Err(format!("partition {number} was stored unasked")) };
    if before.position(sender).is_none() || partition.owner != Some(sender) {
        return Err(format!("{sender:?} stored {offset:?} for partition {number}, which is {:?}'s", partition.owner));
    }
    if partition.epoch != epoch {
        return Err(format!("a record of epoch {epoch} moved partition {number}, by now of epoch {}", partition.epoch));
    }
    let later = log.iter().find(|earlier| {
        earlier.command.sender().is_some_and(|(id, other)| id == sender && other > n)
            && stores(&earlier.command).iter().any(|it| (it.0, it.1) == (number, epoch) && it.2 != offset)
    });
    match later {
        Some(later) => Err(format!("{:?} came late and undid {:?}", record.command, later.command)),
        None => Ok(()),
    }
}
