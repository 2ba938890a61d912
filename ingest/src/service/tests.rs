use bytes::BytesMut;

use super::*;
use crate::kept::KeptPlaces;
use crate::open_slots::tests::interrupted_event;
use crate::record;
use crate::spool::Disk as _;
use crate::spool::simulated_disk::SimulatedDisk;

fn options(root: &Path, survives_power_loss: bool) -> SpoolOptions {
    SpoolOptions {
        dir: root.to_owned(),
        survives_power_loss,
        max_bytes: Some(4 << 20),
        keep: Duration::from_secs(60),
    }
}

/// The files that it was in are gone by then, durably.
#[test]
fn what_was_recovered_survives_a_power_loss_right_after() {
    for (seed, survives) in (0..20).flat_map(|seed| [(seed, true), (seed, false)]) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("spool");
        std::fs::create_dir(&root).unwrap();
        let disk = SimulatedDisk::new(seed);
        disk.create_folder(&root).unwrap();
        let open = || {
            let (_, replacements) = crossbeam_channel::unbounded();
            let options = options(&root, survives);
            Streams::open_on(Arc::new(disk.clone()), &options, 2, replacements).unwrap()
        };
        let mut payload = BytesMut::new();
        record::encode(&interrupted_event(), &mut payload);
        let kept = recovery::kept_file(&root, 0);
        KeptPlaces::create(&kept, 4).unwrap().keep(&payload);

        let mut streams = open();
        recover(&root, &mut streams).unwrap();
        recovery::remove_files(&root).unwrap();
        drop(streams);
        disk.lose_power();
        let mut found = Vec::new();
        let mut see = |payload: &[u8]| found.push(payload.to_vec());
        open().each_since(i64::MAX, &mut see).unwrap();
        assert_eq!(found, [payload.to_vec()], "seed {seed}, {survives}");
    }
}
