//! The law of the meter: a reading does not depend on where the bytes are cut.

use proptest::prelude::*;

use super::stream::PLAIN;
use super::{CODINGS, JSON, SSE, encode, read};
use crate::fuzz::pieces;

const MESSAGE: &str = "{\"mod\\u0065l\" : \"claude-\\u006fpus-5\",\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"a \\\"usage\\\":{\\\"input_tokens\\\":9} \\\\\"},{\"type\":\"tool_use\",\"input\":{\"usage\":{\"input_tokens\":-9},\"é✓\":[1,true,null,\"]}\"]}}],\"n\":-12.5e+3,\"t\":true,\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":1},\"us\\u0061ge\":{\"input_tokens\":51,\"output_tokens\":162,\"cache_creation\":{\"ephemeral_1h_input_tokens\":4,\"ephemeral_5m_input_tokens\":5},\"service_tier\":\"standard\"}}";

const FAILURE: &str = "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow \\u0064own\",\"details\":{\"error_code\":\"x\"}},\"request_id\":\"req_1\"}";

fn bodies() -> Vec<(Option<&'static str>, String)> {
    let long = PLAIN.replace("Hello", &"Hello \\\\ ".repeat(20));
    vec![
        (JSON, MESSAGE.to_owned()),
        (JSON, FAILURE.to_owned()),
        (JSON, "<html><body>Bad gateway</body></html>".to_owned()),
        (SSE, format!("\u{feff}: hi\n\n{PLAIN}")),
        (SSE, PLAIN.replace('\n', "\r\n")),
        (SSE, PLAIN.replace('\n', "\r")),
        (
            SSE,
            PLAIN.replace("\"message\":{", "\r\ndata: \"message\":\ndata:{"),
        ),
        (
            SSE,
            long.split("event: message_delta")
                .next()
                .unwrap()
                .to_owned(),
        ),
        (
            SSE,
            PLAIN.replace(
                "event: message_delta",
                "event: error\ndata: {\"error\":{\"type\":\"api_error\"}}\n\n",
            ),
        ),
    ]
}

/// Every body in every coding.
fn coded() -> impl Iterator<Item = (Option<&'static str>, &'static str, Vec<u8>)> {
    bodies().into_iter().flat_map(|(content_type, body)| {
        CODINGS.map(|coding| (content_type, coding, encode(coding, body.as_bytes())))
    })
}

#[test]
fn a_coding_makes_no_difference() {
    for (content_type, body) in bodies() {
        let expected = read(content_type, None, [&body]);
        for coding in CODINGS {
            let bytes = encode(coding, body.as_bytes());
            assert_eq!(
                read(content_type, Some(coding), [bytes]),
                expected,
                "{coding}: {body}"
            );
        }
    }
}

#[test]
fn one_cut_anywhere_makes_no_difference() {
    for (content_type, coding, bytes) in coded() {
        let expected = read(content_type, Some(coding), [&bytes]);
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            let reading = read(content_type, Some(coding), [first, second]);
            assert_eq!(reading, expected, "{coding} cut at {cut}");
        }
    }
}

#[test]
fn cuts_everywhere_make_no_difference() {
    for (content_type, coding, bytes) in coded() {
        let expected = read(content_type, Some(coding), [&bytes]);
        let reading = read(content_type, Some(coding), bytes.chunks(1));
        assert_eq!(reading, expected, "{coding}");
    }
}

/// An upstream that dies: the reading is the same wherever the bytes before the end were cut.
#[test]
fn an_early_end_is_read_alike_in_one_piece_and_in_many() {
    for (content_type, body) in bodies() {
        for end in 0..body.len() {
            let bytes = &body.as_bytes()[..end];
            let expected = read(content_type, None, [bytes]);
            assert_eq!(
                read(content_type, None, bytes.chunks(1)),
                expected,
                "ended at {end}: {body}"
            );
        }
    }
}

proptest! {
    #[test]
    fn cuts_at_random_make_no_difference(sizes in prop::collection::vec(0_usize..60, 0..60)) {
        for (content_type, coding, bytes) in coded() {
            let expected = read(content_type, Some(coding), [&bytes]);
            let reading = read(content_type, Some(coding), pieces(&bytes, sizes.iter().copied()));
            prop_assert_eq!(reading, expected, "{}", coding);
        }
    }

    /// Whatever the upstream sends, the meter only reads.
    #[test]
    fn nonsense_does_no_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        json in r#"[\[\]{}",:\\ a-z0-9\n-]{0,80}"#,
        sizes in prop::collection::vec(0_usize..40, 0..10),
    ) {
        for content_type in [JSON, SSE] {
            for coding in CODINGS {
                let _reading = read(content_type, Some(coding), pieces(&bytes, sizes.iter().copied()));
            }
            let data = format!("{{\"usage\":{json}\ndata: {json}\n\n");
            let whole = read(content_type, None, [&data]);
            prop_assert_eq!(read(content_type, None, pieces(data.as_bytes(), sizes.iter().copied())), whole);
        }
    }
}
