//! With durability `process`: what goes on while a sync is under way, and who is told what of it.

use std::thread;

use super::*;
use crate::spool::simulated_disk::{HeldSync, until};

/// One stream, of segments that have room for [`FITTING`] events of [`LARGE`] bytes.
struct Place {
    folder: tempfile::TempDir,
    disk: SimulatedDisk,
    replacements: crossbeam_channel::Sender<Replace>,
    streams: Streams,
}

const LARGE: usize = 100_000;
const FITTING: usize = 5;

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = places(&folder.path().join("spool"));
        let (replacements, asked) = crossbeam_channel::unbounded();
        let streams = open_one(&disk, &folder, asked);
        Self {
            folder,
            disk,
            replacements,
            streams,
        }
    }

    /// How many events the writer knows of.
    fn told(&self) -> u64 {
        *self.streams.feeds()[0].durable.borrow()
    }

    fn append(&mut self, events: u64) {
        for _ in 0..events {
            self.streams.append(&mut group(100)).unwrap();
        }
    }

    /// Orders a sync that doesn't return.
    fn begin_sync(&mut self) -> HeldSync {
        let held = self.disk.hold_sync();
        self.streams.order_syncs();
        held.wait_until_begun();
        held
    }

    /// Takes outcomes until there is one.
    fn outcome(&mut self) -> Result<(), SpoolError> {
        let before = self.told();
        until(|| {
            let taken = self.streams.take_outcomes();
            (taken.is_err() || self.told() > before).then_some(taken)
        })
    }

    /// Ends the process. Answers how many events the next one finds.
    fn found_after(self, power: Power) -> u64 {
        drop(self.streams);
        if power == Power::Lost {
            self.disk.lose_power();
        }
        let (_, asked) = crossbeam_channel::unbounded();
        let streams = open_one(&self.disk, &self.folder, asked);
        payloads(&streams).len() as u64
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Power {
    Stays,
    Lost,
}

fn open_one(
    disk: &SimulatedDisk,
    folder: &tempfile::TempDir,
    asked: crossbeam_channel::Receiver<Replace>,
) -> Streams {
    let options = SpoolOptions {
        survives_power_loss: false,
        max_bytes: Some(4 << 20),
        ..options(folder)
    };
    Streams::open_on(Arc::new(disk.clone()), &options, 1, asked).unwrap()
}

#[test]
fn appending_goes_on_during_a_sync_and_the_writer_is_told_of_what_was_there_before() {
    let mut place = Place::new();
    place.append(3);
    let held = place.begin_sync();
    for _ in 0..50 {
        place.append(1);
        // As the flusher does; one is under way.
        place.streams.take_outcomes().unwrap();
        place.streams.order_syncs();
    }
    assert_eq!(place.told(), 0);
    held.let_go();
    place.outcome().unwrap();
    assert_eq!(place.told(), 3, "what came later may not be synced");
    place.streams.order_syncs();
    place.outcome().unwrap();
    assert_eq!(place.told(), 53);
    assert!(!place.streams.is_held_back());
    assert_eq!(place.streams.given_up(), 0);
    assert_eq!(place.found_after(Power::Lost), 53);
}

#[test]
fn a_sync_that_fails_beside_appending_gives_the_segment_up_and_has_all_of_it_stored() {
    let mut place = Place::new();
    place.append(3);
    place.disk.fail(Operation::Sync, 0);
    let held = place.begin_sync();
    place.append(2);
    held.let_go();
    place.outcome().unwrap_err();
    assert_eq!((place.streams.given_up(), place.told()), (1, 5));
    // Into a new one.
    place.append(1);
    assert_eq!(place.told(), 5);
    place.streams.order_syncs();
    place.outcome().unwrap();
    assert_eq!((place.streams.given_up(), place.told()), (1, 6));
    assert_eq!(place.found_after(Power::Stays), 6);
}

/// Whoever syncs that file again is told that all is well: Linux reports a failure once.
#[test]
fn a_segment_that_is_full_while_its_sync_is_under_way_waits_for_what_comes_of_it() {
    for fails in [false, true] {
        let mut place = Place::new();
        place.append(1);
        if fails {
            place.disk.fail(Operation::Sync, 0);
        }
        let held = place.begin_sync();
        let feed = place.streams.feeds().remove(0);
        let (appended, appends) = crossbeam_channel::bounded(16);
        let appending = thread::spawn(move || {
            while place.streams.current[0].segments() == 1 {
                place.streams.append(&mut group(LARGE)).unwrap();
                appended.send(place.streams.current[0].segments()).unwrap();
            }
            place
        });
        assert!(appends.iter().take(FITTING).all(|segments| segments == 1));
        assert_eq!(*feed.durable.borrow(), 0);
        held.let_go();
        let mut place = appending.join().unwrap();
        assert_eq!(place.streams.given_up(), u64::from(fails));
        // Synced, or to be stored all the sooner.
        place.streams.take_outcomes().unwrap();
        assert_eq!(place.told(), 1, "the rest is told of when the next is");
        place.streams.order_syncs();
        place.outcome().unwrap();
        let last = place.streams.current[0].last_seq();
        assert_eq!(place.told(), last);
        let power = if fails { Power::Stays } else { Power::Lost };
        assert_eq!(place.found_after(power), last);
    }
}

#[test]
fn with_fsync_nothing_is_left_to_be_synced() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder);
    let mut streams = open(&places(&options.dir), &options);
    for _ in 0..4 {
        streams.append(&mut group(100)).unwrap();
        assert!(!streams.is_held_back());
        let mut orders = streams.current.iter_mut().map(Appending::order_sync);
        assert!(orders.all(|order| order.is_none()));
    }
}

#[test]
fn at_the_end_all_is_synced_though_a_sync_is_under_way() {
    for fails in [false, true] {
        let mut place = Place::new();
        place.append(3);
        if fails {
            place.disk.fail(Operation::Sync, 0);
        }
        let held = place.begin_sync();
        place.append(2);
        let ending = thread::spawn(move || {
            let synced = place.streams.sync();
            (place, synced)
        });
        held.let_go();
        let (place, synced) = ending.join().unwrap();
        assert_eq!(synced.is_err(), fails);
        assert_eq!(place.streams.given_up(), u64::from(fails));
        assert_eq!(place.told(), 5);
        let power = if fails { Power::Stays } else { Power::Lost };
        assert_eq!(place.found_after(power), 5);
    }
}

#[test]
fn what_comes_of_a_sync_of_a_stream_that_was_replaced_is_not_the_new_ones() {
    for fails in [false, true] {
        let mut place = Place::new();
        place.append(3);
        place.streams.sync().unwrap();
        place.append(6);
        if fails {
            place.disk.fail(Operation::Sync, 0);
        }
        let first = place.begin_sync();
        let old = place.streams.current[0].id();
        let (feed, mut replaced) = oneshot::channel();
        let replace = Replace {
            stream: old,
            behind: 2,
            feed,
        };
        place.replacements.send(replace).unwrap();
        place.streams.keep_house(Duration::ZERO, 0).unwrap();
        let feed = replaced.try_recv().unwrap();
        assert_ne!(feed.stream, old);
        assert_eq!(*feed.durable.borrow(), 7, "3 to 9, which were copied");
        place.append(4);
        first.let_go();
        // The one before it has come to its end then.
        let second = place.begin_sync();
        place.streams.take_outcomes().unwrap();
        assert_eq!((*feed.durable.borrow(), place.streams.given_up()), (7, 0));
        second.let_go();
        place.outcome().unwrap();
        assert_eq!(*feed.durable.borrow(), 11);
        let mut seen = 0;
        place.streams.each_since(i64::MAX, |_| seen += 1).unwrap();
        assert_eq!(seen, 11);
    }
}

#[test]
fn syncs_that_their_thread_died_of_have_failed_and_later_ones_are_done_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let options = SpoolOptions {
        survives_power_loss: false,
        ..options(&folder)
    };
    let disk = places(&options.dir);
    let mut streams = open(&disk, &options);
    let feeds = streams.feeds();
    let known = || -> u64 { feeds.iter().map(|feed| *feed.durable.borrow()).sum() };
    for _ in 0..4 {
        streams.append(&mut group(100)).unwrap();
    }
    let held = disk.hold_sync();
    streams.order_syncs();
    held.wait_until_begun();
    assert_eq!(known(), 0);
    held.let_die();
    // The other stream's was never begun.
    until(|| {
        drop(streams.take_outcomes());
        (streams.given_up() == 2).then_some(())
    });
    assert_eq!(known(), 4);
    for round in 5..9 {
        streams.append(&mut group(100)).unwrap();
        streams.order_syncs();
        streams.take_outcomes().unwrap();
        assert_eq!((known(), streams.given_up()), (round, 2));
    }
}

/// Wherever the power is lost while one sync is under way, another waits for its turn, and a third has just returned.
#[test]
fn with_syncs_under_way_writers_know_of_nothing_that_a_power_loss_takes() {
    for rounds in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let options = SpoolOptions {
            survives_power_loss: false,
            ..options(&folder)
        };
        let disk = places(&options.dir);
        let mut streams = open(&disk, &options);
        let feeds = streams.feeds();
        let known = || -> u64 { feeds.iter().map(|feed| *feed.durable.borrow()).sum() };
        let mut held = None;
        for round in 0..rounds {
            streams.append(&mut group(100)).unwrap();
            streams.take_outcomes().unwrap();
            match round % 8 {
                1 => {
                    // None is under way.
                    let one = disk.hold_sync();
                    streams.order_syncs();
                    one.wait_until_begun();
                    held = Some((one, round + 1));
                }
                6 => {
                    let (one, appended) = held.take().unwrap();
                    assert!(known() < appended);
                    one.let_go();
                    until(|| {
                        streams.take_outcomes().unwrap();
                        (known() == appended).then_some(())
                    });
                }
                _ => {}
            }
        }
        assert_known_is_left(streams, &feeds, &disk, &options);
    }
}
