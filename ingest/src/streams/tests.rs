mod syncing;

use std::collections::BTreeSet;

use super::*;
use crate::spool::simulated_disk::{Operation, SimulatedDisk};

fn options(folder: &tempfile::TempDir) -> SpoolOptions {
    SpoolOptions {
        dir: folder.path().join("spool"),
        survives_power_loss: true,
        max_bytes: Some(64 << 20),
        keep: Duration::from_secs(60),
    }
}

fn open(disk: &SimulatedDisk, options: &SpoolOptions) -> Streams {
    let (_, replacements) = crossbeam_channel::unbounded();
    Streams::open_on(Arc::new(disk.clone()), options, 2, replacements).unwrap()
}

fn payloads(streams: &Streams) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for stream in &streams.current {
        let disk = streams.disk();
        let mut reader = Reader::behind(disk, &streams.root, stream.id(), 0).unwrap();
        while let Some(frame) = reader.next(stream.last_seq()).unwrap() {
            found.push(frame.payload.to_vec());
        }
    }
    found
}

/// Wherever a group was tried in vain, it is found once after it succeeded and the process began anew.
#[test]
fn a_group_that_failed_in_a_stream_is_repeated_there() {
    let faults = [Operation::Sync, Operation::Write];
    for (first, second) in (0..4).flat_map(|first| (0..8).map(move |second| (first, second))) {
        let folder = tempfile::tempdir().unwrap();
        let options = options(&folder);
        let disk = places(&options.dir);
        let mut streams = open(&disk, &options);
        let mut expected = BTreeSet::new();
        for number in 0..6_u8 {
            let mut group = Group::new();
            group.push(&[number; 100]).unwrap();
            expected.insert(vec![number; 100]);
            if number == 2 {
                disk.fail(faults[first as usize % 2], first);
                disk.fail(Operation::Sync, second);
            }
            // As the flusher does: again, until it succeeds.
            while streams.append(&mut group).is_err() {}
        }
        drop(streams);
        disk.clear_faults();
        let found = payloads(&open(&disk, &options));
        assert_eq!(found.len(), expected.len(), "{first}, {second}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}

fn places(root: &std::path::Path) -> SimulatedDisk {
    let disk = SimulatedDisk::new(7);
    std::fs::create_dir_all(root).unwrap();
    disk.create_folder(root.parent().unwrap()).unwrap();
    disk.create_folder(root).unwrap();
    disk
}

fn group(bytes: usize) -> Group {
    let mut group = Group::new();
    group.push(&vec![7; bytes]).unwrap();
    group
}

/// Else the database would know more of a stream than the disk, and what is found in mapped files would be stored again.
#[test]
fn with_process_writers_know_of_nothing_that_a_power_loss_takes() {
    for rounds in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let options = SpoolOptions {
            survives_power_loss: false,
            ..options(&folder)
        };
        let disk = places(&options.dir);
        let mut streams = open(&disk, &options);
        let feeds = streams.feeds();
        for round in 0..rounds {
            streams.append(&mut group(100)).unwrap();
            assert!(streams.is_held_back());
            if round % 7 == 5 {
                streams.sync().unwrap();
                assert!(!streams.is_held_back());
                let known: u64 = feeds.iter().map(|feed| *feed.durable.borrow()).sum();
                assert_eq!(known, round + 1, "all that was synced");
            }
        }
        assert_known_is_left(streams, &feeds, &disk, &options);
    }
}

/// After a power loss.
fn assert_known_is_left(
    streams: Streams,
    feeds: &[Feed],
    disk: &SimulatedDisk,
    options: &SpoolOptions,
) {
    let known: Vec<_> = feeds.iter().map(|feed| *feed.durable.borrow()).collect();
    drop(streams);
    disk.lose_power();
    let streams = open(disk, options);
    let mut left = streams
        .current
        .iter()
        .map(|stream| (stream.id(), stream.last_seq()));
    for (feed, known) in feeds.iter().zip(known) {
        let (_, last) = left.find(|(id, _)| *id == feed.stream).unwrap();
        assert!(last >= known, "{known} were known, {last} are left");
    }
}

#[test]
fn on_a_full_disk_what_is_stored_makes_way() {
    let folder = tempfile::tempdir().unwrap();
    let options = SpoolOptions {
        max_bytes: Some(4 << 20),
        ..options(&folder)
    };
    let disk = places(&options.dir);
    let mut streams = open(&disk, &options);
    // Four segments of each stream, of which nobody keeps the last.
    while streams.bytes_on_disk() < 8 * SMALLEST_SEGMENT_BYTES {
        streams.append(&mut group(50_000)).unwrap();
    }
    for feed in streams.feeds() {
        feed.progress.set_stored(*feed.durable.borrow());
    }
    let second = Duration::from_secs(1);
    streams.keep_house(Duration::ZERO, 0).unwrap();
    let before = streams.bytes_on_disk();
    disk.set_free(0);
    let mut refused = false;
    for _ in 0..10_000 {
        // Long before they have been kept for as long as they should; what was ordered is made on a thread of its own.
        let kept = streams.keep_house(5 * second, 2 << 20);
        refused |= matches!(kept, Err(SpoolError::NoSpace { .. }));
        if streams.bytes_on_disk() < before {
            assert!(refused);
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!(
        "nothing made way, though there was {}",
        if refused { "no room" } else { "room" }
    );
}

#[test]
fn the_last_segment_is_looked_through_whatever_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder);
    let disk = places(&options.dir);
    let mut streams = open(&disk, &options);
    for _ in 0..4 {
        streams.append(&mut group(100)).unwrap();
    }
    // By a clock that was ahead of this one.
    let mut seen = 0;
    streams.each_since(i64::MAX, |_| seen += 1).unwrap();
    assert_eq!(seen, 4);
}

/// A start after a power loss would take the places of events that are gone for events that are nowhere, and store them again.
#[test]
fn before_a_segment_goes_the_places_of_its_events_are_synced() {
    let second = Duration::from_secs(1);
    // For want of room, and because they have been kept for as long as they should.
    for (bytes, now) in [(4 << 20, 5 * second), (2 << 20, 61 * second)] {
        let folder = tempfile::tempdir().unwrap();
        let options = SpoolOptions {
            max_bytes: Some(4 << 20),
            ..options(&folder)
        };
        let disk = places(&options.dir);
        let mut streams = open(&disk, &options);
        while streams.bytes_on_disk() < bytes {
            streams.append(&mut group(50_000)).unwrap();
        }
        for feed in streams.feeds() {
            feed.progress.set_stored(*feed.durable.borrow());
        }
        drop(streams.keep_house(Duration::ZERO, 0));
        let segments = || {
            let files = disk.files();
            let is_segment = |path: &Path| path.extension().is_some_and(|of| of == "seg");
            files.iter().filter(|(path, _)| is_segment(path)).count()
        };
        let before = segments();
        // A file that can't be synced.
        let places = crate::recovery::kept_file(&options.dir, 0);
        std::os::unix::fs::symlink("nowhere", &places).unwrap();
        streams.keep_house(now, 0).unwrap_err();
        assert_eq!(segments(), before);
        std::fs::remove_file(&places).unwrap();
        streams.keep_house(now, 0).unwrap();
        assert!(segments() < before);
    }
}
