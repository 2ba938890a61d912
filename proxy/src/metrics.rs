//! The data plane's metrics. A handle is looked up in the registry once a thread; then a request only bumps
//! atomics. Every label comes from a bounded set.

use std::cell::RefCell;
use std::time::Duration;

use domain::pricing::Unpriced;
use domain::{Endpoint, TokenCounts, model};
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use policy_engine::Reason;
use rustc_hash::FxHashMap;

use crate::counted_io::OpenConnections;

/// Endpoint, status, reason.
type RequestLabels = (Option<Endpoint>, u16, &'static str);
/// Model, kind.
type TokenLabels = (&'static str, &'static str);

/// One thread's handles.
pub(crate) struct Metrics {
    requests: RefCell<FxHashMap<RequestLabels, Counter>>,
    tokens: RefCell<FxHashMap<TokenLabels, Counter>>,
    unpriced: FxHashMap<Unpriced, Counter>,
    denials: RefCell<FxHashMap<Reason, Counter>>,
    policy_matches: Counter,
    request_seconds: Histogram,
    added_seconds: Histogram,
    first_token_seconds: Histogram,
    open_streams: Gauge,
    connections: Gauge,
    upstream_open: Gauge,
    upstream_active: Gauge,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    pub(crate) fn register() -> Self {
        describe();
        Self {
            requests: RefCell::default(),
            tokens: RefCell::default(),
            // All of them at once: a rate needs a zero to start from.
            unpriced: Unpriced::ALL
                .map(|reason| {
                    let counter =
                        counter!("mindweave_unpriced_events_total", "reason" => reason.as_str());
                    (reason, counter)
                })
                .into_iter()
                .collect(),
            denials: RefCell::default(),
            policy_matches: counter!("mindweave_policy_matches_total"),
            request_seconds: histogram!("mindweave_request_duration_seconds"),
            added_seconds: histogram!("mindweave_added_latency_seconds"),
            first_token_seconds: histogram!("mindweave_time_to_first_token_seconds"),
            open_streams: gauge!("mindweave_open_streams"),
            connections: gauge!("mindweave_connections"),
            upstream_open: gauge!("mindweave_upstream_connections", "state" => "open"),
            upstream_active: gauge!("mindweave_upstream_connections", "state" => "active"),
        }
    }

    /// Counts a request that has ended. `endpoint` is none outside the API.
    pub(crate) fn request(&self, endpoint: Option<Endpoint>, status: u16, reason: &'static str) {
        self.requests
            .borrow_mut()
            .entry((endpoint, status, reason))
            .or_insert_with(|| {
                let endpoint = endpoint.map_or("none", Endpoint::label);
                counter!("mindweave_requests_total",
                    "endpoint" => endpoint, "status" => status.to_string(), "reason" => reason)
            })
            .increment(1);
    }

    /// Counts what an answer consumed.
    pub(crate) fn tokens(&self, model: &str, tokens: &TokenCounts) {
        let label = model::label(model);
        let mut handles = self.tokens.borrow_mut();
        for (kind, count) in [
            ("input", tokens.input),
            ("output", tokens.output),
            ("cache_read", tokens.cache_read),
            ("cache_write", tokens.cache_write),
        ] {
            if count > 0 {
                handles
                    .entry((label, kind))
                    .or_insert_with(
                        || counter!("mindweave_tokens_total", "model" => label, "kind" => kind),
                    )
                    .increment(count);
            }
        }
    }

    /// Counts an event whose cost isn't known in full.
    pub(crate) fn unpriced(&self, reason: Unpriced) {
        if let Some(counter) = self.unpriced.get(&reason) {
            counter.increment(1);
        }
    }

    /// Counts a request that a rule refused.
    pub(crate) fn denied(&self, reason: Reason) {
        let mut counters = self.denials.borrow_mut();
        let counter = counters.entry(reason).or_insert_with(
            || counter!("mindweave_budget_denials_total", "reason" => reason.as_str()),
        );
        counter.increment(1);
    }

    /// Counts what a policy had against a request that passed all the same.
    pub(crate) fn policy_match(&self) {
        self.policy_matches.increment(1);
    }

    pub(crate) fn duration(&self, took: Duration) {
        self.request_seconds.record(took.as_secs_f64());
    }

    pub(crate) fn added_latency(&self, added: Duration) {
        self.added_seconds.record(added.as_secs_f64());
    }

    pub(crate) fn time_to_first_token(&self, took: Duration) {
        self.first_token_seconds.record(took.as_secs_f64());
    }

    pub(crate) fn open_stream(&self) -> Counted {
        Counted::new(&self.open_streams)
    }

    pub(crate) fn connection(&self) -> Counted {
        Counted::new(&self.connections)
    }

    pub(crate) fn upstream_request(&self) -> Counted {
        Counted::new(&self.upstream_active)
    }

    pub(crate) fn upstream_connections(&self) -> OpenConnections {
        OpenConnections(self.upstream_open.clone())
    }
}

/// One on a gauge while it lives.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

fn describe() {
    describe_counter!(
        "mindweave_requests_total",
        "Requests that have ended, by endpoint, status and reason"
    );
    describe_counter!(
        "mindweave_tokens_total",
        "Tokens metered, by model and kind"
    );
    describe_counter!(
        "mindweave_unpriced_events_total",
        "Events whose cost is not known in full, by what the price book lacks"
    );
    describe_counter!(
        "mindweave_budget_denials_total",
        "Requests that a policy, a rate, a budget or a setting refused, by reason"
    );
    describe_counter!(
        "mindweave_policy_matches_total",
        "What policies that only log had against requests"
    );
    describe_histogram!(
        "mindweave_request_duration_seconds",
        Unit::Seconds,
        "From the head of a request to the end of its answer"
    );
    describe_histogram!(
        "mindweave_added_latency_seconds",
        Unit::Seconds,
        "The part of a request's time not spent waiting for the upstream or the caller"
    );
    describe_histogram!(
        "mindweave_time_to_first_token_seconds",
        Unit::Seconds,
        "From the head of a request to the first content of a streamed answer"
    );
    describe_gauge!(
        "mindweave_open_streams",
        "Streamed answers that are running"
    );
    describe_gauge!(
        "mindweave_connections",
        "Connections of callers that are open"
    );
    describe_gauge!(
        "mindweave_upstream_connections",
        "Connections to the upstream that are open, and how many of them carry a request"
    );
}
