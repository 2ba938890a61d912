//! Behind a proxy: who is believed, and what comes of it.

use http::StatusCode;
use testkit::{Client, Scene};

use crate::stage::{Stage, admin_key, at, post, project};

/// A gateway behind a proxy at 127.0.0.1, and a key that is for 10.9.8.0/24 alone.
async fn behind(trusted: &str) -> (Stage, Client) {
    behind_by("MINDWEAVE_ADMIN_TRUSTED_PROXIES", trusted).await
}

async fn behind_by(setting: &str, trusted: &str) -> (Stage, Client) {
    let set = |gateway: testkit::gateway::Builder| gateway.env(setting, trusted);
    let stage = Stage::with(Scene::new().await, set).await;
    let key = admin_key(&stage.scene, Some(stage.scene.tenant.org_id), None, "admin").await;
    let sql = "UPDATE admin_keys SET allowed_ips = '{10.9.8.0/24}' WHERE org_id IS NOT NULL";
    stage.scene.sql.batch_execute(sql).await.unwrap();
    let client = stage.client(&key);
    (stage, client)
}

async fn from(client: &Client, forwarded: &str) -> StatusCode {
    let client = client.clone().with("x-forwarded-for", forwarded);
    client.get(&at("whoami")).await.status
}

#[tokio::test]
async fn a_trusted_proxy_says_where_a_caller_comes_from() {
    let (stage, client) = behind("127.0.0.1,10.0.0.1").await;
    for good in [
        "10.9.8.7",
        "6.6.6.6, 10.9.8.7",
        "10.9.8.7, 10.0.0.1",
        "10.9.8.7:99",
    ] {
        assert_eq!(from(&client, good).await, StatusCode::OK, "{good}");
    }
    for bad in ["6.6.6.6", "10.9.8.7, 6.6.6.6", "10.9.8.7, rubbish", ""] {
        assert_eq!(from(&client, bad).await, StatusCode::FORBIDDEN, "{bad}");
    }
    let client = client.with("x-forwarded-for", "6.6.6.6, 10.9.8.7");
    post(&client, "projects", project("far")).await;
    let sql = "SELECT host(actor_ip) FROM audit_logs WHERE action = 'projects.create'
        AND changes->'created'->>'slug' = 'far'";
    let row = stage.scene.sql.query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "10.9.8.7");
}

#[tokio::test]
async fn a_stranger_is_who_connects() {
    let (_stage, client) = behind("10.0.0.1").await;
    assert_eq!(from(&client, "10.9.8.7").await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn who_is_believed_on_the_data_plane_is_not_here() {
    let (_stage, client) = behind_by("MINDWEAVE_PROXY_TRUSTED_PROXIES", "127.0.0.1").await;
    assert_eq!(from(&client, "10.9.8.7").await, StatusCode::FORBIDDEN);
}
