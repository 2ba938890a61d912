//! Members: invited, accepting, changed, removed.

mod hostile;
mod races;

use http::StatusCode;
use serde_json::{Value, json};
use testkit::Client;
use uuid::Uuid;

use crate::login::PASSWORD;
use crate::stage::{Stage, admin_key, at, delete, get, post};

/// Where the members of the scene's organization are.
pub(crate) fn members(stage: &Stage) -> String {
    format!("organizations/{}/members", stage.scene.tenant.org_id)
}

pub(crate) async fn invite(stage: &Stage, api: &Client, email: &str, role: &str) -> Value {
    post(api, &members(stage), json!({"email": email, "role": role})).await
}

/// Without a key: as somebody new, or by the password that somebody new has set.
pub(crate) async fn accept(stage: &Stage, invited: &Value) -> testkit::client::Answer {
    let body = json!({"token": invited["invitation_token"], "password": PASSWORD});
    let nobody = stage.client("");
    nobody.post(&at("invitations/accept"), &body).await
}

/// A member who has accepted, as a caller.
async fn joined(stage: &Stage, email: &str, role: &str) -> (String, Client) {
    let invited = invite(stage, &stage.installation, email, role).await;
    let accepted = accept(stage, &invited).await;
    assert_eq!(accepted.status, StatusCode::OK, "{accepted:?}");
    let user_id: Uuid = accepted.json()["user_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let org_id = Some(stage.scene.tenant.org_id);
    let key = admin_key(&stage.scene, org_id, Some(user_id), role).await;
    let path = format!("{}/{}", members(stage), invited["id"].as_str().unwrap());
    (path, stage.client(&key))
}

async fn count(stage: &Stage, sql: &str) -> i64 {
    stage.scene.sql.query_one(sql, &[]).await.unwrap().get(0)
}

async fn run(stage: &Stage, sql: &str) {
    stage.scene.sql.batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn an_invitation_waits_is_accepted_once_and_makes_a_member() {
    let stage = Stage::new().await;
    let admin = stage.of_tenant("admin").await;
    let body = json!({"email": "Ann@New.example", "role": "admin", "name": "Ann"});
    let invited = post(&admin, &members(&stage), body).await;
    assert_eq!(
        (&invited["type"], &invited["status"], &invited["email"]),
        (
            &json!("member"),
            &json!("invited"),
            &json!("ann@new.example")
        )
    );
    assert_eq!(
        invited["invited_by"],
        stage.scene.tenant.user_id.to_string()
    );
    assert_eq!(
        (&invited["user_id"], &invited["name"]),
        (&json!(null), &json!("Ann"))
    );
    let token = invited["invitation_token"].as_str().unwrap();
    assert!(token.starts_with("mw_iv_") && token.len() == 49, "{token}");
    let path = format!("{}/{}", members(&stage), invited["id"].as_str().unwrap());
    let shown = get(&admin, &path).await;
    assert!(shown.get("invitation_token").is_none(), "shown once");
    let waits = count(
        &stage,
        "SELECT count(*) FROM org_members WHERE status = 'invited' AND length(invitation_hash) = 64
            AND invitation_expires_at BETWEEN now() + interval '167 hours' AND now() + interval '169 hours'",
    );
    assert_eq!(waits.await, 1);

    let accepted = accept(&stage, &invited).await;
    assert_eq!(accepted.status, StatusCode::OK, "{accepted:?}");
    let accepted = accepted.json();
    assert_eq!(accepted["status"], "active");
    assert!(accepted["accepted_at"].is_string());
    assert_eq!(get(&admin, &path).await, accepted);
    let user = get(
        &admin,
        &format!("users/{}", accepted["user_id"].as_str().unwrap()),
    )
    .await;
    assert_eq!(
        (&user["status"], &user["name"]),
        (&json!("active"), &json!("Ann"))
    );
    let again = accept(&stage, &invited).await;
    assert_eq!((again.status, again.error_code()), refused());

    // Who accepted did it, and the token is nowhere.
    let sql = "SELECT actor_type, actor_id::text, host(actor_ip), changes::text FROM audit_logs WHERE action = 'org_members.accept'";
    let row = stage.scene.sql.query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "user");
    assert_eq!(Some(row.get::<_, &str>(1)), accepted["user_id"].as_str());
    assert_eq!(row.get::<_, &str>(2), "127.0.0.1");
    let secret = "SELECT count(*) FROM audit_logs row WHERE row::text LIKE '%invitation_hash%' OR row::text LIKE '%mw_iv_%'";
    assert_eq!(count(&stage, secret).await, 0);
}

fn refused() -> (StatusCode, String) {
    (StatusCode::UNAUTHORIZED, "invitation_unknown".to_owned())
}

#[tokio::test]
async fn what_is_wrong_with_an_invitation_can_not_be_told_apart() {
    let stage = Stage::new().await;
    let admin = stage.of_tenant("admin").await;
    let replaced = invite(&stage, &admin, "a@new.example", "viewer").await;
    let removed = invite(&stage, &admin, "b@new.example", "viewer").await;
    let path = format!("{}/{}", members(&stage), removed["id"].as_str().unwrap());
    assert_eq!(delete(&admin, &path).await.json()["type"], "member_deleted");
    let over = invite(&stage, &admin, "c@new.example", "viewer").await;
    run(
        &stage,
        "UPDATE org_members SET invitation_expires_at = now() WHERE invited_email = 'c@new.example'",
    )
    .await;
    let suspended = invite(&stage, &admin, "d@new.example", "viewer").await;
    run(
        &stage,
        "UPDATE users SET status = 'suspended' WHERE email = 'd@new.example'",
    )
    .await;
    let renewed = invite(&stage, &admin, "a@new.example", "member").await;
    assert_eq!(renewed["id"], replaced["id"], "the same membership");
    assert_eq!(renewed["role"], "member");
    let unknown = json!({"invitation_token": format!("mw_iv_{}", "0".repeat(43))});
    let rubbish = json!({"invitation_token": "'; DROP TABLE users"});
    let mut messages = Vec::new();
    for token in [replaced, removed, over, suspended, unknown, rubbish] {
        let answer = accept(&stage, &token).await;
        assert_eq!((answer.status, answer.error_code()), refused(), "{token}");
        messages.push(answer.json()["error"].clone());
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(accept(&stage, &renewed).await.status, StatusCode::OK);
    // Of an organization that isn't active nobody becomes a member.
    let late = invite(&stage, &admin, "e@new.example", "viewer").await;
    run(&stage, "UPDATE organizations SET status = 'suspended'").await;
    let answer = accept(&stage, &late).await;
    assert_eq!((answer.status, answer.error_code()), refused());
}

#[tokio::test]
async fn domains_are_looked_at_whenever_somebody_comes() {
    let stage = Stage::new().await;
    let api = &stage.installation;
    let admin = stage.of_tenant("admin").await;
    let org = format!("organizations/{}", stage.scene.tenant.org_id);
    let early = invite(&stage, &admin, "early@old.example", "viewer").await;
    post(
        api,
        &org,
        json!({"allowed_email_domains": ["ACME.example"]}),
    )
    .await;
    for email in [
        "a@mail.acme.example",
        "a@notacme.example",
        "a@acme.example.org",
        "a@other@acme.example.org",
    ] {
        let body = json!({"email": email, "role": "viewer"});
        let answer = admin.post(&at(&members(&stage)), &body).await;
        assert_eq!(
            answer.error_code(),
            "email_domain_not_allowed",
            "{email}: {answer:?}"
        );
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
    invite(&stage, &admin, "A@Acme.Example", "viewer").await;
    let answer = accept(&stage, &early).await;
    assert_eq!(answer.error_code(), "email_domain_not_allowed");
    let user = json!({"email": "set@up.example", "name": "n"});
    let user = post(api, "users", user).await;
    let add = json!({"user_id": user["id"], "role": "owner"});
    let answer = api.post(&at(&members(&stage)), &add).await;
    assert_eq!(answer.error_code(), "email_domain_not_allowed");
    // It waited, and who is a member stays one.
    post(api, &org, json!({"allowed_email_domains": null})).await;
    assert_eq!(accept(&stage, &early).await.status, StatusCode::OK);
    let added = post(api, &members(&stage), add).await;
    assert_eq!(
        (&added["status"], &added["user_id"]),
        (&json!("active"), &user["id"])
    );
    assert!(added.get("invitation_token").is_none());
    post(
        api,
        &org,
        json!({"allowed_email_domains": ["acme.example"]}),
    )
    .await;
    let list = get(&admin, &format!("{}?status=active", members(&stage))).await;
    assert_eq!(list["data"].as_array().unwrap().len(), 3, "{list}");
}

#[tokio::test]
async fn nobody_reaches_above_themselves() {
    let stage = Stage::new().await;
    stage.of_tenant("owner").await;
    let (admin_path, admin) = joined(&stage, "admin@new.example", "admin").await;
    let (owner_path, owner) = joined(&stage, "owner@new.example", "owner").await;
    let waiting = invite(&stage, &owner, "next@new.example", "owner").await;
    let waiting = format!("{}/{}", members(&stage), waiting["id"].as_str().unwrap());
    for (path, body) in [
        (
            members(&stage),
            json!({"email": "x@new.example", "role": "owner"}),
        ),
        (
            members(&stage),
            json!({"email": "next@new.example", "role": "viewer"}),
        ),
        (admin_path.clone(), json!({"role": "owner"})),
        (owner_path.clone(), json!({"role": "viewer"})),
        (owner_path.clone(), json!({"status": "suspended"})),
        (waiting.clone(), json!({"role": "viewer"})),
    ] {
        let answer = admin.post(&at(&path), &body).await;
        assert_eq!(
            answer.error_code(),
            "role_missing",
            "{path} {body}: {answer:?}"
        );
    }
    for path in [&owner_path, &waiting] {
        assert_eq!(delete(&admin, path).await.error_code(), "role_missing");
    }
    let of_user = json!({"user_id": stage.scene.tenant.user_id, "role": "viewer"});
    let answer = owner.post(&at(&members(&stage)), &of_user).await;
    assert_eq!(
        answer.error_code(),
        "role_missing",
        "users are the installation's"
    );

    let (path, member) = joined(&stage, "m@new.example", "member").await;
    assert_eq!(
        post(&admin, &path, json!({"role": "viewer"})).await["role"],
        "viewer"
    );
    assert_eq!(get(&member, "whoami").await["role"], "viewer");
    let suspended = post(&admin, &path, json!({"status": "suspended"})).await;
    assert_eq!(suspended["status"], "suspended");
    assert_eq!(
        member.get(&at("whoami")).await.error_code(),
        "user_inactive"
    );
    post(&admin, &path, json!({"status": "active"})).await;
    assert_eq!(
        delete(&member, &admin_path).await.error_code(),
        "role_missing"
    );
    // Anybody may leave, and their keys don't wait for them to come back.
    assert_eq!(delete(&member, &path).await.status, StatusCode::OK);
    joined(&stage, "m@new.example", "member").await;
    assert_eq!(member.get(&at("whoami")).await.error_code(), "key_revoked");
}

#[tokio::test]
async fn an_organization_keeps_an_owner() {
    let stage = Stage::new().await;
    let owner = stage.of_tenant("owner").await;
    let list = get(&owner, &format!("{}?role=owner", members(&stage))).await;
    let own = format!(
        "{}/{}",
        members(&stage),
        list["data"][0]["id"].as_str().unwrap()
    );
    let waiting = invite(&stage, &owner, "next@new.example", "owner").await;
    for api in [&owner, &stage.installation] {
        for body in [json!({"role": "admin"}), json!({"status": "suspended"})] {
            let answer = api.post(&at(&own), &body).await;
            assert_eq!(answer.status, StatusCode::CONFLICT, "{body}");
            assert_eq!(answer.error_code(), "last_owner", "{body}");
        }
        let answer = delete(api, &own).await;
        assert_eq!(
            (answer.status, answer.error_code()),
            (StatusCode::CONFLICT, "last_owner".to_owned())
        );
    }
    post(&owner, &own, json!({"role": "owner", "status": "active"})).await;
    // One who waits can't be made active but by accepting.
    let path = format!("{}/{}", members(&stage), waiting["id"].as_str().unwrap());
    let answer = owner.post(&at(&path), &json!({"status": "active"})).await;
    assert_eq!(answer.error_code(), "not_active");
    assert_eq!(accept(&stage, &waiting).await.status, StatusCode::OK);
    // An owner who can't act is none.
    let other = |status: &str| {
        let sql = format!("UPDATE users SET status = '{status}' WHERE email = 'next@new.example'");
        let sql_client = &stage.scene.sql;
        async move { sql_client.batch_execute(&sql).await.unwrap() }
    };
    other("suspended").await;
    assert_eq!(delete(&owner, &own).await.error_code(), "last_owner");
    other("active").await;
    let verified = "SELECT email_verified FROM users WHERE email = 'next@new.example'";
    let verified = stage.scene.sql.query_one(verified, &[]).await.unwrap();
    assert!(!verified.get::<_, bool>(0), "the inviter had the token");
    assert_eq!(delete(&owner, &own).await.status, StatusCode::OK);
    assert_eq!(
        delete(&stage.installation, &path).await.error_code(),
        "last_owner"
    );
}

#[tokio::test]
async fn what_is_wrong_in_bodies_and_queries_is_told_where() {
    let stage = Stage::new().await;
    let admin = stage.of_tenant("admin").await;
    for (body, place) in [
        (json!({"email": "a@b.example"}), "."),
        (json!({"role": "viewer"}), "email"),
        (
            json!({"email": "a@b.example", "user_id": Uuid::nil(), "role": "viewer"}),
            "email",
        ),
        (
            json!({"user_id": Uuid::nil(), "role": "viewer", "name": "n"}),
            "user_id",
        ),
        (json!({"email": "nobody", "role": "viewer"}), "email"),
        (json!({"email": "a@b.example", "role": "king"}), "role"),
        (
            json!({"email": "a@b.example", "role": "viewer", "name": ""}),
            "name",
        ),
        (
            json!({"email": "a@b.example", "role": "viewer", "expires_in_seconds": 59}),
            "expires_in_seconds",
        ),
        (
            json!({"email": "a@b.example", "role": "viewer", "expires_in_seconds": 2_592_001}),
            "expires_in_seconds",
        ),
        (
            json!({"email": "a@b.example", "role": "viewer", "status": "active"}),
            "status",
        ),
    ] {
        let answer = admin.post(&at(&members(&stage)), &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {answer:?}");
        assert_eq!(answer.json()["error"]["details"]["path"], place, "{body}");
    }
    let invited = invite(&stage, &admin, "a@b.example", "viewer").await;
    let path = format!("{}/{}", members(&stage), invited["id"].as_str().unwrap());
    for body in [
        json!({"role": "king"}),
        json!({"role": null}),
        json!({"status": "invited"}),
        json!({"email": "x"}),
    ] {
        let answer = admin.post(&at(&path), &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {answer:?}");
    }
    for query in [
        "role=king",
        "status=gone",
        "user_id=1",
        "email=x",
        "limit=0",
    ] {
        let answer = admin
            .get(&at(&format!("{}?{query}", members(&stage))))
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
    }
    let add = json!({"user_id": Uuid::nil(), "role": "viewer"});
    let answer = stage.installation.post(&at(&members(&stage)), &add).await;
    assert_eq!(answer.json()["error"]["details"]["path"], "user_id");
    let twice = json!({"user_id": stage.scene.tenant.user_id, "role": "viewer"});
    let answer = stage.installation.post(&at(&members(&stage)), &twice).await;
    assert_eq!(
        (answer.status, answer.error_code()),
        (StatusCode::CONFLICT, "taken".to_owned())
    );
    let tag = admin.clone().with("if-match", "\"0\"");
    let answer = tag.post(&at(&path), &json!({"role": "member"})).await;
    assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn members_are_listed_page_by_page() {
    let stage = Stage::new().await;
    let admin = stage.of_tenant("admin").await;
    for number in 0..4 {
        invite(&stage, &admin, &format!("m{number}@new.example"), "viewer").await;
    }
    let emails = |page: &Value| -> Vec<String> {
        let data = page["data"].as_array().unwrap().iter();
        data.map(|it| it["email"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = get(
        &admin,
        &format!("{}?status=invited&limit=2", members(&stage)),
    )
    .await;
    assert_eq!(emails(&first), ["m3@new.example", "m2@new.example"]);
    invite(&stage, &admin, "late@new.example", "viewer").await;
    let last = first["last_id"].as_str().unwrap();
    let path = format!("{}?status=invited&limit=2&after_id={last}", members(&stage));
    let second = get(&admin, &path).await;
    assert_eq!(emails(&second), ["m1@new.example", "m0@new.example"]);
    assert_eq!(second["has_more"], false);
    let user = stage.scene.tenant.user_id;
    let own = get(
        &admin,
        &format!("{}?user_id={user}&role=owner", members(&stage)),
    )
    .await;
    assert_eq!(own["data"].as_array().unwrap().len(), 1);
}
