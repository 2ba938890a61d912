use bytes::Bytes;

use super::*;
use crate::upstream::testing::{
    CHUNK, HALF, LAST_CHUNK, Server, ServerEnd, WHOLE, on_one_thread, request, with_body,
};

async fn line() -> (Line, ServerEnd) {
    let (io, end) = Server::start().await.connect().await;
    (Line::new(io, Rc::default()), end)
}

/// Sends a request and gets the head of the answer.
async fn exchange(line: &mut Line, end: &mut ServerEnd, answer: &str) -> Response<()> {
    let (answer, ()) = tokio::join!(line.send(request()), end.answer(answer));
    answer.unwrap()
}

async fn next(line: &mut Line) -> Option<Result<Frame<Bytes>, LineError>> {
    poll_fn(|ctx| line.poll_frame(ctx)).await
}

/// Reads an answer to its end.
async fn read(line: &mut Line) -> Vec<u8> {
    let mut read = Vec::new();
    while let Some(frame) = next(line).await {
        read.extend_from_slice(frame.unwrap().data_ref().unwrap());
    }
    read
}

/// Waits until it is known that the other end has closed it, or said what nobody asked for.
async fn unusable(line: &mut Line) {
    while line.is_ready() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_line_takes_one_request_after_another() {
    on_one_thread(async {
        let (mut line, mut end) = line().await;
        assert!(line.is_ready());
        for answer in [
            WHOLE.to_owned(),
            [CHUNK, LAST_CHUNK].concat(),
            WHOLE.to_owned(),
        ] {
            exchange(&mut line, &mut end, &answer).await;
            assert_eq!(read(&mut line).await, b"hello");
            assert!(line.is_ready());
        }
    });
}

#[test]
fn a_line_is_not_ready_before_its_answer_has_ended() {
    on_one_thread(async {
        let (mut line, mut end) = line().await;
        exchange(&mut line, &mut end, HALF).await;
        assert!(!line.is_ready());
        let (read, ()) = tokio::join!(read(&mut line), end.say("llo"));
        assert_eq!(read, b"hello");
        assert!(line.is_ready());
    });
}

#[test]
fn a_line_that_was_closed_is_not_ready() {
    on_one_thread(async {
        let (mut line, end) = line().await;
        drop(end);
        unusable(&mut line).await;
        assert!(!line.is_ready());
    });
}

#[test]
fn a_line_whose_answer_was_its_last_is_not_ready() {
    on_one_thread(async {
        for answer in [
            "HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ] {
            let (mut line, mut end) = line().await;
            exchange(&mut line, &mut end, answer).await;
            read(&mut line).await;
            assert!(!line.is_ready());
        }
        let (mut line, mut end) = line().await;
        let kept = "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\nhello";
        exchange(&mut line, &mut end, kept).await;
        read(&mut line).await;
        assert!(line.is_ready());
    });
}

#[test]
fn a_line_on_which_something_comes_unasked_is_not_ready() {
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
        let failed = line.send(request()).await.unwrap_err();
        let unsent = failed.unsent.expect("it was not sent");
        assert_eq!(unsent.uri(), "/v1/messages");
    });
}

#[test]
fn a_request_that_may_have_arrived_does_not_come_back() {
    on_one_thread(async {
        let (mut line, mut end) = line().await;
        let closing = async move { end.read_head().await };
        let (answer, ()) = tokio::join!(line.send(request()), closing);
        assert!(answer.unwrap_err().unsent.is_none());
        assert!(!line.is_ready());
    });
}

/// A body beyond what both ends' buffers hold.
const LENGTH: usize = 16 << 20;

fn large() -> Box<Request<ForwardBody>> {
    with_body(ForwardBody::Whole {
        data: Some(Bytes::from(vec![b'x'; LENGTH])),
        trailers: None,
    })
}

#[test]
fn waiting_for_an_answer_sends_the_whole_request() {
    on_one_thread(async {
        let (mut line, mut end) = line().await;
        let answering = async {
            end.read_head().await;
            let read = end.read(LENGTH).await;
            end.say(WHOLE).await;
            read
        };
        let (answer, read) = tokio::join!(line.send(large()), answering);
        assert!(read.iter().all(|byte| *byte == b'x'));
        answer.unwrap();
    });
}

#[test]
fn reading_an_answer_sends_what_is_left_of_the_request() {
    on_one_thread(async {
        let (mut line, mut end) = line().await;
        let (answer, ()) = tokio::join!(line.send(large()), end.answer(HALF));
        answer.unwrap();
        assert!(!line.is_ready());
        let answering = async {
            end.read(LENGTH).await;
            end.say("llo").await;
        };
        let (body, ()) = tokio::join!(read(&mut line), answering);
        assert_eq!(body, b"hello");
        assert!(line.is_ready());
    });
}

#[test]
fn an_answer_that_comes_before_the_request_has_left_does_not_free_the_line() {
    on_one_thread(async {
        let (mut line, mut end) = line().await;
        let (answer, ()) = tokio::join!(line.send(large()), end.answer(WHOLE));
        answer.unwrap();
        assert_eq!(read(&mut line).await, b"hello");
        assert!(!line.is_ready(), "the request is still on its way");
        let sending = poll_fn(|ctx| line.poll_sent(ctx));
        let (is_sent, _) = tokio::join!(sending, end.read(LENGTH));
        assert!(is_sent && line.is_ready());
    });
}

#[test]
fn what_is_said_before_a_request_is_cut_off_is_heard() {
    on_one_thread(async {
        let (mut line, mut end) = line().await;
        let refusal = "HTTP/1.1 413 Too Large\r\ncontent-length: 5\r\n\r\nhello";
        // Said, and then closed with most of the request unread.
        let refusing = async move { end.answer(refusal).await };
        let (answer, ()) = tokio::join!(line.send(large()), refusing);
        assert_eq!(answer.unwrap().status(), 413);
        assert!(!line.is_ready());
    });
}

#[test]
fn an_answer_that_ends_with_a_connection_that_was_cut_off_is_not_whole() {
    on_one_thread(async {
        let (mut line, mut end) = line().await;
        let part = "HTTP/1.1 200 OK\r\n\r\npart";
        let (answer, ()) = tokio::join!(line.send(large()), end.answer(part));
        answer.unwrap();
        // With most of the request unread: the connection is reset.
        drop(end);
        let mut frames = Vec::new();
        while let Some(frame) = next(&mut line).await {
            frames.push(frame);
            if frames.last().unwrap().is_err() {
                return;
            }
        }
        panic!("it was taken for whole: {frames:?}");
    });
}

#[test]
fn interim_answers_are_passed_over_wherever_they_are_cut() {
    on_one_thread(async {
        let early = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
        let all = [early, WHOLE].concat();
        for cut in 1..all.len() {
            let (mut line, mut end) = line().await;
            let (first, second) = all.split_at(cut);
            let answering = async {
                end.answer(first).await;
                // Another packet, more often than not.
                tokio::task::yield_now().await;
                end.say(second).await;
            };
            let (answer, ()) = tokio::join!(line.send(request()), answering);
            assert_eq!(answer.unwrap().status(), 200);
            assert_eq!(read(&mut line).await, b"hello");
        }
    });
}

#[test]
fn trailers_come_behind_the_data() {
    on_one_thread(async {
        let (mut line, mut end) = line().await;
        let answer = [CHUNK, "0\r\nChecksum: 1\r\n\r\n"].concat();
        exchange(&mut line, &mut end, &answer).await;
        let data = next(&mut line).await.unwrap().unwrap();
        assert_eq!(data.into_data().unwrap(), "hello");
        assert!(!line.has_ended());
        let trailers = next(&mut line).await.unwrap().unwrap();
        assert_eq!(trailers.into_trailers().unwrap()["checksum"], "1");
        assert!(line.has_ended() && next(&mut line).await.is_none());
        assert!(line.is_ready());
    });
}

#[test]
fn what_is_no_answer_is_an_error() {
    on_one_thread(async {
        let long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(MAX_HEAD_BYTES));
        for (answer, expected) in [
            ("SSH-2.0-x\r\n\r\n", "isn't HTTP"),
            ("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "no number"),
            (long.as_str(), "too long"),
        ] {
            let (mut line, mut end) = line().await;
            let (answer, ()) = tokio::join!(line.send(request()), end.answer(answer));
            let error = answer.unwrap_err().error.to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!line.is_ready());
        }
        let (mut line, mut end) = line().await;
        exchange(&mut line, &mut end, &[CHUNK, "x"].concat()).await;
        let error = loop {
            if let Err(error) = next(&mut line).await.expect("it ended") {
                break error;
            }
        };
        assert!(error.to_string().contains("a size is no number"));
        assert!(!line.is_ready());
    });
}

#[test]
fn what_is_left_is_known_where_it_was_said() {
    on_one_thread(async {
        let (mut line, mut end) = line().await;
        exchange(&mut line, &mut end, HALF).await;
        assert_eq!(line.left(), Some(5));
        next(&mut line).await.unwrap().unwrap();
        assert_eq!(line.left(), Some(3));
        end.say("llo").await;
        next(&mut line).await.unwrap().unwrap();
        assert_eq!(line.left(), Some(0));
        exchange(&mut line, &mut end, &[CHUNK, LAST_CHUNK].concat()).await;
        assert_eq!(line.left(), None);
        assert_eq!(read(&mut line).await, b"hello");
        assert_eq!(line.left(), None);
    });
}
