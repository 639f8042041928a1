//! The log in which the members of consumer groups agree: a topic, of which each group has one partition.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the handle, which all that is opened with one client shares |
//! | `task.rs` | the task behind it: one reader and one producer |
//! | `link.rs` | their connections |
//! | `stream.rs`, `reader.rs` | records as they are read |
//! | `load.rs` | the way of a newcomer to the state of its group |
//! | `observer.rs` | one who follows a group without being a member |
//! | `directory.rs` | what is known of the log, for those who come later |
//!
//! Nothing is queued and nothing is sent twice: what cannot be sent at once is dropped, and whoever sent it is told
//! that the link is down. A producer's acknowledgement decides nothing; what counts is what is read back.

mod directory;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod link;
mod load;
mod observer;
mod reader;
mod stream;
mod task;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use fluvio_cffi_group::LOG_PARTITIONS;
use fluvio_cffi_group::{GroupKey, Record};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};
use crate::limit::{Limit, Trouble};
use crate::session::Session;

pub(crate) use load::{keys, load};
pub(crate) use observer::Observer;

/// The topic, unless another is named.
pub(crate) const DEFAULT_LOG: &str = "consumer-group";

/// Makes the topic of the log, unless there is one.
pub(crate) type MakeLog = Arc<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// One partition of the log.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) session: Session,
    pub(crate) topic: String,
    pub(crate) partition: u32,
}

impl Place {
    /// Where the group is, once it is certain that the topic can be a log.
    pub(crate) async fn of(session: &Session, topic: &str, key: &GroupKey, limit: &Limit) -> Result<Self> {
        let partitions = session.metadata().topic(topic, limit).await?.partitions;
        if partitions < LOG_PARTITIONS {
            let text = format!(
                "topic \"{topic}\" has {partitions} partitions: the log of consumer groups needs {LOG_PARTITIONS}; name \
                 another topic"
            );
            return Err(Error::invalid(text).with_topic(topic));
        }
        Ok(Self { session: session.clone(), topic: topic.to_owned(), partition: key.log_partition() })
    }
}

/// What happens in the log.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// The next record of the key.
    Record(Arc<Record>),
    /// There are connections, with nothing left unsent. The number is that of the link.
    Up(u64),
    /// They are lost; what was handed over since may be, too.
    Down,
    /// The log is not the one that it was: nothing that was read of it holds. The last news.
    Gone(String),
}

/// One who hears what happens in the log.
struct Subscriber {
    news: mpsc::UnboundedSender<News>,
    patience: Duration,
    /// Where it is noted why there is no link.
    trouble: Trouble,
}

/// What is asked of the task.
enum Ask {
    Subscribe { key: GroupKey, subscriber: Subscriber, from: oneshot::Sender<i64> },
    Append { link: u64, key: GroupKey, value: Vec<u8> },
    Renew { link: u64 },
    Learn(directory::Known),
}

/// A partition of the log, read and written for all consumers of one client.
#[derive(Debug)]
pub(crate) struct GroupLog {
    asks: mpsc::UnboundedSender<Ask>,
    place: Place,
}

impl GroupLog {
    /// The one of this client.
    pub(crate) fn of(place: &Place) -> Arc<Self> {
        let name = format!("{}-{}", place.topic, place.partition);
        place.session.common(&name, || {
            let (asks, asked) = mpsc::unbounded_channel();
            task::spawn(place.clone(), asked);
            Arc::new(Self { asks, place: place.clone() })
        })
    }

    /// Hears what happens to a group. The number is where its records begin that are told. `patience`: how long a
    /// connection may take. `trouble`: where it is noted why there is none.
    pub(crate) async fn subscribe(
        &self,
        key: &GroupKey,
        patience: Duration,
        trouble: &Trouble,
    ) -> Result<(i64, mpsc::UnboundedReceiver<News>)> {
        let (news, heard) = mpsc::unbounded_channel();
        let (from, begins) = oneshot::channel();
        let subscriber = Subscriber { news, patience, trouble: trouble.clone() };
        let _ = self.asks.send(Ask::Subscribe { key: key.clone(), subscriber, from });
        let begins = begins.await.map_err(|_| {
            Error::new(crate::error::ErrorKind::Connection, format!("the log \"{}\" was made anew", self.place.topic))
        })?;
        Ok((begins, heard))
    }

    /// Sends a command at once, or drops it: only over this link.
    pub(crate) fn append(&self, link: u64, key: &GroupKey, value: Vec<u8>) {
        let _ = self.asks.send(Ask::Append { link, key: key.clone(), value });
    }

    /// The link is in doubt: both connections are made anew.
    pub(crate) fn renew(&self, link: u64) {
        let _ = self.asks.send(Ask::Renew { link });
    }

    /// A newcomer knows what is in the log.
    pub(crate) fn learn(&self, known: directory::Known) {
        let _ = self.asks.send(Ask::Learn(known));
    }
}
