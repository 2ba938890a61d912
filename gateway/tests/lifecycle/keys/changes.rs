//! Every kind of change counts as soon as it is committed.

use std::time::Duration;

use testkit::Client;
use tokio::time::Instant;

use super::{INSERT, becomes, change, hash, row, some_key, verdict};
use crate::stage::Stage;

const ROUNDS: usize = 3;
/// What is promised for the median here; one slow moment of a busy machine is no fault of the gateway's.
const PROMISED: Duration = Duration::from_millis(100);

/// What is changed, what becomes of the key, and what undoes it.
struct Case {
    change: String,
    verdict: &'static str,
    undo: String,
}

fn of_key(key: &str, change: &str, verdict: &'static str, undo: &str) -> Case {
    let set = |set: &str| {
        let hash = hash(key);
        format!("UPDATE api_keys SET {set} WHERE key_hash = '{hash}'")
    };
    Case {
        change: set(change),
        verdict,
        undo: set(undo),
    }
}

fn of_tenant(table: &str, change: &str, verdict: &'static str, undo: &str) -> Case {
    Case {
        change: format!("UPDATE {table} SET {change}"),
        verdict,
        undo: format!("UPDATE {table} SET {undo}"),
    }
}

fn cases(stage: &Stage, key: &str) -> Vec<Case> {
    let past = "expires_at = now() - interval '1 s'";
    vec![
        of_key(
            key,
            "status = 'revoked'",
            "key_revoked",
            "status = 'active'",
        ),
        of_key(
            key,
            "status = 'expired'",
            "key_expired",
            "status = 'active'",
        ),
        of_key(key, past, "key_expired", "expires_at = NULL"),
        of_key(
            key,
            "scopes = '{write}'",
            "scope_missing",
            "scopes = '{read,write}'",
        ),
        of_key(
            key,
            "allowed_ips = '{10.0.0.0/8}'",
            "ip_not_allowed",
            "allowed_ips = '{127.0.0.0/8}'",
        ),
        of_tenant(
            "projects",
            "status = 'paused'",
            "project_inactive",
            "status = 'active'",
        ),
        of_tenant(
            "projects",
            "status = 'archived'",
            "project_inactive",
            "status = 'active'",
        ),
        of_tenant(
            "projects",
            "deleted_at = now()",
            "project_inactive",
            "deleted_at = NULL",
        ),
        of_tenant(
            "organizations",
            "status = 'suspended'",
            "organization_inactive",
            "status = 'active'",
        ),
        of_tenant(
            "organizations",
            "deleted_at = now()",
            "organization_inactive",
            "deleted_at = NULL",
        ),
        Case {
            change: format!("DELETE FROM api_keys WHERE key_hash = '{}'", hash(key)),
            verdict: "key_unknown",
            undo: format!("{INSERT} {}", row(stage, key)),
        },
    ]
}

/// How long a change takes to count, its own commit included.
async fn measure(stage: &Stage, client: &Client, sql: &str, verdict: &str) -> Duration {
    let began = Instant::now();
    change(&stage.scene, sql).await;
    becomes(client, verdict).await;
    began.elapsed()
}

#[tokio::test]
async fn every_change_counts_within_100_ms_of_its_commit() {
    let stage = Stage::new().await;
    let key = some_key();
    let client = stage.gateway.client(&key);
    assert_eq!(verdict(&client).await, "key_unknown");
    change(&stage.scene, &format!("{INSERT} {}", row(&stage, &key))).await;
    becomes(&client, "ok").await;

    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        for case in cases(&stage, &key) {
            took.push(measure(&stage, &client, &case.change, case.verdict).await);
            took.push(measure(&stage, &client, &case.undo, "ok").await);
        }
    }
    took.sort();
    let quantile = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!(
        "{} changes counted after {:?} (median), {:?} (p95), {:?} (p99)",
        took.len(),
        quantile(50),
        quantile(95),
        quantile(99)
    );
    assert!(quantile(50) < PROMISED, "{took:?}");
}

#[tokio::test]
async fn a_rotated_key_is_known_by_its_new_text_and_no_more_by_its_old_one() {
    let stage = Stage::new().await;
    let (old, new) = (stage.scene.key.clone(), some_key());
    assert_eq!(verdict(&stage.gateway.client(&new)).await, "key_unknown");
    change(
        &stage.scene,
        &format!("UPDATE api_keys SET key_hash = '{}'", hash(&new)),
    )
    .await;
    becomes(&stage.gateway.client(&new), "ok").await;
    assert_eq!(verdict(&stage.gateway.client(&old)).await, "key_unknown");
    let loaded = stage.gateway.metric("mindweave_keys_loaded").await;
    assert!((loaded - 1.0).abs() < f64::EPSILON, "{loaded} keys");
}

#[tokio::test]
async fn a_key_expires_by_the_clock_without_any_change() {
    let stage = Stage::new().await;
    let client = stage.client();
    change(
        &stage.scene,
        "UPDATE api_keys SET expires_at = now() + interval '1500 ms'",
    )
    .await;
    assert_eq!(verdict(&client).await, "ok");
    let began = Instant::now();
    becomes(&client, "key_expired").await;
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_change_that_is_rolled_back_never_counts() {
    let mut stage = Stage::new().await;
    let client = stage.client();
    let transaction = stage.scene.sql.transaction().await.unwrap();
    transaction
        .batch_execute("UPDATE api_keys SET status = 'revoked'")
        .await
        .unwrap();
    assert_eq!(verdict(&client).await, "ok");
    transaction.rollback().await.unwrap();
    // Another change, committed after it, has been heard of: so would that one have been.
    change(&stage.scene, "UPDATE api_keys SET scopes = '{write}'").await;
    becomes(&client, "scope_missing").await;
}
