//! What a test can do to a running cluster.

use std::str::FromStr;
use std::time::Duration;

use fluvio_types::{PartitionId, SpuId};

use crate::faults::RequestKind;
use crate::smartmodules::Habit;

/// Something to do to a running cluster. As a line of text (see each one) it is what the program takes on its standard
/// input with `--control`, and what [`FromStr`] reads.
///
/// What is done to an SPU's connections and replies holds until it is undone, also across a stop and a start of the
/// SPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `kill-spu ID`: ends an SPU as a kill would: connections are reset, its port refuses, its memory is gone. It and
    /// the partitions that it leads are offline, but for those that a follower which is up leads from now on. What
    /// others lead is not committed as long as none of its followers is up.
    KillSpu {
        /// The SPU.
        id: SpuId,
    },
    /// `start-spu ID [not-leader-for SECONDS]`: starts it again on its files and its port.
    StartSpu {
        /// The SPU.
        id: SpuId,
        /// How long it answers that it leads nothing, as the real SPU does for about 3 s. It is offline for the SC
        /// meanwhile.
        not_leader_for: Duration,
    },
    /// `reset-sockets ID`: resets the connections that an SPU has now.
    ResetSockets {
        /// The SPU.
        id: SpuId,
    },
    /// `drop-after ID BYTES [CONNECTIONS]`: the next connections (one, if their number is not said) end after so many
    /// bytes of replies, wherever in a frame that is.
    DropAfter {
        /// The SPU.
        id: SpuId,
        /// Bytes that are still sent.
        bytes: u64,
        /// How many connections; 0: none any more.
        connections: u32,
    },
    /// `delay ID MILLISECONDS`: each reply comes so much later; 0 ends it. The requests of a connection are still
    /// served one after another, so those that wait add up.
    Delay {
        /// The SPU.
        id: SpuId,
        /// How much later.
        delay: Duration,
    },
    /// `refuse ID on|off`: new connections are accepted and reset at once.
    Refuse {
        /// The SPU.
        id: SpuId,
        /// Whether it begins or ends.
        on: bool,
    },
    /// `stall ID on|off`: an SPU accepts and reads, but does nothing and answers nothing. What it has read it does when
    /// this ends, unless the client has gone.
    Stall {
        /// The SPU.
        id: SpuId,
        /// Whether it begins or ends.
        on: bool,
    },
    /// `fail-next ID produce|fetch|stream|offsets CODE`: the next request of that kind is answered with that error.
    /// Nothing is written then, except with code 7, which says that the records are written and not replicated in time.
    /// Several wait in line.
    FailNext {
        /// The SPU.
        id: SpuId,
        /// The kind of request.
        request: RequestKind,
        /// The number of the error on the wire.
        code: i16,
    },
    /// `disk-full ID on|off`: the first produce to a partition is answered PartitionFull, later ones
    /// PartitionShortCircuited until the SPU is started again, also after the disk has room.
    DiskFull {
        /// The SPU.
        id: SpuId,
        /// Whether it begins or ends.
        on: bool,
    },
    /// `lose-acks ID on|off`: of two equal acknowledgements of a stream in a row the second is lost, as it sometimes is
    /// on the real SPU.
    LoseAcks {
        /// The SPU.
        id: SpuId,
        /// Whether it begins or ends.
        on: bool,
    },
    /// `report-delay ID MILLISECONDS`: how long after a partition is new or written to an SPU tells the SC of it; on
    /// the real one up to 400 ms. Until then a new partition is offline for the SC, and its create is not answered,
    /// although the SPU serves it; 0 ends it.
    ReportDelay {
        /// The SPU.
        id: SpuId,
        /// How long.
        delay: Duration,
    },
    /// `lose-reports ID on|off`: as the real SC, this one drops a whole report in which there is a partition that was
    /// deleted meanwhile. The others in it that are new stay offline for the SC until they are written to. Reports are
    /// 400 ms late then, unless `report-delay` says otherwise.
    LoseReports {
        /// The SPU.
        id: SpuId,
        /// Whether it begins or ends.
        on: bool,
    },
    /// `partition-delay ID MILLISECONDS`: how long after its creation or deletion an SPU hears of a partition; 0 ends
    /// it for those that come later.
    PartitionDelay {
        /// The SPU.
        id: SpuId,
        /// How long.
        delay: Duration,
    },
    /// `habit ID NAME on|off`: whether an SPU does something about SmartModules that the real one does. The names:
    /// engine, invent-offsets, skip-segments, run-twice, short-lookback.
    Habit {
        /// The SPU.
        id: SpuId,
        /// What it does.
        habit: Habit,
        /// Whether it does.
        on: bool,
    },
    /// `smartmodule-memory ID BYTES`: the most memory of each SmartModule that is started from now on.
    SmartModuleMemory {
        /// The SPU.
        id: SpuId,
        /// How much.
        bytes: usize,
    },
    /// `smartmodule-delay MILLISECONDS`: how long after its creation or deletion the SPUs hear of a SmartModule, as on the
    /// real cluster up to 400 ms; 0 ends it.
    SmartModuleDelay {
        /// How long.
        delay: Duration,
    },
    /// `move TOPIC PARTITION ID`: another SPU leads a partition from now on, with its files. Both may be down.
    Move {
        /// The topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// The new leader.
        id: SpuId,
    },
    /// `evict TOPIC PARTITION OFFSET`: the partition begins at that offset from now on, exactly.
    Evict {
        /// The topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// Its new first offset.
        offset: i64,
    },
    /// `add-partitions TOPIC COUNT`
    AddPartitions {
        /// The topic.
        topic: String,
        /// How many more.
        count: u32,
    },
    /// `advertise ID HOST PORT`: clients are told that address for an SPU, until the next start.
    Advertise {
        /// The SPU.
        id: SpuId,
        /// Its host.
        host: String,
        /// Its port.
        port: u16,
    },
    /// `sc stall on|off`: the SC accepts and reads, but answers nothing; watches are silent.
    StallSc {
        /// Whether it begins or ends.
        on: bool,
    },
    /// `sc blank on|off`: the SC knows of no object, as the real one that has just started and has not read yet what it
    /// keeps. When this ends, its watches hear of everything.
    BlankSc {
        /// Whether it begins or ends.
        on: bool,
    },
    /// `sc reset`: resets the connections that the SC has now.
    ResetSc,
    /// `sc kill`: the SC goes as a kill would let it: connections are reset, its port refuses. The SPUs go on.
    KillSc,
    /// `sc start`: the SC is back on its port.
    StartSc,
    /// `keep-files`: temporary files are not removed at the end, since there will be another start.
    KeepFiles,
}

/// A command that was not understood or cannot be done; the text says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ControlError(pub(crate) String);

impl ControlError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// The words of a line that are still to be read.
struct Words<'a>(std::str::SplitWhitespace<'a>);

impl<'a> Words<'a> {
    fn word(&mut self, meaning: &str) -> Result<&'a str, ControlError> {
        self.0.next().ok_or_else(|| ControlError(format!("{meaning} is missing")))
    }

    fn parsed<T: FromStr>(&mut self, meaning: &str) -> Result<T, ControlError> {
        let word = self.word(meaning)?;
        word.parse().map_err(|_| ControlError(format!("{word:?} is not a {meaning}")))
    }

    fn optional<T: FromStr>(&mut self, meaning: &str) -> Result<Option<T>, ControlError> {
        if self.0.clone().next().is_some() { self.parsed(meaning).map(Some) } else { Ok(None) }
    }

    fn spu(&mut self) -> Result<SpuId, ControlError> {
        self.parsed("number of an SPU")
    }

    fn on_off(&mut self) -> Result<bool, ControlError> {
        match self.word("on or off")? {
            "on" => Ok(true),
            "off" => Ok(false),
            other => Err(ControlError(format!("{other:?} is neither on nor off"))),
        }
    }

    fn seconds(&mut self) -> Result<Duration, ControlError> {
        let seconds: f64 = self.parsed("number of seconds")?;
        Duration::try_from_secs_f64(seconds).map_err(|_| ControlError(format!("{seconds} is not a number of seconds")))
    }

    fn milliseconds(&mut self) -> Result<Duration, ControlError> {
        self.parsed("number of milliseconds").map(Duration::from_millis)
    }

    fn command(&mut self) -> Result<Command, ControlError> {
        Ok(match self.word("command")? {
            "kill-spu" => Command::KillSpu { id: self.spu()? },
            "start-spu" => {
                let id = self.spu()?;
                let not_leader_for = match self.optional::<String>("word")?.as_deref() {
                    None => Duration::ZERO,
                    Some("not-leader-for") => self.seconds()?,
                    Some(other) => return Err(ControlError(format!("{other:?} is not the word not-leader-for"))),
                };
                Command::StartSpu { id, not_leader_for }
            }
            "reset-sockets" => Command::ResetSockets { id: self.spu()? },
            "drop-after" => Command::DropAfter {
                id: self.spu()?,
                bytes: self.parsed("number of bytes")?,
                connections: self.optional("number of connections")?.unwrap_or(1),
            },
            "delay" => Command::Delay { id: self.spu()?, delay: self.milliseconds()? },
            "refuse" => Command::Refuse { id: self.spu()?, on: self.on_off()? },
            "stall" => Command::Stall { id: self.spu()?, on: self.on_off()? },
            "fail-next" => {
                let id = self.spu()?;
                let request = match self.word("kind of request")? {
                    "produce" => RequestKind::Produce,
                    "fetch" => RequestKind::Fetch,
                    "stream" => RequestKind::Stream,
                    "offsets" => RequestKind::Offsets,
                    other => return Err(ControlError(format!("{other:?} is not produce, fetch, stream or offsets"))),
                };
                Command::FailNext { id, request, code: self.parsed("error code")? }
            }
            "disk-full" => Command::DiskFull { id: self.spu()?, on: self.on_off()? },
            "lose-acks" => Command::LoseAcks { id: self.spu()?, on: self.on_off()? },
            "report-delay" => Command::ReportDelay { id: self.spu()?, delay: self.milliseconds()? },
            "lose-reports" => Command::LoseReports { id: self.spu()?, on: self.on_off()? },
            "partition-delay" => Command::PartitionDelay { id: self.spu()?, delay: self.milliseconds()? },
            "habit" => {
                let id = self.spu()?;
                let name = self.word("name of a habit")?;
                let habit = name.parse().map_err(|()| ControlError(format!("{name:?} is not the name of a habit")))?;
                Command::Habit { id, habit, on: self.on_off()? }
            }
            "smartmodule-memory" => {
                Command::SmartModuleMemory { id: self.spu()?, bytes: self.parsed("number of bytes")? }
            }
            "smartmodule-delay" => Command::SmartModuleDelay { delay: self.milliseconds()? },
            "move" => Command::Move {
                topic: self.word("topic")?.to_owned(),
                partition: self.parsed("partition")?,
                id: self.spu()?,
            },
            "evict" => Command::Evict {
                topic: self.word("topic")?.to_owned(),
                partition: self.parsed("partition")?,
                offset: self.parsed("offset")?,
            },
            "add-partitions" => Command::AddPartitions {
                topic: self.word("topic")?.to_owned(),
                count: self.parsed("number of partitions")?,
            },
            "advertise" => {
                Command::Advertise { id: self.spu()?, host: self.word("host")?.to_owned(), port: self.parsed("port")? }
            }
            "sc" => match self.word("stall, blank, reset, kill or start")? {
                "stall" => Command::StallSc { on: self.on_off()? },
                "blank" => Command::BlankSc { on: self.on_off()? },
                "reset" => Command::ResetSc,
                "kill" => Command::KillSc,
                "start" => Command::StartSc,
                other => return Err(ControlError(format!("{other:?} is not stall, blank, reset, kill or start"))),
            },
            "keep-files" => Command::KeepFiles,
            other => return Err(ControlError(format!("unknown command {other:?}"))),
        })
    }
}

impl FromStr for Command {
    type Err = ControlError;

    fn from_str(line: &str) -> Result<Self, ControlError> {
        let mut words = Words(line.split_whitespace());
        let command = words.command()?;
        match words.0.next() {
            Some(word) => Err(ControlError(format!("{word:?} is one word too many"))),
            None => Ok(command),
        }
    }
}
