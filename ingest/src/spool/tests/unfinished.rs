//! What a power loss or a kill leaves behind is cut off, and nothing else is.

use super::super::simulated_disk::Operation;
use super::*;

#[test]
fn a_group_torn_at_any_byte_is_cut_off() {
    let place = Place::new(20, Durability::Fsync);
    let mut stream = place.create();
    append(&mut stream, 3).unwrap();
    append(&mut stream, 4).unwrap();
    let whole = place.disk.read(&place.segment(1));
    let frame = frame_offset(1) - frame_offset(0);
    let begin = frame_offset(3);
    for torn in begin..begin + 4 * frame {
        place.spoil(1, |bytes| bytes[torn..].fill(0));
        let kept = 3 + ((torn - begin) / frame) as u64;
        let torn_bytes = place.verify().torn_tail_bytes;
        let mut stream = place.open().unwrap();
        // The end of a frame may be padding: zeros as they should be.
        assert!(
            [kept + 1, kept + 2].contains(&stream.next_seq()),
            "torn at {torn}"
        );
        assert!(torn_bytes < frame as u64);
        let last = append(&mut stream, 2).unwrap().last_seq;
        place.assert_holds(1, last);
        assert_eq!(place.verify().damage, []);
        place.disk.overwrite(&place.segment(1), whole.clone());
    }
}

#[test]
fn what_lies_behind_a_torn_frame_is_zeroed() {
    let place = Place::new(20, Durability::Fsync);
    append(&mut place.create(), 6).unwrap();
    place.spoil(1, |bytes| {
        bytes[frame_offset(2) + 40] ^= 1;
    });
    // The last four bytes are padding.
    let torn = frame_offset(6) - frame_offset(2) - 4;
    assert_eq!(place.verify().torn_tail_bytes, torn as u64);
    let stream = place.open().unwrap();
    assert_eq!(stream.next_seq(), 3);
    let bytes = place.disk.read(&place.segment(1));
    assert!(bytes[frame_offset(2)..].iter().all(|byte| *byte == 0));
    assert_eq!(place.verify().torn_tail_bytes, 0);
}

#[test]
fn a_power_loss_at_any_step_of_beginning_a_segment_loses_nothing() {
    for seed in 0..20 {
        for step in 0.. {
            let place = Place::new(10 + seed % 2, Durability::Fsync);
            let mut stream = place.create();
            append(&mut stream, 8).unwrap();
            let before = place.disk.changes();
            place.disk.stop_after(step);
            let appended = append(&mut stream, 4);
            let steps = place.disk.changes() - before;
            drop(stream);
            place.disk.lose_power();
            let mut stream = place.open().unwrap();
            let found = stream.next_seq() - 1;
            assert!(found >= appended.as_ref().map_or(8, |appended| appended.last_seq));
            place.assert_holds(1, found);
            append(&mut stream, 12).unwrap();
            place.assert_holds(1, found + 12);
            assert_eq!(place.verify().damage, []);
            if step > steps {
                break;
            }
        }
    }
}

#[test]
fn a_creation_that_was_cut_short_is_opened_or_done_again() {
    for step in 0..12 {
        let place = Place::new(10, Durability::Fsync);
        place.disk.stop_after(step);
        drop(Stream::create(
            place.shared(),
            place.root(),
            place.id,
            place.options,
        ));
        place.disk.lose_power();
        let mut stream = place.open().unwrap();
        assert_eq!(append(&mut stream, 1).unwrap().last_seq, 1);
        assert_eq!(place.verify().segments, 1);
    }
}

#[test]
fn an_empty_last_segment_is_fine() {
    let place = Place::new(10, Durability::Fsync);
    let mut stream = place.create();
    append(&mut stream, 10).unwrap();
    // Only the frames of the second segment fail, twice.
    place.disk.fail(Operation::Write, 1);
    place.disk.fail(Operation::Write, 2);
    append(&mut stream, 1).unwrap_err();
    place.spoil(11, |bytes| bytes[frame_offset(0)..].fill(0));
    let mut stream = place.open().unwrap();
    assert_eq!(stream.next_seq(), 11);
    append(&mut stream, 1).unwrap();
    place.assert_holds(1, 11);
}

#[test]
fn a_last_segment_that_lost_its_header_and_holds_nothing_is_begun_anew() {
    let contents: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes.fill(0),
        |bytes| bytes.clear(),
        |bytes| {
            bytes.fill(0);
            bytes[..40].fill(0xEE);
        },
    ];
    for content in contents {
        let place = Place::new(10, Durability::Fsync);
        let mut stream = place.create();
        append(&mut stream, 10).unwrap();
        append(&mut stream, 1).unwrap();
        place.spoil(11, content);
        assert_eq!(place.verify().damage, []);
        let mut stream = place.open().unwrap();
        assert_eq!(stream.next_seq(), 11);
        append(&mut stream, 5).unwrap();
        place.assert_holds(1, 15);
    }
}

#[test]
fn leftovers_are_removed() {
    let place = Place::new(10, Durability::Fsync);
    let mut stream = place.create();
    stream.ensure_room(1_000_000).unwrap();
    drop(stream);
    assert!(place.disk.files().len() > 2);
    let stream = place.open().unwrap();
    assert_eq!(place.disk.files().len(), 1);
    assert_eq!(stream.bytes_on_disk(), place.options.segment_bytes);
}
