//! The one error type of the engine. Its kinds carry the numbers of the C ABI's statuses, so that a mapping exists
//! once.

use std::fmt;

use fluvio::FluvioError;
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::link::smartmodule::SmartModuleTransformRuntimeError;
use fluvio_sc_schema::ApiError;

pub(crate) mod codes;
mod reason;
mod smart_module;

use reason::quotes;
pub(crate) use smart_module::RAN;
pub use smart_module::SmartModuleFailure;

/// What went wrong, as a class. The discriminants are the C ABI's status numbers: append only, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ErrorKind {
    /// The operation was cancelled; nothing was done, or only the wait was abandoned.
    Cancelled = 10,
    /// A deadline passed.
    Timeout = 11,
    /// The object was closed.
    Closed = 12,
    /// The process is a fork of one that had connected.
    Forked = 13,
    /// An argument is out of range or malformed.
    InvalidArgument = 20,
    /// A call that the object's state forbids.
    Usage = 21,
    /// The machine, or what this process may have of it, has no more: descriptors, threads, memory, ports, room on a
    /// disk.
    Resource = 22,
    /// The peer cannot be reached, or the connection was lost.
    Connection = 30,
    /// TLS could not be set up.
    Tls = 31,
    /// The server refused the client's identity.
    Auth = 32,
    /// Client and server do not understand each other's version.
    Version = 33,
    /// The server answered an error that has no class of its own.
    Server = 40,
    /// An object that has no class of its own does not exist.
    NotFound = 41,
    /// The topic does not exist (any more).
    TopicNotFound = 42,
    /// The topic has no such partition.
    PartitionNotFound = 43,
    /// There is no such SPU.
    SpuNotFound = 44,
    /// There is no such SmartModule.
    SmartModuleNotFound = 45,
    /// An object of that name exists.
    AlreadyExists = 46,
    /// The server's policy forbids it.
    PermissionDenied = 47,
    /// The topic's name or configuration is not allowed.
    InvalidTopic = 48,
    /// The SPU does not lead the partition.
    NotLeader = 49,
    /// The server could not store or read its log.
    Storage = 50,
    /// The offset lies beyond the end of the log.
    OffsetOutOfRange = 51,
    /// The offset was removed by retention.
    OffsetEvicted = 52,
    /// There is no such table format.
    TableFormatNotFound = 53,
    /// There is no such mirror.
    MirrorNotFound = 54,
    /// There is no such SPU group.
    SpuGroupNotFound = 55,
    /// No such offset is stored.
    ConsumerOffsetNotFound = 56,
    /// The consumer group has members.
    GroupNotEmpty = 57,
    /// There is no such consumer group.
    GroupNotFound = 58,
    /// Producing failed in another way.
    Producer = 60,
    /// A record does not fit into a request.
    RecordTooLarge = 61,
    /// Bytes may have reached the log, nobody knows.
    DeliveryUnknown = 62,
    /// Compressing or decompressing failed, or the topic forbids the codec.
    Compression = 63,
    /// Consuming failed in another way.
    Consumer = 70,
    /// The log holds bytes that are no valid record batch.
    CorruptRecord = 71,
    /// Another process has taken the place of this member of a consumer group.
    MemberFenced = 72,
    /// Partitions to commit are read by another member of the consumer group by now.
    CommitFenced = 73,
    /// A SmartModule failed.
    SmartModule = 80,
    /// A panic was caught.
    Internal = 90,
    /// An error of a kind that this version does not know.
    Unknown = 99,
}

impl ErrorKind {
    /// Whether a connection was lost, is silent or cannot be made, so that another one may do better.
    pub(crate) fn is_lost(self) -> bool {
        matches!(self, Self::Connection | Self::Timeout | Self::Resource)
    }
}

/// What became of the records that an error speaks of, or of the change that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Outcome {
    /// The error is about nothing that was to be written, or a server's answer says what became of it.
    #[default]
    None = 0,
    /// The records are not in the log and never will be; the change was not made.
    NotWritten = 1,
    /// Bytes may have reached the log; the change may have been made.
    Unknown = 2,
    /// Only the wait ended; the records go on until their delivery time-out.
    Pending = 3,
}

/// In which part of the work a deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Phase {
    /// Not a time-out.
    #[default]
    None = 0,
    /// Connecting, opening a producer or a consumer.
    Connect = 1,
    /// Waiting for room in the producer's buffer.
    Enqueue = 2,
    /// Waiting for a receipt.
    Wait = 3,
    /// Delivering records.
    Delivery = 4,
    /// Waiting for a flush.
    Flush = 5,
    /// Waiting for records.
    Read = 6,
    /// Committing offsets.
    Commit = 7,
    /// An administrative call.
    Admin = 8,
    /// Closing.
    Close = 9,
}

/// An error with all that is known about it.
#[derive(Debug, Clone)]
pub struct Error {
    /// Its class.
    pub kind: ErrorKind,
    /// What happened and what to do about it, for people.
    pub message: String,
    /// The server's own error code, if a server answered one.
    pub code: Option<i32>,
    /// The topic concerned.
    pub topic: Option<String>,
    /// The partition concerned.
    pub partition: Option<u32>,
    /// The offset concerned.
    pub offset: Option<i64>,
    /// For an evicted offset: the first that still exists.
    pub next_available: Option<i64>,
    /// True only where trying again cannot do anything twice, and can succeed. Whatever the engine repeats, it repeats
    /// for this.
    pub retriable: bool,
    /// What became of the records concerned, or of the change that was asked for.
    pub outcome: Outcome,
    /// Where a deadline passed.
    pub phase: Phase,
    /// The operating system's own error number (`errno`), if it is the cause.
    pub os_error: Option<i32>,
    /// What is known of the SmartModule that failed.
    pub smart_module: Option<Box<SmartModuleFailure>>,
    /// Whether the message quotes a server or a SmartModule, which may have put anything into it.
    pub(crate) quotes: bool,
}

/// The engine's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: None,
            topic: None,
            partition: None,
            offset: None,
            next_available: None,
            retriable: matches!(
                kind,
                ErrorKind::Connection | ErrorKind::NotLeader | ErrorKind::Resource | ErrorKind::Timeout
            ),
            outcome: Outcome::None,
            phase: Phase::None,
            os_error: None,
            smart_module: None,
            quotes: false,
        }
    }

    /// A bad argument; the message names the argument, its value and what is allowed.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// `what` was closed.
    pub fn closed(what: &str) -> Self {
        Self::new(ErrorKind::Closed, format!("the {what} is closed"))
    }

    /// The deadline for `what` passed.
    pub fn timeout(phase: Phase, what: impl Into<String>) -> Self {
        let mut error = Self::new(ErrorKind::Timeout, what);
        error.phase = phase;
        error
    }

    /// A panic was caught, or something is as it never should be.
    pub fn internal(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Internal, format!("a bug in the library was caught, please report it: {what}"))
    }

    /// A server said `what`, which it should not.
    pub(crate) fn incompatible(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Version, format!("{what}; compare the versions of client and cluster"))
    }

    /// The same error about a topic.
    pub fn with_topic(mut self, topic: &str) -> Self {
        self.topic = Some(topic.to_owned());
        self
    }

    /// The same error about a partition.
    pub fn with_partition(mut self, partition: u32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// The same error about an offset.
    pub fn with_offset(mut self, offset: i64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// The same error with the fate of its records, or of a change. What may have been done must not be done again.
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self.retriable &= !matches!(outcome, Outcome::Unknown | Outcome::Pending);
        self
    }

    /// The same error, which another attempt may mend.
    pub(crate) fn passing(mut self) -> Self {
        self.retriable = true;
        self
    }

    /// The same error with more to say.
    pub(crate) fn adding(mut self, text: &str) -> Self {
        self.message += text;
        self
    }

    /// The same error for a caller: its message in one line of at most 300 characters, whatever a server has said or a
    /// name is. Of a longer one the middle is left out: what happened stands first, and what to do about it last.
    pub fn in_short(mut self) -> Self {
        if self.message.contains(char::is_control) {
            let words: Vec<&str> = self.message.split(|c: char| c.is_whitespace() || c.is_control()).collect();
            self.message = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        }
        if let Some(shorter) = shortened(&self.message, LONGEST) {
            self.message = shorter;
        }
        self
    }

    /// The same error of a deadline, before which `trouble` was what went wrong last.
    pub fn after(mut self, trouble: Option<Self>) -> Self {
        if let Some(Self { kind, message, topic, partition, os_error, quotes, .. }) = trouble {
            if kind == ErrorKind::Resource {
                self.kind = kind;
            }
            self.message += "; the last attempt: ";
            // Of both it should be known where, and what to do.
            let left = LONGEST.saturating_sub(self.message.chars().count()).max(LONGEST / 3);
            self.message += &shortened(&message, left).unwrap_or(message);
            self.topic = self.topic.or(topic);
            self.partition = self.partition.or(partition);
            self.os_error = self.os_error.or(os_error);
            self.quotes |= quotes;
        }
        self
    }

    /// The same error, which has this one of the operating system as its cause. If that says that something has run
    /// out, the error says so, too.
    pub fn caused_by(mut self, cause: &std::io::Error) -> Self {
        self.os_error = cause.raw_os_error();
        match self.os_error.and_then(exhausted) {
            Some(advice) => self.exhausting(advice),
            None => self,
        }
    }

    /// `cause` kept the system from doing `what` because something has run out; `advice` says what, and what to do.
    pub(crate) fn resource(what: &str, cause: &std::io::Error, advice: &str) -> Self {
        let text = format!("{what}: {cause}");
        Self { os_error: cause.raw_os_error(), ..Self::new(ErrorKind::Resource, text) }.exhausting(advice)
    }

    /// No thread could be had for `what`.
    pub fn no_thread(what: &str, cause: &std::io::Error) -> Self {
        Self::resource(what, cause, NO_THREAD)
    }

    /// There is no memory for something: `what` says for what.
    pub(crate) fn no_memory(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Resource, what).caused_by(&std::io::Error::from_raw_os_error(libc::ENOMEM))
    }

    fn exhausting(mut self, advice: &str) -> Self {
        self.kind = ErrorKind::Resource;
        self.retriable = true;
        self.message = format!("{}; {advice}", self.message);
        self
    }

    /// The error behind a panic that says `text`, if all it complains of is that the system has no more: libraries that
    /// start threads or open descriptors by themselves know no other way to say so.
    pub(crate) fn of_panic(text: &str) -> Option<Self> {
        let after = |mark: &str| text.split_once(mark).map(|(_, rest)| rest);
        let rest = after("(os error ").or_else(|| after("Os { code: "))?;
        let number = rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()?;
        let advice = if number == libc::EAGAIN { NO_THREAD } else { exhausted(number)? };
        let cause = std::io::Error::from_raw_os_error(number);
        Some(Self::resource("the library cannot go on", &cause, advice))
    }

    /// Topic `name` does not exist.
    pub fn topic_not_found(name: &str) -> Self {
        Self::new(
            ErrorKind::TopicNotFound,
            format!("topic \"{name}\" does not exist: create it, or list the topics to see which there are"),
        )
        .with_topic(name)
    }

    /// Partition `partition` of `topic`, which has `count` of them, does not exist.
    pub fn partition_not_found(topic: &str, partition: i64, count: u32) -> Self {
        let error = Self::new(
            ErrorKind::PartitionNotFound,
            format!("topic \"{topic}\" has no partition {partition}: it has {count}, numbered from 0"),
        )
        .with_topic(topic);
        match u32::try_from(partition) {
            Ok(partition) => error.with_partition(partition),
            Err(_) => error,
        }
    }

    /// A socket error while talking to `peer`.
    pub fn connection(peer: &str, cause: &std::io::Error) -> Self {
        Self::new(ErrorKind::Connection, format!("connection to {peer}: {cause}")).caused_by(cause)
    }

    /// The error that a server's `code` stands for. `text` is what it said beside the code, if anything.
    pub fn from_code(code: &ErrorCode, text: Option<&str>) -> Self {
        let number = wire_tag(code);
        let Some(row) = codes::find(number) else { return Self::from_unknown_code(number) };
        let (words, advice) = (words_of(code), row.advice);
        let message = match text {
            Some(text) if !text.is_empty() => format!("the server answered: {text} ({words}); {advice}"),
            _ => format!("the server answered: {words}; {advice}"),
        };
        let mut error = Self::new(row.kind, message);
        error.code = Some(number.into());
        error.retriable = row.retriable;
        error.quotes = text.is_some_and(|text| !text.is_empty()) || quotes(code);
        match code {
            ErrorCode::OffsetEvicted { offset, next_available } => {
                error.offset = Some(*offset);
                error.next_available = Some(*next_available);
            }
            ErrorCode::SmartModuleNotFound { name } => error.smart_module().module = Some(name.clone()),
            ErrorCode::SmartModuleInvalid { error: hint, name } => {
                error.smart_module().module.clone_from(name);
                error.smart_module().hint = Some(hint.clone());
            }
            ErrorCode::SmartModuleInvalidExports { error: hint, .. }
            | ErrorCode::SmartModuleChainInitError(hint)
            | ErrorCode::SmartModuleLookBackError(hint) => error.smart_module().hint = Some(hint.clone()),
            ErrorCode::SmartModuleRuntimeError(failure) => error.tell_of(failure),
            ErrorCode::SmartModuleInitError(failure) => error.smart_module().hint = Some(failure.hint.clone()),
            ErrorCode::Other(text) => error.listen_to(text),
            _ => {}
        }
        error
    }

    /// A server answered with a code that this version does not know.
    pub fn from_unknown_code(number: i16) -> Self {
        let text = format!("the server answered with error code {number}, which this version does not know; update it");
        let mut error = Self::new(ErrorKind::Server, text);
        error.code = Some(number.into());
        error
    }

    /// The error behind what the `fluvio` crate returned, for a call about `what`.
    pub fn from_anyhow(error: &anyhow::Error, what: &str) -> Self {
        let api = |error: &ApiError| match error {
            ApiError::Code(code, text) => Self::from_code(code, text.as_deref()),
            ApiError::NoResourceFound(name) => {
                Self::new(ErrorKind::NotFound, format!("{what}: \"{name}\" does not exist"))
            }
        };
        if let Some(error) = error.downcast_ref::<ApiError>() {
            return api(error);
        }
        if let Some(code) = error.downcast_ref::<ErrorCode>() {
            return Self::from_code(code, None);
        }
        let text = format!("{what}: {error:#}");
        let causes = || error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
        let system = causes().find(|cause| cause.raw_os_error().is_some());
        let connection = |text| match (Self::new(ErrorKind::Connection, text), system) {
            (error, Some(cause)) => error.caused_by(cause),
            (error, None) => error,
        };
        // What is not the crate's own comes from sockets and codecs: the next call gets a new connection.
        let Some(error) = error.downcast_ref::<FluvioError>() else { return connection(text) };
        match error {
            FluvioError::TopicNotFound(name) => Self::topic_not_found(name),
            FluvioError::PartitionNotFound(topic, partition) => {
                Self::new(ErrorKind::PartitionNotFound, text).with_topic(topic).with_partition(*partition)
            }
            FluvioError::SPUNotFound(_) => Self::new(ErrorKind::SpuNotFound, text),
            FluvioError::AdminApi(error) => api(error),
            FluvioError::MinimumPlatformVersion { .. } | FluvioError::MaximumPlatformVersion { .. } => {
                Self::new(ErrorKind::Version, text)
            }
            FluvioError::ClientConfig(_)
            | FluvioError::CrossingOffsets(..)
            | FluvioError::NegativeOffset(_)
            | FluvioError::ConsumerConfig(_)
            | FluvioError::TopicProducerConfigBuilder(_) => Self::invalid(text),
            FluvioError::SmartModuleRuntime(failure) => {
                let mut error = Self::new(ErrorKind::SmartModule, format!("{what}: {}", words_of_failure(failure)));
                error.quotes = true;
                error.tell_of(failure);
                error
            }
            FluvioError::Producer(_) => Self::new(ErrorKind::Producer, text),
            FluvioError::Compression(_) => Self::new(ErrorKind::Compression, text),
            FluvioError::Io(_) | FluvioError::Socket(_) | FluvioError::Other(_) => connection(text),
        }
    }
}

/// Characters that a message has, at most.
const LONGEST: usize = 300;

/// `text` without its middle, so that it has `most` characters; `None`: it has no more.
fn shortened(text: &str, most: usize) -> Option<String> {
    const GAP: &str = " ... ";
    let count = text.chars().count();
    let tail = (most - GAP.len()) / 2;
    let head = most - GAP.len() - tail;
    let part = |from, length| text.chars().skip(from).take(length).collect::<String>();
    (count > most).then(|| part(0, head) + GAP + &part(count - tail, tail))
}

const NO_THREAD: &str = "no thread can be had: raise the limit of this user (ulimit -u) or container, or end some";

/// What has run out where the system answers with this number, and what to do; `None`: nothing, it is another kind of
/// error.
fn exhausted(os_error: i32) -> Option<&'static str> {
    Some(match os_error {
        libc::EMFILE => "this process may open no more files: raise its limit (ulimit -n), or close some",
        libc::ENFILE => "the machine can open no more files: close some, or raise fs.file-max",
        libc::ENOMEM | libc::ENOBUFS => "the machine, or this container, has no memory left for it",
        libc::ENOSPC | libc::EDQUOT | libc::EFBIG => "there is no room left for it",
        _ => return None,
    })
}

/// The first few of what there is, for a message.
pub(crate) fn first_few<T: fmt::Display>(all: impl ExactSizeIterator<Item = T>) -> String {
    const FEW: usize = 3;
    let more = all.len().saturating_sub(FEW);
    let shown: Vec<String> = all.take(FEW).map(|one| one.to_string()).collect();
    match (shown.is_empty(), more) {
        (true, _) => "none".to_owned(),
        (_, 0) => shown.join(", "),
        _ => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What `code` says, without the record that a SmartModule failed on: a message shows nothing of it.
fn words_of(code: &ErrorCode) -> String {
    match code {
        ErrorCode::SmartModuleRuntimeError(failure) => words_of_failure(failure),
        code => code.to_string(),
    }
}

fn words_of_failure(
    SmartModuleTransformRuntimeError { hint, offset, kind, .. }: &SmartModuleTransformRuntimeError,
) -> String {
    format!("the SmartModule ({kind}) failed on the record at offset {offset}: {hint}")
}

/// The number that stands for `code` on the wire.
fn wire_tag(code: &ErrorCode) -> i16 {
    use fluvio_protocol::Encoder;
    let mut bytes = Vec::new();
    match code.encode(&mut bytes, 0) {
        Ok(()) if bytes.len() >= 2 => i16::from_be_bytes([bytes[0], bytes[1]]),
        _ => i16::MIN,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fluvio_protocol::link::smartmodule::SmartModuleKind;
    use fluvio_protocol::record::RecordData;

    use super::*;

    #[test]
    fn a_message_is_short_and_in_one_line() {
        let said = |text: String| Error::invalid(text).in_short().message;
        assert_eq!(said("as it is:  1".to_owned()), "as it is:  1");
        assert_eq!(said("one\n\n  two\r\n\tthree\u{1b}[0m\0".to_owned()), "one two three [0m");
        for letter in ["x", "\u{e4}", "\u{1f600}"] {
            assert_eq!(said(letter.repeat(LONGEST)), letter.repeat(LONGEST));
            let text = said(format!("what happened {}; what to do", letter.repeat(5000)));
            assert_eq!(text.chars().count(), LONGEST);
            assert!(text.starts_with("what happened ") && text.ends_with("; what to do"), "{text}");
        }
    }

    #[test]
    fn nothing_is_shown_of_the_record_that_a_smart_module_failed_on() {
        let failure = SmartModuleTransformRuntimeError {
            hint: "no number".to_owned(),
            offset: 7,
            kind: SmartModuleKind::Map,
            record_key: Some(RecordData::from("p4yk3y")),
            record_value: RecordData::from("p4yl0ad"),
        };
        let code = ErrorCode::SmartModuleRuntimeError(Box::new(failure.clone()));
        let answered = FluvioError::SmartModuleRuntime(failure);
        let errors = [
            Error::from_code(&code, None),
            Error::from_code(&code, Some("refused")),
            Error::from_anyhow(&code.into(), "reading"),
            Error::from_anyhow(&answered.into(), "reading"),
        ];
        for error in errors {
            let said = &error.message;
            assert!(said.contains("(Map) failed on the record at offset 7: no number"), "{said}");
            assert!(!said.contains("p4y"), "{said}");
            assert_eq!((error.kind, error.offset), (ErrorKind::SmartModule, Some(7)));
            assert_eq!(error.smart_module.unwrap().key.unwrap(), b"p4yk3y");
        }
    }
}
