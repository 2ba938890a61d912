//! Rows of `api_keys` that make little sense: they concern nobody but themselves.

use domain::KeyKind;
use http::StatusCode;
use testkit::{Scene, Upstream, eventually};

use crate::MINDWEAVE;

/// A scene with a second key, changed by a statement that takes its hash.
async fn check(change: &str, expected: &str) {
    let scene = Scene::new().await;
    let odd = scene.tenant.key(&scene.sql, KeyKind::Live).await;
    let hash = domain::KeyHash::of(odd.as_bytes()).to_hex();
    scene
        .sql
        .execute(
            &format!("UPDATE api_keys SET {change} WHERE key_hash = $1"),
            &[&hash],
        )
        .await
        .unwrap();
    let upstream = Upstream::simulator().await;
    let gateway = scene.serve(MINDWEAVE, &upstream).start().await;

    let answer = gateway.client(&odd).ask().await;
    let found = if answer.status == StatusCode::OK {
        "ok".to_owned()
    } else {
        answer.error_code()
    };
    assert_eq!(found, expected, "{change}");
    assert_eq!(
        gateway.client(&scene.key).ask().await.status,
        StatusCode::OK,
        "another key, after {change}"
    );

    // Changes are still followed.
    scene
        .sql
        .batch_execute("UPDATE projects SET status = 'paused'")
        .await
        .unwrap();
    eventually("the pause counts", || async {
        (gateway.client(&scene.key).ask().await.status == StatusCode::FORBIDDEN).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_key_for_ever_is_good_for_ever() {
    check("expires_at = 'infinity'", "ok").await;
}

#[tokio::test]
async fn a_key_that_ended_before_all_time_has_expired() {
    check("expires_at = '-infinity'", "key_expired").await;
}

#[tokio::test]
async fn an_address_list_with_nothing_in_it_allows_nobody() {
    check("allowed_ips = ARRAY[NULL]::inet[]", "ip_not_allowed").await;
}

#[tokio::test]
async fn scopes_of_nothing_allow_nothing() {
    check("scopes = ARRAY[NULL]::text[]", "scope_missing").await;
}

#[tokio::test]
async fn a_key_of_no_known_kind_is_no_key() {
    check("key_prefix = 'mw_sk_odd_'", "key_unknown").await;
}
