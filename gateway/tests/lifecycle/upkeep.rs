//! What the gateway does for its database without being asked.

use testkit::{Scene, eventually};

use crate::MINDWEAVE;

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
