//! What groups, members and places are called.

use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use siphasher::sip::SipHasher24;

/// A place in a partition of the group log, or of the topic that is read.
pub type Offset = i64;

/// A point in time: what the clock of this machine that counts suspended time (`CLOCK_BOOTTIME`) shows. The clocks of
/// two members need not agree.
pub type Moment = std::time::Duration;

/// Partitions of the log topic that are used: part of the format, never changed.
pub const LOG_PARTITIONS: u32 = 8;

/// SipHash-2-4 with zero keys.
pub(crate) fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher24::new();
    for part in parts {
        hasher.write(part);
    }
    hasher.finish()
}

/// A member's name: 128 random bits, drawn anew at each join. In JSON 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u128);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl FromStr for MemberId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let digits = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match u128::from_str_radix(text, 16) {
            Ok(id) if digits => Ok(Self(id)),
            _ => Err(NameError::Member(text.to_owned())),
        }
    }
}

impl Serialize for MemberId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MemberId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a name is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A group.
    #[error("group {0:?}: a group's name has 1 to 200 bytes and no control characters")]
    Group(String),
    /// A topic.
    #[error("topic {0:?}: a topic's name is not empty and has neither '/' nor control characters")]
    Topic(String),
    /// A member.
    #[error("member {0:?}: a member's id is 32 lower-case hexadecimal digits")]
    Member(String),
    /// The key of a record.
    #[error("key {0:?} is not group/topic")]
    Key(String),
}

/// What shares work: all consumers of one group on one topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    group: Arc<str>,
    topic: Arc<str>,
}

impl GroupKey {
    /// The key of `group` on `topic`.
    pub fn new(group: &str, topic: &str) -> Result<Self, NameError> {
        if group.is_empty() || group.len() > 200 || group.chars().any(char::is_control) {
            return Err(NameError::Group(group.to_owned()));
        }
        if topic.is_empty() || topic.contains('/') || topic.chars().any(char::is_control) {
            return Err(NameError::Topic(topic.to_owned()));
        }
        Ok(Self { group: group.into(), topic: topic.into() })
    }

    /// The key that a record of the log has; the group may contain `/`, a topic never does.
    pub fn from_record(key: &[u8]) -> Result<Self, NameError> {
        let none = || NameError::Key(String::from_utf8_lossy(key).into_owned());
        let (group, topic) = std::str::from_utf8(key).ok().and_then(|key| key.rsplit_once('/')).ok_or_else(none)?;
        Self::new(group, topic)
    }

    /// The group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Where in the log the group is: as the official client's default partitioner puts it, if the log has no more
    /// partitions than are used.
    pub fn log_partition(&self) -> u32 {
        let key = self.to_string();
        let hash = hash(&[&(key.len() as u64).to_le_bytes(), key.as_bytes()]);
        (hash % u64::from(LOG_PARTITIONS)) as u32
    }

    /// In which order members of this group are served where nothing else decides, so that not all topics of one
    /// partition land on one member.
    pub(crate) fn rank(&self, member: MemberId) -> u64 {
        hash(&[&member.0.to_be_bytes(), self.group.as_bytes(), b"/", self.topic.as_bytes()])
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.topic)
    }
}
