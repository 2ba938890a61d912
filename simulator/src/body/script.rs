//! A stream's events on their way out.
//!
//! Never two events in one write: after each the script pauses (for the pacing, or just long enough for hyper
//! to flush), as the API's streams arrive. It hands out slices of the one buffer that holds them all.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::HangUp;
use super::events::Events;

/// How a script ends after its last event.
#[derive(Debug)]
pub(crate) enum Ending {
    Complete,
    HangUp,
    /// Nothing more until the server shuts down.
    Silence(Pin<Box<WaitForCancellationFutureOwned>>),
}

#[derive(Debug)]
pub(crate) struct Script {
    unsent: Bytes,
    lengths: std::vec::IntoIter<usize>,
    ending: Ending,
    between: Duration,
    pause: Pause,
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    None,
    Due,
    Running,
}

impl Script {
    pub(crate) fn new(events: Events, between: Duration, ending: Ending) -> Self {
        let mut script = Self {
            unsent: events.buffer.into(),
            lengths: events.lengths.into_iter(),
            ending,
            between,
            pause: Pause::None,
            timer: None,
        };
        // The head of a stream that breaks off before its first event must still go out.
        if script.lengths.len() == 0 {
            script.pause = script.pause_after_event();
        }
        script
    }

    /// The last event of a complete stream leaves together with the end of the body.
    fn pause_after_event(&self) -> Pause {
        if self.is_over() {
            Pause::None
        } else {
            Pause::Due
        }
    }

    /// Nothing is left to say, and no break is due.
    pub(super) fn is_over(&self) -> bool {
        self.lengths.len() == 0 && matches!(self.ending, Ending::Complete)
    }

    pub(super) fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, HangUp>>> {
        ready!(self.poll_pause(cx));
        if let Some(length) = self.lengths.next() {
            self.pause = self.pause_after_event();
            let event = self.unsent.split_to(length.min(self.unsent.len()));
            return Poll::Ready(Some(Ok(event)));
        }
        match &mut self.ending {
            Ending::Complete => Poll::Ready(None),
            Ending::HangUp => Poll::Ready(Some(Err(HangUp))),
            Ending::Silence(shutdown) => {
                ready!(shutdown.as_mut().poll(cx));
                Poll::Ready(Some(Err(HangUp)))
            }
        }
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.pause {
            Pause::None => return Poll::Ready(()),
            Pause::Due => ready!(self.poll_start_of_pause(cx)),
            Pause::Running => {
                if let Some(timer) = &mut self.timer {
                    ready!(timer.as_mut().poll(cx));
                }
            }
        }
        self.pause = Pause::None;
        Poll::Ready(())
    }

    fn poll_start_of_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.pause = Pause::Running;
        if self.between.is_zero() {
            // Pending makes hyper flush; the wake-up brings the next event.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let sleep = tokio::time::sleep(self.between);
        match &mut self.timer {
            Some(timer) => timer.as_mut().set(sleep),
            None => self.timer = Some(Box::pin(sleep)),
        }
        self.timer
            .as_mut()
            .map_or(Poll::Ready(()), |timer| timer.as_mut().poll(cx))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::{Duration, Ending, Events, HangUp, Script};
    use crate::body::Body;

    fn events(texts: &[&str]) -> Events {
        let mut events = Events::default();
        for text in texts {
            events.buffer.extend_from_slice(text.as_bytes());
            events.close();
        }
        events
    }

    async fn check(texts: &[&str], ending: Ending, breaks: bool) {
        let script = Script::new(events(texts), Duration::ZERO, ending);
        let mut body = Body::Script(Box::new(script));
        for text in texts {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), text.as_bytes());
        }
        let end = body.frame().await;
        assert_eq!(matches!(end, Some(Err(HangUp))), breaks, "{end:?}");
    }

    #[tokio::test]
    async fn scripts_give_each_event_and_then_their_ending() {
        check(&["one", "two"], Ending::Complete, false).await;
        check(&["one", "two"], Ending::HangUp, true).await;
        check(&[], Ending::Complete, false).await;
        check(&[], Ending::HangUp, true).await;
    }
}
