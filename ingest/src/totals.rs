//! Running totals made into what is new in them.
//!
//! Guarantees: what has been counted of a session is remembered in `upstream_totals` and moves in the transaction of the
//! events; the row is locked, so that of totals that come through several gateways each token counts once. Totals may come
//! in any order: what an older one says is in what was counted already.

use std::collections::BTreeMap;

use domain::pricing::{Charge, Free, SESSION_UNIT_MS, Span};
use domain::{
    Basis, Cost, Picodollars, PriceBook, Prices, Repeatable, RequestId, RunningTotal, TokenCounts,
    Usage, UsageEvent,
};
use serde_json::{Map, json};
use tokio_postgres::{Error, Row, Transaction};

/// What a column of `usage_events` holds. What is more makes another event.
const MOST: u64 = i32::MAX as u64;

/// The events of what is new in all the totals among `events`.
pub(crate) async fn news(
    transaction: &Transaction<'_>,
    events: &[UsageEvent],
    prices: &Prices,
) -> Result<Vec<UsageEvent>, Error> {
    let totals: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.repeatable {
            Some(Repeatable::Total(total)) => Some((event, total)),
            Some(Repeatable::BatchItem(_)) | None => None,
        })
        .collect();
    if totals.is_empty() {
        return Ok(Vec::new());
    }
    let mut ids: Vec<_> = totals.iter().map(|(_, total)| total.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut counted = lock(transaction, &ids).await?;
    let book = prices.load();
    let mut news = Vec::new();
    for (event, total) in totals {
        // All of them are there.
        if let Some(counted) = counted.get_mut(total.id.as_str()) {
            counted.advance(event, total, &book, &mut news);
        }
    }
    for (id, counted) in &counted {
        counted.save(transaction, id).await?;
    }
    Ok(news)
}

/// What has been counted of a session so far.
#[derive(Debug, Default, Clone, PartialEq)]
struct Counted {
    /// What an event of its stream doesn't say.
    model: String,
    mixed_models: bool,
    speed: Option<String>,
    inference_geo: Option<String>,
    tokens: TokenCounts,
    web_search_requests: u64,
    active_ms: u64,
    billed: Picodollars,
    /// The book can't price it: its cost is the API's own figure, if there is one.
    is_listed: bool,
}

async fn lock(
    transaction: &Transaction<'_>,
    ids: &[&str],
) -> Result<BTreeMap<String, Counted>, Error> {
    let insert =
        "INSERT INTO upstream_totals (id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING";
    transaction.execute(insert, &[&ids]).await?;
    let query = "SELECT id, model, mixed_models, speed, inference_geo, input_tokens, output_tokens, cache_read_tokens,
            cache_write_tokens, cache_write_1h_tokens, web_search_requests, active_ms, billed_picodollars, is_listed
        FROM upstream_totals WHERE id = ANY($1) ORDER BY id FOR UPDATE";
    let rows = transaction.query(query, &[&ids]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, Counted::read(row)?)))
        .collect()
}

impl Counted {
    fn read(row: &Row) -> Result<Self, Error> {
        let count = |index: usize| -> Result<u64, Error> {
            Ok(row.try_get::<_, i64>(index)?.unsigned_abs())
        };
        Ok(Self {
            model: row.try_get(1)?,
            mixed_models: row.try_get(2)?,
            speed: row.try_get(3)?,
            inference_geo: row.try_get(4)?,
            tokens: TokenCounts {
                input: count(5)?,
                output: count(6)?,
                cache_read: count(7)?,
                cache_write: count(8)?,
                cache_write_1h: count(9)?,
            },
            web_search_requests: count(10)?,
            active_ms: count(11)?,
            billed: Picodollars(count(12)?),
            is_listed: row.try_get(13)?,
        })
    }

    async fn save(&self, transaction: &Transaction<'_>, id: &str) -> Result<(), Error> {
        let statement = "UPDATE upstream_totals SET model = $2, mixed_models = $3, speed = $4, inference_geo = $5,
                input_tokens = $6, output_tokens = $7, cache_read_tokens = $8, cache_write_tokens = $9,
                cache_write_1h_tokens = $10, web_search_requests = $11, active_ms = $12, billed_picodollars = $13,
                is_listed = $14, updated_at = now()
            WHERE id = $1";
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let tokens = &self.tokens;
        transaction
            .execute(
                statement,
                &[
                    &id,
                    &self.model,
                    &self.mixed_models,
                    &self.speed,
                    &self.inference_geo,
                    &count(tokens.input),
                    &count(tokens.output),
                    &count(tokens.cache_read),
                    &count(tokens.cache_write),
                    &count(tokens.cache_write_1h),
                    &count(self.web_search_requests),
                    &count(self.active_ms),
                    &count(self.billed.0),
                    &self.is_listed,
                ],
            )
            .await?;
        Ok(())
    }

    /// Counts a total; `news` gets what is new in it.
    fn advance(
        &mut self,
        event: &UsageEvent,
        total: &RunningTotal,
        book: &PriceBook,
        news: &mut Vec<UsageEvent>,
    ) {
        if !event.model.is_empty() {
            self.model.clone_from(&event.model);
            self.speed = word(&event.usage, "speed");
            self.inference_geo = word(&event.usage, "inference_geo");
        }
        self.mixed_models |= total.mixed_models;
        let mut rest = self.take(event, total);
        let mut is_first = true;
        loop {
            let usage = self.part(&mut rest);
            let cost = self.cost(&usage, event, total, book);
            if is_nothing(&usage) && cost.amount == Picodollars::ZERO {
                return;
            }
            self.billed += cost.amount;
            // The API's own figure may follow later than the counters.
            self.is_listed = matches!(cost.basis, Basis::Listed | Basis::Unpriced(_));
            news.push(UsageEvent {
                request_id: if is_first {
                    event.request_id
                } else {
                    RequestId::next()
                },
                model: self.model.clone(),
                usage,
                cost,
                repeatable: Some(Repeatable::Total(RunningTotal {
                    mixed_models: self.mixed_models,
                    ..total.clone()
                })),
                ..event.clone()
            });
            is_first = false;
        }
    }

    /// What a total has more than what was counted, which is then counted.
    fn take(&mut self, event: &UsageEvent, total: &RunningTotal) -> Rest {
        let tokens = &event.usage.tokens;
        let cache_write = more(&mut self.tokens.cache_write, tokens.cache_write);
        let cache_write_1h = more(&mut self.tokens.cache_write_1h, tokens.cache_write_1h);
        // Only whole units have a price.
        let active_ms = total.active_ms / SESSION_UNIT_MS * SESSION_UNIT_MS;
        Rest {
            tokens: TokenCounts {
                input: more(&mut self.tokens.input, tokens.input),
                output: more(&mut self.tokens.output, tokens.output),
                cache_read: more(&mut self.tokens.cache_read, tokens.cache_read),
                cache_write,
                cache_write_1h: cache_write_1h.min(cache_write),
            },
            web_search_requests: more(
                &mut self.web_search_requests,
                event.usage.web_search_requests,
            ),
            active_ms: more(&mut self.active_ms, active_ms),
        }
    }

    /// As much of the rest as one event holds, as the usage of it.
    fn part(&self, rest: &mut Rest) -> Usage {
        let cache_write_1h = less(&mut rest.tokens.cache_write_1h, MOST);
        let cache_write = less(&mut rest.tokens.cache_write, MOST).max(cache_write_1h);
        let tokens = TokenCounts {
            input: less(&mut rest.tokens.input, MOST),
            output: less(&mut rest.tokens.output, MOST),
            cache_read: less(&mut rest.tokens.cache_read, MOST),
            cache_write,
            cache_write_1h,
        };
        let searches = less(&mut rest.web_search_requests, MOST);
        let active_ms = std::mem::take(&mut rest.active_ms);
        let raw = [
            ("input_tokens", json!(tokens.input)),
            ("output_tokens", json!(tokens.output)),
            ("cache_read_input_tokens", json!(tokens.cache_read)),
            ("cache_creation_input_tokens", json!(tokens.cache_write)),
            (
                "cache_creation",
                json!({
                    "ephemeral_5m_input_tokens": tokens.cache_write - tokens.cache_write_1h,
                    "ephemeral_1h_input_tokens": tokens.cache_write_1h,
                }),
            ),
            ("server_tool_use", json!({"web_search_requests": searches})),
            ("active_seconds", json!(seconds(active_ms))),
            ("speed", json!(self.speed)),
            ("inference_geo", json!(self.inference_geo)),
        ];
        let raw = raw.map(|(key, value)| (key.to_owned(), value));
        let raw = Map::from_iter(raw).into();
        Usage {
            tokens,
            web_search_requests: searches,
            service_tier: None,
            raw,
        }
    }

    /// By the book; where that can't tell, by the API's own figure, less what was billed before.
    fn cost(
        &self,
        usage: &Usage,
        event: &UsageEvent,
        total: &RunningTotal,
        book: &PriceBook,
    ) -> Cost {
        let cost = book.price(&Charge {
            model: &self.model,
            usage,
            time: event.time,
            free: event.test.then_some(Free::Test),
            span: Span::Session {
                mixed_models: self.mixed_models,
            },
        });
        let is_open = match cost.basis {
            Basis::Unpriced(_) => true,
            Basis::NoUsage => self.is_listed,
            Basis::Listed | Basis::Priced(_) | Basis::Free(_) => false,
        };
        match total.list_cost {
            Some(listed) if is_open => Cost {
                amount: Picodollars(listed.0.saturating_sub(self.billed.0)),
                basis: Basis::Listed,
            },
            _ => cost,
        }
    }
}

/// What is not in an event yet.
struct Rest {
    tokens: TokenCounts,
    web_search_requests: u64,
    active_ms: u64,
}

fn is_nothing(usage: &Usage) -> bool {
    usage.tokens == TokenCounts::default()
        && usage.web_search_requests == 0
        && usage.active_ms() == 0
}

/// Raises what was counted to `total`, and answers by how much.
fn more(counted: &mut u64, total: u64) -> u64 {
    let more = total.saturating_sub(*counted);
    *counted += more;
    more
}

/// Takes off what there is, up to `most`.
fn less(rest: &mut u64, most: u64) -> u64 {
    let part = (*rest).min(most);
    *rest -= part;
    part
}

#[expect(
    clippy::cast_precision_loss,
    reason = "285,000 years are exact to the millisecond"
)]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

fn word(usage: &Usage, key: &str) -> Option<String> {
    usage.raw.word(key).map(str::to_owned)
}
