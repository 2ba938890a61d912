//! Four weeks of usage in a database.

use testkit::Database;

/// How many days it has, the last of them today.
pub const DAYS: usize = 28;

/// SQL functions that name an organization, a project and a user by number.
const IDS: &str = "
    CREATE FUNCTION org(n BIGINT) RETURNS UUID LANGUAGE sql IMMUTABLE AS $$ SELECT md5('org' || n)::uuid $$;
    CREATE FUNCTION project(n BIGINT) RETURNS UUID LANGUAGE sql IMMUTABLE AS $$ SELECT md5('project' || n)::uuid $$;
    CREATE FUNCTION person(n BIGINT) RETURNS UUID LANGUAGE sql IMMUTABLE AS $$ SELECT md5('person' || n)::uuid $$;";

const ROLLUPS: [&str; 4] = [
    "usage_minute",
    "usage_hourly",
    "usage_daily",
    "usage_monthly",
];

/// Makes it, of so many rows.
pub fn fill(database: &Database, rows: usize) {
    let mut sql = IDS.to_owned();
    for age in (1..=DAYS).rev() {
        if engine(database) == "postgresql" {
            let partition = format!(
                "SELECT make_partition('usage_events', day, day + interval '1 day') FROM (
                    SELECT date_trunc('day', now() - interval '{age} days', 'UTC') AS day) AS starts;"
            );
            sql.push_str(&partition);
        }
        sql.push_str(&day(age, rows / DAYS));
    }
    drop(database.psql(&sql));
    drop(database.psql("VACUUM ANALYZE usage_events"));
}

/// Rows of a hundred organizations with four projects each, evenly over a day; one in a hundred calls a server's tool.
fn day(age: usize, rows: usize) -> String {
    format!(
        "INSERT INTO usage_events (
            time, org_id, project_id, user_id, api_key_id, request_id, event_type, model, input_tokens, output_tokens,
            cache_read_tokens, cost_cents, latency_ms, status, mcp_server_id)
        SELECT now() - {age} * interval '1 day' + n * interval '1 day' / {rows},
               org(n % 100), project(n % 400), person(n * 7 % 2000), project(n % 800), gen_random_uuid(), 'api_call',
               'claude-' || CASE WHEN n % 1000 = 0 THEN 9 ELSE n * 31 % 97 % 5 END, n % 5000, n % 900, n % 9000,
               (n % 4000) / 1000.0, n * 13 % 30000, CASE n % 50 WHEN 0 THEN 'error' ELSE 'success' END,
               CASE WHEN n % 100 = 7 THEN org(n % 1000 / 100) END
        FROM generate_series(1::BIGINT, {rows}) AS n;"
    )
}

/// `timescaledb` or `postgresql`, or what else stores time series there.
#[must_use]
pub fn engine(database: &Database) -> String {
    database.psql("SELECT storage_engine()").trim().to_owned()
}

/// This moment in SQL, for queries that shall answer the same whenever they are asked.
#[must_use]
pub fn now(database: &Database) -> String {
    let sql = "SELECT quote_literal(now()) || '::TIMESTAMPTZ'";
    database.psql(sql).trim().to_owned()
}

/// Stores the rollups of all that is there.
pub fn refresh(database: &Database) {
    if engine(database) == "timescaledb" {
        for rollup in ROLLUPS {
            let sql = format!(
                "CALL refresh_continuous_aggregate('{rollup}', NULL, now() - interval '1 minute')"
            );
            drop(database.psql(&sql));
        }
        return;
    }
    // Each step in a transaction of its own, as the gateway has them.
    let steps = "DO $$ BEGIN WHILE refresh_usage_rollups() > 0 LOOP COMMIT; END LOOP; END $$";
    drop(database.psql(steps));
    for rollup in ROLLUPS {
        drop(database.psql(&format!("ANALYZE {rollup}_closed")));
    }
}
