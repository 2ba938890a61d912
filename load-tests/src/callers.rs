//! Callers who ask and ask, and remember what they were told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use testkit::Client;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A whole answer, with the id of the request; none where nobody gives ids.
    Answered(Option<Uuid>),
    /// An answer that says no.
    Refused(StatusCode),
    /// No whole answer.
    Broken,
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) outcome: Outcome,
    pub(crate) streamed: bool,
    pub(crate) took: Duration,
}

/// When callers go home.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// When they are told to; no answer may be missing.
    Stopped,
    /// At the first request without a whole answer.
    Broken,
    /// After so many requests in all.
    Asked(u64),
}

/// How they ask.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) callers: u32,
    /// From one to the next, among all that share it.
    pub(crate) numbers: Arc<AtomicU64>,
    /// Of each hundred requests.
    pub(crate) streamed: u64,
    /// All of them together; as fast as they can without.
    pub(crate) per_second: Option<u32>,
    /// Whoever is late hurries, and how late it was counts as time that its request took: as if nobody waited for anybody.
    pub(crate) lateness_counts: bool,
    pub(crate) until: Until,
    /// The model to ask for.
    pub(crate) model: fn(u64) -> String,
}

/// Callers at work.
#[derive(Debug)]
pub(crate) struct Callers {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    tasks: JoinSet<Vec<Call>>,
}

impl Callers {
    pub(crate) fn start(client: &Client, asking: &Asking) -> Self {
        let (stop, asked): (Arc<AtomicBool>, Arc<AtomicUsize>) = Default::default();
        let budget = match asking.until {
            Until::Asked(count) => count,
            Until::Stopped | Until::Broken => u64::MAX,
        };
        let left = Arc::new(AtomicU64::new(budget));
        let tasks = (0..asking.callers)
            .map(|_| {
                let caller = Caller {
                    client: client.clone(),
                    asking: asking.clone(),
                    stop: Arc::clone(&stop),
                    asked: Arc::clone(&asked),
                    left: Arc::clone(&left),
                };
                caller.ask()
            })
            .collect();
        Self { stop, asked, tasks }
    }

    /// How many requests have come to an end.
    pub(crate) fn so_far(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Waits for so many more.
    pub(crate) async fn more(&self, count: usize) {
        let enough = self.so_far() + count;
        testkit::eventually("more answers", || async {
            (self.so_far() >= enough).then_some(())
        })
        .await;
    }

    /// Sends them home.
    pub(crate) async fn stop(self) -> Vec<Call> {
        self.stop.store(true, Ordering::Relaxed);
        self.ended().await
    }

    /// Waits until they go.
    pub(crate) async fn ended(self) -> Vec<Call> {
        self.tasks.join_all().await.into_iter().flatten().collect()
    }
}

struct Caller {
    client: Client,
    asking: Asking,
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    left: Arc<AtomicU64>,
}

impl Caller {
    async fn ask(self) -> Vec<Call> {
        let mut calls = Vec::new();
        let pause = self.asking.per_second.map(|rate| {
            // Not all at the same moment.
            Duration::from_secs(1) * self.asking.callers / rate
        });
        let mut next = Instant::now() + pause.unwrap_or_default().mul_f64(rand::random());
        while !self.stop.load(Ordering::Relaxed) && self.takes_one() {
            let mut due = Instant::now();
            if let Some(pause) = pause {
                tokio::time::sleep_until(next).await;
                due = next;
                next += pause;
                if !self.asking.lateness_counts {
                    // Who is late doesn't hurry to make up for it.
                    next = next.max(Instant::now());
                }
            }
            let mut call = self.call().await;
            if self.asking.lateness_counts {
                call.took = due.elapsed();
            }
            self.asked.fetch_add(1, Ordering::Relaxed);
            calls.push(call);
            if call.outcome == Outcome::Broken && matches!(self.asking.until, Until::Broken) {
                break;
            }
        }
        calls
    }

    fn takes_one(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }

    async fn call(&self) -> Call {
        let number = self.asking.numbers.fetch_add(1, Ordering::Relaxed);
        // Mixed, and not in turns.
        let streamed = number * 61 % 100 < self.asking.streamed;
        let model = (self.asking.model)(number);
        let body = format!(
            r#"{{"model":"{model}","max_tokens":32,"stream":{streamed},"messages":[{{"role":"user","content":"Hello"}}]}}"#
        );
        let began = Instant::now();
        let outcome = exchange(&self.client, body).await;
        Call {
            number,
            outcome,
            streamed,
            took: began.elapsed(),
        }
    }
}

async fn exchange(client: &Client, body: String) -> Outcome {
    let exchange = async {
        let response = client.begin(Method::POST, "/v1/messages", body).await;
        let (head, body) = response.ok()?.into_parts();
        body.collect().await.ok()?;
        if head.status != StatusCode::OK {
            return Some(Outcome::Refused(head.status));
        }
        let id = head.headers.get("x-mindweave-request-id");
        Some(Outcome::Answered(
            id.map(|id| id.to_str().unwrap().parse().unwrap()),
        ))
    };
    let exchange = tokio::time::timeout(testkit::PATIENCE, exchange);
    exchange.await.ok().flatten().unwrap_or(Outcome::Broken)
}
