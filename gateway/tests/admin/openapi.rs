//! The document that says what there is.

use std::path::Path;

use http::StatusCode;
use serde_json::Value;
use tokio::process::Command;

use crate::login::tokens_of;
use crate::stage::{Stage, admin_key, at};

#[tokio::test]
async fn the_document_needs_no_key_and_names_every_operation_once() {
    let stage = Stage::new().await;
    let answer = stage.client("").get(&at("openapi.json")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut names = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let is_report = path.starts_with("/v1/organizations/");
        assert!(is_report || path.starts_with("/admin/v1/"), "{path}");
        for operation in operations.as_object().unwrap().values() {
            names.push(operation["operationId"].as_str().unwrap_or(path).to_owned());
            references(operation, &document);
        }
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "{names:?}");
    assert!(all >= 20, "{all}");
}

/// Whatever is referred to is there.
fn references(value: &Value, document: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let place = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(place).is_some(), "{reference}");
            }
            members
                .values()
                .for_each(|value| references(value, document));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, document)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The document as it is read without a gateway.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

/// A change of it is a change of what clients rely on: it is to be seen.
#[tokio::test]
async fn the_document_is_the_one_that_is_kept() {
    let stage = Stage::new().await;
    let mut served = stage.client("").get(&at("openapi.json")).await.json();
    served.sort_all_objects();
    let served = serde_json::to_string_pretty(&served).unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(KEPT, &served).unwrap();
    }
    let kept = std::fs::read_to_string(KEPT).unwrap();
    let differs = kept
        .lines()
        .zip(served.lines())
        .position(|(kept, served)| kept != served);
    assert!(
        kept == served,
        "docs/openapi.json differs from line {:?} on; if that is meant, run this test with UPDATE_OPENAPI=1",
        differs.map(|line| line + 1)
    );
}

/// Every operation, whatever is sent to it: no 500, no status and no body that the document doesn't know.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_keeps_to_the_document() {
    let stage = Stage::new().await;
    let key = admin_key(&stage.scene, None, None, "owner").await;
    // The only owner can't be removed, whatever is tried.
    let [session, other] = tokens_of(&stage, "owner").await;
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/admin/openapi/run.sh");
    let output = Command::new(run)
        .args(["--max-examples", "10", "--seed", "1", "--workers", "1"])
        .env("ADMIN_URL", stage.gateway.ready_text("admin_url"))
        .env("ADMIN_KEY", &key)
        .env("ADMIN_SESSION", &session)
        .env("OTHER_SESSION", &other)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{told}");
}
