use std::path::Path;
use std::sync::atomic::AtomicU64;

use domain::Timestamp;

use super::*;
use crate::appending::Feed;
use crate::lane::{Files, Lane};
use crate::mapped::Places;
use crate::metrics::LaneMetrics;
use crate::open_slots::tests::interrupted_event;
use crate::spool::Disk as _;
use crate::spool::simulated_disk::{HeldSync, Operation, SimulatedDisk, until};
use crate::streams::SpoolOptions;

const PLACES: usize = 8;

/// Whenever it is looked at, 10 ms have gone by.
#[derive(Debug, Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp { unix_micros: 1 }
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(10 * self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Of a spool with durability `process`.
fn lane(root: &Path, capacity: &Arc<Capacity>, bell: &Bell) -> (Lane, LaneEnd) {
    let files = Files {
        open: Places::create(&root.join("open-0.slots"), 1).unwrap(),
        kept: Some(Places::create(&root.join("kept-0.slots"), 64).unwrap()),
    };
    let (capacity, bell) = (Arc::clone(capacity), bell.clone());
    Lane::new(capacity, bell, files, LaneMetrics::register())
}

fn streams(disk: &SimulatedDisk, root: &Path, count: usize) -> Streams {
    std::fs::create_dir(root).unwrap();
    disk.create_folder(root).unwrap();
    let options = SpoolOptions {
        dir: root.to_owned(),
        survives_power_loss: false,
        max_bytes: Some(4 << 20),
        keep: Duration::from_secs(60),
    };
    let (_, replacements) = crossbeam_channel::unbounded();
    let disk = Arc::new(disk.clone());
    let mut streams = Streams::open_on(disk, &options, count, replacements).unwrap();
    streams.make_first_room().unwrap();
    streams
}

/// A flusher at work.
struct Running {
    _folder: tempfile::TempDir,
    disk: SimulatedDisk,
    capacity: Arc<Capacity>,
    lane: Lane,
    feeds: Vec<Feed>,
    give_up: Arc<AtomicBool>,
    flusher: std::thread::JoinHandle<Flushed>,
}

impl Running {
    /// With so many streams. The first sync is held.
    fn start(count: usize) -> (Self, HeldSync) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("spool");
        let disk = SimulatedDisk::new(7);
        let streams = streams(&disk, &root, count);
        let feeds = streams.feeds();
        let capacity = Arc::new(Capacity::new(PLACES));
        capacity.set_room(streams.room());
        let bell = Bell::default();
        let (lane, end) = lane(&root, &capacity, &bell);
        let give_up = Arc::<AtomicBool>::default();
        let flusher = Flusher {
            lanes: vec![end],
            bell: bell.clone(),
            is_kept: true,
            streams,
            capacity: Arc::clone(&capacity),
            clock: Arc::<Ticking>::default(),
            metrics: SpoolMetrics::register(),
            give_up: Arc::clone(&give_up),
            ordered_at: Duration::ZERO,
            is_failing: false,
        };
        let held = disk.hold_sync();
        let flusher = std::thread::spawn(|| flusher.run());
        bell.hang(flusher.thread().clone());
        let running = Self {
            _folder: folder,
            disk,
            capacity,
            lane,
            feeds,
            give_up,
            flusher,
        };
        (running, held)
    }

    fn take_in(&self, events: usize) {
        for _ in 0..events {
            let slot = until(|| self.lane.reserve());
            assert!(slot.submit(&interrupted_event()).is_durable(), "it is kept");
        }
    }

    /// How many events the writers know of.
    fn told(&self) -> u64 {
        self.feeds.iter().map(|feed| *feed.durable.borrow()).sum()
    }
}

#[test]
fn while_a_sync_does_not_return_more_is_taken_in_than_there_are_places() {
    let (running, held) = Running::start(1);
    running.take_in(PLACES);
    held.wait_until_begun();
    running.take_in(10 * PLACES);
    until(|| (running.capacity.taken() == 0).then_some(()));
    assert_eq!(running.told(), 0);
    held.let_go();
    until(|| (running.told() == 11 * PLACES as u64).then_some(()));
    drop(running.lane);
    assert_eq!(running.flusher.join().unwrap().unspooled, 0);
}

#[test]
fn a_flusher_that_gives_up_has_synced_what_is_in_the_spool() {
    let (running, held) = Running::start(2);
    running.take_in(1);
    held.wait_until_begun();
    until(|| (running.capacity.taken() == 0).then_some(()));
    for _ in 0..1_000 {
        running.disk.fail(Operation::Write, 0);
    }
    // Into the other stream, again and again.
    running.take_in(1);
    until(|| running.capacity.is_full().then_some(()));
    assert_eq!(running.told(), 0);
    running.give_up.store(true, Ordering::Relaxed);
    held.let_go();
    let flushed = running.flusher.join().unwrap();
    assert_eq!(flushed.unspooled, 1);
    let told = flushed.feeds.iter().map(|feed| *feed.durable.borrow());
    assert_eq!(told.sum::<u64>(), 1);
}

#[test]
fn who_comes_alone_is_synced_at_once_and_who_does_not_after_a_rest() {
    let took = Duration::from_micros;
    assert_eq!(rest(1, took(100)), None);
    assert_eq!(rest(2, took(100)), Some(took(300)));
    assert_eq!(rest(200, took(5_000)), Some(took(500)));
}
