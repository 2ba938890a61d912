//! One content coding undone, a bounded piece at a time.

use std::io::Write;

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, InBuffer, Operation, OutBuffer};

use super::{DecodeError, Sink};

/// Decoded bytes handed on at once.
const CHUNK: usize = 16 * 1024;

/// 8 MiB, the largest window that RFC 9659 allows for the `zstd` content coding.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The codings with a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    pub(super) fn named(name: &str) -> Option<Self> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match () {
            () if is("gzip") || is("x-gzip") => Some(Self::Gzip),
            () if is("deflate") => Some(Self::Deflate),
            () if is("br") => Some(Self::Brotli),
            () if is("zstd") => Some(Self::Zstd),
            () => None,
        }
    }
}

/// A decoder and the room for what it produces.
pub(super) struct Stage {
    codec: Codec,
    out: Vec<u8>,
}

impl Stage {
    pub(super) fn new(coding: Coding) -> Result<Self, DecodeError> {
        let codec = match coding {
            Coding::Gzip => Codec::Gzip(MultiGzDecoder::new(Vec::new())),
            Coding::Deflate => Codec::Deflate(None),
            Coding::Brotli => Codec::Brotli(Box::new(Brotli::new())),
            Coding::Zstd => Codec::Zstd(Zstd::new()?),
        };
        let out = Vec::with_capacity(CHUNK);
        Ok(Self { codec, out })
    }

    /// Decodes `input`, handing everything it determines to `sink`.
    pub(super) fn undo(&mut self, mut input: &[u8], sink: Sink<'_>) -> Result<(), DecodeError> {
        loop {
            self.out.clear();
            let read = self.codec.step(input, &mut self.out)?;
            if !self.out.is_empty() {
                sink(&self.out)?;
            }
            input = input.get(read..).unwrap_or_default();
            if input.is_empty() && self.out.len() < CHUNK {
                return Ok(());
            }
            if read == 0 && self.out.is_empty() {
                return Err(DecodeError::Invalid);
            }
        }
    }

    /// Confirms that the coded stream is whole.
    pub(super) fn end(&mut self) -> Result<(), DecodeError> {
        let whole = match &mut self.codec {
            Codec::Gzip(decoder) => decoder.try_finish().is_ok(),
            Codec::Deflate(inflate) => inflate.as_ref().is_some_and(|inflate| inflate.ended),
            Codec::Brotli(brotli) => brotli.ended,
            Codec::Zstd(zstd) => zstd.between_frames,
        };
        if whole {
            Ok(())
        } else {
            Err(DecodeError::Invalid)
        }
    }
}

enum Codec {
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// Not made before its first byte is seen.
    Deflate(Option<Inflate>),
    Brotli(Box<Brotli>),
    Zstd(Zstd),
}

impl Codec {
    /// Appends decoded bytes, about [`CHUNK`] at most, and says how much input they took.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError> {
        match self {
            Self::Gzip(decoder) => gunzip(decoder, input, out),
            Self::Deflate(inflate) => match input.first() {
                Some(first) => inflate
                    .get_or_insert_with(|| Inflate::new(*first))
                    .step(input, out),
                None => inflate
                    .as_mut()
                    .map_or(Ok(0), |inflate| inflate.step(input, out)),
            },
            Self::Brotli(brotli) => brotli.step(input, out),
            Self::Zstd(zstd) => zstd.step(input, out),
        }
    }
}

/// One `write` inflates into a buffer of 32 KiB and no further; the flush brings that out.
fn gunzip(
    decoder: &mut MultiGzDecoder<Vec<u8>>,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<usize, DecodeError> {
    let read = decoder
        .write(input)
        .and_then(|read| decoder.flush().map(|()| read))
        .map_err(|_damaged| DecodeError::Invalid)?;
    out.append(decoder.get_mut());
    Ok(read)
}

/// `deflate`: zlib by the standard, a raw deflate stream by some senders.
struct Inflate {
    stream: Decompress,
    ended: bool,
}

impl Inflate {
    /// The low half of a zlib stream's first byte is 8; a raw stream begins so only with a stored block
    /// whose padding is not zero, which no encoder writes.
    fn new(first: u8) -> Self {
        Self {
            stream: Decompress::new(first & 0x0f == 8),
            ended: false,
        }
    }

    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError> {
        if self.ended {
            return Ok(0);
        }
        let before = self.stream.total_in();
        let status = self
            .stream
            .decompress_vec(input, out, FlushDecompress::None)
            .map_err(|_damaged| DecodeError::Invalid)?;
        self.ended = status == Status::StreamEnd;
        // Never more than `input.len()`.
        Ok(usize::try_from(self.stream.total_in() - before).unwrap_or(input.len()))
    }
}

struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    out: [u8; CHUNK],
    ended: bool,
}

impl Brotli {
    fn new() -> Self {
        let alloc = StandardAlloc::default;
        Self {
            // Strict: without the large windows, which may take a gigabyte.
            state: BrotliState::new_strict(alloc(), alloc(), alloc()),
            out: [0; CHUNK],
            ended: false,
        }
    }

    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError> {
        if self.ended {
            return Ok(0);
        }
        let (mut left, mut read) = (input.len(), 0);
        let (mut room, mut written, mut total) = (CHUNK, 0, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut read,
            input,
            &mut room,
            &mut written,
            &mut self.out,
            &mut total,
            &mut self.state,
        );
        if matches!(result, BrotliResult::ResultFailure) {
            return Err(DecodeError::Invalid);
        }
        self.ended = matches!(result, BrotliResult::ResultSuccess);
        out.extend_from_slice(self.out.get(..written).unwrap_or_default());
        Ok(read)
    }
}

struct Zstd {
    decoder: zstd::stream::raw::Decoder<'static>,
    between_frames: bool,
}

impl Zstd {
    fn new() -> Result<Self, DecodeError> {
        zstd::stream::raw::Decoder::new()
            .and_then(|mut decoder| {
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
                Ok(Self {
                    decoder,
                    between_frames: false,
                })
            })
            .map_err(|_library| DecodeError::Unsupported)
    }

    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError> {
        let mut source = InBuffer::around(input);
        let mut target = OutBuffer::around(out);
        let missing = self
            .decoder
            .run(&mut source, &mut target)
            .map_err(|_damaged| DecodeError::Invalid)?;
        // Without progress the answer is only a hint about the next frame.
        if source.pos() > 0 || target.pos() > 0 {
            self.between_frames = missing == 0;
        }
        Ok(source.pos())
    }
}
