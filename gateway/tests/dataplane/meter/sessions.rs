//! Sessions of agents, and dreams: whatever shows their running totals, each token is counted once.

use std::sync::{Arc, Mutex};

use domain::KeyKind;
use http::Method;
use serde_json::{Value, json};
use testkit::scene::text;
use testkit::upstream::whole;
use testkit::{Gateway, Scene, Upstream, eventually};
use tokio_postgres::Row;

use super::batches::stored;
use crate::MINDWEAVE;
use crate::stage::{event_stream, json_answer, own_upstream_key};

/// What the upstream says of its session from now on.
#[derive(Clone, Default)]
struct Session(Arc<Mutex<Value>>);

impl Session {
    fn consumes(&self, usage: Value) {
        *self.0.lock().unwrap() = usage;
    }

    fn usage(&self) -> Value {
        self.0.lock().unwrap().clone()
    }

    fn object(&self, model: &str, multiagent: &Value) -> Value {
        json!({"id": "sesn_1", "type": "session", "status": "running",
            "agent": {"id": "agent_1", "type": "agent", "multiagent": multiagent, "model": {"id": model}},
            "usage": self.usage()})
    }

    fn event(&self) -> Value {
        json!({"id": "evt", "type": "session.usage", "usage": self.usage()})
    }
}

async fn upstream(session: &Session, model: &'static str, multiagent: Value) -> Upstream {
    let session = session.clone();
    Upstream::start(move |received| {
        let answer = match (received.method, received.uri.path()) {
            (Method::GET, "/v1/sessions/sesn_1/events/stream") => {
                let event = session.event();
                event_stream(whole(format!("event: session.usage\ndata: {event}\n\n")))
            }
            (Method::GET, "/v1/sessions/sesn_1/events") => {
                json_answer(200, json!({"data": [session.event()]}).to_string())
            }
            (Method::GET, "/v1/sessions") => {
                let list = json!({"data": [session.object(model, &multiagent)], "next_page": null});
                json_answer(200, list.to_string())
            }
            (_, "/v1/dreams/drm_1" | "/v1/dreams") => {
                let dream = json!({"id": "drm_1", "type": "dream", "model": {"id": model, "speed": "standard"},
                    "session_id": "sesn_1", "usage": session.usage()});
                json_answer(200, dream.to_string())
            }
            _ => json_answer(200, session.object(model, &multiagent).to_string()),
        };
        async { answer }
    })
    .await
}

async fn consumed(scene: &Scene) -> Vec<Row> {
    let sql = "SELECT *, trim_scale(cost_cents)::text AS cost FROM usage_events
        WHERE metadata ? 'running_total' ORDER BY time, request_id";
    scene.sql.query(sql, &[]).await.unwrap()
}

fn tokens(row: &Row) -> [i32; 5] {
    [
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
    ]
    .map(|column| row.get(column))
}

async fn see(gateway: &Gateway, key: &str, path: &str) {
    assert_eq!(gateway.client(key).get(path).await.status, 200, "{path}");
    stored(gateway).await;
}

#[tokio::test]
async fn what_is_new_in_a_sessions_total_is_counted_once_for_whoever_made_it() {
    let scene = Scene::new().await;
    let session = Session::default();
    let upstream = upstream(&session, "claude-sonnet-5", json!(null)).await;
    let first = scene.serve(MINDWEAVE, &upstream).start().await;
    let second = scene.serve(MINDWEAVE, &upstream).start().await;
    let colleagues_key = scene.tenant.key(&scene.sql, KeyKind::Live).await;
    let made = first
        .client(&scene.key)
        .post("/v1/sessions", &json!({"agent": "agent_1"}))
        .await;
    assert_eq!(made.json()["id"], "sesn_1");
    stored(&first).await;
    assert!(consumed(&scene).await.is_empty(), "nothing yet");
    eventually("the other key is known", || async {
        let answer = second.client(&colleagues_key).get("/v1/models").await;
        (answer.status == 200).then_some(())
    })
    .await;

    session.consumes(json!({"input_tokens": 1_000_000, "output_tokens": 10,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 40}, "active_seconds": 36.01}));
    // A stream's event names no model: it is known from the answer that made the session.
    see(&first, &scene.key, "/v1/sessions/sesn_1/events/stream").await;
    see(&second, &colleagues_key, "/v1/sessions/sesn_1").await;
    session.consumes(json!({"input_tokens": 1_000_000, "output_tokens": 30, "cache_read_input_tokens": 5,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 50}, "active_seconds": 72,
        "server_tool_use": {"web_search_requests": 2}}));
    let (colleague, creator) = (second.client(&colleagues_key), first.client(&scene.key));
    let (one, two) = tokio::join!(
        colleague.get("/v1/sessions/sesn_1/events"),
        creator.get("/v1/sessions/sesn_1")
    );
    assert!(one.status == 200 && two.status == 200);
    stored(&first).await;
    stored(&second).await;

    let rows = consumed(&scene).await;
    let seen: Vec<_> = rows.iter().map(tokens).collect();
    assert_eq!(seen, [[1_000_000, 10, 0, 140, 40], [0, 20, 5, 10, 10]]);
    // 2 dollars, and so on; 36 of 36.01 seconds at 8 cents an hour; two searches.
    let costs: Vec<_> = rows.iter().map(|row| text(row, "cost")).collect();
    assert_eq!(costs, ["200.131", "2.1041"]);
    let creators = "SELECT api_key_id FROM usage_events WHERE metadata ->> 'endpoint' = 'sessions' AND NOT metadata ? 'running_total' LIMIT 1";
    let creators_key: uuid::Uuid = scene.sql.query_one(creators, &[]).await.unwrap().get(0);
    for row in &rows {
        assert_eq!(
            row.get::<_, uuid::Uuid>("api_key_id"),
            creators_key,
            "the creator's"
        );
        assert_eq!(text(row, "model"), "claude-sonnet-5");
        assert_eq!(text(row, "price_version"), "2026-11-22");
        assert_eq!(text(row, "usage_quality"), "exact");
    }
    assert_eq!(rows[1].get::<_, i32>("web_search_requests"), 2);
    assert_eq!(
        rows[1].get::<_, Value>("metadata")["running_total"]["usage"],
        session.usage()
    );
}

#[tokio::test]
async fn where_many_models_worked_the_apis_own_figure_is_the_cost() {
    let scene = Scene::new().await;
    let session = Session::default();
    let upstream = upstream(&session, "claude-sonnet-5", json!({"type": "coordinator"})).await;
    let gateway = scene.serve(MINDWEAVE, &upstream).start().await;
    session.consumes(json!({"input_tokens": 1_000, "output_tokens": 10}));
    see(&gateway, &scene.key, "/v1/sessions/sesn_1").await;
    for (output, cents) in [(20, "7"), (30, "7"), (30, "12")] {
        session.consumes(json!({"input_tokens": 1_000, "output_tokens": output,
            "list_cost": {"amount": cents, "currency": "USD"}}));
        see(&gateway, &scene.key, "/v1/sessions/sesn_1").await;
    }
    let rows = consumed(&scene).await;
    let seen: Vec<_> = rows
        .iter()
        .map(|row| {
            let metadata: Value = row.get("metadata");
            let basis = metadata.get("unpriced").or(metadata.get("priced_by"));
            (
                text(row, "cost"),
                basis.unwrap().as_str().unwrap().to_owned(),
            )
        })
        .collect();
    // 2 dollars for a million, 10 for a million of output; then what the API says, less what was billed already.
    let expected = [
        ("0.21", "mixed_models"),
        ("6.79", "list_cost"),
        ("0", "list_cost"),
        ("5", "list_cost"),
    ];
    assert_eq!(
        seen,
        expected.map(|(cost, basis)| (cost.to_owned(), basis.to_owned()))
    );
    let metric = r#"mindweave_unpriced_events_total{reason="mixed_models"}"#;
    assert!((gateway.metric(metric).await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_dream_and_the_session_that_runs_it_are_one() {
    let scene = Scene::new().await;
    let session = Session::default();
    let upstream = upstream(&session, "claude-sonnet-5", json!(null)).await;
    let folder = tempfile::tempdir().unwrap();
    let config = own_upstream_key(&folder, &scene.tenant);
    let gateway = scene
        .serve(MINDWEAVE, &upstream)
        .arg("--config")
        .arg(config)
        .start()
        .await;
    gateway
        .client(&scene.key)
        .post("/v1/dreams", &json!({}))
        .await;
    session.consumes(json!({"input_tokens": 1_000, "output_tokens": 10}));
    for path in [
        "/v1/dreams/drm_1",
        "/v1/sessions/sesn_1",
        "/v1/sessions",
        "/v1/dreams/drm_1",
    ] {
        see(&gateway, &scene.key, path).await;
    }
    // A counter beyond what a column holds makes several events.
    session.consumes(json!({"input_tokens": 5_000_001_000_u64, "output_tokens": 10}));
    see(&gateway, &scene.key, "/v1/sessions").await;
    let rows = consumed(&scene).await;
    let inputs: Vec<i64> = rows
        .iter()
        .map(|row| i64::from(row.get::<_, i32>("input_tokens")))
        .collect();
    assert_eq!(inputs.len(), 4);
    assert_eq!(inputs.iter().sum::<i64>(), 5_000_001_000);
    let cents: f64 = rows
        .iter()
        .map(|row| text(row, "cost").parse::<f64>().unwrap())
        .sum();
    assert!((cents - (1_000_000.0 + 0.2 + 0.01)).abs() < 1e-6, "{cents}");
}

#[tokio::test]
async fn a_test_key_pays_nothing_for_its_sessions() {
    let scene = Scene::new().await;
    let session = Session::default();
    let upstream = upstream(&session, "claude-sonnet-5", json!(null)).await;
    let gateway = scene.serve(MINDWEAVE, &upstream).start().await;
    let key = scene.tenant.key(&scene.sql, KeyKind::Test).await;
    eventually("the key is known", || async {
        // The simulator has no sessions.
        let answer = gateway.client(&key).get("/v1/sessions/sesn_1").await;
        (answer.status == 404).then_some(())
    })
    .await;
    assert!(consumed(&scene).await.is_empty());
}
