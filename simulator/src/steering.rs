//! What a request asks of its own answer: `x-simulator-*` headers and the model's `@` suffix.
//!
//! The table in the crate's head is the reference. A name or value that isn't in it is refused: a test that
//! misspells its steering must not pass by accident.

pub(crate) mod countdown;

use std::time::Duration;

use http::HeaderMap;

use crate::api_error::{ApiError, Fault};
use crate::options::Pacing;

const PREFIX: &str = "x-simulator-";

#[derive(Clone, Debug, Default)]
pub(crate) struct Steering {
    pub(crate) error: Option<Fault>,
    pub(crate) error_times: Option<u32>,
    pub(crate) error_key: Option<String>,
    pub(crate) retry_after_seconds: Option<u32>,
    pub(crate) should_retry: Option<bool>,
    pub(crate) mid_stream_error: Option<Fault>,
    pub(crate) cut: Option<Point>,
    pub(crate) silence: Option<Point>,
    pub(crate) output_tokens: Option<u64>,
    pub(crate) tokens_per_event: Option<u64>,
    pub(crate) pacing: Pacing,
    pub(crate) gzip: bool,
    pub(crate) tool: Option<String>,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) cache_hit: bool,
    pub(crate) batch_delay: Option<Duration>,
}

/// Where an answer breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    Headers,
    /// After so many events of a stream, or bytes of another body.
    After(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    BeforeOutput,
    MidOutput,
}

/// A steering name or value that doesn't exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unknown;

impl Steering {
    pub(crate) fn from_headers(headers: &HeaderMap, pacing: Pacing) -> Result<Self, ApiError> {
        let mut steering = Self {
            pacing,
            ..Self::default()
        };
        for (header, value) in headers {
            let Some(name) = header.as_str().strip_prefix(PREFIX) else {
                continue;
            };
            let value = value.to_str().map_err(|_| refused(name))?;
            steering.set(name, value).map_err(|Unknown| refused(name))?;
        }
        Ok(steering)
    }

    /// Adds what follows the `@` of a model's name: `overloaded`, or `name=value` pairs with commas between.
    pub(crate) fn add_suffix(&mut self, suffix: &str) -> Result<(), Unknown> {
        for part in suffix.split(',') {
            match part.split_once('=') {
                Some((name, value)) => self.set(name, value)?,
                None => self.set_word(part)?,
            }
        }
        Ok(())
    }

    fn set_word(&mut self, word: &str) -> Result<(), Unknown> {
        match word {
            "refusal" => self.set("refusal", "true"),
            "gzip" => self.set("encoding", "gzip"),
            fault => self.set("error", fault),
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Unknown> {
        match name {
            "error" => self.error = Some(fault(value)?),
            "error-times" => self.error_times = Some(number(value)?),
            "error-key" => self.error_key = Some(value.to_owned()),
            "retry-after" => self.retry_after_seconds = Some(number(value)?),
            "should-retry" => self.should_retry = Some(number(value)?),
            "mid-stream-error" => self.mid_stream_error = Some(fault(value)?),
            "cut" => self.cut = Some(point(value)?),
            "silence" => self.silence = Some(point(value)?),
            "output-tokens" => self.output_tokens = Some(number(value)?),
            "tokens-per-event" => self.tokens_per_event = Some(number(value)?),
            "ttfb-ms" => self.pacing.first_byte = milliseconds(value)?,
            "event-interval-ms" => self.pacing.between_events = milliseconds(value)?,
            "encoding" => self.gzip = either(value, "gzip", "identity")?,
            "tool" => self.tool = Some(value.to_owned()),
            "refusal" => self.refusal = refusal(value)?,
            "cache" => self.cache_hit = either(value, "hit", "miss")?,
            "batch-delay-ms" => self.batch_delay = Some(milliseconds(value)?),
            _ => return Err(Unknown),
        }
        Ok(())
    }

    /// The failure that `fault` becomes, with the retry headers this request asked for.
    pub(crate) fn failure(&self, fault: Fault) -> ApiError {
        let mut error = ApiError::from(fault);
        error.retry_after_seconds = self.retry_after_seconds.or(error.retry_after_seconds);
        error.should_retry = self.should_retry;
        error
    }
}

fn refused(name: &str) -> ApiError {
    ApiError::invalid(format!(
        "{PREFIX}{name}: not a name and value that the simulator knows"
    ))
}

fn fault(value: &str) -> Result<Fault, Unknown> {
    Fault::named(value).ok_or(Unknown)
}

fn number<T: std::str::FromStr>(value: &str) -> Result<T, Unknown> {
    value.parse().map_err(|_| Unknown)
}

fn milliseconds(value: &str) -> Result<Duration, Unknown> {
    number(value).map(Duration::from_millis)
}

fn point(value: &str) -> Result<Point, Unknown> {
    match value {
        "headers" => Ok(Point::Headers),
        count => number(count).map(Point::After),
    }
}

fn refusal(value: &str) -> Result<Option<Refusal>, Unknown> {
    match value {
        "true" => Ok(Some(Refusal::BeforeOutput)),
        "mid" => Ok(Some(Refusal::MidOutput)),
        "false" => Ok(None),
        _ => Err(Unknown),
    }
}

fn either(value: &str, yes: &str, no: &str) -> Result<bool, Unknown> {
    if value == yes {
        Ok(true)
    } else if value == no {
        Ok(false)
    } else {
        Err(Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Pacing, Point, Refusal, Steering, Unknown};

    #[test]
    fn suffixes_take_words_and_pairs() {
        let check = |suffix: &str, expected: fn(&Steering) -> bool| {
            let mut steering = Steering::default();
            steering.add_suffix(suffix).unwrap();
            assert!(expected(&steering), "{suffix}: {steering:?}");
        };
        check("overloaded", |s| s.error == Some(Fault::Overloaded));
        check("refusal", |s| s.refusal == Some(Refusal::BeforeOutput));
        check("refusal=mid", |s| s.refusal == Some(Refusal::MidOutput));
        check("output-tokens=9,cut=4", |s| {
            s.output_tokens == Some(9) && s.cut == Some(Point::After(4))
        });
        check("silence=headers", |s| s.silence == Some(Point::Headers));
    }

    #[test]
    fn unknown_names_and_values_are_refused() {
        for suffix in [
            "",
            "20250514",
            "cut",
            "cut=-1",
            "errors=api",
            "error=teapot",
            "cache=yes",
        ] {
            assert_eq!(
                Steering::default().add_suffix(suffix),
                Err(Unknown),
                "{suffix}"
            );
        }
        let headers = [("x-simulator-typo", "1")]
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let error = Steering::from_headers(&headers, Pacing::default()).unwrap_err();
        assert_eq!(error.fault, Fault::Invalid);
    }
}
