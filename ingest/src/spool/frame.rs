//! One frame in memory; the layout is in [`super`].

/// Bytes before the payload.
pub(super) const FRAME_HEADER_BYTES: usize = 32;
/// The longest payload. It bounds what reading a damaged length can cost.
pub(super) const MAX_PAYLOAD_BYTES: usize = 256 << 20;

/// Where the bytes begin that the checksum covers in one piece.
const COVERED: usize = 8;

/// What a frame takes on disk.
pub(super) const fn frame_bytes(payload_bytes: usize) -> u64 {
    (FRAME_HEADER_BYTES as u64 + payload_bytes as u64).next_multiple_of(8)
}

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) payload_bytes: u32,
    pub(super) checksum: u32,
    pub(super) segment_id: u64,
    pub(super) seq: u64,
    pub(super) synced: u64,
}

impl FrameHeader {
    pub(super) fn decode(bytes: &[u8; FRAME_HEADER_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = *bytes;
        let mut words = [0_u64; 3];
        for (word, bytes) in words.iter_mut().zip(rest.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let [segment_id, seq, synced] = words;
        Self {
            payload_bytes: u32::from_le_bytes([a, b, c, d]),
            checksum: u32::from_le_bytes([e, f, g, h]),
            segment_id,
            seq,
            synced,
        }
    }

    /// What the whole frame takes, if its length can be one.
    pub(super) fn frame_bytes(&self) -> Option<usize> {
        let payload = usize::try_from(self.payload_bytes).ok()?;
        let possible = (1..=MAX_PAYLOAD_BYTES).contains(&payload);
        possible.then(|| usize::try_from(frame_bytes(payload)).ok())?
    }
}

/// Whether a whole frame is what was written.
pub(super) fn is_whole(frame: &[u8]) -> bool {
    frame
        .first_chunk()
        .is_some_and(|header| FrameHeader::decode(header).checksum == checksum(frame))
}

/// Fills in what is known only when a frame gets its place, and the checksum.
pub(super) fn seal(frame: &mut [u8], segment_id: u64, seq: u64, synced: u64) {
    if let Some(header) = frame.first_chunk_mut::<FRAME_HEADER_BYTES>() {
        header[8..16].copy_from_slice(&segment_id.to_le_bytes());
        header[16..24].copy_from_slice(&seq.to_le_bytes());
        header[24..32].copy_from_slice(&synced.to_le_bytes());
    }
    let checksum = checksum(frame);
    if let Some(header) = frame.first_chunk_mut::<FRAME_HEADER_BYTES>() {
        header[4..8].copy_from_slice(&checksum.to_le_bytes());
    }
}

fn checksum(frame: &[u8]) -> u32 {
    let length = crc32c::crc32c(frame.get(..4).unwrap_or_default());
    crc32c::crc32c_append(length, frame.get(COVERED..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Vec<u8> {
        let mut frame = vec![0; 48];
        frame[0] = 11;
        frame[32..43].copy_from_slice(b"hello frame");
        seal(&mut frame, 3, 2, 1);
        frame
    }

    #[test]
    fn a_sealed_frame_says_what_it_is() {
        let header = FrameHeader::decode(frame().first_chunk().unwrap());
        assert_eq!((header.segment_id, header.seq, header.synced), (3, 2, 1));
        assert_eq!(header.frame_bytes(), Some(48));
        assert!(is_whole(&frame()));
    }

    #[test]
    fn any_changed_byte_shows_padding_included() {
        for at in 0..48 {
            let mut frame = frame();
            frame[at] ^= 1;
            assert!(!is_whole(&frame), "byte {at}");
        }
    }

    #[test]
    fn zeros_and_absurd_lengths_are_no_frames() {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        assert_eq!(FrameHeader::decode(&bytes).frame_bytes(), None);
        bytes[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(FrameHeader::decode(&bytes).frame_bytes(), None);
    }

    #[test]
    fn frames_begin_at_multiples_of_eight() {
        let sizes: Vec<u64> = [1, 8, 9, 600].map(frame_bytes).into();
        assert_eq!(sizes, [40, 40, 48, 632]);
    }
}
