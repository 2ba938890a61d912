//! Callers who ask and ask.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use testkit::client::{Answer, question};
use testkit::{Client, eventually};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Callers at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    callers: JoinSet<Vec<Uuid>>,
}

impl Load {
    /// So many callers, who ask until they are stopped; each answer must be a good one.
    pub(crate) fn start(client: &Client, callers: usize) -> Self {
        Self::of(callers, |stop, answers| {
            let client = client.clone();
            async move {
                let mut requests = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    requests.push(answered(&client.ask().await));
                    answers.fetch_add(1, Ordering::SeqCst);
                }
                requests
            }
        })
    }

    /// Callers who ask until nobody answers any more.
    pub(crate) fn to_the_end(client: &Client, callers: usize) -> Self {
        Self::of(callers, |_, answers| {
            let client = client.clone();
            async move {
                let mut requests = Vec::new();
                while let Some(request) = try_ask(&client).await {
                    requests.push(request);
                    answers.fetch_add(1, Ordering::SeqCst);
                }
                requests
            }
        })
    }

    fn of<F>(callers: usize, call: impl Fn(Arc<AtomicBool>, Arc<AtomicUsize>) -> F) -> Self
    where
        F: Future<Output = Vec<Uuid>> + Send + 'static,
    {
        let (stop, answers): (Arc<AtomicBool>, Arc<AtomicUsize>) = Default::default();
        let callers = (0..callers)
            .map(|_| call(Arc::clone(&stop), Arc::clone(&answers)))
            .collect();
        Self {
            stop,
            answers,
            callers,
        }
    }

    /// Waits until there were so many answers.
    pub(crate) async fn answers(&self, count: usize) {
        eventually("there are enough answers", || async {
            (self.answers.load(Ordering::SeqCst) >= count).then_some(())
        })
        .await;
    }

    /// How many answers there were so far.
    pub(crate) fn so_far(&self) -> usize {
        self.answers.load(Ordering::SeqCst)
    }

    /// Sends the callers home; the requests that were answered.
    pub(crate) async fn stop(self) -> BTreeSet<Uuid> {
        self.stop.store(true, Ordering::SeqCst);
        self.ended().await
    }

    /// Waits until the callers give up; the requests that were answered.
    pub(crate) async fn ended(self) -> BTreeSet<Uuid> {
        self.callers
            .join_all()
            .await
            .into_iter()
            .flatten()
            .collect()
    }
}

/// So many requests, some at once; every answer must be a good one.
pub(crate) async fn ask_many(client: &Client, count: usize, at_once: usize) -> BTreeSet<Uuid> {
    let left = Arc::new(AtomicUsize::new(count));
    let callers: JoinSet<Vec<Uuid>> = (0..at_once)
        .map(|_| {
            let (client, left) = (client.clone(), Arc::clone(&left));
            async move {
                let mut requests = Vec::new();
                while take_one(&left) {
                    requests.push(answered(&client.ask().await));
                }
                requests
            }
        })
        .collect();
    callers.join_all().await.into_iter().flatten().collect()
}

fn take_one(left: &AtomicUsize) -> bool {
    let less = |left: usize| left.checked_sub(1);
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
        .is_ok()
}

/// The id of a request that was answered well.
pub(crate) fn answered(answer: &Answer) -> Uuid {
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    answer.header("x-mindweave-request-id").parse().unwrap()
}

/// Asks once; none if the answer doesn't come whole.
async fn try_ask(client: &Client) -> Option<Uuid> {
    let question = question(false).to_string();
    let response = client.begin(Method::POST, "/v1/messages", question).await;
    let (head, body) = response.ok()?.into_parts();
    let whole = body.collect().await;
    whole.ok().filter(|_| head.status == StatusCode::OK)?;
    let id = head.headers["x-mindweave-request-id"].to_str().unwrap();
    Some(id.parse().unwrap())
}
