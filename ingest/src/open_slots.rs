//! Traces of running requests that survive a kill of the process: slots in a mapped file.
//!
//! A slot is written before the request is forwarded, and let go when the request's event is in the spool. What is still there when
//! the next process starts had been interrupted, unless its event is there as well.
//!
//! A slot has 256 bytes: state, endpoint, flags, length of the model; the checksum of everything else; then request, time,
//! organization, project, user, key, model.

use std::io;
use std::path::Path;

use domain::{
    ApiKeyId, Cost, Endpoint, EventStatus, EventType, OrgId, Outcome, ProjectId, RequestId,
    Timestamp, Usage, UsageEvent, UsageQuality, UserId,
};
use uuid::Uuid;

use crate::mapped::Places;

/// Of one slot.
pub(crate) const SLOT_BYTES: usize = 256;
const MODEL_AT: usize = 96;
const OPEN: u8 = 1;
const IS_TEST: u8 = 1;
const HAS_USER: u8 = 2;

/// What is known of a request before it is forwarded.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// Its id.
    pub request_id: RequestId,
    /// When it was admitted.
    pub time: Timestamp,
    /// Whose it is.
    pub org_id: OrgId,
    /// The project of the key.
    pub project_id: ProjectId,
    /// Who made the key.
    pub user_id: Option<UserId>,
    /// The key.
    pub api_key_id: ApiKeyId,
    /// What it asks.
    pub endpoint: Endpoint,
    /// The model it asks for.
    pub model: &'a str,
    /// Made with a test key.
    pub test: bool,
}

/// The slots of one lane.
pub(crate) type OpenSlots = Places<SLOT_BYTES>;

/// The events of requests that a file still has open. A slot that was being written when the process died belongs to a request
/// that had not been forwarded.
///
/// # Errors
/// If the file can't be read.
pub(crate) fn interrupted(path: &Path) -> io::Result<Vec<UsageEvent>> {
    let bytes = std::fs::read(path)?;
    Ok(bytes.chunks_exact(SLOT_BYTES).filter_map(read).collect())
}

impl Opening<'_> {
    /// Writes the request into a slot.
    pub(crate) fn write(&self, slot: &mut [u8; SLOT_BYTES]) {
        let end = self.model.len().min(SLOT_BYTES - MODEL_AT);
        let model = self.model.as_bytes().get(..end).unwrap_or_default();
        let user = self.user_id.map_or(Uuid::nil(), |id| id.0);
        let ids = [
            (8, self.request_id.0),
            (32, self.org_id.0),
            (48, self.project_id.0),
            (64, user),
            (80, self.api_key_id.0),
        ];
        for (at, id) in ids {
            put(slot, at, id.as_bytes());
        }
        put(slot, 24, &self.time.unix_micros.to_le_bytes());
        put(slot, MODEL_AT, model);
        let has_user = if self.user_id.is_some() { HAS_USER } else { 0 };
        slot[1] = Endpoint::ALL
            .iter()
            .position(|endpoint| *endpoint == self.endpoint)
            .and_then(|position| u8::try_from(position).ok())
            .unwrap_or(u8::MAX);
        slot[2] = u8::from(self.test) | has_user;
        slot[3] = u8::try_from(end).unwrap_or(u8::MAX);
        let checksum = checksum(slot);
        slot[4..8].copy_from_slice(&checksum.to_le_bytes());
        slot[0] = OPEN;
    }
}

fn put(slot: &mut [u8; SLOT_BYTES], at: usize, bytes: &[u8]) {
    if let Some(place) = slot.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// Of all but the state and itself, as far as the slot is used.
fn checksum(slot: &[u8]) -> u32 {
    let length = slot.get(3).map_or(0, |length| usize::from(*length));
    let head = slot.get(1..4).unwrap_or_default();
    let body = slot.get(8..MODEL_AT + length).unwrap_or_default();
    crc32c::crc32c_append(crc32c::crc32c(head), body)
}

fn read(slot: &[u8]) -> Option<UsageEvent> {
    let [state, endpoint, flags, length] = *slot.first_chunk::<4>()?;
    let written = u32::from_le_bytes(slot.get(4..8)?.try_into().ok()?);
    if state != OPEN || written != checksum(slot) {
        return None;
    }
    let id = |at: usize| Uuid::from_slice(slot.get(at..at + 16)?).ok();
    let model = slot.get(MODEL_AT..MODEL_AT + usize::from(length))?;
    let time = i64::from_le_bytes(slot.get(24..32)?.try_into().ok()?);
    Some(UsageEvent {
        time: Timestamp { unix_micros: time },
        org_id: OrgId(id(32)?),
        project_id: ProjectId(id(48)?),
        user_id: id(64).filter(|_| flags & HAS_USER != 0).map(UserId),
        api_key_id: ApiKeyId(id(80)?),
        request_id: RequestId(id(8)?),
        event_type: EventType::ApiCall,
        // Cut in the middle of a character, perhaps.
        model: String::from_utf8_lossy(model).into_owned(),
        usage: Usage::default(),
        cost: Cost::default(),
        quality: UsageQuality::Estimated,
        latency_ms: 0,
        time_to_first_token_ms: None,
        outcome: Outcome::failure(
            EventStatus::Error,
            "gateway_interrupted",
            Some("the gateway died while this request was running; what it consumed is not known"),
        ),
        endpoint: Endpoint::ALL
            .get(usize::from(endpoint))
            .copied()
            .unwrap_or(Endpoint::Other),
        upstream_request_id: None,
        mcp_calls: Vec::new(),
        more_mcp_calls: 0,
        created: None,
        repeatable: None,
        refused: None,
        test: flags & IS_TEST != 0,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn opening(model: &str) -> Opening<'_> {
        Opening {
            request_id: RequestId::next(),
            time: Timestamp {
                unix_micros: 1_795_464_001_234_567,
            },
            org_id: OrgId(Uuid::now_v7()),
            project_id: ProjectId(Uuid::now_v7()),
            user_id: Some(UserId(Uuid::now_v7())),
            api_key_id: ApiKeyId(Uuid::now_v7()),
            endpoint: Endpoint::Messages,
            model,
            test: false,
        }
    }

    /// An event to try things with.
    pub(crate) fn interrupted_event() -> UsageEvent {
        let mut slot = [0; SLOT_BYTES];
        opening("claude-sonnet-5").write(&mut slot);
        read(&slot).unwrap()
    }

    #[test]
    fn what_is_open_is_found_again_and_what_was_let_go_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("open");
        let mut slots = OpenSlots::create(&path, 3).unwrap();
        let long = "m".repeat(500);
        let openings = [
            opening("claude-sonnet-5"),
            Opening {
                user_id: None,
                test: true,
                ..opening("")
            },
            opening(&long),
        ];
        let places: Vec<_> = openings
            .iter()
            .map(|open| slots.take(|slot| open.write(slot)).unwrap())
            .collect();
        assert_eq!(slots.take(|_| {}), None, "all of them are taken");
        let found = interrupted(&path).unwrap();
        let mut seen: Vec<_> = found
            .iter()
            .map(|event| {
                (
                    event.request_id,
                    event.user_id,
                    event.test,
                    event.model.len(),
                )
            })
            .collect();
        let mut expected: Vec<_> = openings
            .iter()
            .map(|open| {
                (
                    open.request_id,
                    open.user_id,
                    open.test,
                    open.model.len().min(SLOT_BYTES - MODEL_AT),
                )
            })
            .collect();
        seen.sort_by_key(|seen| seen.0);
        expected.sort_by_key(|expected| expected.0);
        assert_eq!(seen, expected);
        assert!(found.iter().all(|event| event.time == openings[0].time));

        for place in places {
            slots.release(place);
        }
        assert!(interrupted(&path).unwrap().is_empty());
        // A slot that is used again has nothing of the one before.
        slots.take(|slot| opening("x").write(slot)).unwrap();
        assert_eq!(interrupted(&path).unwrap()[0].model, "x");
    }

    #[test]
    fn a_slot_that_was_being_written_is_none() {
        let mut whole = [0; SLOT_BYTES];
        opening("claude-sonnet-5").write(&mut whole);
        for byte in 0..MODEL_AT + 15 {
            let mut torn = whole;
            torn[byte] ^= 0x40;
            assert!(read(&torn).is_none(), "byte {byte}");
        }
    }
}
