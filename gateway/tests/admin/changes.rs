//! Changes that meet other changes.

use http::StatusCode;
use serde_json::json;

use crate::stage::{Stage, at, get, post, project};

#[tokio::test]
async fn a_change_may_ask_that_nobody_else_came_before() {
    let stage = Stage::new().await;
    let api = stage.of_tenant("admin").await;
    let made = post(&api, "projects", project("one")).await;
    let path = at(&format!("projects/{}", made["id"].as_str().unwrap()));
    let seen = api.get(&path).await.header("etag").to_owned();
    let careful = api.clone().with("if-match", &seen);
    let changed = careful.post(&path, &json!({"name": "first"})).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_ne!(changed.header("etag"), seen);
    let stale = careful.post(&path, &json!({"name": "second"})).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(stale.json()["error"]["type"], "conflict_error");
    assert_eq!(api.get(&path).await.json()["name"], "first");
    let whatever = api.clone().with("if-match", "*");
    assert_eq!(
        whatever.post(&path, &json!({"name": "third"})).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_name_that_is_taken_is_a_conflict_until_it_is_free() {
    let stage = Stage::new().await;
    let api = stage.of_tenant("admin").await;
    let made = post(&api, "projects", project("one")).await;
    let taken = api.post(&at("projects"), &project("one")).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    assert_eq!(taken.json()["error"]["type"], "conflict_error");
    assert!(
        taken.json()["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("slug: ")
    );
    crate::stage::delete(&api, &format!("projects/{}", made["id"].as_str().unwrap())).await;
    post(&api, "projects", project("one")).await;
}

#[tokio::test]
async fn absent_stays_and_null_clears() {
    let stage = Stage::new().await;
    let api = stage.of_tenant("admin").await;
    let made = json!({"name": "n", "slug": "s", "description": "about"});
    let made = post(&api, "projects", made).await;
    let path = format!("projects/{}", made["id"].as_str().unwrap());
    let changed = post(&api, &path, json!({"name": "m"})).await;
    assert_eq!(
        (&changed["name"], &changed["description"]),
        (&json!("m"), &json!("about"))
    );
    let changed = post(&api, &path, json!({"description": null})).await;
    assert_eq!(changed["description"], json!(null));
    assert_eq!(get(&api, &path).await, changed);
}

#[tokio::test]
async fn a_revoked_key_stays_revoked() {
    let stage = Stage::new().await;
    let api = stage.of_tenant("member").await;
    let key = json!({"project_id": stage.scene.tenant.project_id, "name": "k",
        "allowed_ips": ["10.0.0.0/8", "::1"], "scopes": ["read"]});
    let key = post(&api, "api-keys", key).await;
    assert_eq!(key["allowed_ips"], json!(["10.0.0.0/8", "::1/128"]));
    let path = format!("api-keys/{}", key["id"].as_str().unwrap());
    assert!(get(&api, &path).await.get("key").is_none(), "shown once");
    let revoked = post(&api, &format!("{path}/revoke"), json!({})).await;
    assert_eq!(
        revoked["revoked_by"],
        stage.scene.tenant.user_id.to_string()
    );
    assert_eq!(
        post(&api, &format!("{path}/revoke"), json!({})).await,
        revoked,
        "once"
    );
    for (path, body) in [
        (path.clone(), json!({"name": "x"})),
        (format!("{path}/rotate"), json!({})),
    ] {
        let refused = api.post(&at(&path), &body).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{path}");
        assert_eq!(refused.error_code(), "not_active");
    }
}

#[tokio::test]
async fn an_admin_key_opens_until_it_is_revoked() {
    let stage = Stage::new().await;
    let owner = stage.of_tenant("owner").await;
    let key = json!({"role": "admin", "name": "ci", "user_id": stage.scene.tenant.user_id});
    let key = post(&owner, "admin-keys", key).await;
    let made = stage.client(key["key"].as_str().unwrap());
    let who = get(&made, "whoami").await;
    assert_eq!(who["admin_key_id"], key["id"]);
    assert_eq!(who["org_id"], stage.scene.tenant.org_id.to_string());
    assert_eq!(who["role"], "admin");
    post(&made, "projects", project("by-ci")).await;
    let path = format!("admin-keys/{}/revoke", key["id"].as_str().unwrap());
    let revoked = post(&owner, &path, json!({})).await;
    assert_eq!(
        (&revoked["status"], revoked.get("key")),
        (&json!("revoked"), None)
    );
    let refused = made.get(&at("whoami")).await;
    assert_eq!(refused.error_code(), "key_revoked");

    let everything = json!({"role": "viewer", "name": "x"});
    let refused = stage
        .installation
        .post(&at("admin-keys"), &everything)
        .await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_rotation_says_when_the_new_key_ends_if_the_old_one_does() {
    let stage = Stage::new().await;
    let api = stage.of_tenant("member").await;
    let key = json!({"project_id": stage.scene.tenant.project_id, "name": "k"});
    let key = post(&api, "api-keys", key).await;
    let rotate = format!("api-keys/{}/rotate", key["id"].as_str().unwrap());
    let second = post(&api, &rotate, json!({"grace_seconds": 3_600})).await;
    assert_eq!(second["expires_at"], json!(null));
    // Once more, as after an answer that was lost: the old one has an end by now, its grace's.
    let again = api.post(&at(&rotate), &json!({})).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert_eq!(again.json()["error"]["details"]["path"], "expires_at");
    let third = post(&api, &rotate, json!({"expires_at": null})).await;
    assert_eq!(third["expires_at"], json!(null));

    let sql = "UPDATE api_keys SET expires_at = now()";
    stage.scene.sql.batch_execute(sql).await.unwrap();
    let over = api.post(&at(&rotate), &json!({"expires_at": null})).await;
    assert_eq!(over.error_code(), "not_active");
}
