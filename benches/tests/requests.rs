//! How often a whole request allocates on its thread of the data plane, with a key, policies, a budget, a rate, a price, and an event
//! that is on disk: from its first byte to the last one of its answer.
//!
//! These are bounds from above, no more than what was counted; whoever gets below lowers them. Caller and upstream are sockets of
//! the test's own, on other threads.

#![allow(clippy::unwrap_used, reason = "a test that can't run has failed")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use benches::answers::{beginning, delta, end, message};
use benches::clock::SystemClock;
use benches::{bodies, keys, policies, storing};
use domain::{PriceBook, Prices};
use proxy::{Collector, DataPlane, OnClientDisconnect, Options, Resources, UpstreamOptions};

/// A message of the usual size.
const BODY_BYTES: usize = 1 << 10;
const REQUESTS: u64 = 100;

#[test]
fn a_request_with_a_short_answer() {
    let body = message(200);
    let head = head(
        "application/json",
        &format!("content-length: {}", body.len()),
    );
    let (count, bytes) = a_request(&[Piece::new(&head, &body)]);
    assert!(count <= 47 && bytes <= 59_500, "{count} of {bytes} bytes");
}

/// Each comes by itself, and is allocated once.
#[test]
fn a_streamed_event() {
    let stream = |deltas| {
        let head = head(
            "text/event-stream; charset=utf-8",
            "transfer-encoding: chunked",
        );
        let mut pieces = vec![Piece::new(&head, &chunk(&beginning()))];
        pieces.extend((0..deltas).map(|_| Piece::new(b"", &chunk(&delta(20)))));
        let end = [chunk(&end()), chunk(b"")].concat();
        pieces.push(Piece::new(b"", &end));
        pieces
    };
    let (few, _) = a_request(&stream(10));
    let (many, _) = a_request(&stream(110));
    assert!(few <= 72, "{few}");
    assert!(many - few <= 100, "{} for 100 events", many - few);
}

/// Something that comes through unchanged, with what is sent before it.
#[derive(Debug, Clone)]
struct Piece {
    sent: Vec<u8>,
    seen: Vec<u8>,
}

impl Piece {
    fn new(before: &[u8], seen: &[u8]) -> Self {
        Self {
            sent: [before, seen].concat(),
            seen: seen.to_vec(),
        }
    }

    /// Reads up to its end.
    fn read(&self, stream: &mut TcpStream, received: &mut Vec<u8>) {
        received.clear();
        while !received.ends_with(&self.seen) {
            assert!(
                read(stream, received),
                "{}",
                String::from_utf8_lossy(received)
            );
        }
    }
}

/// Allocations and their bytes, on average.
fn a_request(answer: &[Piece]) -> (u64, u64) {
    // What a connection and a thread take to begin with is in both.
    let few = counted(answer, REQUESTS);
    let many = counted(answer, REQUESTS * 2);
    let per_request = |many, few| (many - few) / REQUESTS;
    (
        per_request(many.count_total, few.count_total),
        per_request(many.bytes_total, few.bytes_total),
    )
}

/// What the data plane's thread allocates in its life, in which it serves so many requests one by one.
fn counted(answer: &[Piece], requests: u64) -> AllocationInfo {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let (ingest, lane) = storing::start_spooling(folder.path(), false);
    let request = request();
    let (send, upstream) = upstream(answer.to_vec(), request.clone());
    let (_collector, errands) = Collector::new();
    let resources = resources(&upstream);
    let (plane, mut servers) =
        DataPlane::prepare(options(), resources, vec![lane], errands).unwrap();
    let server = servers.remove(0);
    let serving = thread::spawn(move || measure(|| server.run()));

    let mut caller = TcpStream::connect(plane.address()).unwrap();
    caller.set_nodelay(true).unwrap();
    let mut received = Vec::new();
    for _ in 0..requests {
        caller.write_all(&request.sent).unwrap();
        for piece in answer {
            send.send(()).unwrap();
            piece.read(&mut caller, &mut received);
        }
    }
    drop(caller);
    plane.begin_shutdown();
    let counted = serving.join().unwrap();
    plane.join();
    // Nobody stores the events: they go with the folder.
    drop(ingest);
    counted
}

/// One that answers every request the same, piece by piece when it is told to.
fn upstream(answer: Vec<Piece>, request: Piece) -> (mpsc::SyncSender<()>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, told) = mpsc::sync_channel(0);
    // It ends when nobody tells it any more.
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut received = Vec::new();
        while told.recv().is_ok() {
            request.read(&mut stream, &mut received);
            for (index, piece) in answer.iter().enumerate() {
                if index > 0 && told.recv().is_err() {
                    return;
                }
                stream.write_all(&piece.sent).unwrap();
            }
        }
    });
    (send, format!("http://{address}"))
}

fn request() -> Piece {
    let body = bodies::conversation(BODY_BYTES);
    let (key, length) = (keys::key(0), body.len());
    let head = [
        "POST /v1/messages HTTP/1.1",
        "host: 127.0.0.1",
        &format!("x-api-key: {key}"),
        "anthropic-version: 2023-06-01",
        "accept: application/json",
        "user-agent: test",
        "content-type: application/json",
        &format!("content-length: {length}"),
    ];
    Piece::new(&lines(&head), &body)
}

/// The headers that the API sends.
fn head(content_type: &str, length: &str) -> Vec<u8> {
    let mut head = vec![
        "HTTP/1.1 200 OK".to_owned(),
        "date: Mon, 30 Nov 2026 12:00:00 GMT".to_owned(),
        format!("content-type: {content_type}"),
        length.to_owned(),
        "request-id: req_011CSHoEeqs5C35K2UUqR7Fy".to_owned(),
        "anthropic-organization-id: 00000000-0000-0000-0000-000000000000".to_owned(),
        "cf-cache-status: DYNAMIC".to_owned(),
        "server: cloudflare".to_owned(),
    ];
    for limit in ["requests", "tokens", "input-tokens", "output-tokens"] {
        let name = format!("anthropic-ratelimit-{limit}");
        head.push(format!("{name}-limit: 4000"));
        head.push(format!("{name}-remaining: 3999"));
        head.push(format!("{name}-reset: 2026-11-30T12:00:00Z"));
    }
    let head: Vec<_> = head.iter().map(String::as_str).collect();
    lines(&head)
}

fn lines(head: &[&str]) -> Vec<u8> {
    format!("{}\r\n\r\n", head.join("\r\n")).into_bytes()
}

/// As HTTP/1.1 sends a body whose length it doesn't say.
fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:X}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

/// False at the end of the connection.
fn read(stream: &mut TcpStream, received: &mut Vec<u8>) -> bool {
    let mut piece = [0; 16 << 10];
    let read = stream.read(&mut piece).unwrap();
    received.extend_from_slice(piece.get(..read).unwrap());
    read > 0
}

fn options() -> Options {
    let tls = rustls::ClientConfig::builder()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        threads: 1,
        max_connections: 10,
        max_body_bytes: 32 << 20,
        trusted_proxies: Vec::new(),
        drain: Duration::from_secs(10),
        on_client_disconnect: OnClientDisconnect::Cancel,
        tls: None,
        upstream: UpstreamOptions {
            http2: false,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            tls,
        },
    }
}

fn resources(upstream: &str) -> Resources {
    // What an expression allocates is its interpreter's.
    let rules = policies::kinds().into_iter();
    let rules = rules
        .filter(|(name, ..)| *name != "custom, interpreted")
        .enumerate();
    let rules = rules.map(|(number, (_, kind, rules))| policies::source(number, kind, rules));
    Resources {
        keys: Arc::new(keys::index_of(1, &keys::tenant_of(upstream))),
        prices: Arc::new(Prices::from_pointee(PriceBook::embedded().unwrap())),
        mcp_servers: Arc::default(),
        objects: Arc::default(),
        policies: Arc::new(policies::engine(rules.collect())),
        spending: Arc::default(),
        clock: Arc::new(SystemClock::started()),
    }
}
