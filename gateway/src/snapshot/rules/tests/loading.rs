use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{McpServerId, OrgId, PolicyId, ProjectId, UserId};
use policy_engine::{
    OrgSource, PolicySource, PolicyStatus, ProjectSource, ServerSource, SubscriptionSource,
    ToolSource,
};
use serde_json::{Value, json};

use super::super::{Whose, load};
use super::bench::Bench;
use crate::snapshot::saved::SavedOrganization;

/// A row in every table, and beside each what must not be loaded.
const EVERYTHING: &str = r#"
    UPDATE organizations SET slug = 'acme', settings = '{"require_mcp_approval": false}' WHERE id = {org};
    INSERT INTO subscriptions (id, org_id, status, limits) VALUES ({subscription}, {org}, 'trialing', '{"max_tokens_per_month": 9}');
    INSERT INTO org_members (org_id, user_id, role) VALUES ({org}, {user}, 'admin');
    WITH others AS (INSERT INTO users (name, email) SELECT 'x', n || '@example.com' FROM generate_series(1, 2) n RETURNING id)
    INSERT INTO org_members (org_id, user_id, status) SELECT {org}, id, 'invited' FROM others;
    UPDATE projects SET slug = 'web', settings = '{"allowed_models": ["opus"]}', quotas = '{"max_tokens_per_day": 1}' WHERE id = {project};
    INSERT INTO projects (org_id, name, slug, deleted_at) VALUES ({org}, 'gone', 'gone', now());
    INSERT INTO policies (id, org_id, project_id, created_by, name, type, rules, applies_to, priority, status, created_at, deleted_at)
    VALUES ({org_policy}, {org}, NULL, {user}, 'of all', 'usage', '{"max_requests_per_day": 1}', '{}', -3, 'active',
            '1970-01-01 00:00:01.000002 UTC', NULL),
           ({project_policy}, NULL, {project}, {user}, 'of one', 'custom', '[]', '{"users": ["all"]}', 100, 'disabled',
            '-infinity', NULL),
           (gen_random_uuid(), {org}, NULL, {user}, 'gone', 'access', '{}', '{}', 100, 'active', now(), now());
    INSERT INTO mcp_servers (id, project_id, registered_by, name, transport_type, transport_config, status, policy, deleted_at)
    VALUES ({server}, {project}, {user}, 'github', 'http', '{"url": "https://mcp.example/"}', 'deprecated', '{"allowed_roles": []}', NULL),
           (gen_random_uuid(), {project}, {user}, 'gone', 'http', '{}', 'approved', '{}', now());
    INSERT INTO mcp_tools (id, server_id, name, input_schema, enabled)
    VALUES ({tool}, {server}, 'write', '{}', FALSE), (gen_random_uuid(), {server}, 'read', '{}', TRUE);
"#;

fn expected(bench: &Bench) -> SavedOrganization {
    let org = OrgSource {
        id: OrgId(bench.id("org")),
        slug: "acme".to_owned(),
        settings: json!({"require_mcp_approval": false}),
        subscription: Some(SubscriptionSource {
            status: "trialing".to_owned(),
            limits: json!({"max_tokens_per_month": 9}),
        }),
        roles: BTreeMap::from([(UserId(bench.id("user")), "admin".to_owned())]),
        policies: vec![PolicySource {
            id: PolicyId(bench.id("org_policy")),
            name: "of all".to_owned(),
            kind: "usage".to_owned(),
            rules: json!({"max_requests_per_day": 1}),
            applies_to: json!({}),
            priority: -3,
            status: PolicyStatus::Active,
            created_unix_micros: 1_000_002,
        }],
    };
    let tool = |name: &str, enabled| ToolSource {
        name: name.to_owned(),
        enabled,
    };
    let project = ProjectSource {
        id: ProjectId(bench.id("project")),
        slug: "web".to_owned(),
        settings: json!({"allowed_models": ["opus"]}),
        quotas: json!({"max_tokens_per_day": 1}),
        policies: vec![PolicySource {
            id: PolicyId(bench.id("project_policy")),
            name: "of one".to_owned(),
            kind: "custom".to_owned(),
            rules: json!([]),
            applies_to: json!({"users": ["all"]}),
            priority: 100,
            status: PolicyStatus::Disabled,
            created_unix_micros: -62_135_596_800_000_000,
        }],
        mcp_servers: vec![ServerSource {
            id: McpServerId(bench.id("server")),
            name: "github".to_owned(),
            status: "deprecated".to_owned(),
            url: Some("https://mcp.example/".to_owned()),
            policy: json!({"allowed_roles": []}),
            tools: vec![tool("read", true), tool("write", false)],
        }],
    };
    SavedOrganization {
        org: Arc::new(org),
        projects: vec![Arc::new(project)],
    }
}

#[tokio::test]
async fn every_table_is_loaded_as_it_is_without_what_is_deleted() {
    let mut bench = Bench::new().await;
    testkit::Tenant::create(&bench.own).await;
    bench.sql("SET timezone = 'UTC'").await;
    bench.sql(EVERYTHING).await;
    bench.follow().await;
    assert_eq!(bench.held(), Some(expected(&bench)));
    bench.is_like_the_database().await;
    let one = Whose::These([OrgId(bench.id("org"))].into());
    let loaded = load::organizations(&bench.client, &one).await.unwrap();
    assert_eq!(loaded.len(), 1);
}

#[tokio::test]
async fn a_policy_of_a_project_is_its_organization_s_whatever_org_id_it_has() {
    let mut bench = Bench::new().await;
    let other = testkit::Tenant::create(&bench.own).await;
    let sql = format!(
        "INSERT INTO policies (org_id, project_id, created_by, name, type, rules)
         VALUES ('{}', {{project}}, {{user}}, 'astray', 'access', '{{}}')",
        other.org_id
    );
    bench.sql(&sql).await;
    bench.follow().await;
    assert_eq!(
        bench.shown()["projects"][0]["policies"][0]["name"],
        "astray"
    );
    assert_eq!(bench.shown()["org"]["policies"], json!([]));
    let all = bench.snapshot.memory.contents().organizations;
    let is_bare = |held: &SavedOrganization| held.org.policies.is_empty();
    assert!(all.iter().all(is_bare));
}

#[tokio::test]
async fn of_several_subscriptions_the_newest_counts_that_is_not_canceled() {
    let mut bench = Bench::new().await;
    bench.sql("DROP INDEX idx_subscriptions_org").await;
    for (status, day, expected) in [
        ("canceled", 1, "canceled"),
        ("active", 2, "active"),
        ("canceled", 3, "active"),
        ("past_due", 4, "past_due"),
        ("trialing", 1, "past_due"),
    ] {
        let sql = format!(
            "INSERT INTO subscriptions (org_id, status, created_at) VALUES ({{org}}, '{status}', '2026-01-0{day} UTC')"
        );
        bench.sql(&sql).await;
        bench.follow().await;
        assert_eq!(bench.shown()["org"]["subscription"]["status"], expected);
        bench.is_like_the_database().await;
    }
    bench
        .sql("UPDATE subscriptions SET status = 'canceled'")
        .await;
    bench.follow().await;
    assert_eq!(bench.shown()["org"]["subscription"]["status"], "canceled");
    bench.is_like_the_database().await;
}

#[tokio::test]
async fn what_can_not_be_read_harms_only_itself() {
    let mut bench = Bench::new().await;
    let nested = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
    for rules in [
        nested,
        format!("{{\"max_tokens_per_day\": 1{}}}", "0".repeat(400)),
    ] {
        let sql = format!(
            "DELETE FROM policies; INSERT INTO policies (id, org_id, created_by, name, type, rules)
             VALUES ({{org_policy}}, {{org}}, {{user}}, 'odd', 'usage', '{rules}'),
                    (gen_random_uuid(), {{org}}, {{user}}, 'good', 'usage', '{{}}')"
        );
        bench.sql(&sql).await;
        bench.follow().await;
        let held = bench.held().unwrap();
        let of = |name: &str| held.org.policies.iter().find(|policy| policy.name == name);
        assert!(of("odd").unwrap().rules.is_string(), "{held:?}");
        assert_eq!(
            of("good").unwrap().rules,
            Value::Object(serde_json::Map::new())
        );
        bench.is_like_the_database().await;
    }
}

#[tokio::test]
async fn rules_come_before_the_keys_that_need_them() {
    let mut bench = Bench::new().await;
    let sql = "ALTER TABLE projects DISABLE TRIGGER notify_change;
        DELETE FROM projects;
        INSERT INTO projects (id, org_id, name, slug) VALUES (gen_random_uuid(), {org}, 'late', 'late');
        INSERT INTO api_keys (project_id, created_by, key_prefix, key_hash, name)
        SELECT id, {user}, 'mw_sk_live_', repeat('0', 64), 'test' FROM projects";
    bench.sql(sql).await;
    bench.follow().await;
    assert_eq!(bench.shown()["projects"][0]["slug"], "late");
    assert_eq!(bench.snapshot.memory.keys(), 1);
    // A key of a project that is deleted is refused without any rules.
    bench.sql("UPDATE projects SET deleted_at = now()").await;
    bench.poll().await;
    assert_eq!(bench.shown()["projects"], json!([]));
    bench.is_like_the_database().await;
}

#[tokio::test]
async fn many_members_are_loaded_and_compared() {
    const MEMBERS: usize = 5_000;
    let mut bench = Bench::new().await;
    bench.silence().await;
    let sql = format!(
        "WITH others AS (INSERT INTO users (name, email) SELECT 'x', n || '@example.com' FROM generate_series(1, {MEMBERS}) n RETURNING id)
         INSERT INTO org_members (org_id, user_id) SELECT {{org}}, id FROM others"
    );
    bench.sql(&sql).await;
    bench.poll().await;
    assert_eq!(bench.held().unwrap().org.roles.len(), MEMBERS);
    bench.is_like_the_database().await;
}
