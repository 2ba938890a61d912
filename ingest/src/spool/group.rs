//! Frames that become durable together.
//!
//! One buffer, used again for every group. Frames are sealed when they get their place, so a group that failed
//! can be appended again as it is.

use super::SpoolError;
use super::frame::{self, FRAME_HEADER_BYTES, FrameHeader, MAX_PAYLOAD_BYTES};

/// Payloads on their way to [`super::Stream::append`].
#[derive(Debug, Default)]
pub(crate) struct Group {
    bytes: Vec<u8>,
    frames: u64,
}

impl Group {
    /// An empty group.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a payload as the next frame. It has at least one byte and at most 256 MiB.
    pub(crate) fn push(&mut self, payload: &[u8]) -> Result<(), SpoolError> {
        let bytes = payload.len();
        let length = u32::try_from(bytes).ok();
        let Some(length) = length.filter(|_| (1..=MAX_PAYLOAD_BYTES).contains(&bytes)) else {
            return Err(SpoolError::Payload { bytes });
        };
        let mut header = [0; FRAME_HEADER_BYTES];
        header[..4].copy_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(payload);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        self.frames += 1;
        Ok(())
    }

    /// Forgets the frames and keeps the buffer.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.frames = 0;
    }

    /// How many frames it has.
    pub(crate) fn len(&self) -> u64 {
        self.frames
    }

    /// Whether it has none.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// What it takes on disk.
    pub(crate) fn frame_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The frames as they go to disk.
    pub(super) fn sealed(&mut self, segment_id: u64, first_seq: u64, synced: u64) -> &[u8] {
        let mut seq = first_seq;
        let mut rest = self.bytes.as_mut_slice();
        while let Some(bytes) = first_frame_bytes(rest) {
            let Some((frame, behind)) = rest.split_at_mut_checked(bytes) else {
                break;
            };
            frame::seal(frame, segment_id, seq, synced);
            seq += 1;
            rest = behind;
        }
        &self.bytes
    }
}

fn first_frame_bytes(bytes: &[u8]) -> Option<usize> {
    FrameHeader::decode(bytes.first_chunk()?).frame_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_numbered_from_where_the_group_begins() {
        let mut group = Group::new();
        for payload in [&b"one"[..], b"two and more", b"three"] {
            group.push(payload).unwrap();
        }
        let bytes = group.sealed(9, 100, 4096).to_vec();
        assert_eq!(bytes.len() as u64, group.frame_bytes());
        let mut rest = bytes.as_slice();
        for seq in 100..103 {
            let header = FrameHeader::decode(rest.first_chunk().unwrap());
            assert_eq!(
                (header.seq, header.segment_id, header.synced),
                (seq, 9, 4096)
            );
            let frame;
            (frame, rest) = rest.split_at(header.frame_bytes().unwrap());
            assert!(frame::is_whole(frame));
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn an_empty_payload_is_refused() {
        assert!(Group::new().push(b"").is_err());
    }

    #[test]
    fn a_cleared_group_is_as_new() {
        let mut group = Group::new();
        group.push(b"before").unwrap();
        group.clear();
        assert!(group.is_empty());
        assert_eq!(group.sealed(1, 1, 0), b"");
    }
}
