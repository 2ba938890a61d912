//! What can be said of an exchange once it has ended: to metrics, and in its event.

use std::time::Duration;

use domain::{EventStatus, Outcome, UsageQuality};

use crate::failure::Failure;
use crate::meter::Reading;

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The answer was relayed whole.
    Complete,
    /// The gateway answered in the upstream's place.
    Failed(Failure),
    /// The caller left first.
    CallerGone,
    /// The caller left first, and the answer was read to its end without it.
    Drained,
    /// The gateway shut down, and the answer took longer than the drain deadline.
    CutOff,
    /// The upstream broke off in the middle of its answer.
    UpstreamBroke,
    /// The upstream fell silent in the middle of its answer.
    UpstreamSilent,
}

/// What the head of an answer says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    /// 0 if there was no answer.
    pub(crate) status: u16,
    pub(crate) streaming: bool,
    pub(crate) upstream_request_id: Option<String>,
}

/// An exchange that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) end: End,
    pub(crate) head: Head,
    /// Of answers that carry usage.
    pub(crate) reading: Option<Reading>,
    pub(crate) took: Duration,
    /// Whether the upstream may have done work that is billed.
    pub(crate) may_have_cost: bool,
}

impl Ended {
    pub(crate) fn first_content_at(&self) -> Option<Duration> {
        self.reading
            .as_ref()
            .and_then(|reading| reading.first_content_at)
    }

    /// Status and reason for the metrics.
    pub(crate) fn verdict(&self) -> (u16, &'static str) {
        /// What servers log for a caller that left before its answer.
        const CLIENT_CLOSED_REQUEST: u16 = 499;
        let status = self.head.status;
        match self.end {
            End::Complete if self.is_well() => (status, "ok"),
            End::Complete => (status, "upstream_error"),
            End::Failed(failure) => (failure.status().as_u16(), failure.error_code()),
            End::CallerGone if status == 0 => (CLIENT_CLOSED_REQUEST, "client_disconnected"),
            End::CallerGone | End::Drained => (status, "client_disconnected"),
            End::CutOff => (status, "gateway_shutdown"),
            End::UpstreamBroke => (status, "upstream_unreachable"),
            End::UpstreamSilent => (status, "upstream_timeout"),
        }
    }

    /// Whether the whole answer was relayed and is a good one: no error, not even one in the middle of a
    /// stream, and no stream without its last event.
    fn is_well(&self) -> bool {
        let read_well = |reading: &Reading| {
            reading.error.is_none() && (reading.complete || !self.head.streaming)
        };
        self.head.status < 400 && self.reading.as_ref().is_none_or(read_well)
    }

    /// How far the counters can be trusted. Without an answer nobody knows what the upstream did.
    pub(crate) fn quality(&self) -> UsageQuality {
        match &self.reading {
            Some(reading) => reading.quality,
            None if self.may_have_cost && self.head.status == 0 => UsageQuality::Estimated,
            None => UsageQuality::Exact,
        }
    }

    /// The outcome in the event.
    pub(crate) fn outcome(&self) -> Outcome {
        let error = |code| Outcome::failure(EventStatus::Error, code, None);
        match self.end {
            End::Complete => self.complete_outcome(),
            End::Failed(failure) => Outcome::failure(
                failure.event_status(),
                failure.error_code(),
                Some(&failure.to_string()),
            ),
            End::CallerGone | End::Drained => error("client_disconnected"),
            End::CutOff => error("gateway_shutdown"),
            End::UpstreamBroke => error("upstream_unreachable"),
            End::UpstreamSilent => Outcome::failure(EventStatus::Timeout, "upstream_timeout", None),
        }
    }

    /// The whole body was relayed; it may still be an error, or a stream that ends without its last event.
    fn complete_outcome(&self) -> Outcome {
        let status = self.head.status;
        let http_status = || format!("http_{status}");
        let reading = self.reading.as_ref();
        match reading.and_then(|reading| reading.error.as_ref()) {
            Some(error) => {
                let code = error
                    .code
                    .clone()
                    .or_else(|| error.kind.clone())
                    .unwrap_or_else(http_status);
                Outcome::failure(answered_status(status), &code, error.message.as_deref())
            }
            None if self.is_well() => Outcome::success(),
            None if status >= 400 => {
                Outcome::failure(answered_status(status), &http_status(), None)
            }
            None => Outcome::failure(EventStatus::Error, "stream_incomplete", None),
        }
    }
}

fn answered_status(status: u16) -> EventStatus {
    if status == 429 {
        EventStatus::RateLimited
    } else {
        EventStatus::Error
    }
}
