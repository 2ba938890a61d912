//! What the tables promise: defaults, soft deletion, `updated_at`, the order of columns.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use serde_json::{Value, json};
use testkit::Database;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// An organization, a user, a project and a key, with fixed ids.
const TENANT: &str = "
    INSERT INTO organizations (id, name, slug) VALUES ('00000000-0000-0000-0000-000000000001', 'Acme', 'acme');
    INSERT INTO users (id, email, name) VALUES ('00000000-0000-0000-0000-000000000002', 'a@acme.test', 'Ann');
    INSERT INTO projects (id, org_id, name, slug) VALUES
        ('00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000001', 'Main', 'main');
    INSERT INTO org_members (org_id, user_id) VALUES
        ('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002');
    INSERT INTO api_keys (id, project_id, created_by, key_prefix, key_hash, name) VALUES
        ('00000000-0000-0000-0000-000000000004', '00000000-0000-0000-0000-000000000003',
         '00000000-0000-0000-0000-000000000002', 'mw_sk_live_', repeat('a', 64), 'key');
    INSERT INTO admin_keys (org_id, role, name, key_hash) VALUES
        ('00000000-0000-0000-0000-000000000001', 'admin', 'key', repeat('b', 64));
    INSERT INTO mcp_servers (id, project_id, registered_by, name, transport_type, transport_config) VALUES
        ('00000000-0000-0000-0000-000000000005', '00000000-0000-0000-0000-000000000003',
         '00000000-0000-0000-0000-000000000002', 'github', 'http', '{}');
    INSERT INTO mcp_tools (server_id, name, input_schema) VALUES
        ('00000000-0000-0000-0000-000000000005', 'search', '{}');
    INSERT INTO policies (org_id, created_by, name, type, rules) VALUES
        ('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002', 'p', 'usage', '{}');
    INSERT INTO subscriptions (org_id) VALUES ('00000000-0000-0000-0000-000000000001');
";

/// The same with its database; the database goes last.
async fn tenant() -> (Client, Database) {
    let database = Database::create();
    let mut client = database.connect().await;
    migrations::up(&mut client).await.unwrap();
    client.batch_execute(TENANT).await.unwrap();
    (client, database)
}

async fn one(client: &Client, sql: &str) -> Value {
    let sql = format!("SELECT to_jsonb(row) FROM ({sql}) AS row");
    client.query_one(&sql, &[]).await.unwrap().get(0)
}

async fn refused(client: &Client, sql: &str) -> SqlState {
    let error = client.batch_execute(sql).await.unwrap_err();
    error.code().unwrap().clone()
}

#[tokio::test]
async fn new_tenants_can_work_at_once() {
    let (client, _database) = tenant().await;
    let organization = one(&client, "SELECT settings, status FROM organizations").await;
    let expected = json!({
        "settings": {"default_model": "claude-sonnet-5-5", "require_mcp_approval": true, "audit_retention_days": 90},
        "status": "active",
    });
    assert_eq!(organization, expected);
    let project = one(&client, "SELECT settings, quotas, status FROM projects").await;
    let expected = json!({
        "settings": {"allowed_models": ["*"], "default_model": "claude-sonnet-5-5", "mcp_auto_approve": false},
        "quotas": {"max_tokens_per_day": null, "max_cost_per_day_usd": null, "max_requests_per_minute": 100},
        "status": "active",
    });
    assert_eq!(project, expected);
    let key = one(
        &client,
        "SELECT scopes, usage_count, status, expires_at FROM api_keys",
    )
    .await;
    let expected = json!({"scopes": ["read", "write"], "usage_count": 0, "status": "active", "expires_at": null});
    assert_eq!(key, expected);
}

#[tokio::test]
async fn what_is_registered_waits_for_approval_and_what_is_ruled_applies_at_once() {
    let (client, _database) = tenant().await;
    let server = one(
        &client,
        "SELECT status, security_scan_status, environment, policy FROM mcp_servers",
    )
    .await;
    let expected = json!({
        "status": "pending", "security_scan_status": "pending", "environment": {},
        "policy": {"allowed_roles": ["admin", "developer"], "rate_limit_per_minute": 100,
                   "requires_approval_per_use": false},
    });
    assert_eq!(server, expected);
    let tool = one(&client, "SELECT risk_level, enabled FROM mcp_tools").await;
    assert_eq!(tool, json!({"risk_level": "low", "enabled": true}));
    let policy = one(&client, "SELECT status, priority, applies_to FROM policies").await;
    let expected = json!({
        "status": "active", "priority": 100,
        "applies_to": {"users": ["all"], "projects": ["all"], "models": ["all"]},
    });
    assert_eq!(policy, expected);
    let subscription = one(
        &client,
        "SELECT plan, billing_cycle, status, limits FROM subscriptions",
    )
    .await;
    let expected = json!({
        "plan": "free", "billing_cycle": "monthly", "status": "active",
        "limits": {"max_users": 5, "max_projects": 3, "max_tokens_per_month": 1_000_000, "max_mcp_servers": 10},
    });
    assert_eq!(subscription, expected);
}

/// Of which the seed's types knew nothing: a policy of nobody, a second subscription, a made-up status.
#[tokio::test]
async fn tables_refuse_what_cannot_be() {
    let (client, _database) = tenant().await;
    for (change, code) in [
        ("UPDATE policies SET org_id = NULL", SqlState::CHECK_VIOLATION),
        ("UPDATE policies SET type = 'other'", SqlState::CHECK_VIOLATION),
        ("UPDATE policies SET status = 'other'", SqlState::CHECK_VIOLATION),
        ("UPDATE mcp_servers SET status = 'other'", SqlState::CHECK_VIOLATION),
        ("UPDATE mcp_servers SET transport_type = 'tcp'", SqlState::CHECK_VIOLATION),
        ("UPDATE mcp_tools SET risk_level = 'other'", SqlState::CHECK_VIOLATION),
        ("UPDATE subscriptions SET plan = 'other'", SqlState::CHECK_VIOLATION),
        ("INSERT INTO subscriptions (org_id) SELECT id FROM organizations", SqlState::UNIQUE_VIOLATION),
        ("DELETE FROM users WHERE email = 'a@acme.test'", SqlState::FOREIGN_KEY_VIOLATION),
        (
            "INSERT INTO mcp_usage (time, org_id, project_id, server_name, tool_name, request_id, status)
             VALUES (now(), gen_random_uuid(), gen_random_uuid(), 's', 't', gen_random_uuid(), 'other')",
            SqlState::CHECK_VIOLATION,
        ),
    ] {
        assert_eq!(refused(&client, change).await, code, "{change}");
    }
}

/// Servers that nobody registered, and tools whose result comes with the next request.
#[tokio::test]
async fn a_use_of_an_unregistered_server_can_be_stored() {
    let (client, _database) = tenant().await;
    let sql = "INSERT INTO mcp_usage (time, org_id, project_id, server_name, tool_name, request_id, status)
        VALUES (now(), gen_random_uuid(), gen_random_uuid(), 'github', 'search', gen_random_uuid(), 'requested')";
    client.batch_execute(sql).await.unwrap();
    let stored = one(&client, "SELECT server_id, status, metadata FROM mcp_usage").await;
    assert_eq!(
        stored,
        json!({"server_id": null, "status": "requested", "metadata": {}})
    );
}

#[tokio::test]
async fn tables_of_time_are_divided_on_every_engine() {
    let (client, _database) = tenant().await;
    let engine: String = client
        .query_one("SELECT storage_engine()", &[])
        .await
        .unwrap()
        .get(0);
    let sql = match engine.as_str() {
        "postgresql" => {
            "SELECT string_agg(partrelid::regclass::text, ',' ORDER BY partrelid::regclass::text)
             FROM pg_partitioned_table"
        }
        _ => {
            "SELECT string_agg(hypertable_name, ',' ORDER BY hypertable_name) FROM timescaledb_information.hypertables"
        }
    };
    let divided: String = client.query_one(sql, &[]).await.unwrap().get(0);
    let expected = if engine == "timescaledb" {
        "audit_logs,mcp_usage,usage_events"
    } else {
        "audit_logs,mcp_usage,usage_events,usage_hourly_closed,usage_minute_closed"
    };
    assert_eq!(divided, expected, "{engine}");
}

#[tokio::test]
async fn usage_events_default_to_an_exact_success_without_usage() {
    let (client, _database) = tenant().await;
    let sql = "INSERT INTO usage_events (time, org_id, project_id, request_id, event_type, model)
        VALUES (now(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'api_call', '')";
    client.batch_execute(sql).await.unwrap();
    let event = one(
        &client,
        "SELECT input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,
            web_search_requests, cost_cents::text, usage_quality, status, metadata FROM usage_events",
    )
    .await;
    let expected = json!({
        "input_tokens": 0, "output_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0,
        "cache_write_1h_tokens": 0, "web_search_requests": 0, "cost_cents": "0.0000000000",
        "usage_quality": "exact", "status": "success", "metadata": {},
    });
    assert_eq!(event, expected);
}

/// Binary COPY goes by it, and spools hold rows encoded in it.
#[tokio::test]
async fn columns_of_usage_events_keep_their_order_and_types() {
    let (client, _database) = tenant().await;
    let sql = "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = 'usage_events'::regclass AND attnum > 0";
    let columns: String = client.query_one(sql, &[]).await.unwrap().get(0);
    let expected = "time timestamp with time zone, org_id uuid, project_id uuid, user_id uuid, api_key_id uuid, \
        request_id uuid, event_type character varying(20), model text, input_tokens integer, \
        output_tokens integer, cache_read_tokens integer, cache_write_tokens integer, \
        cache_write_1h_tokens integer, web_search_requests integer, cost_cents numeric(20,10), \
        price_version text, usage_quality character varying(20), service_tier text, latency_ms integer, \
        time_to_first_token_ms integer, mcp_server_id uuid, mcp_tool_name character varying(255), \
        status character varying(20), error_code character varying(50), error_message text, metadata jsonb";
    assert_eq!(columns, expected);
}

#[tokio::test]
async fn usage_events_refuse_what_cannot_be() {
    let (client, _database) = tenant().await;
    let insert = |columns: &str, values: &str| {
        format!(
            "INSERT INTO usage_events (time, org_id, project_id, request_id, event_type, {columns})
             VALUES (now(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'api_call', {values})"
        )
    };
    client
        .batch_execute(&insert("model", "repeat('\u{e9}', 255)"))
        .await
        .unwrap();
    let long = insert("model", "repeat('m', 256)");
    assert_eq!(refused(&client, &long).await, SqlState::CHECK_VIOLATION);
    let vague = insert("model, usage_quality", "'m', 'vague'");
    assert_eq!(refused(&client, &vague).await, SqlState::CHECK_VIOLATION);
}

#[tokio::test]
async fn a_deleted_row_gives_its_name_back() {
    let (client, _database) = tenant().await;
    let rows = [
        ("users", "(email, name) VALUES ('a@acme.test', 'Other')"),
        ("organizations", "(name, slug) VALUES ('Other', 'acme')"),
        (
            "projects",
            "(org_id, name, slug) VALUES ('00000000-0000-0000-0000-000000000001', 'Other', 'main')",
        ),
        (
            "mcp_servers",
            "(project_id, registered_by, name, transport_type, transport_config)
             VALUES ('00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000002', 'github', 'sse', '{}')",
        ),
    ];
    for (table, row) in rows {
        let insert = format!("INSERT INTO {table} {row}");
        assert_eq!(
            refused(&client, &insert).await,
            SqlState::UNIQUE_VIOLATION,
            "{table}"
        );
        client
            .batch_execute(&format!("UPDATE {table} SET deleted_at = now()"))
            .await
            .unwrap();
        client.batch_execute(&insert).await.unwrap();
        assert_eq!(
            refused(&client, &insert).await,
            SqlState::UNIQUE_VIOLATION,
            "{table}"
        );
    }
}

#[tokio::test]
async fn a_key_exists_once_even_when_revoked() {
    let (client, _database) = tenant().await;
    client
        .batch_execute("UPDATE api_keys SET status = 'revoked'")
        .await
        .unwrap();
    let copy = "INSERT INTO api_keys (project_id, created_by, key_prefix, key_hash, name)
        SELECT project_id, created_by, key_prefix, key_hash, name FROM api_keys";
    assert_eq!(refused(&client, copy).await, SqlState::UNIQUE_VIOLATION);
    let copy =
        "INSERT INTO admin_keys (role, name, key_hash) SELECT role, name, key_hash FROM admin_keys";
    assert_eq!(refused(&client, copy).await, SqlState::UNIQUE_VIOLATION);
}

#[tokio::test]
async fn deleting_an_organization_takes_what_is_its_own() {
    let (client, _database) = tenant().await;
    client
        .batch_execute("DELETE FROM organizations")
        .await
        .unwrap();
    let left = one(
        &client,
        "SELECT (SELECT count(*) FROM projects) AS projects, (SELECT count(*) FROM api_keys) AS api_keys,
            (SELECT count(*) FROM admin_keys) AS admin_keys, (SELECT count(*) FROM org_members) AS org_members,
            (SELECT count(*) FROM mcp_servers) AS mcp_servers, (SELECT count(*) FROM mcp_tools) AS mcp_tools,
            (SELECT count(*) FROM policies) AS policies, (SELECT count(*) FROM subscriptions) AS subscriptions,
            (SELECT count(*) FROM users) AS users",
    )
    .await;
    let expected = json!({
        "projects": 0, "api_keys": 0, "admin_keys": 0, "org_members": 0, "mcp_servers": 0, "mcp_tools": 0,
        "policies": 0, "subscriptions": 0, "users": 1,
    });
    assert_eq!(left, expected);
}

#[tokio::test]
async fn a_change_moves_updated_at() {
    let (client, _database) = tenant().await;
    let changes = [
        ("users", "name = 'new'"),
        ("organizations", "name = 'new'"),
        ("org_members", "role = 'viewer'"),
        ("projects", "name = 'new'"),
        ("api_keys", "name = 'new', usage_count = 5"),
        ("admin_keys", "name = 'new'"),
        ("mcp_servers", "name = 'new'"),
        ("mcp_tools", "name = 'new'"),
        ("policies", "name = 'new'"),
        ("subscriptions", "plan = 'team'"),
    ];
    for (table, change) in changes {
        assert!(moves_updated_at(&client, table, change).await, "{table}");
    }
}

#[tokio::test]
async fn bookkeeping_leaves_updated_at_alone() {
    let (client, _database) = tenant().await;
    let changes = [
        (
            "users",
            "last_login_at = now(), last_login_ip = '192.0.2.1'",
        ),
        (
            "api_keys",
            "usage_count = 7, last_used_at = now(), last_used_ip = '192.0.2.1'",
        ),
        ("admin_keys", "last_used_at = now()"),
        ("projects", "name = name"),
    ];
    for (table, change) in changes {
        assert!(!moves_updated_at(&client, table, change).await, "{table}");
    }
}

async fn moves_updated_at(client: &Client, table: &str, change: &str) -> bool {
    let sql = format!(
        "WITH old AS (SELECT updated_at FROM {table})
         UPDATE {table} SET {change} RETURNING updated_at > (SELECT updated_at FROM old)"
    );
    client.query_one(&sql, &[]).await.unwrap().get(0)
}

/// As a restore of data alone does it, and whoever else sets a path of their own.
#[tokio::test]
async fn triggers_work_under_any_search_path() {
    let (client, _database) = tenant().await;
    let sql = "SET search_path = ''; UPDATE public.api_keys SET name = 'new'; DELETE FROM public.organizations";
    client.batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn sessions_that_nobody_uses_are_forgotten() {
    let (client, _database) = tenant().await;
    let sessions = "INSERT INTO sessions (org_id, user_id, token_hash, last_used_at, expires_at)
        SELECT '00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002', n::TEXT,
               now() - n * INTERVAL '29 minutes', now() + INTERVAL '1 hour'
        FROM generate_series(1, 1100) AS n";
    client.batch_execute(sessions).await.unwrap();
    for expected in [1_000, 98, 0] {
        let forgotten = one(&client, "SELECT forget_sessions() AS n").await;
        assert_eq!(forgotten, json!({"n": expected}));
    }
    let left = "SELECT string_agg(token_hash, ',' ORDER BY token_hash) AS n FROM sessions";
    assert_eq!(one(&client, left).await, json!({"n": "1,2"}));
}

#[tokio::test]
async fn every_promised_index_exists() {
    let (client, _database) = tenant().await;
    let sql = "SELECT indexrelid::regclass::text FROM pg_index WHERE indexrelid::regclass::text LIKE 'idx\\_%'
        ORDER BY 1";
    let rows = client.query(sql, &[]).await.unwrap();
    let indexes: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let expected = [
        "idx_admin_keys_org",
        "idx_admin_keys_user",
        "idx_api_keys_expiring",
        "idx_api_keys_hash",
        "idx_api_keys_last_used",
        "idx_api_keys_prefix_hash",
        "idx_api_keys_project",
        "idx_audit_logs_action",
        "idx_audit_logs_actor",
        "idx_audit_logs_org",
        "idx_audit_logs_resource",
        "idx_audit_logs_retention",
        "idx_audit_logs_time",
        "idx_idempotency_keys_created_at",
        "idx_idempotency_keys_org",
        "idx_ingest_dedupe_day",
        "idx_mcp_servers_project",
        "idx_mcp_servers_project_name",
        "idx_mcp_servers_status",
        "idx_mcp_tools_risk",
        "idx_mcp_tools_server",
        "idx_mcp_usage_project",
        "idx_mcp_usage_server",
        "idx_mcp_usage_time",
        "idx_mcp_usage_tool",
        "idx_org_members_invitation",
        "idx_org_members_org",
        "idx_org_members_role",
        "idx_org_members_user",
        "idx_orgs_settings",
        "idx_orgs_slug",
        "idx_orgs_status",
        "idx_orgs_stripe_customer",
        "idx_policies_org",
        "idx_policies_priority",
        "idx_policies_project",
        "idx_policies_type",
        "idx_projects_org",
        "idx_projects_org_slug",
        "idx_projects_settings",
        "idx_projects_status",
        "idx_sessions_last_used",
        "idx_sessions_member",
        "idx_sessions_token",
        "idx_sessions_user",
        "idx_subscriptions_org",
        "idx_subscriptions_status",
        "idx_subscriptions_stripe",
        "idx_upstream_objects_open",
        "idx_upstream_objects_project",
        "idx_upstream_objects_seq",
        "idx_usage_events_mcp",
        "idx_usage_events_model",
        "idx_usage_events_org_time",
        "idx_usage_events_project_time",
        "idx_usage_events_time",
        "idx_usage_events_user_time",
        "idx_users_created_at",
        "idx_users_email",
        "idx_users_name_search",
        "idx_users_settings",
        "idx_users_status",
    ];
    assert_eq!(indexes, expected);
}
