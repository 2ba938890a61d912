//! Content encodings: gzip answers, and requests that come compressed.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::api_error::{ApiError, Fault};
use crate::body::events::Events;

pub(crate) fn gzip(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain)?;
    encoder.finish()
}

/// Compresses a stream so that each event can be decoded as soon as its bytes arrive.
pub(crate) fn gzip_events(plain: &Events) -> io::Result<Events> {
    let mut encoder = GzEncoder::new(Events::default(), Compression::fast());
    let last = plain.len().saturating_sub(1);
    for (index, event) in plain.iter().enumerate() {
        encoder.write_all(event)?;
        encoder.flush()?;
        if index == last {
            encoder.try_finish()?;
        }
        encoder.get_mut().close();
    }
    encoder.finish()
}

impl Write for Events {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Undoes a request's content encoding, to at most `max_bytes`.
pub(crate) fn decode(headers: &HeaderMap, body: Bytes, max_bytes: u64) -> Result<Bytes, ApiError> {
    match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"" | b"identity") => Ok(body),
        Some(b"gzip") => gunzip(&body, max_bytes),
        Some(_) => Err(
            ApiError::invalid("Content-Encoding: only gzip and identity are supported")
                .with_code("request_body_encoding_unsupported"),
        ),
    }
}

fn gunzip(body: &[u8], max_bytes: u64) -> Result<Bytes, ApiError> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(body)
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut plain)
        .map_err(|_| {
            ApiError::invalid("The request body is not valid gzip")
                .with_code("request_body_encoding_invalid")
        })?;
    if plain.len() as u64 > max_bytes {
        return Err(
            ApiError::from(Fault::TooLarge).with_code("request_body_too_large_after_decoding")
        );
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(encoding: &'static str, body: &[u8], max_bytes: u64, expected: Result<&[u8], Fault>) {
        let headers = [(CONTENT_ENCODING, encoding.parse().unwrap())]
            .into_iter()
            .collect();
        let decoded = decode(&headers, Bytes::copy_from_slice(body), max_bytes);
        let decoded = decoded.as_deref().map_err(|error| error.fault);
        assert_eq!(decoded, expected, "{encoding}");
    }

    #[test]
    fn request_bodies_are_decoded_within_a_bound() {
        let packed = gzip(b"hello").unwrap();
        check("identity", b"hello", 1, Ok(b"hello"));
        check("gzip", &packed, 5, Ok(b"hello"));
        check("gzip", &packed, 4, Err(Fault::TooLarge));
        check("gzip", b"hello", 9, Err(Fault::Invalid));
        check("zstd", b"hello", 9, Err(Fault::Invalid));
    }

    #[test]
    fn each_compressed_event_can_be_read_on_arrival() {
        let mut plain = Events::default();
        for event in ["event: a\n\n", "event: b\n\n", "event: c\n\n"] {
            plain.buffer.extend_from_slice(event.as_bytes());
            plain.close();
        }
        let packed = gzip_events(&plain).unwrap();
        assert_eq!(packed.len(), plain.len());
        let mut decoder = flate2::write::GzDecoder::new(Vec::new());
        let mut expected = Vec::new();
        for (arrived, event) in packed.iter().zip(plain.iter()) {
            decoder.write_all(arrived).unwrap();
            decoder.flush().unwrap();
            expected.extend_from_slice(event);
            assert_eq!(decoder.get_ref(), &expected);
        }
        decoder.finish().unwrap();
    }
}
