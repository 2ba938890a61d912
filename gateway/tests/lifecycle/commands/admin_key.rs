//! `mindweave admin-key`

use domain::KeyHash;
use testkit::Scene;
use testkit::command::{run, succeed};
use uuid::Uuid;

use crate::MINDWEAVE;

async fn admin_key(scene: &Scene, words: &[&str]) -> String {
    let url = scene.database.url();
    let words = [&["admin-key"], words].concat();
    succeed(MINDWEAVE, &words, &[("DATABASE_URL", &url)]).await
}

/// The id of the only key.
async fn only_key(scene: &Scene) -> Uuid {
    let query = "SELECT id FROM admin_keys";
    scene.sql.query_one(query, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_key_is_printed_once_and_only_its_hash_is_stored() {
    let scene = Scene::new().await;
    let printed = admin_key(&scene, &["create", "--name", "ci"]).await;
    let key = printed.strip_suffix('\n').unwrap();
    let random = key.strip_prefix("mw_ak_").unwrap();
    assert!(random.len() == 43 && random.bytes().all(|b| b.is_ascii_alphanumeric()));

    let row = scene
        .sql
        .query_one(
            "SELECT key_hash, role, status, org_id, row_to_json(k)::text FROM admin_keys k",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(
        row.get::<_, String>(0),
        KeyHash::of(key.as_bytes()).to_hex()
    );
    assert_eq!(row.get::<_, String>(1), "owner");
    assert_eq!(row.get::<_, String>(2), "active");
    assert_eq!(row.get::<_, Option<Uuid>>(3), None);
    assert!(
        !row.get::<_, String>(4).contains(random),
        "the text is stored"
    );

    let listed = admin_key(&scene, &["list"]).await;
    assert!(
        listed.contains("ci") && listed.contains("active"),
        "{listed}"
    );
    assert!(!listed.contains(random), "{listed}");
}

#[tokio::test]
async fn a_key_is_revoked_once() {
    let scene = Scene::new().await;
    admin_key(&scene, &["create", "--name", "ci", "--role", "viewer"]).await;
    let id = only_key(&scene).await.to_string();
    let said = admin_key(&scene, &["revoke", &id]).await;
    assert!(said.contains(&id), "{said}");
    let listed = admin_key(&scene, &["list"]).await;
    assert!(
        listed.contains("revoked") && listed.contains("viewer"),
        "{listed}"
    );

    let url = scene.database.url();
    let words = ["admin-key", "revoke", &id, "--database-url", &url];
    let again = run(MINDWEAVE, &words, &[]).await;
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("no active admin key"), "{}", again.err);
}

#[tokio::test]
async fn a_key_may_be_an_organizations() {
    let scene = Scene::new().await;
    let slug = format!("org-{}", scene.tenant.org_id.simple());
    admin_key(&scene, &["create", "--name", "theirs", "--org", &slug]).await;
    let query = "SELECT org_id FROM admin_keys";
    let org_id: Uuid = scene.sql.query_one(query, &[]).await.unwrap().get(0);
    assert_eq!(org_id, scene.tenant.org_id);
    let listed = admin_key(&scene, &["list"]).await;
    assert!(listed.contains(&slug), "{listed}");

    let url = scene.database.url();
    let words = [
        "admin-key",
        "create",
        "--name",
        "x",
        "--org",
        "nobody",
        "--database-url",
        &url,
    ];
    let stranger = run(MINDWEAVE, &words, &[]).await;
    assert_eq!(stranger.code, Some(1));
    assert!(stranger.err.contains("nobody"), "{}", stranger.err);
}
