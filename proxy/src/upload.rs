//! A body that streams through to the upstream, and what becomes of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use policy_engine::{Denial, Notes};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::admission::Undecided;
use crate::failure::Failure;
use crate::request_body::{Discard, Limits};
use crate::silence::Silence;

/// How long the upstream's connection may take to let go of a body it has no use for.
const RETURN_TIMEOUT: Duration = Duration::from_millis(250);

/// A caller's body within limits. Dropped before its end, what is left of it goes back to its [`UploadWatch`].
#[derive(Debug)]
pub(crate) struct Upload {
    body: Option<Incoming>,
    limits: Limits,
    sent: u64,
    silence: Silence,
    fate: Arc<Fate>,
    rest: Option<oneshot::Sender<Incoming>>,
}

/// Knows how an upload goes, and gets what is left of one that failed.
#[derive(Debug)]
pub(crate) struct UploadWatch {
    fate: Arc<Fate>,
    rest: oneshot::Receiver<Incoming>,
}

#[derive(Debug, Default)]
struct Fate {
    /// Asked for data at all: the caller may have been told to send it.
    begun: AtomicBool,
    /// Asked for data since the watch last looked.
    asked: AtomicBool,
    finished: OnceLock<Instant>,
    failure: OnceLock<Failure>,
    /// Of a batch whose items were looked at.
    verdict: OnceLock<Verdict>,
}

/// What rules have to say of what was sent.
#[derive(Debug)]
pub(crate) enum Verdict {
    Passed(Notes),
    Denied(Box<Denial>),
}

/// Why an upload ended early; told to the upstream's connection, which then gives up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error("the request body is too large")]
    TooLarge,
    #[error("the caller fell silent")]
    Silent,
    #[error("the caller broke off")]
    Broken(#[source] hyper::Error),
    #[error("what the caller sends may not pass")]
    Refused,
}

impl Upload {
    pub(crate) fn new(body: Incoming, limits: Limits) -> (Self, UploadWatch) {
        let fate = Arc::new(Fate::default());
        let (rest, receiver) = oneshot::channel();
        let watch = UploadWatch {
            fate: Arc::clone(&fate),
            rest: receiver,
        };
        let silence = Silence::new(limits.idle);
        let upload = Self {
            body: Some(body),
            limits,
            sent: 0,
            silence,
            fate,
            rest: Some(rest),
        };
        upload.note_end();
        (upload, watch)
    }

    pub(crate) fn poll_frame(
        &mut self,
        ctx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        // Relaxed: set and read on one thread.
        self.fate.begun.store(true, Ordering::Relaxed);
        self.fate.asked.store(true, Ordering::Relaxed);
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let Poll::Ready(frame) = std::pin::Pin::new(body).poll_frame(ctx) else {
            ready!(self.silence.poll_too_long(ctx));
            return Poll::Ready(Some(Err(
                self.failed(Failure::BodyTimeout, UploadError::Silent)
            )));
        };
        self.silence.broken();
        // Behind the last frame of a body of known length nobody polls.
        self.note_end();
        Poll::Ready(match frame {
            None => {
                self.fate.finished.get_or_init(Instant::now);
                None
            }
            Some(Err(error)) => Some(Err(
                self.failed(Failure::BodyBroken, UploadError::Broken(error))
            )),
            Some(Ok(frame)) => Some(self.within_limit(frame)),
        })
    }

    fn within_limit(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, UploadError> {
        self.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
        let limit = self.limits.max_bytes;
        if self.sent > limit {
            return Err(self.failed(Failure::BodyTooLarge { limit }, UploadError::TooLarge));
        }
        Ok(frame)
    }

    /// Every byte that was announced has been given.
    pub(crate) fn is_all_given(&self) -> bool {
        self.is_end_stream() || self.size_hint().exact() == Some(0)
    }

    /// All that was sent may pass.
    pub(crate) fn passed(&self, notes: Notes) {
        self.fate.verdict.get_or_init(|| Verdict::Passed(notes));
    }

    /// What was sent is refused.
    pub(crate) fn refused(&self, why: Undecided) -> UploadError {
        let failure = match why {
            Undecided::Failed(failure) => failure,
            Undecided::Denied(denial) => {
                let failure = Failure::Denied(denial.reason);
                self.fate.verdict.get_or_init(|| Verdict::Denied(denial));
                failure
            }
        };
        self.failed(failure, UploadError::Refused)
    }

    fn failed(&self, failure: Failure, error: UploadError) -> UploadError {
        self.fate.failure.get_or_init(|| failure);
        error
    }

    fn note_end(&self) {
        if self.is_all_given() {
            self.fate.finished.get_or_init(Instant::now);
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(body), Some(rest)) = (self.body.take(), self.rest.take())
            && !body.is_end_stream()
        {
            // Nobody waits for it once the request has been answered.
            drop(rest.send(body));
        }
    }
}

impl UploadWatch {
    /// The caller's fault, if the upload failed by it.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.fate.failure.get().copied()
    }

    /// What rules say of a batch, once all of it has been looked at, or enough to refuse it.
    pub(crate) fn verdict(&self) -> Option<&Verdict> {
        self.fate.verdict.get()
    }

    /// Since when nothing is left to send.
    pub(crate) fn finished_at(&self) -> Option<Instant> {
        self.fate.finished.get().copied()
    }

    /// Whether the upstream's connection has asked for data since this was last called.
    pub(crate) fn is_moving(&self) -> bool {
        self.fate.asked.swap(false, Ordering::Relaxed)
    }

    /// Takes what is left of a failed upload off the wire, so that the caller gets to read why it failed; not
    /// from one that was not yet told to send, or has stopped.
    pub(crate) async fn discard_rest(self, asked_first: bool) {
        let waits = asked_first && !self.fate.begun.load(Ordering::Relaxed);
        let stopped = matches!(
            self.failure(),
            Some(Failure::BodyTimeout | Failure::BodyBroken)
        );
        if waits || stopped {
            return;
        }
        if let Ok(Ok(body)) = tokio::time::timeout(RETURN_TIMEOUT, self.rest).await {
            Discard::PATIENT.discard(body).await;
        }
    }
}
