//! A start without the database, on what an earlier gateway has left on disk.

use std::fs;
use std::path::PathBuf;

use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::gateway::Builder;
use testkit::{Gateway, Scene, Tenant, eventually};
use uuid::Uuid;

use super::{INSERT, becomes, change, hash, some_key, verdict};
use crate::MINDWEAVE;
use crate::data_dir::mode;
use crate::load::answered;
use crate::stage::{Set, Stage};

/// A stage on which gateways come and go, with one data directory.
struct House {
    set: Set,
    data_dir: TempDir,
}

impl House {
    async fn new() -> Self {
        Self {
            set: Stage::set(Scene::new().await).await,
            data_dir: tempfile::tempdir().unwrap(),
        }
    }

    fn gateway(&self) -> Builder {
        self.set.builder().data_dir(self.data_dir.path())
    }

    fn folder(&self) -> PathBuf {
        self.data_dir.path().join("snapshot")
    }

    fn file(&self) -> PathBuf {
        self.folder().join("state")
    }

    /// Waits until the file is there and says this.
    async fn file_says(&self, text: &str) {
        eventually(&format!("the file says {text}"), || async {
            let found = fs::read_to_string(self.file()).ok()?;
            found.contains(text).then_some(())
        })
        .await;
    }

    async fn change(&self, sql: &str) {
        change(&self.set.scene, sql).await;
    }

    /// Makes a key of the tenant's.
    async fn make_key(&self) -> String {
        let (tenant, key) = (&self.set.scene.tenant, some_key());
        let (project, user, hash) = (tenant.project_id, tenant.user_id, hash(&key));
        self.change(&format!(
            "{INSERT} ('{project}', '{user}', 'mw_sk_live_', '{hash}', 'test')"
        ))
        .await;
        key
    }

    async fn revoke(&self, key: &str) {
        let hash = hash(key);
        let sql = format!("UPDATE api_keys SET status = 'revoked' WHERE key_hash = '{hash}'");
        self.change(&sql).await;
    }

    /// Starts a gateway with the database away, and expects that it has nothing to go on with.
    async fn starts_with_nothing(&self, builder: Builder, reason: &str) {
        self.set.link.cut();
        let gateway = builder.start_unready().await;
        eventually(&format!("the log says {reason}"), || async {
            gateway.log().contains(reason).then_some(())
        })
        .await;
        let (status, _) = readiness(&gateway).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{reason}");
        let answer = gateway.client(&self.set.scene.key).ask().await;
        assert_eq!(answer.error_code(), "overloaded", "{reason}");
        // It goes on waiting, and takes what comes.
        self.set.link.restore();
        gateway.wait_until_ready().await;
        assert!(gateway.stop().await.success(), "{reason}");
    }
}

/// The answer of `/readyz`.
async fn readiness(gateway: &Gateway) -> (StatusCode, Value) {
    let answer = gateway.operator().get("/readyz").await;
    (answer.status, answer.json())
}

async fn age(gateway: &Gateway) -> f64 {
    gateway.metric("mindweave_snapshot_age_seconds").await
}

#[tokio::test]
async fn a_gateway_starts_on_what_an_earlier_one_left_and_catches_up() {
    let house = House::new().await;
    let good = house.set.scene.key.clone();
    let [revoked, deleted, meanwhile] = [
        house.make_key().await,
        house.make_key().await,
        house.make_key().await,
    ];
    house.revoke(&revoked).await;
    let first = house.gateway().start().await;
    assert_eq!(verdict(&first.client(&revoked)).await, "key_revoked");
    assert!(first.stop().await.success());

    house.set.link.cut();
    let gateway = house.gateway().start().await;
    let (status, body) = readiness(&gateway).await;
    assert_eq!((status, &body["ready"]), (StatusCode::OK, &json!(true)));
    let notes = body["notes"].to_string();
    assert!(notes.contains("snapshot from disk"), "{notes}");
    let log = gateway.log();
    assert!(log.contains("a snapshot from disk is in force"), "{log}");
    assert!(age(&gateway).await > 0.0);

    let request = answered(&gateway.client(&good).ask().await);
    assert_eq!(verdict(&gateway.client(&deleted)).await, "ok");
    assert_eq!(verdict(&gateway.client(&revoked)).await, "key_revoked");
    // It may have been made since.
    let unknown = gateway.client(&some_key());
    assert_eq!(verdict(&unknown).await, "overloaded");

    house.revoke(&meanwhile).await;
    let sql = format!("DELETE FROM api_keys WHERE key_hash = '{}'", hash(&deleted));
    house.change(&sql).await;
    let new = house.make_key().await;
    assert_eq!(verdict(&gateway.client(&meanwhile)).await, "ok");
    house.set.link.restore();
    becomes(&gateway.client(&meanwhile), "key_revoked").await;
    becomes(&gateway.client(&deleted), "key_unknown").await;
    becomes(&gateway.client(&new), "ok").await;
    becomes(&unknown, "key_unknown").await;
    // What was spent before is asked for beside the keys.
    eventually("nothing to note", || async {
        let (_, body) = readiness(&gateway).await;
        (body == json!({"ready": true, "reasons": [], "notes": []})).then_some(())
    })
    .await;
    house
        .set
        .raise(gateway)
        .stored_once(&[request].into())
        .await;
}

#[tokio::test]
async fn a_killed_gateway_has_left_what_it_knew() {
    let house = House::new().await;
    let first = house.gateway().start().await;
    let client = first.client(&house.set.scene.key);
    house.file_says("\"active\"").await;
    house.revoke(&house.set.scene.key).await;
    becomes(&client, "key_revoked").await;
    house.file_says("\"revoked\"").await;
    first.kill().await;

    house.set.link.cut();
    let second = house.gateway().start().await;
    let client = second.client(&house.set.scene.key);
    assert_eq!(verdict(&client).await, "key_revoked");
}

#[tokio::test]
async fn the_age_is_that_of_what_is_in_force_over_any_number_of_starts() {
    let house = House::new().await;
    let first = house.gateway().start().await;
    house.file_says("\"active\"").await;
    first.kill().await;
    house.set.link.cut();
    let mut last = 0.0;
    for _ in 0..3 {
        let gateway = house.gateway().start().await;
        let now = age(&gateway).await;
        assert!(now > last, "{now} after {last}");
        last = now;
        let answer = gateway.client(&house.set.scene.key).get("/v1/models").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(gateway.stop().await.success());
    }
    house.set.link.restore();
    let gateway = house.gateway().start().await;
    eventually("what the database says is young", || async {
        (age(&gateway).await < last).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_database_that_says_nothing_is_not_waited_for() {
    let house = House::new().await;
    assert!(house.gateway().start().await.stop().await.success());
    house.set.link.mute();
    let gateway = house.gateway().start().await;
    let client = gateway.client(&house.set.scene.key);
    assert_eq!(verdict(&client).await, "ok");
    house.revoke(&house.set.scene.key).await;
    house.set.link.restore();
    becomes(&client, "key_revoked").await;
}

#[tokio::test]
async fn a_file_that_is_not_what_was_written_is_not_used() {
    let house = House::new().await;
    assert!(house.gateway().start().await.stop().await.success());
    let written = fs::read(house.file()).unwrap();
    let half = &written[..written.len() / 2];
    let altered = String::from_utf8(written.clone()).unwrap();
    let altered = altered.replace("\"active\"", "\"actjve\"").into_bytes();
    for (content, reason) in [
        (half, "its checksum is wrong"),
        (&altered, "its checksum is wrong"),
        (b"mindweave-snapshot 1\n", "is version 1"),
        (b"something else\n", "it is not a snapshot"),
        (b"", "it is not a snapshot"),
    ] {
        fs::write(house.file(), content).unwrap();
        house.starts_with_nothing(house.gateway(), reason).await;
        // The next state takes its place.
        assert_ne!(fs::read(house.file()).unwrap(), content);
    }
    fs::remove_file(house.file()).unwrap();
    let reason = "there is no snapshot on disk";
    house.starts_with_nothing(house.gateway(), reason).await;
}

#[tokio::test]
async fn a_snapshot_of_another_database_is_not_used() {
    let house = House::new().await;
    assert!(house.gateway().start().await.stop().await.success());
    let link = house.set.link.address();
    let database = &house.set.scene.database;
    let url = database.url_at(&link).replace(database.name(), "another");
    house.set.link.cut();
    let gateway = house.gateway().env("MINDWEAVE_DATABASE_URL", &url);
    let gateway = gateway.start_unready().await;
    let (theirs, ours) = (database.name(), "another");
    let said =
        format!("it is of the database {link}/{theirs}, and this gateway's is {link}/{ours}");
    eventually("the log says so", || async {
        gateway.log().contains(&said).then_some(())
    })
    .await;
    let (status, _) = readiness(&gateway).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let answer = gateway.client(&house.set.scene.key).ask().await;
    assert_eq!(answer.error_code(), "overloaded");
    gateway.kill().await;
    // It is still there for those whose it is.
    let gateway = house.gateway().start().await;
    assert_eq!(verdict(&gateway.client(&house.set.scene.key)).await, "ok");
}

#[tokio::test]
async fn only_its_owner_can_read_it_and_no_key_is_in_it() {
    let house = House::new().await;
    let left = house.folder().join("draft-of-the-dead");
    fs::create_dir_all(house.folder()).unwrap();
    fs::write(&left, "half").unwrap();
    let gateway = house.gateway().start().await;
    let key = house.set.scene.key.clone();
    house.file_says(&hash(&key)).await;
    assert_eq!(mode(&house.file()), 0o600);
    assert_eq!(mode(&house.folder()), 0o700);
    let text = fs::read_to_string(house.file()).unwrap();
    assert!(!text.contains(&key), "{text}");
    assert!(!text.contains(testkit::gateway::UPSTREAM_KEY), "{text}");
    assert!(gateway.stop().await.success());
    let files: Vec<_> = fs::read_dir(house.folder()).unwrap().flatten().collect();
    assert_eq!(files.len(), 1, "{files:?}");
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_written_stops_nobody() {
    let house = House::new().await;
    fs::write(house.folder(), "in the way").unwrap();
    let gateway = house.gateway().start().await;
    eventually("the metric says so", || async {
        let faulty = gateway.metric("mindweave_snapshot_file_faulty").await;
        (faulty > 0.0).then_some(())
    })
    .await;
    let log = gateway.log();
    assert!(
        log.contains("the snapshot on disk can't be written"),
        "{log}"
    );
    answered(&gateway.client(&house.set.scene.key).ask().await);
    assert!(gateway.stop().await.success());
}

#[tokio::test]
async fn what_a_project_made_upstream_is_out_of_others_reach_from_the_start() {
    let house = House::new().await;
    let scene = &house.set.scene;
    let other = Tenant::create(&scene.sql).await;
    let others = other.key(&scene.sql, domain::KeyKind::Live).await;
    let id = format!("msgbatch_{}", Uuid::now_v7().simple());
    let (tenant, key) = (&scene.tenant, hash(&scene.key));
    house
        .change(&format!(
            "INSERT INTO upstream_objects (id, kind, org_id, project_id, user_id, api_key_id, created_at)
             SELECT '{id}', 'batches', '{}', '{}', '{}', id, now() FROM api_keys WHERE key_hash = '{key}'",
            tenant.org_id, tenant.project_id, tenant.user_id
        ))
        .await;
    assert!(house.gateway().start().await.stop().await.success());

    house.set.link.cut();
    let gateway = house.gateway().start().await;
    let path = format!("/v1/messages/batches/{id}");
    let own = gateway.client(&scene.key).get(&path).await;
    assert_eq!(own.status, StatusCode::OK);
    let strange = gateway.client(&others).get(&path).await;
    assert_eq!(strange.error_code(), "object_not_found");
}

#[tokio::test]
async fn up_keeps_a_snapshot_too() {
    let house = House::new().await;
    let url = house.set.scene.database.url();
    let up = Builder::up(MINDWEAVE).data_dir(house.data_dir.path());
    let gateway = up.env("MINDWEAVE_DATABASE_URL", &url).start().await;
    assert!(gateway.stop().await.success());
    house.file_says(&hash(&house.set.scene.key)).await;
}
