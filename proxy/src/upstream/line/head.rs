//! The head of an answer: what it says, how its body ends, and whether another request may follow it.

mod plain;

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use httparse::{ParserConfig, Status};

use self::plain::PlainHead;
use super::body::Decoder;
use super::error::LineError;
use super::names::Names;

/// The headers that most answers have at most.
const USUAL_HEADERS: usize = 64;
/// More make no answer; callers may send as many.
const MAX_HEADERS: usize = 512;

/// So many more the gateway adds to most answers.
const ADDED: usize = 4;

/// One that is all there.
pub(super) struct Head {
    /// How long it is.
    pub(super) bytes: usize,
    pub(super) response: Response<()>,
    pub(super) body: Decoder,
    /// The connection can take another request.
    pub(super) keeps_alive: bool,
}

/// What of an answer's headers is about its connection.
#[derive(Debug, Default)]
struct Framing {
    /// The lengths that were said, all the same.
    length: Option<u64>,
    has_codings: bool,
    /// The last of the codings is by chunks.
    is_chunked: bool,
    closes: bool,
    keeps_alive: bool,
}

impl Head {
    /// Reads one; none if there is more to come. Of answers to `HEAD`, whatever they say of a body, there is none.
    pub(super) fn parse(
        bytes: &Bytes,
        names: &mut Names,
        is_head: bool,
    ) -> Result<Option<Self>, LineError> {
        if let Some(head) = PlainHead::read(bytes) {
            let mut framing = Framing::default();
            if let Some(map) = framing.read(bytes, head.headers(), names)? {
                let framed = (framing, false, is_head);
                return Self::new(head.bytes, head.code, map, framed).map(Some);
            }
        }
        let mut headers = [const { MaybeUninit::uninit() }; USUAL_HEADERS];
        match Self::parse_with(bytes, names, is_head, &mut headers) {
            Err(LineError::Head(httparse::Error::TooManyHeaders)) => {
                let mut headers = vec![MaybeUninit::uninit(); MAX_HEADERS];
                Self::parse_with(bytes, names, is_head, &mut headers)
            }
            parsed => parsed,
        }
    }

    fn parse_with<'a>(
        bytes: &'a Bytes,
        names: &mut Names,
        is_head: bool,
        headers: &mut [MaybeUninit<httparse::Header<'a>>],
    ) -> Result<Option<Self>, LineError> {
        let mut parsed = httparse::Response::new(&mut []);
        let read =
            ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, headers);
        let Status::Complete(length) = read.map_err(LineError::Head)? else {
            return Ok(None);
        };
        let is_http10 = parsed.version == Some(0);
        let headers = parsed.headers.iter();
        let headers = headers.map(|header| Some((header.name.as_bytes(), header.value)));
        let mut framing = Framing::default();
        let map = framing.read(bytes, headers, names)?.unwrap_or_default();
        let code = parsed.code.unwrap_or_default();
        Self::new(length, code, map, (framing, is_http10, is_head)).map(Some)
    }

    fn new(
        bytes: usize,
        code: u16,
        map: HeaderMap,
        (framing, is_http10, is_head): (Framing, bool, bool),
    ) -> Result<Self, LineError> {
        let mut response = Response::new(());
        *response.status_mut() =
            StatusCode::from_u16(code).map_err(|_| LineError::Head(httparse::Error::Status))?;
        *response.headers_mut() = map;
        let body = match response.status() {
            _ if is_head => Decoder::Ended,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Decoder::Ended,
            status if status.is_informational() => Decoder::Ended,
            _ => framing.body(is_http10)?,
        };
        let keeps_alive = if is_http10 {
            framing.keeps_alive && !framing.closes
        } else {
            !framing.closes
        };
        Ok(Self {
            bytes,
            keeps_alive: keeps_alive
                && !matches!(body, Decoder::UntilClosed)
                && response.status() != StatusCode::SWITCHING_PROTOCOLS,
            response,
            body,
        })
    }

    /// Another one follows it, of the same answer.
    pub(super) fn is_interim(&self) -> bool {
        let status = self.response.status();
        status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
    }
}

impl Framing {
    /// Reads the headers, and leaves out those that stay here; none if one of them can't be told, or there are too many for an answer.
    fn read<'h>(
        &mut self,
        bytes: &Bytes,
        headers: impl Iterator<Item = Option<(&'h [u8], &'h [u8])>>,
        names: &mut Names,
    ) -> Result<Option<HeaderMap>, LineError> {
        // It stays with the caller's connection, which is the longer the more room it has.
        let mut map = HeaderMap::with_capacity(names.usual + ADDED);
        for (place, header) in headers.enumerate() {
            let Some((name, value)) = header.filter(|_| place < MAX_HEADERS) else {
                return Ok(None);
            };
            let known = names.get(name);
            let known = known.map_err(|_| LineError::Header("its name is none"))?;
            let Some(known) = known.filter(|known| !known.stays_here) else {
                continue;
            };
            let value = HeaderValue::from_maybe_shared(bytes.slice_ref(value));
            let value = value.map_err(|_| LineError::Header("its value has control characters"))?;
            if known.name == CONTENT_LENGTH {
                self.see_length(&value)?;
            } else if known.name == TRANSFER_ENCODING {
                self.see_codings(&value);
            } else if known.name == CONNECTION {
                self.closes |= has_token(&value, "close");
                self.keeps_alive |= has_token(&value, "keep-alive");
            }
            map.append(known.name.clone(), value);
        }
        names.usual = map.len();
        if self.has_codings {
            // It would be wrong, and whoever believed it would cut the answer elsewhere.
            map.remove(CONTENT_LENGTH);
        }
        Ok(Some(map))
    }

    fn see_length(&mut self, value: &HeaderValue) -> Result<(), LineError> {
        const WRONG: LineError = LineError::Header("content-length is no number, or two");
        for length in value.as_bytes().split(|byte| *byte == b',') {
            let length = length.trim_ascii();
            // A sign is none of its characters, which `parse` would take.
            if !length.iter().all(u8::is_ascii_digit) {
                return Err(WRONG);
            }
            let length = std::str::from_utf8(length).ok();
            let length = length.and_then(|length| length.parse().ok()).ok_or(WRONG)?;
            if *self.length.get_or_insert(length) != length {
                return Err(WRONG);
            }
        }
        Ok(())
    }

    fn see_codings(&mut self, value: &HeaderValue) {
        self.has_codings = true;
        let last = value.as_bytes().rsplit(|byte| *byte == b',').next();
        self.is_chunked =
            last.is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
    }

    /// How the body ends (RFC 9112, section 6.3).
    fn body(&self, is_http10: bool) -> Result<Decoder, LineError> {
        if self.has_codings {
            return match (is_http10, self.is_chunked) {
                (true, _) => Err(LineError::Header("transfer-encoding, in HTTP/1.0")),
                (false, true) => Ok(Decoder::chunked()),
                (false, false) => Ok(Decoder::UntilClosed),
            };
        }
        Ok(match self.length {
            None => Decoder::UntilClosed,
            Some(0) => Decoder::Ended,
            Some(length) => Decoder::Length(length),
        })
    }
}

fn has_token(value: &HeaderValue, token: &str) -> bool {
    let mut tokens = value.as_bytes().split(|byte| *byte == b',');
    tokens.any(|found| found.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests;
