//! The Claude Admin API's own reports, from our ledger.

use domain::PriceBook;
use http::StatusCode;
use serde_json::{Value, json};
use testkit::{Client, Scene, Tenant};
use uuid::Uuid;

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

/// Whether amounts add up to what rows of an organization cost, exactly.
async fn is_cost(scene: &Scene, org: Uuid, since: &str, report: &Value) -> bool {
    let amounts: Vec<String> = results(report)
        .iter()
        .map(|result| result["amount"].as_str().unwrap().to_owned())
        .collect();
    let sql = "SELECT coalesce((SELECT sum(amount::numeric) FROM unnest($1::text[]) AS amount), 0) = coalesce(sum(cost_cents), 0)
        FROM usage_events WHERE org_id = $2 AND time >= $3::text::timestamptz
            AND NOT metadata ? 'test' AND NOT metadata ? 'refusals'";
    let row = scene.sql.query_one(sql, &[&amounts, &org, &since]).await;
    row.unwrap().get(0)
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
async fn costs_add_up_to_the_picodollar_however_they_are_told_apart() {
    let scene = Scene::new().await;
    let other = Tenant::create(&scene.sql).await;
    for tenant in [&scene.tenant, &other] {
        rows(&scene, tenant, 2_000).await;
    }
    let stage = Stage::on(scene).await;
    let viewer = stage.of_tenant("viewer").await;
    let (scene, own) = (&stage.scene, stage.scene.tenant.org_id);
    for (ago, days) in [(9, 10), (41, 31)] {
        let since = day(scene, ago).await;
        for groups in [
            "",
            "&group_by[]=workspace_id",
            "&group_by[]=description",
            "&group_by%5B%5D=description&group_by%5B%5D=workspace_id",
        ] {
            let query = format!("starting_at={since}{groups}");
            let paged = pages(&viewer, COST, &format!("{query}&limit=4")).await;
            assert!(is_cost(scene, own, &since, &paged).await, "{ago}{groups}");
            let at_once = report(&viewer, COST, &format!("{query}&limit=31")).await;
            let same = paged["data"].as_array().unwrap();
            assert_eq!(
                &same[..days],
                at_once["data"].as_array().unwrap().as_slice(),
                "{ago}{groups}"
            );
            let is_told = groups.contains("description");
            let is_ungrouped =
                |result: &Value| result["model"].is_null() && result["cost_type"].is_null();
            assert!(is_told || results(&paged).iter().all(is_ungrouped));
        }
    }
    // Nobody sees another's; the installation sees all, or one.
    let since = day(scene, 41).await;
    for (caller, org, more) in [
        (&viewer, own, ""),
        (&stage.installation, other.org_id, "&org_id="),
    ] {
        let more = if more.is_empty() {
            String::new()
        } else {
            format!("{more}{org}")
        };
        let paged = pages(caller, COST, &format!("starting_at={since}&limit=31{more}")).await;
        assert!(is_cost(scene, org, &since, &paged).await, "{org}");
    }
    let query = format!("starting_at={since}&org_id={}&limit=31", other.org_id);
    assert_eq!(
        results(&pages(&viewer, COST, &query).await),
        Vec::<Value>::new()
    );
}

/// A row of yesterday.
async fn priced(scene: &Scene, counts: [i32; 6], tier: &str, cents: &str) {
    let sql = "INSERT INTO usage_events (time, org_id, project_id, request_id, event_type, model, input_tokens, output_tokens,
            cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, web_search_requests, service_tier, cost_cents, price_version)
        VALUES (date_trunc('day', now(), 'UTC') - interval '3 hours', $1, $2, gen_random_uuid(), 'api_call', 'claude-opus-5',
            $3, $4, $5, $6, $7, $8, $9, $10::text::numeric, $11)";
    let version = PriceBook::embedded().unwrap().version().to_string();
    let [input, output, read, write, write_1h, searches] = counts;
    let of = &scene.tenant;
    scene
        .sql
        .execute(
            sql,
            &[
                &of.org_id,
                &of.project_id,
                &input,
                &output,
                &read,
                &write,
                &write_1h,
                &searches,
                &tier,
                &cents,
                &version,
            ],
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn the_parts_of_a_cost_are_counters_times_prices() {
    let scene = Scene::new().await;
    // Cents: (1000 x 5 + 100 x 25 + 10 x 0.5 + 30 x 6.25 + 20 x 10) / 10,000, and a search; once more as a batch, at half of it.
    priced(&scene, [1000, 100, 10, 50, 20, 1], "standard", "1.78925").await;
    priced(&scene, [1000, 100, 10, 50, 20, 0], "batch", "0.394625").await;
    let stage = Stage::on(scene).await;
    let viewer = stage.of_tenant("viewer").await;
    let since = day(&stage.scene, 1).await;
    let query = format!("starting_at={since}&limit=1&group_by[]=description");
    let lines = results(&report(&viewer, COST, &query).await);
    let found: Vec<_> = lines
        .iter()
        .map(|line| {
            json!([
                line["service_tier"],
                line["cost_type"],
                line["token_type"],
                line["amount"]
            ])
        })
        .collect();
    for expected in [
        json!(["standard", "tokens", "uncached_input_tokens", "0.5"]),
        json!(["standard", "tokens", "output_tokens", "0.25"]),
        json!(["standard", "tokens", "cache_read_input_tokens", "0.0005"]),
        json!([
            "standard",
            "tokens",
            "cache_creation.ephemeral_5m_input_tokens",
            "0.01875"
        ]),
        json!([
            "standard",
            "tokens",
            "cache_creation.ephemeral_1h_input_tokens",
            "0.02"
        ]),
        json!([null, "web_search", null, "1"]),
        json!(["batch", "tokens", "uncached_input_tokens", "0.25"]),
        json!(["batch", "tokens", "output_tokens", "0.125"]),
    ] {
        assert!(found.contains(&expected), "{expected}: {found:?}");
    }
    assert_eq!(found.len(), 11, "{found:?}");
    let input = lines.iter().find(|line| line["amount"] == "0.5").unwrap();
    let expected = json!({"amount": "0.5", "currency": "USD", "cost_type": "tokens", "token_type": "uncached_input_tokens",
        "description": "claude-opus-5 Usage - Input Tokens", "model": "claude-opus-5", "service_tier": "standard",
        "context_window": "0-200k", "inference_geo": "not_available", "workspace_id": null});
    assert_eq!(*input, expected);
}

const COUNTS: [(&str, &str); 6] = [
    ("/uncached_input_tokens", "input_tokens"),
    (
        "/cache_creation/ephemeral_5m_input_tokens",
        "cache_write_tokens - cache_write_1h_tokens",
    ),
    (
        "/cache_creation/ephemeral_1h_input_tokens",
        "cache_write_1h_tokens",
    ),
    ("/cache_read_input_tokens", "cache_read_tokens"),
    ("/output_tokens", "output_tokens"),
    (
        "/server_tool_use/web_search_requests",
        "web_search_requests",
    ),
];

#[tokio::test]
async fn tokens_add_up_by_every_width_and_group() {
    let scene = Scene::new().await;
    let other = Tenant::create(&scene.sql).await;
    for tenant in [&scene.tenant, &other] {
        rows(&scene, tenant, 2_000).await;
    }
    let stage = Stage::on(scene).await;
    let viewer = stage.of_tenant("viewer").await;
    let (scene, own) = (&stage.scene, &stage.scene.tenant);
    let (since, until) = (day(scene, 6).await, day(scene, 4).await);
    let columns = COUNTS.map(|(_, column)| format!("coalesce(sum({column}), 0)::bigint"));
    let sums = async |condition: &str| {
        let sql = format!(
            "SELECT {} FROM usage_events WHERE org_id = $1 AND time >= $2::text::timestamptz AND time < $3::text::timestamptz
                AND NOT metadata ? 'test' AND NOT metadata ? 'refusals' AND {condition}",
            columns.join(", ")
        );
        let row = scene
            .sql
            .query_one(&sql, &[&own.org_id, &since, &until])
            .await;
        let row = row.unwrap();
        [0, 1, 2, 3, 4, 5].map(|index| row.get::<_, i64>(index))
    };
    let found = |report: &Value| {
        let results = results(report);
        COUNTS.map(|(place, _)| {
            let counts = results
                .iter()
                .map(|result| result.pointer(place).unwrap().as_i64().unwrap());
            counts.sum::<i64>()
        })
    };
    let span = format!("starting_at={since}&ending_at={until}");
    let all = sums("true").await;
    assert_ne!(all[0], 0);
    let dimensions = "&group_by[]=account_id&group_by[]=api_key_id&group_by[]=workspace_id&group_by[]=model\
        &group_by[]=service_account_id&group_by[]=service_tier&group_by[]=context_window&group_by[]=inference_geo&group_by[]=speed";
    for width in ["1d", "1h"] {
        for groups in [
            "",
            "&group_by[]=model",
            "&group_by[]=api_key_id",
            "&group_by[]=service_tier",
            dimensions,
        ] {
            let query = format!("{span}&bucket_width={width}{groups}");
            let paged = pages(&viewer, USAGE, &format!("{query}&limit=1")).await;
            assert_eq!(found(&paged), all, "{query}");
            let whole = report(&viewer, USAGE, &format!("{query}&limit=31")).await;
            if width == "1d" {
                assert_eq!(whole, paged, "{query}");
            }
        }
    }
    for (filter, condition) in [
        (
            "models[]=claude-opus-5&models[]=nobody-knows",
            "model IN ('claude-opus-5', 'nobody-knows')",
        ),
        ("service_tiers[]=batch", "service_tier = 'batch'"),
        (
            "inference_geos[]=not_available",
            "coalesce(metadata->'usage'->>'inference_geo', 'not_available') = 'not_available'",
        ),
        (
            "speeds[]=fast&context_window[]=0-200k",
            "metadata->'usage'->>'speed' = 'fast'",
        ),
        (
            &format!("workspace_ids[]={}", own.project_id),
            &format!("project_id = '{}'", own.project_id),
        ),
        (
            &format!("account_ids[]={}", own.org_id),
            "user_id IS NOT NULL",
        ),
        (&format!("api_key_ids[]={}", own.project_id), "true"),
        (&format!("api_key_ids[]={}", other.project_id), "false"),
        (&format!("workspace_ids[]={}", other.project_id), "false"),
        (&format!("org_id={}", other.org_id), "false"),
        ("service_account_ids[]=svac_1", "false"),
    ] {
        let report = report(&viewer, USAGE, &format!("{span}&{filter}")).await;
        assert_eq!(found(&report), sums(condition).await, "{filter}");
    }
    let grouped = report(&viewer, USAGE, &format!("{span}&group_by[]=model")).await;
    let line = &results(&grouped)[1];
    assert!(
        line["model"].is_string() && line["workspace_id"].is_null(),
        "{line}"
    );
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
