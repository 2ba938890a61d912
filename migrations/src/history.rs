//! The table `schema_migrations`: what was applied to this database.
//!
//! Reading creates nothing, so that looking at a database leaves it as it was.

use chrono::{DateTime, Utc};
use tokio_postgres::{Client, GenericClient, Row};

use crate::error::Error;
use crate::file_name;
use crate::migration::Migration;

/// An applied migration.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) version: i64,
    pub(crate) name: String,
    pub(crate) checksum: String,
    pub(crate) applied_at: DateTime<Utc>,
}

impl Record {
    /// The up file it was applied from.
    pub(crate) fn file(&self) -> String {
        file_name::up_file(self.version, &self.name)
    }

    fn from_row(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            version: row.try_get(0)?,
            name: row.try_get(1)?,
            checksum: row.try_get(2)?,
            applied_at: row.try_get(3)?,
        })
    }
}

/// Everything applied, oldest first; nothing where there is no table yet.
pub(crate) async fn read(client: &Client) -> Result<Vec<Record>, Error> {
    if !exists(client).await? {
        return Ok(Vec::new());
    }
    let sql = "SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version";
    let rows = client.query(sql, &[]).await;
    rows.and_then(|rows| rows.iter().map(Record::from_row).collect())
        .map_err(Error::database("read schema_migrations"))
}

/// Creates the table unless it is there.
pub(crate) async fn prepare(client: &Client) -> Result<(), Error> {
    if exists(client).await? {
        return Ok(());
    }
    let sql = "CREATE TABLE schema_migrations (
        version BIGINT PRIMARY KEY,
        name TEXT NOT NULL,
        checksum TEXT NOT NULL,
        applied_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        duration_ms BIGINT NOT NULL
    )";
    let created = client.batch_execute(sql).await;
    created.map_err(Error::database("create schema_migrations"))
}

/// The database's time, for [`add`].
pub(crate) async fn now<C: GenericClient>(client: &C) -> Result<DateTime<Utc>, Error> {
    let row = client.query_one("SELECT clock_timestamp()", &[]).await;
    row.and_then(|row| row.try_get(0))
        .map_err(Error::database("read the database's clock"))
}

/// Remembers a migration and answers how many milliseconds it took.
pub(crate) async fn add<C: GenericClient>(
    client: &C,
    migration: &Migration,
    started_at: DateTime<Utc>,
) -> Result<i64, Error> {
    let sql = "INSERT INTO schema_migrations (version, name, checksum, applied_at, duration_ms)
        VALUES ($1, $2, $3, clock_timestamp(),
                (extract(epoch FROM clock_timestamp() - $4::timestamptz) * 1000)::bigint)
        RETURNING duration_ms";
    let checksum = migration.checksum();
    let row = client
        .query_one(
            sql,
            &[&migration.version, &migration.name, &checksum, &started_at],
        )
        .await;
    row.and_then(|row| row.try_get(0))
        .map_err(Error::database("write schema_migrations"))
}

/// Forgets a migration that was undone.
pub(crate) async fn remove<C: GenericClient>(client: &C, version: i64) -> Result<(), Error> {
    let sql = "DELETE FROM schema_migrations WHERE version = $1";
    let removed = client.execute(sql, &[&version]).await;
    removed
        .map(drop)
        .map_err(Error::database("write schema_migrations"))
}

async fn exists(client: &Client) -> Result<bool, Error> {
    let sql = "SELECT to_regclass('schema_migrations') IS NOT NULL";
    let row = client.query_one(sql, &[]).await;
    row.and_then(|row| row.try_get(0))
        .map_err(Error::database("look for schema_migrations"))
}
