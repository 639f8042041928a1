//! Administration: JSON documents of our own, described in `docs/admin-json.md`.

use std::sync::Arc;

use fluvio_cffi_engine::admin::{
    CustomSpuSpec, MirrorSpec, ResetTo, SmartModuleSpec, SpuGroupSpec, SpuKey, TableFormatSpec, TopicSpec,
};
use fluvio_cffi_engine::{Admin, CreateFlags, Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::boundary::{OK, export};
use crate::bytes::{buffer, flv_buffer_t, flv_slice_t};
use crate::client::flv_client_t;
use crate::handle;
use crate::json::{give, json};
use crate::operation::{self, Done, Request};
use crate::pointer::require;
use crate::queue::flv_queue_t;
use crate::status::{flv_error_t, flv_status_t};

fn yes() -> bool {
    true
}

/// What methods are asked for. `Serialize`, for the test against the documentation.
macro_rules! documents {
    ($($name:ident $(<$spec:ident>)? { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? })*) => {
        $(
            #[derive(Debug, Deserialize, Serialize)]
            #[serde(deny_unknown_fields)]
            struct $name $(<$spec>)? {
                $($(#[$attribute])* $field: $type,)*
            }
        )*
    };
}

documents! {
    Nothing {}
    List {
        #[serde(default)]
        name_contains: Option<String>,
    }
    Get {
        name: String,
    }
    Delete {
        name: String,
        #[serde(default)]
        missing_ok: bool,
    }
    CreateTopic {
        name: String,
        #[serde(default)]
        spec: TopicSpec,
        #[serde(default)]
        dry_run: bool,
        #[serde(default)]
        exist_ok: bool,
        #[serde(default = "yes")]
        wait_ready: bool,
    }
    ListTopics {
        #[serde(default)]
        name_contains: Option<String>,
        #[serde(default)]
        system: bool,
    }
    DeleteTopic {
        name: String,
        #[serde(default)]
        force: bool,
        #[serde(default)]
        missing_ok: bool,
    }
    AddPartitions {
        name: String,
        count: u32,
        #[serde(default = "yes")]
        wait_ready: bool,
    }
    AddMirror {
        name: String,
        remote_cluster: String,
        #[serde(default)]
        home_to_remote: bool,
    }
    ListPartitions {
        #[serde(default)]
        topic: Option<String>,
        #[serde(default)]
        system: bool,
    }
    GetPartition {
        topic: String,
        partition: u32,
    }
    GetSpu {
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        id: Option<i32>,
    }
    CreateCustomSpu {
        #[serde(default)]
        name: Option<String>,
        spec: CustomSpuSpec,
        #[serde(default)]
        dry_run: bool,
        #[serde(default)]
        exist_ok: bool,
    }
    DeleteCustomSpu {
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        id: Option<i32>,
        #[serde(default)]
        force: bool,
        #[serde(default)]
        missing_ok: bool,
    }
    CreateSpuGroup {
        name: String,
        #[serde(default)]
        spec: SpuGroupSpec,
        #[serde(default)]
        dry_run: bool,
        #[serde(default)]
        exist_ok: bool,
    }
    CreateSmartModule {
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        spec: SmartModuleSpec,
        #[serde(default)]
        overwrite: bool,
        #[serde(default)]
        dry_run: bool,
        #[serde(default)]
        exist_ok: bool,
    }
    ListSmartModules {
        #[serde(default)]
        name_contains: Option<String>,
        #[serde(default)]
        wasm: bool,
    }
    GetSmartModule {
        name: String,
        #[serde(default)]
        wasm: bool,
    }
    CreateTableFormat {
        name: String,
        #[serde(default)]
        spec: TableFormatSpec,
        #[serde(default)]
        dry_run: bool,
        #[serde(default)]
        exist_ok: bool,
    }
    CreateMirror {
        name: String,
        spec: MirrorSpec,
        #[serde(default)]
        dry_run: bool,
        #[serde(default)]
        exist_ok: bool,
    }
    ListConsumerOffsets {
        #[serde(default)]
        consumer_id: Option<String>,
        #[serde(default)]
        topic: Option<String>,
    }
    GetConsumerOffset {
        consumer_id: String,
        topic: String,
        partition: u32,
    }
    DeleteConsumerOffset {
        consumer_id: String,
        topic: String,
        partition: u32,
        #[serde(default)]
        missing_ok: bool,
    }
    ResetConsumerOffset {
        consumer_id: String,
        topic: String,
        partition: u32,
        to: ResetTo,
    }
}

fn read<T: DeserializeOwned>(method: &str, document: &[u8]) -> Result<T> {
    let wrong = |why: &dyn std::fmt::Display| Error::invalid(format!("the document of {method} is wrong: {why}"));
    // An array of the fields' values would pass, and depend on their order.
    if document.trim_ascii_start().first() == Some(&b'[') {
        return Err(wrong(&"it must be an object"));
    }
    serde_json::from_slice(document).map_err(|cause| wrong(&cause))
}

/// What the text of a `SmartModule.toml` says, as the `spec` of `smartmodules.create`: JSON in `*json`, which is the caller's
/// until `flv_buffer_free`. A text that is none is `FLV_STATUS_INVALID_ARGUMENT`, with the line. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_smartmodule_spec(
    toml: flv_slice_t,
    json: *mut *mut flv_buffer_t,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        require(json, "json")?;
        give(&SmartModuleSpec::from_toml(toml.text("toml")?)?, json)
    })
}

/// An SPU goes by its name or its id.
fn spu_key(name: Option<String>, id: Option<i32>) -> Result<SpuKey> {
    match (name, id) {
        (Some(name), None) => Ok(SpuKey::Name(name)),
        (None, Some(id)) => Ok(SpuKey::Id(id)),
        (name, id) => {
            Err(Error::invalid(format!("name is {name:?} and id is {id:?}: one of them must be given, not both")))
        }
    }
}

/// What a method answers: JSON, and the bytes that belong to it.
struct Answer {
    json: Vec<u8>,
    binary: Vec<u8>,
}

fn answer(value: &impl Serialize) -> Result<Answer> {
    Ok(Answer { json: json(value)?, binary: Vec::new() })
}

macro_rules! methods {
    ($($method:literal: $variant:ident($request:ty),)*) => {
        /// A method and what it is asked for.
        #[derive(Debug, Serialize)]
        #[serde(untagged)]
        enum Call {
            $($variant($request),)*
        }

        const METHODS: &[&str] = &[$($method),*];

        impl Call {
            fn parse(method: &str, document: &[u8]) -> Result<Self> {
                match method {
                    $($method => read(method, document).map(Self::$variant),)*
                    other => Err(Error::invalid(format!(
                        "method is \"{other}\": it must be one of {}",
                        METHODS.join(", ")
                    ))),
                }
            }
        }
    };
}

methods! {
    "topics.create": CreateTopic(CreateTopic),
    "topics.list": ListTopics(ListTopics),
    "topics.get": GetTopic(Get),
    "topics.delete": DeleteTopic(DeleteTopic),
    "topics.add_partitions": AddPartitions(AddPartitions),
    "topics.add_mirror": AddMirror(AddMirror),
    "partitions.list": ListPartitions(ListPartitions),
    "partitions.get": GetPartition(GetPartition),
    "spus.list": ListSpus(List),
    "spus.get": GetSpu(GetSpu),
    "custom_spus.create": CreateCustomSpu(CreateCustomSpu),
    "custom_spus.list": ListCustomSpus(List),
    "custom_spus.get": GetCustomSpu(GetSpu),
    "custom_spus.delete": DeleteCustomSpu(DeleteCustomSpu),
    "spu_groups.create": CreateSpuGroup(CreateSpuGroup),
    "spu_groups.list": ListSpuGroups(List),
    "spu_groups.get": GetSpuGroup(Get),
    "spu_groups.delete": DeleteSpuGroup(Delete),
    "smartmodules.create": CreateSmartModule(CreateSmartModule),
    "smartmodules.list": ListSmartModules(ListSmartModules),
    "smartmodules.get": GetSmartModule(GetSmartModule),
    "smartmodules.delete": DeleteSmartModule(Delete),
    "table_formats.create": CreateTableFormat(CreateTableFormat),
    "table_formats.list": ListTableFormats(List),
    "table_formats.get": GetTableFormat(Get),
    "table_formats.delete": DeleteTableFormat(Delete),
    "mirrors.create": CreateMirror(CreateMirror),
    "mirrors.list": ListMirrors(List),
    "mirrors.get": GetMirror(Get),
    "mirrors.delete": DeleteMirror(Delete),
    "consumer_offsets.list": ListConsumerOffsets(ListConsumerOffsets),
    "consumer_offsets.get": GetConsumerOffset(GetConsumerOffset),
    "consumer_offsets.delete": DeleteConsumerOffset(DeleteConsumerOffset),
    "consumer_offsets.reset": ResetConsumerOffset(ResetConsumerOffset),
    "cluster.status": ClusterStatus(Nothing),
}

impl Call {
    fn takes_binary(&self) -> bool {
        matches!(self, Self::CreateSmartModule(_))
    }

    async fn run(self, admin: &Admin, binary: &[u8]) -> Result<Answer> {
        match self {
            Self::CreateTopic(CreateTopic { name, spec, dry_run, exist_ok, wait_ready }) => {
                answer(&admin.create_topic(&name, spec, CreateFlags { dry_run, exist_ok }, wait_ready).await?)
            }
            Self::ListTopics(call) => answer(&admin.topics(call.name_contains.as_deref(), call.system).await?),
            Self::GetTopic(call) => answer(&admin.topic(&call.name).await?),
            Self::DeleteTopic(call) => answer(&admin.delete_topic(&call.name, call.force, call.missing_ok).await?),
            Self::AddPartitions(call) => answer(&admin.add_partitions(&call.name, call.count, call.wait_ready).await?),
            Self::AddMirror(call) => {
                answer(&admin.add_mirror(&call.name, &call.remote_cluster, call.home_to_remote).await?)
            }
            Self::ListPartitions(call) => answer(&admin.partitions(call.topic.as_deref(), call.system).await?),
            Self::GetPartition(call) => answer(&admin.partition(&call.topic, call.partition).await?),
            Self::ListSpus(call) => answer(&admin.spus(call.name_contains.as_deref()).await?),
            Self::GetSpu(call) => answer(&admin.spu(&spu_key(call.name, call.id)?).await?),
            Self::CreateCustomSpu(CreateCustomSpu { name, spec, dry_run, exist_ok }) => {
                answer(&admin.create_custom_spu(name.as_deref(), spec, CreateFlags { dry_run, exist_ok }).await?)
            }
            Self::ListCustomSpus(call) => answer(&admin.custom_spus(call.name_contains.as_deref()).await?),
            Self::GetCustomSpu(call) => answer(&admin.custom_spu(&spu_key(call.name, call.id)?).await?),
            Self::DeleteCustomSpu(call) => {
                let key = spu_key(call.name, call.id)?;
                answer(&admin.delete_custom_spu(&key, call.force, call.missing_ok).await?)
            }
            Self::CreateSpuGroup(CreateSpuGroup { name, spec, dry_run, exist_ok }) => {
                answer(&admin.create_spu_group(&name, spec, CreateFlags { dry_run, exist_ok }).await?)
            }
            Self::ListSpuGroups(call) => answer(&admin.spu_groups(call.name_contains.as_deref()).await?),
            Self::GetSpuGroup(call) => answer(&admin.spu_group(&call.name).await?),
            Self::DeleteSpuGroup(call) => answer(&admin.delete_spu_group(&call.name, call.missing_ok).await?),
            Self::CreateSmartModule(CreateSmartModule { name, spec, overwrite, dry_run, exist_ok }) => {
                let flags = CreateFlags { dry_run, exist_ok };
                answer(&admin.create_smartmodule(name.as_deref(), spec, binary, flags, overwrite).await?)
            }
            Self::ListSmartModules(call) => {
                let (modules, binary) = admin.smartmodules(call.name_contains.as_deref(), call.wasm).await?;
                Ok(Answer { json: json(&modules)?, binary })
            }
            Self::GetSmartModule(call) => {
                let (module, binary) = admin.smartmodule(&call.name, call.wasm).await?;
                Ok(Answer { json: json(&module)?, binary })
            }
            Self::DeleteSmartModule(call) => answer(&admin.delete_smartmodule(&call.name, call.missing_ok).await?),
            Self::CreateTableFormat(CreateTableFormat { name, spec, dry_run, exist_ok }) => {
                answer(&admin.create_table_format(&name, spec, CreateFlags { dry_run, exist_ok }).await?)
            }
            Self::ListTableFormats(call) => answer(&admin.table_formats(call.name_contains.as_deref()).await?),
            Self::GetTableFormat(call) => answer(&admin.table_format(&call.name).await?),
            Self::DeleteTableFormat(call) => answer(&admin.delete_table_format(&call.name, call.missing_ok).await?),
            Self::CreateMirror(CreateMirror { name, spec, dry_run, exist_ok }) => {
                answer(&admin.create_mirror(&name, spec, CreateFlags { dry_run, exist_ok }).await?)
            }
            Self::ListMirrors(call) => answer(&admin.mirrors(call.name_contains.as_deref()).await?),
            Self::GetMirror(call) => answer(&admin.mirror(&call.name).await?),
            Self::DeleteMirror(call) => answer(&admin.delete_mirror(&call.name, call.missing_ok).await?),
            Self::ListConsumerOffsets(call) => {
                answer(&admin.consumer_offsets(call.consumer_id.as_deref(), call.topic.as_deref()).await?)
            }
            Self::GetConsumerOffset(call) => {
                answer(&admin.consumer_offset(&call.consumer_id, &call.topic, call.partition).await?)
            }
            Self::DeleteConsumerOffset(DeleteConsumerOffset { consumer_id, topic, partition, missing_ok }) => {
                answer(&admin.delete_consumer_offset(&consumer_id, &topic, partition, missing_ok).await?)
            }
            Self::ResetConsumerOffset(ResetConsumerOffset { consumer_id, topic, partition, to }) => {
                answer(&admin.reset_consumer_offset(&consumer_id, &topic, partition, to).await?)
            }
            Self::ClusterStatus(Nothing {}) => answer(&admin.cluster_status().await?),
        }
    }
}

/// Calls an administrative method with a JSON document, as `docs/admin-json.md` describes; `binary` goes beside it where a
/// method takes bytes, else it must be empty. All are read before it returns. Result: `flv_buffer_t *` with JSON, and the
/// bytes that belong to it behind that, owned by whoever drains; value: how many bytes are JSON. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn flv_admin_call(
    client: *mut flv_client_t,
    method: flv_slice_t,
    document: flv_slice_t,
    binary: flv_slice_t,
    timeout_ms: i64,
    queue: *mut flv_queue_t,
    token: u64,
    operation: *mut u64,
    error: *mut *mut flv_error_t,
) -> flv_status_t {
    export(error, || {
        let client = handle::get(client)?;
        client.usable()?;
        let method = method.text("method")?;
        let call = Call::parse(method, document.bytes("document")?)?;
        let binary = binary.bytes("binary")?;
        match (call.takes_binary(), binary.len()) {
            (true, 0) => return Err(Error::invalid(format!("binary is empty: {method} takes code in it"))),
            (false, 1..) => {
                return Err(Error::invalid(format!("binary has {} bytes: {method} takes none", binary.len())));
            }
            _ => {}
        }
        let binary = binary.to_vec();
        let request = Request { timeout_ms, queue, token, operation };
        operation::start_bounded(Arc::clone(&client.runtime), request, |timeout| async move {
            let admin = client.client.admin(timeout);
            let Answer { json, binary } = client.while_open(Box::pin(call.run(&admin, &binary))).await?;
            let mut done = Done::value(json.len() as u64);
            done.object = Some(buffer([json, binary].concat()));
            Ok(done)
        })?;
        Ok(OK)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::collections::BTreeMap;

    use fluvio_cffi_engine::ErrorKind;
    use fluvio_cffi_engine::admin::*;
    use serde_json::Value;

    use super::*;

    /// The examples of the documentation: what each is of, and the document.
    fn examples() -> BTreeMap<&'static str, &'static str> {
        let documentation = include_str!("../../../docs/admin-json.md");
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
        for method in METHODS {
            let example = *examples().get(method).unwrap_or_else(|| panic!("{method} is not documented"));
            let shown: Value = serde_json::from_str(example).unwrap();
            let call = Call::parse(method, example.as_bytes()).unwrap();
            assert_eq!(serde_json::to_value(&call).unwrap(), shown, "{method}: all fields");
            // What can be left out is shown with its default.
            for field in shown.as_object().unwrap().keys() {
                let mut less = shown.clone();
                less.as_object_mut().unwrap().remove(field);
                if let Ok(call) = Call::parse(method, less.to_string().as_bytes())
                    && !(field == "name" && method.ends_with(".create"))
                    && !(field == "spec" && *method == "smartmodules.create")
                    && field != "id"
                {
                    assert_eq!(serde_json::to_value(&call).unwrap(), shown, "{method}: the default of {field}");
                }
            }
        }
        for name in examples().keys().filter(|name| name.contains('.')) {
            assert!(METHODS.contains(name) || name.starts_with("TopicMirror"), "{name} is no method");
        }
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
            (
                "consumer_offsets.reset",
                r#"{"consumer_id": "a", "topic": "b", "partition": 0, "to": "middle"}"#,
                "`middle`",
            ),
            ("cluster.status", r#"{"now": true}"#, "`now`"),
            ("topics.rename", "{}", "topics.rename"),
        ] {
            let error = Call::parse(method, document.as_bytes()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidArgument);
            assert!(error.message.contains(named), "{method} {document}: {}", error.message);
        }
        for (name, id) in [(None, None), (Some("a".to_owned()), Some(1))] {
            assert_eq!(spu_key(name, id).unwrap_err().kind, ErrorKind::InvalidArgument);
        }
        assert!(Call::parse("topics.list", b"{\"name_contains\": \"\xff\"}").is_err());
        // Nested so deeply that a parser without a limit would run out of stack.
        assert!(Call::parse("topics.list", "[".repeat(1_000_000).as_bytes()).is_err());
    }
}
