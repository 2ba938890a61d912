//! Looks at batches, sessions and dreams that were made through a gateway, so that they are metered though nobody else looks.
//!
//! Guarantees: of all gateways on one database one does it at a time; an object is looked at until all that it consumed is seen
//! in the database, or until it is gone or so old that its results are; an upstream that fails is asked again the next time.

use std::sync::Arc;
use std::time::Duration;

use domain::{ApiKeyId, KeyKind, error_chain};
use ingest::{Database, DatabaseError};
use proxy::{CollectError, Collector, KeyRecord, Seen};
use serde::Deserialize;
use tokio::time::MissedTickBehavior;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::snapshot::{Targets, load_key};

/// "mindpoll" in ASCII: the advisory lock of whoever does it.
const LEADER: i64 = 0x6d69_6e64_706f_6c6c;
/// Objects looked at in one run; those that have waited longest come first.
const MOST: i64 = 1_000;

/// Runs at intervals.
pub(crate) struct Polling {
    pub(crate) interval: Duration,
    pub(crate) database: Database,
    pub(crate) targets: Targets,
    pub(crate) collector: Collector,
    pub(crate) tasks: TaskTracker,
}

#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error(transparent)]
    Connect(#[from] DatabaseError),
    #[error("a query failed")]
    Query(#[from] tokio_postgres::Error),
}

/// What an object upstream says of itself, as far as it matters; what it leaves out is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    id: Option<String>,
    /// Of a batch.
    processing_status: Option<String>,
    request_counts: Option<RequestCounts>,
    /// Of a session or dream.
    status: Option<String>,
    archived_at: Option<String>,
    /// What runs a dream.
    session_id: Option<String>,
    usage: Option<Shown>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RequestCounts {
    succeeded: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Shown {
    input_tokens: i64,
    output_tokens: i64,
}

/// Something that may hold what isn't metered.
struct Object {
    id: String,
    kind: String,
    api_key_id: ApiKeyId,
    /// Whether it is gone, if the upstream says so, and not just out of sight for a while.
    is_old: bool,
}

impl Polling {
    /// Runs until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let working = async {
            loop {
                ticks.tick().await;
                if let Err(error) = self.once().await {
                    tracing::warn!(
                        error = error_chain(&error),
                        "batches and sessions could not be looked at"
                    );
                }
            }
        };
        tokio::select! {
            () = working => {}
            () = stop.cancelled() => {}
        }
    }

    /// One run, over a connection of its own: the lock is the session's and ends with it.
    async fn once(&self) -> Result<(), PollError> {
        let client = self.database.connect(&self.tasks).await?;
        let lock = client.query_one("SELECT pg_try_advisory_lock($1)", &[&LEADER]);
        if !lock.await?.try_get::<_, bool>(0)? {
            return Ok(()); // another gateway is at it
        }
        for object in open_objects(&client).await? {
            let Some(key) = load_key(&client, object.api_key_id, &self.targets).await? else {
                // Without its key's row nobody knows any more who answers for it.
                if !has_key(&client, &object).await? {
                    settle(&client, &object).await?;
                }
                continue;
            };
            if key.kind == KeyKind::Test {
                settle(&client, &object).await?;
                continue;
            }
            match self.look(&client, &object, key).await? {
                Ok(true) => settle(&client, &object).await?,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(id = object.id, %error, "an object upstream could not be looked at");
                }
            }
        }
        Ok(())
    }

    /// Looks at one. Answers whether there is nothing left to be seen.
    async fn look(
        &self,
        client: &Client,
        object: &Object,
        key: Arc<KeyRecord>,
    ) -> Result<Result<bool, CollectError>, PollError> {
        let path = object.path();
        let seen = match self
            .collector
            .get(Arc::clone(&key), &object.id, path.clone())
            .await
        {
            Ok(seen) => seen,
            Err(error) => return Ok(Err(error)),
        };
        let state = match seen {
            Seen { status: 404, .. } => return Ok(Ok(object.is_old)),
            Seen { status: 200, body } => serde_json::from_slice::<State>(&body).ok(),
            Seen { .. } => None,
        };
        let Some(state) = state else {
            tracing::warn!(id = object.id, "an object upstream is not shown");
            return Ok(Ok(false));
        };
        if object.kind != "batches" {
            return Ok(Ok(state.is_over() && state.is_counted(client).await?));
        }
        if state.processing_status.as_deref() != Some("ended") {
            return Ok(Ok(false));
        }
        let Some(RequestCounts { succeeded }) = state.request_counts else {
            return Ok(Ok(false));
        };
        let query = "SELECT count(*) FROM ingest_dedupe WHERE source = $1";
        let stored: i64 = client.query_one(query, &[&object.id]).await?.try_get(0)?;
        if stored >= succeeded {
            return Ok(Ok(true));
        }
        // The next run sees whether all of them are stored.
        let results = self
            .collector
            .get(key, &object.id, format!("{path}/results"));
        Ok(results.await.map(|_| false))
    }
}

impl Object {
    fn path(&self) -> String {
        let Self { id, kind, .. } = self;
        match kind.as_str() {
            "batches" => format!("/v1/messages/batches/{id}"),
            _ => format!("/v1/{kind}/{id}"),
        }
    }
}

/// Results are there for 29 days; sessions may go on for much longer.
async fn open_objects(client: &Client) -> Result<Vec<Object>, PollError> {
    let query = "UPDATE upstream_objects SET polled_at = now() WHERE id IN (
            SELECT id FROM upstream_objects
            WHERE settled_at IS NULL AND kind IN ('batches', 'sessions', 'dreams')
                AND created_at > now() - CASE kind WHEN 'batches' THEN interval '29 days' ELSE interval '400 days' END
            ORDER BY polled_at NULLS FIRST LIMIT $1)
        RETURNING id, kind, api_key_id, created_at < now() - interval '1 day'";
    let rows = client.query(query, &[&MOST]).await?;
    let object = |row: &tokio_postgres::Row| -> Result<Object, tokio_postgres::Error> {
        Ok(Object {
            id: row.try_get(0)?,
            kind: row.try_get(1)?,
            api_key_id: ApiKeyId(row.try_get(2)?),
            is_old: row.try_get(3)?,
        })
    };
    Ok(rows.iter().map(object).collect::<Result<_, _>>()?)
}

async fn has_key(client: &Client, object: &Object) -> Result<bool, PollError> {
    let query = "SELECT EXISTS (SELECT FROM api_keys WHERE id = $1)";
    let row = client.query_one(query, &[&object.api_key_id.0]).await?;
    Ok(row.try_get(0)?)
}

async fn settle(client: &Client, object: &Object) -> Result<(), PollError> {
    let statement = "UPDATE upstream_objects SET settled_at = now() WHERE id = $1";
    client.execute(statement, &[&object.id]).await?;
    Ok(())
}

impl State {
    /// Whether a session or dream will consume nothing more. After a cancel a dream may.
    fn is_over(&self) -> bool {
        let status = self.status.as_deref();
        matches!(status, Some("terminated" | "completed" | "failed")) || self.archived_at.is_some()
    }

    /// Whether all that it shows is in the database.
    async fn is_counted(&self, client: &Client) -> Result<bool, PollError> {
        let id = self.session_id.as_ref().or(self.id.as_ref());
        let query = "SELECT input_tokens, output_tokens FROM upstream_totals WHERE id = $1";
        let Some(row) = client.query_opt(query, &[&id]).await? else {
            return Ok(false);
        };
        let counted = (row.try_get::<_, i64>(0)?, row.try_get::<_, i64>(1)?);
        let shown = self.usage.as_ref();
        Ok(shown.is_none_or(|shown| {
            counted.0 >= shown.input_tokens && counted.1 >= shown.output_tokens
        }))
    }
}
