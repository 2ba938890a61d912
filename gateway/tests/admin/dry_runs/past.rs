//! Policies tried on requests that were made.

use super::*;

/// What is stored of one request.
struct Stored {
    seconds: i64,
    request_id: Uuid,
    tokens: i64,
    picodollars: i64,
}

/// Rows of one key, from a thousand seconds before a midnight on; `metadata` goes to each.
async fn rows(scene: &Scene, count: usize, metadata: &Value) -> Vec<Stored> {
    let tenant = &scene.tenant;
    let sql = "INSERT INTO usage_events (time, org_id, project_id, user_id, api_key_id, request_id, event_type, model,
            input_tokens, output_tokens, cost_cents, status, metadata)
        SELECT date_trunc('day', now(), 'UTC') - interval '1000 seconds' + make_interval(secs => row.seconds), $1, $2, $3,
            (SELECT id FROM api_keys LIMIT 1), row.request_id, 'api_call', 'claude-sonnet-5', row.tokens, 0,
            row.picodollars * 0.0000000001, 'success', $8
        FROM unnest($4::bigint[], $5::uuid[], $6::bigint[], $7::bigint[]) AS row (seconds, request_id, tokens, picodollars)";
    let count = i64::try_from(count).unwrap();
    // Neither sorted nor even.
    let stored: Vec<_> = (0..count)
        .map(|n| Stored {
            seconds: n * 2,
            request_id: Uuid::now_v7(),
            tokens: n * 7_919 % 97 + 1,
            picodollars: n * 104_729 % 1_000_003,
        })
        .collect();
    let column = |of: fn(&Stored) -> i64| stored.iter().map(of).collect::<Vec<_>>();
    let ids: Vec<_> = stored.iter().map(|it| it.request_id).collect();
    let (seconds, tokens) = (column(|it| it.seconds), column(|it| it.tokens));
    let picodollars = column(|it| it.picodollars);
    let values: [&(dyn ToSql + Sync); 8] = [
        &tenant.org_id,
        &tenant.project_id,
        &tenant.user_id,
        &seconds,
        &ids,
        &tokens,
        &picodollars,
        metadata,
    ];
    scene.sql.execute(sql, &values).await.unwrap();
    stored
}

/// By hand: which requests a limit of a day refuses, of what each used.
fn by_hand(stored: &[Stored], most: i64, of: impl Fn(&Stored) -> i64) -> Vec<Uuid> {
    let mut refused = Vec::new();
    let (mut spent, mut day) = (0, 0);
    for event in stored {
        let is_in = i64::from(event.seconds >= 1_000);
        if is_in != day {
            (spent, day) = (0, is_in);
        }
        let used = of(event);
        if spent + used.max(1) > most {
            refused.push(event.request_id);
        } else {
            spent += used;
        }
    }
    refused
}

async fn stage_of_rows() -> (Stage, Vec<Stored>) {
    let scene = Scene::new().await;
    let stored = rows(&scene, 1_000, &json!({"endpoint": "messages"})).await;
    // None of these is decided about.
    rows(&scene, 3, &json!({"endpoint": "messages", "refusals": 7})).await;
    (Stage::on(scene).await, stored)
}

fn usage(rules: &Value) -> Value {
    json!({"policy": {"name": "p", "policy_type": "usage", "rules": rules}, "events": {"last": 10_000}})
}

#[tokio::test]
async fn a_budget_over_a_thousand_requests_refuses_those_that_it_refuses_by_hand() {
    let (stage, stored) = stage_of_rows().await;
    let admin = stage.of_tenant("admin").await;
    for (rules, refused) in [
        (
            json!({"max_tokens_per_day": 9_000}),
            by_hand(&stored, 9_000, |it| it.tokens),
        ),
        (
            json!({"max_cost_per_day_usd": "0.0001"}),
            by_hand(&stored, 100_000_000, |it| it.picodollars),
        ),
        (
            json!({"max_requests_per_day": 300}),
            by_hand(&stored, 300, |_| 1),
        ),
    ] {
        assert!(refused.len() > 20, "{rules}");
        let done = dry_run(&admin, &usage(&rules)).await;
        assert_eq!(done["evaluated"], 1_000, "{done}");
        assert_eq!(
            (&done["complete"], &done["has_more"]),
            (&json!(true), &json!(false))
        );
        let (now, then) = (&done["now"], &done["with_policy"]);
        assert_eq!(
            (&now["admitted"], &now["refused"]),
            (&json!(1_000), &json!(0))
        );
        assert_eq!(then["refused"], refused.len(), "{rules}: {then}");
        assert_eq!(then["admitted"], 1_000 - refused.len());
        let why = &then["refusals"][0];
        assert_eq!(why["error_code"], "budget_exhausted");
        assert_eq!(
            (&why["policy"], &why["policy_id"]),
            (&json!("p"), &json!(null))
        );
        assert_eq!(why["request_ids"], json!(refused[..20]), "{rules}");
        assert_eq!(done["not_evaluated"], json!([]));
    }
}

#[tokio::test]
async fn a_rate_goes_by_the_times_of_the_requests() {
    let (stage, _) = stage_of_rows().await;
    let admin = stage.of_tenant("admin").await;
    // Thirty come a minute: of twenty a minute's worth passes at once, then two of three.
    for (rate, refused) in [(30, 0), (29, 4), (20, 314)] {
        let done = dry_run(&admin, &usage(&json!({"max_requests_per_minute": rate}))).await;
        let found = done["with_policy"]["refused"].as_i64().unwrap();
        assert!(
            (found - refused).abs() <= 2,
            "{rate}: {found}, not {refused}"
        );
    }
}

#[tokio::test]
async fn only_the_last_ones_are_looked_at_and_those_of_a_span() {
    let (stage, stored) = stage_of_rows().await;
    let admin = stage.of_tenant("admin").await;
    let none = json!({"name": "p", "policy_type": "access", "rules": {"denied_models": ["*"]}});
    let of = |events: Value| json!({"policy": none, "events": events});
    let last = dry_run(&admin, &of(json!({"last": 7}))).await;
    assert_eq!(
        (&last["evaluated"], &last["has_more"]),
        (&json!(7), &json!(true))
    );
    let ids: Vec<_> = stored[993..].iter().map(|it| it.request_id).collect();
    let why = &last["with_policy"]["refusals"][0];
    assert_eq!(why["request_ids"], json!(ids));
    assert_eq!(why["error_code"], "model_not_allowed");
    let sql = "SELECT to_char(date_trunc('day', now(), 'UTC') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let row = stage.scene.sql.query_one(sql, &[]).await.unwrap();
    let midnight: &str = row.get(0);
    let before = dry_run(&admin, &of(json!({"until": midnight}))).await;
    assert_eq!(before["evaluated"], 500, "{before}");
    let since = dry_run(&admin, &of(json!({"since": midnight}))).await;
    assert_eq!(since["evaluated"], 500, "{since}");
    assert_eq!(since["first_at"], midnight);
    let other = stage
        .scene
        .tenant
        .with_another_project(&stage.scene.sql)
        .await;
    let of_other = of(json!({"project_id": other.project_id}));
    let nothing = dry_run(&admin, &of_other).await;
    assert_eq!(nothing["evaluated"], 0);
    assert_eq!(nothing["first_at"], json!(null));
}

#[tokio::test]
async fn a_span_that_begins_before_what_is_kept_is_refused() {
    let stage = Stage::new().await;
    let admin = stage.of_tenant("admin").await;
    let since = |ago: &'static str| {
        let sql = format!(
            "SELECT to_char(now() AT TIME ZONE 'UTC' - interval '{ago}', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        );
        let scene = &stage.scene;
        async move {
            scene
                .sql
                .query_one(&sql, &[])
                .await
                .unwrap()
                .get::<_, String>(0)
        }
    };
    let of = |since: String| {
        let mut body = usage(&json!({"max_tokens_per_day": 1}));
        body["events"] = json!({"since": since});
        body
    };
    let body = of(since("31 days").await);
    let answer = admin.post(&at("policies/dry-run"), &body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    let details = &answer.json()["error"]["details"];
    assert_eq!(
        (&details["error_code"], &details["path"], &details["source"]),
        (
            &json!("not_kept"),
            &json!("events.since"),
            &json!("usage_events")
        )
    );
    dry_run(&admin, &of(since("29 days").await)).await;
}

#[tokio::test]
async fn what_is_not_stored_is_named_and_refuses_nothing() {
    let (stage, _) = stage_of_rows().await;
    let admin = stage.of_tenant("admin").await;
    let rules = json!({"denied_models": ["opus"], "allowed_mcp_tools": ["x"], "max_tokens": 1});
    let policy = json!({"name": "half", "policy_type": "access", "rules": rules});
    let done = dry_run(&admin, &json!({"policy": policy, "events": {"last": 10}})).await;
    assert_eq!(done["with_policy"]["admitted"], 10);
    let paths: Vec<_> = done["not_evaluated"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["policy"].clone(), it["path"].clone()))
        .collect();
    let expected = ["$.rules.allowed_mcp_tools", "$.rules.max_tokens"];
    assert_eq!(paths, expected.map(|path| (json!("half"), json!(path))));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_organization_one_runs_at_a_time() {
    let (stage, _) = stage_of_rows().await;
    let admin = stage.of_tenant("admin").await;
    let body = usage(&json!({"max_tokens_per_day": 9_000}));
    let path = at("policies/dry-run");
    let asking = (0..12).map(|_| admin.post(&path, &body));
    let answers = futures_util::future::join_all(asking).await;
    let mut refused = 0;
    for answer in &answers {
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(answer.error_code(), "dry_runs_busy");
            refused += 1;
        } else {
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        }
    }
    assert!((1..12).contains(&refused), "{refused}");
    dry_run(&admin, &body).await;
}
