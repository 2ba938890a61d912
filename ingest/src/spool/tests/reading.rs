//! Readers beside the appending end.

use super::super::simulated_disk::Operation;
use super::*;

#[test]
fn a_reader_stops_at_the_position_it_is_given() {
    let place = Place::new(10, Durability::Fsync);
    let mut stream = place.create();
    append(&mut stream, 9).unwrap();
    let mut reader = place.reader(0).unwrap();
    for up_to in 0..=9 {
        assert_eq!(
            read_on(&mut reader, up_to).unwrap().len(),
            usize::from(up_to > 0)
        );
    }
}

#[test]
fn a_reader_follows_across_segments_while_they_are_written() {
    let place = Place::new(10, Durability::Fsync);
    let mut stream = place.create();
    let mut reader = place.reader(0).unwrap();
    let mut read = Vec::new();
    for frames in (1..=7).cycle().take(60) {
        let last = append(&mut stream, frames).unwrap().last_seq;
        read.extend(read_on(&mut reader, last).unwrap());
    }
    assert_eq!(
        read,
        (1..stream.next_seq()).map(payload).collect::<Vec<_>>()
    );
}

#[test]
fn a_reader_begins_anywhere() {
    let place = Place::new(10, Durability::Fsync);
    let mut stream = place.create();
    for _ in 0..10 {
        append(&mut stream, 3).unwrap();
    }
    for first in 1..=31 {
        place.assert_holds(first, 30);
    }
}

#[test]
fn a_reader_leaves_a_given_up_segment_where_the_next_begins() {
    let place = Place::new(20, Durability::Fsync);
    let mut stream = place.create();
    append(&mut stream, 5).unwrap();
    let mut reader = place.reader(0).unwrap();
    assert_eq!(read_on(&mut reader, 5).unwrap().len(), 5);
    // It has read ahead to where the frames of the failed group will be.
    place.disk.fail(Operation::Sync, 0);
    place.disk.fail(Operation::Sync, 3);
    stream.append(&mut group([b"failed".to_vec()])).unwrap_err();
    assert_eq!(read_on(&mut reader, 5).unwrap(), Vec::<Vec<u8>>::new());
    append(&mut stream, 3).unwrap();
    assert_eq!(read_on(&mut reader, 8).unwrap(), [6, 7, 8].map(payload));
}

#[test]
fn a_reader_behind_what_was_removed_is_told_the_gap() {
    let place = Place::new(10, Durability::Fsync);
    let mut stream = place.create();
    for _ in 0..3 {
        append(&mut stream, 10).unwrap();
    }
    let mut slow = place.reader(4).unwrap();
    stream.remove_through(10).unwrap();
    for (after, expected) in [(0, Some(11)), (9, Some(11)), (10, None), (25, None)] {
        let oldest = match place.reader(after) {
            Err(SpoolError::Gap { oldest }) => Some(oldest),
            other => other.map(|_| None).unwrap(),
        };
        assert_eq!(oldest, expected, "behind {after}");
    }
    assert_eq!(slow.next(30).unwrap_err().kind(), "gap");
}

#[test]
fn a_reader_that_has_a_removed_segment_open_reads_it_to_its_end() {
    let place = Place::new(10, Durability::Fsync);
    let mut stream = place.create();
    for _ in 0..3 {
        append(&mut stream, 10).unwrap();
    }
    let mut reader = place.reader(0).unwrap();
    reader.next(30).unwrap();
    stream.remove_through(10).unwrap();
    assert_eq!(read_on(&mut reader, 30).unwrap().len(), 29);
}

#[test]
fn threads_append_and_read_at_once_on_a_real_disk() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(super::super::OsDisk);
    let options = Place::new(500, Durability::Process).options;
    let id = Uuid::from_u128(5);
    let mut stream = Stream::create(Arc::clone(&disk), folder.path(), id, options).unwrap();
    let durable = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while stream.next_seq() <= 20_000 {
                stream.ensure_room(10_000).unwrap();
                let frames = 1 + stream.next_seq() % 60;
                let last = append(&mut stream, frames).unwrap().last_seq;
                durable.store(last, Ordering::Release);
            }
        });
        let mut reader = Reader::behind(Arc::clone(&disk), folder.path(), id, 0).unwrap();
        let mut next = 1;
        while next <= 20_000 {
            while let Some(frame) = reader.next(durable.load(Ordering::Acquire)).unwrap() {
                assert_eq!((frame.seq, frame.payload), (next, payload(next).as_slice()));
                next += 1;
            }
        }
    });
    let report = verify(Arc::clone(&disk), folder.path(), id).unwrap();
    assert_eq!(
        (report.last_seq, report.damage),
        (stream.next_seq() - 1, Vec::new())
    );
    let stream = Stream::open(disk, folder.path(), id, options).unwrap();
    assert_eq!(stream.next_seq(), report.last_seq + 1);
}
