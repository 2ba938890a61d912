//! The first 4096 bytes of a segment; the layout is in [`super`].

use uuid::Uuid;

/// Bytes before the first frame.
pub(super) const HEADER_BYTES: u64 = HEADER_LEN as u64;
/// The same, as the length of something in memory.
pub(super) const HEADER_LEN: usize = 4096;
/// The format written here.
pub(super) const FORMAT_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"MWSPOOL1";
/// What of it isn't padding.
const FIELDS: usize = 56;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) stream: Uuid,
    /// In every frame too, so that none can be taken for one of another file.
    pub(super) segment_id: u64,
    pub(super) first_seq: u64,
    /// `first_seq` of the segment before it; 0 in the first of a stream. Shows that a file is missing.
    pub(super) previous_seq: u64,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// Written by a newer program; the number is its version.
    Newer(u32),
    Damaged,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..28].copy_from_slice(self.stream.as_bytes());
        bytes[28..36].copy_from_slice(&self.segment_id.to_le_bytes());
        bytes[36..44].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[44..52].copy_from_slice(&self.previous_seq.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..52]);
        bytes[52..56].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads it from the beginning of a file.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let bytes: &[u8; FIELDS] = bytes.first_chunk().ok_or(HeaderFault::Damaged)?;
        let (magic, rest) = take::<8>(bytes)?;
        let (version, rest) = take::<4>(rest)?;
        if magic != MAGIC {
            return Err(HeaderFault::Damaged);
        }
        // Before the checksum: a newer format may have it elsewhere.
        let version = u32::from_le_bytes(version);
        if version > FORMAT_VERSION {
            return Err(HeaderFault::Newer(version));
        }
        let (stream, rest) = take::<16>(rest)?;
        let (segment_id, rest) = take::<8>(rest)?;
        let (first_seq, rest) = take::<8>(rest)?;
        let (previous_seq, rest) = take::<8>(rest)?;
        let (checksum, _) = take::<4>(rest)?;
        if version != FORMAT_VERSION || crc32c::crc32c(&bytes[..52]) != u32::from_le_bytes(checksum)
        {
            return Err(HeaderFault::Damaged);
        }
        Ok(Self {
            stream: Uuid::from_bytes(stream),
            segment_id: u64::from_le_bytes(segment_id),
            first_seq: u64::from_le_bytes(first_seq),
            previous_seq: u64::from_le_bytes(previous_seq),
        })
    }
}

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), HeaderFault> {
    bytes
        .split_first_chunk()
        .map(|(first, rest)| (*first, rest))
        .ok_or(HeaderFault::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            stream: Uuid::from_u128(7),
            segment_id: 0x0102_0304_0506_0708,
            first_seq: 41,
            previous_seq: 12,
        }
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(Header::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn any_changed_byte_shows() {
        for at in 0..FIELDS {
            let mut bytes = header().encode();
            bytes[at] ^= 0x80;
            assert!(Header::decode(&bytes).is_err(), "byte {at}");
        }
        assert_eq!(Header::decode(&[0; 4096]), Err(HeaderFault::Damaged));
        assert_eq!(Header::decode(&[]), Err(HeaderFault::Damaged));
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = header().encode();
        bytes[8] = 2;
        assert_eq!(Header::decode(&bytes), Err(HeaderFault::Newer(2)));
    }
}
