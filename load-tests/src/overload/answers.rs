//! Upstreams by which a gateway comes to its limits.

use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response};
use testkit::Upstream;
use testkit::upstream::{Body, pieces, whole};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// Bytes that arrive together.
const PIECE: usize = 16_384;

/// An upstream with a thread of its own: those who ask have another, and what they do must not make it slow.
pub(super) struct Answering {
    pub(super) url: String,
    /// It ends when this is dropped.
    _until: oneshot::Sender<()>,
}

/// How an upstream answers.
#[derive(Debug, Clone)]
pub(super) enum Answers {
    /// After so long, with a short answer.
    Slow(Duration),
    /// With a short answer at once.
    Short,
    /// With a stream that is there as a whole.
    Long(Vec<Bytes>),
}

impl Answers {
    /// A stream of so many deltas.
    pub(super) fn long(deltas: usize) -> Self {
        let mut all = BytesMut::new();
        let mut tell = |kind: &str, rest: &str| {
            let event = format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n");
            all.extend_from_slice(event.as_bytes());
        };
        tell(
            "message_start",
            r#","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":1}}"#,
        );
        tell(
            "content_block_start",
            r#","index":0,"content_block":{"type":"text","text":""}"#,
        );
        for _ in 0..deltas {
            tell(
                "content_block_delta",
                r#","index":0,"delta":{"type":"text_delta","text":" once"}"#,
            );
        }
        tell("content_block_stop", r#","index":0"#);
        tell(
            "message_delta",
            r#","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":22}"#,
        );
        tell("message_stop", "");
        let mut rest = all.freeze();
        let mut told = Vec::new();
        while !rest.is_empty() {
            told.push(rest.split_to(PIECE.min(rest.len())));
        }
        Self::Long(told)
    }

    /// How long it takes, if it does.
    pub(super) fn pause(&self) -> Option<Duration> {
        match self {
            Self::Slow(pause) => Some(*pause),
            Self::Short | Self::Long(_) => None,
        }
    }

    pub(super) fn streamed(&self) -> bool {
        matches!(self, Self::Long(_))
    }

    /// Starts to answer.
    pub(super) async fn start(self) -> Answering {
        let (tell, told) = oneshot::channel();
        let (until, dropped) = oneshot::channel::<()>();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let upstream = Upstream::start(move |_| self.clone().answer()).await;
                // Whoever started it may be gone, and goes some time.
                let _gone = tell.send(upstream.url());
                let _gone = dropped.await;
            });
        });
        Answering {
            url: told.await.unwrap(),
            _until: until,
        }
    }

    async fn answer(self) -> Response<Body> {
        let (body, kind) = match self {
            Self::Slow(pause) => {
                tokio::time::sleep(pause).await;
                (whole(SHORT), "application/json")
            }
            Self::Short => (whole(SHORT), "application/json"),
            Self::Long(told) => (pieces(told), "text/event-stream"),
        };
        let mut response = Response::new(body);
        let kind = HeaderValue::from_static(kind);
        response.headers_mut().insert("content-type", kind);
        response
    }
}

const SHORT: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":22}}"#;
