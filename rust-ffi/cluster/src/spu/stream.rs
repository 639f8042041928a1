//! StreamFetch: one reply for the opening and one for each acknowledgement, as soon as there is something to send.

use std::io;
use std::sync::Arc;

use fluvio_protocol::api::RequestHeader;
use fluvio_protocol::link::ErrorCode;
use fluvio_spu_schema::fetch::FetchablePartitionResponse;
use fluvio_spu_schema::server::stream_fetch::StreamFetchResponse;
use tokio::sync::watch;

use super::fetch::{self, Records, StreamFetch};
use super::replica::{Gone, Progress};
use super::transforms::{Outcome, Transforms};
use super::writer::Writer;
use super::{Replica, Spu};
use crate::net;
use crate::smartmodules::Habit;

/// The value of the acknowledgement cell before the first acknowledgement; the real server ignores it from a client,
/// too.
pub(crate) const NO_ACK: i64 = -1;
/// An acknowledgement that ends the stream: the real server's internal mark, which it also takes from a client.
const END_OF_TOPIC: i64 = -2;

/// One open stream.
pub(crate) struct Stream {
    pub(crate) header: RequestHeader,
    pub(crate) session: u32,
    pub(crate) request: StreamFetch,
    pub(crate) replica: Arc<Replica>,
    pub(crate) spu: Arc<Spu>,
    pub(crate) writer: Writer,
    /// The last acknowledgement: a cell, not a queue, so of several that come at once only the last counts.
    pub(crate) acknowledged: watch::Receiver<i64>,
}

/// A frame of a stream; `slice` follows it.
pub(crate) fn frame(
    header: &RequestHeader,
    topic: &str,
    stream_id: u32,
    partition: FetchablePartitionResponse<Records>,
) -> io::Result<Vec<u8>> {
    let following = partition.records.length - partition.records.bytes.len();
    let response = StreamFetchResponse { topic: topic.to_owned(), stream_id, partition };
    net::reply_to(header.correlation_id(), header.api_version(), &response, following)
}

fn error_of(gone: Gone) -> ErrorCode {
    match gone {
        Gone::Deleted => ErrorCode::TopicDeleted,
        Gone::Moved => ErrorCode::NotLeaderForPartition,
    }
}

/// What has become of a look into the log.
enum Reply {
    Sent,
    /// There was nothing to send; the next look is from there.
    Nothing {
        next: i64,
    },
    Failed(ErrorCode),
}

/// Waits until the partition is no longer served here.
async fn went(mut progress: watch::Receiver<Progress>) -> Gone {
    let gone = progress.wait_for(|progress| progress.gone.is_some()).await.ok().and_then(|progress| progress.gone);
    match gone {
        Some(gone) => gone,
        // The SPU is down, and the connection with it.
        None => std::future::pending().await,
    }
}

impl Stream {
    /// Runs until the topic goes, an error was sent, or the connection is closed (then it is dropped).
    pub(crate) async fn run(mut self) -> io::Result<()> {
        let mut progress = self.replica.progress();
        let mut transforms = tokio::select! {
            opened = self.open_transforms() => match opened {
                Ok(transforms) => transforms,
                Err(error) => return self.fail(error).await,
            },
            gone = went(progress.clone()) => return self.fail(error_of(gone)).await,
        };
        // The offset that a reply is owed for. None: the client's turn.
        let mut owed = Some(self.request.fetch_offset);
        // The first look also finds what is wrong with the start; later ones only happen below the end.
        let mut look = true;
        loop {
            let gone = progress.borrow_and_update().gone;
            if let Some(gone) = gone {
                return self.fail(error_of(gone)).await;
            }
            if let Some(offset) = owed.filter(|&offset| look || offset < progress.borrow().end(self.request.isolation))
            {
                look = false;
                owed = match self.reply(offset, transforms.as_mut(), &progress).await? {
                    Reply::Sent => None,
                    Reply::Nothing { next } if next == offset => Some(offset),
                    Reply::Nothing { next } => {
                        owed = Some(next);
                        continue;
                    }
                    // The log of a deleted topic is gone before its streams hear of it.
                    Reply::Failed(error) => {
                        let gone = progress.borrow().gone;
                        return self.fail(gone.map_or(error, error_of)).await;
                    }
                };
            }
            tokio::select! {
                biased;
                changed = self.acknowledged.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let acknowledged = *self.acknowledged.borrow_and_update();
                    match acknowledged {
                        NO_ACK => {}
                        END_OF_TOPIC => return self.fail(ErrorCode::TopicDeleted).await,
                        offset => owed = Some(offset),
                    }
                }
                changed = progress.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn open_transforms(&mut self) -> Result<Option<Transforms>, ErrorCode> {
        let invocations = std::mem::take(&mut self.request.smartmodules);
        if invocations.is_empty() {
            return Ok(None);
        }
        let (version, settings) = (self.header.api_version(), self.spu.faults.smartmodules());
        Transforms::open(&self.spu.engine, &self.replica, invocations, version, settings).await.map(Some)
    }

    /// Replies with what there is from an offset on.
    async fn reply(
        &self,
        offset: i64,
        transforms: Option<&mut Transforms>,
        progress: &watch::Receiver<Progress>,
    ) -> io::Result<Reply> {
        let most_bytes = self.request.max_bytes.cast_unsigned();
        let isolation = self.request.isolation;
        // Modules are shown all there is, whatever the client can take.
        let limit = if transforms.is_some() { u32::MAX } else { most_bytes };
        let end = progress.borrow().end(isolation);
        let (response, slice) = fetch::look(&self.replica, self.request.partition, offset, limit, isolation);
        if response.error_code.is_error() {
            return Ok(Reply::Failed(response.error_code));
        }
        let Some(slice) = slice.filter(|slice| slice.length > 0) else { return Ok(Reply::Nothing { next: offset }) };
        let Some(transforms) = transforms else {
            let frame = frame(&self.header, &self.request.topic, self.session, response)?;
            self.writer.frame_and_slice(&frame, &slice).await?;
            return Ok(Reply::Sent);
        };
        let ran = tokio::select! {
            ran = transforms.read(slice, most_bytes, self.spu.faults.smartmodules().habits) => ran,
            gone = went(progress.clone()) => Err(error_of(gone)),
        };
        match ran {
            Err(error) => Ok(Reply::Failed(error)),
            Ok(outcome) => self.send_outcome(response, outcome, end).await,
        }
    }

    /// Sends what has come out of the modules; nothing if that is nothing: then the stream goes on at the end of the
    /// log, as on the real server, or behind what was read.
    async fn send_outcome(
        &self,
        mut response: FetchablePartitionResponse<Records>,
        outcome: Outcome,
        end: i64,
    ) -> io::Result<Reply> {
        let skips = self.spu.faults.smartmodules().habits.has(Habit::SkipSegments);
        let Outcome { is_empty, next_offset, read_to, verdict, batch } = outcome;
        let end = read_to.map_or(end, |read_to| if skips { end.max(read_to) } else { read_to });
        if is_empty && verdict.is_none() {
            return Ok(Reply::Nothing { next: end });
        }
        response.next_filter_offset = if is_empty { end } else { next_offset };
        response.error_code = verdict.map_or(ErrorCode::None, ErrorCode::SmartModuleRuntimeError);
        response.records = Records { length: batch.len(), bytes: batch };
        self.writer.frame(&frame(&self.header, &self.request.topic, self.session, response)?).await?;
        Ok(Reply::Sent)
    }

    pub(crate) async fn fail(&self, error_code: ErrorCode) -> io::Result<()> {
        let partition =
            FetchablePartitionResponse { partition_index: self.request.partition, error_code, ..Default::default() };
        self.writer.frame(&frame(&self.header, &self.request.topic, self.session, partition)?).await
    }
}
