//! Where a scenario takes place: a database with a tenant behind a link, an upstream, a folder for the gateway.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tempfile::TempDir;
use testkit::gateway::Builder;
use testkit::postgres::Server;
use testkit::{Client, Database, Gateway, Link, Scene};
use tokio::time::Instant;

use crate::audit::Audit;
use crate::callers::{Asking, Call, Until};
use crate::plan::Plan;
use crate::upstream::{Answering, Pace, numbered_model};

pub(crate) struct Site {
    pub(crate) scene: Scene,
    pub(crate) link: Link,
    pub(crate) upstream: Answering,
    folder: TempDir,
    numbers: Arc<AtomicU64>,
    binary: String,
}

/// That nothing moves any more is sure after so long: a writer's longest pause between attempts is much shorter.
const STANDSTILL: Duration = Duration::from_secs(20);

impl Site {
    /// On the server that all share.
    pub(crate) async fn new(plan: &Plan, pace: Pace) -> Self {
        Self::on(Database::migrated().await, plan, pace).await
    }

    /// On a server of its own, which may be ended.
    pub(crate) async fn with_server(plan: &Plan, pace: Pace) -> Self {
        let database = Database::on_its_own_server();
        migrations::up(&mut database.connect().await).await.unwrap();
        Self::on(database, plan, pace).await
    }

    async fn on(database: Database, plan: &Plan, pace: Pace) -> Self {
        Self {
            link: Link::to(database.address()).await,
            scene: Scene::on(database).await,
            upstream: Answering::start(pace).await,
            folder: tempfile::tempdir().unwrap(),
            numbers: Arc::default(),
            binary: plan.binary.clone(),
        }
    }

    pub(crate) fn server(&self) -> &Server {
        self.scene.database.server().unwrap()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A gateway whose files outlive it.
    pub(crate) fn gateway(&self) -> Builder {
        self.gateway_at(&self.scene.database.url_at(&self.link.address()))
    }

    /// The same with nothing between it and the database.
    pub(crate) fn gateway_without_link(&self) -> Builder {
        self.gateway_at(&self.scene.database.url())
    }

    fn gateway_at(&self, url: &str) -> Builder {
        Builder::serve(&self.binary, url)
            .upstream(&self.upstream.url())
            .data_dir(&self.folder.path().join("data"))
            .env("MINDWEAVE_LOG_LEVEL", "info")
    }

    pub(crate) fn client(&self, gateway: &Gateway) -> Client {
        gateway.client(&self.scene.key)
    }

    /// JSON and SSE by halves, each request by its number.
    pub(crate) fn asking(&self, callers: u32, until: Until) -> Asking {
        Asking {
            callers,
            numbers: Arc::clone(&self.numbers),
            streamed: 50,
            per_second: None,
            lateness_counts: false,
            until,
            model: numbered_model,
        }
    }

    /// A connection that is sound, whatever became of earlier ones.
    pub(crate) async fn sql(&self) -> tokio_postgres::Client {
        self.scene.database.connect().await
    }

    /// Rows, and what was set aside.
    pub(crate) async fn stored(&self) -> u64 {
        stored(&self.sql().await).await
    }

    /// Waits until so many are stored, or nothing moves any more; how many there are.
    pub(crate) async fn until_stored(&self, count: u64) -> u64 {
        let sql = self.sql().await;
        let (mut found, mut moved) = (stored(&sql).await, Instant::now());
        while found < count && moved.elapsed() < STANDSTILL {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = stored(&sql).await;
            if now != found {
                (found, moved) = (now, Instant::now());
            }
        }
        found
    }

    /// What callers were told, compared with the table.
    pub(crate) async fn audit(&self, calls: &[Call]) -> Audit {
        Audit::of(&self.sql().await, calls, &self.upstream.seen()).await
    }
}

async fn stored(sql: &tokio_postgres::Client) -> u64 {
    let query =
        "SELECT (SELECT count(*) FROM usage_events) + (SELECT count(*) FROM ingest_dead_letters)";
    let count: i64 = sql.query_one(query, &[]).await.unwrap().get(0);
    count.unsigned_abs()
}
