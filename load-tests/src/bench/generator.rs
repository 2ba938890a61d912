//! Asks on a fixed number of connections, at a fixed rate or without pauses.
//!
//! At a fixed rate every request has a moment at which it is due, whatever became of those before it, and its latency runs from
//! there: who waits for a connection because answers are slow counts as slow, too (no coordinated omission).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::asker::{Asker, Target};
use super::question::Questions;
use super::told::{Heard, Told};

/// How somebody is asked.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    pub(super) questions: Arc<Questions>,
    pub(super) connections: u32,
    /// As fast as answers come without.
    pub(super) per_second: Option<u32>,
    /// As many as there is time for without.
    pub(super) at_most: Option<u64>,
}

/// When what is asked.
#[derive(Debug)]
pub(super) struct Plan {
    began: Instant,
    end: Instant,
    per_second: Option<u32>,
    at_most: u64,
    /// Of the next request.
    number: AtomicU64,
}

impl Plan {
    /// The next request, and when it is due; none if that is after the end, or there were enough.
    pub(super) fn next(&self) -> Option<(u64, Instant)> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let due = match self.per_second {
            None => Instant::now(),
            Some(rate) => {
                self.began + Duration::from_nanos(number * 1_000_000_000 / u64::from(rate))
            }
        };
        (due < self.end && number < self.at_most).then_some((number, due))
    }
}

/// Asks for so long; what is under way then is waited for. Fails if nobody is there.
pub(super) async fn ask(asking: &Asking, target: &Target, long: Duration) -> Result<Told, String> {
    let mut askers = Vec::new();
    for _ in 0..asking.connections {
        askers.push(Asker::connect(target, asking).await?);
    }
    let began = Instant::now();
    let plan = Arc::new(Plan {
        began,
        end: began + long,
        per_second: asking.per_second,
        at_most: asking.at_most.unwrap_or(u64::MAX),
        number: AtomicU64::new(0),
    });
    let heard = Heard::default();
    let mut running = JoinSet::new();
    for asker in askers {
        running.spawn(asker.run(Arc::clone(&plan), heard.clone()));
    }
    while let Some(ended) = running.join_next().await {
        ended.map_err(|panic| panic.to_string())??;
    }
    Ok(heard.told(began.elapsed()))
}
