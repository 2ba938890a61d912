//! Events that have ended and are on their way to the spool, in a mapped file: with durability `process` an event is durable as soon
//! as it is here, without a call of the kernel and without waiting for anybody.
//!
//! A place has 2048 bytes: state, three unused, length of the record, its checksum; then the record. It is let go when the record
//! is in the spool. What is still there when the next process starts is put into the spool, unless it is there already.

use std::io;
use std::path::Path;

use crate::mapped::Places;

const PLACE_BYTES: usize = 2048;
const RECORD_AT: usize = 12;
const KEPT: u8 = 1;

/// The places of one lane.
pub(crate) type KeptPlaces = Places<PLACE_BYTES>;

impl KeptPlaces {
    /// Keeps a record; `None` if it is too long, or there is no free place.
    pub(crate) fn keep(&mut self, record: &[u8]) -> Option<u32> {
        let fits = (1..=PLACE_BYTES - RECORD_AT).contains(&record.len());
        let length = u32::try_from(record.len()).ok().filter(|_| fits)?;
        self.take(|place| {
            if let Some(room) = place.get_mut(RECORD_AT..RECORD_AT + record.len()) {
                room.copy_from_slice(record);
            }
            place[4..8].copy_from_slice(&length.to_le_bytes());
            let checksum = checksum(length, record);
            place[8..12].copy_from_slice(&checksum.to_le_bytes());
            place[0] = KEPT;
        })
    }
}

/// The records that a file still has. A place that was being written when the process died belongs to an event that nobody had been
/// told was durable.
///
/// # Errors
/// If the file can't be read.
pub(crate) fn kept(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let bytes = std::fs::read(path)?;
    let places = bytes.chunks_exact(PLACE_BYTES);
    Ok(places.filter_map(read).map(<[u8]>::to_vec).collect())
}

fn read(place: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| Some(u32::from_le_bytes(place.get(at..at + 4)?.try_into().ok()?));
    let (length, written) = (word(4)?, word(8)?);
    let record = place.get(RECORD_AT..)?.get(..length as usize)?;
    let is_whole = place.first() == Some(&KEPT) && written == checksum(length, record);
    is_whole.then_some(record)
}

fn checksum(length: u32, record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length.to_le_bytes()), record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(folder: &tempfile::TempDir) -> (KeptPlaces, std::path::PathBuf) {
        let path = folder.path().join("kept");
        (KeptPlaces::create(&path, 2).unwrap(), path)
    }

    #[test]
    fn what_is_kept_is_found_again_and_what_was_let_go_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (mut places, path) = places(&folder);
        let longest = vec![7; PLACE_BYTES - RECORD_AT];
        let first = places.keep(b"one").unwrap();
        let second = places.keep(&longest).unwrap();
        assert_eq!(places.keep(b"two"), None, "both are taken");
        assert_eq!(kept(&path).unwrap(), [b"one".to_vec(), longest]);
        places.release(second);
        assert_eq!(kept(&path).unwrap(), [b"one"]);
        places.release(first);
        assert!(kept(&path).unwrap().is_empty());
        // A place that is used again has nothing of the one before.
        places.keep(b"x").unwrap();
        assert_eq!(kept(&path).unwrap(), [b"x"]);
    }

    #[test]
    fn what_does_not_fit_is_not_kept_and_takes_no_place() {
        let folder = tempfile::tempdir().unwrap();
        let (mut places, path) = places(&folder);
        for record in [&[7; PLACE_BYTES - RECORD_AT + 1][..], &[]] {
            assert_eq!(places.keep(record), None);
        }
        assert!(kept(&path).unwrap().is_empty());
        assert!(places.keep(b"one").is_some() && places.keep(b"two").is_some());
    }

    #[test]
    fn a_place_that_was_being_written_has_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (mut places, path) = places(&folder);
        places.keep(b"an event").unwrap();
        let whole = std::fs::read(&path).unwrap();
        for byte in (0..1).chain(4..RECORD_AT + 8) {
            let mut torn = whole.clone();
            torn[byte] ^= 0x40;
            std::fs::write(&path, torn).unwrap();
            assert!(kept(&path).unwrap().is_empty(), "byte {byte}");
        }
    }
}
