//! What `docs/OPERATIONS.md` tells operators brings everything back: its commands are run here, on real servers.
//!
//! Each drill has servers of its own, of the installed version.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use migrations::State;
use tempfile::TempDir;
use testkit::eventually;
use testkit::postgres::{bin_dir, unprivileged};
use tokio_postgres::{Client, Config, NoTls};

/// A command that isn't in it can't be run here.
const OPERATIONS: &str = include_str!("../../docs/OPERATIONS.md");

const DATABASE: &str = "mindweave";
const ORGANIZATION: &str = "00000000-0000-0000-0000-000000000001";
const BEFORE_THE_BACKUP: i64 = 500;
const BEFORE_THE_POINT: i64 = 800;
const AFTER_THE_POINT: i64 = 1000;

/// A row at least in every relational table.
const TENANT: &str = "
    INSERT INTO organizations (id, name, slug) VALUES ('00000000-0000-0000-0000-000000000001', 'Acme', 'acme');
    INSERT INTO organizations (name, slug) VALUES ('Other', 'other');
    INSERT INTO users (id, email, name) VALUES ('00000000-0000-0000-0000-000000000002', 'a@acme.test', 'Ann');
    INSERT INTO projects (id, org_id, name, slug) VALUES
        ('00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000001', 'Main', 'main');
    INSERT INTO org_members (org_id, user_id) VALUES
        ('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002');
    INSERT INTO api_keys (project_id, created_by, key_prefix, key_hash, name)
        SELECT '00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000002', 'mw_sk_live_',
            encode(sha256(n::TEXT::BYTEA), 'hex'), 'key ' || n
        FROM generate_series(1, 20) AS n;
    INSERT INTO admin_keys (org_id, role, name, key_hash) VALUES
        ('00000000-0000-0000-0000-000000000001', 'admin', 'key', repeat('b', 64));
    INSERT INTO sessions (org_id, user_id, token_hash, expires_at) VALUES
        ('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002', repeat('c', 64), now());
    INSERT INTO idempotency_keys (id, org_id, request, answer) VALUES
        (sha256('key'), '00000000-0000-0000-0000-000000000001', sha256('request'), 'sealed');
    INSERT INTO mcp_servers (id, project_id, registered_by, name, transport_type, transport_config) VALUES
        ('00000000-0000-0000-0000-000000000005', '00000000-0000-0000-0000-000000000003',
         '00000000-0000-0000-0000-000000000002', 'github', 'http', '{}');
    INSERT INTO mcp_tools (server_id, name, input_schema) VALUES
        ('00000000-0000-0000-0000-000000000005', 'search', '{}');
    INSERT INTO policies (org_id, created_by, name, type, rules)
        SELECT '00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002', 'policy ' || n,
            'usage', jsonb_build_object('rule', n, 'text', E'it''s\\na \\\\ \"rule\"')
        FROM generate_series(1, 20) AS n;
    INSERT INTO subscriptions (org_id) VALUES ('00000000-0000-0000-0000-000000000001');
    INSERT INTO mcp_usage (time, org_id, project_id, server_name, tool_name, request_id, status)
        VALUES (now(), gen_random_uuid(), gen_random_uuid(), 'github', 'search', gen_random_uuid(), 'success');
    SELECT set_retention('mcp_usage', '31 days');
";

/// Where backups and the servers' folders are.
struct Site(TempDir);

impl Site {
    /// None where the tests are about a server of another version than these programs.
    #[expect(clippy::print_stderr, reason = "says why a test did nothing")]
    fn new() -> Option<Self> {
        if std::env::var_os("TEST_POSTGRES_BIN").is_some() {
            eprintln!(
                "skipped: drills start servers of the installed version, not of TEST_POSTGRES_BIN's"
            );
            return None;
        }
        let site = Self(tempfile::Builder::new().prefix("drill").tempdir().unwrap());
        site.make("backups");
        site.make("archive");
        if let Some((uid, gid)) = unprivileged() {
            chown(site.0.path(), Some(uid), Some(gid)).unwrap();
        }
        Some(site)
    }

    fn make(&self, name: &str) -> PathBuf {
        let dir = self.0.path().join(name);
        fs::create_dir(&dir).unwrap();
        if let Some((uid, gid)) = unprivileged() {
            chown(&dir, Some(uid), Some(gid)).unwrap();
        }
        dir
    }
}

/// A server's data and socket, and whoever administers it.
struct Server {
    site: PathBuf,
    home: PathBuf,
}

impl Server {
    /// With no data.
    fn absent(site: &Site, name: &str) -> Self {
        Self {
            site: site.0.path().to_owned(),
            home: site.make(name),
        }
    }

    /// Running, with an empty database, its WAL archived.
    fn start(site: &Site, name: &str) -> Self {
        let server = Self::absent(site, name);
        server.unwritten(
            "initdb --no-sync --auth=trust --username=postgres --encoding=UTF8 --locale=C",
            &[],
        );
        server.configure(&format!(
            "listen_addresses = ''\nfsync = off\nshared_buffers = 16MB\nwal_level = replica\narchive_mode = on\n\
             archive_command = 'test ! -f {archive}/%f && cp %p {archive}/%f'\n",
            archive = site.0.path().join("archive").display(),
        ));
        server.run(r#"pg_ctl start --wait --log="$PGDATA.log""#);
        server.run("createdb mindweave");
        server
    }

    /// Its socket is in its folder, whatever data it was given; and the settings.
    fn configure(&self, settings: &str) {
        let path = self.data().join("postgresql.conf");
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        let socket = self.home.display();
        write!(file, "\nunix_socket_directories = '{socket}'\n{settings}").unwrap();
    }

    /// A command of the manual's.
    fn run(&self, line: &str) -> String {
        self.run_with(line, &[])
    }

    fn run_with(&self, line: &str, variables: &[(&str, &str)]) -> String {
        let written = OPERATIONS.lines().any(|known| known.trim() == line);
        assert!(written, "not in docs/OPERATIONS.md: {line}");
        self.unwritten(line, variables)
    }

    /// A command that is nothing of the manual's.
    fn unwritten(&self, line: &str, variables: &[(&str, &str)]) -> String {
        let backups = self.site.join("backups");
        let mut path = bin_dir().into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command
            .args(["-euc", line])
            .current_dir(&self.home)
            .env("PATH", path)
            .env("PGHOST", &self.home)
            .env("PGUSER", "postgres")
            .env("PGDATABASE", DATABASE)
            .env("PGDATA", self.data())
            .env("BASE", backups.join("base"))
            .env("BACKUPS", backups)
            .env("ARCHIVE", self.site.join("archive"))
            .envs(variables.iter().copied());
        if let Some((uid, gid)) = unprivileged() {
            command.uid(uid).gid(gid);
        }
        let output = command.output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        let log = fs::read_to_string(self.home.join("data.log")).unwrap_or_default();
        assert!(output.status.success(), "{line}: {complaint}\n{log}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    async fn connect(&self) -> Client {
        let mut config = Config::new();
        config
            .host_path(&self.home)
            .user("postgres")
            .dbname(DATABASE);
        let (client, connection) = config.connect(NoTls).await.unwrap();
        testkit::spawn(async move {
            // A broken connection shows in the client's answers.
            drop(connection.await);
        });
        client
    }

    /// A connection to the schema and rows of a tenant.
    async fn with_tenant(&self) -> Client {
        let mut client = self.connect().await;
        migrations::up(&mut client).await.unwrap();
        client.batch_execute(TENANT).await.unwrap();
        client
    }

    /// Until it takes writes.
    async fn promoted(&self) {
        eventually("the end of recovery", async || {
            let line = r#"psql --tuples-only --no-align --command="SELECT pg_is_in_recovery()""#;
            (self.run(line).trim() == "f").then_some(())
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() && !thread::panicking() {
            self.unwritten("pg_ctl stop --mode=immediate --silent", &[]);
        } else if self.data().join("postmaster.pid").exists() {
            let mut command = Command::new(bin_dir().join("pg_ctl"));
            command.args(["stop", "--mode=immediate", "--silent", "--pgdata"]);
            command.arg(self.data());
            if let Some((uid, gid)) = unprivileged() {
                command.uid(uid).gid(gid);
            }
            drop(command.status());
        }
    }
}

/// Stores the events from one to another as a writer does: with the cursor and all that belongs to them, in one transaction.
async fn store(client: &Client, first: i64, last: i64) {
    let sql = format!(
        "BEGIN;
        INSERT INTO usage_events (time, org_id, project_id, request_id, event_type, model, cost_cents, metadata)
            SELECT now() - n % 3 * INTERVAL '13 days', '{ORGANIZATION}', '00000000-0000-0000-0000-000000000003',
                gen_random_uuid(), 'api_call', 'model', n / 1000.0, jsonb_build_object('seq', n)
            FROM generate_series({first}, {last}) AS n;
        INSERT INTO ingest_dedupe (source, key) SELECT 'msgbatch_1', n::TEXT FROM generate_series({first}, {last}) AS n;
        INSERT INTO ingest_dead_letters (stream, seq, request_id, time, reason, payload)
            SELECT gen_random_uuid(), {last}, gen_random_uuid(), now(), 'no', '';
        INSERT INTO upstream_totals (id, input_tokens) VALUES ('sesn_1', {last}) ON CONFLICT (id) DO UPDATE SET input_tokens = {last};
        INSERT INTO upstream_objects (id, kind, org_id, project_id, api_key_id, created_at)
            VALUES ('msgbatch_{first}', 'batch', '{ORGANIZATION}', '00000000-0000-0000-0000-000000000003',
                    '00000000-0000-0000-0000-000000000005', now()) ON CONFLICT DO NOTHING;
        INSERT INTO ingest_cursor (stream, seq, epoch, updated_at)
            VALUES ('00000000-0000-0000-0000-00000000000a', {last}, 1, now())
            ON CONFLICT (stream) DO UPDATE SET seq = EXCLUDED.seq, updated_at = now();
        COMMIT"
    );
    client.batch_execute(&sql).await.unwrap();
}

/// Every event up to the last is there once, none after it, and the cursor says so.
async fn assert_stored(client: &Client, last: i64) {
    let sql =
        "SELECT count(*), count(DISTINCT metadata -> 'seq'), max((metadata ->> 'seq')::BIGINT),
            (SELECT seq FROM ingest_cursor)
        FROM usage_events";
    let row = client.query_one(sql, &[]).await.unwrap();
    let stored: [i64; 4] = [row.get(0), row.get(1), row.get(2), row.get(3)];
    assert_eq!(stored, [last; 4], "rows, events, last event, cursor");
}

/// Until the rollups have nothing left to do.
async fn count_usage(client: &Client) {
    let sql = "SELECT refresh_usage_rollups()";
    while client.query_one(sql, &[]).await.unwrap().get::<_, i32>(0) > 0 {}
}

/// Every row of every table that is no partition.
async fn contents(client: &Client) -> BTreeMap<String, Vec<String>> {
    let sql = "SELECT oid::REGCLASS::TEXT FROM pg_class
        WHERE relnamespace = 'public'::REGNAMESPACE AND relkind IN ('r', 'p') AND NOT relispartition";
    let mut contents = BTreeMap::new();
    for table in client.query(sql, &[]).await.unwrap() {
        let table: String = table.get(0);
        let rows = rows(client, &table).await;
        contents.insert(table, rows);
    }
    contents
}

async fn rows(client: &Client, table: &str) -> Vec<String> {
    let sql = format!("SELECT row::TEXT FROM {table} AS row ORDER BY 1");
    let rows = client.query(&sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn text(client: &Client, sql: &str) -> String {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Until the archive has all that was written so far.
async fn archived(server: &Server, client: &Client) {
    let segment = text(
        client,
        "SELECT pg_walfile_name(pg_current_wal_insert_lsn())",
    )
    .await;
    server.run(r#"psql --command="SELECT pg_switch_wal()""#);
    let sql = "SELECT COALESCE(last_archived_wal >= $1, FALSE) FROM pg_stat_archiver";
    eventually("the archive", async || {
        let done: bool = client.query_one(sql, &[&segment]).await.unwrap().get(0);
        done.then_some(())
    })
    .await;
    assert!(server.site.join("archive").join(segment).exists());
}

/// Loses the server after a mistake, and goes back to before it.
async fn back_to_a_point(target: &str) {
    let Some(site) = Site::new() else {
        return;
    };
    let server = Server::start(&site, "server");
    let client = server.with_tenant().await;
    store(&client, 1, BEFORE_THE_BACKUP).await;
    archived(&server, &client).await;

    server.run(r#"pg_basebackup --pgdata="$BASE" --wal-method=stream --checkpoint=fast"#);
    server.run(r#"pg_verifybackup "$BASE""#);
    let archived_before = fs::read_dir(site.0.path().join("archive")).unwrap().count();
    server.run(r#"pg_archivecleanup "$ARCHIVE" "$(sed -n 's/^START WAL LOCATION.*(file \(.*\))$/\1/p' "$BASE/backup_label")""#);
    let kept = fs::read_dir(site.0.path().join("archive")).unwrap().count();
    assert!(kept < archived_before, "{kept} of {archived_before}");

    store(&client, BEFORE_THE_BACKUP + 1, BEFORE_THE_POINT).await;
    let renamed =
        "UPDATE projects SET name = 'Renamed'; UPDATE policies SET priority = priority + 1";
    client.batch_execute(renamed).await.unwrap();
    let before = contents(&client).await;
    server.run(r#"psql --command="SELECT pg_create_restore_point('before_the_change')""#);
    let point = text(&client, "SELECT clock_timestamp()::TEXT").await;

    let mistake = "DELETE FROM policies; DELETE FROM organizations WHERE slug = 'acme'; DROP TABLE admin_keys;";
    store(&client, BEFORE_THE_POINT + 1, AFTER_THE_POINT).await;
    client.batch_execute(mistake).await.unwrap();
    assert_stored(&client, AFTER_THE_POINT).await;
    archived(&server, &client).await;

    server.run("pg_ctl stop --mode=immediate");
    server.run(r#"mv "$PGDATA" "$PGDATA.lost""#);
    fs::remove_dir_all(server.home.join("data.lost")).unwrap();
    server.run(r#"cp --archive "$BASE" "$PGDATA""#);
    server.run(r#"echo "restore_command = 'cp $ARCHIVE/%f %p'" >>"$PGDATA/postgresql.auto.conf""#);
    server.run_with(target, &[("POINT", &point)]);
    server.run(r#"echo "recovery_target_action = 'promote'" >>"$PGDATA/postgresql.auto.conf""#);
    server.run(r#"touch "$PGDATA/recovery.signal""#);
    server.run(r#"pg_ctl start --wait --log="$PGDATA.log""#);
    server.promoted().await;
    server.run(r#"psql --command="ALTER SYSTEM RESET restore_command" --command="ALTER SYSTEM RESET recovery_target_name" --command="ALTER SYSTEM RESET recovery_target_time" --command="ALTER SYSTEM RESET recovery_target_action""#);

    let mut client = server.connect().await;
    assert_stored(&client, BEFORE_THE_POINT).await;
    assert_eq!(contents(&client).await, before);
    assert_eq!(migrations::up(&mut client).await.unwrap(), []);
    store(&client, BEFORE_THE_POINT + 1, AFTER_THE_POINT).await;
    assert_stored(&client, AFTER_THE_POINT).await;
    archived(&server, &client).await;
}

#[tokio::test]
async fn a_lost_server_comes_back_as_it_was_at_a_named_point() {
    back_to_a_point(
        r#"echo "recovery_target_name = 'before_the_change'" >>"$PGDATA/postgresql.auto.conf""#,
    )
    .await;
}

#[tokio::test]
async fn a_lost_server_comes_back_as_it_was_at_a_moment() {
    back_to_a_point(r#"echo "recovery_target_time = '$POINT'" >>"$PGDATA/postgresql.auto.conf""#)
        .await;
}

const DUMP: &str = r#"pg_dump --format=custom --exclude-table-data='usage_events*' --exclude-table-data='usage_*_closed*' --exclude-table-data='mcp_usage*' --exclude-table-data='audit_logs*' --exclude-table-data=ingest_cursor --exclude-table-data=ingest_dead_letters --exclude-table-data=ingest_dedupe --exclude-table-data=upstream_totals --file="$BACKUPS/relational.dump""#;

/// The tables whose rows are not in it.
const LEFT_OUT: [&str; 11] = [
    "usage_events",
    "usage_minute_closed",
    "usage_hourly_closed",
    "usage_daily_closed",
    "usage_monthly_closed",
    "mcp_usage",
    "audit_logs",
    "ingest_cursor",
    "ingest_dead_letters",
    "ingest_dedupe",
    "upstream_totals",
];

/// Also to a server that knows nothing of our roles.
#[tokio::test]
async fn the_relational_part_comes_back_on_a_new_server() {
    let Some(site) = Site::new() else {
        return;
    };
    let old = Server::start(&site, "old");
    let client = old.with_tenant().await;
    store(&client, 1, BEFORE_THE_BACKUP).await;
    count_usage(&client).await;
    old.run(DUMP);
    old.run(r#"pg_dumpall --roles-only --file="$BACKUPS/roles.sql""#);
    let mut before = contents(&client).await;

    let new = Server::start(&site, "new");
    new.run(r#"psql --dbname=postgres --file="$BACKUPS/roles.sql""#);
    new.run(r#"pg_restore --exit-on-error --dbname=mindweave "$BACKUPS/relational.dump""#);
    let mut client = new.connect().await;
    for left_out in LEFT_OUT {
        let lost = before.insert(left_out.to_owned(), Vec::new()).unwrap();
        let filled = !lost.is_empty() || left_out == "usage_monthly_closed"; // if a month has ended
        assert!(filled, "{left_out}");
    }
    assert_eq!(contents(&client).await, before);
    // Of the rest only what waits for the next run of the rollups has no rows.
    let empty = before.values().filter(|rows| rows.is_empty()).count();
    assert_eq!(empty, LEFT_OUT.len() + 2);

    assert_eq!(migrations::up(&mut client).await.unwrap(), []);
    let status = migrations::status(&client).await.unwrap();
    assert!(status.iter().all(|known| known.state == State::Applied));
    assert_triggers_work(&new, &client).await;
    store(&client, 1, BEFORE_THE_BACKUP).await;
    assert_stored(&client, BEFORE_THE_BACKUP).await;
    count_usage(&client).await;
    let counted = "SELECT sum(request_count)::TEXT FROM usage_monthly";
    assert_eq!(text(&client, counted).await, BEFORE_THE_BACKUP.to_string());
}

#[tokio::test]
async fn a_full_dump_brings_everything_back_on_a_new_server() {
    let Some(site) = Site::new() else {
        return;
    };
    let old = Server::start(&site, "old");
    let client = old.with_tenant().await;
    store(&client, 1, BEFORE_THE_BACKUP).await;
    old.run(r#"pg_dump --format=custom --file="$BACKUPS/full.dump""#);
    old.run(r#"pg_dumpall --roles-only --file="$BACKUPS/roles.sql""#);
    let before = contents(&client).await;

    let new = Server::start(&site, "new");
    new.run(r#"psql --dbname=postgres --file="$BACKUPS/roles.sql""#);
    new.run(r#"pg_restore --exit-on-error --dbname=mindweave "$BACKUPS/full.dump""#);
    let mut client = new.connect().await;
    assert_eq!(contents(&client).await, before);
    assert_stored(&client, BEFORE_THE_BACKUP).await;
    assert_eq!(migrations::up(&mut client).await.unwrap(), []);
    store(&client, BEFORE_THE_BACKUP + 1, BEFORE_THE_POINT).await;
    assert_stored(&client, BEFORE_THE_POINT).await;
}

async fn assert_triggers_work(server: &Server, client: &Client) {
    let told = server.unwritten(
        "psql --command='LISTEN mindweave' --command=\"UPDATE policies SET priority = 7 WHERE name = 'policy 7'\"",
        &[],
    );
    assert!(
        told.contains(r#""table" : "policies", "operation" : "UPDATE""#),
        "{told}"
    );
    let sql = "SELECT string_agg(action, ' ') FROM audit_logs";
    assert_eq!(text(client, sql).await, "policies.update");
    let sql = "SELECT string_agg(name, ' ') FROM policies WHERE updated_at > created_at";
    assert_eq!(text(client, sql).await, "policy 7");
    let refused = client.batch_execute("DELETE FROM audit_logs").await;
    assert!(refused.is_err(), "the log is append-only");

    let seen = format!(
        "BEGIN; SET LOCAL ROLE mindweave_tenant; SET LOCAL app.current_org_id = '{ORGANIZATION}'"
    );
    client.batch_execute(&seen).await.unwrap();
    let sql = "SELECT string_agg(slug, ' ') FROM organizations";
    assert_eq!(text(client, sql).await, "acme");
    client.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test]
async fn a_damaged_table_comes_back_by_itself() {
    let Some(site) = Site::new() else {
        return;
    };
    let server = Server::start(&site, "server");
    let client = server.with_tenant().await;
    store(&client, 1, BEFORE_THE_BACKUP).await;
    let whole = rows(&client, "policies").await;
    server.run(DUMP);

    store(&client, BEFORE_THE_BACKUP + 1, BEFORE_THE_POINT).await;
    let since = "UPDATE projects SET name = 'Renamed since';
        INSERT INTO policies (org_id, created_by, name, type, rules)
            SELECT org_id, created_by, 'made since', 'usage', '{}' FROM policies LIMIT 1";
    client.batch_execute(since).await.unwrap();
    let kept = contents(&client).await;
    let damage = "UPDATE policies SET rules = '{}' WHERE priority = 100 AND name <> 'made since';
        DELETE FROM policies WHERE name LIKE 'policy 1%'";
    client.batch_execute(damage).await.unwrap();
    assert_ne!(rows(&client, "policies").await, kept["policies"]);

    server.run("createdb staging");
    server.run(r#"pg_restore --exit-on-error --dbname=staging "$BACKUPS/relational.dump""#);
    server.run(r#"pg_dump --dbname=staging --data-only --table=public.policies --file="$BACKUPS/policies.sql""#);
    server.run(r#"psql --dbname=staging --tuples-only --no-align --output="$BACKUPS/damaged.sql" --command="SELECT format('DELETE FROM public.policies WHERE id = %L;', id) FROM policies""#);
    server.run(r#"psql --single-transaction --set=ON_ERROR_STOP=1 --file="$BACKUPS/damaged.sql" --file="$BACKUPS/policies.sql""#);
    server.run("dropdb staging");

    let mut now = contents(&client).await;
    let restored = now["policies"].clone();
    assert_eq!(restored, kept["policies"]);
    assert!(whole.iter().all(|row| restored.contains(row)));
    assert_eq!(restored.len(), whole.len() + 1);
    // Everything else stayed, but for the log, which tells of the damage and of its repair.
    let log = now.insert("audit_logs".to_owned(), kept["audit_logs"].clone());
    assert!(log.unwrap().len() > kept["audit_logs"].len());
    assert_eq!(now, kept);
    assert_stored(&client, BEFORE_THE_POINT).await;
}

#[tokio::test]
async fn a_replica_takes_over_with_all_it_was_sent() {
    let Some(site) = Site::new() else {
        return;
    };
    let primary = Server::start(&site, "primary");
    let client = primary.with_tenant().await;
    store(&client, 1, BEFORE_THE_BACKUP).await;

    let replica = Server::absent(&site, "replica");
    let host = primary.home.to_str().unwrap();
    replica.run_with(
        r#"pg_basebackup --host="$PRIMARY" --pgdata="$PGDATA" --wal-method=stream --checkpoint=fast --write-recovery-conf"#,
        &[("PRIMARY", host)],
    );
    replica.configure("");
    replica.run(r#"pg_ctl start --wait --log="$PGDATA.log""#);
    store(&client, BEFORE_THE_BACKUP + 1, BEFORE_THE_POINT).await;
    let before = contents(&client).await;
    let behind = r#"psql --tuples-only --no-align --command="SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) FROM pg_stat_replication""#;
    eventually("the replica to have everything", async || {
        (primary.run(behind).trim() == "0").then_some(())
    })
    .await;

    primary.run("pg_ctl stop --mode=immediate");
    replica.run("pg_ctl promote --wait");
    replica.promoted().await;
    let mut client = replica.connect().await;
    assert_stored(&client, BEFORE_THE_POINT).await;
    assert_eq!(contents(&client).await, before);
    assert_eq!(migrations::up(&mut client).await.unwrap(), []);
    store(&client, BEFORE_THE_POINT + 1, AFTER_THE_POINT).await;
    assert_stored(&client, AFTER_THE_POINT).await;
}
