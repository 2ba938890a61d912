//! Rules on their way from the database into force, seen from outside: in the snapshot on disk, in readiness, in the log.

use std::fs;
use std::path::{Path, PathBuf};

use http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use testkit::gateway::Builder;
use testkit::{Gateway, Scene, eventually};

use crate::load::ask_many;
use crate::stage::{Set, Stage};

/// A stage, and a data directory that outlives its gateways.
async fn stage() -> (Set, TempDir) {
    let set = Stage::set(Scene::new().await).await;
    (set, tempfile::tempdir().unwrap())
}

fn gateway(set: &Set, data_dir: &TempDir) -> Builder {
    set.builder().data_dir(data_dir.path())
}

fn file(data_dir: &TempDir) -> PathBuf {
    data_dir.path().join("snapshot/state")
}

/// Makes a policy of the tenant's, in the words of its columns.
async fn make_policy(set: &Set, name: &str, rules: &str) {
    let (org, user) = (set.scene.tenant.org_id, set.scene.tenant.user_id);
    let sql = format!(
        "INSERT INTO policies (org_id, created_by, name, type, rules) VALUES ('{org}', '{user}', '{name}', 'usage', '{rules}')"
    );
    set.scene.sql.batch_execute(&sql).await.unwrap();
}

/// Waits until a file is there and says this.
async fn says(path: &Path, text: &str) {
    eventually(&format!("{} says {text}", path.display()), || async {
        fs::read_to_string(path).ok()?.contains(text).then_some(())
    })
    .await;
}

async fn notes(gateway: &Gateway) -> String {
    let answer = gateway.operator().get("/readyz").await;
    assert_eq!(answer.status, StatusCode::OK);
    let body: Value = answer.json();
    body["notes"].to_string()
}

#[tokio::test]
async fn rules_are_on_disk_and_in_force_from_there_without_a_database() {
    let (set, data_dir) = stage().await;
    make_policy(&set, "from the start", r#"{"max_tokens_per_day": 1000000}"#).await;
    let first = gateway(&set, &data_dir).start().await;
    says(&file(&data_dir), "from the start").await;
    make_policy(&set, "made later", r#"{"max_tokens_per_day": 1}"#).await;
    says(&file(&data_dir), "made later").await;
    first.kill().await;

    set.link.cut();
    let second = gateway(&set, &data_dir).start().await;
    assert!(notes(&second).await.contains("snapshot from disk"));
    let refused = second.client(&set.scene.key).ask().await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.json()["error"]["details"]["policy"], "made later");
    assert!(second.stop().await.success());
}

#[tokio::test]
async fn a_change_without_a_notification_is_found() {
    let (set, data_dir) = stage().await;
    let _gateway = gateway(&set, &data_dir).start().await;
    says(&file(&data_dir), "\"policies\":[]").await;
    let silence = "ALTER TABLE policies DISABLE TRIGGER notify_change";
    set.scene.sql.batch_execute(silence).await.unwrap();
    make_policy(&set, "unheard of", r#"{"max_tokens_per_day": 1000000}"#).await;
    says(&file(&data_dir), "unheard of").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_is_followed_by_one_that_knows_what_was_spent() {
    let (set, data_dir) = stage().await;
    let first = gateway(&set, &data_dir).start().await;
    says(&file(&data_dir), "\"policies\":[]").await;
    set.link.cut();
    ask_many(&first.client(&set.scene.key), 20, 4).await;
    first.kill().await;
    let second = gateway(&set, &data_dir).start().await;
    let warned = "what was spent before can't be read";
    eventually("it says what it waits for", || async {
        second.log().contains(warned).then_some(())
    })
    .await;
    set.link.restore();
    eventually("budgets begin", || async {
        let log = second.log();
        let line = log
            .lines()
            .find(|line| line.contains("budgets begin with"))?;
        // Of one key and model: the hour, unless it has ended since, the day, the week and the month.
        let counters = line.rsplit("counters").next().unwrap_or_default();
        let digits: String = counters.chars().filter(char::is_ascii_digit).collect();
        assert!(["3", "4"].contains(&digits.as_str()), "{line}");
        Some(())
    })
    .await;
}

#[tokio::test]
async fn a_policy_that_can_not_be_understood_is_said_once_counted_and_noted() {
    let (set, data_dir) = stage().await;
    make_policy(&set, "wrong", r#"{"max_tokens_per_day": "many"}"#).await;
    let gateway = gateway(&set, &data_dir).start().await;
    assert_eq!(gateway.metric("mindweave_policy_faults").await, 1.0);
    assert!(notes(&gateway).await.contains("can't be understood"));
    // Another change of the same organization says nothing new.
    make_policy(&set, "right", r#"{"max_tokens_per_day": 1000000}"#).await;
    says(&file(&data_dir), "\"right\"").await;
    let log = gateway.log();
    let said = log.matches("a policy can't be understood").count();
    assert_eq!(said, 1, "{log}");
    assert!(log.contains("max_tokens_per_day"), "{log}");

    let mend = "UPDATE policies SET rules = '{\"max_tokens_per_day\": 5}' WHERE name = 'wrong'";
    set.scene.sql.batch_execute(mend).await.unwrap();
    eventually("nothing is wrong any more", || async {
        let faults = gateway.metric("mindweave_policy_faults").await;
        (faults == 0.0 && notes(&gateway).await == "[]").then_some(())
    })
    .await;
}
