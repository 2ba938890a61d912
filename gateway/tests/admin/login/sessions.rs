//! What a session is worth, and when it ends.

use super::*;
use crate::stage::{admin_key, delete, project};

#[tokio::test]
async fn a_session_ends_at_once_with_what_it_is_of() {
    let stage = Stage::new().await;
    member(&stage, "ann@new.example", "admin").await;
    let (_, ann) = log_in(&stage, &with_password("ann@new.example")).await;
    for (fault, code, mend) in [
        (
            "UPDATE org_members SET status = 'suspended'",
            "user_inactive",
            "UPDATE org_members SET status = 'active'",
        ),
        (
            "UPDATE users SET status = 'suspended'",
            "user_inactive",
            "UPDATE users SET status = 'active'",
        ),
        (
            "UPDATE organizations SET status = 'suspended'",
            "organization_inactive",
            "UPDATE organizations SET status = 'active'",
        ),
        (
            "UPDATE sessions SET last_used_at = now() - interval '61 minutes'",
            "session_expired",
            "UPDATE sessions SET last_used_at = now() - interval '59 minutes'",
        ),
        (
            "UPDATE sessions SET expires_at = now()",
            "session_expired",
            "UPDATE sessions SET expires_at = now() + interval '1 minute'",
        ),
    ] {
        run(&stage, fault).await;
        assert_eq!(ann.get(&at("whoami")).await.error_code(), code, "{fault}");
        run(&stage, mend).await;
        assert_eq!(
            ann.get(&at("whoami")).await.status,
            StatusCode::OK,
            "{mend}"
        );
    }
    // The role is the member's, as it is now.
    assert_eq!(
        ann.post(&at("projects"), &project("a")).await.status,
        StatusCode::CREATED
    );
    run(&stage, "UPDATE org_members SET role = 'viewer'").await;
    assert_eq!(
        ann.post(&at("projects"), &project("b")).await.error_code(),
        "role_missing"
    );
    // Who was removed and comes back logs in again.
    let list = get(&stage.installation, &members(&stage)).await;
    let path = format!(
        "{}/{}",
        members(&stage),
        list["data"][0]["id"].as_str().unwrap()
    );
    assert_eq!(
        delete(&stage.installation, &path).await.status,
        StatusCode::OK
    );
    assert_eq!(ann.get(&at("whoami")).await.error_code(), "key_unknown");
}

#[tokio::test]
async fn a_session_that_ends_while_its_body_is_on_the_way_changes_nothing() {
    let stage = Stage::new().await;
    member(&stage, "ann@new.example", "owner").await;
    let (_, ann) = log_in(&stage, &with_password("ann@new.example")).await;
    run(
        &stage,
        "UPDATE sessions SET last_used_at = now() - interval '2 minutes'",
    )
    .await;
    let (sender, body) = testkit::upstream::paced();
    let path = at("projects");
    let sending = ann.send_body(http::Method::POST, &path, body);
    let meanwhile = async {
        testkit::eventually("the session is used", || async {
            let used =
                "SELECT count(*) FROM sessions WHERE last_used_at > now() - interval '1 minute'";
            (count(&stage, used).await == 1).then_some(())
        })
        .await;
        run(&stage, "UPDATE org_members SET status = 'suspended'").await;
        let body = project("late").to_string();
        sender
            .send(Ok(http_body::Frame::data(body.into())))
            .await
            .unwrap();
        drop(sender);
    };
    let (answer, ()) = tokio::join!(sending, meanwhile);
    assert_eq!(
        told(&answer),
        refused(StatusCode::FORBIDDEN, "user_inactive")
    );
    assert_eq!(
        count(&stage, "SELECT count(*) FROM projects WHERE slug = 'late'").await,
        0
    );
}

#[tokio::test]
async fn users_see_and_end_their_own_sessions_and_nobody_elses() {
    let stage = Stage::new().await;
    member(&stage, "ann@new.example", "owner").await;
    member(&stage, "bob@new.example", "owner").await;
    let (first, ann) = log_in(&stage, &with_password("ann@new.example")).await;
    let (second, ann_too) = log_in(&stage, &with_password("ann@new.example")).await;
    let (of_bob, bob) = log_in(&stage, &with_password("bob@new.example")).await;
    let list = get(&ann, "sessions").await;
    let shown = list["data"].as_array().unwrap();
    assert_eq!(
        [&shown[0]["id"], &shown[1]["id"]],
        [&second["id"], &first["id"]]
    );
    assert_eq!(
        [&shown[0]["current"], &shown[1]["current"]],
        [&json!(false), &json!(true)]
    );
    assert_eq!(shown[0]["address"], "127.0.0.1");
    assert!(!list.to_string().contains("mw_as_"));

    let of = |session: &Value| format!("sessions/{}", session["id"].as_str().unwrap());
    assert_eq!(
        delete(&bob, &of(&first)).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        delete(&ann, &of(&of_bob)).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(delete(&ann, &of(&second)).await.status, StatusCode::OK);
    assert_eq!(
        delete(&ann, &of(&second)).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(ann_too.get(&at("whoami")).await.error_code(), "key_unknown");
    get(&bob, "whoami").await;

    // Keys that others may have made in somebody's name are nobody's sessions.
    let user_id = Some(id(&first["user_id"]));
    let org_id = Some(stage.scene.tenant.org_id);
    let key = admin_key(&stage.scene, org_id, user_id, "owner").await;
    for client in [&stage.installation, &stage.client(&key)] {
        let answer = client.get(&at("sessions")).await;
        assert_eq!(
            told(&answer),
            refused(StatusCode::FORBIDDEN, "session_required")
        );
        for (path, body) in [
            ("logout", json!({})),
            (
                "password",
                json!({"current_password": PASSWORD, "new_password": "x"}),
            ),
            ("mfa/totp", json!({"password": PASSWORD})),
            ("mfa/totp/confirm", json!({"code": "000000"})),
            (
                "mfa/backup-codes",
                json!({"password": PASSWORD, "code": "000000"}),
            ),
        ] {
            let answer = client.post(&at(path), &body).await;
            assert_eq!(answer.error_code(), "session_required", "{path}");
        }
    }
}

#[tokio::test]
async fn of_many_sessions_the_oldest_make_room() {
    let stage = Stage::new().await;
    let ann = member(&stage, "ann@new.example", "viewer").await;
    let org = stage.scene.tenant.org_id;
    let older = format!(
        "INSERT INTO sessions (org_id, user_id, token_hash, user_agent, created_at, expires_at)
         SELECT '{org}', '{ann}', n::text, 'old ' || n, now() - n * interval '1 minute', now() + interval '1 hour'
         FROM generate_series(1, 25) n"
    );
    run(&stage, &older).await;
    let (session, client) = log_in(&stage, &with_password("ann@new.example")).await;
    let list = get(&client, "sessions").await;
    let shown = list["data"].as_array().unwrap();
    assert_eq!(shown.len(), 20);
    assert_eq!(shown[0]["id"], session["id"]);
    assert_eq!(shown[19]["user_agent"], "old 19");
}

#[tokio::test]
async fn a_session_is_not_taken_for_old_when_the_clock_was_set_back() {
    let stage = Stage::new().await;
    let ann = member(&stage, "ann@new.example", "viewer").await;
    let org = stage.scene.tenant.org_id;
    let later = format!(
        "INSERT INTO sessions (org_id, user_id, token_hash, user_agent, created_at, expires_at)
         SELECT '{org}', '{ann}', n::text, 'later ' || n, now() + interval '1 hour', now() + interval '2 hours'
         FROM generate_series(1, 25) n"
    );
    run(&stage, &later).await;
    let (_, client) = log_in(&stage, &with_password("ann@new.example")).await;
    let list = get(&client, "sessions").await;
    assert_eq!(list["data"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn what_a_session_makes_once_it_makes_once() {
    let stage = Stage::new().await;
    member(&stage, "ann@new.example", "owner").await;
    let (_, ann) = log_in(&stage, &with_password("ann@new.example")).await;
    let once = ann.with("idempotency-key", "k");
    let body = json!({"project_id": stage.scene.tenant.project_id, "name": "once"});
    let first = once.post(&at("api-keys"), &body).await;
    let second = once.post(&at("api-keys"), &body).await;
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    assert_eq!(first.json(), second.json());
    assert_eq!(second.header("idempotent-replayed"), "true");
    let (_, other) = log_in(&stage, &with_password("ann@new.example")).await;
    let other = other.with("idempotency-key", "k");
    let third = other.post(&at("api-keys"), &body).await;
    assert_ne!(
        third.json()["id"],
        first.json()["id"],
        "another session is another caller"
    );
}

#[tokio::test]
async fn the_audit_log_names_who_and_with_which_key() {
    let stage = Stage::new().await;
    let ann = member(&stage, "ann@new.example", "owner").await;
    let (session, client) = log_in(&stage, &with_password("ann@new.example")).await;
    post(&client, "projects", project("by-session")).await;
    let key = json!({"name": "k", "role": "admin", "user_id": ann});
    let key = post(&client, "admin-keys", key).await;
    let by_key = stage.client(key["key"].as_str().unwrap());
    post(&by_key, "projects", project("by-key")).await;
    post(&stage.installation, "projects", {
        let mut body = project("by-installation");
        body["org_id"] = json!(stage.scene.tenant.org_id);
        body
    })
    .await;
    post(&client, "logout", json!({})).await;

    let rows = get(&by_key, "audit-logs?limit=100").await;
    let rows = rows["data"].as_array().unwrap();
    let row = |action: &str, slug: &str| {
        let found = rows
            .iter()
            .find(|row| row["action"] == action && row["changes"].to_string().contains(slug));
        found.unwrap_or_else(|| panic!("{action} {slug} in {rows:?}"))
    };
    for (slug, kind, with) in [
        ("by-session", "session", &session["id"]),
        ("by-key", "admin_key", &key["id"]),
    ] {
        let row = row("projects.create", slug);
        assert_eq!(
            (&row["actor_type"], &row["actor_id"]),
            (&json!("user"), &json!(ann))
        );
        assert_eq!(
            (&row["actor_key_type"], &row["actor_key_id"]),
            (&json!(kind), with)
        );
    }
    let by_installation = row("projects.create", "by-installation");
    assert_eq!(by_installation["actor_type"], "api_key");
    assert_eq!(by_installation["actor_key_id"], by_installation["actor_id"]);
    for action in ["sessions.create", "sessions.delete"] {
        let row = row(action, "127.0.0.1");
        assert_eq!(row["resource_id"], session["id"], "{action}");
        assert_eq!(
            (&row["actor_id"], &row["actor_key_id"]),
            (&json!(ann), &session["id"])
        );
        assert!(!row.to_string().contains("token"), "{row}");
    }
    let with = format!("audit-logs?actor_key_id={}", key["id"].as_str().unwrap());
    let with = get(&by_key, &with).await;
    assert_eq!(with["data"].as_array().unwrap().len(), 1, "{with}");
}

#[tokio::test]
async fn what_somebody_uses_waits_for_nobody_who_has_locked_it() {
    let stage = Stage::new().await;
    let owner = stage.of_tenant("owner").await;
    member(&stage, "ann@new.example", "owner").await;
    let (_, ann) = log_in(&stage, &with_password("ann@new.example")).await;
    let old = "UPDATE sessions SET last_used_at = now() - interval '2 minutes'";
    run(&stage, old).await;
    let mut other = stage.scene.database.connect().await;
    let lock = "SELECT FROM admin_keys FOR UPDATE; SELECT FROM sessions FOR UPDATE";
    let transaction = other.transaction().await.unwrap();
    transaction.batch_execute(lock).await.unwrap();
    for (client, slug) in [(&owner, "by-key"), (&ann, "by-session")] {
        post(client, "projects", project(slug)).await;
    }
    transaction.rollback().await.unwrap();
    // It is written down as soon as it can be.
    get(&ann, "whoami").await;
    let used = "SELECT count(*) FROM sessions WHERE last_used_at > now() - interval '1 minute'";
    assert_eq!(count(&stage, used).await, 1);
}

#[tokio::test]
async fn sessions_that_are_over_are_removed_by_nobody_in_particular() {
    let scene = testkit::Scene::new().await;
    let (org, user) = (scene.tenant.org_id, scene.tenant.user_id);
    let old = format!(
        "INSERT INTO org_members (org_id, user_id) VALUES ('{org}', '{user}');
         INSERT INTO sessions (org_id, user_id, token_hash, last_used_at, expires_at)
         VALUES ('{org}', '{user}', 'old', now() - interval '2 hours', now() + interval '1 hour')"
    );
    scene.sql.batch_execute(&old).await.unwrap();
    let stage = Stage::on(scene).await;
    testkit::eventually("the session is gone", || async {
        (count(&stage, "SELECT count(*) FROM sessions").await == 0).then_some(())
    })
    .await;
    let row = "SELECT count(*) FROM audit_logs WHERE action = 'sessions.delete' AND actor_type = 'system'";
    assert_eq!(count(&stage, row).await, 1);
}
