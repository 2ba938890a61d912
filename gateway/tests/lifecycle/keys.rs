//! The keys in memory follow those in the database: at once, whatever the change, and again after an outage.

mod away;
mod changes;
mod crowd;
mod disk;
mod lost;
mod rows;

use domain::{KeyHash, KeyKind};
use http::StatusCode;
use testkit::{Client, Scene, eventually};

use crate::stage::Stage;

/// What becomes of a request: `ok`, or the code of its error. A GET leaves no event.
async fn verdict(client: &Client) -> String {
    let answer = client.get("/v1/models").await;
    if answer.status == StatusCode::OK {
        "ok".to_owned()
    } else {
        answer.error_code()
    }
}

/// Waits until that becomes of a request.
async fn becomes(client: &Client, expected: &str) {
    eventually(&format!("the key is {expected}"), || async {
        (verdict(client).await == expected).then_some(())
    })
    .await;
}

/// The SHA-256 that the database has of a key.
fn hash(key: &str) -> String {
    KeyHash::of(key.as_bytes()).to_hex()
}

/// Runs statements on a connection of the test's own, past the link.
async fn change(scene: &Scene, sql: &str) {
    scene.sql.batch_execute(sql).await.unwrap();
}

/// A text that could be a key.
fn some_key() -> String {
    format!("{}{:043}", KeyKind::Live.prefix(), rand::random::<u64>())
}

/// Values of `INSERT INTO api_keys (project_id, created_by, key_prefix, key_hash, name)`.
fn row(stage: &Stage, key: &str) -> String {
    let tenant = &stage.scene.tenant;
    let (project, user, hash) = (tenant.project_id, tenant.user_id, hash(key));
    format!("('{project}', '{user}', 'mw_sk_live_', '{hash}', 'test')")
}

const INSERT: &str =
    "INSERT INTO api_keys (project_id, created_by, key_prefix, key_hash, name) VALUES";
