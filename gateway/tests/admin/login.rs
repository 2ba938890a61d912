//! Users who log in, and what they may with that.

mod accepting;
mod audit;
mod mfa;
mod newcomers;
mod passwords;
mod races;
mod sessions;
mod throttles;

use http::StatusCode;
use serde_json::{Value, json};
use testkit::Client;
use testkit::client::Answer;
use totp_rs::Totp;
use uuid::Uuid;

use crate::members::members;
use crate::stage::{Stage, at, get, post};

pub(crate) const PASSWORD: &str = "a password for tests";

/// A user who is a member of the scene's organization and can log in.
async fn member(stage: &Stage, email: &str, role: &str) -> Uuid {
    let user = json!({"email": email, "name": "Ann", "password": PASSWORD});
    let user = post(&stage.installation, "users", user).await;
    let place = json!({"user_id": user["id"], "role": role});
    post(&stage.installation, &members(stage), place).await;
    id(&user["id"])
}

fn id(value: &Value) -> Uuid {
    value.as_str().unwrap().parse().unwrap()
}

async fn attempt(stage: &Stage, body: &Value) -> Answer {
    stage.client("").post(&at("login"), body).await
}

fn with_password(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD})
}

fn with_code(email: &str, code: &str) -> Value {
    json!({"email": email, "password": PASSWORD, "code": code})
}

/// The session, which comes to be, and the caller that has it.
async fn log_in(stage: &Stage, body: &Value) -> (Value, Client) {
    let answer = attempt(stage, body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let session = answer.json();
    let client = stage.client(session["token"].as_str().unwrap());
    (session, client)
}

/// The tokens of two sessions of somebody who has a role in the scene's organization.
pub(crate) async fn tokens_of(stage: &Stage, role: &str) -> [String; 2] {
    let email = format!("{role}@token.example");
    member(stage, &email, role).await;
    let token = async || {
        let (session, _) = log_in(stage, &with_password(&email)).await;
        session["token"].as_str().unwrap().to_owned()
    };
    [token().await, token().await]
}

/// A caller with a session of somebody who has a role in the scene's organization.
pub(crate) async fn session_of(stage: &Stage, role: &str) -> (Client, Uuid) {
    let email = format!("{role}@session.example");
    let user = member(stage, &email, role).await;
    (log_in(stage, &with_password(&email)).await.1, user)
}

fn told(answer: &Answer) -> (StatusCode, String) {
    (answer.status, answer.error_code())
}

fn refused(status: StatusCode, code: &str) -> (StatusCode, String) {
    (status, code.to_owned())
}

fn failed() -> (StatusCode, String) {
    refused(StatusCode::UNAUTHORIZED, "login_failed")
}

async fn run(stage: &Stage, sql: &str) {
    stage.scene.sql.batch_execute(sql).await.unwrap();
}

async fn count(stage: &Stage, sql: &str) -> i64 {
    stage.scene.sql.query_one(sql, &[]).await.unwrap().get(0)
}

/// An authenticator that was given the URI.
struct Authenticator(Totp);

impl Authenticator {
    /// Makes the caller's second factor needed: the authenticator, and the backup codes.
    async fn enable(stage: &Stage, caller: &Client) -> (Self, Vec<String>) {
        let begun = post(caller, "mfa/totp", json!({"password": PASSWORD})).await;
        let totp = Totp::from_url(begun["otpauth_uri"].as_str().unwrap()).unwrap();
        let authenticator = Self(totp);
        let code = json!({"code": authenticator.code(stage, 0).await});
        let codes = post(caller, "mfa/totp/confirm", code).await;
        let codes = codes["backup_codes"].as_array().unwrap().clone();
        let texts = codes.iter().map(|code| code.as_str().unwrap().to_owned());
        (authenticator, texts.collect())
    }

    /// What it shows so many steps from now.
    async fn code(&self, stage: &Stage, steps: i64) -> String {
        let now = count(
            stage,
            "SELECT floor(extract(epoch FROM clock_timestamp()))::bigint",
        )
        .await;
        let moment = u64::try_from(now + 30 * steps).unwrap();
        self.0.generate(moment).to_string()
    }
}

#[tokio::test]
async fn a_life_from_the_invitation_to_the_logout() {
    let set = |gateway: testkit::gateway::Builder| gateway.env("MINDWEAVE_LOG_LEVEL", "debug");
    let stage = Stage::with(testkit::Scene::new().await, set).await;
    let invited = json!({"email": "Ann@New.example", "role": "member"});
    let invited = post(&stage.installation, &members(&stage), invited).await;
    let accept = json!({"token": invited["invitation_token"], "name": "Ann", "password": PASSWORD});
    let accepted = post(&stage.client(""), "invitations/accept", accept).await;

    let (session, ann) = log_in(&stage, &with_password("ann@new.EXAMPLE")).await;
    assert_eq!(
        (&session["type"], &session["role"], &session["user_id"]),
        (&json!("session"), &json!("member"), &accepted["user_id"])
    );
    let token = session["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("mw_as_") && token.len() == 49, "{token}");
    let who = get(&ann, "whoami").await;
    assert_eq!(who["session_id"], session["id"]);
    assert_eq!(who["admin_key_id"], json!(null));
    assert_eq!(who["org_id"], stage.scene.tenant.org_id.to_string());
    assert_eq!(who["role"], "member");
    let bearer = stage
        .client("")
        .with("authorization", &format!("Bearer {token}"));
    assert_eq!(get(&bearer, "whoami").await, who);

    let (authenticator, backup) = Authenticator::enable(&stage, &ann).await;
    let without = attempt(&stage, &with_password("ann@new.example")).await;
    assert_eq!(
        told(&without),
        refused(StatusCode::UNAUTHORIZED, "mfa_required")
    );
    let code = authenticator.code(&stage, 1).await;
    let (_, again) = log_in(&stage, &with_code("ann@new.example", &code)).await;
    let replayed = attempt(&stage, &with_code("ann@new.example", &code)).await;
    assert_eq!(told(&replayed), failed());
    let (_, third) = log_in(&stage, &with_code("ann@new.example", &backup[0])).await;
    let used = attempt(&stage, &with_code("ann@new.example", &backup[0])).await;
    assert_eq!(told(&used), failed());

    for client in [&again, &third] {
        let gone = post(client, "logout", json!({})).await;
        assert_eq!(gone["type"], "session_deleted");
        let after = client.get(&at("whoami")).await;
        assert_eq!(
            told(&after),
            refused(StatusCode::UNAUTHORIZED, "key_unknown")
        );
    }
    get(&ann, "whoami").await;

    // Nothing of it is written down anywhere.
    let sql = "SELECT password_hash FROM users WHERE email = 'ann@new.example'";
    let hash: String = stage.scene.sql.query_one(sql, &[]).await.unwrap().get(0);
    let log = stage.gateway.log();
    let sql = "SELECT coalesce(string_agg(row::text, '\n'), '') FROM audit_logs row";
    let audit: String = stage.scene.sql.query_one(sql, &[]).await.unwrap().get(0);
    let database = "SELECT coalesce(string_agg(u::text, ''), '') || (SELECT string_agg(s::text, '') FROM sessions s) FROM users u";
    let database: String = stage
        .scene
        .sql
        .query_one(database, &[])
        .await
        .unwrap()
        .get(0);
    assert!(log.contains("DEBUG"), "{log}");
    for hidden in [PASSWORD, &token, &backup[0], &backup[1], &hash] {
        assert!(!log.contains(hidden), "the log has {hidden}");
        assert!(!audit.contains(hidden), "the audit log has {hidden}");
    }
    for hidden in [PASSWORD, &token, &backup[1]] {
        assert!(!database.contains(hidden), "the database has {hidden}");
    }
}

#[tokio::test]
async fn what_was_wrong_can_not_be_told_apart() {
    let stage = Stage::new().await;
    member(&stage, "ann@new.example", "member").await;
    let no_password = json!({"email": "bob@new.example", "name": "Bob"});
    post(&stage.installation, "users", no_password).await;
    let mut bodies = Vec::new();
    for (email, password) in [
        ("nobody@new.example", PASSWORD),
        ("ann@new.example", "another password"),
        ("ann@new.example", ""),
        ("ann@new.example", &"x".repeat(10_000)),
        ("bob@new.example", PASSWORD),
        ("'; DROP TABLE users", PASSWORD),
    ] {
        let answer = attempt(&stage, &json!({"email": email, "password": password})).await;
        assert_eq!(told(&answer), failed(), "{email}");
        bodies.push(answer.json()["error"].clone());
    }
    let (_, ann) = log_in(&stage, &with_password("ann@new.example")).await;
    Authenticator::enable(&stage, &ann).await;
    for code in ["000000", "abcd-efgh-ijkl-mnop", "", "rubbish"] {
        let answer = attempt(&stage, &with_code("ann@new.example", code)).await;
        assert_eq!(told(&answer), failed(), "{code}");
        bodies.push(answer.json()["error"].clone());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    // Those of users that there are, are written down; who it was nobody knows.
    let written = "SELECT count(*) FROM audit_logs WHERE action = 'users.login_failed' AND actor_type = 'system'
        AND actor_id IS NULL AND host(actor_ip) = '127.0.0.1'";
    assert_eq!(
        count(&stage, &format!("{written} AND changes IS NULL")).await,
        4
    );
    let after_the_password =
        format!("{written} AND changes = '{{\"error_code\": \"login_failed\"}}'");
    assert_eq!(count(&stage, &after_the_password).await, 4);
}

#[tokio::test]
async fn bodies_that_are_wrong_are_told_where_and_never_shown() {
    let stage = Stage::new().await;
    for (body, place) in [
        (json!({"password": PASSWORD}), "."),
        (json!({"email": "a@b.example"}), "."),
        (
            json!({"email": "a@b.example", "password": 271_828}),
            "password",
        ),
        (
            json!({"email": "a@b.example", "password": ["271828"]}),
            "password",
        ),
        (
            json!({"email": "a@b.example", "password": "x", "code": 271_828}),
            "code",
        ),
        (
            json!({"email": "a@b.example", "password": "x", "org_id": "x"}),
            "org_id",
        ),
        (
            json!({"email": "a@b.example", "password": "x", "nothing": 1}),
            "nothing",
        ),
    ] {
        let answer = attempt(&stage, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {answer:?}");
        assert_eq!(answer.json()["error"]["details"]["path"], place, "{body}");
        assert!(!answer.json().to_string().contains("271828"), "{answer:?}");
    }
}

#[tokio::test]
async fn who_is_a_member_of_several_says_of_which() {
    let stage = Stage::new().await;
    let ann = member(&stage, "ann@new.example", "viewer").await;
    let other = json!({"name": "Other", "slug": "other"});
    let other = post(&stage.installation, "organizations", other).await;
    let path = format!("organizations/{}/members", other["id"].as_str().unwrap());
    let place = json!({"user_id": ann, "role": "owner"});
    post(&stage.installation, &path, place).await;

    let answer = attempt(&stage, &with_password("ann@new.example")).await;
    assert_eq!(told(&answer), refused(StatusCode::BAD_REQUEST, "invalid"));
    let details = answer.json()["error"]["details"].clone();
    assert_eq!(details["path"], "org_id");
    let shown = details["organizations"].as_array().unwrap();
    assert_eq!(shown.len(), 2, "{details}");
    assert!(
        shown.contains(&json!({"id": other["id"], "name": "Other"})),
        "{details}"
    );
    let wrong = json!({"email": "ann@new.example", "password": "another password"});
    assert_eq!(
        told(&attempt(&stage, &wrong).await),
        failed(),
        "nothing is shown before the proof"
    );

    let mut body = with_password("ann@new.example");
    body["org_id"] = other["id"].clone();
    let (session, client) = log_in(&stage, &body).await;
    assert_eq!(
        (&session["org_id"], &session["role"]),
        (&other["id"], &json!("owner"))
    );
    let seen = get(&client, "organizations").await;
    assert_eq!(seen["data"].as_array().unwrap().len(), 1, "one at a time");
    body["org_id"] = json!(Uuid::nil());
    let answer = attempt(&stage, &body).await;
    assert_eq!(
        told(&answer),
        refused(StatusCode::FORBIDDEN, "not_a_member")
    );

    // Where only one is left, it is that one; where none is, there is no session.
    run(
        &stage,
        "UPDATE organizations SET status = 'suspended' WHERE slug = 'other'",
    )
    .await;
    let (session, _) = log_in(&stage, &with_password("ann@new.example")).await;
    assert_eq!(session["org_id"], stage.scene.tenant.org_id.to_string());
    run(&stage, "UPDATE org_members SET status = 'suspended'").await;
    let answer = attempt(&stage, &with_password("ann@new.example")).await;
    assert_eq!(
        told(&answer),
        refused(StatusCode::FORBIDDEN, "not_a_member")
    );
    run(&stage, "UPDATE users SET status = 'suspended'").await;
    let answer = attempt(&stage, &with_password("ann@new.example")).await;
    assert_eq!(
        told(&answer),
        refused(StatusCode::FORBIDDEN, "user_inactive")
    );
}
