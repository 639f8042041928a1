//! The connections to one partition of the log: one to read it, one to write to it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes};
use fluvio_cffi_group::GroupKey;
use fluvio_cffi_wire::{BatchBuilder, Codec, ProduceEntry, ProduceHead, produce_request};
use fluvio_protocol::link::ErrorCode;
use tokio::time::Instant;

use super::Place;
use super::reader::Item;
use super::stream::{LogStream, within};
use crate::error::{Error, ErrorKind, Result};
use crate::limit::Limit;
use crate::log_offsets::{leader, log_bounds};
use crate::replies;
use crate::transport::Connection;

const PRODUCE_VERSION: i16 = 25;

/// Both connections.
pub(super) struct Link {
    stream: LogStream,
    producer: Connection,
    topic: String,
    partition: u32,
    /// Where the log began when they were made.
    pub(super) start: i64,
    /// Where it ended.
    pub(super) end: i64,
}

impl Link {
    /// Connects. The stream begins at `from`, or, where that is not known, at the last record.
    pub(super) async fn open(place: &Place, from: Option<i64>, patience: Duration) -> Result<Self> {
        within(patience, async {
            let limit = Limit::new(Some(patience));
            let spu = leader(&place.session, &place.topic, place.partition, &limit).await?;
            let (reader, producer, (start, end)) = tokio::try_join!(
                place.session.dial(spu, true),
                place.session.dial(spu, false),
                log_bounds(&place.session, &place.topic, place.partition, &limit)
            )?;
            let stream = LogStream::on(reader, place, from.unwrap_or((end - 1).max(start)))?;
            Ok(Self { stream, producer, topic: place.topic.clone(), partition: place.partition, start, end })
        })
        .await
    }

    /// Sends commands, now.
    pub(super) fn send(&mut self, commands: &[(GroupKey, Vec<u8>)], timeout: Duration) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64);
        let mut batch = BatchBuilder::with_capacity(commands.iter().map(|(_, value)| value.len() + 64).sum());
        for (key, value) in commands {
            batch.push(now, Some(key.to_string().as_bytes()), value);
        }
        let batch = batch.finish(Codec::None).map_err(|cause| Error::internal(format!("a batch: {cause}")))?;
        let correlation = self.producer.next_correlation();
        let head = ProduceHead {
            version: PRODUCE_VERSION,
            client_id: self.producer.client_id(),
            topic: &self.topic,
            committed: false,
            timeout_ms: timeout.as_millis().min(i32::MAX as u128) as i32,
            smartmodules: None,
        };
        let request = produce_request(correlation, &head, &[ProduceEntry { partition: self.partition, batch }]);
        self.producer.queue(request);
        self.producer.try_flush().map(drop)
    }

    /// Waits for records. What the server says to what was sent is looked at, too.
    pub(super) async fn next(&mut self) -> Result<Vec<Item>> {
        loop {
            tokio::select! {
                items = self.stream.next() => return items,
                frame = self.producer.next_frame() => written(frame?.body)?,
            }
        }
    }

    /// When the stream's peer was last heard, or probed.
    pub(super) fn heard(&self) -> Instant {
        self.stream.heard()
    }

    /// Sees whether it still lives: an error if it has not answered since the last time.
    pub(super) fn probe(&mut self) -> Result<()> {
        self.stream.probe()
    }

    /// Whether a reply of the stream waits for being acknowledged.
    pub(super) fn waits(&self) -> bool {
        self.stream.waits()
    }

    /// Has the next reply of the stream sent.
    pub(super) fn acknowledge(&mut self) -> Result<()> {
        self.stream.acknowledge()
    }
}

/// An error if the server did not write what it was sent.
pub(super) fn written(mut body: Bytes) -> Result<()> {
    let cut = || Error::incompatible("the SPU's reply to a produce request cannot be read");
    let topics = body.try_get_i32().map_err(|_| cut())?;
    for _ in 0..topics.min(1) {
        replies::take::<String>(&mut body, PRODUCE_VERSION)?;
        let partitions = body.try_get_i32().map_err(|_| cut())?;
        if partitions > 0 {
            body.try_get_u32().map_err(|_| cut())?;
            if body.clone().try_get_i16().map_err(|_| cut())? != 0 {
                let code = replies::take::<ErrorCode>(&mut body, PRODUCE_VERSION)?;
                let error = Error::from_code(&code, None);
                return Err(Error { kind: ErrorKind::Connection, ..error }.passing());
            }
        }
    }
    Ok(())
}
