//! Modules that break off, run on or take too much, and what becomes of the others; the habits that can be switched
//! off.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use common::{Client, NoFrame, PATIENCE, Raw, SILENCE, adhoc, offsets_and_values, smartmodule, values};
use fluvio_cffi_cluster::{Cluster, Config};
use fluvio_controlplane_metadata::topic::{Bounds, Deduplication, Filter, TopicStorageConfig, Transform};
use fluvio_protocol::Decoder;
use fluvio_protocol::link::ErrorCode;
use fluvio_sc_schema::topic::TopicSpec;
use fluvio_smartmodule::dataplane::smartmodule::Lookback;
use fluvio_spu_schema::server::smartmodule::{SmartModuleInvocation, SmartModuleInvocationWasm};
use fluvio_spu_schema::server::stream_fetch::StreamFetchResponse;

/// What each text of a module begins with: a filter that passes what it is given, and a place for more.
const PASS: &str = r#"
    (import "env" "copy_records" (func $copy (param i32 i32)))
    (memory (export "memory") 4)
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func $pass (param $at i32) (param $length i32) (result i32)
        (i32.store8 (i32.add (local.get $at) (local.get $length)) (i32.const 0))
        (call $copy (i32.add (local.get $at) (i32.const 12)) (i32.sub (local.get $length) (i32.const 19)))
        (i32.const 0))
"#;

fn module(text: &str) -> Vec<u8> {
    wat::parse_str(format!("(module {PASS} {text})")).unwrap()
}

struct World {
    cluster: Cluster,
    client: Client,
}

impl World {
    async fn new(config: Config) -> Self {
        let cluster = Cluster::start(config).await.unwrap();
        let client = Client::connect(cluster.spu_endpoint()).await;
        Self { cluster, client }
    }

    async fn topic(&mut self, name: &str, batches: &[&[&str]]) {
        self.topic_as(name, TopicSpec::new_computed(1, 1, None), batches).await;
    }

    async fn topic_as(&mut self, name: &str, spec: TopicSpec, batches: &[&[&str]]) {
        let mut sc = Client::connect(self.cluster.endpoint()).await;
        assert!(!sc.create(name, spec).await.is_error());
        for batch in batches {
            assert_eq!(self.client.produce(name, 0, values(batch)).await.error_code, ErrorCode::None);
        }
    }

    async fn open(&mut self, topic: &str, module: &[u8]) -> i32 {
        self.client.transformed(topic, 0, vec![adhoc(module, &[])]).await
    }

    async fn reply(&mut self, stream: i32) -> StreamFetchResponse<Raw> {
        self.client.stream_reply(stream, PATIENCE).await.unwrap()
    }

    /// The error that a stream with one module is answered with.
    async fn error(&mut self, topic: &str, module: &[u8]) -> ErrorCode {
        let stream = self.open(topic, module).await;
        self.reply(stream).await.partition.error_code
    }

    /// All that a stream brings until it is silent, each reply acknowledged.
    async fn all(&mut self, topic: &str, modules: Vec<SmartModuleInvocation>, max_bytes: i32) -> Vec<(i64, String)> {
        let mut request = fluvio_spu_schema::server::stream_fetch::StreamFetchRequest::<Raw>::default();
        request.topic = topic.to_owned();
        request.max_bytes = max_bytes;
        request.smartmodules = modules;
        let stream = self.client.send(request).await;
        let mut found = Vec::new();
        while let Ok(reply) = self.client.stream_reply(stream, Duration::from_millis(400)).await {
            assert_eq!(reply.partition.error_code, ErrorCode::None);
            found.extend(offsets_and_values(&reply.partition.records));
            self.client.acknowledge(reply.stream_id, reply.partition.next_filter_offset).await;
        }
        found
    }

    /// The cluster serves, also with modules.
    async fn check(&mut self, topic: &str) {
        let stream = self.open(topic, &smartmodule("pass")).await;
        let reply = self.reply(stream).await;
        assert_eq!(reply.partition.error_code, ErrorCode::None);
        assert!(!offsets_and_values(&reply.partition.records).is_empty());
    }
}

fn text(error: &ErrorCode) -> &str {
    match error {
        ErrorCode::Other(text)
        | ErrorCode::SmartModuleChainInitError(text)
        | ErrorCode::SmartModuleLookBackError(text) => text,
        other => panic!("{other:?} has no text"),
    }
}

#[test]
fn an_endless_loop_ends_with_its_fuel_wherever_it_is() {
    common::run(60, async {
        let mut world = World::new(Config { smartmodule_fuel: 100_000_000, ..Config::default() }).await;
        world.topic("t", &[&["a"]]).await;
        let endless = "(loop $again (br $again))";
        let filter =
            r#"(func (export "filter") (param i32 i32 i32) (result i32) (call $pass (local.get 0) (local.get 1)))"#;
        let init =
            format!(r#"{filter} (func (export "init") (param i32 i32 i32) (result i32) {endless} (i32.const 0))"#);
        let start = format!(r#"{filter} (func $start {endless}) (start $start)"#);
        let in_filter = format!(r#"(func (export "filter") (param i32 i32 i32) (result i32) {endless} (i32.const 0))"#);
        let look_back =
            format!(r#"{filter} (func (export "look_back") (param i32 i32 i32) (result i32) {endless} (i32.const 0))"#);
        let alloc = r#"(module (import "env" "copy_records" (func (param i32 i32))) (memory (export "memory") 1)
            (func (export "alloc") (param i32) (result i32) (loop $again (br $again)) (i32.const 0))
            (func (export "filter") (param i32 i32 i32) (result i32) (i32.const 0)))"#;
        assert!(matches!(world.error("t", &module(&init)).await, ErrorCode::SmartModuleChainInitError(_)));
        assert!(matches!(world.error("t", &module(&start)).await, ErrorCode::SmartModuleChainInitError(_)));
        for code in [module(&in_filter), wat::parse_str(alloc).unwrap()] {
            let error = world.error("t", &code).await;
            assert!(text(&error).starts_with("SmartModule err ") && text(&error).contains("too long"), "{error:?}");
        }
        let mut step = adhoc(&module(&look_back), &[]);
        step.params.set_lookback(Some(Lookback::last(1)));
        let stream = world.client.transformed("t", 0, vec![step]).await;
        let error = world.reply(stream).await.partition.error_code;
        assert!(matches!(error, ErrorCode::SmartModuleLookBackError(_)), "{error:?}");
        world.check("t").await;
    });
}

/// More streams than there are threads for modules, none of which would ever end by itself.
#[test]
fn an_endless_loop_ends_with_its_stream_its_topic_and_its_server() {
    common::run(60, async {
        let mut world = World::new(Config { smartmodule_fuel: u64::MAX, ..Config::default() }).await;
        world.topic("good", &[&["a"]]).await;
        let endless = smartmodule("loop");
        for how in ["connection", "topic", "server"] {
            world.topic(how, &[&["loop"]]).await;
            let mut other = Client::connect(world.cluster.spu_endpoint()).await;
            let mut streams = Vec::new();
            for _ in 0..20 {
                streams.push(other.transformed(how, 0, vec![adhoc(&endless, &[])]).await);
            }
            assert!(matches!(other.stream_reply(streams[0], SILENCE).await, Err(NoFrame::Silence)));
            match how {
                "connection" => drop(other),
                "topic" => {
                    let mut sc = Client::connect(world.cluster.endpoint()).await;
                    assert!(!sc.delete(how).await.is_error());
                    for _ in streams {
                        let frame = other.receive(PATIENCE).await.unwrap();
                        let reply = StreamFetchResponse::<Raw>::decode_from(&mut &frame[4..], 25).unwrap();
                        assert_eq!(reply.partition.error_code, ErrorCode::TopicDeleted);
                    }
                }
                _ => {
                    world.cluster.control("kill-spu 5001").await.unwrap();
                    world.cluster.control("start-spu 5001").await.unwrap();
                    world.client = Client::connect(world.cluster.spu_endpoint()).await;
                }
            }
            // There is a thread for others only when the endless ones have ended.
            world.check("good").await;
        }
        world.cluster.shutdown().await;
    });
}

/// A module that writes a MiB for ever, as long as less of it is taken.
fn loud() -> Vec<u8> {
    wat::parse_str(
        r#"(module
            (import "env" "copy_records" (func (param i32 i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 17)
            (data (i32.const 0) "\00\04\00\00\00\00\10\00")
            (func (export "alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "filter") (param i32 i32 i32) (result i32)
                (loop $again (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
                    (br_if $again (i32.le_u (i32.load (i32.const 16)) (i32.const 65536))))
                unreachable))"#,
    )
    .unwrap()
}

#[test]
fn a_module_that_writes_for_ever_ends_with_its_fuel_and_with_its_stream() {
    common::run(60, async {
        let mut world = World::new(Config { smartmodule_fuel: 100_000_000, ..Config::default() }).await;
        world.topic("t", &[&["a"]]).await;
        let error = world.error("t", &loud()).await;
        assert!(text(&error).contains("too long"), "{error:?}");
        world.cluster.shutdown().await;

        let mut world = World::new(Config { smartmodule_fuel: u64::MAX, ..Config::default() }).await;
        world.topic("t", &[&["a"]]).await;
        let mut other = Client::connect(world.cluster.spu_endpoint()).await;
        for _ in 0..16 {
            other.transformed("t", 0, vec![adhoc(&loud(), &[])]).await;
        }
        assert!(matches!(other.receive(SILENCE).await, Err(NoFrame::Silence)));
        drop(other);
        world.check("t").await;
        world.cluster.shutdown().await;
    });
}

/// Each call is short, but there are many.
#[test]
fn a_chain_of_short_calls_ends_with_its_stream() {
    common::run(60, async {
        let mut world = World::new(Config::default()).await;
        world.topic("good", &[&["a"]]).await;
        world.topic("t", &[]).await;
        let set = values(&["a", "b"]).repeat(500);
        assert_eq!(world.client.produce("t", 0, set).await.error_code, ErrorCode::None);
        let mut other = Client::connect(world.cluster.spu_endpoint()).await;
        for _ in 0..16 {
            other.transformed("t", 0, vec![adhoc(&slow(150_000), &[])]).await;
        }
        assert!(matches!(other.receive(SILENCE).await, Err(NoFrame::Silence)));
        drop(other);
        let started = Instant::now();
        world.check("good").await;
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    });
}

#[test]
fn others_are_served_while_a_module_does_not_end() {
    common::run(60, async {
        let mut world = World::new(Config { smartmodule_fuel: u64::MAX, ..Config::default() }).await;
        world.topic("t", &[&["loop"]]).await;
        for _ in 0..4 {
            world.open("t", &smartmodule("loop")).await;
        }
        for _ in 0..20 {
            world.check("t").await;
        }
        world.cluster.shutdown().await;
    });
}

#[test]
fn no_number_of_a_module_is_believed() {
    common::run(60, async {
        let mut world = World::new(Config::default()).await;
        world.topic("t", &[&["a", "b"]]).await;
        for name in ["alloc_outside", "alloc_minus"] {
            let error = world.error("t", &smartmodule(name)).await;
            assert!(text(&error).contains("outside of the memory"), "{name}: {error:?}");
        }
        let output = |at: &str, length: &str| {
            module(&format!(
                r#"(func (export "filter") (param i32 i32 i32) (result i32)
                    (call $copy (i32.const {at}) (i32.const {length})) (i32.const 0))"#
            ))
        };
        for (at, length) in [("-1", "4"), ("0", "-1"), ("0x7fffffff", "0x7fffffff"), ("262140", "5"), ("262144", "0")] {
            let error = world.error("t", &output(at, length)).await;
            assert_eq!(text(&error), "SmartModule err can't read i32", "{at} {length}");
        }
        // Counts: negative is none at all, as on the real server; too many is an end of the bytes.
        let count = |bytes: &str| {
            module(&format!(
                r#"(data (i32.const 64) "{bytes}") (func (export "filter") (param i32 i32 i32) (result i32)
                    (call $copy (i32.const 64) (i32.const 5)) (i32.const 0))"#
            ))
        };
        let stream = world.open("t", &count(r"\ff\ff\ff\ff\00")).await;
        assert!(matches!(world.client.stream_reply(stream, SILENCE).await, Err(NoFrame::Silence)));
        let error = world.error("t", &count(r"\7f\ff\ff\ff\00")).await;
        assert!(text(&error).starts_with("SmartModule err "), "{error:?}");
        // Lengths inside of records: of 2^62 bytes, and negative.
        for length in [r"\80\80\80\80\80\80\80\80\80\01", r"\01"] {
            let bytes = format!(r"\00\00\00\01\0c\00\00\00\00{length}");
            let code = module(&format!(
                r#"(data (i32.const 64) "{bytes}") (func (export "filter") (param i32 i32 i32) (result i32)
                    (call $copy (i32.const 64) (i32.const 60)) (i32.const 0))"#
            ));
            let error = world.error("t", &code).await;
            assert!(text(&error).starts_with("SmartModule err "), "{error:?}");
        }
        world.check("t").await;
    });
}

#[test]
fn memory_has_a_limit() {
    common::run(60, async {
        let mut world = World::new(Config::default()).await;
        world.topic("grow", &[&["grow 1024"]]).await;
        world.topic("t", &[&["a"]]).await;
        let batch: Vec<String> = (0..100).map(|_| "x".repeat(10_000)).collect();
        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
        world.topic("long", &[&batch[..]; 30]).await;
        world.cluster.control("smartmodule-memory 5001 16777216").await.unwrap();

        let hog = smartmodule("hog");
        let stream = world.client.transformed("t", 0, vec![adhoc(&hog, &[("init", "1024")])]).await;
        let error = world.reply(stream).await.partition.error_code;
        assert!(matches!(error, ErrorCode::SmartModuleMemoryLimitExceeded { max: 16_777_216, .. }), "{error:?}");
        let error = world.error("t", &smartmodule("big_memory")).await;
        assert!(matches!(error, ErrorCode::SmartModuleMemoryLimitExceeded { max: 16_777_216, .. }), "{error:?}");
        let error = world.error("grow", &hog).await;
        assert!(text(&error).starts_with("SmartModule err Requested memory "), "{error:?}");
        // A module that keeps what it was given ends its stream; the next one begins anew.
        for _ in 0..2 {
            let error = world.error("long", &smartmodule("leak")).await;
            assert!(text(&error).starts_with("SmartModule err Requested memory "), "{error:?}");
        }
        let many = "(memory 128) ".repeat(3);
        let many = format!(r#"{many} (func (export "filter") (param i32 i32 i32) (result i32) (i32.const 0))"#);
        let error = world.error("t", &module(&many)).await;
        assert!(matches!(error, ErrorCode::SmartModuleMemoryLimitExceeded { .. }), "{error:?}");
        world.check("t").await;
    });
}

#[test]
fn a_chain_has_an_end() {
    common::run(60, async {
        let mut world = World::new(Config::default()).await;
        world.topic("t", &[&["a"]]).await;
        let pass = adhoc(&smartmodule("pass"), &[]);
        let stream = world.client.transformed("t", 0, vec![pass.clone(); 100]).await;
        assert_eq!(world.reply(stream).await.partition.error_code, ErrorCode::None);
        world.client.transformed("t", 0, vec![pass; 101]).await;
        assert_eq!(world.client.receive(PATIENCE).await, Err(NoFrame::Closed));
    });
}

#[test]
fn a_trap_ends_its_stream_in_whatever_call() {
    common::run(60, async {
        let mut world = World::new(Config::default()).await;
        world.topic("t", &[&["a"]]).await;
        let late = module(
            r#"(global $calls (mut i32) (i32.const 0))
            (func (export "filter") (param i32 i32 i32) (result i32)
                (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                (if (i32.eq (global.get $calls) (i32.const 1000)) (then (unreachable)))
                (call $pass (local.get 0) (local.get 1)))"#,
        );
        let stream = world.open("t", &late).await;
        for call in 1..1000 {
            let reply = world.reply(stream).await;
            assert_eq!(reply.partition.error_code, ErrorCode::None, "call {call}");
            assert_eq!(world.client.produce("t", 0, values(&["a"])).await.error_code, ErrorCode::None);
            world.client.acknowledge(reply.stream_id, reply.partition.next_filter_offset).await;
        }
        let error = world.reply(stream).await.partition.error_code;
        assert!(text(&error).contains("unreachable"), "{error:?}");

        let deep = r#"(func $deep (call $deep)) (func (export "filter") (param i32 i32 i32) (result i32) (call $deep) (i32.const 0))"#;
        let error = world.error("t", &module(deep)).await;
        assert!(text(&error).starts_with("SmartModule err "), "{error:?}");
        for (name, begins) in [("init_trap", "error while executing"), ("start_trap", "Failed to instantiate: ")] {
            let error = world.error("t", &smartmodule(name)).await;
            assert!(text(&error).starts_with(begins), "{error:?}");
        }
        world.check("t").await;
    });
}

/// A generator that needs no crate: what it makes is the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }

    /// A copy in which some bytes are others, or the end is missing.
    fn damage(&mut self, sound: &[u8]) -> Vec<u8> {
        let mut bytes = sound.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            bytes[at] = self.below(256) as u8;
        }
        if self.below(8) == 0 {
            bytes.truncate(self.below(sound.len()));
        }
        bytes
    }
}

/// Bytes that are no module, and modules in which a few bytes are others. Each stream is answered or silent; nothing
/// ends but the stream.
#[test]
fn random_modules_harm_nobody() {
    common::run(300, async {
        let config = Config { smartmodule_fuel: 2_000_000, smartmodule_memory: 16 << 20, ..Config::default() };
        let mut world = World::new(config).await;
        world.topic("t", &[&["a", "b", "c"]]).await;
        let mut chance = Chance(1);
        let sound =
            ["contains", "upper", "split", "sum", "stamp", "max_seen", "describe", "wasi", "simd"].map(smartmodule);
        for round in 0..600 {
            let code = match round % 4 {
                0 => {
                    let length = chance.below(300);
                    chance.bytes(length)
                }
                1 => [&b"\0asm\x01\0\0\0"[..], &chance.bytes(60)].concat(),
                _ => {
                    let which = chance.below(sound.len());
                    chance.damage(&sound[which])
                }
            };
            let mut step = adhoc(&code, &[("needle", "a")]);
            step.params.set_lookback(Some(Lookback::last(2)));
            let stream = world.client.transformed("t", 0, vec![step, adhoc(&smartmodule("stamp"), &[])]).await;
            if round % 20 == 19 {
                // The answers of all before it are there.
                let _ = world.client.stream_reply(stream, Duration::from_millis(50)).await;
                world.client = Client::connect(world.cluster.spu_endpoint()).await;
                world.check("t").await;
            }
        }
        world.cluster.shutdown().await;
    });
}

/// Blocks of records that are random or damaged, as input of modules, and as their output: `echo` hands on what it is
/// given.
#[test]
fn random_records_harm_nobody() {
    common::run(300, async {
        let config = Config { smartmodule_fuel: 20_000_000, ..Config::default() };
        let mut world = World::new(config).await;
        let echo = module(
            r#"(func (export "array_map") (param i32 i32 i32) (result i32)
                (call $copy (i32.add (local.get 0) (i32.const 12)) (i32.sub (local.get 1) (i32.const 20))) (i32.const 0))"#,
        );
        let names = ["stamp", "head", "upper", "split", "sum", "describe", "counter", "contains"];
        let modules: Vec<_> = names.map(smartmodule).into_iter().chain([echo]).collect();
        let mut chance = Chance(2);
        let mut producer = Client::connect(world.cluster.spu_endpoint()).await;
        world.topic("good", &[&["a"]]).await;
        for round in 0..40 {
            let topic = format!("t{round}");
            world.client = Client::connect(world.cluster.spu_endpoint()).await;
            world.topic(&topic, &[]).await;
            let sound = values(&["a", "[1,2]", "3"]);
            let mut batch = match round % 3 {
                0 => {
                    let length = chance.below(200);
                    common::sealed(&chance.bytes(length), 3)
                }
                1 => common::sealed(&chance.damage(&sound[61..]), 3),
                _ => common::sealed(&[&[0, 0, 0, 3][..], &chance.bytes(40)].concat(), 3),
            };
            // Sometimes compressed, or so it says.
            batch[22] = if chance.below(4) == 0 { chance.below(8) as u8 } else { 0 };
            let stored = producer.produce(&topic, 0, batch.clone()).await.error_code;
            assert!(matches!(stored, ErrorCode::None | ErrorCode::CompressionError), "{stored:?}");
            for code in &modules {
                let step = adhoc(code, &[("needle", "a"), ("from", "1")]);
                let mut request = common::produce(&topic, 0, batch.clone());
                request.smartmodules = vec![step.clone()];
                let produced = producer.call(request).await;
                let _ = produced.responses[0].partitions[0].error_code;
                let stream = world.client.transformed(&topic, 0, vec![step]).await;
                let _ = world.client.stream_reply(stream, Duration::from_millis(20)).await;
            }
            world.check("good").await;
        }
        world.cluster.shutdown().await;
    });
}

fn segments_of_4096() -> TopicSpec {
    let mut spec = TopicSpec::new_computed(1, 1, None);
    spec.set_storage(TopicStorageConfig { segment_size: Some(4096), max_partition_size: None });
    spec
}

fn found(pairs: &[(i64, &str)]) -> Vec<(i64, String)> {
    pairs.iter().map(|(offset, value)| (*offset, (*value).to_owned())).collect()
}

#[test]
fn habits_can_be_switched_off() {
    common::run(60, async {
        let mut world = World::new(Config::default()).await;
        world.topic("t", &[&["ax", "b", "cx"], &["d", "ex"], &["fx"]]).await;
        let keeps_x = vec![adhoc(&smartmodule("contains"), &[("needle", "x")])];
        let invented = found(&[(0, "ax"), (2, "cx"), (-2, "ex"), (-5, "fx")]);
        assert_eq!(world.all("t", keeps_x.clone(), 1 << 20).await, invented);
        world.cluster.control("habit 5001 invent-offsets off").await.unwrap();
        let right = found(&[(0, "ax"), (2, "cx"), (4, "ex"), (5, "fx")]);
        assert_eq!(world.all("t", keeps_x.clone(), 1 << 20).await, right);

        // Of 25 bytes and more each: one batch a reply.
        let counter = vec![adhoc(&smartmodule("counter"), &[])];
        let calls = |all: Vec<(i64, String)>| -> Vec<i64> {
            all.iter().map(|(_, value)| value.split('.').next().unwrap().parse().unwrap()).collect()
        };
        assert_ne!(calls(world.all("t", counter.clone(), 70).await), [1, 1, 1, 2, 2, 3]);
        world.cluster.control("habit 5001 run-twice off").await.unwrap();
        assert_eq!(calls(world.all("t", counter.clone(), 70).await), [1, 1, 1, 2, 2, 3]);

        assert!(world.all("t", counter.clone(), 10).await.is_empty());
        world.cluster.control("habit 5001 skip-segments off").await.unwrap();
        assert_eq!(calls(world.all("t", counter, 10).await), [1, 1, 1, 2, 2, 3]);

        world.cluster.control("habit 5001 engine off").await.unwrap();
        assert_eq!(world.all("t", keeps_x, 1 << 20).await.len(), 6);
    });
}

#[test]
fn segments_are_skipped_and_lookback_is_short_unless_told_otherwise() {
    common::run(60, async {
        let mut world = World::new(Config::default()).await;
        let long = "y".repeat(1500);
        let batches: Vec<[&str; 2]> = (0..6).map(|number| [if number == 4 { "x" } else { "z" }, &long]).collect();
        let batches: Vec<&[&str]> = batches.iter().map(|batch| &batch[..]).collect();
        world.topic_as("t", segments_of_4096(), &batches).await;
        let keeps_x = vec![adhoc(&smartmodule("contains"), &[("needle", "x")])];
        assert!(world.all("t", keeps_x.clone(), 1 << 20).await.is_empty());
        world.cluster.control("habit 5001 skip-segments off").await.unwrap();
        assert_eq!(world.all("t", keeps_x, 1 << 20).await, found(&[(8, "x")]));

        let mut seen = Vec::new();
        for short in ["on", "off"] {
            world.cluster.control(&format!("habit 5001 short-lookback {short}")).await.unwrap();
            let mut step = adhoc(&smartmodule("describe"), &[]);
            step.params.set_lookback(Some(Lookback::last(7)));
            let told = world.all("t", vec![step], 1 << 20).await.remove(0).1;
            seen.push(told.matches('z').count() + told.matches('x').count());
        }
        assert!(seen[0] < seen[1], "{seen:?}");
    });
}

fn deduplicated(count: u64) -> TopicSpec {
    let mut spec = TopicSpec::new_computed(1, 1, None);
    spec.set_deduplication(Some(Deduplication {
        bounds: Bounds { count, age: None },
        filter: Filter { transform: Transform { uses: "distinct".to_owned(), ..Default::default() } },
    }));
    spec
}

#[test]
fn a_filter_of_duplicates_comes_back_with_its_server() {
    common::run(60, async {
        let mut world = World::new(Config::default()).await;
        let mut sc = Client::connect(world.cluster.endpoint()).await;
        assert!(!sc.create_module("distinct", &smartmodule("distinct"), None).await.is_error());
        world.topic_as("t", deduplicated(3), &[&["a", "b", "c", "b", "d"]]).await;
        let restart = async |world: &mut World| {
            world.cluster.control("kill-spu 5001").await.unwrap();
            world.cluster.control("start-spu 5001").await.unwrap();
            world.client = Client::connect(world.cluster.spu_endpoint()).await;
        };
        restart(&mut world).await;
        // It is shown what the last three offsets hold: c, the hole of the second b, d.
        let again = world.client.produce("t", 0, values(&["c", "d"])).await;
        assert_eq!((again.error_code, again.base_offset), (ErrorCode::None, 5));
        let fresh = world.client.produce("t", 0, values(&["a"])).await;
        assert_eq!((fresh.error_code, fresh.base_offset), (ErrorCode::None, 5));
        let stream = world.client.stream("t", 0, 1 << 20).await;
        let stored = world.reply(stream).await.partition.records;
        assert_eq!(offsets_and_values(&stored), found(&[(0, "a"), (1, "b"), (2, "c"), (4, "d"), (5, "a")]));

        // Without its module the partition is not served.
        assert!(!sc.delete_module("distinct").await.is_error());
        restart(&mut world).await;
        let refused = world.client.produce("t", 0, values(&["e"])).await;
        assert_eq!(refused.error_code, ErrorCode::NotLeaderForPartition);
    });
}

/// A filter that takes its time over more than one record.
fn slow(rounds: u32) -> Vec<u8> {
    module(&format!(
        r#"(func (export "filter") (param $at i32) (param $length i32) (param i32) (result i32) (local $left i32)
            (local.set $left (i32.mul
                (i32.const {rounds})
                (i32.gt_u (i32.load8_u (i32.add (local.get $at) (i32.const 15))) (i32.const 1))))
            (loop $again (if (local.get $left) (then
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br $again))))
            (call $pass (local.get $at) (local.get $length)))"#
    ))
}

/// How long a chain takes for two records that are produced.
async fn time_of(world: &mut World, topic: &str) -> Duration {
    let started = Instant::now();
    assert_eq!(world.client.produce(topic, 0, values(&["a", "b"])).await.error_code, ErrorCode::None);
    started.elapsed()
}

#[test]
fn a_filter_of_duplicates_writes_nothing_once_its_server_is_down() {
    common::run(60, async {
        let mut world = World::new(Config::default()).await;
        let mut sc = Client::connect(world.cluster.endpoint()).await;
        assert!(!sc.create_module("distinct", &slow(8_000_000), None).await.is_error());
        world.topic_as("t", deduplicated(3), &[]).await;
        let time = time_of(&mut world, "t").await;
        world.client.send(common::produce("t", 0, values(&["old", "old"]))).await;
        assert!(matches!(world.client.receive(SILENCE).await, Err(NoFrame::Silence)), "too fast: {time:?}");
        world.cluster.control("kill-spu 5001").await.unwrap();
        world.cluster.control("start-spu 5001").await.unwrap();
        world.client = Client::connect(world.cluster.spu_endpoint()).await;
        let new = world.client.produce("t", 0, values(&["new"])).await;
        assert_eq!((new.error_code, new.base_offset), (ErrorCode::None, 2));
        let deadline = Instant::now() + 2 * time;
        while Instant::now() < deadline {
            let stream = world.client.stream("t", 0, 1 << 20).await;
            let stored = world.reply(stream).await.partition.records;
            assert_eq!(offsets_and_values(&stored), found(&[(0, "a"), (1, "b"), (2, "new")]));
            tokio::time::sleep(SILENCE).await;
        }
    });
}

#[test]
fn a_filter_of_duplicates_ends_with_its_topic() {
    common::run(60, async {
        let mut world = World::new(Config { smartmodule_fuel: u64::MAX, ..Config::default() }).await;
        world.topic("good", &[&["a"]]).await;
        let mut sc = Client::connect(world.cluster.endpoint()).await;
        assert!(!sc.create_module("distinct", &smartmodule("loop"), None).await.is_error());
        // As many as there are threads for modules.
        for number in 0..16 {
            let name = format!("t-{number}");
            world.topic_as(&name, deduplicated(3), &[]).await;
            let mut client = Client::connect(world.cluster.spu_endpoint()).await;
            client.send(common::produce(&name, 0, values(&["loop"]))).await;
            assert!(matches!(client.receive(SILENCE).await, Err(NoFrame::Silence)));
            assert!(!sc.delete(&name).await.is_error());
        }
        world.check("good").await;
        world.cluster.shutdown().await;
    });
}

fn by_name(name: &str) -> Vec<SmartModuleInvocation> {
    let wasm = SmartModuleInvocationWasm::Predefined(name.to_owned());
    vec![SmartModuleInvocation { wasm, ..Default::default() }]
}

#[test]
fn a_module_that_was_deleted_does_not_come_back() {
    common::run(60, async {
        let mut world = World::new(Config::default()).await;
        world.topic("t", &[&["a"]]).await;
        let mut sc = Client::connect(world.cluster.endpoint()).await;
        world.cluster.control("smartmodule-delay 300").await.unwrap();
        assert!(!sc.create_module("early", &smartmodule("upper"), None).await.is_error());
        assert!(!sc.create_module("late", &smartmodule("upper"), None).await.is_error());
        world.cluster.control("smartmodule-delay 0").await.unwrap();
        assert!(!sc.delete_module("early").await.is_error());
        // The one that came later is known: so the other would be.
        loop {
            let stream = world.client.transformed("t", 0, by_name("late")).await;
            if world.reply(stream).await.partition.error_code == ErrorCode::None {
                break;
            }
        }
        let stream = world.client.transformed("t", 0, by_name("early")).await;
        let error = world.reply(stream).await.partition.error_code;
        assert_eq!(error, ErrorCode::SmartModuleNotFound { name: "early".to_owned() });
    });
}

#[test]
fn a_module_is_known_late_if_so_told() {
    common::run(60, async {
        let mut world = World::new(Config::default()).await;
        world.topic("t", &[&["a"]]).await;
        world.cluster.control("smartmodule-delay 300").await.unwrap();
        let mut sc = Client::connect(world.cluster.endpoint()).await;
        assert!(!sc.create_module("upper", &smartmodule("upper"), None).await.is_error());
        let stream = world.client.transformed("t", 0, by_name("upper")).await;
        let error = world.reply(stream).await.partition.error_code;
        assert_eq!(error, ErrorCode::SmartModuleNotFound { name: "upper".to_owned() });
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let stream = world.client.transformed("t", 0, by_name("upper")).await;
            let reply = world.reply(stream).await;
            if reply.partition.error_code == ErrorCode::None {
                assert_eq!(offsets_and_values(&reply.partition.records), found(&[(0, "A")]));
                return;
            }
        }
        panic!("the module is never known");
    });
}

/// The text of a module and the module beside it are the same.
#[test]
fn the_modules_are_made_of_their_sources() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/smartmodules");
    let mut compared = 0;
    for source in std::fs::read_dir(folder.join("src")).unwrap() {
        let source = source.unwrap().path();
        if source.extension().is_some_and(|extension| extension == "wat") {
            let name = source.file_stem().unwrap().to_str().unwrap();
            assert_eq!(wat::parse_file(&source).unwrap(), smartmodule(name), "{name}");
            compared += 1;
        }
    }
    assert!(compared > 20);
}
