//! Disks that fail.

use super::super::simulated_disk::Operation;
use super::*;

#[test]
fn a_group_whose_sync_or_write_failed_goes_whole_to_a_new_segment() {
    for operation in [Operation::Sync, Operation::Write] {
        let place = Place::new(20, Durability::Fsync);
        let mut stream = place.create();
        append(&mut stream, 5).unwrap();
        place.disk.fail(operation, 0);
        assert_eq!(append(&mut stream, 4).unwrap().last_seq, 9);
        assert_eq!(stream.poisoned(), 1);
        let segments: Vec<u64> = stream.segments().iter().map(|s| s.first_seq).collect();
        assert_eq!(segments, [1, 6]);
        place.assert_holds(1, 9);
        place.disk.lose_power();
        assert_eq!(place.open().unwrap().next_seq(), 10);
        place.assert_holds(1, 9);
        assert_eq!(place.verify().frames, 9);
    }
}

#[test]
fn a_group_that_failed_twice_can_be_appended_again_or_replaced() {
    let place = Place::new(20, Durability::Fsync);
    let mut stream = place.create();
    append(&mut stream, 5).unwrap();
    // The sync of the group, those of the new segment and its header, and that of the group there.
    place.disk.fail(Operation::Sync, 0);
    place.disk.fail(Operation::Sync, 3);
    let mut lost = group([b"never acknowledged".to_vec(), b"nor this".to_vec()]);
    stream.append(&mut lost).unwrap_err();
    assert_eq!(stream.next_seq(), 6);
    // Frames 6 and 7 are whole in two files by now; none of them counts.
    assert_eq!(append(&mut stream, 1).unwrap().last_seq, 6);
    place.assert_holds(1, 6);
    assert_eq!(place.open().unwrap().next_seq(), 7);
    place.assert_holds(1, 6);
}

#[test]
fn a_segment_that_may_be_in_the_folder_ends_the_one_before() {
    for operation in [Operation::Rename, Operation::SyncFolder] {
        for disk in 0..8 {
            let place = Place::new(10 + disk, Durability::Fsync);
            let mut stream = place.create();
            append(&mut stream, 6).unwrap();
            place.disk.fail(operation, 0);
            append(&mut stream, 12).unwrap_err();
            // There is room for this in the old segment, but it wouldn't count there.
            append(&mut stream, 1).unwrap();
            place.assert_holds(1, 7);
            place.disk.lose_power();
            assert_eq!(place.open().unwrap().next_seq(), 8);
            place.assert_holds(1, 7);
        }
    }
}

#[test]
fn frames_that_only_the_cache_holds_are_written_again_when_a_stream_is_opened() {
    for seed in 20..40 {
        let place = Place::new(seed, Durability::Fsync);
        let mut stream = place.create();
        append(&mut stream, 5).unwrap();
        place.disk.fail(Operation::Sync, 0);
        place.disk.set_free(0);
        append(&mut stream, 4).unwrap_err();
        drop(stream);
        // The kernel takes the frames for synced, and the next process finds them.
        let stream = place.open().unwrap();
        assert_eq!(stream.next_seq(), 10);
        drop(stream);
        place.disk.lose_power();
        assert_eq!(place.open().unwrap().next_seq(), 10);
        place.assert_holds(1, 9);
    }
}

#[test]
fn an_open_that_failed_can_be_repeated() {
    let operations = [
        Operation::Write,
        Operation::Sync,
        Operation::SyncFolder,
        Operation::Remove,
    ];
    for operation in operations {
        let place = Place::new(20, Durability::Process);
        let mut stream = place.create();
        stream.ensure_room(1).unwrap();
        append(&mut stream, 9).unwrap();
        drop(stream);
        place.disk.fail(operation, 0);
        assert_eq!(place.open().unwrap_err().kind(), "io", "{operation:?}");
        assert_eq!(place.open().unwrap().next_seq(), 10);
        place.assert_holds(1, 9);
    }
}

#[test]
fn a_sealed_segment_is_synced_whatever_the_durability() {
    let place = Place::new(10, Durability::Process);
    let mut stream = place.create();
    append(&mut stream, 10).unwrap();
    append(&mut stream, 1).unwrap();
    drop(stream);
    place.disk.lose_power();
    assert!(place.open().unwrap().next_seq() >= 11);
    place.assert_holds(1, 10);
}
