//! `mindweave usage explain` and `rerate`: where a cost comes from, and what another price book makes of it.

use std::path::PathBuf;

use http::StatusCode;
use serde_json::{Value, json};
use testkit::command::{Ended, run, succeed};
use testkit::scene::text;
use testkit::{Scene, eventually};

use crate::MINDWEAVE;
use crate::prices::{book, write_book};

async fn command(scene: &Scene, words: &[&str]) -> Ended {
    let url = scene.database.url();
    run(MINDWEAVE, words, &[("DATABASE_URL", &url)]).await
}

#[tokio::test]
async fn an_explanation_leads_from_counters_to_the_stored_cost() {
    let scene = Scene::new().await;
    let (_gateway, client) = scene.simulated(MINDWEAVE).await;
    let answer = client.ask().await;
    let request_id = answer.header("x-mindweave-request-id").to_owned();
    let event = scene.event().await;

    let explained = command(&scene, &["usage", "explain", &request_id, "--json"]).await;
    let explained: Value = serde_json::from_str(&explained.out).unwrap();
    assert_eq!(explained["request_id"], request_id.as_str());
    assert_eq!(explained["price_version"], text(&event, "price_version"));
    assert_eq!(explained["differs"], false);
    let counted = |item: &str| {
        let lines = explained["lines"].as_array().unwrap().iter();
        lines
            .filter(|line| line["item"] == item)
            .map(|line| line["count"].as_i64().unwrap())
            .sum::<i64>()
    };
    for (item, column) in [
        ("input", "input_tokens"),
        ("output", "output_tokens"),
        ("cache_read", "cache_read_tokens"),
    ] {
        assert_eq!(
            counted(item),
            i64::from(event.get::<_, i32>(column)),
            "{item}"
        );
    }
    assert!(counted("output") > 0, "{explained}");
    let stored = explained["stored"]["cost_cents"].as_str().unwrap();
    let cost_usd = explained["cost_usd"].as_str().unwrap();
    let sql = "SELECT $1::text::numeric = $2::text::numeric * 100";
    let same = scene.sql.query_one(sql, &[&stored, &cost_usd]).await;
    assert!(same.unwrap().get::<_, bool>(0), "{stored} {cost_usd}");

    let table = command(&scene, &["usage", "explain", &request_id])
        .await
        .out;
    for word in [&request_id, "claude-sonnet-5", "output", "USD EACH", stored] {
        assert!(table.contains(word), "{word} in {table}");
    }
}

#[tokio::test]
async fn what_is_not_stored_cannot_be_explained() {
    let scene = Scene::new().await;
    let nobody = "0199aaaa-0000-7000-8000-000000000000";
    let ended = command(&scene, &["usage", "explain", nobody]).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err.contains("there is no event of request"),
        "{}",
        ended.err
    );
    let ended = command(&scene, &["usage", "explain", "7"]).await;
    assert_eq!(ended.code, Some(2), "{}", ended.err);
}

/// Two events of a priced model, one of a model that only the new book knows, one of a test key, one refusal; all three
/// days old.
async fn stored() -> Scene {
    let scene = Scene::new().await;
    let (org_id, project_id) = (scene.tenant.org_id, scene.tenant.project_id);
    for (model, cost, version, metadata) in [
        ("claude-sonnet-5", "20", "'old'", json!({})),
        ("claude-sonnet-5-20990101", "30", "'old'", json!({})),
        (
            "brand-new",
            "0",
            "NULL",
            json!({"unpriced": "unknown_model"}),
        ),
        ("claude-sonnet-5", "0", "NULL", json!({"test": true})),
        ("claude-sonnet-5", "0", "NULL", json!({"free": "refusal"})),
    ] {
        let sql = format!(
            "INSERT INTO usage_events (time, org_id, project_id, request_id, event_type, model, input_tokens, cost_cents,
                                       price_version, status, metadata)
             VALUES (now() - interval '3 days', '{org_id}', '{project_id}', gen_random_uuid(), 'api_call', '{model}', 100000,
                     {cost}, {version}, 'success', '{metadata}')"
        );
        scene.sql.batch_execute(&sql).await.unwrap();
    }
    settle(&scene).await;
    scene
}

/// What a minute or two of upkeep do.
async fn settle(scene: &Scene) {
    testkit::eventually("rollups are up to date", async || {
        let sql = "SELECT refresh_usage_rollups() = 0
            AND usage_rollup_watermark('usage_daily') > now() - interval '2 days'";
        let done: bool = scene.sql.query_one(sql, &[]).await.unwrap().get(0);
        done.then_some(())
    })
    .await;
}

async fn one(scene: &Scene, sql: &str) -> String {
    scene.sql.query_one(sql, &[]).await.unwrap().get(0)
}

const SUM: &str = "SELECT trim_scale(sum(cost_cents))::text FROM usage_events";
const BILLED: &str = "SELECT trim_scale(sum(total_cost_cents))::text FROM usage_daily";

/// A book by which Sonnet 5 costs 4 dollars, and the new model 1.
fn new_book(folder: &tempfile::TempDir) -> PathBuf {
    let mut book = book();
    book["version"] = json!("new");
    let models = book["models"].as_array_mut().unwrap();
    let sonnet = models
        .iter_mut()
        .find(|model| model["id"] == "claude-sonnet-5");
    sonnet.unwrap()["prices"][0]["input"] = json!("4");
    let mut brand_new = models[0].clone();
    brand_new["id"] = json!("brand-new");
    brand_new["prices"][0]["input"] = json!("1");
    models.push(brand_new);
    write_book(folder, &book)
}

#[tokio::test]
async fn rerating_changes_what_another_book_prices_otherwise_and_its_rollups() {
    let scene = stored().await;
    let folder = tempfile::tempdir().unwrap();
    let book = new_book(&folder);
    let words = [
        "usage",
        "rerate",
        "--since",
        "7d",
        "--price-book",
        book.to_str().unwrap(),
    ];

    let dry = command(&scene, &[&words[..], &["--dry-run"]].concat()).await;
    assert_eq!(dry.code, Some(0), "{}", dry.err);
    assert!(
        dry.out.contains("3 of 5 events would change"),
        "{}",
        dry.out
    );
    assert_eq!(one(&scene, SUM).await, "50");

    let real = command(&scene, &words).await;
    assert_eq!(real.code, Some(0), "{}", real.err);
    assert!(
        real.out
            .contains("3 of 5 events changed, by price version new"),
        "{}",
        real.out
    );
    assert_eq!(one(&scene, SUM).await, "90");
    let left = "SELECT count(*)::text FROM usage_events WHERE price_version = 'new' AND NOT metadata ? 'unpriced'";
    assert_eq!(one(&scene, left).await, "3");
    settle(&scene).await;
    assert_eq!(one(&scene, BILLED).await, "90", "the rollups follow");

    let again = command(&scene, &words).await;
    assert!(again.out.contains("0 of 5 events changed"), "{}", again.out);
    let entries =
        "SELECT string_agg(action || coalesce(': ' || (changes ->> 'cost_usd_before') || ' to '
            || (changes ->> 'cost_usd_after') || ' USD', ''), ', ' ORDER BY time)
        FROM audit_logs WHERE resource_type = 'usage_events'";
    assert_eq!(
        one(&scene, entries).await,
        "usage_events.rerate, usage_events.rerated: 0.5 to 0.9 USD, usage_events.rerate"
    );
}

#[tokio::test]
async fn budgets_of_running_gateways_follow_a_rerating() {
    let scene = Scene::new().await;
    let (gateway, client) = scene.simulated(MINDWEAVE).await;
    let sql = r#"UPDATE projects SET quotas = '{"max_cost_per_day_usd": 1}'"#;
    scene.sql.batch_execute(sql).await.unwrap();
    assert_eq!(client.ask().await.status, StatusCode::OK);
    scene.event().await;

    let mut dear = book();
    dear["version"] = json!("dear");
    for model in dear["models"].as_array_mut().unwrap() {
        for price in model["prices"].as_array_mut().unwrap() {
            price["output"] = json!("1000000");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let dear = write_book(&folder, &dear);
    let words = [
        "usage",
        "rerate",
        "--since",
        "1d",
        "--price-book",
        dear.to_str().unwrap(),
    ];
    let ended = command(&scene, &words).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);

    let refused = eventually("the budget is used up", || async {
        let answer = client.ask().await;
        (answer.status == StatusCode::TOO_MANY_REQUESTS).then_some(answer)
    })
    .await;
    let said = refused.json()["error"]["details"]["spent"]
        .as_str()
        .unwrap()
        .to_owned();
    eventually("it is told what is stored", || async {
        let sql = "SELECT (sum(cost_cents) / 100 = $1::text::numeric) FROM usage_events";
        let same = scene.sql.query_one(sql, &[&said]).await.unwrap();
        same.get::<_, bool>(0).then_some(())
    })
    .await;
    assert_eq!(gateway.metric("mindweave_policy_faults").await, 0.0);
}

#[tokio::test]
async fn rerating_refuses_what_it_cannot_use() {
    let scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    let mut faulty = book();
    faulty["models"][0]["prices"][0]["input"] = json!("free");
    let faulty = write_book(&folder, &faulty);
    let rerate = async |since: &str, book: &str| {
        command(
            &scene,
            &["usage", "rerate", "--since", since, "--price-book", book],
        )
        .await
    };
    for (since, book, said) in [
        (
            "7d",
            faulty.to_str().unwrap(),
            "models[0].prices[0].input is no price",
        ),
        ("7d", "/nowhere/prices.json", "No such file"),
    ] {
        let ended = rerate(since, book).await;
        assert_eq!(ended.code, Some(1), "{}", ended.out);
        assert!(ended.err.contains(said), "{said}: {}", ended.err);
    }
    let good = write_book(&folder, &book());
    let good = good.to_str().unwrap();
    let ended = rerate("2999-01-01", good).await;
    assert!(
        ended.err.contains("--since is not before --until"),
        "{}",
        ended.err
    );
    let ended = rerate("2020-01-01", good).await;
    assert!(ended.err.contains("is out of reach"), "{}", ended.err);
    assert_eq!(ended.code, Some(0), "what is in reach is done");

    let lock = "SELECT pg_advisory_lock(x'6d696e6472617465'::bigint)::text";
    scene.sql.query_one(lock, &[]).await.unwrap();
    let ended = rerate("7d", good).await;
    assert!(
        ended.err.contains("another `usage rerate` is at work"),
        "{}",
        ended.err
    );
}

#[tokio::test]
async fn rerating_by_the_same_prices_changes_nothing() {
    let scene = Scene::new().await;
    let (_gateway, client) = scene.simulated(MINDWEAVE).await;
    for _ in 0..3 {
        client.ask().await;
    }
    scene.events(3).await;
    let folder = tempfile::tempdir().unwrap();
    let same = write_book(&folder, &book());
    let url = scene.database.url();
    let words = [
        "usage",
        "rerate",
        "--since",
        "1h",
        "--price-book",
        same.to_str().unwrap(),
    ];
    let said = succeed(MINDWEAVE, &words, &[("DATABASE_URL", &url)]).await;
    assert!(said.contains("0 of 3 events changed"), "{said}");
}
