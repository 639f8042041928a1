//! Administration: JSON documents of our own, described in `docs/admin-json.md`.

use std::collections::BTreeMap;
use std::sync::Arc;

use fluvio_cffi_engine::{CreateFlags, Error, PartitionAssignment, Phase, Result, Topic, TopicSpec, TopicStatus};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::boundary::{OK, export};
use crate::bytes::flv_slice_t;
use crate::client::{ClientObject, flv_client_t};
use crate::handle::{self, Object};
use crate::operation::{self, Done, Request, overdue};
use crate::queue::flv_queue_t;
use crate::status::{flv_error_t, flv_status_t};

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateTopic {
    name: String,
    #[serde(default = "one")]
    partitions: u32,
    #[serde(default = "one")]
    replication: u32,
    #[serde(default)]
    ignore_rack: bool,
    #[serde(default)]
    assignment: Option<Vec<Assignment>>,
    #[serde(default)]
    retention_seconds: Option<u32>,
    #[serde(default)]
    segment_size: Option<u32>,
    #[serde(default)]
    max_partition_size: Option<u64>,
    #[serde(default = "any")]
    compression: String,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    exist_ok: bool,
    #[serde(default = "yes")]
    wait_ready: bool,
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

fn any() -> String {
    "any".to_owned()
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Assignment {
    partition: u32,
    replicas: Vec<i32>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListTopics {
    #[serde(default)]
    name_contains: Option<String>,
    #[serde(default)]
    system: bool,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct GetTopic {
    name: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteTopic {
    name: String,
    #[serde(default)]
    force: bool,
    #[serde(default)]
    missing_ok: bool,
}

#[derive(Serialize)]
struct TopicDocument {
    name: String,
    spec: SpecDocument,
    status: StatusDocument,
}

#[derive(Serialize)]
struct SpecDocument {
    partitions: u32,
    replication: u32,
    ignore_rack: bool,
    assignment: Option<Vec<Assignment>>,
    retention_seconds: Option<u32>,
    segment_size: Option<u32>,
    max_partition_size: Option<u64>,
    compression: String,
    system: bool,
}

#[derive(Serialize)]
struct StatusDocument {
    resolution: String,
    reason: String,
    replica_map: BTreeMap<u32, Vec<i32>>,
}

impl From<Topic> for TopicDocument {
    fn from(Topic { name, spec, status }: Topic) -> Self {
        let TopicStatus { resolution, reason, replica_map } = status;
        let assignment = spec.assignment.map(|maps| {
            maps.into_iter().map(|map| Assignment { partition: map.partition, replicas: map.replicas }).collect()
        });
        Self {
            name,
            spec: SpecDocument {
                partitions: spec.partitions,
                replication: spec.replication,
                ignore_rack: spec.ignore_rack,
                assignment,
                retention_seconds: spec.retention_seconds,
                segment_size: spec.segment_size,
                max_partition_size: spec.max_partition_size,
                compression: spec.compression,
                system: spec.system,
            },
            status: StatusDocument { resolution, reason, replica_map },
        }
    }
}

#[derive(Debug, PartialEq)]
enum Call {
    CreateTopic(CreateTopic),
    ListTopics(ListTopics),
    GetTopic(GetTopic),
    DeleteTopic(DeleteTopic),
}

impl Call {
    fn parse(method: &str, document: &[u8]) -> Result<Self> {
        fn read<T: DeserializeOwned>(method: &str, document: &[u8]) -> Result<T> {
            let wrong =
                |why: &dyn std::fmt::Display| Error::invalid(format!("the document of {method} is wrong: {why}"));
            // An array of the fields' values would pass, and depend on their order.
            if document.trim_ascii_start().first() == Some(&b'[') {
                return Err(wrong(&"it must be an object"));
            }
            serde_json::from_slice(document).map_err(|cause| wrong(&cause))
        }
        Ok(match method {
            "topics.create" => Self::CreateTopic(read(method, document)?),
            "topics.list" => Self::ListTopics(read(method, document)?),
            "topics.get" => Self::GetTopic(read(method, document)?),
            "topics.delete" => Self::DeleteTopic(read(method, document)?),
            other => {
                return Err(Error::invalid(format!(
                    "method is \"{other}\": it must be topics.create, topics.list, topics.get or topics.delete"
                )));
            }
        })
    }

    async fn run(self, client: &ClientObject) -> Result<Vec<u8>> {
        let client = &client.client;
        match self {
            Self::CreateTopic(call) => {
                let flags = CreateFlags { dry_run: call.dry_run, exist_ok: call.exist_ok, wait_ready: call.wait_ready };
                let assignment = call.assignment.map(|maps| {
                    let plain =
                        |map: Assignment| PartitionAssignment { partition: map.partition, replicas: map.replicas };
                    maps.into_iter().map(plain).collect()
                });
                let spec = TopicSpec {
                    partitions: call.partitions,
                    replication: call.replication,
                    ignore_rack: call.ignore_rack,
                    assignment,
                    retention_seconds: call.retention_seconds,
                    segment_size: call.segment_size,
                    max_partition_size: call.max_partition_size,
                    compression: call.compression,
                    system: false,
                };
                json(&TopicDocument::from(client.create_topic(&call.name, spec, flags).await?))
            }
            Self::ListTopics(call) => {
                let topics = client.list_topics(call.name_contains.as_deref(), call.system).await?;
                json(&topics.into_iter().map(TopicDocument::from).collect::<Vec<_>>())
            }
            Self::GetTopic(call) => json(&TopicDocument::from(client.get_topic(&call.name).await?)),
            Self::DeleteTopic(call) => {
                client.delete_topic(&call.name, call.force, call.missing_ok).await?;
                json(&())
            }
        }
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|cause| Error::internal(format!("a document cannot be written: {cause}")))
}

/// Calls an administrative method with a JSON document, as `docs/admin-json.md` describes; `binary` goes beside it where a
/// method takes bytes, else it must be empty. All are read before it returns. Result: `flv_buffer_t *` with JSON, owned by
/// whoever drains. Any thread.
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
        let client = handle::client(client)?;
        client.usable()?;
        let method = method.text("method")?;
        let call = Call::parse(method, document.bytes("document")?)?;
        if !binary.bytes("binary")?.is_empty() {
            return Err(Error::invalid(format!("binary has {} bytes: {method} takes none", binary.len)));
        }
        let request = Request { timeout_ms, queue, token, operation };
        let late = overdue(Phase::Admin, "the administrative call");
        operation::start(Arc::clone(&client.runtime), &request, late, async move {
            Ok(Done::object(Object::Buffer(client.while_open(call.run(&client)).await?.into())))
        })?;
        Ok(OK)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use fluvio_cffi_engine::ErrorKind;
    use serde_json::Value;

    use super::*;

    /// The examples of the documentation: what each is of, and the document.
    fn examples() -> Vec<(&'static str, &'static str)> {
        let documentation = include_str!("../../../docs/admin-json.md");
        let blocks = documentation.split("```json ").skip(1);
        blocks.map(|block| block.split_once("```").unwrap().0.split_once('\n').unwrap()).collect()
    }

    fn example(of: &str) -> &'static str {
        examples().into_iter().find(|(name, _)| *name == of).unwrap().1
    }

    #[test]
    fn the_examples_show_all_fields_with_their_defaults() {
        for (method, least) in
            [("topics.list", "{}"), ("topics.get", r#"{"name": "orders"}"#), ("topics.delete", r#"{"name": "orders"}"#)]
        {
            let shown = Call::parse(method, example(method).as_bytes()).unwrap();
            assert_eq!(shown, Call::parse(method, least.as_bytes()).unwrap(), "{method}");
            // All of them: leaving one out must leave a document without it.
            let fields = serde_json::from_str::<Value>(example(method)).unwrap().as_object().unwrap().len();
            let known = format!("{shown:?}").matches(": ").count();
            assert_eq!(fields, known, "{method}: the documentation shows {fields} fields, there are {known}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (method, document, named) in [
            ("topics.create", r#"{"name": "a", "partitons": 2}"#, "`partitons`"),
            ("topics.create", r#"{"name": "a", "partitions": -1}"#, "-1"),
            ("topics.create", r#"{"name": "a", "partitions": "2"}"#, "\"2\""),
            ("topics.create", r#"{"name": "a", "assignment": [{"partition": 0}]}"#, "`replicas`"),
            ("topics.create", "{}", "`name`"),
            ("topics.get", r#"{"name": null}"#, "null"),
            ("topics.get", r#"{"name": "a", "name": "b"}"#, "`name`"),
            ("topics.list", r#"{"system": 1}"#, "`1`"),
            ("topics.list", "", "EOF"),
            ("topics.list", "{} {}", "trailing"),
            ("topics.list", "\u{feff}{}", "value"),
            ("topics.get", r#" ["orders"]"#, "object"),
            ("topics.rename", "{}", "topics.rename"),
        ] {
            let error = Call::parse(method, document.as_bytes()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidArgument);
            assert!(error.message.contains(named), "{method} {document}: {}", error.message);
        }
        assert!(Call::parse("topics.list", b"{\"name_contains\": \"\xff\"}").is_err());
        // Nested so deeply that a parser without a limit would run out of stack.
        assert!(Call::parse("topics.list", "[".repeat(1_000_000).as_bytes()).is_err());
    }
}
