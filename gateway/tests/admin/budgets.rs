//! What is left of limits: what was spent through the data plane, and what runs.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body::Frame;
use serde_json::{Value, json};
use testkit::client::question;
use testkit::{Client, Scene, Tenant, Upstream, eventually, upstream};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::MINDWEAVE;
use crate::stage::{Stage, admin_key, at, get, post};

async fn key_id(scene: &Scene) -> Uuid {
    let sql = "SELECT id FROM api_keys WHERE project_id = $1";
    let row = scene.sql.query_one(sql, &[&scene.tenant.project_id]).await;
    row.unwrap().get(0)
}

/// Makes a limit of each kind, and gives the path at which they are read once they are in force.
async fn limits(stage: &Stage, api: &Client) -> String {
    for (name, rules) in [
        (
            "day",
            json!({"max_tokens_per_day": 1_000_000, "max_cost_per_month_usd": "7.5"}),
        ),
        (
            "keys",
            json!({"max_requests_per_hour": 1_000, "per": "key"}),
        ),
        (
            "users",
            json!({"max_output_tokens_per_week": 1_000_000, "per": "user"}),
        ),
    ] {
        let policy = json!({"name": name, "policy_type": "usage", "rules": rules});
        post(api, "policies", policy).await;
    }
    let path = format!("budgets?api_key_id={}", key_id(&stage.scene).await);
    read(api, &path, 4).await;
    path
}

/// The budgets at a path, once there are so many and nothing is held.
async fn read(api: &Client, path: &str, count: usize) -> Value {
    eventually("budgets are at rest", || async {
        let budgets = get(api, path).await;
        let data = budgets["data"].as_array().unwrap();
        let is_held = |it: &Value| it["held"].as_str().is_some_and(|held| held != "0");
        let at_rest = data.len() == count && !data.iter().any(is_held);
        (at_rest && budgets["settled"] == true).then_some(budgets)
    })
    .await
}

/// What the ledger has, in the units of the limits, in their order.
async fn spent(scene: &Scene) -> Vec<String> {
    let sql = "SELECT sum(input_tokens + cache_read_tokens + cache_write_tokens + output_tokens)::text,
            trim_scale(sum(cost_cents) / 100)::text, count(*)::text, sum(output_tokens)::text FROM usage_events";
    let row = scene.sql.query_one(sql, &[]).await.unwrap();
    (0..4).map(|place| row.get(place)).collect()
}

fn column(budgets: &Value, name: &str) -> Vec<String> {
    let data = budgets["data"].as_array().unwrap();
    let text = |it: &Value| it[name].as_str().unwrap().to_owned();
    data.iter().map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_are_what_was_spent_to_the_picodollar_also_after_a_restart() {
    let stage = Stage::new().await;
    let admin = stage.of_tenant("admin").await;
    let path = limits(&stage, &admin).await;
    let before = read(&admin, &path, 4).await;
    assert_eq!(column(&before, "spent"), ["0", "0", "0", "0"]);
    assert_eq!(
        column(&before, "remaining"),
        ["1000000", "7.5", "1000", "1000000"]
    );
    assert_eq!(
        column(&before, "scope"),
        ["organization", "organization", "key", "user"]
    );
    let proxy = stage.gateway.client(&stage.scene.key);
    for count in 1..=3 {
        assert_eq!(proxy.ask().await.status, StatusCode::OK);
        stage.scene.events(count).await;
        let after = read(&admin, &path, 4).await;
        assert_eq!(column(&after, "spent"), spent(&stage.scene).await);
    }
    let after = read(&admin, &path, 4).await;
    let [all, cost, requests, _] = spent(&stage.scene).await.try_into().unwrap();
    assert_ne!(cost, "0");
    let all = 1_000_000 - all.parse::<i64>().unwrap();
    let remaining = column(&after, "remaining");
    assert_eq!(
        (&remaining[0], &remaining[2]),
        (&all.to_string(), &"997".to_owned())
    );
    assert_eq!(requests, "3");

    let Stage { scene, gateway, .. } = stage;
    let instance = after["instance_id"].clone();
    gateway.stop().await;
    let stage = Stage::on(scene).await;
    let admin = stage.of_tenant("admin").await;
    let again = read(&admin, &path, 4).await;
    assert_eq!(column(&again, "spent"), column(&after, "spent"));
    assert_eq!(column(&again, "resets_at"), column(&after, "resets_at"));
    assert_ne!(again["instance_id"], instance, "another one counts");
}

fn sse(kind: &str, mut data: Value) -> Frame<Bytes> {
    data["type"] = json!(kind);
    Frame::data(format!("event: {kind}\ndata: {data}\n\n").into())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_held_until_it_has_ended() {
    let (sender, body) = upstream::paced();
    let body = std::sync::Arc::new(Mutex::new(Some(body)));
    let upstream = Upstream::start(move |_| {
        let body = std::sync::Arc::clone(&body);
        async move {
            let body = body.lock().await.take().unwrap();
            let response = Response::builder().header("content-type", "text/event-stream");
            response.body(body).unwrap()
        }
    })
    .await;
    let scene = Scene::new().await;
    let gateway = scene.serve(MINDWEAVE, &upstream).start().await;
    let key = admin_key(&scene, None, None, "owner").await;
    let stage = Stage {
        installation: Client::new(gateway.ready_text("admin_url"), &key),
        scene,
        gateway,
    };
    let admin = stage.of_tenant("admin").await;
    let path = limits(&stage, &admin).await;
    let usage = json!({"input_tokens": 11, "output_tokens": 1});
    let start = json!({"message": {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-5",
        "content": [], "usage": usage}});
    sender.send(Ok(sse("message_start", start))).await.unwrap();
    let proxy = stage.gateway.client(&stage.scene.key);
    let question = question(true).to_string();
    // A third of the bytes, and no more than max_tokens.
    let estimate = question.len().div_ceil(3) + 32;
    let asking = proxy.send(Method::POST, "/v1/messages", question);
    let looking = async {
        let running = eventually("it is held", || async {
            let budgets = get(&admin, &path).await;
            let held = column(&budgets, "held");
            (held[2] == "1").then_some(budgets)
        })
        .await;
        let end = json!({"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 23}});
        sender.send(Ok(sse("message_delta", end))).await.unwrap();
        sender
            .send(Ok(sse("message_stop", json!({}))))
            .await
            .unwrap();
        drop(sender);
        running
    };
    let (answer, running) = tokio::join!(asking, looking);
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(column(&running, "spent"), ["0", "0", "0", "0"]);
    let held = column(&running, "held");
    assert_eq!(
        (&held[0], &held[3]),
        (&estimate.to_string(), &"32".to_owned())
    );
    assert_ne!(held[1], "0");
    let left = 1_000_000 - estimate;
    assert_eq!(column(&running, "remaining")[0], left.to_string());
    stage.scene.events(1).await;
    let ended = read(&admin, &path, 4).await;
    assert_eq!(column(&ended, "spent"), spent(&stage.scene).await);
    assert_eq!(column(&ended, "spent")[0], "34");
}

#[tokio::test]
async fn what_each_has_apart_is_read_when_it_is_said_whose() {
    let stage = Stage::new().await;
    let viewer = stage.of_tenant("viewer").await;
    let admin = stage.of_tenant("admin").await;
    limits(&stage, &admin).await;
    let project = stage.scene.tenant.project_id;
    let path = format!("projects/{project}");
    post(
        &admin,
        &path,
        json!({"quotas": {"max_requests_per_minute": 60}}),
    )
    .await;
    let policy = json!({"name": "models", "policy_type": "usage", "project_id": project,
        "rules": {"max_tokens_per_day": 100, "per": ["project", "model"], "action": "warn"}});
    post(&admin, "policies", policy).await;
    let all = read(&viewer, "budgets", 6).await;
    let states: Vec<_> = ["scope", "state"].map(|name| column(&all, name)).into();
    assert_eq!(
        states[0],
        [
            "organization",
            "organization",
            "key",
            "user",
            "project",
            "project"
        ],
        "{all}"
    );
    assert_eq!(
        states[1],
        ["ok", "ok", "apart", "apart", "apart", "ok"],
        "{all}"
    );
    assert_eq!(all["data"][2]["spent"], json!(null));
    let quota = &all["data"][5];
    assert_eq!(
        (&quota["source"], &quota["limit"], &quota["remaining"]),
        (&json!("quota"), &json!("60"), &json!("60"))
    );
    assert_eq!(quota["project_id"], json!(project));
    let proxy = stage.gateway.client(&stage.scene.key);
    assert_eq!(proxy.ask().await.status, StatusCode::OK);
    stage.scene.events(1).await;
    let user = stage.scene.tenant.user_id;
    let of_user = read(
        &viewer,
        &format!("budgets?user_id={user}&model=claude-sonnet-5"),
        6,
    )
    .await;
    let states = column(&of_user, "state");
    assert_eq!(states[2..4], ["apart", "ok"], "{of_user}");
    let model = &of_user["data"][4];
    assert_eq!(
        (&model["model"], &model["scope_id"]),
        (&json!("claude-sonnet-5"), &json!(project))
    );
    assert_ne!(model["spent"], "0");
    stage
        .scene
        .tenant
        .key(&stage.scene.sql, domain::KeyKind::Test)
        .await;
    let sql = "SELECT id FROM api_keys WHERE key_prefix = 'mw_sk_test_'";
    let test_key: Uuid = stage.scene.sql.query_one(sql, &[]).await.unwrap().get(0);
    let of_tests = get(&viewer, &format!("budgets?api_key_id={test_key}")).await;
    assert_eq!(column(&of_tests, "window"), ["minute"], "{of_tests}");
    let cut = get(&viewer, "budgets?limit=2").await;
    assert_eq!(
        (cut["data"].as_array().unwrap().len(), &cut["has_more"]),
        (2, &json!(true))
    );
}

#[tokio::test]
async fn budgets_of_others_are_not_there_and_bad_queries_are_told_where() {
    let stage = Stage::new().await;
    let viewer = stage.of_tenant("viewer").await;
    let other = Tenant::create(&stage.scene.sql).await;
    let key = key_id(&stage.scene).await;
    for query in [
        format!("org_id={}", other.org_id),
        format!("project_id={}", other.project_id),
        format!("user_id={}", other.user_id),
        format!("api_key_id={}", Uuid::now_v7()),
    ] {
        let answer = viewer.get(&at(&format!("budgets?{query}"))).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{query}: {answer:?}");
    }
    for (query, place) in [
        ("limit=0".to_owned(), "limit"),
        ("limit=1001".to_owned(), "limit"),
        ("model=".to_owned(), "model"),
        ("api_key_id=x".to_owned(), "api_key_id"),
        ("nothing=1".to_owned(), "nothing"),
        (
            format!("api_key_id={key}&project_id={}", Uuid::nil()),
            "project_id",
        ),
        (
            format!("api_key_id={key}&user_id={}", Uuid::nil()),
            "user_id",
        ),
    ] {
        let answer = viewer.get(&at(&format!("budgets?{query}"))).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{query}: {answer:?}"
        );
        let found = &answer.json()["error"]["details"]["path"];
        assert_eq!(found, place, "{query}: {answer:?}");
    }
    let nobodys = stage.installation.get(&at("budgets")).await;
    assert_eq!(nobodys.json()["error"]["details"]["path"], "org_id");
    let of = format!("budgets?org_id={}", other.org_id);
    get(&stage.installation, &of).await;
}
