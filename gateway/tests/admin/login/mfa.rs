//! Second factors: made, needed, renewed, taken away.

use super::*;
use crate::stage::admin_key;

async fn forget_steps(stage: &Stage) {
    run(stage, "UPDATE users SET mfa_last_step = NULL").await;
}

#[tokio::test]
async fn a_second_factor_is_begun_confirmed_renewed_and_removed() {
    let stage = Stage::new().await;
    member(&stage, "ann@new.example", "viewer").await;
    let (_, ann) = log_in(&stage, &with_password("ann@new.example")).await;
    let (_, other) = log_in(&stage, &with_password("ann@new.example")).await;
    let early = ann
        .post(&at("mfa/totp/confirm"), &json!({"code": "000000"}))
        .await;
    assert_eq!(told(&early), refused(StatusCode::CONFLICT, "mfa_not_begun"));
    let wrong = ann
        .post(&at("mfa/totp"), &json!({"password": "not the password"}))
        .await;
    assert_eq!(told(&wrong), failed());

    // What isn't confirmed isn't needed, and is replaced by beginning again.
    post(&ann, "mfa/totp", json!({"password": PASSWORD})).await;
    log_in(&stage, &with_password("ann@new.example")).await;
    let wrong = ann
        .post(&at("mfa/totp/confirm"), &json!({"code": "00000x"}))
        .await;
    assert_eq!(
        wrong.json()["error"]["details"]["path"],
        "code",
        "{wrong:?}"
    );
    let (authenticator, codes) = Authenticator::enable(&stage, &ann).await;
    assert_eq!(codes.len(), 10);
    assert_eq!(other.get(&at("whoami")).await.error_code(), "key_unknown");
    let twice = ann
        .post(&at("mfa/totp"), &json!({"password": PASSWORD}))
        .await;
    assert_eq!(told(&twice), refused(StatusCode::CONFLICT, "mfa_enabled"));
    let user = get(&stage.installation, "users?email=ann@new.example").await;
    assert_eq!(user["data"][0]["mfa_enabled"], true);

    // A code alone, or a password alone, changes nothing.
    let code = authenticator.code(&stage, 1).await;
    for body in [
        json!({"password": "not the password", "code": code}),
        json!({"password": PASSWORD, "code": "abcd-efgh-ijkl-mnop"}),
    ] {
        let answer = ann.post(&at("mfa/backup-codes"), &body).await;
        assert_eq!(told(&answer), failed(), "{body}");
        let answer = ann
            .send(http::Method::DELETE, &at("mfa/totp"), body.to_string())
            .await;
        assert_eq!(told(&answer), failed(), "{body}");
    }
    let renewed = json!({"password": PASSWORD, "code": code});
    let renewed = post(&ann, "mfa/backup-codes", renewed).await;
    let renewed = renewed["backup_codes"].as_array().unwrap().clone();
    assert_eq!(renewed.len(), 10);
    let old = attempt(&stage, &with_code("ann@new.example", &codes[0])).await;
    assert_eq!(told(&old), failed(), "they are void");
    let typed = renewed[0]
        .as_str()
        .unwrap()
        .to_uppercase()
        .replace('-', " ");
    log_in(&stage, &with_code("ann@new.example", &typed)).await;

    forget_steps(&stage).await;
    let body = json!({"password": PASSWORD, "code": authenticator.code(&stage, 0).await});
    let gone = ann
        .send(http::Method::DELETE, &at("mfa/totp"), body.to_string())
        .await;
    assert_eq!(gone.json()["type"], "totp_deleted", "{gone:?}");
    log_in(&stage, &with_password("ann@new.example")).await;
    let none =
        "SELECT count(*) FROM users WHERE mfa_secret IS NOT NULL OR mfa_backup_codes IS NOT NULL";
    assert_eq!(count(&stage, none).await, 0);
    let written = "SELECT count(*) FROM audit_logs WHERE action = 'users.update' AND changes ? 'mfa_enabled' AND sensitive";
    assert_eq!(count(&stage, written).await, 2);
}

#[tokio::test]
async fn the_installation_resets_what_was_lost() {
    let stage = Stage::new().await;
    let user = member(&stage, "ann@new.example", "owner").await;
    let (_, ann) = log_in(&stage, &with_password("ann@new.example")).await;
    Authenticator::enable(&stage, &ann).await;
    let path = format!("users/{user}/reset-mfa");
    let org_id = Some(stage.scene.tenant.org_id);
    let owner = stage.client(&admin_key(&stage.scene, org_id, None, "owner").await);
    for client in [&ann, &owner] {
        let answer = client.post(&at(&path), &json!({})).await;
        assert_eq!(answer.error_code(), "role_missing");
    }
    let shown = post(&stage.installation, &path, json!({})).await;
    assert_eq!(shown["mfa_enabled"], false);
    assert_eq!(ann.get(&at("whoami")).await.error_code(), "key_unknown");
    log_in(&stage, &with_password("ann@new.example")).await;
}

#[tokio::test]
async fn with_a_key_in_the_configuration_no_reader_of_the_database_has_the_secret() {
    for (key, is_readable) in [("", true), ("0123456789abcdef0123456789abcdef", false)] {
        let set = |gateway: testkit::gateway::Builder| gateway.env("MINDWEAVE_ADMIN_MFA_KEY", key);
        let stage = Stage::with(testkit::Scene::new().await, set).await;
        member(&stage, "ann@new.example", "viewer").await;
        let (_, ann) = log_in(&stage, &with_password("ann@new.example")).await;
        let (authenticator, _) = Authenticator::enable(&stage, &ann).await;
        let kept = "SELECT count(*) FROM users WHERE mfa_secret LIKE 'plain:%'";
        assert_eq!(count(&stage, kept).await == 1, is_readable);
        let code = authenticator.code(&stage, 1).await;
        log_in(&stage, &with_code("ann@new.example", &code)).await;
        // What can't be opened lets nobody in.
        run(
            &stage,
            "UPDATE users SET mfa_secret = 'sealed:AAAA', mfa_last_step = NULL",
        )
        .await;
        let code = authenticator.code(&stage, 0).await;
        let answer = attempt(&stage, &with_code("ann@new.example", &code)).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
