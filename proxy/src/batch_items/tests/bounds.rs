//! What is kept of an item, and how much is read of a body.

use super::super::draft::SHORT;
use super::super::laws::read;
use super::{BatchItems, DecodeError, InspectError, Unreadable, check};
use crate::coding::encode::encode;

const CODINGS: [&str; 5] = ["identity", "gzip", "deflate", "br", "zstd"];

const TOO_MANY: Result<(), Unreadable> = Err(Unreadable::Json(InspectError::TooManyMembers));

fn text(bytes: usize) -> String {
    format!("\"{}\"", "a".repeat(bytes - 2))
}

/// What is kept, and what is too long, of an item whose values have these sizes.
fn check_long(values: &[(&str, usize)], kept: &[&str], long: &[&str]) {
    let members = values.iter();
    let members: Vec<_> = members
        .map(|(name, bytes)| format!("\"{name}\":{}", text(*bytes)))
        .collect();
    let params = format!("{{{}}}", members.join(","));
    let body = format!(r#"{{"requests":[{{"params":{params}}},{{"params":{{"a":1}}}}]}}"#);
    for size in [body.len(), 65_536, 7_777] {
        let (items, end) = read(None, body.as_bytes().chunks(size));
        let names: Vec<_> = items[0].fields.iter().map(|(name, _)| name).collect();
        assert_eq!(names, kept, "{values:?}");
        assert_eq!(items[0].long, long, "{values:?}");
        assert_eq!(items[0].params_bytes, params.len() as u64, "{values:?}");
        assert_eq!((items[1].fields.len(), items[1].long.len()), (1, 0));
        assert_eq!(end, Ok(()));
    }
}

#[test]
fn what_is_too_long_is_named_and_the_rest_is_kept() {
    const MIB: usize = 1 << 20;
    let model = ("model", 9);
    check_long(
        &[("messages", MIB - 30), model],
        &["messages", "model"],
        &[],
    );
    check_long(&[("messages", MIB), model], &["model"], &["messages"]);
    check_long(
        &[model, ("messages", 3 * MIB), ("tools", SHORT)],
        &["model", "tools"],
        &["messages"],
    );
    check_long(
        &[
            ("messages", MIB - 99),
            ("tools", SHORT),
            ("system", SHORT + 1),
            model,
        ],
        &["messages", "tools", "model"],
        &["system"],
    );
    check_long(&[("mod\\u0065l", 2 * MIB), model], &["model"], &["model"]);
}

#[test]
fn memory_is_bounded_whatever_is_long() {
    let params = |params: &str| format!(r#"{{"requests":[{{"params":{{{params}}}}}]}}"#);
    let long = "a".repeat(2_000);
    let name = format!("\"{long}\":1,\"b\":2");
    check(&params(&name), &[("none", &["b"])], Ok(()));
    let id = format!(r#"{{"requests":[{{"custom_id":"{long}"}}]}}"#);
    check(&id, &[("none", &[])], Ok(()));
    let many = vec!["\"a\":1"; 257].join(",");
    check(&params(&many), &[], TOO_MANY);
    let short = vec![format!("\"a\":{}", text(SHORT)); 100].join(",");
    let (items, _) = read(None, [params(&short).as_bytes()]);
    assert_eq!((items[0].fields.len(), items[0].long.len()), (31, 69));
}

#[test]
fn a_body_is_read_in_any_coding_and_no_further_than_it_may_be() {
    let body = format!(r#"{{"requests":[{{"params":{{"a":{}}}}}]}}"#, text(9_000));
    let plain = read(None, [body.as_bytes()]);
    for coding in CODINGS {
        let coded = encode(coding, body.as_bytes());
        for size in [1, 100, coded.len()] {
            assert_eq!(read(Some(coding), coded.chunks(size)), plain, "{coding}");
        }
        for (most, expected) in [
            (body.len(), Ok(())),
            (
                body.len() - 1,
                Err(Unreadable::Coding(DecodeError::TooLarge)),
            ),
        ] {
            let mut reader = BatchItems::new(Some(coding), most as u64).unwrap();
            assert_eq!(reader.feed(&coded, &mut |_| {}), expected, "{coding}");
        }
        if coding != "identity" {
            let (_, end) = read(Some(coding), [&coded[..coded.len() - 1]]);
            assert_eq!(
                end,
                Err(Unreadable::Coding(DecodeError::Invalid)),
                "{coding}"
            );
        }
    }
    let unknown = BatchItems::new(Some("snappy"), 1).err();
    assert_eq!(unknown, Some(Unreadable::Coding(DecodeError::Unsupported)));
}
