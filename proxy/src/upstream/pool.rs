//! One thread's HTTP/1.1 connections that wait for their next request.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use tokio::task::coop::unconstrained;
use tokio::time::Instant;
use tower_service::Service as _;

use super::body::UpstreamBody;
use super::connector::CountedConnector;
use super::line::{Desk, Line};
use super::{SendError, Target};
use crate::forward_body::ForwardBody;

/// A connection that hasn't been used for so long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// How often it is looked whether the other end has closed any.
const TIDY_INTERVAL: Duration = Duration::from_secs(5);

pub(super) struct Pool {
    connector: CountedConnector,
    desk: Rc<Desk>,
    /// By their servers, of which there are few; the one used last stands last, and is used first.
    idle: RefCell<Vec<OfServer>>,
}

type OfServer = (Rc<Target>, Vec<Idle>);

struct Idle {
    line: Line,
    since: Instant,
}

impl Pool {
    pub(super) fn new(connector: CountedConnector) -> Self {
        Self {
            connector,
            desk: Rc::default(),
            idle: RefCell::default(),
        }
    }

    /// Sends a request over a connection that waits for one, or else over a new one.
    pub(super) async fn send(
        self: &Rc<Self>,
        target: &Target,
        mut request: Box<Request<ForwardBody>>,
    ) -> Result<Response<UpstreamBody>, SendError> {
        loop {
            let kept = self.take(target);
            let is_new = kept.is_none();
            let (server, mut line) = match kept {
                Some(kept) => kept,
                None => (
                    Rc::new(target.clone()),
                    Box::pin(self.connect(target)).await?,
                ),
            };
            match line.send(request).await {
                Ok(answer) => {
                    let body = |()| UpstreamBody::new(line, server, self);
                    return Ok(answer.map(body));
                }
                Err(failed) => match failed.unsent {
                    // It had been closed meanwhile, and nothing was sent.
                    Some(unsent) if !is_new => request = unsent,
                    Some(_) | None => return Err(SendError::Broken(failed.error.into())),
                },
            }
        }
    }

    async fn connect(&self, target: &Target) -> Result<Line, SendError> {
        let server = target
            .server()
            .map_err(|error| SendError::Connect(error.into()))?;
        let io = self.connector.clone().call(server).await;
        let io = io.map_err(SendError::Connect)?;
        Ok(Line::new(io, Rc::clone(&self.desk)))
    }

    fn take(&self, target: &Target) -> Option<(Rc<Target>, Line)> {
        let mut idle = self.idle.borrow_mut();
        let (server, lines) = of_server(&mut idle, target)?;
        while let Some(mut kept) = lines.pop() {
            if kept.line.is_ready() {
                return Some((Rc::clone(server), kept.line));
            }
        }
        None
    }

    /// Takes a connection back, if it can take another request.
    pub(super) fn give_back(&self, server: Rc<Target>, mut line: Line) {
        if !line.is_ready() {
            return;
        }
        let since = Instant::now();
        let kept = Idle { line, since };
        let mut idle = self.idle.borrow_mut();
        match of_server(&mut idle, &server) {
            Some((_, lines)) => lines.push(kept),
            None => idle.push((server, vec![kept])),
        }
    }

    /// Closes what has been idle for long, or has been closed by the other end. It never ends.
    pub(super) async fn tidy(&self) {
        loop {
            tokio::time::sleep(TIDY_INTERVAL).await;
            self.tidy_up().await;
        }
    }

    async fn tidy_up(&self) {
        // All of them in one turn: a task that has had its share of a turn would see no end of any more.
        unconstrained(async {
            let now = Instant::now();
            let mut idle = self.idle.borrow_mut();
            for (_, lines) in idle.iter_mut() {
                lines.retain_mut(|kept| {
                    now.duration_since(kept.since) < IDLE_TIMEOUT && kept.line.is_ready()
                });
            }
            idle.retain(|(_, lines)| !lines.is_empty());
        })
        .await;
    }
}

fn of_server<'a>(idle: &'a mut [OfServer], target: &Target) -> Option<&'a mut OfServer> {
    idle.iter_mut()
        .find(|(server, _)| server.is_same_server(target))
}

#[cfg(test)]
mod tests;
