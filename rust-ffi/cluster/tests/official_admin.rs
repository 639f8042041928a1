//! The official client's administration works here, for every kind of object, and gets the real server's answers.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fmt::Debug;
use std::time::Duration;

use common::{NoFrame, PATIENCE};
use fluvio::consumer::{ConsumerConfigExtBuilder, ConsumerStream, OffsetManagementStrategy};
use fluvio::metadata::objects::{DeleteRequest, ListRequest, Metadata, ObjectApiDeleteRequest, WatchResponse};
use fluvio::metadata::partition::PartitionSpec;
use fluvio::metadata::topic::{
    AddMirror, AddPartition, Bounds, CleanupPolicy, CompressionAlgorithm, Deduplication, Filter, HomeMirrorConfig,
    MirrorConfig, RemoteMirrorConfig, ReplicaSpec, SegmentBasedPolicy, SpuMirrorConfig, TopicResolution, TopicSpec,
    TopicStorageConfig, Transform, UpdateTopicAction,
};
use fluvio::{Fluvio, FluvioAdmin, FluvioClusterConfig, Offset};
use fluvio_cffi_cluster::{Cluster, Config};
use fluvio_controlplane_metadata::message::MsgType;
use fluvio_controlplane_metadata::partition::PartitionMirrorConfig;
use fluvio_controlplane_metadata::smartmodule::{
    FluvioSemVersion, SmartModuleMetadata, SmartModulePackage, SmartModuleVisibility,
};
use fluvio_controlplane_metadata::spg::{EnvVar, ReplicationConfig, SpuConfig, StorageConfig};
use fluvio_controlplane_metadata::spu::{Endpoint, IngressPort};
use fluvio_controlplane_metadata::tableformat::{DataFormat, TableFormatColumnConfig};
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::customspu::{CustomSpuKey, CustomSpuSpec};
use fluvio_sc_schema::mirror::{ClientTls, Home, MirrorSpec, MirrorStatus, MirrorType, Remote};
use fluvio_sc_schema::smartmodule::{SmartModuleSpec, SmartModuleWasm};
use fluvio_sc_schema::spg::SpuGroupSpec;
use fluvio_sc_schema::spu::SpuSpec;
use fluvio_sc_schema::tableformat::TableFormatSpec;
use fluvio_sc_schema::{
    AdminSpec, ApiError, CreatableAdminSpec, DeletableAdminSpec, TryEncodableFrom, UpdatableAdminSpec,
};
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;

async fn connect(cluster: &Cluster) -> Fluvio {
    let config = FluvioClusterConfig::new(cluster.endpoint().to_string());
    timeout(PATIENCE, Fluvio::connect_with_config(&config)).await.unwrap().unwrap()
}

/// The code and the message of a refusal.
fn refusal<T: Debug>(answer: anyhow::Result<T>) -> (ErrorCode, Option<String>) {
    match answer.expect_err("a refusal").downcast::<ApiError>().expect("an answer of the SC") {
        ApiError::Code(code, message) => (code, message),
        other => panic!("{other:?}"),
    }
}

fn code<T: Debug>(answer: anyhow::Result<T>) -> ErrorCode {
    refusal(answer).0
}

async fn change<S>(
    watch: &mut (impl Stream<Item = std::io::Result<WatchResponse<S>>> + Unpin),
) -> (MsgType, Metadata<S>)
where
    S: AdminSpec,
    S::Status: Encoder + Decoder + Debug,
{
    let update = timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap().inner();
    assert!(update.all.is_empty(), "{update:?}");
    let [message]: [_; 1] = update.changes.try_into().unwrap();
    (message.header, message.content)
}

/// An object from its creation to its end, seen by a list and a watch. `again`: how a second creation is answered.
async fn lives<S, K>(admin: &FluvioAdmin, name: &str, spec: S, again: ErrorCode, missing: ErrorCode)
where
    S: AdminSpec + CreatableAdminSpec + DeletableAdminSpec<DeleteKey = K>,
    S::Status: Encoder + Decoder + Debug,
    K: From<String>,
{
    let mut watch = admin.watch::<S>().await.unwrap();
    let first = timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap().inner();
    assert!(first.all.is_empty() && first.changes.is_empty(), "{first:?}");
    assert!(admin.all::<S>().await.unwrap().is_empty());

    admin.create(name.to_owned(), false, spec.clone()).await.unwrap();
    let wanted = Metadata { name: name.to_owned(), spec: spec.clone(), status: S::Status::default() };
    let (kind, shown) = change(&mut watch).await;
    assert_eq!((kind, &shown.name), (MsgType::UPDATE, &wanted.name));
    assert_eq!(shown.spec, spec.clone().summary());
    let listed = admin.all::<S>().await.unwrap();
    assert_eq!(format!("{listed:?}"), format!("{:?}", [wanted]));
    assert_eq!(listed[0].spec, spec);

    let second = admin.create(name.to_owned(), false, spec.clone()).await;
    if again == ErrorCode::None {
        second.unwrap();
        assert_eq!(change(&mut watch).await.0, MsgType::UPDATE);
    } else {
        assert_eq!(code(second), again);
    }
    admin.delete::<S>(name.to_owned()).await.unwrap();
    let (kind, gone) = change(&mut watch).await;
    assert_eq!((kind, gone.name.as_str()), (MsgType::DELETE, name));
    assert!(admin.all::<S>().await.unwrap().is_empty());
    assert_eq!(code(admin.delete::<S>(name.to_owned()).await), missing);
}

fn module(code: &[u8]) -> SmartModuleSpec {
    SmartModuleSpec { wasm: SmartModuleWasm::from_compressed_gzip(code.to_vec()), ..Default::default() }
}

fn package(group: &str, version: &str) -> SmartModuleSpec {
    let version = FluvioSemVersion::parse(version).unwrap();
    let package = SmartModulePackage {
        name: "filter".to_owned(),
        group: group.to_owned(),
        api_version: version.clone(),
        version,
        description: Some("keeps some".to_owned()),
        license: None,
        visibility: SmartModuleVisibility::Public,
        repository: Some("somewhere".to_owned()),
    };
    let meta = SmartModuleMetadata { package, params: Default::default() };
    SmartModuleSpec { meta: Some(meta), ..module(b"code") }
}

fn group() -> SpuGroupSpec {
    SpuGroupSpec {
        replicas: 3,
        min_id: 100,
        spu_config: SpuConfig {
            rack: Some("left".to_owned()),
            replication: Some(ReplicationConfig { in_sync_replica_min: Some(2) }),
            storage: Some(StorageConfig { log_dir: None, size: Some("10Gi".to_owned()) }),
            env: vec![EnvVar { name: "A".to_owned(), value: "b".to_owned() }],
        },
    }
}

fn format() -> TableFormatSpec {
    TableFormatSpec {
        name: "shown".to_owned(),
        input_format: Some(DataFormat::JSON),
        columns: Some(vec![TableFormatColumnConfig::new("a.b".to_owned()).with_primary_key(Some(true))]),
        smartmodule: Some("filter".to_owned()),
    }
}

fn remote(id: &str) -> MirrorSpec {
    MirrorSpec { mirror_type: MirrorType::Remote(Remote { id: id.to_owned() }) }
}

fn home() -> MirrorSpec {
    let client_tls = Some(ClientTls {
        domain: "home.example".to_owned(),
        ca_cert: "ca".to_owned(),
        client_cert: "cert".to_owned(),
        client_key: "key".to_owned(),
    });
    let home = Home {
        id: "home".to_owned(),
        remote_id: "edge".to_owned(),
        public_endpoint: "home.example:9003".to_owned(),
        client_tls,
    };
    MirrorSpec { mirror_type: MirrorType::Home(home) }
}

fn spu(id: i32) -> CustomSpuSpec {
    CustomSpuSpec {
        id,
        public_endpoint: IngressPort::from_port_host(7, "public.example".to_owned()),
        private_endpoint: Endpoint::from_port_host(8, "private.example".to_owned()),
        rack: Some("right".to_owned()),
        public_endpoint_local: Some(Endpoint::from_port_host(9, "local.example".to_owned())),
    }
}

#[test]
fn objects_that_are_only_kept() {
    common::run(30, async {
        let cluster = Cluster::start(Config::default()).await.unwrap();
        let admin = connect(&cluster).await.admin().await;
        let missing = ErrorCode::SmartModuleNotFound { name: "sm".to_owned() };
        lives(&admin, "sm", module(b"\0asm code"), ErrorCode::None, missing).await;
        lives(&admin, "a table", format(), ErrorCode::TableFormatAlreadyExists, ErrorCode::TableFormatNotFound).await;
        lives(&admin, "group", group(), ErrorCode::None, ErrorCode::SpuNotFound).await;
        cluster.shutdown().await;
    });
}

#[test]
fn smartmodules() {
    common::run(30, async {
        let cluster = Cluster::start(Config::default()).await.unwrap();
        let admin = connect(&cluster).await.admin().await;
        let create = |spec: SmartModuleSpec| admin.create("given".to_owned(), false, spec);
        create(module(b"first")).await.unwrap();
        create(module(b"second one")).await.unwrap();
        create(package("left", "1.2.3")).await.unwrap();
        create(package("right", "1.2.4")).await.unwrap();
        let answer = refusal(create(package("", "1.2.3")).await);
        assert_eq!(answer, (ErrorCode::SmartModuleError, Some("invalid SmartModule package".to_owned())));

        let found = async |filters: &[&str], summary| {
            let filters: Vec<String> = filters.iter().map(ToString::to_string).collect();
            let list = admin.list_with_params::<SmartModuleSpec, String>(filters, summary).await.unwrap();
            list.into_iter().map(|module| module.name).collect::<Vec<_>>()
        };
        let (left, right) = ("filter-left-1.2.3", "filter-right-1.2.4");
        assert_eq!(found(&[], false).await, [left, right, "given"]);
        assert_eq!(found(&["filter"], true).await, [left, right]);
        assert_eq!(found(&["left/filter"], false).await, [left]);
        assert_eq!(found(&["right/filter@1.2.4", "given"], false).await, [right, "given"]);
        assert!(found(&["right/filter@1.2.3", "give"], false).await.is_empty());

        let all = admin.all::<SmartModuleSpec>().await.unwrap();
        assert_eq!(all[0].spec, package("left", "1.2.3"));
        assert_eq!(all[2].spec.wasm.payload.to_vec(), b"second one");
        let summaries = admin.list_with_params::<SmartModuleSpec, String>(vec![], true).await.unwrap();
        assert!(summaries[2].spec.wasm.payload.is_empty());
        assert_eq!(summaries[2].spec.summary.as_ref().unwrap().wasm_length, 10);
        assert_eq!(summaries[0].spec.meta, all[0].spec.meta);

        admin.delete::<SmartModuleSpec>("left/filter@1.2.3".to_owned()).await.unwrap();
        admin.delete::<SmartModuleSpec>(right.to_owned()).await.unwrap();
        assert_eq!(found(&[], false).await, ["given"]);
        let name = "left/filter@1.2.3".to_owned();
        let missing = ErrorCode::SmartModuleNotFound { name: name.clone() };
        assert_eq!(code(admin.delete::<SmartModuleSpec>(name).await), missing);
        // What is no version ends the connection, for which the official client waits a minute.
        let mut raw = common::Client::connect(cluster.endpoint()).await;
        let delete = DeleteRequest::<SmartModuleSpec>::new("left/filter@new".to_owned());
        raw.send(ObjectApiDeleteRequest::try_encode_from(delete, 19).unwrap()).await;
        assert_eq!(raw.receive(PATIENCE).await, Err(NoFrame::Closed));
        cluster.shutdown().await;
    });
}

#[test]
fn mirrors() {
    common::run(30, async {
        let cluster = Cluster::start(Config::default()).await.unwrap();
        let fluvio = connect(&cluster).await;
        let admin = fluvio.admin().await;
        let create = |name: &str, spec| admin.create(name.to_owned(), false, spec);
        create("edge", remote("edge")).await.unwrap();
        let message = Some("remote cluster \"edge\" already exists".to_owned());
        assert_eq!(refusal(create("edge", remote("edge")).await), (ErrorCode::MirrorAlreadyExists, message));
        create("home", MirrorSpec::default()).await.unwrap();
        admin.delete::<MirrorSpec>("home".to_owned()).await.unwrap();
        // A home is replaced.
        create("home", MirrorSpec { mirror_type: MirrorType::Home(Home::default()) }).await.unwrap();
        create("home", home()).await.unwrap();
        let listed = admin.list::<MirrorSpec, _>(vec!["whatever".to_owned()]).await.unwrap();
        let listed: Vec<_> = listed.into_iter().map(|mirror| (mirror.name, mirror.spec, mirror.status)).collect();
        let waiting = MirrorStatus::default;
        let wanted = [("edge".to_owned(), remote("edge"), waiting()), ("home".to_owned(), home(), waiting())];
        assert_eq!(listed, wanted);

        // Topics of a home: a partition for each remote cluster.
        let add = |remote: &str| {
            let mirror = AddMirror { remote_cluster: remote.to_owned(), home_to_mirror: false };
            admin.update::<TopicSpec>("mirrored".to_owned(), UpdateTopicAction::AddMirror(mirror))
        };
        let spec = TopicSpec::new_mirror(MirrorConfig::Home(HomeMirrorConfig::from_simple("mirrored", vec![])));
        admin.create("mirrored".to_owned(), false, spec).await.unwrap();
        let status = || async { admin.all::<TopicSpec>().await.unwrap().remove(0).status };
        assert_eq!(status().await.resolution, TopicResolution::InsufficientResources);
        add("edge").await.unwrap();
        assert_eq!(code(add("edge").await), ErrorCode::MirrorAlreadyExists);
        assert_eq!(code(add("nowhere").await), ErrorCode::MirrorNotFound);
        assert_eq!(code(add("home").await), ErrorCode::MirrorInvalidType);
        create("edge-2", remote("edge-2")).await.unwrap();
        add("edge-2").await.unwrap();
        let status = status().await;
        assert_eq!(status.resolution, TopicResolution::Provisioned);
        assert_eq!(status.replica_map.len(), 2);
        let partitions = admin.all::<PartitionSpec>().await.unwrap();
        let edges = partitions.iter().map(|it| match it.spec.mirror.as_ref().unwrap() {
            PartitionMirrorConfig::Home(home) => (home.remote_cluster.as_str(), home.remote_replica.as_str()),
            PartitionMirrorConfig::Remote(_) => panic!("{it:?}"),
        });
        assert_eq!(edges.collect::<Vec<_>>(), [("edge", "mirrored-0"), ("edge-2", "mirrored-0")]);
        assert_eq!(
            status.mirror_map.values().collect::<Vec<_>>(),
            partitions.iter().flat_map(|it| &it.spec.mirror).collect::<Vec<_>>()
        );
        let mut spu = common::Client::connect(cluster.spu_endpoint()).await;
        let produced = spu.produce("mirrored", 0, common::batch(1, 1)).await;
        assert_eq!(produced.error_code, ErrorCode::MirrorProduceFromHome);

        // Topics of a remote cluster.
        let home_spus = vec![SpuMirrorConfig { id: 7, key: "spu".to_owned(), endpoint: "home:7".to_owned() }];
        let config = RemoteMirrorConfig { home_cluster: "home".to_owned(), home_spus, target: false };
        let spec = TopicSpec::new_mirror(MirrorConfig::Remote(config));
        admin.create("remote".to_owned(), false, spec).await.unwrap();
        assert_eq!(spu.produce("remote", 0, common::batch(1, 1)).await.error_code, ErrorCode::None);
        let message = Some("cannot delete mirrored topic from remote".to_owned());
        let deleted = admin.force_delete::<TopicSpec>("remote".to_owned()).await;
        assert_eq!(refusal(deleted), (ErrorCode::MirrorDeleteFromRemote, message));
        admin.delete::<TopicSpec>("mirrored".to_owned()).await.unwrap();
        let message = Some("remote cluster \"nobody\" not found".to_owned());
        let deleted = admin.delete::<MirrorSpec>("nobody".to_owned()).await;
        assert_eq!(refusal(deleted), (ErrorCode::MirrorNotFound, message));
        cluster.shutdown().await;
    });
}

#[test]
fn spus() {
    common::run(30, async {
        let cluster = Cluster::start(Config { spus: 2, ..Config::default() }).await.unwrap();
        let admin = connect(&cluster).await.admin().await;
        let mut watch = admin.watch::<SpuSpec>().await.unwrap();
        let first = timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap().inner();
        assert_eq!(first.all.len(), 2);
        let create = |name: &str, dry_run, spec| admin.create::<CustomSpuSpec>(name.to_owned(), dry_run, spec);
        create("far", true, spu(7001)).await.unwrap();
        assert_eq!(admin.all::<SpuSpec>().await.unwrap().len(), 2);
        create("far", false, spu(7001)).await.unwrap();
        let (kind, far) = change(&mut watch).await;
        assert!(kind == MsgType::UPDATE && far.name == "far" && far.status.is_init());
        for (name, id) in [("far", 7002), ("other", 7001), ("other", 5001)] {
            let message = Some(format!("spu '{name}({id})' already defined"));
            assert_eq!(refusal(create(name, false, spu(id)).await), (ErrorCode::SpuAlreadyExists, message));
        }
        let listed = admin.list::<CustomSpuSpec, _>(vec!["ar".to_owned()]).await.unwrap();
        assert_eq!((listed.len(), &listed[0].spec), (1, &spu(7001)));
        assert_eq!(admin.list::<SpuSpec, _>(vec!["custom".to_owned()]).await.unwrap().len(), 2);

        // It never comes, so what needs three SPUs waits; what is assigned to it is known, and offline.
        let assigned = TopicSpec::new_assigned(vec![(0, vec![7002])]);
        let message = Some("invalid spu id: 7002".to_owned());
        assert_eq!(refusal(admin.create("t".to_owned(), false, assigned).await), (ErrorCode::TopicError, message));
        let assigned = TopicSpec::new_assigned(vec![(0, vec![7001])]);
        admin.create("t".to_owned(), true, assigned).await.unwrap();
        let update = admin.update::<CustomSpuSpec>(CustomSpuKey::Id(7001), "move".to_owned()).await;
        assert_eq!(code(update), ErrorCode::Other("unknown admin object type".to_owned()));
        admin.delete::<CustomSpuSpec>(CustomSpuKey::Id(7001)).await.unwrap();
        assert_eq!(change(&mut watch).await.0, MsgType::DELETE);
        assert_eq!(
            code(admin.delete::<CustomSpuSpec>(CustomSpuKey::Name("far".to_owned())).await),
            ErrorCode::SpuNotFound
        );
        assert_eq!(code(admin.delete::<CustomSpuSpec>(CustomSpuKey::Id(7001)).await), ErrorCode::SpuNotFound);

        // One that is online and leads partitions can be unregistered. Nothing new is placed on it, until it is back.
        admin.create("led".to_owned(), false, TopicSpec::new_computed(2, 1, None)).await.unwrap();
        let old = admin.list::<CustomSpuSpec, _>(vec!["5002".to_owned()]).await.unwrap().remove(0).spec;
        admin.delete::<CustomSpuSpec>(CustomSpuKey::Id(5002)).await.unwrap();
        assert_eq!(change(&mut watch).await.0, MsgType::DELETE);
        let mut client = common::Client::connect(cluster.spu_endpoints()[1].1).await;
        assert_eq!(client.produce("led", 1, common::batch(1, 1)).await.error_code, ErrorCode::None);
        admin.create("new".to_owned(), false, TopicSpec::new_computed(2, 1, None)).await.unwrap();
        let leaders = admin.all::<PartitionSpec>().await.unwrap().into_iter();
        let leaders: Vec<_> = leaders.filter(|it| it.name.starts_with("new-")).map(|it| it.spec.leader).collect();
        assert_eq!(leaders, [5001, 5001]);
        let two = tokio::spawn({
            let admin = connect(&cluster).await.admin().await;
            async move { admin.create("two".to_owned(), false, TopicSpec::new_computed(1, 2, None)).await }
        });
        while admin.list::<TopicSpec, _>(vec!["two".to_owned()]).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        create("again", false, old).await.unwrap();
        assert!(change(&mut watch).await.1.status.is_init());
        let (_, again) = change(&mut watch).await;
        assert!(again.name == "again" && again.status.is_online());
        two.await.unwrap().unwrap();
        cluster.shutdown().await;
    });
}

#[test]
fn topics() {
    common::run(30, async {
        let cluster = Cluster::start(Config::default()).await.unwrap();
        let admin = connect(&cluster).await.admin().await;
        let create = |name: &str, spec| admin.create::<TopicSpec>(name.to_owned(), false, spec);
        let mut whole = TopicSpec::new_computed(2, 1, Some(true));
        whole.set_cleanup_policy(CleanupPolicy::Segment(SegmentBasedPolicy { time_in_seconds: 10 }));
        whole.set_storage(TopicStorageConfig { segment_size: Some(1024), max_partition_size: Some(2048) });
        whole.set_compression_type(CompressionAlgorithm::Zstd);
        let filter = |uses: &str| {
            let with = [("field".to_owned(), "id".to_owned())].into();
            Some(Deduplication {
                bounds: Bounds { count: 10, age: Some(Duration::from_secs(60)) },
                filter: Filter { transform: Transform { uses: uses.to_owned(), with } },
            })
        };
        whole.set_deduplication(filter("left/filter@x"));
        assert!(matches!(
            code(create("whole", whole.clone()).await),
            ErrorCode::DeduplicationSmartModuleNameInvalid(reason) if reason.contains('x')
        ));
        whole.set_deduplication(filter("left/filter@1.2.3"));
        let (code_, message) = refusal(create("whole", whole.clone()).await);
        assert_eq!(code_, ErrorCode::DeduplicationSmartModuleNotLoaded);
        assert!(message.unwrap().contains("left/filter@1.2.3"));
        admin.create("x".to_owned(), false, package("left", "1.2.3")).await.unwrap();
        create("whole", whole.clone()).await.unwrap();
        create("assigned", TopicSpec::new_assigned(vec![(0, vec![5001]), (1, vec![5001])])).await.unwrap();

        let listed = admin.all::<TopicSpec>().await.unwrap();
        assert_eq!(listed.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["assigned", "whole"]);
        assert_eq!(listed[1].spec, whole);
        let partition = admin.all::<PartitionSpec>().await.unwrap().remove(3);
        assert_eq!((partition.spec.deduplication, partition.spec.system), (whole.get_deduplication().cloned(), false));
        let system = ListRequest::<TopicSpec>::new(vec![], false).system(true);
        let system = admin.list_with_config::<TopicSpec, String>(system).await.unwrap();
        assert_eq!(system.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["consumer-offset"]);

        let add = |topic: &str, action| admin.update::<TopicSpec>(topic.to_owned(), action);
        let more = |count| UpdateTopicAction::AddPartition(AddPartition { count });
        add("whole", more(2)).await.unwrap();
        let replicas = admin.list::<TopicSpec, _>(vec!["whole".to_owned()]).await.unwrap().remove(0);
        assert!(matches!(replicas.spec.replicas(), ReplicaSpec::Computed(param) if param.partitions == 4));
        assert_eq!(replicas.status.replica_map.len(), 4);
        let wrong = Some("invalid replica type".to_owned());
        assert_eq!(refusal(add("assigned", more(1)).await), (ErrorCode::TopicInvalidReplicaType, wrong.clone()));
        assert_eq!(
            code(add("consumer-offset", more(1)).await),
            ErrorCode::SystemSpecUpdatingAttempt { kind: "topic".to_owned(), name: "consumer-offset".to_owned() }
        );
        assert_eq!(code(add("nowhere", more(1)).await), ErrorCode::TopicNotFound);
        admin.create("edge".to_owned(), false, remote("edge")).await.unwrap();
        let mirror = AddMirror { remote_cluster: "edge".to_owned(), home_to_mirror: false };
        let mirror = add("whole", UpdateTopicAction::AddMirror(mirror)).await;
        assert_eq!(refusal(mirror), (ErrorCode::TopicError, wrong));

        async fn refuses<S>(admin: &FluvioAdmin, key: impl Into<S::UpdateKey>, action: S::UpdateAction)
        where
            S: UpdatableAdminSpec + Sync + Send,
        {
            let answer = admin.update::<S>(key, action).await;
            assert_eq!(code(answer), ErrorCode::Other("unknown admin object type".to_owned()));
        }
        refuses::<SmartModuleSpec>(&admin, "x".to_owned(), "y".to_owned()).await;
        refuses::<SpuGroupSpec>(&admin, "x".to_owned(), "y".to_owned()).await;
        refuses::<TableFormatSpec>(&admin, "x".to_owned(), "y".to_owned()).await;
        for name in ["whole", "assigned"] {
            admin.delete::<TopicSpec>(name.to_owned()).await.unwrap();
        }
        assert!(admin.all::<PartitionSpec>().await.unwrap().is_empty());
        cluster.shutdown().await;
    });
}

#[test]
fn consumer_offsets() {
    common::run(30, async {
        let cluster = Cluster::start(Config::default()).await.unwrap();
        let fluvio = connect(&cluster).await;
        let admin = fluvio.admin().await;
        admin.create("t".to_owned(), false, TopicSpec::new_computed(1, 1, None)).await.unwrap();
        common::Client::connect(cluster.spu_endpoint()).await.produce("t", 0, common::batch(5, 1)).await;
        for consumer in ["one", "two"] {
            let mut config = ConsumerConfigExtBuilder::default();
            config.topic("t").offset_start(Offset::beginning()).offset_consumer(consumer);
            config.offset_strategy(OffsetManagementStrategy::Manual);
            let mut stream = fluvio.consumer_with_config(config.build().unwrap()).await.unwrap();
            for _ in 0..3 {
                timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap();
            }
            timeout(PATIENCE, stream.offset_commit()).await.unwrap().unwrap();
            timeout(PATIENCE, stream.offset_flush()).await.unwrap().unwrap();
        }
        let offsets = async || {
            let offsets = fluvio.consumer_offsets().await.unwrap().into_iter();
            let mut offsets: Vec<_> = offsets.map(|it| (it.consumer_id, it.partition, it.offset)).collect();
            offsets.sort();
            offsets
        };
        assert_eq!(offsets().await, [("one".to_owned(), 0, 2), ("two".to_owned(), 0, 2)]);
        for consumer in ["one", "nobody"] {
            fluvio.delete_consumer_offset(consumer, ("t", 0)).await.unwrap();
        }
        assert_eq!(offsets().await, [("two".to_owned(), 0, 2)]);
        admin.delete::<TopicSpec>("t".to_owned()).await.unwrap();
        assert!(offsets().await.is_empty());
        cluster.shutdown().await;
    });
}

#[test]
fn all_of_it_is_there_after_a_restart() {
    common::run(30, async {
        let directory = tempfile::tempdir().unwrap();
        let config =
            Config { data_dir: Some(directory.path().to_owned()), topic_wait: Duration::ZERO, ..Config::default() };
        let everything = async |cluster: &Cluster| {
            let admin = connect(cluster).await.admin().await;
            let mut mirrored = admin.all::<TopicSpec>().await.unwrap();
            for topic in &mut mirrored {
                // The time of the first try has passed.
                topic.status.reason.clear();
            }
            let others: Vec<_> = admin.all::<CustomSpuSpec>().await.unwrap();
            let others: Vec<_> = others.into_iter().filter(|it| it.name != "custom-spu-5001").collect();
            let modules = admin.all::<SmartModuleSpec>().await.unwrap();
            let codes: Vec<_> = modules.iter().map(|it| it.spec.wasm.payload.to_vec()).collect();
            format!(
                "{mirrored:#?} {others:#?} {modules:#?} {codes:?} {:#?} {:#?} {:#?} {:#?}",
                admin.all::<PartitionSpec>().await.unwrap(),
                admin.all::<SpuGroupSpec>().await.unwrap(),
                admin.all::<TableFormatSpec>().await.unwrap(),
                admin.all::<MirrorSpec>().await.unwrap(),
            )
        };
        let cluster = Cluster::start(config.clone()).await.unwrap();
        let admin = connect(&cluster).await.admin().await;
        admin.create("x".to_owned(), false, package("left", "1.2.3")).await.unwrap();
        admin.create("a/b".to_owned(), false, module(&[7; 100_000])).await.unwrap();
        admin.create("gone".to_owned(), false, module(b"")).await.unwrap();
        admin.create("group".to_owned(), false, group()).await.unwrap();
        admin.create("format".to_owned(), false, format()).await.unwrap();
        admin.create("edge".to_owned(), false, remote("edge")).await.unwrap();
        admin.create("home".to_owned(), false, home()).await.unwrap();
        admin.create("far".to_owned(), false, spu(7001)).await.unwrap();
        let mirror = MirrorConfig::Home(HomeMirrorConfig::from_simple("mirrored", vec!["edge".to_owned()]));
        admin.create("mirrored".to_owned(), false, TopicSpec::new_mirror(mirror)).await.unwrap();
        let far = TopicSpec::new_assigned(vec![(0, vec![7001])]);
        assert_eq!(code(admin.create("far".to_owned(), false, far).await), ErrorCode::TopicNotProvisioned);
        let mut topic = TopicSpec::new_computed(1, 1, None);
        topic.set_deduplication(Some(Deduplication {
            bounds: Bounds { count: 10, age: None },
            filter: Filter { transform: Transform { uses: "a".to_owned(), ..Default::default() } },
        }));
        let pass = common::gzip(&common::smartmodule("pass"));
        admin.create("a".to_owned(), false, module(&pass)).await.unwrap();
        admin.create("deduplicated".to_owned(), false, topic).await.unwrap();
        admin.delete::<SmartModuleSpec>("gone".to_owned()).await.unwrap();
        // The filter lets all records pass.
        let mut client = common::Client::connect(cluster.spu_endpoint()).await;
        let produced = client.produce("deduplicated", 0, common::batch(1, 1)).await;
        assert_eq!((produced.error_code, produced.base_offset), (ErrorCode::None, 0));
        let before = everything(&cluster).await;
        cluster.shutdown().await;

        let cluster = Cluster::start(config).await.unwrap();
        assert_eq!(everything(&cluster).await, before);
        cluster.shutdown().await;
    });
}
