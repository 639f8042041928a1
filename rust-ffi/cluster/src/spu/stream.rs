//! StreamFetch: one reply for the opening and one for each acknowledgement, as soon as there is something to send.

use std::io;
use std::sync::Arc;

use fluvio_protocol::api::RequestHeader;
use fluvio_protocol::link::ErrorCode;
use fluvio_spu_schema::fetch::FetchablePartitionResponse;
use fluvio_spu_schema::server::stream_fetch::StreamFetchResponse;
use tokio::sync::watch;

use super::Replica;
use super::fetch::{self, Records, StreamFetch};
use super::replica::Gone;
use super::writer::Writer;
use crate::log::Slice;
use crate::net;

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

impl Stream {
    /// Runs until the topic goes, an error was sent, or the connection is closed (then it is dropped).
    pub(crate) async fn run(mut self) -> io::Result<()> {
        if !self.request.smartmodules.is_empty() {
            return self.fail(ErrorCode::Other("SmartModules are not available here".to_owned())).await;
        }
        let mut progress = self.replica.progress();
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
                let limit = self.request.max_bytes.cast_unsigned();
                let isolation = self.request.isolation;
                let (response, slice) = fetch::look(&self.replica, self.request.partition, offset, limit, isolation);
                if response.error_code.is_error() {
                    // The log of a deleted topic is gone before its streams hear of it.
                    let gone = progress.borrow().gone;
                    return self.fail(gone.map_or(response.error_code, error_of)).await;
                }
                if let Some(slice) = slice.filter(|slice| slice.length > 0) {
                    self.send(response, &slice).await?;
                    owed = None;
                }
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

    async fn send(&self, response: FetchablePartitionResponse<Records>, slice: &Slice) -> io::Result<()> {
        let frame = frame(&self.header, &self.request.topic, self.session, response)?;
        self.writer.frame_and_slice(&frame, slice).await
    }

    pub(crate) async fn fail(&self, error_code: ErrorCode) -> io::Result<()> {
        let partition =
            FetchablePartitionResponse { partition_index: self.request.partition, error_code, ..Default::default() };
        self.writer.frame(&frame(&self.header, &self.request.topic, self.session, partition)?).await
    }
}
