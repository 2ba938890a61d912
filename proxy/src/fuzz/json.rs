//! JSON made up: objects as text, with blanks, escapes and repeated names.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

/// An object with some of these names, some others, and values of this kind.
pub(crate) fn object(
    names: &'static [&'static str],
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    let member = (name(names), blank(), value, blank());
    let members = prop::collection::vec(member, 0..6).prop_map(|members| {
        let members = members.iter();
        members
            .map(|(name, before, value, behind)| {
                format!("{before}{name}{behind}:{before}{value}{behind}")
            })
            .collect::<Vec<_>>()
            .join(",")
    });
    (blank(), members).prop_map(|(blank, members)| format!("{{{blank}{members}{blank}}}"))
}

pub(crate) fn array(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let values = prop::collection::vec(value, 0..5);
    (blank(), values).prop_map(|(blank, values)| {
        let values = values.join(&format!("{blank},{blank}"));
        format!("[{blank}{values}{blank}]")
    })
}

/// Any value.
pub(crate) fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..4)
                .prop_map(|object| Value::Object(object.into_iter().collect())),
        ]
    });
    (value, any::<bool>()).prop_map(|(value, pretty)| {
        if pretty {
            format!("{value:#}")
        } else {
            value.to_string()
        }
    })
}

fn text() -> impl Strategy<Value = String> {
    "[a-c\"\\\\/{}\\[\\],: \n\u{e9}\u{1f600}]{0,6}"
}

fn name(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let known = select(names).prop_map(str::to_owned);
    (prop_oneof![4 => known, 1 => text()], any::<bool>()).prop_map(|(name, escaped)| {
        if !escaped {
            return Value::from(name).to_string();
        }
        let units = name.encode_utf16();
        let escapes: String = units.map(|unit| format!("\\u{unit:04x}")).collect();
        format!("\"{escapes}\"")
    })
}

fn blank() -> impl Strategy<Value = &'static str> {
    select(&["", "", " ", "\n\t", "\r\n"][..])
}
