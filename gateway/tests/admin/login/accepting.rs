//! Invitations of users who are there already: the inviter has the token, and it isn't enough.

use super::*;
use crate::stage::admin_key;

/// Another organization, which invites the scene's users.
pub(super) async fn invited_elsewhere(stage: &Stage, email: &str) -> Value {
    let slug = format!("o-{}", Uuid::now_v7().simple());
    let org = json!({"name": "Other", "slug": slug});
    let org = post(&stage.installation, "organizations", org).await;
    let path = format!("organizations/{}/members", org["id"].as_str().unwrap());
    let invited = json!({"email": email, "role": "admin"});
    post(&stage.installation, &path, invited).await["invitation_token"].clone()
}

pub(super) async fn accept(client: &Client, body: Value) -> Answer {
    client.post(&at("invitations/accept"), &body).await
}

#[tokio::test]
async fn a_user_who_is_there_proves_that_it_is_them() {
    let stage = Stage::new().await;
    let ann = member(&stage, "ann@new.example", "viewer").await;
    let bob = member(&stage, "bob@new.example", "owner").await;
    let (_, bobs_session) = log_in(&stage, &with_password("bob@new.example")).await;
    let (_, session) = log_in(&stage, &with_password("ann@new.example")).await;
    let org_id = Some(stage.scene.tenant.org_id);
    let key = |user| admin_key(&stage.scene, org_id, Some(user), "viewer");
    let bobs_key = stage.client(&key(bob).await);
    let key = stage.client(&key(ann).await);
    let nobody = stage.client("");
    let login_required = refused(StatusCode::UNAUTHORIZED, "login_required");

    let token = invited_elsewhere(&stage, "ann@new.example").await;
    // A key that is ann's isn't ann: whoever may make keys in her name has it too.
    for stranger in [&nobody, &bobs_session, &bobs_key, &key, &stage.installation] {
        let answer = accept(stranger, json!({"token": token})).await;
        assert_eq!(told(&answer), login_required);
        let wrong = json!({"token": token, "password": "not the password"});
        assert_eq!(told(&accept(stranger, wrong).await), failed());
    }
    let gone = accept(&stage.client("mw_ak_gone"), json!({"token": token})).await;
    assert_eq!(
        told(&gone),
        refused(StatusCode::UNAUTHORIZED, "key_unknown")
    );
    assert_eq!(
        accept(&session, json!({"token": token})).await.status,
        StatusCode::OK
    );

    let token = invited_elsewhere(&stage, "ann@new.example").await;
    let body = json!({"token": token, "password": PASSWORD});
    assert_eq!(accept(&nobody, body).await.status, StatusCode::OK);

    // By the password alone not even where there is a second factor.
    let (authenticator, _) = Authenticator::enable(&stage, &session).await;
    let token = invited_elsewhere(&stage, "ann@new.example").await;
    let mut body = json!({"token": token, "password": PASSWORD});
    let answer = accept(&nobody, body.clone()).await;
    assert_eq!(
        told(&answer),
        refused(StatusCode::UNAUTHORIZED, "mfa_required")
    );
    body["code"] = json!("abcd-efgh-ijkl-mnop");
    assert_eq!(told(&accept(&nobody, body.clone()).await), failed());
    body["code"] = json!(authenticator.code(&stage, 1).await);
    assert_eq!(accept(&nobody, body).await.status, StatusCode::OK);
    let accepted =
        format!("SELECT count(*) FROM org_members WHERE user_id = '{ann}' AND status = 'active'");
    assert_eq!(count(&stage, &accepted).await, 4);
}

#[tokio::test]
async fn who_accepted_one_invitation_is_new_to_no_other() {
    let stage = Stage::new().await;
    let first = invited_elsewhere(&stage, "ann@new.example").await;
    let second = invited_elsewhere(&stage, "ann@new.example").await;
    let nobody = stage.client("");
    let short = json!({"token": first, "password": "short"});
    let short = accept(&nobody, short).await;
    assert_eq!(
        short.json()["error"]["details"]["path"],
        "password",
        "{short:?}"
    );
    let body = json!({"token": first, "password": PASSWORD});
    assert_eq!(accept(&nobody, body).await.status, StatusCode::OK);
    log_in(&stage, &with_password("ann@new.example")).await;
    // Whoever has the other token sets no password of theirs.
    let other = json!({"token": second, "password": "another good password"});
    assert_eq!(told(&accept(&nobody, other).await), failed());
    log_in(&stage, &with_password("ann@new.example")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_accept_as_a_new_user_at_once_one_sets_the_password() {
    let stage = Stage::new().await;
    let first = invited_elsewhere(&stage, "ann@new.example").await;
    let second = invited_elsewhere(&stage, "ann@new.example").await;
    let nobody = stage.client("");
    let (one, other) = tokio::join!(
        accept(&nobody, json!({"token": first, "password": PASSWORD})),
        accept(
            &nobody,
            json!({"token": second, "password": "another good password"})
        ),
    );
    let mut ended = [told_or_ok(&one), told_or_ok(&other)];
    ended.sort();
    assert!(
        ended == ["".to_owned(), "login_failed".to_owned()]
            || ended == ["".to_owned(), "login_required".to_owned()],
        "{ended:?}"
    );
    let password = if one.status == StatusCode::OK {
        PASSWORD
    } else {
        "another good password"
    };
    let body = json!({"email": "ann@new.example", "password": password});
    log_in(&stage, &body).await;
}

fn told_or_ok(answer: &Answer) -> String {
    if answer.status == StatusCode::OK {
        String::new()
    } else {
        answer.error_code()
    }
}
