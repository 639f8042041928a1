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
use fluvio_spu_schema::server::fetch_offset::FetchOffsetsRequest;
use fluvio_spu_schema::server::update_offset::{OffsetUpdateStatus, UpdateOffsetsRequest, UpdateOffsetsResponse};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::fetch::{self, Fetch, Records, StreamFetch};
use super::produce::{self, Produce};
use super::stream::{self, NO_ACK, Stream};
use super::versions::api_versions;
use super::writer::Writer;
use super::{Spu, offsets};
use crate::net::{self, FrameReader};

/// The streams of a connection, by number. A number stays known after its stream has ended.
#[derive(Default)]
struct Sessions {
    last: u32,
    acknowledgements: HashMap<u32, watch::Sender<i64>>,
    /// Dropped with the connection, which ends the streams.
    tasks: JoinSet<io::Result<()>>,
}

struct Connection {
    spu: Arc<Spu>,
    writer: Writer,
    sessions: Sessions,
}

pub(crate) async fn serve(spu: Arc<Spu>, socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(!spu.write_like_real)?;
    let (read, write) = socket.into_split();
    let writer = Writer::new(write, spu.write_like_real);
    let mut frames = FrameReader::new(read);
    let mut connection = Connection { spu, writer, sessions: Sessions::default() };
    while let Some(frame) = frames.next().await? {
        connection.handle(frame).await?;
    }
    Ok(())
}

impl Connection {
    /// Serves one request. An error closes the connection, as the real server does for what it does not understand.
    async fn handle(&mut self, mut frame: BytesMut) -> io::Result<()> {
        let (header, at) = net::request_header(&frame)?;
        let version = header.api_version();
        let mut body = &frame[at..];
        let reply = match header.api_key() {
            Produce::API_KEY => produce::produce(&self.spu, &header, &mut frame, at)?,
            Fetch::API_KEY => net::reply(&header, &fetch::fetch(&self.spu, Fetch::decode_from(&mut body, version)?)?)?,
            FetchOffsetsRequest::API_KEY => {
                let request = FetchOffsetsRequest::decode_from(&mut body, version)?;
                net::reply(&header, &offsets::fetch_offsets(&self.spu, request))?
            }
            StreamFetch::API_KEY => {
                return self.open_stream(header, StreamFetch::decode_from(&mut body, version)?).await;
            }
            UpdateOffsetsRequest::API_KEY => {
                return self.acknowledge(&header, UpdateOffsetsRequest::decode_from(&mut body, version)?).await;
            }
            ApiVersionsRequest::API_KEY => {
                net::reply(&header, &api_versions(&ApiVersionsRequest::decode_from(&mut body, version)?))?
            }
            key => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("unknown api key {key}"))),
        };
        self.writer.frame(&reply).await
    }

    async fn open_stream(&mut self, header: RequestHeader, request: StreamFetch) -> io::Result<()> {
        let Some(replica) = self.spu.replica(&request.topic, request.partition) else {
            let partition = FetchablePartitionResponse::<Records> {
                partition_index: request.partition,
                error_code: ErrorCode::NotLeaderForPartition,
                ..Default::default()
            };
            return self.writer.frame(&stream::frame(&header, &request.topic, 0, partition)?).await;
        };
        let sessions = &mut self.sessions;
        while sessions.tasks.try_join_next().is_some() {}
        sessions.last += 1;
        let (sender, acknowledged) = watch::channel(NO_ACK);
        sessions.acknowledgements.insert(sessions.last, sender);
        let writer = self.writer.clone();
        let stream = Stream { header, session: sessions.last, request, replica, writer, acknowledged };
        sessions.tasks.spawn(stream.run());
        Ok(())
    }

    /// Answers before the streams hear of it, so that the answer comes before what they send.
    async fn acknowledge(&mut self, header: &RequestHeader, request: UpdateOffsetsRequest) -> io::Result<()> {
        let mut last = HashMap::new();
        let status = request.offsets.iter().map(|update| {
            let error = if self.sessions.acknowledgements.contains_key(&update.session_id) {
                last.insert(update.session_id, update.offset);
                ErrorCode::None
            } else {
                ErrorCode::FetchSessionNotFoud
            };
            OffsetUpdateStatus { session_id: update.session_id, error }
        });
        let response = UpdateOffsetsResponse { status: status.collect() };
        self.writer.frame(&net::reply(header, &response)?).await?;
        for (session, offset) in last {
            if let Some(sender) = self.sessions.acknowledgements.get(&session) {
                sender.send_replace(offset);
            }
        }
        Ok(())
    }
}
