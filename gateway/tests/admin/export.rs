//! Every usage event, as a file.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use testkit::{Client, Scene, Tenant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::reports::rows;
use crate::stage::{Stage, admin_key, at};

/// The path, from so many days ago on.
async fn path(scene: &Scene, format: &str, more: &str) -> String {
    let sql = "SELECT to_char(now() AT TIME ZONE 'UTC' - interval '29 days', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let since: String = scene.sql.query_one(sql, &[]).await.unwrap().get(0);
    at(&format!("usage/export?since={since}&format={format}{more}"))
}

/// The whole body, however long it takes.
async fn export(client: &Client, path: &str) -> String {
    let answer = client.begin(Method::GET, path, Bytes::new()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// The lines of either format, as objects of texts.
fn parsed(format: &str, body: &str) -> Vec<Value> {
    if format == "jsonl" {
        return body
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
    }
    let mut reader = csv::Reader::from_reader(body.as_bytes());
    let names = reader.headers().unwrap().clone();
    let records = reader.records().map(|record| {
        let record = record.unwrap();
        let pairs = names.iter().zip(&record);
        let pairs = pairs.map(|(name, text)| (name.to_owned(), json!(text)));
        Value::Object(pairs.collect())
    });
    records.collect()
}

/// Of a row, what a wrong one would get wrong.
fn fingerprint(row: &Value) -> String {
    let names = [
        "time",
        "request_id",
        "org_id",
        "project_id",
        "user_id",
        "api_key_id",
        "model",
        "service_tier",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "web_search_requests",
        "cost_usd",
        "price_version",
        "quality",
        "status",
        "latency_ms",
        "test",
        "refusals",
    ];
    let texts = names.map(|name| match &row[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            row[name].to_string()
        }
    });
    texts.join("|")
}

/// The same from the table, in the order of time.
async fn expected(scene: &Scene, org: Uuid) -> Vec<String> {
    let sql = "SELECT concat_ws('|', to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), request_id, org_id, project_id,
            coalesce(user_id::text, ''), coalesce(api_key_id::text, ''), model, coalesce(service_tier, ''), input_tokens, output_tokens,
            cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, web_search_requests, trim_scale(cost_cents / 100),
            coalesce(price_version, ''), usage_quality, status, coalesce(latency_ms::text, ''),
            CASE WHEN metadata ? 'test' THEN 'true' ELSE 'false' END, coalesce(metadata->>'refusals', ''))
        FROM usage_events WHERE org_id = $1 AND time >= now() - interval '29 days' ORDER BY time, request_id";
    let rows = scene.sql.query(sql, &[&org]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn an_export_is_the_table_in_either_format() {
    let scene = Scene::new().await;
    let other = Tenant::create(&scene.sql).await;
    rows(&scene, &scene.tenant, 55_000).await;
    rows(&scene, &other, 100).await;
    // As many at one moment as there are in several pages.
    let moment =
        "UPDATE usage_events SET time = date_trunc('day', now(), 'UTC') - interval '11 hours'
        WHERE time >= date_trunc('day', now(), 'UTC') - interval '4 days'";
    scene.sql.batch_execute(moment).await.unwrap();
    settled(&scene).await;
    let stage = Stage::on(scene).await;
    let admin = stage.of_tenant("admin").await;
    let own = stage.scene.tenant.org_id;
    let expected = expected(&stage.scene, own).await;
    assert!(expected.len() > 49_000);
    for format in ["csv", "jsonl"] {
        let path = path(&stage.scene, format, "").await;
        let body = export(&admin, &path).await;
        let found: Vec<_> = parsed(format, &body).iter().map(fingerprint).collect();
        assert_eq!(found.len(), expected.len(), "{format}");
        assert!(found == expected, "{format}: rows differ");
    }
    // Of others nothing; the installation has all.
    let theirs = format!("&org_id={}", other.org_id);
    let path = path(&stage.scene, "jsonl", &theirs).await;
    assert_eq!(export(&admin, &path).await, "");
    assert_eq!(export(&stage.installation, &path).await.lines().count(), 90);
}

#[tokio::test]
async fn what_is_written_meanwhile_comes_in_its_place_or_not_at_all() {
    let stage = Stage::on({
        let scene = Scene::new().await;
        rows(&scene, &scene.tenant, 9_000).await;
        settled(&scene).await;
        scene
    })
    .await;
    let admin = stage.of_tenant("admin").await;
    let before = expected(&stage.scene, stage.scene.tenant.org_id).await;
    let path = path(&stage.scene, "csv", "&until=2100-01-01T00:00:00Z").await;
    let done = AtomicBool::new(false);
    let writing = async {
        let mut batches = 0;
        while !done.load(Ordering::Relaxed) {
            rows(&stage.scene, &stage.scene.tenant, 100).await;
            batches += 1;
        }
        batches
    };
    let reading = async {
        let body = export(&admin, &path).await;
        done.store(true, Ordering::Relaxed);
        body
    };
    let (batches, body) = tokio::join!(writing, reading);
    assert!(batches > 1, "written meanwhile");
    let found: Vec<_> = parsed("csv", &body).iter().map(fingerprint).collect();
    assert!(found.is_sorted(), "the oldest first");
    let all: BTreeSet<_> = found.iter().collect();
    assert_eq!(all.len(), found.len(), "none twice");
    assert!(before.iter().all(|row| all.contains(row)), "none left out");
}

/// So many rows that no buffer takes them.
async fn crowd(scene: &Scene) {
    let sql = "INSERT INTO usage_events (time, org_id, project_id, request_id, event_type, model, metadata)
        SELECT date_trunc('day', now(), 'UTC') - interval '3 days' + n * interval '10 milliseconds', $1, $2, gen_random_uuid(),
            'api_call', repeat('m', 200), '{}' FROM generate_series(1, 100000) AS n";
    let of = &scene.tenant;
    scene
        .sql
        .execute(sql, &[&of.org_id, &of.project_id])
        .await
        .unwrap();
    settled(scene).await;
}

/// Upkeep would move the rows of days that have no partition, and lock readers out while it does.
async fn settled(scene: &Scene) {
    let partitions = "SELECT make_partitions_ahead()";
    scene.sql.query_one(partitions, &[]).await.unwrap();
}

#[tokio::test]
async fn a_body_that_breaks_off_does_not_end_well() {
    let scene = Scene::new().await;
    crowd(&scene).await;
    let stage = Stage::on(scene).await;
    let tenant = &stage.scene.tenant;
    let key = admin_key(&stage.scene, Some(tenant.org_id), None, "admin").await;
    let admin = stage.client(&key);
    let path = path(&stage.scene, "jsonl", "").await;
    let answer = admin.begin(Method::GET, &path, Bytes::new()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = answer.into_body();
    body.frame().await.unwrap().unwrap();
    // Rights are looked at again before each page.
    let revoke = "UPDATE admin_keys SET status = 'revoked' WHERE org_id = $1";
    stage
        .scene
        .sql
        .execute(revoke, &[&tenant.org_id])
        .await
        .unwrap();
    let mut bytes = 0;
    let end = loop {
        match body.frame().await {
            Some(Ok(frame)) => bytes += frame.into_data().map_or(0, |data| data.len()),
            end => break end,
        }
    };
    assert!(
        matches!(end, Some(Err(_))),
        "a clean end after {bytes} bytes"
    );
    assert!(bytes < 30 << 20, "{bytes} bytes after the key was revoked");
}

/// Resident memory in KiB.
fn resident(pid: u64) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn memory_is_bounded_whatever_the_size_and_however_slow_the_reader() {
    let scene = Scene::new().await;
    crowd(&scene).await;
    let stage = Stage::on(scene).await;
    let admin = stage.of_tenant("admin").await;
    let pid = stage.gateway.ready["pid"].as_u64().unwrap();
    let path = path(&stage.scene, "jsonl", "").await;
    let before = resident(pid);
    let answer = admin.begin(Method::GET, &path, Bytes::new()).await.unwrap();
    let mut body = answer.into_body();
    // As long as nobody reads, nothing is read ahead but what buffers take.
    let begun = body.frame().await.unwrap().unwrap();
    let waits = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query IN ('BEGIN', 'COMMIT')
        AND state_change > clock_timestamp() - interval '2 seconds')";
    testkit::eventually("the export waits for its reader", || async {
        let row = stage.scene.sql.query_one(waits, &[]).await.unwrap();
        row.get::<_, bool>(0).then_some(())
    })
    .await;
    let mut bytes = begun.into_data().map_or(0, |data| data.len());
    let mut most = resident(pid);
    while let Some(frame) = body.frame().await {
        bytes += frame.unwrap().into_data().map_or(0, |data| data.len());
        most = most.max(resident(pid));
        tokio::task::yield_now().await;
    }
    assert!(bytes > 50 << 20, "{bytes} bytes");
    // What the allocator gives back meanwhile may be more than what is taken.
    let grown = most.saturating_sub(before) >> 10;
    println!("{} MiB read, {grown} MiB more resident", bytes >> 20);
    assert!(grown < 40, "{grown} MiB more for {} MiB", bytes >> 20);
}

#[tokio::test]
async fn what_can_not_be_exported_is_said_before_anything_is() {
    let stage = Stage::new().await;
    let admin = stage.of_tenant("admin").await;
    for (query, place) in [
        ("", "missing field `since`"),
        ("since=2026-01-01T00:00:00Z&format=xml", "format"),
        (
            "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
            "until",
        ),
        ("since=2020-01-01T00:00:00Z", "not_kept"),
        ("since=2020-01-01T00:00:00Z&org_id=x", "org_id"),
        ("since=2020-01-01T00:00:00Z&color=x", "color"),
    ] {
        let answer = admin.get(&at(&format!("usage/export?{query}"))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        let said = answer.json()["error"].to_string();
        assert!(said.contains(place), "{query}: {said}");
    }
    let path = path(&stage.scene, "csv", "").await;
    for (role, status) in [
        ("viewer", StatusCode::FORBIDDEN),
        ("member", StatusCode::FORBIDDEN),
        ("admin", StatusCode::OK),
        ("owner", StatusCode::OK),
    ] {
        let client = stage.of_tenant(role).await;
        assert_eq!(client.get(&path).await.status, status, "{role}");
    }
    let answer = admin.get(&path).await;
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8");
    let file = answer.header("content-disposition");
    assert!(
        file.starts_with("attachment; filename=\"usage-") && file.ends_with(".csv\""),
        "{file}"
    );
    let header = export(&admin, &path).await;
    assert!(header.starts_with("time,request_id,") && header.lines().count() == 1);
}

#[tokio::test]
async fn who_can_not_tell_a_part_from_the_whole_gets_none() {
    let stage = Stage::new().await;
    let tenant = &stage.scene.tenant;
    let key = admin_key(&stage.scene, Some(tenant.org_id), None, "admin").await;
    let path = path(&stage.scene, "csv", "").await;
    let address = stage.gateway.ready_text("admin_url").replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\nx-api-key: {key}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.contains(" 400 ") && answer.contains("HTTP/1.1"),
        "{answer}"
    );
}
