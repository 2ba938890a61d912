//! What rules say of a request: that it may not pass, or what its caller and the log shall be told.

use std::sync::Arc;

use domain::Endpoint;
use http::HeaderMap;
use policy_engine::{Denial, Notes};

use super::Exchange;
use crate::failure::Failure;
use crate::keys::KeyRecord;
use crate::notes;
use crate::refusals::{First, Refusals};

impl Exchange {
    /// Keeps what the caller shall be told of its limits, and tells the log what is for the log.
    pub(crate) fn note(&mut self, notes: Notes) {
        for note in &notes.logged {
            tracing::info!(
                request_id = %self.id, message = note.message,
                policy_id = note.policy.as_ref().map(|(id, _)| id.to_string()),
                "a policy that only logs has something against a request"
            );
            self.worker.metrics.policy_match();
        }
        match &mut self.notes {
            // What is left is said when the request is admitted, and warnings may come later.
            Some(known) => known.warnings.extend(notes.warnings),
            None if notes != Notes::default() => self.notes = Some(Box::new(notes)),
            None => {}
        }
    }

    /// Puts what the caller shall be told on its answer.
    pub(crate) fn put_notes(&self, headers: &mut HeaderMap) {
        if let Some(notes) = &self.notes {
            notes::put(headers, notes);
        }
    }

    /// A rule refuses the request. Of one that would have had an event there is a row all the same.
    pub(crate) fn deny(
        &mut self,
        denial: Box<Denial>,
        of: Option<(&Arc<KeyRecord>, String)>,
    ) -> Failure {
        let failure = Failure::Denied(denial.reason);
        self.worker.metrics.denied(denial.reason);
        if let Some((key, model)) = of {
            let first = First {
                request_id: self.id,
                time: self.worker.clock.now(),
                endpoint: self.endpoint.unwrap_or(Endpoint::Other),
                model,
                key: Arc::clone(key),
                denial: (*denial).clone(),
                took: self.elapsed(),
            };
            Refusals::add(&self.worker, first);
        }
        self.note(Notes {
            left: denial.left,
            ..Notes::default()
        });
        self.denial = Some(denial);
        failure
    }

    /// The same of a request that was admitted already. What it holds, and the place of its event, are given back: it is in the
    /// table as one that was refused.
    pub(crate) fn deny_admitted(&mut self, denial: Box<Denial>) {
        let admission = self.admission.take();
        let of = admission
            .as_ref()
            .map(|admission| (&admission.key, admission.model.clone()));
        self.deny(denial, of);
    }

    pub(crate) fn denial(&self) -> Option<&Denial> {
        self.denial.as_deref()
    }
}
