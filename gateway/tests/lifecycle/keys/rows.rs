//! Rows as the database allows them, however odd: one that makes no sense harms only itself.

use super::{INSERT, becomes, change, hash, row, some_key, verdict};
use crate::stage::Stage;

/// Sets something odd on one key; it must be judged as expected, now and by a gateway that starts later,
/// and other keys must still be followed.
async fn check(odd: &str, expected: &str) {
    let stage = Stage::new().await;
    let (key, other) = (some_key(), some_key());
    change(&stage.scene, &format!("{INSERT} {}", row(&stage, &key))).await;
    becomes(&stage.gateway.client(&key), "ok").await;
    let sql = format!(
        "UPDATE api_keys SET {odd} WHERE key_hash = '{}'",
        hash(&key)
    );
    change(&stage.scene, &sql).await;
    change(&stage.scene, &format!("{INSERT} {}", row(&stage, &other))).await;
    becomes(&stage.gateway.client(&other), "ok").await;
    becomes(&stage.gateway.client(&key), expected).await;

    let later = Stage::on(stage.scene, |builder| builder).await;
    assert_eq!(verdict(&later.client()).await, "ok", "{odd}");
    assert_eq!(
        verdict(&later.gateway.client(&key)).await,
        expected,
        "{odd}"
    );
}

#[tokio::test]
async fn a_key_that_expires_at_infinity_never_expires() {
    check("expires_at = 'infinity'", "ok").await;
}

#[tokio::test]
async fn a_key_that_expired_at_minus_infinity_has_expired() {
    check("expires_at = '-infinity'", "key_expired").await;
}

#[tokio::test]
async fn a_key_that_expires_at_the_end_of_time_has_not_expired() {
    check("expires_at = '294276-12-31 23:59:59 UTC'", "ok").await;
}

#[tokio::test]
async fn a_key_that_expired_before_christ_has_expired() {
    check("expires_at = '4713-01-01 00:00:00 BC'", "key_expired").await;
}

#[tokio::test]
async fn a_scope_that_is_null_harms_only_its_key() {
    check("scopes = ARRAY['write', NULL]", "scope_missing").await;
}

#[tokio::test]
async fn an_address_that_is_null_harms_only_its_key() {
    check("allowed_ips = ARRAY[NULL]::inet[]", "ip_not_allowed").await;
}

#[tokio::test]
async fn a_malformed_hash_harms_only_its_key() {
    check("key_hash = 'nonsense'", "key_unknown").await;
}

#[tokio::test]
async fn an_unknown_prefix_harms_only_its_key() {
    check("key_prefix = 'mw_sk_other_'", "key_unknown").await;
}

#[tokio::test]
async fn a_network_with_host_bits_is_a_network() {
    check("allowed_ips = '{127.1.2.3/8}'", "ok").await;
}

/// Makes a change that the gateway sees all at once, and waits until it counts.
async fn change_at_once(stage: &Stage, sql: &str) {
    let marks = [some_key(), some_key()];
    let mark = |at: usize| format!("{INSERT} {}", row(stage, &marks[at]));
    stage.link.cut();
    change(&stage.scene, &format!("{sql}; {}", mark(0))).await;
    stage.link.restore();
    becomes(&stage.gateway.client(&marks[0]), "ok").await;
    // The first key may show before all is done, the second is heard of afterwards.
    change(&stage.scene, &mark(1)).await;
    becomes(&stage.gateway.client(&marks[1]), "ok").await;
}

#[tokio::test]
async fn a_key_that_was_deleted_and_made_again_works() {
    let stage = Stage::new().await;
    // As a restored backup does it: another row, the same key.
    let again = row(&stage, &stage.scene.key);
    let sql = format!("DELETE FROM api_keys; {INSERT} {again}");
    change_at_once(&stage, &sql).await;
    assert_eq!(verdict(&stage.client()).await, "ok");
}

#[tokio::test]
async fn two_keys_that_change_places_both_work() {
    let stage = Stage::new().await;
    let (one, two) = (stage.scene.key.clone(), some_key());
    change(&stage.scene, &format!("{INSERT} {}", row(&stage, &two))).await;
    becomes(&stage.gateway.client(&two), "ok").await;
    let set = |from: &str, to: &str| {
        format!("UPDATE api_keys SET key_hash = '{to}' WHERE key_hash = '{from}'")
    };
    let swap = [
        set(&hash(&one), "aside"),
        set(&hash(&two), &hash(&one)),
        set("aside", &hash(&two)),
    ];
    change_at_once(&stage, &swap.join("; ")).await;
    for key in [&one, &two] {
        assert_eq!(verdict(&stage.gateway.client(key)).await, "ok");
    }
}
