use std::fmt::Write as _;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::fuzz::json::{object, value};

fn inspect(body: &str) -> Result<Inspected, InspectError> {
    super::inspect(Bytes::copy_from_slice(body.as_bytes()))
}

fn check(body: &str, expected: Result<(&str, bool), InspectError>) {
    let found = inspect(body);
    let found = found.as_ref().map(|it| (it.model.as_str(), it.stream));
    assert_eq!(found.map_err(|error| *error), expected, "{body}");
}

#[test]
fn the_top_level_counts_wherever_it_stands() {
    check(r#"{"model":"a","stream":true}"#, Ok(("a", true)));
    check(
        r#"{"messages":[{"model":"no","stream":true}],"model":"a"}"#,
        Ok(("a", false)),
    );
    check(r#"{"mod\u0065l":"\u0061","stream":null}"#, Ok(("a", false)));
    check(
        r#" {"model":"a","model":"b","stream":false,"stream":true} "#,
        Ok(("b", true)),
    );
    check(
        r#"{"model":"a","stream":"true","temperature":1e400}"#,
        Ok(("a", false)),
    );
}

#[test]
fn a_body_that_need_not_name_a_model_may_name_it_otherwise() {
    for (body, model, max_tokens) in [
        (
            r#"{"model":"claude-2","max_tokens_to_sample":300}"#,
            "claude-2",
            300,
        ),
        (r#"{"max_tokens":5,"max_tokens_to_sample":300}"#, "", 300),
        (
            r#"{"model":{"speed":"fast","id":"claude-\u006fpus-5"}}"#,
            "claude-opus-5",
            0,
        ),
        (r#"{"model":{"speed":"fast"}}"#, "", 0),
        (r#"{"model":["claude-opus-5"]}"#, "", 0),
        ("{}", "", 0),
    ] {
        let found = inspect_any(Bytes::copy_from_slice(body.as_bytes()).into()).unwrap();
        assert_eq!(
            (found.model.as_str(), found.max_tokens),
            (model, max_tokens),
            "{body}"
        );
    }
    assert_eq!(
        inspect(r#"{"model":{"id":"a"}}"#),
        Err(InspectError::ModelMissing)
    );
}

#[test]
fn the_bill_of_a_user_profile_is_somebody_elses() {
    for (policy, expected) in [
        (
            r#"{"type":"billing_policy","bill_to":"user_profile"}"#,
            true,
        ),
        (r#"{"bill_to":"user\u005fprofile"}"#, true),
        (
            r#"{"type":"billing_policy","bill_to":"organization"}"#,
            false,
        ),
        (r#"{"type":"billing_policy"}"#, false),
        (r#"{"bill_to":["user_profile"]}"#, false),
        (r#"["user_profile"]"#, false),
        ("\"user_profile\"", false),
        ("null", false),
    ] {
        let body = format!(r#"{{"billing_policy": {policy}, "model": "a"}}"#);
        let found = inspect(&body).unwrap();
        assert_eq!(found.bills_user_profile, expected, "{policy}");
    }
}

#[test]
fn a_body_without_a_model_is_refused() {
    for body in [
        "{}",
        r#"{"model":null}"#,
        r#"{"model":-1.5}"#,
        r#"{"model":[0,[]]}"#,
        r#"{"model":5}"#,
        r#"{"model":{"a":[1]}}"#,
        r#"{"model":"\ud800"}"#,
        r#"{"model":"a","model":null}"#,
    ] {
        check(body, Err(InspectError::ModelMissing));
    }
}

#[test]
fn what_is_not_a_json_object_is_refused() {
    for body in [
        "",
        "[]",
        "null",
        "\"model\"",
        "{",
        r#"{"model":"a"}x"#,
        r#"{"model":"a",}"#,
        "model=a",
        r#"{"model":"a","b":NaN}"#,
        r#"{"model":"a","\ud800":1}"#,
        "\u{feff}{\"model\":\"a\"}",
    ] {
        check(body, Err(InspectError::NotAnObject));
    }
    let not_utf8 = Bytes::from_static(b"{\"model\":\"a\",\"b\":\"\xff\"}");
    assert_eq!(super::inspect(not_utf8), Err(InspectError::NotAnObject));
}

#[test]
fn every_member_is_given_as_it_is_written() {
    for (body, expected) in [
        (r#"{"model":"a"}"#, &[("model", r#""a""#)][..]),
        (
            r#" { "model" : "\u0061" , "t" : [ 1 , {"a": "]"} ] } "#,
            &[("model", r#""\u0061""#), ("t", r#"[ 1 , {"a": "]"} ]"#)],
        ),
        (
            r#"{"model":"a","n":-1.5e400,"model":"b","":null}"#,
            &[
                ("model", r#""a""#),
                ("n", "-1.5e400"),
                ("model", r#""b""#),
                ("", "null"),
            ],
        ),
        (
            r#"{"m\u006fdel":"é","\"":true,"é":"\ud800"}"#,
            &[("model", r#""é""#), ("\"", "true"), ("é", r#""\ud800""#)],
        ),
    ] {
        let found = inspect(body).unwrap();
        let fields = found.fields();
        let fields: Vec<_> = fields.map(|it| (it.name.into_owned(), it.json)).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(n, j)| ((*n).to_owned(), *j))
            .collect();
        assert_eq!(fields, expected, "{body}");
    }
}

#[test]
fn what_is_kept_without_the_body_is_all_but_the_members() {
    let found = inspect(r#"{"model":"a","max_tokens":7,"stream":true}"#).unwrap();
    assert_eq!(found.body_bytes(), 42);
    let kept = found.without_body();
    assert_eq!((kept.model.as_str(), kept.max_tokens), ("a", 7));
    assert!(kept.stream);
    assert_eq!((kept.fields().count(), kept.body_bytes()), (0, 0));
}

#[test]
fn the_text_of_a_body_is_not_for_logs() {
    let found = inspect(r#"{"model":"a","system":"secret"}"#).unwrap();
    assert!(!format!("{found:?}").contains("secret"));
}

#[test]
fn more_members_than_any_object_has_are_refused() {
    let with = |others: usize| {
        let mut body = String::from(r#"{"model":"a""#);
        (0..others).for_each(|n| write!(body, r#","{n}":{{}}"#).unwrap());
        body
    };
    for (body, expected) in [
        (with(255) + "}", Ok(("a", false))),
        (with(256) + "}", Err(InspectError::TooManyMembers)),
        (with(9_999) + "}", Err(InspectError::TooManyMembers)),
        (with(256) + "]", Err(InspectError::NotAnObject)),
    ] {
        check(&body, expected);
    }
}

#[test]
fn depth_is_no_obstacle() {
    let deep = format!(
        r#"{{"model":"a","tools":{}{}}}"#,
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    check(&deep, Ok(("a", false)));
}

proptest! {
    #[test]
    fn the_members_are_what_serde_json_finds(
        body in object(&["model", "stream", "max_tokens"], prop_oneof![Just("\"a\"".to_owned()), value()])
    ) {
        laws::check(body.as_bytes());
    }
}
