//! One HTTP/1.1 connection to an upstream, and the request on it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};

use super::connector::Io;
use crate::forward_body::ForwardBody;

/// A connection that nothing works but whoever has it.
pub(super) struct Line {
    sender: SendRequest<ForwardBody>,
    /// Until it has ended.
    connection: Option<Pin<Box<Connection<Io, ForwardBody>>>>,
}

impl Line {
    pub(super) async fn new(io: Io) -> hyper::Result<Self> {
        let (sender, connection) = handshake(io).await?;
        Ok(Self {
            sender,
            connection: Some(Box::pin(connection)),
        })
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    /// With the request, if nothing of it was sent.
    pub(super) async fn send(
        &mut self,
        request: Request<ForwardBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<ForwardBody>>> {
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        let connection = &mut self.connection;
        poll_fn(|ctx| {
            work(connection, ctx);
            answer.as_mut().poll(ctx)
        })
        .await
    }

    /// Reads and writes what can be.
    pub(super) fn work(&mut self, ctx: &mut Context<'_>) {
        work(&mut self.connection, ctx);
    }

    /// Works it until it can take the next request. Answers whether it ever can.
    pub(super) fn poll_free(&mut self, ctx: &mut Context<'_>) -> Poll<bool> {
        self.work(ctx);
        if self.connection.is_none() {
            return Poll::Ready(false);
        }
        self.sender.poll_ready(ctx).map(|ready| ready.is_ok())
    }

    /// Whether it can take the next request, by what is known of it now.
    pub(super) fn is_ready(&mut self) -> bool {
        self.work(&mut Context::from_waker(Waker::noop()));
        self.connection.is_some() && self.sender.is_ready()
    }
}

fn work(connection: &mut Option<Pin<Box<Connection<Io, ForwardBody>>>>, ctx: &mut Context<'_>) {
    let Some(working) = connection else { return };
    if let Poll::Ready(ended) = working.as_mut().poll(ctx) {
        *connection = None;
        if let Err(error) = ended {
            // Who has a request on it is told so by its answer.
            tracing::debug!(%error, "a connection to an upstream ended early");
        }
    }
}

#[cfg(test)]
mod tests;
