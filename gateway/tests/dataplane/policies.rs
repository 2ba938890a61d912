//! Policies, rates and budgets from outside: who is refused, how it is told, what stands in the table.

mod batches;
mod bodies;

use http::StatusCode;
use serde_json::{Value, json};
use testkit::client::Answer;
use testkit::scene::text;
use testkit::{Upstream, eventually};

use crate::MINDWEAVE;
use crate::stage::Stage;

/// Makes a policy of the project, and waits until `ask` shows that it is in force.
async fn put_policy(stage: &Stage, name: &str, kind: &str, rules: Value) {
    let sql = "INSERT INTO policies (project_id, created_by, name, type, rules) VALUES ($1, $2, $3, $4, $5)";
    let tenant = &stage.scene.tenant;
    stage
        .scene
        .sql
        .execute(
            sql,
            &[&tenant.project_id, &tenant.user_id, &name, &kind, &rules],
        )
        .await
        .unwrap();
}

/// Asks until the answer has this status; that answer.
async fn until(stage: &Stage, status: StatusCode) -> Answer {
    let client = stage.client();
    eventually("the policy is in force", || async {
        let answer = client.ask().await;
        (answer.status == status).then_some(answer)
    })
    .await
}

async fn stage() -> Stage {
    Stage::before(Upstream::simulator().await).await
}

#[tokio::test]
async fn a_model_that_is_not_allowed_is_refused_before_the_upstream_is_called() {
    let stage = stage().await;
    assert_eq!(stage.client().ask().await.status, StatusCode::OK);
    put_policy(
        &stage,
        "no sonnet",
        "access",
        json!({"denied_models": ["sonnet"]}),
    )
    .await;
    let answer = until(&stage, StatusCode::FORBIDDEN).await;
    let error = &answer.json()["error"];
    assert_eq!(error["type"], "permission_error");
    assert_eq!(error["details"]["error_code"], "model_not_allowed");
    assert_eq!(error["details"]["policy"], "no sonnet");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("claude-sonnet-5"),
        "{error}"
    );
    let sql = "DELETE FROM policies";
    stage.scene.sql.batch_execute(sql).await.unwrap();
    until(&stage, StatusCode::OK).await;
}

#[tokio::test]
async fn a_budget_that_is_used_up_says_so_in_the_apis_shape() {
    let stage = stage().await;
    put_policy(
        &stage,
        "tiny",
        "usage",
        json!({"max_tokens_per_day": 200, "max_requests_per_hour": 1_000}),
    )
    .await;
    let refused = until(&stage, StatusCode::TOO_MANY_REQUESTS).await;
    let error = &refused.json()["error"];
    assert_eq!(error["type"], "billing_error");
    let details = &error["details"];
    assert_eq!(details["error_code"], "budget_exhausted");
    assert_eq!(
        (&details["limit"], &details["unit"]),
        (&json!("200"), &json!("tokens"))
    );
    assert!(
        details["resets_at"]
            .as_str()
            .unwrap()
            .ends_with("T00:00:00Z"),
        "{details}"
    );
    assert_eq!(refused.header("x-should-retry"), "false");
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=86_400).contains(&seconds), "{seconds}");

    // Counting tokens is never refused for a budget.
    let question =
        json!({"model": "claude-sonnet-5", "messages": [{"role": "user", "content": "Hello"}]});
    let counted = stage
        .client()
        .post("/v1/messages/count_tokens", &question)
        .await;
    assert_eq!(counted.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_left_stands_in_the_headers_of_every_answer() {
    let stage = stage().await;
    put_policy(
        &stage,
        "team",
        "usage",
        json!({"max_tokens_per_day": 100_000}),
    )
    .await;
    put_policy(
        &stage,
        "soft",
        "usage",
        json!({"max_requests_per_day": 1, "action": "soft_limit"}),
    )
    .await;
    put_policy(
        &stage,
        "rate",
        "usage",
        json!({"max_requests_per_minute": 50}),
    )
    .await;
    let client = stage.client();
    let answer = eventually("all three are in force", || async {
        let answer = client.ask().await;
        let headers = [
            "anthropic-ratelimit-tokens-limit",
            "x-mindweave-warning",
            "anthropic-ratelimit-requests-limit",
        ];
        let all = headers
            .iter()
            .all(|name| answer.headers.contains_key(*name));
        all.then_some(answer)
    })
    .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("anthropic-ratelimit-tokens-limit"), "100000");
    let left: u64 = answer
        .header("anthropic-ratelimit-tokens-remaining")
        .parse()
        .unwrap();
    assert!(left < 100_000, "{left}");
    assert_eq!(answer.header("anthropic-ratelimit-requests-limit"), "50");
    let warning = answer.header("x-mindweave-warning");
    assert_eq!(warning, "1 requests per day are used up (policy \"soft\")");
}

#[tokio::test]
async fn a_flood_of_refusals_is_a_row_a_second() {
    let stage = stage().await;
    put_policy(&stage, "nothing", "access", json!({"allowed_models": []})).await;
    until(&stage, StatusCode::FORBIDDEN).await;
    let client = stage.client();
    const FLOOD: i64 = 200;
    for _ in 0..FLOOD {
        assert_eq!(client.ask().await.status, StatusCode::FORBIDDEN);
    }
    let sql = "SELECT count(*), coalesce(sum((metadata ->> 'refusals')::bigint), 0)::bigint
        FROM usage_events WHERE error_code = 'model_not_allowed'";
    let rows = eventually("all of them are accounted for", || async {
        let row = stage.scene.sql.query_one(sql, &[]).await.unwrap();
        let (rows, refusals): (i64, i64) = (row.get(0), row.get(1));
        (refusals > FLOOD).then_some(rows)
    })
    .await;
    assert!(rows < FLOOD / 4, "{rows}");
    let sql = "SELECT status, model, metadata ->> 'policy_id' AS policy, cost_cents::text
        FROM usage_events WHERE error_code = 'model_not_allowed' LIMIT 1";
    let row = stage.scene.sql.query_one(sql, &[]).await.unwrap();
    assert_eq!(
        (text(&row, "status"), text(&row, "model")),
        ("error".to_owned(), "claude-sonnet-5".to_owned())
    );
    assert!(!text(&row, "policy").is_empty());
    let denied = stage
        .gateway
        .metric("mindweave_budget_denials_total{reason=\"model_not_allowed\"}")
        .await;
    assert!(denied > 200.0, "{denied}");
}

/// Tokens of all rows.
async fn spent(stage: &Stage) -> i64 {
    let sql = "SELECT sum(input_tokens + output_tokens + cache_read_tokens + cache_write_tokens)::bigint FROM usage_events";
    stage.scene.sql.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn what_was_spent_before_a_budget_or_a_gateway_was_there_counts() {
    let stage = stage().await;
    let client = stage.client();
    for _ in 0..5 {
        assert_eq!(client.ask().await.status, StatusCode::OK);
    }
    stage.scene.events(5).await;
    // One more passes, if it is asked for before the policy is in force.
    let limit = spent(&stage).await;
    let rules = json!({"max_tokens_per_day": limit});
    put_policy(&stage, "late", "usage", rules).await;
    let refused = until(&stage, StatusCode::TOO_MANY_REQUESTS).await;
    let said = refused.json()["error"]["details"]["spent"].to_string();
    eventually("it is told what is stored", || async {
        (said == format!("\"{}\"", spent(&stage).await)).then_some(())
    })
    .await;

    // Another gateway, which starts now.
    let second = stage.scene.serve(MINDWEAVE, &stage.upstream).start().await;
    let client = second.client(&stage.scene.key);
    let refused = client.ask().await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "at once");
    let details = &refused.json()["error"]["details"];
    assert_eq!(details["spent"], spent(&stage).await.to_string());
}

#[tokio::test]
async fn quotas_of_a_project_are_limits() {
    let stage = stage().await;
    let sql = r#"UPDATE projects SET quotas = '{"max_requests_per_minute": 2}'"#;
    stage.scene.sql.batch_execute(sql).await.unwrap();
    let refused = until(&stage, StatusCode::TOO_MANY_REQUESTS).await;
    let error = &refused.json()["error"];
    assert_eq!(error["type"], "rate_limit_error");
    assert_eq!(error["details"]["error_code"], "rate_limited");
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert!(!refused.headers.contains_key("x-should-retry"));
}
