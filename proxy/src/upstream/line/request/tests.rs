use std::task::Waker;

use http::Method;

use super::*;

/// Takes so many bytes at once, and says what it was given.
#[derive(Default)]
struct Pipe {
    written: Vec<u8>,
    at_once: usize,
    flushed: usize,
    fails: bool,
}

impl Write for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.fails {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(self.at_once);
        self.written.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed = self.written.len();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn whole(data: &'static str, trailers: Option<HeaderMap>) -> ForwardBody {
    let data = (!data.is_empty()).then(|| Bytes::from(data));
    ForwardBody::Whole { data, trailers }
}

/// What leaves of a request, the same however little is taken at once.
fn sent(headers: &[(&'static str, &'static str)], body: impl Fn() -> ForwardBody) -> String {
    let send = |at_once| {
        let mut request = Request::new(body());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = "/v1/messages?beta=true".parse().unwrap();
        for (name, value) in headers {
            let headers = request.headers_mut();
            headers.append(*name, HeaderValue::from_static(value));
        }
        let mut outgoing = Outgoing::default();
        outgoing.begin(request);
        assert!(!outgoing.is_sent());
        let mut pipe = Pipe {
            at_once,
            ..Pipe::default()
        };
        let mut nobody = Context::from_waker(Waker::noop());
        let done = outgoing.poll_send(&mut pipe, &mut nobody);
        assert!(matches!(done, Poll::Ready(Ok(()))));
        assert!(outgoing.is_sent());
        assert_eq!(outgoing.bytes, 0);
        assert_eq!(pipe.flushed, pipe.written.len());
        String::from_utf8(pipe.written).unwrap()
    };
    let all = send(usize::MAX);
    assert_eq!(send(1), all);
    assert_eq!(send(7), all);
    all
}

const LINE: &str = "POST /v1/messages?beta=true HTTP/1.1\r\n";

#[test]
fn a_request_leaves_as_it_is() {
    let headers = [
        ("host", "api"),
        ("x-a", "1"),
        ("content-length", "2"),
        ("x-a", "2"),
    ];
    let expected = "host: api\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 2\r\n\r\n{}";
    assert_eq!(
        sent(&headers, || whole("{}", None)),
        format!("{LINE}{expected}")
    );
}

#[test]
fn a_body_of_any_size_leaves_behind_its_head() {
    for length in [1, SMALL, SMALL + 1, 3 * MOST_BYTES] {
        let body = "x".repeat(length);
        let all = sent(&[], || ForwardBody::Whole {
            data: Some(Bytes::from(body.clone())),
            trailers: None,
        });
        assert_eq!(all, format!("{LINE}content-length: {length}\r\n\r\n{body}"));
    }
}

#[test]
fn a_length_that_is_not_told_rightly_is_put_right() {
    for headers in [
        &[][..],
        &[("content-length", "3")],
        &[("content-length", "2"), ("content-length", "2")],
        &[("transfer-encoding", "chunked")],
    ] {
        let expected = format!("{LINE}content-length: 2\r\n\r\n{{}}");
        assert_eq!(sent(headers, || whole("{}", None)), expected);
    }
}

#[test]
fn no_body_has_no_frame() {
    let expected = format!("{LINE}\r\n");
    assert_eq!(
        sent(&[("transfer-encoding", "chunked")], || whole("", None)),
        expected
    );
    let expected = format!("{LINE}content-length: 0\r\n\r\n");
    assert_eq!(
        sent(&[("content-length", "0")], || whole("", None)),
        expected
    );
}

#[test]
fn trailers_leave_behind_chunks_if_they_were_announced() {
    let trailers = || {
        let mut trailers = HeaderMap::new();
        for name in ["x-sum", "x-other", "content-length", "x-api-key", "host"] {
            trailers.insert(name, HeaderValue::from_static("1"));
        }
        Some(trailers)
    };
    let headers = [
        ("trailer", "X-Sum, Content-Length, X-Api-Key, Host"),
        ("transfer-encoding", "chunked"),
    ];
    let expected = "trailer: X-Sum, Content-Length, X-Api-Key, Host\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-sum: 1\r\n\r\n";
    assert_eq!(
        sent(&headers, || whole("{}", trailers())),
        format!("{LINE}{expected}")
    );
}

#[test]
fn a_connection_that_takes_nothing_is_an_error() {
    for (at_once, fails) in [(0, false), (1, true)] {
        let mut outgoing = Outgoing::default();
        outgoing.begin(Request::new(whole("{}", None)));
        let mut pipe = Pipe {
            at_once,
            fails,
            ..Pipe::default()
        };
        let mut nobody = Context::from_waker(Waker::noop());
        let done = outgoing.poll_send(&mut pipe, &mut nobody);
        assert!(matches!(done, Poll::Ready(Err(LineError::Write(_)))));
    }
}
