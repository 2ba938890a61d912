//! What the gateway does for its database without being asked.

use std::time::Duration;

use testkit::{Scene, eventually, eventually_within};

use crate::MINDWEAVE;

/// Usage is counted once the transactions that were open have ended, those of other databases of the server too; when
/// there were any in the first run, it is for the next, a minute later.
const TWO_RUNS: Duration = Duration::from_secs(90);

const PARTITIONS: &str =
    "SELECT count(*) FROM pg_inherits WHERE inhparent = 'usage_events'::regclass";

async fn partitions(scene: &Scene) -> i64 {
    scene.sql.query_one(PARTITIONS, &[]).await.unwrap().get(0)
}

/// As after a gateway was away for longer than partitions reach ahead.
#[tokio::test]
async fn missing_partitions_are_made_by_whichever_gateway_starts_first() {
    let scene = Scene::new().await;
    let all = partitions(&scene).await;
    let sql = "DO $$
        DECLARE partition TEXT;
        BEGIN
            FOR partition IN SELECT inhrelid::regclass FROM pg_inherits
                WHERE inhparent = 'usage_events'::regclass AND inhrelid::regclass::text <> 'usage_events_default'
            LOOP
                EXECUTE 'DROP TABLE ' || partition;
            END LOOP;
        END
        $$";
    scene.sql.batch_execute(sql).await.unwrap();
    assert_eq!(partitions(&scene).await, 1, "the default one is left");

    let (_first, client) = scene.simulated(MINDWEAVE).await;
    let (second, _) = scene.simulated(MINDWEAVE).await;
    eventually("the partitions are made", || async {
        (partitions(&scene).await == all).then_some(())
    })
    .await;
    assert_eq!(client.ask().await.status, 200);
    scene.event().await;
    let sql = "SELECT count(*) FROM ONLY usage_events_default";
    let strays: i64 = scene.sql.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(strays, 0, "the event went to its day");
    assert_eq!(second.metric("mindweave_upkeep_lag_seconds").await, 0.0);
}

/// A row of a test, so long ago.
fn row(scene: &Scene, ago: &str) -> String {
    let (org_id, project_id) = (scene.tenant.org_id, scene.tenant.project_id);
    format!(
        "INSERT INTO usage_events (time, org_id, project_id, request_id, event_type, model, input_tokens, cost_cents, status)
         VALUES (now() - interval '{ago}', '{org_id}', '{project_id}', gen_random_uuid(), 'api_call', 'm', 7, 0.5, 'success');"
    )
}

#[tokio::test]
async fn usage_is_counted_then_dropped_and_keys_expire() {
    let scene = Scene::new().await;
    let mut sql: String = ["100 days", "3 days", "0"]
        .map(|ago| row(&scene, ago))
        .concat();
    sql.push_str("UPDATE api_keys SET expires_at = now() - interval '1 second'");
    scene.sql.batch_execute(&sql).await.unwrap();

    let (gateway, client) = scene.simulated(MINDWEAVE).await;
    let sql = "SELECT NOT EXISTS (SELECT FROM usage_events WHERE time < now() - interval '32 days')
            AND (SELECT status = 'expired' FROM api_keys)";
    let what = "the old row is gone and the key has expired";
    eventually_within(TWO_RUNS, what, || async {
        let done: bool = scene.sql.query_one(sql, &[]).await.unwrap().get(0);
        done.then_some(())
    })
    .await;
    let sql = "SELECT sum(request_count)::bigint, sum(total_input_tokens)::bigint, sum(total_cost_cents)::text
        FROM usage_monthly";
    let counted = scene.sql.query_one(sql, &[]).await.unwrap();
    let cost: String = counted.get(2);
    assert_eq!((counted.get(0), counted.get(1)), (3_i64, 21_i64));
    assert_eq!(cost.trim_end_matches('0'), "1.5");
    assert_eq!(client.ask().await.error_code(), "key_expired");
    eventually("the run has ended", || async {
        let lag = gateway.metric("mindweave_usage_rollup_lag_seconds").await;
        // What is counted ends five minutes ago or a little before; as long as nothing is, it is the age of the oldest row.
        (300.0..480.0).contains(&lag).then_some(())
    })
    .await;
}

#[tokio::test]
async fn answers_are_kept_for_repetitions_for_a_day() {
    let scene = Scene::new().await;
    let sql = "INSERT INTO idempotency_keys (id, request, created_at)
        VALUES ('old', 'r', now() - interval '25 hours'), ('new', 'r', now() - interval '23 hours')";
    scene.sql.batch_execute(sql).await.unwrap();
    let (_gateway, _) = scene.simulated(MINDWEAVE).await;
    eventually("the old one is gone", || async {
        let sql = "SELECT convert_from(id, 'UTF8') FROM idempotency_keys";
        let left = scene.sql.query(sql, &[]).await.unwrap();
        let left: Vec<String> = left.iter().map(|row| row.get(0)).collect();
        assert!(left.contains(&"new".to_owned()), "{left:?}");
        (left.len() == 1).then_some(())
    })
    .await;
}
