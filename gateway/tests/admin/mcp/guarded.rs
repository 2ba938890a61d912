//! Scans go where they may, and nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use testkit::Upstream;

use super::{look, offering, path_of, register, respond, scan, server, stage};
use crate::stage::{Stage, post};

fn error_of(scanned: &Value) -> String {
    assert_eq!(scanned["security_scan_status"], "failed", "{scanned}");
    scanned["security_scan_results"]["error"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn nothing_but_public_addresses_is_reached_by_default() {
    let stage = Stage::new().await;
    let admin = stage.of_tenant("admin").await;
    let upstream = offering(|| json!([look()])).await;
    let port = upstream.url().rsplit_once(':').unwrap().1.to_owned();
    let metadata = "http://169.254.169.254/latest/meta-data";
    for host in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ] {
        let path = register(&stage, &admin, &format!("http://{host}:{port}/mcp")).await;
        let error = error_of(&scan(&admin, &path).await);
        assert!(error.contains("not public"), "{host}: {error}");
    }
    let mut body = server(&stage, "m", "stdio", json!({"command": "x"}));
    body["manifest_url"] = json!(metadata);
    let path = path_of(&post(&admin, "mcp-servers", body).await);
    let error = error_of(&scan(&admin, &path).await);
    assert!(error.contains("not public"), "{error}");
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn what_the_configuration_allows_is_reached_also_by_name() {
    let stage = stage().await;
    let admin = stage.of_tenant("admin").await;
    let upstream = offering(|| json!([look()])).await;
    let port = upstream.url().rsplit_once(':').unwrap().1.to_owned();
    let path = register(&stage, &admin, &format!("http://localhost:{port}/mcp")).await;
    assert_eq!(scan(&admin, &path).await["security_scan_status"], "passed");
}

#[tokio::test]
async fn redirects_are_not_followed_and_endpoints_stay_at_home() {
    let stage = stage().await;
    let admin = stage.of_tenant("admin").await;
    let hits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&hits);
    let victim = Upstream::start(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(respond(200, "application/json", "{}"))
    })
    .await;
    let to = victim.url();
    let redirecting = Upstream::start(move |_| {
        let mut response = respond(307, "text/plain", "");
        let location = format!("{to}/admin").parse().unwrap();
        response.headers_mut().insert("location", location);
        std::future::ready(response)
    })
    .await;
    let path = register(&stage, &admin, &redirecting.url()).await;
    let error = error_of(&scan(&admin, &path).await);
    assert!(
        error.contains("307") && error.contains("not followed"),
        "{error}"
    );

    let event = format!("event: endpoint\ndata: {}/messages\n\n", victim.url());
    let straying = Upstream::start(move |_| {
        std::future::ready(respond(200, "text/event-stream", event.clone()))
    })
    .await;
    let body = server(&stage, "sse", "sse", json!({"url": straying.url()}));
    let path = path_of(&post(&admin, "mcp-servers", body).await);
    let error = error_of(&scan(&admin, &path).await);
    assert!(error.contains("own origin"), "{error}");
    assert_eq!(hits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn proxies_of_the_environment_are_not_asked() {
    let proxy = Upstream::start(|_| std::future::ready(respond(500, "text/plain", ""))).await;
    let url = proxy.url();
    let stage = Stage::with(testkit::Scene::new().await, |gateway| {
        let gateway = gateway.env("MINDWEAVE_MCP_ALLOWED_NETWORKS", "127.0.0.1");
        ["HTTP_PROXY", "http_proxy", "ALL_PROXY"]
            .into_iter()
            .fold(gateway, |gateway, name| gateway.env(name, &url))
    })
    .await;
    let admin = stage.of_tenant("admin").await;
    let upstream = offering(|| json!([look()])).await;
    let path = register(&stage, &admin, &upstream.url()).await;
    assert_eq!(scan(&admin, &path).await["security_scan_status"], "passed");
    assert_eq!(proxy.connections(), 0);
}
