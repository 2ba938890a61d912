//! Buckets that are still open: they add up to what their rows do, whatever has closed of them by then.

use http::StatusCode;
use serde_json::{Value, json};
use testkit::{Client, Scene, Tenant};
use tokio_postgres::types::ToSql;

use crate::stage::{Stage, get};

/// So old each, alternately of two models; some are left out of reports.
async fn rows(scene: &Scene, of: &Tenant, ages: &str) {
    let sql = format!(
        "INSERT INTO usage_events (time, org_id, project_id, user_id, api_key_id, request_id, event_type, model, input_tokens,
            output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, web_search_requests, cost_cents, status, metadata)
        SELECT now() - age, $1::uuid, $2::uuid, CASE WHEN n % 3 > 0 THEN $1 END, $2, gen_random_uuid(), 'api_call', (ARRAY['a', 'b|x'])[1 + n % 2],
            n * 1000, n % 31, n % 7, n % 11 + n % 5, n % 5, n % 3, n * n * 0.0000000001 + n % 13,
            (ARRAY['success', 'timeout'])[1 + n % 2],
            CASE WHEN n % 17 = 0 THEN '{{\"test\": true}}'::jsonb WHEN n % 19 = 0 THEN '{{\"refusals\": 2}}' ELSE '{{}}' END
        FROM (SELECT age, row_number() OVER ()::int AS n FROM ({ages}) AS ages (age)) AS rows"
    );
    let values: [&(dyn ToSql + Sync); 2] = [&of.org_id, &of.project_id];
    scene.sql.execute(&sql, &values).await.unwrap();
}

/// What rows of an organization come to, bucket by bucket, as a list of lists.
async fn sums(scene: &Scene, columns: &str, unit: &str) -> Value {
    let sql = format!(
        "SELECT coalesce(json_agg(line ORDER BY bucket, model COLLATE \"C\"), '[]')::text FROM (
            SELECT date_trunc('{unit}', time, 'UTC') AS bucket, model, json_build_array(
                to_char(date_trunc('{unit}', time, 'UTC') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), model, {columns}) AS line
            FROM usage_events WHERE org_id = $1 AND NOT metadata ? 'test' AND NOT metadata ? 'refusals'
            GROUP BY 1, 2) AS sums"
    );
    let row = scene.sql.query_one(&sql, &[&scene.tenant.org_id]).await;
    serde_json::from_str(row.unwrap().get(0)).unwrap()
}

/// Usage by model from a moment on, in the same shape.
async fn usage(viewer: &Client, since: &str, unit: &str) -> Value {
    let path = format!("usage?since={since}&bucket={unit}&group_by=model&limit=1000");
    let page = get(viewer, &path).await;
    assert_eq!(page["has_more"], false);
    let lines = page["data"].as_array().unwrap().iter().map(|line| {
        let field = |name: &str| line[name].clone();
        json!([
            field("bucket"),
            field("model"),
            field("requests"),
            field("errors"),
            field("input_tokens"),
            field("output_tokens"),
            field("cache_read_tokens"),
            field("cache_write_tokens"),
            field("cache_write_1h_tokens"),
            field("web_search_requests"),
            field("cost_usd"),
        ])
    });
    lines.collect()
}

/// A report in the Claude API's shape: of each result its bucket, its model, and what stands at a place.
async fn report(viewer: &Client, query: &str, place: &str) -> Value {
    let answer = viewer.get(&format!("/v1/organizations/{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{query}: {answer:?}");
    let report = answer.json();
    assert_eq!(report["has_more"], false, "{query}");
    let mut lines = Vec::new();
    for bucket in report["data"].as_array().unwrap() {
        for result in bucket["results"].as_array().unwrap() {
            lines.push(json!([
                bucket["starting_at"],
                result["model"],
                result[place]
            ]));
        }
    }
    lines.into()
}

async fn assert_same(stage: &Stage, viewer: &Client, since: &str, when: &str) {
    let scene = &stage.scene;
    let all = "count(*), count(*) FILTER (WHERE status <> 'success'), sum(input_tokens), sum(output_tokens),
        sum(cache_read_tokens), sum(cache_write_tokens), sum(cache_write_1h_tokens), sum(web_search_requests),
        trim_scale(sum(cost_cents) / 100)::text";
    for unit in ["hour", "day", "month"] {
        let found = usage(viewer, since, unit).await;
        assert_eq!(found, sums(scene, all, unit).await, "{unit} {when}");
    }
    for (width, unit) in [("1h", "hour"), ("1d", "day")] {
        let query = format!(
            "usage_report/messages?starting_at={since}&bucket_width={width}&group_by[]=model&limit=31"
        );
        let found = report(viewer, &query, "uncached_input_tokens").await;
        let expected = sums(scene, "sum(input_tokens)", unit).await;
        assert_eq!(found, expected, "tokens by {unit} {when}");
    }
    let query = format!("cost_report?starting_at={since}&limit=31");
    let found = report(viewer, &query, "amount").await;
    let costs = "SELECT json_agg(json_build_array(to_char(day AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), NULL, cents)
            ORDER BY day)::text
        FROM (SELECT date_trunc('day', time, 'UTC') AS day, trim_scale(sum(cost_cents))::text AS cents
            FROM usage_events WHERE org_id = $1 AND NOT metadata ? 'test' AND NOT metadata ? 'refusals' GROUP BY 1) AS days";
    let row = scene.sql.query_one(costs, &[&scene.tenant.org_id]).await;
    let expected: Value = serde_json::from_str(row.unwrap().get(0)).unwrap();
    assert_eq!(found, expected, "costs {when}");
}

/// One step of the upkeep, and whether it was the last for now.
async fn close(scene: &Scene) -> bool {
    let sql = "SELECT refresh_usage_rollups() = 0
        AND coalesce(usage_rollup_watermark('usage_minute') > now() - interval '8 minutes', true)";
    scene.sql.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn open_buckets_add_up_to_the_picodollar_while_they_close() {
    let scene = Scene::new().await;
    let other = Tenant::create(&scene.sql).await;
    for of in [&scene.tenant, &other] {
        for ages in [
            "SELECT n * interval '3 seconds' FROM generate_series(0, 200) AS n",
            "SELECT n * interval '11 minutes' FROM generate_series(1, 142) AS n",
        ] {
            rows(&scene, of, ages).await;
        }
    }
    let since = "SELECT to_char(min(time) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM usage_events";
    let since: String = scene.sql.query_one(since, &[]).await.unwrap().get(0);
    let stage = Stage::on(scene).await;
    let (scene, viewer) = (&stage.scene, stage.of_tenant("viewer").await);
    assert_same(&stage, &viewer, &since, "before anything closes").await;
    let mut steps = 0;
    while !close(scene).await {
        steps += 1;
        if steps % 8 == 0 {
            assert_same(&stage, &viewer, &since, "while it closes").await;
        }
    }
    assert_same(&stage, &viewer, &since, "closed").await;

    rows(scene, &scene.tenant, "SELECT interval '0'").await;
    assert_same(&stage, &viewer, &since, "with a row of now").await;
    let is_stored = "SELECT storage_engine() <> 'timescaledb'"; // which has its own upkeep
    if scene.sql.query_one(is_stored, &[]).await.unwrap().get(0) {
        let late = "SELECT unnest(ARRAY['9 minutes', '70 minutes', '25 hours'])::interval";
        rows(scene, &scene.tenant, late).await;
        while !close(scene).await {}
        assert_same(&stage, &viewer, &since, "with late rows").await;
    }
}
