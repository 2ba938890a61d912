//! A tool's input that satisfies its JSON schema, as far as simple schemas go.
//!
//! Required properties get a value of their type; `const`, `enum`, `default` and `minimum` are respected.
//! References, patterns and combinations are not followed.

use serde_json::{Map, Value};

use super::prose;
use crate::draw::Draw;

const MAX_DEPTH: u32 = 8;

pub(super) fn input(schema: &Value, draw: &mut Draw) -> Map<String, Value> {
    object(schema, MAX_DEPTH, draw)
}

/// The pieces of an input's JSON, which are its tokens: up to eight characters each.
pub(super) fn pieces(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(8).map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at_checked(end)?;
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// An input as it is streamed.
pub(super) fn json(input: &Map<String, Value>) -> String {
    // Keys are strings, so nothing can fail here; an empty input would be the honest fallback.
    serde_json::to_string(input).unwrap_or_else(|_| "{}".to_owned())
}

fn object(schema: &Value, depth: u32, draw: &mut Draw) -> Map<String, Value> {
    let required = schema.get("required").and_then(Value::as_array);
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    let mut object = Map::new();
    for name in names {
        let property = schema.get("properties").and_then(|all| all.get(name));
        object.insert(
            name.to_owned(),
            value(property.unwrap_or(&Value::Null), depth, draw),
        );
    }
    object
}

fn value(schema: &Value, depth: u32, draw: &mut Draw) -> Value {
    let given = schema
        .get("const")
        .or_else(|| {
            schema
                .get("enum")
                .and_then(|values| draw.pick(values.as_array()?))
        })
        .or_else(|| schema.get("default"));
    if let Some(given) = given {
        return given.clone();
    }
    match type_name(schema) {
        "integer" => integer(schema, draw).into(),
        "number" => schema.get("minimum").cloned().unwrap_or_else(|| 1.5.into()),
        "boolean" => (draw.below(2) == 0).into(),
        "null" => Value::Null,
        "array" => array(schema, depth, draw),
        "object" if depth > 0 => object(schema, depth - 1, draw).into(),
        "object" => Map::new().into(),
        _ => string(schema, draw).into(),
    }
}

/// The type; of a list of types the first.
fn type_name(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::Array(types)) => types.first().and_then(Value::as_str),
        other => other.and_then(Value::as_str),
    }
    .unwrap_or_default()
}

fn integer(schema: &Value, draw: &mut Draw) -> u64 {
    let bound = |name| schema.get(name).and_then(Value::as_u64);
    let least = bound("minimum").unwrap_or(1);
    let most = bound("maximum").unwrap_or(least.saturating_add(9));
    least.saturating_add(draw.below(most.saturating_sub(least).saturating_add(1)))
}

fn array(schema: &Value, depth: u32, draw: &mut Draw) -> Value {
    match schema.get("items") {
        Some(items) if depth > 0 => Value::Array(vec![value(items, depth - 1, draw)]),
        _ => Value::Array(Vec::new()),
    }
}

fn string(schema: &Value, draw: &mut Draw) -> String {
    match schema.get("format").and_then(Value::as_str) {
        Some("date") => "2026-01-01".to_owned(),
        Some("date-time") => "2026-01-01T00:00:00Z".to_owned(),
        Some("uri") => "https://example.com/".to_owned(),
        _ => prose::thought(draw.below(4).saturating_add(1), draw),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Draw, Value, input, pieces};

    type Fits = fn(&Value) -> bool;

    fn check(schema: &Value, expected: &[(&str, Fits)]) {
        let input = input(schema, &mut Draw::new(1, &[]));
        assert_eq!(input.len(), expected.len(), "{input:?}");
        for (name, fits) in expected {
            assert!(input.get(*name).is_some_and(fits), "{name} in {input:?}");
        }
    }

    #[test]
    fn required_properties_get_their_type() {
        check(
            &json!({"type": "object", "required": ["s", "i", "n", "b", "a", "o", "e"], "properties": {
                "s": {"type": "string"}, "i": {"type": "integer", "minimum": 3, "maximum": 3},
                "n": {"type": "number"}, "b": {"type": "boolean"},
                "a": {"type": "array", "items": {"type": "integer"}},
                "o": {"type": "object", "required": ["x"], "properties": {"x": {"type": ["string", "null"]}}},
                "e": {"enum": ["one"]}, "unasked": {"type": "string"}}}),
            &[
                ("s", Value::is_string),
                ("i", |value| value == 3),
                ("n", Value::is_number),
                ("b", Value::is_boolean),
                ("a", |value| value[0].is_u64()),
                ("o", |value| value["x"].is_string()),
                ("e", |value| value == "one"),
            ],
        );
    }

    #[test]
    fn odd_schemas_are_survived() {
        check(&Value::Null, &[]);
        check(
            &json!({"required": ["mystery"]}),
            &[("mystery", Value::is_string)],
        );
        let endless = json!({"required": ["x"], "properties": {"x": {"type": "integer", "minimum": u64::MAX}}});
        check(&endless, &[("x", |value| value == u64::MAX)]);
    }

    #[test]
    fn pieces_are_at_most_eight_characters() {
        let json = r#"{"größe":"12345678"}"#;
        assert_eq!(pieces(json).collect::<String>(), json);
        assert!(pieces(json).all(|piece| (1..=8).contains(&piece.chars().count())));
        assert_eq!(pieces("").count(), 0);
    }
}
