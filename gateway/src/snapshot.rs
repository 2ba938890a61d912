//! The keys in memory, kept like those in the database, and with them the rules that they are under.
//!
//! Guarantees: at start all keys are loaded before the gateway is ready, or, if the database can't be read, those that an earlier
//! process has left on disk are put in force; a committed change counts as soon as its notification arrives; a lost
//! notification is made up for by the next poll; the rules of an organization are in force before keys that need them. While the database is away the last state stays in force.

mod change;
mod disk;
mod format;
mod keeper;
mod load;
mod memory;
mod place;
mod rules;
mod saved;
mod state;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::{Clock, error_chain};
use ingest::{Database, DatabaseError};
use metrics::gauge;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_postgres::{AsyncMessage, Client};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::change::Change;
use self::disk::Disk;
use self::keeper::{Keeper, Offer};
use self::load::{Fingerprint, Scope};
pub(crate) use self::load::{Targets, load_key, tenant};
use self::memory::Arriving;
pub(crate) use self::memory::Memory;
use self::rules::Whose;
pub(crate) use self::state::{InForce, SnapshotState};
use crate::settled::SettledState;

const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// A database that takes longer for anything is treated as gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// The first time it is given up sooner: there may be a snapshot on disk to go on with.
const FIRST_TIMEOUT: Duration = Duration::from_secs(3);
const OBJECTS_TIMEOUT: Duration = Duration::from_secs(120);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// Notifications waiting to be read; beyond that, everything is loaded again.
const CHANGES_WAITING: usize = 1_024;

/// Keeps a [`Memory`] like the database.
pub(crate) struct Snapshot {
    database: Database,
    memory: Memory,
    settled: Arc<SettledState>,
    /// Up to where the owners of objects upstream are loaded.
    last_object: i64,
    clock: Arc<dyn Clock>,
    /// Rules are not compared before, by the monotonic clock.
    next_comparison: Duration,
    /// Of the MCP servers in memory.
    mcp_fingerprint: Option<Fingerprint>,
    targets: Targets,
    state: Arc<SnapshotState>,
    keeper: Keeper,
    /// Whether the disk was asked for what an earlier process has left.
    asked_disk: bool,
    tasks: TaskTracker,
}

#[derive(Debug, thiserror::Error)]
enum SnapshotError {
    #[error(transparent)]
    Connect(#[from] DatabaseError),
    #[error("the keys can't be loaded")]
    Load(#[from] tokio_postgres::Error),
    #[error("the connection that listens for changes ended")]
    Ended,
    #[error("no answer from the database within {} s", .0.as_secs())]
    Silent(Duration),
}

impl Snapshot {
    pub(crate) fn new(
        database: Database,
        memory: Memory,
        settled: Arc<SettledState>,
        targets: Targets,
        data_dir: &Path,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
    ) -> (Self, Arc<SnapshotState>) {
        let state = Arc::new(SnapshotState::new(Arc::clone(&clock)));
        let place = place::of(database.config());
        let snapshot = Self {
            database,
            memory,
            settled,
            last_object: 0,
            clock: Arc::clone(&clock),
            next_comparison: Duration::ZERO,
            mcp_fingerprint: None,
            targets,
            state: Arc::clone(&state),
            keeper: Keeper::new(Disk::new(data_dir), place, clock, tasks.clone()),
            asked_disk: false,
            tasks,
        };
        (snapshot, state)
    }

    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let following = Box::pin(self.follow_always());
        stop.run_until_cancelled(following).await;
        if let Some(offer) = self.on_offer() {
            let memory = &self.memory;
            self.keeper.finish(offer, || memory.contents()).await;
        }
    }

    async fn follow_always(&mut self) {
        let mut backoff = FIRST_BACKOFF;
        let mut failing = false;
        loop {
            let ended = self.follow(&mut backoff, &mut failing).await;
            gauge!("mindweave_db_up").set(0.0);
            if let Err(error) = ended {
                let error = error_chain(&error);
                if failing {
                    tracing::debug!(error, "keys still can't be followed");
                } else {
                    tracing::warn!(
                        error,
                        "keys are not followed for now; the last state stays in force"
                    );
                }
                failing = true;
            }
            if !std::mem::replace(&mut self.asked_disk, true) {
                self.restore().await;
            }
            // Callers go on making objects upstream.
            self.keep().await;
            tokio::time::sleep(backoff.mul_f64(rand::random_range(0.5..1.0))).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    /// Puts in force what an earlier process has left on disk.
    async fn restore(&mut self) {
        if self.state.is_loaded() {
            return;
        }
        if let Some(saved) = self.keeper.read().await {
            let verified_at = saved.verified_at();
            self.memory.restore(saved, &self.targets);
            self.note_faults();
            self.state.restored(verified_at);
            let age = Duration::from_secs(self.state.age().as_secs());
            tracing::warn!(
                keys = self.memory.keys(),
                age = %humantime::format_duration(age),
                "the database can't be read: a snapshot from disk is in force until it can"
            );
        }
    }

    /// Offers what is in memory to the disk.
    async fn keep(&mut self) {
        if let Some(offer) = self.on_offer() {
            let memory = &self.memory;
            self.keeper.offer(offer, || memory.contents()).await;
        }
    }

    /// What could be kept, if there is anything in memory.
    fn on_offer(&self) -> Option<Offer> {
        self.state.is_loaded().then(|| Offer {
            edition: self.memory.edition(),
            verified_at: self.state.verified_at(),
        })
    }

    /// Follows the database over one connection, until it is lost.
    async fn follow(
        &mut self,
        backoff: &mut Duration,
        failing: &mut bool,
    ) -> Result<(), SnapshotError> {
        let (changes, mut waiting) = mpsc::channel(CHANGES_WAITING);
        let missed = Arc::new(AtomicBool::new(false));
        let connecting = self
            .database
            .connect_listening(receiver(changes, Arc::clone(&missed)));
        let patience = if self.asked_disk {
            ANSWER_TIMEOUT
        } else {
            FIRST_TIMEOUT
        };
        let (client, driver) = timeout(patience, connecting)
            .await
            .map_err(|_| SnapshotError::Silent(patience))??;
        self.tasks.spawn(driver);
        // Listening begins before loading, so that no change falls between the two.
        answered(client.batch_execute("LISTEN mindweave")).await?;
        // Whose objects are whose, before anybody may ask for one.
        self.follow_objects(&client).await?;
        self.load_rules(&client, Whose::Everybody).await?;
        self.reload(&client, &Scope::All).await?;
        self.let_go_of_rules();
        self.compare_mcp_servers(&client).await?;
        (*backoff, *failing) = (FIRST_BACKOFF, false);
        tracing::info!(keys = self.memory.keys(), "keys loaded");

        let mut polls = tokio::time::interval(POLL_INTERVAL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.keep().await;
            tokio::select! {
                change = waiting.recv() => {
                    let change = change.ok_or(SnapshotError::Ended)?;
                    let changes = Change::gather(change, &mut waiting);
                    // Relaxed: set before the change that was just received, which the channel orders.
                    let all = missed.swap(false, Ordering::Relaxed);
                    self.follow_changes(&client, &changes, all).await?;
                }
                _ = polls.tick() => self.poll(&client).await?,
            }
        }
    }

    /// Loads what has changed, or whatever has if `all` that is known is that something did.
    async fn follow_changes(
        &mut self,
        client: &Client,
        changes: &[Change],
        all: bool,
    ) -> Result<(), SnapshotError> {
        // First: nothing that fails may lose them.
        for (xid, corrections) in Change::corrections(changes) {
            self.settled.correct(self.memory.engine(), xid, corrections);
        }
        if all {
            self.compare_rules(client).await?;
        } else {
            self.follow_rules(client, changes).await?;
        }
        let scopes = if all {
            vec![Scope::All]
        } else {
            Change::scopes(changes)
        };
        for scope in scopes {
            self.reload(client, &scope).await?;
        }
        self.let_go_of_rules();
        if all || Change::concern(changes, "upstream_objects") {
            self.follow_objects(client).await?;
        }
        if all || Change::concern(changes, "mcp_servers") {
            self.compare_mcp_servers(client).await?;
        }
        Ok(())
    }

    /// Finds what no notification told of.
    async fn poll(&mut self, client: &Client) -> Result<(), SnapshotError> {
        self.poll_rules(client).await?;
        if answered(load::fingerprint(client)).await? != self.memory.fingerprint() {
            self.reload(client, &Scope::All).await?;
        }
        self.let_go_of_rules();
        self.compare_mcp_servers(client).await?;
        self.follow_objects(client).await?;
        self.verified();
        Ok(())
    }

    /// Loads what was made upstream since the last time.
    async fn follow_objects(&mut self, client: &Client) -> Result<(), SnapshotError> {
        let loading = load::upstream_objects(client, self.last_object, self.memory.objects());
        // All of them, at first: there may be many.
        self.last_object = timeout(OBJECTS_TIMEOUT, loading)
            .await
            .map_err(|_| SnapshotError::Silent(OBJECTS_TIMEOUT))??;
        Ok(())
    }

    /// Loads the MCP servers if they aren't those in memory: there are few, and they change seldom.
    async fn compare_mcp_servers(&mut self, client: &Client) -> Result<(), SnapshotError> {
        // Before loading: a change in between is found by the next look.
        let now = answered(load::mcp_fingerprint(client)).await?;
        if self.mcp_fingerprint != Some(now) {
            let servers = answered(load::mcp_servers(client)).await?;
            self.memory.replace_mcp_servers(servers);
            self.mcp_fingerprint = Some(now);
        }
        Ok(())
    }

    /// Keys count while they are still coming, each when it has come.
    async fn reload(&mut self, client: &Client, scope: &Scope) -> Result<(), SnapshotError> {
        let mut arriving = Arriving::new(scope, &mut self.memory);
        let take = |key| arriving.take(key, &mut self.memory);
        answered(load::keys(client, scope, &self.targets, take)).await?;
        self.load_rules_of(client, arriving.without_rules()).await?;
        arriving.finish(&mut self.memory);
        if *scope == Scope::All {
            self.memory.set_complete();
            self.verified();
        }
        Ok(())
    }

    fn verified(&self) {
        gauge!("mindweave_db_up").set(1.0);
        self.state.verified();
    }
}

/// A query's answer, unless the database keeps it to itself.
async fn answered<T>(
    query: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, SnapshotError> {
    match timeout(ANSWER_TIMEOUT, query).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(SnapshotError::Silent(ANSWER_TIMEOUT)),
    }
}

/// Takes notifications off the connection without ever holding it up.
fn receiver(
    changes: mpsc::Sender<Change>,
    missed: Arc<AtomicBool>,
) -> impl FnMut(AsyncMessage) + Send + 'static {
    move |message| {
        if let AsyncMessage::Notification(notification) = message
            && let Some(change) = Change::parse(notification.payload())
            && changes.try_send(change).is_err()
        {
            // Relaxed: read after a change was received, which the channel orders.
            missed.store(true, Ordering::Relaxed);
        }
    }
}
