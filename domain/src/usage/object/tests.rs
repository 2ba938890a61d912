use proptest::prelude::*;
use serde_json::json;

use super::*;

fn is_plain(object: &UsageObject) -> bool {
    matches!(object.0, Form::Plain { .. })
}

/// Whatever it is kept as, it says what the tree says.
fn check(text: &str) -> Option<UsageObject> {
    let tree: Result<Map<String, Value>, _> = serde_json::from_str(text);
    let parsed = UsageObject::parse(text.as_bytes());
    let Ok(mut tree) = tree else {
        assert!(parsed.is_none(), "{text}");
        return None;
    };
    let parsed = parsed.unwrap();
    tree.retain(|_, value| !value.is_null());
    let as_tree = UsageObject(Form::Tree(tree.clone()));
    assert_eq!(parsed.clone().into_tree(), tree, "{text}");
    assert_eq!(
        (parsed.len(), parsed.is_empty()),
        (tree.len(), tree.is_empty())
    );
    assert_eq!(parsed.iterations(), tree.get(ITERATIONS));
    let mut written = Vec::new();
    parsed.write(&mut written).unwrap();
    let read: Map<String, Value> = serde_json::from_slice(&written).unwrap();
    assert_eq!(read, tree);
    for name in tree.keys().map(String::as_str).chain(["none"]) {
        assert_eq!(parsed.figure(name), as_tree.figure(name), "{text}: {name}");
        assert_eq!(parsed.word(name), as_tree.word(name), "{text}: {name}");
        assert_eq!(parsed.number(name), as_tree.number(name), "{text}: {name}");
        let inner = tree.get(name).and_then(Value::as_object);
        let inner = inner.into_iter().flatten().map(|(name, _)| name.as_str());
        for inner in inner.chain(["none"]) {
            let found = parsed.figure_in(name, inner);
            assert_eq!(
                found,
                as_tree.figure_in(name, inner),
                "{text}: {name}.{inner}"
            );
        }
    }
    Some(parsed)
}

#[test]
fn the_usual_is_plain() {
    let text = r#"{"input_tokens":12,"cache_creation":{"ephemeral_1h_input_tokens":3,"ephemeral_5m_input_tokens":0}, "output_tokens": 4 ,"service_tier":"standard","inference_geo":"","speed":null,"server_tool_use":null,"x":[true,false,{}]}"#;
    let usage = check(text).unwrap();
    assert!(is_plain(&usage));
    assert_eq!(usage.figure("input_tokens"), Figure::Is(12));
    assert_eq!(usage.figure("speed"), Figure::Absent);
    assert_eq!(usage.figure("service_tier"), Figure::Senseless);
    let one_hour = usage.figure_in("cache_creation", "ephemeral_1h_input_tokens");
    assert_eq!(one_hour, Figure::Is(3));
    assert_eq!(usage.word("service_tier"), Some("standard"));
    assert_eq!(usage.word("inference_geo"), Some(""));
    assert_eq!(usage.len(), 6);
    assert!(is_plain(&check("{}").unwrap()));
    // Names are of their own objects.
    let text = r#"{"a":1,"b":{"a":2,"c":{"d":3,"a":4}},"e":[{"f":5}],"c":6,"f":{}}"#;
    let usage = check(text).unwrap();
    assert!(is_plain(&usage));
    assert_eq!(usage.figure("d"), Figure::Absent);
    assert_eq!(usage.figure_in("c", "d"), Figure::Absent);
    assert_eq!(usage.figure_in("f", "c"), Figure::Absent);
}

#[test]
fn what_is_not_plain_says_the_same() {
    for text in [
        r#"{"a":1.5}"#,
        r#"{"a":-1}"#,
        r#"{"a":1e3}"#,
        r#"{"a":1000000000000000}"#,
        r#"{"a":18446744073709551615}"#,
        r#"{"a":"\u0000"}"#,
        r#"{"a\n":1}"#,
        "{\n\"a\":\t1}",
        r#"{"a":{"b":1,"b":2}}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"a":null,"a":2}"#,
        r#"{"a":[[[[[[[[[1]]]]]]]]]}"#,
        r#"{"iterations":[{"type":"message"}],"a":1}"#,
        r#"{"iterations":null}"#,
    ] {
        let usage = check(text).expect(text);
        assert!(!is_plain(&usage), "{text}");
    }
    // A name that is inside of another object is another name.
    assert!(is_plain(
        &check(r#"{"a":{"iterations":1},"b":{"a":1}}"#).unwrap()
    ));
}

#[test]
fn one_with_very_many_members_is_a_tree() {
    let members = |count: usize| (0..count).map(|n| format!("\"{n}\":1")).collect::<Vec<_>>();
    let many = members(10_000).join(",");
    for text in [format!("{{{many}}}"), format!("{{\"a\":{{{many}}}}}")] {
        assert!(!is_plain(&check(&text).unwrap()));
    }
    assert!(is_plain(
        &check(&format!("{{{}}}", members(64).join(","))).unwrap()
    ));
}

#[test]
fn two_that_are_plain_may_be_a_tree_together() {
    let object = |from: usize| {
        let members = (from..from + 60).map(|n| format!("\"{n}\":{n}"));
        let text = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
        UsageObject::parse(text.as_bytes()).unwrap()
    };
    let mut usage = object(0);
    assert!(usage.lay(object(30), 128));
    assert!(!is_plain(&usage));
    assert_eq!(usage.len(), 90);
    assert_eq!(usage.figure("89"), Figure::Is(89));
}

#[test]
fn what_is_no_object_is_refused() {
    for text in [
        "",
        "null",
        "[]",
        "1",
        "\"a\"",
        "{",
        "{}x",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":01}",
        "{\"a\":1 2}",
        "{\"a\":tru}",
        "{\"a\":nul}",
        "{\"a\":1x}",
        "{'a':1}",
        "{\"a\u{1}\":1}",
        "{\"a\":[1,]}",
        "{\"a\":\"\\ud800\"}",
    ] {
        assert!(check(text).is_none(), "{text}");
    }
    assert!(UsageObject::parse(b"{\"a\":\"\xff\"}").is_none());
}

#[test]
fn later_members_take_the_place_of_earlier_ones() {
    let object = |value: Value| UsageObject::parse(value.to_string().as_bytes()).unwrap();
    let mut usage = UsageObject::default();
    assert!(usage.lay(object(json!({"a": 1, "b": {"c": 2}})), 3));
    assert!(is_plain(&usage));
    assert!(usage.lay(object(json!({"b": 3, "c": null, "d": "x"})), 3));
    assert_eq!(usage, object(json!({"a": 1, "b": 3, "d": "x"})));
    assert!(is_plain(&usage));
    assert!(usage.clone().lay(object(json!({"d": 1.5})), 3));
    assert!(
        !usage.lay(object(json!({"a": 7, "e": 1})), 3),
        "there is no place for it"
    );
    assert_eq!(usage, object(json!({"a": 7, "b": 3, "d": "x"})));
    let mut empty = UsageObject::default();
    assert!(!empty.lay(object(json!({"a": 1, "b": 2})), 1));
    assert_eq!(empty.len(), 1);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (0_u64..2_000).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Such as every reader reads the same.
        (-4_000..4_000).prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        "[a-c\"\\\\\u{0}-\u{20}é]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-c]{0,2}", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_object_says_what_its_tree_says(
        members in prop::collection::btree_map("[a-c\u{0}\"é]{0,3}|iterations", value(), 0..6),
        is_pretty: bool,
    ) {
        let members: Map<_, _> = members.into_iter().collect();
        let text = if is_pretty {
            serde_json::to_string_pretty(&members)
        } else {
            serde_json::to_string(&members)
        };
        check(&text.unwrap()).unwrap();
    }

    #[test]
    fn what_is_nearly_json_is_judged_as_ever(text in "[{}\\[\\]\",:0-2a-bnul \\\\]{0,12}") {
        check(&text);
        check(&format!("{{\"a\":{text}}}"));
    }
}
