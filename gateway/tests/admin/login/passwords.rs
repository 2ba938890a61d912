//! Passwords: changed by their users, and set by the installation.

use super::*;

const NEW: &str = "another good password";

fn change(current: &str, new: &str) -> Value {
    json!({"current_password": current, "new_password": new})
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions() {
    let stage = Stage::new().await;
    let user = member(&stage, "ann@new.example", "viewer").await;
    let (session, ann) = log_in(&stage, &with_password("ann@new.example")).await;
    let (_, other) = log_in(&stage, &with_password("ann@new.example")).await;
    let wrong = ann
        .post(&at("password"), &change("not the password", NEW))
        .await;
    assert_eq!(told(&wrong), failed());
    get(&other, "whoami").await;
    let changed = post(&ann, "password", change(PASSWORD, NEW)).await;
    assert_eq!(changed, json!({"id": user, "type": "password_changed"}));
    get(&ann, "whoami").await;
    assert_eq!(other.get(&at("whoami")).await.error_code(), "key_unknown");
    assert_eq!(
        told(&attempt(&stage, &with_password("ann@new.example")).await),
        failed()
    );
    log_in(
        &stage,
        &json!({"email": "ann@new.example", "password": NEW}),
    )
    .await;
    let sql = "SELECT count(*) FROM audit_logs WHERE action = 'users.update' AND sensitive AND actor_type = 'user'
        AND actor_id = resource_id AND changes = '{}' AND actor_key_type = 'session' AND actor_key_id::text = $1";
    let id = session["id"].as_str().unwrap();
    let rows: i64 = stage.scene.sql.query_one(sql, &[&id]).await.unwrap().get(0);
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn what_is_no_password_is_refused_wherever_it_is_given() {
    let stage = Stage::new().await;
    let user = member(&stage, "ann.longer@new.example", "viewer").await;
    let (_, ann) = log_in(&stage, &with_password("ann.longer@new.example")).await;
    for password in [
        "short",
        &"x".repeat(129),
        "Ann.Longer@new.example",
        "Password1234",
    ] {
        let by_user = ann.post(&at("password"), &change(PASSWORD, password)).await;
        assert_eq!(
            by_user.json()["error"]["details"]["path"],
            "new_password",
            "{by_user:?}"
        );
        let set = json!({"password": password});
        let path = at(&format!("users/{user}"));
        let by_installation = stage.installation.post(&path, &set).await;
        let new = json!({"email": "ann.longer@new.example", "name": "n", "password": password});
        let new = stage.installation.post(&at("users"), &new).await;
        for answer in [by_user, by_installation, new] {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
            assert!(!answer.json().to_string().contains(password), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn the_installation_sets_and_takes_passwords_and_nobody_reads_them() {
    let stage = Stage::new().await;
    let user = member(&stage, "ann@new.example", "owner").await;
    let (_, ann) = log_in(&stage, &with_password("ann@new.example")).await;
    let path = format!("users/{user}");
    let answer = ann.post(&at(&path), &json!({"password": NEW})).await;
    assert_eq!(answer.error_code(), "role_missing");
    let shown = post(&stage.installation, &path, json!({"password": NEW})).await;
    assert!(!shown.to_string().contains("password"), "{shown}");
    assert_eq!(ann.get(&at("whoami")).await.error_code(), "key_unknown");
    let with_new = json!({"email": "ann@new.example", "password": NEW});
    let (_, ann) = log_in(&stage, &with_new).await;
    post(&stage.installation, &path, json!({"name": "Anna"})).await;
    get(&ann, "whoami").await;
    post(&stage.installation, &path, json!({"password": null})).await;
    assert_eq!(ann.get(&at("whoami")).await.error_code(), "key_unknown");
    assert_eq!(told(&attempt(&stage, &with_new).await), failed());
}

#[tokio::test]
async fn a_password_that_was_hashed_cheaply_is_hashed_anew() {
    let stage = Stage::new().await;
    member(&stage, "ann@new.example", "viewer").await;
    // Made by another program, with 64 KiB and one round.
    let weak = "$argon2id$v=19$m=64,t=1,p=1$V5GljEmZs11g9D3PHMJwJA$vgSts0cSJdUQIB3Zz81AQqiQBOoVLiec1aKdp2TPVeE";
    run(
        &stage,
        &format!("UPDATE users SET password_hash = '{weak}'"),
    )
    .await;
    log_in(&stage, &with_password("ann@new.example")).await;
    let anew =
        "SELECT count(*) FROM users WHERE password_hash LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'";
    assert_eq!(count(&stage, anew).await, 1);
    log_in(&stage, &with_password("ann@new.example")).await;
}
