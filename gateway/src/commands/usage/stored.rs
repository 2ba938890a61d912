//! A stored event, as far as its price is concerned.

use std::time::SystemTime;

use domain::pricing::{Charge, Free, Span};
use domain::{Basis, Cost, Picodollars, PriceBook, Timestamp, TokenCounts, Usage};
use serde_json::Value;
use tokio_postgres::{Error, Row};
use uuid::Uuid;

/// Columns in the order that [`Stored::read`] reads them.
pub(super) const COLUMNS: &str = "time, request_id, org_id, model, input_tokens, output_tokens, cache_read_tokens, \
    cache_write_tokens, cache_write_1h_tokens, web_search_requests, service_tier, metadata, \
    trim_scale(cost_cents)::text, price_version, project_id, api_key_id";

/// What is stored of a request.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) time: SystemTime,
    pub(super) request_id: Uuid,
    pub(super) org_id: Uuid,
    pub(super) project_id: Uuid,
    pub(super) api_key_id: Option<Uuid>,
    pub(super) model: String,
    pub(super) usage: Usage,
    free: Option<Free>,
    span: Span,
    /// The amount is the API's own.
    pub(super) is_listed: bool,
    pub(super) cost_cents: String,
    pub(super) price_version: Option<String>,
    /// Why it has no price, in the stored word.
    pub(super) unpriced: Option<String>,
}

impl Stored {
    pub(super) fn read(row: &Row) -> Result<Self, Error> {
        let count = |index: usize| -> Result<u64, Error> {
            // A count is never negative; what was tampered with counts as nothing.
            Ok(u64::try_from(row.try_get::<_, i32>(index)?).unwrap_or(0))
        };
        let metadata: Value = row.try_get(11)?;
        let word = |key: &str| metadata.get(key).and_then(Value::as_str);
        let is_test = metadata.get("test").and_then(Value::as_bool) == Some(true);
        let free = Free::ALL
            .into_iter()
            .find(|free| word("free") == Some(free.as_str()));
        Ok(Self {
            time: row.try_get(0)?,
            request_id: row.try_get(1)?,
            org_id: row.try_get(2)?,
            project_id: row.try_get(14)?,
            api_key_id: row.try_get(15)?,
            model: row.try_get(3)?,
            usage: Usage {
                tokens: TokenCounts {
                    input: count(4)?,
                    output: count(5)?,
                    cache_read: count(6)?,
                    cache_write: count(7)?,
                    cache_write_1h: count(8)?,
                },
                web_search_requests: count(9)?,
                service_tier: row.try_get(10)?,
                raw: metadata
                    .get("usage")
                    .and_then(Value::as_object)
                    .cloned()
                    .unwrap_or_default()
                    .into(),
            },
            free: free.or(is_test.then_some(Free::Test)),
            span: metadata
                .get("running_total")
                .map_or(Span::Request, |total| Span::Session {
                    mixed_models: total.get("mixed_models") == Some(&Value::Bool(true)),
                }),
            is_listed: word("priced_by") == Some("list_cost"),
            cost_cents: row.try_get(12)?,
            price_version: row.try_get(13)?,
            unpriced: word("unpriced").map(str::to_owned),
        })
    }

    /// The stored amount.
    pub(super) fn cost(&self) -> Picodollars {
        let (cents, part) = self
            .cost_cents
            .split_once('.')
            .unwrap_or((&self.cost_cents, ""));
        // Ten digits behind the point, as the column has them.
        Picodollars(format!("{cents}{part:0<10}").parse().unwrap_or(0))
    }

    /// When it was admitted.
    pub(super) fn moment(&self) -> Timestamp {
        let since_epoch = self.time.duration_since(SystemTime::UNIX_EPOCH);
        let micros = since_epoch.unwrap_or_default().as_micros();
        Timestamp {
            unix_micros: i64::try_from(micros).unwrap_or(i64::MAX),
        }
    }

    /// What is to be priced.
    pub(super) fn charge(&self) -> Charge<'_> {
        Charge {
            model: &self.model,
            usage: &self.usage,
            time: self.moment(),
            free: self.free,
            span: self.span,
        }
    }

    /// What it costs by a book, unless that is what is stored. A version alone is no change: the one that is stored made
    /// the same amount.
    pub(super) fn repriced(&self, book: &PriceBook) -> Option<Cost> {
        if self.is_listed {
            return None;
        }
        let cost = book.price(&self.charge());
        let same_amount = cost.amount == self.cost();
        let same_basis = match &cost.basis {
            Basis::Priced(_) => self.price_version.is_some() && self.unpriced.is_none(),
            Basis::Unpriced(reason) => {
                self.price_version.is_none() && self.unpriced.as_deref() == Some(reason.as_str())
            }
            Basis::NoUsage | Basis::Listed | Basis::Free(_) => {
                self.price_version.is_none() && self.unpriced.is_none()
            }
        };
        (!same_amount || !same_basis).then_some(cost)
    }
}
