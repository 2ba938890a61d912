//! Tenants who invite to find out, or to take over.

use http::StatusCode;
use serde_json::{Value, json};

use super::{accept, count, invite, members};
use crate::login::PASSWORD;
use crate::stage::{Stage, at, delete, get, post};

/// An answer without what is of each invitation by itself.
fn plain(invited: &Value) -> Value {
    let mut plain = invited.clone();
    let fields = plain.as_object_mut().unwrap();
    for own in [
        "id",
        "email",
        "invitation_token",
        "invited_at",
        "invitation_expires_at",
        "created_at",
        "updated_at",
    ] {
        assert!(fields.remove(own).unwrap().is_string(), "{own}");
    }
    plain
}

#[tokio::test]
async fn whose_an_address_is_stays_unknown_until_they_accept() {
    let stage = Stage::new().await;
    let admin = stage.of_tenant("admin").await;
    let stranger = json!({"email": "stranger@there.example", "name": "Real Name"});
    let stranger = post(&stage.installation, "users", stranger).await;
    let of_stranger = invite(&stage, &admin, "stranger@there.example", "viewer").await;
    let of_nobody = invite(&stage, &admin, "nobody@there.example", "viewer").await;
    assert_eq!(plain(&of_stranger), plain(&of_nobody));

    let id = stranger["id"].as_str().unwrap();
    for path in [
        "users?limit=1000".to_owned(),
        "users?email=stranger@there.example".to_owned(),
        members(&stage),
        format!("{}?user_id={id}", members(&stage)),
        "audit-logs?limit=1000".to_owned(),
    ] {
        let shown = get(&admin, &path).await.to_string();
        assert!(
            !shown.contains(id) && !shown.contains("Real Name"),
            "{path}: {shown}"
        );
        assert!(!shown.contains("users.create"), "{path}: {shown}");
    }
    let user = admin.get(&at(&format!("users/{id}"))).await;
    assert_eq!(user.status, StatusCode::NOT_FOUND);
    let path = format!(
        "{}/{}",
        members(&stage),
        of_stranger["id"].as_str().unwrap()
    );
    assert_eq!(delete(&admin, &path).await.status, StatusCode::OK);
    let shown = get(&admin, "audit-logs?limit=1000").await.to_string();
    assert!(!shown.contains(id), "{shown}");
}

#[tokio::test]
async fn who_is_there_already_is_not_changed_by_an_invitation() {
    let stage = Stage::new().await;
    let admin = stage.of_tenant("admin").await;
    let stranger =
        json!({"email": "stranger@there.example", "name": "Real Name", "password": PASSWORD});
    let stranger = post(&stage.installation, "users", stranger).await;
    let path = format!("users/{}", stranger["id"].as_str().unwrap());
    let body = json!({"email": "Stranger@There.example", "role": "viewer", "name": "Given"});
    let invited = post(&admin, &members(&stage), body).await;
    assert_eq!(get(&stage.installation, &path).await, stranger);
    let body =
        json!({"token": invited["invitation_token"], "name": "Taken over", "password": PASSWORD});
    let accepted = stage
        .client("")
        .post(&at("invitations/accept"), &body)
        .await;
    assert_eq!(accepted.status, StatusCode::OK, "{accepted:?}");
    assert_eq!(accepted.json()["name"], "Real Name");
    assert_eq!(get(&stage.installation, &path).await, stranger);
    let changed = "SELECT count(*) FROM audit_logs WHERE action = 'users.update'";
    assert_eq!(count(&stage, changed).await, 0);
}

#[tokio::test]
async fn a_new_user_has_the_name_that_they_give() {
    let stage = Stage::new().await;
    let admin = stage.of_tenant("admin").await;
    let other = testkit::Tenant::create(&stage.scene.sql).await.org_id;
    let by_other = json!({"email": "new@there.example", "role": "owner", "name": "By the other"});
    let path = format!("organizations/{other}/members");
    let by_other = post(&stage.installation, &path, by_other).await;
    let invited = invite(&stage, &admin, "new@there.example", "viewer").await;
    let body = json!({"token": invited["invitation_token"], "name": "Own", "password": PASSWORD});
    let accepted = stage
        .client("")
        .post(&at("invitations/accept"), &body)
        .await;
    assert_eq!(accepted.json()["name"], "Own", "{accepted:?}");
    // The other invitation is still one, and is theirs to accept.
    let shown = get(
        &stage.installation,
        &format!("{path}/{}", by_other["id"].as_str().unwrap()),
    )
    .await;
    assert_eq!(
        (&shown["status"], &shown["name"]),
        (&json!("invited"), &json!("By the other"))
    );
    let accepted = accept(&stage, &by_other).await.json();
    assert_eq!(
        (&accepted["role"], &accepted["name"]),
        (&json!("owner"), &json!("Own"))
    );
    let bad = json!({"token": "x", "nmae": "y"});
    let answer = stage.client("").post(&at("invitations/accept"), &bad).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_organizations_path_leads_to_its_own_members_alone() {
    let stage = Stage::new().await;
    let other = testkit::Tenant::create(&stage.scene.sql).await.org_id;
    let invited = invite(&stage, &stage.installation, "a@new.example", "viewer").await;
    let id = invited["id"].as_str().unwrap();
    let crossed = format!("organizations/{other}/members/{id}");
    let api = &stage.installation;
    assert_eq!(api.get(&at(&crossed)).await.status, StatusCode::NOT_FOUND);
    let change = api.post(&at(&crossed), &json!({"role": "owner"})).await;
    assert_eq!(change.status, StatusCode::NOT_FOUND);
    assert_eq!(delete(api, &crossed).await.status, StatusCode::NOT_FOUND);
    let nothing = api.get(&at(&format!("{}/1", members(&stage)))).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
}
