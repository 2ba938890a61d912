//! What may be wrong with a connection or what comes on it.

use std::io;

use crate::upload::UploadError;

/// Why an exchange on a connection ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("the connection can't be read")]
    Read(#[source] io::Error),
    #[error("the connection can't be written")]
    Write(#[source] io::Error),
    #[error("the connection was closed before the answer was complete")]
    Closed,
    #[error("the request couldn't be sent whole")]
    Request(#[source] UploadError),
    #[error("the request's body is {0} than it said")]
    RequestLength(&'static str),
    #[error("what was answered isn't HTTP")]
    Head(#[source] httparse::Error),
    #[error("the head of the answer is too long")]
    HeadTooLong,
    #[error("the answer has a header that makes no sense: {0}")]
    Header(&'static str),
    #[error("the answer's chunks make no sense: {0}")]
    Chunks(&'static str),
}
