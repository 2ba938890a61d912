//! The answer on its way to the caller: each frame leaves as it came, after the meter has seen it.
//!
//! The frame that completes the answer leaves only when the event of the exchange is durable, so that a caller that has
//! its answer also has its event, whatever becomes of the gateway. Frames that have arrived together leave together, in one write;
//! none waits for what hasn't arrived. The upstream is read no faster than the caller takes the bytes. Where it is wanted, an answer
//! whose caller has left is read to its end all the same.

mod ahead;

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, timeout};

use self::ahead::{Ahead, bytes};
use crate::ended::End;
use crate::exchange::Exchange;
use crate::options::Options;
use crate::silence::Silence;
use crate::upstream::{BodyError, UpstreamBody};
use crate::worker::Worker;

/// Why an answer breaks off. The caller sees a connection that ends too early, as it would upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    #[error("the upstream broke off")]
    Broken(#[source] BodyError),
    #[error("the upstream fell silent")]
    Silent,
}

/// An upstream's body on its way to the caller.
#[derive(Debug)]
pub(crate) struct Relay {
    /// There until it is dropped.
    flow: Option<Flow>,
    ahead: Ahead,
    /// What ends the answer, until the event is durable: a frame, or that there are no more.
    end: Option<Option<Frame<Bytes>>>,
    broken: Option<RelayError>,
}

/// One, or what ends them.
type Frames = Option<Result<Frame<Bytes>, RelayError>>;

/// An upstream's body with its exchange, as its frames are accounted for.
#[derive(Debug)]
pub(crate) struct Flow {
    upstream: UpstreamBody,
    exchange: Box<Exchange>,
    silence: Silence,
    /// A frame with results or totals, for whose events there is no room yet.
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    frame: Frame<Bytes>,
    look_again: Pin<Box<Sleep>>,
}

/// So many turns the task that reads from the upstream is given to hand over what has arrived behind a head.
const TURNS: u32 = 3;
/// The writers make room batch by batch.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

type Polled = Poll<Frames>;

impl Relay {
    pub(crate) fn new(
        upstream: UpstreamBody,
        exchange: Box<Exchange>,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            flow: Some(Flow::new(upstream, exchange, idle_timeout)),
            ahead: Ahead::default(),
            end: None,
            broken: None,
        }
    }

    /// Reads what is here already of an answer that isn't told bit by bit. If that is all of it, waits for the event: then the
    /// head leaves together with the body, in one write and one packet, instead of alone and ahead of it.
    pub(crate) async fn look_ahead(&mut self) {
        let Some(flow) = &mut self.flow else {
            return;
        };
        let (ahead, mut turns) = (&mut self.ahead, 0);
        let is_whole = poll_fn(|ctx| {
            loop {
                let Poll::Ready(frame) = flow.poll_accounted(ctx) else {
                    if turns == TURNS || !flow.upstream.needs_turns() {
                        return Poll::Ready(false);
                    }
                    turns += 1;
                    ctx.waker().wake_by_ref();
                    return Poll::Pending;
                };
                let is_good = !matches!(frame, Some(Err(_)));
                let is_last = ahead.push(frame, flow.is_at_end());
                if is_last || ahead.is_full() {
                    return Poll::Ready(is_last && is_good);
                }
            }
        });
        if is_whole.await {
            flow.exchange.settle(End::Complete);
            flow.exchange.durable().await;
        }
        flow.exchange.report_added_latency();
        self.ahead.leaves = !self.ahead.is_empty();
    }

    /// The next of what comes. hyper writes out what it has as soon as there is nothing, so all that has arrived is taken first. Where
    /// another task reads from the upstream, it hands over one frame a turn, and is given turns until it has no more.
    fn poll_next(ahead: &mut Ahead, flow: &mut Flow, ctx: &mut Context<'_>) -> Polled {
        while !ahead.leaves {
            match flow.poll_accounted(ctx) {
                Poll::Ready(frame) => {
                    let is_last = ahead.push(frame, flow.is_at_end());
                    ahead.leaves = is_last || ahead.is_full();
                }
                Poll::Pending if ahead.is_empty() => return Poll::Pending,
                Poll::Pending if ahead.had_turn || !flow.upstream.needs_turns() => {
                    ahead.leaves = true;
                }
                Poll::Pending => {
                    ahead.had_turn = true;
                    ctx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        // It leaves only if there is something.
        Poll::Ready(ahead.pop().flatten())
    }

    /// Lets the end of the answer go, once the event is durable.
    fn poll_end(&mut self, ctx: &mut Context<'_>) -> Polled {
        if let Some(flow) = &mut self.flow {
            ready!(flow.exchange.poll_durable(ctx));
        }
        Poll::Ready(self.end.take().flatten().map(Ok))
    }

    /// Tells of the break at the next turn: until then hyper sends on what it has of the answer, its head
    /// perhaps, which it would forget at once for an error.
    fn break_off(&mut self, error: RelayError, ctx: &Context<'_>) -> Polled {
        self.broken = Some(error);
        ctx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Flow {
    pub(crate) fn new(
        upstream: UpstreamBody,
        exchange: Box<Exchange>,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            upstream,
            exchange,
            silence: Silence::new(idle_timeout),
            held: None,
        }
    }

    pub(crate) fn settle(&mut self, end: End) {
        self.exchange.settle(end);
    }

    /// Waits until the events of what was read are.
    pub(crate) async fn durable(&mut self) {
        self.exchange.durable().await;
    }

    /// The next frame, once what it holds is accounted for.
    pub(crate) fn poll_accounted(&mut self, ctx: &mut Context<'_>) -> Polled {
        loop {
            if let Some(held) = &mut self.held {
                ready!(held.look_again.as_mut().poll(ctx));
                if self.exchange.hand_over_findings(false) {
                    return Poll::Ready(self.held.take().map(|held| Ok(held.frame)));
                }
                held.look_again.as_mut().reset(Instant::now() + LOOK_AGAIN);
                continue;
            }
            let frame = ready!(self.poll_frame(ctx));
            let Some(Ok(frame)) = frame else {
                return Poll::Ready(frame);
            };
            if let Some(data) = frame.data_ref() {
                self.exchange.observe(data);
            }
            if self.exchange.hand_over_findings(false) {
                return Poll::Ready(Some(Ok(frame)));
            }
            self.held = Some(Held {
                frame,
                look_again: Box::pin(sleep(LOOK_AGAIN)),
            });
        }
    }

    fn poll_frame(&mut self, ctx: &mut Context<'_>) -> Polled {
        let Poll::Ready(frame) = Pin::new(&mut self.upstream).poll_frame(ctx) else {
            ready!(self.silence.poll_too_long(ctx));
            return Poll::Ready(Some(Err(RelayError::Silent)));
        };
        self.silence.broken();
        Poll::Ready(frame.map(|frame| frame.map_err(RelayError::Broken)))
    }

    /// Whether the last frame was the last that matters.
    fn is_at_end(&self) -> bool {
        // With a content-length nobody polls behind the last byte of it, though HTTP/2 may end the stream in a frame of its own;
        // of a stream, the caller may not wait for more than its last event.
        self.held.is_none()
            && (self.upstream.is_end_stream()
                || self.upstream.size_hint().exact() == Some(0)
                || self.exchange.is_answer_complete())
    }

    /// Reads on after the caller has left, up to the limit.
    async fn drain(mut self, _place: Place) {
        let reading = async {
            while let Some(Ok(_)) = poll_fn(|ctx| self.poll_accounted(ctx)).await {
                if self.is_at_end() {
                    break;
                }
            }
        };
        let in_time = timeout(Options::DRAIN_LIMIT, reading).await.is_ok();
        let is_whole = in_time && self.exchange.is_answer_complete();
        self.exchange.settle(if is_whole {
            End::Drained
        } else {
            End::CallerGone
        });
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Polled {
        let relay = self.get_mut();
        if let Some(error) = relay.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if relay.end.is_some() {
            return relay.poll_end(ctx);
        }
        let Some(flow) = &mut relay.flow else {
            return Poll::Ready(None);
        };
        let frame = ready!(Self::poll_next(&mut relay.ahead, flow, ctx));
        Poll::Ready(match frame {
            Some(Ok(frame)) if relay.ahead.is_empty() && flow.is_at_end() => {
                flow.exchange.settle(End::Complete);
                relay.end = Some(Some(frame));
                return relay.poll_end(ctx);
            }
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error @ RelayError::Silent)) => {
                flow.exchange.settle(End::UpstreamSilent);
                Some(Err(error))
            }
            Some(Err(error @ RelayError::Broken(_))) => {
                flow.exchange.settle(End::UpstreamBroke);
                return relay.break_off(error, ctx);
            }
            None => {
                flow.exchange.settle(End::Complete);
                relay.end = Some(None);
                return relay.poll_end(ctx);
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        let flow = self.flow.as_ref();
        self.end.is_none()
            && self.ahead.is_empty()
            && flow.is_none_or(|flow| flow.held.is_none() && flow.upstream.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let Some(flow) = &self.flow else {
            return SizeHint::default();
        };
        let held = flow.held.as_ref().map_or(0, |held| bytes(&held.frame));
        let read = (self.ahead.bytes() + held) as u64;
        let behind = flow.upstream.size_hint();
        let mut all = SizeHint::new();
        if let Some(upper) = behind.upper() {
            all.set_upper(upper.saturating_add(read));
        }
        all.set_lower(behind.lower().saturating_add(read));
        all
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let Some(flow) = self
            .flow
            .take()
            .filter(|flow| flow.exchange.is_to_be_drained())
        else {
            return;
        };
        let worker = Rc::clone(flow.exchange.worker());
        if let Some(place) = Place::take(&worker) {
            // Tracked: shutdown waits for it.
            drop(worker.tasks.spawn_local(flow.drain(place)));
        }
    }
}

/// A place among the answers that are read on. There is none when the deadline of shutdown has passed.
struct Place(Rc<Worker>);

impl Place {
    fn take(worker: &Rc<Worker>) -> Option<Self> {
        let taken = worker.drained.get();
        (taken < Options::MAX_DRAINED && !worker.cut_off.get()).then(|| {
            worker.drained.set(taken + 1);
            Self(Rc::clone(worker))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.drained.set(self.0.drained.get().saturating_sub(1));
    }
}
