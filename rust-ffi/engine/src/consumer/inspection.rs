//! Whether it is the log that is damaged where a chain of SmartModules fails: the server says the same of both.
//!
//! So what the chain was to be run over is read once without it. That is the rest of a segment of the log: the server
//! unpacks all of it before it sends anything, so that nothing before the damage can be had through the chain either.

use bytes::Bytes;

use super::assignment::Assigned;
use super::cursor::{AfterReply, Cursor};
use super::{ChunkEncoder, RecordRef, Start};
use crate::error::{Error, ErrorKind};

/// Bytes of one reply.
const FETCH_BYTES: u32 = 1 << 20;

/// The look into the log at which a chain has failed. It is in the cursor that the chain was read with.
#[derive(Debug)]
pub(super) struct Inspection {
    /// How the chain has failed.
    error: Error,
    /// How far the log was looked at.
    pub(super) log: Cursor,
}

/// Records are only to be found whole.
struct Nothing;

impl ChunkEncoder for Nothing {
    fn encode(&self, _partition: u32, _records: &[RecordRef<'_>]) -> Vec<u8> {
        Vec::new()
    }
}

impl Inspection {
    /// Begins at the place of `cursor`.
    pub(super) fn new(error: Error, cursor: &Cursor) -> Self {
        let assigned = Assigned { partition: cursor.partition, epoch: cursor.epoch };
        let mut log = Cursor::new(assigned, Start::At(cursor.next()), FETCH_BYTES);
        log.go_on(cursor.next());
        Self { error, log }
    }

    /// Looks at a reply: how to go on, or what was wrong, with the log or with the chain.
    pub(super) fn look(&mut self, topic: &str, bytes: &Bytes) -> Result<AfterReply, Error> {
        // Only the end of a segment makes a reply shorter than was asked for.
        let is_last = bytes.len() < self.log.fetch_bytes as usize;
        match self.walk(topic, bytes) {
            Ok(AfterReply::Stop) => Err(self.error.clone()),
            Ok(_) if is_last => Err(self.error.clone()),
            Ok(after) => Ok(after),
            Err(mut damage) if damage.kind == ErrorKind::CorruptRecord => {
                if let Some(from) = self.error.offset.filter(|from| damage.offset.is_some_and(|at| at > *from)) {
                    damage.message += &format!(
                        ". SmartModules cannot be run on what lies before it either, from offset {from} on: read that \
                         without them"
                    );
                }
                Err(damage)
            }
            Err(other) => Err(other),
        }
    }

    fn walk(&mut self, topic: &str, bytes: &Bytes) -> Result<AfterReply, Error> {
        let (mut reply, after) = self.log.split(topic, bytes)?;
        while !reply.is_decoded() {
            self.log.decode(topic, &mut reply, &Nothing, &mut Vec::new())?;
        }
        Ok(after)
    }
}
