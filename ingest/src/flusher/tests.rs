use std::path::Path;
use std::sync::atomic::AtomicU64;

use domain::Timestamp;

use super::*;
use crate::lane::{Files, Lane};
use crate::mapped::Places;
use crate::metrics::LaneMetrics;
use crate::open_slots::tests::interrupted_event;
use crate::spool::Disk as _;
use crate::spool::simulated_disk::{SimulatedDisk, until};
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

fn streams(disk: &SimulatedDisk, root: &Path) -> Streams {
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
    let mut streams = Streams::open_on(disk, &options, 1, replacements).unwrap();
    streams.make_first_room().unwrap();
    streams
}

#[test]
fn while_a_sync_does_not_return_more_is_taken_in_than_there_are_places() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("spool");
    let disk = SimulatedDisk::new(7);
    let streams = streams(&disk, &root);
    let feed = streams.feeds().remove(0);
    let capacity = Arc::new(Capacity::new(PLACES));
    capacity.set_room(streams.room());
    let bell = Bell::default();
    let (lane, end) = lane(&root, &capacity, &bell);
    let flusher = Flusher {
        lanes: vec![end],
        bell: bell.clone(),
        is_kept: true,
        streams,
        capacity: Arc::clone(&capacity),
        clock: Arc::<Ticking>::default(),
        metrics: SpoolMetrics::register(),
        give_up: Arc::default(),
        ordered_at: Duration::ZERO,
        is_failing: false,
    };
    let held = disk.hold_sync();
    let flusher = std::thread::spawn(|| flusher.run());
    bell.hang(flusher.thread().clone());

    let take_in = |events: usize| {
        for _ in 0..events {
            let slot = until(|| lane.reserve());
            assert!(slot.submit(&interrupted_event()).is_durable(), "it is kept");
        }
    };
    take_in(PLACES);
    held.wait_until_begun();
    take_in(10 * PLACES);
    until(|| (capacity.taken() == 0).then_some(()));
    assert_eq!(*feed.durable.borrow(), 0);
    held.let_go();
    until(|| (*feed.durable.borrow() == 11 * PLACES as u64).then_some(()));
    drop(lane);
    assert_eq!(flusher.join().unwrap().unspooled, 0);
}
