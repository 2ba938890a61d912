//! Tokens by every width and group.

use serde_json::Value;
use testkit::{Scene, Tenant};

use super::{USAGE, day, pages, report, results, rows};
use crate::stage::Stage;

const COUNTS: [(&str, &str); 6] = [
    ("/uncached_input_tokens", "input_tokens"),
    (
        "/cache_creation/ephemeral_5m_input_tokens",
        "cache_write_tokens - cache_write_1h_tokens",
    ),
    (
        "/cache_creation/ephemeral_1h_input_tokens",
        "cache_write_1h_tokens",
    ),
    ("/cache_read_input_tokens", "cache_read_tokens"),
    ("/output_tokens", "output_tokens"),
    (
        "/server_tool_use/web_search_requests",
        "web_search_requests",
    ),
];

#[tokio::test]
async fn tokens_add_up_by_every_width_and_group() {
    let scene = Scene::new().await;
    let other = Tenant::create(&scene.sql).await;
    for tenant in [&scene.tenant, &other] {
        rows(&scene, tenant, 2_000).await;
    }
    let stage = Stage::on(scene).await;
    let viewer = stage.of_tenant("viewer").await;
    let (scene, own) = (&stage.scene, &stage.scene.tenant);
    let (since, until) = (day(scene, 6).await, day(scene, 4).await);
    let columns = COUNTS.map(|(_, column)| format!("coalesce(sum({column}), 0)::bigint"));
    let sums = async |condition: &str| {
        let sql = format!(
            "SELECT {} FROM usage_events WHERE org_id = $1 AND time >= $2::text::timestamptz AND time < $3::text::timestamptz
                AND NOT metadata ? 'test' AND NOT metadata ? 'refusals' AND {condition}",
            columns.join(", ")
        );
        let row = scene
            .sql
            .query_one(&sql, &[&own.org_id, &since, &until])
            .await;
        let row = row.unwrap();
        [0, 1, 2, 3, 4, 5].map(|index| row.get::<_, i64>(index))
    };
    let found = |report: &Value| {
        let results = results(report);
        COUNTS.map(|(place, _)| {
            let counts = results
                .iter()
                .map(|result| result.pointer(place).unwrap().as_i64().unwrap());
            counts.sum::<i64>()
        })
    };
    let span = format!("starting_at={since}&ending_at={until}");
    let all = sums("true").await;
    assert_ne!(all[0], 0);
    let dimensions = "&group_by[]=account_id&group_by[]=api_key_id&group_by[]=workspace_id&group_by[]=model\
        &group_by[]=service_account_id&group_by[]=service_tier&group_by[]=context_window&group_by[]=inference_geo&group_by[]=speed";
    for width in ["1d", "1h"] {
        for groups in [
            "",
            "&group_by[]=model",
            "&group_by[]=api_key_id",
            "&group_by[]=service_tier",
            dimensions,
        ] {
            let query = format!("{span}&bucket_width={width}{groups}");
            let paged = pages(&viewer, USAGE, &format!("{query}&limit=1")).await;
            assert_eq!(found(&paged), all, "{query}");
            let whole = report(&viewer, USAGE, &format!("{query}&limit=31")).await;
            if width == "1d" {
                assert_eq!(whole, paged, "{query}");
            }
        }
    }
    let minutes = format!("{span}&bucket_width=1m&limit=1440");
    assert_eq!(found(&pages(&viewer, USAGE, &minutes).await), all);
    for (filter, condition) in [
        (
            "models[]=claude-opus-5&models[]=nobody-knows",
            "model IN ('claude-opus-5', 'nobody-knows')",
        ),
        ("service_tiers[]=batch", "service_tier = 'batch'"),
        (
            "inference_geos[]=not_available",
            "coalesce(metadata->'usage'->>'inference_geo', 'not_available') = 'not_available'",
        ),
        (
            "speeds[]=fast&context_window[]=0-200k",
            "metadata->'usage'->>'speed' = 'fast'",
        ),
        (
            &format!("workspace_ids[]={}", own.project_id),
            &format!("project_id = '{}'", own.project_id),
        ),
        (
            &format!("account_ids[]={}", own.org_id),
            "user_id IS NOT NULL",
        ),
        (&format!("api_key_ids[]={}", own.project_id), "true"),
        (&format!("api_key_ids[]={}", other.project_id), "false"),
        (&format!("workspace_ids[]={}", other.project_id), "false"),
        (&format!("org_id={}", other.org_id), "false"),
        ("service_account_ids[]=svac_1", "false"),
    ] {
        let report = report(&viewer, USAGE, &format!("{span}&{filter}")).await;
        assert_eq!(found(&report), sums(condition).await, "{filter}");
    }
    let grouped = report(&viewer, USAGE, &format!("{span}&group_by[]=model")).await;
    let line = &results(&grouped)[1];
    assert!(
        line["model"].is_string() && line["workspace_id"].is_null(),
        "{line}"
    );
}
