//! What nearly every test needs: a database with a tenant and keys, an upstream, and the gateway between.

use domain::KeyKind;
use tokio_postgres::Row;

use crate::gateway::Builder;
use crate::{Client, Database, Gateway, Tenant, Upstream, eventually};

/// In the order of admission. The driver has no type for `numeric`: `cost` is `cost_cents` as a text.
const EVENTS: &str =
    "SELECT *, cost_cents::TEXT AS cost FROM usage_events ORDER BY time, request_id";

/// A database with one tenant.
#[derive(Debug)]
pub struct Scene {
    /// The database.
    pub database: Database,
    /// A connection to it.
    pub sql: tokio_postgres::Client,
    /// The tenant.
    pub tenant: Tenant,
    /// A live key.
    pub key: String,
}

impl Scene {
    /// On a database of its own.
    pub async fn new() -> Self {
        Self::on(Database::migrated().await).await
    }

    /// On a database that has the schema.
    pub async fn on(database: Database) -> Self {
        let sql = database.connect().await;
        let tenant = Tenant::create(&sql).await;
        let key = tenant.key(&sql, KeyKind::Live).await;
        Self {
            database,
            sql,
            tenant,
            key,
        }
    }

    /// `serve`, with live keys going to an upstream; `binary` is `env!("CARGO_BIN_EXE_mindweave")`.
    #[must_use]
    pub fn serve(&self, binary: &str, upstream: &Upstream) -> Builder {
        Builder::serve(binary, &self.database.url()).upstream(&upstream.url())
    }

    /// A gateway with the simulator as upstream, and a client of it.
    pub async fn simulated(&self, binary: &str) -> (Gateway, Client) {
        let upstream = Upstream::simulator().await;
        let gateway = self.serve(binary, &upstream).start().await;
        let client = gateway.client(&self.key);
        (gateway, client)
    }

    /// Waits until so many events are stored, and gives them in the order of admission.
    pub async fn events(&self, count: usize) -> Vec<Row> {
        eventually(&format!("{count} events are stored"), || async {
            let rows = self.sql.query(EVENTS, &[]).await.unwrap();
            assert!(
                rows.len() <= count,
                "more events than requests: {} > {count}",
                rows.len()
            );
            (rows.len() == count).then_some(rows)
        })
        .await
    }

    /// The event of the only request.
    pub async fn event(&self) -> Row {
        self.events(1).await.remove(0)
    }
}

/// A column's text; empty if null.
#[must_use]
pub fn text(row: &Row, column: &str) -> String {
    row.get::<_, Option<String>>(column).unwrap_or_default()
}
