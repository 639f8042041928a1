//! The offsets that the cluster stores for consumers: in a topic of its own, at the SPU that leads that topic.

use fluvio_protocol::link::ErrorCode;
use fluvio_spu_schema::server::consumer_offset::{
    ConsumerOffset, DeleteConsumerOffsetRequest, DeleteConsumerOffsetResponse, FetchConsumerOffsetsRequest,
    FetchConsumerOffsetsResponse,
};

use crate::error::{Error, ErrorKind, Result};
use crate::limit::Limit;
use crate::log_offsets::leader;
use crate::session::Session;
use crate::transport::Connection;

/// The system topic whose leader keeps the stored offsets.
const TOPIC: &str = "consumer-offset";

/// The version of the requests about stored offsets.
pub(crate) const VERSION: i16 = 25;

/// The stored offsets of one consumer's id, or of all. Asked for anew while leaders change or are away.
pub(crate) async fn stored(session: &Session, id: Option<&str>, limit: &Limit) -> Result<Vec<ConsumerOffset>> {
    let mut attempts = limit.attempts(session.counters());
    loop {
        match fetch(session, id, limit).await {
            Err(error) => attempts.after(error).await.map_err(|error| session.counters().noted(error))?,
            stored => return stored,
        }
    }
}

async fn fetch(session: &Session, id: Option<&str>, limit: &Limit) -> Result<Vec<ConsumerOffset>> {
    // A young cluster has not made the topic yet, so it has stored nothing.
    let Some(mut connection) = connect_keeper(session, limit).await? else { return Ok(Vec::new()) };
    // The reply has the offsets of all consumers, and may be large.
    connection.expect(usize::MAX);
    let request = FetchConsumerOffsetsRequest::with_opts(None, id.map(str::to_owned));
    let number = connection.request(&request, VERSION)?;
    let response: FetchConsumerOffsetsResponse = session.reply(&mut connection, number).await?.decode(VERSION)?;
    check(&response.error_code, &connection)?;
    Ok(response.consumers.into_iter().filter(|stored| id.is_none_or(|id| stored.consumer_id == id)).collect())
}

/// Has the cluster forget a stored offset, if there is one. Tried anew while leaders change or are away.
pub(crate) async fn forget(session: &Session, id: &str, topic: &str, partition: u32, limit: &Limit) -> Result<()> {
    let mut attempts = limit.attempts(session.counters());
    while let Err(error) = delete(session, id, topic, partition, limit).await {
        attempts.after(error).await.map_err(|error| session.counters().noted(error))?;
    }
    Ok(())
}

async fn delete(session: &Session, id: &str, topic: &str, partition: u32, limit: &Limit) -> Result<()> {
    let Some(mut connection) = connect_keeper(session, limit).await? else { return Ok(()) };
    let number = connection.request(&DeleteConsumerOffsetRequest::new(topic, partition, id), VERSION)?;
    let response: DeleteConsumerOffsetResponse = session.reply(&mut connection, number).await?.decode(VERSION)?;
    check(&response.error_code, &connection)
}

/// A connection to the SPU that keeps the offsets. `None`: the cluster has no topic for them yet.
async fn connect_keeper(session: &Session, limit: &Limit) -> Result<Option<Connection>> {
    match session.metadata().topic(TOPIC, limit).await {
        Err(error) if error.kind == ErrorKind::TopicNotFound => return Ok(None),
        other => other?,
    };
    session.dial(leader(session, TOPIC, 0, limit).await?, true).await.map(Some)
}

/// The error with which an SPU answered a request about stored offsets, if it did.
pub(crate) fn check(code: &ErrorCode, connection: &Connection) -> Result<()> {
    match code {
        ErrorCode::None => Ok(()),
        code => Err(refusal(code, connection)),
    }
}

/// An error of an SPU as ours. One without a code of its own is worth another attempt: the SPU that keeps the offsets
/// is away, or this SPU has just started and does not know the other yet.
pub(crate) fn refusal(code: &ErrorCode, connection: &Connection) -> Error {
    let error = Error::from_code(code, None);
    let passes = matches!(code, ErrorCode::Other(_) | ErrorCode::UnknownServerError | ErrorCode::FetchSessionNotFoud);
    let retriable = error.retriable || passes;
    Error { message: format!("{}: {}", connection.peer(), error.message), retriable, ..error }
}
