use http::Request;
use http_body_util::BodyExt as _;

use super::*;
use crate::forward_body::ForwardBody;
use crate::upstream::testing::{
    CHUNK, HALF, LAST_CHUNK, Server, ServerEnd, WHOLE, connector, on_one_thread, request,
};

/// A server, and the connections to it.
struct Upstream {
    server: Server,
    pool: Rc<Pool>,
}

impl Upstream {
    async fn start() -> Self {
        Self {
            server: Server::start().await,
            pool: Rc::new(Pool::new(connector())),
        }
    }

    /// Sends a request over a new connection, and gets the answer as far as it has come.
    async fn ask(&self, answer: &str) -> (UpstreamBody, ServerEnd) {
        self.ask_by(request(), answer).await
    }

    async fn ask_by(
        &self,
        request: Box<Request<ForwardBody>>,
        answer: &str,
    ) -> (UpstreamBody, ServerEnd) {
        let sending = self.pool.send(&self.server.target, request);
        let (body, end) = tokio::join!(sending, self.server.answer(answer));
        (body.unwrap().into_body(), end)
    }

    /// Sends another request. Fails if it doesn't come over this connection.
    async fn ask_again(&self, mut end: ServerEnd) {
        let sending = self.pool.send(&self.server.target, request());
        let (answer, ()) = tokio::join!(sending, end.answer(WHOLE));
        let body = answer.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    }

    /// The connection is closed, and another request comes over a new one.
    async fn ask_anew(&self, old: ServerEnd) {
        old.closed().await;
        self.ask(WHOLE).await;
    }
}

async fn next_data(body: &mut UpstreamBody) -> Bytes {
    let frame = body.frame().await.expect("it ended").unwrap();
    frame.into_data().expect("trailers came")
}

#[test]
fn the_connection_of_an_answer_that_ended_is_used_again() {
    on_one_thread(async {
        for answer in [
            WHOLE.to_owned(),
            [CHUNK, LAST_CHUNK].concat(),
            [CHUNK, "0\r\nchecksum: 1\r\n\r\n"].concat(),
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned(),
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        ] {
            let upstream = Upstream::start().await;
            let (body, end) = upstream.ask(&answer).await;
            body.collect().await.unwrap();
            upstream.ask_again(end).await;
        }
    });
}

#[test]
fn an_answer_without_a_body_needs_no_reading() {
    on_one_thread(async {
        let upstream = Upstream::start().await;
        let (body, end) = upstream
            .ask("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
        assert!(body.is_end_stream());
        drop(body);
        upstream.ask_again(end).await;

        let upstream = Upstream::start().await;
        let mut head = request();
        *head.method_mut() = http::Method::HEAD;
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
        let (body, end) = upstream.ask_by(head, answer).await;
        drop(body);
        upstream.ask_again(end).await;
    });
}

#[test]
fn behind_the_last_byte_of_a_known_length_nobody_needs_to_look() {
    on_one_thread(async {
        let upstream = Upstream::start().await;
        let (mut body, end) = upstream.ask(WHOLE).await;
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(next_data(&mut body).await, "hello");
        drop(body);
        upstream.ask_again(end).await;
    });
}

#[test]
fn an_end_that_has_come_with_the_last_event_is_seen() {
    on_one_thread(async {
        let upstream = Upstream::start().await;
        let (mut body, end) = upstream.ask(&[CHUNK, LAST_CHUNK].concat()).await;
        assert_eq!(next_data(&mut body).await, "hello");
        drop(body);
        upstream.ask_again(end).await;
    });
}

#[test]
fn an_end_that_comes_too_late_closes_the_connection() {
    on_one_thread(async {
        let upstream = Upstream::start().await;
        let (mut body, end) = upstream.ask(CHUNK).await;
        assert_eq!(next_data(&mut body).await, "hello");
        drop(body);
        upstream.ask_anew(end).await;
    });
}

#[test]
fn the_connection_of_an_answer_that_nobody_reads_is_closed() {
    on_one_thread(async {
        for answer in [HALF, CHUNK, "HTTP/1.1 200 OK\r\n\r\nhello"] {
            let upstream = Upstream::start().await;
            let (body, end) = upstream.ask(answer).await;
            drop(body);
            upstream.ask_anew(end).await;
        }
    });
}

#[test]
fn the_connection_of_an_answer_that_is_half_read_is_closed() {
    on_one_thread(async {
        let upstream = Upstream::start().await;
        let (mut body, end) = upstream.ask(HALF).await;
        assert_eq!(next_data(&mut body).await, "he");
        drop(body);
        upstream.ask_anew(end).await;
    });
}

#[test]
fn an_answer_that_is_half_here_when_it_is_dropped_closes_the_connection() {
    on_one_thread(async {
        // More than is read at once: what is left of it must not be taken for the next answer.
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
        let upstream = Upstream::start().await;
        let (mut body, end) = upstream
            .ask(&format!("{head}{}", "x".repeat(100_000)))
            .await;
        next_data(&mut body).await;
        drop(body);
        upstream.ask_anew(end).await;
    });
}

#[test]
fn an_answer_that_breaks_off_is_an_error() {
    on_one_thread(async {
        for answer in [HALF, CHUNK] {
            let upstream = Upstream::start().await;
            let (mut body, end) = upstream.ask(answer).await;
            drop(end);
            next_data(&mut body).await;
            body.frame().await.expect("it ended").unwrap_err();
            drop(body);
            upstream.ask(WHOLE).await;
        }
    });
}

#[test]
fn an_answer_that_ends_with_its_connection_is_whole() {
    on_one_thread(async {
        let upstream = Upstream::start().await;
        let (body, end) = upstream.ask("HTTP/1.1 200 OK\r\n\r\nhello").await;
        drop(end);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        upstream.ask(WHOLE).await;
    });
}

#[test]
fn the_connection_of_an_answer_that_was_its_last_is_closed() {
    on_one_thread(async {
        let upstream = Upstream::start().await;
        let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
        let (body, end) = upstream.ask(answer).await;
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        upstream.ask_anew(end).await;
    });
}

#[test]
fn a_connection_with_more_on_it_than_the_answer_is_closed() {
    on_one_thread(async {
        let upstream = Upstream::start().await;
        let (body, end) = upstream.ask(&[WHOLE, WHOLE].concat()).await;
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        upstream.ask_anew(end).await;
    });
}

#[test]
fn an_answer_is_read_as_it_comes() {
    on_one_thread(async {
        let upstream = Upstream::start().await;
        let (mut body, mut end) = upstream.ask(HALF).await;
        assert!(!body.needs_turns(), "its own task works the connection");
        assert_eq!(next_data(&mut body).await, "he");
        let (next, ()) = tokio::join!(next_data(&mut body), end.say("llo"));
        assert_eq!(next, "llo");
        drop(body);
        upstream.ask_again(end).await;
    });
}
