//! Usage by months of the calendar, its percentiles, and how far back there is any.

use http::StatusCode;
use serde_json::json;
use testkit::Scene;
use tokio_postgres::types::ToSql;

use crate::stage::{Stage, at, get};

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
