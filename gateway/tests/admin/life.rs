//! A tenant's life through HTTP alone, from its beginning to its end.

use http::StatusCode;
use serde_json::{Value, json};
use testkit::{Client, eventually};

use crate::stage::{Stage, ago, delete, get, post};

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
    let organization = json!({"name": "Acme", "slug": "acme", "settings": {"require_mcp_approval": false},
        "allowed_email_domains": ["acme.example"]});
    let organization = post(api, "organizations", organization).await;
    assert_eq!(organization["type"], "organization");
    let org = &organization["id"];
    let plan = json!({"plan": "team", "limits": {"max_users": 1}});
    post(api, &of_org(org, "/subscription"), plan).await;
    let ops = owner(&stage, org).await;
    let project =
        json!({"name": "Website", "slug": "website", "quotas": {"max_requests_per_minute": null}});
    let project = post(&ops, "projects", project).await;
    assert_eq!(
        project["settings"]["allowed_models"],
        json!(["*"]),
        "a default"
    );

    let key = json!({"project_id": project["id"], "name": "server"});
    let key = post(&ops, "api-keys", key).await;
    let text = key["key"].as_str().unwrap();
    let caller = stage.gateway.client(text);
    until(&caller, StatusCode::OK).await;

    let policy = json!({"project_id": project["id"], "name": "no sonnet", "policy_type": "access",
        "rules": {"denied_models": ["sonnet"]}});
    let policy = post(&ops, "policies", policy).await;
    let refused = until(&caller, StatusCode::FORBIDDEN).await;
    assert_eq!(refused["error"]["details"]["policy_id"], policy["id"]);
    let path = format!("policies/{}", policy["id"].as_str().unwrap());
    post(&ops, &path, json!({"status": "disabled"})).await;
    until(&caller, StatusCode::OK).await;
    assert_eq!(delete(&ops, &path).await.json()["type"], "policy_deleted");

    is_reported(&stage, &ops, &project["id"]).await;

    // Both keys work; without grace the one before ends at once.
    let path = format!("api-keys/{}/rotate", key["id"].as_str().unwrap());
    let second = post(&ops, &path, json!({})).await;
    let second_caller = stage.gateway.client(second["key"].as_str().unwrap());
    until(&second_caller, StatusCode::OK).await;
    assert_eq!(caller.ask().await.status, StatusCode::OK);
    let path = format!("api-keys/{}/rotate", second["id"].as_str().unwrap());
    let third = post(&ops, &path, json!({"grace_seconds": 0})).await;
    let refused = until(&second_caller, StatusCode::UNAUTHORIZED).await;
    assert_eq!(refused["error"]["details"]["error_code"], "key_revoked");

    let path = format!("api-keys/{}/revoke", third["id"].as_str().unwrap());
    let third_caller = stage.gateway.client(third["key"].as_str().unwrap());
    assert_eq!(post(&ops, &path, json!({})).await["status"], "revoked");
    until(&third_caller, StatusCode::UNAUTHORIZED).await;

    let path = format!("projects/{}/archive", project["id"].as_str().unwrap());
    assert_eq!(post(&ops, &path, json!({})).await["status"], "archived");
    let refused = until(&caller, StatusCode::FORBIDDEN).await;
    assert_eq!(
        refused["error"]["details"]["error_code"],
        "project_inactive"
    );

    let path = of_org(org, "");
    assert_eq!(delete(api, &path).await.status, StatusCode::OK);
    let gone = api.get(&format!("/admin/v1/{path}")).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    let keys = get(api, &format!("projects?org_id={}", org.as_str().unwrap())).await;
    assert_eq!(keys["data"], json!([]));

    let gone = ops.get("/admin/v1/whoami").await;
    assert_eq!(gone.error_code(), "organization_inactive");

    trail(&stage, org).await;
}

/// What was used so far is told, in our shape and in the Claude API's, and comes to the same.
async fn is_reported(stage: &Stage, ops: &Client, project: &Value) {
    let since = ago(&stage.scene, "1 day").await;
    eventually("both reports say the same", || async {
        let usage = get(ops, &format!("usage?since={since}&group_by=project_id")).await;
        let query = format!("starting_at={since}&group_by%5B%5D=workspace_id");
        let reported = ops
            .get(&format!("/v1/organizations/cost_report?{query}"))
            .await;
        assert_eq!(reported.status, StatusCode::OK, "{reported:?}");
        let reported = reported.json();
        let days = reported["data"].as_array().unwrap().iter();
        let costs: Vec<_> = days
            .flat_map(|day| day["results"].as_array().unwrap())
            .map(|cost| {
                assert_eq!(&cost["workspace_id"], project, "{cost}");
                cost["amount"].as_str().unwrap().parse::<f64>().unwrap()
            })
            .collect();
        let used = &usage["data"][0];
        let cents = used["cost_usd"].as_str()?.parse::<f64>().unwrap() * 100.0;
        assert_eq!(&used["project_id"], project);
        let is_same = (cents - costs.iter().sum::<f64>()).abs() < 1e-6;
        (cents > 0.0 && is_same).then_some(())
    })
    .await;
}

fn of_org(org: &Value, rest: &str) -> String {
    format!("organizations/{}{rest}", org.as_str().unwrap())
}

/// Somebody who was invited as owner, and has accepted.
async fn owner(stage: &Stage, org: &Value) -> Client {
    let api = &stage.installation;
    let members = of_org(org, "/members");
    let invitation = json!({"email": "Ops@acme.example", "role": "owner"});
    let invited = post(api, &members, invitation).await;
    let acceptance = json!({"token": invited["invitation_token"], "name": "Ops"});
    let member = post(&stage.client(""), "invitations/accept", acceptance).await;
    assert_eq!(
        (&member["email"], &member["status"]),
        (&json!("ops@acme.example"), &json!("active"))
    );
    let one_more = json!({"email": "dev@acme.example", "role": "member"});
    let refused = api.post(&format!("/admin/v1/{members}"), &one_more).await;
    assert_eq!(refused.error_code(), "plan_limit_reached");
    let key = json!({"org_id": org, "user_id": member["user_id"], "role": "owner", "name": "ops"});
    let key = post(api, "admin-keys", key).await;
    stage.client(key["key"].as_str().unwrap())
}

/// Every step has left its row, and no secret is in any.
async fn trail(stage: &Stage, org: &Value) {
    let path = format!("audit-logs?limit=1000&org_id={}", org.as_str().unwrap());
    let rows = get(&stage.installation, &path).await;
    let (mut actions, mut actors) = (Vec::new(), Vec::new());
    for row in rows["data"].as_array().unwrap() {
        actors.push(row["actor_type"].as_str().unwrap().to_owned());
        assert_eq!(row["actor_ip"], "127.0.0.1", "{row}");
        for field in ["actor_id", "request_id", "resource_id"] {
            assert!(row[field].is_string(), "{field} of {row}");
        }
        assert!(!row.to_string().contains("key_hash"), "{row}");
        actions.push(row["action"].as_str().unwrap().to_owned());
    }
    for expected in [
        "organizations.create",
        "subscriptions.create",
        "org_members.create",
        "org_members.accept",
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
    for actor in ["user", "api_key"] {
        assert!(actors.iter().any(|it| it == actor), "{actor} in {actors:?}");
    }
    let of_keys = get(
        &stage.installation,
        &format!("{path}&action=api_keys.revoke"),
    )
    .await;
    assert_eq!(of_keys["data"].as_array().unwrap().len(), 2, "{of_keys}");
}
