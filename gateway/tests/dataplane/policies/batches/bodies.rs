//! How batches are read: compressed ones, those that can't be read, and those that nobody has to read.

use bytes::Bytes;
use http::{Method, StatusCode};
use testkit::upstream::pieces;

use super::{BATCHES, MIB, batch, check_refused, no_opus, stage};
use crate::stage::{Seen, Stage, gzip};

#[tokio::test]
async fn compressed_batches_are_looked_into() {
    let (stage, seen) = stage(&no_opus()).await;
    let client = stage.client().with("content-encoding", "gzip");
    for bytes in [0, 20 * MIB] {
        let (index, body) = batch(bytes, "claude-opus-5");
        let parts = |body: &[u8]| body.chunks(5_000).map(Bytes::copy_from_slice).collect();
        let zipped = gzip(&body);
        let whole = client.send(Method::POST, BATCHES, zipped.clone()).await;
        check_refused(&whole, index);
        let chunks = pieces(parts(&zipped));
        check_refused(
            &client.send_body(Method::POST, BATCHES, chunks).await,
            index,
        );
    }
    assert!(seen.take().is_empty());
    let zipped = gzip(&batch(20 * MIB, "claude-haiku-4-5").1);
    let answer = client.send(Method::POST, BATCHES, zipped.clone()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(seen.only().body == zipped, "byte for byte");
}

/// Bodies that can't be read to their end, and what callers are told.
fn unreadable() -> [(&'static str, Vec<u8>, &'static str); 7] {
    let (_, body) = batch(0, "claude-haiku-4-5");
    let cut = body[..body.len() - 1].to_vec();
    let zipped = gzip(&body);
    [
        ("identity", cut, "body_invalid"),
        ("identity", b"[]".to_vec(), "body_invalid"),
        ("identity", b"no JSON".to_vec(), "body_invalid"),
        ("identity", [&body[..], b"x"].concat(), "body_invalid"),
        ("gzip", body.clone(), "request_body_encoding_invalid"),
        (
            "gzip",
            zipped[..zipped.len() - 9].to_vec(),
            "request_body_encoding_invalid",
        ),
        ("compress", body, "request_body_encoding_unsupported"),
    ]
}

#[tokio::test]
async fn a_batch_that_cannot_be_read_is_refused_where_an_item_could_be() {
    let (stage, seen) = stage(&no_opus()).await;
    for (encoding, body, code) in unreadable() {
        let client = stage.client().with("content-encoding", encoding);
        let whole = client.send(Method::POST, BATCHES, body.clone()).await;
        let chunks = pieces(body.chunks(50).map(Bytes::copy_from_slice).collect());
        let chunked = client.send_body(Method::POST, BATCHES, chunks).await;
        for answer in [whole, chunked] {
            let (status, said) = (answer.status.as_u16(), answer.error_code());
            assert_eq!((status, said.as_str()), (400, code), "{encoding}");
        }
    }
    assert!(seen.take().is_empty(), "the upstream got a batch whole");
}

/// Every one of these bodies gets to the upstream as it is.
pub(super) async fn check_passes(stage: &Stage, seen: &Seen) {
    for (encoding, body, _) in unreadable() {
        let client = stage.client().with("content-encoding", encoding);
        let answer = client.send(Method::POST, BATCHES, body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{encoding}");
        assert_eq!(seen.only().body, body);
        let chunks = pieces(body.chunks(50).map(Bytes::copy_from_slice).collect());
        let answer = client.send_body(Method::POST, BATCHES, chunks).await;
        assert_eq!(answer.status, StatusCode::OK, "{encoding}, in chunks");
        assert_eq!(seen.only().body, body);
    }
}

#[tokio::test]
async fn without_rules_for_items_a_batch_is_not_read() {
    let (stage, seen) = stage(&[]).await;
    check_passes(&stage, &seen).await;
}
