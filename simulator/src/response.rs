//! Responses: JSON, errors, and the headers that every answer of the API has.

use std::time::SystemTime;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::api_error::{ApiError, Fault};
use crate::body::Body;
use crate::body::events::Events;
use crate::body::script::{Ending, Script};
use crate::encoding;
use crate::steering::{Point, Steering};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");

pub(crate) fn whole(content_type: HeaderValue, bytes: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::Whole(bytes.into()));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

pub(crate) fn json(value: &impl Serialize) -> Result<Response<Body>, ApiError> {
    let bytes = serde_json::to_vec(value).map_err(|_| Fault::Api)?;
    Ok(whole(JSON, bytes))
}

/// Answers with a stream of events, encoded, paced and ended as `steering` says.
pub(crate) fn event_stream(
    mut events: Events,
    steering: &Steering,
    ending: Ending,
) -> Result<Response<Body>, ApiError> {
    let gzip = steering.gzip;
    if gzip {
        events = encoding::gzip_events(&events).map_err(|_| Fault::Api)?;
    }
    if let Some(Point::After(count)) = steering.cut.or(steering.silence) {
        events.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    }
    let script = Script::new(events, steering.pacing.between_events, ending);
    let mut response = Response::new(Body::Script(Box::new(script)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, EVENT_STREAM);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if gzip {
        headers.insert(CONTENT_ENCODING, GZIP);
    }
    Ok(response)
}

pub(crate) fn error(error: &ApiError, request_id: &str) -> Response<Body> {
    let mut response = json(&error.envelope(Some(request_id)))
        .unwrap_or_else(|_| Response::new(Body::Whole(Bytes::new())));
    *response.status_mut() = error.fault.status();
    let headers = response.headers_mut();
    if let Some(seconds) = error.retry_after_seconds {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(should_retry) = error.should_retry {
        let value = HeaderValue::from_static(if should_retry { "true" } else { "false" });
        headers.insert("x-should-retry", value);
    }
    response
}

/// Compresses a whole body, and then breaks it off, as `steering` says. Streams have seen to both.
pub(crate) fn shape(response: Response<Body>, steering: &Steering) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let Body::Whole(mut bytes) = body else {
        return Response::from_parts(head, body);
    };
    if steering.gzip
        && let Ok(packed) = encoding::gzip(&bytes)
    {
        bytes = packed.into();
        head.headers.insert(CONTENT_ENCODING, GZIP);
    }
    let body = match steering.cut {
        Some(Point::After(count)) => {
            head.headers
                .insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            cut(&bytes, count)
        }
        Some(Point::Headers) | None => Body::Whole(bytes),
    };
    Response::from_parts(head, body)
}

fn cut(bytes: &[u8], count: u64) -> Body {
    let mut events = Events::default();
    let kept = usize::try_from(count)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    events.buffer.extend(bytes.iter().take(kept));
    events.close();
    let script = Script::new(events, std::time::Duration::ZERO, Ending::HangUp);
    Body::Script(Box::new(script))
}

macro_rules! names {
    ($what:literal) => {
        [
            concat!("anthropic-ratelimit-", $what, "-limit"),
            concat!("anthropic-ratelimit-", $what, "-remaining"),
            concat!("anthropic-ratelimit-", $what, "-reset"),
        ]
    };
}

/// Rate-limit headers of an organization that has just made its first request of the minute.
pub(crate) fn add_rate_limits(headers: &mut HeaderMap, input_tokens: u64, now: SystemTime) {
    const INPUT: u64 = 4_000_000;
    const OUTPUT: u64 = 800_000;
    let reset = HeaderValue::try_from(timestamp(now)).ok();
    // Remaining tokens are told in thousands.
    let input_left = INPUT
        .saturating_sub(input_tokens)
        .next_multiple_of(1000)
        .min(INPUT);
    let limits: [([&'static str; 3], u64, u64); 4] = [
        (names!("requests"), 4000, 3999),
        (names!("tokens"), INPUT + OUTPUT, input_left + OUTPUT),
        (names!("input-tokens"), INPUT, input_left),
        (names!("output-tokens"), OUTPUT, OUTPUT),
    ];
    for ([limit, remaining, reset_at], most, left) in limits {
        headers.insert(HeaderName::from_static(limit), HeaderValue::from(most));
        headers.insert(HeaderName::from_static(remaining), HeaderValue::from(left));
        if let Some(reset) = &reset {
            headers.insert(HeaderName::from_static(reset_at), reset.clone());
        }
    }
}

/// A date as the API writes it: RFC 3339, UTC, whole seconds.
pub(crate) fn timestamp(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub(crate) fn empty() -> Response<Body> {
    let mut response = Response::new(Body::Whole(Bytes::new()));
    *response.status_mut() = StatusCode::OK;
    response
}
