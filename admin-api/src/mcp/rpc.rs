//! JSON-RPC: one question, and the answer among whatever else is said.

use serde_json::{Value, json};

use super::wire::Trouble;

/// What a server's own error is cut to.
const LONGEST_ERROR: usize = 300;

pub(super) fn question(id: u64, method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

pub(super) fn notice(method: &str) -> String {
    json!({"jsonrpc": "2.0", "method": method}).to_string()
}

/// The answer to a question, if this is it: others, notices and questions of the server's own are passed over.
///
/// # Errors
/// It is no JSON, or the server has refused.
pub(super) fn answer(message: &[u8], id: u64) -> Result<Option<Value>, Trouble> {
    let message: Value = serde_json::from_slice(message).map_err(|_| Trouble::NotJson)?;
    let messages = if let Value::Array(messages) = message {
        messages
    } else {
        vec![message]
    };
    let is_answer = |message: &Value| {
        let is_ours = message.get("id").and_then(Value::as_u64) == Some(id);
        is_ours && message.get("method").is_none()
    };
    let Some(mut answer) = messages.into_iter().find(is_answer) else {
        return Ok(None);
    };
    if let Some(error) = answer.get("error") {
        let text = error
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let text: String = text.chars().take(LONGEST_ERROR).collect();
        return Err(Trouble::Refused(text));
    }
    match answer.get_mut("result").map(Value::take) {
        Some(result) if result.is_object() => Ok(Some(result)),
        _ => Err(Trouble::NoResult),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_from_whatever_else_is_said() {
        for (message, expected) in [
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{"a":1}}"#,
                "Ok(Some(Object {\"a\": Number(1)}))",
            ),
            (
                r#"[{"id":2,"result":{}},{"id":1,"result":{}}]"#,
                "Ok(Some(Object {}))",
            ),
            (r#"{"id":2,"result":{}}"#, "Ok(None)"),
            (r#"{"id":"1","result":{}}"#, "Ok(None)"),
            (r#"{"id":1,"method":"ping"}"#, "Ok(None)"),
            (r#"{"method":"notifications/message"}"#, "Ok(None)"),
            ("5", "Ok(None)"),
            (
                r#"{"id":1,"error":{"code":-1,"message":"no"}}"#,
                "Err(Refused(\"no\"))",
            ),
            (r#"{"id":1,"result":5}"#, "Err(NoResult)"),
            (r#"{"id":1}"#, "Err(NoResult)"),
            ("{", "Err(NotJson)"),
        ] {
            assert_eq!(
                format!("{:?}", answer(message.as_bytes(), 1)),
                expected,
                "{message}"
            );
        }
        assert!(matches!(
            answer(b"{\"id\":1,\"result\":{\"\xff\":1}}", 1),
            Err(Trouble::NotJson)
        ));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(answer(deep.as_bytes(), 1), Err(Trouble::NotJson)));
    }
}
