//! The laws of every reader of foreign bytes, checked on whatever a fuzzer makes up.
//!
//! Each function takes one input and panics where a law is broken; the targets in `fuzz/` do nothing else than
//! call them. An input is the bytes to be read and, behind its last 0xff, the sizes of the pieces to cut them
//! in: JSON and event streams have no such byte, so they are seeds as they are. The corpora run as tests too,
//! so that what a fuzzer has found stays found.

use crate::{batch_items, coding, meter};

/// An answer as a stream of events.
pub fn sse(input: &[u8]) {
    let (body, sizes) = divided(input);
    meter::laws::check_stream(body, sizes);
}

/// An answer in one piece of JSON, an object that was made, or the results of a batch: every body is read as each.
pub fn usage(input: &[u8]) {
    let (body, sizes) = divided(input);
    meter::laws::check_json(body, sizes);
    meter::laws::check_object(body, sizes);
    meter::laws::check_batch_results(body, sizes);
    meter::laws::check_totals(body, sizes);
}

/// The body of a request.
pub fn inspect(input: &[u8]) {
    crate::inspect::laws::check(input);
}

/// The body that makes a message batch.
pub fn batch(input: &[u8]) {
    let (body, sizes) = divided(input);
    batch_items::laws::check(body, sizes);
}

/// A body with a content coding, which the first byte chooses, or one that is to be encoded first.
pub fn coding(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let (body, sizes) = divided(rest);
    coding::laws::check(*choice, body, sizes);
}

/// The bytes to be read, and the sizes of their pieces.
fn divided(input: &[u8]) -> (&[u8], &[u8]) {
    let Some(mark) = memchr::memrchr(0xff, input) else {
        return (input, &[]);
    };
    let (body, sizes) = input.split_at(mark);
    (body, sizes.get(1..).unwrap_or_default())
}

/// `bytes` cut in pieces of these sizes, and one of all that is left.
pub(crate) fn pieces(mut bytes: &[u8], sizes: impl IntoIterator<Item = usize>) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    for size in sizes {
        let (piece, rest) = bytes.split_at(size.min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces.push(bytes);
    pieces
}

/// The ways to show a body that must make no difference: whole, byte by byte, and as the input has it.
pub(crate) fn cuts<'a>(body: &'a [u8], sizes: &[u8]) -> [Vec<&'a [u8]>; 3] {
    [
        vec![body],
        body.chunks(1).collect(),
        pieces(body, sizes.iter().map(|size| usize::from(*size))),
    ]
}

#[cfg(test)]
pub(crate) mod json;
#[cfg(test)]
#[path = "fuzz/tests.rs"]
mod tests;
