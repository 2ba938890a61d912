//! Clients of a budget: each has a key and a model that nobody else has together, and asks one request after the other until
//! it is refused while nothing is held.
//!
//! A pair of key and model has its own counters of tokens, of which answers tell what is left. So it can be told from outside
//! what was held for a request: what there may be, less what the pair's earlier rows have, less what is left.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use rand::Rng as _;
use serde_json::{Value, json};
use testkit::Client;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::money::{self, MODELS, PROBE};
use super::upstream::Figures;

/// Where a client asks from.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub(super) client: Client,
    pub(super) key: usize,
    pub(super) model: usize,
}

impl Seat {
    /// Which pair of key and model it is.
    pub(super) fn pair(&self) -> usize {
        self.key * MODELS + self.model
    }
}

/// A request that wasn't refused. Times are microseconds since 1970.
#[derive(Debug, Clone)]
pub(super) struct Passed {
    pub(super) request_id: Uuid,
    pub(super) sent: i64,
    pub(super) ended: i64,
    /// What answers say is left of the pair's input and output.
    pub(super) left: Option<(u64, u64)>,
    /// Its caller left, so that it may have ended later.
    pub(super) abandoned: bool,
}

/// A refusal and what it told, in picodollars.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) pair: usize,
    pub(super) sent: i64,
    pub(super) got: i64,
    pub(super) policy: String,
    pub(super) limit: u64,
    pub(super) spent: u64,
    pub(super) held: u64,
    pub(super) expected: u64,
}

/// All that clients were told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) passed: Vec<Passed>,
    pub(super) refused: Vec<Refusal>,
    /// Requests without a whole answer.
    pub(super) broken: usize,
    /// Answers that nobody expected.
    pub(super) strange: Vec<String>,
    /// Those who weren't refused before the end.
    pub(super) unrefused: usize,
}

impl Told {
    pub(super) fn add(&mut self, other: Self) {
        self.passed.extend(other.passed);
        self.refused.extend(other.refused);
        self.broken += other.broken;
        self.strange.extend(other.strange);
        self.unrefused += other.unrefused;
    }
}

/// Nobody asks for longer.
const LONGEST: Duration = Duration::from_secs(60);

/// Clients at work.
pub(super) struct Clients {
    tasks: JoinSet<Told>,
}

impl Clients {
    pub(super) fn start(seats: &[Seat]) -> Self {
        let tasks = seats.iter().map(|seat| ask(seat.clone())).collect();
        Self { tasks }
    }

    /// Waits until they have gone.
    pub(super) async fn ended(self) -> Told {
        let mut all = Told::default();
        for told in self.tasks.join_all().await {
            all.add(told);
        }
        all
    }
}

async fn ask(seat: Seat) -> Told {
    let mut told = Told::default();
    let until = Instant::now() + LONGEST;
    loop {
        if Instant::now() > until {
            told.unrefused = 1;
            break;
        }
        let pause = match exchange(&seat, &mut told).await {
            // Some keys use up more than others.
            Ended::Well => Duration::from_millis(seat.key as u64 * 12),
            Ended::Refused { held: 0 } | Ended::Broken => break,
            Ended::Refused { .. } => Duration::from_millis(rand::random_range(2..12)),
        };
        tokio::time::sleep(pause).await;
    }
    told
}

enum Ended {
    Well,
    Refused { held: u64 },
    Broken,
}

async fn exchange(seat: &Seat, told: &mut Told) -> Ended {
    let (body, leaves) = question(seat.model);
    let sent = now();
    let answer = tokio::time::timeout(testkit::PATIENCE, begin(seat, body, leaves));
    match answer.await.ok().flatten() {
        None => {
            told.broken += 1;
            Ended::Broken
        }
        Some((StatusCode::TOO_MANY_REQUESTS, _, text)) => match refusal(seat, sent, &text) {
            Some(refusal) => {
                let held = refusal.held;
                told.refused.push(refusal);
                Ended::Refused { held }
            }
            None => {
                told.strange
                    .push(String::from_utf8_lossy(&text).into_owned());
                Ended::Broken
            }
        },
        Some((status, headers, text)) => {
            if status != StatusCode::OK && status.as_u16() != 529 {
                told.strange
                    .push(String::from_utf8_lossy(&text).into_owned());
            }
            told.passed.push(Passed {
                request_id: header(&headers, "x-mindweave-request-id").unwrap(),
                sent,
                ended: now(),
                left: left(&headers),
                abandoned: leaves,
            });
            Ended::Well
        }
    }
}

/// The answer, read whole, or up to its first bytes by somebody who leaves.
async fn begin(seat: &Seat, body: Value, leaves: bool) -> Option<(StatusCode, HeaderMap, Vec<u8>)> {
    let response = seat
        .client
        .begin(Method::POST, "/v1/messages", body.to_string());
    let (head, mut body) = response.await.ok()?.into_parts();
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        text.extend_from_slice(frame.ok()?.data_ref().map_or(&[], |data| data));
        if leaves && head.status == StatusCode::OK {
            break;
        }
    }
    Some((head.status, head.headers, text))
}

fn header<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn left(headers: &HeaderMap) -> Option<(u64, u64)> {
    Some((
        header(headers, "anthropic-ratelimit-input-tokens-remaining")?,
        header(headers, "anthropic-ratelimit-output-tokens-remaining")?,
    ))
}

/// Reads a refusal for a budget of cost.
fn refusal(seat: &Seat, sent: i64, text: &[u8]) -> Option<Refusal> {
    let got = now();
    let answer: Value = serde_json::from_slice(text).ok()?;
    let (error, details) = (&answer["error"], &answer["error"]["details"]);
    let amount = |field: &str| money::of_dollars(details[field].as_str()?);
    let message = error["message"].as_str()?;
    let between = |before: &str, after: &str| {
        let (_, rest) = message.split_once(before)?;
        money::of_dollars(rest.split_once(after)?.0)
    };
    Some(Refusal {
        pair: seat.pair(),
        sent,
        got,
        policy: details["policy"].as_str()?.to_owned(),
        limit: amount("limit")?,
        spent: amount("spent")?,
        held: between(" are spent and ", " held")?,
        expected: between(" and about ", " more")?,
    })
}

/// Asks for what no budget allows, to be told what was spent of the one that is looked at first.
pub(super) async fn probe(seat: &Seat) -> Option<Refusal> {
    let sent = now();
    let mut body = question(seat.model).0;
    body["model"] = PROBE.into();
    // Where no budget is in force yet it passes, and shall cost nothing.
    body["metadata"]["user_id"] = Figures::NOTHING.to_text().into();
    let (_, _, text) = begin(seat, body, false).await?;
    refusal(seat, sent, &text)
}

/// Many short answers, some long ones; who asks for a long one doesn't know how long it will be. And whether the caller
/// leaves in the middle.
fn question(model: usize) -> (Value, bool) {
    let mut rng = rand::rng();
    let (max_tokens, output) = match rng.random_range(0..10) {
        0..6 => (200, rng.random_range(20..200)),
        6..9 => (2_000, rng.random_range(100..2_000)),
        _ => (8_000, rng.random_range(1_000..6_000)),
    };
    let content = "x".repeat(rng.random_range(200..8_000));
    let input = content.len() as u64 * rng.random_range(15..35) / 100 + 20;
    let is_cached = rng.random_range(0..5) == 0;
    let figures = Figures {
        input,
        cache_read: if is_cached { input * 8 } else { 0 },
        cache_write: if is_cached { input / 2 } else { 0 },
        output,
        fails: false,
    };
    let figures = if rng.random_range(0..50) == 0 {
        Figures::NOTHING
    } else {
        figures
    };
    let stream = rng.random_range(0..2) == 0;
    let body = json!({
        "model": money::model(model),
        "max_tokens": max_tokens,
        "stream": stream,
        "metadata": {"user_id": figures.to_text()},
        "messages": [{"role": "user", "content": content}],
    });
    (body, stream && rng.random_range(0..25) == 0)
}

#[expect(
    clippy::disallowed_methods,
    reason = "rows say when requests were admitted"
)]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}
