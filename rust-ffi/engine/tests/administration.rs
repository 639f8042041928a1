//! Every object with every verb, against the embedded cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fluvio_cffi_cluster::{Cluster, Config};
use fluvio_cffi_engine::admin::*;
use fluvio_cffi_engine::{ConsumerOptions, CreateFlags, ErrorKind, ProducerOptions, Start};
use support::*;

const DRY: CreateFlags = CreateFlags { dry_run: true, exist_ok: false };
const OK: CreateFlags = CreateFlags { dry_run: false, exist_ok: true };
const CODE: &[u8] = b"\0asm\x01\0\0\0";

async fn within(work: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics() {
    within(async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        let admin = client.admin(None);
        let full = TopicSpec {
            partitions: 2,
            retention_seconds: Some(3600),
            segment_size: Some(4096),
            max_partition_size: Some(8192),
            compression: Compression::Gzip,
            ..TopicSpec::default()
        };
        let planned = admin.create_topic("full", full.clone(), DRY, true).await.unwrap();
        assert_eq!((&planned.spec, planned.status.resolution), (&full, TopicResolution::Init));
        assert_eq!(admin.topic("full").await.unwrap_err().kind, ErrorKind::TopicNotFound);
        let created = admin.create_topic("full", full.clone(), CREATE, true).await.unwrap();
        assert_eq!((&created.spec, created.status.resolution), (&full, TopicResolution::Provisioned));
        assert_eq!(created.status.replica_map, BTreeMap::from([(0, vec![5001]), (1, vec![5001])]));
        let again = admin.create_topic("full", spec(7), OK, true).await.unwrap();
        assert_eq!(again, created, "what exists is left as it is");
        assert_eq!(admin.create_topic("full", spec(7), CREATE, true).await.unwrap_err().kind, ErrorKind::AlreadyExists);

        let assignment = vec![Assignment { partition: 0, replicas: vec![5001] }];
        let assigned = TopicSpec { assignment: Some(assignment), ..TopicSpec::default() };
        assert_eq!(admin.create_topic("assigned", assigned.clone(), CREATE, true).await.unwrap().spec, assigned);
        let names = |topics: Vec<Topic>| topics.into_iter().map(|topic| topic.name).collect::<Vec<_>>();
        assert_eq!(names(admin.topics(None, false).await.unwrap()), ["assigned", "full"]);
        assert_eq!(names(admin.topics(Some("ul"), false).await.unwrap()), ["full"]);
        assert_eq!(names(admin.topics(None, true).await.unwrap()), ["consumer-offset"]);
        assert!(admin.topic("consumer-offset").await.unwrap().spec.system);

        let grown = admin.add_partitions("full", 2, true).await.unwrap();
        assert_eq!((grown.spec.partitions, grown.status.replica_map.len()), (4, 4));
        assert_eq!(admin.add_partitions("full", 0, true).await.unwrap_err().kind, ErrorKind::InvalidArgument);
        assert_eq!(admin.add_partitions("nope", 1, true).await.unwrap_err().kind, ErrorKind::TopicNotFound);
        assert_eq!(admin.add_partitions("assigned", 1, true).await.unwrap_err().kind, ErrorKind::InvalidTopic);

        admin.delete_topic("full", false, false).await.unwrap();
        assert_eq!(admin.delete_topic("full", false, false).await.unwrap_err().kind, ErrorKind::TopicNotFound);
        admin.delete_topic("full", false, true).await.unwrap();
        let refused = admin.delete_topic("consumer-offset", false, false).await.unwrap_err();
        assert_eq!(refused.code, Some(12001));
        admin.delete_topic("consumer-offset", true, false).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_topic_is_said_before_anything_is_sent() {
    within(async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        let admin = client.admin(None);
        for name in ["", "Upper", "a_b", "a.b", "a b", "-a", "a-", &"a".repeat(64)] {
            let error = admin.create_topic(name, spec(1), CREATE, true).await.unwrap_err();
            assert_eq!((error.kind, error.code), (ErrorKind::InvalidTopic, None), "{name}");
        }
        let assigned = |maps: &[(u32, &[i32])]| {
            let one = |(partition, replicas): &(u32, &[i32])| Assignment {
                partition: *partition,
                replicas: replicas.to_vec(),
            };
            TopicSpec { assignment: Some(maps.iter().map(one).collect()), ..TopicSpec::default() }
        };
        let deduplication = |count, smartmodule: &str| {
            let smartmodule = smartmodule.to_owned();
            Some(Deduplication { count, age_ms: None, smartmodule, params: BTreeMap::new() })
        };
        let plain = TopicSpec::default;
        for (wrong, named) in [
            (TopicSpec { partitions: 0, ..plain() }, "partitions is 0"),
            (TopicSpec { replication: 0, ..plain() }, "replication is 0"),
            (TopicSpec { replication: 2, ..plain() }, "it must be at most the number of SPUs that are online, 1"),
            (TopicSpec { retention_seconds: Some(9), ..plain() }, "retention is 9 s"),
            (TopicSpec { segment_size: Some(1023), ..plain() }, "segment_size is 1023"),
            (TopicSpec { max_partition_size: Some(2047), ..plain() }, "max_partition_size is 2047"),
            (TopicSpec { max_partition_size: Some(4096), ..plain() }, "at least segment_size"),
            (TopicSpec { deduplication: deduplication(0, "m"), ..plain() }, "deduplication.count is 0"),
            (TopicSpec { deduplication: deduplication(1, ""), ..plain() }, "deduplication.smartmodule is empty"),
            (assigned(&[]), "assignment is wrong"),
            (assigned(&[(1, &[5001])]), "assignment is wrong"),
            (assigned(&[(0, &[])]), "assignment is wrong"),
            (assigned(&[(0, &[5001, 5001])]), "assignment is wrong"),
            (assigned(&[(0, &[5009])]), "SPU 5009"),
        ] {
            let begun = Instant::now();
            let error = admin.create_topic("wrong", wrong, CREATE, true).await.unwrap_err();
            assert!(error.message.contains(named), "{named}: {error}");
            assert_eq!((error.code, error.topic.as_deref()), (None, Some("wrong")));
            assert!(begun.elapsed() < Duration::from_secs(5), "at once");
        }
        assert!(admin.topics(None, false).await.unwrap().is_empty());
        // The server's own word on what only it can know.
        let missing = TopicSpec { deduplication: deduplication(1, "no-such-module"), ..plain() };
        assert_eq!(admin.create_topic("wrong", missing, CREATE, true).await.unwrap_err().code, Some(10000));
        // Of what exists, nobody asks how it could be made.
        admin.create_topic("there", spec(1), CREATE, true).await.unwrap();
        let too_many = TopicSpec { replication: 2, ..plain() };
        assert_eq!(admin.create_topic("there", too_many.clone(), OK, true).await.unwrap().spec, plain());
        assert_eq!(
            admin.create_topic("there", too_many, CREATE, true).await.unwrap_err().kind,
            ErrorKind::AlreadyExists
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirrors_and_their_topics() {
    within(async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        let admin = client.admin(None);
        let remote = || MirrorSpec::Remote(MirrorRemote { id: None });
        let edge = admin.create_mirror("edge-1", remote(), CREATE).await.unwrap();
        assert_eq!(edge.spec, MirrorSpec::Remote(MirrorRemote { id: Some("edge-1".to_owned()) }));
        assert_eq!(edge.status.last_seen_ms, None);
        assert_eq!(admin.create_mirror("edge-1", remote(), OK).await.unwrap(), edge);
        let tls = ClientTls {
            domain: "home".to_owned(),
            ca_cert: "ca".to_owned(),
            client_cert: "cert".to_owned(),
            client_key: "very secret".to_owned(),
        };
        let home = MirrorSpec::Home(MirrorHome {
            id: Some("home".to_owned()),
            remote_id: "here".to_owned(),
            public_endpoint: "home.example:9003".to_owned(),
            client_tls: Some(tls),
        });
        assert!(!format!("{home:?}").contains("secret"));
        assert_eq!(admin.create_mirror("home", home.clone(), CREATE).await.unwrap().spec, home);
        for name in ["edge-1", "home"] {
            let error = admin.create_mirror(name, remote(), CREATE).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::AlreadyExists, "{name}: the server would replace a home");
        }
        assert_eq!(admin.mirrors(Some("dge")).await.unwrap(), [edge], "the server itself ignores the filter");
        for name in ["", "a/b", "a\n", &"a".repeat(256)] {
            assert_eq!(admin.create_mirror(name, remote(), CREATE).await.unwrap_err().kind, ErrorKind::InvalidArgument);
        }

        let to_edge = MirroredPartition { remote_cluster: "edge-1".to_owned(), remote_replica: None, source: None };
        let asked = TopicMirror::Home(HomeMirror { source: false, partitions: vec![to_edge] });
        let created = admin
            .create_topic("mirrored", TopicSpec { mirror: Some(asked), ..TopicSpec::default() }, CREATE, true)
            .await
            .unwrap();
        let answered = HomeMirror {
            source: false,
            partitions: vec![MirroredPartition {
                remote_cluster: "edge-1".to_owned(),
                remote_replica: Some("mirrored-0".to_owned()),
                source: Some(false),
            }],
        };
        assert_eq!(created.spec.mirror, Some(TopicMirror::Home(answered)));
        assert_eq!(created.spec.partitions, 1);
        let partition = admin.partition("mirrored", 0).await.unwrap();
        assert!(matches!(partition.spec.mirror, Some(PartitionMirror::Home(_))), "{partition:?}");

        let none = TopicMirror::Home(HomeMirror { source: false, partitions: Vec::new() });
        admin
            .create_topic("later", TopicSpec { mirror: Some(none), ..TopicSpec::default() }, CREATE, true)
            .await
            .unwrap();
        let grown = admin.add_mirror("later", "edge-1", false).await.unwrap();
        assert!(matches!(grown.spec.mirror, Some(TopicMirror::Home(home)) if home.partitions.len() == 1));
        assert!(admin.add_mirror("later", "edge-9", false).await.is_err());

        for name in ["edge-1", "home"] {
            admin.delete_mirror(name, false).await.unwrap();
            admin.delete_mirror(name, true).await.unwrap();
            assert_eq!(admin.delete_mirror(name, false).await.unwrap_err().kind, ErrorKind::MirrorNotFound);
            assert_eq!(admin.mirror(name).await.unwrap_err().kind, ErrorKind::MirrorNotFound);
        }
    })
    .await;
}

fn custom(id: i32) -> CustomSpuSpec {
    CustomSpuSpec {
        id,
        public_endpoint: PublicEndpoint {
            port: 9010,
            ingress: vec![Ingress { hostname: Some("broker.example".to_owned()), ip: None }],
            encryption: Encryption::Plaintext,
        },
        private_endpoint: Endpoint { port: 9011, host: "10.0.0.7".to_owned(), encryption: Encryption::Ssl },
        public_endpoint_local: None,
        rack: Some("a".to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spus_and_the_cluster() {
    within(async {
        let cluster = Cluster::start(Config { spus: 2, ..Config::default() }).await.unwrap();
        let client = connect(&cluster.endpoint().to_string()).await;
        let admin = client.admin(None);
        let ids = |spus: Vec<Spu>| spus.into_iter().map(|spu| spu.spec.id).collect::<Vec<_>>();
        assert_eq!(ids(admin.spus(None).await.unwrap()), [5001, 5002]);
        let first = admin.spu(&SpuKey::Id(5001)).await.unwrap();
        assert_eq!(first.status.resolution, SpuResolution::Online);
        assert_eq!(admin.spu(&SpuKey::Name(first.name.clone())).await.unwrap(), first);
        assert_eq!(admin.spu(&SpuKey::Id(1)).await.unwrap_err().kind, ErrorKind::SpuNotFound);

        let planned = admin.create_custom_spu(None, custom(7), DRY).await.unwrap();
        assert_eq!(planned.name, "custom-spu-7");
        assert_eq!(admin.custom_spu(&SpuKey::Id(7)).await.unwrap_err().kind, ErrorKind::SpuNotFound);
        let registered = admin.create_custom_spu(None, custom(7), CREATE).await.unwrap();
        assert_eq!(registered.spec, planned.spec);
        assert_ne!(registered.status.resolution, SpuResolution::Online);
        assert_eq!(admin.create_custom_spu(None, custom(7), OK).await.unwrap(), registered);
        for (name, id) in [(None, 7), (Some("other"), 7), (Some("custom-spu-7"), 8)] {
            let flags = if name.is_some() { OK } else { CREATE };
            let error = admin.create_custom_spu(name, custom(id), flags).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::AlreadyExists);
        }
        let wrong = [
            CustomSpuSpec { id: -1, ..custom(8) },
            CustomSpuSpec { public_endpoint: PublicEndpoint { port: 0, ..custom(8).public_endpoint }, ..custom(8) },
            CustomSpuSpec {
                private_endpoint: Endpoint { host: String::new(), ..custom(8).private_endpoint },
                ..custom(8)
            },
        ];
        for wrong in wrong {
            let error = admin.create_custom_spu(None, wrong, CREATE).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidArgument);
        }
        admin.delete_custom_spu(&SpuKey::Id(7), false, false).await.unwrap();
        admin.delete_custom_spu(&SpuKey::Name("custom-spu-7".to_owned()), false, true).await.unwrap();
        let gone = admin.delete_custom_spu(&SpuKey::Id(7), false, false).await.unwrap_err();
        assert_eq!(gone.kind, ErrorKind::SpuNotFound);

        for (name, replicas) in [("spread", vec![5002, 5001]), ("alone", vec![5002])] {
            let assignment = Some(vec![Assignment { partition: 0, replicas }]);
            let assigned = TopicSpec { assignment, ..TopicSpec::default() };
            admin.create_topic(name, assigned, CREATE, true).await.unwrap();
        }
        let leader = SpuKey::Id(5002);
        let refused = admin.delete_custom_spu(&leader, false, false).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Usage);
        assert!(refused.message.contains("spread-0"), "{refused}");
        assert_eq!(admin.partition("spread", 0).await.unwrap().spec.replicas, [5002, 5001]);
        assert_eq!(admin.partition("spread", 1).await.unwrap_err().kind, ErrorKind::PartitionNotFound);
        assert_eq!(admin.partition("nope", 0).await.unwrap_err().kind, ErrorKind::TopicNotFound);

        let status = admin.cluster_status().await.unwrap();
        assert_eq!((status.spus_online, status.topics, status.partitions), (2, 3, 3));
        assert!(status.offline_partitions.is_empty(), "{status:?}");
        cluster.control("kill-spu 5002").await.unwrap();
        loop {
            let status = admin.cluster_status().await.unwrap();
            let names = |list: &[Partition]| list.iter().map(|one| one.topic.clone()).collect::<Vec<_>>();
            // The other replica leads on; nobody has the one that was alone.
            if status.spus_online == 1 && names(&status.offline_partitions) == ["alone"] {
                assert_eq!(names(&status.under_replicated_partitions), ["alone", "spread"]);
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        admin.delete_custom_spu(&leader, true, false).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spu_groups_and_table_formats() {
    within(async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        let admin = client.admin(None);
        let group = SpuGroupSpec {
            replicas: 3,
            min_id: 100,
            rack: Some("a".to_owned()),
            in_sync_replica_min: Some(2),
            log_dir: Some("/logs".to_owned()),
            storage_size: Some("10Gi".to_owned()),
            env: BTreeMap::from([("RUST_LOG".to_owned(), "info".to_owned())]),
        };
        assert_eq!(admin.create_spu_group("main", group.clone(), DRY).await.unwrap().spec, group);
        assert!(admin.spu_groups(None).await.unwrap().is_empty());
        let created = admin.create_spu_group("main", group.clone(), CREATE).await.unwrap();
        assert_eq!(created.spec, group);
        assert_eq!(admin.create_spu_group("main", SpuGroupSpec::default(), OK).await.unwrap(), created);
        let error = admin.create_spu_group("main", group, CREATE).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::AlreadyExists, "the server would replace it");
        let none = SpuGroupSpec { replicas: 0, ..SpuGroupSpec::default() };
        assert_eq!(admin.create_spu_group("none", none, CREATE).await.unwrap_err().kind, ErrorKind::InvalidArgument);
        assert_eq!(admin.spu_groups(Some("ai")).await.unwrap(), [created]);
        admin.delete_spu_group("main", false).await.unwrap();
        admin.delete_spu_group("main", true).await.unwrap();
        assert_eq!(admin.delete_spu_group("main", false).await.unwrap_err().kind, ErrorKind::SpuGroupNotFound);

        let column = |key_path: &str| Column {
            key_path: key_path.to_owned(),
            header_label: Some("Name".to_owned()),
            width: None,
            alignment: Some(Alignment::Right),
            format: None,
            display: Some(true),
            primary_key: Some(true),
            header_bg_color: None,
            header_text_color: Some(Color::Green),
        };
        let format = TableFormatSpec {
            input_format: Some(DataFormat::Json),
            columns: Some(vec![column("name")]),
            smartmodule: None,
        };
        let created = admin.create_table_format("table", format.clone(), CREATE).await.unwrap();
        assert_eq!(created.spec, format);
        assert_eq!(admin.create_table_format("table", TableFormatSpec::default(), OK).await.unwrap(), created);
        let nameless = TableFormatSpec { columns: Some(vec![column("")]), ..TableFormatSpec::default() };
        let error = admin.create_table_format("other", nameless, CREATE).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
        assert_eq!(admin.table_formats(None).await.unwrap(), std::slice::from_ref(&created));
        assert_eq!(admin.table_format("table").await.unwrap(), created);
        admin.delete_table_format("table", false).await.unwrap();
        admin.delete_table_format("table", true).await.unwrap();
        assert_eq!(admin.delete_table_format("table", false).await.unwrap_err().kind, ErrorKind::TableFormatNotFound);
    })
    .await;
}

fn package(group: &str, version: &str) -> SmartModuleSpec {
    SmartModuleSpec {
        package: Some(Package {
            name: "filter".to_owned(),
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: "0.1.0".to_owned(),
            description: Some("passes what matches".to_owned()),
            license: None,
            visibility: Visibility::Public,
            repository: None,
        }),
        params: BTreeMap::from([("pattern".to_owned(), Param { description: None, optional: true })]),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smartmodules() {
    within(async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        let admin = client.admin(None);
        let plain = SmartModuleSpec::default;
        let created = admin.create_smartmodule(Some("plain"), plain(), CODE, CREATE, false).await.unwrap();
        assert_eq!((created.name.as_str(), created.wasm), ("plain", None));
        let (_, code) = admin.smartmodule("plain", true).await.unwrap();
        assert_eq!(code, CODE);
        let longer = [CODE, b"more"].concat();
        let error = admin.create_smartmodule(Some("plain"), plain(), &longer, CREATE, false).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::AlreadyExists, "the server would replace it");
        admin.create_smartmodule(Some("plain"), plain(), &longer, OK, false).await.unwrap();
        assert_eq!(admin.smartmodule("plain", true).await.unwrap().1, CODE);
        admin.create_smartmodule(Some("plain"), plain(), &longer, CREATE, true).await.unwrap();
        assert_eq!(admin.smartmodule("plain", true).await.unwrap().1, longer);

        let packed = admin.create_smartmodule(None, package("one", "0.1.0"), CODE, CREATE, false).await.unwrap();
        assert_eq!(packed.name, "filter-one-0.1.0");
        assert_eq!(packed.spec, package("one", "0.1.0"));
        for name in ["filter-one-0.1.0", "filter", "one/filter", "one/filter@0.1.0"] {
            let (found, code) = admin.smartmodule(name, true).await.unwrap();
            assert_eq!((found.name.as_str(), code.as_slice()), ("filter-one-0.1.0", CODE), "{name}");
        }
        admin.create_smartmodule(None, package("two", "0.1.0"), CODE, CREATE, false).await.unwrap();
        let ambiguous = admin.smartmodule("filter", false).await.unwrap_err();
        assert_eq!(ambiguous.kind, ErrorKind::Usage);
        assert!(ambiguous.message.contains("two/filter@0.1.0"), "{ambiguous}");
        assert_eq!(admin.smartmodule("two/filter", false).await.unwrap().0.name, "filter-two-0.1.0");

        let (modules, none) = admin.smartmodules(None, false).await.unwrap();
        assert_eq!((modules.len(), none.len()), (3, 0));
        let (modules, codes) = admin.smartmodules(None, true).await.unwrap();
        for module in modules {
            let WasmRange { start, length } = module.wasm.unwrap();
            let expected = if module.name == "plain" { longer.as_slice() } else { CODE };
            assert_eq!(&codes[start..start + length], expected, "{}", module.name);
        }
        assert_eq!(admin.smartmodules(Some("two"), false).await.unwrap().0.len(), 1);

        let one = || package("one", "0.1.0");
        let params_alone = SmartModuleSpec { package: None, ..one() };
        for (name, spec, code) in [
            (None, plain(), CODE),
            (Some(""), plain(), CODE),
            (Some("other"), one(), CODE),
            (Some("other"), params_alone, CODE),
            (None, package("one", "first"), CODE),
            (None, package("", "0.1.0"), CODE),
            (None, package("a@b", "0.1.0"), CODE),
            (Some("other"), plain(), b"no code".as_slice()),
            (Some("other"), plain(), b"\x1f\x8bbroken".as_slice()),
        ] {
            let error = admin.create_smartmodule(name, spec, code, CREATE, false).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidArgument, "{error}");
        }
        let planned = admin.create_smartmodule(Some("planned"), plain(), CODE, DRY, false).await.unwrap();
        assert!(planned.wasm_size > 0);
        admin.delete_smartmodule("one/filter", false).await.unwrap();
        admin.delete_smartmodule("one/filter", true).await.unwrap();
        for gone in ["one/filter", "planned"] {
            let error = admin.delete_smartmodule(gone, false).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::SmartModuleNotFound);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumer_offsets() {
    within(async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        let admin = client.admin(None);
        admin.create_topic("orders", spec(2), CREATE, true).await.unwrap();
        assert!(admin.consumer_offsets(None, None).await.unwrap().is_empty());
        // On an empty partition, with nothing stored.
        let stored = admin.reset_consumer_offset("billing", "orders", 1, ResetTo::Beginning).await.unwrap();
        assert_eq!((stored.offset, stored.lag), (Some(-1), Some(0)));
        let consumer = consumer(
            &client,
            "orders",
            ConsumerOptions {
                consumer_id: Some("billing".to_owned()),
                start: Some(Start::Beginning(0)),
                partitions: vec![1],
                ..ConsumerOptions::default()
            },
        )
        .await;
        assert_eq!(consumer.committed(None).await.unwrap(), BTreeMap::from([(1, -1)]));

        let (producer, _) = producer(&client, "orders", ProducerOptions::default()).await;
        submit(&producer, &numbered(0..100, 10)).await;
        producer.flush().await.unwrap();
        let counts: Vec<i64> = {
            let mut ends = Vec::new();
            for partition in [0, 1] {
                let end = admin.reset_consumer_offset("probe", "orders", partition, ResetTo::End).await.unwrap();
                assert_eq!(end.lag, Some(0));
                ends.push(end.offset.unwrap() + 1);
            }
            ends
        };
        assert_eq!(counts.iter().sum::<i64>(), 100);
        let end = counts[1];
        assert!(end > 10, "records went to both partitions: {counts:?}");
        for (to, next) in [
            (ResetTo::At(7), 7),
            (ResetTo::FromBeginning(3), 3),
            (ResetTo::FromEnd(2), end - 2),
            (ResetTo::At(end), end),
            (ResetTo::Beginning, 0),
        ] {
            let stored = admin.reset_consumer_offset("billing", "orders", 1, to).await.unwrap();
            assert_eq!((stored.offset, stored.lag), (Some(next - 1), Some((end - next) as u64)), "{to:?}");
            assert_eq!(admin.consumer_offset("billing", "orders", 1).await.unwrap().offset, Some(next - 1));
        }
        for to in [ResetTo::At(end + 1), ResetTo::FromBeginning(u32::MAX)] {
            let error = admin.reset_consumer_offset("billing", "orders", 1, to).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::OffsetOutOfRange);
        }
        for to in [ResetTo::At(-1), ResetTo::FromEnd(u32::MAX)] {
            let error = admin.reset_consumer_offset("billing", "orders", 1, to).await.unwrap_err();
            assert_eq!((error.kind, error.next_available), (ErrorKind::OffsetEvicted, Some(0)));
        }
        let reset = |topic: &'static str, partition| admin.reset_consumer_offset("x", topic, partition, ResetTo::End);
        assert_eq!(reset("orders", 2).await.unwrap_err().kind, ErrorKind::PartitionNotFound);
        assert_eq!(reset("nope", 0).await.unwrap_err().kind, ErrorKind::TopicNotFound);

        let keys = |found: Vec<ConsumerOffset>| {
            found.into_iter().map(|one| (one.consumer_id, one.partition, one.offset.is_some())).collect::<Vec<_>>()
        };
        let (billing, probe) = ("billing".to_owned(), "probe".to_owned());
        let all = keys(admin.consumer_offsets(None, None).await.unwrap());
        let of_billing = [(billing.clone(), 0, false), (billing, 1, true)];
        assert_eq!(all, [&of_billing[..], &[(probe.clone(), 0, true), (probe, 1, true)]].concat());
        assert_eq!(keys(admin.consumer_offsets(Some("billing"), Some("orders")).await.unwrap()), of_billing);
        assert!(admin.consumer_offsets(None, Some("nope")).await.unwrap().is_empty());
        let modified = admin.consumer_offset("probe", "orders", 0).await.unwrap().modified_ms.unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
        assert!((now - 60_000..now + 2_000).contains(&modified), "{modified}");

        admin.delete_consumer_offset("probe", "orders", 0, false).await.unwrap();
        admin.delete_consumer_offset("probe", "orders", 0, true).await.unwrap();
        let gone = admin.delete_consumer_offset("probe", "orders", 0, false).await.unwrap_err();
        assert_eq!(gone.kind, ErrorKind::ConsumerOffsetNotFound);

        // Who does not answer has no lag.
        cluster.control("kill-spu 5001").await.unwrap();
        cluster.control("start-spu 5001").await.unwrap();
        assert_eq!(admin.consumer_offset("probe", "orders", 1).await.unwrap().offset, Some(counts[1] - 1));
    })
    .await;
}
