//! Subscriptions: what they allow, and what they refuse.

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use testkit::eventually;

use crate::members::{accept, invite, members};
use crate::stage::{Stage, at, delete, get, post, project};

fn subscription(stage: &Stage) -> String {
    format!("organizations/{}/subscription", stage.scene.tenant.org_id)
}

async fn limit(stage: &Stage, limits: Value) {
    let path = subscription(stage);
    post(
        &stage.installation,
        &path,
        json!({"limits": {"max_tokens_per_month": null}}),
    )
    .await;
    post(&stage.installation, &path, json!({"limits": limits})).await;
}

#[tokio::test]
async fn a_subscription_is_made_changed_read_and_removed() {
    let stage = Stage::new().await;
    let (api, path) = (&stage.installation, at(&subscription(&stage)));
    let viewer = stage.of_tenant("viewer").await;
    assert_eq!(viewer.get(&path).await.status, StatusCode::NOT_FOUND);
    let stale = api
        .clone()
        .with("if-match", "\"0\"")
        .post(&path, &json!({}))
        .await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    let terms = json!({"plan": "team", "billing_cycle": "yearly", "limits": {"max_users": 7},
        "current_period_start": "2026-01-01T00:00:00Z", "current_period_end": "2027-01-01T00:00:00Z"});
    let made = api.post(&path, &terms).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let made = made.json();
    assert_eq!(
        (&made["type"], &made["plan"]),
        (&json!("subscription"), &json!("team"))
    );
    assert_eq!(
        made["limits"],
        json!({"max_users": 7, "max_projects": 3, "max_tokens_per_month": 1_000_000, "max_mcp_servers": 10})
    );
    assert_eq!(
        made["in_use"],
        json!({"max_users": 1, "max_projects": 1, "max_mcp_servers": 0})
    );
    assert_eq!(viewer.get(&path).await.json(), made);

    let canceled = post(api, &subscription(&stage), json!({"status": "canceled"})).await;
    assert!(canceled["canceled_at"].is_string());
    let again = post(
        api,
        &subscription(&stage),
        json!({"status": "canceled", "trial_end": "2026-02-01T00:00:00Z"}),
    )
    .await;
    assert_eq!(
        again["canceled_at"], canceled["canceled_at"],
        "the first time counts"
    );
    let back = post(
        api,
        &subscription(&stage),
        json!({"status": "active", "limits": {}}),
    )
    .await;
    assert_eq!(
        (&back["canceled_at"], &back["limits"]),
        (&json!(null), &json!({}))
    );
    assert_eq!(back["plan"], "team");
    let removed = delete(api, &subscription(&stage)).await;
    assert_eq!(removed.json()["type"], "subscription_deleted");
    assert_eq!(api.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        delete(api, &subscription(&stage)).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn terms_that_make_no_sense_are_told_where() {
    let stage = Stage::new().await;
    let (api, path) = (&stage.installation, at(&subscription(&stage)));
    for (body, place) in [
        (json!({"plan": "gold"}), "plan"),
        (json!({"plan": null}), "plan"),
        (json!({"billing_cycle": "daily"}), "billing_cycle"),
        (json!({"status": "gone"}), "status"),
        (json!({"limits": []}), "limits"),
        (json!({"limits": null}), "limits"),
        (json!({"limits": {"max_users": -1}}), "limits.max_users"),
        (json!({"limits": {"max_users": 1.5}}), "limits.max_users"),
        (
            json!({"limits": {"max_projects": "3"}}),
            "limits.max_projects",
        ),
        (
            json!({"limits": {"max_tokens_per_month": 1_000_000_000_000_001_u64}}),
            "limits.max_tokens_per_month",
        ),
        (json!({"limits": {"max_horses": 1}}), "limits.max_horses"),
        (
            json!({"canceled_at": "2026-01-01T00:00:00Z"}),
            "canceled_at",
        ),
        (json!({"trial_end": "+10000-01-01T00:00:00Z"}), "trial_end"),
        (
            json!({"current_period_start": "2026-01-01T00:00:00Z", "current_period_end": "2026-01-01T00:00:00Z"}),
            "current_period_end",
        ),
    ] {
        let answer = api.post(&path, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {answer:?}");
        assert_eq!(
            answer.json()["error"]["details"]["path"],
            place,
            "{body}: {answer:?}"
        );
    }
    assert_eq!(api.get(&path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_not_paid_for_is_warned_about_and_then_refused() {
    let stage = Stage::new().await;
    let (api, path) = (&stage.installation, subscription(&stage));
    let caller = stage.gateway.client(&stage.scene.key);
    assert_eq!(caller.ask().await.status, StatusCode::OK);
    post(api, &path, json!({"status": "past_due"})).await;
    let warned = eventually("a warning", || async {
        let answer = caller.ask().await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer
            .headers
            .contains_key("x-mindweave-warning")
            .then_some(answer)
    });
    let warning = warned.await.header("x-mindweave-warning").to_owned();
    assert!(
        warning.contains("past_due") || warning.contains("past due"),
        "{warning}"
    );
    post(api, &path, json!({"status": "canceled"})).await;
    let refused = eventually("a refusal", || async {
        let answer = caller.ask().await;
        (answer.status == StatusCode::FORBIDDEN).then_some(answer)
    });
    assert_eq!(refused.await.error_code(), "organization_inactive");
    delete(api, &path).await;
    eventually("no plan, no refusal", || async {
        caller.ask().await.status.is_success().then_some(())
    })
    .await;
}

fn reached(answer: &testkit::client::Answer, limit: &str, value: u64) {
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
    let error = &answer.json()["error"];
    assert_eq!(error["type"], "permission_error");
    let expected = json!({"error_code": "plan_limit_reached", "limit": limit, "value": value, "current": value});
    assert_eq!(error["details"], expected);
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains(limit) && message.contains(&value.to_string()),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_however_many_come_at_once() {
    let stage = Stage::new().await;
    let owner = stage.of_tenant("owner").await;
    let limits = json!({"max_users": 3, "max_projects": 3, "max_mcp_servers": 2});
    limit(&stage, limits).await;
    let own = stage.scene.tenant.project_id;
    // The scene's own project and user are one each.
    type Body<'a> = dyn Fn(u8) -> Value + 'a;
    let kinds: [(String, &str, u64, &Body<'_>); 3] = [
        ("projects".to_owned(), "max_projects", 3, &|number| {
            project(&format!("p{number}"))
        }),
        (
            members(&stage),
            "max_users",
            3,
            &|number| json!({"email": format!("m{number}@new.example"), "role": "viewer"}),
        ),
        ("mcp-servers".to_owned(), "max_mcp_servers", 2, &|number| {
            json!({"project_id": own, "name": format!("s{number}"), "transport_type": "stdio",
                "transport_config": {"command": "x"}})
        }),
    ];
    for (path, name, most, body) in kinds {
        let bodies: Vec<_> = (0..10).map(body).collect();
        let path = at(&path);
        let answers = join_all(bodies.iter().map(|body| owner.post(&path, body))).await;
        let made = answers.iter().filter(|it| it.status == StatusCode::CREATED);
        assert_eq!(made.count(), 2, "{answers:?}");
        let refused = answers.iter().filter(|it| it.status != StatusCode::CREATED);
        refused.for_each(|answer| reached(answer, name, most));
    }
    let in_use = &get(&owner, &subscription(&stage)).await["in_use"];
    assert_eq!(
        in_use,
        &json!({"max_users": 3, "max_projects": 3, "max_mcp_servers": 2})
    );
}

#[tokio::test]
async fn archived_projects_take_no_room_until_they_come_back() {
    let stage = Stage::new().await;
    let owner = stage.of_tenant("owner").await;
    let own = format!("projects/{}", stage.scene.tenant.project_id);
    limit(&stage, json!({"max_projects": 1})).await;
    let refused = owner.post(&at("projects"), &project("two")).await;
    reached(&refused, "max_projects", 1);
    post(&owner, &format!("{own}/archive"), json!({})).await;
    let two = post(&owner, "projects", project("two")).await;
    let refused = owner.post(&at(&own), &json!({"status": "active"})).await;
    reached(&refused, "max_projects", 1);
    // Everything else of it may change, and one that isn't archived may pause.
    post(&owner, &own, json!({"name": "n", "status": "archived"})).await;
    let two = format!("projects/{}", two["id"].as_str().unwrap());
    post(&owner, &two, json!({"status": "paused"})).await;
    post(&owner, &two, json!({"status": "active"})).await;
    delete(&owner, &two).await;
    post(&owner, &own, json!({"status": "active"})).await;
    // What is over a limit that was lowered stays.
    limit(&stage, json!({"max_projects": 0})).await;
    post(&owner, &own, json!({"name": "m"})).await;
}

#[tokio::test]
async fn suspended_members_take_no_room_until_they_come_back() {
    let stage = Stage::new().await;
    let owner = stage.of_tenant("owner").await;
    limit(&stage, json!({"max_users": 2})).await;
    let first = invite(&stage, &owner, "a@new.example", "viewer").await;
    let body = json!({"email": "b@new.example", "role": "viewer"});
    reached(
        &owner.post(&at(&members(&stage)), &body).await,
        "max_users",
        2,
    );
    // Once more is no more, and accepting has its room.
    let first_again = invite(&stage, &owner, "a@new.example", "viewer").await;
    assert_eq!(first_again["id"], first["id"]);
    assert_eq!(accept(&stage, &first_again).await.status, StatusCode::OK);
    let path = format!("{}/{}", members(&stage), first["id"].as_str().unwrap());
    post(&owner, &path, json!({"status": "suspended"})).await;
    post(&owner, &members(&stage), body).await;
    let refused = owner.post(&at(&path), &json!({"status": "active"})).await;
    reached(&refused, "max_users", 2);
    delete(&stage.installation, &subscription(&stage)).await;
    post(&owner, &path, json!({"status": "active"})).await;
}
