//! One client connection: requests are served one after another, streams are tasks of their own.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use fluvio_protocol::Decoder;
use fluvio_protocol::api::{Request, RequestHeader};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::link::versions::ApiVersionsRequest;
use fluvio_spu_schema::fetch::FetchablePartitionResponse;
use fluvio_spu_schema::server::consumer_offset::{
    DeleteConsumerOffsetRequest, FetchConsumerOffsetsRequest, UpdateConsumerOffsetRequest, UpdateConsumerOffsetResponse,
};
use fluvio_spu_schema::server::fetch_offset::FetchOffsetsRequest;
use fluvio_spu_schema::server::update_offset::{OffsetUpdateStatus, UpdateOffsetsRequest, UpdateOffsetsResponse};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::fetch::{self, Fetch, Records, StreamFetch};
use super::produce::{self, Produce};
use super::stream::{self, NO_ACK, Stream};
use super::versions::api_versions;
use super::writer::Writer;
use super::{Replica, Spu, consumers, offsets};
use crate::faults::RequestKind;
use crate::listener::{Accepted, Shutdown};
use crate::net;

/// Bytes of a request that holds no records, but perhaps the code of a SmartModule; and entries of any request.
const MOST_BYTES: usize = 16 << 20;
const MOST_ENTRIES: usize = 100_000;

/// Streams of one connection: their numbers stay good for as long as it lasts.
const MOST_STREAMS: usize = 10_000;

/// SmartModules of one chain: each has a memory of its own.
pub(super) const MOST_MODULES: usize = 100;

/// What a connection remembers of a stream, also after the stream has ended.
struct Session {
    acknowledged: watch::Sender<i64>,
    consumer: Option<String>,
    replica: Arc<Replica>,
}

/// The streams of a connection, by number.
#[derive(Default)]
struct Sessions {
    last: u32,
    known: HashMap<u32, Session>,
    /// Dropped with the connection, which ends the streams.
    tasks: JoinSet<io::Result<()>>,
}

struct Connection {
    spu: Arc<Spu>,
    writer: Writer,
    sessions: Sessions,
}

pub(crate) async fn serve(spu: Arc<Spu>, accepted: Accepted) -> io::Result<()> {
    let (mut requests, replies, mut end) = accepted.split(!spu.write_like_real)?;
    let writer = Writer::new(replies, Arc::clone(&spu.faults), spu.write_like_real);
    let mut connection = Connection { spu, writer, sessions: Sessions::default() };
    let work = async {
        while let Some(frame) = requests.next().await? {
            connection.handle(frame).await?;
        }
        Ok(())
    };
    let (ended, shutdown) = tokio::select! {
        ended = work => (ended, Shutdown::Orderly),
        shutdown = end.ordered() => (Ok(()), shutdown),
    };
    if shutdown == Shutdown::Reset {
        requests.reset_on_close();
    }
    // The streams hold the socket, too.
    connection.sessions.tasks.shutdown().await;
    ended
}

/// Whether a request asks about no more partitions than any client does, by topic.
pub(super) fn entries(partitions: impl IntoIterator<Item = usize>) -> io::Result<()> {
    let count =
        partitions.into_iter().fold(0, |sum: usize, partitions| sum.saturating_add(partitions.saturating_add(1)));
    net::at_most(count, MOST_ENTRIES, "entries of a request")
}

impl Connection {
    /// Serves one request. An error closes the connection, as the real server does for what it does not understand.
    async fn handle(&mut self, mut frame: BytesMut) -> io::Result<()> {
        let (header, at) = net::request_header(&frame)?;
        let version = header.api_version();
        if header.api_key() != Produce::API_KEY {
            net::at_most(frame.len(), MOST_BYTES, "bytes of a request")?;
        }
        let mut body = &frame[at..];
        let reply = match header.api_key() {
            Produce::API_KEY => {
                let failure = self.spu.faults.failure(RequestKind::Produce);
                produce::produce(&self.spu, &header, &mut frame, at, failure.as_ref()).await?
            }
            Fetch::API_KEY => {
                let failure = self.spu.faults.failure(RequestKind::Fetch);
                let request = Fetch::decode_from(&mut body, version)?;
                entries(request.topics.iter().map(|topic| topic.fetch_partitions.len()))?;
                net::reply(&header, &fetch::fetch(&self.spu, request, failure.as_ref()).await?)?
            }
            FetchOffsetsRequest::API_KEY => {
                let failure = self.spu.faults.failure(RequestKind::Offsets);
                let request = FetchOffsetsRequest::decode_from(&mut body, version)?;
                entries(request.topics.iter().map(|topic| topic.partitions.len()))?;
                net::reply(&header, &offsets::fetch_offsets(&self.spu, request, failure.as_ref()).await)?
            }
            StreamFetch::API_KEY => {
                return self.open_stream(header, StreamFetch::decode_from(&mut body, version)?).await;
            }
            UpdateOffsetsRequest::API_KEY => {
                return self.acknowledge(&header, UpdateOffsetsRequest::decode_from(&mut body, version)?).await;
            }
            UpdateConsumerOffsetRequest::API_KEY => {
                let request = UpdateConsumerOffsetRequest::decode_from(&mut body, version)?;
                net::reply(&header, &self.commit(&request))?
            }
            DeleteConsumerOffsetRequest::API_KEY => {
                let request = DeleteConsumerOffsetRequest::decode_from(&mut body, version)?;
                net::reply(&header, &consumers::delete(&self.spu, request))?
            }
            FetchConsumerOffsetsRequest::API_KEY => {
                let request = FetchConsumerOffsetsRequest::decode_from(&mut body, version)?;
                net::reply(&header, &consumers::fetch(&self.spu, request))?
            }
            ApiVersionsRequest::API_KEY => {
                net::reply(&header, &api_versions(&ApiVersionsRequest::decode_from(&mut body, version)?))?
            }
            key => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("unknown api key {key}"))),
        };
        self.writer.reply(&reply).await
    }

    async fn open_stream(&mut self, header: RequestHeader, request: StreamFetch) -> io::Result<()> {
        net::at_most(request.smartmodules.len(), MOST_MODULES, "SmartModules of a stream")?;
        let failure = self.spu.faults.failure(RequestKind::Stream);
        let replica = self.spu.replica(&request.topic, request.partition).await;
        let Some(replica) = replica.filter(|_| failure != Some(ErrorCode::NotLeaderForPartition)) else {
            let partition = FetchablePartitionResponse::<Records> {
                partition_index: request.partition,
                error_code: ErrorCode::NotLeaderForPartition,
                ..Default::default()
            };
            return self.writer.reply(&stream::frame(&header, &request.topic, 0, partition)?).await;
        };
        let sessions = &mut self.sessions;
        while sessions.tasks.try_join_next().is_some() {}
        net::at_most(sessions.known.len() + 1, MOST_STREAMS, "streams of a connection")?;
        sessions.last += 1;
        let (sender, acknowledged) = watch::channel(NO_ACK);
        let consumer = request.consumer_id.clone();
        let session = Session { acknowledged: sender, consumer, replica: Arc::clone(&replica) };
        sessions.known.insert(sessions.last, session);
        let writer = self.writer.clone();
        let spu = Arc::clone(&self.spu);
        let stream = Stream { header, session: sessions.last, request, replica, spu, writer, acknowledged };
        match failure {
            Some(failure) => return stream.fail(failure).await,
            None => sessions.tasks.spawn(stream.run()),
        };
        Ok(())
    }

    /// Answers before the streams hear of it, so that the answer comes before what they send.
    async fn acknowledge(&mut self, header: &RequestHeader, request: UpdateOffsetsRequest) -> io::Result<()> {
        entries([request.offsets.len()])?;
        let mut last = HashMap::new();
        let status = request.offsets.iter().map(|update| {
            let error = if self.sessions.known.contains_key(&update.session_id) {
                last.insert(update.session_id, update.offset);
                ErrorCode::None
            } else {
                ErrorCode::FetchSessionNotFoud
            };
            OffsetUpdateStatus { session_id: update.session_id, error }
        });
        let response = UpdateOffsetsResponse { status: status.collect() };
        self.writer.reply(&net::reply(header, &response)?).await?;
        let lossy = self.spu.faults.loses_acks();
        for (session, offset) in last {
            if let Some(session) = self.sessions.known.get(&session) {
                // The real server's listener compares with the last value.
                session.acknowledged.send_if_modified(|last| {
                    let changed = !lossy || *last != offset;
                    *last = offset;
                    changed
                });
            }
        }
        Ok(())
    }

    /// Stores the offset of the consumer that a stream was opened for, whatever has become of the stream. Also in a
    /// partition that is gone: there it is hidden, and shown once there is a topic of that name again.
    fn commit(&self, request: &UpdateConsumerOffsetRequest) -> UpdateConsumerOffsetResponse {
        let stored = match self.sessions.known.get(&request.session_id) {
            None => Err(ErrorCode::FetchSessionNotFoud),
            Some(Session { consumer: None, .. }) => Err(ErrorCode::Other("stream without consumer id".to_owned())),
            Some(Session { consumer: Some(consumer), replica, .. }) => {
                self.spu.consumers.set(consumer, replica.key(), request.offset)
            }
        };
        match stored {
            Ok(()) => UpdateConsumerOffsetResponse { offset: request.offset, error_code: ErrorCode::None },
            Err(error_code) => UpdateConsumerOffsetResponse { offset: 0, error_code },
        }
    }
}
