//! The program: its line, its ends, and what a kill leaves behind.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use common::{Client, PATIENCE};
use fluvio_protocol::Decoder;
use fluvio_protocol::link::ErrorCode;
use fluvio_sc_schema::TryEncodableFrom;
use fluvio_sc_schema::objects::{CommonCreateRequest, CreateRequest, ObjectApiCreateRequest};
use fluvio_sc_schema::smartmodule::{SmartModuleSpec, SmartModuleWasm};
use fluvio_sc_schema::topic::TopicSpec;
use fluvio_spu_schema::produce::ProduceResponse;
use fluvio_spu_schema::server::consumer_offset::{FetchConsumerOffsetsRequest, UpdateConsumerOffsetRequest};
use fluvio_spu_schema::server::stream_fetch::StreamFetchRequest;

struct Program {
    child: Child,
    sc: SocketAddr,
    spu: SocketAddr,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fluvio-cffi-cluster"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Program {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let (sc, spu) =
            line.strip_prefix("ready ").and_then(|rest| rest.trim().split_once(" spu=")).unwrap_or_else(|| {
                let mut errors = String::new();
                child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
                panic!("{line:?} {errors}")
            });
        Self { sc: sc.parse().unwrap(), spu: spu.parse().unwrap(), child }
    }

    fn on(directory: &Path, port: u16) -> Self {
        Self::start(command(&["--data-dir", directory.to_str().unwrap(), "--port", &port.to_string()]))
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole log of partition 0 of `topic`.
async fn log(spu: SocketAddr, topic: &str) -> Vec<(i64, i64, Vec<u8>)> {
    let mut client = Client::connect(spu).await;
    let correlation = client.stream(topic, 0, -1).await;
    let reply = client.stream_reply(correlation, PATIENCE).await.unwrap();
    let (batches, rest) = common::batches(&reply.partition.records.0);
    assert_eq!(rest, 0);
    batches
}

#[test]
fn acknowledged_records_survive_a_kill() {
    common::run(60, async {
        let directory = tempfile::tempdir().unwrap();
        let program = Program::on(directory.path(), 0);
        let (sc, spu) = (program.sc, program.spu);
        assert!(!Client::connect(sc).await.create("t", TopicSpec::new_computed(2, 1, None)).await.is_error());

        // Ten requests in flight, each batch of another size, until the server dies under them.
        let mut client = Client::connect(spu).await;
        let mut acknowledged: Vec<(i64, Vec<u8>)> = Vec::new();
        let mut sent = 0_usize;
        let mut program = Some(program);
        loop {
            while program.is_some() && sent < acknowledged.len() + 10 {
                client.send(common::produce("t", 0, common::batch(1 + sent % 7, 1000 + sent))).await;
                sent += 1;
            }
            let Ok(frame) = client.receive(PATIENCE).await else { break };
            let response = ProduceResponse::decode_from(&mut &frame[4..], 25).unwrap();
            let entry = &response.responses[0].partitions[0];
            assert!(entry.error_code.is_ok());
            let number = acknowledged.len();
            acknowledged.push((entry.base_offset, common::batch(1 + number % 7, 1000 + number)));
            if acknowledged.len() == 300 {
                program.take().unwrap().kill();
            }
        }
        assert!(acknowledged.len() >= 300);

        let program = Program::on(directory.path(), sc.port());
        assert_eq!((program.sc, program.spu), (sc, spu), "clients find it where it was");
        let found = log(spu, "t").await;
        assert!(found.len() >= acknowledged.len());
        let mut next = 0;
        for (number, (base, offsets, bytes)) in found.iter().enumerate() {
            assert_eq!(*base, next);
            next += offsets;
            if let Some((acknowledged_base, sent)) = acknowledged.get(number) {
                assert_eq!(base, acknowledged_base);
                assert_eq!(bytes[8..], sent[8..]);
            }
        }
        let produced = Client::connect(spu).await.produce("t", 0, common::batch(1, 1)).await;
        assert_eq!(produced.base_offset, next);
        // The topic's other partition and the metadata are there too.
        assert_eq!(Client::connect(spu).await.produce("t", 1, common::batch(1, 1)).await.base_offset, 0);
        let again = Client::connect(sc).await.create("t", TopicSpec::new_computed(2, 1, None)).await;
        assert!(again.is_error());
    });
}

#[test]
fn acknowledged_objects_and_offsets_survive_a_kill() {
    common::run(60, async {
        let directory = tempfile::tempdir().unwrap();
        let mut wanted: Vec<(String, Vec<u8>)> = Vec::new();
        for round in 0..5 {
            let program = Program::on(directory.path(), 0);
            let mut client = Client::connect(program.sc).await;
            let list = client.list::<SmartModuleSpec>().await;
            let found: Vec<_> = list.into_iter().map(|it| (it.name, it.spec.wasm.payload.to_vec())).collect();
            // One more than was answered can be there.
            assert!(wanted.iter().all(|object| found.contains(object)), "round {round}");
            assert!(found.len() <= wanted.len() + 1, "round {round}");
            wanted = found;
            let topics = client.list::<TopicSpec>().await;
            assert!(topics.iter().map(|it| it.name.clone()).eq((0..round).map(|round| format!("t-{round}"))));
            let topic = format!("t-{round}");
            assert!(!client.create(&topic, TopicSpec::new_computed(2, 1, None)).await.is_error());
            let mut spu = Client::connect(program.spu).await;
            let ask = FetchConsumerOffsetsRequest::with_opts(None, Some("me".to_owned()));
            let offsets = spu.call(ask).await.consumers;
            assert!(offsets.iter().map(|it| it.offset).eq(0..round), "{offsets:?}");
            let mut request = StreamFetchRequest::<common::Raw>::default();
            (request.topic, request.consumer_id) = (topic, Some("me".to_owned()));
            spu.send(request).await;
            assert_eq!(spu.call(UpdateConsumerOffsetRequest::new(round, 1)).await.offset, round);
            let mut program = Some(program);
            for number in 0_usize.. {
                let (name, code) = (format!("m-{round}-{number:04}"), vec![number as u8; 1000 * number]);
                let wasm = SmartModuleWasm::from_compressed_gzip(code.clone());
                let common = CommonCreateRequest { name: name.clone(), dry_run: false, timeout: None };
                let create = CreateRequest::new(common, SmartModuleSpec { wasm, ..Default::default() });
                client.send(ObjectApiCreateRequest::try_encode_from(create, 19).unwrap()).await;
                if number == 20 + round as usize
                    && let Some(program) = program.take()
                {
                    program.kill();
                }
                if client.receive(PATIENCE).await.is_err() {
                    break;
                }
                wanted.push((name, code));
            }
        }
    });
}

#[test]
fn a_torn_tail_is_cut() {
    common::run(60, async {
        let directory = tempfile::tempdir().unwrap();
        let program = Program::on(directory.path(), 0);
        let sc = program.sc;
        Client::connect(sc).await.create("t", TopicSpec::new_computed(1, 1, None)).await;
        let mut client = Client::connect(program.spu).await;
        for _ in 0..5 {
            client.produce("t", 0, common::batch(3, 100)).await;
        }
        program.kill();
        let path = directory.path().join("spu-logs-5001/t-0/00000000000000000000.log");
        let whole = std::fs::metadata(&path).unwrap().len();
        let mut torn = common::batch(3, 100);
        torn[..8].copy_from_slice(&15_i64.to_be_bytes());
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&torn[..torn.len() - 30]).unwrap();

        let program = Program::on(directory.path(), sc.port());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), whole);
        assert_eq!(log(program.spu, "t").await.len(), 5);
        program.kill();

        // A tail of the right length with the wrong bytes is no better.
        torn[70] ^= 1;
        file.write_all(&torn).unwrap();
        let program = Program::on(directory.path(), sc.port());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), whole);
        program.kill();

        // And of what was whole, the last batch goes when a piece of it is missing.
        OpenOptions::new().write(true).open(&path).unwrap().set_len(whole - 30).unwrap();
        let program = Program::on(directory.path(), sc.port());
        assert_eq!(log(program.spu, "t").await.len(), 4);
        let produced = Client::connect(program.spu).await.produce("t", 0, common::batch(1, 1)).await;
        assert_eq!(produced.base_offset, 12);
    });
}

#[test]
fn a_directory_has_one_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let _program = Program::on(directory.path(), 0);
    let output = command(&["--data-dir", directory.path().to_str().unwrap(), "--port", "0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains("in use by another cluster"), "{errors}");
}

#[test]
fn ends_with_stdin_and_signals() {
    let temporary = tempfile::tempdir().unwrap();
    let start = |arguments: &[&str]| {
        let mut command = command(arguments);
        command.env("TMPDIR", temporary.path());
        Program::start(command)
    };
    let mut program = start(&["--port", "0", "--end-with-stdin"]);
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 1);
    drop(program.child.stdin.take());
    assert_eq!(program.end().code(), Some(0));
    for signal in ["INT", "TERM"] {
        let mut program = start(&["--port=0"]);
        // Connections, also ones in the middle of a frame, do not hold it up.
        let mut socket = std::net::TcpStream::connect(program.spu).unwrap();
        socket.write_all(&[0, 0, 1]).unwrap();
        let kill =
            Command::new("kill").args([&format!("-{signal}"), &program.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        assert_eq!(program.end().code(), Some(0), "SIG{signal}");
        assert_eq!(socket.read(&mut [0]).unwrap_or(0), 0);
    }
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "temporary directories are removed");
}

#[test]
fn takes_commands_on_stdin() {
    let mut child = command(&["--port", "0", "--spus", "3", "--control", "--end-with-stdin"]).spawn().unwrap();
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    // The answers are awaited in a thread of their own, so that none can hang the test.
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || BufReader::new(stdout).lines().try_for_each(|line| sender.send(line.unwrap())));
    let next = || lines.recv_timeout(PATIENCE).unwrap();
    let ready = next();
    let addresses: Vec<SocketAddr> = ready.split(" spu=").skip(1).map(|address| address.parse().unwrap()).collect();
    assert_eq!(addresses.len(), 3, "{ready}");
    let mut control = |line: &str| {
        writeln!(stdin, "{line}").unwrap();
        next()
    };
    assert_eq!(control("kill-spu 5002"), "ok");
    let reached = addresses.iter().map(|address| std::net::TcpStream::connect(address).is_ok());
    assert_eq!(reached.collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(control("start-spu 5002 not-leader-for 0.01"), "ok");
    assert!(std::net::TcpStream::connect(addresses[1]).is_ok());
    assert_eq!(control("kill-spu 5004"), "error there is no SPU 5004");
    assert_eq!(control(""), "error command is missing");
    drop(stdin);
    let mut program = Program { child, sc: addresses[0], spu: addresses[0] };
    assert_eq!(program.end().code(), Some(0));
    assert!(lines.recv_timeout(PATIENCE).is_err(), "nothing more is said");
}

#[test]
fn says_what_is_wrong_with_its_arguments() {
    for (arguments, code, text) in [
        (&["--help"][..], 0, "Usage"),
        (&["--version"], 0, env!("CARGO_PKG_VERSION")),
        (&["--port", "x"], 2, "--port is \"x\": it must be a port, from 0 to 65535"),
        (&["--spus", "0", "--port", "0"], 1, "the number of SPUs is 0: it must be from 1 to 1000"),
        (&["--spus", "x"], 2, "--spus is \"x\": it must be a number of SPUs, from 1 to 1000"),
        (&["--retention-interval", "-1"], 2, "--retention-interval is \"-1\": it must be a number of seconds"),
        (&["--nonsense"], 2, "unknown option"),
        (&["--data-dir"], 2, "needs a value"),
        (&["--host", "192.0.2.1", "--port", "0"], 1, "cannot listen on 192.0.2.1:0"),
    ] {
        let output = command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let said = [output.stdout, output.stderr].concat();
        assert!(String::from_utf8(said).unwrap().contains(text), "{arguments:?}");
    }
}

#[test]
fn a_create_waits_as_long_as_the_environment_says() {
    common::run(60, async {
        let mut short = command(&["--port", "0"]);
        short.env("FLV_TOPIC_WAIT", "0");
        let program = Program::start(short);
        let status = Client::connect(program.sc).await.create("t", TopicSpec::new_computed(1, 2, None)).await;
        assert_eq!(status.error_code, ErrorCode::TopicNotProvisioned);
        assert_eq!(status.error_message.as_deref(), Some("only 0 out of 1 provisioned"));
        let output = command(&[]).env("FLV_TOPIC_WAIT", "soon").output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains("FLV_TOPIC_WAIT"));
    });
}

/// The stall that a client sees who does not acknowledge at once, and its absence.
#[test]
fn writes_like_the_real_server_when_told_to() {
    common::run(60, async {
        for (arguments, stalls) in [(&["--port", "0"][..], false), (&["--port", "0", "--write-like-real"], true)] {
            let program = Program::start(command(arguments));
            Client::connect(program.sc).await.create("t", TopicSpec::new_computed(1, 1, None)).await;
            Client::connect(program.spu).await.produce("t", 0, common::batch(1, 10)).await;
            let mut client = Client::connect(program.spu).await;
            let correlation = client.stream("t", 0, 1 << 20).await;
            let mut slow = 0;
            for _ in 0..10 {
                let start = Instant::now();
                let reply = client.stream_reply(correlation, PATIENCE).await.unwrap();
                slow += usize::from(start.elapsed() > Duration::from_millis(30));
                client.acknowledge(reply.stream_id, 0).await;
            }
            assert_eq!(slow > 5, stalls, "{slow} of 10 replies were slow");
        }
    });
}

/// Frames that never end take no memory, however long they say they are.
#[test]
fn a_length_allocates_nothing() {
    common::run(60, async {
        let program = Program::start(command(&["--port", "0"]));
        let resident = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", program.child.id())).unwrap();
            let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
        };
        let before = resident();
        let mut open = Vec::new();
        for address in [program.sc, program.spu] {
            for head in [i32::MAX, i32::MIN, -1, 500 << 20, i32::from_be_bytes(*b"GET ")] {
                for _ in 0..10 {
                    let mut client = Client::connect(address).await;
                    tokio::io::AsyncWriteExt::write_all(&mut client.socket, &head.to_be_bytes()).await.unwrap();
                    tokio::io::AsyncWriteExt::write_all(&mut client.socket, &[0; 1000]).await.unwrap();
                    open.push(client);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(resident() < before + 50, "{before} MiB became {} MiB", resident());
        for client in &mut open {
            assert_eq!(client.receive(Duration::from_millis(1)).await, Err(common::NoFrame::Silence));
        }
    });
}
