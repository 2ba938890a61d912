//! What was spent before this process began, for the counters of budgets to begin with.
//!
//! Guarantees: of everything that was admitted before a moment in the windows of that moment, what this gateway has ever metered counts
//! once, to the picodollar: rows that are stored, and events that still wait in its spool, told apart by the positions that the
//! database had when its rows were summed up. Left out are test keys, refusals, and events that only the database can
//! decide about as long as it hasn't: those are added when they are stored. It is tried until the database answers. A gateway isn't
//! ready before; but it doesn't wait for a database that is away: then counters begin at nothing.

mod corrections;
mod late;
mod stored;
mod sums;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Timestamp, error_chain};
use ingest::{Database, DatabaseError, Decided, SpoolFault, Spooled};
use policy_engine::{Correction, Engine, Settled};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinError;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// A month of a large installation is summed up in less.
const READ_TIMEOUT: Duration = Duration::from_secs(600);
/// So often a spool that can't be read is tried again: its oldest files may go while they are looked for.
const SPOOL_ATTEMPTS: u32 = 5;

use corrections::{Corrections, Seen};
use late::Late;
use stored::Positions;

/// So long a gateway that is otherwise ready waits for it.
const READY_PATIENCE: Duration = Duration::from_secs(10);

/// Whether budgets have begun with what was spent before.
#[derive(Debug, Default)]
pub(crate) struct SettledState {
    known: AtomicBool,
    /// It failed, or takes its time.
    delayed: AtomicBool,
    corrections: Mutex<Corrections>,
}

impl SettledState {
    pub(crate) fn is_known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    /// Whether nothing is left to wait for.
    pub(crate) fn is_known_or_delayed(&self) -> bool {
        self.is_known() || self.delayed.load(Ordering::Relaxed)
    }

    /// What was stored costs something else since a transaction. It counts at once, or with the sum.
    pub(crate) fn correct(&self, engine: &Engine, xid: u64, corrections: &[Correction]) {
        engine.correct(&self.corrections().add(xid, corrections));
    }

    fn corrections(&self) -> std::sync::MutexGuard<'_, Corrections> {
        // Whoever panicked with it left a list that is whole.
        self.corrections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn delay(&self) {
        self.delayed.store(true, Ordering::Relaxed);
    }
}

/// Reads it once and gives it to the engine, and then what counts late.
pub(crate) struct Settling {
    pub(crate) database: Database,
    pub(crate) spooled: Spooled,
    pub(crate) engine: Arc<Engine>,
    pub(crate) state: Arc<SettledState>,
    /// Requests that were admitted from here on are this process' own.
    pub(crate) before: Timestamp,
    pub(crate) tasks: TaskTracker,
}

/// What was spent before.
#[derive(Debug)]
struct Sum {
    settled: Vec<Settled>,
    /// How far the streams were stored then.
    up_to: Positions,
    /// Which transactions had ended then.
    seen: Seen,
}

#[derive(Debug, thiserror::Error)]
enum SettledError {
    #[error(transparent)]
    Connect(#[from] DatabaseError),
    #[error("a query failed")]
    Query(#[from] tokio_postgres::Error),
    #[error("the spool can't be read")]
    Spool(#[from] SpoolFault),
    #[error("no answer within {} s", READ_TIMEOUT.as_secs())]
    Silent,
    #[error("the task that was to read the spool failed")]
    Task(#[from] JoinError),
}

impl Settling {
    /// Runs until `stop`, or until nothing is stored any more.
    pub(crate) async fn run(self, decided: Receiver<Decided>, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow(decided)).await;
    }

    async fn follow(&self, mut decided: Receiver<Decided>) {
        let mut late = Late::new(self.before);
        let mut reading = Box::pin(self.read());
        let mut patience = Box::pin(tokio::time::sleep(READY_PATIENCE));
        loop {
            tokio::select! {
                Sum { settled, up_to, seen } = &mut reading => {
                    tracing::info!(counters = settled.len(), "budgets begin with what was spent before");
                    self.engine.add_settled(&settled);
                    self.engine.add_late(&late.sum_is_made(up_to));
                    self.engine.correct(&self.state.corrections().sum_is_made(seen));
                    self.state.known.store(true, Ordering::Release);
                    break;
                }
                () = &mut patience, if !self.state.is_known_or_delayed() => self.state.delay(),
                Some(decided) = decided.recv() => self.engine.add_late(&late.add(decided)),
            }
        }
        while let Some(decided) = decided.recv().await {
            self.engine.add_late(&late.add(decided));
        }
    }

    async fn read(&self) -> Sum {
        let (mut backoff, mut spool_faults) = (FIRST_BACKOFF, 0);
        loop {
            match self.once(spool_faults >= SPOOL_ATTEMPTS).await {
                Ok(read) => return read,
                Err(error) => {
                    self.state.delay();
                    spool_faults += u32::from(matches!(error, SettledError::Spool(_)));
                    let error = error_chain(&error);
                    if backoff == FIRST_BACKOFF {
                        tracing::warn!(
                            error,
                            "what was spent before can't be read; budgets begin at nothing until it can"
                        );
                    } else {
                        tracing::debug!(error, "what was spent before still can't be read");
                    }
                }
            }
            tokio::time::sleep(backoff.mul_f64(rand::random_range(0.5..1.0))).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    /// `partly`: with what can be read of the spool.
    async fn once(&self, partly: bool) -> Result<Sum, SettledError> {
        let reading = async {
            let mut client = self.database.connect(&self.tasks).await?;
            Ok::<_, SettledError>(stored::read(&mut client, self.before).await?)
        };
        let stored = timeout(READ_TIMEOUT, Box::pin(reading)).await;
        let (mut sums, up_to, seen) = stored.map_err(|_| SettledError::Silent)??;
        let (spooled, before) = (self.spooled.clone(), self.before);
        let adding = self.tasks.spawn_blocking(move || {
            let added = spooled.each_unstored(&up_to, before, |usage| sums.add_spooled(usage));
            (sums, up_to, added)
        });
        let (sums, up_to, added) = adding.await?;
        match added {
            Err(error) if partly => {
                let error = error_chain(&error);
                tracing::error!(
                    error,
                    "the spool can't be read: budgets begin without what can't"
                );
            }
            added => added?,
        }
        Ok(Sum {
            settled: sums.into_settled(),
            up_to,
            seen,
        })
    }
}

#[cfg(test)]
mod tests;
