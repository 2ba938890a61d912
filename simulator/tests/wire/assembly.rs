//! What a client makes of a stream: the message that its events add up to.

use serde_json::Value;

/// Puts a message together as the SDKs do.
pub(crate) fn assemble(events: &[(String, Value)]) -> Value {
    let mut message = events[0].1["message"].clone();
    let mut input = String::new();
    for (name, data) in events {
        let index = usize::try_from(data["index"].as_u64().unwrap_or(0)).unwrap();
        match name.as_str() {
            "content_block_start" => {
                let blocks = message["content"].as_array_mut().unwrap();
                assert_eq!(blocks.len(), index);
                blocks.push(data["content_block"].clone());
                input.clear();
            }
            "content_block_delta" => {
                add_delta(&mut message["content"][index], &mut input, &data["delta"]);
            }
            "content_block_stop" if !input.is_empty() => {
                message["content"][index]["input"] = serde_json::from_str(&input).unwrap();
            }
            "message_delta" => {
                overwrite(&mut message, &data["delta"]);
                overwrite(&mut message["usage"], &data["usage"]);
            }
            _ => {}
        }
    }
    message
}

/// Counts output tokens as the crate documents them: words, and eight characters of a tool's input.
pub(crate) fn output_tokens(content: &[Value]) -> usize {
    let words = |text: &Value| {
        text.as_str()
            .map_or(0, |text| text.split_inclusive(' ').count())
    };
    let tokens = |block: &Value| {
        let input = block.get("input").map_or(String::new(), Value::to_string);
        words(&block["text"]) + words(&block["thinking"]) + input.chars().count().div_ceil(8)
    };
    content.iter().map(tokens).sum()
}

fn add_delta(block: &mut Value, input: &mut String, delta: &Value) {
    let append = |old: &mut Value, new: &Value| {
        *old = format!("{}{}", old.as_str().unwrap(), new.as_str().unwrap()).into();
    };
    match delta["type"].as_str().unwrap() {
        "text_delta" => append(&mut block["text"], &delta["text"]),
        "thinking_delta" => append(&mut block["thinking"], &delta["thinking"]),
        "signature_delta" => append(&mut block["signature"], &delta["signature"]),
        "input_json_delta" => input.push_str(delta["partial_json"].as_str().unwrap()),
        other => panic!("unknown delta {other}"),
    }
}

fn overwrite(object: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().unwrap() {
        object[name] = value.clone();
    }
}
