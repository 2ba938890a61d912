//! A usage event as one row of binary COPY.
//!
//! Whatever the event holds, the row is one that the database accepts: NUL characters are replaced, texts cut
//! to their column's length, numbers clamped to their column's range.

mod read;

use std::io;

use bytes::buf::Writer;
use bytes::{BufMut, BytesMut};
use domain::{Basis, Repeatable, UsageEvent};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::json;

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
    put_jsonb(row, |row| write_metadata(event, row));
}

fn write_metadata(event: &UsageEvent, row: &mut Writer<&mut BytesMut>) -> io::Result<()> {
    serde_json::to_writer(&mut *row, &Metadata(event))?;
    if event.usage.raw.is_empty() {
        return Ok(());
    }
    // It is JSON already: one more member of an object that has some.
    let row = row.get_mut();
    row.truncate(row.len() - b"}".len());
    row.put_slice(b",\"usage\":");
    event.usage.raw.write((&mut **row).writer())?;
    row.put_u8(b'}');
    Ok(())
}

/// What the columns have no place for, as an object; less the usage.
struct Metadata<'a>(&'a UsageEvent);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.0;
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("endpoint", event.endpoint.label())?;
        if let Some(id) = &event.upstream_request_id {
            members.serialize_entry("upstream_request_id", id)?;
        }
        if event.more_mcp_calls > 0 {
            members.serialize_entry("more_mcp_calls", &event.more_mcp_calls)?;
        }
        match &event.repeatable {
            Some(Repeatable::BatchItem(item)) => {
                members.serialize_entry("batch_id", &item.batch_id)?;
                members.serialize_entry("custom_id", &item.custom_id)?;
            }
            Some(Repeatable::Total(total)) => {
                let total = json!({
                    "id": total.id, "shown_by": total.shown_by, "mixed_models": total.mixed_models, "usage": total.raw,
                });
                members.serialize_entry("running_total", &total)?;
            }
            None => {}
        }
        if let Some(refused) = &event.refused {
            members.serialize_entry("refusals", &refused.count)?;
            if let Some(policy_id) = refused.policy_id {
                members.serialize_entry("policy_id", &policy_id)?;
            }
        }
        if event.test {
            members.serialize_entry("test", &true)?;
        }
        match &event.cost.basis {
            Basis::Free(reason) => members.serialize_entry("free", reason.as_str())?,
            Basis::Unpriced(reason) => members.serialize_entry("unpriced", reason.as_str())?,
            Basis::Listed => members.serialize_entry("priced_by", "list_cost")?,
            Basis::NoUsage | Basis::Priced(_) => {}
        }
        members.end()
    }
}
