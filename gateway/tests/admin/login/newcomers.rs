//! Who is new, and so accepts an invitation by nothing but its token, which the inviter has.

use super::accepting::{accept, invited_elsewhere};
use super::*;
use crate::stage::admin_key;

#[tokio::test]
async fn who_was_there_is_new_to_no_inviter_whatever_their_status_says() {
    let stage = Stage::new().await;
    let org = stage.scene.tenant.org_id;
    let nobody = stage.client("");
    let membership = format!(
        "INSERT INTO org_members (org_id, user_id, role, status) SELECT '{org}', id, 'viewer', 'suspended' FROM users
         WHERE email = 'membership@new.example'"
    );
    let of = |what: &str| format!("UPDATE users SET {what} WHERE email =");
    for (name, touch) in [
        (
            "login",
            of("last_login_at = now()") + " 'login@new.example'",
        ),
        ("mfa", of("mfa_enabled = TRUE") + " 'mfa@new.example'"),
        (
            "password",
            of("password_hash = 'x'") + " 'password@new.example'",
        ),
        ("membership", membership),
    ] {
        let email = format!("{name}@new.example");
        let token = invited_elsewhere(&stage, &email).await;
        run(&stage, &touch).await;
        let without = accept(&nobody, json!({"token": token})).await;
        let expected = refused(StatusCode::UNAUTHORIZED, "login_required");
        assert_eq!(told(&without), expected, "{name}");
        let with = accept(&nobody, json!({"token": token, "password": PASSWORD})).await;
        assert_eq!(told(&with), failed(), "{name}");
    }
    let token = invited_elsewhere(&stage, "key@new.example").await;
    let sql = "SELECT id FROM users WHERE email = 'key@new.example'";
    let user: Uuid = stage.scene.sql.query_one(sql, &[]).await.unwrap().get(0);
    admin_key(&stage.scene, Some(org), Some(user), "viewer").await;
    let answer = accept(&nobody, json!({"token": token, "password": PASSWORD})).await;
    assert_eq!(told(&answer), failed());
    let taken = "SELECT count(*) FROM users WHERE email LIKE '%@new.example' AND status <> 'pending_verification'";
    assert_eq!(count(&stage, taken).await, 0);
}

#[tokio::test]
async fn the_installation_makes_nobody_new_who_was_there() {
    let stage = Stage::new().await;
    let ann = member(&stage, "ann@new.example", "viewer").await;
    let plain = json!({"email": "bob@new.example", "name": "Bob"});
    let bob = id(&post(&stage.installation, "users", plain).await["id"]);
    let pending = json!({"status": "pending_verification"});
    for (user, before) in [
        (ann, json!({})),
        (ann, json!({"password": null})),
        (ann, json!({"status": "suspended"})),
        (bob, json!({})),
    ] {
        let path = format!("users/{user}");
        post(&stage.installation, &path, before.clone()).await;
        let answer = stage.installation.post(&at(&path), &pending).await;
        assert_eq!(
            told(&answer),
            refused(StatusCode::BAD_REQUEST, "invalid"),
            "{before}"
        );
        assert_eq!(answer.json()["error"]["details"]["path"], "status");
    }
    // Who waits for their first invitation goes on waiting.
    let token = invited_elsewhere(&stage, "cid@new.example").await;
    let sql = "SELECT id FROM users WHERE email = 'cid@new.example'";
    let cid: Uuid = stage.scene.sql.query_one(sql, &[]).await.unwrap().get(0);
    let path = format!("users/{cid}");
    post(&stage.installation, &path, json!({"status": "suspended"})).await;
    post(&stage.installation, &path, pending).await;
    let accepted = accept(&stage.client(""), json!({"token": token})).await;
    assert_eq!(accepted.status, StatusCode::OK, "{accepted:?}");
}

#[tokio::test]
async fn whatever_refuses_does_so_before_a_password_is_looked_at() {
    let stage = Stage::new().await;
    let invited = json!({"email": "ann@new.example", "role": "viewer"});
    let invited = post(&stage.installation, &members(&stage), invited).await;
    let domains = "UPDATE organizations SET allowed_email_domains = '{acme.example}'";
    run(&stage, domains).await;
    let body = json!({"token": invited["invitation_token"], "password": "short"});
    let answer = accept(&stage.client(""), body).await;
    assert_eq!(
        answer.error_code(),
        "email_domain_not_allowed",
        "{answer:?}"
    );
}
