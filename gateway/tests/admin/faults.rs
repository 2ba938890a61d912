//! What is wrong is said with its place, and nothing comes of it.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::stage::{Stage, at, get, post};

#[tokio::test]
async fn bodies_that_are_wrong_are_told_where() {
    let stage = Stage::new().await;
    let api = stage.of_tenant("owner").await;
    let project = stage.scene.tenant.project_id;
    let long = "x".repeat(256);
    for (path, body, place) in [
        ("projects", json!({"slug": "a"}), "."),
        ("projects", json!({"name": 5, "slug": "a"}), "name"),
        ("projects", json!({"name": "", "slug": "a"}), "name"),
        ("projects", json!({"name": long, "slug": "a"}), "name"),
        ("projects", json!({"name": "a\0", "slug": "a"}), "name"),
        ("projects", json!({"name": "a", "slug": "No"}), "slug"),
        (
            "projects",
            json!({"name": "a", "slug": "a", "quotas": []}),
            "quotas",
        ),
        (
            "projects",
            json!({"name": "a", "slug": "a", "settings": {"a": ["\0"]}}),
            "settings.a[0]",
        ),
        (
            "projects",
            json!({"name": "a", "slug": "a", "nmae": 1}),
            "nmae",
        ),
        ("projects", json!([]), "."),
        (
            "api-keys",
            json!({"project_id": "x", "name": "a"}),
            "project_id",
        ),
        (
            "api-keys",
            json!({"project_id": project, "name": "a", "allowed_ips": ["::1", "x"]}),
            "allowed_ips[1]",
        ),
        (
            "api-keys",
            json!({"project_id": project, "name": "a", "scopes": ["admin"]}),
            "scopes[0]",
        ),
        (
            "api-keys",
            json!({"project_id": project, "name": "a", "scopes": []}),
            "scopes",
        ),
        (
            "api-keys",
            json!({"project_id": project, "name": "a", "key_prefix": "sk-"}),
            "key_prefix",
        ),
        (
            "api-keys",
            json!({"project_id": project, "name": "a", "expires_at": "tomorrow"}),
            "expires_at",
        ),
        (
            "policies",
            json!({"name": "a", "policy_type": "magic", "rules": {}}),
            "policy_type",
        ),
    ] {
        let answer = api.post(&at(path), &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {answer:?}");
        let error = &answer.json()["error"];
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(error["details"]["path"], place, "{body}: {error}");
    }
    assert_eq!(get(&api, "policies").await["data"], json!([]));
}

#[tokio::test]
async fn a_policy_that_can_not_be_understood_is_refused_with_every_fault() {
    let stage = Stage::new().await;
    let api = stage.of_tenant("owner").await;
    let rules =
        json!({"max_tokens_per_day": "many", "per": ["galaxy"], "max_cost_per_day_usd": -1});
    let policy = json!({"name": "p", "policy_type": "usage", "rules": rules});
    let refused = api.post(&at("policies"), &policy).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let faults = refused.json()["error"]["details"]["faults"].clone();
    let paths: Vec<_> = faults
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["path"].as_str().unwrap().to_owned())
        .collect();
    for path in [
        "$.rules.max_tokens_per_day",
        "$.rules.per",
        "$.rules.max_cost_per_day_usd",
    ] {
        assert!(
            paths.iter().any(|found| found == path),
            "{path} in {faults}"
        );
    }
    let draft = json!({"policy_type": "usage", "rules": rules});
    let said = post(&api, "policies/validate", draft).await;
    assert_eq!((&said["valid"], &said["faults"]), (&json!(false), &faults));
    let right = json!({"policy_type": "usage", "rules": {"max_tokens_per_day": 5}});
    let said = post(&api, "policies/validate", right).await;
    assert_eq!(
        (&said["valid"], &said["faults"]),
        (&json!(true), &json!([]))
    );

    // A change is looked at as it will be.
    let policy = json!({"name": "p", "policy_type": "usage", "rules": {"max_tokens_per_day": 5}});
    let made = post(&api, "policies", policy).await;
    let path = at(&format!("policies/{}", made["id"].as_str().unwrap()));
    let refused = api
        .post(&path, &json!({"applies_to": {"users": "all"}}))
        .await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
}

/// Lists of lists.
fn deep(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

#[tokio::test]
async fn quotas_and_settings_are_looked_at_too() {
    let stage = Stage::new().await;
    let api = stage.of_tenant("owner").await;
    let path = at(&format!("projects/{}", stage.scene.tenant.project_id));
    for body in [
        json!({"quotas": {"max_tokens_per_day": "x"}}),
        json!({"settings": {"allowed_models": "all"}}),
        json!({"quotas": null}),
        json!({"settings": null}),
        json!({"name": null}),
        json!({"settings": {"a": "x".repeat(65_536)}}),
        json!({"description": "x".repeat(10_001)}),
        json!({"settings": {"deep": deep(32)}}),
    ] {
        let refused = api.post(&path, &body).await;
        assert_eq!(
            refused.status,
            StatusCode::BAD_REQUEST,
            "{body}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_same_shape() {
    let stage = Stage::new().await;
    let api = &stage.installation;
    let zero = "00000000-0000-0000-0000-000000000000";
    let shape = |body: &Value| body["type"] == "error" && body["request_id"].is_string();
    for (method, path, status) in [
        (Method::GET, "nothing".to_owned(), StatusCode::NOT_FOUND),
        (
            Method::GET,
            format!("projects/{zero}"),
            StatusCode::NOT_FOUND,
        ),
        (Method::GET, "projects/1".to_owned(), StatusCode::NOT_FOUND),
        (
            Method::PUT,
            format!("projects/{zero}"),
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        (
            Method::PATCH,
            "projects".to_owned(),
            StatusCode::METHOD_NOT_ALLOWED,
        ),
    ] {
        let answer = api.send(method.clone(), &at(&path), "").await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(shape(&answer.json()), "{answer:?}");
        assert_eq!(answer.json()["request_id"], answer.header("request-id"));
    }
    for (body, status) in [
        (b"{".to_vec(), StatusCode::BAD_REQUEST),
        (b"{\"name\": \"\xff\"}".to_vec(), StatusCode::BAD_REQUEST),
        (vec![b'['; 100_000], StatusCode::BAD_REQUEST),
        (vec![b' '; (1 << 20) + 1], StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let answer = api.send(Method::POST, &at("projects"), body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(shape(&answer.json()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_a_503_and_the_api_comes_back_with_it() {
    let scene = testkit::Scene::new().await;
    let upstream = testkit::Upstream::simulator().await;
    let link = testkit::Link::to(scene.database.address()).await;
    let url = scene.database.url_at(&link.address());
    let builder =
        testkit::gateway::Builder::serve(crate::MINDWEAVE, &url).upstream(&upstream.url());
    let gateway = builder.start().await;
    let key = crate::stage::admin_key(&scene, None, None, "owner").await;
    let api = testkit::Client::new(gateway.ready_text("admin_url"), &key);
    get(&api, "projects").await;
    link.cut();
    let answer = api.get(&at("projects")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(answer.json()["error"]["type"], "overloaded_error");
    link.restore();
    testkit::eventually("it is back", || async {
        let answer = api.get(&at("projects")).await;
        answer.status.is_success().then_some(())
    })
    .await;
}
