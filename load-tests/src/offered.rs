//! Requests at a rate that answers don't change, or without pauses, on connections that stay.
//!
//! At a rate every request has a moment at which it is due, whatever became of those before it, and what its answer took is counted
//! from there. A request that is due when all connections wait for answers is sent late, and those that are due after the end are
//! not sent at all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt as _;
use testkit::PATIENCE;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::question::{Caller, Question};

/// What became of a request.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// An answer to its end that says 200.
    Whole,
    /// An answer that says no.
    Refused(StatusCode, Bytes),
    /// No answer, or none to its end.
    Broken(String),
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) due: Instant,
    pub(crate) ended: Instant,
    pub(crate) outcome: Outcome,
}

/// What was told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) began: Instant,
    pub(crate) answers: Vec<Answer>,
    /// Until the last answer.
    pub(crate) during: Duration,
}

impl Told {
    /// How many answers were whole.
    pub(crate) fn whole(&self) -> usize {
        let is_whole = |answer: &&Answer| matches!(answer.outcome, Outcome::Whole);
        self.answers.iter().filter(is_whole).count()
    }

    /// How many weren't, and what the first of those was.
    pub(crate) fn bad(&self) -> (usize, String) {
        let first = self
            .answers
            .iter()
            .find_map(|answer| match &answer.outcome {
                Outcome::Whole => None,
                Outcome::Refused(status, body) => {
                    Some(format!(": {status} {}", String::from_utf8_lossy(body)))
                }
                Outcome::Broken(why) => Some(format!(": {why}")),
            });
        (self.answers.len() - self.whole(), first.unwrap_or_default())
    }
}

/// Who asks, on a connection each.
#[derive(Debug)]
pub(crate) struct Crowd(VecDeque<Caller>);

/// When what is asked.
#[derive(Debug)]
struct Timetable {
    began: Instant,
    end: Instant,
    per_second: Option<u32>,
    /// Of the next request.
    number: AtomicU64,
}

impl Timetable {
    /// When the next request is due; none if that is after the end, or that is past already.
    fn next(&self) -> Option<Instant> {
        let now = Instant::now();
        let due = match self.per_second {
            None => now,
            Some(rate) => {
                let number = self.number.fetch_add(1, Ordering::Relaxed);
                self.began + Duration::from_nanos(number * 1_000_000_000 / u64::from(rate))
            }
        };
        (due.max(now) < self.end).then_some(due)
    }
}

impl Crowd {
    pub(crate) async fn connect(question: Question, connections: usize) -> Self {
        let question = Arc::new(question);
        let mut callers = VecDeque::with_capacity(connections);
        for _ in 0..connections {
            callers.push_back(Caller::connect(&question).await);
        }
        Self(callers)
    }

    /// Asks for so long, as fast as answers come or at a rate; what is under way then is waited for.
    pub(crate) async fn ask(&mut self, per_second: Option<u32>, long: Duration) -> Told {
        let began = Instant::now();
        let timetable = Arc::new(Timetable {
            began,
            end: began + long,
            per_second,
            number: AtomicU64::new(0),
        });
        let mut asking = JoinSet::new();
        for caller in self.0.drain(..) {
            asking.spawn(ask(caller, Arc::clone(&timetable)));
        }
        let mut told = Told {
            began,
            answers: Vec::new(),
            during: Duration::ZERO,
        };
        // Those with nothing to do end first, and have their turn first the next time.
        while let Some(ended) = asking.join_next().await {
            let (caller, answers) = ended.unwrap();
            self.0.push_back(caller);
            told.answers.extend(answers);
        }
        told.during = began.elapsed();
        told
    }
}

/// One of the crowd.
async fn ask(mut caller: Caller, timetable: Arc<Timetable>) -> (Caller, Vec<Answer>) {
    let mut answers = Vec::new();
    while let Some(due) = timetable.next() {
        tokio::time::sleep_until(due).await;
        let outcome = outcome(&mut caller).await;
        answers.push(Answer {
            due,
            ended: Instant::now(),
            outcome,
        });
        caller.connected().await;
    }
    (caller, answers)
}

async fn outcome(caller: &mut Caller) -> Outcome {
    let answered = tokio::time::timeout(PATIENCE, async {
        let (head, body) = caller.begin().await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok::<_, hyper::Error>(match head.status {
            StatusCode::OK => Outcome::Whole,
            refused => Outcome::Refused(refused, body),
        })
    });
    match answered.await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Outcome::Broken(error.to_string()),
        Err(late) => Outcome::Broken(late.to_string()),
    }
}
