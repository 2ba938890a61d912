//! The promises of a stream, under chance: appends of all sizes, syncs by order, failures of every kind, kills, power losses.
//!
//! A model remembers what was acknowledged, and which groups were tried in vain since. After every restart the
//! stream must hold the first exactly, and behind it at most the beginning of one of the others.

mod model;

use proptest::prelude::*;

use self::model::{Carrier, Model, Step};
use super::Durability;
use super::simulated_disk::Operation;

fn append() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(0_usize..300, 1..12),
        1 => prop::collection::vec(0_usize..3_000, 1..4),
    ]
    .prop_map(Step::Append)
}

fn fail() -> impl Strategy<Value = Step> {
    let operation = prop::sample::select(vec![
        Operation::Allocate,
        Operation::Write,
        Operation::Sync,
        Operation::SyncFolder,
        Operation::Rename,
        Operation::Remove,
    ]);
    (operation, 0_u32..4).prop_map(|(operation, skip)| Step::Fail(operation, skip))
}

fn steps(restart: Step) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => append(),
        3 => fail(),
        2 => (0_u64..20_000).prop_map(Step::EnsureRoom),
        2 => Just(Step::OrderSync(Carrier::CarriesOut)),
        1 => Just(Step::OrderSync(Carrier::Dies)),
        2 => Just(Step::TakeOutcome),
        1 => (0_u64..=100).prop_map(Step::Remove),
        1 => Just(Step::Read),
        1 => Just(Step::Kill),
        2 => Just(restart),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn with_fsync_nothing_acknowledged_is_lost_to_failures_kills_and_power_losses(
        steps in steps(Step::LosePower),
        segment_frames in 4_u64..40,
    ) {
        let mut model = Model::new(Durability::Fsync, segment_frames);
        for step in &steps {
            model.run(step);
        }
        model.run(&Step::LosePower);
    }

    #[test]
    fn with_process_nothing_acknowledged_is_lost_to_failures_and_kills(
        steps in steps(Step::Kill),
        segment_frames in 4_u64..40,
    ) {
        let mut model = Model::new(Durability::Process, segment_frames);
        for step in &steps {
            model.run(step);
        }
        model.run(&Step::Kill);
    }

    #[test]
    fn with_process_a_power_loss_leaves_a_beginning(
        // And whether a sync is ordered behind it, or the outcome of one taken.
        groups in prop::collection::vec((1_usize..20, 0_u32..4), 1..40),
        segment_frames in 4_u64..40,
    ) {
        let mut model = Model::new(Durability::Process, segment_frames);
        let (mut ordered, mut known) = (0, 0);
        for (frames, what) in groups {
            model.run(&Step::Append(vec![50; frames]));
            match what {
                0 if !model.stream().is_being_synced() => {
                    model.run(&Step::OrderSync(Carrier::CarriesOut));
                    ordered = model.last_seq();
                }
                1 => {
                    model.stream().take_outcome().unwrap();
                    known = ordered;
                }
                _ => {}
            }
        }
        model.stream = None;
        model.place.disk.lose_power();
        let stream = model.place.open().unwrap();
        prop_assert!(stream.next_seq() > known);
        let left = usize::try_from(stream.next_seq() - 1).unwrap();
        prop_assert!(model.place.read(1, left as u64) == model.acknowledged[..left]);
    }

    #[test]
    fn bytes_changed_anywhere_never_give_other_frames(
        groups in prop::collection::vec(2_usize..6, 2..20),
        segment in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 1..60),
            prop::collection::vec(any::<u8>(), 1..3_000),
        ],
    ) {
        let mut model = Model::new(Durability::Fsync, 20);
        for frames in &groups {
            model.run(&Step::Append(vec![50; *frames]));
        }
        let segments = model.stream().segments();
        let first_seq = segments[segment.index(segments.len())].first_seq;
        model.stream = None;
        model.place.spoil(first_seq, |file| {
            let at = at.index(file.len());
            let until = file.len().min(at + bytes.len());
            file[at..until].copy_from_slice(&bytes[..until - at]);
        });
        let before = model.place.disk.files();
        drop(model.place.try_verify());
        prop_assert!(model.place.disk.files() == before, "verifying changed something");
        let Ok(stream) = model.place.open() else {
            prop_assert!(model.place.disk.files() == before, "refusing changed something");
            return Ok(());
        };
        let found = stream.next_seq() - 1;
        // Less than a frame leaves a whole one in the last group, which says that the groups before were synced.
        // What destroys all of that group and more can't be told from a torn write.
        let unsynced = groups.last().copied().unwrap_or(0) as u64;
        let proven = bytes.len() < 60;
        prop_assert!(!proven || found + unsynced >= model.last_seq(), "a synced group was cut off");
        let mut reader = model.place.reader(0).unwrap();
        let mut expected = model.acknowledged.iter();
        while let Ok(Some(frame)) = reader.next(found) {
            prop_assert_eq!(Some(frame.payload), expected.next().map(Vec::as_slice));
        }
    }
}
