//! Calls of MCP tools: what answers show of them is stored beside the event.

use http::Response;
use serde_json::{Value, json};
use testkit::client::question;
use testkit::scene::text;
use testkit::upstream::{Body, whole};
use testkit::{Scene, Upstream, eventually};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{message_start, sse};
use crate::MINDWEAVE;
use crate::stage::{Stage, event_stream, json_answer, message};

fn blocks() -> Vec<Value> {
    vec![
        json!({"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "echo", "server_name": "example", "input": {"a": 1}}),
        json!({"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "is_error": true, "content": [{"type": "text", "text": "no"}]}),
        json!({"type": "tool_use", "id": "toolu_1", "name": "mcp__git_hub__list", "input": {}}),
        json!({"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {}}),
    ]
}

fn answer(stream: bool) -> Response<Body> {
    if !stream {
        let mut message = message();
        message["content"] = Value::Array(blocks());
        return json_answer(200, message.to_string());
    }
    let mut events = vec![message_start()];
    for (index, mut block) in blocks().into_iter().enumerate() {
        let input = block["input"].take();
        block["input"] = json!({});
        events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
        let delta = json!({"type": "input_json_delta", "partial_json": input.to_string()});
        events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
    }
    let delta = json!({"stop_reason": "tool_use"});
    events.push(json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 22}}));
    events.push(json!({"type": "message_stop"}));
    event_stream(whole(sse(&events)))
}

async fn register(scene: &Scene, name: &str) -> Uuid {
    let (project_id, user_id) = (scene.tenant.project_id, scene.tenant.user_id);
    let sql = "INSERT INTO mcp_servers (project_id, registered_by, name, transport_type, transport_config)
        VALUES ($1, $2, $3, 'http', '{}') RETURNING id";
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&project_id, &user_id, &name];
    scene.sql.query_one(sql, &params).await.unwrap().get(0)
}

async fn calls(scene: &Scene, count: usize) -> Vec<Row> {
    eventually(&format!("{count} calls are stored"), || async {
        let sql = "SELECT * FROM mcp_usage ORDER BY time, metadata ->> 'tool_use_id'";
        let rows = scene.sql.query(sql, &[]).await.unwrap();
        (rows.len() == count).then_some(rows)
    })
    .await
}

#[tokio::test]
async fn calls_are_stored_with_what_is_known_of_them() {
    let upstream = Upstream::start(|received| {
        let asked: Value = serde_json::from_slice(&received.body).unwrap();
        async move { answer(asked["stream"] == true) }
    })
    .await;
    let scene = Scene::new().await;
    let registered = register(&scene, "git hub").await;
    let gateway = scene.serve(MINDWEAVE, &upstream).start().await;
    let stage = Stage {
        scene,
        upstream,
        gateway,
    };
    for stream in [false, true] {
        stage.client().post("/v1/messages", &question(stream)).await;
    }
    let events = stage.scene.events(2).await;
    let calls = calls(&stage.scene, 4).await;
    for (event, calls) in events.iter().zip(calls.chunks(2)) {
        let [of_api, of_caller] = calls else {
            panic!("two each")
        };
        let seen = |call: &Row| {
            (
                text(call, "server_name"),
                text(call, "tool_name"),
                text(call, "status"),
                call.get::<_, Option<i32>>("input_size"),
                call.get::<_, Option<i32>>("output_size"),
            )
        };
        let expected = (
            "example".to_owned(),
            "echo".to_owned(),
            "error".to_owned(),
            Some(7),
            Some(29),
        );
        assert_eq!(seen(of_api), expected);
        let expected = (
            "git hub".to_owned(),
            "list".to_owned(),
            "requested".to_owned(),
            Some(2),
            None,
        );
        assert_eq!(seen(of_caller), expected);
        assert_eq!(of_api.get::<_, Option<Uuid>>("server_id"), None);
        assert_eq!(
            of_caller.get::<_, Option<Uuid>>("server_id"),
            Some(registered)
        );
        for call in calls {
            let parent: Uuid = call.get("parent_request_id");
            assert_eq!(parent, event.get::<_, Uuid>("request_id"));
            assert_ne!(parent, call.get::<_, Uuid>("request_id"));
            assert_eq!(
                call.get::<_, Uuid>("project_id"),
                stage.scene.tenant.project_id
            );
        }
    }
}

#[tokio::test]
async fn a_server_counts_from_its_registration_on() {
    let upstream = Upstream::start(|_| async { answer(false) }).await;
    let stage = Stage::before(upstream).await;
    stage.client().ask().await;
    calls(&stage.scene, 2).await;
    let registered = register(&stage.scene, "example").await;
    let mut requests = 1;
    eventually("the new server is known", || {
        requests += 1;
        let (client, scene) = (stage.client(), &stage.scene);
        async move {
            client.ask().await;
            scene.events(requests).await;
            let sql =
                "SELECT count(*) FROM mcp_usage WHERE server_id = $1 AND server_name = 'example'";
            let known: i64 = scene
                .sql
                .query_one(sql, &[&registered])
                .await
                .unwrap()
                .get(0);
            (known > 0).then_some(())
        }
    })
    .await;
    let sql = "UPDATE mcp_servers SET deleted_at = now()";
    stage.scene.sql.batch_execute(sql).await.unwrap();
    eventually("the server is forgotten", || {
        requests += 1;
        let (client, scene) = (stage.client(), &stage.scene);
        async move {
            client.ask().await;
            scene.events(requests).await;
            let sql = "SELECT server_id FROM mcp_usage WHERE server_name = 'example' ORDER BY time DESC LIMIT 1";
            let last: Option<Uuid> = scene.sql.query_one(sql, &[]).await.unwrap().get(0);
            last.is_none().then_some(())
        }
    })
    .await;
}
