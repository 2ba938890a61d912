//! What only the database can decide to be new counts against budgets from the moment on that it is stored.

use http::StatusCode;
use serde_json::json;
use testkit::client::Answer;
use testkit::gateway::Builder;
use testkit::{Client, Link, Scene, eventually};

use super::batches::{BATCHES, RESULTS, stored, upstream};
use crate::MINDWEAVE;

/// More than one question needs, less than the results.
const LIMIT: u64 = 3_000_000;

async fn limited() -> Scene {
    let scene = Scene::new().await;
    let (org, user) = (scene.tenant.org_id, scene.tenant.user_id);
    let sql = format!(
        "INSERT INTO policies (org_id, created_by, name, type, rules)
         VALUES ('{org}', '{user}', 'daily', 'usage', '{{\"max_tokens_per_day\": {LIMIT}}}')"
    );
    scene.sql.batch_execute(&sql).await.unwrap();
    scene
}

async fn stored_tokens(scene: &Scene) -> u64 {
    let sql = "SELECT coalesce(sum(input_tokens + output_tokens), 0)::bigint FROM usage_events";
    let tokens: i64 = scene.sql.query_one(sql, &[]).await.unwrap().get(0);
    tokens.unsigned_abs()
}

fn said_spent(answer: &Answer) -> u64 {
    let json = answer.json();
    let spent = json["error"]["details"]["spent"].as_str().unwrap();
    spent.parse().unwrap()
}

/// Asks until it is refused, and then until what it says was spent stays what is stored.
async fn spent_is_what_is_stored(scene: &Scene, client: &Client) {
    let refused = eventually("the results count", || async {
        let answer = client.ask().await;
        (answer.status == StatusCode::TOO_MANY_REQUESTS).then_some(answer)
    })
    .await;
    assert!(said_spent(&refused) > LIMIT, "{refused:?}");
    eventually("it knows what is stored", || async {
        let said = said_spent(&client.ask().await);
        (said == stored_tokens(scene).await).then_some(())
    })
    .await;
}

#[tokio::test]
async fn results_of_a_batch_count_as_soon_as_they_are_stored_and_once() {
    let scene = limited().await;
    let upstream = upstream(5).await;
    let gateway = scene.serve(MINDWEAVE, &upstream).start().await;
    let client = gateway.client(&scene.key);
    assert_eq!(client.ask().await.status, StatusCode::OK);
    client.post(BATCHES, &json!({"requests": []})).await;
    for _ in 0..3 {
        assert_eq!(client.get(RESULTS).await.status, StatusCode::OK);
    }
    spent_is_what_is_stored(&scene, &client).await;
    assert_eq!(client.get(RESULTS).await.status, StatusCode::OK);
    stored(&gateway).await;
    spent_is_what_is_stored(&scene, &client).await;
}

#[tokio::test]
async fn results_that_a_killed_gateway_left_in_its_spool_count_once() {
    let scene = limited().await;
    let upstream = upstream(5).await;
    let link = Link::to(scene.database.address()).await;
    let url = scene.database.url_at(&link.address());
    let data_dir = tempfile::tempdir().unwrap();
    let start = || {
        let gateway = Builder::serve(MINDWEAVE, &url).upstream(&upstream.url());
        gateway.data_dir(data_dir.path()).start()
    };
    let first = start().await;
    let client = first.client(&scene.key);
    client.post(BATCHES, &json!({"requests": []})).await;
    stored(&first).await;
    link.cut();
    assert_eq!(client.get(RESULTS).await.status, StatusCode::OK);
    first.kill().await;

    // They were durable before the answer ended. Whether they are stored before what was spent is summed up, or after, is a matter of chance.
    let second = start().await;
    link.restore();
    let client = second.client(&scene.key);
    spent_is_what_is_stored(&scene, &client).await;
}
