//! What the meter must read of an answer, however it is cut and coded.

mod calls;
mod json;
mod recordings;
mod results;
mod splits;
mod stream;
mod totals;

use std::io::Write;
use std::time::Duration;

use domain::{TokenCounts, UsageQuality};

use super::{Meter, Reading};
use crate::coding::encode::encode;

const JSON: Option<&str> = Some("application/json");
const SSE: Option<&str> = Some("text/event-stream; charset=utf-8");
const CODINGS: [&str; 5] = ["identity", "gzip", "deflate", "br", "zstd"];

fn read(
    content_type: Option<&str>,
    encoding: Option<&str>,
    pieces: impl IntoIterator<Item = impl AsRef<[u8]>>,
) -> Reading {
    let mut meter = Meter::new(content_type, encoding);
    for piece in pieces {
        meter.observe(piece.as_ref(), Duration::from_millis(7));
    }
    let complete = meter.is_complete();
    let reading = meter.finish().unwrap();
    assert_eq!(reading.complete, complete);
    reading
}

fn read_json(body: &str) -> Reading {
    read(JSON, None, [body])
}

fn read_sse(body: &str) -> Reading {
    read(SSE, None, [body])
}

/// `[input, output, cache_read, cache_write, cache_write_1h]`
fn counters(reading: &Reading) -> [u64; 5] {
    let TokenCounts {
        input,
        output,
        cache_read,
        cache_write,
        cache_write_1h,
    } = reading.usage.tokens;
    [input, output, cache_read, cache_write, cache_write_1h]
}

#[test]
fn the_content_type_chooses_the_reader() {
    let body = "data: {\"type\":\"message_stop\"}\n\n";
    for (content_type, complete) in [
        (Some("text/event-stream"), true),
        (Some("Text/Event-Stream ;charset=utf-8"), true),
        (Some("text/event-streams"), false),
        (Some("application/json"), false),
        (None, false),
    ] {
        let reading = read(content_type, None, [body]);
        assert_eq!(reading.complete, complete, "{content_type:?}");
    }
}

#[test]
fn compression_is_read_declared_or_not() {
    let body = br#"{"type":"message","usage":{"input_tokens":3,"output_tokens":4}}"#;
    for (declared, actual) in [
        (Some("gzip"), "gzip"),
        (Some("X-GZIP"), "gzip"),
        (Some("deflate"), "deflate"),
        (Some("deflate"), "raw deflate"),
        (Some("br"), "br"),
        (Some("zstd"), "zstd"),
        (Some("identity"), "zstd"),
        (None, "gzip"),
        (None, "zstd"),
        (Some(""), "identity"),
    ] {
        let reading = read(JSON, declared, [encode(actual, body)]);
        assert_eq!(
            counters(&reading),
            [3, 4, 0, 0, 0],
            "{declared:?}, {actual}"
        );
        assert_eq!(reading.quality, UsageQuality::Exact);
    }
}

#[test]
fn codings_in_a_list_are_undone_from_the_last_to_the_first() {
    let body = br#"{"usage":{"input_tokens":3,"output_tokens":4}}"#;
    let coded = encode("br", &encode("gzip", body));
    assert_eq!(
        counters(&read(JSON, Some("gzip, br"), [coded]))[..2],
        [3, 4]
    );
}

#[test]
fn what_cannot_be_decoded_is_estimated() {
    let body = br#"{"type":"message","usage":{"input_tokens":3,"output_tokens":4}}"#;
    let gzip = encode("gzip", body);
    let mut damaged = gzip.clone();
    damaged[12] ^= 0xff;
    damaged[14] ^= 0xff;
    for (declared, body) in [
        ("snappy", &body[..]),
        ("gzip, snappy", &gzip),
        ("gzip", body),
        ("gzip", &damaged),
        ("gzip,gzip,gzip,gzip", &gzip),
        ("br", b"\xff\xff\xff\xff"),
        ("zstd", &gzip),
        ("deflate", b"\xff\xff\xff\xff"),
    ] {
        let reading = read(JSON, Some(declared), [body]);
        assert_eq!(reading.quality, UsageQuality::Estimated, "{declared}");
        assert_eq!(counters(&reading), [0; 5], "{declared}");
    }
}

/// A stream that is flushed event by event, as the API does it, is read event by event.
#[test]
fn a_compressed_event_is_read_when_it_is_flushed() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut meter = Meter::new(SSE, Some("gzip"));
    for (index, event) in stream::PLAIN.split_inclusive("\n\n").enumerate() {
        encoder.write_all(event.as_bytes()).unwrap();
        encoder.flush().unwrap();
        let at = Duration::from_millis(index.try_into().unwrap());
        meter.observe(&std::mem::take(encoder.get_mut()), at);
    }
    assert!(meter.is_complete(), "before the end of the gzip stream");
    let reading = meter.finish().unwrap();
    assert_eq!(reading.first_content_at, Some(Duration::from_millis(1)));
    assert_eq!(counters(&reading), [25, 15, 0, 0, 0]);
}
