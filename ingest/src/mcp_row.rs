//! The call of an MCP tool as one row of binary COPY.

use bytes::{BufMut, BytesMut};
use domain::{McpCall, UsageEvent};
use serde_json::json;

use crate::field::{put_count, put_field, put_jsonb, put_null, put_optional, put_text};

/// The statement whose data [`encode`] writes; its columns are in the order of the encoding.
pub(crate) const MCP_COPY_STATEMENT: &str = "COPY mcp_usage (time, org_id, project_id, user_id, server_id, server_name, \
    tool_name, request_id, parent_request_id, status, input_size, output_size, metadata) FROM STDIN (FORMAT binary)";

const COLUMNS: i16 = 13;

const MAX_SERVER_NAME_CHARS: usize = 255;
const MAX_TOOL_NAME_CHARS: usize = 255;

/// Appends one row: a call that an event's answer shows.
pub(crate) fn encode(event: &UsageEvent, call: &McpCall, row: &mut BytesMut) {
    row.put_i16(COLUMNS);
    put_field(row, &event.time.postgres_micros().to_be_bytes());
    put_field(row, event.org_id.0.as_bytes());
    put_field(row, event.project_id.0.as_bytes());
    put_optional(row, event.user_id.map(|id| *id.0.as_bytes()).as_ref());
    put_optional(row, call.server_id.map(|id| *id.0.as_bytes()).as_ref());
    put_text(row, &call.server_name, MAX_SERVER_NAME_CHARS);
    put_text(row, &call.tool_name, MAX_TOOL_NAME_CHARS);
    put_field(row, call.id.0.as_bytes());
    put_field(row, event.request_id.0.as_bytes());
    put_field(row, call.status.as_str().as_bytes());
    put_count(row, call.input_bytes);
    match call.output_bytes {
        Some(bytes) => put_count(row, bytes),
        None => put_null(row),
    }
    let mut metadata = json!({ "tool_use_id": call.tool_use_id });
    if let Some(metadata) = metadata.as_object_mut().filter(|_| event.test) {
        metadata.insert("test".to_owned(), json!(true));
    }
    put_jsonb(row, |row| Ok(serde_json::to_writer(row, &metadata)?));
}
