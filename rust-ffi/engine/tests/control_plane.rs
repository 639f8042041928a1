//! Deadlines, watches, and an SC that is away, silent or not to be understood.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fluvio_cffi_cluster::Cluster;
use fluvio_cffi_engine::admin::*;
use fluvio_cffi_engine::{Client, CreateFlags, ErrorKind, Outcome, Phase, ProducerOptions};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn within(work: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("in time");
}

/// The next change of a watch.
async fn next(watch: &Watch) -> Change {
    loop {
        match watch.take().unwrap() {
            Some(change) => return change,
            None => watch.ready().await,
        }
    }
}

fn name(object: &Object) -> &str {
    match object {
        Object::Topic(topic) => &topic.name,
        Object::Partition(partition) => &partition.topic,
        Object::Spu(spu) => &spu.name,
        Object::SpuGroup(group) => &group.name,
        Object::SmartModule(module) => &module.name,
        Object::TableFormat(format) => &format.name,
        Object::Cluster(status) => &status.endpoint,
    }
}

fn names(change: &Change) -> Vec<&str> {
    change.items.iter().map(name).collect()
}

/// Follows changes until one of `kind` tells of `wanted`.
async fn until(watch: &Watch, kind: ChangeKind, wanted: &str) -> Change {
    loop {
        let change = next(watch).await;
        if change.kind == kind && names(&change).contains(&wanted) {
            return change;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_tells_everything_and_then_what_becomes_of_it() {
    within(async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        let admin = client.admin(None);
        admin.create_topic("before", spec(1), CREATE, true).await.unwrap();
        let watch = admin.watch(Watchable::Topics).await.unwrap();
        let first = watch.take().unwrap().expect("the first state is there at once");
        assert_eq!((first.kind, names(&first)), (ChangeKind::Snapshot, vec!["before", "consumer-offset"]));
        assert_eq!(watch.take().unwrap(), None);
        let created = admin.create_topic("during", spec(1), CREATE, true).await.unwrap();
        loop {
            // A wait that is given up loses nothing.
            let _ = tokio::time::timeout(Duration::from_micros(50), watch.ready()).await;
            let Some(change) = watch.take().unwrap() else { continue };
            assert_eq!((change.kind, names(&change).iter().all(|name| *name == "during")), (ChangeKind::Updated, true));
            if change.items.last() == Some(&Object::Topic(created.clone())) {
                break;
            }
        }
        admin.delete_topic("during", false, false).await.unwrap();
        until(&watch, ChangeKind::Deleted, "during").await;
        watch.close().await;
        watch.ready().await;
        assert_eq!(watch.take().unwrap_err().kind, ErrorKind::Closed);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_can_be_watched_is() {
    within(async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        let admin = client.admin(None);
        let open = async |what| {
            let watch = admin.watch(what).await.unwrap();
            assert_eq!(next(&watch).await.kind, ChangeKind::Snapshot);
            watch
        };
        let (partitions, spus) = (open(Watchable::Partitions).await, open(Watchable::Spus).await);
        let (groups, formats) = (open(Watchable::SpuGroups).await, open(Watchable::TableFormats).await);
        let (modules, whole) = (open(Watchable::SmartModules).await, open(Watchable::Cluster).await);
        admin.create_topic("t", spec(1), CREATE, true).await.unwrap();
        until(&partitions, ChangeKind::Updated, "t").await;
        admin.create_spu_group("g", SpuGroupSpec::default(), CREATE).await.unwrap();
        until(&groups, ChangeKind::Updated, "g").await;
        admin.create_table_format("f", TableFormatSpec::default(), CREATE).await.unwrap();
        until(&formats, ChangeKind::Updated, "f").await;
        admin.create_smartmodule(Some("m"), SmartModuleSpec::default(), b"\0asm", CREATE, false).await.unwrap();
        until(&modules, ChangeKind::Updated, "m").await;
        admin.delete_smartmodule("m", false).await.unwrap();
        until(&modules, ChangeKind::Deleted, "m").await;
        loop {
            let Change { kind, mut items } = next(&whole).await;
            assert_eq!((kind, items.len()), (ChangeKind::Updated, 1));
            let Some(Object::Cluster(status)) = items.pop() else { panic!("{kind:?}") };
            if status == admin.cluster_status().await.unwrap() && status.topics == 2 {
                break;
            }
        }
        cluster.control("kill-spu 5001").await.unwrap();
        let offline = until(&spus, ChangeKind::Updated, "custom-spu-5001").await;
        assert!(matches!(&offline.items[..], [Object::Spu(spu)] if spu.status.resolution == SpuResolution::Offline));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_after_a_lost_connection_and_a_slow_reader_gets_a_snapshot() {
    within(async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        let admin = client.admin(None);
        let watch = admin.watch(Watchable::Topics).await.unwrap();
        next(&watch).await;
        for round in 0..3 {
            cluster.control(if round == 1 { "sc reset" } else { "sc kill" }).await.unwrap();
            if round != 1 {
                cluster.control("sc start").await.unwrap();
            }
            let topic = format!("round-{round}");
            let create =
                async || client.admin(Some(Duration::from_secs(5))).create_topic(&topic, spec(1), CREATE, true).await;
            while let Err(error) = create().await {
                assert!(matches!(error.kind, ErrorKind::Connection | ErrorKind::AlreadyExists), "{error:?}");
            }
            // With a snapshot first, since what came in between is not known.
            let mut seen = next(&watch).await;
            assert_eq!(seen.kind, ChangeKind::Snapshot);
            while !names(&seen).contains(&topic.as_str()) {
                seen = next(&watch).await;
            }
            while watch.take().unwrap().is_some() {}
        }
        // Nobody reads: what waits does not grow.
        let partitions = admin.watch(Watchable::Partitions).await.unwrap();
        next(&partitions).await;
        admin.create_topic("many", spec(600), CREATE, true).await.unwrap();
        let change = loop {
            // 600 partitions, each new and then online, are more than are kept.
            let change = next(&partitions).await;
            if change.kind == ChangeKind::Snapshot {
                break change;
            }
            admin.delete_topic("many", false, true).await.unwrap();
            admin.create_topic("many", spec(600), CREATE, true).await.unwrap();
        };
        assert!(names(&change).contains(&"many"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_ends_with_its_client() {
    within(async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        let watch = client.admin(None).watch(Watchable::Spus).await.unwrap();
        next(&watch).await;
        let waiting = tokio::spawn(async move {
            watch.ready().await;
            watch.take().unwrap_err().kind
        });
        client.close().await;
        assert_eq!(waiting.await.unwrap(), ErrorKind::Closed);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_end_by_their_deadline_and_the_next_one_works() {
    within(async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        let short = || client.admin(Some(Duration::from_millis(300)));
        for _ in 0..3 {
            cluster.control("sc stall on").await.unwrap();
            let begun = Instant::now();
            let listed = short().topics(None, false).await.unwrap_err();
            let created = short().create_topic("stalled", spec(1), CREATE, true).await.unwrap_err();
            let deleted = short().delete_mirror("stalled", false).await.unwrap_err();
            let opened = short().watch(Watchable::Topics).await.unwrap_err();
            for error in [listed, created, deleted, opened] {
                assert_eq!((error.kind, error.phase), (ErrorKind::Timeout, Phase::Admin), "{error}");
            }
            assert!(begun.elapsed() < Duration::from_secs(10));
            let now = client.admin(Some(Duration::ZERO)).topics(None, false).await.unwrap_err();
            assert_eq!(now.kind, ErrorKind::Timeout);
            cluster.control("sc stall off").await.unwrap();
            client.admin(Some(Duration::from_secs(10))).topics(None, false).await.unwrap();

            cluster.control("sc kill").await.unwrap();
            let begun = Instant::now();
            let listed = short().topics(None, false).await.unwrap_err();
            let deleted = short().delete_topic("t", false, false).await.unwrap_err();
            assert!(begun.elapsed() < Duration::from_secs(5));
            assert_eq!((listed.outcome, deleted.outcome), (Outcome::None, Outcome::NotWritten));
            for error in [listed, deleted] {
                assert_eq!(
                    (error.kind, error.phase, error.retriable),
                    (ErrorKind::Timeout, Phase::Admin, true),
                    "{error}"
                );
                assert!(error.message.contains("the last attempt: ") && error.message.contains("refused"), "{error}");
                assert!(error.os_error.is_some());
            }
            cluster.control("sc start").await.unwrap();
            client.admin(Some(Duration::from_secs(10))).topics(None, false).await.unwrap();

            // Back before anybody asked: nobody notices.
            for gone in ["sc reset", "sc kill"] {
                cluster.control(gone).await.unwrap();
                if gone == "sc kill" {
                    cluster.control("sc start").await.unwrap();
                }
                client.admin(Some(Duration::from_secs(10))).topics(None, false).await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_sc_that_comes_and_goes_ends_every_call_in_time() {
    within(async {
        let cluster = cluster().await;
        let client = connect(&cluster.endpoint().to_string()).await;
        let watch = client.admin(None).watch(Watchable::Topics).await.unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let calls: Vec<_> = (0..4)
            .map(|caller| {
                let (client, over) = (client.clone(), Arc::clone(&over));
                tokio::spawn(async move {
                    let mut good = 0;
                    while !over.load(Ordering::SeqCst) {
                        let (begun, admin) = (Instant::now(), client.admin(Some(Duration::from_millis(500))));
                        let done = match caller {
                            0 => admin.topics(None, false).await.map(drop),
                            1 => admin.cluster_status().await.map(drop),
                            2 => admin.delete_mirror("none", true).await,
                            _ => admin.watch(Watchable::Spus).await.map(drop),
                        };
                        assert!(begun.elapsed() < Duration::from_secs(5), "the machine is slow, but not that slow");
                        match done {
                            Ok(()) => good += 1,
                            Err(error) => {
                                assert!(matches!(error.kind, ErrorKind::Connection | ErrorKind::Timeout), "{error:?}");
                            }
                        }
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                    good
                })
            })
            .collect();
        for round in 0..20 {
            let (gone, back) = if round % 2 == 0 { ("sc kill", "sc start") } else { ("sc stall on", "sc stall off") };
            cluster.control(gone).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20 * (round % 4))).await;
            cluster.control(back).await.unwrap();
            client.admin(Some(Duration::from_secs(10))).topics(None, true).await.unwrap();
        }
        over.store(true, Ordering::SeqCst);
        for call in calls {
            assert!(call.await.unwrap() > 0);
        }
        client.admin(Some(Duration::from_secs(10))).create_topic("after", spec(1), CREATE, true).await.unwrap();
        let mut last = next(&watch).await;
        while !names(&last).contains(&"after") {
            last = next(&watch).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_without_topics_is_no_reason_to_wait() {
    within(async {
        let cluster = cluster().await;
        let endpoint = cluster.endpoint().to_string();
        connect(&endpoint).await.admin(None).delete_topic("consumer-offset", true, false).await.unwrap();
        let begun = Instant::now();
        let client = connect(&endpoint).await;
        let admin = client.admin(None);
        assert!(admin.topics(None, true).await.unwrap().is_empty());
        assert!(admin.consumer_offsets(None, None).await.unwrap().is_empty());
        let watch = admin.watch(Watchable::Topics).await.unwrap();
        let nothing = Change { kind: ChangeKind::Snapshot, items: Vec::new() };
        assert_eq!(watch.take().unwrap(), Some(nothing));
        let error =
            client.producer("nope", ProducerOptions::default(), Arc::new(Tickets::default()), None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::TopicNotFound);
        assert!(begun.elapsed() < Duration::from_secs(5));
    })
    .await;
}

/// Passes everything on between a client and the SC, but for what a test has in store.
struct Between {
    cluster: Cluster,
    /// What the SC tells of topics cannot be read.
    spoil: AtomicBool,
    /// The SPU goes just before the SC hears of a create.
    kill: AtomicBool,
    /// A connection ends in place of the answer to a change.
    cut: AtomicBool,
    /// So it does, and the SC falls silent before it has done it.
    hush: AtomicBool,
}

impl Between {
    /// Begins, and tells its address.
    async fn start(cluster: Cluster) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (spoil, kill, cut, hush) = Default::default();
        let between = Arc::new(Self { cluster, spoil, kill, cut, hush });
        let accepting = Arc::clone(&between);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(accepting.cluster.endpoint()).await.unwrap();
                tokio::spawn(Arc::clone(&accepting).pass_on(client, server));
            }
        });
        (between, address)
    }

    async fn pass_on(self: Arc<Self>, client: TcpStream, server: TcpStream) {
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let answer = AtomicBool::new(true);
        let requests = async {
            loop {
                let frame = frame(&mut from_client).await?;
                let create = frame[..2] == 1001_u16.to_be_bytes();
                if create && self.kill.swap(false, Ordering::SeqCst) {
                    self.cluster.control("kill-spu 5001").await.unwrap();
                }
                // Creates, deletes and updates.
                let change = [1001_u16, 1002, 1006].iter().any(|key| frame[..2] == key.to_be_bytes());
                if change && self.cut.swap(false, Ordering::SeqCst) {
                    answer.store(false, Ordering::SeqCst);
                    if self.hush.load(Ordering::SeqCst) {
                        self.cluster.control("sc stall on").await.unwrap();
                        return pass(&mut to_server, &frame).await;
                    }
                }
                pass(&mut to_server, &frame).await?;
            }
        };
        let replies = async {
            loop {
                let mut frame = frame(&mut from_server).await?;
                if !answer.load(Ordering::SeqCst) {
                    return Ok(());
                }
                // Number, label, length of the body; the body begins with how many there are, or an epoch.
                if self.spoil.load(Ordering::SeqCst) && frame.len() > 30 && frame[4..11] == *b"\0\x05Topic" {
                    frame[30..].fill(0x7f);
                }
                pass(&mut to_client, &frame).await?;
            }
        };
        let _: std::io::Result<()> = tokio::select! {
            ended = requests => ended,
            ended = replies => ended,
        };
    }
}

async fn frame(from: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; from.read_u32().await? as usize];
    from.read_exact(&mut frame).await?;
    Ok(frame)
}

async fn pass(to: &mut (impl AsyncWriteExt + Unpin), frame: &[u8]) -> std::io::Result<()> {
    to.write_u32(frame.len() as u32).await?;
    to.write_all(frame).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_create_holds_nothing_up_and_says_that_the_topic_exists() {
    within(async {
        let (between, address) = Between::start(cluster().await).await;
        let client = connect(&address).await;
        between.kill.store(true, Ordering::SeqCst);
        let slow = tokio::spawn({
            let client = client.clone();
            async move { client.admin(Some(Duration::from_secs(3))).create_topic("slow", spec(1), CREATE, true).await }
        });
        let exists = async || client.admin(None).topics(Some("slow"), false).await.unwrap().len() == 1;
        while !exists().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let begun = Instant::now();
        client.admin(None).create_mirror("edge", MirrorSpec::Remote(MirrorRemote { id: None }), CREATE).await.unwrap();
        client.admin(None).delete_mirror("edge", false).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2));
        assert!(!slow.is_finished(), "it is still waiting");
        let error = slow.await.unwrap().unwrap_err();
        assert_eq!((error.kind, error.phase), (ErrorKind::Timeout, Phase::Admin));
        assert_eq!((error.outcome, error.retriable), (Outcome::Pending, false));
        assert!(error.message.contains("exists"), "{error}");

        // Refused at once, instead of after the server's 90 s, now that it is known.
        let error = client.admin(None).create_topic("other", spec(1), CREATE, true).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidTopic);
        between.cluster.control("start-spu 5001").await.unwrap();

        // When the SC goes meanwhile, nobody says whether it has refused it; but it is there.
        between.kill.store(true, Ordering::SeqCst);
        let lost = tokio::spawn({
            let client = client.clone();
            async move { client.admin(None).create_topic("lost", spec(1), CREATE, true).await }
        });
        while client.admin(None).topics(Some("lost"), false).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        between.cluster.control("sc reset").await.unwrap();
        between.cluster.control("start-spu 5001").await.unwrap();
        assert_eq!(lost.await.unwrap().unwrap().name, "lost");

        // Whoever does not want it to be ready does not wait.
        between.kill.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        let topic = client.admin(None).create_topic("bare", spec(1), CREATE, false).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!(topic.name, "bare");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_fails_that_call_alone() {
    within(async {
        let (between, address) = Between::start(cluster().await).await;
        let client: Client = connect(&address).await;
        let admin = client.admin(None);
        admin.create_topic("t", spec(1), CREATE, true).await.unwrap();
        let watch = admin.watch(Watchable::Topics).await.unwrap();
        next(&watch).await;
        between.spoil.store(true, Ordering::SeqCst);
        let error = admin.topics(None, false).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Version, "{error}");
        assert!(error.message.contains("topic"), "{error}");
        admin.spus(None).await.unwrap();
        let error = admin.watch(Watchable::Topics).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Version, "{error}");
        between.cluster.control("add-partitions t 1").await.unwrap();
        let error = loop {
            match watch.take() {
                Ok(_) => watch.ready().await,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind, ErrorKind::Version, "{error}");
        between.spoil.store(false, Ordering::SeqCst);
        assert_eq!(admin.topic("t").await.unwrap().spec.partitions, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_answer_is_lost_is_made_again_where_that_changes_nothing_more() {
    within(async {
        let (between, address) = Between::start(cluster().await).await;
        let client = connect(&address).await;
        let admin = client.admin(Some(Duration::from_secs(30)));
        let cut = || between.cut.store(true, Ordering::SeqCst);
        let again = CreateFlags { exist_ok: true, ..CREATE };
        let remote = || MirrorSpec::Remote(MirrorRemote { id: None });

        cut();
        assert_eq!(admin.create_topic("t", spec(2), again, true).await.unwrap().name, "t");
        cut();
        assert_eq!(admin.create_mirror("m", remote(), again).await.unwrap().name, "m");
        cut();
        admin.create_smartmodule(Some("s"), SmartModuleSpec::default(), b"\0asm1", again, false).await.unwrap();
        cut();
        admin.create_smartmodule(Some("s"), SmartModuleSpec::default(), b"\0asm22", CREATE, true).await.unwrap();
        assert_eq!(admin.smartmodule("s", true).await.unwrap().1, b"\0asm22");
        cut();
        admin.create_topic("dry", spec(1), CreateFlags { dry_run: true, exist_ok: false }, true).await.unwrap();
        cut();
        admin.delete_topic("t", false, true).await.unwrap();
        cut();
        admin.delete_smartmodule("s", true).await.unwrap();
        assert!(!between.cut.load(Ordering::SeqCst), "each of them was cut");
        assert!(admin.topics(None, false).await.unwrap().is_empty());

        // If there is no other answer in time, the first attempt may have done it.
        between.hush.store(true, Ordering::SeqCst);
        cut();
        let error = client.admin(Some(Duration::from_secs(3))).delete_mirror("none", true).await.unwrap_err();
        between.cluster.control("sc stall off").await.unwrap();
        between.hush.store(false, Ordering::SeqCst);
        let found = (error.kind, error.outcome, error.retriable);
        assert_eq!(found, (ErrorKind::Timeout, Outcome::Unknown, true), "{error}");
        assert!(error.message.contains("an earlier attempt may have done it"), "{error}");

        // The others say that nobody knows; and they were made once. A topic that has appeared is there.
        cut();
        let created = admin.create_topic("once", spec(1), CREATE, true).await;
        assert_eq!(admin.topics(Some("once"), false).await.unwrap().len(), 1);
        cut();
        let added = admin.add_partitions("once", 1, true).await.unwrap_err();
        assert!(added.message.contains("has 1 partitions or 2"), "{added}");
        cut();
        let deleted = admin.delete_mirror("m", false).await.unwrap_err();
        for error in created.err().into_iter().chain([added, deleted]) {
            let found = (error.kind, error.outcome, error.retriable);
            assert_eq!(found, (ErrorKind::Connection, Outcome::Unknown, false), "{error}");
        }
        assert_eq!(admin.topic("once").await.unwrap().spec.partitions, 2);
        assert!(admin.mirrors(None).await.unwrap().is_empty());
    })
    .await;
}
