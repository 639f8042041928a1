//! Documents are as the documentation has them.

use std::collections::BTreeMap;

use fluvio_cffi_engine::ErrorKind;
use fluvio_cffi_engine::admin::*;
use serde_json::Value;

use super::*;

fn parse(method: &str, document: &[u8]) -> Result<Box<dyn Call>> {
    (find(method)?.parse)(document)
}

/// The examples of the documentation: what each is of, and the document.
fn examples() -> BTreeMap<&'static str, &'static str> {
    let documentation = include_str!("../../../../docs/admin-json.md");
    let blocks = documentation.split("```json ").skip(1);
    blocks.map(|block| block.split_once("```").unwrap().0.split_once('\n').unwrap()).collect()
}

/// Checks an answer against its example: names, values, and their order.
fn documented(name: &str, answer: &impl Serialize) {
    // Whitespace within text is left alone.
    let plain = |text: &str| {
        text.split('\n').map(str::trim_start).collect::<String>().replace("\": ", "\":").replace(", ", ",")
    };
    let written = String::from_utf8(json(answer).unwrap()).unwrap();
    assert_eq!(plain(&written), plain(examples()[name]), "{name}");
}

#[test]
fn every_method_is_documented_with_all_of_its_fields_and_their_defaults() {
    for method in methods().map(|entry| entry.name) {
        let example = *examples().get(method).unwrap_or_else(|| panic!("{method} is not documented"));
        let shown: Value = serde_json::from_str(example).unwrap();
        let call = parse(method, example.as_bytes()).unwrap();
        assert_eq!(call.document(), shown, "{method}: all fields");
        // What can be left out is shown with its default.
        for field in shown.as_object().unwrap().keys() {
            let mut less = shown.clone();
            less.as_object_mut().unwrap().remove(field);
            if let Ok(call) = parse(method, less.to_string().as_bytes())
                && !(field == "name" && method.ends_with(".create"))
                && !(field == "spec" && method == "smartmodules.create")
                && field != "id"
                && !(field == "to" && method == "groups.reset")
            {
                assert_eq!(call.document(), shown, "{method}: the default of {field}");
            }
        }
    }
    for name in examples().keys().filter(|name| name.contains('.')) {
        assert!(methods().any(|entry| entry.name == *name) || name.starts_with("TopicMirror"), "{name} is no method");
    }
}

#[test]
fn groups_are_as_documented() {
    let id = format!("{:032x}", 1);
    documented(
        "GroupSummary",
        &GroupSummary {
            group: "billing".to_owned(),
            topic: "orders".to_owned(),
            generation: 41,
            members: 1,
            partitions: 2,
        },
    );
    documented(
        "Group",
        &Group {
            group: "billing".to_owned(),
            topic: "orders".to_owned(),
            generation: 41,
            members: vec![GroupMemberState {
                id: id.clone(),
                instance: None,
                client_id: "worker".to_owned(),
                host: "a".to_owned(),
                session_ms: 10_000,
                partitions: vec![0],
                silent_ms: 1_200,
            }],
            partitions: vec![GroupPartition {
                partition: 0,
                owner: Some(id),
                epoch: 41,
                moving: false,
                committed: Some(99),
                end: Some(112),
                lag: Some(12),
            }],
        },
    );
}

fn deduplication() -> Deduplication {
    Deduplication {
        count: 1000,
        age_ms: Some(60_000),
        smartmodule: "dedup-filter".to_owned(),
        params: BTreeMap::from([("field".to_owned(), "id".to_owned())]),
    }
}

#[test]
fn topics_are_as_documented() {
    let assignment = |partition, spu| Assignment { partition, replicas: vec![spu] };
    let topic = Topic {
        name: "orders".to_owned(),
        spec: TopicSpec {
            partitions: 2,
            assignment: Some(vec![assignment(0, 5001), assignment(1, 5002)]),
            retention_seconds: Some(3600),
            segment_size: Some(1 << 20),
            compression: Compression::Zstd,
            deduplication: Some(deduplication()),
            ..TopicSpec::default()
        },
        status: TopicStatus {
            resolution: TopicResolution::Provisioned,
            reason: String::new(),
            replica_map: BTreeMap::from([(0, vec![5001]), (1, vec![5002])]),
            mirror_map: BTreeMap::new(),
        },
    };
    documented("Topic", &topic);
    let again: TopicSpec = serde_json::from_slice(&json(&topic.spec).unwrap()).unwrap();
    assert_eq!(again, topic.spec, "what is answered can be asked for");
    for name in ["TopicMirror.home", "TopicMirror.remote"] {
        documented(name, &serde_json::from_str::<TopicMirror>(examples()[name]).unwrap());
    }
}

#[test]
fn partitions_are_as_documented() {
    let replica = |spu, log_end| ReplicaStatus { spu, high_watermark: Some(10), log_end: Some(log_end) };
    documented(
        "Partition",
        &Partition {
            topic: "orders".to_owned(),
            partition: 0,
            spec: PartitionSpec {
                leader: 5001,
                replicas: vec![5001, 5002],
                mirror: None,
                retention_seconds: Some(3600),
                segment_size: None,
                max_partition_size: None,
                compression: Compression::Any,
                deduplication: None,
                system: false,
            },
            status: PartitionStatus {
                resolution: PartitionResolution::Online,
                leader: Some(replica(5001, 12)),
                replicas: vec![replica(5002, 10)],
                live_replicas: 2,
                size: Some(4096),
                base_offset: 0,
                is_being_deleted: false,
            },
        },
    );
}

#[test]
fn spus_and_their_groups_are_as_documented() {
    let local = |port| Endpoint { port, host: "10.0.0.7".to_owned(), encryption: Encryption::Plaintext };
    documented(
        "Spu",
        &Spu {
            name: "custom-spu-5001".to_owned(),
            spec: SpuSpec {
                id: 5001,
                kind: SpuKind::Custom,
                public_endpoint: PublicEndpoint {
                    port: 9010,
                    ingress: vec![Ingress { hostname: Some("broker.example".to_owned()), ip: None }],
                    encryption: Encryption::Plaintext,
                },
                private_endpoint: local(9011),
                public_endpoint_local: Some(local(9010)),
                rack: Some("a".to_owned()),
            },
            status: SpuStatus { resolution: SpuResolution::Online },
        },
    );
    documented(
        "SpuGroup",
        &SpuGroup {
            name: "main".to_owned(),
            spec: SpuGroupSpec {
                replicas: 3,
                min_id: 100,
                rack: Some("a".to_owned()),
                in_sync_replica_min: Some(2),
                log_dir: Some("/var/lib/fluvio".to_owned()),
                storage_size: Some("10Gi".to_owned()),
                env: BTreeMap::from([("RUST_LOG".to_owned(), "info".to_owned())]),
            },
            status: SpuGroupStatus { resolution: SpuGroupResolution::Reserved, reason: None },
        },
    );
}

#[test]
fn smartmodules_and_table_formats_are_as_documented() {
    let param = Param { description: Some("a regular expression".to_owned()), optional: true };
    documented(
        "SmartModule",
        &SmartModule {
            name: "filter-example-0.1.0".to_owned(),
            spec: SmartModuleSpec {
                package: Some(Package {
                    name: "filter".to_owned(),
                    group: "example".to_owned(),
                    version: "0.1.0".to_owned(),
                    api_version: "0.1.0".to_owned(),
                    description: Some("Passes what matches".to_owned()),
                    license: Some("Apache-2.0".to_owned()),
                    visibility: Visibility::Public,
                    repository: Some("https://git.example/filter".to_owned()),
                }),
                params: BTreeMap::from([("pattern".to_owned(), param)]),
            },
            wasm_size: 51_200,
            wasm: Some(WasmRange { start: 0, length: 131_072 }),
        },
    );
    let column = Column {
        key_path: "customer.name".to_owned(),
        header_label: Some("Customer".to_owned()),
        width: Some("20".to_owned()),
        alignment: Some(Alignment::Left),
        format: None,
        display: Some(true),
        primary_key: Some(false),
        header_bg_color: Some(Color::Blue),
        header_text_color: Some(Color::Yellow),
    };
    documented(
        "TableFormat",
        &TableFormat {
            name: "orders".to_owned(),
            spec: TableFormatSpec {
                input_format: Some(DataFormat::Json),
                columns: Some(vec![column]),
                smartmodule: Some("jolt".to_owned()),
            },
            status: TableFormatStatus { resolution: TableFormatResolution::Running, reason: None },
        },
    );
}

#[test]
fn mirrors_offsets_and_the_cluster_are_as_documented() {
    let certificate = || "-----BEGIN CERTIFICATE-----...".to_owned();
    let pairing = |resolution, reason: Option<&str>| Pairing { resolution, reason: reason.map(str::to_owned) };
    documented(
        "Mirror",
        &Mirror {
            name: "home".to_owned(),
            spec: MirrorSpec::Home(MirrorHome {
                id: Some("home".to_owned()),
                remote_id: "edge-1".to_owned(),
                public_endpoint: "home.example:9003".to_owned(),
                client_tls: Some(ClientTls {
                    domain: "home.example".to_owned(),
                    ca_cert: certificate(),
                    client_cert: certificate(),
                    client_key: "-----BEGIN PRIVATE KEY-----...".to_owned(),
                }),
            }),
            status: MirrorStatus {
                connection: Connection::Online,
                pairing_sc: pairing(PairingResolution::Successful, None),
                pairing_spu: pairing(PairingResolution::Failed, Some("connection refused")),
                last_seen_ms: Some(1_700_000_000_000),
            },
        },
    );
    documented(
        "ConsumerOffset",
        &ConsumerOffset {
            consumer_id: "billing".to_owned(),
            topic: "orders".to_owned(),
            partition: 0,
            offset: Some(99),
            modified_ms: Some(1_700_000_000_000),
            lag: Some(12),
        },
    );
    documented(
        "ClusterStatus",
        &ClusterStatus {
            endpoint: "127.0.0.1:9003".to_owned(),
            platform_version: "0.18.2".to_owned(),
            spus: Vec::new(),
            spus_online: 0,
            topics: 1,
            partitions: 3,
            size: 4096,
            offline_partitions: Vec::new(),
            under_replicated_partitions: Vec::new(),
        },
    );
    documented("Change", &Change { kind: ChangeKind::Snapshot, items: Vec::new() });
}

#[test]
fn places_to_go_on_at_are_read() {
    for (text, to) in [
        (r#""beginning""#, ResetTo::Beginning),
        (r#""end""#, ResetTo::End),
        (r#"{"at": 7}"#, ResetTo::At(7)),
        (r#"{"from_beginning": 7}"#, ResetTo::FromBeginning(7)),
        (r#"{"from_end": 7}"#, ResetTo::FromEnd(7)),
    ] {
        assert_eq!(serde_json::from_str::<ResetTo>(text).unwrap(), to);
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (method, document, named) in [
        ("topics.create", r#"{"name": "a", "partitions": 2}"#, "`partitions`"),
        ("topics.create", r#"{"name": "a", "spec": {"partitons": 2}}"#, "`partitons`"),
        ("topics.create", r#"{"name": "a", "spec": {"partitions": -1}}"#, "-1"),
        ("topics.create", r#"{"name": "a", "spec": {"partitions": "2"}}"#, "\"2\""),
        ("topics.create", r#"{"name": "a", "spec": {"compression": "rar"}}"#, "`rar`"),
        ("topics.create", r#"{"name": "a", "spec": {"assignment": [{"partition": 0}]}}"#, "`replicas`"),
        ("topics.create", r#"{"name": "a", "spec": {"mirror": {"home": {"parts": []}}}}"#, "`parts`"),
        ("topics.create", "{}", "`name`"),
        ("topics.get", r#"{"name": null}"#, "null"),
        ("topics.get", r#"{"name": "a", "name": "b"}"#, "`name`"),
        ("topics.list", r#"{"system": 1}"#, "`1`"),
        ("topics.list", "", "EOF"),
        ("topics.list", "{} {}", "trailing"),
        ("topics.list", "\u{feff}{}", "value"),
        ("topics.get", r#" ["orders"]"#, "object"),
        ("mirrors.create", r#"{"name": "a", "spec": {"elsewhere": {}}}"#, "`elsewhere`"),
        ("consumer_offsets.reset", r#"{"consumer_id": "a", "topic": "b", "partition": 0, "to": "middle"}"#, "`middle`"),
        ("cluster.status", r#"{"now": true}"#, "`now`"),
        ("topics.rename", "{}", "topics.rename"),
    ] {
        let error = parse(method, document.as_bytes()).err().unwrap();
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
        assert!(error.message.contains(named), "{method} {document}: {}", error.message);
    }
    for (name, id) in [(None, None), (Some("a".to_owned()), Some(1))] {
        assert_eq!(spu_key(name, id).unwrap_err().kind, ErrorKind::InvalidArgument);
    }
    assert!(parse("topics.list", b"{\"name_contains\": \"\xff\"}").is_err());
    // Nested so deeply that a parser without a limit would run out of stack.
    assert!(parse("topics.list", "[".repeat(1_000_000).as_bytes()).is_err());
}
