//! Where logs begin and end, as their leaders say, and which SPUs lead them, as the metadata says.

use std::collections::{BTreeMap, BTreeSet};

use fluvio_protocol::link::ErrorCode;
use fluvio_spu_schema::server::fetch_offset::{
    FetchOffsetPartition, FetchOffsetPartitionResponse, FetchOffsetTopic, FetchOffsetsRequest, FetchOffsetsResponse,
};
use futures_util::future::join_all;

use crate::error::{Error, ErrorKind, Result};
use crate::limit::Limit;
use crate::session::Session;
use crate::transport::Connection;

const VERSION: i16 = 25;

/// The SPU that leads a partition. If none is known, the SC is asked whether there is such a topic.
pub(crate) async fn leader(session: &Session, topic: &str, partition: u32, limit: &Limit) -> Result<i32> {
    if let Some(leader) = known_leader(session, topic, partition) {
        return Ok(leader);
    }
    session.metadata().require(topic, limit).await?;
    known_leader(session, topic, partition).ok_or_else(|| leaderless(topic, partition))
}

fn leaderless(topic: &str, partition: u32) -> Error {
    let text = format!("partition {partition} of topic \"{topic}\" has no leader: start an SPU that keeps it");
    Error::new(ErrorKind::NotLeader, text).with_topic(topic).with_partition(partition)
}

/// The SPU that leads a partition, if the metadata knows one.
pub(crate) fn known_leader(session: &Session, topic: &str, partition: u32) -> Option<i32> {
    session.metadata().read(|metadata| metadata.partition(topic, partition)).map(|state| state.leader)
}

/// The first offset of a log, and the one after its last.
pub(crate) type Bounds = (i64, i64);

/// Asks one SPU for the bounds of the logs of partitions that it leads: of each the bounds, or why it does not tell
/// them.
pub(crate) async fn bounds(
    session: &Session,
    spu: i32,
    partitions: Vec<(String, u32)>,
) -> Result<BTreeMap<(String, u32), Result<Bounds>>> {
    bounds_by(session, &mut session.dial(spu, false).await?, partitions).await
}

/// The same on a connection to that SPU, of no use any more after an error.
pub(crate) async fn bounds_by(
    session: &Session,
    connection: &mut Connection,
    partitions: Vec<(String, u32)>,
) -> Result<BTreeMap<(String, u32), Result<Bounds>>> {
    let mut topics: BTreeMap<String, Vec<FetchOffsetPartition>> = BTreeMap::new();
    for (topic, partition_index) in partitions {
        topics.entry(topic).or_default().push(FetchOffsetPartition { partition_index });
    }
    let mut request = FetchOffsetsRequest::default();
    request.topics.extend(topics.into_iter().map(|(name, partitions)| FetchOffsetTopic { name, partitions }));
    let number = connection.request(&request, VERSION)?;
    let response: FetchOffsetsResponse = session.reply(connection, number).await?.decode(VERSION)?;
    let mut bounds = BTreeMap::new();
    for topic in response.topics {
        for partition in topic.partitions {
            let key = (topic.name.clone(), partition.partition_index);
            let answer = bounds_of(&partition).map_err(|error| error.with_topic(&key.0).with_partition(key.1));
            bounds.insert(key, answer);
        }
    }
    Ok(bounds)
}

/// The bounds of a log, as its leader tells them.
pub(crate) fn bounds_of(told: &FetchOffsetPartitionResponse) -> Result<Bounds> {
    let FetchOffsetPartitionResponse { error_code, start_offset: start, last_stable_offset: end, .. } = told;
    if *error_code != ErrorCode::None {
        return Err(Error::from_code(error_code, None));
    }
    if *start < 0 || *end < 0 {
        return Err(Error::incompatible(format!("the SPU says that a log goes from {start} to {end}")));
    }
    Ok((*start, *end))
}

/// The bounds of one log. Asked for anew while leaders change or are away.
pub(crate) async fn log_bounds(session: &Session, topic: &str, partition: u32, limit: &Limit) -> Result<Bounds> {
    let found = logs_bounds(session, topic, BTreeSet::from([partition]), limit).await?;
    found.get(&partition).copied().ok_or_else(|| unled(topic, partition))
}

/// The bounds of the logs of partitions of a topic, by partition. Asked for anew while leaders change or are away.
pub(crate) async fn logs_bounds(
    session: &Session,
    topic: &str,
    mut left: BTreeSet<u32>,
    limit: &Limit,
) -> Result<BTreeMap<u32, Bounds>> {
    let mut found = BTreeMap::new();
    let mut attempts = limit.attempts(session.counters());
    while let Err(error) = try_bounds(session, topic, &mut left, &mut found, limit).await {
        session.metadata().request_refresh();
        attempts.after(error).await.map_err(|error| session.counters().noted(error))?;
    }
    Ok(found)
}

/// One attempt to find the bounds of all that are `left`, at all leaders at once. What is found moves to `found`.
async fn try_bounds(
    session: &Session,
    topic: &str,
    left: &mut BTreeSet<u32>,
    found: &mut BTreeMap<u32, Bounds>,
    limit: &Limit,
) -> Result<()> {
    let mut led: BTreeMap<i32, Vec<(String, u32)>> = BTreeMap::new();
    let mut cause: Option<Error> = None;
    // An error that no other attempt mends outranks the others.
    let mut failed = |error: Error| {
        if cause.as_ref().is_none_or(|cause| cause.retriable) {
            cause = Some(error);
        }
    };
    for partition in left.iter() {
        match known_leader(session, topic, *partition) {
            Some(leader) => led.entry(leader).or_default().push((topic.to_owned(), *partition)),
            None => failed(leaderless(topic, *partition)),
        }
    }
    if led.values().map(Vec::len).sum::<usize>() < left.len() {
        session.metadata().require(topic, limit).await?;
    }
    for answer in join_all(led.into_iter().map(|(spu, partitions)| bounds(session, spu, partitions))).await {
        match answer {
            Err(error) => failed(error),
            Ok(answers) => answers.into_iter().for_each(|((_, partition), answer)| match answer {
                Err(error) => failed(error),
                Ok(bounds) => {
                    left.remove(&partition);
                    found.insert(partition, bounds);
                }
            }),
        }
    }
    match left.first() {
        None => Ok(()),
        Some(partition) => Err(cause.unwrap_or_else(|| unled(topic, *partition))),
    }
}

fn unled(topic: &str, partition: u32) -> Error {
    let text =
        format!("the leader of partition {partition} of topic \"{topic}\" does not tell its offsets: look at its log");
    Error::new(ErrorKind::NotLeader, text).with_topic(topic).with_partition(partition)
}
