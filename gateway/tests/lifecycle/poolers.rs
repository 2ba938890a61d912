//! With `PgBouncer` in front of the database: what works by session, what by transaction, and what is refused.

use http::StatusCode;
use testkit::command::{run, succeed};
use testkit::gateway::Builder;
use testkit::{Database, PgBouncer, Scene, Tenant, Upstream, eventually};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::MINDWEAVE;

const REFUSED: &str = "through a pooler that gives out sessions by transaction";
const LOCKS: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

#[tokio::test]
async fn migrations_refuse_a_pool_by_transaction() {
    let database = Database::create();
    for (pool_mode, pool_size, refused) in [
        ("transaction", 1, REFUSED),
        ("transaction", 5, REFUSED),
        ("statement", 5, "not allowed in statement pooling mode"),
    ] {
        let pooler = PgBouncer::start(&database, pool_mode, pool_size).await;
        for command in ["up", "status"] {
            let url = pooler.url();
            let ended = run(MINDWEAVE, &["migrate", command], &[("DATABASE_URL", &url)]).await;
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(ended.err.contains(refused), "{pool_mode}: {}", ended.err);
        }
    }
    let sql = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    let client = database.connect().await;
    let tables: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(tables, 0);
}

#[tokio::test]
async fn a_gateway_refuses_a_pool_by_transaction_and_touches_nothing() {
    let scene = Scene::new().await;
    let pooler = PgBouncer::start(&scene.database, "transaction", 5).await;
    let upstream = Upstream::simulator().await;
    let gateway = Builder::serve(MINDWEAVE, &pooler.url())
        .upstream(&upstream.url())
        .start_unready()
        .await;
    eventually(
        "the upkeep and the follower of keys have refused",
        || async {
            let log = gateway.log();
            let refused = log.lines().filter(|line| line.contains(REFUSED));
            (refused.count() >= 2).then_some(())
        },
    )
    .await;
    let operator = gateway.operator();
    let ready = operator.get("/readyz").await.status;
    assert_eq!(ready, StatusCode::SERVICE_UNAVAILABLE);
    // A lock taken there would belong to whoever gets the session next.
    let locks: i64 = scene.sql.query_one(LOCKS, &[]).await.unwrap().get(0);
    assert_eq!(locks, 0);
}

#[tokio::test]
async fn a_gateway_works_with_a_pool_by_session() {
    let database = Database::create();
    let pooler = PgBouncer::start(&database, "session", 20).await;
    let url = pooler.url();
    succeed(MINDWEAVE, &["migrate", "up"], &[("DATABASE_URL", &url)]).await;
    let scene = Scene::on(database).await;
    let upstream = Upstream::simulator().await;
    let gateway = Builder::serve(MINDWEAVE, &url)
        .upstream(&upstream.url())
        .start()
        .await;
    let client = gateway.client(&scene.key);
    assert_eq!(client.ask().await.status, StatusCode::OK);
    scene.event().await;
    let revoke = "UPDATE api_keys SET status = 'revoked'";
    scene.sql.batch_execute(revoke).await.unwrap();
    eventually("the key is refused", || async {
        let status = client.get("/v1/models").await.status;
        (status == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    assert!(gateway.stop().await.success());
}

#[tokio::test]
async fn a_pool_of_one_session_is_too_small_and_says_so() {
    let database = Database::create();
    let pooler = PgBouncer::start(&database, "session", 1).await;
    let url = pooler.url();
    let ended = run(MINDWEAVE, &["migrate", "up"], &[("DATABASE_URL", &url)]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = "a pooler in between may have too few connections";
    assert!(ended.err.contains(said), "{}", ended.err);
}

async fn through(pooler: &PgBouncer) -> Client {
    let (client, connection) = tokio_postgres::connect(&pooler.url(), NoTls).await.unwrap();
    testkit::spawn(async move { drop(connection.await) });
    client
}

/// The first column of all rows, by a simple query: prepared statements aren't a client's own there.
async fn texts(client: &Client, sql: &str) -> Vec<String> {
    let messages = client.simple_query(sql).await.unwrap();
    let rows = messages.iter().filter_map(|message| {
        if let SimpleQueryMessage::Row(row) = message {
            Some(row.get(0).unwrap_or_default().to_owned())
        } else {
            None
        }
    });
    rows.collect()
}

/// What a tenant's transaction sees of organizations, ended in one way or the other.
async fn organizations(client: &Client, tenant: Option<&Tenant>, end: &str) -> Vec<String> {
    let begin = "BEGIN; SET LOCAL ROLE mindweave_tenant";
    client.batch_execute(begin).await.unwrap();
    if let Some(tenant) = tenant {
        let org_id = tenant.org_id;
        let set = format!("SELECT set_config('app.current_org_id', '{org_id}', true)");
        client.batch_execute(&set).await.unwrap();
    }
    let seen = texts(client, "SELECT id FROM organizations").await;
    let user = "SELECT current_user || coalesce(current_setting('app.current_org_id', true), '')";
    if end == "error" {
        assert!(client.batch_execute("SELECT 1 / 0").await.is_err());
        client.batch_execute("ROLLBACK").await.unwrap();
    } else {
        client.batch_execute(end).await.unwrap();
    }
    assert_eq!(texts(client, user).await, ["postgres"], "after {end}");
    seen
}

/// Reports and dashboards may share sessions: a tenant's transaction leaves nothing behind for the next.
#[tokio::test]
async fn tenants_are_kept_apart_in_a_pool_by_transaction() {
    let scene = Scene::new().await;
    let second = Tenant::create(&scene.sql).await;
    let pooler = PgBouncer::start(&scene.database, "transaction", 1).await;
    let (one, two) = (through(&pooler).await, through(&pooler).await);
    for end in ["COMMIT", "ROLLBACK", "error"] {
        let first = organizations(&one, Some(&scene.tenant), end).await;
        assert_eq!(first, [scene.tenant.org_id.to_string()]);
        let nobody = organizations(&two, None, end).await;
        assert!(nobody.is_empty(), "{nobody:?}");
        let others = organizations(&two, Some(&second), end).await;
        assert_eq!(others, [second.org_id.to_string()]);
    }
    // Without LOCAL the next one has it: what the documentation warns of is true.
    let set = "SET app.current_org_id = 'left behind'";
    one.batch_execute(set).await.unwrap();
    let left = texts(&two, "SELECT current_setting('app.current_org_id', true)").await;
    assert_eq!(left, ["left behind"]);
}
