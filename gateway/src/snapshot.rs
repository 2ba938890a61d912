//! The keys in memory, kept like those in the database, and the MCP servers with them.
//!
//! Guarantees: at start all keys are loaded before the gateway is ready; a committed change counts as soon as
//! its notification arrives; a lost notification is made up for by the next poll. While the database is
//! away the last state stays in force.

mod change;
mod load;
mod state;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::{ApiKeyId, Clock, KeyHash, OrgId, ProjectId};
use ingest::{Database, DatabaseError};
use metrics::gauge;
use proxy::{KeyIndex, McpRegistry, UpstreamObjects};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_postgres::{AsyncMessage, Client};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::change::Change;
use self::load::{Fingerprint, Loaded, Scope};
pub(crate) use self::load::{Targets, load_key};
pub(crate) use self::state::SnapshotState;
use domain::error_chain;

const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// A database that takes longer for anything is treated as gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
const OBJECTS_TIMEOUT: Duration = Duration::from_secs(120);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// Notifications waiting to be read; beyond that, everything is loaded again.
const CHANGES_WAITING: usize = 1_024;

/// Keeps a [`KeyIndex`] like the database.
pub(crate) struct Snapshot {
    database: Database,
    index: Arc<KeyIndex>,
    objects: Arc<UpstreamObjects>,
    /// Up to where they are loaded.
    last_object: i64,
    mcp_servers: Arc<McpRegistry>,
    /// Of the MCP servers in memory.
    mcp_fingerprint: Option<Fingerprint>,
    targets: Targets,
    known: HashMap<ApiKeyId, Known>,
    state: Arc<SnapshotState>,
    tasks: TaskTracker,
}

/// Where a loaded key is in the index, and what it hangs on.
#[derive(Clone, Copy)]
struct Known {
    hash: Option<KeyHash>,
    project_id: ProjectId,
    org_id: OrgId,
    row_hash: i64,
}

#[derive(Debug, thiserror::Error)]
enum SnapshotError {
    #[error(transparent)]
    Connect(#[from] DatabaseError),
    #[error("the keys can't be loaded")]
    Load(#[from] tokio_postgres::Error),
    #[error("the connection that listens for changes ended")]
    Ended,
    #[error("no answer from the database within {} s", ANSWER_TIMEOUT.as_secs())]
    Silent,
}

impl Snapshot {
    pub(crate) fn new(
        database: Database,
        index: Arc<KeyIndex>,
        mcp_servers: Arc<McpRegistry>,
        objects: Arc<UpstreamObjects>,
        targets: Targets,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
    ) -> (Self, Arc<SnapshotState>) {
        let state = Arc::new(SnapshotState::new(clock));
        let snapshot = Self {
            database,
            index,
            objects,
            last_object: 0,
            mcp_servers,
            mcp_fingerprint: None,
            targets,
            known: HashMap::new(),
            state: Arc::clone(&state),
            tasks,
        };
        (snapshot, state)
    }

    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut backoff = FIRST_BACKOFF;
        let mut failing = false;
        loop {
            let ended = tokio::select! {
                ended = self.follow(&mut backoff, &mut failing) => ended,
                () = stop.cancelled() => return,
            };
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
            tokio::select! {
                () = tokio::time::sleep(backoff.mul_f64(rand::random_range(0.5..1.0))) => {}
                () = stop.cancelled() => return,
            }
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
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
        let (client, driver) = timeout(ANSWER_TIMEOUT, connecting)
            .await
            .map_err(|_| SnapshotError::Silent)??;
        self.tasks.spawn(driver);
        // Listening begins before loading, so that no change falls between the two.
        answered(client.batch_execute("LISTEN mindweave")).await?;
        // Whose objects are whose, before anybody may ask for one.
        self.follow_objects(&client).await?;
        self.reload(&client, &Scope::All).await?;
        self.compare_mcp_servers(&client).await?;
        (*backoff, *failing) = (FIRST_BACKOFF, false);
        tracing::info!(keys = self.index.len(), "keys loaded");

        let mut polls = tokio::time::interval(POLL_INTERVAL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                change = waiting.recv() => {
                    let change = change.ok_or(SnapshotError::Ended)?;
                    let changes = Change::gather(change, &mut waiting);
                    // Relaxed: set before the change that was just received, which the channel orders.
                    let all = missed.swap(false, Ordering::Relaxed);
                    let scopes = if all { vec![Scope::All] } else { Change::scopes(&changes) };
                    for scope in scopes {
                        self.reload(&client, &scope).await?;
                    }
                    if all || Change::concern(&changes, "upstream_objects") {
                        self.follow_objects(&client).await?;
                    }
                    if all || Change::concern(&changes, "mcp_servers") {
                        self.compare_mcp_servers(&client).await?;
                    }
                }
                _ = polls.tick() => self.poll(&client).await?,
            }
        }
    }

    /// Finds what no notification told of.
    async fn poll(&mut self, client: &Client) -> Result<(), SnapshotError> {
        if answered(load::fingerprint(client)).await? != self.fingerprint() {
            self.reload(client, &Scope::All).await?;
        }
        self.compare_mcp_servers(client).await?;
        self.follow_objects(client).await?;
        self.verified();
        Ok(())
    }

    /// Loads what was made upstream since the last time.
    async fn follow_objects(&mut self, client: &Client) -> Result<(), SnapshotError> {
        let loading = load::upstream_objects(client, self.last_object, &self.objects);
        // All of them, at first: there may be many.
        self.last_object = timeout(OBJECTS_TIMEOUT, loading)
            .await
            .map_err(|_| SnapshotError::Silent)??;
        Ok(())
    }

    /// Loads the MCP servers if they aren't those in memory: there are few, and they change seldom.
    async fn compare_mcp_servers(&mut self, client: &Client) -> Result<(), SnapshotError> {
        // Before loading: a change in between is found by the next look.
        let now = answered(load::mcp_fingerprint(client)).await?;
        if self.mcp_fingerprint != Some(now) {
            let servers = answered(load::mcp_servers(client)).await?;
            self.mcp_servers.store(Arc::new(servers));
            self.mcp_fingerprint = Some(now);
        }
        Ok(())
    }

    fn fingerprint(&self) -> Fingerprint {
        let hash = self
            .known
            .values()
            .fold(0, |hash, known| hash ^ known.row_hash);
        Fingerprint {
            rows: i64::try_from(self.known.len()).unwrap_or(i64::MAX),
            hash,
        }
    }

    async fn reload(&mut self, client: &Client, scope: &Scope) -> Result<(), SnapshotError> {
        let loaded = answered(load::keys(client, scope, &self.targets)).await?;
        let present: HashSet<ApiKeyId> = loaded.iter().map(|key| key.id).collect();
        for key in loaded {
            self.put(key);
        }
        let index = &self.index;
        self.known.retain(|id, known| {
            let gone = !present.contains(id) && scope.covers(*id, known.project_id, known.org_id);
            if let Some(hash) = known.hash.filter(|_| gone) {
                index.remove(&hash, *id);
            }
            !gone
        });
        #[expect(
            clippy::cast_precision_loss,
            reason = "a gauge; there are fewer than 2^52 keys"
        )]
        gauge!("mindweave_keys_loaded").set(self.index.len() as f64);
        if *scope == Scope::All {
            self.index.set_complete();
            self.verified();
        }
        Ok(())
    }

    fn put(&mut self, loaded: Loaded) {
        let Loaded {
            id,
            project_id,
            org_id,
            row_hash,
            key,
        } = loaded;
        let hash = key.as_ref().map(|(hash, _)| *hash);
        let before = self.known.insert(
            id,
            Known {
                hash,
                project_id,
                org_id,
                row_hash,
            },
        );
        if let Some(outdated) = before
            .and_then(|before| before.hash)
            .filter(|before| Some(*before) != hash)
        {
            self.index.remove(&outdated, id);
        }
        if let Some((hash, record)) = key {
            self.index.insert(hash, record);
        }
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
        Err(_) => Err(SnapshotError::Silent),
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
