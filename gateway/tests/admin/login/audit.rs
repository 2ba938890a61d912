//! What is written down of those who log in, and of those who don't.

use super::*;

async fn refusals(stage: &Stage, code: &str) -> i64 {
    let sql = "SELECT count(*) FROM audit_logs JOIN users u ON u.id = resource_id
        WHERE action = 'users.login_failed' AND actor_type = 'system' AND email = 'ann@new.example'
          AND host(actor_ip) = '127.0.0.1' AND changes->>'error_code' = ";
    count(stage, &format!("{sql}'{code}'")).await
}

#[tokio::test]
async fn whoever_has_the_password_and_is_refused_leaves_a_trace() {
    let stage = Stage::new().await;
    member(&stage, "ann@new.example", "viewer").await;
    let (_, ann) = log_in(&stage, &with_password("ann@new.example")).await;
    let (_, codes) = Authenticator::enable(&stage, &ann).await;
    attempt(&stage, &with_password("ann@new.example")).await;
    attempt(&stage, &with_code("ann@new.example", "000000")).await;
    let begun = ann
        .post(&at("mfa/totp"), &json!({"password": PASSWORD}))
        .await;
    assert_eq!(told(&begun), refused(StatusCode::CONFLICT, "mfa_enabled"));
    let mut elsewhere = with_code("ann@new.example", &codes[0]);
    elsewhere["org_id"] = json!(Uuid::nil());
    attempt(&stage, &elsewhere).await;
    run(&stage, "UPDATE users SET status = 'suspended'").await;
    attempt(&stage, &with_code("ann@new.example", &codes[0])).await;
    for code in [
        "mfa_required",
        "login_failed",
        "mfa_enabled",
        "not_a_member",
        "user_inactive",
    ] {
        assert_eq!(refusals(&stage, code).await, 1, "{code}");
    }
}

#[tokio::test]
async fn a_backup_code_is_used_up_by_its_user() {
    let stage = Stage::new().await;
    let ann = member(&stage, "ann@new.example", "viewer").await;
    let (_, session) = log_in(&stage, &with_password("ann@new.example")).await;
    let (_, codes) = Authenticator::enable(&stage, &session).await;
    log_in(&stage, &with_code("ann@new.example", &codes[0])).await;
    let used = format!(
        "SELECT count(*) FROM audit_logs WHERE action = 'users.update' AND resource_id = '{ann}' AND changes = '{{}}'
           AND actor_type = 'user' AND actor_id = '{ann}' AND host(actor_ip) = '127.0.0.1' AND request_id IS NOT NULL
           AND actor_key_id IS NULL"
    );
    assert_eq!(count(&stage, &used).await, 1);
    let invited = accepting::invited_elsewhere(&stage, "ann@new.example").await;
    let body = json!({"token": invited, "password": PASSWORD, "code": codes[1]});
    post(&stage.client(""), "invitations/accept", body).await;
    assert_eq!(count(&stage, &used).await, 2);
    let by_system =
        "SELECT count(*) FROM audit_logs WHERE action = 'users.update' AND actor_type = 'system'";
    assert_eq!(count(&stage, by_system).await, 0);
}
