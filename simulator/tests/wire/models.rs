//! The models endpoints.

use serde_json::Value;

use crate::client::Running;

#[tokio::test]
async fn the_list_is_paged() {
    let simulator = Running::start().await;
    let whole = simulator.get("/v1/models?limit=1000").await.json();
    let all = whole["data"].as_array().unwrap();
    assert_eq!(whole["has_more"], false);
    let mut seen = Vec::new();
    let mut path = "/v1/models?limit=7".to_owned();
    loop {
        let page = simulator.get(&path).await.json();
        seen.extend(page["data"].as_array().unwrap().clone());
        if page["has_more"] == false {
            break;
        }
        path = format!(
            "/v1/models?limit=7&after_id={}",
            page["last_id"].as_str().unwrap()
        );
    }
    assert_eq!(&seen, all);
    assert!(
        all.iter()
            .all(|model| model["type"] == "model" && model["display_name"].is_string())
    );
}

#[tokio::test]
async fn one_is_found_by_id_or_alias() {
    let simulator = Running::start().await;
    for (name, expected) in [
        ("claude-sonnet-4-5", Some("claude-sonnet-4-5-20250929")),
        ("claude-fable-5-2", Some("claude-fable-5-2")),
        ("claude-unheard-of", None),
    ] {
        let answer = simulator.get(&format!("/v1/models/{name}")).await;
        assert_eq!(answer.status == 200, expected.is_some());
        assert_eq!(answer.json().get("id").and_then(Value::as_str), expected);
    }
}
