//! What an answer shows that is metered by itself: the results of a batch, the totals of sessions and dreams. Each of them is an event
//! of its own, beside the one that the request may owe.

use std::collections::VecDeque;
use std::sync::Arc;

use domain::pricing::{Charge, Free, Span};
use domain::{
    BatchItem, Cost, Endpoint, EventType, KeyKind, Outcome, Repeatable, RequestId, Timestamp,
    UsageEvent,
};
use ingest::{Slot, Ticket};

use super::{Exchange, kept};
use crate::keys::KeyRecord;
use crate::meter::{Finding, FoundIn};

/// The results of a batch, or the totals of sessions and dreams, on their way to somebody. Each of them is an event.
pub(super) struct Showing {
    /// The object that the path leads to.
    id: Option<String>,
    time: Timestamp,
    key: Arc<KeyRecord>,
    /// Read, and not handed over yet: there was no room.
    waiting: VecDeque<Finding>,
}

impl Exchange {
    /// The answer will show what is metered by itself: the results of a batch, sessions, dreams.
    pub(crate) fn will_show(&mut self, id: Option<String>, key: Arc<KeyRecord>) {
        self.showing = Some(Showing {
            id,
            time: self.worker.clock.now(),
            key,
            waiting: VecDeque::new(),
        });
    }

    /// The object that is shown, if the path leads to one.
    pub(crate) fn shown_id(&self) -> Option<String> {
        self.showing.as_ref()?.id.clone()
    }

    /// Hands over what has come in of results and totals. Answers whether there was room for all of them.
    pub(crate) fn hand_over_findings(&mut self, at_end: bool) -> bool {
        let Some(mut showing) = self.showing.take() else {
            return true;
        };
        if let Some(meter) = self.meter() {
            showing.waiting.extend(meter.take_findings(at_end));
        }
        while let Some(finding) = showing.waiting.pop_front() {
            let Some(slot) = self.worker.lane.reserve() else {
                showing.waiting.push_front(finding);
                break;
            };
            // Durable after all that were handed over before.
            self.ticket = Some(self.record_finding(&showing, finding, slot));
        }
        let done = showing.waiting.is_empty();
        self.showing = Some(showing);
        done
    }

    /// Tokens and cost are not counted in the metrics: only the database knows whether it is seen for the first time.
    fn record_finding(&self, showing: &Showing, finding: Finding, slot: Slot) -> Ticket {
        let key = &showing.key;
        let test = key.kind == KeyKind::Test;
        let model = kept(finding.model.unwrap_or_default());
        let free = match () {
            () if test => Some(Free::Test),
            () if finding.is_refused_before_output => Some(Free::Refusal),
            () => None,
        };
        let (time, cost, repeatable) = match finding.of {
            FoundIn::BatchItem(custom_id) => {
                let cost = self.price(&Charge {
                    model: &model,
                    usage: &finding.usage,
                    time: showing.time,
                    free,
                    span: Span::Request,
                });
                let batch_id = showing.id.clone().unwrap_or_default();
                let item = BatchItem {
                    batch_id,
                    custom_id,
                };
                (showing.time, cost, Repeatable::BatchItem(item))
            }
            // What is new in it is priced where it is known.
            FoundIn::Total(total) => {
                let now = self.worker.clock.now();
                (now, Cost::default(), Repeatable::Total(total))
            }
        };
        let head = self.answer.as_ref().map(|answer| &answer.head);
        // Nobody waits for it: what is shown may be asked for again.
        slot.submit(&UsageEvent {
            time,
            org_id: key.org_id,
            project_id: key.project_id,
            user_id: key.user_id,
            api_key_id: key.id,
            request_id: RequestId::next(),
            event_type: EventType::ApiCall,
            model,
            usage: finding.usage,
            cost,
            quality: finding.quality,
            latency_ms: 0,
            time_to_first_token_ms: None,
            outcome: Outcome::success(),
            endpoint: self.endpoint.unwrap_or(Endpoint::Other),
            upstream_request_id: head.and_then(|head| head.upstream_request_id.clone()),
            mcp_calls: self.mcp_calls(key.project_id, finding.calls),
            more_mcp_calls: finding.more_calls,
            created: None,
            repeatable: Some(repeatable),
            refused: None,
            test,
        })
    }
}
