mod uploads;

use http_body_util::BodyExt as _;

use super::*;
use crate::upstream::testing::{
    Server, ServerEnd, WHOLE, connector, on_one_thread, request, until,
};

fn pool() -> Rc<Pool> {
    Rc::new(Pool::new(connector()))
}

impl Pool {
    /// How many wait for a request.
    fn waiting(&self) -> usize {
        let idle = self.idle.borrow();
        idle.iter().map(|(_, lines)| lines.len()).sum()
    }

    /// Waits until the oldest of the first server is known to be of no more use.
    async fn oldest_unusable(&self) {
        let is_ready = || self.idle.borrow_mut()[0].1[0].line.is_ready();
        until(|| !is_ready()).await;
    }
}

/// Sends a request over a new connection.
async fn ask(pool: &Rc<Pool>, server: &Server) -> (UpstreamBody, ServerEnd) {
    let sending = pool.send(&server.target, request());
    let (answer, end) = tokio::join!(sending, server.answer(WHOLE));
    (answer.unwrap().into_body(), end)
}

/// Sends a request that comes over this connection, or else the test fails.
async fn ask_again(pool: &Rc<Pool>, target: &Target, end: &mut ServerEnd) -> UpstreamBody {
    let (answer, ()) = tokio::join!(pool.send(target, request()), end.answer(WHOLE));
    answer.unwrap().into_body()
}

async fn read(body: UpstreamBody) {
    assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
}

/// So many connections that wait, the oldest first.
async fn waiting(pool: &Rc<Pool>, server: &Server, count: usize) -> Vec<ServerEnd> {
    let (mut bodies, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (body, end) = ask(pool, server).await;
        bodies.push(body);
        ends.push(end);
    }
    assert_eq!(
        pool.waiting(),
        0,
        "one that has a request was given to another"
    );
    for body in bodies {
        read(body).await;
    }
    assert_eq!(pool.waiting(), count);
    ends
}

#[test]
fn a_connection_is_used_again() {
    on_one_thread(async {
        let (pool, server) = (pool(), Server::start().await);
        let mut ends = waiting(&pool, &server, 1).await;
        for _ in 0..3 {
            let body = ask_again(&pool, &server.target, &mut ends[0]).await;
            assert_eq!(pool.waiting(), 0);
            read(body).await;
            assert_eq!(pool.waiting(), 1);
        }
    });
}

#[test]
fn the_connection_used_last_is_used_first() {
    on_one_thread(async {
        let (pool, server) = (pool(), Server::start().await);
        let mut ends = waiting(&pool, &server, 3).await;
        let last = ask_again(&pool, &server.target, &mut ends[2]).await;
        let before = ask_again(&pool, &server.target, &mut ends[1]).await;
        read(last).await;
        read(before).await;
        read(ask_again(&pool, &server.target, &mut ends[1]).await).await;
    });
}

#[test]
fn servers_share_no_connections_but_keys_of_one_do() {
    on_one_thread(async {
        let (pool, server, other) = (pool(), Server::start().await, Server::start().await);
        let mut ends = waiting(&pool, &server, 1).await;
        let (body, _other_end) = ask(&pool, &other).await;
        read(body).await;
        assert_eq!(pool.waiting(), 2);

        let base_url = format!("{}prefix", server.target.server().unwrap());
        let of_another_key = Target::new(&base_url, Some("sk-ant-api03-x")).unwrap();
        read(ask_again(&pool, &of_another_key, &mut ends[0]).await).await;
        assert_eq!(pool.waiting(), 2);
    });
}

#[test]
fn what_is_known_to_be_unusable_is_not_handed_out() {
    on_one_thread(async {
        let (pool, server) = (pool(), Server::start().await);
        for is_closed in [true, false] {
            let mut end = waiting(&pool, &server, 1).await.remove(0);
            if is_closed {
                drop(end);
            } else {
                end.say(WHOLE).await;
            }
            pool.oldest_unusable().await;
            assert!(pool.take(&server.target).is_none());
            assert_eq!(pool.waiting(), 0, "nobody could ever use it");
        }
    });
}

#[test]
fn a_connection_closed_meanwhile_is_not_used() {
    on_one_thread(async {
        let (pool, server) = (pool(), Server::start().await);
        drop(waiting(&pool, &server, 1).await);
        pool.oldest_unusable().await;
        let (body, _end) = ask(&pool, &server).await;
        read(body).await;
    });
}

#[test]
fn however_many_were_closed_meanwhile_none_is_used() {
    on_one_thread(async {
        // More than a task may read from in one turn: the others look open, and the request comes back from the first of them.
        const MANY: usize = 300;
        let (pool, server) = (pool(), Server::start().await);
        let mut ends = waiting(&pool, &server, MANY).await;
        // The oldest is closed last: once that is known, it is known of all. It would be the last to be looked at.
        while ends.pop().is_some() {}
        pool.oldest_unusable().await;
        let (body, _end) = ask(&pool, &server).await;
        read(body).await;
        assert_eq!(pool.waiting(), 1);
    });
}

#[test]
fn one_that_is_open_is_found_behind_those_that_were_closed() {
    on_one_thread(async {
        let (pool, server) = (pool(), Server::start().await);
        let mut ends = waiting(&pool, &server, 3).await;
        let (mut open, closed) = (ends.remove(1), ends);
        // The newest first.
        closed.into_iter().rev().for_each(drop);
        pool.oldest_unusable().await;
        read(ask_again(&pool, &server.target, &mut open).await).await;
    });
}

#[test]
fn a_connection_on_which_something_comes_unasked_is_not_used() {
    on_one_thread(async {
        let (pool, server) = (pool(), Server::start().await);
        let mut ends = waiting(&pool, &server, 1).await;
        ends[0].say(WHOLE.replace("hello", "wrong").as_str()).await;
        pool.oldest_unusable().await;
        let (body, _end) = ask(&pool, &server).await;
        read(body).await;
    });
}

#[test]
fn a_request_that_may_have_arrived_is_not_sent_again() {
    on_one_thread(async {
        let (pool, server) = (pool(), Server::start().await);
        let mut end = waiting(&pool, &server, 1).await.remove(0);
        let closing = async move { end.read_head().await };
        let (answer, ()) = tokio::join!(pool.send(&server.target, request()), closing);
        assert!(matches!(answer, Err(SendError::Broken(_))));
        assert_eq!(pool.waiting(), 0);
    });
}

#[test]
fn a_new_connection_that_is_closed_is_not_made_again() {
    on_one_thread(async {
        let (pool, server) = (pool(), Server::start().await);
        let closing = async { drop(server.accept().await) };
        let (answer, ()) = tokio::join!(pool.send(&server.target, request()), closing);
        assert!(matches!(answer, Err(SendError::Broken(_))));
    });
}

#[test]
fn a_server_that_is_not_there_is_told_from_one_that_breaks_off() {
    on_one_thread(async {
        let (pool, server) = (pool(), Server::start().await);
        let target = server.target.clone();
        drop(server);
        let answer = pool.send(&target, request()).await;
        assert!(matches!(answer, Err(SendError::Connect(_))));
    });
}

#[test]
fn a_connection_that_was_idle_for_long_is_closed() {
    on_one_thread(async {
        let (pool, server) = (pool(), Server::start().await);
        let mut ends = waiting(&pool, &server, 3).await;
        // As if they had been given back earlier.
        let ages = [IDLE_TIMEOUT, IDLE_TIMEOUT / 2, Duration::ZERO];
        for (kept, age) in pool.idle.borrow_mut()[0].1.iter_mut().zip(ages) {
            kept.since -= age;
        }
        pool.tidy_up().await;
        assert_eq!(pool.waiting(), 2);
        ends.remove(0).closed().await;
        // The time counts from its last use.
        let last = ask_again(&pool, &server.target, &mut ends[1]).await;
        read(ask_again(&pool, &server.target, &mut ends[0]).await).await;
        read(last).await;
        for kept in &mut pool.idle.borrow_mut()[0].1 {
            kept.since -= IDLE_TIMEOUT / 2;
        }
        pool.tidy_up().await;
        assert_eq!(pool.waiting(), 2);
    });
}

#[test]
fn what_the_other_end_has_closed_is_tidied_away() {
    on_one_thread(async {
        let (pool, server) = (pool(), Server::start().await);
        let other = Server::start().await;
        // More than a task may read from in one turn.
        let mut ends = waiting(&pool, &server, 300).await;
        let (body, _other_end) = ask(&pool, &other).await;
        read(body).await;
        while ends.pop().is_some() {}
        pool.oldest_unusable().await;
        pool.tidy_up().await;
        assert_eq!(pool.waiting(), 1, "those of the other server stay");
        assert_eq!(
            pool.idle.borrow().len(),
            1,
            "nothing is kept of a server without any"
        );
    });
}
