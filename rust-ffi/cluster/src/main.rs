//! The program `fluvio-cffi-cluster`: an embedded Fluvio cluster.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use fluvio_cffi_cluster::{Cluster, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

const NAME: &str = env!("CARGO_PKG_NAME");

const HELP: &str = "\
An embedded Fluvio cluster: an SC and one SPU in one process, for tests and development.

Usage: fluvio-cffi-cluster [OPTIONS]

Options:
  --data-dir DIR      where to keep records and metadata [a temporary directory, removed at the end]
  --host HOST         the address to listen on [127.0.0.1]
  --port PORT         the port that clients connect to; 0: any free one [9003]
  --spu-port PORT     the port of the SPU; 0: the one of the last run on this directory and port, else any free one [0]
  --end-with-stdin    end when the standard input is closed
  --write-like-real   write replies as the real servers do: Nagle's algorithm on, in two pieces
  --help, --version

Prints one line on the standard output once it accepts connections: ready HOST:PORT spu=HOST:PORT
Ends with SIGINT and SIGTERM. Acknowledged records survive a kill, not a power cut.";

/// What the command line asks for.
enum Command {
    Run { config: Config, end_with_stdin: bool },
    Print(String),
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut config = Config { port: 9003, ..Config::default() };
    let mut end_with_stdin = false;
    while let Some(argument) = arguments.next() {
        // Both `--port 1` and `--port=1`.
        let (option, mut inline) = match argument.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option.to_owned(), Some(value.to_owned())),
            _ => (argument, None),
        };
        let given = inline.is_some();
        let mut value = || inline.take().or_else(|| arguments.next()).ok_or_else(|| format!("{option} needs a value"));
        let port = |text: String| text.parse::<u16>().map_err(|_| format!("{text:?} is not a port"));
        match option.as_str() {
            "--data-dir" => config.data_dir = Some(PathBuf::from(value()?)),
            "--host" => config.host = value()?,
            "--port" => config.port = port(value()?)?,
            "--spu-port" => config.spu_port = port(value()?)?,
            _ if given => return Err(format!("{option} is not an option with a value; see --help")),
            "--end-with-stdin" => end_with_stdin = true,
            "--write-like-real" => config.write_like_real = true,
            "--help" | "-h" => return Ok(Command::Print(HELP.to_owned())),
            "--version" | "-V" => return Ok(Command::Print(format!("{NAME} {}", env!("CARGO_PKG_VERSION")))),
            _ => return Err(format!("unknown option {option}; see --help")),
        }
    }
    Ok(Command::Run { config, end_with_stdin })
}

/// Resolves when the standard input ends. A thread of its own: a blocked read cannot be cancelled, and must not hold up the end.
fn end_of_stdin() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut scratch = [0_u8; 1024];
        let mut stdin = io::stdin().lock();
        loop {
            match stdin.read(&mut scratch) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        let _ = sender.send(());
    });
    receiver
}

async fn run(config: Config, end_with_stdin: bool) -> Result<(), Box<dyn std::error::Error>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let cluster = Cluster::start(config).await?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "ready {} spu={}", cluster.endpoint(), cluster.spu_endpoint())?;
    stdout.flush()?;
    drop(stdout);
    let stdin = end_with_stdin.then(end_of_stdin);
    let stdin_ended = async {
        match stdin {
            Some(ended) => drop(ended.await),
            None => std::future::pending().await,
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

fn main() -> ExitCode {
    let (config, end_with_stdin) = match parse(std::env::args().skip(1)) {
        Ok(Command::Run { config, end_with_stdin }) => (config, end_with_stdin),
        Ok(Command::Print(text)) => {
            // Whoever closed the output does not want it.
            let _ = writeln!(io::stdout(), "{text}");
            return ExitCode::SUCCESS;
        }
        Err(reason) => {
            eprintln!("{NAME}: {reason}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = runtime.map_err(Into::into).and_then(|runtime| {
        let ended = runtime.block_on(run(config, end_with_stdin));
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{NAME}: {error}");
            ExitCode::FAILURE
        }
    }
}
