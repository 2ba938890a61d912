//! 401 and 403: who calls, and may they?

use http::Method;
use testkit::{Client, Scene, Tenant, eventually};

use super::{Expected, check, expected};
use crate::stage::{Stage, json_answer, message, noting};

const fn unauthenticated(code: &'static str) -> Expected {
    expected(401, "authentication_error", code)
}

const fn forbidden(code: &'static str) -> Expected {
    expected(403, "permission_error", code)
}

/// A key of the scene's tenant that was never any other: `SET {assignments}`.
async fn key_with(scene: &Scene, assignments: &str) -> String {
    // In one transaction, so that the gateway never sees the key without them.
    scene.sql.batch_execute("BEGIN").await.unwrap();
    let key = scene.tenant.key(&scene.sql, domain::KeyKind::Live).await;
    let hash = domain::KeyHash::of(key.as_bytes()).to_hex();
    let sql = format!("UPDATE api_keys SET {assignments} WHERE key_hash = $1");
    scene.sql.execute(&sql, &[&hash]).await.unwrap();
    scene.sql.batch_execute("COMMIT").await.unwrap();
    key
}

/// A key of another tenant, of whose tables one was changed.
async fn key_of_tenant_with(scene: &Scene, table: &str, assignments: &str) -> String {
    let tenant = Tenant::create(&scene.sql).await;
    let id = if table == "projects" {
        tenant.project_id
    } else {
        tenant.org_id
    };
    let sql = format!("UPDATE {table} SET {assignments} WHERE id = $1");
    scene.sql.execute(&sql, &[&id]).await.unwrap();
    tenant.key(&scene.sql, domain::KeyKind::Live).await
}

/// A stage with these keys in its database from the start.
async fn stage() -> Stage {
    let (upstream, _) = noting(|| json_answer(200, message().to_string())).await;
    Stage::configured(upstream, |builder| {
        builder.env("MINDWEAVE_PROXY_TRUSTED_PROXIES", "127.0.0.0/8")
    })
    .await
}

/// Waits until the gateway answers a key so: what a change in the database leads to.
async fn until(client: &Client, wanted: Expected) {
    let answer = eventually(&format!("the key is answered {}", wanted.code), || async {
        let answer = client.ask().await;
        (answer.error_code() == wanted.code).then_some(answer)
    })
    .await;
    check(wanted.code, &answer, wanted);
}

#[tokio::test]
async fn a_caller_without_a_usable_key_is_told_why() {
    let stage = stage().await;
    let (scene, gateway) = (&stage.scene, &stage.gateway);
    let unknown = "mw_sk_live_0000000000000000000000000000000";
    let two_keys = gateway
        .client(&scene.key)
        .with("authorization", &format!("Bearer {unknown}"));
    for (client, code) in [
        (gateway.client(""), "key_missing"),
        (
            gateway.client("").with("authorization", "Basic bXc6MQ=="),
            "key_missing",
        ),
        (gateway.client(unknown), "key_unknown"),
        (gateway.client("sk-ant-api03-of-somebody"), "key_unknown"),
        (two_keys, "key_ambiguous"),
    ] {
        check(code, &client.ask().await, unauthenticated(code));
    }
    for (assignments, code) in [
        ("status = 'revoked', revoked_at = now()", "key_revoked"),
        ("status = 'expired'", "key_expired"),
        ("expires_at = now() - interval '1 second'", "key_expired"),
    ] {
        let key = key_with(scene, assignments).await;
        until(&gateway.client(&key), unauthenticated(code)).await;
    }

    assert_eq!(stage.ended("messages", 401, "key_missing").await, 2.0);
    assert_eq!(stage.ended("messages", 401, "key_ambiguous").await, 1.0);
    assert_eq!(stage.client().ask().await.status, 200);
    // The only row is of the request that was answered.
    let event = scene.event().await;
    assert_eq!(testkit::scene::text(&event, "status"), "success");
}

#[tokio::test]
async fn a_key_expires_by_the_clock_while_the_gateway_runs() {
    let stage = stage().await;
    let key = key_with(&stage.scene, "expires_at = now() + interval '3 seconds'").await;
    let client = stage.gateway.client(&key);
    eventually("the key is loaded", || async {
        (client.get("/v1/models").await.status == 200).then_some(())
    })
    .await;
    let expired = unauthenticated("key_expired");
    let answer = eventually("the key expires", || async {
        let answer = client.get("/v1/models").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    check("expired", &answer, expired);
}

#[tokio::test]
async fn a_key_counts_only_from_its_addresses() {
    let stage = stage().await;
    let key = key_with(&stage.scene, "allowed_ips = '{10.1.0.0/16, 2001:db8::7}'").await;
    let client = stage.gateway.client(&key);
    let from = |address: &str| client.clone().with("x-forwarded-for", address);
    until(&client, forbidden("ip_not_allowed")).await;
    for address in ["10.2.0.1", "2001:db8::8", "10.1.0.1, 8.8.8.8", "nonsense"] {
        let answer = from(address).ask().await;
        check(address, &answer, forbidden("ip_not_allowed"));
    }
    let allowed = [
        "10.1.2.3",
        "2001:db8::7",
        "8.8.8.8, 10.1.2.3, 127.0.0.1",
        "10.1.9.9:5555",
    ];
    for address in allowed {
        let answer = from(address).ask().await;
        assert_eq!(
            answer.status, 200,
            "{address} is allowed: {:?}",
            answer.body
        );
    }
    stage.scene.events(allowed.len()).await;
}

#[tokio::test]
async fn what_a_stranger_says_of_its_address_is_not_believed() {
    let (upstream, _) = noting(|| json_answer(200, message().to_string())).await;
    let stage = Stage::before(upstream).await;
    let key = key_with(&stage.scene, "allowed_ips = '{10.1.0.0/16}'").await;
    let client = stage
        .gateway
        .client(&key)
        .with("x-forwarded-for", "10.1.2.3");
    until(&client, forbidden("ip_not_allowed")).await;
}

#[tokio::test]
async fn a_key_does_only_what_its_scopes_say() {
    let stage = stage().await;
    let reader = key_with(&stage.scene, "scopes = '{read}'").await;
    let writer = key_with(&stage.scene, "scopes = '{write}'").await;
    let (reader, writer) = (stage.gateway.client(&reader), stage.gateway.client(&writer));
    until(&reader, forbidden("scope_missing")).await;
    assert_eq!(
        reader.get("/v1/models").await.status,
        200,
        "reading is in scope"
    );
    // The two keys are two changes: that one has arrived says nothing of the other.
    let refused = eventually("the other key is loaded", || async {
        let answer = writer.get("/v1/models").await;
        (answer.error_code() != "key_unknown").then_some(answer)
    })
    .await;
    check("GET", &refused, forbidden("scope_missing"));
    let answer = writer.send(Method::DELETE, "/v1/files/f", "").await;
    assert_eq!(answer.status, 200, "deleting is writing: {:?}", answer.body);
    assert_eq!(writer.ask().await.status, 200, "asking is writing");
    stage.scene.event().await;
}

#[tokio::test]
async fn a_project_or_organization_out_of_service_takes_its_keys_with_it() {
    let stage = stage().await;
    for (table, assignments) in [
        ("projects", "status = 'paused'"),
        ("projects", "status = 'archived'"),
        ("projects", "deleted_at = now()"),
        ("organizations", "status = 'suspended'"),
        ("organizations", "status = 'pending'"),
        ("organizations", "deleted_at = now()"),
    ] {
        let key = key_of_tenant_with(&stage.scene, table, assignments).await;
        let code = if table == "projects" {
            "project_inactive"
        } else {
            "organization_inactive"
        };
        until(&stage.gateway.client(&key), forbidden(code)).await;
    }
    assert_eq!(stage.client().ask().await.status, 200);
    stage.scene.event().await;
}

#[tokio::test]
async fn a_refusal_comes_over_http2_as_well() {
    let stage = stage().await;
    let client = Client::http2(stage.origin(), "mw_sk_live_nobody");
    check("h2", &client.ask().await, unauthenticated("key_unknown"));
}
