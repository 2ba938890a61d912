//! Drained segments.

use super::super::simulated_disk::Operation;
use super::*;

fn filled() -> (Place, Stream) {
    let place = Place::new(10, Durability::Fsync);
    let mut stream = place.create();
    for _ in 0..4 {
        append(&mut stream, 10).unwrap();
    }
    (place, stream)
}

#[test]
fn whole_segments_go_from_the_oldest_and_the_one_in_use_stays() {
    for (through, segments, oldest) in [(0, 0, 1), (9, 0, 1), (10, 1, 11), (39, 3, 31), (99, 3, 31)]
    {
        let (place, mut stream) = filled();
        let removed = stream.remove_through(through).unwrap();
        assert_eq!(removed.segments, segments, "through {through}");
        assert_eq!(removed.bytes, segments * place.options.segment_bytes);
        assert_eq!(stream.oldest_seq(), oldest);
        assert_eq!(
            stream.bytes_on_disk(),
            (4 - segments) * place.options.segment_bytes
        );
        let stream = place.open().unwrap();
        assert_eq!((stream.oldest_seq(), stream.next_seq()), (oldest, 41));
        place.assert_holds(oldest, 40);
        assert_eq!(place.verify().damage, []);
    }
}

#[test]
fn a_power_loss_while_removing_leaves_no_gap() {
    for step in 0..8 {
        let (place, mut stream) = filled();
        place.disk.stop_after(step);
        drop(stream.remove_through(30));
        place.disk.lose_power();
        let stream = place.open().unwrap();
        place.assert_holds(stream.oldest_seq(), 40);
    }
}

#[test]
fn a_removal_that_was_not_synced_is_synced_before_the_next() {
    for operation in [Operation::SyncFolder, Operation::Remove] {
        let (place, mut stream) = filled();
        place.disk.fail(operation, 0);
        stream.remove_through(30).unwrap_err();
        place.disk.fail(Operation::SyncFolder, 1);
        drop(stream.remove_through(30));
        place.disk.lose_power();
        let stream = place.open().unwrap();
        place.assert_holds(stream.oldest_seq(), 40);
    }
}
