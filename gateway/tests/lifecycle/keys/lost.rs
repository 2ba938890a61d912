//! Notifications that never arrive, and connections that say nothing any more.

use std::time::Duration;

use testkit::{Tenant, eventually};
use tokio::time::Instant;

use super::{becomes, change, verdict};
use crate::stage::Stage;

/// The poll's five seconds, and slack for a busy machine.
const POLLED: Duration = Duration::from_secs(10);

/// Nobody is told of changes to keys from now on.
const SILENCE: &str = "ALTER TABLE api_keys DISABLE TRIGGER notify_change";

#[tokio::test]
async fn a_lost_notification_is_made_up_by_the_poll() {
    let stage = Stage::new().await;
    let client = stage.client();
    change(&stage.scene, SILENCE).await;
    for (status, verdict) in [("revoked", "key_revoked"), ("active", "ok")] {
        let began = Instant::now();
        let sql = format!("UPDATE api_keys SET status = '{status}'");
        change(&stage.scene, &sql).await;
        becomes(&client, verdict).await;
        let took = began.elapsed();
        println!("{verdict} after {took:?}");
        assert!(took < POLLED, "{took:?}");
    }
}

#[tokio::test]
async fn a_lost_notification_is_made_up_while_others_keep_arriving() {
    let stage = Stage::new().await;
    let client = stage.client();
    // Somebody else, whose changes make nobody look at this key.
    let other = Tenant::create(&stage.scene.sql).await.org_id;
    change(&stage.scene, SILENCE).await;
    change(&stage.scene, "UPDATE api_keys SET status = 'revoked'").await;
    let began = Instant::now();
    eventually("the revocation counts", || async {
        let name = began.elapsed().as_micros();
        let rename = format!("UPDATE organizations SET name = '{name}' WHERE id = '{other}'");
        change(&stage.scene, &rename).await;
        (verdict(&client).await == "key_revoked").then_some(())
    })
    .await;
    assert!(began.elapsed() < POLLED, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_connection_that_says_nothing_any_more_is_given_up() {
    let stage = Stage::new().await;
    let client = stage.client();
    stage.link.fall_silent();
    change(&stage.scene, "UPDATE api_keys SET status = 'revoked'").await;
    let began = Instant::now();
    becomes(&client, "key_revoked").await;
    println!("given up and made up for after {:?}", began.elapsed());
}
