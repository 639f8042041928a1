//! The error codes of the protocol: what each means to a caller. `docs/errors.md` has the same table.

use crate::error::ErrorKind as K;

/// An error code.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    /// Its number on the wire.
    pub number: i16,
    /// The class of the error.
    pub kind: K,
    /// Whether nothing was done, and another attempt can succeed.
    pub retriable: bool,
    /// What to do about it.
    pub advice: &'static str,
}

const fn row(number: i16, kind: K, retriable: bool, advice: &'static str) -> Code {
    Code { number, kind, retriable, advice }
}

/// The row of `number`; `None`: this version does not know it.
pub fn find(number: i16) -> Option<&'static Code> {
    CODES.binary_search_by_key(&number, |code| code.number).ok().and_then(|index| CODES.get(index))
}

/// Every code but 0, by number.
pub const CODES: &[Code] = &[
    row(-1, K::Server, false, "the server's log says more"),
    row(1, K::OffsetOutOfRange, false, "seek to an offset that exists"),
    row(2, K::Server, false, "the server's text says what is wrong"),
    row(6, K::NotLeader, true, "look for the partition's new leader; producers and consumers do it by themselves"),
    row(
        7,
        K::DeliveryUnknown,
        false,
        "the records are in the leader's log, but may not survive it: see that its followers are up",
    ),
    row(10, K::RecordTooLarge, false, "send smaller records, or batches: lower batch_size"),
    row(13, K::PermissionDenied, false, "ask the cluster's administrator, or connect as somebody else"),
    row(56, K::Storage, false, "look at the SPU's disk and its log"),
    row(60, K::Server, false, "the server does not take such an object: compare the versions"),
    row(61, K::Server, false, "the server does not delete such an object: compare the versions"),
    row(71, K::OffsetEvicted, false, "go on at the next available offset"),
    row(72, K::Storage, false, "raise the topic's max_partition_size or shorten its retention, then restart the SPU"),
    row(73, K::Storage, false, "make room on the SPU's disk, then restart the SPU"),
    row(1000, K::Server, false, "the SPU's log says more"),
    row(1001, K::Server, false, "register the SPU with an id that is free"),
    row(1002, K::Server, true, "start the SPU"),
    row(1003, K::SpuNotFound, false, "list the SPUs to see which there are"),
    row(1004, K::AlreadyExists, false, "take another id, or delete the SPU first"),
    row(2000, K::Server, false, "the server's log says more"),
    row(2001, K::TopicNotFound, false, "list the topics to see which there are, or create it"),
    row(2002, K::AlreadyExists, false, "take another name, or exist_ok"),
    row(2003, K::Server, true, "wait until the topic is provisioned"),
    row(2004, K::InvalidTopic, false, "change the topic's configuration"),
    row(2005, K::Server, false, "see that enough SPUs are online for its replicas; the topic exists"),
    row(
        2006,
        K::InvalidTopic,
        false,
        "use lower case letters, digits and hyphens, 63 at most, a hyphen at neither end",
    ),
    row(2007, K::TopicNotFound, false, "create it again, or list the topics to see which there are"),
    row(2008, K::InvalidTopic, false, "give the number of partitions, or an assignment, or a mirror"),
    row(3000, K::Server, true, "wait until the partition is online"),
    row(3001, K::NotLeader, true, "look for the partition's new leader; producers and consumers do it by themselves"),
    row(3002, K::Server, false, "open the consumer again"),
    row(3003, K::Server, false, "the server's text says what is wrong"),
    row(3004, K::Server, false, "open the consumer with a consumer_id"),
    row(3005, K::Server, false, "look whether the cluster's SPUs reach one another"),
    row(5000, K::Server, false, "the server's log says more"),
    row(5001, K::NotFound, false, "list the connectors to see which there are"),
    row(5002, K::AlreadyExists, false, "take another name"),
    row(6000, K::SmartModule, false, "the SPU's log says more"),
    row(6001, K::SmartModuleNotFound, false, "create it, or list the SmartModules to see which there are"),
    row(6002, K::SmartModule, false, "build it with a version of the SDK that the cluster knows"),
    row(6003, K::SmartModule, false, "use it as the kind that it was written as"),
    row(6004, K::SmartModule, false, "correct the module, or the record that it failed on"),
    row(6005, K::SmartModule, false, "correct the module, or its parameters"),
    row(6006, K::SmartModule, false, "correct the module's init, or its parameters"),
    row(6007, K::SmartModule, false, "correct the module's look_back"),
    row(6008, K::SmartModule, false, "have the module use less memory, or raise the SPU's limit"),
    row(7000, K::Server, false, "the server's log says more"),
    row(7001, K::TableFormatNotFound, false, "list the table formats to see which there are"),
    row(7002, K::AlreadyExists, false, "take another name, or delete the table format first"),
    row(8000, K::Server, false, "the server's log says more"),
    row(8001, K::NotFound, false, "the cluster has no such derived stream"),
    row(8002, K::Server, false, "the server's log says more"),
    row(8003, K::Server, false, "correct the derived stream"),
    row(9000, K::Compression, false, "use a compression that the topic allows"),
    row(10000, K::SmartModule, false, "load the topic's deduplication SmartModule into the cluster"),
    row(10001, K::SmartModule, false, "correct the name in the topic's deduplication"),
    row(11001, K::MirrorNotFound, false, "list the mirrors to see which there are"),
    row(11002, K::AlreadyExists, false, "take another name, or delete the mirror first"),
    row(11003, K::PermissionDenied, false, "produce on the remote cluster, whose mirror this topic is"),
    row(11004, K::PermissionDenied, false, "delete the topic on its home cluster"),
    row(11005, K::Server, false, "look what kind of mirror it is"),
    row(11006, K::PermissionDenied, false, "produce on the home cluster"),
    row(12001, K::PermissionDenied, false, "it is one of the cluster's own: delete it with force"),
    row(12002, K::PermissionDenied, false, "it is one of the cluster's own: update it with force"),
];

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::fmt::Write;

    use fluvio_protocol::Decoder;
    use fluvio_protocol::link::ErrorCode;

    use super::{CODES, find};
    use crate::error::Error;

    /// The error with this number, its details empty, if the protocol has one.
    fn decode(number: i16) -> Option<ErrorCode> {
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.resize(256, 0);
        ErrorCode::decode_from(&mut bytes.as_slice(), 0).ok()
    }

    #[test]
    fn every_code_of_the_protocol_has_a_row() {
        for number in i16::MIN..=i16::MAX {
            let Some(code) = decode(number).filter(ErrorCode::is_error) else {
                assert!(find(number).is_none(), "{number} is no code of the protocol");
                continue;
            };
            let row = find(number).unwrap_or_else(|| panic!("{number} ({code}) has no row"));
            let error = Error::from_code(&code, None);
            assert_eq!(error.code, Some(i32::from(number)));
            assert_eq!((error.kind, error.retriable), (row.kind, row.retriable));
            assert!(error.message.ends_with(row.advice), "{}", error.message);
        }
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md")).unwrap();
        for row in CODES {
            let code = format!("{:?}", decode(row.number).unwrap());
            let name = code.split([' ', '(']).next().unwrap();
            let mut line = String::new();
            let again = if row.retriable { "yes" } else { "no" };
            write!(line, "| {} | `{name}` | `{:?}Error` | {again} | {} |", row.number, row.kind, row.advice).unwrap();
            assert!(page.contains(&line), "docs/errors.md lacks: {line}");
        }
    }
}
