//! How fast rows are stored: by the gateway from its spool, and by psql's `\copy` of the same rows into the same table.

use std::fs::File;
use std::time::Duration;

use ingest::COPY_STATEMENT;
use tokio::time::Instant;

use crate::figures::rate;
use crate::site::Site;

/// Events that the database has, by its cursors.
pub(crate) async fn stored(site: &Site) -> u64 {
    stored_as_told(&site.sql().await).await
}

async fn stored_as_told(sql: &tokio_postgres::Client) -> u64 {
    let query = "SELECT coalesce(sum(seq), 0)::BIGINT FROM ingest_cursor";
    let seq: i64 = sql.query_one(query, &[]).await.unwrap().get(0);
    seq.unsigned_abs()
}

/// Events a second from the first one stored beyond those before to the last.
pub(crate) async fn drain(site: &Site, before: u64, expected: u64) -> f64 {
    let sql = site.sql().await;
    let mut first = None;
    let patience = Instant::now() + Duration::from_mins(5);
    while Instant::now() < patience {
        let now = stored_as_told(&sql).await;
        if now > before && first.is_none() {
            first = Some((Instant::now(), now));
        }
        if now >= expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (began, at) = first.unwrap_or((Instant::now(), before));
    rate(usize::try_from(expected - at).unwrap(), began.elapsed())
}

/// Rows a second. The table holds them again afterwards.
pub(crate) async fn psql(site: &Site) -> f64 {
    let path = site.folder().join("rows");
    let columns = COPY_STATEMENT
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(columns, _)| columns)
        .unwrap();
    let database = &site.scene.database;
    drop(database.psql(&format!(
        "\\copy (SELECT {columns} FROM usage_events ORDER BY time) TO '{}' (FORMAT binary)",
        path.display()
    )));
    let sql = site.sql().await;
    let rows = site.stored().await;
    sql.batch_execute("TRUNCATE usage_events; CHECKPOINT")
        .await
        .unwrap();
    let statement = COPY_STATEMENT.replace("FROM STDIN", "FROM PSTDIN");
    let file = File::open(&path).unwrap();
    let began = Instant::now();
    drop(database.psql_with(&format!("\\{}", statement.to_lowercase()), file));
    rate(usize::try_from(rows).unwrap(), began.elapsed())
}
