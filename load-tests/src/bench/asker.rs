//! One connection of the generator.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;
use tokio::time::Instant;

use super::body::Body;
use super::generator::{Asking, Plan};
use super::keys::Keys;
use super::question::{Question, Questions};
use super::scenario::Pace;
use super::timer::Timer;
use super::told::Heard;

/// What a slow reader's socket takes in, so that whoever sends notices.
const SMALL_BUFFER: u32 = 64 << 10;

/// Whom to ask, and with which keys.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) keys: Keys,
}

pub(super) struct Asker {
    target: Target,
    host: HeaderValue,
    questions: Arc<Questions>,
    /// None where requests are due at once.
    timer: Option<Timer>,
    sender: SendRequest<Body>,
}

impl Asker {
    pub(super) async fn connect(target: &Target, asking: &Asking) -> Result<Self, String> {
        let timer = asking.per_second.map(|_| Timer::new()).transpose();
        Ok(Self {
            target: target.clone(),
            host: HeaderValue::try_from(target.address.to_string()).unwrap(),
            questions: Arc::clone(&asking.questions),
            timer: timer.map_err(|error| format!("no timer: {error}"))?,
            sender: connect(target.address, &asking.questions).await?,
        })
    }

    /// Asks as planned. Fails when nobody is there any more.
    pub(super) async fn run(mut self, plan: Arc<Plan>, heard: Heard) -> Result<(), String> {
        let questions = Arc::clone(&self.questions);
        while let Some((number, due)) = plan.next() {
            if let Some(timer) = &self.timer {
                let waited = timer.until(due).await;
                waited.map_err(|error| format!("no timer: {error}"))?;
            }
            let question = questions.pick(number);
            let answered = tokio::time::timeout(question.patience, self.ask(number, question));
            let answered = answered.await;
            match answered.unwrap_or_else(|late| Err(late.to_string())) {
                Ok(first) => heard.answer(due.elapsed(), first.duration_since(due)),
                Err(complaint) => {
                    heard.complaint(complaint);
                    self.sender = connect(self.target.address, &questions).await?;
                }
            }
        }
        Ok(())
    }

    /// When the body of an answer began, or what there was instead of a whole one that says what it should.
    async fn ask(&mut self, number: u64, question: &Question) -> Result<Instant, String> {
        let broken = |error: hyper::Error| error.to_string();
        let request = question.request(&self.host, self.target.keys.pick(number));
        self.sender.ready().await.map_err(broken)?;
        let answer = self.sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let body = answer.into_body();
        if status != self.questions.expected {
            let said = body.collect().await.map_err(broken)?.to_bytes();
            return Err(format!("{status}: {}", String::from_utf8_lossy(&said)));
        }
        let first = read(body, question.read).await.map_err(broken)?;
        first.ok_or_else(|| "an answer without a body".to_owned())
    }
}

/// To the end; when it began.
async fn read(mut body: Incoming, pace: Option<Pace>) -> hyper::Result<Option<Instant>> {
    let mut first = None;
    let mut since_pause = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        first.get_or_insert_with(Instant::now);
        if let Some(pace) = pace {
            since_pause += frame.data_ref().map_or(0, |data| data.len());
            if since_pause >= pace.bytes {
                since_pause = 0;
                tokio::time::sleep(pace.pause()).await;
            }
        }
    }
    Ok(first)
}

async fn connect(address: SocketAddr, questions: &Questions) -> Result<SendRequest<Body>, String> {
    let connected = async {
        let socket = TcpSocket::new_v4()?;
        if questions.has_slow_readers() {
            socket.set_recv_buffer_size(SMALL_BUFFER)?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        std::io::Result::Ok(stream)
    };
    let told = |error: &dyn std::fmt::Display| format!("no connection: {error}");
    let stream = connected.await.map_err(|error| told(&error))?;
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(|error| told(&error))?;
    testkit::spawn(async move {
        // Whoever asks on it sees that it is gone.
        let _ended = connection.await;
    });
    Ok(sender)
}
