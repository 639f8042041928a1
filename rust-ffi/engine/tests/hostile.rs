//! Servers that lie: whatever they send, calls end in time with an error that says what it is, memory is bounded by
//! what has arrived, other connections are served on, and the client works again when the server is well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fluvio_cffi_cluster::{Cluster, Config};
use fluvio_cffi_engine::admin::*;
use fluvio_cffi_engine::{
    Client, ClientOptions, ClientState, ConsumerOptions, Delivery, Error, ErrorKind, ProducerOptions, Start, Take,
};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};

const PRODUCE: u16 = 0;
const FETCH_OFFSETS: u16 = 1002;
const STREAM_FETCH: u16 = 1003;
const UPDATE_CONSUMER_OFFSET: u16 = 1006;
const FETCH_CONSUMER_OFFSETS: u16 = 1008;
const VERSIONS: u16 = 18;
const LIST: u16 = 1003;
const WATCH: u16 = 1004;

/// How long a call about offsets, or the opening of a consumer, may take.
const LIMIT: Option<Duration> = Some(Duration::from_secs(2));

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("in time")
}

/// What becomes of a request.
#[derive(Clone)]
enum Lie {
    /// It is passed on.
    No,
    /// This is sent instead of an answer, and nothing is passed on.
    Bytes(Vec<u8>),
    /// This is sent again and again for as long as the client takes it.
    Flood(Vec<u8>),
    /// It is passed on, and this is the body of the answer.
    Body(Vec<u8>),
}

type Lies = Arc<Mutex<Box<dyn FnMut(u16, &[u8]) -> Lie + Send>>>;

/// Stands before a server and lies about its answers.
struct Liar {
    address: SocketAddr,
    lies: Lies,
    /// Bytes of floods that were taken.
    flooded: Arc<AtomicUsize>,
}

impl Liar {
    async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let liar = Self {
            address: listener.local_addr().unwrap(),
            lies: Arc::new(Mutex::new(Box::new(|_, _| Lie::No))),
            flooded: Arc::default(),
        };
        let (lies, flooded) = (Arc::clone(&liar.lies), Arc::clone(&liar.flooded));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, server, Arc::clone(&lies), Arc::clone(&flooded)));
            }
        });
        liar
    }

    /// Lies from now on: `lie` is told the key of each request, and the request.
    fn lie(&self, lie: impl FnMut(u16, &[u8]) -> Lie + Send + 'static) {
        *self.lies.lock().unwrap() = Box::new(lie);
    }

    /// To each request with this key, from now on.
    fn answer(&self, key: u16, lie: Lie) {
        self.lie(move |of, _| if of == key { lie.clone() } else { Lie::No });
    }

    fn be_honest(&self) {
        self.lie(|_, _| Lie::No);
    }
}

async fn frame(from: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut frame = vec![0; from.read_u32().await? as usize];
    from.read_exact(&mut frame).await?;
    Ok(frame)
}

fn framed(frame: &[u8]) -> Vec<u8> {
    [&(frame.len() as u32).to_be_bytes()[..], frame].concat()
}

/// One connection. Replies are passed on as they come, but for those with a body to be told instead.
async fn serve(client: TcpStream, server: SocketAddr, lies: Lies, flooded: Arc<AtomicUsize>) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let server = TcpStream::connect(server).await?;
    server.set_nodelay(true)?;
    let (mut requests, to_client) = client.into_split();
    let (mut replies, mut to_server) = server.into_split();
    let to_client = Arc::new(tokio::sync::Mutex::new(to_client));
    let bodies: Arc<Mutex<HashMap<Vec<u8>, Vec<u8>>>> = Arc::default();
    let forward = async {
        let (to_client, bodies) = (Arc::clone(&to_client), Arc::clone(&bodies));
        loop {
            let mut reply = frame(&mut replies).await?;
            let lie = bodies.lock().unwrap().remove(&reply[..4]);
            if let Some(body) = lie {
                reply.truncate(4);
                reply.extend(body);
            }
            to_client.lock().await.write_all(&framed(&reply)).await?;
        }
    };
    let listen = async {
        loop {
            let request = frame(&mut requests).await?;
            let key = u16::from_be_bytes([request[0], request[1]]);
            let lie = (*lies.lock().unwrap())(key, &request);
            match lie {
                Lie::No => {}
                Lie::Body(body) => drop(bodies.lock().unwrap().insert(request[4..8].to_vec(), body)),
                Lie::Bytes(bytes) => {
                    to_client.lock().await.write_all(&bytes).await?;
                    continue;
                }
                Lie::Flood(bytes) => flood(&mut *to_client.lock().await, &bytes, &flooded).await?,
            }
            to_server.write_all(&framed(&request)).await?;
        }
    };
    let ended: std::io::Result<()> = tokio::select! {
        ended = forward => ended,
        ended = listen => ended,
    };
    ended
}

async fn flood(to: &mut OwnedWriteHalf, bytes: &[u8], flooded: &AtomicUsize) -> std::io::Result<()> {
    let piece = bytes.repeat((1 << 20) / bytes.len());
    loop {
        to.write_all(&piece).await?;
        flooded.fetch_add(piece.len(), Ordering::Relaxed);
    }
}

/// A small frame with a number that nobody has given.
fn stray() -> Vec<u8> {
    framed(&999_999_i32.to_be_bytes())
}

/// Error code 6004 with a record of 2^`bits` bytes, and zeros.
fn large_record(bits: u32) -> Vec<u8> {
    let mut bytes = [&6004_i16.to_be_bytes()[..], &[0, 0], &[0; 8], &[0, 0]].concat();
    let mut zigzag = 1_u128 << (bits + 1);
    while zigzag >= 0x80 {
        bytes.push(0x80 | zigzag as u8 & 0x7f);
        zigzag >>= 7;
    }
    bytes.push(zigzag as u8);
    bytes.extend([0; 60]);
    bytes
}

fn options(endpoint: SocketAddr) -> ClientOptions {
    ClientOptions {
        tls: None,
        connect_timeout: Some(Duration::from_secs(5)),
        wait: None,
        endpoint: Some(endpoint.to_string()),
        profile: None,
        client_id: None,
        use_spu_local_address: None,
        request_timeout: Duration::from_millis(500),
        admin_timeout: Duration::from_secs(2),
        probe_interval: Duration::from_millis(300),
        owner: 0,
    }
}

/// Connecting with the deadline that a caller would have.
async fn connect_within(endpoint: SocketAddr, limit: Duration) -> Result<Client, Error> {
    let connecting = tokio::time::timeout(limit, Client::connect(options(endpoint)));
    connecting.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "too late")))
}

/// A cluster, liars before its SC and its SPU, and a client.
struct Stage {
    cluster: Cluster,
    sc: Liar,
    spu: Liar,
    client: Client,
}

impl Stage {
    async fn new() -> Self {
        let cluster = Cluster::start(Config::default()).await.unwrap();
        let (sc, spu) = (Liar::before(cluster.endpoint()).await, Liar::before(cluster.spu_endpoint()).await);
        cluster.control(&format!("advertise 5001 127.0.0.1 {}", spu.address.port())).await.unwrap();
        let client = Client::connect(options(sc.address)).await.unwrap();
        client.admin(None).create_topic("t", spec(1), CREATE, true).await.unwrap();
        let stage = Self { cluster, sc, spu, client };
        stage.works().await;
        stage
    }

    /// A record goes there and comes back.
    async fn works(&self) {
        let works = async {
            let (producer, tickets) = producer(&self.client, "t", ProducerOptions::default()).await;
            let runs = submit(&producer, &numbered(0..1, 9)).await;
            producer.flush().await.unwrap();
            let offset = tickets.offset(&runs[0]);
            let start = ConsumerOptions { start: Some(Start::At(offset)), ..ConsumerOptions::default() };
            let consumer = consumer(&self.client, "t", start).await;
            assert_eq!(read(&consumer, 1).await[0].0, offset);
            assert!(!self.client.admin(None).topics(None, false).await.unwrap().is_empty());
        };
        tokio::time::timeout(Duration::from_secs(20), works).await.expect("it works in time");
    }

    async fn open(&self, options: ConsumerOptions) -> Result<fluvio_cffi_engine::Consumer, Error> {
        self.client.consumer("t", options, Arc::new(Plainly), LIMIT).await
    }

    /// A consumer from the beginning.
    async fn reads(&self) -> Result<(), Error> {
        let options = ConsumerOptions {
            start: Some(Start::Beginning(0)),
            probe_interval: Duration::from_millis(300),
            ..ConsumerOptions::default()
        };
        let consumer = self.open(options).await?;
        loop {
            match consumer.take()? {
                Take::Chunk(_) => return Ok(()),
                Take::Empty => consumer.ready().await,
                Take::End | Take::Changed => panic!("it does not end"),
            }
        }
    }

    async fn commits(&self) -> Result<(), Error> {
        let options = ConsumerOptions { consumer_id: Some("me".to_owned()), ..ConsumerOptions::default() };
        self.open(options).await?.commit(&[(0, 0)], LIMIT).await
    }

    async fn produces(&self, delivery: Delivery) -> Result<(), Error> {
        let delivery_timeout = Duration::from_secs(2);
        let options = ProducerOptions { delivery, delivery_timeout, ..ProducerOptions::default() };
        let (producer, tickets) = producer(&self.client, "t", options).await;
        let runs = submit(&producer, &numbered(0..1, 9)).await;
        producer.flush().await.unwrap();
        let outcome = tickets.0.lock().unwrap()[&runs[0].ticket].clone();
        outcome.result.map(|_| ())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_sc_whose_first_frame_is_none() {
    within(async {
        let cluster = cluster().await;
        let sc = Liar::before(cluster.endpoint()).await;
        let lengths = [-1, -2, -3, -4, -5, 0, 1, 2, 3, i32::MIN, i32::MAX, 300 << 20];
        let lies = lengths.iter().map(|length: &i32| [&length.to_be_bytes()[..], b"abcdefgh"].concat());
        let other = [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"SSH-2.0-OpenSSH_9.6\r\n"];
        for lie in lies.chain(other.into_iter().map(<[u8]>::to_vec)) {
            sc.answer(VERSIONS, Lie::Bytes(lie.clone()));
            let begun = Instant::now();
            let error = connect_within(sc.address, Duration::from_secs(2)).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Version, "{lie:?}: {error}");
            assert!(begun.elapsed() < Duration::from_secs(1), "{lie:?}");
        }
        sc.be_honest();
        connect_within(sc.address, Duration::from_secs(2)).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_sc_that_sends_without_end() {
    within(async {
        let stage = Stage::new().await;
        let flood = |head: &[u8]| Lie::Flood([head, &[0; 1000]].concat());
        let endless: [&[u8]; 4] = [
            &(-5_i32).to_be_bytes(),
            &i32::MAX.to_be_bytes(),
            &(200_i32 << 20).to_be_bytes(),
            &[0, 0, 0, 4, 0, 9, 9, 9],
        ];
        for head in endless {
            for key in [VERSIONS, LIST, WATCH] {
                stage.sc.flooded.store(0, Ordering::Relaxed);
                stage.sc.answer(key, flood(head));
                let begun = Instant::now();
                let error = match key {
                    VERSIONS => connect_within(stage.sc.address, Duration::from_secs(2)).await.map(|_| ()),
                    LIST => stage.client.admin(None).topics(None, false).await.map(|_| ()),
                    _ => stage.client.admin(None).watch(Watchable::Topics).await.map(|_| ()),
                };
                let error = error.unwrap_err();
                assert_eq!(error.kind, ErrorKind::Version, "{key}: {error}");
                assert!(begun.elapsed() < Duration::from_secs(2));
                // What the kernel holds for a socket, not what this process does.
                assert!(stage.sc.flooded.load(Ordering::Relaxed) < 32 << 20);
                stage.sc.be_honest();
            }
        }
        stage.works().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_announces_a_record_too_large_for_any_memory() {
    within(async {
        let stage = Stage::new().await;
        for bits in [20, 31, 34, 40, 45, 61, 62, 70] {
            let code = large_record(bits);
            let around = |before: &[u8]| Lie::Body([before, &code].concat());
            let name = &[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1];

            stage.spu.answer(PRODUCE, around(&[&name[..], &[0; 4]].concat()));
            let error = stage.produces(Delivery::AtMostOnce).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::DeliveryUnknown, "{error}");
            let error = stage.produces(Delivery::AtLeastOnce).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Timeout, "{error}");

            stage.spu.answer(FETCH_OFFSETS, around(name));
            assert_eq!(stage.reads().await.unwrap_err().kind, ErrorKind::Version);

            stage.spu.answer(STREAM_FETCH, around(&[&[0, 1, b't'][..], &[0; 8]].concat()));
            assert_eq!(stage.reads().await.unwrap_err().kind, ErrorKind::Version);
            assert_eq!(stage.commits().await.unwrap_err().kind, ErrorKind::Version);

            stage.spu.answer(UPDATE_CONSUMER_OFFSET, around(&[0; 8]));
            assert_eq!(stage.commits().await.unwrap_err().kind, ErrorKind::Version);
            stage.spu.answer(FETCH_CONSUMER_OFFSETS, around(&[]));
            assert_eq!(stage.commits().await.unwrap_err().kind, ErrorKind::Version);

            // The SC: in answer to a create, and to the question for versions.
            stage.sc.answer(1001, around(&[0, 0]));
            let (admin, mirror) = (stage.client.admin(None), MirrorSpec::Remote(MirrorRemote { id: None }));
            let error = admin.create_mirror(&format!("m{bits}"), mirror, CREATE).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Version);
            stage.sc.answer(VERSIONS, around(&[]));
            let error = connect_within(stage.sc.address, Duration::from_secs(2)).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Version);
            stage.sc.be_honest();
            stage.spu.be_honest();
        }
        stage.works().await;
    })
    .await;
}

/// A topic with a duration that is none.
fn bad_topic() -> Vec<u8> {
    let replicas = [&[1][..], &[0, 0, 0, 1, 0, 0, 0, 1, 0]].concat();
    let age = [&[1][..], &u64::MAX.to_be_bytes(), &u32::MAX.to_be_bytes()].concat();
    let spec = [&replicas[..], &[0, 0, 4], &[1], &[0; 8], &age, &[0, 0, 0, 0], &[0]].concat();
    [&[0, 3, b'b', b'a', b'd'][..], &spec, &[0, 0, 0, 0, 0, 0, 0]].concat()
}

fn listed(objects: &[u8]) -> Vec<u8> {
    [&[0, 5][..], b"Topic", &(objects.len() as u32).to_be_bytes(), objects].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_topic_update_is_no_end() {
    within(async {
        let stage = Stage::new().await;
        let one = 1_i32.to_be_bytes();
        // In a list it is the end of that call.
        stage.sc.answer(LIST, Lie::Body(listed(&[&one[..], &bad_topic()].concat())));
        let error = stage.client.admin(None).topics(None, false).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Version, "{error}");
        stage.sc.be_honest();
        assert_eq!(stage.client.state(), ClientState::Connected);

        // In the client's own watch it is the end of that connection.
        let watch = stage.client.admin(None).watch(Watchable::Topics).await.unwrap();
        let update = listed(&[&[0; 8][..], &one, &[0], &bad_topic(), &[0; 4]].concat());
        let told = Arc::new(AtomicUsize::new(0));
        stage.sc.lie({
            let told = Arc::clone(&told);
            move |key, request| {
                // Twice, at most: then it is well.
                let topics = key == WATCH && request.windows(5).any(|name| name == b"Topic");
                if topics && told.fetch_add(1, Ordering::SeqCst) < 2 {
                    let reply = [&request[4..8], &update].concat();
                    return Lie::Bytes(framed(&reply));
                }
                Lie::No
            }
        });
        stage.cluster.control("sc reset").await.unwrap();
        while told.load(Ordering::SeqCst) < 3 || stage.client.state() != ClientState::Connected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stage.client.admin(None).create_topic("later", spec(1), CREATE, true).await.unwrap();
        stage.works().await;
        // A watch goes on, or says what was wrong.
        let error = loop {
            match watch.take() {
                Ok(Some(change))
                    if change.items.iter().any(|it| matches!(it, Object::Topic(t) if t.name == "later")) =>
                {
                    break None;
                }
                Ok(_) => watch.ready().await,
                Err(error) => break Some(error),
            }
        };
        assert!(error.is_none_or(|error| error.kind == ErrorKind::Version));
    })
    .await;
}

/// What is done beside is served all the while.
async fn beside<T>(stage: &Stage, work: impl Future<Output = T>) -> T {
    let endpoint = stage.cluster.endpoint();
    let other = async {
        let client = Client::connect(options(endpoint)).await.unwrap();
        loop {
            let begun = Instant::now();
            client.admin(None).topics(None, false).await.unwrap();
            assert!(begun.elapsed() < Duration::from_secs(1), "another client is served");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        done = work => done,
        never = other => never,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_spu_that_sends_what_nobody_asked_for() {
    within(async {
        let stage = Stage::new().await;
        for key in [VERSIONS, PRODUCE, FETCH_OFFSETS, STREAM_FETCH, UPDATE_CONSUMER_OFFSET, FETCH_CONSUMER_OFFSETS] {
            stage.spu.flooded.store(0, Ordering::Relaxed);
            stage.spu.answer(key, Lie::Flood(stray()));
            let begun = Instant::now();
            // The deadlines are those of callers.
            let limit = Duration::from_secs(3);
            let work = async {
                match key {
                    VERSIONS => stage.produces(Delivery::AtLeastOnce).await,
                    PRODUCE => stage.produces(Delivery::AtMostOnce).await,
                    FETCH_OFFSETS | STREAM_FETCH => stage.reads().await,
                    _ => stage.commits().await,
                }
            };
            let done = beside(&stage, tokio::time::timeout(limit, work)).await;
            assert!(begun.elapsed() < limit + Duration::from_millis(500), "{key}: {:?}", begun.elapsed());
            let error = done.expect("cut off, not waited for").unwrap_err();
            let kinds = [ErrorKind::Version, ErrorKind::Timeout, ErrorKind::DeliveryUnknown, ErrorKind::Connection];
            assert!(kinds.contains(&error.kind), "{key}: {error}");
            // Some go through before the producer's attempts are over; none for as long as the peer likes.
            assert!(stage.spu.flooded.load(Ordering::Relaxed) < 256 << 20);
            stage.spu.be_honest();
        }
        stage.works().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_goes_on_unasked() {
    within(async {
        let stage = Stage::new().await;
        // Whole replies without a record. Each is acknowledged, which this peer neither waits for nor reads.
        stage.spu.lie(|key, request| match key {
            STREAM_FETCH => {
                let body = [&[0, 1, b't'][..], &[0, 0, 0, 1], &[0; 4], &[0; 2], &[0; 24], &[0], &[0; 4]].concat();
                Lie::Flood(framed(&[&request[4..8], &body].concat()))
            }
            _ => Lie::No,
        });
        let before = stage.client.metrics().reconnects;
        let given_up = async {
            while stage.client.metrics().reconnects == before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let reads = async {
            tokio::select! {
                read = stage.reads() => assert_eq!(read.unwrap_err().kind, ErrorKind::Version),
                () = given_up => {}
            }
        };
        // What waits to be read by the peer is bounded: it does not get anything more.
        beside(&stage, reads).await;
        stage.spu.be_honest();
        stage.works().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_spu_is_given_up_however_often_the_producer_is_called() {
    within(async {
        let stage = Stage::new().await;
        stage.spu.answer(PRODUCE, Lie::Bytes(Vec::new()));
        let options = ProducerOptions { delivery_timeout: Duration::from_secs(2), ..ProducerOptions::default() };
        let (producer, tickets) = producer(&stage.client, "t", options).await;
        submit(&producer, &numbered(0..1, 9)).await;
        // Each call wakes the sender.
        while producer.pending().0 > 0 {
            tokio::task::yield_now().await;
        }
        stage.spu.be_honest();
        let runs = submit(&producer, &numbered(1..2, 9)).await;
        producer.flush().await.unwrap();
        tickets.offset(&runs[0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_opens_while_its_client_closes_is_closed() {
    within(async {
        let cluster = cluster().await;
        for round in 0..150 {
            let client = connect(&cluster.endpoint().to_string()).await;
            let watches: Vec<_> = (0..4)
                .map(|_| {
                    let client = client.clone();
                    tokio::spawn(async move { client.admin(None).watch(Watchable::Topics).await.map(|_| ()) })
                })
                .collect();
            tokio::time::sleep(Duration::from_micros(20 * round)).await;
            client.close().await;
            for watch in watches {
                if let Err(error) = watch.await.unwrap() {
                    assert_eq!(error.kind, ErrorKind::Closed, "{error}");
                }
            }
        }
    })
    .await;
}
