//! What becomes of the batches of a request by the server's reply.

use fluvio_protocol::link::ErrorCode;
use tokio::time::Instant;

use super::SpuSender;
use super::answers::{self, Answer};
use super::connection::Request;
use super::work::Work;
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::log::log;
use crate::producer::accumulator::{Batch, Past};
use crate::producer::{Delivery, Shared};
use crate::transport::Frame;

/// What a reply has settled.
#[derive(Debug)]
#[must_use]
pub(super) struct Answered {
    results: Vec<(u64, Result<i64>)>,
    /// Whether batches go again, and the cluster is to be looked at anew.
    pub(super) has_refused: bool,
}

impl Answered {
    /// Settles the tickets, and tells the supervisor. No lock may be held.
    pub(super) fn deliver(self, shared: &Shared) {
        if self.has_refused {
            shared.doubt.notify_one();
        }
        shared.settle(shared.accumulator.answered(self.results));
    }
}

/// What follows from the answer to one batch.
enum Fate {
    Settled(Result<i64>),
    /// The batch goes again.
    Again,
}

impl SpuSender {
    /// Handles the reply to the oldest request. The caller holds the lock all the time: nothing later may be sent
    /// before the batches that go again are back in their places.
    pub(super) fn answer(&self, shared: &Shared, work: &mut Work, frame: &Frame) -> Result<Answered> {
        let (request, answers) = work.take_answered(frame, self.spu)?;
        // Before anybody hears of the reply.
        drop(request.counted);
        let mut results = Vec::with_capacity(answers.len());
        let mut again = Vec::new();
        for (batch, answer) in request.batches.into_iter().zip(answers) {
            match self.judge(shared, work, &batch, answer, request.version) {
                Fate::Settled(result) => results.push((batch.ticket, result)),
                Fate::Again => again.push(Batch { past: batch.past.max(Past::Refused), ..batch }),
            }
        }
        if let Some(connection) = work.connection.any() {
            connection.done(request.correlation);
            again.iter().for_each(|batch| connection.forget(batch.partition));
        }
        let has_refused = !again.is_empty();
        log!(
            TRACE,
            PRODUCER,
            shared.session.counters(),
            "a request was answered",
            topic = &*shared.topic,
            spu = self.spu,
            batches = results.len() + again.len(),
            refused = again.len()
        );
        if let Some(first) = again.first() {
            self.tell_refused(shared, first.partition, again.len());
            shared.accumulator.put_back(again);
            work.pause();
        } else {
            work.backoff.reset();
            self.clear_error(work);
        }
        Ok(Answered { results, has_refused })
    }

    /// Says that batches, the first of them of this partition, are sent again.
    fn tell_refused(&self, shared: &Shared, partition: u32, batches: usize) {
        let (counters, topic, spu) = (shared.session.counters(), &*shared.topic, self.spu);
        let reason = self.last_error().map(|error| error.reason());
        let reason = reason.as_deref();
        log!(
            WARN,
            PRODUCER,
            counters,
            "the SPU has refused batches: they are sent again",
            topic,
            spu,
            partition,
            batches,
            reason
        );
    }

    /// What follows from the answer to a batch, in a request of that version.
    fn judge(&self, shared: &Shared, work: &mut Work, batch: &Batch, answer: Answer, version: i16) -> Fate {
        let partition = batch.partition;
        let error = match answer {
            Answer::Written(base_offset) => {
                shared.modules.are_known();
                return Fate::Settled(Ok(shared.offset(base_offset)));
            }
            Answer::Refused(code) => {
                let error = shared.explained(refused(&code).with_partition(partition), &code);
                if shared.modules.goes_again(&code, version) {
                    self.note_error(work, error);
                    return Fate::Again;
                }
                if is_retriable(&code) {
                    shared.accumulator.set_refused(self.spu, partition);
                    if shared.options.delivery == Delivery::AtLeastOnce {
                        shared.session.counters().note(error.kind);
                        let message = format!("SPU {}: {}", self.spu, error.message);
                        self.note_error(work, Error { message, ..error });
                        return Fate::Again;
                    }
                }
                let error = error.with_topic(&shared.topic);
                let is_filters = shared.deduplicates && code == ErrorCode::StorageError;
                if !is_filters && matches!(code, ErrorCode::StorageError | ErrorCode::PartitionShortCircuited) {
                    shared.accumulator.set_broken(self.spu, partition, &error);
                }
                error
            }
            Answer::Unknown(number) => Error::from_unknown_code(number).with_outcome(Outcome::Unknown),
            Answer::Unreadable => {
                let text = "the server's answer stands behind an error code that this version does not know";
                Error::new(ErrorKind::DeliveryUnknown, text).with_outcome(Outcome::Unknown)
            }
        };
        Fate::Settled(Err(error.with_topic(&shared.topic).with_partition(partition)))
    }
}

impl Work {
    /// Takes the oldest request, which `frame` answers, out of flight. After an error it still is in flight.
    fn take_answered(&mut self, frame: &Frame, spu: i32) -> Result<(Request, Vec<Answer>)> {
        let connection = self.connection.any().ok_or_else(|| Error::internal("a reply came without a connection"))?;
        let first = connection.in_flight.front().filter(|request| request.correlation == frame.correlation);
        let Some(request) = first else {
            return Err(Error::incompatible(format!("SPU {spu} answered another request than the next one")));
        };
        let answers = answers::read(frame.body.clone(), request.batches.len())?;
        let request =
            connection.in_flight.pop_front().ok_or_else(|| Error::internal("a reply came without a request"))?;
        connection.heard = Some(Instant::now());
        Ok((request, answers))
    }
}

/// Whether the code says that nothing was written and that another attempt, perhaps elsewhere, can succeed.
fn is_retriable(code: &ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotLeaderForPartition
            | ErrorCode::SpuOffline
            | ErrorCode::TopicPendingInitialization
            | ErrorCode::PartitionPendingInitialization
            | ErrorCode::PartitionNotLeader
    )
}

/// The error of a batch that the server has answered with `code`.
fn refused(code: &ErrorCode) -> Error {
    let error = Error::from_code(code, None);
    let outcome = match code {
        // Where SmartModules fail, nothing is written.
        _ if error.kind == ErrorKind::SmartModule => Outcome::NotWritten,
        // The batch was written, but not replicated in time; or the server does not say.
        ErrorCode::RequestTimedOut { .. } | ErrorCode::UnknownServerError | ErrorCode::Other(_) => Outcome::Unknown,
        _ => Outcome::NotWritten,
    };
    error.with_outcome(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch that may be in the log must not go again on the server's word, nor to another partition.
    #[test]
    fn what_goes_again_was_certainly_not_written() {
        use ErrorCode as E;
        let again = [
            E::NotLeaderForPartition,
            E::SpuOffline,
            E::TopicPendingInitialization,
            E::PartitionPendingInitialization,
            E::PartitionNotLeader,
        ];
        for code in again {
            let error = refused(&code);
            assert!(is_retriable(&code) && error.retriable, "{code:?}");
            assert_eq!(error.outcome, Outcome::NotWritten, "{code:?}");
        }
    }

    #[test]
    fn what_the_server_leaves_open_is_unknown() {
        use ErrorCode as E;
        let timed_out = E::RequestTimedOut { timeout_ms: 5, kind: fluvio_protocol::api::RequestKind::Produce };
        for (code, outcome) in [
            (timed_out, Outcome::Unknown),
            (E::UnknownServerError, Outcome::Unknown),
            (E::Other("why".to_owned()), Outcome::Unknown),
            (E::Other("smartmodule chain failed: trap".to_owned()), Outcome::NotWritten),
            (E::MessageTooLarge, Outcome::NotWritten),
            (E::StorageError, Outcome::NotWritten),
            (E::PermissionDenied, Outcome::NotWritten),
        ] {
            let error = refused(&code);
            assert_eq!((error.outcome, is_retriable(&code)), (outcome, false), "{code:?}");
        }
    }
}
