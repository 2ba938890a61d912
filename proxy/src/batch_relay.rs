//! Batch objects on their way to the caller: read whole, their URLs rewritten.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};

use crate::batch_objects::rewrite_results_urls;
use crate::coding;
use crate::failure::Failure;
use crate::upstream::UpstreamBody;

/// A page holds at most 1,000 batches of about a kilobyte each.
const MAX_BYTES: usize = 16 << 20;

/// A page of batch objects, read whole.
pub(crate) enum Page {
    /// Every `results_url` leads to us; without a content coding.
    Edited(Bytes),
    /// As it came: there is none, or it has a coding that can't be undone.
    AsItCame(Bytes),
}

/// Reads a page of batch objects and edits it. The upstream was asked for a plain one; what it encodes all
/// the same is decoded if there is something to edit in it.
///
/// # Errors
/// If the upstream breaks off, falls silent, or sends what can't be a page of batches.
pub(crate) async fn edited(
    body: UpstreamBody,
    encoding: Option<&str>,
    origin: &str,
    timeout: Duration,
) -> Result<Page, Failure> {
    let reading = Limited::new(body, MAX_BYTES).collect();
    let collected = tokio::time::timeout(timeout, reading)
        .await
        .map_err(|_| Failure::UpstreamTimeout)?
        .map_err(|_| Failure::UpstreamUnreachable)?;
    let body = collected.to_bytes();
    let rewritten = match encoding {
        None => rewrite_results_urls(&body, origin),
        Some(encoding) => match coding::decode_whole(encoding, &body, MAX_BYTES) {
            Ok(plain) => rewrite_results_urls(&plain, origin),
            Err(error) => {
                // An error to the caller would make it create its batch a second time.
                tracing::warn!(%error, "a batch object can't be read; its results_url leads past the gateway");
                None
            }
        },
    };
    Ok(rewritten.map_or(Page::AsItCame(body), |edited| {
        Page::Edited(Bytes::from(edited))
    }))
}
