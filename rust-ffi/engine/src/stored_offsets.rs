//! The offsets that the cluster keeps of consumers, in a topic of its own, at the SPU that leads it.

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

/// The system topic whose leader keeps them.
const TOPIC: &str = "consumer-offset";

/// Of the requests about stored offsets.
pub(crate) const VERSION: i16 = 25;

/// The stored offsets of one consumer's id, or of all; again while leaders change or are away.
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
    // A young cluster has not made the topic yet, and so has no offsets.
    let Some(mut connection) = keeper(session, limit).await? else { return Ok(Vec::new()) };
    // There may be many, of all consumers.
    connection.expect(usize::MAX);
    let request = FetchConsumerOffsetsRequest::with_opts(None, id.map(str::to_owned));
    let number = connection.request(&request, VERSION)?;
    let response: FetchConsumerOffsetsResponse = session.reply(&mut connection, number).await?.decode(VERSION)?;
    accepted(&response.error_code, &connection)?;
    Ok(response.consumers.into_iter().filter(|stored| id.is_none_or(|id| stored.consumer_id == id)).collect())
}

/// Forgets a stored offset, if there is one; again while leaders change or are away.
pub(crate) async fn forget(session: &Session, id: &str, topic: &str, partition: u32, limit: &Limit) -> Result<()> {
    let mut attempts = limit.attempts(session.counters());
    while let Err(error) = delete(session, id, topic, partition, limit).await {
        attempts.after(error).await.map_err(|error| session.counters().noted(error))?;
    }
    Ok(())
}

async fn delete(session: &Session, id: &str, topic: &str, partition: u32, limit: &Limit) -> Result<()> {
    let Some(mut connection) = keeper(session, limit).await? else { return Ok(()) };
    let number = connection.request(&DeleteConsumerOffsetRequest::new(topic, partition, id), VERSION)?;
    let response: DeleteConsumerOffsetResponse = session.reply(&mut connection, number).await?.decode(VERSION)?;
    accepted(&response.error_code, &connection)
}

/// A connection to the SPU that keeps the offsets. `None`: they have no place yet.
async fn keeper(session: &Session, limit: &Limit) -> Result<Option<Connection>> {
    match session.view().topic(TOPIC, limit).await {
        Err(error) if error.kind == ErrorKind::TopicNotFound => return Ok(None),
        other => other?,
    };
    session.dial(leader(session, TOPIC, 0, limit).await?, true).await.map(Some)
}

/// What an SPU answered to a request about stored offsets.
pub(crate) fn accepted(code: &ErrorCode, connection: &Connection) -> Result<()> {
    match code {
        ErrorCode::None => Ok(()),
        code => Err(refusal(code, connection)),
    }
}

/// What the SPU has no code for passes: the one that keeps the offsets is away, or this one has just started and has not
/// heard of it yet.
pub(crate) fn refusal(code: &ErrorCode, connection: &Connection) -> Error {
    let error = Error::from_code(code, None);
    let passes = matches!(code, ErrorCode::Other(_) | ErrorCode::UnknownServerError | ErrorCode::FetchSessionNotFoud);
    let retriable = error.retriable || passes;
    Error { message: format!("{}: {}", connection.peer(), error.message), retriable, ..error }
}
