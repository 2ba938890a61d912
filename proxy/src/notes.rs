//! What callers are told of their limits, in the headers that clients of the API know.

use domain::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue};
use policy_engine::{Note, Notes, Remaining};

use crate::limits;

const WARNING: HeaderName = HeaderName::from_static("x-mindweave-warning");

/// Puts what is left, and warnings, on an answer.
pub(crate) fn put(headers: &mut HeaderMap, notes: &Notes) {
    let left = &notes.left;
    let left = [
        left.requests,
        left.tokens,
        left.input_tokens,
        left.output_tokens,
    ];
    for (names, remaining) in limits::NAMES.iter().zip(left) {
        if let Some(remaining) = remaining {
            put_remaining(headers, names, &remaining);
        }
    }
    for note in &notes.warnings {
        headers.append(WARNING, visible(&text(note)));
    }
}

fn put_remaining(headers: &mut HeaderMap, names: &[HeaderName; 3], remaining: &Remaining) {
    let [limit, left, reset] = names;
    headers.insert(limit, remaining.limit.into());
    headers.insert(left, remaining.remaining.into());
    if let Ok(moment) = HeaderValue::try_from(remaining.resets_at.rfc3339()) {
        headers.insert(reset, moment);
    }
}

fn text(note: &Note) -> String {
    match &note.policy {
        None => note.message.clone(),
        Some((_, name)) => format!("{} (policy \"{name}\")", note.message),
    }
}

/// Headers hold what can be seen of ASCII; names of policies hold anything.
fn visible(text: &str) -> HeaderValue {
    let shown = |c: char| {
        if c == ' ' || c.is_ascii_graphic() {
            c
        } else {
            '?'
        }
    };
    let text: String = text.chars().map(shown).collect();
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("?"))
}

/// Whole seconds until then, rounded up, and at least one.
pub(crate) fn seconds_until(then: Timestamp, now: Timestamp) -> u64 {
    let micros = then.unix_micros.saturating_sub(now.unix_micros).max(1);
    u64::try_from(micros).unwrap_or(1).div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use policy_engine::Left;

    use super::*;

    #[test]
    fn limits_stand_in_the_apis_own_headers() {
        let resets_at = Timestamp {
            unix_micros: 1_795_651_200_000_000,
        };
        let remaining = Remaining {
            limit: 100,
            remaining: 7,
            resets_at,
        };
        let notes = Notes {
            warnings: vec![Note {
                policy: Some((domain::PolicyId(uuid::Uuid::nil()), "Bücher\n".into())),
                message: "x".to_owned(),
            }],
            left: Left {
                output_tokens: Some(remaining),
                ..Left::default()
            },
            ..Notes::default()
        };
        let mut headers = HeaderMap::new();
        put(&mut headers, &notes);
        let get = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(get("anthropic-ratelimit-output-tokens-limit"), Some("100"));
        assert_eq!(
            get("anthropic-ratelimit-output-tokens-remaining"),
            Some("7")
        );
        assert_eq!(
            get("anthropic-ratelimit-output-tokens-reset"),
            Some("2026-11-26T00:00:00Z")
        );
        assert_eq!(get("x-mindweave-warning"), Some("x (policy \"B?cher?\")"));
        assert_eq!(headers.len(), 4);
    }

    #[test]
    fn waits_are_rounded_up() {
        let at = |unix_micros| Timestamp { unix_micros };
        assert_eq!(seconds_until(at(1_000_001), at(0)), 2);
        assert_eq!(seconds_until(at(1_000_000), at(0)), 1);
        assert_eq!(seconds_until(at(0), at(5)), 1);
    }
}
