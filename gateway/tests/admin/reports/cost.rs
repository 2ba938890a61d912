//! What days cost, and what of.

use domain::PriceBook;
use serde_json::{Value, json};
use testkit::{Scene, Tenant};
use uuid::Uuid;

use super::{COST, day, pages, report, results, rows};
use crate::stage::Stage;

/// What rows of an organization cost, exactly.
async fn cost_of_rows(scene: &Scene, org: Uuid, since: &str) -> String {
    let sql = "SELECT trim_scale(coalesce(sum(cost_cents), 0))::text FROM usage_events
        WHERE org_id = $1 AND time >= $2::text::timestamptz AND NOT metadata ? 'test' AND NOT metadata ? 'refusals'";
    let row = scene.sql.query_one(sql, &[&org, &since]).await;
    row.unwrap().get(0)
}

/// What the amounts of a report come to, exactly.
async fn cost_of_report(scene: &Scene, report: &Value) -> String {
    let amounts: Vec<String> = results(report)
        .iter()
        .map(|result| result["amount"].as_str().unwrap().to_owned())
        .collect();
    let sql = "SELECT trim_scale(coalesce(sum(amount::numeric), 0))::text FROM unnest($1::text[]) AS amount";
    scene.sql.query_one(sql, &[&amounts]).await.unwrap().get(0)
}

#[tokio::test]
async fn costs_add_up_to_the_picodollar_however_they_are_told_apart() {
    let scene = Scene::new().await;
    let other = Tenant::create(&scene.sql).await;
    for tenant in [&scene.tenant, &other] {
        rows(&scene, tenant, 2_000).await;
    }
    // Before there is a gateway, which drops the rows that are older than they are kept.
    let own = scene.tenant.org_id;
    let mut expected = Vec::new();
    for (ago, days) in [(9, 10), (41, 31)] {
        let since = day(&scene, ago).await;
        let cost = cost_of_rows(&scene, own, &since).await;
        expected.push((since, days, cost));
    }
    let since = day(&scene, 41).await;
    let others = cost_of_rows(&scene, other.org_id, &since).await;
    let stage = Stage::on(scene).await;
    let viewer = stage.of_tenant("viewer").await;
    let scene = &stage.scene;
    for (since, days, cost) in &expected {
        for groups in [
            "",
            "&group_by[]=workspace_id",
            "&group_by[]=description",
            "&group_by%5B%5D=description&group_by%5B%5D=workspace_id",
        ] {
            let query = format!("starting_at={since}{groups}");
            let paged = pages(&viewer, COST, &format!("{query}&limit=4")).await;
            assert_eq!(&cost_of_report(scene, &paged).await, cost, "{query}");
            let at_once = report(&viewer, COST, &format!("{query}&limit=31")).await;
            let same = paged["data"].as_array().unwrap();
            assert_eq!(
                &same[..*days],
                at_once["data"].as_array().unwrap().as_slice(),
                "{query}"
            );
            let is_told = groups.contains("description");
            let is_ungrouped =
                |result: &Value| result["model"].is_null() && result["cost_type"].is_null();
            assert!(is_told || results(&paged).iter().all(is_ungrouped));
        }
    }
    // Nobody sees another's; the installation sees all, or one.
    for (caller, more, cost) in [
        (&viewer, String::new(), &expected[1].2),
        (
            &stage.installation,
            format!("&org_id={}", other.org_id),
            &others,
        ),
    ] {
        let paged = pages(caller, COST, &format!("starting_at={since}&limit=31{more}")).await;
        assert_eq!(&cost_of_report(scene, &paged).await, cost, "{more}");
    }
    let query = format!("starting_at={since}&org_id={}&limit=31", other.org_id);
    assert_eq!(
        results(&pages(&viewer, COST, &query).await),
        Vec::<Value>::new()
    );
}

#[tokio::test]
async fn costs_of_some_workspaces_are_theirs_and_of_others_nothing() {
    let scene = Scene::new().await;
    let mine = &scene.tenant;
    let second = mine.with_another_project(&scene.sql).await;
    let other = Tenant::create(&scene.sql).await;
    for tenant in [mine, &second, &other] {
        rows(&scene, tenant, 400).await;
    }
    let stage = Stage::on(scene).await;
    let viewer = stage.of_tenant("viewer").await;
    let of = |id: Uuid| format!("&workspace_ids[]={id}");
    let (mine, second) = (stage.scene.tenant.project_id, second.project_id);
    // Some days are read from requests, some from the rollup.
    let since = day(&stage.scene, 41).await;
    let query = format!("starting_at={since}&limit=31&group_by[]=workspace_id");
    for groups in ["", "&group_by[]=description"] {
        let query = format!("{query}{groups}");
        let all = results(&pages(&viewer, COST, &query).await);
        for ids in [vec![mine], vec![second], vec![mine, second]] {
            let workspaces: String = ids.iter().map(|id| of(*id)).collect();
            let found = results(&pages(&viewer, COST, &format!("{query}{workspaces}")).await);
            let is_asked = |line: &&Value| ids.iter().any(|id| line["workspace_id"] == json!(id));
            let expected: Vec<_> = all.iter().filter(is_asked).cloned().collect();
            assert!(!expected.is_empty() && expected.len() < all.len());
            assert_eq!(found, expected, "{query}{workspaces}");
        }
        let theirs = format!("{query}{}", of(other.project_id));
        assert_eq!(
            results(&pages(&viewer, COST, &theirs).await),
            Vec::<Value>::new()
        );
    }
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
