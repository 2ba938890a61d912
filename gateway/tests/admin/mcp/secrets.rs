//! Secrets go to the server that they are for, and are never seen again.

use std::sync::{Arc, Mutex};

use http::StatusCode;
use serde_json::{Value, json};
use testkit::{Scene, Upstream};

use super::{answer, path_of, respond, scan, server};
use crate::stage::{Stage, at, get, post};

const TOKEN: &str = "tok-3f9a8b7c6d5e";
const OF_FILE: &str = "file-0a1b2c3d4e";
const PASTED: &str = "pasted-99887766";

/// A gateway that has secrets for the scene's organization and for another.
async fn stage() -> Stage {
    let scene = Scene::new().await;
    let sql = "UPDATE organizations SET slug = 'acme-eu'";
    scene.sql.batch_execute(sql).await.unwrap();
    let dir = tempfile::tempdir().unwrap().keep();
    std::fs::create_dir(dir.join("acme-eu")).unwrap();
    std::fs::write(dir.join("acme-eu/FILE"), format!("{OF_FILE}\n")).unwrap();
    Stage::with(scene, |gateway| {
        gateway
            .env("MINDWEAVE_MCP_ALLOWED_NETWORKS", "127.0.0.0/8")
            .env("MINDWEAVE_MCP_SECRETS_DIR", dir.to_str().unwrap())
            .env("MINDWEAVE_SECRET_ACME_EU__TOKEN", TOKEN)
            .env("MINDWEAVE_SECRET_OTHER__THEIRS", "somebody-elses")
            .env("MINDWEAVE_LOG_LEVEL", "trace")
    })
    .await
}

/// A server that says all it hears, wherever it can; in an error if it is asked for that.
async fn echoing() -> (Upstream, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    let upstream = Upstream::start(move |received| {
        let said = ["authorization", "x-second", "x-plain"].map(|name| {
            let value = received.headers.get(name).map(|it| it.to_str().unwrap());
            value.unwrap_or_default().to_owned()
        });
        let said = said.join(" ");
        hearing.lock().unwrap().push(said.clone());
        let question: Value = serde_json::from_slice(&received.body).unwrap_or_default();
        let tools = json!([{"name": format!("t_{said}"), "description": said,
            "inputSchema": {"type": "object", "properties": {said.clone(): {"default": [said]}}}}]);
        let response = if received.uri.path() == "/error" {
            let error = json!({"jsonrpc": "2.0", "id": question["id"], "error": {"code": 1, "message": said}});
            respond(200, "application/json", error.to_string())
        } else {
            answer(&question, &tools)
        };
        std::future::ready(response)
    })
    .await;
    (upstream, heard)
}

#[tokio::test]
async fn a_secret_reaches_its_server_and_comes_back_to_nobody() {
    let stage = stage().await;
    let admin = stage.of_tenant("admin").await;
    let (upstream, heard) = echoing().await;
    let headers = json!({"Authorization": "Bearer ${secrets.TOKEN}", "X-Second": "${secrets.FILE}", "X-Plain": PASTED});
    // Whoever may register only would choose where an admin's scan sends it.
    let member = stage.of_tenant("member").await;
    let config = json!({"url": upstream.url(), "headers": headers});
    let body = server(&stage, "zero", "http", config);
    let refused = member.post(&at("mcp-servers"), &body).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
    assert_eq!(refused.error_code(), "role_missing");
    for (name, path) in [("one", "/mcp"), ("two", "/error")] {
        let config = json!({"url": format!("{}{path}", upstream.url()), "headers": headers});
        let made = post(&admin, "mcp-servers", server(&stage, name, "http", config)).await;
        let shown = &made["transport_config"]["headers"];
        assert_eq!(
            shown,
            &json!({"Authorization": "Bearer ${secrets.TOKEN}", "X-Second": "${secrets.FILE}", "X-Plain": "***"})
        );
        let scanned = scan(&admin, &path_of(&made)).await;
        let has_error = scanned["security_scan_results"]["error"].is_string();
        assert_eq!(has_error, path == "/error", "{scanned}");
        assert!(
            scanned.to_string().contains("[secret]") || !has_error,
            "{scanned}"
        );
    }
    let expected = format!("Bearer {TOKEN} {OF_FILE} {PASTED}");
    assert!(heard.lock().unwrap().contains(&expected), "{heard:?}");

    let tools = get(&admin, "mcp-tools").await;
    assert!(tools.to_string().contains("[secret]"), "{tools}");
    let shown = [
        tools,
        get(&admin, "mcp-servers").await,
        get(&admin, "audit-logs?limit=1000").await,
    ];
    let log = stage.gateway.log();
    for secret in [TOKEN, OF_FILE, PASTED] {
        for shown in &shown {
            assert!(!shown.to_string().contains(secret), "{secret} in {shown}");
        }
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} in the log");
    }
    // What was resolved is stored nowhere.
    let sql = "SELECT string_agg(s::text, ' ') FROM mcp_servers s";
    let stored: String = stage.scene.sql.query_one(sql, &[]).await.unwrap().get(0);
    assert!(!stored.contains(TOKEN) && !stored.contains(OF_FILE));
}

#[tokio::test]
async fn nobody_sends_what_is_not_its_own() {
    let stage = stage().await;
    let admin = stage.of_tenant("admin").await;
    let (upstream, heard) = echoing().await;
    for name in [
        "THEIRS",
        "ANTHROPIC_API_KEY",
        "DATABASE_URL",
        "MINDWEAVE_DATABASE_URL",
        "NONE",
    ] {
        let reference = format!("${{secrets.{name}}}");
        let config = json!({"url": upstream.url(), "headers": {"Authorization": reference}});
        let made = post(&admin, "mcp-servers", server(&stage, name, "http", config)).await;
        let scanned = scan(&admin, &path_of(&made)).await;
        assert_eq!(scanned["security_scan_status"], "failed");
        let error = scanned["security_scan_results"]["error"].as_str().unwrap();
        assert_eq!(error, format!("there is no secret {name}"));
    }
    assert!(heard.lock().unwrap().is_empty(), "{heard:?}");
}
