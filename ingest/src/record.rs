//! A usage event as the payload of a spooled frame: its rows, already encoded for COPY.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | version, 1 |
//! | 1 | 1 if only the database knows what is new in the event; its rows are then made when it is stored |
//! | 2..18 | the event's request id |
//! | 18..26 | its time, in microseconds since 1970, little-endian |
//! | 26..38 | lengths in bytes of the three parts that follow, 4 bytes each, little-endian |
//! | 38.. | the row of `usage_events`, the rows of `mcp_usage`, and the event in JSON where it is needed again |
//!
//! Version 1 of the rows is what [`crate::row::COPY_STATEMENT`] and [`crate::mcp_row::MCP_COPY_STATEMENT`] name. Columns
//! are added with a new version, and what is on disk is stored by the statement of its own.

use bytes::{BufMut, BytesMut};
use domain::{Timestamp, UsageEvent};
use uuid::Uuid;

use crate::{mcp_row, row};

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 38;

/// What a payload says.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) time: Timestamp,
    /// Rows of `usage_events`; none of an event that may be stored already.
    pub(crate) rows: &'a [u8],
    /// Rows of `mcp_usage`.
    pub(crate) mcp_rows: &'a [u8],
    /// The event itself, where storing it takes more than its rows.
    pub(crate) event: Option<UsageEvent>,
    /// What is new in it is for the database to say.
    pub(crate) is_repeatable: bool,
}

/// A payload that this program didn't write, or not any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("it has version {0}, and this program knows version {VERSION}")]
    Version(u8),
    #[error("it is shorter than it says")]
    Short,
    #[error("its event can't be read: {0}")]
    Event(String),
}

/// Makes a payload, in place of what the buffer held.
pub(crate) fn encode(event: &UsageEvent, payload: &mut BytesMut) {
    payload.clear();
    let is_repeatable = event.repeatable.is_some();
    payload.put_u8(VERSION);
    payload.put_u8(u8::from(is_repeatable));
    payload.put_slice(event.request_id.0.as_bytes());
    payload.put_i64_le(event.time.unix_micros);
    payload.put_bytes(0, 12);
    let mut lengths = [0; 3];
    if !is_repeatable {
        row::encode(event, payload);
        lengths[0] = payload.len() - HEAD_BYTES;
        for call in &event.mcp_calls {
            mcp_row::encode(event, call, payload);
        }
        lengths[1] = payload.len() - HEAD_BYTES - lengths[0];
    }
    if is_repeatable || event.created.is_some() {
        let before = payload.len();
        // Nothing in an event can't be written.
        if serde_json::to_writer((&mut *payload).writer(), event).is_err() {
            payload.truncate(before);
        }
        lengths[2] = payload.len() - before;
    }
    let places = payload.get_mut(26..HEAD_BYTES).unwrap_or_default();
    for (place, length) in places.chunks_exact_mut(4).zip(lengths) {
        place.copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }
}

/// The request whose event a payload is, whatever its version.
pub(crate) fn request_id(payload: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(payload.get(2..18)?).ok()
}

/// When that request was admitted, in microseconds since 1970, whatever its version.
pub(crate) fn unix_micros(payload: &[u8]) -> Option<i64> {
    let bytes = payload.get(18..26)?.try_into().ok()?;
    Some(i64::from_le_bytes(bytes))
}

/// Reads a payload.
pub(crate) fn decode(payload: &[u8]) -> Result<Record<'_>, RecordError> {
    let (head, body) = payload
        .split_first_chunk::<HEAD_BYTES>()
        .ok_or(RecordError::Short)?;
    let [version, later, ..] = *head;
    if version != VERSION {
        return Err(RecordError::Version(version));
    }
    let field = |from: usize, to: usize| head.get(from..to).unwrap_or_default();
    let length = |from: usize| {
        let bytes = field(from, from + 4).try_into().unwrap_or_default();
        u32::from_le_bytes(bytes) as usize
    };
    let (rows, behind) = body
        .split_at_checked(length(26))
        .ok_or(RecordError::Short)?;
    let (mcp_rows, behind) = behind
        .split_at_checked(length(30))
        .ok_or(RecordError::Short)?;
    let json = behind.get(..length(34)).ok_or(RecordError::Short)?;
    let event = if json.is_empty() {
        None
    } else {
        let event = serde_json::from_slice(json);
        Some(event.map_err(|error| RecordError::Event(error.to_string()))?)
    };
    Ok(Record {
        time: Timestamp {
            unix_micros: i64::from_le_bytes(field(18, 26).try_into().unwrap_or_default()),
        },
        rows,
        mcp_rows,
        event,
        is_repeatable: later != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open_slots::tests::interrupted_event;
    use domain::{BatchItem, CreatedObject, McpCall, McpStatus, Repeatable, RequestId};

    fn payload_of(event: &UsageEvent) -> BytesMut {
        let mut payload = BytesMut::from(&b"what was there before"[..]);
        encode(event, &mut payload);
        payload
    }

    #[test]
    fn a_record_holds_the_rows_as_they_are_copied() {
        let mut event = interrupted_event();
        event.mcp_calls = vec![McpCall {
            id: RequestId::next(),
            server_id: None,
            server_name: "a".to_owned(),
            tool_name: "b".to_owned(),
            status: McpStatus::Requested,
            input_bytes: 2,
            output_bytes: None,
            tool_use_id: "t".to_owned(),
        }];
        let payload = payload_of(&event);
        let record = decode(&payload).unwrap();
        let mut rows = BytesMut::new();
        row::encode(&event, &mut rows);
        assert_eq!(record.rows, rows);
        let mut rows = BytesMut::new();
        mcp_row::encode(&event, &event.mcp_calls[0], &mut rows);
        assert_eq!(record.mcp_rows, rows);
        assert_eq!(record.time, event.time);
        assert!(!record.is_repeatable && record.event.is_none());
        assert_eq!(request_id(&payload), Some(event.request_id.0));
        assert_eq!(unix_micros(&payload), Some(event.time.unix_micros));
    }

    #[test]
    fn an_event_that_is_needed_again_is_in_it_whole() {
        let mut made = interrupted_event();
        let kind = serde_json::from_str("\"batches\"").unwrap();
        made.created = Some(CreatedObject {
            kind,
            id: "msgbatch_1".to_owned(),
        });
        let payload = payload_of(&made);
        let record = decode(&payload).unwrap();
        assert_eq!(record.event, Some(made));
        assert!(!record.rows.is_empty() && !record.is_repeatable);

        let mut item = interrupted_event();
        item.repeatable = Some(Repeatable::BatchItem(BatchItem {
            batch_id: "msgbatch_1".to_owned(),
            custom_id: "\u{0}\"".to_owned(),
        }));
        let payload = payload_of(&item);
        let record = decode(&payload).unwrap();
        assert_eq!(record.event, Some(item));
        assert!(record.rows.is_empty() && record.is_repeatable);
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        let whole = payload_of(&interrupted_event());
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_err(), "{length} bytes");
        }
        let mut newer = whole;
        newer[0] = 2;
        assert_eq!(decode(&newer).unwrap_err(), RecordError::Version(2));
    }
}
