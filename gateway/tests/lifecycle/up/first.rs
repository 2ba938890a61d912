//! The first start, and what the next one keeps of it.

use http::StatusCode;
use serde_json::Value;
use testkit::client::question;
use testkit::{Database, Gateway, eventually};
use tokio::time::Instant;

use super::{connect, events, hash, tester};
use crate::MINDWEAVE;
use crate::data_dir::{DataDir, gone, mode};
use crate::load::answered;
use crate::stage::counting;

const FIELDS: [&str; 8] = [
    "admin_key",
    "admin_url",
    "api_key",
    "database_url",
    "metrics_url",
    "pid",
    "proxy_url",
    "test_api_key",
];

/// A prefix and 43 base62 characters.
fn check_key(key: &Value, prefix: &str) {
    let random = key.as_str().unwrap().strip_prefix(prefix).unwrap();
    assert_eq!(random.len(), 43, "{key}");
    assert!(random.bytes().all(|b| b.is_ascii_alphanumeric()), "{key}");
}

fn check_ready_file(gateway: &Gateway) {
    let ready = &gateway.ready;
    let mut fields: Vec<&str> = ready
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, FIELDS);
    assert_eq!(mode(&gateway.ready_file()), 0o600);
    assert_eq!(ready["pid"], gateway.pid().as_raw_nonzero().get());
    for url in ["proxy_url", "admin_url", "metrics_url"] {
        let address = gateway.ready_text(url).strip_prefix("http://127.0.0.1:");
        assert!(address.unwrap().parse::<u16>().unwrap() > 0, "{ready}");
    }
    let database: tokio_postgres::Config = gateway.ready_text("database_url").parse().unwrap();
    assert!(database.get_password().is_some());
    check_key(&ready["test_api_key"], "mw_sk_test_");
    check_key(&ready["admin_key"], "mw_ak_");
}

#[tokio::test]
async fn up_without_a_database_brings_everything() {
    let data_dir = DataDir::new();
    let began = Instant::now();
    let gateway = data_dir.up().start().await;
    println!("ready after {:?} the first time", began.elapsed());
    check_ready_file(&gateway);
    assert_eq!(gateway.ready["api_key"], Value::Null, "nobody would answer");
    assert_eq!(mode(&data_dir.path().join("keys.json")), 0o600);
    assert_eq!(
        data_dir.keys()["test_api_key"],
        gateway.ready["test_api_key"]
    );

    let client = tester(&gateway);
    answered(&client.ask().await);
    let streamed = client.post("/v1/messages", &question(true)).await;
    answered(&streamed);
    let text = String::from_utf8(streamed.body.to_vec()).unwrap();
    assert!(text.contains("event: message_stop"), "{text}");
    events(&gateway, 2).await;
    let rows = connect(&gateway)
        .await
        .query("SELECT * FROM usage_events ORDER BY time", &[])
        .await
        .unwrap();
    for (row, kind) in rows.iter().zip(["api_call", "streaming"]) {
        assert_eq!(row.get::<_, Value>("metadata")["test"], Value::Bool(true));
        assert_eq!(row.get::<_, String>("event_type"), kind);
    }

    let postmaster = data_dir.postmaster().unwrap();
    assert!(gateway.stop().await.success());
    gone(postmaster).await;
}

/// What `up` says when it is done.
async fn announcement(gateway: &Gateway) -> String {
    eventually("it says how to try it", || async {
        let said = gateway.said();
        said.contains("Ctrl-C").then_some(said)
    })
    .await
}

#[tokio::test]
async fn the_curl_line_that_up_prints_works_when_pasted() {
    let data_dir = DataDir::new();
    let gateway = data_dir.up().start().await;
    let said = announcement(&gateway).await;
    for field in [
        "proxy_url",
        "metrics_url",
        "database_url",
        "test_api_key",
        "admin_key",
    ] {
        let text = gateway.ready_text(field);
        assert!(said.contains(text), "{field} is missing in {said}");
    }
    let answer: Value = serde_json::from_str(&paste(&said, "curl ").await).unwrap();
    assert_eq!(answer["type"], "message");
    events(&gateway, 1).await;
    assert!(gateway.stop().await.success());
}

#[tokio::test]
async fn the_usage_command_that_up_prints_works_when_pasted() {
    let data_dir = DataDir::new();
    let gateway = data_dir.up().start().await;
    answered(&tester(&gateway).ask().await);
    events(&gateway, 1).await;
    let usage = paste(&announcement(&gateway).await, MINDWEAVE).await;
    assert!(usage.contains("claude-sonnet-5"), "{usage}");
}

/// Runs what was printed behind these words, up to the next empty line, as if it were pasted.
async fn paste(said: &str, words: &str) -> String {
    let (_, rest) = said.split_once(&format!("\n  {words}")).expect("the words");
    let (rest, _) = rest.split_once("\n\n").unwrap();
    let line = format!("{words}{rest}");
    testkit::command::succeed("sh", &["-c", &line], &[]).await
}

#[tokio::test]
async fn a_live_key_is_made_where_there_is_an_upstream() {
    let (upstream, requests) =
        counting(|| http::Response::new(testkit::upstream::whole("{}"))).await;
    let data_dir = DataDir::new();
    let gateway = data_dir
        .up()
        .arg("--upstream")
        .arg(upstream.url())
        .start()
        .await;
    let key = gateway.ready_text("api_key").to_owned();
    check_key(&gateway.ready["api_key"], "mw_sk_live_");
    answered(&gateway.client(&key).ask().await);
    answered(&tester(&gateway).ask().await);
    let seen = requests.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(seen, 1, "the test key's request goes to the simulator");
    let sql = connect(&gateway).await;
    let stored: Vec<String> = sql
        .query("SELECT key_hash FROM api_keys ORDER BY key_prefix", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(
        stored,
        [hash(&key), hash(gateway.ready_text("test_api_key"))]
    );
    assert!(gateway.stop().await.success());

    // Nobody would answer it now, but it comes back as it was with the upstream.
    let without = data_dir.up().start().await;
    assert_eq!(without.ready["api_key"], Value::Null);
    assert!(without.stop().await.success());
    let upstream_key = ("ANTHROPIC_API_KEY", "sk-ant-api03-none");
    let with = data_dir
        .up()
        .env(upstream_key.0, upstream_key.1)
        .start()
        .await;
    assert_eq!(with.ready["api_key"], key.as_str());
    assert!(with.stop().await.success());
}

#[tokio::test]
async fn a_second_up_gives_the_same_keys_and_keeps_the_rows() {
    let data_dir = DataDir::new();
    let first = data_dir.up().start().await;
    answered(&tester(&first).ask().await);
    let (keys, ready) = (data_dir.keys(), first.ready.clone());
    assert!(first.stop().await.success());

    let began = Instant::now();
    let second = data_dir.up().start().await;
    println!("ready after {:?} the second time", began.elapsed());
    assert_eq!(data_dir.keys(), keys);
    for field in ["test_api_key", "admin_key", "database_url"] {
        assert_eq!(second.ready[field], ready[field], "{field}");
    }
    events(&second, 1).await;
    answered(&tester(&second).ask().await);
    events(&second, 2).await;
    assert!(second.stop().await.success());
}

#[tokio::test]
async fn up_on_a_database_that_is_given_starts_none_of_its_own() {
    let database = Database::create();
    let data_dir = DataDir::new();
    let gateway = data_dir
        .up()
        .arg("--database-url")
        .arg(database.url())
        .start()
        .await;
    assert_eq!(gateway.ready_text("database_url"), database.url());
    assert_eq!(data_dir.postmaster(), None);
    assert_eq!(tester(&gateway).ask().await.status, StatusCode::OK);
    events(&gateway, 1).await;
    assert!(gateway.stop().await.success());
}
