//! `mindweave usage`

use domain::KeyKind;
use serde_json::Value;
use testkit::command::{run, succeed};
use testkit::{Scene, Tenant};

use crate::MINDWEAVE;
use crate::load::{answered, ask_many};

/// Three requests with a live key, one with a test key, one that fails; all stored.
async fn used() -> Scene {
    let scene = Scene::new().await;
    let test_key = scene.tenant.key(&scene.sql, KeyKind::Test).await;
    let (gateway, client) = scene.simulated(MINDWEAVE).await;
    ask_many(&client, 3, 1).await;
    answered(&gateway.client(&test_key).ask().await);
    let overloaded = client.with("x-simulator-error", "overloaded").ask().await;
    assert_eq!(overloaded.status.as_u16(), 529);
    scene.events(5).await;
    assert!(gateway.stop().await.success());
    scene
}

async fn usage(scene: &Scene, words: &[&str]) -> String {
    let url = scene.database.url();
    let words = [&["usage"], words].concat();
    succeed(MINDWEAVE, &words, &[("DATABASE_URL", &url)]).await
}

async fn lines(scene: &Scene, words: &[&str]) -> Vec<Value> {
    let text = usage(scene, &[&["--json"], words].concat()).await;
    let report: Value = serde_json::from_str(&text).unwrap();
    report["data"].as_array().unwrap().clone()
}

fn sum(lines: &[Value], field: &str) -> i64 {
    lines.iter().map(|line| line[field].as_i64().unwrap()).sum()
}

async fn stored(scene: &Scene, column: &str) -> i64 {
    let query = format!("SELECT sum({column})::bigint FROM usage_events");
    scene.sql.query_one(&query, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn every_view_adds_up_to_what_is_stored() {
    let scene = used().await;
    for by in ["model", "project", "key", "user", "day"] {
        let lines = lines(&scene, &["--by", by]).await;
        assert_eq!(sum(&lines, "requests"), 5, "{by}: {lines:?}");
        assert_eq!(sum(&lines, "errors"), 1, "{by}: {lines:?}");
        for column in ["input_tokens", "output_tokens", "cache_read_tokens"] {
            assert_eq!(
                sum(&lines, column),
                stored(&scene, column).await,
                "{by} {column}"
            );
        }
        let (test, live): (Vec<Value>, Vec<Value>) =
            lines.into_iter().partition(|line| line["test"] == true);
        assert_eq!(
            (sum(&test, "requests"), sum(&live, "requests")),
            (1, 4),
            "{by}"
        );
    }
}

#[tokio::test]
async fn the_table_shows_the_same_in_columns() {
    let scene = used().await;
    let table = usage(&scene, &["--by", "model"]).await;
    let mut rows = table.lines();
    let title = rows.next().unwrap();
    for column in ["MODEL", "REQUESTS", "ERRORS", "INPUT", "OUTPUT", "COST USD"] {
        assert!(title.contains(column), "{title}");
    }
    let rows: Vec<&str> = rows.collect();
    assert_eq!(rows.len(), 2, "{table}");
    assert!(
        rows.iter().all(|row| row.starts_with("claude-sonnet-5 ")),
        "{table}"
    );
    assert!(rows.iter().any(|row| row.contains(" test ")), "{table}");
}

#[tokio::test]
async fn since_leaves_out_what_was_before() {
    let scene = used().await;
    let older = "UPDATE usage_events SET time = time - interval '2 days' WHERE status = 'error'";
    scene.sql.batch_execute(older).await.unwrap();
    for (since, expected) in [
        ("1h", 4),
        ("3d", 5),
        ("2020-01-01", 5),
        ("2020-01-01T00:00:00Z", 5),
    ] {
        let lines = lines(&scene, &["--since", since]).await;
        assert_eq!(sum(&lines, "requests"), expected, "{since}");
    }
    assert!(lines(&scene, &["--since", "2999-01-01"]).await.is_empty());
    let days = lines(&scene, &["--by", "day", "--since", "3d"]).await;
    let mut names: Vec<&str> = days
        .iter()
        .map(|day| day["name"].as_str().unwrap())
        .collect();
    names.dedup();
    assert!(names.len() >= 2, "{days:?}");

    let url = scene.database.url();
    let words = ["usage", "--since", "yesterday", "--database-url", &url];
    let wrong = run(MINDWEAVE, &words, &[]).await;
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.err.contains("--since"), "{}", wrong.err);
}

#[tokio::test]
async fn an_empty_table_says_so() {
    let scene = Scene::new().await;
    let table = usage(&scene, &[]).await;
    assert!(table.contains("nothing yet"), "{table}");
    assert!(lines(&scene, &[]).await.is_empty());
}

#[tokio::test]
async fn what_only_shares_a_name_is_told_apart() {
    let scene = Scene::new().await;
    // Another organization with a project and a key that are called the same.
    let other = Tenant::create(&scene.sql).await;
    let other_key = other.key(&scene.sql, KeyKind::Live).await;
    let (gateway, client) = scene.simulated(MINDWEAVE).await;
    ask_many(&client, 1, 1).await;
    ask_many(&gateway.client(&other_key), 2, 1).await;
    scene.events(3).await;
    for by in ["project", "key"] {
        let mut requests: Vec<i64> = lines(&scene, &["--by", by])
            .await
            .iter()
            .map(|line| line["requests"].as_i64().unwrap())
            .collect();
        requests.sort_unstable();
        assert_eq!(requests, [1, 2], "by {by}");
    }
}

#[tokio::test]
async fn it_counts_as_the_admin_api_does() {
    let scene = Scene::new().await;
    let rows = "INSERT INTO usage_events (time, org_id, project_id, request_id, event_type, model, cost_cents, metadata)
        SELECT now(), $1, $2, gen_random_uuid(), 'api_call', 'm', cents, metadata
        FROM (VALUES (9876543210, '{}'::jsonb), (0.0000000001, '{}'), (0, '{\"refusals\": 3}')) AS rows (cents, metadata)";
    let of = &scene.tenant;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&of.org_id, &of.project_id];
    scene.sql.execute(rows, &values).await.unwrap();
    let lines = lines(&scene, &["--by", "model"]).await;
    assert_eq!(sum(&lines, "requests"), 2, "without what a rule refused");
    assert_eq!(
        lines[0]["cost_usd"], "98765432.100000000001",
        "exact, however much"
    );
}
