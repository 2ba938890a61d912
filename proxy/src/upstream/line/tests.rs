use bytes::Bytes;
use http_body_util::BodyExt as _;

use super::*;
use crate::upstream::testing::{HALF, Server, ServerEnd, WHOLE, on_one_thread, request, with_body};

async fn line() -> (Line, ServerEnd) {
    let (io, end) = Server::start().await.connect().await;
    (Line::new(io).await.unwrap(), end)
}

/// Sends a request and gets the head of the answer.
async fn exchange(line: &mut Line, end: &mut ServerEnd, answer: &str) -> Incoming {
    let (answer, ()) = tokio::join!(line.send(request()), end.answer(answer));
    answer.unwrap().into_body()
}

/// Reads an answer to its end.
async fn read(line: &mut Line, mut body: Incoming) -> Vec<u8> {
    let mut read = Vec::new();
    let mut next = async || {
        poll_fn(|ctx| {
            line.work(ctx);
            std::pin::Pin::new(&mut body.frame()).poll(ctx)
        })
        .await
    };
    while let Some(frame) = next().await {
        read.extend_from_slice(frame.unwrap().data_ref().unwrap());
    }
    read
}

async fn is_ever_free(line: &mut Line) -> bool {
    poll_fn(|ctx| line.poll_free(ctx)).await
}

/// Waits until it is known that the other end has closed it, or said what nobody asked for.
async fn unusable(line: &mut Line) {
    // Until something is known, it is free.
    while is_ever_free(line).await {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_new_line_is_free() {
    on_one_thread(async {
        let (mut line, _end) = line().await;
        assert!(is_ever_free(&mut line).await);
        assert!(line.is_ready());
    });
}

#[test]
fn a_line_takes_one_request_after_another() {
    on_one_thread(async {
        let (mut line, mut end) = line().await;
        for _ in 0..3 {
            let body = exchange(&mut line, &mut end, WHOLE).await;
            assert_eq!(read(&mut line, body).await, b"hello");
            assert!(line.is_ready());
        }
    });
}

#[test]
fn a_line_is_not_free_before_its_answer_has_ended() {
    on_one_thread(async {
        let (mut line, mut end) = line().await;
        let body = exchange(&mut line, &mut end, HALF).await;
        assert!(!line.is_ready());
        let (read, ()) = tokio::join!(read(&mut line, body), end.say("llo"));
        assert_eq!(read, b"hello");
        assert!(line.is_ready());
    });
}

#[test]
fn a_line_whose_answer_nobody_reads_is_never_free() {
    on_one_thread(async {
        let (mut line, mut end) = line().await;
        drop(exchange(&mut line, &mut end, HALF).await);
        assert!(!is_ever_free(&mut line).await);
        assert!(!line.is_ready());
        end.closed().await;
    });
}

#[test]
fn a_line_that_was_closed_is_never_free() {
    on_one_thread(async {
        let (mut line, end) = line().await;
        drop(end);
        unusable(&mut line).await;
        assert!(!line.is_ready());
    });
}

#[test]
fn a_line_whose_answer_was_its_last_is_not_free() {
    on_one_thread(async {
        let (mut line, mut end) = line().await;
        let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
        let body = exchange(&mut line, &mut end, answer).await;
        assert_eq!(read(&mut line, body).await, b"hello");
        assert!(!line.is_ready());
        end.closed().await;
    });
}

#[test]
fn a_line_on_which_something_comes_unasked_is_not_free() {
    on_one_thread(async {
        let (mut line, mut end) = line().await;
        end.say(WHOLE).await;
        unusable(&mut line).await;
        assert!(!line.is_ready());
    });
}

#[test]
fn a_request_that_was_not_sent_comes_back() {
    on_one_thread(async {
        let (mut line, end) = line().await;
        drop(end);
        unusable(&mut line).await;
        let mut failed = line.send(request()).await.unwrap_err();
        let unsent = failed.take_message().expect("it was not sent");
        assert_eq!(unsent.uri(), "/v1/messages");
    });
}

#[test]
fn a_request_that_may_have_arrived_does_not_come_back() {
    on_one_thread(async {
        let (mut line, mut end) = line().await;
        let closing = async move { end.read_head().await };
        let (answer, ()) = tokio::join!(line.send(request()), closing);
        assert!(answer.unwrap_err().take_message().is_none());
    });
}

#[test]
fn waiting_for_an_answer_sends_the_whole_request() {
    on_one_thread(async {
        // Beyond what both ends' buffers hold.
        const LENGTH: usize = 16 << 20;
        let (mut line, mut end) = line().await;
        let body = ForwardBody::Whole {
            data: Some(Bytes::from(vec![b'x'; LENGTH])),
            trailers: None,
        };
        let answering = async {
            end.read_head().await;
            let read = end.read(LENGTH).await;
            end.say(WHOLE).await;
            read
        };
        let (answer, read) = tokio::join!(line.send(with_body(body)), answering);
        assert!(read.iter().all(|byte| *byte == b'x'));
        answer.unwrap();
    });
}
