//! How the cost of a day is told apart: by what was counted, at the prices that it was billed with.
//!
//! Requests that were priced alike are added up in the database. What the book of their `price_version` says of each item is its
//! part, if the parts come to what is stored: so it is for requests of one turn, where that book is the one in force here or the
//! build's. Else, as of requests of several turns by several models, and of days of which only the rollup is left, the stored
//! cost is split in proportion to what the items come to. Where there is nothing to go by, it isn't split.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::pricing::{Item, Many, split};
use domain::{PriceBook, Timestamp, TokenCounts};
use tokio_postgres::Row;
use uuid::Uuid;

use super::amount;
use crate::error::{ApiError, Result};

/// More are refused, see `cost.rs`.
const MOST_GROUPS: usize = 20_001;
/// What the Claude API calls a long context, in tokens.
const LONG_CONTEXT: u64 = 200_000;

/// What a day is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Requests,
    Days,
}

impl Of {
    pub(super) fn moment(self) -> &'static str {
        match self {
            Self::Requests => "time",
            Self::Days => "bucket",
        }
    }
}

/// The requests of a day, those together that were priced alike. The value behind those of the condition is the bounds.
pub(super) fn day(of: Of, workspace: &str, condition: &str, values: usize) -> String {
    let bounds = values + 1;
    match of {
        Of::Requests => format!(
            "SELECT {workspace} AS workspace_id, model, service_tier, metadata->'usage'->>'inference_geo' AS inference_geo,
                metadata->'usage'->>'speed' AS speed, price_version, metadata ? 'running_total' AS is_session,
                width_bucket(input_tokens::bigint + cache_read_tokens + cache_write_tokens, ${bounds}::bigint[]) AS band,
                coalesce(metadata->'usage' ? 'iterations', false) AS has_turns,
                sum(input_tokens)::bigint AS input, sum(output_tokens)::bigint AS output,
                sum(cache_read_tokens)::bigint AS cache_read, sum(cache_write_tokens)::bigint AS cache_write,
                sum(cache_write_1h_tokens)::bigint AS cache_write_1h,
                sum(web_search_requests)::bigint AS web_searches, sum({SESSION_UNITS})::bigint AS session_units,
                (sum(cost_cents) * 10000000000)::numeric(60, 0)::text AS amount
            FROM usage_events t
            WHERE {condition} AND NOT metadata ? 'test' AND NOT metadata ? 'refusals' AND cost_cents <> 0
            GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 LIMIT {MOST_GROUPS}"
        ),
        Of::Days => format!(
            "SELECT {workspace} AS workspace_id, model, NULL::text AS service_tier, NULL::text AS inference_geo,
                NULL::text AS speed, NULL::text AS price_version, false AS is_session, NULL::int AS band,
                sum(total_input_tokens)::bigint AS input, sum(total_output_tokens)::bigint AS output,
                sum(total_cache_read_tokens)::bigint AS cache_read, sum(total_cache_write_tokens)::bigint AS cache_write,
                sum(total_cache_write_1h_tokens)::bigint AS cache_write_1h,
                sum(total_web_search_requests)::bigint AS web_searches, 0::bigint AS session_units,
                (sum(total_cost_cents) * 10000000000)::numeric(60, 0)::text AS amount
            FROM usage_by_day t WHERE {condition} AND total_cost_cents <> 0 GROUP BY 1, 2 LIMIT {MOST_GROUPS}"
        ),
    }
}

/// As `Usage::active_ms` counts.
const SESSION_UNITS: &str = "CASE WHEN metadata ? 'running_total'
        AND jsonb_typeof(metadata->'usage'->'active_seconds') = 'number'
    THEN floor(greatest(round((metadata->'usage'->>'active_seconds')::numeric * 1000), 0) / 36) ELSE 0 END";

/// The books that are at hand.
pub(super) struct Books {
    in_force: Arc<PriceBook>,
    of_build: PriceBook,
    /// From how long prompts on there are other prices, or another name for it; in tokens, rising.
    bands: Vec<u64>,
}

impl Books {
    pub(super) fn new(in_force: Arc<PriceBook>) -> Result<Self> {
        let of_build = PriceBook::embedded();
        let of_build = of_build.map_err(|_| ApiError::broken("reading the build's prices"))?;
        let bounds = in_force.prompt_bounds().chain(of_build.prompt_bounds());
        let mut bands: Vec<_> = bounds
            .chain([LONG_CONTEXT])
            .map(|bound| bound.saturating_add(1))
            .collect();
        bands.sort_unstable();
        bands.dedup();
        Ok(Self {
            in_force,
            of_build,
            bands,
        })
    }

    pub(super) fn bounds(&self) -> Vec<i64> {
        let bands = self.bands.iter();
        bands
            .map(|band| i64::try_from(*band).unwrap_or(i64::MAX))
            .collect()
    }

    fn of(&self, version: Option<&str>) -> &PriceBook {
        if version == Some(&**self.of_build.version())
            && version != Some(&**self.in_force.version())
        {
            return &self.of_build;
        }
        &self.in_force
    }

    /// What a row of a day comes to.
    pub(super) fn lines(&self, row: &Row, day: DateTime<Utc>) -> Result<Vec<(Line, u128)>> {
        let count = |name| -> Result<u64> {
            // A count is never negative; what was tampered with counts as nothing.
            Ok(u64::try_from(row.try_get::<_, i64>(name)?).unwrap_or(0))
        };
        let model: String = row.try_get("model")?;
        let [service_tier, inference_geo, speed, version]: [Option<String>; 4] = [
            row.try_get("service_tier")?,
            row.try_get("inference_geo")?,
            row.try_get("speed")?,
            row.try_get("price_version")?,
        ];
        let band: Option<i32> = row.try_get("band")?;
        // How long the shortest prompts of the band are. Of sessions it isn't known how long each prompt was.
        let shortest = band
            .and_then(|band| usize::try_from(band - 1).ok())
            .and_then(|index| self.bands.get(index).copied());
        let is_session: bool = row.try_get("is_session")?;
        let prompt = shortest.filter(|_| !is_session).unwrap_or(0);
        let parts = self.of(version.as_deref()).parts(&Many {
            model: &model,
            time: Timestamp {
                unix_micros: day.timestamp_micros(),
            },
            service_tier: service_tier.as_deref(),
            inference_geo: inference_geo.as_deref(),
            speed: speed.as_deref(),
            prompt,
            tokens: TokenCounts {
                input: count("input")?,
                output: count("output")?,
                cache_read: count("cache_read")?,
                cache_write: count("cache_write")?,
                cache_write_1h: count("cache_write_1h")?,
            },
            web_search_requests: count("web_searches")?,
            session_units: count("session_units")?,
        });
        let total = amount::read(row.try_get("amount")?)?;
        let workspace_id = row.try_get("workspace_id")?;
        let whole = Line {
            workspace_id,
            item: None,
            model: Some(model),
            service_tier,
            inference_geo: band
                .map(|_| inference_geo.unwrap_or_else(|| "not_available".to_owned())),
            context_window: band.map(|_| match shortest {
                Some(shortest) if shortest > LONG_CONTEXT => "200k-1M",
                _ => "0-200k",
            }),
        };
        let parts = split(total, &parts);
        if parts.is_empty() {
            return Ok(vec![(whole, total)]);
        }
        let lines = parts.into_iter();
        Ok(lines
            .map(|(item, amount)| (whole.of(item), amount))
            .collect())
    }
}

/// What a cost is the cost of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) workspace_id: Option<Uuid>,
    pub(super) model: Option<String>,
    pub(super) service_tier: Option<String>,
    pub(super) context_window: Option<&'static str>,
    pub(super) inference_geo: Option<String>,
    /// In the order of the book; none: of all, since it couldn't be split.
    item: Option<Item>,
}

impl Line {
    /// Of an item. What isn't made of tokens is told apart no further.
    fn of(&self, item: Item) -> Self {
        match item {
            Item::WebSearch | Item::SessionTime => Self {
                workspace_id: self.workspace_id,
                model: None,
                service_tier: None,
                context_window: None,
                inference_geo: None,
                item: Some(item),
            },
            Item::Input
            | Item::Output
            | Item::CacheRead
            | Item::CacheWrite5m
            | Item::CacheWrite1h => Self {
                item: Some(item),
                ..self.clone()
            },
        }
    }

    pub(super) fn cost_type(&self) -> &'static str {
        match self.item {
            Some(Item::WebSearch) => "web_search",
            Some(Item::SessionTime) => "session_usage",
            Some(
                Item::Input
                | Item::Output
                | Item::CacheRead
                | Item::CacheWrite5m
                | Item::CacheWrite1h,
            )
            | None => "tokens",
        }
    }

    pub(super) fn token_type(&self) -> Option<&'static str> {
        match self.item? {
            Item::Input => Some("uncached_input_tokens"),
            Item::Output => Some("output_tokens"),
            Item::CacheRead => Some("cache_read_input_tokens"),
            Item::CacheWrite5m => Some("cache_creation.ephemeral_5m_input_tokens"),
            Item::CacheWrite1h => Some("cache_creation.ephemeral_1h_input_tokens"),
            Item::WebSearch | Item::SessionTime => None,
        }
    }

    pub(super) fn description(&self) -> String {
        let model = self.model.as_deref().unwrap_or_default();
        let what = match self.item {
            Some(Item::WebSearch) => return "Web Search Usage".to_owned(),
            Some(Item::SessionTime) => return "Session Usage".to_owned(),
            Some(Item::Input) => " - Input Tokens",
            Some(Item::Output) => " - Output Tokens",
            Some(Item::CacheRead) => " - Input Tokens, Cache Read",
            Some(Item::CacheWrite5m) => " - Input Tokens, Cache Write 5m",
            Some(Item::CacheWrite1h) => " - Input Tokens, Cache Write 1h",
            None => "",
        };
        format!("{model} Usage{what}")
    }
}
