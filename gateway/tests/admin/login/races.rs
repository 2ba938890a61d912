//! Who logs in while others do, or while the way to log in changes.

use std::time::Duration;

use futures_util::future::join_all;

use super::*;

fn attempts(stage: &Stage, body: &Value, many: usize) -> Vec<impl Future<Output = Answer> + use<>> {
    let one = |_| {
        let (client, body) = (stage.client(""), body.clone());
        async move { client.post(&at("login"), &body).await }
    };
    (0..many).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_with_one_code_one_comes_in() {
    let stage = Stage::new().await;
    for (email, is_backup) in [("ann@new.example", true), ("bob@new.example", false)] {
        member(&stage, email, "viewer").await;
        let (_, caller) = log_in(&stage, &with_password(email)).await;
        let (authenticator, codes) = Authenticator::enable(&stage, &caller).await;
        let code = if is_backup {
            codes[3].clone()
        } else {
            authenticator.code(&stage, 1).await
        };
        let answers = join_all(attempts(&stage, &with_code(email, &code), 10)).await;
        let made = answers.iter().filter(|it| it.status == StatusCode::CREATED);
        assert_eq!(made.count(), 1, "{answers:?}");
        let wrong = answers.iter().filter(|it| told(it) == failed()).count();
        assert_eq!(wrong, 9, "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_made_by_an_old_password_outlives_its_change() {
    let stage = Stage::new().await;
    member(&stage, "ann@new.example", "viewer").await;
    let (_, ann) = log_in(&stage, &with_password("ann@new.example")).await;
    let changing = {
        let ann = ann.clone();
        let body = json!({"current_password": PASSWORD, "new_password": "another good password"});
        async move { ann.post(&at("password"), &body).await }
    };
    let logins = attempts(&stage, &with_password("ann@new.example"), 12);
    let (changed, answers) = tokio::join!(changing, join_all(logins));
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    for answer in answers {
        if answer.status != StatusCode::CREATED {
            assert_eq!(told(&answer), failed());
            continue;
        }
        let client = stage.client(answer.json()["token"].as_str().unwrap());
        let after = client.get(&at("whoami")).await;
        assert_eq!(after.error_code(), "key_unknown");
    }
    get(&ann, "whoami").await;
}

/// A member who is removed while their sessions come and are used: nobody waits for somebody who waits for them.
#[tokio::test(flavor = "multi_thread")]
async fn members_come_in_while_they_are_removed() {
    let stage = Stage::new().await;
    let user = member(&stage, "ann@new.example", "viewer").await;
    let list = get(&stage.installation, &members(&stage)).await;
    let path = format!(
        "{}/{}",
        members(&stage),
        list["data"][0]["id"].as_str().unwrap()
    );
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(log_in(&stage, &with_password("ann@new.example")).await.1);
    }
    let old = "UPDATE sessions SET last_used_at = now() - interval '2 minutes'";
    run(&stage, old).await;
    let using = sessions.into_iter().map(|client| async move {
        client
            .post(&at("mfa/totp"), &json!({"password": PASSWORD}))
            .await
    });
    let removing = {
        let (client, path) = (stage.installation.clone(), at(&path));
        async move { client.send(http::Method::DELETE, &path, "").await }
    };
    let (used, entered, removed) = tokio::join!(
        join_all(using),
        join_all(attempts(&stage, &with_password("ann@new.example"), 4)),
        removing
    );
    assert_eq!(removed.status, StatusCode::OK);
    for answer in used.iter().chain(&entered) {
        let is_expected = answer.status.is_success()
            || ["key_unknown", "not_a_member"].contains(&answer.error_code().as_str());
        assert!(is_expected, "{answer:?}");
    }
    let left = format!("SELECT count(*) FROM sessions WHERE user_id = '{user}'");
    assert_eq!(count(&stage, &left).await, 0);
}

/// A login waits for a change of the user, and whoever changes it for nothing: the time that a password takes is no transaction's.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_their_turn_holds_nothing() {
    let stage = Stage::new().await;
    member(&stage, "ann@new.example", "viewer").await;
    let logins = attempts(
        &stage,
        &json!({"email": "nobody@new.example", "password": "x"}),
        18,
    );
    let reading = tokio::time::timeout(Duration::from_secs(10), async {
        for _ in 0..20 {
            get(&stage.installation, "users").await;
        }
    });
    let (crowd, read) = tokio::join!(join_all(logins), reading);
    read.unwrap();
    for answer in crowd {
        assert_eq!(told(&answer), failed());
    }
}

/// What enables a second factor shows its backup codes: to nobody whose session ended while they waited.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_while_it_waits_confirms_nothing() {
    let stage = Stage::new().await;
    member(&stage, "ann@new.example", "viewer").await;
    let (_, ann) = log_in(&stage, &with_password("ann@new.example")).await;
    let begun = post(&ann, "mfa/totp", json!({"password": PASSWORD})).await;
    let totp = totp_rs::Totp::from_url(begun["otpauth_uri"].as_str().unwrap()).unwrap();
    let code = Authenticator(totp).code(&stage, 0).await;
    run(&stage, "BEGIN; SELECT FROM users FOR UPDATE").await;
    let body = json!({"code": code});
    let path = at("mfa/totp/confirm");
    let confirming = ann.post(&path, &body);
    let ending = async {
        testkit::eventually("the confirmation waits", || async {
            let waiting = "SELECT count(*) FROM pg_locks l
                WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(l.pid))";
            (count(&stage, waiting).await > 0).then_some(())
        })
        .await;
        run(&stage, "DELETE FROM sessions; COMMIT").await;
    };
    let (answer, ()) = tokio::join!(confirming, ending);
    assert_eq!(
        told(&answer),
        refused(StatusCode::UNAUTHORIZED, "key_unknown")
    );
    let enabled = "SELECT count(*) FROM users WHERE mfa_enabled";
    assert_eq!(count(&stage, enabled).await, 0);
}
