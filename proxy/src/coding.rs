//! Content codings undone: gzip, deflate, br, zstd, and lists of them.
//!
//! Guarantees: output appears as soon as the input determines it, in pieces of bounded size, so neither
//! a slow stream nor a decompression bomb makes anything grow here; window sizes are bounded too. What is
//! decoded is always a copy for reading: nothing here touches the bytes that are forwarded.

#[cfg(any(test, fuzzing))]
pub(crate) mod encode;
#[cfg(any(test, fuzzing))]
pub(crate) mod laws;
mod stage;

use self::stage::{Coding, Stage};

/// Codings stacked deeper than this are nobody's honest body, and each costs memory.
const MAX_LAYERS: usize = 3;

/// Why a body could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// A coding without a decoder, or too many of them.
    #[error("the content encoding is not supported")]
    Unsupported,
    /// Damaged, cut short, or something else altogether.
    #[error("the body does not follow its content encoding")]
    Invalid,
    /// More bytes than the caller wanted.
    #[error("the decoded body is too large")]
    TooLarge,
}

/// Decodes a whole body, of at most `limit` decoded bytes.
///
/// # Errors
/// [`DecodeError`] says which way it failed; a body that stops early is `Invalid`.
pub(crate) fn decode_whole(
    encoding: &str,
    bytes: &[u8],
    limit: usize,
) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(encoding)?;
    let mut body = Vec::new();
    decoder.feed(bytes, &mut |piece| {
        if piece.len() > limit.saturating_sub(body.len()) {
            return Err(DecodeError::TooLarge);
        }
        body.extend_from_slice(piece);
        Ok(())
    })?;
    decoder.end()?;
    Ok(body)
}

/// Takes decoded bytes piece by piece, and may refuse to take more.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), DecodeError>;

/// Undoes the codings of one body as its bytes come in.
pub(crate) struct Decoder {
    /// Outermost coding first, which is the last one named.
    stages: Vec<Stage>,
}

impl Decoder {
    /// A decoder for a `content-encoding`; empty and `identity` pass bytes through.
    ///
    /// # Errors
    /// `Unsupported`.
    pub(crate) fn new(encoding: &str) -> Result<Self, DecodeError> {
        let stages = encoding
            .rsplit(',')
            .map(str::trim)
            .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"))
            .take(MAX_LAYERS + 1)
            .map(|name| Stage::new(Coding::named(name).ok_or(DecodeError::Unsupported)?))
            .collect::<Result<Vec<_>, _>>()?;
        if stages.len() > MAX_LAYERS {
            return Err(DecodeError::Unsupported);
        }
        Ok(Self { stages })
    }

    /// A decoder for a body that declares no coding, judged by its first byte.
    ///
    /// One byte is enough, and a cut behind it does no harm: neither JSON nor an event stream begins
    /// with the first byte of gzip (0x1f) or zstd (0x28).
    pub(crate) fn sniff(first: u8) -> Result<Self, DecodeError> {
        let coding = match first {
            0x1f => Some(Coding::Gzip),
            0x28 => Some(Coding::Zstd),
            _ => None,
        };
        let stages = coding.into_iter().map(Stage::new);
        Ok(Self {
            stages: stages.collect::<Result<_, _>>()?,
        })
    }

    /// Whether bytes pass through as they are.
    pub(crate) fn is_identity(&self) -> bool {
        self.stages.is_empty()
    }

    /// Decodes the next bytes into `sink`.
    ///
    /// # Errors
    /// `Invalid`, or what the sink says. The decoder is of no use afterwards.
    pub(crate) fn feed(&mut self, bytes: &[u8], sink: Sink<'_>) -> Result<(), DecodeError> {
        // The zstd library counts calls that change nothing, and fails at the 16th.
        if bytes.is_empty() {
            return Ok(());
        }
        feed(&mut self.stages, bytes, sink)
    }

    /// Confirms that what was fed is the whole body.
    ///
    /// # Errors
    /// `Invalid` if there must be more.
    pub(crate) fn end(&mut self) -> Result<(), DecodeError> {
        self.stages.iter_mut().try_for_each(Stage::end)
    }
}

/// Sends bytes through the outermost stage, and what comes out of it through the others.
fn feed(stages: &mut [Stage], bytes: &[u8], sink: Sink<'_>) -> Result<(), DecodeError> {
    match stages.split_first_mut() {
        Some((outer, inner)) => outer.undo(bytes, &mut |piece| feed(inner, piece, sink)),
        None => sink(bytes),
    }
}

#[cfg(test)]
#[path = "coding/tests.rs"]
mod tests;
