//! A usage event as one row of binary COPY.
//!
//! Whatever the event holds, the row is one that the database accepts: NUL characters are replaced, texts cut
//! to their column's length, numbers clamped to their column's range.

mod read;

use bytes::{BufMut, BytesMut};
use domain::{Basis, Repeatable, UsageEvent};
use serde_json::{Map, Value, json};

use crate::field::{
    put_count, put_field, put_jsonb, put_null, put_optional, put_optional_text, put_text,
};
use crate::numeric;

pub use self::read::RowUsage;
pub(crate) use self::read::read_usage;

/// The statement whose data [`encode`] writes; its columns are in the order of the encoding.
pub const COPY_STATEMENT: &str = "COPY usage_events (time, org_id, project_id, user_id, api_key_id, request_id, \
    event_type, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, \
    web_search_requests, cost_cents, price_version, usage_quality, service_tier, latency_ms, time_to_first_token_ms, status, error_code, \
    error_message, metadata) FROM STDIN (FORMAT binary)";

const COLUMNS: i16 = 24;

const MAX_MODEL_CHARS: usize = domain::model::MOST_CHARS;
const MAX_SERVICE_TIER_CHARS: usize = 50;
const MAX_ERROR_CODE_CHARS: usize = 50;
const MAX_ERROR_MESSAGE_CHARS: usize = 1_000;

/// Appends one row.
pub fn encode(event: &UsageEvent, row: &mut BytesMut) {
    let tokens = &event.usage.tokens;
    row.put_i16(COLUMNS);
    put_field(row, &event.time.postgres_micros().to_be_bytes());
    put_field(row, event.org_id.0.as_bytes());
    put_field(row, event.project_id.0.as_bytes());
    put_optional(row, event.user_id.map(|id| *id.0.as_bytes()).as_ref());
    put_field(row, event.api_key_id.0.as_bytes());
    put_field(row, event.request_id.0.as_bytes());
    put_field(row, event.event_type.as_str().as_bytes());
    put_text(row, &event.model, MAX_MODEL_CHARS);
    for count in [
        tokens.input,
        tokens.output,
        tokens.cache_read,
        tokens.cache_write,
        tokens.cache_write_1h,
    ] {
        put_count(row, count);
    }
    put_count(row, event.usage.web_search_requests);
    numeric::put_cents(row, event.cost.amount);
    match &event.cost.basis {
        Basis::Priced(version) => put_field(row, version.as_bytes()),
        Basis::NoUsage | Basis::Listed | Basis::Free(_) | Basis::Unpriced(_) => put_null(row),
    }
    put_field(row, event.quality.as_str().as_bytes());
    put_optional_text(
        row,
        event.usage.service_tier.as_deref(),
        MAX_SERVICE_TIER_CHARS,
    );
    put_count(row, u64::from(event.latency_ms));
    match event.time_to_first_token_ms {
        Some(milliseconds) => put_count(row, u64::from(milliseconds)),
        None => put_null(row),
    }
    put_field(row, event.outcome.status.as_str().as_bytes());
    put_optional_text(
        row,
        event.outcome.error_code.as_deref(),
        MAX_ERROR_CODE_CHARS,
    );
    put_optional_text(
        row,
        event.outcome.error_message.as_deref(),
        MAX_ERROR_MESSAGE_CHARS,
    );
    put_jsonb(row, &metadata(event));
}

/// What the columns have no place for.
fn metadata(event: &UsageEvent) -> Value {
    let mut metadata = Map::new();
    metadata.insert("endpoint".to_owned(), json!(event.endpoint.label()));
    if let Some(id) = &event.upstream_request_id {
        metadata.insert("upstream_request_id".to_owned(), json!(id));
    }
    if event.more_mcp_calls > 0 {
        metadata.insert("more_mcp_calls".to_owned(), json!(event.more_mcp_calls));
    }
    match &event.repeatable {
        Some(Repeatable::BatchItem(item)) => {
            metadata.insert("batch_id".to_owned(), json!(item.batch_id));
            metadata.insert("custom_id".to_owned(), json!(item.custom_id));
        }
        Some(Repeatable::Total(total)) => {
            let total = json!({
                "id": total.id, "shown_by": total.shown_by, "mixed_models": total.mixed_models, "usage": total.raw,
            });
            metadata.insert("running_total".to_owned(), total);
        }
        None => {}
    }
    if let Some(refused) = &event.refused {
        metadata.insert("refusals".to_owned(), json!(refused.count));
        if let Some(policy_id) = refused.policy_id {
            metadata.insert("policy_id".to_owned(), json!(policy_id));
        }
    }
    if event.test {
        metadata.insert("test".to_owned(), json!(true));
    }
    match &event.cost.basis {
        Basis::Free(reason) => drop(metadata.insert("free".to_owned(), json!(reason.as_str()))),
        Basis::Unpriced(reason) => {
            drop(metadata.insert("unpriced".to_owned(), json!(reason.as_str())));
        }
        Basis::Listed => drop(metadata.insert("priced_by".to_owned(), json!("list_cost"))),
        Basis::NoUsage | Basis::Priced(_) => {}
    }
    if !event.usage.raw.is_empty() {
        metadata.insert("usage".to_owned(), Value::Object(event.usage.raw.clone()));
    }
    Value::Object(metadata)
}
