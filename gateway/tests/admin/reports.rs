//! The Claude Admin API's own reports, from our ledger.

mod cost;
mod tokens;

use domain::PriceBook;
use http::StatusCode;
use serde_json::{Value, json};
use testkit::{Client, Scene, Tenant};

use crate::stage::Stage;

const USAGE: &str = "/v1/organizations/usage_report/messages";
const COST: &str = "/v1/organizations/cost_report";

/// Rows of the last nine whole days and of one that is long past, by all that reports tell apart; `others` are left out of reports.
pub(crate) async fn rows(scene: &Scene, of: &Tenant, count: i32) {
    let sql = "INSERT INTO usage_events (time, org_id, project_id, user_id, api_key_id, request_id, event_type, model,
            input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, web_search_requests,
            cost_cents, price_version, service_tier, latency_ms, status, metadata)
        SELECT date_trunc('day', now(), 'UTC') - make_interval(days => CASE WHEN n % 10 = 0 THEN 40 ELSE n % 10 END)
                + n * 7919 % 86400 * interval '1 second',
            $1::uuid, CASE WHEN n % 3 = 0 THEN gen_random_uuid() ELSE $2::uuid END, CASE WHEN n % 4 > 0 THEN $1 END, $2,
            gen_random_uuid(), 'api_call', (ARRAY['claude-opus-5', 'claude-haiku-5-5', 'nobody-knows', ''])[1 + n % 4],
            n % 97 * 1000, n % 31, n % 7, n % 11 + n % 5, n % 5, n % 3,
            CASE WHEN n % 6 = 0 THEN 0 ELSE n * 0.0000000001 + n % 13 END, (ARRAY['x', NULL, $4::text])[1 + n % 3],
            (ARRAY['standard', 'batch', NULL])[1 + n % 3], n % 1000, (ARRAY['success', 'timeout'])[1 + n % 2],
            CASE WHEN n % 17 = 0 THEN '{\"test\": true}'::jsonb WHEN n % 19 = 0 THEN '{\"refusals\": 2}'
                 WHEN n % 5 = 0 THEN '{\"usage\": {\"inference_geo\": \"us\", \"speed\": \"fast\", \"iterations\": []}}'
                 WHEN n % 7 = 0 THEN '{\"usage\": {\"active_seconds\": 7.2}, \"running_total\": {}}' ELSE '{}' END
        FROM generate_series(1, $3::int) AS n";
    let version = PriceBook::embedded().unwrap().version().to_string();
    let (org, project) = (of.org_id, of.project_id);
    scene
        .sql
        .execute(sql, &[&org, &project, &count, &version])
        .await
        .unwrap();
}

/// GET, which goes well.
async fn report(client: &Client, path: &str, query: &str) -> Value {
    let answer = client.get(&format!("{path}?{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}?{query}: {answer:?}");
    answer.json()
}

/// Days ago, at their beginning.
async fn day(scene: &Scene, ago: i32) -> String {
    let sql = "SELECT to_char(date_trunc('day', now(), 'UTC') AT TIME ZONE 'UTC' - make_interval(days => $1),
        'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    scene.sql.query_one(sql, &[&ago]).await.unwrap().get(0)
}

fn results(report: &Value) -> Vec<Value> {
    let buckets = report["data"].as_array().unwrap().iter();
    buckets
        .flat_map(|bucket| bucket["results"].as_array().unwrap().clone())
        .collect()
}

/// All pages, as one report.
async fn pages(client: &Client, path: &str, query: &str) -> Value {
    let mut data = Vec::new();
    let mut page = String::new();
    loop {
        let read = report(client, path, &format!("{query}{page}")).await;
        data.extend(read["data"].as_array().unwrap().clone());
        match read["next_page"].as_str() {
            Some(next) => page = format!("&page={next}"),
            None => return json!({"data": data, "has_more": false, "next_page": null}),
        }
    }
}

#[tokio::test]
async fn buckets_without_usage_are_there_and_what_was_dropped_is_refused() {
    let stage = Stage::new().await;
    let viewer = stage.of_tenant("viewer").await;
    let proxy = stage.gateway.client(&stage.scene.key);
    assert_eq!(proxy.ask().await.status, StatusCode::OK);
    stage.scene.events(1).await;
    let (since, past) = (day(&stage.scene, 3).await, day(&stage.scene, 100).await);
    // As an SDK's beta namespace sends it.
    let sdk = viewer
        .clone()
        .with("anthropic-beta", "fast-mode-2026-02-01");
    let usage = report(&sdk, USAGE, &format!("beta=true&starting_at={since}")).await;
    let lengths: Vec<_> = usage["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bucket| bucket["results"].as_array().unwrap().len())
        .collect();
    assert!(
        lengths == [0, 0, 0, 1] || lengths == [0, 0, 1, 0],
        "{usage}"
    );
    assert_eq!(usage["data"][0]["starting_at"], since);
    assert_eq!(usage["has_more"], false);
    let hours = report(
        &viewer,
        USAGE,
        &format!("starting_at={since}&bucket_width=1h"),
    )
    .await;
    assert_eq!(
        (hours["data"].as_array().unwrap().len(), &hours["has_more"]),
        (24, &json!(true))
    );

    for (query, source) in [
        ("bucket_width=1m", Some("usage_minute")),
        ("bucket_width=1h", Some("usage_hourly")),
        (
            "bucket_width=1h&group_by[]=api_key_id",
            Some("usage_events"),
        ),
        ("group_by[]=service_tier", Some("usage_events")),
        ("group_by[]=api_key_id", None),
    ] {
        let path = format!("{USAGE}?starting_at={past}&{query}");
        let answer = viewer.get(&path).await;
        let Some(source) = source else {
            assert_eq!(answer.status, StatusCode::OK, "{query}: {answer:?}");
            continue;
        };
        let error = &answer.json()["error"]["details"];
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(
            (&error["error_code"], &error["source"], &error["path"]),
            (&json!("not_kept"), &json!(source), &json!("starting_at"))
        );
        let from = error["kept_since"].as_str().unwrap();
        report(&viewer, USAGE, &format!("starting_at={from}&{query}")).await;
    }
}

#[tokio::test]
async fn what_can_not_be_reported_is_said_with_its_place() {
    let stage = Stage::new().await;
    let viewer = stage.of_tenant("viewer").await;
    let since = "starting_at=2026-01-01T00:00:00Z";
    for (path, query, place) in [
        (USAGE, "", "starting_at"),
        (COST, "starting_at=yesterday", "starting_at"),
        (
            USAGE,
            "starting_at=2026-01-01T00:00:00Z&ending_at=2025-01-01T00:00:00Z",
            "ending_at",
        ),
        (USAGE, &format!("{since}&bucket_width=1w"), "bucket_width"),
        (COST, &format!("{since}&bucket_width=1h"), "bucket_width"),
        (COST, &format!("{since}&limit=32"), "limit"),
        (
            USAGE,
            &format!("{since}&bucket_width=1m&limit=1441"),
            "limit",
        ),
        (USAGE, &format!("{since}&limit=1&limit=2"), "limit"),
        (
            COST,
            &format!("{since}&workspace_ids[]=x"),
            "workspace_ids[0]",
        ),
        (USAGE, &format!("{since}&page=page_zz_1"), "page"),
        (COST, &format!("{since}&page=page_1_2"), "page"),
        (
            USAGE,
            &format!("{since}&group_by[]=model&group_by[]=color"),
            "group_by[1]",
        ),
        (COST, &format!("{since}&group_by[]=model"), "group_by[0]"),
        (
            USAGE,
            &format!("{since}&workspace_ids[]=wrkspc_1"),
            "workspace_ids[0]",
        ),
        (
            USAGE,
            &format!("{since}&context_window[]=1M"),
            "context_window[0]",
        ),
        (USAGE, &format!("{since}&speeds[]=warp"), "speeds[0]"),
        (USAGE, &format!("{since}&models[]=%00"), "models[]"),
        (COST, &format!("{since}&models[]=a"), "models[]"),
        (COST, &format!("{since}&org_id=acme"), "org_id"),
        (
            USAGE,
            "starting_at=%2B262000-01-01T00:00:00Z",
            "starting_at",
        ),
    ] {
        let answer = viewer.get(&format!("{path}?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}?{query}");
        let error = &answer.json()["error"];
        assert_eq!(error["details"]["path"], place, "{path}?{query}: {error}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    for path in [USAGE, COST] {
        let answer = stage.client("").get(&format!("{path}?{since}")).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        let answer = stage
            .client(&stage.scene.key)
            .get(&format!("{path}?{since}"))
            .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}
