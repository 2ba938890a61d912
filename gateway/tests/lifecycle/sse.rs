//! A streamed answer, event by event, from an upstream that waits to be told.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use testkit::upstream::paced;
use testkit::{Upstream, eventually};
use tokio::sync::mpsc::Sender;

/// The first events of a stream.
pub(crate) const BEGINNING: &str = concat!(
    "event: message_start\n",
    r#"data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","#,
    r#""model":"claude-sonnet-5","content":[],"stop_reason":null,"stop_sequence":null,"#,
    r#""usage":{"input_tokens":11,"output_tokens":1}}}"#,
    "\n\nevent: content_block_start\n",
    r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    "\n\nevent: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Once upon a time"}}"#,
    "\n\n",
);

/// The last ones.
pub(crate) const END: &str = concat!(
    "event: content_block_stop\n",
    r#"data: {"type":"content_block_stop","index":0}"#,
    "\n\nevent: message_delta\n",
    r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":22}}"#,
    "\n\nevent: message_stop\n",
    r#"data: {"type":"message_stop"}"#,
    "\n\n",
);

/// The answer under way, told what to send.
pub(crate) struct Teller(Sender<std::io::Result<Frame<Bytes>>>);

impl Teller {
    pub(crate) async fn tell(&self, text: &'static str) {
        let frame = Frame::data(Bytes::from_static(text.as_bytes()));
        self.0.send(Ok(frame)).await.expect("somebody listens");
    }
}

/// An upstream that answers with streams, and the tellers of those.
pub(crate) struct Tellers {
    pub(crate) upstream: Upstream,
    waiting: Arc<Mutex<Vec<Teller>>>,
}

impl Tellers {
    pub(crate) async fn new() -> Self {
        let waiting: Arc<Mutex<Vec<Teller>>> = Arc::default();
        let asked = Arc::clone(&waiting);
        let upstream = Upstream::start(move |_| {
            let (sender, body) = paced();
            asked.lock().unwrap().push(Teller(sender));
            let mut response = Response::new(body);
            let streamed = "text/event-stream; charset=utf-8".parse().unwrap();
            response.headers_mut().insert("content-type", streamed);
            async { response }
        })
        .await;
        Self { upstream, waiting }
    }

    /// The teller of the latest request.
    pub(crate) async fn next(&self) -> Teller {
        eventually("the upstream is asked", || async {
            self.waiting.lock().unwrap().pop()
        })
        .await
    }
}

/// The text so far, up to and with the end of `mark`.
pub(crate) async fn read_through<B>(body: &mut B, mark: &str) -> String
where
    B: Body<Data = Bytes, Error: Debug> + Unpin,
{
    let mut text = String::new();
    while !text.ends_with(mark) {
        let frame = tokio::time::timeout(testkit::PATIENCE, body.frame()).await;
        let frame = frame
            .expect("more in time")
            .expect("more")
            .expect("a whole body");
        text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    text
}
