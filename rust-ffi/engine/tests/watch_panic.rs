//! A panic in the task of a watch. Alone in its process: the next watch that takes a turn panics, whosever it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use fluvio_cffi_engine::admin::{ChangeKind, Object, Watchable};
use fluvio_cffi_engine::{ErrorKind, TaskKind, arm_panic, install_panic_hook};
use support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn is_an_error_of_that_watch_alone_and_not_its_end() {
    let run = async {
        install_panic_hook();
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        let admin = client.admin(None);
        let watch = admin.watch(Watchable::Topics).await.unwrap();
        arm_panic(TaskKind::Watch);
        admin.create_topic("t", spec(1), CREATE, true).await.unwrap();
        let error = loop {
            match watch.take() {
                Ok(_) => watch.ready().await,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind, ErrorKind::Internal);
        // It has begun anew, and tells everything.
        let change = loop {
            match watch.take().unwrap() {
                Some(change) => break change,
                None => watch.ready().await,
            }
        };
        let names: Vec<_> =
            change.items.iter().map(|it| if let Object::Topic(t) = it { &*t.name } else { "" }).collect();
        assert_eq!((change.kind, names.contains(&"t")), (ChangeKind::Snapshot, true));
        let another = admin.watch(Watchable::Topics).await.unwrap();
        assert!(another.take().unwrap().is_some());
    };
    tokio::time::timeout(Duration::from_secs(30), run).await.expect("in time");
}
