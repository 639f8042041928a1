//! Streams on which the SPU runs a chain of SmartModules.

use fluvio_protocol::link::ErrorCode;
use fluvio_spu_schema::server::stream_fetch::StreamFetchResponse;
use tokio::time::Instant;

use super::super::ConsumerShared;
use super::super::cursor::{AfterReply, Cursor};
use super::super::inspection::Inspection;
use super::super::search::{Finding, Search};
use super::connection::{PendingAck, Stream, StreamConnection};
use super::task::{Fetcher, NextStep, stream_error};
use crate::error::{Error, ErrorKind, RAN, Result};
use crate::replies::RecordBytes;
use crate::smartmodule::{TOO_NEW, UNKNOWN};

/// How the server begins what it says of a module that has trapped: then the log is whole, as far as it was unpacked.
const TRAP: &str = "error while executing at wasm backtrace";

impl Fetcher {
    /// Takes in what a chain has made.
    pub(super) fn receive_made(
        &mut self,
        stream: &mut Stream,
        response: StreamFetchResponse<RecordBytes>,
    ) -> Result<NextStep> {
        let StreamFetchResponse { stream_id: session_id, partition: part, .. } = response;
        let shared = &self.shared;
        let cursor = &mut stream.cursor;
        if part.error_code != ErrorCode::None {
            // After the error of a record the stream would go on; after all others it is dead.
            if let (ErrorCode::SmartModuleRuntimeError(_), Some(connection)) = (&part.error_code, &mut self.connection)
            {
                connection.count_abandoned()?;
            }
            return self.chain_failed(cursor, &part.error_code, stream.version);
        }
        self.backoff.reset();
        cursor.unknown_since = None;
        shared.subscription.note_end(cursor.partition, part.high_watermark);
        let next = part.next_filter_offset;
        let bytes = part.records.0;
        stream.reply = Some(cursor.split_made(&shared.topic, &bytes, next)?);
        stream.ack = Some(PendingAck { session_id, offset: next });
        stream.is_behind = next < part.high_watermark;
        Ok(NextStep::Decode)
    }

    /// How reading goes on behind a reply that is decoded, if not on the same stream.
    pub(super) fn leave_made(&mut self, stream: &mut Stream) -> Option<Result<NextStep>> {
        self.shared.chain.as_ref()?;
        let cursor = &mut stream.cursor;
        let next = cursor.next();
        let to = cursor.search.as_deref().and_then(Search::to);
        // What does not fit into a reply has been run as well, and would be run twice. A reply that is much smaller ends
        // with a segment of the log. An aggregate can go on from its value anyway.
        let is_large = cursor.gives_values || cursor.made_bytes >= stream.fetch_bytes as usize / 2;
        let is_cut = stream.is_behind && is_large;
        if !is_cut && to.is_none_or(|to| next < to) {
            return None;
        }
        if let Some(Err(error)) = self.connection.as_mut().map(StreamConnection::count_abandoned) {
            return Some(Err(error));
        }
        Some(match cursor.search.take_if(|_| to.is_some_and(|to| next >= to)) {
            Some(search) => proceed(cursor, search.read(next)),
            None => Ok(NextStep::OpenStream),
        })
    }

    /// The chain of a stream of `version` was not built, or has failed: how reading goes on, or why it does not.
    fn chain_failed(&self, cursor: &mut Cursor, code: &ErrorCode, version: i16) -> Result<NextStep> {
        let chain = self.shared.chain.as_ref();
        let error = stream_error(code, cursor.next()).with_topic(&self.shared.topic);
        let mut error = error.with_partition(cursor.partition);
        error.blame(chain.and_then(|chain| chain.only_module()));
        match code {
            // The bounds decide what becomes of the partition.
            ErrorCode::OffsetEvicted { .. } => Ok(NextStep::AskBounds),
            ErrorCode::SmartModuleNotFound { .. } => {
                let since = *cursor.unknown_since.get_or_insert_with(Instant::now);
                let is_new = since.elapsed() < UNKNOWN && !chain.is_some_and(|chain| chain.has_missing);
                Err(if is_new { error.passing() } else { error })
            }
            ErrorCode::SmartModuleRuntimeError(failure) => {
                proceed(cursor, Search::named(error, failure.offset, cursor.next()))
            }
            ErrorCode::Other(text) if text.contains(TOO_NEW) && chain.is_some_and(|chain| chain.set_old(version)) => {
                Ok(NextStep::OpenStream)
            }
            ErrorCode::Other(text) if text.starts_with(RAN) => {
                let earlier = cursor.search.take().map(|search| *search);
                // A search would take several streams, of which only the first has the aggregate's value.
                let finding = match chain.is_some_and(|chain| chain.hides_values() || chain.may_hide_values()) {
                    true => Finding::Found(error),
                    false => Search::unnamed(error, cursor.next(), earlier),
                };
                match finding {
                    Finding::Found(error) if !text.contains(TRAP) => {
                        cursor.inspection = Some(Box::new(Inspection::new(error, cursor)));
                        Ok(NextStep::OpenStream)
                    }
                    finding => proceed(cursor, finding),
                }
            }
            _ => Err(error),
        }
    }

    /// Takes in a part of the log at which a chain has failed.
    pub(super) fn inspect(
        &mut self,
        stream: &mut Stream,
        response: StreamFetchResponse<RecordBytes>,
    ) -> Result<NextStep> {
        let StreamFetchResponse { stream_id: session_id, partition: part, .. } = response;
        let Some(mut inspection) = stream.cursor.inspection.take() else { return Ok(NextStep::AskBounds) };
        if part.error_code != ErrorCode::None {
            return Ok(NextStep::AskBounds);
        }
        let after = inspection.look(&self.shared.topic, &part.records.0)?;
        stream.cursor.inspection = Some(inspection);
        match (after, &mut self.connection) {
            (AfterReply::Acknowledge(offset), _) => {
                stream.ack = Some(PendingAck { session_id, offset });
                return Ok(NextStep::Decode);
            }
            (_, Some(connection)) => connection.count_abandoned()?,
            (_, None) => {}
        }
        Ok(NextStep::OpenStream)
    }
}

/// Why no new stream can go on where one has ended, if none can.
pub(super) fn no_way_on(shared: &ConsumerShared, cursor: &Cursor) -> Option<Error> {
    let chain = shared.chain.as_ref().filter(|_| cursor.has_begun && cursor.inspection.is_none())?;
    let next = cursor.next();
    let why = match (chain.hides_values(), chain.may_hide_values()) {
        (true, _) => {
            "the aggregate in the chain of SmartModules cannot go on, since its value is not what comes out of the \
             chain: seek there to begin anew, or make it the last one"
        }
        (false, true) => {
            "a SmartModule of the cluster may be an aggregate, which would begin anew, as the SC did not say what it is \
             when reading began: seek there to begin anew, and give its kind"
        }
        (false, false) => return None,
    };
    let text = format!("the stream has ended at offset {next}, and {why}");
    let error = Error::new(ErrorKind::SmartModule, text).with_topic(&shared.topic);
    Some(error.with_partition(cursor.partition).with_offset(next))
}

/// How reading goes on with a cursor by what a search has found.
pub(super) fn proceed(cursor: &mut Cursor, finding: Finding) -> Result<NextStep> {
    match finding {
        Finding::Continue(search) => {
            cursor.search = Some(Box::new(search));
            Ok(NextStep::OpenStream)
        }
        Finding::AskBounds(search) => {
            cursor.search = Some(Box::new(search));
            Ok(NextStep::AskBounds)
        }
        Finding::Nothing => Ok(NextStep::OpenStream),
        Finding::Found(error) => Err(error),
    }
}
