//! A law: what goes in comes out. Whatever the bytes, the headers and the cuts, both ways, the SHA-256 of a
//! body on one side of the gateway is that on the other.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sha2::{Digest as _, Sha256};
use testkit::Upstream;
use testkit::upstream::{Body, Received, pieces, whole};

use crate::stage::{Stage, brotli, gzip};

/// One side's message: a body with its coding, cuts and headers.
#[derive(Debug, Clone)]
struct Message {
    bytes: Blob,
    encoding: Option<&'static str>,
    /// Where the body is cut, in thousandths of its length; framed by its length if nowhere.
    cuts: Vec<usize>,
    headers: Vec<(String, Vec<u8>)>,
}

/// Bytes that don't fill pages when they are shown.
#[derive(Clone)]
struct Blob(Bytes);

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Message {
    fn body(&self) -> Body {
        let data = &self.bytes.0;
        if self.cuts.is_empty() {
            return whole(data.clone());
        }
        let mut ends: Vec<usize> = self
            .cuts
            .iter()
            .map(|cut| data.len() * cut / 1000)
            .collect();
        ends.push(data.len());
        ends.sort_unstable();
        let mut start = 0;
        pieces(
            ends.into_iter()
                .map(|end| data.slice(std::mem::replace(&mut start, end)..end))
                .filter(|piece| !piece.is_empty())
                .collect(),
        )
    }

    fn headers(&self) -> HeaderMap {
        let mut headers: HeaderMap = HeaderMap::new();
        for (name, value) in &self.headers {
            let name: HeaderName = format!("x-{name}").parse().unwrap();
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        if let Some(encoding) = self.encoding {
            headers.insert("content-encoding", HeaderValue::from_static(encoding));
        }
        headers
    }
}

fn blobs() -> impl Strategy<Value = Vec<u8>> {
    // Filled from a seed: to make 2 MB byte by byte takes proptest too long.
    let length = prop_oneof![0..64_usize, 0..70_000_usize, 0..2_000_000_usize];
    (length, any::<u64>()).prop_map(|(length, seed)| {
        let mut state = seed | 1;
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        };
        std::iter::repeat_with(next).take(length).collect()
    })
}

/// A question with random text in it, so that it passes where bodies are looked into.
fn question(noise: &[u8]) -> Vec<u8> {
    let text: String = noise.iter().map(|byte| char::from(*byte)).collect();
    serde_json::json!({ "model": "claude-sonnet-5", "messages": [{ "content": text }] })
        .to_string()
        .into_bytes()
}

fn headers() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let value = prop::collection::vec(prop_oneof![0x21..0x7f_u8, 0x80..=0xff_u8], 1..60);
    prop::collection::vec(("[a-z]{1,3}(-[a-z0-9]{1,8})?", value), 0..12)
}

fn messages(json: bool) -> impl Strategy<Value = Message> {
    let cuts = prop_oneof![Just(vec![]), prop::collection::vec(0..1000_usize, 1..40)];
    let encoding = prop::sample::select(vec![None, Some("gzip"), Some("br")]);
    (blobs(), cuts, headers(), encoding).prop_map(move |(noise, cuts, headers, encoding)| {
        let plain = if json { question(&noise) } else { noise };
        let coded = match encoding {
            Some("gzip") => gzip(&plain),
            Some(_) => brotli(&plain),
            None => plain,
        };
        Message {
            bytes: Blob(coded.into()),
            encoding,
            cuts,
            headers,
        }
    })
}

/// A request with the answer that it gets.
#[derive(Debug, Clone)]
struct Case {
    method: Method,
    path: &'static str,
    http2: bool,
    content_type: &'static str,
    status: u16,
    request: Message,
    answer: Message,
}

fn cases() -> impl Strategy<Value = Case> {
    let content_type = prop::sample::select(vec![
        "application/json",
        "text/event-stream",
        "application/octet-stream",
        "text/html",
    ]);
    let status = prop::sample::select(vec![200_u16, 201, 400, 429, 500, 529]);
    let target = prop::sample::select(vec![
        (Method::POST, "/v1/messages", true),
        (Method::POST, "/v1/messages/count_tokens", true),
        (Method::POST, "/v1/files", false),
        (Method::PUT, "/v1/unheard/of", false),
        (Method::PATCH, "/v1/skills/s", false),
        (Method::DELETE, "/v1/files/f", false),
        (Method::POST, "/v1/complete", false),
    ]);
    target
        .prop_flat_map(move |(method, path, json)| {
            let ends = (content_type.clone(), status.clone(), any::<bool>());
            (Just((method, path)), ends, messages(json), messages(false))
        })
        .prop_map(
            |((method, path), (content_type, status, http2), request, answer)| Case {
                method,
                path,
                http2,
                content_type,
                status,
                request,
                answer,
            },
        )
}

/// What the next request is answered with, and what came in.
#[derive(Clone, Default)]
struct Exchange(Arc<Mutex<(Option<Case>, Option<Received>)>>);

impl Exchange {
    fn answer(&self, received: Received) -> Response<Body> {
        let mut exchange = self.0.lock().unwrap();
        let case = exchange.0.take().expect("a request is answered once");
        exchange.1 = Some(received);
        let mut answer = Response::new(case.answer.body());
        *answer.status_mut() = case.status.try_into().unwrap();
        let content_type = HeaderValue::from_static(case.content_type);
        answer.headers_mut().insert("content-type", content_type);
        answer.headers_mut().extend(case.answer.headers());
        answer
    }
}

/// Length and SHA-256 of a body.
fn digest(bytes: &[u8]) -> (usize, [u8; 32]) {
    (bytes.len(), Sha256::digest(bytes).into())
}

/// Checks that every header that was sent came, with all its values in their order.
fn check_headers(side: &str, sent: &HeaderMap, came: &HeaderMap) -> Result<(), TestCaseError> {
    for name in sent.keys() {
        let values = |headers: &HeaderMap| -> Vec<HeaderValue> {
            headers.get_all(name).iter().cloned().collect()
        };
        prop_assert_eq!(values(sent), values(came), "{}: {}", side, name);
    }
    Ok(())
}

async fn check(stage: &Stage, exchange: &Exchange, case: Case) -> Result<(), TestCaseError> {
    *exchange.0.lock().unwrap() = (Some(case.clone()), None);
    let client = if case.http2 {
        stage.http2_client()
    } else {
        stage.client()
    };
    let client = client.with_all(&case.request.headers());
    let answer = client
        .send_body(case.method.clone(), case.path, case.request.body())
        .await;
    let received = exchange.0.lock().unwrap().1.take();
    let Some(received) = received else {
        return Err(TestCaseError::fail(format!("refused: {:?}", answer.body)));
    };
    prop_assert_eq!(&received.method, &case.method);
    prop_assert_eq!(answer.status.as_u16(), case.status);
    prop_assert_eq!(
        digest(&received.body),
        digest(&case.request.bytes.0),
        "upwards"
    );
    prop_assert_eq!(
        digest(&answer.body),
        digest(&case.answer.bytes.0),
        "downwards"
    );
    check_headers("upwards", &case.request.headers(), &received.headers)?;
    check_headers("downwards", &case.answer.headers(), &answer.headers)?;
    prop_assert_eq!(answer.header("content-type"), case.content_type);
    Ok(())
}

#[test]
fn whatever_goes_in_comes_out() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (stage, exchange) = runtime.block_on(async {
        let exchange = Exchange::default();
        let answering = exchange.clone();
        let upstream = Upstream::start(move |received| {
            let answer = answering.answer(received);
            async { answer }
        })
        .await;
        (Stage::before(upstream).await, exchange)
    });
    // A case that fails is shown and stays in nobody's files.
    let config = Config {
        cases: 64,
        failure_persistence: None,
        max_shrink_iters: 64,
        ..Config::default()
    };
    let checked = TestRunner::new(config).run(&cases(), |case| {
        runtime.block_on(check(&stage, &exchange, case))
    });
    if let Err(error) = checked {
        panic!("{error}");
    }
}
