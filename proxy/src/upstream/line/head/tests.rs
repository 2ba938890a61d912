use super::*;

fn parse(text: &str) -> Result<Option<Head>, LineError> {
    Head::parse(
        &Bytes::copy_from_slice(text.as_bytes()),
        &mut Names::default(),
        false,
    )
}

fn parsed(lines: &str) -> Head {
    let parsed = parse(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"));
    parsed.unwrap().expect("it isn't all there")
}

#[test]
fn a_head_says_what_it_says_wherever_it_is_cut() {
    let text =
        "HTTP/1.1 529 Overloaded\r\nRetry-After: 7\r\nx-a:  b \r\nX-A: \u{e9}\r\nx-empty:\r\n\r\n";
    for cut in 0..text.len() {
        let part = Bytes::copy_from_slice(&text.as_bytes()[..cut]);
        let parsed = Head::parse(&part, &mut Names::default(), false);
        assert!(parsed.unwrap().is_none(), "{cut}");
    }
    let head = parse(&format!("{text}more")).unwrap().unwrap();
    assert_eq!(head.bytes, text.len());
    assert_eq!(head.response.status(), 529);
    let headers: Vec<_> = head.response.headers().iter().collect();
    let expected = [
        ("retry-after", "7".as_bytes()),
        ("x-a", b"b"),
        ("x-a", "\u{e9}".as_bytes()),
        ("x-empty", b""),
    ];
    assert_eq!(headers.len(), expected.len());
    for ((name, value), (expected_name, expected_value)) in headers.iter().zip(expected) {
        assert_eq!(
            (name.as_str(), value.as_bytes()),
            (expected_name, expected_value)
        );
    }
}

#[test]
fn how_a_body_ends_is_said_by_its_headers() {
    let length = |lines: &str| match parsed(lines).body {
        Decoder::Ended => "ended".to_owned(),
        Decoder::Length(length) => length.to_string(),
        Decoder::UntilClosed => "closed".to_owned(),
        Decoder::Chunked(_) => "chunked".to_owned(),
    };
    for (lines, expected) in [
        ("", "closed"),
        ("content-length: 0\r\n", "ended"),
        ("content-length: 12\r\n", "12"),
        ("content-length: 12, 12\r\n", "12"),
        ("content-length: 12\r\ncontent-length: 12\r\n", "12"),
        (
            "content-length: 18446744073709551615\r\n",
            "18446744073709551615",
        ),
        ("transfer-encoding: chunked\r\n", "chunked"),
        ("transfer-encoding: gzip, Chunked\r\n", "chunked"),
        (
            "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
            "chunked",
        ),
        ("transfer-encoding: chunked, gzip\r\n", "closed"),
        ("transfer-encoding: identity\r\n", "closed"),
        (
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "chunked",
        ),
    ] {
        assert_eq!(length(lines), expected, "{lines}");
    }
    let both = parsed("content-length: 5\r\ntransfer-encoding: chunked\r\n");
    assert!(!both.response.headers().contains_key(CONTENT_LENGTH));
}

#[test]
fn what_has_no_end_or_two_is_an_error() {
    for lines in [
        "content-length: 1\r\ncontent-length: 2\r\n",
        "content-length: 1, 2\r\n",
        "content-length: +1\r\n",
        "content-length: -1\r\n",
        "content-length: \r\n",
        "content-length: 1,\r\n",
        "content-length: 18446744073709551616\r\n",
        "content-length : 1\r\n",
        " content-length: 1\r\n",
        "x: a\r\n b\r\n",
        "x: a\0\r\n",
    ] {
        let parsed = parse(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"));
        assert!(parsed.is_err(), "{lines:?}");
    }
    let chunked = "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    assert!(parse(chunked).is_err());
}

#[test]
fn some_answers_have_no_body_whatever_they_say() {
    let long = "content-length: 5\r\ntransfer-encoding: chunked\r\n";
    for status in [
        "204 No Content",
        "304 Not Modified",
        "103 Early Hints",
        "101 Switching Protocols",
    ] {
        let text = format!("HTTP/1.1 {status}\r\n{long}\r\n");
        let head = parse(&text).unwrap().unwrap();
        assert!(head.body.has_ended(), "{status}");
        assert_eq!(head.is_interim(), status.starts_with("103"));
    }
    let text = Bytes::from_static(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    let head = Head::parse(&text, &mut Names::default(), true)
        .unwrap()
        .unwrap();
    assert!(head.body.has_ended());
    assert_eq!(head.response.headers()[CONTENT_LENGTH], "5");
}

#[test]
fn as_many_headers_as_callers_may_send_are_taken_and_no_more() {
    let lines = |count: usize| {
        (0..count)
            .map(|n| format!("x-{n}: {n}\r\n"))
            .collect::<String>()
    };
    for count in [USUAL_HEADERS, USUAL_HEADERS + 1, MAX_HEADERS] {
        let head = parsed(&lines(count));
        assert_eq!(head.response.headers().len(), count);
    }
    let many = parse(&format!(
        "HTTP/1.1 200 OK\r\n{}\r\n",
        lines(MAX_HEADERS + 1)
    ));
    assert!(matches!(
        many,
        Err(LineError::Head(httparse::Error::TooManyHeaders))
    ));
}

#[test]
fn what_is_about_the_upstream_alone_is_not_even_made() {
    let head =
        parsed("anthropic-ratelimit-requests-limit: 4000\r\nalt-svc: h3\r\nrequest-id: req_1\r\n");
    let names: Vec<_> = head.response.headers().keys().collect();
    assert_eq!(names, ["request-id"]);
}
