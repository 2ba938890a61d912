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

/// A row at a moment, in SQL.
async fn row_at(scene: &Scene, moment: &str, cents: &str, latency_ms: i32) {
    let of = &scene.tenant;
    let sql = format!(
        "INSERT INTO usage_events (time, org_id, project_id, user_id, api_key_id, request_id, event_type, model, cost_cents, latency_ms,
            status)
        VALUES ({moment}, $1, $2, $1, $2, gen_random_uuid(), 'api_call', 'm', $3::text::numeric, $4, 'rate_limited')"
    );
    let values: [&(dyn ToSql + Sync); 4] = [&of.org_id, &of.project_id, &cents, &latency_ms];
    scene.sql.execute(&sql, &values).await.unwrap();
}

#[tokio::test]
async fn months_begin_and_end_with_those_of_the_calendar() {
    let scene = Scene::new().await;
    let this = "date_trunc('month', now(), 'UTC')";
    let last = format!("({this} - interval '1 day')");
    for (moment, cents) in [
        (format!("{this} - interval '1 microsecond'"), "1"),
        (
            format!("date_trunc('month', {last}, 'UTC')"),
            "0.0000000001",
        ),
        (
            format!("date_trunc('month', {last}, 'UTC') - interval '1 microsecond'"),
            "100",
        ),
        (this.to_owned(), "10000"),
    ] {
        row_at(&scene, &moment, cents, 1).await;
    }
    let sql = format!(
        "SELECT ARRAY(SELECT to_char(month AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM unnest(ARRAY[
            date_trunc('month', date_trunc('month', {last}, 'UTC') - interval '1 day', 'UTC'), date_trunc('month', {last}, 'UTC'), {this}
        ]) AS month)"
    );
    let months: Vec<String> = scene.sql.query_one(&sql, &[]).await.unwrap().get(0);
    let stage = Stage::on(scene).await;
    let viewer = stage.of_tenant("viewer").await;
    let [before, last, this] = months.as_slice() else {
        panic!("{months:?}");
    };
    // From the middle of a month on it is the whole of it.
    let since = before.replace("-01T", "-15T");
    for (groups, source) in [
        ("", "usage_monthly"),
        ("&group_by=model", "usage_monthly"),
        ("&group_by=user_id", "usage_daily"),
    ] {
        let path = format!("usage?since={since}&bucket=month{groups}");
        let page = get(&viewer, &path).await;
        let found: Vec<_> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| (line["bucket"].clone(), line["cost_usd"].clone()))
            .collect();
        let expected = [(before, "1"), (last, "0.010000000001"), (this, "100")];
        let expected = expected.map(|(month, cost)| (json!(month), json!(cost)));
        assert_eq!(found, expected, "{groups}");
        assert_eq!(page["source"], source, "{groups}");
        assert_eq!(page["since"], **before);
        assert_eq!(
            page["data"][0]["errors"], 1,
            "whatever hasn't succeeded, not `error` alone"
        );
    }
}

#[tokio::test]
async fn percentiles_are_those_of_the_requests_or_not_there() {
    let scene = Scene::new().await;
    let hour = "(date_trunc('day', now(), 'UTC') - interval '30 hours')";
    for latency in 1..=101 {
        let moment = format!("{hour} + interval '{latency} seconds'");
        row_at(&scene, &moment, "0", latency * 10).await;
    }
    row_at(&scene, &format!("{hour} + interval '2 hours'"), "0", 5_000).await;
    let sql =
        format!("SELECT to_char({hour} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')");
    let since: String = scene.sql.query_one(&sql, &[]).await.unwrap().get(0);
    let stage = Stage::on(scene).await;
    let viewer = stage.of_tenant("viewer").await;
    let path = format!("usage?since={since}");
    for (query, source, p50) in [
        (
            "&bucket=hour&group_by=project_id,model&latency=true",
            "usage_hourly",
            json!(510.0),
        ),
        (
            "&bucket=hour&group_by=user_id&latency=true",
            "usage_events",
            json!(510.0),
        ),
        ("&latency=true&bucket=hour", "usage_events", json!(510.0)),
        ("&latency=true", "usage_events", json!(515.0)),
        (
            "&bucket=hour&group_by=project_id,model",
            "usage_hourly",
            json!(null),
        ),
    ] {
        let page = get(&viewer, &format!("{path}{query}")).await;
        let line = &page["data"][0];
        assert_eq!(
            (&page["source"], &line["p50_latency_ms"]),
            (&json!(source), &p50),
            "{query}"
        );
        if query.contains("hour") && p50 != json!(null) {
            assert_eq!(
                (&line["p95_latency_ms"], &line["p99_latency_ms"]),
                (&json!(960.0), &json!(1000.0)),
                "{query}"
            );
        }
    }
    let answer = viewer
        .get(&at(&format!("{path}&latency=true&group_by=mcp_server")))
        .await;
    assert_eq!(answer.json()["error"]["details"]["path"], "latency");
}

#[tokio::test]
async fn what_was_dropped_in_part_is_refused_rather_than_added_up() {
    let stage = Stage::new().await;
    let viewer = stage.of_tenant("viewer").await;
    let sql = "SELECT to_char(now() AT TIME ZONE 'UTC' - interval '100 days', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
        to_char(now() AT TIME ZONE 'UTC' - interval '2399 hours', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let row = stage.scene.sql.query_one(sql, &[]).await.unwrap();
    let (since, until): (&str, &str) = (row.get(0), row.get(1));
    for (query, source) in [
        ("bucket=minute", "usage_minute"),
        ("bucket=hour", "usage_hourly"),
        ("bucket=hour&group_by=user_id", "usage_events"),
        (
            "bucket=minute&api_key_id=00000000-0000-0000-0000-000000000000",
            "usage_events",
        ),
        ("latency=true", "usage_events"),
        ("group_by=mcp_server", "mcp_usage"),
        ("bucket=month&group_by=mcp_server", "mcp_usage"),
    ] {
        let path = format!("usage?since={since}&until={until}&{query}");
        let answer = viewer.get(&at(&path)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        let details = answer.json()["error"]["details"].clone();
        assert_eq!(
            (&details["error_code"], &details["source"], &details["path"]),
            (&json!("not_kept"), &json!(source), &json!("since")),
            "{query}"
        );
        // From the time that it names on, it goes well.
        let kept = details["kept_since"].as_str().unwrap();
        let sql = "SELECT to_char($1::text::timestamptz AT TIME ZONE 'UTC' + interval '1 minute', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
        let row = stage.scene.sql.query_one(sql, &[&kept]).await.unwrap();
        let until: &str = row.get(0);
        get(
            &viewer,
            &format!("usage?since={kept}&until={until}&{query}"),
        )
        .await;
    }
    for query in ["bucket=day&group_by=user_id", "bucket=month", ""] {
        get(
            &viewer,
            &format!("usage?since={since}&until={until}&{query}"),
        )
        .await;
    }
}
