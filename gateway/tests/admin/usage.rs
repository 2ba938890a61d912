//! What was used, as the admin API tells it.

use http::StatusCode;
use serde_json::{Value, json};
use testkit::{Scene, Tenant};
use tokio_postgres::types::ToSql;

use crate::stage::{Stage, at, get};

/// A row of a day that nobody else uses.
async fn row(scene: &Scene, of: &Tenant, model: &str, cents: &str, metadata: Value) {
    let sql = "INSERT INTO usage_events (time, org_id, project_id, user_id, api_key_id, request_id, event_type, model,
            input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,
            web_search_requests, cost_cents, status, metadata)
        VALUES (date_trunc('day', now(), 'UTC') - interval '62 hours', $1, $2, $1, $2, gen_random_uuid(), 'api_call', $3,
            1, 2, 3, 40, 5, 6, $4::text::numeric, 'success', $5)";
    let values: [&(dyn ToSql + Sync); 5] = [&of.org_id, &of.project_id, &model, &cents, &metadata];
    scene.sql.execute(sql, &values).await.unwrap();
}

/// Rows that are there before the gateway is, whose upkeep closes the day whenever it likes: with another tenant, and the path that
/// asks for the day.
async fn stage_of_rows() -> (Stage, Tenant, String) {
    let scene = Scene::new().await;
    let other = Tenant::create(&scene.sql).await;
    let own = &scene.tenant;
    for (model, cents) in [("a", "0.0000000001"), ("a", "9876543210.0"), ("b|x", "1")] {
        row(&scene, own, model, cents, json!({})).await;
    }
    for left_out in [json!({"test": true}), json!({"refusals": 3})] {
        row(&scene, own, "a", "1", left_out).await;
    }
    row(&scene, &other, "a", "7", json!({})).await;
    let sql = "SELECT to_char(day, 'YYYY-MM-DD'), to_char(day + interval '1 day', 'YYYY-MM-DD')
        FROM (SELECT date_trunc('day', min(time) AT TIME ZONE 'UTC') AS day FROM usage_events) AS rows";
    let days = scene.sql.query_one(sql, &[]).await.unwrap();
    let (since, until): (&str, &str) = (days.get(0), days.get(1));
    let path = format!("usage?since={since}T00:00:00Z&until={until}T00:00:00Z");
    (Stage::on(scene).await, other, path)
}

#[tokio::test]
async fn usage_is_the_sum_of_the_rows_to_the_picodollar() {
    let stage = Stage::new().await;
    let viewer = stage.of_tenant("viewer").await;
    let proxy = stage.gateway.client(&stage.scene.key);
    for _ in 0..3 {
        assert_eq!(proxy.ask().await.status, StatusCode::OK);
    }
    stage.scene.events(3).await;
    let sums = "SELECT sum(input_tokens), sum(output_tokens), trim_scale(sum(cost_cents) / 100)::text,
            to_char(min(time) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), api_key_id::text FROM usage_events GROUP BY api_key_id";
    let sums = stage.scene.sql.query_one(sums, &[]).await.unwrap();
    let (input, output, cost): (i64, i64, &str) = (sums.get(0), sums.get(1), sums.get(2));
    assert_ne!(cost, "0");
    let since: &str = sums.get(3);
    for (query, source) in [
        ("", "usage_daily"),
        ("&bucket=day&group_by=api_key_id,user_id", "usage_daily"),
        ("&bucket=hour", "usage_hourly"),
        ("&bucket=hour&group_by=api_key_id", "usage_events"),
        ("&bucket=minute&group_by=model,project_id", "usage_minute"),
    ] {
        let page = get(&viewer, &format!("usage?since={since}{query}")).await;
        assert_eq!(page["source"], source, "{query}");
        let data = page["data"].as_array().unwrap();
        let total = |field: &str| {
            data.iter()
                .map(|line| line[field].as_i64().unwrap())
                .sum::<i64>()
        };
        let found = (
            total("requests"),
            total("errors"),
            total("input_tokens"),
            total("output_tokens"),
        );
        assert_eq!(found, (3, 0, input, output), "{query}: {page}");
        if let [line] = data.as_slice() {
            assert_eq!(line["cost_usd"], cost, "{query}");
        }
    }
    let key: &str = sums.get(4);
    let by_key = get(&viewer, &format!("usage?since={since}&group_by=api_key_id")).await;
    assert_eq!(by_key["data"][0]["api_key_id"], key);
}

#[tokio::test]
async fn groups_pages_and_what_is_left_out() {
    let (stage, other, that_day) = stage_of_rows().await;
    let viewer = stage.of_tenant("viewer").await;
    let all = get(&viewer, &that_day).await;
    let line = &all["data"][0];
    assert_eq!(all["data"].as_array().unwrap().len(), 1, "{all}");
    assert_eq!(
        line["requests"], 3,
        "neither tests nor refusals nor another's"
    );
    assert_eq!(
        line["cost_usd"], "98765432.110000000001",
        "exact, however much"
    );
    assert_eq!(
        (&line["cache_write_tokens"], &line["cache_write_1h_tokens"]),
        (&json!(120), &json!(15))
    );

    let path = format!("{that_day}&bucket=hour&group_by=model,user_id&limit=1");
    let first = get(&viewer, &path).await;
    assert_eq!(
        (&first["data"][0]["model"], &first["has_more"]),
        (&json!("a"), &json!(true))
    );
    let bucket = first["data"][0]["bucket"].as_str().unwrap();
    assert!(bucket.ends_with("T10:00:00Z"), "{bucket}");
    assert_eq!(first["source"], "usage_events");
    let next = first["next_page"].as_str().unwrap();
    let second = get(&viewer, &format!("{path}&page={next}")).await;
    assert_eq!(
        (&second["data"][0]["model"], &second["next_page"]),
        (&json!("b|x"), &json!(null))
    );

    // Of others nothing, not by naming them either; the installation has them all.
    for of_others in [
        format!("project_id={}", other.project_id),
        format!("org_id={}", other.org_id),
    ] {
        let none = get(&viewer, &format!("{that_day}&{of_others}")).await;
        assert_eq!(none["data"], json!([]), "{of_others}");
        let theirs = get(&stage.installation, &format!("{that_day}&{of_others}")).await;
        assert_eq!(theirs["data"][0]["cost_usd"], "0.07", "{of_others}");
    }
    let by_org = get(&stage.installation, &format!("{that_day}&group_by=org_id")).await;
    assert_eq!(by_org["data"].as_array().unwrap().len(), 2, "{by_org}");
}

#[tokio::test]
async fn calls_of_mcp_tools_are_counted_by_server() {
    let (stage, _, that_day) = stage_of_rows().await;
    let own = &stage.scene.tenant;
    let sql = "INSERT INTO mcp_usage (time, org_id, project_id, server_name, tool_name, request_id, status)
        SELECT date_trunc('day', now(), 'UTC') - interval '62 hours', $1, $2, 'github', 't', gen_random_uuid(), status
        FROM unnest(ARRAY['success', 'requested', 'error']) AS status";
    stage
        .scene
        .sql
        .execute(sql, &[&own.org_id, &own.project_id])
        .await
        .unwrap();
    let viewer = stage.of_tenant("viewer").await;
    let page = get(
        &viewer,
        &format!("{that_day}&group_by=mcp_server,project_id"),
    )
    .await;
    let line = &page["data"][0];
    assert_eq!(
        (&line["mcp_server"], &line["requests"], &line["errors"]),
        (&json!("github"), &json!(3), &json!(1))
    );
    assert_eq!(
        (&line["cost_usd"], &page["source"]),
        (&json!(null), &json!("mcp_usage"))
    );
}

#[tokio::test]
async fn what_can_not_be_asked_is_said_with_its_place() {
    let stage = Stage::new().await;
    let viewer = stage.of_tenant("viewer").await;
    for (query, place) in [
        ("", "since"),
        ("since=yesterday", "since"),
        ("since=2020-01-01T00:00:00Z", "since"),
        (
            "since=2020-01-01T00:00:00Z&until=2020-01-03T00:00:00Z&bucket=minute",
            "since",
        ),
        (
            "since=2020-01-01T00:00:00Z&until=2020-03-01T00:00:00Z&bucket=hour",
            "since",
        ),
        (
            "since=2020-01-02T00:00:00Z&until=2020-01-01T00:00:00Z",
            "until",
        ),
        ("since=%2B262000-01-01T00:00:00Z", "since"),
        (
            "since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z&bucket=second",
            "bucket",
        ),
        (
            "since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z&group_by=model%3Bdrop",
            "group_by",
        ),
        (
            "since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z&group_by=mcp_server,model",
            "group_by",
        ),
        (
            "since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z&group_by=mcp_server&model=a",
            "model",
        ),
        (
            "since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z&limit=0",
            "limit",
        ),
        (
            "since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z&page=00",
            "page",
        ),
        (
            "since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z&page=zz",
            "page",
        ),
        (
            "since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z&org_id=x",
            "org_id",
        ),
        (
            "since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z&unknown=1",
            "unknown",
        ),
    ] {
        let answer = viewer.get(&at(&format!("usage?{query}"))).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{query}: {answer:?}"
        );
        let error = &answer.json()["error"];
        let said = error.to_string();
        assert!(
            error["details"]["path"] == place || said.contains(place),
            "{query}: {error}"
        );
    }
}
