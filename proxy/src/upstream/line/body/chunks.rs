//! A body in chunks (RFC 9112, section 7.1), cut anywhere.

use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::Status;

use super::super::error::LineError;

/// What may stand behind the sizes of all chunks together, and in all trailers, in bytes: nobody has a use for either.
const MAX_EXTENSIONS: usize = 16 << 10;
const MAX_TRAILERS: usize = 16 << 10;
const MAX_TRAILER_FIELDS: usize = 64;

/// How far a body has come.
#[derive(Debug, Default)]
pub(in super::super) struct Chunks {
    place: Place,
    /// Of the chunk that is coming.
    left: u64,
    /// Bytes that were passed over behind sizes.
    extensions: usize,
    /// As they came, until the empty line behind them.
    trailer_bytes: Vec<u8>,
    trailers: Option<Box<HeaderMap>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Before a chunk's size.
    #[default]
    Size,
    /// In it, behind so many digits.
    Digits(u8),
    /// Behind it, before the line's end.
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// Behind the empty chunk, at the beginning of a line.
    End,
    EndLf,
    Trailers,
    Ended,
    /// Nobody can say what comes.
    Broken,
}

/// Digits of a size that fits into 64 bits.
const MOST_DIGITS: u8 = 16;

impl Chunks {
    pub(super) fn has_ended(&self) -> bool {
        self.place == Place::Ended && self.trailers.is_none()
    }

    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take().map(|trailers| *trailers)
    }

    /// The next data in these bytes, which it takes with all before it; none if there is no more.
    pub(super) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, LineError> {
        while self.place != Place::Ended {
            if self.place == Place::Data {
                if bytes.is_empty() {
                    return Ok(None);
                }
                let most = usize::try_from(self.left).unwrap_or(usize::MAX);
                let (data, behind) = bytes.split_at(most.min(bytes.len()));
                *bytes = behind;
                self.left -= data.len() as u64;
                if self.left == 0 {
                    self.place = Place::DataCr;
                }
                return Ok(Some(data));
            }
            let Some((byte, behind)) = bytes.split_first() else {
                return Ok(None);
            };
            let step = self.step(*byte);
            self.place = *step.as_ref().unwrap_or(&Place::Broken);
            step?;
            *bytes = behind;
        }
        Ok(None)
    }

    /// Where it is behind a byte that isn't data.
    fn step(&mut self, byte: u8) -> Result<Place, LineError> {
        let wrong = |what| Err(LineError::Chunks(what));
        Ok(match (self.place, byte) {
            (Place::Size, _) => {
                self.left = digit(byte).ok_or(LineError::Chunks("a size is no number"))?;
                Place::Digits(1)
            }
            (Place::Digits(_), b'\r') | (Place::Extension, b'\r') => Place::SizeLf,
            (Place::Digits(_), b';' | b' ' | b'\t') => Place::Extension,
            (Place::Digits(count), _) => {
                let digit = digit(byte).ok_or(LineError::Chunks("a size is no number"))?;
                // Zeros before it are as many as anything else that is too long.
                if count >= MOST_DIGITS {
                    return wrong("a size is too large");
                }
                self.left = self.left << 4 | digit;
                Place::Digits(count + 1)
            }
            (Place::Extension, b'\n') => return wrong("a line ends within it"),
            (Place::Extension, _) => {
                self.extensions += 1;
                if self.extensions > MAX_EXTENSIONS {
                    return wrong("too much is said behind sizes");
                }
                Place::Extension
            }
            (Place::SizeLf, b'\n') if self.left == 0 => Place::End,
            (Place::SizeLf, b'\n') => Place::Data,
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::Size,
            (Place::End, b'\r') => Place::EndLf,
            (Place::End, b'\n') => return wrong("a line's end is missing"),
            (Place::EndLf, b'\n') => Place::Ended,
            (Place::SizeLf | Place::DataCr | Place::DataLf | Place::EndLf, _) => {
                return wrong("a line's end is missing");
            }
            (Place::End | Place::Trailers, _) => return self.in_trailers(byte),
            (Place::Broken, _) => return wrong("they did before"),
            (Place::Data | Place::Ended, _) => self.place,
        })
    }

    fn in_trailers(&mut self, byte: u8) -> Result<Place, LineError> {
        self.trailer_bytes.push(byte);
        if self.trailer_bytes.len() > MAX_TRAILERS {
            return Err(LineError::Chunks("the trailers are too long"));
        }
        if !self.trailer_bytes.ends_with(b"\r\n\r\n") {
            return Ok(Place::Trailers);
        }
        let bytes = std::mem::take(&mut self.trailer_bytes);
        self.trailers = Some(Box::new(trailers(&bytes)?));
        Ok(Place::Ended)
    }
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

fn trailers(bytes: &[u8]) -> Result<HeaderMap, LineError> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
    let parsed = httparse::parse_headers(bytes, &mut fields).map_err(LineError::Head)?;
    // They may end earlier for a reader that takes less for the end of a line.
    if !matches!(parsed, Status::Complete((length, _)) if length == bytes.len()) {
        return Err(LineError::Chunks("a line's end is missing"));
    }
    let mut map = HeaderMap::new();
    for field in fields.iter().take_while(|field| !field.name.is_empty()) {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(LineError::Header("it is no trailer"));
        };
        map.append(name, value);
    }
    Ok(map)
}
