//! The document that says what there is.

use http::StatusCode;
use serde_json::Value;

use crate::stage::{Stage, at};

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
