mod bounds;

use proptest::prelude::*;

use super::laws::{self, expected, read};
use super::*;
use crate::fuzz::json::{array, object, value};

const NOT_JSON: Result<(), Unreadable> = Err(Unreadable::Json(InspectError::NotAnObject));

/// The items' ids and the names of their fields, before the end.
fn check(body: &str, ids: &[(&str, &[&str])], end: Result<(), Unreadable>) {
    laws::check(body.as_bytes(), &[]);
    let (items, ended) = read(None, [body.as_bytes()]);
    let found: Vec<_> = items
        .iter()
        .map(|item| {
            let names: Vec<_> = item.fields.iter().map(|(name, _)| name.as_str()).collect();
            (item.custom_id.as_deref().unwrap_or("none"), names)
        })
        .collect();
    let ids: Vec<_> = ids
        .iter()
        .map(|(id, names)| (*id, names.to_vec()))
        .collect();
    assert_eq!((found, ended), (ids, end), "{body:.200}");
}

#[test]
fn each_item_is_given_with_the_fields_of_its_request() {
    for (body, expected) in [
        (r#"{}"#, &[][..]),
        (r#" {"requests" : [ ] } "#, &[]),
        (
            r#"{"requests":[{"custom_id":"a","params":{"model":"m","max_tokens":5}}]}"#,
            &[("a", &["model", "max_tokens"][..])],
        ),
        (
            r#"{"x":{"requests":[{}]},"requests":[{"params":{"a":[{}]},"custom_id":"b\u0021"},{"custom_id":7,"x":[1]}],"y":-1}"#,
            &[("b!", &["a"]), ("none", &[])],
        ),
        (
            r#"{"r\u0065quests":[{"p\u0061rams":{"\u0061":1,"b":2}}, null, [{"params":{}}]]}"#,
            &[("none", &["a", "b"])],
        ),
        (
            r#"{"requests":[{"params":{"a":1},"custom_id":"a","params":{"b":{}},"custom_id":null}]}"#,
            &[("none", &["b"])],
        ),
        (
            r#"{"requests":[{"params":{"a":1},"params":null}],"requests":[{}],"requests":{}}"#,
            &[("none", &[]), ("none", &[])],
        ),
    ] {
        check(body, expected, Ok(()));
    }
}

#[test]
fn what_is_no_json_ends_the_reading() {
    let first = r#"{"requests":[{"custom_id":"a","params":{}}"#;
    for (behind, expected) in [
        ("", NOT_JSON),
        ("]", NOT_JSON),
        ("]}", Ok(())),
        ("]} {", NOT_JSON),
        (",]}", NOT_JSON),
        ("}]", NOT_JSON),
        ("{}]}", NOT_JSON),
        (r#",{"params":{"b":1,}}]}"#, NOT_JSON),
        (r#",{"params":{"b":1 2}}]}"#, NOT_JSON),
        (r#",{"params":{"b":NaN}}]}"#, NOT_JSON),
        (r#",{"params":{"b":[1}}]}"#, NOT_JSON),
        (r#",{"params":{"b":tru}}]}"#, NOT_JSON),
        (r#",{"params":{"\ud800":1}}]}"#, NOT_JSON),
        (r#",{"params":{"b"}}]}"#, NOT_JSON),
        (r#",{"params":{b:1}}]}"#, NOT_JSON),
    ] {
        check(&format!("{first}{behind}"), &[("a", &[])], expected);
    }
    for body in [
        "",
        " ",
        "[]",
        "null",
        "requests",
        "\u{feff}{}",
        "{\"requests\"}",
    ] {
        check(body, &[], NOT_JSON);
    }
    let damaged = br#"{"requests":[{"params":{"a":"#;
    let (items, end) = read(None, [&damaged[..], b"\"\xff\"}}]}"]);
    assert_eq!((items, end), (Vec::new(), NOT_JSON));
}

#[test]
fn an_error_is_the_same_ever_after() {
    let mut reader = BatchItems::new(None, 1 << 20).unwrap();
    for bytes in [&b"{]"[..], b"{}", b""] {
        assert_eq!(reader.feed(bytes, &mut |_| {}), NOT_JSON);
    }
    assert_eq!(reader.finish(), NOT_JSON);
}

#[test]
fn an_item_says_what_it_asks_for() {
    let body =
        br#"{"requests":[{"params":{"model":"a","max_tokens":1e3,"stream":true,"model":"b"}}]}"#;
    let mut found = None;
    let mut reader = BatchItems::new(None, 1 << 20).unwrap();
    reader
        .feed(body, &mut |item| {
            let asked = item.asked();
            found = asked
                .model
                .map(|model| (model.into_owned(), asked.max_tokens, asked.stream));
        })
        .unwrap();
    assert_eq!(found, Some(("b".to_owned(), 1_000, true)));
}

/// Half of a character is none.
#[test]
fn a_name_that_is_none_is_refused_wherever_it_stands() {
    for body in [
        r#"{"requests":[{"custom_id":"a","params":{"\ud83dx":1}}]}"#,
        r#"{"requests":[{"custom_id":"a","params":{"\ud83dx":1},"params":{"model":"m"}}]}"#,
    ] {
        check(body, &[], NOT_JSON);
    }
}

fn batch() -> impl Strategy<Value = String> {
    let params = object(&["model", "max_tokens", "tools", "params"], value());
    let of_item = prop_oneof![3 => params, 1 => value()];
    let item = object(&["custom_id", "params", "params"], of_item);
    let items = array(prop_oneof![5 => item, 1 => value()]);
    object(&["requests"], prop_oneof![5 => items, 1 => value()])
}

proptest! {
    #[test]
    fn the_items_are_what_serde_json_finds(body in batch(), sizes in prop::collection::vec(any::<u8>(), 0..40)) {
        prop_assert!(expected(body.as_bytes()).is_some(), "{}", body);
        laws::check(body.as_bytes(), &sizes);
    }

    #[test]
    fn damage_breaks_no_law(body in batch(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = body.into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        laws::check(&body, &[3, 1, 4]);
        body.truncate(at);
        laws::check(&body, &[1, 5, 9]);
    }
}
