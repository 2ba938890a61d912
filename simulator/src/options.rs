//! What can be chosen when a simulator is made.

use std::time::{Duration, SystemTime};

/// How a [`Simulator`](crate::Simulator) behaves where a request doesn't say otherwise.
#[derive(Clone, Debug)]
pub struct Options {
    /// Mixed into every text, id and count.
    pub seed: u64,
    /// Origin of absolute URLs in answers, such as `https://api.anthropic.com`; by default `http://` and
    /// the request's host.
    pub base_url_override: Option<String>,
    /// Timing of answers to `POST /v1/messages`.
    pub pacing: Pacing,
    /// The source of every date in an answer.
    pub clock: fn() -> SystemTime,
}

/// The waits inside an answer; none by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pacing {
    /// Before the response head.
    pub first_byte: Duration,
    /// Between two events of a stream.
    pub between_events: Duration,
}

impl Default for Options {
    fn default() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the edge where a clock is chosen; everything inside uses Options::clock"
        )]
        let clock = SystemTime::now;
        Self {
            seed: 0,
            base_url_override: None,
            pacing: Pacing::default(),
            clock,
        }
    }
}
