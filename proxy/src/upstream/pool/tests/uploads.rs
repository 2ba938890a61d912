//! Answers that come before all of their request was sent.

use std::convert::Infallible;
use std::future::pending;

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::request_body::Limits;
use crate::upload::{Upload, UploadWatch};
use crate::upstream::testing::{CHUNK, HALF, LAST_CHUNK, with_body};

/// A caller that has sent half of a request.
struct Caller(TcpStream);

impl Caller {
    async fn send_rest(&mut self) {
        self.0.write_all(b"rest.").await.unwrap();
    }
}

/// The body of a caller's request.
async fn incoming() -> (Caller, Incoming) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (caller, accepted) = tokio::join!(connecting, listener.accept());
    let (give, mut body) = mpsc::channel(1);
    let serving = http1::Builder::new().serve_connection(
        TokioIo::new(accepted.unwrap().0),
        service_fn(move |request: Request<Incoming>| {
            give.try_send(request.into_body()).unwrap();
            // The caller is not answered here.
            pending::<Result<Response<Empty<Bytes>>, Infallible>>()
        }),
    );
    drop(tokio::task::spawn_local(serving));
    let mut caller = caller.unwrap();
    caller.set_nodelay(true).unwrap();
    let half = b"POST / HTTP/1.1\r\nhost: gateway\r\ncontent-length: 10\r\n\r\nhalf.";
    caller.write_all(half).await.unwrap();
    (Caller(caller), body.recv().await.unwrap())
}

struct Uploading {
    pool: Rc<Pool>,
    server: Server,
    caller: Caller,
    watch: UploadWatch,
    answer: UpstreamBody,
    end: ServerEnd,
}

/// An upload, half of which has reached the server, when that answers.
async fn uploading(answer: &str) -> Uploading {
    let (pool, server) = (pool(), Server::start().await);
    let (caller, body) = incoming().await;
    let limits = Limits {
        max_bytes: 10,
        idle: Duration::from_secs(20),
    };
    let (upload, watch) = Upload::new(body, limits);
    let request = with_body(ForwardBody::Stream(upload));
    let answering = async {
        let mut end = server.accept().await;
        end.read_until("half.").await;
        end.say(answer).await;
        end
    };
    let (answer, end) = tokio::join!(pool.send(&server.target, request), answering);
    assert!(watch.finished_at().is_none());
    Uploading {
        answer: answer.unwrap().into_body(),
        pool,
        server,
        caller,
        watch,
        end,
    }
}

#[test]
fn an_upload_that_outlives_its_answer_keeps_its_connection() {
    on_one_thread(async {
        let mut uploading = uploading(WHOLE).await;
        read(uploading.answer.apart()).await;
        assert_eq!(uploading.pool.waiting(), 0, "it still sends");
        uploading.caller.send_rest().await;
        uploading.end.read_until("rest.").await;
        until(|| uploading.pool.waiting() == 1).await;
        assert!(uploading.watch.finished_at().is_some());
        let target = &uploading.server.target;
        read(ask_again(&uploading.pool, target, &mut uploading.end).await).await;
    });
}

#[test]
fn an_answer_may_outlive_its_upload_all_the_same() {
    on_one_thread(async {
        let mut uploading = uploading(HALF).await;
        let answer = uploading.answer.apart();
        assert!(answer.needs_turns(), "another task works the connection");
        uploading.caller.send_rest().await;
        uploading.end.read_until("rest.").await;
        let reading = read(answer);
        tokio::join!(reading, uploading.end.say("llo"));
        until(|| uploading.pool.waiting() == 1).await;
        let target = &uploading.server.target;
        read(ask_again(&uploading.pool, target, &mut uploading.end).await).await;
    });
}

#[test]
fn a_connection_that_still_sends_is_not_given_back_with_its_answer() {
    on_one_thread(async {
        let uploading = uploading(WHOLE).await;
        read(uploading.answer).await;
        assert_eq!(uploading.pool.waiting(), 0);
        uploading.end.closed().await;
    });
}

#[test]
fn an_upload_that_breaks_off_behind_its_answer_closes_the_connection() {
    on_one_thread(async {
        let uploading = uploading(WHOLE).await;
        read(uploading.answer.apart()).await;
        drop(uploading.caller);
        uploading.end.closed().await;
        assert!(uploading.watch.failure().is_some());
        assert_eq!(uploading.pool.waiting(), 0);
    });
}

#[test]
fn an_answer_that_is_half_read_ends_its_upload_and_closes_the_connection() {
    on_one_thread(async {
        let uploading = uploading(HALF).await;
        let mut answer = uploading.answer.apart();
        let frame = answer.frame().await.unwrap().unwrap();
        assert_eq!(frame.data_ref().unwrap(), "he");
        drop(answer);
        uploading.end.closed().await;
        assert!(uploading.watch.finished_at().is_none());
        assert_eq!(uploading.pool.waiting(), 0);
    });
}

#[test]
fn an_answer_that_nobody_waits_for_any_more_closes_the_connection() {
    on_one_thread(async {
        let mut uploading = uploading(HALF).await;
        let mut answer = uploading.answer.apart();
        answer.frame().await.unwrap().unwrap();
        uploading.caller.send_rest().await;
        uploading.end.read_until("rest.").await;
        // The other task waits for what the server never says.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        drop(answer);
        uploading.end.closed().await;
    });
}

#[test]
fn an_answer_that_is_all_there_is_whole_though_its_upload_fails() {
    on_one_thread(async {
        let whole = [CHUNK, LAST_CHUNK].concat();
        let uploading = uploading(&whole).await;
        let answer = uploading.answer.apart();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        drop(uploading.caller);
        until(|| uploading.watch.failure().is_some()).await;
        read(answer).await;
    });
}
