//! What a server answers to a produce request.

use bytes::{Buf, Bytes};
use fluvio_protocol::link::ErrorCode;

use super::REPLY_VERSION;
use crate::error::codes;
use crate::error::{Error, Result};
use crate::replies;

/// The answer to one batch.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// It is in the log from this offset on.
    Written(i64),
    /// It was refused.
    Refused(ErrorCode),
    /// It was answered with a code that this version does not know.
    Unknown(i16),
    /// It stands behind such a code, of which nobody knows how long it is.
    Unreadable,
}

/// Log append time and log start offset, in the version that we speak.
const REST: usize = 16;

/// The answers to the batches of a request, in their order.
pub(super) fn read(mut body: Bytes, batches: usize) -> Result<Vec<Answer>> {
    let wrong = |what: &str| Error::incompatible(format!("the SPU's reply to a produce request {what}"));
    let cut = || wrong("cannot be read");
    let mut answers = Vec::with_capacity(batches);
    let topics = body.try_get_i32().map_err(|_| cut())?;
    for _ in 0..topics {
        replies::take::<String>(&mut body, REPLY_VERSION)?;
        let partitions = body.try_get_i32().map_err(|_| cut())?;
        for _ in 0..partitions {
            if answers.len() == batches {
                return Err(wrong(&format!("answers more than its {batches} batches")));
            }
            body.try_get_u32().map_err(|_| cut())?;
            let number = body.clone().try_get_i16().map_err(|_| cut())?;
            if number != 0 && codes::find(number).is_none() {
                answers.push(Answer::Unknown(number));
                answers.resize_with(batches, || Answer::Unreadable);
                return Ok(answers);
            }
            let code = replies::take::<ErrorCode>(&mut body, REPLY_VERSION)?;
            let offset = body.try_get_i64().map_err(|_| cut())?;
            if body.remaining() < REST {
                return Err(cut());
            }
            body.advance(REST);
            answers.push(if code.is_ok() { Answer::Written(offset) } else { Answer::Refused(code) });
        }
    }
    if answers.len() == batches {
        Ok(answers)
    } else {
        Err(wrong(&format!("answers {} of its {batches} batches", answers.len())))
    }
}

/// How many answers there are.
#[cfg(any(test, fuzzing))]
pub(in crate::producer) fn answers_of(body: Bytes, batches: usize) -> Result<usize> {
    read(body, batches).map(|answers| answers.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fluvio_protocol::Encoder;
    use fluvio_spu_schema::produce::{PartitionProduceResponse, ProduceResponse, TopicProduceResponse};

    use super::*;
    use crate::error::ErrorKind;

    fn reply(codes: impl IntoIterator<Item = ErrorCode>) -> Vec<u8> {
        let answer = |(index, error_code)| {
            let base_offset = 7 + i64::from(index);
            PartitionProduceResponse { partition_index: index, error_code, base_offset, ..Default::default() }
        };
        let partitions = (0..).zip(codes).map(answer).collect();
        let responses = vec![TopicProduceResponse { name: "topic".to_owned(), partitions }];
        let mut bytes = Vec::new();
        ProduceResponse { responses, ..Default::default() }.encode(&mut bytes, REPLY_VERSION).unwrap();
        bytes
    }

    #[test]
    fn what_the_official_crate_writes() {
        let other = ErrorCode::Other("why".to_owned());
        let bytes = reply([ErrorCode::None, other.clone(), ErrorCode::NotLeaderForPartition, ErrorCode::None]);
        let expected = vec![
            Answer::Written(7),
            Answer::Refused(other),
            Answer::Refused(ErrorCode::NotLeaderForPartition),
            Answer::Written(10),
        ];
        assert_eq!(read(bytes.clone().into(), 4).unwrap(), expected);
        assert_eq!(read(bytes.clone().into(), 3).unwrap_err().kind, ErrorKind::Version);
        for length in 0..bytes.len() - 4 {
            assert_eq!(read(Bytes::copy_from_slice(&bytes[..length]), 4).unwrap_err().kind, ErrorKind::Version);
        }
    }

    #[test]
    fn what_no_server_says() {
        // A SmartModule's error with a key of 2^45 bytes.
        let mut bytes = reply([ErrorCode::None]);
        let at = 4 + 7 + 4 + 4;
        let error =
            [&6004_i16.to_be_bytes()[..], &[0, 0], &[0; 8], &[0, 1], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]];
        bytes.splice(at..at + 2, error.concat());
        assert_eq!(read(bytes.into(), 1).unwrap_err().kind, ErrorKind::Version);
        // More answers than there were batches, and more topics and partitions than there are bytes.
        assert_eq!(read(reply([ErrorCode::None, ErrorCode::None]).into(), 1).unwrap_err().kind, ErrorKind::Version);
        for at in [0, 4 + 7] {
            let mut bytes = reply([ErrorCode::None]);
            bytes[at..at + 4].copy_from_slice(&i32::MAX.to_be_bytes());
            assert_eq!(read(bytes.into(), 1).unwrap_err().kind, ErrorKind::Version);
        }
    }

    #[test]
    fn a_code_of_the_future() {
        let mut bytes = reply([ErrorCode::None, ErrorCode::StorageError, ErrorCode::None]);
        // Topics, name, partitions; the first answer; the number of the partition of the second one.
        let at = 4 + 7 + 4 + (4 + 2 + 8 + REST) + 4;
        bytes[at..at + 2].copy_from_slice(&31_000_i16.to_be_bytes());
        let expected = vec![Answer::Written(7), Answer::Unknown(31_000), Answer::Unreadable];
        assert_eq!(read(bytes.into(), 3).unwrap(), expected);
    }
}
