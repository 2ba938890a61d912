//! A tenant's life through HTTP alone, from its beginning to its end.

use http::StatusCode;
use serde_json::{Value, json};
use testkit::{Client, eventually};

use crate::stage::{Stage, delete, get, post};

/// Asks through the proxy until the answer has this status.
async fn until(client: &Client, status: StatusCode) -> Value {
    eventually(&format!("an answer with {status}"), || async {
        let answer = client.ask().await;
        (answer.status == status).then(|| answer.json())
    })
    .await
}

#[tokio::test]
async fn a_tenant_is_made_works_is_limited_rotates_its_key_and_ends() {
    let stage = Stage::new().await;
    let api = &stage.installation;
    let user = json!({"email": "Ops@acme.example", "name": "Ops"});
    let user = post(api, "users", user).await;
    assert_eq!(user["email"], "ops@acme.example");
    let user = &user["id"];
    let organization =
        json!({"name": "Acme", "slug": "acme", "settings": {"require_mcp_approval": false}});
    let organization = post(api, "organizations", organization).await;
    assert_eq!(organization["type"], "organization");
    let org = &organization["id"];
    let project = json!({"org_id": org, "name": "Website", "slug": "website", "quotas": {"max_requests_per_minute": null}});
    let project = post(api, "projects", project).await;
    assert_eq!(
        project["settings"]["allowed_models"],
        json!(["*"]),
        "a default"
    );

    let key = json!({"project_id": project["id"], "name": "server", "created_by": user});
    let key = post(api, "api-keys", key).await;
    let text = key["key"].as_str().unwrap();
    let caller = stage.gateway.client(text);
    until(&caller, StatusCode::OK).await;

    let policy = json!({"project_id": project["id"], "name": "no sonnet", "policy_type": "access",
        "rules": {"denied_models": ["sonnet"]}, "created_by": user});
    let policy = post(api, "policies", policy).await;
    let refused = until(&caller, StatusCode::FORBIDDEN).await;
    assert_eq!(refused["error"]["details"]["policy_id"], policy["id"]);
    let path = format!("policies/{}", policy["id"].as_str().unwrap());
    post(api, &path, json!({"status": "disabled"})).await;
    until(&caller, StatusCode::OK).await;
    assert_eq!(delete(api, &path).await.json()["type"], "policy_deleted");

    // Both keys work; without grace the one before ends at once.
    let path = format!("api-keys/{}/rotate", key["id"].as_str().unwrap());
    let second = post(api, &path, json!({})).await;
    let second_caller = stage.gateway.client(second["key"].as_str().unwrap());
    until(&second_caller, StatusCode::OK).await;
    assert_eq!(caller.ask().await.status, StatusCode::OK);
    let path = format!("api-keys/{}/rotate", second["id"].as_str().unwrap());
    let third = post(api, &path, json!({"grace_seconds": 0})).await;
    let refused = until(&second_caller, StatusCode::UNAUTHORIZED).await;
    assert_eq!(refused["error"]["details"]["error_code"], "key_revoked");

    let path = format!("api-keys/{}/revoke", third["id"].as_str().unwrap());
    let third_caller = stage.gateway.client(third["key"].as_str().unwrap());
    assert_eq!(post(api, &path, json!({})).await["status"], "revoked");
    until(&third_caller, StatusCode::UNAUTHORIZED).await;

    let path = format!("projects/{}/archive", project["id"].as_str().unwrap());
    assert_eq!(post(api, &path, json!({})).await["status"], "archived");
    let refused = until(&caller, StatusCode::FORBIDDEN).await;
    assert_eq!(
        refused["error"]["details"]["error_code"],
        "project_inactive"
    );

    let path = format!("organizations/{}", org.as_str().unwrap());
    assert_eq!(delete(api, &path).await.status, StatusCode::OK);
    let gone = api.get(&format!("/admin/v1/{path}")).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    let keys = get(api, &format!("projects?org_id={}", org.as_str().unwrap())).await;
    assert_eq!(keys["data"], json!([]));

    trail(&stage, org).await;
}

/// Every step has left its row, and no secret is in any.
async fn trail(stage: &Stage, org: &Value) {
    let path = format!("audit-logs?limit=1000&org_id={}", org.as_str().unwrap());
    let rows = get(&stage.installation, &path).await;
    let mut actions = Vec::new();
    for row in rows["data"].as_array().unwrap() {
        assert_eq!(row["actor_type"], "api_key", "{row}");
        assert_eq!(row["actor_ip"], "127.0.0.1", "{row}");
        for field in ["actor_id", "request_id", "resource_id"] {
            assert!(row[field].is_string(), "{field} of {row}");
        }
        assert!(!row.to_string().contains("key_hash"), "{row}");
        actions.push(row["action"].as_str().unwrap().to_owned());
    }
    for expected in [
        "organizations.create",
        "projects.create",
        "api_keys.create",
        "policies.create",
        "policies.disable",
        "policies.delete",
        "api_keys.revoke",
        "projects.archive",
        "organizations.delete",
    ] {
        assert!(
            actions.iter().any(|action| action == expected),
            "{expected} in {actions:?}"
        );
    }
    let of_keys = get(
        &stage.installation,
        &format!("{path}&action=api_keys.revoke"),
    )
    .await;
    assert_eq!(of_keys["data"].as_array().unwrap().len(), 2, "{of_keys}");
}
