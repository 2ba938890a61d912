//! Asks on a fixed number of connections, at a fixed rate or without pauses.
//!
//! At a fixed rate every request has a moment at which it is due, whatever became of those before it, and its latency runs from
//! there: who waits for a connection because answers are slow counts as slow, too (no coordinated omission).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::scenario::{Question, Scenario};

/// What takes longer counts as this long, in nanoseconds.
const LONGEST: u64 = 600_000_000_000;

/// Whom to ask, and how.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) key: String,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Told {
    /// In nanoseconds: to the end of the answer.
    pub(super) took: Histogram<u64>,
    /// To the first piece of its body.
    pub(super) first: Histogram<u64>,
    pub(super) answers: u64,
    /// No answer, or none that says 200.
    pub(super) bad: u64,
    /// What the first of them was.
    pub(super) complaint: Option<String>,
    pub(super) during: Duration,
}

impl Told {
    fn new() -> Self {
        let histogram =
            || Histogram::new_with_max(LONGEST, 3).expect("three digits are a valid precision");
        Self {
            took: histogram(),
            first: histogram(),
            answers: 0,
            bad: 0,
            complaint: None,
            during: Duration::ZERO,
        }
    }

    fn add(&mut self, other: &Self) {
        self.took.add(&other.took).expect("the same precision");
        self.first.add(&other.first).expect("the same precision");
        self.answers += other.answers;
        self.bad += other.bad;
        if self.complaint.is_none() {
            self.complaint.clone_from(&other.complaint);
        }
    }
}

/// When what is asked.
#[derive(Debug)]
struct Plan {
    began: Instant,
    end: Instant,
    per_second: Option<u32>,
    /// Of the next request.
    number: AtomicU64,
}

impl Plan {
    /// When the next request is due; none if that is after the end.
    fn next(&self) -> Option<Instant> {
        let due = match self.per_second {
            None => Instant::now(),
            Some(rate) => {
                let number = self.number.fetch_add(1, Ordering::Relaxed);
                self.began + Duration::from_nanos(number * 1_000_000_000 / u64::from(rate))
            }
        };
        (due < self.end).then_some(due)
    }
}

/// Asks for so long; what is under way then is waited for.
pub(super) async fn ask(scenario: &Scenario, target: &Target, long: Duration) -> Told {
    let question = Arc::new(scenario.question());
    let mut connections = Vec::new();
    for _ in 0..scenario.connections {
        connections.push(Asker::connect(target, &question, scenario.patience()).await);
    }
    let began = Instant::now();
    let plan = Arc::new(Plan {
        began,
        end: began + long,
        per_second: scenario.per_second,
        number: AtomicU64::new(0),
    });
    let mut asking = JoinSet::new();
    for connection in connections {
        asking.spawn(connection.run(Arc::clone(&plan)));
    }
    let mut told = Told::new();
    while let Some(more) = asking.join_next().await {
        told.add(&more.unwrap());
    }
    told.during = began.elapsed();
    told
}

/// One connection.
struct Asker {
    target: Target,
    question: Arc<Question>,
    patience: Duration,
    sender: SendRequest<Full<Bytes>>,
}

impl Asker {
    async fn connect(target: &Target, question: &Arc<Question>, patience: Duration) -> Self {
        Self {
            target: target.clone(),
            question: Arc::clone(question),
            patience,
            sender: connect(target).await,
        }
    }

    async fn run(mut self, plan: Arc<Plan>) -> Told {
        let mut told = Told::new();
        while let Some(due) = plan.next() {
            tokio::time::sleep_until(due).await;
            let answered = tokio::time::timeout(self.patience, self.ask());
            let answered = answered.await;
            match answered.unwrap_or_else(|late| Err(late.to_string())) {
                Ok(first) => {
                    told.answers += 1;
                    told.took.saturating_record(nanoseconds(due.elapsed()));
                    let first = first.duration_since(due);
                    told.first.saturating_record(nanoseconds(first));
                }
                Err(complaint) => {
                    told.bad += 1;
                    told.complaint.get_or_insert(complaint);
                    self.sender = connect(&self.target).await;
                }
            }
        }
        told
    }

    /// When the body of an answer began, or what there was instead of a whole one that says 200.
    async fn ask(&mut self) -> Result<Instant, String> {
        let broken = |error: hyper::Error| error.to_string();
        let mut request = Request::post("/v1/messages")
            .header("host", self.target.address.to_string())
            .header("x-api-key", &self.target.key);
        for (name, value) in &self.question.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(self.question.body.clone()));
        let request = request.map_err(|error| error.to_string())?;
        self.sender.ready().await.map_err(broken)?;
        let answer = self.sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let mut body = answer.into_body();
        if status != StatusCode::OK {
            let said = body.collect().await.map_err(broken)?.to_bytes();
            return Err(format!("{status}: {}", String::from_utf8_lossy(&said)));
        }
        let mut first = None;
        while let Some(frame) = body.frame().await {
            frame.map_err(broken)?;
            first.get_or_insert_with(Instant::now);
        }
        first.ok_or_else(|| "an answer without a body".to_owned())
    }
}

async fn connect(target: &Target) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(target.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    testkit::spawn(async move {
        // Whoever asks on it sees that it is gone.
        let _ended = connection.await;
    });
    sender
}

fn nanoseconds(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}
