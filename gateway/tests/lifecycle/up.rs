//! `mindweave up`: everything from nothing, with a database of its own; what outlives which death.

mod deaths;
mod first;

use domain::KeyHash;
use testkit::{Client, Gateway, eventually};
use tokio_postgres::NoTls;

/// A connection to the database that the ready file names.
async fn connect(gateway: &Gateway) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(gateway.ready_text("database_url"), NoTls)
        .await
        .unwrap();
    testkit::spawn(async move { drop(connection.await) });
    client
}

/// A client with the test key.
fn tester(gateway: &Gateway) -> Client {
    gateway.client(gateway.ready_text("test_api_key"))
}

/// Waits until so many events are stored.
async fn events(gateway: &Gateway, count: i64) {
    let sql = connect(gateway).await;
    eventually(&format!("{count} events are stored"), || async {
        let query = "SELECT count(*) FROM usage_events";
        let stored: i64 = sql.query_one(query, &[]).await.unwrap().get(0);
        assert!(stored <= count, "{stored} events for {count} requests");
        (stored == count).then_some(())
    })
    .await;
}

fn hash(key: &str) -> String {
    KeyHash::of(key.as_bytes()).to_hex()
}
