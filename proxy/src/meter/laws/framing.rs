//! The framing of a stream: what the reader finds in any pieces is what a plain splitter finds in the whole.

use super::check_alike;
use crate::fuzz::cuts;
use crate::meter::sse::{Events, Piece};

/// An event's name, unless it is too long, and its data.
type Event = (Option<Vec<u8>>, Vec<u8>);

/// The longest name that is told from others.
const MOST_OF_A_NAME: usize = 32;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub(super) fn check(body: &[u8], sizes: &[u8]) {
    let expected = split(body);
    let found = cuts(body, sizes).map(|pieces| read(&pieces));
    check_alike(&expected, &found);
}

fn read(pieces: &[&[u8]]) -> Vec<Event> {
    let (mut events, mut found, mut data) = (Events::default(), Vec::new(), Vec::new());
    for mut bytes in pieces.iter().copied() {
        while let Some(piece) = events.next(&mut bytes) {
            match piece {
                Piece::Data(part) => data.extend_from_slice(part),
                Piece::End(name) => {
                    found.push((name.get().map(<[u8]>::to_vec), std::mem::take(&mut data)));
                }
            }
        }
    }
    found
}

fn split(body: &[u8]) -> Vec<Event> {
    let (mut found, mut name, mut data) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines(body) {
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value
            .strip_prefix(b":")
            .map(|value| value.strip_prefix(b" ").unwrap_or(value));
        match (field.strip_prefix(BYTE_ORDER_MARK).unwrap_or(field), value) {
            (b"event", Some(value)) => name = value.to_vec(),
            // Data begins with its first line that isn't empty: what comes before is a blank to JSON.
            (b"data", Some(value)) if !data.is_empty() => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            (b"data", Some(value)) => data = value.to_vec(),
            (b"", None) => {
                let (name, data) = (std::mem::take(&mut name), std::mem::take(&mut data));
                if !data.is_empty() {
                    found.push((Some(name).filter(|name| name.len() <= MOST_OF_A_NAME), data));
                }
            }
            _ => {}
        }
    }
    found
}

/// Lines with an end, which is LF, CR or both. A CR at the end of the body ends a line, too.
fn lines(mut body: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while let Some(end) = body.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        let (line, rest) = body.split_at(end);
        lines.push(line);
        let rest_of = |end: &[u8]| rest.strip_prefix(end);
        body = rest_of(b"\r\n")
            .or_else(|| rest_of(b"\r"))
            .or_else(|| rest_of(b"\n"))
            .unwrap_or_default();
    }
    lines
}
