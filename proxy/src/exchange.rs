//! One request, from its head to the end of its answer, and the account of it.
//!
//! Guarantee: an exchange is settled exactly once, on whatever path it ends: answered, refused, broken off by
//! either side, or dropped in a panic. Settling counts it and, if it was admitted, hands over its usage event.

mod judged;
mod showing;

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use domain::pricing::{Charge, Free, Span};
use domain::{
    Basis, Cost, CreatedObject, Endpoint, EventStatus, EventType, KeyKind, McpCall, ObjectKind,
    ProjectId, RequestId, Timestamp, UsageEvent, model,
};
use ingest::{Opening, Slot, Ticket};
use policy_engine::{Admitted, Amounts, Denial, Notes, Spend};

use crate::ended::{End, Ended, Head};
use crate::inspect::Inspected;
use crate::keys::{KeyRecord, OnClientDisconnect};
use crate::meter::{Call, Meter, Reading};
use crate::metrics::Counted;
use crate::worker::Worker;
use showing::Showing;

/// A request under way.
pub(crate) struct Exchange {
    worker: Rc<Worker>,
    pub(crate) id: RequestId,
    pub(crate) endpoint: Option<Endpoint>,
    arrived: Duration,
    admission: Option<Admission>,
    answer: Option<Answer>,
    /// Time spent waiting for the upstream or the caller.
    waited: Duration,
    /// From the moment it is sent upstream.
    upstream_request: Option<Counted>,
    /// Where the answer shows what is metered by itself.
    showing: Option<Showing>,
    /// The kind of object that the request makes, if it is answered well.
    creates: Option<ObjectKind>,
    created: Option<CreatedObject>,
    /// Why a rule refused it.
    denial: Option<Box<Denial>>,
    /// What its caller shall be told of limits.
    notes: Option<Box<Notes>>,
    /// Ready when the events are durable.
    ticket: Option<Ticket>,
    /// No caller made it.
    is_own: bool,
    settled: bool,
}

/// What an admitted request owes an event with.
struct Admission {
    time: Timestamp,
    key: Arc<KeyRecord>,
    model: String,
    bills_user_profile: bool,
    slot: Slot,
    /// What it holds of its budgets.
    admitted: Box<Admitted>,
}

/// The upstream's answer, as far as it has come.
struct Answer {
    head: Head,
    meter: Option<Meter>,
    _stream: Option<Counted>,
}

impl Exchange {
    /// It moves from hand to hand until it is settled.
    pub(crate) fn begin(worker: &Rc<Worker>) -> Box<Self> {
        Box::new(Self {
            worker: Rc::clone(worker),
            id: RequestId::next(),
            endpoint: None,
            arrived: worker.clock.monotonic(),
            admission: None,
            answer: None,
            waited: Duration::ZERO,
            upstream_request: None,
            showing: None,
            creates: None,
            created: None,
            denial: None,
            notes: None,
            ticket: None,
            is_own: false,
            settled: false,
        })
    }

    /// A request of the gateway's own.
    pub(crate) fn begin_own(worker: &Rc<Worker>, endpoint: Endpoint) -> Box<Self> {
        let mut exchange = Self::begin(worker);
        exchange.endpoint = Some(endpoint);
        exchange.is_own = true;
        exchange
    }

    /// Takes the place of the request's event and leaves a trace of the request on disk; false if there is no room. From here on
    /// the request owes an event.
    #[must_use]
    pub(crate) fn admit(
        &mut self,
        key: Arc<KeyRecord>,
        inspected: Inspected,
        admitted: Box<Admitted>,
    ) -> bool {
        // The moment that it counts at in budgets, too.
        let time = admitted.at();
        let model = kept(inspected.model);
        let slot = self.worker.lane.admit(&Opening {
            request_id: self.id,
            time,
            org_id: key.org_id,
            project_id: key.project_id,
            user_id: key.user_id,
            api_key_id: key.id,
            endpoint: self.endpoint.unwrap_or(Endpoint::Other),
            model: &model,
            test: key.kind == KeyKind::Test,
        });
        let Some(slot) = slot else { return false };
        self.admission = Some(Admission {
            time,
            key,
            model,
            bills_user_profile: inspected.bills_user_profile,
            slot,
            admitted,
        });
        true
    }

    /// The request asks for a new object.
    pub(crate) fn will_create(&mut self, kind: ObjectKind) {
        self.creates = Some(kind);
    }

    pub(crate) fn creates(&self) -> Option<ObjectKind> {
        self.creates
    }

    /// The answer names the object that was made. From here on it is its project's.
    fn created(&mut self, id: String) {
        let (Some(kind), Some(admission)) = (self.creates.take(), &self.admission) else {
            return;
        };
        self.worker
            .objects
            .insert(id.clone(), admission.key.project_id);
        self.created = Some(CreatedObject { kind, id });
    }

    /// From here on the upstream may have done work that is billed.
    pub(crate) fn forwarding(&mut self) {
        self.upstream_request = Some(self.worker.metrics.upstream_request());
    }

    /// The upstream turned out to be out of reach: it did no work.
    pub(crate) fn not_forwarded(&mut self) {
        self.upstream_request = None;
    }

    /// The head of the answer has come.
    pub(crate) fn answered(&mut self, head: Head, meter: Option<Meter>) {
        let stream = head.streaming.then(|| self.worker.metrics.open_stream());
        self.answer = Some(Answer {
            head,
            meter,
            _stream: stream,
        });
    }

    /// Shows the meter what is about to leave.
    pub(crate) fn observe(&mut self, data: &[u8]) {
        let asks_when = self.meter().is_some_and(|meter| meter.asks_when());
        let at = if asks_when {
            self.elapsed()
        } else {
            Duration::ZERO
        };
        let Some(meter) = self.meter() else { return };
        meter.observe(data, at);
        if let Some(id) = meter.object_id() {
            self.created(id);
        }
    }

    fn meter(&mut self) -> Option<&mut Meter> {
        self.answer.as_mut()?.meter.as_mut()
    }

    /// Whether the answer is told event by event.
    pub(crate) fn is_streaming(&self) -> bool {
        let answer = self.answer.as_ref();
        answer.is_some_and(|answer| answer.head.streaming)
    }

    /// Whether what was seen of the answer is all there is to it.
    pub(crate) fn is_answer_complete(&self) -> bool {
        self.answer
            .as_ref()
            .and_then(|answer| answer.meter.as_ref())
            .is_some_and(Meter::is_complete)
    }

    /// Waits for something to be ready, and takes the time out of the gateway's own. What is ready at once doesn't wait.
    pub(crate) async fn wait_for<T>(&mut self, something: impl Future<Output = T>) -> T {
        let mut something = pin!(something);
        let mut since = None;
        let ready = poll_fn(|ctx| {
            let polled = something.as_mut().poll(ctx);
            if polled.is_pending() && since.is_none() {
                since = Some(self.elapsed());
            }
            polled
        });
        let ready = ready.await;
        if let Some(since) = since {
            self.waited += self.elapsed().saturating_sub(since);
        }
        ready
    }

    fn elapsed(&self) -> Duration {
        self.worker.clock.monotonic().saturating_sub(self.arrived)
    }

    /// Whether the answer shall be read on if the caller leaves: for its figures, where that is wanted, and always for the id of
    /// what it makes, since nobody would know of that otherwise.
    pub(crate) fn is_to_be_drained(&self) -> bool {
        let Some(admission) = self.admission.as_ref().filter(|_| !self.settled) else {
            return false;
        };
        if self.creates.is_some() {
            return true;
        }
        let wanted = admission.key.on_client_disconnect;
        let wanted = wanted.unwrap_or(self.worker.options.on_client_disconnect);
        wanted == OnClientDisconnect::Drain && self.endpoint == Some(Endpoint::Messages)
    }

    pub(crate) fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    /// Closes the account. Only the first call counts.
    pub(crate) fn settle(&mut self, end: End) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        if !self.hand_over_findings(end == End::Complete) {
            tracing::error!(request_id = %self.id, "results of a batch, or totals of sessions, could not be metered: there was no room for their events; ask for them again");
        }
        let ended = self.read_to_the_end(end);
        let (status, reason) = ended.verdict();
        if !self.is_own {
            let metrics = &self.worker.metrics;
            metrics.request(self.endpoint, status, reason);
            metrics.duration(ended.took);
            if let Some(first) = ended.first_content_at() {
                metrics.time_to_first_token(first);
            }
        }
        tracing::debug!(
            request_id = %self.id, endpoint = self.endpoint.map(Endpoint::label), status, reason,
            milliseconds = ended.took.as_secs_f64() * 1e3, "request ended"
        );
        if let Some(admission) = self.admission.take() {
            self.ticket = Some(self.record(admission, ended));
        }
    }

    /// Whether what is owed for the request is durable: until then the end of the answer is held back.
    pub(crate) fn poll_durable(&mut self, ctx: &mut Context<'_>) -> Poll<()> {
        if let Some(ticket) = &mut self.ticket {
            ready!(Pin::new(ticket).poll(ctx));
            self.ticket = None;
        }
        Poll::Ready(())
    }

    /// Waits for it.
    pub(crate) async fn durable(&mut self) {
        poll_fn(|ctx| self.poll_durable(ctx)).await;
    }

    fn read_to_the_end(&mut self, end: End) -> Ended {
        let answer = self.answer.take();
        let (head, meter) =
            answer.map_or_else(Default::default, |answer| (answer.head, answer.meter));
        let reading = meter.and_then(Meter::finish);
        // The caller may close as soon as it has seen the last event: the answer was whole all the same.
        let end = match (&reading, end) {
            (Some(reading), End::CallerGone | End::CutOff) if reading.complete => End::Complete,
            _ => end,
        };
        Ended {
            end,
            head,
            reading,
            took: self.elapsed(),
            may_have_cost: self.upstream_request.is_some()
                && self.endpoint == Some(Endpoint::Messages),
        }
    }

    fn record(&self, admission: Admission, ended: Ended) -> Ticket {
        let quality = ended.quality();
        let outcome = ended.outcome();
        let first_content_at = ended.first_content_at();
        let test = admission.key.kind == KeyKind::Test;
        let good = matches!(outcome.status, EventStatus::Success);
        let refused = ended
            .reading
            .as_ref()
            .is_some_and(Reading::is_refused_before_output);
        let free = match () {
            () if test => Some(Free::Test),
            () if admission.bills_user_profile => Some(Free::UserProfile),
            () if refused => Some(Free::Refusal),
            () => None,
        };
        let read = |reading: Reading| {
            (
                reading.model,
                reading.usage,
                reading.calls,
                reading.more_calls,
            )
        };
        let (model, usage, calls, more_mcp_calls) = ended.reading.map(read).unwrap_or_default();
        let model = kept(model.unwrap_or(admission.model));
        let mcp_calls = self.mcp_calls(admission.key.project_id, calls);
        let cost = self.price(&Charge {
            model: &model,
            usage: &usage,
            time: admission.time,
            free,
            span: Span::Request,
        });
        if !test {
            self.worker.metrics.tokens(&model, &usage.tokens);
            self.worker.spending.add(&model, cost.amount);
        }
        let tokens = &usage.tokens;
        let input = [tokens.input, tokens.cache_read, tokens.cache_write];
        let spend = Spend {
            model: &model,
            amounts: Amounts {
                input_tokens: input.into_iter().fold(0, u64::saturating_add),
                output_tokens: tokens.output,
                requests: 1,
                cost: cost.amount.0,
            },
            good,
        };
        self.worker.policies.settle(*admission.admitted, &spend);
        admission.slot.submit(&UsageEvent {
            time: admission.time,
            org_id: admission.key.org_id,
            project_id: admission.key.project_id,
            user_id: admission.key.user_id,
            api_key_id: admission.key.id,
            request_id: self.id,
            event_type: if ended.head.streaming {
                EventType::Streaming
            } else {
                EventType::ApiCall
            },
            model,
            usage,
            cost,
            quality,
            latency_ms: milliseconds(ended.took),
            time_to_first_token_ms: first_content_at.map(milliseconds),
            outcome,
            endpoint: self.endpoint.unwrap_or(Endpoint::Other),
            upstream_request_id: ended.head.upstream_request_id,
            mcp_calls,
            more_mcp_calls,
            created: self.created.clone(),
            repeatable: None,
            refused: None,
            test,
        })
    }

    /// By the prices in force.
    fn price(&self, charge: &Charge<'_>) -> Cost {
        let cost = self.worker.prices.load().price(charge);
        if let Basis::Unpriced(reason) = cost.basis {
            self.worker.metrics.unpriced(reason);
        }
        cost
    }

    fn mcp_calls(&self, project_id: ProjectId, calls: Vec<Call>) -> Vec<McpCall> {
        if calls.is_empty() {
            return Vec::new();
        }
        let servers = self.worker.mcp_servers.load();
        let calls = calls.into_iter();
        calls
            .map(|call| servers.recorded(project_id, call))
            .collect()
    }

    /// The gateway's own part of the time, once the head of the answer leaves.
    pub(crate) fn report_added_latency(&self) {
        self.worker
            .metrics
            .added_latency(self.elapsed().saturating_sub(self.waited));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Nobody has settled it: the caller left, the drain deadline cut it off, or a panic did.
        let cut_off = self.worker.cut_off.get();
        self.settle(if cut_off {
            End::CutOff
        } else {
            End::CallerGone
        });
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("id", &self.id)
            .field("settled", &self.settled)
            .finish_non_exhaustive()
    }
}

/// A model's name, cut to what a row holds: it may have been as long as a body.
fn kept(name: String) -> String {
    let kept = model::kept(&name);
    if kept.len() == name.len() {
        return name;
    }
    kept.to_owned()
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
