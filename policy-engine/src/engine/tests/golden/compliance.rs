//! Every field of compliance policies, and every action.

use super::*;

fn count_tokens(body: Value) -> Asked {
    Asked {
        endpoint: Endpoint::CountTokens,
        ..asked(body)
    }
}

#[test]
fn metadata_fields_and_places() {
    let user = || json!({"required_metadata": ["user_id"]});
    let fields = || json!({"forbidden_fields": ["container", "metadata.user_id"]});
    let us = || json!({"inference_geo": ["us"]});
    let us_or_none = || json!({"inference_geo": ["us", null]});
    insta::assert_snapshot!(rows(
        "compliance",
        vec![
            (user(), asked(json!({"metadata": {"user_id": "u"}}))),
            (user(), asked(json!({"metadata": {"user_id": ""}}))),
            (user(), asked(json!({}))),
            (user(), count_tokens(json!({}))),
            (fields(), asked(json!({"container": "c"}))),
            (fields(), asked(json!({"container": null}))),
            (fields(), asked(json!({"metadata": {"user_id": "u"}}))),
            (fields(), asked(json!({"metadata": {"team": "t"}}))),
            (us(), asked(json!({"inference_geo": "us"}))),
            (us(), asked(json!({"inference_geo": "eu"}))),
            (us(), asked(json!({"inference_geo": ["us"]}))),
            (us(), asked(json!({}))),
            (us(), count_tokens(json!({}))),
            (us_or_none(), asked(json!({}))),
            (us_or_none(), asked(json!({"inference_geo": "eu"}))),
        ]
    ));
}

#[test]
fn patterns() {
    let keys = |more: Value| {
        let mut rules = json!({"blocked_patterns": [{"name": "aws-key", "pattern": "AKIA[0-9A-Z]{16}"},
            {"name": "project-x", "pattern": "(?i)project x"}]});
        rules
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        rules
    };
    let key = "AKIAABCDEFGHIJKLMNOP";
    let say = |text: &str| asked(json!({"messages": [{"role": "user", "content": text}]}));
    let image = |data: String| {
        let source = json!({"type": "base64", "media_type": "image/png", "data": data});
        asked(
            json!({"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]}),
        )
    };
    insta::assert_snapshot!(rows(
        "compliance",
        vec![
            (keys(json!({})), say("nothing of interest")),
            (keys(json!({})), say(&format!("my key: {key}."))),
            (keys(json!({})), say("about PROJECT X")),
            (
                keys(json!({})),
                asked(json!({"system": [{"type": "text", "text": key}]}))
            ),
            (
                keys(json!({})),
                asked(json!({"metadata": {"user_id": key}}))
            ),
            (keys(json!({})), image(key.to_owned())),
            (keys(json!({})), image(format!("{key}{}", "A".repeat(236)))),
            (keys(json!({"max_scan_bytes": 20})), say(key)),
            (keys(json!({"max_scan_bytes": 19})), say(key)),
            (
                keys(json!({})),
                asked(json!({"messages": (0..130).fold(json!("x"), |inner, _| json!([inner]))}))
            ),
        ]
    ));
}

#[test]
fn actions() {
    let rules = |action: &str| json!({"forbidden_fields": ["model"], "action": action});
    insta::assert_snapshot!(rows(
        "compliance",
        vec![
            (json!({"forbidden_fields": ["model"]}), asked(json!({}))),
            (rules("block"), asked(json!({}))),
            (rules("warn"), asked(json!({}))),
            (rules("log"), asked(json!({}))),
        ]
    ));
}
