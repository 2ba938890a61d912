//! A gateway with its admin API, and callers of every kind.

use domain::KeyHash;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::client::Answer;
use testkit::gateway::Builder;
use testkit::{Client, Gateway, Scene, Upstream};
use uuid::Uuid;

use crate::MINDWEAVE;

pub(crate) struct Stage {
    pub(crate) scene: Scene,
    pub(crate) gateway: Gateway,
    /// Of the whole installation.
    pub(crate) installation: Client,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::on(Scene::new().await).await
    }

    /// A gateway that finds what is there already.
    pub(crate) async fn on(scene: Scene) -> Self {
        Self::with(scene, |gateway| gateway).await
    }

    /// With settings of the gateway's.
    pub(crate) async fn with(scene: Scene, set: impl FnOnce(Builder) -> Builder) -> Self {
        let upstream = Upstream::simulator().await;
        let gateway = set(scene.serve(MINDWEAVE, &upstream)).start().await;
        let key = admin_key(&scene, None, None, "owner").await;
        Self {
            installation: Client::new(gateway.ready_text("admin_url"), &key),
            scene,
            gateway,
        }
    }

    pub(crate) fn client(&self, key: &str) -> Client {
        Client::new(self.gateway.ready_text("admin_url"), key)
    }

    /// A caller of the scene's organization, as its user.
    pub(crate) async fn of_tenant(&self, role: &str) -> Client {
        let tenant = &self.scene.tenant;
        let member = "INSERT INTO org_members (org_id, user_id, role) VALUES ($1, $2, 'owner') ON CONFLICT DO NOTHING";
        let ids: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
            [&tenant.org_id, &tenant.user_id];
        self.scene.sql.execute(member, &ids).await.unwrap();
        let (org, user) = (Some(tenant.org_id), Some(tenant.user_id));
        self.client(&admin_key(&self.scene, org, user, role).await)
    }
}

/// So long ago, by the database's clock.
pub(crate) async fn ago(scene: &Scene, how_long: &str) -> String {
    let sql = "SELECT to_char((now() - $1::text::interval) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    scene.sql.query_one(sql, &[&how_long]).await.unwrap().get(0)
}

/// Makes an admin key, and gives its text.
pub(crate) async fn admin_key(
    scene: &Scene,
    org_id: Option<Uuid>,
    user_id: Option<Uuid>,
    role: &str,
) -> String {
    let text = format!("mw_ak_{}", Uuid::now_v7().simple());
    let sql = "INSERT INTO admin_keys (org_id, user_id, role, name, key_hash) VALUES ($1, $2, $3, 'test', $4)";
    let hash = KeyHash::of(text.as_bytes()).to_hex();
    scene
        .sql
        .execute(sql, &[&org_id, &user_id, &role, &hash])
        .await
        .unwrap();
    text
}

pub(crate) fn at(path: &str) -> String {
    format!("/admin/v1/{path}")
}

/// POST, which goes well.
pub(crate) async fn post(client: &Client, path: &str, body: Value) -> Value {
    let answer = client.post(&at(path), &body).await;
    assert!(answer.status.is_success(), "{path}: {answer:?}");
    answer.json()
}

/// GET, which goes well.
pub(crate) async fn get(client: &Client, path: &str) -> Value {
    let answer = client.get(&at(path)).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
    answer.json()
}

pub(crate) async fn delete(client: &Client, path: &str) -> Answer {
    client.send(Method::DELETE, &at(path), "").await
}

/// A body that makes a project.
pub(crate) fn project(slug: &str) -> Value {
    json!({"name": slug, "slug": slug})
}
