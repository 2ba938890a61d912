use std::sync::Arc;

use domain::{OrgId, ProjectId};
use policy_engine::Engine;
use testkit::{Database, Tenant};
use tokio_postgres::Client;
use uuid::Uuid;

use super::*;
use crate::snapshot::memory::{Arriving, Memory};

/// Keys in memory, and in a database.
struct Bench {
    client: Client,
    memory: Memory,
    targets: Targets,
    tenant: Tenant,
    _database: Database,
}

impl Bench {
    /// Two keys that are alike.
    async fn new() -> Self {
        let database = Database::migrated().await;
        let client = database.connect().await;
        let tenant = Tenant::create(&client).await;
        tenant.live_key(&client).await;
        tenant.live_key(&client).await;
        let target = Arc::new(Target::new("http://127.0.0.1:1", Some("key")).unwrap());
        let targets = Targets {
            live: Arc::clone(&target),
            by_org: BTreeMap::new(),
            test: target,
        };
        let memory = Memory::new(
            Arc::default(),
            Arc::default(),
            Arc::default(),
            Arc::new(Engine::new(crate::clock::system())),
        );
        let mut bench = Self {
            client,
            memory,
            targets,
            tenant,
            _database: database,
        };
        bench.load(&Scope::All).await;
        bench
    }

    async fn load(&mut self, scope: &Scope) {
        let mut arriving = Arriving::new(scope, &mut self.memory);
        let take = |loaded| arriving.take(loaded, &mut self.memory);
        let loading = keys(&self.client, scope, &self.targets, take);
        loading.await.unwrap();
        arriving.finish(&mut self.memory);
    }

    async fn is_like_the_database(&self) -> bool {
        fingerprint(&self.client).await.unwrap() == self.memory.fingerprint()
    }

    async fn sql(&self, statements: &str) {
        let done = self.client.batch_execute(statements).await;
        done.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// All ways to load the keys.
    async fn scopes(&self) -> [Scope; 4] {
        let rows = self.client.query("SELECT id FROM api_keys", &[]).await;
        let rows = rows.unwrap();
        let ids = rows.iter().map(|row| ApiKeyId(row.get(0)));
        [
            Scope::All,
            Scope::Keys(ids.collect()),
            Scope::Project(ProjectId(self.tenant.project_id)),
            Scope::Organization(OrgId(self.tenant.org_id)),
        ]
    }
}

#[tokio::test]
async fn whatever_matters_of_keys_is_noticed_and_loaded_by_any_scope() {
    let mut bench = Bench::new().await;
    assert!(bench.is_like_the_database().await);
    let other = bench.tenant.with_another_user(&bench.client).await.user_id;
    let changes = [
        "UPDATE api_keys SET expires_at = now() + interval '1 day'",
        "UPDATE api_keys SET expires_at = 'infinity'",
        "UPDATE api_keys SET expires_at = NULL",
        "UPDATE api_keys SET allowed_ips = '{10.0.0.1}'",
        "UPDATE api_keys SET allowed_ips = '{10.0.0.0/8}'",
        "UPDATE api_keys SET allowed_ips = '{NULL}'",
        "UPDATE api_keys SET allowed_ips = '{}'",
        "UPDATE api_keys SET scopes = '{read}'",
        "UPDATE api_keys SET scopes = '{}'",
        "UPDATE api_keys SET key_prefix = 'mw_sk_test_'",
        &format!("UPDATE api_keys SET created_by = '{other}'"),
        "UPDATE projects SET status = 'paused'",
        "UPDATE projects SET status = 'active', settings = '{\"on_client_disconnect\": \"drain\"}'",
        "UPDATE projects SET deleted_at = now()",
        "UPDATE organizations SET status = 'suspended'",
        "UPDATE organizations SET status = 'active', slug = 'another'",
        "UPDATE organizations SET deleted_at = now()",
        "UPDATE api_keys SET status = 'revoked'",
        "UPDATE api_keys SET key_hash = encode(sha256(key_hash::bytea), 'hex')",
        "UPDATE api_keys SET key_hash = 'none, of ' || id",
        "UPDATE api_keys SET key_hash = encode(sha256(key_hash::bytea), 'hex')",
    ];
    for (turn, change) in changes.iter().enumerate() {
        bench.sql(change).await;
        assert!(!bench.is_like_the_database().await, "{change}");
        let scope = &bench.scopes().await[turn % 4];
        bench.load(scope).await;
        assert!(bench.is_like_the_database().await, "{change}: {scope:?}");
    }
}

#[tokio::test]
async fn being_used_is_no_change() {
    let bench = Bench::new().await;
    let used = "UPDATE api_keys SET last_used_at = now(), last_used_ip = '10.0.0.1', usage_count = 7, \
        name = 'another', description = 'text', updated_at = now()";
    bench.sql(used).await;
    assert!(bench.is_like_the_database().await);
}

#[tokio::test]
async fn two_changes_never_make_up_for_each_other() {
    let bench = Bench::new().await;
    let halves = "UPDATE api_keys SET status = CASE id WHEN (SELECT min(id::text)::uuid FROM api_keys) THEN 'revoked' ELSE 'active' END";
    bench.sql(halves).await;
    let before = fingerprint(&bench.client).await.unwrap();
    bench.sql("UPDATE api_keys SET status = CASE status WHEN 'active' THEN 'revoked' ELSE 'active' END").await;
    assert_ne!(fingerprint(&bench.client).await.unwrap(), before);
}

#[tokio::test]
async fn a_key_that_is_gone_is_forgotten_by_whoever_loads_its_scope() {
    for scope in 0..4 {
        let mut bench = Bench::new().await;
        let scopes = bench.scopes().await;
        bench
            .sql("DELETE FROM api_keys WHERE id = (SELECT min(id::text)::uuid FROM api_keys)")
            .await;
        assert!(!bench.is_like_the_database().await);
        bench.load(&scopes[scope]).await;
        assert!(bench.is_like_the_database().await, "{:?}", scopes[scope]);
        assert_eq!(bench.memory.keys(), 1);
    }
}

#[tokio::test]
async fn what_is_as_it_was_stays_where_it_is() {
    let mut bench = Bench::new().await;
    let places = |memory: &Memory| {
        let mut keys = memory.contents().keys;
        keys.sort_by_key(|key| key.id);
        keys
    };
    let before = places(&bench.memory);
    let changed = before[0].id.0;
    bench
        .sql(&format!(
            "UPDATE api_keys SET status = 'revoked' WHERE id = '{changed}'"
        ))
        .await;
    bench.load(&Scope::All).await;
    let after = places(&bench.memory);
    assert!(!Arc::ptr_eq(&before[0], &after[0]));
    assert!(Arc::ptr_eq(&before[1], &after[1]));
}

#[tokio::test]
async fn nobody_but_those_asked_for_is_loaded() {
    let mut bench = Bench::new().await;
    let other = bench.tenant.with_another_project(&bench.client).await;
    other.live_key(&bench.client).await;
    let stranger = Scope::Keys(vec![ApiKeyId(Uuid::nil())]);
    for (scope, expected) in [
        (stranger, 2),
        (Scope::Project(ProjectId(bench.tenant.project_id)), 2),
        (Scope::Project(ProjectId(other.project_id)), 3),
    ] {
        bench.load(&scope).await;
        assert_eq!(bench.memory.keys(), expected, "{scope:?}");
    }
}
