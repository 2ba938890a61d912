//! What is no torn write is refused, and left as it is.

use super::*;

/// Spoils a stream of segments 1..=8, 9..=16 and 17..=20, each of groups of 4, and expects an error.
fn check(kind: &str, first_seq: u64, spoil: impl FnOnce(&mut Vec<u8>)) -> SpoolError {
    let place = filled();
    place.spoil(first_seq, spoil);
    refused(&place, kind)
}

fn filled() -> Place {
    let place = Place::new(10, Durability::Fsync);
    let mut stream = place.create();
    for _ in 0..6 {
        append(&mut stream, 4).unwrap();
    }
    place
}

fn refused(place: &Place, kind: &str) -> SpoolError {
    let before = (place.disk.files(), place.disk.changes());
    let error = place.open().unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(
        (place.disk.files(), place.disk.changes()),
        before,
        "nothing is changed"
    );
    error
}

#[test]
fn a_changed_byte_below_what_was_synced_is_damage() {
    // The group of frames 21..=24 says that everything before it was synced.
    for at in frame_offset(0)..frame_offset(4) {
        let error = check("corrupt", 17, |bytes| bytes[at] ^= 0x10);
        let offset =
            frame_offset((at - frame_offset(0)) as u64 / Stream::frame_bytes(PAYLOAD_BYTES));
        let SpoolError::Corrupt {
            path,
            offset: named,
            ..
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!(named, offset as u64);
        assert!(path.ends_with("00000000000000000017.seg"));
    }
}

#[test]
fn damage_is_known_from_the_only_whole_frame_behind_it() {
    check("corrupt", 17, |bytes| {
        bytes[frame_offset(1)..frame_offset(7)].fill(0);
    });
    check("corrupt", 17, |bytes| {
        bytes[frame_offset(0)..frame_offset(7)].fill(0xFF);
    });
}

#[test]
fn a_damaged_header_is_damage() {
    for first_seq in [1, 9, 17] {
        check("corrupt", first_seq, |bytes| bytes[30] ^= 1);
        check("corrupt", first_seq, |bytes| bytes[..4096].fill(0));
    }
    for first_seq in [1, 9] {
        check("corrupt", first_seq, Vec::clear);
    }
}

#[test]
fn a_segment_of_another_stream_is_refused() {
    let other = Place {
        id: Uuid::from_u128(0x77),
        ..Place::new(10, Durability::Fsync)
    };
    append(&mut other.create(), 2).unwrap();
    let foreign = other.disk.read(&other.segment(1));
    let error = check("foreign", 9, |bytes| *bytes = foreign.clone());
    assert!(error.to_string().contains(&other.id.to_string()));
    let place = filled();
    place.disk.overwrite(&place.segment(25), foreign);
    refused(&place, "foreign");
}

#[test]
fn a_newer_format_is_refused_and_said() {
    for first_seq in [1, 17] {
        let error = check("newer_format", first_seq, |bytes| bytes[8] = 2);
        assert!(error.to_string().contains("format version 2"), "{error}");
    }
}

#[test]
fn a_renamed_segment_is_refused() {
    let place = filled();
    let bytes = place.disk.read(&place.segment(17));
    place.disk.overwrite(&place.segment(30), bytes);
    refused(&place, "corrupt");
}

#[test]
fn a_missing_segment_is_refused() {
    let place = filled();
    place.disk.remove(&place.segment(9)).unwrap();
    refused(&place, "corrupt");
    assert_eq!(
        place.verify().damage.len(),
        2,
        "the place of the frames, and the one behind"
    );
}

#[test]
fn damage_in_a_sealed_segment_shows_where_it_is_read() {
    let place = filled();
    place.spoil(9, |bytes| bytes[frame_offset(3) + 50] ^= 1);
    let stream = place.open().unwrap();
    assert_eq!(stream.next_seq(), 25);
    let mut reader = place.reader(8).unwrap();
    let mut read = 0;
    let error = loop {
        match reader.next(24) {
            Ok(frame) => read += u64::from(frame.is_some()),
            Err(error) => break error,
        }
    };
    assert_eq!((read, error.kind()), (3, "corrupt"));
    let report = place.verify();
    assert_eq!((report.segments, report.frames), (3, 8 + 3 + 8));
    assert_eq!((report.first_seq, report.last_seq), (1, 24));
    assert_eq!(report.damage.len(), 1);
    assert_eq!(report.damage[0].offset, frame_offset(3) as u64);
    // What lies behind the damage is whole.
    place.assert_holds(17, 24);
}
