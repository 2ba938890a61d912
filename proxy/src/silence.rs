//! A timer for peers that fall silent.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Notices a peer that says nothing for too long, while it is being waited for.
///
/// The timer is armed by the first wait and then left alone: a frame costs a note of the time, and
/// only a timer that fires is set again.
#[derive(Debug)]
pub(crate) struct Silence {
    timeout: Duration,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            since: None,
            timer: None,
        }
    }

    /// Something was said.
    pub(crate) fn broken(&mut self) {
        self.since = None;
    }

    pub(crate) fn poll_too_long(&mut self, ctx: &mut Context<'_>) -> Poll<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let end = since + self.timeout;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        loop {
            ready!(timer.as_mut().poll(ctx));
            if timer.deadline() >= end {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
    }
}
