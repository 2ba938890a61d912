//! MCP servers and their tools: registered, approved, looked at, and in force on the proxy.

mod guarded;
mod hostile;
mod registry;
mod scans;
mod secrets;

use http::StatusCode;
use serde_json::{Value, json};
use testkit::client::Answer;
use testkit::{Client, Scene, Upstream, upstream};

use crate::stage::{Stage, at, post};

/// A stage whose scans may reach servers on this machine.
async fn stage() -> Stage {
    Stage::with(Scene::new().await, |gateway| {
        gateway.env("MINDWEAVE_MCP_ALLOWED_NETWORKS", "127.0.0.1/32")
    })
    .await
}

/// A body that registers a server.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is made where it is given"
)]
fn server(stage: &Stage, name: &str, kind: &str, config: Value) -> Value {
    json!({"project_id": stage.scene.tenant.project_id, "name": name, "transport_type": kind,
        "transport_config": config})
}

fn path_of(object: &Value) -> String {
    let kind = object["type"].as_str().unwrap().replace('_', "-");
    format!("{kind}s/{}", object["id"].as_str().unwrap())
}

/// Registers one of HTTP.
async fn register(stage: &Stage, api: &Client, url: &str) -> String {
    let name = uuid::Uuid::now_v7().to_string();
    let body = server(stage, &name, "http", json!({ "url": url }));
    path_of(&post(api, "mcp-servers", body).await)
}

async fn scan(api: &Client, server: &str) -> Value {
    post(api, &format!("{server}/scan"), json!({})).await
}

async fn refused(api: &Client, path: &str, body: Value) -> (StatusCode, String) {
    let answer = api.post(&at(path), &body).await;
    assert!(!answer.status.is_success(), "{path}: {answer:?}");
    (answer.status, answer.error_code())
}

/// The codes that a scan has found, with the tools that they are about.
fn codes(server: &Value) -> Vec<String> {
    let findings = server["security_scan_results"]["findings"].as_array();
    let shown = |finding: &Value| {
        let tool = finding["tool"].as_str().unwrap_or("-");
        format!("{tool}:{}", finding["code"].as_str().unwrap())
    };
    findings.unwrap().iter().map(shown).collect()
}

/// What a server that offers tools answers to a question.
fn answer(question: &Value, tools: &Value) -> http::Response<upstream::Body> {
    let result = match question["method"].as_str().unwrap() {
        "initialize" => json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
            "serverInfo": {"name": "test", "version": "1"}}),
        "tools/list" => json!({ "tools": tools }),
        _ => return respond(202, "application/json", ""),
    };
    let body = json!({"jsonrpc": "2.0", "id": question["id"], "result": result});
    respond(200, "application/json", body.to_string())
}

fn respond(
    status: u16,
    kind: &str,
    body: impl Into<bytes::Bytes>,
) -> http::Response<upstream::Body> {
    let response = http::Response::builder()
        .status(status)
        .header("content-type", kind);
    response.body(upstream::whole(body)).unwrap()
}

/// A server of Streamable HTTP that offers whatever the tools are when it is asked.
async fn offering(tools: impl Fn() -> Value + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |received| {
        let question: Value = serde_json::from_slice(&received.body).unwrap_or_default();
        let offer = if question["method"] == "tools/list" {
            tools()
        } else {
            json!(null)
        };
        let response = if question.is_object() {
            answer(&question, &offer)
        } else {
            respond(405, "text/plain", "")
        };
        std::future::ready(response)
    })
    .await
}

fn look() -> Value {
    json!({"name": "look", "description": "Looks.", "annotations": {"readOnlyHint": true},
        "inputSchema": {"type": "object", "properties": {"id": {"type": "string"}}}})
}

/// A request that lets the API reach a server.
async fn naming(caller: &Client, name: &str, url: &str, tool: &str) -> Answer {
    let servers = json!([{"type": "url", "name": name, "url": url}]);
    let tools = json!([{"type": "mcp_toolset", "mcp_server_name": name, "configs": {tool: {"enabled": true}}}]);
    let body = json!({"model": "claude-sonnet-4-5", "max_tokens": 16, "mcp_servers": servers, "tools": tools,
        "messages": [{"role": "user", "content": "Hello"}]});
    caller.post("/v1/messages", &body).await
}

/// The tools of a server, as they are listed.
async fn get_tools(api: &Client, server: &str) -> Vec<Value> {
    let id = server.split_once('/').unwrap().1;
    let list = crate::stage::get(api, &format!("mcp-tools?limit=1000&server_id={id}")).await;
    list["data"].as_array().unwrap().clone()
}
