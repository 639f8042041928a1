//! What a Fluvio cluster does where clients see it, by its own protocol: checks that hold for every cluster.
//!
//! They run against an embedded cluster, or against the one at `FLUVIO_CFFI_ENDPOINT` (`host:port` of its SC), in which
//! they make objects with names of their own and remove them again. What needs a hand on the servers is in other tests:
//! a follower that is stopped in `spus.rs`, kills and torn logs in `process.rs`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use common::{Client, NoFrame, PATIENCE, Raw, SILENCE, Watch, batch, batches};
use fluvio_cffi_cluster::{Cluster, Config};
use fluvio_controlplane_metadata::message::MsgType;
use fluvio_controlplane_metadata::smartmodule::{FluvioSemVersion, SmartModuleMetadata, SmartModulePackage};
use fluvio_controlplane_metadata::spu::{Endpoint, IngressPort};
use fluvio_controlplane_metadata::topic::{
    AddPartition, CleanupPolicy, CompressionAlgorithm, SegmentBasedPolicy, TopicResolution, TopicStorageConfig,
    UpdateTopicAction,
};
use fluvio_protocol::api::RequestHeader;
use fluvio_protocol::link::ErrorCode;
use fluvio_protocol::link::versions::{ApiVersionsRequest, ApiVersionsResponse};
use fluvio_protocol::record::ReplicaKey;
use fluvio_protocol::{Decoder, Encoder};
use fluvio_sc_schema::customspu::{CustomSpuKey, CustomSpuSpec};
use fluvio_sc_schema::mirror::{Home, MirrorSpec, MirrorType, Remote};
use fluvio_sc_schema::objects::{
    CommonCreateRequest, CreateRequest, DeleteRequest, ListFilter, ListRequest, ListResponse, Metadata,
    ObjectApiCreateRequest, ObjectApiDeleteRequest, ObjectApiListRequest, ObjectApiListResponse,
    ObjectApiUpdateRequest, ObjectApiWatchRequest, UpdateRequest, WatchRequest,
};
use fluvio_sc_schema::partition::PartitionSpec;
use fluvio_sc_schema::smartmodule::{SmartModuleSpec, SmartModuleWasm};
use fluvio_sc_schema::spg::SpuGroupSpec;
use fluvio_sc_schema::spu::SpuSpec;
use fluvio_sc_schema::tableformat::TableFormatSpec;
use fluvio_sc_schema::topic::TopicSpec;
use fluvio_sc_schema::{AdminSpec, CreatableAdminSpec, DeletableAdminSpec, Status, TryEncodableFrom};
use fluvio_spu_schema::Isolation;
use fluvio_spu_schema::produce::{PartitionProduceData, ProduceRequest};
use fluvio_spu_schema::server::consumer_offset::{
    DeleteConsumerOffsetRequest, FetchConsumerOffsetsRequest, UpdateConsumerOffsetRequest,
};
use fluvio_spu_schema::server::fetch_offset::FetchOffsetsRequest;
use fluvio_spu_schema::server::stream_fetch::StreamFetchRequest;
use fluvio_spu_schema::server::update_offset::{OffsetUpdate, UpdateOffsetsRequest};

const SYSTEM: &str = "consumer-offset";
/// A cluster that is somewhere else takes longer.
const SLOW: Duration = Duration::from_secs(30);

struct Target {
    sc: SocketAddr,
    embedded: Option<Cluster>,
    prefix: String,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Runs a check on a cluster.
fn check(check: impl AsyncFnOnce(&Target)) {
    common::run(120, async {
        let target = match std::env::var("FLUVIO_CFFI_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty()) {
            Some(endpoint) => {
                let sc = endpoint.to_socket_addrs().expect("FLUVIO_CFFI_ENDPOINT is host:port").next().unwrap();
                Target { sc, embedded: None, prefix: String::new() }
            }
            None => {
                let cluster = Cluster::start(Config::default()).await.unwrap();
                Target { sc: cluster.endpoint(), embedded: Some(cluster), prefix: String::new() }
            }
        };
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        let prefix = format!("c{time}-{}-", NUMBER.fetch_add(1, Ordering::Relaxed));
        let target = Target { prefix, ..target };
        check(&target).await;
        if let Some(cluster) = target.embedded {
            cluster.shutdown().await;
        }
    });
}

impl Target {
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    async fn sc(&self) -> Client {
        Client::connect(self.sc).await
    }

    /// A topic; its name.
    async fn topic(&self, name: &str, spec: TopicSpec) -> String {
        let name = self.name(name);
        self.create(&name, spec).await;
        name
    }

    /// Creates a topic, which is there when its leaders serve it. The SC may lose what they report, above all where other
    /// topics are deleted at the same time, and does not answer then.
    async fn create(&self, name: &str, spec: TopicSpec) {
        let partitions = spec.partitions();
        let common = CommonCreateRequest { name: name.to_owned(), dry_run: false, timeout: None };
        let request = ObjectApiCreateRequest::try_encode_from(CreateRequest::new(common, spec), 19).unwrap();
        let mut sc = self.sc().await;
        sc.send(request).await;
        let begun = Instant::now();
        loop {
            if let Ok(frame) = sc.receive(SILENCE).await {
                let status = Status::decode_from(&mut &frame[4..], 19).unwrap();
                assert!(!status.is_error(), "{status:?}");
                return;
            }
            if self.serves(name, partitions).await {
                return;
            }
            assert!(begun.elapsed() < SLOW, "topic {name}");
        }
    }

    /// Whether the partitions of a topic are served.
    async fn serves(&self, topic: &str, partitions: u32) -> bool {
        let named = |it: &Metadata<PartitionSpec>| it.name.rsplit_once('-').is_some_and(|(name, _)| name == topic);
        if self.sc().await.list::<PartitionSpec>().await.into_iter().filter(named).count() < partitions as usize {
            return false;
        }
        for partition in 0..partitions {
            let mut spu = self.leader(topic, partition).await;
            let told = spu.call(FetchOffsetsRequest::new(topic.to_owned(), partition)).await;
            if told.topics[0].partitions[0].error_code != ErrorCode::None {
                return false;
            }
        }
        true
    }

    /// Waits until the SC says that a partition is online. What it was told may be lost: it is told again of what is
    /// written to. How many records that took.
    async fn until_online(&self, watch: &mut Watch<PartitionSpec>, topic: &str, partition: u32) -> i64 {
        let name = ReplicaKey::new(topic, partition).to_string();
        let (begun, mut written) = (Instant::now(), 0);
        loop {
            match watch.next(SILENCE).await {
                Ok((MsgType::UPDATE, it)) if it.name == name && it.status.is_online() => return written,
                Ok(_) | Err(NoFrame::Silence) => {}
                Err(NoFrame::Closed) => panic!("the watch has ended"),
            }
            assert!(begun.elapsed() < SLOW, "partition {name}");
            if begun.elapsed() > Duration::from_secs(1 + written.unsigned_abs()) {
                let answer = self.leader(topic, partition).await.produce(topic, partition, batch(1, 1)).await;
                written += i64::from(answer.error_code == ErrorCode::None);
            }
        }
    }

    async fn plain_topic(&self) -> String {
        self.topic("t", TopicSpec::new_computed(1, 1, None)).await
    }

    /// A connection to the leader of a partition.
    async fn leader(&self, topic: &str, partition: u32) -> Client {
        let mut sc = self.sc().await;
        let name = ReplicaKey::new(topic, partition).to_string();
        let system = topic == SYSTEM;
        let partitions = list::<PartitionSpec>(&mut sc, ListRequest::new(vec![], false).system(system)).await;
        let leader = partitions.iter().find(|it| it.name == name).expect("the partition").spec.leader;
        let spus = sc.list::<SpuSpec>().await;
        let endpoint = spus.iter().find(|it| it.spec.id == leader).expect("its leader").spec.public_endpoint.addr();
        Client::connect(endpoint.to_socket_addrs().unwrap().next().unwrap()).await
    }

    async fn remove(&self, topics: &[&String]) {
        let mut sc = self.sc().await;
        for topic in topics {
            sc.delete(topic).await;
        }
    }
}

async fn create_with<S>(sc: &mut Client, name: &str, dry_run: bool, spec: S) -> Status
where
    S: CreatableAdminSpec,
    ObjectApiCreateRequest: TryEncodableFrom<CreateRequest<S>>,
{
    let common = CommonCreateRequest { name: name.to_owned(), dry_run, timeout: None };
    sc.call(ObjectApiCreateRequest::try_encode_from(CreateRequest::new(common, spec), 19).unwrap()).await
}

async fn created<S>(sc: &mut Client, name: &str, spec: S) -> ErrorCode
where
    S: CreatableAdminSpec,
    ObjectApiCreateRequest: TryEncodableFrom<CreateRequest<S>>,
{
    create_with(sc, name, false, spec).await.error_code
}

async fn deleted<S>(sc: &mut Client, key: S::DeleteKey, force: bool) -> ErrorCode
where
    S: DeletableAdminSpec,
    ObjectApiDeleteRequest: TryEncodableFrom<DeleteRequest<S>>,
{
    let request = DeleteRequest::<S>::with(key, force);
    sc.call(ObjectApiDeleteRequest::try_encode_from(request, 19).unwrap()).await.error_code
}

async fn list<S>(sc: &mut Client, request: ListRequest<S>) -> Vec<Metadata<S>>
where
    S: AdminSpec,
    S::Status: Encoder + Decoder,
    ObjectApiListRequest: TryEncodableFrom<ListRequest<S>>,
    ObjectApiListResponse: TryEncodableFrom<ListResponse<S>>,
{
    let response = sc.call(ObjectApiListRequest::try_encode_from(request, 19).unwrap()).await;
    let list: ListResponse<S> = response.downcast().unwrap().unwrap();
    list.inner()
}

fn filters(names: &[&str]) -> Vec<ListFilter> {
    names.iter().map(|name| ListFilter { name: (*name).to_owned() }).collect()
}

fn names<S>(objects: &[Metadata<S>]) -> BTreeSet<&str>
where
    S: AdminSpec,
    S::Status: Encoder + Decoder,
{
    objects.iter().map(|object| object.name.as_str()).collect()
}

async fn versions(client: &mut Client) -> ApiVersionsResponse {
    client
        .call(ApiVersionsRequest {
            client_version: "0.50.1".to_owned(),
            client_os: "linux".to_owned(),
            client_arch: "any".to_owned(),
        })
        .await
}

fn keys(versions: &ApiVersionsResponse) -> Vec<(i16, i16, i16)> {
    let mut keys: Vec<_> =
        versions.api_keys.iter().map(|key| (key.api_key, key.min_version, key.max_version)).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn check_01_versions() {
    check(async |target| {
        let sc = versions(&mut target.sc().await).await;
        let wanted = [(1001, 9, 19), (1002, 1, 19), (1003, 15, 19), (1004, 15, 19), (1005, 14, 19), (1006, 1, 19)];
        assert_eq!(keys(&sc), wanted);
        assert!(sc.platform_version.to_semver() >= "0.9.0".parse().unwrap());
        let spu = versions(&mut target.leader(SYSTEM, 0).await).await;
        assert_eq!(keys(&spu), [(0, 0, 25), (1, 0, 25), (1002, 25, 25), (1003, 0, 25), (1005, 0, 0)]);
        assert_eq!(spu.platform_version.to_semver().to_string(), "0.0.0");
    });
}

#[test]
fn check_02_keys_that_are_not_listed() {
    check(async |target| {
        let mut spu = target.leader(SYSTEM, 0).await;
        let list = spu.call(FetchConsumerOffsetsRequest::with_opts(None, None)).await;
        assert_eq!(list.error_code, ErrorCode::None);
        for mut client in [target.sc().await, target.leader(SYSTEM, 0).await] {
            let mut header = RequestHeader::new(4242);
            header.set_correlation_id(1);
            let mut frame = Vec::new();
            header.encode(&mut frame, 0).unwrap();
            client.send_frame(&frame).await;
            assert_eq!(client.receive(PATIENCE).await, Err(NoFrame::Closed));
        }
    });
}

#[test]
fn check_03_watches() {
    check(async |target| {
        let (mut topics, first) = Watch::<TopicSpec>::begin(target.sc).await;
        assert!(names(&first).contains(SYSTEM));
        let (mut partitions, first) = Watch::<PartitionSpec>::begin(target.sc).await;
        assert!(names(&first).contains("consumer-offset-0"));
        let (_, first) = Watch::<SpuSpec>::begin(target.sc).await;
        assert!(first.iter().any(|spu| spu.status.is_online()));

        let name = target.plain_topic().await;
        topics.until(|it| it.name == name && it.status.resolution == TopicResolution::Provisioned).await;
        let partition = format!("{name}-0");
        target.until_online(&mut partitions, &name, 0).await;
        target.remove(&[&name]).await;
        let gone = |kind: &MsgType, found: &str, wanted: &str| *kind == MsgType::DELETE && found == wanted;
        while !matches!(topics.next(SLOW).await.unwrap(), (kind, it) if gone(&kind, &it.name, &name)) {}
        while !matches!(partitions.next(SLOW).await.unwrap(), (kind, it) if gone(&kind, &it.name, &partition)) {}
    });
}

#[test]
fn check_04_system_objects() {
    check(async |target| {
        let name = target.plain_topic().await;
        let partition = format!("{name}-0");
        let mut sc = target.sc().await;
        for system in [false, true] {
            let topics = list::<TopicSpec>(&mut sc, ListRequest::new(vec![], false).system(system)).await;
            let partitions = list::<PartitionSpec>(&mut sc, ListRequest::new(vec![], false).system(system)).await;
            assert_eq!(names(&topics).contains(SYSTEM), system);
            assert_eq!(names(&topics).contains(name.as_str()), !system);
            assert_eq!(names(&partitions).contains("consumer-offset-0"), system);
            assert_eq!(names(&partitions).contains(partition.as_str()), !system);
        }
        target.remove(&[&name]).await;
    });
}

#[test]
fn check_05_topic_names() {
    check(async |target| {
        let mut sc = target.sc().await;
        let long = target.name(&"x".repeat(64 - target.prefix.len()));
        for name in ["Upper", "under_score", "-lead", "trail-", "dot.ted", "a b", &long] {
            assert_eq!(created(&mut sc, name, TopicSpec::new_computed(1, 1, None)).await, ErrorCode::TopicInvalidName);
        }
        let longest = long[..63].to_owned();
        target.create(&longest, TopicSpec::new_computed(1, 1, None)).await;
        target.remove(&[&longest]).await;
    });
}

#[test]
fn check_06_creating_and_deleting_twice() {
    check(async |target| {
        let mut sc = target.sc().await;
        let name = target.name("t");
        let spec = || TopicSpec::new_computed(1, 1, None);
        assert!(!create_with(&mut sc, &name, true, spec()).await.is_error());
        assert!(!names(&sc.list::<TopicSpec>().await).contains(name.as_str()));
        target.create(&name, spec()).await;
        assert_eq!(created(&mut sc, &name, spec()).await, ErrorCode::TopicAlreadyExists);
        assert_eq!(deleted::<TopicSpec>(&mut sc, name.clone(), false).await, ErrorCode::None);
        assert_eq!(deleted::<TopicSpec>(&mut sc, name, false).await, ErrorCode::TopicNotFound);
        assert_eq!(
            deleted::<TopicSpec>(&mut sc, SYSTEM.to_owned(), false).await,
            ErrorCode::SystemSpecDeletionAttempt { kind: "topic".to_owned(), name: SYSTEM.to_owned() }
        );
    });
}

#[test]
fn check_07_limits_of_the_configuration() {
    check(async |target| {
        let mut sc = target.sc().await;
        let name = target.name("t");
        let spec = |seconds, segment_size, max_partition_size| {
            let mut spec = TopicSpec::new_computed(1, 1, None);
            spec.set_cleanup_policy(CleanupPolicy::Segment(SegmentBasedPolicy { time_in_seconds: seconds }));
            spec.set_storage(TopicStorageConfig { segment_size, max_partition_size });
            spec
        };
        for refused in [
            spec(9, None, None),
            spec(10, Some(1023), None),
            spec(10, Some(1024), Some(2047)),
            spec(10, Some(10_000), Some(9_999)),
            spec(10, None, Some(2048)),
        ] {
            assert_eq!(created(&mut sc, &name, refused).await, ErrorCode::TopicInvalidConfiguration);
        }
        for refused in [TopicSpec::new_computed(0, 1, None), TopicSpec::new_computed(1, 0, None)] {
            assert_eq!(created(&mut sc, &name, refused).await, ErrorCode::TopicError);
        }
        target.create(&name, spec(10, Some(1024), Some(2048))).await;
        target.remove(&[&name]).await;
    });
}

#[test]
fn check_08_more_replicas_than_spus() {
    check(async |target| {
        let mut sc = target.sc().await;
        let name = target.name("t");
        let spus = sc.list::<SpuSpec>().await.len() as u32;
        let mut waiting = target.sc().await;
        let common = CommonCreateRequest { name: name.clone(), dry_run: false, timeout: None };
        let request = CreateRequest::new(common, TopicSpec::new_computed(1, spus + 1, None));
        waiting.send(ObjectApiCreateRequest::try_encode_from(request, 19).unwrap()).await;
        // The requests of a connection are served one after another: this one waits as well.
        waiting
            .send(ObjectApiListRequest::try_encode_from(ListRequest::<SpuSpec>::new(vec![], false), 19).unwrap())
            .await;
        assert_eq!(waiting.receive(Duration::from_secs(1)).await, Err(NoFrame::Silence));
        let topic = list::<TopicSpec>(&mut sc, ListRequest::new(filters(&[&name]), false)).await.remove(0);
        assert_eq!(topic.status.resolution, TopicResolution::InsufficientResources);
        assert!(topic.status.replica_map.is_empty());
        target.remove(&[&name]).await;
    });
}

#[test]
fn check_09_filters() {
    check(async |target| {
        let (one, two) = (target.plain_topic().await, target.topic("two", TopicSpec::new_computed(1, 1, None)).await);
        let mut sc = target.sc().await;
        let part = &one[1..one.len() - 1];
        let found = list::<TopicSpec>(&mut sc, ListRequest::new(filters(&[part]), false)).await;
        assert_eq!(names(&found), BTreeSet::from([one.as_str(), two.as_str()]));
        let found = list::<TopicSpec>(&mut sc, ListRequest::new(filters(&[&two, "no such topic"]), false)).await;
        assert_eq!(names(&found), BTreeSet::from([two.as_str()]));
        let found = list::<PartitionSpec>(&mut sc, ListRequest::new(filters(&["no such partition"]), false)).await;
        assert!(names(&found).contains(format!("{one}-0").as_str()));
        target.remove(&[&one, &two]).await;
    });
}

#[test]
fn check_10_adding_partitions() {
    check(async |target| {
        let name = target.plain_topic().await;
        let assigned = {
            let id = target.sc().await.list::<SpuSpec>().await[0].spec.id;
            target.topic("assigned", TopicSpec::new_assigned(vec![(0, vec![id])])).await
        };
        let mut spu = target.leader(&name, 0).await;
        assert_eq!(spu.produce(&name, 0, batch(3, 1)).await.base_offset, 0);
        let mut sc = target.sc().await;
        let mut add = async |topic: &str| {
            let more = UpdateTopicAction::AddPartition(AddPartition { count: 2 });
            let update = UpdateRequest::<TopicSpec>::new(topic.to_owned(), more);
            sc.call(ObjectApiUpdateRequest::try_encode_from(update, 19).unwrap()).await.error_code
        };
        let (mut partitions, _) = Watch::<PartitionSpec>::begin(target.sc).await;
        assert_eq!(add(&name).await, ErrorCode::None);
        let written = target.until_online(&mut partitions, &name, 2).await;
        assert_eq!(target.leader(&name, 2).await.produce(&name, 2, batch(1, 1)).await.base_offset, written);
        assert_eq!(spu.produce(&name, 0, batch(1, 1)).await.base_offset, 3);
        assert_eq!(add(&assigned).await, ErrorCode::TopicInvalidReplicaType);
        assert_eq!(add("no-such-topic").await, ErrorCode::TopicNotFound);
        let system = ErrorCode::SystemSpecUpdatingAttempt { kind: "topic".to_owned(), name: SYSTEM.to_owned() };
        assert_eq!(add(SYSTEM).await, system);
        target.remove(&[&name, &assigned]).await;
    });
}

#[test]
fn check_11_smartmodules() {
    check(async |target| {
        let mut sc = target.sc().await;
        let name = target.name("filter");
        let module = |code: &[u8]| SmartModuleSpec {
            wasm: SmartModuleWasm::from_compressed_gzip(code.to_vec()),
            ..Default::default()
        };
        for code in [b"first".as_slice(), b"second one"] {
            assert_eq!(created(&mut sc, &name, module(code)).await, ErrorCode::None);
        }
        let version = FluvioSemVersion::parse("0.1.2").unwrap();
        let package = SmartModulePackage {
            name: name.clone(),
            group: "group".to_owned(),
            api_version: version.clone(),
            version,
            ..Default::default()
        };
        let meta = Some(SmartModuleMetadata { package, params: Default::default() });
        let packaged = SmartModuleSpec { meta, ..module(b"packaged") };
        let kept_as = format!("{name}-group-0.1.2");
        let status = create_with(&mut sc, "whatever", false, packaged).await;
        assert_eq!((status.error_code, status.name.as_str()), (ErrorCode::None, kept_as.as_str()));

        let (group, version) = (format!("group/{name}"), format!("group/{name}@0.1.2"));
        // One without a package is in every group, and of every version.
        for filter in [&name, &group, &version] {
            let found = list::<SmartModuleSpec>(&mut sc, ListRequest::new(filters(&[filter]), false)).await;
            assert_eq!(names(&found), BTreeSet::from([name.as_str(), &kept_as]), "{filter}");
        }
        for filter in [format!("else/{name}"), format!("{version}3")] {
            let found = list::<SmartModuleSpec>(&mut sc, ListRequest::new(filters(&[&filter]), false)).await;
            assert_eq!(names(&found), BTreeSet::from([name.as_str()]), "{filter}");
        }
        let found = list::<SmartModuleSpec>(&mut sc, ListRequest::new(filters(&[&name]), false)).await;
        let plain = found.iter().find(|it| it.name == name).unwrap();
        assert_eq!(plain.spec.wasm.payload.to_vec(), b"second one");
        let found = list::<SmartModuleSpec>(&mut sc, ListRequest::new(filters(&[&name]), true)).await;
        let plain = found.iter().find(|it| it.name == name).unwrap();
        assert_eq!((plain.spec.wasm.payload.len(), plain.spec.summary.as_ref().unwrap().wasm_length), (0, 10));

        assert_eq!(deleted::<SmartModuleSpec>(&mut sc, version, false).await, ErrorCode::None);
        assert_eq!(deleted::<SmartModuleSpec>(&mut sc, name.clone(), false).await, ErrorCode::None);
        let missing = ErrorCode::SmartModuleNotFound { name: name.clone() };
        assert_eq!(deleted::<SmartModuleSpec>(&mut sc, name, false).await, missing);
    });
}

#[test]
fn check_12_other_objects() {
    check(async |target| {
        let mut sc = target.sc().await;
        let name = target.name("x");
        let format = TableFormatSpec { name: name.clone(), ..Default::default() };
        assert_eq!(created(&mut sc, &name, format.clone()).await, ErrorCode::None);
        assert_eq!(created(&mut sc, &name, format).await, ErrorCode::TableFormatAlreadyExists);
        assert_eq!(deleted::<TableFormatSpec>(&mut sc, name.clone(), false).await, ErrorCode::None);
        assert_eq!(deleted::<TableFormatSpec>(&mut sc, name.clone(), false).await, ErrorCode::TableFormatNotFound);

        let spu = CustomSpuSpec {
            id: 1_000_000_000 + i32::try_from(std::process::id() % 1_000_000).unwrap(),
            public_endpoint: IngressPort::from_port_host(1, "127.0.0.1".to_owned()),
            private_endpoint: Endpoint::from_port_host(2, "127.0.0.1".to_owned()),
            ..Default::default()
        };
        let id = spu.id;
        let dry = create_with(&mut sc, &name, true, spu.clone()).await;
        assert_eq!((dry.error_code, dry.name.as_str()), (ErrorCode::None, ""));
        assert_eq!(created(&mut sc, &name, spu.clone()).await, ErrorCode::None);
        assert_eq!(created(&mut sc, &name, spu.clone()).await, ErrorCode::SpuAlreadyExists);
        assert_eq!(created(&mut sc, &target.name("y"), spu).await, ErrorCode::SpuAlreadyExists);
        let listed = list::<CustomSpuSpec>(&mut sc, ListRequest::new(filters(&[&name]), false)).await;
        assert!(listed.len() == 1 && listed[0].status.is_init());
        assert_eq!(deleted::<CustomSpuSpec>(&mut sc, CustomSpuKey::Id(id), false).await, ErrorCode::None);
        assert_eq!(deleted::<CustomSpuSpec>(&mut sc, CustomSpuKey::Id(id), false).await, ErrorCode::SpuNotFound);
        let mut watcher = target.sc().await;
        let watch = WatchRequest::<CustomSpuSpec>::default();
        watcher.send(ObjectApiWatchRequest::try_encode_from(watch, 19).unwrap()).await;
        assert_eq!(watcher.receive(PATIENCE).await, Err(NoFrame::Closed));

        for _ in 0..2 {
            assert_eq!(created(&mut sc, &name, SpuGroupSpec::default()).await, ErrorCode::None);
        }
        assert_eq!(deleted::<SpuGroupSpec>(&mut sc, name.clone(), false).await, ErrorCode::None);
        assert_eq!(deleted::<SpuGroupSpec>(&mut sc, name.clone(), false).await, ErrorCode::SpuNotFound);

        let remote = MirrorSpec { mirror_type: MirrorType::Remote(Remote { id: name.clone() }) };
        assert_eq!(created(&mut sc, &name, remote.clone()).await, ErrorCode::None);
        assert_eq!(created(&mut sc, &name, remote).await, ErrorCode::MirrorAlreadyExists);
        let listed = list::<MirrorSpec>(&mut sc, ListRequest::new(filters(&["no such mirror"]), false)).await;
        assert!(names(&listed).contains(name.as_str()));
        assert_eq!(deleted::<MirrorSpec>(&mut sc, name.clone(), false).await, ErrorCode::None);
        assert_eq!(deleted::<MirrorSpec>(&mut sc, name.clone(), false).await, ErrorCode::MirrorNotFound);
        let home = Home { id: name.clone(), public_endpoint: "127.0.0.1:1".to_owned(), ..Default::default() };
        for _ in 0..2 {
            let home = MirrorSpec { mirror_type: MirrorType::Home(home.clone()) };
            assert_eq!(created(&mut sc, &name, home).await, ErrorCode::None);
        }
        assert_eq!(deleted::<MirrorSpec>(&mut sc, name, false).await, ErrorCode::None);
    });
}

fn several(topic: &str, sets: &[Vec<u8>]) -> ProduceRequest<Raw> {
    let mut request = common::produce(topic, 0, sets[0].clone());
    for set in &sets[1..] {
        request.topics[0].partitions.push(PartitionProduceData { partition_index: 0, records: Raw(set.clone()) });
    }
    request
}

#[test]
fn check_13_produce() {
    check(async |target| {
        let name = target.plain_topic().await;
        let mut spu = target.leader(&name, 0).await;
        let two = [batch(2, 5), batch(1, 7)].concat();
        let request = several(&name, &[batch(3, 10), two.clone(), batch(4, 1)]);
        let entries = spu.call(request).await.responses.remove(0).partitions;
        let bases: Vec<_> = entries.iter().map(|entry| (entry.error_code.clone(), entry.base_offset)).collect();
        assert_eq!(bases, [(ErrorCode::None, 0), (ErrorCode::None, 3), (ErrorCode::None, 6)]);
        let stream = spu.stream(&name, 0, -1).await;
        let (found, rest) = batches(&spu.stream_reply(stream, SLOW).await.unwrap().partition.records.0);
        assert_eq!(rest, 0);
        let wanted = [(0, batch(3, 10)), (3, batch(2, 5)), (5, batch(1, 7)), (6, batch(4, 1))];
        for ((base, _, bytes), (wanted, sent)) in found.iter().zip(&wanted) {
            // All but the base offset is as it was sent: times, keys, values, checksum.
            assert_eq!((base, &bytes[8..]), (wanted, &sent[8..]));
        }
        assert_eq!(found.len(), wanted.len());
        target.remove(&[&name]).await;
    });
}

#[test]
fn check_14_compression() {
    check(async |target| {
        let mut gzip = TopicSpec::new_computed(1, 1, None);
        gzip.set_compression_type(CompressionAlgorithm::Gzip);
        let (any, gzip) = (target.plain_topic().await, target.topic("gzip", gzip).await);
        for codec in 0..=4 {
            let mut set = batch(1, 10);
            set[22] = codec;
            let answer = target.leader(&any, 0).await.produce(&any, 0, set.clone()).await.error_code;
            assert_eq!(answer, ErrorCode::None, "codec {codec}");
            let answer = target.leader(&gzip, 0).await.produce(&gzip, 0, set).await.error_code;
            assert_eq!(answer, if codec == 1 { ErrorCode::None } else { ErrorCode::CompressionError }, "codec {codec}");
        }
        target.remove(&[&any, &gzip]).await;
    });
}

#[test]
fn check_15_batches_that_are_too_large() {
    check(async |target| {
        let mut small = TopicSpec::new_computed(1, 1, None);
        small.set_storage(TopicStorageConfig { segment_size: Some(2048), max_partition_size: None });
        let (large, small) = (target.plain_topic().await, target.topic("small", small).await);
        for (topic, size) in [(&small, 2048), (&large, 33 << 20)] {
            let mut spu = target.leader(topic, 0).await;
            let set = [batch(1, 10), batch(1, size)].concat();
            assert_eq!(spu.produce(topic, 0, set).await.error_code, ErrorCode::MessageTooLarge);
            assert_eq!(spu.produce(topic, 0, batch(1, 10)).await.base_offset, 0, "nothing was written");
        }
        target.remove(&[&large, &small]).await;
    });
}

#[test]
fn check_16_read_committed_with_one_replica() {
    check(async |target| {
        let name = target.plain_topic().await;
        let mut request = common::produce(&name, 0, batch(3, 1));
        request.isolation = Isolation::ReadCommitted;
        let mut spu = target.leader(&name, 0).await;
        let entry = spu.call(request).await.responses.remove(0).partitions.remove(0);
        assert_eq!((entry.error_code, entry.base_offset), (ErrorCode::None, 0));
        let offsets = spu.call(FetchOffsetsRequest::new(name.clone(), 0)).await;
        assert_eq!(offsets.topics[0].partitions[0].last_stable_offset, 3);
        target.remove(&[&name]).await;
    });
}

#[test]
fn check_17_partitions_that_are_missing() {
    check(async |target| {
        let name = target.plain_topic().await;
        let mut spu = target.leader(&name, 0).await;
        for (topic, partition) in [(name.as_str(), 7), ("no-such-topic", 0)] {
            let code = spu.produce(topic, partition, batch(1, 1)).await.error_code;
            assert_eq!(code, ErrorCode::NotLeaderForPartition);
            let offsets = spu.call(FetchOffsetsRequest::new(topic.to_owned(), partition)).await;
            assert_eq!(offsets.topics[0].partitions[0].error_code, ErrorCode::PartitionNotLeader);
            let mut request = StreamFetchRequest::<Raw>::default();
            (request.topic, request.partition, request.max_bytes) = (topic.to_owned(), partition, -1);
            let stream = spu.send(request).await;
            let reply = spu.stream_reply(stream, PATIENCE).await.unwrap();
            assert_eq!((reply.stream_id, reply.partition.error_code), (0, ErrorCode::NotLeaderForPartition));
        }
        target.remove(&[&name]).await;
    });
}

#[test]
fn check_18_starts() {
    check(async |target| {
        let name = target.plain_topic().await;
        let mut spu = target.leader(&name, 0).await;
        for _ in 0..3 {
            spu.produce(&name, 0, batch(10, 1)).await;
        }
        for (offset, first) in [(0, 0), (9, 0), (10, 10), (29, 20)] {
            let stream = spu.stream(&name, offset, -1).await;
            let reply = spu.stream_reply(stream, PATIENCE).await.unwrap().partition;
            assert_eq!(
                (batches(&reply.records.0).0[0].0, reply.high_watermark, reply.log_start_offset),
                (first, 30, 0)
            );
        }
        let stream = spu.stream(&name, 30, -1).await;
        assert_eq!(spu.stream_reply(stream, SILENCE).await.err(), Some(NoFrame::Silence));
        let mut other = target.leader(&name, 0).await;
        other.produce(&name, 0, batch(1, 1)).await;
        let reply = spu.stream_reply(stream, PATIENCE).await.unwrap().partition;
        assert_eq!(batches(&reply.records.0).0[0].0, 30);
        let beyond = ErrorCode::Other("start offset: 32 is greater than leo: 31".to_owned());
        let evicted = ErrorCode::OffsetEvicted { offset: -1, next_available: 0 };
        for (offset, code) in [(32, beyond), (-1, evicted)] {
            let stream = other.stream(&name, offset, -1).await;
            let reply = other.stream_reply(stream, PATIENCE).await.unwrap();
            assert_eq!(reply.partition.error_code, code);
            assert!(reply.stream_id > 0);
        }
        target.remove(&[&name]).await;
    });
}

#[test]
fn check_19_replies_are_cut() {
    check(async |target| {
        let name = target.plain_topic().await;
        let mut spu = target.leader(&name, 0).await;
        let batch_size = batch(10, 100_000).len() as i64;
        for _ in 0..21 {
            assert_eq!(spu.produce(&name, 0, batch(10, 100_000)).await.error_code, ErrorCode::None);
        }
        for max_bytes in [1 << 20, (1 << 20) + 1, 5_000_000] {
            let stream = spu.stream(&name, 0, max_bytes).await;
            let reply = spu.stream_reply(stream, SLOW).await.unwrap().partition;
            assert_eq!(reply.records.0.len(), max_bytes as usize);
            let (whole, rest) = batches(&reply.records.0);
            assert!(rest > 0, "the last batch is cut");
            let whole = whole.iter().map(|(base, _, _)| *base);
            assert!(whole.eq((0..i64::from(max_bytes) / batch_size).map(|number| number * 10)));
        }
        target.remove(&[&name]).await;
    });
}

#[test]
fn check_20_one_reply_at_a_time() {
    check(async |target| {
        let name = target.plain_topic().await;
        let mut writer = target.leader(&name, 0).await;
        let mut reader = target.leader(&name, 0).await;
        let stream = reader.stream(&name, 0, -1).await;
        let silence = if target.embedded.is_some() { SILENCE } else { Duration::from_secs(3) };
        assert_eq!(reader.stream_reply(stream, silence).await.err(), Some(NoFrame::Silence));
        writer.produce(&name, 0, batch(2, 1)).await;
        let reply = reader.stream_reply(stream, PATIENCE).await.unwrap();
        assert_eq!(batches(&reply.partition.records.0).0[0].0, 0);
        writer.produce(&name, 0, batch(2, 1)).await;
        assert_eq!(reader.stream_reply(stream, silence).await.err(), Some(NoFrame::Silence));

        let wrong = UpdateOffsetsRequest::new(vec![OffsetUpdate { offset: 2, session_id: reply.stream_id + 7 }]);
        assert_eq!(reader.call(wrong).await.status[0].error, ErrorCode::FetchSessionNotFoud);
        reader.acknowledge(reply.stream_id, 2).await;
        let reply = reader.stream_reply(stream, PATIENCE).await.unwrap();
        assert_eq!(batches(&reply.partition.records.0).0[0].0, 2);
        target.remove(&[&name]).await;
    });
}

#[test]
fn check_22_consumer_offsets() {
    check(async |target| {
        let name = target.plain_topic().await;
        let consumer = target.name("consumer");
        let key = || ReplicaKey::new(name.as_str(), 0_u32);
        let mut spu = target.leader(&name, 0).await;
        let open = |consumer: Option<&str>| {
            let mut request = StreamFetchRequest::<Raw>::default();
            (request.topic, request.max_bytes) = (name.clone(), -1);
            request.consumer_id = consumer.map(str::to_owned);
            request
        };
        spu.send(open(Some(&consumer))).await;
        spu.send(open(None)).await;
        let mut keeper = target.leader(SYSTEM, 0).await;
        let mut stored = async || {
            let ask = FetchConsumerOffsetsRequest::with_opts(None, Some(consumer.clone()));
            let list = keeper.call(ask).await.consumers;
            list.into_iter().map(|it| (it.replica_id, it.offset)).collect::<Vec<_>>()
        };
        // Whatever is given is stored: forward, backward, beyond the end.
        for offset in [7, 3, -1, 1_000_000] {
            let answer = spu.call(UpdateConsumerOffsetRequest::new(offset, 1)).await;
            assert_eq!((answer.offset, answer.error_code), (offset, ErrorCode::None));
            assert_eq!(stored().await, [(key(), offset)]);
        }
        let answer = spu.call(UpdateConsumerOffsetRequest::new(1, 2)).await;
        assert_eq!(answer.error_code, ErrorCode::Other("stream without consumer id".to_owned()));
        let answer = spu.call(UpdateConsumerOffsetRequest::new(1, 3)).await;
        assert_eq!(answer.error_code, ErrorCode::FetchSessionNotFoud);

        let mut leader = target.leader(SYSTEM, 0).await;
        for _ in 0..2 {
            let delete = DeleteConsumerOffsetRequest::new(name.clone(), 0, consumer.clone());
            assert_eq!(leader.call(delete).await.error_code, ErrorCode::None);
            assert!(stored().await.is_empty());
        }
        spu.call(UpdateConsumerOffsetRequest::new(5, 1)).await;
        assert_eq!(stored().await, [(key(), 5)]);
        target.remove(&[&name]).await;
        assert!(stored().await.is_empty());
        target.create(&name, TopicSpec::new_computed(1, 1, None)).await;
        assert!(stored().await.is_empty(), "what was stored before the deletion is gone");
        target.remove(&[&name]).await;
        // What is stored for a topic that is gone is hidden, until there is one of that name again.
        for _both_streams in 0..2 {
            spu.receive(PATIENCE).await.unwrap();
        }
        let answer = spu.call(UpdateConsumerOffsetRequest::new(9, 1)).await;
        assert_eq!((answer.offset, answer.error_code), (9, ErrorCode::None));
        assert!(stored().await.is_empty());
        target.create(&name, TopicSpec::new_computed(1, 1, None)).await;
        assert_eq!(stored().await, [(key(), 9)]);
        target.remove(&[&name]).await;
    });
}

#[test]
fn check_23_a_topic_goes_under_a_stream() {
    check(async |target| {
        let name = target.plain_topic().await;
        let mut reader = target.leader(&name, 0).await;
        let stream = reader.stream(&name, 0, -1).await;
        let mut writer = target.leader(&name, 0).await;
        writer.produce(&name, 0, batch(1, 1)).await;
        let first = reader.stream_reply(stream, PATIENCE).await.unwrap();
        assert_eq!(first.partition.error_code, ErrorCode::None);
        target.remove(&[&name]).await;
        let last = reader.stream_reply(stream, PATIENCE).await.unwrap();
        assert_eq!((last.stream_id, last.partition.error_code), (first.stream_id, ErrorCode::TopicDeleted));
        assert_eq!(reader.receive(SILENCE).await, Err(NoFrame::Silence));
        let mut answer = writer.produce(&name, 0, batch(1, 1)).await.error_code;
        for _ in 0..50 {
            if answer != ErrorCode::None {
                break;
            }
            tokio::time::sleep(SILENCE).await;
            answer = writer.produce(&name, 0, batch(1, 1)).await.error_code;
        }
        assert_eq!(answer, ErrorCode::NotLeaderForPartition);
    });
}

/// The checks in the mode for another cluster, one that is as late as the real one and loses what that loses.
#[test]
fn the_checks_pass_on_a_cluster_that_is_named() {
    if std::env::var("FLUVIO_CFFI_ENDPOINT").is_ok_and(|endpoint| !endpoint.is_empty()) {
        return;
    }
    common::run(120, async {
        let cluster = Cluster::start(Config { write_like_real: true, ..Config::default() }).await.unwrap();
        for line in ["lose-reports 5001 on", "partition-delay 5001 5", "lose-acks 5001 on"] {
            cluster.control(line).await.unwrap();
        }
        let mut checks = Command::new(std::env::current_exe().unwrap());
        checks.args(["check_", "--test-threads", "4"]).env("FLUVIO_CFFI_ENDPOINT", cluster.endpoint().to_string());
        let ended = tokio::task::spawn_blocking(move || checks.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success() && !said.contains(" 0 passed"), "{said}");
        cluster.shutdown().await;
    });
}
