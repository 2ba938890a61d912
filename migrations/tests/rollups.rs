//! Rollups say what a query over the raw rows says, on every engine: live, stored, after late rows and changes, and
//! after the raw rows are gone. Retention and the expiry of keys.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a failed test")]

use testkit::Database;
use tokio_postgres::Client;
use tokio_postgres::types::FromSql;

const ROLLUPS: [&str; 4] = [
    "usage_minute",
    "usage_hourly",
    "usage_daily",
    "usage_monthly",
];

/// Sums alone, by so much time; several lines of one bucket are to be added up.
const OF_OPEN_BUCKETS: [(&str, &str); 3] = [
    ("usage_by_hour", "hour"),
    ("usage_by_day", "day"),
    ("usage_by_month", "month"),
];

/// Random rows of a few tenants between two offsets from now.
const ROWS: &str = "INSERT INTO usage_events (
        time, org_id, project_id, user_id, api_key_id, request_id, event_type, model, input_tokens, output_tokens,
        cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, web_search_requests, cost_cents, latency_ms, status, metadata)
    SELECT now() + $1::text::interval + random() * ($2::text::interval - $1::text::interval),
           md5('org' || n % 3)::uuid, md5('project' || n % 7)::uuid,
           CASE WHEN random() < 0.8 THEN md5('user' || floor(random() * 5))::uuid END,
           CASE WHEN random() < 0.9 THEN md5('key' || floor(random() * 4))::uuid END,
           gen_random_uuid(), 'api_call', (ARRAY['claude-a', 'claude-b', ''])[1 + floor(random() * 3)::int],
           floor(random() * 5000), floor(random() * 900), floor(random() * 9000), floor(random() * 300),
           floor(random() * 100), floor(random() * 2), (random() * 40)::numeric(20, 10),
           CASE WHEN random() < 0.9 THEN floor(random() * 30000)::int END,
           (ARRAY['success', 'success', 'error', 'rate_limited'])[1 + floor(random() * 4)::int],
           CASE WHEN random() < 0.1 THEN '{\"test\": true}' WHEN random() < 0.1 THEN '{\"refusals\": 3}' ELSE '{}' END::jsonb
    FROM generate_series(1, $3) AS n";

async fn insert(client: &Client, since: &str, until: &str, rows: i32) {
    client
        .execute(ROWS, &[&since, &until, &rows])
        .await
        .unwrap();
}

async fn query<T: for<'a> FromSql<'a>>(client: &Client, sql: &str) -> T {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

async fn engine(client: &Client) -> String {
    query(client, "SELECT storage_engine()").await
}

/// One run of the upkeep, or of TimescaleDB's own policies in its place.
async fn keep_up(client: &Client) {
    if engine(client).await == "timescaledb" {
        let sql = "SELECT job_id FROM timescaledb_information.jobs
            WHERE proc_name = 'policy_refresh_continuous_aggregate' ORDER BY job_id";
        for row in client.query(sql, &[]).await.unwrap() {
            let job: i32 = row.get(0);
            let call = format!("CALL run_job({job})");
            client.batch_execute(&call).await.unwrap();
        }
        return;
    }
    // What other tests on this server write holds back how far it goes.
    let sql = "SELECT refresh_usage_rollups() = 0
        AND usage_rollup_watermark('usage_minute') > now() - interval '7 minutes'";
    testkit::eventually("rollups up to now", async || {
        query::<bool>(client, sql).await.then_some(())
    })
    .await;
}

/// What the rollup has to say, from raw rows alone and written down here a second time.
fn expected(rollup: &str) -> String {
    let (unit, user) = match rollup {
        "usage_minute" => ("minute", ""),
        "usage_hourly" => ("hour", ""),
        "usage_daily" => ("day", ", user_id, api_key_id"),
        _ => ("month", ""),
    };
    let more = match rollup {
        "usage_hourly" => {
            ", avg(latency_ms), percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms),
               percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms),
               percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms), count(DISTINCT user_id)"
        }
        "usage_monthly" => {
            ", count(DISTINCT user_id), count(DISTINCT date_trunc('day', time, 'UTC'))"
        }
        _ => ", avg(latency_ms)",
    };
    format!(
        "SELECT date_trunc('{unit}', time, 'UTC'), org_id, project_id, model{user}, count(*),
                sum((status = 'success')::int), sum((status = 'error')::int), sum(input_tokens), sum(output_tokens),
                sum(cache_read_tokens), sum(cache_write_tokens), sum(cache_write_1h_tokens), sum(web_search_requests),
                sum(cost_cents){more}
         FROM usage_events WHERE metadata -> 'test' IS NULL AND metadata -> 'refusals' IS NULL
         GROUP BY date_trunc('{unit}', time, 'UTC'), org_id, project_id, model{user}"
    )
}

async fn assert_same(client: &Client, when: &str) {
    for rollup in ROLLUPS {
        let raw = expected(rollup);
        let sql = format!(
            "SELECT count(*) FROM (
                (TABLE {rollup} EXCEPT ALL ({raw})) UNION ALL (({raw}) EXCEPT ALL TABLE {rollup})
             ) AS differing"
        );
        assert_eq!(query::<i64>(client, &sql).await, 0, "{rollup} {when}");
    }
    assert_sums(client, when).await;
    let rows: i64 = query(client, "SELECT count(*) FROM usage_daily").await;
    assert!(rows > 0);
}

/// That buckets which are put together of what has closed and what hasn't have each row once.
async fn assert_sums(client: &Client, when: &str) {
    for (view, unit) in OF_OPEN_BUCKETS {
        let sql = format!(
            "WITH found AS (
                SELECT bucket, org_id, project_id, model, sum(request_count), sum(success_count), sum(total_input_tokens),
                    sum(total_output_tokens), sum(total_cache_read_tokens), sum(total_cache_write_tokens),
                    sum(total_cache_write_1h_tokens), sum(total_web_search_requests), sum(total_cost_cents)
                FROM {view} GROUP BY 1, 2, 3, 4
             ), raw AS (
                SELECT date_trunc('{unit}', time, 'UTC'), org_id, project_id, model, count(*), sum((status = 'success')::int),
                    sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_tokens),
                    sum(cache_write_1h_tokens), sum(web_search_requests), sum(cost_cents)
                FROM usage_events WHERE metadata -> 'test' IS NULL AND metadata -> 'refusals' IS NULL GROUP BY 1, 2, 3, 4
             )
             SELECT count(*) FROM ((TABLE found EXCEPT ALL TABLE raw) UNION ALL (TABLE raw EXCEPT ALL TABLE found)) AS differing"
        );
        assert_eq!(query::<i64>(client, &sql).await, 0, "{view} {when}");
    }
}

#[tokio::test]
async fn rollups_agree_with_raw_rows_however_late_they_come() {
    let database = Database::migrated().await;
    let client = database.connect().await;
    insert(&client, "-5 days", "0", 4000).await;
    insert(&client, "-10 minutes", "5 minutes", 500).await;
    if engine(&client).await != "timescaledb" {
        assert_same(&client, "live").await;
    }
    keep_up(&client).await;
    assert_same(&client, "stored").await;
    let stored: i64 = query(&client, "SELECT count(*) FROM usage_hourly").await;
    assert!(stored > 100, "{stored}");

    insert(&client, "-1 minute", "0", 100).await;
    assert_same(&client, "with rows that are not late").await;
    insert(&client, "-20 hours", "-19 hours", 300).await;
    insert(&client, "-5 days", "-4 days", 300).await;
    keep_up(&client).await;
    assert_same(&client, "with late rows").await;

    let sql = "UPDATE usage_events SET cost_cents = cost_cents * 2, time = date_trunc('day', time, 'UTC') + interval '12 hours'
               WHERE time BETWEEN now() - interval '3 days' AND now() - interval '2 days';
               DELETE FROM usage_events WHERE time BETWEEN now() - interval '30 hours' AND now() - interval '28 hours'";
    client.batch_execute(sql).await.unwrap();
    keep_up(&client).await;
    assert_same(&client, "with changed rows").await;
}

#[tokio::test]
async fn a_row_whose_transaction_was_open_when_its_bucket_closed_is_counted() {
    let database = Database::migrated().await;
    let (client, mut writer) = (database.connect().await, database.connect().await);
    if engine(&client).await == "timescaledb" {
        return; // its invalidation log is its own
    }
    keep_up(&client).await;
    let transaction = writer.transaction().await.unwrap();
    let inserted = transaction
        .execute(ROWS, &[&"-30 seconds", &"0", &50_i32])
        .await;
    inserted.unwrap();
    // An hour passes for the upkeep, twice: the transaction may not be passed over.
    let hours = "SELECT refresh_usage_rollups(clock_timestamp() + interval '1 hour');
                 SELECT refresh_usage_rollups(clock_timestamp() + interval '2 hours')";
    client.batch_execute(hours).await.unwrap();
    let passed = "SELECT usage_rollup_watermark('usage_minute') > now()";
    assert!(!query::<bool>(&client, passed).await);
    transaction.commit().await.unwrap();
    assert_same(&client, "live after the commit").await;
    testkit::eventually("time to go on once the transaction has ended", async || {
        client.batch_execute(hours).await.unwrap();
        query::<bool>(&client, passed).await.then_some(())
    })
    .await;
    assert_same(&client, "stored").await;
}

/// A moment, and rows around where each of the rollups ends then, none of which costs what another does.
const LONG_AGO: &str = "TIMESTAMPTZ '2024-03-02 14:35:20 UTC'";
const AROUND_ENDS: &str = "INSERT INTO usage_events (
        time, org_id, project_id, request_id, event_type, model, input_tokens, cost_cents, status)
    SELECT ends + apart * interval '1 microsecond', md5('org')::uuid, md5('project')::uuid, gen_random_uuid(), 'api_call', 'm',
           1 << (row_number() OVER ())::int, (1 << (row_number() OVER ())::int) * 0.0000000001, 'success'
    FROM unnest(ARRAY['2024-03-01 00:00 UTC', '2024-03-02 00:00 UTC', '2024-03-02 14:00 UTC', '2024-03-02 14:30 UTC',
                      '2024-03-02 14:35 UTC']::timestamptz[]) AS ends, unnest(ARRAY[-1, 0, 1]) AS apart";

/// Whether the rollups end there, those of minutes, hours, days and months.
async fn end_at(client: &Client, ends: [&str; 4]) -> bool {
    let [minutes, hours, days, months] = ends.map(|end| format!("TIMESTAMPTZ '{end} UTC'"));
    let sql = format!(
        "SELECT (usage_rollup_watermark('usage_minute'), usage_rollup_watermark('usage_hourly'),
                 usage_rollup_watermark('usage_daily'), usage_rollup_watermark('usage_monthly'))
              = ({minutes}, {hours}, {days}, {months})"
    );
    query(client, &sql).await
}

#[tokio::test]
async fn rows_around_the_ends_of_rollups_are_in_open_buckets_once() {
    let database = Database::migrated().await;
    let client = database.connect().await;
    if engine(&client).await == "timescaledb" {
        return; // its own rollups have no ends
    }
    client.batch_execute(AROUND_ENDS).await.unwrap();
    assert_sums(&client, "live").await;
    let step = format!("SELECT refresh_usage_rollups({LONG_AGO})");
    let ahead =
        "SELECT usage_rollup_watermark('usage_daily') > usage_rollup_watermark('usage_hourly')
        AND usage_rollup_watermark('usage_hourly') > usage_rollup_watermark('usage_minute')";
    let ends = [
        "2024-03-02 14:30",
        "2024-03-02 14:00",
        "2024-03-02 00:00",
        "2024-03-01 00:00",
    ];
    let mut was_ahead = false;
    while !end_at(&client, ends).await {
        // As long as other tests' transactions hold it back there is nothing to do.
        client.batch_execute(&step).await.unwrap();
        assert_sums(&client, "after a step").await;
        was_ahead |= query::<bool>(&client, ahead).await;
    }
    assert!(was_ahead, "coarse rollups catch up faster than fine ones");
    while query::<i32>(&client, &step).await > 0 {}
    assert!(end_at(&client, ends).await);
    assert_sums(&client, "stored").await;

    // What arrives late is in all of them or in none.
    client.batch_execute(AROUND_ENDS).await.unwrap();
    let same = "SELECT (SELECT sum(total_cost_cents) FROM usage_minute) = ALL (ARRAY[
        (SELECT sum(total_cost_cents) FROM usage_by_hour), (SELECT sum(total_cost_cents) FROM usage_by_day),
        (SELECT sum(total_cost_cents) FROM usage_by_month)])";
    assert!(query::<bool>(&client, same).await);
    while query::<i32>(&client, &step).await > 0 {}
    assert_sums(&client, "with late rows").await;
    assert!(query::<bool>(&client, same).await);
}

#[tokio::test]
async fn hours_and_minutes_stay_until_their_days_are_counted() {
    let database = Database::migrated().await;
    let client = database.connect().await;
    if engine(&client).await == "timescaledb" {
        return; // its policies count every minute
    }
    client.batch_execute(AROUND_ENDS).await.unwrap();
    let step = format!(
        "SELECT refresh_usage_rollups({LONG_AGO}) = 0 AND usage_rollup_watermark('usage_minute') > '2024-03-02 14:29 UTC'"
    );
    testkit::eventually("minutes stored", async || {
        query::<bool>(&client, &step).await.then_some(())
    })
    .await;
    let days = ["usage_by_day", "usage_by_month"];
    for view in days {
        let sql = format!("CREATE TABLE {view}_before AS TABLE {view}");
        client.batch_execute(&sql).await.unwrap();
    }
    client.batch_execute("SELECT drop_expired()").await.unwrap();
    let left = "SELECT count(*) FROM usage_minute_closed WHERE bucket < '2024-03-02 UTC'";
    if engine(&client).await == "postgresql" {
        assert_eq!(query::<i64>(&client, left).await, 0, "what may go went");
    }
    for view in days {
        let sql = format!(
            "SELECT count(*) FROM ((TABLE {view}_before EXCEPT ALL TABLE {view})
                UNION ALL (TABLE {view} EXCEPT ALL TABLE {view}_before)) AS differing"
        );
        assert_eq!(query::<i64>(&client, &sql).await, 0, "{view}");
    }
}

#[tokio::test]
async fn a_run_with_nothing_new_computes_nothing() {
    let database = Database::migrated().await;
    let client = database.connect().await;
    insert(&client, "-3 days", "-1 day", 1000).await;
    keep_up(&client).await;
    let before: i32 = query(&client, "SELECT refresh_usage_rollups()").await;
    assert_eq!(before, 0);
    insert(&client, "-25 hours", "-25 hours", 100).await;
    if engine(&client).await != "timescaledb" {
        let buckets: i32 = query(&client, "SELECT refresh_usage_rollups()").await;
        assert!((3..=4).contains(&buckets), "{buckets}"); // a minute, an hour, a day, and its month if that is over
    }
}

#[tokio::test]
async fn history_outlives_the_raw_rows() {
    let database = Database::migrated().await;
    let client = database.connect().await;
    insert(&client, "-60 days", "0", 3000).await;
    let community = engine(&client).await == "timescaledb";
    for rollup in ROLLUPS {
        if community {
            // As the policies did in the sixty days.
            let sql = format!(
                "CALL refresh_continuous_aggregate('{rollup}', NULL, now() - interval '1 minute')"
            );
            client.batch_execute(&sql).await.unwrap();
        }
    }
    let sql = "SELECT make_partitions_ahead()";
    client.batch_execute(sql).await.unwrap();
    keep_up(&client).await;
    assert_same(&client, "all of it").await;
    let kept = ["usage_hourly", "usage_daily", "usage_monthly"];
    for rollup in kept {
        let sql = format!("CREATE TABLE {rollup}_before AS TABLE {rollup}");
        client.batch_execute(&sql).await.unwrap();
    }
    let raw: i64 = query(&client, "SELECT count(*) FROM usage_events").await;
    if community {
        let sql = "SELECT job_id FROM timescaledb_information.jobs
            WHERE proc_name = 'policy_retention' AND hypertable_name = 'usage_events'";
        let job: i32 = query(&client, sql).await;
        let call = format!("CALL run_job({job})");
        client.batch_execute(&call).await.unwrap();
    } else {
        client.batch_execute("SELECT drop_expired()").await.unwrap();
    }
    let left: i64 = query(&client, "SELECT count(*) FROM usage_events").await;
    assert!((raw / 3..raw * 2 / 3).contains(&left), "{left} of {raw}");
    keep_up(&client).await;
    for rollup in kept {
        let sql = format!(
            "SELECT count(*) FROM ((TABLE {rollup}_before EXCEPT ALL TABLE {rollup})
                UNION ALL (TABLE {rollup} EXCEPT ALL TABLE {rollup}_before)) AS differing"
        );
        assert_eq!(query::<i64>(&client, &sql).await, 0, "{rollup}");
    }
}

#[tokio::test]
async fn raw_rows_stay_until_their_days_are_counted() {
    let database = Database::migrated().await;
    let client = database.connect().await;
    if engine(&client).await == "timescaledb" {
        return; // its policies keep 30 days and count every minute
    }
    insert(&client, "-20 days", "-19 days", 100).await;
    let calls = "SELECT make_partitions_ahead(), drop_expired(now() + interval '100 days')";
    client.batch_execute(calls).await.unwrap();
    let left: i64 = query(&client, "SELECT count(*) FROM usage_events").await;
    assert_eq!(left, 100);
}

#[tokio::test]
async fn the_log_is_kept_as_long_as_an_entry_asks() {
    let database = Database::migrated().await;
    let client = database.connect().await;
    let sql = "INSERT INTO audit_logs (time, actor_type, action, resource_type, retention_days)
        SELECT now() - age, 'system', 'users.login', 'users', keep
        FROM (VALUES (interval '450 days', NULL), (interval '1 day', 500)) AS entries (age, keep)";
    client.batch_execute(sql).await.unwrap();
    let count = "SELECT count(*) FROM audit_logs";
    client.batch_execute("SELECT drop_expired()").await.unwrap();
    assert_eq!(query::<i64>(&client, count).await, 2);
    let later = "SELECT drop_expired(now() + interval '100 days')";
    client.batch_execute(later).await.unwrap();
    assert_eq!(query::<i64>(&client, count).await, 1);
    let refused = client.batch_execute("DELETE FROM audit_logs").await;
    assert!(refused.is_err(), "append-only again");
}

#[tokio::test]
async fn retention_is_set_by_one_call_and_refuses_what_would_lose_history() {
    let database = Database::migrated().await;
    let client = database.connect().await;
    let sql = "SELECT set_retention('usage_events', '60 days'); SELECT set_retention('usage_hourly', NULL)";
    client.batch_execute(sql).await.unwrap();
    for sql in [
        "SELECT set_retention('usage_events', '29 days')",
        "SELECT set_retention('usage_daily', '1 year')",
    ] {
        assert!(client.batch_execute(sql).await.is_err(), "{sql}");
    }
    for (relation, keep) in [
        ("usage_events", "interval '60 days'"),
        ("mcp_usage", "interval '30 days'"),
        ("usage_minute", "interval '7 days'"),
        ("usage_hourly", "NULL"),
        ("usage_daily", "NULL"),
    ] {
        let sql = format!("SELECT retention_of('{relation}') IS NOT DISTINCT FROM {keep}");
        assert!(query::<bool>(&client, &sql).await, "{relation}");
    }
}

/// How many days back there was every row, at a moment so many days from now; none: since ever.
async fn days_kept(client: &Client, relation: &str, later: i32) -> Option<i32> {
    let sql = format!(
        "SELECT round(extract(epoch FROM now() + days - kept_since('{relation}', now() + days)) / 86400)::int
        FROM make_interval(days => {later}) AS days"
    );
    query(client, &sql).await
}

#[tokio::test]
async fn what_was_dropped_stays_dropped_when_more_is_kept() {
    let database = Database::migrated().await;
    let client = database.connect().await;
    assert_eq!(days_kept(&client, "usage_events", 0).await, Some(30));
    let set = async |relation: &str, keep: &str| {
        let sql = format!("SELECT set_retention('{relation}', {keep})");
        client.batch_execute(&sql).await.unwrap();
    };
    for relation in ["usage_events", "usage_hourly"] {
        let before = days_kept(&client, relation, 0).await.unwrap();
        set(relation, "'365 days'").await;
        for (later, kept) in [(0, before), (10, before + 10), (400, 365)] {
            let days = days_kept(&client, relation, later).await;
            assert_eq!(days, Some(kept), "{relation} in {later} days");
        }
        set(relation, "NULL").await;
        let days = days_kept(&client, relation, 0).await;
        assert_eq!(days, Some(before), "{relation}: no longer gap is made");
        set(relation, "'40 days'").await;
        let least = before.min(40);
        assert_eq!(days_kept(&client, relation, 0).await, Some(least));
        set(relation, "'400 days'").await;
        assert_eq!(
            days_kept(&client, relation, 0).await,
            Some(least),
            "{relation}: the shortest that there was counts"
        );
    }
    assert_eq!(days_kept(&client, "usage_daily", 0).await, None);
    assert_eq!(days_kept(&client, "usage_minute", 0).await, Some(7));
}

#[tokio::test]
async fn keys_that_expired_are_marked_once() {
    let database = Database::migrated().await;
    let client = database.connect().await;
    let tenant = testkit::Tenant::create(&client).await;
    let keys = format!(
        "INSERT INTO api_keys (project_id, created_by, key_prefix, key_hash, name)
         SELECT '{}', '{}', 'mw_sk_live_', md5(n::text) || md5(n::text), 'test' FROM generate_series(1, 2) AS n",
        tenant.project_id, tenant.user_id
    );
    client.batch_execute(&keys).await.unwrap();
    let sql = "UPDATE api_keys SET expires_at = now() - interval '1 second'
        WHERE id = (SELECT id FROM api_keys LIMIT 1)";
    client.batch_execute(sql).await.unwrap();
    assert_eq!(query::<i32>(&client, "SELECT expire_keys()").await, 1);
    assert_eq!(query::<i32>(&client, "SELECT expire_keys()").await, 0);
    let sql = "SELECT count(*) FROM audit_logs WHERE action = 'api_keys.expire' AND actor_type = 'system'";
    assert_eq!(query::<i64>(&client, sql).await, 1);
}
