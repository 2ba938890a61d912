//! A request with an `Idempotency-Key` that is sent again makes nothing twice, whatever became of its first answer.

use http::StatusCode;
use serde_json::{Value, json};
use testkit::client::Answer;
use testkit::{Client, Link, Scene, Upstream};

use crate::stage::{Stage, admin_key, at, project};

async fn count(scene: &Scene, sql: &str) -> i64 {
    scene.sql.query_one(sql, &[]).await.unwrap().get(0)
}

fn key(scene: &Scene) -> Value {
    let tenant = &scene.tenant;
    json!({"project_id": tenant.project_id, "name": "once", "created_by": tenant.user_id})
}

const KEYS: &str = "SELECT count(*) FROM api_keys WHERE name = 'once'";

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replayed").is_some()
}

#[tokio::test]
async fn the_same_request_again_gets_the_same_secret_and_makes_nothing() {
    let stage = Stage::new().await;
    let owner = stage.of_tenant("owner").await;
    let once = owner.clone().with("idempotency-key", "k-1");
    let first = once.post(&at("api-keys"), &key(&stage.scene)).await;
    let second = once.post(&at("api-keys"), &key(&stage.scene)).await;
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    assert_eq!(second.status, StatusCode::CREATED, "{second:?}");
    assert_eq!(first.json(), second.json());
    assert_eq!(first.header("etag"), second.header("etag"));
    assert!(!is_replayed(&first) && is_replayed(&second));
    assert_eq!(count(&stage.scene, KEYS).await, 1);
    let made = "SELECT count(*) FROM audit_logs WHERE action = 'api_keys.create' AND changes->'created'->>'name' = 'once'";
    assert_eq!(count(&stage.scene, made).await, 1);

    // The secret is nowhere in the database.
    let secret = first.json()["key"].as_str().unwrap().as_bytes().to_vec();
    let sql = "SELECT position($1::bytea IN answer) FROM idempotency_keys";
    let row = stage.scene.sql.query_one(sql, &[&secret]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 0);

    // Rotation is a making too; by now the key has rotated, and the retry doesn't mind.
    let path = at(&format!(
        "api-keys/{}/rotate",
        first.json()["id"].as_str().unwrap()
    ));
    let once = owner.clone().with("idempotency-key", "k-2");
    let body = json!({"grace_seconds": 0});
    let (first, second) = (once.post(&path, &body).await, once.post(&path, &body).await);
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    assert_eq!(first.json(), second.json());
    assert_eq!(count(&stage.scene, KEYS).await, 2);
}

#[tokio::test]
async fn a_key_is_for_one_request_of_one_caller() {
    let stage = Stage::new().await;
    let owner = stage.of_tenant("owner").await;
    let once = owner.clone().with("idempotency-key", "k");
    let made = once.post(&at("projects"), &project("a")).await;
    assert_eq!(made.status, StatusCode::CREATED);
    for (path, body) in [("projects", project("b")), ("api-keys", key(&stage.scene))] {
        let refused = once.post(&at(path), &body).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
        assert_eq!(refused.error_code(), "idempotency_key_reused");
    }
    let other = stage.of_tenant("owner").await.with("idempotency-key", "k");
    let made = other.post(&at("projects"), &project("b")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert!(!is_replayed(&made));

    // What was refused made nothing, and leaves the key free.
    let once = owner.clone().with("idempotency-key", "free");
    let taken = once.post(&at("projects"), &project("a")).await;
    assert_eq!(taken.error_code(), "taken");
    let made = once.post(&at("projects"), &project("c")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");

    // A day later it is forgotten.
    let old = "UPDATE idempotency_keys SET created_at = now() - interval '25 hours'";
    stage.scene.sql.execute(old, &[]).await.unwrap();
    let made = once.post(&at("projects"), &project("d")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert!(!is_replayed(&made));
    let fresh =
        "SELECT count(*) FROM idempotency_keys WHERE created_at > now() - interval '1 hour'";
    assert_eq!(count(&stage.scene, fresh).await, 1);

    for faulty in ["", "a b", &"x".repeat(256)] {
        let faulty = owner.clone().with("idempotency-key", faulty);
        let refused = faulty.post(&at("projects"), &project("e")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert_eq!(
            refused.json()["error"]["details"]["path"],
            "idempotency-key"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_makes_and_all_get_its_answer() {
    let stage = Stage::new().await;
    let once = stage
        .of_tenant("owner")
        .await
        .with("idempotency-key", "race");
    let body = key(&stage.scene);
    let path = at("api-keys");
    let send = || once.post(&path, &body);
    let (a, b, c, d) = tokio::join!(send(), send(), send(), send());
    let answers = [a, b, c, d];
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        assert_eq!(answer.json(), answers[0].json());
    }
    assert_eq!(
        answers.iter().filter(|answer| !is_replayed(answer)).count(),
        1
    );
    assert_eq!(count(&stage.scene, KEYS).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_answered_by_the_retry() {
    let scene = Scene::new().await;
    let upstream = Upstream::simulator().await;
    let link = Link::to(scene.database.address()).await;
    let url = scene.database.url_at(&link.address());
    let builder =
        testkit::gateway::Builder::serve(crate::MINDWEAVE, &url).upstream(&upstream.url());
    let gateway = builder.start().await;
    let caller = admin_key(&scene, None, None, "owner").await;
    let api = Client::new(gateway.ready_text("admin_url"), &caller);
    let once = api.with("idempotency-key", "lost");
    link.cut_after_both(b"INSERT INTO api_keys", b"COMMIT\0");
    let lost = once.post(&at("api-keys"), &key(&scene)).await;
    assert_eq!(lost.status, StatusCode::SERVICE_UNAVAILABLE, "{lost:?}");
    testkit::eventually("the key is made", || async {
        (count(&scene, KEYS).await == 1).then_some(())
    })
    .await;
    link.restore();
    let again = testkit::eventually("the database is back", || async {
        let answer = once.post(&at("api-keys"), &key(&scene)).await;
        answer.status.is_success().then_some(answer)
    })
    .await;
    assert!(is_replayed(&again), "{again:?}");
    assert_eq!(count(&scene, KEYS).await, 1);
    // The secret is that of the key that there is.
    let secret = again.json()["key"].as_str().unwrap().to_owned();
    let hash = domain::KeyHash::of(secret.as_bytes()).to_hex();
    let sql = "SELECT count(*) FROM api_keys WHERE name = 'once' AND key_hash = $1";
    let kept: i64 = scene.sql.query_one(sql, &[&hash]).await.unwrap().get(0);
    assert_eq!(kept, 1);
}
