use serde_json::{Value, json};

use super::bench::Bench;

/// What is changed, where it shows, and as what.
type Case = (&'static str, &'static str, Value);

/// In order: each builds on those before it.
fn cases() -> Vec<Case> {
    let insert_policy =
        "INSERT INTO policies (id, org_id, project_id, created_by, name, type, rules) VALUES";
    vec![
        ("UPDATE organizations SET slug = 'acme' WHERE id = {org}", "/org/slug", json!("acme")),
        (
            "UPDATE organizations SET settings = '{\"a\": 1}' WHERE id = {org}",
            "/org/settings/a",
            json!(1),
        ),
        (
            "INSERT INTO subscriptions (id, org_id, status) VALUES ({subscription}, {org}, 'past_due')",
            "/org/subscription/status",
            json!("past_due"),
        ),
        (
            "UPDATE subscriptions SET limits = '{\"max_users\": 2}' WHERE id = {subscription}",
            "/org/subscription/limits",
            json!({"max_users": 2}),
        ),
        ("DELETE FROM subscriptions WHERE id = {subscription}", "/org/subscription", Value::Null),
        (
            "INSERT INTO org_members (id, org_id, user_id, role) VALUES ({member}, {org}, {user}, 'owner')",
            "/org/roles",
            json!({"USER": "owner"}),
        ),
        (
            "UPDATE org_members SET role = 'viewer' WHERE id = {member}",
            "/org/roles",
            json!({"USER": "viewer"}),
        ),
        ("UPDATE org_members SET status = 'suspended' WHERE id = {member}", "/org/roles", json!({})),
        (
            "UPDATE org_members SET status = 'active' WHERE id = {member}",
            "/org/roles",
            json!({"USER": "viewer"}),
        ),
        ("DELETE FROM org_members WHERE id = {member}", "/org/roles", json!({})),
        (
            concat_policy(insert_policy, "({org_policy}, {org}, NULL, {user}, 'of all', 'usage', '{}')"),
            "/org/policies/0/name",
            json!("of all"),
        ),
        (
            "UPDATE policies SET rules = '{\"max_tokens_per_day\": 5}' WHERE id = {org_policy}",
            "/org/policies/0/rules",
            json!({"max_tokens_per_day": 5}),
        ),
        (
            "UPDATE policies SET status = 'draft' WHERE id = {org_policy}",
            "/org/policies/0/status",
            json!("draft"),
        ),
        (
            "UPDATE policies SET deleted_at = now() WHERE id = {org_policy}",
            "/org/policies",
            json!([]),
        ),
        (
            "UPDATE policies SET deleted_at = NULL WHERE id = {org_policy}",
            "/org/policies/0/name",
            json!("of all"),
        ),
        ("DELETE FROM policies WHERE id = {org_policy}", "/org/policies", json!([])),
        (
            concat_policy(insert_policy, "({project_policy}, NULL, {project}, {user}, 'of one', 'access', '{}')"),
            "/projects/0/policies/0/name",
            json!("of one"),
        ),
        (
            "UPDATE policies SET priority = 7 WHERE id = {project_policy}",
            "/projects/0/policies/0/priority",
            json!(7),
        ),
        (
            "UPDATE policies SET org_id = {org}, project_id = NULL WHERE id = {project_policy}",
            "/org/policies/0/name",
            json!("of one"),
        ),
        ("TRUNCATE policies", "/org/policies", json!([])),
        (
            "INSERT INTO mcp_servers (id, project_id, registered_by, name, transport_type, transport_config)
             VALUES ({server}, {project}, {user}, 'github', 'http', '{}')",
            "/projects/0/mcp_servers/0/name",
            json!("github"),
        ),
        (
            "UPDATE mcp_servers SET transport_config = '{\"url\": \"u\"}' WHERE id = {server}",
            "/projects/0/mcp_servers/0/url",
            json!("u"),
        ),
        (
            "UPDATE mcp_servers SET transport_type = 'stdio' WHERE id = {server}",
            "/projects/0/mcp_servers/0/url",
            json!(""),
        ),
        (
            "UPDATE mcp_servers SET status = 'rejected' WHERE id = {server}",
            "/projects/0/mcp_servers/0/status",
            json!("rejected"),
        ),
        (
            "INSERT INTO mcp_tools (id, server_id, name, input_schema) VALUES ({tool}, {server}, 'search', '{}')",
            "/projects/0/mcp_servers/0/tools",
            json!([{"name": "search", "enabled": true}]),
        ),
        (
            "UPDATE mcp_tools SET enabled = FALSE WHERE id = {tool}",
            "/projects/0/mcp_servers/0/tools",
            json!([{"name": "search", "enabled": false}]),
        ),
        ("DELETE FROM mcp_tools WHERE id = {tool}", "/projects/0/mcp_servers/0/tools", json!([])),
        ("DELETE FROM mcp_servers WHERE id = {server}", "/projects/0/mcp_servers", json!([])),
        (
            "UPDATE projects SET quotas = '{\"max_requests_per_minute\": 3}' WHERE id = {project}",
            "/projects/0/quotas",
            json!({"max_requests_per_minute": 3}),
        ),
        ("UPDATE projects SET deleted_at = now() WHERE id = {project}", "/projects", json!([])),
        (
            "UPDATE projects SET deleted_at = NULL, slug = 'again' WHERE id = {project}",
            "/projects/0/slug",
            json!("again"),
        ),
        ("DELETE FROM projects WHERE id = {project}", "/projects", json!([])),
        (
            "INSERT INTO projects (id, org_id, name, slug) VALUES ({project}, {org}, 'b', 'b')",
            "/projects/0/slug",
            json!("b"),
        ),
        ("UPDATE organizations SET deleted_at = now() WHERE id = {org}", "", Value::Null),
        (
            "UPDATE organizations SET deleted_at = NULL WHERE id = {org}",
            "/projects/0/slug",
            json!("b"),
        ),
        ("DELETE FROM organizations WHERE id = {org}", "", Value::Null),
    ]
}

fn concat_policy(insert: &str, values: &str) -> &'static str {
    format!("{insert} {values}").leak()
}

async fn shows(bench: &Bench, (sql, pointer, expected): Case) {
    let user = bench.id("user").to_string();
    let expected = expected.to_string().replace("USER", &user);
    let shown = bench.shown();
    let found = shown.pointer(pointer).map(ToString::to_string);
    assert_eq!(found, Some(expected), "{sql}: {pointer} of {shown}");
    bench.is_like_the_database().await;
}

#[tokio::test]
async fn every_change_is_followed_as_it_is_notified() {
    let mut bench = Bench::new().await;
    for case in cases() {
        bench.sql(case.0).await;
        bench.follow().await;
        shows(&bench, case).await;
    }
}

#[tokio::test]
async fn every_change_that_was_not_notified_is_found_by_the_next_look() {
    let mut bench = Bench::new().await;
    bench.silence().await;
    for case in cases() {
        bench.sql(case.0).await;
        bench.poll().await;
        shows(&bench, case).await;
    }
}

#[tokio::test]
async fn many_changes_are_followed_together() {
    let mut bench = Bench::new().await;
    let all: Vec<_> = cases().iter().map(|(sql, ..)| *sql).collect();
    let (last, all) = all.split_last().unwrap();
    for sql in all {
        bench.sql(sql).await;
    }
    bench.follow().await;
    bench.is_like_the_database().await;
    bench.sql(last).await;
    bench.follow().await;
    assert!(bench.held().is_none());
}

#[tokio::test]
async fn a_change_of_nothing_that_counts_changes_nothing() {
    let mut bench = Bench::new().await;
    let before = bench.snapshot.memory.edition();
    bench
        .sql("UPDATE organizations SET billing_email = 'a@example.com'")
        .await;
    bench
        .sql("INSERT INTO org_members (org_id, user_id, status) VALUES ({org}, {user}, 'invited')")
        .await;
    let changes = bench.changes().await;
    let following = bench.snapshot.follow_rules(&bench.client, &changes);
    following.await.unwrap();
    assert_eq!(bench.snapshot.memory.edition(), before);
    bench.is_like_the_database().await;
}

#[tokio::test]
async fn a_row_that_changes_hands_is_followed_at_both() {
    let mut bench = Bench::new().await;
    let other = testkit::Tenant::create(&bench.own).await;
    bench
        .sql("INSERT INTO org_members (id, org_id, user_id) VALUES ({member}, {org}, {user})")
        .await;
    bench.follow().await;
    for sql in [
        format!(
            "UPDATE org_members SET org_id = '{}' WHERE id = {{member}}",
            other.org_id
        ),
        format!(
            "UPDATE projects SET org_id = '{}', slug = 'moved' WHERE id = {{project}}",
            other.org_id
        ),
    ] {
        bench.sql(&sql).await;
        bench.follow().await;
        bench.is_like_the_database().await;
    }
    assert_eq!(bench.shown()["org"]["roles"], json!({}));
    assert_eq!(bench.shown()["projects"], json!([]));
}
