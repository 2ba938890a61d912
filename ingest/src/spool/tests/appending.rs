//! Groups, segments and room.

use super::*;

#[test]
fn what_is_appended_is_read() {
    let place = Place::new(100, Durability::Fsync);
    let mut stream = place.create();
    assert_eq!(
        (stream.oldest_seq(), stream.next_seq(), stream.id()),
        (1, 1, place.id)
    );
    assert_eq!(append(&mut stream, 3).unwrap().last_seq, 3);
    assert_eq!(append(&mut stream, 0).unwrap().last_seq, 3);
    assert_eq!(append(&mut stream, 1).unwrap().last_seq, 4);
    place.assert_holds(1, 4);
}

#[test]
fn payloads_of_any_length_come_back() {
    let place = Place::new(1_000, Durability::Fsync);
    let mut stream = place.create();
    let payloads: Vec<Vec<u8>> = (1..100).map(|len| vec![0xA5; len]).collect();
    stream.append(&mut group(payloads.clone())).unwrap();
    assert_eq!(place.read(1, 99), payloads);
}

#[test]
fn a_group_that_does_not_fit_begins_a_segment() {
    let place = Place::new(10, Durability::Fsync);
    let mut stream = place.create();
    for _ in 0..5 {
        append(&mut stream, 4).unwrap();
    }
    let segments = stream.segments();
    let ranges: Vec<_> = segments.iter().map(|s| (s.first_seq, s.last_seq)).collect();
    assert_eq!(ranges, [(1, 8), (9, 16), (17, 20)]);
    assert_eq!(stream.bytes_on_disk(), 3 * place.options.segment_bytes);
    place.assert_holds(1, 20);
}

#[test]
fn a_frame_larger_than_a_segment_gets_one_of_its_own() {
    let place = Place::new(4, Durability::Fsync);
    let mut stream = place.create();
    append(&mut stream, 1).unwrap();
    stream.append(&mut group([vec![7; 50_000]])).unwrap();
    append(&mut stream, 1).unwrap();
    let mut stream = place.open().unwrap();
    append(&mut stream, 1).unwrap();
    assert_eq!(stream.segments().len(), 3);
    assert_eq!(
        place.read(1, 4),
        [payload(1), vec![7; 50_000], payload(3), payload(4)]
    );
}

#[test]
fn a_stream_goes_on_where_it_was_closed() {
    for durability in [Durability::Fsync, Durability::Process] {
        let place = Place::new(10, durability);
        append(&mut place.create(), 7).unwrap();
        for last in 8..30 {
            let mut stream = place.open().unwrap();
            assert_eq!(append(&mut stream, 1).unwrap().last_seq, last);
        }
        place.assert_holds(1, 29);
    }
}

#[test]
fn a_stream_is_created_once() {
    let place = Place::new(10, Durability::Fsync);
    drop(place.create());
    let again = Stream::create(place.shared(), place.root(), place.id, place.options);
    assert!(matches!(again, Err(SpoolError::Exists { .. })));
}

#[test]
fn streams_are_listed_by_their_folders() {
    let place = Place::new(10, Durability::Fsync);
    drop(place.create());
    for other in [
        "/spool/not a uuid",
        "/spool/00000000000000000000000000001234",
    ] {
        place.disk.create_folder(Path::new(other)).unwrap();
    }
    place.disk.overwrite(
        &place.root().join(Uuid::from_u128(9).to_string()),
        Vec::new(),
    );
    assert_eq!(Stream::list(&place.disk, place.root()).unwrap(), [place.id]);
}

#[test]
fn room_is_allocated_ahead_and_one_segment_kept_spare() {
    let place = Place::new(10, Durability::Fsync);
    let frame = Stream::frame_bytes(PAYLOAD_BYTES);
    let mut stream = place.create();
    assert_eq!(stream.room(), 10 * frame);
    stream.ensure_room(0).unwrap();
    assert_eq!(
        stream.room(),
        16 * frame,
        "4 frames of the first may stay unused"
    );
    stream.ensure_room(40 * frame).unwrap();
    place.disk.set_free(0);
    for _ in 0..10 {
        append(&mut stream, 4).unwrap();
    }
    place.assert_holds(1, 40);
}

#[test]
fn another_thread_can_allocate() {
    let place = Place::new(10, Durability::Fsync);
    let mut stream = place.create();
    let allocator = stream.allocator();
    let spare = std::thread::spawn(move || allocator.allocate().unwrap());
    append(&mut stream, 10).unwrap();
    stream.add_spare(spare.join().unwrap());
    place.disk.set_free(0);
    append(&mut stream, 10).unwrap();
    place.assert_holds(1, 20);
}

#[test]
fn a_full_disk_shows_when_room_is_allocated() {
    let place = Place::new(10, Durability::Fsync);
    let mut stream = place.create();
    place.disk.set_free(place.options.segment_bytes);
    let refused = stream.ensure_room(100 * Stream::frame_bytes(PAYLOAD_BYTES));
    assert!(matches!(refused, Err(SpoolError::NoSpace { .. })));
    // What was allocated before is used, and nothing of the refused one stays behind.
    append(&mut stream, 10).unwrap();
    append(&mut stream, 10).unwrap();
    assert_eq!(place.disk.files().len(), 2);
    let full = append(&mut stream, 1).unwrap_err();
    assert_eq!(full.kind(), "no_space");
    place.disk.set_free(u64::MAX);
    assert_eq!(append(&mut stream, 1).unwrap().last_seq, 21);
    place.assert_holds(1, 21);
}
