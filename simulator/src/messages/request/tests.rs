use super::{Fields, MessageRequest, ToolChoice};

fn refusal(body: &str, version: &str) -> Option<String> {
    let checked = Fields::parse(body.as_bytes()).and_then(|fields| {
        let model = fields.model()?;
        MessageRequest::check(&fields, &model, version)?;
        Ok(())
    });
    checked.err().map(|error| {
        let envelope = serde_json::to_value(error.envelope(None)).unwrap();
        envelope["error"]["message"].as_str().unwrap().to_owned()
    })
}

/// Puts `fields` in the place of a good body's.
fn body(fields: &str) -> String {
    let good = r#"{"model":"claude-opus-5","max_tokens":9000,"messages":[{"role":"user","content":"hi"}]}"#;
    let mut body: serde_json::Map<_, _> = serde_json::from_str(good).unwrap();
    let changes: serde_json::Map<String, serde_json::Value> = serde_json::from_str(fields).unwrap();
    for (name, value) in changes {
        if value == "absent" {
            body.remove(&name);
        } else {
            body.insert(name, value);
        }
    }
    serde_json::to_string(&body).unwrap()
}

#[test]
fn faults_are_told_in_the_apis_words() {
    let check = |fields: &str, expected: Option<&str>| {
        assert_eq!(
            refusal(&body(fields), "2023-06-01").as_deref(),
            expected,
            "{fields}"
        );
    };
    check("{}", None);
    check(r#"{"invented_by_a_beta":[1],"temperature":1}"#, None);
    check(r#"{"model":"absent"}"#, Some("model: Field required"));
    check(
        r#"{"model":1}"#,
        Some("model: Input should be a valid string"),
    );
    check(r#"{"model":"gpt-4"}"#, Some("model: gpt-4"));
    check(
        r#"{"max_tokens":"absent"}"#,
        Some("max_tokens: Field required"),
    );
    check(
        r#"{"max_tokens":"9"}"#,
        Some("max_tokens: Input should be a valid integer"),
    );
    check(
        r#"{"max_tokens":-1}"#,
        Some("max_tokens: Input should be greater than or equal to 0"),
    );
    check(r#"{"messages":"absent"}"#, Some("messages: Field required"));
    check(
        r#"{"messages":"hi"}"#,
        Some("messages: Input should be a valid list"),
    );
    check(
        r#"{"messages":[]}"#,
        Some("messages: at least one message is required"),
    );
    check(
        r#"{"messages":[{"content":"hi"}]}"#,
        Some("messages.0.role: Field required"),
    );
    check(
        r#"{"messages":[{"role":"user"}]}"#,
        Some("messages.0.content: Field required"),
    );
    check(
        r#"{"stream":"yes"}"#,
        Some("stream: Input should be a valid boolean"),
    );
    check(
        r#"{"thinking":{"type":"enabled"}}"#,
        Some("thinking.enabled.budget_tokens: Field required"),
    );
    check(
        r#"{"thinking":{"type":"enabled","budget_tokens":9000}}"#,
        Some("`max_tokens` must be greater than `thinking.budget_tokens`."),
    );
    check(r#"{"thinking":{"type":"adaptive"}}"#, None);
}

#[test]
fn the_new_version_has_no_sampling_parameters() {
    let sampling = body(r#"{"top_k":5}"#);
    assert_eq!(
        refusal(&sampling, "2026-10-21").as_deref(),
        Some("top_k: Extra inputs are not permitted")
    );
}

#[test]
fn what_is_not_json_is_refused() {
    for body in ["", "{", "nonsense"] {
        let message = refusal(body, "").unwrap();
        assert!(
            message.starts_with("The request body is not valid JSON: "),
            "{message}"
        );
    }
    assert_eq!(
        refusal("[1]", "").as_deref(),
        Some("Input should be a valid dictionary")
    );
}

#[test]
fn tools_and_servers_are_found() {
    let body = body(
        r#"{"tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"w","input_schema":{}}],
            "tool_choice":{"type":"tool","name":"w","disable_parallel_tool_use":true},
            "mcp_servers":[{"type":"url","name":"docs","url":"https://docs","tool_configuration":{"allowed_tools":["find"]}}],
            "messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t"}]}]}"#,
    );
    let fields = Fields::parse(body.as_bytes()).unwrap();
    let request = MessageRequest::check(&fields, "claude-opus-5", "").unwrap();
    assert_eq!(request.tools.len(), 2);
    assert!(matches!(request.tool_choice, ToolChoice::Tool { name } if name == "w"));
    assert_eq!(request.mcp_server.unwrap().tool_name(), "find");
    assert!(request.follows_tool_result);
}
