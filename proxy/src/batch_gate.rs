//! The items of a batch shown to the rules of its caller, as the body passes.
//!
//! Guarantees: each item is decided about as soon as it is whole, by the rules that were in force when the batch was admitted; the
//! first that is refused refuses the batch. A batch that can't be read is refused as well, unless no rule could refuse an item.

use std::net::IpAddr;

use domain::Endpoint;
use http::HeaderMap;
use http::request::Parts;
use policy_engine::{Denial, Field, Item, ItemRules, Notes, Request, Unkept};
use smallvec::SmallVec;

use crate::admission::{self, Undecided};
use crate::batch_items::{self, BatchItems, Unreadable};
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::keys::KeyRecord;
use crate::read_body::{body_limit, content_encoding, undecodable};

/// A few compressed bytes may be many items: of a body with a content coding no more than this is read before others get a
/// turn.
const PORTION: usize = 16 << 10;

/// One batch before its rules.
pub(crate) struct BatchGate {
    /// None once it is known that the batch can't be read, and that nothing refuses it for that.
    items: Option<BatchItems>,
    rules: ItemRules,
    betas: Vec<String>,
    approved_mcp: Vec<String>,
    /// How many have passed.
    passed: u64,
    /// What is read at once.
    portion: usize,
    max_bytes: u64,
}

impl BatchGate {
    /// A gate for a batch that is about to be made; none if it is something else, or no rule could have anything against an item.
    ///
    /// # Errors
    /// If its content coding can't be undone, and a rule could refuse an item.
    pub(crate) fn of(
        exchange: &Exchange,
        head: &Parts,
        key: &KeyRecord,
        address: IpAddr,
        told: &Notes,
    ) -> Result<Option<Self>, Failure> {
        let Some(mut rules) = rules(exchange, key, address) else {
            return Ok(None);
        };
        rules.are_told(told);
        let max_bytes = body_limit(exchange.worker(), Endpoint::Batches);
        Self::new(rules, &head.headers, max_bytes).map(Some)
    }

    pub(crate) fn new(
        rules: ItemRules,
        headers: &HeaderMap,
        max_bytes: u64,
    ) -> Result<Self, Failure> {
        let names = |name| {
            let names = admission::names(headers, name).into_iter();
            names.map(str::to_owned).collect()
        };
        let mut gate = Self {
            items: None,
            rules,
            betas: names(&admission::BETAS),
            approved_mcp: names(&admission::APPROVED_MCP),
            passed: 0,
            portion: usize::MAX,
            max_bytes,
        };
        match gate.reader(headers) {
            Ok(items) => gate.items = Some(items),
            Err(failure) => gate.unread(failure)?,
        }
        Ok(gate)
    }

    fn reader(&mut self, headers: &HeaderMap) -> Result<BatchItems, Failure> {
        let encoding = content_encoding(headers)?;
        if !encoding.is_empty() {
            self.portion = PORTION;
        }
        BatchItems::new(Some(&encoding), self.max_bytes).map_err(|error| self.failure(error))
    }

    /// Reads on, from the first of these bytes. Answers how many were read: where it is not all of them, others wait for their
    /// turn.
    ///
    /// # Errors
    /// If the batch is refused.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<usize, Undecided> {
        let portion = bytes.get(..self.portion).unwrap_or(bytes);
        let Some(mut items) = self.items.take() else {
            return Ok(bytes.len());
        };
        let mut denied = None;
        let read = items.feed(portion, &mut |item| {
            if denied.is_none() {
                denied = self.check(item).err();
            }
        });
        if let Some(denial) = denied {
            return Err(Undecided::Denied(denial));
        }
        match read {
            Ok(()) => self.items = Some(items),
            Err(error) => self
                .unread(self.failure(error))
                .map_err(Undecided::Failed)?,
        }
        Ok(portion.len())
    }

    /// The body has ended. What is to be told of its items.
    ///
    /// # Errors
    /// If there must be more of it.
    pub(crate) fn end(mut self) -> Result<Notes, Undecided> {
        if let Some(Err(error)) = self.items.take().map(BatchItems::finish) {
            self.unread(self.failure(error))
                .map_err(Undecided::Failed)?;
        }
        Ok(self.rules.into_notes())
    }

    fn check(&mut self, item: &batch_items::Item<'_>) -> Result<(), Box<Denial>> {
        let asked = item.asked();
        let fields: SmallVec<[Field<'_>; 24]> = item.fields().collect();
        let unkept = Unkept::of(item.long);
        let (betas, approved_mcp) = (texts(&self.betas), texts(&self.approved_mcp));
        let request = Request {
            endpoint: Endpoint::Messages,
            reads: false,
            model: asked.model.as_deref().unwrap_or_default(),
            max_tokens: asked.max_tokens,
            stream: asked.stream,
            body_bytes: item.params_bytes,
            betas: &betas,
            approved_mcp: &approved_mcp,
            fields: &fields,
            unkept: (!item.long.is_empty()).then_some(&unkept),
        };
        self.rules.check(&Item {
            index: self.passed,
            custom_id: item.custom_id.as_deref(),
            request,
        })?;
        self.passed += 1;
        Ok(())
    }

    /// The rest of the batch can't be read.
    fn unread(&mut self, why: Failure) -> Result<(), Failure> {
        if self.rules.can_refuse() {
            return Err(why);
        }
        self.rules.cannot_read(&why.to_string());
        Ok(())
    }

    fn failure(&self, error: Unreadable) -> Failure {
        match error {
            Unreadable::Coding(error) => undecodable(error, self.max_bytes),
            Unreadable::Json(error) => error.into(),
        }
    }
}

impl std::fmt::Debug for BatchGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchGate")
            .field("passed", &self.passed)
            .finish_non_exhaustive()
    }
}

/// Of up to so many bytes a body is held whole, so that a batch that is refused doesn't cost a connection to the upstream: none
/// if nobody looks into it.
pub(crate) fn hold_up_to(exchange: &Exchange, key: &KeyRecord, address: IpAddr) -> u64 {
    const HELD: u64 = 1 << 20;
    rules(exchange, key, address).map_or(0, |_| HELD)
}

/// What the items of a batch that is about to be made have to be shown to.
fn rules(exchange: &Exchange, key: &KeyRecord, address: IpAddr) -> Option<ItemRules> {
    let is_made = exchange.endpoint == Some(Endpoint::Batches) && exchange.creates().is_some();
    if !is_made {
        return None;
    }
    let worker = exchange.worker();
    let caller = admission::caller(key, address);
    worker.policies.item_rules(&caller, worker.clock.now())
}

fn texts(owned: &[String]) -> SmallVec<[&str; 8]> {
    owned.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests;
