//! Whose the objects upstream are: two tenants behind one upstream key don't see each other's.

use domain::KeyKind;
use http::Method;
use serde_json::json;
use testkit::{Client, Gateway, Scene, Tenant, Upstream, eventually};

use crate::MINDWEAVE;
use crate::stage::{Seen, json_answer, noting, own_upstream_key};

struct Neighbours {
    scene: Scene,
    seen: Seen,
    upstream: Upstream,
    gateway: Gateway,
    other_key: String,
    other: Tenant,
}

/// Two tenants, and an upstream where each new object is called `obj_1`.
async fn neighbours() -> Neighbours {
    let text = json!({"type": "object", "nested": {"id": "no"}, "id": "obj_1"}).to_string();
    let (upstream, seen) = noting(move || json_answer(200, text.clone())).await;
    let scene = Scene::new().await;
    let other = Tenant::create(&scene.sql).await;
    let other_key = other.key(&scene.sql, KeyKind::Live).await;
    let gateway = scene.serve(MINDWEAVE, &upstream).start().await;
    Neighbours {
        scene,
        seen,
        upstream,
        gateway,
        other_key,
        other,
    }
}

async fn refusal(client: &Client, method: Method, path: &str) -> (u16, String) {
    let answer = client.send(method, path, "").await;
    (answer.status.as_u16(), answer.error_code())
}

#[tokio::test]
async fn what_a_project_has_made_is_nobody_elses() {
    for collection in ["files", "sessions", "vaults", "skills", "messages/batches"] {
        let n = neighbours().await;
        let owner = n.gateway.client(&n.scene.key);
        let stranger = n.gateway.client(&n.other_key);
        let collection = format!("/v1/{collection}");
        assert_eq!(owner.post(&collection, &json!({})).await.status, 200);
        n.seen.take();
        for (method, path) in [
            (Method::GET, format!("{collection}/obj_1")),
            (Method::DELETE, format!("{collection}/obj_1")),
            (Method::POST, format!("{collection}/obj_1/archive")),
            (Method::GET, format!("{collection}/obj%5f1/content")),
            (Method::GET, format!("{collection}//obj_1/")),
        ] {
            let refused = refusal(&stranger, method.clone(), &path).await;
            let not_found = (404, "object_not_found".to_owned());
            assert_eq!(refused, not_found, "{method} {path}");
            assert_eq!(n.seen.take().len(), 0, "{path} isn't asked for upstream");
            let status = owner.send(method.clone(), &path, "").await.status;
            assert_eq!(status, 200, "{method} {path}");
            n.seen.take();
        }
        for client in [&owner, &stranger] {
            let refused = refusal(client, Method::GET, &collection).await;
            let not_allowed = (403, "endpoint_not_allowed".to_owned());
            assert_eq!(refused, not_allowed, "{collection}");
        }
        // Made by the API itself, or before there was a gateway.
        let unknown = format!("{collection}/obj_of_old");
        assert_eq!(stranger.get(&unknown).await.status, 200, "{unknown}");
        let refused = refusal(&owner, Method::GET, "/v1/organizations/me").await;
        assert_eq!(refused, (403, "endpoint_not_allowed".to_owned()));
        let models = owner.get("/v1/models").await;
        assert_eq!(models.status, 200, "models are everybody's");
    }
}

#[tokio::test]
async fn other_gateways_know_it_too_and_later_ones() {
    let n = neighbours().await;
    let second = n.scene.serve(MINDWEAVE, &n.upstream).start().await;
    let owner = n.gateway.client(&n.scene.key);
    owner.post("/v1/files", &json!({})).await;
    let stranger = second.client(&n.other_key);
    eventually("the second gateway knows", || async {
        let status = stranger.get("/v1/files/obj_1").await.status;
        (status == 404).then_some(())
    })
    .await;
    let third = n.scene.serve(MINDWEAVE, &n.upstream).start().await;
    for (key, expected) in [(&n.other_key, 404), (&n.scene.key, 200)] {
        let answer = third.client(key).get("/v1/files/obj_1").await;
        assert_eq!(answer.status, expected);
    }
}

#[tokio::test]
async fn an_organization_with_an_upstream_key_of_its_own_sees_all_that_it_reaches() {
    let n = neighbours().await;
    let folder = tempfile::tempdir().unwrap();
    let config = own_upstream_key(&folder, &n.other);
    let builder = n.scene.serve(MINDWEAVE, &n.upstream);
    let gateway = builder.arg("--config").arg(config).start().await;
    let neighbour = gateway.client(&n.scene.key);
    neighbour.post("/v1/files", &json!({})).await;
    let own = gateway.client(&n.other_key);
    for path in ["/v1/files", "/v1/files/obj_1", "/v1/organizations/me"] {
        assert_eq!(own.get(path).await.status, 200, "{path}");
    }
}
