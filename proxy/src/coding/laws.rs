//! What must hold of every coded body: it is decoded alike wherever it is cut, in pieces of bounded size, and what was
//! encoded comes out as it was.

use super::encode::encode;
use super::{DecodeError, Decoder, decode_whole};
use crate::fuzz::cuts;

/// As `content-encoding` has them.
const ENCODINGS: [&str; 7] = [
    "gzip",
    "deflate",
    "br",
    "zstd",
    "identity",
    "gzip, br",
    "deflate,zstd",
];

/// Of a decoded body. Bombs are small and go off often.
const MOST: usize = 1 << 20;

/// Decoded bytes handed on at once: the window of gzip is emptied twice.
const MOST_AT_ONCE: usize = 128 * 1024;

/// The low bits of `choice` are of an encoding, the highest says that the body doesn't have it yet.
pub(crate) fn check(choice: u8, body: &[u8], sizes: &[u8]) {
    let mut encodings = ENCODINGS.iter().cycle();
    let Some(encoding) = encodings.nth(usize::from(choice & 0x7f)) else {
        return;
    };
    if choice & 0x80 != 0 {
        return check_round_trip(encoding, body, sizes);
    }
    let decoded = check_decoding(encoding, body, sizes);
    assert!(decoded.is_none_or(|decoded| decoded.len() <= MOST));
}

fn check_round_trip(encoding: &str, body: &[u8], sizes: &[u8]) {
    let codings = encoding.split(',').map(str::trim);
    let coded = codings.fold(body.to_vec(), |bytes, coding| encode(coding, &bytes));
    let decoded = check_decoding(encoding, &coded, sizes);
    assert_eq!(decoded.as_deref(), Some(body), "{encoding}");
}

/// The body, if it can be decoded: why it can't be may depend on the cuts where it is damaged and too large.
fn check_decoding(encoding: &str, coded: &[u8], sizes: &[u8]) -> Option<Vec<u8>> {
    let whole = decode_whole(encoding, coded, MOST).ok();
    for pieces in cuts(coded, sizes) {
        let decoded = decode(encoding, &pieces).ok();
        assert_eq!(decoded, whole, "cuts make a difference to {encoding}");
    }
    whole
}

fn decode(encoding: &str, pieces: &[&[u8]]) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(encoding)?;
    let mut body = Vec::new();
    for piece in pieces {
        decoder.feed(piece, &mut |part| {
            assert!(part.len() <= MOST_AT_ONCE, "{} bytes at once", part.len());
            body.extend_from_slice(part);
            if body.len() > MOST {
                return Err(DecodeError::TooLarge);
            }
            Ok(())
        })?;
    }
    decoder.end()?;
    Ok(body)
}
