//! The program `fluvio-cffi-cluster`: an embedded Fluvio cluster.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use fluvio_cffi_cluster::{Cluster, Config, Tls};
use rustix::io::Errno;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

const NAME: &str = env!("CARGO_PKG_NAME");

const HELP: &str = "\
An embedded Fluvio cluster: an SC and its SPUs in one process, for tests and development.

Usage: fluvio-cffi-cluster [OPTIONS]

Options:
  --data-dir DIR      where to keep records and metadata [a temporary directory, removed at the end]
  --temporary         remove the data directory at the end, and those that dead clusters have left beside it
  --host HOST         the address to listen on [127.0.0.1]
  --port PORT         the port that clients connect to; 0: any free one [9003]
  --spus N            how many SPUs there are; their numbers are 5001, 5002 and so on [1]
  --spu-port PORT     the port of the first SPU; 0: the one of the last run on this directory and port, else any free one, as
                      the others get it [0]
  --tls               serve over TLS, with certificates that are made in tls/ of the data directory: ca.crt, which clients
                      trust, and client.crt with client.key
  --tls-client-auth   the same, and clients must show a certificate of that CA
  --tls-days DAYS     how long the certificates are good; 0: for tests, they have expired [3650]
  --retention-interval SECONDS
                      how often records beyond their topic's retention are looked for [10]
  --smart-engine-max-memory BYTES
                      the most memory that a SmartModule may have [1073741824]
  --end-with-stdin    end when the standard input is closed
  --control           for tests: take commands on the standard input, a line each, and answer each with a line,
                      \"ok\" or \"error\" and the reason
  --write-like-real   write replies as the real servers do: Nagle's algorithm on, in two pieces
  --help, --version

Prints one line on the standard output once it accepts connections: ready HOST:PORT spu=HOST:PORT, with an spu= for each SPU.
As with the real SC, the environment variable FLV_TOPIC_WAIT says how many seconds a create waits for partitions that too few
SPUs are there for [90]. Ends with SIGINT and SIGTERM. Acknowledged records survive a kill, not a power cut.

Commands (ID: the number of an SPU):
  kill-spu ID                                   reset-sockets ID
  start-spu ID [not-leader-for SECONDS]         drop-after ID BYTES [CONNECTIONS]
  delay ID MILLISECONDS                         refuse ID on|off
  stall ID on|off                               disk-full ID on|off
  lose-acks ID on|off                           lose-reports ID on|off
  report-delay ID MILLISECONDS                  partition-delay ID MILLISECONDS
  habit ID NAME on|off                          smartmodule-memory ID BYTES
  smartmodule-delay MILLISECONDS
  fail-next ID produce|fetch|stream|offsets CODE
  move TOPIC PARTITION ID                       evict TOPIC PARTITION OFFSET
  advertise ID HOST PORT                        keep-files
  add-partitions TOPIC COUNT                    sc stall on|off, sc blank on|off
                                                sc reset, sc kill, sc start";

/// What the command line asks for.
enum Asked {
    Run(Run),
    Print(String),
}

/// How to run.
struct Run {
    config: Config,
    end_with_stdin: bool,
    control: bool,
}

/// Both `--port 1` and `--port=1`.
fn split(argument: OsString) -> (OsString, Option<OsString>) {
    let bytes = argument.as_bytes();
    match bytes.iter().position(|byte| *byte == b'=').filter(|_| bytes.starts_with(b"--")) {
        Some(at) => (OsStr::from_bytes(&bytes[..at]).to_owned(), Some(OsString::from_vec(bytes[at + 1..].to_vec()))),
        None => (argument, None),
    }
}

fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Asked, String> {
    let mut config = Config { port: 9003, ..Config::default() };
    let (mut end_with_stdin, mut control) = (false, false);
    if let Ok(text) = std::env::var("FLV_TOPIC_WAIT") {
        let seconds =
            text.parse().map_err(|_| format!("FLV_TOPIC_WAIT is {text:?}: it must be a whole number of seconds"))?;
        config.topic_wait = Duration::from_secs(seconds);
    }
    while let Some(argument) = arguments.next() {
        let (option, mut inline) = split(argument);
        let option = option.to_string_lossy();
        let given = inline.is_some();
        let mut path = || inline.take().or_else(|| arguments.next()).ok_or_else(|| format!("{option} needs a value"));
        // Only paths may be of any bytes.
        let mut value = || path()?.into_string().map_err(|value| format!("{option} is {value:?}: it must be UTF-8"));
        let wrong = |text: &str, allowed: &str| format!("{option} is {text:?}: it must be {allowed}");
        let port = |text: String| text.parse::<u16>().map_err(|_| wrong(&text, "a port, from 0 to 65535"));
        match &*option {
            "--data-dir" => config.data_dir = Some(path()?.into()),
            "--host" => config.host = value()?,
            "--port" => config.port = port(value()?)?,
            "--spu-port" => config.spu_port = port(value()?)?,
            "--spus" => {
                let text = value()?;
                config.spus = text.parse().map_err(|_| wrong(&text, "a number of SPUs, from 1 to 1000"))?;
            }
            "--tls-days" => {
                let text = value()?;
                config.certificate_days = text.parse().map_err(|_| wrong(&text, "a whole number of days"))?;
            }
            "--retention-interval" => {
                let text = value()?;
                let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                config.retention_interval = seconds.ok_or_else(|| wrong(&text, "a number of seconds"))?;
            }
            "--smart-engine-max-memory" => {
                let text = value()?;
                config.smartmodule_memory = text.parse().map_err(|_| wrong(&text, "a number of bytes"))?;
            }
            _ if given => return Err(format!("{option} is no option that takes a value; see --help")),
            "--temporary" => config.temporary = true,
            "--tls" => config.tls = config.tls.max(Tls::Server),
            "--tls-client-auth" => config.tls = Tls::Mutual,
            "--control" => control = true,
            "--end-with-stdin" => end_with_stdin = true,
            "--write-like-real" => config.write_like_real = true,
            "--help" | "-h" => return Ok(Asked::Print(HELP.to_owned())),
            "--version" | "-V" => return Ok(Asked::Print(format!("{NAME} {}", env!("CARGO_PKG_VERSION")))),
            _ => return Err(format!("unknown option {option}; see --help")),
        }
    }
    Ok(Asked::Run(Run { config, end_with_stdin, control }))
}

/// The lines of the standard input, until it ends. A thread of its own: a blocked read cannot be cancelled, and must
/// not hold up the end. Without `keep` there is only the end.
fn stdin_lines(keep: bool) -> io::Result<mpsc::Receiver<String>> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::Builder::new().spawn(move || {
        let mut stdin = io::stdin().lock();
        if keep {
            for line in stdin.lines().map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        } else {
            // It ends with an error as well.
            let _ = io::copy(&mut stdin, &mut io::sink());
        }
    })?;
    Ok(receiver)
}

fn say(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Carries out commands until the standard input ends.
async fn obey(cluster: &Cluster, mut lines: mpsc::Receiver<String>) {
    while let Some(line) = lines.recv().await {
        let answer = match cluster.control(&line).await {
            Ok(()) => "ok".to_owned(),
            Err(error) => format!("error {error}").replace('\n', " "),
        };
        // Whoever has closed the output does not want the answer.
        let _ = say(&answer);
    }
}

async fn run(Run { config, end_with_stdin, control }: Run) -> Result<(), Box<dyn std::error::Error>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // A file that may not grow is an error of the write, not the end.
    let _too_large = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
    let lines = if end_with_stdin || control { Some(stdin_lines(control)?) } else { None };
    let cluster = Cluster::start(config).await?;
    let spus: String = cluster.spu_endpoints().iter().map(|(_, address)| format!(" spu={address}")).collect();
    say(&format!("ready {}{spus}", cluster.endpoint()))?;
    cluster.sweep();
    let stdin_ended = async {
        if let Some(lines) = lines {
            obey(&cluster, lines).await;
        }
        if !end_with_stdin {
            std::future::pending().await
        }
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = stdin_ended => {}
    }
    cluster.shutdown().await;
    Ok(())
}

/// The runtime. Where the system has no thread for it, it panics, and would wait for the threads that it has got before
/// it ends unless it is made where none may wait.
fn runtime() -> io::Result<Runtime> {
    let make = || Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let inside = || Builder::new_current_thread().build()?.block_on(async { make() });
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let made = catch_unwind(AssertUnwindSafe(inside)).unwrap_or_else(|_| Err(Errno::AGAIN.into()));
    std::panic::set_hook(hook);
    made
}

fn main() -> ExitCode {
    let asked = match parse(std::env::args_os().skip(1)) {
        Ok(Asked::Run(run)) => run,
        Ok(Asked::Print(text)) => {
            // Whoever closed the output does not want it.
            let _ = writeln!(io::stdout(), "{text}");
            return ExitCode::SUCCESS;
        }
        Err(reason) => {
            let _ = writeln!(io::stderr(), "{NAME}: {reason}");
            return ExitCode::from(2);
        }
    };
    fluvio_cffi_cluster::raise_limit();
    let ended = runtime().map_err(Into::into).and_then(|runtime| {
        let ended = runtime.block_on(run(asked));
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("{NAME}: {error}");
            // Where the disk is full on which it would be kept, there is one place left to say it.
            if writeln!(io::stderr(), "{text}").is_err() {
                let _ = say(&text);
            }
            ExitCode::FAILURE
        }
    }
}
